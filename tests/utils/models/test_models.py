"""The base class of the architectures, the residual networks, the two-layer network and the table of names."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from distil.errors import DistilError, InvalidInput, UnknownName
from distil.utils.models import (
    DocumentedModel,
    ResNet18,
    ResNet34,
    ResNet50,
    ResNet101,
    ResNet152,
    TwoLayerNet,
    architecture_named,
    architecture_names,
)

IMAGE = (3, 32, 32)
VECTOR = {"input_dim": 12, "num_classes": 5, "hidden_units": 7}


def test_freeze_gives_equal_outputs_and_gradients_on_the_last_layer_only():
    """Of an architecture that the checks of the whole zoo leave to the slow tests."""
    torch.manual_seed(0)
    model = architecture_named("resnet50", num_classes=5).eval()
    x = torch.randn(2, *IMAGE)
    frozen, embedding = model(x, last=True, freeze=True)
    assert torch.equal(model.linear(embedding), frozen)
    free = model(x)
    assert torch.equal(frozen, free)
    assert not embedding.requires_grad
    frozen.sum().backward()
    assert {key for key, p in model.named_parameters() if p.grad is not None} == {"linear.weight", "linear.bias"}
    free.sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_freeze_leaves_the_callers_grad_mode_alone():
    model = TwoLayerNet(**VECTOR)
    with torch.no_grad():
        assert not model(torch.zeros(1, 12)).requires_grad
    model(torch.zeros(1, 12), freeze=True)
    assert torch.is_grad_enabled()


def test_parameter_counts_and_embedding_widths():
    """Torchvision's published ImageNet counts, with a 3x3 stem in place of the 7x7 one and 10 classes in place of 1,000.

    For ResNet-18: 11,689,512 - 513,000 - 9,408 + 1,728 + 5,130.
    """
    for builder, parameters, width in (
        (ResNet18, 11_173_962, 512),
        (ResNet34, 21_282_122, 512),
        (ResNet50, 23_520_842, 2048),
        (ResNet101, 42_512_970, 2048),
        (ResNet152, 58_156_618, 2048),
    ):
        with torch.device("meta"):
            model = builder()
        assert sum(p.numel() for p in model.parameters()) == parameters, builder
        assert model.get_embedding_dim() == width, builder


def test_two_layer_net_is_linear_relu_linear_on_flattened_inputs():
    model = TwoLayerNet(64, 10, 128)
    assert sum(p.numel() for p in model.parameters()) == 64 * 128 + 128 + 128 * 10 + 10
    x = torch.randn(4, 8, 8)
    first, second = model.hidden, model.linear
    expected = (x.reshape(4, 64) @ first.weight.T + first.bias).clamp(min=0) @ second.weight.T + second.bias
    torch.testing.assert_close(model(x), expected)


def test_other_channels_classes_and_image_sizes():
    for channels, size in ((1, 28), (3, 28), (4, 64), (1, 7)):
        model = ResNet18(num_classes=3, channels=channels).eval()
        with torch.no_grad():
            logits, embedding = model(torch.randn(2, channels, size, size), last=True)
        assert logits.shape == (2, 3), (channels, size)
        assert embedding.shape == (2, 512), (channels, size)


def test_pooling_equals_the_fixed_4x4_windows_of_the_original_on_32x32():
    model = ResNet18().eval()
    x = torch.randn(2, *IMAGE)
    with torch.no_grad():
        kept = {}
        handle = model.layer4.register_forward_hook(lambda _m, _i, out: kept.update(out=out))
        embedding = model.features(x)
        handle.remove()
    assert kept["out"].shape == (2, 512, 4, 4)
    torch.testing.assert_close(embedding, functional.avg_pool2d(kept["out"], 4).flatten(1))


def test_stages_halve_the_resolution_and_blocks_are_residual():
    model = ResNet18().eval()
    block = model.layer1[0]
    x = torch.randn(1, 64, 8, 8)
    # With its last normalization at zero, a block is the ReLU of its shortcut.
    nn.init.zeros_(block.bn2.weight)
    with torch.no_grad():
        torch.testing.assert_close(block(x), x.clamp(min=0))
        assert model.layer2[0](x).shape == (1, 128, 4, 4)


def test_a_resnet_learns():
    torch.manual_seed(0)
    model = ResNet18(num_classes=2, channels=1)
    x = torch.randn(8, 1, 8, 8)
    y = torch.arange(8) % 2
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    losses = []
    for _ in range(8):
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]


def test_names_are_in_alphabetical_order():
    assert architecture_names() == tuple(sorted(architecture_names()))
    assert {"two_layer_net", "resnet18", "resnet50"} < set(architecture_names())


def test_an_unknown_name_offers_the_nearest():
    with pytest.raises(UnknownName, match="did you mean 'resnet18'"):
        architecture_named("resnet_18")
    with pytest.raises(LookupError, match="two_layer_net"):
        architecture_named("zzz")


def test_arguments_an_architecture_does_not_take_are_refused():
    with pytest.raises(InvalidInput, match="resnet18 takes num_classes, channels, but not 'hidden_units'"):
        architecture_named("resnet18", hidden_units=3)
    with pytest.raises(InvalidInput, match="did you mean 'channels'"):
        architecture_named("resnet18", channel=1)
    with pytest.raises(InvalidInput, match="two_layer_net needs input_dim, hidden_units"):
        architecture_named("two_layer_net", num_classes=3)


def test_invalid_sizes_are_refused():
    for size in (0, -1, 2.0, "3", True, None):
        with pytest.raises(InvalidInput, match="hidden_units must be an integer of at least 1"):
            TwoLayerNet(4, 2, size)
        with pytest.raises(DistilError, match="num_classes"):
            ResNet18(num_classes=size)
        with pytest.raises(DistilError, match="channels"):
            ResNet18(channels=size)


def test_numpy_integers_are_sizes():
    assert TwoLayerNet(4, np.int64(3), 2)(torch.zeros(1, 4)).shape == (1, 3)


def test_an_architecture_without_features_cannot_be_built():
    class Half(DocumentedModel):
        pass

    with pytest.raises(TypeError, match="abstract"):
        Half()
