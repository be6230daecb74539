"""The door of events: what is refused, in whose words, and that equal events are one text."""

import json

import pytest

from distil.errors import InvalidInput
from distil.labeling.events import FIELDS, Event, Shown, labels_of, model_name

GOOD = {"kind": "label", "who": "anna", "key": "k-1234567", "item": "a.png", "label": "cat"}


def test_an_event_comes_back_from_its_text():
    shown = {"guess": "dog", "p": 0.25, "withheld": True, "reason": "margin", "model": "7"}
    whole = {**GOOD, "tab": "t1", "ms": 812, "shown": shown}
    event = Event.read(whole)
    assert event.shown == Shown("dog", 0.25, True, "margin", "7")
    assert Event.read(json.loads(event.text())) == event
    assert Event.read(dict(reversed(whole.items()))).text() == event.text()


def test_hostile_names_are_names(case):
    for text in ["'; DROP TABLE event; --", "<script>alert(1)</script>", "\u202ecat", "مرحبا", "=1+1", "🐈" * 200]:
        with case(text):
            event = Event.read({**GOOD, "who": text, "label": text, "item": f"{text}\0\ud800"})
            assert Event.read(json.loads(event.text())) == event


@pytest.mark.parametrize("kind", FIELDS)
def test_every_kind_has_its_fields(kind):
    values = {"item": "a", "label": "cat", "name": "d", "target": "k-7654321", "of": "ben"}
    own = {name: values[name] for name in FIELDS[kind]}
    base = {"kind": kind, "who": "anna", "key": "k-1234567"}
    Event.read({**base, **own})
    for name, value in values.items():
        wrong = {**own, name: value} if name not in own else {k: v for k, v in own.items() if k != name}
        with pytest.raises(InvalidInput, match=f"`{name}`"):
            Event.read({**base, **wrong})


WRONG = {
    "an event must be an object": [[], None, "label", 3],
    "no field 'labl'; did you mean 'label'": [{**GOOD, "labl": "cat"}],
    "needs key": [{"kind": "label", "who": "anna"}],
    "expected an event of kind label": [{**GOOD, "kind": kind} for kind in ("lable", 3, ["label"], "items_add")],
    "the name of a person must be a text of 1 to 500 characters": [
        {**GOOD, "who": who} for who in ("", " anna", 3, "x" * 501)
    ],
    "one line of text": [{**GOOD, "who": who} for who in ("a\nb", "a\0b", "\ud800", "a\x85b")],
    "the name of a class must be": [{**GOOD, "label": label} for label in ("", "cat ", 1, True, ["cat"], "c\tt")],
    "the id of an item must be": [{**GOOD, "item": item} for item in ("", 1, ["a"])],
    "the key of an event has 8 to 100 letters": [
        {**GOOD, "key": key} for key in ("short", "x" * 101, 12345678, "k 1234567", "k-1234567\n")
    ],
    "the key of a class must be one printable character": [
        {"kind": "class_key", "who": "anna", "key": "k-1234567", "label": "cat", "name": name}
        for name in ("ab", "🐈🐈", "\u200b", "", " ", 1)
    ],
    "got 'a  ": [{"kind": "class_rename", "who": "anna", "key": "k-1234567", "label": "cat", "name": "a  "}],
    "`ms` must be": [{**GOOD, "ms": ms} for ms in (-1, 0.5, True, "3", 2**53 + 1, float("nan"))],
    "`shown` of an event must be": [{**GOOD, "shown": "cat"}],
    "`shown` of an event has no field": [{**GOOD, "shown": {"gues": "cat"}}],
    "`p` must be": [{**GOOD, "shown": {"p": p}} for p in (-0.1, 1.1, float("nan"), 10**400, "1", True)],
    "`withheld` must be": [{**GOOD, "shown": {"withheld": 1}}],
    "`reason` must be": [{**GOOD, "shown": {"reason": 3}}],
}


@pytest.mark.parametrize("message", WRONG)
def test_what_is_refused(message):
    for document in WRONG[message]:
        with pytest.raises(InvalidInput, match=message.replace("?", r"\?")):
            Event.read(document)


def test_the_name_of_a_model_holds_its_number_of_labels():
    assert [labels_of(name) for name in (model_name(0), model_name(1234), "7", "x labels", "12 labels ", None)] == [
        0,
        1234,
        *[None] * 4,
    ]
