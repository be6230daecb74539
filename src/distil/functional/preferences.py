"""Pairs of responses to compare, from the means and standard deviations of a reward model.

Melikidze et al. 2026: pairs whose rewards differ much are the most useful ones to train on, so the pair of each prompt is the one
that could differ most. Prompts, where not all can be labeled, are ranked by how much that is.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from distil.errors import InvalidInput
from distil.functional.scale import of_one_precision


class Pairs(NamedTuple):
    """A pair of responses for each of some prompts.

    Attributes:
        pairs: The response expected to be the better one, and the other one: (N, 2) int64, distinct.
        gaps: By how much the reward of the first may be above that of the second, (N,).
    """

    pairs: Tensor
    gaps: Tensor


class DrawnPairs(NamedTuple):
    """Prompts that were drawn, and a pair of responses for each.

    Attributes:
        rows: The prompts, (n,), the largest spread first.
        pairs: The response drawn as best, and the one drawn as worst: (n, 2) int64, distinct.
        spreads: The spread of each prompt's drawn rewards, by which prompts are ranked, (n,).
    """

    rows: Tensor
    pairs: Tensor
    spreads: Tensor


def delta_ucb(rewards: Tensor, deviations: Tensor, beta: float = 1.0) -> Pairs:
    """The pair of each prompt whose rewards may differ most: argmax over i != j of (r_i + beta s_i) - (r_j - beta s_j).

    DeltaUCB (Melikidze et al. 2026). Of equal pairs, the one of smaller i, then of smaller j.

    Args:
        rewards: Mean reward r of each response, (N, R), R >= 2.
        deviations: Its standard deviation s, (N, R), at least 0.
        beta: Width of the confidence bounds in standard deviations, at least 0.

    Raises:
        InvalidInput: The arrays do not fit together.

    Cost: O(N R^2), in memory for a block of prompts.

    >>> delta_ucb(torch.tensor([[0.0, 1.0, 0.5]]), torch.tensor([[0.1, 0.1, 2.0]]))
    Pairs(pairs=tensor([[1, 2]]), gaps=tensor([2.6000]))
    """
    rewards, deviations = _checked(rewards, deviations)
    n_responses = rewards.shape[1]
    same = torch.eye(n_responses, dtype=torch.bool)
    best, gaps = [], []
    for r, s in zip(*(x.split(max(1, _BLOCK // n_responses**2)) for x in (rewards, beta * deviations)), strict=True):
        apart = ((r + s)[:, :, None] - (r - s)[:, None]).masked_fill_(same, -torch.inf).flatten(1)
        best.append(apart.argmax(1))
        gaps.append(apart.amax(1))
    places = torch.cat(best)
    return Pairs(torch.stack([places // n_responses, places % n_responses], 1), torch.cat(gaps))


def double_reverse_thompson(
    rewards: Tensor, deviations: Tensor, n: int, generator: torch.Generator, beta: float = 1.0, tries: int = 30
) -> DrawnPairs:
    """Draw a response that may be best, and another that may be worst, for each of the n prompts with the largest drawn spread.

    Double reverse Thompson sampling (DRTS; Melikidze et al. 2026). A draw of a reward is r + beta z s with z uniform in [-1, 1].
    One draw of all rewards ranks the prompts, by max - min. For the prompts chosen, a second draw gives the best response, and
    further draws the worst one, until it is another one; after ``tries`` draws, it is a random other response.

    Args:
        rewards: As for ``delta_ucb``.
        deviations: As for ``delta_ucb``.
        n: Number of prompts, from 1 to N.
        generator: CPU generator.
        beta: Width of the draws in standard deviations, at least 0.
        tries: Number of draws of the worst response, from 1.

    Raises:
        InvalidInput: The arrays do not fit together, or ``n`` is out of range.

    Cost: O(N R + n R ``tries``).
    """
    rewards, deviations = _checked(rewards, deviations)
    if not 1 <= n <= len(rewards):
        raise InvalidInput(f"n must be between 1 and {len(rewards)}, the number of prompts; got {n}")
    widths = beta * deviations

    def drawn(sign: int, rows: Tensor) -> Tensor:
        z = 2 * torch.rand(len(rows), rewards.shape[1], generator=generator, dtype=torch.float64) - 1
        return sign * rewards[rows] + z.type(rewards.dtype) * widths[rows]

    first = drawn(1, torch.arange(len(rewards)))
    spreads = first.amax(1) - first.amin(1)
    rows = spreads.argsort(descending=True, stable=True)[:n]
    best = drawn(1, rows).argmax(1)
    worst = best.clone()
    for _ in range(tries):
        same = torch.nonzero(worst == best)[:, 0]
        if len(same):
            worst[same] = drawn(-1, rows[same]).argmax(1)
    same = torch.nonzero(worst == best)[:, 0]
    steps = torch.randint(1, rewards.shape[1], (len(same),), generator=generator)
    worst[same] = (best[same] + steps) % rewards.shape[1]
    return DrawnPairs(rows, torch.stack([best, worst], 1), spreads[rows])


# Numbers of a block of pairs.
_BLOCK = 1 << 22


def _checked(rewards: Tensor, deviations: Tensor) -> tuple[Tensor, Tensor]:
    """Both in one precision, or InvalidInput."""
    if rewards.shape != deviations.shape or rewards.dim() != 2 or rewards.shape[1] < 2:
        raise InvalidInput(
            "rewards and deviations must both be (prompts, responses), with at least two responses; got shapes "
            f"{tuple(rewards.shape)} and {tuple(deviations.shape)}"
        )
    if bool((deviations < 0).any()):
        raise InvalidInput(f"deviations must be at least 0, got {float(deviations.min()):.3g}")
    first, second = of_one_precision(rewards, deviations)
    return first, second
