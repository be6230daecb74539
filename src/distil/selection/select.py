"""Choosing the examples to label next, from a model and data or from arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from distil.data.arrays import Array, called, precision_of
from distil.data.examples import GivenData
from distil.data.frames import Frame, check_same_ids, check_same_order, in_pairs, row_names
from distil.data.ids import as_name
from distil.data.labels import as_classes, as_labels, check_columns, check_labels, classes_among, labels_of
from distil.data.minibatches import Collate
from distil.errors import InvalidInput, MissingSignal
from distil.measuring.network_source import NetworkSource
from distil.measuring.source import ArraySource, Source
from distil.networks.wrap import wrap
from distil.rng import Rng, as_rng
from distil.selection.arguments import (
    Examples,
    RoleData,
    as_array,
    as_candidates,
    as_collate,
    as_costs,
    as_count,
    as_elapsed,
    as_examples,
    as_names,
    as_pool,
    check_array_data,
    check_arrays_serve,
    check_index_of_costs,
    check_rows_match,
    classes_in,
    common_size,
    costs_of,
    numbers_in,
    with_class_names,
    with_names,
    with_tokens,
)
from distil.selection.choose import choose
from distil.selection.ids import IdReader, Ids, split_pair
from distil.selection.trained_head import (
    OUTPUTS,
    arrays_read,
    for_arrays,
    lacks_only_outputs,
    trained_head,
)
from distil.signals import Labels, measured_by
from distil.strategies.base import Needs, Selection, Strategy
from distil.strategies.registry import as_strategy, for_task, of_library
from distil.system.runtime import Runtime, as_runtime
from distil.tasks import Task


def select(
    strategy: Strategy | str,
    network: object,
    data: GivenData,
    n: int,
    *,
    candidates: Ids | None = None,
    exclude: Ids | None = None,
    labeled: RoleData | None = None,
    validation: RoleData | None = None,
    query: RoleData | None = None,
    private: RoleData | None = None,
    costs: Array | Sequence[float] | None = None,
    names: Sequence[Any] | None = None,
    collate: Collate | None = None,
    elapsed: float | None = None,
    task: Task = "classification",
    runtime: Runtime | None = None,
    rng: Rng | int | None = None,
    seed: int | None = None,
) -> Selection:
    """Choose the ``n`` examples of ``data`` to label next.

    One forward pass over the candidates measures all signals that the strategy needs. The model is bit-identical afterwards, and
    labels in ``data`` are never read.

    Args:
        strategy: A strategy, or the name of a registered one (``distil.STRATEGIES``).
        network: The model: anything that ``wrap`` takes, or a ``Network`` that ``wrap`` returned, for a model that needs
            arguments of ``wrap``; None for a strategy that needs no model.
        data: A map-style Dataset or list, or an array, tensor, data frame or sparse matrix with one row per example.
        n: Number of examples to choose, from 1 to the number of candidates.
        candidates: The examples that may be chosen: positions in ``data`` or names, in a list, tuple, set, range, array, tensor
            or Series, a boolean mask, or a Selection (see ``distil.selection.ids.IdReader``). Default: all except ``labeled`` and
            ``validation``.
        exclude: Examples that may not be chosen, such as those being labeled now, in a form that ``candidates`` takes; they need
            not be candidates.
        labeled: The labeled examples: ids in a form that ``candidates`` takes, a dict {id: label}, a Series of labels whose index
            holds the ids, a pair (ids, labels) or a LabeledSet of ``data``, which are never chosen again; or separate data of the
            same kind as ``data``: an array, a Dataset (of (x, y), for example) or a pair (inputs, labels). A strategy that reads
            labels needs a form with labels.
            Labels are columns of the model's outputs, whole numbers from 0 or booleans. For a classifier of scikit-learn they
            are its classes; for a model of transformers, columns or the names in its configuration (``id2label``).
        validation: Examples held out from training, in a form that ``labeled`` takes; they are never chosen either.
        query: Examples similar to those that you look for, in a form that ``labeled`` takes.
        private: Examples similar to those that you want to avoid, in a form that ``labeled`` takes.
        costs: What a label of each example of ``data`` costs, in any unit, numbers above 0, for strategies such as ``Knapsack``.
        names: A name for every example of ``data``; the selection then has ``names`` as well as ``ids``. Default: ``data.names``
            if it has one name for each example, as pools of ``distil.open_pool`` may.
        collate: A function from a list of examples to their minibatch, as a DataLoader's ``collate_fn``; default: PyTorch's.
        elapsed: The share of a run that has passed, from 0 at its first selection to 1 at its last, for strategies with a schedule;
            default: not known.
        task: What the outputs of the model and the labels are: ``"classification"``, one class for each example;
            ``"multilabel"``, any number of labels; or ``"regression"``, numbers. It is never guessed.
        runtime: Device, minibatch size, workers, progress bar; they do not change the selection.
        rng: A seed or an Rng; equal seeds give equal selections.
        seed: A seed; another name of ``rng``.

    Returns:
        ``n`` distinct ids, positions in ``data``, best first.

    Raises:
        InvalidInput: An argument is wrong, which is reported before any work; or the data or the model's outputs have a NaN.
        UnknownName: There is no strategy of that name.
        UnsupportedModel: The model's logits or embedding cannot be found; the message says which argument helps.

    >>> logits = torch.tensor([[0.0, 0.0], [0.2, 0.0], [3.0, 0.0], [0.0, 0.1]])
    >>> select("entropy_sampling", torch.nn.Identity(), logits, 2, labeled=[0]).tolist()
    [3, 1]
    """
    strategy, runtime = for_task(as_strategy(strategy), task), as_runtime(runtime)
    reader = as_pool(data, names)
    names = reader.names
    roles = {"labeled": labeled, "validation": validation, "query": query, "private": private}
    sets = {role: as_examples(value, reader, role, task) for role, value in roles.items() if value is not None}
    answered: dict[str, Tensor | None] = {
        role: sets[role].ids for role in ("labeled", "validation") if role in sets and sets[role].of_pool
    }
    pool = as_candidates(candidates, exclude, answered, reader)
    n, rng, elapsed = as_count(n, len(pool)), as_rng(rng, seed), as_elapsed(elapsed)
    costs = None if costs is None else costs_of(costs, reader)
    if strategy.needs == Needs():
        for role, examples in sets.items():
            _check_unread(
                task, examples.labels, f"the labels of {role}", examples.ids, names if examples.of_pool else None
            )
        unmeasured = {"pool": ArraySource(pool, {}, names=names)}
        return with_names(choose(strategy, unmeasured, n, runtime, rng, elapsed), names)
    if network is None:
        raise InvalidInput(f"{type(strategy).__name__} needs a model; pass one as network")
    network = wrap(network, task=task)
    source = partial(NetworkSource, network, collate=as_collate(collate), caller=type(strategy).__name__)
    sources: dict[str, Source] = {}
    for role, examples in {"pool": Examples(reader.data, pool, None, of_pool=True), **sets}.items():
        labels, own_names = None, names if examples.of_pool else None
        if examples.labels is not None:
            labels = labels_of(
                task,
                examples.labels,
                f"the labels of {role}",
                examples.ids,
                own_names,
                classes=network.classes,
                column_labels=network.column_labels,
            )
        check_array_data(examples.data, examples.ids, "data" if examples.of_pool else role, own_names)
        if len(examples.ids):
            own_costs = costs[examples.ids] if role == "pool" and costs is not None else None
            sources[role] = source(examples.data, examples.ids, labels, names=own_names, costs=own_costs)
    return with_names(choose(strategy, sources, n, runtime, rng, elapsed), names)


def select_from(
    strategy: Strategy | str,
    n: int,
    *,
    probs: Array | None = None,
    embeddings: Array | None = None,
    mc_probs: Array | None = None,
    predictions: Array | None = None,
    mc_predictions: Array | None = None,
    offsets: Array | Sequence[int] | None = None,
    rewards: Array | None = None,
    deviations: Array | None = None,
    costs: Array | Sequence[float] | None = None,
    candidates: Ids | None = None,
    exclude: Ids | None = None,
    labeled: Ids | Mapping[Any, Any] | tuple[Ids, Any] | None = None,
    labels: Array | Sequence[Any] | None = None,
    labeled_embeddings: Array | None = None,
    validation: Mapping[Any, Any] | tuple[Ids, Any] | None = None,
    query: Ids | Mapping[Any, Any] | tuple[Ids, Any] | None = None,
    query_embeddings: Array | None = None,
    private: Ids | Mapping[Any, Any] | tuple[Ids, Any] | None = None,
    private_embeddings: Array | None = None,
    classes: Sequence[Any] | None = None,
    names: Sequence[Any] | None = None,
    elapsed: float | None = None,
    task: Task = "classification",
    runtime: Runtime | None = None,
    rng: Rng | int | None = None,
    seed: int | None = None,
) -> Selection:
    """Choose the ``n`` rows to label next from arrays, without a model or data set.

    Where a strategy reads probabilities or predictions and only embeddings and labels are passed, they are those of a linear head
    (``LinearHead``) that is trained on the labeled rows; ``notes`` of the selection say so.

    Args:
        strategy: A strategy, or the name of a registered one.
        n: Number of rows to choose, from 1 to the number of candidates.
        probs: Class probabilities, (N, C); default: those of a linear head, where embeddings and labels are passed. For
            ``task="multilabel"``, a probability for each label, (N, L).
        embeddings: Embeddings, (N, D).
        mc_probs: Sampled class probabilities, (N, K, C); this K replaces the strategy's number of samples.
        predictions: For ``task="regression"``: what the model predicts, (N,) or (N, T); default: those of a linear head.
        mc_predictions: For ``task="regression"``: predictions of K samples or members of the model, (N, K) or (N, K, T); this K
            replaces the strategy's number of samples.
        offsets: For strategies that read tokens (words, pixels, boxes): the row of ``probs`` at which the tokens of each example
            begin, then the number of rows, (N + 1,). ``probs`` then has a row for each token, (R, C).
        rewards: For strategies that pair responses: the mean reward of each response to a prompt, (N, R).
        deviations: Standard deviations of these rewards, (N, R).
        costs: What a label of each row costs, in any unit, numbers above 0, (N,), for strategies such as ``Knapsack``.
        candidates: Rows that may be chosen, or their names, in a form that ``select`` takes; default: all except ``labeled`` and
            ``validation``.
        exclude: Rows that may not be chosen, such as those being labeled now; they need not be candidates.
        labeled: Rows that are labeled, a dict {id: label}, a Series of labels whose index holds the ids, or a pair (ids, labels).
        labels: The labels of ``labeled``, one per row, for strategies that read labels: columns of ``probs``, or ``classes``;
            any labels where there are no ``probs``. For ``task="regression"``, numbers (M,) or (M, T); for ``task="multilabel"``,
            a column of 0 and 1 for each label, (M, L), or with ``classes`` a list of names for each row.
        labeled_embeddings: Embeddings of labeled examples that have no row in the arrays, (M, D).
        validation: Rows held out from training, with their labels, as a dict {id: label} or a pair (ids, labels); they are never
            chosen either.
        query: Rows like those that you look for, in a form that ``labeled`` takes; they may be candidates too.
        query_embeddings: Embeddings of examples like those that you look for, which have no row in the arrays, (M, D).
        private: Rows like those that you want to avoid, in a form that ``labeled`` takes.
        private_embeddings: Embeddings of examples like those that you want to avoid, which have no row in the arrays, (M, D).
        classes: Names of the columns of ``probs``, in their order, such as a classifier's ``classes_``; labels are then these.
        names: A name for every row.
        elapsed: The share of a run that has passed, from 0 at its first selection to 1 at its last, for strategies with a schedule;
            default: not known.
        task: What arrays and labels are: ``"classification"``, one class for each example; ``"multilabel"``, any number of labels;
            or ``"regression"``, numbers. It is never guessed.
        runtime: Memory, folder for columns beyond it, progress bar; they do not change the selection.
        rng: A seed or an Rng; ``select`` with an equal one and a model with these outputs makes the same selection.
        seed: A seed; another name of ``rng``.

    Returns:
        ``n`` distinct rows, best first. Arrays may be memory-mapped. Strategies that score each example read them once, in order,
        and copy nothing. For the others, the arrays of the pool are read once and copied, up to ``Runtime.memory`` into memory and
        beyond it into files.

    Raises:
        MissingSignal: The strategy needs an array that was not passed, or labels to train the linear head on.
        InvalidInput: An array is wrong: its shape, a NaN, or probabilities that do not sum to 1; or the strategy does not know the
            task.

    >>> probs = [[0.9, 0.1], [0.6, 0.4], [0.8, 0.2]]
    >>> select_from("margin_sampling", 2, probs=probs).tolist()
    [1, 2]
    """
    strategy, runtime = for_task(as_strategy(strategy), task), as_runtime(runtime)
    check_arrays_serve(strategy)
    passed = {"probs": probs, "embeddings": embeddings, "mc_probs": mc_probs}
    passed |= {"predictions": predictions, "mc_predictions": mc_predictions}
    passed |= {"rewards": rewards, "deviations": deviations}
    read = {name: numbers_in(value, name) for name, value in passed.items() if value is not None}
    arrays = {name: as_array(value, name, name, task) for name, (value, _) in read.items()}
    if costs is not None:
        arrays["costs"] = as_costs(costs)
    if not arrays:
        usual = (
            "predictions=, embeddings= or mc_predictions="
            if task == "regression"
            else "probs=, embeddings= or mc_probs="
        )
        own = " and ".join(f"{name}=" for name in arrays_read(strategy) if name in ("rewards", "deviations"))
        raise InvalidInput(f"{type(strategy).__name__} needs an array; pass {own or usual}")
    if offsets is not None:
        arrays = with_tokens(arrays, offsets)
    size = common_size({name: len(array) for name, array in arrays.items() if name != "tokens"})
    check_rows_match({name: value for name, value in passed.items() if name in arrays} | {"names": names})
    if names is None:
        indexes = (row_names(value) for role, value in passed.items() if role in arrays)
        names = next((index for index in indexes if index is not None), None)
    names = as_names(names, size)
    for role in passed.keys() & arrays.keys():
        check_same_order(passed[role], list(map(as_name, names or ())), role, "names")
    reader = IdReader(size, names)
    check_index_of_costs(costs, reader)
    labeled_ids, own_labels = (None, None) if labeled is None else split_pair(labeled, reader, "labeled")
    has_labels = labels is not None or own_labels is not None
    positions = None if labeled_ids is None else reader.positions(labeled_ids, "labeled", ordered=has_labels)
    rows = {"validation": validation, "query": query, "private": private}
    given = {role: _rows_of(value, role, reader) for role, value in rows.items() if value is not None}
    answered = {"labeled": positions, "validation": given.get("validation", (None,))[0]}
    pool = as_candidates(candidates, exclude, answered, reader)
    n, rng, elapsed = as_count(n, len(pool)), as_rng(rng, seed), as_elapsed(elapsed)
    if labels is not None and (positions is None or own_labels is not None):
        fault = (
            "labels was passed without labeled"
            if positions is None
            else "labels was passed, and labeled has labels too"
        )
        raise InvalidInput(f"{fault}; pass labeled=ids and labels=..., or labeled=(ids, labels)")
    if "validation" in given and given["validation"][1] is None:
        raise InvalidInput("validation has no labels; pass a dict {id: label}, or a pair (ids, labels)")
    separate = {"labeled": labeled_embeddings, "query": query_embeddings, "private": private_embeddings}
    numbers = {role: numbers_in(value, f"{role}_embeddings") for role, value in separate.items() if value is not None}
    labels = own_labels if labels is None else in_pairs(labeled, labels, "labels")
    if positions is not None:
        given["labeled"] = positions, None
    for role in sorted(given.keys() & numbers.keys()):
        raise InvalidInput(f"pass {role} (rows of the arrays) or {role}_embeddings (a separate array), not both")
    answers = given if positions is None else {**given, "labeled": (positions, labels)}
    known = None if classes is None else as_classes(classes, classes_in(arrays))
    table: object = probs  # type checkers take no data frame for an array
    if known is not None and isinstance(table, Frame):
        check_columns(table.columns, known, "probs")
    for role, (ids, own) in answers.items():
        _check_unread(task, own, _labels_of(role), ids, names, known)
    strategy, notes = for_arrays(strategy, arrays, labels) if task == "classification" else (strategy, ())
    if positions is not None and "labels" in arrays_read(strategy):
        given["labeled"] = positions, labels
    if positions is not None and labels is not None and lacks_only_outputs(strategy, arrays, task):
        used, x = torch.cat([pool, *(own for own, _ in given.values())]).unique(), arrays["embeddings"]
        settings: dict[str, Any] = {"task": task, "classes": known, "names": names, "runtime": runtime}
        held = given["validation"][1] if "validation" in given and task == "classification" else ()
        further = classes_among(held, "the labels of validation")
        head = trained_head(strategy, x, used, positions, labels, further=further, **settings)
        known = head.labels.classes or known
        arrays, notes = {**arrays, OUTPUTS[task]: head.outputs}, (*notes, head.labels.note)
    sources = array_sources(
        strategy,
        arrays,
        pool,
        given,
        {role: _of_width(role, value, arrays) for role, (value, _) in numbers.items()},
        classes=known,
        names=names,
        task=task,
    )
    found = with_class_names(choose(strategy, sources, n, runtime, rng, elapsed), known)
    left_out = [note for _, sentences in (*read.values(), *numbers.values()) for note in sentences]
    return with_names(found, names).with_notes((*left_out, *notes))


def _check_unread(
    task: Task,
    labels: Any,  # noqa: ANN401 - any argument of a caller
    what: str,
    ids: Tensor,
    names: Sequence[Any] | None,
    classes: Sequence[Any] | None = None,
) -> None:
    """Refuse missing and unknown labels also where no strategy reads them: their examples would count as labeled."""
    if labels is None:
        return
    check_same_ids(labels, called(ids, names), what, "the labeled examples")
    if task != "classification":
        return
    if classes is None:
        check_labels(labels, what, ids, names)
    else:
        as_labels(labels, what, count=len(ids), classes=classes, ids=ids, names=names)


def _rows_of(value: Any, role: str, reader: IdReader) -> tuple[Tensor, Any]:  # noqa: ANN401 - any argument of a caller
    """The positions of one role's rows and their labels, one per row; None without labels."""
    ids, labels = split_pair(value, reader, role)
    return reader.positions(ids, role, ordered=labels is not None), labels


def _of_width(role: str, given: object, arrays: Mapping[str, Array]) -> Array:
    """Embeddings of examples that have no row in the arrays, (M, D), checked to have the width of the pool's."""
    own = as_array(given, "embeddings", f"{role}_embeddings")
    if "embeddings" in arrays and own.shape[1] != arrays["embeddings"].shape[1]:
        raise InvalidInput(
            f"{role}_embeddings must have the {arrays['embeddings'].shape[1]} columns of embeddings, got {own.shape[1]}"
        )
    return own


def array_sources(
    strategy: Strategy,
    arrays: Mapping[str, Array],
    pool: Tensor,
    given: Mapping[str, tuple[Tensor, Any]],
    apart: Mapping[str, Array] = MappingProxyType({}),
    *,
    classes: Sequence[Any] | None = None,
    names: Sequence[Any] | None,
    task: Task = "classification",
) -> dict[str, Source]:
    """The sources of the pool and of the other roles, all of the same precision; roles without rows are left out.

    Args:
        strategy: The strategy, which reads some of the arrays.
        arrays: Argument of ``select_from`` -> array with its shape checked; values are checked when they are read.
        pool: Rows that may be chosen, (N,).
        given: Role -> its rows and their labels, one per row, or None.
        apart: Role -> embeddings of its examples, which have no row in the arrays, (M, D).
        classes: The classes, in the order of the columns; None: labels are columns.
        names: The caller's names of the rows; None: positions are the names.
        task: What the labels are.
    """
    read = [arrays[name] for name in arrays_read(strategy) if name in arrays]
    precision = precision_of([*read, *apart.values()])
    settings: dict[str, Any] = {"caller": type(strategy).__name__, "precision": precision}
    settings["copies"] = not of_library(strategy)  # the library's strategies do not write to columns
    sources: dict[str, Source] = {"pool": ArraySource(pool, arrays, names=names, **settings)}
    for role, (rows, labels) in given.items():
        _check_labeled(strategy, role, labels)
        own = {**arrays, **_label_column(arrays, rows, labels, _labels_of(role), classes, names, task)}
        sources[role] = ArraySource(rows, own, names=names, **settings)
    for role, embeddings in apart.items():
        sources[role] = ArraySource(torch.arange(len(embeddings)), {"embeddings": embeddings}, f"{role}_", **settings)
    return {role: source for role, source in sources.items() if len(source.ids)}


def _check_labeled(strategy: Strategy, role: str, labels: object) -> None:
    """Refuse a query or private set without labels where the strategy reads them; ``labels=`` is about labeled rows alone."""
    if labels is None and role != "labeled" and Labels() in measured_by(getattr(strategy.needs, role)):
        raise MissingSignal(
            f"{type(strategy).__name__} reads the labels of the {role} set, which has none; pass {role}={{id: label}}, or a pair "
            "(ids, labels)"
        )


def _labels_of(role: str) -> str:
    return "labels" if role == "labeled" else f"the labels of {role}"


def _label_column(
    arrays: Mapping[str, Array],
    rows: Tensor,
    labels: Any,  # noqa: ANN401 - any argument of a caller
    what: str,
    classes: Sequence[Any] | None,
    names: Sequence[Any] | None,
    task: Task,
) -> dict[str, Array]:
    """An array ``labels`` with the labels of some rows, as long as the other arrays; no array where there are no labels."""
    if labels is None:
        return {}
    advice = "; pass the names of the columns of probs, classes=[...]" if classes is None else ""
    own = labels_of(task, labels, what, rows, names, classes=classes, advice=advice)
    known = own.new_full((len(next(iter(arrays.values()))), *own.shape[1:]), -1)
    known[rows] = own
    return {"labels": known}
