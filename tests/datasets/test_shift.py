"""Noise, imbalance and redundancy: exact counts, by brute force."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distil.datasets.shift import flip_labels, imbalanced, redundant, tiled
from distil.errors import InvalidInput


def gen(seed=0):
    return torch.Generator().manual_seed(seed)


LABELS = torch.tensor([3, 0, 1, 1, 2, 2, 2, 0, 3, 3] * 20)


@given(
    st.lists(st.integers(0, 4), min_size=0, max_size=60),
    st.floats(0, 1),
    st.integers(5, 7),
    st.integers(0, 100),
)
def test_exactly_that_many_labels_are_wrong(labels, ratio, classes, seed):
    y = torch.tensor(labels, dtype=torch.int64)
    before = y.clone()
    noisy = flip_labels(y, classes, ratio, gen(seed))
    assert int((noisy != y).sum()) == int(ratio * len(y))
    assert noisy.dtype == torch.int64
    assert all(0 <= label < classes for label in noisy.tolist())
    assert torch.equal(y, before)
    assert noisy.data_ptr() != y.data_ptr() or not len(y)


def test_every_other_class_is_equally_likely():
    noisy = flip_labels(torch.full((30000,), 2), 4, 1.0, gen())
    counts = noisy.bincount(minlength=4)
    assert counts[2] == 0
    assert ((counts[[0, 1, 3]] - 10000).abs() < 5 * math.sqrt(30000 * 2 / 9)).all()


def test_every_row_is_equally_likely_to_be_flipped():
    flipped = sum(flip_labels(torch.zeros(10, dtype=torch.int64), 2, 0.3, gen(seed)) for seed in range(2000))
    assert int(flipped.sum()) == 6000
    assert ((flipped - 600).abs() < 5 * math.sqrt(2000 * 0.21)).all()


def test_imbalanced_counts():
    y = torch.tensor([0] * 50 + [1] * 80 + [2] * 40 + [3] * 33 + [5] * 60)  # class 4 does not occur
    for seed in range(20):
        ids = imbalanced(y, 6, 0.5, gen(seed))
        assert ids.tolist() == sorted(set(ids.tolist()))
        counts, kept = y.bincount(minlength=6), y[ids].bincount(minlength=6)
        rare = [c for c in range(6) if kept[c] != counts[c]]
        assert all(kept[c] == 3 for c in rare)  # a tenth of the 33 examples of the smallest class that occurs
        assert len(rare) in (2, 3)  # three classes, one of which may be the class without examples
    counts = (y[imbalanced(y, 6, 0.5, gen(seed))].bincount(minlength=6) for seed in range(9))
    chosen = {tuple((kept == 3).tolist()) for kept in counts}
    assert len(chosen) > 1


def test_imbalanced_ends():
    y = torch.tensor([0, 0, 0, 1, 1])
    assert imbalanced(y, 2, 0.0, gen()).tolist() == [0, 1, 2, 3, 4]
    assert y[imbalanced(y, 2, 1.0, gen())].tolist() == [0, 1]  # a tenth of 2 is 0; one stays
    assert imbalanced(y[:0], 2, 1.0, gen()).tolist() == []


@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=50),
    st.floats(1, 12) | st.integers(1, 60) | st.just(math.inf),
    st.integers(0, 100),
    st.data(),
)
def test_redundant_counts(labels, factor, seed, data):
    y = torch.tensor(labels)
    keep = data.draw(st.integers(0, len(y)))
    ids = redundant(y, factor, gen(seed), keep=keep)
    assert torch.equal(y[ids], y)
    assert ids[:keep].tolist() == list(range(keep))
    tail = ids[keep:]
    for label, n in Counter(y[keep:].tolist()).items():
        copies = Counter(tail[y[keep:] == label].tolist())
        assert len(copies) == max(1, math.ceil(n / factor))
        assert max(copies.values()) - min(copies.values()) <= 1
        assert all(row >= keep and int(ids[row]) == row for row in copies)  # rows that stay keep their places
    if factor == 1:
        assert ids.tolist() == list(range(len(y)))


@given(st.integers(1, 60), st.integers(1, 12), st.integers(0, 100))
def test_tiled_counts(n, copies, seed):
    ids = torch.arange(n) * 7 + 3
    before = ids.clone()
    if copies > n:
        with pytest.raises(InvalidInput, match="copies"):
            tiled(ids, copies, gen(seed))
        return
    out = tiled(ids, copies, gen(seed))
    counts = Counter(out.tolist())
    assert set(counts.values()) == {copies}
    assert len(counts) == n // copies
    assert set(counts) <= set(ids.tolist())
    assert out.tolist() == out[: n // copies].tolist() * copies
    assert torch.equal(ids, before)


def test_the_generator_is_the_only_source_of_randomness(case):
    for shift in [
        lambda g: flip_labels(LABELS, 4, 0.5, g),
        lambda g: imbalanced(LABELS, 4, 0.5, g),
        lambda g: redundant(LABELS, 4, g),
        lambda g: tiled(LABELS, 4, g),
    ]:
        with case(shift):
            before, state, numpy = LABELS.clone(), torch.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
            first, again, other = shift(gen(1)), shift(gen(1)), shift(gen(2))
            assert torch.equal(first, again)
            assert not torch.equal(first, other)
            assert torch.equal(LABELS, before)
            assert torch.equal(torch.get_rng_state(), state)
            assert np.random.get_state()[1].tolist() == numpy  # noqa: NPY002


def test_invalid_arguments_of_shifts(refuses):
    y = torch.tensor([0, 1, 2])
    for call, parts in (
        (lambda: flip_labels(y, 2, 0.5, gen()), ["0..1", "y[2] is 2"]),
        (lambda: flip_labels(y, 1, 0.5, gen()), ["num_classes"]),
        (lambda: flip_labels(y, 3, 1.5, gen()), ["ratio", "1.5"]),
        (lambda: flip_labels(y, 3, float("nan"), gen()), ["ratio", "nan"]),
        (lambda: flip_labels(y.float(), 3, 0.5, gen()), ["whole numbers", "float32"]),
        (lambda: flip_labels([0, 1], 3, 0.5, gen()), ["list"]),
        (lambda: imbalanced(-y, 3, 0.5, gen()), ["y[1] is -1"]),
        (lambda: imbalanced(y, 3, "0.5", gen()), ["class_ratio", "'0.5'"]),
        (lambda: redundant(y, 0.5, gen()), ["factor", "0.5"]),
        (lambda: redundant(y, 2, gen(), keep=4), ["keep", "0 to 3", "4"]),
        (lambda: tiled(y, 0, gen()), ["copies", "1 to 3", "0"]),
        (lambda: tiled(y, True, gen()), ["copies", "True"]),
        (lambda: tiled(y[:, None], 1, gen()), ["(3, 1)"]),
    ):
        with refuses(InvalidInput, *parts):
            call()
