"""Whether an accelerator is put to use: `python -m benchmarks.accelerator --json=accelerator.json`.

One training step of each network, compiled, in float32 and in mixed bfloat16, with the simulation of its
observations inside it. Of each: steps and images per second, the arithmetic of the step as a share of what
the device reaches in one large matrix product of the same precision, the simulation's share of the step (both
compiled alone), and the largest memory so far.

KERAS_BACKEND=jax or tensorflow decides what compiles. Arithmetic is counted in the compiled step: by XLA's
cost analysis with JAX, with TensorFlow from the shapes of the convolutions and matrix products of its graph.
On a processor without accelerator batches are smaller, so that the same check runs anywhere; it takes up to
five minutes (--seconds is for each line).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import keras
import numpy as np
from absl import flags
from keras import ops
from tqdm import tqdm

from benchmarks import _report
from hsr_tf.console.flag_apps import run_app
from hsr_tf.networks import losses
from hsr_tf.networks.cards import ImageConfig, ImageSpec
from hsr_tf.networks.fusion_model import FusionConfig, FusionModel
from hsr_tf.networks.image_network import build_network
from hsr_tf.physics.cameras import make_cameras
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.resize import bicubic_enlarge, bicubic_reduce
from hsr_tf.scene import Scene
from hsr_tf.typing import Tensor

FLAGS = flags.FLAGS
PRECISIONS = {"float32": "float32", "bfloat16": "mixed_bfloat16"}
RATE = 1e-5
Batch = Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class Subject:
    """A network and its training step.

    Attributes:
        model: whose weights are trained.
        truth: the sharp images of a batch.
        simulate: makes the network's inputs of them.
        loss: of the inputs and the truth.
    """

    model: keras.Model
    truth: np.ndarray
    simulate: Callable[[Tensor], Batch]
    loss: Callable[[Batch, Tensor], Tensor]


@dataclass(frozen=True)
class Line:
    """One network in one precision.

    Attributes:
        network, precision: which.
        milliseconds: of a step, median.
        images_per_second: trained on.
        gflop: arithmetic of a step, in units of 1e9.
        share_of_rate: gflop a second over the rate of the matrix product, 0 to 1.
        simulation_share: time of the simulation alone over that of the step.
        memory_gib: largest memory of the device so far, of the process where there is no accelerator.
    """

    network: str
    precision: str
    milliseconds: float
    images_per_second: float
    gflop: float
    share_of_rate: float
    simulation_share: float
    memory_gib: float


def define_flags() -> None:
    """What is measured, and where it goes."""
    flags.DEFINE_list("networks", list(SUBJECTS), "Networks that are measured.")
    flags.DEFINE_list("precisions", list(PRECISIONS), "float32, bfloat16 or both.")
    flags.DEFINE_float("seconds", 4.0, "Time of each measurement after compilation.", 0.1)
    flags.DEFINE_integer("batch", None, "Images per step (default: 16, or 2 without an accelerator).", 1)
    flags.DEFINE_integer("matrix", None, "Side of the matrix product (default: 8192, or 1024 likewise).", 16)
    _report.define_json()


def fusion_subject(method: str, dtype: str, batch: int) -> Subject:
    """MS-SSFNet or prior, x8, 31 bands, patches of 64 x 64, over spectral_ls and through the projection."""
    rng = np.random.default_rng(0)
    truth = (rng.random((batch, 64, 64, 4)) @ rng.random((4, 31)) / 4).astype(np.float32)
    cameras: ObservationModel = make_cameras(Scene(truth[0], np.linspace(400, 700, 31)), 8)
    config = FusionConfig(method, 8, 31, base="spectral_ls", consistent=True, dtype=dtype)
    model = FusionModel(config, cameras)

    def simulate(sharp: Tensor) -> Batch:
        return dict(zip(("lr_hsi", "hr_msi"), cameras.simulate(sharp), strict=True))

    def loss(inputs: Batch, sharp: Tensor) -> Tensor:
        return losses.multi_level(sharp, model.levels(dict(inputs)), losses.mse)

    return Subject(model, truth, simulate, loss)


def picture_subject(method: str, dtype: str, batch: int) -> Subject:
    """VDSR on pictures enlarged by three, or KBPN at x4 on luminance."""
    scale = 3 if method == "vdsr" else 4
    spec = ImageSpec(None if method == "vdsr" else scale, dtype=dtype)
    model = build_network(ImageConfig(method, spec, {}))
    side = 48 if scale == 3 else 96
    sharp = np.random.default_rng(0).random((batch, side, side, 1), np.float32)

    def simulate(picture: Tensor) -> Batch:
        reduced = bicubic_reduce(picture, scale)
        return {"lr_image": bicubic_enlarge(reduced, scale) if spec.scale is None else reduced}

    def loss(inputs: Batch, picture: Tensor) -> Tensor:
        return losses.mse(picture, ops.cast(model(inputs)["estimate"], "float32"))

    return Subject(model, sharp, simulate, loss)


SUBJECTS: dict[str, Callable[[str, str, int], Subject]] = {
    "ms_ssfnet": fusion_subject,
    "prior": fusion_subject,
    "vdsr": picture_subject,
    "kbpn": picture_subject,
}


@dataclass(frozen=True, eq=False)
class Compiled:
    """What a backend makes of a function of arrays.

    Attributes:
        run: calls it and waits for the result.
        gflop: its arithmetic in units of 1e9.
    """

    run: Callable[[], Any]
    gflop: float


def compiled_step(subject: Subject) -> Compiled:
    """The training step, compiled: simulation, loss, gradients, and a step of gradient descent."""
    variables = subject.model.trainable_variables

    def objective(values: list[Tensor], truth: Tensor) -> Tensor:
        with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))):
            return subject.loss(subject.simulate(truth), truth)

    values = [variable.value for variable in variables]
    if keras.backend.backend() == "jax":
        import jax

        def descend(weights: list[Tensor], truth: Tensor) -> tuple[Tensor, list[Tensor]]:
            loss, gradients = jax.value_and_grad(objective)(weights, truth)
            return loss, [w - RATE * g for w, g in zip(weights, gradients, strict=True)]

        return _by_jax(descend, values, ops.convert_to_tensor(subject.truth))
    import tensorflow as tf

    def descend_tf(weights: list[Tensor], truth: Tensor) -> tuple[Tensor, list[Tensor]]:
        weights = [tf.identity(w) for w in weights]
        with tf.GradientTape() as tape:
            tape.watch(weights)
            loss = objective(weights, truth)
        gradients = tape.gradient(loss, weights)
        moved = [w if g is None else w - RATE * g for w, g in zip(weights, gradients, strict=True)]
        return loss, moved

    return _by_tensorflow(descend_tf, [tf.identity(v) for v in values], tf.constant(subject.truth))


def compiled_simulation(subject: Subject) -> Compiled:
    """The simulation alone."""
    truth = ops.convert_to_tensor(subject.truth)
    if keras.backend.backend() == "jax":
        return _by_jax(subject.simulate, truth)
    return _by_tensorflow(subject.simulate, truth)


def compiled_product(side: int, dtype: str) -> Compiled:
    """One matrix product, which is what a device does best."""
    rng = np.random.default_rng(0)
    matrices = [ops.cast(rng.standard_normal((side, side), np.float32), dtype) for _ in range(2)]
    made = (_by_jax if keras.backend.backend() == "jax" else _by_tensorflow)(ops.matmul, *matrices)
    return Compiled(made.run, 2e-9 * side**3)


def _by_jax(function: Callable[..., Any], *arguments: Any) -> Compiled:
    import jax

    made = jax.jit(function).lower(*arguments).compile()
    cost = made.cost_analysis()
    cost = cost[0] if isinstance(cost, list) else cost
    return Compiled(
        lambda: jax.block_until_ready(made(*arguments)), 1e-9 * float((cost or {}).get("flops", 0))
    )


def _by_tensorflow(function: Callable[..., Any], *arguments: Any) -> Compiled:
    import tensorflow as tf

    made = tf.function(function, autograph=False, jit_compile=bool(tf.config.list_physical_devices("GPU")))
    plain = tf.function(function, autograph=False).get_concrete_function(*arguments)

    def run() -> None:
        for tensor in tf.nest.flatten(made(*arguments))[:1]:
            tensor.numpy()

    return Compiled(run, 1e-9 * sum(map(_operations, _needed(plain.outputs))))


def _needed(tensors: Iterable[Any]) -> list[Any]:
    """The nodes that some tensors of a graph depend on; gradients that nobody takes are traced, not run."""
    found, waiting = {}, [tensor.op for tensor in tensors]
    while waiting:
        node = waiting.pop()
        if node.name not in found:
            found[node.name] = node
            waiting += [tensor.op for tensor in node.inputs]
    return list(found.values())


def _operations(node: Any) -> float:
    """Operations of a convolution or matrix product of a graph, two for each multiplication and addition."""
    if node.type in ("MatMul", "BatchMatMulV2"):
        transposed = node.get_attr("transpose_a" if node.type == "MatMul" else "adj_x")
        inner = node.inputs[0].shape[-2 if transposed else -1]
        return 2.0 * float(np.prod(node.outputs[0].shape)) * inner
    if node.type in ("Conv2D", "Conv2DBackpropInput", "Conv2DBackpropFilter"):
        kernel = (node.outputs[0] if node.type.endswith("Filter") else node.inputs[1]).shape
        moved = node.outputs[0] if node.type == "Conv2D" else node.inputs[2]
        return 2.0 * float(np.prod(moved.shape[:3])) * float(np.prod(kernel))
    return 0.0


def seconds_of(run: Callable[[], Any], at_least: float) -> float:
    """Median time of a call, over `at_least` seconds and three calls, after one that is not timed."""
    run()
    taken: list[float] = []
    while len(taken) < 3 or sum(taken) < at_least:
        begin = time.perf_counter()
        run()
        taken.append(time.perf_counter() - begin)
    return float(np.median(taken))


def has_accelerator() -> bool:
    """Whether the backend computes on anything but the processor."""
    if keras.backend.backend() == "jax":
        import jax

        return bool(jax.default_backend() != "cpu")
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


def memory_gib() -> float:
    """Largest memory of the accelerator so far, of this process where there is none."""
    if not has_accelerator():
        return _report.peak_gib()
    if keras.backend.backend() == "jax":
        import jax

        return float((jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use", 0)) / 2**30
    import tensorflow as tf

    return float(tf.config.experimental.get_memory_info("GPU:0")["peak"]) / 2**30


def measure(name: str, precision: str, batch: int, rate: float, *, seconds: float) -> Line:
    """One network in one precision; `rate` is that of the matrix product in units of 1e9 a second."""
    subject = SUBJECTS[name](name, PRECISIONS[precision], batch)
    step, simulation = compiled_step(subject), compiled_simulation(subject)
    taken, alone = seconds_of(step.run, seconds), seconds_of(simulation.run, seconds / 4)
    found = {
        "gflop": step.gflop,
        "share_of_rate": step.gflop / taken / rate,
        "simulation_share": alone / taken,
    }
    return Line(name, precision, 1e3 * taken, batch / taken, memory_gib=memory_gib(), **found)


def markdown(lines: list[Line]) -> str:
    """The table."""
    heads = ("network", "precision", "ms per step", "images/s", "GFLOP", "of the rate", "simulation", "GiB")
    rows = [
        (
            line.network,
            line.precision,
            f"{line.milliseconds:.1f}",
            f"{line.images_per_second:.3g}",
            f"{line.gflop:.3g}",
            f"{line.share_of_rate:.0%}",
            f"{line.simulation_share:.1%}",
            f"{line.memory_gib:.2f}",
        )
        for line in lines
    ]
    return _report.table(heads, rows, words=(0, 1))


def main() -> None:
    """Measure, print, write."""
    if keras.backend.backend() == "jax":
        import tensorflow as tf

        tf.config.set_visible_devices([], "GPU")  # its memory is for JAX
    about = {**_report.machine(), "backend": keras.backend.backend(), "accelerator": has_accelerator()}
    _report.print_machine(about)
    batch = FLAGS.batch or (16 if has_accelerator() else 2)
    side = FLAGS.matrix or (8192 if has_accelerator() else 1024)
    rates, lines = {}, []
    for precision in FLAGS.precisions:
        product = compiled_product(side, precision)
        rates[precision] = product.gflop / seconds_of(product.run, FLAGS.seconds / 4)
        print(f"{precision}: {rates[precision]:.4g} GFLOP/s in one product of {side} x {side}", flush=True)
    cases = [(name, precision) for name in FLAGS.networks for precision in FLAGS.precisions]
    for name, precision in tqdm(cases, unit="case", dynamic_ncols=True):
        lines.append(measure(name, precision, batch, rates[precision], seconds=FLAGS.seconds))
    print(f"\n{markdown(lines)}")
    _report.write({"machine": about, "gflops": rates, "batch": batch, "lines": [asdict(x) for x in lines]})


if __name__ == "__main__":
    define_flags()
    run_app(main)
