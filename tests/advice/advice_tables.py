"""Cases of advice for ``test_advice.py``: tables, arrays, images and data sets in files."""

from __future__ import annotations

import json
import shutil
import warnings
import zipfile
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from advice_commands import read
from PIL import Image
from torch import nn

import distil
from distil.data import file_readers
from distil.datasets.data_set import DataSet
from distil.datasets.embeddings import load_embeddings
from distil.datasets.load import load
from distil.embedding.embed import embed
from distil.experiment.config.dataset_section import fingerprint
from distil.selection.oracle import Answers, TrueLabels

N, D, C = 24, 4, 3
X = np.random.default_rng(6).normal(size=(N, D)).astype(np.float32)
TABLE = "a,b,label\n" + "".join(f"{row},{row / 2},c{row % C}\n" for row in range(N))
SIZES = "size,YEAR,kind\n" + "".join(f"{['small', 'large'][row % 2]},{row % 5},c{row % C}\n" for row in range(N))
MINE = {"embeddings": "e.npy", "labels": "all.csv", "test_points": 4}
TEST = {"embeddings": "e.npy", "labels": "all.csv", "test_embeddings": "test.npy", "test_labels": "test.csv"}
TEXTS = {"texts": "labeled_texts.csv", "encoder": "m:f", "test_points": 4}


def text(name, content):
    """Write a file of text, and return its name."""
    Path(name).write_text(content)
    return name


def array(name, rows):
    """Write an array, and return its name."""
    np.save(name, rows)
    return name


def image(name, values):
    """Write an image of these values."""
    Image.fromarray(np.asarray(values)).save(name)


def csv(content):
    """The data set in a table."""
    return load("csv", path=text("numbers.csv", content))


def config(dataset, **more):
    """The first run of a configuration with this data set."""
    return read(**{"dataset": dataset, "model__target_classes": None, **more})


def unlabeled():
    """A data set of which an example has no label, for a configuration that names it."""
    y = torch.arange(N) % C
    y[0] = -1
    return DataSet("unlabeled", torch.from_numpy(X), y, torch.from_numpy(X), torch.arange(N) % C, C, partly=True)


def oracle(strategy, seed):
    """An oracle for a configuration that names it; it skips all that the first seed asks."""
    return Skips() if seed == 0 else TrueLabels(torch.arange(N) % C)


class Sizes(torch.utils.data.Dataset):
    """A data set of numbers."""

    def __getitem__(self, row):
        return torch.ones(row + 1)

    def __len__(self):
        return 3


class Skips:
    """An oracle that answers nothing."""

    def ask(self, query):
        return Answers((), (), skipped=query.ids)


def infinite():
    x = torch.from_numpy(X).clone()
    x[3, 0] = float("inf")
    return x


def points(x):
    return DataSet("mine", x, torch.arange(N) % C, None, None, C)


def weights(*prefixes):
    """Load the weights of a network that a file holds under these prefixes."""
    module = nn.Linear(D, C)
    state = {f"{prefix}{name}": value for prefix in prefixes for name, value in module.state_dict().items()}
    torch.save(state, "several.pt")
    return distil.wrap("several.pt", build=lambda: module)


def large(name, rows):
    """Read a table as if it had more characters than a JSON document may have."""
    before = file_readers._LARGEST_DOCUMENT
    file_readers._LARGEST_DOCUMENT = file_readers._BLOCK
    try:
        return distil.open_pool(text(name, rows))
    finally:
        file_readers._LARGEST_DOCUMENT = before


def encrypted(flag):
    """Write an archive of arrays, with or without the mark of a password."""
    np.savez("locked.npz", a=X)
    with zipfile.ZipFile("locked.npz") as file:
        content = file.read("a.npy")
    info = zipfile.ZipInfo("a.npy")
    with zipfile.ZipFile("locked.npz", "w") as file:
        file.writestr(info, content)
    raw = bytearray(Path("locked.npz").read_bytes())
    raw[6] |= flag
    raw[raw.rindex(b"PK\x01\x02") + 8] |= flag
    Path("locked.npz").write_bytes(raw)


RECORDS = json.dumps([{"id": str(row), "text": "some words " * 500} for row in range(260)])
# Advice in a message; the call that gives it; the call that follows it.
DATA = [
    (
        "(a header row must hold no numbers, or name the label's column)",
        lambda: csv(SIZES.replace("YEAR", "2020")),
        lambda: csv(SIZES.replace("YEAR", "y2020").replace("small", "0").replace("large", "1")),
    ),
    (
        "or name the folder of your data sets with --data, root=... or the environment variable DISTIL_DATA",
        lambda: load("csv", path="away.csv"),
        lambda: (Path("away").mkdir(), text("away/away.csv", TABLE), load("csv", path="away.csv", root="away")),
    ),
    (
        "pass path=... (dataset.path in a configuration file)",
        lambda: load("csv"),
        lambda: load("csv", path=text("numbers.csv", TABLE)),
    ),
    (
        "is not finite in float32; correct it or drop the row",
        lambda: csv(TABLE.replace("3,1.5", "3,1e39")),
        lambda: (csv(TABLE), csv(TABLE.replace("3,1.5,c0\n", ""))),
    ),
    (
        "the label is missing; fill it in or drop the row",
        lambda: csv(TABLE.replace("3,1.5,c0", "3,1.5,")),
        lambda: (csv(TABLE), csv(TABLE.replace("3,1.5,c0\n", ""))),
    ),
    (
        "keep the list, or the numbers",
        lambda: load("csv", path=lists("x", "e")),
        lambda: (load("csv", path=lists("e")), load("csv", path=lists("x"))),
    ),
    (
        "has a test set of its own, of 4 examples; remove the key",
        lambda: config({**TEST, "test_points": 4}),
        lambda: config(TEST),
    ),
    (
        "and no oracle answers; set experiment.oracle",
        lambda: config({"name": "advice_tables:unlabeled"}, **NUMBERS),
        lambda: config({"name": "advice_tables:unlabeled"}, **NUMBERS, experiment__oracle="advice_tables:oracle"),
    ),
    (
        "which their transform normalizes; leave it out",
        lambda: config({"name": "npz", "path": pixels(), "test_points": 4, "standardize": True}, **CNN),
        lambda: config({"name": "npz", "path": pixels(), "test_points": 4}, **CNN),
    ),
    (
        "add labels to dataset.labels, or lower these numbers",
        lambda: config({**MINE, "labels": "few.csv"}, experiment__oracle="advice_tables:oracle"),
        lambda: (
            config({**MINE, "labels": "all.csv"}, experiment__oracle="advice_tables:oracle"),
            config({**MINE, "labels": "few.csv", "test_points": 3}, experiment__oracle="advice_tables:oracle"),
        ),
    ),
    (
        "dataset.label_noise needs a label for every example of e.npy, and some have none; remove it",
        lambda: config({**MINE, **NOISE, "labels": "most.csv"}, experiment__oracle="advice_tables:oracle"),
        lambda: config({**MINE, "labels": "most.csv"}, experiment__oracle="advice_tables:oracle"),
    ),
    (
        "add it, or name a table of ids and labels in dataset.labels",
        lambda: config({**TEXTS, "texts": "texts.csv"}),
        lambda: (config(TEXTS), config({**TEXTS, "texts": "texts.csv", "labels": "text_labels.csv"})),
    ),
    (
        "the label is missing; fill it in or take the line out",
        lambda: config({**TEXTS, "texts": text("hole_texts.csv", HOLE)}),
        lambda: (
            config({**TEXTS, "texts": text("hole_texts.csv", HOLE.replace("four,\n", "four,c0\n"))}),
            config({**TEXTS, "texts": text("hole_texts.csv", HOLE.replace("n4,four,\n", ""))}),
        ),
    ),
    (
        "restore the old files, or start a new experiment in another output directory",
        lambda: config({**MINE, "sha256": "0" * 64}),
        lambda: config({**MINE, "sha256": fingerprint(load_embeddings("e.npy", "all.csv"))}),
    ),
    (
        "holds a NaN or an infinity; correct it, or leave it out",
        lambda: config({**MINE, "embeddings": array("nan.npy", infinite().numpy())}),
        lambda: config({**MINE, "embeddings": array("nan.npy", X)}),
    ),
    (
        "label them, or leave them out of the array",
        lambda: load_embeddings("e.npy", "few.csv"),
        lambda: (load_embeddings("e.npy", "all.csv"), load_embeddings(array("few.npy", X[:3]), "few.csv")),
    ),
    (
        "name a table with those of the test set",
        lambda: load_embeddings("e.npy", None, partly=True),
        lambda: load_embeddings("e.npy", None, test_embeddings="test.npy", test_labels="test.csv", partly=True),
    ),
    (
        "test_embeddings and test_labels belong together; pass both, or neither",
        lambda: load_embeddings("e.npy", "all.csv", test_embeddings="test.npy"),
        lambda: (
            load_embeddings("e.npy", "all.csv"),
            load_embeddings("e.npy", "all.csv", test_embeddings="test.npy", test_labels="test.csv"),
        ),
    ),
    (
        "remove them from one of the two",
        lambda: load_embeddings("named.npz", "letters.csv", test_embeddings="named.npz", test_labels="letters.csv"),
        lambda: load_embeddings("named.npz", "letters.csv", test_embeddings="others.npz", test_labels="others.csv"),
    ),
    (
        "x_train[3] holds a NaN or an infinity; fill it in or drop the row",
        lambda: points(infinite()),
        lambda: points(torch.from_numpy(X)),
    ),
    (
        "or pass a table with the columns id and label",
        lambda: load_embeddings("e.npy", "pictures"),
        lambda: load_embeddings("e.npy", "all.csv"),
    ),
    (
        "with the prefixes 'a.', 'b.'; save one of them",
        lambda: weights("a.", "b."),
        lambda: weights("a."),
    ),
    (
        "write large tables as .jsonl, with one record in a line",
        lambda: large("large_table.json", RECORDS),
        lambda: large("large_table.jsonl", "\n".join(map(json.dumps, json.loads(RECORDS)))),
    ),
    (
        "the path is missing, and there is no column id to name the row; fill it in or take the row out",
        lambda: distil.open_pool(text("holes.csv", "path,size\npictures/a.png,1\n,2\n")),
        lambda: (
            distil.open_pool(text("holes.csv", "path,size\npictures/a.png,1\npictures/b.png,2\n")),
            distil.open_pool(text("holes.csv", "path,size\npictures/a.png,1\n")),
        ),
    ),
    (
        "is empty; give each row an id",
        lambda: distil.open_pool(["one", "two"], ids=["a", ""]),
        lambda: distil.open_pool(["one", "two"], ids=["a", "b"]),
    ),
    (
        "this pool has no content or files to identify it by; pass out= (--out)",
        lambda: embed(Sizes(), "m:f"),
        lambda: embed(Sizes(), "m:f", out="lengths.npy"),
    ),
    (
        "pass it again, or repair the item and write another file",
        lambda: skipped("skipped.npy", "raise"),
        lambda: (
            skipped("skipped.npy", "skip"),
            text("no_path2.csv", "id,path\nx,pictures/a.png\ny,pictures/b.png\n"),
            skipped("whole.npy", "raise"),
        ),
    ),
    (
        "use distil.select or a Learner with costs=",
        lambda: config(MINE, active_learning__strategies=["knapsack"]),
        lambda: distil.select("knapsack", nn.Linear(D, C), X, 2, costs=np.ones(N)),
    ),
    (
        "reads tokens or rewards, which an experiment does not have; use distil.select_from",
        lambda: config(MINE, active_learning__strategies=["delta_ucb"]),
        lambda: distil.select_from("delta_ucb", 2, rewards=X, deviations=np.ones((N, D))),
    ),
    (
        "reads a query or a private set, which an experiment does not have; use distil.select or a Learner",
        lambda: config(MINE, active_learning__strategies=["smi"]),
        lambda: distil.select("smi", nn.Linear(D, C), X, 2, query=[0]),
    ),
    (
        "cannot be a line of the file of ids; write a .parquet file",
        lambda: embed(pool_of("a\nb"), "m:f", out="lines.npy"),
        lambda: embed(pool_of("a\nb"), "m:f", out="lines.parquet"),
    ),
    (
        "is not UTF-8 text, which Parquet needs; write a .npy file",
        lambda: embed(pool_of("a\udcff"), "m:f", out="bytes.parquet"),
        lambda: embed(pool_of("a\udcff"), "m:f", out="bytes.npy"),
    ),
]

NUMBERS = {"model__target_classes": C}
NOISE = {"label_noise": 0.1}
CNN = {"model__architecture": "mnist_net", "model__hidden_units_1": None, "model__target_classes": 10}
HOLE = "id,text,label\n" + "".join(f"n{row},{'four' if row == 4 else 'some words'},c{row % C}\n" for row in range(N))
HOLE = HOLE.replace("four,c1", "four,")


def lists(*names):
    """Write a table of records with lists, numbers and labels."""
    lines = [{"x": row * row, "e": [row, 1], "label": f"c{row % C}"} for row in range(N)]
    kept = [{name: line[name] for name in (*names, "label")} for line in lines]
    return text(f"{'_'.join(names)}.jsonl", "".join(f"{json.dumps(line)}\n" for line in kept))


def skipped(out, on_error):
    """Embed images, one of which has no path."""
    return distil.embed("no_path2.csv", model="pixels", out=out, on_error=on_error)


def pixels():
    np.savez("pixels.npz", x=np.zeros((N, 28, 28), np.uint8), y=np.arange(N) % C)
    return "pixels.npz"


def pool_of(name):
    return distil.open_pool(["a text", "another"], ids=[name, "c"])


SELECT = ["select", "--n", "2", "--strategy"]
CORE = [*SELECT, "core_set", "--embeddings", "e.npy"]
MARGIN = [*SELECT, "margin_sampling"]


def embedding(source, out, *more, model="pixels"):
    return ["embed", source, "--model", model, "--out", out, *more]


def book(name, *rows, part=None):
    """Write a workbook of these rows, with one more part of as many bytes; return its name."""
    made = openpyxl.Workbook()
    for row in rows:
        made.active.append(row)
    made.save(name)
    if part is not None:
        with zipfile.ZipFile(name, "a", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            archive.writestr("more", bytes(part))
    return name


def labels(name, content):
    """A command that reads labels, the edit that mends their file, and the command again."""
    command = [*CORE, "--labeled", name]
    return command, lambda: text(name, content), command


# Advice; the command that gives it; what a person does then; the command that works.
TABLES = [
    ("is not UTF-8 text: ", *labels("latin.jsonl", '{"id": 1, "label": "\xe9"}\n')),
    ("add the column id, with ids of the pool", *labels("no_ids.jsonl", '{"id": 1, "label": "a"}\n')),
    ("give every line one, or none", *labels("late.jsonl", '{"id": 1, "label": "a"}\n')),
    (
        "holds a formula; copy the column and paste it as values",
        [*CORE, "--labeled", "formula.xlsx"],
        lambda: book("formula.xlsx", ["id", "label"], ["1", "a"]),
        [*CORE, "--labeled", "formula.xlsx"],
    ),
    (
        "MiB; save its sheet as CSV (UTF-8)",
        [*CORE, "--labeled", "large.xlsx"],
        lambda: text("large.csv", "id,label\n1,a\n"),
        [*CORE, "--labeled", "large.csv"],
    ),
    (
        "save it as .xlsx, without a password",
        [*CORE, "--labeled", "secret.xlsx"],
        lambda: book("secret.xlsx", ["id", "label"], ["1", "a"]),
        [*CORE, "--labeled", "secret.xlsx"],
    ),
    (
        "give it the ending of that",
        [*CORE, "--labeled", "named.xlsx"],
        lambda: Path("named.xlsx").rename("named.csv"),
        [*CORE, "--labeled", "named.csv"],
    ),
    (
        "begin the file with a row of names, such as id,label or e0,e1",
        [*SELECT, "core_set", "--embeddings", "unnamed.csv"],
        lambda: text("unnamed.csv", "e0,e1\n0,1\n5,2\n7,3\n"),
        [*SELECT, "core_set", "--embeddings", "unnamed.csv"],
    ),
    (
        "got 1 .foo: convert images to .png or .jpg",
        embedding("scans", "s.npy"),
        lambda: shutil.copy("pictures/a.png", "scans/scan.png"),
        embedding("scans", "s.npy"),
    ),
    (
        "choose another model, or name the column of images with column=... (--column)",
        embedding("texts.csv", "other.npy"),
        None,
        embedding("texts.csv", "other.npy", model="m:f"),
    ),
    (
        "pass probs too (--probs)",
        [*CORE, "--offsets", "offsets.npy"],
        None,
        [*SELECT, "token_uncertainty", "--probs", "p.npy", "--offsets", "offsets.npy"],
    ),
    (
        "explanations compare embeddings; pass them too (--embeddings)",
        [*MARGIN, "--probs", "p.npy", "--explain", "why.json"],
        None,
        [*MARGIN, "--probs", "p.npy", "--embeddings", "e.npy", "--explain", "why.json"],
    ),
    (
        "rename one",
        [*SELECT, "core_set", "--embeddings", "dup.parquet"],
        lambda: pd.DataFrame(X, columns=[f"e{k}" for k in range(D)]).to_parquet("dup.parquet"),
        [*SELECT, "core_set", "--embeddings", "dup.parquet"],
    ),
    (
        "write numbers with a decimal point and without commas, blanks or units",
        [*SELECT, "core_set", "--embeddings", "units.csv"],
        lambda: text("units.csv", "a,b\n1,2\n1234.5,4\n5,6\n"),
        [*SELECT, "core_set", "--embeddings", "units.csv"],
    ),
    (
        "store it without a password",
        [*SELECT, "core_set", "--embeddings", "locked.npz"],
        lambda: encrypted(0),
        [*SELECT, "core_set", "--embeddings", "locked.npz"],
    ),
    (
        "pass the ids in a separate file",
        [*SELECT, "core_set", "--embeddings", "x.safetensors", "--ids", "names"],
        None,
        [*SELECT, "core_set", "--embeddings", "x.safetensors", "--ids", "ids.txt"],
    ),
    (
        "give query (ids of the pool) or query_embeddings (other examples), not both",
        [*SELECT, "smi", "--embeddings", "e.npy", "--query", "one_row.txt", "--query-embeddings", "test.npy"],
        None,
        [*SELECT, "smi", "--embeddings", "e.npy", "--query", "one_row.txt"],
    ),
    (
        "a validation set has labels, and one_row.txt has none; add a column label",
        [*CORE, "--validation", "one_row.txt"],
        None,
        [*CORE, "--validation", "one_class.csv"],
    ),
    (
        "or use a strategy that reads embeddings alone, such as core_set",
        [*MARGIN, "--embeddings", "e.npy", "--labeled", "one_class.csv"],
        None,
        [*CORE, "--labeled", "one_class.csv"],
    ),
    (
        "name the table, as in texts.csv#text",
        [*CORE, "--show", "text"],
        None,
        [*CORE, "--show", "texts.csv#text", "--ids", "ids.txt"],
    ),
    (
        "add a column id, by which they are matched",
        [*CORE, "--show", "short.csv#text"],
        lambda: text("short.csv", "id,text\n" + "".join(f"{row},words\n" for row in range(N + 1))),
        [*CORE, "--show", "short.csv#text"],
    ),
    (
        "take it out, or write .jsonl",
        [*CORE, "--show", "nul.jsonl#text", "--out", "nul.csv"],
        None,
        [*CORE, "--show", "nul.jsonl#text", "--out", "nul_out.jsonl"],
    ),
    (
        "add the ids, or give one row per item in the same order",
        ["audit", "texts.csv", "--embeddings", "test.npy"],
        None,
        ["audit", "texts.csv", "--embeddings", "e.npy"],
    ),
    (
        "embed both with the same model",
        ["audit", "e.npy", "--labeled", "wide.npy"],
        lambda: array("wide.npy", X[:3]),
        ["audit", "e.npy", "--labeled", "wide.npy"],
    ),
    (
        "remove these items, or embed them again",
        ["audit", "nans.npy"],
        lambda: array("nans.npy", X),
        ["audit", "nans.npy"],
    ),
    (
        "otherwise give their embeddings (--test-embeddings)",
        ["audit", "e.npy", "--test", "numbered.csv"],
        None,
        ["audit", "e.npy", "--test", "numbered.csv", "--test-embeddings", "test.npy"],
    ),
    (
        "numpy.uint16(65535 * ((x - darkest) / (lightest - darkest)).clip(0, 1))",
        embedding("signed.csv", "signed.npy"),
        lambda: image("signed.tif", np.uint16(65535 * ((SIGNED + 9) / 18).clip(0, 1))),
        embedding("signed.csv", "signed.npy"),
    ),
    (
        "save it with 8 or 16 bits, or as floats from 0 to 1",
        embedding("bright.csv", "bright.npy"),
        lambda: image("bright.tif", np.float32([[0, 0.5], [1, 0.2]])),
        embedding("bright.csv", "bright.npy"),
    ),
    (
        "the path of the image is missing; fill it in or take the row out",
        embedding("no_path.csv", "no_path.npy"),
        lambda: text("no_path.csv", "id,path\nx,pictures/a.png\ny,pictures/b.png\n"),
        embedding("no_path.csv", "no_path.npy"),
    ),
]
SIGNED = np.int32([[-9, 0], [3, 9]])
PUBLISHED = [*SELECT, "uherding", "--set", "form=published", "--embeddings", "e.npy", "--probs", "p.npy"]
# The same, where a command that works gives the advice in a note, and no longer gives it once it was followed.
NOTES = [
    (
        "left out 1 file without the ending of an image (1 .foo); convert images to .png or .jpg",
        embedding("mixed", "mixed.npy"),
        lambda: Path("mixed/scan.foo").rename("mixed/scan.png"),
        embedding("mixed", "mixed2.npy"),
    ),
    (
        "if `name` holds the ids, say so with ids='name' (--ids name)",
        [*SELECT, "core_set", "--embeddings", "with_names.csv"],
        None,
        [*SELECT, "core_set", "--embeddings", "with_names.csv", "--ids", "name"],
    ),
    (
        "pass one (validation=, --validation)",
        PUBLISHED,
        None,
        [*PUBLISHED, "--validation", "labeled.csv", "--classes", "a,b,c"],
    ),
]


def tables():
    """Write the files of ``DATA``, ``TABLES`` and ``NOTES`` into the current directory."""
    np.save("test.npy", X[:4] + 1)
    np.save("wide.npy", X[:3, :2])
    np.save("nans.npy", infinite().numpy())
    np.save("offsets.npy", np.arange(0, N + 1, 2))
    np.savez("named.npz", ids=np.array(["p", "q"]), a=X[:2])
    np.savez("others.npz", ids=np.array(["r", "s"]), a=X[2:4])
    safetensors(X)
    encrypted(1)
    pq.write_table(pa.table([X[:, 0], X[:, 1]], names=["a", "a"]), "dup.parquet")
    image("signed.tif", SIGNED)
    image("bright.tif", np.float32([[0, 0.5], [7, 0.2]]))
    for folder in ("scans", "mixed"):
        Path(folder).mkdir()
        shutil.copy("pictures/a.png", f"{folder}/scan.foo")
    for name in ("a.png", "b.png"):
        shutil.copy(f"pictures/{name}", f"mixed/{name}")
    text("no_path2.csv", "id,path\nx,pictures/a.png\ny,\n")
    book("formula.xlsx", ["id", "label"], ["1", "=A2"])
    book("large.xlsx", ["id"], part=(1 << 27) + 1)
    Path("secret.xlsx").write_bytes(bytes.fromhex("d0cf11e0a1b11ae1"))
    text("named.xlsx", "id,label\n1,a\n")
    with warnings.catch_warnings(action="ignore"):
        skipped("skipped.npy", "skip")
    Path("latin.jsonl").write_bytes('{"id": 1, "label": "\xe9"}\n'.encode("latin-1"))
    for name, content in CONTENTS.items():
        Path(name).write_text(content)


def safetensors(x):
    from safetensors.numpy import save_file

    save_file({"x": x}, "x.safetensors")


CONTENTS = {
    "test.csv": "id,label\n" + "".join(f"{row},{row % C}\n" for row in range(4)),
    "few.csv": "id,label\n0,0\n1,1\n2,2\n",
    "most.csv": "id,label\n" + "".join(f"{row},{row % C}\n" for row in range(N - 1)),
    "letters.csv": "id,label\np,c0\nq,c1\n",
    "text_labels.csv": "id,label\n" + "".join(f"n{row},c{row % C}\n" for row in range(N)),
    "others.csv": "id,label\nr,c0\ns,c1\n",
    "labeled_texts.csv": "id,text,label\n" + "".join(f"n{row},some words,c{row % C}\n" for row in range(N)),
    "no_ids.jsonl": '{"label": "a"}\n',
    "late.jsonl": "".join(f'{{"id": {row}}}\n' for row in range(1000)) + '{"id": 1000, "label": "a"}\n',
    "unnamed.csv": "0,1\n5,2\n7,3\n",
    "units.csv": 'a,b\n1,2\n"1,234.5",4\n5,6\n',
    "one_row.txt": "1\n",
    "one_class.csv": "id,label\n1,a\n2,a\n",
    "short.csv": "text\n" + "words\n" * (N + 1),
    "nul.jsonl": "".join(json.dumps({"text": f"a\0{row}"}) + "\n" for row in range(N)),
    "numbered.csv": "id,text\n0,one\n1,two\n2,three\n3,four\n",
    "signed.csv": "id,path\nx,signed.tif\ny,pictures/b.png\n",
    "bright.csv": "id,path\nx,bright.tif\ny,pictures/b.png\n",
    "no_path.csv": "id,path\nx,pictures/a.png\ny,\n",
    "with_names.csv": "a,b,name\n" + "".join(f"{row * row + 1},{row % 5},item {row}\n" for row in range(N)),
}
