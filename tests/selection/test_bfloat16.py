"""Scoring in bfloat16 first gives the picks of full precision, with few examples scored again."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import nn

from distil import InvalidInput, Needs, Runtime, select
from distil.measuring.network_source import NetworkSource
from distil.signals import Logits
from distil.strategies import STRATEGIES, ScoreStrategy

N, PICKS = 6_000, 40


@pytest.fixture
def seen(monkeypatch):
    """The number of rows scored again in each call."""
    counts = []
    of = NetworkSource.of

    def spy(source, rows):
        counts.append(len(rows))
        return of(source, rows)

    monkeypatch.setattr(NetworkSource, "of", spy)
    return counts


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Dropout(), nn.Linear(64, 10)).eval()


def pool(n=N):
    return 3 * torch.randn(n, 32, generator=torch.Generator().manual_seed(1))


def test_the_picks_are_those_of_full_precision(case, seen):
    for strategy in [
        "margin_sampling",
        "least_confidence",
        "entropy_sampling",
        "bald_dropout",
        "margin_sampling_dropout",
    ]:
        for seed in [0, 1]:
            with case(strategy, seed):
                seen.clear()
                module, data = network(seed), pool()
                expected = select(strategy, module, data, PICKS, labeled=range(5), rng=0)
                found = select(
                    strategy, module, data, PICKS, labeled=range(5), rng=0, runtime=Runtime(bfloat16_first=True)
                )
                assert found.tolist() == expected.tolist()
                torch.testing.assert_close(found.scores, expected.scores)
                assert 0 < sum(seen) < N / 2


def test_bfloat16_alone_would_pick_others():
    """The other tests can therefore fail."""
    module, data = network(), pool()
    with torch.autocast("cpu", torch.bfloat16):
        rough = select("margin_sampling", module, data, PICKS)
    assert rough.tolist() != select("margin_sampling", module, data, PICKS).tolist()


def test_equal_scores_go_in_the_order_of_ties(seen):
    module = nn.Linear(32, 4)
    nn.init.zeros_(module.weight)
    found = select("margin_sampling", module, pool(3000), PICKS, runtime=Runtime(bfloat16_first=True))
    assert found.tolist() == select("margin_sampling", module, pool(3000), PICKS).tolist()
    assert found.notes == ("all 3,000 scores are equal: this is a random sample",)
    assert sum(seen) == 3000


def test_all_of_a_small_pool():
    module, data = network(), pool(7)
    found = select("entropy_sampling", module, data, 7, runtime=Runtime(bfloat16_first=True))
    assert found.tolist() == select("entropy_sampling", module, data, 7).tolist()


def test_others_are_scored_in_full_precision(case, seen):
    for name in [name for name, strategy in STRATEGIES.items() if not issubclass(strategy, ScoreStrategy)][:3]:
        with case(name):
            module, data = network(), pool(200)
            found = select(name, module, data, 5, rng=0, runtime=Runtime(bfloat16_first=True))
            assert found.tolist() == select(name, module, data, 5, rng=0).tolist()
            assert not seen


def test_attacks_are_scored_in_full_precision(seen):
    module, data = network(), pool(60)
    found = select("adversarial_deepfool", module, data, 5, runtime=Runtime(bfloat16_first=True))
    assert found.tolist() == select("adversarial_deepfool", module, data, 5).tolist()
    assert not seen


@dataclass(frozen=True)
class Scored(ScoreStrategy):
    """The first logit, except for rows whose second logit is positive."""

    paper = "none"
    instead: float = 0.0
    needs = Needs(pool=(Logits(),))

    def score(self, sets):
        logits = sets.pool[Logits()]
        return torch.where(logits[:, 1] > 0, self.instead, logits[:, 0])


def test_a_score_that_is_nan_is_refused():
    with pytest.raises(InvalidInput, match="Scored"):
        select(Scored(float("nan")), network(), pool(300), 5, runtime=Runtime(bfloat16_first=True))


def test_infinite_scores(case):
    for instead in [float("inf"), float("-inf")]:
        with case(instead):
            found = select(Scored(instead), network(), pool(300), 5, runtime=Runtime(bfloat16_first=True))
            assert found.tolist() == select(Scored(instead), network(), pool(300), 5).tolist()
