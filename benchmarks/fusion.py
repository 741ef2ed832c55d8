"""Speed of fusion on this machine: `python -m benchmarks.fusion --scales=8,16 --json=speed.json`.

Measured on synthetic scenes of --size x --size pixels, 31 bands and 3 channels: the convolution ceiling, the
closed-form methods as `hsr_tf.fuse` runs them, the models' forward pass with their base and without it, and
what simulating the observations costs in a training step. Figures are medians of runs that take turns, after
two rounds of warming up.

A model is the shipped one of its scale; where there is none, the one that configs/ms_ssfnet_x<scale>.flags
describes, untrained, which is as fast. The GFLOP of a model are those of its convolutions, a multiplication
and an addition counting as two; the base's are not counted. Its share is that of the float32 ceiling measured
in the same rounds.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf
from absl import flags

from benchmarks import _report
from benchmarks._subjects import GivenObservations, find_model, plan_of, read_recipe, synthetic_scene, task_of
from benchmarks._timing import convolution, convolution_gflop, median_seconds, network_gflop
from hsr_tf import checks
from hsr_tf.console.flag_apps import run_app
from hsr_tf.fusion.api import fuse, simulate
from hsr_tf.scene import Observation, Scene
from trainers.fusion import FusionTrainer

FLAGS = flags.FLAGS
CEILING = "4 convolutions 3x3, 64 to 64, float32"


def define_flags() -> None:
    """How much is measured, and where it goes."""
    flags.DEFINE_list("scales", ["8", "16"], "Scale factor: sharp pixels per coarse pixel along one side.")
    flags.DEFINE_integer(
        "size", 512, "Side of the scene in pixels; a multiple of the scales.", lower_bound=16
    )
    flags.DEFINE_integer("repeats", 7, "Timed runs, of which the median is taken.", lower_bound=1)
    _report.define_json()


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    Attributes:
        name: what was run.
        seconds: median time.
        gflop: its operations in units of 1e9, or None where they are not counted.
        gflop_per_second: the two divided.
        share: of the float32 convolution ceiling.
    """

    name: str
    seconds: float
    gflop: float | None = None
    gflop_per_second: float | None = None
    share: float | None = None

    @classmethod
    def of(cls, name: str, seconds: float, gflop: float, ceiling: float | None) -> Figure:
        """With the rate, and its share of a ceiling in GFLOP/s (of itself where that is None)."""
        rate = gflop / seconds
        return cls(name, seconds, gflop, rate, rate / (ceiling or rate))


@dataclass(frozen=True)
class StepCost:
    """What simulating the observations costs in a training step.

    Attributes:
        scale: s.
        step: median seconds of the compiled training step.
        without: of the same step on observations made before.
        simulation: of the compiled simulation alone.
        share: (step - without) / step.
    """

    scale: int
    step: float
    without: float
    simulation: float
    share: float


def measure_ceiling(size: int, repeats: int) -> list[Figure]:
    """The convolution ceiling, float32 and bfloat16."""
    dtypes = {CEILING: "float32", CEILING.replace("float32", "bfloat16"): "bfloat16"}
    found = median_seconds({name: convolution(size, dtype) for name, dtype in dtypes.items()}, repeats)
    gflop = convolution_gflop(size)
    return [Figure.of(name, found[name], gflop, gflop / found[CEILING]) for name in dtypes]


def measure_scale(scale: int, scene: Scene, repeats: int) -> list[Figure]:
    """The closed-form methods and the model at one scale, taking turns with the ceiling that they share."""
    observation = simulate(scene, scale=scale)
    subject = find_model(scale, scene)
    model = subject.model
    images = {"lr_hsi": observation.lr_hsi.cube, "hr_msi": observation.hr_msi.cube}
    inputs = {name: tf.constant(cube[None]) for name, cube in images.items()}
    shapes = {
        tensor.name: (1, *_input_size(tensor.name, observation), tensor.shape[-1])
        for tensor in model.network.inputs
    }
    whole, network = (
        f"x{scale} ms_ssfnet ({subject.origin}), base and network",
        f"x{scale} ms_ssfnet, network alone",
    )
    closed_form = [f"x{scale} bicubic", f"x{scale} spectral_ls"]
    runs: dict[str, Callable[[], Any]] = {
        CEILING: convolution(scene.shape[0], "float32"),
        closed_form[0]: lambda: fuse(observation, "bicubic"),
        closed_form[1]: lambda: fuse(observation, "spectral_ls"),
        whole: _compiled(model, inputs),
        network: _compiled(model.network, {name: tf.random.uniform(shape) for name, shape in shapes.items()}),
    }
    found = median_seconds(runs, repeats)
    ceiling = convolution_gflop(scene.shape[0]) / found[CEILING]
    gflop = network_gflop(model.network, shapes)
    figures = [Figure(name, found[name]) for name in closed_form]
    return figures + [Figure.of(name, found[name], gflop, ceiling) for name in (whole, network)]


def measure_step(scale: int, scene: Scene, repeats: int) -> StepCost:
    """The training step of the scale's recipe with the simulation in it and without, taking turns."""
    recipe = read_recipe(scale)
    task = task_of(recipe, scene)
    with tempfile.TemporaryDirectory() as folder:
        plan = plan_of(recipe, Path(folder))
        trainer, other = FusionTrainer(task, plan), GivenObservations(task, plan)
        batch = trainer.source.batch(tf.constant(0, tf.int64))
        other.given = trainer.observe(*batch)
        observe = tf.function(trainer.observe)
        found = median_seconds(
            {
                "step": lambda: trainer.train_step(*batch),
                "without": lambda: other.train_step(*batch),
                "simulation": lambda: observe(*batch),
            },
            repeats,
        )
    return StepCost(scale, **found, share=(found["step"] - found["without"]) / found["step"])


def markdown(figures: Sequence[Figure], costs: Sequence[StepCost]) -> str:
    """The two tables."""
    heads = ("training step", "median s", "without simulation", "simulation alone", "simulation's share")
    rows = []
    for cost in costs:
        times = [f"{seconds:.4f}" for seconds in (cost.step, cost.without, cost.simulation)]
        rows.append([f"x{cost.scale}", *times, f"{100 * cost.share:.1f} %"])
    return f"{figures_table(figures)}\n\n{_report.table(heads, rows)}"


def figures_table(figures: Sequence[Figure]) -> str:
    """A line a run."""
    rows = []
    for figure in figures:
        rest = ["", "", ""]
        if figure.gflop is not None:
            share = f"{100 * (figure.share or 0):.0f} %"
            rest = [f"{figure.gflop:.1f}", f"{figure.gflop_per_second:.0f}", share]
        rows.append([figure.name, f"{figure.seconds:.3f}", *rest])
    return _report.table(("run", "median s", "GFLOP", "GFLOP/s", "share of ceiling"), rows)


def main() -> None:
    """Measure, print, write."""
    scales = [_scale(text, FLAGS.size) for text in FLAGS.scales]
    scene, about = synthetic_scene(FLAGS.size), _report.machine()
    _report.print_machine(about, f"; {FLAGS.size} x {FLAGS.size} pixels, median of {FLAGS.repeats}\n")
    figures = measure_ceiling(FLAGS.size, FLAGS.repeats)
    for scale in scales:
        figures += measure_scale(scale, scene, FLAGS.repeats)
    peak_gib = _report.peak_gib()
    costs = [measure_step(scale, scene, FLAGS.repeats) for scale in scales]
    print(markdown(figures, costs))
    memory = {"forward_peak_gib": peak_gib, "training_peak_gib": _report.peak_gib()}
    print(
        "\npeak memory: {:.2f} GiB until the last forward pass, {:.2f} GiB with training".format(
            *memory.values()
        )
    )
    settings = _report.settings("size", "repeats")
    found = {"figures": [asdict(f) for f in figures], "training_steps": [asdict(c) for c in costs]}
    _report.write({"machine": about, "settings": settings, **found, **memory})


def _compiled(model: Callable[[Any], Any], inputs: dict[str, tf.Tensor]) -> Callable[[], Any]:
    function = tf.function(lambda given: model(given))
    return lambda: function(inputs)


def _input_size(name: str, observation: Observation) -> tuple[int, int]:
    height, width, _ = (observation.lr_hsi if name == "lr_hsi" else observation.hr_msi).shape
    return height, width


def _scale(text: str, size: int) -> int:
    checks.require(
        text.isdigit() and int(text) > 0 and size % int(text) == 0,
        "scales",
        expected=f"divisors of the size {size}, e.g. 8,16",
        received=text,
        remedy="give other scales, or another --size",
    )
    return int(text)


if __name__ == "__main__":
    define_flags()
    run_app(main)
