"""Reasons and notes: sentences about the numbers that strategies computed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from distil.functional.greedy import parts_of


def sentences(template: str, *columns: Tensor | Sequence[Any]) -> tuple[str, ...]:
    """One sentence per example: ``template`` filled with the example's value in each column; columns have equal lengths.

    Zeros have no sign.

    >>> import torch
    >>> sentences("margin {:.3g} of class {}", torch.tensor([0.25, 0.5]), [3, 7])
    ('margin 0.25 of class 3', 'margin 0.5 of class 7')
    """
    return tuple(map(template.format, *(_plain(c) for c in columns)))


def _plain(column: Tensor | Sequence[Any]) -> Sequence[Any]:
    if not isinstance(column, Tensor):
        return column
    return (column + 0 if column.is_floating_point() else column).tolist()


def two_rounds_notes(function: str, n_rows: int) -> tuple[str, ...]:
    """The note that goes with a selection by ``two_rounds`` over ``n_rows`` rows; none where their pairs fit into memory."""
    n_parts = parts_of(n_rows)
    if n_parts == 1:
        return ()
    return (
        f"{function} was maximized in two rounds (GreeDi), as {n_rows:,} examples have too many pairs to store: in each of "
        f"{n_parts:,} parts, then among the examples chosen there; in our measurements this reached at least 99 % of the value of "
        "one round",
    )
