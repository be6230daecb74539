"""Experiments over folders of images and tables of texts, embedded on the way: labels, cache, pinning, resuming."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from distil.cli import main
from distil.errors import ConfigError, InvalidInput
from distil.experiment import outputs
from distil.experiment.config.experiment_config import parse_config, read_config
from distil.labeling.events import Event
from distil.labeling.project import Project

LOOP = {"strategies": ["random_sampling", "badge"], "budget": 4, "rounds": 2, "initial_points": 6}
KINDS = ("cat", "dog", "eel")
# Writes a line for every item, so that the items that went through the model can be counted in other processes too.
ENCODER = """
import numpy as np

def note(items):
    with open("seen.txt", "a") as file:
        file.write("x" * len(items))

def encode(items):
    note(items)
    return [[np.asarray(item)[..., channel].mean() for channel in range(3)] for item in items]

def words(items):
    note(items)
    return [[float(word in item) for word in ("cat", "dog", "eel")] + [len(item) / 9] for item in items]
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(outputs, "picture_of", lambda *_, **__: b"picture")
    (tmp_path / "colors.py").write_text(ENCODER)
    yield tmp_path
    sys.modules.pop("colors", None)


def write_images(root, n=36, seed=0, flat=False):
    draws = np.random.default_rng(seed)
    for row in range(n):
        color = draws.integers(0, 60, 3) + 150 * np.eye(3, dtype=int)[row % 3]
        path = Path(root, f"{row}.png") if flat else Path(root, KINDS[row % 3], f"{row}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((3, 4, 3), color, np.uint8)).save(path)


def write_texts(path, n=36, header="id,text,label"):
    rows = [(f"t{row}", f"text {row} of a {KINDS[row % 3]}", KINDS[row % 3]) for row in range(n)]
    names = ("id", "text", "label")
    wanted = header.split(",")
    lines = [",".join(dict(zip(names, row, strict=True))[name] for name in wanted) for row in rows]
    Path(path).write_text("\n".join([header, *lines]) + "\n")


def seen():
    return len(Path("seen.txt").read_text()) if Path("seen.txt").exists() else 0


def config(**dataset):
    return {"active_learning": LOOP, "dataset": dataset}


def saved(**dataset):
    Path("own.json").write_text(json.dumps(config(**dataset)))
    return "own.json"


def labels_of(data):
    return dict(zip(data.names, (data.class_names[y] for y in data.y_train.tolist()), strict=True))


IMAGES = {"images": "pool", "encoder": "colors:encode"}


def test_a_folder_of_images_is_embedded_once(here):
    write_images("pool")
    assert main(["compare", saved(**IMAGES), "--seeds", "2"]) == 0
    assert seen() == 36
    shutil.move("pool", "moved")  # the cache knows content, not places
    assert main(["run", saved(**{**IMAGES, "images": "moved"}), "--output", "again"]) == 0
    assert seen() == 36
    with Path("again/badge/0/labeled.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 10
    assert all(row["id"].startswith(f"{row['label']}/") for row in rows)
    kept = json.loads(Path("again/config.json").read_text())
    assert kept["dataset"]["name"] == "moved"
    assert kept["model"]["target_classes"] == 3


def test_a_run_goes_on_only_with_the_same_images(here):
    write_images("pool")
    assert main(["run", saved(**IMAGES), "--output", "out"]) == 0
    whole = Path("out/results.csv").read_bytes()
    shutil.rmtree("out/badge")
    shutil.rmtree("cache", ignore_errors=True)  # the embeddings are made again, and are the same
    assert main(["resume", "out"]) == 0
    assert Path("out/results.csv").read_bytes() == whole
    Image.new("RGB", (3, 4), (255, 255, 255)).save("pool/cat/0.png")
    changed = read_config("out/config.json")
    with pytest.raises(ConfigError, match=r"dataset\.sha256: the images, ids or labels of pool have changed"):
        changed.load_data()


def test_where_labels_come_from(here):
    write_images("pool")
    write_images("flat", flat=True)
    right = {f"{row}.png": KINDS[row % 3] for row in range(36)}
    Path("labels.csv").write_text("id,label\n" + "".join(f"{id_},{label}\n" for id_, label in right.items()))
    Path("paths.csv").write_text("path,class\n" + "".join(f"flat/{id_},{label}\n" for id_, label in right.items()))
    folders = parse_config(config(**IMAGES)).load_data()
    assert labels_of(folders) == {f"{label}/{id_}": label for id_, label in right.items()}
    assert "read the folders in pool as labels: cat, dog, eel" in folders.read
    table = parse_config(config(images="flat", labels="labels.csv", encoder="colors:encode")).load_data()
    assert labels_of(table) == right
    paths = parse_config(config(images="paths.csv", encoder="colors:encode")).load_data()
    assert labels_of(paths) == {f"flat/{id_}": label for id_, label in right.items()}
    embedded = {"embeddings": "emb.npy", "labels": "pool"}
    assert main(["embed", "pool", "--model", "colors:encode", "--out", "emb.npy"]) == 0
    assert labels_of(parse_config(config(**embedded)).load_data()) == labels_of(folders)


def test_a_folder_says_what_is_labeled(here):
    write_images("pool")
    write_images("labeled", n=30)
    pool = ["--pool", "pool", "--model", "colors:encode", "--strategy", "random_sampling", "--n", "6"]
    assert main(["select", *pool, "--labeled", "labeled", "--out", "picks.csv"]) == 0
    with Path("picks.csv").open() as file:
        assert {row["id"] for row in csv.DictReader(file)} == {f"{KINDS[row % 3]}/{row}.png" for row in range(30, 36)}
    assert main(["audit", "pool", "--labeled", "labeled", "--out", "audit.json"]) == 0
    report = json.loads(Path("audit.json").read_text())
    assert report["classes"]["labeled"] == {"cat": 10, "dog": 10, "eel": 10}
    assert report["leakage"][0]["exact"] == 0  # they are images of the pool


def test_a_test_set_of_its_own(here):
    """Both sets may have the same ids, as in train/cat/1.png and test/cat/1.png."""
    write_images("pool")
    write_images("test", n=9, seed=1)
    data = parse_config(config(**IMAGES, test_images="test")).load_data()
    assert len(data.x_test) == 9
    assert data.y_test.tolist() == [0] * 3 + [1] * 3 + [2] * 3


def test_texts_of_a_table(here):
    write_texts("news.csv")
    write_texts("bare.csv", header="text,label")
    texts = {"encoder": "colors:words", "texts": "news.csv"}
    for _ in range(2):
        assert main(["run", saved(**texts), "--output", "out"]) == 0
        assert seen() == 36
    data = parse_config(config(**texts)).load_data()
    assert labels_of(data) == {f"t{row}": KINDS[row % 3] for row in range(36)}
    bare = parse_config(config(**{**texts, "texts": "bare.csv"}, test_texts="news.csv")).load_data()
    assert labels_of(bare) == {str(row): KINDS[row % 3] for row in range(36)}
    assert bare.y_test.tolist() == data.y_train.tolist()


def test_what_cannot_be_a_data_set(here):
    write_images("pool")
    write_images("flat", flat=True)
    write_texts("news.csv")
    Path("gaps.csv").write_text("text,label\nthe cat,a\nthe dog,\n")
    Path("none.csv").write_text("id,text\n1,the cat\n2,the dog\n")
    for wrong, message in [
        ({"images": "flat"}, r"flat: expected one folder for each class.*got '0.png', which is in none"),
        ({"images": "news.csv"}, r"dataset\.images: expected images, but .*news\.csv holds texts"),
        ({"texts": "pool"}, r"dataset\.texts: expected texts, but .*pool holds images"),
        ({"texts": "gaps.csv"}, r"gaps\.csv, line 3: the label is missing"),
        ({"texts": "none.csv"}, r"none\.csv has no labels: expected a column label, labels, class or target"),
    ]:
        with pytest.raises(InvalidInput, match=message):
            parse_config(config(**wrong, encoder="colors:words")).load_data()
    for wrong, message in [
        ({"images": "pool"}, "missing key dataset.encoder"),
        (
            {"images": "pool", "encoder": "colors:encode", "test_labels": "a.csv"},
            "test_labels needs dataset.test_images",
        ),
        ({"images": "pool", "encoder": "colors:encode", "texts": "news.csv"}, "unknown key dataset.texts"),
    ]:
        with pytest.raises(ConfigError, match=message):
            parse_config(config(**wrong))


def test_people_label_a_pool_without_labels(here, case):
    """A flat folder of images, and a table whose column of labels is missing or empty; the test set has labels."""
    write_images("flat", flat=True)
    write_images("tested", 12, seed=1)
    write_texts("plain.csv", header="id,text")
    write_texts("test.csv", 12)
    Path("test.csv").write_text(Path("test.csv").read_text().replace("\nt", "\ntest-"))
    plain = Path("plain.csv").read_text().splitlines()
    Path("empty.csv").write_text("\n".join(["id,text,label", *(f"{line}," for line in plain[1:])]) + "\n")
    loop = {"strategy": "random_sampling", "budget": 4, "rounds": 1, "initial_points": 6}
    for number, (kind, pool, test, encoder) in enumerate(
        [
            ("images", "flat", "tested", "colors:encode"),
            ("texts", "plain.csv", "test.csv", "colors:words"),
            ("texts", "empty.csv", "test.csv", "colors:words"),
        ]
    ):
        with case(pool):
            experiment = {"output": f"out{number}", "oracle": f"project p{number}"}
            data = {kind: pool, f"test_{kind}": test, "encoder": encoder}
            Path("x.json").write_text(json.dumps({"dataset": data, "active_learning": loop, "experiment": experiment}))
            with Project.create(f"p{number}", classes=KINDS) as project:
                project.add(pool)
                assert main(["run", "x.json"]) == 3
                asked = project.queued("anna")
                assert len(asked) == 6
                kinds = [KINDS[int(item.strip("t").removesuffix(".png")) % 3] for item in asked]
                project.record_all(
                    [
                        Event(kind="label", who="anna", item=item, label=label)
                        for item, label in zip(asked, kinds, strict=True)
                    ]
                )
                assert main(["resume", f"out{number}"]) == 0
