"""Query by any strategy, with other probabilities than the softmax of the network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from distil.errors import InvalidInput, counted
from distil.functional.laplace import (
    averaged_softmax,
    layer_rows,
    posterior,
    root_mean_square,
    sampled_softmax,
)
from distil.functional.temperature import fitted_temperature
from distil.rng import Rng
from distil.signals import (
    AugmentedProbs,
    Embedding,
    Labels,
    Logits,
    MCMean,
    MCProbs,
    Probs,
    Signal,
    Signals,
    measured_by,
)
from distil.strategies.base import ROLES, Needs, Selection, Sets, Strategy
from distil.strategies.parameters import choice, count, function, positive, positive_or
from distil.strategies.registry import held, register
from distil.strategies.uncertainty import MarginSampling

_Predict = Callable[[Signals, Signal[Any]], Tensor]
"""A function from a table and a signal (probabilities, or samples of them) to its column."""

# Rows of a block of Laplace predictions.
_ROWS = 1024


@register("predictive")
@dataclass(frozen=True)
class Predictive(Strategy):
    """Query by any strategy that reads probabilities, with the probabilities of another predictive distribution.

    The strategy, and every signal that it derives from probabilities (gradients, say), then reads them. Their logarithms take the
    place of logits, for strategies such as ``CLUE``.

    - ``"mc_dropout"``: the mean over samples of the network, that is over dropout masks (Gal et al. 2017). Where single predictions
      are noisy. Without dropout it changes nothing. The samples of an ensemble are its members.
    - ``"laplace"``: the last layer's Laplace approximation (Kristiadi et al. 2020), whose probabilities are less certain far from
      the labeled set. Where a network is certain of examples unlike any that it was trained on. It reads embeddings of the pool,
      and probabilities and embeddings of the labeled set, on which the last layer must have been trained; no weights. Strategies
      that read samples of the network, such as ``BALD``, get samples of this posterior, the same for all examples.
    - ``"augmentation"``: the mean over random changes of the inputs by ``transform``, such as flips and crops (test-time
      augmentation). Where these should not change a prediction, and no dropout is at hand. It needs a model, and one that is called
      with one tensor.
    - ``"softmax"``: those of the network, for ``temperature``.

    Ensembles need none of this: the probabilities of a list of models are the mean of their members'.

    Laplace differs from the published code as follows. Its prior is relative to the embeddings, so their scale does not matter; the
    default is that of the linear head. Up to 1,024 weights the precision matrix is full, beyond it is a Kronecker product. The
    mean prediction is that of pairs of classes (see ``functional.laplace``), which no shift of the logits changes. Cost: in full
    O((M + N) (C D)^2), else O(M D^2 + D^3 + N (D^2 + C^3)), for M labeled examples; samples cost O(N K C D) more.

    Attributes:
        of: The strategy that chooses: an object, a name, or ``{"name": ..., "args": {...}}``.
        probs: ``"softmax"``, ``"mc_dropout"``, ``"laplace"`` or ``"augmentation"``.
        n_samples: Number K of samples for ``"mc_dropout"`` and ``"augmentation"``; the cost is K forward passes.
        prior_variance: For ``"laplace"``: variance of a logit of a typical example before any label.
        temperature: What the logits are divided by, before the averages of ``"laplace"`` and after the other averages; above 1
            makes all predictions less certain. ``"auto"``: the temperature from 1 to 20 under which the labels of the validation
            set, or without one of the labeled set, are most probable. A network is too certain of examples that it was trained on,
            so the temperature is often 1 without a validation set; a note says what was fitted.
        transform: For ``"augmentation"``: a function from the input of one example, a tensor, to a changed one of its shape. It may
            draw from the global generators of torch, NumPy and ``random``, which are seeded for each call.
    """

    paper: ClassVar[str] = (
        "Gal et al. 2017 (dropout); Kristiadi et al. 2020; Daxberger et al. 2021 (Laplace); Guo et al. 2017 (temperature)"
    )
    of: Strategy = held(MarginSampling())
    probs: str = choice("mc_dropout", ["softmax", "mc_dropout", "laplace", "augmentation"])
    n_samples: int = count(10)
    prior_variance: float = positive(10.0)
    temperature: float | str = positive_or("auto", 1.0)
    transform: Callable[[Tensor], Tensor] | None = function()

    def check(self) -> None:
        """The strategy must read probabilities, and a transform belongs to augmentation."""
        if (self.probs == "augmentation") != (self.transform is not None):
            raise InvalidInput(
                "Predictive: probs='augmentation' and transform, a function from an input to a changed one, belong together; pass "
                "both, or neither"
            )
        if not any(self._replaces(role) for role in ROLES):
            raise InvalidInput(
                f"Predictive: of must be one that reads probabilities, and {type(self.of).__name__} reads none; "
                "use it as it is"
            )

    @property
    def needs(self) -> Needs:
        """The signals that the strategy reads, with those of the predictive distribution in place of probabilities."""
        needs = replace(self.of.needs, **{role: self._needed(role) for role in ROLES}, shortlist=None)
        if self.probs == "laplace":
            needs = replace(needs, labeled=_joined(needs.labeled, (Probs(), Embedding())))
        if self.temperature == "auto":
            fit = (self._source, Labels())
            needs = replace(needs, labeled=_joined(needs.labeled, fit), validation=_joined(needs.validation, fit))
        return needs

    def select(self, sets: Sets, n: int, rng: Rng) -> Selection:
        """The choice of the strategy."""
        if isinstance(self.temperature, str):
            temperature, note = self._fitted(sets)
            return replace(self, temperature=temperature).select(sets, n, rng).with_notes((note,))
        predict = self._laplace(sets, rng.child("laplace")) if self.probs == "laplace" else self._predict
        tables: dict[str, Any] = {role: self._table(role, sets, predict) for role in ROLES}
        return self.of.select(replace(sets, **tables), n, rng)

    @property
    def _source(self) -> Signal[Tensor]:
        """The probabilities before any temperature, or those from which the Laplace approximation begins."""
        if self.probs == "mc_dropout":
            return MCMean(self.n_samples)
        return Probs() if self.transform is None else AugmentedProbs(self.transform, self.n_samples)

    def _stored(self, role: str) -> tuple[Signal[Any], ...]:
        """What the strategy reads of a set, probabilities and measured signals."""
        return measured_by(getattr(self.of.needs, role), (Probs(),))

    def _replaces(self, role: str) -> tuple[Signal[Any], ...]:
        """The signals of a set that are those of the predictive distribution."""
        replaced = (Probs, Logits, MCProbs) if self.probs == "laplace" else (Probs, Logits)
        return tuple(signal for signal in self._stored(role) if isinstance(signal, replaced))

    def _needed(self, role: str) -> tuple[Signal[Any], ...]:
        replaced = self._replaces(role)
        if not replaced:
            return getattr(self.of.needs, role)  # type: ignore[no-any-return]
        source = (Probs(), Embedding()) if self.probs == "laplace" else (self._source,)
        return _joined(source, tuple(signal for signal in self._stored(role) if signal not in replaced))

    def _table(self, role: str, sets: Sets, predict: _Predict) -> Signals:
        """The table of a set for the strategy, with predictions as its probabilities."""
        table: Signals = getattr(sets, role)
        replaced = self._replaces(role)
        if not replaced:
            return table
        kept = [signal for signal in self._stored(role) if signal not in replaced]
        if not len(table):  # an empty set has no labels
            kept = [signal for signal in kept if signal != Labels()]
        values: dict[Signal[Any], Tensor] = {signal: table[signal] for signal in kept}
        for signal in replaced:
            found = table.row_by_row(lambda part, signal=signal: predict(part, signal))  # type: ignore[misc]
            values[signal] = _logits(found) if signal == Logits() else found
        return Signals(table.ids, values, table.space)

    def _fitted(self, sets: Sets) -> tuple[float, str]:
        """The temperature that fits labels best, and a note."""
        name = "validation" if len(sets.validation) else "labeled"
        examples: Signals = getattr(sets, name)
        if not len(examples):
            return 1.0, "temperature 1, as there are no labels to fit it on"
        found = fitted_temperature(_logits(examples[self._source]), examples[Labels()])
        return found, f"temperature {found:.3g}, fitted on {counted(len(examples), f'{name} example')}"

    def _predict(self, table: Signals, _: Signal[Any]) -> Tensor:
        return self._tempered(table[self._source])

    def _tempered(self, probs: Tensor) -> Tensor:
        return probs if self.temperature == 1 else self._divided(probs).softmax(1)

    def _divided(self, probs: Tensor) -> Tensor:
        """Logits divided by the temperature, which is a number once it is fitted."""
        return _logits(probs) / float(self.temperature)

    def _laplace(self, sets: Sets, rng: Rng) -> _Predict:
        """The function from a table to the mean predictions under the posterior of the last layer, or to samples of them."""
        unit, labeled = root_mean_square(sets.pool[Embedding()]), sets.labeled
        found = posterior(
            self._tempered(labeled[Probs()]), layer_rows(labeled[Embedding()], unit), 1 / self.prior_variance
        )
        sampled = {signal for role in ROLES for signal in self._replaces(role) if isinstance(signal, MCProbs)}
        weights = {signal: found.draw(signal.n_samples, rng.torch()) for signal in sampled}

        def predict(table: Signals, signal: Signal[Any]) -> Tensor:
            logits, rows = self._divided(table[Probs()]), layer_rows(table[Embedding()], unit)
            blocks = [
                sampled_softmax(f, h, weights[signal])
                if isinstance(signal, MCProbs)
                else averaged_softmax(f, found.differences(h))
                for f, h in zip(logits.split(_ROWS), rows.split(_ROWS), strict=True)
            ]
            return torch.cat(blocks).to(table[Probs()].dtype)

        return predict


def _joined(first: tuple[Signal[Any], ...], second: tuple[Signal[Any], ...]) -> tuple[Signal[Any], ...]:
    return tuple(dict.fromkeys((*first, *second)))


def _logits(probs: Tensor) -> Tensor:
    """Logarithms of probabilities, finite where they are 0."""
    return probs.clamp_min(torch.finfo(probs.dtype).tiny).log()
