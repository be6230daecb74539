"""Readers of the published image formats: idx (MNIST), pickled batches (CIFAR), MATLAB (SVHN), plain bytes (STL-10).

The files are not trusted: sizes are checked before memory is allocated, a pickle gets stand-ins for the few names
that an array needs and no other name, and an archive is read without unpacking it to disk.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import re
import struct
import tarfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Final, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from distil.data.file_readers import reading
from distil.datasets.matlab import read_matlab
from distil.errors import InvalidInput

IDX_BYTES: Final = 0x08  # the type code of unsigned bytes in an idx file's magic number
CIFAR_SHAPE: Final = (3, 32, 32)
STL10_SHAPE: Final = (3, 96, 96)  # each channel is stored column by column
LARGEST_MEMBER: Final = 256 * 2**20  # bytes; the largest published file in an archive has 221 MB (STL-10's test set)

LabeledImages: TypeAlias = tuple[NDArray[np.uint8], NDArray[np.int64]]  # (n, channels, H, W) and (n,)


def read_idx(path: Path, dims: int) -> NDArray[np.uint8]:
    """Read an idx file of unsigned bytes.

    Args:
        path: The file, plain or ``.gz``.
        dims: The expected number of axes: 1 for labels, 3 for images.

    Returns:
        An array with ``dims`` axes.

    Raises:
        InvalidInput: The magic number is wrong, or the number of bytes does not match the header.
    """
    with reading(path) as file:
        raw = file.read()
    start = 4 + 4 * dims
    if len(raw) < start or raw[:4] != bytes((0, 0, IDX_BYTES, dims)):
        raise InvalidInput(
            f"{path}: expected an idx file of unsigned bytes with {dims} dimension(s), magic number "
            f"0000{IDX_BYTES:02x}{dims:02x}; its {len(raw)} bytes begin with {raw[:4].hex() or 'nothing'}"
        )
    shape = struct.unpack(f">{dims}I", raw[4:start])
    if len(raw) - start != math.prod(shape):
        raise InvalidInput(
            f"{path}: the header gives the shape {shape}, {math.prod(shape)} bytes, but {len(raw) - start} follow; "
            "the file is truncated or damaged, fetch it again"
        )
    return np.frombuffer(raw, np.uint8, offset=start).reshape(shape).copy()


def read_cifar_batch(raw: bytes, origin: str, key: str = "labels") -> LabeledImages:
    """Read one pickled batch of CIFAR-10 or CIFAR-100.

    Args:
        raw: The bytes of the pickle.
        origin: The file they come from, for messages.
        key: The key of the labels: ``"labels"``, or CIFAR-100's ``"fine_labels"``.

    Returns:
        Images (n, 3, 32, 32) and labels (n,).

    Raises:
        InvalidInput: The pickle holds anything other than arrays, dict, list, str, bytes and numbers, is damaged,
            or is not a batch.
    """
    content = _unpickled(raw, origin)
    if not isinstance(content, dict):
        raise InvalidInput(f"{origin}: expected a pickled dict with 'data' and {key!r}; got {type(content).__name__}")
    batch = {key.decode("latin1") if isinstance(key, bytes) else key: value for key, value in content.items()}
    stored, labels = batch.get("data"), batch.get(key)
    if not isinstance(stored, _StoredArray) or not isinstance(labels, list):
        raise InvalidInput(f"{origin}: expected 'data', an array, and {key!r}, a list; got {sorted(map(str, batch))}")
    if not all(type(label) is int and abs(label) < 2**31 for label in labels):
        raise InvalidInput(f"{origin}: {key!r} must be integers")
    images = stored.array(origin)
    width = math.prod(CIFAR_SHAPE)
    if images.dtype != np.uint8 or images.shape != (len(labels), width):
        raise InvalidInput(
            f"{origin}: 'data' must be uint8 of shape ({len(labels)}, {width}), a row for each label; "
            f"got {images.dtype} {images.shape}"
        )
    return images.reshape(-1, *CIFAR_SHAPE), np.array(labels, np.int64)


def read_archive(path: Path, folder: str, names: Sequence[str]) -> dict[str, bytes]:
    """Name -> content of the files ``names`` in ``folder`` of a published ``.tar.gz``.

    Reading stops at the last of these files: in STL-10's archive, 2 GB without labels follow.

    Raises:
        InvalidInput: The archive is damaged or lacks one of the files.
    """
    wanted = {PurePosixPath(folder, name): name for name in names}
    found: dict[str, bytes] = {}
    try:
        with reading(path) as file, tarfile.open(fileobj=file, mode="r|") as archive:
            for member in archive:
                name = wanted.get(PurePosixPath(member.name))
                if name is not None and member.isreg() and member.size <= LARGEST_MEMBER:
                    found[name] = cast(BinaryIO, archive.extractfile(member)).read()
                    if len(found) == len(wanted):
                        break
    except tarfile.TarError as error:
        raise InvalidInput(f"{path} is not a valid tar archive: {error}; fetch it again") from error
    if len(found) < len(wanted):
        missing = ", ".join(f"{folder}/{name}" for name in names if name not in found)
        raise InvalidInput(f"{path}: the archive lacks {missing}; fetch it again")
    return found


def read_svhn(path: Path) -> LabeledImages:
    """Read a MATLAB file of cropped house numbers: ``X`` (32, 32, 3, n) and ``y`` (n, 1), with 10 for the digit 0.

    Returns:
        Images (n, 3, 32, 32) and labels (n,) in 0..9.

    Raises:
        InvalidInput: The file is damaged or lacks these variables.
    """
    with reading(path) as file:
        content = read_matlab(file.read(), ("X", "y"), str(path), LARGEST_MEMBER)
    images, labels = content.get("X"), content.get("y")
    if images is None or images.dtype != np.uint8 or images.ndim != 4 or images.shape[2] != 3:
        raise InvalidInput(f"{path}: 'X' must be uint8 of shape (H, W, 3, n); got {_shown(images)}")
    n = images.shape[3]
    if labels is None or labels.shape not in ((n, 1), (1, n)):
        raise InvalidInput(f"{path}: 'y' must hold numbers in the shape ({n}, 1); got {_shown(labels)}")
    classes = labels.reshape(-1)
    if not np.isin(classes, np.arange(1, 11)).all():
        raise InvalidInput(f"{path}: labels must be 1..10, 10 for the digit 0; got {np.unique(classes)[:12]}")
    return np.ascontiguousarray(images.transpose(3, 2, 0, 1)), classes.astype(np.int64) % 10


def _shown(array: NDArray[Any] | None) -> str:
    return "no such variable" if array is None else f"{array.dtype} {array.shape}"


def read_stl10_images(raw: bytes, origin: str) -> NDArray[np.uint8]:
    """Images (n, 3, 96, 96) from the bytes of a ``_X.bin`` file of STL-10.

    Raises:
        InvalidInput: The bytes are not a whole number of images.
    """
    size = math.prod(STL10_SHAPE)
    if not raw or len(raw) % size:
        raise InvalidInput(f"{origin}: expected whole images of {size} bytes; got {len(raw)} bytes")
    planes = np.frombuffer(raw, np.uint8).reshape(-1, *STL10_SHAPE)
    return np.ascontiguousarray(planes.transpose(0, 1, 3, 2))


def read_stl10_labels(raw: bytes, origin: str) -> NDArray[np.int64]:
    """Labels (n,) in 0..9 from the bytes of a ``_y.bin`` file of STL-10, where they are 1..10.

    Raises:
        InvalidInput: A label is outside 1..10.
    """
    labels = np.frombuffer(raw, np.uint8).astype(np.int64)
    if not np.isin(labels, np.arange(1, 11)).all():
        raise InvalidInput(f"{origin}: labels must be 1..10; got {np.unique(labels)[:12]}")
    return labels - 1


def _unpickled(raw: bytes, origin: str) -> object:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # damaged text may hold escapes about which Python warns
            _check_memo(raw, origin)
            return _ArraysOnly(io.BytesIO(raw), origin).load()
    except InvalidInput:
        raise
    # errors that the unpickler raises for a damaged or crafted pickle; none of its content has been executed
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, LookupError, AttributeError,
            ImportError, OverflowError, MemoryError, RecursionError) as error:  # fmt: skip
        raise InvalidInput(f"{origin} is not a valid pickle: {error}; fetch it again") from error


def _check_memo(raw: bytes, origin: str) -> None:
    """Refuse a pickle whose memo has gaps: the unpickler would allocate memory up to the largest index."""
    for count, (opcode, argument, _) in enumerate(pickletools.genops(raw)):
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and cast(int, argument) > count:
            raise InvalidInput(
                f"{origin} is not a valid pickle: it asks for memory that it does not use; fetch it again"
            )


class _ArraysOnly(pickle.Unpickler):
    """An unpickler that resolves only the names with which arrays are pickled, to stand-ins."""

    def __init__(self, file: BinaryIO, origin: str) -> None:
        super().__init__(file, encoding="latin1")  # the published files were written by Python 2
        self._origin = origin

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401 - pickle's own signature
        known: dict[tuple[str, str], Callable[..., object]] = {
            ("numpy", "ndarray"): _StoredArray,
            ("numpy", "dtype"): _StoredType,
            ("numpy.core.multiarray", "_reconstruct"): _empty,
            ("numpy._core.multiarray", "_reconstruct"): _empty,
            ("_codecs", "encode"): _latin1,
        }
        if (module, name) not in known:
            raise InvalidInput(
                f"{self._origin}: the pickle asks for {module}.{name}; expected only arrays, dict, list, str, bytes and "
                "numbers. Do not open it with pickle; fetch it again"
            )
        return known[module, name]


class _StoredType:
    """Stands in for a dtype: NumPy's would accept a crafted state without checking it."""

    def __init__(self, code: object = "", *_: object) -> None:
        self.code = code
        self.order = "="

    def __setstate__(self, state: object) -> None:
        if isinstance(state, tuple) and len(state) > 1:
            self.order = str(state[1])

    def dtype(self, origin: str) -> np.dtype[Any]:
        if not isinstance(self.code, str) or not re.fullmatch("[biuf][1248]", self.code) or self.order not in "<>|=":
            raise InvalidInput(f"{origin}: the pickle holds an array that is not of plain numbers; fetch it again")
        return np.dtype(self.code).newbyteorder("=" if self.order == "|" else self.order)  # type: ignore[arg-type]


class _StoredArray:
    """Stands in for an array until its shape has been compared with its bytes."""

    def __init__(self, *_: object) -> None:
        self.state: object = None

    def __setstate__(self, state: object) -> None:
        self.state = state

    def array(self, origin: str) -> NDArray[Any]:
        match self.state:
            case (int(), tuple(shape), _StoredType() as stored, fortran, (str() | bytes()) as data):
                raw = data.encode("latin1") if isinstance(data, str) else data
                dtype = stored.dtype(origin)
                natural = all(type(side) is int and side >= 0 for side in shape)
                if natural and len(raw) == math.prod(shape) * dtype.itemsize:
                    return np.frombuffer(raw, dtype).reshape(shape, order="F" if fortran else "C").copy()
        raise InvalidInput(f"{origin}: the pickle holds an array whose shape does not match its bytes; fetch it again")


def _empty(*_: object) -> _StoredArray:
    return _StoredArray()


def _latin1(text: object, encoding: object = "latin1") -> bytes:
    if not isinstance(text, str) or encoding != "latin1":
        raise InvalidInput(f"the pickle asks for the encoding {encoding!r}; expected latin1; fetch the file again")
    return text.encode("latin1")
