"""A simulated person who labels a project: labels needed by the default order and at random, labels per hour by key and by grid.

The person knows every label. Digits of MNIST are images in a folder, AG News is a table of texts; the project, the features, the
fits and the order are those of ``distil label``, without its server: a fit after every 5 answers, which serves from the next 5 on,
and 10 items ahead on the page. Paired: for one seed both orders have the same pool.

Run as ``python -m benchmarks labeling_person``. Every finished run is a file under ``runs/labeling_person``; what is there is not
done again, so an interrupted benchmark goes on.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks.machine import write
from benchmarks.texts import SETS as TEXTS
from distil.datasets.load import load
from distil.evaluation.curves import first_reached
from distil.evaluation.statistics import mean_interval, paired_difference
from distil.labeling.choosing import RANDOM_SHARE, Guesses, fitted
from distil.labeling.events import Event, Shown
from distil.labeling.features import ItemFeatures, item_features
from distil.labeling.fitting import Fit
from distil.labeling.model import AHEAD
from distil.labeling.progress import Tally
from distil.labeling.project import Project
from distil.labeling.worker import EVERY
from distil.rng import Rng

POOL, TEST = 3_000, 1_500
LABELS = 400
HELD = 10
"""Items that the page holds ahead."""
SHARE = 0.9
"""The target, a share of the accuracy with the whole pool labeled."""
ORDERS = {"default": RANDOM_SHARE, "random": 1.0}
"""Order -> share of random items."""
SETS = {"mnist": "MNIST, images in a folder", "ag_news": "AG News, a table of texts", "sst2": "SST-2, a table of texts"}
GRID = 20
"""Items of a page of the grid."""
GRIDS_FROM, GRID_PAGES = 100, 15
"""Labels after which the person goes over to the grid, and number of its pages: as many labels as ``LABELS`` in all."""


@dataclass(frozen=True)
class Hand:
    """A time model: seconds for each thing that a person does.

    One by one an answer takes a decision and a key. A page of the grid takes a decision and a key (Enter), a look at each item,
    and for each wrong guess a click, and an answer one by one later.
    """

    decision: float
    key: float
    look: float
    click: float

    @property
    def single(self) -> float:
        """Labels an hour one by one."""
        return 3600 / (self.decision + self.key)

    def grid(self, right: float) -> float:
        """Labels an hour by grid, where a share of the guesses is right."""
        answer = self.decision + self.key
        return 3600 * GRID / (answer + GRID * (self.look + (1 - right) * (self.click + answer)))

    @property
    def break_even(self) -> float:
        """The share of right guesses from which on the grid is faster."""
        answer = self.decision + self.key
        return 1 - (answer - answer / GRID - self.look) / (self.click + answer)


HANDS = {
    "150 ms an answer": Hand(decision=0.1, key=0.05, look=0.05, click=0.3),
    "keystroke-level model": Hand(decision=1.35, key=0.28, look=0.23, click=1.2),
}
"""The second has the operators M, K, and P + B of Card, Moran and Newell 1980, and an eye movement of their human processor."""


# ------------------------------------------------------------------------------------------------------------------ items


@dataclass(frozen=True, eq=False)
class Task:
    """Items of which the first ``POOL`` are to be labeled and the others are the test set, and their true classes.

    Attributes:
        source: The folder or table.
        classes: The names of the classes.
        truth: Id of an item -> number of its class.
        pool: Ids of the items that are to be labeled.
    """

    source: Path
    classes: list[str]
    truth: dict[str, int]
    pool: set[str]


def task(name: str, seed: int, root: Path, folder: Path, pool: int = POOL, test: int = TEST) -> Task:
    """Write the items of a seed to a folder: a random part of the set, ``pool`` items to label and ``test`` others."""
    if name == "mnist":
        data = load("mnist", root)
        rows = np.random.default_rng(seed).permutation(len(data.y_train))[: pool + test]
        ids = [f"{row:05}.png" for row in rows]
        y = data.y_train.numpy()[rows]
        source = folder / "digits"
        source.mkdir()
        for row, item in zip(rows, ids, strict=True):
            Image.fromarray(data.x_train[row].squeeze().numpy()).save(source / item)
    else:
        data = TEXTS[name](root)
        rows = np.random.default_rng(seed).permutation(len(data.y))[: pool + test]
        ids, y, source = [f"n{row}" for row in rows], data.y[rows], folder / "news.csv"
        with source.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("id", "text"), *zip(ids, (data.texts[row] for row in rows), strict=True)])
    classes = [f"class {number}" for number in range(int(y.max()) + 1)]
    return Task(source, classes, dict(zip(ids, map(int, y), strict=True)), set(ids[:pool]))


# ---------------------------------------------------------------------------------------------------------------- a person


class Person:
    """One run: a person answers what an order hands out, and the model is fitted behind it.

    Args:
        task: The items.
        project: A new project with them.
        features: Their rows.
        seed: Seed of the order.
        share: Share of random items.
        step: Answers between two fits.
    """

    def __init__(
        self, task: Task, project: Project, features: ItemFeatures, seed: int, share: float, *, step: int = EVERY
    ) -> None:
        self._step = step
        self._task, self._project, self._features, self._share = task, project, features, share
        self._rng = Rng(seed)
        self._y = torch.tensor([task.truth[item] for item in features.ids])
        self._in_pool = torch.tensor([item in task.pool for item in features.ids])
        self.labels, self.accuracy = [], []
        self._fits = 0
        self.fit = self._fitted()
        self._ready = self._order()
        self._next = self._ready
        self._held: list[tuple[int, Shown]] = []

    def answer(self, n: int) -> None:
        """Answer ``n`` items one by one."""
        for _ in range(n // self._step):
            answers = []
            for _ in range(self._step):
                self._refill({row for row, _ in answers})
                answers.append(self._held.pop(0))
            self.record(answers)
            self._ready = self._next
            self._next = self._order()

    def record(self, answers: Sequence[tuple[int, Shown]]) -> None:
        """Give the true labels of rows, and fit."""
        names, classes = self._features.ids, self._task.classes
        self._project.record_all(
            [
                Event(
                    kind="label", who="person", item=names[row], label=classes[int(self._y[row])], ms=150, shown=shown
                )
                for row, shown in answers
            ]
        )
        self.fit = self._fitted()
        self.labels.append(int((self.fit.y >= 0).sum()))
        self.accuracy.append(self.right(~self._in_pool))

    def right(self, rows: torch.Tensor) -> float:
        """The share of rows, given as a mask, for which the model's guess is right; 0 without a model."""
        return 0.0 if self.fit.guesses is None else float((self.fit.guesses.classes == self._y)[rows].float().mean())

    def judged(self) -> dict[str, float] | None:
        """What ``distil project status`` says of the accuracy over the whole pool, and the truth; None before a random item."""
        assert self.fit.guesses is not None
        known = torch.where(self.fit.y >= 0, self.fit.y, self.fit.guesses.classes)
        tally, truths = Tally(), self._project.truths()
        tally.read(self._project)
        unseen = self.fit.unseen(self._rng.child("unseen", self._fits)).tolist()
        guesses = {item: self._task.classes[c] for item, c in zip(self._features.ids, unseen, strict=True)}
        found = tally.progress(truths, len(self._task.pool) - len(truths), guesses).accuracy
        return found and {**asdict(found), "truth": float((known == self._y)[self._in_pool].float().mean())}

    def grid(self) -> float:
        """Answer a page of the grid; returns the share of its guesses that were right."""
        rows = grid_of(self.fit, torch.nonzero(self._in_pool & (self.fit.y < 0))[:, 0])
        assert self.fit.guesses is not None
        right = (self.fit.guesses.classes == self._y)[rows]
        self.record([(row, Shown(reason="grid")) for row in rows.tolist()])
        return float(right.float().mean())

    def _refill(self, answered: set[int]) -> None:
        taken = answered | {row for row, _ in self._held}
        free = [(row, shown) for row, shown in self._ready if row not in taken and self.fit.y[row] < 0]
        self._held += free[: HELD - len(self._held)]

    def _fitted(self) -> Fit:
        return Fit.of(self._project, self._features)

    def _order(self) -> list[tuple[int, Shown]]:
        """What to hand out next by the last fit, and what is shown with it."""
        self._fits += 1
        open_rows = torch.nonzero(self._in_pool & (self.fit.y < 0))[:, 0]
        order = self.fit.order(open_rows, AHEAD, self._rng.child(self._fits), share=self._share)
        names = [self._features.ids[row] for row in order.rows.tolist()]
        shown = self.fit.shown(dict(zip(names, order.reasons, strict=True)))
        return list(zip(order.rows.tolist(), shown.values(), strict=True))


def grid_of(fit: Fit, open_rows: torch.Tensor) -> torch.Tensor:
    """A page of the grid: the open items of one class that the model is surest of, of the class with most open items."""
    assert fit.guesses is not None
    guesses: Guesses = fit.guesses
    most = int(guesses.classes[open_rows].bincount().argmax())
    rows = open_rows[guesses.classes[open_rows] == most]
    return rows[guesses.p[rows].argsort(descending=True, stable=True)[:GRID]]


def run(name: str, seed: int, order: str, root: Path) -> dict[str, Any]:
    """One person on one pool in one order; the default order is followed by pages of the grid."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        items = task(name, seed, root, folder)
        with Project.create(folder / "project", classes=items.classes) as project:
            project.add(items.source)
            features = item_features(project.items(), folder / "cache")
            person = Person(items, project, features, seed, ORDERS[order])
            person.answer(GRIDS_FROM)
            shutil.copytree(folder / "project", folder / "copy")
            person.answer(LABELS - GRIDS_FROM)
            found: dict[str, Any] = {"full": full_data(items, features), "labels": person.labels}
            found["accuracy"] = person.accuracy
        if order == "default":
            with Project.open(folder / "copy") as project:
                person = Person(items, project, features, seed, 0.0)
                found["grid"] = [person.grid() for _ in range(GRID_PAGES)]
                found["after_grid"] = person.accuracy[-1]
    return found


def full_data(items: Task, features: ItemFeatures) -> float:
    """The accuracy on the test set of a head that knows the labels of the whole pool."""
    y = torch.tensor([items.truth[item] for item in features.ids])
    in_pool = torch.tensor([item in items.pool for item in features.ids])
    guesses = fitted(features.x, torch.where(in_pool, y, -1), len(items.classes))
    assert guesses is not None
    return float((guesses.classes == y)[~in_pool].float().mean())


# ----------------------------------------------------------------------------------------------------------------- tables


HEAD = """# A simulated person

`python -m benchmarks labeling_person`. The person knows every label. {pool:,} items are to be labeled and {test:,} others are the
test set; each of {seeds} seeds draws both anew from the set, and both orders label the same pool. Project, features, fits and order
are those of `distil label`, in process: a fit after every {every} answers, which serves from the next {every} on, and {held} items
ahead on the page. *Default* is the order of `distil label` (herding, weighted by uncertainty once there is a model, with
{share:.0%} random items); *random* is the same with random items only. A run that
does not reach the target counts with all its labels. Intervals are 95 % t intervals over seeds."""

ON_THE_GRID = """## Labels per hour

A time model, not people: one by one, an answer is a decision and a key. A page of the grid has {grid} items of one guessed class,
those of which the model is surest; it takes a decision and Enter, a look at each item, and for each wrong guess a click, and an
answer one by one later. Seconds for a decision, a key, a look and a click:

{hands}

The keystroke-level model is that of Card, Moran and Newell 1980 (M 1.35 s, K 0.28 s, P 1.1 s, B 0.1 s), with an eye movement of
0.23 s as the look. The grid begins after {labels} labels in the default order and has {pages} pages, with a fit after each.
"""


def of_seeds(values: Sequence[float], digits: int = 0, scale: float = 1) -> str:
    """The mean over seeds with its interval."""
    found = mean_interval(np.array(values) * scale)
    return f"{found.mean:.{digits}f} ({found.low:.{digits}f} to {found.high:.{digits}f})"


def needed(found: dict[str, Any]) -> float:
    """Labels with which a run first reaches the target; ``LABELS`` if it does not."""
    grid, curve = np.array(found["labels"], float), np.array(found["accuracy"])
    reached = float(first_reached(grid, curve[None], SHARE * found["full"])[0])
    return reached if np.isfinite(reached) else LABELS


Runs = dict[str, dict[str, list[dict[str, Any]]]]
"""Set -> order -> the run of each seed."""


def labels_table(runs: Runs) -> str:
    """Labels needed by both orders, and accuracies on the way."""
    lines = [
        "| set | full data | order | labels needed | of random's | at 20 | at 50 | at 100 | at 200 | at 400 | mean to 200 |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, orders in runs.items():
        full = f"{100 * np.mean([each['full'] for each in orders['random']]):.1f} %"
        base = np.array([needed(each) for each in orders["random"]])
        for order, found in orders.items():
            labels, curves = np.array([needed(each) for each in found]), np.array([each["accuracy"] for each in found])
            at = [f"{100 * curves[:, n // EVERY - 1].mean():.1f}" for n in (20, 50, 100, 200, 400)]
            area = of_seeds(curves[:, : 200 // EVERY].mean(1), 1, 100)
            share = of_seeds(labels / base, 2) if order == "default" else "1"
            lines.append(
                f"| {SETS[name]} | {full} | {order} | {of_seeds(labels)} | {share} | {' | '.join(at)} | {area} |"
            )
    return "\n".join(lines)


def differences(runs: Runs) -> str:
    """Sentences on the paired differences."""
    lines = []
    for name, orders in runs.items():
        default, random = ([needed(each) for each in orders[order]] for order in ORDERS)
        saved = paired_difference(random, default)
        areas = [np.array([each["accuracy"] for each in orders[order]])[:, : 200 // EVERY].mean(1) for order in ORDERS]
        area = paired_difference(100 * areas[0], 100 * areas[1])
        better = sum(a < b for a, b in zip(default, random, strict=True))
        lines.append(
            f"- {SETS[name]}: the default order saves {saved.mean:.0f} labels ({saved.low:.0f} to {saved.high:.0f}), and "
            f"fewer in {better} of {len(default)} seeds; its mean accuracy up to 200 labels is {area.mean:+.1f} points "
            f"({area.low:+.1f} to {area.high:+.1f})."
        )
    return "\n".join(lines)


def hour_table(runs: Runs) -> str:
    """Labels an hour one by one and by grid."""
    lines = [
        "| set | guesses on the grid right | first 5 pages | hand | one by one | by grid | ratio | grid faster from |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, orders in runs.items():
        pages = np.array([each["grid"] for each in orders["default"]])
        right, first = pages.mean(1), 100 * pages[:, :5].mean()
        for title, hand in HANDS.items():
            by_grid = np.array([hand.grid(share) for share in right])
            lines.append(
                f"| {SETS[name]} | {of_seeds(right, 1, 100)} % | {first:.1f} % | {title} | {hand.single:,.0f} | "
                f"{by_grid.mean():,.0f} | {of_seeds(by_grid / hand.single, 2)} | {100 * hand.break_even:.0f} % |"
            )
    return "\n".join(lines)


def after_grid(runs: Runs) -> str:
    """What the model learns from the grid."""
    lines = []
    for name, orders in runs.items():
        by_grid = np.array([each["after_grid"] for each in orders["default"]])
        single = np.array([each["accuracy"][-1] for each in orders["default"]])
        lines.append(
            f"- {SETS[name]}: {100 * by_grid.mean():.1f} % after the grid, {100 * single.mean():.1f} % one by one."
        )
    return "\n".join(lines)


def tables(runs: Runs, seeds: int) -> str:
    """Everything that the results say."""
    head = HEAD.format(pool=POOL, test=TEST, seeds=seeds, every=EVERY, held=HELD, share=RANDOM_SHARE)
    hands = "\n".join(
        f"- {title}: {hand.decision:g}, {hand.key:g}, {hand.look:g}, {hand.click:g}" for title, hand in HANDS.items()
    )
    grid = ON_THE_GRID.format(grid=GRID, labels=GRIDS_FROM, pages=GRID_PAGES, hands=hands)
    return "\n\n".join(
        [
            head,
            f"## Labels needed for {SHARE:.0%} of the accuracy with all labels",
            labels_table(runs),
            differences(runs),
            grid.strip(),
            hour_table(runs),
            f"Confident items teach the model little. Accuracy on the test set with {LABELS} labels, of which the last "
            f"{GRID * GRID_PAGES} were given",
            after_grid(runs),
        ]
    )


def main(argv: list[str]) -> None:
    """Run what is missing, and write the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks labeling_person", description="A simulated person.")
    parser.add_argument("--data", default=os.environ.get("DISTIL_DATA"), help="the data root; default: $DISTIL_DATA")
    parser.add_argument("--output", type=Path, default=Path("runs/labeling_person"))
    parser.add_argument("--seeds", type=int, default=10)
    options = parser.parse_args(argv)
    if options.data is None:
        parser.error("say where the sets are: --data, or DISTIL_DATA")
    torch.set_num_threads(1)
    runs: Runs = {
        name: {
            order: [
                done_by(run, options.output / f"{name}-{order}-{seed}.json", name, seed, order, Path(options.data))
                for seed in range(options.seeds)
            ]
            for order in ORDERS
        }
        for name in SETS
    }
    write("labeling_person", tables(runs, options.seeds))


def done_by(run: Callable[..., dict[str, Any]], path: Path, *what: Any) -> dict[str, Any]:
    """The run in a file, which is made if it is not there."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".tmp").write_text(json.dumps(run(*what)))
        path.with_suffix(".tmp").replace(path)
    return json.loads(path.read_text())
