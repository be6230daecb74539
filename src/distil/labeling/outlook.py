"""What a project may expect of further labels, and whether people may stop: read off its random items, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from distil.evaluation.curves import Curves

if TYPE_CHECKING:
    from distil.labeling.progress import Window


def random_curve(windows: Sequence[Window]) -> Curves:
    """The learning curve of the random items. Windows whose model had the same number of labels are joined."""
    joined: dict[int, list[tuple[int, float]]] = {}
    for window in windows:
        joined.setdefault(max(window.labels, 1), []).append((window.n, window.accuracy))
    labels = sorted(joined)
    means = [
        float(np.average([share for _, share in own], weights=[n for n, _ in own]))
        for own in map(joined.get, labels)
        if own
    ]
    return Curves(np.array(labels), np.array([means]))
