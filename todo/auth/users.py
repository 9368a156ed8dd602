"""Which strings are valid user IDs: those that a person can tell from any other."""

import unicodedata

# Unicode's Bidi_Control characters change the direction of text: with them, two ids can look the same.
BIDI_CONTROLS = {chr(code) for code in (0x61C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))}


def find_user_id_problem(user_id: object) -> str | None:
    """Return why a value is not a valid user ID, as a phrase that follows "it"; None if it is valid."""
    if not isinstance(user_id, str) or not user_id.strip():
        return "must be a string that is not blank"
    if len(user_id) > 255:
        return "must have at most 255 characters"
    if not user_id.isprintable() and any(is_control(character) for character in user_id):
        return "must have no control characters"
    return None


def is_control(character: str) -> bool:
    """Return whether a character is a control character, a lone surrogate, or changes the direction of text."""
    return unicodedata.category(character) in {"Cc", "Cs"} or character in BIDI_CONTROLS
