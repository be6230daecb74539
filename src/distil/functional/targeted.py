"""Targeted selection: rows that have much in common with a query set, little with a private set, or both.

The measures are those of SIMILAR (Kothawade, Beck, Killamsetty and Iyer 2021) and PRISM (Kothawade et al. 2022), made of set
functions f: the mutual information I(A; Q) = f(A) + f(Q) - f(A + Q) with a query set Q, the conditional gain
f(A | P) = f(A + P) - f(P) over a private set P, and I(A; Q | P) = f(A | P) + f(Q | P) - f(A + Q | P).
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Final

import torch
from torch import Tensor

from distil.errors import InvalidInput, UnknownName, nearest
from distil.functional.features import Features
from distil.functional.gains import RowsWithGains
from distil.functional.greedy import lazy_greedy, naive_greedy, two_rounds_with_gains
from distil.functional.similarity import Kernel, Similarity
from distil.functional.submodular import FacilityLocation, GraphCut, LogDeterminant, Objective

_NOTHING = 2.0**-22
"""Gains of at most this are rounding errors of similarities in float32."""

_RIDGE = 1e-3
"""Added to the diagonal of log determinants: a query often holds copies, whose matrix would be singular."""


def targeted(
    function: str,
    x: Features,
    n: int,
    kernel: Kernel,
    *,
    query: Features | None = None,
    private: Features | None = None,
    eta: float = 1.0,
    nu: float = 1.0,
) -> RowsWithGains:
    """Pick rows one by one, each the one that raises a targeted measure most.

    With s the similarity, V the N rows, and A the picks:

    ``flvmi``
        sum_{v in V} min(max_{a in A} s(v, a), eta max_{q in Q} s(v, q)): facility location on the pool. Spreads over the part of
        the pool that is like the query.
    ``flqmi``
        sum_{q in Q} max_{a in A} s(q, a) + eta sum_{a in A} max_{q in Q} s(a, q): facility location between picks and query. Each
        query row gets a pick; a larger eta adds rows close to any of them. Cheap: it needs no pairs of the pool.
    ``gcmi``
        2 sum_{a in A, q in Q} s(a, q): graph cut. The rows of largest mean similarity, copies too.
    ``logdetmi``
        log det S_A - log det(S_A - eta^2 S_AQ S_Q^-1 S_QA): log determinant. Like the query, and diverse.
    ``com``
        eta sum_{a in A} sqrt(sum_{q in Q} s(a, q)) + sum_{q in Q} sqrt(sum_{a in A} s(a, q)): concave over modular.
    ``round_robin``
        Not of the papers: the rows of Q take turns, each with the most similar row that is left.
    ``flcg``, ``gccg``, ``logdetcg``
        The conditional gains over P: sum_{v in V} max(max_{a in A} s(v, a) - nu max_{p in P} s(v, p), 0); graph cut less
        2 nu sum_{a in A, p in P} s(a, p); and log det(S_A - nu^2 S_AP S_P^-1 S_PA).
    ``flcmi``, ``logdetcmi``
        Both: sum_{v in V} max(min(max_{a in A} s(v, a), eta max_{q in Q} s(v, q)) - nu max_{p in P} s(v, p), 0); and the log
        determinant given P less that given P and Q.

    Log determinants have ``1e-3`` added to the diagonal. Facility location on the pool is maximized in two rounds if there are too
    many pairs to store (see ``two_rounds``). Where it can rise no more, the remaining picks are the rows of largest eta times
    likeness to the query, less nu times likeness to the private set.

    Args:
        function: One of the names above.
        x: N rows.
        n: Number of rows to pick, from 0 to N.
        kernel: Similarity of two rows, between 0 and 1, positive semidefinite for log determinants: ``rbf`` or ``cosine``.
        query: M rows like those to find.
        private: M rows like those to avoid.
        eta: How much likeness to the query counts, at least 0; at most 1 for log determinants.
        nu: How much likeness to the private set counts, at least 0; at most 1 for log determinants.

    Returns:
        Rows in pick order and what each added to the measure.

    Raises:
        UnknownName: There is no function of that name.
        InvalidInput: A set that the function reads has no rows, or a number is out of range.

    Cost: O(N M D) for ``flqmi``, ``gcmi``, ``com`` and ``round_robin``, then some tens of O(M) a pick; O(N^2 D) at most for the
    others on facility location and graph cut; O(N (M^2 + M D)), then O(N (D + M + n)) a pick, for log determinants.

    >>> from distil.functional.features import Dense
    >>> from distil.functional.similarity import cosine
    >>> x = Dense(torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.1, 1.0], [-1.0, 0.0]]))
    >>> targeted("flqmi", x, 1, cosine(), query=Dense(torch.tensor([[0.0, 2.0]]))).rows.tolist()
    [1]
    """
    if function not in FUNCTIONS:
        raise UnknownName(f"there is no targeted function {function!r}{nearest(function, FUNCTIONS)}")
    check_weights(function, eta, nu)
    sets = {"query": query, "private": private}
    for role in FUNCTIONS[function]:
        given = sets[role]
        if given is None or not len(given):
            raise InvalidInput(f"{function} needs rows of the {role} set, got none")
    wanted = query if "query" in FUNCTIONS[function] else None
    unwanted = private if "private" in FUNCTIONS[function] else None
    if function.startswith("fl") and function != "flqmi":
        found = two_rounds_with_gains(
            lambda similarity: _Coverage(similarity, wanted, unwanted, eta, nu), x, n, kernel, lazy_greedy
        )
        return _completed(found, x, kernel, wanted, unwanted, eta, nu)
    if function.startswith("logdet"):
        objective = _determinant(Similarity(x, kernel), wanted, unwanted, eta, nu)
        return (lazy_greedy if objective.submodular else naive_greedy)(objective, n)
    if function == "gccg":
        assert unwanted is not None
        similarity = Similarity(x, kernel)
        return lazy_greedy(_PenalizedCut(similarity, similarity.of(unwanted).sum(0) * 2 * nu), n)
    assert wanted is not None
    similarities = Similarity(x, kernel).of(wanted)
    return (
        _round_robin(similarities, n)
        if function == "round_robin"
        else lazy_greedy(_MEASURES[function](similarities, eta), n)
    )


def check_weights(function: str, eta: float, nu: float) -> None:
    """Raise InvalidInput unless ``eta`` and ``nu`` are valid for a function; see ``targeted``."""
    for name, value in (("eta", eta), ("nu", nu)):
        if not 0 <= value < float("inf"):
            raise InvalidInput(f"{name} must be a finite number of at least 0, got {value}")
        if function.startswith("logdet") and value > 1:
            raise InvalidInput(
                f"{name} must be at most 1 for {function}, whose determinants may be negative beyond; got {value}"
            )


class _Coverage(FacilityLocation):
    """sum_v max(min(max_{a in A} s(v, a), cap_v) - floor_v, 0): ``flvmi``, ``flcg`` and ``flcmi``."""

    def __init__(
        self, similarity: Similarity, query: Features | None, private: Features | None, eta: float, nu: float
    ) -> None:
        self._cap = None if query is None else similarity.of(query).amax(0).mul_(eta).float()
        self._floor = None if private is None else similarity.of(private).amax(0).mul_(nu).float()
        super().__init__(similarity)

    def include(self, row: int) -> None:
        similar = self.similarity.rows(slice(row, row + 1))[0]
        self._best = torch.maximum(self._best, similar if self._cap is None else torch.minimum(similar, self._cap))

    def forget(self) -> None:
        super().forget()
        self._untouched = False  # sums of similarities are not the first gains here
        if self._floor is not None:
            self._best = self._floor

    def _terms(self, block: Tensor) -> Tensor:
        return super()._terms(block if self._cap is None else block.minimum(self._cap))


def _completed(
    found: RowsWithGains,
    x: Features,
    kernel: Kernel,
    query: Features | None,
    private: Features | None,
    eta: float,
    nu: float,
) -> RowsWithGains:
    """The picks before the first that adds nothing, then the rows of largest likeness to the query less that to the private set."""
    n = len(found.rows)
    idle = torch.nonzero(found.gains <= _NOTHING)[:, 0]
    if not len(idle):
        return found
    kept = found.rows[: idle[0]]
    similarity = Similarity(x, kernel)
    likeness = torch.zeros(len(x), dtype=torch.float64, device=kept.device)
    if query is not None:
        likeness += eta * similarity.of(query).amax(0)
    if private is not None:
        likeness -= nu * similarity.of(private).amax(0)
    likeness[kept] = -torch.inf
    rest = likeness.argsort(descending=True, stable=True)[: n - len(kept)]
    return RowsWithGains(torch.cat([kept, rest]), found.gains.clone().index_fill_(0, torch.arange(len(kept), n), 0))


class _PenalizedCut(GraphCut):
    """The graph cut of A less a penalty for each row of A: ``gccg``."""

    def __init__(self, similarity: Similarity, penalties: Tensor) -> None:
        super().__init__(similarity)
        self._penalties = penalties

    def gain(self, rows: Tensor) -> Tensor:
        return super().gain(rows) - self._penalties[rows]


class _OfQuery(Objective):
    """Measures of the similarities between M query rows and the N rows, (M, N) float64."""

    submodular = True

    def __init__(self, similarities: Tensor, eta: float) -> None:
        super().__init__(similarities.device)
        self._s, self._eta = similarities, eta
        self.forget()

    def __len__(self) -> int:
        return self._s.shape[1]

    def exhausted(self, best: float) -> bool:  # noqa: ARG002
        """False: each row adds its own likeness to the query."""
        return False


class _NearestToQuery(_OfQuery):
    """``flqmi``."""

    _best: Tensor

    def gain(self, rows: Tensor) -> Tensor:
        s = self._s[:, rows]
        return (s - self._best[:, None]).clamp_min_(0).sum(0).add_(s.amax(0), alpha=self._eta)

    def include(self, row: int) -> None:
        self._best = torch.maximum(self._best, self._s[:, row])

    def forget(self) -> None:
        self._best = self._s.new_zeros(len(self._s))


class _SumToQuery(_OfQuery):
    """``gcmi``."""

    def gain(self, rows: Tensor) -> Tensor:
        return 2 * self._s[:, rows].sum(0)

    def include(self, row: int) -> None:
        pass

    def forget(self) -> None:
        pass


class _ConcaveOverModular(_OfQuery):
    """``com``."""

    _sums: Tensor

    def gain(self, rows: Tensor) -> Tensor:
        s = self._s[:, rows]
        gains: Tensor = (s + self._sums[:, None]).sqrt_().sum(0) - self._sums.sqrt().sum()
        return gains.add_(s.sum(0).sqrt_(), alpha=self._eta)

    def include(self, row: int) -> None:
        self._sums = self._sums + self._s[:, row]

    def forget(self) -> None:
        self._sums = self._s.new_zeros(len(self._s))


class _Less(Objective):
    """The difference of two log determinants, which is not submodular in general: ``logdetmi`` and ``logdetcmi``."""

    submodular = False

    def __init__(self, more: LogDeterminant, less: LogDeterminant) -> None:
        super().__init__(more.device)
        self._more, self._less = more, less

    def __len__(self) -> int:
        return len(self._more)

    def gain(self, rows: Tensor) -> Tensor:
        return self._more.gain(rows) - self._less.gain(rows)

    def exhausted(self, best: float) -> bool:  # noqa: ARG002
        """False: every row still has a finite gain."""
        return False

    def include(self, row: int) -> None:
        self._more.add(row)
        self._less.add(row)

    def forget(self) -> None:
        self._more.clear()
        self._less.clear()


def _determinant(
    similarity: Similarity, query: Features | None, private: Features | None, eta: float, nu: float
) -> LogDeterminant | _Less:
    """The log determinant given the private set, less that given both."""
    of_private = [] if private is None else [(private, nu)]
    more = LogDeterminant(similarity, _RIDGE, given=_factor(similarity, of_private))
    if query is None:
        return more
    return _Less(more, LogDeterminant(similarity, _RIDGE, given=_factor(similarity, [*of_private, (query, eta)])))


def _factor(similarity: Similarity, known: list[tuple[Features, float]]) -> Tensor | None:
    """The Cholesky factor of known points, for the N rows: (M, N) float64; None without points."""
    if not known:
        return None
    within = torch.cat(
        [torch.cat([Similarity(other, similarity.kernel).of(one) for other, _ in known], 1) for one, _ in known]
    )
    within.diagonal().add_(_RIDGE)
    across = torch.cat([similarity.of(points).mul_(weight) for points, weight in known])
    factor: Tensor = torch.linalg.solve_triangular(torch.linalg.cholesky(within), across, upper=False)
    return factor


def _round_robin(similarities: Tensor, n: int) -> RowsWithGains:
    """The query rows take turns, each with the most similar row that is left, the first of equals."""
    if not 0 <= n <= similarities.shape[1]:
        raise InvalidInput(f"n must be between 0 and {similarities.shape[1]}, the number of rows; got {n:,}")
    left = similarities.clone()
    rows: list[int] = []
    for turn in range(n):
        row = int(left[turn % len(left)].argmax())
        rows.append(row)
        left[:, row] = -torch.inf
    picks = torch.tensor(rows, dtype=torch.long, device=similarities.device)
    turns = torch.arange(n, device=similarities.device) % len(left)
    return RowsWithGains(picks, similarities[turns, picks])


_MEASURES: Final[dict[str, Callable[[Tensor, float], _OfQuery]]] = {
    "flqmi": _NearestToQuery,
    "gcmi": _SumToQuery,
    "com": _ConcaveOverModular,
}

FUNCTIONS: Final = MappingProxyType(
    {
        **dict.fromkeys(("flqmi", "flvmi", "gcmi", "logdetmi", "com", "round_robin"), ("query",)),
        **dict.fromkeys(("flcg", "gccg", "logdetcg"), ("private",)),
        **dict.fromkeys(("flcmi", "logdetcmi"), ("query", "private")),
    }
)
"""Name of a function -> the sets that it reads."""
