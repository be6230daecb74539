"""Statistics of a project: by hand on small records, and by simulation where they claim to be unbiased."""

import json
import subprocess
import sys

import numpy as np
import pytest
from scipy.stats import binomtest

from distil.evaluation.statistics import wilson_interval
from distil.labeling.events import Event, Shown
from distil.labeling.fold import fold
from distil.labeling.progress import PAUSE, Tally, progress_of
from distil.labeling.truth import Truth, truths


class Record:
    """A record in memory, with a clock."""

    def __init__(self, classes=("cat", "dog")):
        self.events, self.times, self.now = [], [], 1000.0
        for name in classes:
            self.say("class_add", label=name)

    def say(self, kind, item=None, label=None, *, who="anna", after=1.0, **more):
        self.now += after
        seen = {name: more.pop(name) for name in ("guess", "withheld", "hidden", "reason", "model") if name in more}
        shown = Shown(**seen, p=0.9 if "guess" in seen else None) if seen else None
        event = Event(kind=kind, who=who, item=item, label=label, shown=shown, **more)
        event.check()
        self.events.append(event)
        self.times.append(self.now)
        return event.key

    def draw(self, item, guess, label, **more):
        """An answer to a random item: a label, or ``skip``."""
        kind = "skip" if label == "skip" else "label"
        return self.say(kind, item, None if kind == "skip" else label, guess=guess, reason="random", **more)

    def progress(self, untouched=0, guesses=None):
        tally = Tally()
        for at, event in zip(self.times, self.events, strict=True):
            tally.add(at, json.loads(event.text()))
        return tally.progress(truths(fold(self.events).answers), untouched, guesses or {})


@pytest.fixture
def record():
    return Record()


# -------------------------------------------------------------------------------------------------------------- accuracy


def test_a_point_of_the_curve_is_a_stretch_of_random_items(record):
    for n in range(30):
        record.say("label", f"chosen {n}", "cat", guess="dog", reason="uncertain")
    for n in range(10):
        record.draw(f"random {n}", "cat", "cat" if n < 8 else "dog")
    found = record.progress(untouched=10)
    (window,) = found.curve
    assert (window.labels, window.n, window.accuracy) == (34, 10, 0.8)  # 30 to 39 labels
    published = binomtest(8, 10).proportion_ci(method="wilson")
    assert (window.low, window.high) == pytest.approx((published.low, published.high))
    assert found.classes == {"cat": 38, "dog": 2}


def test_a_guess_is_that_of_a_model_with_as_many_labels_as_the_record_says(record):
    """A page hands out items with the guess of a model that does not know the latest labels."""
    for n in range(40):
        record.draw(str(n), "cat", "cat", model=f"{n // 2} labels")
    assert [window.labels for window in record.progress().curve] == [2, 7, 12, 17]


def test_all_random_items_are_on_the_curve(record):
    for n, count in enumerate([9, 21, 150, 320]):
        for k in range(count):
            record.draw(f"{n} {k}", "cat", "cat")
        curve, size = record.progress().curve, len(record.events) - 2
        assert sum(window.n for window in curve) == size
        assert max(window.n for window in curve) - min(window.n for window in curve) <= 1
        assert len(curve) == max(1, min(20, size // 10))


def test_the_accuracy_now_is_that_of_the_guesses_of_the_present_model(record):
    """Those of the record are of earlier models, or there were none."""
    for n in range(10):
        record.draw(str(n), "dog", "cat")
    record.say("label", "10", "cat", reason="random")
    record.say("label", "11", "cat", reason="uncertain")
    right = record.progress(10, dict.fromkeys(map(str, range(12)), "cat")).accuracy
    assert (right.n, right.accuracy) == (11, 1)
    wrong = record.progress(10, dict.fromkeys(map(str, range(12)), "dog")).accuracy
    assert (wrong.n, wrong.low, wrong.accuracy) == (11, pytest.approx(12 / 22), pytest.approx(12 / 22))
    assert record.progress(10, {"11": "cat"}).accuracy is None  # random items without a guess
    record.say("class_rename", label="cat", name="kitty")
    assert record.progress(10, dict.fromkeys(map(str, range(12)), "cat")).accuracy == right


def test_no_accuracy_without_random_items_that_have_a_guess_and_a_label(record):
    record.say("label", "0", "cat", guess="cat", reason="uncertain")
    record.say("label", "2", "cat", guess="lion", reason="uncertain")  # no class
    record.draw("3", "cat", "skip")
    record.say("flag", "4", guess="cat", reason="random")
    found = record.progress(5, dict.fromkeys("01234", "cat"))
    assert (found.curve, found.accuracy) == ([], None)
    assert Record().progress().people == []


def test_the_first_guess_counts_against_the_label_now(record, case):
    def right():
        return [window.accuracy * window.n for window in record.progress().curve]

    with case("undone and answered again, with the guess of a model that knew the answer"):
        key = record.draw("0", "cat", "dog")
        record.say("undo", target=key)
        assert right() == []  # open again
        record.draw("0", "dog", "dog")
        assert right() == [0]
    with case("a second person agrees, a third decides otherwise"):
        record.draw("1", "cat", "cat")
        record.say("label", "1", "dog", who="ben", guess="dog", reason="needs one more answer")
        assert right() == [0]  # tied: no label
        record.say("label", "1", "cat", who="carl", guess="dog", reason="needs one more answer")
        assert right() == [1]
        record.say("decide", "1", "dog", who="owner")
        assert right() == [0]
    with case("an item that another person had answered is not drawn"):
        record.say("label", "2", "cat", who="ben", guess="cat", reason="uncertain")
        record.draw("2", "cat", "cat")
        assert sum(window.n for window in record.progress().curve) == 2
    with case("withdrawn"):
        record.draw("3", "dog", "dog")
        assert right() == [1]
        record.say("withdraw", "3", who="owner", of="anna")
        assert right() == [0]
    with case("skipped first, labeled later"):
        record.draw("4", "dog", "skip")
        record.say("label", "4", "dog", guess="cat", reason="search")
        assert right() == [1]


def test_guesses_are_classes_and_not_names(record):
    record.draw("0", "cat", "cat")
    record.draw("1", "cat", "dog")
    record.say("class_rename", label="cat", name="kitty")
    record.draw("2", "cat", "kitty")  # a page that has not heard of it
    record.say("class_add", label="cat")
    record.draw("3", "cat", "cat")
    record.draw("4", "cat", "kitty")
    found = record.progress()
    assert [found.curve[0].n, found.curve[0].accuracy * 5] == [5, pytest.approx(3)]
    merge = record.say("class_merge", label="kitty", name="dog")
    found = record.progress()
    assert found.curve[0].accuracy * 5 == pytest.approx(4)  # now "1" too
    assert found.classes == {"dog": 4, "cat": 1}
    assert merge


# ---------------------------------------------------------------------------------------------------------------- people


def test_the_pace_of_people_without_pauses(record, case):
    def pace(who="anna"):
        return next(pace for pace in record.progress().people if pace.who == who)

    with case("no times: a sheet or an import"):
        for n in range(3):
            record.say("label", f"sheet {n}", "cat")
        assert (pace().answers, pace().per_hour, pace().median_ms) == (3, None, None)
    with case("four answers, 2 seconds each; the time before the first is not known"):
        for n, ms in enumerate([1500, 1700, 1600, 1800, 10**9]):
            record.say("label", f"{n}", "cat", after=2, ms=ms)
        assert (pace().answers, pace().per_hour, pace().median_ms) == (8, 1800, 1650)
    with case("a pause does not count, nor does the answer after it"):
        record.say("skip", "8", after=PAUSE + 1, ms=1650)
        assert (pace().answers, pace().per_hour) == (9, 1800)
    with case("a grid: 8 answers at once, 16 seconds after the last; its times are not those of single answers"):
        for n in range(8):
            record.say("label", f"grid {n}", "cat", after=0 if n else 16, ms=10, reason="grid")
        assert (pace().per_hour, pace().median_ms) == (1800, 1650)
    with case("answers kept back for long without a connection"):
        for n in range(20):
            record.say("label", f"late {n}", "cat", after=0 if n else 2 * PAUSE, ms=1650)
        assert pace().per_hour == 1800
    with case("a clock that was set back"):
        record.say("label", "back", "cat", after=-5000, ms=1650)
        record.say("label", "on", "cat", after=2, ms=1650)
        assert pace().per_hour == 1800
    with case("another person, and most answers first"):
        record.say("label", "0", "cat", who="ben", ms=700)
        record.say("label", "1", "dog", who="ben", after=1, ms=900)
        record.say("undo", target=record.say("label", "2", "dog", who="ben", after=1, ms=900), who="ben")
        assert (pace("ben").answers, pace("ben").per_hour, pace("ben").median_ms) == (2, 3600, 900)
        found = record.progress()
        assert [each.who for each in found.people] == ["anna", "ben"]
        assert found.agreement == 0.5
        assert found.alpha == 0  # two pairs: 1 - 3 * 2 / (16 - 10)


def test_the_effect_of_guesses(record):
    for n in range(30):
        record.say("label", f"shown {n}", "cat" if n < 27 else "dog", guess="cat", ms=400 + n)
    assert record.progress().guesses is None
    for n in range(10):
        label = None if n == 9 else "dog" if n > 5 else "cat"
        kind = "skip" if label is None else "label"
        record.say(kind, f"hidden {n}", label, guess="cat", withheld=True, ms=1000 + n, who="ben")
    for n in range(50):  # none of these is an answer to a guess that might have been withheld
        record.say("label", f"grid {n}", "dog", guess="cat", reason="grid", ms=1)
        record.say("label", f"map {n}", "dog", guess="cat", reason="map")
        record.say("label", f"no guess {n}", "dog", ms=1)
    found = record.progress().guesses
    assert (found.shown.n, found.shown.accepted, found.shown.median_ms) == (30, 27, 414.5)
    assert (found.withheld.n, found.withheld.accepted, found.withheld.median_ms) == (10, 6, 1004.5)
    a, b = wilson_interval(27, 30), wilson_interval(6, 10)
    assert found.difference == pytest.approx(0.3)
    assert found.low == pytest.approx(0.3 - np.hypot(0.9 - a.low, b.high - 0.6))
    assert found.high == pytest.approx(0.3 + np.hypot(a.high - 0.9, 0.6 - b.low))
    assert not found.too_fast


def test_answers_whose_guess_no_chance_withheld_tell_nothing_of_its_effect(record):
    for n in range(10):
        record.say("label", f"a {n}", "cat", guess="cat", ms=900, withheld=n == 0)
        record.say("label", f"b {n}", "dog", guess="cat", ms=900, hidden=True)
        record.say("label", f"c {n}", "dog", guess="cat", ms=900, tab="label-studio")
    found = record.progress().guesses
    assert (found.shown.n, found.shown.accepted, found.withheld.n) == (9, 9, 1)


def test_guesses_that_a_person_hides_measure_the_model(record):
    for n in range(10):
        record.draw(str(n), "cat", "cat" if n < 8 else "dog", hidden=True)
    found = record.progress(untouched=10)
    assert found.curve[0].accuracy == 0.8


def test_the_pace_is_that_of_the_page(record):
    for n in range(10):
        record.say("label", str(n), "cat", ms=2000, after=3.0 * (n == 5), tab="label-studio")
    (pace,) = record.progress().people
    assert (pace.answers, pace.per_hour, pace.median_ms) == (10, None, 2000)


def test_what_a_person_saw_first_counts_with_what_the_person_says_now(record):
    key = record.say("label", "0", "cat", guess="cat", ms=9)
    record.say("undo", target=key)
    record.say("label", "0", "dog", guess="dog", withheld=True, ms=9)
    record.say("label", "1", "dog", guess="dog", withheld=True, ms=9)
    record.say("label", "1", "cat", who="ben", guess="dog", ms=9)
    record.say("withdraw", "1", who="owner", of="ben")
    record.say("label", "2", "cat", guess="cat", withheld=True)  # of a sheet
    record.say("label", "3", "cat", guess="cat", withheld=True, reason="disagrees", ms=9)
    found = record.progress().guesses
    assert (found.shown.n, found.shown.accepted, found.withheld.n, found.withheld.accepted) == (1, 0, 1, 1)


def test_accepting_too_fast(record):
    record.say("label", "hidden", "cat", guess="cat", withheld=True, ms=100)
    for n in range(19):
        record.say("label", str(n), "cat", guess="cat", ms=250)
        record.say("label", f"slow {n}", "dog", guess="cat", ms=2000)
    assert not record.progress().guesses.too_fast  # too few to say
    record.say("label", "19", "cat", guess="cat", ms=299)
    assert record.progress().guesses.too_fast
    for n in range(21):
        record.say("label", f"more {n}", "cat", guess="cat", ms=300)
    assert not record.progress().guesses.too_fast


def test_a_project_is_read_at_once_or_step_by_step(project, say):
    """Only new events are read, and nothing that takes long to load."""
    tally = Tally()
    seen = Shown("cat", 0.8, False, "random", "1")
    for item, label in (("0", "cat"), ("1", "dog"), ("2", "cat")):
        say("anna", "label", item, label, shown=seen, ms=500)
        tally.read(project)
    say("anna", "class_rename", label="cat", name="kitty")
    say("anna", "skip", "3", shown=seen)
    say("anna", "flag", "4")
    tally.read(project)
    assert project.untouched == 6
    found = tally.progress(project.truths(), project.untouched, {})
    assert found == progress_of(project)
    assert (found.classes, found.curve[0].n) == ({"kitty": 2, "dog": 1}, 3)
    assert found.curve[0].accuracy == pytest.approx(2 / 3)
    assert list(project.sent(after=project.last_event)) == []
    code = "import sys, distil.labeling.progress; sys.exit(bool({'torch', 'sklearn', 'scipy'} & {*sys.modules}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# ------------------------------------------------------------------------------------------------------------ simulation


class Simulation:
    """A project of simulated items. The model guesses an item right if its difficulty is below a skill that grows with the labels.

    The order depends on the labels: the items that seem to be at the edge of what the model knows come first, those of another
    class than that of the last label before others. People skip hard items, and undo and correct some answers; a class is renamed
    in the middle.
    """

    def __init__(self, seed, items, answers, share):
        draws = np.random.default_rng(seed)
        items, answers, share = int(draws.integers(*items)), int(draws.integers(*answers)), draws.uniform(*share)
        self.hard = draws.random(items) ** draws.uniform(0.6, 1.6)
        self.looks = self.hard + draws.normal(0, 0.3, items)  # how hard the model takes the item to be
        self.truth = draws.integers(0, 2, items) * (self.hard < 0.7)
        self.skipped = (self.hard > 0.8) & (draws.random(items) < draws.uniform(0, 0.6))
        self.open = np.ones(items, bool)
        self.start, self.rate = draws.uniform(0.5, 1.2), draws.uniform(0.2, 0.45)
        self.names, self.labeled, self.last, self.accuracies = ["a", "b"], 0, 0, []
        self.tally, self.said = Tally(), {}
        for name in self.names:
            self.say("class_add", label=name)
        for n, luck in enumerate(draws.random(answers)):
            if n == answers // 2:
                self.say("class_rename", label="a", name="first")
                self.names[0] = "first"
            random = luck < share
            row = int(draws.choice(np.flatnonzero(self.open))) if random else self.chosen()
            self.answer(row, random, f"answer-{n}" if n % 10 == 0 else None)

    def say(self, kind, key="some-key", who="anna", **more):
        self.tally.add(0.0, {"kind": kind, "key": key, "who": who, **more})

    @property
    def skill(self):
        return 1 - self.start * (2 + self.labeled) ** -self.rate

    def chosen(self):
        edge = np.abs(self.looks - self.skill) + 0.3 * (self.truth == self.last)
        return int(np.argmin(edge + 10 * ~self.open))

    def accuracy(self):
        """Of the present model on the open items that people would label."""
        return (self.hard < self.skill)[self.open & ~self.skipped].mean()

    def guess(self, row):
        """The class that the present model guesses for an item."""
        label = int(self.truth[row])
        return self.names[label if self.hard[row] < self.skill else 1 - label]

    def answer(self, row, random, undone):
        label = int(self.truth[row])
        seen = {"item": str(row), "shown": {"guess": self.guess(row), "reason": "random" if random else "uncertain"}}
        if self.skipped[row]:
            self.say("skip", **seen)
            self.said[row] = None
        else:
            if random:
                self.accuracies.append(self.accuracy())
            if undone:
                self.say("label", key=undone, label=self.names[1 - label], **seen)
                self.say("undo", target=undone)
            self.say("label", label=self.names[label], **seen)
            self.said[row] = label
            self.labeled, self.last = self.labeled + 1, label
        self.open[row] = False

    def check(self):
        """Whether the interval of the accuracy holds the truth, its error, and the same of each interval of the curve."""
        found = self.tally.progress(
            {
                str(row): Truth(None, False, {}, {"anna": "skip"}, False)
                if label is None
                else Truth(self.names[label], False, {"anna": self.names[label]}, {}, False)
                for row, label in self.said.items()
            },
            int(self.open.sum()),
            {str(row): self.guess(row) for row in self.said},
        )
        rest = int((self.open & ~self.skipped).sum())
        truth = (self.labeled + rest * self.accuracy()) / (self.labeled + rest)
        means = np.split(np.array(self.accuracies), np.cumsum([window.n for window in found.curve])[:-1])
        curve = [w.low <= mean.mean() <= w.high for w, mean in zip(found.curve, means, strict=True)]
        errors = [w.accuracy - mean.mean() for w, mean in zip(found.curve, means, strict=True)]
        held = found.accuracy.low <= truth <= found.accuracy.high
        return held, found.accuracy.accuracy - truth, curve, errors


def coverage(times, **ranges):
    """Shares of intervals that hold the truth, and mean errors: of the accuracy and of the curve."""
    held, errors, curve, curve_errors = zip(*(Simulation(seed, **ranges).check() for seed in range(times)), strict=True)
    return np.mean(held), np.mean(errors), np.mean(np.concatenate(curve)), np.mean(np.concatenate(curve_errors))


def test_95_percent_of_the_intervals_hold_the_truth():
    accuracy, bias, curve, curve_bias = coverage(300, items=(300, 1200), answers=(60, 110), share=(0.2, 0.5))
    assert 0.95 <= accuracy <= 0.997  # the exact interval is wider than it must be
    assert 0.92 <= curve <= 0.98
    assert abs(bias) < 0.02
    assert abs(curve_bias) < 0.01


@pytest.mark.slow
def test_95_percent_of_the_intervals_hold_the_truth_with_the_default_share():
    accuracy, bias, curve, curve_bias = coverage(1000, items=(2000, 4000), answers=(150, 350), share=(0.1, 0.1))
    assert 0.95 <= accuracy <= 0.995
    assert 0.93 <= curve <= 0.97
    assert abs(bias) < 0.01
    assert abs(curve_bias) < 0.005
