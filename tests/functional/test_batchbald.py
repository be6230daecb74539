"""BatchBALD against joint entropies by going through all configurations of labels, in NumPy."""

import itertools

import numpy as np
import pytest
import torch

from distil.errors import InvalidInput
from distil.functional import batchbald as module
from distil.functional.batchbald import batchbald
from distil.functional.uncertainty import bald


def pool(n, k, c, seed=0, scale=2.0, distinct=None, dtype=torch.float32):
    g = torch.Generator().manual_seed(seed)
    rows = (scale * torch.randn(distinct or n, k, c, generator=g)).softmax(2)
    return rows.repeat(-(-n // len(rows)), 1, 1)[:n].to(dtype)


def draws(seed=0):
    return torch.Generator().manual_seed(seed)


def joint_information(probs, rows):
    """I[y_rows; k] by its definition: the joint entropy of all label configurations less the mean one."""
    p = probs.double().numpy()[list(rows)]
    p = p / p.sum(-1, keepdims=True)
    c = p.shape[2]
    joint = np.array(
        [
            np.prod([p[i, :, y] for i, y in enumerate(labels)], axis=0)
            for labels in itertools.product(range(c), repeat=len(p))
        ]
    )

    def entropy(q):
        return -np.sum(np.where(q > 0, q * np.log(np.where(q > 0, q, 1)), 0), axis=0)

    return entropy(joint.mean(1)) - entropy(joint).mean()


def brute(probs, n):
    """The greedy, every row's joint information from scratch; near-equal ones go to the smaller row."""
    picks, scores = [], [0.0]
    for _ in range(n):
        left = [j for j in range(len(probs)) if j not in picks]
        values = np.array([joint_information(probs, [*picks, j]) for j in left])
        slack = 1e-9 * abs(values.max() - scores[-1]) + 1e-13
        at = int(np.flatnonzero(values >= values.max() - slack)[0])
        picks.append(left[at])
        scores.append(values[at])
    return picks, np.array(scores[1:])


CASES = {
    "random": {},
    "float64": {"dtype": torch.float64},
    "saturated": {"scale": 200.0},
    "nearly uniform": {"scale": 0.01},
    "duplicated": {"distinct": 5},
    "all equal": {"distinct": 1},
    "two classes": {"c": 2},
    "two samples": {"k": 2},
    "one sample": {"k": 1},
}


def test_exact_picks_are_the_brute_force():
    for case in list(CASES):
        for seed in range(3):
            probs = pool(**{"n": 14, "k": 6, "c": 3, "seed": seed, **CASES[case]})
            found = batchbald(probs, 4)
            picks, scores = brute(probs, 4)
            assert found.rows.dtype == torch.int64, case
            assert found.rows.tolist() == picks, case
            np.testing.assert_allclose(found.gains.cumsum(0), scores, atol=1e-9, err_msg=str(case))


def test_the_first_pick_is_that_of_bald():
    probs = pool(200, 10, 4)
    found = batchbald(probs, 1)
    assert found.rows.tolist() == [int(bald(probs).argmax())]
    assert float(found.gains[0]) == pytest.approx(float(bald(probs).max()), abs=1e-6)


def test_gains_fall():
    gains = batchbald(pool(100, 10, 3), 8).gains
    assert bool((gains[:-1] >= gains[1:]).all())
    assert bool((gains > 0).all())


def test_a_copy_adds_less_than_another_question():
    """Where BALD asks the same twice."""
    probs = pool(30, 12, 3, scale=4.0)
    first = int(bald(probs).argmax())
    probs = torch.cat([probs, probs[first : first + 1]])
    assert set(bald(probs).topk(2).indices.tolist()) == {first, 30}
    rows = batchbald(probs, 3).rows.tolist()
    assert rows[0] == first
    assert 30 not in rows


def test_rows_no_sample_differs_on_add_nothing():
    probs = pool(10, 6, 3)
    probs[4:] = probs[4:, :1]
    found = batchbald(probs, 10, draws())
    assert set(found.rows[:4].tolist()) == {0, 1, 2, 3}
    assert found.rows[4:].tolist() == [4, 5, 6, 7, 8, 9]
    assert float(found.gains[4:].abs().max()) < 1e-12


def test_gains_of_before_are_looked_at_lazily(monkeypatch):
    looked = []
    original = module._Configurations.entropies
    monkeypatch.setattr(
        module._Configurations, "entropies", lambda self, r, t: (looked.append(len(r)), original(self, r, t))[1]
    )
    probs = pool(2000, 8, 3, scale=1.0)
    probs[50:] = (probs[50:].log() / 8).softmax(2)  # most rows have little to say
    found = batchbald(probs, 5)
    assert found.rows.max() < 50
    assert sum(looked) < 2000 + 5 * 150


def test_blocks_do_not_matter(monkeypatch):
    probs = pool(40, 6, 3)
    whole = batchbald(probs, 9, draws(), max_configurations=100)
    monkeypatch.setattr(module, "_BLOCK_BYTES", 100)
    monkeypatch.setattr(module, "_PART", 7)
    monkeypatch.setattr(module, "BLOCK_BYTES", 100)
    blocks = batchbald(probs, 9, draws(), max_configurations=100)
    assert blocks.rows.tolist() == whole.rows.tolist()
    torch.testing.assert_close(blocks.gains, whole.gains, atol=1e-12, rtol=0)


# --- sampled configurations ---------------------------------------------------------------------------------------------


def test_configurations_of_probability_0_are_not_counted():
    probs = torch.zeros(12, 4, 5)
    probs[:, :, :2] = pool(12, 4, 2)
    assert batchbald(probs, 7, max_configurations=2**7).rows.tolist() == batchbald(probs[:, :, :2], 7).rows.tolist()


def test_sampling_starts_where_configurations_do_not_fit():
    probs = pool(30, 6, 3)
    exact = batchbald(probs, 6)
    assert batchbald(probs, 4, None, max_configurations=27).rows.tolist() == exact.rows[:4].tolist()
    with pytest.raises(InvalidInput, match="4 rows have more than 27 configurations"):
        batchbald(probs, 5, None, max_configurations=27)
    assert batchbald(probs, 6, draws(), max_configurations=27).rows[:4].tolist() == exact.rows[:4].tolist()


def test_estimated_gains_are_near_the_exact_ones():
    for c in [2, 5]:
        probs = pool(25, 6, c, scale=3.0)
        exact = module._Configurations(probs, 10**6)
        sampled = module._Configurations(probs, 20_000)
        sampled._start_sampling()
        g = draws()
        for row in (3, 17, 8, 11):
            exact.add(row, g)
            sampled.add(row, g)
            rows = torch.arange(25)
            truth, estimate = exact.entropies(rows, torch.float64), sampled.entropies(rows, torch.float64)
            np.testing.assert_allclose(estimate, truth, atol=5 * np.log(c) / np.sqrt(20_000), err_msg=str(c))
        assert not torch.equal(truth, estimate), c


def test_the_error_of_estimates_falls_with_the_root_of_their_number():
    probs = pool(40, 8, 3, scale=3.0)
    exact = module._Configurations(probs, 10**6)
    for row in range(6):
        exact.add(row, None)
    truth = exact.entropies(torch.arange(6, 40), torch.float64)

    def error(size):
        squares = []
        for seed in range(10):
            sampled, g = module._Configurations(probs, size), draws(seed)
            sampled._start_sampling()
            for row in range(6):
                sampled.add(row, g)
            squares.append(float(((sampled.entropies(torch.arange(6, 40), torch.float64) - truth) ** 2).mean()))
        return np.sqrt(np.mean(squares))

    assert error(6400) < error(400) / 2.5  # 4 but for chance


def test_sampled_picks_are_nearly_as_good_as_exact_ones():
    probs = pool(60, 8, 3, scale=3.0)
    exact = batchbald(probs, 8, max_configurations=10**5)
    sampled = batchbald(probs, 8, draws(), max_configurations=500)
    assert sampled.rows.tolist()[:6] == exact.rows.tolist()[:6]
    information = [joint_information(probs, found.rows.tolist()) for found in (exact, sampled)]
    assert information[1] > 0.99 * information[0]


def test_draws_are_those_of_the_generator():
    probs = pool(60, 8, 3)
    chosen = {tuple(batchbald(probs, 25, draws(seed), max_configurations=50).rows.tolist()) for seed in (0, 1, 0, 2)}
    assert len(chosen) == 3


def test_rows_are_picked_in_order_once_the_labels_identify_the_sample(monkeypatch):
    probs = pool(300, 3, 4, scale=3.0, dtype=torch.float64)
    found = batchbald(probs, 200, draws(), max_configurations=300)
    told = int((found.gains > 0).sum())
    assert 10 < told < 150
    assert found.gains[:told].sum() == pytest.approx(np.log(3), rel=0.05)  # all that there is to know of three samples
    assert found.rows[told:].tolist() == sorted(set(range(300)) - set(found.rows[:told].tolist()))[: 200 - told]
    monkeypatch.setattr(module._Configurations, "left", lambda _: np.inf)  # without the bound
    whole = batchbald(probs, 200, draws(), max_configurations=300)
    assert whole.rows[:told].tolist() == found.rows[:told].tolist()
    assert bool((whole.gains[told:] < 1e-6).all())


def test_n_distinct_rows_whatever_the_data():
    for case, most in itertools.product(list(CASES), [1, 5, 100]):
        probs = pool(**{"n": 40, "k": 6, "c": 4, **CASES[case]})
        for n in (1, 17, 40):
            found = batchbald(probs, n, draws(), max_configurations=most)
            assert len(set(found.rows.tolist())) == n == len(found.rows), (case, most)
            assert bool((found.gains.isfinite() & (found.gains >= 0)).all()), (case, most)


def test_arguments_are_left_alone():
    probs = pool(30, 6, 3)
    before = probs.clone()
    batchbald(probs, 12, draws(), max_configurations=50)
    assert torch.equal(before, probs)
