"""Data sets, handlers, networks, parameters and strategies, by their names in the published demo."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import torch
from torch import nn

from distil.deepal import query_strategies
from distil.deepal.data import Data, get_CIFAR10, get_FashionMNIST, get_MNIST, get_SVHN
from distil.deepal.handlers import CIFAR10_Handler, MNIST_Handler, SVHN_Handler
from distil.deepal.nets import CIFAR10_Net, MNIST_Net, Net, SVHN_Net
from distil.deepal.strategy import Strategy
from distil.errors import UnknownName, nearest

T = TypeVar("T")


class NoSuchName(UnknownName, NotImplementedError):
    """An unknown name; also a NotImplementedError, as in the published code."""


def _params(n_epoch: int, lr: float, momentum: float) -> dict[str, Any]:
    return {
        "n_epoch": n_epoch,
        "train_args": {"batch_size": 64, "num_workers": 1},
        "test_args": {"batch_size": 1000, "num_workers": 1},
        "optimizer_args": {"lr": lr, "momentum": momentum},
    }


_PARAMS: Final = {
    "MNIST": _params(10, 0.01, 0.5),
    "FashionMNIST": _params(10, 0.01, 0.5),
    "SVHN": _params(20, 0.01, 0.5),
    "CIFAR10": _params(20, 0.05, 0.3),
}
_READERS: Final[Mapping[str, Callable[..., Data]]] = {
    "MNIST": get_MNIST,
    "FashionMNIST": get_FashionMNIST,
    "SVHN": get_SVHN,
    "CIFAR10": get_CIFAR10,
}
_HANDLERS: Final[Mapping[str, Callable[..., Any]]] = {
    "MNIST": MNIST_Handler,
    "FashionMNIST": MNIST_Handler,
    "SVHN": SVHN_Handler,
    "CIFAR10": CIFAR10_Handler,
}
_NETS: Final[Mapping[str, Callable[[], nn.Module]]] = {
    "MNIST": MNIST_Net,
    "FashionMNIST": MNIST_Net,
    "SVHN": SVHN_Net,
    "CIFAR10": CIFAR10_Net,
}
_STRATEGIES: Final[Mapping[str, type[Strategy]]] = {
    cls.__name__: cls
    for cls in (
        query_strategies.RandomSampling,
        query_strategies.LeastConfidence,
        query_strategies.MarginSampling,
        query_strategies.EntropySampling,
        query_strategies.LeastConfidenceDropout,
        query_strategies.MarginSamplingDropout,
        query_strategies.EntropySamplingDropout,
        query_strategies.KMeansSampling,
        query_strategies.KMediansSampling,
        query_strategies.KCenterGreedy,
        query_strategies.BALDDropout,
        query_strategies.AdversarialBIM,
        query_strategies.AdversarialDeepFool,
    )
}

DATASETS: Final = tuple(_READERS)
"""The names that ``get_dataset``, ``get_handler``, ``get_net`` and ``get_params`` take."""

STRATEGIES: Final = tuple(_STRATEGIES)
"""The names that ``get_strategy`` takes."""


def get_handler(name: str) -> Callable[..., Any]:
    """The handler class of the data set ``MNIST``, ``FashionMNIST``, ``SVHN`` or ``CIFAR10``.

    Raises:
        NoSuchName: (a NotImplementedError) No data set has that name.
    """
    return _named(_HANDLERS, name, "data set")


def get_dataset(name: str, data_root: str | Path | None = None) -> Data:
    """A data set with its handler; ``data_root`` is as for ``get_MNIST``.

    Raises:
        NoSuchName: See ``get_handler``.
        DataNotFound: The files are missing and cannot be downloaded.
    """
    return _named(_READERS, name, "data set")(get_handler(name), data_root)


def get_net(name: str, device: torch.device | str | None) -> Net:
    """The classifier of a data set, with the training parameters of ``get_params``.

    Raises:
        NoSuchName: See ``get_handler``.
    """
    return Net(_named(_NETS, name, "data set"), get_params(name), device)


def get_params(name: str) -> dict[str, Any]:
    """The published training parameters of a data set, as a new dictionary that may be changed.

    Raises:
        NoSuchName: See ``get_handler``.
    """
    return copy.deepcopy(_named(_PARAMS, name, "data set"))


def get_strategy(name: str) -> type[Strategy]:
    """The class of the strategy with this name, one of ``STRATEGIES``.

    Raises:
        NoSuchName: (a NotImplementedError) No strategy has that name.
    """
    return _named(_STRATEGIES, name, "strategy")


def _named(known: Mapping[str, T], name: str, noun: str) -> T:
    if name not in known:
        raise NoSuchName(f"no {noun} is called {name!r}{nearest(str(name), known)} (known: {', '.join(known)})")
    return known[name]
