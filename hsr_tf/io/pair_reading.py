"""Two images of one place, read so that they fit: their arrays, white levels and wavelengths."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hsr_tf import io
from hsr_tf.findings import Finding
from hsr_tf.io.white_level import WhiteLevel, agreed_levels, guess_finding
from hsr_tf.scene import Scene

NAMES = ("lr_hsi", "hr_msi")
FLAGS = ("lr_white_level", "hr_white_level")


@dataclass(frozen=True)
class PairReading:
    """What the caller knows better than the two files; None leaves it to the files.

    Attributes:
        lr_key, hr_key: the array, where a file holds several.
        lr_white_level, hr_white_level: stored value that stands for 1.0.
        wavelengths_nm: of the bands of the coarse cube; they take the place of those in the file.
    """

    lr_key: str | None = None
    hr_key: str | None = None
    lr_white_level: float | None = None
    hr_white_level: float | None = None
    wavelengths_nm: tuple[float, ...] | None = None

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> PairReading:
        """Return the inverse of `dataclasses.asdict`."""
        wavelengths = data.get("wavelengths_nm")
        return cls(**{**data, "wavelengths_nm": None if wavelengths is None else tuple(wavelengths)})


@dataclass(frozen=True, eq=False)
class LoadedPair:
    """Two scenes, and what was guessed in reading them, one sentence each."""

    lr_hsi: Scene
    hr_msi: Scene
    guesses: tuple[str, ...] = ()


def load_pair(lr_hsi: Path, hr_msi: Path, reading: PairReading | None = None) -> LoadedPair:
    """Load both images; white levels that are guesses are made to agree.

    Raises:
        OSError, ValueError: as `hsr_tf.load`.
    """
    reading = reading or PairReading()
    coarse = _coarse(lr_hsi, reading, reading.lr_white_level)
    sharp = io.load(hr_msi, key=reading.hr_key, white_level=reading.hr_white_level)
    found = WhiteLevel.of(coarse.metadata), WhiteLevel.of(sharp.metadata)
    agreed = agreed_levels(*found)
    if agreed[0].level != found[0].level:
        coarse = marked(_coarse(lr_hsi, reading, agreed[0].level), agreed[0])
    if agreed[1].level != found[1].level:
        sharp = marked(io.load(hr_msi, key=reading.hr_key, white_level=agreed[1].level), agreed[1])
    return LoadedPair(coarse, sharp, guess_lines(*agreed))


def guess_lines(lr_level: WhiteLevel, hr_level: WhiteLevel) -> tuple[str, ...]:
    """Return a sentence for each of the two levels that is a guess."""
    return tuple(finding.line for finding in guess_findings(lr_level, hr_level))


def guess_findings(lr_level: WhiteLevel, hr_level: WhiteLevel) -> list[Finding]:
    """Return a note for each of the two levels that is a guess."""
    found = map(guess_finding, NAMES, (lr_level, hr_level), FLAGS)
    return [finding for finding in found if finding is not None]


def marked(scene: Scene, level: WhiteLevel) -> Scene:
    """Return the scene with the origin of its white level."""
    return replace(scene, metadata={**scene.metadata, **level.as_metadata()})


def _coarse(path: Path, reading: PairReading, level: float | None) -> Scene:
    given = reading.wavelengths_nm
    wavelengths = None if given is None else np.asarray(given, np.float64)
    return io.load(path, key=reading.lr_key, white_level=level, wavelengths_nm=wavelengths)
