"""``data_train`` as the published scripts call it, against the training loop and loops written by hand."""

from __future__ import annotations

import copy
import inspect
import re
from itertools import combinations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F
from torch.utils.data import Dataset

from distil.errors import InvalidInput
from distil.rng import Rng
from distil.training.config import FitConfig
from distil.training.fit import fit
from distil.utils.data_handler import DataHandler_CIFAR10, DataHandler_Points
from distil.utils.models.resnet import ResNet18
from distil.utils.models.simpleNN_net import TwoLayerNet
from distil.utils.train_helper import data_train, init_weights

NEEDED = inspect.Parameter.empty
ARGS = {"n_epoch": 5, "lr": 0.05, "batch_size": 16, "max_accuracy": 1.0, "device": "cpu"}


@pytest.fixture(scope="module")
def digits():
    x, y = load_digits(return_X_y=True)
    return (x / 16)[:300], y[:300]


def net(seed=0, classes=10):
    with Rng(seed).scope():
        return TwoLayerNet(64, classes, 32)


def weights_of(module):
    return [p.detach().clone() for p in module.parameters()]


def same(a, b):
    return all(torch.equal(p, q) for p, q in zip(a, b, strict=True))


class Published(Dataset):
    """A handler as users write them: no test transform, items one by one."""

    def __init__(self, X, Y=None, select=True):
        self.X, self.Y, self.select = X, Y, select

    def __getitem__(self, index):
        x = torch.from_numpy(self.X[index]).float()
        return (x, index) if self.select else (x, self.Y[index], index)

    def __len__(self):
        return len(self.X)


def test_published_signatures():
    expected = {
        "__init__": ["self", "X", "Y", "net", "handler", "args"],
        "update_index": ["self", "idxs_lb"],
        "update_data": ["self", "X", "Y"],
        "get_acc_on_set": ["self", "X_test", "Y_test"],
        "train": ["self", "gradient_weights"],
        "check_saturation": ["self", "acc_monitor"],
    }
    for name, names in expected.items():
        assert list(inspect.signature(getattr(data_train, name)).parameters) == names
    assert inspect.signature(data_train.train).parameters["gradient_weights"].default is None
    assert list(inspect.signature(init_weights).parameters) == ["m"]


def test_trains_evaluates_and_logs(digits):
    x, y = digits
    args = {**ARGS, "n_epoch": 100, "max_accuracy": 0.99, "islogs": True, "logs_location": "nowhere.txt"}
    given = dict(args)
    trainer = data_train(x[:200], y[:200], net(), DataHandler_Points, args)
    clf, logs = trainer.train()
    assert args == given
    assert clf is trainer.net is trainer.clf
    lines = [
        re.fullmatch(r"Epoch:(\d+)- training accuracy:([\d.e-]+)- training loss:([\d.e-]+)", line) for line in logs
    ]
    assert [int(line[1]) for line in lines] == list(range(1, len(logs) + 1))
    assert len(logs) < 100
    assert float(lines[-1][2]) >= 0.99
    with torch.no_grad():
        right = (clf(torch.tensor(x[200:]).float()).argmax(1) == torch.tensor(y[200:])).double().mean()
    assert trainer.get_acc_on_set(x[200:], y[200:]) == pytest.approx(float(right))
    assert float(right) > 0.8


def test_n_epoch_epochs_and_plain_returns(digits):
    x, y = digits
    trainer = data_train(x, y, net(), DataHandler_Points, {**ARGS, "islogs": True, "n_epoch": 3})
    assert len(trainer.train()[1]) == 3
    assert isinstance(data_train(x, y, net(), DataHandler_Points, {**ARGS, "n_epoch": 1}).train(), nn.Module)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("handler", [DataHandler_Points, Published])
def test_equals_the_training_loop(digits, handler, optimizer):
    x, y = digits
    args = {**ARGS, "seed": 7, "optimizer": optimizer, "lr": 0.01}
    ours = data_train(x, y, net(1), handler, args).train()
    theirs, rng = net(2), Rng(7)
    with rng.child("reset").scope():
        theirs.hidden.reset_parameters()
        theirs.linear.reset_parameters()
    config = FitConfig(lr=0.01, batch_size=16, n_epoch=5, optimizer=optimizer, max_accuracy=1.0)
    fit(theirs, torch.tensor(x).float(), torch.tensor(y), config, num_classes=10, rng=rng)
    assert same(weights_of(ours), weights_of(theirs))


def test_reset_and_warm_start(digits):
    x, y = digits
    first = net(5)
    before = weights_of(first)

    def trained(module, isreset, times):
        args = {**ARGS, "n_epoch": 1, "lr": 1e-9, "optimizer": "adam", "seed": 3, "isreset": isreset}
        trainer = data_train(x, y, module, DataHandler_Points, args)
        return [weights_of(trainer.train()) for _ in range(times)]

    (fresh, again) = trained(first, True, 2)
    assert not same(before, fresh)
    assert all(
        torch.allclose(a, b, atol=1e-6) for a, b in zip(fresh, again, strict=True)
    )  # drawn anew by the same seed
    (warm, warmer) = trained(net(6), False, 2)
    assert all(
        torch.allclose(a, b, atol=1e-6) for a, b in zip(fresh, warm, strict=True)
    )  # the first training always resets
    assert not same(warm, warmer)  # and goes on from there

    trainer = data_train(x, y, net(), DataHandler_Points, {**ARGS, "n_epoch": 1, "lr": 1e-9, "isreset": False})
    start = weights_of(trainer.train())
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(start, weights_of(trainer.train()), strict=True))
    trainer = data_train(x, y, net(), DataHandler_Points, {**ARGS, "n_epoch": 1, "lr": 1e-9})
    start = weights_of(trainer.train())
    assert not all(torch.allclose(a, b, atol=1e-3) for a, b in zip(start, weights_of(trainer.train()), strict=True))


def test_the_seed(digits):
    x, y = digits
    torch.manual_seed(0)
    a = weights_of(data_train(x, y, net(), DataHandler_Points, ARGS).train())
    b = weights_of(data_train(x, y, net(), DataHandler_Points, ARGS).train())
    torch.manual_seed(0)
    c = weights_of(data_train(x, y, net(), DataHandler_Points, ARGS).train())
    assert same(a, c)
    assert not same(a, b)
    state = torch.get_rng_state()
    images = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 3), dtype=np.uint8)
    model = TwoLayerNet(192, 2, 4)
    trainer = data_train(images, [0, 1] * 4, model, DataHandler_CIFAR10, {**ARGS, "seed": 5})
    state = torch.get_rng_state()
    first = weights_of(trainer.train())
    assert trainer.get_acc_on_set(images, [0, 1] * 4) in np.arange(9) / 8
    assert torch.equal(torch.get_rng_state(), state)
    assert same(first, weights_of(trainer.train()))


def test_images_train_through_the_train_transform_and_test_through_the_test_transform():
    images = np.random.default_rng(0).integers(0, 256, (12, 16, 16, 3), dtype=np.uint8)
    labels = [0, 1, 2] * 4
    trainer = data_train(
        images, labels, ResNet18(num_classes=3), DataHandler_CIFAR10, {**ARGS, "n_epoch": 1, "batch_size": 5}
    )
    seen = []

    def watched(module, inputs):
        seen.append((module.training, inputs[0]))

    hook = trainer.net.register_forward_pre_hook(watched)
    trainer.train()
    accuracy = trainer.get_acc_on_set(images, torch.tensor(labels))
    hook.remove()
    whole = DataHandler_CIFAR10(images, use_test_transform=True).batch(range(12))
    learned = torch.cat([x for training, x in seen if training])
    assert learned.shape == whole.shape
    assert sum(any(torch.equal(a, b) for b in whole) for a in learned) < 4
    with torch.no_grad():
        expected = (trainer.clf.eval()(whole).argmax(1) == torch.tensor(labels)).double().mean()
    assert accuracy == pytest.approx(float(expected))
    assert any(torch.equal(x, whole) for training, x in seen if not training)


def test_evaluating_changes_nothing(digits, fingerprint):
    x, y = digits
    for handler in (DataHandler_Points, Published):
        trainer = data_train(x, y, nn.Sequential(net(), nn.BatchNorm1d(10)), handler, {**ARGS, "n_epoch": 1})
        trainer.train()
        before, state = fingerprint(trainer.net), torch.get_rng_state()
        accuracies = {trainer.get_acc_on_set(given, labels) for given, labels in ((x, y), (x, torch.from_numpy(y)))}
        assert len(accuracies) == 1
        assert fingerprint(trainer.net) == before
        assert torch.equal(torch.get_rng_state(), state)


def test_update_data_and_index(digits):
    x, y = digits
    trainer = data_train(x[:50], y[:50], net(), DataHandler_Points, {**ARGS, "seed": 1})
    trainer.train()
    trainer.update_index([4, 2])
    trainer.update_data(x, y)
    assert (trainer.idxs_lb, trainer.n_pool) == ([4, 2], 300)
    assert trainer.X is x
    other = data_train(x, y, net(), DataHandler_Points, {**ARGS, "seed": 1})
    assert same(weights_of(trainer.train()), weights_of(other.train()))


# -- criteria and weights --------------------------------------------------------------------------------------


def by_hand(x, y, seed, epochs, lr, loss):
    """Full batches, so that the order does not matter: SGD with momentum, written out."""
    module, rng = net(), Rng(seed)
    with rng.child("reset").scope():
        module.hidden.reset_parameters()
        module.linear.reset_parameters()
    optimizer = torch.optim.SGD(module.parameters(), lr=lr, momentum=0.9, weight_decay=5e-4)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    for _ in range(epochs):
        optimizer.zero_grad()
        loss(module(x), y).backward()
        optimizer.step()
        scheduler.step()
    return weights_of(module)


def smooth(logits, y):
    return F.cross_entropy(logits, y, label_smoothing=0.2)


CLASS_WEIGHTS = torch.linspace(0.5, 2, 10)
CRITERIA = {
    "default": (None, lambda o, y: F.cross_entropy(o, y)),
    "plain": (nn.CrossEntropyLoss(), lambda o, y: F.cross_entropy(o, y)),
    "unreduced": (nn.CrossEntropyLoss(reduction="none"), lambda o, y: F.cross_entropy(o, y)),
    "summed": (nn.CrossEntropyLoss(reduction="sum"), lambda o, y: F.cross_entropy(o, y, reduction="sum")),
    "smooth": (nn.CrossEntropyLoss(label_smoothing=0.2), smooth),
    "function": (smooth, smooth),
    "margin": (nn.MultiMarginLoss(), lambda o, y: F.multi_margin_loss(o, y)),
    "weights": (nn.CrossEntropyLoss(CLASS_WEIGHTS), lambda o, y: F.cross_entropy(o, y, CLASS_WEIGHTS)),
}


def test_criteria_equal_a_loop_by_hand(digits):
    x, y = digits
    for name, (criterion, reference) in CRITERIA.items():
        lr = 1e-4 if name == "summed" else 0.1
        args = {**ARGS, "batch_size": 300, "lr": lr, "n_epoch": 4, "seed": 9}
        if criterion is not None:
            args["criterion"] = criterion
        ours = weights_of(data_train(x, y, net(), DataHandler_Points, args).train())
        expected = by_hand(torch.tensor(x).float(), torch.tensor(y), 9, 4, lr, reference)
        for a, b in zip(ours, expected, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5, msg=name)


def test_gradient_weights(digits):
    x, y = digits
    w = np.random.default_rng(0).random(300).astype(np.float32)
    for kind, criterion, unreduced in (
        (list, nn.CrossEntropyLoss(), F.cross_entropy),
        (
            np.array,
            nn.CrossEntropyLoss(label_smoothing=0.2),
            lambda o, y, reduction: F.cross_entropy(o, y, None, None, -100, None, reduction, 0.2),
        ),
        (torch.tensor, nn.MultiMarginLoss(), lambda o, y, reduction: F.multi_margin_loss(o, y, reduction=reduction)),
        (np.array, lambda o, y: F.cross_entropy(o, y, reduction="none"), F.cross_entropy),
    ):
        args = {**ARGS, "batch_size": 300, "lr": 0.1, "n_epoch": 3, "seed": 9, "criterion": criterion}
        before = copy.deepcopy(getattr(criterion, "__dict__", None))
        trainer = data_train(x, y, net(), DataHandler_Points, args)
        ours = weights_of(trainer.train(kind(w.tolist())))

        def loss(logits, labels, unreduced=unreduced):
            return (unreduced(logits, labels, reduction="none") * torch.from_numpy(w)).sum() / w.sum()

        expected = by_hand(torch.tensor(x).float(), torch.tensor(y), 9, 3, 0.1, loss)
        for a, b in zip(ours, expected, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5, msg=str(criterion))
        assert getattr(criterion, "__dict__", None) == before  # `reduction` in particular
        trainer.train()  # training without weights still works


def test_weights_and_losses_that_do_not_fit(digits):
    x, y = digits
    with pytest.raises(InvalidInput, match=r"weights: expected a tensor of shape \(300,\)"):
        data_train(x, y, net(), DataHandler_Points, ARGS).train([1.0, 2.0])
    args = {**ARGS, "criterion": smooth}
    with pytest.raises(InvalidInput, match=r"loss: expected losses of shape \(16,\), one to each weight, .*\(\)"):
        data_train(x, y, net(), DataHandler_Points, args).train(np.ones(300))
    args = {**ARGS, "criterion": lambda o, y: o}
    with pytest.raises(InvalidInput, match=r"or one number, .* got shape \(16, 10\)"):
        data_train(x, y, net(), DataHandler_Points, args).train()


# -- saturation ------------------------------------------------------------------------------------------------


def test_saturation_is_the_published_rule(digits):
    x, y = digits
    trainer = data_train(x, y, net(), DataHandler_Points, {**ARGS, "min_diff_acc": 0.05})
    rng = np.random.default_rng(0)
    outcomes = set()
    for _ in range(200):
        accuracies = (rng.integers(0, 20, rng.integers(0, 6)) / 100).tolist()
        expected = not any(b - a >= 0.05 for a, b in combinations(accuracies, 2))
        assert trainer.check_saturation(accuracies) is expected
        outcomes.add(expected)
    assert outcomes == {True, False}


def test_saturation_ends_a_training(digits):
    x, y = digits
    args = {**ARGS, "n_epoch": 50, "lr": 1e-9, "window_size": 4, "islogs": True, "schedule": "constant"}
    assert len(data_train(x, y, net(), DataHandler_Points, args).train()[1]) == 4
    assert len(data_train(x, y, net(), DataHandler_Points, {**args, "window_size": None}).train()[1]) == 50


# -- refusals --------------------------------------------------------------------------------------------------


def test_invalid_arguments(digits):
    for change, message in (
        ({"n_epochs": 3}, "unknown key 'n_epochs'; did you mean 'n_epoch'"),
        ({"patience": 3}, "unknown key 'patience'"),
        ({"lr": None}, "FitConfig.lr"),
        ({"batch_size": 0}, "FitConfig.batch_size"),
        ({"optimizer": "sdg"}, "did you mean 'sgd'"),
        ({"max_accuracy": 95}, "FitConfig.max_accuracy"),
        ({"criterion": "ce"}, "criterion must be a callable"),
        ({"seed": 1.5}, "seed must be a whole number"),
        ({"device": "gpu9x"}, "device must be a device such as 'cpu' or 'cuda:0', got 'gpu9x'"),
        ({"isreset": "no"}, "isreset must be True or False"),
    ):
        with pytest.raises(InvalidInput, match=message):
            data_train(*digits, net(), DataHandler_Points, {**ARGS, **change})


def test_missing_arguments_and_lengths(digits):
    x, y = digits
    with pytest.raises(InvalidInput, match="args must have n_epoch and lr; missing: n_epoch, lr"):
        data_train(x, y, net(), DataHandler_Points, {})
    with pytest.raises(InvalidInput, match="args must be a dict"):
        data_train(x, y, net(), DataHandler_Points, None)
    with pytest.raises(InvalidInput, match=r"X and Y .* got 300 and 299"):
        data_train(x, y[:-1], net(), DataHandler_Points, ARGS)
    trainer = data_train(x, y, net(), DataHandler_Points, ARGS)
    with pytest.raises(InvalidInput, match=r"X_test and Y_test .* got 2 and 3"):
        trainer.get_acc_on_set(x[:2], y[:3])
    with pytest.raises(ValueError, match="X_test must be an array"):
        trainer.get_acc_on_set(None, y[:3])
    with pytest.raises(InvalidInput, match="got 0 and 0"):
        trainer.update_data(x[:0], y[:0])
    with pytest.raises(InvalidInput, match=r"0\.\.4 for num_classes=5"):
        data_train(x, y, net(classes=5), DataHandler_Points, ARGS).train()


def test_nothing_is_printed(digits, capfd):
    x, y = digits
    trainer = data_train(x, y, net(), DataHandler_Points, {**ARGS, "n_epoch": 1})
    trainer.train()
    trainer.get_acc_on_set(x, y)
    assert capfd.readouterr() == ("", "")


def test_init_weights():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(50, 70), nn.ReLU(), nn.Linear(70, 3, bias=False), nn.Conv2d(1, 1, 2))
    untouched = module[3].weight.clone()
    module.apply(init_weights)
    bound = np.sqrt(6 / (50 + 70))  # Glorot & Bengio 2010, eq. 16
    assert 0.95 * bound < float(module[0].weight.detach().abs().max()) <= bound
    assert (module[0].bias == 0.01).all()
    assert torch.equal(module[3].weight, untouched)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no accelerator")
def test_on_an_accelerator(digits):
    x, y = digits
    args = {"n_epoch": 30, "lr": 0.05, "criterion": nn.CrossEntropyLoss(torch.ones(10)), "seed": 0}
    for handler in (DataHandler_Points, Published):
        trainer = data_train(x, y, net(), handler, args)
        assert next(trainer.train().parameters()).device.type == "cuda"
        assert trainer.get_acc_on_set(x, y) > 0.9
