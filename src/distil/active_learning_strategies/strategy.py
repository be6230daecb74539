"""The base class of the documented strategies: data and model updates, predictions, embeddings and saved states."""

from __future__ import annotations

import copy
import inspect
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from distil.data.examples import LabeledSet
from distil.data.labels import as_labels
from distil.errors import InvalidInput, nearest, whole_number
from distil.measuring.network_source import NetworkSource
from distil.networks.torch_network import TorchNetwork
from distil.rng import Rng, drawn_seed
from distil.selection.choose import gather
from distil.selection.select import select
from distil.signals import Embedding, Gradient, MCMean, MCProbs, Probs, Signal, Signals
from distil.strategies.base import Selection
from distil.strategies.base import Strategy as Core
from distil.system.files import replacing
from distil.system.runtime import Runtime

ARGUMENTS = (
    # documented
    "batch_size", "device", "lr", "n_drop", "eps", "max_iter", "submod", "selection_type",
    # not documented, added here
    "seed",
    # read by later published versions
    "tor", "loss", "verbose", "stop_iterations_by_count", "stream_buffer_size", "rand_seed", "representation", "kmeans_args",
    "submod_args", "uncertainty_measure", "grad_embedding", "omp_reg", "smi_function", "eta", "nu", "metric", "optimizer",
    "num_partitions", "wrapped_strategy_class", "mod_inject", "n_samples",
)  # fmt: skip
"""The valid keys of ``args``; every strategy accepts all of them and reads those that it uses."""


class Strategy:
    """Base of the strategies of DISTIL 0.1.

    Args:
        X: Labeled data, (M, ...), in the form that ``handler`` takes.
        Y: Labels of ``X``, (M,).
        unlabeled_x: Unlabeled data, (N, ...), in the same form.
        net: The model: ``forward(x, last=True, freeze=...)`` returning (logits, embedding), or any module.
        handler: Makes a data set from data: ``handler(X)`` or ``handler(X, Y, False)``. A handler with the argument
            ``use_test_transform`` is called with True, so that the pool is scored through the test transform.
        nclasses: Number of classes.
        args: Options by name (see ``ARGUMENTS``); not changed. ``batch_size`` and ``device`` apply to running the net; ``seed``
            makes ``select`` a pure function of seed, data and net. Without it, each ``select`` draws a seed from torch's global
            generator.

    Raises:
        InvalidInput: ``args`` is not a dict, or has an unknown key or an invalid value.
    """

    def __init__(
        self,
        X: Any,  # noqa: ANN401, N803 - the documented name, as all here
        Y: Any,  # noqa: ANN401, N803
        unlabeled_x: Any,  # noqa: ANN401
        net: nn.Module,
        handler: Callable[..., Any],
        nclasses: int,
        args: Mapping[str, Any] = {},
    ) -> None:
        if not isinstance(args, Mapping):
            raise InvalidInput(f"args must be a dict of options by name, got {args!r}")
        unknown = [key for key in args if key not in ARGUMENTS]
        if unknown:
            keys = ", ".join(f"{key!r}{nearest(key, ARGUMENTS)}" for key in unknown)
            raise InvalidInput(f"args has unknown keys: {keys} (known: {', '.join(ARGUMENTS)})")
        self.X = X
        self.Y = Y
        self.unlabeled_x = unlabeled_x
        self.model = net
        self.handler = handler
        self.target_classes = nclasses
        self.args = dict(args)
        _check_values(self.args)
        self.device = self.args.get("device")
        self.n_drop = self.args.get("n_drop", 10)

    def update_data(self, X: Any, Y: Any, unlabeled_x: Any) -> None:  # noqa: ANN401, N803
        """Replace the labeled data, their labels and the unlabeled data."""
        self.X, self.Y, self.unlabeled_x = X, Y, unlabeled_x

    def update_model(self, clf: nn.Module) -> None:
        """Replace the model."""
        self.model = clf

    def save_state(self, filename: str) -> None:
        """Write data, labels and the model's weights to a file in the safetensors format, whatever its suffix."""
        arrays = {"X": self.X, "Y": self.Y, "unlabeled_x": self.unlabeled_x}
        tensors = {f"data.{name}": as_tensor(array) for name, array in arrays.items() if array is not None}
        tensors |= {f"net.{name}": value.detach() for name, value in self.model.state_dict().items()}
        kinds = {name: "tensor" if isinstance(array, Tensor) else "array" for name, array in arrays.items()}
        with replacing(Path(filename)) as temporary:
            save_file({n: t.clone().contiguous() for n, t in tensors.items()}, temporary, {"kinds": json.dumps(kinds)})

    def load_state(self, filename: str) -> None:
        """Read data and labels from a file written by ``save_state``, and load its weights into the current model.

        Raises:
            InvalidInput: The file was not written by ``save_state``, or the weights do not fit the model; nothing is changed.
        """
        try:
            with safe_open(filename, framework="pt") as file:
                kinds = json.loads((file.metadata() or {})["kinds"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        except (SafetensorError, KeyError, ValueError) as error:
            raise InvalidInput(f"expected a file written by save_state, got {filename}: {error}") from None
        weights = {name.removeprefix("net."): t for name, t in tensors.items() if name.startswith("net.")}
        current = self.model.state_dict()
        if {n: t.shape for n, t in weights.items()} != {n: t.shape for n, t in current.items()}:
            raise InvalidInput(
                f"{filename} holds the weights of another model than {type(self.model).__name__} with its sizes; call "
                "update_model with a model of the saved architecture first"
            )
        self.model.load_state_dict(weights)
        stored = {name: tensors.get(f"data.{name}") for name in kinds}
        data = {n: t.numpy() if t is not None and kinds[n] == "array" else t for n, t in stored.items()}
        self.update_data(data["X"], data["Y"], data["unlabeled_x"])

    def predict(self, X: Any, useloader: bool = True) -> Tensor:  # noqa: ANN401, ARG002, N803
        """Most probable class of each row of X, (N,) int64; ``useloader`` does not affect the result."""
        return self.predict_prob(X).argmax(1)

    def predict_prob(self, X: Any) -> Tensor:  # noqa: ANN401, N803
        """Class probabilities of each row of X in evaluation mode, (N, C)."""
        return self._measure(X, Probs())[Probs()]

    def predict_prob_dropout(self, X: Any, n_drop: int) -> Tensor:  # noqa: ANN401, N803
        """Class probabilities averaged over ``n_drop`` dropout masks, (N, C); normalization stays in evaluation mode."""
        return self._measure(X, MCMean(n_drop))[MCMean(n_drop)]

    def predict_prob_dropout_split(self, X: Any, n_drop: int) -> Tensor:  # noqa: ANN401, N803
        """Class probabilities under each of ``n_drop`` dropout masks, (n_drop, N, C)."""
        return self._measure(X, MCProbs(n_drop))[MCProbs(n_drop)].transpose(0, 1)

    def get_embedding(self, X: Any) -> Tensor:  # noqa: ANN401, N803
        """The embedding of each row of X, which is the input of the last layer, (N, E)."""
        return self._measure(X, Embedding())[Embedding()]

    def get_grad_embedding(self, X: Any, Y: Any = None, bias_grad: bool = True) -> Tensor:  # noqa: ANN401, N803
        """Gradient of each row's cross entropy with respect to the last layer, at the labels Y (default: the predicted labels).

        The columns are the C entries of the bias (left out with ``bias_grad=False``), then C blocks of E for the weights. Memory is
        N x C x E numbers here, whereas strategies keep gradients as factors.
        """
        signal = Gradient("all" if bias_grad else "weights", "predicted" if Y is None else "true")
        gradients = self._measure(X, signal, Y)[signal]
        return gradients.dense()

    def _select(self, core: Core, budget: int, **sets: Any) -> Selection:  # noqa: ANN401
        """The core strategy's selection among the unlabeled rows."""
        labeled = None if self.X is None or len(self.X) == 0 else self._labeled(self.X, self.Y)
        return select(
            core,
            self._network(),
            self._pool(),
            budget,
            labeled=labeled,
            runtime=self._runtime(),
            rng=self._rng(),
            **sets,
        )

    def _pool(self) -> Any:  # noqa: ANN401
        return handled(self.handler, self.unlabeled_x)

    def _labeled(self, X: Any, Y: Any) -> Any:  # noqa: ANN401, N803
        data = handled(self.handler, X)
        return data if Y is None else LabeledSet(data, torch.arange(len(data)), self._labels(Y, len(data)))

    def _labels(self, Y: Any, n: int) -> Tensor:  # noqa: ANN401, N803
        """Labels as int64, checked: ``n`` classes."""
        return as_labels(Y, "the labels Y", count=n, classes=range(self.target_classes))

    def _network(self) -> TorchNetwork:
        return TorchNetwork(self.model)

    def _runtime(self) -> Runtime:
        return Runtime(device=self.device, batch_size=self.args.get("batch_size"))

    def _rng(self) -> Rng:
        """The seed in ``args``, or one drawn from torch's global generator."""
        return Rng(self.args["seed"] if "seed" in self.args else drawn_seed())

    def _measure(self, X: Any, signal: Signal[Any], Y: Any = None) -> Signals:  # noqa: ANN401, N803
        data = handled(self.handler, X)
        labels = None if Y is None else self._labels(Y, len(data))
        source = NetworkSource(self._network(), data, torch.arange(len(data)), labels)
        return gather(source, (signal,), self._runtime(), self._rng())


def handled(handler: Callable[..., Any], X: Any) -> Any:  # noqa: ANN401, N803
    """The handler's data set of the inputs X, through its test transform if it has one."""
    parameters = inspect.signature(handler).parameters
    takes_all = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    return handler(X, use_test_transform=True) if takes_all or "use_test_transform" in parameters else handler(X)


def _check_values(args: Mapping[str, Any]) -> None:
    seed = args.get("seed", 0)
    if whole_number(seed) is None:
        raise InvalidInput(f"args['seed'] must be a whole number, got {seed!r}")
    if args.get("device") is not None:
        try:
            torch.device(args["device"])
        except (RuntimeError, TypeError) as error:
            raise InvalidInput(f"args['device']: {str(error).splitlines()[0]}") from None


def as_tensor(array: Any) -> Tensor:  # noqa: ANN401
    """An array or sequence of numbers as a tensor."""
    return array if isinstance(array, Tensor) else torch.from_numpy(np.ascontiguousarray(array))


def residual_loss(criterion: Callable[..., Any]) -> Callable[[Tensor, Tensor], Tensor] | None:
    """The loss in the form that the core strategies take: None for the plain cross entropy, which has a closed form.

    Other losses of torch are copied with ``reduction="none"``: the mean of a weighted loss divides by the weights, which would
    cancel the weight of a single example.
    """
    plain = isinstance(criterion, nn.CrossEntropyLoss) and criterion.weight is None and criterion.label_smoothing == 0
    if plain or criterion is nn.functional.cross_entropy:
        return None
    if isinstance(criterion, nn.modules.loss._Loss):
        criterion = copy.copy(criterion)
        criterion.reduction = "none"
    return criterion
