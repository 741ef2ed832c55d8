"""The sizes that a MATLAB 5 file claims, compared with what it holds before SciPy takes memory for them.

SciPy allocates as many bytes as an element's tag says and then finds that the file is shorter, and it crashes
on parts of types that there are not. So the tags are walked first: each element within the file, and the
flags, dimensions, name and values of each array within its element; of a compressed element as far as its
first 4096 bytes tell, with no more than 1032 bytes a compressed byte, the most that deflate reaches.
MAT-File Format (MathWorks), chapter 1.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

HEADER_BYTES = 128
MATRIX, COMPRESSED = 14, 15
NUMERIC_OR_TEXT = (4, *range(6, 16))
PART_TYPES = {1, 2, 3, 4, 5, 6, 7, 9, 12, 13, 16, 17, 18}
FLAGS_TYPE, SIZES_TYPE = 6, 5
PREFIX = 4096
LARGEST_DEFLATION = 1032
MOST_ELEMENTS = 100_000


def require_true_sizes(path: Path) -> None:
    """Raise a ValueError where a tag claims more than there is, or where the file is of version 4."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        header = file.read(HEADER_BYTES)
        if len(header) < HEADER_BYTES or 0 in header[:4] or header[126:128] not in (b"IM", b"MI"):
            raise ValueError("no MATLAB 5 header")
        order = "<" if header[126:128] == b"IM" else ">"
        for _ in range(MOST_ELEMENTS):
            place = file.tell()
            tag = file.read(8)
            if len(tag) < 8:
                return
            kind, length = struct.unpack(f"{order}II", tag)
            if place + 8 + length > size:
                raise ValueError(f"an element of {length} bytes in a file of {size}")
            if kind == MATRIX:
                _require_matrix(file.read(min(length, PREFIX)), order, length)
            elif kind == COMPRESSED:
                prefix = zlib.decompressobj().decompress(file.read(min(length, PREFIX)), PREFIX)
                inner, claimed = struct.unpack(f"{order}II", prefix[:8])
                if claimed > LARGEST_DEFLATION * length:
                    raise ValueError(f"an array of {claimed} bytes in {length} compressed ones")
                if inner == MATRIX:
                    _require_matrix(prefix[8:], order, claimed)
            file.seek(place + 8 + length)
    raise ValueError("more elements than any file of arrays has")


def _require_matrix(prefix: bytes, order: str, length: int) -> None:
    """Walk over the flags, the dimensions, the name and the values of an array."""
    if length == 0:
        return
    place, flags = 0, 0
    for part in range(4):
        if part == 3 and (flags & 0xFF) not in NUMERIC_OR_TEXT:
            return
        if place + 8 > len(prefix):
            raise ValueError("an array whose parts are not where they should be")
        first, second = struct.unpack_from(f"{order}II", prefix, place)
        packed = first >> 16
        held = packed or second
        if (packed > 4) or (not packed and place + 8 + held > length):
            raise ValueError(f"a part of {held} bytes in an array of {length}")
        kind = first & 0xFFFF if packed else first
        expected = {0: {FLAGS_TYPE}, 1: {SIZES_TYPE}}.get(part, PART_TYPES)
        if kind not in expected:
            raise ValueError(f"a part of type {kind} in an array")
        if part == 0:
            flags = struct.unpack_from(f"{order}I", prefix, 8)[0] if len(prefix) >= 12 else 0
        place += 8 if packed else 8 + -(-held // 8) * 8
