"""The base class of the strategies: a data set, a network, and the steps of the loop."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from distil.deepal.data import Data, Ids
from distil.deepal.nets import Net
from distil.errors import DistilWarning, InvalidInput
from distil.rng import Rng, drawn_seed
from distil.selection.select import select
from distil.strategies.base import Needs
from distil.strategies.base import Strategy as Core
from distil.strategies.registry import as_strategy


class Strategy:
    """Base of the strategies, which query a data set with a network.

    To write a strategy, define ``query``: either from the predictions for ``dataset.get_unlabeled_data()``, for example of
    ``predict_prob``, or by ``self.select(core, n)`` with any strategy of ``distil.strategies``.

    Args:
        dataset: The pool and the testing set.
        net: The network.

    Attributes:
        dataset: The argument.
        net: The argument.
    """

    def __init__(self, dataset: Data, net: Net) -> None:
        self.dataset = dataset
        self.net = net

    def query(self, n: int) -> Ids:
        """The ``n`` examples to label next.

        Args:
            n: Number of examples, from 1 to the number of unlabeled ones.

        Returns:
            Ids in the pool, (n,) int64, distinct, unlabeled, best first. Ties are broken at random.

        Raises:
            InvalidInput: ``n`` is out of range, or the network returns a NaN.
        """
        raise NotImplementedError(f"{type(self).__name__} must define query(n)")

    def update(
        self,
        pos_idxs: Sequence[int] | Tensor | np.ndarray[Any, Any],
        neg_idxs: Sequence[int] | Tensor | np.ndarray[Any, Any] | None = None,
    ) -> None:
        """Mark examples as labeled, and others as unlabeled.

        Args:
            pos_idxs: Ids in the pool, or a mask of the pool (n_pool,) bool, of the examples to mark as labeled.
            neg_idxs: Ids in the pool, or a mask of the pool, of the examples to mark as unlabeled; default: none.

        Raises:
            InvalidInput: An argument is neither ids in the pool nor a mask of it; nothing is changed.
        """
        added = self._ids(pos_idxs, "pos_idxs")
        removed = self._ids([] if neg_idxs is None else neg_idxs, "neg_idxs")
        self.dataset.labeled_idxs[added] = True
        self.dataset.labeled_idxs[removed] = False

    def train(self) -> None:
        """Train a fresh network on the labeled pool."""
        self.net.train(self.dataset.get_labeled_data()[1])

    def predict(self, data: Any) -> Tensor:  # noqa: ANN401
        """See ``Net.predict``."""
        return self.net.predict(data)

    def predict_prob(self, data: Any) -> Tensor:  # noqa: ANN401
        """See ``Net.predict_prob``."""
        return self.net.predict_prob(data)

    def predict_prob_dropout(self, data: Any, n_drop: int = 10) -> Tensor:  # noqa: ANN401
        """See ``Net.predict_prob_dropout``."""
        return self.net.predict_prob_dropout(data, n_drop)

    def predict_prob_dropout_split(self, data: Any, n_drop: int = 10) -> Tensor:  # noqa: ANN401
        """See ``Net.predict_prob_dropout_split``."""
        return self.net.predict_prob_dropout_split(data, n_drop)

    def get_embeddings(self, data: Any) -> Tensor:  # noqa: ANN401
        """See ``Net.get_embeddings``."""
        return self.net.get_embeddings(data)

    def select(self, core: Core | str, n: int) -> Ids:
        """The ids that a strategy of ``distil.strategies`` selects from the unlabeled pool, in the form of ``query``.

        If the network was never trained, it is trained first on the labeled examples (the paper's f(0)). Without labeled
        examples, a fresh network is used and a warning says so.

        Args:
            core: A strategy of ``distil.strategies``, or its registered name.
            n: See ``query``.
        """
        core = as_strategy(core)
        if self.net.clf is None and core.needs != Needs():
            self._begin(core)
        selection = select(
            core,
            None if self.net.clf is None else self.net.network(),
            self.dataset.inputs(),
            n,
            labeled=self.dataset.labeled(),
            runtime=self.net.runtime(),
            rng=Rng(drawn_seed()),
        )
        ids: Ids = selection.ids.numpy()
        return ids

    def _begin(self, core: Core) -> None:
        """Train a network on the labeled examples, or make a fresh one if there are none."""
        if self.dataset.labeled_idxs.any():
            self.train()
            return
        warnings.warn(
            f"{type(core).__name__} uses a network that was never trained, as no example is labeled: its selection is close to "
            "random; call initialize_labels(num) first",
            DistilWarning,
            stacklevel=4,
        )
        self.net.reset(Rng(drawn_seed()))

    def _ids(self, argument: Any, name: str) -> Ids:  # noqa: ANN401
        """Ids in the pool, from a sequence of ids or a mask."""
        n_pool, ids = self.dataset.n_pool, np.asarray(argument)
        if ids.dtype == bool and ids.shape == (n_pool,):
            ids = np.flatnonzero(ids)
        are_ids = ids.ndim == 1 and (ids.dtype.kind in "iu" or not ids.size)
        if not are_ids or (ids.size and not 0 <= int(ids.min()) <= int(ids.max()) < n_pool):
            raise InvalidInput(
                f"{name} must be ids in the pool, from 0 to {n_pool - 1}, or a mask of length {n_pool}, got {argument!r}"
            )
        return ids.astype(np.int64)
