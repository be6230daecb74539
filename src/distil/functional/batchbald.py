"""BatchBALD: selections whose labels together carry the most information about the model."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from distil.errors import InvalidInput
from distil.functional.features import BLOCK_BYTES, EXACT_ROUNDING, EXACT_TIE
from distil.functional.scale import floating
from distil.functional.uncertainty import entropy

# Gains that differ by less than this many units of the probabilities' precision are computed again in float64.
_ROUNDING = 64

# A block of predictions fits into the second-level cache, because fetching an argument from memory costs more than its logarithm.
# On one core it won 0.38 against 0.57 s (5 of 5,000 examples, 10 samples, 10 classes). Delete it where one large block is as fast.
_BLOCK_BYTES = 1 << 20
_PART = 512

# Stands for a probability of 0, because 0 ln 0 = 0 but the logarithm of 0 is infinite.
_TINY = 1e-30

# Nats: a posterior of less entropy has found its sample, and what is left to learn is far below the error of the estimates.
_NOTHING_LEFT = 1e-6

# Number of rows whose gain is recomputed first; each further step recomputes twice as many.
_FIRST_LOOK = 16


@dataclass(frozen=True, eq=False)
class Informative:
    """The rows that BatchBALD picked, with their gains.

    Attributes:
        rows: Distinct rows in pick order, (n,) int64.
        gains: Mutual information that each pick added, in nats, (n,) float64; the first k sum to the joint score of k picks.
    """

    rows: Tensor
    gains: Tensor


def batchbald(
    mc_probs: Tensor, n: int, generator: torch.Generator | None = None, *, max_configurations: int = 10_000
) -> Informative:
    """Pick rows one by one so that their labels together have the largest mutual information with the model.

    Kirsch, van Amersfoort and Gal 2019, algorithm 1. Let S be the rows picked before. Row x gains I[y_x; w | y_S] =
    H[y_x | y_S] - E_w H[y_x | w]. The first term is the mean entropy of x's prediction over the configurations m of their labels:

        sum_m p(m) H[ sum_k p(k | m) p(y_x | k) ],  p(k | m) proportional to prod_{s in S} p(y_s = m_s | k).

    This is the paper's eq. 12 without the terms that are the same for all x; all x and all configurations are one matrix product.

    *Exact part.* While S has at most ``max_configurations`` configurations (those of probability 0 are not counted), all of them
    are enumerated; this holds for at least the first 1 + log_C(max_configurations) picks. Exact gains only fall as S grows, so an
    old gain is an upper bound, and few rows are recomputed (lazy greedy).

    *Sampled part.* After that, S has ``max_configurations`` sampled configurations, drawn from the mixture over k as in the paper's
    eq. 14 (equally many from each k, at least one). Gains are then estimates, whose mean error falls with the root of that number.
    A pick extends every sampled configuration by its label, so one set of draws serves all rows and all picks. Estimates need not
    fall as S grows, so every row is recomputed for each pick, until the labels have identified the sample: no gain is larger than
    the mean entropy of p(k | m), and once this is below a millionth of a nat the rows left are picked in order, with gains of 0.

    Args:
        mc_probs: Class probabilities under K samples of the model, (N, K, C), floating; sample k must be *the same sample for all
            rows*.
        n: Number of rows to pick, at most N.
        generator: CPU generator for sampled configurations; unused while all configurations are enumerated.
        max_configurations: Largest number of configurations to enumerate or to sample.

    Returns:
        n rows and their gains; ties go to the smaller row.

    Raises:
        InvalidInput: Configurations have to be sampled and ``generator`` is None.

    Cost: N K C for the first pick; then O(m M (K + 1) C) a pick, with M configurations and m recomputed rows. Memory: M K numbers
    and blocks of bounded bytes.

    >>> sure, split = [[0.9, 0.1], [0.9, 0.1]], [[1.0, 0.0], [0.0, 1.0]]  # two samples each
    >>> batchbald(torch.tensor([sure, split, split]), 2).rows.tolist()
    [1, 0]
    """
    mc_probs = floating(mc_probs)
    configurations = _Configurations(mc_probs, max_configurations)
    gains = _Gains(mc_probs)
    picks: list[tuple[int, float]] = []
    while len(picks) < n:
        if picks:
            configurations.add(picks[-1][0], generator)
        picks.append(gains.best(configurations))
    rows, found = zip(*picks, strict=True) if picks else ((), ())
    return Informative(torch.tensor(rows, dtype=torch.long), torch.tensor(found, dtype=torch.float64))


class _Configurations:
    """Configurations m of the labels of the picked rows, all of them or a sample, with their posteriors.

    Attributes:
        weights: Probabilities p(m), (M,) float64.
        posterior: Posterior p(k | m) of the model's samples, (M, K) float64.
        sampled: Whether the configurations are a sample.
    """

    def __init__(self, mc_probs: Tensor, most: int) -> None:
        n_samples = mc_probs.shape[1]
        self._mc_probs = mc_probs
        self._most = most
        self._rows: list[int] = []
        self.weights = torch.ones(1, dtype=torch.float64, device=mc_probs.device)
        self.posterior = self.weights.new_full((1, n_samples), 1 / n_samples)
        self.sampled = False

    def add(self, row: int, generator: torch.Generator | None) -> None:
        """Extend the configurations by the label of a row."""
        self._rows.append(row)
        unseen = [row]
        possible = int((self._mc_probs[row] > 0).any(0).sum())
        if not self.sampled and len(self.weights) * possible > self._most:
            self._start_sampling()
            unseen = self._rows
        for r in unseen:
            if self.sampled:
                self._draw(_normalized(self._mc_probs[r], torch.float64), generator)
            else:
                self._branch(_normalized(self._mc_probs[r], torch.float64))

    def _branch(self, probs: Tensor) -> None:
        """Extend each configuration by each label, for a row of probabilities (K, C)."""
        joint = self.posterior[:, None, :] * probs.T  # (M, C, K)
        chances = joint.sum(-1)
        weights = self.weights[:, None] * chances
        possible = weights > 0
        self.weights = weights[possible]
        self.posterior = joint[possible] / chances[possible][:, None]

    def _start_sampling(self) -> None:
        n_samples = self._mc_probs.shape[1]
        self.sampled = True
        size = n_samples * max(1, self._most // n_samples)
        self.weights = self.weights.new_full((size,), 1 / size)
        self.posterior = self.weights.new_full((size, n_samples), 1 / n_samples)

    def _draw(self, probs: Tensor, generator: torch.Generator | None) -> None:
        """Extend each configuration by a label drawn from its sample k of the model, for a row of probabilities (K, C)."""
        if generator is None:
            raise InvalidInput(
                f"the labels of {len(self._rows)} rows have more than {self._most} configurations, which have to be sampled; "
                "pass generator=..., or a larger max_configurations"
            )
        n_samples, n_classes = probs.shape
        draws = torch.rand(n_samples, len(self.weights) // n_samples, dtype=torch.float64, generator=generator)
        totals = probs.cumsum(1)
        labels = torch.searchsorted(totals, draws.to(probs.device) * totals[:, -1:], right=True).clamp_max_(
            n_classes - 1
        )
        joint = self.posterior * probs[:, labels.flatten()].T  # (M, K)
        self.posterior = joint / joint.sum(1, keepdim=True)

    def left(self) -> float:
        """The mean entropy of the posterior, in nats: no label can tell more about the model."""
        return float(entropy(self.posterior) @ self.weights)

    def entropies(self, rows: Tensor, dtype: torch.dtype) -> Tensor:
        """Mean entropy of each row's prediction over the configurations, (m,) float64, computed in ``dtype``."""
        size = _BLOCK_BYTES * 8 // (self._mc_probs.shape[2] * torch.finfo(dtype).bits)
        part = max(1, min(len(self.weights), _PART, size))
        step = max(1, size // max(part, self._mc_probs.shape[1]))
        parts = list(zip(self.posterior.to(dtype).split(part), self.weights.to(dtype).split(part), strict=True))
        return torch.cat(
            [self._entropies(_normalized(self._mc_probs[some], dtype), parts) for some in rows.split(step)]
        )

    def _entropies(self, probs: Tensor, parts: list[tuple[Tensor, Tensor]]) -> Tensor:
        columns = probs.clamp_min(_TINY).transpose(1, 2).flatten(0, 1)  # (m C, K)
        total = self.weights.new_zeros(len(columns))
        for posterior, weights in parts:
            predicted = columns @ posterior.T  # (m C, part)
            total -= predicted.log().mul_(predicted) @ weights
        return total.view(len(probs), -1).sum(1)


def _normalized(probs: Tensor, dtype: torch.dtype) -> Tensor:
    """Rows scaled to sum to 1 in this precision: float32 rows do so only in float32, and equal rows would differ slightly."""
    probs = probs.to(dtype)
    return probs / probs.sum(-1, keepdim=True)


class _Gains:
    """The gain of each row left, or an upper bound of it."""

    def __init__(self, mc_probs: Tensor) -> None:
        self._mc_probs = mc_probs
        n_classes = mc_probs.shape[2]
        step = max(1, BLOCK_BYTES // (mc_probs[:1].numel() * mc_probs.element_size()))
        self._noise = torch.cat([entropy(block).mean(1).double() for block in mc_probs.split(step)])
        self._bounds = torch.full_like(self._noise, torch.inf)
        scale = 1 + math.log(n_classes)
        self._unsure = _ROUNDING * torch.finfo(mc_probs.dtype).eps * scale
        self._exact_unsure = EXACT_ROUNDING * scale

    def best(self, configurations: _Configurations) -> tuple[int, float]:
        """The row that gains most, and its gain; later calls leave this row out."""
        if configurations.sampled:  # earlier estimates are no bounds
            self._bounds[self._bounds > -torch.inf] = torch.inf
            left = configurations.left()
            if left <= self._unsure:
                return self._least(configurations, left)
        fresh = torch.zeros_like(self._bounds, dtype=torch.bool)
        look = _FIRST_LOOK
        while True:
            floor = self._bounds.masked_fill(~fresh, -torch.inf).max() - 2 * self._unsure
            stale = torch.nonzero(~fresh & (self._bounds >= floor) & (self._bounds > -torch.inf))[:, 0]
            if not len(stale):
                break
            if len(stale) > look and bool(self._bounds[stale[0]].isfinite()):
                stale = stale[self._bounds[stale].topk(look).indices]
            self._bounds[stale] = configurations.entropies(stale, self._mc_probs.dtype) - self._noise[stale]
            fresh[stale] = True
            look *= 2
        row, gain = self._settle(torch.nonzero(fresh & (self._bounds >= floor))[:, 0], configurations)
        self._bounds[row] = -torch.inf
        return row, gain

    def _least(self, configurations: _Configurations, left: float) -> tuple[int, float]:
        """As ``best`` where no gain is above ``left``, which rounding hides in the precision of the probabilities."""
        rows = torch.nonzero(self._bounds > -torch.inf)[:, 0]
        row, gain = (int(rows[0]), 0.0) if left <= _NOTHING_LEFT else self._settle(rows, configurations)
        self._bounds[row] = -torch.inf
        return row, gain

    def _settle(self, rows: Tensor, configurations: _Configurations) -> tuple[int, float]:
        """The best, in float64, of ascending rows with nearly equal gains, and its gain; equal rows are computed once."""
        distinct, which = torch.unique(self._mc_probs[rows].flatten(1), dim=0, return_inverse=True)
        first = torch.full((len(distinct),), len(rows), device=rows.device)
        first.scatter_reduce_(0, which, torch.arange(len(rows), device=rows.device), "amin")
        first = first.sort().values
        found = rows[first]
        noise = torch.cat(
            [entropy(_normalized(self._mc_probs[some], torch.float64)).mean(1) for some in found.split(256)]
        )
        gains = configurations.entropies(found, torch.float64) - noise
        best = float(gains.max())
        at = int(torch.nonzero(gains >= best - EXACT_TIE * abs(best) - self._exact_unsure)[0, 0])
        return int(found[at]), max(0.0, float(gains[at]))
