"""Compare the picks of a row's implementations, and decide which bars are passed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmarks.speed.spec import Bar, Found, Given, Row, Size

Records = list[dict[str, Any]]


def compare(row: Row, given: Given, records: Records, founds: Mapping[str, Found]) -> None:
    """Write into each record its ``value`` and how it agrees with distil, ``agreement``."""
    for record in records:
        if "error" in record or record["name"] not in founds:
            continue
        found = founds[record["name"]]
        whole = "extrapolated_from" not in record
        if found.value is not None:
            record["value"] = found.value
        elif row.value is not None and found.picks is not None and whole:
            record["value"] = row.value(given, found.picks)
    ours = records[0]
    comparable = {way.name for way in row.ways if way.prefix}
    for record in records[1:]:
        whole = "extrapolated_from" not in record
        if record["name"] in founds and ours["name"] in founds and (whole or record["name"] in comparable):
            record["agreement"] = agreement(founds[ours["name"]], founds[record["name"]], ours, record)


def agreement(ours: Found, theirs: Found, our: Mapping[str, Any], their: Mapping[str, Any]) -> str:
    """The agreement in words: the same picks, how many of them, or the ratio of the values."""
    said = []
    if ours.picks is not None and theirs.picks is not None:
        said.append(_picks(ours.picks, theirs.picks))
    if our.get("value") and "value" in their and said != ["same picks"]:
        said.append(f"value {their['value'] / our['value']:.4g} of distil's")
    return ", ".join(said)


def _picks(ours: np.ndarray, theirs: np.ndarray) -> str:
    k = min(len(ours), len(theirs))
    same = ours[:k] == theirs[:k]
    if same.all():
        return "same picks" if len(ours) == len(theirs) else f"same first {k} picks"
    common = len(np.intersect1d(ours[:k], theirs[:k]))
    return f"{int(same.argmin())} picks the same, {common} of {k} in common"


def bars(row: Row, size: Size, records: Records, gemm_peak: float) -> Records:
    """A record for each bar: ``text``, ``stretch``, ``bar``, ``measured`` and ``passes`` (None where nothing was measured)."""
    return [_judged(bar, row, size, records, gemm_peak) for bar in row.bars(size)]


def _judged(bar: Bar, row: Row, size: Size, records: Records, gemm_peak: float) -> dict[str, Any]:
    ours, other = records[0], fastest(records, bar.against)
    measured: float | None = None
    if "error" not in ours:
        if bar.what == "ratio" and other is not None:
            measured = other["seconds"] / ours["seconds"]
        elif bar.what == "seconds":
            measured = ours["seconds"]
        elif bar.what in ("memory", "private"):
            measured = ours.get("peak_bytes" if bar.what == "memory" else "private_bytes")
        elif bar.what == "gemm" and row.flops is not None:
            measured = ours["seconds"] / (row.flops(size) / gemm_peak)
        elif bar.what == "value":
            reference = 1.0 if not bar.against else (other or {}).get("value")
            measured = ours["value"] / reference if reference and "value" in ours else None
    least = bar.what == "ratio" or (bar.what == "value" and not bar.smaller)
    passes = None if measured is None else (measured >= bar.bar if least else measured <= bar.bar)
    against = other["name"] if other is not None else bar.against
    return {
        "what": bar.what,
        "against": against,
        "least": least,
        "stretch": bar.stretch,
        "bar": bar.bar,
        "measured": measured,
        "passes": passes,
    }


def fastest(records: Records, against: str) -> dict[str, Any] | None:
    """The fastest way with that name or kind that has a time."""
    found = [r for r in records[1:] if against in (r["name"], r["kind"]) and "seconds" in r]
    return min(found, key=lambda r: r["seconds"]) if found else None
