"""Similarities of the rows of a table."""

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
    """Similarities of data to itself, by the Gaussian kernel with one scale for all of it.

    The scale is ``gamma`` = 1 / (2 m), m the median squared distance (see ``distil.functional.similarity.rbf``); DISTIL 0.1 had
    none (gamma = 1), and everything was similar to itself alone once distances were large.

    Args:
        device: Accepted as documented; the work is done on the CPU.
        x_trn: Data, one row (of any shape) an example.
        y_trn: Their labels, (N,), from 0.
        N_trn: How many there are.
        batch_size: Accepted as documented; it makes no difference to the answer, and memory is bounded without it.

    Attributes:
        dist_mat: The similarities that ``compute_score`` computed last, (n, n).

    Raises:
        InvalidInput: Lengths that disagree, or data that are no numbers.
    """

    def __init__(self, device: str | torch.device, x_trn: Array, y_trn: Array, N_trn: int, batch_size: int) -> None:  # noqa: N803
        self.device = device
        self.x_trn = _rows(x_trn, "x_trn")
        self.y_trn = _rows(y_trn, "y_trn")[:, 0].long()
        self.N_trn = N_trn
        self.batch_size = batch_size
        if not len(self.x_trn) == len(self.y_trn) == N_trn > 0:
            raise InvalidInput(
                f"N_trn must be the number of rows of x_trn and of y_trn, got {N_trn}, {len(self.x_trn)} and {len(self.y_trn)}"
            )
        if int(self.y_trn.min()) < 0:
            raise InvalidInput(f"y_trn must be labels from 0, got {int(self.y_trn.min())}")
        self.kernel = rbf(Dense(self.x_trn))
        self.dist_mat: Tensor | None = None

    def compute_score(self, idxs: Sequence[int] | Array) -> Tensor:
        """Similarities of these examples to one another, (n, n) float32; kept as ``dist_mat`` too."""
        rows = torch.tensor(np.asarray(idxs), dtype=torch.long)
        self.dist_mat = Similarity(Dense(self.x_trn[rows]), self.kernel).rows(slice(None))
        return self.dist_mat

    def distance(self, x: Array, y: Array, exp: float = 2) -> Tensor:
        """What the document calls a distance is a similarity: exp(-(sqrt(gamma) |x - y|)^exp).

        With the default it is the kernel of ``compute_score``, exp(-gamma |x - y|^2). (DISTIL 0.1 ignored ``exp``.)

        Args:
            x: (n, ...) rows.
            y: (m, ...) rows.
            exp: The exponent, above 0.

        Returns:
            (n, m) float32, between 0 and 1.
        """
        if not exp > 0:
            raise InvalidInput(f"exp must be above 0, got {exp}")
        one, other = (self.kernel.prepare(Dense(_rows(rows, name))) for rows, name in ((x, "x"), (y, "y")))
        scaled = self.kernel.sq_dists(one, other) * self.kernel.gamma
        return torch.exp(-(scaled ** (exp / 2))).float()

    def get_index(self, data: Array, data_sub: Array) -> list[int]:
        """Where the rows of ``data_sub`` are in ``data``.

        A row that is there several times is found at another place each time it is asked for.

        Raises:
            InvalidInput: A row is not in ``data``, or not as often.
        """
        places: dict[bytes, list[int]] = {}
        rows = np.asarray(data)
        for i in reversed(range(len(rows))):
            places.setdefault((rows[i] + 0).tobytes(), []).append(i)  # + 0: there is but one zero
        found = []
        for k, row in enumerate(np.asarray(data_sub, dtype=rows.dtype)):
            at = places.get((row + 0).tobytes())
            if not at:
                raise InvalidInput(f"row {k} of data_sub is not in data, or not as often as in data_sub")
            found.append(at.pop())
        return found


def _rows(x: Array, name: str) -> Tensor:
    flat = x.reshape(len(x), -1) if isinstance(x, Tensor) else np.asarray(x).reshape(len(x), -1)
    array = checked_array(flat, name, 2)
    rows = array if isinstance(array, Tensor) else torch.tensor(array)  # a copy: it may be read-only
    check_rows(torch.arange(len(rows)), rows, name)
    return rows if rows.is_floating_point() else rows.float()
