"""The readers of text formats: csv, JSON lines, plain lines; plain or compressed."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from distil.errors import DataNotFound, InvalidInput

ID: Final = "id"


LABEL: Final = "label"


HEADERS: Final = frozenset({ID, LABEL, "name", "file", "file_name", "filename", "path", "image", "text", "class"})


def existing(path: Path) -> Path:
    """``path``; DataNotFound unless it is a file."""
    if not path.is_file():
        raise DataNotFound(f"there is no file {path}" if not path.exists() else f"{path} is not a file")
    return path


def mapped_npy(path: Path) -> NDArray[Any]:
    """An ``.npy`` file, memory-mapped; InvalidInput where that needs pickle, or it is none."""
    try:
        return cast(NDArray[Any], np.load(path, mmap_mode="r", allow_pickle=False))
    except (ValueError, OSError, EOFError) as error:
        raise InvalidInput(f"{path} cannot be read as an array without pickle: {error}") from error


def csv_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The rows of a csv or tsv file, plain, ``.gz`` or ``.bz2``, each with its line number; blank lines left out.

    Raises:
        InvalidInput: It is not UTF-8 text, or not csv.
    """
    with reading(path) as raw, io.TextIOWrapper(raw, encoding="utf-8-sig", newline="") as text:
        try:
            head = text.readline()
            reader = csv.reader(_with_head(head, text), delimiter=max(",;\t", key=head.count), strict=True)
            for cells in tqdm(reader, desc=path.name, unit=" rows", delay=2, disable=None, leave=False):
                if any(cells):
                    yield reader.line_num, cells
        except UnicodeDecodeError as error:
            raise InvalidInput(f"{path} is not UTF-8 text: {error}") from error
        except csv.Error as error:
            raise InvalidInput(f"{path}, line {reader.line_num}: {error}") from error


def _with_head(head: str, rest: Iterable[str]) -> Iterator[str]:
    yield head
    yield from rest


def is_header(cells: Sequence[str], asked: Iterable[str | None] = ()) -> bool:
    """Whether the first row of a table says what the columns are called."""
    found = {cell.strip() for cell in cells}
    return not any(map(is_number, cells)) or bool({c.lower() for c in found} & HEADERS) or bool(found & {*asked})


def is_number(cell: str) -> bool:
    """Whether a cell is one."""
    try:
        float(cell)
    except ValueError:
        return False
    return True


def text_lines(path: Path) -> list[str]:
    """The lines of a text file that are not blank, without their ends."""
    with reading(path) as raw:
        try:
            lines = [line.rstrip("\r") for line in raw.read().decode("utf-8-sig").split("\n")]
        except UnicodeDecodeError as error:
            raise InvalidInput(f"{path} is not UTF-8 text: {error}") from error
    return [line for line in lines if line.strip()]


def json_lines(path: Path) -> Iterator[tuple[int, Any]]:
    """The values of a file of JSON lines, each with its line number."""
    for line, text in enumerate(text_lines(path), 1):
        try:
            yield line, json.loads(text)
        except json.JSONDecodeError as error:
            raise InvalidInput(f"{path}, line {line} is not JSON: {error}") from error


@contextmanager
def reading(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading, through gzip or bzip2 where its name ends in ``.gz`` or ``.bz2``.

    Raises:
        InvalidInput: The file is unreadable, truncated or not compressed as its name says; also when that
            shows while the caller reads.
    """
    openers: dict[str, Callable[[Path, str], Any]] = {".gz": gzip.open, ".bz2": bz2.open}
    try:
        with openers.get(path.suffix, open)(path, "rb") as file:
            yield cast(BinaryIO, file)
    except (OSError, EOFError, zlib.error) as error:
        raise InvalidInput(f"{path} cannot be read: {error}; if it is damaged, fetch it again") from error
