"""The images of items as the page shows them: decoded here, never the files themselves, at the size of the viewport.

People see what models read, but for transparent pixels, which are not laid on white, and for images that would be black.
"""

from __future__ import annotations

import io
import os
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image

from distil.data.images import open_image, opened
from distil.errors import InvalidInput
from distil.labeling.items import Item

SIZES: Final = {"256": 256, "512": 512, "1024": 1024, "2048": 2048, "full": 1 << 14}
"""Size in an address -> the longest side in pixels."""
_KEPT: Final = 64 << 20  # bytes of previews in memory
_MOST_PIXELS: Final = 80_000_000  # that are decoded: some 240 MB
_MOST_OF_JPEG: Final = 400_000_000  # a JPEG is decoded at a fraction of its size; this many take some seconds
_FRACTIONS: Final = (8, 4, 2, 1)
_LARGEST: Final = 1 << 29  # bytes of an image file
_SMALL: Final = 256  # images up to this side are sent without loss: every pixel counts, and they are small anyway


@dataclass(frozen=True)
class _Header:
    """What the beginning of an image file says.

    Attributes:
        size: Width and height of the original, as it is shown.
        shrinks: Whether it can be decoded at a fraction of its size. A progressive JPEG cannot: all of it is kept meanwhile.
    """

    size: tuple[int, int]
    shrinks: bool


class Previews:
    """Makes previews and keeps the last ones. Threads may share it."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str, str], bytes] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()
        self._sizes: dict[tuple[str, str], tuple[int, int] | None] = {}

    def image(self, item: Item, size: str) -> tuple[bytes, str]:
        """The image of an item in JPEG or PNG, and its media type.

        Raises:
            InvalidInput: Its file is gone, damaged or too large.
        """
        place = (str(item.path), item.digest, size)
        with self._lock:
            content = self._kept.get(place)
            if content is not None:
                self._kept.move_to_end(place)
        if content is None:
            content = self._made(item, size)
            self._keep(place, content)
        return content, "image/png" if content.startswith(b"\x89PNG") else "image/jpeg"

    def size(self, item: Item) -> tuple[int, int] | None:
        """Width and height of the original, as it is shown; None if its file cannot be read."""
        place = (str(item.path), item.digest)
        if place not in self._sizes:
            header = _header(str(item.path))
            self._sizes[place] = None if header is None else header.size
        return self._sizes[place]

    def _made(self, item: Item, size: str) -> bytes:
        image = shown_at(item, SIZES[size])
        out = io.BytesIO()
        if max(image.size) <= _SMALL:
            image.save(out, "PNG")
        else:
            image.save(out, "JPEG", quality=90)
        return out.getvalue()

    def _keep(self, place: tuple[str, str, str], content: bytes) -> None:
        with self._lock:
            if place not in self._kept:
                self._kept[place] = content
                self._bytes += len(content)
            while self._bytes > _KEPT:
                self._bytes -= len(self._kept.popitem(last=False)[1])


def shown_at(item: Item, side: int) -> Image.Image:
    """The image of an item, with at most ``side`` pixels a side.

    Raises:
        InvalidInput: Its file is gone, damaged or too large.
    """
    path = str(item.path)
    _check_file(path)
    header = _header(path)
    shrink = None if header is None else _shrink(header, side)
    image = open_image(path, item.id, shrink=shrink, ground=_checkered, lift=True)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return image


def _check_file(path: str) -> None:
    """Refuse devices and pipes, which have no end, and files that no memory holds."""
    if os.path.exists(path) and not (os.path.isfile(path) and os.path.getsize(path) <= _LARGEST):
        raise InvalidInput(f"{path} is no ordinary file of at most {_LARGEST >> 20} MiB")


def _header(path: str) -> _Header | None:
    """The header of an image file; None if it cannot be read."""
    try:
        _check_file(path)
        with open(path, "rb") as file, opened(file, 1) as image:
            turned = image.getexif().get(0x0112, 1) >= 5
            shrinks = image.format == "JPEG" and not image.info.get("progressive")
            return _Header(image.size[::-1] if turned else image.size, shrinks)
    except Exception:  # noqa: BLE001 - Pillow raises errors of every kind for damaged files
        return None


def _shrink(header: _Header, side: int) -> int:
    """The fraction at which an image is decoded: no smaller than it is shown, unless that is more than memory should hold.

    Raises:
        InvalidInput: The image is too large.
    """
    wide, high = header.size
    pixels = wide * high
    if pixels > (_MOST_OF_JPEG if header.shrinks else _MOST_PIXELS):
        raise InvalidInput(
            f"the image has {wide} x {high} pixels, too many to show: expected at most {_MOST_PIXELS // 10**6} million, or "
            f"{_MOST_OF_JPEG // 10**6} million in a JPEG that is not progressive; add a smaller copy"
        )
    sharp = next((each for each in _FRACTIONS if max(wide, high) >= each * side), 1)
    fits = next(each for each in reversed(_FRACTIONS) if pixels <= _MOST_PIXELS * each**2)
    return max(sharp, fits)


def _checkered(size: tuple[int, int]) -> Image.Image:
    """The ground of transparent pixels: squares of two grays, on which both white and black drawings are seen, day and night."""
    side = max(4, max(size) // 24)
    across, down = ((np.arange(length) // side % 2).astype(np.uint8) for length in size)
    return Image.fromarray((across ^ down[:, None]) * np.uint8(56) + np.uint8(104)).convert("RGBA")
