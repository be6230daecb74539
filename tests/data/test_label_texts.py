"""Labels of regression and multi-label data as texts."""

import numpy as np
import pytest

from distil.data.label_texts import indicators_in, label_text, names_in, numbers_in, sets_in
from distil.errors import InvalidInput


def place(row):
    return f"row {row}"


def test_names_are_separated_by_semicolons_or_listed():
    for text, names in [
        ("cat", ["cat"]),
        (" cat ; big dog;", ["cat", "big dog"]),
        ('["cat; dog", " eel "]', ["cat; dog", "eel"]),
        ("[]", []),
        ("[cat]", ["[cat]"]),
        ("[1, 2]", ["[1, 2]"]),
    ]:
        assert names_in(text) == names, text


def test_label_sets_have_a_column_for_each_name():
    rows, names = sets_in(["dog;cat", "[]", "eel;dog;dog"], place)
    assert names == ("cat", "dog", "eel")
    assert rows.tolist() == [[1, 1, 0], [0, 0, 0], [0, 1, 1]]
    rows, names = sets_in(["dog", "cat"], place, ["dog", "fox", "cat"])
    assert rows.tolist() == [[1, 0, 0], [0, 0, 1]]
    with pytest.raises(InvalidInput, match="row 1: 'dgo' is not one of the 2 labels; did you mean 'dog'"):
        sets_in(["dog", "dgo"], place, ["cat", "dog"])
    with pytest.raises(InvalidInput, match="no label set has a name"):
        sets_in(["[]", "[]"], place)


def test_numbers_and_indicators():
    assert numbers_in(np.array(["1.5", "-2e1"]), place).tolist() == [[1.5], [-20]]
    assert numbers_in(np.array([]), place).shape == (0, 1)
    assert numbers_in(np.array([[1, 2], [3, 4]]), place).tolist() == [[1, 2], [3, 4]]
    assert indicators_in(np.array([["1", "0"], ["0.0", "1"]]), place).tolist() == [[1, 0], [0, 1]]
    for wrong in (np.array(["1", "high"]), np.array(["1", "inf"]), np.array([1.0, np.nan])):
        with pytest.raises(InvalidInput, match="row 1: in regression a label is a number, got"):
            numbers_in(wrong, place)
    with pytest.raises(InvalidInput, match="row 0: a column of labels holds 0 and 1, got 2"):
        indicators_in(np.array([[0, 2]]), place)


def test_a_written_label_is_read_again():
    assert label_text("classification", 1, ["cat", "dog"]) == "dog"
    assert label_text("classification", 1, ()) == 1
    for label in ([0.1], [-3.0]):
        text = label_text("regression", label, ())
        assert numbers_in(np.array([str(text)]), place).tolist() == [label]
    assert label_text("regression", [0.1, 2.0], ()) == "0.1;2.0"
    for names in (["cat", "dog"], ["a;b", "c"], ["x", '"q"']):
        for row in ([0, 0], [1, 0], [1, 1]):
            text = str(label_text("multilabel", row, names))
            assert sets_in([text], place, names)[0].tolist() == [row]
    assert label_text("multilabel", [1.0, 0.0, 1.0], ()) == "0;2"
