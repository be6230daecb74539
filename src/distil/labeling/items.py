"""The items of a project."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

NO_ITEMS: Final = "the project has no items yet; add some with `distil project add`"
"""What is said where something is to be done with the items of a project that has none."""


@dataclass(frozen=True)
class Item:
    """An item of a project.

    Attributes:
        id: The user's id.
        source: The path of its source.
        kind: ``images``, ``texts`` or ``rows``.
        place: Its row in the source.
        path: The image file; None for other items.
        text: The text; None for other items.
        gone: Whether the source no longer had it when it was last added.
        digest: A hash of its content when it was last added, in hexadecimal.
    """

    id: str
    source: str
    kind: str
    place: int
    path: str | None
    text: str | None
    gone: bool
    digest: str
