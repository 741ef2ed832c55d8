"""Export for devices: `python -m export.tflite --saved_model=models/vdsr/1 --output_dir=models/tflite`.

    --variant=float32|float16|dynamic|int8|all      one file each, NAME.VARIANT.tflite
    --sizes=256x256,128x128                         fixed input sizes, NAME.VARIANT.256x256.tflite, for
                                                    devices that need them; by default a file takes any size
    --integer_ends                                  int8 inputs and outputs (variant int8), an additional file
                                                    NAME.int8.integer_ends.tflite

Files hold builtin operators alone, a `serving_default` with the names of the SavedModel, and its metadata.
The int8 variant is calibrated with patches of --calibration_dir. LiteRT runs every file on the images of
--data_dir; the result is compared with the SavedModel and described in a card beside the file
(`export.comparison`). A file that breaks a bound is moved aside, and the exit code is 1. When a file cannot
be made or run, the others are finished first, then its error ends the run.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import tensorflow as tf
from absl import flags, logging
from tensorflow.lite.python.convert_phase import ConverterError

from export.comparison import HEADER, Check, SavedModel, check_file, fitting, row
from export.flatbuffer import described, with_metadata
from export.latency import latencies
from export.quantize import OF_PICTURES, OF_SCENES, VARIANTS, Inputs, IntegerForm, reduced
from export.trials import Task, Trial
from hsr_tf import checks
from hsr_tf.console.flag_apps import run_app
from hsr_tf.data.scenes import data_root
from hsr_tf.networks.model_info import SINGLE_IMAGE, ModelInfo
from hsr_tf.typing import Size

FLAGS = flags.FLAGS
INTEGER_ENDS = "integer_ends"
NORMALISATION = "images are float32 in [0, 1]; luminance Y of BT.601 lies in [16, 235] / 255"


@dataclass(frozen=True)
class Data:
    """Folders of real images.

    Attributes:
        trials: what files are tried on.
        calibration: what integers are calibrated with; None where no file needs it.
        most_trials: try no more inputs than these; None for all.
    """

    trials: Path
    calibration: Path | None
    most_trials: int | None = None


def convert(model: SavedModel, size: Size | None = None) -> bytes:
    """The float32 file of a SavedModel's `serving_default`.

    Args:
        model: the SavedModel.
        size: (h, w) of lr_image or lr_hsi in a file of fixed sizes and batches of one; None for free ones.

    Raises:
        ValueError: for a model that needs more than builtin operators.
    """
    specs = [model.spec(name, size) for name in model.inputs]

    def function(*tensors: Any) -> list[Any]:
        outputs = model.function(**dict(zip(model.inputs, tensors, strict=True)))
        return [outputs[name] for name in model.outputs]

    concrete = tf.function(function, input_signature=specs, autograph=False).get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete])
    try:
        content = converter.convert()
    except (tf.errors.OpError, ConverterError) as error:
        reason = next((line for line in str(error).splitlines() if "Select ops" in line), str(error))
        raise checks.InputError(
            "saved_model",
            expected="builtin operators of LiteRT alone",
            received=f"others ({' '.join(reason.split())[:200]})",
            remedy="export a model over another base or of another method",
        ) from None
    return described(content, model.inputs, model.outputs, _info(model, size))


def _info(model: SavedModel, size: Size | None) -> ModelInfo:
    return replace(model.info, normalisation=NORMALISATION, size=size)


def export_tflite(
    model: SavedModel,
    folder: str | os.PathLike[str],
    *,
    variants: Sequence[str],
    data: Data,
    sizes: Sequence[Size | None] = (None,),
    integer_ends: bool = False,
) -> Iterator[Check]:
    """Write one file for each variant and size, each with its card.

    Yields:
        What was found of each, as soon as it is known; files that broke a bound were moved aside.

    Raises:
        ValueError: the first error, of whatever type, about a file that could not be made or run, after all
            the others were yielded.
    """
    checks.require(
        "int8" not in variants or data.calibration is not None,
        "calibration",
        expected="a folder of sharp images for int8",
        received="none",
        remedy="give one, or leave the variant out",
    )
    folder, task = Path(folder), Task(model.info)
    calibration = data.calibration or data.trials  # of no use without int8, which is checked above
    form = OF_PICTURES if task.kind == SINGLE_IMAGE else OF_SCENES
    folder.mkdir(parents=True, exist_ok=True)
    exporter = _Exporter(
        model,
        folder,
        trials=list(islice(task.trials(data.trials), data.most_trials)),
        calibration=partial(task.calibration, calibration),
        form=replace(form, integer_ends=integer_ends),
    )
    for size in sizes:
        try:
            yield from exporter.files(variants, size)
        except Exception as error:
            exporter.failures.append(error)
    if exporter.failures:
        raise exporter.failures[0]


@dataclass(frozen=True, eq=False)
class _Exporter:
    """Makes and checks the files of a model, and goes on after a failure.

    Attributes:
        model, folder: what is exported, and where to.
        trials: what files are tried on.
        calibration: makes inputs of `input_size`.
        form: of int8 and dynamic.
        failures: of files that were not finished, in the order of time.
    """

    model: SavedModel
    folder: Path
    trials: Sequence[Trial]
    calibration: Callable[..., Iterator[Inputs]]
    form: IntegerForm
    failures: list[Exception] = field(default_factory=list)

    def files(self, variants: Sequence[str], size: Size | None) -> Iterator[Check]:
        """All are made, then timed in turns, then checked one by one."""
        content = convert(self.model, size)
        usable, made = fitting(content, self.trials), {}
        with tempfile.TemporaryDirectory(dir=self.folder, prefix=".") as workplace:
            for variant in variants:
                form = f"int8.{INTEGER_ENDS}" if variant == "int8" and self.form.integer_ends else variant
                path = Path(workplace) / (
                    f"{self.model.info.name}.{form}{'' if size is None else f'.{size[0]}x{size[1]}'}.tflite"
                )
                try:
                    calibration = partial(self.calibration, input_size=size)
                    smaller = reduced(content, variant, calibration=calibration, form=self.form)
                    path.write_bytes(with_metadata(smaller, _info(self.model, size)))
                except Exception as error:
                    self.failures.append(error)
                else:
                    made[path] = variant
            for path, latency in zip(made, latencies([*made], usable[0]), strict=True):
                try:
                    if isinstance(latency, Exception):
                        raise latency
                    found = check_file(
                        path, made[path], self.model, usable, target=self.folder / path.name, latency=latency
                    )
                except Exception as error:
                    self.failures.append(error)
                else:
                    yield found


def _sizes(texts: Sequence[str]) -> list[Size | None]:
    sizes: list[Size | None] = []
    for text in texts:
        rows, _, columns = text.partition("x")
        checks.require(
            rows.isdecimal() and columns.isdecimal() and int(rows) > 0 and int(columns) > 0,
            "sizes",
            expected="rows x columns",
            received=text,
            remedy="write e.g. --sizes=256x256,128x128",
        )
        sizes.append((int(rows), int(columns)))
    return sizes or [None]


def default_data(
    kind: str, trials: str | None, calibration: str | None, variants: Sequence[str] = VARIANTS
) -> Data:
    """The folders given, or those of the data root: Set5 and BSD200, or cave_test and cave_train.

    Args:
        kind: of the model, as its metadata name it.
        trials: folder of images to try the files on.
        calibration: folder of images that int8 is calibrated with.
        variants: that are made; int8 alone needs a calibration.

    Raises:
        ValueError: where there is neither; the message names every flag that is missing.
    """
    root = data_root()
    usual = ("sisr/Set5", "sisr/BSD200") if kind == SINGLE_IMAGE else ("hsi/cave_test", "hsi/cave_train")
    given = {"data_dir": trials, "calibration_dir": calibration}
    if "int8" not in variants:
        del given["calibration_dir"]
    missing = [flag for flag, folder in given.items() if folder is None and root is None]
    images = "photographs" if kind == SINGLE_IMAGE else "sharp cubes"
    use = {"data_dir": "to try the files on", "calibration_dir": "to calibrate int8 with"}
    checks.require(
        not missing,
        ", ".join(missing),
        expected=f"a folder of {images} {' and one '.join(use[flag] for flag in missing)}",
        received="none, and no $HSR_DATA",
        remedy=f"give {' and '.join(f'--{flag}=FOLDER' for flag in missing)}, or set HSR_DATA",
    )
    folders = {
        flag: Path(folder) if folder is not None else Path(root or ".") / name
        for (flag, folder), name in zip(given.items(), usual, strict=False)
    }
    return Data(folders["data_dir"], folders.get("calibration_dir"))


def define_flags() -> None:
    """Model, variants, data and output."""
    flags.DEFINE_string("saved_model", None, "Version folder of export.saved_model.", required=True)
    flags.DEFINE_string("output_dir", "models/tflite", "Folder of the files and their cards.")
    flags.DEFINE_enum(
        "variant", "all", [*VARIANTS, "all"], "Precision of the file; all writes every variant."
    )
    flags.DEFINE_list("sizes", [], "Fixed sizes ROWSxCOLUMNS of the (coarse) input. Default: any size.")
    flags.DEFINE_bool("integer_ends", False, "Write int8 files with integer inputs and outputs.")
    flags.DEFINE_string(
        "data_dir", None, "Images to test the files on. Default: Set5 or cave_test in $HSR_DATA."
    )
    flags.DEFINE_string(
        "calibration_dir", None, "Images to calibrate int8 with. Default: BSD200 or cave_train in $HSR_DATA."
    )


def main() -> None:
    """Load, convert, check, print one row per file."""
    if not FLAGS["verbosity"].present:
        logging.set_verbosity(logging.ERROR)  # the converter advises programmers
    checks.require(
        not FLAGS.integer_ends or FLAGS.variant == "int8",
        "integer_ends",
        expected="the variant int8 beside it",
        received=FLAGS.variant,
        remedy="add --variant=int8, or leave it out",
    )
    model = SavedModel.load(FLAGS.saved_model)
    variants = VARIANTS if FLAGS.variant == "all" else (FLAGS.variant,)
    checked = export_tflite(
        model,
        FLAGS.output_dir,
        variants=variants,
        data=default_data(model.info.kind, FLAGS.data_dir, FLAGS.calibration_dir, variants),
        sizes=_sizes(FLAGS.sizes),
        integer_ends=FLAGS.integer_ends,
    )
    print(HEADER, flush=True)
    passed = []
    for one in checked:
        print(row(one), flush=True)
        passed.append(one.passed)
    if not all(passed):
        sys.exit(1)


if __name__ == "__main__":
    define_flags()
    run_app(main, interrupted="files that were not finished were not written")
