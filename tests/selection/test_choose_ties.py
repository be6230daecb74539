"""Ties are broken by a seeded order of the ids, by every strategy: pools are sorted by class or date."""

import numpy as np
import pytest
import scipy.stats
import torch

from distil.measuring.source import ArraySource
from distil.rng import Rng
from distil.selection.choose import choose
from distil.signals import Embedding, Labels, Logits, MCProbs, Probs, measured_by
from distil.strategies import STRATEGIES, Needs, Refine, strategy_named
from distil.strategies.base import ROLES
from distil.system.runtime import Runtime

GROUPS, COPIES = 6, 40
N = GROUPS * COPIES


def reads_arrays(strategy):
    signals = {signal for role in ROLES for signal in measured_by(getattr(strategy.needs, role))}
    return strategy.needs != Needs() and all(isinstance(s, (Logits, Embedding, MCProbs, Labels)) for s in signals)


STRATEGIES_OF_ARRAYS = {name: strategy_named(name) for name in STRATEGIES if reads_arrays(strategy_named(name))}
STRATEGIES_OF_ARRAYS["refine"] = Refine(steps=2, selections=6)  # in place of some hundred selections


def arrays():
    """Six distinct rows, 40 copies of each one after the other, and two labeled rows at the end."""
    rng = np.random.default_rng(0)
    rows = np.r_[np.repeat(np.arange(GROUPS), COPIES), GROUPS, GROUPS + 1]
    found = {
        "probs": rng.dirichlet([1] * 4, GROUPS + 2)[rows],
        "embeddings": rng.normal(size=(GROUPS + 2, 5))[rows],
        "mc_probs": rng.dirichlet([1] * 4, (GROUPS + 2, 10))[rows],
        "labels": np.arange(N + 2) % 4,
    }
    return {name: torch.from_numpy(array) for name, array in found.items()}


def chosen(strategy, n, seed, ids=None, runtime=None):
    """The ids that the strategy chooses of a pool, in which the examples come in the order of ``ids``."""
    pool = ArraySource(torch.arange(N) if ids is None else ids, arrays())
    others = {role: ArraySource(torch.tensor([N, N + 1]), arrays()) for role in ROLES if role != "pool"}
    return choose(strategy, {"pool": pool, **others}, n, runtime or Runtime(progress=False), Rng(seed)).tolist()


@pytest.mark.slow
def test_picks_among_equal_rows_are_spread_over_the_pool():
    """Over 12 seeds, the picks of each strategy fall into the four quarters of their groups equally often."""
    for name, strategy in STRATEGIES_OF_ARRAYS.items():
        counts = np.zeros(4)
        for seed in range(12):
            picks = np.array(chosen(strategy, GROUPS, seed))
            counts += np.bincount(picks % COPIES * 4 // COPIES, minlength=4)
        # Picks within a group are without replacement and may come in blocks, so the test is on few of them at a time.
        assert scipy.stats.chisquare(counts).pvalue > 1e-4, (name, counts)


def test_the_order_of_the_pool_does_not_matter():
    shuffled = torch.from_numpy(np.random.default_rng(1).permutation(N))
    for name, strategy in STRATEGIES_OF_ARRAYS.items():
        expected = chosen(strategy, 9, 3)
        assert chosen(strategy, 9, 3, shuffled) == expected, name


def test_memory_does_not_matter(tmp_path):
    for name in ("core_set", "probcover", "badge", "bait"):
        small = Runtime(progress=False, memory=1000, scratch=tmp_path)
        scattered = torch.arange(0, N, 3)
        for ids in (None, scattered):
            expected = chosen(strategy_named(name), 9, 3, ids)
            assert chosen(strategy_named(name), 9, 3, ids, runtime=small) == expected, name


def test_strategies_that_read_features_need_no_copy_of_scattered_rows(tmp_path):
    nowhere = Runtime(progress=False, memory=1000, scratch=tmp_path / "nowhere")  # a copy in a file would fail
    scattered = torch.arange(0, N, 3)
    reading = [name for name, kind in STRATEGIES.items() if kind.reads_features]
    assert {"core_set", "badge"} <= {*reading}
    for name in reading:
        expected = chosen(strategy_named(name), 20, 1, scattered)
        assert chosen(strategy_named(name), 20, 1, scattered, nowhere) == expected, name


def test_a_pool_of_one_row_repeated_is_sampled_uniformly():
    """Whatever the strategy reads, it then says that the selection is a random sample; half of the picks are from each half."""
    size = 60
    same = {name: array[:1].expand(size, *array.shape[1:]) for name, array in arrays().items()}
    for name, strategy in STRATEGIES_OF_ARRAYS.items():
        if strategy.needs.shortlist is None and not any(getattr(strategy.needs, role) for role in ROLES[2:]):
            sources = {"pool": ArraySource(torch.arange(size), same), "labeled": ArraySource(torch.tensor([0]), same)}
            first = 0
            for seed in range(4):
                found = choose(strategy, sources, 10, Runtime(progress=False), Rng(seed))
                assert any("this is a random sample" in note for note in found.notes), name
                first += sum(i < size // 2 for i in found)
            assert 5 < first < 35, name  # 20 of 40 expected, standard deviation at most 3.2


def test_equal_rows_have_equal_scores_wherever_they_are():
    """Bit for bit, so their ties are ties; scores of other rows that agree within rounding are not."""
    for name in ("entropy_sampling", "margin_sampling", "least_confidence", "bald_dropout"):
        strategy = strategy_named(name)
        for n in (1, 7, 33):
            probs = torch.from_numpy(np.random.default_rng(2).dirichlet([1] * 7, (5, 10)).astype(np.float32))
            rows = torch.arange(5).repeat_interleave(n)
            source = ArraySource(torch.arange(5 * n), {"probs": probs[rows, 0], "mc_probs": probs[rows]})
            table = source.table(source.measured(strategy.needs.pool), Runtime(progress=False), Rng(0))
            scores = strategy.score(type("Pool", (), {"pool": table})).view(5, n)
            assert bool((scores == scores[:, :1]).all()), (name, n)


def test_the_strategies_of_this_file_are_all_that_read_arrays():
    assert {
        "badge",
        "bait",
        "batchbald",
        "core_set",
        "craig",
        "fass",
        "glister",
        "gradmatch",
    } <= STRATEGIES_OF_ARRAYS.keys()
    assert Probs() not in STRATEGIES_OF_ARRAYS
