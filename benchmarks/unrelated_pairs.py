"""How often two images of different places pass as a pair: `python -m benchmarks.unrelated_pairs`.

Both images are simulated with SciPy from crops of real scenes: a PSF (Gaussian, detector element or motion)
of the coarse camera, a random response of one to eight channels, 25 to 40 dB of noise, and in one pair of
three a shift of up to a coarse pixel and a rotation of up to a degree. A related pair shows one crop; an
unrelated one two scenes, or two parts of one that have no pixel in common. `hsr check --quick` judges each.
With `--displaced` every one is also put at random among the eight orientations, with a shift of several
pixels.

Intervals are those of Wilson for 95 %.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice

import numpy as np
from absl import flags
from scipy import ndimage
from tqdm import tqdm

from hsr_tf.console.flag_apps import run_app
from hsr_tf.data.scenes import find_scenes
from hsr_tf.findings import RED
from hsr_tf.fusion.check import check_pair
from hsr_tf.fusion.registered import TOPIC
from hsr_tf.io import load
from hsr_tf.scene import Scene
from hsr_tf.typing import Array, Cube

FLAGS = flags.FLAGS
FOLDERS = ("hsi/cave_train", "hsi/remote")
FEWEST_BANDS, MOST_BANDS, MOST_CHANNELS, SMALLEST_SIDE, LITTLE_OFF = 20, 40, 8, 64, 1 / 3
SCALES, SIDES = (4, 8, 16), (16, 20, 24, 32)
Z_95, SHOWN = 1.96, 60


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

    def trials(self) -> Iterator[Trial]:
        """Related and unrelated pairs in turn."""
        for number in count():
            yield self.trial(related=number % 2 == 0)

    def _place(self, size: int) -> Place | None:
        scene = int(self._rng.integers(len(self._cubes)))
        room = np.array(self._cubes[scene].shape[:2]) - size
        if (room < 0).any():
            return None
        row, col = (int(self._rng.integers(n + 1)) for n in room)
        return Place(scene, row, col)

    def _coarse(self, place: Place, size: int, scale: int) -> Cube:
        """The place, a little off in one of three, through the coarse camera."""
        rng, cube, margin = self._rng, self._cubes[place.scene], 3 * scale
        padded = np.pad(cube, ((margin, margin), (margin, margin), (0, 0)), mode="symmetric")
        length = size + 2 * margin
        ground = padded[place.row : place.row + length, place.col : place.col + length].astype(np.float64)
        if rng.random() < LITTLE_OFF:
            angle, shift = np.deg2rad(rng.uniform(-1, 1)), rng.uniform(-scale, scale, 2)
            turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
            middle = np.full(2, (length - 1) / 2)
            for band in range(ground.shape[2]):
                ground[..., band] = ndimage.affine_transform(
                    ground[..., band], turn, middle - turn @ middle + shift, mode="nearest"
                )
        blurred = self._blurred(ground, scale)[margin:-margin, margin:-margin]
        # The middle of a cell of an even number of pixels lies between four.
        near = slice(scale // 2 - 1, scale // 2 + 1)
        return self._noisy(
            blurred.reshape(size // scale, scale, size // scale, scale, -1)[:, near, :, near].mean((1, 3))
        )

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


def wilson(seen: int, number: int) -> tuple[float, float]:
    """The interval of Wilson for a share that was seen so many times of `number`, for 95 %."""
    share, spread = seen / number, Z_95**2 / number
    half = Z_95 * float(np.sqrt(share * (1 - share) / number + spread / (4 * number)))
    return (share + spread / 2 - half) / (1 + spread), (share + spread / 2 + half) / (1 + spread)


def read_cubes(folders: Sequence[str] = FOLDERS, names: Sequence[str] = ()) -> list[Cube]:
    """The scenes of these folders with enough bands."""
    cubes = []
    for folder in folders:
        for path in find_scenes(None, default=folder):
            if names and path.stem not in names:
                continue
            cube = load(path).cube
            if cube.shape[2] >= FEWEST_BANDS and min(cube.shape[:2]) >= SMALLEST_SIDE:
                cubes.append(np.ascontiguousarray(cube[..., :: max(1, cube.shape[2] // MOST_BANDS)]))
    return cubes


def judged(trial: Trial) -> tuple[str, str]:
    """The color of the verdict on a trial, and the worst finding in a few words."""
    found = check_pair(Scene(trial.lr_hsi), Scene(trial.hr_msi), estimate=False)
    (finding,) = [one for one in found.findings if one.topic == TOPIC] or [found.findings[0]]
    return found.verdict.color, f"{finding.severity}: {finding.found[:SHOWN]}"


def run(trials: Iterator[Trial], number: int) -> dict[bool, list[tuple[str, str]]]:
    """The verdicts on so many related and so many unrelated pairs; wrong ones are shown as they come."""
    verdicts: dict[bool, list[tuple[str, str]]] = {True: [], False: []}
    for index, trial in enumerate(tqdm(islice(trials, 2 * number), total=2 * number, leave=False)):
        color, said = judged(trial)
        verdicts[trial.related].append((color, said))
        if (color == RED) == trial.related:
            name = "related" if trial.related else "unrelated"
            tqdm.write(f"pair {index}, {name}: {said}", sys.stderr)
    return verdicts


def report(verdicts: dict[bool, list[tuple[str, str]]]) -> list[str]:
    """The rates in words, and the verdicts that are wrong."""
    lines = []
    for related, found in verdicts.items():
        fusable = sum(color != RED for color, _ in found)
        low, high = wilson(fusable, len(found))
        name = "related" if related else "unrelated"
        share = f"{100 * fusable / len(found):.1f} % (95 %: {100 * low:.1f} to {100 * high:.1f} %)"
        lines.append(f"{name}: {fusable} of {len(found)} called fusable, {share}")
        wrong = [said for color, said in found if (color == RED) == related]
        lines += [f"    {times} x {said}" for said, times in Counter(wrong).most_common()]
    return lines


def _define_flags() -> None:
    flags.DEFINE_integer("number", 500, "Related pairs, and unrelated ones.", 1)
    flags.DEFINE_integer("seed", 0, "Random seed.")
    flags.DEFINE_list("scenes", [], "Names of scenes (empty: all of hsi/cave_train and hsi/remote).")
    flags.DEFINE_bool("displaced", False, "Turn, mirror and shift the sharp images as well.")


def main() -> None:
    """Judge the pairs and print both rates."""
    began = time.perf_counter()
    simulation = Simulation(read_cubes(names=FLAGS.scenes), FLAGS.seed, displaced=FLAGS.displaced)
    verdicts = run(simulation.trials(), FLAGS.number)
    print("\n".join(report(verdicts)))
    print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    _define_flags()
    run_app(main)
