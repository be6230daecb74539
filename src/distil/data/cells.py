"""Text cells of csv files that people open in a spreadsheet: a text that would be a formula there is kept from being one.

Every csv file that distil writes for people goes through :func:`csv_text`, and every reader of ids and labels takes exactly what
it added off again. JSON lines and Parquet have no formulas, so their texts are never changed.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterable, Sequence
from typing import Final

from distil.errors import InvalidInput

# A text that begins like a formula. Escaped texts are escaped again, so that every text has a cell of its own.
_FORMULA: Final = re.compile(r"'*(?:[=@\t\r]|[+-](?!(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\Z))")

_CONTROL: Final = re.compile("[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f]")


def escaped(text: str) -> str:
    """The cell of a text: with a leading ``'`` if a spreadsheet would read it as a formula.

    These are texts that begin with ``=``, ``@``, a tab or a carriage return, and those that begin with ``+`` or ``-`` and are no
    number; and texts that already are the cell of one.

    >>> escaped("=1+1"), escaped("-2.5"), escaped("-a"), escaped("'=1+1"), escaped("'tis")
    ("'=1+1", '-2.5', "'-a", "''=1+1", "'tis")
    """
    return f"'{text}" if _FORMULA.match(text) else text


def unescaped(cell: str) -> str:
    """The text of a cell that :func:`escaped` made; any other cell is its own text.

    >>> unescaped("'=1+1"), unescaped("''=1+1"), unescaped("'tis"), unescaped("=1+1")
    ('=1+1', "'=1+1", "'tis", '=1+1')
    """
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell[1:]) else cell


def csv_text(rows: Iterable[Sequence[object]], name: str) -> str:
    """Rows as the text of a csv file for people; texts are escaped, numbers are not, and None is an empty cell.

    Args:
        rows: The rows, the header first.
        name: The name of the file, for the message.

    Raises:
        InvalidInput: A text holds a NUL character, which no reader of csv takes, or half of a surrogate pair.
    """
    lines = []
    buffer = io.StringIO()
    writer = csv.writer(buffer)  # its line ends make it quote both of their characters
    for row in rows:
        wrong = next((cell for cell in row if isinstance(cell, str) and not fits_a_cell(cell)), None)
        if wrong is not None:
            raise InvalidInput(
                f"{wrong!r} holds a character that {name} cannot hold, such as NUL; take it out, or write .jsonl"
            )
        writer.writerow([escaped(cell) if isinstance(cell, str) else cell for cell in row])
        lines.append(buffer.getvalue().removesuffix("\r\n") + "\n")
        buffer.seek(0)
        buffer.truncate()
    return "".join(lines)


def fits_a_cell(text: str) -> bool:
    """Whether a csv file can hold a text: one without NUL characters and halves of surrogate pairs."""
    try:
        text.encode(errors="surrogateescape")  # names of files may hold bytes that are not UTF-8
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def with_control(texts: Collection[str]) -> str | None:
    r"""The first text that holds a control character other than a tab or a line end, such as NUL; None if there is none.

    These characters are invisible, and terminals obey them, so neither an id nor the name of a class may hold one.

    >>> with_control(["cat", "two\nlines", "dog\0"])
    'dog\x00'
    """
    if _CONTROL.search("\n".join(texts)) is None:
        return None
    return next(text for text in texts if _CONTROL.search(text))
