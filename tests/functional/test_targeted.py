"""Targeted measures against their definitions: set functions evaluated anew for every set."""

import functools
import itertools

import numpy as np
import pytest
import torch

from distil.errors import InvalidInput, UnknownName
from distil.functional import targeted as module
from distil.functional.features import Dense, Outer
from distil.functional.greedy import two_rounds_with_gains
from distil.functional.similarity import Similarity, cosine, rbf
from distil.functional.targeted import FUNCTIONS, targeted

RIDGE = 1e-3  # of the log determinants


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class World:
    """The pool, the query and the private set as one ground set with its similarities."""

    def __init__(self, n, m, p, seed, kernel=cosine):
        self.x, self.q, self.p = normal(n, 4, seed=seed), normal(m, 4, seed=seed + 20), normal(p, 4, seed=seed + 40)
        self.kernel = kernel(Dense(self.x)) if kernel is rbf else kernel()
        everything = Dense(torch.cat([self.x, self.q, self.p]))
        self.s = Similarity(everything, self.kernel).exact(slice(None)).numpy()
        self.n, self.query = n, list(range(n, n + m))
        self.private = list(range(n + m, n + m + p))

    def picks(self, function, k, **likeness):
        given = {"query": Dense(self.q), "private": Dense(self.p)}
        return targeted(function, Dense(self.x), k, self.kernel, **given, **likeness)

    def facility(self, of):
        """f of facility location that represents the pool."""
        return self.s[: self.n][:, sorted(of)].max(1).sum() if of else 0.0

    def across(self, of):
        """f of facility location whose rows are like themselves and those of the other set only; this gives flqmi."""
        ground = [*range(self.n), *self.query]
        total = 0.0
        for i in ground:
            same = [1.0 if i == j else 0.0 for j in of if (j < self.n) == (i < self.n)]
            other = [self.s[i, j] for j in of if (j < self.n) != (i < self.n)]
            total += max([*same, *other], default=0.0)
        return total

    def cut(self, of):
        """f of graph cut with lam = 1 over everything."""
        of = sorted(of)
        return self.s[:, of].sum() - self.s[np.ix_(of, of)].sum()

    def determinant(self, of):
        of = sorted(of)
        return np.linalg.slogdet(self.s[np.ix_(of, of)] + RIDGE * np.eye(len(of)))[1] if of else 0.0

    def information(self, f, a, given=()):
        q = {*self.query}
        of = lambda s: f({*s, *given}) - f({*given})  # noqa: E731
        return of(a) + of(q) - of({*a, *q})


def greedy(world, value, k):
    """Rows and gains of a greedy maximization of ``value``, a function of sets of rows."""
    found, gains, now = [], [], value(set())
    for _ in range(k):
        values = {i: value({*found, i}) - now for i in range(world.n) if i not in found}
        top = max(values.values())
        row = min(i for i, gain in values.items() if gain >= top - 1e-9 * max(1, abs(top)))
        found.append(row)
        gains.append(values[row])
        now += values[row]
    return found, gains


def values(world):
    """Name of a measure -> its value of a set, from the definition by set functions, for eta = nu = 1."""
    q, p = world.query, world.private
    return {
        "flvmi": lambda a: world.information(world.facility, a),
        "flqmi": lambda a: world.information(world.across, a),
        "gcmi": lambda a: world.information(world.cut, a),
        "logdetmi": lambda a: world.information(world.determinant, a),
        "flcg": lambda a: world.facility({*a, *p}) - world.facility({*p}),
        "logdetcg": lambda a: world.determinant({*a, *p}) - world.determinant({*p}),
        "flcmi": lambda a: world.information(world.facility, a, p),
        "logdetcmi": lambda a: world.information(world.determinant, a, p),
        "com": lambda a: (
            sum(world.s[i, q].sum() ** 0.5 for i in a) + sum(world.s[sorted(a), j].sum() ** 0.5 for j in q if a)
        ),
        "gccg": lambda a: (
            world.s[: world.n][:, sorted(a)].sum()
            - world.s[np.ix_(sorted(a), sorted(a))].sum()
            - 2 * world.s[np.ix_(sorted(a), p)].sum()
        ),
    }


def test_the_picks_of_the_definitions():
    for seed, kernel in itertools.product(range(3), (cosine, rbf)):
        world = World(18, 3, 2, seed, kernel)
        for name, value in values(world).items():
            expected, gains = greedy(world, value, 4)
            found = world.picks(name, 4)
            assert found.gains.tolist() == pytest.approx(gains, rel=1e-5, abs=1e-6), name
            assert found.rows.tolist() == expected, name


def test_every_function_has_a_definition_here():
    assert {*values(World(3, 1, 1, 0))} == {*FUNCTIONS} - {"round_robin"}


def test_eta_and_nu_weigh_the_likeness():
    world = World(15, 3, 2, 5)
    s, q, p = world.s, world.query, world.private
    inside = range(world.n)

    def capped(a, eta, nu):
        return sum(
            max(min(max((s[v, i] for i in a), default=0), eta * s[v, q].max()) - nu * s[v, p].max(), 0) for v in inside
        )

    def near(a, eta):
        return sum(max((s[j, i] for i in a), default=0) for j in q) + eta * sum(s[i, q].max() for i in a)

    def diverse(a, of, weight):
        a = sorted(a)
        across = weight * s[np.ix_(a, of)]
        inner = np.linalg.inv(s[np.ix_(of, of)] + RIDGE * np.eye(len(of)))
        kernel = s[np.ix_(a, a)] + RIDGE * np.eye(len(a))
        return np.linalg.slogdet(kernel - across @ inner @ across.T)[1] if a else 0.0

    cases = {
        "flcmi": (lambda a: capped(a, 0.8, 0.7), {"eta": 0.8, "nu": 0.7}),
        "flqmi": (lambda a: near(a, 3.0), {"eta": 3.0}),
        "logdetmi": (lambda a: world.determinant(a) - diverse(a, q, 0.6), {"eta": 0.6}),
        "logdetcg": (lambda a: diverse(a, p, 0.4), {"nu": 0.4}),
    }
    for name, (value, likeness) in cases.items():
        expected, gains = greedy(world, value, 4)
        found = world.picks(name, 4, **likeness)
        assert found.rows.tolist() == expected, name
        assert found.gains.tolist() == pytest.approx(gains, rel=1e-5, abs=1e-6), name


def test_the_query_rows_take_turns():
    x = Dense(torch.tensor([[1.0, 0], [0.9, 0.1], [0, 1], [0.1, 0.8], [-1, 0]]))
    query = Dense(torch.tensor([[2.0, 0], [0, 3]]))
    assert targeted("round_robin", x, 5, cosine(), query=query).rows.tolist() == [0, 2, 1, 3, 4]


def test_the_most_alike_follow_where_the_measure_can_rise_no_more():
    x = Dense(torch.tensor([[0.0, 1], [1, 0], [1, 0.1], [0.5, 0.5], [-1, 0], [1, 0]]))
    query, private = Dense(torch.tensor([[1.0, 0]])), Dense(torch.tensor([[0.0, 1]]))
    found = targeted("flvmi", x, 6, cosine(), query=query)
    assert found.rows[0] in (1, 5)
    assert found.gains[0] > 0
    assert found.gains[1:].tolist() == [0] * 5  # one pick is as like all rows as the query is
    assert found.rows.tolist() == [1, 5, 2, 3, 0, 4]
    far = targeted("flcg", x, 6, cosine(), private=Dense(torch.cat([private.x, x.x])))  # everything is covered
    assert far.gains.tolist() == [0] * 6
    both = targeted("flcmi", x, 6, cosine(), query=query, private=Dense(x.x[:1])).rows.tolist()
    assert {*both[-2:]} == {0, 4}  # the private row itself, and the one opposite to the query


def test_many_rows_are_maximized_in_two_rounds(monkeypatch):
    x, query, private = Dense(normal(300, 4)), Dense(normal(5, 4, seed=1)), Dense(normal(5, 4, seed=2))
    for name in ("flvmi", "flcg", "flcmi"):
        whole = targeted(name, x, 10, cosine(), query=query, private=private)
        with monkeypatch.context() as patch:
            patch.setattr(module, "two_rounds_with_gains", functools.partial(two_rounds_with_gains, memory=40_000))
            parts = targeted(name, x, 10, cosine(), query=query, private=private)
        assert len(set(parts.rows.tolist())) == 10
        assert float(parts.gains.sum()) >= 0.9 * float(whole.gains.sum())


def test_factored_rows():
    x, query = Outer(normal(30, 3), normal(30, 4, seed=1)), Outer(normal(4, 3, seed=2), normal(4, 4, seed=3))
    for name in ("flqmi", "flvmi", "logdetmi"):
        found = targeted(name, x, 5, cosine(), query=query)
        assert (
            found.rows.tolist()
            == targeted(name, Dense(x.dense()), 5, cosine(), query=Dense(query.dense())).rows.tolist()
        )


def test_what_is_wrong_is_named():
    x = Dense(normal(5, 2))
    with pytest.raises(UnknownName, match="flqim'; did you mean 'flqmi'"):
        targeted("flqim", x, 1, cosine(), query=x)
    for role in ("query", "private"):
        with pytest.raises(InvalidInput, match=f"flcmi needs rows of the {role} set"):
            targeted("flcmi", x, 1, cosine(), **{"query": x, "private": x, role: x[slice(0, 0)]})
    for name in ("eta", "nu"):
        with pytest.raises(InvalidInput, match=f"{name} must be a finite number"):
            targeted("flcmi", x, 1, cosine(), query=x, private=x, **{name: -1.0})
    for name, weight in (("logdetmi", "eta"), ("logdetcg", "nu"), ("logdetcmi", "eta"), ("logdetcmi", "nu")):
        with pytest.raises(InvalidInput, match=f"{weight} must be at most 1 for {name}, whose determinants may be neg"):
            targeted(name, x, 1, cosine(), query=x, private=x, **{weight: 1.5})
    for name in FUNCTIONS:
        with pytest.raises(InvalidInput, match="n must be between 0 and 5"):
            targeted(name, x, 6, cosine(), query=x, private=x)
