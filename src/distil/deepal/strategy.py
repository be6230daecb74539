"""What every strategy has: a data set, a network, and the steps of the loop."""

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
    """Base of the strategies: queries a data set with a network.

    A strategy of your own defines ``query``: from scratch, with ``predict_prob`` and the like of
    ``dataset.get_unlabeled_data()``, or by ``self.select(core, n)`` with any strategy of ``distil.strategies``.

    Args:
        dataset: The pool and the testing set.
        net: The network.

    Attributes:
        dataset: As given.
        net: As given.
    """

    def __init__(self, dataset: Data, net: Net) -> None:
        self.dataset = dataset
        self.net = net

    def query(self, n: int) -> Ids:
        """The ``n`` examples to label next.

        Args:
            n: From 1 to the number of unlabeled examples.

        Returns:
            Ids in the pool, (n,) int64, distinct, unlabeled, best first. Ties go to the smaller id.

        Raises:
            InvalidInput: ``n`` is out of range, or the network returns a NaN.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no query(n)")

    def update(
        self,
        pos_idxs: Sequence[int] | Tensor | np.ndarray[Any, Any],
        neg_idxs: Sequence[int] | Tensor | np.ndarray[Any, Any] | None = None,
    ) -> None:
        """Move examples to the labeled pool, and others back to the unlabeled one.

        Args:
            pos_idxs: Ids in the pool, or a mask of it, of examples that are labeled from now on.
            neg_idxs: Likewise, of examples that are not labeled any more.

        Raises:
            InvalidInput: Anything but ids in the pool; nothing is then changed.
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
        """What a strategy of the library queries of the unlabeled pool, as ``query`` returns it.

        A network that was never trained is trained first, should there be labels (the paper's f(0)); without any, a
        fresh network is asked as it is, and a warning says so.

        Args:
            core: A strategy, or the name of a registered one.
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
        """Make a network where there is none yet."""
        if self.dataset.labeled_idxs.any():
            self.train()
            return
        warnings.warn(
            f"{type(core).__name__} asks a network that was never trained, as nothing is labeled: its selection is close to "
            "random; call initialize_labels(num) first",
            DistilWarning,
            stacklevel=4,
        )
        self.net.reset(Rng(drawn_seed()))

    def _ids(self, given: Any, name: str) -> Ids:  # noqa: ANN401
        """Ids in the pool, from a sequence of them or a mask."""
        n_pool, ids = self.dataset.n_pool, np.asarray(given)
        if ids.dtype == bool and ids.shape == (n_pool,):
            ids = np.flatnonzero(ids)
        right = ids.ndim == 1 and (ids.dtype.kind in "iu" or not ids.size)
        if not right or (ids.size and not 0 <= int(ids.min()) <= int(ids.max()) < n_pool):
            raise InvalidInput(
                f"{name} must be ids in the pool, from 0 to {n_pool - 1}, or a mask of it; got {given!r}"
            )
        return ids.astype(np.int64)
