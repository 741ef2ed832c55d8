"""What figures without a truth are worth where the truth is known: `python -m benchmarks.no_reference`.

Every method fuses every scene, after the protocol of `trainers.evaluate` (Gaussian PSF of FWHM s, Nikon D700,
noise-free or `--noisy`), on training scenes unless --data_dir says otherwise. Printed, of every figure of
`hsr_tf.metrics.no_reference` and of Wald's protocol: Spearman's correlation with the true PSNR over the
methods, mean over the scenes, and over all pairs of scene and method. 1 is perfect, 0 says nothing.

`--uncertainty` prints instead how well the maps of `hsr_tf.fusion.error_maps` tell the errors. `--calibrate`
prints the factor of each form that makes the 1-sigma coverage right over these scenes: of methods without
training set, and of the network on what it was not trained on, `flowers`.

    python -m benchmarks.no_reference --scenes=flowers,cd,pompoms --max_seconds=30
    python -m benchmarks.no_reference --uncertainty --data_dir=$HSR_DATA/hsi/cave_test --crop=256
    python -m benchmarks.no_reference --calibrate --scenes=flowers,cd,pompoms,thread_spools --crop=256
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags
from scipy import optimize, stats
from tqdm import tqdm

from benchmarks import _report
from hsr_tf import checks, methods
from hsr_tf.console.flag_apps import run_app
from hsr_tf.data.scenes import crop_to_multiple, find_scenes
from hsr_tf.fusion.api import fuse, simulate
from hsr_tf.fusion.error_maps import (
    FACTOR,
    ITERATES,
    KERNELS,
    TURNS,
    Spread,
    UncertainFusion,
    sigma_map,
    turn_spread,
)
from hsr_tf.fusion.quality import assess, wald
from hsr_tf.io import load
from hsr_tf.metrics.calibration import ONE_SIGMA, calibration, coverage
from hsr_tf.metrics.full_reference import scorecard
from hsr_tf.metrics.table import get, metrics_for
from hsr_tf.scene import Observation, Scene
from hsr_tf.solvers.solver import Controls
from trainers.evaluate import HSI_SNR_DB, MSI_SNR_DB

FLAGS = flags.FLAGS
FOLDER = "hsi/cave_train"
METHODS = ("bicubic", "spectral_ls", "sylvester", "cnmf", "hysure", "kernel_ls", "ms_ssfnet")
WALD = {"wald_psnr": "psnr_bands", "wald_sam": "sam_degrees"}
HELD_OUT = "flowers"
EVERY = 3


@dataclass(frozen=True)
class Trial:
    """One method on one scene: its true PSNR (bands) in dB, and its figures by name."""

    scene: str
    method: str
    psnr: float
    figures: dict[str, float]


@dataclass(frozen=True, eq=False)
class Mapped:
    """An estimate's errors and what its map is made of, every third pixel along both axes in the end.

    Attributes:
        scene, method, form: what it is of.
        estimate: with its metadata.
        error: |Z - truth|, (H, W, C).
        spread: of the ensemble.
        distance: whether that to the ensemble's mean counts.
    """

    scene: str
    method: str
    form: str
    estimate: Scene
    error: np.ndarray
    spread: Spread
    distance: bool

    def sigma(self, factor: float) -> np.ndarray:
        """The map with a factor, at the pixels that are looked at."""
        return sigma_map(self.estimate, self.spread, factor, distance=self.distance).cube[::EVERY, ::EVERY]

    @property
    def errors(self) -> np.ndarray:
        """|e| at the same pixels."""
        return self.error[::EVERY, ::EVERY]


def define_flags() -> None:
    """What is measured, and where it goes."""
    flags.DEFINE_list("methods", list(METHODS), "Methods by name.")
    _report.define_scenes(folder=FOLDER, crop=None)
    flags.DEFINE_integer("scale", 8, "Scale factor: sharp pixels per coarse pixel.", lower_bound=2)
    flags.DEFINE_float("max_seconds", None, "Time limit of a solver.", 0.1)
    flags.DEFINE_bool("uncertainty", False, "Hold the maps of uncertainty against the errors.")
    flags.DEFINE_bool("calibrate", False, "Find the factors of these maps.")
    flags.DEFINE_string(
        "json",
        None,
        "Write the figures to this file after every scene; scenes that it holds are not repeated.",
    )


def try_methods(truth: Scene, observation: Observation, names: Sequence[str]) -> Iterator[Trial]:
    """The figures of every method on one scene; methods without weights for it are left out."""
    controls = Controls(max_seconds=FLAGS.max_seconds)
    for name in names:
        try:
            found = fuse(observation, name, controls=controls)
        except ValueError as error:
            tqdm.write(f"{name} left out: {error}")
            continue
        trial = wald(observation, name, controls=controls)
        judged = assess(observation, found.estimate).figures.by_name()
        values = [(metric.name, judged[metric.name]) for metric in metrics_for("images")]
        figures = {name: value for name, value in values if isinstance(value, float)}
        figures |= {figure: trial.scores.by_name()[name] for figure, name in WALD.items()}
        psnr = scorecard(truth.cube, found.estimate.cube, scale=observation.scale).psnr_bands
        yield Trial(truth.name, name, psnr, figures)


def rank_lines(trials: Sequence[Trial]) -> list[dict[str, Any]]:
    """Of each figure: rank correlation with the true PSNR, over the methods of a scene and over all."""
    lines = []
    for figure in trials[0].figures if trials else ():
        within = []
        for scene in dict.fromkeys(trial.scene for trial in trials):
            within.append(_rank([trial for trial in trials if trial.scene == scene], figure))
        lines.append(
            {
                "figure": figure,
                "within": float(np.mean(within)),
                "worst": min(within),
                "all": _rank(trials, figure),
            }
        )
    return lines


def maps_of(truth: Scene, observation: Observation) -> Iterator[Mapped]:
    """The maps of one scene: every form where it has one; the kernels are fitted once."""

    def mapped(method: str, form: str, estimate: Scene, spread: Spread, distance: bool = False) -> Mapped:
        error = np.abs(estimate.cube - truth.cube)
        return Mapped(truth.name, method, form, estimate, error, spread, distance)

    kernels = UncertainFusion()(observation, "kernel_ls")
    yield mapped("kernel_ls", KERNELS, kernels.solution.estimate, kernels.spread)
    for name in [name for name in FLAGS.methods if name != "kernel_ls"]:
        known = methods.get(name, methods.FUSION_KINDS)
        if name == "deep_prior":
            late = UncertainFusion(ITERATES)(observation, name)
            yield mapped(name, ITERATES, late.solution.estimate, late.spread)
            estimate = late.solution.estimate
        else:
            estimate = fuse(observation, name, controls=Controls(max_seconds=FLAGS.max_seconds)).estimate
        yield mapped(name, KERNELS, estimate, kernels.spread, distance=True)
        if known.kind == "network":
            yield mapped(name, TURNS, estimate, turn_spread(observation, method=known))


def calibrated(maps: Sequence[Mapped]) -> list[dict[str, Any]]:
    """The calibration of every map."""
    lines = []
    for m in maps:
        labels = {"scene": m.scene, "form": m.form, "method": m.method}
        rmse = 255 * float(np.sqrt(np.mean(np.square(m.errors))))
        lines.append({**labels, "rmse_255": rmse, **calibration(m.errors, m.sigma(FACTOR[m.form])).as_dict()})
    return lines


def best_factor(maps: Sequence[Mapped]) -> float:
    """The factor for which the mean of the 1-sigma coverages of these maps is that of a Gaussian."""

    def excess(log_factor: float) -> float:
        factor = float(np.exp(log_factor))
        return float(np.mean([coverage(m.errors, m.sigma(factor), 1.0) for m in maps])) - ONE_SIGMA

    return float(np.exp(optimize.brentq(excess, np.log(0.01), np.log(1e6), xtol=0.01)))


def main() -> None:
    """Measure, print, write."""
    for name in FLAGS.methods:
        methods.get(name, methods.FUSION_KINDS)
    warnings.simplefilter("ignore")
    if FLAGS.calibrate:
        maps = [m for truth in _with_bar(_scenes()) for m in maps_of(truth, _observed(truth))]
        print(_table([_factor_line(form, maps) for form in dict.fromkeys(m.form for m in maps)]))
        return
    records = _kept()
    done = {record["scene"] for record in records}
    for truth in _with_bar(scene for scene in _scenes() if scene.name not in done):
        observation = _observed(truth)
        if FLAGS.uncertainty:
            records += calibrated(list(maps_of(truth, observation)))
        else:
            records += [asdict(trial) for trial in try_methods(truth, observation, FLAGS.methods)]
        _report.write({"settings": _settings(), "records": records})
    if FLAGS.uncertainty:
        print(_table(records), "\n")
        # Mean over the scenes of the calibrations of each form and method.
        lines = []
        for form, method in dict.fromkeys((record["form"], record["method"]) for record in records):
            chosen = [record for record in records if (record["form"], record["method"]) == (form, method)]
            numbers = [name for name in chosen[0] if name not in ("scene", "form", "method")]
            means = {name: float(np.mean([record[name] for record in chosen])) for name in numbers}
            lines.append({"form": form, "method": method, "scenes": len(chosen), **means})
        print(_table(lines))
        return
    trials = [Trial(**record) for record in records]
    rows = [{"scene": t.scene, "method": t.method, "psnr": t.psnr, **t.figures} for t in trials]
    print(_table(rows), "\n")
    print(_table(rank_lines(trials)))


def _observed(truth: Scene) -> Observation:
    snr_db = (HSI_SNR_DB, MSI_SNR_DB) if FLAGS.noisy else (None, None)
    return simulate(truth, scale=FLAGS.scale, snr_db=snr_db)


def _with_bar(scenes: Iterable[Scene]) -> Iterable[Scene]:
    bar: Iterable[Scene] = tqdm(scenes, unit="scene", dynamic_ncols=True)
    return bar


def _settings() -> dict[str, Any]:
    """What records of one file have in common."""
    return _report.settings("methods", "scale", "crop", "noisy", "max_seconds", "uncertainty")


def _kept() -> list[dict[str, Any]]:
    """The records that the file holds."""
    if not FLAGS.json or not Path(FLAGS.json).is_file():
        return []
    held = json.loads(Path(FLAGS.json).read_text(encoding="utf-8"))
    checks.require(
        held.get("settings") == _settings(),
        "json",
        expected="a file of the same settings",
        received=f"{FLAGS.json} of {held.get('settings')}",
        remedy="name another file",
    )
    return list(held["records"])


def _factor_line(form: str, maps: Sequence[Mapped]) -> dict[str, Any]:
    untrained = [m for m in maps if m.form == form and methods.get(m.method).kind != "network"]
    chosen = untrained or [m for m in maps if m.form == form and m.scene == HELD_OUT]
    return {"form": form, "maps": len(chosen), "factor": best_factor(chosen) if chosen else float("nan")}


def _rank(trials: Sequence[Trial], figure: str) -> float:
    metric = get(WALD[figure]) if figure in WALD else get(figure, "images")
    sign = 1.0 if metric.better == "higher" else -1.0
    values = [sign * trial.figures[figure] for trial in trials]
    return float(stats.spearmanr(values, [trial.psnr for trial in trials]).statistic)


def _scenes() -> Iterator[Scene]:
    for path in find_scenes(FLAGS.data_dir, default=FOLDER, names=FLAGS.scenes):
        yield crop_to_multiple(middle(load(path), FLAGS.crop), FLAGS.scale)


def middle(scene: Scene, side: int | None) -> Scene:
    """The `side` x `side` pixels in the middle, or what there is of them; the whole scene for None."""
    if side is None:
        return scene
    rows, columns = (slice(max(0, (n - side) // 2), max(0, (n - side) // 2) + side) for n in scene.shape[:2])
    return Scene(scene.cube[rows, columns], scene.wavelengths_nm, scene.name)


def _table(lines: Sequence[dict[str, Any]]) -> str:
    rows = [
        [f"{value:.4g}" if isinstance(value, float) else str(value) for value in line.values()]
        for line in lines
    ]
    heads = list(lines[0]) if lines else []
    return _report.table(heads, rows, words=range(len(heads)))


if __name__ == "__main__":
    define_flags()
    run_app(main, interrupted="nothing was written")
