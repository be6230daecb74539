"""Images in the memory format that convolutions on a CPU are fastest in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from distil.errors import UnsupportedModel
from distil.head import close
from distil.network import Network, Outputs, TorchNetwork

# Rows that are asked for in both formats, to see that they give the same.
_COMPARED_ROWS = 8


class ChannelsLast:
    """Asks a network for its outputs with images whose channels lie last in memory, where that changes nothing but rounding.

    The convolutions of PyTorch on a CPU follow the format of their input; with channels last, nothing is rearranged before and
    after each of them, and pooling reads memory in order: small networks take half the time. The weights stay as they
    are. Used for modules with two-dimensional convolutions that are called with images, and only after the first eight of them
    have given equal logits in both formats.

    Args:
        network: The model, within its ``asking``.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self._images = _Images(network.module) if isinstance(network, TorchNetwork) and _convolves(network) else None
        self._compared = False

    def outputs(self, batch: Any) -> Outputs:  # noqa: ANN401
        """Logits and embedding of one minibatch."""
        if self._images is not None and not self._compared:
            self._images = self._images if self._gives_the_same(batch, self._images) else None
            self._compared = True
        if self._images is None:
            return self._network.outputs(batch)
        with self._images:
            return self._network.outputs(batch)

    def _gives_the_same(self, batch: Any, images: _Images) -> bool:  # noqa: ANN401
        try:
            x, logits = self._network.differentiable(batch)
        except UnsupportedModel:  # there is no one tensor of real numbers that the module is called with
            return False
        if x.dim() != 4:
            return False
        plain = logits(x[:_COMPARED_ROWS])
        try:
            with images:
                return close(logits(x[:_COMPARED_ROWS]), plain)
        except RuntimeError:  # something in the module asks for the usual format
            return False


def channels_last(x: Tensor) -> Tensor:
    """The same images (B, C, H, W) with channels last in memory; for one channel nothing moves."""
    b, c, h, w = x.shape
    if c == 1 and x.is_contiguous():  # both formats describe this memory, and PyTorch would keep the strides it has
        return x.as_strided((b, c, h, w), (h * w, 1, w, 1))
    return x.contiguous(memory_format=torch.channels_last)


def _convolves(network: TorchNetwork) -> bool:
    """Whether the module lies on a CPU and has two-dimensional convolutions."""
    on_cpu = all(p.device.type == "cpu" for p in network.module.parameters())
    return on_cpu and any(isinstance(layer, nn.Conv2d) for layer in network.module.modules())


class _Images(TorchFunctionMode):
    """While active, images that a module is called with have their channels last, and views of such may be copies.

    Without the latter, ``x.view(len(x), -1)`` before a head is an error: it takes axes that are in order in memory.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self._module = module

    def __enter__(self) -> _Images:
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
