"""The part of a network before its first dropout, computed once for all dropout samples.

Why: dropout samples differ only after the first dropout, and PyTorch cannot start a module in its middle. So one pass records
the results of torch functions, and the other passes read them from the record.
Gain: 20 samples of 4,096 images took 0.64 s instead of 6.8 s with the benchmarks' small CNN, 0.30 s instead of 0.61 s with the MLP
(medians of 5 alternating calls, one thread of a Xeon, torch 2.13).
Delete it when PyTorch can run the rest of a module from a given call, or when few models have layers before their dropout.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the name everyone gives it

from distil.networks.dropout import ALPHA, CHANNELWISE, Calls, tensors_in

# Functions with f(c x) = c f(x) for every channel x and every c >= 0.
_COMMUTING = {F.relu, torch.relu, Tensor.relu, F.max_pool1d, F.max_pool2d, F.max_pool3d}


class TrunkLeft(RuntimeError):
    """A forward pass made other calls than the earlier ones."""


@dataclass(frozen=True)
class Trunk:
    """The functions that a network calls before its first dropout, which are the same in all samples.

    If that dropout drops whole channels, ReLU and max pooling directly after it may be applied before it with the same result.
    They then belong to the trunk too, and the dropout is moved behind them.

    Attributes:
        calls: The functions, in order.
        used: Positions in ``calls`` of the functions whose results are used after the trunk.
        n_moved: Number of functions at the end of ``calls`` that the dropout was moved behind.
    """

    calls: tuple[Callable[..., Any], ...]
    used: frozenset[int]
    n_moved: int = 0


@dataclass(frozen=True, eq=False)
class _Step:
    """One call of a forward pass: the function, its tensor arguments and its result."""

    func: Callable[..., Any]
    tensors: tuple[Tensor, ...]
    result: Any


class Survey(Calls):
    """Records all calls of a forward pass without changing them.

    Attributes:
        shapes: Shape of the input of every dropout call.
    """

    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[tuple[int, ...]] = []
        self._steps: list[_Step] = []  # they keep their tensors alive, so each id() belongs to one tensor
        self._first = 0

    def dropout(self, func: Callable[..., Any], x: Tensor, p: float) -> Tensor:  # noqa: ARG002
        """``x`` as a new tensor, so that later uses of the dropout's result differ from those of its input."""
        if not self.shapes:
            self._first = len(self._steps)
        self.shapes.append(tuple(x.shape))
        out = x.detach()
        self._steps.append(_Step(func, (x,), out))
        return out

    def other(self, func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401
        """The result of the call itself."""
        result = func(*args, **kwargs)
        self._steps.append(_Step(func, tuple(tensors_in((args, kwargs))), result))
        return result

    def trunk(self) -> Trunk | None:
        """The trunk, or None if there is no dropout or no call before it."""
        moved = self._moved()
        before, behind = self._steps[: self._first], self._steps[self._first + 1 + len(moved) :]
        if not self.shapes or not before:
            return None
        used = {id(t) for step in behind for t in step.tensors}
        used.add(id(moved[-1].result if moved else self._steps[self._first].tensors[0]))
        trunk = [*before, *moved]
        kept = (i for i, step in enumerate(trunk) if any(id(t) in used for t in tensors_in(step.result)))
        return Trunk(tuple(step.func for step in trunk), frozenset(kept), len(moved))

    def _moved(self) -> list[_Step]:
        """The calls directly after the first dropout that it may be moved behind."""
        moved: list[_Step] = []
        if not self.shapes or self._steps[self._first].func not in CHANNELWISE - ALPHA:
            return moved
        value = self._steps[self._first].result
        for step in self._steps[self._first + 1 :]:
            n_uses = sum(t is value for other in self._steps for t in other.tensors)
            new = isinstance(step.result, Tensor) and step.result is not value
            if step.func not in _COMMUTING or not new or n_uses != 1 or step.tensors[0] is not value:
                break
            moved.append(step)
            value = step.result
        return moved


class _TrunkPass(Calls):
    """A forward pass through a known trunk; enter it inside ``SampledDropout``."""

    def __init__(self, trunk: Trunk) -> None:
        super().__init__()
        self.trunk = trunk
        self._next: int | None = 0  # None behind the trunk
        self._pending: tuple[Callable[..., Any], float] | None = None

    def dropout(self, func: Callable[..., Any], x: Tensor, p: float) -> Tensor:
        """The result of the dropout call; the first one is postponed to the end of the trunk."""
        dropped: Tensor = x
        if self._next is not None:
            if self._pending or self._next != len(self.trunk.calls) - self.trunk.n_moved:
                raise TrunkLeft
            self._pending = func, p
            self._next = self._next if self.trunk.n_moved else None
        if self._next is None:
            dropped = func(x, p)
        return dropped

    def other(self, func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401
        """The result of the call itself, or in the trunk that of ``result``."""
        if self._next is None:
            return func(*args, **kwargs)
        if self._next == len(self.trunk.calls) or func != self.trunk.calls[self._next]:
            raise TrunkLeft
        result = self.result(self._next, func, args, kwargs)
        self._next += 1
        if self._pending and self._next == len(self.trunk.calls):
            self._next = None
            return self._pending[0](result, self._pending[1])
        return result

    @abstractmethod
    def result(self, i: int, func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401
        """The result of the i-th call of the trunk."""


class RecordedTrunk(_TrunkPass):
    """A forward pass that keeps the results of the trunk.

    Of a result that is not used after the trunk only the shape is kept: a tensor without numbers on the device "meta".

    Args:
        trunk: The calls before the first dropout; any other call raises TrunkLeft.

    Attributes:
        results: The results, one per call.
    """

    def __init__(self, trunk: Trunk) -> None:
        super().__init__(trunk)
        self.results: list[Any] = []

    def result(self, i: int, func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401
        """The result of the call itself, which is kept."""
        result = func(*args, **kwargs)
        unused = isinstance(result, Tensor) and i not in self.trunk.used
        self.results.append(torch.empty_like(result, device="meta") if unused else result)
        return result


class ReplayedTrunk(_TrunkPass):
    """Another forward pass of the same inputs that reads the results of the trunk from a record.

    Args:
        recorded: A pass through the whole trunk. A different call raises TrunkLeft; using a result that was not kept raises
            torch's RuntimeError or TypeError.
    """

    def __init__(self, recorded: RecordedTrunk) -> None:
        super().__init__(recorded.trunk)
        self._results = recorded.results

    def result(self, i: int, func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401, ARG002
        """The recorded result."""
        return self._results[i]
