"""One score an example from the probabilities of its tokens: words of a sentence, pixels or detected boxes of an image.

The tokens of all examples are the rows of one array, and ``offsets`` (N + 1,) says which rows belong to which example: those of
example i are ``probs[offsets[i]:offsets[i + 1]]``. Examples may have any number of tokens; one without tokens has score 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from distil.errors import InvalidInput
from distil.functional.scale import floating
from distil.functional.uncertainty import confidence, entropy, margin


def _log_confidence(probs: Tensor) -> Tensor:
    return -confidence(probs).log()


MEASURES: Mapping[str, Callable[[Tensor], Tensor]] = {
    "entropy": entropy,
    "margin": lambda probs: 1 - margin(probs),
    "least_confidence": lambda probs: 1 - confidence(probs),
    "log_confidence": _log_confidence,
}
"""Uncertainties of a token, at least 0, by name: entropy, 1 - (p_1 - p_2), 1 - p_1, and -ln p_1, for its largest probabilities."""

REDUCTIONS = ("mean", "sum", "max", "top_mean")
"""Names of the reductions; ``top_mean`` is the mean of the largest uncertainties."""


def reduced_uncertainty(
    probs: Tensor, offsets: Tensor, measure: str = "entropy", reduction: str = "mean", top: int = 10
) -> Tensor:
    """The uncertainties of the tokens of each example, reduced to one number.

    The mean and the sum of entropies are the token entropy and the total token entropy of Settles and Craven 2008. The
    sum of ``log_confidence`` orders as the least confidence of the most probable sequence of independent tokens (Culotta and
    McCallum 2005), and its mean is minus the length-normalized log-probability, MNLP, of Shen et al. 2018.

    Args:
        probs: Class probabilities of the tokens, (R, C), C >= 2.
        offsets: Rows of ``probs`` at which the tokens of each example begin, and R: (N + 1,), ascending from 0.
        measure: A name in ``MEASURES``.
        reduction: A name in ``REDUCTIONS``.
        top: Number of the largest uncertainties of ``top_mean``; of all tokens where there are fewer.

    Returns:
        At least 0, (N,), in the precision of ``probs``; 0 for an example without tokens.

    Raises:
        InvalidInput: ``offsets`` does not fit, or a name is unknown.

    Cost: one pass over ``probs``; ``top_mean`` sorts R numbers.

    >>> probs = torch.tensor([[0.5, 0.5], [1.0, 0.0], [0.75, 0.25]])
    >>> reduced_uncertainty(probs, torch.tensor([0, 2, 3]), "least_confidence", "sum")
    tensor([0.5000, 0.2500])
    """
    if measure not in MEASURES or reduction not in REDUCTIONS or top < 1:
        raise InvalidInput(
            f"measure must be one of {', '.join(MEASURES)}, reduction one of {', '.join(REDUCTIONS)}, and top from 1; got "
            f"{measure!r}, {reduction!r} and {top!r}"
        )
    owners = _owners(probs, offsets)
    found = MEASURES[measure](probs)
    if reduction == "max":
        return found.new_zeros(len(offsets) - 1).scatter_reduce_(0, owners, found, "amax")
    if reduction == "top_mean":
        kept = _places(found, owners, offsets) < top
        found, owners = found[kept], owners[kept]
    return _sums(found, owners, len(offsets) - 1, mean=reduction != "sum")


def entropies_by_class(probs: Tensor, offsets: Tensor) -> Tensor:
    """How uncertain the tokens of each class are: the mean over tokens of p_c H, for the entropy H of a token, in nats.

    The scores of class-stratified predictive entropy (Lüth et al. 2026), as in their code.

    Args:
        probs: Class probabilities of the tokens, (R, C).
        offsets: As for ``reduced_uncertainty``.

    Returns:
        (N, C + 1): the means for each class, which add up to the last column, the mean entropy. 0 for examples without tokens.
    """
    owners = _owners(probs, offsets)
    of_tokens = entropy(probs)[:, None]
    return _sums(torch.cat([of_tokens * floating(probs), of_tokens], 1), owners, len(offsets) - 1, mean=True)


def stratified(
    by_class: Tensor, scores: Tensor, n: int, share: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Pick rows class by class for a share of the picks, each time the best row left, and the rest by one score.

    ``share`` n picks, rounded down, are divided evenly between the classes; what is left over goes to random classes. The classes
    take turns, in random order. Equal scores: the smaller row first.

    Args:
        by_class: Scores of each row for each class, (N, C).
        scores: Scores of each row for the other picks, (N,).
        n: Number of picks, from 1 to N.
        share: Share of the picks that the classes make, from 0 to 1.
        generator: CPU generator.

    Returns:
        Rows in pick order, (n,), and the class that took each, (n,), -1 for those by ``scores``.

    Cost: O(C N log N).
    """
    c = by_class.shape[1]
    n_by_class = int(share * n + 1e-9) if c else 0
    turns = torch.randperm(c, generator=generator).repeat(-(-n_by_class // max(1, c)))[:n_by_class].tolist()
    turns += [-1] * (n - n_by_class)
    lists = {turn: iter(_ranking(scores if turn < 0 else by_class[:, turn], n)) for turn in set(turns)}
    taken: dict[int, int] = {}
    for turn in turns:
        taken[next(row for row in lists[turn] if row not in taken)] = turn
    return torch.tensor(list(taken)), torch.tensor(list(taken.values()))


def _ranking(scores: Tensor, n: int) -> list[int]:
    """The first n rows by score: enough for every turn, as others take fewer than n."""
    found: list[int] = scores.argsort(descending=True, stable=True)[:n].tolist()
    return found


def _owners(probs: Tensor, offsets: Tensor) -> Tensor:
    """The example of each token, (R,), after a check of the offsets."""
    lengths = offsets.diff()
    if len(offsets) < 2 or int(offsets[0]) != 0 or int(offsets[-1]) != len(probs) or bool((lengths < 0).any()):
        raise InvalidInput(
            f"offsets must ascend from 0 to {len(probs)}, the number of rows of probs, with one more entry than there are "
            f"examples; got {offsets.tolist()[:5]}{'...' if len(offsets) > 5 else ''}"
        )
    return torch.arange(len(lengths)).repeat_interleave(lengths)


def _places(found: Tensor, owners: Tensor, offsets: Tensor) -> Tensor:
    """The place of each token among those of its example by its value, (R,), 0 for the largest."""
    order = found.argsort(descending=True, stable=True)
    order = order[owners[order].argsort(stable=True)]  # by example, largest first
    places = torch.empty_like(order)
    places[order] = torch.arange(len(order)) - offsets[:-1][owners]
    return places


def _sums(found: Tensor, owners: Tensor, n: int, *, mean: bool) -> Tensor:
    """Sums or means of rows by example, (n, ...), added in float64 in the order of the rows."""
    sums = found.new_zeros((n, *found.shape[1:]), dtype=torch.float64).index_add_(0, owners, found.double())
    if mean:
        counts = torch.bincount(owners, minlength=n).clamp_min_(1)
        sums /= counts.view(-1, *[1] * (sums.dim() - 1))
    return sums.to(found.dtype)
