"""The items of a source: images below a folder, rows of a table of texts or image paths, rows of arrays."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from distil.errors import InvalidInput

if TYPE_CHECKING:
    from distil.data.items import Items


@dataclass(frozen=True)
class Found:
    """One item of a source.

    Attributes:
        id: The user's id.
        place: Its row in the source.
        path: The image file; None for other items.
        text: The text; None for other items.
        digest: A hash of its content.
    """

    id: str
    place: int
    path: str | None
    text: str | None
    digest: bytes


@dataclass(frozen=True)
class Source:
    """A source of items.

    Attributes:
        path: Where it is, absolute.
        kind: ``images``, ``texts`` or ``rows``.
        column: The column of the items that the user named.
        ids: The column or file of ids that the user named.
        note: Which columns were read, where their content decided it; else empty.
        numbered: Whether the ids are the numbers of the rows.
        items: The items that can be read.
        unreadable: Id -> why, of each image that cannot be read; complete when ``items`` was iterated over.
    """

    path: Path
    kind: str
    column: str | None
    ids: str | None
    note: str
    numbered: bool
    items: Iterator[Found]
    unreadable: Mapping[str, str]


def read_source(path: str | Path, column: str | None = None, ids: str | None = None) -> Source:
    """Open a source; its items are read while they are iterated over.

    Args:
        path: A folder of images, a table of texts or image paths, or an array, as :func:`distil.open_pool` takes them.
        column: The column of the items.
        ids: The column or file of ids.

    Raises:
        DataNotFound: There is nothing at the path.
        InvalidInput: It is no source of items.
    """
    from distil.data.items import items_of
    from distil.data.pools import open_pool

    where = Path(path).expanduser().absolute()
    items = items_of(open_pool(where, column=column, ids=ids))
    if items.kind not in ("images", "texts", "rows"):
        raise InvalidInput(f"{path}: expected images, texts or an array; write other items to one of these forms first")
    unreadable: dict[str, str] = {}
    found = _found(where, items, unreadable)
    return Source(where, items.kind, column, ids, items.note, items.names is None, found, unreadable)


def _found(where: Path, items: Items, unreadable: dict[str, str]) -> Iterator[Found]:
    folder = where if where.is_dir() else where.parent
    for place in range(len(items)):
        name = items.name(place)
        shown = name if items.shown is None else items.shown(place)
        path = str(folder / shown) if items.kind == "images" else None
        text = shown if items.kind == "texts" else None
        try:
            content = b"" if items.content is None else items.content(place)
        except InvalidInput as error:  # a link to a file that is gone, or a file that this account may not read
            unreadable[name] = str(error)
            continue
        yield Found(name, place, path, text, hashlib.blake2b(content, digest_size=16).digest())
