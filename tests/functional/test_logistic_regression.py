"""Logistic regression: optima against scikit-learn, choices against brute force, invariances, and what few labels do."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.stats import dirichlet_multinomial, multinomial
from sklearn.linear_model import LogisticRegression

from distil.errors import InvalidInput
from distil.functional import logistic_regression as lr
from distil.functional.logistic_regression import (
    best_temperature,
    fit_logistic_regression,
    held_out_probs,
    pool_scale,
)


def blobs(n, width, n_classes, seed=0, spread=1.0):
    draws = torch.Generator().manual_seed(seed)
    centers = torch.randn(n_classes, width, generator=draws, dtype=torch.float64)
    y = torch.arange(n) % n_classes
    x = spread * torch.randn(n, width, generator=draws, dtype=torch.float64) + centers[y]
    center, scale = pool_scale([x])
    return (x - center) / scale, y


def intercept_penalty(counts):
    """30 for classes that are equally frequent and 5 for others, by the posterior probability of the two, from SciPy."""
    counts = np.asarray(counts)
    even = multinomial.logpmf(counts, counts.sum(), np.full(len(counts), 1 / len(counts)))
    other = dirichlet_multinomial.logpmf(counts, np.ones(len(counts)), counts.sum())
    probability = 1 / (1 + math.exp(other - even))
    return math.exp(probability * math.log(30) + (1 - probability) * math.log(5))


def reference(x, y, decay, weights=None, penalty=None):
    """Weights and bias by scikit-learn: the intercept is the coefficient of a constant column, penalized more than the others."""
    if penalty is None:
        penalty = intercept_penalty(np.bincount(y, weights).round().astype(int))
    column = 1 / math.sqrt(penalty)
    rows = np.column_stack([x.numpy(), np.full(len(x), column)])
    two = len(y.unique()) == 2  # scikit-learn then fits one row, the difference of ours, and penalizes it alone
    model = LogisticRegression(C=(2 if two else 1) / decay, fit_intercept=False, tol=1e-9, max_iter=10_000)
    found = torch.tensor(model.fit(rows, y.numpy(), sample_weight=weights).coef_)
    found = torch.cat([-found / 2, found / 2]) if two else found
    return found[:, :-1], found[:, -1] * column


def test_the_optimum_is_that_of_scikit_learn():
    for n, width, n_classes, decay in [
        (40, 6, 3, 0.1),
        (12, 30, 4, 1.0),
        (60, 3, 2, 0.01),
        (300, 5, 5, 0.3),
        (15, 15, 3, 10.0),
    ]:
        x, y = blobs(n, width, n_classes)
        model = fit_logistic_regression(x, y, n_classes, decay=decay)
        weight, bias = reference(x, y, decay)
        assert torch.allclose(model.weight, weight, atol=2e-5)
        assert torch.allclose(model.bias, bias, atol=2e-5)
        assert (model.decay, model.temperature) == (decay, 1.0)


def test_the_gradient_is_zero_at_the_optimum():
    x, y = blobs(50, 80, 4)
    model = fit_logistic_regression(x, y, 4, decay=0.05)
    weight, bias = model.weight.requires_grad_(), model.bias.requires_grad_()
    loss = torch.nn.functional.cross_entropy(x @ weight.T + bias, y, reduction="sum")
    loss = loss + 0.05 / 2 * (weight.square().sum() + intercept_penalty(y.bincount()) * bias.square().sum())
    for gradient in torch.autograd.grad(loss, [weight, bias]):
        assert gradient.abs().max() < 1e-5


def test_balanced_class_weights_are_weights_of_the_examples():
    x, y = blobs(60, 5, 3)
    keep = torch.cat([torch.arange(60)[y == 0], torch.arange(60)[y == 1][:4], torch.arange(60)[y == 2][:9]])
    x, y = x[keep], y[keep]
    counts = y.bincount().double()
    weight, bias = reference(x, y, 0.1, (len(y) / (3 * counts))[y].numpy())
    model = fit_logistic_regression(x, y, 3, decay=0.1, class_weights="balanced")
    assert torch.allclose(model.weight, weight, atol=2e-5)
    assert torch.allclose(model.bias, bias, atol=2e-5)


def criterion(x, y, decay, folds):
    """What ``"auto"`` minimizes, by fitting scikit-learn without each fold, and the best temperature by SciPy.

    An example that is the only one of its class does not count; it must be a fold of its own.
    """
    counted = y.bincount()[y] > 1
    logits = torch.zeros(len(y), int(y.max()) + 1, dtype=torch.float64)
    penalty = intercept_penalty(y.bincount())
    for fold in folds[counted].unique():
        weight, bias = reference(x[folds != fold], y[folds != fold], decay, penalty=penalty)
        logits[folds == fold] = x[folds == fold] @ weight.T + bias

    def loss(log_t):
        nll = torch.nn.functional.cross_entropy((logits / math.exp(log_t))[counted], y[counted], reduction="sum")
        return float(nll) + 8 * log_t**2

    found = minimize_scalar(loss, bounds=(-1.5, 1.5), method="bounded", options={"xatol": 1e-8})
    return found.fun + (math.log10(decay) + 1) ** 2, math.exp(found.x)


def test_decay_and_temperature_are_those_of_brute_force():
    for n, n_classes, spread, alone in [(14, 2, 1.0, True), (60, 3, 1.5, False)]:
        x, y = blobs(n, 8, n_classes, seed=n, spread=spread)
        if alone:  # the only example of a third class
            y[-1], n_classes = 2, 3
        folds = torch.arange(n)
        if n > 20:
            folds[y.argsort(stable=True)] = torch.arange(n) % 5
        found = {decay: criterion(x, y, decay, folds) for decay in lr.DECAYS[3:]}  # weaker ones are far off here
        best = min(found, key=lambda decay: found[decay][0])
        model = fit_logistic_regression(x, y, n_classes)
        assert model.decay == best
        assert model.temperature == pytest.approx(found[best][1], rel=1e-2)  # folds are fitted to 3e-2
        weight, bias = reference(x, y, best)
        assert torch.allclose(model.weight * model.temperature, weight, atol=5e-5)
        assert torch.allclose(model.bias * model.temperature, bias, atol=5e-5)


def test_held_out_probabilities_are_those_of_fits_without_each_fold():
    for n, n_classes in [(12, 3), (60, 3), (41, 2)]:
        x, y = blobs(n, 8, n_classes, seed=n, spread=1.5)
        folds = torch.arange(n)
        if n > 20:
            folds[y.argsort(stable=True)] = torch.arange(n) % 5
        found, model = held_out_probs(x, y, n_classes + 1), fit_logistic_regression(x, y, n_classes)
        penalty = intercept_penalty(y.bincount())
        for fold in folds.unique():
            out = folds == fold
            weight, bias = reference(x[~out], y[~out], model.decay, penalty=penalty)
            expected = ((x[out] @ weight.T + bias) / model.temperature).softmax(1)
            assert torch.allclose(found[out][:, :n_classes], expected, atol=2e-3)
        assert not found[:, n_classes].any(), "a class without an example"


def test_the_only_example_of_a_class_is_held_out_like_the_others():
    x, y = blobs(30, 4, 2)
    y[7] = 2
    found = held_out_probs(x, y, 3)
    assert found[7, 2] < 0.05
    assert torch.allclose(found.sum(1), torch.ones(30, dtype=torch.float64))
    with pytest.raises(InvalidInput, match="all 30 labels are of class 1; held-out probabilities need two classes"):
        held_out_probs(x, torch.ones(30, dtype=torch.long), 3)


def test_best_temperature_is_that_of_scipy_and_bounded():
    draws = torch.Generator().manual_seed(1)
    for scale in (0.2, 1.0, 6.0):
        y = torch.randint(4, (200,), generator=draws)
        z = scale * (torch.randn(200, 4, generator=draws, dtype=torch.float64) + 2 * torch.eye(4)[y])
        w = torch.rand(200, generator=draws, dtype=torch.float64)

        def loss(s, z=z, y=y, w=w):
            return float(w @ torch.nn.functional.cross_entropy(z * math.exp(s), y, reduction="none")) + 8 * s * s

        exact = minimize_scalar(loss, bounds=(-1.5, 1.5), method="bounded", options={"xatol": 1e-9}).x
        assert -math.log(best_temperature(z, y, w)) == pytest.approx(exact, abs=1e-5)
    certain = 1e3 * torch.eye(4, dtype=torch.float64)[y]
    assert math.exp(-1.5) <= best_temperature(certain, (y + 1) % 4, w) <= math.exp(1.5) + 1e-9


def test_invariances():
    x, y = blobs(40, 12, 3, seed=3)
    model = fit_logistic_regression(x, y, 3)
    logits = x @ model.weight.T + model.bias

    rotation = torch.linalg.qr(torch.randn(12, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))).Q
    turned = fit_logistic_regression(x @ rotation, y, 3)
    assert torch.allclose(x @ rotation @ turned.weight.T + turned.bias, logits, atol=1e-5)

    classes = torch.tensor([2, 0, 1])
    renamed = fit_logistic_regression(x, classes[y], 3, decay=0.1)
    plain = fit_logistic_regression(x, y, 3, decay=0.1)
    assert torch.allclose((x @ renamed.weight.T + renamed.bias)[:, classes], x @ plain.weight.T + plain.bias, atol=1e-6)

    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    shuffled = fit_logistic_regression(x[order], y[order], 3, decay=0.1)
    assert torch.allclose(shuffled.weight, plain.weight, atol=1e-6)

    padded = fit_logistic_regression(torch.cat([x, torch.zeros(40, 50, dtype=torch.float64)], 1), y, 3)
    assert torch.allclose(padded.weight[:, :12], model.weight, atol=1e-5)
    assert bool((padded.weight[:, 12:].abs() < 1e-9).all())


def test_every_type_of_number_and_the_same_bits_twice():
    x, y = blobs(30, 20, 3)
    exact = fit_logistic_regression(x, y, 3)
    assert torch.equal(exact.weight, fit_logistic_regression(x, y, 3).weight)
    for kind, tolerance in ((torch.float32, 1e-4), (torch.bfloat16, 0.3)):
        model = fit_logistic_regression(x.to(kind), y, 3, decay=exact.decay)
        assert model.weight.dtype == torch.float64
        assert torch.allclose(model.weight, exact.weight * exact.temperature, atol=tolerance)


def test_rows_whose_squares_float32_does_not_hold():
    x, y = blobs(30, 4, 3, spread=0.1)
    for factor in (1e-30, 1e25):
        model = fit_logistic_regression(factor * x, y, 3)
        assert bool(model.weight.isfinite().all())
        assert torch.equal(((factor * x) @ model.weight.T + model.bias).argmax(1), y) or factor < 1


def test_duplicated_examples_count_twice():
    x, y = blobs(20, 6, 3)
    twice = fit_logistic_regression(torch.cat([x, x]), torch.cat([y, y]), 3, decay=0.2)
    weight, bias = reference(x, y, 0.2, torch.full((20,), 2.0).numpy())
    assert torch.allclose(twice.weight, weight, atol=2e-5)
    assert torch.allclose(twice.bias, bias, atol=2e-5)


def test_the_intercept_is_penalized_less_where_classes_are_clearly_unequal():
    for counts, low, high in [((5, 5), 20, 30), ((9, 1), 5, 7), ((90, 10), 5, 5.01), ((1, 3, 4, 2), 20, 30)]:
        x, y = torch.zeros(sum(counts), 3), torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
        probs = fit_logistic_regression(x, y, len(counts), decay=0.5).bias.softmax(0)
        bias = probs.log() - probs.log().mean()  # where the gradient is 0: penalty decay bias = counts - n probs
        penalty = ((torch.tensor(counts) - sum(counts) * probs) / (0.5 * bias))[bias.abs() > 1e-3]
        assert bool((penalty > low).all())
        assert bool((penalty < high).all())


def test_separable_data_is_bounded_by_the_decay():
    x = torch.tensor([[-1.0, 0], [-1, 0.1], [1, 0], [1, 0.1]]).double()
    y = torch.tensor([0, 0, 1, 1])
    for decay, tolerance in ((1e-3, 1e-4), (1e-6, 1e-2)):
        weight, bias = reference(x, y, decay)
        model = fit_logistic_regression(x, y, 2, decay=decay)
        assert torch.allclose(x @ model.weight.T + model.bias, x @ weight.T + bias, atol=tolerance)
    assert bool(fit_logistic_regression(x, y, 2).weight.isfinite().all())


def test_few_examples_and_classes_without_any():
    for n in (1, 2, 3, 6):
        x, y = torch.randn(n, 4, generator=torch.Generator().manual_seed(n)), torch.arange(n) % 3
        model = fit_logistic_regression(x, y, 5)
        probs = (x.double() @ model.weight.T + model.bias).softmax(1)
        assert bool(probs.isfinite().all())
        assert bool((probs[:, 3:] > 1e-4).all())
        assert bool((probs[:, 3:] < 1 / 3).all())
        assert torch.equal(model.weight[3:], torch.zeros(2, 4, dtype=torch.float64))
    x, y = blobs(12, 4, 3)
    known, more = fit_logistic_regression(x, y, 3), fit_logistic_regression(x, y, 5)
    assert torch.equal(known.weight, more.weight[:3])
    sums = (x @ more.weight[:3].T + more.bias[:3]).logsumexp(1)
    share = math.exp(more.bias[4]) / (math.exp(float(sums.mean())) + 2 * math.exp(more.bias[4]))
    assert share == pytest.approx(1 / (12 + 5))


def test_one_class_is_a_constant_answer():
    model = fit_logistic_regression(torch.randn(7, 3), torch.full((7,), 2), 4)
    assert model.decay is None
    probs = (torch.randn(5, 3).double() @ model.weight.T + model.bias).softmax(1)
    assert torch.allclose(probs, torch.tensor([1, 1, 8, 1]).double() / 11)


def test_rows_without_any_difference():
    model = fit_logistic_regression(torch.zeros(6, 3), torch.tensor([0, 0, 0, 0, 1, 1]), 2)
    assert torch.equal(model.weight, torch.zeros(2, 3, dtype=torch.float64))
    assert model.bias[0] > model.bias[1]


def test_the_scale_of_a_pool():
    x = 3 * torch.randn(1000, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + torch.arange(5)
    center, spread = pool_scale(x.split(300))
    assert torch.allclose(center, x.mean(0))
    assert spread == pytest.approx(float((x - x.mean(0)).square().sum(1).mean().sqrt()))
    far, same = pool_scale([(x + 1e6)[:400], (x + 1e6)[400:]])
    assert same == pytest.approx(spread, rel=1e-8)
    assert torch.allclose(far - 1e6, center, atol=1e-8)
    doubled = pool_scale([x * 1024])
    assert torch.equal(doubled[0], center * 1024) or torch.allclose(doubled[0], center * 1024, rtol=1e-15)
    assert doubled[1] == pytest.approx(spread * 1024, rel=1e-14)
    for factor in (2.0**-1000, 2.0**-600, 2.0**600, 2.0**1010):  # whose squares float64 does not hold
        scaled = pool_scale([x[:1] * factor, x[1:] * factor])
        assert torch.allclose(scaled[0] / factor, center)
        assert scaled[1] / factor == pytest.approx(spread)
    assert pool_scale([torch.full((4, 2), 0.1)])[1] == 1.0
    with pytest.raises(InvalidInput, match="at least one row"):
        pool_scale([])


def test_what_is_refused():
    x, y = torch.randn(4, 2), torch.tensor([0, 1, 0, 1])
    for arguments, message in [
        ((x[:, 0], y, 2), "finite floating-point rows"),
        ((x[:0], y[:0], 2), "n > 0"),
        ((x.long(), y, 2), "int64"),
        ((torch.full((4, 2), math.nan), y, 2), "finite"),
        ((x, y[:3], 2), "y must be int64"),
        ((x, y.double(), 2), "y must be int64"),
        ((x, y, 1), "classes must be in 0..0, got 0 to 1"),
        ((x, y - 1, 2), "got -1 to 0"),
    ]:
        with pytest.raises(InvalidInput, match=message):
            fit_logistic_regression(*arguments)
    for settings, message in [
        ({"decay": 0}, "decay: expected 'auto' or a number from 1e-08, got 0"),
        ({"decay": 1e-12}, "a number from 1e-08, got 1e-12"),
        ({"decay": math.inf}, "got inf"),
        ({"decay": True}, "got True"),
        ({"decay": "Auto"}, "got 'Auto'"),
        ({"class_weights": "even"}, "class_weights: expected 'none' or 'balanced', got 'even'"),
    ]:
        with pytest.raises(InvalidInput, match=message):
            fit_logistic_regression(x, y, 2, **settings)
