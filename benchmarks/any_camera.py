"""What one set of weights gives for any two cameras: `python -m benchmarks.any_camera`.

Scenes that no weights were trained on, seen by cameras that most weights were not trained for either: CAVE's
test scenes by measured cameras and satellites at scales from 3 to 32, with noise, with cameras that are
estimated, and airborne scenes by channels of Sentinel-2 and a panchromatic one. Printed: the mean PSNR of the
bands of each method, what `auto` gains over the better of the closed forms, and the scene on which it gains
least. Scores are kept in --folder, estimate by estimate: stopped at any moment, the same command goes on.
`--only` takes the cases whose name contains a text; `--update` writes the table into docs/results.md.

    python -m benchmarks.any_camera --only="CAVE, Nikon D90" --methods=kernel_ls,prior
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from absl import flags
from tqdm import tqdm

from benchmarks import _report
from hsr_tf import checks, methods
from hsr_tf.console.flag_apps import run_app
from hsr_tf.data.scenes import crop_to_multiple, data_root, find_scenes
from hsr_tf.files import write_json
from hsr_tf.fusion.api import simulate
from hsr_tf.io import load
from hsr_tf.physics.spectral import SpectralResponse, load_srf
from hsr_tf.scene import Observation, Scene
from hsr_tf.solvers.solver import Controls
from trainers.evaluate import HSI_SNR_DB, MSI_SNR_DB, Entry, score_or_skip

FLAGS = flags.FLAGS
PAGE = Path(__file__).resolve().parents[1] / "docs" / "results.md"
SECTION = "any camera"
CAVE, REMOTE = "hsi/cave_test", "hsi/remote"
CLOSED, DEFAULT = ("spectral_ls", "kernel_ls"), "auto"
METHODS = (*CLOSED, "prior", DEFAULT)
AIRBORNE = {"Jasper Ridge": "jasperRidge2_R198", "Samson": "samson_1", "Reno": "reno_150x150x100"}
Snr = tuple[float, float] | None
Scores = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Case:
    """Cameras, scale and noise, on some scenes.

    Attributes:
        scenes: what the table calls them.
        folder: of the scenes, below the folder of data.
        names: of the scenes there; all where there is none.
        camera: what the table calls it.
        srf: a response as `load_srf` takes it, or a table below the folder of data; a number for that many
            bell curves over the bands, whatever their wavelengths.
        scale: s.
        snr_db: signal-to-noise ratios of X and Y; None without noise.
        estimated: whether the methods have to estimate both cameras.
    """

    scenes: str
    folder: str
    names: tuple[str, ...]
    camera: str
    srf: str | int
    scale: int
    snr_db: Snr = None
    estimated: bool = False

    @property
    def label(self) -> str:
        """Its name in the table and in the file of scores."""
        noise = "" if self.snr_db is None else f", {self.snr_db[0]:g} / {self.snr_db[1]:g} dB"
        return f"{self.scenes}, {self.camera}, x{self.scale}{noise}{', estimated' if self.estimated else ''}"

    def response(self, scene: Scene, data: Path) -> SpectralResponse:
        """R on the bands of a scene; blind where its table ends."""
        if isinstance(self.srf, int):
            return bell_curves(scene.num_bands, self.srf)
        table = data / self.srf
        name = str(table) if table.is_file() else self.srf
        return load_srf(name, scene.wavelengths_nm, outside="zero", num_bands=scene.num_bands)


def bell_curves(num_bands: int, num_channels: int) -> SpectralResponse:
    """Channels of evenly spaced Gaussians that cover the bands, (C, c), for cubes without wavelengths."""
    place = (np.arange(num_bands) + 0.5) / num_bands
    centres = (np.arange(num_channels) + 0.5) / num_channels
    matrix = np.exp(-0.5 * ((place[:, None] - centres) * num_channels / 0.6) ** 2)
    return SpectralResponse(matrix / matrix.sum(0), name="bell curves")


def cases() -> Iterator[Case]:
    """All of them, in the order of the table."""
    nikon, canon = ("Nikon D700", "nikon_d700"), ("Canon 5D Mark II", "srf/jiang28/Canon_5DMarkII.csv")
    others = (
        canon,
        ("Nikon D90", "srf/jiang28/Nikon_D90.csv"),
        ("SONY NEX-5N", "srf/jiang28/SONY_NEX_5N.csv"),
    )
    satellites = (
        ("Sentinel-2A, 3 channels", "sentinel2a:B02,B03,B04"),
        ("WorldView-2, 5 channels", "worldview2:coastal,blue,green,yellow,red"),
    )
    snr_db = (HSI_SNR_DB, MSI_SNR_DB)
    for scale in (3, 4, 5, 6, 8, 12, 16, 32):
        yield _cave(*nikon, scale)
    for named_srf in (*others, *satellites):
        yield _cave(*named_srf, 8)
    yield _cave(*nikon, 8, snr_db)
    yield _cave(*canon, 8, snr_db)
    yield _cave(*nikon, 8, estimated=True)
    yield _cave(*canon, 8, estimated=True)
    for scenes, name in AIRBORNE.items():
        known = scenes != "Reno"  # its file states no wavelengths
        cameras: tuple[tuple[str, str | int], ...] = (
            ("Sentinel-2A, 4 channels", "sentinel2a:B02,B03,B04,B08" if known else 4),
            ("panchromatic", "worldview2:pan" if known else 1),
        )
        for camera, srf in cameras:
            named = camera if known else f"{srf} bell curve{'s' * (srf != 1)}"
            for scale in (4, 8):
                yield Case(scenes, REMOTE, (name,), named, srf, scale, (30.0, 40.0))


def _cave(camera: str, srf: str, scale: int, snr_db: Snr = None, *, estimated: bool = False) -> Case:
    return Case("CAVE", CAVE, (), camera, srf, scale, snr_db, estimated)


def define_flags() -> None:
    """What is measured, and where it is kept."""
    flags.DEFINE_list("methods", list(METHODS), "Methods by name.")
    flags.DEFINE_multi_string("only", [], "Cases whose name contains this text; may be repeated.")
    flags.DEFINE_float("max_seconds", None, "Time limit of an estimate.", 0.1)
    flags.DEFINE_string("folder", "runs/any_camera", "Folder of the scores.")
    flags.DEFINE_bool("update", False, "Write the table into docs/results.md.")


def chosen_cases(texts: Sequence[str]) -> list[Case]:
    """The cases whose label contains one of the texts, all without a text.

    Raises:
        InputError: a text that no label contains.
    """
    every = list(cases())
    for text in texts:
        checks.require(
            any(text in case.label for case in every),
            "only",
            expected="a part of the name of a case",
            received=text,
            remedy=f"choose from: {'; '.join(case.label for case in every)}",
        )
    return [case for case in every if not texts or any(text in case.label for text in texts)]


class Board:
    """The scores of all cases, in a file that is written after every estimate.

    Args:
        path: of the file; read if it is there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        text = path.read_text(encoding="utf-8") if path.is_file() else "{}"
        self._scores: dict[str, Scores] = json.loads(text)

    def of(self, case: Case) -> Scores:
        """PSNR in dB by method and scene."""
        return self._scores.setdefault(case.label, {})

    def keep(self, case: Case, method: str, scene: str, psnr: float) -> None:
        """Add one."""
        self.of(case).setdefault(method, {})[scene] = round(psnr, 4)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_json(self._path, self._scores)


def measure(case: Case, names: Sequence[str], data: Path, board: Board) -> None:
    """Score what the board lacks of a case."""
    for path in find_scenes(data / case.folder, default=case.folder, names=case.names):
        missing = [name for name in names if path.stem not in board.of(case).get(name, {})]
        if not missing:
            continue
        scene, observation = observed(case, path, data)
        for name in missing:
            tqdm.write(f"{case.label}: {path.stem}, {name}", sys.stderr)
            controls = Controls(max_seconds=FLAGS.max_seconds)
            found = score_or_skip(Entry(name), scene, observation, controls=controls, blind=case.estimated)
            if found is not None:
                board.keep(case, name, path.stem, found[0].scores.psnr_bands)


def observed(case: Case, path: Path, data: Path) -> tuple[Scene, Observation]:
    """A scene in [0, 1] and the pair that the cameras of a case take of it.

    The largest value of an airborne scene counts as 1; CAVE's have a white level.
    """
    scene = load(path)
    if case.folder == REMOTE:
        scene = replace(scene, cube=scene.cube / scene.cube.max())
    scene = crop_to_multiple(scene, case.scale)
    snr_db = (None, None) if case.snr_db is None else case.snr_db
    return scene, simulate(scene, scale=case.scale, srf=case.response(scene, data), snr_db=snr_db)


def line_of(case: Case, scores: Scores, names: Sequence[str]) -> list[str]:
    """A line of the table: means, the gain of `auto`, its least gain; of the scenes that all methods have."""
    common = set.intersection(*(set(found) for found in scores.values()))
    scores = {
        name: {at: psnr for at, psnr in found.items() if at in common} for name, found in scores.items()
    }
    means = [f"{np.mean(list(scores[name].values())):.2f}" if scores.get(name) else "–" for name in names]
    gains = list(gains_of(scores))
    gain = [f"{np.mean(gains):+.2f}", f"{min(gains):+.2f}"] if gains else ["–", "–"]
    return [case.label, *means, *gain]


def gains_of(scores: Mapping[str, Mapping[str, float]]) -> Iterator[float]:
    """What `auto` gains over the closed form that is better in the mean, scene by scene."""
    rivals = [name for name in CLOSED if name in scores]
    if DEFAULT not in scores or not rivals:
        return
    best = max(rivals, key=lambda name: float(np.mean(list(scores[name].values()))))
    for scene, psnr in scores[DEFAULT].items():
        if scene in scores[best]:
            yield psnr - scores[best][scene]


def main() -> None:
    """Score what is missing, print the table."""
    for name in FLAGS.methods:
        methods.get(name, methods.FUSION_KINDS)
    data = data_root()
    checks.require(
        data is not None,
        "HSR_DATA",
        expected="a folder with hsi/cave_test, hsi/remote and srf",
        received="no such variable",
        remedy="set it",
    )
    assert data is not None
    chosen, board = chosen_cases(FLAGS.only), Board(Path(FLAGS.folder) / "scores.json")
    for case in tqdm(chosen, unit="case", dynamic_ncols=True):
        measure(case, FLAGS.methods, data, board)
    done = [(case, board.of(case)) for case in cases()]
    lines = [
        line_of(case, scores, FLAGS.methods) for case, scores in done if len(scores) == len(FLAGS.methods)
    ]
    found = _report.table(["pair", *FLAGS.methods, f"{DEFAULT} gains", "at least"], lines)
    print(found)
    if FLAGS.update:
        text = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(_report.with_section(text, SECTION, found), encoding="utf-8")


if __name__ == "__main__":
    define_flags()
    run_app(main)
