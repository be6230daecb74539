"""Sheets as workbooks: what a person sees in them, and what comes back once they are filled in."""

import csv
import io

import numpy as np
import pytest
from PIL import Image

from distil.errors import InvalidInput, MissingPackage
from distil.labeling import workbook_sheets
from distil.labeling.events import Event
from distil.labeling.handing_out import random_order
from distil.labeling.project import Project
from distil.labeling.sheets import answer_sheet, write_sheet

openpyxl = pytest.importorskip("openpyxl")


def in_order(ids):
    return ids


def columns_of(sheet):
    return {cell.value: place for place, cell in enumerate(sheet[1], 1)}


def fill(path, answers, edit=None):
    """Write values into a sheet by column and number of the row, and save it as a program does; returns the ids."""
    book = openpyxl.load_workbook(path)
    sheet = book.active
    ids = [cell.value for cell in sheet["A"][1:]]
    for column, values in answers.items():
        for row, value in values.items():
            sheet.cell(row + 2, columns_of(sheet)[column]).value = value
    if edit is not None:
        edit(book)
    book.save(path)
    return ids


@pytest.fixture
def sheet(project, tmp_path):
    path = tmp_path / "sheet.xlsx"
    write_sheet(project, path, "anna", 4, random_order())
    return path


@pytest.fixture
def numbered(tmp_path):
    """A project of texts with ids, classes and contents that a spreadsheet may take for something else, and its sheet."""
    ids = ["007", "1234567890123456789", "1-2", "true", "ä"]
    texts = ["=1+1", "+a", "two\nlines", "_x0041_", "x" * 40_000]
    with (tmp_path / "texts.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("id", "text"), *zip(ids, texts, strict=True)])
    with Project.create(tmp_path / "numbered", classes=["true", "01", "a,b", "é"]) as made:
        made.add(tmp_path / "texts.csv")
        path = tmp_path / "numbered.xlsx"
        assert write_sheet(made, path, "007", 5, in_order) == ids
        yield made, path, ids, texts


def test_all_cells_are_texts(numbered):
    _, path, ids, texts = numbered
    sheet = openpyxl.load_workbook(path).active
    assert [cell.value for cell in sheet[1]] == ["id", "text", "label", "answer", "who", "key"]
    assert [cell.value for cell in sheet["A"][1:]] == ids
    assert {cell.data_type for row in sheet for cell in row if cell.value is not None} == {"s"}
    assert {cell.number_format for row in sheet for cell in row} == {"@"}  # what is typed there stays as it is
    assert all(cell.alignment.wrap_text for cell in sheet["B"])
    shown = [cell.value for cell in sheet["B"][1:]]
    assert shown[:4] == [*texts[:3], "_x005F_x0041_"]
    assert shown[4] == "x" * 32_766 + "…"  # as long as a cell may be
    assert sheet.freeze_panes == "A2"


def test_a_list_of_the_classes_and_of_the_answers(numbered):
    _, path, _, _ = numbered
    book = openpyxl.load_workbook(path)
    offered = {}
    for rule in book.active.data_validations.dataValidation:
        name, _, place = rule.formula1.partition("!")
        listed = book[name.strip("'")]
        assert listed.sheet_state == "veryHidden"
        assert (rule.type, rule.errorStyle) == ("list", "warning")  # a new class may be written too
        offered[str(rule.sqref)] = [cell.value for (cell,) in listed[place.replace("$", "")]]
    assert offered == {"C2:C6": ["true", "01", "a,b", "é"], "D2:D6": ["skip", "unsure", "flag"]}


def test_a_project_without_classes_has_no_list_of_them(tmp_path, texts):
    with Project.create(tmp_path / "p") as made:
        made.add(texts)
        write_sheet(made, tmp_path / "x.xlsx", "anna", 2, random_order())
        rules = openpyxl.load_workbook(tmp_path / "x.xlsx").active.data_validations.dataValidation
        assert [str(rule.sqref) for rule in rules] == ["D2:D3"]


def test_a_workbook_is_filled_in_by_parts(project, sheet):
    ids = fill(sheet, {"label": {0: "cat"}, "answer": {1: "skip"}})
    done = answer_sheet(project, sheet)
    assert (done.recorded, done.duplicates, done.blank, done.changed, done.note) == (2, 0, 2, (), "")
    fill(sheet, {"label": {2: " dog "}, "answer": {2: "FLAG", 3: "unsure"}})
    done = answer_sheet(project, sheet)
    assert (done.recorded, done.duplicates, done.blank) == (2, 2, 0)
    assert project.labels() == {ids[0]: "cat", ids[2]: "dog"}
    assert project.leased("anna") == []


def test_a_workbook_that_was_sorted_and_to_which_columns_were_added(project, sheet):
    """With a blank column, a column of formulas, an empty row below and a sheet of notes."""

    def edit(book):
        first = book.active
        rows = [[cell.value for cell in row] for row in first.iter_rows(min_row=2)]
        first.insert_cols(1, 2)
        first["B1"], first["I1"] = "mine", "length"
        for place, row in enumerate(sorted(rows, reverse=True), 2):
            for column, value in enumerate(row, 3):
                first.cell(place, column).value = value
            first.cell(place, 9).value = f"=LEN(D{place})"
        first["A9"].number_format = "0"
        book.create_sheet("notes")["A1"] = "done on Monday"

    ids = fill(sheet, {"label": {0: "cat", 3: "dog"}}, edit)
    done = answer_sheet(project, sheet)
    assert (done.recorded, done.blank) == (2, 2)
    assert project.labels() == {ids[0]: "cat", ids[3]: "dog"}
    assert done.note == "read the sheet 'Sheet' of sheet.xlsx, and not 'notes'"


def test_ids_labels_and_people_that_became_numbers(numbered):
    """As a person or a program without formats of cells enters them; the key says which item a row is."""
    project, path, ids, _ = numbered
    fill(
        path,
        {
            "id": {0: 7, 1: 1234567890123450000, 3: True},
            "label": {0: 1, 1: True, 2: "A,B", 3: 1.0, 4: "é"},
            "who": dict.fromkeys(range(5), 7),
        },
    )
    assert answer_sheet(project, path).recorded == 5
    assert project.labels() == dict(zip(ids, ["01", "true", "a,b", "01", "é"], strict=True))
    assert project.status().people == {"007": 5}


def test_a_csv_sheet_that_was_saved_as_a_workbook(tmp_path):
    """The cells keep the quote in front of what would be a formula."""
    (tmp_path / "texts.csv").write_text("id,text\n'=1,one\n'@b,two\n")
    with Project.create(tmp_path / "made", classes=["=a", "-b", "'tis"]) as made:
        made.add(tmp_path / "texts.csv")
        ids = write_sheet(made, tmp_path / "sheet.csv", "+ann", 2, in_order)
        book = openpyxl.Workbook()
        for row in csv.reader(io.StringIO((tmp_path / "sheet.csv").read_text())):
            book.active.append(row)
        book.save(tmp_path / "sheet.xlsx")
        assert fill(tmp_path / "sheet.xlsx", {"label": {0: "'=a", 1: "'-b"}}) == ["'=1", "'@b"]
        assert answer_sheet(made, tmp_path / "sheet.xlsx").recorded == 2
        assert made.labels() == dict(zip(ids, ["=a", "-b"], strict=True))
        assert made.status().people == {"+ann": 2}


def test_a_number_that_may_be_one_of_several_classes(project, sheet):
    """Texts, which is what a person types into these cells, are the classes that they name."""
    project.record_all([Event(kind="class_add", who="a", label=label) for label in ("1", "01", "TRUE", "true")])
    for value in (1, 1.0, True):
        fill(sheet, {"label": {0: value, 1: "01"}})
        with pytest.raises(InvalidInput, match=r"row 2: the label '(1|TRUE)' may be the class"):
            answer_sheet(project, sheet)
    ids = fill(sheet, {"label": {0: "1", 1: "TRUE"}})
    assert answer_sheet(project, sheet).recorded == 2
    assert project.labels() == {ids[0]: "1", ids[1]: "TRUE"}


def test_a_label_in_merged_cells_is_not_read_as_one_row(project, sheet):
    fill(sheet, {"label": {0: "cat"}}, lambda book: book.active.merge_cells("C2:C4"))
    with pytest.raises(InvalidInput, match="row 2: the cells C2:C4 are merged"):
        answer_sheet(project, sheet)
    assert project.labels() == {}


def test_a_title_above_the_names_of_the_columns(project, sheet):
    fill(sheet, {}, lambda book: book.active.insert_rows(1) or book.active.__setitem__("A1", "My labels"))
    with pytest.raises(InvalidInput, match="below other rows; remove the title"):
        answer_sheet(project, sheet)


def test_wrong_cells_record_nothing(project, sheet):
    whole = sheet.read_bytes()
    for answers, message in [
        ({"label": {0: "cat", 1: "=A1"}}, "row 3: the cell C3 holds a formula; copy the column and paste it as values"),
        ({"label": {0: "cat", 1: "catt"}}, r"row 3: the project has no class 'catt'; did you mean 'cat'\?"),
        ({"label": {0: "cat"}, "key": {1: "x"}}, "row 3: .* do not belong together"),
        ({"key": {-1: "keys"}}, "lacks columns of a sheet"),
    ]:
        sheet.write_bytes(whole)
        fill(sheet, answers)
        with pytest.raises(InvalidInput, match=f"sheet.xlsx.*{message}"):
            answer_sheet(project, sheet)
    assert project.labels() == {}
    sheet.write_bytes(whole[:3000])
    with pytest.raises(InvalidInput, match=r"sheet\.xlsx is no workbook"):
        answer_sheet(project, sheet)


# --------------------------------------------------------------------------------------------------------------- pictures


@pytest.fixture
def images(tmp_path):
    """A project of images of several sizes, one of which cannot be read."""
    folder = tmp_path / "images"
    folder.mkdir()
    for name, wide, high in [("a", 800, 400), ("b", 28, 28), ("c", 100, 1000)]:
        red = np.zeros((high, wide, 3), np.uint8)
        red[:, : wide // 2, 0] = 255
        Image.fromarray(red).save(folder / f"{name}.png")
    (folder / "d.png").write_bytes(b"no image")
    with Project.create(tmp_path / "p", classes=["cat", "dog"]) as made:
        made.add(folder)
        yield made


def test_a_picture_of_each_image_in_its_row(images, tmp_path):
    path = tmp_path / "x.xlsx"
    assert write_sheet(images, path, "anna", 4, in_order) == ["a.png", "b.png", "c.png", "d.png"]
    sheet = openpyxl.load_workbook(path).active
    assert [cell.value for cell in sheet[1]] == ["id", "file", "picture", "label", "answer", "who", "key"]
    pictures = {picture.anchor._from.row: picture for picture in sheet._images}
    sizes = {row: (picture.width, picture.height, picture.format) for row, picture in pictures.items()}
    assert sizes == {1: (160, 80, "jpeg"), 2: (28, 28, "png"), 3: (16, 160, "jpeg")}
    for row, picture in pictures.items():
        start, end = picture.anchor._from, picture.anchor.to
        assert (start.col, start.row, end.col, end.row) == (2, row, 2, row)  # within the cell, so it is sorted with it
        assert picture.anchor.editAs == "twoCell"
        pixels = ((end.colOff - start.colOff) / 9525, (end.rowOff - start.rowOff) / 9525)
        assert pixels == (picture.width, picture.height)
        assert sheet.row_dimensions[row + 1].height >= end.rowOff / 12_700  # in points
        assert sheet.column_dimensions["C"].width * 7 >= end.colOff / 9525
        seen = np.asarray(Image.open(io.BytesIO(picture._data())).convert("RGB"))
        assert abs(seen[5, 2].astype(int) - [255, 0, 0]).max() < 8
        assert seen[5, -2].max() < 8
    assert sheet["C5"].value.startswith("no picture: d.png: cannot be read as an image")
    fill(path, {"label": {0: "cat", 3: "dog"}})  # which writes the pictures anew
    assert answer_sheet(images, path).recorded == 2
    assert images.labels() == {"a.png": "cat", "d.png": "dog"}


def test_the_size_of_all_pictures_is_bounded(images, tmp_path, monkeypatch):
    monkeypatch.setattr(workbook_sheets, "_MOST_BYTES", 1 << 10)
    with pytest.raises(InvalidInput, match=r"of 4 images take more than 0 MiB; ask for fewer items, or write \.csv"):
        write_sheet(images, tmp_path / "x.xlsx", "anna", 4, in_order)
    assert images.leased("anna") == []
    assert not (tmp_path / "x.xlsx").exists()


def test_names_that_are_not_utf8(images, tmp_path):
    folder = tmp_path / "other"
    folder.mkdir()
    try:
        Image.new("L", (8, 8)).save(folder / "\udcff.png")
    except OSError:
        pytest.skip("the file system refuses these names")
    with Project.create(tmp_path / "q") as made:
        made.add(folder)
        with pytest.raises(InvalidInput, match=r"holds bytes that are not UTF-8, which x.xlsx cannot hold; write .csv"):
            write_sheet(made, tmp_path / "x.xlsx", "anna", 1, in_order)
        assert write_sheet(made, tmp_path / "x.csv", "anna", 1, in_order) == ["\udcff.png"]


def test_without_openpyxl_no_item_is_handed_out(project, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "openpyxl", None)
    with pytest.raises(MissingPackage, match=r'writing x.xlsx needs openpyxl.*pip install "distil\[excel\]"'):
        write_sheet(project, tmp_path / "x.xlsx", "anna", 1, random_order())
    assert project.leased("anna") == []
