"""Scaling by powers of two is exact, and functions that scale first give at every scale what wider arithmetic gives."""

import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distil.errors import InvalidInput
from distil.functional.bait import bait
from distil.functional.batchbald import batchbald
from distil.functional.centers import k_center_with_gains, largest_norm
from distil.functional.clustering import k_means, k_medians
from distil.functional.coverage import pure_radius
from distil.functional.features import Dense, Outer, at_one_scale, lengths
from distil.functional.gradients import cross_entropy_residual, residual
from distil.functional.neighbors import mean_dists, nearest_neighbors
from distil.functional.scale import largest, number_times_two_to, of_one_precision, times_two_to, to_unit, unit_rows
from distil.functional.similarity import closeness, cosine, diameter, rbf
from distil.functional.uncertainty import bald, confidence, entropy, margin


@given(st.floats(width=32, allow_nan=False, allow_infinity=False), st.integers(-140, 140))
def test_products_with_powers_of_two_are_exact(value, e):
    product = Fraction(value) * Fraction(2) ** e
    found = float(times_two_to(torch.tensor([value]), e))
    if 2**-126 <= abs(product) < 2**128 or product == 0:
        assert Fraction(found) == product


def test_numbers_stay_within_the_range_of_floats():
    assert number_times_two_to(0.5, -3) == 0.0625
    assert number_times_two_to(1e-300, -4000) == 5e-324
    assert 1e308 < number_times_two_to(1e300, 4000) < math.inf
    assert number_times_two_to(0.0, 100) == 0


def test_the_smallest_numbers_come_to_unit_scale():
    tiny = torch.tensor([[1.0, 3.0]]) * 2.0**-149
    (unit,), e = to_unit(tiny)
    assert unit.tolist() == [[0.25, 0.75]]
    assert times_two_to(unit, e).tolist() == tiny.tolist()
    with pytest.raises(InvalidInput, match="1 of 2 rows: 1"):
        largest(torch.tensor([[1.0], [torch.inf]]))


def test_precisions_meet_in_the_wider_one():
    half, single, double = (torch.ones(2, dtype=t) for t in (torch.bfloat16, torch.float32, torch.float64))
    assert {x.dtype for x in of_one_precision(half, single)} == {torch.float32}
    assert {x.dtype for x in of_one_precision(half, double)} == {torch.float64}
    assert Dense(torch.ones(2, 2, dtype=torch.uint8)).x.dtype == torch.float32
    mixed = Outer(torch.ones(2, 2, dtype=torch.float16), torch.ones(2, 3, dtype=torch.float64))
    assert mixed.inner(mixed).dtype == torch.float64
    sets, _ = at_one_scale(Dense(torch.ones(2, 2)), Dense(torch.ones(3, 2, dtype=torch.float64)))
    assert {part.x.dtype for part in sets} == {torch.float64}


@pytest.mark.parametrize("e", [-100, -66, 66, 118])
def test_distances_at_every_scale_are_those_of_the_unscaled_rows(e):
    x = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
    y = times_two_to(x, e)
    labels = torch.arange(40) % 3
    factor, square = 2.0**e, 4.0**e

    def seeded():
        return torch.Generator().manual_seed(1)

    assert torch.equal(k_center_with_gains(Dense(y), 9).gains, k_center_with_gains(Dense(x), 9).gains * square)
    for found, expected, unit in (
        (k_means(y, 4, seeded()).inertia, k_means(x, 4, seeded()).inertia, square),
        (k_medians(y, 4, seeded()).cost, k_medians(x, 4, seeded()).cost, factor),
        (pure_radius(y, labels, seeded()), pure_radius(x, labels, seeded()), factor),
        (diameter(Dense(y)), diameter(Dense(x)), factor),
    ):
        assert found == pytest.approx(expected * unit, rel=1e-6)
    assert torch.equal(nearest_neighbors(y, 3).ids, nearest_neighbors(x, 3).ids)
    assert torch.equal(nearest_neighbors(y, 3).sq_dists, nearest_neighbors(x, 3).sq_dists.double() * square)
    assert torch.equal(mean_dists(y, 3), mean_dists(x, 3).double() * factor)
    assert torch.equal(lengths(Dense(y)), lengths(Dense(x)) * factor)
    assert largest_norm(Dense(y)) == largest_norm(Dense(x))
    for kernel in (rbf, lambda rows: cosine(), lambda rows: rbf(rows, 0.3 / 4.0 ** (e if rows.x is y else 0))):
        (one, a), (other, b) = ((k := kernel(Dense(z)), k.prepare(Dense(z))) for z in (x, y))
        assert torch.equal(one.similarity(one.sq_dists(a, a)), other.similarity(other.sq_dists(b, b)))
    assert closeness(Dense(y)).top == closeness(Dense(x)).top * 2.0 ** -(sum(closeness(Dense(y)).exponents) - e)


def test_gradients_with_a_bias_at_every_scale():
    """The inner products and distances of scaled factors are those of float64."""
    g = torch.Generator().manual_seed(0)
    a, b = torch.randn(6, 3, generator=g), torch.randn(6, 4, generator=g)
    for e in (-100, -20, 30, 60):
        rows = Outer(a, times_two_to(b, e), bias=True)
        (unit,), shift = at_one_scale(rows)
        full = rows.double().dense()
        torch.testing.assert_close(unit.double().dense(), times_two_to(full, -shift))
        torch.testing.assert_close(
            unit.inner(unit).double(), times_two_to(full @ full.T, -2 * shift), rtol=1e-4, atol=1e-5
        )
        point = torch.randn(3, 5, generator=g, dtype=torch.float64)
        torch.testing.assert_close(unit.double().project(point), times_two_to(full, -shift) @ _flat(point))
        weights = torch.rand(6, generator=g, dtype=torch.float64)
        torch.testing.assert_close(_flat(unit.double().combine(weights)), weights @ times_two_to(full, -shift))


def _flat(point):
    """A point (C, 1 + D) in the order of ``Outer.dense``: the bias column first."""
    return torch.cat([point[:, 0], point[:, 1:].flatten()])


def test_half_precision_and_masked_classes():
    g = torch.Generator().manual_seed(2)
    logits = torch.randn(20, 4, generator=g)
    logits[:, 1] = -torch.inf
    probs, y = logits.softmax(1), torch.zeros(20, dtype=torch.long)
    kept = probs[:, [0, 2, 3]]
    for score in (entropy, confidence, margin):
        torch.testing.assert_close(score(probs), score(kept))
    samples = torch.stack([probs, probs.flip(0)], 1)
    torch.testing.assert_close(bald(samples), bald(samples[:, :, [0, 2, 3]]))
    gradient = residual(logits, y, torch.nn.functional.cross_entropy)
    torch.testing.assert_close(gradient, cross_entropy_residual(probs, y))
    assert gradient[:, 1].tolist() == [0] * 20
    assert entropy(torch.tensor([1e4, -1e4, 0.0]).softmax(0)[None]).tolist() == [0]
    assert margin(torch.tensor([[65504.0, -65504.0]], dtype=torch.float16).softmax(1)).tolist() == [1]
    x = torch.randn(20, 3, generator=g)
    assert bait(probs, x, 4).tolist() == bait(kept, x, 4).tolist()
    for half in (torch.float16, torch.bfloat16):
        rounded = samples.to(half)
        assert batchbald(rounded, 3).rows.tolist() == batchbald(rounded.float(), 3).rows.tolist()
        torch.testing.assert_close(entropy(probs.to(half)), entropy(probs.to(half).float()))


def test_unit_rows_have_length_one_at_every_scale():
    x = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    expected = x / x.norm(dim=1, keepdim=True)
    for factor in (2.0**-140, 1.0, 2.0**120):
        error = float((unit_rows(x * factor) - expected).abs().max())
        assert error < (1e-6 if factor >= 1 else 1e-2), factor  # subnormal numbers have few digits
    assert unit_rows(torch.zeros(2, 3)).tolist() == [[0, 0, 0]] * 2


def test_rows_that_are_not_finite_are_named():
    for n, named in (
        (3, "in 3 of 9 rows: 0, 1, 2$"),
        (5, "0, 1, 2, 3, 4$"),
        (7, r"in 7 of 9 rows: 0, 1, 2, 3, 4, \.\.\.$"),
    ):
        with pytest.raises(InvalidInput, match=named):
            largest(torch.cat([torch.full((n, 2), torch.nan), torch.ones(9 - n, 2)]))
