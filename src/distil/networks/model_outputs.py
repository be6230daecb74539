"""Reading logits and embedding from the return value of a module, whose form is found on the first rows."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn

from distil.errors import InvalidInput, UnsupportedModel
from distil.networks.calls import WrongRows, refuse_whole_numbers, rows_of
from distil.networks.head import Head, HeadInput, find_head
from distil.networks.model_inputs import TRIED_ROWS, call_module, first_rows
from distil.networks.output_kinds import OUTPUT_KINDS, OutputKind, as_logits, check_kind
from distil.networks.timm_and_transformers import ReadOutputs, own_outputs


class ModelOutputs:
    """Reads logits and embedding from the return value of a module; ``TorchNetwork`` describes how, and the arguments.

    Raises:
        UnsupportedModel: ``module`` has no layer called ``head``.
        InvalidInput: The kind of output is unknown.
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        head: str | None,
        outputs: ReadOutputs | None,
        returns: Callable[[Any], tuple[Tensor, Tensor | None]] | None,
        output: OutputKind,
        num_classes: int | None,
    ) -> None:
        if output not in OUTPUT_KINDS:
            raise InvalidInput(f"output must be one of {', '.join(map(repr, OUTPUT_KINDS))}, got {output!r}")
        self._module = module
        self._outputs = outputs
        self._returns = returns
        self._kind: OutputKind = output
        self._num_classes = num_classes
        self._named = _named_layer(module, head)
        self._head: Head | None = None
        self._seen = HeadInput()
        read = outputs is not None or returns is not None
        self._documented = not read and "last" in inspect.signature(module.forward).parameters
        self._widths: tuple[int, int | None] | None = None  # of logits and embedding; None: no minibatch seen yet

    def __repr__(self) -> str:
        if self._widths is None:
            return "logits and embedding will be found on the first minibatch"
        logits, embedding = self._widths
        layers = {layer: name for name, layer in self._module.named_modules()}
        layer = None if self._head is None else self._head.layer
        by = "as given" if layer is None else f"the input of {layers[layer] or type(self._module).__name__}"
        return f"{logits} classes; embedding: {f'{embedding} numbers, {by}' if embedding else 'none found'}"

    @contextmanager
    def watching(self) -> Iterator[None]:
        """A context in which the module may be called; the input of its head is kept in each call."""
        with ExitStack() as stack:
            stack.callback(self._seen.clear)
            self._watching = stack.enter_context(ExitStack())
            self._watch()
            yield

    def of(self, x: Any) -> tuple[Tensor, Tensor | None]:  # noqa: ANN401
        """Logits (B, C) and embedding (B, D) of one forward pass."""
        returned, embedding = self._read(x)
        return as_logits(returned, self._kind), embedding

    def forget(self) -> None:
        """Drop the embedding of the last pass, which would keep its autograd graph in memory."""
        self._seen.clear()

    def find_out(self, x: Any) -> None:  # noqa: ANN401
        """Call the model with a few of these rows, check what it returns and find its head; done once.

        Raises:
            UnsupportedModel: The return value cannot be read, or is not of the given kind.
        """
        if self._widths is not None:
            return
        # Fewer rows than the minibatch has, so that an axis as long as the minibatch is not taken for the examples.
        x = first_rows(x, min(TRIED_ROWS, max((rows_of(x) or TRIED_ROWS + 1) - 1, 2)))
        try:
            self._try(x)
        except RuntimeError as error:
            refuse_whole_numbers(self._module, x, error)
            raise

    def _try(self, x: Any) -> None:  # noqa: ANN401
        if self._outputs is None and not self._documented and self._head is None:
            self._find_head(x)
        returned, embedding = self._read(x)
        if not isinstance(returned, Tensor) or not returned.is_floating_point():
            raise UnsupportedModel(f"expected floating-point logits from the model, got {_describe(returned)}")
        asked = rows_of(x)
        if asked is not None and returned.dim() and len(returned) != asked:
            raise WrongRows("logits", len(returned), asked)
        check_kind(returned, self._kind)
        n_classes = as_logits(returned, self._kind).shape[1]
        if self._num_classes not in (None, n_classes):
            raise UnsupportedModel(
                f"expected outputs for num_classes={self._num_classes} classes, and the model has {n_classes}; replace its last "
                "layer, or correct num_classes"
            )
        self._widths = n_classes, None if embedding is None else embedding.shape[1]

    def _find_head(self, x: Any) -> None:  # noqa: ANN401
        returned = self._candidates(_first_call(self._module, x))
        self._head = find_head(self._module, self._named, returned, lambda: call_module(self._module, x), self._kind)
        self._watch()
        if self._head.layer is None and self._returns is None and returned[0].numel():
            self._outputs = own_outputs(self._module, x, returned[0], call_module)

    def _watch(self) -> None:
        if self._head is not None:
            self._watching.enter_context(self._seen.watching(self._head))

    def _read(self, x: Any) -> tuple[Tensor, Tensor | None]:  # noqa: ANN401
        """The outputs of the model, (B, C) or one column, and the embedding (B, D)."""
        if self._outputs is not None:
            return self._outputs(self._module, x)
        if self._documented:
            logits, embedding = self._module(x, last=True)
            return logits, embedding.flatten(1)
        self._seen.clear()
        returned = call_module(self._module, x)
        if self._returns is not None:
            logits, embedding = self._returns(returned)
            return logits, self._seen.value if embedding is None else embedding
        return self._candidates(returned)[0 if self._head is None else self._head.position], self._seen.value

    def _candidates(self, returned: Any) -> Sequence[Tensor]:  # noqa: ANN401
        """The tensors that may be the logits."""
        return _tensors(returned) if self._returns is None else [self._returns(returned)[0]]


def _named_layer(module: nn.Module, head: str | None) -> nn.Module | None:
    layers = dict(module.named_modules())
    if head is not None and head not in layers:
        linear = [name for name, layer in layers.items() if isinstance(layer, nn.Linear)]
        raise UnsupportedModel(f"the model has no layer called head={head!r}; its Linear layers: {linear}")
    return None if head is None else layers[head]


def _first_call(module: nn.Module, x: Any) -> Any:  # noqa: ANN401
    try:
        return call_module(module, x)
    except (AttributeError, TypeError) as error:
        lists = [name for name, value in x.items() if isinstance(value, list)] if isinstance(x, Mapping) else []
        if not lists:
            raise
        raise UnsupportedModel(
            f"{type(module).__name__} cannot be called with a list as {lists[0]!r}; pass a data set whose items hold "
            'tensors (for a data set of Hugging Face: data.with_format("torch")), or collate='
        ) from error


def _tensors(returned: Any) -> Sequence[Tensor]:  # noqa: ANN401
    """The tensors in a model's return value, one of which holds the logits."""
    if isinstance(returned, Tensor):
        return [returned]
    if isinstance(returned, Mapping) and isinstance(returned.get("logits"), Tensor):
        return [returned["logits"]]
    if isinstance(getattr(returned, "logits", None), Tensor):
        return [returned.logits]
    if isinstance(returned, (list, tuple)) and returned and all(isinstance(t, Tensor) for t in returned):
        return returned
    raise UnsupportedModel(
        f"cannot read logits from what the model returns ({_describe(returned)}); expected a tensor (B, C), a pair "
        "(logits, embedding) or an object with logits; pass outputs=lambda module, x: (logits, embedding)"
    )


def _describe(value: object) -> str:
    if isinstance(value, Tensor):
        return f"a tensor {tuple(value.shape)} of {value.dtype}"
    if isinstance(value, (list, tuple)):
        return f"a {type(value).__name__} of {', '.join(_describe(v) for v in value) or 'nothing'}"
    return type(value).__name__
