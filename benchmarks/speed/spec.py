"""The classes that describe a row. Imports only numpy, so that the peers' environment can import it too."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

Size = Mapping[str, int]
"""The sizes of a row: ``n`` rows, ``d`` dimensions, ``c`` classes, ``k`` picks, ``m`` labeled rows, ``t`` samples."""

Kind = Literal["distil", "naive", "materialized", "peer"]

# The share of a stretch that a ratio must reach.
BAR = 0.7


@dataclass(frozen=True)
class Given:
    """The input of one implementation: arrays, their size, and the device."""

    folder: Path
    size: Size
    device: str = "cpu"

    @cached_property
    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays by name; those named ``mapped_...`` stay on disk."""
        return {
            path.stem: np.load(path, mmap_mode="r" if path.stem.startswith("mapped_") else None)
            for path in sorted(self.folder.glob("*.npy"))
        }

    def __getitem__(self, name: str) -> np.ndarray:
        return self.arrays[name]

    def tensor(self, name: str) -> Any:
        """An array as a tensor on the device."""
        import torch

        return torch.from_numpy(self[name]).to(self.device)


@dataclass(frozen=True)
class Found:
    """The result of an implementation: picks (k,) in pick order, or a value (inertia, a mean score), or both."""

    picks: np.ndarray | None = None
    value: float | None = None


Prepared = Callable[[int], Found]
"""The timed call; its argument is the number of picks."""


@dataclass(frozen=True)
class Way:
    """One implementation of a row.

    Attributes:
        name: Its name in the tables.
        kind: ``distil``; ``naive``, one pass a pick in torch; ``materialized``, as DISTIL 0.1 does it; or a ``peer``.
        prepare: ``module:function``; the function takes a ``Given`` and returns a ``Prepared``. It is not timed.
        short: Two numbers of picks, for an implementation that would take minutes; the time for all picks is extrapolated.
        work: The work of k picks, up to a factor, which the extrapolation follows; default: k.
        needs: Bytes it would allocate; above the limit it is not run.
        package: The peer's distribution, for its version.
        prefix: Whether fewer picks are the first of more; if not, those of an extrapolated way are not compared.
    """

    name: str
    kind: Kind
    prepare: str
    short: tuple[int, int] | None = None
    work: Callable[[int, Size], float] = lambda k, _: k
    needs: Callable[[Size], float] | None = None
    package: str = ""
    prefix: bool = True


@dataclass(frozen=True)
class Bar:
    """A requirement for distil on a row.

    Attributes:
        what: ``ratio``: seconds of ``against`` over distil's, at least; ``seconds``, ``memory`` (bytes beyond the inputs),
            ``private`` (bytes not backed by a file) and ``gemm`` (times the limit of the matrix products): at most;
            ``value``: distil's over that of ``against``, at least ``stretch`` (at most, where ``smaller``).
        stretch: The goal. The bar is 0.7 of a ratio, and 1/0.7 of a time; bytes and values have no slack.
        against: The name or the kind of a way; of several ways, the fastest counts.
        smaller: Whether a smaller value is better.
        exact: Whether the stretch is the bar.
    """

    what: Literal["ratio", "seconds", "memory", "private", "gemm", "value"]
    stretch: float
    against: str = ""
    smaller: bool = False
    exact: bool = False

    @property
    def bar(self) -> float:
        """The value that passes."""
        if self.exact or self.what in ("memory", "private", "value"):
            return self.stretch
        return self.stretch * BAR if self.what == "ratio" else self.stretch / BAR


@dataclass(frozen=True)
class Row:
    """One line of the table: an algorithm at a size.

    Attributes:
        name: Its name on the command line.
        title: Its title in the table.
        size: The full size.
        data: Function that writes the arrays of a size into a folder.
        ways: The implementations, distil's first.
        bars: The requirements for distil.
        value: The quality of picks that may differ, a function of arrays and picks.
        value_name: The name of that quality.
        flops: Floating-point operations of the unavoidable matrix products.
    """

    name: str
    title: str
    size: Size
    data: Callable[[Size, Path], None]
    ways: tuple[Way, ...]
    bars: Callable[[Size], tuple[Bar, ...]] = field(default=lambda _: ())
    value: Callable[[Given, np.ndarray], float] | None = None
    value_name: str = "value"
    flops: Callable[[Size], float] | None = None


def quick(size: Size) -> dict[str, int]:
    """A tenth of the rows and picks: it shows that everything works; its numbers mean nothing."""
    return {key: max(least, v // 10) if (least := {"n": 200, "k": 3}.get(key)) else v for key, v in size.items()}


def tiny(size: Size) -> dict[str, int]:
    """A size small enough for a test."""
    most = {"n": 120, "k": 4, "d": 16, "c": 4, "m": 6, "t": 4, "v": 20}
    return {key: min(value, most.get(key, value)) for key, value in size.items()}


def described(size: Size) -> str:
    """The size in words, such as ``N 50,000, D 512, k 1,000``."""
    return ", ".join(f"{key.upper() if key != 'k' else key} {value:,}" for key, value in size.items())
