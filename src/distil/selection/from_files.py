"""Selections from files: read and check arrays with their ids, choose, say why, and write what was chosen.

The functions behind ``distil select``.
"""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from distil.data.array_files import Column, read_column
from distil.data.arrays import readable, take
from distil.data.distances import NEAR, ruler
from distil.data.ids import Ids, read_ids
from distil.errors import InvalidInput, MissingSignal
from distil.selection.near_duplicates import without_near_duplicates
from distil.selection.request import Arrays, Picks, Request
from distil.selection.select import select_from
from distil.signals import Labels, measured_by
from distil.strategies.base import Selection, Strategy
from distil.strategies.registry import as_strategy
from distil.system.files import replacing
from distil.system.runtime import CHUNK_ROWS, Runtime

_AXES = {"embeddings": 2, "probs": 2, "mc_probs": 3}


def pick(
    strategy: Strategy | str,
    n: int,
    *,
    embeddings: str | Path | Column | None = None,
    probs: str | Path | Column | None = None,
    mc_probs: str | Path | Column | None = None,
    ids: str | Path | None = None,
    labeled: str | Path | Ids | Sequence[int] | None = None,
    candidates: str | Path | Ids | Sequence[int] | None = None,
    exclude: str | Path | Ids | Sequence[int] | None = None,
    seed: int = 0,
    no_duplicates: bool = False,
    near: float = NEAR,
    runtime: Runtime | None = None,
) -> Picks:
    """Choose the ``n`` rows to label next, from files.

    Args:
        strategy: A strategy, or the name of a registered one.
        n: How many.
        embeddings: File of the embeddings, (N, D), as :func:`distil.data.array_files.read_column` reads it, or a column read.
        probs: Of class probabilities, (N, C).
        mc_probs: Of sampled probabilities, (N, K, C).
        ids: What the rows are called: a column of the table, or a file of ids. Default: what the files say; else positions.
        labeled: What is labeled already: a list of ids (see :func:`distil.data.ids.read_ids`), or rows.
        candidates: What may be chosen, likewise; default: all that is not labeled.
        exclude: What may not, likewise.
        seed: The same one gives the same picks.
        no_duplicates: Whether near-duplicates of labeled rows, and of each other, are left out; this needs embeddings.
        near: Within what share of the typical distance two rows are near-duplicates; see :mod:`distil.selection.near_duplicates`.
        runtime: Memory, folder for what goes beyond it, progress bars.

    Raises:
        InvalidInput: Ids that are not in the pool or there twice, arrays that do not fit together, rows that are NaN, infinite
            or no probabilities: named by their ids, before any work.
        MissingSignal: The strategy needs an array that was not given.
    """
    given = {"embeddings": embeddings, "probs": probs, "mc_probs": mc_probs}
    runtime = runtime or Runtime()
    return chosen(
        request(
            strategy,
            n,
            read_arrays(given, ids, runtime),
            labeled=labeled,
            candidates=candidates,
            exclude=exclude,
            seed=seed,
            near=near if no_duplicates else None,
            runtime=runtime,
        )
    )


def read_arrays(
    given: Mapping[str, str | Path | Column | None], ids: str | Path | None = None, runtime: Runtime | None = None
) -> Arrays:
    """Open the arrays of a pool; their numbers are not looked at yet.

    Args:
        given: By ``embeddings``, ``probs``, ``mc_probs``: a file, a column, or None.
        ids: As for :func:`pick`.
        runtime: Memory for what must be decoded.

    Raises:
        InvalidInput: None at all, a wrong number of axes, numbers of rows that differ, or ids that do.
    """
    columns: dict[str, Column] = {}
    for what, source in given.items():
        if source is not None:
            found = source if isinstance(source, Column) else read_column(source, ids=ids, runtime=runtime)
            columns[what] = found
            _check_axes(what, found)
    if not columns:
        raise InvalidInput(
            "there is nothing to choose from: give embeddings, probs or mc_probs (--embeddings, --probs)"
        )
    if len({len(column) for column in columns.values()}) > 1:
        told = ", ".join(f"{column.origin} has {len(column)}" for column in columns.values())
        raise InvalidInput(f"the arrays must have the same number of rows: {told}")
    return Arrays(columns, _common_names(columns.values()))


def request(
    strategy: Strategy | str,
    n: int,
    arrays: Arrays,
    *,
    labeled: str | Path | Ids | Sequence[int] | None = None,
    candidates: str | Path | Ids | Sequence[int] | None = None,
    exclude: str | Path | Ids | Sequence[int] | None = None,
    seed: int = 0,
    near: float | None = None,
    runtime: Runtime | None = None,
) -> Request:
    """Match the lists of ids with the pool; see :func:`pick`."""
    strategy = as_strategy(strategy)
    if isinstance(labeled, (str, os.PathLike)):
        labeled = read_ids(Path(labeled))
    labels = _labels(strategy, labeled) if isinstance(labeled, Ids) else None
    found = {"labeled": labeled, "candidates": candidates, "exclude": exclude}
    rows = {name: arrays.rows(ids) for name, ids in found.items()}
    if rows["candidates"] is not None and rows["labeled"] is not None:
        both = np.intersect1d(rows["candidates"], rows["labeled"])
        if len(both):
            raise InvalidInput(f"{arrays.name(int(both[0]))!r} is among the candidates, and labeled already")
    asked = Request(strategy, n, arrays, **rows, labels=labels, seed=seed, near=near, runtime=runtime or Runtime())
    missing = [what for what in asked.reads if what not in arrays.columns]
    if missing:
        options = " and ".join(f"--{what.replace('_', '-')}" for what in missing)
        raise MissingSignal(f"{type(strategy).__name__} reads {' and '.join(missing)}, which was not given: {options}")
    if near is not None and not 0 < near < math.inf:
        raise InvalidInput(f"near must be a share of the typical distance, above 0; got {near}")
    if near is not None and "embeddings" not in arrays.columns:
        raise InvalidInput("near-duplicates are found by embeddings; give them too (--embeddings)")
    if isinstance(n, bool) or not isinstance(n, int) or not 1 <= n <= len(asked.pool):
        raise InvalidInput(f"n must be between 1 and the {len(asked.pool)} rows that may be chosen, got {n}")
    return asked


def chosen(asked: Request) -> Picks:
    """Choose; the selection checks the numbers that it reads."""
    if asked.near is not None:
        _check_rows("embeddings", asked)
    try:
        selection = selected(asked)
    except InvalidInput:
        for what in asked.reads:  # if that is why, say it by the user's ids
            _check_rows(what, asked)
        raise
    scores = None if selection.scores is None else [float(score) for score in selection.scores]
    ids = [asked.arrays.name(row) for row in selection]
    why = [""] * len(ids) if selection.reasons is None else list(selection.reasons)
    return Picks(selection.tolist(), ids, scores, why, selection.notes)


def write_picks(picks: Picks, path: str | Path) -> None:
    """Write picks as csv (rank, id, score, why), or as JSON lines where the name ends in ``.jsonl``: whole or not at all."""
    path = Path(path)
    if path.suffix.lower() not in (".csv", ".jsonl"):
        raise InvalidInput(f"{path}: picks are written as .csv or .jsonl")
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        replacing(path) as temporary,
        temporary.open(
            "w", newline="", encoding="utf-8", errors="surrogateescape"
        ) as file,  # ids may be names of files
    ):
        if path.suffix.lower() == ".jsonl":
            file.writelines(json.dumps(entry) + "\n" for entry in picks.entries())
        else:
            writer = csv.DictWriter(file, ["rank", "id", "score", "why"], lineterminator="\n")
            writer.writeheader()
            writer.writerows(picks.entries())


# ---------------------------------------------------------------------------------------------------------------- checks


def _check_axes(what: str, column: Column) -> None:
    if column.values.ndim != _AXES[what] or 0 in column.values.shape:
        axes = {2: "(examples, columns)", 3: "(examples, samples, classes)"}[_AXES[what]]
        raise InvalidInput(f"{column.origin}: {what} must have the axes {axes}, got shape {column.values.shape}")


def _common_names(columns: Any) -> list[str] | None:  # noqa: ANN401 - a view of a dict
    named = [column for column in columns if column.names is not None]
    for column in named[1:]:
        if column.names != named[0].names:
            row = next(r for r, (a, b) in enumerate(zip(named[0].names, column.names, strict=True)) if a != b)
            raise InvalidInput(
                f"row {row} is {named[0].names[row]!r} in {named[0].origin} and {column.names[row]!r} in {column.origin}; "
                "the rows must be in the same order"
            )
    return named[0].names if named else None


def _labels(strategy: Strategy, labeled: Ids) -> list[int] | None:
    """Labels as whole numbers, where the strategy reads them."""
    if Labels() not in measured_by(strategy.needs.labeled) or labeled.labels is None:
        return None
    for name, label in zip(labeled.names, labeled.labels, strict=True):
        if not (label.isascii() and label.isdecimal()):
            raise InvalidInput(
                f"{labeled.origin}: {type(strategy).__name__} reads labels, which must be whole numbers, columns of the "
                f"probabilities; that of {name!r} is {label!r}"
            )
    return [int(label) for label in labeled.labels]


def _check_rows(what: str, asked: Request) -> None:
    """Refuse rows that are NaN or infinite, or no probabilities; the message names their ids."""
    arrays, column = asked.arrays, asked.arrays.columns[what]
    values, used = readable(column.values), asked.pool
    if asked.labeled is not None:
        used = torch.cat([used, torch.from_numpy(asked.labeled)]).sort().values
    wrong: list[int] = []
    parts = used.split(CHUNK_ROWS)
    for part in asked.runtime.bar(parts, f"checking {what}", len(parts)):
        rows = take(values, part)
        coarse = rows.dtype == torch.float16
        wrong += part[~_right(what, rows if rows.dtype == torch.float64 else rows.float(), coarse)].tolist()
    if wrong:
        told = ", ".join(arrays.name(row) for row in wrong[:3]) + (", ..." if len(wrong) > 3 else "")
        fault = "NaN or infinite" if what == "embeddings" else "not probabilities, which are not negative and sum to 1"
        hint = "" if what == "embeddings" else " (of logits, give the softmax)"
        raise InvalidInput(
            f"{column.origin}: {what} of {len(wrong)} of {len(used)} rows are {fault}{hint}: {told}; leave these out "
            "(--exclude), or mend them"
        )


def _right(what: str, rows: Tensor, coarse: bool) -> Tensor:
    """Whether each row is what it should be, (B,)."""
    if what == "embeddings":
        if all(math.isfinite(end) for end in torch.aminmax(rows)):
            return torch.ones(len(rows), dtype=torch.bool)
        return rows.isfinite().all(1)
    slack = 1e-2 if coarse else 1e-3
    right = ((rows.sum(-1) - 1).abs() <= slack) & (rows >= -slack).all(-1)
    return right.reshape(len(rows), -1).all(1)


# -------------------------------------------------------------------------------------------------------------- choosing


def selected(asked: Request) -> Selection:
    """The selection that is asked for."""
    values = {name: column.values for name, column in asked.arrays.columns.items()}

    def choose(more: Tensor) -> Selection:
        out = [torch.from_numpy(asked.exclude)] if asked.exclude is not None else []
        excluded = torch.cat([*out, more]).unique()
        return select_from(
            asked.strategy,
            asked.n,
            probs=values.get("probs"),
            embeddings=values.get("embeddings"),
            mc_probs=values.get("mc_probs"),
            candidates=None if asked.candidates is None else np.setdiff1d(asked.candidates, excluded),
            exclude=excluded if len(excluded) else None,
            labeled=asked.labeled,
            labels=asked.labels,
            runtime=asked.runtime,
            seed=asked.seed,
        )

    if asked.near is None:
        return choose(asked.pool[:0])
    x = asked.arrays.columns["embeddings"].values
    by = ruler(x, asked.pool)
    labeled = torch.from_numpy(np.empty(0, np.int64) if asked.labeled is None else asked.labeled)
    try:
        return without_near_duplicates(choose, x, asked.pool, labeled, asked.near * by.typical, by, asked.runtime)
    except InvalidInput as error:
        if "n must be" not in str(error) and "nothing to choose" not in str(error):
            raise
        raise InvalidInput(f"without near-duplicates, too few rows are left: {error}") from error


# ------------------------------------------------------------------------------------------------------------- foretelling
