"""The values that users' strategies return: read if they are clear, else refused with the strategy's name and the value."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from distil import strategies
from distil.active_learning_strategies.strategy import Strategy as FromDistil
from distil.deepal import Data, Net
from distil.deepal import Strategy as FromDeepAL
from distil.errors import InvalidInput
from distil.selection.learner import Learner
from distil.selection.select import select, select_from
from distil.signals import Embedding, Probs
from distil.strategies import Needs, ScoreStrategy, Selection, Strategy
from distil.strategies.base import Shortlist
from distil.system.runtime import Runtime

N = 30


@pytest.fixture(scope="module")
def probs():
    return np.random.default_rng(0).dirichlet(np.ones(4), N)


@dataclass(frozen=True, eq=False)
class Mine(Strategy):
    """Returns a fixed value, or the value of a function of its pool's ids; ``reads``: whether it reads signals."""

    returns: Any
    reads: bool = True

    @property
    def needs(self):
        return Needs(pool=(Probs(),)) if self.reads else Needs()

    def select(self, sets, n, rng):
        return self.returns(sets.pool.ids) if callable(self.returns) else self.returns


@dataclass(frozen=True, eq=False)
class Scores(ScoreStrategy):
    """Scores by a function of the probabilities."""

    rule: Any
    needs = property(lambda self: Needs(pool=(Probs(),)))

    def score(self, sets):
        return self.rule(sets.pool[Probs()])


# --- select ---------------------------------------------------------------------------------------------------------

THREE = [9, 4, 20]


def test_ids_in_every_form_are_a_selection(case, probs):
    for returned in [
        Selection(torch.tensor(THREE)),
        Selection(torch.tensor(THREE, dtype=torch.int32)),
        Selection(THREE),
        THREE,
        tuple(THREE),
        np.array(THREE),
        np.array(THREE[::-1], dtype=np.int16)[::-1],
        np.array(THREE, dtype=">i8"),
        np.array(THREE, dtype=np.uint64),
        torch.tensor(THREE),
        torch.tensor(THREE, dtype=torch.uint8),
        [torch.tensor(i) for i in THREE],
    ]:
        for reads in [True, False]:
            with case(returned, reads):
                found = select_from(Mine(returned, reads), 3, probs=probs, names=[f"n{i}" for i in range(N)])
                assert isinstance(found, Selection)
                assert found.ids.dtype == torch.int64
                assert found.tolist() == THREE
                assert found.names == ("n9", "n4", "n20")
                if not reads:
                    assert select(Mine(returned, reads), None, probs, 3).tolist() == THREE


def test_a_value_that_is_not_a_selection_is_refused(case, probs, refuses):
    for returned, parts in [
        (None, ("must return a Selection or ids, got None",)),
        ({1, 2, 3}, ("got set, which has no order; return a list",)),
        (lambda ids: (int(i) for i in ids[:3]), ("got generator, which can be read only once; return a list",)),
        (lambda ids: map(int, ids[:3]), ("got map, which can be read only once",)),
        (dict.fromkeys(THREE).keys(), ("got dict_keys, which has no order",)),
        ([None] * 3, ("got list that begins with None",)),
        (torch.tensor(THREE).to_sparse(), ("the value that Mine.select returned is a sparse tensor",)),
        (np.ma.masked_array(THREE, [False, True, False]), ("has masked entries",)),
        (Selection(torch.tensor(THREE).to_sparse()), ("is a sparse tensor",)),
        ("abc", ("got str",)),
        ({"ids": THREE}, ("got dict",)),
        (object(), ("got object",)),
        (["a", "b", "c"], ("got list",)),
        ([[1], [2, 3], [4]], ("got list",)),
        ([1, 2], ("exactly the 3 ids that it was asked for, got 2",)),
        ([], ("exactly the 3 ids that it was asked for, got 0",)),
        ([1, 2, 3, 4], ("exactly the 3 ids that it was asked for, got 4",)),
        ([1, 2, 1], ("the id 1 more than once", "distinct")),
        ([1, 2, N], (f"the id {N}, which is not in the pool", "sets.pool.ids[rows]")),
        ([1, -1, 2], ("the id -1, which is not in the pool",)),
        ([1.0, 2.0, 3.0], ("got torch.float64 of shape (3,)", "return ids as whole numbers, (n,)")),
        ([torch.nan, 2.0, 3.0], ("got torch.float64 of shape (3,)",)),
        ([[1, 2, 3]], ("whole numbers of shape (3,)", "torch.int64 of shape (1, 3)")),
        (np.arange(N) < 3, ("got torch.bool of shape (30,)", "sets.pool.ids[mask]")),
        (torch.tensor([1j, 2, 3]), ("real numbers",)),
        (7, ("shape ()",)),
        (Selection(torch.tensor([1, 2])), ("exactly the 3 ids", "got 2")),
        (Selection(None), ("must return ids, got None",)),
        (Selection(torch.tensor(THREE), scores=torch.zeros(2)), ("the scores of Mine.select", "(3,)", "shape (2,)")),
        (Selection(torch.tensor(THREE), scores=torch.zeros(3, 1)), ("the scores of", "[:, 0]")),
        (Selection(torch.tensor(THREE), scores=torch.tensor([1.0, torch.nan, 0])), ("the scores of", "ids 4")),
        (Selection(torch.tensor(THREE), weights=torch.tensor([1.0, 1, torch.inf])), ("the weights of", "ids 20")),
        (Selection(torch.tensor(THREE), reasons=("a", "b")), ("the reasons of Mine.select", "each of 3 ids, got 2")),
        (
            Selection(torch.tensor(THREE), notes="abc"),
            ("the notes of Mine.select must be texts in a tuple", "got 'abc'"),
        ),
        (Selection(torch.tensor(THREE), notes=None), ("the notes of Mine.select", "got None")),
        (Selection(torch.tensor(THREE), reasons="abc"), ("the reasons of Mine.select must be texts", "got 'abc'")),
        (Selection(torch.tensor(THREE), weights="abc"), ("the weights of Mine.select", "got str")),
    ]:
        for reads in [True, False]:
            with case(returned, parts, reads), refuses(InvalidInput, "Mine.select", *parts):
                select_from(Mine(returned, reads), 3, probs=probs)


def test_ids_outside_the_candidates_are_refused(probs, refuses):
    """Rows of the pool that are not ids, too."""
    with refuses(InvalidInput, "Mine.select returned the id 0, which is not in the pool"):
        select_from(Mine(lambda ids: torch.arange(3)), 3, probs=probs, candidates=[20, 21, 22, 23])
    found = select_from(Mine(lambda ids: ids.sort().values[:3]), 3, probs=probs, candidates=[23, 22, 21, 20])
    assert found.tolist() == [20, 21, 22]


def test_scores_and_weights_are_kept(probs):
    returned = Selection(torch.tensor(THREE), scores=[3, 2, 1], weights=torch.tensor([0.5, 1, 2], requires_grad=True))
    found = select_from(Mine(returned), 3, probs=probs)
    assert found.scores.tolist() == [3.0, 2.0, 1.0]
    assert found.weights.tolist() == [0.5, 1.0, 2.0]
    assert not found.weights.requires_grad


def test_errors_of_select_pass_through(probs):
    def fails(ids):
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match=r"^mine$"):
        select_from(Mine(fails), 3, probs=probs)


@dataclass(frozen=True, eq=False)
class Blind(ScoreStrategy):
    """Scores by a function of the ids, without a signal."""

    rule: Any
    needs = Needs()

    def score(self, sets):
        return self.rule(sets.pool.ids)


def test_scores_without_signals_are_checked_too(case, probs, refuses):
    for choose in (
        lambda strategy: select(strategy, None, probs, 3),
        lambda strategy: select_from(strategy, 3, probs=probs),
        lambda strategy: Learner(probs, torch.nn.Linear(4, 2), strategy, num_classes=2).query(3),
    ):
        with case(choose):
            for rule in (lambda ids: -ids, lambda ids: (-ids).tolist(), lambda ids: -ids.numpy()):
                assert choose(Blind(rule)).tolist() == [0, 1, 2]
            with refuses(InvalidInput, "Blind.score", "shape (29,)"):
                choose(Blind(lambda ids: ids[1:]))
            with refuses(InvalidInput, "Blind.score", "got None"):
                choose(Blind(lambda ids: None))


PARAMS = {
    "n_epoch": 1,
    "train_args": {"batch_size": 16, "num_workers": 0},
    "test_args": {"batch_size": 100, "num_workers": 0},
    "optimizer_args": {"lr": 0.1, "momentum": 0.5},
}


class Handler(torch.utils.data.Dataset):
    def __init__(self, X, Y=None, use_test_transform=False):
        self.x = X

    def __len__(self):
        return len(self.x)

    def __getitem__(self, row):
        return self.x[row], row


def test_the_documented_interfaces_check_it_too(case, probs, refuses):
    x, net = torch.from_numpy(probs).float(), torch.nn.Linear(4, 2)
    distil = FromDistil(None, None, x, net, Handler, 2)
    handler = lambda x, y: torch.utils.data.TensorDataset(torch.as_tensor(x), torch.as_tensor(y))  # noqa: E731
    data = Data(x, torch.zeros(N, dtype=torch.long), x, torch.zeros(N, dtype=torch.long), handler)
    deepal = FromDeepAL(data, Net(lambda: net, PARAMS, "cpu"))
    for choose in (lambda strategy: distil._select(strategy, 3), lambda strategy: deepal.select(strategy, 3)):
        with case(choose):
            assert list(choose(Mine(THREE, reads=False))) == THREE
            with refuses(InvalidInput, "Mine.select returned the id 1 more than once"):
                choose(Mine([1, 2, 1], reads=False))
            with refuses(InvalidInput, "Mine.select", "got None"):
                choose(Mine(None, reads=False))


def test_learners_check_it_too(probs, refuses):
    learner = Learner(probs, torch.nn.Linear(4, 2), Mine([1, 1], reads=False), num_classes=2)
    with refuses(InvalidInput, "Mine.select returned the id 1 more than once"):
        learner.query(2)
    assert len(learner.pool.unlabeled) == N


# --- score ----------------------------------------------------------------------------------------------------------


def test_scores_in_every_form(case, probs):
    for rule in [
        lambda p: p[:, 0],
        lambda p: p[:, 0].numpy(),
        lambda p: p[:, 0].tolist(),
        lambda p: list(p[:, 0]),
        lambda p: p[:, 0].numpy().astype(">f8"),
        lambda p: p[:, 0].clone().requires_grad_(),
        lambda p: p[:, 0].numpy()[::-1][::-1],
        lambda p: p[:, 0].numpy().astype(object),
        lambda p: p[:, 0].numpy().astype(np.longdouble),
    ]:
        with case(rule):
            found = select_from(Scores(rule), 5, probs=probs)
            assert found.tolist() == np.argsort(-probs[:, 0], kind="stable")[:5].tolist()
            np.testing.assert_allclose(found.scores.numpy(), np.sort(probs[:, 0])[::-1][:5])


def test_bools_and_whole_numbers_are_scores(case, probs):
    for rule in [lambda p: p[:, 0] > 0.5, lambda p: (p[:, 0] > 0.5).long(), lambda p: (p[:, 0] > 0.5).half()]:
        with case(rule):
            n = int((probs[:, 0] > 0.5).sum())
            found = select_from(Scores(rule), n + 1, probs=probs)
            assert found.scores.is_floating_point()
            assert found.scores.tolist() == [1.0] * n + [0.0]
            assert set(found.tolist()[:n]) == set(np.flatnonzero(probs[:, 0] > 0.5).tolist())


def test_infinite_scores_put_first_or_last(probs):
    found = select_from(Scores(lambda p: torch.where(p[:, 0] > 0.5, -torch.inf, p[:, 0])), N, probs=probs)
    n = int((probs[:, 0] > 0.5).sum())
    assert set(found.tolist()[-n:]) == set(np.flatnonzero(probs[:, 0] > 0.5).tolist())


def test_a_value_that_is_not_a_score_is_refused(case, probs, refuses):
    for rule, parts in [
        (lambda p: p[1:, 0], ("one number for each row of sets.pool, of shape (30,)", "shape (29,)")),
        (lambda p: p[:, :1], ("shape (30, 1)", "return its only column")),
        (lambda p: p, ("shape (30, 4)",)),
        (lambda p: p[:, 0].mean(), ("shape ()",)),
        (lambda p: None, ("got None",)),
        (lambda p: [None] * N, ("got list that begins with None",)),
        (lambda p: (float(value) for value in p[:, 0]), ("got generator, which can be read only once; return a list",)),
        (lambda p: ["a"] * N, ("got list that begins with 'a'",)),
        (lambda p: p[:, 0].to_sparse(), ("the value that Scores.score returned is a sparse tensor",)),
        (lambda p: np.ma.masked_array(p[:, 0], np.arange(N) == 5), ("has masked entries",)),
        (lambda p: p[:, 0] + 1j, ("real numbers", "torch.complex128")),
        (lambda p: p[:, 0].index_fill(0, torch.tensor([3, 7]), torch.nan), ("NaN", "2 of 30 examples: ids 3, 7")),
        (lambda p: np.where(np.arange(N) == 5, np.nan, p[:, 0]), ("NaN", "ids 5")),
    ]:
        with case(rule, parts), refuses(InvalidInput, "Scores", *parts):
            select_from(Scores(rule), 3, probs=probs)


def test_scores_of_each_minibatch_are_checked(probs, refuses, small_net):
    """One score too few in every chunk of a stream, ids named as those of the data."""
    x = np.random.default_rng(0).normal(size=(N, 6)).astype(np.float32)
    with refuses(InvalidInput, "Scores.score must be one number for each row of sets.pool, of shape (10,)", "(9,)"):
        select(Scores(lambda p: p[1:, 0]), small_net(), x, 3, runtime=Runtime(batch_size=10))


def test_infinite_scores_of_a_selection_pass_as_those_of_a_score_do(probs):
    scores = torch.tensor([torch.inf, 1, -torch.inf])
    assert torch.equal(select_from(Mine(Selection(torch.tensor(THREE), scores)), 3, probs=probs).scores, scores)


def test_names_of_a_selection_are_the_callers(probs):
    assert select_from(Mine(Selection(torch.tensor(THREE), names=("a",))), 3, probs=probs).names is None


def check_reasons_of_scores_are_checked(reasons, message, probs, refuses, monkeypatch):
    monkeypatch.setattr(Scores, "reasons", lambda self, chosen, scores: reasons)
    with refuses(InvalidInput, "the reasons of Scores.select must be texts", message):
        select_from(Scores(lambda p: p[:, 0]), 3, probs=probs)


def test_reasons_of_scores_are_checked(case, probs, refuses, monkeypatch):
    for reasons, message in [
        (("a",), "one for each of 3 ids, got 1"),
        (iter("abc"), "one for each id, got"),
        ((1, 2, 3), "one for each id, got"),
    ]:
        with case(reasons, message):
            check_reasons_of_scores_are_checked(reasons, message, probs, refuses, monkeypatch)


def test_a_score_strategy_does_nothing_but_score(case, probs, refuses):
    for method in ["select", "explained"]:
        with case(method):
            other = type("Other", (Scores,), {method: lambda self, *args: Selection(torch.tensor(THREE))})
            with refuses(
                InvalidInput, f"so Other.{method} would never be called; derive Other from distil.Strategy instead"
            ):
                select_from(other(lambda p: p[:, 0]), 3, probs=probs)
            needs = Needs(pool=(Probs(),), shortlist=Shortlist(Scores(lambda p: p[:, 0]), 2))
            short = type("Short", (Scores,), {"needs": needs})
            with refuses(
                InvalidInput, "Short.needs has a shortlist, but a ScoreStrategy scores every example; leave it out"
            ):
                select_from(short(lambda p: p[:, 0]), 3, probs=probs)


# --- the library's own ----------------------------------------------------------------------------------------------


def test_every_selection_of_the_library_passes_this_door(monkeypatch, probs, refuses):
    monkeypatch.setattr(strategies.CoreSet, "select", lambda self, sets, n, rng: Selection(torch.zeros(n).long()))
    assert strategies.CoreSet().needs.pool == (Embedding(),)
    with refuses(InvalidInput, "CoreSet.select returned the id 0 more than once"):
        select_from("core_set", 3, embeddings=probs)


def test_whole_scores_that_float64_would_round_are_refused(probs):
    exact = torch.arange(N) + 2**53 - N
    assert select_from(Scores(lambda _: exact), 3, probs=probs).tolist() == [N - 1, N - 2, N - 3]
    for scores in (exact + N, -exact - N, np.arange(N, dtype=np.uint64) + np.uint64(2**60)):
        with pytest.raises(
            InvalidInput, match=r"Scores.score must be numbers that float64 holds, whole ones up to 2\*\*53"
        ):
            select_from(Scores(lambda _, scores=scores: scores), 3, probs=probs)
