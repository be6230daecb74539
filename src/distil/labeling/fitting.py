"""Fit the model of a project to its labels, and choose what to hand out next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from distil.labeling.choosing import RANDOM_SHARE, Guesses, Order, fitted, next_items
from distil.labeling.events import Shown, model_name
from distil.labeling.features import ItemFeatures, item_features
from distil.labeling.handing_out import Selector, random_order
from distil.labeling.model import AHEAD, CACHE, Snapshot, last_version
from distil.labeling.project import Project
from distil.labeling.truth import Truth, truths
from distil.rng import Rng
from distil.strategies.base import Strategy
from distil.system.runtime import Runtime
from distil.training.linear_head import LinearHead, held_out


@dataclass(frozen=True, eq=False)
class Fit:
    """A linear head that was fitted to the labels that a project has.

    Attributes:
        features: The rows of the items.
        classes: The names of the classes.
        truths: What the answers to each item say together.
        y: The class of each item, (N,) int64; -1 where it has no label.
        answered: Whether somebody answered the item, (N,) bool; skips count.
        guesses: What the head says; None while fewer than two classes have labels.
    """

    features: ItemFeatures
    classes: list[str]
    truths: Mapping[str, Truth]
    y: Tensor
    answered: Tensor
    guesses: Guesses | None

    @classmethod
    def of(cls, project: Project, features: ItemFeatures) -> Fit:
        """Fit to the labels that the project has now; it is only read."""
        state = project.state()
        said, classes = truths(state.answers), state.classes
        number = {name: c for c, name in enumerate(classes)}
        own = [said.get(name) for name in features.ids]
        y = torch.tensor([-1 if truth is None or truth.label is None else number[truth.label] for truth in own])
        answered = torch.tensor([truth is not None and bool(truth.votes or truth.others) for truth in own])
        return cls(features, classes, said, y, answered, fitted(features.x, y, len(classes)))

    def order(
        self, open_rows: Tensor, n: int, rng: Rng, strategy: Strategy | None = None, share: float = RANDOM_SHARE
    ) -> Order:
        """The items to hand out next: those that need one more answer, and then those that the strategy chooses.

        Args:
            open_rows: Rows of the items that may be handed out, (R,) ascending.
            n: Number of items.
            rng: Random numbers; see :func:`distil.labeling.choosing.next_items`.
            strategy: The strategy; default: the automatic one.
            share: Share of random items.
        """
        again = open_rows[self.answered[open_rows] | (self.y[open_rows] >= 0)][:n]
        new = open_rows[~self.answered[open_rows] & (self.y[open_rows] < 0)]
        chosen = next_items(
            self.features.x,
            self.features.near,
            torch.nonzero(self.y >= 0)[:, 0],
            new,
            n - len(again),
            rng,
            guesses=self.guesses,
            classes=self.classes,
            strategy=strategy,
            share=share,
        )
        return Order(torch.cat([again, chosen.rows]), ["needs one more answer"] * len(again) + chosen.reasons)

    def chosen(
        self, ids: Sequence[str], n: int, rng: Rng, strategy: Strategy | None = None, share: float = RANDOM_SHARE
    ) -> dict[str, str]:
        """The ids of the items to hand out next, best first -> why; those among ``ids``, see ``order``."""
        wanted = set(ids)
        rows = torch.tensor([row for row, name in enumerate(self.features.ids) if name in wanted], dtype=torch.long)
        order = self.order(rows, n, rng, strategy, share)
        return {self.features.ids[row]: why for row, why in zip(order.rows.tolist(), order.reasons, strict=True)}

    def unseen(self, rng: Rng) -> Tensor:
        """The class that the head guesses for each item, where the label of the item does not count, (N,) int64; -1 without a head.

        Items with a label are guessed by heads that were fitted without them, on four of five parts of the labels.

        Args:
            rng: Deals the parts.
        """
        if self.guesses is None:
            return torch.full_like(self.y, -1)
        rows, head = torch.nonzero(self.y >= 0)[:, 0], LinearHead.over(self.features.x, len(self.classes))
        found = self.guesses.classes.clone()
        found[rows] = held_out(head, self.features.x[rows], self.y[rows], rng).argmax(1)
        return found

    def snapshot(self, project: Project, version: int, order: Order) -> Snapshot:
        """What the head says of the items of a project, with an order in which to hand them out, and the number of the fit."""
        places = {name: place for place, name in enumerate(project.ids())}
        here = torch.tensor([places[name] for name in self.features.ids])
        found, p = np.full((2, len(places)), -1, np.int32), np.zeros(len(places), np.float32)
        if self.guesses is not None:
            unseen = self.unseen(Rng(0).child("unseen", project.id, version))
            found[:, here], p[here] = torch.stack([self.guesses.classes, unseen]).numpy(), self.guesses.p.numpy()
        return Snapshot(
            version=version,
            n_labels=int((self.y >= 0).sum()),
            classes=self.classes,
            guesses=found[0],
            p=p,
            unseen=found[1],
            unreadable=np.array([places[name] for name in self.features.unread], np.int64),
            order=here[order.rows].numpy(),
            reasons=order.reasons,
            made_from=self.features.in_words,
        )

    def shown(self, reasons: Mapping[str, str], *, withheld: bool = False) -> dict[str, Shown]:
        """What goes into the record with the answers to items that were chosen, by id: the guess, and why.

        Args:
            reasons: Id -> why the item was chosen.
            withheld: Whether the guesses are not shown to people.
        """
        if self.guesses is None:
            return {name: Shown(reason=why, withheld=withheld) for name, why in reasons.items()}
        rows, model = {name: row for row, name in enumerate(self.features.ids)}, model_name(int((self.y >= 0).sum()))
        classes, p = self.guesses.classes, self.guesses.p
        return {
            name: Shown(self.classes[int(classes[rows[name]])], float(p[rows[name]]), withheld, why, model)
            for name, why in reasons.items()
        }


def snapshot_of(
    project: Project,
    features: ItemFeatures,
    version: int,
    *,
    strategy: Strategy | None = None,
    share: float = RANDOM_SHARE,
    n: int = AHEAD,
) -> Snapshot:
    """Fit the model of a project, and choose among the items that need more answers.

    Args:
        project: The project; it is only read.
        features: The rows of its items.
        version: Number of the fit, which also seeds its random choices.
        strategy: The strategy; default: ``auto``.
        share: Share of random items.
        n: Number of items to choose.
    """
    fit = Fit.of(project, features)
    settled = project.settled()
    rows = torch.tensor([row for row, name in enumerate(features.ids) if name not in settled], dtype=torch.long)
    order = fit.order(rows, n, Rng(0).child("labeling", project.id, version), strategy, share)
    return fit.snapshot(project, version, order)


def chosen_by_model(
    project: Project,
    n: int,
    *,
    model: str | None = None,
    weights: str | Path | None = None,
    strategy: Strategy | None = None,
    share: float = RANDOM_SHARE,
    seed: int = 0,
    runtime: Runtime | None = None,
    shown: dict[str, Shown] | None = None,
) -> Selector:
    """A selector that fits the model of a project and puts first what its strategy chooses; the rest is in a random order.

    Args:
        project: The project; its record is only read, and embeddings and the fitted model are kept in its folder.
        n: Number of items to choose.
        model: The model that embeds the items; see :func:`distil.labeling.features.item_features`.
        weights: Weights of a timm model.
        strategy: The strategy; default: ``auto``.
        share: Share of random items.
        seed: Seed of the random choices.
        runtime: Device and progress bar of the model.
        shown: Takes, by id, the guess for each item that is chosen and why, for the record of its answer.
    """

    def select(ids: Sequence[str]) -> Iterable[str]:
        cache = project.path / CACHE
        features = item_features(project.items(), cache, model=model, weights=weights, runtime=runtime)
        cache.mkdir(exist_ok=True)
        rng = Rng(seed).child("labeling", project.id, project.last_event)
        fit = Fit.of(project, features)
        chosen = fit.chosen(ids, n, rng, strategy, share)
        nothing = Order(torch.empty(0, dtype=torch.long), [])
        fit.snapshot(project, last_version(cache) + 1, nothing).save(cache)
        if shown is not None:
            shown.update(fit.shown(chosen, withheld=True))
        yield from chosen
        yield from random_order(seed)([name for name in ids if name not in chosen])

    return select
