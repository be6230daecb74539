"""Images with their channels last in memory: other strides, the same outputs, the same model."""

import itertools

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from distil.errors import UnsupportedModel
from distil.measuring.channels_last import ChannelsLast
from distil.networks.memory_format import channels_last
from distil.networks.torch_network import TorchNetwork
from distil.system.runtime import Runtime


def test_the_same_numbers_in_another_order_in_memory():
    for shape, view in itertools.product(
        [(5, 1, 4, 6), (5, 3, 4, 6), (1, 1, 1, 1), (2, 3, 1, 1), (3, 2, 1, 5)], [False, True]
    ):
        x = torch.arange(torch.Size(shape).numel() * 2.0).reshape(2 * shape[0], *shape[1:])
        x = x[::2] if view else x[: shape[0]]
        turned = channels_last(x)
        assert torch.equal(turned, x), (shape, view)
        assert turned.is_contiguous(memory_format=torch.channels_last), (shape, view)
        if shape[1] == 1 and not view:
            assert turned.data_ptr() == x.data_ptr(), (shape, view)
            assert turned.stride() == (shape[2] * shape[3], 1, shape[3], 1), (shape, view)


class Net(nn.Module):
    """A small convolutional network that notes the strides that its first layer sees."""

    def __init__(self, channels=3, flatten=lambda x: x.flatten(1)):
        super().__init__()
        self.first, self.second = nn.Conv2d(channels, 4, 3), nn.Conv2d(4, 6, 3)
        self.norm, self.head = nn.BatchNorm2d(6), nn.Linear(24, 5)
        self.flatten, self.seen = flatten, []

    def forward(self, x):
        self.seen.append((len(x), x.is_contiguous(memory_format=torch.channels_last) and x.stride(1) == 1))
        x = F.max_pool2d(F.relu(self.first(x)), 2)
        return self.head(self.flatten(self.norm(F.relu(self.second(x)))))


def images(n=20, channels=3):
    return torch.randn(n, channels, 10, 10, generator=torch.Generator().manual_seed(1))


def asked(module, x, network=TorchNetwork, batch=lambda x: x):
    """Outputs with and without, and the formats of the minibatches that were not just looked at."""
    network = network(module)
    with network.asking(Runtime()):
        plain = network.outputs(batch(x))
        module.seen.clear()
        asks = ChannelsLast(network)
        found = [asks.outputs(batch(x)) for _ in range(2)]
    return plain, found, [last for n, last in module.seen if n == len(x)]


FLATTENINGS = {
    "flatten": lambda x: x.flatten(1),
    "view": lambda x: x.view(-1, 24),
    "view of sizes": lambda x: x.view(x.size(0), -1),
    "view of a size": lambda x: x.view(torch.Size([len(x), 24])),
    "view of a type": lambda x: x.flatten(1).view(torch.int32).view(torch.float32),
}


def test_outputs_are_the_same_and_so_is_the_model(seeded, fingerprint, subtests):
    for name, channels in itertools.product(FLATTENINGS, [1, 3]):
        with subtests.test(name=name, channels=channels):
            module = seeded(Net, channels, FLATTENINGS[name])
            before = fingerprint(module)
            plain, found, formats = asked(module, images(channels=channels))
            for outputs in found:
                torch.testing.assert_close(outputs.logits, plain.logits)
                torch.testing.assert_close(outputs.embedding, plain.embedding)
            assert formats == [True, True]
            assert fingerprint(module) == before


def test_minibatches_of_other_kinds(seeded, subtests):
    """A dict goes to the module by name, where it is left as it is."""
    for batch in [lambda x: [x, torch.ones(len(x))], lambda x: {"x": x}, lambda x: x.double()]:
        with subtests.test(batch=batch):
            module = seeded(Net)
            plain, found, formats = asked(module, images(), batch=batch)
            torch.testing.assert_close(found[1].logits, plain.logits)
            assert formats == [not isinstance(batch(images()), dict)] * 2


def test_networks_that_are_explained(seeded, subtests):
    for network in [
        lambda module: TorchNetwork(module, inputs=lambda x: x * 2),
        lambda module: TorchNetwork(module, outputs=lambda module, x: (module(x), None)),
        lambda module: TorchNetwork(module, head="second"),
    ]:
        with subtests.test(network=network):
            plain, found, formats = asked(seeded(Net), images(), network)
            torch.testing.assert_close(found[1].logits, plain.logits)
            if plain.embedding is not None:
                torch.testing.assert_close(found[1].embedding, plain.embedding)
            assert formats == [True, True]


def strided(x):
    return torch.as_strided(x, (len(x), 24), (24, 1))  # means another thing in another order


def fails(x):
    if not x.is_contiguous():
        raise RuntimeError("only the usual format, please")
    return x.flatten(1)


def test_models_that_the_format_would_change_are_asked_as_they_are(seeded):
    for flatten in [strided, fails]:
        plain, found, formats = asked(seeded(Net, flatten=flatten), images())
        for outputs in found:
            assert torch.equal(outputs.logits, plain.logits), flatten
        assert formats == [False, False], flatten


def test_models_without_images(small_net):
    network = TorchNetwork(small_net())
    x = torch.randn(9, 6)
    calls = []
    network.module.register_forward_hook(lambda module, args, out: calls.append(len(args[0])))
    with network.asking(Runtime()):
        plain = network.outputs(x).logits
        calls.clear()
        assert torch.equal(ChannelsLast(network).outputs(x).logits, plain)
    assert calls == [9]


def test_an_error_of_the_model_is_its_own(seeded):
    module = seeded(Net)
    network = TorchNetwork(module)
    with (
        network.asking(Runtime()),
        pytest.raises(UnsupportedModel, match=r"expected input.* to have 3 channels, but got 2 channels instead"),
    ):
        ChannelsLast(network).outputs(images(channels=2))
    assert not module._forward_pre_hooks
