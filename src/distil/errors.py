"""Every error that distil raises on purpose.

A message says what was expected, what came, and what to do. Each class also derives from the built-in error that
callers of NumPy and PyTorch would catch, so ``except ValueError`` works too::

    DistilError
    ├── InvalidInput      ValueError          an argument with a wrong shape, type, value or number of examples
    ├── MissingSignal     LookupError         a strategy needs a quantity that was not passed and cannot be derived
    ├── UnknownName       LookupError         a strategy, data set or architecture is not registered
    ├── UnsupportedModel  TypeError           the logits or the embedding of a model cannot be read
    ├── ConfigError       ValueError          a configuration cannot be run
    ├── DataNotFound      FileNotFoundError   a data set is in none of the places searched
    ├── MissingPackage    ImportError         an optional package is not installed
    └── RunError          RuntimeError        a directory is not a run, is damaged, or is in the wrong state
        └── RunBusy                           another process works on the run

    DistilWarning (UserWarning)               a call succeeds, but its result may not be the one intended
"""

from __future__ import annotations

import difflib
import math
import operator
import os
import shlex
from collections.abc import Iterable
from numbers import Real


class DistilError(Exception):
    """Base of every error that distil raises on purpose."""


class InvalidInput(DistilError, ValueError):
    """An argument has a wrong shape or type, is NaN, or is out of range."""


class MissingSignal(DistilError, LookupError):
    """A strategy needs a quantity that was not passed and cannot be derived from the arguments that were."""


class UnknownName(DistilError, LookupError):
    """A name is not registered; the message suggests the nearest one."""


class UnsupportedModel(DistilError, TypeError):
    """The logits or the embedding of a model cannot be read; the message names the argument that helps."""


class ConfigError(DistilError, ValueError):
    """A configuration cannot be run; the message lists every fault found."""


class DataNotFound(DistilError, FileNotFoundError):
    """A data set is in none of the places searched; the message lists them."""


class MissingPackage(DistilError, ImportError):
    """An optional package is not installed; the message says how to install it."""


class RunError(DistilError, RuntimeError):
    """A directory is not a run, is damaged, or is in the wrong state for the call."""


class RunBusy(RunError):
    """Another process works on the run."""


class DistilWarning(UserWarning):
    """A call succeeds, but its result may not be the one intended."""


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of an error message that suggests a known name: the shortest that begins so, or else the closest in spelling.

    It is empty when no name is close.

    >>> nearest("entropy_samplng", ["badge", "entropy_sampling"])
    "; did you mean 'entropy_sampling'?"
    >>> nearest("margin", ["margin_sampling_dropout", "margin_sampling", "maxherding"])
    "; did you mean 'margin_sampling'?"
    """
    names = list(known)
    begun = [each for each in names if each.startswith(name)] if len(name) > 2 else []
    close = sorted(begun, key=len)[:1] or difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""


def counted(count: int, noun: str) -> str:
    """A number of things in a sentence.

    >>> counted(1, "label"), counted(1200, "label")
    ('1 label', '1,200 labels')
    """
    return f"{count:,} {noun}{'s' * (count != 1)}"


def argument(path: str | os.PathLike[str]) -> str:
    """A path as an argument of a command that a message advises: in quotes where a shell would split or change it.

    >>> print(argument("runs/new"), argument("my runs"), argument("-x"))
    runs/new 'my runs' ./-x
    """
    text = os.fspath(path)
    text = os.path.join(".", text) if text.startswith("-") else text
    if os.name == "nt":
        return f'"{text}"' if " " in text else text
    return shlex.quote(text)


def all_labels_are(count: int) -> str:
    """The beginning of a sentence about labels that are equal.

    >>> all_labels_are(1), all_labels_are(4)
    ('the only label is', 'all 4 labels are')
    """
    return "the only label is" if count == 1 else f"all {count:,} labels are"


def whole_number(value: object, least: float = -math.inf, most: float = math.inf) -> int | None:
    """``value`` as an int if it is a whole number from ``least`` to ``most``; None for any other value, booleans included.

    Integers of NumPy and PyTorch are whole numbers; floating-point numbers are not, even if they are whole.

    >>> whole_number(3, least=1), whole_number(3.0), whole_number(True)
    (3, None, None)
    """
    try:
        number = operator.index(value)  # type: ignore[arg-type]  # any other type raises TypeError
    except TypeError:
        return None
    return None if isinstance(value, bool) or not least <= number <= most else number


def finite_number(value: object) -> float | None:
    """``value`` as a float if it is a finite number; None for any other value, booleans and texts included.

    >>> finite_number(0.5), finite_number(2), finite_number("2"), finite_number(math.nan)
    (0.5, 2.0, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    return float(value) if math.isfinite(value) else None


def as_share(what: str, value: object) -> float:
    """``value`` as a float if it is a number between 0 and 1, both excluded.

    Raises:
        InvalidInput: It is not; the message translates percentages.

    >>> as_share("error", 0.05)
    0.05
    """
    number = finite_number(value)
    if number is None or not 0 < number < 1:
        hint = f"; write {number:g} % as {number / 100:g}" if number is not None and 1 < number < 100 else ""
        raise InvalidInput(f"{what} must be a number between 0 and 1, got {value!r}{hint}")
    return number
