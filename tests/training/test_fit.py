"""The training loop against hand-written loops, brute force, and the promises of its docstrings."""

from __future__ import annotations

import random
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F
from torch.utils.data import Dataset, IterableDataset, TensorDataset

from distil.errors import InvalidInput, UnsupportedModel
from distil.rng import Rng
from distil.training import fit as loop
from distil.training import minibatches
from distil.training.config import FitConfig
from distil.training.fit import FitResult, fit, fit_dataset, saturated
from distil.training.minibatches import sizes_of

RNG = Rng(7).child("test")


def blobs(n=60, classes=3, dims=5, seed=0, dtype=torch.float64):
    g = torch.Generator().manual_seed(seed)
    y = torch.randint(classes, (n,), generator=g)
    return torch.randn(n, dims, generator=g, dtype=dtype) + 1.5 * F.one_hot(y, dims).to(dtype), y


def net(*layers, seed=0, dtype=torch.float64, dims=5, classes=3):
    with Rng(seed).scope():
        return nn.Sequential(nn.Linear(dims, 16), *layers, nn.ReLU(), nn.Linear(16, classes)).to(dtype)


def weights_of(module):
    return [p.detach().clone() for p in module.parameters()]


def close(a, b, **options):
    for p, q in zip(weights_of(a), weights_of(b), strict=True):
        torch.testing.assert_close(p, q, **options)


def same(a, b):
    close(a, b, rtol=0, atol=0)


def differ(a, b):
    return any(not torch.equal(p, q) for p, q in zip(weights_of(a), weights_of(b), strict=True))


def by_hand(module, x, y, config, rng, optimizer, weights=None):
    """The documented training, written out; running accuracies and losses."""
    order = rng.child("order").torch()
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=config.n_epoch)
    accuracies, losses = [], []
    for _ in range(config.n_epoch):
        hits, total = 0, 0.0
        rows = torch.randperm(len(x), generator=order)
        for start in range(0, len(x), config.batch_size):
            batch = rows[start : start + config.batch_size]
            optimizer.zero_grad()
            logits = module(x[batch])
            if weights is None:
                loss = F.cross_entropy(logits, y[batch])
            else:
                each = F.cross_entropy(logits, y[batch], reduction="none")
                loss = (each * weights[batch]).sum() / weights[batch].sum()
            loss.backward()
            optimizer.step()
            hits += (logits.argmax(1) == y[batch]).sum().item()
            total += loss.item() * len(batch)
        if config.schedule == "cosine":
            scheduler.step()
        accuracies.append(hits / len(x))
        losses.append(total / len(x))
    return accuracies, losses


# -- learning --------------------------------------------------------------------------------------------------


def test_learns_digits():
    digits = load_digits()
    x, y = torch.tensor(digits.data / 16, dtype=torch.float32), torch.tensor(digits.target)
    module = net(dtype=torch.float32, dims=64, classes=10)
    config = FitConfig(lr=0.05, batch_size=16, n_epoch=60, max_accuracy=0.99, window_size=None)
    result = fit(module, x[:600], y[:600], config, num_classes=10, rng=RNG)
    assert result.stopped == "max_accuracy"
    assert result.accuracies[-1] >= 0.99
    assert result.losses[-1] < 0.1 * result.losses[0]
    assert result.n_epochs == len(result.accuracies) == len(result.losses)
    with torch.no_grad():
        assert (module(x[600:]).argmax(1) == y[600:]).double().mean() > 0.88


OPTIMIZERS = {
    "sgd": lambda params: torch.optim.SGD(params, lr=0.02, momentum=0.9, weight_decay=5e-4),
    "adam": lambda params: torch.optim.Adam(params, lr=0.02, weight_decay=0.0),
    "adamw": lambda params: torch.optim.AdamW(params, lr=0.02, weight_decay=0.01),
}


def test_equals_a_loop_written_by_hand(case):
    for schedule in ["cosine", "constant"]:
        for optimizer in sorted(OPTIMIZERS):
            with case(schedule, optimizer):
                x, y = blobs()
                config = FitConfig(
                    lr=0.02, batch_size=16, n_epoch=8, optimizer=optimizer, schedule=schedule, window_size=None
                )
                ours, theirs = net(), net()
                result = fit(ours, x, y, config, num_classes=3, rng=RNG)
                accuracies, losses = by_hand(theirs, x, y, config, RNG, OPTIMIZERS[optimizer](theirs.parameters()))
                close(ours, theirs, rtol=1e-9, atol=1e-9)
                assert result.accuracies == pytest.approx(accuracies, abs=1e-12)
                assert result.losses == pytest.approx(losses, rel=1e-9)
                assert (result.stopped, result.n_epochs) == ("n_epoch", 8)


def test_momentum_and_weight_decay_are_used(case):
    for config, make in [
        (FitConfig(momentum=0.0, weight_decay=0.0), lambda p: torch.optim.SGD(p, lr=0.01)),
        (FitConfig(momentum=0.5, weight_decay=0.1), lambda p: torch.optim.SGD(p, 0.01, 0.5, weight_decay=0.1)),
        (FitConfig(optimizer="adam", weight_decay=0.1), lambda p: torch.optim.Adam(p, 0.01, weight_decay=0.1)),
        (FitConfig(optimizer="adamw", weight_decay=0.5), lambda p: torch.optim.AdamW(p, 0.01, weight_decay=0.5)),
    ]:
        with case(config, make):
            x, y = blobs()
            config = FitConfig(**{**vars(config), "n_epoch": 3, "batch_size": 16})
            ours, theirs = net(), net()
            fit(ours, x, y, config, num_classes=3, rng=RNG)
            by_hand(theirs, x, y, config, RNG, make(theirs.parameters()))
            close(ours, theirs, rtol=1e-9, atol=1e-9)


class Forked(nn.Module):
    """Uses one of two layers at random, so that the other has no gradient in that step."""

    def __init__(self):
        super().__init__()
        with Rng(0).scope():
            self.left, self.right = nn.Linear(5, 3).double(), nn.Linear(5, 3).double()
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return (self.left if self.calls % 3 else self.right)(x)


def test_parameters_without_a_gradient_stay(case):
    for optimizer in sorted(OPTIMIZERS):
        with case(optimizer):
            x, y = blobs()
            config = FitConfig(lr=0.02, batch_size=16, n_epoch=3, optimizer=optimizer, schedule="constant")
            ours, theirs = Forked(), Forked()
            fit(ours, x, y, config, num_classes=3, rng=RNG)
            by_hand(theirs, x, y, config, RNG, OPTIMIZERS[optimizer](theirs.parameters()))
            close(ours, theirs, rtol=1e-9, atol=1e-9)


def test_frozen_parameters_stay():
    x, y = blobs()
    module = net()
    module[0].requires_grad_(False)
    before = module[0].weight.clone()
    fit(module, x, y, FitConfig(n_epoch=2), num_classes=3, rng=RNG)
    assert torch.equal(module[0].weight, before)
    assert not module[0].weight.requires_grad
    module.requires_grad_(False)
    with pytest.raises(InvalidInput, match="expected a module with trainable parameters"):
        fit(module, x, y, FitConfig(n_epoch=2), num_classes=3, rng=RNG)


def test_sparse_gradients():
    ids, y = torch.arange(40).remainder(4)[:, None], torch.arange(40).remainder(4)
    with Rng(0).scope():
        module = nn.Sequential(nn.Embedding(4, 4, sparse=True), nn.Flatten())
    config = FitConfig(lr=0.5, batch_size=8, n_epoch=40, weight_decay=0.0, max_accuracy=1.0)
    assert fit(module, ids, y, config, num_classes=4, rng=RNG).accuracies[-1] == 1.0


def test_one_logit_is_the_binary_form():
    x, y = blobs(classes=2)
    config = FitConfig(lr=0.1, batch_size=16, n_epoch=5, momentum=0.0, weight_decay=0.0, schedule="constant")
    one, two = nn.Linear(5, 1).double(), nn.Linear(5, 2).double()
    with torch.no_grad():  # p(1) = sigmoid(z1 - z0): with z0 = -z1 = -z/2, the halved step gives the same path
        two.weight.copy_(torch.cat([-one.weight, one.weight]) / 2)
        two.bias.copy_(torch.cat([-one.bias, one.bias]) / 2)
    first = fit(one, x, y, config, num_classes=2, rng=RNG)
    halved = FitConfig(**{**vars(config), "lr": 0.05})
    second = fit(two, x, y, halved, num_classes=2, rng=RNG)
    assert first.losses == pytest.approx(second.losses)
    assert first.accuracies == second.accuracies
    torch.testing.assert_close(one.weight[0], two.weight[1] - two.weight[0])


def test_works_where_the_caller_has_gradients_off():
    x, y = blobs()
    a, b = net(), net()
    with torch.no_grad():
        fit(a, x, y, FitConfig(n_epoch=2), num_classes=3, rng=RNG)
        assert not torch.is_grad_enabled()
    fit(b, x, y, FitConfig(n_epoch=2), num_classes=3, rng=RNG)
    same(a, b)


def test_blocks_and_folds_change_nothing(monkeypatch):
    x, y = blobs()
    config, weights = FitConfig(n_epoch=4, batch_size=8), torch.rand(60, dtype=torch.float64) + 0.1
    whole, parts = net(), net()
    first = fit(whole, x, y, config, num_classes=3, rng=RNG, weights=weights, validation=(x, y))
    monkeypatch.setattr(minibatches, "_BLOCK_BYTES", 20 * 5 * 8)  # two minibatches of 8 and a bit
    monkeypatch.setattr(loop, "_HELD_LOGITS", 3 * 8 * 3)  # three minibatches
    second = fit(parts, x, y, config, num_classes=3, rng=RNG, weights=weights, validation=(x, y))
    same(whole, parts)
    assert first == second


# -- randomness ------------------------------------------------------------------------------------------------


def test_one_rng_one_result():
    x, y = blobs()
    config = FitConfig(n_epoch=3, batch_size=16)
    a, b, c = (net(nn.Dropout(0.5)) for _ in range(3))
    torch.manual_seed(1)
    first = fit(a, x, y, config, num_classes=3, rng=RNG)
    torch.manual_seed(2)
    assert fit(b, x, y, config, num_classes=3, rng=RNG) == first
    same(a, b)
    fit(c, x, y, config, num_classes=3, rng=RNG.child("other"))
    assert differ(a, c)


def test_global_generators_are_left_alone(case):
    for as_dataset in [False, True]:
        with case(as_dataset):
            x, y = blobs()
            torch.manual_seed(3)
            np.random.seed(3)  # noqa: NPY002
            random.seed(3)
            expected = torch.rand(3), np.random.rand(3), random.random()  # noqa: NPY002
            torch.manual_seed(3)
            np.random.seed(3)  # noqa: NPY002
            random.seed(3)
            config, module = FitConfig(n_epoch=2), net(nn.Dropout())
            if as_dataset:
                fit_dataset(module, TensorDataset(x, y), config, num_classes=3, rng=RNG)
            else:
                fit(module, x, y, config, num_classes=3, rng=RNG)
            assert torch.equal(torch.rand(3), expected[0])
            assert np.array_equal(np.random.rand(3), expected[1])  # noqa: NPY002
            assert random.random() == expected[2]


def test_arguments_are_left_alone():
    x, y = blobs()
    weights = torch.rand(60)
    copies = x.clone(), y.clone(), weights.clone()
    fit(net(), x, y, FitConfig(n_epoch=2), num_classes=3, rng=RNG, weights=weights, validation=(x, y))
    assert all(torch.equal(a, b) for a, b in zip((x, y, weights), copies, strict=True))


# -- stopping --------------------------------------------------------------------------------------------------


def test_max_accuracy_stops_at_the_first_epoch_that_reaches_it():
    x, y = blobs(n=200)
    config = FitConfig(lr=0.05, n_epoch=60, schedule="constant", window_size=None)
    unstopped = fit(net(), x, y, config, num_classes=3, rng=RNG).accuracies
    reached = sorted(unstopped)[30]  # exactly reached, in the middle of the training
    stopped = fit(net(), x, y, FitConfig(**{**vars(config), "max_accuracy": reached}), num_classes=3, rng=RNG)
    assert stopped.stopped == "max_accuracy"
    first = next(i for i, accuracy in enumerate(unstopped) if accuracy >= reached)
    assert 0 < first < 59
    assert stopped.accuracies == unstopped[: first + 1]


def test_saturation_equals_its_definition():
    draw = random.Random(0)
    seen = set()
    for _ in range(3000):
        # Few distinct values, so that gains of exactly min_diff occur.
        accuracies = [draw.randint(0, 4) / 4 for _ in range(draw.randint(1, 8))]
        accuracies = sorted(accuracies, reverse=True) if draw.random() < 0.4 else accuracies
        window, gain = draw.randint(2, 6), draw.choice([0.0, 0.1, 0.25, 0.3, 0.5])
        last = accuracies[-window:]
        expected = len(last) == window and not any(b - a >= gain for a, b in combinations(last, 2))
        assert saturated(accuracies, window, gain) is expected, (accuracies, window, gain)
        seen.add(expected)
    assert seen == {True, False}
    assert not saturated([0.5] * 100, None, 0.001)


def test_saturation_ends_a_training_that_learns_nothing():
    x, y = blobs()
    still = FitConfig(lr=1e-12, n_epoch=50, window_size=6)
    result = fit(net(), x, y, still, num_classes=3, rng=RNG)
    assert (result.stopped, result.n_epochs) == ("saturation", 6)
    never = FitConfig(lr=1e-12, n_epoch=15, window_size=None)
    assert fit(net(), x, y, never, num_classes=3, rng=RNG).stopped == "n_epoch"


def test_n_epoch_is_the_number_of_epochs():
    x, y = blobs()
    result = fit(net(), x, y, FitConfig(n_epoch=5), num_classes=3, rng=RNG)
    assert (result.n_epochs, result.stopped) == (5, "n_epoch")
    assert isinstance(result, FitResult)


def test_patience_restores_the_best_weights(case):
    for patience in [3, 1000]:
        with case(patience):
            x, y = blobs()
            held_out = blobs(n=150, seed=1)
            config = FitConfig(lr=0.3, n_epoch=25, schedule="constant", window_size=None, patience=patience)
            module = net(nn.BatchNorm1d(16))
            result = fit(module, x, y, config, num_classes=3, rng=RNG, validation=held_out)
            measured = result.validation_accuracies
            assert len(measured) == result.n_epochs
            best = measured.index(max(measured)) + 1
            assert best < result.n_epochs, "the test needs a training that gets worse"
            if patience == 3:
                assert (result.stopped, result.n_epochs) == ("patience", best + 3)
            else:
                assert result.stopped == "n_epoch"
            shorter = net(nn.BatchNorm1d(16))
            fit(
                shorter,
                x,
                y,
                FitConfig(**{**vars(config), "n_epoch": best, "patience": None}),
                num_classes=3,
                rng=RNG,
            )
            same(module, shorter)
            for ours, theirs in zip(module.buffers(), shorter.buffers(), strict=True):
                assert torch.equal(ours, theirs)
            module.eval()
            right = (module(held_out[0]).argmax(1) == held_out[1]).double().mean().item()
            assert right == pytest.approx(max(measured))


def test_patience_needs_validation():
    x, y = blobs()
    with pytest.raises(InvalidInput, match="validation"):
        fit(net(), x, y, FitConfig(patience=2), num_classes=3, rng=RNG)


def test_validation_alone_changes_nothing():
    x, y = blobs()
    a, b = net(nn.Dropout(), nn.BatchNorm1d(16)), net(nn.Dropout(), nn.BatchNorm1d(16))
    fit(a, x, y, FitConfig(n_epoch=3), num_classes=3, rng=RNG)
    fit(b, x, y, FitConfig(n_epoch=3), num_classes=3, rng=RNG, validation=blobs(n=9, seed=2))
    same(a, b)


# -- minibatches -----------------------------------------------------------------------------------------------


def seen_sizes(module, x, y, config, **options):
    sizes = []

    def note(batch, generator):
        sizes.append(len(batch))
        return batch

    fit(module, x, y, config, num_classes=3, rng=RNG, augment=note, **options)
    return sizes


def test_sizes():
    for n in range(1, 30):
        for batch in range(1, 9):
            for join in (False, True):
                sizes = sizes_of(n, batch, join_last=join)
                assert sum(sizes) == n
                assert all(size == batch for size in sizes[:-1])
                assert 1 <= sizes[-1] <= batch + join
                assert not (join and sizes[-1] == 1 and len(sizes) > 1 and batch > 1)


def test_last_minibatch_of_one_joins_the_one_before_under_batch_norm():
    x, y = blobs(n=33)
    config = FitConfig(batch_size=16, n_epoch=2)
    assert seen_sizes(net(nn.BatchNorm1d(16)), x, y, config) == [16, 17] * 2
    assert seen_sizes(net(), x, y, config) == [16, 16, 1] * 2
    assert seen_sizes(net(nn.BatchNorm1d(16)), x[:20], y[:20], config) == [16, 4] * 2


def test_one_example_under_batch_norm_is_refused(case):
    for n, batch_size in [(1, 16), (5, 1)]:
        with case(n, batch_size):
            x, y = blobs(n=n)
            module = net(nn.BatchNorm1d(16)).eval()
            with pytest.raises(InvalidInput, match="at least 2 examples"):
                fit(module, x, y, FitConfig(batch_size=batch_size), num_classes=3, rng=RNG)
            assert not module.training


def test_one_image_under_batch_norm_is_fine():
    # There are as many values per channel as pixels.
    module = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 16, 3))
    fit(module, torch.rand(1, 1, 6, 6), torch.tensor([2]), FitConfig(n_epoch=2), num_classes=3, rng=RNG)


def test_other_value_errors_are_not_rewritten():
    def broken(module, x):
        raise ValueError("mine")

    with pytest.raises(ValueError, match=r"^mine$"):
        fit(net(), *blobs(n=1), FitConfig(), num_classes=3, rng=RNG, read=broken)


def test_other_value_errors_of_modules_with_batch_norm_are_not_rewritten():
    def broken(module, x):
        raise ValueError("more than 1 value per channel, says mine")

    module = net(nn.BatchNorm1d(16))
    with pytest.raises(ValueError, match=r"says mine$"):
        fit(module, *blobs(n=1), FitConfig(), num_classes=3, rng=RNG, read=broken)
    assert not any(part._forward_pre_hooks for part in module.modules())


def test_a_seed_is_an_rng(case):
    for seed in [3, np.int64(3)]:
        with case(seed):
            x, y = blobs()
            one, two = net(), net()
            fit(one, x, y, FitConfig(n_epoch=2), num_classes=3, rng=Rng(3))
            fit(two, x, y, FitConfig(n_epoch=2), num_classes=3, rng=seed)
            assert all(torch.equal(p, q) for p, q in zip(one.parameters(), two.parameters(), strict=True))
            with pytest.raises(InvalidInput, match="a seed must be a whole number, got 'a'"):
                fit(one, x, y, FitConfig(n_epoch=2), num_classes=3, rng="a")


def test_augment_sees_every_minibatch_with_a_generator_of_its_own():
    x, y = blobs()
    config = FitConfig(n_epoch=3, batch_size=16)
    draws, generators = [], set()

    def augment(batch, generator):
        generators.add(id(generator))
        draws.append(torch.rand((), generator=generator).item())
        return batch

    drawn, undrawn = net(nn.Dropout()), net(nn.Dropout())
    fit(drawn, x, y, config, num_classes=3, rng=RNG, augment=augment, validation=(x, y))
    own = RNG.child("augment").torch()
    assert draws == [torch.rand((), generator=own).item() for _ in range(3 * 4)]
    assert len(generators) == 1
    fit(undrawn, x, y, config, num_classes=3, rng=RNG)
    same(drawn, undrawn)


def test_augment_comes_before_transform_and_spares_validation():
    x, y = blobs()
    calls = []

    def augment(batch, generator):
        calls.append("augment")
        return batch.mul(2)

    def transform(batch):
        calls.append("transform")
        return batch + 1

    a, b = net(), net()
    config = FitConfig(n_epoch=1, batch_size=64)
    one = fit(a, x, y, config, num_classes=3, rng=RNG, augment=augment, transform=transform, validation=(x, y))
    assert calls == ["augment", "transform", "transform"]
    two = fit(b, 2 * x + 1, y, config, num_classes=3, rng=RNG, validation=(x + 1, y))
    same(a, b)
    assert one == two


# -- weights ---------------------------------------------------------------------------------------------------


def test_weights_equal_a_loop_written_by_hand():
    x, y = blobs()
    weights = torch.rand(60, dtype=torch.float64) + 0.01
    config = FitConfig(lr=0.02, n_epoch=5, batch_size=16)
    ours, theirs = net(), net()
    result = fit(ours, x, y, config, num_classes=3, rng=RNG, weights=weights)
    _, losses = by_hand(theirs, x, y, config, RNG, OPTIMIZERS["sgd"](theirs.parameters()), weights)
    close(ours, theirs, rtol=1e-9, atol=1e-9)
    assert result.losses == pytest.approx(losses)


def test_weight_zero_is_absence(case):
    for as_dataset in [False, True]:
        with case(as_dataset):
            x, y = blobs()
            kept = torch.arange(60) % 3 > 0
            a, b = net(nn.BatchNorm1d(16)), net(nn.BatchNorm1d(16))
            config = FitConfig(n_epoch=4, batch_size=16)
            if as_dataset:
                one = fit_dataset(a, TensorDataset(x, y), config, num_classes=3, rng=RNG, weights=kept.long())
            else:
                one = fit(a, x, y, config, num_classes=3, rng=RNG, weights=kept.long())
            two = fit(b, x[kept], y[kept], config, num_classes=3, rng=RNG, weights=torch.ones(40))
            same(a, b)
            assert one == two


def test_impossible_weights(case):
    for weights in [
        torch.ones(59),
        torch.ones(60, 1),
        torch.zeros(60),
        -torch.ones(60),
        torch.full((60,), torch.nan),
        torch.full((60,), torch.inf),
        [1.0] * 60,
    ]:
        with case(weights), pytest.raises(InvalidInput, match="weights"):
            fit(net(), *blobs(), FitConfig(), num_classes=3, rng=RNG, weights=weights)


# -- data sets -------------------------------------------------------------------------------------------------


class Described(Dataset):
    """Examples whose input is a dictionary, with something after the label."""

    def __init__(self, x, y):
        self.x, self.y = x, y

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return {"pair": (self.x[i, :2], self.x[i, 2:]), "name": str(i)}, int(self.y[i]), i


def joined(module, x):
    return module(torch.cat(x["pair"], dim=1))


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # of worker processes, newer Pythons
@pytest.mark.parametrize("num_workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_data_set_equals_tensors(num_workers):
    x, y = blobs(n=33)
    validation = blobs(n=12, seed=1)
    config = FitConfig(n_epoch=4, batch_size=8, patience=2)
    weights = torch.rand(33, dtype=torch.float64)
    a, b, c = (net(nn.Dropout(), nn.BatchNorm1d(16)) for _ in range(3))
    options = {"num_classes": 3, "rng": RNG, "weights": weights}
    one = fit(a, x, y, config, validation=validation, **options)
    two = fit_dataset(
        b,
        TensorDataset(x, y),
        config,
        validation=TensorDataset(*validation),
        num_workers=num_workers,
        **options,
    )
    three = fit_dataset(
        c,
        Described(x, y),
        config,
        validation=Described(*validation),
        read=joined,
        num_workers=num_workers,
        **options,
    )
    same(a, b)
    same(a, c)
    assert one == two == three


class Noisy(Dataset):
    """A data set that draws from the global generators."""

    def __len__(self):
        return 20

    def __getitem__(self, i):
        return torch.randn(5).double() + random.random() + np.random.rand(), i % 3  # noqa: NPY002


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # of worker processes, newer Pythons
@pytest.mark.parametrize("num_workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_randomness_inside_the_data_set_comes_from_rng(num_workers):
    a, b = net(), net()
    for module, seed in ((a, 1), (b, 2)):
        torch.manual_seed(seed)
        random.seed(seed)
        fit_dataset(module, Noisy(), FitConfig(n_epoch=2), num_classes=3, rng=RNG, num_workers=num_workers)
    same(a, b)


class Stream(IterableDataset):
    def __iter__(self):
        yield torch.zeros(5), 0


def test_data_sets_that_cannot_be_asked_by_row(case):
    for dataset in [Stream(), TensorDataset(torch.zeros(0, 5)), object()]:
        with case(dataset), pytest.raises(InvalidInput, match="map-style"):
            fit_dataset(net(), dataset, FitConfig(), num_classes=3, rng=RNG)


def test_data_sets_without_labels_or_with_wrong_ones():
    x, y = blobs()
    for dataset, message in (
        (TensorDataset(x), "examples"),
        (x, "examples"),
        (TensorDataset(x, x), "whole numbers"),
        (TensorDataset(x, y + 5), r"labels of dataset.*from"),
    ):
        with pytest.raises(InvalidInput, match=message):
            fit_dataset(net(), dataset, FitConfig(), num_classes=3, rng=RNG)


# -- refusals --------------------------------------------------------------------------------------------------


def test_labels_outside_the_classes():
    x, y = blobs()
    with pytest.raises(InvalidInput, match=r"y: .*0\.\.2 .*from 0 to 7"):
        fit(net(), x, torch.cat([y[:-1], torch.tensor([7])]), FitConfig(), num_classes=3, rng=RNG)
    with pytest.raises(InvalidInput, match="from -1 to 2"):
        fit(net(), x, torch.cat([y[:-1], torch.tensor([-1])]), FitConfig(), num_classes=3, rng=RNG)
    with pytest.raises(InvalidInput, match=r"validation\[1\]"):
        fit(net(), x, y, FitConfig(), num_classes=3, rng=RNG, validation=(x, y + 3))


def test_absent_classes_are_normal():
    x, y = blobs(classes=2)
    result = fit(net(classes=9), x, y.to(torch.uint8), FitConfig(n_epoch=3), num_classes=9, rng=RNG)
    assert result.n_epochs == 3


def test_head_of_another_width(case):
    for width, num_classes in [(3, 4), (4, 3), (1, 3)]:
        with case(width, num_classes):
            x, y = blobs()
            with pytest.raises(InvalidInput, match=rf"\(60, {num_classes}\).*\(60, {width}\)"):
                fit(net(classes=width), x, y, FitConfig(batch_size=60), num_classes=num_classes, rng=RNG)


def test_impossible_numbers_of_classes(case):
    for num_classes in [1, 0, True, 3.0, None]:
        with case(num_classes), pytest.raises(InvalidInput, match="num_classes"):
            fit(net(), *blobs(), FitConfig(), num_classes=num_classes, rng=RNG)


def test_shapes_and_values_that_cannot_be_right():
    x, y = blobs()
    bad = x.clone()
    bad[3, 2] = torch.nan
    endless = x.clone()
    endless[0, 0] = -torch.inf
    for inputs, labels, message in (
        (x, y[:-1], r"\(60, 5\) and \(59,\)"),
        (x[:0], y[:0], "at least 1"),
        (x[:, :0], y, "at least 1"),
        (x, y[:, None], "y: expected whole numbers"),
        (x, y.float(), "float32"),
        (bad, y, "x: .*NaN"),
        (endless, y, "x: .*infinity"),
        (x.numpy(), y, "x: expected a tensor"),
        (x, y.tolist(), "y: expected a tensor"),
    ):
        with pytest.raises(InvalidInput, match=message):
            fit(net(), inputs, labels, FitConfig(), num_classes=3, rng=RNG)


def test_divergence_is_an_error(case):
    for n_epoch in [1, 40]:
        with case(n_epoch):
            x, y = blobs(n=32, dtype=torch.float32)
            module = net(dtype=torch.float32).eval()
            config = FitConfig(lr=1e38, n_epoch=n_epoch, batch_size=32, window_size=None)
            with pytest.raises(InvalidInput, match=r"epoch \d.*lower FitConfig.lr"):
                fit(module, 1000 * x, y, config, num_classes=3, rng=RNG)
            assert not module.training
            assert all(p.grad is None for p in module.parameters())


class Pair(nn.Module):
    def __init__(self, inner, pack):
        super().__init__()
        self.inner, self.pack = inner, pack

    def forward(self, x):
        return self.pack(self.inner(x))


def test_outputs_and_read():
    x, y = blobs()
    config = FitConfig(n_epoch=2)
    a, b, c = net(), net(), net()
    fit(a, x, y, config, num_classes=3, rng=RNG)
    fit(Pair(b, lambda out: (out, x)), x, y, config, num_classes=3, rng=RNG)
    named = Pair(c, lambda out: {"logits": out})
    fit(named, x, y, config, num_classes=3, rng=RNG, read=lambda module, batch: module(batch)["logits"])
    same(a, b)
    same(a, c)
    d = net()
    fit(Pair(d, lambda out: {"logits": out}), x, y, config, num_classes=3, rng=RNG)
    same(a, d)
    with pytest.raises(UnsupportedModel, match=r"cannot read logits .*dict of scores.*pass logits="):
        fit(Pair(net(), lambda out: {"scores": out}), x, y, config, num_classes=3, rng=RNG)


# -- another loss ----------------------------------------------------------------------------------------------


def smoothed(logits, y, reduction="mean"):
    return F.cross_entropy(logits, y, label_smoothing=0.1, reduction=reduction)


def test_the_loss_by_name_is_the_default():
    x, y = blobs()
    config = FitConfig(n_epoch=4, batch_size=16, window_size=None)
    a, b = net(), net()
    one = fit(a, x, y, config, num_classes=3, rng=RNG)
    two = fit(b, x, y, config, num_classes=3, rng=RNG, loss=F.cross_entropy)
    same(a, b)
    assert one == two


@pytest.mark.parametrize(("reduction", "weighted"), [("mean", False), ("none", False), ("none", True)])
def test_another_loss_equals_a_loop_written_by_hand(reduction, weighted):
    x, y = blobs()
    w = torch.rand(60, generator=torch.Generator().manual_seed(1), dtype=torch.float64) if weighted else None
    config = FitConfig(lr=0.05, n_epoch=5, batch_size=60, schedule="constant", momentum=0.0, weight_decay=0.0)

    def loss(logits, labels):
        return smoothed(logits, labels, reduction)

    a, b, c = net(), net(), net()
    result = fit(a, x, y, config, num_classes=3, rng=RNG, loss=loss, weights=w)
    losses = []
    for _ in range(5):
        b.zero_grad()
        each = smoothed(b(x), y, "none")
        total = each.mean() if w is None else (each * w).sum() / w.sum()
        total.backward()
        losses.append(total.item())
        with torch.no_grad():
            for p in b.parameters():
                p -= 0.05 * p.grad
    close(a, b, rtol=1e-9, atol=1e-9)
    assert result.losses == pytest.approx(losses, rel=1e-9)
    fit_dataset(c, TensorDataset(x, y), config, num_classes=3, rng=RNG, loss=loss, weights=w)
    same(a, c)


def test_a_loss_for_one_logit():
    x, y = blobs(classes=2)
    a, b = net(classes=1), net(classes=1)
    config = FitConfig(n_epoch=3)
    fit(a, x, y, config, num_classes=2, rng=RNG)

    def loss(logits, labels):
        assert logits.shape == (len(labels), 1)
        return F.binary_cross_entropy_with_logits(logits[:, 0], labels.to(logits.dtype))

    fit(b, x, y, config, num_classes=2, rng=RNG, loss=loss)
    same(a, b)


def test_losses_of_another_shape():
    x, y = blobs()
    one = torch.ones(60, dtype=torch.float64)
    for loss, weights, message in (
        (lambda o, t: o, None, r"losses of shape \(60,\), or one number, .* got shape \(60, 3\)"),
        (lambda o, t: 0.5, None, ".* or one number, .* got float"),
        (lambda o, t: o.mean(), one, r"losses of shape \(60,\), one to each weight, .* got shape \(\)"),
    ):
        module = net()
        with pytest.raises(InvalidInput, match="loss: expected " + message):
            fit(module, x, y, FitConfig(batch_size=60), num_classes=3, rng=RNG, loss=loss, weights=weights)
        assert all(p.grad is None for p in module.parameters())


# -- the module afterwards -------------------------------------------------------------------------------------


class Stop(BaseException):
    pass


@pytest.mark.parametrize("error", [None, KeyboardInterrupt, Stop, RuntimeError])
def test_modes_and_gradients_are_restored(error):
    x, y = blobs()
    module = net(nn.Dropout(), nn.BatchNorm1d(16)).eval()
    module[1].train()
    module[0].weight.grad = torch.ones_like(module[0].weight)
    modes = [m.training for m in module.modules()]
    calls = []

    def read(inner, batch):
        calls.append([m.training for m in module.modules()])
        if error is not None and len(calls) == 3:
            raise error
        return inner(batch)

    def train():
        fit(module, x, y, FitConfig(n_epoch=2, batch_size=16), num_classes=3, rng=RNG, read=read)

    if error is None:
        train()
    else:
        with pytest.raises(error):
            train()
    assert all(all(call) for call in calls)
    assert [m.training for m in module.modules()] == modes
    assert all(p.grad is None and p.requires_grad for p in module.parameters())


def test_old_gradients_have_no_influence():
    x, y = blobs()
    a, b = net(), net()
    for p in a.parameters():
        p.grad = torch.full_like(p, 1e3)
    for module in (a, b):
        fit(module, x, y, FitConfig(n_epoch=1), num_classes=3, rng=RNG)
    same(a, b)


def test_bar_is_silent_without_a_terminal(capsys):
    fit(net(), *blobs(), FitConfig(n_epoch=2), num_classes=3, rng=RNG, progress=True)
    assert capsys.readouterr() == ("", "")


# -- precision and devices -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("amp", "expected"), [(True, torch.bfloat16), (False, None), ("auto", None)])
def test_amp_on_a_cpu(amp, expected):
    x, y = blobs(dtype=torch.float32)
    module = net(dtype=torch.float32)
    seen = set()

    def read(inner, batch):
        out = inner(batch)
        seen.add(out.dtype)
        return out

    config = FitConfig(lr=0.05, n_epoch=20, batch_size=16, amp=amp)
    result = fit(module, x, y, config, num_classes=3, rng=RNG, read=read, validation=(x, y))
    assert seen == {expected or torch.float32}
    assert all(p.dtype == torch.float32 for p in module.parameters())
    assert result.validation_accuracies[-1] > 0.7


def test_half_precision_module():
    x, y = blobs(dtype=torch.bfloat16)
    result = fit(net(dtype=torch.bfloat16), x, y, FitConfig(lr=0.05, n_epoch=20), num_classes=3, rng=RNG)
    assert result.losses[-1] < result.losses[0]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no accelerator")
def test_accelerator_equals_cpu(case):
    for optimizer in sorted(OPTIMIZERS):
        with case(optimizer):
            x, y = blobs()
            config = FitConfig(lr=0.02, n_epoch=5, batch_size=16, optimizer=optimizer, amp=False)
            a, b = net(), net()
            one = fit(a, x, y, config, num_classes=3, rng=RNG, validation=(x, y))
            two = fit(b, x, y, config, num_classes=3, rng=RNG, validation=(x, y), device="cuda")
            assert next(b.parameters()).device.type == "cuda"
            close(a, b.cpu(), rtol=1e-8, atol=1e-8)
            assert one.accuracies == pytest.approx(two.accuracies, abs=1e-6)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no accelerator")
def test_the_weights_of_a_loss_come_along():
    x, y = blobs(dtype=torch.float32)
    criterion = nn.CrossEntropyLoss(torch.tensor([1.0, 2.0, 3.0]))
    module = net(dtype=torch.float32)
    assert fit(module, x, y, FitConfig(n_epoch=2), num_classes=3, rng=RNG, loss=criterion, device="cuda").n_epochs == 2


# -- the configuration -----------------------------------------------------------------------------------------


def test_config_refuses(case):
    for field, values in [
        ("lr", [0, -1, float("nan"), float("inf"), "0.1", None, True, 10**400, Fraction(1, 10**400)]),
        ("batch_size", [0, 2.5, None, True]),
        ("n_epoch", [0, -3, "5", 1.0]),
        ("optimizer", ["sdg", None, ["sgd"], np.array(["sgd", "adam"])]),
        ("momentum", [1, -0.1, None]),
        ("weight_decay", [-1e-9, "0"]),
        ("schedule", ["cos", None]),
        ("max_accuracy", [0, 99, -1, "0.99"]),
        ("min_diff_acc", [-0.1, None]),
        ("window_size", [1, 0, 2.0]),
        ("patience", [0, 1.5]),
        ("amp", ["bf16", None, 1, np.array(["auto", "auto"])]),
    ]:
        with case(field, values):
            for value in values:
                with pytest.raises(InvalidInput, match=rf"^FitConfig\.{field}: expected .*, got ") as caught:
                    FitConfig(**{field: value})
                assert repr(value) in str(caught.value)


def test_config_offers_the_nearest_and_accepts_numpy():
    with pytest.raises(InvalidInput, match="did you mean 'adamw'"):
        FitConfig(optimizer="adaamw")
    config = FitConfig(lr=np.float32(0.02), batch_size=np.int64(16), n_epoch=np.int64(2))
    fit(net(), *blobs(), config, num_classes=np.int64(3), rng=RNG)
    assert all(type(value) in (int, float, str) or value is None for value in vars(config).values())
    assert [FitConfig(optimizer=name).decay for name in ("sgd", "adam", "adamw")] == [5e-4, 0.0, 0.01]
    assert FitConfig(weight_decay=0.0).decay == 0.0


# --- the precision of inputs ----------------------------------------------------------------------------------------


def test_inputs_are_brought_to_the_precision_of_the_module(case):
    """Tensors and data sets, training and validation data, after the transform as well: as if they had come in it."""
    for given in [torch.float64, torch.float32, torch.bfloat16]:
        for dtype in [torch.float64, torch.float32]:
            with case(given, dtype):
                x, y = blobs(dtype=torch.bfloat16)
                config, modules = FitConfig(n_epoch=2, batch_size=8), [net(dtype=dtype) for _ in range(4)]
                options = {"num_classes": 3, "rng": RNG}
                fit(modules[0], x.to(dtype), y, config, validation=(x.to(dtype), y), **options)
                fit(modules[1], x.to(given), y, config, validation=(x.to(given), y), **options)
                fit_dataset(modules[2], TensorDataset(x.to(given), y), config, **options)
                fit(modules[3], x.to(given), y, config, transform=lambda batch: batch.double(), **options)
                for module in modules[1:]:
                    same(module, modules[0])
                    assert module[0].weight.dtype == dtype


def test_inputs_in_dictionaries_are_brought_to_it_and_tokens_stay():
    x, y = blobs(dtype=torch.float64)
    seen = set()

    def read(module, batch):
        seen.update((name, value.dtype) for name, value in batch.items())
        return module(batch["x"])

    items = [({"x": row, "tokens": torch.arange(3)}, int(label)) for row, label in zip(x, y, strict=True)]
    fit_dataset(net(dtype=torch.float32), items, FitConfig(n_epoch=1), num_classes=3, rng=RNG, read=read)
    assert seen == {("x", torch.float32), ("tokens", torch.int64)}


def test_lists_of_numbers_are_rows():
    x, y = blobs(dtype=torch.float32)
    one, two, config = net(dtype=torch.float32), net(dtype=torch.float32), FitConfig(n_epoch=2)
    fit(one, x, y, config, num_classes=3, rng=RNG)
    fit_dataset(two, list(zip(x.tolist(), y.tolist(), strict=True)), config, num_classes=3, rng=RNG)
    same(one, two)


def test_whole_numbers_for_a_module_of_measurements_are_numbers_but_bytes_are_refused(case, refuses):
    x, y = blobs()
    for dtype in [torch.int64, torch.bool]:
        with case(dtype):
            one, two = net(), net()
            fit(one, x.to(dtype), y, FitConfig(n_epoch=1), num_classes=3, rng=RNG)
            fit(two, x.to(dtype).double(), y, FitConfig(n_epoch=1), num_classes=3, rng=RNG)
            same(one, two)
    with refuses(UnsupportedModel, "Sequential cannot be called with numbers of torch.uint8", "x.float()"):
        fit(net(), x.to(torch.uint8), y, FitConfig(n_epoch=1), num_classes=3, rng=RNG)


def test_errors_of_a_module_that_takes_tokens_pass_through():
    tokens, y = torch.full((20, 5), 3), torch.zeros(20, dtype=torch.long)
    module = nn.Sequential(nn.Embedding(4, 2), nn.Flatten(), nn.Linear(11, 3))
    with pytest.raises(RuntimeError, match="mat1 and mat2 shapes cannot be multiplied"):
        fit(module, tokens, y, FitConfig(n_epoch=1), num_classes=3, rng=RNG)
