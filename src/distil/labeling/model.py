"""The model of a project at one time: what it guesses for every item, and which items to hand out next."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from distil.errors import RunError
from distil.system.files import FAULTS_OF_FILES, replacing

CACHE: Final = "model"
"""The folder in a project with what can be made again: embeddings, and the last snapshot."""
FILE: Final = "snapshot.npz"
_ARRAYS: Final = ("guesses", "p", "unseen", "unreadable", "order")
AHEAD: Final = 50
"""Number of items that are chosen at once: enough for several people until the next fit, few enough that all are recent."""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A fitted model and what it chose. Items are named by their places in ``Project.items()``, which only grows.

    Attributes:
        version: Number of the fit, from 1.
        n_labels: Number of labels that it was fitted to.
        classes: The names of the classes, in the order of the numbers in ``guesses``.
        guesses: The most probable class of each item, (N,) int32; -1 where there is no guess.
        p: Its probability, (N,) float32; 0 where there is no guess.
        unseen: The most probable class of each item by models that were not fitted to its label, (N,) int32: ``guesses`` for items
            without a label, held-out guesses for the others; -1 where there is no guess.
        unreadable: Items that the model cannot read, (u,) int64.
        order: Items to hand out next, best first, (n,) int64.
        reasons: Why each was chosen.
        made_from: What the model reads of an item, in words.
    """

    version: int
    n_labels: int
    classes: list[str]
    guesses: NDArray[np.int32]
    p: NDArray[np.float32]
    unseen: NDArray[np.int32]
    unreadable: NDArray[np.int64]
    order: NDArray[np.int64]
    reasons: list[str]
    made_from: str

    def guess(self, place: int) -> tuple[str, float] | None:
        """The class and probability that the model guesses for an item; None without a guess."""
        if not 0 <= place < len(self.guesses) or self.guesses[place] < 0:
            return None
        return self.classes[self.guesses[place]], float(self.p[place])

    def save(self, folder: Path) -> None:
        """Write the snapshot to a folder, in place of an earlier one."""
        words = {name: getattr(self, name) for name in ("version", "n_labels", "classes", "reasons", "made_from")}
        text = np.frombuffer(json.dumps(words).encode(), np.uint8)
        with replacing(folder / FILE) as temporary, temporary.open("wb") as file:
            np.savez(file, text=text, **{name: getattr(self, name) for name in _ARRAYS})

    @classmethod
    def load(cls, folder: Path) -> Snapshot | None:
        """The snapshot in a folder; None if there is none yet.

        Raises:
            RunError: The file is damaged.
        """
        path = folder / FILE
        try:
            with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                words: Mapping[str, object] = json.loads(file["text"].tobytes())
                found = cls(**words, **{name: file[name] for name in _ARRAYS})  # type: ignore[arg-type]
            found._check()
        except FileNotFoundError:
            return None
        except FAULTS_OF_FILES as error:
            raise RunError(f"{path} is damaged; delete it, and the next fit writes it again") from error
        return found

    def _check(self) -> None:
        """Raise ValueError if a field is not what it must be: the file may come from anywhere."""
        numbers = type(self.version) is int and type(self.n_labels) is int
        lists = isinstance(self.classes, list) and isinstance(self.reasons, list)
        texts = lists and all(isinstance(text, str) for text in (*self.classes, *self.reasons, self.made_from))
        wholes = (self.guesses, self.unseen, self.unreadable, self.order)
        whole = all(array.ndim == 1 and array.dtype.kind == "i" for array in wholes)
        classes = range(-1, len(self.classes))
        known = whole and all(np.isin(array, classes).all() for array in (self.guesses, self.unseen))
        one_each = self.p.shape == self.guesses.shape == self.unseen.shape
        shares = one_each and self.p.dtype.kind == "f" and ((self.p >= 0) & (self.p <= 1)).all()
        if not (numbers and texts and known and shares and len(self.order) == len(self.reasons)):
            raise ValueError("a field has another type or size than a fit writes")


def last_version(folder: Path) -> int:
    """The number of the last fit, of an earlier process: no two models have one number, and random choices do not repeat."""
    try:
        before = Snapshot.load(folder)
    except RunError:  # the next fit writes it again
        return 0
    return 0 if before is None else before.version


def unreadable_items(folder: Path, ids: Sequence[str]) -> set[str]:
    """The ids of the items that the model could not read when it was last fitted: people would see nothing either.

    Args:
        folder: The folder of the snapshot.
        ids: The ids of all items, in the order of ``Project.ids()``.
    """
    try:
        snapshot = Snapshot.load(folder)
    except RunError:  # the next fit writes it again
        return set()
    places = [] if snapshot is None else snapshot.unreadable.tolist()
    return {ids[place] for place in places if 0 <= place < len(ids)}
