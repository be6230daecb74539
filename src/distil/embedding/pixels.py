"""The pixels of small copies of images, as an encoder where there is no pretrained model."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE: Final = 32
"""Width and height of the copies, whatever the shape of the image."""


def small_copy(image: Image.Image) -> NDArray[np.float32]:
    """The values of an RGB image at 32 x 32 pixels, from 0 to 1, (3072,) float32."""
    # the JPEG decoder may skip most of a big image if it is asked for less; `reduce` does the same for the others
    small = image.resize((SIDE, SIDE), Image.Resampling.BILINEAR, reducing_gap=3.0)
    return np.asarray(small, dtype=np.float32).reshape(-1) / np.float32(255)
