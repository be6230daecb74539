"""The head of a model as a function call: for heads that no layer shows, or whose output is changed before it is returned."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode

# Names of functions, without underscores around them. A head is a call of one of these: its first argument is the embedding, but
# for addmm(bias, x, weight) the second, and for einsum("bd,cd->bc", x, weight) the operand with the axis of the examples.
_CONVOLUTIONS = frozenset({"conv1d", "conv2d", "conv3d"})
_LINEAR = _CONVOLUTIONS | {
    "linear", "matmul", "rmatmul", "mm", "linear_dynamic", "linear_relu_dynamic", "addmm", "einsum", "bmm", "baddbmm", "inner",
}  # fmt: skip
_BIASED = frozenset({"addmm", "baddbmm"})

# Functions of the outputs of several linear calls of one input, whose result is linear in it too, as with LoRA or several heads.
_SUMS = frozenset({"add", "radd", "iadd", "sub", "isub", "rsub"})
_JOINED = frozenset({"cat", "concat", "concatenate", "hstack"})

# Functions of logits that keep a column for each class: each number is changed by itself, or with those of its row.
_ELEMENTWISE = frozenset(
    [
        "relu",
        "relu6",
        "leaky_relu",
        "elu",
        "hardtanh",
        "clamp",
        "clip",
        "tanh",
        "sigmoid",
        "logsigmoid",
        "softplus",
        "softmax",
        "log_softmax",
        "logsoftmax",
        "neg",
        "float",
        "double",
        "half",
        "bfloat16",
        "to",
        "type",
        "type_as",
        "contiguous",
        "clone",
        "detach",
        "dropout",
        "masked_fill",
        "where",
    ]
)
_AFFINE = frozenset(
    {"neg", "float", "double", "half", "bfloat16", "to", "type", "type_as", "contiguous", "clone", "detach", "dropout"}
)
_WITH_NUMBERS = frozenset(
    [
        "mul",
        "rmul",
        "imul",
        "multiply",
        "div",
        "truediv",
        "itruediv",
        "true_divide",
        "divide",
        "add",
        "radd",
        "iadd",
        "sub",
        "isub",
        "rsub",
    ]
)

# Functions that take some of several places or tokens, or their mean. They do the same to the inputs of the head.
_PLACES = frozenset(
    [
        "getitem",
        "select",
        "narrow",
        "index_select",
        "squeeze",
        "flatten",
        "mean",
        "adaptive_avg_pool1d",
        "adaptive_avg_pool2d",
        "adaptive_avg_pool3d",
        "avg_pool1d",
        "avg_pool2d",
        "avg_pool3d",
        "transpose",
        "permute",
        "movedim",
        "view",
        "reshape",
    ]
)


@dataclass(frozen=True, eq=False)
class _Input:
    """An input of a linear call.

    Attributes:
        x: The tensor.
        version: How often the tensor had been changed in place.
        calls: Numbers of the linear calls from it to the value that is followed.
    """

    x: Tensor
    version: int
    calls: frozenset[int]

    def equals(self, other: _Input) -> bool:
        """Whether both are one tensor with the same content."""
        return self.version == other.version and _are_same(self.x, other.x)


@dataclass(eq=False)
class _Followed:
    """The output of one linear call, or of several of one input, followed through the functions after it.

    Attributes:
        calls: Numbers of the linear calls in the forward pass, from 0.
        value: The output so far.
        places: The input of the call, with the same places or tokens selected; None if they cannot be.
        given: The input of the call.
        convolution: Whether the features are on the second axis.
        inputs: Tensors of which the value is an affine function, the nearest first; () behind a function that is not affine.
    """

    calls: frozenset[int]
    value: Tensor
    places: Tensor | None
    given: Tensor
    convolution: bool
    inputs: tuple[_Input, ...] = ()

    def embedding(self) -> Tensor | None:
        """The rows of the input that gave the value, (B, D); the mean over all places if they are unknown; None without rows."""
        n, width = len(self.value), self.given.shape[1 if self.convolution else -1]
        if self.places is not None and self.places.numel() == n * width and len(self.places) == n:
            return self.places.reshape(n, width)
        if self.given.dim() < 3 or len(self.given) != n:
            return None
        return self.given.flatten(2).mean(2) if self.convolution else self.given.flatten(1, -2).mean(1)


class HeadCalls(TorchFunctionMode):
    """Follows the outputs of linear functions to the return value of a model, while active.

    The head is found by the functions that are called, not by comparing numbers, so what is found does not depend on the data:
    the output of a head stays known through a temperature, an activation, or the choice of one token.

    Args:
        only: Numbers of the linear calls to follow; None: all, which keeps their inputs in memory.

    Attributes:
        sigmoids: The results of calls of ``sigmoid``.
    """

    def __init__(self, only: frozenset[int] | None = None) -> None:
        super().__init__()
        self.sigmoids: list[Tensor] = []
        self._only = only
        self._n_calls = 0
        self._followed: list[_Followed] = []

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        name = getattr(func, "__name__", "").strip("_")
        given = self._given(name, args, kwargs)
        parts = self._parts(name, args, kwargs)
        if isinstance(result, Tensor) and parts:
            self._join(parts, result)
        elif isinstance(result, Tensor) and isinstance(given, Tensor):
            if name in _LINEAR:
                self._begin(given, result, name in _CONVOLUTIONS)
            elif self._followed:
                self._follow(func, name, args, kwargs, given, result)
            if name == "sigmoid" and self._only is None:
                self.sigmoids.append(result)
        return result

    def _given(self, name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401
        """The argument that may be an embedding or the output of a linear call."""
        if name in _BIASED:
            x = args[1] if len(args) > 1 else kwargs.get("mat1", kwargs.get("batch1"))
            return None if _differ_by_example(args[2:]) else x
        if name == "einsum":
            return _einsum_input(args)
        if name in _LINEAR - _CONVOLUTIONS and _differ_by_example(args[1:]):
            return None
        if name == "where":  # torch.where(mask, logits, -inf), or the logits last
            return next((x for x in args for one in self._followed if x is one.value), None)
        return args[0] if args else kwargs.get("input")

    def of(self, returned: Tensor) -> _Followed | None:
        """The last call whose output became the returned tensor."""
        return next((one for one in reversed(self._followed) if one.value is returned), None)

    def _begin(self, given: Tensor, result: Tensor, convolution: bool) -> None:
        call, self._n_calls = self._n_calls, self._n_calls + 1
        if (self._only is None or call in self._only) and result.dim() > 1:
            own = _Input(given, -1 if given.is_inference() else given._version, frozenset({call}))
            further = next((one.inputs for one in reversed(self._followed) if _are_same(one.value, given)), ())
            inputs = (own, *(replace(each, calls=each.calls | own.calls) for each in further))
            self._followed.append(
                _Followed(own.calls, result, given, given, convolution, () if convolution else inputs)
            )

    def _parts(self, name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> list[_Followed]:
        """The outputs of linear calls that a function adds up, or puts into the columns of one tensor; [] for other functions."""
        values: Sequence[Any] = ()
        if name in _SUMS:
            values = args[:2]
        elif name in _JOINED and args and isinstance(args[0], (list, tuple)):
            rows = all(isinstance(x, Tensor) and x.dim() == 2 for x in args[0])
            axis = args[1] if len(args) > 1 else kwargs.get("dim", kwargs.get("axis", 1 if name == "hstack" else 0))
            values = args[0] if rows and axis in (1, -1) else ()
        found = [next((one for one in reversed(self._followed) if one.value is x and one.inputs), None) for x in values]
        return [one for one in found if one is not None] if len(found) > 1 and None not in found else []

    def _join(self, parts: Sequence[_Followed], result: Tensor) -> None:
        """Follow the sum or the columns of several outputs, if they have an input in common; else the outputs end here."""
        self._followed = [one for one in self._followed if one.value is not result]  # changed in place
        for own in parts[0].inputs:
            shared = [next((each for each in one.inputs if each.equals(own)), None) for one in parts]
            calls = frozenset[int]().union(*(each.calls for each in shared if each is not None))
            if None not in shared:
                self._followed.append(_Followed(calls, result, own.x, own.x, False, (replace(own, calls=calls),)))
                return

    def _follow(
        self,
        func: Callable[..., Any],
        name: str,
        args: Sequence[Any],
        kwargs: dict[str, Any],
        given: Tensor,
        result: Tensor,
    ) -> None:
        numbers = all(x.dim() < 2 for x in args[1:] if isinstance(x, Tensor))
        if name in _WITH_NUMBERS and not numbers and result is given:  # changed in place
            self._followed = [one for one in self._followed if one.value is not given]
        for one in self._followed:
            if one.value is not given:
                continue
            if name in _ELEMENTWISE or (name in _WITH_NUMBERS and numbers):
                one.value = result
                one.inputs = one.inputs if name in _AFFINE or name in _WITH_NUMBERS else ()
            elif name in _PLACES:
                one.places = None if one.places is None else _like(func, one.places, args[1:], kwargs, one.value.dim())
                one.value, one.inputs = result, ()


def _are_same(x: Tensor, y: Tensor) -> bool:
    """Whether two tensors are one, perhaps returned again by a function that does nothing, such as dropout in evaluation mode."""
    if x is y:
        return True
    return (x.data_ptr(), x.shape, x.stride(), x.dtype) == (
        y.data_ptr(),
        y.shape,
        y.stride(),
        y.dtype,
    ) and x.numel() > 0


def _differ_by_example(weights: Sequence[Any]) -> bool:
    """Whether the weights of a product of batches are not the same for all examples."""
    return any(isinstance(w, Tensor) and w.dim() > 2 and len(w) > 1 and w.stride(0) != 0 for w in weights[:1])


def _einsum_input(args: Sequence[Any]) -> Tensor | None:
    """The operand of an einsum of two operands that is multiplied by a matrix along its last axis; None for other einsums."""
    operands = args[1] if len(args) == 2 and isinstance(args[1], (list, tuple)) else args[1:]
    match = re.fullmatch(r"(\w+),(\w+)->(\w+)", str(args[0]).replace(" ", "")) if len(operands) == 2 else None
    if match is None:
        return None
    left, right, out = match.groups()
    for x, weight, operand in ((left, right, operands[0]), (right, left, operands[1])):
        if x[:-1] == out[:-1] and set(weight) == {x[-1], out[-1]} and len(weight) == 2 and out[-1] not in x:
            return operand if isinstance(operand, Tensor) else None
    return None


def _like(
    func: Callable[..., Any], x: Tensor, others: Sequence[Any], kwargs: dict[str, Any], n_axes: int
) -> Tensor | None:
    """The result of the same choice of places from the head's input; None if it cannot be made."""
    if n_axes < 3:
        return x  # rows without places
    try:
        chosen = func(x, *others, **{name: value for name, value in kwargs.items() if name != "input"})
    except (RuntimeError, IndexError):  # such as a view with the number of classes in its shape
        return None
    return chosen if isinstance(chosen, Tensor) else None
