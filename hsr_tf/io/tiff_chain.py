"""The chain of pages of a TIFF file, checked before a library follows it.

Each page names the offset of the next one, 0 in the last. A damaged file may name a page that came before:
libraries then read pages until the memory is full. TIFF 6.0, section 2; BigTIFF has offsets of 8 bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from hsr_tf.checks import file_error
from hsr_tf.io.source import decoding

ORDERS = {b"II": "<", b"MM": ">"}
CLASSIC, BIG = 42, 43


def require_ending_chain(path: Path) -> None:
    """Refuse a TIFF file whose pages lead back to an earlier page; other damage is left to the reader.

    Raises:
        OSError: the chain of pages never ends, or the file cannot be opened.
    """
    with decoding(path, "TIFF"), open(path, "rb") as file:
        looped = _num_pages_before_loop(file)
    if looped is not None:
        problem = f"is damaged: its chain of pages never ends, page {looped} leads back to an earlier one"
        raise file_error(path, problem, "fetch or write it again")


def _num_pages_before_loop(file: BinaryIO) -> int | None:
    """How many pages come before the chain repeats itself; None where it ends."""
    seen: set[int] = set()
    for offset in _offsets(file):
        if offset in seen:
            return len(seen)
        seen.add(offset)
    return None


def _offsets(file: BinaryIO) -> Iterator[int]:
    """The offsets of the pages, for ever where the chain loops; ends early in a file that is cut short."""
    order = ORDERS.get(file.read(2), "")
    version = _number(file, 2, f"{order}H", 2) if order else None
    if version not in (CLASSIC, BIG):
        return
    count, word, entry, first = ("H", "I", 12, 4) if version == CLASSIC else ("Q", "Q", 20, 8)
    count_size, word_size = struct.calcsize(f"<{count}"), struct.calcsize(f"<{word}")
    offset = _number(file, first, order + word, word_size)
    while offset:
        yield offset
        num_tags = _number(file, offset, order + count, count_size)
        if num_tags is None:
            return
        offset = _number(file, offset + count_size + entry * num_tags, order + word, word_size)


def _number(file: BinaryIO, place: int, form: str, size: int) -> int | None:
    """The number at a place of the file; None past its end."""
    if place >= 2**63:
        return None
    file.seek(place)
    data = file.read(size)
    return int(struct.unpack(form, data)[0]) if len(data) == size else None
