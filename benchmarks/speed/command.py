"""``python -m benchmarks speed [ROWS...]``: measures the rows, writes the results and the page."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks import machine
from benchmarks.speed import environment, judge, report, scaling, turns
from benchmarks.speed.measure import load
from benchmarks.speed.rows import ROWS
from benchmarks.speed.spec import Given, Row, quick

RESULTS = Path(__file__).parents[1] / "results" / "speed.json"
PAGE = turns.ROOT / "docs" / "performance.md"
SCALING = "scaling"


def main(argv: Sequence[str]) -> int:
    """Measure the requested rows, by default all."""
    options = _options(argv)
    if options.device != "cpu" and not torch.cuda.is_available():
        print(f"there is no accelerator here: --device {options.device} cannot be measured")
        return 2
    torch.set_num_threads(options.threads)
    plan = turns.Plan(
        threads=options.threads,
        device=options.device,
        peers=environment.python_of(options.peers.resolve()) if options.peers else None,
    )
    plan = replace(plan, repeats=3, budget=2.0, patience=60.0) if options.quick else plan
    results = _begun(options)
    for name in options.rows:
        start = time.perf_counter()
        if name == SCALING:
            results["scaling"] = _scaled(options)
        else:
            results["rows"][name] = row_measured(ROWS[name], plan, options.quick, options.data)
            print(_line(results["rows"][name], time.perf_counter() - start), flush=True)
        _save(results, options)
    return 0


def row_measured(row: Row, plan: turns.Plan, is_quick: bool, data: Path | None = None) -> dict[str, Any]:
    """The record of one row: its arrays written, its implementations timed in turns, compared and judged."""
    size = quick(row.size) if is_quick else dict(row.size)
    with tempfile.TemporaryDirectory(prefix="distil-speed-", dir=data) as name:
        folder = Path(name)
        row.data(size, folder)
        peaks = machine.peaks(2048, 256, plan.device)
        record = {"name": row.name, "title": row.title, "size": size, "load": load(), "peaks": peaks}
        ways = turns.measure(row, size, plan, folder)
        given = Given(folder, size, plan.device)
        founds = {way["name"]: turns.found(folder, way["name"]) for way in ways if "seconds" in way}
        judge.compare(row, given, ways, founds)
    return {**record, "value_name": row.value_name, "ways": ways, "bars": judge.bars(row, size, ways, peaks["gemm"])}


def _scaled(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure in a separate process, and write the figure next to the page."""
    share = "0.1" if options.quick else "1"
    command = [sys.executable, "-m", "benchmarks.speed.scaling", share]
    environment_ = turns.variables(options.threads)
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment_)
    fits = json.loads(done.stdout)
    for fit in fits:
        print(f"{fit['algorithm']:10} {fit['axis']}^{fit['exponent']:.2f}")
    if not options.quick and not scaling.draw(fits, PAGE.with_name(report.FIGURE)):
        print("matplotlib is not installed: no figure")
    return fits


def _begun(options: argparse.Namespace) -> dict[str, Any]:
    """The earlier results of the same kind; rows that are not measured again stay."""
    head = {
        "mode": "quick" if options.quick else "full",
        "device": options.device,
        "machine": machine.described(),
        "peers": environment.installed(options.peers) if options.peers else {},
    }
    if options.output is not None and options.output.exists():
        before = json.loads(options.output.read_text())
        if all(before.get(key) == head[key] for key in ("mode", "device", "machine")):
            return {**before, **head, "peers": head["peers"] or before["peers"]}
    return {**head, "rows": {}, "scaling": []}


def _save(results: dict[str, Any], options: argparse.Namespace) -> None:
    results["rows"] = {name: results["rows"][name] for name in ROWS if name in results["rows"]}
    if options.output is not None:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    if options.output == RESULTS:
        report.write(PAGE, results)


def _line(row: dict[str, Any], spent: float) -> str:
    ours = row["ways"][0]
    lines = [f"{row['name']} ({spent:.0f} s, load {row['load']})"]
    for way in row["ways"]:
        if "error" in way:
            lines.append(f"  {way['name']:36} {way['error']}")
            continue
        ratio = way["seconds"] / ours["seconds"] if "seconds" in ours else float("nan")
        note = " extrapolated" if "extrapolated_from" in way else ""
        peak = f"{(way['peak_bytes'] or 0) / 1e6:8.0f} MB"
        lines.append(
            f"  {way['name']:36} {way['seconds']:10.4f} s {ratio:10.1f}x {peak} {way.get('agreement', '')}{note}"
        )
    for bar in row["bars"]:
        verdict = {True: "passes", False: "missed", None: "not measured"}[bar["passes"]]
        lines.append(f"  - {bar['what']} {bar['against']}: {bar['measured']} of {bar['bar']:.4g}: {verdict}")
    return "\n".join(lines)


def _options(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks speed", description=__doc__)
    names = [*ROWS, SCALING]
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of: {', '.join(names)}; default: all")
    parser.add_argument("--quick", action="store_true", help="a tenth of the sizes, to see that everything works")
    parser.add_argument("--peers", type=Path, metavar="VENV", help="environment made by benchmarks.speed.environment")
    parser.add_argument(
        "--output", type=Path, metavar="JSON", help=f"default: {RESULTS.relative_to(turns.ROOT)} (and the page)"
    )
    parser.add_argument("--device", default="cpu", help="for distil and the naive forms: cpu or cuda")
    parser.add_argument("--threads", type=int, default=2, help="of every process (default: %(default)s)")
    parser.add_argument("--data", type=Path, metavar="DIR", help="where to put arrays for a while (up to 3 GB)")
    options = parser.parse_args(argv)
    unknown = [name for name in options.rows if name not in names]
    if unknown:
        parser.error(f"there is no row {unknown[0]!r}; rows: {', '.join(names)}")
    options.rows = options.rows or names
    if options.output is None and not options.quick:
        options.output = RESULTS
    return options
