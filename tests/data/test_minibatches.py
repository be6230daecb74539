"""Minibatches of every kind of data: equal to those of PyTorch's DataLoader, in order."""

import threading

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset

from distil.data.minibatches import in_memory, minibatches, read_ahead, reader, row_bytes
from distil.rng import Rng
from distil.system.runtime import Runtime

N = 23
IDS = [torch.arange(10), torch.tensor([22, 0, 5]), torch.tensor([7]), torch.arange(15, 23)]
X, Y = torch.randn(N, 3, generator=torch.Generator().manual_seed(0)), torch.arange(N)


class Items(Dataset):
    def __init__(self, item):
        self.item = item

    def __len__(self):
        return N

    def __getitem__(self, i):
        return self.item(i)


class ManyItems(Items):
    def __getitems__(self, rows):
        return [("many", self[i]) for i in rows]


class Doubled(TensorDataset):
    def __getitem__(self, i):
        return tuple(2 * t for t in super().__getitem__(i))


DATA = {
    "tensors": TensorDataset(X, Y),
    "subset": Subset(TensorDataset(X, Y), list(range(N))[::-1]),
    "negative subset": Subset(TensorDataset(X, Y), [*range(-N, -3), 1, 1, 2]),
    "subset of a subset": Subset(Subset(TensorDataset(X), range(N)), np.random.default_rng(0).permutation(N)),
    "derived": Doubled(X, Y),
    "items": Items(lambda i: X[i]),
    "pairs": Items(lambda i: (X[i], i)),
    "dicts": Items(lambda i: {"x": X[i], "name": str(i), "more": [i, X[i]]}),
    "many at once": ManyItems(lambda i: X[i]),
    "subset of items": Subset(Items(lambda i: (X[i], str(i))), list(range(N))[::-1]),
}


def equal(one, other):
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other) and one.dtype == other.dtype
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(equal(a, b) for a, b in zip(one, other, strict=True))
    return one == other


def test_minibatches_are_those_of_a_data_loader(case, monkeypatch):
    for workers in [0, 1]:
        for seconds in [0, 60]:
            for name in DATA:
                with case(workers, seconds, name):
                    monkeypatch.setattr("distil.data.minibatches._WORTH_A_THREAD", seconds)
                    data = DATA[name]
                    expected = list(DataLoader(data, batch_sampler=[ids.tolist() for ids in IDS]))
                    found = list(minibatches(data, IDS, Runtime(num_workers=workers), Rng(0)))
                    assert [ids.tolist() for ids, _ in found] == [ids.tolist() for ids in IDS]
                    assert equal([batch for _, batch in found], expected)


def test_arrays_are_sliced(tmp_path):
    np.save(tmp_path / "x.npy", X.numpy())
    for data in (X, X.numpy(), np.load(tmp_path / "x.npy", mmap_mode="r"), Subset(TensorDataset(X), range(N))):
        for ids, batch in minibatches(data, IDS, Runtime(), Rng(0)):
            assert torch.equal(batch[0] if isinstance(batch, list) else batch, X[ids])
    assert reader(TensorDataset(X))(torch.arange(4))[0].data_ptr() == X.data_ptr()
    assert reader(Subset(TensorDataset(X), range(2, N)))(torch.arange(4))[0].data_ptr() == X[2:].data_ptr()
    assert row_bytes(X) == row_bytes(TensorDataset(X, Y)) == row_bytes(Subset(TensorDataset(X), [1])) == 12
    assert row_bytes(DATA["items"]) is row_bytes(Subset(DATA["items"], [1])) is None


def test_minibatches_are_large_of_vectors_smaller_of_images_and_least_of_tokens():
    """Bytes are pixels of images; a token may become a vector of any length."""
    images = torch.zeros(2, 1, 28, 28, dtype=torch.uint8)
    for array in (images, images.numpy()):
        assert row_bytes(array) == 8 * 28 * 28
    for tokens in (torch.zeros(2, 128, dtype=torch.int64), np.zeros((2, 128), np.int32)):
        assert row_bytes(tokens) is None
    sizes = [
        Runtime().rows(row_bytes(array)) for array in (torch.zeros(2, 512), images.float(), torch.zeros(2, 128).long())
    ]
    assert sizes == [8192, 668, 256]


def test_slow_data_are_read_ahead(tmp_path):
    np.save(tmp_path / "x.npy", X.numpy())
    assert all(in_memory(data) for data in (X, X.numpy(), DATA["tensors"], DATA["subset of a subset"]))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert not any(in_memory(data) for data in (mapped, DATA["items"], DATA["derived"], DATA["subset of items"]))


@pytest.fixture
def slow(monkeypatch):
    """Everything counts as slow to read."""
    monkeypatch.setattr("distil.data.minibatches._WORTH_A_THREAD", 0)


def test_one_minibatch_is_read_ahead_and_no_more(slow):
    """The second is read while the first is used; the third only while the second is used."""
    started = [threading.Event() for _ in IDS]
    numbers = iter(range(len(IDS)))

    def read(ids):
        started[next(numbers)].set()
        return ids * 2

    batches = read_ahead(read, IDS)
    for number in range(len(IDS)):
        ids, batch = next(batches)
        assert torch.equal(batch, ids * 2)
        if number + 1 < len(IDS):
            assert started[number + 1].wait(10)
        assert not any(event.is_set() for event in started[number + 2 :])
    assert next(batches, None) is None


def test_the_thread_reads_and_knows_no_gradients(slow):
    seen = []
    here = threading.get_ident()
    list(read_ahead(lambda ids: seen.append((threading.get_ident() == here, torch.is_grad_enabled())), IDS))
    assert seen == [(True, True), *[(False, False)] * (len(IDS) - 1)]  # the first is timed


def test_fast_data_are_read_by_the_caller(monkeypatch):
    monkeypatch.setattr("distil.data.minibatches._WORTH_A_THREAD", 60)
    here = threading.get_ident()
    found = list(read_ahead(lambda ids: (threading.get_ident() == here, ids), IDS))
    assert equal(found, [(ids, (True, ids)) for ids in IDS])


def check_small_numbers_of_minibatches(n_parts, slow):
    assert equal(list(read_ahead(lambda ids: ids * 2, IDS[:n_parts])), [(ids, ids * 2) for ids in IDS[:n_parts]])


def test_small_numbers_of_minibatches(case, slow):
    for n_parts in [1, 2, 3]:
        with case(n_parts):
            check_small_numbers_of_minibatches(n_parts, slow)


def test_data_that_belong_to_a_thread_are_read_in_it(slow):
    """Data that refuse other threads, like a connection to SQLite."""
    here, asked = threading.get_ident(), []

    def read(ids):
        if threading.get_ident() != here:
            raise RuntimeError("created in another thread")
        asked.append(len(ids))
        return ids

    assert [batch.tolist() for _, batch in read_ahead(read, IDS)] == [ids.tolist() for ids in IDS]
    assert asked == [len(ids) for ids in IDS]  # each once


def test_errors_come_when_their_minibatch_does_and_end_the_thread(slow):
    before = threading.active_count()

    def read(ids):
        if 0 in ids and len(ids) == 3:
            raise KeyError("row 0 is broken")
        return ids

    batches = read_ahead(read, IDS)
    assert next(batches)[1].tolist() == IDS[0].tolist()
    with pytest.raises(KeyError, match="row 0 is broken"):
        next(batches)
    assert threading.active_count() == before


def test_a_reader_that_is_left_ends_its_thread(slow):
    before = threading.active_count()
    batches = read_ahead(lambda ids: ids, IDS)
    next(batches)
    batches.close()
    assert threading.active_count() == before


def test_items_without_rows_of_numbers_are_stacked_as_they_are(monkeypatch):
    """Only the first item is searched for rows: searching all costs more than stacking them."""
    looked = []
    monkeypatch.setattr("distil.data.minibatches._with_rows", lambda item: looked.append(item) or item)
    plain = [(torch.ones(2), 0)] * 5
    assert len(next(minibatches(plain, [torch.arange(5)], Runtime(), Rng(0)))[1]) == 2
    assert not looked


def test_tuples_of_more_than_two_numbers_are_rows():
    for items in ([(1, 2, 3), (4, 5, 6)], [((1, 2, 3), 0), ((4, 5, 6), 1)]):
        batch = next(minibatches(items, [torch.arange(2)], Runtime(), Rng(0)))[1]
        assert (batch if isinstance(batch, torch.Tensor) else batch[0]).tolist() == [[1, 2, 3], [4, 5, 6]]
