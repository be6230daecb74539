"""The pool: the effect of every event, and refused events, which change nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distil import Selection
from distil.errors import InvalidInput
from distil.selection.pool import POOL_EVENTS, Pool


def state(pool):
    """All states of a pool, as plain lists."""
    lists = {name: getattr(pool, name).tolist() for name in ("unlabeled", "asked", "labeled", "skipped", "held_out")}
    return lists | {"labels": pool.labels(pool.labeled).tolist()}


def asked(*ids):
    return {"event": "asked", "ids": list(ids)}


def labeled(ids, labels):
    return {"event": "labeled", "ids": ids, "labels": labels}


def skipped(*ids):
    return {"event": "skipped", "ids": list(ids)}


def released(*ids):
    return {"event": "released", "ids": list(ids)}


def unlabeled(*ids):
    return {"event": "unlabeled", "ids": list(ids)}


def held_out(*ids):
    return {"event": "held_out", "ids": list(ids)}


@pytest.fixture
def pool():
    """Ten examples, three classes; 1 is asked, 2 labeled, 3 skipped, 4 held out."""
    made = Pool(10, num_classes=3)
    for event in (asked(1, 2, 3), labeled([2], [1]), skipped(3), held_out(4)):
        made.record(event)
    return made


def test_a_new_pool_is_unlabeled():
    pool = Pool(3, num_classes=2)
    assert len(pool) == 3
    assert state(pool) == {
        "unlabeled": [0, 1, 2],
        "asked": [],
        "labeled": [],
        "skipped": [],
        "held_out": [],
        "labels": [],
    }
    assert pool.unlabeled.dtype == torch.int64


def test_a_pool_needs_an_example_and_two_classes(case):
    for size, classes in [(0, 2), (-1, 2), (3, 1), (3, 0)]:
        with case(size, classes), pytest.raises(InvalidInput, match="at least one example and two classes"):
            Pool(size, num_classes=classes)


def test_the_number_of_classes_is_whole(case):
    for classes in ["3", 3.0, True, None]:
        with case(classes), pytest.raises(InvalidInput, match=f"^num_classes must be a whole number, got {classes!r}$"):
            Pool(3, num_classes=classes)


def test_every_event_moves_its_ids(pool):
    assert state(pool) == {
        "unlabeled": [0, 5, 6, 7, 8, 9],
        "asked": [1],
        "labeled": [2],
        "skipped": [3],
        "held_out": [4],
        "labels": [1],
    }
    assert set(POOL_EVENTS) == {"asked", "labeled", "skipped", "held_out", "released", "unlabeled"}


def test_ids_are_ascending_and_labels_follow_the_ids_asked_for():
    pool = Pool(6, num_classes=4)
    pool.record(labeled([5, 0, 3], [3, 2, 1]))
    assert pool.labeled.tolist() == [0, 3, 5]
    assert pool.labels([5, 3, 0]).tolist() == [3, 1, 2]
    assert pool.labels([3]).dtype == torch.int64
    assert pool.labels([]).tolist() == []


def test_examples_may_be_labeled_unasked_and_after_a_skip(case, pool):
    for kind, id_ in zip(["never asked", "asked", "skipped"], [0, 1, 3], strict=True):
        with case(kind):
            pool.record(labeled([id_], [2]))
            assert id_ in pool.labeled.tolist()
            assert pool.labels([id_]).tolist() == [2]
            assert id_ not in pool.skipped.tolist() + pool.asked.tolist() + pool.unlabeled.tolist()


def test_the_last_of_two_labels_counts(pool):
    pool.record(labeled([2], [0]))
    assert pool.labels([2]).tolist() == [0]


def test_examples_without_a_label_can_be_skipped(case, pool):
    for kind, id_ in zip(["never asked", "asked", "skipped already"], [0, 1, 3], strict=True):
        with case(kind):
            pool.record(skipped(id_))
            assert id_ in pool.skipped.tolist()


def test_the_end_of_a_pool_is_an_empty_tensor_of_ids():
    pool = Pool(2, num_classes=2)
    pool.record(labeled([0, 1], [0, 1]))
    assert pool.unlabeled.shape == (0,)
    assert pool.unlabeled.dtype == torch.int64


def test_ids_come_in_many_forms(case, pool):
    for ids in [
        [7, 5],
        (7, 5),
        np.array([7, 5]),
        np.array([7, 5], dtype=np.uint8),
        torch.tensor([7, 5]),
        torch.tensor([7, 5], dtype=torch.int32),
        [np.int64(7), np.int32(5)],
        Selection(torch.tensor([7, 5])),
    ]:
        with case(ids):
            pool.record({"event": "labeled", "ids": ids, "labels": np.array([2, 0])})
            assert pool.labels([7, 5]).tolist() == [2, 0]


def test_an_event_of_no_ids_changes_nothing(pool):
    before = state(pool)
    for event in (asked(), labeled([], []), skipped(), held_out(), released(), unlabeled()):
        pool.record(event)
    assert state(pool) == before


WRONG = [
    (asked(1), "id 1 is asked already and cannot be asked"),
    (asked(2), "id 2 is labeled already and cannot be asked"),
    (asked(3), "id 3 is skipped already and cannot be asked"),
    (asked(0, 4), "id 4 is held out and cannot be asked"),
    (labeled([4], [0]), "id 4 is held out and cannot be labeled"),
    (skipped(4), "id 4 is held out and cannot be skipped"),
    (held_out(4), "id 4 is held out"),
    (held_out(0, 2), "id 2 is labeled already"),
    (skipped(0, 2), "id 2 has a label"),
    (released(1, 0), "id 0 is neither pending nor skipped and cannot be released"),
    (released(1, 2), "id 2 has a label and cannot be released; withdraw the label with unlabel"),
    (released(4), "id 4 is held out and cannot be released"),
    (unlabeled(2, 0), "id 0 has no label to withdraw"),
    (unlabeled(1), "id 1 has no label to withdraw"),
    (unlabeled(4), "id 4 is held out and cannot be unlabeled"),
    (asked(10), "ids has 10, which is not a position in data of 10 examples"),
    (asked(0, -1), "ids has -1, which is not a position"),
    (asked(0, 0), "more than once"),
    (asked(0.5), "floating-point number 0.5"),
    (asked(True), "a boolean mask and must have an entry for each of the 10 examples; got 1"),
    (asked("0"), "ids has '0', and the examples of this pool have no names"),
    ({"event": "asked", "ids": [[0, 1]]}, r"ids has \[0, 1\], and the examples"),
    ({"event": "asked", "ids": 5}, "ids must hold ids of the pool: a list, .*; got int"),
    (labeled([0, 5], [0, 3]), "labels: 3 is not one of the 3 classes, 0 to 2"),
    (labeled([0, 5], [-1, 0]), "labels: -1 is not one of the 3 classes"),
    (labeled([0, 5], [1]), "labels must have one entry for each of the 2 examples, got 1"),
    (labeled([0, 5], [[0], [1]]), r"whole numbers, .* got \[0\]"),
    (labeled([0, 5], [0.0, 1.5]), "whole numbers, .* got 1.5; correct this label"),
    (labeled([5, 0], [0, None]), r"labels: 1 of 2 are missing \(None\), those of ids 0; leave"),
    ({"event": "labeled", "ids": [0, 5]}, "labels must have one entry for each of the 2 examples, got 0"),
    (labeled([0, 5], ["0", "1"]), "whole numbers, .* got '0'; to label by name, make the Learner with"),
    ({"event": "label", "ids": [0], "labels": [1]}, "got 'label'; did you mean 'labeled'"),
    ({"ids": [0]}, "expected one of the events asked, labeled, skipped, held_out, released, unlabeled, got None"),
]


def test_a_wrong_event_is_refused_and_changes_nothing(case, pool):
    for event, message in WRONG:
        with case(event, message):
            before = state(pool)
            with pytest.raises(InvalidInput, match=message):
                pool.record(event)
            assert state(pool) == before


def test_labels_of_examples_without_labels(case, pool):
    for id_ in [0, 1, 3, 4]:
        with case(id_), pytest.raises(InvalidInput, match=f"id {id_} has no label"):
            pool.labels([2, id_])


def test_a_query_or_label_that_is_taken_back(pool):
    pool.record(released(1, 3))
    pool.record(unlabeled(2))
    assert state(pool) == {
        "unlabeled": [0, 1, 2, 3, 5, 6, 7, 8, 9],
        "asked": [],
        "labeled": [],
        "skipped": [],
        "held_out": [4],
        "labels": [],
    }
    assert pool.state_dict()["labels"].tolist() == [-1] * 10
    pool.record(asked(1, 2, 3))
    assert pool.asked.tolist() == [1, 2, 3]


def test_hold_out_all_but():
    pool = Pool(6, num_classes=2)
    pool.hold_out_all_but([4, 1])
    assert pool.unlabeled.tolist() == [1, 4]
    assert pool.held_out.tolist() == [0, 2, 3, 5]
    with pytest.raises(InvalidInput, match="candidates has 6, which is not a position"):
        Pool(6, num_classes=2).hold_out_all_but([6])


def test_returned_tensors_are_copies(pool):
    before = state(pool)
    for tensor in (pool.unlabeled, pool.labeled, pool.labels([2]), *pool.state_dict().values()):
        tensor.fill_(0)
    assert state(pool) == before


def test_state_dict_round_trip(pool):
    kept = pool.state_dict()
    other = Pool(10, num_classes=3)
    other.load_state_dict(kept)
    assert state(other) == state(pool)
    other.record(labeled([0], [0]))  # copies share no memory
    assert 0 in pool.unlabeled.tolist()
    again = Pool(10, num_classes=3)
    again.load_state_dict(kept)
    assert state(again) == state(pool)


def test_a_state_of_another_size_is_refused(pool):
    with pytest.raises(InvalidInput, match="a pool of 10 examples, and this pool has 9"):
        Pool(9, num_classes=3).load_state_dict(pool.state_dict())


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["asked", "labeled", "skipped", "held_out", "released", "unlabeled"]),
        st.lists(st.integers(0, 6), max_size=3),
        st.integers(0, 1),
    ),
    max_size=12,
)


@given(EVENTS)
def test_against_a_dictionary(events):
    """The documented rules as a dictionary of strings; a refused event must change neither pool."""
    pool, known = Pool(7, num_classes=2), dict.fromkeys(range(7), "unlabeled")
    forbidden = {
        "asked": {"asked", "labeled", "skipped", "held_out"},
        "held_out": {"asked", "labeled", "skipped", "held_out"},
        "skipped": {"labeled", "held_out"},
        "labeled": {"held_out"},
        "released": {"unlabeled", "labeled", "held_out"},
        "unlabeled": {"unlabeled", "asked", "skipped", "held_out"},
    }
    labels = {}
    for kind, ids, label in events:
        wrong = len(set(ids)) < len(ids) or any(known[i] in forbidden[kind] for i in ids)
        event = {"event": kind, "ids": ids} | ({"labels": [label] * len(ids)} if kind == "labeled" else {})
        if wrong:
            with pytest.raises(InvalidInput):
                pool.record(event)
            continue
        pool.record(event)
        known |= dict.fromkeys(ids, "unlabeled" if kind == "released" else kind)
        labels |= dict.fromkeys(ids, label) if kind == "labeled" else {}
    for kind in ("unlabeled", "asked", "labeled", "skipped", "held_out"):
        assert getattr(pool, kind).tolist() == [i for i in known if known[i] == kind]
    expected = [labels[i] for i in known if known[i] == "labeled"]
    assert pool.labels(pool.labeled).tolist() == expected
