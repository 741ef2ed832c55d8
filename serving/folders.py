"""Model folders: their versions, the content of a version, and the policies that choose among versions."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

LARGEST_VERSION = 2**63 - 1
Listing = tuple[tuple[str, int, int], ...]


def version_folders(base_path: Path) -> dict[int, Path]:
    """Version number, 1 or more -> folder, in ascending order; other names, as of temporaries, are left out.

    Leading zeros do not count: 00000123 is version 123. Of several folders of one number the shortest name is
    taken.

    Raises:
        OSError: when the folder is there but cannot be read.
    """
    found: dict[int, Path] = {}
    for path in _folders(base_path):
        # The number of a folder's name; None where it is no version.
        digits = path.name.lstrip("0")
        is_number = path.name.isascii() and digits.isdecimal() and len(digits) <= 19
        number = int(digits) if is_number and int(digits) <= LARGEST_VERSION else None
        if number is not None:
            found.setdefault(number, path)
    return dict(sorted(found.items()))


def passed_over(base_path: Path) -> list[Path]:
    """Folders that are no version, or a second one of the same number; those with a dot in front not counted.

    Raises:
        OSError: when the folder is there but cannot be read.
    """
    taken = set(version_folders(base_path).values())
    return [path for path in _folders(base_path) if path not in taken and not path.name.startswith(".")]


def _folders(base_path: Path) -> list[Path]:
    """The folders in a folder, short names first; none where there is no such folder."""
    try:
        entries = [entry for entry in os.scandir(base_path) if entry.is_dir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted((Path(entry.path) for entry in entries), key=lambda path: (len(path.name), path.name))


def model_folders(root: Path) -> dict[str, Path]:
    """Model name -> folder, for every folder in `root` whose name does not begin with a dot.

    Raises:
        OSError: when `root` cannot be read.
    """
    entries = sorted(os.scandir(root), key=lambda entry: entry.name)
    return {
        entry.name: Path(entry.path) for entry in entries if not entry.name.startswith(".") and entry.is_dir()
    }


def listing(folder: Path) -> Listing:
    """(path, bytes, time of change in nanoseconds) of every file below a folder, sorted.

    Raises:
        OSError: when something vanishes meanwhile.
    """
    found = []
    for parent, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(parent, name)
            facts = os.stat(path)
            found.append((os.path.relpath(path, folder), facts.st_size, facts.st_mtime_ns))
    return tuple(sorted(found))


@dataclass(frozen=True)
class Policy:
    """Chooses which versions of a folder are served.

    Attributes:
        count: as many of the largest numbers; one that cannot be loaded leaves its place to the next smaller.
            None for all.
        versions: these numbers instead; None for no choice.
    """

    count: int | None = None
    versions: tuple[int, ...] | None = None

    def candidates(self, present: Sequence[int]) -> list[int]:
        """The versions that may be served, first choice first."""
        if self.versions is not None:
            return [version for version in self.versions if version in present]
        return list(present) if self.count is None else sorted(present, reverse=True)

    def number(self, present: Sequence[int]) -> int:
        """How many of the candidates are served."""
        number = len(self.candidates(present))
        return number if self.count is None else min(self.count, number)


@dataclass(frozen=True)
class ModelSettings:
    """One model that is served.

    Attributes:
        name: as requests spell it.
        base_path: folder of its version folders.
        policy: which of them are served.
        labels: other names of versions.
    """

    name: str
    base_path: Path
    policy: Policy = Policy(count=1)
    labels: Mapping[str, int] = field(default_factory=dict)
