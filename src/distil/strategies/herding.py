"""Query examples whose neighborhoods are not yet represented, weighted by uncertainty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from distil.evaluation.metrics import calibration_error
from distil.functional.components import principal_components
from distil.functional.herding import coverage, herding, least_distance, neighbor_width
from distil.functional.scale import unit_rows
from distil.functional.uncertainty import margin
from distil.rng import Rng
from distil.signals import Embedding, Labels, Logits, Probs, Signals
from distil.strategies.base import Needs, Selection, Sets, Valued, picked
from distil.strategies.parameters import choice, count, positive
from distil.strategies.reasons import sentences
from distil.strategies.registry import register

# Pairs of a candidate and an example whose similarities fit into the memory of a kernel.
_PAIRS = 100_000_000

# Products of two numbers beyond which embeddings are shortened to this many components: about a minute on one core.
_PRODUCTS, _COMPONENTS = 250_000_000_000, 128

# Examples whose distances decide the default width.
_SAMPLE = 300

# Candidates in pools of any size: at least so many, and so many for each example to select.
_FEWEST, _FEWEST_EACH = 1_000, 10

# Temperatures among which the published form of UHerding chooses, as in its paper.
_TEMPERATURES = [step / 10 for step in range(10, 201)]


@register("maxherding")
@dataclass(frozen=True)
class MaxHerding(Valued):
    """Query, one by one, the example that raises most how well the labeled set represents the pool.

    Bae, Noh and Sutherland 2024: greedy maximization of the generalized coverage sum_i max_{a labeled} k(x_i, a) with a Gaussian
    kernel. Use it for the first labels, before a model can be trusted; it needs no model, only embeddings. Unlike ``ProbCover``
    and ``TypiClust`` it has neither hard balls nor clusters, so it depends less on its one width.

    The paper fixes the width at 1 for embeddings of unit length. By default it is the median distance to the (N / (M + n))-th
    neighbor, for N examples in the pool, M labels and n picks: each labeled example then represents about its share of the pool.

    Cost: O(N R D) for R candidates, then some tens of O(N) a pick; never N R numbers in memory, but blocks of 400 MB. In pools of
    more than 10,000 examples, R is at most 10^8 / N random candidates (never fewer than 1,000, nor than 10 n), and a note says so.
    On 8,000 examples of 64 numbers, clustered and not, 1,000 candidates for 50 picks and 3,000 for 300 reached 95 and 98 % of the
    coverage that all 8,000 reached. Where N R D is above 2.5 10^11, the first 128 principal components take the place of longer
    embeddings; of 3,000 embeddings of 512 numbers, 60 picks by these reached 99.9 % of the coverage in a clustered pool, and 98.5 %
    in isotropic noise, the worst case. Examples to represent are never left out.

    Attributes:
        width: Width of the kernel exp(-d^2 / width^2), above 0, in the unit of the embeddings. Default: see above.
        candidates: Number of random examples that may be picked; default: see above.
    """

    paper: ClassVar[str] = (
        "Bae, Noh and Sutherland 2024, Generalized coverage for more robust low-budget active learning"
    )
    width: float | None = positive(None)
    candidates: int | None = count(None)

    @property
    def needs(self) -> Needs:
        """Embeddings of the pool and of the labeled set."""
        return Needs(pool=(Embedding(),), labeled=(Embedding(),))

    def select(self, sets: Sets, n: int, rng: Rng) -> Selection:
        """The example of largest gain in coverage first."""
        x, labeled = sets.pool[Embedding()], sets.labeled[Embedding()]
        return _herded(sets.pool, x, labeled, n, rng, width=self.width, candidates=self.candidates, weights=None)

    def fixed(self, sets: Sets, n: int, rng: Rng) -> MaxHerding:
        """The strategy with the width of these sets."""
        x, labeled = sets.pool[Embedding()], sets.labeled[Embedding()]
        return self if self.width is not None else replace(self, width=_width(x, labeled, n, rng))

    def values(self, sets: Sets, picks: Sequence[Signals]) -> Tensor:
        """The generalized coverage; ``width`` must be given."""
        assert self.width is not None
        each = [some[Embedding()] for some in picks]
        return coverage(sets.pool[Embedding()], each, self.width, labeled=sets.labeled[Embedding()])


@register("uherding")
@dataclass(frozen=True)
class UHerding(Valued):
    """Query, one by one, the example that raises most how well the labeled set represents the uncertain part of the pool.

    Uncertainty herding (Bae, Oliveira and Sutherland 2025): ``MaxHerding`` in which every example counts by its uncertainty, 1
    minus the margin of its class probabilities. With few labels the model is uncertain everywhere and the picks cover the pool;
    with many labels they concentrate on what the model does not know. Use it where you do not know which of the two you have.
    Where all examples are equally uncertain (a model that knows one class), it is ``MaxHerding``.

    Two forms differ in the width of the kernel and the scale of the uncertainty. ``"robust"``: the width of ``MaxHerding``, and
    probabilities as they are, because the linear head of this library is calibrated. ``"published"``: embeddings of unit length;
    the width is the smallest distance between labeled examples that differ (section 4.2), 1 without two of them; and probabilities
    are those of a temperature that minimizes the calibration error (in 15 bins) on a validation set, of 1, 1.1, ..., 20. The
    published code holds a fifth of the labeled set out for it; pass such examples as ``validation``. Without them the temperature
    is 1, and a note says so. Neither is best everywhere. In 31 settings the published form, on rows minus their mean, was ahead of
    the robust form on rows as they are in 14 and behind in 6: by up to 13 points where lengths differ a lot and say little
    (components of TF-IDF, of pixels), behind by up to 2 on tables (benchmarks/results/unit_length.md). The smallest distance varies
    from one small labeled set to the next.

    Cost: that of ``MaxHerding``.

    Attributes:
        width: Width of the kernel exp(-d^2 / width^2), above 0, in the unit of the embeddings. Default: see above.
        candidates: Number of random examples that may be picked. Default: as ``MaxHerding``.
        form: ``"robust"`` or ``"published"``.
    """

    paper: ClassVar[str] = (
        "Bae, Oliveira and Sutherland 2025, Uncertainty herding: one active learning method for all label budgets"
    )
    width: float | None = positive(None)
    candidates: int | None = count(None)
    form: str = choice("robust", ["robust", "published"])

    @property
    def needs(self) -> Needs:
        """Class probabilities and embeddings of the pool, embeddings of the labeled set; logits and labels for a temperature."""
        if self.form == "robust":
            return Needs(pool=(Probs(), Embedding()), labeled=(Embedding(),))
        return Needs(pool=(Logits(), Embedding()), labeled=(Embedding(),), validation=(Logits(), Labels()))

    def select(self, sets: Sets, n: int, rng: Rng) -> Selection:
        """The example of largest gain in weighted coverage first."""
        x, labeled = self._rows(sets.pool), self._rows(sets.labeled)
        if self.form == "robust":
            weights = self._weights(sets, None)
            return _herded(sets.pool, x, labeled, n, rng, width=self.width, candidates=self.candidates, weights=weights)
        temperature = _temperature(sets.validation)
        weights = self._weights(sets, temperature)
        width = least_distance(labeled) if self.width is None else self.width
        found = _herded(sets.pool, x, labeled, n, rng, width=width, candidates=self.candidates, weights=weights)
        missing = "temperature 1, as there is no validation set to fit it on; pass one (validation=, --validation)"
        return found.with_notes((missing if temperature is None else f"temperature {temperature:.3g}",))

    def fixed(self, sets: Sets, n: int, rng: Rng) -> UHerding:
        """The strategy with the width of these sets."""
        if self.width is not None:
            return self
        x, labeled = self._rows(sets.pool), self._rows(sets.labeled)
        width = _width(x, labeled, n, rng) if self.form == "robust" else least_distance(labeled)
        return replace(self, width=width)

    def values(self, sets: Sets, picks: Sequence[Signals]) -> Tensor:
        """The weighted coverage, with weights as they are; ``width`` must be given."""
        assert self.width is not None
        weights = self._weights(sets, None if self.form == "robust" else _temperature(sets.validation))
        each = [self._rows(some) for some in picks]
        return coverage(self._rows(sets.pool), each, self.width, weights=weights, labeled=self._rows(sets.labeled))

    def _rows(self, of: Signals) -> Tensor:
        """The embeddings as the form compares them."""
        return of[Embedding()] if self.form == "robust" else unit_rows(of[Embedding()])

    def _weights(self, sets: Sets, temperature: float | None) -> Tensor:
        """The uncertainty of each example of the pool."""
        robust = self.form == "robust"
        probs = sets.pool[Probs()] if robust else (sets.pool[Logits()] / (temperature or 1)).softmax(1)
        return (1 - margin(probs)).clamp_min(0)


def _temperature(validation: Signals) -> float | None:
    """The temperature of smallest calibration error on labeled examples, the lowest of equals; None without examples."""
    if not len(validation):
        return None
    logits, labels = validation[Logits()].double(), validation[Labels()]
    return min(_TEMPERATURES, key=lambda t: calibration_error((logits / t).softmax(1), labels))


def _herded(
    pool: Signals,
    x: Tensor,
    labeled: Tensor,
    n: int,
    rng: Rng,
    *,
    width: float | None,
    candidates: int | None,
    weights: Tensor | None,
) -> Selection:
    """The picks by herding among the embeddings ``x`` of the pool, given those of the labeled set."""
    most = max(_FEWEST, _FEWEST_EACH * n, _PAIRS // len(x)) if candidates is None else max(n, candidates)
    rows, notes = random_rows(len(x), most, rng.child("candidates")), []
    if rows is not None:
        kept = "; in our measurements, as many kept 95 to 98 % of the coverage" if candidates is None else ""
        notes.append(f"picked among {most:,} random candidates of the {len(x):,} examples{kept}")
    if x.shape[1] > _COMPONENTS and len(x) * min(most, len(x)) * x.shape[1] > _PRODUCTS:
        x, labeled, note = _shortened(x, labeled)
        notes.append(note)
    width = _width(x, labeled, n, rng) if width is None else width
    found = herding(x, n, width, weights=weights, labeled=labeled, candidates=rows)
    total = len(x) if weights is None or not bool(weights.any()) else float(weights.sum() / weights.max())
    reasons = sentences(
        "represents {:.2g} % of the pool that nothing labeled or picked represents", 100 * found.gains / total
    )
    return picked(pool, found.rows, reasons, notes=tuple(notes))


def _width(x: Tensor, labeled: Tensor, n: int, rng: Rng) -> float:
    """The median distance to the neighbor that ends the share of a labeled example."""
    everything = torch.cat([x, labeled.to(x.dtype)]) if len(labeled) else x
    k = max(1, round(len(x) / (len(labeled) + n)))
    return neighbor_width(everything, k, random_rows(len(everything), _SAMPLE, rng.child("width")))


def _shortened(x: Tensor, labeled: Tensor) -> tuple[Tensor, Tensor, str]:
    """The embeddings of the pool and the labeled set as principal components of the pool, and a note."""
    (short, short_labeled), share = principal_components(x, _COMPONENTS, labeled.to(x.dtype))
    note = (
        f"compared by the first {_COMPONENTS} principal components of the {x.shape[1]:,} numbers of an embedding, which hold "
        f"{100 * share:.0f} % of their variance; in our measurements this kept 98 % of the coverage"
    )
    return short, short_labeled, note


def random_rows(n_rows: int, n: int, rng: Rng) -> Tensor | None:
    """``n`` random rows in ascending order; None for all rows where there are no more."""
    return None if n >= n_rows else torch.randperm(n_rows, generator=rng.torch())[:n].sort().values
