"""Checks of a model's calls: as many rows out as examples in, and errors that explain a failed call."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from distil.errors import DistilError, InvalidInput, UnsupportedModel
from distil.networks.module_state import is_exported

# What PyTorch's messages say of inputs whose width, channels or axes a layer was not built for.
_OF_SHAPES = re.compile(r"shape|size|channels|dimension|running_mean should contain|batched|\dD ", re.IGNORECASE)

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
    if isinstance(batch, PackedSequence):
        yield int(batch.batch_sizes[0])
    elif isinstance(batch, (Tensor, np.ndarray)):
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


def check_minibatch(batch: Any, ids: Sequence[Any]) -> None:  # noqa: ANN401 - any result of collate
    """Check that a minibatch has one row for each example, if its rows can be counted.

    Args:
        batch: The result of the data set's collate function.
        ids: The caller's ids of the examples that the minibatch was made of, (B,).

    Raises:
        InvalidInput: It has more or fewer rows.
    """
    rows = rows_of(batch)
    if rows is not None and rows != len(ids):
        raise InvalidInput(
            f"the minibatch of {len(ids)} examples ({named(ids)}) has {rows} rows on the first axis of its tensors; collate (or "
            "the data set) must return one row for each example, in their order; to leave out examples, pass exclude=..."
        )


def explain_failed_call(module: nn.Module, x: object, error: Exception) -> None:
    """Raise UnsupportedModel if a call failed for a reason that is known; return otherwise.

    Images and sequences of whole numbers are passed to a module unchanged, since they may be pixels or token ids.
    """
    if isinstance(error, (torch.OutOfMemoryError, DistilError)):
        return
    name, why = type(module).__name__, str(error).splitlines()[0] if str(error) else type(error).__name__
    if any(p.is_meta for p in module.parameters()) or (isinstance(x, Tensor) and x.is_meta):
        raise UnsupportedModel(
            f"{name} or its inputs are on the device meta, which holds no numbers; load the weights and the data first"
        ) from error
    if is_exported(module):
        raise UnsupportedModel(
            f"{name} is an exported program, and it cannot be called with {_shape(x)} ({why}); export it with a dynamic first "
            "axis: torch.export.export(model, (x,), dynamic_shapes=({0: torch.export.Dim.AUTO},))"
        ) from error
    if isinstance(error, ValueError):
        if getattr(getattr(module, "config", None), "is_encoder_decoder", False) is True:
            raise UnsupportedModel(
                f"{name} has an encoder and a decoder, and cannot be called with {_shape(x)} ({why}); pass its encoder alone, "
                "model.get_encoder(), with embedding='mean'; a model with a head for classes; or inputs=, a function that adds "
                "decoder_input_ids"
            ) from error
        return
    if isinstance(x, Tensor) and x.dim() == 1 and isinstance(error, RuntimeError):
        raise UnsupportedModel(
            f"{name} cannot be called with one number for each example, a tensor {tuple(x.shape)} ({why}); give each example as a "
            "row: a list of numbers, or an array (N, D)"
        ) from error
    if not isinstance(x, Tensor):
        return
    if x.is_floating_point():
        if _OF_SHAPES.search(why):
            raise UnsupportedModel(
                f"{name} cannot be called with {_shape(x)} ({why}); pass examples of the shape that it was built for, not "
                f"{tuple(x.shape[1:])}, or inputs= (or transform=), a function from the minibatch to its inputs"
            ) from error
        return
    embeds = any(isinstance(layer, (nn.Embedding, nn.EmbeddingBag)) for layer in module.modules())
    if not embeds:
        image = (
            "; images in 0..255 that the model was trained on in 0..1: x.float() / 255"
            if x.dtype == torch.uint8
            else ""
        )
        raise UnsupportedModel(
            f"{name} cannot be called with numbers of {x.dtype} ({why}); pass the data as real floating-point numbers: x.float(), "
            f"x.astype('float32'), or a transform that converts them{image}"
        ) from error


def _shape(x: object) -> str:
    return f"a tensor {tuple(x.shape)}" if isinstance(x, Tensor) else f"a {type(x).__name__}"
