"""How much memory there is, and how much of it a picture may take; on nothing but the standard library.

The limit of a container or a service (its cgroup, of version 1 or 2) counts as the machine's memory.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from hsr_tf.checks import file_error

GIB = 1024**3
MEMORY_SHARE = 0.5


def default_limit_gib() -> float:
    """Half of the memory that this process may use at most, in GiB; 16 where the system does not say."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 16.0
    limits = (_number(folder / limit) for folder, limit, _ in _memory_cgroups(Path("/")))
    return MEMORY_SHARE * min([total, *(limit for limit in limits if limit is not None)]) / GIB


def available_bytes(root: Path = Path("/")) -> int:
    """Memory that this process can still take: of the machine, and of every cgroup that it belongs to.

    File pages that a cgroup can drop count as available. Where the system does not say (not Linux), twice
    `default_limit_gib`, the whole memory.

    Args:
        root: where `proc` and `sys` lie.
    """
    found = []
    try:
        fields = dict(line.split(":") for line in (root / "proc/meminfo").read_text("ascii").splitlines())
        found.append(1024 * int(fields["MemAvailable"].split()[0]))
    except (OSError, KeyError, ValueError):
        found.append(int(default_limit_gib() / MEMORY_SHARE * GIB))
    for folder, limit, usage in _memory_cgroups(root):
        most, used = _number(folder / limit), _number(folder / usage)
        if most is not None and used is not None:
            found.append(most - used + _droppable_bytes(folder))
    return max(0, min(found))


def _memory_cgroups(root: Path) -> Iterator[tuple[Path, str, str]]:
    """The cgroups of this process that limit memory: folder, file of the limit, file of what is used."""
    try:
        lines = (root / "proc/self/cgroup").read_text("utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and "memory" not in controllers.split(","):
            continue
        base = root / "sys/fs/cgroup" / ("memory" if controllers else "")
        names = (
            ("memory.limit_in_bytes", "memory.usage_in_bytes")
            if controllers
            else ("memory.max", "memory.current")
        )
        own = base / path.strip("/")
        for folder in (own, *(parent for parent in own.parents if parent.is_relative_to(base))):
            if (folder / names[0]).is_file():
                yield folder, *names


def _droppable_bytes(folder: Path) -> int:
    """File pages of a cgroup that are not in use."""
    try:
        lines = (folder / "memory.stat").read_text("ascii").splitlines()
        counts = {name: int(number) for name, number in (line.split() for line in lines)}
    except (OSError, ValueError):
        return 0
    return counts.get("total_inactive_file", counts.get("inactive_file", 0))


def _number(path: Path) -> int | None:
    """The number in a file; None for "max" and for a file that is not there."""
    try:
        return int(path.read_text("ascii"))
    except (OSError, ValueError):
        return None


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
