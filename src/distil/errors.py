"""Every error distil raises on purpose.

A message says what was expected, what came, and what to do. Each class also derives from the built-in that
callers of NumPy and PyTorch would catch, so ``except ValueError`` works too::

    DistilError
    ├── InvalidInput      ValueError      a shape, a value, a number of examples that cannot be right
    ├── MissingSignal     LookupError     a strategy needs a quantity that was not given and cannot be derived
    ├── UnknownName       LookupError     a strategy, data set or architecture that is not registered
    ├── UnsupportedModel  TypeError       a model whose logits or embedding cannot be read
    ├── ConfigError       ValueError      a configuration file that cannot be run
    ├── DataNotFound      FileNotFoundError   a data set that is in none of the places looked at
    ├── MissingPackage    ImportError     an optional package that is not installed
    └── RunError          RuntimeError    a run directory that is not one, or is not in the state asked for

    DistilWarning (UserWarning)           something that works, but probably not as hoped
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class DistilError(Exception):
    """Base of every error that distil raises on purpose."""


class InvalidInput(DistilError, ValueError):
    """A value that cannot be right: its shape, its type, a NaN, a number out of range."""


class MissingSignal(DistilError, LookupError):
    """A strategy needs a quantity that was neither given nor can be derived from what was."""


class UnknownName(DistilError, LookupError):
    """A name that is not registered; the message offers the nearest ones."""


class UnsupportedModel(DistilError, TypeError):
    """A model whose logits or embedding cannot be read; the message says which argument would help."""


class ConfigError(DistilError, ValueError):
    """A configuration that cannot be run; the message lists every fault found."""


class DataNotFound(DistilError, FileNotFoundError):
    """A data set that is in none of the places that were looked at; the message lists them."""


class MissingPackage(DistilError, ImportError):
    """An optional package that is not installed; the message says how to install it."""


class RunError(DistilError, RuntimeError):
    """A run directory that is damaged, is not one, or is not in the state asked for."""


class DistilWarning(UserWarning):
    """Something that works, but probably not as hoped."""


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name closest in spelling to ``name``, as the end of a sentence (empty when none is close).

    >>> nearest("entropy_samplng", ["badge", "entropy_sampling"])
    "; did you mean 'entropy_sampling'?"
    """
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""
