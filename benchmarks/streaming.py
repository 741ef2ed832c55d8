"""Scenes larger than memory: `python -m benchmarks.streaming --sizes=512,1024 --folder=/tmp/stream`.

For every size a scene of few materials is made on the fly, never whole in memory, and both images are written
tile by tile. `hsr fuse` then runs as a process of its own, of which the system tells the peak memory and the
processor time. With --kills=2 the largest size is fused once more, killed so many times on the way, and the
two results are compared byte by byte. With --workers the largest size is also fused by one and by two
processes of a local Dask cluster, in turns.

Figures: seconds of the whole process, Mpixel/s of the fusion itself as the command tells it, the same per
second of processor time, peak memory; and, of three sizes or more, the straight line through the processor
time over the pixels that is nearest in relative terms, with how far from it the sizes lie.
"""

from __future__ import annotations

import filecmp
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from absl import flags

from hsr_tf import io
from hsr_tf.console.flag_apps import run_app
from hsr_tf.io.header import CubeHeader
from hsr_tf.physics.cameras import simulation_metadata
from hsr_tf.physics.observation import ObservationModel, standard_model
from hsr_tf.physics.spectral import load_srf
from hsr_tf.streaming.draft import draft_folder
from hsr_tf.tiling.region import TileGrid

FLAGS = flags.FLAGS
NUM_BANDS, NUM_MATERIALS, NUM_WAVES = 31, 6, 12
COMMAND = (sys.executable, "-c", "from hsr_tf.cli import main; main()", "fuse")
TOLD_SECONDS = re.compile(r"in ([0-9.]+) s")


def define_flags() -> None:
    """What is measured."""
    flags.DEFINE_list("sizes", ["512", "1024"], "Sides of the scenes in sharp pixels, smallest first.")
    flags.DEFINE_list("methods", ["spectral_ls", "ms_ssfnet"], "Methods that are run.")
    flags.DEFINE_integer("scale", 8, "Scale factor: sharp pixels per coarse pixel.", lower_bound=2)
    flags.DEFINE_string("memory_limit", "3GB", "Given to hsr fuse.")
    flags.DEFINE_string("folder", None, "Where the files are made, and removed again.", required=True)
    flags.DEFINE_integer("kills", 0, "How many times the largest run is killed.", lower_bound=0)
    flags.DEFINE_integer("workers", 0, "Rounds of one against two Dask processes.", lower_bound=0)


@dataclass(frozen=True)
class Run:
    """One process of `hsr fuse`.

    Attributes:
        wall: seconds from start to end.
        reported: seconds of the fusion as the command printed them.
        processor: seconds of processor time, of all its threads.
        peak_bytes: its largest memory.
    """

    wall: float
    reported: float
    processor: float
    peak_bytes: int


class WaveScene:
    """A sharp cube of any size that is computed where it is asked for: materials mixed by sums of waves.

    Args:
        seed: of the waves and spectra.
    """

    def __init__(self, seed: int = 0) -> None:
        generator = np.random.default_rng(seed)
        self._waves = generator.normal(0, 0.12, (NUM_MATERIALS, NUM_WAVES, 2))
        self._phases = generator.uniform(0, 2 * np.pi, (NUM_MATERIALS, NUM_WAVES))
        knots = generator.uniform(0.05, 0.95, (NUM_MATERIALS, 6))
        places = np.linspace(0, 5, NUM_BANDS)
        self._spectra = np.stack([np.interp(places, np.arange(6), row) for row in knots])

    def part(self, rows: slice, cols: slice) -> np.ndarray:
        """(h, w, 31) float32 of these sharp pixels."""
        down, across = (np.arange(p.start, p.stop, dtype=np.float64) for p in (rows, cols))
        shares = np.empty((len(down), len(across), NUM_MATERIALS))
        for material in range(NUM_MATERIALS):
            turns = self._waves[material]
            # cos(a + b) of separable phases: one outer product a wave
            first = np.exp(1j * (np.outer(turns[:, 0], down) + self._phases[material][:, None]))
            second = np.exp(1j * np.outer(turns[:, 1], across))
            shares[..., material] = np.exp(0.6 * (first.T @ second).real)
        shares /= shares.sum(-1, keepdims=True)
        return np.asarray(shares @ self._spectra, np.float32)


def make_pair(folder: Path, size: int, scale: int) -> tuple[Path, Path]:
    """Both images of a scene of `size` x `size` pixels, written tile by tile."""
    wavelengths_nm = np.linspace(400, 700, NUM_BANDS)
    model = standard_model(load_srf("nikon_d700", wavelengths_nm), scale)
    grid = TileGrid((size // scale,) * 2, 512 // scale, scale)
    metadata = simulation_metadata(model, psf="gaussian", snr_db=(None, None), seed=0)
    paths = folder / f"x{size}.h5", folder / f"y{size}.h5"
    headers = (
        CubeHeader(
            shape=(*grid.size, NUM_BANDS), wavelengths_nm=wavelengths_nm, metadata=metadata[0], name="waves"
        ),
        CubeHeader(shape=(size, size, 3), metadata=metadata[1], name="waves"),
    )
    with ExitStack() as stack:
        lr_hsi, hr_msi = (
            stack.enter_context(io.create_cube(p, h)) for p, h in zip(paths, headers, strict=True)
        )
        for index in range(len(grid)):
            region = grid.region(index)
            coarse, sharp = _observed(model, grid, index)
            lr_hsi.write(region.rows, region.columns, coarse)
            hr_msi.write(region.scaled(scale).rows, region.scaled(scale).columns, sharp)
    return paths


def _observed(model: ObservationModel, grid: TileGrid, index: int) -> tuple[np.ndarray, np.ndarray]:
    """X and Y of a tile."""
    region = grid.region(index)
    around = region.grown(1, grid.whole)
    cube, inner = WaveScene().part(*around.scaled(grid.scale).slices), region.inside(around)
    coarse = np.asarray(model.spatial.forward(cube[None]))[0][inner.slices]
    sharp = cube[inner.scaled(grid.scale).slices] @ model.spectral.matrix.astype(np.float32)
    return coarse, sharp


def run_fuse(pair: tuple[Path, Path], output: Path, method: str, *more: str) -> Run:
    """One process from start to end."""
    began = time.perf_counter()
    process = _start(pair, output, method, more)
    text = process.stdout.read().decode() if process.stdout is not None else ""
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    found = TOLD_SECONDS.search(text)
    if status or found is None:
        raise OSError(f"hsr fuse ended with status {status}")
    return Run(wall, float(found.group(1)), usage.ru_utime + usage.ru_stime, 1024 * usage.ru_maxrss)


def run_killed(pair: tuple[Path, Path], output: Path, method: str, kills: int) -> None:
    """Killed when shares of its longest stage are done, then to the end."""
    field = "free" if method != "spectral_ls" else "estimate"
    for kill in range(1, kills + 1):
        process = _start(pair, output, method, ())
        while process.poll() is None:
            total = num_tiles(output, "survey_hr_msi")
            if num_tiles(output, field) >= max(1, total * kill // (kills + 1)):
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.02)
        process.wait()
        print(f"killed with {num_tiles(output, field)} of {total} tiles of the last stage", flush=True)
    run_fuse(pair, output, method)


def num_tiles(output: Path, field: str) -> int:
    """Finished tiles of a field in an output's draft."""
    return sum(1 for _ in (draft_folder(output) / field).glob("*.npy"))


def measure(method: str, pairs: dict[int, tuple[Path, Path]], folder: Path) -> None:
    """The table of one method, and its kills."""
    print(
        f"\n| {method} | wall s | Mpixel/s | Mpixel/s a core | peak GB |\n| --- | ---: | ---: | ---: | ---: |"
    )
    taken: dict[int, float] = {}
    for size, pair in pairs.items():
        output = folder / f"z{size}.h5"
        output.unlink(missing_ok=True)
        run, area = run_fuse(pair, output, method), size**2 / 1e6
        taken[size] = run.processor
        rates = f"{area / run.reported:.3f} | {area / run.processor:.3f}"
        print(f"| {size} | {run.wall:.1f} | {rates} | {run.peak_bytes / 1e9:.2f} |", flush=True)
    if len(taken) > 2:
        print(growth(taken))
    if FLAGS.kills:
        size, pair = list(pairs.items())[-1]
        killed = folder / "killed.h5"
        run_killed(pair, killed, method, FLAGS.kills)
        same = filecmp.cmp(killed, folder / f"z{size}.h5", shallow=False)
        print(f"killed {FLAGS.kills} times and resumed: {'the same bytes' if same else 'OTHER BYTES'}")


def growth(taken: dict[int, float]) -> str:
    """How processor time grows with the number of pixels.

    Args:
        taken: processor seconds by the side of the scene in pixels.
    """
    areas = np.asarray([size**2 / 1e6 for size in taken])
    seconds = np.asarray(list(taken.values()))
    columns = np.stack([np.ones_like(areas), areas], 1) / seconds[:, None]
    start, slope = np.linalg.lstsq(columns, np.ones_like(areas), rcond=None)[0]
    apart = (seconds / (start + slope * areas) - 1) * 100
    apart_words = ", ".join(f"{size}: {value:+.0f} %" for size, value in zip(taken, apart, strict=True))
    return f"processor time: {start:.1f} s + {slope:.2f} s a megapixel; away from this line: {apart_words}"


def measure_workers(pair: tuple[Path, Path], size: int, method: str, folder: Path) -> None:
    """One against two processes, in turns."""
    taken: dict[str, list[float]] = {"local:1": [], "local:2": []}
    walls: dict[str, list[float]] = {"local:1": [], "local:2": []}
    for _ in range(FLAGS.workers):
        for words, seconds in taken.items():
            shutil.rmtree(folder / "z.zarr", ignore_errors=True)
            run = run_fuse(pair, folder / "z.zarr", method, f"--dask={words}")
            seconds.append(run.reported)
            walls[words].append(run.wall)
    one, two = (float(np.median(seconds)) for seconds in taken.values())
    print(f"\n{method}, {size} pixels a side, {FLAGS.workers} rounds: one process {one:.1f} s, ", end="")
    print(f"two {two:.1f} s, {one / two:.2f} times faster; all {taken}; with the start {walls}", flush=True)


def main() -> None:
    """Make, measure, print, remove."""
    folder = Path(FLAGS.folder)
    folder.mkdir(parents=True, exist_ok=True)
    sizes = [int(text) for text in FLAGS.sizes]
    with ExitStack() as stack:
        pairs = {}
        for size in sizes:
            pairs[size] = make_pair(folder, size, FLAGS.scale)
            for path in (*pairs[size], folder / f"z{size}.h5", folder / "killed.h5"):
                stack.callback(path.unlink, missing_ok=True)
        stack.callback(shutil.rmtree, folder / "z.zarr", ignore_errors=True)
        for method in FLAGS.methods:
            measure(method, pairs, folder)
            if FLAGS.workers:
                measure_workers(pairs[sizes[-1]], sizes[-1], method, folder)


def _start(
    pair: tuple[Path, Path], output: Path, method: str, more: tuple[str, ...]
) -> subprocess.Popen[bytes]:
    named = zip(("lr_hsi", "hr_msi", "output"), (*pair, output), strict=True)
    arguments = [*COMMAND, *(f"--{name}={path}" for name, path in named), f"--method={method}"]
    return subprocess.Popen(
        [*arguments, "--stream", f"--memory_limit={FLAGS.memory_limit}", *more], stdout=subprocess.PIPE
    )


if __name__ == "__main__":
    define_flags()
    run_app(main)
