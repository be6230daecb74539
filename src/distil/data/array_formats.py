"""Readers of ``.npy``, ``.npz`` and ``.safetensors``; arrays are memory-mapped if the file allows it.

The shape in a header is compared with the size of the file before any memory is allocated. Pickled objects are never read.
"""

from __future__ import annotations

import io
import json
import math
import struct
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from distil.errors import DistilError, InvalidInput
from distil.system.files import FAULTS_OF_FILES
from distil.system.runtime import Runtime
from distil.system.scratch import Space

_BLOCK: Final = 1 << 20
_LARGEST: Final = 1 << 62  # bytes; no array is larger
_LARGEST_HEADER: Final = 1 << 16  # bytes
_DEFLATE_RATIO: Final = 1100  # deflate compresses by a factor of at most 1,032

# The types of safetensors that NumPy has, and those that only torch has.
_NUMPY_TYPES: Final = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "|u1", "BOOL": "|b1",
}  # fmt: skip
_TORCH_TYPES: Final = {"BF16": torch.bfloat16, "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2}


@contextmanager
def _sound(path: Path, what: str) -> Iterator[None]:
    """Raise InvalidInput for any error that the libraries raise on a damaged file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a damaged header may make Python's parser warn
            yield
    except FAULTS_OF_FILES as error:
        if isinstance(error, DistilError):
            raise
        raise InvalidInput(f"{path} cannot be read as {what}: {error}") from error


@dataclass(frozen=True)
class _Header:
    """The header of an ``.npy`` file.

    Attributes:
        shape: Shape of the array.
        fortran: Whether the array is in Fortran order, the first axis varying fastest.
        dtype: Type of the values.
        n_bytes: Size of the array in bytes.
    """

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]
    n_bytes: int


def _npy_header(file: IO[bytes], origin: str) -> _Header:
    version = np.lib.format.read_magic(file)
    width, read = (
        (2, np.lib.format.read_array_header_1_0) if version == (1, 0) else (4, np.lib.format.read_array_header_2_0)
    )
    size = file.read(width)
    if int.from_bytes(size, "little") > _LARGEST_HEADER:
        raise InvalidInput(f"{origin} is damaged: its header would have {int.from_bytes(size, 'little'):,} bytes")
    shape, fortran, dtype = read(io.BytesIO(size + file.read(int.from_bytes(size, "little"))))
    if dtype.hasobject:
        raise InvalidInput(
            f"{origin} holds Python objects, which are not read because unpickling can run code; save an array of numbers or text"
        )
    return _Header(shape, fortran, dtype, _checked_size(shape, dtype, origin))


def _checked_size(shape: tuple[int, ...], dtype: np.dtype[Any], origin: str) -> int:
    """The size of an array in bytes; InvalidInput if no array can have this shape and type."""
    sides = all(type(side) is int and side >= 0 for side in shape) and len(shape) <= 32
    if not sides or not dtype.itemsize or math.prod(filter(None, shape)) * dtype.itemsize > _LARGEST:
        raise InvalidInput(f"{origin} is damaged: its header gives an array of shape {shape} and type {dtype}")
    return math.prod(shape) * dtype.itemsize


def _mapped(path: Path, header: _Header, start: int) -> NDArray[Any]:
    """The memory-mapped array that begins at byte ``start``; InvalidInput if the file ends before the array does."""
    left = path.stat().st_size - start
    if header.n_bytes > left:
        raise InvalidInput(
            f"{path} is cut off, or its header is wrong: an array of shape {header.shape} has {header.n_bytes:,} bytes, "
            f"and {max(0, left):,} follow; write it again"
        )
    if not header.n_bytes:
        return np.empty(header.shape, header.dtype)
    return np.memmap(path, header.dtype, "r", start, header.shape, "F" if header.fortran else "C")


def mapped_npy(path: Path) -> NDArray[Any]:
    """The array of an ``.npy`` file, memory-mapped; InvalidInput if it is damaged or would need pickle."""
    with _sound(path, "an array without pickle"):
        with path.open("rb") as file:
            header = _npy_header(file, str(path))
            start = file.tell()
        return _mapped(path, header, start)


def listed(values: NDArray[Any], origin: str) -> list[Any]:
    """The values of an array as a flat list; InvalidInput if its text cannot be decoded."""
    try:
        return values.ravel().tolist()
    except ValueError as error:
        raise InvalidInput(f"{origin} is damaged: its text cannot be read ({error})") from error


class NpzFile:
    """The named arrays of an ``.npz`` file; uncompressed ones are mapped, compressed ones decompressed block by block.

    Args:
        path: The file.
        runtime: The memory that decompressed arrays may take; the rest goes to files without a name.

    Attributes:
        names: The names of the arrays, in the order of the file.

    Raises:
        InvalidInput: The file does not exist or is damaged.
    """

    def __init__(self, path: Path, runtime: Runtime) -> None:
        self._path = path
        self._runtime = runtime
        with _sound(path, "an npz file without pickle"), zipfile.ZipFile(path) as archive:
            self._members = {name.removesuffix(".npy"): name for name in archive.namelist()}
        self.names = list(self._members)

    def array(self, name: str) -> NDArray[Any]:
        """The array called ``name``.

        Raises:
            InvalidInput: It is damaged, encrypted, or holds Python objects.
        """
        origin = f"{self._path}: {name}"
        with _sound(self._path, "an npz file without pickle"), zipfile.ZipFile(self._path) as archive:
            info = archive.getinfo(self._members[name])
            if info.flag_bits & 1:
                raise InvalidInput(f"{origin} is encrypted; store it without a password")
            with archive.open(info) as file:
                header = _npy_header(file, origin)
                if info.compress_type != zipfile.ZIP_STORED:
                    self._check_claim(info, header, origin)
                    return self._decompressed(file, header, origin)
                start = file.tell()
            return _mapped(self._path, header, self._content_of(info) + start)

    def _content_of(self, info: zipfile.ZipInfo) -> int:
        """The position in bytes at which the content of a member begins."""
        with self._path.open("rb") as raw:
            raw.seek(info.header_offset + 26)  # the lengths of the last two parts of the local header
            name, extra = struct.unpack("<HH", raw.read(4))
            return info.header_offset + 30 + int(name) + int(extra)

    def _check_claim(self, info: zipfile.ZipInfo, header: _Header, origin: str) -> None:
        most = info.file_size
        if info.compress_type == zipfile.ZIP_DEFLATED:
            most = min(most, _DEFLATE_RATIO * min(info.compress_size, self._path.stat().st_size))
        if header.n_bytes > most:
            raise InvalidInput(
                f"{origin} is damaged: an array of shape {header.shape} has {header.n_bytes:,} bytes, and the file holds "
                f"at most {most:,}"
            )

    def _decompressed(self, file: IO[bytes], header: _Header, origin: str) -> NDArray[Any]:
        if not header.n_bytes:
            return np.empty(header.shape, header.dtype)
        filling = Space(self._runtime, header.shape[0] if header.shape else 0).filling(
            header.n_bytes, dtype=torch.uint8
        )
        left = header.n_bytes
        while left and (block := file.read(min(left, _BLOCK))):
            filling.add(torch.frombuffer(bytearray(block), dtype=torch.uint8))
            left -= len(block)
        if left or file.read(1):  # reading to the end makes zipfile compare the checksum
            raise InvalidInput(f"{origin} is damaged: its content does not match its header; write it again")
        flat = filling.column().numpy().view(header.dtype)
        return flat.reshape(header.shape, order="F" if header.fortran else "C")


class SafetensorsFile:
    """The named arrays of a ``.safetensors`` file, memory-mapped.

    Args:
        path: The file.

    Attributes:
        names: The names of the arrays, in the order of the header.

    Raises:
        InvalidInput: The file does not exist or is damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with _sound(path, "a safetensors file"), path.open("rb") as file:
            size = struct.unpack("<Q", file.read(8))[0]
            if size > path.stat().st_size:
                raise InvalidInput(f"{path} is not a safetensors file, or it is cut off; write it again")
            self._start = 8 + size
            self._entries = {
                name: entry for name, entry in json.loads(file.read(size)).items() if name != "__metadata__"
            }
        self.names = list(self._entries)

    def array(self, name: str) -> NDArray[Any]:
        """The array called ``name``; bfloat16 and 8-bit floats, which NumPy does not have, become float32.

        Raises:
            InvalidInput: The type is not supported, or the header is damaged.
        """
        origin = f"{self._path}: {name}"
        with _sound(self._path, "a safetensors file"):
            entry = self._entries[name]
            kind, shape, (begin, end) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
            if kind not in _NUMPY_TYPES and kind not in _TORCH_TYPES:
                known = ", ".join((*_NUMPY_TYPES, *_TORCH_TYPES))
                raise InvalidInput(f"{origin} has the type {kind}; expected one of {known}")
            stored = np.dtype(_NUMPY_TYPES.get(kind, "<i2" if kind == "BF16" else "|u1"))
            n_bytes = _checked_size(shape, stored, origin)
            if type(begin) is not int or begin < 0 or n_bytes != end - begin:
                raise InvalidInput(f"{origin} is cut off, or its header is wrong; write it again")
            values = _mapped(self._path, _Header(shape, False, stored, n_bytes), self._start + begin)
            if kind in _NUMPY_TYPES:
                return values
            return torch.from_numpy(np.array(values)).view(_TORCH_TYPES[kind]).float().numpy()
