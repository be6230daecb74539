"""Sheets: filled in by parts, answered twice, opened in spreadsheets."""

import csv
import errno
import json
from contextlib import contextmanager

import pytest

from distil.errors import InvalidInput
from distil.labeling import sheets
from distil.labeling.events import Event
from distil.labeling.exchange import import_labels
from distil.labeling.handing_out import random_order
from distil.labeling.project import Project
from distil.labeling.sheets import answer_sheet, write_sheet


@pytest.fixture
def sheet(project, tmp_path):
    path = tmp_path / "sheet.csv"
    write_sheet(project, path, "anna", 4, random_order())
    return path


def fill(path, answers):
    """Write cells into rows of a sheet by number: {row: {column: text}}."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row, cells in answers.items():
        rows[row] |= cells
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return [row["id"] for row in rows]


def test_a_sheet_that_is_given_to_import(project, sheet):
    fill(sheet, {0: {"label": "cat"}})
    with pytest.raises(InvalidInput, match="is a sheet of `distil next`; record it with `distil answer`"):
        import_labels(project, sheet)


def test_a_sheet_is_filled_in_by_parts(project, sheet):
    ids = fill(sheet, {0: {"label": "cat"}, 1: {"answer": "skip"}})
    assert project.leased("anna") == sorted(ids)
    done = answer_sheet(project, sheet)
    assert (done.recorded, done.duplicates, done.blank, done.changed) == (2, 0, 2, ())
    assert project.leased("anna") == sorted(ids[2:])
    fill(sheet, {2: {"label": "dog", "answer": "FLAG"}, 3: {"answer": "unsure"}})
    done = answer_sheet(project, sheet)
    assert (done.recorded, done.duplicates, done.blank, done.changed) == (2, 2, 0, ())
    done = answer_sheet(project, sheet)
    assert (done.recorded, done.duplicates, done.blank, done.changed) == (0, 4, 0, ())
    answers = {item: project.state().answers[item, "anna"] for item in ids}
    assert [answers[item][:2] for item in ids] == [("label", "cat"), ("skip", None), ("label", "dog"), ("unsure", None)]
    assert [answers[item].flagged for item in ids] == [False, False, True, False]
    assert project.leased("anna") == []


def test_a_row_that_occurs_twice_counts_once(project, sheet):
    ids = fill(sheet, {0: {"label": "cat"}, 1: {"answer": "flag"}, 3: {"label": "dog"}})
    lines = sheet.read_text().splitlines()
    blank = lines[4].replace("dog", "")  # of a row that is filled in elsewhere
    sheet.write_text("\n".join([lines[0], blank, *lines[1:], *lines[1:4], blank]) + "\n")
    done = answer_sheet(project, sheet)
    assert (done.recorded, done.duplicates, done.blank, done.changed, done.repeated) == (3, 0, 1, (), 5)
    assert project.labels() == {ids[0]: "cat", ids[3]: "dog"}
    done = answer_sheet(project, sheet)
    assert (done.recorded, done.duplicates, done.blank, done.changed, done.repeated) == (0, 3, 1, (), 5)


def test_an_answer_that_was_changed_later_is_kept_and_named(project, sheet):
    ids = fill(sheet, {0: {"label": "cat"}})
    answer_sheet(project, sheet)
    fill(sheet, {0: {"label": "dog"}, 1: {"label": "dog"}})
    done = answer_sheet(project, sheet)
    assert (done.recorded, done.changed) == (1, (ids[0],))
    assert project.labels() == {ids[0]: "cat", ids[1]: "dog"}


def test_a_repeated_sheet_brings_back_nothing_that_was_withdrawn(project, sheet, say):
    ids = fill(sheet, {0: {"label": "cat"}})
    answer_sheet(project, sheet)
    say("ben", "withdraw", ids[0], of="anna")
    assert answer_sheet(project, sheet).duplicates == 1
    assert project.labels() == {}


def test_wrong_rows_record_nothing(project, sheet, tmp_path, texts):
    ids = fill(sheet, {0: {"label": "cat"}})
    text = sheet.read_text()
    keys = [row["key"] for row in csv.DictReader(text.splitlines())]
    for cells, message in [
        ({"label": "catt"}, r"the project has no class 'catt'; did you mean 'cat'\?"),
        ({"label": "cat", "answer": "skip"}, "keep one of them"),
        ({"answer": "skipp"}, "did you mean 'skip'"),
        ({"id": ids[2], "label": "cat"}, "do not belong together"),
        ({"key": "x", "label": "cat"}, "do not belong together"),
        ({"label": "cat", "who": ""}, "the column who is blank; fill in the name of the person who answered"),
        ({"id": ids[0], "key": keys[0], "label": "dog"}, f"an earlier row gives '{ids[0]}' another answer"),
    ]:
        sheet.write_text(text)
        fill(sheet, {1: cells})
        with pytest.raises(InvalidInput, match=f"sheet.csv, line 3.*{message}"):
            answer_sheet(project, sheet)
    assert project.labels() == {}
    sheet.write_text("id,label\n0,cat\n")
    with pytest.raises(InvalidInput, match="lacks columns of a sheet"):
        answer_sheet(project, sheet)
    with Project.create(tmp_path / "other", classes=["cat"]) as other:
        other.add(texts)
        sheet.write_text(text)
        with pytest.raises(InvalidInput, match="do not belong together in this project"):
            answer_sheet(other, sheet)


def test_new_classes(project, sheet):
    fill(sheet, {0: {"label": "cow"}, 1: {"label": "cow"}, 2: {"label": " cat "}})
    assert answer_sheet(project, sheet, new_classes=True).recorded == 3
    assert project.classes == ["cat", "dog", "cow"]
    assert sorted(project.labels().values()) == ["cat", "cow", "cow"]


def test_a_sheet_as_spreadsheets_save_it(project, sheet):
    """With a mark of the encoding, semicolons, and rows in another order."""
    ids = fill(sheet, {0: {"label": "cat"}, 3: {"label": "dog"}})
    with sheet.open(newline="") as file:
        rows = list(csv.DictReader(file))
    with sheet.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, rows[0], delimiter=";", lineterminator="\r\n")
        writer.writeheader()
        writer.writerows(rows[::-1])
    assert answer_sheet(project, sheet).recorded == 2
    assert project.labels() == {ids[0]: "cat", ids[3]: "dog"}


def test_what_a_sheet_gets(project, tmp_path):
    project.queue(["7", "3"])
    assert write_sheet(project, tmp_path / "a.csv", "anna", 3, random_order())[:2] == ["7", "3"]
    write_sheet(project, tmp_path / "b.csv", "ben", 100, random_order())
    assert len(project.leased("ben")) == 7
    with pytest.raises(InvalidInput, match="there is no item to hand out to carl"):
        write_sheet(project, tmp_path / "c.csv", "carl", 1, random_order())
    with pytest.raises(InvalidInput, match="exists, and may hold answers"):
        write_sheet(project, tmp_path / "a.csv", "anna", 1, random_order())
    project.release(["7"], "anna")
    with pytest.raises(FileExistsError):
        write_sheet(project, tmp_path / "a.csv" / "x.csv", "anna", 1, random_order())
    assert "7" in project.open_items("carl")  # not with anna, who has no sheet of it


def test_of_a_sheet_that_cannot_be_recorded_nothing_is_left(project, tmp_path, monkeypatch):
    """On a full disk nothing can be taken back either, so the sheet is written before the items are with the person."""
    before = project.state()
    with monkeypatch.context() as patch:
        patch.setattr(sheets, "write_records", lambda *_: full())
        with pytest.raises(OSError, match="No space left"):
            write_sheet(project, tmp_path / "a.csv", "anna", 3, random_order())
    real = project.together

    @contextmanager
    def full_at_the_end():
        with real() as block:
            yield block
            assert (tmp_path / "a.csv").exists()
            full()

    with monkeypatch.context() as patch:
        patch.setattr(project, "together", full_at_the_end)
        with pytest.raises(OSError, match="No space left"):
            write_sheet(project, tmp_path / "a.csv", "anna", 3, random_order())
    assert (project.leases(), project.state()) == ([], before)
    assert not (tmp_path / "a.csv").exists()
    assert len(write_sheet(project, tmp_path / "a.csv", "anna", 3, random_order())) == 3


def test_a_sheet_whose_items_are_handed_out_stays_after_an_interrupt(project, tmp_path, monkeypatch):
    real = project.together

    @contextmanager
    def interrupted():
        with real() as block:
            yield block
        raise KeyboardInterrupt

    monkeypatch.setattr(project, "together", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_sheet(project, tmp_path / "a.csv", "anna", 3, random_order())
    with (tmp_path / "a.csv").open(newline="") as file:
        assert sorted(row["id"] for row in csv.DictReader(file)) == sorted(project.leased("anna"))


def full():
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_tie_goes_to_one_more_person(project, tmp_path, say):
    for item in ("2", "5"):
        say("anna", "label", item, "cat")
        say("ben", "label", item, "dog")
    say("anna", "label", "3", "cat")
    assert set(write_sheet(project, tmp_path / "carl.csv", "carl", 5, random_order(), ties=True)) == {"2", "5"}
    for who in ("anna", "dora"):  # who answered them, and who comes after carl
        with pytest.raises(InvalidInput, match=f"there is no item whose labels tie to hand out to {who}"):
            write_sheet(project, tmp_path / "x.csv", who, 5, random_order(), ties=True)
    fill(tmp_path / "carl.csv", {0: {"label": "dog"}, 1: {"label": "dog"}})
    answer_sheet(project, tmp_path / "carl.csv")
    assert project.labels() == {"2": "dog", "3": "cat", "5": "dog"}


def test_random_order_does_not_depend_on_the_other_items():
    ids = [str(n) for n in range(100)]
    assert list(random_order(1)(ids)) == list(random_order(1)(ids[::-1])) != list(random_order(2)(ids))
    assert [i for i in random_order(1)([*ids, "new"]) if i != "new"] == list(random_order(1)(ids))


def in_excel(rows, encoding, delimiter):
    """Rows as Excel saves them: quotes only where needed, CRLF, blank rows at the end."""
    text = "".join(delimiter.join(f'"{c}"' if delimiter in c else c for c in row) + "\r\n" for row in rows)
    return (text + delimiter * (len(rows[0]) - 1) + "\r\n").encode(encoding)


@pytest.mark.parametrize(("encoding", "delimiter"), [("utf-16", "\t"), ("utf-8-sig", ";"), ("cp1252", ",")])
def test_a_sheet_whose_ids_and_labels_a_spreadsheet_changed(tmp_path, encoding, delimiter):
    """What it makes of a name of digits, of true and of 01 is unambiguous, because the key says which item a row is."""
    ids = {
        "00012": "12",
        "1234567890123456": "1.23457E+15",
        "9007199254740993": "9007199254740990",
        "1.50": "1.5",
        "+4930123": "4930123",
        "true": "TRUE",
        "ä": "ä",
    }
    (tmp_path / "texts.csv").write_text(
        "id,text\n" + "".join(f"{name},text {name}\n" for name in ids), encoding="utf-8"
    )
    labels = {
        "00012": ("true", "TRUE"),
        "1234567890123456": ("false", "FALSE"),
        "9007199254740993": ("01", "1"),
        "ä": ("é", "É"),
    }
    with Project.create(tmp_path / "p", classes=["true", "false", "01", "é"]) as project:
        project.add(tmp_path / "texts.csv")
        path = tmp_path / "sheet.csv"
        write_sheet(project, path, "anna", 9, random_order())
        with path.open(newline="", encoding="utf-8") as file:
            head, *rows = csv.reader(file)
        for row in rows:
            cells = dict(zip(head, row, strict=True))
            cells |= {"id": ids[cells["id"]], "label": labels.get(cells["id"], ("", ""))[1]}
            row[:] = cells.values()
        path.write_bytes(in_excel([head, *rows], encoding, delimiter))
        done = answer_sheet(project, path)
        assert (done.recorded, done.blank) == (4, 3)
        assert project.labels() == {name: meant for name, (meant, _) in labels.items()}


def test_a_spreadsheet_does_not_make_another_person(project, tmp_path):
    """A name of digits loses its zeros, and the answers and items stay with the person, also when the sheet is read again."""
    path = tmp_path / "sheet.csv"
    write_sheet(project, path, "007", 3, random_order())
    fill(path, {row: {"who": "7"} for row in range(3)} | {0: {"who": "7", "label": "cat"}})
    assert answer_sheet(project, path).recorded == 1
    assert project.status().people == {"007": 1}
    assert {who for _, who in project.leases()} == {"007"}
    fill(path, {1: {"label": "dog"}, 2: {"label": "dog"}})
    done = answer_sheet(project, path)
    assert (done.recorded, done.duplicates, done.changed, project.leases()) == (2, 1, (), [])


def test_rows_that_a_spreadsheet_changed_beyond_recognition_are_all_named(tmp_path):
    names = ["1-2", "7", "007", *map(str, range(100, 112))]
    (tmp_path / "texts.csv").write_text("id,text\n" + "".join(f"{name},text\n" for name in names))
    with Project.create(tmp_path / "p", classes=["3-4", "A", "a"]) as project:
        project.add(tmp_path / "texts.csv")
        path = tmp_path / "sheet.csv"
        given = write_sheet(project, path, "anna", 15, lambda ids: ids)
        assert given[:3] == names[:3]
        text = path.read_text()
        fill(path, {0: {"id": "02. Jan"}, 2: {"id": "7", "label": "a"}, 4: {"label": "04. Mrz"}})
        with pytest.raises(InvalidInput) as error:
            answer_sheet(project, path)
        lines = str(error.value).split("\n")
        assert [line.partition(": ")[0].rpartition(", ")[2] for line in lines] == ["line 2", "line 4", "line 6"]
        assert "the id '7' may be the item '7' or '007'" in lines[1]  # the texts are equal too
        assert "the project has no class '04. Mrz'" in lines[2]
        path.write_text(text)
        fill(path, {row: {"label": "x"} for row in range(15)})
        with pytest.raises(InvalidInput, match=r"line 11: .*\n\.\.\. and 5 more rows$"):
            answer_sheet(project, path)
        assert project.labels() == {}


def test_an_id_that_a_spreadsheet_turned_into_that_of_another_item(tmp_path):
    """The text of the row says which item it is."""
    (tmp_path / "texts.csv").write_text("id,text\n1,one\n001,two\n01,one\n")
    with Project.create(tmp_path / "p", classes=["a", "b"]) as project:
        project.add(tmp_path / "texts.csv")
        path = tmp_path / "sheet.csv"
        write_sheet(project, path, "anna", 3, lambda ids: ids)
        text = path.read_text()
        fill(path, {0: {"label": "a"}, 1: {"id": "1", "label": "b"}})
        assert answer_sheet(project, path).recorded == 2
        assert project.labels() == {"1": "a", "001": "b"}
        for row, cells in ((2, {"id": "1"}), (1, {"id": "1", "text": "one"}), (1, {"id": "1", "text": "three"})):
            path.write_text(text)
            fill(path, {row: cells | {"label": "b"}})
            with pytest.raises(
                InvalidInput, match=r"the id '1' may be the item '1' or '0.*1': write that as its id, as text"
            ):
                answer_sheet(project, path)


def test_a_label_that_may_be_of_several_classes_after_a_spreadsheet(tmp_path, texts):
    """In csv, 1 may have been 01; a label that no spreadsheet writes shows that none did, and workbooks keep what is typed."""
    for classes, doubtful in (
        (["1", "01"], "1"),
        (["01", "1.0"], "1"),
        (["TRUE", "true"], "TRUE"),
        (["1,5", "1,50"], "1,5"),
    ):
        with Project.create(tmp_path / f"p{classes[0]}", classes=["cat", *classes]) as project:
            project.add(texts)
            path = tmp_path / f"{classes[0]}.csv"
            write_sheet(project, path, "anna", 3, random_order())
            fill(path, {0: {"label": "cat"}, 1: {"label": doubtful}})
            with pytest.raises(
                InvalidInput, match=f"line 3: the label '{doubtful}' may be the class '.*' or '.*workbook"
            ):
                answer_sheet(project, path)
            assert project.labels() == {}
            fill(path, {1: {"label": ""}})
            assert answer_sheet(project, path).recorded == 1
            if doubtful in classes:
                other = next(name for name in classes if name != doubtful)
                ids = fill(path, {1: {"label": doubtful}, 2: {"label": other}})
                assert answer_sheet(project, path).recorded == 2
                assert [project.labels()[item] for item in ids] == ["cat", doubtful, other]


def test_a_title_above_the_names_of_the_columns(project, sheet):
    for title in ("My labels\n", "My labels,,,,,\n\n", "My labels,of,this,week,are,done\n"):
        whole = sheet.read_text()
        sheet.write_text(title + whole)
        with pytest.raises(InvalidInput, match=r"remove (any|the) title"):
            answer_sheet(project, sheet)
        sheet.write_text(whole)


def test_a_workbook_is_refused_in_words(project, sheet):
    book = sheet.with_suffix(".ods")
    book.write_bytes(b"PK\x03\x04 [Content_Types].xml")
    with pytest.raises(InvalidInput, match=r"is a workbook or another zip archive; save its sheet as CSV \(UTF-8\)"):
        answer_sheet(project, book)


def test_classes_whose_names_differ_by_a_zero_behind_the_point(project, sheet):
    project.record_all([Event(kind="class_add", who="anna", label=label) for label in ("1", "1.0")])
    ids = fill(sheet, {0: {"label": "1"}, 1: {"label": "1.0"}, 2: {"label": " 1.0 "}})
    answer_sheet(project, sheet)
    assert [project.labels()[item] for item in ids[:3]] == ["1", "1.0", "1.0"]


def test_a_sheet_of_long_texts_can_be_answered(tmp_path):
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps({"id": i, "text": i * 150_000}) + "\n" for i in "ab"))
    with Project.create(tmp_path / "p", classes=["cat"]) as project:
        project.add(tmp_path / "texts.jsonl")
        path = tmp_path / "long.csv"
        write_sheet(project, path, "anna", 2, random_order())
        ids = fill(path, {0: {"label": "cat"}})
        assert answer_sheet(project, path).recorded == 1
        assert project.labels() == {ids[0]: "cat"}


def test_a_sheet_of_a_project_without_items(tmp_path):
    with Project.create(tmp_path / "p") as project, pytest.raises(InvalidInput, match="has no items yet; add some"):
        write_sheet(project, tmp_path / "sheet.csv", "anna", 2, random_order())
