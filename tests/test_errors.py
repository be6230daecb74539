"""The checks beside the error tree: nearest names and whole numbers."""

import math
from fractions import Fraction

import numpy as np
import torch

from distil.errors import nearest, whole_number


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


def test_the_nearest_name():
    assert nearest("radious", ["radius", "seed"]) == "; did you mean 'radius'?"
    assert nearest("xyz", ["radius", "seed"]) == ""
