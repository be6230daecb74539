"""Reading logits and embedding from the return value of a module, whose form is found on the first rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from distil.errors import InvalidInput, UnsupportedModel
from distil.networks.base import Outputs
from distil.networks.calls import WrongRows, explain_failed_call, rows_of
from distil.networks.head import Head, HeadInput, find_head, places_of
from distil.networks.head_call import HeadCalls
from distil.networks.model_inputs import TRIED_ROWS, Parameters, call_module, first_rows, name_of
from distil.networks.module_state import attributes_kept, evaluating, set_mode
from distil.networks.output_kinds import MULTI_LABEL, OUTPUT_KINDS, OutputKind, as_logits, check_kind, sum_to_one
from distil.networks.timm_and_transformers import ReadOutputs, own_outputs
from distil.rng import Rng
from distil.tasks import Task

# Fewer rows than this are no evidence that a model returns probabilities.
_ENOUGH_ROWS = 8

_DESCRIBED = 4  # items of a list that a message describes


class ModelOutputs:
    """Reads logits and embedding from the return value of a module; ``TorchNetwork`` describes how, and the arguments.

    Raises:
        UnsupportedModel: ``module`` has no layer called ``head``.
        InvalidInput: The kind of output is unknown.
    """

    def __init__(
        self,
        module: nn.Module,
        parameters: Parameters,
        *,
        head: str | None,
        outputs: ReadOutputs | None,
        returns: Callable[[Any], tuple[Tensor | None, Tensor | None]] | None,
        output: OutputKind | None,
        num_classes: int | None,
        task: Task,
    ) -> None:
        if output is not None and output not in OUTPUT_KINDS:
            raise InvalidInput(f"output must be one of {', '.join(map(repr, OUTPUT_KINDS))}, got {output!r}")
        self._module = module
        self._parameters = parameters
        self._outputs = outputs
        self._own: ReadOutputs | None = None  # found, not given: the reader of a model without a head layer
        self._returns = returns
        self._kind = output
        self._task = task
        self._num_classes = num_classes
        self._named = _named_layer(module, head)
        self._head: Head | None = None
        self._place: int | None = None  # of the logits among the tensors returned in training mode; None: not known yet
        self._checked = False  # whether the model returns probabilities in training mode too
        self._seen = HeadInput()
        read = outputs is not None or returns is not None
        self._documented = not read and "last" in parameters.names
        self._widths: tuple[int | None, int | None] | None = (
            None  # of logits and embedding; None: no minibatch seen yet
        )
        # Rows that may be probabilities, as long as all rows so far may be; None: they are logits for certain.
        self._suspect: int | None = 0 if output is None and task == "classification" else None

    def __repr__(self) -> str:
        if self._widths is None:
            return "logits and embedding will be found on the first minibatch"
        logits, embedding = self._widths
        layers = {layer: name for name, layer in self._module.named_modules()}
        layer = None if self._head is None else self._head.layer
        by = "as given" if layer is None else f"the input of {layers[layer] or type(self._module).__name__}"
        by = by if self._own is None else "the input of the call that makes the logits"
        columns = {"classification": "classes", "multilabel": "labels", "regression": "predictions"}[self._task]
        classes = f"{logits} {columns}" if logits else "no logits"
        return f"{classes}; embedding: {f'{embedding} numbers, {by}' if embedding else 'none found'}"

    @contextmanager
    def watching(self) -> Iterator[None]:
        """A context in which the module may be called; the input of its head is kept in each call.

        Raises:
            UnsupportedModel: At its end, if all rows that the model returned sum to 1 and it is not known to return logits.
        """
        with ExitStack() as stack:
            stack.callback(self._seen.clear)
            self._watching = stack.enter_context(ExitStack())
            self._watch()
            yield
        if self._suspect is not None and self._suspect >= _ENOUGH_ROWS:
            raise UnsupportedModel(
                "expected logits, but all rows that the model returned sum to 1; if they are probabilities, pass "
                'output="probs" to distil.wrap, and if they are logits, output="logits"; in a Learner with '
                'network=lambda model: distil.wrap(model, output="probs")'
            )

    def of(self, x: Any) -> tuple[Tensor | None, Tensor | None]:  # noqa: ANN401
        """Logits (B, C) and embedding (B, D) of one forward pass; None for a part that the model does not have."""
        returned, embedding = self._read(x)
        if returned is None:
            return None, embedding
        if self._suspect is not None:
            self._suspect = self._suspect + len(returned) if sum_to_one(returned.detach()) else None
        return as_logits(returned, self._kind, self._task), embedding

    def logits(self, x: Any) -> Tensor:  # noqa: ANN401
        """Logits (B, C) of one forward pass."""
        return Outputs(*self.of(x)).logits

    def in_training(self, module: nn.Module, x: Any) -> Tensor:  # noqa: ANN401
        """What the loss of a training compares with the labels: logits (B, C), or the one logit (B, 1) of a binary model.

        Args:
            module: The module that is trained: the one that is asked, or a wrapper of it, such as a compiled module.
            x: The inputs, as ``of`` takes them.
        """
        _check_task(self._module, self._task)
        if self._outputs is not None:
            returned: Any = self._outputs(module, x)[0]
        else:
            returned = self._call(module, x)
            if self._documented:
                returned = returned[0] if isinstance(returned, tuple) and returned else returned
            elif self._returns is not None or not isinstance(returned, Tensor):
                candidates = self._candidates(returned)
                returned = candidates[self._place_in_training(x, len(candidates)) if len(candidates) > 1 else 0]
        self._check_in_training(returned)
        converted = self._kind == "probs" or self._task == "regression"
        return as_logits(returned, self._kind, self._task) if converted else returned

    def _place_in_training(self, x: Any, count: int) -> int:  # noqa: ANN401
        """Which of the tensors that the model returns in training mode holds the logits: what its head returns when it is asked.

        Args:
            x: The inputs of a minibatch.
            count: The number of these tensors; in evaluation mode, there may be others.
        """
        if self._place is not None:
            return self._place
        few = first_rows(x, TRIED_ROWS, repeat=True)
        with evaluating(self._module, None), torch.no_grad(), Rng(0).scope():
            with self.watching():
                self.find_out(few)
            head = self._head or Head(0, None, None)
            asked = len(self._candidates(self._call(self._module, few)))
            found = [head.position] if asked == count else self._places_in_training(few, head)
        if len(found) != 1:
            raise UnsupportedModel(
                f"{name_of(self._module)} returns {count} tensors in training mode and {asked} in evaluation mode, and no layer "
                "shows which of them holds the logits; pass logits=, a function that reads both, to distil.wrap, in a Learner "
                "with network=lambda model: distil.wrap(model, logits=...)"
            )
        self._place = found[0]
        return self._place

    def _places_in_training(self, x: Any, head: Head) -> list[int]:  # noqa: ANN401
        if head.layer is None:
            return []
        with attributes_kept(self._module):
            # The graph of the last pass holds the statistics of normalization layers, so copies are updated here.
            for layer in self._module.modules():
                layer._buffers.update({name: b if b is None else b.clone() for name, b in layer._buffers.items()})
            set_mode(self._module, training=True)
            return places_of(head.layer, head.call, lambda: self._candidates(self._call(self._module, x)), self._kind)

    def _check_in_training(self, returned: Tensor) -> None:
        """Refuse a model that returns probabilities in evaluation mode only; looked at once."""
        if self._kind == "probs" and not self._checked:
            try:
                check_kind(returned.detach(), self._kind, self._task)
            except UnsupportedModel as error:
                raise UnsupportedModel(
                    f"in training mode, {error}; if the model returns logits there, let it return logits in evaluation mode too"
                ) from error
            self._checked = True

    def forget(self) -> None:
        """Drop the embedding of the last pass, which would keep its autograd graph in memory."""
        self._seen.clear()

    def accepts(self, x: Any) -> bool:  # noqa: ANN401
        """Whether the model can be called with a few of these rows."""
        try:
            self._read(first_rows(x, TRIED_ROWS))
        except (RuntimeError, TypeError, ValueError, IndexError):
            return False
        finally:
            self.forget()
        return True

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
        except (RuntimeError, AssertionError, ValueError) as error:
            explain_failed_call(self._module, x, error)
            raise

    def _try(self, x: Any) -> None:  # noqa: ANN401
        _check_task(self._module, self._task)
        if self._outputs is None and not self._documented and self._head is None:
            self._find_head(x)
        returned, embedding = self._read(x)
        if self._named is not None and embedding is None:
            name = next(name for name, layer in self._module.named_modules() if layer is self._named)
            raise UnsupportedModel(
                f"the model does not call the layer head={name!r}; name another layer, or leave head= out to have it found"
            )
        if returned is None and embedding is not None:
            self._widths = None, embedding.shape[1]
            return
        if not isinstance(returned, Tensor) or not returned.is_floating_point():
            raise UnsupportedModel(f"expected floating-point logits from the model, got {_describe(returned)}")
        asked = rows_of(x)
        if asked is not None and returned.dim() and len(returned) != asked:
            raise WrongRows("logits", len(returned), asked)
        check_kind(returned, self._kind, self._task)
        n_classes = as_logits(returned, self._kind, self._task).shape[1]
        if self._num_classes not in (None, n_classes):
            raise UnsupportedModel(
                f"expected outputs for num_classes={self._num_classes} classes, and the model has {n_classes}; replace its last "
                "layer, or correct num_classes"
            )
        self._widths = n_classes, None if embedding is None else embedding.shape[1]

    def _find_head(self, x: Any) -> None:  # noqa: ANN401
        with HeadCalls() as calls:
            returned = self._candidates(self._first_call(x))
        if not returned:  # without logits
            self._head = Head(0, None, None)
            return
        if self._kind is None and self._task != "regression" and any(returned[0] is one for one in calls.sigmoids):
            self._refuse_sigmoids(returned[0])
        self._head = find_head(self._module, self._named, returned, lambda: self._call(self._module, x), self._kind)
        self._watch()
        if self._head.layer is None and self._returns is None and returned[0].numel():
            self._own = own_outputs(self._module, x, lambda value: self._candidates(value)[0], self._call)

    def _refuse_sigmoids(self, returned: Tensor) -> None:
        """Refuse a model that ends with a sigmoid, and of which it was not said that it returns probabilities."""
        if self._task == "multilabel":
            raise UnsupportedModel(
                'the model ends with a sigmoid, so it returns probabilities; pass output="probs" to distil.wrap, in a Learner '
                'with network=lambda model: distil.wrap(model, task="multilabel", output="probs")'
            )
        if returned.shape[-1:] != (1,):
            raise UnsupportedModel(f"the model ends with a sigmoid of {returned.shape[-1]} columns; {MULTI_LABEL}")

    def _first_call(self, x: Any) -> Any:  # noqa: ANN401
        try:
            return self._call(self._module, x)
        except (AttributeError, TypeError) as error:
            if isinstance(x, Tensor):
                raise
            lists = [name for name, value in x.items() if isinstance(value, list)] if isinstance(x, Mapping) else []
            if lists:
                raise UnsupportedModel(
                    f"{name_of(self._module)} cannot be called with a list as {lists[0]!r}; pass a data set whose items hold "
                    'tensors (for a data set of Hugging Face: data.with_format("torch")), or collate='
                ) from error
            what = f"a dict of {', '.join(map(str, x))}" if isinstance(x, Mapping) else f"a {type(x).__name__}"
            raise UnsupportedModel(
                f"{name_of(self._module)} cannot be called with {what} ({str(error).splitlines()[0]}); pass inputs=, a function "
                "from the minibatch to the argument of the model"
            ) from error

    def _call(self, module: nn.Module, x: Any) -> Any:  # noqa: ANN401
        return call_module(module, x, self._parameters)

    def _watch(self) -> None:
        if self._head is not None:
            self._watching.enter_context(self._seen.watching(self._head))

    def _read(self, x: Any) -> tuple[Tensor | None, Tensor | None]:  # noqa: ANN401
        """The outputs of the model, (B, C) or one column, and the embedding (B, D)."""
        read = self._own or self._outputs
        if read is not None:
            return read(self._module, x)
        if self._documented:
            logits, embedding = self._module(x, last=True)
            return logits, embedding.flatten(1)
        self._seen.clear()
        returned = self._call(self._module, x)
        if self._returns is not None:
            logits, embedding = self._returns(returned)
            return logits, self._seen.value if embedding is None else embedding
        return self._candidates(returned)[0 if self._head is None else self._head.position], self._seen.value

    def _candidates(self, returned: Any) -> Sequence[Tensor]:  # noqa: ANN401
        """The tensors that may be the logits: of several, only one with ``num_classes`` columns if there is one; () for none."""
        if self._returns is not None:
            logits = self._returns(returned)[0]
            return () if logits is None else [logits]
        tensors = _tensors(returned)
        fitting = [t for t in tensors if t.dim() == 2 and t.shape[1] == self._num_classes]
        return fitting if len(tensors) > 1 and len(fitting) == 1 else tensors


_PROBLEM_TYPES: dict[str, Task] = {"multi_label_classification": "multilabel", "regression": "regression"}


def _check_task(module: nn.Module, task: Task) -> None:
    """Refuse models of transformers that are configured for another task."""
    configured = getattr(getattr(module, "config", None), "problem_type", None)
    own = _PROBLEM_TYPES.get(str(configured), task)
    if own != task:
        raise UnsupportedModel(
            f'{type(module).__name__} has problem_type="{configured}", and the task is {task}; pass task="{own}"'
        )


def _named_layer(module: nn.Module, head: str | None) -> nn.Module | None:
    layers = dict(module.named_modules())
    if head is not None and head not in layers:
        linear = [name for name, layer in layers.items() if isinstance(layer, nn.Linear)]
        raise UnsupportedModel(
            f"head={head!r} is not a layer of the model; its Linear layers: {', '.join(map(repr, linear)) or 'none'}"
        )
    return None if head is None else layers[head]


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
    raise unreadable(returned)


def unreadable(returned: object) -> UnsupportedModel:
    """The error for a return value without logits."""
    return UnsupportedModel(
        f"cannot read logits from what the model returns ({_describe(returned)}); expected a tensor (B, C), a pair "
        "(logits, embedding) or an object with logits; pass logits= to distil.wrap: their key, their position or a function that "
        "returns them; for a model without a head, and strategies that read embeddings alone, pass embedding= in the same way, or "
        'for transformers "cls", "mean" or "pooled". Models for segmentation and detection are not supported'
    )


def _describe(value: object) -> str:
    if isinstance(value, Tensor):
        return f"a tensor {tuple(value.shape)} of {value.dtype}"
    if isinstance(value, (list, tuple)):
        shown = [_describe(item) for item in value[:_DESCRIBED]]
        more = [f"{len(value) - _DESCRIBED} more"] if len(value) > _DESCRIBED else []
        return f"a {type(value).__name__} of {', '.join(shown + more) or 'nothing'}"
    if isinstance(value, Mapping):
        return f"a {type(value).__name__} of {', '.join(map(str, value)) or 'nothing'}"
    return type(value).__name__
