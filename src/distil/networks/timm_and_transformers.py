"""Reading the embedding of models without a head layer, as some of timm and transformers. Neither package is imported here."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, get_args

from torch import Tensor, nn

from distil.errors import UnsupportedModel
from distil.networks.head import embedding_of
from distil.networks.head_call import HeadCalls
from distil.networks.output_kinds import close

ReadOutputs = Callable[[nn.Module, Any], tuple[Tensor | None, Tensor | None]]
"""``outputs(module, x) -> (logits, embedding)``, as ``TorchNetwork`` takes it; None for a part that the model does not have."""

Call = Callable[[nn.Module, Any], Any]
"""``call(module, x)`` calls a module with the inputs of a minibatch."""

Pooling = Literal["cls", "mean", "pooled"]
"""The vector of a transformers model that serves as embedding."""

POOLINGS: tuple[Pooling, ...] = get_args(Pooling)


def class_names(module: nn.Module) -> tuple[str, ...] | None:
    """The names of the classes in the configuration of a transformers model (``id2label``).

    None for other models, and where the names are those that transformers makes up, ``LABEL_0`` and so on.
    """
    names = getattr(getattr(module, "config", None), "id2label", None)
    if not isinstance(names, Mapping) or set(names) != set(range(len(names))):
        return None
    own = tuple(str(names[column]) for column in range(len(names)))
    return None if own == tuple(f"LABEL_{column}" for column in range(len(own))) else own


def own_outputs(module: nn.Module, x: object, read: Callable[[Any], Tensor], call: Call) -> ReadOutputs | None:
    """A function that reads logits and embedding of a model without a head layer; None if there is none.

    Args:
        module: The model; none of its layers returns exactly its logits.
        x: Inputs of a few rows.
        read: Reads the logits from the model's return value.
        call: Calls the model.
    """
    logits = read(call(module, x))
    for outputs in (_timm(module, x), _head_call(module, x, read, call)):
        if outputs is not None:
            own, embedding = outputs(module, x)
            if own is not None and close(own, logits) and embedding is not None and len(embedding) == len(logits):
                return outputs
    return None


def _head_call(module: nn.Module, x: object, read: Callable[[Any], Tensor], call: Call) -> ReadOutputs | None:
    """The embedding of a model whose logits come from a linear function, perhaps at one of all tokens, by way of others."""
    with HeadCalls() as calls:
        returned = call(module, x)
    head = calls.of(read(returned))
    if head is None:
        return None
    numbers, columns = head.calls, head.convolution

    def outputs(module: nn.Module, x: Any) -> tuple[Tensor | None, Tensor | None]:  # noqa: ANN401
        with HeadCalls(numbers, columns=columns) as calls:
            logits = read(call(module, x))
        head = calls.of(logits)
        return logits, None if head is None else head.embedding()

    return outputs


def _timm(module: nn.Module, x: object) -> ReadOutputs | None:
    """The embedding from timm's ``forward_head(pre_logits=True)``, for models that average several heads (distilled ones)."""
    features, head = getattr(module, "forward_features", None), getattr(module, "forward_head", None)
    if not callable(features) or not callable(head) or not isinstance(x, Tensor):
        return None
    if "pre_logits" not in inspect.signature(head).parameters:
        return None

    def outputs(_: nn.Module, x: Any) -> tuple[Tensor | None, Tensor | None]:  # noqa: ANN401
        seen = features(x)
        return head(seen), embedding_of(head(seen, pre_logits=True))

    return outputs


@contextmanager
def _calls(layer: nn.Module) -> Iterator[list[tuple[Any, Any]]]:
    """Yield a list that collects the first input and the output of every call of the layer."""
    seen: list[tuple[Any, Any]] = []

    def keep(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> None:  # noqa: ANN401
        seen.append((args[0] if args else next(iter(kwargs.values()), None), out))

    hook = layer.register_forward_hook(keep, with_kwargs=True)
    try:
        yield seen
    finally:
        hook.remove()


def pooled_outputs(kind: Pooling, call: Call) -> ReadOutputs:
    """A function that reads the logits of a transformers model, and one vector per example from its base model.

    Args:
        kind: ``"cls"``: the first token of the last hidden state; ``"mean"``: the mean of its tokens in ``attention_mask``, or of
            its pixels; ``"pooled"``: the base model's ``pooler_output``.
        call: Calls the model.
    """

    def outputs(module: nn.Module, x: Any) -> tuple[Tensor | None, Tensor | None]:  # noqa: ANN401
        base = getattr(module, "base_model", None)
        if not isinstance(base, nn.Module):
            raise UnsupportedModel(
                f"embedding={kind!r} is for models of transformers, and {type(module).__name__} has no base_model; pass "
                "embedding=, a function from the model's return value to the embedding"
            )
        with _calls(base) as seen:
            returned = call(module, x)
        # A base model alone, without a head, has embeddings only.
        return getattr(returned, "logits", None), _POOLINGS[kind](seen[-1][1] if seen else None, x)

    return outputs


def _cls(base: object, _: object) -> Tensor:
    hidden = _field(base, "last_hidden_state", "cls")
    if hidden.dim() != 3:
        raise UnsupportedModel(f"embedding='cls' expects tokens, got hidden states {tuple(hidden.shape)}; pass 'mean'")
    return hidden[:, 0]


def _mean(base: object, x: object) -> Tensor:
    hidden = _field(base, "last_hidden_state", "mean")
    mask = x.get("attention_mask") if isinstance(x, Mapping) else None
    if hidden.dim() != 3 or not isinstance(mask, Tensor) or mask.shape != hidden.shape[:2]:
        return hidden.mean(1) if hidden.dim() == 3 else embedding_of(hidden)
    weights = mask.type(hidden.dtype)[:, :, None]
    return (hidden * weights).sum(1) / weights.sum(1).clamp_min(1)


def _pooled(base: object, _: object) -> Tensor:
    return _field(base, "pooler_output", "pooled").flatten(1)


_POOLINGS: dict[str, Callable[[object, object], Tensor]] = {"cls": _cls, "mean": _mean, "pooled": _pooled}


def _field(base: object, name: str, kind: str) -> Tensor:
    value = getattr(base, name, None)
    if not isinstance(value, Tensor):
        others = "'cls' or 'mean'" if kind == "pooled" else "a function from the model's return value to the embedding"
        raise UnsupportedModel(
            f"embedding={kind!r} needs the base model's {name}, which it does not return; pass {others}"
        )
    return value
