"""How the numbers of a metric are read: as fractions, which are shown in percent, or as numbers; and which of two is better."""

from __future__ import annotations

import math
from dataclasses import dataclass

_DIGITS = 2  # significant digits of numbers beyond the decimals that percentages would have
_SMALL, _LARGE = 1e-4, 1e7  # numbers in between are written without an exponent


@dataclass(frozen=True)
class Unit:
    """The unit of a metric.

    Attributes:
        fraction: Whether its values are fractions in [0, 1], which tables show in percent; else they are any numbers.
        higher_is_better: Whether larger values are better.
    """

    fraction: bool = True
    higher_is_better: bool = True

    @property
    def scale(self) -> float:
        """The factor from a value to the number that is shown."""
        return 100.0 if self.fraction else 1.0

    @property
    def sign(self) -> float:
        """The factor that makes larger values the better ones."""
        return 1.0 if self.higher_is_better else -1.0

    @property
    def mark(self) -> str:
        """What follows a number: a percent sign, or nothing."""
        return " %" if self.fraction else ""

    def text(self, x: float, decimals: int = 1, *, signed: bool = False, like: float | None = None) -> str:
        """A value as tables show it, without the mark.

        Args:
            x: The value.
            decimals: Decimals of a percentage; of other numbers, two fewer than the significant digits.
            signed: Whether to write a plus.
            like: A number that has as many decimals, such as a mean, where ``x`` is a difference.

        >>> Unit().text(0.5234), Unit(fraction=False).text(0.5234), Unit(fraction=False).text(-1234.5, signed=True)
        ('52.3', '0.523', '-1234')
        """
        plus = "+" if signed else ""
        if self.fraction:
            return f"{100 * x:{plus}.{decimals}f}"
        digits, size = decimals + _DIGITS, abs(x if like is None else like)
        known = size > 0 and math.isfinite(size)
        if known and not _SMALL <= size < _LARGE:
            return f"{x:{plus}.{digits - 1}e}"
        whole = math.floor(math.log10(size)) if known else 0
        return f"{x:{plus}.{max(0, digits - 1 - whole)}f}"


FRACTION = Unit()
"""The unit of accuracies."""
