"""Judge the labels of a project by a model that has not seen them: suspects, the quality of people, what to label or relabel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch

from distil.errors import InvalidInput
from distil.evaluation.annotators import activelab, crowdlab
from distil.evaluation.label_errors import Ints, estimated_joint, suspects
from distil.evaluation.statistics import Floats
from distil.labeling.features import ItemFeatures, item_features
from distil.labeling.fitting import Fit
from distil.labeling.handing_out import Selector
from distil.labeling.model import CACHE
from distil.labeling.project import Project
from distil.labeling.quality import Quality, Suspect
from distil.labeling.truth import Truth
from distil.rng import Rng
from distil.system.runtime import Runtime
from distil.training.linear_head import LinearHead, held_out

RELABEL: Final = 500
"""Number of items that are kept in the order of ActiveLab."""


def judge(
    project: Project, *, model: str | None = None, weights: str | Path | None = None, runtime: Runtime | None = None
) -> Quality:
    """Judge the labels that a project has now, and keep the result in its folder.

    Args:
        project: The project; its record is only read.
        model: The model that embeds the items; see :func:`distil.labeling.features.item_features`.
        weights: Weights of a timm model.
        runtime: Device and progress bar of the model.

    Raises:
        InvalidInput: Fewer than two classes have labels.
    """
    cache = project.path / CACHE
    quality = judged(project, item_features(project.items(), cache, model=model, weights=weights, runtime=runtime))
    cache.mkdir(exist_ok=True)
    quality.save(cache)
    return quality


def suspects_first(quality: Quality) -> Selector:
    """A selector of the labeled items whose label is probably wrong, the most probable error first."""
    return _only([each.item for each in quality.suspects])


def relabel_first(quality: Quality) -> Selector:
    """A selector of the items where one more label helps most, by ActiveLab; of 500 at most."""
    return _only([item for item, _ in quality.relabel])


def _only(order: Sequence[str]) -> Selector:
    def select(ids: Sequence[str]) -> Iterable[str]:
        wanted = set(ids)
        return [item for item in order if item in wanted]

    return select


def judged(project: Project, features: ItemFeatures) -> Quality:
    """Judge the labels that a project has now.

    Labeled items are judged by linear heads that were fitted without them, by cross-validation in five folds (single items up to 20
    labels); items without a label by the head of all labels. The only item of its class is judged by that head too, and is no
    suspect: without it, the class is not known. Nor is an item whose label is a decision.

    Args:
        project: The project; it is only read.
        features: The rows of its items.

    Raises:
        InvalidInput: Fewer than two classes have labels.

    Cost: about three fits of the head.
    """
    fit = Fit.of(project, features)
    found = fit.truths
    if fit.guesses is None:
        raise InvalidInput(
            "fewer than two classes have labels, so there is no model that could judge them; label more items"
        )
    probs = fit.guesses.probs.double()
    rows = torch.nonzero(fit.y >= 0)[:, 0]
    y = fit.y[rows]
    held = held_out(
        LinearHead.over(features.x, len(fit.classes)), features.x[rows], y, Rng(0).child("quality", project.id)
    )
    several = y.bincount()[y] > 1
    probs[rows[several]] = held[several]
    p, given = probs.numpy(), y.numpy()
    suspected = rows[suspects(given, p[rows])].tolist()
    wrong = [row for row in suspected if not found[features.ids[row]].decided]
    joint = estimated_joint(given, p[rows])
    people = dict.fromkeys(who for name in features.ids if name in found for who in found[name].votes)
    votes = _votes(features.ids, found, fit.classes, list(people))
    quality = crowdlab(votes, p).annotators.tolist()  # one number more than people where all labels are decisions
    return Quality(
        labels=len(rows),
        errors=int(joint.sum() - joint.trace()) if suspected else 0,
        agreement=float((p[rows].argmax(axis=1) == given).mean()),
        suspects=tuple(_suspect(features.ids[row], fit, p[row], int(fit.y[row])) for row in wrong),
        annotators=dict(zip(people, quality, strict=False)),
        relabel=_lowest(features.ids, activelab(votes, p), found),
    )


def _suspect(item: str, fit: Fit, p: Floats, label: int) -> Suspect:
    guess = int(p.argmax())
    return Suspect(item, fit.classes[label], fit.classes[guess], round(float(p[guess]), 4))


def _votes(ids: Sequence[str], found: Mapping[str, Truth], classes: Sequence[str], people: Sequence[str]) -> Ints:
    """The class that each person gave each item, (N, J); -1 where a person gave none."""
    number = {name: c for c, name in enumerate(classes)}
    column = {who: j for j, who in enumerate(people)}
    votes = np.full((len(ids), max(len(people), 1)), -1, np.int64)
    for row, name in enumerate(ids):
        if name in found:
            for who, label in found[name].votes.items():
                votes[row, column[who]] = number[label]
    return votes


def _lowest(ids: Iterable[str], scores: Floats, found: Mapping[str, Truth]) -> tuple[tuple[str, float], ...]:
    """The items of lowest score, lowest first, without decided ones."""
    open_ = [(score, item) for item, score in zip(ids, scores.tolist(), strict=True) if not _decided(found.get(item))]
    return tuple((item, round(score, 6)) for score, item in sorted(open_)[:RELABEL])


def _decided(truth: Truth | None) -> bool:
    return truth is not None and truth.decided
