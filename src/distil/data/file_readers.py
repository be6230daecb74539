"""Readers of text files and JSON lines, plain or compressed.

Every fault of a file is an InvalidInput that names the file, and the line if the fault is in one.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import itertools
import json
import lzma
import re
import zlib
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Final, TextIO, cast

from distil.errors import DataNotFound, DistilError, InvalidInput

_OPENERS: Final[dict[str, Callable[[Path, str], Any]]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_COMPRESSED: Final = {".gz": b"\x1f\x8b", ".bz2": b"BZh[1-9]1AY&SY|BZh[1-9]\x17rE8P\x90", ".xz": b"\xfd7zXZ\0"}
_CONTENTS: Final = {
    **{f"is compressed; give it the ending {suffix}": begin for suffix, begin in _COMPRESSED.items()},
    "is compressed with zstandard; unpack it": rb"\x28\xb5\x2f\xfd",
    "is a workbook or another zip archive; save its sheet as CSV (UTF-8)": b"PK\x03\x04",
    "is an old workbook (.xls) or another file of Office; save its sheet as CSV (UTF-8)": b"\xd0\xcf\x11\xe0",
    "is a Parquet file; give it the ending .parquet": b"PAR1\x15",
    "is a Feather file; write the table as .parquet": b"ARROW1",
    "is an array of NumPy; give it the ending .npy": b"\x93NUMPY",
    "is a PDF; save its table as CSV (UTF-8)": rb"%PDF-\d",
    "is UTF-32 text; save it as UTF-8": b"\xff\xfe\0\0|\0\0\xfe\xff",
    "is UTF-16 text without a byte order mark; save it as UTF-8": b"[^\0]\0[^\0]\0|\0[^\0]\0[^\0]",
}
"""What a file is that is no text, and what to do, each with what its content begins with."""

_INDEX: Final = "Unnamed: 0"  # as pandas names the index of a csv file
_BLOCK: Final = 1 << 20  # characters
_LONGEST_LINE: Final = 1 << 25  # characters
_LARGEST_DOCUMENT: Final = 1 << 26  # characters of one JSON document, which is read as a whole


def existing(path: Path) -> Path:
    """``path``, checked: DataNotFound unless it is a file."""
    if not path.is_file():
        raise DataNotFound(f"there is no file {path}" if not path.exists() else f"{path} is not a file")
    return path


def ending(path: Path) -> str:
    """The ending of a file in lower case, without that of its compression: ``.csv`` for ``table.csv.gz`` too."""
    inner = path.with_suffix("") if path.suffix.lower() in _OPENERS else path
    return inner.suffix.lower()


@contextmanager
def reading(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading; one that ends in ``.gz``, ``.bz2`` or ``.xz`` is decompressed.

    Raises:
        InvalidInput: The file is unreadable, truncated or not compressed as its name says; the error may also come up
            while the caller reads.
    """
    try:
        suffix = path.suffix.lower()
        if suffix in _COMPRESSED:
            _check_compressed(path, _COMPRESSED[suffix])
        with _OPENERS.get(suffix, open)(path, "rb") as file:
            yield cast(BinaryIO, file)
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        if isinstance(error, DistilError):
            raise
        raise InvalidInput(f"{path} cannot be read: {error}; if it is damaged, fetch it again") from error


def _check_compressed(path: Path, begin: bytes) -> None:
    """Refuse a file that is not compressed in the way of its ending; the content of an empty one is empty."""
    with path.open("rb") as file:
        first = file.read(10)
    if first and not re.match(begin, first):
        raise InvalidInput(
            f"{path} cannot be read: it is not compressed as its ending {path.suffix} says; give it the ending of its content; if "
            "it is damaged, fetch it again"
        )


@contextmanager
def reading_text(path: Path, errors: str = "strict", newline: str = "") -> Iterator[TextIO]:
    """Open a file of UTF-8 text, or of UTF-16 text with a byte order mark, as Excel writes "Unicode text"; line ends are kept.

    Args:
        path: The file, plain or compressed.
        errors: How to treat bytes that are not UTF-8: ``"strict"`` refuses them, ``"surrogateescape"`` keeps them. In UTF-16 they
            are refused.
        newline: The line end; empty: any of the three line ends.

    Raises:
        InvalidInput: The text is not UTF-8, or the file is of another kind, such as a workbook; the error may also come up while
            the caller reads.
    """
    with reading(path) as raw:
        first = cast(io.BufferedReader, raw).peek(10)[:10]
        other = next((what for what, begin in _CONTENTS.items() if re.match(begin, first, re.DOTALL)), None)
        if other is not None:
            raise InvalidInput(f"{path} {other}")
        wide = first[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
        encoding, errors = ("utf-16", "strict") if wide else ("utf-8-sig", errors)
        with io.TextIOWrapper(raw, encoding=encoding, errors=errors, newline=newline) as text:
            try:
                yield text
            except UnicodeDecodeError as error:
                name = "UTF-16" if wide else "UTF-8"
                raise InvalidInput(f"{path} is not {name} text: {error}; save it as UTF-8") from error


def line_of(text: TextIO, path: Path) -> str:
    """The next line; empty at the end. InvalidInput if it is so long that the file must be damaged, or compressed maliciously."""
    line = text.readline(_LONGEST_LINE)
    if len(line) == _LONGEST_LINE:
        raise InvalidInput(f"{path} has a line of more than {_LONGEST_LINE:,} characters, so it may be damaged")
    return line


def checked_lines(path: Path, text: TextIO, head: Sequence[str] = ()) -> Iterator[str]:
    """Yield the lines of ``head`` and of ``text``; InvalidInput at the first with a NUL character, which text does not contain."""
    for number, line in enumerate(itertools.chain(head, iter(partial(line_of, text, path), "")), 1):
        if "\0" in line:
            raise InvalidInput(
                f"{path}, line {number} holds a NUL character; expected text, so the file may be damaged"
            )
        yield line


def text_lines(path: Path, errors: str = "strict") -> Iterator[tuple[int, str]]:
    """Yield the lines of a text file that are not blank, without line ends, each with its number from 1.

    Args:
        path: The file, plain or compressed.
        errors: How to treat bytes that are not UTF-8; see :func:`reading_text`.
    """
    with reading_text(path, errors, newline="\n") as text:
        for number, line in enumerate(checked_lines(path, text), 1):
            if line.strip():
                yield number, line.rstrip("\r\n")


def json_lines(path: Path) -> Generator[tuple[int, Any]]:
    """Yield the values of a file of JSON lines, each with its line number."""
    for number, text in text_lines(path):
        try:
            yield number, json.loads(text)
        except (ValueError, RecursionError) as error:  # also for numbers of thousands of digits, and for deep nesting
            raise InvalidInput(f"{path}, line {number} is not JSON: {error}") from error


def json_records(path: Path) -> tuple[str, list[tuple[int, Any]]]:
    """The records of a JSON document, each with its row from 0; or those of JSON lines, each with its line.

    A document is a list of records, a dict of columns (lists, or dicts with the same keys), one of the other forms that pandas
    writes, a dict with one list of records, or a dict of ids with a list of numbers or a dict of cells for each. These lists and
    dicts are columns where there are at most as many as values in each, or where their names are counted (``e0``, ``e1``, ...).

    Returns:
        What the numbers count, ``"row"`` or ``"line"``, and the records.

    Raises:
        InvalidInput: The file is not JSON, is too large, or its values are something else.
    """
    with reading_text(path) as file:  # in blocks: for one large read, Python reserves the memory at once
        blocks = list(itertools.islice(iter(partial(file.read, _BLOCK), ""), _LARGEST_DOCUMENT // _BLOCK))
    text = "".join(blocks)
    if len(text) == _LARGEST_DOCUMENT:
        raise InvalidInput(
            f"{path} has more than {_LARGEST_DOCUMENT:,} characters; write large tables as .jsonl, with one record in a line"
        )
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        if isinstance(error, json.JSONDecodeError) and error.msg == "Extra data":
            return "line", list(json_lines(path))
        raise InvalidInput(f"{path} is not JSON: {error}") from error
    return "row", list(enumerate(_records(path, document)))


def _is_split(document: Any) -> bool:  # noqa: ANN401 - any value of JSON
    """Whether a document has pandas' ``split`` form: names of columns, rows and an index."""
    match document:
        case {"columns": list(names), "data": list(rows), "index": list(index)}:
            return len(index) == len(rows) and all(isinstance(row, list) and len(row) == len(names) for row in rows)
    return False


def _are_rows_by_id(document: Any) -> bool:  # noqa: ANN401 - any value of JSON
    """Whether a dict of lists, or of dicts with the same keys, has a row for each id, not a column for each name."""
    rows = list(document.values())
    if len(set(map(len, rows))) > 1 or not 1 < len(rows[0]) < len(document):
        return False
    stems = {re.sub(r"\d+$", "", key) for key in document}
    if len(stems) == 1 and all(key[-1:].isdecimal() for key in document):
        return False
    if isinstance(rows[0], dict):
        return list(rows[0]) != [str(place) for place in range(len(rows[0]))]
    return all(isinstance(value, (int, float)) for row in rows for value in row)


def _index(key: Any) -> dict[str, Any]:  # noqa: ANN401 - any value of JSON
    """The cells of a row's index: one, or one for each level."""
    return {f"Unnamed: {level}": part for level, part in enumerate(key if isinstance(key, list) else [key])}


def _records(path: Path, document: Any) -> list[Any]:  # noqa: ANN401 - any value of JSON
    if isinstance(document, list):
        return document
    if _is_split(document):
        rows, index = document["data"], document["index"]
        names = list(map(str, document["columns"]))
        return [{**_index(key), **dict(zip(names, row, strict=True))} for key, row in zip(index, rows, strict=True)]
    match document:  # pandas' form ``table``, with several levels of an index
        case {"schema": {"primaryKey": [_, _, *_] as levels}, "data": [{}, *_] as rows} if (
            set(levels) <= rows[0].keys()
        ):
            return [{**_index([row.pop(level, None) for level in levels]), **row} for row in rows]
    columns = list(document.values()) if isinstance(document, dict) else []
    tables = [column for column in columns if isinstance(column, list) and column and isinstance(column[0], dict)]
    if len(tables) == 1 and (len(columns) == 1 or not all(isinstance(column, list) for column in columns)):
        return list(tables[0])
    if columns and all(isinstance(column, list) and len(column) == len(columns[0]) for column in columns):
        if _are_rows_by_id(document):
            return [{"id": key, "numbers": row} for key, row in document.items()]
        return [dict(zip(document, row, strict=True)) for row in zip(*columns, strict=True)]
    if columns and all(isinstance(column, dict) and column.keys() == columns[0].keys() for column in columns):
        if _are_rows_by_id(document) or (all(map(str.isdecimal, document)) and not all(map(str.isdecimal, columns[0]))):
            return [{_INDEX: key, **row} for key, row in document.items()]
        return [{_INDEX: key, **{name: document[name][key] for name in document}} for key in columns[0]]
    raise InvalidInput(
        f"{path}: expected a list of records, or a dict of columns of one length; got {json.dumps(document):.60}"
    )
