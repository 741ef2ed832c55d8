"""What each departure from a published method gains or costs: `python -m benchmarks.departures`.

Every network is trained in a small size as it is built here, and again with one departure undone at a time:
the same patches in the same order, the same steps from one seed. Networks of single pictures learn
luminance at x4 on T91, each patch blurred by a Gaussian of its own, and are scored by the PSNR on Y of
pictures of BSD200 at three blurs (DBPN without blur in both); fusion networks learn at x8 on scenes of
cave_train and are scored on another one of them. Training is short and the networks are small, so that a
figure says what a departure does to the first steps, and less than 0.1 dB says nothing. The closed form
"sylvester" runs on 256 x 256 pixels of three scenes at x8, cut out of simulated images, without noise and
with 35 and 40 dB. The figures in the docstrings are what this prints.

    python -m benchmarks.departures --methods=dbpn,srmdnf --optimizer=muon --num_steps=400
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import patch

import keras
import numpy as np
from absl import flags

from benchmarks import _report
from benchmarks._correction_steps import SIZE, estimator_scores
from benchmarks._departure_forms import CASES, Case, Form
from benchmarks._subjects import short_run
from benchmarks._sylvester_forms import scores
from hsr_tf.console.flag_apps import run_app
from hsr_tf.data.kernels import parse_kernels
from hsr_tf.data.patches import PatchPlan
from hsr_tf.data.pictures import find_pictures, load_picture
from hsr_tf.data.scenes import find_scenes, load_scenes
from hsr_tf.networks.blind_losses import BlindWeights
from hsr_tf.networks.cards import FusionConfig, ImageSpec
from hsr_tf.physics.cameras import make_cameras
from trainers._pictures import Pictures
from trainers._run import RunPlan
from trainers._trainer import Trainer
from trainers.blind_sr import BlindTask, BlindTrainer, PartPlan
from trainers.fusion import FusionTask, FusionTrainer

FLAGS = flags.FLAGS
PICTURES = BlindWeights(pseudo_lr=0.1, image_middle=0.3, pseudo_lr_middle=0.1, kernel_code=0.1, kernel_norm=0)
SCENES, HELD_BACK = ("clay", "flowers", "paints", "sponges"), "pompoms"
NUM_HELD_BACK, CROP, FOLDER = 6, 256, "hsi/cave_train"
SYLVESTER, SYLVESTER_SCENES = "sylvester", ("clay", "flowers", "thread_spools")
IKC = "ikc"
METHODS = (*CASES, IKC, SYLVESTER)


def define_flags() -> None:
    """Define the methods and the size of a training."""
    _report.define_names("methods", METHODS, METHODS, "Methods by name.")
    flags.DEFINE_integer("num_steps", 400, "Steps of each training.", 1)
    flags.DEFINE_integer("batch_size", 8, "Patches per step.", 1)
    flags.DEFINE_integer("patch_size", 64, "Side of a patch in sharp pixels.", 32)
    flags.DEFINE_enum(
        "optimizer", "adam", ["adam", "muon"], "Optimiser; muon leaves kernel estimators to Adam."
    )
    flags.DEFINE_float("learning_rate", 1e-3, "Learning rate after a warm-up of 30 steps, along a cosine.")
    flags.DEFINE_integer("seed", 0, "Random seed of weights and patches.")
    _report.define_json()


@dataclass(frozen=True)
class Line:
    """One form after its training.

    Attributes:
        method, form: of what.
        weights: number of trained weights; 0 where they are not counted.
        psnr: mean on what was held back, dB.
        difference: from the first form of the method, dB.
        processor_seconds: of all cores, with the scores.
    """

    method: str
    form: str
    weights: int
    psnr: float
    difference: float
    processor_seconds: float

    def cells(self) -> list[str]:
        """The line of the table."""
        weights = f"{self.weights:,}" if self.weights else "–"
        numbers = (weights, f"{self.psnr:.2f}", f"{self.difference:+.2f}")
        return [self.method, self.form, *numbers, f"{self.processor_seconds:.0f}"]


def trained_psnr(case: Case, form: Form, plan: RunPlan, patches: PatchPlan) -> tuple[float, int]:
    """Train a form of a network; PSNR on what is held back, and the number of trained weights."""
    with ExitStack() as replaced:
        for target, value in form.replaced.items():
            replaced.enter_context(patch(target, value))
        if case.kernels is None:
            trainer: Trainer = _of_scenes(case, form, plan, patches)
        else:
            trainer = BlindTrainer(_picture_task(case, form, patches, plan.seed), plan)
    scores = trainer.train()
    names = ["psnr_bands"] if case.kernels is None else [name for name in scores if name.startswith("psnr")]
    weights = sum(int(np.prod(variable.shape)) for variable in trainer.model.trainable_variables)
    return float(np.mean([scores[name] for name in names])), weights


def _picture_task(case: Case, form: Form, patches: PatchPlan, seed: int) -> BlindTask:
    spec = ImageSpec(case.scale, init=form.init, zero_head=form.zero_head, seed=seed)
    network = PartPlan(case.method, spec, tuple({**case.options, **form.options}.items()))
    paths = find_pictures("sisr/T91", part="training")
    lumas = [load_picture(path).luma for path in paths]
    values = [luma for luma in lumas if min(luma.shape[:2]) >= patches.patch_size]
    held = [load_picture(path) for path in find_pictures("sisr/BSD200")[:NUM_HELD_BACK]]
    pictures = Pictures([path.stem for path in paths], values, held)
    kernels = parse_kernels(case.kernels or "")
    return BlindTask(network, pictures, patches, kernels, PICTURES, sigmas=case.sigmas, loss="l1")


def _of_scenes(case: Case, form: Form, plan: RunPlan, patches: PatchPlan) -> Trainer:
    training = load_scenes(find_scenes(None, default=FOLDER, names=SCENES))
    held = load_scenes(find_scenes(None, default=FOLDER, names=[HELD_BACK]))
    options = tuple({**case.options, **form.options}.items())
    config = FusionConfig(
        case.method, case.scale, training[0].num_bands, options=options, init=form.init, seed=plan.seed
    )
    cameras = make_cameras(training[0], case.scale)
    task = FusionTask(
        training, held, cameras, config, patches, validation_crop=CROP, through_fit=form.through_fit
    )
    return FusionTrainer(task, plan)


def trained_lines(name: str) -> Iterator[Line]:
    """Train every form of a network."""
    case, first = CASES[name], None
    patches = PatchPlan(FLAGS.patch_size, FLAGS.batch_size, seed=FLAGS.seed)
    for form in case.forms:
        begin = time.process_time()
        with tempfile.TemporaryDirectory() as folder:
            psnr, weights = trained_psnr(case, form, _plan(Path(folder)), patches)
        keras.backend.clear_session()
        first = psnr if first is None else first
        yield Line(name, form.name, weights, psnr, psnr - first, time.process_time() - begin)


def _plan(folder: Path) -> RunPlan:
    rate, batch, steps = FLAGS.learning_rate, FLAGS.batch_size, FLAGS.num_steps
    plan = short_run(folder, batch, optimizer=FLAGS.optimizer, learning_rate=rate, dtype="float32")
    plan = replace(plan, muon_excludes=("kernel_",) if FLAGS.optimizer == "muon" else ())
    plan = replace(plan, num_steps=steps, warmup_steps=30, ema=0.0, seed=FLAGS.seed)
    return replace(plan, checkpoint_every=steps, validate_every=steps)


def sylvester_lines() -> Iterator[Line]:
    """Run every form of the closed form on the scenes, without and with noise."""
    scenes = load_scenes(find_scenes(None, default=FOLDER, names=SYLVESTER_SCENES))
    for noisy in (False, True):
        begin = time.process_time()
        found = [scores(scene, make_cameras(scene, 8), CROP, noisy=noisy) for scene in scenes]
        seconds = (time.process_time() - begin) / len(found[0])
        means = {form: float(np.mean([one[form] for one in found])) for form in found[0]}
        first = next(iter(means.values()))
        name = f"{SYLVESTER}, {'noisy' if noisy else 'noise-free'}"
        yield from (Line(name, form, 0, psnr, psnr - first, seconds) for form, psnr in means.items())


def ikc_lines() -> Iterator[Line]:
    """Train IKC's estimator in both ways; the form holds the L1 distance of the kernels, 0 to 2."""
    case = Case(IKC, SIZE, ())
    patches = PatchPlan(FLAGS.patch_size, FLAGS.batch_size, seed=FLAGS.seed)
    task, first, begin = _picture_task(case, Form(), patches, FLAGS.seed), None, time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        for form, found in estimator_scores(task, _plan(Path(folder)), Path(folder)):
            psnr, seconds = found["psnr"], time.process_time() - begin
            first, begin = psnr if first is None else first, time.process_time()
            yield Line(IKC, f"{form}, kernel L1 {found['kernel_l1']:.3f}", 0, psnr, psnr - first, seconds)


def main() -> None:
    """Train or run every form, print each line as it is known and the table at the end."""
    found: list[Line] = []
    for name in FLAGS.methods:
        others = {IKC: ikc_lines, SYLVESTER: sylvester_lines}
        for line in others[name]() if name in others else trained_lines(name):
            found.append(line)
            print(" | ".join(line.cells()), file=sys.stderr, flush=True)
    _report.print_machine(_report.machine())
    heads = ["method", "form", "weights", "PSNR, dB", "difference", "processor seconds"]
    print(_report.table(heads, [line.cells() for line in found], words=(0, 1)))
    settings = _report.settings("num_steps", "batch_size", "patch_size", "learning_rate", "optimizer", "seed")
    _report.write({"forms": [vars(line) for line in found], **settings})


if __name__ == "__main__":
    define_flags()
    run_app(main)
