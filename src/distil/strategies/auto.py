"""The strategy that is chosen by what is known: which arrays there are, whether classes are known, and how many are selected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from distil.rng import Rng
from distil.signals import Embedding, Probs
from distil.strategies.base import Needs, Selection, Sets, Strategy
from distil.strategies.gradient import BADGE
from distil.strategies.herding import MaxHerding, UHerding
from distil.strategies.registry import register
from distil.strategies.uncertainty import MarginSampling

_MOST_PAIRS = 10**10  # of an example and a candidate: some minutes of herding on one core


@dataclass(frozen=True)
class Facts:
    """What ``rule`` decides by.

    Attributes:
        embeddings: Whether there are embeddings.
        probs: Whether there are probabilities of a model that knows two classes or more.
        n_pool: Number of examples to choose from.
        n: Number of examples to choose.
    """

    embeddings: bool
    probs: bool
    n_pool: int = 1
    n: int = 1


@dataclass(frozen=True)
class Choice:
    """The strategy that fits some facts.

    Attributes:
        strategy: The strategy.
        note: Its name and why it fits, a sentence.
    """

    strategy: Strategy
    note: str


def rule(facts: Facts) -> Choice:
    """The strategy for these facts: the table of ``auto`` in docs/strategies.md, row by row.

    >>> rule(Facts(embeddings=True, probs=False)).strategy
    MaxHerding(width=None, candidates=None)
    """
    if not facts.embeddings:
        return Choice(MarginSampling(), "auto chose margin_sampling: there are probabilities and no embeddings")
    if not facts.probs:
        return Choice(MaxHerding(), "auto chose maxherding: there are embeddings, and no model knows two classes yet")
    if 10 * facts.n * facts.n_pool > _MOST_PAIRS:  # herding compares 10 n candidates with every example
        return Choice(BADGE(), "auto chose badge: the selection is too large for uherding, which would take too long")
    return Choice(UHerding(), "auto chose uherding: there are embeddings and probabilities")


@register("auto")
@dataclass(frozen=True)
class Auto(Strategy):
    """Query with the strategy that fits what is known: ``MaxHerding`` before there is a model, ``UHerding`` after.

    The function ``rule`` decides; docs/strategies.md has it as a table. Use it where you have no reason to name a strategy: it is
    the default of ``distil select``. In the runs from which the rule was made, with an earlier linear head, it was significantly
    above random sampling in 15 of 15 settings, from the first label to hundreds. In 22 others it was significantly above in 11 and
    below in 5, where neighbors have different classes (benchmarks/results/auto.md): name ``badge`` there. Name any strategy to
    overrule it. A note on the selection says what was chosen, and why.

    ``select_from`` and ``distil select`` need only one of embeddings and probabilities, and a ``Learner`` needs no trained model
    for its first query. With a model that has no embedding, name another strategy.

    Cost: that of the strategy that it chooses.
    """

    paper: ClassVar[str] = (
        "the rule of this library; Bae, Oliveira and Sutherland 2025, Uncertainty herding, for its last row"
    )

    @property
    def needs(self) -> Needs:
        """Class probabilities and embeddings of the pool, embeddings of the labeled set."""
        return Needs(pool=(Probs(), Embedding()), labeled=(Embedding(),))

    def select(self, sets: Sets, n: int, rng: Rng) -> Selection:
        """The picks of the strategy that fits a pool with both signals."""
        chosen = rule(Facts(embeddings=True, probs=True, n_pool=len(sets.pool), n=n))
        return chosen.strategy.select(sets, n, rng).with_notes((chosen.note,))


def settled(strategy: Strategy, *, embeddings: bool, probs: bool) -> tuple[Strategy, tuple[str, ...]]:
    """The strategy to run, and notes: where ``Auto`` has only one of its signals, that of ``rule``, else ``strategy`` itself."""
    if not isinstance(strategy, Auto) or embeddings == probs:
        return strategy, ()
    chosen = rule(Facts(embeddings=embeddings, probs=probs))
    return chosen.strategy, (chosen.note,)
