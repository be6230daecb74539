"""The documented data sets and shifts: signatures, layouts, counts; no network."""

from __future__ import annotations

import inspect
import io
import math
import pickle
import struct
from collections import Counter

import numpy as np
import pytest
import torch
from scipy.io import savemat

from distil.datasets import download
from distil.datasets.load import load
from distil.errors import DataNotFound, DistilError, InvalidInput
from distil.utils import data_handler, dataset
from distil.utils.dataset import add_label_noise, get_dataset, get_imbalanced_idx, make_data_redundant

NEEDED = inspect.Parameter.empty
LOADER = [("path", NEEDED), ("tr_load_args", None), ("te_load_args", None)]
# Typed from the document, section 1.2.2.
DOCUMENTED = {
    "add_label_noise": [("y_trn", NEEDED), ("num_cls", NEEDED), ("noise_ratio", 0.8)],
    "get_CIFAR10": LOADER,
    "get_CIFAR100": LOADER,
    "get_FASHION_MNIST": LOADER,
    "get_KMNIST": LOADER,
    "get_MNIST": LOADER,
    "get_STL10": LOADER,
    "get_SVHN": LOADER,
    "get_dataset": [("name", NEEDED), *LOADER],
    "get_imbalanced_idx": [("y_trn", NEEDED), ("num_cls", NEEDED), ("class_ratio", 0.6)],
    "make_data_redundant": [
        ("X", NEEDED),
        ("Y", NEEDED),
        ("initial_bud", NEEDED),
        ("unique_points", 5000),
        ("amtRed", 2),
    ],
}
SHAPES = {
    "MNIST": (28, 28),
    "KMNIST": (28, 28),
    "FASHION_MNIST": (28, 28),
    "CIFAR10": (32, 32, 3),
    "CIFAR100": (32, 32, 3),
    "SVHN": (3, 32, 32),
    "STL10": (3, 96, 96),
}
CORE = {name: name.lower() for name in SHAPES} | {"FASHION_MNIST": "fmnist"}


def test_documented_signatures():
    assert sorted(dataset.__all__) == sorted(DOCUMENTED)
    for name, documented in DOCUMENTED.items():
        function = getattr(dataset, name)
        parameters = inspect.signature(function).parameters.values()
        assert [(p.name, p.default) for p in parameters] == documented, name
        assert all(p.kind is p.POSITIONAL_OR_KEYWORD for p in parameters), name
        assert function.__doc__, name


# ------------------------------------------------------------------------------------------------------ loading


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Every set, tiny, in its published format: 40 training images and 20 test images, classes in turn."""
    root = tmp_path_factory.mktemp("sets")
    rng = np.random.default_rng(0)
    sizes = {"train": 40, "test": 20}

    def put(place, raw):
        path = root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(raw)

    def idx(array):
        return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()

    for folder in ("MNIST", "KMNIST", "FashionMNIST"):
        for part, n in (("train", 40), ("t10k", 20)):
            put(f"{folder}/raw/{part}-images-idx3-ubyte", idx(rng.integers(0, 256, (n, 28, 28))))
            put(f"{folder}/raw/{part}-labels-idx1-ubyte", idx(np.arange(n) % 10))
    batches = {**{f"data_batch_{b}": range(8 * b, 8 * b + 8) for b in range(1, 6)}, "test_batch": range(20)}
    for name, rows in batches.items():
        data = rng.integers(0, 256, (len(rows), 3072), dtype=np.uint8)
        content = {"data": data, "labels": [row % 10 for row in rows]}
        put(f"cifar-10-batches-py/{name}", pickle.dumps(content, protocol=2))
    for part, n in sizes.items():
        data = rng.integers(0, 256, (n, 3072), dtype=np.uint8)
        put(f"cifar-100-python/{part}", pickle.dumps({"data": data, "fine_labels": list(range(n))}, protocol=2))
        images, labels = io.BytesIO(), np.arange(n) % 10 + 1
        x = rng.integers(0, 256, (32, 32, 3, n), dtype=np.uint8)
        savemat(images, {"X": x, "y": labels[:, None].astype(np.uint8)})
        put(f"{part}_32x32.mat", images.getvalue())
        put(f"stl10_binary/{part}_X.bin", rng.integers(0, 256, (n, 3, 96, 96), dtype=np.uint8).tobytes())
        put(f"stl10_binary/{part}_y.bin", bytes(labels.tolist()))
    return root


def keyed(x, y):
    """The examples as a multiset, whatever their order."""
    return Counter((row.tobytes(), int(label)) for row, label in zip(x, y, strict=True))


@pytest.mark.parametrize("name", SHAPES)
def test_layouts_and_content(name, root):
    x_tr, y_tr, x_te, y_te = getattr(dataset, f"get_{name}")(str(root))
    core = load(CORE[name], root)
    for x, y, n, images, labels in (
        (x_tr, y_tr, 40, core.x_train, core.y_train),
        (x_te, y_te, 20, core.x_test, core.y_test),
    ):
        assert isinstance(x, np.ndarray)
        assert (x.dtype, x.shape, x.flags.c_contiguous) == (np.uint8, (n, *SHAPES[name]), True)
        assert isinstance(y, torch.Tensor)
        assert (y.dtype, y.shape) == (torch.int64, (n,))
        images = images.numpy()
        if SHAPES[name][-1] == 3:
            images = images.transpose(0, 2, 3, 1)
        assert keyed(x, y) == keyed(images.reshape(n, *SHAPES[name]), labels)
        assert not np.array_equal(x, images.reshape(n, *SHAPES[name]))  # shuffled
    handler = getattr(data_handler, f"DataHandler_{name}")(x_tr, y_tr, False, use_test_transform=True)
    np.testing.assert_allclose(
        handler.batch(range(40))[3], core.transform(torch.from_numpy(channels(name, x_tr[3])))[0]
    )
    same = get_dataset(name, str(root))
    assert all(np.array_equal(a, b) for a, b in zip((x_tr, y_tr, x_te, y_te), same, strict=True))
    assert np.array_equal(get_dataset(name.lower(), root)[0], x_tr)


def channels(name, image):
    shape = SHAPES[name]
    if len(shape) == 2:
        return image[None, None]
    return image.transpose(2, 0, 1)[None].copy() if shape[-1] == 3 else image[None]


def test_loading_touches_no_global_generator(root):
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    states = torch.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
    first = get_dataset("MNIST", root, {"noisy_labels_ratio": 0.5}, {"class_imbalance_ratio": 0.5})
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.random.get_state()[1].tolist() == states[1]  # noqa: NPY002
    torch.manual_seed(1)
    again = get_dataset("MNIST", root, {"noisy_labels_ratio": 0.5}, {"class_imbalance_ratio": 0.5})
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))


def test_load_arguments(root):
    x, y, x_te, y_te = get_dataset("STL10", root, tr_load_args={"noisy_labels_ratio": 0.3})
    plain_x, plain_y, plain_te, _ = get_dataset("STL10", root)
    np.testing.assert_array_equal(x, plain_x)
    assert int((y != plain_y).sum()) == 12
    np.testing.assert_array_equal(x_te, plain_te)
    x, y, x_te, y_te = get_dataset("STL10", root, None, {"class_imbalance_ratio": 0.4})
    np.testing.assert_array_equal(x, plain_x)
    assert sorted(y_te.bincount(minlength=10).tolist()) == [1] * 4 + [2] * 6  # ten classes, not a hundred
    assert not keyed(x_te, y_te) - keyed(*get_dataset("STL10", root)[2:])


def test_invalid_load_arguments(root):
    for load_args, message in (
        ({"class_imbalance_ratio": 0.1, "noisy_labels_ratio": 0.1}, "must have one key, .*, got both; leave one out"),
        ({"noisy_label_ratio": 0.1}, "did you mean 'noisy_labels_ratio'"),
        ({"noisy_labels_ratio": 2}, "ratio"),
        ("noise", "must be a dict"),
    ):
        with pytest.raises(InvalidInput, match=message):
            get_dataset("MNIST", root, load_args)
        with pytest.raises(InvalidInput, match=message):
            get_dataset("MNIST", root, te_load_args=load_args)


def test_an_unknown_name_offers_the_nearest():
    for name, hint in (
        ("MNITS", "did you mean 'MNIST'"),
        ("cifar_100", "did you mean 'CIFAR100'"),
        ("x", "known: MNIST, "),
    ):
        with pytest.raises(ValueError, match=hint) as caught:
            get_dataset(name, ".")
        assert isinstance(caught.value, DistilError)


def test_missing_files_are_downloaded(tmp_path, monkeypatch, root):
    asked = []

    def fetch(url, target, md5):
        asked.append((url, str(target.relative_to(tmp_path))))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((root / target.name).read_bytes())

    monkeypatch.setattr(download, "_fetch_file", fetch)
    x = dataset.get_SVHN(str(tmp_path))[0]
    assert [name for _, name in asked] == ["train_32x32.mat", "test_32x32.mat"]
    assert asked[0][0] == "http://ufldl.stanford.edu/housenumbers/train_32x32.mat"
    np.testing.assert_array_equal(x, dataset.get_SVHN(str(tmp_path))[0])
    assert len(asked) == 2


def test_a_failed_download_is_an_error(tmp_path, monkeypatch):
    def fetch(url, target, md5):
        raise DataNotFound(url)

    monkeypatch.setattr(download, "_fetch_file", fetch)
    with pytest.raises(FileNotFoundError, match="kmnist"):
        dataset.get_KMNIST(str(tmp_path))


# ------------------------------------------------------------------------------------------------------- shifts


def test_noisy_labels_have_the_type_of_the_labels():
    for kind in (list, np.array, torch.tensor, lambda y: np.array(y, np.uint8), lambda y: torch.tensor(y).int()):
        y = kind([0, 1, 2, 3, 4] * 8)
        before = [int(label) for label in y]
        torch.manual_seed(0)
        noisy = add_label_noise(y, 5)
        torch.manual_seed(0)
        assert [int(label) for label in add_label_noise(y, 5)] == [int(label) for label in noisy]
        assert [int(label) for label in add_label_noise(y, 5)] != [int(label) for label in noisy]
        assert type(noisy) is type(y)
        assert getattr(noisy, "dtype", None) == getattr(y, "dtype", None)
        assert [int(label) for label in y] == before
        assert sum(int(a) != b for a, b in zip(noisy, before, strict=True)) == 32
        assert all(0 <= int(label) < 5 for label in noisy)


def test_imbalanced_rows():
    y = np.repeat(np.arange(5), [40, 30, 50, 60, 70])
    for labels in (y, y.tolist(), torch.from_numpy(y)):
        torch.manual_seed(0)
        rows = get_imbalanced_idx(labels, 5)
        torch.manual_seed(0)
        assert get_imbalanced_idx(labels, 5, class_ratio=0.6) == rows
        assert type(rows) is list
        assert {type(row) for row in rows} == {int}
        assert len(set(rows)) == len(rows)
        counts = np.bincount(y[rows], minlength=5)
        assert sorted(counts == [40, 30, 50, 60, 70]) == [False] * 3 + [True] * 2
        assert set(counts[counts != [40, 30, 50, 60, 70]]) == {3}


def test_redundant_rows():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(120, 2, 3)), rng.integers(0, 4, 120)
    before = x.copy()
    sources = {row.tobytes(): label for row, label in zip(x, y, strict=True)}
    for amount in (1, 2, 3, 2.5, 100):
        torch.manual_seed(0)
        out = make_data_redundant(x, y, 10, unique_points=15, amtRed=amount)
        np.testing.assert_array_equal(x, before)
        np.testing.assert_array_equal(out[:25], x[:25])
        assert isinstance(out, np.ndarray)
        assert (out.shape, out.dtype) == (x.shape, x.dtype)
        assert [sources[row.tobytes()] for row in out] == y.tolist(), amount  # each row is of its label's class
        distinct = {row.tobytes() for row in out[25:]}
        assert len(distinct) == sum(math.ceil(n / amount) for n in np.bincount(y[25:])), amount
        torch.manual_seed(0)
        again = make_data_redundant(
            torch.from_numpy(x), torch.from_numpy(y), intial_bud=10, unique_points=15, amtRed=amount
        )
        assert isinstance(again, torch.Tensor)
        np.testing.assert_array_equal(out, again)


def test_the_documented_defaults_keep_the_first_5000():
    x = np.arange(5040.0)[:, None]
    out = make_data_redundant(x, np.zeros(5040, int), 20)
    np.testing.assert_array_equal(out[:5020], x[:5020])
    assert len(np.unique(out[5020:])) == 10
    np.testing.assert_array_equal(make_data_redundant(x, [0] * 5040, 41), x)


def test_invalid_shifts():
    x, y = np.zeros((3, 2)), [0, 1, 0]
    for call, message in (
        (lambda: make_data_redundant(x, y[:2], 1), r"each of the 2 labels, got shape \(3, 2\)"),
        (lambda: make_data_redundant(x.tolist(), y, 1), "got list"),
        (lambda: make_data_redundant(x, y, -1), "initial_bud must be .* got -1"),
        (lambda: make_data_redundant(x, y, 0, 0, amtRed=0), "factor"),
        (
            lambda: make_data_redundant(x, y, initial_bud=1, intial_bud=1),
            "are the same argument; pass only initial_bud",
        ),
        (lambda: add_label_noise([0, 5], 5), r"y\[1\] is 5"),
        (lambda: add_label_noise(["a"], 5), "y_trn must be whole numbers"),
        (lambda: add_label_noise([0.5, 1.0], 5), "whole numbers"),
        (lambda: get_imbalanced_idx([0, 1], 2, -1), "class_ratio"),
    ):
        with pytest.raises(InvalidInput, match=message):
            call()
    assert add_label_noise([], 3) == []
    with pytest.raises(TypeError, match="initial_bud"):
        make_data_redundant(x, y)
