"""From a model and data, or from arrays, to the ids to label next."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch

from distil.data.arrays import Array, checked_array, checked_probs
from distil.data.examples import Data, as_data
from distil.data.minibatches import Collate
from distil.errors import InvalidInput
from distil.measuring.network_source import NetworkSource
from distil.measuring.source import ArraySource, Source
from distil.networks.wrap import wrap
from distil.rng import Rng
from distil.selection.arguments import (
    Given,
    Ids,
    as_candidates,
    as_count,
    as_positions,
    as_rng,
    as_set,
    check_array_data,
    check_arrays_serve,
    check_names,
    common_size,
    names_of,
    scattered,
    size_of,
    with_names,
)
from distil.selection.checked import checked_selection
from distil.selection.choose import choose
from distil.signals import Signals
from distil.strategies.base import Needs, Selection, Sets, Strategy
from distil.strategies.registry import as_strategy
from distil.system.runtime import Runtime


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
    size = size_of(data, "data")
    given = {"labeled": labeled, "validation": validation, "query": query, "private": private}
    names = names_of(data, size) if names is None else names
    check_names(names, size)
    sets = {role: as_set(value, data, size, role) for role, value in given.items() if value is not None}
    taken = sets["labeled"].ids if "labeled" in sets and sets["labeled"].data is data else None
    pool = as_candidates(candidates, exclude, size, taken)
    n = as_count(n, len(pool))
    if strategy.needs == Needs():
        drawn = strategy.select(Sets(Signals(pool, {})), n, as_rng(rng))
        return with_names(checked_selection(drawn, strategy, pool, n), names)
    if network is None:
        raise InvalidInput(f"{type(strategy).__name__} measures a model; pass one as network")
    network = wrap(network)
    check_array_data(data, pool)
    for found in sets.values():
        check_array_data(found.data, found.ids)
    source = partial(NetworkSource, network, collate=collate, caller=type(strategy).__name__)
    sources: dict[str, Source] = {"pool": source(data, pool)}
    sources |= {role: source(found.data, found.ids, found.labels) for role, found in sets.items() if len(found.ids)}
    return with_names(choose(strategy, sources, n, runtime or Runtime(), as_rng(rng)), names)


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
    check_arrays_serve(strategy)
    arrays: dict[str, Array] = {}
    if probs is not None:
        arrays["probs"] = checked_probs(probs, "probs", 2)
    if embeddings is not None:
        arrays["embeddings"] = checked_array(embeddings, "embeddings", 2)
    if mc_probs is not None:
        arrays["mc_probs"] = checked_probs(mc_probs, "mc_probs", 3)
    size = common_size(arrays, strategy)
    check_names(names, size)
    positions = None if labeled is None else as_positions(labeled, size, "labeled")
    pool = as_candidates(candidates, exclude, size, positions)
    n = as_count(n, len(pool))
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
        known = {} if labels is None else {"labels": scattered(labels, positions, size)}
        sources["labeled"] = ArraySource(positions, {**arrays, **known}, caller=caller)
    sources = {role: source for role, source in sources.items() if len(source.ids)}
    return with_names(choose(strategy, sources, n, runtime or Runtime(), Rng(seed)), names)
