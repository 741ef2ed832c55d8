"""Whether exported models do what the trained ones did.

    python -m export.verify --model=vdsr.int8.tflite --saved_model=models/vdsr/1
    python -m export.verify --all [--output_dir=models/verified]

The first runs a file on real images beside the SavedModel that it was made of, writes its card, and ends with
exit code 1 when a bound of `export.comparison` is broken (the file is then moved aside). The second exports
every model that comes with the package, and every other network of the registry with the weights it starts
from, in every variant, and prints one table; networks without trained weights show differences, operators and
sizes, but their decibels mean nothing and are not judged.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from absl import flags

from export.comparison import Check, SavedModel, check_file, table
from export.quantize import VARIANTS
from export.saved_model import TrainedModel, export_saved_model
from export.tflite import default_data, export_tflite
from export.trials import Task
from hsr_tf import checks, methods
from hsr_tf.flag_apps import run_app
from hsr_tf.networks.fusion_model import FusionConfig, FusionModel
from hsr_tf.networks.image_network import network_from_dict
from hsr_tf.networks.pretrained import save_model, shipped_models
from hsr_tf.physics.observation import standard_model
from hsr_tf.physics.spectral import load_srf

FLAGS = flags.FLAGS
FLOATING = VARIANTS[:3]
INTEGER = ("vdsr", "srcnn", "ms_ssfnet")
NUM_UNTRAINED_TRIALS = 3


def trained_models(folder: Path) -> Iterator[Path]:
    """Folders of the models to verify: those that ship, and of the other networks fresh ones in `folder`."""
    shipped = shipped_models()
    yield from (card.folder for card in shipped)
    known = {card.config["method"] for card in shipped}
    for method in methods.names("image_network"):
        if method not in known:
            scale = None if method == "srcnn" else 4
            network = network_from_dict({"method": method, "scale": scale, "options": {}})
            yield save_model(network, folder / f"{method}_untrained", {})
    cameras = standard_model(load_srf("nikon_d700", np.arange(400.0, 701.0, 10.0)), 4)
    for method in methods.names("network"):
        if method not in known:
            model = FusionModel(FusionConfig(method, 4, 31), cameras)
            yield save_model(model, folder / f"{method}_untrained", {})


def verify_all(output: Path) -> list[Check]:
    """Export and check every model; files and cards are left in `output`."""
    found = []
    with tempfile.TemporaryDirectory() as workplace:
        for folder in trained_models(Path(workplace)):
            trained = TrainedModel.load(folder)
            place = Path(workplace) / "exported" / folder.name / "1"
            place.parent.mkdir(parents=True)
            model = SavedModel.load(export_saved_model(trained, place))
            data = default_data(model.metadata["kind"], FLAGS.data_dir, None)
            data = replace(data, most_trials=None if model.is_trained else NUM_UNTRAINED_TRIALS)
            variants = VARIANTS if model.metadata["method"] in INTEGER else FLOATING
            found += export_tflite(model, output, variants=variants, data=data)
            print(table(found[-len(variants) :]), flush=True)
    return found


def define_flags() -> None:
    """What is verified, on what."""
    flags.DEFINE_string("model", None, "A TFLite file.")
    flags.DEFINE_string("saved_model", None, "The version folder that it was made of.")
    flags.DEFINE_bool("all", False, "Verify every network of the registry in every variant.")
    flags.DEFINE_string("output_dir", "models/verified", "Folder for the files and cards of --all.")
    flags.DEFINE_string("data_dir", None, "Images to try on (default: Set5 or cave_test of $HSR_DATA).")


def main() -> None:
    """Check, print, and end with 1 where a bound is broken."""
    checks.require(
        FLAGS.all != (FLAGS.model is not None and FLAGS.saved_model is not None),
        "model, saved_model, all",
        expected="a file with its SavedModel, or --all",
        received="both" if FLAGS.all else "neither",
        remedy="give e.g. --model=vdsr.int8.tflite --saved_model=models/vdsr/1",
    )
    if FLAGS.all:
        found = verify_all(Path(FLAGS.output_dir))
    else:
        reference, path = SavedModel.load(FLAGS.saved_model), Path(FLAGS.model)
        data = default_data(reference.metadata["kind"], FLAGS.data_dir, None)
        trials = list(Task(reference.metadata).trials(data.trials))
        found = [check_file(path, _variant(path), reference, trials)]
    print(table(found))
    if not all(one.passed for one in found):
        sys.exit(1)


def _variant(path: Path) -> str:
    """The variant that a file's name tells."""
    parts = path.name.split(".")
    named = next((part for part in parts if part in VARIANTS), None)
    checks.require(
        named is not None,
        "model",
        expected=f"a name with its variant ({', '.join(VARIANTS)})",
        received=path.name,
        remedy="name it as export.tflite does, e.g. vdsr.int8.tflite",
    )
    return named or ""


if __name__ == "__main__":
    define_flags()
    run_app(main, interrupted="cards of the files that were finished are kept")
