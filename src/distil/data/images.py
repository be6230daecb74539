"""Image files."""

from __future__ import annotations

import io
import math
import os
import struct
import zlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from distil.errors import InvalidInput

IMAGES: Final = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})

_WHOLE_IN_16_BITS: Final = ("PNG", "PPM")
"""Formats whose whole numbers have 16 bits at most, which some versions of Pillow give as 32."""

_STRIP: Final = 1 << 20  # numbers that are scaled at a time


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


# What damaged images make Pillow raise; a warning is raised where the user's filters say so. (Filters are not set here: they are
# the whole process's, and images are decoded in threads.)
_FAULTS: Final = (
    OSError, UnidentifiedImageError, ValueError, SyntaxError, TypeError, LookupError, AttributeError, EOFError, OverflowError,
    ZeroDivisionError, MemoryError, NotImplementedError, struct.error, zlib.error, Image.DecompressionBombError, Warning,
)  # fmt: skip


def open_image(path: str | Path, name: str) -> Image.Image:
    """An image file in RGB.

    Raises:
        InvalidInput: It cannot be read; the message begins with its name.
    """
    try:
        content = io.BytesIO(Path(path).read_bytes())  # a damaged length then asks for no more than there is
        with Image.open(content) as image:
            return as_rgb(image)
    except _FAULTS as error:
        if os.path.islink(path) and not os.path.exists(path):
            raise InvalidInput(
                f"{name}: cannot be read: it links to {os.readlink(path)}, which is not there"
            ) from error
        why = "its content is none" if isinstance(error, UnidentifiedImageError) else str(error)
        raise InvalidInput(f"{name}: cannot be read as an image: {why}") from error


def as_rgb(image: Image.Image) -> Image.Image:
    """An image turned as its EXIF data say, in RGB of 8 bits; 16 bits and numbers from 0 to 1 keep their meaning.

    Raises:
        ValueError: Numbers of another range, which do not say what is white.
    """
    kind = image.format
    ImageOps.exif_transpose(image, in_place=True)
    if not image.mode.startswith("I") and image.mode != "F":
        return image.convert("RGB")
    white = 65535.0 if image.mode.startswith("I;16") or kind in _WHOLE_IN_16_BITS else _white_of_floats(image)
    made = Image.new("L", image.size)
    for top, values in _strips(image):
        made.paste(Image.fromarray(np.round(values * (255 / white)).astype(np.uint8)), (0, top))
    return made.convert("RGB")


def _white_of_floats(image: Image.Image) -> float:
    """1 for numbers from 0 to 1; ValueError for others."""
    if image.mode != "F" or not all(bool(((values >= 0) & (values <= 1)).all()) for _, values in _strips(image)):
        raise ValueError(
            f"its numbers ({image.mode}) do not run from 0 to 1, so what is white is not known; save it with 8 or 16 bits, or as "
            "floats from 0 to 1"
        )
    return 1.0


def _strips(image: Image.Image) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """The numbers of an image, (H, W), a few rows at a time, each part with its first row."""
    wide, high = image.size
    rows = max(1, _STRIP // wide)
    for top in range(0, high, rows):
        yield top, np.asarray(image.crop((0, top, wide, min(high, top + rows)))).astype(np.float64)


def images_below(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Paths below a folder with what the system knows of the files; of many thousands, so without ``Path``.

    Every folder is gone through once: under its own path where that is below ``folder``, else under that of the first link to it.

    Raises:
        InvalidInput: A folder that cannot be opened.
    """
    seen: set[tuple[int, int]] = set()
    left = deque([(os.fspath(folder), "")])
    while left:
        path, prefix = left.popleft()
        yield from _images_in(path, prefix, seen, left)


def _images_in(
    folder: str, prefix: str, seen: set[tuple[int, int]], linked: deque[tuple[str, str]]
) -> Iterator[tuple[str, os.stat_result]]:
    """The images in a folder and in those below it; linked folders are left for later."""
    try:
        stat = os.stat(folder)
        if (stat.st_dev, stat.st_ino) in seen:
            return
        seen.add((stat.st_dev, stat.st_ino))
        with os.scandir(folder) as scanned:
            entries = sorted(
                (entry for entry in scanned if not entry.name.startswith(".")), key=lambda entry: entry.name
            )
    except OSError as error:
        raise InvalidInput(f"the folder {folder} cannot be opened: {error.strerror}") from error
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _images_in(entry.path, f"{prefix}{entry.name}/", seen, linked)
        elif entry.is_dir():
            linked.append((entry.path, f"{prefix}{entry.name}/"))
        elif os.path.splitext(entry.name)[1].lower() in IMAGES:
            yield prefix + entry.name, _stat(entry)


def _stat(entry: os.DirEntry[str]) -> os.stat_result:
    """What the system knows of a file; of the link itself where it leads nowhere."""
    try:
        return entry.stat()
    except OSError:
        return entry.stat(follow_symlinks=False)


def file_bytes(path: Path, name: str) -> bytes:
    """The bytes of a file; InvalidInput, which begins with its name, where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{name}: cannot be read: {error}") from error
