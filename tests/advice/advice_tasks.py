"""Cases of advice for ``test_advice.py``: regression, multi-label classification, and pools in shards."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

import numpy as np
import torch
from advice_tables import Sizes, X, array, config, text
from sklearn.linear_model import LinearRegression, LogisticRegression
from torch import nn

import distil
from distil.data.array_files import read_column
from distil.data.shards import write_manifest
from distil.datasets.load import load
from distil.embedding.embed import embed
from distil.embedding.shards import embed_shards
from distil.evaluation.compare import summarize
from distil.evaluation.curves import Curves
from distil.evaluation.units import Unit
from distil.training.linear_head import LinearHead

N, D, C = 24, 4, 3
TABLE = "a,b,y,z\n" + "".join(f"{row},{row % 7},{row % 2},{row % 3 // 2}\n" for row in range(N))
SETS = "a,b,sets\n" + "".join(f"{row},{row % 7},{['cat', 'dog', 'cat;dog'][row % 3]}\n" for row in range(N))
ERRORS = Curves(np.array([5, 10]), np.array([[0.5, 0.4], [0.5, 0.3]]), None, Unit(False, False))
HEAD = {"model__architecture": "linear_head", "model__hidden_units_1": None, "train_parameters": None}


def targets(label, task="regression", content=TABLE):
    """The data set in a table, with the labels in these columns."""
    return load("csv", path=text("targets.csv", content), label=label, task=task)


def numbered():
    """A data set of arrays in which each example has one number as its label."""
    np.savez("numbered.npz", x=X, y=np.arange(N) % C)
    return load("npz", path="numbered.npz", task="multilabel")


def regression(more=None, **model):
    """The first run of a configuration in regression."""
    text("target.csv", "a,b,y\n" + "".join(f"{row},{row % 7},{row / 2}\n" for row in range(N)))
    given = {"task": "regression", "name": "csv", "path": "target.csv", "label": "y", "test_points": 4}
    return config({**given, **(more or {})}, **HEAD, **model)


def learner(model, task="multilabel", strategy="multilabel_uncertainty", **options):
    return distil.Learner(X, model, strategy, task=task, **options)


def reloaded(task):
    """The state of a learner for label sets, loaded into one of another task."""
    made = learner(nn.Linear(D, C), num_classes=C)
    strategy = "margin_sampling" if task == "classification" else "multilabel_uncertainty"
    learner(nn.Linear(D, C), task, strategy, num_classes=C).load_state_dict(made.state_dict())


def named_probs(classes):
    """A selection by a table of probabilities whose columns are named."""
    text("named_probs.csv", "a,b,c\n" + "".join(f"{row / N},{1 - row / N},0\n" for row in range(N)))
    return distil.pick("margin_sampling", 2, probs="named_probs.csv", classes=classes)


def shards(*files):
    """A folder of shards of 12 rows each, in these files."""
    Path("shards").mkdir(exist_ok=True)
    write_manifest(Path("shards"), [12] * len(files), {"embeddings": list(files)})
    return "shards"


def rows(name, start, stop, ids=False):
    """Write a shard, with or without ids."""
    Path("shards").mkdir(exist_ok=True)
    given = {"ids": np.arange(start, stop)} if ids else {}
    np.savez(f"shards/{name}.npz", embeddings=X[start:stop], **given)
    return f"{name}.npz#embeddings"


def both():
    """A folder of shards with embeddings and probabilities."""
    Path("both").mkdir(exist_ok=True)
    for part in range(2):
        array(f"both/x{part}.npy", X[part::2])
        array(f"both/p{part}.npy", np.full((12, C), 1 / C))
    write_manifest(Path("both"), [12, 12], {"embeddings": ["x0.npy", "x1.npy"], "probs": ["p0.npy", "p1.npy"]})
    return "both"


def embedded(manifest=None, *, force=True):
    """Embeddings in shards, whose manifest has this text."""
    distil.embed("texts.csv", model="m:f", shards="embedded", force=force)
    if manifest is not None:
        text("embedded/manifest.json", manifest)
    return read_column("embedded")


def of_models(*names):
    """A selection from shards that these functions embedded."""
    for k, name in enumerate(names):
        text(f"part{k}.csv", "id,text\n" + "".join(f"{k}-{row},a text\n" for row in range(12)))
        distil.embed(f"part{k}.csv", model=f"m:{name}", out=f"models/{k}.npy", force=True)
    write_manifest(Path("models"), [12, 12], {"embeddings": ["0.npy", "1.npy"]})
    try:
        return from_shards(shards="models")
    finally:
        shutil.rmtree("models")  # another case counts the files here


into = partial(distil.embed, "texts.csv", model="m:f", force=True)
from_shards = partial(distil.pick, "core_set", 2)

# Advice in a message; the call that gives it; the call that follows it.
TASKS = [
    ("label must name distinct columns", lambda: targets(["y", "y"]), lambda: targets(["y", "z"])),
    (
        "label sets are names, such as cat;dog, or a column of 0 and 1 for each label",
        numbered,
        lambda: (targets("sets", "multilabel", SETS), targets(["y", "z"], "multilabel")),
    ),
    (
        "pass target=None",
        lambda: summarize({"random_sampling": ERRORS, "b": ERRORS}, target=0.5),
        lambda: summarize({"random_sampling": ERRORS, "b": ERRORS}, target=None),
    ),
    (
        "dataset.imbalance is for classification, and dataset.task is regression; remove it",
        lambda: regression({"imbalance": 0.5}),
        regression,
    ),
    (
        "model.target_classes must be 1, as target.csv has 1 target, got 3; leave it out",
        lambda: regression(model__target_classes=3),
        regression,
    ),
    (
        "pass a regressor",
        lambda: distil.wrap(LogisticRegression().fit(X, np.arange(N) % C), task="regression"),
        lambda: distil.wrap(LinearRegression().fit(X, np.arange(N)), task="regression"),
    ),
    (
        "classes are names of the columns of probs, and the task is regression; leave them out",
        lambda: distil.pick("lcmd", 2, embeddings="e.npy", task="regression", classes="a,b"),
        lambda: distil.pick("lcmd", 2, embeddings="e.npy", task="regression"),
    ),
    (
        "pass num_classes=, or the names of the labels as classes=",
        lambda: learner(nn.Linear(D, C)),
        lambda: (learner(nn.Linear(D, C), num_classes=C), learner(nn.Linear(D, C), classes=["a", "b", "c"])),
    ),
    (
        "classes are names of classes or labels, and the task is regression; leave them out",
        lambda: learner(nn.Linear(D, 2), "regression", "lcmd", classes=["a", "b"]),
        lambda: learner(nn.Linear(D, 2), "regression", "lcmd", num_classes=2),
    ),
    (
        "regression models give no probabilities; call the model for its predictions",
        lambda: learner(nn.Linear(D, 2), "regression", "lcmd", num_classes=2).probs([0]),
        lambda: nn.Linear(D, 2)(torch.from_numpy(X[:1])),
    ),
    (
        "pass LinearHead.over(..., task='multilabel')",
        lambda: learner(LinearHead.over(X, C), num_classes=C),
        lambda: learner(LinearHead.over(X, C, task="multilabel"), num_classes=C),
    ),
    (
        "load the state of a pool of the same task, with as many outputs",
        lambda: reloaded("classification"),
        lambda: reloaded("multilabel"),
    ),
    ("name the classes in the order of the columns", lambda: named_probs("b,a,c"), lambda: named_probs("a,b,c")),
]
SHARDS = [
    (
        "pass out, the file to write, or shards, the folder to write (--out, --shards)",
        into,
        lambda: (into(out="one.npy"), into(shards="several")),
    ),
    (
        "shard and rows_per_shard belong to a folder of shards; pass it (--shards)",
        lambda: into(out="one.npy", rows_per_shard=4096),
        lambda: into(shards="several", rows_per_shard=4096),
    ),
    (
        "executor, workers and address share out shards; pass their folder too (--shards)",
        lambda: into(out="one.npy", executor="serial"),
        lambda: into(shards="several", executor="serial"),
    ),
    (
        "and workers is 2; leave one of them out",
        lambda: from_shards(shards=both(), executor="serial", workers=2),
        lambda: (from_shards(shards=both(), executor="serial"), from_shards(shards=both(), workers=2)),
    ),
    (
        "pass them too (--shards)",
        lambda: from_shards(embeddings=both(), executor="serial"),
        lambda: from_shards(shards=both(), executor="serial"),
    ),
    (
        "embed a folder of images with distil embed first",
        lambda: distil.pick("core_set", 1, embeddings="mixed"),
        lambda: distil.pick("core_set", 1, embeddings=distil.embed("mixed", model="pixels", out="pixels.npy")["path"]),
    ),
    (
        "; texts, and images that a column names, are embedded first: distil embed",
        lambda: distil.pick("core_set", 1, embeddings="texts.csv"),
        lambda: distil.pick("core_set", 1, embeddings=into(out="texts.npy")["path"]),
    ),
    (
        "If they are the classes of the rows, write a table with the columns id and label",
        lambda: distil.pick(
            "core_set", 2, embeddings="e.npy", labeled=array("classes.npy", np.arange(N) % 3) or "classes.npy"
        ),
        lambda: distil.pick("core_set", 2, embeddings="e.npy", labeled="labeled.csv"),
    ),
    (
        "; run distil embed --shards with one of them again",
        lambda: of_models("f", "g"),
        lambda: of_models("f", "f"),
    ),
    (
        "add the files of probs to manifest.json, or choose by another strategy",
        lambda: distil.pick("margin_sampling", 2, shards=shards(rows("a", 0, 12), rows("b", 12, 24))),
        lambda: (distil.pick("margin_sampling", 2, shards=both()), from_shards(shards="shards")),
    ),
    (
        ", or pass labels (--labeled), on which a linear head is trained that gives them",
        lambda: distil.pick("margin_sampling", 2, shards=shards(rows("a", 0, 12), rows("b", 12, 24))),
        lambda: distil.pick("margin_sampling", 2, shards="shards", labeled="labeled.csv"),
    ),
    (
        "not with --shards; pass the folder as --embeddings and --probs for all options",
        lambda: from_shards(shards=both(), near=0.1, no_duplicates=True),
        lambda: from_shards(embeddings=both(), probs=both(), near=0.1, no_duplicates=True),
    ),
    (
        "choose from the whole pool (--embeddings, --probs), or by one of",
        lambda: distil.pick("typiclust", 2, shards=both()),
        lambda: (distil.pick("typiclust", 2, embeddings=both()), from_shards(shards=both())),
    ),
    (
        "write that shard again",
        lambda: read_column(shards(rows("a", 0, 12), rows("b", 12, 20))),
        lambda: read_column(shards(rows("a", 0, 12), rows("b", 12, 24))),
    ),
    (
        "give all of them ids",
        lambda: read_column(shards(rows("a", 0, 12, ids=True), rows("b", 12, 24))),
        lambda: read_column(shards(rows("a", 0, 12, ids=True), rows("b", 12, 24, ids=True))),
    ),
    ("write it again", lambda: embedded("{"), embedded),
    (
        "choose another folder for the shards, or replace it with force=True (--force)",
        lambda: [text("embedded/manifest.json", '{"version": 2}'), embedded(force=False)],
        embedded,
    ),
    (
        "embed it into one file (--out)",
        lambda: embed_shards(Sizes(), "m:f", "lengths"),
        lambda: embed(Sizes(), "m:f", out="lengths2.npy"),
    ),
]
