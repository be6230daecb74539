"""The head of a model as a function call: for heads that no layer shows, or whose output is changed before it is returned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode

# Names of functions, without underscores around them. A head is a call of one of these: its first argument is the embedding, but
# for addmm(bias, x, weight) the second.
_CONVOLUTIONS = frozenset({"conv1d", "conv2d", "conv3d"})
_LINEAR = _CONVOLUTIONS | {"linear", "matmul", "rmatmul", "mm", "linear_dynamic", "linear_relu_dynamic", "addmm"}

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


@dataclass(eq=False)
class _Followed:
    """The output of one linear call, followed through the functions after it.

    Attributes:
        call: Number of the linear call in the forward pass, from 0.
        value: The output so far.
        places: The input of the call, with the same places or tokens selected; None if they cannot be.
        given: The input of the call.
        convolution: Whether the features are on the second axis.
    """

    call: int
    value: Tensor
    places: Tensor | None
    given: Tensor
    convolution: bool

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
        only: Number of the linear call to follow; None: all, which keeps their inputs in memory.

    Attributes:
        sigmoids: The results of calls of ``sigmoid``.
    """

    def __init__(self, only: int | None = None) -> None:
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
        if isinstance(result, Tensor) and isinstance(given, Tensor):
            if name in _LINEAR:
                self._begin(given, result, name in _CONVOLUTIONS)
            elif self._followed:
                self._follow(func, name, args, kwargs, given, result)
            if name == "sigmoid" and self._only is None:
                self.sigmoids.append(result)
        return result

    def _given(self, name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401
        """The argument that may be an embedding or the output of a linear call."""
        if name == "addmm":
            return args[1] if len(args) > 1 else kwargs.get("mat1")
        if name == "where":  # torch.where(mask, logits, -inf), or the logits last
            return next((x for x in args for one in self._followed if x is one.value), None)
        return args[0] if args else kwargs.get("input")

    def of(self, returned: Tensor) -> _Followed | None:
        """The last call whose output became the returned tensor."""
        return next((one for one in reversed(self._followed) if one.value is returned), None)

    def _begin(self, given: Tensor, result: Tensor, convolution: bool) -> None:
        call, self._n_calls = self._n_calls, self._n_calls + 1
        if self._only in (None, call) and result.dim() > 1:
            self._followed.append(_Followed(call, result, given, given, convolution))

    def _follow(
        self,
        func: Callable[..., Any],
        name: str,
        args: Sequence[Any],
        kwargs: dict[str, Any],
        given: Tensor,
        result: Tensor,
    ) -> None:
        for one in self._followed:
            if one.value is not given:
                continue
            others = [x for x in args[1:] if isinstance(x, Tensor)]
            if name in _ELEMENTWISE or (name in _WITH_NUMBERS and all(x.dim() < 2 for x in others)):
                one.value = result
            elif name in _PLACES:
                one.places = None if one.places is None else _like(func, one.places, args[1:], kwargs, one.value.dim())
                one.value = result


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
