"""Query subsets on which training would come close to training on all examples, by the last layer's gradients."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from distil.errors import InvalidInput, MissingSignal
from distil.functional.features import Features, Grouped, Outer, at_one_scale
from distil.functional.glister import TYPES, Judges, glister_with_gains
from distil.functional.greedy import (
    by_class,
    lazy_greedy,
    two_rounds,
)
from distil.functional.matching import Match, fitted_weights, match_per_batch, match_per_class, unit_weights
from distil.functional.similarity import closeness, cluster_sizes, diameter
from distil.functional.submodular import FacilityLocation
from distil.rng import Rng
from distil.signals import Embedding, Gradient, Labels, Logits, Probs, Signals
from distil.strategies.base import Needs, Selection, Sets, Strategy, picked
from distil.strategies.parameters import at_least, choice, count, flag, function, positive
from distil.strategies.reasons import sentences, two_rounds_notes
from distil.strategies.registry import register

Loss = Callable[[Tensor, Tensor], Tensor]

Part = Literal["all", "weights", "bias"]
_PARTS = ("all", "weights", "bias")


@register("gradmatch")
@dataclass(frozen=True)
class GradMatch(Strategy):
    """Query a subset whose gradients, at the predicted labels, add up to the scaled gradient of the whole pool.

    Killamsetty et al. 2021 (ICML), in the active learning form of DISTIL: with k examples of N, the error
    || sum_{i in S} g_i - (k / N) sum_i g_i || of the last layer's gradients is lowered greedily. With ``use_weights``, orthogonal
    matching pursuit (algorithm 2) minimizes || sum_{i in S} w_i g_i - sum_i g_i ||^2 + ridge |w|^2, and the selection has these
    weights. Use it for first selections and skewed pools: the subset is representative. It does not look for the model's errors.

    Differs from the published code, which matched the whole sum (N / k times as long) whatever k was, returned more than the
    budget, and whose gradients depended on the minibatch size. With ``valid``, a class without validation examples matches its
    examples of the pool. Cost: O(N n (C + D)) time and N (C + D) numbers, as gradients are kept as their factors.

    Attributes:
        selection_type: ``"PerClass"``: from each predicted class separately, with a share of the budget proportional to its size;
            ``"PerBatch"``: whole minibatches of consecutive examples, matched by their mean gradients; cheaper, and coarser.
        part: The part of the last layer's gradient: ``"all"`` (``linear_layer=True`` in DISTIL), its ``"bias"`` alone
            (``linear_layer=False``) or its ``"weights"``.
        use_weights: Whether to fit weights, at least 0; examples that do not help the fit have weight 0.
        batch_size: Examples per minibatch, for ``"PerBatch"``.
        ridge: Penalty on the squares of the weights, at least 0.
        loss: ``loss(logits (1, C), labels (1,))``; default: the cross entropy.
        valid: Whether to match the gradient of the validation set, at its labels, instead of the pool's.
    """

    paper: ClassVar[str] = "Killamsetty et al. 2021, GRAD-MATCH: gradient matching based data subset selection"
    selection_type: Literal["PerClass", "PerBatch"] = choice("PerClass", ("PerClass", "PerBatch"), exact=True)
    part: Part = choice("all", _PARTS, exact=True)
    use_weights: bool = flag(False)
    batch_size: int = count(32)
    ridge: float = at_least(0.5, 0)
    loss: Loss | None = function()
    valid: bool = flag(False)

    @property
    def needs(self) -> Needs:
        """Gradients of the pool at the predicted labels and, with ``valid``, of the validation set at the true ones."""
        return Needs(pool=(self._gradient,), validation=(self._true_gradient,) if self.valid else ())

    def select(self, sets: Sets, n: int, rng: Rng) -> Selection:  # noqa: ARG002 - nothing random here
        """The greedy picks, in order; with their weights, if weights are fitted."""
        x, outputs = sets.pool[self._gradient], sets.pool[_outputs(self.loss)]
        reference: tuple[Features, Tensor] | None = None
        if self.valid:
            y = _labels(_required(sets.validation, self), outputs.shape[1], "validation")
            reference = sets.validation[self._true_gradient], y
        match: Match = functools.partial(fitted_weights, ridge=self.ridge) if self.use_weights else unit_weights
        if self.selection_type == "PerClass":
            rows, weights = match_per_class(x, outputs.argmax(-1), n, outputs.shape[1], match, reference=reference)
        else:
            target = None if reference is None else reference[0]
            by_id = sets.pool.ids.argsort()  # a batch has consecutive ids, whatever the order of the rows
            rows, weights = match_per_batch(x[by_id], n, self.batch_size, match, reference=target)
            rows = by_id[rows]
        if self.use_weights:
            return picked(sets.pool, rows, sentences("weight {:.3g}", weights), weights=weights)
        if self.selection_type == "PerBatch":
            return picked(sets.pool, rows, ("in a batch whose mean gradient helps to match the whole gradient",) * n)
        return picked(
            sets.pool, rows, sentences("helps to match the mean gradient of class {}", outputs[rows].argmax(-1))
        )

    @property
    def _gradient(self) -> Gradient:
        return Gradient(part=self.part, loss=self.loss)

    @property
    def _true_gradient(self) -> Gradient:
        return Gradient(part=self.part, labels="true", loss=self.loss)


@register("glister")
@dataclass(frozen=True)
class GLISTER(Strategy):
    """Query, one by one, the example whose gradient step would lower the validation loss most.

    Killamsetty et al. 2021 (AAAI), GLISTER-ACTIVE: bilevel selection with one gradient step of the last layer in place of
    training. Without a validation set, the loss is that of the labeled set, at its labels, and of the pool, at the predicted
    labels. Gains are first-order; the validation gradient is recomputed after each pick. Strong where a clean validation set
    represents the target (label noise, skewed pools); without one it mostly confirms the model's predictions. The labeled set is
    optional. ``distil.functional.glister.glister`` has the formulas and the differences from the published code.
    Cost: O((N + V) C D) per pick for V validation examples; ``"FacLoc"`` adds O(N^2 (C + D)) once.

    Attributes:
        type_of: Regularizer, under DISTIL's names: ``"none"``; ``"Rand"``: the last round(lam n) picks are random; ``"Diversity"``:
            picks close to earlier ones score lower; ``"FacLoc"``: picks that represent much of the pool score higher.
        lam: Weight of the regularizer, above 0; for ``"Rand"`` the random share, between 0 and 1. Required unless ``type_of`` is
            ``"none"``.
        lr: Length of the gradient step, above 0: the learning rate of training.
        valid: Whether to read a validation set, which is then required.
        loss: ``loss(logits (1, C), labels (1,))``; default: the cross entropy.
    """

    paper: ClassVar[str] = "Killamsetty et al. 2021, GLISTER: generalization based data subset selection"
    type_of: Literal["none", "Rand", "FacLoc", "Diversity"] = choice("none", TYPES, exact=True)
    lam: float | None = positive(None)
    lr: float = positive(0.01)
    valid: bool = flag(False)
    loss: Loss | None = function()

    def check(self) -> None:
        """Require ``lam`` exactly with a regularizer, and below 1 for ``"Rand"``."""
        if self.type_of == "none":
            if self.lam is not None:
                raise InvalidInput(
                    f"GLISTER: lam is the weight of a regularizer, got lam={self.lam!r} with type_of='none'; leave lam out"
                )
        elif self.lam is None:
            raise InvalidInput(
                f"GLISTER(type_of={self.type_of!r}) needs lam, the weight of its regularizer; pass lam=..."
            )
        elif self.type_of == "Rand" and self.lam >= 1:
            raise InvalidInput(
                f"GLISTER: lam must be between 0 and 1 with type_of='Rand', the share of random picks, got {self.lam!r}"
            )

    @property
    def needs(self) -> Needs:
        """Gradients of the pool at the predicted labels, of the labeled set and, with ``valid``, of the validation set."""
        true = (self._true_gradient,)
        return Needs(pool=(self._gradient,), labeled=true, validation=true if self.valid else ())

    def select(self, sets: Sets, n: int, rng: Rng) -> Selection:
        """The greedy picks, in order, followed by the random picks of ``"Rand"``."""
        x, outputs = sets.pool[self._gradient], sets.pool[_outputs(self.loss)]
        labeled = None
        judges: list[Judges] = []
        if not self.valid:
            judges.append(self._judges(sets.pool, outputs.argmax(-1)))
        if len(sets.labeled):
            y = _labels(sets.labeled, outputs.shape[1], "labeled")
            labeled = _outer(sets.labeled[self._true_gradient])
            if not self.valid:
                judges.append(self._judges(sets.labeled, y))
        if self.valid:
            y = _labels(_required(sets.validation, self), outputs.shape[1], "validation")
            judges.append(self._judges(sets.validation, y))
        found = glister_with_gains(
            _outer(x),
            judges,
            n,
            lr=self.lr,
            labeled=labeled,
            type_of=self.type_of,
            lam=self.lam or 0.0,
            generator=rng.child("rand").torch() if self.type_of == "Rand" else None,
            loss=self.loss,
        )
        judged = "validation" if self.valid else "labeled and predicted"
        reasons = [
            "drawn at random"
            if gain != gain
            else f"its gradient step lowers the {judged} loss by {gain:.3g} to first order"
            for gain in found.gains.tolist()
        ]
        return picked(sets.pool, found.rows, tuple(reasons))

    def _judges(self, table: Signals, y: Tensor) -> Judges:
        outputs = table[_outputs(self.loss)]
        if self.loss is None:  # the cross entropy of log-probabilities is that of the logits
            outputs = outputs.clamp_min(torch.finfo(outputs.dtype).tiny).log()
        return Judges(outputs, table[Embedding()], y)

    @property
    def _gradient(self) -> Gradient:
        return Gradient(part="all", loss=self.loss)

    @property
    def _true_gradient(self) -> Gradient:
        return Gradient(part="all", labels="true", loss=self.loss)


def _outputs(loss: Loss | None) -> Probs | Logits:
    """The signal of model outputs that the gradient of ``loss`` is derived from."""
    return Probs() if loss is None else Logits()


def _outer(gradients: Features) -> Outer:
    if not isinstance(gradients, Outer):
        raise InvalidInput(f"GLISTER needs factored gradients, got {type(gradients).__name__}")
    return gradients


def _required(validation: Signals, strategy: Strategy) -> Signals:
    if not len(validation):
        raise MissingSignal(
            f"{type(strategy).__name__}(valid=True) needs a validation set; pass validation={{id: label}}, or a pair (ids, "
            "labels), to distil.select or distil.select_from, validation=(inputs, labels) to Learner, or --validation on the "
            "command line"
        )
    return validation


def _labels(table: Signals, num_classes: int, role: str) -> Tensor:
    y = table[Labels()]
    wrong = (y < 0) | (y >= num_classes)
    if bool(wrong.any()):
        raise InvalidInput(
            f"{role}: labels must be classes of the model, 0 to {num_classes - 1}, got {int(y[wrong][0])}; correct the labels or "
            "use a model with more outputs"
        )
    return y


@register("craig")
@dataclass(frozen=True)
class CRAIG(Strategy):
    """Query medoids of the gradients at the predicted labels; the weight of each is the number of examples it represents.

    Mirzasoleiman, Bilmes and Leskovec 2020: the sum of the subset's weighted gradients differs from the whole pool's by at most
    sum_i min_{j in S} d_ij, which facility location over the similarity max d - d lowers greedily (algorithm 1). Distances are
    not squared, as in the paper's bound (DISTIL 0.1 squared them, and assigned gradients to the wrong examples). Use it where
    training on the weighted subset should replace training on the whole pool; it ignores uncertainty.

    Weights are cluster sizes and sum to N: each example counts for the nearest pick, of its own predicted class if there is one.
    Cost: O(N^2 (C + D)) time, or O(sum_c N_c^2 (C + D)) with ``"PerClass"``; gradients are kept as their factors. More than 10,240
    examples are covered in ``two_rounds``.

    Attributes:
        selection_type: ``"PerClass"``: from each predicted class separately, with a share of the budget proportional to its size;
            ``"Supervised"``: from the whole pool, with similarity 0 between different predicted classes; ``"PerBatch"`` (or
            ``"Per-Batch"``): whole batches of examples with consecutive ids, by their mean gradients. Inside a batch the examples
            nearest to its mean come first, and the last batch is cut to make exactly n.
        part: The part of the last layer's gradient: ``"all"`` (``linear_layer=True`` in DISTIL), its ``"bias"`` alone
            (``linear_layer=False``) or its ``"weights"``.
        batch_size: Examples per batch, for ``"PerBatch"``; the last batch may be smaller.
        loss: ``loss(logits (1, C), labels (1,))``; default: the cross entropy.
    """

    paper: ClassVar[str] = "Mirzasoleiman et al. 2020, Coresets for data-efficient training of machine learning models"
    selection_type: str = choice("PerClass", ("PerClass", "Supervised", "PerBatch"))
    part: Part = choice("all", _PARTS)
    batch_size: int = count(32)
    loss: Loss | None = function()

    @property
    def needs(self) -> Needs:
        """Gradients of the pool at the predicted labels."""
        return Needs(pool=(self._gradient,))

    def select(self, sets: Sets, n: int, rng: Rng) -> Selection:  # noqa: ARG002 - nothing random here
        """Medoids in pick order, with their weights."""
        x = sets.pool[self._gradient]
        size = len(x)
        if self.selection_type == "PerBatch":
            rows, weights = self._of_batches(x, sets.pool.ids, n)
            size = -(-len(x) // self.batch_size)
        else:
            outputs = sets.pool[Probs() if self.loss is None else Logits()]
            labels = outputs.argmax(-1)
            if self.selection_type == "PerClass":
                size = int(labels.bincount().max())
                rows = by_class(labels, n, outputs.shape[1], lambda part, budget: _medoids(x[part], budget))
            else:
                rows = _medoids(x, n, labels)
            weights = cluster_sizes(x, rows, classes=labels)
        reasons = sentences("represents {:,.0f} examples", weights)
        notes = two_rounds_notes("facility location", size)
        return picked(sets.pool, rows, reasons, weights=weights.float(), notes=notes)

    def _of_batches(self, x: Features, ids: Tensor, n: int) -> tuple[Tensor, Tensor]:
        batches = ids.argsort().split(self.batch_size)
        sizes = torch.tensor([len(batch) for batch in batches])
        groups = torch.empty_like(ids)
        groups[torch.cat(batches)] = torch.arange(len(batches)).repeat_interleave(sizes)
        means = Grouped(x, groups, len(batches))
        chosen = _medoids(means, min(len(batches), -(-n // self.batch_size) + 1))  # one more, as one may be smaller
        chosen = chosen[: int((sizes[chosen].cumsum(0) < n).sum()) + 1]
        rows = torch.cat([_nearest_to_mean_first(x, batches[b]) for b in chosen.tolist()])[:n]
        taken = torch.bincount(groups[rows], minlength=len(batches))
        weights = torch.zeros(len(batches), dtype=torch.float64)
        weights[chosen] = cluster_sizes(means, chosen, counts=sizes) / taken[chosen]
        return rows, weights[groups[rows]]

    @property
    def _gradient(self) -> Gradient:
        return Gradient(part=self.part, loss=self.loss)


def _medoids(x: Features, n: int, classes: Tensor | None = None) -> Tensor:
    """Facility location over max d - d: (n,) rows in pick order. max d matters only where classes have similarity 0."""
    kernel = closeness(x, None if classes is None else diameter(x))
    return two_rounds(FacilityLocation, x, n, kernel, lazy_greedy, classes=classes)


def _nearest_to_mean_first(x: Features, rows: Tensor) -> Tensor:
    (members,), _ = at_one_scale(x[rows].double())
    norms = members.sq_norms()
    mean = members.combine(torch.full_like(norms, 1 / len(rows)))
    dists = norms - 2 * members.project(mean)
    scale = norms.max().clamp_min(torch.finfo(torch.float64).tiny)
    return rows[(dists / scale).round(decimals=9).argsort(stable=True)]  # equal up to rounding: smaller id first
