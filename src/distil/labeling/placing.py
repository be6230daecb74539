"""Where the items of a project are on its map: principal components at once, and t-SNE of a sample after it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from distil.errors import RunError
from distil.functional.scale import to_unit
from distil.labeling.features import ItemFeatures, principal_components
from distil.labeling.map import PoolMap
from distil.rng import Rng

SAMPLE: Final = 2000
"""Number of items that t-SNE places, some 7 s of CPU; all others are placed between them."""
NEIGHBORS: Final = 5
"""Number of sampled items between which another item is placed."""
DIMENSIONS: Final = 50
"""Principal components from which t-SNE and the neighbors are computed."""
PERPLEXITY: Final = 30


def maps_of(features: ItemFeatures, places: Mapping[str, int], folder: Path) -> Iterator[PoolMap]:
    """Make the map of a project where the folder has none of these features, and save it; gives each map that was saved.

    While there is no map at all, the first one is of principal components, which take a second or two.

    Args:
        features: The rows of the items.
        places: Id -> place in ``Project.items()``.
        folder: The folder with the last map.
    """
    made_of = digest(features)
    try:
        last = PoolMap.load(folder)
    except RunError:
        last = None
    if last is not None and (last.made_of, last.method) == (made_of, "tsne"):
        return
    version = 0 if last is None else last.version
    here = [places[name] for name in features.ids]
    rows = leading_components(features.x)
    layouts = {"pca": first_two, "tsne": with_neighbors}
    for method in layouts if last is None else ["tsne"]:
        xy = np.full((len(places), 2), np.nan, np.float32)
        xy[here] = in_unit_square(layouts[method](rows))
        version += 1
        found = PoolMap(version, method, xy, made_of)
        found.save(folder)
        yield found


def digest(features: ItemFeatures) -> str:
    """A digest of the rows and their ids."""
    made = hashlib.blake2b(repr(features.ids).encode(), digest_size=16)
    made.update(features.x.contiguous().numpy().data)
    return made.hexdigest()


def leading_components(x: Tensor) -> Tensor:
    """The rows (N, D) on their first 50 principal components, at a scale at which they can be squared."""
    (scaled,), _ = to_unit(x)
    return principal_components(scaled, DIMENSIONS)


def first_two(rows: Tensor) -> NDArray[np.float32]:
    """The first two principal components of rows, (N, 2); zeros where there are fewer."""
    found = np.zeros((len(rows), 2), np.float32)
    if not torch.equal(rows.amax(0), rows.amin(0)):
        parts = principal_components(rows, 2)[:, :2]
        found[:, : parts.shape[1]] = parts.numpy()
    return found


def with_neighbors(rows: Tensor) -> NDArray[np.float32]:
    """t-SNE of a sample of the rows; every other row at the mean of its 5 nearest sampled rows, weighted by 1 / distance; (N, 2).

    It begins at the principal components, and is the same for the same rows. Rows of which most are equal stay there.

    Cost: some 8 s of CPU for 100,000 rows of 50 numbers.
    """
    from sklearn.manifold import TSNE
    from sklearn.neighbors import KNeighborsRegressor

    flat = first_two(rows)
    drawn = torch.randperm(len(rows), generator=Rng(0).child("map").torch())[:SAMPLE].numpy()
    spread = flat[drawn, 0].std()
    if len(drawn) < 4 or spread == 0:
        return flat
    sample = rows.numpy()[drawn]
    perplexity = min(PERPLEXITY, (len(drawn) - 1) / 3)
    begin = flat[drawn] / spread * 1e-4  # as scikit-learn does: small, so that clusters can pass each other
    placed = TSNE(init=begin, perplexity=perplexity, random_state=0).fit_transform(sample)
    nearest = KNeighborsRegressor(min(NEIGHBORS, len(drawn)), weights="distance", algorithm="brute")
    found: NDArray[np.float32] = nearest.fit(sample, placed).predict(rows.numpy()).astype(np.float32)
    found[drawn] = placed
    return found


def in_unit_square(xy: NDArray[np.float32]) -> NDArray[np.float32]:
    """Points (N, 2) moved and scaled, by one factor, so that they fill the unit square in one direction."""
    low, high = xy.min(0), xy.max(0)
    extent = float((high - low).max())
    inside: NDArray[np.float32] = ((xy - (low + high) / 2) / (extent or 1) + 0.5).clip(0, 1)
    return inside
