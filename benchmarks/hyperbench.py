"""Methods on inputs of another project's making: `python -m benchmarks.hyperbench --scenes=flowers,clay`.

HyperBench (Shah, 2025) simulates both images itself: the cube is scaled to [0, 1] between its 1st and 99th
percentile, blurred by a 15 x 15 PSF with zeros outside and averaged over s x s pixels; the response has
Gaussian channels; both images get white noise. Scores are PSNR over the whole cube on 8-bit values, as it
prints them, and seconds of processor time. The response is given to every method; the PSF is given with
--known_psf, else `auto` estimates it, and another method that needs one gets the default Gaussian.

`ridge` is a kernel ridge regression from X R to X in NumPy, with nothing of this project.

    pip install hyperbench --no-deps && pip install sewar opencv-python-headless pyyaml

Without that package nothing is measured, and a line says so.
"""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from absl import flags
from scipy.signal import convolve2d
from tqdm import tqdm

from benchmarks._report import define_names
from hsr_tf.console.flag_apps import run_app
from hsr_tf.data.scenes import find_scenes, top_left
from hsr_tf.fusion.api import fuse
from hsr_tf.io import load
from hsr_tf.physics.psf import Psf
from hsr_tf.physics.spectral import SpectralResponse
from hsr_tf.scene import Observation, Scene
from hsr_tf.solvers.solver import Controls
from hsr_tf.typing import Array, Cube

FLAGS = flags.FLAGS
RIDGE, SEED = "ridge", 42
WIDTH, RADIUS = 3.4, 7
LENGTHS, RIDGES, MOST_PIXELS = (0.5, 1, 2, 4, 8, 16), 10.0 ** np.arange(-7, 0), 1000


@dataclass(frozen=True)
class Case:
    """A degradation: scale, channels, and noise of X and Y in dB."""

    scale: int
    channels: int
    snr_db: tuple[float, float]

    @property
    def name(self) -> str:
        """As --cases takes it, e.g. "x8c4"."""
        return f"x{self.scale}c{self.channels}"

    @property
    def label(self) -> str:
        """In words."""
        return f"x{self.scale}, {self.channels} channels"


CASES = (
    Case(4, 4, (35, 40)),
    Case(8, 4, (30, 40)),
    Case(16, 4, (25, 40)),
    Case(32, 4, (20, 40)),
    Case(8, 3, (30, 40)),
    Case(8, 8, (30, 40)),
    Case(8, 16, (30, 40)),
)


@dataclass(frozen=True, eq=False)
class Pair:
    """A simulated pair: the truth, X, Y, R (C, c) and the PSF with the averaging over s x s pixels."""

    truth: Cube
    lr_hsi: Cube
    hr_msi: Cube
    response: Array
    psf: Array


@dataclass(frozen=True)
class Row:
    """The score of a method, and the processor time that it took."""

    scene: str
    case: Case
    method: str
    psnr: float
    seconds: float


def define_flags() -> None:
    """What is measured."""
    flags.DEFINE_list("methods", ["auto", "spectralift", RIDGE], "Methods.")
    flags.DEFINE_list("scenes", ["flowers", "egyptian_statue"], "Names of scenes.")
    flags.DEFINE_string("data_dir", None, "Folder of sharp cubes (default: $HSR_DATA/hsi/cave_train).")
    flags.DEFINE_integer("crop", 256, "Side of the square from the top left of a scene.", 16)
    names = [case.name for case in CASES]
    define_names("cases", names, names, "Degradations: scale and number of channels.")
    flags.DEFINE_list("psfs", ["gaussian"], "PSFs of HyperBench, e.g. gaussian,airy,moffat,delta.")
    flags.DEFINE_bool("known_psf", False, "Give the PSF to the methods that need one.")
    flags.DEFINE_float("max_seconds", None, "Time limit of solvers and of auto.", 0.1)


def simulated(degradations: Any, cube: Cube, case: Case, psf_name: str = "gaussian") -> Pair:
    """What HyperBench makes of a sharp cube.

    Args:
        degradations: the module `hyperbench.degradations`.
        cube: (H, W, C), any units.
        case: scale, channels and noise.
        psf_name: one of HyperBench's PSFs.
    """
    height, width = (n // case.scale * case.scale for n in cube.shape[:2])
    truth = degradations.normalize_image(cube[:height, :width].astype(np.float32))
    psf = degradations.make_psf(psf_name, sigma=WIDTH, kernel_radius=RADIUS)
    rngs = [np.random.default_rng(SEED + number) for number in range(2)]
    hsi_db, msi_db = case.snr_db
    lr_hsi = degradations.spatial_degradation(truth, psf, case.scale, hsi_db, normalize=False, rng=rngs[0])
    hr_msi, response, *_ = degradations.spectral_degradation(
        truth, msi_db, num_bands=case.channels, normalize=False, rng=rngs[1]
    )
    cell = np.full((case.scale, case.scale), 1 / case.scale**2)
    truth, lr_hsi, hr_msi = (np.asarray(image, np.float32) for image in (truth, lr_hsi, hr_msi))
    return Pair(truth, lr_hsi, hr_msi, np.asarray(response.T, float), convolve2d(psf, cell, "full"))


def psnr_8bit(truth: Cube, estimate: Cube) -> float:
    """PSNR over the whole cube on 8-bit values, dB."""
    levels = [np.clip(cube * 255, 0, 255).astype(np.uint8).astype(float) for cube in (truth, estimate)]
    return float(10 * np.log10(255**2 / np.mean(np.square(levels[0] - levels[1]))))


def kernel_ridge(pair: Pair) -> Cube:
    """A plain kernel ridge regression from X R to X, its length and ridge chosen on a fifth of the pixels."""
    spectra = pair.lr_hsi.reshape(-1, pair.lr_hsi.shape[-1]).astype(float)
    colours, sharp = spectra @ pair.response, pair.hr_msi.reshape(-1, pair.hr_msi.shape[-1])
    unit, mean = colours.std(0).mean(), spectra.mean(0)
    kept = np.random.default_rng(0).permutation(len(colours))[:MOST_PIXELS]
    inputs, targets = colours[kept] / unit, spectra[kept] - mean
    squares = np.square(inputs[:, None] - inputs).sum(-1)
    seen = np.arange(len(kept)) >= len(kept) // 5
    found = []
    for length in LENGTHS:
        kernel = np.exp(-squares / (2 * length**2))
        values, vectors = np.linalg.eigh(kernel[seen][:, seen])
        rotated = vectors.T @ targets[seen]
        for ridge in RIDGES:
            weights = vectors @ (rotated / (values + ridge * seen.sum())[:, None])
            left = kernel[~seen][:, seen] @ weights - targets[~seen]
            found.append((float(np.square(left).mean()), length, float(ridge)))
    _, length, ridge = min(found)
    kernel = np.exp(-squares / (2 * length**2)) + ridge * len(kept) * np.eye(len(kept))
    weights = np.linalg.solve(kernel, targets)
    parts = [
        np.exp(-np.square(part[:, None] / unit - inputs).sum(-1) / (2 * length**2)) @ weights
        for part in np.array_split(sharp, len(sharp) // 256 + 1)
    ]
    return (np.concatenate(parts) + mean).reshape(pair.truth.shape)


def estimate(pair: Pair, method: str, scale: int) -> Cube:
    """The sharp cube of a method."""
    if method == RIDGE:
        return kernel_ridge(pair)
    return fuse(
        Observation(Scene(pair.lr_hsi), Scene(pair.hr_msi), scale),
        method,
        psf=Psf(pair.psf) if FLAGS.known_psf else None,
        srf=SpectralResponse(pair.response),
        controls=Controls(max_seconds=FLAGS.max_seconds),
    ).estimate.cube


def measure(degradations: Any, scenes: Sequence[Scene]) -> Iterator[Row]:
    """Every method on every scene, case and PSF."""
    for scene in scenes:
        for case in (case for case in CASES if case.name in FLAGS.cases):
            for psf_name in FLAGS.psfs:
                pair = simulated(degradations, scene.cube, case, psf_name)
                for method in FLAGS.methods:
                    start = time.process_time()
                    found = estimate(pair, method, case.scale)
                    seconds = time.process_time() - start
                    score = psnr_8bit(pair.truth, found)
                    tqdm.write(f"{scene.name} {case.label} {psf_name} {method} {score:.2f} dB", sys.stderr)
                    yield Row(f"{scene.name}, {psf_name}", case, method, score, seconds)


def markdown(rows: Sequence[Row], names: Sequence[str]) -> str:
    """A line a scene and case, dB and seconds of each method."""
    text = [f"| scene, PSF | case | {' | '.join(names)} |", "| --- | --- |" + " ---: |" * len(names)]
    for scene, case in dict.fromkeys((row.scene, row.case) for row in rows):
        own = {row.method: row for row in rows if (row.scene, row.case) == (scene, case)}
        cells = [f"{own[n].psnr:.1f} ({own[n].seconds:.0f} s)" if n in own else "" for n in names]
        text.append(f"| {scene} | {case.label} | {' | '.join(cells)} |")
    return "\n".join(text)


def main() -> None:
    """Print the table."""
    try:
        degradations = importlib.import_module("hyperbench.degradations")
    except ImportError as error:
        print(f"skipped: {error}; pip install hyperbench --no-deps, then sewar opencv-python-headless pyyaml")
        return
    paths = find_scenes(FLAGS.data_dir, default="hsi/cave_train", names=FLAGS.scenes)
    rows = list(measure(degradations, [top_left(load(path), FLAGS.crop) for path in paths]))
    print(markdown(rows, FLAGS.methods))


if __name__ == "__main__":
    define_flags()
    run_app(main)
