"""How the time of k-center and BADGE grows with N, D and k, on clustered data; exponents of power laws, and a figure."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.speed.data import Mixture
from benchmarks.speed.measure import timed, warm
from distil.functional.centers import k_center_greedy, k_means_plus_plus, largest_norm
from distil.functional.features import Dense, Outer

LABELED, CLASSES, REPEATS = 200, 10, 5
GRID: dict[str, Sequence[int]] = {
    "n": (12_500, 25_000, 50_000, 100_000, 200_000),
    "d": (64, 128, 256, 512),
    "k": (125, 250, 500, 1000, 2000),
}
CENTER = {"n": 100_000, "d": 128, "k": 500}
BARS = {"n": 1.05, "k": 0.4}
"""The largest allowed exponents of N and k; that of D has no bar."""

Call = Callable[[], object]


def k_center(n: int, d: int, k: int) -> Call:
    """Time k-center from 200 labeled rows."""
    source = Mixture(d, CLASSES)
    x, labeled = Dense(torch.from_numpy(source.rows(n))), Dense(torch.from_numpy(source.rows(LABELED)))
    return lambda: k_center_greedy(x, k, labeled)


def badge(n: int, d: int, k: int) -> Call:
    """Time BADGE with ten classes."""
    source = Mixture(d, CLASSES)
    rows = source.rows(n)
    a = torch.from_numpy(source.probs(rows))
    a[torch.arange(n), a.argmax(1)] -= 1
    x = Outer(a, torch.from_numpy(rows))
    return lambda: k_means_plus_plus(x, k, largest_norm(x), torch.Generator().manual_seed(0))


ALGORITHMS: dict[str, Callable[[int, int, int], Call]] = {"k_center": k_center, "badge": badge}


def exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """The slope of the least-squares line through the logarithms."""
    x, y = [math.log(v) for v in sizes], [math.log(v) for v in seconds]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    products = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    return products / sum((a - mean_x) ** 2 for a in x)


def measured(algorithm: str, axis: str, sizes: Sequence[int], center: dict[str, int]) -> dict[str, Any]:
    """The shortest of five times at each size, and their exponent."""
    seconds = []
    for size in sizes:
        call = ALGORITHMS[algorithm](**{**center, axis: size})
        call()
        seconds.append(min(timed(call)[0] for _ in range(REPEATS)))
    found = exponent(sizes, seconds)
    bar = BARS.get(axis)
    passes = None if bar is None else found <= bar
    fit = {"exponent": found, "bar": bar, "passes": passes}
    return {"algorithm": algorithm, "axis": axis, "sizes": list(sizes), "seconds": seconds, **fit}


def all_measured(share: float = 1.0) -> list[dict[str, Any]]:
    """Both algorithms along all axes, at ``share`` of the sizes in N and k."""
    shrink = {axis: share if axis != "d" else 1.0 for axis in GRID}
    center = {axis: max(8, int(v * shrink[axis])) for axis, v in CENTER.items()}
    grid = {axis: [max(8, int(v * shrink[axis])) for v in sizes] for axis, sizes in GRID.items()}
    return [measured(name, axis, sizes, center) for name in ALGORITHMS for axis, sizes in grid.items()]


def draw(fits: list[dict[str, Any]], path: Path) -> bool:
    """Write the figure as a reproducible SVG; False if matplotlib is missing."""
    try:
        import matplotlib
    except ImportError:
        return False
    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "distil"
    from matplotlib import pyplot

    axes = list(GRID)
    figure, panels = pyplot.subplots(1, len(axes), figsize=(10, 3.2), layout="constrained", sharey=True)
    names = {"n": "rows N", "d": "dimensions D", "k": "picks k"}
    for panel, axis in zip(panels, axes, strict=True):
        for fit in fits:
            if fit["axis"] == axis:
                label = f"{fit['algorithm'].replace('_', '-')}: {axis}^{fit['exponent']:.2f}"
                panel.loglog(fit["sizes"], fit["seconds"], marker="o", label=label)
        panel.set_xlabel(names[axis])
        panel.legend()
    panels[0].set_ylabel("seconds")
    figure.savefig(path, format="svg", metadata={"Date": None})
    pyplot.close(figure)
    return True


def main(argv: list[str]) -> None:
    """``python -m benchmarks.speed.scaling SHARE`` prints the fits as JSON."""
    warm()
    print(json.dumps(all_measured(float(argv[0]) if argv else 1.0)))


if __name__ == "__main__":
    main(sys.argv[1:])
