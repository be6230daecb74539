"""The head of a model: the layer that makes its logits, whose input is the embedding."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from distil.errors import UnsupportedModel
from distil.networks.output_kinds import OutputKind, close


@dataclass(frozen=True, eq=False)
class Head:
    """The sources of a model's logits and embedding.

    Attributes:
        position: Index of the logits among the tensors that the model returns.
        layer: The layer whose input is the embedding; None if no layer was found.
        call: Index, from 0, of the layer's call in a forward pass whose input is the embedding; None: the last.
    """

    position: int
    layer: nn.Module | None
    call: int | None


def find_head(
    module: nn.Module,
    named: nn.Module | None,
    returned: Sequence[Tensor],
    again: Callable[[], object],
    output: OutputKind | None,
) -> Head:
    """Find the Linear or convolution layer whose output the model returns.

    Args:
        module: The model.
        named: The layer that the user named as the head, if any; its output need not be the logits.
        returned: The tensors that the model returned for a few rows.
        again: A function that calls the model once more on the same rows.
        output: Kind of the numbers that the model returns: logits, or their softmax or sigmoid.

    Raises:
        UnsupportedModel: The model returns several tensors, and no layer maps one of them to another, or several layers do.
    """
    matches: list[tuple[Head, Tensor]] = []
    calls: dict[nn.Module, int] = {}

    def look(layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> None:  # noqa: ANN401
        calls[layer] = calls.get(layer, -1) + 1
        for position, tensor in enumerate(returned):
            if isinstance(out, Tensor) and _gives(embedding_of(out, layer), tensor, output):
                matches.append((Head(position, layer, calls[layer]), embedding_of(_input_of(args, kwargs), layer)))

    with ExitStack() as stack:
        for layer in module.modules():
            if isinstance(layer, (nn.Linear, nn.Conv1d, nn.Conv2d)):
                stack.callback(layer.register_forward_hook(look, with_kwargs=True).remove)
        again()
    if len(returned) > 1:
        matches = [
            (head, x) for head, x in matches if any(close(x, t) for i, t in enumerate(returned) if i != head.position)
        ]
        if not matches:
            shapes = ", ".join(str(tuple(t.shape)) for t in returned)
            raise UnsupportedModel(
                f"the model returns {len(returned)} tensors ({shapes}), and no layer of it maps one to another, so it is unknown "
                "which one holds the logits; pass its position to distil.wrap, as logits=0, and perhaps embedding=1"
            )
        _check_one_position(matches, named, returned)
    if named is not None:
        own = [head for head, _ in matches if head.layer is named]
        position = matches[-1][0].position if matches else 0
        return own[-1] if own else Head(position, named, None)
    return matches[-1][0] if matches else Head(0, None, None)


def _check_one_position(
    matches: Sequence[tuple[Head, Tensor]], named: nn.Module | None, returned: Sequence[Tensor]
) -> None:
    """Raise UnsupportedModel if several of the returned tensors may be the logits."""
    positions = sorted({head.position for head, _ in matches if named is None or head.layer is named})
    if len(positions) > 1:
        found = ", ".join(f"position {position} {tuple(returned[position].shape)}" for position in positions)
        raise UnsupportedModel(
            f"the model returns {len(returned)} tensors, and several may be its logits: {found}; choose one with "
            f"distil.wrap(model, logits={positions[0]}), in a Learner with network=lambda model: distil.wrap(model, "
            f"logits={positions[0]})"
        )


def places_of(
    layer: nn.Module, number: int | None, call: Callable[[], Sequence[Tensor]], output: OutputKind | None
) -> list[int]:
    """The places, among the tensors that a model returns, of what its head returned in the same pass.

    Args:
        layer: The head.
        number: Which of its calls makes the logits, from 0; None: the last.
        call: Calls the model and returns its tensors.
        output: See ``find_head``.
    """
    made: list[Any] = []
    hook = layer.register_forward_hook(lambda _layer, _args, out: made.append(out))
    try:
        returned = call()
    finally:
        hook.remove()
    chosen = made[-1:] if number is None else made[number : number + 1]
    own = [embedding_of(out, layer) for out in chosen if isinstance(out, Tensor)]
    return [place for place, t in enumerate(returned) if any(_gives(out, t, output) for out in own)]


class HeadInput:
    """Keeps the input of a head in the last forward pass.

    Attributes:
        value: The embedding, (B, D); None if the head was not called.
    """

    def __init__(self) -> None:
        self.value: Tensor | None = None
        self._calls = 0

    def clear(self) -> None:
        """Drop the value, before a forward pass or after use."""
        self.value, self._calls = None, 0

    @contextmanager
    def watching(self, head: Head) -> Iterator[None]:
        """A context in which the input of the head is kept."""

        def keep(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            if head.call is None or head.call == self._calls:
                self.value = embedding_of(_input_of(args, kwargs), head.layer)
            self._calls += 1

        with ExitStack() as stack:
            if head.layer is not None:
                stack.callback(head.layer.register_forward_pre_hook(keep, with_kwargs=True).remove)
            yield


def embedding_of(x: Tensor, layer: nn.Module | None = None) -> Tensor:
    """Rows of a head's input or output, (B, D): the mean over all axes but those of examples and features.

    Args:
        x: (B, D), (B, D, places...) or, for a layer that works along the last axis, (B, places..., D).
        layer: The layer that x is an input or output of.
    """
    if x.dim() <= 2:
        return x
    return x.flatten(1, -2).mean(1) if _along_last_axis(x, layer) else x.flatten(2).mean(2)


def _along_last_axis(x: Tensor, layer: nn.Module | None) -> bool:
    """Whether the features of x are on its last axis: for Linear layers, and for three axes without a convolution or pooling."""
    if isinstance(layer, (nn.Linear, nn.LayerNorm)):
        return True
    of_places = (nn.Conv1d, nn.AdaptiveAvgPool1d, nn.AdaptiveMaxPool1d, nn.AvgPool1d, nn.MaxPool1d)
    return x.dim() == 3 and layer is not None and not any(isinstance(part, of_places) for part in layer.modules())


def _input_of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401
    return args[0] if args else next(iter(kwargs.values()))


def _gives(out: Tensor, returned: Tensor, output: OutputKind | None) -> bool:
    """Whether ``returned`` is a layer's output, or its log-softmax, softmax or sigmoid."""
    if out.dim() != 2 or out.numel() != returned.numel():
        return False
    out, returned = out.float(), returned.float().reshape(out.shape)
    candidates = [out, out.log_softmax(-1)]
    if output == "probs":
        candidates += [out.sigmoid(), *([out.softmax(-1)] if out.shape[1] > 1 else [])]
    return any(close(candidate, returned) for candidate in candidates)
