"""Cases of advice for ``test_advice.py``: data, files and objects of a person's own that one argument or one edit makes right."""

from __future__ import annotations

import gzip
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import torch

import distil
from distil.data.ids import read_ids
from distil.datasets.data_set import DataSet
from distil.functional.batchbald import batchbald
from distil.functional.noise import power, softmax
from distil.utils.data_handler import DataHandler_Points

N, D, C = 24, 4, 3
X = np.random.default_rng(2).normal(size=(N, D)).astype(np.float32)
Y = np.arange(N) % C
PROBS = np.random.default_rng(3).dirichlet(np.ones(C), N).astype(np.float32)
SCORES = torch.tensor([-1.0, 2.0])
FRAME = pd.DataFrame({"a": X[:, 0], "b": X[:, 1]})
TWICE = pd.DataFrame(X[:, :2], columns=["a", "a"])
OFFSETS = np.arange(0, N + 1, 2)


def net():
    return torch.nn.Linear(D, C)


def tokens(**more):
    return distil.select_from("token_uncertainty", 2, probs=PROBS, **more)


def points(**changes):
    given = {"name": "mine", "x_train": torch.from_numpy(X), "y_train": torch.from_numpy(Y), "num_classes": C}
    return DataSet(**{**given, "x_test": None, "y_test": None, **changes})


def given(**more):
    return distil.select_from("glister", 2, probs=PROBS, embeddings=X, labeled=([0, 1, 2], [0, 1, 2]), **more)


TEXT = b"id,label\n1,a\n2,b\n"
TABLE = pd.DataFrame({"id": ["1", "2"], "label": ["a", "b"]})


def listed(name, content):
    """The ids in a file with this content."""
    Path(name).write_bytes(content)
    return read_ids(name)


def numpy_file():
    np.save("ids.npy", np.array(["1", "2"]))
    return Path("ids.npy").read_bytes()


def as_csv(content):
    """Two functions: one reads this content as csv, the other the table as it should be."""
    return lambda: listed("other.csv", content), lambda: listed("other.csv", TEXT)


INPUTS = [
    (
        "is compressed; give it the ending .gz",
        lambda: listed("g.csv", gzip.compress(TEXT)),
        lambda: listed("g.csv.gz", gzip.compress(TEXT)),
    ),
    (
        "is not compressed as its ending .gz says; give it the ending of its content",
        lambda: listed("g.csv.gz", TEXT),
        lambda: listed("g.csv", TEXT),
    ),
    (
        "is a Parquet file; give it the ending .parquet",
        lambda: listed("p.csv", TABLE.to_parquet()),
        lambda: listed("p.parquet", TABLE.to_parquet()),
    ),
    (
        "is an array of NumPy; give it the ending .npy",
        lambda: listed("n.csv", numpy_file()),
        lambda: listed("n.npy", numpy_file()),
    ),
    (
        "is a Feather file; write the table as .parquet",
        lambda: listed("f.csv", b"ARROW1\0\0"),
        lambda: listed("f.parquet", TABLE.to_parquet()),
    ),
    ("is a PDF; save its table as CSV (UTF-8)", *as_csv(b"%PDF-1.7\n")),
    ("of Office; save its sheet as CSV (UTF-8)", *as_csv(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")),
    ("is UTF-16 text without a byte order mark; save it as UTF-8", *as_csv(TEXT.decode().encode("utf-16-le"))),
    ("is UTF-32 text; save it as UTF-8", *as_csv(TEXT.decode().encode("utf-32"))),
    (
        "say which rows of `probs` are the tokens of each example; pass offsets=...",
        tokens,
        lambda: tokens(offsets=OFFSETS),
    ),
    ("pass offsets=...", tokens, lambda: tokens(offsets=OFFSETS)),
    (
        "whose rows it divides among the examples; pass probs=...",
        lambda: distil.select_from("core_set", 2, embeddings=X, offsets=OFFSETS),
        lambda: tokens(offsets=OFFSETS),
    ),
    (
        "leave out offsets",
        lambda: distil.select_from("margin_sampling", 2, probs=PROBS, offsets=OFFSETS),
        lambda: distil.select_from("margin_sampling", 2, probs=PROBS),
    ),
    (
        "pass both x_test and y_test, or neither",
        lambda: points(x_test=torch.from_numpy(X)),
        lambda: points(x_test=torch.from_numpy(X), y_test=torch.from_numpy(Y)),
    ),
    (
        "pass them as arrays to distil.select_from",
        lambda: distil.select("delta_ucb", net(), X, 2),
        lambda: distil.select_from("delta_ucb", 2, rewards=X, deviations=np.abs(X)),
    ),
    (
        "whose items are columns; pass data.to_pandas()",
        lambda: distil.select("margin_sampling", net(), pa.table({"a": X[:, 0]}), 2),
        lambda: distil.select(
            "margin_sampling", torch.nn.Linear(1, C), pa.table({"a": X[:, 0]}).to_pandas().to_numpy(), 2
        ),
    ),
    (
        "pass the result of its collect()",
        lambda: distil.select_from("margin_sampling", 2, probs=pl.DataFrame(PROBS).lazy()),
        lambda: distil.select_from("margin_sampling", 2, probs=pl.DataFrame(PROBS).lazy().collect()),
    ),
    (
        "rename one of them",
        lambda: distil.open_pool(TWICE),
        lambda: distil.open_pool(TWICE.set_axis(["a", "b"], axis=1)),
    ),
    (
        "pass a dict {id: label}, or a pair (ids, labels)",
        lambda: given(validation=[3, 4, 5]),
        lambda: given(validation={3: 0, 4: 1, 5: 2}),
    ),
    (
        "use softmax or softrank",
        lambda: power(SCORES, 1.0, torch.zeros(2)),
        lambda: softmax(SCORES, 1.0, torch.zeros(2)),
    ),
    (
        "pass generator=..., or a larger max_configurations",
        lambda: batchbald(torch.from_numpy(PROBS)[:, None].expand(-1, 2, -1), 4, max_configurations=3),
        lambda: batchbald(torch.from_numpy(PROBS)[:, None].expand(-1, 2, -1), 2, max_configurations=99),
    ),
    (
        "pass Y, or leave select out",
        lambda: DataHandler_Points(X, select=False),
        lambda: (DataHandler_Points(X, Y, select=False), DataHandler_Points(X)),
    ),
]


CORE = ["select", "--n", "2", "--strategy", "core_set", "--embeddings", "e.npy"]
PIXELS = ["embed", "paths.csv", "--model", "pixels", "--out", "paths.npy"]
PHONE = ["embed", "phone.csv", "--model", "pixels", "--out", "phone.npy"]
# Advice; the command that gives it; what a person does then; the command that works.
FILES = [
    (
        "name the curve of each row in a column called seed or fold",
        ["forecast", "curves.csv"],
        lambda: Path("curves.csv").write_text("labels,score,seed\n10,0.5,0\n10,0.6,1\n"),
        ["forecast", "curves.csv"],
    ),
    (
        "save the curve as a table with the columns labels and score, such as curve.csv",
        ["forecast", "curve.npy"],
        lambda: Path("curve.csv").write_text("labels,score\n10,0.5\n20,0.6\n"),
        ["forecast", "curve.csv"],
    ),
    (
        "got 0; drop the row of a model without labels",
        ["forecast", "from_zero.csv"],
        lambda: Path("from_zero.csv").write_text("labels,score\n10,0.5\n20,0.6\n"),
        ["forecast", "from_zero.csv"],
    ),
    (
        "keep the rows of one strategy, by its column 'strategy'",
        ["forecast", "strategies.csv"],
        lambda: Path("strategies.csv").write_text("labels,score,strategy\n10,0.5,badge\n20,0.6,badge\n"),
        ["forecast", "strategies.csv"],
    ),
    (
        "save its sheet as CSV (UTF-8)",
        [*CORE, "--labeled", "book.csv"],
        lambda: Path("book.csv").write_text("id,label\n1,a\n"),
        [*CORE, "--labeled", "book.csv"],
    ),
    (
        "convert images to .png or .jpg",
        PIXELS,
        lambda: Path("paths.csv").write_text("id,path\nx,pictures/a.png\ny,pictures/b.png\n"),
        PIXELS,
    ),
    (
        "its content is HEIC; convert images to .png or .jpg",
        PHONE,
        lambda: shutil.copy("pictures/a.png", "pictures/phone.jpg"),
        PHONE,
    ),
    (
        "(byte 2); pass a JSON file, saved as UTF-8",
        ["run", "latin.json"],
        lambda: Path("latin.json").write_bytes(Path("c.json").read_bytes()),
        ["run", "latin.json"],
    ),
]
LISTS = [
    (
        "ask for one of them",
        ["next", "prj", "--n", "1", "--ties", "--suspects", "--out", "one_list.csv"],
        None,
        ["next", "prj", "--n", "1", "--out", "one_list.csv"],
    ),
]


def own_files():
    """Write the files of ``FILES`` into the current directory."""
    Path("curves.csv").write_text("labels,score\n10,0.5\n10,0.6\n")
    np.save("curve.npy", np.array([[10, 0.5], [20, 0.6]]))
    Path("from_zero.csv").write_text("labels,score\n0,0.1\n10,0.5\n20,0.6\n")
    Path("strategies.csv").write_text("labels,score,strategy\n10,0.5,badge\n20,0.6,badge\n10,0.4,core_set\n")
    with zipfile.ZipFile("book.csv", "w") as file:
        file.writestr("sheet.xml", "<a/>")
    Path("pictures/scan.foo").touch()
    Path("paths.csv").write_text("id,path\nx,pictures/scan.foo\n")
    Path("pictures/phone.jpg").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    Path("phone.csv").write_text("id,path\nx,pictures/phone.jpg\ny,pictures/b.png\n")
    Path("latin.json").write_bytes(b'{"\xe9": 1}')
