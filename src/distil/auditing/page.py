"""The report of an audit as one page of HTML that needs nothing else."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from distil.data.items import Items
from distil.errors import InvalidInput

Json = dict[str, Any]
Picture = Callable[[str], str]
"""Id -> an image element, or nothing."""

_SIDE = 72

_PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Audit of {title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }}
h2 {{ margin-top: 2.2rem; border-bottom: 1px solid #8886; }}
table {{ border-collapse: collapse; }}
td, th {{ padding: .25rem .9rem .25rem 0; text-align: left; vertical-align: middle; overflow-wrap: anywhere; }}
td.n, th.n {{ text-align: right; font-variant-numeric: tabular-nums; }}
img {{ max-width: 72px; max-height: 72px; vertical-align: middle; margin-right: .4rem; }}
.bar {{ display: inline-block; height: .7rem; background: #4a7fb5; vertical-align: middle; }}
.note {{ color: #777; }}
</style>
<h1>Audit of {title}</h1>
<p>{items:,} items{dims}.</p>
<ul>{findings}</ul>
{sections}
{notes}
</html>
"""


def audit_page(report: Json, title: str, items: Items | None = None) -> str:
    """The page.

    Args:
        report: Of :func:`distil.auditing.audit.audit`.
        title: What was looked at.
        items: The pool; small pictures of what is listed are shown where it holds images.
    """
    picture = _pictures(items)
    sections = [
        _leaks(report["leakage"], picture),
        _drifts(report["drift"]),
        _classes(report["classes"]),
        _exact(report["duplicates"]["exact"], picture),
        _near(report["duplicates"]["near"], picture),
        _outliers(report["outliers"], picture),
        _coverage(report["coverage"], picture),
    ]
    dims = report["pool"]["dims"]
    return _PAGE.format(
        title=html.escape(title),
        items=report["pool"]["items"],
        dims="" if dims is None else f", embeddings of {dims:,} numbers; distances are shares of the typical one",
        findings="".join(f"<li>{html.escape(line)}</li>" for line in report["findings"]),
        sections="\n".join(section for section in sections if section),
        notes="".join(f'<p class="note">{html.escape(line)}.</p>' for line in report["notes"]),
    )


def _pictures(items: Items | None) -> Picture:
    """Small pictures by id; nothing for other pools, and for ids that are not the pool's."""
    if items is None or items.kind != "images":
        return lambda _: ""
    index = {items.name(row): row for row in range(len(items))}

    def picture(name: str) -> str:
        if name not in index:
            return ""
        try:
            image = items.read(index[name])
        except (InvalidInput, OSError):
            return ""
        image.thumbnail((_SIDE, _SIDE))
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=80)
        data = base64.b64encode(buffer.getvalue()).decode()
        return f'<img alt="" src="data:image/jpeg;base64,{data}">'

    return picture


def _section(title: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; cells that begin with a digit are numbers. Nothing where it has no rows."""
    body = "".join(f"<tr>{''.join(_cell('td', cell) for cell in row)}</tr>" for row in rows)
    if not body:
        return ""
    head = "".join(_cell("th", cell, cell in ("distance", "items", "labeled", "known")) for cell in heads)
    return f"<h2>{html.escape(title)}</h2><table><tr>{head}</tr>{body}</table>"


def _cell(tag: str, content: str, number: bool = False) -> str:
    number = number or (tag == "td" and content[:1].isdigit() and not content.startswith("<"))
    return f"<{tag}{' class=n' if number else ''}>{content}</{tag}>"


def _named(name: str, picture: Picture) -> str:
    return f"<span>{picture(name)}{html.escape(name)}</span>"


def _pairs(entries: Iterable[Json], picture: Picture) -> list[list[str]]:
    return [[_named(name, picture) for name in entry["ids"]] + [f"{entry['distance']:.3f}"] for entry in entries]


def _leaks(entries: Sequence[Json], picture: Picture) -> str:
    parts = []
    for entry in entries:
        a, b = entry["between"]
        parts.append(_section(f"In {a} and in {b}", [a, b, "distance"], _pairs(entry["examples"], picture)))
    return "".join(parts)


def _drifts(entries: Sequence[Json]) -> str:
    rows = [
        [
            html.escape(" and ".join(entry["between"])),
            f"{entry['auc']:.3f} ± {entry['standard_error']:.3f}",
            "differ" if entry["drift"] else "no difference seen",
        ]
        for entry in entries
    ]
    return _section("Can a classifier tell them apart?", ["sets", "area under the ROC curve", "verdict"], rows)


def _classes(classes: Json | None) -> str:
    if classes is None:
        return ""
    most = max(1, *classes["labeled"].values())
    rows = [
        [html.escape(label) + "&nbsp;", f"{count:,}", f"{classes['known'][label]:,}", _bar(count / most)]
        for label, count in classes["labeled"].items()
    ]
    return _section("Classes", ["class", "labeled", "known", ""], rows)


def _bar(share: float) -> str:
    return f'<span class="bar" style="width:{10 * share:.2f}rem"></span>'


def _exact(exact: Json | None, picture: Picture) -> str:
    if exact is None:
        return ""
    rows = [[f"{len(group):,}", " ".join(_named(name, picture) for name in group)] for group in exact["examples"]]
    return _section("Exact duplicates", ["items", "ids"], rows)


def _near(near: Json | None, picture: Picture) -> str:
    return (
        ""
        if near is None
        else _section("Near-duplicates", ["one", "other", "distance"], _pairs(near["examples"], picture))
    )


def _outliers(outliers: Json | None, picture: Picture) -> str:
    if outliers is None:
        return ""
    rows = [[_named(entry["id"], picture), f"{entry['distance']:.3f}"] for entry in outliers["examples"]]
    return _section(f"Far from their {outliers['neighbors']} nearest neighbors", ["id", "distance"], rows)


def _coverage(coverage: Json | None, picture: Picture) -> str:
    if coverage is None:
        return ""
    rows = [[_named(entry["id"], picture), f"{entry['distance']:.3f}"] for entry in coverage["farthest"]]
    return _section("Farthest from everything labeled", ["id", "distance"], rows)
