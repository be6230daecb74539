"""GLISTER of DISTIL 0.1."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from distil import strategies as core
from distil.active_learning_strategies.strategy import Strategy, residual_loss
from distil.errors import InvalidInput


class GLISTER(Strategy):
    """Examples whose labels, after one step of gradient descent, would lower the validation loss most.

    A face of ``distil.strategies.GLISTER``, whose docstring has the details; arguments as in ``Strategy``, ``args`` without default
    and with the key ``lr``, and:

    Args:
        valid: Whether a validation set is given; otherwise pool and labeled set serve as one.
        X_val: Validation data, mandatory with ``valid``.
        Y_val: Its labels.
        loss_criterion: The loss.
        typeOf: The regularizer: "none", "Rand", "FacLoc" or "Diversity".
        lam: Its weight; mandatory unless ``typeOf`` is "none". Of "Rand", between 0 and 1, the share drawn at random.
        kernel_batch_size: Accepted; kernels choose their blocks by themselves.
    """

    def __init__(
        self,
        X: Any,  # noqa: ANN401, N803
        Y: Any,  # noqa: ANN401, N803
        unlabeled_x: Any,  # noqa: ANN401
        net: nn.Module,
        handler: Callable[..., Any],
        nclasses: int,
        args: Mapping[str, Any],
        valid: bool,
        X_val: Any = None,  # noqa: ANN401, N803
        Y_val: Any = None,  # noqa: ANN401, N803
        loss_criterion: Callable[..., Any] = nn.CrossEntropyLoss(),  # noqa: B008 - the documented default
        typeOf: str = "none",  # noqa: N803
        lam: float | None = None,
        kernel_batch_size: int = 200,  # noqa: ARG002 - documented
    ) -> None:
        super().__init__(X, Y, unlabeled_x, net, handler, nclasses, args)
        if "lr" not in self.args:
            raise InvalidInput("GLISTER needs args['lr'], the learning rate of training")
        if valid and (X_val is None or Y_val is None):
            raise InvalidInput("valid=True needs X_val and Y_val")
        self.X_val, self.Y_val, self.valid = X_val, Y_val, valid
        kind: Any = typeOf  # checked there
        self._core = core.GLISTER(
            kind,
            None if typeOf == "none" else lam,
            self.args["lr"],
            valid,
            residual_loss(loss_criterion),
        )

    def select(self, budget: int) -> list[int]:
        """The ``budget`` rows of ``unlabeled_x`` to label next, best first."""
        sets = {"validation": self._labeled(self.X_val, self.Y_val)} if self.valid else {}
        return self._select(self._core, budget, **sets).tolist()
