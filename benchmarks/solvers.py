"""Quality and time of the solvers: `python -m benchmarks.solvers --scales=8 --methods=cnmf,csu`.

Every solver fuses every scene at every scale with its defaults, after the protocol of `trainers.evaluate`:
Gaussian PSF of FWHM s, Nikon D700, noise-free (or `--noisy`). Printed: PSNR, SAM, seconds and the gain over
`spectral_ls` with the same cameras, mean over the scenes, and whether the slowest scene was within the limit:
120 s for solvers that know the cameras, 180 s for those that know neither, which are not given them.
`--floor=kernel_ls` gives the gain over another method, `--by_scene` the PSNR and the gain of every scene:

    python -m benchmarks.solvers --methods=deep_prior --floor=kernel_ls --by_scene --scales=8,16,32

Satellites: `--data_dir=CUBES --srf=TABLE.csv --srf_channels=B02,B03,B04,B08 --scales=4`.

`--crop=256` at x8 adds what other programs reach on the top left of balloons on such a machine.
`--memory` measures instead the largest memory of each method on a scene of --size x --size pixels and 31
bands, each in a process of its own; there `estimate_psf_srf` counts as a method, with `spectral_ls` after it.
Nothing here chooses anything: it reads what the defaults do.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags
from tqdm import tqdm

from benchmarks import _report
from benchmarks._subjects import synthetic_scene
from hsr_tf import checks, methods
from hsr_tf.console.flag_apps import run_app
from hsr_tf.data.scenes import crop_to_multiple, find_scenes, top_left
from hsr_tf.fusion.api import fuse, simulate
from hsr_tf.fusion.cameras import ESTIMATE
from hsr_tf.io import load
from hsr_tf.io.pair import PAIR_NAMES, save_pair
from hsr_tf.metrics.table import get
from hsr_tf.physics.cameras import DEFAULT_SRF
from hsr_tf.physics.response_library import find_table
from hsr_tf.physics.spectral import load_srf
from hsr_tf.scene import Observation, Scene
from hsr_tf.solvers.solver import Controls
from trainers.evaluate import HSI_SNR_DB, MSI_SNR_DB, Entry, Row, scales_of, score_or_skip

FLAGS = flags.FLAGS
FOLDER = "hsi/cave_test"
FLOOR, CAMERAS = "spectral_ls", "estimate_psf_srf"
KNOWN_LIMIT, BLIND_LIMIT = 120.0, 180.0
MEMORY_LIMIT_GIB = 4.0
BASE_SIZE = 512


@dataclass(frozen=True)
class Other:
    """What another program reached on the top left 256 x 256 of balloons at x8: dB and seconds."""

    program: str
    psnr: float
    seconds: float


OTHERS = {
    "nnsr": Other("NSSR", 45.0, 100.0),
    "hysure": Other("HySure", 44.1, 118.0),
    "csu": Other("coupled unmixing", 43.1, 98.0),
}


@dataclass(frozen=True)
class Line:
    """One method at one scale, over the scenes.

    Attributes:
        scale: s.
        method: its name.
        scenes: their number.
        psnr: mean PSNR (bands), dB.
        sam_degrees: mean SAM.
        seconds: mean.
        slowest: of the scenes.
        limit: seconds that the slowest may take.
        gain: mean over the scenes of the difference to the floor, dB; None without it.
        sam_gain: the same of the SAM, negative where it is better.
        kernel_l1: mean, where the kernel was estimated.
        response_sam_degrees: mean, where the response was estimated.
    """

    scale: int
    method: str
    scenes: int
    psnr: float
    sam_degrees: float
    seconds: float
    slowest: float
    limit: float
    gain: float | None = None
    sam_gain: float | None = None
    kernel_l1: float | None = None
    response_sam_degrees: float | None = None

    @property
    def in_time(self) -> bool:
        """Whether every scene was within the limit."""
        return self.slowest <= self.limit


def define_flags() -> None:
    """What is measured, and where it goes."""
    flags.DEFINE_list("methods", [], "Methods by name beside --floor (default: all solvers).")
    flags.DEFINE_string("floor", FLOOR, "Method that the gains are over.")
    flags.DEFINE_bool("by_scene", False, "Print PSNR and gain of every scene too.")
    _report.define_scenes(folder=FOLDER, crop=None)
    flags.DEFINE_list("scales", ["8", "16", "32"], "Scale factor: sharp pixels per coarse pixel.")
    flags.DEFINE_string(
        "srf", DEFAULT_SRF, "Spectral response: a name, or a CSV file; blind outside its range."
    )
    flags.DEFINE_list("srf_channels", [], "Channels of the response (default: all of them).")
    flags.DEFINE_float(
        "max_seconds", None, "Time limit of a solver (default: 120 with known cameras, 180 without).", 0.1
    )
    _report.define_json()
    flags.DEFINE_bool("memory", False, "Measure memory instead of quality.")
    flags.DEFINE_integer("size", 2048, "Side of the scene of --memory; a multiple of 512 above that.", 64)
    flags.DEFINE_string("memory_of", None, "Folder of a pair: fuse it, print the largest memory (internal).")


def limit_of(method: str) -> float:
    """Seconds that a method may take for a scene."""
    knows = method != CAMERAS and "psf" in methods.get(method).needs
    return KNOWN_LIMIT if knows else BLIND_LIMIT


def measure(names: Sequence[str], scenes: Sequence[Scene], scales: Sequence[int]) -> list[Row]:
    """Every method on every scene at every scale, one at a time."""
    snr_db = (HSI_SNR_DB, MSI_SNR_DB) if FLAGS.noisy else (None, None)
    rows = []
    with tqdm(total=len(names) * len(scenes) * len(scales), unit="estimate", dynamic_ncols=True) as bar:
        for whole in scenes:
            table = find_table(FLAGS.srf)
            table = table.only(tuple(FLAGS.srf_channels)) if FLAGS.srf_channels else table
            bands = whole.wavelengths_nm, whole.fwhm_nm
            srf = load_srf(table, bands[0], fwhm_nm=bands[1], outside="zero", num_bands=whole.num_bands)
            for scale in scales:
                scene = crop_to_multiple(whole, scale)
                observation = simulate(scene, scale=scale, srf=srf, snr_db=snr_db)
                for name in names:
                    bar.set_postfix_str(f"{scene.name} x{scale} {name}")
                    controls = Controls(max_seconds=FLAGS.max_seconds or limit_of(name))
                    found = score_or_skip(Entry(name), scene, observation, controls=controls)
                    rows += [] if found is None else [found[0]]
                    bar.update()
    return rows


def summarise(rows: Sequence[Row], floor_name: str = FLOOR) -> list[Line]:
    """One line for each scale and method; gains are over the method `floor_name`."""
    lines = []
    for scale, method in dict.fromkeys((row.scale, row.method) for row in rows):
        chosen = {row.scene: row for row in rows if (row.scale, row.method) == (scale, method)}
        floor = {row.scene: row for row in rows if (row.scale, row.method) == (scale, floor_name)}
        pairs = [(chosen[name].scores, floor[name].scores) for name in chosen if name in floor]
        seconds = [row.seconds for row in chosen.values()]
        lines.append(
            Line(
                scale=scale,
                method=method,
                scenes=len(chosen),
                psnr=float(np.mean([row.scores.psnr_bands for row in chosen.values()])),
                sam_degrees=float(np.mean([row.scores.sam_degrees for row in chosen.values()])),
                seconds=float(np.mean(seconds)),
                slowest=max(seconds),
                limit=FLAGS.max_seconds or limit_of(method),
                gain=_mean([own.psnr_bands - base.psnr_bands for own, base in pairs]),
                sam_gain=_mean([own.sam_degrees - base.sam_degrees for own, base in pairs]),
                kernel_l1=_mean([row.cameras.kernel_l1 for row in chosen.values()]),
                response_sam_degrees=_mean([row.cameras.response_sam_degrees for row in chosen.values()]),
            )
        )
    return sorted(lines, key=lambda line: line.scale)


def markdown(lines: Sequence[Line]) -> str:
    """The table of quality and time."""
    psnr, sam = get("psnr_bands"), get("sam_degrees")
    kernel, response = get("kernel_l1", "psf"), get("response_sam_degrees", "srf")
    heads = ["scale", "method", psnr.title, "gain, dB", sam.title, "SAM gain", "seconds", "slowest", "limit"]
    blind = any(line.kernel_l1 is not None for line in lines)
    heads += [kernel.title, response.title] if blind else []
    rows = []
    for line in lines:
        late = "" if line.in_time else " (late)"
        cells = [f"x{line.scale}", line.method, psnr.number(line.psnr), _signed(line.gain)]
        cells += [sam.number(line.sam_degrees), _signed(line.sam_gain), f"{line.seconds:.1f}"]
        cells += [f"{line.slowest:.1f}{late}", f"{line.limit:.0f}"]
        if blind:
            values = ((kernel, line.kernel_l1), (response, line.response_sam_degrees))
            cells += ["" if value is None else metric.number(value) for metric, value in values]
        rows.append(cells)
    return _report.table(heads, rows, words=(0, 1))


def scenes_table(rows: Sequence[Row], floor_name: str) -> str:
    """PSNR (bands) and gain of every method on every scene, the scenes side by side."""
    scenes = list(dict.fromkeys(row.scene for row in rows))
    psnr = {(row.scale, row.method, row.scene): row.scores.psnr_bands for row in rows}
    text = []
    for scale, method in sorted(dict.fromkeys(key[:2] for key in psnr), key=lambda key: key[0]):
        cells = [f"x{scale}", method]
        for scene in scenes:
            own, floor = psnr.get((scale, method, scene)), psnr.get((scale, floor_name, scene))
            apart = "" if own is None or floor is None or method == floor_name else f" ({own - floor:+.2f})"
            cells.append("" if own is None else f"{get('psnr_bands').number(own)}{apart}")
        text.append(cells)
    return _report.table(["scale", "method", *scenes], text, words=(0, 1))


def others_table(rows: Sequence[Row]) -> str:
    """Our figures beside other programs', a fifth of whose time is ours; empty where nothing compares."""
    text = []
    for row in rows:
        other = OTHERS.get(row.method)
        if other is None or (row.scale, row.scene) != (8, "balloons"):
            continue
        psnr, seconds = row.scores.psnr_bands, row.seconds
        reached = "yes" if psnr >= other.psnr and seconds <= other.seconds / 5 else "no"
        theirs = (other.program, f"{other.psnr:.1f}", f"{other.seconds:.0f}")
        text.append((row.method, f"{psnr:.2f}", f"{seconds:.1f}", *theirs, reached))
    heads = [
        "method",
        "PSNR, dB",
        "seconds",
        "other program",
        "PSNR, dB",
        "seconds",
        "reached in a fifth of it",
    ]
    return _report.table(heads, text, words=(0, 3, 6)) if text else ""


def measure_memory(names: Sequence[str], scale: int, size: int) -> list[dict[str, Any]]:
    """Largest memory and time of each method on one scene, each in a process of its own."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        save_pair(tiled_observation(size, scale), folder)
        for name in tqdm(names, unit="method", dynamic_ncols=True):
            seconds = FLAGS.max_seconds or limit_of(name)
            command = [sys.executable, "-m", "benchmarks.solvers", f"--memory_of={folder}"]
            command += [f"--methods={name}", f"--max_seconds={seconds}"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            last = (done.stdout.strip() or "{}").splitlines()[-1]
            failed = {"method": name, "error": (done.stderr.strip() or "killed").splitlines()[-1]}
            found.append(json.loads(last) if done.returncode == 0 else failed)
    return found


def tiled_observation(size: int, scale: int) -> Observation:
    """A pair of `size` x `size` sharp pixels: a scene of up to 512, mirrored on its edges again and again.

    Mirroring both images is mirroring the scene, as the blur's border is mirrored too.
    """
    base = min(size, BASE_SIZE)
    checks.require(
        size % base == 0 and base % scale == 0,
        "size",
        expected=f"a multiple of {base}, and that one of the scale {scale}",
        received=str(size),
        remedy="give e.g. --size=2048",
    )
    pair = simulate(synthetic_scene(base), scale=scale)
    images = []
    for scene in (pair.lr_hsi, pair.hr_msi):
        more = (size // base - 1) * scene.shape[0]
        cube = np.pad(scene.cube, [(0, more), (0, more), (0, 0)], mode="symmetric")
        images.append(Scene(cube, scene.wavelengths_nm, scene.name, scene.metadata))
    return Observation(images[0], images[1], scale)


def memory_table(found: Sequence[dict[str, Any]]) -> str:
    """The table of memory."""
    rows = []
    for line in found:
        if "error" in line:
            rows.append((line["method"], "", "", f"failed: {line['error']}"))
            continue
        fits = "yes" if line["peak_gib"] <= MEMORY_LIMIT_GIB else "no"
        rows.append((line["method"], f"{line['peak_gib']:.2f}", f"{line['seconds']:.1f}", fits))
    return _report.table(("method", "peak GiB", "seconds", "within 4 GiB"), rows, words=(0, 3))


def main() -> None:
    """Measure, print, write."""
    names = list(dict.fromkeys([FLAGS.floor, *(FLAGS.methods or methods.names("solver"))]))
    for name in names:
        if name != CAMERAS or not (FLAGS.memory or FLAGS.memory_of):
            methods.get(name)
    if FLAGS.memory_of:
        print(json.dumps(_memory_of(Path(FLAGS.memory_of), names[-1])))
        return
    scales = scales_of(FLAGS.scales)
    about = _report.machine()
    _report.print_machine(about)
    if FLAGS.memory:
        memory = measure_memory(names, scales[0], FLAGS.size)
        print(f"\n{FLAGS.size} x {FLAGS.size} x 31, x{scales[0]}\n\n{memory_table(memory)}")
        _report.write({"machine": about, "size": FLAGS.size, "scale": scales[0], "memory": memory})
        return
    paths = find_scenes(FLAGS.data_dir, default=FOLDER, names=FLAGS.scenes)
    rows = measure(names, [top_left(load(path), FLAGS.crop) for path in paths], scales)
    lines = summarise(rows, FLAGS.floor)
    # Whether the case is the one that other programs were measured on.
    usual_response = FLAGS.srf == DEFAULT_SRF and not FLAGS.srf_channels
    others = others_table(rows) if FLAGS.crop == 256 and not FLAGS.noisy and usual_response else ""
    by_scene = scenes_table(rows, FLAGS.floor) if FLAGS.by_scene else ""
    print("".join(f"\n\n{text}" for text in (markdown(lines), by_scene, others) if text)[1:])
    protocol = _report.settings("floor", "srf", "srf_channels", "crop", "noisy", "max_seconds")
    found = {"lines": [asdict(line) for line in lines], "rows": [row.as_dict() for row in rows]}
    _report.write({"machine": about, "protocol": protocol, **found})


def _memory_of(folder: Path, name: str) -> dict[str, Any]:
    """What one method takes on the pair of a folder, in this process."""
    observation = Observation.from_pair(*(load(folder / file) for file in PAIR_NAMES))
    controls = Controls(max_seconds=FLAGS.max_seconds)
    if name == CAMERAS:
        solution = fuse(observation, FLOOR, psf=ESTIMATE, srf=ESTIMATE, controls=controls)
    else:
        solution = fuse(observation, name, controls=controls)
    return {"method": name, "peak_gib": _report.peak_gib(), "seconds": round(solution.seconds, 2)}


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _signed(value: float | None) -> str:
    return "" if value is None else f"{value:+.2f}"


if __name__ == "__main__":
    define_flags()
    run_app(main)
