"""The inputs of a module, read from a minibatch."""

from __future__ import annotations

import inspect
from collections import UserDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from distil.errors import UnsupportedModel
from distil.networks.base import LABELS
from distil.networks.functions import Function

# Number of rows of the first minibatch that a model is tried on.
TRIED_ROWS = 8


@runtime_checkable
class _Frame(Protocol):
    """Rows of a data frame, or texts in a column, of pandas or polars."""

    def to_numpy(self) -> Any: ...  # noqa: ANN401


@dataclass(frozen=True)
class Parameters:
    """The parameters of a model's call, which decide how the inputs of a minibatch are passed.

    * A dict, without labels, is passed to a module as keywords if it has an entry for every required parameter of ``forward``,
      and otherwise whole. It is passed whole to a function of one parameter, and as keywords to other functions.
    * A model that requires several arguments gets the first entries of a tuple or list, one for each.
    * Every other model gets one argument.

    Attributes:
        required: Names of the positional parameters without a default.
        names: Names of all parameters that can be passed as keywords.
        keywords: Whether the model takes any keyword.
        positional: Whether the model takes an argument without a name.
        whole: Whether a dict is passed whole whatever its entries are called: to functions of one parameter.
    """

    required: tuple[str, ...]
    names: frozenset[str]
    keywords: bool = False
    positional: bool = True
    whole: bool = False

    def as_keywords(self, entries: Mapping[str, Any]) -> dict[str, Any] | None:
        """The entries of a dict that are passed as keywords; None if the dict is passed whole."""
        if self.whole:
            return None
        known = {name: value for name, value in entries.items() if self.keywords or name in self.names}
        return known if known and set(self.required) <= set(known) else None


def parameters_of(module: nn.Module) -> Parameters:
    """The parameters of a module's ``forward``, or of the function in it; those of TorchScript are in its schema."""
    call: Any = module.function if isinstance(module, Function) else module.forward
    schema = getattr(call, "schema", None)
    if schema is not None:
        own = [argument for argument in schema.arguments if argument.name != "self"]
        required = tuple(argument.name for argument in own if not argument.has_default_value())
        names = frozenset(argument.name for argument in own)
        return Parameters(required, names, whole=isinstance(module, Function) and len(own) == 1)
    try:
        parameters = inspect.signature(call).parameters.values()
    except (TypeError, ValueError):  # a callable that is not written in Python
        return Parameters(("x",), frozenset())
    kinds = {p.kind for p in parameters}
    inner = getattr(module, "module", None)
    if kinds <= {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD} and isinstance(inner, nn.Module):
        return parameters_of(inner)  # a wrapper, such as a moving average of the weights
    places = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return Parameters(
        tuple(p.name for p in parameters if p.kind in places and p.default is p.empty),
        frozenset(p.name for p in parameters if p.kind in (places[1], inspect.Parameter.KEYWORD_ONLY)),
        keywords=inspect.Parameter.VAR_KEYWORD in kinds,
        positional=not kinds.isdisjoint((*places, inspect.Parameter.VAR_POSITIONAL)),
        whole=isinstance(module, Function) and len(parameters) == 1 and inspect.Parameter.VAR_KEYWORD not in kinds,
    )


def inputs_of(batch: Any, read: Callable[[Any], Any] | None, module: nn.Module, parameters: Parameters) -> Any:  # noqa: ANN401
    """The inputs in a minibatch, which ``call_module`` passes to the model.

    Args:
        batch: Any return value of a collate function.
        read: The user's function from a minibatch to the inputs. Default: of a tuple or list that starts with tensors or dicts,
            as many entries as the model requires, at least the first; every other minibatch is the inputs itself.
        module: The model. A function may be called with anything, other modules with tensors and dicts.
        parameters: Those of the model.

    Raises:
        UnsupportedModel: Without ``read``, the module cannot be called with this minibatch.
    """
    if read is not None:
        return read(batch)
    if isinstance(batch, PackedSequence):
        return batch
    many = isinstance(batch, (list, tuple)) and len(batch) > 0 and isinstance(batch[0], (Tensor, Mapping, np.ndarray))
    x = batch[0] if many else batch
    n = len(parameters.required)
    if many and n > 1 and not isinstance(x, Mapping):
        if len(batch) < n:
            raise UnsupportedModel(
                f"{name_of(module)} takes {n} arguments ({', '.join(parameters.required)}), and a minibatch has {len(batch)} "
                "entries; give examples with an entry for each, or pass inputs=, a function from the minibatch to a tuple of them"
            )
        return tuple(batch[:n])
    if isinstance(module, Function):
        return x
    if isinstance(x, _Frame):
        raise UnsupportedModel(
            f"a PyTorch module reads tensors, got a {type(x).__name__}; for numbers pass data.to_numpy().astype('float32'), "
            "for a column of arrays numpy.stack(data), for others inputs=, a function from these rows to the argument of the model"
        )
    if not isinstance(x, (Tensor, Mapping, np.ndarray)):
        raise UnsupportedModel(
            f"cannot read a minibatch of type {type(batch).__name__}: expected a tensor, a sequence that starts with one, or a "
            "dict; pass inputs=, a function from the minibatch to the argument of the model, for texts collate=, a function from a "
            "list of texts to their tokens, or for a data frame of numbers distil.open_pool(frame) as data"
        )
    return x


def placed(x: Any, device: torch.device, dtype: torch.dtype | None, *, arrays: bool = False) -> Any:  # noqa: ANN401
    """The inputs on a device, with floating-point tensors in the given dtype (None: their own).

    Args:
        x: The inputs.
        device: The device.
        dtype: The dtype; whole numbers are kept; see ``TorchNetwork.as_called``.
        arrays: Whether NumPy arrays of numbers become tensors too.
    """
    if arrays and isinstance(x, np.ndarray) and x.dtype.kind in "fiub":
        x = torch.from_numpy(np.ascontiguousarray(x))
    if isinstance(x, PackedSequence):
        packed: Any = x  # the types of torch leave out this form of the call
        return packed.to(device, dtype if dtype is not None and x.data.is_floating_point() else x.data.dtype)
    if isinstance(x, Tensor):
        return x.to(device, dtype if dtype is not None and x.is_floating_point() else x.dtype, non_blocking=True)
    return _each(x, lambda value: placed(value, device, dtype, arrays=arrays))


def is_table_of_whole_numbers(x: object) -> bool:
    """Whether inputs are rows of whole numbers or booleans, (B, D); not of bytes."""
    if not isinstance(x, Tensor) or x.dim() != 2:
        return False
    return not x.is_floating_point() and not x.is_complex() and x.dtype != torch.uint8


def _each(x: Any, change: Callable[[Any], Any]) -> Any:  # noqa: ANN401
    """The same tuples, lists and dicts with changed values; any other value unchanged."""
    if isinstance(x, Mapping):
        parts = {name: change(value) for name, value in x.items()}
        return type(x)(parts) if isinstance(x, UserDict) else parts  # a BatchEncoding has attributes for its entries
    if isinstance(x, tuple) and type(x) is not tuple:
        return type(x)(*map(change, x))  # a namedtuple
    return type(x)(map(change, x)) if isinstance(x, (list, tuple)) else x


def first_rows(x: Any, n: int, *, repeat: bool = False) -> Any:  # noqa: ANN401
    """The first ``n`` rows of each tensor and list of texts; with ``repeat``, the first row ``n`` times if there are fewer."""
    if isinstance(x, PackedSequence):
        padded, lengths = pad_packed_sequence(x, batch_first=True)
        first, sizes = first_rows((padded, lengths), n, repeat=repeat)
        return pack_padded_sequence(first, sizes, batch_first=True, enforce_sorted=False)
    if isinstance(x, Tensor):
        return x[:1].repeat(n, *[1] * (x.dim() - 1)) if repeat and len(x) < n else x[:n]
    if isinstance(x, list) and x and all(isinstance(text, str) for text in x):
        return x[:1] * n if repeat and len(x) < n else x[:n]
    return _each(x, lambda value: first_rows(value, n, repeat=repeat))


def call_module(module: nn.Module, x: Any, parameters: Parameters) -> Any:  # noqa: ANN401
    """Call a module with the inputs, in the way that ``Parameters`` describes; labels are left out.

    Raises:
        UnsupportedModel: A required argument is missing.
    """
    if isinstance(x, Mapping):
        entries = {name: value for name, value in x.items() if name not in LABELS}
        keywords = parameters.as_keywords(entries)
        if keywords is not None:
            return module(**keywords)
        if len(parameters.required) > 1 or not parameters.positional:
            missing = [name for name in parameters.required if name not in entries]
            raise UnsupportedModel(
                f"{name_of(module)} takes {', '.join(parameters.required) or 'keywords only'}, and a minibatch is a dict of "
                f"{', '.join(entries) or 'labels only'}; missing: {', '.join(missing) or 'its keywords'}; pass inputs=, a function "
                "from the minibatch to a dict of the arguments"
            )
        return module(type(x)(entries) if isinstance(x, UserDict) else entries)
    if len(parameters.required) > 1:
        if isinstance(x, (tuple, list)):
            return module(*x)
        raise UnsupportedModel(
            f"{name_of(module)} takes {len(parameters.required)} arguments ({', '.join(parameters.required)}), and a minibatch is "
            f"a {type(x).__name__} alone; give examples with an entry for each, or pass inputs=, a function from the minibatch to "
            "a tuple of them"
        )
    return module(x)


def name_of(module: nn.Module) -> str:
    """The name of a module's class, or of the function in it, for messages."""
    if isinstance(module, Function):
        return str(getattr(module.function, "__name__", type(module.function).__name__))
    return type(module).__name__


def check_differentiable(x: object) -> None:
    """Raise UnsupportedModel unless x is a floating-point tensor."""
    advice = (
        "pass TorchNetwork(module, inputs=..., outputs=...), where inputs turns a minibatch into a floating-point tensor (for "
        "tokens, their embeddings) and outputs calls the module with it"
    )
    if not isinstance(x, Tensor):
        raise UnsupportedModel(
            f"the model is called with a {type(x).__name__}, but an attack needs one floating-point tensor; {advice}"
        )
    if not x.is_floating_point():
        raise UnsupportedModel(
            f"the model is called with {x.dtype}, but an attack needs floating-point inputs; {advice}"
        )
