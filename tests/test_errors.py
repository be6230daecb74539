"""The checks beside the error tree: nearest names and whole numbers."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch

from distil.errors import InvalidInput, as_share, finite_number, nearest, whole_number
from distil.strategies import STRATEGIES


def test_whole_numbers_of_every_type_become_ints(case):
    for value in [4, np.int64(4), np.uint8(4), np.array(4), torch.tensor(4)]:
        with case(value):
            assert whole_number(value) == 4
            assert type(whole_number(value, 4, 4)) is int
            assert whole_number(value, 5) is None
            assert whole_number(value, most=3) is None
    assert whole_number(-(10**400)) == -(10**400)
    assert whole_number(10**400, 1, math.inf) == 10**400


def test_other_values_are_no_whole_numbers(case):
    for value in [
        None,
        True,
        False,
        np.True_,
        4.0,
        np.float64(4),
        "4",
        b"4",
        [4],
        math.nan,
        Fraction(4),
        np.array([4.0]),
    ]:
        with case(value):
            assert whole_number(value) is None


def test_shares_and_finite_numbers(case):
    for value in (0.5, np.float32(0.5), Fraction(1, 2)):
        with case(value):
            assert as_share("error", value) == finite_number(value) == 0.5
    for value in (0, 1, 1.0, -1, 300, "0.5", None, True, math.nan, math.inf, [0.5]):
        with (
            case(value),
            pytest.raises(InvalidInput, match=r"^error must be a number between 0 and 1, got [^;]*$"),
        ):
            as_share("error", value)
    with pytest.raises(InvalidInput, match=r"got 5; write 5 % as 0\.05"):
        as_share("error", 5)
    assert [finite_number(value) for value in ("2", math.inf, True, None)] == [None] * 4


def test_the_nearest_name():
    assert nearest("radious", ["radius", "seed"]) == "; did you mean 'radius'?"
    assert nearest("margin", STRATEGIES) == "; did you mean 'margin_sampling'?"
    assert nearest("bald", STRATEGIES) == "; did you mean 'bald_dropout'?"
    assert nearest("xyz", ["radius", "seed"]) == ""
