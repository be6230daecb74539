"""The checks that every strategy must pass whose signals only arrays can hold: tokens, rewards of responses."""

import random

import numpy as np
import pytest
import torch

from distil.errors import InvalidInput, MissingSignal
from distil.measuring.source import ArraySource
from distil.rng import Rng
from distil.selection.arguments import with_tokens
from distil.selection.choose import gather
from distil.selection.select import select, select_from
from distil.signals import Deviations, Given, OfTokens, Rewards, Signals, measured_by
from distil.strategies import STRATEGIES, ScoreStrategy, strategy_named
from distil.strategies.base import ROLES, Sets
from distil.system.runtime import Runtime

N, LABELED = 60, [3, 17, 40]
UNLABELED = set(range(N)) - set(LABELED)


def measured(name):
    return measured_by(strategy_named(name).needs.pool)


NAMES = [name for name in sorted(STRATEGIES) if any(isinstance(signal, Given) for signal in measured(name))]
RNG = np.random.default_rng(0)
LENGTHS = RNG.integers(0, 7, N)
TOKENS = {
    "probs": RNG.dirichlet(np.full(4, 0.5), LENGTHS.sum()).astype(np.float32),
    "offsets": np.concatenate([[0], np.cumsum(LENGTHS)]),
}
RESPONSES = {
    "rewards": RNG.normal(size=(N, 3)).astype(np.float32),
    "deviations": RNG.gamma(1, 1, size=(N, 3)).astype(np.float32),
}


def arrays_of(name):
    known = {OfTokens: TOKENS, Rewards: RESPONSES, Deviations: RESPONSES}
    signals = measured(name)
    return {
        k: v for kind, arrays in known.items() if any(isinstance(s, kind) for s in signals) for k, v in arrays.items()
    }


def ask(name, n=10, **options):
    return select_from(name, n, **{**arrays_of(name), "labeled": LABELED, "seed": 0, **options})


def check_valid(selection, n, allowed):
    ids = list(selection)
    assert all(type(i) is int for i in ids)
    assert len(ids) == n == len(set(ids)) == len(selection.reasons)
    assert set(ids) <= set(allowed)
    assert all(reason.strip() and len(reason) < 90 for reason in selection.reasons)
    assert selection.scores is None or bool(selection.scores.isfinite().all())


def changed(name, change):
    return {k: v if k == "offsets" else change(v) for k, v in arrays_of(name).items()}


def test_these_strategies_read_arrays_alone(case):
    assert NAMES
    for name in NAMES:
        with case(name):
            strategy = strategy_named(name)
            assert all(isinstance(signal, Given) for signal in measured(name))
            assert not any(getattr(strategy.needs, role) for role in ROLES[1:])
            with pytest.raises(MissingSignal, match=f"{type(strategy).__name__} reads the .* distil.select_from"):
                select(name, torch.nn.Linear(3, 2), np.zeros((9, 3)), 2)


def test_n_distinct_ids_of_the_candidates_with_a_reason_each(case):
    for name in NAMES:
        with case(name):
            for n in (1, 10, len(UNLABELED)):
                check_valid(ask(name, n), n, UNLABELED)
            assert sorted(ask(name, N, labeled=None)) == list(range(N))
            candidates = [50, 5, 33, 8, 59, 2]
            check_valid(ask(name, 4, candidates=candidates), 4, candidates)
            assert ask(name, 4, candidates=candidates[::-1]).tolist() == ask(name, 4, candidates=candidates).tolist()
            for n in (0, N, True, 2.5):
                with pytest.raises(InvalidInput, match=r"\bn must be"):
                    ask(name, n)
            if issubclass(STRATEGIES[name], ScoreStrategy):
                assert ask(name, 30).tolist()[:7] == ask(name, 7).tolist()


def test_the_seed_alone_decides_and_nothing_is_changed(case):
    def states():
        return torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), random.getstate()  # noqa: NPY002

    for name in NAMES:
        with case(name):
            before, bytes_before = states(), [array.tobytes() for array in arrays_of(name).values()]
            first = ask(name).tolist()
            torch.rand(1), np.random.rand(1)  # noqa: NPY002
            assert ask(name).tolist() == first
            assert [array.tobytes() for array in arrays_of(name).values()] == bytes_before
            after = states()
            ask(name)
            assert states() == after != before


def test_kinds_of_arrays_make_no_difference(case):
    for name in NAMES:
        with case(name):
            expected = ask(name).tolist()

            def frozen(array):
                array = array.copy()
                array.flags.writeable = False
                return array

            for change in (torch.from_numpy, frozen, np.asfortranarray):
                assert ask(name, **changed(name, change)).tolist() == expected
            half = ask(name, **changed(name, lambda array: array.astype(np.float16)))
            wide = ask(name, **changed(name, lambda array: array.astype(np.float16).astype(np.float32)))
            assert half.tolist() == wide.tolist()
            assert ask(name, names=[f"n{i}" for i in range(N)]).names == tuple(f"n{i}" for i in expected)


def test_equal_rows_and_empty_examples_give_distinct_ids(case):
    for name in NAMES:
        with case(name):
            same = changed(name, lambda array: np.repeat(array[:1], len(array), 0))
            assert (
                len({tuple(ask(name, 12, **same, seed=seed)) for seed in range(4)}) == 4
            )  # random: no row is preferred
            check_valid(ask(name, 40, **same), 40, UNLABELED)
    for name in NAMES:
        if "offsets" in arrays_of(name):
            with case(name):
                empty = {"probs": TOKENS["probs"][:2], "offsets": np.array([0] + [2] * N)}
                check_valid(ask(name, 40, **empty), 40, UNLABELED)


def test_needs_are_sufficient_and_necessary(case):
    for name in NAMES:
        with case(name):
            strategy, arrays = strategy_named(name), arrays_of(name)
            if "offsets" in arrays:
                arrays = with_tokens({"probs": arrays["probs"]}, arrays["offsets"])
            table = gather(ArraySource(torch.arange(N), arrays), strategy.needs.pool, Runtime(), Rng(0))
            assert set(table.values) == set(measured(name))
            check_valid(strategy.select(Sets(table), 10, Rng(0)), 10, range(N))
            for signal in table.values:
                rest = {s: column for s, column in table.values.items() if s != signal}
                with pytest.raises(MissingSignal, match="was not measured"):
                    strategy.select(Sets(Signals(table.ids, rest)), 10, Rng(0))
