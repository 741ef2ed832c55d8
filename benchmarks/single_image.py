"""Speed of single-image networks on this machine: `python -m benchmarks.single_image --json=speed.json`.

Measured, as medians of runs that take turns, after two rounds of warming up: VDSR on a luminance of --size x
--size pixels as a compiled Keras graph in float32 and mixed_bfloat16, beside PyTorch in channels-last where
that is installed (the same 20 convolutions with random weights), with the share of the float32 convolution
ceiling measured in the same rounds; and the whole training step (patches to updated weights, degradation
within) of 16 patches in both precisions, Adam with averaged weights. Weights are untrained, which is as fast.
"""

from __future__ import annotations

import importlib
import importlib.util
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from absl import flags

from benchmarks import _report
from benchmarks._subjects import short_run
from benchmarks._timing import convolution, convolution_gflop, median_seconds, network_gflop
from benchmarks.fusion import CEILING, Figure, figures_table
from hsr_tf.console.flag_apps import run_app
from hsr_tf.data.patches import PatchPlan
from hsr_tf.networks.image_network import ImageSpec
from trainers._pictures import NetworkPlan, Pictures
from trainers.single_image import SingleImageTask, SingleImageTrainer

FLAGS = flags.FLAGS
PRECISIONS = ("float32", "mixed_bfloat16")


@dataclass(frozen=True)
class Shape:
    """VDSR's depth and filters."""

    depth: int = 20
    features: int = 64


def define_flags() -> None:
    """How much is measured, and where it goes."""
    flags.DEFINE_integer("size", 256, "Side of the picture in pixels.", lower_bound=16)
    flags.DEFINE_integer("patch_size", 41, "Side of the training patches.", lower_bound=8)
    flags.DEFINE_integer("batch_size", 16, "Patches a step.", lower_bound=1)
    flags.DEFINE_integer("repeats", 7, "Timed runs, of which the median is taken.", lower_bound=1)
    flags.DEFINE_integer("depth", 20, "Convolutions of VDSR.", lower_bound=2)
    _report.define_json()


@dataclass(frozen=True)
class StepFigure:
    """Median seconds of a training step in one precision, and how much faster it is than in float32."""

    precision: str
    seconds: float
    speed_up: float


def measure_forward(size: int, repeats: int, shape: Shape = Shape()) -> list[Figure]:
    """The convolution ceiling and VDSR in each way, taking turns."""
    image = np.random.default_rng(0).random((1, size, size, 1)).astype(np.float32)
    networks = {precision: _plan(shape, precision).build() for precision in PRECISIONS}
    names = {precision: f"vdsr {size} x {size}, Keras, {precision}" for precision in PRECISIONS}
    runs: dict[str, Callable[[], Any]] = {CEILING: convolution(size, "float32")}
    runs |= {names[precision]: _compiled(network, image) for precision, network in networks.items()}
    if importlib.util.find_spec("torch") is not None:
        runs[f"vdsr {size} x {size}, PyTorch channels-last, float32"] = torch_vdsr(image, shape)
    found = median_seconds(runs, repeats)
    gflop = network_gflop(networks["float32"], {"lr_image": image.shape})
    ceiling = convolution_gflop(size) / found[CEILING]
    figures = [Figure.of(CEILING, found[CEILING], convolution_gflop(size), ceiling)]
    return figures + [Figure.of(name, found[name], gflop, ceiling) for name in runs if name != CEILING]


def measure_steps(
    patch_size: int, batch_size: int, *, repeats: int, shape: Shape = Shape()
) -> list[StepFigure]:
    """The training step in each precision, taking turns."""
    with tempfile.TemporaryDirectory() as folder:
        trainers = {
            precision: _trainer(Path(folder) / precision, precision, patch_size, batch_size, shape)
            for precision in PRECISIONS
        }
        batch = trainers["float32"].source.batch(tf.constant(0, tf.int64))
        runs = {name: _step(trainer, batch) for name, trainer in trainers.items()}
        found = median_seconds(runs, repeats)
    return [StepFigure(name, found[name], found["float32"] / found[name]) for name in PRECISIONS]


def torch_vdsr(image: np.ndarray, shape: Shape) -> Callable[[], Any]:
    """The forward pass of the same convolutions in PyTorch, channels-last."""
    torch = importlib.import_module("torch")
    widths = [1, *[shape.features] * (shape.depth - 1), 1]
    layers = []
    for before, after in pairwise(widths):
        layers += [torch.nn.Conv2d(before, after, 3, padding=1), torch.nn.ReLU(inplace=True)]
    network = torch.nn.Sequential(*layers[:-1]).to(memory_format=torch.channels_last).eval()
    given = torch.from_numpy(image.transpose(0, 3, 1, 2)).to(memory_format=torch.channels_last)

    def run() -> Any:
        with torch.inference_mode():
            return network(given) + given

    return run


def steps_table(steps: list[StepFigure], patch_size: int, batch_size: int) -> str:
    """A line a precision."""
    heads = (f"training step, {batch_size} patches of {patch_size}", "median s", "against float32")
    rows = [(step.precision, f"{step.seconds:.3f}", f"{step.speed_up:.2f} x") for step in steps]
    return _report.table(heads, rows)


def main() -> None:
    """Measure, print, write."""
    about, shape = _report.machine(), Shape(FLAGS.depth)
    _report.print_machine(about, f"; median of {FLAGS.repeats}\n")
    figures = measure_forward(FLAGS.size, FLAGS.repeats, shape)
    print(figures_table(figures) + "\n", flush=True)
    steps = measure_steps(FLAGS.patch_size, FLAGS.batch_size, repeats=FLAGS.repeats, shape=shape)
    print(steps_table(steps, FLAGS.patch_size, FLAGS.batch_size))
    settings = _report.settings("size", "patch_size", "batch_size", "repeats", "depth")
    found = {"figures": [asdict(f) for f in figures], "training_steps": [asdict(s) for s in steps]}
    _report.write({"machine": about, "settings": settings, **found})


def _plan(shape: Shape, precision: str) -> NetworkPlan:
    options = (("depth", shape.depth), ("features", shape.features))
    return NetworkPlan("vdsr", ImageSpec(scale=None, dtype=precision), options)


def _compiled(network: Callable[[Any], Any], image: np.ndarray) -> Callable[[], Any]:
    function = tf.function(lambda given: network({"lr_image": given})["estimate"])
    constant = tf.constant(image)
    return lambda: function(constant)


def _step(trainer: SingleImageTrainer, batch: Any) -> Callable[[], Any]:
    return lambda: trainer.train_step(*batch)


def _trainer(
    folder: Path, precision: str, patch_size: int, batch_size: int, shape: Shape
) -> SingleImageTrainer:
    """VDSR at x2, x3 and x4 on noise: how long it runs is of no account."""
    values = np.random.default_rng(1).integers(16, 236, (256, 256, 1), np.uint8)
    pictures = Pictures(["noise"], [values], [])
    patches = PatchPlan(patch_size, batch_size)
    task = SingleImageTask(_plan(shape, precision), pictures, (2.0, 3.0, 4.0), patches)
    plan = short_run(folder, batch_size, optimizer="adam", learning_rate=1e-4, dtype=precision)
    return SingleImageTrainer(task, plan)


if __name__ == "__main__":
    define_flags()
    run_app(main)
