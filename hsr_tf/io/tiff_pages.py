"""The pages of a TIFF file by tifffile, once they are known to be harmless.

Each page holds the offset of the next one, 0 in the last. A damaged file may point to an earlier page:
libraries then read pages until the memory is full. TIFF 6.0, section 2; BigTIFF has offsets of 8 bytes.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from hsr_tf.checks import file_error
from hsr_tf.io.source import decoding

ORDERS = {b"II": "<", b"MM": ">"}
CLASSIC, BIG = 42, 43
ORIENTATION = 274
DAMAGE = ("invalid page offset", "invalid value offset", "failed to reshape", "corrupted", "missing data")


@contextmanager
def open_pages(path: Path, format_name: str) -> Iterator[Any]:
    """Open a TIFF file by tifffile.

    Raises:
        OSError: it is damaged, or its chain of pages leads back to an earlier page.
    """
    import tifffile

    with decoding(path, "TIFF"), open(path, "rb") as opened:
        looped = _num_pages_before_loop(opened)
    if looped is not None:
        problem = f"is damaged: its chain of pages never ends, page {looped} leads back to an earlier one"
        raise file_error(path, problem, "fetch or write it again")
    with decoding(path, format_name), damage_raised():
        file = tifffile.TiffFile(path)
    with file:
        yield file


def blocks_end(page: Any) -> int:
    """Return where the last block of a page ends."""
    return max(
        (int(o) + int(n) for o, n in zip(page.dataoffsets, page.databytecounts, strict=True)), default=0
    )


def require_blocks(path: Path, pages: Iterable[Any], format_name: str) -> None:
    """Refuse pages whose blocks reach beyond the end of the file: they would be allocated before they are
    missed.

    Raises:
        OSError: there are some.
    """
    if max((blocks_end(page) for page in pages if page is not None), default=0) > path.stat().st_size:
        problem = (
            f"cannot be read as {format_name}, its values reach beyond its end: it is damaged or cut short"
        )
        raise file_error(path, problem, "fetch or write it again")


def is_image(page: Any) -> bool:
    """Return whether a page is no overview and no mask."""
    return not (page.is_reduced or page.is_mask)


def orientation_of(page: Any) -> int:
    """Return the orientation, 1 to 8."""
    return int(page.tags[ORIENTATION].value) if ORIENTATION in page.tags else 1


class _Damage(logging.Handler):
    """Collects what tifffile only logs about files that it can still open in part."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if any(words in message for words in DAMAGE):
            self.found.append(message)


@contextmanager
def damage_raised() -> Iterator[None]:
    """Raise a ValueError when tifffile logs damage; its messages do not reach the terminal."""
    logger, handler = logging.getLogger("tifffile"), _Damage()
    level, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate
    if handler.found:
        raise ValueError(handler.found[0])


def _num_pages_before_loop(file: BinaryIO) -> int | None:
    """Return how many pages come before the chain repeats itself; None where it ends or is cut short."""

    def number(place: int, form: str) -> int | None:
        if place >= 2**63:
            return None
        file.seek(place)
        data = file.read(struct.calcsize(form))
        return int(struct.unpack(form, data)[0]) if len(data) == struct.calcsize(form) else None

    order = ORDERS.get(file.read(2))
    version = None if order is None else number(2, f"{order}H")
    if version not in (CLASSIC, BIG):
        return None
    count, word, entry, first = ("H", "I", 12, 4) if version == CLASSIC else ("Q", "Q", 20, 8)
    seen: set[int] = set()
    offset = number(first, f"{order}{word}")
    while offset and offset not in seen:
        seen.add(offset)
        num_tags = number(offset, f"{order}{count}")
        if num_tags is None:
            return None
        offset = number(offset + struct.calcsize(f"{order}{count}") + entry * num_tags, f"{order}{word}")
    return len(seen) if offset else None
