"""Training data from a pool of items and a table of labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from distil.data.examples import LabeledSet
from distil.data.ids import as_name, index_of, normal
from distil.data.items import Items, Minibatches
from distil.data.labels import as_classes
from distil.data.pools import open_pool
from distil.data.table_files import Quoting
from distil.datasets.embeddings import read_labels
from distil.datasets.tables import encode
from distil.errors import InvalidInput, nearest


def labeled_items(
    pool: Any,  # noqa: ANN401 - anything that open_pool takes
    labels: str | Path,
    classes: Sequence[str] | None = None,
    quoting: Quoting | None = None,
) -> tuple[LabeledSet, tuple[str, ...]]:
    """The labeled items of a pool as training data for ``distil.fit_dataset``.

    It is the last step of active learning on embeddings: the table is the ``labeled.csv`` that a run over embeddings writes, and
    the pool holds the items that were embedded.

    Args:
        pool: A pool, or anything that :func:`distil.data.pools.open_pool` takes.
        labels: A table of ids and labels, in a format of :func:`distil.data.ids.read_ids`; items without a row in it are left
            out.
        classes: The names of the classes, in order; pass them if the table may lack one. Default: the distinct labels, whole
            numbers in their order, other labels sorted by name.
        quoting: Whether cells of csv and tsv may be quoted; see :func:`distil.data.table_files.open_table`.

    Returns:
        A map-style data set of (item, class), in the order of the table, and the names of the classes.

    Raises:
        InvalidInput: An id is not in the pool, there are no labels or only one class, or a label is not in ``classes``.
    """
    items: Items | Minibatches = open_pool(pool, quoting=quoting)
    table = read_labels(Path(labels), quoting)
    rows = torch.from_numpy(table.rows(index_of(items.names), len(items)))
    y = table.labels or ()
    if classes is None:
        (codes,), names = encode(table.origin, np.array(y))
        return LabeledSet(items, rows, torch.from_numpy(codes)), names
    named = as_classes([normal(as_name(name)) for name in as_classes(classes)])
    number = {name: place for place, name in enumerate(named)}
    for name, label in zip(table.names, y, strict=True):
        if label not in number:
            raise InvalidInput(
                f"{table.origin}: the label of {name!r} is {label!r}, which is not one of the classes{nearest(label, classes)}"
            )
    return LabeledSet(items, rows, torch.tensor([number[label] for label in y])), tuple(classes)
