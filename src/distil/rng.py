"""Seeded random streams by name: one integer decides a whole run."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from distil.errors import InvalidInput, whole_number


@dataclass(frozen=True)
class Rng:
    """A random stream that a seed and a path of names identify.

    The same seed and path always give the same stream, independent of earlier draws, their order and the device:
    ``Rng(0).child("select", 3)`` is the stream of round 3's selection in every replay of that run.

    Attributes:
        seed: Any integer.
        path: Names from the root to this stream.
    """

    seed: int
    path: tuple[str | int, ...] = ()

    def __post_init__(self) -> None:
        # NumPy's integers have another repr, which the digest would see.
        path = tuple(
            name if isinstance(name, str) else _whole(name, "the name of a stream", "text or ") for name in self.path
        )
        object.__setattr__(self, "seed", _whole(self.seed, "a seed"))
        object.__setattr__(self, "path", path)

    def child(self, *names: str | int) -> Rng:
        """The stream whose path is this path followed by ``names``."""
        return Rng(self.seed, self.path + names)

    def integer(self) -> int:
        """An integer in [0, 2**63), a pure function of seed and path."""
        digest = hashlib.blake2b(repr((self.seed, self.path)).encode(), digest_size=8).digest()
        return int.from_bytes(digest, "little") >> 1

    def torch(self) -> torch.Generator:
        """A new CPU generator; draws are made on the CPU so that every device sees the same numbers."""
        return torch.Generator("cpu").manual_seed(self.integer())

    def keys(self, ids: Tensor) -> Tensor:
        """A pseudorandom key for each id, (N,) int64: distinct for distinct ids, and a function of seed, path and id alone.

        Ties are broken in the order of these keys, so no position in a sorted pool is preferred, and the order of some ids depends
        neither on the other ids nor on blocks. The key of an id is output number ``id`` of SplitMix64 (Steele, Lea and Flood
        2014), which is a bijection of 64-bit numbers.
        """
        z = ids.numpy().astype(np.uint64)  # changed in place: pools may have many millions of ids
        z += np.uint64(1)
        z *= np.uint64(0x9E3779B97F4A7C15)
        z += np.uint64(self.integer())
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            z ^= z >> np.uint64(shift)
            z *= np.uint64(factor)
        z ^= z >> np.uint64(31)
        return torch.from_numpy(z.view(np.int64))

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Seed the global generators of torch, NumPy and ``random``, and restore their states afterwards.

        For code that reads only these generators: building a module, dropout in training, a user's own fit.
        """
        cpu, others = torch.get_rng_state(), torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
        python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - the global generator is the point
        self.reseed()
        try:
            yield
        finally:
            torch.set_rng_state(cpu)
            if others:
                torch.cuda.set_rng_state_all(others)
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002

    def reseed(self) -> None:
        """Seed the global generators, within the ``scope`` of another stream, which restores them.

        Why: a scope saves and restores three states, which is most of its cost; this is for many short calls in one scope.
        What it won: 30 us instead of 150 us for each call (one thread of a Xeon, torch 2.13).
        Delete it where calls are few.
        """
        seed = self.integer()
        # Not torch.manual_seed: for an accelerator that is not in use yet, it leaves a seed behind that cannot be undone.
        torch.default_generator.manual_seed(seed)
        if torch.cuda.is_initialized():
            torch.cuda.manual_seed_all(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002


def drawn_seed() -> int:
    """Draw a seed from torch's global generator, which ``torch.manual_seed`` seeds; each call draws another."""
    return int(torch.randint(2**62, (1,)))


def as_rng(rng: Rng | int | None, seed: int | None = None) -> Rng:
    """``rng`` itself, or the root stream of ``rng`` or ``seed`` as a seed (0 for None); InvalidInput for both at once."""
    if rng is not None and seed is not None:
        raise InvalidInput(f"rng and seed are two names of one argument; pass one of them, got {rng!r} and {seed!r}")
    return rng if isinstance(rng, Rng) else Rng(next((given for given in (rng, seed) if given is not None), 0))


def _whole(value: Any, what: str, other: str = "") -> int:  # noqa: ANN401 - the user's value, of any type
    """``value`` as an int; InvalidInput if it is not a whole number."""
    number = whole_number(value)
    if number is None:
        raise InvalidInput(f"{what} must be {other}a whole number, got {value!r}")
    return number
