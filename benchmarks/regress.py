"""Compare two results of ``speed``: list ratios that fell by more than a quarter; exit code 1 if there are any."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

FALL = 0.25


def ratios(results: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], float]]:
    """(row, implementation) and its seconds divided by distil's; such ratios are comparable across machines."""
    for name, row in results["rows"].items():
        ours = row["ways"][0].get("seconds")
        for way in row["ways"][1:]:
            if ours and "seconds" in way:
                yield (name, way["name"]), way["seconds"] / ours


def fallen(old: Mapping[str, Any], new: Mapping[str, Any], fall: float = FALL) -> list[str]:
    """One line for every ratio that fell by more than ``fall``, and for every row in which distil now fails."""
    before, after = dict(ratios(old)), dict(ratios(new))
    lines = []
    for (row, way), ratio in before.items():
        now = after.get((row, way))
        if now is not None and now < (1 - fall) * ratio:
            lines.append(f"{row}: {ratio:.3g}x faster than {way} before, {now:.3g}x now")
    for row, record in new["rows"].items():
        if "error" in record["ways"][0] and row in old["rows"] and "error" not in old["rows"][row]["ways"][0]:
            lines.append(f"{row}: distil fails now: {record['ways'][0]['error']}")
    return lines


def main(argv: Sequence[str]) -> int:
    """Print the ratios that fell."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks regress", description=__doc__)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--fall", type=float, default=FALL, help="share of a ratio (default: %(default)s)")
    options = parser.parse_args(argv)
    old, new = (json.loads(path.read_text()) for path in (options.old, options.new))
    lines = fallen(old, new, options.fall)
    print("\n".join(lines) if lines else "no ratio fell")
    return 1 if lines else 0
