"""The files of a directory that commands write anew: one that somebody edited meanwhile is kept under another name.

``outputs.json`` holds the SHA-256 of each of these files as distil left it. The hash is there before the file is, next to that of
the file before, so a process that is killed between the two leaves a file that is known either way.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from distil.experiment.chain import parsed
from distil.system.files import digest, naming, replacing, set_aside, warn_of_aside, write_text

OUTPUTS = "outputs.json"


def write_anew(path: Path, content: bytes | str) -> bool:
    """Write a file in place of the one that this function wrote before; any other file is set aside, with a warning.

    A link keeps its place, and the file that it names is written. Callers hold the lock of the directory.

    Args:
        path: The file.
        content: Its bytes, or its text; names of files in a text keep bytes that are not UTF-8.

    Returns:
        Whether the file was written; False if it holds these bytes already.

    Raises:
        OSError: Its file name is ``path``, also where that is a link.
    """
    content = content.encode(errors="surrogateescape") if isinstance(content, str) else content
    target = Path(os.path.realpath(path))
    with naming(path, target):
        there, new = digest(target), hashlib.sha256(content).hexdigest()
        record = path.with_name(OUTPUTS)
        known = _known(record)
        ours = [there] if there in known.get(path.name, []) else []
        aside = set_aside(target) if there not in ("", new, *ours) else None
        hashes = list(dict.fromkeys([*ours, new]))
        if known.get(path.name) != hashes:
            write_text(record, json.dumps({**known, path.name: hashes}, indent=2, sort_keys=True) + "\n")
        if there != new:
            with replacing(target) as temporary:
                temporary.write_bytes(content)
    if aside is not None:
        warn_of_aside(path, aside, "was written anew")
    return there != new


def _known(record: Path) -> dict[str, list[str]]:
    """The hashes of each file; files whose entries are missing or damaged are not known, and so are never replaced."""
    entries = (parsed(record.read_bytes()) if record.exists() else None) or {}
    return {name: hashes for name, hashes in entries.items() if isinstance(hashes, list)}
