"""The report of a run's folder: what a solver left (solution.json), or a training (model.json and its logs).

A simulated scene is made again from the run's flags; a trained model fuses its first validation scene.
"""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from hsr_tf import checks
from hsr_tf.data.scenes import crop_to_multiple, find_scenes
from hsr_tf.data.white_level import in_unit_range
from hsr_tf.fusion.alignment import align
from hsr_tf.fusion.api import fuse, simulate
from hsr_tf.fusion.simulated import SimulationPlan, Truth, simulated_scene
from hsr_tf.io import load
from hsr_tf.metrics.table import metrics_for
from hsr_tf.networks.cards import CARD, FUSION, ModelCard, read_card
from hsr_tf.physics.psf import Psf
from hsr_tf.report.cameras import CamerasData
from hsr_tf.report.html.report_data import Curve, ReportData
from hsr_tf.report.scene_report import finite, scene_report, shown_cameras
from hsr_tf.scene import Observation, Solution

FLAG_FILE, SOLUTION, MOST_POINTS = "flags.txt", "solution.json", 2000


def run_report(folder: str | os.PathLike[str]) -> ReportData:
    """What a report shows of a run.

    Args:
        folder: the --run_dir of trainers.unsupervised, trainers.blind_fusion, trainers.fusion or a trainer of
            networks of single images (of which curves, scores and configuration are shown).

    Raises:
        OSError: no run in the folder, or one that has not come to its end; a scene that is missing.
        ValueError: a scene that has changed since.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise checks.file_error(folder, "no such folder", "give the --run_dir of a run")
    if (folder / SOLUTION).is_file():
        return _solver_report(folder)
    if (folder / "model" / CARD).is_file():
        return _training_report(folder)
    remedy = "give the --run_dir of a run that has come to its end"
    raise checks.file_error(folder, f"holds neither {SOLUTION} nor model/{CARD}", remedy)


def read_flags(path: Path) -> dict[str, Any]:
    """The flags of a flag file by name; one that is given several times has a list.

    Raises:
        OSError: no such file.
    """
    if not path.is_file():
        raise checks.file_error(path, "no such file", "give the folder of a run, which has one")
    found: dict[str, Any] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        name, _, value = line.strip().removeprefix("--").partition("=")
        if line.strip().startswith("--"):
            earlier = found.get(name)
            found[name] = value if earlier is None else [*np.atleast_1d(earlier).tolist(), value]
    return found


def _solver_report(folder: Path) -> ReportData:
    remedy = "run it again in another folder"
    try:
        record = json.loads((folder / SOLUTION).read_text(encoding="utf-8"))
    except ValueError as error:
        raise checks.file_error(folder / SOLUTION, f"is no JSON ({error})", remedy) from error
    if not isinstance(record, dict):
        raise checks.file_error(folder / SOLUTION, "does not describe a solution", remedy)
    flags = read_flags(folder / FLAG_FILE)
    observation, truth = _scene_of(flags)
    estimate, name = load(folder / "estimate.h5"), str(record.get("method", "estimate"))
    cameras = _cameras_of(folder, observation, truth)
    data = scene_report(observation, {name: estimate}, reference=truth.scene, cameras=cameras)
    estimated = any("estimated" in str(record.get(key)) for key in ("psf", "srf"))
    program = record.get("program") or f"trainers.{'blind_fusion' if estimated else 'unsupervised'}"
    left = {key: record.get(key) for key in ("lr_hsi_residual", "hr_msi_residual", "seconds", "iterations")}
    scores = {**data.scores.get(name, {}), **finite(left)}
    return replace(
        data,
        curves=_course(folder / "curve.csv"),
        scores={name: scores},
        configuration={"flags": flags, "solution": {k: v for k, v in record.items() if k != "scores"}},
        command=("python", "-m", program, f"--flagfile={folder / FLAG_FILE}"),
    )


def _scene_of(flags: Mapping[str, Any]) -> tuple[Observation, Truth]:
    if "reference" not in flags:
        for name in ("lr_hsi", "hr_msi"):
            checks.require(
                name in flags, name, expected="in the run's flags", received="none", remedy="run it again"
            )
        return align(load(flags["lr_hsi"]), load(flags["hr_msi"])).observation, Truth()
    shift = flags.get("shift")
    plan = SimulationPlan(
        scale=int(flags.get("scale", SimulationPlan.scale)),
        crop=int(flags["crop"]) if "crop" in flags else None,
        psf=flags.get("psf", SimulationPlan.psf),
        srf=flags.get("srf", SimulationPlan.srf),
        noisy=flags.get("noisy") == "True",
        shift=tuple(float(part) for part in shift.split(",")) if shift else None,  # type: ignore[arg-type]
    )
    return simulated_scene(flags["reference"], plan)


def _cameras_of(folder: Path, observation: Observation, truth: Truth) -> CamerasData | None:
    """Those that the run estimated, the shift within the kernel, else those of the scene."""
    kernel, response = folder / "kernel.csv", folder / "response.csv"
    psf = np.loadtxt(kernel, delimiter=",", ndmin=2) if kernel.is_file() else None
    srf = np.loadtxt(response, delimiter=",", skiprows=1, ndmin=2)[:, 1:] if response.is_file() else None
    found = Solution(observation.lr_hsi, None, None, 0.0, psf=psf, srf=srf)
    known = Psf(truth.psf, signed=True) if truth.psf is not None and psf is None else None
    return shown_cameras(observation, found, psf=known)


def _course(path: Path) -> dict[str, Curve]:
    """Objective and quality against time, as a solver's curve.csv has them."""
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    seconds = [float(row["seconds"]) for row in rows]
    curves = {}
    for column in ("psnr_bands", "objective"):
        label = _titles().get(column, column)
        values = [float(row[column]) if row.get(column) else math.nan for row in rows]
        if any(math.isfinite(value) for value in values):
            curves[label] = _curve("seconds", label, column, (seconds, values))
    return curves


def _training_report(folder: Path) -> ReportData:
    card, flags = read_card(folder / "model"), read_flags(folder / FLAG_FILE)
    curves = _logged(folder / "tensorboard")
    record = {name: value for name, value in card.record.items() if name != "flags"}
    of_pictures = "blind_sr" if "weight_kernel_code" in flags else "single_image"
    program = f"trainers.{'fusion' if card.kind == FUSION else of_pictures}"
    name = card.config.method
    validation = finite(record.get("validation") or {})
    data = ReportData(
        title=f"{name}, training",
        curves=curves,
        scores={f"{name}, validation": validation} if validation or not curves else {},
    )
    if card.kind == FUSION:
        data = _with_validation_scene(data, card, flags)
    return replace(
        data,
        configuration={"flags": flags, "model": card.config.to_json(), "record": record},
        command=("python", "-m", program, f"--flagfile={folder / FLAG_FILE}"),
    )


def _with_validation_scene(data: ReportData, card: ModelCard, flags: Mapping[str, Any]) -> ReportData:
    """The first validation scene, noise-free, fused by the model; a note where it is not there any more."""
    names = list(card.record.get("validation_scenes") or ())
    try:
        paths = find_scenes(flags.get("data_dir"), default="hsi/cave_train")
        called = (load(path) for path in paths if path.stem in names or path.name in names)
        others = (scene for scene in map(load, paths if names else ()) if scene.name in names)
        scene = next(chain(called, others), None)
    except (OSError, ValueError) as error:
        return replace(data, notes=(f"No scene is shown: {error}",))
    if scene is None:
        missing = ", ".join(names) or "none"
        return replace(data, notes=(f"No scene is shown: {missing} is not in the data folder.",))
    scale = card.config.scale or 1
    level = flags.get("white_level")
    (scene,) = in_unit_range([scene], None if level is None else float(level)).scenes
    scene = crop_to_multiple(scene, scale)
    words = {key: flags[key] for key in ("psf", "srf") if key in flags}
    observation = simulate(scene, scale=scale, **words)
    method = card.config.method
    estimate = fuse(observation, method, weights=card.folder).estimate
    shown = scene_report(observation, {method: estimate}, reference=scene, cameras=shown_cameras(observation))
    title = f"{method}, training; {scene.name}, ×{scale}"
    scores = {f"{name}, {scene.name}": card for name, card in shown.scores.items()}
    return replace(shown, title=title, curves=data.curves, scores={**scores, **data.scores})


def _logged(folder: Path) -> dict[str, Curve]:
    """The scalars that a training wrote for TensorBoard, at most 2000 points each."""
    if not folder.is_dir():
        return {}
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    events = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    events.Reload()
    curves = {}
    for tag in events.Tags()["tensors"]:
        points = {event.step: make_ndarray(event.tensor_proto) for event in events.Tensors(tag)}
        numbers = {
            step: float(value)
            for step, value in sorted(points.items())
            if value.dtype.kind == "f" and not value.shape
        }
        if numbers:
            every = -(-len(numbers) // MOST_POINTS)
            series = (list(numbers)[::every], list(numbers.values())[::every])
            curves[tag] = _curve("steps", _titles().get(tag.rpartition("/")[2], tag), tag, series)
    return curves


def _titles() -> dict[str, str]:
    """Labels of the axes by the keys of scores."""
    return {metric.name: metric.title for metric in metrics_for()}


def _curve(x_label: str, y_label: str, name: str, series: tuple[list[float], list[float]]) -> Curve:
    """A curve, on a logarithmic axis where its values fall over a power of ten."""
    known = [value for value in series[1] if math.isfinite(value)]
    wide = min(known) > 0 and max(known) > 10 * min(known)
    return Curve(x_label, y_label, {name: series}, logarithmic=wide)
