"""Where and how a pool is measured. None of it is part of the answer."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

import torch
from tqdm.auto import tqdm

from distil.errors import InvalidInput

T = TypeVar("T")


@dataclass(frozen=True)
class Runtime:
    """How to run a network over a pool.

    Attributes:
        device: Where to run it, such as ``"cuda"``; default: where its parameters are. The network returns afterwards.
        batch_size: Examples in one forward pass.
        num_workers: Processes that read a data set beside this one; arrays in memory never need any.
        progress: Whether to show progress bars; default: when the output is a terminal.
    """

    device: str | torch.device | None = None
    batch_size: int = 256
    num_workers: int = 0
    progress: bool | None = None

    def __post_init__(self) -> None:
        if isinstance(self.batch_size, bool) or not isinstance(self.batch_size, int) or self.batch_size < 1:
            raise InvalidInput(f"batch_size must be a whole number from 1, got {self.batch_size!r}")
        if isinstance(self.num_workers, bool) or not isinstance(self.num_workers, int) or self.num_workers < 0:
            raise InvalidInput(f"num_workers must be a whole number from 0, got {self.num_workers!r}")

    def bar(self, steps: Iterable[T], what: str, total: int | None = None) -> Iterable[T]:
        """``steps``, shown as a progress bar called ``what`` once they have taken a second."""
        hidden = not sys.stderr.isatty() if self.progress is None else not self.progress
        bar: Iterable[T] = tqdm(steps, desc=what, total=total, delay=1.0, leave=False, disable=hidden)
        return bar
