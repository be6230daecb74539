"""Write docs/gallery.md and docs/gallery/NAME.svg: what every strategy that takes arrays selects from one pool in the plane."""

from __future__ import annotations

import html
import inspect
import re
from pathlib import Path

import torch
from torch import Tensor

from distil import HeadConfig, LinearHead, select_from
from distil.signals import measured_by
from distil.strategies import STRATEGIES, strategy_named
from distil.strategies.registry import tasks_of
from distil.training.linear_head import fit_head

DOCS = Path(__file__).parents[1] / "docs"
PICKS, SIDE, REACH, COLUMNS = 12, 280, 2.2, 3
_COLORS = ("#7fb3d9", "#e8a87c", "#8cc7a1")  # of the predicted classes
_MARKS = {"labeled": "M-4 -4h8v8h-8z", "query": "M0 -6l6 6-6 6-6-6z", "private": "M-5 -5l10 10m0-10l-10 10"}


def pool() -> tuple[Tensor, dict[str, dict[int, int]]]:
    """Points of three classes, (N, 2), of which one has a rare part, and four outliers; and the labeled, query and private sets."""
    draw = torch.Generator().manual_seed(3)
    parts = [  # number of points, center, spread, class
        (110, (-1.1, 0.0), 0.45, 0),
        (70, (1.0, 0.5), 0.40, 1),
        (45, (0.1, -1.25), 0.35, 2),
        (9, (1.6, -1.3), 0.10, 2),
        (4, (-0.2, 0.0), 1.6, 1),
    ]
    x = torch.cat([torch.tensor(c) + s * torch.randn(n, 2, generator=draw) for n, c, s, _ in parts])
    y = torch.cat([torch.full((n,), own) for n, _, _, own in parts])
    rows = {"labeled": [2, 40, 115, 160, 185, 200], "query": [225, 226], "private": [60, 61, 62]}
    return x, {role: {row: int(y[row]) for row in own} for role, own in rows.items()}


def arrays(x: Tensor, labeled: dict[int, int]) -> dict[str, Tensor]:
    """The arrays of ``select_from``: probabilities are those of a linear head, and of ten heads with noise in their weights.

    Costs rise from left to right.
    """
    head = LinearHead.over(x, 3)
    fit_head(head, x[list(labeled)], torch.tensor(list(labeled.values())), HeadConfig())
    noise = torch.randn(10, *head.linear.weight.shape, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        sampled = head.features(x) @ (head.linear.weight + noise).transpose(1, 2) + head.linear.bias
        costs = 1 + x[:, 0] - x[:, 0].min()
        probs = {"probs": head(x).softmax(1), "mc_probs": sampled.transpose(0, 1).softmax(2)}
        return {"embeddings": x, **probs, "costs": costs}


def drawn_names() -> list[str]:
    """The strategies that can run on arrays of a classification, in the order of docs/strategies.md."""
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", (DOCS / "strategies.md").read_text(encoding="utf-8"), re.MULTILINE)
    listed = dict.fromkeys(name for row in rows for name in re.findall(r"`(\w+)`", row))
    return [name for name in (*listed, *(n for n in STRATEGIES if n not in listed)) if _takes_arrays(name)]


def _takes_arrays(name: str) -> bool:
    if name not in STRATEGIES or not STRATEGIES[name].__module__.startswith("distil."):
        return False
    strategy = strategy_named(name)
    read = {signal.argument for signal in measured_by(strategy.needs.pool)}
    return "classification" in tasks_of(strategy) and read <= {"embeddings", "probs", "mc_probs", "costs"}


def picture(name: str) -> str:
    """The picture of a strategy as SVG."""
    x, sets = pool()
    given = arrays(x, sets["labeled"])
    chosen = select_from(name, PICKS, **given, **sets, seed=0)
    places = (x - x.mean(0)) / REACH * torch.tensor([1, -1])
    at = ((places + 1) * SIDE / 2).clamp(8, SIDE - 8).round().int().tolist()
    needs = strategy_named(name).needs
    shown = ["labeled", *(role for role in ("query", "private") if getattr(needs, role))]
    classes = given["probs"].argmax(1).tolist()
    dots = [
        f'<path stroke="{color}" d="{"".join(f"M{a} {b}h0" for (a, b), c in zip(at, classes, strict=True) if c == number)}"/>'
        for number, color in enumerate(_COLORS)
    ]
    marks = [
        f'<path transform="translate({at[row][0]} {at[row][1]})" d="{_MARKS[role]}" '
        f'fill="{"none" if role == "private" else "#1c2126"}" stroke="#1c2126"/>'
        for role in shown
        for row in sets[role]
    ]
    picks = [
        f'<circle cx="{a}" cy="{b}" r="7.5"/><text x="{a}" y="{b + 3}">{rank}</text>'
        for rank, (a, b) in reversed([(rank, at[row]) for rank, row in enumerate(chosen, 1)])
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SIDE} {SIDE}" width="{SIDE}" height="{SIDE}">',
            f"<title>{name}</title>",
            f'<rect width="{SIDE}" height="{SIDE}" rx="8" fill="#f7f7f5"/>',
            '<g fill="none" stroke-width="5" stroke-linecap="round">',
            *dots,
            "</g>",
            '<g fill="#c0273f" font-family="sans-serif" font-size="8.5" font-weight="bold" text-anchor="middle">',
            *(pick.replace("<text", '<text fill="#ffffff"') for pick in picks),
            "</g>",
            *marks,
            "</svg>\n",
        ]
    )


def page(names: list[str]) -> str:
    """The page that shows all pictures."""
    cells = [
        f'<td width="33%" valign="top"><img src="gallery/{name}.svg" alt="the picks of {name}"><br><code>{name}</code><br>'
        f"{_first_line(name)}</td>"
        for name in names
    ]
    rows = [cells[start : start + COLUMNS] for start in range(0, len(cells), COLUMNS)]
    return "\n".join(
        [
            "# Gallery",
            "",
            f"What each strategy selects from the same pool in the plane: {PICKS} picks, with their ranks. Dots are the",
            "pool, in the colors of the predicted classes; black squares are labeled. Strategies that read a query set show it as",
            "diamonds, those that read a private set as crosses. Probabilities are those of a linear head on the six labels;",
            "sampled probabilities are those of ten heads with random changes. Labels cost more from left to right, which only",
            "`knapsack` reads. Parameters are the defaults. Distances mean more in the plane than in most embeddings:",
            "[strategies.md](strategies.md) says when to use which strategy.",
            "`python scripts/gallery.py` makes this page.",
            "",
            "<table>",
            *(f"<tr>{''.join(row)}</tr>" for row in rows),
            "</table>",
            "",
        ]
    )


def _first_line(name: str) -> str:
    line = (inspect.getdoc(STRATEGIES[name]) or "").split("\n", 1)[0]
    return re.sub(r"``(.*?)``", r"<code>\1</code>", html.escape(line, quote=False))


def current() -> dict[Path, str]:
    """The current content of each file."""
    names = drawn_names()
    return {DOCS / "gallery.md": page(names), **{DOCS / "gallery" / f"{name}.svg": picture(name) for name in names}}


if __name__ == "__main__":
    (DOCS / "gallery").mkdir(exist_ok=True)
    files = current()
    for old in set((DOCS / "gallery").glob("*.svg")) - files.keys():
        old.unlink()
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")
