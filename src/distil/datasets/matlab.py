"""A reader of numeric arrays in MATLAB files of format 5, the one that SVHN is published in.

Written out here because SciPy's reader ends the interpreter (SIGSEGV, SIGBUS) on some damaged files. See "MAT-File Level
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
    """The arrays of real numbers called ``names``, those that there are, in the type they are stored in.

    Args:
        raw: The file's bytes.
        names: The variables to read; others are passed over.
        origin: Where the bytes come from, for messages.
        largest: Bytes that a compressed variable may have.

    Returns:
        By name; axes in MATLAB's order, the first one the fastest in memory.

    Raises:
        InvalidInput: No such file, or a damaged one.
    """
    order = {b"IM": "<", b"MI": ">"}.get(raw[126:_HEADER])
    if order is None or raw[:10] == b"MATLAB 7.3":
        raise InvalidInput(f"{origin}: expected a MATLAB file of format 5; it begins with {raw[:19]!r}")
    found: dict[str, NDArray[Any]] = {}
    try:
        for kind, body in _elements(memoryview(raw)[_HEADER:], order):
            if kind == _COMPRESSED:
                kind, body = next(_elements(_inflated(body, largest), order))
            variable = _variable(body, order, names) if kind == _MATRIX else None
            if variable is not None:
                found.update([variable])
            if len(found) == len(names):
                break
    except (ValueError, StopIteration, zlib.error, struct.error, UnicodeDecodeError) as error:
        raise InvalidInput(f"{origin} is not a sound MATLAB file: {error}; fetch it again") from error
    return found


def _elements(data: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """Type and content of each element; a ValueError where one claims more bytes than there are."""
    place = 0
    while place < len(data):
        word, size = struct.unpack_from(order + "II", data, place)
        start = place + 8
        if word >> 16:  # the short form: type and size share a word, and the content follows at once
            word, size, start = word & 0xFFFF, word >> 16, place + 4
            if size > 4:
                raise ValueError(f"a short element of {size} bytes")
        if start + size > len(data):
            raise ValueError(f"an element of {size} bytes where {len(data) - start} are left")
        yield word, data[start : start + size]
        place = start + size if word == _COMPRESSED else start + size + (-(start + size - place) % 8)


def _inflated(body: memoryview, largest: int) -> memoryview:
    stream = zlib.decompressobj()
    content = stream.decompress(body, largest)
    if not stream.eof:
        raise ValueError(f"a compressed variable is cut off, or larger than {largest} bytes")
    return memoryview(content)


def _variable(body: memoryview, order: str, names: Collection[str]) -> tuple[str, NDArray[Any]] | None:
    """Name and array of a matrix element; None for another name."""
    parts = list(islice(_elements(body, order), 4))
    if len(parts) < 4:
        raise ValueError("a variable without content")
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
        raise ValueError(f"the shape of {text}, {shape}, and its {len(data)} bytes do not agree")
    return text, np.frombuffer(data, dtype).reshape(shape, order="F")
