"""The head of a model as a function call: for heads that no layer shows, or whose output is changed before it is returned."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode

# Names of functions, without underscores around them. A head is a call of one of these: its first argument is the embedding, but
# for addmm(bias, x, weight) and matmul(weight, x[:, :, None]) the second, and for einsum("bd,cd->bc", x, weight) the operand with
# the axis of the examples. A head is also a product whose axis of features is summed, (x[:, None] * weight).sum(2).
_CONVOLUTIONS = frozenset({"conv1d", "conv2d", "conv3d"})
_LINEAR = _CONVOLUTIONS | {
    "linear", "matmul", "rmatmul", "mm", "linear_dynamic", "linear_relu_dynamic", "addmm", "einsum", "bmm", "baddbmm", "inner",
}  # fmt: skip
_BIASED = frozenset({"addmm", "baddbmm"})

# Functions of the outputs of several linear calls of one input, whose result is linear in it too, as with LoRA or several heads.
_SUMS = frozenset({"add", "radd", "iadd", "sub", "isub", "rsub"})
_JOINED = frozenset({"cat", "concat", "concatenate", "hstack"})

_PRODUCTS = frozenset({"mul", "rmul", "multiply"})
_COMMUTATIVE = frozenset({"add", "mul", "multiply"})
_TOTALS = frozenset({"sum", "mean"})

# Functions whose result has the same matrix for every example, if it is one of a matrix or of a batch of one.
_COPIES = frozenset({"repeat", "tile", "repeat_interleave", "contiguous", "clone"})

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
        turned: Whether the value has a column for each example, (C, B), as in weight @ x.T.
    """

    calls: frozenset[int]
    value: Tensor
    places: Tensor | None
    given: Tensor
    convolution: bool
    inputs: tuple[_Input, ...] = ()
    turned: bool = False

    def embedding(self) -> Tensor | None:
        """The rows of the input that gave the value, (B, D); the mean over all places if they are unknown; None without rows."""
        n, width = len(self.value), self.given.shape[1 if self.convolution else -1]
        if self.places is not None and self.places.numel() == n * width and len(self.places) == n:
            return self.places.reshape(n, width)
        if self.given.dim() < 3 or len(self.given) != n:
            return None
        return self.given.flatten(2).mean(2) if self.convolution else self.given.flatten(1, -2).mean(1)


@dataclass(frozen=True, eq=False)
class _Terms:
    """A tensor whose sum along an axis is linear in an input: its products with weights, or a stack of outputs.

    Attributes:
        value: The tensor.
        axis: The axis.
        given: The input of products, (B, D); None for a stack.
        parts: The outputs in a stack; () for products.
    """

    value: Tensor
    axis: int
    given: Tensor | None = None
    parts: Sequence[_Followed] = ()


class HeadCalls(TorchFunctionMode):
    """Follows the outputs of linear functions to the return value of a model, while active.

    The head is found by the functions that are called, not by comparing numbers, so what is found does not depend on the data:
    the output of a head stays known through a temperature, an activation, or the choice of one token.

    Args:
        only: Numbers of the linear calls to follow; None: all, which keeps their inputs in memory.
        columns: Whether these calls multiply a column for each example, which a minibatch of one row does not show.

    Attributes:
        sigmoids: The results of calls of ``sigmoid``.
    """

    def __init__(self, only: frozenset[int] | None = None, *, columns: bool = False) -> None:
        super().__init__()
        self.sigmoids: list[Tensor] = []
        self._only = only
        self._columns = columns
        self._n_calls = 0
        self._followed: list[_Followed] = []
        self._terms: _Terms | None = None  # the last that were computed
        self._copies: tuple[Tensor, int] | None = (
            None  # the last copies of one matrix for every example, and their version
        )

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if isinstance(result, Tensor):
            self._see(func, getattr(func, "__name__", "").strip("_"), args, kwargs, result)
        return result

    def _see(
        self, func: Callable[..., Any], name: str, args: Sequence[Any], kwargs: dict[str, Any], result: Tensor
    ) -> None:
        """Follow what a function did."""
        if name in _COMMUTATIVE and len(args) == 2 and self._is_followed(args[1]) and not self._is_followed(args[0]):
            args = args[::-1]  # as in bias + logits
        given = self._given(name, args, kwargs)
        parts = self._parts(name, args, kwargs)
        self._n_calls += (
            name in _LINEAR or name in _TOTALS
        )  # whether or not it is followed, which one-row minibatches may change
        total = self._terms if name in _TOTALS and _sums(self._terms, args, kwargs, result) else None
        if name in _PRODUCTS:
            self._terms = _products(args, result) or self._terms
        if parts and name == "stack":
            self._stack(parts, _axis(args, kwargs, 0) % result.dim(), result)
        elif parts:
            self._join(parts, result)
        elif total is not None and total.given is not None:
            self._begin(total.given, result, False)
        elif total is not None:
            self._join(total.parts, result)
        elif isinstance(given, Tensor) and name in _LINEAR:
            self._begin(given, result, name in _CONVOLUTIONS or self._has_columns(name, args))
            self._begin_turned(name, args, result)
        elif isinstance(given, Tensor) and self._followed:
            self._follow(func, name, args, kwargs, given, result)
        if name in _COPIES and isinstance(given, Tensor) and _is_one_matrix(given, result):
            self._copies = result, _version(result)
        if name == "sigmoid" and self._only is None:
            self.sigmoids.append(result)

    def _given(self, name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401
        """The argument that may be an embedding or the output of a linear call."""
        if name in _BIASED:
            x = args[1] if len(args) > 1 else kwargs.get("mat1", kwargs.get("batch1"))
            return None if self._differ_by_example(args[2:]) else x
        if name == "einsum":
            return _einsum_input(args)
        if self._has_columns(name, args):
            return args[1]
        if name in _LINEAR - _CONVOLUTIONS and self._differ_by_example(args[1:]):
            return None
        if name == "where":  # torch.where(mask, logits, -inf), or the logits last
            return next((x for x in args if self._is_followed(x)), None)
        return args[0] if args else kwargs.get("input")

    def _has_columns(self, name: str, args: Sequence[Any]) -> bool:
        """Whether a call is the product of one matrix and a column for each example, matmul(weight, x[:, :, None])."""
        if name not in ("matmul", "bmm") or [x.dim() for x in args if isinstance(x, Tensor)] not in ([2, 3], [3, 3]):
            return False
        weight, x = args
        if x.shape[2] != 1 or self._differ_by_example([weight]):
            return False
        return weight.dim() == 2 or self._differ_by_example([x]) or (len(x) == 1 and self._columns)

    def _differ_by_example(self, weights: Sequence[Any]) -> bool:
        """Whether the weights of a product of batches are not the same for all examples."""
        return any(
            isinstance(w, Tensor) and w.dim() > 2 and len(w) > 1 and w.stride(0) != 0 and not self._are_copies(w)
            for w in weights[:1]
        )

    def _are_copies(self, weights: Tensor) -> bool:
        """Whether weights are the last copies of one matrix, perhaps transposed."""
        if self._copies is None:
            return False
        copies, version = self._copies
        same = (weights.data_ptr(), len(weights), weights.stride(0)) == (
            copies.data_ptr(),
            len(copies),
            copies.stride(0),
        )
        return same and version == _version(copies)

    def _is_followed(self, value: Any) -> bool:  # noqa: ANN401 - any argument of a caller
        """Whether a value is the output of a linear call so far."""
        return any(one.value is value for one in self._followed)

    def of(self, returned: Tensor) -> _Followed | None:
        """The last call whose output became the returned tensor."""
        return next((one for one in reversed(self._followed) if one.value is returned and not one.turned), None)

    def _begin(self, given: Tensor, result: Tensor, convolution: bool, *, turned: bool = False) -> None:
        call = self._n_calls
        if (self._only is None or call in self._only) and result.dim() > 0:
            own = _Input(given, _version(given), frozenset({call}))
            rows = (one for one in reversed(self._followed) if not one.turned)
            further = next((one.inputs for one in rows if _are_same(one.value, given)), ())
            inputs = (own, *(replace(each, calls=each.calls | own.calls) for each in further))
            self._followed.append(
                _Followed(own.calls, result, given, given, convolution, () if convolution else inputs, turned)
            )

    def _begin_turned(self, name: str, args: Sequence[Any], result: Tensor) -> None:
        """Follow a product weight @ x.T, or a convolution of x.T with kernels of one place."""
        factors: Sequence[Any] = args[1:3] if name == "addmm" else args[:2]
        if len(factors) < 2 or result.dim() != 2 or not all(isinstance(x, Tensor) for x in factors):
            return
        left, right = factors
        if name in ("matmul", "mm", "addmm") and left.dim() == right.dim() == 2:
            self._begin(right.T, result, False, turned=True)
        elif name == "conv1d" and right.shape[1:] == (len(left), 1) and result.shape[1] == left.shape[1]:
            self._begin(left.T, result, False, turned=True)

    def _parts(self, name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> list[_Followed]:
        """The outputs of linear calls that a function adds up, stacks or puts into the columns of one tensor; [] for others."""
        values: Sequence[Any] = ()
        if name in _SUMS:
            values = args[:2]
        elif name in _JOINED and args and isinstance(args[0], (list, tuple)):
            rows = all(isinstance(x, Tensor) and x.dim() == 2 for x in args[0])
            axis = _axis(args, kwargs, 1 if name == "hstack" else 0)
            values = args[0] if rows and axis in (1, -1) else ()
        elif name == "stack" and args and isinstance(args[0], (list, tuple)):
            values = args[0]
        by_row = [one for one in reversed(self._followed) if not one.turned]
        found = [next((one for one in by_row if one.value is x and one.inputs), None) for x in values]
        parts = [one for one in found if one is not None]
        alike = len({one.value.dim() for one in parts}) == 1
        return parts if len(found) > 1 and len(parts) == len(found) and alike else []

    def _stack(self, parts: Sequence[_Followed], axis: int, result: Tensor) -> None:
        """Follow a stack of outputs of one column each, and keep one of several columns until it is summed."""
        if result.dim() == 2:  # outputs (B,)
            self._join(parts, result, turned=axis == 0)
        elif result.dim() == 3:
            self._terms = _Terms(result, axis, parts=parts)
            if axis > 0 and result.shape[3 - axis] == 1:
                self._join(parts, result, axis)

    def _join(
        self, parts: Sequence[_Followed], result: Tensor, axis: int | None = None, *, turned: bool = False
    ) -> None:
        """Follow the sum or the columns of several outputs, if they have an input in common; else the outputs end here.

        Args:
            parts: The outputs.
            result: Their sum, their columns or their stack.
            axis: The axis of a stack of outputs (B, 1).
            turned: Whether the outputs are the rows of the result.
        """
        self._followed = [one for one in self._followed if one.value is not result]  # changed in place
        for own in parts[0].inputs:
            shared = [next((each for each in one.inputs if each.equals(own)), None) for one in parts]
            calls = frozenset[int]().union(*(each.calls for each in shared if each is not None))
            if None not in shared:
                inputs = (replace(own, calls=calls),) if axis is None else ()
                x = own.x if axis is None else own.x.unsqueeze(3 - axis)  # the features where a stack has the classes
                self._followed.append(_Followed(calls, result, x, x, axis == 1, inputs, turned))
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
        numbers = all(x.dim() < max(2, given.dim()) for x in args[1:] if isinstance(x, Tensor))
        of_rows = given.dim() < 3 and result.shape[:1] == given.shape[:1]
        averaged = name == "mean" and of_rows and _axis(args, kwargs, None) in (1, -1)
        again = [replace(one) for one in self._followed if averaged and one.value is given]  # logits, before their mean
        if name in _WITH_NUMBERS and not numbers and result is given:  # changed in place
            self._followed = [one for one in self._followed if one.value is not given]
        for one in self._followed:
            if one.value is not given:
                continue
            if _is_transpose(given, result):
                one.value, one.turned = result, not one.turned
            elif one.turned:
                affine = name in _AFFINE or (name in _WITH_NUMBERS and _are_of_classes(args[1:], len(given)))
                one.value = result if affine else one.value
            elif name in _ELEMENTWISE or (name in _WITH_NUMBERS and numbers):
                one.value = result
                one.inputs = one.inputs if name in _AFFINE or name in _WITH_NUMBERS else ()
            elif name in _PLACES:
                one.places = None if one.places is None else _like(func, one.places, args[1:], kwargs, one.value.dim())
                one.value, one.inputs = result, one.inputs if of_rows and (averaged or name != "mean") else ()
        self._followed += again


def _axis(args: Sequence[Any], kwargs: dict[str, Any], default: int | None) -> Any:  # noqa: ANN401 - any argument of a caller
    """The axis that a function was called with."""
    return args[1] if len(args) > 1 else kwargs.get("dim", kwargs.get("axis", default))


def _sums(terms: _Terms | None, args: Sequence[Any], kwargs: dict[str, Any], result: Tensor) -> bool:
    """Whether a sum or mean is that of the terms, along their axis."""
    axis = _axis(args, kwargs, None)
    if terms is None or not args or args[0] is not terms.value or not isinstance(axis, int):
        return False
    return bool(axis % terms.value.dim() == terms.axis) and result.dim() == terms.value.dim() - 1


def _products(factors: Sequence[Any], result: Tensor) -> _Terms | None:
    """The products (B, C, D) of inputs (B, 1, D) and weights (C, D), or (B, D, C) of (B, D, 1) and (D, C); None for others."""
    if result.dim() != 3 or len(factors) < 2 or not all(isinstance(x, Tensor) and x.dim() > 1 for x in factors[:2]):
        return None
    for x, weight in (factors[:2], factors[1::-1]):
        if x.dim() != 3 or len(x) != len(result) or (weight.dim() == 3 and len(weight) > 1):
            continue
        for axis in (1, 2):
            if x.shape[3 - axis] == 1 and x.shape[axis] == weight.shape[axis - 3]:
                return _Terms(result, axis, x.select(3 - axis, 0))
    return None


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


def _are_of_classes(others: Sequence[Any], n_classes: int) -> bool:
    """Whether tensors are one number, or one for each row, which is a class."""
    return all(x.dim() == 0 or x.shape == (n_classes, 1) for x in others if isinstance(x, Tensor))


def _version(x: Tensor) -> int:
    """How often a tensor was changed in place; -1 for one of inference mode, which does not count it."""
    return -1 if x.is_inference() else x._version


def _is_one_matrix(given: Tensor, result: Tensor) -> bool:
    """Whether copies of a tensor, along the axis of the examples too, are the same matrix for every example."""
    return result.dim() == 3 and (given.dim() < 3 or len(given) == 1 or given.stride(0) == 0)


def _is_transpose(x: Tensor, y: Tensor) -> bool:
    """Whether a tensor is the transpose of a matrix, by any of the functions that make it."""
    return (
        x.dim() == y.dim() == 2
        and x.data_ptr() == y.data_ptr()
        and (x.shape, x.stride()) == (y.shape[::-1], y.stride()[::-1])
    )


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
