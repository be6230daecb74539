"""Make the golden files of this release: ``python tests/golden/make.py VERSION`` writes them to the folder ``VERSION`` in this one.

They are a run directory of two strategies and two seeds, a labeling project, and embeddings in shards, each with a JSON file of its
content. Make them for each release that changes a file format, and keep them as they are: later releases must open them.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from PIL import Image

import distil
from distil.data.array_files import read_column
from distil.embedding import shards
from distil.labeling.events import Event, Shown
from distil.labeling.project import Project

CONFIG = {
    "model": {"architecture": "two_layer_net", "target_classes": 10, "hidden_units_1": 8},
    "train_parameters": {"lr": 0.05, "batch_size": 16, "n_epoch": 30},
    "active_learning": {
        "strategies": ["random_sampling", "margin_sampling"],
        "budget": 5,
        "rounds": 3,
        "initial_points": 20,
    },
    "dataset": {"name": "digits", "test_points": 200},
    "experiment": {"seeds": 2, "full_data": False},
}
SAID = [
    ("label", "anna", "first é", "cat"),
    ("label", "ben", "first é", "dog"),
    ("flag", "ben", "first é", None),
    ("skip", "anna", "second", None),
    ("unsure", "ben", "second", None),
    ("label", "anna", "third", "cat"),
    ("decide", "carl", "third", "dog"),
    ("label", "anna", "fourth", "dog"),
]


def main(version: str) -> None:
    """Make all of them."""
    folder = Path(__file__).parent / version
    folder.mkdir()
    for name, make in {"run": make_run, "project": make_project, "embeddings": make_embeddings}.items():
        (folder / f"{name}.json").write_text(json.dumps(make(folder), indent=1) + "\n")


def make_run(folder: Path) -> dict[str, Any]:
    """Run the experiment into ``run``, without its locks and its picture."""
    with tempfile.TemporaryDirectory() as scratch:
        config = Path(scratch) / "config.json"
        config.write_text(json.dumps(CONFIG))
        distil.run(config, output=folder / "run", progress=False)
    for path in [*(folder / "run").rglob(".lock"), folder / "run" / "curves.png"]:
        path.unlink(missing_ok=True)
    return run_says(folder / "run")


def run_says(run: Path) -> dict[str, Any]:
    """The picks of every round, and the numbers of the table."""
    report = distil.report(run)
    (experiment,) = report["experiments"]
    return {
        "picks": experiment["ids"],
        "labels": experiment["labels"],
        "values": {name: metric["values"] for name, metric in experiment["metrics"].items()},
        "notes": experiment["notes"],
    }


def make_project(folder: Path) -> dict[str, Any]:
    """Make ``project.db``, with an event of every kind."""
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "items.jsonl"
        ids = dict.fromkeys(item for _, _, item, _ in SAID)
        source.write_text("".join(json.dumps({"id": item, "text": f"text of {item}"}) + "\n" for item in ids))
        with Project.create(Path(scratch) / "p", classes=["cat", "dog", "cow"], copies=2) as project:
            project.add(source)
            fill(project)
            document = project_says(project)
        shutil.copyfile(Path(scratch) / "p" / "project.db", folder / "project.db")
    return document


def fill(project: Project) -> None:
    """Record an event of every kind."""
    events = [Event(kind=kind, who=who, item=item, label=label) for kind, who, item, label in SAID]
    shown = Event(
        kind="label", who="ben", item="fourth", label="cow", ms=850, tab="t1", shown=Shown("cat", 0.5, True, "why", "1")
    )
    last = events[-1].key
    project.record_all([*events, shown])
    project.record_all(
        [
            Event(kind="undo", who="anna", target=last),
            Event(kind="redo", who="anna", target=last),
            Event(kind="undo", who="anna", target=last),
            Event(kind="withdraw", who="carl", item="second", of="ben"),
            Event(kind="class_rename", who="carl", label="cat", name="kitty"),
            Event(kind="class_add", who="carl", label="pet"),
            Event(kind="class_merge", who="carl", label="dog", name="pet"),
            Event(kind="class_key", who="carl", label="cow", name="w"),
            Event(kind="class_key", who="ben", label="dog", name="p"),
        ]
    )
    project.lease("ben", 1, ["second"], tab="t2", lasting=True)
    project.release(["second"], "ben")
    project.lease("ben", 1, ["third"])
    project.queue(["fourth", "second"])


def project_says(project: Project) -> dict[str, Any]:
    """The state of a project, as JSON can hold it."""
    state = project.state()
    return {
        "classes": state.classes,
        "keys": state.keys,
        "answers": [[*place, *answer] for place, answer in state.answers.items()],
        "events": len(project.events()),
        "leases": [list(lease) for lease in project.leases()],
        "queued": project.queued("ben"),
        "texts": {item.id: item.text for item in project.items()},
    }


def make_embeddings(folder: Path) -> dict[str, Any]:
    """Embed six pictures into ``embeddings``, in shards of four so that the files are small."""
    pictures = folder / "pictures"
    pictures.mkdir()
    for number, pixels in enumerate(np.random.default_rng(0).integers(256, size=(6, 6, 6, 3), dtype=np.uint8)):
        Image.fromarray(pixels).save(pictures / f"{number}.png")
    with patch.object(shards, "_BLOCK", 4):
        shards.embed_shards(pictures, "pixels", folder / "embeddings", rows_per_shard=4)
    return embeddings_say(folder / "embeddings")


def embeddings_say(folder: Path) -> dict[str, Any]:
    """The ids, what the rows sum to, and the rows that two strategies select."""
    column = read_column(folder)
    rows = np.asarray(column.values)
    picks = {name: [*distil.select_from(name, 4, embeddings=rows, seed=0)] for name in ("random_sampling", "core_set")}
    return {"ids": column.names, "sums": rows.sum(1, dtype=np.float64).tolist(), "picks": picks}


if __name__ == "__main__":
    main(sys.argv[1])
