"""From a model and data, or from arrays, to the ids to label next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from distil.data.arrays import CHUNK_ROWS, Array, check_rows, checked_array, checked_probs, is_array, take
from distil.data.examples import Batched, Data, LabeledSet, as_data
from distil.data.minibatches import Collate
from distil.errors import InvalidInput, MissingSignal
from distil.measuring.network_source import NetworkSource
from distil.measuring.source import ArraySource, Source
from distil.networks.wrap import wrap
from distil.rng import Rng
from distil.screening import can_be_screened, screened_selection
from distil.signals import Signal, Signals, measured_by
from distil.strategies.base import ROLES, Leaders, Needs, ScoreStrategy, Selection, Sets, Strategy
from distil.strategies.registry import as_strategy
from distil.system.runtime import Runtime

Given = Data | LabeledSet | tuple[Array, Array | Sequence[int]]
Ids = Sequence[int] | Tensor | np.ndarray[Any, Any]


def gather(source: Source, needs: tuple[Signal[Any], ...], runtime: Runtime, rng: Rng) -> Signals:
    """One table of all examples of ``source`` from which ``needs`` can be read."""
    return source.table(source.measured(needs), runtime, rng)


def choose(strategy: Strategy, sources: Mapping[str, Source], n: int, runtime: Runtime, rng: Rng) -> Selection:
    """Measure what the strategy needs, once, and let it choose ``n`` ids of ``sources["pool"]``.

    Args:
        strategy: Any.
        sources: By role (``pool``, ``labeled``, ...); a role left out is an empty set.
        n: 1 <= n <= number of examples in the pool.
        runtime: How to measure.
        rng: The selection's randomness.
    """
    needs = strategy.needs
    pool = sources["pool"]
    wanted = {role: getattr(needs, role) for role in ROLES if getattr(needs, role)}
    screened = () if needs.screen is None else needs.screen.by.needs.pool
    stored = pool.measured(needs.pool + screened)  # raises before any work where something is missing
    given = {
        role: gather(source, wanted[role], runtime, rng.child("measure", role))
        for role, source in sources.items()
        if role != "pool" and role in wanted
    }

    def sets(table: Signals) -> Sets:
        return Sets(**{**_empty(table, wanted), **given, "pool": table})

    measuring = rng.child("measure", "pool")
    if isinstance(strategy, ScoreStrategy):
        if runtime.screen and isinstance(pool, NetworkSource) and can_be_screened(stored):
            return screened_selection(lambda table: _scores(strategy, sets(table)), pool, n, stored, runtime, measuring)
        chunks = pool.chunks(stored, runtime, measuring)
        leaders = _leaders(strategy, n, ((sets(chunk), Signals(chunk.ids, {})) for chunk in chunks))
        return Selection(leaders[0].ids, leaders[1])
    passed = len(pool.ids) if needs.screen is None else needs.screen.rows(n, len(pool.ids))
    if needs.screen is not None and passed < len(pool.ids):
        chunks = pool.chunks(stored, runtime, measuring)
        table = _leaders(needs.screen.by, passed, ((sets(chunk), chunk) for chunk in chunks))[0]
        table = table.rows(table.ids.argsort())
    else:
        table = pool.table(stored, runtime, measuring) if stored else Signals(pool.ids, {})
    return strategy.select(sets(table), n, rng)


def _leaders(by: ScoreStrategy, n: int, seen: Iterable[tuple[Sets, Signals]]) -> tuple[Signals, Tensor]:
    """The ``n`` rows of largest score of a stream, best first, and their scores.

    Args:
        by: What scores.
        n: At most as many as there are.
        seen: Sets to score by, and what is to be kept of their pool.
    """
    leaders = Leaders(n)
    for sets, kept in seen:
        leaders.add(kept, _scores(by, sets))
    return leaders.leaders()


def _scores(by: ScoreStrategy, sets: Sets) -> Tensor:
    """The scores of a table's rows, none of them NaN."""
    scores = by.score(sets)
    if bool(scores.isnan().any()):
        check_rows(sets.pool.ids, scores, f"the score of {type(by).__name__}")
    return scores


def select(
    strategy: Strategy | str,
    network: object,
    data: Data,
    n: int,
    *,
    candidates: Ids | None = None,
    exclude: Ids | None = None,
    labeled: Ids | Given | None = None,
    validation: Ids | Given | None = None,
    query: Ids | Given | None = None,
    private: Ids | Given | None = None,
    names: Sequence[Any] | None = None,
    collate: Collate | None = None,
    runtime: Runtime | None = None,
    rng: Rng | int | None = None,
) -> Selection:
    """Choose the ``n`` examples of ``data`` to label next.

    One forward pass over the candidates measures whatever the strategy needs; the model is bit-identical afterwards, and labels
    that ``data`` may hold are never read.

    Args:
        strategy: A strategy, or the name of a registered one (``distil.STRATEGIES``).
        network: The model: whatever ``wrap`` takes, and a ``Network``, such as ``wrap`` gives, for models that need explaining;
            None for strategies that need none.
        data: A map-style Dataset or list, or an array, tensor, data frame or sparse matrix whose rows are examples.
        n: How many, from 1 to the number of candidates.
        candidates: Positions in ``data`` that may be chosen; default: all but those in ``labeled``.
        exclude: Positions that may not, such as those that somebody is labeling now, among the candidates or not.
        labeled: The examples labeled so far: positions in ``data`` (integers), data of their own, a pair (inputs, labels) or a
            LabeledSet. Strategies that read their labels want one of the latter two, or a Dataset of (x, y).
        validation: Examples held out from training, likewise.
        query: Examples like those that are looked for, likewise.
        private: Examples like those to stay away from, likewise.
        names: A name for every example of ``data``; the selection then has ``names`` as well as ``ids``. Default: ``data.names``,
            where a data set has as many, as those of ``distil.open_pool`` do.
        collate: Makes a minibatch of a list of examples, as a DataLoader's ``collate_fn``; default: PyTorch's own way.
        runtime: Device, minibatch size, workers, progress bar; none of it is part of the answer.
        rng: A seed, or an Rng; the same one gives the same selection.

    Returns:
        Distinct ids, positions in ``data``, in pick order.

    Raises:
        InvalidInput: Anything that cannot be right, before any work; or a NaN in the data or in what the model returns.
        UnknownName: No strategy has that name.
        UnsupportedModel: The model's logits or embedding cannot be read; the message says which argument would help.
    """
    strategy = as_strategy(strategy)
    data = as_data(data)
    size = _size(data, "data")
    given = {"labeled": labeled, "validation": validation, "query": query, "private": private}
    names = names_of(data, size) if names is None else names
    check_names(names, size)
    sets = {role: _as_set(value, data, size, role) for role, value in given.items() if value is not None}
    taken = sets["labeled"].ids if "labeled" in sets and sets["labeled"].data is data else None
    pool = _candidates(candidates, exclude, size, taken)
    n = _count(n, len(pool))
    if strategy.needs == Needs():
        return _named(strategy.select(Sets(Signals(pool, {})), n, as_rng(rng)), names)
    if network is None:
        raise InvalidInput(f"{type(strategy).__name__} measures a model; pass one as network")
    network = wrap(network)
    _check_array_data(data, pool)
    for found in sets.values():
        _check_array_data(found.data, found.ids)
    sources: dict[str, Source] = {"pool": NetworkSource(network, data, pool, collate=collate)}
    for role, found in sets.items():
        if len(found.ids):
            sources[role] = NetworkSource(network, found.data, found.ids, found.labels, collate=collate)
    return _named(choose(strategy, sources, n, runtime or Runtime(), as_rng(rng)), names)


def select_from(
    strategy: Strategy | str,
    n: int,
    *,
    probs: Array | None = None,
    embeddings: Array | None = None,
    mc_probs: Array | None = None,
    candidates: Ids | None = None,
    exclude: Ids | None = None,
    labeled: Ids | None = None,
    labels: Array | Sequence[int] | None = None,
    labeled_embeddings: Array | None = None,
    names: Sequence[Any] | None = None,
    runtime: Runtime | None = None,
    seed: int = 0,
) -> Selection:
    """Choose the ``n`` rows to label next from arrays alone: no model, no data set.

    Args:
        strategy: A strategy, or the name of a registered one.
        n: How many, from 1 to the number of candidates.
        probs: Class probabilities, (N, C).
        embeddings: Embeddings, (N, D).
        mc_probs: Sampled probabilities, (N, K, C); K is then the number of samples, whatever the strategy's own.
        candidates: Rows that may be chosen; default: all but those in ``labeled``.
        exclude: Rows that may not, such as those that somebody is labeling now, among the candidates or not.
        labeled: Rows that are labeled already.
        labels: Their labels, as many, for strategies that read them.
        labeled_embeddings: Embeddings of labeled examples that have no row in the arrays, (M, D).
        names: A name for every row.
        runtime: Memory, folder for what goes beyond it, progress bar; none of it is part of the answer.
        seed: The same seed gives the same selection, and the one that ``select`` makes from a model with these outputs.

    Returns:
        Distinct rows, in pick order. Arrays may be memory-mapped: float32 and float64 ones are used where they lie, and
        strategies that score each example read them once, in order.

    Raises:
        MissingSignal: The strategy needs an array that was not given.
        InvalidInput: Arrays that cannot be right: shapes, NaN, probabilities that do not sum to 1.
    """
    strategy = as_strategy(strategy)
    _check_arrays_serve(strategy)
    arrays: dict[str, Array] = {}
    if probs is not None:
        arrays["probs"] = checked_probs(probs, "probs", 2)
    if embeddings is not None:
        arrays["embeddings"] = checked_array(embeddings, "embeddings", 2)
    if mc_probs is not None:
        arrays["mc_probs"] = checked_probs(mc_probs, "mc_probs", 3)
    size = _common_size(arrays, strategy)
    check_names(names, size)
    positions = None if labeled is None else _positions(labeled, size, "labeled")
    pool = _candidates(candidates, exclude, size, positions)
    n = _count(n, len(pool))
    caller = type(strategy).__name__
    sources: dict[str, Source] = {"pool": ArraySource(pool, arrays, caller=caller)}
    if labeled_embeddings is not None:
        own = checked_array(labeled_embeddings, "labeled_embeddings", 2)
        if positions is not None:
            raise InvalidInput("pass labeled (rows of the arrays) or labeled_embeddings (rows of their own), not both")
        if "embeddings" in arrays and own.shape[1] != arrays["embeddings"].shape[1]:
            raise InvalidInput(
                f"labeled_embeddings must have the {arrays['embeddings'].shape[1]} columns of embeddings, got {own.shape[1]}"
            )
        sources["labeled"] = ArraySource(torch.arange(len(own)), {"embeddings": own}, "labeled_", caller)
    elif positions is not None:
        known = {} if labels is None else {"labels": _scattered(labels, positions, size)}
        sources["labeled"] = ArraySource(positions, {**arrays, **known}, caller=caller)
    sources = {role: source for role, source in sources.items() if len(source.ids)}
    return _named(choose(strategy, sources, n, runtime or Runtime(), Rng(seed)), names)


def as_rng(rng: Rng | int | None) -> Rng:
    """``rng`` itself, or the one of that seed (0 for None)."""
    return rng if isinstance(rng, Rng) else Rng(0 if rng is None else int(rng))


def names_of(data: Data, size: int) -> Sequence[Any] | None:
    """The names that a data set has for its examples; None where it has none, or as many others (those of classes, say)."""
    if is_array(data) or not isinstance(data, _Named):  # some versions of PyTorch have names for the axes of a tensor
        return None
    names = data.names
    listed = isinstance(names, (Sequence, np.ndarray)) and not isinstance(names, str)
    return names if listed and len(names) == size else None


def _empty(table: Signals, wanted: Mapping[str, tuple[Signal[Any], ...]]) -> dict[str, Signals]:
    """For every role but the pool, zero rows of what the pool has: the right widths."""
    none = table.rows(torch.empty(0, dtype=torch.long))
    return {role: none for role in wanted if role != "pool"}


@runtime_checkable
class _MapStyle(Protocol):
    def __len__(self) -> int: ...

    def __getitem__(self, row: int) -> Any: ...  # noqa: ANN401


@runtime_checkable
class _Named(Protocol):
    @property
    def names(self) -> Any: ...  # noqa: ANN401


@dataclass(frozen=True, eq=False)
class _Set:
    """Examples of one role: where they are, and their labels where they came with any."""

    data: Data
    ids: Tensor
    labels: Tensor | None


def _as_set(value: Any, data: Data, size: int, role: str) -> _Set:  # noqa: ANN401 - what a caller may give is looked at here
    if _are_positions(value):
        return _Set(data, _positions(value, size, role), None)
    if isinstance(value, LabeledSet):
        return _Set(value.data, value.ids, value.y)
    labels = None
    if isinstance(value, tuple) and len(value) == 2:
        value, labels = as_data(value[0]), torch.as_tensor(value[1])
        if labels.shape != (len(value),) or labels.is_floating_point():
            raise InvalidInput(
                f"the labels of {role} must be {len(value)} whole numbers, one a row, got {tuple(labels.shape)}"
            )
    labels = None if labels is None else labels.long()
    value = as_data(value)
    return _Set(value, torch.arange(_size(value, role)), labels)


def _size(data: Data, name: str) -> int:
    if isinstance(data, IterableDataset) or not isinstance(data, (Tensor, np.ndarray, Batched, _MapStyle)):
        raise InvalidInput(
            f"{name} must be a map-style Dataset (with __len__ and __getitem__), an array or a tensor, got {type(data).__name__}"
        )
    if is_array(data) and data.ndim < 2:
        raise InvalidInput(f"{name} must have one row an example, got shape {tuple(data.shape)}")
    if len(data) == 0:
        raise InvalidInput(f"{name} is empty")
    return len(data)


def _are_positions(value: object) -> bool:
    """Whether a set is given as integers: a flat list or array of them; everything else is data."""
    if isinstance(value, Selection):
        return True
    if isinstance(value, Tensor):
        return value.dim() == 1 and (value.numel() == 0 or not value.is_floating_point())
    if isinstance(value, np.ndarray):
        return value.ndim == 1 and (value.dtype.kind in "iub" or value.size == 0)
    if isinstance(value, range):
        return True
    return isinstance(value, (list, tuple)) and all(isinstance(i, (int, np.integer)) for i in value)


def _positions(value: Any, size: int, name: str) -> Tensor:  # noqa: ANN401
    """Distinct positions in [0, size) as int64."""
    if not _are_positions(value):
        raise InvalidInput(f"{name} must be whole numbers, positions in the data; got {type(value).__name__}")
    array = np.asarray(value)
    if array.dtype == bool:
        raise InvalidInput(f"{name} must be positions, got booleans; pass numpy.flatnonzero of the mask")
    ids = torch.from_numpy(array.astype(np.int64))
    if len(ids) and (int(ids.min()) < 0 or int(ids.max()) >= size):
        wrong = int(ids[(ids < 0) | (ids >= size)][0])
        raise InvalidInput(f"{name} has {wrong}, which is not a position in data of {size} examples")
    if len(ids.unique()) != len(ids):
        values, counts = ids.unique(return_counts=True)
        raise InvalidInput(f"{name} has {int(values[counts > 1][0])} more than once")
    return ids


def _candidates(candidates: Ids | None, exclude: Ids | None, size: int, labeled: Tensor | None) -> Tensor:
    free = torch.ones(size, dtype=torch.bool)
    if labeled is not None:
        free[labeled] = False
    if candidates is not None:
        ids = _positions(candidates, size, "candidates")
        if not bool(free[ids].all()):
            raise InvalidInput(f"candidates has {int(ids[~free[ids]][0])}, which is in labeled too")
        free = torch.zeros(size, dtype=torch.bool).index_fill_(0, ids, True)
    if exclude is not None:
        free[_positions(exclude, size, "exclude")] = False
    return torch.nonzero(free)[:, 0]


def _count(n: object, available: int) -> int:
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)):
        raise InvalidInput(f"n must be a whole number, got {n!r}")
    if available == 0:
        raise InvalidInput(
            "there is nothing to choose from: every example is labeled already, excluded or no candidate"
        )
    if not 1 <= n <= available:
        raise InvalidInput(f"n must be between 1 and the {available} unlabeled examples, got {n}")
    return int(n)


def _check_array_data(data: Data, ids: Tensor) -> None:
    """Refuse a NaN before the first forward pass; of memory-mapped data, which may be huge, the outputs are checked instead."""
    if is_array(data) and not isinstance(data, np.memmap):
        for part in ids.split(CHUNK_ROWS):
            check_rows(part, take(data, part), "data")


def _check_arrays_serve(strategy: Strategy) -> None:
    for role in ROLES:
        for signal in measured_by(getattr(strategy.needs, role)):
            if signal.grad:
                name = type(strategy).__name__
                raise MissingSignal(
                    f"{name} needs a model: it measures {signal!r} by changing the model's inputs, which no array tells; "
                    f"use select({name}(), network, data, n)"
                )


def _common_size(arrays: Mapping[str, Array], strategy: Strategy) -> int:
    sizes = {name: len(array) for name, array in arrays.items()}
    if not sizes:
        raise InvalidInput(f"{type(strategy).__name__} was given no array; pass probs=, embeddings= or mc_probs=")
    if len(set(sizes.values())) > 1:
        told = ", ".join(f"{name} has {size}" for name, size in sizes.items())
        raise InvalidInput(f"the arrays must have the same number of rows: {told}")
    size = next(iter(sizes.values()))
    if size == 0:
        raise InvalidInput("the arrays are empty")
    return size


def _scattered(labels: Any, positions: Tensor, size: int) -> Tensor:  # noqa: ANN401
    """Labels of the labeled rows, put at their positions."""
    found = torch.as_tensor(labels)
    if found.shape != positions.shape or found.is_floating_point():
        raise InvalidInput(
            f"labels must be {len(positions)} whole numbers, one for each of labeled; got {tuple(found.shape)}"
        )
    placed = torch.full((size,), -1)
    placed[positions] = found.long()
    return placed


def check_names(names: Sequence[Any] | None, size: int) -> None:
    """Raise InvalidInput unless there are as many names as examples, or none."""
    if names is not None and len(names) != size:
        raise InvalidInput(f"names must have one entry for each of the {size} examples, got {len(names)}")


def _named(selection: Selection, names: Sequence[Any] | None) -> Selection:
    if names is None:
        return selection
    chosen = tuple(names[i] for i in selection)
    return Selection(selection.ids, selection.scores, selection.weights, chosen)
