"""Selections from files: read and check arrays with their ids, choose, say why, and write what was chosen.

The functions behind ``distil select``.
"""

from __future__ import annotations

import csv
import json
import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from distil.data.array_files import Column, read_column
from distil.data.arrays import CHUNK_ROWS, from_numpy, readable, take
from distil.data.distances import NEAR, nearest, ruler
from distil.data.ids import Ids, index_of, read_ids
from distil.errors import DistilError, InvalidInput, MissingSignal
from distil.functional import uncertainty
from distil.near import distinct_picks
from distil.select import select_from
from distil.signals import Embedding, Labels, Logits, MCProbs, Probs, measured_by
from distil.strategies.base import ROLES, ScoreStrategy, Selection, Strategy
from distil.strategies.registry import as_strategy
from distil.system.files import replacing
from distil.system.runtime import Runtime

_AXES = {"embeddings": 2, "probs": 2, "mc_probs": 3}

# A plan tries a share of a pool, at most so many rows of it first, then this many times as many, until that takes so long.
_TRIED_ROWS, _TRIED_STEP, _TRIED_SECONDS = 1000, 4, 0.5
# What is copied to a file takes this long, a byte.
_SCRATCH_SECONDS = 1e-9

# What a selection takes by itself: the libraries and working memory of blocks; notes on a row, and the name of one.
_OWN_BYTES, _ROW_BYTES, _NAME_BYTES = 200 << 20, 64, 200


@dataclass(frozen=True, eq=False)
class Arrays:
    """Arrays of one pool, checked against each other.

    Attributes:
        columns: By argument of :func:`distil.select_from`: ``embeddings``, ``probs``, ``mc_probs``.
        names: The user's ids, one a row; None: positions serve.
    """

    columns: Mapping[str, Column]
    names: list[str] | None

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    @cached_property
    def index(self) -> dict[str, int] | None:
        """Name -> row."""
        return index_of(self.names)

    def name(self, row: int) -> str:
        """The id of a row."""
        return str(row) if self.names is None else self.names[row]

    def rows(self, ids: str | Path | Ids | Sequence[int] | None) -> NDArray[np.int64] | None:
        """The rows of a list of ids: a file, what was read of one, or rows already."""
        if ids is None:
            return None
        if isinstance(ids, (str, os.PathLike)):
            ids = read_ids(Path(ids))
        return ids.rows(self.index, len(self)) if isinstance(ids, Ids) else np.asarray(ids, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Request:
    """What is to be chosen, everything read and matched, nothing computed yet.

    Attributes:
        strategy: Chooses.
        n: How many.
        arrays: The pool.
        labeled: Rows that are labeled already, or None.
        labels: Their labels, for strategies that read them.
        candidates: Rows that may be chosen, or None for all that are not labeled.
        exclude: Rows that may not, or None.
        seed: The same one gives the same picks.
        near: Leave out near-duplicates: the share of the typical distance within which two rows are; None: do not.
        runtime: Memory, progress bars.
    """

    strategy: Strategy
    n: int
    arrays: Arrays
    labeled: NDArray[np.int64] | None = None
    labels: list[int] | None = None
    candidates: NDArray[np.int64] | None = None
    exclude: NDArray[np.int64] | None = None
    seed: int = 0
    near: float | None = None
    runtime: Runtime = field(default_factory=Runtime)

    @cached_property
    def pool(self) -> Tensor:
        """Rows that may be chosen, ascending."""
        free = np.ones(len(self.arrays), dtype=bool)
        if self.candidates is not None:
            free[:] = False
            free[self.candidates] = True
        for taken in (self.labeled, self.exclude):
            if taken is not None:
                free[taken] = False
        return torch.from_numpy(np.flatnonzero(free))

    @cached_property
    def reads(self) -> list[str]:
        """The arrays that the strategy reads."""
        wanted = {type(s) for role in ROLES for s in measured_by(getattr(self.strategy.needs, role))}
        found = [name for name, signals in (("embeddings", {Embedding}), ("mc_probs", {MCProbs})) if wanted & signals]
        return found + (["probs"] if wanted & {Logits, Probs} else [])


@dataclass(frozen=True, eq=False)
class Picks:
    """What was chosen, in pick order.

    Attributes:
        rows: Rows of the arrays.
        ids: What they are called.
        scores: The acquisition score of each, larger was better; None where the strategy has none.
        why: A few words for each.
    """

    rows: list[int]
    ids: list[str]
    scores: list[float] | None
    why: list[str]

    def entries(self) -> list[dict[str, Any]]:
        """A dict a pick: rank (from 1), id, score (None without), why."""
        scores: Sequence[float | None] = self.scores or [None] * len(self.ids)
        parts = zip(self.ids, scores, self.why, strict=True)
        return [{"rank": rank, "id": i, "score": score, "why": why} for rank, (i, score, why) in enumerate(parts, 1)]


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
        near: Within what share of the typical distance two rows are near-duplicates; see :mod:`distil.near`.
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
        selection = _selected(asked)
    except InvalidInput:
        for what in asked.reads:  # if that is why, say it by the user's ids
            _check_rows(what, asked)
        raise
    scores = None if selection.scores is None else [float(score) for score in selection.scores]
    ids = [asked.arrays.name(row) for row in selection]
    return Picks(selection.tolist(), ids, scores, _reasons(asked, selection))


def write_picks(picks: Picks, path: str | Path) -> None:
    """Write picks as csv (rank, id, score, why), or as JSON lines where the name ends in ``.jsonl``: whole or not at all."""
    path = Path(path)
    if path.suffix.lower() not in (".csv", ".jsonl"):
        raise InvalidInput(f"{path}: picks are written as .csv or .jsonl")
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        if path.suffix.lower() == ".jsonl":
            file.writelines(json.dumps(entry) + "\n" for entry in picks.entries())
        else:
            writer = csv.DictWriter(file, ["rank", "id", "score", "why"], lineterminator="\n")
            writer.writeheader()
            writer.writerows(picks.entries())


def plan(asked: Request) -> dict[str, Any]:
    """What :func:`chosen` would read, and about how much memory, disk and time it would take.

    The time is that of selections of a part of n from the same part of the pool, made for a second or two and scaled up as they
    grow: a guess. Reading from a cold disk, writing large copies and other work on the machine may make it several times as much.
    The memory is that of the whole process, without mapped files.
    """
    runs = [name for name in asked.reads if name in asked.arrays.columns]
    arrays = {
        name: {
            "file": column.origin,
            "shape": list(column.values.shape),
            "type": str(column.values.dtype),
            "bytes": column.values.nbytes,
            "mapped": isinstance(column.values, np.memmap),
            "read": name in runs or (name == "embeddings" and asked.near is not None),
        }
        for name, column in asked.arrays.columns.items()
    }
    memory, scratch = 0, 0
    for size in (
        _copied_bytes(asked, name) for name in runs
    ):  # as distil.system.scratch.Space does: a column lies in one place
        fits = memory + size <= asked.runtime.memory
        memory, scratch = memory + size * fits, scratch + size * (not fits)
    loaded = sum(c.values.nbytes for c in asked.arrays.columns.values() if not isinstance(c.values, np.memmap))
    return {
        "strategy": type(asked.strategy).__name__,
        "n": asked.n,
        "rows": len(asked.arrays),
        "ids": "positions" if asked.arrays.names is None else "names",
        "may_be_chosen": len(asked.pool),
        "labeled": 0 if asked.labeled is None else len(asked.labeled),
        "arrays": arrays,
        "memory_bytes": memory + loaded + _working_bytes(asked),
        "scratch_bytes": scratch,
        "seconds": _seconds(asked, scratch),
    }


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


def _selected(asked: Request) -> Selection:
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
        return distinct_picks(choose, x, asked.pool, labeled, asked.near * by.typical, by, asked.runtime)
    except InvalidInput as error:
        if "n must be" not in str(error) and "nothing to choose" not in str(error):
            raise
        raise InvalidInput(f"without near-duplicates, too few rows are left: {error}") from error


def _reasons(asked: Request, selection: Selection) -> list[str]:
    """A few words for each pick, from the arrays that the strategy read."""
    ids = selection.ids
    columns = [
        _REASONS[what](asked, ids, from_numpy(asked.arrays.columns[what].values[ids.numpy()]))
        for what in ("probs", "mc_probs", "embeddings")
        if what in asked.reads and what in asked.arrays.columns
    ]
    if not columns:
        return ["at random"] * len(ids)
    return [", ".join(word for word in words if word) for words in zip(*columns, strict=True)]


def _probs_reasons(asked: Request, ids: Tensor, rows: Tensor) -> list[str]:  # noqa: ARG001 - the three have one signature
    name = type(asked.strategy).__name__
    if "Entropy" in name:
        return [f"entropy {value:.3g}" for value in uncertainty.entropy(rows.float()).tolist()]
    if "Confidence" in name:
        return [f"confidence {value:.3g}" for value in rows.float().amax(1).tolist()]
    return [f"margin {value:.3g}" for value in uncertainty.margin(rows.float()).tolist()]


def _mc_reasons(asked: Request, ids: Tensor, rows: Tensor) -> list[str]:
    if "BALD" in type(asked.strategy).__name__:
        return [f"samples disagree by {value:.3g} nats" for value in uncertainty.bald(rows.float()).tolist()]
    return [f"mean {words}" for words in _probs_reasons(asked, ids, rows.float().mean(1))]


def _embedding_reasons(asked: Request, ids: Tensor, rows: Tensor) -> list[str]:
    """Distances to the nearest labeled row; without any, to the nearest pick before."""
    x = asked.arrays.columns["embeddings"].values
    if asked.labeled is not None and len(asked.labeled):
        by = ruler(x, asked.pool)
        others = torch.from_numpy(np.sort(asked.labeled))
        found = nearest(x, ids, x, others, 1, by, asked.runtime, "explaining").dists[:, 0]
        return [f"distance {value:.3g} to the nearest labeled" for value in found.tolist()]
    center = rows.double().mean(0)
    parts = [torch.cdist((part - center).double(), (rows - center).double()) for part in rows.double().split(512)]
    words = ["the first pick"]
    for start, part in zip(range(0, len(rows), 512), parts, strict=True):
        words += [
            f"distance {float(part[row, : start + row].min()):.3g} to the nearest pick before"
            for row in range(len(part))
            if start + row
        ]
    return words


_REASONS = {"probs": _probs_reasons, "mc_probs": _mc_reasons, "embeddings": _embedding_reasons}


# ------------------------------------------------------------------------------------------------------------- foretelling


def _copied_bytes(asked: Request, name: str) -> int:
    """Bytes of the column that is made of an array: none where it serves as it is, and where it is streamed."""
    values = asked.arrays.columns[name].values
    consecutive = len(asked.pool) == 0 or int(asked.pool[-1] - asked.pool[0]) == len(asked.pool) - 1
    serves = values.dtype in (np.float32, np.float64) and values.flags.c_contiguous and consecutive
    if serves or isinstance(asked.strategy, ScoreStrategy):
        return 0
    width = max(4, values.dtype.itemsize) if values.dtype.kind == "f" else 4
    return len(asked.pool) * int(np.prod(values.shape[1:])) * width


def _working_bytes(asked: Request) -> int:
    """Bytes that the process takes by itself, and for what it notes of each row."""
    named = 0 if asked.arrays.names is None else _NAME_BYTES
    return _OWN_BYTES + (_ROW_BYTES + named) * len(asked.arrays)


def _seconds(asked: Request, scratch: int) -> float | None:
    """Scaled up from selections of ever larger shares of n from the same shares of the pool; None where that cannot be done."""
    share, tried, growth = 1, (0.0, 0.0), float(_TRIED_STEP)
    while len(asked.pool) > _TRIED_ROWS * share:
        share *= _TRIED_STEP
    while True:
        before = tried
        try:
            tried = min(_seconds_of(asked, share) for _ in range(2))
        except DistilError:  # a row that is not right, or labels that it reads: the selection itself will say so
            return None
        if share == 1:
            return tried[0]
        if before[1]:
            growth = min(max(tried[1] / before[1], _TRIED_STEP / 2), _TRIED_STEP**2)
        if tried[0] > _TRIED_SECONDS:
            return float(tried[0] * growth ** math.log(share, _TRIED_STEP)) + scratch * _SCRATCH_SECONDS
        share //= _TRIED_STEP


def _seconds_of(asked: Request, share: int) -> tuple[float, float]:
    """Seconds, and of the processors, that a share of the selection takes from a share of the pool."""
    rows = asked.pool[: -(-len(asked.pool) // share)].numpy()
    quiet = replace(asked.runtime, progress=False)
    trial = replace(asked, n=max(1, asked.n // share), candidates=rows, exclude=None, runtime=quiet)
    begin = time.perf_counter(), time.process_time()
    _selected(trial)
    return time.perf_counter() - begin[0], time.process_time() - begin[1]
