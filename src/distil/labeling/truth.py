"""One label for each item out of what several people say about it, and how much they agree."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations

from distil.labeling.events import DECISION
from distil.labeling.fold import Answer


@dataclass(frozen=True)
class Truth:
    """What the answers to one item say together.

    Attributes:
        label: The label: the decision, or else the one that more people gave than any other; None where there is none.
        decided: Whether the label is a decision.
        votes: Person -> label, of the people who gave one.
        others: Person -> ``skip`` or ``unsure``.
        flagged: Whether a person flagged the item.
    """

    label: str | None
    decided: bool
    votes: Mapping[str, str]
    others: Mapping[str, str]
    flagged: bool

    @property
    def answers(self) -> int:
        """The number of people who answered."""
        return len(self.votes) + len(self.others)

    @property
    def tied(self) -> bool:
        """Whether people gave labels of which none has the most votes, so that the item needs a decision."""
        return self.label is None and bool(self.votes)


def truths(answers: Mapping[tuple[str, str], Answer]) -> dict[str, Truth]:
    """What the answers to each item say together.

    Args:
        answers: (item, person) -> answer, as in :class:`distil.labeling.fold.State`.
    """
    people: dict[str, dict[str, Answer]] = defaultdict(dict)
    for (item, who), answer in answers.items():
        people[item][who] = answer
    return {item: _truth(said) for item, said in people.items()}


def _truth(said: dict[str, Answer]) -> Truth:
    decision = said.pop(DECISION, None)
    votes = {who: answer.label for who, answer in said.items() if answer.label is not None}
    others = {who: answer.kind for who, answer in said.items() if answer.kind in ("skip", "unsure")}
    label = majority(votes.values()) if decision is None else decision.label
    return Truth(label, decision is not None, votes, others, any(answer.flagged for answer in said.values()))


def majority(labels: Iterable[str]) -> str | None:
    """The label that occurs more often than any other; None for a tie and for no labels.

    >>> majority(["cat", "dog", "cat"]), majority(["cat", "dog"])
    ('cat', None)
    """
    most = Counter(labels).most_common(2)
    tied = len(most) == 2 and most[0][1] == most[1][1]
    return most[0][0] if most and not tied else None


def agreement(votes: Iterable[Iterable[str]]) -> float | None:
    """The share of pairs of labels of one item that are equal; None without an item that two people labeled.

    Args:
        votes: The labels of each item.

    >>> agreement([["a", "a"], ["a", "b", "b"]])
    0.5
    """
    pairs = [a == b for labels in votes for a, b in combinations(labels, 2)]
    return sum(pairs) / len(pairs) if pairs else None


def krippendorff_alpha(votes: Iterable[Iterable[str]]) -> float | None:
    """Krippendorff's alpha for nominal data: 1 for full agreement, 0 for the agreement of labels given at random.

    It is 1 - observed / expected disagreement, from the matrix of coincidences: each item with m >= 2 labels adds 1 / (m - 1) for
    each ordered pair of its labels (K. Krippendorff, Content Analysis, 2004, section 11.3). None where no item has two labels, or
    only one label occurs, so that no disagreement is expected.

    Args:
        votes: The labels of each item.

    >>> krippendorff_alpha([["a", "a"], ["b", "b"]])
    1.0
    """
    totals: Counter[str] = Counter()
    differing = 0.0
    for labels in map(list, votes):
        if len(labels) > 1:
            counts = Counter(labels)
            totals.update(counts)
            differing += (len(labels) ** 2 - sum(n * n for n in counts.values())) / (len(labels) - 1)
    size = totals.total()
    by_chance = size**2 - sum(n * n for n in totals.values())
    return 1 - (size - 1) * differing / by_chance if by_chance else None
