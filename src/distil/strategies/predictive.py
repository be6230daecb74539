"""Query by any strategy, with other probabilities than the softmax of the network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from distil.errors import InvalidInput
from distil.functional.laplace import averaged_softmax, layer_rows, posterior, root_mean_square
from distil.rng import Rng
from distil.signals import Embedding, MCMean, Probs, Signal, Signals, measured_by
from distil.strategies.base import ROLES, Needs, Selection, Sets, Strategy
from distil.strategies.parameters import choice, count, positive
from distil.strategies.registry import held, register
from distil.strategies.uncertainty import MarginSampling

_Predict = Callable[[Signals], Tensor]


@register("predictive")
@dataclass(frozen=True)
class Predictive(Strategy):
    """Query by any strategy that reads probabilities, with the probabilities of another predictive distribution.

    The strategy, and every signal that it derives from probabilities (gradients, say), then reads them.

    - ``"mc_dropout"``: the mean over samples of the network, that is over dropout masks (Gal et al. 2017). Where single predictions
      are noisy. Without dropout it changes nothing. The samples of an ensemble are its members.
    - ``"laplace"``: the last layer's Laplace approximation (Kristiadi et al. 2020), whose probabilities are less certain far from
      the labeled set. Where a network is certain of examples unlike any that it was trained on. It reads embeddings of the pool,
      and probabilities and embeddings of the labeled set, on which the last layer must have been trained; no weights.
    - ``"softmax"``: those of the network, for ``temperature``.

    Ensembles need none of this: the probabilities of a list of models are the mean of their members'.

    Laplace differs from the published code as follows. Its prior is relative to the embeddings, so their scale does not matter; the
    default is that of the linear head. Up to 512 weights the precision matrix is full, beyond it is a Kronecker product. The
    mean prediction is that of pairs of classes (see ``functional.laplace``), which no shift of the logits changes. Cost: in full
    O((M + N) (C D)^2), else O(M D^2 + D^3 + N (D^2 + C^3)), for M labeled examples.

    Attributes:
        of: The strategy that chooses: an object, a name, or ``{"name": ..., "args": {...}}``.
        probs: ``"softmax"``, ``"mc_dropout"`` or ``"laplace"``.
        n_samples: Number K of samples for ``"mc_dropout"``; the cost is K forward passes.
        prior_variance: For ``"laplace"``: variance of a logit of a typical example before any label.
        temperature: What the logits are divided by, before the averages of ``"laplace"`` and after those of ``"mc_dropout"``;
            above 1 makes all predictions less certain.
    """

    paper: ClassVar[str] = "Gal et al. 2017 (dropout); Kristiadi et al. 2020; Daxberger et al. 2021 (Laplace)"
    of: Strategy = held(MarginSampling())
    probs: str = choice("mc_dropout", ["softmax", "mc_dropout", "laplace"])
    n_samples: int = count(10)
    prior_variance: float = positive(10.0)
    temperature: float = positive(1.0)

    def check(self) -> None:
        """The strategy must read probabilities."""
        if not any(self._reads_probs(role) for role in ROLES):
            raise InvalidInput(
                f"Predictive: of must be one that reads probabilities, and {type(self.of).__name__} reads none; "
                "use it as it is"
            )

    @property
    def needs(self) -> Needs:
        """The signals that the strategy reads, with those of the predictive distribution in place of probabilities."""
        needs = replace(self.of.needs, **{role: self._needed(role) for role in ROLES}, shortlist=None)
        if self.probs != "laplace":
            return needs
        return replace(needs, labeled=tuple(dict.fromkeys((*needs.labeled, Probs(), Embedding()))))

    def select(self, sets: Sets, n: int, rng: Rng) -> Selection:
        """The choice of the strategy."""
        predict = self._laplace(sets) if self.probs == "laplace" else self._predict
        return self.of.select(replace(sets, **{role: self._table(role, sets, predict) for role in ROLES}), n, rng)

    def _stored(self, role: str) -> tuple[Signal[Any], ...]:
        """What the strategy reads of a set, probabilities and measured signals."""
        return measured_by(getattr(self.of.needs, role), (Probs(),))

    def _reads_probs(self, role: str) -> bool:
        return Probs() in self._stored(role)

    def _needed(self, role: str) -> tuple[Signal[Any], ...]:
        if not self._reads_probs(role):
            return getattr(self.of.needs, role)  # type: ignore[no-any-return]
        source: dict[str, tuple[Signal[Any], ...]] = {
            "softmax": (Probs(),),
            "mc_dropout": (MCMean(self.n_samples),),
            "laplace": (Probs(), Embedding()),
        }
        others = [signal for signal in self._stored(role) if signal != Probs()]
        return tuple(dict.fromkeys((*source[self.probs], *others)))

    def _table(self, role: str, sets: Sets, predict: _Predict) -> Signals:
        """The table of a set for the strategy, with predictions as its probabilities."""
        table: Signals = getattr(sets, role)
        if not self._reads_probs(role):
            return table
        values = {signal: table[signal] for signal in self._stored(role) if signal != Probs()}
        return Signals(table.ids, {**values, Probs(): table.row_by_row(predict)}, table.space)

    def _predict(self, table: Signals) -> Tensor:
        return self._tempered(table[MCMean(self.n_samples) if self.probs == "mc_dropout" else Probs()])

    def _tempered(self, probs: Tensor) -> Tensor:
        return probs if self.temperature == 1 else (_logits(probs) / self.temperature).softmax(1)

    def _laplace(self, sets: Sets) -> _Predict:
        """The function from a table to the mean predictions under the posterior of the last layer."""
        unit, labeled = root_mean_square(sets.pool[Embedding()]), sets.labeled
        found = posterior(
            self._tempered(labeled[Probs()]), layer_rows(labeled[Embedding()], unit), 1 / self.prior_variance
        )

        def predict(table: Signals) -> Tensor:
            logits, rows = _logits(table[Probs()]) / self.temperature, layer_rows(table[Embedding()], unit)
            means = [
                averaged_softmax(f, found.differences(h))
                for f, h in zip(logits.split(1024), rows.split(1024), strict=True)
            ]
            return torch.cat(means).to(table[Probs()].dtype)

        return predict


def _logits(probs: Tensor) -> Tensor:
    """Logarithms of probabilities, finite where they are 0."""
    return probs.clamp_min(torch.finfo(probs.dtype).tiny).log()
