"""BAIT against its definition on (C D) x (C D) matrices, Woodbury's identity unused."""

import itertools

import mpmath as mp
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


def brute(p, h, n, labeled=None, ridge=1.0, oversample=2, candidates=None):
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

    picks, choices = [], range(len(p)) if candidates is None else candidates
    for _ in range(min(len(choices), oversample * n)):
        left = [j for j in choices if j not in picks]
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


def exact_brute(p, h, n, labeled=None, ridge=1, oversample=2):
    """``brute`` with 120 digits, in which no prior and no scale is too small."""
    mp.mp.dps = 120

    def information(q, b):
        q, b = [mp.mpf(float(v)) for v in q], mp.matrix([[mp.mpf(float(v)) for v in b]])
        q = [v / sum(q) for v in q]
        inner, found = b.T * b, mp.zeros(len(q) * b.cols)
        for c, d, i, j in itertools.product(range(len(q)), range(len(q)), range(b.cols), range(b.cols)):
            found[c * b.cols + i, d * b.cols + j] = (q[c] * (c == d) - q[c] * q[d]) * inner[i, j]
        return found

    parts = [information(q, b) for q, b in zip(p.double(), h.double(), strict=True)]
    known = [] if labeled is None else [information(q, b) for q, b in zip(*(t.double() for t in labeled), strict=True)]
    everything = [*parts, *known]
    size = parts[0].rows
    fisher = sum(everything[1:], everything[0]) / len(everything)
    start = sum((k / (len(known) + n) for k in known), ridge * mp.eye(size))

    def trace(rows):
        whole = (sum((parts[r] * mp.mpf(n) / (len(known) + n) for r in rows), start) ** -1) * fisher
        return sum(whole[i, i] for i in range(size))

    def best(choices, before):
        """The least trace; to 1e-9 of the change, and where that is nearly all of the trace, to 1e-7 of what is left."""
        traces = [trace(rows) for rows in choices]
        least, digits = min(traces), mp.mpf(10)
        return next(i for i, t in enumerate(traces) if t - least <= min(abs(before - least) / digits**9, t / digits**7))

    picks = []
    for _ in range(min(len(p), oversample * n)):
        left = [j for j in range(len(p)) if j not in picks]
        picks.append(left[best([[*picks, j] for j in left], trace(picks))])
    while len(picks) > n:
        rows = sorted(picks, reverse=True)
        picks.remove(rows[best([[i for i in picks if i != j] for j in rows], trace(picks))])
    return picks


@pytest.mark.parametrize("scale", [1e-38, 1e-10, 1e-3, 1e3, 1e5, 1e6, 1e10, 1e19, 1e37])
def test_picks_are_the_brute_force_at_every_scale(scale):
    g = torch.Generator().manual_seed(1)
    h, b = torch.randn(7, 2, generator=g), torch.randn(2, 2, generator=g)
    p, q = torch.randn(7, 3, generator=g).softmax(1), torch.randn(2, 3, generator=g).softmax(1)
    assert bait(p, h * scale, 2).tolist() == exact_brute(p, h * scale, 2)
    labeled = (q, b * scale)
    assert bait(p, h * scale, 2, labeled=labeled).tolist() == exact_brute(p, h * scale, 2, labeled)


@pytest.mark.parametrize("seed", range(3))
def test_rows_that_open_the_last_directions_are_compared_by_what_they_leave(seed):
    """All of them lower the trace by the same, but for some 1e-14 of it: the prior is that much smaller than the information."""
    (p, h), labeled = pool(9, 3, 3, seed=seed), pool(2, 3, 3, seed=seed + 10)
    h, labeled = h + 0.1, (labeled[0], labeled[1] + 0.1)  # no row without information
    picks = bait(p, h, 1, labeled=labeled, ridge=1e-40, oversample=1).tolist()
    assert picks == exact_brute(p, h, 1, labeled, mp.mpf(10) ** -40, 1)
    assert bait(p.flip(0), h.flip(0), 1, labeled=labeled, ridge=1e-40, oversample=1).tolist() == [8 - picks[0]]
    assert bait(p, h, 2, ridge=1e-40).tolist() == exact_brute(p, h, 2, None, mp.mpf(10) ** -40)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3, 1e6])
def test_the_objective_is_that_of_the_greedy_reference_at_large_norms(scale):
    """In 24 dimensions, more picks than these, so that the trace falls by the square of the scale on the way."""
    p, h = pool(40, 3, 4, seed=5)
    h *= scale
    v = factors(p, h)
    fisher = np.einsum("nij,nik->jk", v, v) / 40
    # Weights that only shift all logits have no information; the float64 reference leaves them out.
    change = np.kron(np.linalg.qr(np.c_[np.ones(3), np.eye(3)[:, 1:]])[0][:, 1:], np.eye(4)) / scale
    fisher, v = change.T @ fisher @ change, v @ change
    parts = np.einsum("nij,nik->njk", v, v)

    def trace(rows):
        return np.trace(np.linalg.solve(np.eye(8) / scale**2 + parts[rows].sum(0), fisher))

    picks = []
    while len(picks) < 20:
        left = [j for j in range(40) if j not in picks]
        picks.append(min(left, key=lambda j: trace([*picks, j])))
    while len(picks) > 10:
        picks.remove(min(picks, key=lambda i: trace([j for j in picks if j != i])))
    assert trace(bait(p, h, 10).tolist()) == pytest.approx(trace(picks), rel=1e-6)


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


def test_candidates_are_compared_by_the_information_of_all_rows():
    for seed, known in itertools.product(range(3), [0, 5]):
        p, h = pool(25, 3, 4, seed=seed)
        labeled = pool(known, 3, 4, seed=seed + 50) if known else None
        candidates = [0, 3, 4, 8, 11, 12, 19, 20, 24]
        rows = bait(p, h, 3, labeled=labeled, candidates=torch.tensor(candidates))
        assert rows.tolist() == brute(p, h, 3, labeled, candidates=candidates), (seed, known)
    every = bait(p, h, 9, candidates=torch.tensor(candidates)).tolist()
    assert sorted(every) == candidates


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
    """The gains after many updates are what inverses of the whole information give."""
    p, h = pool(60, 4, 5)
    w = module._residual_factors(p)
    v = (w[:, :, :, None] * h[:, None, None, :]).flatten(2).numpy()  # (60, 3, 15)
    squares, definition = v @ v.transpose(0, 2, 1), factors(p, h)
    np.testing.assert_allclose(
        np.linalg.eigvalsh(squares)[:, -3:], np.linalg.eigvalsh(definition @ definition.transpose(0, 2, 1))[:, -3:]
    )
    fisher = np.einsum("nij,nik->jk", v, v)
    trace = module._Trace(w, h, 0.1 * torch.eye(15).double(), torch.tensor(fisher))
    for row in range(50):
        trace.add(row)
    for row in range(0, 50, 2):
        trace.remove(row)
    inverse = np.linalg.inv(0.01 * np.eye(15) + np.einsum("nij,nik->jk", v[1:50:2], v[1:50:2]))
    seen, traced = v @ inverse @ v.transpose(0, 2, 1), v @ inverse @ fisher @ inverse @ v.transpose(0, 2, 1)
    falls = np.trace(np.linalg.solve(np.eye(3) + seen, traced), axis1=1, axis2=2)
    found, unsure = trace._falls()
    assert (np.abs(found.numpy() - falls) <= unsure.numpy()).all()
    np.testing.assert_allclose(trace._exact_falls(torch.arange(60)), falls, rtol=1e-9, atol=1e-12)
    rises = np.trace(np.linalg.solve(np.eye(3) - seen, traced), axis1=1, axis2=2)[1:50:2]
    trace.keep(torch.arange(1, 50, 2))
    found, unsure = trace._rises()
    assert (np.abs(found.numpy() - rises) <= unsure.numpy()).all()
    np.testing.assert_allclose(trace._exact_rises(), rises, rtol=1e-9, atol=1e-12)


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
