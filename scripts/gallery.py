"""Write docs/gallery.md and docs/gallery/NAME.svg: what every strategy selects from one pool in the plane."""

from __future__ import annotations

import html
import inspect
import re
import textwrap
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from distil import HeadConfig, LinearHead, Selection, select, select_from
from distil.signals import OfTokens, measured_by
from distil.strategies import STRATEGIES, strategy_named
from distil.strategies.registry import tasks_of
from distil.training.linear_head import fit_head

DOCS = Path(__file__).parents[1] / "docs"
PICKS, SIDE, REACH, COLUMNS = 12, 280, 2.2, 3
_COLORS = ("#7fb3d9", "#e8a87c", "#8cc7a1", "#b79ad1")  # of the predicted classes
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


class Scene(NamedTuple):
    """What a strategy selects, and what the picture shows.

    Attributes:
        chosen: The selection.
        groups: The color of each point, (N,): that of its predicted class, say.
        sets: Role -> rows, of the sets that are shown.
    """

    chosen: Selection
    groups: Tensor
    sets: dict[str, list[int]]


def head_of(x: Tensor, labeled: dict[int, int]) -> LinearHead:
    """A linear head, trained on the labels."""
    head = LinearHead.over(x, 3)
    fit_head(head, x[list(labeled)], torch.tensor(list(labeled.values())), HeadConfig())
    return head


def classes(name: str) -> Scene:
    """A class for each point; probabilities are those of a linear head, and of ten heads with noise in their weights."""
    x, sets = pool()
    head = head_of(x, sets["labeled"])
    noise = torch.randn(10, *head.linear.weight.shape, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        sampled = head.features(x) @ (head.linear.weight + noise).transpose(1, 2) + head.linear.bias
        probs = head(x).softmax(1)
    given = {
        "embeddings": x,
        "probs": probs,
        "mc_probs": sampled.transpose(0, 1).softmax(2),
        "costs": 1 + x[:, 0] - x[:, 0].min(),  # rising from left to right
    }
    needs = strategy_named(name).needs
    shown = {
        role: list(sets[role]) for role in ("labeled", "query", "private") if role == "labeled" or getattr(needs, role)
    }
    return Scene(select_from(name, PICKS, **given, **sets, seed=0), probs.argmax(1), shown)


def gradients(name: str) -> Scene:
    """A class for each point, predicted by a network: the linear head."""
    x, sets = pool()
    head = head_of(x, sets["labeled"])
    with torch.no_grad():
        groups = head(x).argmax(1)
    labeled = list(sets["labeled"])
    return Scene(select(name, head, x, PICKS, labeled=labeled, seed=0), groups, {"labeled": labeled})


def numbers(name: str) -> Scene:
    """A number for each point: a wave from left to right that also rises. Six linear models each lack one of the labels."""
    x, sets = pool()
    target = torch.sin(2 * x[:, 0]) + x[:, 1]
    rows = torch.tensor(list(sets["labeled"]))
    with_one = torch.cat([x, torch.ones(len(x), 1)], 1)
    kept = [rows[rows != row] for row in rows]
    fits = [torch.linalg.lstsq(with_one[some], target[some, None]).solution for some in kept]
    models = torch.cat([with_one @ fit for fit in fits], 1)  # (N, 6)
    labeled = {int(row): float(target[row]) for row in rows}
    chosen = select_from(
        name,
        PICKS,
        embeddings=x,
        predictions=models.mean(1),
        mc_predictions=models,
        labeled=labeled,
        task="regression",
        seed=0,
    )
    thirds = torch.quantile(models.mean(1), torch.tensor([1 / 3, 2 / 3]))
    return Scene(chosen, torch.bucketize(models.mean(1), thirds), {"labeled": list(labeled)})


def several_labels(name: str) -> Scene:
    """Two labels for each point, each with or without the other: to the right, and above."""
    x, sets = pool()
    probs = (3 * x).sigmoid()
    chosen = select_from(name, PICKS, probs=probs, labeled=list(sets["labeled"]), task="multilabel", seed=0)
    return Scene(chosen, (probs > 0.5).long() @ torch.tensor([1, 2]), {"labeled": list(sets["labeled"])})


def tokens(name: str) -> Scene:
    """Four tokens for each point, a little beside it, with probabilities by the linear head."""
    x, sets = pool()
    beside = x[:, None] + 0.3 * torch.randn(len(x), 4, 2, generator=torch.Generator().manual_seed(5))
    head = head_of(x, sets["labeled"])
    with torch.no_grad():
        probs, groups = head(beside.flatten(0, 1)).softmax(1), head(x).argmax(1)
    labeled = list(sets["labeled"])
    offsets = torch.arange(0, 4 * len(x) + 1, 4)
    return Scene(
        select_from(name, PICKS, probs=probs, offsets=offsets, labeled=labeled, seed=0), groups, {"labeled": labeled}
    )


def pairs(name: str) -> Scene:
    """A prompt for each point, with three responses: rewards are the logits of the linear head, less certain far from labels."""
    x, sets = pool()
    head, labeled = head_of(x, sets["labeled"]), list(sets["labeled"])
    with torch.no_grad():
        rewards = head(x)
    deviations = torch.cdist(x, x[labeled]).min(1).values[:, None] * torch.tensor([1.0, 1.5, 2.0])
    chosen = select_from(name, PICKS, rewards=rewards, deviations=deviations, labeled=labeled, seed=0)
    return Scene(chosen, rewards.argmax(1), {"labeled": labeled})


# Title of a section -> what it says, and the scenes of its strategies.
SECTIONS = {
    "A class for each example": (
        "Dots have the colors of the predicted classes. Strategies that read a query set show it as diamonds, those that read a "
        "private set as crosses. Probabilities are those of a linear head on the six labels; sampled probabilities are those of "
        "ten heads with random changes. Labels cost more from left to right, which only `knapsack` reads.",
        classes,
    ),
    "By the gradients of a network": (
        "The network is the same linear head: the picks are the points nearest to a boundary between two colors.",
        gradients,
    ),
    "Numbers": (
        "The target is sin 2x + y; the colors are thirds of the predictions. Predictions are those of six linear models, each "
        "without one of the six labels.",
        numbers,
    ),
    "Several labels for each example": (
        "Two labels, one to the right and one above: the colors are the four combinations.",
        several_labels,
    ),
    "Tokens": ("Each point is an example of four tokens, which lie a little beside it.", tokens),
    "Pairs of responses": (
        "Each point is a prompt with three responses. The colors are the responses of largest reward; rewards are less certain "
        "far from the labeled prompts. The reasons of a selection name the pair to compare.",
        pairs,
    ),
}


def section_of(name: str) -> str:
    """The section of a strategy."""
    strategy = strategy_named(name)
    read = measured_by(strategy.needs.pool)
    if any(signal.argument == "rewards" for signal in read):
        return "Pairs of responses"
    if any(isinstance(signal, OfTokens) for signal in read):
        return "Tokens"
    if "classification" not in tasks_of(strategy):
        return "Numbers" if "regression" in tasks_of(strategy) else "Several labels for each example"
    return "By the gradients of a network" if any(signal.grad for signal in read) else "A class for each example"


def drawn_names() -> list[str]:
    """All strategies of the library, in the order of docs/strategies.md."""
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", (DOCS / "strategies.md").read_text(encoding="utf-8"), re.MULTILINE)
    listed = dict.fromkeys(name for row in rows for name in re.findall(r"`(\w+)`", row))
    ours = [name for name, cls in STRATEGIES.items() if cls.__module__.startswith("distil.")]
    return [*(name for name in listed if name in ours), *(name for name in ours if name not in listed)]


def picture(name: str) -> str:
    """The picture of a strategy as SVG."""
    chosen, groups, sets = SECTIONS[section_of(name)][1](name)
    x, _ = pool()
    places = (x - x.mean(0)) / REACH * torch.tensor([1, -1])
    at = ((places + 1) * SIDE / 2).clamp(8, SIDE - 8).round().int().tolist()
    numbered = list(zip(at, groups.tolist(), strict=True))
    dots = [
        f'<path stroke="{color}" d="{"".join(f"M{a} {b}h0" for (a, b), group in numbered if group == number)}"/>'
        for number, color in enumerate(_COLORS[: int(groups.max()) + 1])
    ]
    marks = [
        f'<path transform="translate({at[row][0]} {at[row][1]})" d="{_MARKS[role]}" '
        f'fill="{"none" if role == "private" else "#1c2126"}" stroke="#1c2126"/>'
        for role, rows in sets.items()
        for row in rows
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
    lines = [
        "# Gallery",
        "",
        f"What each strategy selects from the same pool in the plane: {PICKS} picks, with their ranks. Black squares are labeled. "
        "Parameters are the defaults. Distances mean more in the plane than in most embeddings: [strategies.md](strategies.md) "
        "says when to use which strategy. `python scripts/gallery.py` makes this page.",
    ]
    for title, (text, _) in SECTIONS.items():
        cells = [_cell(name) for name in names if section_of(name) == title]
        rows = [cells[start : start + COLUMNS] for start in range(0, len(cells), COLUMNS)]
        lines += ["", f"## {title}", "", text, "", "<table>", *(f"<tr>{''.join(row)}</tr>" for row in rows), "</table>"]
    return "\n".join(
        [*(filled for line in lines for filled in (textwrap.wrap(line, 132) if line[:1] not in "<#" else [line])), ""]
    )


def _cell(name: str) -> str:
    paper = html.escape(STRATEGIES[name].paper, quote=False)
    return (
        f'<td width="33%" valign="top"><img src="gallery/{name}.svg" alt="the picks of {name}"><br><code>{name}</code><br>'
        f"{_first_line(name)}{f'<br><em>{paper}</em>' if paper else ''}</td>"
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
