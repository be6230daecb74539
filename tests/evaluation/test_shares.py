"""Intervals of shares and of their differences, against SciPy and the published table."""

import pytest
from scipy.stats import beta, binomtest

from distil.evaluation.shares import difference_of_shares, exact_interval


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


def test_the_exact_interval_is_that_of_clopper_and_pearson():
    """SciPy's for whole numbers, and quantiles of its beta distributions for others."""
    for count in (1, 2, 7, 40, 1000, 20_000):
        for successes in {0, 1, count // 10, count // 2, count - 1, count}:
            found = exact_interval(successes, count)
            published = binomtest(successes, count).proportion_ci(method="exact")
            assert found.share == successes / count
            assert (found.low, found.high) == pytest.approx((published.low, published.high), abs=1e-4)
    found = exact_interval(2.5, 7.5, 0.9)
    assert (found.low, found.high) == pytest.approx((beta(2.5, 6).ppf(0.05), beta(3.5, 5).ppf(0.95)), abs=1e-4)
