"""Reading the JSON object of a configuration, before its keys are checked."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distil.errors import ConfigError, InvalidInput, RunError
from distil.experiment.chain import hash_of

SEAL = "hash"
"""The key under which the configuration of a directory has the hash of its other keys."""

PROJECT = "project "
"""With what the name of an oracle begins that is the path of a labeling project."""

_DEEPEST = 50
_DIGITS = 25
_LARGEST = 2**20


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a configuration file, without the key ``$schema``, which editors read, and without its seal.

    Raises:
        ConfigError: The file does not exist, is larger than 1 MB, or does not hold one JSON object.
        RunError: It has a seal, and was changed since.
    """
    return _unsealed(path, "; or, to use it as a configuration of your own, remove that key")


def read_kept(path: Path) -> dict[str, Any]:
    """The JSON object in a file of an experiment's directory, which must have a seal; see ``read_json``.

    Raises:
        RunError: The file cannot be read, was changed since, or has no seal.
    """
    try:
        if not is_sealed(path):
            raise ConfigError(f"{path} lacks the key {SEAL!r}, with which distil writes it")
        return _unsealed(path)
    except ConfigError as error:
        raise RunError(f"{error}; if it was altered, restore it from a backup") from None


def is_sealed(path: Path) -> bool:
    """Whether the JSON object in a file has a seal, as those that distil writes.

    Raises:
        ConfigError: As for ``read_json``.
    """
    return SEAL in _object_in(path)


def _unsealed(path: Path, instead: str = "") -> dict[str, Any]:
    """The JSON object in a file without its seal, which must fit; ``instead`` is what the error adds."""
    document = unsealed(_object_in(path))
    if document is None:
        raise RunError(
            f"{path} was changed since distil wrote it: its content does not match its key {SEAL!r}. Restore it from a "
            f"backup{instead}"
        )
    return document


def _object_in(path: Path) -> dict[str, Any]:
    """The JSON object in a file."""
    try:
        document = json.loads(_text_of(path), object_pairs_hook=_no_repeats, parse_int=_whole)
    except FileNotFoundError:
        raise ConfigError(f"there is no configuration file {path}") from None
    except RecursionError:
        raise ConfigError(f"{path} cannot be read: its lists and objects are more than {_DEEPEST} deep") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}; pass a JSON file") from None
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path} cannot be read: it is not UTF-8 text (byte {error.start}); pass a JSON file, saved as UTF-8"
        ) from None
    except ConfigError:  # it says what is wrong with the file
        raise
    except ValueError as error:
        raise ConfigError(f"{path} cannot be read as JSON: {error}") from None
    if not isinstance(document, dict):
        raise ConfigError(
            f"{path} must hold a JSON object; a configuration has the sections model, train_parameters, active_learning, dataset"
        )
    document.pop("$schema", None)
    return document


def sealed(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document with the hash of its content, which ``read_json`` checks."""
    return {**document, SEAL: hash_of(document)}


def unsealed(document: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """A document without its seal, if it has one; None where that does not fit, or there is no document."""
    if document is None:
        return None
    content = {key: value for key, value in document.items() if key != SEAL}
    return content if document.get(SEAL) in (None, hash_of(content)) else None


def _text_of(path: Path) -> str:
    """The text of a file, read up to the largest size of a configuration."""
    with path.open("rb") as file:
        content = file.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise ConfigError(f"{path} is larger than 1 MB, so it is no configuration; pass the JSON file of an experiment")
    text = content.decode("utf-8-sig")
    if not text.strip():
        raise ConfigError(
            f"{path} cannot be read as JSON: it is empty; docs/configuration.md describes what it must hold"
        )
    return text


def plain(value: object, faults: list[str], where: str = "", depth: int = 0) -> Any:  # noqa: ANN401
    """A copy of a JSON value. Values that JSON cannot hold are faults, also among arguments of the user's own callables.

    Args:
        value: The value; mappings and tuples count as objects and lists.
        faults: The list that faults are appended to.
        where: Path of the value in the document.
        depth: Number of lists and objects around the value.

    Raises:
        ConfigError: The value is nested too deeply, or contains itself.
    """
    if depth > _DEEPEST:
        raise ConfigError(f"{where[:60]}... is in more than {_DEEPEST} lists and objects; flatten it")
    if isinstance(value, Mapping):
        faults += [
            f"{where or 'the document'} has the key {key!r}; keys must be text"
            for key in value
            if not isinstance(key, str) or not _is_text(key)
        ]
        path = f"{where}." if where else ""
        return {key: plain(item, faults, f"{path}{key}", depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item, faults, f"{where}[{number}]", depth + 1) for number, item in enumerate(value)]
    fault = _fault_of(value)
    faults += [f"{where} {fault}"] if fault else []
    return value


def _is_text(value: str) -> bool:
    """Whether a text is one of Unicode characters: JSON may write half of a pair."""
    return value == value.encode(errors="ignore").decode()


def text_in(section: object, key: str) -> str:
    """The text under a key of a section, which may be any value; "" if it has no text there."""
    value = section.get(key) if isinstance(section, Mapping) else None
    return value if isinstance(value, str) else ""


def _fault_of(value: object) -> str | None:
    """The fault of a value other than a list or object; None if a configuration may hold it."""
    if isinstance(value, float) and not math.isfinite(value):
        return f"must be finite, got {value}"
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return "must be a number of at most 64 bits, got one beyond -2**63 to 2**63 - 1"
    if value is None or isinstance(value, (int, float, str)):
        return None
    return f"must be text, a number, true, false, null, a list or an object, got a value of type {type(value).__name__}"


def _whole(digits: str) -> int:
    """The number; of a very long one only the first digits, still beyond 64 bits, so that ``plain`` refuses it under its key."""
    return int(digits[:_DIGITS])


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for key, value in pairs:
        if key in members:
            raise InvalidInput(f"the key {key!r} occurs twice in one object")
        members[key] = value
    return members
