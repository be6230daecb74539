"""The door for what models return: every column of a minibatch is checked, and brought to one form, before anything reads it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from distil.data.arrays import called
from distil.errors import DistilError, InvalidInput, UnsupportedModel
from distil.networks.calls import WrongRows, named, rows_of
from distil.signals import Forward, Labels, Signal, measure


class Measurements:
    """What is measured in one pass: each column has a row an example, and the same shape in every minibatch.

    Numbers are float32, or float64 where the model computes in it; labels are whole. That they are finite is checked by
    ``check_finite``, for models and arrays alike.

    Args:
        names: What the caller calls the examples of the data set, for messages; None: positions serve.
    """

    def __init__(self, names: Sequence[Any] | None = None) -> None:
        self._names = names
        self._shapes: dict[Signal[Any], torch.Size] = {}

    def columns(self, signals: Iterable[Signal[Any]], forward: Forward, ids: Tensor) -> dict[Signal[Any], Tensor]:
        """The columns of one minibatch, on the CPU.

        Args:
            signals: What is measured.
            forward: The minibatch.
            ids: The examples in it, (B,).

        Raises:
            WrongRows: There are more or fewer rows than examples.
            UnsupportedModel: A column is no tensor of real numbers, has another number of axes, or another shape than before.
            InvalidInput: The same, of labels, which are no model's.
        """
        try:
            return {signal: self._column(signal, measure((signal,), forward)[signal], ids) for signal in signals}
        except WrongRows as wrong:
            if wrong.ids is not None:
                raise
            # Of the first rows of the minibatch, by which a network finds out what its model returns.
            asked = called(ids[: wrong.asked], self._names)
            raise WrongRows(wrong.what, wrong.came, wrong.asked, asked) from wrong

    def _column(self, signal: Signal[Any], value: object, ids: Tensor) -> Tensor:
        what = signal.noun or repr(signal)
        if not isinstance(value, Tensor):
            raise UnsupportedModel(f"the {what} of a minibatch must be a torch.Tensor, got {type(value).__name__}")
        rows = len(value) if value.dim() else 1
        if rows != len(ids) and isinstance(signal, Labels):
            raise InvalidInput(
                f"a minibatch has {rows} labels for {len(ids)} examples ({self._named(ids)}); expected one for each"
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
                f"the {what} must have a column for each class, at least 2, got {tuple(value.shape)}; of a binary model with one "
                "logit z, return the columns 0 and z"
            )
        known = self._shapes.setdefault(signal, value.shape[1:])
        if known != value.shape[1:]:
            raise error(
                f"the {what} have another shape in every minibatch: rows of {tuple(known)} before, and of "
                f"{tuple(value.shape[1:])} for {self._named(ids)}; each example needs as many numbers"
            )

    def _named(self, ids: Tensor) -> str:
        return named(called(ids, self._names))


def _precise(value: Tensor, signal: Signal[Any], what: str) -> Tensor:
    """float32, or float64 where it came so; integers for labels, and for features that were counted."""
    if isinstance(signal, Labels) or value.dtype in (torch.float32, torch.float64):
        return value
    if value.is_complex() or (signal.axes.endswith("C") and not value.is_floating_point()):
        raise UnsupportedModel(f"the {what} must be real floating-point numbers, got {value.dtype}")
    return value.float()


def check_minibatch(batch: Any, ids: Tensor, names: Sequence[Any] | None = None) -> None:  # noqa: ANN401 - whatever collate makes
    """Raise InvalidInput where a minibatch, as far as can be seen, does not have a row for each of ``ids``.

    Args:
        batch: Whatever the data set's collate function makes.
        ids: The examples that it was asked for, (B,).
        names: What the caller calls the examples of the data set.
    """
    rows = rows_of(batch)
    if rows is not None and rows != len(ids):
        raise InvalidInput(
            f"the minibatch of {len(ids)} examples ({named(called(ids, names))}) has {rows} rows on the first axis of its tensors; "
            "collate (or the data set) must give a row for each example that it is asked for, in their order; leave examples out "
            "with exclude="
        )
