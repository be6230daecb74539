"""Query examples like those in a query set, unlike those in a private set, or both: SIMILAR."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from torch import Tensor

from distil.errors import MissingSignal
from distil.functional.features import Dense, Features
from distil.functional.targeted import FUNCTIONS, check_weights, targeted
from distil.rng import Rng
from distil.signals import Embedding, Gradient, Signal, Signals
from distil.strategies.base import Needs, Selection, Sets, Strategy, picked
from distil.strategies.parameters import at_least, choice
from distil.strategies.reasons import sentences, two_rounds_notes
from distil.strategies.registry import register
from distil.strategies.submodular import METRICS

_SIMILAR = (
    "Kothawade, Beck, Killamsetty and Iyer 2021, SIMILAR: submodular information measures based active learning in "
    "realistic scenarios"
)
_REPRESENTATIONS: Final[Mapping[str, Signal[Any]]] = {"embedding": Embedding(), "gradient": Gradient(part="all")}
_GIVEN: Final[Mapping[str, Signal[Any]]] = {
    "embedding": Embedding(),
    "gradient": Gradient(part="all", labels="true"),
}
_EXAMPLES: Final = {"query": "examples like those to find", "private": "examples like those to avoid"}


def _named(*roles: str) -> list[str]:
    """The functions that read these sets."""
    return [name for name, sets in FUNCTIONS.items() if sets == roles]


@dataclass(frozen=True)
class _Targeted(Strategy):
    """Base of the strategies that maximize a targeted measure."""

    paper: ClassVar[str] = _SIMILAR
    roles: ClassVar[tuple[str, ...]]
    function: str
    representation: str = choice("embedding", _REPRESENTATIONS)
    metric: str = choice("cosine", METRICS)

    def check(self) -> None:
        """Refuse weights that the function cannot have."""
        check_weights(self.function, *self.likeness)

    @property
    def needs(self) -> Needs:
        """The representation of the pool and of the given sets; gradients of these are taken at their labels."""
        pool, given = _REPRESENTATIONS[self.representation], (_GIVEN[self.representation],)
        return Needs(
            pool=(pool,),
            query=given if "query" in self.roles else (),
            private=given if "private" in self.roles else (),
        )

    @property
    @abstractmethod
    def likeness(self) -> tuple[float, float]:
        """``eta`` and ``nu`` of ``targeted``; 1 where the measure has none."""

    def select(self, sets: Sets, n: int, rng: Rng) -> Selection:  # noqa: ARG002 - nothing random here
        """The greedy picks, in order."""
        query, private = self._given(sets.query, "query"), self._given(sets.private, "private")
        x = _features(sets.pool[_REPRESENTATIONS[self.representation]])
        eta, nu = self.likeness
        kernel = METRICS[self.metric](x, None)
        found = targeted(self.function, x, n, kernel, query=query, private=private, eta=eta, nu=nu)
        rounds = self.function in ("flvmi", "flcg", "flcmi")
        notes = two_rounds_notes(self.function, len(x)) if rounds else ()
        idle = int((found.gains == 0).sum()) if rounds else 0
        if idle:
            notes += (f"{n - idle:,} of {n:,} picks raise {self.function}; the others are {self._rest()}",)
        return picked(sets.pool, found.rows, sentences(f"gain {{:.3g}} in {self.function}", found.gains), notes=notes)

    def _rest(self) -> str:
        words = {"query": "most like the query set", "private": "least like the private set"}
        return " and ".join(words[role] for role in self.roles)

    def _given(self, table: Signals, role: str) -> Features | None:
        """The rows of a set that the measure reads."""
        if role not in self.roles:
            return None
        if not len(table):
            raise MissingSignal(
                f"{type(self).__name__} needs the {role} set, {_EXAMPLES[role]}; pass {role}=, or --{role} on the command line"
            )
        return _features(table[_GIVEN[self.representation]])


@register("smi")
@dataclass(frozen=True)
class SMI(_Targeted):
    """Query the examples that have most in common with the query set: rare classes, or data like these.

    Submodular mutual information of SIMILAR and PRISM; ``distil.functional.targeted.targeted`` has the formulas. Pass some examples
    of what you look for as ``query``, such as the labeled examples of a rare class, or those on which a model fails.

    Cost: O(N M D) for M query examples with the default; see ``targeted`` for the others.

    Attributes:
        function: ``"flqmi"``: near the query, each of its examples represented; ``"flvmi"``: represents the part of the pool that
            is like the query, O(N^2 D); ``"gcmi"``: the most similar ones, copies too; ``"logdetmi"``: like the query and diverse;
            ``"com"``: between flqmi and gcmi; ``"round_robin"``: the query examples take turns.
        representation: The vectors that are compared: ``"embedding"``; or ``"gradient"`` of the last layer, as in the paper, at the
            predicted labels of the pool and the labels of the query, which must then have labels.
        metric: ``"cosine"`` or ``"rbf"``.
        eta: How much being close to the query counts, against representing all of it; from 0, and at most 1 for
            ``"logdetmi"``.
    """

    roles: ClassVar[tuple[str, ...]] = ("query",)
    function: str = choice("flqmi", _named("query"))
    eta: float = at_least(1.0, 0)

    @property
    def likeness(self) -> tuple[float, float]:
        """``eta``, and 1."""
        return self.eta, 1.0


@register("scg")
@dataclass(frozen=True)
class SCG(_Targeted):
    """Query examples that represent the pool and differ from the private set: without redundancy, or without what to avoid.

    Submodular conditional gain of SIMILAR; ``distil.functional.targeted.targeted`` has the formulas. Pass as ``private`` what to
    stay away from, such as the labeled set of a redundant pool, or examples out of the distribution.

    Cost: O(N^2 D) at most; larger pools are maximized in two rounds. ``"logdetcg"`` costs O(N (D + M + n)) a pick.

    Attributes:
        function: ``"flcg"``: represents what the private set does not; ``"gccg"``: graph cut less the likeness to the private set;
            ``"logdetcg"``: diverse, and different from the private set.
        representation: The vectors that are compared: ``"embedding"``; or ``"gradient"`` of the last layer, as in the paper, at the
            predicted labels of the pool and the labels of the private set, which must then have labels.
        metric: ``"cosine"`` or ``"rbf"``.
        nu: How much likeness to the private set counts; from 0, and at most 1 for log determinants.
    """

    roles: ClassVar[tuple[str, ...]] = ("private",)
    function: str = choice("flcg", _named("private"))
    nu: float = at_least(1.0, 0)

    @property
    def likeness(self) -> tuple[float, float]:
        """1, and ``nu``."""
        return 1.0, self.nu


@register("scmi")
@dataclass(frozen=True)
class SCMI(_Targeted):
    """Query examples like the query set and unlike the private set: in-distribution examples of an open pool.

    Submodular conditional mutual information of SIMILAR; ``distil.functional.targeted.targeted`` has the formulas. Pass the labeled
    examples in distribution as ``query`` and known outliers as ``private``.

    Cost: O(N^2 D) at most; larger pools are maximized in two rounds. ``"logdetcmi"`` costs O(N (D + M + n)) a pick.

    Attributes:
        function: ``"flcmi"`` or ``"logdetcmi"``.
        representation: The vectors that are compared: ``"embedding"``; or ``"gradient"`` of the last layer, as in the paper, at the
            predicted labels of the pool and the labels of the given sets, which must then have labels.
        metric: ``"cosine"`` or ``"rbf"``.
        eta: How much likeness to the query counts; from 0, and at most 1 for ``"logdetcmi"``.
        nu: How much likeness to the private set counts; from 0, and at most 1 for log determinants.
    """

    roles: ClassVar[tuple[str, ...]] = ("query", "private")
    function: str = choice("flcmi", _named("query", "private"))
    eta: float = at_least(1.0, 0)
    nu: float = at_least(1.0, 0)

    @property
    def likeness(self) -> tuple[float, float]:
        """``eta`` and ``nu``."""
        return self.eta, self.nu


def _features(value: Tensor | Features) -> Features:
    return Dense(value) if isinstance(value, Tensor) else value
