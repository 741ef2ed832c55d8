"""Score methods on scenes: `python -m trainers.evaluate --methods=spectral_ls,ms_ssfnet --scales=8,16`.

Methods of single images are another task, `--task=pictures`, which `trainers.evaluate_pictures` describes.
With --data_set=harvard and --data_dir the scenes are those that the papers test on, of a set in the folder
that it is distributed in; a set of pictures, such as --data_set=set5, is scored by the other task.
--protocol=cave_3x3 --data_dir=CAVE is what most papers on fusion report: 12 scenes of CAVE, a narrow PSF.

The protocol: Gaussian PSF of FWHM s over 2 s taps, mirrored border, the fusion papers' Nikon D700
response, no noise (`--noisy` for 35 dB and 40 dB, seed 0); the estimate is clipped to [0, 1], nothing
else is. Every method gets what `hsr fuse` would give it; with --cameras=estimated the cameras
are estimated from the two images, by the method or before it. Written to --output_dir: scores.csv (a row a
scene), scores.json, scores.md (mean and standard deviation over the scenes), times.png (quality against
time), a picture sheet a scene and scale and, with --maps, maps_xSCALE.png, which holds all scenes
and methods side by side.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from absl import flags
from tqdm import tqdm

from hsr_tf import checks, methods
from hsr_tf.console.flag_apps import run_app
from hsr_tf.data.picture_sets import PICTURE_SETS
from hsr_tf.data.scene_sets import SCENE_SETS
from hsr_tf.data.scenes import crop_to_multiple, find_scenes, top_left
from hsr_tf.data.white_level import in_unit_range
from hsr_tf.fusion.api import fuse, simulate
from hsr_tf.fusion.cameras import ESTIMATE
from hsr_tf.metrics.cameras import CameraScores, camera_scores
from hsr_tf.metrics.full_reference import Scorecard, scorecard, summarise
from hsr_tf.metrics.table import get, metrics_for
from hsr_tf.networks.cards import find_shipped, read_card
from hsr_tf.physics.cameras import choose_cameras
from hsr_tf.report.html import write_report
from hsr_tf.report.method_maps import SceneMaps, method_maps, scene_maps
from hsr_tf.report.scene_report import scene_report, shown_cameras
from hsr_tf.report.sheet import SheetData, picture_sheet
from hsr_tf.report.timeline import Mark, time_sheet
from hsr_tf.scene import Observation, Scene, Solution
from hsr_tf.solvers.solver import Controls
from trainers import _flags, _protocols, _scene_sets, _tables, evaluate_pictures
from trainers._scene_sets import SceneFiles
from trainers._tables import grouped

FLAGS = flags.FLAGS
METHODS, SCALES = ("bicubic", "spectral_ls", "ms_ssfnet"), ("8",)
HSI_SNR_DB, MSI_SNR_DB = 35.0, 40.0


def define_flags() -> None:
    """Define what is scored on what."""
    flags.DEFINE_enum(
        "task",
        None,
        ["scenes", "pictures"],
        "Fusion of scenes, or single pictures (default: that of --data_set, otherwise scenes).",
    )
    flags.DEFINE_list(
        "methods",
        [],
        "Methods by name; NAME@FOLDER for a network with the weights of a folder "
        f"(default: {','.join(METHODS)}; for pictures {','.join(evaluate_pictures.METHODS)}).",
    )
    flags.DEFINE_string("scenes", None, "Folder of sharp cubes (default: $HSR_DATA/hsi/cave_test).")
    _scene_sets.define_set_flag([*sorted(SCENE_SETS), *PICTURE_SETS])
    flags.DEFINE_string("data_dir", None, "Folder of --data_set; its part to test on is scored.")
    flags.DEFINE_list("scales", [], "Scale factors (default: 8; for pictures 2,3,4).")
    _protocols.define_flag()
    _flags.define_white_level_flag()
    _flags.define_camera_flags("gaussian", "nikon_d700")
    flags.DEFINE_bool("noisy", False, "Gaussian noise: 35 dB (hyperspectral) and 40 dB (colour), seed 0.")
    flags.DEFINE_enum(
        "cameras", "known", ["known", "estimated"], "Whether the methods are given PSF and response."
    )
    flags.DEFINE_float("max_seconds", None, "Time limit of a solver per scene.", 0.1)
    flags.DEFINE_integer("seed", 0, "Random seed of the solvers.")
    flags.DEFINE_integer("crop", None, "Use the top left square of this many pixels a side.", 11)
    flags.DEFINE_bool("sheets", True, "Draw a picture sheet per scene and scale.")
    flags.DEFINE_bool(
        "maps", False, "Draw estimates, angle and error maps of all methods and scenes, one picture a scale."
    )
    flags.DEFINE_integer("maps_band", None, "Draw the error of this band, from 1; default: the mean.", 1)
    flags.DEFINE_string("output_dir", "runs/evaluation", "Folder for tables and pictures.")
    flags.DEFINE_string(
        "report",
        None,
        "Write an HTML page that shows the estimates; of several scenes or scales, one page each, "
        "NAME_SCENE_xSCALE.html beside it.",
    )


@dataclass(frozen=True)
class Entry:
    """A requested method: its name, and a folder of weights or None."""

    name: str
    weights: str | None = None

    @property
    def label(self) -> str:
        """How tables name it."""
        return self.name if self.weights is None else _tables.weights_label(self.name, self.weights)

    def fits(self, observation: Observation) -> bool:
        """Whether there are weights for this observation; methods without training always fit."""
        if methods.get(self.name).kind != "network":
            return True
        if self.weights is not None:
            return read_card(self.weights).config.scale == observation.scale
        bands, channels = observation.lr_hsi.num_bands, observation.hr_msi.num_bands
        found = find_shipped(self.name, scale=observation.scale, num_bands=bands, num_channels=channels)
        return found is not None


@dataclass(frozen=True)
class Row:
    """One estimate's scores."""

    method: str
    scale: int
    scene: str
    scores: Scorecard
    seconds: float
    cameras: CameraScores = field(default_factory=CameraScores)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for tables."""
        head = {"method": self.method, "scale": self.scale, "scene": self.scene}
        names = ("kernel_l1", "response_sam_degrees")
        found = {name: getattr(self.cameras, name) for name in names}
        return {**head, **self.scores.as_dict(), "seconds": round(self.seconds, 3), **found}


def parse_entries(texts: Iterable[str]) -> list[Entry]:
    """Methods as flags name them.

    Raises:
        ValueError: for an unknown method, weights of a method that has none, or two entries of one label.
        OSError: for a folder of weights that holds no model.
    """
    entries = []
    for text in texts:
        name, _, folder = text.partition("@")
        kind = methods.get(name, methods.FUSION_KINDS).kind
        checks.require(
            not folder or kind == "network",
            "methods",
            expected=f"{name} without weights, as it is not trained",
            received=text,
            remedy=f"write {name}",
        )
        entries.append(Entry(name, folder or None))
        if folder:
            read_card(folder)
    _tables.require_distinct([entry.label for entry in entries])
    return entries


def score(
    entry: Entry,
    scene: Scene,
    observation: Observation,
    *,
    controls: Controls = Controls(),
    blind: bool = False,
) -> tuple[Row, Solution]:
    """Run one method on one observation; with `blind` the cameras are estimated and scored as well."""
    word = ESTIMATE if blind and {"psf", "srf"} & set(methods.get(entry.name).needs) else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        solution = fuse(observation, entry.name, psf=word, srf=word, weights=entry.weights, controls=controls)
    card = scorecard(scene, solution.estimate, scale=observation.scale)
    true = choose_cameras(observation, psf=None, srf=None, srf_needed=False).model
    found = camera_scores(true.spatial.psf.kernel, true.spectral.matrix, solution.psf, solution.srf)
    return Row(entry.label, observation.scale, scene.name, card, solution.seconds, found), solution


def score_or_skip(
    entry: Entry,
    scene: Scene,
    observation: Observation,
    *,
    controls: Controls = Controls(),
    blind: bool = False,
) -> tuple[Row, Solution] | None:
    """`score`, or None with a line on stderr for a method that starts from weights for other sizes."""
    try:
        return score(entry, scene, observation, controls=controls, blind=blind)
    except checks.InputError as error:
        if error.argument != "weights":
            raise
        tqdm.write(f"left out: {entry.label} x{observation.scale}: {error}", file=sys.stderr)
        return None


def markdown_table(rows: Sequence[Row]) -> str:
    """Return mean and standard deviation over the scenes, one line per method and scale."""
    headings = ["scale", "method", *(metric.title for metric in metrics_for()), "seconds"]
    lines = []
    for (scale, method), chosen in sorted(_groups(rows).items(), key=lambda group: group[0][0]):
        summary = summarise([row.scores for row in chosen])
        mean, std = summary.mean.by_name(), summary.std.by_name()
        cells = [
            f"{m.number(mean[m.name])} ± {m.number(std[m.name])}" if m.name in mean else "–"
            for m in metrics_for()
        ]
        seconds = sum(row.seconds for row in chosen) / len(chosen)
        lines.append([f"x{scale}", method, *cells, f"{seconds:.2f}"])
    return _tables.markdown(headings, lines) + _cameras_table(rows)


def write_tables(folder: Path, rows: Sequence[Row], protocol: dict[str, Any]) -> None:
    """Write scores.csv, scores.json and scores.md."""
    means = []
    for (scale, method), chosen in _groups(rows).items():
        summary = summarise([row.scores for row in chosen])
        scores = {"mean": summary.mean.as_dict(), "std": summary.std.as_dict(), "scenes": summary.count}
        means.append({"scale": scale, "method": method, **scores})
    plain = [row.as_dict() for row in rows]
    _tables.write_tables(folder, plain, protocol=protocol, means=means, text=markdown_table(rows))


def main() -> None:
    """Flags to arguments, score, write."""
    _protocols.apply()
    if task_from_flags() == "pictures":
        evaluate_pictures.main()
        return
    entries = parse_entries(FLAGS.methods or METHODS)
    scales = scales_of(FLAGS.scales or SCALES)
    files = scene_files()
    folder = Path(FLAGS.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    _flags.require_report(FLAGS.report)
    rows = evaluate(entries, files, scales, folder)
    write_tables(folder, rows, _flags.resolved_flags())
    marks = []
    for (scale, method), chosen in sorted(_groups(rows).items(), key=lambda group: group[0][0]):
        seconds = sum(row.seconds for row in chosen) / len(chosen)
        psnr = sum(row.scores.psnr_bands for row in chosen) / len(chosen)
        marks.append(Mark(method, f"x{scale}", seconds, psnr))
    time_sheet(folder / "times.png", marks, title="Quality against time", limit=FLAGS.max_seconds)
    print(markdown_table(rows))
    print(f"tables{' and picture sheets' if FLAGS.sheets else ''}: {folder}")


def task_from_flags() -> str:
    """The task that --task names, or --data_set implies: "scenes" or "pictures".

    Raises:
        ValueError: flags that exclude one another.
    """
    known, given = FLAGS.data_set, [name for name in ("scenes", "sets") if FLAGS[name].value]
    checks.require(
        known is not None or FLAGS.data_dir is None,
        "data_set",
        expected="the set that --data_dir holds",
        received="none",
        remedy="give --data_set, or name a folder of your own by --scenes or --sets",
    )
    checks.require(
        known is None or not given,
        "data_set",
        expected="--data_dir for the folder of the set",
        received=f"--{given[0] if given else 'scenes'}",
        remedy="leave it out",
    )
    implied = "pictures" if known in PICTURE_SETS else "scenes"
    checks.require(
        known is None or FLAGS.task in (None, implied),
        "task",
        expected=f"{implied}, as {known} is a set of {implied}",
        received=str(FLAGS.task),
        remedy="leave --task out",
    )
    return FLAGS.task or implied


def scene_files() -> SceneFiles:
    """The scenes to score on: the test part of --data_set, or a folder of cubes."""
    if FLAGS.data_set is not None:
        return _scene_sets.set_files("test")
    return SceneFiles(find_scenes(FLAGS.scenes, default="hsi/cave_test"))


def evaluate(entries: Sequence[Entry], files: SceneFiles, scales: Sequence[int], folder: Path) -> list[Row]:
    """Score every method on every scene at every scale, one at a time, and draw the sheets."""
    snr_db = (HSI_SNR_DB, MSI_SNR_DB) if FLAGS.noisy else (None, None)
    controls, blind = Controls(FLAGS.seed, FLAGS.max_seconds), FLAGS.cameras == "estimated"
    paths, source = files.paths, "scenes" if FLAGS.data_set is None else "data_dir"
    rows: list[Row] = []
    maps: dict[int, list[SceneMaps]] = {}
    with tqdm(total=len(entries) * len(paths) * len(scales), unit="estimate", dynamic_ncols=True) as bar:
        for path in paths:
            (scene,) = in_unit_range([files.read(path)], FLAGS.white_level, flag=source).scenes
            whole = top_left(scene, FLAGS.crop)
            for scale in scales:
                scene = crop_to_multiple(whole, scale)
                srf = _scene_sets.response_of(scene)
                observation = simulate(scene, scale=scale, srf=srf, psf=FLAGS.psf, snr_db=snr_db)
                estimates = {}
                for entry in entries:
                    bar.set_postfix_str(f"{scene.name} x{scale} {entry.label}")
                    if entry.fits(observation):
                        found = score_or_skip(entry, scene, observation, controls=controls, blind=blind)
                        if found is not None:
                            rows.append(found[0])
                            estimates[entry.label] = found[1].estimate.cube
                    bar.update()
                if FLAGS.sheets and estimates:
                    title, shown = f"{scene.name}, x{scale}", dict(list(estimates.items())[-5:])
                    sheet = SheetData.of(observation, scene, shown, title=title)
                    picture_sheet(folder / f"{scene.name}_x{scale}.png", sheet)
                if FLAGS.maps and estimates:
                    cards = {row.method: row.scores for row in rows[-len(estimates) :]}
                    band = None if FLAGS.maps_band is None else FLAGS.maps_band - 1
                    maps.setdefault(scale, []).append(scene_maps(scene, estimates, cards, band=band))
                if FLAGS.report and estimates:
                    page = Path(FLAGS.report)
                    if len(paths) * len(scales) > 1:
                        page = page.with_name(f"{page.stem}_{scene.name}_x{scale}{page.suffix}")
                    _write_page(page, scene, observation, estimates)
    for scale, scenes in maps.items():
        method_maps(folder / f"maps_x{scale}.png", scenes, title=f"Methods at x{scale}")
    checks.require(
        bool(rows),
        "methods",
        expected="a method that fits the scenes",
        received=", ".join(entry.label for entry in entries),
        remedy="train weights for these scales, or add --methods=spectral_ls",
    )
    return rows


def _write_page(path: Path, scene: Scene, observation: Observation, estimates: dict[str, Any]) -> None:
    """The page of one scene and scale, with the last five methods."""
    shown = {name: Scene(cube, scene.wavelengths_nm) for name, cube in list(estimates.items())[-5:]}
    data = scene_report(observation, shown, reference=scene, cameras=shown_cameras(observation))
    command = ("python", "-m", "trainers.evaluate", *sys.argv[1:])
    write_report(replace(data, configuration=_flags.resolved_flags(), command=command), path)


def _cameras_table(rows: Sequence[Row]) -> str:
    """Mean errors of estimated cameras, one line per method and scale; empty where none were estimated."""
    lines, metrics = [], (get("kernel_l1", "psf"), get("response_sam_degrees", "srf"))
    for (scale, method), chosen in _groups(rows).items():
        cells = []
        for metric in metrics:
            values = [row.cameras.as_dict()[metric.name] for row in chosen]
            known = [value for value in values if value is not None]
            cells.append(metric.number(sum(known) / len(known)) if known else "")
        if any(cells):
            lines.append([f"x{scale}", method, *cells])
    headings = ["scale", "method", *(metric.title for metric in metrics)]
    return "\n" + _tables.markdown(headings, lines) if lines else ""


def _groups(rows: Sequence[Row]) -> dict[tuple[int, str], list[Row]]:
    return grouped(rows, lambda row: (row.scale, row.method))


def scales_of(texts: Sequence[str]) -> list[int]:
    """Return scales as flags name them.

    Raises:
        ValueError: for anything but positive integers.
    """
    found = _flags.numbers(
        "scales",
        texts,
        lambda scale: scale > 0 and scale.is_integer(),
        expected="positive integers",
        example="8,16,32",
    )
    return [int(scale) for scale in found]


if __name__ == "__main__":
    define_flags()
    evaluate_pictures.define_flags()
    run_app(main)
