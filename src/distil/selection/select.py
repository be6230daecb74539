"""From a model and data, or from arrays, to the ids to label next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from distil.data.arrays import Array, checked_array, precision_of
from distil.data.examples import Data
from distil.data.labels import as_labels
from distil.data.minibatches import Collate
from distil.errors import InvalidInput
from distil.measuring.network_source import NetworkSource
from distil.measuring.source import ArraySource, Source, arguments_of
from distil.networks.wrap import wrap
from distil.rng import Rng, as_rng
from distil.selection.arguments import (
    Examples,
    Given,
    as_array,
    as_candidates,
    as_collate,
    as_count,
    as_examples,
    as_names,
    as_pool,
    check_array_data,
    check_arrays_serve,
    common_size,
    with_names,
)
from distil.selection.checked import checked_selection
from distil.selection.choose import choose
from distil.selection.ids import IdReader, Ids, split_pair
from distil.signals import Signals
from distil.strategies.base import ROLES, Needs, Selection, Sets, Strategy
from distil.strategies.registry import as_strategy
from distil.system.runtime import Runtime, as_runtime


def select(
    strategy: Strategy | str,
    network: object,
    data: Data,
    n: int,
    *,
    candidates: Ids | None = None,
    exclude: Ids | None = None,
    labeled: Given | None = None,
    validation: Given | None = None,
    query: Given | None = None,
    private: Given | None = None,
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
        candidates: What may be chosen: positions in ``data`` or names, in a list, tuple, set, range, array, tensor or Series, a
            boolean mask, or a Selection (``distil.selection.ids.IdReader`` has the rules). Default: all but ``labeled``.
        exclude: What may not, such as examples that somebody is labeling now, among the candidates or not; likewise.
        labeled: The examples labeled so far: ids, as for ``candidates``, which are never chosen again; a dict {id: label}, a pair
            (ids, labels) or a LabeledSet; or data of their own, like ``data``: an array, a Dataset (of (x, y), say) or a pair
            (inputs, labels).
            Strategies that read labels want a form that has them. Labels are columns of the model's outputs, whole numbers
            from 0 or booleans; of a classifier that knows its classes (``Network.classes``), the classes by name.
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
    strategy, runtime = as_strategy(strategy), as_runtime(runtime)
    reader = as_pool(data, names)
    names = reader.names
    given = {"labeled": labeled, "validation": validation, "query": query, "private": private}
    sets = {role: as_examples(value, reader, role) for role, value in given.items() if value is not None}
    taken = sets["labeled"].ids if "labeled" in sets and sets["labeled"].of_pool else None
    pool = as_candidates(candidates, exclude, taken, reader)
    n, rng = as_count(n, len(pool)), as_rng(rng)
    if strategy.needs == Needs():
        drawn = strategy.select(Sets(Signals(pool, {})), n, rng)
        return with_names(checked_selection(drawn, strategy, pool, n), names)
    if network is None:
        raise InvalidInput(f"{type(strategy).__name__} measures a model; pass one as network")
    network = wrap(network)
    source = partial(NetworkSource, network, collate=as_collate(collate), caller=type(strategy).__name__)
    sources: dict[str, Source] = {}
    for role, found in {"pool": Examples(reader.data, pool, None, of_pool=True), **sets}.items():
        labels, own_names = None, names if found.of_pool else None
        if found.labels is not None:
            labels = as_labels(found.labels, f"the labels of {role}", classes=network.classes)
        check_array_data(found.data, found.ids, "data" if found.of_pool else role, own_names)
        if len(found.ids):
            sources[role] = source(found.data, found.ids, labels, names=own_names)
    return with_names(choose(strategy, sources, n, runtime, rng), names)


def select_from(
    strategy: Strategy | str,
    n: int,
    *,
    probs: Array | None = None,
    embeddings: Array | None = None,
    mc_probs: Array | None = None,
    candidates: Ids | None = None,
    exclude: Ids | None = None,
    labeled: Ids | Mapping[Any, Any] | tuple[Ids, Any] | None = None,
    labels: Array | Sequence[Any] | None = None,
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
        candidates: Rows that may be chosen, or their names, as for ``select``; default: all but those in ``labeled``.
        exclude: Rows that may not, such as those that somebody is labeling now, among the candidates or not.
        labeled: Rows that are labeled already; a dict {id: label} or a pair (ids, labels) too.
        labels: Their labels, as many, for strategies that read them: columns of ``probs``.
        labeled_embeddings: Embeddings of labeled examples that have no row in the arrays, (M, D).
        names: A name for every row.
        runtime: Memory, folder for what goes beyond it, progress bar; none of it is part of the answer.
        seed: The same seed gives the same selection, and the one that ``select`` makes from a model with these outputs.

    Returns:
        Distinct rows, in pick order. Arrays may be memory-mapped: float32 and float64 ones are used where they lie (float32 ones
        are copied to float64 where the strategy reads both), and strategies that score each example read them once, in order.

    Raises:
        MissingSignal: The strategy needs an array that was not given.
        InvalidInput: Arrays that cannot be right: shapes, NaN, probabilities that do not sum to 1.
    """
    strategy, runtime = as_strategy(strategy), as_runtime(runtime)
    check_arrays_serve(strategy)
    pooled = {"probs": probs, "embeddings": embeddings, "mc_probs": mc_probs}
    arrays = {name: as_array(value, name, name) for name, value in pooled.items() if value is not None}
    if not arrays:
        raise InvalidInput(f"{type(strategy).__name__} was given no array; pass probs=, embeddings= or mc_probs=")
    size = common_size({name: len(array) for name, array in arrays.items()})
    names = as_names(names, size)
    reader = IdReader(size, names)
    given, own_labels = (None, None) if labeled is None else split_pair(labeled, reader)
    labeling = labels is not None or own_labels is not None
    positions = None if given is None else reader.positions(given, "labeled", ordered=labeling)
    pool = as_candidates(candidates, exclude, positions, reader)
    n = as_count(n, len(pool))
    if labels is not None and (positions is None or own_labels is not None):
        fault = (
            "labels belong to the rows of labeled, which was not given"
            if positions is None
            else "labeled has labels too"
        )
        raise InvalidInput(f"{fault}; pass labeled=ids and labels=..., or labeled=(ids, labels)")
    if labeled_embeddings is not None:
        if positions is not None:
            raise InvalidInput("pass labeled (rows of the arrays) or labeled_embeddings (rows of their own), not both")
        labeled_embeddings = _of_width(labeled_embeddings, arrays.get("embeddings"))
    sources = array_sources(
        strategy,
        arrays,
        pool,
        labeled=positions,
        labels=own_labels if labels is None else labels,
        labeled_embeddings=labeled_embeddings,
        names=names,
    )
    return with_names(choose(strategy, sources, n, runtime, Rng(seed)), names)


def _of_width(labeled: Array, embeddings: Array | None) -> Array:
    """Embeddings of labeled examples, as wide as those of the pool."""
    labeled = checked_array(labeled, "labeled_embeddings", 2)
    if embeddings is not None and labeled.shape[1] != embeddings.shape[1]:
        raise InvalidInput(
            f"labeled_embeddings must have the {embeddings.shape[1]} columns of embeddings, got {labeled.shape[1]}"
        )
    return labeled


def array_sources(
    strategy: Strategy,
    arrays: Mapping[str, Array],
    pool: Tensor,
    *,
    labeled: Tensor | None,
    labels: Any = None,  # noqa: ANN401 - whatever a caller gives
    labeled_embeddings: Array | None = None,
    names: Sequence[Any] | None,
) -> dict[str, Source]:
    """Sources of the pool and of the labeled set, all of one precision.

    Args:
        strategy: Reads some of the arrays.
        arrays: By argument of ``select_from``; checked but for their numbers.
        pool: Rows that may be chosen.
        labeled: Rows that are labeled.
        labels: Their labels.
        labeled_embeddings: Embeddings of labeled examples that have no row in the arrays.
        names: What the caller calls the rows.
    """
    read = [arrays[name] for name in arrays_read(strategy) if name in arrays]
    precision = precision_of(read if labeled_embeddings is None else [*read, labeled_embeddings])
    settings: dict[str, Any] = {"caller": type(strategy).__name__, "precision": precision}
    sources: dict[str, Source] = {"pool": ArraySource(pool, arrays, names=names, **settings)}
    if labeled_embeddings is not None:
        ids, own = torch.arange(len(labeled_embeddings)), {"embeddings": labeled_embeddings}
        sources["labeled"] = ArraySource(ids, own, "labeled_", **settings)
    elif labeled is not None:
        known: dict[str, Array] = {}
        if labels is not None:
            known["labels"] = torch.full((len(next(iter(arrays.values()))),), -1)
            known["labels"][labeled] = as_labels(labels, "labels", count=len(labeled))
        sources["labeled"] = ArraySource(labeled, {**arrays, **known}, names=names, **settings)
    return {role: source for role, source in sources.items() if len(source.ids)}


def arrays_read(strategy: Strategy) -> list[str]:
    """The arguments of ``select_from`` that the strategy reads, ``labels`` among them."""
    return arguments_of(signal for role in ROLES for signal in getattr(strategy.needs, role))
