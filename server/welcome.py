"""What `make run` prints when the service answers: a box, and below it two lines to copy."""

import os
import sys
from shutil import get_terminal_size

from bootstrap.progress import can_show, is_coloured, say
from config import Settings
from todo.auth.tokens import issue_token

USER = "alice"
DAY_SECONDS = 24 * 60 * 60
# With its frame, the box has 78 columns.
WIDTH = 74
LINES, ASCII = "┌─┐│└┘", "+-+|++"


def greet(settings: Settings) -> None:
    """Print what the user can do now."""
    frame = LINES if can_show(LINES) else ASCII
    if get_terminal_size().columns < WIDTH + 4:
        frame = " " * len(LINES)
    say(format_welcome(settings, bold=is_coloured(sys.stdout), frame=frame))


def format_welcome(settings: Settings, *, bold: bool, frame: str = LINES) -> str:
    """Return the box and the lines below it. The long lines have no frame, so that they can be copied whole."""
    token = issue_token(settings, USER, DAY_SECONDS) if settings.better_auth_secret else None
    address = f"http://localhost:{settings.port}"
    given = os.environ.get("PORT", "").strip()
    rows = [
        ("Frontend", f"{f'PORT={given} ' if given else ''}make frontend"),
        ("", "in another terminal; needs Node.js 20.19 or newer"),
        *([("Sample tasks", f".venv/bin/flask seed --user {USER} --add")] if token else []),
        ("Stop", "Ctrl-C"),
        *list_data(settings),
    ]
    text = [f"The service runs at {address}", "", *(f"{name:14}{value}" for name, value in rows)]
    begin, end = ("\x1b[1m", "\x1b[0m") if bold else ("", "")
    left, line, right, side, bottom_left, bottom_right = tuple(frame)
    box = [f"{side} {row:{WIDTH}} {side}".rstrip() for row in text]
    box[0] = f"{side} {begin}{text[0]}{end}{box[0][len(text[0]) + 2 :]}"
    first = "Try every operation in the browser" + (f", as the user {USER}:" if token else ":")
    return "\n".join(
        [
            "",
            f"{left}{line * (WIDTH + 2)}{right}",
            *box,
            f"{bottom_left}{line * (WIDTH + 2)}{bottom_right}",
            "",
            f"{begin}{first}{end}",
            f"{address}/api/docs" + (f"#token={token}" if token else ""),
            "",
            f"{begin}Or create a task from another terminal:{end}",
            format_first_call(address, token),
            "",
        ]
    )


def list_data(settings: Settings) -> list[tuple[str, str]]:
    """Return the rows that say where the tasks are, and how to begin again."""
    if settings.database_url is not None:
        return [("Your tasks", "are in the database of NEON_DB_URL or DATABASE_URL")]
    return [("Your tasks", "are in instance/, and stay there"), ("Start over", "Ctrl-C, then: rm -r instance")]


def format_first_call(address: str, token: str | None) -> str:
    """Return a shell command that creates a task; without a token, it has a placeholder."""
    return (
        f"curl -sS {address}/api/tasks -H 'Authorization: Bearer {token or '<JWT from Better Auth>'}'"
        """ -H 'Content-Type: application/json' -d '{"title": "Buy milk"}' -w '\\n'"""
    )
