"""Text folded for comparing without regard to case, in any script and on any server.

PostgreSQL folds case by the database's locale, and no locale exists on every server. So Python folds, by Unicode's
canonical caseless matching (section 3.13). The folded text is stored only where ``lower()`` under the collation "C"
gives another result: that function folds ASCII letters, on every server alike.
"""

import unicodedata
from typing import Any

from sqlalchemy import ColumnElement, collate
from sqlalchemy import func as sql

ASCII_LOWER = str.maketrans({chr(upper): chr(upper + 32) for upper in range(ord("A"), ord("Z") + 1)})


def fold(text: str) -> str:
    """Return a form that is equal for texts that differ only in case, or in the composition of accents.

    The dotted and the dotless i of Turkish are equal too: case folding alone depends on the language.
    """
    folded = unicodedata.normalize("NFD", text).casefold().replace("i\u0307", "i").replace("\u0131", "i")
    return unicodedata.normalize("NFC", folded)


def fold_unless_ascii(text: str | None) -> str | None:
    """Return the folded form to store beside a text; None if folding ASCII letters gives the same."""
    if text is None or text.isascii():
        return None
    folded = fold(text)
    return folded if folded != text.translate(ASCII_LOWER) else None


def build_folded(text: ColumnElement[Any], stored: ColumnElement[Any]) -> ColumnElement[str]:
    """Return the SQL of a column's folded form, which compares by code points."""
    return collate(sql.coalesce(stored, sql.lower(collate(text, "C"))), "C")
