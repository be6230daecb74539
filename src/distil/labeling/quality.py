"""How good the answers in a project are: labels that are probably wrong, and how much people agree with others and themselves.

Reading these needs neither the model nor its libraries; :mod:`distil.labeling.judging` computes what does.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, NamedTuple

from distil.errors import RunError
from distil.evaluation.statistics import Share, wilson_interval
from distil.labeling.checks import REPEAT
from distil.labeling.events import ANSWERS, Event
from distil.labeling.fold import subject_of
from distil.labeling.truth import Truth, majority
from distil.system.files import replacing

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
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise RunError(f"{path} is damaged; delete it, and `distil project suspects` writes it again") from error


def suspects_now(quality: Quality | None, found: Mapping[str, Truth]) -> list[Suspect]:
    """The suspects that still have the label that was judged, and on which no decision was made since."""
    if quality is None:
        return []
    present = ((each, found.get(each.item)) for each in quality.suspects)
    return [each for each, truth in present if truth is not None and not truth.decided and truth.label == each.label]


def self_agreement(events: Iterable[Event], known: Mapping[str, str]) -> dict[str, tuple[int, int]]:
    """Person -> the number of items that the person labeled twice without knowing, and on how many of them both labels are equal.

    Only items that came again for this purpose count, not those where the model disagreed: these were not drawn at random.

    Args:
        events: The record of a project, in its order.
        known: Every name by which a label is understood -> the present name of its class; :attr:`Project.known_classes`.
    """
    said: dict[tuple[str, str], list[Event]] = defaultdict(list)
    undone: set[str] = set()
    for event in events:
        if event.kind == "undo":
            undone.add(str(event.target))
        elif event.kind == "redo":
            undone.discard(str(event.target))
        elif event.kind in (*ANSWERS, "withdraw"):
            said[subject_of(event), str(event.item)].append(event)
    counts: dict[str, Counter[bool]] = defaultdict(Counter)
    for (who, _), own in said.items():
        pair = _repeated([event for event in own if event.key not in undone])
        if pair is not None:
            counts[who][known[pair[0]] == known[pair[1]]] += 1
    return {who: (found.total(), found[True]) for who, found in counts.items()}


def _repeated(answers: list[Event]) -> tuple[str, str] | None:
    """The label of an item before it came again, and the one that it then got; None if it did not, or got no label."""
    before: str | None = None
    pair = None
    for event in answers:
        again = event.shown is not None and event.shown.reason == REPEAT
        if again and before is not None and event.label is not None:
            pair = before, event.label
        before = event.label
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
    found: Mapping[str, Truth], events: Iterable[Event], known: Mapping[str, str], quality: Quality | None
) -> dict[str, PersonQuality]:
    """Person -> how good the person's answers are, for all who labeled an item.

    Args:
        found: What the answers to each item say together.
        events: The record, in its order.
        known: Every name by which a label is understood -> the present name of its class.
        quality: What cross-validation said last.
    """
    confused, repeats = confusions(found), self_agreement(events, known)
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
