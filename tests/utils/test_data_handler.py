"""The documented data handlers, against the document and against NumPy."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from distil.errors import InvalidInput
from distil.selection.select import select
from distil.system.runtime import Runtime
from distil.utils import data_handler
from distil.utils.data_handler import DataHandler, DataHandler_MNIST, DataHandler_Points, whole_batches

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# Typed from the document, section 1.2.1, and the constants of the published transforms: layout, size, mean, std.
DOCUMENTED = {
    "DataHandler_CIFAR10": ("HWC", 32, (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    "DataHandler_CIFAR100": ("HWC", 32, (0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
    "DataHandler_FASHION_MNIST": ("HW", 28, (0.1307,), (0.3081,)),
    "DataHandler_KMNIST": ("HW", 28, (0.1307,), (0.3081,)),
    "DataHandler_MNIST": ("HW", 28, (0.1307,), (0.3081,)),
    "DataHandler_STL10": ("CHW", 96, *IMAGENET),
    "DataHandler_SVHN": ("CHW", 32, *IMAGENET),
}
SIGNATURE = [("X", inspect.Parameter.empty), ("Y", None), ("select", True), ("use_test_transform", False)]


def handler_class(name):
    return getattr(data_handler, name)


def images(name, n=7, seed=0):
    layout, size, *_ = DOCUMENTED[name]
    shape = [3 if side == "C" else size for side in layout]
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), dtype=np.uint8)


def planes(name, x):
    """Images of any layout as (N, channels, H, W)."""
    layout = DOCUMENTED[name][0]
    return x[:, None] if layout == "HW" else x.transpose(0, 3, 1, 2) if layout == "HWC" else x


def normalized(name, x):
    _, _, mean, std = DOCUMENTED[name]
    mean, std = (np.array(v)[:, None, None] for v in (mean, std))
    return (planes(name, x) / 255 - mean) / std


def padded(name, x):
    """The images that crops are cut from: padded with black before the normalization."""
    _, _, mean, std = DOCUMENTED[name]
    mean, std = (np.array(v)[:, None, None] for v in (mean, std))
    return (np.pad(planes(name, x), ((0, 0), (0, 0), (4, 4), (4, 4))) / 255 - mean) / std


def test_documented_signatures_and_base():
    for name in (*DOCUMENTED, "DataHandler_Points"):
        handler = handler_class(name)
        parameters = inspect.signature(handler).parameters.values()
        assert [(p.name, p.default) for p in parameters] == SIGNATURE, name
        assert all(p.kind is p.POSITIONAL_OR_KEYWORD for p in parameters), name
        assert issubclass(handler, Dataset), name
        assert name in data_handler.__all__
        assert handler.__doc__, name


def test_the_test_transform_is_the_normalization():
    y = np.arange(7) % 3
    for name in DOCUMENTED:
        x = images(name)
        expected = normalized(name, x)
        for inputs in (x, torch.from_numpy(x)):
            handler = handler_class(name)(inputs, y, False, use_test_transform=True)
            assert handler.X is inputs
            assert handler.Y is y
            assert (handler.select, handler.use_test_transform, len(handler)) == (False, True, 7)
            for row in range(7):
                item, label, index = handler[row]
                assert item.dtype == torch.float32, name
                assert item.is_contiguous(), name
                assert (int(label), index) == (row % 3, row), name
                np.testing.assert_allclose(item, expected[row], rtol=1e-5, atol=1e-6, err_msg=name)


def crops(item, source, size):
    """The corner and the direction of every crop of ``source`` that equals ``item``."""
    return [
        (i, j, step)
        for i in range(9)
        for j in range(9)
        for step in (1, -1)
        if np.allclose(item[:, ::29, ::step][:, :, ::7], source[:, i : i + size : 29, j : j + size : 7], atol=1e-5)
        and np.allclose(item[..., ::step], source[:, i : i + size, j : j + size], atol=1e-5)
    ]


def test_the_train_transform_gives_mirrored_crops():
    """Every handler draws crops; one of each layout draws all of them."""
    for name, (_, size, *_) in DOCUMENTED.items():
        x = images(name, 2)
        handler = handler_class(name)(x)
        sources, drawn = padded(name, x), set()
        n_draws = 60 if name in ("DataHandler_MNIST", "DataHandler_CIFAR10", "DataHandler_SVHN") else 4
        torch.manual_seed(0)
        for draw in range(n_draws):
            item, index = handler[draw % 2]
            assert item.shape == sources[0][:, :size, :size].shape, name
            (crop,) = crops(item.numpy(), sources[index], size)
            drawn.add(crop)
        if n_draws == 60:
            assert {i for i, _, _ in drawn} == {j for _, j, _ in drawn} == set(range(9)), name
            assert {step for _, _, step in drawn} == {1, -1}, name


def test_the_draws_come_from_the_global_generator():
    x = images("DataHandler_CIFAR10")
    handler = handler_class("DataHandler_CIFAR10")(x)
    torch.manual_seed(3)
    first = [handler[row][0] for row in range(7)]
    torch.manual_seed(3)
    again = [handler[row][0] for row in range(7)]
    other = [handler[row][0] for row in range(7)]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, other, strict=True))
    state = torch.get_rng_state()
    handler_class("DataHandler_CIFAR10")(x, use_test_transform=True).batch(range(7))
    assert torch.equal(torch.get_rng_state(), state)


def test_a_batch_is_its_items_bit_for_bit():
    for name in (*DOCUMENTED, "DataHandler_Points"):
        x = np.random.default_rng(0).normal(size=(7, 3, 2)) if name == "DataHandler_Points" else images(name)
        handler = handler_class(name)(x, use_test_transform=True)
        for rows in ([0], [3, 1, 1, 6], range(2, 6), torch.tensor([6, 0]), np.array([5, 4]), []):
            batch = handler.batch(rows)
            expected = [handler[int(row)][0] for row in rows]
            assert batch.dtype == torch.float32, name
            assert batch.shape == (len(rows), *handler[0][0].shape), name
            assert all(torch.equal(a, b) for a, b in zip(batch, expected, strict=True)), name


def test_a_training_batch_augments_each_image_separately():
    handler = handler_class("DataHandler_SVHN")(np.repeat(images("DataHandler_SVHN", 1), 50, axis=0))
    torch.manual_seed(0)
    batch = handler.batch(range(50))
    assert len({tuple(row.flatten().tolist()) for row in batch}) > 25
    torch.manual_seed(0)
    assert torch.equal(handler.batch(range(50)), batch)


def test_points_are_only_cast():
    for dtype in (np.float64, np.float16, np.int64, np.uint8, bool):
        x = (np.random.default_rng(0).normal(size=(5, 2, 3)) * 3).astype(dtype)
        for inputs in (x, torch.from_numpy(x), x.tolist()):
            for test in (True, False):
                handler = DataHandler_Points(inputs, [1, 2, 3, 4, 5], False, use_test_transform=test)
                item, label, index = handler[2]
                np.testing.assert_array_equal(item, x[2].astype(np.float32))
                assert (item.dtype, label, index) == (torch.float32, 3, 2), dtype


def test_inputs_are_not_changed_and_not_shared():
    x = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    before = x.copy()
    x.setflags(write=False)
    DataHandler_Points(x)[0][0].zero_()
    np.testing.assert_array_equal(x, before)
    pictures = images("DataHandler_CIFAR10")
    kept = pictures.copy()
    handler = handler_class("DataHandler_CIFAR10")(pictures)
    handler.batch(range(7))
    np.testing.assert_array_equal(pictures, kept)


def test_indexing_like_any_data_set():
    handler = DataHandler_Points(np.arange(6.0).reshape(3, 2))
    assert [index for _, index in handler] == [0, 1, 2]
    assert handler[-1][1] == handler[np.int64(2)][1] == handler[torch.tensor(2)][1] == 2
    for row in (3, -4):
        with pytest.raises(IndexError, match=f"index must be from -3 to 2, got {row}"):
            handler[row]
    with pytest.raises(TypeError):
        handler["0"]
    assert len(DataHandler_Points(np.zeros((0, 4)))) == 0


def test_in_a_data_loader_with_workers(monkeypatch):
    x = images("DataHandler_CIFAR10", 6)
    handler = handler_class("DataHandler_CIFAR10")(x, list(range(6)), False, use_test_transform=True)
    whole = handler.batch(range(6))
    for workers in (0, 1):
        batches = list(DataLoader(handler, batch_size=4, num_workers=workers))
        assert torch.equal(torch.cat([batch[0] for batch in batches]), whole)
        assert torch.cat([batch[1] for batch in batches]).tolist() == list(range(6))
        assert torch.cat([batch[2] for batch in batches]).tolist() == list(range(6))


def test_a_pool_of_a_handler_is_scored_in_whole_batches(monkeypatch):
    x = images("DataHandler_MNIST", 40)
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 4))
    handler = DataHandler_MNIST(x, use_test_transform=True)
    arrays = torch.stack([handler[row][0] for row in range(40)])
    expected = list(select("entropy_sampling", net, arrays, 5))

    def refused(self, row):
        raise AssertionError("one by one")

    monkeypatch.setattr(DataHandler, "__getitem__", refused)
    assert list(select("entropy_sampling", net, handler, 5, runtime=Runtime(batch_size=16))) == expected


class Doubled(DataHandler_MNIST):
    def __getitem__(self, index):
        x, row = super().__getitem__(index)
        return 2 * x, row


def test_a_subclass_that_overrides_getitem_is_read_item_by_item():
    x = images("DataHandler_MNIST")
    plain, doubled = DataHandler_MNIST(x, use_test_transform=True), Doubled(x, use_test_transform=True)
    assert torch.equal(doubled.batch([2, 0]), 2 * plain.batch([2, 0]))
    assert whole_batches(doubled) is None
    assert whole_batches(plain) is plain
    assert whole_batches(x) is None


def test_other_layouts_are_refused():
    for name, shape, expected in (
        ("DataHandler_MNIST", (4, 1, 28, 28), "(N, H, W)"),
        ("DataHandler_KMNIST", (4, 784), "(N, H, W)"),
        ("DataHandler_CIFAR10", (4, 3, 32, 32), "(N, H, W, 3)"),
        ("DataHandler_CIFAR100", (4, 32, 32), "(N, H, W, 3)"),
        ("DataHandler_SVHN", (4, 32, 32, 3), "(N, 3, H, W)"),
        ("DataHandler_STL10", (3, 96, 96), "(N, 3, H, W)"),
    ):
        for inputs in (np.zeros(shape, np.uint8), torch.zeros(shape, dtype=torch.uint8)):
            with pytest.raises(InvalidInput) as caught:
                handler_class(name)(inputs)
            assert name in str(caught.value)
            assert f"uint8 of shape {expected}" in str(caught.value)
            assert str(tuple(shape)) in str(caught.value)


def test_invalid_arguments_are_refused():
    for make, message in (
        (lambda x: DataHandler_MNIST(x.astype(np.float32)), "must be uint8 .* got float32"),
        (lambda x: DataHandler_MNIST(torch.from_numpy(x).float()), "must be uint8 .* got torch.float32"),
        (lambda x: DataHandler_MNIST(x, [0, 1, 2]), "Y must have one label for each of the 7 rows of X, got 3"),
        (lambda x: DataHandler_MNIST(x, False), "Y must have .* got bool False"),
        (lambda x: DataHandler_MNIST(x, None, False), "select=False .* pass Y"),
        (lambda x: DataHandler_Points(np.array(["a", "b"])), "X must be numbers"),
        (lambda x: DataHandler_Points([[1, 2], [3]]), "rows have one shape"),
        (lambda x: DataHandler_Points(3.0), "X must be numbers"),
        (lambda x: DataHandler_MNIST(x).batch([7]), "rows must be from 0 to 6, got 7 to 7"),
        (lambda x: DataHandler_MNIST(x).batch([-1, 2]), "from 0 to 6, got -1 to 2"),
        (lambda x: DataHandler_MNIST(x).batch([0.5]), "whole numbers"),
        (lambda x: DataHandler_MNIST(x).batch([True] * 7), "whole numbers"),
        (lambda x: DataHandler_MNIST(x).batch(torch.tensor(3)), r"shape \(B,\)"),
    ):
        with pytest.raises(InvalidInput, match=message):
            make(images("DataHandler_MNIST"))
