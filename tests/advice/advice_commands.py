"""Cases of advice for ``test_advice.py``: configurations, and commands on files, experiments and projects."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from distil.experiment.config.experiment_config import parse_config
from distil.experiment.files_read import read_data
from distil.experiment.suite import experiment_of

N, D, C = 24, 4, 3
X = np.random.default_rng(1).normal(size=(N, D)).astype(np.float32)
NAMES = [f"n{row}" for row in range(N)]

DOCUMENT = {
    "model": {"architecture": "two_layer_net", "target_classes": 10, "hidden_units_1": 4},
    "train_parameters": {"lr": 0.05, "batch_size": 16, "n_epoch": 1},
    "active_learning": {"strategies": ["random_sampling"], "budget": 4, "rounds": 2},
    "dataset": {"name": "digits", "test_points": 1700},
    "experiment": {"seeds": 1, "full_data": False},
}


def read(**changes):
    """The first run of a configuration with some keys changed; a value of None takes the key out."""
    document = copy.deepcopy(DOCUMENT)
    for name, value in changes.items():
        section, _, key = name.partition("__")
        where, key = (document.setdefault(section, {}), key) if key else (document, section)
        where[key] = value
        if value is None:
            del where[key]
    config, data, _ = read_data(parse_config(document))
    return experiment_of(config, data, config.strategies[0].label, 0)


def entry(*entries):
    return {"active_learning__strategies": list(entries)}


HEAD = {"model__architecture": "linear_head", "model__hidden_units_1": None, "train_parameters": None}
# Advice; the changes of a configuration that has the fault; the changes of one that follows the advice.
CONFIGURATIONS = [
    ("which is fitted to its optimum every round; remove it", {**HEAD, "train_parameters": {"lr": 0.1}}, HEAD),
    (
        "does not depend on where a fit starts; remove it",
        {**HEAD, **entry({"name": "badge", "retrain": "warm"})},
        {**HEAD, **entry("badge")},
    ),
    ("choose another", entry({"name": "badge", "label": "a/b"}), entry({"name": "badge", "label": "ab"})),
    (
        "the name of a folder that distil uses; choose another",
        entry({"name": "badge", "label": "full_data"}),
        entry({"name": "badge", "label": "full"}),
    ),
    (
        "give each entry its own label",
        entry("badge", {"name": "badge", "args": {}}),
        entry("badge", {"name": "badge", "label": "b"}),
    ),
    (
        "such as typiclust, probcover, kmeans_sampling or core_set",
        {"active_learning__initial_strategy": "badge"},
        {"active_learning__initial_strategy": "typiclust"},
    ),
    (
        "pass one of them",
        entry({"name": "bald_dropout", "args": {"n_drop": 3, "n_samples": 3}}),
        entry({"name": "bald_dropout", "args": {"n_drop": 3}}),
    ),
    (
        "valid needs a validation set: set dataset.validation_points",
        entry({"name": "glister", "args": {"valid": True}}),
        {**entry({"name": "glister", "args": {"valid": True}}), "dataset__validation_points": 20},
    ),
    (
        "set train_parameters.islogs instead",
        {"logs": {"a": 1}},
        {"train_parameters__islogs": True, "train_parameters__logs_location": "a.log"},
    ),
    (
        "set dataset.validation_points",
        {"train_parameters__patience": 2},
        {"train_parameters__patience": 2, "dataset__validation_points": 20},
    ),
    (
        "set dataset.validation_points",
        {"active_learning__stop": {"gain": 0.01}},
        {"active_learning__stop": {"gain": 0.01}, "dataset__validation_points": 20},
    ),
    ("did you mean 'n_epoch'", {"train_parameters__n_epochs": 1}, {"train_parameters__n_epoch": 1}),
    (
        "set dataset.embeddings, dataset.images or dataset.texts",
        {"dataset__name": "mine"},
        {"dataset": {"embeddings": "e.npy", "labels": "all.csv", "test_points": 4}, "model__target_classes": None},
    ),
    (
        "choose an architecture for tables, such as two_layer_net",
        {"model__architecture": "resnet18", "model__hidden_units_1": None},
        {"model__architecture": "two_layer_net"},
    ),
    (
        "lower active_learning.rounds or active_learning.budget",
        {"active_learning__rounds": 99},
        {"active_learning__rounds": 9},
    ),
    (
        "flatten it",
        {"active_learning__strategy_args": {"lr": json.loads("[" * 60 + "]" * 60)}},
        {"active_learning__strategy_args": {"lr": 0.1}},
    ),
]


def alter():
    """Change a digit in the record of a run."""
    path = Path("runs/new/random_sampling/0/events.jsonl")
    path.write_text(path.read_text().replace('"round": 0', '"round": 1', 1))


SELECT = ["select", "--n", "2", "--strategy"]
CORE = [*SELECT, "core_set", "--embeddings", "e.npy"]
# Advice; the command that gives it; the command that works.
COMMANDS = [
    ("(--embeddings, --probs, --mc-probs)", [*SELECT, "core_set"], [*SELECT, "core_set", "--embeddings", "e.npy"]),
    (
        "pass --probs",
        [*SELECT, "badge", "--embeddings", "e.npy"],
        [*SELECT, "badge", "--embeddings", "e.npy", "--probs", "p.npy"],
    ),
    (
        "(--classes)",
        [*SELECT, "glister", "--embeddings", "e.npy", "--probs", "p.npy", "--labeled", "labeled.csv"],
        [
            *SELECT,
            "glister",
            "--embeddings",
            "e.npy",
            "--probs",
            "p.npy",
            "--labeled",
            "labeled.csv",
            "--classes",
            "a,b,c",
        ],
    ),
    (
        "GLISTER reads labels, and ids.csv has none; add a column label",
        [*SELECT, "glister", "--embeddings", "e.npy", "--probs", "p.npy", "--labeled", "ids.csv"],
        [*SELECT, "glister", "--embeddings", "e.npy", "--probs", "p.npy", "--labeled", "columns.csv"],
    ),
    (
        "pass both",
        [*SELECT, "core_set", "--pool", "texts.csv"],
        [*SELECT, "core_set", "--pool", "texts.csv", "--model", "m:f", "--column", "text"],
    ),
    (
        "(--embeddings)",
        [*SELECT, "margin_sampling", "--probs", "p.npy", "--no-duplicates"],
        [*SELECT, "margin_sampling", "--probs", "p.npy", "--embeddings", "e.npy", "--no-duplicates"],
    ),
    (
        "expected NAME=VALUE",
        [*SELECT, "probcover", "--embeddings", "e.npy", "--set", "radius"],
        [*SELECT, "probcover", "--embeddings", "e.npy", "--set", "radius=9"],
    ),
    (
        "ends in .csv or .jsonl",
        [*SELECT, "core_set", "--embeddings", "e.npy", "--out", "a.txt"],
        [*SELECT, "core_set", "--embeddings", "e.npy", "--out", "a.csv"],
    ),
    (
        "expected one such as 512MB or 2GB",
        [*SELECT, "core_set", "--embeddings", "e.npy", "--memory", "much"],
        [*SELECT, "core_set", "--embeddings", "e.npy", "--memory", "2GB"],
    ),
    (
        "give embeddings (--embeddings)",
        [*SELECT, "core_set", "--pool", "texts.csv", "--model", "m:f", "--dry-run"],
        [*SELECT, "core_set", "--embeddings", "e.npy", "--dry-run"],
    ),
    (
        "give it once",
        [*SELECT, "core_set", "--embeddings", "e.npy", "--seed", "1", "--seed", "2"],
        [*SELECT, "core_set", "--embeddings", "e.npy", "--seed", "1"],
    ),
    (
        "so give it alone",
        ["audit", "e.npy", "--labeled", "e.npy", "--labeled", "labeled.csv"],
        ["audit", "e.npy", "--labeled", "e.npy"],
    ),
    ("Help: distil select --help", [*SELECT], ["select", "--help"]),
    (
        "did you mean 'text'",
        ["embed", "texts.csv", "--model", "m:f", "--out", "t.npy", "--column", "txt"],
        ["embed", "texts.csv", "--model", "m:f", "--out", "t.npy", "--column", "text"],
    ),
]

# Advice; the command that gives it; what a person does then; the command that works. Files are those of the fixture ``here``.
EDITS = [
    ("give it once", [*CORE, "--set", "squared=true", "--set", "squared=true"], None, CORE),
    (
        "choose another name, or replace it with force=True (--force)",
        [*CORE, "--out", "ids.txt.csv"],
        None,
        [*CORE, "--out", "free.csv"],
    ),
    ("(--force)", [*CORE, "--out", "ids.txt.csv"], None, [*CORE, "--out", "ids.txt.csv", "--force"]),
    (
        "the number of examples to choose (--n)",
        ["select", "--strategy", "core_set", "--embeddings", "e.npy"],
        None,
        CORE,
    ),
    (
        "which is never replaced; choose another name for out",
        [*CORE, "--labeled", "labeled.csv", "--out", "labeled.csv"],
        None,
        [*CORE, "--labeled", "labeled.csv", "--out", "new.csv"],
    ),
    (
        "keep one of them",
        [*CORE, "--labeled", "twice.csv"],
        lambda: Path("twice.csv").write_text("id,label\n1,a\n"),
        [*CORE, "--labeled", "twice.csv"],
    ),
    (
        "fill it in or take the",
        [*CORE, "--labeled", "hole.csv"],
        lambda: Path("hole.csv").write_text("id,label\n1,a\n2,b\n"),
        [*CORE, "--labeled", "hole.csv"],
    ),
    (
        "remove any title or comment",
        [*CORE, "--labeled", "title.csv"],
        lambda: Path("title.csv").write_text("id,label\n1,a\n"),
        [*CORE, "--labeled", "title.csv"],
    ),
    (
        "rename or remove all but one",
        [*CORE, "--labeled", "same.csv"],
        lambda: Path("same.csv").write_text("id,label\n1,a\n"),
        [*CORE, "--labeled", "same.csv"],
    ),
    (
        "save an array of numbers or text",
        [*SELECT, "core_set", "--embeddings", "o.npy"],
        lambda: np.save("o.npy", X),
        [*SELECT, "core_set", "--embeddings", "o.npy"],
    ),
    (
        "write it again",
        [*SELECT, "core_set", "--embeddings", "cut.npy"],
        lambda: np.save("cut.npy", X),
        [*SELECT, "core_set", "--embeddings", "cut.npy"],
    ),
    (
        "say which, as in two.npz#",
        [*SELECT, "core_set", "--embeddings", "two.npz"],
        None,
        [*SELECT, "core_set", "--embeddings", "two.npz#a"],
    ),
    (
        "close the quote",
        [*CORE, "--labeled", "quote.csv"],
        lambda: Path("quote.csv").write_text("id,label\n1,a\n"),
        [*CORE, "--labeled", "quote.csv"],
    ),
    (
        "(--quoting none)",
        [*CORE, "--labeled", "quote2.csv"],
        None,
        [*CORE, "--labeled", "quote2.csv", "--quoting", "none"],
    ),
    (
        "with column=... (--column)",
        ["embed", "wide.csv", "--model", "m:f", "--out", "w.npy"],
        None,
        ["embed", "wide.csv", "--model", "m:f", "--out", "w.npy", "--column", "a"],
    ),
    (
        "fill in the labels",
        [*CORE, "--labeled", "blank.csv"],
        lambda: Path("blank.csv").write_text("id,label\n1,a\n"),
        [*CORE, "--labeled", "blank.csv"],
    ),
    (
        "are one id of the pool; keep one of them",
        [*CORE, "--labeled", "alike.csv"],
        lambda: Path("alike.csv").write_text("id\n1\n"),
        [*CORE, "--labeled", "alike.csv"],
    ),
    (
        "give labels in both, or in neither",
        [*CORE, "--labeled", "labeled.csv", "--labeled", "one_id.csv"],
        None,
        [*CORE, "--labeled", "one_id.csv"],
    ),
    (
        "say so with ids='a' (--ids a)",
        [*SELECT, "core_set", "--embeddings", "cells.csv"],
        None,
        [*SELECT, "core_set", "--embeddings", "cells.csv", "--ids", "a"],
    ),
    (
        "the value is missing; fill it in or drop the row",
        [*SELECT, "core_set", "--embeddings", "gap.csv"],
        lambda: Path("gap.csv").write_text("a,b\n1,2\n3.5,4\n5,6\n"),
        [*SELECT, "core_set", "--embeddings", "gap.csv"],
    ),
    (
        "the text is missing; fill it in or take the row out",
        ["embed", "gaps.csv", "--model", "m:f", "--out", "g.npy"],
        lambda: Path("gaps.csv").write_text("id,text\na,one\nb,two\n"),
        ["embed", "gaps.csv", "--model", "m:f", "--out", "g.npy"],
    ),
    (
        "choose another name for out, or replace it with force=True (--force)",
        ["embed", "texts.csv", "--model", "m:f", "--out", "mine.npy"],
        None,
        ["embed", "texts.csv", "--model", "m:f", "--out", "mine.npy", "--force"],
    ),
    (
        "or remove the link",
        ["embed", "texts.csv", "--model", "m:f", "--out", "link.npy"],
        Path("link.npy").unlink,
        ["embed", "texts.csv", "--model", "m:f", "--out", "link.npy"],
    ),
    (
        "lower n or near",
        [*CORE[:1], "--n", "24", *CORE[3:], "--no-duplicates", "--near", "2"],
        None,
        [*CORE, "--no-duplicates"],
    ),
    (
        "choose another (--output)",
        ["run", "c.json", "--output", "ids.txt"],
        None,
        ["run", "c.json", "--output", "runs/new"],
    ),
    (
        "exists and holds no experiment; choose another (--output)",
        ["run", "c.json", "--output", "full"],
        None,
        ["run", "c.json", "--output", "runs/new"],
    ),
    (
        "pass the directory of a run, by default runs/NAME",
        ["report", "nowhere"],
        None,
        ["report", "runs/new", "--json"],
    ),
    ("pass a JSON file", ["run", "full"], None, ["run", "c.json", "--output", "runs/new"]),
    ("pass the JSON file of an experiment", ["run", "large.json"], None, ["run", "c.json", "--output", "runs/new"]),
    (
        "or continue the old experiment: distil resume runs/new",
        ["run", "other.json", "--output", "runs/new"],
        None,
        ["resume", "runs/new"],
    ),
    (
        "Choose another output directory",
        ["run", "other.json", "--output", "runs/new"],
        alter,
        ["run", "other.json", "--output", "runs/other"],
    ),
    (
        "or remove runs/new/random_sampling/0 to run it again",
        ["resume", "runs/new"],
        lambda: shutil.rmtree("runs/new/random_sampling/0"),
        ["resume", "runs/new"],
    ),
    (
        "is not the configuration of an experiment",
        ["run", "c.json", "--output", "own"],
        None,
        ["run", "c.json", "--output", "runs/new"],
    ),
]

P = "prj"


def strange():
    """A sheet with a label that is no class."""
    lines = Path("z0.csv").read_text().splitlines()
    place = lines[0].split(",").index("label")
    cells = lines[1].split(",")
    cells[place] = "strange"
    Path("z.csv").write_text("\n".join([lines[0], ",".join(cells)]) + "\n")


# The same, one after the other on one project.
PROJECT = [
    (
        "make a project with `distil project create prj`",
        ["project", "status", P],
        None,
        ["project", "create", P, "--classes", "a,b"],
    ),
    ("name its folder, prj", ["project", "status", f"{P}/project.db"], None, ["project", "status", P]),
    ("`distil project add", ["next", P, "--n", "2", "--out", "s0.csv"], None, ["project", "add", P, "texts.csv"]),
    (
        "give the items of each source ids of their own",
        ["project", "add", P, "texts2.csv"],
        lambda: Path("texts2.csv").write_text("id,text\nk0,other\nk1,another\n"),
        ["project", "add", P, "texts2.csv"],
    ),
    (
        "list each id once",
        ["project", "add", P, "ids2.csv"],
        lambda: Path("ids2.csv").write_text("id,text\nm1,a text\nm2,b text\n"),
        ["project", "add", P, "ids2.csv"],
    ),
    (
        "make a project and add it: `distil project create DIR`",
        ["project", "status", "full"],
        None,
        ["project", "create", "other"],
    ),
    (
        "choose another name",
        ["next", P, "--n", "2", "--who", "ann", "--out", "texts.csv"],
        None,
        ["next", P, "--n", "2", "--who", "ann", "--out", "s1.csv"],
    ),
    (
        "choose another name",
        ["next", P, "--n", "2", "--who", "ann", "--out", "s1.csv"],
        None,
        ["next", P, "--n", "2", "--who", "zoe", "--out", "z0.csv"],
    ),
    (
        "`distil project import` reads other tables",
        ["answer", P, "given.csv"],
        strange,
        ["project", "import", P, "given.csv", "--who", "bob"],
    ),
    (
        "record it with `distil answer`",
        ["project", "import", P, "s1.csv", "--who", "ann"],
        None,
        ["answer", P, "s1.csv"],
    ),
    ("(--new-classes)", ["answer", P, "z.csv"], None, ["answer", P, "z.csv", "--new-classes"]),
    (
        "say whose answers to take back (--of)",
        ["project", "withdraw", P],
        None,
        ["project", "withdraw", P, "--of", "bob"],
    ),
    ("or to which items (--ids)", ["project", "withdraw", P], None, ["project", "withdraw", P, "--ids", "one.txt"]),
    ("say what to decide", ["project", "decide", P], None, ["project", "decide", P, "--item", "n0", "--label", "a"]),
    (
        "add some with `distil project add`",
        ["project", "suspects", "other"],
        None,
        ["project", "add", "other", "texts.csv"],
    ),
]


def files():
    """Write the files of ``EDITS`` and ``PROJECT`` into the current directory."""
    np.save("e.npy", X)
    np.save("o.npy", np.array([{}] * 3, dtype=object), allow_pickle=True)
    np.savez("two.npz", a=X, b=X)
    Path("ids.csv").write_text("id\n0\n1\n")
    Path("columns.csv").write_text("id,label\n0,1\n1,2\n")
    Path("cut.npy").write_bytes(Path("e.npy").read_bytes()[:-8])
    Path("c.json").write_text(json.dumps(DOCUMENT))
    Path("pictures").mkdir()
    for name in ("a.png", "b.png"):
        Image.new("RGB", (3, 3)).save(f"pictures/{name}")
    np.save("mine.npy", X)
    Path("link.npy").symlink_to("mine.npy")
    Path("own").mkdir()
    Path("own/config.json").write_text(json.dumps(DOCUMENT))
    Path("large.json").write_text(" " * 2**21)
    Path("other.json").write_text(
        json.dumps({**DOCUMENT, "train_parameters": {"lr": 0.1, "batch_size": 16, "n_epoch": 1}})
    )
    Path("full").mkdir()
    Path("full/mine.txt").touch()
    for name, text in TABLES.items():
        Path(name).write_text(text)


TABLES = {
    "ids.txt": "".join(f"{name}\n" for name in NAMES),
    "ids.txt.csv": "mine\n",
    "one.txt": "n0\n",
    "one_id.csv": "id\n1\n",
    "blank.csv": "id,label\n1,\n2,\n",
    "alike.csv": "id\n1\n1.0\n",
    "cells.csv": "a,b\n1,2\n3;5,4\n5,6\n",
    "gap.csv": "a,b\n1,2\n,4\n5,6\n",
    "gaps.csv": "id,text\na,one\nb,\n",
    "texts2.csv": "id,text\nn0,other\nk1,another\n",
    "pictures.csv": "id,path\nx,pictures/a.png\ny,pictures/b.png\n",
    "labeled.csv": "id,label\n1,a\n2,b\n",
    "all.csv": "id,label\n" + "".join(f"{row},{row % C}\n" for row in range(N)),
    "twice.csv": "id,label\n1,a\n1,b\n",
    "hole.csv": "id,label\n1,a\n,b\n",
    "title.csv": "my labels\nid,label\n1,a\n",
    "same.csv": "id,label,label\n1,a,b\n",
    "quote.csv": 'id,label\n1,"a\n2,b\n',
    "quote2.csv": 'id,label\n1,"a\n2,b\n',
    "wide.csv": "a,b\n" + "".join(f"some words {row},other words {row}\n" for row in range(9)),
    "m.py": "def f(items):\n    return [[len(item), 1.0] for item in items]\n\n\ng = f\n",
    "texts.csv": "id,text\n" + "".join(f"{name},a text\n" for name in NAMES),
    "ids2.csv": "id,text\nm1,a text\nm1,b text\n",
    "given.csv": "id,label\nn0,a\nn1,b\n",
}
