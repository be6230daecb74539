"""Greedy maximization of a determinant: rows that are long in directions that no other row has."""

from __future__ import annotations

import torch
from torch import Tensor

from distil.errors import InvalidInput
from distil.functional.features import Features, at_one_scale
from distil.functional.gains import RowsWithGains
from distil.functional.greedy import lazy_greedy
from distil.functional.projection import WIDEST, Written
from distil.functional.submodular import Objective


def max_det(
    x: Features, n: int, generator: torch.Generator, *, labeled: Features | None = None, ridge: float = 1e-3
) -> RowsWithGains:
    """Pick rows one by one, each the one whose value a linear model knows least, given the labeled and picked rows.

    Holzmueller, Zaverkin, Kaestner and Steinwart 2023, section 4.2.3 (MaxDet, which starts from the labeled rows): under a Gaussian
    prior on the weights of a linear model and noise of variance ``ridge``, the next row is the one of largest posterior variance.
    This is greedy maximization of det(K + ridge I), K the inner products of labeled and picked rows, and of the information that
    the labels give about the weights. It is submodular, so lazy evaluation finds the same rows.

    Rows wider than 2,048 are replaced by random projections to max(1,024, 2 n) numbers, whose inner products are unbiased.

    Args:
        x: N rows.
        n: Number of rows to pick, from 0 to N.
        generator: CPU generator of the projection.
        labeled: M labeled rows; default: none.
        ridge: Variance of the noise, above 0, as a share of the mean squared length of the rows in ``x``.

    Returns:
        Rows in pick order; their gains are logarithms of (posterior variance + noise) / noise. Ties go to the smaller row.

    Raises:
        InvalidInput: ``n`` or ``ridge`` is out of range.

    Cost: O((N + M) W) for rows of width W and some tens of O((M + n) W) a pick, plus O(min(M, W) M W); memory of (M + n) W.

    >>> from distil.functional.features import Dense
    >>> x = Dense(torch.tensor([[2.0, 0.0], [1.9, 0.0], [0.0, 1.0]]))
    >>> max_det(x, 2, torch.Generator()).rows.tolist()
    [0, 2]
    """
    if not ridge > 0:
        raise InvalidInput(f"ridge must be above 0, got {ridge}")
    (x, *given), _ = at_one_scale(x, *([] if labeled is None else [labeled]))
    written = Written.of(x, max(WIDEST // 2, 2 * n), generator)
    mean = float(x.exact_sq_norms().mean())
    objective = _Variance(written, [written.like(part) for part in given], ridge * (mean or 1.0))
    return lazy_greedy(objective, n)


class _Variance(Objective):
    """f(A) = log det(I + K_A / noise), K_A the inner products of the rows of A, after some rows are known.

    The posterior covariance of the weights is I - V^T V. Each known or picked row adds a row to V.
    """

    submodular = True
    _v: Tensor

    def __init__(self, rows: Written, known: list[Written], noise: float) -> None:
        super().__init__(rows.device)
        self._rows, self._noise = rows, noise
        self._start = rows[slice(0, 0)] if not known else _directions(known[0], noise)
        self.forget()

    def __len__(self) -> int:
        return len(self._rows)

    def gain(self, rows: Tensor) -> Tensor:
        """log(1 + posterior variance / noise), (B,)."""
        return torch.cat([self._of_block(self._rows[part]) for part in rows.split(self._rows.step)])

    def exhausted(self, best: float) -> bool:  # noqa: ARG002
        """False: another measurement of the same row still says something."""
        return False

    def include(self, row: int) -> None:
        """Condition on a row."""
        z = self._rows[slice(row, row + 1)][0]
        rest = z - self._v.T @ (self._v @ z)
        variance = (rest @ z).clamp_min(0)
        self._v = torch.cat([self._v, (rest / (variance + self._noise).sqrt())[None]])

    def forget(self) -> None:
        """Return to the known rows alone."""
        self._v = self._start

    def _of_block(self, z: Tensor) -> Tensor:
        variance = z.square().sum(1) - (z @ self._v.T).square_().sum(1)
        return torch.log1p(variance.clamp_min_(0).div_(self._noise))


def _directions(known: Written, noise: float) -> Tensor:
    """V with I - V^T V = noise (noise I + Z^T Z)^-1, Z the known rows: (at most W, W)."""
    z = known[slice(None)]
    _, s, w = torch.linalg.svd(z, full_matrices=False)
    directions: Tensor = w * (s / (s.square() + noise).sqrt())[:, None]
    return directions
