"""Every architecture of the table through the same checks, then what is particular to each."""

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

from distil.errors import DistilError, InvalidInput, UnknownName
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

# Parameters and embedding as DISTIL 0.1 has them, with 10 classes and 3 channels (MnistNet: 1), measured on its own code.
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

# What the modules' docstrings say is different: a 3x3 stem for a 7x7 one, and a convolution that was never used.
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

# Larger relatives, of the same blocks, of networks that are checked.
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

# Side of the last map of a 32x32 image: 32 over all the strides.
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
    """The network in evaluation mode, its normalization having seen ``x``; untrained, it would let no signal through."""
    layers = [layer.train() for layer in model.eval().modules() if isinstance(layer, nn.BatchNorm2d)]
    for layer in layers:
        layer.momentum = None  # the plain average of what is seen
    with torch.no_grad():
        model(x)
    for layer in layers:
        layer.momentum = 0.1
    return model.eval()


@pytest.fixture(scope="module", params=ZOO)
def specimen(request):
    """A network of five classes in evaluation mode, two inputs, and what it makes of them; to be left as they are."""
    x = inputs(request.param, 4)
    model = settled(build(request.param), x)
    with torch.no_grad():
        return model, x[:2], model(x[:2], last=True)


def test_the_last_layer_of_the_embedding_is_the_logits(specimen):
    model, _, (logits, embedding) = specimen
    assert isinstance(model, DocumentedModel)
    assert logits.shape == (2, 5)
    assert embedding.shape == (2, model.get_embedding_dim())
    assert torch.equal(model.linear(embedding), logits)
    assert logits.isfinite().all()
    assert not torch.allclose(logits[0], logits[1], rtol=0.01)


def test_freeze_gives_equal_outputs_and_gradients_on_the_last_layer_only(specimen):
    model, x, (logits, embedding) = specimen
    try:
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
    finally:
        model.zero_grad(set_to_none=True)


def test_a_single_example_is_evaluated_as_in_a_minibatch(specimen):
    model, x, (logits, _) = specimen
    with torch.no_grad():
        alone = model(x[:1])
    torch.testing.assert_close(alone, logits[:1], rtol=0, atol=1e-3 * logits.abs().max().item())


def test_strategies_read_logits_and_embedding(specimen):
    model, x, (logits, embedding) = specimen
    network = TorchNetwork(model.train())
    try:
        with network.asking(Runtime()):
            found = network.outputs(x)
    finally:
        assert model.training
        model.eval()
    assert torch.equal(found.logits, logits)
    assert torch.equal(found.embedding, embedding)


def test_weights_travel_by_state_dict(specimen):
    model, x, (logits, _) = specimen
    twin = copy.deepcopy(model)
    with torch.no_grad():
        for tensor in twin.state_dict().values():
            tensor.zero_()
        twin.load_state_dict(model.state_dict())
        assert torch.equal(twin(x), logits)
    names = set(model.state_dict())
    assert {"linear.weight", "linear.bias"} <= names
    assert len(names) == len(list(model.parameters())) + len(list(model.buffers()))  # nothing is registered twice


def test_one_step_of_training_changes_every_parameter(specimen):
    model, x, _ = specimen
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


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(HEAVY))
def test_the_larger_relatives(name):
    model, x = build(name), inputs(name, 2)
    frozen, embedding = model(x, last=True, freeze=True)
    assert embedding.shape == (2, PUBLISHED[name][1])
    assert torch.equal(model.linear(embedding), frozen)
    assert not embedding.requires_grad
    functional.cross_entropy(model(x), torch.tensor([0, 1])).backward()
    assert all(p.grad.isfinite().all() and p.grad.any() for p in model.parameters())


@pytest.mark.parametrize("name", sorted({*ZOO} - {*VECTORS}))
def test_other_classes_channels_and_sizes(name):
    channels = 3 if name == "mnist_net" else 1
    model = build(name, num_classes=3, channels=channels).eval()
    for side in (28, 40):
        with torch.no_grad():
            logits, embedding = model(torch.randn(2, channels, side, side), last=True)
        assert logits.shape == (2, 3)
        assert embedding.shape == (2, PUBLISHED[name][1])


def test_the_table_is_the_zoo():
    assert set(architecture_names()) == set(PUBLISHED) | set(VECTORS)
    assert set(HEAVY) < set(PUBLISHED)


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameter_counts_and_embedding_widths(name):
    with torch.device("meta"):
        model = architecture_named(name)
    expected, width = PUBLISHED[name]
    expected += CHANGES.get(name, 0)
    if name == "googlenet" or name.startswith("vgg"):  # there, convolutions had a bias before normalization
        expected -= sum(layer.num_features for layer in model.modules() if isinstance(layer, nn.BatchNorm2d))
    assert sum(p.numel() for p in model.parameters()) == expected
    assert model.get_embedding_dim() == model.linear.in_features == width


# Torchvision's published ImageNet counts, with 10 classes for 1,000; its networks have the paper's widths.
@pytest.mark.parametrize(
    ("net_size", "imagenet", "width"),
    [(0.5, 1_366_792, 1024), (1, 2_278_604, 1024), (1.5, 3_503_624, 1024), (2, 7_393_996, 2048)],
)
def test_shufflenetv2_has_the_sizes_of_the_paper(net_size, imagenet, width):
    with torch.device("meta"):
        model = models.ShuffleNetV2(net_size)
    assert sum(p.numel() for p in model.parameters()) == imagenet - 990 * (width + 1)
    assert model.get_embedding_dim() == width


@pytest.mark.parametrize("name", LAST_MAP)
def test_strides_leave_the_stated_map(name):
    with torch.device("meta"):
        model = architecture_named(name)
        assert model.eval().body(torch.zeros(1, 3, 32, 32)).shape[2:] == (LAST_MAP[name], LAST_MAP[name])


@pytest.mark.parametrize("builder", [models.DLA, models.SimpleDLA])
def test_strides_of_deep_layer_aggregation(builder):
    with torch.device("meta"):
        model = builder().eval()
        assert model.stages(model.stem(torch.zeros(1, 3, 32, 32))).shape == (1, 512, 4, 4)


@pytest.mark.parametrize(("name", "side"), [("lenet", 5), ("cifar_net", 2), ("mnist_net", 12)])
def test_no_averaging_at_the_size_a_network_was_drawn_for(name, side):
    model, x = build(name).eval(), inputs(name, 2)
    with torch.no_grad():
        maps = model.maps(x)
        assert maps.shape[2:] == (side, side)
        assert torch.equal(model.features(x), model.hidden(maps.flatten(1)))


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


def test_every_public_name_is_there_and_nothing_but_torch_is_needed():
    assert all(hasattr(models, name) for name in models.__all__)
    needed = set()
    for path in Path(models.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                needed |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                needed.add(node.module.split(".")[0])
    assert needed - sys.stdlib_module_names == {"torch", "distil"}


@pytest.mark.parametrize("name", sorted({*PUBLISHED, *VECTORS} - HEAVY))
@pytest.mark.parametrize("wrong", [0, 2.0, True])
def test_sizes_that_cannot_be_right_are_refused(name, wrong):
    with torch.device("meta"):
        with pytest.raises(InvalidInput, match="num_classes must be an integer of at least 1"):
            build(name, num_classes=wrong)
        for argument in VECTORS.get(name, {"channels": 3}):
            given = {"num_classes": 5, **VECTORS.get(name, {}), argument: wrong}
            with pytest.raises(DistilError, match=f"{argument} must be an integer of at least 1"):
                architecture_named(name, **given)


def test_sizes_by_name_that_do_not_exist_are_refused():
    with pytest.raises(UnknownName, match="did you mean 'VGG16'"):
        models.VGG("VGG-16")
    with pytest.raises(UnknownName, match="VGG11, VGG13, VGG16, VGG19"):
        models.VGG(16)
    for wrong in (3, "1", True, None):
        with pytest.raises(InvalidInput, match=r"net_size must be one of 0\.5, 1, 1\.5 and 2"):
            models.ShuffleNetV2(wrong)


# --------------------------------------------------------------------------------------- the arrangement of layers


def waves(like, scale, step=1.7):
    """Numbers that no version of a random generator has a say in, of the shape of ``like``."""
    k = torch.arange(like.numel(), dtype=torch.float64)
    return (scale * torch.sin(step * k + 0.3 * torch.sqrt(k))).to(like.dtype).reshape(like.shape)


def wavy(model):
    """The network with such numbers for weights and biases; what normalization multiplies by stays 1."""
    with torch.no_grad():
        for i, (key, p) in enumerate(model.named_parameters()):
            if p.dim() > 1:
                p.copy_(waves(p, 2 / math.sqrt(p[0].numel()), 1.7 + i))
            elif key.endswith("bias"):
                p.copy_(waves(p, 0.1, 1.7 + i))
    return model


# Mean magnitude of the embedding and first three logits under those numbers. When they were written down, each network
# had been given weights equal to those of DISTIL 0.1's, and gave its logits to six digits (DenseNet: with the stem changed).
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


@pytest.mark.parametrize("name", ARRANGED)
def test_layers_are_arranged_as_published(name):
    side = 28 if name in ("cifar_net", "lenet", "mnist_net") else 16
    x = waves(inputs(name, 4)[:, :, :side, :side].double(), 0.5)
    model = settled(wavy(build(name).double()), x)
    with torch.no_grad():
        logits, embedding = model(x[:2], last=True)
    size, first = ARRANGED[name]
    assert embedding.abs().mean().item() == pytest.approx(size, rel=1e-4)
    assert logits[0, :3].tolist() == pytest.approx(first, rel=1e-3, abs=1e-3 * logits.abs().max().item())


# ----------------------------------------------------------------------------------------------- the pieces


def test_average_and_fit():
    x = torch.randn(2, 3, 4, 4)
    torch.testing.assert_close(averaged(x), functional.avg_pool2d(x, 4).flatten(1))
    assert fitted(x, 4) is x
    torch.testing.assert_close(fitted(x, 2), functional.avg_pool2d(x, 2))
    torch.testing.assert_close(fitted(x[:, :, :1, :1], 3), x[:, :, :1, :1].expand(2, 3, 3, 3))


@pytest.mark.parametrize("groups", [1, 2, 3])
def test_shuffle_is_pytorchs(groups):
    x = torch.randn(2, 12, 3, 3)
    assert torch.equal(shuffled(x, groups), functional.channel_shuffle(x, groups))


def test_squeeze_and_excitation_by_hand():
    layer = SqueezeExcite(4, 2)
    x = torch.randn(3, 4, 5, 5)
    first, second = layer.gate[0], layer.gate[2]
    for b in range(3):
        squeezed = torch.relu(first.weight @ x[b].mean((1, 2)) + first.bias)
        gate = 1 / (1 + torch.exp(-(second.weight @ squeezed + second.bias)))
        for c in range(4):
            torch.testing.assert_close(layer(x)[b, c], x[b, c] * gate[c])


def test_a_residual_block_whose_body_gives_nothing_is_its_shortcut():
    x = torch.randn(2, 3, 4, 4)
    silent = nn.Conv2d(3, 3, 1)
    nn.init.zeros_(silent.weight)
    nn.init.zeros_(silent.bias)
    torch.testing.assert_close(Residual(silent, nn.Identity())(x), x.clamp(min=0))


@pytest.mark.parametrize(("block", "last"), [(basic_block, 1), (bottleneck, 2)])
def test_a_preactivation_block_adds_to_an_input_that_nothing_touches(block, last):
    x = torch.randn(2, 8, 4, 4)
    same = block(8, 8, 1)
    nn.init.zeros_(same.body[last][2].weight)
    torch.testing.assert_close(same(x), x)
    down = block(8, 16, 2)
    nn.init.zeros_(down.body[last][2].weight)
    torch.testing.assert_close(down(x), down.shortcut(torch.relu(functional.batch_norm(x, None, None, training=True))))


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


def test_shuffle_units_pass_on_what_they_are_given():
    x = torch.rand(2, 24, 8, 8)
    out = ShuffleUnit(24, 40, 2, 2)(x)
    assert out.shape == (2, 40, 4, 4)
    torch.testing.assert_close(out[:, 16:], functional.avg_pool2d(x, 3, 2, 1))
    split = SplitUnit(24)(x)
    assert torch.equal(split[:, 0::2], x[:, :12])  # the left half, dealt out to every second place


def test_a_tree_of_two_levels_merges_what_the_paper_says():
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
    # Blocks that keep shape: of 16 those numbered, from 0, as here.
    assert rates == pytest.approx([0.2 * block / 16 for block in (2, 4, 6, 7, 9, 10, 12, 13, 14)])


def test_mnist_net_drops_maps_and_then_units():
    layers = [layer for layer in models.MnistNet().modules() if type(layer).__name__.startswith("Dropout")]
    assert [(type(layer), layer.p) for layer in layers] == [(nn.Dropout2d, 0.25), (nn.Dropout, 0.5)]


@pytest.mark.parametrize("name", ["mnist_net", "efficientnet_b0"])
def test_monte_carlo_dropout_reaches_the_dropout_of_the_zoo(name):
    x = inputs(name, 2)
    model = settled(build(name), inputs(name, 4))
    network = TorchNetwork(model)
    with network.asking(Runtime()):
        probs = network.sample(x, 4, Draw(Rng(0), torch.arange(2)))
    assert probs.shape == (2, 4, 5)
    assert (probs.std(1) > 0).all()


@pytest.mark.parametrize("name", ["shufflenet_g3", "lenet"])
def test_they_learn(name):
    model = build(name, num_classes=2)
    x = torch.randn(16, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    y = torch.arange(16) % 2
    x[y == 1] += 0.5
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    losses = []
    for _ in range(10):
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]
