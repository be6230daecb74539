"""Signals measured by a network: however much memory there is, and whatever the model does to its inputs."""

import itertools
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import Dataset, Subset, TensorDataset

from distil.errors import UnsupportedModel
from distil.measuring.network_source import NetworkSource
from distil.networks.base import Network, Outputs
from distil.networks.torch_network import TorchNetwork
from distil.rng import Rng
from distil.selection.select import select, select_from
from distil.signals import Embedding, Gradient, Labels, Logits, MCProbs, Probs
from distil.strategies.adversarial import AdversarialDeepFool
from distil.strategies.bayesian import BALD
from distil.strategies.submodular import SubmodularSampling
from distil.system.runtime import Runtime

N, DIMS, CLASSES = 60, 6, 4


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).normal(size=(N, DIMS)).astype(np.float32)


@pytest.fixture
def net(small_net):
    return small_net(n_inputs=DIMS, n_classes=CLASSES)


class Rows(Dataset):
    def __init__(self, x):
        self.x = torch.as_tensor(x)

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return self.x[i], i % CLASSES


# --- memory of an accelerator ---------------------------------------------------------------------------------------


class Small(nn.Module):
    """A model on an accelerator that holds a few examples at a time, and counts what it is asked."""

    def __init__(self, inner, most):
        super().__init__()
        self.inner, self.most, self.asked = inner, most, []

    def forward(self, x):
        if len(x) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        self.asked.append(len(x))
        return self.inner(x)


def test_minibatches_that_do_not_fit_are_halved(net, x, subtests):
    for workers, kind in itertools.product([0, 1], [lambda x: x, lambda x: TensorDataset(torch.from_numpy(x)), Rows]):
        with subtests.test(workers=workers, kind=kind):
            ids, signals = torch.arange(N - 1).flip(0), (Logits(), Embedding(), MCProbs(2))
            expected = NetworkSource(TorchNetwork(net), x, ids).table(signals, Runtime(), Rng(0))
            module = Small(net, 13)
            found = NetworkSource(TorchNetwork(module), kind(x), ids).table(
                signals, Runtime(batch_size=50, num_workers=workers), Rng(0)
            )
            assert torch.equal(found.ids, ids)
            for signal in signals:
                torch.testing.assert_close(found[signal], expected[signal])
            assert max(module.asked) == 13  # 50, 25, 13


def test_halving_goes_on_from_where_it_was(net, x):
    """Memory that runs short in the middle of a pass: nothing is measured twice, labels stay with their rows."""
    module = Small(net, 20)
    y = torch.arange(N) % CLASSES
    source = NetworkSource(TorchNetwork(module), x, torch.arange(N), y)
    chunks = []
    for chunk in source.chunks((Logits(), Labels()), Runtime(batch_size=20), Rng(0)):
        chunks.append(chunk)
        module.most = 9
    assert [len(chunk) for chunk in chunks] == [20, *[5] * 8]  # 20, 10, 5
    assert torch.cat([chunk.ids for chunk in chunks]).tolist() == list(range(N))
    assert torch.equal(torch.cat([chunk[Labels()] for chunk in chunks]), y)
    expected = NetworkSource(TorchNetwork(net), x, torch.arange(N)).table((Logits(),), Runtime(), Rng(0))[Logits()]
    torch.testing.assert_close(torch.cat([chunk[Logits()] for chunk in chunks]), expected)


def test_selections_do_not_depend_on_memory(net, x):
    for strategy in ("badge", "entropy_sampling", "bald_dropout"):
        found = select(strategy, Small(net, 8), x, 9, runtime=Runtime(batch_size=60), rng=2)
        assert found.tolist() == select(strategy, net, x, 9, rng=2).tolist()


def test_one_example_that_does_not_fit_is_an_error(net, x, fingerprint):
    module = Small(net, 0)
    before = fingerprint(module)
    with pytest.raises(torch.OutOfMemoryError):
        select("entropy_sampling", module, x, 3)
    assert fingerprint(module) == before


# --- models that work in place --------------------------------------------------------------------------------------


class InPlace(nn.Module):
    """Normalizes the very tensor that it is called with."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        x -= 1
        x *= 3
        return self.inner(x)


def test_a_model_that_works_in_place_does_not_change_the_data(net, x, subtests):
    for inference, batch_size in itertools.product([False, True], [7, 100]):
        with subtests.test(inference=inference, batch_size=batch_size):
            expected = NetworkSource(TorchNetwork(net), (x - 1) * 3, torch.arange(N)).table(
                (Logits(),), Runtime(), Rng(0)
            )
            with torch.inference_mode() if inference else nullcontext():
                tensor = torch.from_numpy(x.copy())
                for data in (tensor, tensor.numpy(), TensorDataset(tensor), Subset(TensorDataset(tensor), range(N))):
                    source = NetworkSource(TorchNetwork(InPlace(net)), data, torch.arange(N))
                    found = source.table((Logits(),), Runtime(batch_size=batch_size), Rng(0))[Logits()]
                    assert torch.equal(tensor, torch.from_numpy(x))
                    # The source has already called the model with the first eight rows.
                    torch.testing.assert_close(found[8:], expected[Logits()][8:])


class Plain(Network):
    """A network that counts the rows that came as views of the data."""

    def __init__(self, x):
        self.x, self.views = x, []

    def asking(self, runtime):
        return nullcontext()

    def outputs(self, batch):
        inside = self.x.data_ptr() <= batch.data_ptr() < self.x.data_ptr() + self.x.nbytes
        self.views.append(inside)
        return Outputs(batch[:, :CLASSES], None)


def test_arrays_are_not_copied_but_for_the_first_minibatch(x):
    network = Plain(torch.from_numpy(x))
    NetworkSource(network, network.x, torch.arange(N)).table((Logits(),), Runtime(batch_size=10), Rng(0))
    assert network.views == [False, True, True, True, True, True]


# --- networks without some capability -------------------------------------------------------------------------------


class Own(Network):
    """A network of a user's, with the two methods that it must have."""

    def asking(self, runtime):
        return nullcontext()

    def outputs(self, batch):
        return Outputs(batch[:, :CLASSES], batch)


class Sampling(Own):
    def sample(self, batch, n_samples, draw):
        return torch.stack([(batch[:, :CLASSES] * (k + 1)).softmax(-1) for k in range(n_samples)], 1)


class Showing(Own):
    def inputs(self, batch):
        return batch


class Followed(Own):
    def differentiable(self, batch):
        return batch, lambda z: z[:, :CLASSES]


CAPABILITIES = [
    (
        BALD(3),
        Sampling,
        r"^BALD needs samples of the model's probabilities, and Own\(\) has none; pass a ",
    ),
    (
        SubmodularSampling(representation="raw"),
        Showing,
        r"^SubmodularSampling needs the inputs of the model as one tensor, .*Own\(\)",
    ),
    (
        AdversarialDeepFool(),
        Followed,
        r"^AdversarialDeepFool needs gradients by the model's inputs, and Own\(\) has none;",
    ),
]


def test_a_missing_capability_is_refused_with_the_strategy_and_the_model(x, subtests):
    for strategy, capable, message in CAPABILITIES:
        with subtests.test(strategy=strategy, capable=capable, message=message):
            with pytest.raises(UnsupportedModel, match=message):
                select(strategy, Own(), x, 5)
            assert len(set(select(strategy, capable(), x, 5))) == 5
            for other in (case[1] for case in CAPABILITIES if case[1] is not capable):
                with pytest.raises(UnsupportedModel, match=f"^{type(strategy).__name__} needs .* {other.__name__}"):
                    select(strategy, other(), x, 5)


def test_logits_and_embedding_are_all_that_other_strategies_need(x):
    probs = torch.from_numpy(x)[:, :CLASSES].softmax(-1)
    for name in ("entropy_sampling", "badge", "core_set"):
        expected = select_from(name, 5, probs=probs, embeddings=x, seed=0)
        assert select(name, Own(), x, 5, rng=0).tolist() == expected.tolist()


def test_a_source_by_itself_names_no_strategy(x):
    source = NetworkSource(Own(), x, torch.arange(N))
    with pytest.raises(UnsupportedModel, match=r"^this strategy needs samples"):
        source.table((MCProbs(2),), Runtime(), Rng(0))


# --- columns --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("memory", [0, 4 * N * CLASSES, 1 << 20])
def test_columns_in_files_are_the_same(memory, net, x, tmp_path):
    """Measured and derived ones; more rows than are derived at a time."""
    tiled = np.tile(x, (80, 1))
    signals = (Logits(), Embedding())
    source = NetworkSource(TorchNetwork(net), tiled, torch.arange(len(tiled)))
    expected = source.table(signals, Runtime(), Rng(0))
    found = source.table(signals, Runtime(memory=memory, scratch=tmp_path), Rng(0))
    for signal in (*signals, Probs()):
        assert torch.equal(found[signal], expected[signal])
    torch.testing.assert_close(found[Probs()], expected[Logits()].softmax(1))
    assert torch.equal(found[Gradient()].dense(), expected[Gradient()].dense())
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_pass_leaves_nothing_behind(net, x, tmp_path):
    class Interrupted(Rows):
        def __getitem__(self, i):
            if i == 40:
                raise KeyboardInterrupt
            return super().__getitem__(i)

    with pytest.raises(KeyboardInterrupt):
        select("badge", net, Interrupted(x), 3, runtime=Runtime(batch_size=8, memory=0, scratch=tmp_path))
    assert list(tmp_path.iterdir()) == []
    assert not [layer for layer in net.modules() if layer._forward_hooks or layer._forward_pre_hooks]
