"""What the trainers of one scene share: run a solver, record its course, score it, write it all down."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags

from hsr_tf import methods
from hsr_tf.files import plain, replacing_file, write_json
from hsr_tf.fusion.api import fuse
from hsr_tf.fusion.simulated import Truth
from hsr_tf.io import save
from hsr_tf.metrics.cameras import camera_scores, common_grid, without_margin
from hsr_tf.metrics.full_reference import psnr_bands, scorecard
from hsr_tf.metrics.table import metrics_for
from hsr_tf.options import adapted, with_options
from hsr_tf.physics.psf import Psf
from hsr_tf.physics.psf_shift import shifted_psf
from hsr_tf.report.cameras import CamerasData, cameras_sheet
from hsr_tf.report.kernel_sheet import KernelRow, kernel_sheet
from hsr_tf.report.screen import residual_words
from hsr_tf.report.timeline import Course, course_sheet
from hsr_tf.scene import Observation, Solution
from hsr_tf.solvers.solver import Controls
from hsr_tf.typing import Array
from trainers import _flags
from trainers._course import Recorder
from trainers._scene import define_scene_flags, read_scene

FLAGS = flags.FLAGS
DONE, FLOOR, KERNEL_SHEET = "solution.json", "spectral_ls", "kernels.png"
SHORT_SECONDS = 1.0


def define_solving_flags(method: str) -> None:
    """Flags of both trainers, with their own default method."""
    define_scene_flags()
    flags.DEFINE_string("method", method, "Solver, see hsr methods.")
    flags.DEFINE_bool("adapt", False, "Adapt the trained network named by --method to this scene.")
    flags.DEFINE_string(
        "weights", None, "Folder of the trained model for --adapt (default: the shipped one)."
    )
    flags.DEFINE_multi_string("option", [], "NAME=VALUE, an option of the solver; may be repeated.")
    flags.DEFINE_float("max_seconds", None, "Stop after this many seconds and keep the best estimate.", 0.1)
    flags.DEFINE_integer("seed", 0, "Random seed.")
    flags.DEFINE_string("run_dir", None, "Folder for all output files.", required=True)
    flags.DEFINE_bool("progress", True, "Show a progress bar.")
    flags.DEFINE_string("report", None, "Write an HTML page that shows the result when the run is done.")


@dataclass(frozen=True, eq=False)
class Job:
    """A solver and what it is run on.

    Attributes:
        observation: the two images.
        truth: what is known of the answer.
        method: with its options.
        psf: for `fuse`.
        srf: for `fuse`.
    """

    observation: Observation
    truth: Truth
    method: methods.Method
    psf: Any
    srf: Any


@dataclass(frozen=True)
class SolvePlan:
    """How a job is run; the fields are the flags of the same names, and the program's, to run it again."""

    run_dir: Path
    max_seconds: float | None = None
    seed: int = 0
    progress: bool = False
    program: str = ""
    kernels: bool = False

    @property
    def is_done(self) -> bool:
        """Whether the folder holds a finished run."""
        return (self.run_dir / DONE).is_file()


def job_from_flags(*, psf: Any, srf: Any) -> Job:
    """The job that the flags describe, with these cameras for `fuse`."""
    known = methods.get(FLAGS.method)
    options = FLAGS.option
    method = adapted(known, FLAGS.weights, options) if FLAGS.adapt else with_options(known, options)
    observation, truth = read_scene()
    return Job(observation, truth, method, psf, srf)


def solve_and_write(read_job: Callable[[], Job], program: str, *, kernels: bool = False) -> None:
    """Run the job in --run_dir as the flags say, or tell that it is done; `kernels` draws those it learns."""
    run_dir = Path(FLAGS.run_dir)
    _flags.require_report(FLAGS.report)
    _flags.save_resolved_flags(run_dir)
    shown = FLAGS.progress and sys.stderr.isatty()
    plan = SolvePlan(run_dir, FLAGS.max_seconds, FLAGS.seed, shown, program, kernels)
    if plan.is_done:
        print(f"done before: {run_dir}; give another --run_dir for a new run")
        return
    print(summary(solve(read_job(), plan), run_dir))
    _flags.write_run_report(run_dir, FLAGS.report)


def solve(job: Job, plan: SolvePlan) -> dict[str, Any]:
    """Solve and write everything; a run that was killed goes on where its solver left a checkpoint.

    Returns:
        What solution.json holds.
    """
    folder = plan.run_dir
    folder.mkdir(parents=True, exist_ok=True)
    cameras = _true_cameras(job.truth)
    recorder = Recorder(folder / "curve.csv", job.truth.scene, cameras, keep_kernels=plan.kernels)
    checkpoint = folder / "checkpoint.npz"
    limit = plan.max_seconds
    if limit is not None and checkpoint.is_file():
        limit = max(SHORT_SECONDS, limit - recorder.seconds_before)
    controls = Controls(plan.seed, limit, recorder, checkpoint, plan.progress)
    try:
        solution = fuse(job.observation, job.method, psf=job.psf, srf=job.srf, controls=controls)
    except KeyboardInterrupt:
        recorder.write()
        raise
    save(solution.estimate, folder / "estimate.h5")
    record = {**describe(job, solution), "program": plan.program}
    quality = (record["scores"] or {}).get("psnr_bands")
    recorder.finish(solution.seconds, solution.iterations or 0, math.nan if quality is None else quality)
    draw(job, solution, recorder, folder)
    if plan.kernels:
        draw_kernels(job, solution, recorder, folder)
    write_cameras(solution, job.observation, folder)
    write_json(folder / DONE, record)
    return record


def _true_cameras(truth: Truth) -> tuple[Array | None, Array | None]:
    """The true PSF as it lies on the sharp image, a shift within it, and the true response."""
    if truth.psf is None or truth.shift is None:
        return truth.psf, truth.srf
    return shifted_psf(Psf(truth.psf), truth.shift).kernel, truth.srf


def write_cameras(solution: Solution, observation: Observation, folder: Path) -> None:
    """kernel.csv, the shift within it, and response.csv, as hsr fuse takes them by --psf and --srf."""
    if solution.psf is not None:
        kernel = shifted_psf(Psf(solution.psf, signed=True), solution.shift_pixels or (0.0, 0.0)).kernel
        with replacing_file(folder / "kernel.csv") as draft:
            np.savetxt(draft, kernel, delimiter=",", fmt="%.9g")
    wavelengths = observation.lr_hsi.wavelengths_nm
    if solution.srf is None or wavelengths is None:
        return
    header = ",".join(["wavelength_nm", *(f"channel_{i + 1}" for i in range(solution.srf.shape[1]))])
    with replacing_file(folder / "response.csv") as draft:
        table = np.column_stack([wavelengths, solution.srf])
        np.savetxt(draft, table, delimiter=",", fmt="%.9g", header=header, comments="")


def describe(job: Job, solution: Solution) -> dict[str, Any]:
    """Everything about a solution as plain data, for JSON; what is not known is null."""
    metadata, truth = solution.estimate.metadata, job.truth
    record: dict[str, Any] = {
        "method": job.method.name,
        "scale": job.observation.scale,
        "psf": metadata["psf"],
        "srf": metadata["srf"],
        "lr_hsi_residual": solution.lr_hsi_residual,
        "hr_msi_residual": solution.hr_msi_residual,
        "verdict": metadata.get("verdict"),
        "seconds": round(solution.seconds, 3),
        "iterations": solution.iterations,
        "converged": solution.converged,
        "shift_pixels": solution.shift_pixels,
        "true_shift": truth.shift,
        "cameras": camera_scores(truth.psf, truth.srf, solution.psf, solution.srf).as_dict(),
        "scores": None,
    }
    inherited = job.observation.lr_hsi.metadata.keys() | record.keys() | {"scale_factor"}
    record["details"] = {name: value for name, value in metadata.items() if name not in inherited}
    if truth.scene is not None:
        card = scorecard(truth.scene, solution.estimate, scale=job.observation.scale)
        record["scores"] = card.as_dict()
    return dict(plain(record))


def draw(job: Job, solution: Solution, recorder: Recorder, run_dir: Path) -> None:
    """curve.png, and cameras.png where cameras were estimated."""
    scene, name = job.observation.lr_hsi, job.method.name
    title = f"{scene.name + ', ' if scene.name else ''}{name}, x{job.observation.scale}"
    samples, floors = recorder.samples, {}
    if job.truth.scene is not None:  # what the closed form with the true cameras reaches
        estimate = fuse(job.observation, FLOOR).estimate.cube
        floors[FLOOR] = float(psnr_bands(job.truth.scene.cube, np.clip(estimate, 0.0, 1.0)))
    course = Course(
        title=title,
        seconds=[sample.seconds for sample in samples],
        objective=[sample.objective for sample in samples],
        psnr=[sample.psnr_bands for sample in samples],
        floors=floors,
        kernel_l1=[sample.kernel_l1 for sample in samples],
        response_sam_degrees=[sample.response_sam_degrees for sample in samples],
    )
    course_sheet(run_dir / "curve.png", course)
    if solution.psf is None and solution.srf is None:
        return
    cameras, truth = CamerasData.of(job.observation, solution, method=name), job.truth
    known = replace(cameras, true_psf=truth.psf, true_srf=truth.srf, true_shift=truth.shift)
    cameras_sheet(run_dir / "cameras.png", known)


def draw_kernels(job: Job, solution: Solution, recorder: Recorder, run_dir: Path) -> None:
    """kernels.png: the true PSF where it is known, those of a few iterations, and the one that was found.

    All lie on the sharp image, a shift within them.
    """
    if solution.psf is None:
        return
    last = shifted_psf(Psf(solution.psf, signed=True), solution.shift_pixels or (0.0, 0.0)).kernel
    kernels = [*recorder.kernels.values(), last]
    names = [f"iteration {at}" for at in recorder.kernels]
    truth = _true_cameras(job.truth)[0]
    largest = max([*kernels, *([] if truth is None else [truth])], key=lambda kernel: kernel.shape[0])
    true = () if truth is None else (common_grid(largest, truth)[1],)
    shown = without_margin(*true, *(common_grid(largest, kernel)[1] for kernel in kernels))
    row = KernelRow(
        title=job.observation.lr_hsi.name or "scene",
        note=f"x{job.observation.scale}",
        truth=None if truth is None else shown[0],
        found=shown[len(true) :],
        names=(*names, "found"),
    )
    words = "kernels learnt" if truth is None else "kernels true and learnt"
    kernel_sheet(run_dir / KERNEL_SHEET, [row], title=f"{job.method.name}: {words}")


def summary(record: dict[str, Any], run_dir: Path) -> str:
    """The result in three lines."""
    residuals = residual_words(record["lr_hsi_residual"], record["hr_msi_residual"])
    count = record["iterations"]
    iterations = "" if count is None else f"{count} iteration{'s' * (count != 1)} in "
    lines = [
        f"{record['method']}, x{record['scale']}: {iterations}"
        f"{record['seconds']:.1f} s; residuals: {residuals}"
    ]
    if record["scores"]:
        scores = record["scores"]
        lines.append(", ".join(f"{m.heading or m.label} {m.text(scores.get(m.name))}" for m in metrics_for()))
    cameras = {name: value for name, value in record["cameras"].items() if value is not None}
    known = [m for m in (*metrics_for("psf"), *metrics_for("srf")) if m.name in cameras]
    if known:
        lines.append(", ".join(f"{metric.label} {metric.text(cameras[metric.name])}" for metric in known))
    return "\n".join([*lines, f"written to {run_dir}"])
