"""The rows of an earlier file of embeddings, which serve again for items whose content did not change."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distil.data.array_files import read_column
from distil.embedding.encoders import Encoder
from distil.embedding.journal import HASH_BYTES
from distil.embedding.own_files import OwnFiles, hashes_path
from distil.system.files import digest

FORMAT = 3
"""Changes when the same items and model would give other embeddings than before, such as by another reading of images."""


@dataclass(frozen=True, eq=False)
class Earlier:
    """Embeddings of an earlier call with the same model.

    Attributes:
        values: The embeddings, (N, D) float32.
        rows: Hash of an item's content -> the row of its embedding.
    """

    values: NDArray[np.float32]
    rows: Mapping[bytes, int]


def model_key(encoder: Encoder) -> str:
    """Hash of the identity of a model, and of how items are read."""
    return hashlib.sha256(f"{FORMAT}\n{encoder.identity}".encode()).hexdigest()


def earlier_rows(files: OwnFiles, encoder: Encoder) -> tuple[Earlier | None, str]:
    """The embeddings in a finished file, if this model made them; else None, and a sentence that says why, if there is a file."""
    path, info = files.path, files.info
    if not path.exists() or info.get("rows") == 0:
        return None, ""
    hashes = hashes_path(path)
    if not info or info.get("contents") != digest(hashes):
        return None, f"{path.name} is not as it was written, so all items were embedded"
    if info.get("encoder") != model_key(encoder):
        return (
            None,
            f"{path.name} is of another model, of other weights or of an earlier version, so all items were embedded",
        )
    content = hashes.read_bytes()
    keys = (content[start : start + HASH_BYTES] for start in range(0, len(content), HASH_BYTES))
    return Earlier(read_column(path, verified=True).values, {key: row for row, key in enumerate(keys) if any(key)}), ""
