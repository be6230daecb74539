"""Monte-Carlo dropout that leaves the module in evaluation mode and does not depend on minibatches."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name everyone gives it
from torch.overrides import TorchFunctionMode

from distil.rng import Rng

# Masks of ascending ids at most this far apart are drawn together with those of all ids between them.
DRAW_BLOCK = 256

# Rates are rounded to multiples of 2**-16: each binary digit of a probability costs a random bit.
_DIGITS = 16

_ELEMENTWISE = {F.dropout, F.alpha_dropout}
CHANNELWISE = {F.dropout1d, F.dropout2d, F.dropout3d, F.feature_alpha_dropout}
ALPHA = {F.alpha_dropout, F.feature_alpha_dropout}

# -scale * alpha of SELU: the value that alpha dropout writes (Klambauer et al. 2017, section "alpha dropout").
_SELU_FLOOR = -1.0507009873554804934193349852946 * 1.6732632423543772848170429916717

_Words = np.ndarray[Any, np.dtype[np.uint64]]


@dataclass(frozen=True)
class Draw:
    """Random masks for the examples of one minibatch, which do not depend on the minibatch.

    Every dropout call has a stream of random words. An example that needs w words reads those from position id * w on, so its mask
    is a pure function of (rng, dropout call, id).

    Attributes:
        rng: The stream of this sample.
        ids: Positions of the examples in the data set, (B,).
        shared: Whether all examples have the same mask.
    """

    rng: Rng
    ids: Tensor
    shared: bool = False

    def child(self, sample: int) -> Draw:
        """The draw of one sample."""
        return Draw(self.rng.child(sample), self.ids, self.shared)

    def kept(self, site: int, shape: Sequence[int], p: float) -> Tensor:
        """The mask of one dropout call: each number is dropped with probability p.

        Random words are combined bit by bit, 64 numbers at a time. From the last binary digit of the probability to the first,
        "or" with a random bit for a digit 1 and "and" for a digit 0 give a bit that is 1 with exactly this probability.

        Why: drawing a floating-point number for every number of a mask costs more than the rest of most networks.
        Gain: masks of 4,096 x 512 took 0.6 ms (p = 0.5), 0.8 ms (p = 0.25) and 6.6 ms (p = 0.1, 16 digits), against 16 to 21 ms
        with ``torch.rand`` (medians of 5 calls, one thread of a Xeon, torch 2.13).
        Delete it when PyTorch draws Bernoulli bits as fast from a stream that can be read from any position.

        Returns:
            (B, *shape), or (1, *shape) when shared, uint8 of 0 and 1, on the CPU.
        """
        digits = _binary(1 - p)
        n_numbers = math.prod(shape)
        words = self._words(site, len(digits) * -(-n_numbers // 64)).reshape(-1, len(digits), -(-n_numbers // 64))
        bits = words[:, 0]
        for i, digit in enumerate(digits[1:], 1):
            bits = bits | words[:, i] if digit else bits & words[:, i]
        octets = np.ascontiguousarray(bits).astype("<u8", copy=False).view(np.uint8)
        return torch.from_numpy(np.unpackbits(octets, axis=1, count=n_numbers, bitorder="little")).reshape(-1, *shape)

    def _words(self, site: int, n_words: int) -> _Words:
        """The random words of each example, (B, n_words), or with ``shared`` those of all, (1, n_words)."""
        names = (site, "shared") if self.shared else (site,)
        stream = np.random.PCG64(self.rng.child(*names).integer())
        if self.shared:
            return np.asarray(stream.random_raw(n_words))[None]
        ids, parts, position = self.ids.numpy(), [], 0
        gaps = np.diff(ids)
        for run in np.split(ids, np.flatnonzero((gaps < 1) | (gaps > DRAW_BLOCK)) + 1):
            first, end = int(run[0]), int(run[-1]) + 1
            stream.advance((first - position) * n_words)  # also backwards: it works modulo the period
            parts.append(np.asarray(stream.random_raw((end - first) * n_words)).reshape(-1, n_words)[run - first])
            position = end
        return np.concatenate(parts)


def _binary(probability: float) -> list[int]:
    """The binary digits of a probability in (0, 1), from the last 1 to the first digit after the point."""
    number, n_digits = min(max(round(probability * 2**_DIGITS), 1), 2**_DIGITS - 1), _DIGITS
    while number % 2 == 0:
        number, n_digits = number // 2, n_digits - 1
    return [number >> i & 1 for i in range(n_digits)]


class Calls(TorchFunctionMode, ABC):
    """Intercepts every call of a torch function while active, also dropout calls of modules in evaluation mode."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        kwargs = kwargs or {}
        if func not in _ELEMENTWISE and func not in CHANNELWISE:
            return self.other(func, args, kwargs)
        x = args[0] if args else kwargs["input"]
        p = args[1] if len(args) > 1 else kwargs.get("p", 0.5)
        return x if p == 0 else self.dropout(func, x, p)

    @abstractmethod
    def dropout(self, func: Callable[..., Any], x: Tensor, p: float) -> Tensor:
        """The result to return in place of the dropout call ``func(x, p)``, p > 0."""

    @abstractmethod
    def other(self, func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401
        """The result to return in place of any other call ``func(*args, **kwargs)``."""


class SampledDropout(Calls):
    """Makes every call of a dropout function drop while active.

    Args:
        draw: The masks of one sample of one minibatch.
        axes: For each dropout call, the axis of its input that runs over the examples; default: the first axis.

    Attributes:
        n_sites: Number of dropout calls.
        n_unaligned: Number of dropout calls whose input has no such axis; their mask is the same for all examples.
        n_fused: Number of calls of fused attention, which reads a rate of its own.
    """

    def __init__(self, draw: Draw, axes: Sequence[int | None] | None = None) -> None:
        super().__init__()
        self.n_sites = 0
        self.n_unaligned = 0
        self.n_fused = 0
        self._draw = draw
        self._axes = axes

    def dropout(self, func: Callable[..., Any], x: Tensor, p: float) -> Tensor:
        """``x`` with some of its numbers, or channels, dropped."""
        axis = 0 if self._axes is None else None
        if self._axes is not None and self.n_sites < len(self._axes):
            axis = self._axes[self.n_sites]
        self.n_sites += 1
        if p == 1:
            return x * 0
        kept = self._kept(x, axis, p, func in CHANNELWISE).to(x.device)
        if func in ALPHA:
            return _alpha_drop(x, kept.to(x.dtype), p)
        if kept.numel() < x.numel():
            return x * kept.to(x.dtype).div_(1 - p)
        return torch.empty_like(x).copy_(kept).mul_(x).div_(1 - p)  # in the layout of x, with no second tensor

    def other(self, func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401
        """The call itself."""
        self.n_fused += func is F.scaled_dot_product_attention
        return func(*args, **kwargs)

    def _kept(self, x: Tensor, axis: int | None, p: float, channels: bool) -> Tensor:
        """The mask of zeros and ones, which broadcasts against x; each example has its own along ``axis``."""
        n = len(self._draw.ids)
        shape = (*x.shape[:2], *[1] * (x.dim() - 2)) if channels else tuple(x.shape)
        if axis is None or shape[axis] % n:
            self.n_unaligned += 1
            return Draw(self._draw.rng, self._draw.ids, shared=True).kept(self.n_sites, shape, p)[0]
        repeats = shape[axis] // n  # rows that belong to one example: (B S, D)
        others = (*shape[:axis], *shape[axis + 1 :])
        kept = self._draw.kept(self.n_sites, (repeats, *others), p).flatten(0, 1)
        if self._draw.shared and repeats > 1:
            kept = kept.repeat(n, *[1] * len(others))
        return kept.movedim(0, axis)


def example_axes(of_two: Sequence[tuple[int, ...]], of_three: Sequence[tuple[int, ...]]) -> tuple[int | None, ...]:
    """For each dropout call, the axis of its input that runs over the examples, or None, from shapes for two and three examples.

    Shapes for one number of examples are not enough: another axis may happen to have the same length.
    """
    axes: list[int | None] = []
    for two, three in zip(of_two, of_three, strict=False):
        grown = [axis for axis, (a, b) in enumerate(zip(two, three, strict=False)) if a != b]
        aligned = len(two) == len(three) and len(grown) == 1 and two[grown[0]] * 3 == three[grown[0]] * 2
        axes.append(grown[0] if aligned else None)
    return tuple(axes)


_RATES = ("dropout", "dropout_p", "dropout_prob", "attention_dropout", "attn_dropout", "drop_prob")
"""Attributes of layers that hold the rate of a dropout of their own, in torch, timm and transformers."""

_DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)


def unreachable_dropout(module: nn.Module, called: Collection[nn.Module]) -> list[str]:
    """Names of layers whose dropout cannot be switched on from outside: inside a fused kernel, or of another kind.

    These are recurrent layers and attention with a rate, dropout layers that a forward pass does not call since a fused kernel
    reads only their rate, layers that drop whole paths, and TorchScript modules, whose layers cannot be watched.

    Args:
        module: The module.
        called: The layers that were called in a forward pass.
    """
    names = []
    for name, layer in module.named_modules():
        if isinstance(layer, _DROPOUTS):
            hidden = layer.p > 0 and layer not in called
        elif isinstance(layer, nn.RNNBase):
            hidden = layer.dropout > 0 and layer.num_layers > 1
        else:
            kind = str(getattr(layer, "original_name", type(layer).__name__))  # the former for TorchScript
            named = _RATES if kind != "StochasticDepth" else ("p",)
            rates = [getattr(layer, rate, None) for rate in named]
            hidden = any(isinstance(rate, float) and rate > 0 for rate in rates)
            hidden = hidden or (isinstance(layer, torch.jit.ScriptModule) and "Dropout" in kind)
        if hidden:
            names.append(name or type(layer).__name__)
    return names


def tensors_in(value: Any) -> Iterator[Tensor]:  # noqa: ANN401
    """The tensors in nested sequences and dicts."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (Mapping, list, tuple)):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from tensors_in(part)


def _alpha_drop(x: Tensor, kept: Tensor, p: float) -> Tensor:
    """Alpha dropout: dropped units take SELU's floor, then mean and variance are restored."""
    a: float = ((1 - p) * (1 + p * _SELU_FLOOR**2)) ** -0.5
    return a * (x * kept + _SELU_FLOOR * (1 - kept)) - a * p * _SELU_FLOOR
