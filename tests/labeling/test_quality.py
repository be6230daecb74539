"""Agreement of people with themselves and with others, and the file of what cross-validation said."""

import json
import subprocess
import sys

import pytest
from scipy.stats import binomtest

from distil.errors import RunError
from distil.labeling.checks import DISAGREES, REPEAT
from distil.labeling.events import Shown
from distil.labeling.quality import (
    FILE,
    Quality,
    SelfAgreement,
    Suspect,
    confusions,
    is_suspect,
    people_quality,
)

QUALITY = Quality(
    labels=10,
    errors=2,
    agreement=0.75,
    suspects=(Suspect("0", "cat", "dog", 0.9), Suspect("1", "cat", "dog", 0.8), Suspect("2", "dog", "cat", 0.7)),
    annotators={"anna": 0.9},
    relabel=(("3", 0.25), ("0", 0.5)),
)


def own(project):
    found = SelfAgreement()
    found.read(project)
    return found.counts(project.known_classes)


def suspects(project):
    found, known = project.truths(), project.known_classes
    return [each.item for each in QUALITY.suspects if is_suspect(each, found.get(each.item), known)]


def test_self_agreement_compares_a_repeat_with_the_label_before_it(project, say):
    for item in "01234":
        say("anna", "label", item, "cat")
        say("ben", "label", item, "dog")
    assert own(project) == {}
    again = {"shown": Shown(reason=REPEAT)}
    say("anna", "label", "0", "cat", **again)
    key = say("anna", "label", "1", "dog", **again)
    assert own(project) == {"anna": (2, 1)}
    say("anna", "undo", target=key)
    assert own(project) == {"anna": (1, 1)}
    say("anna", "redo", target=key)
    say("anna", "label", "1", "cat")
    assert own(project) == {"anna": (2, 1)}, "an answer that is corrected later stays a disagreement"
    say("anna", "label", "2", "dog", shown=Shown(reason=DISAGREES))
    say("anna", "unsure", "3", **again)
    say("ben", "skip", "4")
    say("ben", "label", "4", "cat", **again)
    assert own(project) == {"anna": (2, 1)}, "neither a suspect nor an item that has no label before or after"
    say("anna", "class_merge", label="dog", name="cat")
    assert own(project) == {"anna": (2, 2)}, "by the present classes"


def test_a_record_is_followed(project, say):
    found = SelfAgreement()
    for n in range(4):
        say("anna", "label", "0", "cat", shown=Shown(reason=REPEAT if n else None))
        found.read(project)
    assert found.counts(project.known_classes) == own(project) == {"anna": (1, 1)}
    project.withdraw([("0", "anna")])
    say("anna", "label", "0", "dog")
    found.read(project)
    assert found.counts(project.known_classes) == {"anna": (1, 1)}


def test_confusions_are_with_the_majority_of_the_others_or_the_decision(project, say):
    for who, labels in {"anna": "ccdd", "ben": "cddd", "carl": "ccd"}.items():
        for item, label in enumerate(labels):
            say(who, "label", str(item), {"c": "cat", "d": "dog"}[label])
    say("anna", "label", "7", "cat")
    assert confusions(project.truths()) == {
        "anna": {"cat": {"cat": 1}, "dog": {"dog": 2}},  # on item 1 the others tie
        "ben": {"cat": {"cat": 1}, "dog": {"cat": 1, "dog": 2}},
        "carl": {"cat": {"cat": 1}, "dog": {"dog": 1}},
    }
    say("dora", "decide", "1", "dog")
    assert confusions(project.truths())["anna"]["cat"] == {"cat": 1, "dog": 1}


def test_what_is_said_of_people(project, say):
    for n, label in enumerate(["cat", "cat", "dog", "dog"]):
        say("anna", "label", str(n), label)
        say("ben", "label", str(n), "dog")
    say("anna", "label", "0", "cat", shown=Shown(reason=REPEAT))
    say("carl", "skip", "9")
    found = people_quality(project.truths(), own(project), QUALITY)
    assert list(found) == ["anna", "ben"]
    anna = found["anna"]
    interval = binomtest(2, 4).proportion_ci(method="wilson")
    assert anna.with_others == pytest.approx((0.5, interval.low, interval.high))
    assert anna.with_self.share == 1
    assert (anna.quality, found["ben"].quality, found["ben"].with_self) == (0.9, None, None)
    assert people_quality(project.truths(), own(project), None)["anna"].quality is None


def test_suspects_whose_label_changed_are_none(project, say):
    say("anna", "label", "0", "cat")
    say("anna", "label", "1", "dog")
    assert suspects(project) == ["0"]
    say("anna", "class_rename", label="cat", name="tiger")
    assert suspects(project) == ["0"], "the label is the same under its new name"
    say("anna", "decide", "0", "tiger")
    assert suspects(project) == []


def test_suspects_whose_guess_is_now_the_same_class_are_none(project, say):
    say("anna", "label", "0", "cat")
    key = say("anna", "class_merge", label="dog", name="cat")
    assert suspects(project) == []
    say("anna", "undo", target=key)
    assert suspects(project) == ["0"]
    say("ben", "label", "0", "dog")
    assert suspects(project) == [], "tied labels are no label"


def test_the_file(tmp_path):
    assert Quality.load(tmp_path) is None
    QUALITY.save(tmp_path)
    assert Quality.load(tmp_path) == QUALITY
    for content in (
        "",
        "{",
        "[" * 100_000,
        "[]",
        json.dumps({"suspects": [], "relabel": []}),
        json.dumps({"suspects": [[1]]}),
    ):
        (tmp_path / FILE).write_text(content)
        with pytest.raises(RunError, match="is damaged; delete it"):
            Quality.load(tmp_path)


def test_reading_loads_no_model_and_no_statistics():
    code = (
        "import sys, distil.labeling.quality, distil.labeling.checks; "
        "print({'torch', 'sklearn', 'scipy'} & {*sys.modules})"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
