"""The images of items as the page shows them: decoded here, never the files themselves, at the size of the viewport."""

from __future__ import annotations

import io
import os
import threading
from collections import OrderedDict
from typing import Final

from PIL import Image

from distil.data.images import open_image
from distil.errors import InvalidInput
from distil.labeling.items import Item

SIZES: Final = {"256": 256, "512": 512, "1024": 1024, "2048": 2048, "full": 1 << 14}
"""Size in an address -> the longest side in pixels."""
_KEPT: Final = 64 << 20  # bytes of previews in memory
_MOST_PIXELS: Final = 80_000_000  # some 240 MB while it is decoded
_LARGEST: Final = 1 << 29  # bytes of an image file
_SMALL: Final = 256  # images up to this side are sent without loss: every pixel counts, and they are small anyway


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
            try:
                _check_file(str(item.path))
                with Image.open(str(item.path)) as image:
                    turned = image.getexif().get(0x0112, 1) >= 5
                    self._sizes[place] = image.size[::-1] if turned else image.size
            except Exception:  # noqa: BLE001 - Pillow raises errors of every kind for damaged files
                self._sizes[place] = None
        return self._sizes[place]

    def _made(self, item: Item, size: str) -> bytes:
        _check_file(str(item.path))
        pixels = self.size(item)
        if pixels is not None and pixels[0] * pixels[1] > _MOST_PIXELS:
            raise InvalidInput(f"the image has {pixels[0]} x {pixels[1]} pixels, too many to show")
        image = open_image(str(item.path), item.id)
        image.thumbnail((SIZES[size], SIZES[size]), Image.Resampling.LANCZOS)
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


def _check_file(path: str) -> None:
    """Refuse devices and pipes, which have no end, and files that no memory holds."""
    if os.path.exists(path) and not (os.path.isfile(path) and os.path.getsize(path) <= _LARGEST):
        raise InvalidInput(f"{path} is no ordinary file of at most {_LARGEST >> 20} MiB")
