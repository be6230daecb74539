"""Finding image files, reading them as 8-bit RGB, and turning them into tensors."""

from __future__ import annotations

import io
import math
import os
import re
import stat
import struct
import zlib
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, JpegImagePlugin, TiffImagePlugin, UnidentifiedImageError

from distil.errors import InvalidInput

if TYPE_CHECKING:
    from torch import Tensor

IMAGES: Final = frozenset({
    ".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff",
    ".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".jfif", ".jpe", ".jp2", ".avif",
})  # fmt: skip

_WHOLE_IN_16_BITS: Final = ("PNG", "PPM")
"""Formats whose whole numbers have at most 16 bits; some versions of Pillow return them as 32 bits."""

_ON_WHITE: Final = "laid transparent pixels of images on white"
_DARK: Final = (
    "gray values of some images do not reach a sixteenth of white, as those of a camera of 12 bits in files of 16; multiply all "
    "images by 16 for a model to see their differences"
)
_FAINT: Final = 4  # doublings that fit below white; with fewer, an image is dark and can be seen
_STRIP: Final = 1 << 20  # pixels that are scaled at a time
_BITS, _INK = 258, 262  # tags of TIFF: bits per sample, and whether 0 is white (0) or black (1)
_SHOWN: Final = 5  # endings in a sentence
_FOREIGN: Final = {
    "HEIC": rb".{4}ftyphe[iv]",
    "HEIF": rb".{4}ftyp(mif1|msf1)",
    "AVIF": rb".{4}ftypavi[fs]",
    "JPEG XL": rb"\xff\x0a|\0\0\0\x0cJXL ",
    "PDF": rb"%PDF",
    "SVG": rb"\s*(<\?xml.*)?<svg",
}
"""Formats of images that Pillow may not read, each with what its files begin with."""

_ADDRESS: Final = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_PACKED: Final = "__MACOSX"  # macOS puts a folder of this name, with files that are no images, into zip archives


@dataclass(frozen=True)
class ImageTransform:
    """Turn a ``PIL.Image`` into a tensor (3, size, size): resize the shorter side, crop the center, normalize the channels.

    The result equals that of torchvision's Resize (bicubic), CenterCrop, ToTensor and Normalize.

    Attributes:
        size: Side of the result in pixels.
        mean: Mean of each channel, in units of white; default: ImageNet's, as most published weights expect.
        std: Standard deviation of each channel, in units of white; default: ImageNet's.
        crop: Side of the center crop as a share of the resized image's shorter side.
    """

    size: int = 224
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    crop: float = 0.875

    def __call__(self, image: Image.Image) -> Tensor:
        """The image as a tensor, (3, size, size) float32."""
        import torch  # here, so that those who only read images do not load it

        shorter = math.floor(self.size / self.crop)
        wide, high = (shorter * side // min(image.size) for side in image.size)
        left, top = round((wide - self.size) / 2), round((high - self.size) / 2)
        image = image.resize((wide, high), Image.Resampling.BICUBIC)
        pixels = np.asarray(image.crop((left, top, left + self.size, top + self.size)), dtype=np.float32)
        return torch.from_numpy(
            (pixels / 255 - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)
        ).permute(2, 0, 1)


# Errors that Pillow raises for damaged images. Warning: the user's filters may turn warnings into errors. (No filter is set here:
# filters belong to the whole process, and images are decoded in threads.)
_FAULTS: Final = (
    OSError, UnidentifiedImageError, ValueError, SyntaxError, TypeError, LookupError, AttributeError, EOFError, OverflowError,
    ZeroDivisionError, MemoryError, NotImplementedError, struct.error, zlib.error, Image.DecompressionBombError, Warning,
)  # fmt: skip


Ground = Callable[[tuple[int, int]], Image.Image]
"""A function from a size to an opaque image in RGBA, on which transparent pixels are laid."""


def white(size: tuple[int, int]) -> Image.Image:
    """The ground of images that models read."""
    return Image.new("RGBA", size, "white")


def open_image(
    path: str | Path,
    name: str,
    said: set[str] | None = None,
    *,
    shrink: int | None = None,
    ground: Ground = white,
    lift: bool = False,
) -> Image.Image:
    """Read an image file as 8-bit RGB.

    Args:
        path: The file.
        name: The user's name of the image, with which messages begin.
        said: The set to which sentences on how it was read are added; see :func:`as_rgb`.
        shrink: See :func:`opened`; None: the image is read whole, and Pillow's limit on pixels holds.
        ground: What transparent pixels are laid on.
        lift: See :func:`as_rgb`.

    Raises:
        InvalidInput: The file cannot be read as an image.
    """
    content = io.BytesIO()
    try:
        content = io.BytesIO(_read(Path(path)))  # a damaged length then cannot ask for more than the file has
        with Image.open(content) if shrink is None else opened(content, shrink) as image:
            return as_rgb(image, said, ground, lift)
    except _FAULTS as error:
        if not os.path.lexists(path):
            raise InvalidInput(f"{name}: cannot be read: there is no file {path}") from error
        if os.path.islink(path) and not os.path.exists(path):
            raise InvalidInput(
                f"{name}: cannot be read: it links to {os.readlink(path)}, which does not exist"
            ) from error
        why = _unidentified(content.getvalue()) if isinstance(error, UnidentifiedImageError) else str(error)
        raise InvalidInput(f"{name}: cannot be read as an image: {why}") from error


def _unidentified(content: bytes) -> str:
    """What the content of a file is that Pillow does not know, and what to do about it."""
    begins = (name for name, begin in _FOREIGN.items() if re.match(begin, content[:1024], re.DOTALL))
    kind = next(begins, None)
    return "its content is not an image" if kind is None else f"its content is {kind}; convert images to .png or .jpg"


def is_address(name: object) -> bool:
    """Whether the name of a file is an address, such as https://example.org/1.jpg, which is not read."""
    return isinstance(name, str) and _ADDRESS.match(name.strip()) is not None


def opened(file: BinaryIO, shrink: int) -> Image.Image:
    """An image file of which the header was read; the pixels are decoded when they are needed.

    Args:
        file: The file.
        shrink: 1, 2, 4 or 8: a JPEG is decoded at this fraction of its width and height, which takes that much less memory, and
            Pillow's limit on pixels does not apply to it, so callers must have one. Other formats are decoded whole.
    """
    start = file.read(3)
    file.seek(0)
    if start != b"\xff\xd8\xff":
        return Image.open(file)
    image = JpegImagePlugin.JpegImageFile(file)  # Image.open would count all its pixels
    wide, high = image.size
    image.draft(None, (max(1, wide // shrink), max(1, high // shrink)))
    return image


def as_rgb(image: Image.Image, said: set[str] | None = None, ground: Ground = white, lift: bool = False) -> Image.Image:
    """An image in 8-bit RGB, rotated by its EXIF orientation.

    Gray values of more than 8 bits are scaled by the range of their type, and floats from 0 to 1 by that range: one rule for all
    images, so that equal values stay equal. Transparent pixels are laid on white. Of an animation, or a file with several pages,
    the first image is read.

    Args:
        image: The image.
        said: The set to which a sentence is added for each of these that applied.
        ground: What transparent pixels are laid on, in place of white.
        lift: Whether gray values of more than 8 bits are multiplied by the largest power of two that keeps them within white, where
            that is 16 or more: people would see them as black. An example is a camera of 12 bits that writes files of 16.

    Raises:
        ValueError: The values have another range, so that white is not known.
    """
    said = set() if said is None else said
    if getattr(image, "is_animated", False):  # formats of single images do not have the attribute
        said.add("read the first image of files with several (animations, pages)")
    if image.mode.startswith("I") or image.mode == "F":
        return _scaled(image, said, ground, lift)
    ImageOps.exif_transpose(image, in_place=True)
    if not image.has_transparency_data:
        return image.convert("RGB")
    clear = image.info.get("transparency")
    if isinstance(clear, tuple) and max(clear) > 255:  # a PNG of 16 bits, whose colors Pillow cuts to 8
        image.info["transparency"] = tuple(value >> 8 for value in clear)
    drawn = image.convert("RGBA")
    if np.asarray(drawn.getchannel("A")).min() < 255:
        said.add(_ON_WHITE)
    laid = ground(drawn.size)
    laid.alpha_composite(drawn)
    return laid.convert("RGB")


def _scaled(image: Image.Image, said: set[str], ground: Ground, lift: bool) -> Image.Image:
    """An image of gray values of more than 8 bits as 8-bit RGB."""
    tags = image.tag_v2 if isinstance(image, TiffImagePlugin.TiffImageFile) else {}
    bits = int(tags.get(_BITS, (16,))[0])
    whole = image.mode.startswith("I;16") or (image.mode == "I" and image.format in _WHOLE_IN_16_BITS)
    negative = tags.get(_INK) == 0  # Pillow inverts such values of 8 bits only
    transparent = image.info.get("transparency")  # of a gray PNG: the value of all transparent pixels
    ImageOps.exif_transpose(image, in_place=True)
    most = 2.0**bits - 1 if whole else _white_of_floats(image)
    said.add(f"scaled gray values of images from 0..{most:.0f} to 0..255")
    gray = ground(image.size).convert("L") if isinstance(transparent, int) else Image.new("L", image.size)
    times, lightest = _lift(image, most, negative) if lift else 1, 0.0
    for top, values in _strips(image):
        lightness = (most - values if negative else values) * (255 / most * times)
        lightest = max(lightest, float(lightness.max()))
        if isinstance(transparent, int) and bool((clear := values == transparent).any()):
            below = gray.crop((0, top, gray.width, top + len(values)))
            lightness[clear] = np.asarray(below)[clear]
            said.add(_ON_WHITE)
        gray.paste(Image.fromarray(np.round(lightness).astype(np.uint8)), (0, top))
    if most == 65535 and 0 < lightest * 2**_FAINT <= 255:
        said.add(_DARK)
    return gray.convert("RGB")


def _lift(image: Image.Image, most: float, negative: bool) -> int:
    """The power of two by which the values of a faint image are multiplied; 1 where one of them exceeds a sixteenth of white."""
    peak = max(float((most - values if negative else values).max()) for _, values in _strips(image))
    doublings = math.floor(math.log2(most / peak)) if peak > 0 else 0
    return 2**doublings if doublings >= _FAINT else 1


def _white_of_floats(image: Image.Image) -> float:
    """The value of white, 1, where all values are floats from 0 to 1; else ValueError."""
    if image.mode != "F":
        raise ValueError(
            "its values are signed or 32-bit whole numbers, so white is not known; save all images with 16 bits, scaled by one "
            "darkest and one lightest value: numpy.uint16(65535 * ((x - darkest) / (lightest - darkest)).clip(0, 1))"
        )
    if not all(bool(((values >= 0) & (values <= 1)).all()) for _, values in _strips(image)):
        raise ValueError(
            f"its values (mode {image.mode}) do not lie between 0 and 1, so white is not known; save it with 8 or 16 bits, or as "
            "floats from 0 to 1"
        )
    return 1.0


def _strips(image: Image.Image) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Pairs of a row number and the values from that row on, a few rows at a time; together (H, W)."""
    wide, high = image.size
    rows = max(1, _STRIP // wide)
    for top in range(0, high, rows):
        yield top, np.asarray(image.crop((0, top, wide, min(high, top + rows)))).astype(np.float64)


def images_below(folder: Path, others: Counter[str] | None = None) -> Iterator[tuple[str, os.stat_result]]:
    """Yield the path of every image below a folder, relative to it, with its ``stat``; without ``Path``, for speed.

    Every folder is read once: under its own path if that is below ``folder``, else under the path of the first link to it.

    Args:
        folder: The folder.
        others: The endings of all other files are counted in it.

    Raises:
        InvalidInput: A folder cannot be opened.
    """
    seen: set[tuple[int, int]] = set()
    others = Counter() if others is None else others
    left = deque([(os.fspath(folder), "")])
    while left:
        path, prefix = left.popleft()
        yield from _images_in(path, prefix, seen, left, others)


def endings(files: Mapping[str, int]) -> str:
    """How many files have which ending, the most frequent first: ``2 .heic, 1 .pdf``; empty for no files."""
    most = sorted(files.items(), key=lambda entry: (-entry[1], entry[0]))
    shown = [f"{count:,} {ending or 'without an ending'}" for ending, count in most[:_SHOWN]]
    return ", ".join(shown) + (", ..." if len(most) > _SHOWN else "")


def _images_in(
    folder: str,
    prefix: str,
    seen: set[tuple[int, int]],
    linked: deque[tuple[str, str]],
    others: Counter[str],
) -> Iterator[tuple[str, os.stat_result]]:
    """Yield the images in a folder and in its subfolders; add linked folders to ``linked``, other files to ``others``."""
    try:
        here = os.stat(folder)
        if (here.st_dev, here.st_ino) in seen:
            return
        seen.add((here.st_dev, here.st_ino))
        with os.scandir(folder) as scanned:
            entries = sorted(
                (entry for entry in scanned if not entry.name.startswith(".") and entry.name != _PACKED),
                key=lambda entry: entry.name,
            )
    except OSError as error:
        raise InvalidInput(f"the folder {folder} cannot be opened: {error.strerror}") from error
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _images_in(entry.path, f"{prefix}{entry.name}/", seen, linked, others)
        elif stat.S_ISDIR((found := _stat(entry)).st_mode):
            linked.append((entry.path, f"{prefix}{entry.name}/"))
        elif (ending := os.path.splitext(entry.name)[1].lower()) not in IMAGES:
            if stat.S_ISREG(found.st_mode):
                others[ending] += 1
        elif not stat.S_ISFIFO(found.st_mode):
            yield prefix + entry.name, found


def _stat(entry: os.DirEntry[str]) -> os.stat_result:
    """The ``stat`` of a file or folder; of the link itself if it leads nowhere, or only to itself."""
    try:
        return entry.stat()
    except OSError:
        return entry.stat(follow_symlinks=False)


def file_bytes(path: Path, name: str) -> bytes:
    """The bytes of a file; InvalidInput, beginning with ``name``, if it cannot be read."""
    try:
        return _read(path)
    except OSError as error:
        raise InvalidInput(f"{name}: cannot be read: {error}") from error


def _read(path: Path) -> bytes:
    """The bytes of a file; OSError for a device or a pipe, which may have no end."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise OSError(f"{path} is a device or a pipe, and no file")
    return path.read_bytes()
