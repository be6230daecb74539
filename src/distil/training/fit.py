"""The one training loop of the library.

``fit`` trains on tensors, ``fit_dataset`` on a map-style data set. Both hand their minibatches to the same loop,
and for one ``rng`` both see the same examples in the same order. Nothing in the loop waits for the device: the
outputs and losses of an epoch are read once, at its end.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name everyone gives it
from torch.utils.data import Dataset
from tqdm import tqdm

from distil.errors import InvalidInput, UnsupportedModel
from distil.networks.calls import refuse_whole_numbers
from distil.rng import Rng, as_rng
from distil.training.config import FitConfig
from distil.training.minibatches import DatasetSource, Minibatch, Source, TensorSource, sizes_of
from distil.training.step import Step

Read: TypeAlias = Callable[[nn.Module, Any], Tensor]
Transform: TypeAlias = Callable[[Any], Any]
Augment: TypeAlias = Callable[[Any, torch.Generator], Any]
Loss: TypeAlias = Callable[[Tensor, Tensor], Tensor]
Stopped: TypeAlias = Literal["max_accuracy", "saturation", "patience", "n_epoch"]

_HELD_LOGITS = 2**22  # outputs kept before they are turned into a count of hits
_BATCH_NORM = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


@dataclass(frozen=True)
class FitResult:
    """What happened in a training, an entry an epoch.

    Attributes:
        accuracies: Fraction of the labeled examples that were right in the epoch's own minibatches, each judged
            by the network as it was just before it learned from that minibatch.
        losses: Mean loss over the same minibatches, in nats unless a ``loss`` was given.
        stopped: What ended the training.
        validation_accuracies: After each epoch; empty without validation data.
    """

    accuracies: tuple[float, ...]
    losses: tuple[float, ...]
    stopped: Stopped
    validation_accuracies: tuple[float, ...] = ()

    @property
    def n_epochs(self) -> int:
        """How many epochs were run."""
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
    loss: Loss | None = None,
    progress: bool = False,
    device: torch.device | str | None = None,
) -> FitResult:
    """Train ``module`` in place on labeled tensors.

    The loss is the cross entropy, or its binary form for one logit and two classes, unless another is given. The
    order of epoch e is the e-th ``torch.randperm`` drawn from ``rng.child("order").torch()``. Dropout, and whatever
    else draws from the global generators, is seeded by ``rng``; those generators are afterwards as they were before.
    The last minibatch may be short, but one of a single example joins the one before it if the module has BatchNorm,
    which cannot train on one. Afterwards every submodule is in the mode it came in and every ``.grad`` is None, also
    when the training was interrupted.

    Cost: a forward pass, a backward pass and a step for each minibatch. Memory: besides the module and its
    optimizer, a copy of the labeled set (of 256 MB of it at a time, if it is larger).

    Args:
        module: The network: ``num_classes`` logits (B, C), or one logit (B, 1) where ``num_classes`` is 2.
        x: Inputs (N, ...), on any device; finite if floating-point, and then brought to the module's precision.
        y: Labels (N,), whole numbers in 0..num_classes-1; not every class need occur.
        config: The optimizer, the schedule and when to stop.
        num_classes: C, at least 2; never taken from the labels seen.
        rng: A seed, or an Rng, that decides every random draw of the training.
        transform: Applied to each minibatch, after ``augment`` in training and alone in validation.
        augment: ``augment(x, generator)``, applied to each training minibatch. The CPU generator is its own:
            what it draws changes neither the order nor dropout.
        validation: Inputs and labels on which to measure the accuracy after each epoch.
        weights: (N,), at least 0; the loss of a minibatch is the mean of its losses with these weights.
            Examples of weight 0 are left out of the training altogether.
        read: ``read(module, x)`` gives the logits. Default: ``module(x)``, or its first if that is a tuple.
        loss: ``loss(logits, y)`` gives the losses (B,) of a minibatch or, where there are no ``weights``, the number to
            lower. Default: the cross entropy.
        progress: Show a bar over the epochs; it stays silent where standard error is no terminal.
        device: Where to train; the module, and a ``loss`` that is one, is moved there and stays. Default: where the
            module's parameters are.

    Returns:
        Accuracy and loss of each epoch, and what ended the training.

    Raises:
        InvalidInput: Shapes that do not fit, labels or a head that disagree with ``num_classes``, NaN, patience
            without validation data, one example alone under BatchNorm, a ``loss`` of another shape, or a training
            that diverged.
        UnsupportedModel: What the module returns is no tensor (give ``read``), or it cannot be called with whole numbers.

    >>> x, y = torch.tensor([[-1.0], [-2.0], [1.0], [2.0]]), torch.tensor([0, 0, 1, 1])
    >>> config = FitConfig(lr=0.5, max_accuracy=1.0, window_size=None)
    >>> fit(nn.Linear(1, 2), x, y, config, num_classes=2, rng=Rng(0)).stopped
    'max_accuracy'
    """
    place, rng = _place(module, device), as_rng(rng)
    training = _Training(
        module, config, num_classes, rng, transform, augment, read or _first_output, loss, progress, place
    )

    def source(x: Tensor, y: Tensor, weights: Tensor | None, names: tuple[str, str]) -> Source:
        return TensorSource(x, y, weights, num_classes=num_classes, device=place, names=names)

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
    loss: Loss | None = None,
    progress: bool = False,
    device: torch.device | str | None = None,
    num_workers: int = 0,
) -> FitResult:
    """Train ``module`` in place on a map-style data set; ``fit`` is faster where the inputs fit in memory.

    All that is not said here is as in ``fit``, the order of the examples included. Inputs may be tensors, or
    tuples and dictionaries of them, stacked as by PyTorch's loader (a tuple arrives as a list); lists of numbers are rows.
    Randomness inside the data set comes from ``rng`` as well, but with workers it depends on their number.

    Args:
        module: See ``fit``.
        dataset: Examples (x, y, ...); what follows the label is not used. Labels are checked as they come.
        config: See ``fit``.
        num_classes: See ``fit``.
        rng: See ``fit``.
        transform: See ``fit``.
        augment: See ``fit``.
        validation: A data set on which to measure the accuracy after each epoch.
        weights: See ``fit``.
        read: See ``fit``.
        loss: See ``fit``.
        progress: See ``fit``.
        device: See ``fit``.
        num_workers: Processes that load examples; 0 loads them in this one.

    Returns:
        See ``fit``.

    Raises:
        InvalidInput: See ``fit``.
        UnsupportedModel: See ``fit``.
    """
    place, rng = _place(module, device), as_rng(rng)
    training = _Training(
        module, config, num_classes, rng, transform, augment, read or _first_output, loss, progress, place
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
        )

    labeled = source(dataset, weights, "dataset")
    return training.run(labeled, None if validation is None else source(validation, None, "validation"))


@dataclass(frozen=True)
class _Training:
    """A module and all that decides how it is trained, but for the examples."""

    module: nn.Module
    config: FitConfig
    num_classes: int
    rng: Rng
    transform: Transform | None
    augment: Augment | None
    reader: Read
    loss: Loss | None
    progress: bool
    device: torch.device

    def __post_init__(self) -> None:
        classes = self.num_classes
        if isinstance(classes, bool) or not isinstance(classes, int | np.integer) or classes < 2:
            raise InvalidInput(f"num_classes: expected a whole number of at least 2, got {classes!r}")

    def run(self, source: Source, validation: Source | None) -> FitResult:
        """The whole training."""
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
                _put_back(best, self.module)
            # The last step comes after the last loss.
            if not all(bool(p.isfinite().all()) for p in self.module.parameters()):
                raise self._divergence("a weight became infinite or NaN", len(losses), step.lr)
        return FitResult(tuple(accuracies), tuple(losses), stopped, tuple(held_out))

    def _epoch(self, minibatches: Iterator[Minibatch], step: Step, draws: torch.Generator) -> tuple[float, float]:
        """Learn from every minibatch once; accuracy and mean loss."""
        augment, tally = self.augment, _Tally()
        self.module.train()
        read = self._logits
        for x, y, weights in minibatches:
            logits = read(x if augment is None else augment(x, draws), y.shape[0])
            loss = _loss(logits, y, weights) if self.loss is None else _given_loss(self.loss, logits, y, weights)
            torch.autograd.backward(loss)
            step()
            tally.add(logits, y, loss)
        return tally.read()

    def _accuracy(self, source: Source) -> float:
        """Accuracy in evaluation mode."""
        tally = _Tally()
        self.module.eval()
        # Without what gradients need, four times as many examples fit in the same memory with room to spare.
        sizes = sizes_of(len(source.rows), 4 * self.config.batch_size)
        with torch.no_grad():
            for x, y, _ in source.minibatches(source.rows, sizes):
                tally.add(self._logits(x, y.shape[0]), y)
        return tally.read()[0]

    def _logits(self, x: Any, n: int) -> Tensor:  # noqa: ANN401 - whatever the module takes
        """Logits (B, C) or (B, 1) of ``n`` inputs, in at least single precision."""
        if self.transform is not None:
            x = self.transform(x)
        x = _cast(x, self._dtype)
        try:
            with self._watched() if n == 1 else nullcontext():
                logits = self._read(x)
        except RuntimeError as error:
            refuse_whole_numbers(self.module, x, error)
            raise
        if not isinstance(logits, Tensor):
            raise UnsupportedModel(
                f"expected logits (B, C) from the module, got {type(logits).__name__}; pass read=..., "
                "a function of (module, x) that returns them"
            )
        if logits.shape != (n, self.num_classes) and (logits.shape != (n, 1) or self.num_classes != 2):
            raise InvalidInput(
                f"expected logits of shape ({n}, {self.num_classes}) for num_classes={self.num_classes}, got "
                f"{tuple(logits.shape)}; give the module a head of that width, or correct num_classes or read"
            )
        return logits.float() if logits.dtype in (torch.bfloat16, torch.float16) else logits

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Under it, BatchNorm that would have to train on one value a channel is an error that says what to do."""

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
        if not self._autocasts:
            return self.reader(self.module, x)
        # Entered for each minibatch: autocast keeps its copies of the weights until it is left, and they change.
        with torch.autocast(self.device.type, torch.bfloat16):
            return self.reader(self.module, x)

    @cached_property
    def _dtype(self) -> torch.dtype | None:
        """The precision that the module computes in; inputs are brought to it, as they are when a pool is scored."""
        return next((p.dtype for p in self.module.parameters() if p.is_floating_point()), None)

    @cached_property
    def _autocasts(self) -> bool:
        if self.config.amp != "auto" or self.device.type == "cpu":
            return self.config.amp is True
        # Before compute capability 8.0, bfloat16 is emulated, and slower than single precision.
        return self.device.type == "cuda" and torch.cuda.get_device_capability(self.device) >= (8, 0)

    @contextmanager
    def _under_training(self) -> Iterator[Step]:
        """The module on its device, with a step, gradients, and seeded generators; modes and grads are put back."""
        self.module.to(self.device)
        if isinstance(self.loss, nn.Module):
            self.loss.to(self.device)  # class weights
        modes = [(part, part.training) for part in self.module.modules()]
        try:
            with self.rng.scope(), torch.enable_grad():
                self.module.zero_grad(set_to_none=True)
                yield Step(self.module, self.config)
        finally:
            for part, mode in modes:
                part.training = mode  # not part.train(mode), which reaches its children and may be overridden
            self.module.zero_grad(set_to_none=True)

    def _bar(self) -> tqdm[Any]:
        hidden = None if self.progress else True  # None: hidden unless standard error is a terminal
        return tqdm(total=self.config.n_epoch, desc="fit", unit="epoch", leave=False, disable=hidden)

    def _divergence(self, what: str, epoch: int, lr: float) -> InvalidInput:
        return InvalidInput(
            f"the training diverged: {what} in epoch {epoch}, at a learning rate of {lr:.3g}; "
            f"lower FitConfig.lr (now {self.config.lr:g})"
        )


def _cast(x: Any, dtype: torch.dtype | None) -> Any:  # noqa: ANN401
    """Inputs with their floating-point tensors in that precision; whole numbers, which may be token ids, stay."""
    if isinstance(x, Tensor):
        return x.to(dtype) if dtype is not None and x.is_floating_point() else x
    if isinstance(x, Mapping):
        return {name: _cast(value, dtype) for name, value in x.items()}
    return [_cast(value, dtype) for value in x] if isinstance(x, list | tuple) else x


class _Tally:
    """Hits and losses of the minibatches so far, kept on the device and read once.

    Counting hits at every minibatch would cost as much as a part of its step, and wait for an accelerator. Held back, they won 109
    against 128 ms on one core (30 epochs of 400 examples in minibatches of 16). Delete it where counting costs nothing.
    """

    def __init__(self) -> None:
        self._logits: list[Tensor] = []
        self._ys: list[Tensor] = []
        self._hits: list[Tensor] = []
        self._losses: list[Tensor] = []
        self._sizes: list[int] = []
        self._limit = 0

    def add(self, logits: Tensor, y: Tensor, loss: Tensor | None = None) -> None:
        """Note a minibatch: logits (B, C), labels (B,), mean loss."""
        self._logits.append(logits.detach())
        self._ys.append(y)
        self._sizes.append(y.shape[0])
        if loss is not None:
            self._losses.append(loss.detach())
        if not self._limit:
            self._limit = max(1, _HELD_LOGITS // logits.numel())
        if len(self._logits) == self._limit:
            self._fold()

    def _fold(self) -> None:
        hits = _predicted(torch.cat(self._logits)) == torch.cat(self._ys)
        self._hits.append(hits.sum(dtype=self._logits[0].dtype))
        self._logits, self._ys = [], []

    def read(self) -> tuple[float, float]:
        """Accuracy and mean loss (0 if none was given) over all that was noted: the one wait for the device."""
        if self._logits:
            self._fold()
        values = torch.stack(self._hits + self._losses).tolist()
        hits, losses, rows = values[: len(self._hits)], values[len(self._hits) :], sum(self._sizes)
        return sum(hits) / rows, sum(map(operator.mul, losses, self._sizes)) / rows


def _verdict(config: FitConfig, accuracies: Sequence[float], held_out: Sequence[float]) -> Stopped | None:
    """Why the training ends after the last of these epochs, or None."""
    if config.max_accuracy is not None and accuracies[-1] >= config.max_accuracy:
        return "max_accuracy"
    if config.patience is not None and len(held_out) - 1 - held_out.index(max(held_out)) >= config.patience:
        return "patience"
    if saturated(accuracies, config.window_size, config.min_diff_acc):
        return "saturation"
    return "n_epoch" if len(accuracies) >= config.n_epoch else None


def saturated(accuracies: Sequence[float], window: int | None, gain: float) -> bool:
    """Whether the last ``window`` accuracies have no i < j with ``accuracies[j] - accuracies[i] >= gain``.

    Never with fewer of them than that, nor with ``window`` None.
    """
    if window is None or len(accuracies) < window:
        return False
    lowest = math.inf
    for accuracy in accuracies[-window:]:
        if accuracy - lowest >= gain:
            return False
        lowest = min(lowest, accuracy)
    return True


def _loss(logits: Tensor, y: Tensor, weights: Tensor | None) -> Tensor:
    """Mean cross entropy of logits (B, C) or (B, 1) and labels (B,), weighted by ``weights`` (B,)."""
    how = "mean" if weights is None else "none"
    if logits.shape[1] == 1:
        losses = F.binary_cross_entropy_with_logits(logits[:, 0], y.to(logits.dtype), reduction=how)
    else:
        losses = F.cross_entropy(logits, y, reduction=how)
    return losses if weights is None else (losses * weights).sum() / weights.sum()


def _given_loss(loss: Loss, logits: Tensor, y: Tensor, weights: Tensor | None) -> Tensor:
    """The number to lower, from a loss that gives one for each example or, without weights, one for all."""
    losses: Any = loss(logits, y)
    if isinstance(losses, Tensor) and losses.shape == y.shape:
        return losses.mean() if weights is None else (losses * weights).sum() / weights.sum()
    if isinstance(losses, Tensor) and losses.ndim == 0 and weights is None:
        return losses
    expected = f"losses of shape ({len(y)},)" + (", or one number," if weights is None else ", one to each weight,")
    came = f"shape {tuple(losses.shape)}" if isinstance(losses, Tensor) else type(losses).__name__
    raise InvalidInput(f"loss: expected {expected} for a minibatch of {len(y)}, got {came}")


def _predicted(logits: Tensor) -> Tensor:
    """The most probable class (B,) of logits (B, C) or (B, 1)."""
    return logits.argmax(1) if logits.shape[1] > 1 else (logits[:, 0] > 0).long()


def _first_output(module: nn.Module, x: Any) -> Tensor:  # noqa: ANN401
    """``module(x)``, or its first if that is a tuple; whether it is a tensor is checked by the caller."""
    out: Any = module(x)
    logits: Tensor = out[0] if isinstance(out, tuple) and out else out
    return logits


def _place(module: nn.Module, device: torch.device | str | None) -> torch.device:
    """Where to train."""
    if device is not None:
        return torch.device(device)
    return next((p.device for p in module.parameters()), torch.device("cpu"))


def _has_batch_norm(module: nn.Module) -> bool:
    return any(isinstance(part, _BATCH_NORM) for part in module.modules())


def _tensors_of(module: nn.Module) -> list[Tensor]:
    """Parameters and buffers, also those that a state dict leaves out."""
    return [*module.parameters(), *module.buffers()]


def _put_back(kept: Sequence[Tensor], module: nn.Module) -> None:
    with torch.no_grad():
        for tensor, value in zip(_tensors_of(module), kept, strict=True):
            tensor.copy_(value)
