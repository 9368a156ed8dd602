"""Text made comparable without regard to case, in any script and on any server.

PostgreSQL folds case by the database's locale, and none is on every server. So Python folds, as Unicode has it
(section 3.13, canonical caseless matching), and what is stored is only what PostgreSQL cannot make by itself: under
the collation "C" its ``lower()`` knows ASCII, everywhere alike, and for most text that is all there is to do.
"""

import unicodedata
from typing import Any

from sqlalchemy import ColumnElement, collate
from sqlalchemy import func as sql

ASCII_LOWER = str.maketrans({chr(upper): chr(upper + 32) for upper in range(ord("A"), ord("Z") + 1)})


def fold(text: str) -> str:
    """Return a form that is the same for texts that differ in case only, or in how accents are composed."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", text).casefold())


def fold_unless_ascii(text: str | None) -> str | None:
    """Return the folded form to store beside a text; None if lower-casing ASCII gives it."""
    if text is None or text.isascii():
        return None
    folded = fold(text)
    return folded if folded != text.translate(ASCII_LOWER) else None


def build_folded(text: ColumnElement[Any], stored: ColumnElement[Any]) -> ColumnElement[str]:
    """Return the SQL for the folded form of a column, which compares by code points."""
    return collate(sql.coalesce(stored, sql.lower(collate(text, "C"))), "C")
