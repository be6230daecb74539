"""The reader of configuration files that the scripts of the DISTIL document use."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from distil.errors import ConfigError

__all__ = ["ConfigFileError", "ConfigFileNotFound", "read_config_file"]


class ConfigFileError(ConfigError, OSError):
    """A configuration file cannot be read."""


class ConfigFileNotFound(ConfigFileError, FileNotFoundError):
    """A configuration file does not exist."""


def read_config_file(filename: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the JSON object in a file, without checking its keys or filling in defaults.

    ``distil.experiment.config.experiment_config.read_config`` also checks the configuration.

    Args:
        filename: Path of a file whose name ends in ``.json``.

    Returns:
        The JSON object as a dictionary.

    Raises:
        ConfigFileError: (an OSError) The name does not end in ``.json``, or the file is unreadable or is not a JSON object.
        ConfigFileNotFound: (a FileNotFoundError) The file does not exist.
    """
    path = Path(filename)
    if path.suffix != ".json":
        raise ConfigFileError(f"expected a configuration file whose name ends in .json, got {str(path)!r}")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigFileNotFound(f"there is no configuration file {str(path)!r}") from None
    except (ValueError, OSError, RecursionError) as error:  # RecursionError: too deeply nested
        raise ConfigFileError(f"{str(path)!r} cannot be read as JSON: {error}") from error
    if not isinstance(document, dict):
        raise ConfigFileError(f"{str(path)!r} must hold a JSON object, got a {type(document).__name__}")
    return document
