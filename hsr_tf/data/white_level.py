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
    if white_level is None:
        white_level = TWELVE_BITS if _are_of_twelve_bits(scenes) else _agreed_guess(scenes)
    if white_level is not None:
        given = {"white_level": white_level, "white_level_origin": "argument"}
        scenes = [
            replace(
                scene,
                cube=scene.cube * np.float32(_level(scene) / white_level),
                metadata={**scene.metadata, **given},
            )
            for scene in scenes
        ]
        remedy = f"correct --white_level={white_level:g}"
    for scene in scenes:
        low, high = float(scene.cube.min()), float(scene.cube.max())
        checks.require(
            low >= LEAST and high <= MOST,
            flag,
            expected="cubes with values in [0, 1]",
            received=f"{scene.metadata.get('source', scene.name)} with values from {low:.4g} to {high:.4g}",
            remedy=remedy,
        )
    return UnitScenes(scenes, white_level)


def _are_of_twelve_bits(scenes: Sequence[Scene]) -> bool:
    """Whether no white level is declared, and all hold whole numbers of 12 bits, more than 10 somewhere."""
    largest = 0.0
    for scene in scenes:
        origin = str(scene.metadata.get("white_level_origin", ""))
        if "white_level" in scene.metadata and not origin.startswith(OF_THE_TYPE):
            return False
        largest = max(largest, float(scene.cube.max()) * _level(scene))
    if not TEN_BITS < largest <= TWELVE_BITS + 0.5:
        return False
    stored = (scene.cube * np.float32(_level(scene)) for scene in scenes)
    return all(float(one.min()) >= 0 and bool(np.all(np.abs(one - np.rint(one)) < 0.01)) for one in stored)


def _agreed_guess(scenes: Sequence[Scene]) -> float | None:
    """The level of the largest values where all levels are guesses that differ, else None."""
    guessed = [scene for scene in scenes if scene.metadata.get("white_level_origin") == GUESSED]
    if not guessed or len(guessed) < len(scenes) or len({_level(scene) for scene in guessed}) == 1:
        return None
    return _level(max(guessed, key=lambda scene: float(scene.cube.max()) * _level(scene)))


def _level(scene: Scene) -> float:
    """What stored values were divided by on reading."""
    return float(scene.metadata.get("white_level", 1.0))
