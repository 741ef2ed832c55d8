"""Compare a TFLite file with its SavedModel on real images, and write a card.

The file is run by the runtime that devices have (LiteRT), on images of several sizes, with one and two
threads. Found are the largest difference, the task's PSNR before and after, operators, size and seconds
(`export.latency`); they are written beside the file, as JSON and as a card to read. A file that breaks a
bound is moved aside (NAME.rejected).
"""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema

from export.latency import Latency, latency_of
from export.tflite_model import TFLiteModel
from export.trials import Trial
from hsr_tf import checks
from hsr_tf.files import replacing_file
from hsr_tf.networks.model_info import DEFAULT, ModelInfo

REJECTED = ".rejected"
LARGEST_DIFFERENCE = {"float32": 2e-4}
LARGEST_LOSS_DB = {"float32": 0.01, "float16": 0.05, "dynamic": 0.3, "int8": 0.3}
MIB = 2**20


@dataclass(frozen=True, eq=False)
class Answer:
    """Outputs by name, and the task's PSNR of the estimate."""

    outputs: dict[str, np.ndarray]
    psnr: float


class SavedModel:
    """A version folder that `export.saved_model` wrote.

    Args:
        folder: models/NAME/VERSION.

    Attributes:
        info: its metadata.
        inputs, outputs: names of `serving_default`.
        function: it, called with tensors by name.
    """

    def __init__(self, folder: Path, info: ModelInfo) -> None:
        self.info = info
        self._loaded = tf.saved_model.load(str(folder))
        self.function = self._loaded.signatures[DEFAULT]
        self.inputs = list(info.inputs)
        self.outputs = sorted(self.function.structured_outputs)
        self._answers: WeakKeyDictionary[Trial, Answer] = WeakKeyDictionary()

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> SavedModel:
        """The model of a folder.

        Raises:
            OSError: no such folder, or one that export.saved_model did not write.
        """
        info = ModelInfo.read(Path(folder))
        try:
            return cls(Path(folder), info)
        except (ValueError, KeyError, tf.errors.OpError) as error:
            reason = " ".join(str(error).split())[:200]
            raise checks.file_error(folder, f"is damaged ({reason})", "export it again") from None

    @property
    def is_trained(self) -> bool:
        """Whether its weights come from a training."""
        return bool(self.info.record)

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Outputs by name."""
        found = self.function(**{name: tf.constant(value) for name, value in inputs.items()})
        return {name: value.numpy() for name, value in found.items()}

    def answer(self, trial: Trial) -> Answer:
        """To a trial; kept as long as the trial, because every variant is compared with it."""
        if trial not in self._answers:
            outputs = self.run(trial.inputs)
            self._answers[trial] = Answer(outputs, trial.psnr(outputs["estimate"]))
        return self._answers[trial]

    def spec(self, name: str, size: tuple[int, int] | None) -> tf.TensorSpec:
        """What an input takes: any size, or `size` rows and columns of lr_image or lr_hsi, batches of one."""
        known = self.function.structured_input_signature[1][name]
        if size is None:
            return tf.TensorSpec(known.shape, known.dtype, name)
        factor = self.info.factor if name == "hr_msi" else 1
        sides = known.shape[1:3] if name == "kernel" else [factor * n for n in size]
        return tf.TensorSpec((1, *sides, *known.shape[3:]), known.dtype, name)


@dataclass(frozen=True)
class Check:
    """What was found of a file.

    Attributes:
        file: its name.
        variant: its precision.
        mib: its size.
        num_trials: inputs that it was run on, of `num_sizes` sizes.
        largest_difference: of all outputs from the SavedModel's.
        psnr_before, psnr_after: mean over the trials in dB, of the SavedModel and of the file.
        seconds_one_thread, seconds_two_threads: medians.
        timed_size: rows and columns of the estimate that took them.
        operators: by name, how many.
        problems: bounds that were broken.
    """

    file: str
    variant: str
    mib: float
    num_trials: int
    num_sizes: int
    largest_difference: float
    psnr_before: float
    psnr_after: float
    seconds_one_thread: float
    seconds_two_threads: float
    timed_size: tuple[int, int]
    operators: dict[str, int]
    problems: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether no bound was broken."""
        return not self.problems

    @property
    def loss_db(self) -> float:
        """PSNR that the file loses."""
        return self.psnr_before - self.psnr_after


def check_file(
    path: Path,
    variant: str,
    reference: SavedModel,
    trials: Sequence[Trial],
    *,
    target: Path | None = None,
    latency: Latency | None = None,
) -> Check:
    """Run a file on trials, compare, write the card; a file that breaks a bound is moved aside.

    Args:
        path: the file.
        variant: its precision.
        reference: what it was made of.
        trials: real inputs.
        target: where a file that keeps the bounds is moved to; None to leave it where it is.
        latency: of the file, where it was timed in turn with others; None to time it here.

    Raises:
        ValueError: no trials of the file's size, or a file that LiteRT does not run.
    """
    usable, target = fitting(path, trials), target or path
    found = _found(path, variant, reference, usable, latency or latency_of(path, usable[0]))
    kept = target if found.passed else target.with_name(target.name + REJECTED)
    text = json.dumps({**asdict(found), "loss_db": found.loss_db}, indent=1) + "\n"
    for place, content in zip(cards_of(kept), (text, card(found, reference.info)), strict=True):
        with replacing_file(place) as draft:
            draft.write_text(content, "utf-8")
    os.replace(path, kept)
    if kept != target == path:
        for place in cards_of(path):
            place.unlink(missing_ok=True)
    return found


def cards_of(path: Path) -> tuple[Path, Path]:
    """The JSON and the page beside a file: NAME.json of NAME.tflite, NAME.rejected.json of a rejected one."""
    ending = REJECTED if path.name.endswith(REJECTED) else ""
    name = path.name.removesuffix(REJECTED).removesuffix(".tflite")
    return path.with_name(f"{name}{ending}.json"), path.with_name(f"{name}{ending}.md")


def fitting(file: Path | bytes, trials: Sequence[Trial]) -> list[Trial]:
    """The trials, cut to the sizes of a file that has fixed ones; those too small are left out.

    Args:
        file: its path or content.
        trials: whole ones.

    Raises:
        ValueError: where none is left.
    """
    model = TFLiteModel(file)
    fixed = {name: shape[1:3] for name, shape in model.input_shapes.items() if -1 not in shape}
    free = "lr_image" not in fixed and "lr_hsi" not in fixed
    usable = [cut for trial in trials if (cut := trial if free else _cut(trial, fixed)) is not None]
    checks.require(
        len(usable) > 0,
        "data_dir",
        expected="real images, no smaller than the file's fixed size",
        received=f"{len(trials)}, none of which is large enough",
        remedy="give another folder, or a smaller size",
    )
    return usable


def _cut(trial: Trial, fixed: dict[str, tuple[int, ...]]) -> Trial | None:
    inputs = {
        name: value if name == "kernel" else value[:, : fixed[name][0], : fixed[name][1]]
        for name, value in trial.inputs.items()
    }
    if any(value.shape[1:3] != fixed[name] for name, value in inputs.items()):
        return None
    if all(value.shape == trial.inputs[name].shape for name, value in inputs.items()):
        return trial
    rows, columns = fixed.get("hr_msi") or fixed["lr_image"]
    given, whole = trial.inputs.get("hr_msi", trial.inputs.get("lr_image")), trial.truth
    assert given is not None
    factor = whole.shape[0] // given.shape[1]
    return Trial(trial.name, inputs, whole[: factor * rows, : factor * columns], trial.scale)


def _found(
    path: Path, variant: str, reference: SavedModel, trials: Sequence[Trial], latency: Latency
) -> Check:
    content = path.read_bytes()
    model = TFLiteModel(content, num_threads=2)
    differences, before, after, finite = [0.0], [], [], True
    for trial in trials:
        expected, answered = reference.answer(trial), model.run(trial.inputs)
        finite = finite and all(bool(np.isfinite(value).all()) for value in answered.values())
        differences += [_difference(answered[name], value) for name, value in expected.outputs.items()]
        before.append(expected.psnr)
        after.append(trial.psnr(np.nan_to_num(answered["estimate"])))
    found = Check(
        file=path.name,
        variant=variant,
        mib=len(content) / MIB,
        num_trials=len(trials),
        num_sizes=len({trial.truth.shape for trial in trials}),
        largest_difference=max(differences),
        psnr_before=statistics.mean(before),
        psnr_after=statistics.mean(after),
        seconds_one_thread=latency.one_thread,
        seconds_two_threads=latency.two_threads,
        timed_size=latency.size,
        operators=operators_of(content),
        problems=(),
    )
    # The bounds that were broken; the loss is not `judged` where the weights were never trained.
    difference, loss = found.largest_difference, found.loss_db
    most, allowed = LARGEST_DIFFERENCE.get(found.variant, np.inf), LARGEST_LOSS_DB[found.variant]
    others = [name for name in found.operators if name.startswith("custom ")]
    bounds = [
        (not finite, "NaN or infinite values in the output"),
        (not difference <= most, f"differs by {difference:.2g}, allowed {most:.2g}"),
        (reference.is_trained and not loss <= allowed, f"loses {loss:.2f} dB, allowed {allowed} dB"),
        (bool(others), f"needs {', '.join(others)}, which are no builtin operators"),
    ]
    return replace(found, problems=tuple(text for broken, text in bounds if broken))


def _difference(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest, as a share of the largest value where that is above one."""
    return float(np.abs(found - expected).max() / max(1.0, float(np.abs(expected).max())))


def operators_of(content: bytes) -> dict[str, int]:
    """How often a file uses each operator; those that are no builtins begin with "custom "."""
    model = schema.Model.GetRootAsModel(content, 0)
    names = {number: name for name, number in vars(schema.BuiltinOperator).items() if name.isupper()}
    counts: dict[str, int] = {}
    for i in range(model.SubgraphsLength()):
        graph = model.Subgraphs(i)
        for j in range(graph.OperatorsLength()):
            code = model.OperatorCodes(graph.Operators(j).OpcodeIndex())
            number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
            own = names[number] if names[number] != "CUSTOM" else f"custom {code.CustomCode().decode()}"
            counts[own] = counts.get(own, 0) + 1
    return dict(sorted(counts.items(), key=lambda entry: -entry[1]))


HEADER = """\
| file | MiB | difference | PSNR before | after | loses dB | 1 thread | 2 threads | bounds |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |"""


def row(one: Check) -> str:
    """A file's line in a Markdown table under `HEADER`."""
    return (
        f"| {one.file} | {one.mib:.2f} | {one.largest_difference:.1e} | {one.psnr_before:.2f} "
        f"| {one.psnr_after:.2f} | {one.loss_db:.2f} | {one.seconds_one_thread:.3f} s "
        f"| {one.seconds_two_threads:.3f} s | {'; '.join(one.problems) or 'kept'} |"
    )


def table(found: Iterable[Check]) -> str:
    """One line a file, Markdown."""
    return "\n".join([HEADER, *map(row, found)])


def card(found: Check, info: ModelInfo) -> str:
    """What a file is, for people who are handed it."""
    scale = "any factor, on a picture that was enlarged before" if info.scale is None else f"x{info.scale}"
    operators = ", ".join(f"{count} {name}" for name, count in found.operators.items())
    rows, columns = found.timed_size
    reach = "the whole image" if info.reach is None else f"at most {info.reach} pixels of the (coarse) input"
    return "\n".join(
        [
            f"# {found.file}",
            "",
            f"{info.method} ({info.name}), {scale}; {found.variant}, {found.mib:.2f} MiB. Made "
            f"by hsr_tf {info.hsr_tf} of weights with SHA-256 {info.weights_sha256[:16]}....",
            "",
            f"Inputs: {', '.join(info.inputs)}. Images are in [0, 1], channels last.",
            "",
            table([found]),
            "",
            f"Compared with the SavedModel on {found.num_trials} real inputs of {found.num_sizes} sizes. "
            f"The seconds are medians after a warm-up, for an estimate of {rows} x {columns} pixels; "
            "variants that were exported together were timed in turns.",
            "",
            f"An estimated pixel depends on {reach} around it.",
            "",
            f"Operators: {operators}.",
            "",
        ]
    )
