"""Query by differences between predictions: to those of labeled neighbors, or to those of the other picks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from distil.functional.contrastive import contrast
from distil.functional.falcun import falcun
from distil.rng import Rng
from distil.signals import Embedding, Probs
from distil.strategies.base import Needs, ScoreStrategy, Selection, Sets, Strategy, picked
from distil.strategies.parameters import at_least, count
from distil.strategies.reasons import sentences
from distil.strategies.registry import register


@register("cal")
@dataclass(frozen=True)
class CAL(ScoreStrategy):
    """Query the examples whose prediction differs most from those of their nearest labeled examples, in nats.

    Contrastive active learning (Margatina et al. 2021): the mean divergence of the predictions of the nearest labeled examples
    from that of the example. Such examples are near a decision boundary, even where the model is certain on both sides. Made for
    fine-tuned language models. Each example is scored by itself, so a big selection may hold near duplicates. Without labels the
    selection is random.

    Cost: O(N M D) for M labels.

    Attributes:
        n_neighbors: Number of nearest labeled examples that are compared; all of them where there are fewer.
    """

    paper: ClassVar[str] = "Margatina et al. 2021, Active learning by acquiring contrastive examples"
    quantity: ClassVar[str] = "divergence from labeled neighbors"
    unit: ClassVar[str] = "nats"
    when_tied: ClassVar[str] = "as when nothing is labeled"
    n_neighbors: int = count(10)

    @property
    def needs(self) -> Needs:
        """Class probabilities and embeddings of the pool and of the labeled set."""
        return Needs(pool=(Probs(), Embedding()), labeled=(Probs(), Embedding()))

    def score(self, sets: Sets) -> Tensor:
        """The mean divergence, (N,), at least 0."""
        x, probs = sets.pool[Embedding()], sets.pool[Probs()]
        labeled, labeled_probs = sets.labeled[Embedding()], sets.labeled[Probs()]
        return contrast(x, probs, labeled, labeled_probs, self.n_neighbors) if len(labeled) else probs.new_zeros(len(x))


@register("falcun")
@dataclass(frozen=True)
class FALCUN(Strategy):
    """Draw uncertain examples whose predictions differ from those of the examples drawn before.

    Fast active learning by contrastive uncertainty (Gilhuber et al. 2024): like ``BADGE``, but in the space of probabilities, so
    neither embeddings nor gradients are needed and a pick costs O(N C). Use it where ``BADGE`` takes too long. With two classes
    all distances are along one line, so it spreads little.

    Cost: O(N C) a pick.

    Attributes:
        gamma: How strongly relevance drives the draw, at least 0; 0 draws at random.
    """

    paper: ClassVar[str] = "Gilhuber et al. 2024, FALCUN: a simple and efficient deep active learning strategy"
    gamma: float = at_least(10, 0)

    @property
    def needs(self) -> Needs:
        """Class probabilities of the pool."""
        return Needs(pool=(Probs(),))

    def select(self, sets: Sets, n: int, rng: Rng) -> Selection:
        """The examples in the order of the draw."""
        found = falcun(sets.pool[Probs()], n, rng.child("falcun").torch(), gamma=self.gamma)
        return picked(sets.pool, found.rows, sentences("uncertainty + distance {:.3g}", found.gains))
