"""The strategy ``GLISTER`` of DISTIL 0.1."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from distil import strategies as core
from distil.active_learning_strategies.strategy import Strategy, residual_loss
from distil.errors import InvalidInput


class GLISTER(Strategy):
    """Queries the examples whose labels would lower the validation loss most, after one step of gradient descent.

    See ``distil.strategies.GLISTER`` for the details. The arguments are those of ``Strategy``, where ``args`` is required
    and with the key ``lr``, and:

    Args:
        valid: Whether a validation set is passed; otherwise the pool and the labeled set take its place.
        X_val: Validation data, mandatory with ``valid``.
        Y_val: Labels of the validation data, mandatory with ``valid``.
        loss_criterion: The loss.
        typeOf: The regularizer: "none", "Rand", "FacLoc" or "Diversity".
        lam: Weight of the regularizer, mandatory unless ``typeOf`` is "none". For "Rand", the share of random picks, between
            0 and 1.
        kernel_batch_size: Accepted, but kernels choose their own block sizes.
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
            raise InvalidInput("GLISTER needs the learning rate of training; pass args={'lr': ...}")
        if valid and (X_val is None or Y_val is None):
            raise InvalidInput("valid=True needs a validation set; pass X_val and Y_val")
        self.X_val, self.Y_val, self.valid = X_val, Y_val, valid
        kind: Any = typeOf  # the core checks the name
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
