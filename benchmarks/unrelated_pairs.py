"""How often two images of different places pass as a pair: `python -m benchmarks.unrelated_pairs
--number=500`.

Both images are simulated with SciPy from crops of real scenes: a PSF (Gaussian, detector element or motion)
of the coarse camera, a random response of one to eight channels, 25 to 40 dB of noise, and in one pair of
three a shift of up to a coarse pixel and a rotation of up to a degree. A related pair shows one crop; an
unrelated one two scenes, or two parts of one that have no pixel in common. `hsr check --quick` judges each.
With `--register` every one is also put at random among the eight orientations, with a shift of several
pixels.

Intervals are those of Wilson for 95 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from absl import flags
from scipy import ndimage

from hsr_tf.data.scenes import find_scenes
from hsr_tf.io import load
from hsr_tf.typing import Array, Cube

FLAGS = flags.FLAGS
FOLDERS = ("hsi/cave_train", "hsi/remote")
SMALLEST_BANDS, MOST_CHANNELS, WIDEST_SPARE = 20, 8, 0.15
SCALES, SIDES = (4, 8, 16), (16, 20, 24, 32)
Z_95 = 1.96


@dataclass(frozen=True)
class Place:
    """A square of a scene."""

    scene: int
    row: int
    col: int


@dataclass(frozen=True, eq=False)
class Trial:
    """A pair, and whether both images show one place."""

    lr_hsi: Cube
    hr_msi: Cube
    scale: int
    related: bool


class Simulation:
    """Pairs of these scenes.

    Args:
        cubes: (H, W, C), those of fewer than 64 pixels on a side are not used.
        seed: of everything.
        displaced: whether pairs are also turned, mirrored and shifted by several pixels.
    """

    def __init__(self, cubes: Sequence[Cube], seed: int, *, displaced: bool = False) -> None:
        self._cubes, self._rng, self._displaced = cubes, np.random.default_rng(seed), displaced

    def trial(self, *, related: bool) -> Trial:
        """One pair; the scale and the size are such that both places lie in their scenes."""
        rng = self._rng
        while True:
            scale, side = int(rng.choice(SCALES)), int(rng.choice(SIDES))
            size = scale * side
            first = self._place(size)
            second = first if related else self._place(size)
            if first is None or second is None:
                continue
            if not related and _overlap(first, second, size):
                continue
            lr_hsi = self._coarse(first, size, scale)
            hr_msi = self._sharp(second, size)
            return Trial(lr_hsi, hr_msi, scale, related)

    def _place(self, size: int) -> Place | None:
        scene = int(self._rng.integers(len(self._cubes)))
        room = np.array(self._cubes[scene].shape[:2]) - size
        if (room < 0).any():
            return None
        row, col = (int(self._rng.integers(n + 1)) for n in room)
        return Place(scene, row, col)

    def _coarse(self, place: Place, size: int, scale: int) -> Cube:
        """The place, a little off in one of three, through the coarse camera."""
        rng, cube = self._rng, self._cubes[place.scene]
        shift, angle = np.zeros(2), 0.0
        if rng.random() < 1 / 3:
            shift, angle = rng.uniform(-scale, scale, 2), np.deg2rad(rng.uniform(-1, 1))
        margin = 3 * scale
        rows, cols = (np.arange(first - margin, first + size + margin) for first in (place.row, place.col))
        rows, cols = (
            np.clip(np.abs(r), 0, 2 * n - 1) for r, n in zip((rows, cols), cube.shape, strict=False)
        )
        rows, cols = (np.minimum(r, 2 * n - 1 - r) for r, n in zip((rows, cols), cube.shape, strict=False))
        ground = cube[np.ix_(rows, cols)].astype(np.float64)
        if shift.any():
            turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
            middle = (np.array(ground.shape[:2]) - 1) / 2
            offset = middle - turn @ middle + shift
            for band in range(ground.shape[2]):
                ground[..., band] = ndimage.affine_transform(
                    ground[..., band], turn, offset, order=3, mode="nearest"
                )
        blurred = self._blurred(ground, scale)
        inner = blurred[margin : margin + size, margin : margin + size]
        first = scale // 2
        if scale % 2 == 0:  # the middle of an even cell lies between four pixels
            inner = ndimage.uniform_filter(blurred, (2, 2, 0), mode="nearest")[
                margin : margin + size, margin : margin + size
            ]
        return self._noisy(inner[first::scale, first::scale])

    def _blurred(self, ground: Array, scale: int) -> Array:
        rng = self._rng
        kind = rng.choice(["gaussian", "box", "motion"])
        if kind == "gaussian":
            sigma = rng.uniform(0.7, 1.4) * scale / 2.3548
            return ndimage.gaussian_filter(ground, (sigma, sigma, 0), mode="nearest")
        if kind == "box":
            return ndimage.uniform_filter(ground, (scale, scale, 0), mode="nearest")
        narrow = ndimage.gaussian_filter(ground, (0.3 * scale, 0.3 * scale, 0), mode="nearest")
        return ndimage.uniform_filter1d(narrow, scale, axis=int(rng.integers(2)), mode="nearest")

    def _sharp(self, place: Place, size: int) -> Cube:
        """The place through a colour camera."""
        rng = self._rng
        ground = self._cubes[place.scene][place.row : place.row + size, place.col : place.col + size]
        bands = np.arange(ground.shape[2])[:, None]
        channels = int(rng.integers(1, MOST_CHANNELS + 1))
        middle = rng.uniform(0, ground.shape[2] - 1, channels)
        width = rng.uniform(0.03, 0.25, channels) * ground.shape[2]
        response = np.exp(-0.5 * ((bands - middle) / width) ** 2)
        response *= rng.uniform(0.3, 2) / response.sum(0)
        image = self._noisy(ground.astype(np.float64) @ response)
        if self._displaced:
            image = np.rot90(image.swapaxes(0, 1) if rng.random() < 0.5 else image, int(rng.integers(4)))
            away = int(size // 10)
            rows, cols = (int(n) for n in rng.integers(0, away + 1, 2))
            image = image[rows : size - away + rows, cols : size - away + cols]
        return np.ascontiguousarray(image, np.float32)

    def _noisy(self, image: Array) -> Cube:
        level = 10 ** (-self._rng.uniform(25, 40) / 20)
        sigma = level * np.sqrt(np.mean(np.square(image)))
        return (image + sigma * self._rng.standard_normal(image.shape)).astype(np.float32)


def _overlap(first: Place, second: Place, size: int) -> bool:
    apart = max(abs(first.row - second.row), abs(first.col - second.col))
    return first.scene == second.scene and apart < size


def wilson(count: int, number: int) -> tuple[float, float]:
    """The interval of Wilson for a share that was seen `count` times of `number`, for 95 %."""
    share, spread = count / number, Z_95**2 / number
    half = Z_95 * np.sqrt(share * (1 - share) / number + spread / (4 * number))
    return tuple(float((share + spread / 2 + sign * half) / (1 + spread)) for sign in (-1, 1))  # type: ignore[return-value]


def read_cubes(folders: Sequence[str] = FOLDERS, names: Sequence[str] = ()) -> list[Cube]:
    """The scenes of these folders with enough bands."""
    cubes = []
    for folder in folders:
        for path in find_scenes(None, default=folder):
            if names and path.stem not in names:
                continue
            cube = load(path).cube
            if cube.shape[2] >= SMALLEST_BANDS and min(cube.shape[:2]) >= 64:
                cubes.append(np.ascontiguousarray(cube[..., :: max(1, cube.shape[2] // 60)]))
    return cubes
