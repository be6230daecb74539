"""The data of the benchmark: seeded, so that every machine measures the same arrays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.speed.spec import Size

RANK = 24
NOISE = 0.15
_BLOCK = 16_384

Arrays = dict[str, np.ndarray]


class Mixture:
    """A mixture of C Gaussians of rank 24, pushed through ReLU to d dimensions, with noise; classes by a linear head.

    Args:
        d: Dimensions.
        c: Classes, each a Gaussian.
        seed: Seed of all draws.
    """

    def __init__(self, d: int, c: int, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.means = rng.normal(size=(c, RANK)).astype(np.float32) * 1.5
        self.lift = rng.normal(size=(RANK, d)).astype(np.float32) / np.float32(RANK**0.5)
        self.head = rng.normal(size=(d, c)).astype(np.float32) * np.float32(2 / d**0.5)
        self._rng = rng

    def rows(self, n: int) -> np.ndarray:
        """``n`` rows, (n, d) float32."""
        return np.concatenate([self._block(min(_BLOCK, n - start)) for start in range(0, n, _BLOCK)])

    def write(self, path: Path, n: int) -> None:
        """Write ``n`` rows to an ``.npy`` file, block by block, so that they need not fit into memory."""
        out = np.lib.format.open_memmap(path, "w+", np.float32, (n, self.lift.shape[1]))
        for start in range(0, n, _BLOCK):
            out[start : start + _BLOCK] = self._block(min(_BLOCK, n - start))
        out.flush()

    def probs(self, x: np.ndarray) -> np.ndarray:
        """Class probabilities, (n, C) float32."""
        logits = x @ self.head
        logits -= logits.max(1, keepdims=True)
        np.exp(logits, out=logits)
        logits /= logits.sum(1, keepdims=True)
        return logits

    def _block(self, n: int) -> np.ndarray:
        which = self._rng.integers(len(self.means), size=n)
        low = self.means[which] + self._rng.standard_normal((n, RANK), dtype=np.float32)
        x = np.maximum(low @ self.lift, 0)
        x += self._rng.standard_normal(x.shape, dtype=np.float32) * np.float32(NOISE)
        return x


def save(folder: Path, arrays: Arrays) -> None:
    """Write one ``.npy`` file per array."""
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)


def mixture(size: Size, folder: Path) -> None:
    """``x`` (N, D), ``labeled`` (M, D) and, with classes, ``probs`` (N, C)."""
    source = Mixture(size["d"], size.get("c", 10))
    x = source.rows(size["n"])
    arrays = {"x": x, "labeled": source.rows(max(1, size.get("m", 1)))}
    if "c" in size:
        arrays["probs"] = source.probs(x)
    save(folder, arrays)


def shaped(draw: Callable[[np.random.Generator, int, int], np.ndarray]) -> Callable[[Size, Path], None]:
    """Data for k-center: ``x`` (N, D) and one labeled row, both drawn by ``draw(rng, rows, d)``."""

    def write(size: Size, folder: Path) -> None:
        rows = draw(np.random.default_rng(0), size["n"] + size.get("m", 1), size["d"]).astype(np.float32)
        save(folder, {"x": rows[: size["n"]], "labeled": rows[size["n"] :]})

    return write


def uniform(rng: np.random.Generator, n: int, d: int) -> np.ndarray:
    """Rows distributed uniformly in a cube."""
    return rng.random((n, d))


def gaussian(rng: np.random.Generator, n: int, d: int) -> np.ndarray:
    """Independent normal numbers: rows that are all about equally far from one another."""
    return rng.standard_normal((n, d))


def tight(rng: np.random.Generator, n: int, d: int) -> np.ndarray:
    """500 clusters whose distances are a thousand times their widths."""
    return rng.standard_normal((500, d))[rng.integers(500, size=n)] + 1e-3 * rng.standard_normal((n, d))


def duplicated(rng: np.random.Generator, n: int, d: int) -> np.ndarray:
    """Every row ten times, in random order."""
    base = rng.standard_normal((-(-n // 10), d))
    return base[rng.permutation(n) % len(base)]


def images(n: int, c: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, 1, 28, 28) between 0 and 1, low-frequency class means and noise, and their classes (n,)."""
    waves = np.cos(np.outer(np.arange(28) + 0.5, np.arange(4)) * np.pi / 28)  # (28, 4)
    means = np.einsum("ai,cij,bj->cab", waves, np.random.default_rng(0).normal(size=(c, 4, 4)), waves)  # (C, 28, 28)
    rng = np.random.default_rng(seed)
    which = rng.integers(c, size=n)
    x = means[which] * 0.04 + 0.5 + 0.25 * rng.standard_normal((n, 28, 28))
    return np.clip(x, 0, 1).astype(np.float32)[:, None], which
