"""Warnings of a step, which its event keeps."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from distil.errors import DistilWarning


@contextmanager
def kept_warnings() -> Iterator[list[str]]:
    """Yield a list that holds, after the block, each of distil's warnings in it once; they are issued then.

    Python shows equal warnings once a process. The list has them in every block, so a resumed run keeps the same ones.
    """
    texts: list[str] = []
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", DistilWarning)
            yield texts
    finally:
        for each in caught:
            if issubclass(each.category, DistilWarning):
                texts += [str(each.message)] * (str(each.message) not in texts)
                warnings.warn(each.message, each.category, stacklevel=3)
            else:
                warnings.showwarning(each.message, each.category, each.filename, each.lineno, each.file, each.line)
