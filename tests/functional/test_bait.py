"""BAIT against its definition on (C D) x (C D) matrices, Woodbury's identity unused."""

import itertools

import numpy as np
import pytest
import torch

from distil.errors import InvalidInput
from distil.functional import bait as module
from distil.functional.bait import bait


def pool(n, c, d, seed=0, scale=1.5, distinct=None, dtype=torch.float64):
    g = torch.Generator().manual_seed(seed)
    h = torch.relu(torch.randn(distinct or n, d, generator=g).double())
    h = h.repeat(-(-n // len(h)), 1)[:n]
    p = (scale * h @ torch.randn(d, c, generator=g).double()).softmax(1)
    return p.to(dtype), h.to(dtype)


def factors(p, h):
    """V of every row, (N, C, C D), from its definition."""
    p, h = p.double().numpy(), h.double().numpy()
    eye = np.eye(p.shape[1])
    return np.stack(
        [np.kron(np.diag(np.sqrt(q)) @ (eye - np.outer(np.ones(len(q)), q)), b) for q, b in zip(p, h, strict=True)]
    )


def brute(p, h, n, labeled=None, ridge=1.0, oversample=2):
    """Every candidate's trace from the inverse of the whole matrix; near-equal ones go to the smaller row."""
    v = factors(p, h)
    known = factors(*labeled) if labeled is not None else v[:0]
    everything = np.concatenate([v, known])
    fisher = np.einsum("nij,nik->jk", everything, everything) / len(everything)
    start = ridge * np.eye(v.shape[2]) + np.einsum("nij,nik->jk", known, known) / (len(known) + n)
    parts = np.einsum("nij,nik->njk", v, v) * n / (len(known) + n)

    def trace(rows):
        return np.trace(np.linalg.solve(start + parts[rows].sum(0), fisher))

    def best(choices):
        traces = np.array([trace(rows) for rows in choices])
        falls = trace(picks) - traces
        return int(np.flatnonzero(falls >= falls.max() - 1e-9 * abs(falls.max()) - 1e-13 * trace([]))[0])

    picks = []
    for _ in range(min(len(p), oversample * n)):
        left = [j for j in range(len(p)) if j not in picks]
        picks.append(left[best([[*picks, j] for j in left])])
    while len(picks) > n:
        rows = sorted(picks, reverse=True)
        picks.remove(rows[best([[i for i in picks if i != j] for j in rows])])
    return picks


CASES = {
    "random": {},
    "float32": {"dtype": torch.float32},
    "saturated": {"scale": 60.0},
    "nearly uniform": {"scale": 1e-3},
    "duplicated": {"distinct": 7},
    "all equal": {"distinct": 1},
    "one direction": {"d": 1},
    "two classes": {"c": 2},
}


def test_picks_are_the_brute_force():
    for case, known in itertools.product(list(CASES), [0, 5]):
        for seed in range(3):
            p, h = pool(**{"n": 25, "c": 3, "d": 4, "seed": seed, **CASES[case]})
            labeled = None
            if known:
                q, b = pool(**{"n": known, "c": 3, "d": 4, "seed": seed + 50, **CASES[case]})
                labeled = q, b
            rows = bait(p, h, 4, labeled=labeled)
            assert rows.dtype == torch.int64, (case, known)
            assert rows.tolist() == brute(p, h, 4, labeled), (case, known)


def test_any_number_of_picks():
    for n in [1, 6, 13, 24, 25]:
        p, h = pool(25, 3, 4)
        assert bait(p, h, n).tolist() == brute(p, h, n), n


def test_options_are_the_brute_force():
    for ridge, oversample in itertools.product([1e-4, 0.1, 100.0], [1, 2, 3]):
        p, h = pool(25, 3, 4, seed=1)
        labeled = pool(6, 3, 4, seed=2)
        expected = brute(p, h, 4, labeled, ridge, oversample)
        assert bait(p, h, 4, labeled=labeled, ridge=ridge, oversample=oversample).tolist() == expected, (
            ridge,
            oversample,
        )


def test_rows_without_information_come_last():
    p, h = pool(20, 3, 4)
    h[::2] = 0
    p[1] = torch.tensor([1.0, 0.0, 0.0])  # nothing to learn from a label that is certain
    rows = bait(p, h, 9, oversample=1).tolist()
    assert set(rows) == {3, 5, 7, 9, 11, 13, 15, 17, 19}
    assert bait(p, h, 12, oversample=1).tolist()[9:] == [0, 1, 2]
    assert bait(p, torch.zeros_like(h), 5).tolist() == [0, 1, 2, 3, 4]


def test_blocks_of_rows_do_not_matter(monkeypatch):
    p, h = pool(60, 3, 4)
    labeled = pool(20, 3, 4, seed=1)
    whole = bait(p, h, 7, labeled=labeled).tolist()
    monkeypatch.setattr(module, "BLOCK_BYTES", 1000)
    assert bait(p, h, 7, labeled=labeled).tolist() == whole


def test_long_runs_do_not_drift():
    """The state after many updates is what a fresh inverse gives."""
    p, h = pool(60, 4, 5)
    v = factors(p, h)
    fisher, start = torch.rand(20, 20).double(), torch.eye(20).double() * 0.01
    fisher = fisher @ fisher.T
    trace = module._Trace(p, h, start, fisher)
    for row in range(50):
        trace.update(row, 1)
    for row in range(0, 50, 2):
        trace.update(row, -1)
    inverse = np.linalg.inv(start.numpy() + np.einsum("nij,nik->jk", v[1:50:2], v[1:50:2]))
    np.testing.assert_allclose(trace._seen, v @ inverse @ v.transpose(0, 2, 1), atol=1e-9)
    np.testing.assert_allclose(trace._traced, v @ inverse @ fisher.numpy() @ inverse @ v.transpose(0, 2, 1), atol=1e-7)


def test_the_trace_ends_lower_than_for_random_rows():
    p, h = pool(150, 4, 6, seed=3)
    v = factors(p, h)
    fisher = np.einsum("nij,nik->jk", v, v) / 150

    def trace(rows):
        return np.trace(np.linalg.solve(np.eye(24) + np.einsum("nij,nik->jk", v[rows], v[rows]), fisher))

    rng = np.random.default_rng(0)
    found = trace(bait(p, h, 10).tolist())
    assert found < min(trace(rng.choice(150, 10, replace=False)) for _ in range(200))


def test_sizes_that_do_not_fit_are_refused():
    p, h = torch.full((50, 1000), 1e-3), torch.randn(50, 64)
    with pytest.raises(
        InvalidInput, match=r"50 rows, 1000 classes and embeddings of width 64 .* 64000 x 64000 .* more than 2\.0"
    ):
        bait(p, h, 5)


def test_arguments_are_left_alone():
    p, h = pool(30, 3, 4)
    labeled = pool(5, 3, 4, seed=1)
    before = [t.clone() for t in (p, h, *labeled)]
    bait(p, h, 5, labeled=labeled)
    assert all(map(torch.equal, before, (p, h, *labeled)))
