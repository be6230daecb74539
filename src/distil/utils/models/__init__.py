"""The architectures of the DISTIL document, as classes and by their names in a configuration.

To add one, write a module in this folder with a class that derives from ``DocumentedModel``, import it here, and add it to the
table of names below.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from distil.errors import InvalidInput, UnknownName, nearest
from distil.utils.models.base import DocumentedModel
from distil.utils.models.cifar10net import CifarNet
from distil.utils.models.densenet import DenseNet, DenseNet121, DenseNet161, DenseNet169, DenseNet201
from distil.utils.models.dla import DLA
from distil.utils.models.dla_simple import SimpleDLA
from distil.utils.models.dpn import DPN, DPN26, DPN92
from distil.utils.models.efficientnet import EfficientNetB0
from distil.utils.models.googlenet import GoogLeNet
from distil.utils.models.lenet import LeNet
from distil.utils.models.logreg_net import LogisticRegNet
from distil.utils.models.mnist_net import MnistNet
from distil.utils.models.mobilenet import MobileNet
from distil.utils.models.mobilenetv2 import MobileNetV2
from distil.utils.models.pnasnet import PNASNet, PNASNetA, PNASNetB
from distil.utils.models.preact_resnet import (
    PreActResNet,
    PreActResNet18,
    PreActResNet34,
    PreActResNet50,
    PreActResNet101,
    PreActResNet152,
)
from distil.utils.models.regnet import RegNet, RegNetX_200MF, RegNetX_400MF, RegNetY_400MF
from distil.utils.models.resnet import ResNet, ResNet18, ResNet34, ResNet50, ResNet101, ResNet152
from distil.utils.models.resnext import ResNeXt, ResNeXt29_2x64d, ResNeXt29_4x64d, ResNeXt29_8x64d, ResNeXt29_32x4d
from distil.utils.models.senet import SENet18
from distil.utils.models.shufflenet import ShuffleNet, ShuffleNetG2, ShuffleNetG3
from distil.utils.models.shufflenetv2 import ShuffleNetV2
from distil.utils.models.simpleNN_net import ThreeLayerNet, TwoLayerNet
from distil.utils.models.vgg import VGG

__all__ = [
    "DLA",
    "DPN",
    "DPN26",
    "DPN92",
    "VGG",
    "CifarNet",
    "DenseNet",
    "DenseNet121",
    "DenseNet161",
    "DenseNet169",
    "DenseNet201",
    "DocumentedModel",
    "EfficientNetB0",
    "GoogLeNet",
    "LeNet",
    "LogisticRegNet",
    "MnistNet",
    "MobileNet",
    "MobileNetV2",
    "PNASNet",
    "PNASNetA",
    "PNASNetB",
    "PreActResNet",
    "PreActResNet18",
    "PreActResNet34",
    "PreActResNet50",
    "PreActResNet101",
    "PreActResNet152",
    "RegNet",
    "RegNetX_200MF",
    "RegNetX_400MF",
    "RegNetY_400MF",
    "ResNeXt",
    "ResNeXt29_2x64d",
    "ResNeXt29_4x64d",
    "ResNeXt29_8x64d",
    "ResNeXt29_32x4d",
    "ResNet",
    "ResNet18",
    "ResNet34",
    "ResNet50",
    "ResNet101",
    "ResNet152",
    "SENet18",
    "ShuffleNet",
    "ShuffleNetG2",
    "ShuffleNetG3",
    "ShuffleNetV2",
    "SimpleDLA",
    "ThreeLayerNet",
    "TwoLayerNet",
    "architecture_named",
    "architecture_names",
    "architecture_parameters",
]

_ARCHITECTURES: Mapping[str, Callable[..., DocumentedModel]] = {
    "cifar_net": CifarNet,
    "densenet121": DenseNet121,
    "densenet161": DenseNet161,
    "densenet169": DenseNet169,
    "densenet201": DenseNet201,
    "dla": DLA,
    "dla_simple": SimpleDLA,
    "dpn26": DPN26,
    "dpn92": DPN92,
    "efficientnet_b0": EfficientNetB0,
    "googlenet": GoogLeNet,
    "lenet": LeNet,
    "logistic_regression": LogisticRegNet,
    "mnist_net": MnistNet,
    "mobilenet": MobileNet,
    "mobilenetv2": MobileNetV2,
    "pnasnet_a": PNASNetA,
    "pnasnet_b": PNASNetB,
    "preact_resnet18": PreActResNet18,
    "preact_resnet34": PreActResNet34,
    "preact_resnet50": PreActResNet50,
    "preact_resnet101": PreActResNet101,
    "preact_resnet152": PreActResNet152,
    "regnetx_200mf": RegNetX_200MF,
    "regnetx_400mf": RegNetX_400MF,
    "regnety_400mf": RegNetY_400MF,
    "resnet18": ResNet18,
    "resnet34": ResNet34,
    "resnet50": ResNet50,
    "resnet101": ResNet101,
    "resnet152": ResNet152,
    "resnext29_2x64d": ResNeXt29_2x64d,
    "resnext29_4x64d": ResNeXt29_4x64d,
    "resnext29_8x64d": ResNeXt29_8x64d,
    "resnext29_32x4d": ResNeXt29_32x4d,
    "senet18": SENet18,
    "shufflenet_g2": ShuffleNetG2,
    "shufflenet_g3": ShuffleNetG3,
    "shufflenetv2": ShuffleNetV2,
    "three_layer_net": ThreeLayerNet,
    "two_layer_net": TwoLayerNet,
    "vgg11": partial(VGG, "VGG11"),
    "vgg13": partial(VGG, "VGG13"),
    "vgg16": partial(VGG, "VGG16"),
    "vgg19": partial(VGG, "VGG19"),
}


def architecture_names() -> tuple[str, ...]:
    """The names that ``architecture_named`` knows, in alphabetical order."""
    return tuple(sorted(_ARCHITECTURES))


def architecture_parameters(name: str) -> tuple[str, ...]:
    """The names of an architecture's arguments.

    Raises:
        UnknownName: No architecture has this name.
    """
    return tuple(inspect.signature(_builder(name)).parameters)


def architecture_named(name: str, **arguments: Any) -> DocumentedModel:  # noqa: ANN401 - each builder's own
    """Build the architecture of this name.

    The initial weights are drawn from PyTorch's global generator; build inside ``Rng.scope()`` to fix them.

    Args:
        name: One of ``architecture_names()``.
        **arguments: Keyword arguments of the architecture: ``num_classes`` and, for images, ``channels``, for vectors
            ``input_dim`` and the widths of hidden layers.

    Returns:
        A new module in training mode, on the CPU.

    Raises:
        UnknownName: No architecture has this name; the message offers the nearest one.
        InvalidInput: An argument is unknown or missing, or has an invalid value.

    >>> net = architecture_named("two_layer_net", input_dim=64, num_classes=10, hidden_units=128)
    >>> net.get_embedding_dim()
    128
    """
    builder = _builder(name)
    taken = inspect.signature(builder).parameters
    for argument in arguments:
        if argument not in taken:
            hint = nearest(argument, taken)
            raise InvalidInput(f"{name} takes {', '.join(taken)}, but not {argument!r}{hint}")
    missing = [p.name for p in taken.values() if p.default is p.empty and p.name not in arguments]
    if missing:
        raise InvalidInput(f"{name} needs {', '.join(missing)}; it takes {', '.join(taken)}")
    return builder(**arguments)


def _builder(name: str) -> Callable[..., DocumentedModel]:
    builder = _ARCHITECTURES.get(name)
    if builder is None:
        known = ", ".join(architecture_names())
        hint = nearest(str(name), _ARCHITECTURES)
        raise UnknownName(f"no architecture is called {name!r}{hint} (known: {known})")
    return builder
