"""What the server adds to a model, and what it bears: `python -m benchmarks.serving [--load]`.

Without --load, as medians of runs that take turns (bare, served, echo, bare, ...), after two rounds of
warming up: the signature of a SavedModel called in this process, the same asked of `serving.server` in a
process of its own over loopback by `serving.client`, and a gRPC call without a model that carries as many
bytes there and back, which is the least that any server can add. Bare model and server have the same
threads. The models are VDSR and two that compute next to nothing, one of pictures and one that answers a
scene's 32.5 MB.

With --load, --clients threads ask a fast model for --seconds, every request with an input of its own, and
check every answer against it; the queue is so short that it gets full. What the server computed, it counts
itself. Resident memory is read from /proc.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from socket import socket
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from absl import flags

from benchmarks import _report
from benchmarks._timing import median_seconds
from export.saved_model import TrainedModel, export_saved_model, shipped
from hsr_tf.console.flag_apps import run_app
from serving import messages, tensors
from serving.client import Client
from serving.connection import PREDICT

FLAGS = flags.FLAGS
MIB = 2**20
PICTURE, SCENE, VDSR = "picture", "scene", "vdsr"
SMALL, NUM_BANDS, SCENE_SIZE, SCENE_SCALE = 32, 31, 512, 8
MOST_ADDED_SHARE, MOST_ADDED_MS = 0.10, 5.0
TIMES_OF_SMALL = 10
LOAD_SIDE, PAUSE_SECONDS, PATIENCE_SECONDS, SECONDS_TO_SETTLE = 16, 0.01, 60.0, 10.0
MOST_GROWTH = 0.10
ECHO = "/hsr_tf.benchmarks.Echo/Ask"
UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
LISTENING = "listening on "
Arrays = Mapping[str, np.ndarray]


def define_flags() -> None:
    """How much is measured, and where it goes."""
    flags.DEFINE_integer("size", 256, "Side of the large picture in pixels.", lower_bound=16)
    flags.DEFINE_integer("scene_size", SCENE_SIZE, "Side of the sharp image of the scene.", lower_bound=16)
    flags.DEFINE_integer("repeats", 15, "Timed runs of large inputs; of small ones 10 times as many.")
    flags.DEFINE_integer("num_threads", 0, "Threads of one operation; 0: TensorFlow chooses.", lower_bound=0)
    flags.DEFINE_bool("load", False, "Many clients at a time instead.")
    flags.DEFINE_integer("clients", 64, "How many.", lower_bound=1)
    flags.DEFINE_float("seconds", 60.0, "For how long.", lower_bound=0.1)
    flags.DEFINE_integer("max_queue", 8, "Requests that may wait meanwhile.", lower_bound=1)
    _report.define_json()


class Trivial(tf.Module):
    """Models that compute next to nothing, so that what the server does is seen."""

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 1), tf.float32, "lr_image")])
    def picture(self, lr_image: Any) -> dict[str, Any]:
        """Twice the picture and its sum: no two pictures of the load have the same."""
        return {"estimate": 2.0 * lr_image + tf.reduce_sum(lr_image, axis=(1, 2, 3), keepdims=True)}

    @tf.function(
        input_signature=[
            tf.TensorSpec((None, None, None, NUM_BANDS), tf.float32, "lr_hsi"),
            tf.TensorSpec((None, None, None, 3), tf.float32, "hr_msi"),
        ]
    )
    def scene(self, lr_hsi: Any, hr_msi: Any) -> dict[str, Any]:
        """The first channel plus the mean spectrum."""
        return {"estimate": hr_msi[..., :1] + tf.reduce_mean(lr_hsi, axis=(1, 2), keepdims=True)}


def write_models(root: Path, *, with_vdsr: bool) -> None:
    """The models of the benchmark, as NAME/1 below `root`."""
    trivial = Trivial()
    for name, function in ((PICTURE, trivial.picture), (SCENE, trivial.scene)):
        tf.saved_model.save(trivial, str(root / name / "1"), signatures={"serving_default": function})
    if with_vdsr:
        export_saved_model(TrainedModel.load(shipped("vdsr", None)), root / VDSR / "1")


@dataclass(frozen=True)
class Server:
    """A server that runs: HOST:PORT, its process, and where it counts."""

    address: str
    process_id: int
    metrics_port: int

    def count(self, name: str) -> float:
        """A metric, summed over its labels."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics") as page:
            found = re.findall(rf"^{name}(?:{{.*}})? (\S+)", page.read().decode(), re.MULTILINE)
        return sum(map(float, found))

    def resident_mib(self) -> float:
        """Memory of the process."""
        pages = int(Path(f"/proc/{self.process_id}/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / MIB


@contextmanager
def serving(root: Path, *options: str) -> Iterator[Server]:
    """`serving.server` in a process of its own, once it listens and its models are loaded."""
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        metrics_port = free.getsockname()[1]
    command = [sys.executable, "-m", "serving.server", f"--model_base_path={root}", "--port=0"]
    process = subprocess.Popen(
        [*command, f"--metrics_port={metrics_port}", *options], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout
        address = next((line for line in process.stdout if line.startswith(LISTENING)), "")
        assert address, "the server did not start; it says why above"
        yield Server(address.removeprefix(LISTENING).strip(), process.pid, metrics_port)
    finally:
        process.terminate()
        process.wait()


def answer_echoes(pipe: Any) -> None:
    """Answer as many bytes as the first 8 of a request say, until the pipe closes."""
    made = lru_cache(maxsize=None)(bytes)
    method = grpc.unary_unary_rpc_method_handler(lambda asked, _: made(int.from_bytes(asked[:8], "little")))
    server = grpc.server(ThreadPoolExecutor(2), options=UNLIMITED)
    _, service, name = ECHO.split("/")
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {name: method}),))
    pipe.send(server.add_insecure_port("127.0.0.1:0"))
    server.start()
    pipe.recv()
    server.stop(None)


@contextmanager
def echoing() -> Iterator[Callable[[bytes], bytes]]:
    """A call of the echo server, which has a process of its own."""
    context = multiprocessing.get_context("spawn")
    pipe, other = context.Pipe()
    process = context.Process(target=answer_echoes, args=(other,), daemon=True)
    process.start()
    with grpc.insecure_channel(f"127.0.0.1:{pipe.recv()}", UNLIMITED) as channel:
        yield channel.unary_unary(ECHO)
    pipe.send(None)
    process.join()


@dataclass(frozen=True, eq=False)
class Case:
    """What is asked.

    Attributes:
        name: of the line.
        model: at the server.
        inputs: of its default signature.
        is_large: held to the share that is added, others to milliseconds; None: to nothing.
    """

    name: str
    model: str
    inputs: Arrays
    is_large: bool | None = None


def cases(size: int, scene_size: int, *, with_vdsr: bool) -> list[Case]:
    """The lines of the table."""

    def noise(*shape: int) -> np.ndarray:
        return np.random.default_rng(0).random((1, *shape), np.float32)

    coarse = scene_size // SCENE_SCALE
    scene = {"lr_hsi": noise(coarse, coarse, NUM_BANDS), "hr_msi": noise(scene_size, scene_size, 3)}
    found = [
        Case(f"VDSR, {side} x {side}", VDSR, {"lr_image": noise(side, side, 1)}, side == size)
        for side in (size, SMALL)
        if with_vdsr
    ]
    found += [
        Case(f"trivial, {side} x {side}", PICTURE, {"lr_image": noise(side, side, 1)}, False)
        for side in (SMALL, 4 * SMALL)
    ]
    return [*found, Case(f"trivial scene, {scene_size} x {scene_size} x {NUM_BANDS}", SCENE, scene)]


@dataclass(frozen=True)
class Overhead:
    """One line of the table: bytes of the tensors, and median seconds in each way."""

    name: str
    bytes_in: int
    bytes_out: int
    bare: float
    served: float
    echo: float
    is_large: bool | None

    @property
    def added_ms(self) -> float:
        """What the server adds."""
        return 1e3 * (self.served - self.bare)

    @property
    def added_share(self) -> float:
        """That, of the bare model's time."""
        return self.served / self.bare - 1.0

    @property
    def verdict(self) -> str:
        """The target, and whether it is met."""
        if self.is_large is None:
            return ""
        met = self.added_share < MOST_ADDED_SHARE if self.is_large else self.added_ms < MOST_ADDED_MS
        target = f"{100 * MOST_ADDED_SHARE:.0f} %" if self.is_large else f"{MOST_ADDED_MS:g} ms"
        return f"below {target}: {'yes' if met else 'NO'}"


def measure(
    case: Case, root: Path, *, address: str, echo: Callable[[bytes], bytes], repeats: int
) -> Overhead:
    """A line: the bare model, the server and the echo, taking turns."""
    kept = tf.saved_model.load(str(root / case.model / "1"))
    function = kept.signatures["serving_default"]

    def bare() -> dict[str, np.ndarray]:
        found = function(**{name: tf.constant(array) for name, array in case.inputs.items()})
        return {name: tensor.numpy() for name, tensor in found.items()}

    bytes_in, bytes_out = (sum(array.nbytes for array in arrays.values()) for arrays in (case.inputs, bare()))
    asked = bytes_out.to_bytes(8, "little") + bytes(bytes_in - 8)
    with Client(address, model=case.model) as client:
        np.testing.assert_allclose(client.predict(case.inputs)["estimate"], bare()["estimate"], atol=1e-4)
        runs = {"bare": bare, "served": lambda: client.predict(case.inputs), "echo": lambda: echo(asked)}
        taken = median_seconds(runs, repeats)
    return Overhead(case.name, bytes_in, bytes_out, **taken, is_large=case.is_large)


def overhead_table(lines: list[Overhead]) -> str:
    """A line a case."""
    heads = (
        "request",
        "in, KiB",
        "out, KiB",
        "bare, ms",
        "served, ms",
        "added, ms",
        "added",
        "echo, ms",
        "target",
    )
    rows = []
    for line in lines:
        sizes = (f"{line.bytes_in / 1024:.0f}", f"{line.bytes_out / 1024:.0f}")
        spent = (f"{1e3 * line.bare:.2f}", f"{1e3 * line.served:.2f}", f"{line.added_ms:.2f}")
        share = f"{100 * line.added_share:.0f} %"
        rows.append((line.name, *sizes, *spent, share, f"{1e3 * line.echo:.2f}", line.verdict))
    return _report.table(heads, rows, words=(0, 8))


@dataclass(frozen=True)
class Load:
    """What came of a load.

    Attributes:
        answered, refused, lost, mixed_up: requests with the right answer, with RESOURCE_EXHAUSTED, with
            another failure, with the answer of another.
        doubled: computed more often than answered.
        resident_mib: at the start, when it has settled, at the end.
    """

    answered: int
    refused: int
    lost: int
    mixed_up: int
    doubled: int
    resident_mib: tuple[float, float, float]

    @property
    def growth(self) -> float:
        """Of the memory since it has settled."""
        return self.resident_mib[2] / self.resident_mib[1] - 1.0


def bear(server: Server, *, num_clients: int, seconds: float) -> Load:
    """Let clients ask the model of pictures as fast as they are answered."""
    memory, until = [server.resident_mib()], time.monotonic() + seconds
    computed = server.count("hsr_batch_samples_sum")
    with ThreadPoolExecutor(num_clients) as pool:
        asking = [pool.submit(ask_until, until, server.address, number) for number in range(num_clients)]
        time.sleep(min(SECONDS_TO_SETTLE, seconds / 2))
        memory.append(server.resident_mib())
        counts = sum((future.result() for future in asking), Counter[str]())
    memory.append(server.resident_mib())
    doubled = (
        round(server.count("hsr_batch_samples_sum") - computed) - counts["answered"] - counts["mixed_up"]
    )
    outcomes = {name: counts[name] for name in ("answered", "refused", "lost", "mixed_up")}
    return Load(**outcomes, doubled=doubled, resident_mib=(memory[0], memory[1], memory[2]))


def ask_until(until: float, address: str, number: int) -> Counter[str]:
    """One client's requests, by what came of them; after a refusal it waits a moment."""
    counts, generator = Counter[str](), np.random.default_rng(number)
    with grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        call = channel.unary_unary(
            PREDICT.path,
            request_serializer=messages.PredictRequest.SerializeToString,
            response_deserializer=messages.PredictResponse.FromString,
        )
        while time.monotonic() < until:
            came = outcome(call, generator.random((1, LOAD_SIDE, LOAD_SIDE, 1), np.float32))
            counts[came] += 1
            if came == "refused":
                time.sleep(PAUSE_SECONDS)
    return counts


def outcome(call: Callable[..., Any], image: np.ndarray) -> str:
    """What came of one request."""
    request = messages.PredictRequest(model_spec=messages.ModelSpec(name=PICTURE))
    request.inputs["lr_image"].CopyFrom(tensors.to_tensor_proto(image))
    try:
        answer = call(request, timeout=PATIENCE_SECONDS)
    except grpc.RpcError as error:
        return "refused" if error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED else "lost"
    found = tensors.to_array(answer.outputs["estimate"])
    is_own = found.shape == image.shape and np.allclose(found, 2.0 * image + image.sum(), rtol=1e-4)
    return "answered" if is_own else "mixed_up"


def load_table(load: Load, seconds: float) -> str:
    """Counts, then memory."""
    start, settled, end = load.resident_mib
    flat = "yes" if abs(load.growth) <= MOST_GROWTH else "NO"
    counts = (
        load.answered,
        f"{load.answered / seconds:.0f}",
        load.refused,
        load.lost,
        load.doubled,
        load.mixed_up,
    )
    heads = ("answered", "a second", "refused", "lost", "doubled", "mixed up")
    return (
        f"{_report.table(heads, [[str(count) for count in counts]], words=())}\n\n"
        f"resident memory: {start:.0f} MiB at the start, {settled:.0f} MiB after "
        f"{min(SECONDS_TO_SETTLE, seconds / 2):.0f} s, {end:.0f} MiB at the end "
        f"({100 * load.growth:+.1f} %; flat within {100 * MOST_GROWTH:.0f} %: {flat})"
    )


def measure_all(root: Path) -> dict[str, Any]:
    """The table of overheads, printed and as figures."""
    write_models(root, with_vdsr=True)
    lines = []
    with serving(root, f"--num_threads={FLAGS.num_threads}") as server, echoing() as echo:
        for case in cases(FLAGS.size, FLAGS.scene_size, with_vdsr=True):
            repeats = FLAGS.repeats * (TIMES_OF_SMALL if case.is_large is False else 1)
            lines.append(measure(case, root, address=server.address, echo=echo, repeats=repeats))
    print(overhead_table(lines))
    return {"overheads": [asdict(line) for line in lines]}


def bear_all(root: Path) -> dict[str, Any]:
    """The table of the load, printed and as figures."""
    write_models(root, with_vdsr=False)
    with serving(root, f"--max_queue={FLAGS.max_queue}", f"--num_threads={FLAGS.num_threads}") as server:
        load = bear(server, num_clients=FLAGS.clients, seconds=FLAGS.seconds)
    print(f"{FLAGS.clients} clients, {FLAGS.seconds:g} s, a queue of {FLAGS.max_queue}:\n")
    print(load_table(load, FLAGS.seconds))
    return {"load": asdict(load)}


def main() -> None:
    """Measure, print, write."""
    if FLAGS.num_threads:
        tf.config.threading.set_intra_op_parallelism_threads(FLAGS.num_threads)
    about = {**_report.machine(), "load average": f"{os.getloadavg()[0]:.1f} before"}
    _report.print_machine(about, "\n")
    with tempfile.TemporaryDirectory() as folder:
        found = bear_all(Path(folder)) if FLAGS.load else measure_all(Path(folder))
    names = ("size", "scene_size", "repeats", "num_threads", "clients", "seconds", "max_queue")
    _report.write({"machine": about, "settings": _report.settings(*names), **found})


if __name__ == "__main__":
    define_flags()
    run_app(main, interrupted="nothing was written")
