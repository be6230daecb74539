"""The words for what strategies computed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from distil.functional.greedy import parts_of


def sentences(template: str, *columns: Tensor | Sequence[Any]) -> tuple[str, ...]:
    """A sentence an example: ``template`` filled with its number in each column, all of one length.

    >>> sentences("margin {:.3g} of class {}", torch.tensor([0.25, 0.5]), [3, 7])
    ('margin 0.25 of class 3', 'margin 0.5 of class 7')
    """
    return tuple(map(template.format, *(c.tolist() if isinstance(c, Tensor) else c for c in columns)))


def two_rounds_notes(function: str, n_rows: int) -> tuple[str, ...]:
    """What a selection says about ``two_rounds`` over so many rows: nothing where their pairs fit into memory."""
    n_parts = parts_of(n_rows)
    if n_parts == 1:
        return ()
    return (
        f"{function} was maximized in two rounds, as {n_rows:,} examples have too many pairs to store: in {n_parts} parts, then "
        "among what these chose (GreeDi); where both were measured this had at least 99 % of the value of one round",
    )
