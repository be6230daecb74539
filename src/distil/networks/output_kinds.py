"""The kinds of numbers that a model may return (logits or probabilities), and their conversion to logits."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from distil.errors import UnsupportedModel

OutputKind = Literal["logits", "probs", "sigmoid"]
"""Logits (B, C); probabilities (B, C), rows that sum to 1; or one logit (B, 1) of a binary model."""

OUTPUT_KINDS: tuple[OutputKind, ...] = get_args(OutputKind)


def close(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors are equal up to rounding; NaN equals NaN, so that a model that returns NaN equals itself."""
    return a.shape == b.shape and torch.allclose(a.float(), b.float(), rtol=1e-4, atol=1e-5, equal_nan=True)


def as_logits(returned: Tensor, output: OutputKind) -> Tensor:
    """Logits (B, C), C >= 2, in float32 or float64."""
    returned = returned if returned.dtype == torch.float64 else returned.float()
    if output == "logits":
        return returned
    column = returned.reshape(len(returned), -1)
    if output == "sigmoid":
        return torch.cat([torch.zeros_like(column), column], 1)
    probs = torch.cat([1 - column, column], 1) if column.shape[1] == 1 else column
    return probs.clamp_min(torch.finfo(probs.dtype).tiny).log()


def check_kind(returned: Tensor, output: OutputKind) -> None:
    """Raise UnsupportedModel if a model's return value cannot be of the given kind."""
    one_column = returned.dim() == 1 or (returned.dim() == 2 and returned.shape[1] == 1)
    if returned.dim() > 2 or returned.dim() == 0:
        raise UnsupportedModel(
            f"expected logits of shape (B, C), got {tuple(returned.shape)}; pass outputs= to reduce them to one row per example"
        )
    if output == "logits" and one_column:
        raise UnsupportedModel(
            'expected logits of shape (B, C) with C of at least 2, got one column; for a binary model pass output="sigmoid"'
        )
    if output == "sigmoid" and not one_column:
        raise UnsupportedModel(f'output="sigmoid" expects one column of logits, got {tuple(returned.shape)}')
    if len(returned):  # without rows, the next pass checks
        _check_sums(returned, output, one_column)


def _check_sums(returned: Tensor, output: OutputKind, one_column: bool) -> None:
    """Raise UnsupportedModel if rows sum to 1 for logits, or do not for probabilities."""
    sums_to_one = bool((returned >= 0).all()) and close(returned.sum(-1), torch.ones_like(returned.sum(-1)))
    if output == "logits" and sums_to_one:
        raise UnsupportedModel(
            'expected logits, but the rows that the model returns sum to 1; if they are probabilities pass output="probs"'
        )
    if output == "probs" and one_column and not bool(((returned >= 0) & (returned <= 1)).all()):
        raise UnsupportedModel(
            'output="probs" expects a column of probabilities from 0 to 1, but some values are outside'
        )
    if output == "probs" and not one_column and not sums_to_one:
        raise UnsupportedModel('output="probs" expects rows that are >= 0 and sum to 1, but some rows do not')
