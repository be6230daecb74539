"""How the labeling goes: how fast people are, how often the model is right, and what its guesses do to people.

**How often the model is right** is measured on the items that were drawn at random: in the learning curve by the models of their
time, and for the whole pool now by the present one (:mod:`distil.labeling.accuracy`).

With every answer the record keeps the guess that the model made before it knew the answer, whether or not it was shown. A random
item is drawn from the items without an answer at that time, each as likely, so its guess is right with the probability that the
model of that time is right on those items, whatever was labeled before and for whatever reason. Hence the share of right guesses in
a window of consecutive random items estimates, without bias, the mean over the window of the model's accuracy on the items that
were open. Given the past, each guess is a trial of its own, so Wilson's interval holds.

An item counts by its first answer, because later guesses may come from a model that knew that answer; what is right is its label
now, after undos, further answers, decisions, renames and merges.

**What guesses do to people**: a guess is withheld from a random share of the items of each person, so what differs between these
and the others, beyond chance, is caused by showing it. Answers in a grid, on a map, in a sheet, in Label Studio, to items that a
person gets again, and of people who hide all guesses are left out: their guesses are always shown, or never.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from distil.errors import RunError
from distil.evaluation.shares import difference_of_shares
from distil.evaluation.statistics import wilson_interval
from distil.labeling.accuracy import Accuracy, Judged, estimated_accuracy
from distil.labeling.checks import DISAGREES, REPEAT
from distil.labeling.events import ANSWERS, GRID, LABEL_STUDIO, MAP, RANDOM, Event, labels_of
from distil.labeling.fold import Classes
from distil.labeling.model import CACHE, Snapshot
from distil.labeling.outlook import Outlook, Window, outlook
from distil.labeling.truth import Truth, agreement, krippendorff_alpha

if TYPE_CHECKING:
    from distil.labeling.project import Project

PAUSE: Final = 300.0
"""Seconds without an answer after which a person has paused; pauses do not count as work."""
TOO_FAST: Final = 300
"""Milliseconds: people who take less for half of the guesses that they accept do not look at the items."""

_WINDOW, _WINDOWS = 10, 20  # of the learning curve: fewest random items of a window, most windows
_FEWEST_ACCEPTS = 20  # for a median
_NOT_RANDOMIZED: Final = (GRID, MAP, REPEAT, DISAGREES)  # reasons of items whose guess is always or never shown
_OF_CLASSES: Final = ("class_add", "class_rename", "class_merge", "undo")  # of a merge


@dataclass(frozen=True)
class Pace:
    """How fast a person is.

    Attributes:
        who: The name of the person.
        answers: Number of answers that count now.
        per_hour: Answers an hour on the page, without pauses; None where there are no times.
        median_ms: The median time of an answer in milliseconds, without grids and pauses; None where there are no times.
    """

    who: str
    answers: int
    per_hour: float | None
    median_ms: float | None


@dataclass(frozen=True)
class Answers:
    """Answers to items for which the model had a guess.

    Attributes:
        n: Number of answers.
        accepted: Number of answers that are the guess.
        median_ms: The median time of an answer in milliseconds.
    """

    n: int
    accepted: int
    median_ms: float


@dataclass(frozen=True)
class Effect:
    """What the model's guesses do to people.

    Attributes:
        shown: Answers to items whose guess was shown.
        withheld: Answers to items whose guess was withheld.
        difference: The share of accepted guesses where they were shown, minus that where they were withheld.
        low: Lower end of its 95 % interval.
        high: Upper end.
        too_fast: Whether half of the guesses that were accepted were accepted within 300 ms.
    """

    shown: Answers
    withheld: Answers
    difference: float
    low: float
    high: float
    too_fast: bool


@dataclass(frozen=True)
class Progress:
    """How the labeling goes.

    Attributes:
        classes: Class -> number of items with this label.
        people: The pace of each person, most answers first.
        agreement: The share of pairs of labels of one item that are equal; None without an item that two people labeled.
        alpha: Krippendorff's alpha of these labels; None where it is not defined.
        curve: The learning curve, early windows first.
        accuracy: The accuracy over the whole pool now; None before there is a model and a random item has a label.
        outlook: What further labels will bring; None without a learning curve or an open item.
        guesses: The effect of guesses; None before there are answers of both kinds.
    """

    classes: Mapping[str, int]
    people: Sequence[Pace]
    agreement: float | None
    alpha: float | None
    curve: Sequence[Window]
    accuracy: Accuracy | None
    outlook: Outlook | None
    guesses: Effect | None


class _Draw(NamedTuple):
    """A random item before its first answer: how many labels the model was fitted to, and its guess."""

    labels: int
    guess: int


class _Sight(NamedTuple):
    """What a person saw with an item before the first answer, and how long that took."""

    guess: int
    withheld: bool
    ms: int


@dataclass
class _Times:
    """The times of a person's answers on the page."""

    last: float | None = None
    working: bool = False  # whether the time up to the last answer counts
    answers: int = 0
    seconds: float = 0.0
    ms: list[int] = field(default_factory=list)

    def add(self, at: float) -> None:
        """Count an answer and the time since the one before; several that came at once share their time."""
        if at != self.last:
            gap = -1.0 if self.last is None else at - self.last
            self.working = 0 <= gap <= PAUSE  # a clock that was set back is no time either
            self.seconds += gap if self.working else 0
            self.last = at
        self.answers += self.working

    @property
    def per_hour(self) -> float | None:
        """Answers an hour."""
        return 3600 * self.answers / self.seconds if self.seconds else None


class Tally:
    """What the record of a project says of its course. It reads each event once, so it is cheap to keep up to date.

    >>> import json
    >>> from distil.labeling.events import Shown
    >>> from distil.labeling.fold import fold
    >>> from distil.labeling.truth import truths
    >>> events = [Event(kind="class_add", who="owner", label=name) for name in ("cat", "dog")]
    >>> for n, label in enumerate(["cat", "cat", "dog", "cat"]):
    ...     shown = Shown(guess="cat", p=0.9, reason="random")
    ...     events.append(Event(kind="label", who="anna", item=str(n), label=label, shown=shown))
    >>> tally = Tally()
    >>> for event in events:
    ...     tally.add(0.0, json.loads(event.text()))
    >>> guesses = dict.fromkeys("0123", "cat")  # of models that do not know the label
    >>> progress = tally.progress(truths(fold(events).answers), untouched=4, guesses=guesses)
    >>> progress.curve[0].accuracy, round(progress.accuracy.accuracy, 2)
    (0.75, 0.89)
    """

    def __init__(self) -> None:
        self._last = 0
        self._classes = Classes()
        self._random: dict[str, bool] = {}  # every answered item: whether it was drawn at random
        self._draws: dict[str, _Draw] = {}  # random items with a guess
        self._labeled: set[str] = set()
        self._sights: dict[tuple[str, str], _Sight | None] = {}  # (item, person)
        self._times: dict[str, _Times] = {}

    def read(self, project: Project) -> None:
        """Read the events that were recorded since the last call."""
        for seq, at, sent in project.sent(after=self._last):
            self.add(at, sent)
            self._last = seq

    def add(self, at: float, sent: Mapping[str, Any]) -> None:
        """Take in the next event of the record.

        Args:
            at: Its time.
            sent: The document that was sent, as ``Event.text`` writes it.
        """
        if sent["kind"] in ANSWERS:
            self._answer(at, sent)
        elif sent["kind"] in _OF_CLASSES:
            self._classes.change(Event.read(sent))

    def progress(self, truths: Mapping[str, Truth], untouched: int, guesses: Mapping[str, str]) -> Progress:
        """The statistics.

        Args:
            truths: What the answers to each item say together now, as ``Project.truths`` gives it.
            untouched: Number of items without an answer.
            guesses: The classes that the present model guesses for items with an answer, without having seen it; see
                :func:`unseen_guesses`.
        """
        labeled = Counter(truth.label for truth in truths.values() if truth.label is not None)
        several = [[*truth.votes.values()] for truth in truths.values() if len(truth.votes) > 1]
        curve, accuracy = _curve(self._drawn(truths)), estimated_accuracy(self._judged(truths, guesses), untouched)
        return Progress(
            classes={name: labeled[name] for name in self._classes.live()},
            people=self._people(truths),
            agreement=agreement(several),
            alpha=krippendorff_alpha(several),
            curve=curve,
            accuracy=accuracy,
            outlook=outlook(curve, accuracy, untouched, untouched + len(truths)),
            guesses=self._effect(truths),
        )

    # ----------------------------------------------------------------------------------------------------------- reading

    def _answer(self, at: float, sent: Mapping[str, Any]) -> None:
        item, who, ms = sent["item"], sent["who"], sent.get("ms")
        on_page = sent.get("tab") != LABEL_STUDIO
        shown = sent.get("shown") or {}
        reason = shown.get("reason")
        guess = self._number(shown.get("guess"))
        if item not in self._random:
            self._random[item] = reason == RANDOM
            if reason == RANDOM and guess is not None:
                labels = labels_of(shown.get("model"))
                self._draws[item] = _Draw(len(self._labeled) if labels is None else labels, guess)
        if (item, who) not in self._sights:
            drawn = on_page and reason not in _NOT_RANDOMIZED and not shown.get("hidden")
            sight = None
            if drawn and guess is not None and ms is not None:
                sight = _Sight(guess, shown.get("withheld", False), ms)
            self._sights[item, who] = sight
        if sent["kind"] == "label":
            self._labeled.add(item)
        if ms is not None:
            times = self._times.setdefault(who, _Times())
            if on_page:  # the others have the time at which they were pulled
                times.add(at)
            if reason != GRID and ms <= 1000 * PAUSE:
                times.ms.append(ms)

    def _number(self, guess: str | None) -> int | None:
        """The class of a guess when it was made: its name may be another one now, or that of another class."""
        return self._classes.number(guess) if guess is not None and self._classes.has(guess) else None

    # -------------------------------------------------------------------------------------------------------- statistics

    def _drawn(self, truths: Mapping[str, Truth]) -> list[tuple[int, bool]]:
        """How many labels the model had at each random item that has a label now, and whether it was right."""
        said = ((draw, truths.get(item)) for item, draw in self._draws.items())
        return [
            (draw.labels, truth.label == self._classes.name(draw.guess))
            for draw, truth in said
            if truth and truth.label
        ]

    def _judged(self, truths: Mapping[str, Truth], guesses: Mapping[str, str]) -> list[Judged]:
        """The items with an answer, in the order of their first answers."""
        found = []
        for item, random in self._random.items():
            truth = truths.get(item)
            if truth is not None and (truth.answers or truth.decided):
                guess = self._number(guesses.get(item))
                known = None if guess is None or truth.label is None else self._classes.name(guess)
                found.append(Judged(random, truth.label is not None, None if known is None else truth.label != known))
        return found

    def _people(self, truths: Mapping[str, Truth]) -> list[Pace]:
        answers = Counter(who for truth in truths.values() for who in (*truth.votes, *truth.others))
        found = []
        for who, count in answers.most_common():
            times = self._times.get(who, _Times())
            found.append(Pace(who, count, times.per_hour, median(times.ms) if times.ms else None))
        return found

    def _effect(self, truths: Mapping[str, Truth]) -> Effect | None:
        groups: dict[bool, list[tuple[bool, int]]] = {False: [], True: []}
        for (item, who), sight in self._sights.items():
            truth = truths.get(item)
            if sight is not None and truth is not None and (who in truth.votes or who in truth.others):
                accepted = truth.votes.get(who) == self._classes.name(sight.guess)
                groups[sight.withheld].append((accepted, sight.ms))
        if not groups[False] or not groups[True]:
            return None
        shown, withheld = _answers(groups[False]), _answers(groups[True])
        effect = difference_of_shares((shown.accepted, shown.n), (withheld.accepted, withheld.n))
        accepts = [ms for accepted, ms in groups[False] if accepted]
        too_fast = len(accepts) >= _FEWEST_ACCEPTS and median(accepts) < TOO_FAST
        return Effect(shown, withheld, effect.share, effect.low, effect.high, too_fast)


def progress_of(project: Project) -> Progress:
    """The statistics of a project, read at once."""
    tally = Tally()
    tally.read(project)
    found = project.truths()
    return tally.progress(found, project.untouched, unseen_guesses(project, found))


def unseen_guesses(project: Project, items: Iterable[str]) -> dict[str, str]:
    """The class that the last model of a project guesses for each of some items, where it was not fitted to the label of the item.

    An item with a label when the model was fitted is guessed by a model of other labels; see :attr:`Snapshot.unseen`. Items without
    a guess are left out.
    """
    try:
        snapshot = Snapshot.load(project.path / CACHE)
    except RunError:  # the next fit writes it again
        return {}
    if snapshot is None:
        return {}
    places = {item: place for place, item in enumerate(project.ids())}
    known = ((item, snapshot.unseen[places[item]]) for item in items if places[item] < len(snapshot.unseen))
    return {item: snapshot.classes[guess] for item, guess in known if guess >= 0}


def _answers(group: Sequence[tuple[bool, int]]) -> Answers:
    return Answers(len(group), sum(accepted for accepted, _ in group), median(ms for _, ms in group))


def _curve(judged: Sequence[tuple[int, bool]]) -> list[Window]:
    """Windows of nearly equal numbers of random items."""
    count = max(1, min(_WINDOWS, len(judged) // _WINDOW))
    ends = [len(judged) * window // count for window in range(count + 1)]
    found = []
    for start, end in pairwise(ends):
        if part := judged[start:end]:
            share = wilson_interval(sum(right for _, right in part), len(part))
            labels = round(sum(labels for labels, _ in part) / len(part))
            found.append(Window(labels, len(part), share.share, share.low, share.high))
    return found
