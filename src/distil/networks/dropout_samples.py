"""Probabilities under several dropout masks; the layers before the first dropout are computed once."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from typing import Any

import torch
from torch import Tensor, nn

from distil.errors import DistilWarning
from distil.networks.dropout import Draw, SampledDropout, example_axes, unreachable_dropout
from distil.networks.memory_format import ChannelsLastPooling
from distil.networks.model_inputs import TRIED_ROWS, first_rows
from distil.networks.module_state import attributes_kept
from distil.networks.output_kinds import close
from distil.networks.trunk import RecordedTrunk, ReplayedTrunk, Survey, Trunk


class DropoutSamples:
    """Samples of a module's probabilities under dropout masks.

    Args:
        module: The module; it must be in evaluation mode while it is sampled.
        probs: Inputs of the module -> probabilities, (B, C), by one forward pass.
    """

    def __init__(self, module: nn.Module, probs: Callable[[Any], Tensor]) -> None:
        self._module = module
        self._probs = probs
        self._convolves = any(isinstance(layer, nn.Conv2d) for layer in module.modules())
        self._warned = False
        self._axes: tuple[int | None, ...] | None = None  # of dropout calls; None: not surveyed yet
        self._trunk: Trunk | None = None  # None: whole passes

    def of(self, x: Any, n_samples: int, draw: Draw) -> Tensor:  # noqa: ANN401
        """Probabilities under K masks, (B, K, C); all K are equal if the module has no dropout."""
        draws = [draw.child(k) for k in range(n_samples)]
        if self._axes is None:
            self._survey(x, draw)
        if not self._axes:  # no dropout: all samples are equal
            return self._whole(x, draws[:1]).repeat(1, n_samples, 1)
        probs = None
        if self._trunk is not None and n_samples > 1:
            probs = self._trunk_once(x, draws, self._trunk)
        return self._whole(x, draws) if probs is None else probs

    def _survey(self, x: Any, draw: Draw) -> None:  # noqa: ANN401
        """From passes over a few rows, find the dropout calls, the example axis of each, and the calls that need computing once."""
        two, three = Survey(), Survey()
        for n, survey in ((2, two), (3, three)):
            rows = first_rows(x, n, repeat=True)
            with survey:
                self._probs(rows)
        self._axes = example_axes(two.shapes, three.shapes)
        trunk = two.trunk()
        if trunk is None or trunk != three.trunk():
            return
        rows = first_rows(x, TRIED_ROWS)
        draws = [Draw(draw.rng.child(k), draw.ids[:TRIED_ROWS], draw.shared) for k in range(2)]
        probs = self._trunk_once(rows, draws, trunk)
        if probs is not None and close(probs, self._whole(rows, draws)):
            self._trunk = trunk

    def _whole(self, x: Any, draws: Sequence[Draw]) -> Tensor:  # noqa: ANN401
        """Probabilities under several masks, (B, K, C), by one whole pass for each."""
        return torch.stack([self._sampled(x, draw) for draw in draws], 1)

    def _trunk_once(self, x: Any, draws: Sequence[Draw], trunk: Trunk) -> Tensor | None:  # noqa: ANN401
        """Probabilities under several masks, (B, K, C), with the trunk computed once; None if a pass makes other calls."""
        recorded = RecordedTrunk(trunk)
        # TrunkLeft, or errors from results that were not kept. Any other error is raised again by the whole passes.
        with suppress(RuntimeError, TypeError, ValueError):
            probs = [self._sampled(x, draws[0], recorded)]
            with attributes_kept(self._module):
                probs += [self._sampled(x, draw, ReplayedTrunk(recorded)) for draw in draws[1:]]
            return torch.stack(probs, 1)
        return None

    def _sampled(self, x: Any, draw: Draw, trunk: RecordedTrunk | ReplayedTrunk | None = None) -> Tensor:  # noqa: ANN401
        """Probabilities under one mask, (B, C)."""
        seen = nullcontext(set[nn.Module]()) if self._warned else _called(self._module)
        with self._pooling(), SampledDropout(draw, self._axes) as dropout, trunk or nullcontext(), seen as called:
            probs = self._probs(x)
        if not self._warned:
            self._warned = True
            _warn_about_dropout(self._module, dropout, called)
        return probs

    def _pooling(self) -> AbstractContextManager[object]:
        """A context with faster max pooling, for convolutional networks."""
        return ChannelsLastPooling() if self._convolves else nullcontext()


@contextmanager
def _called(module: nn.Module) -> Iterator[set[nn.Module]]:
    """Yield a set that collects the layers that are called."""
    called: set[nn.Module] = set()

    def keep(layer: nn.Module, _: tuple[Any, ...]) -> None:
        called.add(layer)

    with ExitStack() as stack:
        for layer in module.modules():
            if not isinstance(layer, torch.jit.ScriptModule):
                stack.callback(layer.register_forward_pre_hook(keep).remove)
        yield called


def _warn_about_dropout(module: nn.Module, dropout: SampledDropout, called: Collection[nn.Module]) -> None:
    n_sites, n_unaligned = dropout.n_sites, dropout.n_unaligned
    hidden = unreachable_dropout(module, called)
    if not n_sites and not hidden and dropout.n_fused:
        hidden = ["that of scaled_dot_product_attention, if it has any"]
    where = f"; dropout that cannot be reached: {', '.join(hidden)}" if hidden else ""
    name = type(module).__name__
    if n_sites == 0:
        warnings.warn(f"{name} has no dropout that can be sampled, so all samples are equal{where}", DistilWarning, 2)
    elif hidden:
        warnings.warn(f"part of {name}'s dropout stays off while sampling{where}", DistilWarning, 2)
    if n_unaligned:
        warnings.warn(
            f"{n_unaligned} dropout calls of {name} see tensors without an example axis; their masks are shared by all examples",
            DistilWarning,
            2,
        )
