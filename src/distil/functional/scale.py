"""Numbers at a scale at which their squares can be computed: multiplied by a power of two, which is exact.

Squares of float32 numbers overflow above 1e19 and vanish below 1e-19. So the algorithms scale their rows to a largest number near 1
and scale their results back. Rows whose largest number is between 2^-16 and 2^16 are used without scaling.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from distil.errors import InvalidInput

# The largest number of rows that are used as they are has an exponent of at most this size.
_NEAR_ONE = 16

# Factors are powers of two that the type holds; larger ones are applied in steps.
_LARGEST_STEP = {torch.float32: 120, torch.float64: 1000}


def floating(x: Tensor) -> Tensor:
    """``x`` as it is in float32 or float64, and in float32 where it came in half precision, as whole numbers or as booleans."""
    return x if x.dtype in (torch.float32, torch.float64) else x.float()


def of_one_precision(*tensors: Tensor) -> tuple[Tensor, ...]:
    """The tensors in float64 where one of them is, else in float32."""
    wide = any(x.dtype == torch.float64 for x in tensors)
    return tuple(x.double() if wide else floating(x) for x in tensors)


def largest(x: Tensor) -> float:
    """The largest absolute value, 0 of no numbers.

    Raises:
        InvalidInput: A number is NaN or infinite; the first rows that hold one are named.
    """
    if x.numel() == 0:
        return 0.0
    top = max(abs(float(end)) for end in torch.aminmax(x))
    if not math.isfinite(top):
        bad = torch.nonzero(~x.reshape(len(x), -1).isfinite().all(1))[:, 0].tolist()
        named = ", ".join(map(str, bad[:5])) + (", ..." if len(bad) > 5 else "")
        raise InvalidInput(f"expected finite numbers, got NaN or infinity in {len(bad)} of {len(x)} rows: {named}")
    return top


def exponent(top: float) -> int:
    """The e with 2^(e - 1) <= top < 2^e, 0 for 0."""
    return math.frexp(top)[1]


def distant(top: float) -> int:
    """``exponent(top)`` where numbers up to ``top`` are to be scaled, 0 where they are used as they are."""
    found = exponent(top)
    return found if abs(found) > _NEAR_ONE else 0


def times_two_to(x: Tensor, e: int) -> Tensor:
    """``x`` times 2^e: exact, except for what falls below the smallest number of the type or becomes infinite."""
    limit = _LARGEST_STEP[x.dtype]
    while e:
        step = max(-limit, min(limit, e))
        x = x * 2.0**step
        e -= step
    return x


def number_times_two_to(value: float, e: int) -> float:
    """The same for one number from 0; a result beyond the range of floats is the largest, or the smallest above 0."""
    if value == 0 or not math.isfinite(value):
        return value
    mantissa, own = math.frexp(value)
    return math.ldexp(mantissa, max(-1073, min(1024, own + e)))


def to_unit(*tensors: Tensor) -> tuple[tuple[Tensor, ...], int]:
    """Arrays of rows in one precision and at one scale, and the e of it: they are the given ones times 2^-e."""
    tensors = of_one_precision(*tensors)
    e = distant(max(map(largest, tensors)))
    return tuple(times_two_to(x, -e) for x in tensors) if e else tensors, e


def unit_rows(x: Tensor) -> Tensor:
    """The rows scaled to length 1, (N, D), whatever their scale; rows of zeros stay zeros.

    >>> unit_rows(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
    tensor([[0.6000, 0.8000],
            [0.0000, 0.0000]])
    """
    x = floating(x)
    largest(x)  # refuses NaN and infinity
    tops = x.abs().amax(1, keepdim=True)
    x = x / tops.masked_fill_(tops == 0, 1)
    lengths = torch.linalg.vector_norm(x, dim=1, keepdim=True)
    return x.div_(lengths.masked_fill_(lengths == 0, 1))
