"""A pool of items with a table of labels, as training data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from distil.data.examples import LabeledSet
from distil.data.ids import index_of
from distil.data.items import Items, Minibatches
from distil.data.pools import open_pool
from distil.datasets.embeddings import read_labels
from distil.datasets.tables import encode
from distil.errors import InvalidInput, nearest


def labeled_items(
    pool: Any,  # noqa: ANN401 - whatever open_pool takes
    labels: str | Path,
    classes: Sequence[str] | None = None,
) -> tuple[LabeledSet, tuple[str, ...]]:
    """The items of a pool that a table labels, to train on: ``distil.fit_dataset`` takes them.

    This ends a proxy loop: the table is the ``labeled.csv`` that a run over embeddings leaves behind, the pool what the embeddings
    were made of.

    Args:
        pool: A pool, or whatever :func:`distil.data.pools.open_pool` takes.
        labels: A table of ids and labels, as :func:`distil.data.ids.read_ids` reads it; items that it does not name are left out.
        classes: What the classes are called, in order; say so where the table may lack one. Default: its distinct labels, whole
            numbers by size, all else by name.

    Returns:
        A map-style data set of (item, class), in the order of the table; and what the classes are called.

    Raises:
        InvalidInput: Ids that the pool does not have, no labels, one class, or a label that is not in ``classes``.
    """
    items: Items | Minibatches = open_pool(pool)
    table = read_labels(Path(labels))
    rows = torch.from_numpy(table.rows(index_of(items.names), len(items)))
    told = table.labels or ()
    if classes is None:
        (codes,), names = encode(table.origin, np.array(told))
        return LabeledSet(items, rows, torch.from_numpy(codes)), names
    number = {name: place for place, name in enumerate(classes)}
    for name, label in zip(table.names, told, strict=True):
        if label not in number:
            raise InvalidInput(f"{table.origin}: {name!r} is {label!r}, which is no class{nearest(label, classes)}")
    return LabeledSet(items, rows, torch.tensor([number[label] for label in told])), tuple(classes)
