"""A classifier that every training starts afresh, and the networks of the published demo."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name everyone gives it

from distil.deepal.data import as_tensor, inputs_of
from distil.errors import InvalidInput, UnsupportedModel, nearest
from distil.measuring.network_source import NetworkSource
from distil.networks.torch_network import TorchNetwork
from distil.rng import Rng, drawn_seed
from distil.selection.choose import gather
from distil.signals import Embedding, Logits, MCMean, MCProbs, Probs, Signal
from distil.system.runtime import Runtime
from distil.training.config import FitConfig
from distil.training.fit import fit, fit_dataset
from distil.utils.data_handler import whole_batches

_KEYS = {
    "params": ("n_epoch", "train_args", "test_args", "optimizer_args"),
    "train_args": ("batch_size", "num_workers", "pin_memory"),
    "test_args": ("batch_size", "num_workers", "pin_memory"),
    "optimizer_args": ("lr", "momentum", "weight_decay"),
}


class Net:
    """A classifier and the settings of its training.

    Args:
        net: The network's class, or a function without arguments that builds a network. The network's ``forward(x)`` returns
            the pair (logits, embedding), and it has ``get_embedding_dim()``.
        params: ``n_epoch``; ``train_args`` and ``test_args``, each with ``batch_size`` and ``num_workers`` (processes that read
            a handler's examples one by one; handlers with ``batch`` need none); ``optimizer_args`` of plain SGD: ``lr`` and
            optionally ``momentum`` and ``weight_decay``. Not changed.
        device: Device for training and prediction; None: the device that the network is built on.

    Attributes:
        net: The argument.
        params: The argument.
        device: The argument.
        clf: The network of the last training; None before the first.

    Raises:
        InvalidInput: ``params`` lacks a key or has an unknown one; the message names it.
    """

    def __init__(
        self, net: Callable[[], nn.Module], params: Mapping[str, Any], device: torch.device | str | None
    ) -> None:
        _check(params)
        self.net = net
        self.params = params
        self.device = device
        self.clf: nn.Module | None = None
        self._config()

    def train(self, data: Any) -> None:  # noqa: ANN401
        """Train a fresh network, ``clf``, on a handler's examples.

        ``n_epoch`` epochs of SGD on the cross entropy, at a constant learning rate, in full precision and without early stopping.
        Every epoch reads all examples in a new random order; the last minibatch may be smaller.

        Raises:
            InvalidInput: There are no examples, a label has no output of the network, or training diverged.
        """
        if len(data) == 0:
            raise InvalidInput(
                "there are no labeled examples to train on; call initialize_labels(num) or update(ids) first"
            )
        rng = Rng(drawn_seed())
        self.reset(rng.child("weights"))
        clf = self._trained()
        first = NetworkSource(self.network(), inputs_of(data), torch.zeros(1, dtype=torch.long))
        num_classes = gather(first, (Logits(),), Runtime(device=self.device), rng.child("outputs"))[Logits()].shape[1]
        options: dict[str, Any] = {
            "num_classes": num_classes,
            "rng": rng.child("fit"),
            "device": self.device,
            "progress": True,
        }
        whole = whole_batches(data)
        if whole is None:
            workers = self.params["train_args"].get("num_workers", 0)
            fit_dataset(clf, data, self._config(), num_workers=workers, **options)
        else:
            x, y = as_tensor(whole.X), as_tensor(whole.Y)
            fit(clf, x, y, self._config(), transform=whole.transformed, **options)

    def predict(self, data: Any) -> Tensor:  # noqa: ANN401
        """Most probable class of each example, (N,) int64."""
        return self._measured(data, Logits()).argmax(1)

    def predict_prob(self, data: Any) -> Tensor:  # noqa: ANN401
        """Class probabilities, (N, C), where C is the number of outputs of the network."""
        return self._measured(data, Probs())

    def predict_prob_dropout(self, data: Any, n_drop: int = 10) -> Tensor:  # noqa: ANN401
        """Class probabilities averaged over ``n_drop`` dropout masks, (N, C); normalization stays in evaluation mode."""
        return self._measured(data, MCMean(n_drop), drawn_seed())

    def predict_prob_dropout_split(self, data: Any, n_drop: int = 10) -> Tensor:  # noqa: ANN401
        """Class probabilities under each of ``n_drop`` dropout masks, (n_drop, N, C)."""
        return self._measured(data, MCProbs(n_drop), drawn_seed()).transpose(0, 1)

    def get_embeddings(self, data: Any) -> Tensor:  # noqa: ANN401
        """The embedding that ``forward`` returns with the logits, (N, E)."""
        return self._measured(data, Embedding())

    def reset(self, rng: Rng) -> None:
        """Set ``clf`` to a fresh network without training."""
        with rng.scope():
            self.clf = self.net()

    def network(self) -> TorchNetwork:
        """``clf`` in the form that the strategies of ``distil.strategies`` take."""
        return TorchNetwork(self._trained(), outputs=_pair)

    def runtime(self) -> Runtime:
        """The settings of predictions: ``test_args`` and the device."""
        arguments = self.params["test_args"]
        return Runtime(self.device, arguments.get("batch_size"), arguments.get("num_workers", 0))

    def _measured(self, data: Any, signal: Signal[Tensor], seed: int = 0) -> Tensor:  # noqa: ANN401
        if len(data) == 0:
            raise InvalidInput("data has no examples; pass at least one to predict")
        source = NetworkSource(self.network(), inputs_of(data), torch.arange(len(data)))
        return gather(source, (signal,), self.runtime(), Rng(seed))[signal]

    def _trained(self) -> nn.Module:
        if self.clf is None:
            raise InvalidInput("the network is not trained yet; call train first")
        return self.clf

    def _config(self) -> FitConfig:
        given = {"momentum": 0.0, "weight_decay": 0.0, **self.params["optimizer_args"]}
        if given["lr"] == 0:  # a usual slip elsewhere; scripts of DeepAL keep weights by it, as this number does
            given["lr"] = sys.float_info.min
        return FitConfig(
            n_epoch=self.params["n_epoch"],
            batch_size=self.params["train_args"].get("batch_size", 1),
            optimizer="sgd",
            **given,
            schedule="constant",
            max_accuracy=None,
            window_size=None,
            amp=False,
        )


class _PairNet(nn.Module, ABC):
    """A network that returns logits and the embedding; a dropout layer between the two is not applied to the embedding."""

    @property
    @abstractmethod
    def head(self) -> nn.Linear:
        """The last layer."""

    @abstractmethod
    def embed(self, x: Tensor) -> Tensor:
        """The embedding of a minibatch: (B, channels, H, W) to (B, E)."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits, (B, 10), and the embedding, (B, E)."""
        embedding = self.embed(x)
        return self.head(F.dropout(embedding, training=self.training)), embedding

    def get_embedding_dim(self) -> int:
        """The width E of the embedding."""
        return self.head.in_features


class MNIST_Net(_PairNet):  # noqa: N801 - classes and layers have the published names, so that saved weights load
    """Two convolutions of 5x5 and a hidden layer of 50, for (1, 28, 28): 21,840 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 10, 5)
        self.conv2 = nn.Conv2d(10, 20, 5)
        self.conv2_drop = nn.Dropout2d()
        self.fc1 = nn.Linear(320, 50)
        self.fc2 = nn.Linear(50, 10)

    @property
    def head(self) -> nn.Linear:
        """The last layer."""
        return self.fc2

    def embed(self, x: Tensor) -> Tensor:
        """The embedding of a minibatch: (B, 1, 28, 28) to (B, 50)."""
        maps = F.max_pool2d(self.conv1(x), 2).relu()  # (B, 10, 12, 12)
        maps = F.max_pool2d(self.conv2_drop(self.conv2(maps)), 2).relu()  # (B, 20, 4, 4)
        hidden: Tensor = self.fc1(maps.flatten(1))
        return hidden.relu()


class SVHN_Net(_PairNet):  # noqa: N801
    """Three convolutions of 3x3 and hidden layers of 400 and 50, for (3, 32, 32): 501,152 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 3)
        self.conv2 = nn.Conv2d(32, 32, 3)
        self.conv3 = nn.Conv2d(32, 32, 3)
        self.conv3_drop = nn.Dropout2d()
        self.fc1 = nn.Linear(1152, 400)
        self.fc2 = nn.Linear(400, 50)
        self.fc3 = nn.Linear(50, 10)

    @property
    def head(self) -> nn.Linear:
        """The last layer."""
        return self.fc3

    def embed(self, x: Tensor) -> Tensor:
        """The embedding of a minibatch: (B, 3, 32, 32) to (B, 50)."""
        maps = self.conv1(x).relu()  # (B, 32, 30, 30)
        maps = F.max_pool2d(self.conv2(maps), 2).relu()  # (B, 32, 14, 14)
        maps = F.max_pool2d(self.conv3_drop(self.conv3(maps)), 2).relu()  # (B, 32, 6, 6)
        hidden: Tensor = self.fc2(self.fc1(maps.flatten(1)).relu())
        return hidden.relu()


class CIFAR10_Net(_PairNet):  # noqa: N801
    """Three convolutions of 5x5 and a hidden layer of 50, for (3, 32, 32): 131,088 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 5)
        self.conv2 = nn.Conv2d(32, 32, 5)
        self.conv3 = nn.Conv2d(32, 64, 5)
        self.fc1 = nn.Linear(1024, 50)
        self.fc2 = nn.Linear(50, 10)

    @property
    def head(self) -> nn.Linear:
        """The last layer."""
        return self.fc2

    def embed(self, x: Tensor) -> Tensor:
        """The embedding of a minibatch: (B, 3, 32, 32) to (B, 50)."""
        maps = self.conv1(x).relu()  # (B, 32, 28, 28)
        maps = F.max_pool2d(self.conv2(maps), 2).relu()  # (B, 32, 12, 12)
        maps = F.max_pool2d(self.conv3(maps), 2).relu()  # (B, 64, 4, 4)
        hidden: Tensor = self.fc1(maps.flatten(1))
        return hidden.relu()


def _pair(module: nn.Module, x: Any) -> tuple[Tensor, Tensor]:  # noqa: ANN401
    """The logits and the embedding that a network of DeepAL's protocol returns."""
    returned = module(x)
    if not (isinstance(returned, tuple | list) and len(returned) == 2 and all(isinstance(t, Tensor) for t in returned)):
        raise UnsupportedModel(
            f"{type(module).__name__}.forward(x) must return the pair (logits, embedding), got {type(returned).__name__}"
        )
    logits, embedding = returned
    return logits, embedding.flatten(1)


def _check(params: Mapping[str, Any]) -> None:
    """Raise InvalidInput if a key is missing or unknown."""
    for name, known in _KEYS.items():
        section = params if name == "params" else params[name]
        if not isinstance(section, Mapping):
            raise InvalidInput(f"{name} must be a dictionary, got {type(section).__name__}")
        for key in section:
            if key not in known:
                raise InvalidInput(
                    f"{name} has the unknown key {key!r}{nearest(str(key), known)} (known: {', '.join(known)})"
                )
        needed = known if name == "params" else ("lr",) if name == "optimizer_args" else ()
        if missing := [key for key in needed if key not in section]:
            raise InvalidInput(
                f"{name} must have the keys {', '.join(map(repr, needed))}; missing: {', '.join(missing)}"
            )
