"""Files that a user named: a file that is there is not replaced, unless the user says so."""

from __future__ import annotations

from pathlib import Path

from distil.errors import InvalidInput
from distil.system.files import replacing


def publish(path: Path, content: bytes, *, force: bool = False) -> None:
    """Write a file, completely or not at all.

    Args:
        path: The file.
        content: Its bytes.
        force: Whether to replace a file with other content.

    Raises:
        InvalidInput: There is a file with other content, and no ``force``.
    """
    if path.exists() and not force:
        if path.is_file() and path.read_bytes() == content:
            return
        raise InvalidInput(
            f"{path} exists already, with other content, and was left as it is; choose another name, or replace it with force=True "
            "(--force)"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_bytes(content)
