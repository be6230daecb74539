"""Anchors: a few labeled rows of each class, and the unlabeled rows around them."""

from __future__ import annotations

import torch
from torch import Tensor

from distil.functional.centers import k_means_plus_plus
from distil.functional.features import Dense
from distil.functional.neighbors import nearest_points
from distil.functional.scale import unit_rows


def class_anchors(x: Tensor, labels: Tensor, k: int, generator: torch.Generator) -> Tensor:
    """At most ``k`` rows of each class that lie apart: drawn by k-means++ on the rows scaled to unit length.

    Args:
        x: Rows, (M, D), finite.
        labels: The class of each row, (M,).
        k: Largest number of rows of a class; a class with no more rows gives all of them.
        generator: CPU generator.

    Returns:
        Rows, class by class.

    Cost: O(M k D).

    >>> class_anchors(torch.eye(3), torch.tensor([1, 0, 1]), 2, torch.Generator().manual_seed(0)).tolist()
    [1, 0, 2]
    """
    x = unit_rows(x)
    anchors = []
    for c in labels.unique():
        rows = torch.nonzero(labels == c)[:, 0]
        if len(rows) > k:
            first = int(torch.randint(len(rows), (1,), generator=generator))
            rows = rows[k_means_plus_plus(Dense(x[rows]), k, first, generator)]
        anchors.append(rows)
    return torch.cat(anchors)


def around_anchors(x: Tensor, anchors: Tensor, k: int, least: int, most: int) -> Tensor:
    """The rows that are among the ``k`` most similar ones of an anchor, by cosine.

    Lesci and Vlachos 2024, section 3. Where these are more than ``most``, those stay whose mean similarity to the anchors that they
    are near to is largest. Where they are less than ``least``, ``k`` is doubled until they are enough.

    Args:
        x: Rows, (N, D), finite.
        anchors: Anchors, (A, D), finite; at least one.
        k: Number of neighbors of each anchor.
        least: Smallest number of rows to return, at most N.
        most: Largest number of rows to return, at least ``least``.

    Returns:
        Rows in ascending order.

    Cost: O(N A D); memory of O(A k + N D) and a block.

    >>> around_anchors(torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 1.0]]), torch.tensor([[3.0, 0.0]]), 2, 1, 9).tolist()
    [0, 2]
    """
    x, anchors, k = unit_rows(x), unit_rows(anchors), min(k, len(x))
    found = nearest_points(anchors, x, k)
    rows, places = found.ids.unique(return_inverse=True)
    while len(rows) < least:
        k = min(2 * k, len(x))
        found = nearest_points(anchors, x, k)
        rows, places = found.ids.unique(return_inverse=True)
    n_near = torch.bincount(places.flatten())
    total = torch.zeros(len(rows), dtype=torch.float64, device=x.device)
    total.index_add_(0, places.flatten(), found.sq_dists.flatten())
    best: Tensor = rows[(total / n_near).argsort(stable=True)[:most]]
    return best.sort().values
