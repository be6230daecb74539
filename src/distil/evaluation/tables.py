"""Tables of summaries, for a terminal and for a document; what does not differ is said in words."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from distil.errors import InvalidInput
from distil.evaluation.compare import Comparison, Summary, plain, verdict
from distil.evaluation.statistics import ALPHA, LEVEL, Difference

WIDTH = 110
"""Columns that a terminal table fits."""

# The longest name and the most points of a terminal table, the first that fits: points go before names do.
_LAYOUTS = [*((longest, most) for longest in (28, 22, 16) for most in range(8, 3, -1)), (16, 3), (16, 2)]


@dataclass(frozen=True, eq=False)
class _Table:
    """What a table is about; summaries begin with the baseline's."""

    summaries: Sequence[Summary]
    target: float | None
    metric: str
    comparisons: Mapping[str, Comparison]
    twins: Mapping[str, str]

    @property
    def baseline(self) -> Summary:
        return self.summaries[0]


def terminal_table(
    summaries: Sequence[Summary],
    target: float | None,
    *,
    metric: str = "accuracy",
    comparisons: Mapping[str, Comparison] | None = None,
    twins: Mapping[str, str] | None = None,
) -> str:
    """A table for a terminal, one row a strategy, at most 110 columns wide.

    It shows the metric in percent at no more than eight numbers of labels, evenly spaced from the first to
    the last (fewer where names are long); the area under the curve, which is the mean over all points; the
    labels needed for the target; how many times fewer these are than the baseline's; the paired difference of
    the area to the baseline's, and its p-value, corrected for the number of comparisons. Lines below say what the
    intervals are, and what the tests allow to be said.

    Args:
        summaries: What ``summarize`` returned.
        target: The target they were made with.
        metric: What the curves measure, in the words of a heading.
        comparisons: Tests of the areas against the baseline's, by strategy; without, nothing is said about significance.
        twins: Strategies that are another one under another name, with that one's name.

    Returns:
        Lines joined by newlines, without one at the end.

    Raises:
        InvalidInput: No summaries, or summaries that were not made together, with this target.
    """
    table = _Table(_ordered(summaries, target), target, metric, comparisons or {}, twins or {})
    for longest, most in _LAYOUTS:
        lines = _terminal_lines(table, longest, _spaced(len(table.baseline.labels), most))
        if max(map(len, lines)) <= WIDTH:
            break
    notes = (textwrap.wrap(note, WIDTH, subsequent_indent="  ") for note in _notes(table))
    return "\n".join([*lines, "", *(line for note in notes for line in note)])


def markdown_table(
    summaries: Sequence[Summary],
    target: float | None,
    *,
    metric: str = "accuracy",
    comparisons: Mapping[str, Comparison] | None = None,
    twins: Mapping[str, str] | None = None,
) -> str:
    """The same as a Markdown table, with every number of labels as a column, effect sizes, and how many seeds were won.

    Args:
        summaries: What ``summarize`` returned.
        target: The target they were made with.
        metric: What the curves measure, in the words of a heading.
        comparisons: Tests of the areas against the baseline's, by strategy; without, nothing is said about significance.
        twins: Strategies that are another one under another name, with that one's name.

    Returns:
        The table, a blank line, and the notes as a list, without a newline at the end.

    Raises:
        InvalidInput: No summaries, or summaries that were not made together, with this target.
    """
    table = _Table(_ordered(summaries, target), target, metric, comparisons or {}, twins or {})
    points = range(len(table.baseline.labels))
    first, *others = map(_count, table.baseline.labels)
    heads = [" ".join(words).strip() for words in _headings(table)]
    heads += ["effect d_z", "wins/ties/losses"] if table.comparisons else []
    rows = [
        ["strategy", f"{metric} in % with {first} labels", *others, *heads],
        ["---", *["---:"] * (len(points) + len(heads))],
        *([s.name, *_values(s, points), *_numbers(s, table), *_effects(s, table)] for s in table.summaries),
    ]
    lines = ("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)
    notes = (f"- {note}" for note in _notes(table))
    return "\n".join([*lines, "", *notes])


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


def _terminal_lines(table: _Table, longest: int, points: Sequence[int]) -> list[str]:
    """Two lines of headings, a rule, and a line a strategy."""
    summaries = table.summaries
    curves = [[_count(table.baseline.labels[i]) for i in points], *(_values(s, points) for s in summaries)]
    columns = [max(map(len, column)) for column in zip(*curves, strict=True)]
    blocks = [_joined(row, columns) for row in curves]
    heads = _headings(table)
    rows = [
        ["", f"{_shortened(table.metric, min(18, longest - 6))} (%) by labels", *(top for top, _ in heads)],
        ["strategy", blocks[0], *(bottom for _, bottom in heads)],
        *(
            [_shortened(summary.name, longest), block, *_numbers(summary, table)]
            for summary, block in zip(summaries, blocks[1:], strict=True)
        ),
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [f"{row[0]:<{widths[0]}}  {_joined(row[1:], widths[1:], gap='  ')}".rstrip() for row in rows]
    return [*lines[:2], "-" * max(map(len, lines)), *lines[2:]]


def _joined(cells: Iterable[str], widths: Iterable[int], gap: str = " ") -> str:
    return gap.join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))


def _headings(table: _Table) -> list[tuple[str, str]]:
    """The headings of ``_numbers``, each in two lines."""
    baseline = plain(table.baseline.name)
    reached = [] if table.target is None else [("labels", f"to {_percent(table.target)}"), ("times", "fewer")]
    whose = f"{baseline}'s" if len(baseline) < 18 else "the baseline's"
    return [("area", "(mean)"), *reached, ("area minus", whose), *([("p", "(Holm)")] if table.comparisons else [])]


def _numbers(summary: Summary, table: _Table) -> list[str]:
    """What follows the curve in a row: the area, labels needed, times fewer, the difference, its p-value."""
    area = f"{100 * summary.area:.2f}"
    if summary.seeds > 1:
        area += f" ±{50 * (summary.area_high - summary.area_low):.2f}"
    reached = [] if summary.target is None else [_labels(summary), _times(summary, table.baseline)]
    tested = table.comparisons.get(summary.name)
    p = [_p(tested.p_holm) if tested else ""] if table.comparisons else []
    return [area, *reached, _difference(summary.difference), *p]


def _effects(summary: Summary, table: _Table) -> list[str]:
    """Effect size, and seeds that the strategy won, tied and lost."""
    if not table.comparisons:
        return []
    tested = table.comparisons.get(summary.name)
    if tested is None:
        return ["", ""]
    return [f"{tested.effect.d_z:+.2f}", f"{tested.wins}/{tested.ties}/{tested.losses}"]


def _p(p: float) -> str:
    return f"{p:.2g}" if p >= 0.0001 else "< 0.0001"


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


def _notes(table: _Table) -> list[str]:
    """The sentences below a table."""
    baseline, target = table.baseline, table.target
    whose, points = plain(baseline.name), len(baseline.labels)
    notes = ["One seed: no intervals, and no test of any difference."]
    if baseline.seeds > 1:
        notes = [
            f"Means over {baseline.seeds} seeds; ± and [ ] are {_percent(LEVEL)} intervals (Student t over seeds), not "
            f"corrected for the number of strategies. Differences to {whose} are paired by seed."
        ]
    notes.append(f"area: the area under the curve as the mean {table.metric} in % over all {points} numbers of labels.")
    if target is not None:
        notes.append(
            f"labels to {_percent(target)}: where the mean curve first gets there, interpolated linearly; "
            f"times fewer: {whose}'s labels / the strategy's."
        )
    if target is not None and any(_labels(s).startswith(">") for s in table.summaries):
        last = _count(baseline.labels[-1])
        notes.append(f"> {last}: {_percent(target)} was not reached with {last} labels.")
    return [*notes, *_findings(table), *twin_notes(table.twins)]


def _findings(table: _Table) -> list[str]:
    """What the tests allow to be said: together for those that differ, one by one for those that do not."""
    found: dict[str, list[Comparison]] = {"win": [], "loss": [], "tie": []}
    for comparison in table.comparisons.values():
        found[comparison.outcome()].append(comparison)
    said = []
    for outcome, word in (("win", "better"), ("loss", "worse")):
        if found[outcome]:
            family, names = found[outcome][0].family, ", ".join(c.strategy for c in found[outcome])
            corrected = f", corrected for {family} comparisons by Holm's method" if family > 1 else ""
            said.append(
                f"Significantly {word} than {plain(table.baseline.name)} at {ALPHA:g} (paired t test of the areas{corrected}): "
                f"{names}."
            )
    return [*said, *(f"{verdict(c)}." for c in found["tie"])]


def twin_notes(twins: Mapping[str, str]) -> list[str]:
    """A sentence for each strategy that is another one under another name."""
    return [
        f"{name}: in every run the very selections of {plain(like)}, so it is not tested a second time."
        for name, like in twins.items()
    ]


def _spaced(count: int, most: int) -> list[int]:
    """At most ``most`` of ``count`` points, first and last included, in equal steps where that is possible."""
    if count <= most:
        return list(range(count))
    steps = next(k for k in range(most - 1, 0, -1) if (count - 1) % k == 0)
    if steps < most // 2:  # equal steps would show too little; uneven by one is the lesser evil
        steps = most - 1
    return [int(i) for i in np.linspace(0, count - 1, steps + 1).round()]


def _percent(fraction: float) -> str:
    return f"{100 * fraction:g} %"


def _shortened(name: str, longest: int) -> str:
    """A name that leaves room for the numbers; both ends stay, since variants differ at theirs."""
    half = (longest - 2) // 2
    return name if len(name) <= longest else f"{name[:half]}..{name[-half:]}"
