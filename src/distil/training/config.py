"""The settings of a training: optimizer, number of epochs, and when to stop."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import Any, Literal

from distil.errors import InvalidInput, nearest, whole_number

_WEIGHT_DECAY = {"sgd": 5e-4, "adam": 0.0, "adamw": 0.01}


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """The settings of a training; every value is checked when the object is made.

    The optimizers, the schedule and the two rules for stopping early are those of DISTIL 0.1, with two deliberate
    differences: ``n_epoch`` is the exact number of epochs (there, one fewer), and the weights are never drawn anew in the
    middle of a training (there, every 50th epoch below 20 % accuracy).

    The saturation rule reads the training accuracy only. If one class is very common, a network may predict that class
    for all examples in its first ``window_size`` epochs, at a constant accuracy while its loss still falls. Set
    ``window_size=None`` for imbalanced data.

    Attributes:
        lr: Learning rate of the first epoch, above 0.
        batch_size: Number of examples in a minibatch, at least 1.
        n_epoch: Largest number of epochs, at least 1; also the length of the cosine.
        optimizer: ``"sgd"``, ``"adam"`` or ``"adamw"``, with the update rules of ``torch.optim``.
        momentum: Momentum of ``"sgd"``, in [0, 1); the others ignore it.
        weight_decay: Weight decay, at least 0. ``None``: 5e-4 for ``"sgd"``, 0 for ``"adam"``, 0.01 for ``"adamw"``.
        schedule: ``"cosine"`` lowers the learning rate from ``lr`` towards 0 over ``n_epoch`` epochs, one step per epoch;
            ``"constant"`` keeps it.
        max_accuracy: Stop after an epoch whose training accuracy, a fraction in (0, 1], reaches this.
            ``None``: never.
        min_diff_acc: Smallest gain in training accuracy that counts as progress, a fraction of at least 0.
        window_size: Stop if, among the last ``window_size`` training accuracies, no later one is at least
            ``min_diff_acc`` above an earlier one. At least 2. ``None``: never.
        patience: Stop after this many epochs in a row without a better validation accuracy. If it is set, the
            weights of the best epoch (the first of equals) are restored at the end, whichever rule ended the training.
            At least 1; needs validation data. ``None``: never, and the last weights stay.
        amp: Whether to run the forward pass in bfloat16 (by ``torch.autocast``). ``"auto"``: on accelerators that compute
            in bfloat16, never on a CPU. ``True``: on every device. ``False``: never.

    Raises:
        InvalidInput: A value is out of its range; the message names the field.

    >>> FitConfig(lr=0.05, max_accuracy=0.99).decay
    0.0005
    """

    lr: float = 0.01
    batch_size: int = 64
    n_epoch: int = 100
    optimizer: Literal["sgd", "adam", "adamw"] = "sgd"
    momentum: float = 0.9
    weight_decay: float | None = None
    schedule: Literal["cosine", "constant"] = "cosine"
    max_accuracy: float | None = None
    min_diff_acc: float = 0.001
    window_size: int | None = 10
    patience: int | None = None
    amp: Literal["auto"] | bool = "auto"

    def __post_init__(self) -> None:
        self._number("lr", "a number above 0", lambda v: v > 0)
        self._integer("batch_size", 1)
        self._integer("n_epoch", 1)
        self._one_of("optimizer", tuple(_WEIGHT_DECAY))
        self._number("momentum", "a number in [0, 1)", lambda v: 0 <= v < 1)
        self._number("weight_decay", "a number of at least 0, or None", lambda v: v >= 0, optional=True)
        self._one_of("schedule", ("cosine", "constant"))
        self._number("max_accuracy", "a fraction in (0, 1], or None", lambda v: 0 < v <= 1, optional=True)
        self._number("min_diff_acc", "a fraction of at least 0", lambda v: v >= 0)
        self._integer("window_size", 2, optional=True)
        self._integer("patience", 1, optional=True)
        if not isinstance(self.amp, bool) and not (isinstance(self.amp, str) and self.amp == "auto"):
            raise self._fault("amp", "'auto', True or False")

    @property
    def decay(self) -> float:
        """The weight decay in use: ``weight_decay``, or the default of the optimizer."""
        return _WEIGHT_DECAY[self.optimizer] if self.weight_decay is None else self.weight_decay

    def rate(self, epoch: int) -> float:
        """The learning rate of an epoch, counted from 0 (Loshchilov & Hutter 2017, eq. 5, without restarts)."""
        if self.schedule == "constant":
            return self.lr
        return self.lr * (1 + math.cos(math.pi * epoch / self.n_epoch)) / 2

    def _number(self, name: str, expected: str, holds: Callable[[Any], bool], *, optional: bool = False) -> None:
        value = getattr(self, name)
        if value is None and optional:
            return
        try:
            number = float(value) if not isinstance(value, bool) and isinstance(value, Real) else math.nan
        except OverflowError:  # a whole number or fraction such as 10**400
            number = math.inf
        if not math.isfinite(number) or not holds(number):
            raise self._fault(name, expected)
        object.__setattr__(self, name, number)

    def _integer(self, name: str, least: int, *, optional: bool = False) -> None:
        value = getattr(self, name)
        if value is None and optional:
            return
        number = whole_number(value, least)
        if number is None:
            raise self._fault(name, f"a whole number of at least {least}" + (", or None" if optional else ""))
        object.__setattr__(self, name, number)

    def _one_of(self, name: str, choices: tuple[str, ...]) -> None:
        value = getattr(self, name)
        if not isinstance(value, str) or value not in choices:
            hint = nearest(value, choices) if isinstance(value, str) else ""
            raise self._fault(name, "one of " + ", ".join(map(repr, choices)), hint)

    def _fault(self, name: str, expected: str, hint: str = "") -> InvalidInput:
        return InvalidInput(f"FitConfig.{name}: expected {expected}, got {getattr(self, name)!r}{hint}")
