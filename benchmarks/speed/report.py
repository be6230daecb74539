"""The results as Markdown, written between two marks of a page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.speed.spec import described

BEGIN, END = "<!-- speed: begin (written by `python -m benchmarks speed`) -->", "<!-- speed: end -->"
FIGURE = "performance-scaling.svg"

Results = Mapping[str, Any]


def write(page: Path, results: Results) -> None:
    """Replace the text between the marks of a page."""
    text = page.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    page.write_text(f"{before}{BEGIN}\n\n{markdown(results).strip()}\n\n{END}{after}", encoding="utf-8")


def markdown(results: Results) -> str:
    """The bars, the times, the growth, and the machine."""
    rows = results["rows"]
    parts = [_conditions(results), "### Bars\n", _bars(rows), "### Times\n", _times(rows)]
    if results.get("scaling"):
        parts += ["### Growth\n", _scaling(results["scaling"])]
    if results.get("peers"):
        parts += ["### Peers\n", _peers(results["peers"])]
    return "\n".join(parts)


def _conditions(results: Results) -> str:
    mode = "Sizes are a tenth of the full ones. " if results["mode"] == "quick" else ""
    rows = list(results["rows"].values())
    passed = [bar["passes"] for row in rows for bar in row["bars"]]
    loads = [row["load"] for row in rows]
    reads, gemms = ([row["peaks"][key] / 1e9 for row in rows] for key in ("read", "gemm"))
    return (
        f"{mode}{results['machine']}; device {results['device']}. Measured with the rows: reads of memory at "
        f"{_span(reads)} GB/s, float32 products at {_span(gemms)} GFLOP/s; load average {_span(loads, 1)} when a row began "
        f"(1 to 2 is the benchmark itself). Of {len(passed)} bars {passed.count(True)} are passed, {passed.count(False)} are "
        f"missed, {passed.count(None)} could not be measured.\n"
    )


def _span(values: list[float], digits: int = 0) -> str:
    low, high = (f"{f(values, default=0):.{digits}f}" for f in (min, max))
    return low if low == high else f"{low} to {high}"


def _bars(rows: Mapping[str, Any]) -> str:
    lines = ["| row | what | stretch | bar | measured | |", "|---|---|---|---|---|---|"]
    for name, row in rows.items():
        for bar in row["bars"]:
            verdict = {True: "passes", False: "**missed**", None: "not measured"}[bar["passes"]]
            sign = "≥" if bar["least"] else "≤"
            shown = [_quantity(bar["what"], bar[key]) for key in ("stretch", "bar", "measured")]
            lines.append(
                f"| `{name}` | {_what(bar)} | {sign} {shown[0]} | {sign} {shown[1]} | {shown[2]} | {verdict} |"
            )
    return "\n".join(lines) + "\n"


def _what(bar: Mapping[str, Any]) -> str:
    against = bar["against"]
    return {
        "ratio": f"times faster than {against}",
        "seconds": "seconds",
        "memory": "peak memory beyond the inputs",
        "private": "private memory",
        "gemm": "times the limit of its matrix products",
        "value": f"value over that of {against}" if against else "value over the exact one",
    }[bar["what"]]


def _quantity(what: str, number: float | None) -> str:
    if number is None:
        return "-"
    if what in ("memory", "private"):
        return f"{number / 1e6:,.0f} MB"
    if what == "seconds":
        return _seconds(number)
    return f"{number:.4g}" if what == "value" else f"{_three(number)}x"


def _times(rows: Mapping[str, Any]) -> str:
    lines = [
        "| row | implementation | seconds (median) | times distil | peak MB | against distil |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        lines.append(f"| **`{name}`** {row['title']}: {described(row['size'])} | | | | | |")
        ours = row["ways"][0].get("seconds")
        lines += [_way(way, ours) for way in row["ways"]]
    return "\n".join(lines) + "\n"


def _way(way: Mapping[str, Any], ours: float | None) -> str:
    if "error" in way:
        return f"| | {way['name']} | {_cell(way['error'])} | | | |"
    private = way.get("private_bytes")
    peak = way["peak_bytes"] if private is None else private
    ratio = "" if way["kind"] == "distil" or ours is None else f"{_three(way['seconds'] / ours)}x"
    if "extrapolated_from" in way:
        low, high = way["extrapolated_from"]
        seconds = f"{_seconds(way['seconds'])}, extrapolated from k = {low} and {high}"
    else:
        seconds = f"{_seconds(way['seconds'])} ({_seconds(way['median'])}, first {_seconds(way['first'])})"
    megabytes = "-" if peak is None else f"{peak / 1e6:,.0f}" + (" private" if private is not None else "")
    return f"| | {way['name']} | {seconds} | {ratio} | {megabytes} | {_cell(way.get('agreement', ''))} |"


def _scaling(fits: list[Mapping[str, Any]]) -> str:
    lines = [
        f"![time against N, D and k]({FIGURE})\n",
        "| algorithm | in | sizes | exponent | bar | |",
        "|---|---|---|---|---|---|",
    ]
    for fit in fits:
        verdict = {True: "passes", False: "**missed**", None: ""}[fit["passes"]]
        sizes = f"{fit['sizes'][0]:,} to {fit['sizes'][-1]:,}"
        bar = "-" if fit["bar"] is None else f"≤ {fit['bar']}"
        lines.append(f"| {fit['algorithm']} | {fit['axis']} | {sizes} | {fit['exponent']:.2f} | {bar} | {verdict} |")
    return "\n".join(lines) + "\n"


def _peers(peers: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {state}" for name, state in peers.items()) + ".\n"


def _seconds(number: float) -> str:
    return f"{_three(number)} s" if number >= 1 else f"{_three(number * 1e3)} ms"


def _three(number: float) -> str:
    """A number with three digits and without an exponent."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def _cell(text: str) -> str:
    return text.replace("|", "/").replace("\n", " ")
