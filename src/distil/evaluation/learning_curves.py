"""Parametric learning curves, fitted by least squares.

Three families give the score at n labels (Viering and Loog, "The Shape of Learning Curves: a Review", 2022, table 1)::

    POW3    a - b n^-c
    POW4    a - b (n + d)^-c
    MMF4    (a b + c n^d) / (b + n^d)  =  c - (c - a) / (1 + (n / h)^d)     with b = h^d

Each is ``top - fall * shape(n)``. For a given shape, the best top and fall have a closed form (variable projection, Golub and
Pereyra 1973), so only the one or two parameters of the shape are searched: on a grid, which is then refined around its best point.
This needs no starting values, and fits all resamples of a curve at once. The bounds are top <= 1 and fall >= 0: scores are
fractions, and more labels never lower a fitted curve.

NumPy alone is used, because the server of the labeling page imports no SciPy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from distil.evaluation.statistics import Floats

_REFINEMENTS: Final = 24
_AROUND: Final = np.linspace(-1, 1, 7)  # of the step before, in each refinement


@dataclass(frozen=True)
class Family:
    """A family of learning curves.

    Attributes:
        name: Its name in the literature.
        axes: For each parameter of the shape, the logarithms that the grid has, ascending. Parameters that are numbers of labels
            count in units of the last number of labels.
        shape: The function of labels (P,) and parameters (T, k) that gives shapes (T, P), which fall from point to point.
    """

    name: str
    axes: tuple[Floats, ...]
    shape: Callable[[Floats, Floats], Floats]


class Fitted(NamedTuple):
    """Fits of one family to R curves.

    Attributes:
        family: The family.
        unit: The last number of labels of the curves.
        top: The score that each curve approaches, (R,).
        fall: The difference between it and the score that the shape has where it is 1, (R,).
        shape: The parameters of the shape, (R, k), in the order of the axes of the family.
        error: The sum of squared residuals, (R,).
    """

    family: Family
    unit: float
    top: Floats
    fall: Floats
    shape: Floats
    error: Floats

    def __call__(self, labels: Floats) -> Floats:
        """The scores at numbers of labels (P,), (R, P)."""
        curves = self.top[:, None] - self.fall[:, None] * self.family.shape(labels / self.unit, self.shape)
        return np.asarray(curves)


def _power(n: Floats, shape: Floats) -> Floats:
    return np.asarray(n ** -shape[:, :1])


def _moved_power(n: Floats, shape: Floats) -> Floats:
    return np.asarray((n + shape[:, 1:]) ** -shape[:, :1])


def _morgan_mercer_flodin(n: Floats, shape: Floats) -> Floats:
    return np.asarray(1 / (1 + (n / shape[:, 1:]) ** shape[:, :1]))


def _logs(low: float, high: float, count: int) -> Floats:
    return np.linspace(np.log(low), np.log(high), count)


FAMILIES: Final[Mapping[str, Family]] = {
    family.name: family
    for family in (
        Family("POW3", (_logs(0.05, 3, 33),), _power),
        Family("POW4", (_logs(0.05, 5, 25), _logs(0.003, 3, 19)), _moved_power),
        Family("MMF4", (_logs(0.1, 5, 25), _logs(0.003, 10, 25)), _morgan_mercer_flodin),
    )
}


def fitted(family: Family, labels: Floats, curves: Floats, *, refined: bool = True) -> Fitted:
    """The least-squares fits of a family.

    Args:
        family: The family.
        labels: Number of labels at each point, increasing, (P,).
        curves: One curve in each row, (R, P).
        refined: Whether to search between the points of the grid, which takes a pass over the grid for each curve; without it,
            the parameters of the shape are those of the grid, some 15 % apart, which is enough for a resample.
    """
    n = labels / labels[-1]
    shapes = np.exp(np.stack([each.ravel() for each in np.meshgrid(*family.axes, indexing="ij")], 1))
    best = _best(family, n, shapes, curves)
    if refined:
        steps = np.array([axis[1] - axis[0] for axis in family.axes])
        one_by_one = [_refined(family, n, best.shape[row], curves[row : row + 1], steps) for row in range(len(curves))]
        best = _Solved(*(np.concatenate(parts) for parts in zip(*one_by_one, strict=True)))
    return Fitted(family, float(labels[-1]), best.top, best.fall, best.shape, best.error)


class _Solved(NamedTuple):
    """The best top and fall for each curve, the shape that they belong to, and the sum of squared residuals."""

    top: Floats
    fall: Floats
    shape: Floats
    error: Floats


def _refined(family: Family, n: Floats, shape: Floats, curve: Floats, steps: Floats) -> _Solved:
    """The best fit of one curve (1, P), searched on ever finer grids around a shape."""
    around = np.stack([each.ravel() for each in np.meshgrid(*[_AROUND] * len(steps), indexing="ij")], 1)
    center, best = np.log(shape), _best(family, n, shape[None], curve)
    low, high = (np.array([axis[end] for axis in family.axes]) for end in (0, -1))
    for _ in range(_REFINEMENTS):
        best = _best(family, n, np.exp(np.clip(center + around * steps, low, high)), curve)
        center, steps = np.log(best.shape[0]), steps / 2
    return best


def _best(family: Family, n: Floats, shapes: Floats, curves: Floats) -> _Solved:
    """The best of the shapes (T, k) for each curve (R, P)."""
    tops, falls, errors = _solved(family.shape(n, shapes), curves)
    rows, best = np.arange(len(curves)), errors.argmin(axis=0)
    return _Solved(tops[best, rows], falls[best, rows], shapes[best], errors[best, rows])


def _solved(basis: Floats, curves: Floats) -> tuple[Floats, Floats, Floats]:
    """The best top <= 1 and fall >= 0 for every basis (T, P) and curve (R, P), and the sums of squared residuals, (T, R) each."""
    mean, middle = basis.mean(axis=1, keepdims=True), curves.mean(axis=1)
    inner, spread = basis - mean, curves - middle[:, None]
    square, both = (inner**2).sum(axis=1, keepdims=True), inner @ spread.T
    fall = np.maximum(-both / square, 0)
    top = middle + fall * mean
    error = np.maximum((spread**2).sum(axis=1) + fall * (2 * both + fall * square), 0)
    # where the top is above 1, the best fit with a top of 1
    short = 1 - curves
    square, both = (basis**2).sum(axis=1, keepdims=True), basis @ short.T
    held = np.maximum(both / square, 0)
    error_held = (short**2).sum(axis=1) + held * (held * square - 2 * both)
    above = top > 1
    return np.where(above, 1, top), np.where(above, held, fall), np.where(above, error_held, error)
