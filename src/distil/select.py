"""From a model and data, or from arrays, to the ids to label next. The only loop over a pool in the library is here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

from distil.arrays import (
    CHUNK_ROWS,
    Array,
    ArraySource,
    Batched,
    Data,
    LabeledSet,
    Source,
    check_finite,
    check_rows,
    checked_array,
    checked_probs,
    is_array,
    take,
)
from distil.dropout import Draw
from distil.errors import InvalidInput, MissingSignal, UnsupportedModel
from distil.functional.adversarial import Attack, Attacker
from distil.network import Network, Outputs, as_network
from distil.rng import Rng
from distil.runtime import Runtime
from distil.signals import Forward, Signal, Signals, measured_by
from distil.strategies.base import ROLES, Needs, ScoreStrategy, Selection, Sets, Strategy, as_strategy, best

Given = Data | LabeledSet | tuple[Array, Array | Sequence[int]]
Ids = Sequence[int] | Tensor | np.ndarray[Any, Any]


class NetworkSource(Source):
    """Signals that a network measures on data.

    Args:
        network: The model.
        data: A map-style data set, or an array whose rows are examples (then no DataLoader is in the way).
        ids: Positions in ``data``, (N,) int64.
        labels: Their labels, (N,) int64; default: the second item of the data set's examples, should a strategy ask for it.
    """

    def __init__(self, network: Network, data: Data, ids: Tensor, labels: Tensor | None = None) -> None:
        self.ids = ids
        self._network = network
        self._data = data
        self._labels = labels

    def measured(self, needs: tuple[Signal[Any], ...]) -> tuple[Signal[Any], ...]:
        """The signals of the forward pass that ``needs`` are derived from."""
        return measured_by(needs)

    def chunks(self, signals: tuple[Signal[Any], ...], runtime: Runtime, rng: Rng) -> Iterator[Signals]:
        """One table a minibatch, one forward pass each whatever the number of signals, on the CPU."""
        with self._network.asking(runtime):
            start = 0
            for ids, batch in self._minibatches(runtime, rng):
                labels = None if self._labels is None else self._labels[start : start + len(ids)]
                start += len(ids)
                forward = _Pass(self._network, batch, ids, labels, rng)
                yield Signals(ids, {signal: signal.measure(forward).cpu() for signal in signals})

    def table(self, signals: tuple[Signal[Any], ...], runtime: Runtime, rng: Rng) -> Signals:
        """All examples, each column written into one array as its minibatches come."""
        columns: dict[Signal[Any], Tensor] = {}
        start = 0
        for chunk in stream(self, signals, runtime, rng):
            for signal, part in chunk.values.items():
                if signal not in columns:
                    columns[signal] = part.new_empty(len(self.ids), *part.shape[1:])
                columns[signal][start : start + len(chunk)] = part
            start += len(chunk)
        return Signals(self.ids, columns)

    def _minibatches(self, runtime: Runtime, rng: Rng) -> Iterator[tuple[Tensor, Any]]:
        data = self._data
        parts = self.ids.split(runtime.rows(data.nbytes // len(data) if is_array(data) else None))
        if is_array(data) or isinstance(data, Batched):
            for ids in runtime.bar(parts, "measuring", len(parts)):
                yield ids, take(data, ids) if is_array(data) else data.batch(ids)
            return
        loader: DataLoader[Any] = DataLoader(
            data,
            batch_sampler=[ids.tolist() for ids in parts],
            num_workers=runtime.num_workers,
            generator=rng.child("loader").torch(),  # else the loader would draw from the global one
        )
        yield from zip(parts, runtime.bar(loader, "measuring", len(parts)), strict=True)


class _Pass(Forward):
    """One minibatch through a network."""

    def __init__(self, network: Network, batch: Any, ids: Tensor, labels: Tensor | None, rng: Rng) -> None:  # noqa: ANN401
        self._network = network
        self._batch = batch
        self._ids = ids
        self._labels = labels
        self._rng = rng
        self._outputs: Outputs | None = None
        self._attacks: dict[Attacker, Attack] = {}

    def _output(self) -> Outputs:
        if self._outputs is None:
            self._outputs = self._network.outputs(self._batch)
        return self._outputs

    def logits(self) -> Tensor:
        return self._output().logits

    def embedding(self) -> Tensor:
        embedding = self._output().embedding
        if embedding is None:
            raise UnsupportedModel(
                "no layer of the model gives its logits, so its embedding is unknown; name the last layer, "
                "TorchNetwork(module, head=...), or pass TorchNetwork(module, outputs=lambda module, x: (logits, embedding))"
            )
        return embedding

    def inputs(self) -> Tensor:
        return self._network.inputs(self._batch)

    def attack(self, attack: Attacker) -> Attack:
        if attack not in self._attacks:
            x, logits = self._network.differentiable(self._batch)
            with torch.enable_grad():
                self._attacks[attack] = attack(logits, x)
        return self._attacks[attack]

    def labels(self) -> Tensor:
        if self._labels is not None:
            return self._labels
        if isinstance(self._batch, (list, tuple)) and len(self._batch) > 1 and isinstance(self._batch[1], Tensor):
            return self._batch[1].long()
        raise MissingSignal(
            "labels are needed of a set that was given without; pass it as a pair (x, y), or a Dataset of (x, y)"
        )

    def samples(self, n_samples: int, shared: bool) -> Tensor:
        draw = Draw(self._rng.child("samples"), self._ids, shared)
        return self._network.sample(self._batch, n_samples, draw)


def stream(source: Source, signals: tuple[Signal[Any], ...], runtime: Runtime, rng: Rng) -> Iterator[Signals]:
    """Tables of consecutive examples of ``source``; a NaN or infinity is an InvalidInput that names the ids."""
    for chunk in source.chunks(signals, runtime, rng):
        yield check_finite(chunk)


def gather(source: Source, needs: tuple[Signal[Any], ...], runtime: Runtime, rng: Rng) -> Signals:
    """One table of all examples of ``source`` from which ``needs`` can be read."""
    return check_finite(source.table(source.measured(needs), runtime, rng))


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
    stored = pool.measured(needs.pool)  # raises before any work where something is missing
    given = {
        role: gather(source, wanted[role], runtime, rng.child("measure", role))
        for role, source in sources.items()
        if role != "pool" and role in wanted
    }
    if isinstance(strategy, ScoreStrategy):
        kept = Selection(torch.empty(0, dtype=torch.long), torch.empty(0))
        for chunk in stream(pool, stored, runtime, rng.child("measure", "pool")):
            scores = strategy.score(Sets(**{**_empty(chunk, wanted), **given, "pool": chunk}))
            kept = best(torch.cat([kept.ids, chunk.ids]), torch.cat([_scores(kept), scores]), n)
        return kept
    table = gather(pool, needs.pool, runtime, rng.child("measure", "pool")) if stored else Signals(pool.ids, {})
    return strategy.select(Sets(**{**_empty(table, wanted), **given, "pool": table}), n, rng)


def select(
    strategy: Strategy | str,
    network: Network | nn.Module | None,
    data: Data,
    n: int,
    *,
    candidates: Ids | None = None,
    labeled: Ids | Given | None = None,
    validation: Ids | Given | None = None,
    query: Ids | Given | None = None,
    private: Ids | Given | None = None,
    names: Sequence[Any] | None = None,
    runtime: Runtime | None = None,
    rng: Rng | int | None = None,
) -> Selection:
    """Choose the ``n`` examples of ``data`` to label next.

    One forward pass over the candidates measures whatever the strategy needs; the model is bit-identical afterwards, and labels
    that ``data`` may hold are never read.

    Args:
        strategy: A strategy, or the name of a registered one (``distil.STRATEGIES``).
        network: A ``torch.nn.Module``, or a ``Network`` for models that need explaining; None for strategies that need none.
        data: A map-style Dataset, or an array or tensor whose rows are examples.
        n: How many, from 1 to the number of candidates.
        candidates: Positions in ``data`` that may be chosen; default: all but those in ``labeled``.
        labeled: The examples labeled so far: positions in ``data`` (integers), data of their own, a pair (inputs, labels) or a
            LabeledSet. Strategies that read their labels want one of the latter two, or a Dataset of (x, y).
        validation: Examples held out from training, likewise.
        query: Examples like those that are looked for, likewise.
        private: Examples like those to stay away from, likewise.
        names: A name for every example of ``data``; the selection then has ``names`` as well as ``ids``.
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
    size = _size(data, "data")
    given = {"labeled": labeled, "validation": validation, "query": query, "private": private}
    _check_names(names, size)
    sets = {role: _as_set(value, data, size, role) for role, value in given.items() if value is not None}
    taken = sets["labeled"].ids if "labeled" in sets and sets["labeled"].data is data else None
    pool = _candidates(candidates, size, taken)
    n = _count(n, len(pool))
    if strategy.needs == Needs():
        return _named(strategy.select(Sets(Signals(pool, {})), n, as_rng(rng)), names)
    if network is None:
        raise InvalidInput(f"{type(strategy).__name__} measures a model; pass one as network")
    network = as_network(network)
    _check_array_data(data, pool)
    for found in sets.values():
        _check_array_data(found.data, found.ids)
    sources: dict[str, Source] = {"pool": NetworkSource(network, data, pool)}
    for role, found in sets.items():
        if len(found.ids):
            sources[role] = NetworkSource(network, found.data, found.ids, found.labels)
    return _named(choose(strategy, sources, n, runtime or Runtime(), as_rng(rng)), names)


def select_from(
    strategy: Strategy | str,
    n: int,
    *,
    probs: Array | None = None,
    embeddings: Array | None = None,
    mc_probs: Array | None = None,
    candidates: Ids | None = None,
    labeled: Ids | None = None,
    labels: Array | Sequence[int] | None = None,
    labeled_embeddings: Array | None = None,
    names: Sequence[Any] | None = None,
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
        labeled: Rows that are labeled already.
        labels: Their labels, as many, for strategies that read them.
        labeled_embeddings: Embeddings of labeled examples that have no row in the arrays, (M, D).
        names: A name for every row.
        seed: The same seed gives the same selection, and the one that ``select`` makes from a model with these outputs.

    Returns:
        Distinct rows, in pick order. Arrays may be memory-mapped; strategies that score each example read them once, in order.

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
    _check_names(names, size)
    positions = None if labeled is None else _positions(labeled, size, "labeled")
    pool = _candidates(candidates, size, positions)
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
    return _named(choose(strategy, sources, n, Runtime(), Rng(seed)), names)


def as_rng(rng: Rng | int | None) -> Rng:
    """``rng`` itself, or the one of that seed (0 for None)."""
    return rng if isinstance(rng, Rng) else Rng(0 if rng is None else int(rng))


def _scores(selection: Selection) -> Tensor:
    return torch.empty(0) if selection.scores is None else selection.scores


def _empty(table: Signals, wanted: Mapping[str, tuple[Signal[Any], ...]]) -> dict[str, Signals]:
    """For every role but the pool, zero rows of what the pool has: the right widths."""
    none = table.rows(torch.empty(0, dtype=torch.long))
    return {role: none for role in wanted if role != "pool"}


@runtime_checkable
class _MapStyle(Protocol):
    def __len__(self) -> int: ...

    def __getitem__(self, row: int) -> Any: ...  # noqa: ANN401


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
        value, labels = value[0], torch.as_tensor(value[1])
        if labels.shape != (len(value),) or labels.is_floating_point():
            raise InvalidInput(
                f"the labels of {role} must be {len(value)} whole numbers, one a row, got {tuple(labels.shape)}"
            )
    labels = None if labels is None else labels.long()
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


def _candidates(candidates: Ids | None, size: int, labeled: Tensor | None) -> Tensor:
    free = torch.ones(size, dtype=torch.bool)
    if labeled is not None:
        free[labeled] = False
    if candidates is None:
        return torch.nonzero(free)[:, 0]
    ids = _positions(candidates, size, "candidates").sort().values
    if not bool(free[ids].all()):
        raise InvalidInput(f"candidates has {int(ids[~free[ids]][0])}, which is in labeled too")
    return ids


def _count(n: object, available: int) -> int:
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)):
        raise InvalidInput(f"n must be a whole number, got {n!r}")
    if available == 0:
        raise InvalidInput("there is nothing to choose from: every example is labeled already")
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


def _check_names(names: Sequence[Any] | None, size: int) -> None:
    if names is not None and len(names) != size:
        raise InvalidInput(f"names must have one entry for each of the {size} examples, got {len(names)}")


def _named(selection: Selection, names: Sequence[Any] | None) -> Selection:
    if names is None:
        return selection
    chosen = tuple(names[i] for i in selection)
    return Selection(selection.ids, selection.scores, selection.weights, chosen)
