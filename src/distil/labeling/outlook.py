"""What a project may expect of further labels, and whether people may stop: read off its random items, in words.

People may stop where the forecast says that further labels hardly raise the share of right guesses. The forecast is that of the
learning curve of the random items; see :mod:`distil.evaluation.forecast`. What stopping saves are the answers to the open items,
which the model labels then; how many of all items are right then is :mod:`distil.labeling.accuracy`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from distil.errors import counted
from distil.evaluation.curves import Curves
from distil.evaluation.forecast import Forecast, forecast
from distil.labeling.accuracy import Accuracy

AHEAD: Final = 50
"""Number of labels that the forecast looks ahead."""
WORTH: Final = 0.005
"""What these labels must add to the share of right guesses to be worth the work: below half a point, people may stop."""


@dataclass(frozen=True)
class Window:
    """A point of the learning curve: consecutive random items.

    Attributes:
        labels: Number of labels that the model was fitted to, the mean over the items.
        n: Number of items.
        accuracy: The share of them for which the model's guess was right.
        low: Lower end of its 95 % interval.
        high: Upper end.
    """

    labels: int
    n: int
    accuracy: float
    low: float
    high: float


@dataclass(frozen=True)
class Outlook:
    """What a project may expect of further labels.

    Attributes:
        forecast: The share of right guesses with 50 more labels, or with those of all open items if they are fewer.
        saved: Number of open items, whose answers are saved if people stop now.
        may_stop: Whether the forecast says that these labels are hardly worth the work.
        sentences: All of this in words.
    """

    forecast: Forecast
    saved: int
    may_stop: bool
    sentences: tuple[str, ...]


def outlook(windows: Sequence[Window], accuracy: Accuracy | None, untouched: int, items: int) -> Outlook | None:
    """The outlook of a project; None without a learning curve or an open item.

    Args:
        windows: The learning curve of the random items.
        accuracy: The accuracy over the whole pool now.
        untouched: Number of open items.
        items: Number of all items.
    """
    if not windows or not untouched:
        return None
    curve = random_curve(windows)
    found = forecast(curve.labels, curve.values, min(AHEAD, untouched))
    may_stop = found.unknown is None and found.gain_high < WORTH
    sentences = [f"guesses: {found}"]
    if accuracy is not None:
        right = f"{accuracy.accuracy:.1%} ({accuracy.low:.1%} to {accuracy.high:.1%}) of all items right"
        sentences.append(
            f"stopping now saves {untouched:,} of {items:,} answers, {untouched / items:.0%}, with {right}"
        )
    if may_stop:
        sentences.append(
            f"you may stop: {counted(found.more, 'more label')} would add at most {100 * found.gain_high:.1f} points"
        )
    return Outlook(found, untouched, may_stop, tuple(sentences))


def random_curve(windows: Sequence[Window]) -> Curves:
    """The learning curve of the random items, (1, P). Windows whose models had the same number of labels are joined."""
    joined: dict[int, list[Window]] = {}
    for window in windows:
        joined.setdefault(max(window.labels, 1), []).append(window)
    shares = [
        np.average([each.accuracy for each in joined[labels]], weights=[each.n for each in joined[labels]])
        for labels in sorted(joined)
    ]
    return Curves(np.array(sorted(joined)), np.array([shares], dtype=np.float64))
