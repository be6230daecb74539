"""The report of an audit as an HTML page that loads nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from distil.auditing.audit import SHOWN
from distil.data.items import Items
from distil.data.thumbnails import thumbnails
from distil.system.pages import render

Json = dict[str, Any]


class Table(NamedTuple):
    """A table of the page.

    Attributes:
        title: Heading of the table.
        columns: For each column, its head and the kind of its cells: ``text``, ``number``, ``ids`` (a list of pairs, set and id)
            or ``share`` (a bar).
        rows: The cells, row by row.
    """

    title: str
    columns: Sequence[tuple[str, str]]
    rows: Sequence[Sequence[Any]]


def audit_page(report: Json, title: str, items: Items | None = None, others: Mapping[str, Items] | None = None) -> str:
    """The HTML page of a report.

    Args:
        report: The report that :func:`distil.auditing.audit.audit` returns.
        title: Name of the pool.
        items: The pool; if it holds images, the page shows small pictures of the listed items.
        others: The sets, by name, that have items of their own.
    """
    count, dims = report["pool"]["items"], report["pool"]["dims"]
    measured = (
        "" if dims is None else f", embeddings of {dims:,} numbers; distances are fractions of the typical distance"
    )
    values = {
        "title": f"Audit of {title}",
        "size": f"{count:,} items{measured}",
        "findings": report["findings"],
        "notes": report["notes"],
        "tables": [table for table in _tables(report) if table.rows],
        "picture": _pictures(
            {} if items is None else {"labeled": items, "test": items, "pool": items, **(others or {})}
        ),
        "text": lambda name, id_: report["items"].get(name, {}).get(id_, ""),
    }
    return render("auditing/audit.html", values)


def _pictures(sets: Mapping[str, Items]) -> Callable[[str, str], str]:
    """Set and id -> a small picture as a data URL; "" if there is none."""
    pictures = {name: thumbnails(items) for name, items in sets.items()}
    return lambda name, id_: pictures[name](id_) if name in pictures else ""


def _tables(report: Json) -> Iterator[Table]:
    distance = ("distance", "number")
    for entry in report["leakage"]:
        a, b = entry["between"]
        yield Table(f"Items in both {a} and {b}", [(a, "ids"), (b, "ids"), distance], _pairs(entry["examples"], a, b))
    yield _drifts(report["drift"])
    if report["classes"]:
        yield _classes(report["classes"])
    if errors := report["label_errors"]:
        yield _label_errors(errors)
    if exact := report["duplicates"]["exact"]:
        groups = [[[("pool", id_) for id_ in group], f"{len(group):,}"] for group in exact["examples"]]
        yield Table("Exact duplicates", [("ids", "ids"), ("items", "number")], groups)
    if near := report["duplicates"]["near"]:
        yield Table("Near-duplicates", [("one", "ids"), ("other", "ids"), distance], _pairs(near["examples"]))
    if outliers := report["outliers"]:
        title = f"Items far from their {outliers['neighbors']} nearest neighbors"
        yield Table(title, [("id", "ids"), distance], _singles(outliers["examples"]))
    if coverage := report["coverage"]:
        title = "Items farthest from the labeled set"
        yield Table(title, [("id", "ids"), distance], _singles(coverage["farthest"]))


def _label_errors(errors: Json) -> Table:
    entries = errors["suspects"][:SHOWN]
    rows = [[[(errors["set"], each["id"])], each["label"], each["guess"], f"{each['p']:.2f}"] for each in entries]
    heads = [("id", "ids"), ("label", "text"), ("the model says", "text"), ("probability", "number")]
    return Table("Labels that are probably wrong", heads, rows)


def _pairs(entries: Iterable[Json], a: str = "pool", b: str = "pool") -> list[list[Any]]:
    return [[[(a, entry["ids"][0])], [(b, entry["ids"][1])], f"{entry['distance']:.3f}"] for entry in entries]


def _singles(entries: Iterable[Json]) -> list[list[Any]]:
    return [[[("pool", entry["id"])], f"{entry['distance']:.3f}"] for entry in entries]


def _drifts(entries: Iterable[Json]) -> Table:
    rows = [
        [
            " and ".join(entry["between"]),
            f"{entry['auc']:.3f} ± {entry['standard_error']:.3f}",
            "differ" if entry["drift"] else "no difference found",
        ]
        for entry in entries
    ]
    heads = [("sets", "text"), ("area under the ROC curve", "number"), ("verdict", "text")]
    return Table("Drift: can a classifier distinguish the sets?", heads, rows)


def _classes(classes: Json) -> Table:
    most = max(1, *classes["labeled"].values())
    rows = [
        [label, f"{count:,}", f"{classes['known'][label]:,}", count / most]
        for label, count in classes["labeled"].items()
    ]
    return Table("Classes", [("class", "text"), ("labeled", "number"), ("known", "number"), ("", "share")], rows)
