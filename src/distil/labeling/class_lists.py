"""Lists of classes with their keys, as ``distil project classes --json`` prints them, so that another project gets the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard

from distil.errors import InvalidInput
from distil.labeling.events import Event
from distil.labeling.project import Project
from distil.labeling.rows import Imported


def is_class_list(document: object) -> TypeGuard[Mapping[str, Any]]:
    """Whether a document of JSON is a list of classes."""
    entries = document.get("classes") if isinstance(document, Mapping) else None
    return isinstance(entries, list) and all(isinstance(entry, Mapping) for entry in entries)


def import_classes(project: Project, document: Mapping[str, Any], origin: str, who: str) -> Imported:
    """Add the classes that a project does not have, and keys where neither the class has one nor another class has the key.

    Args:
        project: The project.
        document: An object with ``classes``, a list of objects with ``name`` and, for some, ``key``.
        origin: The file, for messages.
        who: The name under which it is recorded.

    Raises:
        InvalidInput: An entry has no name, or a name or key that no class can have; nothing is recorded then.
    """
    keys = dict(_entry(entry, f"{origin}: entry {place}") for place, entry in enumerate(document["classes"]))
    known, present = project.known_classes, project.class_keys
    new = [name for name in keys if name not in known]
    events = [Event(kind="class_add", who=who, label=name) for name in new]
    owners = {key: name for name, key in present.items()}
    conflicts = []
    for name, key in keys.items():
        own = known.get(name, name)
        if key is None or present.get(own) == key:
            continue
        if own in present or key in owners:
            conflicts.append((name, present.get(own) or f"no key: {key} is that of {owners[key]}", key))
        else:
            events.append(Event(kind="class_key", who=who, label=name, name=key))
            owners[key] = present[own] = key
    project.record_all(events)
    return Imported(0, len(keys) - len(new), tuple(conflicts), classes=tuple(new))


def _entry(entry: Mapping[str, Any], what: str) -> tuple[str, str | None]:
    """The name and the key of a class."""
    name, key = entry.get("name"), entry.get("key")
    if not isinstance(name, str) or not isinstance(key, str | None):
        raise InvalidInput(
            f"{what} of classes needs the texts name and, if it has one, key; expected what `distil project classes --json` prints"
        )
    return name, key
