"""An ensemble of models: the mean of their predictions, and each prediction as a sample."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from distil.errors import InvalidInput, UnsupportedModel
from distil.networks.base import Differentiable, HasInputs, Network, Outputs, Samples, lacking
from distil.networks.dropout import Draw
from distil.networks.output_kinds import activated, averaged
from distil.system.runtime import Runtime

_SHOWN = 10


class Ensemble(Network, Samples, HasInputs, Differentiable):
    """Networks whose probabilities, or predictions, are averaged (Lakshminarayanan et al. 2017, section 2.4).

    The members' probabilities are the samples of the ensemble (Beluch et al. 2018, section 3): BALD and the ``*_dropout``
    strategies read them in place of dropout samples, so K is the number of members and the strategy's own K is ignored. Embedding
    and inputs are those of the first member. An attack needs members that can all be differentiated. Cost: that of all members.

    Args:
        members: At least two networks with the same classes. Members that name them may have them in any order; the order is that
            of the first of these.

    Raises:
        InvalidInput: There are fewer than two members, or two of them have other classes or tasks.
    """

    def __init__(self, members: Sequence[Network]) -> None:
        if len(members) < 2:
            raise InvalidInput(f"an ensemble needs at least two members, got {len(members)}")
        self.members = tuple(members)
        self.task = self.members[0].task
        if any(member.task != self.task for member in self.members):
            tasks = ", ".join(member.task for member in self.members[:_SHOWN])
            raise InvalidInput(f"the members of an ensemble must have one task, got {tasks}")
        named = [member for member in self.members if member.classes is not None]
        self.classes = named[0].classes if named else None
        self.column_labels = all(member.column_labels for member in named)
        self._orders = [_order(member, self.classes) for member in self.members]

    def __repr__(self) -> str:
        return f"Ensemble({len(self.members)} members, the first {self.members[0]!r})"

    @contextmanager
    def asking(self, runtime: Runtime) -> Iterator[None]:
        """A context in which all members may be asked."""
        with ExitStack() as stack:
            for member in self.members:
                stack.enter_context(member.asking(runtime))
            yield

    def outputs(self, batch: Any) -> Outputs:  # noqa: ANN401
        """Logits of the averaged probabilities, or averaged predictions; and the first member's embedding."""
        outputs = [member.outputs(batch) for member in self.members]
        return Outputs(self._averaged([o.logits for o in outputs]), lambda: outputs[0].embedding)

    def inputs(self, batch: Any) -> Tensor:  # noqa: ANN401
        """The tensor that the first member is called with."""
        first = self.members[0]
        if not isinstance(first, HasInputs):
            raise lacking("reading the inputs of an ensemble", first, HasInputs)
        return first.inputs(batch)

    def differentiable(self, batch: Any) -> tuple[Tensor, Callable[[Tensor], Tensor]]:  # noqa: ANN401
        """The first member's inputs, and the function from them to the logarithms of the averaged probabilities."""
        functions = []
        for member in self.members:
            if not isinstance(member, Differentiable):
                raise lacking("an attack on an ensemble", member, Differentiable)
            functions.append(member.differentiable(batch))
        x = functions[0][0]
        if any(other.shape != x.shape for other, _ in functions):
            raise UnsupportedModel(
                "an attack changes one tensor, but the members of the ensemble are called with tensors of different shapes; use "
                "margin_sampling, or members with the same inputs"
            )
        return x, lambda z: self._averaged([logits(z.to(own.dtype)) for own, logits in functions])

    def sample(self, batch: Any, n_samples: int, draw: Draw) -> Tensor:  # noqa: ANN401, ARG002
        """The members' probabilities, or predictions, in their order, (B, members, C)."""
        logits = self._ordered([member.outputs(batch).logits for member in self.members])
        return activated(torch.stack(_same_classes(logits), 1), self.task)

    def _averaged(self, logits: Sequence[Tensor]) -> Tensor:
        """The outputs of the ensemble, (B, C), from those of its members."""
        return averaged(torch.stack(_same_classes(self._ordered(logits))), self.task)

    def _ordered(self, logits: Sequence[Tensor]) -> list[Tensor]:
        """The members' logits, (B, C) each, with their columns in the order of ``classes``."""
        orders = zip(logits, self._orders, strict=True)
        return [z if order is None or len(order) != z.shape[-1] else z[..., order] for z, order in orders]


def _order(member: Network, classes: Sequence[Any] | np.ndarray[Any, Any] | None) -> list[int] | None:
    """The member's column of each class; None where its columns are in this order, or it does not name them."""
    if member.classes is None or classes is None:
        return None
    own, expected = _plain(member.classes), _plain(classes)
    if set(own) == set(expected):
        return None if own == expected else [own.index(label) for label in expected]
    if member.column_labels:  # names in a configuration may be those of an earlier task
        return None
    raise InvalidInput(
        f"the members of an ensemble must have the same classes, got {expected[:_SHOWN]} and {own[:_SHOWN]}; wrap a list of "
        "the classifiers themselves, which gives each of them all classes"
    )


def _plain(classes: Sequence[Any] | np.ndarray[Any, Any]) -> list[Any]:
    return list(classes.tolist() if isinstance(classes, np.ndarray) else classes)


def _same_classes(logits: Sequence[Tensor]) -> list[Tensor]:
    """The members' logits, brought to one dtype and device."""
    widths = [z.shape[-1] for z in logits]
    if len(set(widths)) > 1:
        raise UnsupportedModel(
            f"the members of an ensemble must have the same number of classes, got {' and '.join(map(str, widths))}"
        )
    rows = [len(z) for z in logits]
    if len(set(rows)) > 1:
        raise UnsupportedModel(f"the members of an ensemble must return a row for each example, got {rows} rows")
    return [z.to(logits[0].device, logits[0].dtype) for z in logits]
