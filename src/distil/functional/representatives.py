"""Which row stands for which: every row belongs to its nearest representative."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from distil.functional.nearest import nearest_center, pair_sq_dists
from distil.functional.scale import times_two_to, to_unit


class Assigned(NamedTuple):
    """The nearest representative of each row.

    Attributes:
        to: Its position among the representatives, (N,) int64.
        dists: The distance to it (not squared), (N,) float64.
    """

    to: Tensor
    dists: Tensor


def assigned(x: Tensor, representatives: Tensor) -> Assigned:
    """The nearest representative of each row; distances equal within 1e-9 go to the first representative.

    Args:
        x: Rows, (N, D), finite.
        representatives: Rows, (M, D), finite, M at least 1.

    Cost: O(N M D) time, memory of a block.

    >>> assigned(torch.tensor([[0.0], [4.0]]), torch.tensor([[1.0], [9.0], [5.0]]))
    Assigned(to=tensor([0, 2]), dists=tensor([1., 1.], dtype=torch.float64))
    """
    (x, representatives), e = to_unit(x, representatives)
    to = nearest_center(x, representatives)
    rows = torch.arange(len(x), device=x.device)
    return Assigned(to, times_two_to(pair_sq_dists(x, rows, representatives, to).sqrt(), e))


def represented(found: Assigned, n: int) -> list[Tensor]:
    """The rows of each of ``n`` representatives, nearest first; equal distances are in the order of the rows.

    >>> represented(Assigned(torch.tensor([1, 0, 1]), torch.tensor([2.0, 0.5, 1.0])), 3)
    [tensor([1]), tensor([2, 0]), tensor([], dtype=torch.int64)]
    """
    order = found.dists.argsort(stable=True)
    order = order[found.to[order].argsort(stable=True)]
    return list(order.split(torch.bincount(found.to, minlength=n).tolist()))
