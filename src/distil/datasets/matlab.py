"""A reader of numeric arrays in MATLAB files of format 5, the format of SVHN.

SciPy's reader is not used because it crashes the interpreter (SIGSEGV, SIGBUS) on some damaged files. See "MAT-File Level
5 File Format" by The MathWorks. A file is a header of 128 bytes and a list of elements, each with a tag (a type and a
number of bytes); a variable is a matrix element, usually inside a compressed one.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Collection, Iterator
from itertools import islice
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from distil.errors import InvalidInput

_HEADER: Final = 128
_MATRIX, _COMPRESSED = 14, 15
_TYPES: Final = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_NUMERIC_CLASSES: Final = range(6, 16)  # double, single, and the integers
_COMPLEX: Final = 0x800


def read_matlab(raw: bytes, names: Collection[str], origin: str, largest: int) -> dict[str, NDArray[Any]]:
    """Read the arrays of real numbers called ``names``; names that the file does not have are left out.

    Args:
        raw: The bytes of the file.
        names: The variables to read; others are skipped.
        origin: The file, for messages.
        largest: Largest size in bytes of a compressed variable.

    Returns:
        Name -> array, in its stored type, with the axes in MATLAB's order: the first varies fastest in memory.

    Raises:
        InvalidInput: The file has another format or is damaged.
    """
    order = {b"IM": "<", b"MI": ">"}.get(raw[126:_HEADER])
    if order is None or raw[:10] == b"MATLAB 7.3":
        raise InvalidInput(f"{origin}: expected a MATLAB file of format 5; it begins with {raw[:19]!r}")
    arrays: dict[str, NDArray[Any]] = {}
    try:
        for kind, body in _elements(memoryview(raw)[_HEADER:], order):
            if kind == _COMPRESSED:
                kind, body = next(_elements(_inflated(body, largest), order))
            variable = _variable(body, order, names) if kind == _MATRIX else None
            if variable is not None:
                arrays.update([variable])
            if len(arrays) == len(names):
                break
    except (ValueError, StopIteration, zlib.error, struct.error, UnicodeDecodeError) as error:
        raise InvalidInput(f"{origin} is not a valid MATLAB file: {error}; fetch it again") from error
    return arrays


def _elements(data: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """Yield the type and content of each element; ValueError if an element is longer than the data."""
    place = 0
    while place < len(data):
        word, size = struct.unpack_from(order + "II", data, place)
        start = place + 8
        if word >> 16:  # the short form: type and size are in one word, directly before the content
            word, size, start = word & 0xFFFF, word >> 16, place + 4
            if size > 4:
                raise ValueError(f"a short element has {size} bytes")
        if start + size > len(data):
            raise ValueError(f"an element has {size} bytes, and {len(data) - start} are left")
        yield word, data[start : start + size]
        place = start + size if word == _COMPRESSED else start + size + (-(start + size - place) % 8)


def _inflated(body: memoryview, largest: int) -> memoryview:
    stream = zlib.decompressobj()
    content = stream.decompress(body, largest)
    if not stream.eof:
        raise ValueError(f"a compressed variable is cut off, or larger than {largest} bytes")
    return memoryview(content)


def _variable(body: memoryview, order: str, names: Collection[str]) -> tuple[str, NDArray[Any]] | None:
    """Name and array of a matrix element; None if its name is not in ``names``."""
    parts = list(islice(_elements(body, order), 4))
    if len(parts) < 4:
        raise ValueError("a variable has no content")
    (_, flags), (_, sides), (_, name), (kind, data) = parts
    text = bytes(name).decode("ascii")
    if text not in names:
        return None
    (word,) = struct.unpack_from(order + "I", flags)
    if word & 0xFF not in _NUMERIC_CLASSES or word & _COMPLEX or kind not in _TYPES:
        raise ValueError(f"{text} is not an array of real numbers")
    shape = struct.unpack(f"{order}{len(sides) // 4}i", sides)
    dtype = np.dtype(order + _TYPES[kind])
    if min(shape, default=-1) < 0 or math.prod(shape) * dtype.itemsize != len(data):
        raise ValueError(f"the shape of {text}, {shape}, does not match its {len(data)} bytes")
    return text, np.frombuffer(data, dtype).reshape(shape, order="F")
