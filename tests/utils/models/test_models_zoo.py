"""The checks that every architecture of the table must pass, then tests of single architectures and layers."""

import ast
import copy
import importlib
import math
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

from distil.errors import InvalidInput, UnknownName
from distil.networks.dropout import Draw
from distil.networks.torch_network import TorchNetwork
from distil.rng import Rng
from distil.system.runtime import Runtime
from distil.utils import models
from distil.utils.models import DocumentedModel, architecture_named, architecture_names
from distil.utils.models._layers import Residual, SqueezeExcite, averaged, fitted, shuffled
from distil.utils.models.densenet import DenseLayer
from distil.utils.models.dla import Tree
from distil.utils.models.dpn import DualPathBlock
from distil.utils.models.efficientnet import StochasticDepth
from distil.utils.models.preact_resnet import basic_block, bottleneck
from distil.utils.models.shufflenet import ShuffleUnit
from distil.utils.models.shufflenetv2 import SplitUnit

# Parameters and width of the embedding in DISTIL 0.1, for 10 classes and 3 channels (MnistNet: 1), measured with its code.
PUBLISHED = {
    "cifar_net": (537_610, 256),
    "densenet121": (6_964_106, 1024),
    "densenet161": (26_494_090, 2208),
    "densenet169": (12_501_130, 1664),
    "densenet201": (18_112_138, 1920),
    "dla": (16_291_386, 512),
    "dla_simple": (15_142_970, 512),
    "dpn26": (11_574_842, 2432),
    "dpn92": (34_236_634, 2560),
    "efficientnet_b0": (3_599_686, 320),
    "googlenet": (6_166_250, 1024),
    "lenet": (62_006, 84),
    "mnist_net": (1_199_882, 128),
    "mobilenet": (3_217_226, 1024),
    "mobilenetv2": (2_296_922, 1280),
    "pnasnet_a": (130_646, 176),
    "pnasnet_b": (451_626, 128),
    "preact_resnet18": (11_171_146, 512),
    "preact_resnet34": (21_279_306, 512),
    "preact_resnet50": (23_509_066, 2048),
    "preact_resnet101": (42_501_194, 2048),
    "preact_resnet152": (58_144_842, 2048),
    "regnetx_200mf": (2_321_946, 368),
    "regnetx_400mf": (4_779_338, 384),
    "regnety_400mf": (5_714_362, 384),
    "resnet18": (11_173_962, 512),
    "resnet34": (21_282_122, 512),
    "resnet50": (23_520_842, 2048),
    "resnet101": (42_512_970, 2048),
    "resnet152": (58_156_618, 2048),
    "resnext29_2x64d": (9_128_778, 1024),
    "resnext29_4x64d": (27_104_586, 2048),
    "resnext29_8x64d": (89_598_282, 4096),
    "resnext29_32x4d": (4_774_218, 1024),
    "senet18": (11_260_354, 512),
    "shufflenet_g2": (887_582, 800),
    "shufflenet_g3": (862_768, 960),
    "shufflenetv2": (1_263_854, 1024),
    "vgg11": (9_231_114, 512),
    "vgg13": (9_416_010, 512),
    "vgg16": (14_728_266, 512),
    "vgg19": (20_040_522, 512),
}

# The differences that the modules' docstrings state: a 3x3 stem in place of a 7x7 one, and an unused convolution.
CHANGES = {
    **{f"densenet{depth}": 3 * 64 * (9 - 49) for depth in (121, 169, 201)},
    "densenet161": 3 * 96 * (9 - 49),
    "efficientnet_b0": -(32 * 32 + 2 * 32),
}

VECTORS = {
    "logistic_regression": {"input_dim": 12},
    "three_layer_net": {"input_dim": 12, "hidden_units_1": 9, "hidden_units_2": 7},
    "two_layer_net": {"input_dim": 12, "hidden_units": 7},
}

# Larger networks of the same blocks as networks that are checked; only the slow tests run them.
HEAVY = {
    "densenet161",
    "densenet169",
    "densenet201",
    "dpn92",
    "preact_resnet34",
    "preact_resnet50",
    "preact_resnet101",
    "preact_resnet152",
    "regnetx_400mf",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "resnext29_2x64d",
    "resnext29_4x64d",
    "resnext29_8x64d",
    "vgg13",
    "vgg16",
    "vgg19",
}

ZOO = sorted({*architecture_names()} - HEAVY)

# Side of the last map for a 32x32 image: 32 divided by all strides.
LAST_MAP = {
    "densenet121": 4,
    "dpn26": 4,
    "efficientnet_b0": 2,
    "googlenet": 8,
    "mobilenet": 2,
    "mobilenetv2": 4,
    "pnasnet_a": 8,
    "pnasnet_b": 8,
    "preact_resnet18": 4,
    "preact_resnet50": 4,
    "regnetx_200mf": 8,
    "regnetx_400mf": 8,
    "regnety_400mf": 8,
    "resnext29_32x4d": 8,
    "senet18": 4,
    "shufflenet_g2": 4,
    "shufflenet_g3": 4,
    "shufflenetv2": 4,
    "vgg11": 1,
    "vgg16": 1,
}


def build(name, num_classes=5, **arguments):
    torch.manual_seed(0)
    return architecture_named(name, num_classes=num_classes, **VECTORS.get(name, {}), **arguments)


def inputs(name, n):
    shape = (12,) if name in VECTORS else (1, 28, 28) if name == "mnist_net" else (3, 32, 32)
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(0))


def settled(model, x):
    """The network in evaluation mode, normalized by the statistics of ``x``; otherwise signals would vanish in it."""
    layers = [layer.train() for layer in model.eval().modules() if isinstance(layer, nn.BatchNorm2d)]
    for layer in layers:
        layer.momentum = None  # a plain average
    with torch.no_grad():
        model(x)
    for layer in layers:
        layer.momentum = 0.1
    return model.eval()


def check_outputs(model, logits, embedding):
    assert isinstance(model, DocumentedModel)
    assert logits.shape == (2, 5)
    assert embedding.shape == (2, model.get_embedding_dim())
    assert torch.equal(model.linear(embedding), logits)
    assert logits.isfinite().all()
    assert not torch.allclose(logits[0], logits[1], rtol=0.01)


def check_freeze(model, x, logits, embedding):
    """Equal outputs, and gradients on the last layer only."""
    frozen, below = model(x, last=True, freeze=True)
    assert torch.equal(frozen, logits)
    assert torch.equal(below, embedding)
    assert not below.requires_grad
    frozen.sum().backward()
    assert {key for key, p in model.named_parameters() if p.grad is not None} == {"linear.weight", "linear.bias"}
    free = model(x)
    assert torch.equal(free, logits)
    free.sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    model.zero_grad(set_to_none=True)


def check_single_example(model, x, logits):
    with torch.no_grad():
        alone = model(x[:1])
    torch.testing.assert_close(alone, logits[:1], rtol=0, atol=1e-3 * logits.abs().max().item())


def check_network(model, x, logits, embedding):
    """Strategies read the same logits and embedding, and the model stays in training mode."""
    network = TorchNetwork(model.train())
    with network.asking(Runtime()):
        outputs = network.outputs(x)
    assert model.training
    model.eval()
    assert torch.equal(outputs.logits, logits)
    assert torch.equal(outputs.embedding, embedding)


def check_state_dict(model, x, logits):
    twin = copy.deepcopy(model)
    with torch.no_grad():
        for tensor in twin.state_dict().values():
            tensor.zero_()
        twin.load_state_dict(model.state_dict())
        assert torch.equal(twin(x), logits)
    names = set(model.state_dict())
    assert {"linear.weight", "linear.bias"} <= names
    assert len(names) == len(list(model.parameters())) + len(list(model.buffers()))  # nothing is registered twice


def check_training_step(model, x):
    """One step changes every parameter and every buffer."""
    model = copy.deepcopy(model).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    torch.manual_seed(0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loss = functional.cross_entropy(model(x), torch.tensor([0, 1]))
    loss.backward()
    optimizer.step()
    assert math.isfinite(loss.item())
    assert 0 < loss.item() < 30
    same = [key for key, value in model.state_dict().items() if torch.equal(value, before[key])]
    assert not same
    assert all(value.isfinite().all() for value in model.state_dict().values())


# One architecture of each design that is quick to build; the slow tests run the others too.
QUICK = {*VECTORS, "cifar_net", "lenet", "mnist_net", "mobilenetv2", "resnet18", "shufflenetv2", "vgg11"}


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in ZOO]
)
def test_every_architecture(name):
    """One case per architecture: most of the time goes into building the network and its first pass."""
    x = inputs(name, 4)
    model = settled(build(name), x)
    x = x[:2]
    with torch.no_grad():
        logits, embedding = model(x, last=True)
    check_outputs(model, logits, embedding)
    check_freeze(model, x, logits, embedding)
    check_single_example(model, x, logits)
    check_network(model, x, logits, embedding)
    check_state_dict(model, x, logits)
    check_training_step(model, x)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(HEAVY))
def test_the_larger_networks(name):
    model, x = build(name), inputs(name, 2)
    frozen, embedding = model(x, last=True, freeze=True)
    assert embedding.shape == (2, PUBLISHED[name][1])
    assert torch.equal(model.linear(embedding), frozen)
    assert not embedding.requires_grad
    functional.cross_entropy(model(x), torch.tensor([0, 1])).backward()
    assert all(p.grad.isfinite().all() and p.grad.any() for p in model.parameters())


@pytest.mark.slow
def test_other_classes_channels_and_sizes():
    for name in sorted({*ZOO} - {*VECTORS}):
        channels = 3 if name == "mnist_net" else 1
        model = build(name, num_classes=3, channels=channels).eval()
        for side in (28, 40):
            with torch.no_grad():
                logits, embedding = model(torch.randn(2, channels, side, side), last=True)
            assert logits.shape == (2, 3), name
            assert embedding.shape == (2, PUBLISHED[name][1]), name


def test_the_table_is_the_zoo():
    assert set(architecture_names()) == set(PUBLISHED) | set(VECTORS)
    assert set(HEAVY) < set(PUBLISHED)


def test_parameter_counts_and_embedding_widths():
    for name, (published, width) in PUBLISHED.items():
        with torch.device("meta"):
            model = architecture_named(name)
        expected = published + CHANGES.get(name, 0)
        if name == "googlenet" or name.startswith("vgg"):  # DISTIL 0.1 has a bias before normalization
            expected -= sum(layer.num_features for layer in model.modules() if isinstance(layer, nn.BatchNorm2d))
        assert sum(p.numel() for p in model.parameters()) == expected, name
        assert model.get_embedding_dim() == model.linear.in_features == width, name


def test_shufflenetv2_has_the_sizes_of_the_paper():
    """Torchvision's published ImageNet counts with 10 classes in place of 1,000; its networks have the paper's widths."""
    for net_size, imagenet, width in (
        (0.5, 1_366_792, 1024),
        (1, 2_278_604, 1024),
        (1.5, 3_503_624, 1024),
        (2, 7_393_996, 2048),
    ):
        with torch.device("meta"):
            model = models.ShuffleNetV2(net_size)
        assert sum(p.numel() for p in model.parameters()) == imagenet - 990 * (width + 1), net_size
        assert model.get_embedding_dim() == width, net_size


@pytest.mark.slow
def test_strides_give_the_stated_map():
    with torch.device("meta"):
        for name, side in LAST_MAP.items():
            model = architecture_named(name)
            assert model.eval().body(torch.zeros(1, 3, 32, 32)).shape[2:] == (side, side), name
        for builder in (models.DLA, models.SimpleDLA):
            model = builder().eval()
            assert model.stages(model.stem(torch.zeros(1, 3, 32, 32))).shape == (1, 512, 4, 4), builder


def test_no_averaging_at_the_size_a_network_was_designed_for():
    for name, side in (("lenet", 5), ("cifar_net", 2), ("mnist_net", 12)):
        model, x = build(name).eval(), inputs(name, 2)
        with torch.no_grad():
            maps = model.maps(x)
            assert maps.shape[2:] == (side, side), name
            assert torch.equal(model.features(x), model.hidden(maps.flatten(1))), name


def test_published_calls():
    with torch.device("meta"):
        for model, classes in [
            (models.ResNet18(7, 3), 7),
            (models.VGG("VGG16"), 10),
            (models.VGG("VGG11", 7, 1), 7),
            (models.MobileNetV2(7), 7),
            (models.ShuffleNetV2(0.5), 10),
            (models.ShuffleNetV2(net_size=1, num_classes=7, channels=1), 7),
            (models.DenseNet121(num_classes=7), 7),
            (models.LeNet(7), 7),
            (models.EfficientNetB0(7), 7),
            (models.ResNeXt29_32x4d(7), 7),
            (models.RegNetX_200MF(7, 1), 7),
            (models.MnistNet(), 10),
            (models.LogisticRegNet(12, 7), 7),
            (models.TwoLayerNet(12, 7, 5), 7),
            (models.ThreeLayerNet(12, 7, 5, 4), 7),
        ]:
            assert model.linear.out_features == classes


def test_modules_of_the_document_and_of_published_scripts():
    documented = """densenet dla dla_simple dpn efficientnet googlenet lenet mobilenet mobilenetv2 pnasnet preact_resnet
        regnet resnet resnext senet shufflenet shufflenetv2 vgg"""
    for module in documented.split():
        importlib.import_module(f"distil.utils.models.{module}")
    script = {
        "cifar10net": "CifarNet",
        "mnist_net": "MnistNet",
        "logreg_net": "LogisticRegNet",
        "simple_net": "ThreeLayerNet",
        "simpleNN_net": "TwoLayerNet",
    }
    for module, name in script.items():
        assert getattr(importlib.import_module(f"distil.utils.models.{module}"), name) is getattr(models, name)


def test_public_names_exist_and_only_torch_is_imported():
    assert all(hasattr(models, name) for name in models.__all__)
    needed = set()
    for path in Path(models.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                needed |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                needed.add(node.module.split(".")[0])
    assert needed - sys.stdlib_module_names == {"torch", "distil"}


def test_invalid_sizes_are_refused():
    with torch.device("meta"):
        for name in ZOO:
            sizes = {"num_classes": 5, **VECTORS.get(name, {"channels": 3})}
            for argument in sizes:
                for size in (0, 2.0, True):
                    with pytest.raises(InvalidInput, match=f"{argument} must be an integer of at least 1, got {size}"):
                        architecture_named(name, **{**sizes, argument: size})


def test_unknown_sizes_are_refused():
    with pytest.raises(UnknownName, match="did you mean 'VGG16'"):
        models.VGG("VGG-16")
    with pytest.raises(UnknownName, match="VGG11, VGG13, VGG16, VGG19"):
        models.VGG(16)
    for size in (3, "1", True, None):
        with pytest.raises(InvalidInput, match=r"net_size must be one of 0\.5, 1, 1\.5 and 2"):
            models.ShuffleNetV2(size)


# --------------------------------------------------------------------------------------- the arrangement of layers


def waves(like, scale, step=1.7):
    """A tensor of the shape of ``like`` with fixed numbers that do not depend on a random generator."""
    k = torch.arange(like.numel(), dtype=torch.float64)
    return (scale * torch.sin(step * k + 0.3 * torch.sqrt(k))).to(like.dtype).reshape(like.shape)


def wavy(model):
    """The network with numbers of ``waves`` as weights and biases; the scales of normalization stay 1."""
    with torch.no_grad():
        for i, (key, p) in enumerate(model.named_parameters()):
            if p.dim() > 1:
                p.copy_(waves(p, 2 / math.sqrt(p[0].numel()), 1.7 + i))
            elif key.endswith("bias"):
                p.copy_(waves(p, 0.1, 1.7 + i))
    return model


# Mean magnitude of the embedding and first three logits of the wavy networks. They were recorded after each network, with the
# weights of its counterpart in DISTIL 0.1, had given the same logits to six digits (DenseNet: with the stem changed).
ARRANGED = {
    "cifar_net": (0.0325748, [-0.0182992, 0.041397, 0.0643444]),
    "densenet121": (0.401968, [-1.10829, 0.68024, -0.542356]),
    "dla": (0.37662, [-0.0345631, -0.379748, -0.254392]),
    "dla_simple": (0.717647, [0.0821432, -0.106154, -0.0518961]),
    "dpn26": (0.757492, [0.209103, 0.61184, -0.647933]),
    "efficientnet_b0": (2.47687, [0.889054, 0.0394666, -0.497584]),
    "googlenet": (0.427809, [-0.0536541, 0.131373, -0.0242214]),
    "lenet": (0.0319898, [-0.0416328, -0.143334, 0.00335106]),
    "mnist_net": (0.0323763, [0.0105837, 0.0331173, -0.0885055]),
    "mobilenet": (8.95759, [-6.14151, 12.1926, -5.08336]),
    "mobilenetv2": (0.158141, [0.0192281, -0.0565909, 0.078936]),
    "pnasnet_a": (6.89754, [-1.97963, -0.795973, 1.3084]),
    "pnasnet_b": (0.800938, [-0.112038, 0.0187736, 0.00131635]),
    "preact_resnet18": (0.290155, [-0.0836386, 0.0817909, -0.328279]),
    "regnetx_200mf": (1.3631, [0.224979, 0.00687985, -0.0111193]),
    "regnety_400mf": (2.01092, [-0.372909, -0.0628247, -0.176527]),
    "resnet18": (0.750238, [0.403802, -0.205125, -0.431729]),
    "resnext29_32x4d": (0.993825, [-0.378906, 0.0683501, 0.460893]),
    "senet18": (0.106252, [-0.00610475, 0.0648367, 0.0729242]),
    "shufflenet_g2": (1.38748, [-2.50902, -0.29157, 1.39244]),
    "shufflenet_g3": (1.54341, [0.0219421, -0.0437674, 0.189692]),
    "shufflenetv2": (0.382597, [0.38998, -0.0834373, -0.369603]),
    "vgg11": (0.458665, [0.667224, 0.692543, -0.545061]),
}


@pytest.mark.slow
def test_layers_are_arranged_as_published():
    for name, (size, first) in ARRANGED.items():
        side = 28 if name in ("cifar_net", "lenet", "mnist_net") else 16
        x = waves(inputs(name, 4)[:, :, :side, :side].double(), 0.5)
        model = settled(wavy(build(name).double()), x)
        with torch.no_grad():
            logits, embedding = model(x[:2], last=True)
        assert embedding.abs().mean().item() == pytest.approx(size, rel=1e-4), name
        assert logits[0, :3].tolist() == pytest.approx(first, rel=1e-3, abs=1e-3 * logits.abs().max().item()), name


# ----------------------------------------------------------------------------------------------- layers and blocks


def test_average_and_fit():
    x = torch.randn(2, 3, 4, 4)
    torch.testing.assert_close(averaged(x), functional.avg_pool2d(x, 4).flatten(1))
    assert fitted(x, 4) is x
    torch.testing.assert_close(fitted(x, 2), functional.avg_pool2d(x, 2))
    torch.testing.assert_close(fitted(x[:, :, :1, :1], 3), x[:, :, :1, :1].expand(2, 3, 3, 3))


def test_shuffle_is_pytorchs():
    x = torch.randn(2, 12, 3, 3)
    for groups in (1, 2, 3):
        assert torch.equal(shuffled(x, groups), functional.channel_shuffle(x, groups)), groups


def test_squeeze_and_excitation_by_hand():
    layer = SqueezeExcite(4, 2)
    x = torch.randn(3, 4, 5, 5)
    first, second = layer.gate[0], layer.gate[2]
    for b in range(3):
        squeezed = torch.relu(first.weight @ x[b].mean((1, 2)) + first.bias)
        gate = 1 / (1 + torch.exp(-(second.weight @ squeezed + second.bias)))
        for c in range(4):
            torch.testing.assert_close(layer(x)[b, c], x[b, c] * gate[c])


def test_a_residual_block_whose_body_is_zero_is_its_shortcut():
    x = torch.randn(2, 3, 4, 4)
    silent = nn.Conv2d(3, 3, 1)
    nn.init.zeros_(silent.weight)
    nn.init.zeros_(silent.bias)
    torch.testing.assert_close(Residual(silent, nn.Identity())(x), x.clamp(min=0))


def test_a_preactivation_block_adds_to_its_unchanged_input():
    x = torch.randn(2, 8, 4, 4)
    normalized = torch.relu(functional.batch_norm(x, None, None, training=True))
    for block, last in ((basic_block, 1), (bottleneck, 2)):
        same = block(8, 8, 1)
        nn.init.zeros_(same.body[last][2].weight)
        torch.testing.assert_close(same(x), x)
        down = block(8, 16, 2)
        nn.init.zeros_(down.body[last][2].weight)
        torch.testing.assert_close(down(x), down.shortcut(normalized))


def test_a_dense_layer_keeps_its_input_and_adds_growth_channels():
    x = torch.randn(2, 8, 4, 4)
    out = DenseLayer(8, 3)(x)
    assert out.shape == (2, 11, 4, 4)
    assert torch.equal(out[:, :8], x)


def test_a_dual_path_block_adds_to_the_one_path_and_appends_to_the_other():
    x = torch.rand(2, 20, 4, 4)
    block = DualPathBlock(20, 32, 16, 4, 1, first=False).eval()
    with torch.no_grad():
        new, out = block.body(x), block(x)
    assert out.shape == (2, 24, 4, 4)
    torch.testing.assert_close(out[:, :16], (x[:, :16] + new[:, :16]).clamp(min=0))
    torch.testing.assert_close(out[:, 16:20], x[:, 16:])
    torch.testing.assert_close(out[:, 20:], new[:, 16:].clamp(min=0))


def test_shuffle_units_keep_their_input():
    x = torch.rand(2, 24, 8, 8)
    out = ShuffleUnit(24, 40, 2, 2)(x)
    assert out.shape == (2, 40, 4, 4)
    torch.testing.assert_close(out[:, 16:], functional.avg_pool2d(x, 3, 2, 1))
    split = SplitUnit(24)(x)
    assert torch.equal(split[:, 0::2], x[:, :12])  # the left half is at every second place


def test_a_tree_of_two_levels_merges_as_in_the_paper():
    tree = Tree(8, 16, 2, 2).eval()
    x = torch.randn(1, 8, 8, 8)
    with torch.no_grad():
        below = tree.chain[0](x)
        first = tree.chain[1](below)
        second = tree.chain[2](first)
        merged = tree.node(torch.cat([tree.before(x), below, first, second], 1))
        torch.testing.assert_close(tree(x), merged)
    assert merged.shape == (1, 16, 4, 4)


def test_stochastic_depth_drops_whole_examples():
    torch.manual_seed(0)
    layer = StochasticDepth(0.25)
    x = torch.ones(400, 2, 3, 3)
    kept = layer(x).flatten(1)
    assert ((kept == 0).all(1) | torch.isclose(kept, torch.tensor(4 / 3)).all(1)).all()
    assert abs((kept[:, 0] > 0).float().mean().item() - 0.75) < 0.09  # four standard deviations
    assert torch.equal(layer.eval()(x), x)


def test_efficientnets_stochastic_depth_rises_along_the_network():
    rates = [layer.drop.p for layer in models.EfficientNetB0().modules() if isinstance(layer, StochasticDepth)]
    # The blocks that keep the shape, by their numbers from 0 among all 16.
    assert rates == pytest.approx([0.2 * block / 16 for block in (2, 4, 6, 7, 9, 10, 12, 13, 14)])


def test_mnist_net_drops_maps_and_then_units():
    layers = [layer for layer in models.MnistNet().modules() if type(layer).__name__.startswith("Dropout")]
    assert [(type(layer), layer.p) for layer in layers] == [(nn.Dropout2d, 0.25), (nn.Dropout, 0.5)]


def test_monte_carlo_dropout_samples_the_dropout_of_the_zoo():
    for name in ("mnist_net", "efficientnet_b0"):
        x = inputs(name, 2)
        network = TorchNetwork(settled(build(name), inputs(name, 4)))
        with network.asking(Runtime()):
            probs = network.sample(x, 4, Draw(Rng(0), torch.arange(2)))
        assert probs.shape == (2, 4, 5), name
        assert (probs.std(1) > 0).all(), name


def test_they_learn():
    y = torch.arange(16) % 2
    for name in ("shufflenet_g3", "lenet"):
        model = build(name, num_classes=2)
        x = torch.randn(16, 3, 16, 16, generator=torch.Generator().manual_seed(0))
        x[y == 1] += 0.5
        optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
        losses = []
        for _ in range(10):
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert losses[-1] < 0.3 * losses[0], name
