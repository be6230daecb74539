"""What a report says in words of each strategy: its accuracy now, what further labels bring, and the labels saved so far."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from distil.evaluation.curves import Curves
from distil.evaluation.forecast import forecast
from distil.evaluation.labels_saved import labels_saved
from distil.evaluation.statistics import mean_interval
from distil.evaluation.tables import saving_text

_SHARE: Final = 0.95


def outlook_of(curves: Mapping[str, Curves], baselines: Mapping[str, str], ahead: int) -> list[str]:
    """A sentence or two for each strategy.

    The saving is that of 95 % of the accuracy that both the strategy and its baseline have reached, because many resamples of the
    seeds do not reach the last accuracy itself; see ``labels_saved``.

    Args:
        curves: The curves of the accuracy, on the same points and seeds.
        baselines: Strategy -> the one that it is compared with.
        ahead: Number of further labels.
    """
    return [
        f"{name}: {_now(curves[name])}; {forecast(curves[name].labels, curves[name].values, ahead)}."
        + ("" if other == name else f" {_saved(curves[name], curves[other], other)}.")
        for name, other in baselines.items()
    ]


def _now(own: Curves) -> str:
    last = own.values[:, -1]
    interval = ""
    if len(last) > 1:
        found = mean_interval(last)
        interval = f" ({100 * float(found.low):.1f} % to {100 * float(found.high):.1f} %)"
    return f"{100 * last.mean():.1f} %{interval} with {own.labels[-1]:,.0f} labels"


def _saved(own: Curves, other: Curves, name: str) -> str:
    target = _SHARE * min(own.values[:, -1].mean(), other.values[:, -1].mean())
    saving = labels_saved(own.labels, own.values, other.values, target)
    unsure = "" if len(own.values) > 1 else "; one seed gives no interval"
    return f"For {100 * target:.1f} %, {name} needs {saving_text(saving, interval=True)} times as many labels{unsure}"
