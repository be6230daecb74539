"""GLISTER: subsets whose gradient steps lower the loss of other examples."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from distil.errors import InvalidInput
from distil.functional.features import BLOCK_BYTES, EXACT_ROUNDING, EXACT_TIE, Outer
from distil.functional.gains import RowsWithGains
from distil.functional.gradients import cross_entropy_residual, residual
from distil.functional.matching import (
    ROUNDING,
    exact_project,
    exact_sq_norms,
    largest,
    mean_row,
    project,
)
from distil.functional.scale import distant, exponent, number_times_two_to, times_two_to
from distil.functional.scale import largest as largest_number
from distil.functional.weighted_rows import CANONICAL_BLOCK

TYPES = ("none", "Rand", "FacLoc", "Diversity")

# Number of rows with the best estimates whose gains are computed first: the best of these gains is a bound for all rows.
_PROBES = 16

# Logits are kept at a smaller scale where the exponent of the step is larger than this.
_LONGEST_STEP = 200

# Number of directions of the embeddings used to estimate gains.
_LEADING = 32


@dataclass(frozen=True, eq=False)
class Judges:
    """Labeled examples whose loss judges a step, as the last layer sees them.

    Attributes:
        logits: Logits or log-probabilities, (V, C).
        embeddings: Inputs of the last layer, (V, D).
        y: Labels, (V,) int64, in [0, C).
    """

    logits: Tensor
    embeddings: Tensor
    y: Tensor


def glister(
    x: Outer,
    judges: Sequence[Judges],
    n: int,
    *,
    lr: float,
    labeled: Outer | None = None,
    type_of: Literal["none", "Rand", "FacLoc", "Diversity"] = "none",
    lam: float = 0.0,
    generator: torch.Generator | None = None,
    loss: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> Tensor:
    """Pick rows one by one, each the row whose gradient step lowers the judges' mean loss most, to first order.

    The greedy algorithm of GLISTER-ACTIVE (Killamsetty et al. 2021, AAAI) on the last layer. The layer first takes one step along
    the gradient of the labeled set. Row i then gains lr <g_i, g_V>, with g_V the judges' mean gradient at the current layer (the
    Taylor expansion of their loss). After each pick, the layer takes the pick's step and g_V is computed again. The layer itself
    is not needed: a step along a h^T changes the logits of a judge by -lr a (1 + <h, h_V>).

    Regularizers, with S the picked rows: ``"Diversity"`` subtracts lam sum_{j in S} exp(-|g_i - g_j|^2 / 2). ``"FacLoc"`` adds lam
    times the gain in facility location over all N rows, sum_j max(0, min_{s in S} |g_s - g_j|^2 - |g_i - g_j|^2); for the first
    pick, this is -sum_j |g_i - g_j|^2 up to a constant. ``"Rand"`` keeps the first n - round(lam n) greedy picks and draws the
    others uniformly from the rows left.

    Deliberate differences from the published code: the labeled set steps along its *mean* gradient, for which learning rates of
    training are meant, not along the sum, whose step grows with the set; g_V is a mean at every pick, not at all but the first;
    Rand returns exactly n rows.

    Args:
        x: Gradients of N rows at their hypothesized labels.
        judges: Parts of one set of V examples in all; at least one example.
        n: Number of rows to pick, at most N.
        lr: Learning rate of a step.
        labeled: Gradients of the labeled set at its labels; default: none.
        type_of: The regularizer.
        lam: Weight of the regularizer; for ``"Rand"``, the share of random rows.
        generator: CPU generator for ``"Rand"``.
        loss: A function ``loss(logits (B, C), labels (B,))``; default: the cross entropy.

    Returns:
        (n,) distinct rows in pick order; ties go to the smaller row.

    Raises:
        InvalidInput: There is no judge.

    Cost: O((m + V) C D) a pick, and O(V C) memory in addition to the factors. Here m <= N rows may have become
    the best since all gains were computed, by |<g_i, g_V> - <g_i, g_V'>| <= |g_i| |g_V - g_V'|; m is small where steps are small.
    Diversity adds O(N (C + D)) a pick. FacLoc has m = N; it adds O(N^2 (C + D)) once, a small part of that for every further pick
    (lazy evaluation), and O(N) memory.
    """
    return glister_with_gains(
        x, judges, n, lr=lr, labeled=labeled, type_of=type_of, lam=lam, generator=generator, loss=loss
    ).rows


def glister_with_gains(
    x: Outer,
    judges: Sequence[Judges],
    n: int,
    *,
    lr: float,
    labeled: Outer | None = None,
    type_of: Literal["none", "Rand", "FacLoc", "Diversity"] = "none",
    lam: float = 0.0,
    generator: torch.Generator | None = None,
    loss: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> RowsWithGains:
    """The rows that ``glister`` picks, and how much the step of each lowers the judges' mean loss; arguments as ``glister``.

    Returns:
        Rows in pick order. Their gains are first-order and without the regularizer, NaN for rows drawn at random.
    """
    x, judges, labeled, exponents = _at_one_scale(x, judges, labeled)
    e = sum(exponents)
    # Of x, 2^-e times the gradients are at hand, of the judges 2^-eb times theirs; objectives are divided by 4^e.
    state = _LastLayer(judges, number_times_two_to(lr, e + exponents[1]), x.bias, loss)
    if labeled is not None and len(labeled):
        state.step(mean_row(labeled).to(state.dtype))
    lr = number_times_two_to(lr, -exponents[0])
    regularizer = _REGULARIZERS.get(type_of, _NoRegularizer)(x, lam, e)
    greedy = n - round(lam * n) if type_of == "Rand" else n
    steps = _Steps(x, regularizer)
    picks: list[int] = []
    gains = torch.full((n,), torch.nan, dtype=torch.float64)
    while len(picks) < greedy:
        if picks:
            state.step_along(x.a[picks[-1]], x.b[picks[-1]])
            regularizer.add(picks[-1])
        row, gains[len(picks)] = steps.best(state.gradient() * lr)
        picks.append(row)
        steps.take(row)
    rows = torch.tensor(picks, dtype=torch.long)
    if greedy == n:
        return RowsWithGains(rows, times_two_to(gains, 2 * e))
    free = torch.ones(len(x), dtype=torch.bool)
    free[rows] = False
    left = torch.nonzero(free)[:, 0]
    drawn = left[torch.randperm(len(left), generator=generator)[: n - greedy]]
    return RowsWithGains(torch.cat([rows, drawn]), times_two_to(gains, 2 * e))


def _at_one_scale(
    x: Outer, judges: Sequence[Judges], labeled: Outer | None
) -> tuple[Outer, list[Judges], Outer | None, tuple[int, int]]:
    """Everything in one precision and with embeddings at one scale, the number of the bias too, and the scale of the factors."""
    parts = [Outer(part.logits, part.embeddings, x.bias) for part in judges]
    others = [] if labeled is None else [labeled]
    sets = [x, *others, *parts]
    if any(part.a.dtype == torch.float64 for part in sets):
        sets = [part.double() for part in sets]
    scales = [part.with_norms().exponents() for part in [x, *others]]
    ea = max(a for a, _ in scales)
    eb = max([b for _, b in scales] + [distant(max(largest_number(part.b), abs(x.bias))) for part in parts])
    if ea or eb:  # steps of such a length are for float64
        sets = [part.double().scaled((ea if i <= len(others) else 0, eb)) for i, part in enumerate(sets)]
    seen = [Judges(part.a, part.b, of.y) for part, of in zip(sets[1 + len(others) :], judges, strict=True)]
    return sets[0], seen, sets[1] if others else None, (ea, eb)


class _LastLayer:
    """The judges' logits while the last layer moves."""

    def __init__(
        self, judges: Sequence[Judges], lr: float, bias: float, loss: Callable[[Tensor, Tensor], Tensor] | None
    ) -> None:
        # Where steps are so long that logits would overflow, logits are kept 2^-k times as large.
        self._exponent = max(0, exponent(lr) - _LONGEST_STEP) if lr else 0
        self._parts = [
            Judges(times_two_to(part.logits.clone(), -self._exponent), part.embeddings, part.y) for part in judges
        ]
        self._lr = math.ldexp(lr, -self._exponent)
        self._bias = bias
        self._loss = loss
        self.dtype = self._parts[0].logits.dtype

    def gradient(self) -> Tensor:
        """The mean gradient of the judges' loss by the layer, (C, D) or with bias (C, 1 + D), summed in float64."""
        total: Tensor | None = None
        for part in self._parts:
            for start in range(0, len(part.y), CANONICAL_BLOCK):
                block = slice(start, start + CANONICAL_BLOCK)
                a = self._residual(part.logits[block], part.y[block])
                rows = Outer(a, part.embeddings[block], self._bias)
                gradient = rows.combine(a.new_ones(len(a))).double()
                total = gradient if total is None else total.add_(gradient)
        if total is None:
            raise InvalidInput("GLISTER needs at least one example in judges, got none")
        return total / sum(len(part.y) for part in self._parts)

    def step(self, gradient: Tensor) -> None:
        """Move the layer by -lr times a gradient of its shape."""
        weights = gradient[:, 1:] if self._bias else gradient
        for part in self._parts:
            if self._bias:
                part.logits.sub_(gradient[:, 0], alpha=self._lr * self._bias)
            part.logits.addmm_(part.embeddings, weights.T, alpha=-self._lr)

    def step_along(self, a: Tensor, b: Tensor) -> None:
        """Move the layer by -lr times the gradient a b^T."""
        for part in self._parts:
            part.logits.addr_((part.embeddings @ b).add_(self._bias**2), a, alpha=-self._lr)

    def _residual(self, logits: Tensor, y: Tensor) -> Tensor:
        if self._exponent:  # the same softmax, of logits whose largest is 0
            logits = times_two_to(logits - logits.amax(1, keepdim=True), self._exponent)
        return cross_entropy_residual(logits.softmax(-1), y) if self._loss is None else residual(logits, y, self._loss)


class _Steps:
    """Gains <a_i h_i^T, R> of steps along the rows, for a direction R that changes little from pick to pick.

    Gains of an earlier direction are kept. Let Q be an orthonormal basis of the leading directions of the h_i, and h = Q c + t. A
    change E of the direction changes a gain by

        <a h^T, E> = <a c^T, E Q> + <a t^T, E>,  where the last term is at most |a| |t| |E (I - Q Q^T)|.

    So a few numbers a row show which rows may be the best now, and only their gains are computed again. All gains are computed
    again once half as many have been since the last time.
    """

    def __init__(self, x: Outer, regularizer: _Regularizer) -> None:
        self._x = x
        self._regularizer = regularizer
        self._norms = exact_sq_norms(x).sqrt()
        self._rounding = ROUNDING * torch.finfo(x.a.dtype).eps
        self._gains = torch.zeros_like(self._norms)
        self._direction = self._gains.new_zeros(
            x.a.shape[1], int(x.bias != 0) + x.b.shape[1]
        )  # the direction of the gains
        self._n_updated = len(x)  # gains computed since then
        self._narrows = not regularizer.reads_gains and x.b.shape[1] > 2 * _LEADING
        if self._narrows:
            self._basis = _leading_directions(x.b, _LEADING)
            self._leading = Outer(x.a, x.b @ self._basis.to(x.b.dtype), x.bias)  # rows a c^T
            rests = exact_sq_norms(Outer(x.a, x.b)) - exact_sq_norms(Outer(x.a, self._leading.b))
            self._rests = (rests.clamp_min_(0) + 4 * self._rounding * self._norms**2).sqrt()  # at least |a| |t|

    def take(self, row: int) -> None:
        """Exclude a row from later calls of ``best``."""
        self._gains[row] = -torch.inf

    def best(self, direction: Tensor) -> tuple[int, float]:
        """The row left with the largest <g_i, direction> plus regularizer, and its <g_i, direction>, in float64."""
        rows = self._rivals(direction) if self._narrows else None
        if rows is None:
            self._update_all(direction)
            rows = torch.arange(len(self._gains), device=self._gains.device)
            gains = self._gains
        else:
            gains = self._computed(rows, direction)
        size = float(direction.norm())
        unsure = self._norms * (self._rounding * size)
        bonus, left = self._regularizer.bonus(self._gains, unsure)

        def exactly(at: Tensor) -> tuple[Tensor, Tensor]:
            exact = exact_project(self._x, rows[at], direction) + bonus[rows[at]]
            return exact, (EXACT_ROUNDING * size) * self._norms[rows[at]] + left[rows[at]]

        at, value = largest(gains + bonus[rows], (unsure + left)[rows], exactly)
        row = int(rows[at])
        return row, value - float(bonus[row])

    def _rivals(self, direction: Tensor) -> Tensor | None:
        """The rows that may be the best; None if it is cheaper to compute all gains."""
        gains, unsure = self._estimates(direction)
        bonus, left = self._regularizer.bonus(gains, unsure)
        gains += bonus
        unsure += left
        likely = gains.topk(min(_PROBES, len(gains))).indices
        slack = left[likely] + self._norms[likely] * (self._rounding * float(direction.norm()))
        floor = (self._computed(likely, direction) + bonus[likely] - slack).max()
        rows = torch.nonzero(gains + unsure >= floor)[:, 0]
        self._n_updated += len(rows)
        return rows if 2 * self._n_updated <= len(gains) else None

    def _estimates(self, direction: Tensor) -> tuple[Tensor, Tensor]:
        """Estimated gains (N,), -inf for rows taken, and bounds of their errors (N,)."""
        change = direction - self._direction
        bias, weights = change.split([int(self._x.bias != 0), self._x.b.shape[1]], 1)
        seen = weights @ self._basis  # (C, q)
        changes = project(self._leading, torch.cat([bias, seen], 1).to(self._x.a.dtype))
        rounding = self._rounding * (float(self._direction.norm()) + 4 * float(change.norm()))
        unseen = float((weights - seen @ self._basis.T).norm())
        return self._gains + changes, unseen * self._rests + rounding * self._norms

    def _update_all(self, direction: Tensor) -> None:
        taken = self._gains.isneginf()
        self._gains = project(self._x, direction.to(self._x.a.dtype)).double().masked_fill_(taken, -torch.inf)
        self._direction = direction
        self._n_updated = 0

    def _computed(self, rows: Tensor, direction: Tensor) -> Tensor:
        gains = project(self._x[rows], direction.to(self._x.a.dtype)).double()
        return gains.masked_fill_(self._gains[rows].isneginf(), -torch.inf)


def _leading_directions(x: Tensor, q: int) -> Tensor:
    """An orthonormal basis (D, q), float64, of the leading directions of rows (N, D), by subspace iteration on a sample."""
    sample = x[:: max(1, len(x) // (8 * q))].double()
    basis: Tensor = torch.linalg.qr(sample[:q].T).Q
    for _ in range(2):
        basis = torch.linalg.qr(sample.T @ (sample @ basis)).Q
    return basis


class _Regularizer(ABC):
    """A term that is added to every row's gain."""

    reads_gains: ClassVar[bool] = False
    """Whether the bonus is exact only for rows that could win with it; all gains must then be up to date."""

    @abstractmethod
    def __init__(self, x: Outer, lam: float, e: int) -> None:
        """Take rows that are 2^-e times the gradients; the regularizer is then divided by 4^e."""

    @abstractmethod
    def bonus(self, gains: Tensor, unsure: Tensor) -> tuple[Tensor, Tensor]:
        """The term to add to each row's gain, (N,) float64, and bounds of its rounding errors, (N,).

        With ``reads_gains``, the term may be too large for rows that cannot win even so; ``unsure`` bounds the errors of ``gains``.
        """

    @abstractmethod
    def add(self, row: int) -> None:
        """Add a pick to S."""


class _NoRegularizer(_Regularizer):
    def __init__(self, x: Outer, lam: float, e: int) -> None:  # noqa: ARG002
        self._zeros = x.a.new_zeros(len(x), dtype=torch.float64)

    def bonus(self, gains: Tensor, unsure: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        return self._zeros, self._zeros

    def add(self, row: int) -> None:
        pass


class _Diversity(_Regularizer):
    """The term -lam sum_{j in S} exp(-|g_i - g_j|^2 / 2)."""

    def __init__(self, x: Outer, lam: float, e: int) -> None:
        self._x = x.with_norms()
        self._lam = number_times_two_to(lam, -2 * e)
        self._square = number_times_two_to(1.0, 2 * e)  # of a distance, as a multiple of that of these rows
        self._bonus = x.a.new_zeros(len(x), dtype=torch.float64)
        self._left = torch.zeros_like(self._bonus)

    def bonus(self, gains: Tensor, unsure: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        return self._bonus, self._left

    def add(self, row: int) -> None:
        atom = self._x[slice(row, row + 1)]
        for block in self._x.blocks():
            rows = self._x[block]
            similar = rows.sq_dists(atom)[:, 0].double().mul_(-0.5 * self._square).exp_().mul_(self._lam)
            size = rows.sq_norms() + atom.sq_norms()
            self._bonus[block] -= similar
            self._left[block] += similar * size * (self._square * ROUNDING / 2 * torch.finfo(size.dtype).eps)


class _FacilityLocation(_Regularizer):
    """The term lam times the gain in facility location of squared distances, in float64.

    Gains only fall while rows are picked, so an old gain is an upper bound, and only rows that could win are computed again.
    """

    reads_gains = True

    def __init__(self, x: Outer, lam: float, e: int) -> None:  # noqa: ARG002 - it is scaled as squared distances are
        self._x = x
        self._lam = lam
        self._nearest: Tensor | None = None  # (N,), to the nearest pick
        norms = exact_sq_norms(x)
        spread = (
            len(x) * norms
            + norms.sum()
            - 2 * len(x) * exact_project(x, torch.arange(len(x), device=norms.device), mean_row(x))
        )
        self._bounds = -spread
        self._picked = torch.zeros_like(norms, dtype=torch.bool)
        self._fresh = ~self._picked

    def bonus(self, gains: Tensor, unsure: Tensor) -> tuple[Tensor, Tensor]:
        step = max(1, BLOCK_BYTES // (8 * len(self._x)))
        while True:
            bonus = self._lam * self._bounds
            left = EXACT_TIE * bonus.abs()
            totals, slack = gains + bonus, unsure + left
            floor = (totals - slack)[self._fresh].max()
            stale = torch.nonzero(~self._fresh & (totals + slack >= floor))[:, 0]
            if not len(stale):
                return bonus, left
            self._update(stale[totals[stale].argsort(descending=True, stable=True)[:step]])

    def add(self, row: int) -> None:
        dists = self._sq_dists(torch.tensor([row], device=self._picked.device))[:, 0]
        if self._nearest is None:
            self._bounds.fill_(float(dists.sum()))  # the gain of a row that would lower all distances to 0
            self._nearest = dists
        else:
            torch.minimum(self._nearest, dists, out=self._nearest)
        self._bounds[row] = 0
        self._picked[row] = True
        self._fresh.copy_(self._picked)

    def _update(self, rows: Tensor) -> None:
        if self._nearest is not None:
            self._bounds[rows] = (self._nearest[:, None] - self._sq_dists(rows)).clamp_min_(0).sum(0)
        self._fresh[rows] = True

    def _sq_dists(self, rows: Tensor) -> Tensor:
        """Squared distances of all rows to these rows, (N, B) float64."""
        atoms = self._x[rows].double()
        return torch.cat([self._x[block].double().sq_dists(atoms) for block in self._x.blocks()])


_REGULARIZERS: dict[str, type[_Regularizer]] = {"FacLoc": _FacilityLocation, "Diversity": _Diversity}
