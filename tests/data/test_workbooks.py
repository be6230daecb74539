"""Workbooks as tables: typed cells, formulas, several sheets, and files that are damaged on purpose."""

import csv
import io
import zipfile
from contextlib import suppress
from datetime import date, datetime, time

import numpy as np
import pytest

import distil
from distil.data import workbooks
from distil.data.array_files import read_column
from distil.data.ids import read_ids
from distil.data.table_files import open_table
from distil.data.workbooks import cell_text, read_sheet
from distil.errors import InvalidInput, MissingPackage
from distil.system.runtime import Runtime

openpyxl = pytest.importorskip("openpyxl")


def book(path, *rows, edit=None):
    """Write rows as a workbook."""
    made = openpyxl.Workbook()
    for row in rows:
        made.active.append(row)
    if edit is not None:
        edit(made)
    made.save(path)
    return path


def with_part(path, name, content):
    """Replace a part of a workbook, or add it."""
    with zipfile.ZipFile(path) as old:
        parts = {info.filename: old.read(info) for info in old.infolist()} | {name: content}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for each, kept in parts.items():
            new.writestr(each, kept)
    return path


def sheet_xml(cells):
    name = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    return f'<worksheet xmlns="{name}"><sheetData>{cells}</sheetData></worksheet>'


def texts(path):
    return [cells for _, cells in read_sheet(path).rows]


def test_typed_cells_are_texts(tmp_path):
    values = [7, 7.0, 1.5, 0.3, 1234567890123450, 1e20, True, False, "007", " a ", "TRUE", "ä\nb", "#N/A"]
    dates = [datetime(2024, 2, 29), date(2024, 2, 29), datetime(2024, 2, 29, 13, 5), time(13, 5)]
    found = texts(book(tmp_path / "x.xlsx", values, dates))
    expected = ["7", "7", "1.5", "0.3", "1234567890123450", "1e+20", "TRUE", "FALSE"]
    assert found[0] == [*expected, "007", " a ", "TRUE", "ä\nb", "#N/A"]
    assert found[1][:5] == ["2024-02-29", "2024-02-29", "2024-02-29T13:05:00", "13:05:00", ""]
    numbers = ["1.1000000000000001", "0.30000000000000004", "1E-3", "12.0"]  # as Excel writes 1.1 and others
    xml = "".join(f"<c><v>{number}</v></c>" for number in numbers)
    with_part(tmp_path / "x.xlsx", "xl/worksheets/sheet1.xml", sheet_xml(f"<row>{xml}</row>"))
    assert texts(tmp_path / "x.xlsx") == [["1.1", "0.30000000000000004", "0.001", "12"]]


def test_every_text_comes_back(tmp_path):
    r"""As XML holds it: control characters as _x000D_, which texts that look like this are not."""
    written = ["a\r\nb", "\x00\x1f\x0b", "_x000D_", "_x005F_x000D_", "_x0041_", "￿", "x_y", "=1+1"]
    xml = "".join(f'<c t="inlineStr"><is><t xml:space="preserve">{cell_text(text)}</t></is></c>' for text in written)
    path = with_part(book(tmp_path / "x.xlsx", ["a"]), "xl/worksheets/sheet1.xml", sheet_xml(f"<row>{xml}</row>"))
    assert texts(path) == [written]
    assert read_sheet(path).formulas == []


def test_a_workbook_is_the_table_that_its_csv_is(tmp_path):
    """In each reader of tables; the reference is a csv file of the same cells."""
    rows = [["id", "text", "label", "e0", "e1"]]
    rows += [[f"{row:03}", f"some words {row}", "ab"[row % 2], row / 4, -row] for row in range(12)]
    path = book(tmp_path / "x.xlsx", *rows)
    with (tmp_path / "x.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    for read in (
        lambda path: read_ids(path).names,
        lambda path: read_ids(path).labels,
        lambda path: distil.open_pool(path, column="text").names,
        lambda path: [distil.open_pool(path)[row] for row in range(12)],
        lambda path: read_column(path).names,
        lambda path: read_column(path).values[:].tolist(),
        lambda path: open_table(path).kinds,
    ):
        assert read(path) == read(tmp_path / "x.csv")
    assert np.allclose(np.asarray(read_column(path).values)[:, 0], np.arange(12) / 4)


def test_rows_keep_their_numbers_and_empty_ones_below_are_left_out(tmp_path):
    def edit(made):
        for row, cell in ((3, "id"), (4, "7"), (6, "8"), (9, "")):
            made.active.cell(row, 1).value = cell
        made.active.cell(3, 2).value = "label"
        made.active.cell(12, 2).number_format = "0.00"  # an empty cell with a format

    path = book(tmp_path / "x.xlsx", edit=edit)
    table = open_table(path)
    rows = table.read([], ["id"], Runtime())
    assert (list(rows.places), rows.cells, rows.n_empty) == ([4, 5, 6], [["7", "", "8"]], 6)
    found = read_ids(path)
    assert found.names == ("7", "8")
    assert "left out 7 empty rows of x.xlsx" in found.note
    one = book(tmp_path / "y.xlsx", ["text"], ["a"], [None], ["b"], [None], [None], edit=lambda made: made.active["A9"])
    assert open_table(one).read([], ["text"], Runtime()).cells == [["a", "", "b"]]


def test_formulas_are_refused_where_they_are_read(tmp_path):
    path = book(tmp_path / "x.xlsx", ["id", "label", "n"], ["a", "=B3", "=1+1"], ["b", "x", None])
    table = open_table(path)
    assert table.read([], ["id"], Runtime()).cells == [["a", "b"]]
    with pytest.raises(
        InvalidInput, match=r"x\.xlsx, row 2: the cell C2 holds a formula; copy the column and paste it"
    ):
        table.read([], ["id", "n"], Runtime())
    with pytest.raises(InvalidInput, match="the cell B2 holds a formula"):
        read_ids(path)

    def of_several_cells(made):
        made.active["C2"] = openpyxl.worksheet.formula.ArrayFormula("C2:C3", "=A2:A3")

    table = open_table(book(tmp_path / "y.xlsx", ["id", "label", "n"], ["a", "x"], ["b", "x"], edit=of_several_cells))
    with pytest.raises(InvalidInput, match="the cell C2 holds a formula"):
        table.read([], ["n"], Runtime())


def test_cells_that_are_merged_over_rows_are_refused_where_they_are_read(tmp_path):
    def merge(name):
        return lambda made: made.active.merge_cells(name)

    rows = ["id", "label", "n"], ["a", "x", None], ["b", None, None], ["c", None, None]
    for name in ("B2:B4", "B2:C3", "B2:B3"):
        table = open_table(book(tmp_path / "x.xlsx", *rows, edit=merge(name)))
        assert table.read([], ["id"], Runtime()).cells == [["a", "b", "c"]]
        with pytest.raises(InvalidInput, match=f"x.xlsx, row 2: the cells {name} are merged.*unmerge them"):
            table.read([], ["id", "label"], Runtime())
    for name in ("B2:C2", "C2:C4", "B3:B4", "D2:E9"):  # of one row, or without a value
        table = open_table(book(tmp_path / "x.xlsx", *rows, edit=merge(name)))
        assert table.read([], ["label", "n"], Runtime()).cells == [["x", "", ""], ["", "", ""]]


def test_the_first_sheet_that_is_seen_is_read(tmp_path):
    def edit(made):
        for name, state in (("more", "visible"), ("away", "hidden"), ("classes", "veryHidden")):
            made.create_sheet(name).append(["id", name])
            made[name].sheet_state = state
        made.move_sheet("away", -2)

    path = book(tmp_path / "x.xlsx", ["id", "label"], ["a", "x"], edit=edit)
    found = read_ids(path)
    assert (found.names, found.labels) == (("a",), ("x",))
    assert found.note == "read the sheet 'Sheet' of x.xlsx, and not 'away' (hidden), 'more'"
    with zipfile.ZipFile(path) as archive:
        xml = archive.read("xl/workbook.xml").decode().replace('state="visible"', 'state="hidden"')
    with_part(path, "xl/workbook.xml", xml)
    with pytest.raises(InvalidInput, match=r"x\.xlsx has no sheet that can be seen"):
        read_ids(path)


def test_cells_outside_of_the_dimensions_that_a_file_states(tmp_path):
    path = book(tmp_path / "x.xlsx", ["id", "label"], ["a", "x"])
    with zipfile.ZipFile(path) as archive:
        xml = archive.read("xl/worksheets/sheet1.xml").decode()
    assert 'ref="A1:B2"' in xml
    assert texts(with_part(path, "xl/worksheets/sheet1.xml", xml.replace('ref="A1:B2"', 'ref="A1:A1"'))) == texts(path)
    assert texts(path) == [["id", "label"], ["a", "x"]]


def test_files_that_are_no_workbooks_end_in_one_line(tmp_path):
    path = tmp_path / "x.xlsx"
    whole = book(path, ["id"], ["a"]).read_bytes()
    for content, message in [
        (b"id,label\na,x\n", "is no workbook: .*; if it is a table in another format, give it the ending of that"),
        (b"", "is no workbook"),
        (bytes.fromhex("d0cf11e0a1b11ae1") + bytes(600), "is encrypted, or is a workbook of the old format .xls"),
        (whole[: len(whole) // 2], "is no workbook"),
        (whole.replace(b"xl/workbook.xml", b"xl/workbook.xmm"), "cannot be read as a workbook"),
    ]:
        path.write_bytes(content)
        with pytest.raises(InvalidInput, match=message) as error:
            read_ids(path)
        assert "\n" not in str(error.value)
    generator = np.random.default_rng(0)
    for _ in range(60):  # bytes that the disk or the network changed
        damaged = bytearray(whole)
        for place in generator.integers(0, len(whole), 3):
            damaged[place] = generator.integers(0, 256)
        path.write_bytes(damaged)
        with suppress(InvalidInput):
            assert len(read_ids(path).names) < 2


def test_workbooks_that_would_fill_the_memory(tmp_path, monkeypatch):
    path = book(tmp_path / "x.xlsx", ["id"], ["a"])
    monkeypatch.setattr(workbooks, "_LARGEST", 1 << 20)
    laughs = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 20))
    declared = f'<!DOCTYPE a [<!ENTITY a0 "ha">{laughs}]>'
    for part, message in [
        (bytes(1 << 21), "holds more than 1 MiB; save its sheet as CSV"),  # of which zip makes some bytes
        (sheet_xml('<row r="999999999"><c><v>1</v></c></row>'), "holds more than 1 MiB"),
        (sheet_xml('<row><c r="ZZZ1"><v>1</v></c></row>' * 500), "holds more than 1 MiB"),
        (sheet_xml('<row><c r="AAAAAA1"><v>1</v></c></row>'), "cannot be read as a workbook"),
        (declared + sheet_xml('<row><c t="str"><v>&a19;</v></c></row>'), "cannot be read as a workbook"),
        (
            '<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/hostname">]>' + sheet_xml("<row><c>&e;</c></row>"),
            "cannot be read",
        ),
    ]:
        with pytest.raises(InvalidInput, match=message):
            read_ids(with_part(path, "xl/worksheets/sheet1.xml", part))


def test_a_zip_that_hides_its_size(tmp_path):
    """zipfile unpacks no more than the size in the list of parts, which is what is checked."""
    size = 1_234_567
    path = with_part(book(tmp_path / "x.xlsx", ["id"]), "xl/worksheets/sheet1.xml", bytes(size))
    content = path.read_bytes()
    assert content.count(size.to_bytes(4, "little")) == 2
    path.write_bytes(content.replace(size.to_bytes(4, "little"), (90).to_bytes(4, "little")))
    with pytest.raises(InvalidInput, match="cannot be read as a workbook"):
        read_ids(path)


def test_workbooks_without_openpyxl(tmp_path, monkeypatch):
    path = book(tmp_path / "x.xlsx", ["id"])
    monkeypatch.setitem(__import__("sys").modules, "openpyxl", None)
    with pytest.raises(MissingPackage, match=r'reading x.xlsx needs openpyxl.*pip install "distil\[excel\]"'):
        read_ids(path)


def test_other_kinds_of_workbooks_are_refused_as_before(tmp_path):
    content = io.BytesIO()
    book(content, ["id"])
    for name, message in [
        ("x.csv", "is a workbook or another zip archive"),
        ("x.ods", "ids are read from .*; got .ods"),
        ("x.xls", "ids are read from .*; got .xls"),
    ]:
        (tmp_path / name).write_bytes(content.getvalue())
        with pytest.raises(InvalidInput, match=message):
            read_ids(tmp_path / name)
