"""The images of a project where Label Studio can show them: uploaded, inside the tasks, or files that it reads itself."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, get_args
from urllib.parse import quote

from distil.data.images import file_bytes, open_image
from distil.errors import InvalidInput, nearest
from distil.labeling.items import Item
from distil.labeling.label_studio.remote import Remote

Images = Literal["upload", "data-uri", "local-files"]
IMAGES: Final[tuple[Images, ...]] = get_args(Images)

_TYPES: Final = {
    ".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".gif": "gif", ".bmp": "bmp", ".webp": "webp",
}  # fmt: skip
"""Endings of files that Label Studio takes and every browser shows; other images are sent as PNG."""

_FILES: Final = 50  # of one request; Django takes 100
_BYTES: Final = 32 << 20  # of one request, about
_MOST_INSIDE: Final = 500_000  # bytes of an image inside a task, which every look at Label Studio reads again


def as_images(name: str) -> Images:
    """The way of this name; InvalidInput if there is none."""
    found = next((each for each in IMAGES if each == name), None)
    if found is None:
        raise InvalidInput(f"images must be one of {', '.join(IMAGES)}, got {name!r}{nearest(str(name), IMAGES)}")
    return found


def addresses(remote: Remote, items: Sequence[Item], how: Images, root: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Where Label Studio finds the images of items.

    Args:
        remote: The project in Label Studio.
        items: Items with an image each.
        how: ``upload``: sent to Label Studio, which keeps copies; ``data-uri``: inside the tasks; ``local-files``: read by Label
            Studio, on the same machine.
        root: The folder of files that Label Studio may read, its LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT; for ``local-files``.

    Returns:
        Id of an item -> address of its image; and id -> the reason, for images that cannot be sent.

    Raises:
        InvalidInput: An image is not below the root.
        RunError: Label Studio took fewer files than were sent, or serves no local files.
    """
    if how == "local-files":
        return _local(remote, items, root), {}
    found: dict[str, str] = {}
    faults: dict[str, str] = {}
    for some in _requests(items, faults):
        found |= _uploaded(remote, some) if how == "upload" else _inside(some, faults)
    return found, faults


def _requests(items: Sequence[Item], faults: dict[str, str]) -> Iterator[dict[str, tuple[str, bytes]]]:
    """Id -> ending and content, as many as fit into one request; images that cannot be read are added to the faults."""
    block: dict[str, tuple[str, bytes]] = {}
    size = 0
    for item in items:
        try:
            block[item.id] = _content(item)
        except InvalidInput as error:
            faults[item.id] = str(error)
            continue
        size += len(block[item.id][1])
        if len(block) == _FILES or size > _BYTES:
            yield block
            block, size = {}, 0
    if block:
        yield block


def _content(item: Item) -> tuple[str, bytes]:
    """The ending and the bytes of an image, in a format that browsers show."""
    path = Path(str(item.path))
    if path.suffix.lower() in _TYPES:
        return path.suffix.lower(), file_bytes(path, item.id)
    output = io.BytesIO()
    open_image(path, item.id).save(output, "PNG")
    return ".png", output.getvalue()


def _uploaded(remote: Remote, images: Mapping[str, tuple[str, bytes]]) -> dict[str, str]:
    # each name is a field of the form, and Label Studio keeps only one of several files with equal names
    files = {f"{number:04d}{ending}": content for number, (ending, content) in enumerate(images.values())}
    return dict(zip(images, remote.upload(files), strict=True))


def _inside(images: Mapping[str, tuple[str, bytes]], faults: dict[str, str]) -> dict[str, str]:
    found = {}
    for name, (ending, content) in images.items():
        if len(content) > _MOST_INSIDE:
            faults[name] = f"{name}: an image of {len(content):,} bytes is too large for a task; use images=upload"
        else:
            found[name] = f"data:image/{_TYPES[ending]};base64,{base64.b64encode(content).decode()}"
    return found


def _local(remote: Remote, items: Sequence[Item], root: Path) -> dict[str, str]:
    found, folders = {}, set()
    for item in items:
        path, source = Path(str(item.path)), Path(item.source)
        try:
            below = path.relative_to(root).as_posix()
        except ValueError:
            raise InvalidInput(
                f"{path} is not below {root}, from which Label Studio reads files; give its "
                "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT as document_root"
            ) from None
        found[item.id] = f"/data/local-files/?d={quote(below)}"
        folder = source if source.is_dir() else source.parent
        folders.add(folder if folder in path.parents else path.parent)
    remote.serve(sorted(map(os.fspath, folders)))
    return found
