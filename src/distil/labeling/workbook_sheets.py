"""Sheets as workbooks: the rows of a sheet to fill in, with a picture of each image and lists to pick the answers from."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from distil.data.ids import is_utf8
from distil.data.workbooks import LONGEST, MOST_ROWS, cell_text
from distil.errors import InvalidInput
from distil.labeling.items import Item
from distil.labeling.server.previews import shown_at
from distil.system.imports import optional

if TYPE_CHECKING:
    from openpyxl.drawing.spreadsheet_drawing import TwoCellAnchor
    from openpyxl.worksheet.worksheet import Worksheet

_SIDE: Final = 160  # pixels, the longest of a picture
_MARGIN: Final = 3  # pixels around a picture: one that lies in its cell as a whole is sorted with it
_EMU: Final = 9525  # units of drawings in a pixel
_MOST_BYTES: Final = 1 << 26  # of all pictures of a workbook
_WIDTHS: Final = {"id": 20, "text": 80, "file": 40, "picture": 24, "label": 24, "answer": 12, "who": 14, "key": 20}
_TEXT: Final = "@"  # the number format of texts: what is typed into these cells stays as it is typed


def as_workbook(
    records: Sequence[Mapping[str, str | None]], items: Sequence[Item], choices: Mapping[str, Sequence[str]], name: str
) -> bytes:
    """The rows of a sheet as a workbook (``.xlsx``).

    All cells are texts, so ids keep their zeros, and texts that begin with ``=`` are no formulas. A text that is longer than a
    cell may be is cut. Images are in a column ``picture``, at most 160 pixels a side.

    Args:
        records: The rows, all with the same columns.
        items: The item of each row.
        choices: By column, the texts that a person may pick from a list; other texts may be written too.
        name: The name of the file, for messages.

    Raises:
        InvalidInput: A text cannot be written, or the pictures are too many.
        MissingPackage: openpyxl is not installed.
    """
    book = optional("openpyxl", f"writing {name}").Workbook()
    sheet = book.active
    columns = list(records[0])
    if "file" in columns:
        columns.insert(columns.index("file") + 1, "picture")
    _write_row(sheet, 1, columns, name)
    for row, record in enumerate(records, 2):
        _write_row(sheet, row, [record.get(column) for column in columns], name)
    for place, column in enumerate(columns, 1):
        sheet.column_dimensions[sheet.cell(1, place).column_letter].width = _WIDTHS[column]
    sheet.freeze_panes = "A2"
    if "picture" in columns:
        _add_pictures(sheet, columns.index("picture") + 1, items, name)
    for column, texts in choices.items():
        _offer(sheet, columns.index(column) + 1, texts, name)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def as_table(rows: Sequence[Sequence[object]], name: str) -> bytes:
    """Rows as a workbook whose cells are all texts, or empty for None; no text is cut.

    Args:
        rows: The rows, the names of the columns first.
        name: The name of the file, for messages.

    Raises:
        InvalidInput: A text cannot be written, or there are more rows than a workbook holds.
        MissingPackage: openpyxl is not installed.
    """
    openpyxl = optional("openpyxl", f"writing {name}")
    from openpyxl.cell import WriteOnlyCell

    if len(rows) > MOST_ROWS:
        raise InvalidInput(
            f"{name} was not written: a workbook holds {MOST_ROWS:,} rows; write .csv, .jsonl or .parquet"
        )
    texts = [[None if value is None else _whole(str(value), name) for value in row] for row in rows]
    book = openpyxl.Workbook(write_only=True)  # keeps no cells in memory
    sheet = book.create_sheet()
    for row in texts:
        cells = [WriteOnlyCell(sheet, text) for text in row]
        for cell in cells:
            cell.data_type, cell.number_format = "n" if cell.value is None else "s", _TEXT
        sheet.append(cells)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def _whole(text: str, name: str) -> str:
    """A text as a cell can hold it, uncut."""
    if not is_utf8(text):
        raise InvalidInput(_not_utf8(text, name))
    escaped = cell_text(text)
    if len(escaped) > LONGEST:
        raise InvalidInput(
            f"{name} was not written: the text {text!r:.60} has {len(escaped):,} characters, and workbooks take at most "
            f"{LONGEST:,} in a cell; write .jsonl or .parquet"
        )
    return escaped


def _not_utf8(text: str, name: str) -> str:
    return f"{text!r:.200} holds bytes that are not UTF-8, which {name} cannot hold; write .csv"


def _write_row(sheet: Worksheet, row: int, texts: Sequence[str | None], name: str) -> None:
    from openpyxl.styles import Alignment

    alignment = Alignment(wrap_text=True, vertical="top")
    for place, text in enumerate(texts, 1):
        cell = sheet.cell(row, place)
        if text is not None:
            cell.value = _fitting(text, name)
            cell.data_type = "s"
        cell.number_format, cell.alignment = _TEXT, alignment


def _fitting(text: str, name: str) -> str:
    """A text as a cell can hold it."""
    if not is_utf8(text):
        raise InvalidInput(_not_utf8(text, name))
    escaped = cell_text(text)
    if len(escaped) <= LONGEST:
        return escaped
    most = LONGEST - 1 if escaped == text else LONGEST // len("_x0000_") - 1
    return f"{cell_text(text[:most])}…"


# --------------------------------------------------------------------------------------------------------------- pictures


def _add_pictures(sheet: Worksheet, column: int, items: Sequence[Item], name: str) -> None:
    """Put a picture of each image into its row, or the reason why there is none."""
    from openpyxl.drawing.image import Image

    size = 0
    for row, item in enumerate(items, 2):
        if item.path is None:
            continue
        try:
            content = _picture(item)
        except (InvalidInput, OSError) as error:
            sheet.cell(row, column).value = _fitting(f"no picture: {error}", name)
            continue
        size += len(content)
        if size > _MOST_BYTES:
            raise InvalidInput(
                f"the pictures of {len(items):,} images take more than {_MOST_BYTES >> 20} MiB; ask for fewer items, or write .csv"
            )
        picture = Image(io.BytesIO(content))
        picture.anchor = _inside(row, column, picture.width, picture.height)
        sheet.row_dimensions[row].height = max(picture.height + 2 * _MARGIN, 20) * 0.75  # in points
        sheet.add_image(picture)


def _picture(item: Item) -> bytes:
    """The image of an item: whole in PNG if it is small, else in JPEG."""
    image = shown_at(item, _SIDE)
    file = io.BytesIO()
    if max(image.size) < _SIDE:
        image.save(file, "PNG")
    else:
        image.save(file, "JPEG", quality=85)
    return file.getvalue()


def _inside(row: int, column: int, width: int, height: int) -> TwoCellAnchor:
    """The place of a picture in a cell; spreadsheets move it with the cell when the rows are sorted."""
    from openpyxl.drawing.spreadsheet_drawing import AnchorMarker, TwoCellAnchor

    start, end = (
        AnchorMarker(column - 1, (_MARGIN + across) * _EMU, row - 1, (_MARGIN + down) * _EMU)
        for across, down in ((0, 0), (width, height))
    )
    return TwoCellAnchor("twoCell", start, end)


# ------------------------------------------------------------------------------------------------------------------ lists


def _offer(sheet: Worksheet, column: int, texts: Sequence[str], name: str) -> None:
    """Let a person pick one of some texts in the cells of a column below its name.

    The texts are in a sheet of their own, because a list in the rule itself may hold neither commas nor more than 255 characters.
    """
    if not texts:
        return
    from openpyxl.utils import get_column_letter
    from openpyxl.worksheet.datavalidation import DataValidation

    letter, book = get_column_letter(column), sheet.parent
    assert book is not None
    listed = book.create_sheet(str(sheet.cell(1, column).value))
    listed.sheet_state = "veryHidden"  # from people, but not from the rule
    for row, text in enumerate(texts, 1):
        _write_row(listed, row, [text], name)
    rule = DataValidation("list", formula1=f"'{listed.title}'!$A$1:$A${len(texts)}", allow_blank=True)
    rule.error, rule.errorStyle = "The list does not have this.", "warning"  # spreadsheets add: Continue?
    rule.showErrorMessage = True
    rule.add(f"{letter}2:{letter}{sheet.max_row}")
    sheet.add_data_validation(rule)
