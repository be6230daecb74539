"""Signals that a network measures on data; this is the only loop over a pool in the library."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

import torch
from torch import Tensor

from distil.data.arrays import called
from distil.data.examples import Data
from distil.data.labels import as_labels, as_targets
from distil.data.minibatches import Collate, in_memory, minibatches, row_bytes
from distil.errors import MissingSignal, UnsupportedModel
from distil.functional.adversarial import Attack, Attacker
from distil.measuring.augmentation import augmented_probs
from distil.measuring.channels_last import ChannelsLast
from distil.measuring.measurements import Measurements
from distil.measuring.source import Source, check_finite, tabulated
from distil.networks.base import LABELS, Differentiable, HasInputs, Network, Outputs, Samples, lacking
from distil.networks.calls import check_minibatch
from distil.networks.dropout import Draw
from distil.rng import Rng
from distil.signals import Costs, Forward, Given, Logits, MCProbs, Signal, Signals, measured_by
from distil.system.runtime import Runtime


class NetworkSource(Source):
    """Signals that a network measures on data.

    Args:
        network: The model.
        data: A map-style data set, or an array whose rows are examples; an array is read without a DataLoader.
        ids: Positions of the examples in ``data``, (N,) int64.
        labels: Labels of these examples, (N,) int64, or targets of a regression, (N, T); default: the second item of each
            example, or the entry ``labels`` or ``label`` of dicts, read only if a strategy needs labels.
        collate: Function from a list of examples to a minibatch; default: PyTorch's own.
        caller: Name of the strategy, for messages.
        names: The caller's names of the examples of ``data``, for messages; None: messages use positions.
        costs: Costs of a label of these examples, (N,); None: strategies that read costs are refused.
    """

    def __init__(
        self,
        network: Network,
        data: Data,
        ids: Tensor,
        labels: Tensor | None = None,
        *,
        collate: Collate | None = None,
        caller: str = "this strategy",
        names: Sequence[Any] | None = None,
        costs: Tensor | None = None,
    ) -> None:
        self.ids = ids
        self.names = names
        self._costs = costs
        self._network = network
        self._data = data
        self._labels = labels
        self._collate = collate
        self._caller = caller

    def of(self, rows: Tensor) -> NetworkSource:
        """The source of only the examples at these rows of ``ids``."""
        labels = None if self._labels is None else self._labels[rows]
        return NetworkSource(
            self._network,
            self._data,
            self.ids[rows],
            labels,
            collate=self._collate,
            caller=self._caller,
            names=self.names,
            costs=None if self._costs is None else self._costs[rows],
        )

    def can_score_in_bfloat16(self, signals: tuple[Signal[Any], ...]) -> bool:
        """True if all signals are outputs of forward passes; attacks follow gradients, which need more precision."""
        return all(isinstance(signal, (Logits, MCProbs)) for signal in signals)

    def measured(self, needs: tuple[Signal[Any], ...]) -> tuple[Signal[Any], ...]:
        """The measured signals from which ``needs`` are derived."""
        signals = measured_by(needs)
        for signal in signals:
            if isinstance(signal, Given):
                raise MissingSignal(
                    f"{self._caller} reads the {signal.noun}, which no model measures; pass them as arrays to distil.select_from"
                )
        if Costs() in signals and self._costs is None:
            raise MissingSignal(
                f"{self._caller} needs what a label of each example costs; pass costs=..., one number each"
            )
        return signals

    def chunks(self, signals: tuple[Signal[Any], ...], runtime: Runtime, rng: Rng) -> Iterator[Signals]:
        """One table for each minibatch, on the CPU, from one forward pass for all signals.

        If a minibatch does not fit into an accelerator's memory, it and the later ones are halved.
        """
        start, rows, finished, measurements = 0, runtime.rows(row_bytes(self._data)), False, Measurements(self.names)
        with self._network.asking(runtime):
            while not finished:  # at least once: an empty table needs columns too
                try:
                    with closing(self._tables(start, rows, signals, measurements, runtime, rng)) as tables:
                        for table in tables:
                            start += len(table)
                            yield table
                    finished = True
                except torch.cuda.OutOfMemoryError:  # raised by every accelerator, despite its name
                    failed = min(rows, len(self.ids) - start)
                    if failed == 1:
                        raise
                    rows = -(-failed // 2)

    def table(
        self,
        signals: tuple[Signal[Any], ...],
        runtime: Runtime,
        rng: Rng,
        order: Tensor | None = None,
        *,
        copied: bool = True,  # noqa: ARG002 - what is measured is stored
    ) -> Signals:
        """One table of all examples; they are measured in the order of ``ids``, and each is written to its row of the table."""
        return tabulated(self.chunks(signals, runtime, rng), self.ids, order, runtime)

    def _tables(
        self,
        start: int,
        rows: int,
        signals: tuple[Signal[Any], ...],
        measurements: Measurements,
        runtime: Runtime,
        rng: Rng,
    ) -> Generator[Signals, None, None]:
        """Tables of minibatches of ``rows`` examples, from the position ``start`` in ``ids`` on."""
        parts = self.ids[start:].split(rows)
        outputs = ChannelsLast(self._network).outputs
        # A model that works in place must not change the caller's array, so it gets copies until a minibatch comes back unchanged
        # (a tensor counts the writes to it). On one core this won 80 against 108 ms over copying always (100,000 x 256, a linear
        # layer). Delete it, and copy always, where a copy is as cheap as a view.
        written_to = in_memory(self._data) and self._collate is None
        with closing(minibatches(self._data, parts, runtime, rng, self._collate)) as batches:
            for ids, batch in runtime.bar(batches, "measuring", len(parts)):
                check_minibatch(batch, called(ids, self.names))
                own = _copied(batch) if written_to else batch
                labels, costs = (
                    None if column is None else column[start : start + len(ids)]
                    for column in (self._labels, self._costs)
                )
                start += len(ids)
                forward = _Pass(self._network, outputs, own, ids, labels, costs, rng, self._caller, self.names)
                columns = measurements.columns(signals, forward, ids)
                if own is batch:  # a model may return its inputs, and strategies may write to columns
                    columns = {signal: _apart(column, batch) for signal, column in columns.items()}
                yield check_finite(Signals(ids, columns), self.names)
                written_to = written_to and any(x.is_inference() or x._version for x in _tensors(own))


def _tensors(batch: Any) -> list[Tensor]:  # noqa: ANN401
    return [x for x in (batch if isinstance(batch, list) else [batch]) if isinstance(x, Tensor)]


def _apart(column: Tensor, batch: Any) -> Tensor:  # noqa: ANN401
    """The column; a copy if it has its memory from the minibatch."""
    memory = {x.untyped_storage().data_ptr() for x in _tensors(batch)}
    return column.clone() if column.untyped_storage().data_ptr() in memory else column


def _copied(batch: Any) -> Any:  # noqa: ANN401
    """A copy of the minibatch, so that a model that works in place does not change the caller's array."""
    return [_copied(x) for x in batch] if isinstance(batch, list) else batch.clone()


class _Pass(Forward):
    """The forward pass of one minibatch through a network."""

    def __init__(
        self,
        network: Network,
        outputs: Callable[[Any], Outputs],
        batch: Any,  # noqa: ANN401
        ids: Tensor,
        labels: Tensor | None,
        costs: Tensor | None,
        rng: Rng,
        caller: str,
        names: Sequence[Any] | None,
    ) -> None:
        self._network = network
        self._names = names
        self._ask = outputs
        self._batch = batch
        self._ids = ids
        self._labels = labels
        self._costs = costs
        self._rng = rng
        self._caller = caller
        self._outputs: Outputs | None = None
        self._attacks: dict[Attacker, Attack] = {}

    def _output(self) -> Outputs:
        if self._outputs is None:
            outputs: object = self._ask(self._batch)
            if not isinstance(outputs, Outputs):
                name = type(self._network).__name__
                raise UnsupportedModel(
                    f"{name}.outputs must return Outputs(logits, embedding), got {type(outputs).__name__}"
                )
            self._outputs = outputs
        return self._outputs

    def logits(self) -> Tensor:
        classes, logits = None if self._network.column_labels else self._network.classes, self._output().logits
        if classes is not None and logits.ndim == 2 and logits.shape[1] != len(classes):
            raise UnsupportedModel(
                f"{self._network!r} names {len(classes)} classes, but its logits have {logits.shape[1]} columns; "
                "it must return one column for each class"
            )
        return logits

    def embedding(self) -> Tensor:
        embedding = self._output().embedding
        if embedding is None:
            raise UnsupportedModel(
                "the head of the model, the layer or linear function that makes its logits, was not found, so its embedding is "
                "unknown; name the module whose input is the embedding with distil.wrap(model, head=...), or pass a part or a "
                "function of its output as distil.wrap(model, embedding=...); of a TorchScript module or an exported program, "
                "whose layers cannot be watched, pass the original module"
            )
        return embedding

    def augmented(self, transform: Callable[[Tensor], Tensor], n_samples: int) -> Tensor:
        rng = self._rng.child("augmentation")
        return augmented_probs(self._network, self._batch, self._ids, transform, n_samples, rng, self._caller)

    def inputs(self) -> Tensor:
        if not isinstance(self._network, HasInputs):
            raise lacking(self._caller, self._network, HasInputs)
        return self._network.inputs(self._batch)

    def attack(self, attack: Attacker) -> Attack:
        if not isinstance(self._network, Differentiable):
            raise lacking(self._caller, self._network, Differentiable)
        if attack not in self._attacks:
            x, logits = self._network.differentiable(self._batch)
            precise = x if x.dtype == torch.float64 else x.float()  # small steps would vanish in half precision
            with torch.enable_grad():
                self._attacks[attack] = attack(lambda z: logits(z.to(x.dtype)), precise)
        return self._attacks[attack]

    def labels(self) -> Tensor:
        if self._labels is not None:
            return self._labels.float() if self._labels.is_floating_point() else self._labels
        labels: Any = None
        if isinstance(self._batch, (list, tuple)) and len(self._batch) > 1:
            labels = self._batch[1]
        elif isinstance(self._batch, Mapping):
            labels = next((self._batch[name] for name in LABELS if name in self._batch), None)
        if labels is not None and self._network.task == "regression":
            what = "the labels of the data set"
            return as_targets(labels, what, count=len(self._ids), ids=self._ids, names=self._names).float()
        if isinstance(labels, Tensor) and labels.dim() != 1:
            return labels  # Measurements refuses it, as it does other columns of a wrong shape
        if isinstance(labels, (Tensor, list, tuple)):  # class names are texts in a list
            return as_labels(
                labels,
                "the labels of the data set",
                classes=self._network.classes,
                column_labels=self._network.column_labels,
                ids=self._ids,
                names=self._names,
            )
        raise MissingSignal(
            f"{self._caller} needs labels, and the examples passed have none; pass {{id: label}} or (ids, labels), or data with "
            "labels: (inputs, labels) or a Dataset of (x, y)"
        )

    def costs(self) -> Tensor:
        assert self._costs is not None  # refused by ``measured``
        return self._costs

    def samples(self, n_samples: int, shared: bool) -> Tensor:
        if not isinstance(self._network, Samples):
            raise lacking(self._caller, self._network, Samples)
        draw = Draw(self._rng.child("samples"), self._ids, shared)
        return self._network.sample(self._batch, n_samples, draw)
