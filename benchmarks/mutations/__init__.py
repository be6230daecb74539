"""Seeded faults in the core: make one at a time, and see whether the tests catch it.

Faults are written into a copy of the tree. Outcomes are added to the results file one by one: an interrupted benchmark continues.
With ``--faults`` the faults of another revision are made again. The outcomes are ``caught``; ``timeout``, which counts as caught;
``survived``; and ``gone``, if the line has changed in this revision. To mark a survivor that changes nothing observable, write
``"outcome": "equivalent"`` and a ``"note"`` into the results of a finished benchmark.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.mutations.faults import Fault, draw
from benchmarks.mutations.trial import copied, failing, stage, written

HERE = Path(__file__).parents[2]
STAGES = 3


def main(argv: Sequence[str]) -> int:
    """Try every fault that has no outcome yet, and write the table next to the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks mutations", description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, help="JSON file of faults and outcomes; the table goes next to it")
    parser.add_argument("--tree", type=Path, default=HERE, help="checkout to test; default: this one")
    parser.add_argument(
        "--faults", type=Path, help="results of another revision, whose faults to make; default: draw new ones"
    )
    parser.add_argument("-n", type=int, default=100, help="faults to draw; default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument("--limit", type=float, default=900, help="seconds for one set of tests; default: %(default)s")
    options = parser.parse_args(argv)
    if not options.results.exists():
        _write(options.results, _start(options))
    with tempfile.TemporaryDirectory() as folder:
        _go_on(options.results, copied(options.tree.resolve(), Path(folder)), options.limit)
    return 0


def _start(options: argparse.Namespace) -> dict:
    """A results file with no verdicts."""
    if options.faults:
        rows = json.loads(options.faults.read_text(encoding="utf-8"))["faults"]
        faults = [Fault(**row["fault"]) for row in rows]
    else:
        faults = draw(options.tree / "src" / "distil", options.n, options.seed)
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=options.tree, capture_output=True, text=True, check=True
    )
    return {
        "commit": commit.stdout.strip(),
        "seed": options.seed,
        "faults": [{"fault": asdict(fault)} for fault in faults],
    }


def _go_on(results: Path, tree: Path, limit: float) -> None:
    """Give every fault its outcome. Then run the tests that caught a fault on the unchanged tree, where all must pass.

    All faults meet the tests of their file before any fault meets those of its folder, so most outcomes come early.
    """
    record = json.loads(results.read_text(encoding="utf-8"))
    for number in range(STAGES):
        for row in record["faults"]:
            if row.setdefault("passed", 0) == number and "outcome" not in row:
                row |= _tried(tree, Fault(**row["fault"]), number, limit)
                _write(results, record)
    catchers = sorted({row["by"] for row in record["faults"] if "::" in row.get("by", "")})
    record["control"] = failing(tree, catchers, limit) if catchers else ""
    _write(results, record)


def _tried(tree: Path, fault: Fault, number: int, limit: float) -> dict:
    """What one stage of tests adds to the row of a fault."""
    tests = stage(tree, fault, number)
    with written(tree, fault) as possible:
        if not possible:
            return {"outcome": "gone"}
        failed = failing(tree, tests, limit) if tests else ""
    if failed is None:
        return {"outcome": "timeout", "by": " ".join(tests)}
    if failed:
        return {"outcome": "caught", "by": failed}
    return {"passed": number + 1} | ({"outcome": "survived"} if number + 1 == STAGES else {})


def _write(results: Path, record: dict) -> None:
    results.parent.mkdir(parents=True, exist_ok=True)
    results.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    results.with_suffix(".md").write_text(table(record), encoding="utf-8")


def table(record: dict) -> str:
    """The results as Markdown: how many of each outcome, and every fault that no test caught."""
    rows = [row for row in record["faults"] if "outcome" in row]
    counts = Counter(row["outcome"] for row in rows)
    lines = [
        f"# {len(record['faults'])} seeded faults in {record['commit']}",
        "",
        ", ".join(f"{counts[outcome]} {outcome}" for outcome in ("caught", "timeout", "survived", "equivalent", "gone"))
        + ".",
        "",
        "| file, function | kind | line | changed to | outcome |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        fault = row["fault"]
        before, after = (fault[key].replace("|", "\\|") for key in ("before", "after"))
        outcome = row["outcome"] + (f": {row['note']}" if row.get("note") else "")
        lines.append(
            f"| {fault['file']} `{fault['function']}` | {fault['kind']} | `{before}` | `{after}` | {outcome} |"
        )
    return "\n".join(lines) + "\n"
