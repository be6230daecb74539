"""Training as the published DISTIL scripts call it, on the training loop of the library.

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
from distil.errors import InvalidInput, nearest
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

# What the published code assumed, but for batch_size, which was 1: slow, and nothing that BatchNorm can train on.
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
    """Trains a network, in place, on the examples labeled so far.

    Keys of ``args`` (the section ``train_parameters`` of a configuration file may be given as it is):

    * ``n_epoch`` and ``lr``, required: epochs at most (``n_epoch`` of them; the published code ran one fewer), and the
      learning rate of the first epoch, lowered along a cosine;
    * ``batch_size`` (64), ``optimizer`` (``"sgd"`` with momentum 0.9 and weight decay 5e-4, or ``"adam"``), and the other
      fields of ``FitConfig`` but ``patience``;
    * ``max_accuracy`` (0.95), a training accuracy to stop at; ``min_diff_acc`` (0.001) and ``window_size`` (10), which say
      when the training accuracy is saturated;
    * ``isreset`` (True): draw new weights before every training, with the ``reset_parameters`` of each submodule that has
      one (other weights stay). False: only before the first, as published; later ones go on from the weights there are;
    * ``islogs`` (False): return the log lines as well; ``isverbose`` (False): show a progress bar;
    * ``criterion`` (``CrossEntropyLoss()``): a callable of logits (B, C) and labels (B,) that gives one loss, or one for
      each example (which weights need);
    * ``device`` (CUDA where there is one): where to train; the network stays there;
    * ``seed``: makes every training a function of it, the data and the network. Without it the seed is drawn from
      PyTorch's global generator, so that ``torch.manual_seed`` repeats a script;
    * ``logs_location``: of use to scripts, not here.

    Unlike the published code, no training is thrown away in its 50th epoch for an accuracy below 20 %, and a training with
    weights leaves the criterion as it was.

    Args:
        X: (N, ...) inputs, as ``handler`` takes them.
        Y: (N,) labels.
        net: The network; its number of outputs is the number of classes.
        handler: ``handler(X, Y, False)`` gives a data set of ``(x, y, index)``.
        args: See above. It stays as it is.

    Attributes:
        X: The inputs.
        Y: The labels.
        net: The network.
        clf: The network once it has been trained: the very same object.
        handler: The handler.
        args: The arguments, defaults filled in.
        idxs_lb: The rows given to ``update_index``.
        n_pool: ``len(Y)``.

    Raises:
        InvalidInput: A key that is unknown (the message offers the nearest) or missing, or a value out of range.
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
        """Remember which examples of some pool these are; nothing here depends on it."""
        self.idxs_lb = idxs_lb

    def update_data(self, X: Array | Sequence[Any], Y: Array | Sequence[int]) -> None:  # noqa: N803
        """Train on these examples from now on.

        Args:
            X: (N, ...) inputs.
            Y: (N,) labels.

        Raises:
            InvalidInput: Different lengths, or none.
        """
        _check_lengths(X, Y, "X", "Y")
        self.X, self.Y, self.n_pool = X, Y, len(Y)

    def get_acc_on_set(self, X_test: Array | Sequence[Any], Y_test: Array | Sequence[int]) -> float:  # noqa: N803
        """Accuracy on some examples, through the test transform.

        Args:
            X_test: (N, ...) inputs.
            Y_test: (N,) labels.

        Returns:
            The fraction that is right, 0 to 1. The network is left as it was.

        Raises:
            InvalidInput: Different lengths, or none, or a NaN in what the network returns.
            UnsupportedModel: The network does not return logits (B, C).
        """
        _check_lengths(X_test, Y_test, "X_test", "Y_test")
        dataset = self._dataset(X_test, Y_test, test=True)
        runtime = Runtime(self._device, 4 * self._config.batch_size, progress=bool(self.args["isverbose"]))
        predicted = self._logits(dataset, torch.arange(len(Y_test)), runtime).argmax(1)
        return float((predicted == _tensor(Y_test).to(predicted.device)).double().mean())

    def train(self, gradient_weights: Array | Sequence[float] | None = None) -> nn.Module | tuple[nn.Module, list[str]]:
        """Train the network.

        Args:
            gradient_weights: (N,) at least 0: the loss of a minibatch is the mean of its losses with these weights.

        Returns:
            The network; with ``islogs`` the pair of the network and a line for each epoch,
            ``Epoch:1- training accuracy:0.5- training loss:0.69``.

        Raises:
            InvalidInput: Labels that the network has no output for, weights or losses of another shape, NaN, or a
                training that diverged.
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
        """Whether no later one of these accuracies is at least ``min_diff_acc`` above an earlier one."""
        return saturated(acc_monitor, len(acc_monitor), self._config.min_diff_acc)

    def _fit(self, rng: Rng, weights: Tensor | None) -> FitResult:
        dataset = self._dataset(self.X, self.Y, test=False)
        with rng.child("outputs").scope():  # a training transform draws
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
        takes = inspect.signature(self.handler).parameters
        given = any(p.kind is p.VAR_KEYWORD for p in takes.values()) or "use_test_transform" in takes
        return self.handler(x, y, False, **({"use_test_transform": test} if given else {}))

    def _logits(self, dataset: Dataset[Any], rows: Tensor, runtime: Runtime) -> Tensor:
        """What the network says of some rows, (B, C), in evaluation mode; it is left as it was."""
        source = NetworkSource(TorchNetwork(self.net), dataset, rows)
        return source.table((Logits(),), runtime, Rng(0))[Logits()]


def init_weights(m: nn.Module) -> None:
    """Xavier-uniform weights and biases of 0.01 for a linear layer, as published; anything else is left alone.

    >>> _ = nn.Sequential(nn.Linear(2, 3), nn.ReLU()).apply(init_weights)
    """
    if isinstance(m, nn.Linear):
        nn.init.xavier_uniform_(m.weight)
        if m.bias is not None:
            nn.init.constant_(m.bias, 0.01)


def _checked(args: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments, if every key is known and the required ones are there."""
    if not isinstance(args, Mapping):
        raise InvalidInput(f"args must be a dict with at least n_epoch and lr, got {type(args).__name__}")
    for key in args:
        if key not in _KEYS:
            raise InvalidInput(f"args: unknown key {key!r}{nearest(str(key), _KEYS)}; known: {', '.join(_KEYS)}")
    if missing := [key for key in ("n_epoch", "lr") if key not in args]:
        raise InvalidInput(f"args: missing {' and '.join(missing)}")
    criterion, seed = args.get("criterion"), args.get("seed")
    if criterion is not None and not callable(criterion):
        raise InvalidInput(f"args: criterion must be a callable of logits and labels, got {criterion!r}")
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int | np.integer)):
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
        raise InvalidInput(f"args: {name!r} is no device; expected one such as 'cpu' or 'cuda:0'") from error


def _check_lengths(x: object, y: object, x_name: str, y_name: str) -> None:
    for name, value in ((x_name, x), (y_name, y)):
        if not isinstance(value, Sized):
            raise InvalidInput(f"{name} must be an array, a tensor or a list, got {value!r}")
    n, m = len(x), len(y)  # type: ignore[arg-type]
    if n != m or not n:
        raise InvalidInput(f"{x_name} and {y_name} must have the same number of rows, at least 1; got {n} and {m}")


def _loss(criterion: Any, weighted: bool) -> Callable[[Tensor, Tensor], Tensor] | None:  # noqa: ANN401
    """The criterion as the training loop takes it; None for the plain cross entropy, which the loop has itself."""
    if criterion is None or _is_plain(criterion):
        return None
    if isinstance(criterion, nn.Module):
        criterion = copy.deepcopy(criterion)  # it moves to the device, and the caller's stays as it is
        if weighted and isinstance(getattr(criterion, "reduction", None), str):
            criterion.reduction = "none"
    given: Callable[[Tensor, Tensor], Tensor] = criterion
    return given


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
