"""Labels in every form become columns of the model's outputs."""

import numpy as np
import pytest
import torch

from distil.data.labels import as_classes, as_labels
from distil.errors import InvalidInput


class Series:
    def __init__(self, values):
        self.values = np.asarray(values)
        self.shape = self.values.shape

    def to_numpy(self):
        return self.values


def test_whole_numbers_are_columns(case):
    for labels in [
        [0, 2, 1],
        (0, 2, 1),
        np.array([0, 2, 1], dtype=np.uint8),
        np.array([0, 2, 1], dtype=">i4"),
        np.array([0, 2, 1], dtype=object),
        torch.tensor([0, 2, 1], dtype=torch.int16),
        [torch.tensor(0), np.int64(2), np.array(1)],
        Series([0, 2, 1]),
        [False, 2, True],
        [0.0, 2.0, 1.0],
        np.array([0, 2, 1], dtype=np.float32),
        torch.tensor([0.0, 2.0, 1.0], dtype=torch.bfloat16),
        [np.float64(0), np.bool_(False) + 2, np.True_],
        np.array([np.int64(0), np.float32(2), np.True_], dtype=object),
    ]:
        for classes in [None, range(3), [0, 1, 2], np.arange(3), [0.0, 1.0, 2.0]]:
            with case(labels, classes):
                found = as_labels(labels, "labels", count=3, classes=classes)
                assert found.dtype == torch.int64
                assert found.tolist() == [0, 2, 1]


def test_booleans_are_the_classes_0_and_1(case):
    for labels in [
        [True, False],
        np.array([True, False]),
        torch.tensor([True, False]),
        [np.bool_(True), torch.tensor(False)],
    ]:
        for classes in [None, range(2), [False, True], np.array([0, 1])]:
            with case(labels, classes):
                assert as_labels(labels, "labels", classes=classes).tolist() == [1, 0]


def test_classes_by_name(case):
    for classes, labels, expected in [
        ([1, 2, 3], [3, 1, 1], [2, 0, 0]),
        (np.array([1, 2, 3]), torch.tensor([3, 1, 1]), [2, 0, 0]),
        (np.array(["cat", "cow", "dog"]), ["dog", "cat"], [2, 0]),
        (["dog", "cat"], np.array(["cat", "dog", "cat"]), [1, 0, 1]),
        (["dog", "cat"], Series(["cat", "dog"]), [1, 0]),
        ([0.5, 1.5], [1.5, 0.5], [1, 0]),
        (["a", "b"], [], []),
    ]:
        with case(classes, labels, expected):
            assert as_labels(labels, "labels", classes=classes).tolist() == expected


def test_a_label_that_is_not_a_class_is_named(case):
    for labels, classes, message in [
        ([0, 3], range(3), "y: 3 is not one of the 3 classes, 0 to 2$"),
        ([0, -1], range(3), "y: -1 is not one of the 3 classes"),
        ([0, -1], None, "y: -1 is not one of the classes, which are numbered from 0"),
        ([0, 1.5], None, r"y must be whole numbers, .* got 1.5; correct this label"),
        (torch.tensor([0.0, np.inf]), range(3), r"got inf; correct this label"),
        (["1"], range(3), "got '1'"),
        (["a", "b"], None, "got 'a'; only a classifier that knows its classes takes their names"),
        ([[0], [1]], None, r"got \[0\]"),
        (np.zeros((2, 1), int), None, r"y must be a flat list, got shape \(2, 1\)"),
        (None, None, r"y must be a flat list"),
        ({0, 1}, None, "y must be a list, one label for each example; got set, which has no order"),
        (iter([0, 1]), None, "got list_iterator, which can be read only once"),
        ("01", None, "y must be a list, one label for each example; got str"),
        (["cat", "dgo"], ["cat", "dog"], "y: 'dgo' is not one of the 2 classes, 'cat', 'dog'; did you mean 'dog'"),
        ([0, 1], ["cat", "dog"], "y: 0 is not one of the 2 classes, 'cat', 'dog'$"),
        ([1.5, 2.0], [1, 2], r"y: 1.5 is not one of the 2 classes, 1, 2$"),
        (["2"], [1, 2], r"y: '2' is not one of the 2 classes, 1, 2; this is a text, and the class is 2"),
        (["True"], [False, True], r"; this is a text, and the class is True"),
        ([[1], [2]], ["a", "b"], r"y: \[1\] is not one of the 2 classes"),
        ([0, 50], list(range(1, 40)), r"y: 0 is not one of the 39 classes, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, \.\.\.$"),
    ]:
        with case(labels, classes, message), pytest.raises(InvalidInput, match=message):
            as_labels(labels, "y", classes=classes)


def test_another_number_of_labels():
    with pytest.raises(InvalidInput, match=r"^y must have one entry for each of the 3 examples, got 2$"):
        as_labels([0, 1], "y", count=3)


def test_the_values_of_a_dict_are_labels():
    assert as_labels({"a": 1, "b": 0}.values(), "y").tolist() == [1, 0]


class NAType:
    """Like pandas' NA, whose comparisons have no truth value."""

    def __ne__(self, other):
        return self

    def __bool__(self):
        raise TypeError("boolean value of NA is ambiguous")

    __hash__ = object.__hash__


def test_missing_labels_are_named_by_the_callers_ids(case):
    ids, names = torch.tensor([5, 7, 2]), [f"n{row}" for row in range(9)]
    for missing in [None, float("nan"), np.float32("nan"), "", "  ", NAType(), np.datetime64("NaT")]:
        for present, classes in [(1, None), (1, range(3)), (1, [1, 2]), ("a", ["a", "b"])]:
            labels = [missing, present, missing]
            with case(labels, classes):
                with pytest.raises(
                    InvalidInput, match=r"^y: 2 of 3 are missing \(.*\), those of ids 'n5', 'n2'; leave"
                ):
                    as_labels(labels, "y", classes=classes, ids=ids, names=names)
                with pytest.raises(InvalidInput, match="those of ids 5, 2; leave"):
                    as_labels(labels, "y", classes=classes, ids=ids)
    with pytest.raises(InvalidInput, match="those of ids 1; leave"):
        as_labels(torch.tensor([0.0, np.nan]), "y")
    assert as_labels(["", "a"], "y", classes=["a", ""]).tolist() == [1, 0]  # an empty text may be a class


def test_numbers_are_columns_where_the_model_is_trained_on_them(case):
    for labels in [["dog", "cat"], [1, 0], [1.0, False], torch.tensor([1, 0])]:
        with case(labels):
            assert as_labels(labels, "y", classes=["cat", "dog"], column_labels=True).tolist() == [1, 0]
    with pytest.raises(InvalidInput, match="'dgo' is not one of the 2 classes"):
        as_labels(["dgo"], "y", classes=["cat", "dog"], column_labels=True)


def test_labels_by_name_need_a_model_whose_classes_have_distinct_names():
    with pytest.raises(InvalidInput, match=r"y: the model has two classes of one name, .* \['cat', 'cat', 'dog'\]"):
        as_labels(["cat"], "y", classes=["cat", "cat", "dog"], column_labels=True)
    assert as_labels([1], "y", classes=["cat", "cat", "dog"], column_labels=True).tolist() == [1]


def test_names_of_classes_are_distinct_and_of_one_kind(case):
    for classes, expected in [
        (np.array(["b", "a"]), ["b", "a"]),
        ([np.str_("b"), "a"], ["b", "a"]),
        (torch.tensor([3, 1]), [3, 1]),
        (np.array([True, False]), [True, False]),
        (Series(["x", "y"]), ["x", "y"]),
    ]:
        with case(classes):
            assert as_classes(classes, 2) == expected
            assert [type(name) for name in as_classes(classes)] == [type(name) for name in expected]
    for classes, message in [
        (["a", "a"], "classes must be at least two distinct names"),
        ([1, True], "classes must be at least two distinct names"),
        (["a"], "classes must be at least two distinct names"),
        (
            ["a", "a "],
            "classes must be at least two distinct names, got .'a', 'a '.; blanks around a name do not count",
        ),
        (["a", " "], "classes has ' ', which cannot be the name of a class"),
        (["a", float("nan")], "classes has nan, which cannot be the name of a class"),
        ([b"a", b"b"], "classes has b'a', which cannot be the name of a class; pass texts or numbers"),
        (["a", "b\0"], r"classes has 'b\\x00', which holds a control character; take it out"),
        (["a\x85", "b"], r"classes has 'a\\x85', which holds a control character"),
        (["a", None], "classes has None, which cannot be the name of a class"),
        (["a", [1]], r"classes has \[1\], which cannot be the name"),
        (["a", 1], "classes must be all texts or all numbers"),
        ({"a", "b"}, "classes must be a list"),
        ("ab", "classes must be a list of names"),
        (["a", "b", "c"], "classes must have 2 names, one for each column; got 3"),
    ]:
        with case(classes), pytest.raises(InvalidInput, match=message):
            as_classes(classes, 2 if message.endswith("got 3") else None)


def test_accented_names_are_the_same_in_one_character_and_in_two():
    one, two = "caf\u00e9", "cafe\u0301"
    for known, given in ((one, two), (two, one)):
        assert as_labels([given, "tea"], "labels", classes=[known, "tea"]).tolist() == [0, 1]
    with pytest.raises(InvalidInput, match="distinct names"):
        as_classes([one, two])


def test_values_that_are_no_lists_are_named(case):
    for value, kind in [("cat", "str"), ({"cat": 0, "dog": 1}, "dict"), ({"cat", "dog"}, "set, which has no order")]:
        with case(kind):
            with pytest.raises(InvalidInput, match=f"classes must be a list of names, .* got {kind}"):
                as_classes(value)
            with pytest.raises(InvalidInput, match=f"y must be a list, one label for each example; got {kind}"):
                as_labels(value, "y")
