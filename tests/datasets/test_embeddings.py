"""Embeddings with labels that are matched by id, and the labeled items of a pool."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from distil import FitConfig, Rng, fit_dataset, open_pool
from distil.data.images import ImageTransform
from distil.datasets.data_set import DataSet
from distil.datasets.embeddings import Standardize, load_embeddings
from distil.datasets.labeled_items import labeled_items
from distil.embedding.embed import embed
from distil.errors import DataNotFound, InvalidInput

KINDS = ("cat", "dog", "eel")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(stem, n=12, dims=4, dtype=np.float32, first=0, kinds=KINDS, named=True):
    """Write ``STEM.npy``, its ids, and ``STEM.csv`` with its labels in another order; return the array, names and labels."""
    x = np.random.default_rng(first).normal(3, 2, size=(n, dims)).astype(dtype)
    np.save(f"{stem}.npy", x)
    names = [f"scan-{first + row}.png" if named else str(row) for row in range(n)]
    labels = [kinds[row % len(kinds)] for row in range(n)]
    rows = list(zip(names, labels, strict=True))
    random.Random(1).shuffle(rows)
    write_labels(f"{stem}.csv", rows)
    if named:
        with open(f"{stem}.ids.txt", "w") as file:
            file.writelines(f"{name}\n" for name in names)
    return x, names, labels


def write_labels(path, rows):
    with open(path, "w") as file:
        file.writelines(f"{','.join(map(str, row))}\n" for row in [("id", "label"), *rows])


# ------------------------------------------------------------------------------------------------------------ embeddings


def test_labels_are_matched_by_id(case, here):
    for named in (False, True):  # a file of ids would stay for the next case
        with case(named):
            x, names, labels = write("emb", named=named)
            data = load_embeddings("emb.npy", "emb.csv")
            assert isinstance(data, DataSet)
            assert data.x_train.numpy().tobytes() == x.tobytes()
            assert [data.class_names[y] for y in data.y_train] == labels
            assert (data.names, data.class_names, data.num_classes, data.name) == (names, KINDS, 3, "emb.npy")
            assert data.x_test is None
            assert data.made_of == {}


def test_the_array_is_used_without_copying(case, here):
    """A change in the file changes the data set: nothing was copied."""
    for dtype in [np.float16, np.float32, np.float64]:
        with case(dtype):
            write("emb", dtype=dtype)
            data = load_embeddings("emb.npy", "emb.csv")
            np.lib.format.open_memmap("emb.npy", "r+")[3, 1] = 77
            assert float(data.x_train[3, 1]) == 77


def test_other_numbers_become_float32(case, here):
    for dtype in [np.uint8, np.int64, np.dtype(">f4"), bool]:
        with case(dtype):
            x, _, _ = write("emb", dtype=dtype)
            data = load_embeddings("emb.npy", "emb.csv")
            assert data.x_train.dtype == torch.float32
            assert np.array_equal(data.x_train.numpy(), x.astype(np.float32))


def test_the_order_of_classes(case, here):
    for written, classes in [
        (["10", "9", "2"], ("2", "9", "10")),
        (["b", "B", "a"], ("B", "a", "b")),
        (["1.0", "0", "1"], ("0", "1")),
    ]:
        with case(written, classes):
            write("emb", n=3, kinds=written)
            assert load_embeddings("emb.npy", "emb.csv").class_names == classes


def test_a_test_set_of_its_own(here):
    write("emb")
    x, _, labels = write("other", n=5, first=100, kinds=("dog", "fox"))
    data = load_embeddings("emb.npy", "emb.csv", test_embeddings="other.npy", test_labels="other.csv")
    assert data.class_names == ("cat", "dog", "eel", "fox")  # classes of both tables
    assert np.array_equal(data.x_test.numpy(), x)
    assert [data.class_names[y] for y in data.y_test] == labels


def test_files_are_looked_for_in_the_data_root_too(here, monkeypatch):
    (here / "root").mkdir()
    monkeypatch.chdir(here / "root")
    x, names, labels = write("emb")
    np.savez("two.npz", a=x, b=x[:, :2], ids=np.array(names))
    monkeypatch.chdir(here)
    assert load_embeddings("emb.npy", "emb.csv", root="root").x_train.shape == (12, 4)
    data = load_embeddings("two.npz#b", "emb.csv", root="root")
    assert data.x_train.shape == (12, 2)
    assert [data.class_names[y] for y in data.y_train] == labels
    with pytest.raises(DataNotFound, match=r"absent\.npy"):
        load_embeddings("absent.npy", "emb.csv", root="root")


def test_standardized(here):
    x, _, _ = write("emb", n=9000)
    x[:, 2] = 5
    x[:, 3] += 1e4
    np.save("emb.npy", x)
    data = load_embeddings("emb.npy", "emb.csv")
    transform = Standardize.fitted(data.x_train, torch.arange(9000))
    z = transform(data.x_train).double()
    assert torch.allclose(z.mean(0), torch.zeros(4, dtype=torch.float64), atol=1e-2)
    assert torch.allclose(z.std(0, correction=0), torch.tensor([1.0, 1, 0, 1], dtype=torch.float64), atol=1e-3)
    exact = x.astype(np.float64)
    assert np.allclose(transform.mean, exact.mean(0), rtol=1e-6)
    assert np.allclose(transform.std, [*exact.std(0)[:2], 1, exact.std(0)[3]], rtol=1e-5)
    assert data.transform is None
    some = torch.arange(0, 9000, 7)
    half = Standardize.fitted(data.x_train.half(), some)
    assert half(data.x_train.half()).dtype == torch.float32
    assert np.allclose(half.mean[:3], exact[::7].astype(np.float16)[:, :3].mean(0), atol=1e-3)


def test_the_note_of_embed_is_read(here, refuses):
    (here / "mine_labeled.py").write_text("def encode(items): return [[len(item), 1.0] for item in items]\n")
    (here / "texts.csv").write_text("id,text\n" + "".join(f"t{row},{'x' * row}.\n" for row in range(6)))
    embed("texts.csv", "mine_labeled:encode", out="emb.npy")
    write_labels("labels.csv", [(f"t{row}", row % 2) for row in range(6)])
    note = json.loads((here / "emb.info.json").read_text())
    assert load_embeddings("emb.npy", "labels.csv").made_of == {"model": "mine_labeled:encode", "key": note["key"]}
    np.save("emb.npy", np.zeros((6, 5)))  # another array than that of the note
    with refuses(InvalidInput, "emb.npy is not as distil embed left it"):
        load_embeddings("emb.npy", "labels.csv")
    (here / "emb.info.json").unlink()
    assert load_embeddings("emb.npy", "labels.csv").made_of == {}


def test_wrong_labels(case, here, refuses):
    for rows, parts in [
        ([("scan-0.png", "a"), ("scan-1.png", "b")], ["no label for 2 of the 4 rows", "'scan-2.png', 'scan-3.png'"]),
        (
            [*((f"scan-{r}.png", "ab"[r % 2]) for r in range(4)), ("scan-9.png", "a")],
            ["not in the pool", "'scan-9.png'"],
        ),
        (
            [*((f"scan-{r}.png", "ab"[r % 2]) for r in range(4)), ("scan-0.png", "b")],
            ["'scan-0.png' has the label 'a' in", "line 2 and 'b' in", "line 6; keep one of them"],
        ),
        ([(f"scan-{r}.png", "a") for r in range(4)], ["at least two classes"]),
        ([(f"scan-{r}.png", r / 2) for r in range(4)], ["regression"]),
        ([(f"scan-{r}.png", "a" if r else "") for r in range(4)], ["no label for 1 of the 4 rows", "'scan-0.png'"]),
    ]:
        with case(rows, parts):
            write("emb", n=4)
            write_labels("emb.csv", rows)
            with refuses(InvalidInput, "emb.csv", *parts):
                load_embeddings("emb.npy", "emb.csv")


def test_wrong_rows(here, refuses):
    x, _, _ = write("emb")
    x[7, 2] = np.nan
    np.save("emb.npy", x)
    with refuses(InvalidInput, "emb.npy", "'scan-7.png'", "NaN"):
        load_embeddings("emb.npy", "emb.csv")
    np.save("emb.npy", x[:, 0])
    with refuses(InvalidInput, "(examples, columns)", "(12,)"):
        load_embeddings("emb.npy", "emb.csv")


def test_wrong_test_sets(here, refuses):
    write("emb")
    for name, options in (("same", {}), ("wide", {"first": 50, "dims": 5})):
        write(name, **options)
    with refuses(InvalidInput, "12 ids are in", "'scan-0.png'"):
        load_embeddings("emb.npy", "emb.csv", test_embeddings="same.npy", test_labels="same.csv")
    with refuses(InvalidInput, "(4,)", "(5,)", "the same shape and type"):
        load_embeddings("emb.npy", "emb.csv", test_embeddings="wide.npy", test_labels="wide.csv")
    with refuses(InvalidInput, "belong together"):
        load_embeddings("emb.npy", "emb.csv", test_embeddings="same.npy")


def test_ids_without_labels(here, refuses):
    write("emb")
    with refuses(InvalidInput, "emb.ids.txt has no labels"):
        load_embeddings("emb.npy", "emb.ids.txt")


# ---------------------------------------------------------------------------------------------------------- labeled items


@pytest.fixture
def images(here):
    """Six images: red ones, and blue ones."""
    (here / "images").mkdir()
    for row in range(6):
        color = (250, row, 0) if row % 2 else (0, row, 250)
        Image.new("RGB", (8, 8), color).save(here / "images" / f"{row}.png")
    return open_pool("images", transform=ImageTransform(size=8))


def test_labeled_items_are_trained_on(here, images):
    write_labels("labeled.csv", [(f"{row}.png", "red" if row % 2 else "blue") for row in (3, 0, 4, 1)])
    labeled, classes = labeled_items(images, "labeled.csv")
    assert (classes, labeled.ids.tolist(), labeled.y.tolist()) == (("blue", "red"), [3, 0, 4, 1], [1, 0, 0, 1])
    with Rng(0).scope():
        model = nn.Sequential(nn.Flatten(), nn.Linear(192, 2))
    fit_dataset(model, labeled, FitConfig(lr=0.01, n_epoch=20), num_classes=2, rng=Rng(0))
    assert model(torch.stack([images[row] for row in range(6)])).argmax(1).tolist() == [0, 1, 0, 1, 0, 1]


def test_classes_may_be_passed(here, images, refuses):
    write_labels("labeled.csv", [("3.png", "red"), ("0.png", "red")])
    labeled, classes = labeled_items(images, "labeled.csv", classes=["green", "red", "blue"])
    assert (classes, labeled.y.tolist()) == (("green", "red", "blue"), [1, 1])
    with refuses(InvalidInput, "at least two classes"):
        labeled_items(images, "labeled.csv")
    with refuses(InvalidInput, "'3.png' is 'red'", "did you mean 'reds'"):
        labeled_items(images, "labeled.csv", classes=["green", "reds"])
    for classes, message in [
        (["red", "red"], "classes must be at least two distinct names"),
        (["red", "1", "1.0"], "classes must be at least two distinct names"),  # one label in files
        (["red", None], "classes has None, which cannot be the name of a class"),
    ]:
        with refuses(InvalidInput, message):
            labeled_items(images, "labeled.csv", classes=classes)
    write_labels("labeled.csv", [("3.png", "red"), ("30.png", "blue")])
    with refuses(InvalidInput, "'30.png'"):
        labeled_items(images, "labeled.csv")


def test_rows_without_a_label(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("emb.npy", np.arange(8.0).reshape(4, 2))
    Path("some.csv").write_text("id,label\n3,b\n1,a\n")
    Path("test.csv").write_text("id,label\n0,b\n1,c\n2,a\n3,c\n")
    with pytest.raises(InvalidInput, match="has no label for 2 of the 4 rows"):
        load_embeddings("emb.npy", "some.csv")
    data = load_embeddings("emb.npy", "some.csv", partly=True)
    assert data.y_train.tolist() == [-1, 0, -1, 1]
    np.save("test.npy", np.ones((4, 2)))
    Path("emb.ids.txt").write_text("a\nb\nc\nd\n")
    data = load_embeddings("emb.npy", None, test_embeddings="test.npy", test_labels="test.csv", partly=True)
    assert (data.y_train.tolist(), data.y_test.tolist()) == ([-1] * 4, [1, 2, 0, 2])
    assert data.class_names == ("a", "b", "c")
    Path("test.csv").write_text("id,label\n0,b\n1,c\n2,a\n")
    with pytest.raises(InvalidInput, match=r"test\.csv has no label for 1 of the 4 rows"):
        load_embeddings("emb.npy", None, test_embeddings="test.npy", test_labels="test.csv", partly=True)
    with pytest.raises(InvalidInput, match=r"emb\.npy has no labels at all"):
        load_embeddings("emb.npy", None, partly=True)
