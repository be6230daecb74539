"""Pools on disk: the public functions score and select from a million memory-mapped rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

import distil as library
from benchmarks.speed import data
from benchmarks.speed.spec import Bar, Found, Given, Prepared, Row, Size, Way


def mapped(size: Size, folder: Path) -> None:
    """``mapped_x`` (N, D) on disk, a linear ``head`` (D, C), ``labeled`` (M, D)."""
    source = data.Mixture(size["d"], size["c"])
    source.write(folder / "mapped_x.npy", size["n"])
    data.save(folder, {"head": source.head, "labeled": source.rows(size["m"])})


def _head(given: Given) -> nn.Module:
    head = nn.Linear(given.size["d"], given.size["c"], bias=False)
    head.weight = nn.Parameter(torch.from_numpy(given["head"].T.copy()), requires_grad=False)
    return head.to(given.device)


def scoring(given: Given) -> Prepared:
    """The k largest entropies of a linear head."""
    head, x = _head(given), given["mapped_x"]
    return lambda k: Found(np.asarray(library.select("entropy_sampling", head, x, k)))


def scoring_naive(given: Given) -> Prepared:
    """Blocks of 8,192 rows, all scores kept, one sort at the end."""
    head, x = _head(given), given["mapped_x"]

    @torch.inference_mode()
    def run(k: int) -> Found:
        scores = []
        for start in range(0, len(x), 8192):
            logs = head(torch.from_numpy(x[start : start + 8192].copy()).to(given.device)).log_softmax(1)
            scores.append(-(logs.exp() * logs).sum(1).cpu())
        return Found(torch.cat(scores).topk(k).indices.numpy())

    return run


def badge(given: Given) -> Prepared:
    """BADGE, including the pass over the pool."""
    head, x = _head(given), given["mapped_x"]
    return lambda k: Found(np.asarray(library.select("badge", head, x, k)))


def k_center(given: Given) -> Prepared:
    """Core-set from labeled embeddings."""
    x, labeled = given["mapped_x"], given["labeled"]
    return lambda k: Found(np.asarray(library.select_from("core_set", k, embeddings=x, labeled_embeddings=labeled)))


def k_center_naive(given: Given) -> Prepared:
    """One matrix-vector product over the file for every pick."""
    x = torch.from_numpy(np.load(given.folder / "mapped_x.npy", mmap_mode="c"))  # "c": torch needs a writable array
    labeled = given.tensor("labeled").cpu()

    def run(k: int) -> Found:
        parts = x.split(8192)
        norms = torch.cat([(part * part).sum(1) for part in parts])
        own = (labeled * labeled).sum(1)
        nearest = torch.cat([torch.addmm(own, part, labeled.T, alpha=-2).amin(1) for part in parts]) + norms
        picks = []
        for _ in range(k):
            row = int(nearest.argmax())
            picks.append(row)
            torch.minimum(nearest, torch.addmv(norms, x, x[row], alpha=-2).add_(norms[row]), out=nearest)
            nearest[row] = -torch.inf
        return Found(np.array(picks))

    return run


_SIZE = {"n": 1_000_000, "d": 512, "c": 100, "k": 1000, "m": 200}


def _row(name: str, title: str, naive: Way | None, seconds: float) -> Row:
    ours = Way("distil", "distil", f"{__name__}:{name}")
    return Row(
        f"mapped_{name}",
        f"memory-mapped pool, {title}",
        _SIZE,
        mapped,
        (ours, naive) if naive is not None else (ours,),
        lambda size: (Bar("seconds", seconds * size["n"] / 1e6), Bar("private", 0.5e9)),
    )


ROWS = (
    _row("scoring", "entropy", Way("blocks of 8,192, torch", "naive", f"{__name__}:scoring_naive"), 0.4),
    _row("badge", "BADGE", None, 2.8),
    _row(
        "k_center",
        "k-center",
        Way("one pass a pick, torch", "naive", f"{__name__}:k_center_naive", short=(3, 9)),
        2.5,
    ),
)
