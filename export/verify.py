"""Check that exported models compute what the trained ones do.

    python -m export.verify --model=vdsr.int8.tflite --saved_model=models/vdsr/1
    python -m export.verify --all [--models=kbpn_x4,srcnn] [--output_dir=models/verified]

The first runs a file on real images beside the SavedModel that it was made of, writes its card, and ends with
exit code 1 when a bound of `export.comparison` is broken (the file is then moved aside). The second exports
every model that comes with the package, and every other network of the registry with the weights it starts
from, in every variant. It prints each file's row as soon as it is known, goes on after a file or a model that
fails, and ends with one table; networks without trained weights show differences, operators and sizes, but
their decibels mean nothing and are not judged.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import tensorflow as tf
from absl import flags

from export.comparison import HEADER, Check, SavedModel, check_file, row, table
from export.quantize import VARIANTS
from export.saved_model import TrainedModel, export_saved_model
from export.tflite import default_data, export_tflite
from export.trials import Task
from hsr_tf import checks, methods
from hsr_tf.console.flag_apps import run_app
from hsr_tf.networks.cards import FusionConfig, ImageConfig, ImageSpec
from hsr_tf.networks.fusion_model import FusionModel
from hsr_tf.networks.image_network import build_network
from hsr_tf.networks.pretrained import save_model, shipped_models
from hsr_tf.physics.observation import standard_model
from hsr_tf.physics.spectral import load_srf

FLAGS = flags.FLAGS
FLOATING = VARIANTS[:3]
INTEGER = ("vdsr", "srcnn", "ms_ssfnet")
NUM_UNTRAINED_TRIALS = 3
LAST_DEVIATION = 1e-2  # of a last layer that would start at zero
OUTPUT_DIR = "models/verified"
EXAMPLE = "--model=vdsr.int8.tflite --saved_model=models/vdsr/1"


@dataclass(frozen=True)
class Folders:
    """Folders of images; None for those of $HSR_DATA.

    Attributes:
        data_dir: that models are tried on.
        calibration_dir: that int8 is calibrated with.
    """

    data_dir: str | None = None
    calibration_dir: str | None = None


@dataclass(frozen=True)
class Verified:
    """What was found of the files, and one line for each model that could not be exported or run."""

    files: tuple[Check, ...]
    failures: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing failed and no bound was broken."""
        return not self.failures and all(one.passed for one in self.files)


def models_to_verify(wanted: Sequence[str] = ()) -> dict[str, Callable[[Path], Path]]:
    """Shipped models, and the other networks with fresh weights, by name.

    Args:
        wanted: names of models or of methods; none for all.

    Returns:
        Functions that take a folder to work in and answer the model's own.

    Raises:
        ValueError: for a name that is neither.
    """
    shipped = {card.folder.name: card for card in shipped_models()}
    known = {card.config.method for card in shipped.values()}
    fresh = [(name, _fresh_image_network) for name in methods.names("image_network") if name not in known]
    fresh += [(name, _fresh_fusion_model) for name in methods.names("network") if name not in known]
    method_of = {name: card.config.method for name, card in shipped.items()}
    makers: dict[str, Callable[[Path], Path]] = {
        name: partial(_given, card.folder) for name, card in shipped.items()
    }
    for method, make in fresh:
        method_of[f"{method}_untrained"] = method
        makers[f"{method}_untrained"] = partial(make, method)
    for name in wanted:
        checks.require_choice("models", name, [*makers, *sorted(set(method_of.values()))])
    return {
        name: make for name, make in makers.items() if not wanted or {name, method_of[name]} & set(wanted)
    }


def _given(model: Path, folder: Path) -> Path:
    return model


def _fresh_image_network(method: str, folder: Path) -> Path:
    scale = None if method == "srcnn" else 4
    network = build_network(ImageConfig(method, ImageSpec(scale), {}))
    return save_model(network, folder / f"{method}_untrained", {})


def _fresh_fusion_model(method: str, folder: Path) -> Path:
    cameras = standard_model(load_srf("nikon_d700", np.arange(400.0, 701.0, 10.0)), 4)
    model = FusionModel(FusionConfig(method, 4, 31), cameras)
    # Over a base the last layer starts at zero, and nothing of the network would be seen.
    draws = np.random.default_rng(0)
    for kernel in (weight for weight in model.network.trainable_weights if len(weight.shape) > 1):
        if not np.any(kernel.numpy()):
            kernel.assign(LAST_DEVIATION * draws.standard_normal(kernel.shape))
    return save_model(model, folder / f"{method}_untrained", {})


def verify_all(
    makers: Mapping[str, Callable[[Path], Path]], output: Path, folders: Folders | None = None
) -> Verified:
    """Export and check models; files and cards are left in `output`, rows and progress are printed.

    Args:
        makers: see `models_to_verify`.
        output: a folder.
        folders: of images; None for the usual ones.
    """
    files, failures, begin = [], [], time.monotonic()
    print(HEADER, flush=True)
    for number, (name, make) in enumerate(makers.items(), start=1):
        minutes = (time.monotonic() - begin) / 60
        print(
            f"{number} of {len(makers)}: {name} ({minutes:.1f} minutes so far)", file=sys.stderr, flush=True
        )
        try:
            with tempfile.TemporaryDirectory() as workplace:
                for one in _checked(make, Path(workplace), output, folders or Folders()):
                    print(row(one), flush=True)
                    files.append(one)
        except (ValueError, OSError, RuntimeError, tf.errors.OpError) as error:
            failures.append(f"{name}: {' '.join(str(error).split())[:300]}")
            print(failures[-1], file=sys.stderr, flush=True)
    return Verified(tuple(files), tuple(failures))


def _checked(
    make: Callable[[Path], Path], workplace: Path, output: Path, folders: Folders
) -> Iterator[Check]:
    """One model's files."""
    trained = TrainedModel.load(make(workplace))
    place = workplace / "exported" / trained.card.folder.name / "1"
    model = SavedModel.load(export_saved_model(trained, place))
    variants = VARIANTS if model.info.method in INTEGER else FLOATING
    data = default_data(model.info.kind, folders.data_dir, folders.calibration_dir, variants)
    data = replace(data, most_trials=None if model.is_trained else NUM_UNTRAINED_TRIALS)
    yield from export_tflite(model, output, variants=variants, data=data)


def define_flags() -> None:
    """Models and data."""
    flags.DEFINE_string("model", None, "TFLite file to check.")
    flags.DEFINE_string("saved_model", None, "Version folder that --model was made of.")
    flags.DEFINE_bool("all", False, "Export and check every network of the registry in every variant.")
    flags.DEFINE_list("models", [], "With --all: only these models or methods, e.g. kbpn_x4,srcnn.")
    flags.DEFINE_string(
        "output_dir", None, f"With --all: folder of the files and cards. Default: {OUTPUT_DIR}."
    )
    flags.DEFINE_string("data_dir", None, "Images to test on. Default: Set5 or cave_test in $HSR_DATA.")
    flags.DEFINE_string(
        "calibration_dir",
        None,
        "With --all: images to calibrate int8 with. Default: BSD200 or cave_train in $HSR_DATA.",
    )
    flags.register_multi_flags_validator(
        ["all", "calibration_dir"],
        lambda given: given["all"] or given["calibration_dir"] is None,
        message="--calibration_dir needs --all; leave it out for a file that exists",
    )


def main() -> None:
    """Check and print; exit code 1 where a bound is broken."""
    _require_one_task()
    if FLAGS.all:
        found = verify_all(
            models_to_verify(FLAGS.models),
            Path(FLAGS.output_dir or OUTPUT_DIR),
            Folders(FLAGS.data_dir, FLAGS.calibration_dir),
        )
        print()
    else:
        reference, path = SavedModel.load(FLAGS.saved_model), Path(FLAGS.model)
        data = default_data(reference.info.kind, FLAGS.data_dir, None, ())
        trials = list(Task(reference.info).trials(data.trials))
        # The variant that a file's name tells.
        parts = path.name.split(".")
        named = next((part for part in parts if part in VARIANTS), None)
        checks.require(
            named is not None,
            "model",
            expected=f"a name with its variant ({', '.join(VARIANTS)})",
            received=path.name,
            remedy="name it as export.tflite does, e.g. vdsr.int8.tflite",
        )
        found = Verified((check_file(path, named or "", reference, trials),), ())
    print(table(found.files))
    for failure in found.failures:
        print(failure)
    if not found.passed:
        sys.exit(1)


def _require_one_task() -> None:
    """Refuse a half of a file with its SavedModel, and flags of one task without it or beside the other."""
    of_file = {"model": FLAGS.model, "saved_model": FLAGS.saved_model}
    of_all = {"models": ",".join(FLAGS.models) or None, "output_dir": FLAGS.output_dir}
    if FLAGS.all:
        for name, value in of_file.items():
            remedy = f"leave out --{name} or --all (--models chooses among all)"
            checks.require(value is None, name, expected="none beside --all", received=value, remedy=remedy)
        return
    for name, value in of_all.items():
        remedy = f"add --all, or leave out --{name}"
        checks.require(
            value is None, name, expected="--all beside it", received=f"{value} without", remedy=remedy
        )
    checks.require(
        any(of_file.values()),
        "model, saved_model, all",
        expected="a file with its SavedModel, or --all",
        received="neither",
        remedy=f"give e.g. {EXAMPLE}",
    )
    for name, expected in (
        ("model", "a file of that SavedModel"),
        ("saved_model", "what the file was made of"),
    ):
        checks.require(
            bool(of_file[name]), name, expected=expected, received="none", remedy=f"give e.g. {EXAMPLE}"
        )


if __name__ == "__main__":
    define_flags()
    run_app(main, interrupted="cards of the files that were finished are kept")
