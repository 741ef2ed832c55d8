"""Training scenes whose memory does not grow with their number: beyond a limit they lie in a cache of files.

A cache is a folder with one `.npy` file per scene, float32 in [0, 1], from which patches are read by windows
(`hsr_tf.data.pixels`), and `scenes.json`, which records what the files were made of. It is used again as long
as the scenes, their order and the white level are the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import overload

import numpy as np

from hsr_tf.data.white_level import ValueRange, common_white_level, in_unit_range, with_white_level
from hsr_tf.files import replacing_file
from hsr_tf.scene import Scene

LISTING = "scenes.json"
MEMORY_LIMIT = 2 * 10**9


@dataclass(frozen=True)
class CachedScene:
    """What is known of a scene in the cache beside its pixels.

    Attributes:
        stamp: identifies the file that it was read from, and its state.
        name: of the scene.
        wavelengths_nm: of its bands, or None.
        file: in the cache.
    """

    stamp: str
    name: str
    wavelengths_nm: list[float] | None
    file: str


class StoredScenes(Sequence[Scene]):
    """Scenes in a cache; each is read when it is asked for, and kept by nobody.

    Args:
        folder: the cache.
        scenes: those of it that count.
    """

    def __init__(self, folder: Path, scenes: Sequence[CachedScene]) -> None:
        self._folder, self._scenes = folder, scenes

    def __len__(self) -> int:
        return len(self._scenes)

    @overload
    def __getitem__(self, index: int) -> Scene: ...
    @overload
    def __getitem__(self, index: slice) -> StoredScenes: ...
    def __getitem__(self, index: int | slice) -> Scene | StoredScenes:
        if isinstance(index, slice):
            return StoredScenes(self._folder, self._scenes[index])
        known = self._scenes[index]
        wavelengths = None if known.wavelengths_nm is None else np.array(known.wavelengths_nm)
        return Scene(np.load(self._folder / known.file), wavelengths, known.name)

    @property
    def names(self) -> list[str]:
        """The names of the scenes; none is read."""
        return [known.name for known in self._scenes]

    @property
    def cubes(self) -> list[np.ndarray]:
        """Memory maps of the cubes (H, W, C), for `hsr_tf.data.patches`."""
        return [np.load(self._folder / known.file, mmap_mode="r") for known in self._scenes]

    def named(self, names: Iterable[str]) -> StoredScenes:
        """Return the scenes of these names."""
        wanted = set(names)
        return StoredScenes(self._folder, [known for known in self._scenes if known.name in wanted])


@dataclass(frozen=True, eq=False)
class TrainingScenes:
    """The scenes of a training folder in [0, 1].

    Attributes:
        scenes: in memory, or in a cache.
        white_level: stored value that became 1.0, where it was given or recognised.
    """

    scenes: Sequence[Scene]
    white_level: float | None


def read_training_scenes(
    paths: Sequence[Path],
    read: Callable[[Path], Scene],
    *,
    white_level: float | None = None,
    cache: Path,
    memory_limit: int = MEMORY_LIMIT,
) -> TrainingScenes:
    """Read scenes into memory, or into a cache where they take more than the limit.

    Scenes that do not fit are read twice, one at a time, unless the white level is given: their values must
    be known before they can be scaled alike.

    Args:
        paths: of the scenes.
        read: reads one of them.
        white_level: stored value that stands for 1.0; None to recognise it, see `in_unit_range`.
        cache: folder for scenes that do not fit; made where it is needed.
        memory_limit: bytes that scenes may take in memory.

    Raises:
        ValueError, OSError: as `in_unit_range` and `read`.
    """
    stamps = [stamp_of(path) for path in paths]
    known = _known(cache, stamps, white_level)
    if known is not None:
        return known
    held: list[Scene] = []
    ranges: list[ValueRange] = []
    total = 0
    for path in paths:
        scene = read(path)
        total += scene.cube.nbytes
        if total > memory_limit and white_level is not None:
            break
        held = [*held, scene] if total <= memory_limit else []
        ranges.append(ValueRange.of(scene))
    if total <= memory_limit:
        found = in_unit_range(held, white_level)
        return TrainingScenes(found.scenes, found.white_level)
    del held, scene
    level = white_level if white_level is not None else common_white_level(ranges)
    cache.mkdir(parents=True, exist_ok=True)
    scenes = []
    for path, stamp in zip(paths, stamps, strict=True):
        scene = read(path)
        common_white_level([ValueRange.of(scene)], level)
        scenes.append(_store(with_white_level(scene, level), cache, stamp))
        del scene
    facts = {"given": white_level, "white_level": level, "scenes": [asdict(one) for one in scenes]}
    with replacing_file(cache / LISTING) as draft:
        draft.write_text(json.dumps(facts), encoding="utf-8")
    return TrainingScenes(StoredScenes(cache, scenes), level)


class ArrayStore:
    """Arrays that are kept in memory up to a limit, and beyond it in files of a cache.

    Args:
        folder: the cache, made where it is needed.
        memory_limit: bytes that arrays may take in memory.

    Attributes:
        arrays: those added; memory maps where they lie in files.
    """

    def __init__(self, folder: Path, memory_limit: int) -> None:
        self._folder, self._left = folder, memory_limit
        self.arrays: list[np.ndarray] = []

    def add(self, array: np.ndarray, name: str) -> None:
        """Keep an array; `name` is that of its file, which is written once for what it stands for."""
        self._left -= array.nbytes
        if self._left >= 0:
            self.arrays.append(array)
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{name}.npy"
        if not path.is_file():
            _write(path, array)
        self.arrays.append(np.load(path, mmap_mode="r"))


def cubes_of(scenes: Sequence[Scene]) -> list[np.ndarray]:
    """The cubes of scenes, as memory maps where they lie in a cache."""
    return scenes.cubes if isinstance(scenes, StoredScenes) else [scene.cube for scene in scenes]


def names_of(scenes: Sequence[Scene]) -> list[str]:
    """The names of scenes; those in a cache are not read."""
    return scenes.names if isinstance(scenes, StoredScenes) else [scene.name for scene in scenes]


def named(scenes: Sequence[Scene], names: Iterable[str]) -> Sequence[Scene]:
    """The scenes of these names; those in a cache are not read."""
    wanted = set(names)
    if isinstance(scenes, StoredScenes):
        return scenes.named(wanted)
    return [scene for scene in scenes if scene.name in wanted]


def stamp_of(path: Path) -> str:
    """Identify a file, or a folder of files, and its state: place, sizes and times."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    states = [(str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return hashlib.sha256(json.dumps(states).encode()).hexdigest()[:16]


def _known(cache: Path, stamps: Sequence[str], white_level: float | None) -> TrainingScenes | None:
    """The scenes of a cache that holds just these, else None."""
    if not (cache / LISTING).is_file():
        return None
    facts = json.loads((cache / LISTING).read_text(encoding="utf-8"))
    scenes = [CachedScene(**one) for one in facts["scenes"]]
    fits = [one.stamp for one in scenes] == [*stamps] and white_level in (
        facts["given"],
        facts["white_level"],
    )
    if not (fits and all((cache / one.file).is_file() for one in scenes)):
        return None
    return TrainingScenes(StoredScenes(cache, scenes), facts["white_level"])


def _store(scene: Scene, cache: Path, stamp: str) -> CachedScene:
    """Write the cube of a scene into the cache."""
    file = f"{stamp}.npy"
    _write(cache / file, scene.cube)
    wavelengths = scene.wavelengths_nm
    return CachedScene(stamp, scene.name, None if wavelengths is None else wavelengths.tolist(), file)


def _write(path: Path, array: np.ndarray) -> None:
    with replacing_file(path) as draft, draft.open("wb") as opened:
        np.save(opened, array)
