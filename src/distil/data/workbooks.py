"""Workbooks (``.xlsx``) as rows of texts, and texts as cells of workbooks.

A cell of a workbook has a type, so nothing in it is taken for something else; the rows that this module gives are those of a csv
file of the sheet, with numbers, dates and booleans written in one way.
"""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Collection, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Final
from xml.parsers import expat

from distil.data.file_readers import reading
from distil.errors import DistilError, InvalidInput
from distil.system.imports import in_a_line, optional

LONGEST: Final = 32_767
"""Characters that a cell of a workbook may hold."""

MOST_ROWS: Final = 1 << 20
"""Rows of a sheet, in every program that writes workbooks."""

_LARGEST: Final = 1 << 27  # bytes of an unpacked workbook, and characters and cells of a sheet
_COMPOUND: Final = bytes.fromhex("d0cf11e0a1b11ae1")  # with which encrypted workbooks and .xls files begin
_WHOLE: Final = 1e15  # whole numbers below are written without a decimal point and an exponent

# XML cannot hold these characters, and the format writes them as _x0007_; so a text that looks like one is escaped too.
_ESCAPES: Final = re.compile("[\\x00-\\x08\\x0b-\\x1f\\ufffe\\uffff]|_(?=x[0-9A-Fa-f]{4}_)")
_ESCAPED: Final = re.compile("_x(00[01][0-9A-F]|005F|FFF[EF])_", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Sheet:
    """A sheet of a workbook.

    Attributes:
        path: The workbook.
        rows: The rows as texts, all of one length, each with its number from 1; the first holds something.
        formulas: The row and the column, from 1 and from 0, of each cell that holds a formula.
        merged: The same of the first of several cells that are merged over rows, with the name of the range, such as ``C2:C4``.
        numeric: The columns, from 0, in which a cell holds a number or a boolean, not a text.
        note: A sentence on the sheets that were not read; empty if there are none.
    """

    path: Path
    rows: list[tuple[int, list[str]]]
    formulas: list[tuple[int, int]]
    merged: list[tuple[int, int, str]]
    numeric: set[int]
    note: str

    def cells(self, columns: Collection[int]) -> Generator[tuple[int, list[str]]]:
        """Yield the rows.

        Args:
            columns: The columns whose cells are used, from 0.

        Raises:
            InvalidInput: One of these columns holds a formula, or a value in cells that are merged over several rows, which the
                file has in the first of these rows only.
        """
        found = next((place for place in self.formulas if place[1] in columns), None)
        if found is not None:
            row, column = found
            letters = optional("openpyxl.utils", f"reading {self.path.name}").get_column_letter(column + 1)
            raise InvalidInput(
                f"{self.path}, row {row}: the cell {letters}{row} holds a formula; copy the column and paste it as values"
            )
        held = dict(self.rows) if self.merged else {}
        for row, column, name in self.merged:
            if column in columns and row in held and held[row][column]:
                raise InvalidInput(
                    f"{self.path}, row {row}: the cells {name} are merged, so that only the first row has their value; unmerge "
                    "them, and fill in each row"
                )
        yield from self.rows


def read_sheet(path: Path) -> Sheet:
    """Read the first sheet of a workbook that a person sees.

    Texts are as they are, numbers are written in full, dates as in ISO 8601 and booleans as ``TRUE`` and ``FALSE``. Formulas are
    not computed, and no other file that the workbook names is opened.

    Raises:
        InvalidInput: The file is no workbook, is encrypted, damaged or too large, or all of its sheets are hidden.
        MissingPackage: openpyxl is not installed.
    """
    with _opened(path) as book:
        shown = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
        if not shown:
            raise InvalidInput(f"{path} has no sheet that can be seen; expected one with a table")
        # other programs hide what they write so that no person sees it, as `distil next` does with the classes
        left = [sheet for sheet in book.worksheets if sheet is not shown[0] and sheet.sheet_state != "veryHidden"]
        formulas: list[tuple[int, int]] = []
        numeric: set[int] = set()
        rows = list(_rows(path, shown[0], formulas, numeric))
        merged = _merged_over_rows(shown[0])
    note = f"read the sheet {shown[0].title!r} of {path.name}, and not {_listing(left)}" if left else ""
    width = max((len(cells) for _, cells in rows), default=0)
    if width < 2:  # below a column, there is nothing that says which empty rows are missing texts
        rows = rows[: max((place for place, (_, cells) in enumerate(rows, 1) if cells), default=0)]
    return Sheet(
        path, [(row, cells + [""] * (width - len(cells))) for row, cells in rows], formulas, merged, numeric, note
    )


def _listing(sheets: list[Any]) -> str:
    return ", ".join(f"{sheet.title!r}{'' if sheet.sheet_state == 'visible' else ' (hidden)'}" for sheet in sheets)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a workbook; errors of openpyxl become InvalidInput, also while the caller reads."""
    openpyxl = optional("openpyxl", f"reading {path.name}")
    with reading(path) as file:
        _check_archive(path, file)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of what it does not keep when it writes a workbook again
                book = openpyxl.load_workbook(file, read_only=True, keep_links=False)
                yield book
                book.close()
        except DistilError:
            raise
        except Exception as error:  # openpyxl raises errors of every kind for damaged files
            raise InvalidInput(
                f"{path} cannot be read as a workbook: {in_a_line(error)}; if it is damaged, save it again"
            ) from error


def _check_archive(path: Path, file: BinaryIO) -> None:
    """InvalidInput unless a file is an archive whose parts fit in memory; zipfile unpacks no part further than its stated size."""
    if file.read(len(_COMPOUND)) == _COMPOUND:
        raise InvalidInput(
            f"{path} is encrypted, or is a workbook of the old format .xls; save it as .xlsx, without a password"
        )
    try:
        with zipfile.ZipFile(file) as archive:
            size = sum(part.file_size for part in archive.infolist())
    except zipfile.BadZipFile as error:
        raise InvalidInput(
            f"{path} is no workbook: {error}; if it is a table in another format, give it the ending of that"
        ) from error
    if size > _LARGEST:
        raise InvalidInput(_too_large(path))
    file.seek(0)


def _too_large(path: Path) -> str:
    return f"{path} holds more than {_LARGEST >> 20} MiB; save its sheet as CSV (UTF-8)"


def _rows(
    path: Path,
    sheet: Any,  # noqa: ANN401
    formulas: list[tuple[int, int]],
    numeric: set[int],
) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows from the first that holds something, without empty cells at their ends; adds to the list and the set."""
    sheet.reset_dimensions()  # programs write wrong ones, and cells outside are not read then
    size, begun = 0, False
    for row, found in enumerate(sheet.iter_rows(), 1):
        cells = [_text(cell.value, cell.data_type) for cell in found]
        size += len(cells) + sum(map(len, cells))
        if size > _LARGEST or row > MOST_ROWS:
            raise InvalidInput(_too_large(path))
        formulas += [(row, place) for place, cell in enumerate(found) if cell.data_type == "f"]
        numeric.update(place for place, cell in enumerate(found) if cell.data_type in "nb" and cell.value is not None)
        while cells and not cells[-1]:
            cells.pop()
        begun = begun or bool(cells)
        if begun:
            yield row, cells


def _merged_over_rows(sheet: Any) -> list[tuple[int, int, str]]:  # noqa: ANN401
    """What :attr:`Sheet.merged` is; openpyxl reads it only with all cells in memory."""
    with sheet.parent._archive.open(sheet._worksheet_path) as part:
        content = part.read()
    if b"mergeCell" not in content:
        return []
    found: list[str] = []
    parser = expat.ParserCreate(namespace_separator=" ")

    def begin(tag: str, attributes: dict[str, str]) -> None:
        if tag.rpartition(" ")[2] == "mergeCell":
            found.append(attributes.get("ref", ""))

    parser.StartElementHandler = begin
    parser.Parse(content, True)
    from openpyxl.worksheet.cell_range import CellRange

    ranges = map(CellRange, found)
    return [(cells.min_row, cells.min_col - 1, cells.coord) for cells in ranges if cells.max_row > cells.min_row]


def _text(value: Any, kind: str | None) -> str:  # noqa: ANN401 - the value of a cell
    """A cell as text."""
    if value is None:
        return ""
    if kind == "f":
        return str(value) if isinstance(value, str) else "="  # formulas of several cells are objects
    if isinstance(value, str):
        return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), value) if "_x" in value else value
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < _WHOLE else repr(value)
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == datetime.min.time() else value.isoformat()
    return str(value)


def cell_text(text: str) -> str:
    r"""A text in the form in which the XML of a workbook holds it.

    >>> cell_text("=1+1"), cell_text("a\r\nb"), cell_text("_x0041_")
    ('=1+1', 'a_x000D_\nb', '_x005F_x0041_')
    """
    return _ESCAPES.sub(lambda found: f"_x{ord(found[0]):04X}_", text)
