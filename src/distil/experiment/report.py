"""Tables of summaries, for a terminal and for a document; what does not differ is said in words."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Sequence

import numpy as np

from distil.errors import InvalidInput
from distil.experiment.compare import LEVEL, Difference, Summary

WIDTH = 110
"""Columns that a terminal table fits."""

# The longest name and the most points of a terminal table, the first that fits: points go before names do.
_LAYOUTS = [*((longest, most) for longest in (28, 22, 16) for most in range(8, 3, -1)), (16, 3), (16, 2)]


def terminal_table(summaries: Sequence[Summary], target: float | None, *, metric: str = "accuracy") -> str:
    """A table for a terminal, one row a strategy, at most 110 columns wide.

    It shows the metric in percent at no more than eight numbers of labels, evenly spaced from the first to
    the last (fewer where names are long); the area under the curve, which is the mean over all points; the
    labels needed for the target; how many times fewer these are than the baseline's; and the paired
    difference of the area to the baseline's. Lines below say what the intervals are, and which differences
    are not significant.

    Args:
        summaries: What ``summarize`` returned.
        target: The target they were made with.
        metric: What the curves measure, in the words of a heading.

    Returns:
        Lines joined by newlines, without one at the end.

    Raises:
        InvalidInput: No summaries, or summaries that were not made together, with this target.
    """
    summaries = _ordered(summaries, target)
    for longest, most in _LAYOUTS:
        lines = _terminal_lines(summaries, target, metric, longest, _spaced(len(summaries[0].labels), most))
        if max(map(len, lines)) <= WIDTH:
            break
    notes = (textwrap.wrap(note, WIDTH, subsequent_indent="  ") for note in _notes(summaries, target, metric))
    return "\n".join([*lines, "", *(line for note in notes for line in note)])


def markdown_table(summaries: Sequence[Summary], target: float | None, *, metric: str = "accuracy") -> str:
    """The same as a Markdown table, with every number of labels as a column.

    Args:
        summaries: What ``summarize`` returned.
        target: The target they were made with.
        metric: What the curves measure, in the words of a heading.

    Returns:
        The table, a blank line, and the notes as a list, without a newline at the end.

    Raises:
        InvalidInput: No summaries, or summaries that were not made together, with this target.
    """
    summaries = _ordered(summaries, target)
    points = range(len(summaries[0].labels))
    first, *others = map(_count, summaries[0].labels)
    heads = [" ".join(words).strip() for words in _headings(summaries[0], target)]
    rows = [
        ["strategy", f"{metric} in % with {first} labels", *others, *heads],
        ["---", *["---:"] * (len(points) + len(heads))],
        *([s.name, *_values(s, points), *_numbers(s, summaries[0])] for s in summaries),
    ]
    table = ("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)
    notes = (f"- {note}" for note in _notes(summaries, target, metric))
    return "\n".join([*table, "", *notes])


def _ordered(summaries: Sequence[Summary], target: float | None) -> list[Summary]:
    """The summaries, the baseline's first, refused unless one call of ``summarize`` can have made them."""
    baseline = [s for s in summaries if s.name == s.baseline]
    if len(baseline) != 1:
        raise InvalidInput(f"summaries must hold the baseline's exactly once, got it {len(baseline)} times")
    first = baseline[0]
    for summary in summaries:
        if summary.target != target:
            raise InvalidInput(
                f"{summary.name} was summarized with target={summary.target}, not {target}; "
                "pass the target that summarize was given"
            )
        together = summary.baseline == first.name and summary.seeds == first.seeds
        if not together or not np.array_equal(summary.labels, first.labels):
            raise InvalidInput(
                f"{summary.name} has another baseline, other points or other seeds than {first.name}; "
                "report what one call of summarize returned"
            )
    return [first, *(s for s in summaries if s is not first)]


def _terminal_lines(
    summaries: Sequence[Summary], target: float | None, metric: str, longest: int, points: Sequence[int]
) -> list[str]:
    """Two lines of headings, a rule, and a line a strategy."""
    curves = [[_count(summaries[0].labels[i]) for i in points], *(_values(s, points) for s in summaries)]
    columns = [max(map(len, column)) for column in zip(*curves, strict=True)]
    blocks = [_joined(row, columns) for row in curves]
    heads = _headings(summaries[0], target)
    table = [
        ["", f"{_shortened(metric, 18)} (%) by labels", *(top for top, _ in heads)],
        ["strategy", blocks[0], *(bottom for _, bottom in heads)],
        *(
            [_shortened(summary.name, longest), block, *_numbers(summary, summaries[0])]
            for summary, block in zip(summaries, blocks[1:], strict=True)
        ),
    ]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [f"{row[0]:<{widths[0]}}  {_joined(row[1:], widths[1:], gap='  ')}".rstrip() for row in table]
    return [*lines[:2], "-" * max(map(len, lines)), *lines[2:]]


def _joined(cells: Iterable[str], widths: Iterable[int], gap: str = " ") -> str:
    return gap.join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))


def _headings(summary: Summary, target: float | None) -> list[tuple[str, str]]:
    """The headings of ``_numbers``, each in two lines."""
    baseline = _plain(summary.baseline)
    reached = [] if target is None else [("labels", f"to {_percent(target)}"), ("times", "fewer")]
    whose = f"{baseline}'s" if len(baseline) < 18 else "the baseline's"
    return [("area", "(mean)"), *reached, ("area minus", whose)]


def _numbers(summary: Summary, baseline: Summary) -> list[str]:
    """What follows the curve in a row: the area, labels needed, times fewer, and the difference."""
    area = f"{100 * summary.area:.2f}"
    if summary.seeds > 1:
        area += f" ±{50 * (summary.area_high - summary.area_low):.2f}"
    reached = [] if summary.target is None else [_labels(summary), _times(summary, baseline)]
    return [area, *reached, _difference(summary.difference)]


def _values(summary: Summary, points: Iterable[int]) -> list[str]:
    return [f"{100 * summary.mean[i]:.1f}" for i in points]


def _count(labels: float) -> str:
    return f"{labels:.0f}" if labels == round(labels) else f"{labels:.1f}"


def _labels(summary: Summary) -> str:
    """Whole labels, rounded up: with fewer the target is not reached."""
    needed = summary.labels_needed
    if needed is None or math.isinf(needed):
        return f"> {_count(summary.labels[-1])}"
    return str(math.ceil(round(needed, 6)))


def _times(summary: Summary, baseline: Summary) -> str:
    """The label efficiency, or the bound on it that is known, rounded to its safe side.

    A curve that did not reach the target needs more than its last number of labels.
    """
    own, other, last = summary.labels_needed, baseline.labels_needed, float(summary.labels[-1])
    if own is None or other is None or (math.isinf(own) and math.isinf(other)):
        return "-"
    if math.isinf(other):
        return f"> {math.floor(round(10 * last / own, 6)) / 10:.1f}"
    if math.isinf(own):
        return f"< {math.ceil(round(10 * other / last, 6)) / 10:.1f}"
    return f"{other / own:.1f}"


def _difference(difference: Difference | None) -> str:
    if difference is None:
        return ""
    mean, low, high = (f"{100 * x:+.2f}" for x in difference[:3])
    return mean if math.isnan(difference.p) else f"{mean} [{low}, {high}]"


def _notes(summaries: Sequence[Summary], target: float | None, metric: str) -> list[str]:
    """The sentences below a table."""
    seeds, baseline = summaries[0].seeds, _plain(summaries[0].baseline)
    points = len(summaries[0].labels)
    notes = [f"area: the area under the curve as the mean {metric} in % over all {points} numbers of labels."]
    if seeds == 1:
        notes.insert(0, "One seed: no intervals, and no test of any difference.")
    else:
        notes.insert(
            0,
            f"Means over {seeds} seeds; ± and [ ] are {_percent(LEVEL)} intervals (Student t over seeds). "
            f"Differences to {baseline} are paired by seed, and not corrected for the number of strategies.",
        )
    if target is not None:
        notes.append(
            f"labels to {_percent(target)}: where the mean curve first gets there, interpolated linearly; "
            f"times fewer: {baseline}'s labels / the strategy's."
        )
    if target is not None and any(_labels(s).startswith(">") for s in summaries):
        last = _count(summaries[0].labels[-1])
        notes.append(f"> {last}: {_percent(target)} was not reached with {last} labels.")
    notes.extend(
        f"{s.name}: no significant difference from {baseline} at {1 - LEVEL:.2g} with {seeds} seeds."
        for s in summaries
        if s.difference is not None and s.difference.low <= 0 <= s.difference.high
    )
    return notes


def _spaced(count: int, most: int) -> list[int]:
    """At most ``most`` of ``count`` points, first and last included, in equal steps where that is possible."""
    if count <= most:
        return list(range(count))
    steps = next(k for k in range(most - 1, 0, -1) if (count - 1) % k == 0)
    if steps < most // 2:  # equal steps would show too little; uneven by one is the lesser evil
        steps = most - 1
    return [int(i) for i in np.linspace(0, count - 1, steps + 1).round()]


def _plain(strategy: str) -> str:
    return "random" if strategy == "random_sampling" else strategy


def _percent(fraction: float) -> str:
    return f"{100 * fraction:g} %"


def _shortened(name: str, longest: int) -> str:
    """A name that leaves room for the numbers; both ends stay, since variants differ at theirs."""
    half = (longest - 2) // 2
    return name if len(name) <= longest else f"{name[:half]}..{name[-half:]}"
