"""``distil project``, ``distil next`` and ``distil answer``: a project from an empty folder to exported labels, without a page."""

from __future__ import annotations

import csv
import inspect
import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from distil.cli import main
from distil.cli.commands import documented
from distil.cli.project import COMMANDS
from distil.labeling.events import Event, Shown
from distil.labeling.project import Project


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOGNAME", "anna")
    (tmp_path / "texts.csv").write_text("id,text\n" + "".join(f"t{n},text {n}\n" for n in range(6)))
    return tmp_path


@pytest.fixture
def ok(capsys):
    """``ok(*words)``: run a command that succeeds; its output."""

    def run(*words):
        code = main(list(words))
        out, err = capsys.readouterr()
        assert code == 0, err
        return out + err

    return run


@pytest.fixture
def project(here, ok):
    ok("project", "create", "p", "--classes", "cat,dog")
    ok("project", "add", "p", "texts.csv")
    return here / "p"


def fill(sheet, answers):
    with open(sheet, newline="") as file:
        rows = list(csv.DictReader(file))
    for row, label in zip(rows, answers, strict=False):
        row["label"] = label
    with open(sheet, "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return [row["id"] for row in rows]


def test_from_a_table_to_labels(project, ok):
    assert ok("next", "p", "--n", "4", "--out", "s.csv") == "4 items for anna in s.csv; then: distil answer p s.csv\n"
    ids = fill("s.csv", ["cat", "dog", "cat"])
    assert ok("answer", "p", "s.csv") == "3 rows recorded, 0 before, 1 blank\n"
    assert ok("answer", "p", "s.csv") == "0 rows recorded, 3 before, 1 blank\n"
    fill("s.csv", ["dog"])
    said = "1 rows were answered before, differently or by another person, and the first answer was kept"
    assert said in ok("answer", "p", "s.csv")
    assert ok("project", "export", "p", "labels.csv") == "3 labels in labels.csv\n"
    with open("labels.csv", newline="") as file:
        found = {row["id"]: row["label"] for row in csv.DictReader(file)}
    assert found == dict(zip(ids, ["cat", "dog", "cat"], strict=False))
    ok("project", "create", "again")
    ok("project", "add", "again", "texts.csv")
    assert "note: new classes: " in ok("project", "import", "again", "labels.csv")
    with Project.open("again") as other:
        assert other.labels() == found


def test_from_a_workbook_to_labels_in_workbooks(here, ok, capsys):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in [["id", "text"], ["007", "one text"], [8, "=1+1"], ["1-2", "another"], [None, None]]:
        book.active.append(row)
    book.active["B3"].data_type = "s"
    book.create_sheet("about")
    book.save("texts.xlsx")
    ok("project", "create", "p", "--classes", "01,b")
    assert "note: read the sheet 'Sheet' of texts.xlsx, and not 'about'" in ok("project", "add", "p", "texts.xlsx")
    assert (
        ok("next", "p", "--n", "3", "--out", "s.xlsx") == "3 items for anna in s.xlsx; then: distil answer p s.xlsx\n"
    )
    book = openpyxl.load_workbook("s.xlsx")
    labels = {"007": "b", "8": 1}  # a number for 01
    for name, text, label, *_ in book.active.iter_rows(min_row=2):
        assert text.value == {"007": "one text", "8": "=1+1", "1-2": "another"}[name.value]
        label.value = labels.get(name.value)
    book.create_sheet("notes", 0)
    book.save("s.xlsx")
    assert main(["answer", "p", "s.xlsx"]) == 2
    assert "(it has none; read the sheet 'notes' of s.xlsx, and not 'Sheet')" in capsys.readouterr().err
    book.move_sheet("notes", 1)
    book.save("s.xlsx")
    assert json.loads(ok("answer", "p", "s.xlsx", "--json")) == {
        **dict.fromkeys(("duplicates", "repeated"), 0),
        **{"recorded": 2, "blank": 1, "changed": [], "note": "read the sheet 'Sheet' of s.xlsx, and not 'notes'"},
    }
    assert ok("answer", "p", "s.xlsx") == (
        "0 rows recorded, 2 before, 1 blank\nnote: read the sheet 'Sheet' of s.xlsx, and not 'notes'\n"
    )
    with Project.open("p") as opened:
        assert opened.labels() == {"007": "b", "8": "01"}


def test_status(project, ok):
    ok("next", "p", "--n", "6", "--out", "a.csv", "--who", "anna")
    fill("a.csv", ["cat", "cat"])
    ok("answer", "p", "a.csv")
    assert ok("project", "status", "p").splitlines() == [
        "2 of 6 items have a label",
        "  4 handed out and not answered",
        "classes: cat 2, dog 0",
        "people: anna 2",
    ]
    assert json.loads(ok("project", "status", "p", "--json"))["classes"] == {"cat": 2, "dog": 0}


def test_status_of_the_model_and_its_guesses(project, ok):
    """Six random items whose guess was shown or withheld, 2 seconds apart: what was right, how fast, and what guesses change."""
    with Project.open("p") as opened:
        for n, label in enumerate(["cat", "cat", "cat", "cat", "dog", "dog"]):
            shown = Shown(guess="cat", p=0.9, withheld=n % 2 > 0, reason="random")
            opened.record([Event(kind="label", who="anna", item=f"t{n}", label=label, ms=1900, shown=shown)])
        opened._store.rows("UPDATE event SET at = 2 * seq")
    assert ok("project", "status", "p").splitlines() == [
        "6 of 6 items have a label",
        "classes: cat 4, dog 2",
        "people: anna 6",
        "anna: 1,800 answers an hour, 1.9 s at the median",
        "the model guessed 66.7% (30.0% to 90.3%) of the last 6 random items right",
        "seeing a guess changes how often it is accepted by +0.0 points (-53.3 to +53.3)",
    ]
    found = json.loads(ok("project", "status", "p", "--json"))["progress"]
    assert [*found] == ["classes", "people", "agreement", "alpha", "curve", "accuracy", "outlook", "guesses"]
    assert found["people"] == [{"who": "anna", "answers": 6, "per_hour": 1800, "median_ms": 1900}]
    assert found["guesses"]["shown"] == {"n": 3, "accepted": 2, "median_ms": 1900}
    assert [*found["curve"][0]] == ["labels", "n", "accuracy", "low", "high"]


def test_sheets_measure_the_accuracy_too(project, ok):
    """The guess for a random item is kept in the project, and goes into the record with the answer; the sheet does not hold it."""
    ok("next", "p", "--n", "2", "--out", "a.csv")
    fill("a.csv", ["cat", "dog"])
    ok("answer", "p", "a.csv")
    ok("next", "p", "--n", "3", "--out", "b.csv", "--random-share", "1")
    ids = fill("b.csv", ["cat", "dog"])
    with open("b.csv", newline="") as file:
        assert [*csv.DictReader(file).fieldnames] == ["id", "text", "label", "answer", "who", "key"]
    ok("answer", "p", "b.csv")
    with Project.open("p") as opened:
        kept = {each.event.item: each.event.shown for each in opened.events() if each.event.kind == "label"}
    assert all(kept[item].withheld and kept[item].reason == "random" for item in ids[:2])
    assert all(kept[item].guess in ("cat", "dog") and 0.5 <= kept[item].p <= 1 for item in ids[:2])
    found = json.loads(ok("project", "status", "p", "--json"))["progress"]
    drawn = sum(shown.reason == "random" for shown in kept.values())  # also before there was a model that guessed
    assert (found["accuracy"]["n"], found["curve"][0]["n"], found["guesses"]) == (drawn, 2, None)
    right = sum(kept[item].guess == label for item, label in zip(ids, ("cat", "dog"), strict=False))
    assert found["curve"][0]["accuracy"] == right / 2
    assert "of all items are right if the model labels the rest now" in ok("project", "status", "p")
    for path in (project / "sheets").iterdir():
        path.write_text("damaged")
    fill("b.csv", ["cat", "dog", "cat"])
    assert ok("answer", "p", "b.csv") == "1 row recorded, 2 before, 0 blank\n"


def test_a_sheet_in_random_order_is_a_random_sample(project, ok):
    """Its answers say so in the record, apart from those to queued items."""
    with Project.open("p") as opened:
        opened.queue(["t3"])
    ok("next", "p", "--n", "4", "--out", "a.csv", "--strategy", "random_sampling")
    assert fill("a.csv", ["cat", "dog", "cat"])[0] == "t3"
    ok("answer", "p", "a.csv")
    with Project.open("p") as opened:
        shown = [each.event.shown for each in opened.events() if each.event.kind == "label"]
    assert shown == [None, Shown(reason="random"), Shown(reason="random")]
    ok("next", "p", "--n", "1", "--out", "b.csv", "--random-share", "0")  # fits a model
    assert json.loads(ok("project", "status", "p", "--json"))["progress"]["accuracy"]["n"] == 2


def test_a_misspelled_strategy_is_refused_before_any_work(project, capsys):
    for more in ([], ["--ties"], ["--suspects"]):
        assert main(["next", "p", "--n", "4", "--out", "a.csv", "--strategy", "random_samplng", *more]) == 2
        assert "'random_samplng'; did you mean 'random_sampling'?" in capsys.readouterr().err
    assert not list(project.parent.glob("a.csv*"))


def test_names_that_a_spreadsheet_saves_alike_are_said_with_a_sheet(project, ok):
    random = ("--strategy", "random_sampling")
    ok("project", "classes", "p", "--add", "01,1,2")
    said = (
        "a spreadsheet program saves the classes '01' and '1' alike in a .csv file; a workbook keeps them apart (--out"
    )
    assert said in ok("next", "p", "--n", "1", "--out", "a.csv", *random)
    assert "alike" not in ok("next", "p", "--n", "1", "--out", "a.xlsx", *random)
    Path("more.csv").write_text("id,text\n7,a\n007,b\n")
    ok("project", "create", "q", "--classes", "1,2")
    ok("project", "add", "q", "more.csv")
    assert "saves the ids '" in ok("next", "q", "--n", "2", "--out", "b.csv", *random)


def test_renamed_items_keep_their_answers_on_request(here, ok):
    Path("texts.csv").write_text("id,text\na,one\nb,two\nc,three\n")
    ok("project", "create", "p", "--classes", "cat,dog")
    ok("project", "add", "p", "texts.csv")
    Path("labels.csv").write_text("id,label\na,cat\nb,dog\n")
    ok("project", "import", "p", "labels.csv")
    Path("texts.csv").write_text("id,text\nA,one\nb,two\nC,three\n")
    said = "note: 1 item that is gone has answers, and its content is now under another id; the first: 'a' is now 'A'; "
    out = ok("project", "add", "p", "texts.csv")
    assert f"{said}--moved lets the answers follow" in out
    assert "2 new items, 1 as before, 0 changed, 2 gone" in out
    assert f"{said}the answers followed" in ok("project", "add", "p", "texts.csv", "--moved")
    assert "note" not in ok("project", "add", "p", "texts.csv", "--moved")
    with Project.open("p") as opened:
        assert opened.labels() == {"A": "cat", "b": "dog"}


def test_taking_back(project, ok, capsys):
    ok("next", "p", "--n", "4", "--out", "a.csv", "--who", "anna")
    first, second, *_ = fill("a.csv", ["cat", "dog"])
    ok("answer", "p", "a.csv")
    assert ok("project", "withdraw", "p", "--of", "anna", "--unanswered") == "0 answers withdrawn, 2 items taken back\n"
    (project / "ids.txt").write_text(f"{first}\n")
    assert ok("project", "withdraw", "p", "--ids", "p/ids.txt") == "1 answers withdrawn, 0 items taken back\n"
    with Project.open("p") as opened:
        assert opened.labels() == {second: "dog"}
        assert len(opened.open_items("ben")) == 5
    assert ok("project", "withdraw", "p", "--of", "anna") == "1 answers withdrawn, 0 items taken back\n"
    assert main(["project", "withdraw", "p"]) == 2
    assert "say whose answers to take back (--of)" in capsys.readouterr().err


def test_what_an_import_leaves_out(project, ok):
    (project / "x.csv").write_text("id,label\nt0,cat\nt0.0,dog\nnone,cat\n")
    out = ok("project", "import", "p", "p/x.csv")
    assert "1 answers recorded, 0 known before, 0 rows without a label" in out
    assert "note: 2 ids that no item has; the first: t0.0" in out
    (project / "x.csv").write_text("id,label\nt0,dog\n")
    assert "'t0' has 'cat', the row says 'dog'" in ok("project", "import", "p", "p/x.csv")


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["project", "status", "none"], 1, "none is not a project"),
        (["project", "create", "p"], 1, "p exists; expected a new or empty folder"),
        (["project", "add", "p", "none"], 2, "there is no file or folder"),
        (["project", "export", "p", "x.csv", "--format", "coca"], 2, "did you mean 'coco'"),
        (["project", "sttus", "p"], 2, "No such command 'sttus'"),
        (["next", "p", "--n", "0", "--out", "s.csv"], 2, "n must be a whole number from 1 on"),
        (["next", "p", "--n", "2", "--out", "s.ods"], 2, "ends in .csv or .xlsx"),
        (["answer", "p", "texts.csv"], 2, "lacks columns of a sheet"),
    ],
)
def test_one_line_for_what_is_wrong(project, capsys, words, code, message):
    assert main(words) == code
    err = capsys.readouterr().err
    assert message in err
    assert err.startswith("distil: ")
    assert "Traceback" not in err


def test_no_writing_while_a_server_holds_the_project(project, capsys):
    with Project.open("p") as held, held.only_writer():
        assert main(["project", "add", "p", "texts.csv"]) == 1
    assert "is in use by another process" in capsys.readouterr().err


def test_every_argument_has_its_help(ok):
    for name, (function, _) in COMMANDS.items():
        description, helps = documented(function)
        assert [*helps] == [*inspect.signature(function).parameters]
        assert description.split("\n")[0].endswith(".")
        assert name in ok("project", name, "--help")


def test_suspects_and_what_to_look_at_again(here, ok, capsys):
    digits = load_digits()
    np.save(here / "digits.npy", digits.data[:100].astype(np.float32))
    wrong = {str(n): str((d + 1) % 10) for n, d in enumerate(digits.target[:5])}
    with Project.create(here / "d", classes=[str(d) for d in range(10)]) as made:
        made.add(here / "digits.npy")
        labels = {**{str(n): str(d) for n, d in enumerate(digits.target[:90])}, **wrong}
        made.record_all([Event(kind="label", who="ben", item=item, label=d) for item, d in labels.items()])
    assert "suspects" not in ok("project", "status", "d")
    said = ok("project", "suspects", "d", "--out", "suspects.csv")
    assert "of 90 labels are suspect: " in said
    with open("suspects.csv", newline="") as file:
        found = {row["item"]: row for row in csv.DictReader(file)}
    assert len({*wrong} & {*found}) >= 3
    assert {row["who"] for row in found.values()} == {"ben"}
    for item in {*wrong} & {*found}:
        assert found[item]["label"] == wrong[item] != found[item]["guess"]
    assert json.loads(ok("project", "suspects", "d", "--json"))["labels"] == 90
    with Project.open(here / "d") as made:  # the page's model judges, and code of the project is not run
        for kept, words in (
            ("pixels", "which pixels cannot embed"),
            ("os:getcwd", "names code as its model, 'os:getcwd'"),
        ):
            made.remember_model({"model": kept})
            for command in (["project", "suspects", "d"], ["next", "d", "--suspects", "--n", "1", "--out", "y.csv"]):
                assert main(command) == 2
                assert words in capsys.readouterr().err
        made.remember_model({})
    assert f"suspects: {len(found)}, when 90 labels were judged" in ok("project", "status", "d")

    assert "items for anna in s.csv" in ok("next", "d", "--suspects", "--n", "50", "--out", "s.csv")
    ids = fill("s.csv", [])
    assert sorted(ids) == sorted(found)
    fill("s.csv", [str(digits.target[int(item)]) for item in ids])
    ok("answer", "d", "s.csv")
    status = json.loads(ok("project", "status", "d", "--json"))
    assert status["tied"] >= 3
    assert status["quality"]["suspects"] == [
        item for item in found if str(digits.target[int(item)]) == found[item]["label"]
    ]
    ben = status["quality"]["people"]["ben"]
    assert ben["with_others"]["share"] < 1
    assert ben["with_self"] is None
    (line,) = [each for each in ok("project", "status", "d").splitlines() if each.startswith("ben: ")]
    assert line.startswith("ben: agrees with the others ")
    assert ", quality by CROWDLAB 0." in line

    ok("next", "d", "--relabel", "--n", "12", "--out", "r.csv", "--who", "ben")
    again = fill("r.csv", [])
    assert len(set(again)) == 12
    assert {*map(str, range(90, 100))} & {*again}, "items without a label"
    assert main(["next", "d", "--suspects", "--relabel", "--n", "1", "--out", "x.csv"]) == 2
    assert "ask for one of them" in capsys.readouterr().err
