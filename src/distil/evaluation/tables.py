"""Tables of summaries for a terminal and for Markdown, with sentences on the test results."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from distil.errors import InvalidInput
from distil.evaluation.ceiling import Ceiling, GainShare
from distil.evaluation.compare import Comparison, Summary, p_text, plain, verdict
from distil.evaluation.curves import Bound, starts_above
from distil.evaluation.labels_saved import Saving
from distil.evaluation.statistics import ALPHA, LEVEL, Floats
from distil.evaluation.units import Unit

WIDTH = 110
"""Largest width of a terminal table, in columns."""

# Longest name and largest number of points of a terminal table. The first pair that fits is used: points are dropped before
# names are shortened.
_LAYOUTS = [*((longest, most) for longest in (28, 22, 16) for most in range(8, 3, -1)), (16, 3), (16, 2)]


@dataclass(frozen=True, eq=False)
class _Table:
    """The content of a table; the summary of the baseline, or of the first of several, comes first."""

    summaries: Sequence[Summary]
    target: float | None
    metric: str
    comparisons: Mapping[str, Comparison]
    twins: Mapping[str, str]
    ceiling: Ceiling | None

    @property
    def baseline(self) -> Summary:
        return self.summaries[0]

    @property
    def unit(self) -> Unit:
        return self.baseline.unit

    @property
    def level(self) -> str:
        """The target in words."""
        return "" if self.target is None else f"{self.unit.scale * self.target:g}{self.unit.mark}"

    @property
    def measured(self) -> str:
        """The metric with its unit in words."""
        return f"{self.metric} in %" if self.unit.fraction else self.metric


def terminal_table(
    summaries: Sequence[Summary],
    target: float | None,
    *,
    metric: str = "accuracy",
    comparisons: Mapping[str, Comparison] | None = None,
    twins: Mapping[str, str] | None = None,
    ceiling: Ceiling | None = None,
) -> str:
    """A table for a terminal, one row for each strategy, at most 110 columns wide.

    It shows the metric in percent at no more than eight numbers of labels, evenly spaced from the first to
    the last (fewer if names are long); the area under the curve, which is the mean over all points; the
    labels needed to reach the target, and how many times fewer these are than the baseline's; the paired difference
    between the strategy's area and the baseline's, and its p-value, corrected for the number of comparisons. Sentences below
    explain the intervals and state the test results.

    Args:
        summaries: The summaries of one call of ``summarize``.
        target: The target of that call.
        metric: Name of the metric, for a heading.
        comparisons: Tests of the areas against the baseline's, by strategy; without them, the table says nothing about
            significance.
        twins: For each strategy that selects the same examples as another one in every run, the name of the other.
        ceiling: The ceiling and the shares of its gain, for a sentence below the table.

    Returns:
        Lines joined by newlines, without a newline at the end.

    Raises:
        InvalidInput: There are no summaries, or they are not those of one call of ``summarize`` with this target.
    """
    table = _Table(_ordered(summaries, target), target, metric, comparisons or {}, twins or {}, ceiling)
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
    ceiling: Ceiling | None = None,
) -> str:
    """The columns of ``terminal_table`` in Markdown, with every number of labels, effect sizes, and wins, ties and losses.

    Args:
        summaries: The summaries of one call of ``summarize``.
        target: The target of that call.
        metric: Name of the metric, for a heading.
        comparisons: Tests of the areas against the baseline's, by strategy; without them, the table says nothing about
            significance.
        twins: For each strategy that selects the same examples as another one in every run, the name of the other.
        ceiling: The ceiling and the shares of its gain, for a sentence below the table.

    Returns:
        The table, a blank line, and the notes as a list, without a newline at the end.

    Raises:
        InvalidInput: There are no summaries, or they are not those of one call of ``summarize`` with this target.
    """
    table = _Table(_ordered(summaries, target), target, metric, comparisons or {}, twins or {}, ceiling)
    first, *others = map(_count, table.baseline.labels)
    heads = [" ".join(words).strip() for words in _headings(table)]
    heads += ["effect g_z", "wins/ties/losses"] if table.comparisons else []
    rows = [
        ["strategy", f"{table.measured} with {first} labels", *others, *heads],
        ["---", *["---:"] * (1 + len(others) + len(heads))],
        *([s.name, *curve_texts(s), *_numbers(s, table), *_effects(s, table)] for s in table.summaries),
    ]
    lines = ("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)
    notes = (f"- {note}" for note in _notes(table))
    return "\n".join([*lines, "", *notes])


def _ordered(summaries: Sequence[Summary], target: float | None) -> list[Summary]:
    """The summaries, the baseline's first, after checking that one call of ``summarize`` made them."""
    baselines = [s.name for s in summaries if s.name == s.baseline]
    if not baselines or len(set(baselines)) < len(baselines):
        raise InvalidInput(f"summaries must hold the baseline's summary exactly once, got it {len(baselines)} times")
    first = next(s for s in summaries if s.name == s.baseline)
    for summary in summaries:
        if summary.target != target:
            raise InvalidInput(
                f"{summary.name} was summarized with target={summary.target}, not {target}; "
                "pass the target that was passed to summarize"
            )
        together = summary.baseline in baselines and summary.seeds == first.seeds
        if not together or not np.array_equal(summary.labels, first.labels):
            raise InvalidInput(
                f"{summary.name} has another baseline, other points or other seeds than {first.name}; "
                "pass the summaries of one call of summarize"
            )
    return [first, *(s for s in summaries if s is not first)]


def _terminal_lines(table: _Table, longest: int, points: Sequence[int]) -> list[str]:
    """Two lines of headings, a rule, and one line for each strategy."""
    summaries = table.summaries
    curves = [[_count(table.baseline.labels[i]) for i in points], *(_values(s, points) for s in summaries)]
    columns = [max(map(len, column)) for column in zip(*curves, strict=True)]
    blocks = [_joined(row, columns) for row in curves]
    heads, mark = _headings(table), " (%)" if table.unit.fraction else ""
    rows = [
        ["", f"{_shortened(table.metric, min(18, longest - 6))}{mark} by labels", *(top for top, _ in heads)],
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
    """The headings of ``_numbers``, in two lines each."""
    baseline = plain(table.baseline.name) if len(_compared_with(table)) < 2 else "the baseline"
    reached = [] if table.target is None else [("labels", f"to {table.level}"), ("times", "fewer")]
    whose = f"{baseline}'s" if len(baseline) < 18 else "the baseline's"
    return [("area", "(mean)"), *reached, ("area minus", whose), *([("p", "(Holm)")] if table.comparisons else [])]


def cell_texts(summary: Summary, tested: Comparison | None) -> dict[str, str]:
    """The cells of a strategy's row after the curve, by column; "" where there is nothing to show.

    Args:
        summary: The strategy's summary.
        tested: The test of its area against the baseline's; None without one.
    """
    area = summary.unit.text(summary.area, 2)
    if summary.seeds > 1:
        area += f" ±{summary.unit.text((summary.area_high - summary.area_low) / 2, 2, like=summary.area)}"
    return {
        "area": area,
        "labels": "" if summary.target is None else _labels(summary),
        "times": "" if summary.target is None else _times(summary),
        "difference": _difference(summary),
        "p": p_text(tested.p_holm) if tested else "",
        "wilcoxon": p_text(tested.wilcoxon_holm) if tested else "",
        "effect": _effect(tested) if tested else "",
        "wins": f"{tested.wins}/{tested.ties}/{tested.losses}" if tested else "",
    }


def curve_texts(summary: Summary) -> list[str]:
    """The mean curve, one text for each point: in percent, if the metric is a fraction."""
    return _values(summary, range(len(summary.labels)))


def _numbers(summary: Summary, table: _Table) -> list[str]:
    """The cells of a row after the curve: area, labels needed, times fewer, difference, p-value."""
    cells = cell_texts(summary, table.comparisons.get(summary.name))
    reached = [] if summary.target is None else ["labels", "times"]
    return [cells[key] for key in ("area", *reached, "difference", *(["p"] if table.comparisons else []))]


def _effects(summary: Summary, table: _Table) -> list[str]:
    """The effect size, and the numbers of seeds with a win, a tie and a loss."""
    cells = cell_texts(summary, table.comparisons.get(summary.name))
    return [cells["effect"], cells["wins"]] if table.comparisons else []


def _effect(c: Comparison) -> str:
    """The unbiased effect size; unknown with two seeds, or where all differences are equal."""
    g_z = c.effect.g_z
    return "-" if g_z is None or math.isinf(g_z) else f"{g_z:+.2f}"


def _values(summary: Summary, points: Iterable[int]) -> list[str]:
    return [summary.unit.text(float(summary.mean[i])) for i in points]


def _count(labels: float) -> str:
    return f"{labels:.0f}" if labels == round(labels) else f"{labels:.1f}"


def labels_text(needed: float | None, labels: Floats, *, at_once: bool) -> str:
    """The labels needed, rounded up, because fewer labels do not reach the target; a bound begins with > or ≤.

    Args:
        needed: The labels needed; None or infinity if the target is not reached.
        labels: Number of labels at each point, (P,).
        at_once: Whether the curve starts above the target.
    """
    if needed is None or math.isinf(needed):
        return f"> {_count(labels[-1])}"
    return f"{'≤ ' * at_once}{math.ceil(round(needed, 6))}"


def saving_text(saving: Saving, *, interval: bool) -> str:
    """A label efficiency; a bound begins with > or <, and is rounded to the safe side.

    Args:
        saving: The label efficiency.
        interval: Whether to add its interval, in brackets; an open interval begins with > or <.
    """
    if saving.ratio is None:
        text = "-"
    else:
        text = {"": "{:.1f}", "at least": "> {:.1f}", "at most": "< {:.1f}"}[saving.bound].format(
            _tenth(saving.ratio, saving.bound)
        )
    if not interval or math.isnan(saving.low):
        return text
    low, high = _tenth(saving.low, "at least"), _tenth(saving.high, "at most")
    if not low and math.isinf(high):
        return text if text == "-" else f"{text} [unknown]"
    if math.isinf(high):
        return f"{text} [> {low:.1f}]"
    return f"{text} [< {high:.1f}]" if not saving.low else f"{text} [{low:.1f}, {high:.1f}]"


def _tenth(x: float, bound: Bound) -> float:
    """A number in tenths; a bound is rounded to its safe side."""
    if math.isinf(x):
        return x
    tenths = round(10 * x, 6)
    return {"": 10 * x, "at least": math.floor(tenths), "at most": math.ceil(tenths)}[bound] / 10


def _labels(summary: Summary) -> str:
    at_once = summary.target is not None and bool(starts_above(summary.mean, summary.target))
    return labels_text(summary.labels_needed, summary.labels, at_once=at_once)


def _times(summary: Summary) -> str:
    if summary.saving is None:
        return ""
    return saving_text(summary.saving, interval=summary.name != summary.baseline)


def _difference(summary: Summary) -> str:
    difference = summary.difference
    if difference is None:
        return ""
    mean, low, high = (summary.unit.text(x, 2, signed=True, like=summary.area) for x in difference[:3])
    return mean if math.isnan(difference.low) else f"{mean} [{low}, {high}]"


def _notes(table: _Table) -> list[str]:
    """The sentences below a table."""
    baseline, target = table.baseline, table.target
    whose, points = plain(baseline.name), len(baseline.labels)
    notes = ["One seed: no intervals, and no test of any difference."]
    if baseline.seeds > 1:
        notes = [
            f"Means over {baseline.seeds} seeds; ± and [ ] are {_percent(LEVEL)} intervals (Student t over seeds), not "
            f"corrected for the number of strategies. Differences from {whose} are paired by seed."
        ]
    notes.append(f"area: the area under the curve as the mean {table.measured} over all {points} numbers of labels.")
    if target is not None:
        notes.append(
            f"labels to {table.level}: where the mean curve first reaches {table.level}, interpolated linearly; "
            f"times fewer: {whose}'s labels / the strategy's{_bootstrap(baseline)}."
        )
    marks = {_labels(s).partition(" ")[0] for s in table.summaries if target is not None}
    first, last = _count(baseline.labels[0]), _count(baseline.labels[-1])
    if target is not None and ">" in marks:
        notes.append(f"> {last}: {table.level} was not reached with {last} labels.")
    if target is not None and "≤" in marks:
        notes.append(f"≤ {first}: with {first} labels, the smallest number measured, it was above {table.level}.")
    others = list(_compared_with(table).items())[1:]
    notes += [f"{', '.join(names)}: compared with {plain(other)}, not with {whose}." for other, names in others]
    ceiling = [] if table.ceiling is None else [_ceiling_note(table.ceiling, baseline)]
    return [*notes, *_findings(table), *ceiling, *twin_notes(table.twins)]


def share_text(share: GainShare) -> str:
    """A share of the ceiling's gain in percent, with its interval in brackets; an open interval begins with > or <."""
    if share.share is None:
        return "-"
    text, low, high = (f"{100 * x:.0f}" for x in (share.share, share.low, share.high))
    if math.isnan(share.low):
        return f"{text} %"
    if math.isinf(share.low) or math.isinf(share.high):
        end = f"> {low}" if share.low > -math.inf else f"< {high}" if share.high < math.inf else "unknown"
        return f"{text} % [{end}]"
    return f"{text} % [{low}, {high}]"


def _ceiling_note(ceiling: Ceiling, baseline: Summary) -> str:
    """What each strategy reaches of the ceiling's gain, and how to read it."""
    shares = ", ".join(f"{name} {share_text(share)}" for name, share in ceiling.shares.items())
    levels = {share.level for share in ceiling.shares.values()} if baseline.seeds > 1 else ()
    level = "".join(f" ({_percent(round(level, 4))} bootstrap intervals over paired seeds)" for level in levels)
    gain = f" Share of its gain over {plain(baseline.name)}{level}: {shares}." if shares else ""
    return (
        f"ceiling: area {baseline.unit.text(ceiling.area, 2)}, the best of 100 candidate selections in each round, found with the "
        f"true labels.{gain}"
    )


def _compared_with(table: _Table) -> dict[str, list[str]]:
    """Each baseline and the strategies that are compared with it, the table's baseline first."""
    groups: dict[str, list[str]] = {table.baseline.name: []}
    for summary in table.summaries:
        if summary.name != summary.baseline:
            groups.setdefault(summary.baseline, []).append(summary.name)
    return groups


def _bootstrap(summary: Summary) -> str:
    """The part of a note that names the intervals of label efficiencies, and their level if it is a lower one."""
    if summary.saving is None or summary.seeds == 1:
        return ""
    level = _percent(round(summary.saving.level, 4))
    few = f"; {summary.seeds} seeds cannot give {_percent(LEVEL)}" if summary.saving.level < LEVEL else ""
    return f", with {level} bootstrap intervals over paired seeds, open (>, <) where too few resamples reach it{few}"


def _findings(table: _Table) -> list[str]:
    """Sentences on the tests: for each baseline, one for all that are better and all that are worse; one for each other."""
    sentences = []
    for outcome, word in (("win", "better"), ("loss", "worse")):
        for other in _compared_with(table):
            found = [c for c in table.comparisons.values() if c.outcome() == outcome and c.other == other]
            if found:
                family = found[0].family
                corrected = f", corrected for {family} comparisons by Holm's method" if family > 1 else ""
                sentences.append(
                    f"Significantly {word} than {plain(other)} at {ALPHA:g} (paired t test of the areas{corrected}): "
                    f"{', '.join(c.strategy for c in found)}."
                )
    return [*sentences, *(f"{verdict(c)}." for c in table.comparisons.values() if c.outcome() == "tie")]


def twin_notes(twins: Mapping[str, str]) -> list[str]:
    """One sentence for each strategy that selects the same examples as another one in every run."""
    return [
        f"{name}: the same selections as {plain(like)} in every run, so it is not tested a second time."
        for name, like in twins.items()
    ]


def _spaced(count: int, most: int) -> list[int]:
    """At most ``most`` of ``count`` points, first and last included, in equal steps where that is possible."""
    if count <= most:
        return list(range(count))
    steps = next(k for k in range(most - 1, 0, -1) if (count - 1) % k == 0)
    if steps < most // 2:  # with equal steps, too few points would be shown, so steps may differ by one
        steps = most - 1
    return [int(i) for i in np.linspace(0, count - 1, steps + 1).round()]


def _percent(fraction: float) -> str:
    return f"{100 * fraction:g} %"


def _shortened(name: str, longest: int) -> str:
    """A name of at most ``longest`` characters; both ends are kept, because variants of a strategy differ there."""
    half = (longest - 2) // 2
    return name if len(name) <= longest else f"{name[:half]}..{name[-half:]}"
