"""How much memory a picture may take: asked before it is taken, on nothing but the standard library."""

from __future__ import annotations

import os

from hsr_tf.checks import file_error

GIB = 1024**3
MEMORY_SHARE = 0.5


def default_limit_gib() -> float:
    """Half of the machine's memory, in GiB; 16 where it does not tell."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 16.0
    return MEMORY_SHARE * total / GIB


def require_memory(
    path: str | os.PathLike[str], shape: tuple[int, ...], itemsize: int, max_gib: float | None
) -> None:
    """Refuse an empty picture, and one beyond the limit, before memory is taken for it.

    Args:
        path: of the picture, for the message.
        shape: (H, W, C).
        itemsize: bytes a value.
        max_gib: the limit; None for half of the machine's memory.

    Raises:
        OSError: in one line.
    """
    height, width, channels = (int(length) for length in shape)
    if min(height, width) < 1:
        raise file_error(path, f"is an empty picture of {height}x{width} pixels", "give one with pixels")
    limit = default_limit_gib() if max_gib is None else max_gib
    gib = height * width * channels * itemsize / GIB
    if gib > limit:
        problem = f"a picture of {height}x{width} pixels takes {gib:.3g} GiB, over the limit of {limit:.3g}"
        raise file_error(path, problem, "crop it, or use a machine with more memory")
