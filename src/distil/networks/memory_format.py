"""Images in the memory format that convolutions on a CPU are fastest in.

Why: PyTorch's kernels follow the format of their input, and rearrange it around each convolution and pool where that is not the
one they compute in. ``x.view(len(x), -1)``, which many models call before their head, fails with channels last; hence ``Images``.
What it won: passes with ``Images``, see ``distil.measuring.channels_last``; with ``ChannelsLastPooling``, 20 dropout samples of
4,096 images by whole passes of the small CNN of the benchmarks took 4.4 s in place of 6.6 s, and 0.39 s in place of 0.43 s where
the part before the first dropout is computed once (medians of 5 to 7 alternating calls, one thread of a busy Xeon, torch 2.13).
Delete it when PyTorch chooses the format by itself on a CPU, and ``ChannelsLastPooling`` when its kernel for consecutive channels
is as fast as the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name everyone gives it
from torch.overrides import TorchFunctionMode


def channels_last(x: Tensor) -> Tensor:
    """The same images (B, C, H, W) with channels last in memory; for one channel nothing moves."""
    b, c, h, w = x.shape
    if c == 1 and x.is_contiguous():  # both formats describe this memory, and PyTorch would keep the strides it has
        return x.as_strided((b, c, h, w), (h * w, 1, w, 1))
    return x.contiguous(memory_format=torch.channels_last)


class Images(TorchFunctionMode):
    """While active, images that a module is called with have their channels last, and views of such may be copies.

    Without the latter, ``x.view(len(x), -1)`` before a head is an error: it takes axes that are in order in memory.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self._module = module

    def __enter__(self) -> Images:
        self._hook = self._module.register_forward_pre_hook(_turned)
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *raised: object) -> None:
        self._hook.remove()
        super().__exit__(*raised)  # type: ignore[no-untyped-call]

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        if func is Tensor.view and not kwargs and not isinstance(args[1], torch.dtype):
            func = Tensor.reshape
        return func(*args, **(kwargs or {}))


def _turned(_: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(channels_last(x) if isinstance(x, Tensor) and x.dim() == 4 else x for x in args)


# From as many channels on, max pooling on a CPU pays for turning an image to channels last and back.
_POOLED_CHANNELS = 4


class ChannelsLastPooling(TorchFunctionMode):
    """Max pooling of images on a CPU that is several times as fast and gives the same numbers.

    PyTorch's kernel for consecutive channels works place by place, that for channels last on all channels at once.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        kwargs = kwargs or {}
        if func is F.max_pool2d and args and not kwargs.get("return_indices", False):
            x, *rest = args
            if x.dim() == 4 and x.device.type == "cpu" and x.shape[1] >= _POOLED_CHANNELS and x.is_contiguous():
                return func(x.contiguous(memory_format=torch.channels_last), *rest, **kwargs).contiguous()
        return func(*args, **kwargs)
