"""The uncertainty scores against closed forms and SciPy."""

import itertools
import math

import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from distil.errors import InvalidInput
from distil.functional import uncertainty
from distil.functional.uncertainty import (
    bald,
    confidence,
    entropy,
    margin,
    mean_std,
    ratio_of_confidence,
    variation_ratio,
    vote_entropy,
)


@st.composite
def distributions(draw, n_axes=2):
    """Probabilities of 2 to 6 classes, from flat to saturated, as float64."""
    shape = [draw(st.integers(1, 5)) for _ in range(n_axes - 1)] + [draw(st.integers(2, 6))]
    sharpness = draw(st.sampled_from([0.0, 0.1, 1.0, 10.0, 300.0]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return scipy.special.softmax(sharpness * rng.normal(size=shape), axis=-1)


@given(probs=distributions())
def test_entropy_is_scipys(probs):
    for dtype in [torch.float32, torch.float64]:
        ours = entropy(torch.from_numpy(probs).to(dtype))
        assert ours.dtype == dtype, dtype
        np.testing.assert_allclose(ours.numpy(), scipy.stats.entropy(probs, axis=-1), atol=2e-6, err_msg=str(dtype))


@given(probs=distributions())
def test_margin_and_confidence_are_those_of_the_sorted_row(probs):
    ordered = np.sort(probs, axis=-1)
    np.testing.assert_allclose(margin(torch.from_numpy(probs)).numpy(), ordered[:, -1] - ordered[:, -2], atol=1e-15)
    np.testing.assert_array_equal(confidence(torch.from_numpy(probs)).numpy(), ordered[:, -1])


@given(probs=distributions())
def test_ratio_of_confidence_is_that_of_the_sorted_row(probs):
    ordered = np.sort(probs, axis=-1)
    found = ratio_of_confidence(torch.from_numpy(probs)).numpy()
    np.testing.assert_allclose(found, ordered[:, -2] / ordered[:, -1], rtol=1e-15)


@given(mc_probs=distributions(n_axes=3))
def test_variation_ratio_counts_the_samples_that_vote_for_another_class_than_the_mode(mc_probs):
    votes = mc_probs.argmax(-1)
    expected = [np.mean(row != scipy.stats.mode(row).mode) for row in votes]
    np.testing.assert_allclose(variation_ratio(torch.from_numpy(mc_probs)).numpy(), expected, atol=1e-12)


@given(mc_probs=distributions(n_axes=3))
def test_mean_std_is_numpys(mc_probs):
    for dtype, atol in ((torch.float64, 1e-15), (torch.float32, 1e-6)):
        found = mean_std(torch.from_numpy(mc_probs).to(dtype))
        assert found.dtype == dtype
        np.testing.assert_allclose(found.numpy(), mc_probs.std(1).mean(-1), atol=atol)


def test_variation_ratio_and_mean_std_of_crafted_samples():
    disagree = [[1.0, 0.0], [0.0, 1.0]]
    agree = [[0.9, 0.1], [0.6, 0.4]]  # on the class, not on its probability
    samples = torch.tensor([disagree, agree], dtype=torch.float64)
    assert variation_ratio(samples).tolist() == [0.5, 0]
    np.testing.assert_allclose(mean_std(samples).numpy(), [0.5, 0.15], atol=1e-15)


def test_mean_std_of_equal_samples_is_exactly_zero():
    """The rounding of sums must not rank the rows."""
    for dtype, classes in itertools.product([torch.float32, torch.float64], [2, 10, 1000]):
        generator = torch.Generator().manual_seed(0)
        probs = (4 * torch.randn(200, 1, classes, generator=generator, dtype=dtype)).softmax(-1)
        assert not mean_std(probs.expand(-1, 7, -1)).any(), (dtype, classes)
        assert (mean_std(torch.cat([probs, probs.flip(-1)], 1)) > 0).all(), (dtype, classes)


@given(mc_probs=distributions(n_axes=3))
def test_bald_is_a_mean_divergence_from_the_mean(mc_probs):
    """H[mean p] - mean H[p] equals the mean of KL(p_k || mean p)."""
    mean = mc_probs.mean(1, keepdims=True)
    divergence = scipy.stats.entropy(mc_probs, np.broadcast_to(mean, mc_probs.shape), axis=-1).mean(1)
    np.testing.assert_allclose(bald(torch.from_numpy(mc_probs)).numpy(), divergence, atol=1e-12)


@given(probs=distributions())
def test_bounds(probs):
    n_classes = probs.shape[-1]
    p = torch.from_numpy(probs).float()
    assert bool((entropy(p) >= 0).all())
    assert bool((entropy(p) <= math.log(n_classes) + 1e-6).all())
    assert bool((margin(p) >= 0).all())
    assert bool((margin(p) <= 1 + 1e-6).all())
    assert bool((confidence(p) >= 1 / n_classes - 1e-6).all())
    assert bool((confidence(p) <= 1 + 1e-6).all())


@given(mc_probs=distributions(n_axes=3))
def test_bounds_of_bald(mc_probs):
    _, n_samples, n_classes = mc_probs.shape
    score = bald(torch.from_numpy(mc_probs).float())
    assert bool((score >= 0).all())
    assert bool((score <= min(math.log(n_samples), math.log(n_classes)) + 1e-5).all())


def test_a_probability_of_zero_adds_nothing():
    assert entropy(torch.tensor([[0.5, 0.5, 0.0, 0.0]])).item() == pytest.approx(math.log(2), abs=1e-7)
    assert entropy(torch.tensor([[0.0, 1.0, 0.0]])).tolist() == [0.0]
    assert not bool(entropy(torch.eye(3)).signbit().any())  # which would be written as -0.0


def test_probabilities_that_underflow_are_not_nan():
    probs = torch.tensor([[0.0, 0.0, -200.0, -200.0]]).softmax(-1)
    assert probs[0, 2] == 0  # float32 has nothing that small
    assert entropy(probs).item() == pytest.approx(math.log(2), abs=1e-6)


def test_the_uniform_distribution():
    for n_classes in [2, 3, 10, 1000]:
        probs = torch.full((2, n_classes), 1 / n_classes, dtype=torch.float64)
        np.testing.assert_allclose(entropy(probs).numpy(), math.log(n_classes), rtol=1e-12, err_msg=str(n_classes))
        assert margin(probs).tolist() == [0, 0], n_classes
        np.testing.assert_allclose(confidence(probs).numpy(), 1 / n_classes, err_msg=str(n_classes))


def test_bald_of_crafted_samples():
    disagree = [[1.0, 0.0], [0.0, 1.0]]  # each sample is certain, of another class
    vague = [[0.5, 0.5], [0.5, 0.5]]  # every sample is vague
    agree = [[0.9, 0.1], [0.9, 0.1]]
    score = bald(torch.tensor([disagree, vague, agree], dtype=torch.float64))
    np.testing.assert_allclose(score.numpy(), [math.log(2), 0, 0], atol=1e-15)
    assert entropy(torch.tensor([disagree, vague]).mean(1)).tolist() == pytest.approx([math.log(2)] * 2)


def test_bald_of_equal_samples_is_exactly_zero():
    """The rounding of two sums must not rank the rows."""
    for dtype, classes in itertools.product([torch.float32, torch.float64], [2, 10, 1000]):
        generator = torch.Generator().manual_seed(0)
        probs = (4 * torch.randn(500, 1, classes, generator=generator, dtype=dtype)).softmax(-1)
        assert not bald(probs.expand(-1, 10, -1)).any(), (dtype, classes)
        apart = torch.cat([probs, probs.flip(-1)], 1)
        assert (bald(apart) > 0).all(), (dtype, classes)


def test_bald_of_many_certain_samples_is_the_entropy_of_their_votes():
    votes = np.random.default_rng(0).multinomial(1, [0.5, 0.3, 0.2], size=(4, 30)).astype(float)  # (N, K, C)
    expected = scipy.stats.entropy(votes.mean(1), axis=-1)
    np.testing.assert_allclose(bald(torch.from_numpy(votes)).numpy(), expected, atol=1e-12)


def test_two_classes_have_one_order():
    p = np.random.default_rng(0).uniform(size=300)
    probs = torch.from_numpy(np.stack([p, 1 - p], 1))
    order = (-entropy(probs)).argsort().tolist()
    assert order == margin(probs).argsort().tolist() == confidence(probs).argsort().tolist()
    assert order == np.argsort(np.abs(p - 0.5)).tolist()


def test_three_classes_have_three_orders():
    rows = {"entropy": [0.46, 0.27, 0.27], "margin": [0.49, 0.48, 0.03], "confidence": [0.45, 0.40, 0.15]}
    probs = torch.tensor(list(rows.values()), dtype=torch.float64)
    first = {
        "entropy": int(entropy(probs).argmax()),
        "margin": int(margin(probs).argmin()),
        "confidence": int(confidence(probs).argmin()),
    }
    assert first == {"entropy": 0, "margin": 1, "confidence": 2}


def test_any_leading_axes():
    for score in [entropy, margin, confidence]:
        probs = torch.rand(3, 4, 5, generator=torch.Generator().manual_seed(0)).softmax(-1)
        assert score(probs).shape == (3, 4), score
        assert torch.equal(score(probs)[1], score(probs[1])), score
        assert score(probs[:0]).shape == (0, 4), score


def test_blocks_are_not_part_of_the_answer(monkeypatch):
    for score, rows in itertools.product([entropy, margin, bald, mean_std], [1, 7, 10**6]):
        with monkeypatch.context() as patch:
            probs = torch.randn(30, 4, 5, generator=torch.Generator().manual_seed(0)).softmax(-1)
            patch.setattr(uncertainty, "_BLOCK_BYTES", rows * 4 * 4 * 5)
            assert torch.equal(score(probs), torch.stack([score(one[None])[0] for one in probs])), (score, rows)


@pytest.mark.parametrize("score", [entropy, margin, bald, mean_std])
def test_what_is_computed_on_the_way_is_a_block(score, monkeypatch):
    monkeypatch.setattr(uncertainty, "_BLOCK_BYTES", 4096)
    probs = torch.randn(500, 8, 16, generator=torch.Generator().manual_seed(0)).softmax(-1)

    class Largest(TorchDispatchMode):
        n_bytes = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            result = func(*args, **(kwargs or {}))
            if isinstance(result, torch.Tensor) and result.untyped_storage().data_ptr() != storage:
                self.n_bytes = max(self.n_bytes, result.nbytes)
            return result

    storage = probs.untyped_storage().data_ptr()
    with Largest() as largest:
        found = score(probs)
    assert 0 < largest.n_bytes <= max(4096, found.nbytes)


def test_half_precision():
    for score, dtype in itertools.product([entropy, margin, confidence, bald], [torch.float16, torch.bfloat16]):
        probs = torch.randn(50, 6, 9, generator=torch.Generator().manual_seed(0)).softmax(-1).to(dtype)
        probs[0, 0], probs[1, 0] = torch.eye(9, dtype=dtype)[2], 1 / 9
        found = score(probs)
        assert found.dtype == torch.float32, (score, dtype)
        np.testing.assert_allclose(found.double(), score(probs.double()), atol=0.03, err_msg=str((score, dtype)))


def test_equal_largest_probabilities_have_no_margin():
    assert margin(torch.tensor([[0.4, 0.2, 0.4], [0.2, 0.4, 0.4], [0.5, 0.5, 0.0]])).tolist() == [0, 0, 0]


def test_one_class_has_no_margin(subtests):
    for shape in [(), (1,), (3, 1)]:
        with subtests.test(shape=shape), pytest.raises(InvalidInput, match="at least two classes"):
            margin(torch.ones(shape))
        with subtests.test(shape=shape), pytest.raises(InvalidInput, match="at least two classes"):
            ratio_of_confidence(torch.ones(shape))


def test_one_row_alone():
    for score in [entropy, margin, confidence]:
        probs = torch.tensor([0.7, 0.2, 0.1])
        assert score(probs).shape == (), score
        assert score(probs) == score(probs[None])[0], score


def test_the_argument_stays_as_it_was():
    for score in [entropy, margin, confidence, bald]:
        probs = torch.rand(3, 4, 5, generator=torch.Generator().manual_seed(0)).softmax(-1)
        before = probs.clone()
        score(probs)
        assert torch.equal(probs, before), score


def test_vote_entropy_counts_the_votes():
    probs = torch.randn(50, 7, 4, generator=torch.Generator().manual_seed(0)).softmax(-1)
    votes = [np.bincount(row, minlength=4) / 7 for row in probs.argmax(2).numpy()]
    expected = [scipy.stats.entropy(share) for share in votes]
    assert vote_entropy(probs).tolist() == pytest.approx(expected, abs=1e-6)
    tied = torch.tensor([[[0.5, 0.5], [0.4, 0.6]]])  # the first member votes for its first class
    assert vote_entropy(tied).tolist() == pytest.approx([math.log(2)])
