"""Intervals of differences of shares against the published table."""

import pytest

from distil.evaluation.shares import difference_of_shares


def test_differences_are_the_published_ones():
    """Newcombe 1998, table II, method 10."""
    for a, b, low, high in (
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((6, 7), (2, 7), 0.0582, 0.8062),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((0, 10), (0, 10), -0.2775, 0.2775),
        ((10, 10), (0, 20), 0.6791, 1.0000),
        ((10, 10), (0, 10), 0.6075, 1.0000),
    ):
        found = difference_of_shares(a, b)
        assert found.share == pytest.approx(a[0] / a[1] - b[0] / b[1])
        assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)
