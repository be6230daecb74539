"""The check of model outputs: every column of a minibatch is validated and converted before other code reads it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from distil.data.arrays import called
from distil.errors import DistilError, InvalidInput, MissingSignal, UnsupportedModel
from distil.networks.calls import WrongRows, named
from distil.signals import Forward, Labels, Measured, Signal


class Measurements:
    """The columns of one pass: each has one row for each example, and the same shape in every minibatch.

    Numbers are float32, or float64 if the model returns float64; labels are integers. ``check_finite`` checks that numbers are
    finite, for models and arrays alike.

    Args:
        names: The caller's names of the examples of the data set, for messages; None: messages use positions.
    """

    def __init__(self, names: Sequence[Any] | None = None) -> None:
        self._names = names
        self._shapes: dict[Signal[Any], torch.Size] = {}

    def columns(self, signals: Iterable[Signal[Any]], forward: Forward, ids: Tensor) -> dict[Signal[Any], Tensor]:
        """The columns of one minibatch, on the CPU.

        Args:
            signals: The signals to measure.
            forward: The forward pass of the minibatch.
            ids: Positions of its examples, (B,).

        Raises:
            WrongRows: A column does not have one row for each example.
            UnsupportedModel: A column is not a tensor of real numbers, has a wrong number of axes, or another shape than in
                earlier minibatches.
            InvalidInput: The same faults in labels, which come from the data set.
            MissingSignal: A signal is derived, so a forward pass cannot measure it.
        """
        try:
            return {signal: self._column(signal, _measured(signal, forward), ids) for signal in signals}
        except WrongRows as wrong:
            if wrong.ids is not None:
                raise
            # The network checked only the first rows of the minibatch, to find out what its model returns.
            asked = called(ids[: wrong.asked], self._names)
            raise WrongRows(wrong.what, wrong.came, wrong.asked, asked) from wrong

    def _column(self, signal: Signal[Any], value: object, ids: Tensor) -> Tensor:
        what = signal.noun or repr(signal)
        if not isinstance(value, Tensor):
            raise UnsupportedModel(f"the {what} of a minibatch must be a torch.Tensor, got {type(value).__name__}")
        rows = len(value) if value.dim() else 1
        if rows != len(ids) and isinstance(signal, Labels):
            raise InvalidInput(
                f"a minibatch has {rows} labels for {len(ids):,} examples ({self._named(ids)}); expected one for each example"
            )
        if rows != len(ids) or value.dim() == 0:
            raise WrongRows(what, rows, len(ids), called(ids, self._names))
        self._check_shape(signal, what, value, ids)
        return _precise(value.detach(), signal, what).cpu()

    def _check_shape(self, signal: Signal[Any], what: str, value: Tensor, ids: Tensor) -> None:
        error: type[DistilError] = InvalidInput if isinstance(signal, Labels) else UnsupportedModel
        axes = signal.axes
        if axes and (value.dim() != len(axes) or 0 in value.shape[1:]):
            raise error(
                f"the {what} must have shape ({', '.join(axes)}), got {tuple(value.shape)} for {self._named(ids)}"
            )
        if axes.endswith("C") and value.shape[-1] == 1:
            raise error(
                f"the {what} must have a column for each class, at least 2, got {tuple(value.shape)}; for a binary model with "
                "one logit z, return the columns 0 and z"
            )
        known = self._shapes.setdefault(signal, value.shape[1:])
        if known != value.shape[1:]:
            raise error(
                f"the {what} must have the same shape in every minibatch: rows were {tuple(known)} before, and are "
                f"{tuple(value.shape[1:])} for {self._named(ids)}; return as many numbers for each example"
            )

    def _named(self, ids: Tensor) -> str:
        return named(called(ids, self._names))


def _measured(signal: Signal[Any], forward: Forward) -> object:
    if not isinstance(signal, Measured):
        raise MissingSignal(f"{signal!r} is derived from other signals, not measured; ask for measured_by(...)")
    return signal.measure(forward)


def _precise(value: Tensor, signal: Signal[Any], what: str) -> Tensor:
    """``value`` as float32, or unchanged if it is float64 or holds labels."""
    if isinstance(signal, Labels) or value.dtype in (torch.float32, torch.float64):
        return value
    if value.is_complex() or (signal.axes.endswith("C") and not value.is_floating_point()):
        raise UnsupportedModel(f"the {what} must be real floating-point numbers, got {value.dtype}")
    return value.float()
