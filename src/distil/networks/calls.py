"""Checks of a model's calls: as many rows out as examples in, and errors that explain a failed call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from distil.errors import UnsupportedModel

# Largest number of ids in a message.
_NAMED = 5


class WrongRows(UnsupportedModel):
    """A model returned a number of rows other than its number of examples.

    Args:
        what: Name of the rows in the message, for example "logits".
        came: Number of rows that the model returned.
        asked: Number of examples that it was called with.
        ids: The caller's ids of the examples, if known.
    """

    def __init__(self, what: str, came: int, asked: int, ids: Sequence[Any] | None = None) -> None:
        self.what, self.came, self.asked, self.ids = what, came, asked, ids
        which = "" if ids is None else f" ({named(ids)})"
        super().__init__(
            f"the model returned {came} row{'s' * (came != 1)} of {what} for {asked} examples{which}; expected one row for each "
            "example, along the first axis and in their order: if the examples are on the second axis of an LSTM or transformer, "
            "build it with batch_first=True or transpose; if collate leaves examples out, return all of them, or pass exclude="
        )


def named(ids: Sequence[Any]) -> str:
    """The first few of the caller's ids, for messages."""
    return f"ids {', '.join(map(repr, ids[:_NAMED]))}{', ...' if len(ids) > _NAMED else ''}"


def rows_of(batch: Any) -> int | None:  # noqa: ANN401 - any return value of a collate function
    """The number of examples in a minibatch: the length of each tensor, array and list of texts; None if they differ."""
    lengths = set(_lengths(batch))
    return lengths.pop() if len(lengths) == 1 else None


def _lengths(batch: Any) -> Iterator[int]:  # noqa: ANN401
    if isinstance(batch, (Tensor, np.ndarray)):
        if batch.ndim:
            yield len(batch)
    elif isinstance(batch, Mapping):
        for value in batch.values():
            yield from _lengths(value)
    elif isinstance(batch, (list, tuple)):
        if batch and all(isinstance(value, str) for value in batch):
            yield len(batch)
        else:
            for value in batch:
                yield from _lengths(value)


def refuse_whole_numbers(module: nn.Module, x: object, error: RuntimeError) -> None:
    """Raise UnsupportedModel if a call with whole numbers failed and the module has no layer for tokens.

    Whole numbers are passed to a module unchanged, since they may be token ids.
    """
    embeds = any(isinstance(layer, (nn.Embedding, nn.EmbeddingBag)) for layer in module.modules())
    whole = isinstance(x, Tensor) and not x.is_floating_point() and not x.is_complex()
    if whole and not embeds and not isinstance(error, torch.OutOfMemoryError):
        raise UnsupportedModel(
            f"{type(module).__name__} cannot be called with numbers of {x.dtype} ({str(error).splitlines()[0]}); pass the data "  # type: ignore[attr-defined]
            "as floating-point numbers: x.float(), x.astype('float32'), or a transform that converts them"
        ) from error
