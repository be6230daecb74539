"""Which items are handed out next."""

import numpy as np
import pytest
import torch
from scipy import stats

from distil import select_from
from distil.labeling.choosing import RANDOM, fitted, next_items
from distil.rng import Rng
from distil.strategies import MarginSampling, MaxHerding, UHerding

G = torch.Generator().manual_seed(0)
X = torch.randn(90, 5, generator=G)
Y = (X[:, 0] > 0).long() + (X[:, 1] > 1).long()
OPEN = torch.arange(90)


def known(rows, y=Y):
    found = torch.full((90,), -1)
    found[rows] = y[rows]
    return found


def test_no_guesses_before_two_classes():
    assert fitted(X, known([]), 3) is None
    assert fitted(X, known([0], torch.zeros(90, dtype=torch.long)), 3) is None
    assert fitted(X, known(list(range(9)), torch.ones(90, dtype=torch.long)), 3) is None
    assert fitted(X, known([]), 0) is None
    guesses = fitted(X, known(list(range(40))), 4)
    assert guesses.probs.shape == (90, 4)
    assert torch.allclose(guesses.probs.sum(1), torch.ones(90))
    assert guesses.p.tolist() == guesses.probs.max(1).values.tolist()
    assert (guesses.classes == Y)[40:].float().mean() > 0.8


def test_the_strategy_is_that_of_auto():
    for n, expected in ((0, MaxHerding()), (9, UHerding())):
        guesses, labeled, rest = fitted(X, known(list(range(n))), 3), OPEN[:n], OPEN[n:]
        found, named = (
            next_items(X, X, labeled, rest, 5, Rng(3), guesses=guesses, strategy=own, share=0)
            for own in (None, expected)
        )
        assert found.rows.tolist() == named.rows.tolist()


def test_without_random_items_the_strategy_chooses():
    guesses, labeled = fitted(X, known(list(range(30))), 3), torch.arange(30)
    rest = torch.arange(30, 90)
    rng = Rng(3)
    for strategy, read in (
        (None, {"embeddings": X, "probs": guesses.probs}),
        (MarginSampling(), {"probs": guesses.probs}),
        (MaxHerding(), {"embeddings": X}),
    ):
        found = next_items(X, X, labeled, rest, 12, rng, guesses=guesses, strategy=strategy, share=0)
        expected = select_from(
            strategy or "uherding", 12, **read, labeled=labeled, candidates=rest, rng=rng.child("strategy")
        )
        assert found.rows.tolist() == expected.tolist()
        assert found.reasons == list(expected.reasons)
    for strategy in (None, MarginSampling(), UHerding()):  # without guesses, coverage stands in
        cold = next_items(X, X, labeled[:0], OPEN, 5, rng, strategy=strategy, share=0)
        assert cold.rows.tolist() == select_from("maxherding", 5, embeddings=X, rng=rng.child("strategy")).tolist()


def test_random_items_are_a_simple_random_sample():
    counts, places, first = np.zeros(90), np.zeros(10), 0
    for seed in range(600):
        found = next_items(X, X, OPEN[:0], OPEN, 10, Rng(seed), strategy=_First(), share=0.3)
        assert len(set(found.rows.tolist())) == 10
        random = [reason == RANDOM for reason in found.reasons]
        counts[found.rows[random].numpy()] += 1
        places += random
        first += int(found.rows[random].tolist() == sorted(found.rows[random].tolist()))
    assert stats.chisquare(counts).pvalue > 1e-3, "every item is as likely"
    assert stats.chisquare(places).pvalue > 1e-3, "every place is as likely"
    assert stats.binomtest(int(places.sum()), 6000, 0.3).pvalue > 1e-3
    assert first < 450, "in random order"


class _First(MaxHerding):
    """The first rows of the pool, whatever they are."""

    def select(self, sets, n, rng):
        from distil.strategies.base import picked

        return picked(sets.pool, torch.arange(n), ("first",) * n)


def test_while_all_labels_are_of_one_class_half_of_the_items_are_random():
    def random(**more):
        return np.mean(
            [next_items(X, X, OPEN[:3], OPEN[3:], 10, Rng(n), **more).reasons.count(RANDOM) for n in range(60)]
        )

    assert 4 < random() < 6
    assert random(share=0) == 0
    assert random(share=1) == 10
    assert random(guesses=fitted(X, known(list(range(9))), 3)) < 2


def test_as_many_as_there_are():
    found = next_items(X, X, OPEN[:0], torch.tensor([4, 7, 50]), 10, Rng(0))
    assert sorted(found.rows.tolist()) == [4, 7, 50]
    assert next_items(X, X, OPEN, OPEN[:0], 10, Rng(0)).rows.tolist() == []
    for share, expected in ((1.0, {RANDOM}), (0.0, 0)):
        reasons = set(next_items(X, X, OPEN[:0], OPEN, 8, Rng(0), share=share).reasons)
        assert reasons == expected if expected else RANDOM not in reasons


@pytest.mark.parametrize("n", [1, 8])
def test_another_rng_makes_another_choice(n):
    picks = {tuple(next_items(X, X, OPEN[:0], OPEN, n, Rng(seed), share=1.0).rows.tolist()) for seed in range(20)}
    assert len(picks) > 5


def test_many_open_items_are_represented_by_a_random_part(monkeypatch):
    monkeypatch.setattr("distil.labeling.choosing._MOST", 30)
    picks = {row for seed in range(20) for row in next_items(X, X, OPEN[:0], OPEN, 5, Rng(seed), share=0).rows.tolist()}
    few = {
        row for seed in range(20) for row in next_items(X, X, OPEN[:0], OPEN[:30], 5, Rng(seed), share=0).rows.tolist()
    }
    assert len(picks) > 2 * len(few), "each time among other items"
    same = [next_items(X, X, OPEN[:0], OPEN, 5, Rng(0), share=0).rows.tolist() for _ in range(2)]
    assert same[0] == same[1]


def test_the_automatic_strategy_compares_shorter_rows():
    """With rows in which all but one item are equal, it picks that item first, whatever the long rows say."""
    near = torch.zeros(len(X), 2)
    near[OPEN[7]] = 5.0
    near[OPEN[::2]] += torch.tensor([0.0, 0.1])
    found = next_items(X, near, OPEN[:0], OPEN, 3, Rng(0), share=0).rows.tolist()
    assert int(OPEN[7]) in found
    assert int(OPEN[7]) not in next_items(X, X, OPEN[:0], OPEN, 3, Rng(0), share=0).rows.tolist()
