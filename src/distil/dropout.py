"""Monte-Carlo dropout that leaves the module in evaluation mode and does not depend on minibatches."""

from __future__ import annotations

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
        blocks = self.ids // DRAW_BLOCK
        for block in blocks.unique().tolist():
            rows = torch.nonzero(blocks == block)[:, 0]
            numbers = torch.rand(DRAW_BLOCK, *shape, generator=self.rng.child(site, block).torch())
            out[rows] = numbers[self.ids[rows] % DRAW_BLOCK]
        return out


class SampledDropout(TorchFunctionMode):
    """While active, every call of a dropout function drops, in whatever mode its module is.

    Attributes:
        n_sites: Dropout calls that dropped.
        n_unaligned: Those among them whose input has no axis of the minibatch's length.
    """

    def __init__(self, draw: Draw) -> None:
        super().__init__()
        self.n_sites = 0
        self.n_unaligned = 0
        self._draw = draw

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
        if p == 0:
            return x
        self.n_sites += 1
        keep = self._keep(x, p, func in _CHANNELWISE)
        return _alpha_drop(x, keep, p) if func in _ALPHA else x * keep / (1 - p if p < 1 else 1)

    def _keep(self, x: Tensor, p: float, channels: bool) -> Tensor:
        """A 0/1 mask that broadcasts against x."""
        n = len(self._draw.ids)
        per_example = (x.shape[1], *[1] * (x.dim() - 2)) if channels else tuple(x.shape[1:])
        if x.dim() > 1 and x.shape[0] != n and x.shape[1] == n and not channels:  # (S, B, ...): sequence first
            numbers = self._draw.uniform(self.n_sites, (x.shape[0], *x.shape[2:])).transpose(0, 1)
        elif x.shape[0] % n == 0:  # (B, ...), or (B r, ...) where r rows belong to one example
            repeats = x.shape[0] // n
            numbers = self._draw.uniform(self.n_sites, (repeats, *per_example)).flatten(0, 1)
            if repeats > 1 and self._draw.shared:
                numbers = numbers.repeat(n, *[1] * (numbers.dim() - 1))
        else:
            self.n_unaligned += 1
            shared = Draw(self._draw.rng, self._draw.ids, shared=True)
            numbers = shared.uniform(self.n_sites, (x.shape[0], *per_example))[0]
        return (numbers >= p).to(x.device, x.dtype)


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
