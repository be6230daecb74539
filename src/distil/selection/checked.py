"""The door for what strategies return, users' and the library's alike: checked, and brought to one form."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence, Set
from typing import Any

import numpy as np
import torch
from torch import Tensor

from distil.data.arrays import check_plain, check_rows, from_numpy, one_axis
from distil.errors import InvalidInput
from distil.strategies.base import ScoreStrategy, Selection, Strategy


def checked_scores(scores: object, by: ScoreStrategy, ids: Tensor, names: Sequence[Any] | None = None) -> Tensor:
    """The scores that ``by.score`` returned, as floating-point numbers (N,) without NaN or negative zeros.

    Infinite scores are allowed: they put an example first or last.

    Args:
        scores: The returned value.
        by: The strategy.
        ids: The scored ids, (N,).
        names: The caller's names of all positions, for messages; None: positions are the names.

    Raises:
        InvalidInput: The value is not one number for each id, or a score is NaN.
    """
    what = f"{type(by).__name__}.score"
    column = _column(scores, what, len(ids), "one number for each row of sets.pool")
    if bool(column.isnan().any()):
        check_rows(ids, column, f"the score of {type(by).__name__}", names)
    return column + 0


def checked_selection(returned: object, strategy: Strategy, pool: Tensor, n: int) -> Selection:
    """The value that ``strategy.select`` returned, as a selection of ``n`` distinct ids of ``pool``, or of fewer if it may.

    Args:
        returned: A Selection, or its ids in a list, array or tensor.
        strategy: The strategy.
        pool: The ids that may be chosen, (N,).
        n: The number of ids that the selection must have.

    Raises:
        InvalidInput: The value is not such a selection; the message says what it is.
    """
    what = f"{type(strategy).__name__}.select"
    selection = (
        returned if isinstance(returned, Selection) else Selection(_as_tensor(returned, what, "a Selection or ids"))
    )
    ids = _checked_ids(selection.ids, what, pool, n, strategy.may_choose_fewer)
    return dataclasses.replace(
        selection,
        ids=ids,
        scores=_numbers(selection.scores, f"the scores of {what}", ids),
        weights=_finite(selection.weights, f"the weights of {what}", ids),
        names=None,  # select and select_from add them
        reasons=None if selection.reasons is None else _reasons(selection.reasons, f"the reasons of {what}", len(ids)),
        notes=_texts(selection.notes, f"the notes of {what} must be texts in a tuple"),
    )


def _checked_ids(returned: object, what: str, pool: Tensor, n: int, fewer: bool) -> Tensor:
    ids = _as_tensor(returned, what, "ids")
    if ids.dim() == 1 and ids.dtype != torch.bool and len(ids) != n and not (fewer and 0 < len(ids) < n):
        raise InvalidInput(f"{what} must return exactly the {n:,} ids that it was asked for, got {len(ids):,}")
    if ids.dim() != 1 or ids.dtype == torch.bool or ids.is_floating_point():
        mask = ids.dtype == torch.bool
        advice = "; if this is a mask, return sets.pool.ids[mask]" if mask else "; return ids as whole numbers, (n,)"
        raise InvalidInput(
            f"{what} must return whole numbers of shape ({n},), ids of the pool, got {_described(ids)}{advice}"
        )
    ids = ids.long()
    known = torch.zeros(int(pool.max()) + 1, dtype=torch.bool).index_fill_(
        0, pool, True
    )  # linear time; isin would sort
    outside = ids[(ids < 0) | (ids >= len(known)) | ~known[ids.clamp(0, len(known) - 1)]]
    if len(outside):
        raise InvalidInput(
            f"{what} returned the id {int(outside[0])}, which is not in the pool; if these are rows of sets.pool, return "
            "sets.pool.ids[rows]"
        )
    values, counts = ids.unique(return_counts=True)
    if len(values) < len(ids):
        raise InvalidInput(
            f"{what} returned the id {int(values[counts > 1][0])} more than once, and ids must be distinct; this happens when its "
            "arithmetic overflows or underflows: check the scale of the data and of its parameters"
        )
    return ids


def _numbers(values: object, what: str, ids: Tensor) -> Tensor | None:
    """Scores or weights of a selection, (n,) without NaN; None for None."""
    if values is None:
        return None
    column = _column(values, what, len(ids), "one number for each id")
    if bool(column.isnan().any()):
        check_rows(ids, column, what)
    return column


def _finite(values: object, what: str, ids: Tensor) -> Tensor | None:
    """Numbers as ``_numbers`` returns them, without infinities."""
    column = _numbers(values, what, ids)
    if column is not None:
        check_rows(ids, column, what)
    return column


def _reasons(reasons: object, what: str, n: int) -> tuple[str, ...]:
    texts = _texts(reasons, f"{what} must be texts, one for each id")
    if len(texts) != n:
        raise InvalidInput(f"{what} must be texts, one for each of {n:,} ids, got {len(texts):,}")
    return texts


def _texts(texts: object, rule: str) -> tuple[str, ...]:
    if not isinstance(texts, (tuple, list)) or not all(isinstance(text, str) for text in texts):
        raise InvalidInput(f"{rule}, got {texts!r}")
    return tuple(texts)


def _column(values: object, what: str, n: int, expected: str) -> Tensor:
    """Values as floating-point numbers, (n,)."""
    column = _as_tensor(values, what, expected)
    if column.shape != (n,):
        advice = "; return its only column, scores[:, 0]" if column.shape == (n, 1) else ""
        raise InvalidInput(f"{what} must be {expected}, of shape ({n},), got {_described(column)}{advice}")
    if column.dtype in (torch.float32, torch.float64):
        return column
    if column.is_floating_point():
        return column.float()
    exact = column.double()
    if not torch.equal(exact.type(column.dtype), column):
        large = max(column.tolist(), key=abs)
        raise InvalidInput(
            f"{what} must be numbers that float64 holds, whole ones up to 2**53, got {large}; subtract what all have in common, or "
            "divide them"
        )
    return exact


def _as_tensor(value: object, what: str, expected: str) -> Tensor:
    """Real numbers on the CPU as a tensor without a gradient."""
    check_plain(value, f"the value that {what} returned")
    tensor = value if isinstance(value, Tensor) else _read(value)
    if tensor is None:
        raise InvalidInput(f"{what} must return {expected}, got {_kind(value)}")
    if tensor.is_complex() or tensor.device.type != "cpu":
        raise InvalidInput(
            f"{what} must return {expected}, real numbers on the CPU, got {_described(tensor)} on {tensor.device}"
        )
    return tensor.detach()


def _read(value: object) -> Tensor | None:
    """An array or a list of numbers as a tensor; None for any other value."""
    try:
        array = np.asarray(value)
        if array.dtype.kind == "O" and array.ndim == 1:
            array = one_axis(array, "values")
        elif array.dtype.kind == "f" and array.dtype.itemsize > 8:  # PyTorch has nothing wider
            array = array.astype(np.float64)
        return from_numpy(array).reshape(array.shape) if array.dtype.kind in "fiub" else None
    except (TypeError, ValueError):  # lists of different lengths, or types that PyTorch does not have
        return None


def _kind(value: object) -> str:
    """The type of a value that is not numbers, for messages."""
    if isinstance(value, (Iterator, Set)):
        why = "has no order" if isinstance(value, Set) else "can be read only once"
        return f"{type(value).__name__}, which {why}; return a list"
    first = f" that begins with {value[0]!r}" if isinstance(value, (list, tuple)) and len(value) > 0 else ""
    return "None" if value is None else type(value).__name__ + first


def _described(tensor: Tensor) -> str:
    return f"{tensor.dtype} of shape {tuple(tensor.shape)}"
