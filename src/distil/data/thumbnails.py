"""Small pictures of the images of a pool, for pages that load nothing else."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable

from distil.data.items import Items
from distil.errors import InvalidInput

_SIDE = 72


def thumbnails(items: Items) -> Callable[[str], str]:
    """Id -> a small picture as a data URL; "" if the pool does not hold images or does not have the id, or one cannot be read."""
    index = {items.name(row): row for row in range(len(items))} if items.kind == "images" else {}

    def picture(id_: str) -> str:
        if id_ not in index:
            return ""
        try:
            image = items.read(index[id_])
        except (InvalidInput, OSError):
            return ""
        image.thumbnail((_SIDE, _SIDE))
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=80)
        return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"

    return picture
