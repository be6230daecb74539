"""The kinds of numbers that a model may return (logits, probabilities or predictions), and their conversion to one form."""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from distil.errors import UnsupportedModel
from distil.tasks import Task

OutputKind = Literal["logits", "probs", "sigmoid"]
"""Logits (B, C); probabilities (B, C), whose rows sum to 1 unless the columns are labels of their own; or one logit (B, 1) of a
binary model."""

OUTPUT_KINDS: tuple[OutputKind, ...] = get_args(OutputKind)


def close(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors are equal up to rounding; NaN equals NaN, so that a model that returns NaN equals itself."""
    return a.shape == b.shape and torch.allclose(a.float(), b.float(), rtol=1e-4, atol=1e-5, equal_nan=True)


def as_logits(returned: Tensor, output: OutputKind | None, task: Task = "classification") -> Tensor:
    """Logits (B, C) in float32 or float64: C classes, at least 2, or C labels; of a regression model its predictions, (B, T)."""
    returned = returned if returned.dtype == torch.float64 else returned.float()
    if task == "regression":
        return returned.reshape(len(returned), -1)
    if output in (None, "logits"):
        return returned
    if task == "multilabel":
        tiny = torch.finfo(returned.dtype).tiny
        return returned.clamp_min(tiny).log() - (1 - returned).clamp_min(tiny).log()
    column = returned.reshape(len(returned), -1)
    if output == "sigmoid":
        return torch.cat([torch.zeros_like(column), column], 1)
    probs = torch.cat([1 - column, column], 1) if column.shape[1] == 1 else column
    return probs.clamp_min(torch.finfo(probs.dtype).tiny).log()


def activated(logits: Tensor, task: Task) -> Tensor:
    """What outputs say: the softmax of logits of classes, the sigmoid of those of labels, predictions as they are; (..., C)."""
    if task == "regression":
        return logits
    return logits.sigmoid() if task == "multilabel" else logits.softmax(-1)


def averaged(members: Tensor, task: Task) -> Tensor:
    """The outputs of an ensemble, (B, C): the mean of its probabilities, as logits, or of its predictions.

    Args:
        members: Outputs of K members, (K, B, C).
        task: The task.
    """
    if task == "regression":
        return members.mean(0)
    if task == "multilabel":
        return logsigmoid(members).logsumexp(0) - logsigmoid(-members).logsumexp(0)
    return members.log_softmax(-1).logsumexp(0) - math.log(len(members))


def check_kind(returned: Tensor, output: OutputKind | None, task: Task = "classification") -> None:
    """Raise UnsupportedModel if a model's return value cannot be of the given kind; None: logits, an assumption."""
    one_column = returned.dim() == 1 or (returned.dim() == 2 and returned.shape[1] == 1)
    if returned.dim() > 2 and returned.shape[2:].numel() == 1:
        raise UnsupportedModel(
            f"expected logits of shape (B, C), one row for each example, got {tuple(returned.shape)}; if the second axis has the "
            "classes, pass logits=lambda returned: returned.flatten(1) to distil.wrap, in a Learner with network=lambda model: "
            "distil.wrap(model, logits=lambda returned: returned.flatten(1)); dense outputs (a class for each pixel, token or box) "
            "are not supported"
        )
    if returned.dim() > 2 or returned.dim() == 0:
        raise UnsupportedModel(
            f"expected logits of shape (B, C), one row for each example, got {tuple(returned.shape)}; dense outputs (a class for "
            "each pixel, token or box) are not supported; to rank whole examples, pass logits=, a function from the model's "
            "return value to (B, C), to distil.wrap"
        )
    if task != "classification":
        _check_columns(returned, output, task)
        return
    if output in (None, "logits") and one_column:
        raise UnsupportedModel(
            "expected logits of shape (B, C) with C of at least 2, got one column; for the logit of a binary classifier pass "
            'output="sigmoid" to distil.wrap, for its probability output="probs"; regression models need task="regression"'
        )
    if output == "sigmoid" and not one_column:
        raise UnsupportedModel(
            f'output="sigmoid" expects one column, the logit of a binary model, got {tuple(returned.shape)}; {MULTI_LABEL}'
        )
    if output == "probs" and len(returned):  # without rows, the next pass checks
        _check_probs(returned, one_column)


MULTI_LABEL = 'multi-label models, which give each example any number of labels, need task="multilabel"'
"""What to say of outputs whose columns are labels of their own."""


def _check_columns(returned: Tensor, output: OutputKind | None, task: Task) -> None:
    """Raise UnsupportedModel if the outputs of a model for labels or numbers are of another kind."""
    if task == "regression" and output not in (None, "logits"):
        raise UnsupportedModel(
            f"a regression model returns predictions, (B,) or (B, T), not {output!r}; remove output="
        )
    if task == "multilabel" and (returned.dim() != 2 or output == "sigmoid"):
        raise UnsupportedModel(
            f'a multi-label model must return a logit for each label, (B, L), or with output="probs" a probability; got '
            f"{tuple(returned.shape)}{' with output=' + repr(output) if output == 'sigmoid' else ''}"
        )
    if task == "multilabel" and output == "probs" and not bool(((returned >= 0) & (returned <= 1)).all()):
        raise UnsupportedModel('output="probs" expects probabilities from 0 to 1, but some values are outside')


def sum_to_one(returned: Tensor) -> bool:
    """Whether all rows are probability distributions up to rounding."""
    sums = returned.sum(-1)
    return bool((returned >= 0).all()) and close(sums, torch.ones_like(sums))


def _check_probs(returned: Tensor, one_column: bool) -> None:
    """Raise UnsupportedModel if rows are not probabilities."""
    if one_column and not bool(((returned >= 0) & (returned <= 1)).all()):
        raise UnsupportedModel(
            'output="probs" expects a column of probabilities from 0 to 1, but some values are outside'
        )
    if not one_column and not sum_to_one(returned):
        raise UnsupportedModel(
            f'output="probs" expects rows that are >= 0 and sum to 1, but some rows do not; {MULTI_LABEL}'
        )
