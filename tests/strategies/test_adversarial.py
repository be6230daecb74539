"""The adversarial strategies, from a model to the ids; tests/functional has the tests of the attacks."""

import copy
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import Dataset

from distil.errors import InvalidInput, MissingSignal, UnsupportedModel
from distil.functional.adversarial import BIM, Attack, DeepFool, bim, deepfool
from distil.measuring.network_source import NetworkSource
from distil.networks.torch_network import TorchNetwork
from distil.networks.wrap import wrap
from distil.rng import Rng
from distil.selection.choose import gather
from distil.selection.select import select, select_from
from distil.signals import (
    AdversarialDistance,
    AdversarialGap,
    Attacked,
    Embedding,
    Logits,
    Perturbation,
    Signals,
    measured_by,
)
from distil.strategies import AdversarialBIM, AdversarialDeepFool
from distil.strategies.base import Sets
from distil.system.runtime import Runtime

N, DIMS, CLASSES = 60, 6, 4
NAMES = ["adversarial_bim", "adversarial_deepfool"]
STRATEGIES = [AdversarialBIM(), AdversarialDeepFool()]


@pytest.fixture(scope="module")
def x():
    return torch.randn(N, DIMS, generator=torch.Generator().manual_seed(3))


@pytest.fixture
def net(small_net):
    return small_net()


def measure(model, data, *signals, ids=None, runtime=None):
    source = NetworkSource(wrap(model), data, torch.arange(len(data)) if ids is None else ids)
    return gather(source, signals, runtime or Runtime(), Rng(0))


# --- selections -------------------------------------------------------------------------------------------------------


def test_deepfool_picks_the_examples_nearest_to_the_boundary_of_a_linear_model(x, seeded):
    model = seeded(nn.Linear, DIMS, CLASSES)
    w = model.weight.detach().double().numpy()
    logits = model(x).detach().double().numpy()
    y = logits.argmax(1)
    gaps = logits[np.arange(N), y][:, None] - logits
    with np.errstate(invalid="ignore"):
        distances = np.nanmin(gaps / np.linalg.norm(w[None] - w[y][:, None], axis=2), 1)
    chosen = select("adversarial_deepfool", model, x, N)
    assert chosen.tolist() == np.argsort(distances).tolist()
    np.testing.assert_allclose(1 / chosen.scores.numpy(), np.sort(distances), rtol=1e-4)


def test_picks_are_in_the_order_of_distance_then_of_the_gap(net, x):
    for strategy, attack in ((AdversarialBIM(), bim), (AdversarialDeepFool(), deepfool)):
        chosen = select(strategy, net, x, N, labeled=None, runtime=Runtime(batch_size=N))
        found = attack(copy.deepcopy(net).eval(), x)
        order = sorted(range(N), key=lambda i: (not found.crossed[i], float(found.distance[i]), float(found.gap[i]), i))
        assert chosen.tolist() == order, strategy
        if attack is bim:
            assert len(found.distance.unique()) < N  # so there were ties


def test_examples_that_do_not_cross_come_last_by_their_gap():
    for strategy in STRATEGIES:
        column = torch.tensor([[0.1, 7.0, 0.0, 3.0, 3.0], [0.2, -1.0, 0.1, -1.0, -2.0]]).T  # distance and gap
        table = Signals(torch.tensor([10, 20, 30, 40, 50]), {Attacked(strategy.attack): column})
        chosen = strategy.select(Sets(table), 5, Rng(0))
        assert chosen.tolist() == [50, 40, 20, 30, 10], strategy
        assert bool(chosen.scores.isfinite().all()), strategy
        assert (chosen.scores > 0).tolist() == [True, True, True, False, False], strategy


def test_settings_reach_the_attack(net, x):
    for strategy, signal in (
        (AdversarialBIM(eps=0.2, max_steps=3), AdversarialDistance(BIM(0.2, 3))),
        (AdversarialDeepFool(max_iter=2, overshoot=0.1), AdversarialDistance(DeepFool(2, 0.1))),
    ):
        assert signal in strategy.needs.pool
        assert measured_by(strategy.needs.pool) == (Attacked(signal.attack),)
        attack = bim if isinstance(strategy, AdversarialBIM) else deepfool
        settings = vars(strategy)
        chosen = select(strategy, net, x, N)
        found = attack(copy.deepcopy(net).eval(), x, **settings)
        crossed = found.crossed[chosen.ids]
        torch.testing.assert_close(
            1 / chosen.scores[crossed], found.distance[chosen.ids][crossed].double(), rtol=1e-4, atol=0
        )
    distances = measure(net, x, AdversarialDistance(BIM(0.2, 3)))[AdversarialDistance(BIM(0.2, 3))]
    assert float(distances.max()) <= 0.2 * 3 * DIMS**0.5 + 1e-6


def test_invalid_settings():
    for build, message in (
        (lambda: AdversarialBIM(eps=0), "eps must be a number above 0, got 0"),
        (lambda: AdversarialBIM(max_steps=0), "max_steps must be a whole number from 1, got 0"),
        (lambda: AdversarialDeepFool(max_iter=2.5), "max_iter must be a whole number from 1, got 2.5"),
        (lambda: AdversarialDeepFool(overshoot=-1), "overshoot must be a number from 0, got -1"),
    ):
        with pytest.raises(InvalidInput, match=message):
            build()


def test_a_saturated_model_still_ranks(seeded, x):
    """With logits times 200 the cross entropy is 0 for most examples, but the boundary stays in place."""
    model = seeded(nn.Linear, DIMS, CLASSES)
    sharp = copy.deepcopy(model)
    with torch.no_grad():
        sharp.weight.mul_(200)
        sharp.bias.mul_(200)
    assert (nn.functional.cross_entropy(sharp(x), sharp(x).argmax(1), reduction="none") == 0).float().mean() > 0.9
    for name in NAMES:
        chosen = select(name, sharp, x, N)
        assert bool((chosen.scores > 0).all()), name  # all of them crossed
        assert len(chosen.scores.unique()) > N / 2, name
    torch.testing.assert_close(chosen.scores, select("adversarial_deepfool", model, x, N).scores, rtol=1e-3, atol=0)


def test_a_constant_model_ends_and_falls_back_to_the_gap(x, seeded):
    model = seeded(nn.Linear, DIMS, CLASSES)
    with torch.no_grad():
        model.weight.zero_()
    top = model.bias.detach().double().sort(descending=True).values
    for name in NAMES:
        chosen = select(name, model, x, 7)
        assert chosen.notes[0].endswith("scores are equal: this is a random sample"), name
        torch.testing.assert_close(chosen.scores, (top[1] - top[0]).expand(7))


def test_duplicates_are_ties(net, x):
    tiled = x[:5].repeat(4, 1)
    for name in NAMES:
        chosen = select(name, net, tiled, 20, runtime=Runtime(batch_size=20))
        first = chosen.tolist()[0] % 5
        assert sorted(chosen.tolist()[:4]) == [first, first + 5, first + 10, first + 15], name
        torch.testing.assert_close(chosen.scores[:4], chosen.scores[:1].expand(4), rtol=1e-4, atol=0)


def test_a_minibatch_of_one_with_normalization(x, net):
    for name in NAMES:
        net.train()
        one_by_one = select(name, net, x, 9, runtime=Runtime(batch_size=1))
        assert one_by_one.tolist() == select(name, net, x, 9).tolist(), name
        assert net.training


# --- from a model to the signals --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Counting:
    """An attack that records the sizes of its minibatches."""

    name: str = "count"
    sizes = []  # noqa: RUF012 - shared on purpose

    def __call__(self, f, x, /):
        assert torch.is_grad_enabled()
        self.sizes.append(len(x))
        logits = f(x)
        top = logits.topk(2, 1).values
        return Attack(torch.full_like(x, 2.0), torch.full((len(x),), 3.0), top[:, 0] - top[:, 1], torch.ones(len(x)))


def test_all_signals_of_one_attack_come_from_attacking_once(net, x, monkeypatch):
    loaded = []

    class Rows(Dataset):
        def __len__(self):
            return N

        def __getitem__(self, i):
            loaded.append(i)
            return x[i]

    attack = Counting()
    monkeypatch.setattr(Counting, "sizes", [])
    signals = (Logits(), AdversarialDistance(attack), AdversarialGap(attack), Perturbation(attack), Embedding())
    table = measure(net, Rows(), *signals, runtime=Runtime(batch_size=25))
    assert table[AdversarialDistance(attack)].tolist() == [3.0] * N
    assert attack.sizes == [25, 25, 10]
    assert loaded == list(range(N))  # one minibatch serves all signals
    assert table[Perturbation(attack)].shape == (N, DIMS)
    top = table[Logits()].topk(2, 1).values
    torch.testing.assert_close(table[AdversarialGap(attack)], top[:, 0] - top[:, 1])


def test_perturbations_as_the_docstring_shows(net, x):
    strategy = AdversarialDeepFool()
    images = torch.randn(20, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    torch.random.fork_rng(devices=[])
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 3))
    for layer in (model[0], model[3]):
        nn.init.normal_(layer.weight, generator=torch.Generator().manual_seed(1))
    ids = select(strategy, model, images, 6).ids
    signal = Perturbation(strategy.attack)
    source = NetworkSource(wrap(model), images, ids)
    perturbation = gather(source, (signal,), Runtime(), Rng(0))[signal]
    assert perturbation.shape == (6, 2, 4, 4)
    twins = images[ids] + (1 + strategy.overshoot) * perturbation
    assert bool((model(twins).argmax(1) != model(images[ids]).argmax(1)).all())
    distances = measure(model, images, AdversarialDistance(strategy.attack))[AdversarialDistance(strategy.attack)]
    torch.testing.assert_close(perturbation.flatten(1).norm(dim=1), distances[ids], rtol=1e-3, atol=1e-5)


def test_the_callers_gradient_mode_makes_no_difference(net, x, fingerprint):
    before = fingerprint(net)
    for name in NAMES:
        expected = select(name, net, x, 9)
        for context in (torch.no_grad, torch.inference_mode):
            with context():
                assert select(name, net, x, 9).tolist() == expected.tolist(), (name, context)
            assert fingerprint(net) == before


def test_outputs_other_than_logits(x, seeded):
    sigmoid, linear = seeded(nn.Linear, DIMS, 1), seeded(nn.Linear, DIMS, CLASSES)
    softmax = nn.Sequential(linear, nn.Softmax(1))
    selections = {
        (name, output): select(name, TorchNetwork(model, output=output), x, N)
        for name in NAMES
        for output, model in (("sigmoid", sigmoid), ("probs", softmax))
    }
    for chosen in selections.values():
        assert sorted(chosen) == list(range(N))
    by_margin = sigmoid(x)[:, 0].abs().argsort().tolist()
    assert selections["adversarial_deepfool", "sigmoid"].tolist() == by_margin
    # the direction of BIM is that of the logits
    expected = select("adversarial_bim", linear, x, N).scores
    torch.testing.assert_close(selections["adversarial_bim", "probs"].scores, expected, rtol=1e-5, atol=0)


# --- refusals and restoration -----------------------------------------------------------------------------------------


def test_arrays_are_not_enough():
    for strategy in (*NAMES, *STRATEGIES):
        for arrays in ({"probs": np.full((9, 3), 1 / 3)}, {"embeddings": np.ones((9, 3))}, {}):
            with pytest.raises(
                MissingSignal,
                match=r"Adversarial\w+ attacks the inputs of a model, .*use select\(Adversarial\w+\(\), network, data, n\)",
            ):
                select_from(strategy, 3, **arrays)


class Tokens(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Embedding(10, 5), nn.Linear(5, 3)

    def forward(self, tokens):
        return self.head(self.embed(tokens).mean(1))


def test_whole_numbers_are_refused_with_advice_that_helps(seeded):
    model = seeded(Tokens)
    tokens = torch.randint(10, (20, 7), generator=torch.Generator().manual_seed(0))
    network = TorchNetwork(
        model,
        inputs=lambda batch: model.embed(batch),
        outputs=lambda module, e: (module.head(e.mean(1)), e.mean(1)),
    )
    for name in NAMES:
        with pytest.raises(UnsupportedModel, match=r"torch\.int64.* pass TorchNetwork\(module, inputs=.*outputs="):
            select(name, model, tokens, 5)
        assert len(select(name, network, tokens, 5)) == 5, name


class Keywords(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(DIMS, 3)

    def forward(self, pixel_values, mask=None):
        return self.head(pixel_values if mask is None else pixel_values * mask)


class DictRows(Dataset):
    def __init__(self, x, **more):
        self.x, self.more = x, more

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return {"pixel_values": self.x[i], "labels": 7, **self.more}


def test_a_dict_of_one_tensor_is_enough_and_one_of_two_is_refused(x, seeded):
    model = seeded(Keywords)
    for name in NAMES:
        assert select(name, model, DictRows(x), 9).tolist() == select(name, model, x, 9).tolist(), name
        with pytest.raises(UnsupportedModel, match=r"called with a dict.*an attack needs one floating-point tensor"):
            select(name, model, DictRows(x, mask=1.0), 9)


def test_a_model_that_cuts_off_its_inputs_is_refused(x, net, fingerprint):
    class CutOff(type(net)):
        def forward(self, x):
            with torch.no_grad():
                hidden = self.body(x)
            return self.head(hidden)

    net.__class__ = CutOff
    before = fingerprint(net)
    for name in NAMES:
        with pytest.raises(UnsupportedModel, match=r"have no gradient by its inputs.*remove torch\.no_grad"):
            select(name, net, x, 5)
        assert fingerprint(net) == before, name


def test_parameters_collect_no_gradients_while_asking_and_can_again_afterwards(net, x, fingerprint):
    net.head.bias.requires_grad_(False)
    before = fingerprint(net)
    network = TorchNetwork(net)
    with network.asking(Runtime()):
        inputs, logits = network.differentiable(x)
        with torch.enable_grad():
            z = inputs[:5].clone().requires_grad_()
            outputs = logits(z)
            outputs.sum().backward()
        assert z.grad is not None
        assert all(p.grad is None and not p.requires_grad for p in net.parameters())
        torch.testing.assert_close(outputs.detach(), network.outputs(x[:5]).logits)
    assert fingerprint(net) == before


def test_nothing_is_changed_when_the_attack_fails(net, x, fingerprint):
    class Breaks(type(net)):
        def forward(self, x):
            if x.requires_grad:
                raise ZeroDivisionError
            return super().forward(x)

    net.__class__ = Breaks
    before = fingerprint(net)
    for name in NAMES:
        with pytest.raises(ZeroDivisionError):
            select(name, net, x, 5)
        assert fingerprint(net) == before, name
        assert torch.is_grad_enabled()


def test_a_model_that_returns_nan_is_refused(net, x):
    class Breaks(type(net)):
        def forward(self, x):
            return super().forward(x.masked_fill(x[:, :1] > 50, torch.nan))

    net.__class__ = Breaks
    pool = x.clone()
    pool[[9, 15], 0] = 100
    for name in NAMES:
        with pytest.raises(InvalidInput, match=r"NaN or infinite values in 2 of \d+ examples: ids 9, 15"):
            select(name, net, pool, 5)
