"""The door for the probabilities of tokens, any number of them for each example: offsets, and the rows that they lead to.

An array of tokens does not have a row for each example, so the arrays of a pool hold two: ``offsets``, the first row of an example
and the row after its last (N, 2), and ``tokens``, the rows (R, C).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from distil.data.arrays import Array, one_axis, take
from distil.errors import InvalidInput

# Bytes of the tokens that are read at a time; an example with more is read alone.
_BLOCK_BYTES = 32 << 20


def token_bounds(
    offsets: object, n_rows: int, offsets_name: str = "offsets", probs_name: str = "probs"
) -> NDArray[np.int64]:
    """The first row of the tokens of each example and the row after the last, (N, 2).

    Args:
        offsets: (N + 1,), whole numbers that ascend from 0 to ``n_rows``.
        n_rows: Number of tokens, R.
        offsets_name: The caller's name of the offsets, for messages.
        probs_name: The caller's name of the probabilities.

    Raises:
        InvalidInput: The offsets are not such numbers.
    """
    found = one_axis(offsets, offsets_name)
    if len(found) < 2 or found.dtype.kind not in "iuf" or bool((found != np.floor(found)).any()):
        raise InvalidInput(
            f"{offsets_name} must be N + 1 whole numbers for N examples: the row of {probs_name} at which the tokens of each "
            f"example begin, then the number of rows; got shape {found.shape} of {found.dtype}"
        )
    found = found.astype(np.int64)
    if found[0] != 0 or found[-1] != n_rows:
        raise InvalidInput(
            f"{offsets_name} must begin with 0 and end with {n_rows}, the number of rows of {probs_name}; it begins with "
            f"{found[0]} and ends with {found[-1]}"
        )
    back = np.flatnonzero(np.diff(found) < 0)
    if len(back):
        at = int(back[0])
        raise InvalidInput(
            f"{offsets_name} must ascend; entry {at} is {found[at]} and entry {at + 1} is {found[at + 1]}"
        )
    return np.stack([found[:-1], found[1:]], 1)


def token_blocks(tokens: Array, bounds: Tensor) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """The tokens of some examples, block by block, so that no more than a block is in memory.

    Args:
        tokens: Rows of all tokens, (R, C).
        bounds: The rows of each example, (B, 2).

    Yields:
        Consecutive examples; their tokens, (r, C), copied where they are not consecutive; and the offsets of these examples in
        them.
    """
    lengths = bounds[:, 1] - bounds[:, 0]
    row_bytes = max(1, tokens.nbytes // max(1, len(tokens)))
    ends = lengths.cumsum(0)
    first = 0
    while first < len(bounds):
        before = int(ends[first - 1]) if first else 0
        last = max(first + 1, int(torch.searchsorted(ends, before + _BLOCK_BYTES // row_bytes, right=True)))
        own = lengths[first:last]
        offsets = torch.cat([own.new_zeros(1), own.cumsum(0)])
        rows = torch.arange(int(offsets[-1])) + (bounds[first:last, 0] - offsets[:-1]).repeat_interleave(own)
        yield slice(first, last), take(tokens, rows), offsets
        first = last
