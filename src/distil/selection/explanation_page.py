"""An explanation as an HTML page that loads nothing else: one card a pick."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from distil.errors import counted
from distil.selection.explanation import Json
from distil.system.pages import render

# Represented examples that a card shows, and labeled examples in the table.
_SHOWN, _ROWS = 6, 100


def explanation_page(
    document: Json, title: str, text: Callable[[str], str], picture: Callable[[str], str] | None = None
) -> str:
    """The HTML page of an explanation.

    Args:
        document: The document that :func:`distil.selection.explanation.explain` returns, with texts as ids.
        title: What was chosen from.
        text: Id -> what to show of an example besides its id; may be empty.
        picture: Id -> a small picture as a data URL, or ""; None: there are no pictures.
    """
    labeled = document["labeled"]
    values: dict[str, Any] = {
        "title": f"{counted(len(document['picks']), 'pick')} of {title}",
        "summary": _summary(document),
        "picks": document["picks"],
        "labeled": labeled[:_ROWS],
        "more": len(labeled) - _ROWS,
        "typical": document["typical_distance"],
        "notes": document["notes"],
        "picture": picture or (lambda _: ""),
        "text": text,
        "shown": _SHOWN,
    }
    return render("selection/explanation.html", values)


def _summary(document: Json) -> str:
    """What was chosen, and who represents the rest, in sentences."""
    rest, by_picks = document["represented"], sum(pick["represents"]["count"] for pick in document["picks"])
    chosen = f"{len(document['picks']):,} of {document['examples']:,} examples were chosen."
    if not rest:
        return chosen
    if by_picks == rest:
        return f"{chosen} Every other example is represented by the nearest pick."
    return (
        f"{chosen} Every other example is represented by the nearest pick or labeled example: {by_picks:,} of {rest:,} "
        f"({100 * by_picks / rest:.1f} %) by picks, {rest - by_picks:,} by labeled examples."
    )
