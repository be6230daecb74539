"""Monte-Carlo dropout that leaves the module in evaluation mode and does not depend on minibatches."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name everyone gives it
from torch.overrides import TorchFunctionMode

from distil.rng import Rng

# Masks are drawn for blocks of this many consecutive ids, so that an example's mask depends on its id alone.
DRAW_BLOCK = 256
_MOST_NUMBERS = 1 << 24

_ELEMENTWISE = {F.dropout, F.alpha_dropout}
_CHANNELWISE = {F.dropout1d, F.dropout2d, F.dropout3d, F.feature_alpha_dropout}
_ALPHA = {F.alpha_dropout, F.feature_alpha_dropout}

# -scale * alpha of SELU: the value that alpha dropout writes (Klambauer et al. 2017, section "alpha dropout").
_SELU_FLOOR = -1.0507009873554804934193349852946 * 1.6732632423543772848170429916717


@dataclass(frozen=True)
class Draw:
    """Uniform random numbers for the examples of one minibatch, the same however the pool is cut.

    Attributes:
        rng: The stream of this sample.
        ids: Positions of the examples in the data set, (B,).
        shared: One draw for all examples instead of one each.
    """

    rng: Rng
    ids: Tensor
    shared: bool = False

    def child(self, sample: int) -> Draw:
        """The draw of one sample."""
        return Draw(self.rng.child(sample), self.ids, self.shared)

    def uniform(self, site: int, shape: Sequence[int]) -> Tensor:
        """Numbers in [0, 1) for one place in the network: (B, *shape), or (1, *shape) when shared."""
        if self.shared:
            return torch.rand(1, *shape, generator=self.rng.child(site).torch())
        out = torch.empty(len(self.ids), *shape)
        rows_each = _draw_rows(math.prod(shape))
        blocks = self.ids // rows_each
        for block in blocks.unique().tolist():
            rows = torch.nonzero(blocks == block)[:, 0]
            numbers = torch.rand(rows_each, *shape, generator=self.rng.child(site, block).torch())
            out[rows] = numbers[self.ids[rows] % rows_each]
        return out


def _draw_rows(numbers: int) -> int:
    """Consecutive ids that draw together: DRAW_BLOCK, or fewer where an example takes many numbers, to bound memory."""
    rows = DRAW_BLOCK
    while rows > 1 and rows * numbers > _MOST_NUMBERS:
        rows //= 2
    return rows


class _DropoutCalls(TorchFunctionMode, ABC):
    """While active, every call of a dropout function comes here, in whatever mode its module is."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        kwargs = kwargs or {}
        if func not in _ELEMENTWISE and func not in _CHANNELWISE:
            return func(*args, **kwargs)
        x = args[0] if args else kwargs["input"]
        p = args[1] if len(args) > 1 else kwargs.get("p", 0.5)
        return x if p == 0 else self.called(func, x, p)

    @abstractmethod
    def called(self, func: Callable[..., Any], x: Tensor, p: float) -> Tensor:
        """What takes the place of ``func(x, p)``, p > 0."""


class DropoutShapes(_DropoutCalls):
    """Leaves everything as it is, and notes the shape of what every dropout call sees.

    Attributes:
        shapes: One a call.
    """

    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[tuple[int, ...]] = []

    def called(self, func: Callable[..., Any], x: Tensor, p: float) -> Tensor:  # noqa: ARG002
        """``x``."""
        self.shapes.append(tuple(x.shape))
        return x


def example_axes(of_two: Sequence[tuple[int, ...]], of_three: Sequence[tuple[int, ...]]) -> tuple[int | None, ...]:
    """Which axis of each dropout call's input runs over the examples, from the shapes for two and for three examples.

    Shapes for one number of examples do not tell: any axis may happen to be as long. None: no axis does.
    """
    axes: list[int | None] = []
    for two, three in zip(of_two, of_three, strict=False):
        grown = [axis for axis, (a, b) in enumerate(zip(two, three, strict=False)) if a != b]
        aligned = len(two) == len(three) and len(grown) == 1 and two[grown[0]] * 3 == three[grown[0]] * 2
        axes.append(grown[0] if aligned else None)
    return tuple(axes)


class SampledDropout(_DropoutCalls):
    """While active, every call of a dropout function drops.

    Args:
        draw: The random numbers of one sample of one minibatch.
        axes: For each dropout call, the axis of its input that runs over the examples; default: the first of each.

    Attributes:
        n_sites: Dropout calls that dropped.
        n_unaligned: Those among them whose input has no such axis; their mask is the same for all examples.
    """

    def __init__(self, draw: Draw, axes: Sequence[int | None] | None = None) -> None:
        super().__init__()
        self.n_sites = 0
        self.n_unaligned = 0
        self._draw = draw
        self._axes = axes

    def called(self, func: Callable[..., Any], x: Tensor, p: float) -> Tensor:
        """``x`` with some of its numbers, or channels, dropped."""
        axis = 0 if self._axes is None else None
        if self._axes is not None and self.n_sites < len(self._axes):
            axis = self._axes[self.n_sites]
        self.n_sites += 1
        keep = (self._numbers(x, axis, func in _CHANNELWISE) >= p).to(x.device, x.dtype)
        if p == 1:
            return x * 0
        return _alpha_drop(x, keep, p) if func in _ALPHA else x * keep / (1 - p)

    def _numbers(self, x: Tensor, axis: int | None, channels: bool) -> Tensor:
        """Uniform numbers that broadcast against x, an example's own along ``axis``."""
        n = len(self._draw.ids)
        shape = (*x.shape[:2], *[1] * (x.dim() - 2)) if channels else tuple(x.shape)
        if axis is None or shape[axis] % n:
            self.n_unaligned += 1
            shared = Draw(self._draw.rng, self._draw.ids, shared=True)
            return shared.uniform(self.n_sites, shape)[0]
        repeats = shape[axis] // n  # rows that belong to one example: (B S, D)
        others = (*shape[:axis], *shape[axis + 1 :])
        numbers = self._draw.uniform(self.n_sites, (repeats, *others)).flatten(0, 1)
        if self._draw.shared:
            numbers = numbers.repeat(n, *[1] * len(others))
        return numbers.movedim(0, axis)


def unreachable_dropout(module: nn.Module) -> list[str]:
    """Names of layers whose dropout happens inside a fused kernel, where it cannot be switched on from outside."""
    found = []
    for name, layer in module.named_modules():
        attention = isinstance(layer, nn.MultiheadAttention) and layer.dropout > 0
        recurrent = isinstance(layer, nn.RNNBase) and layer.dropout > 0 and layer.num_layers > 1
        if attention or recurrent:
            found.append(name or type(layer).__name__)
    return found


def _alpha_drop(x: Tensor, keep: Tensor, p: float) -> Tensor:
    """Alpha dropout: dropped units take SELU's floor, then mean and variance are put back."""
    a: float = ((1 - p) * (1 + p * _SELU_FLOOR**2)) ** -0.5
    return a * (x * keep + _SELU_FLOOR * (1 - keep)) - a * p * _SELU_FLOOR
