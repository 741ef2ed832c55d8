"""Two images of one place, read so that they fit: their arrays, white levels and wavelengths."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hsr_tf import io
from hsr_tf.checks import InputError
from hsr_tf.findings import NOTE, Finding
from hsr_tf.io.account import pair_findings
from hsr_tf.io.source import ReadRequest
from hsr_tf.io.stream import CubeReader
from hsr_tf.io.white_level import LARGEST_OF_12_BITS, REFLECTANCE_FACTOR, WhiteLevel, agreed_levels
from hsr_tf.scene import Scene

NAMES = ("lr_hsi", "hr_msi")
FLAGS = ("lr_white_level", "hr_white_level")
OF_EACH_FILE = ("key", "layout", "white_level")


@dataclass(frozen=True)
class PairReading:
    """What the caller knows better than the two files; None leaves it to the files.

    Attributes:
        lr_key, hr_key: the array, where a file holds several.
        lr_white_level, hr_white_level: stored value that stands for 1.0.
        wavelengths_nm: of the bands of the coarse cube; they take the place of those in the file.
        lr_layout, hr_layout: order of the axes, e.g. "row,col,band".
        nodata: stored value of pixels without data, in both files.
        alpha: "mask" or "band", what a channel marked as alpha is, in both files.
        allow_remote: whether files on servers and in archives are opened.
    """

    lr_key: str | None = None
    hr_key: str | None = None
    lr_white_level: float | None = None
    hr_white_level: float | None = None
    wavelengths_nm: tuple[float, ...] | None = None
    lr_layout: str | None = None
    hr_layout: str | None = None
    nodata: float | None = None
    alpha: str | None = None
    allow_remote: bool = False

    @property
    def requests(self) -> tuple[ReadRequest, ReadRequest]:
        """How the coarse and the sharp file are read, in parts."""
        listed = None if self.wavelengths_nm is None else np.asarray(self.wavelengths_nm, np.float64)
        beside: dict[str, Any] = {
            "in_parts": True,
            "nodata": self.nodata,
            "alpha": self.alpha,
            "allow_remote": self.allow_remote,
        }
        return (
            ReadRequest(self.lr_key, self.lr_layout, self.lr_white_level, listed, **beside),
            ReadRequest(self.hr_key, self.hr_layout, self.hr_white_level, **beside),
        )

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> PairReading:
        """Return the inverse of `dataclasses.asdict`."""
        wavelengths = data.get("wavelengths_nm")
        return cls(**{**data, "wavelengths_nm": None if wavelengths is None else tuple(wavelengths)})


@dataclass(frozen=True, eq=False)
class OpenPair:
    """Two open images, what was guessed in reading them, one sentence each, and what their readers say."""

    lr_hsi: CubeReader
    hr_msi: CubeReader
    guesses: tuple[str, ...]
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, eq=False)
class LoadedPair:
    """Two scenes, and what was guessed in reading them, one sentence each."""

    lr_hsi: Scene
    hr_msi: Scene
    guesses: tuple[str, ...] = ()


@contextmanager
def open_pair(
    lr_hsi: Path,
    hr_msi: Path,
    reading: PairReading | None = None,
    *,
    max_gib: Callable[[], float] = lambda: 16.0,
) -> Iterator[OpenPair]:
    """Open both images; white levels that are guesses are made to agree.

    Args:
        lr_hsi, hr_msi: files.
        reading: what the caller knows better than the files.
        max_gib: returns the limit of `open_cube`, before each file is opened.

    Raises:
        OSError, ValueError: as `hsr_tf.io.open_cube`.
    """
    (lr_request, hr_request), pixel = (reading or PairReading()).requests, slice(0, 1)
    with ExitStack() as stack:
        coarse = stack.enter_context(open_of_pair("lr_hsi", lr_hsi, replace(lr_request, max_gib=max_gib())))
        coarse.read(pixel, pixel)  # a file that is held is in memory from here on
        sharp = stack.enter_context(open_of_pair("hr_msi", hr_msi, replace(hr_request, max_gib=max_gib())))
        sharp.read(pixel, pixel)
        levels = agreed_levels(coarse.white_level, sharp.white_level)
        first, second = (
            reader if reader.white_level == level else reader.scaled_by(level)
            for reader, level in zip((coarse, sharp), levels, strict=True)
        )
        said = pair_findings(coarse.header.findings, sharp.header.findings)
        guesses = tuple(finding.line for finding in guess_findings(*levels))
        yield OpenPair(first, second, guesses, said)


@contextmanager
def open_of_pair(name: str, path: Path, request: ReadRequest) -> Iterator[CubeReader]:
    """Open one of two images; an error about an argument has its name in a `PairReading`.

    Args:
        name: "lr_hsi" or "hr_msi".
        path: the file.
        request: see `PairReading.requests`.

    Raises:
        OSError, ValueError: as `hsr_tf.io.open_cube`.
    """
    with ExitStack() as stack:
        try:
            reader = stack.enter_context(io.open_reader(path, request))
        except InputError as error:
            if error.argument not in OF_EACH_FILE:
                raise
            argument = f"{name.partition('_')[0]}_{error.argument}"
            fields = {"expected": error.expected, "received": error.received, "remedy": error.remedy}
            raise InputError(argument, **fields) from error
        yield reader


def load_pair(lr_hsi: Path, hr_msi: Path, reading: PairReading | None = None) -> LoadedPair:
    """Load both images; arguments and errors as in `open_pair`."""
    with open_pair(lr_hsi, hr_msi, reading) as pair:
        return LoadedPair(pair.lr_hsi.scene(), pair.hr_msi.scene(), pair.guesses)


def guess_findings(lr_level: WhiteLevel, hr_level: WhiteLevel) -> list[Finding]:
    """Return a note for each of the two levels that is a guess."""
    findings = []
    for name, level, flag in zip(NAMES, (lr_level, hr_level), FLAGS, strict=True):
        if level.is_guess:
            said = f"integers up to {level.largest:g} without a white level, read as value / {level.level:g}"
            advice = f"if it is wrong, give --{flag}"
            if level.level == REFLECTANCE_FACTOR and (level.largest or 0) < LARGEST_OF_12_BITS:
                advice = f"{advice}, e.g. 4095 for a camera of 12 bits"
            findings.append(Finding(NOTE, "values", f"{name}: {said}, a guess", advice))
    return findings
