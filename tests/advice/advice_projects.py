"""Cases of advice for ``test_advice.py``: labeling projects, and experiments whose files, oracle or key changed."""

from __future__ import annotations

import csv
import json
import shutil
from functools import partial
from pathlib import Path
from unittest import mock

import numpy as np
import openpyxl
import pandas as pd
from advice_tables import MINE, TEST, X, text
from torch import nn

import distil
from distil.cli.next import next_
from distil.cli.project_classes import classes as project_classes
from distil.cli.resume import resume
from distil.labeling import workbook_sheets
from distil.labeling.events import Event
from distil.labeling.exchange import export_labels
from distil.labeling.learning import ProjectLearner
from distil.labeling.project import Project
from distil.system.files import data_folder

TEXTS = "id,text\n" + "".join(f"{row},some words {row}\n" for row in range(12))


def project(name, *sources, classes=("a", "b"), said=()):
    """Make a project of these sources anew, in which people said these things."""
    shutil.rmtree(name, ignore_errors=True)
    with Project.create(name, classes=list(classes)) as made:
        for source in sources:
            made.add(source)
        made.record_all([Event(**each) for each in said])
    return name


def label(item, name, who="ann", **more):
    return {"kind": "label", "who": who, "item": item, "label": name, **more}


def opened(name, use):
    """What a function returns of a project."""
    with Project.open(name) as found:
        return use(found)


def learner(name, model=None, **more):
    """A learner of a project after one fit, and after a class was added where the model is given."""

    def use(found):
        made = found.learner(model, **more)
        if model is not None:
            found.record_all([Event(kind="class_add", who="ann", label="c")])
        made.fit()
        return made.query(1)

    return opened(name, use)


def nameless(names):
    """A learner of a project that is built without the names of the items, or with them."""
    rows = np.ones((12, 2), np.float32)

    def use(found):
        ids = [item.id for item in found.items()] if names else None
        return ProjectLearner(
            found, lambda classes: distil.Learner(rows, nn.Linear(2, 2), "random_sampling", classes=classes, names=ids)
        )

    return opened("labeled", use)


def sheet(name, **cells):
    """Write cells into the rows of a sheet; a cell is a text for the first row, or a list."""
    with Path("sheet.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for column, values in cells.items():
        for row, value in zip(rows, [values] if isinstance(values, str) else values, strict=False):
            row[column] = value
    with Path(name).open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def below(name):
    """Write a sheet below a row with a title."""
    text(name, f"my labels,,,,,\n{Path('sheet.csv').read_text()}")


def handed(name, out, n, **cells):
    """Hand out a sheet of a project, and write these cells into all its rows."""
    next_(name, n, out=out, who="ann", strategy="random_sampling")
    if out.endswith(".csv"):
        pd.read_csv(out, dtype=str).assign(**cells).to_csv(out, index=False)
        return
    book = openpyxl.load_workbook(out)
    columns = {column[0].value: column[1:] for column in book.active.columns}
    for column, value in cells.items():
        for cell in columns[column]:
            cell.value = value
    book.save(out)


def swapped(name):
    """Write a sheet whose column of ids was sorted by itself."""
    with Path("sheet.csv").open(newline="") as file:
        ids = [row["id"] for row in csv.DictReader(file)]
    sheet(name, id=ids[::-1])


def doubled(name, *labels):
    """Write a sheet with the first row once for each of these labels."""
    with Path("sheet.csv").open(newline="") as file:
        first = next(csv.DictReader(file))
    with Path(name).open("w", newline="") as file:
        writer = csv.DictWriter(file, first)
        writer.writeheader()
        writer.writerows({**first, "label": each} for each in labels)


def sources(name, first, then, **options):
    """Add a file to a project, and add it again after it was written anew."""
    project(name, text(f"{name}.csv", first), said=[] if "path" in first else [label("0", "a")])
    text(f"{name}.csv", then)
    return opened(name, lambda found: found.add(f"{name}.csv", **options))


PLAIN = "text\n" + "".join(f"some words {row}\n" for row in range(12))


def ran(output, dataset=MINE, **experiment):
    """Run an experiment of the linear head, on files of this folder."""
    document = {
        "model": {"architecture": "linear_head"},
        "active_learning": {"strategies": ["random_sampling"], "budget": 2, "rounds": 2, "initial_points": 4},
        "dataset": dataset,
        "experiment": {"full_data": False, "seeds": [1], **experiment},
    }
    return distil.run(text("mine.json", json.dumps(document)), output=output)


def changed(restored):
    """Run an experiment, and once more after its labels changed."""
    whole = Path("all.csv").read_text()
    try:
        ran("runs/changed")
        if not restored:
            text("all.csv", whole.replace("0,0\n", "0,1\n", 1))
        ran("runs/changed")
    finally:
        text("all.csv", whole)


def trusted(mode, **more):
    """Go on with an experiment whose code this user named, if others can read the key by which that is known."""
    ran("runs/trusted", **ORACLE)
    key = data_folder() / "key"
    key.chmod(mode)
    try:
        return resume("runs/trusted", **more)
    finally:
        key.chmod(0o600)


def renewed():
    """Remove the key that others could read, begin an experiment, and go on with it."""
    (data_folder() / "key").unlink()
    ran("runs/renewed", **ORACLE)
    return resume("runs/renewed")


ORACLE = {"oracle": "advice_tables:oracle"}
NO_LABELS = {name: value for name, value in TEST.items() if name != "labels"}


def labeled(*more):
    """A project in which two classes have labels."""
    return project("labeled", "listed.csv", classes=["a", "b", *more], said=[label("0", "a"), label("1", "b")])


def undone(key=None):
    """Undo the last event of a project, by a key or by that in its history."""

    def use(found):
        found.record_all([Event(kind="undo", who="ann", target=key or found.history()[0][0].event.key)])

    return opened(labeled(), use)


# Advice in a message; the call that gives it; the call that follows it.
PROJECTS = [
    (
        "add some (distil project classes --add)",
        lambda: learner(project("one_class", "listed.csv", classes=["a"], said=[label("0", "a")])),
        lambda: learner(project("one_class", "listed.csv", classes=["a", "b"], said=[label("0", "a")])),
    ),
    (
        "make the learner anew with a model of that many outputs, or pass a function that builds one",
        lambda: learner(labeled(), nn.Linear(4, 2), data="e12.npy"),
        lambda: (
            learner(labeled(), lambda: nn.Linear(4, 3), data="e12.npy"),
            opened(labeled("c"), lambda found: found.learner(nn.Linear(4, 3), data="e12.npy").fit()),
        ),
    ),
    (
        "pass a row for each of project.items(), in their order, or a file with ids",
        lambda: learner(labeled(), data=X[:3]),
        lambda: (learner(labeled(), data=X[:12]), learner(labeled(), data="with_ids.npz")),
    ),
    (
        "people label them with `distil label` or `distil next`",
        lambda: learner(project("fresh", "listed.csv")),
        lambda: learner(project("fresh", "listed.csv", said=[label("0", "a")])),
    ),
    (
        "pass names=[item.id for item in project.items()]",
        lambda: (labeled(), nameless(False)),
        lambda: nameless(True),
    ),
    *(
        (f"{what}`distil project history` shows the keys", partial(undone, key), undone)
        for what, key in (
            ("dots, colons, dashes and underscores (", "short"),
            ("no event with the key not-there; ", "not-there"),
        )
    ),
    (
        "was used for another event; make a new key for each",
        lambda: project(
            "keys", "listed.csv", said=[label("0", "a", key="one-key-1"), label("1", "a", key="one-key-1")]
        ),
        lambda: project(
            "keys", "listed.csv", said=[label("0", "a", key="one-key-1"), label("1", "a", key="one-key-2")]
        ),
    ),
    (
        "add it under another name",
        lambda: sources("turned", "path\npictures/a.png\npictures/b.png\n", "text\none\ntwo\n"),
        lambda: opened("turned", lambda found: found.add(text("turned2.csv", "id,text\nx,one\ny,two\n"))),
    ),
    (
        "put new rows at the end",
        lambda: sources("moved", PLAIN, PLAIN.replace("text\n", "text\nnew words\n", 1)),
        lambda: sources("moved", PLAIN, f"{PLAIN}new words\n"),
    ),
    (
        "or make a new project and give each row an id that stays with it (the column id)",
        lambda: sources("moved", PLAIN, PLAIN.replace("text\n", "text\nnew words\n", 1)),
        lambda: sources("moved", TEXTS, TEXTS.replace("text\n", "text\nnew,new words\n", 1)),
    ),
    (
        "Restore what has changed, or start a new experiment in another output directory (--output)",
        lambda: changed(restored=False),
        lambda: (changed(restored=True), ran("runs/anew")),
    ),
    (
        "were skipped; begin with another seed",
        lambda: ran("runs/skips", NO_LABELS, seeds=[0], **ORACLE),
        lambda: ran("runs/answers", NO_LABELS, seeds=[1], **ORACLE),
    ),
    (
        "have no label; leave it out (no --ceiling)",
        lambda: ran("runs/top", NO_LABELS, ceiling=True, **ORACLE),
        lambda: ran("runs/top", NO_LABELS, **ORACLE),
    ),
    (
        "go on with: distil resume runs/anew, or choose another output directory",
        lambda: ran("runs/anew", **ORACLE),
        lambda: (resume("runs/anew"), ran("runs/asked", **ORACLE)),
    ),
    (
        "look at it, then pass --trust (trust=True)",
        lambda: trusted(0o644),
        lambda: trusted(0o644, trust=True),
    ),
    ("others can read the key", lambda: trusted(0o644), renewed),
    (
        "ask for fewer items, or write .csv",
        lambda: limited("_MOST_BYTES", 1, lambda: pictures("photos_sheet.xlsx")),
        lambda: pictures("photos_sheet.csv"),
    ),
    (
        "a workbook holds 1 rows; write .csv, .jsonl or .parquet",
        lambda: limited("MOST_ROWS", 1, lambda: export("few", "rows.xlsx")),
        lambda: [export("few", f"rows.{ending}") for ending in ("csv", "jsonl", "parquet")],
    ),
    (
        "and workbooks take at most 32,767 in a cell; write .jsonl or .parquet",
        lambda: export("long", "long.xlsx"),
        lambda: [export("long", f"whole.{ending}") for ending in ("jsonl", "parquet")],
    ),
    (
        "and readers of csv take at most 131,072 in a cell; write .jsonl or .parquet",
        lambda: export("long", "long.csv"),
        lambda: [export("long", f"uncut.{ending}") for ending in ("jsonl", "parquet")],
    ),
    (
        "the files are gone; the first: 'a.png'; put them back",
        lambda: (photos("back"), Path("back_photos").rename("elsewhere"), export("back", "back_out", "huggingface")),
        lambda: (Path("elsewhere").rename("back_photos"), export("back", "back_out", "huggingface")),
    ),
    (
        "add the folder to which they moved, or export to .csv, .jsonl or .parquet",
        lambda: (photos("moves"), Path("moves_photos").rename("there"), export("moves", "moves_out", "huggingface")),
        lambda: (
            export("moves", "moves.csv"),
            opened("moves", lambda found: found.add("there")),
            export("moves", "moves_out", "huggingface"),
        ),
    ),
]


def pictures(out):
    """Write a sheet of one image."""
    next_(project("pictured", "photos"), 1, out=out, who="ann", strategy="random_sampling")


def limited(name, most, write):
    """Write a workbook as if this limit of workbooks were lower."""
    with mock.patch.object(workbook_sheets, name, most):
        write()


def export(name, path, *options):
    """Export the labels of a project."""
    return opened(name, lambda found: export_labels(found, path, *options))


def photos(name):
    """Make a project of a folder with one image, which has a label."""
    Path(f"{name}_photos").mkdir()
    shutil.copy("pictures/a.png", f"{name}_photos")
    project(name, f"{name}_photos", said=[label("a.png", "a")])


def nameless_photo():
    """Add a folder of an image whose name is not UTF-8 to a project."""
    Path("latin").mkdir()
    shutil.copy("pictures/a.png", "latin/\udcff.png")
    project("latin_names", "latin")


def tasks(name, *made):
    return lambda: text(name, json.dumps(made))


TWO = [label(str(row), "ab"[row % 2], key=f"ann-key-{row}") for row in range(6)]
SUSPECTS = ["project", "suspects"]
TASK = {"data": {"id": "3"}, "annotations": [{"result": [{"type": "choices", "value": {"choices": ["a"]}}]}]}
# Advice; the command that gives it; what a person does then; the command that works.
RECORDS = [
    (
        "name it (--model), or name another model",
        [*SUSPECTS, "code"],
        None,
        [*SUSPECTS, "code", "--model", "m:f"],
    ),
    (
        "so there is no model that could judge them; label more items",
        [*SUSPECTS, "few"],
        lambda: project("few", "listed.csv", said=TWO),
        [*SUSPECTS, "few"],
    ),
    (
        "make a project for each kind",
        ["next", "kinds", "--n", "1", "--out", "kinds0.csv"],
        lambda: project("kind", "listed.csv"),
        ["next", "kind", "--n", "1", "--out", "kinds0.csv"],
    ),
    (
        "or choose without a model (--strategy random_sampling)",
        ["next", "kinds", "--n", "1", "--out", "kinds1.csv"],
        None,
        ["next", "kinds", "--n", "1", "--out", "kinds1.csv", "--strategy", "random_sampling"],
    ),
    (
        "which pixels cannot embed; name no model",
        ["next", "numbers", "--n", "1", "--out", "numbers0.csv", "--model", "pixels"],
        None,
        ["next", "numbers", "--n", "1", "--out", "numbers0.csv"],
    ),
    (
        "exists, and may hold decisions; choose another name",
        ["project", "ties", "flagged", "--out", "listed.csv"],
        None,
        ["project", "ties", "flagged", "--out", "ties.csv"],
    ),
    (
        "decide the one that is meant by itself (--item), and take the row out",
        ["project", "decide", "zeros", "decided.csv"],
        None,
        ["project", "decide", "zeros", "--item", "007", "--label", "a"],
    ),
    (
        "export to .csv, .jsonl or .parquet",
        ["project", "export", "few", "few.json", "--format", "coco"],
        None,
        ["project", "export", "few", "few_out.csv"],
    ),
    (
        "expected images only, or none; export to .csv, .jsonl or .parquet",
        ["project", "export", "kinds", "kinds_out", "--format", "huggingface"],
        None,
        ["project", "export", "kinds", "kinds.csv"],
    ),
    (
        "export them from Label Studio as JSON, not JSON_MIN",
        ["project", "import", "few", "min.json"],
        tasks("min.json", TASK),
        ["project", "import", "few", "min.json"],
    ),
    (
        "expected what `distil project classes --json` prints",
        ["project", "import", "few", "classes.json"],
        lambda: text("classes.json", json.dumps({"classes": [{"name": "c", "key": "k"}]})),
        ["project", "import", "few", "classes.json"],
    ),
    (
        "none: add a source first",
        ["project", "import", "empty", "given12.csv"],
        lambda: project("empty", "listed.csv"),
        ["project", "import", "empty", "given12.csv"],
    ),
    (
        "withdraw the answer",
        ["project", "undo", "few", "ann-key-5", "--who", "bob"],
        None,
        ["project", "withdraw", "few", "--ids", "one12.txt"],
    ),
    (
        "or decide the item",
        ["project", "undo", "few", "ann-key-5", "--who", "bob"],
        None,
        ["project", "decide", "few", "--item", "5", "--label", "a"],
    ),
    (
        "holds bytes that are not UTF-8, which latin.xlsx cannot hold; write .csv",
        ["next", "latin_names", "--n", "1", "--out", "latin.xlsx", "--strategy", "random_sampling"],
        None,
        ["next", "latin_names", "--n", "1", "--out", "latin.csv", "--strategy", "random_sampling"],
    ),
    (
        "fill in a sheet without moving cells of other columns",
        ["answer", "sheets", "swapped.csv"],
        lambda: sheet("swapped.csv", label="a"),
        ["answer", "sheets", "swapped.csv"],
    ),
    (
        "got the label 'a' and skip; keep one of them",
        ["answer", "sheets", "both.csv"],
        lambda: sheet("both.csv", answer="skip"),
        ["answer", "sheets", "both.csv"],
    ),
    (
        "another answer; keep one of the two rows",
        ["answer", "sheets", "doubled.csv"],
        lambda: doubled("doubled.csv", "a"),
        ["answer", "sheets", "doubled.csv"],
    ),
    (
        "remove the title and other rows above them",
        ["answer", "sheets", "below.csv"],
        lambda: sheet("below.csv", label="a"),
        ["answer", "sheets", "below.csv"],
    ),
    (
        "fill in the name of the person who answered",
        ["answer", "sheets", "unsigned.csv"],
        lambda: sheet("unsigned.csv", label="a"),
        ["answer", "sheets", "unsigned.csv"],
    ),
    (
        "write that as its id, as text",
        ["answer", "twins", "twins_saved.csv"],
        None,
        ["answer", "twins", "twins.csv"],
    ),
    (
        "or ask for a workbook (--out sheet.xlsx), which keeps ids as they are",
        ["answer", "twins", "twins_saved.csv"],
        lambda: handed("twins", "twins.xlsx", 1, label="a"),
        ["answer", "twins", "twins.xlsx"],
    ),
    (
        "ask for a workbook (--out sheet.xlsx), which keeps them apart",
        ["answer", "alike", "same_names.csv"],
        lambda: handed("alike", "same_names.xlsx", 3, label="1"),
        ["answer", "alike", "same_names.xlsx"],
    ),
    (
        "or rename the classes (distil project classes --rename), and write their new names",
        ["answer", "alike", "same_names.csv"],
        lambda: (
            project_classes("alike", rename=["1=one", "01=two"]),
            pd.read_csv("same_names.csv", dtype=str).assign(label="one").to_csv("same_names.csv", index=False),
        ),
        ["answer", "alike", "same_names.csv"],
    ),
]
# A note's advice; the command that works and gives it; what a person does then; the command that no longer gives it.
PROJECT_NOTES = [
    (
        "alike in a .csv file; a workbook keeps them apart (--out sheet.xlsx)",
        ["next", "noted", "--n", "1", "--out", "noted.csv"],
        None,
        ["next", "noted", "--n", "1", "--out", "noted.xlsx"],
    ),
    (
        "1 item for zoe in handed.csv; then: distil answer noted handed.csv",
        ["next", "noted", "--n", "1", "--who", "zoe", "--out", "handed.csv"],
        lambda: pd.read_csv("handed.csv", dtype=str).assign(label="01").to_csv("handed.csv", index=False),
        ["answer", "noted", "handed.csv"],
    ),
]


def projects():
    """Make the projects of ``PROJECTS`` and ``RECORDS`` in the current directory."""
    text("listed.csv", TEXTS)
    Path("photos").mkdir()
    shutil.copy("pictures/a.png", "photos")
    text("given12.csv", "id,label\n3,a\n")
    text("one12.txt", "5\n")
    text("min.json", json.dumps([{"data": {"id": "3"}, "choice": "a"}]))
    text("classes.json", json.dumps({"classes": [{"key": "k"}]}))
    text("zeros.csv", "id,text\n007,one\n7,two\n")
    text("decided.csv", "id,decision\n7,a\n")
    np.save("e12.npy", X[:12])
    np.savez("with_ids.npz", ids=np.array(list(map(str, range(12)))), a=X[:12])
    project("code", "listed.csv", said=TWO)
    opened("code", lambda found: found.remember_model({"model": "m:f"}))
    project("few", "listed.csv", said=TWO[:1])
    project("kinds", "listed.csv", "photos", said=[label("0", "a"), label("a.png", "b")])
    project("numbers", "e12.npy")
    project("flagged", "listed.csv", said=[{"kind": "flag", "who": "ann", "item": "0"}])
    project("zeros", "zeros.csv", said=[{"kind": "flag", "who": "ann", "item": "007"}])
    project("empty")
    nameless_photo()
    project("sheets", "listed.csv")
    next_("sheets", 4, out="sheet.csv", who="ann")
    swapped("swapped.csv")
    sheet("both.csv", label="a", answer="skip")
    doubled("doubled.csv", "a", "b")
    below("below.csv")
    sheet("unsigned.csv", label="a", who="")
    text("twins_items.csv", "id,text\n007,one\n7,one\n008,one\n8,one\n")
    project("twins", "twins_items.csv")
    handed("twins", "twins.csv", 3, label="a")
    sheet_of_numbers = pd.read_csv("twins.csv", dtype=str)
    sheet_of_numbers.assign(id=sheet_of_numbers["id"].str.lstrip("0")).to_csv("twins_saved.csv", index=False)
    for name in ("alike", "noted"):
        project(name, "listed.csv", classes=["1", "01"])
    handed("alike", "same_names.csv", 3, label="1")
    text("long.jsonl", json.dumps({"id": "0", "text": "long " * 30_000}))
    project("long", "long.jsonl", said=[label("0", "a")])
