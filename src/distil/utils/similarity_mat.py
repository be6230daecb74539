"""Similarities between the rows of a table, by a Gaussian kernel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from distil.data.arrays import Array, check_rows, checked_array
from distil.errors import InvalidInput
from distil.functional.features import Dense
from distil.functional.similarity import Similarity, rbf


class SimilarityComputation:
    """Computes similarities between examples, by a Gaussian kernel whose scale is set from all of the data.

    The kernel is exp(-gamma d^2) with gamma = 1 / (2 m), where m is the median squared distance (see
    ``distil.functional.similarity.rbf``). DISTIL 0.1 had gamma = 1, so that with large distances every example was similar to
    itself only.

    Args:
        device: Accepted as documented, but the computation runs on the CPU.
        x_trn: Data, (N, ...).
        y_trn: Labels of the data, (N,), from 0.
        N_trn: Number N of examples.
        batch_size: Accepted as documented, but it affects neither the result nor the memory, which is bounded.

    Attributes:
        dist_mat: The last result of ``compute_score``, (n, n); None before the first.

    Raises:
        InvalidInput: The lengths differ from ``N_trn``, a label is negative, or the data are not numbers.
    """

    def __init__(self, device: str | torch.device, x_trn: Array, y_trn: Array, N_trn: int, batch_size: int) -> None:  # noqa: N803
        self.device = device
        self.x_trn = _rows(x_trn, "x_trn")
        self.y_trn = _rows(y_trn, "y_trn")[:, 0].long()
        self.N_trn = N_trn
        self.batch_size = batch_size
        if not len(self.x_trn) == len(self.y_trn) == N_trn > 0:
            raise InvalidInput(
                f"x_trn and y_trn must have N_trn={N_trn!r} rows each, at least 1, got {len(self.x_trn)} and {len(self.y_trn)}"
            )
        if int(self.y_trn.min()) < 0:
            raise InvalidInput(f"y_trn must be labels of at least 0, got {int(self.y_trn.min())}")
        self.kernel = rbf(Dense(self.x_trn))
        self.dist_mat: Tensor | None = None

    def compute_score(self, idxs: Sequence[int] | Array) -> Tensor:
        """Similarities between these n examples, (n, n) float32; also stored as ``dist_mat``."""
        rows = torch.tensor(np.asarray(idxs), dtype=torch.long)
        self.dist_mat = Similarity(Dense(self.x_trn[rows]), self.kernel).rows(slice(None))
        return self.dist_mat

    def distance(self, x: Array, y: Array, exp: float = 2) -> Tensor:
        """Similarities exp(-sum_d |sqrt(gamma) (x_d - y_d)|^exp) between two sets of rows; the document calls them distances.

        The default gives the kernel of ``compute_score``, exp(-gamma |x - y|^2). (DISTIL 0.1 ignored ``exp``.)

        Args:
            x: Rows, (n, ...).
            y: Rows, (m, ...).
            exp: Exponent, above 0.

        Returns:
            Similarities between 0 and 1, (n, m) float32.

        Raises:
            InvalidInput: ``exp`` is not above 0, or ``x`` or ``y`` are not numbers.
        """
        if not exp > 0:
            raise InvalidInput(f"exp must be a number above 0, got {exp!r}")
        one, other = (self.kernel.prepare(Dense(_rows(rows, name))) for rows, name in ((x, "x"), (y, "y")))
        if exp == 2:
            return self.kernel.similarity(self.kernel.sq_dists(one, other)).float()
        scale = self.kernel.gamma**0.5
        return torch.exp(-(torch.cdist(one.dense() * scale, other.dense() * scale, p=float(exp)) ** exp)).float()

    def get_index(self, data: Array, data_sub: Array) -> list[int]:
        """The index in ``data`` of each row of ``data_sub``; equal rows get different indices.

        Raises:
            InvalidInput: ``data`` has a row less often than ``data_sub``, or lacks it.
        """
        places: dict[bytes, list[int]] = {}
        rows = np.asarray(data)
        for i in reversed(range(len(rows))):
            places.setdefault((rows[i] + 0).tobytes(), []).append(i)  # + 0 turns -0.0 into 0.0
        indices = []
        for k, row in enumerate(np.asarray(data_sub, dtype=rows.dtype)):
            remaining = places.get((row + 0).tobytes())
            if not remaining:
                raise InvalidInput(f"data must have each row as often as data_sub, but lacks row {k} of data_sub")
            indices.append(remaining.pop())
        return indices


def _rows(x: Array, name: str) -> Tensor:
    flat = x.reshape(len(x), -1) if isinstance(x, Tensor) else np.asarray(x).reshape(len(x), -1)
    array = checked_array(flat, name, 2)
    rows = array if isinstance(array, Tensor) else torch.tensor(array)  # copied, as the array may be read-only
    check_rows(torch.arange(len(rows)), rows, name)
    return rows if rows.is_floating_point() else rows.float()
