"""The map of a project: a place on a square for each item, and the bytes by which the page of ``distil label`` reads it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from distil.errors import RunError
from distil.labeling.model import Snapshot
from distil.system.files import FAULTS_OF_FILES, replacing

FILE: Final = "map.npz"
OPEN, ANSWERED, GONE, UNPLACED = range(4)
"""States of an item on the map; an unplaced item was added later, or could not be read."""


@dataclass(frozen=True, eq=False)
class PoolMap:
    """Items on a square, near each other where their features are. Items are named by their places in ``Project.items()``.

    Attributes:
        version: Number of the map, from 1; another map of the project has another number.
        method: ``pca``, the first two principal components, or ``tsne``.
        xy: Where each item is, (N, 2) float32 in [0, 1]; NaN for items that are not on the map.
        made_of: A digest of the features.
    """

    version: int
    method: str
    xy: NDArray[np.float32]
    made_of: str

    def save(self, folder: Path) -> None:
        """Write the map to a folder, in place of an earlier one."""
        words = {name: getattr(self, name) for name in ("version", "method", "made_of")}
        text = np.frombuffer(json.dumps(words).encode(), np.uint8)
        with replacing(folder / FILE) as temporary, temporary.open("wb") as file:
            np.savez(file, text=text, xy=self.xy)

    @classmethod
    def load(cls, folder: Path) -> PoolMap | None:
        """The map in a folder; None if there is none yet.

        Raises:
            RunError: The file is damaged.
        """
        path = folder / FILE
        try:
            with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                xy = np.asarray(file["xy"], np.float32).reshape(-1, 2)
                return cls(**json.loads(file["text"].tobytes()), xy=xy)
        except FileNotFoundError:
            return None
        except FAULTS_OF_FILES as error:
            raise RunError(f"{path} is damaged; delete it, and the next start of the model writes it again") from error


def map_bytes(
    found: PoolMap,
    snapshot: Snapshot | None,
    classes: Sequence[str],
    labels: NDArray[Any],
    answered: NDArray[np.bool_],
    gone: NDArray[np.bool_],
) -> bytes:
    """The map as the page reads it: a header, and an array for each quantity with a row for each item.

    The format, little-endian: the length of the header (uint32); the header, JSON padded with blanks, with ``n``, ``method``,
    ``version`` and ``classes``; where the items are (float32, n x 2); the numbers of their labels and of the model's guesses in
    ``classes`` (int16, -1 for none); 255 times the probability of the guess (uint8); and the state (uint8): 0 open, 1 answered,
    2 gone, 3 not on the map. Each part begins at a multiple of four bytes.

    Args:
        found: The map; items that were added later are not on it.
        snapshot: The model; None if there is none yet. Its guesses of classes that were renamed since are left out.
        classes: The names of the present classes.
        labels: The class of the label of each item, (n,); -1 where it has none.
        answered: Whether a person answered the item, (n,).
        gone: Whether the item is gone, (n,).
    """
    n = len(labels)
    xy = np.full((n, 2), np.nan, np.float32)
    known = min(n, len(found.xy))
    xy[:known] = found.xy[:known]
    state = np.where(answered, ANSWERED, OPEN).astype("u1")
    state[np.isnan(xy).any(1)] = UNPLACED
    state[gone] = GONE
    guesses, p = _guesses(snapshot, classes, n)
    header = {"n": n, "method": found.method, "version": found.version, "classes": list(classes)}
    text = _padded(json.dumps(header).encode(), b" ")
    arrays = [np.nan_to_num(xy).astype("<f4"), labels.astype("<i2"), guesses, p, state]
    return b"".join([len(text).to_bytes(4, "little"), text, *(_padded(array.tobytes(), b"\0") for array in arrays)])


def _guesses(snapshot: Snapshot | None, classes: Sequence[str], n: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """The number of the guessed class in ``classes`` and 255 times its probability, (n,) each; -1 and 0 where there is none."""
    guesses, p = np.full(n, -1, "<i2"), np.zeros(n, "u1")
    if snapshot is None:
        return guesses, p
    number = {name: c for c, name in enumerate(classes)}
    present = np.array([*(number.get(name, -1) for name in snapshot.classes), -1], "<i2")  # the last one for no guess
    known = min(n, len(snapshot.guesses))
    guesses[:known] = present[snapshot.guesses[:known]]
    p[:known] = np.where(guesses[:known] < 0, 0, np.rint(255 * snapshot.p[:known]))
    return guesses, p


def _padded(part: bytes, by: bytes) -> bytes:
    """``part`` with as many bytes after it as make its length a multiple of four."""
    return part + by * (-len(part) % 4)
