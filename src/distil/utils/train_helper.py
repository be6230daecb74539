"""Training with the interface of DISTIL 0.1, on the training loop of ``distil.training``.

>>> import numpy as np
>>> from distil.utils.data_handler import DataHandler_Points
>>> from distil.utils.models.simpleNN_net import TwoLayerNet
>>> x, y = np.array([[-1.0], [-2.0], [1.0], [2.0]]), np.array([0, 0, 1, 1])
>>> trainer = data_train(x, y, TwoLayerNet(1, 2, 8), DataHandler_Points, {"n_epoch": 50, "lr": 0.1, "seed": 0, "device": "cpu"})
>>> net = trainer.train()
>>> trainer.get_acc_on_set(x, y)
1.0
"""

from __future__ import annotations

import copy
import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence, Sized
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from distil.data.arrays import Array, from_numpy
from distil.errors import InvalidInput, nearest, whole_number
from distil.measuring.network_source import NetworkSource
from distil.networks.torch_network import TorchNetwork
from distil.rng import Rng
from distil.signals import Logits
from distil.system.runtime import Runtime
from distil.training.config import FitConfig
from distil.training.fit import FitResult, fit, fit_dataset, saturated
from distil.utils.data_handler import whole_batches

__all__ = ["data_train", "init_weights"]

Handler = Callable[..., Dataset[Any]]

# The published defaults, except batch_size. It was 1, which is slow and cannot train BatchNorm.
DEFAULTS: Final[Mapping[str, Any]] = {
    "batch_size": 64,
    "optimizer": "sgd",
    "max_accuracy": 0.95,
    "min_diff_acc": 0.001,
    "window_size": 10,
    "islogs": False,
    "isverbose": False,
    "isreset": True,
}
_FIT_KEYS: Final = tuple(field.name for field in dataclasses.fields(FitConfig) if field.name != "patience")
_KEYS: Final = (*_FIT_KEYS, "islogs", "isverbose", "isreset", "criterion", "device", "seed", "logs_location")


class data_train:  # noqa: N801 - the published name
    """Trains a network, in place, on the labeled examples.

    Keys of ``args`` (the section ``train_parameters`` of a configuration file has this form):

    * ``n_epoch`` and ``lr``, required: the maximum number of epochs (the published code ran one fewer), and the learning rate
      of the first epoch, which decreases along a cosine;
    * ``batch_size`` (64), ``optimizer`` (``"sgd"`` with momentum 0.9 and weight decay 5e-4, or ``"adam"``), and the other
      fields of ``FitConfig`` except ``patience``;
    * ``max_accuracy`` (0.95): training stops at this training accuracy; ``min_diff_acc`` (0.001) and ``window_size`` (10):
      training also stops when the training accuracy rises by less than ``min_diff_acc`` over ``window_size`` epochs;
    * ``isreset`` (True): draw new weights before every training, with the ``reset_parameters`` of each submodule that has
      one (other weights are kept). False: only before the first training, as published; later ones start from the current
      weights;
    * ``islogs`` (False): also return the log lines; ``isverbose`` (False): show a progress bar;
    * ``criterion`` (``CrossEntropyLoss()``): a callable of logits (B, C) and labels (B,) that returns one loss, or one loss
      per example (required with weights);
    * ``device`` (CUDA if available): the device to train on; the network stays there;
    * ``seed``: makes every training a function of seed, data and network. Without it the seed is drawn from PyTorch's global
      generator, so that ``torch.manual_seed`` makes a script repeatable;
    * ``logs_location``: accepted, but not used here.

    Unlike the published code, this class does not discard a training whose accuracy is below 20 % in the 50th epoch, and
    training with weights does not change the criterion.

    Args:
        X: Inputs, (N, ...), in the form that ``handler`` takes.
        Y: Labels, (N,).
        net: The network; its number of outputs is the number of classes.
        handler: ``handler(X, Y, False)`` makes a data set of ``(x, y, index)``.
        args: Options by name, see above; not changed.

    Attributes:
        X: The inputs.
        Y: The labels.
        net: The network.
        clf: The trained network: the same object as ``net``.
        handler: The handler.
        args: The options with defaults filled in.
        idxs_lb: The argument of the last ``update_index``; None before the first.
        n_pool: ``len(Y)``.

    Raises:
        InvalidInput: A key is unknown (the message offers the nearest one) or missing, or a value is invalid.
    """

    def __init__(
        self,
        X: Array | Sequence[Any],  # noqa: N803 - the published names
        Y: Array | Sequence[int],  # noqa: N803
        net: nn.Module,
        handler: Handler,
        args: Mapping[str, Any],
    ) -> None:
        self.net = net
        self.clf: nn.Module = net
        self.handler = handler
        self.args: dict[str, Any] = {**DEFAULTS, **_checked(args)}
        self.idxs_lb: Any = None
        self._config = FitConfig(**{key: value for key, value in self.args.items() if key in _FIT_KEYS})
        self._device = _device(self.args.get("device"))
        self._trained = False
        self.update_data(X, Y)

    def update_index(self, idxs_lb: Any) -> None:  # noqa: ANN401 - kept as it comes
        """Store the rows of the labeled examples in a pool; training does not use them."""
        self.idxs_lb = idxs_lb

    def update_data(self, X: Array | Sequence[Any], Y: Array | Sequence[int]) -> None:  # noqa: N803
        """Replace the training examples.

        Args:
            X: Inputs, (N, ...).
            Y: Labels, (N,).

        Raises:
            InvalidInput: ``X`` and ``Y`` differ in length or are empty.
        """
        _check_lengths(X, Y, "X", "Y")
        self.X, self.Y, self.n_pool = X, Y, len(Y)

    def get_acc_on_set(self, X_test: Array | Sequence[Any], Y_test: Array | Sequence[int]) -> float:  # noqa: N803
        """The accuracy on a test set, through the test transform; the network is not changed.

        Args:
            X_test: Inputs, (N, ...).
            Y_test: Labels, (N,).

        Returns:
            The accuracy, a fraction between 0 and 1.

        Raises:
            InvalidInput: ``X_test`` and ``Y_test`` differ in length or are empty, or the network returns NaN.
            UnsupportedModel: The network does not return logits (B, C).
        """
        _check_lengths(X_test, Y_test, "X_test", "Y_test")
        dataset = self._dataset(X_test, Y_test, test=True)
        runtime = Runtime(self._device, 4 * self._config.batch_size, progress=bool(self.args["isverbose"]))
        predicted = self._logits(dataset, torch.arange(len(Y_test)), runtime).argmax(1)
        return float((predicted == _tensor(Y_test).to(predicted.device)).double().mean())

    def train(self, gradient_weights: Array | Sequence[float] | None = None) -> nn.Module | tuple[nn.Module, list[str]]:
        """Train the network and return it.

        Args:
            gradient_weights: Weights of the examples, (N,), at least 0: the loss of a minibatch is the weighted mean of its
                losses; default: equal weights.

        Returns:
            The network; with ``islogs`` the pair of the network and one line per epoch,
            ``Epoch:1- training accuracy:0.5- training loss:0.69``.

        Raises:
            InvalidInput: A label has no output of the network, weights or losses have another shape, a value is NaN, or training
                diverged.
            UnsupportedModel: The network does not return logits (B, C).
        """
        seed = self.args.get("seed")
        rng = Rng(int(torch.randint(2**63 - 1, ())) if seed is None else seed)
        if self.args["isreset"] or not self._trained:
            with rng.child("reset").scope():
                self.net.apply(_reset)
        result = self._fit(rng, None if gradient_weights is None else _tensor(gradient_weights))
        self.clf, self._trained = self.net, True
        return (self.clf, _lines(result)) if self.args["islogs"] else self.clf

    def check_saturation(self, acc_monitor: Sequence[float]) -> bool:
        """Whether none of these accuracies is higher than an earlier one by ``min_diff_acc`` or more."""
        return saturated(acc_monitor, len(acc_monitor), self._config.min_diff_acc)

    def _fit(self, rng: Rng, weights: Tensor | None) -> FitResult:
        dataset = self._dataset(self.X, self.Y, test=False)
        with rng.child("outputs").scope():  # training transforms draw random numbers
            num_classes = self._logits(dataset, torch.zeros(1, dtype=torch.long), Runtime()).shape[1]
        options: dict[str, Any] = {
            "num_classes": num_classes,
            "rng": rng,
            "weights": weights,
            "loss": _loss(self.args.get("criterion"), weights is not None),
            "progress": bool(self.args["isverbose"]),
            "device": self._device,
        }
        handler = whole_batches(dataset)
        if handler is None:
            return fit_dataset(self.net, dataset, self._config, **options)
        x, y = _tensor(handler.X), _tensor(self.Y)
        return fit(self.net, x, y, self._config, transform=handler.transformed, **options)

    def _dataset(self, x: Array | Sequence[Any], y: Array | Sequence[int], *, test: bool) -> Dataset[Any]:
        parameters = inspect.signature(self.handler).parameters
        takes_it = any(p.kind is p.VAR_KEYWORD for p in parameters.values()) or "use_test_transform" in parameters
        return self.handler(x, y, False, **({"use_test_transform": test} if takes_it else {}))

    def _logits(self, dataset: Dataset[Any], rows: Tensor, runtime: Runtime) -> Tensor:
        """The network's logits for some rows, (B, C), in evaluation mode; the network is not changed."""
        source = NetworkSource(TorchNetwork(self.net), dataset, rows)
        return source.table((Logits(),), runtime, Rng(0))[Logits()]


def init_weights(m: nn.Module) -> None:
    """Set a linear layer's weights Xavier-uniformly and its bias to 0.01, as published; other layers are not changed.

    >>> _ = nn.Sequential(nn.Linear(2, 3), nn.ReLU()).apply(init_weights)
    """
    if isinstance(m, nn.Linear):
        nn.init.xavier_uniform_(m.weight)
        if m.bias is not None:
            nn.init.constant_(m.bias, 0.01)


def _checked(args: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of ``args``, checked: every key is known, required keys are present, and values have the right types."""
    if not isinstance(args, Mapping):
        raise InvalidInput(f"args must be a dict with at least n_epoch and lr, got {type(args).__name__}")
    for key in args:
        if key not in _KEYS:
            raise InvalidInput(f"args: unknown key {key!r}{nearest(str(key), _KEYS)} (known: {', '.join(_KEYS)})")
    if missing := [key for key in ("n_epoch", "lr") if key not in args]:
        raise InvalidInput(f"args must have n_epoch and lr; missing: {', '.join(missing)}")
    criterion, seed = args.get("criterion"), args.get("seed")
    if criterion is not None and not callable(criterion):
        raise InvalidInput(f"args: criterion must be a callable of logits and labels, got {criterion!r}")
    if seed is not None and whole_number(seed) is None:
        raise InvalidInput(f"args: seed must be a whole number, got {seed!r}")
    for key in ("islogs", "isverbose", "isreset"):
        if not isinstance(args.get(key, True), bool | np.bool_):
            raise InvalidInput(f"args: {key} must be True or False, got {args[key]!r}")
    return dict(args)


def _device(name: Any) -> torch.device:  # noqa: ANN401
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.device(name)
    except (RuntimeError, TypeError) as error:
        raise InvalidInput(f"args: device must be a device such as 'cpu' or 'cuda:0', got {name!r}") from error


def _check_lengths(x: object, y: object, x_name: str, y_name: str) -> None:
    for name, value in ((x_name, x), (y_name, y)):
        if not isinstance(value, Sized):
            raise InvalidInput(f"{name} must be an array, a tensor or a list, got {value!r}")
    n, m = len(x), len(y)  # type: ignore[arg-type]
    if n != m or not n:
        raise InvalidInput(f"{x_name} and {y_name} must have the same number of rows, at least 1; got {n} and {m}")


def _loss(criterion: Any, weighted: bool) -> Callable[[Tensor, Tensor], Tensor] | None:  # noqa: ANN401
    """The criterion in the form that the training loop takes: None for the plain cross entropy, its default."""
    if criterion is None or _is_plain(criterion):
        return None
    if isinstance(criterion, nn.Module):
        criterion = copy.deepcopy(criterion)  # training moves it to the device, and the caller's must not change
        if weighted and isinstance(getattr(criterion, "reduction", None), str):
            criterion.reduction = "none"
    loss: Callable[[Tensor, Tensor], Tensor] = criterion
    return loss


def _is_plain(criterion: object) -> bool:
    return (
        type(criterion) is nn.CrossEntropyLoss
        and criterion.weight is None
        and criterion.label_smoothing == 0
        and criterion.reduction in ("mean", "none")
    )


def _lines(result: FitResult) -> list[str]:
    epochs = enumerate(zip(result.accuracies, result.losses, strict=True), 1)
    return [f"Epoch:{n}- training accuracy:{accuracy}- training loss:{loss}" for n, (accuracy, loss) in epochs]


def _reset(module: nn.Module) -> None:
    reset = getattr(module, "reset_parameters", None)
    if callable(reset):
        reset()


def _tensor(values: Any) -> Tensor:  # noqa: ANN401
    return values if isinstance(values, Tensor) else from_numpy(np.asarray(values))
