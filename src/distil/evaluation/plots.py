"""Pictures of learning curves. Matplotlib is an extra: ``pip install "distil[plot]"``."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from distil.errors import InvalidInput
from distil.evaluation.compare import Summary
from distil.evaluation.statistics import LEVEL, Floats
from distil.system.files import publish
from distil.system.imports import optional

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK = "#222222"
_FAINT = "#8a8a8a"
# Okabe and Ito's colors, which differ for every kind of color vision; without the yellow, too light on white.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_LINES = ("-", "--", "-.", (0, (1, 1)))
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_MOST_MARKERS = 25
_HEIGHT = 285  # points, of the axes of the figure below, about
_METADATA = {".png": {"Software": None}, ".svg": {"Date": None, "Creator": None}}


class _Look(NamedTuple):
    """The style of one strategy's curve."""

    color: str
    line: str | tuple[int, tuple[int, int]]
    marker: str | None
    width: float


def plot_curves(
    summaries: Sequence[Summary],
    path: str | os.PathLike[str],
    *,
    title: str = "",
    target: float | None = None,
    full: float | None = None,
    metric: str = "accuracy",
    force: bool = False,
) -> Path:
    """Draw the mean learning curves with their 95 % bands, each named at its right end.

    Colors differ for every kind of color vision; markers and, with more than six strategies, line styles distinguish
    the curves in gray. The baseline is black and dashed. Bands are pointwise, and left out with one
    seed. The same summaries give the same bytes with the same version of Matplotlib.

    Args:
        summaries: The summaries of one call of ``summarize``.
        path: File to write, ``.png`` or ``.svg``. A failed write leaves no partial file.
        title: A line above the picture.
        target: Value of the metric to mark with a line, in [0, 1] if it is a fraction; default: none.
        full: Metric of a model trained on the whole pool, to mark with a line; default: none.
        metric: Name of the metric, for the axis.
        force: Replace a file of that name that is not this picture; without it, no file is replaced.

    Returns:
        The path written.

    Raises:
        InvalidInput: There is a file with other content, there are no summaries, the suffix is not ``.png`` or ``.svg``, or
            ``target`` or ``full`` is not in [0, 1].
        MissingPackage: Matplotlib is not installed.
    """
    path = Path(path)
    if path.suffix.lower() not in _METADATA:
        raise InvalidInput(f"path must end in .png or .svg, got {path.name!r}")
    picture = picture_of(summaries, path.suffix.lower(), title=title, target=target, full=full, metric=metric)
    publish(path, picture, force=force)
    return path


def picture_of(
    summaries: Sequence[Summary],
    suffix: str,
    *,
    title: str = "",
    target: float | None = None,
    full: float | None = None,
    metric: str = "accuracy",
) -> bytes:
    """The picture that ``plot_curves`` writes, as the bytes of a file with this suffix."""
    if not summaries:
        raise InvalidInput("summaries must hold at least one summary, got none")
    for name, value in (("target", target), ("full", full)):
        if value is not None and summaries[0].unit.fraction and not 0 <= value <= 1:
            raise InvalidInput(f"{name} must be a fraction in [0, 1], for example 0.94 for 94 %, got {value}")
    optional("matplotlib", "drawing curves")
    return _saved(_figure(summaries, title, target, full, metric), suffix)


def _figure(summaries: Sequence[Summary], title: str, target: float | None, full: float | None, metric: str) -> Figure:
    # Not a figure of pyplot, which keeps every figure alive and may need a screen.
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.08)  # inches
    figure = Figure(figsize=(8, 5), dpi=160, layout=layout)
    axes = figure.add_subplot()
    looks = _looks(summaries)
    for summary, look in zip(summaries, looks, strict=True):
        _draw(axes, summary, look)
    unit = summaries[0].unit
    _dress(axes, title, f"{metric} (%)" if unit.fraction else metric)
    if target is not None:
        _mark(axes, unit.scale * target, f"{unit.scale * target:g}{unit.mark}", (0, (4, 3)))
    if full is not None:
        _mark(axes, unit.scale * full, f"all labels: {unit.text(full)}{unit.mark}", "-")
    _name(axes, summaries, looks)
    seeds = summaries[0].seeds
    bands = f"bands: {100 * LEVEL:g} % intervals of the mean over {seeds} seeds" if seeds > 1 else "one seed"
    figure.supxlabel(bands, x=0.985, ha="right", fontsize=8, color=_FAINT)
    return figure


def _mark(axes: Axes, value: float, text: str, line: str | tuple[int, tuple[int, int]]) -> None:
    """Draw a horizontal line with a text at its left end."""
    axes.axhline(value, color=_FAINT, linewidth=0.9, linestyle=line, zorder=1)
    place: dict[str, Any] = {"xytext": (3, 2), "textcoords": "offset points"}
    place["xycoords"] = axes.get_yaxis_transform()  # x in widths of the axes, y in data
    axes.annotate(text, (0, value), color=_FAINT, fontsize=8, **place)


def _looks(summaries: Sequence[Summary]) -> list[_Look]:
    """The styles: the first baseline black and dashed, the others in color; line styles change once all colors are used."""
    looks, k = [], 0
    black = next((summary.name for summary in summaries if summary.name == summary.baseline), None)
    for summary in summaries:
        if summary.name == black:
            looks.append(_Look(_INK, (0, (5, 2)), None, 1.8))
            continue
        line = _LINES[k // len(_COLORS) % len(_LINES)]
        looks.append(_Look(_COLORS[k % len(_COLORS)], line, _MARKERS[k % len(_MARKERS)], 1.5))
        k += 1
    return looks


def _draw(axes: Axes, summary: Summary, look: _Look) -> None:
    scale = summary.unit.scale
    low, high = scale * summary.low, scale * summary.high
    if np.isfinite(low).all():
        axes.fill_between(summary.labels, low, high, color=look.color, alpha=0.15, linewidth=0, zorder=2)
    every = 1 + (len(summary.labels) - 1) // _MOST_MARKERS
    axes.plot(summary.labels, scale * summary.mean, markevery=every, zorder=3, **_style(look))


def _style(look: _Look) -> dict[str, Any]:
    return {
        "color": look.color,
        "linestyle": look.line,
        "linewidth": look.width,
        "marker": look.marker,
        "markersize": 3.5,
    }


def _dress(axes: Axes, title: str, metric: str) -> None:
    """Style the axes, the grid and the title."""
    axes.set_xlabel("number of labels", color=_INK)
    axes.set_ylabel(metric, color=_INK)
    axes.set_title(title, loc="left", fontsize=11, color=_INK, fontweight="bold", parse_math=False)
    axes.grid(color="#e6e6e6", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_FAINT)
    axes.tick_params(colors=_INK, labelsize=9)
    axes.margins(x=0.02)


def _name(axes: Axes, summaries: Sequence[Summary], looks: Sequence[_Look]) -> None:
    """Write each curve's name with a sample of its line next to its right end, moved apart where ends are close."""
    bottom, top = axes.get_ylim()
    axes.set_ylim(bottom, top)  # fixed, so that the names do not move the curves
    axes.set_xlim(axes.get_xlim())
    values = [summary.unit.scale * summary.mean[-1] for summary in summaries]
    ends = (np.array(values) - bottom) / (top - bottom)  # in heights of the axes
    size = min(9.0, _HEIGHT / 1.4 / len(summaries))
    places = zip(summaries, values, looks, _apart(ends, 1.4 * size / _HEIGHT), strict=True)
    for summary, value, look, at in places:
        axes.annotate(
            "",
            (summary.labels[-1], value),
            xytext=(1.04, at),
            textcoords=axes.transAxes,
            arrowprops={"arrowstyle": "-", "color": look.color, "linewidth": 0.7, "shrinkA": 0, "shrinkB": 0},
        )
        sample: dict[str, Any] = {"transform": axes.transAxes, "clip_on": False, "markevery": [1]}
        axes.plot([1.04, 1.065, 1.09], [at] * 3, **_style(look), **sample)
        name = axes.text(1.1, at, summary.name, transform=axes.transAxes, va="center", fontsize=size, color=_INK)
        name.set_parse_math(False)  # dollar signs in a name do not start a formula


def _apart(wanted: Floats, gap: float) -> Floats:
    """The positions nearest to ``wanted`` (least squares) that keep their order and are ``gap`` apart.

    With x_k the k-th smallest position, y_k = x_k - k gap must not decrease: this is isotonic regression, solved
    by pooling neighbors that violate the order (Ayer et al. 1955). Positions stay in [0, 1] while there is room.
    """
    order = np.argsort(wanted, kind="stable")
    pools: list[tuple[float, int]] = []  # mean and size of each run of equal y
    for k, x in enumerate(wanted[order]):
        mean, size = float(x) - k * gap, 1
        while pools and pools[-1][0] > mean:
            before, count = pools.pop()
            mean, size = (before * count + mean * size) / (count + size), count + size
        pools.append((mean, size))
    y = np.concatenate([np.full(size, mean) for mean, size in pools])
    room = 1 - (len(wanted) - 1) * gap
    placed = np.empty_like(wanted)
    placed[order] = np.clip(y, 0, max(room, 0)) + gap * np.arange(len(wanted))
    return placed


def _saved(figure: Figure, suffix: str) -> bytes:
    import matplotlib

    content = io.BytesIO()
    # Element names in an SVG are random unless salted.
    with matplotlib.rc_context({"svg.hashsalt": "distil"}):
        figure.savefig(content, format=suffix[1:], metadata=_METADATA[suffix])
    return content.getvalue()
