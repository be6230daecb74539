"""The only training loop of the library.

``fit`` trains on tensors, ``fit_dataset`` on a map-style data set. Both pass their minibatches to the same loop, and for
equal ``rng`` both see the same examples in the same order. The loop never waits for the device: the outputs and losses
of an epoch are read once, at its end.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset
from tqdm import tqdm

from distil.data.minibatches import Collate
from distil.errors import InvalidInput, UnsupportedModel, whole_number
from distil.networks.calls import WrongRows, explain_failed_call
from distil.networks.model_inputs import placed
from distil.networks.module_state import is_exported, modes_of
from distil.networks.torch_network import TorchNetwork
from distil.rng import Rng, as_rng
from distil.tasks import Task, as_task, least_outputs
from distil.training.config import FitConfig
from distil.training.minibatches import DatasetSource, Minibatch, Source, TensorSource, sizes_of
from distil.training.objectives import OBJECTIVES, Objective, weighted
from distil.training.step import Step

Read: TypeAlias = Callable[[nn.Module, Any], Tensor]
Transform: TypeAlias = Callable[[Any], Any]
Augment: TypeAlias = Callable[[Any, torch.Generator], Any]
Loss: TypeAlias = Callable[[Tensor, Tensor], Tensor]
Stopped: TypeAlias = Literal["max_accuracy", "saturation", "patience", "n_epoch", "optimum"]

_HELD_LOGITS = 2**22  # number of logits kept before their hits are counted
_BATCH_NORM = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


@dataclass(frozen=True)
class FitResult:
    """The course of a training, with one entry per epoch.

    Attributes:
        accuracies: Training accuracy, a fraction: each minibatch is predicted by the network just before it learns from it. In
            multi-label classification the share of labels that are right, in regression R2, which may be below 0.
        losses: Mean loss over the same minibatches, in nats unless a ``loss`` was given.
        stopped: The rule that ended the training; ``"optimum"`` for a linear head.
        validation_accuracies: Validation accuracy after each epoch; empty without validation data.
        chosen: Settings that the training chose on the labeled set: ``decay`` and ``temperature`` of a linear head.
        notes: Sentences about the training as a whole, such as that it collapsed; set by ``Learner.fit``.
    """

    accuracies: tuple[float, ...]
    losses: tuple[float, ...]
    stopped: Stopped
    validation_accuracies: tuple[float, ...] = ()
    chosen: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def n_epochs(self) -> int:
        """The number of epochs that were run."""
        return len(self.accuracies)


def fit(
    module: nn.Module,
    x: Tensor,
    y: Tensor,
    config: FitConfig,
    *,
    num_classes: int,
    rng: Rng | int,
    transform: Transform | None = None,
    augment: Augment | None = None,
    validation: tuple[Tensor, Tensor] | None = None,
    weights: Tensor | None = None,
    read: Read | None = None,
    network: TorchNetwork | None = None,
    loss: Loss | None = None,
    progress: bool = False,
    device: torch.device | str | None = None,
    task: Task = "classification",
) -> FitResult:
    """Train ``module`` in place on labeled tensors.

    The loss is the cross entropy, or its binary form for one logit and two classes, unless another is given; for
    ``task="multilabel"`` the mean binary cross entropy of the labels, for ``task="regression"`` the mean squared error. The order
    of epoch e is the e-th ``torch.randperm`` drawn from ``rng.child("order").torch()``. ``rng`` also seeds the global
    generators, for dropout and other code that draws from them; afterwards they are restored. The last minibatch may be
    short; but if it has a single example and the module has BatchNorm, which cannot train on one, the example joins the
    minibatch before. Afterwards every submodule is in its earlier mode and every ``.grad`` is None, even if the training
    was interrupted.

    Cost: one forward pass, one backward pass and one step per minibatch. Memory: besides the module and its optimizer, a
    copy of the labeled set (of 256 MB of it at a time, if it is larger).

    Args:
        module: The network: ``num_classes`` logits (B, C), or one logit (B, 1) if ``num_classes`` is 2; or predictions (B, T).
        x: Inputs (N, ...), on any device; finite if floating-point, and then converted to the module's dtype.
        y: Labels (N,), whole numbers in 0..num_classes-1; classes may be absent. For ``task="multilabel"`` a column of 0 and 1 for
            each label, (N, L); for ``task="regression"`` targets, (N,) or (N, T), which train best near mean 0 and deviation 1.
        config: The settings of the training.
        num_classes: C, at least 2, or the number of labels or of targets; never inferred from the labels.
        rng: An Rng, or a seed for one, that decides every random draw of the training.
        transform: Applied to each minibatch: in training after ``augment``, in validation alone.
        augment: ``augment(x, generator)``, applied to each training minibatch. The CPU generator is used for nothing else,
            so its draws change neither the order nor dropout.
        validation: Inputs and labels to measure the accuracy on after each epoch.
        weights: Weights of the examples (N,), at least 0; the loss of a minibatch is the weighted mean of its losses.
            Examples of weight 0 are left out of the training.
        read: ``read(module, x)`` returns the logits. Default: as ``network`` reads them.
        network: Reads the inputs in a minibatch and the logits in the module's return value, as for scoring: a network that
            ``wrap`` made from the module. Default: ``TorchNetwork(module)``.
        loss: ``loss(logits, y)`` returns the losses (B,) of a minibatch or, without ``weights``, their mean or another
            number to minimize. Default: the cross entropy.
        progress: Whether to show a bar over the epochs; it is hidden if standard error is not a terminal.
        device: Device to train on; the module, and a ``loss`` that is a module, are moved there and stay. Default: the
            device of the module's parameters.
        task: What outputs and labels are.

    Returns:
        Accuracy and loss of each epoch, and the rule that ended the training.

    Raises:
        InvalidInput: Shapes do not fit, labels or logits disagree with ``num_classes``, a value is NaN, patience has no
            validation data, a single example meets BatchNorm, ``loss`` returns another shape, or the training diverged.
        UnsupportedModel: Its logits cannot be found, or it cannot be called with such inputs.

    >>> x, y = torch.tensor([[-1.0], [-2.0], [1.0], [2.0]]), torch.tensor([0, 0, 1, 1])
    >>> config = FitConfig(lr=0.5, max_accuracy=1.0, window_size=None)
    >>> fit(nn.Linear(1, 2), x, y, config, num_classes=2, rng=Rng(0)).stopped
    'max_accuracy'
    """
    place, rng = _place(module, device), as_rng(rng)
    network = TorchNetwork(module, num_classes=num_classes, task=task) if network is None else network
    training = _Training(
        module, config, num_classes, rng, transform, augment, network, read, loss, progress, place, task
    )

    def source(x: Tensor, y: Tensor, weights: Tensor | None, names: tuple[str, str]) -> Source:
        return TensorSource(x, y, weights, num_classes=num_classes, device=place, names=names, task=task)

    labeled = source(x, y, weights, ("x", "y"))
    if validation is None:
        return training.run(labeled, None)
    return training.run(labeled, source(*validation, None, ("validation[0]", "validation[1]")))


def fit_dataset(
    module: nn.Module,
    dataset: Dataset[Any],
    config: FitConfig,
    *,
    num_classes: int,
    rng: Rng | int,
    transform: Transform | None = None,
    augment: Augment | None = None,
    validation: Dataset[Any] | None = None,
    weights: Tensor | None = None,
    read: Read | None = None,
    network: TorchNetwork | None = None,
    loss: Loss | None = None,
    progress: bool = False,
    device: torch.device | str | None = None,
    num_workers: int = 0,
    collate: Collate | None = None,
    task: Task = "classification",
) -> FitResult:
    """Train ``module`` in place on a map-style data set; ``fit`` is faster if the inputs fit in memory.

    It works like ``fit``, with the same order of the examples. Inputs may be tensors, or tuples and dictionaries of tensors,
    which are stacked as by PyTorch's loader and passed to the module as for scoring; a list of numbers is a row. ``rng`` also seeds
    randomness inside the data set, which then depends on the number of workers.

    Args:
        module: See ``fit``.
        dataset: Examples (x, y, ...); items after the label are ignored. Labels are checked when they are loaded.
        config: See ``fit``.
        num_classes: See ``fit``.
        rng: See ``fit``.
        transform: See ``fit``.
        augment: See ``fit``.
        validation: A data set to measure the accuracy on after each epoch.
        weights: See ``fit``.
        read: See ``fit``.
        network: See ``fit``.
        collate: A function from a list of examples, without labels, to their minibatch, for a ``LabeledSet``; default: that of
            PyTorch's loader.
        loss: See ``fit``.
        progress: See ``fit``.
        device: See ``fit``.
        num_workers: Number of processes that load examples; 0: they are loaded in this process.
        task: See ``fit``.

    Returns:
        See ``fit``.

    Raises:
        InvalidInput: See ``fit``.
        UnsupportedModel: See ``fit``.
    """
    place, rng = _place(module, device), as_rng(rng)
    network = TorchNetwork(module, num_classes=num_classes, task=task) if network is None else network
    training = _Training(
        module, config, num_classes, rng, transform, augment, network, read, loss, progress, place, task
    )

    def source(examples: Dataset[Any], weights: Tensor | None, name: str) -> Source:
        return DatasetSource(
            examples,
            weights,
            num_classes=num_classes,
            device=place,
            name=name,
            rng=rng.child("workers", name),
            num_workers=num_workers,
            collate=collate,
            task=task,
        )

    labeled = source(dataset, weights, "dataset")
    return training.run(labeled, None if validation is None else source(validation, None, "validation"))


@dataclass(frozen=True)
class _Training:
    """A module and the settings of its training, without the examples."""

    module: nn.Module
    config: FitConfig
    num_classes: int
    rng: Rng
    transform: Transform | None
    augment: Augment | None
    network: TorchNetwork
    read: Read | None
    loss: Loss | None
    progress: bool
    device: torch.device
    task: Task

    def __post_init__(self) -> None:
        least = least_outputs(as_task(self.task))
        if whole_number(self.num_classes, least) is None:
            raise InvalidInput(f"num_classes: expected a whole number of at least {least}, got {self.num_classes!r}")

    @property
    def _objective(self) -> Objective:
        return OBJECTIVES[self.task]

    def run(self, source: Source, validation: Source | None) -> FitResult:
        """Run all epochs."""
        config, n = self.config, len(source.rows)
        if config.patience is not None and validation is None:
            raise InvalidInput("patience: expected validation data to measure, got none; pass validation=...")
        accuracies: list[float] = []
        losses: list[float] = []
        held_out: list[float] = []
        best: list[Tensor] = []
        stopped: Stopped | None = None
        with self._under_training() as step, self._bar() as bar:
            order, draws = self.rng.child("order").torch(), self.rng.child("augment").torch()
            sizes = sizes_of(n, config.batch_size, join_last=_has_batch_norm(self.module))
            while stopped is None:
                step.lr = config.rate(len(losses))
                rows = source.rows[torch.randperm(n, generator=order)]
                accuracy, loss = self._epoch(source.minibatches(rows, sizes), step, draws)
                accuracies.append(accuracy)
                losses.append(loss)
                if not math.isfinite(loss):
                    raise self._divergence(f"the loss became {loss}", len(losses), step.lr)
                if validation is not None:
                    held_out.append(self._accuracy(validation))
                    if config.patience is not None and held_out.index(max(held_out)) == len(held_out) - 1:
                        best = [tensor.detach().clone() for tensor in _tensors_of(self.module)]
                stopped = _verdict(config, accuracies, held_out)
                bar.set_postfix_str(f"accuracy {accuracy:.3f}, loss {loss:.3g}", refresh=False)
                bar.update()
            if best:
                _restore(best, self.module)
            # The loss of the last step is never computed, so it cannot show that the step diverged.
            if not all(bool(p.isfinite().all()) for p in self.module.parameters()):
                raise self._divergence("a weight became infinite or NaN", len(losses), step.lr)
        return FitResult(tuple(accuracies), tuple(losses), stopped, tuple(held_out))

    def _epoch(self, minibatches: Iterator[Minibatch], step: Step, draws: torch.Generator) -> tuple[float, float]:
        """Learn from every minibatch once; returns training accuracy and mean loss."""
        augment, tally, objective = self.augment, _Tally(self._objective), self._objective
        self.module.train()
        read = self._logits
        for batch, y, weights in minibatches:
            x = self.network.training_inputs(batch)
            logits = read(x if augment is None else augment(x, draws), y.shape[0])
            loss = objective.loss(logits, y, weights) if self.loss is None else _own_loss(self.loss, logits, y, weights)
            torch.autograd.backward(loss)
            step()
            tally.add(logits, y, loss)
        return tally.read()

    def _accuracy(self, source: Source) -> float:
        """Accuracy in evaluation mode."""
        tally = _Tally(self._objective)
        self.module.eval()
        # Without gradients, minibatches of four times the size need less memory than those of training.
        sizes = sizes_of(len(source.rows), 4 * self.config.batch_size)
        with torch.no_grad():
            for batch, y, _ in source.minibatches(source.rows, sizes):
                tally.add(self._logits(self.network.training_inputs(batch), y.shape[0]), y)
        return tally.read()[0]

    def _logits(self, x: Any, n: int) -> Tensor:  # noqa: ANN401 - any argument of a module
        """Logits (B, C) or (B, 1) of ``n`` inputs, in at least single precision."""
        if self.transform is not None:
            x = self.transform(x)
        x = placed(x, self.device, self._dtype, arrays=True)
        x = x if self.read is not None else self.network.as_called(x)
        try:
            with self._watched() if n == 1 else nullcontext():
                logits = self._read(x)
        except (RuntimeError, AssertionError, ValueError) as error:
            explain_failed_call(self.module, x, error)
            raise
        if not isinstance(logits, Tensor):
            raise UnsupportedModel(
                f"expected logits (B, C) from the module, got {type(logits).__name__}; pass read=..., "
                "a function of (module, x) that returns the logits"
            )
        if logits.ndim and len(logits) != n:
            raise WrongRows("logits", len(logits), n)
        one_logit = self.task == "classification" and logits.shape == (n, 1) and self.num_classes == 2
        if logits.shape != (n, self.num_classes) and not one_logit:
            noun = "predictions" if self.task == "regression" else "logits"
            raise InvalidInput(
                f"expected {noun} of shape ({n}, {self.num_classes}) for num_classes={self.num_classes}, got "
                f"{tuple(logits.shape)}; give the module {self.num_classes} outputs, or correct num_classes"
            )
        return logits.float() if logits.dtype in (torch.bfloat16, torch.float16) else logits

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """A context that raises a clear error if BatchNorm would train on one value per channel."""

        def refuse(layer: nn.Module, inputs: tuple[Any, ...]) -> None:
            x, own_values = inputs[0], layer.training or layer.running_mean is None
            if own_values and x.numel() == x.shape[1]:
                raise InvalidInput(
                    "expected minibatches of at least 2 examples, which BatchNorm needs to train, got one of 1; "
                    f"label at least 2 examples and use a batch_size of at least 2 (now {self.config.batch_size})"
                )

        layers = [part for part in self.module.modules() if isinstance(part, _BATCH_NORM)]
        handles = [layer.register_forward_pre_hook(refuse) for layer in layers]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _read(self, x: Any) -> Tensor:  # noqa: ANN401
        read = self.network.training_logits if self.read is None else self.read
        if not self._autocasts:
            return read(self.module, x)
        # Entered for each minibatch: autocast caches copies of the weights until it ends, and each step changes the weights.
        with torch.autocast(self.device.type, torch.bfloat16):
            return read(self.module, x)

    @cached_property
    def _dtype(self) -> torch.dtype | None:
        """The dtype that the module computes in; inputs are converted to it, as when a pool is scored."""
        return next((p.dtype for p in self.module.parameters() if p.is_floating_point()), None)

    @cached_property
    def _autocasts(self) -> bool:
        if self.config.amp != "auto" or self.device.type == "cpu":
            return self.config.amp is True
        # Before compute capability 8.0, bfloat16 is emulated, and slower than single precision.
        return self.device.type == "cuda" and torch.cuda.get_device_capability(self.device) >= (8, 0)

    @contextmanager
    def _under_training(self) -> Iterator[Step]:
        """A context with the module on its device, gradients enabled and seeded generators; it restores modes and gradients."""
        self.module.to(self.device)
        if isinstance(self.loss, nn.Module):
            self.loss.to(self.device)  # class weights
        if is_exported(self.module):
            raise UnsupportedModel("an exported program cannot be trained; pass the module that it was exported from")
        modes = modes_of(self.module)
        try:
            with self.rng.scope(), torch.enable_grad():
                self.module.zero_grad(set_to_none=True)
                yield Step(self.module, self.config)
        finally:
            for part, mode in modes.items():
                if mode is not None:
                    part.training = mode  # not part.train(mode), which reaches its children and may be overridden
            self.module.zero_grad(set_to_none=True)

    def _bar(self) -> tqdm[Any]:
        hidden = None if self.progress else True  # None: hidden unless standard error is a terminal
        return tqdm(total=self.config.n_epoch, desc="fit", unit="epoch", leave=False, disable=hidden)

    def _divergence(self, what: str, epoch: int, lr: float) -> InvalidInput:
        scale = ", or bring the targets to mean 0 and deviation 1" if self.task == "regression" else ""
        return InvalidInput(
            f"the training diverged: {what} in epoch {epoch}, at a learning rate of {lr:.3g}; "
            f"lower FitConfig.lr (now {self.config.lr:g}){scale}"
        )


class _Tally:
    """Hits and losses of the minibatches so far, kept on the device and read once.

    Why: counting hits after every minibatch costs a sizable part of a step, and waits for an accelerator.
    Gain: 109 ms instead of 128 ms on one core (30 epochs of 400 examples in minibatches of 16).
    Delete it when counting costs nothing.
    """

    def __init__(self, objective: Objective) -> None:
        self._objective = objective
        self._logits: list[Tensor] = []
        self._ys: list[Tensor] = []
        self._hits: list[Tensor] = []
        self._losses: list[Tensor] = []
        self._sizes: list[int] = []
        self._limit = 0

    def add(self, logits: Tensor, y: Tensor, loss: Tensor | None = None) -> None:
        """Add a minibatch: outputs (B, C), labels, mean loss."""
        self._logits.append(logits.detach())
        self._ys.append(y)
        self._sizes.append(y.shape[0])
        if loss is not None:
            self._losses.append(loss.detach())
        if not self._limit:
            self._limit = max(1, _HELD_LOGITS // logits.numel())
        if len(self._logits) == self._limit and self._objective.adds_up:
            self._fold()

    def _fold(self) -> None:
        self._hits.append(self._objective.hits(torch.cat(self._logits), torch.cat(self._ys)))
        self._logits, self._ys = [], []

    def read(self) -> tuple[float, float]:
        """Accuracy and mean loss (0 without losses) over all minibatches; this is the only wait for the device."""
        if self._logits:
            self._fold()
        values = torch.stack(self._hits + self._losses).tolist()
        hits, losses, rows = values[: len(self._hits)], values[len(self._hits) :], sum(self._sizes)
        return sum(hits) / rows, sum(map(operator.mul, losses, self._sizes)) / rows


def _verdict(config: FitConfig, accuracies: Sequence[float], held_out: Sequence[float]) -> Stopped | None:
    """The rule that ends the training after the last of these epochs, or None."""
    if config.max_accuracy is not None and accuracies[-1] >= config.max_accuracy:
        return "max_accuracy"
    if config.patience is not None and len(held_out) - 1 - held_out.index(max(held_out)) >= config.patience:
        return "patience"
    if saturated(accuracies, config.window_size, config.min_diff_acc):
        return "saturation"
    return "n_epoch" if len(accuracies) >= config.n_epoch else None


def saturated(accuracies: Sequence[float], window: int | None, gain: float) -> bool:
    """Whether the last ``window`` accuracies have no i < j with ``accuracies[j] - accuracies[i] >= gain``.

    False with fewer than ``window`` accuracies, and if ``window`` is None.
    """
    if window is None or len(accuracies) < window:
        return False
    lowest = math.inf
    for accuracy in accuracies[-window:]:
        if accuracy - lowest >= gain:
            return False
        lowest = min(lowest, accuracy)
    return True


def _own_loss(loss: Loss, logits: Tensor, y: Tensor, weights: Tensor | None) -> Tensor:
    """The number to minimize, from the user's loss, which returns one per example or, without weights, one for all."""
    losses: Any = loss(logits, y)
    if isinstance(losses, Tensor) and losses.shape == y.shape[:1]:
        return weighted(losses, weights)
    if isinstance(losses, Tensor) and losses.ndim == 0 and weights is None:
        return losses
    expected = f"losses of shape ({len(y)},)" + (", or one number," if weights is None else ", one to each weight,")
    came = f"shape {tuple(losses.shape)}" if isinstance(losses, Tensor) else type(losses).__name__
    raise InvalidInput(f"loss: expected {expected} for a minibatch of {len(y)}, got {came}")


def _place(module: nn.Module, device: torch.device | str | None) -> torch.device:
    """The device to train on."""
    if device is not None:
        return torch.device(device)
    return next((p.device for p in module.parameters()), torch.device("cpu"))


def _has_batch_norm(module: nn.Module) -> bool:
    return any(isinstance(part, _BATCH_NORM) for part in module.modules())


def _tensors_of(module: nn.Module) -> list[Tensor]:
    """Parameters and buffers, including those that a state dict leaves out."""
    return [*module.parameters(), *module.buffers()]


def _restore(kept: Sequence[Tensor], module: nn.Module) -> None:
    with torch.no_grad():
        for tensor, value in zip(_tensors_of(module), kept, strict=True):
            tensor.copy_(value)
