"""Several models as one: what they think on average, and each by itself."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch import nn

from distil.errors import InvalidInput, UnsupportedModel
from distil.measuring.network_source import NetworkSource
from distil.networks.base import Network, Outputs
from distil.networks.ensemble import Ensemble
from distil.networks.torch_network import TorchNetwork
from distil.networks.wrap import wrap
from distil.rng import Rng
from distil.selection.choose import gather
from distil.selection.select import select, select_from
from distil.signals import Embedding, Inputs, Logits, MCProbs, Probs
from distil.system.runtime import Runtime

N, MEMBERS = 30, 3
X = torch.randn(N, 6, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def nets(small_net):
    """Three trained ones, in training mode, with dropout that must not be sampled."""
    return [small_net(seed=seed) for seed in range(MEMBERS)]


def opinions(nets):
    """By hand: (N, members, C)."""
    with torch.no_grad():
        return torch.stack([net.eval()(X).softmax(-1) for net in nets], 1)


def measured(network, signals, rows=7):
    source = NetworkSource(network, X, torch.arange(N))
    return gather(source, signals, Runtime(batch_size=rows), Rng(0))


def test_the_mean_of_the_probabilities_and_the_first_embedding(nets):
    table = measured(wrap(nets), (Probs(), Logits(), Embedding()))
    expected = opinions(nets)
    torch.testing.assert_close(table[Probs()], expected.mean(1))
    torch.testing.assert_close(table[Logits()].exp(), expected.mean(1))
    torch.testing.assert_close(table[Embedding()], nets[0].body(X).detach())


def test_samples_are_the_members_whatever_their_number(nets):
    table = measured(wrap(nets), (MCProbs(10), MCProbs(2, shared=True)))
    expected = opinions(nets)
    torch.testing.assert_close(table[MCProbs(10)], expected)
    assert table[MCProbs(10)].equal(table[MCProbs(2, shared=True)])


def test_picks_are_those_from_the_members_probabilities(case, nets):
    for strategy in ["bald_dropout", "entropy_sampling_dropout", "margin_sampling_dropout"]:
        with case(strategy):
            picked = select(strategy, nets, X, 5)
            assert picked.tolist() == select_from(strategy, 5, mc_probs=opinions(nets)).tolist()


def test_bald_selects_what_members_disagree_on():
    """Two members that are sure of different classes in one half-space, and of the same in the other."""
    one, other = nn.Linear(6, 2), nn.Linear(6, 2)
    with torch.no_grad():
        for layer, sign in ((one, 1.0), (other, -1.0)):
            layer.weight.zero_()
            layer.bias.copy_(torch.tensor([5.0, -5.0]))
            layer.weight[:, 0] = torch.tensor([20.0, -20.0]) * sign
    disagree = X[:, 0].abs() > 0.5
    ids = select("bald_dropout", [one, other], X, int(disagree.sum()))
    assert set(ids) == set(torch.nonzero(disagree)[:, 0].tolist())


def test_members_are_left_as_they_were_also_when_one_comes_twice(nets, fingerprint):
    before = [fingerprint(net) for net in nets]
    select("badge", [*nets, nets[0]], X, 5)
    select("bald_dropout", [*nets, nets[0]], X, 5)
    assert [fingerprint(net) for net in nets] == before


def test_attacks_follow_the_mean(nets):
    network = wrap(nets)
    with network.asking(Runtime()):
        x, logits = network.differentiable(X[:4])
        with torch.enable_grad():
            z = x.clone().requires_grad_()
            (gradient,) = torch.autograd.grad(logits(z)[:, 1].sum(), z)
    z = X[:4].clone().requires_grad_()
    mean = torch.stack([net.eval()(z).softmax(-1) for net in nets]).mean(0)
    (expected,) = torch.autograd.grad(mean[:, 1].log().sum(), z)
    torch.testing.assert_close(gradient, expected)
    assert len(select("adversarial_deepfool", nets, X, 3)) == 3
    torch.testing.assert_close(measured(network, (Probs(),))[Probs()], opinions(nets).mean(1))


def test_inputs_are_the_first_members(nets):
    network = wrap(nets)
    with network.asking(Runtime()):
        assert network.inputs(X).equal(X)


class Bare(Network):
    """A network that gives logits alone."""

    def asking(self, runtime):
        return nullcontext()

    def outputs(self, batch):
        return Outputs(batch[:, :4], None)


def test_members_without_a_capability(nets):
    """All must be differentiable, the first one must show its inputs, and samples are drawn of none."""
    network = Ensemble([TorchNetwork(nets[0]), Bare()])
    with pytest.raises(
        UnsupportedModel, match=r"needs gradients by the model's inputs, and Bare\(\) has none; use margin"
    ):
        select("adversarial_bim", network, X, 3)
    assert measured(network, (Inputs(),))[Inputs()].equal(X)
    other_way = Ensemble([Bare(), TorchNetwork(nets[0])])
    with pytest.raises(
        UnsupportedModel, match=r"reading the inputs of an ensemble needs .* one tensor, and Bare\(\) has none"
    ):
        measured(other_way, (Inputs(),))
    expected = torch.stack([X[:, :4].softmax(-1), opinions(nets)[:, 0]], 1)
    torch.testing.assert_close(measured(other_way, (MCProbs(),))[MCProbs()], expected)


def test_members_of_several_kinds(nets):
    """A function of double precision among modules."""
    expected = opinions(nets)
    members = [nets[0], lambda x: np.log(expected[:, 1].double().numpy()) if len(x) == N else x.new_zeros(len(x), 4)]
    table = gather(
        NetworkSource(wrap(members), X, torch.arange(N)), (Probs(), MCProbs()), Runtime(batch_size=N), Rng(0)
    )
    torch.testing.assert_close(table[Probs()], expected[:, :2].mean(1))
    torch.testing.assert_close(table[MCProbs()], expected[:, :2])


def test_models_that_cannot_form_an_ensemble(nets):
    with pytest.raises(InvalidInput, match="an ensemble needs at least two members, got 1"):
        wrap(nets[:1])
    with pytest.raises(InvalidInput, match="got 0"):
        Ensemble([])
    with pytest.raises(UnsupportedModel, match=r"must have the same number of classes, got 4 and 2"):
        select("entropy_sampling", [nets[0], nn.Linear(6, 2)], X, 3)
    with pytest.raises(UnsupportedModel, match="cannot read a model of type int"):
        wrap([nets[0], 3])


class Classifier:
    """A fitted classifier whose first class is more probable the larger the first input is; the order of its classes is its own."""

    def __init__(self, classes, order):
        self.classes_ = np.array(classes)[order]
        self.order = order

    def fit(self, x, y):
        return self

    def predict(self, x):
        return self.classes_[self.predict_proba(x).argmax(1)]

    def predict_proba(self, x):
        first = 1 / (1 + np.exp(-x[:, 0]))
        return np.stack([first, (1 - first) * 0.7, (1 - first) * 0.3], 1)[:, self.order]


def test_members_may_have_their_classes_in_any_order(case):
    for classes in (["cat", "dog", "emu"], [3, 7, 5], [True, 2, 0.5]):
        one, other = Classifier(classes, [0, 1, 2]), Classifier(classes, [2, 0, 1])
        expected = torch.from_numpy(one.predict_proba(X.numpy()))
        for members in ([one, other], [wrap(one), wrap(other)], [wrap(other), wrap(one)]):
            with case(classes, members):
                network = wrap(members)
                own = list(network.classes)
                columns = [own.index(label) for label in np.array(classes)]
                table = measured(network, (Probs(), MCProbs()))
                torch.testing.assert_close(table[Probs()][:, columns], expected, check_dtype=False)
                for samples in table[MCProbs()].unbind(1):
                    torch.testing.assert_close(samples[:, columns], expected, check_dtype=False)
    with pytest.raises(InvalidInput, match=r"must have the same classes, got \['a', 'b', 'c'\] and \['a', 'b', 'd'\]"):
        wrap([wrap(Classifier(["a", "b", "c"], [0, 1, 2])), wrap(Classifier(["a", "b", "d"], [0, 1, 2]))])


def test_the_first_member_that_names_the_classes_names_those_of_the_ensemble(nets):
    named = wrap(Classifier(["cat", "dog", "emu"], [2, 0, 1]))
    assert list(Ensemble([wrap(nn.Linear(6, 3)), named]).classes) == ["emu", "cat", "dog"]
    assert Ensemble([wrap(nets[0]), wrap(nets[1])]).classes is None


def test_arguments_are_for_every_member(nets):
    network = wrap(nets, head="body.0")
    assert all(isinstance(member, TorchNetwork) for member in network.members)
    assert measured(network, (Embedding(),))[Embedding()].equal(X)
