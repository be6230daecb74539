"""Images in channels-last memory format, in which convolutions on a CPU are fastest.

Why: PyTorch's kernels keep the format of their input, and rearrange it around each convolution and pooling that computes in another
one. ``x.view(len(x), -1)``, which many models call before their head, fails with channels last; ``Images`` replaces it.
Gain: for ``Images``, see ``distil.measuring.channels_last``. With ``ChannelsLastPooling``, 20 dropout samples of 4,096 images took
4.4 s instead of 6.6 s by whole passes of the benchmarks' small CNN, and 0.39 s instead of 0.43 s with the part before the first
dropout computed once (medians of 5 to 7 alternating calls, one thread of a busy Xeon, torch 2.13).
Delete ``Images`` when PyTorch chooses the format by itself on a CPU, and ``ChannelsLastPooling`` when its kernel for consecutive
channels is as fast as the one for channels last.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name everyone gives it
from torch.overrides import TorchFunctionMode


def channels_last(x: Tensor) -> Tensor:
    """The same images (B, C, H, W) with channels last in memory; images of one channel are not copied."""
    b, c, h, w = x.shape
    if c == 1 and x.is_contiguous():  # both formats have the same memory, and PyTorch would keep the strides
        return x.as_strided((b, c, h, w), (h * w, 1, w, 1))
    return x.contiguous(memory_format=torch.channels_last)


class Images(TorchFunctionMode):
    """Converts the images that a module is called with to channels last while active, and lets ``view`` copy if it must.

    PyTorch's own ``x.view(len(x), -1)`` raises an error for images with channels last.
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


# Least number of channels for which max pooling on a CPU repays converting an image to channels last and back.
_POOLED_CHANNELS = 4


class ChannelsLastPooling(TorchFunctionMode):
    """Makes max pooling of images on a CPU several times as fast while active, with the same results.

    PyTorch's kernel for consecutive channels works pixel by pixel, the one for channels last on all channels at once.
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
