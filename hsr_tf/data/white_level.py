"""Cubes of a training folder brought to [0, 1]: by a white level that is given, or one that the values show.

Floating-point files carry no white level: the cubes of ICVL, for example, hold the numbers of a 12-bit
camera, 0 to 4095. A network that is trained on such values learns nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hsr_tf import checks
from hsr_tf.io.white_level import GUESSED
from hsr_tf.scene import Scene
from hsr_tf.typing import Cube

TWELVE_BITS, TEN_BITS = 4095.0, 1023.0
LEAST, MOST = -0.5, 2.0
REMEDY = "give --white_level, the stored value that stands for 1.0"
OF_THE_TYPE = "largest "


@dataclass(frozen=True, eq=False)
class UnitScenes:
    """Scenes whose values lie in [0, 1], or little outside of it.

    Attributes:
        scenes: in the order given.
        white_level: stored value that became 1.0, where it was given or recognised; None where the scenes
            are as they were.
    """

    scenes: Sequence[Scene]
    white_level: float | None


@dataclass(frozen=True)
class ValueRange:
    """What the values of one scene show of their white level.

    Attributes:
        source: file or name, for messages.
        low, high: smallest and largest value, as the scene was read.
        level: what stored values were divided by on reading.
        origin: where that level was known from, see `hsr_tf.io.white_level`; empty for floating point.
        are_counts: whether the stored values are whole numbers from 0 up.
    """

    source: str
    low: float
    high: float
    level: float
    origin: str
    are_counts: bool

    @classmethod
    def of(cls, scene: Scene) -> ValueRange:
        """Measure a scene."""
        level = float(scene.metadata.get("white_level", 1.0))
        origin = str(scene.metadata.get("white_level_origin", ""))
        low, high = float(scene.cube.min()), float(scene.cube.max())
        return cls(
            source=str(scene.metadata.get("source", scene.name)),
            low=low,
            high=high,
            level=level,
            origin=origin or ("file" if "white_level" in scene.metadata else ""),
            are_counts=low >= 0 and _are_whole(scene.cube, level),
        )


def common_white_level(
    ranges: Sequence[ValueRange],
    white_level: float | None = None,
    *,
    flag: str = "data_dir",
    remedy: str = REMEDY,
) -> float | None:
    """Find the stored value that stands for 1.0 in all the scenes of one folder; None to leave them as read.

    Args:
        ranges: of the scenes, see `in_unit_range` for the rules.
        white_level: the value that is given, if any.
        flag, remedy: see `in_unit_range`.

    Raises:
        ValueError: values outside of [-0.5, 2] whose white level is not known; the message names the file.
    """
    if white_level is None:
        white_level = TWELVE_BITS if _are_of_twelve_bits(ranges) else _agreed_guess(ranges)
    if white_level is not None:
        remedy = f"correct --white_level={white_level:g}"
    for one in ranges:
        factor = 1.0 if white_level is None else one.level / white_level
        low, high = one.low * factor, one.high * factor
        checks.require(
            low >= LEAST and high <= MOST,
            flag,
            expected="cubes with values in [0, 1]",
            received=f"{one.source} with values from {low:.4g} to {high:.4g}",
            remedy=remedy,
        )
    return white_level


def with_white_level(scene: Scene, white_level: float | None) -> Scene:
    """Divide the stored values of a scene by another white level; None leaves it as it was read."""
    if white_level is None:
        return scene
    given = {"white_level": white_level, "white_level_origin": "argument"}
    level = float(scene.metadata.get("white_level", 1.0))
    return replace(
        scene, cube=scene.cube * np.float32(level / white_level), metadata={**scene.metadata, **given}
    )


def in_unit_range(
    scenes: Sequence[Scene],
    white_level: float | None = None,
    *,
    flag: str = "data_dir",
    remedy: str = REMEDY,
) -> UnitScenes:
    """Divide the scenes of one folder by their common white level.

    Without one, scenes within [-0.5, 2] stay as they are. Whole numbers up to 4095, and above 1023 somewhere,
    that no file declares a white level for are those of a 12-bit camera: their white level is 4095. Integers
    whose white levels were guessed file by file (`hsr_tf.io.white_level`) are of one camera too: the guess of
    the file with the largest value holds for all.

    Args:
        scenes: as `hsr_tf.io.load` reads them.
        white_level: stored value that stands for 1.0.
        flag: what named the folder, for the message.
        remedy: what to do about values whose white level is not known, for the message.

    Raises:
        ValueError: values outside of [-0.5, 2] whose white level is not known; the message names the file.
    """
    level = common_white_level(
        [ValueRange.of(scene) for scene in scenes], white_level, flag=flag, remedy=remedy
    )
    return UnitScenes([with_white_level(scene, level) for scene in scenes], level)


def _are_of_twelve_bits(ranges: Sequence[ValueRange]) -> bool:
    """Whether no white level is declared, and all hold whole numbers of 12 bits, more than 10 somewhere."""
    declared = any(one.origin and not one.origin.startswith(OF_THE_TYPE) for one in ranges)
    largest = max((one.high * one.level for one in ranges), default=0.0)
    in_twelve = TEN_BITS < largest <= TWELVE_BITS + 0.5
    return not declared and in_twelve and all(one.are_counts for one in ranges)


def _are_whole(cube: Cube, level: float) -> bool:
    """Whether stored values are whole numbers, to a hundredth."""
    for part in (cube[::16, ::16], cube):  # a few values settle it for most scenes
        stored = part * np.float32(level)
        if not np.all(np.abs(stored - np.rint(stored)) < 0.01):
            return False
    return True


def _agreed_guess(ranges: Sequence[ValueRange]) -> float | None:
    """The level of the largest values where all levels are guesses that differ, else None."""
    if not ranges or any(one.origin != GUESSED for one in ranges) or len({one.level for one in ranges}) == 1:
        return None
    return max(ranges, key=lambda one: one.high * one.level).level
