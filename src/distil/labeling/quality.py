"""How good the answers in a project are: labels that are probably wrong, and how much people agree with others and themselves.

Reading these needs neither the model nor its libraries; :mod:`distil.labeling.judging` computes what does.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from distil.errors import RunError
from distil.evaluation.statistics import Share, wilson_interval
from distil.labeling.checks import REPEAT
from distil.labeling.events import ANSWERS
from distil.labeling.truth import Truth, majority
from distil.system.files import FAULTS_OF_FILES, replacing

if TYPE_CHECKING:
    from distil.labeling.project import Project

FILE: Final = "quality.json"


class Suspect(NamedTuple):
    """A label that is probably wrong.

    Attributes:
        item: The id of the item.
        label: Its label.
        guess: The class that the model guesses, without having seen this label.
        p: The probability of the guess.
    """

    item: str
    label: str
    guess: str
    p: float


@dataclass(frozen=True)
class Quality:
    """What cross-validation of the model says about the labels at one time.

    Attributes:
        labels: Number of labeled items that were judged.
        errors: Estimated number of wrong labels among them.
        agreement: The share of the labels that the model guesses without having seen them.
        suspects: Labels that are probably wrong, the most probable error first.
        annotators: Person -> quality by CROWDLAB, between 0 and 1; see :func:`distil.evaluation.annotators.crowdlab`.
        relabel: (id of an item, ActiveLab's score), lowest first: where one more label, the first or a further one, helps most.
    """

    labels: int
    errors: int
    agreement: float
    suspects: tuple[Suspect, ...]
    annotators: Mapping[str, float]
    relabel: tuple[tuple[str, float], ...]

    def save(self, folder: Path) -> None:
        """Write it to a folder, in place of an earlier one."""
        with replacing(folder / FILE) as temporary:
            temporary.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Quality | None:
        """What is in a folder; None if there is nothing yet.

        Raises:
            RunError: The file is damaged.
        """
        path = folder / FILE
        try:
            words = json.loads(path.read_text(encoding="utf-8"))
            suspects = tuple(Suspect(*each) for each in words.pop("suspects"))
            relabel = tuple((item, score) for item, score in words.pop("relabel"))
            return cls(suspects=suspects, relabel=relabel, **words)
        except FileNotFoundError:
            return None
        except FAULTS_OF_FILES as error:
            raise RunError(f"{path} is damaged; delete it, and `distil project suspects` writes it again") from error


def is_suspect(suspect: Suspect, truth: Truth | None, known: Mapping[str, str]) -> bool:
    """Whether an item still has the label that was judged, no decision was made since, and the guess is another class.

    Args:
        suspect: The item when it was judged.
        truth: What the answers to it say together now.
        known: Every name by which a label is understood -> the present name of its class; :attr:`Project.known_classes`.
    """
    if truth is None or truth.decided or truth.label is None:
        return False
    return known.get(suspect.label) == truth.label != known.get(suspect.guess)


class SelfAgreement:
    """Whether people gave an item the same label when it came again. It follows a record.

    Only items that came again for this purpose count, not those where the model disagreed: these were not drawn at random. An item
    counts if it had a label before it came again and got one then.
    """

    def __init__(self) -> None:
        self._said: dict[tuple[str, str], list[_Said]] = defaultdict(list)
        self._again: dict[tuple[str, str], None] = {}
        self._undone: set[str] = set()
        self._last = 0

    def read(self, project: Project) -> None:
        """Follow the events that a project recorded since the last time."""
        for seq, _, sent in project.sent(after=self._last):
            self._take(sent)
            self._last = seq

    def _take(self, sent: Mapping[str, Any]) -> None:
        if sent["kind"] == "undo":
            self._undone.add(sent["target"])
        elif sent["kind"] == "redo":
            self._undone.discard(sent["target"])
        elif sent["kind"] in (*ANSWERS, "withdraw"):
            place = sent.get("of", sent["who"]), sent["item"]
            again = sent.get("shown", {}).get("reason") == REPEAT
            self._said[place].append(_Said(sent["key"], sent.get("label"), again))
            if again:
                self._again[place] = None

    def counts(self, known: Mapping[str, str]) -> dict[str, tuple[int, int]]:
        """Person -> the number of items that came again, and on how many of them both labels are equal.

        Args:
            known: Every name by which a label is understood -> the present name of its class; :attr:`Project.known_classes`.
        """
        counts: dict[str, Counter[bool]] = defaultdict(Counter)
        for who, item in self._again:
            pair = _repeated([said for said in self._said[who, item] if said.key not in self._undone])
            if pair is not None:
                counts[who][known[pair[0]] == known[pair[1]]] += 1
        return {who: (found.total(), found[True]) for who, found in counts.items()}


class _Said(NamedTuple):
    """An answer to an item: its key, its label if it has one, and whether the item came again."""

    key: str
    label: str | None
    again: bool


def _repeated(answers: list[_Said]) -> tuple[str, str] | None:
    """The label of an item before it came again, and the one that it then got; None if it did not, or got no label."""
    before: str | None = None
    pair = None
    for said in answers:
        if said.again and before is not None and said.label is not None:
            pair = before, said.label
        before = said.label
    return pair


def confusions(found: Mapping[str, Truth]) -> dict[str, dict[str, dict[str, int]]]:
    """Person -> label that the person gave -> what the item is -> number of items.

    What an item is: the decision on it, or else the label that most of the others gave. Items without either are left out, and so
    are those that no other person labeled.
    """
    counts: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    for truth in found.values():
        for who, label in truth.votes.items():
            others = majority(vote for name, vote in truth.votes.items() if name != who)
            right = truth.label if truth.decided else others
            if right is not None:
                counts[who][label][right] += 1
    return {who: {label: dict(own) for label, own in given.items()} for who, given in counts.items()}


@dataclass(frozen=True)
class PersonQuality:
    """How good the answers of one person are. Shares have Wilson intervals of 95 %.

    Attributes:
        with_others: The share of the person's labels that equal the decision or the majority of the others; None without one.
        with_self: The share of repeated items that got the same label again; None without one.
        quality: The person's quality by CROWDLAB when the labels were last judged; None before.
        confusion: Label that the person gave -> what the item is -> number of items.
    """

    with_others: Share | None
    with_self: Share | None
    quality: float | None
    confusion: Mapping[str, Mapping[str, int]]


def people_quality(
    found: Mapping[str, Truth], repeats: Mapping[str, tuple[int, int]], quality: Quality | None
) -> dict[str, PersonQuality]:
    """Person -> how good the person's answers are, for all who labeled an item.

    Args:
        found: What the answers to each item say together.
        repeats: What :class:`SelfAgreement` counted.
        quality: What cross-validation said last.
    """
    confused = confusions(found)
    people = dict.fromkeys(who for truth in found.values() for who in truth.votes)
    return {
        who: PersonQuality(
            _share_right(confused.get(who, {})),
            _share(*repeats.get(who, (0, 0))),
            None if quality is None else quality.annotators.get(who),
            confused.get(who, {}),
        )
        for who in sorted(people)
    }


def _share_right(confusion: Mapping[str, Mapping[str, int]]) -> Share | None:
    total = sum(sum(row.values()) for row in confusion.values())
    return _share(total, sum(row.get(label, 0) for label, row in confusion.items()))


def _share(n: int, right: int) -> Share | None:
    return wilson_interval(right, n) if n else None
