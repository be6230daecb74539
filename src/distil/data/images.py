"""Image files."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from distil.errors import InvalidInput

IMAGES: Final = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})


@dataclass(frozen=True)
class ImageTransform:
    """A ``PIL.Image`` as a tensor (3, size, size): the shorter side resized, the middle cut out, channels normalized.

    The same numbers as torchvision's Resize (bicubic), CenterCrop, ToTensor and Normalize give.

    Attributes:
        size: Side in pixels.
        mean: Of each channel; default: ImageNet's, as most published weights expect.
        std: Of each channel.
        crop: The share of the resized image's shorter side that is cut out.
    """

    size: int = 224
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    crop: float = 0.875

    def __call__(self, image: Image.Image) -> Tensor:
        """(3, size, size) float32."""
        shorter = math.floor(self.size / self.crop)
        wide, high = (shorter * side // min(image.size) for side in image.size)
        left, top = round((wide - self.size) / 2), round((high - self.size) / 2)
        image = image.resize((wide, high), Image.Resampling.BICUBIC)
        pixels = np.asarray(image.crop((left, top, left + self.size, top + self.size)), dtype=np.float32)
        return torch.from_numpy(
            (pixels / 255 - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)
        ).permute(2, 0, 1)


def open_image(path: str | Path, name: str) -> Image.Image:
    """An image file in RGB.

    Raises:
        InvalidInput: It cannot be read; the message begins with its name.
    """
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InvalidInput(f"{name}: cannot be read as an image: {error}") from error


def images_below(folder: Path, prefix: str = "") -> Iterator[tuple[str, os.stat_result]]:
    """Paths below a folder with what the system knows of the files; of many thousands, so without ``Path``."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from images_below(Path(entry.path), f"{prefix}{entry.name}/")
            elif os.path.splitext(entry.name)[1].lower() in IMAGES:
                yield prefix + entry.name, entry.stat()


def file_bytes(path: Path, name: str) -> bytes:
    """The bytes of a file; InvalidInput, which begins with its name, where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{name}: cannot be read: {error}") from error
