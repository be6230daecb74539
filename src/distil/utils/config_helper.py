"""Reading a configuration file, as the DISTIL document's scripts do."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from distil.errors import ConfigError

__all__ = ["ConfigFileError", "ConfigFileNotFound", "read_config_file"]


class ConfigFileError(ConfigError, OSError):
    """A file that cannot be read as a configuration."""


class ConfigFileNotFound(ConfigFileError, FileNotFoundError):
    """A configuration file that is not there."""


def read_config_file(filename: str | os.PathLike[str]) -> dict[str, Any]:
    """The object that a JSON file holds, as it stands: nothing is checked, filled in or printed.

    ``distil.experiment.config.experiment_config.read_config`` reads the same file and checks it.

    Args:
        filename: A file whose name ends in ``.json``.

    Returns:
        The configuration.

    Raises:
        ConfigFileError: (an OSError) The name ends otherwise, or the file cannot be read or does not hold a JSON object.
        ConfigFileNotFound: (a FileNotFoundError) There is no such file.
    """
    path = Path(filename)
    if path.suffix != ".json":
        raise ConfigFileError(f"expected a configuration file whose name ends in .json, got {str(path)!r}")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigFileNotFound(f"there is no configuration file {str(path)!r}") from None
    except (ValueError, OSError, RecursionError) as error:  # RecursionError: nesting without end
        raise ConfigFileError(f"{str(path)!r} cannot be read as JSON: {error}") from error
    if not isinstance(document, dict):
        raise ConfigFileError(f"{str(path)!r} must hold a JSON object, got a {type(document).__name__}")
    return document
