"""Query examples whose neighborhoods are not yet represented, weighted by uncertainty."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch
from torch import Tensor

from distil.evaluation.metrics import calibration_error
from distil.functional.components import principal_components
from distil.functional.features import Dense
from distil.functional.greedy import lazy_greedy
from distil.functional.herding import (
    Comparison,
    Coverage,
    Represented,
    RepresentedRows,
    coverage,
    gaussian,
    least_distance,
    neighbor_width,
)
from distil.functional.scale import of_one_precision, unit_rows
from distil.functional.similarity import MEMORY
from distil.functional.uncertainty import margin
from distil.rng import Rng
from distil.signals import Embedding, Labels, Logits, Probs, Signals
from distil.strategies.base import Needs, Selection, Sets, Valued, picked, tie_keys
from distil.strategies.parameters import choice, count, positive
from distil.strategies.reasons import sentences
from distil.strategies.registry import register
from distil.system.runtime import CHUNK_ROWS

# Pairs of a candidate and an example whose similarities fit into the memory of a kernel.
_PAIRS = 100_000_000

# Products of two numbers beyond which embeddings are shortened to this many components: about a minute on one core.
_PRODUCTS, _COMPONENTS = 250_000_000_000, 128

# Examples that stand for the pool: the default width is that of so many distances to so many others, and components are theirs.
_SAMPLE, _REFERENCE = 300, 10_000

# Candidates in pools of any size: at least so many, and so many for each example to select.
_FEWEST, _FEWEST_EACH = 1_000, 10

# Temperatures among which the published form of UHerding chooses, as in its paper.
_TEMPERATURES = [step / 10 for step in range(10, 201)]


class Herding(Valued):
    """Base of the strategies that pick by generalized coverage, in one place or from a pool in shards.

    Candidates, and the examples that stand for the pool where a width or components are estimated, are those of smallest
    ``tie_keys``: random ones, whatever the order and the division of the pool.

    Attributes:
        width: See the strategies.
        candidates: See the strategies.
    """

    in_order_of_ids: ClassVar[bool] = True
    reads_features: ClassVar[bool] = True
    width: float | None
    candidates: int | None

    @property
    def unit_length(self) -> bool:
        """Whether embeddings are scaled to unit length."""
        return False

    @abstractmethod
    def weights(self, pool: Signals, validation: Signals) -> Tensor | None:
        """How much it counts that each example of the pool is represented, (N,); None: 1 each."""

    def select(self, sets: Sets, n: int, rng: Rng) -> Selection:
        """The example of largest gain in coverage first."""
        rows = self.represented(sets.pool, sets.validation, rng)
        found = self.picks(rows, self.known(sets.labeled, rng), n)
        notes = (*self.notes(sets.validation), *found.notes)
        return picked(sets.pool, rows.first_rows(found.n_candidates)[found.places], found.reasons, notes=notes)

    def notes(self, validation: Signals) -> tuple[str, ...]:  # noqa: ARG002 - for strategies that read it
        """Notes on what a selection with these validation examples does; by default none."""
        return ()

    def represented(self, pool: Signals, validation: Signals, rng: Rng) -> RepresentedRows:
        """The rows of the pool."""
        return RepresentedRows(
            pool.features(Embedding()),
            ids=pool.ids,
            keys=tie_keys(pool.ids, rng),
            weights=self.weights(pool, validation),
            unit_length=self.unit_length,
            memory=MEMORY if pool.space is None else min(MEMORY, pool.space.memory),
            column=torch.empty if pool.space is None else pool.space.column,
        )

    def known(self, labeled: Signals, rng: Rng) -> Tensor:
        """The embeddings of the labeled examples, as they are compared, in the order of their keys, (M, D)."""
        x = labeled[Embedding()][tie_keys(labeled.ids, rng).argsort()]
        return unit_rows(x) if self.unit_length else x

    def picks(self, rows: Represented, labeled: Tensor, n: int) -> HerdedPicks:
        """The picks among the candidates.

        Args:
            rows: The rows of the pool, in one place or in several.
            labeled: The labeled examples, see ``known``.
            n: Number of picks.
        """
        size, notes = len(rows), list[str]()
        most = max(_FEWEST, _FEWEST_EACH * n, _PAIRS // size) if self.candidates is None else max(n, self.candidates)
        if most < size:
            kept = "; in our measurements, as many kept 95 to 98 % of the coverage" if self.candidates is None else ""
            notes.append(f"picked among {most:,} random candidates of the {size:,} examples{kept}")
        n_candidates = min(most, size)
        first, labeled = of_one_precision(rows.first(max(n_candidates, min(_REFERENCE, size))), labeled)
        sample, components = first[:_REFERENCE], None
        if first.shape[1] > _COMPONENTS and size * n_candidates * first.shape[1] > _PRODUCTS:
            components = principal_components(sample, _COMPONENTS)
            notes.append(
                f"compared by the first {_COMPONENTS} principal components of the {first.shape[1]:,} numbers of an embedding, "
                f"which hold {100 * components.share:.0f} % of their variance; in our measurements this kept 98 % of the coverage"
            )
        seen = sample if components is None else components.of(sample)
        width = self.width
        if width is None:
            width = self._width(seen, labeled if components is None else components.of(labeled), size, n)
        e = max([rows.exponent(), *(Dense(labeled).exponents() if len(labeled) else ())])
        low, high = rows.weight_range()
        unit = high if low < high else None
        total = float(
            rows.begin(Comparison(gaussian(seen, width, e), components), first[:n_candidates], labeled, unit).sum()
        )
        found = lazy_greedy(Coverage(rows, n_candidates), n)
        shares = (100 * found.gains / total).tolist()
        reasons = sentences(
            "represents {} % of the pool that nothing labeled or picked represents",
            [f"{share:.2g}" if share < 99.5 else "100" for share in shares],
        )
        return HerdedPicks(n_candidates, found.rows, reasons, tuple(notes))

    def fixed(self, sets: Sets, n: int, rng: Rng) -> Self:
        """The strategy with the width of these sets."""
        if self.width is not None:
            return self
        size, rows = len(sets.pool), self.represented(sets.pool, sets.validation, rng)
        sample, labeled = of_one_precision(rows.first(min(size, _REFERENCE)), self.known(sets.labeled, rng))
        width = self._width(sample, labeled, size, n)
        return replace(self, width=width)  # type: ignore[type-var]  # each strategy is a dataclass

    def values(self, sets: Sets, picks: Sequence[Signals]) -> Tensor:
        """The coverage, with weights as they are; ``width`` must be given."""
        assert self.width is not None
        x, labeled, *each = (
            unit_rows(some[Embedding()]) if self.unit_length else some[Embedding()]
            for some in (sets.pool, sets.labeled, *picks)
        )
        weights = self.weights(sets.pool, sets.validation)
        return coverage(x, each, self.width, weights=weights, labeled=labeled)

    def _width(self, sample: Tensor, labeled: Tensor, size: int, n: int) -> float:
        """The median distance to the neighbor that ends the share of a labeled example.

        Args:
            sample: Random rows of the pool, (S, D).
            labeled: All labeled rows, (M, D), in a random order.
            size: Number of rows of the pool.
            n: Number of picks.
        """
        both = size + len(labeled)
        share = min(1.0, _REFERENCE / both)
        k = max(1, round(share * size / (len(labeled) + n)))
        sample, labeled = sample[: round(share * size)], labeled[: round(share * len(labeled))]
        looked = min(1.0, _SAMPLE / both / share)
        of_pool, of_labeled = (torch.arange(round(looked * len(rows))) for rows in (sample, labeled))
        both_rows = torch.cat([sample, labeled])
        return neighbor_width(both_rows, k, torch.cat([of_pool, len(sample) + of_labeled]))


@dataclass(frozen=True, eq=False)
class HerdedPicks:
    """Picks by herding among candidates.

    Attributes:
        n_candidates: Number of candidates: the rows of smallest keys.
        places: The places of the picks among these, (n,), in pick order.
        reasons: Why each was picked.
        notes: Sentences about the selection as a whole.
    """

    n_candidates: int
    places: Tensor
    reasons: tuple[str, ...]
    notes: tuple[str, ...]


@register("maxherding")
@dataclass(frozen=True)
class MaxHerding(Herding):
    """Query, one by one, the example that raises most how well the labeled set represents the pool.

    Bae, Noh and Sutherland 2024: greedy maximization of the generalized coverage sum_i max_{a labeled} k(x_i, a) with a Gaussian
    kernel. Use it for the first labels, before a model can be trusted; it needs no model, only embeddings. Unlike ``ProbCover``
    and ``TypiClust`` it has neither hard balls nor clusters, so it depends less on its one width.

    The paper fixes the width at 1 for embeddings of unit length. By default it is the median distance to the (N / (M + n))-th
    neighbor, for N examples in the pool, M labels and n picks: each labeled example then represents about its share of the pool.
    The median is that of 300 examples and, where there are more than 10,000, their neighbors among 10,000 random ones. Of 50,000
    examples, that was within 1 % of the exact width in 64 and 256 dimensions, and within 8 % in two.

    Cost: O(N R D) for R candidates, then some tens of O(N) a pick; never N R numbers in memory, but blocks of 400 MB. In pools of
    more than 10,000 examples, R is at most 10^8 / N random candidates (never fewer than 1,000, nor than 10 n), and a note says so.
    On 8,000 examples of 64 numbers, clustered and not, 1,000 candidates for 50 picks and 3,000 for 300 reached 95 and 98 % of the
    coverage that all 8,000 reached. Where N R D is above 2.5 10^11, the first 128 principal components (of 10,000 random
    examples, if there are more) take the place of longer embeddings; of 3,000 embeddings of 512 numbers, 60 picks by these reached
    99.9 % of the coverage in a clustered pool, and 98.5 % in isotropic noise, the worst case. Examples to represent are never left
    out.

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

    def weights(self, pool: Signals, validation: Signals) -> None:
        """None: each example counts as 1."""


@register("uherding")
@dataclass(frozen=True)
class UHerding(Herding):
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

    @property
    def unit_length(self) -> bool:
        """Whether embeddings are scaled to unit length: in the published form."""
        return self.form == "published"

    def notes(self, validation: Signals) -> tuple[str, ...]:
        """The temperature of the published form."""
        if self.form == "robust":
            return ()
        temperature = _temperature(validation)
        missing = "temperature 1, as there is no validation set to fit it on; pass one (validation=, --validation)"
        return (missing if temperature is None else f"temperature {temperature:.3g}",)

    def weights(self, pool: Signals, validation: Signals) -> Tensor:
        """The uncertainty of each example of the pool."""
        if self.form == "robust":
            return _by_blocks(pool, lambda block: (1 - margin(block[Probs()])).clamp_min_(0))
        temperature = _temperature(validation) or 1
        return _by_blocks(pool, lambda block: (1 - margin((block[Logits()] / temperature).softmax(1))).clamp_min_(0))

    def _width(self, sample: Tensor, labeled: Tensor, size: int, n: int) -> float:
        return super()._width(sample, labeled, size, n) if self.form == "robust" else least_distance(labeled)


def _temperature(validation: Signals) -> float | None:
    """The temperature of smallest calibration error on labeled examples, the lowest of equals; None without examples."""
    if not len(validation):
        return None
    logits, labels = validation[Logits()].double(), validation[Labels()]
    return min(_TEMPERATURES, key=lambda t: calibration_error((logits / t).softmax(1), labels))


def _by_blocks(pool: Signals, rule: Callable[[Signals], Tensor]) -> Tensor:
    """A number for each row of the pool, (N,), by a rule of the row alone; rows that are not stored are read once."""
    blocks = (pool.rows(slice(start, start + CHUNK_ROWS)) for start in range(0, len(pool), CHUNK_ROWS))
    return torch.cat([rule(block) for block in blocks])


def random_rows(n_rows: int, n: int, rng: Rng) -> Tensor | None:
    """``n`` random rows in ascending order; None for all rows where there are no more."""
    return None if n >= n_rows else torch.randperm(n_rows, generator=rng.torch())[:n].sort().values
