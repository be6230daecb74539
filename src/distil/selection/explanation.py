"""Explanations of a selection: what each pick is near to and what it represents, from embeddings, whatever the strategy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from distil.data.arrays import Array, called, scalar
from distil.data.distances import ruler
from distil.data.frames import check_same_ids
from distil.errors import InvalidInput
from distil.functional.representatives import Assigned, assigned, represented
from distil.measuring.source import ArraySource
from distil.rng import Rng
from distil.selection.arguments import as_array, as_candidates, as_names, numbers_in
from distil.selection.ids import IdReader, split_pair
from distil.signals import Embedding
from distil.strategies.base import Selection
from distil.system.runtime import Runtime, as_runtime

Json = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Explained:
    """What is explained: rows of one array of embeddings.

    Attributes:
        embeddings: Embeddings, (N, D).
        pool: Rows that could be chosen, ascending; it may hold the picks.
        labeled: Rows that were labeled, (M,), none of them a pick.
        labels: Their labels, one per row; None where they are not known.
        name: Row -> the caller's id.
        names: The caller's names of the rows, for messages; None: positions are the names.
    """

    embeddings: Array
    pool: Tensor
    labeled: Tensor
    labels: Sequence[Any] | None
    name: Callable[[int], Any]
    names: Sequence[Any] | None = None


def explain(
    selection: Selection,
    embeddings: Array,
    *,
    labeled: Any = None,  # noqa: ANN401 - the forms of select_from
    candidates: Any = None,  # noqa: ANN401
    names: Sequence[Any] | None = None,
    runtime: Runtime | None = None,
) -> Json:
    """Explain a selection: the nearest labeled example of each pick, and the examples that the pick represents.

    Every example that was neither labeled nor picked is represented by the nearest of all picks and labeled examples. So the picks
    with the most examples stand for the parts of the pool that no label had reached. Distances are Euclidean. The explanation is
    the same for all strategies; ``why`` holds what the strategy itself says.

    Args:
        selection: What ``select``, ``select_from`` or ``Learner.query`` returned.
        embeddings: Embeddings of the whole pool, (N, D); ``distil.embed`` makes them.
        labeled: The examples that were labeled before the selection: ids, a dict {id: label} or a pair (ids, labels). Picks among
            them do not count.
        candidates: The examples that could be chosen; default: all except ``labeled``.
        names: A name for every example, as for ``select_from``.
        runtime: Whether to show a progress bar.

    Returns:
        A document that JSON can hold if ids and labels can. ``picks`` has, for each pick, ``rank``, ``id``, ``score`` and ``why``
        (None where the strategy has none), ``nearest_labeled`` (``id``, ``distance`` and, where it is known, ``label``; None
        without labeled examples) and ``represents``: ``count``, ``share`` of the represented examples, ``ids`` (nearest first) and
        ``farthest``, the largest distance (None without ids). ``labeled`` has ``id``, ``label`` and ``represents`` of the labeled
        examples that represent others, the largest number first. ``typical_distance`` is the median distance between two examples,
        ``examples`` the number that could be chosen, ``represented`` that of those not chosen, and ``notes`` are the selection's.

    Raises:
        InvalidInput: Ids are not of the pool, all embeddings are equal, or one is NaN or infinite.

    Cost: O(N (n + M) D), one pass over the embeddings.

    >>> from distil import select_from
    >>> x = torch.tensor([[0.0], [1.0], [1.5], [8.0], [9.0], [9.5]])
    >>> found = explain(select_from("core_set", 1, embeddings=x, labeled={0: "cat"}), x, labeled={0: "cat"})
    >>> found["picks"][0]["id"], found["picks"][0]["nearest_labeled"], found["picks"][0]["represents"]["ids"]
    (5, {'id': 0, 'label': 'cat', 'distance': 9.5}, [4, 3])
    """
    if not isinstance(selection, Selection):
        raise InvalidInput(
            f"selection must be a Selection, as select and select_from return, got {type(selection).__name__}"
        )
    array = as_array(numbers_in(embeddings, "embeddings")[0], "embeddings", "embeddings")
    names = as_names(names, len(array))
    reader = IdReader(len(array), names)
    picks = reader.positions(selection, "selection")
    ids, labels = (None, None) if labeled is None else split_pair(labeled, reader, "labeled")
    rows = picks[:0] if ids is None else reader.positions(ids, "labeled", ordered=labels is not None)
    if labels is not None:
        check_same_ids(labels, called(rows, names), "the labels of labeled", "the labeled examples")
        if len(labels) != len(rows):
            raise InvalidInput(
                f"the labels of labeled must have one entry for each of the {len(rows):,} examples, got {len(labels):,}"
            )
    before = torch.nonzero(~torch.isin(rows, picks))[:, 0]
    pool = as_candidates(candidates, None, {"labeled": rows[before]}, reader)
    kept = None if labels is None else [scalar(list(labels)[row]) for row in before.tolist()]
    return explanation(selection, Explained(array, pool, rows[before], kept, reader.name, names), as_runtime(runtime))


def explanation(selection: Selection, of: Explained, runtime: Runtime) -> Json:
    """The document of :func:`explain`, whose arguments are read already."""
    picks, n = selection.ids, len(selection)
    rest = of.pool[~torch.isin(of.pool, picks)]
    to_labeled = _assigned(of, picks, of.labeled, runtime) if len(of.labeled) else None
    # An example that is equally near to both is represented by the labeled one.
    found = _assigned(of, rest, torch.cat([of.labeled, picks]), runtime)
    groups = [_represents(of, rest, rows, found) for rows in represented(found, len(of.labeled) + n)]
    owners = [_labeled(of, place) | {"represents": groups[place]} for place in range(len(of.labeled))]
    scores = [None] * n if selection.scores is None else selection.scores.tolist()
    why = [None] * n if selection.reasons is None else list(selection.reasons)
    return {
        "picks": [
            {
                "rank": place + 1,
                "id": of.name(row),
                "score": scores[place],
                "why": why[place],
                "nearest_labeled": None if to_labeled is None else _nearest(of, place, to_labeled),
                "represents": groups[len(of.labeled) + place],
            }
            for place, row in enumerate(picks.tolist())
        ],
        "labeled": sorted(
            (each for each in owners if each["represents"]["count"]), key=lambda each: -each["represents"]["count"]
        ),
        "typical_distance": ruler(of.embeddings, torch.cat([rest, picks, of.labeled]).sort().values).typical,
        "examples": len(rest) + n,
        "represented": len(rest),
        "notes": list(selection.notes),
    }


def _assigned(of: Explained, rows: Tensor, representatives: Tensor, runtime: Runtime) -> Assigned:
    """The nearest of some rows to each of ``rows``; their embeddings are checked while they are read."""
    source = ArraySource(torch.cat([rows, representatives]), {"embeddings": of.embeddings}, names=of.names)
    y = source.of(torch.arange(len(rows), len(source.ids))).table((Embedding(),), runtime, Rng(0))[Embedding()]
    if not len(rows):
        return Assigned(rows, rows.double())
    chunks = source.of(torch.arange(len(rows))).chunks((Embedding(),), runtime, Rng(0))
    parts = [assigned(chunk[Embedding()], y) for chunk in chunks]
    return Assigned(torch.cat([part.to for part in parts]), torch.cat([part.dists for part in parts]))


def _nearest(of: Explained, place: int, found: Assigned) -> Json:
    """The labeled example that is nearest to the pick at this place."""
    return _labeled(of, int(found.to[place])) | {"distance": float(found.dists[place])}


def _labeled(of: Explained, place: int) -> Json:
    """The id and, where it is known, the label of the labeled example at this place."""
    entry = {"id": of.name(int(of.labeled[place]))}
    return entry if of.labels is None else {**entry, "label": of.labels[place]}


def _represents(of: Explained, pool: Tensor, rows: Tensor, found: Assigned) -> Json:
    """What one representative stands for: the examples at ``rows`` of ``pool``, nearest first."""
    return {
        "count": len(rows),
        "share": len(rows) / max(1, len(pool)),
        "farthest": float(found.dists[rows[-1]]) if len(rows) else None,
        "ids": [of.name(row) for row in pool[rows].tolist()],
    }
