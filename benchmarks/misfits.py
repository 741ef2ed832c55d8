"""What misfits of a pair cost, and whether the verdict names them: `python -m benchmarks.misfits`.

Each case is a pair with one misfit and the same pair without it (`benchmarks._misfit_pairs`: NumPy, SciPy and
Pillow alone). Both go the way of `hsr check` and `hsr fuse`: they are checked, aligned, and fused with the
flags that the check prints. Scores are PSNR, the mean over the bands of cubes clipped to [0, 1], on the
pixels where a comparison is fair.

    python -m benchmarks.misfits --scenes=flowers,thread_spools --cases="rotation 1 degree,zero border"
    python -m benchmarks.misfits --data_dir=CUBES --scenes=jasperRidge2_R198 --crop=64 --scale=4 \\
        --response=sentinel.csv --channels=S2A:Band2,S2A:Band3,S2A:Band4,S2A:Band8
    python -m benchmarks.misfits --false_alarms --scenes=cd,clay --crop=128 --scale=4 --methods=spectral_ls
"""

from __future__ import annotations

import csv
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from absl import flags
from scipy import ndimage
from skimage.feature import match_template
from tqdm import tqdm

import hsr_tf.physics
from benchmarks._misfit_pairs import CASES, ORDER, Ground, Pair, Simulator
from benchmarks._report import define_json, define_names, machine, print_machine, table, write
from hsr_tf.console.flag_apps import run_app
from hsr_tf.data.scenes import find_scenes
from hsr_tf.findings import ERROR, GREEN, RED, WARNING, Finding
from hsr_tf.fusion.api import fuse
from hsr_tf.fusion.check import PairCheck, check_pair
from hsr_tf.fusion.registered import align_registered
from hsr_tf.io import load
from hsr_tf.physics.spectral import SpectralResponse, load_srf
from hsr_tf.scene import Scene, Solution
from hsr_tf.solvers.solver import Controls
from hsr_tf.typing import Array, Cube, Mask
from hsr_tf.wording import signed

FLAGS = flags.FLAGS
NIKON = Path(hsr_tf.physics.__file__).parent / "responses" / "nikon_d700.csv"
FEWEST_COUNTED, FOUND_AGAIN = 0.5, 0.5
LIMITS_DB = {"rotation": 1.5, "ratio": 1.5}
LIMIT_DB = 1.0
CLEAN_DB = (None, 40.0, 35.0, 30.0, 25.0)


@dataclass(frozen=True)
class Outcome:
    """How a pair went.

    Attributes:
        psnr: dB, None where nothing was fused.
        check, fuse: the verdicts, "green", "yellow" or "red".
        found: topics of warnings and errors, then what was undone.
        seconds: of check and fusion together.
    """

    psnr: float | None
    check: str
    fuse: str
    found: str
    seconds: float


@dataclass(frozen=True)
class Row:
    """One case of a scene by a method."""

    scene: str
    case: str
    method: str
    without: Outcome
    misfit: Outcome

    @property
    def difference(self) -> float | None:
        """dB that the misfit costs, negative; None where either was not fused."""
        if self.without.psnr is None or self.misfit.psnr is None:
            return None
        return self.misfit.psnr - self.without.psnr

    @property
    def fails(self) -> bool:
        """Whether it costs more than the limit and neither verdict is red."""
        limit = next((db for name, db in LIMITS_DB.items() if self.case.startswith(name)), LIMIT_DB)
        lost = self.difference is None or self.difference < -limit
        return lost and RED not in (self.misfit.check, self.misfit.fuse)


def define_flags() -> None:
    """What is measured."""
    flags.DEFINE_list("scenes", ["flowers", "thread_spools"], "Names of scenes.")
    flags.DEFINE_string("data_dir", None, "Folder of sharp cubes (default: $HSR_DATA/hsi/cave_train).")
    flags.DEFINE_integer("crop", 256, "Side of the square in the middle of a scene.", 32)
    flags.DEFINE_list("methods", ["auto"], "Methods.")
    define_names("cases", [], CASES, "Cases (default: all): " + ", ".join(map(repr, CASES)))
    flags.DEFINE_float("noise", None, "Signal-to-noise ratio of both images in dB, in every case.")
    flags.DEFINE_integer("scale", 8, "Sharp pixels per coarse pixel.", 2)
    flags.DEFINE_string("response", str(NIKON), "CSV file of the response, wavelengths in the first column.")
    flags.DEFINE_list("channels", [], "Columns of the response (default: all).")
    flags.DEFINE_bool("false_alarms", False, "Judge pairs without misfit, with noise of none to 25 dB.")
    flags.DEFINE_float("max_seconds", 60.0, "Time limit of solvers and of auto.", 0.1)
    define_json()


def read_table(path: str, channels: Sequence[str] = ()) -> tuple[Array, Array]:
    """Wavelengths and sensitivities of a CSV file, read without this project's reader."""
    with Path(path).open(newline="", encoding="utf-8") as file:
        head, *lines = csv.reader(line for line in file if not line.startswith("#"))
    values = np.array([[float(word) for word in line] for line in lines])
    columns = [head.index(name) for name in channels] if channels else range(1, len(head))
    return values[:, 0], values[:, list(columns)]


def write_table(path: Path, response: tuple[Array, Array]) -> None:
    """A response as a CSV file."""
    place, values = response
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["wavelength_nm", *(f"c{i + 1}" for i in range(values.shape[1]))])
        writer.writerows(np.column_stack([place, values]).tolist())


def grounds(paths: Sequence[Path], side: int) -> Iterator[tuple[str, Ground]]:
    """The middle of each scene; what comes in its place is of the next scene, or of the far side of one."""
    scenes = [load(path) for path in paths]
    response = read_table(FLAGS.response, FLAGS.channels)
    for index, scene in enumerate(scenes):
        cube = scene.cube.astype(np.float64)
        next_cube = scenes[(index + 1) % len(scenes)].cube.astype(np.float64)
        other = next_cube if len(scenes) > 1 else np.roll(cube, np.array(cube.shape[:2]) // 2, (0, 1))
        place = scene.wavelengths_nm
        assert place is not None, f"{scene.name} has no wavelengths"
        assert other.shape == cube.shape, "scenes of one size and the same bands"
        row, col = ((length - side) // 2 for length in cube.shape[:2])
        part = other[row : row + side, col : col + side]
        yield scene.name, Ground(cube, side, np.asarray(place, float), response, part)


def as_scenes(pair: Pair) -> tuple[Scene, Scene]:
    """Both images as a user has them."""
    lr_hsi = Scene(
        pair.lr_hsi.astype(np.float32),
        pair.wavelengths_nm,
        fwhm_nm=pair.widths_nm,
        nodata_mask=pair.lr_hole,
    )
    return lr_hsi, Scene(pair.hr_msi.astype(np.float32), nodata_mask=pair.hr_hole)


@dataclass(frozen=True, eq=False)
class Fused:
    """What became of the images of a pair, before it is compared with the truth: see `Outcome`."""

    pair: Pair
    estimate: Scene | None
    check: str
    fuse: str
    found: str
    seconds: float

    def outcome(self, pair: Pair) -> Outcome:
        """The outcome for a pair of these images."""
        score = None if self.estimate is None else psnr(pair, self.estimate)
        return Outcome(score, self.check, self.fuse, self.found, self.seconds)


def outcome(pair: Pair, method: str, *, max_seconds: float | None = None) -> Outcome:
    """Check and fuse a pair as its check says, solvers and auto within a time."""
    return fused(pair, method, max_seconds=max_seconds).outcome(pair)


def fused(pair: Pair, method: str, *, max_seconds: float | None = None) -> Fused:
    """Check and fuse the images of a pair."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        srf = None
        if pair.response is not None:
            srf = str(Path(folder) / "response.csv")
            write_table(Path(srf), pair.response)
        psf = None if pair.psf_fwhm is None else f"gaussian:fwhm={pair.psf_fwhm:g}"
        lr_hsi, hr_msi = as_scenes(pair)
        checked = check_pair(lr_hsi, hr_msi, psf=psf, srf=srf)
        try:
            solution = _fused(checked, (lr_hsi, hr_msi), method, Controls(max_seconds=max_seconds))
        except ValueError as error:
            words = f"{_found(checked.findings)}; {' '.join(str(error).split()[:8])}"
            return Fused(pair, None, checked.verdict.color, RED, words, time.perf_counter() - began)
    seconds = time.perf_counter() - began
    topics = _found((*checked.findings, *solution.findings))
    words = "; ".join(filter(None, (topics, _registered(checked), _undone(solution))))
    verdicts = checked.verdict.color, solution.verdict.color
    return Fused(pair, solution.estimate, *verdicts, words, seconds)


def _fused(checked: PairCheck, images: tuple[Scene, Scene], method: str, controls: Controls) -> Solution:
    """The solution with the flags of the check; cameras are estimated where it names none."""
    given = dict(checked.flags) or {"psf": "estimate", "srf": "estimate"}
    registered = align_registered(*images, psf=given.get("psf"))
    observation = registered.aligned.observation
    srf = given.get("srf")
    cube = images[0]
    response: str | SpectralResponse | None = srf
    if srf is not None and srf != "estimate":
        response = load_srf(srf, cube.wavelengths_nm, fwhm_nm=cube.fwhm_nm, outside="zero")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        solution = fuse(observation, method, psf=given.get("psf"), srf=response, controls=controls)
    estimate = registered.aligned.on_sharp_pixels(solution.estimate)
    found = solution.with_findings((*registered.warnings, *solution.findings))
    return replace(found, estimate=estimate)


def _found(findings: Sequence[Finding]) -> str:
    """Topics of warnings and errors."""
    return "; ".join(dict.fromkeys(one.topic for one in findings if one.severity in (WARNING, ERROR)))


def _registered(checked: PairCheck) -> str:
    """The transform by which the sharp image is brought under the coarse pixels."""
    nesting = None if checked.aligned is None else checked.aligned.nesting
    return "" if nesting is None else nesting.transform.line


def _undone(solution: Solution) -> str:
    """What a fusion found of the sharp image and undid, without the registration."""
    words = [] if solution.radiometry.is_identity else [solution.radiometry.line()]
    if solution.shift_pixels is not None:
        words.append("shift {}, {}".format(*(signed(one, 1) for one in solution.shift_pixels)))
    return "; ".join(words)


def psnr(pair: Pair, estimate: Scene) -> float | None:
    """Mean over the bands in dB, where a comparison is fair; None where the estimate covers too little."""
    truth, counted = on_grid_of(pair, estimate.cube)
    total = counted.sum()
    if estimate.nodata_mask is not None:
        counted = counted & ~estimate.nodata_mask
    if not total or counted.sum() < FEWEST_COUNTED * total:
        return None
    gap = np.clip(estimate.cube[counted].astype(np.float64), 0, 1) - np.clip(truth[counted], 0, 1)
    return float(np.mean(-10 * np.log10(np.square(gap).mean(0) + 1e-12)))


def on_grid_of(pair: Pair, estimate: Array | Cube) -> tuple[Array, Mask]:
    """The truth on the pixels of an estimate, and where it counts.

    An estimate of another number of pixels per coarse pixel covers the ground of the coarse cube; a smaller
    one of the same pixels is found again within the truth.
    """
    size, truth = estimate.shape[:2], pair.truth
    if size == truth.shape[:2]:
        return truth, pair.counted
    height, width, _ = pair.lr_hsi.shape
    scale = size[0] // height
    if size == (height * scale, width * scale) and scale != pair.ratio:
        places = (pair.ratio / scale * (np.arange(length) + 0.5) - 0.5 for length in size)
        grid = np.stack(np.meshgrid(*places, indexing="ij"))
        moved = [
            ndimage.map_coordinates(truth[..., band], grid, order=ORDER, mode="reflect")
            for band in range(truth.shape[2])
        ]
        counted = ndimage.map_coordinates(pair.counted.astype(float), grid, order=1) > 0.999
        return np.stack(moved, -1), counted
    if size[0] > truth.shape[0] or size[1] > truth.shape[1]:
        return np.zeros((*size, truth.shape[2])), np.zeros(size, bool)
    likeness = match_template(truth.mean(2), estimate.mean(2).astype(np.float64))
    row, col = np.unravel_index(np.argmax(likeness), likeness.shape)
    kept = slice(row, row + size[0]), slice(col, col + size[1])
    return truth[kept], pair.counted[kept] & (likeness.max() > FOUND_AGAIN)


def measure(paths: Sequence[Path]) -> Iterator[Row]:
    """Every case on every scene by every method."""
    for scene, ground in grounds(paths, FLAGS.crop):
        simulator = Simulator(ground, FLAGS.scale, FLAGS.noise)
        for method in FLAGS.methods:
            yield from rows_of(scene, simulator, method)


def rows_of(scene: str, simulator: Simulator, method: str) -> Iterator[Row]:
    """Every case by a method; pairs of the same images are fused once."""
    known: dict[tuple[object, ...], Fused] = {}

    def outcome_of(pair: Pair) -> Outcome:
        arrays = (pair.lr_hsi, pair.hr_msi, pair.response, pair.lr_hole, pair.hr_hole)
        key = (pair.psf_fwhm, *map(id, arrays))  # which `Fused.pair` keeps alive
        if key not in known:
            known[key] = fused(pair, method, max_seconds=FLAGS.max_seconds)
        return known[key].outcome(pair)

    for name in FLAGS.cases or list(CASES):
        twins = CASES[name](simulator)
        row = Row(scene, name, method, outcome_of(twins.without), outcome_of(twins.misfit))
        tqdm.write(" | ".join(cells(row)), sys.stderr)
        yield row


HEADS = (
    "scene",
    "case",
    "method",
    "without",
    "with",
    "difference",
    "found",
    "check",
    "fuse",
    "within limits",
)


CLEAN_HEADS = ("scene", "noise", "outside", "method", "check", "fuse", "found")


def cells(row: Row) -> list[str]:
    """A line of the table."""
    scores = [row.without.psnr, row.misfit.psnr]
    words = ["none" if score is None else f"{score:.2f}" for score in scores]
    gap = "" if row.difference is None else f"{row.difference:+.2f}"
    verdicts = [row.misfit.check, row.misfit.fuse]
    kept = "no" if row.fails else "yes"
    return [row.scene, row.case, row.method, *words, gap, row.misfit.found, *verdicts, kept]


def clean_pairs(paths: Sequence[Path]) -> Iterator[list[str]]:
    """A line for each pair without misfit: its noise, what lies outside of it, and both verdicts."""
    for scene, ground in grounds(paths, FLAGS.crop):
        for noise in CLEAN_DB:
            simulator = Simulator(ground, FLAGS.scale, noise)
            for outside, pair in (("mirrored", simulator.clean), ("ground", simulator.in_area)):
                for method in FLAGS.methods:
                    found = outcome(pair, method, max_seconds=FLAGS.max_seconds)
                    about = [scene, "none" if noise is None else f"{noise:g} dB", outside, method]
                    line = [*about, found.check, found.fuse, found.found]
                    tqdm.write(" | ".join(line), sys.stderr)
                    yield line


def print_false_alarms(lines: Sequence[list[str]]) -> None:
    """How many of the pairs are not green, and which."""
    for name, column in (("check", 4), ("fuse", 5)):
        num_alarms = sum(line[column] != GREEN for line in lines)
        print(f"{name}: {num_alarms} of {len(lines)} pairs without misfit are not green")
    alarming = [line for line in lines if {line[4], line[5]} != {GREEN}]
    print(table(CLEAN_HEADS, alarming, words=range(len(CLEAN_HEADS))))


def main() -> None:
    """Print the table."""
    paths = find_scenes(FLAGS.data_dir, default="hsi/cave_train", names=FLAGS.scenes)
    if FLAGS.false_alarms:
        print_false_alarms(list(clean_pairs(paths)))
        return
    about = machine()
    rows = list(measure(paths))
    print_machine(about)
    print(table(HEADS, map(cells, rows), words=(0, 1, 2, 6, 7, 8, 9)))
    write({"machine": about, "rows": [dict(zip(HEADS, cells(row), strict=True)) for row in rows]})


if __name__ == "__main__":
    define_flags()
    run_app(main)
