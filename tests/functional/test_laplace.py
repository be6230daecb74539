"""The last layer's Laplace approximation against a direct Hessian, the exact posterior of a linear model, and sampling."""

import numpy as np
import scipy.special
import scipy.stats
import torch

from distil.functional.laplace import (
    Full,
    Kronecker,
    averaged_softmax,
    layer_rows,
    posterior,
    root_mean_square,
    sampled_softmax,
)

RNG = np.random.default_rng(0)
M, N, D, C = 12, 7, 3, 4
LABELED = layer_rows(torch.from_numpy(RNG.normal(size=(M, D))), 1.0)
POOL = layer_rows(torch.from_numpy(RNG.normal(size=(N, D)) * 3), 1.0)
WEIGHTS = torch.from_numpy(RNG.normal(size=(C, D + 1)))
PROBS = (LABELED @ WEIGHTS.T).softmax(1)
TAU = 0.3


def test_the_full_posterior_is_the_inverse_of_the_hessian():
    y = torch.from_numpy(RNG.integers(C, size=M))

    def loss(flat):
        w = flat.view(C, D + 1)
        return torch.nn.functional.cross_entropy(LABELED @ w.T, y, reduction="sum") + TAU / 2 * w.square().sum()

    hessian = torch.autograd.functional.hessian(loss, WEIGHTS.flatten()).numpy()
    covariance = np.linalg.inv(hessian).reshape(C, D + 1, C, D + 1)
    found = posterior(PROBS, LABELED, TAU)
    assert isinstance(found, Full)
    np.testing.assert_allclose(found.covariance.numpy(), covariance, atol=1e-10)
    of_logits = np.einsum("nd,cdke,ne->nck", POOL.numpy(), covariance, POOL.numpy())
    for i in range(C):
        for j in range(C):
            expected = of_logits[:, i, i] + of_logits[:, j, j] - 2 * of_logits[:, i, j]
            np.testing.assert_allclose(found.differences(POOL)[:, i, j].numpy(), expected, atol=1e-9)


def test_equal_curvature_gives_the_exact_posterior_of_a_linear_model():
    """Two classes at even odds: the difference of the logits is a linear regression with noise of variance 4."""
    even = torch.full((M, 2), 0.5)
    exact = np.linalg.inv(np.eye(D + 1) * TAU / 2 + LABELED.numpy().T @ LABELED.numpy() / 4)
    expected = np.einsum("nd,de,ne->n", POOL.numpy(), exact, POOL.numpy())
    for full_weights, kind in ((100, Full), (0, Kronecker)):
        found = posterior(even, LABELED, TAU, full_weights=full_weights)
        assert isinstance(found, kind)
        variances = found.differences(POOL).numpy()
        np.testing.assert_allclose(variances[:, 0, 1], expected, rtol=1e-9)
        np.testing.assert_allclose(variances[:, 1, 0], expected, rtol=1e-9)
        assert not variances[:, 0, 0].any()


def test_the_kronecker_product_is_that_of_its_factors():
    p, h = PROBS.numpy(), LABELED.numpy()
    curvature = np.mean([np.diag(row) - np.outer(row, row) for row in p], 0)
    covariance = np.linalg.inv(np.kron(curvature, h.T @ h) + TAU * np.eye(C * (D + 1)))
    found = posterior(PROBS, LABELED, TAU, full_weights=0).differences(POOL).numpy()
    for n, (i, j) in ((0, (0, 1)), (3, (2, 3)), (6, (1, 3))):
        direction = np.kron(np.eye(C)[i] - np.eye(C)[j], POOL[n].numpy())
        np.testing.assert_allclose(found[n, i, j], direction @ covariance @ direction, rtol=1e-9)


def test_without_labels_the_posterior_is_the_prior():
    for full_weights in (0, 100):
        found = posterior(PROBS[:0], LABELED[:0], TAU, full_weights=full_weights).differences(POOL)
        expected = 2 / TAU * POOL.square().sum(1)
        np.testing.assert_allclose(found[:, 0, 2].numpy(), expected.numpy(), rtol=1e-9)


def test_blocks_are_not_part_of_the_answer(monkeypatch):
    found = posterior(PROBS, LABELED, TAU)
    whole = found.differences(POOL)
    monkeypatch.setattr("distil.functional.laplace._BLOCK_BYTES", 1)
    np.testing.assert_allclose(found.differences(POOL).numpy(), whole.numpy(), rtol=1e-12)


def test_averages_are_near_those_of_samples_of_correlated_logits():
    generator = torch.Generator().manual_seed(0)
    factor = torch.randn(C, C, generator=generator, dtype=torch.float64)
    logits = torch.randn(20, C, generator=generator, dtype=torch.float64) * 2
    covariance = factor @ factor.T
    own = covariance.diagonal()
    found = averaged_softmax(logits, (own[:, None] + own - 2 * covariance).expand(20, C, C))
    np.testing.assert_allclose(found.sum(1).numpy(), 1, rtol=1e-12)
    z = logits[:, None] + torch.randn(20, 20_000, C, generator=generator, dtype=torch.float64) @ factor.T
    exact = z.softmax(2).mean(1)
    off, off_without = (found - exact).abs().mean(), (logits.softmax(1) - exact).abs().mean()
    assert off < 0.04
    assert off < off_without / 2


def test_two_classes_are_the_probit_approximation_and_shifts_change_nothing():
    mean, variance = RNG.normal(size=50) * 3, RNG.gamma(2, 2, size=50)
    pairs = torch.from_numpy(variance)[:, None, None] * (1 - torch.eye(2))
    logits = torch.from_numpy(np.stack([mean, np.zeros(50)], 1))
    found = averaged_softmax(logits, pairs)
    expected = 1 / (1 + np.exp(-mean / np.sqrt(1 + np.pi * variance / 8)))
    np.testing.assert_allclose(found[:, 0].numpy(), expected, rtol=1e-12)
    np.testing.assert_allclose(averaged_softmax(logits + 5, pairs).numpy(), found.numpy(), rtol=1e-12)
    z = mean[:, None] + np.sqrt(variance)[:, None] * scipy.stats.norm.ppf((np.arange(10_000) + 0.5) / 10_000)
    exact = scipy.special.expit(z).mean(1)
    np.testing.assert_allclose(found[:, 0].numpy(), exact, atol=0.02)


def test_certain_predictions_stay_finite():
    logits = torch.tensor([[0.0, -87.0, -87.0]])
    found = averaged_softmax(logits, torch.zeros(1, 3, 3))
    np.testing.assert_allclose(found.numpy(), logits.double().softmax(1).numpy(), rtol=1e-12)


def test_rows_of_any_scale():
    x = torch.randn(9000, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for factor in (1.0, 2.0**-900, 2.0**900):
        unit = root_mean_square(x * factor)
        np.testing.assert_allclose(unit, np.sqrt((x.numpy() ** 2).sum(1).mean()) * factor, rtol=1e-12)
        np.testing.assert_allclose(layer_rows(x[:3] * factor, unit)[:, :5].numpy(), x[:3].numpy() * factor / unit)
    assert root_mean_square(torch.zeros(3, 2)) == 1


def test_samples_have_the_moments_of_the_posterior():
    for full_weights in (100, 0):
        found = posterior(PROBS, LABELED, TAU, full_weights=full_weights)
        weights = found.draw(20_000, torch.Generator().manual_seed(0))
        assert weights.shape == (20_000, C, D + 1)
        changes = torch.einsum("kcd,nd->nkc", weights, POOL)
        spread = (changes[:, :, :, None] - changes[:, :, None]).square().mean(1)
        np.testing.assert_allclose(spread.numpy(), found.differences(POOL).numpy(), rtol=0.05, atol=1e-12)
        np.testing.assert_allclose(weights.mean(0).numpy(), 0, atol=6 * float(weights.std()) / 20_000**0.5)


def test_sampled_predictions_are_those_of_the_changed_weights():
    weights = torch.from_numpy(RNG.normal(size=(5, C, D + 1)))
    logits = POOL @ WEIGHTS.T
    found = sampled_softmax(logits, POOL, weights).numpy()
    for k in range(5):
        expected = scipy.special.softmax(POOL.numpy() @ (WEIGHTS + weights[k]).numpy().T, 1)
        np.testing.assert_allclose(found[:, k], expected, rtol=1e-9)
