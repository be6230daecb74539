"""The last layer of a network, computed from its outputs, and how much its inputs may change before a prediction does."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from distil.errors import InvalidInput
from distil.functional.features import BLOCK_BYTES
from distil.functional.neighbors import nearest_points
from distil.functional.scale import of_one_precision, to_unit
from distil.functional.weighted_rows import CANONICAL_BLOCK

# Rows that decide the layer: at least so many, and so many for each of its inputs.
_ROWS, _ROWS_PER_INPUT = 4096, 8

# Directions in which the rows vary by less than this share of the largest variance are not used.
_LEAST_VARIANCE = 1e-10

# A masked class, whose logit is minus infinity, is this far below the largest logit.
_MASKED = 1000.0

# Levels at which ALFA-Mix looks for candidates, a step and the last one.
_STEP, _LAST = 1 / 32, 1.0


@dataclass(frozen=True, eq=False)
class LastLayer:
    """A linear layer whose outputs differ from given logits by the same number for all classes of a row.

    Attributes:
        weight: Weights, (C, D) float64.
        bias: Biases, (C,) float64.
        agreement: Share of the rows that decided it for which it has the same largest output as the logits.
    """

    weight: Tensor
    bias: Tensor
    agreement: float

    def __call__(self, x: Tensor) -> Tensor:
        """Outputs, (B, C) float64."""
        return x.double() @ self.weight.T + self.bias


def last_layer(x: Tensor, logits: Tensor) -> LastLayer:
    """The linear layer that gives these logits, up to a constant for each row, as log-probabilities are.

    Exact where ``logits`` are a linear function of ``x``, or the logarithms of its softmax; otherwise by least squares on the
    differences of the logits to those of one class. Where rows do not vary in a direction, the weights are 0 in it.

    Args:
        x: Inputs of the layer, (N, D), finite, N >= 1.
        logits: Its outputs, (N, C); minus infinity for masked classes.

    Returns:
        The layer; evenly spaced rows decide it in pools of more than max(4096, 8 D) rows.

    Raises:
        InvalidInput: The numbers of rows differ, or there are none.

    Cost: O((N + D) D^2) for at most max(4096, 8 D) of the rows.

    >>> x = torch.tensor([[0.0], [1.0], [2.0]])
    >>> layer = last_layer(x, torch.cat([x, 3 - x], 1).log_softmax(1))
    >>> (layer.weight[0] - layer.weight[1]).round(decimals=6).tolist()
    [2.0]
    """
    if len(x) != len(logits) or not len(x):
        raise InvalidInput(f"expected rows and their logits, got {len(x)} rows and logits of {len(logits)}")
    step = -(-len(x) // max(_ROWS, _ROWS_PER_INPUT * x.shape[1]))
    rows, outputs = x[::step].double(), _finite(logits[::step])
    differences = outputs - outputs[:, [int(outputs.mean(0).argmax())]]
    mean, level = rows.mean(0), differences.mean(0)
    rows = rows - mean
    values, basis = torch.linalg.eigh(rows.T @ rows)
    used = values > _LEAST_VARIANCE * values[-1].clamp_min(torch.finfo(torch.float64).tiny)
    basis = basis[:, used]
    weight = ((differences - level).T @ (rows @ basis) / values[used]) @ basis.T
    layer = LastLayer(weight, level - weight @ mean, 0.0)
    same = layer(x[::step]).argmax(1) == outputs.argmax(1)
    return LastLayer(layer.weight, layer.bias, float(same.double().mean()))


def _finite(logits: Tensor) -> Tensor:
    """Logits in float64, those of masked classes 1,000 below the largest of their row: (N, C)."""
    logits = logits.double()
    top = logits.amax(1, keepdim=True)
    return torch.where(logits.isinf(), top - _MASKED, logits)


def mixing_levels(x: Tensor, logits: Tensor, anchors: Tensor) -> Tensor:
    """How far each row must move toward some anchor, at best, until the last layer predicts another class.

    Parvaneh, Abbasnejad, Teney, Haffari, van den Hengel and Shi 2022, equation 5. Mixing a row z with an anchor z* by the best
    vector of shares of norm eps moves it by eps |z* - z| against the predicted class, along the gradient of its cross entropy. For
    a linear layer a prediction that changed stays changed, so the farthest anchor decides, and the least eps has a closed form.
    The published code divides by z* - z + 1e-8 in each coordinate, which distorts the step where a coordinate hardly differs.

    Args:
        x: Inputs of the last layer, (N, D), finite.
        logits: Its outputs, (N, C).
        anchors: Means of the labeled rows of each class, (A, D), A >= 1.

    Returns:
        The least eps times sqrt(D), as the published code counts it, (N,) float64; infinite where no mixing changes the prediction.

    Raises:
        InvalidInput: There are no anchors.

    Cost: O(N (A + C) D), and that of ``last_layer``; memory of a block.
    """
    if not len(anchors):
        raise InvalidInput("mixing_levels needs at least one anchor, got none")
    (x, anchors), _ = to_unit(x, anchors)
    layer = last_layer(x, logits)
    farthest = nearest_points(x, anchors, len(anchors)).sq_dists.amax(1).sqrt()
    steps = torch.cat([_steps(layer, rows) for rows in x.split(max(1, BLOCK_BYTES // (8 * max(layer.weight.shape))))])
    levels = math.sqrt(x.shape[1]) * steps / farthest
    return torch.where(steps.isinf() | (farthest == 0), torch.inf, levels)


def mixed_candidates(levels: Tensor, n: int) -> Tensor:
    """The rows whose prediction changes at the first of the levels 1/32, 2/32, ..., 1 at which n do, in order: (at least n,).

    Where fewer than n change at level 1, the n rows of lowest level; the published code fills up with random rows instead.
    """
    order = levels.argsort(stable=True)
    nth = float(levels[order[n - 1]])
    if nth > _LAST:
        return order[:n].sort().values
    return torch.nonzero(levels <= math.ceil(nth / _STEP) * _STEP)[:, 0]


def dropout_flips(x: Tensor, logits: Tensor, n_masks: int, rate: float, generator: torch.Generator) -> Tensor:
    """How often dropout on the inputs of the last layer changes the predicted class of each row.

    Gupte, Aklilu, Nirschl and Yeung-Levy 2024, algorithm 1: each number is dropped with probability ``rate``, and the others are
    divided by 1 - rate.

    Args:
        x: Inputs of the last layer, (N, D), finite.
        logits: Its outputs, (N, C).
        n_masks: Number of masks for each row.
        rate: Share of the numbers that is dropped, at least 0 and below 1.
        generator: CPU generator.

    Returns:
        Numbers of masks, between 0 and ``n_masks``, (N,) int64.

    Raises:
        InvalidInput: ``rate`` is out of range.

    Cost: O(N C D) a mask, and that of ``last_layer``; memory of 4,096 rows.
    """
    if not 0 <= rate < 1:
        raise InvalidInput(f"rate must be at least 0 and below 1, got {rate}")
    (x,), _ = to_unit(x)
    layer, flips = last_layer(x, logits), []
    for rows in x.split(CANONICAL_BLOCK):
        predicted = layer(rows).argmax(1)
        count = torch.zeros_like(predicted)
        for _ in range(n_masks):
            kept = (torch.rand(rows.shape, generator=generator) >= rate).to(rows.device)
            count += layer(rows * kept / (1 - rate)).argmax(1) != predicted
        flips.append(count)
    return torch.cat(flips)


def class_means(x: Tensor, labels: Tensor) -> Tensor:
    """The mean of the rows of each class that occurs, (A, D), classes in ascending order."""
    (x,) = of_one_precision(x)
    _, own = labels.unique(return_inverse=True)
    sums = x.new_zeros(int(own.max()) + 1, x.shape[1], dtype=torch.float64).index_add_(0, own, x.double())
    return (sums / torch.bincount(own)[:, None]).to(x.dtype)


def _steps(layer: LastLayer, x: Tensor) -> Tensor:
    """The length of the shortest step along the gradient of the cross entropy that changes the prediction, (B,); maybe infinite."""
    logits = layer(x)
    top = logits.argmax(1, keepdim=True)
    others = logits.scatter(1, top, -torch.inf).softmax(1)  # the gradient's direction, whatever the certainty
    push = others.scatter(1, top, -1.0) @ layer.weight
    lengths = torch.linalg.vector_norm(push, dim=1, keepdim=True)
    rates = (push / lengths.masked_fill(lengths == 0, 1)) @ layer.weight.T
    closing = rates - rates.gather(1, top)
    gaps = logits.gather(1, top) - logits
    steps = torch.where(closing > 0, gaps / closing, torch.inf)
    return steps.scatter_(1, top, torch.inf).amin(1)
