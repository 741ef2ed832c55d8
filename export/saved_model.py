"""Export a trained model for TensorFlow Serving: `python -m export.saved_model --output_dir=models/vdsr/1`.

    --checkpoint=runs/vdsr/model           a folder that a trainer wrote, or
    --method=vdsr [--scale=4]              the model of this method that comes with the package

The weights of `prior` fit any cameras; its export is for one pair of them:

    --method=prior --scale=4 --srf=sentinel2a:B02,B03,B04 --wavelengths=400:700:10

The last part of --output_dir is the version, a positive whole number. The folder gets the SavedModel with the
functions of `export.signatures` and, in assets.extra, hsr_tf.json (`hsr_tf.networks.model_info`) and warm-up
requests for the server (`export.warm_up`).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np
from absl import flags

import hsr_tf
from export.signatures import (
    Signature,
    fusion_signatures,
    image_signatures,
    metadata_signature,
)
from export.warm_up import write_warm_up
from hsr_tf import checks, methods
from hsr_tf.console.flag_apps import run_app
from hsr_tf.files import replacing_folder
from hsr_tf.io.wavelength_list import parse_wavelengths
from hsr_tf.networks.cards import FusionConfig, ModelCard, cameras_to_dict, read_card, shipped_models
from hsr_tf.networks.fusion_model import FusionModel
from hsr_tf.networks.image_network import ImageNetwork
from hsr_tf.networks.memory import bytes_per_value
from hsr_tf.networks.model_info import METADATA, METADATA_FILE, SINGLE_IMAGE, ModelInfo
from hsr_tf.networks.pretrained import load_image_network, load_model
from hsr_tf.networks.reference_view import REFERENCE_NM
from hsr_tf.physics.cameras import DEFAULT_PSF, DEFAULT_SRF, make_cameras
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.scene import Scene

FLAGS = flags.FLAGS


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A model for inference, its card, and the name of the export; by default that of its folder."""

    model: FusionModel | ImageNetwork
    card: ModelCard
    name: str = ""

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> TrainedModel:
        """Load a folder in float32, without what only training needs; errors as `read_card`."""
        card = read_card(folder)
        model = (load_image_network if card.kind == SINGLE_IMAGE else load_model)(folder)
        return cls(model.for_inference(), card)

    def for_cameras(self, cameras: ObservationModel, wavelengths_nm: Sequence[float] | None) -> TrainedModel:
        """The same weights for a pair of cameras, where they fit any (`FusionModel.for_cameras`)."""
        assert isinstance(self.model, FusionModel)
        model = self.model.for_cameras(cameras, wavelengths_nm)
        return replace(self, model=model, card=replace(self.card, config=model.config, cameras=cameras))

    @property
    def signatures(self) -> list[Signature]:
        """All functions of the export."""
        return [*self.model_signatures, metadata_signature(json.dumps(self.info.to_json()))]

    @property
    def model_signatures(self) -> list[Signature]:
        """The functions that compute."""
        if isinstance(self.model, ImageNetwork):
            return image_signatures(self.model)
        return fusion_signatures(self.model)

    @property
    def info(self) -> ModelInfo:
        """The metadata of the export."""
        config, cameras = self.card.config, self.card.cameras
        inputs = {one.name: tuple(spec.name for spec in one.inputs) for one in self.model_signatures}
        return ModelInfo(
            kind=self.card.kind,
            method=config.method,
            scale=config.scale,
            num_channels=config.num_channels,
            reach=self.model.reach,
            signatures={**inputs, METADATA: ()},
            num_bands=config.num_bands if isinstance(config, FusionConfig) else None,
            name=self.name or self.card.folder.name,
            base=config.base if isinstance(config, FusionConfig) else None,
            bytes_per_value=round(bytes_per_value(self.model)),
            finds_kernel=isinstance(self.model, ImageNetwork) and self.model.finds_kernel,
            sensor=None if cameras is None else cameras.spectral.name,
            psf=None if cameras is None else cameras.spatial.psf.name,
            cameras=cameras_to_dict(cameras),
            config=config.to_json(),
            record=dict(self.card.record),
            hsr_tf=hsr_tf.__version__,
            weights_sha256=weights_digest(self.model),
        )


def weights_digest(model: keras.Model) -> str:
    """SHA-256 over names, shapes and float32 values of all weights, in the order of their names."""
    digest = hashlib.sha256()
    for weight in sorted(model.weights, key=lambda weight: weight.path):
        values = np.ascontiguousarray(weight.numpy(), "<f4")
        digest.update(f"{weight.path}{values.shape}".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()


def export_saved_model(
    trained: TrainedModel, folder: str | os.PathLike[str], *, overwrite: bool = False
) -> Path:
    """Write a version folder, all or nothing.

    Args:
        trained: what is exported.
        folder: models/NAME/VERSION; NAME is made if it is missing.
        overwrite: replace a version that exists.

    Raises:
        ValueError: when the last part of `folder` is no whole number.
        OSError: for a version that exists, or a folder that cannot be written.
    """
    folder = Path(folder)
    checks.require(
        folder.name.isdecimal() and int(folder.name) > 0,
        "output_dir",
        expected="a folder whose name is a version, a positive whole number",
        received=str(folder),
        remedy="write e.g. models/vdsr/1",
    )
    if folder.exists() and not overwrite:
        raise checks.file_error(folder, "exists", "take the next version, or add --overwrite")
    folder.parent.mkdir(parents=True, exist_ok=True)
    trained = replace(trained, name=folder.absolute().parent.name)
    with replacing_folder(folder) as draft:
        signatures = trained.signatures
        _write(trained.model, signatures, draft)
        path = draft / METADATA_FILE
        path.parent.mkdir()
        path.write_text(json.dumps(trained.info.to_json(), indent=1) + "\n", encoding="utf-8")
        write_warm_up(path.parent, folder.parent.name, signatures, scale=trained.card.config.scale or 1)
    return folder


def _write(model: keras.Model, signatures: Sequence[Signature], folder: Path) -> None:
    archive = keras.export.ExportArchive()
    archive.track(model)
    for signature in signatures:
        archive.add_endpoint(
            name=signature.name, fn=signature.function, input_signature=list(signature.inputs)
        )
    archive.write_out(str(folder), verbose=False)


def shipped(method: str, scale: int | None) -> Path:
    """The folder of the model of a method that comes with the package.

    Raises:
        ValueError: when there is none, or several and no scale says which; the message lists them.
    """
    known = [card for card in shipped_models() if card.config.method == method]
    fitting = [card for card in known if scale is None or card.config.scale in (scale, None)]
    checks.require(
        len(fitting) == 1,
        "method, scale",
        expected=f"one of {_listed(shipped_models())}",
        received=f"{method}{'' if scale is None else f' x{scale}'}, which {len(fitting)} of them are",
        remedy="give the scale too, or the folder of a trained model (--checkpoint=FOLDER)",
    )
    return fitting[0].folder


def _listed(cards: Sequence[ModelCard]) -> str:
    return ", ".join(
        card.config.method + ("" if card.config.scale is None else f" x{card.config.scale}") for card in cards
    )


def define_flags() -> None:
    """Model and output."""
    flags.DEFINE_string("checkpoint", None, "Folder of a trained model.")
    flags.DEFINE_string("method", None, "Method of a shipped model.")
    flags.DEFINE_integer(
        "scale", None, "Scale factor of the shipped model, where there are several; of prior, any.", 1
    )
    flags.DEFINE_string("psf", None, "Point-spread function of a model for any cameras (prior).")
    flags.DEFINE_string("srf", None, "Response of a model for any cameras: a name or a CSV file.")
    flags.DEFINE_string("wavelengths", None, "Bands of a model for any cameras, as hsr fuse takes them.")
    flags.DEFINE_string("output_dir", None, "Folder to write, models/NAME/VERSION.", required=True)
    flags.DEFINE_bool("overwrite", False, "Replace an existing version.")


def main() -> None:
    """Load, export, print the signatures."""
    checks.require(
        (FLAGS.checkpoint is None) != (FLAGS.method is None),
        "checkpoint, method",
        expected="one of the two",
        received="both" if FLAGS.checkpoint else "none",
        remedy="give e.g. --method=vdsr, or --checkpoint=runs/vdsr/model",
    )
    trained = _for_asked_cameras(_trained())
    folder = export_saved_model(trained, FLAGS.output_dir, overwrite=FLAGS.overwrite)
    for signature in trained.signatures:
        print(f"{signature.name}({', '.join(spec.name for spec in signature.inputs)})")
    print(f"exported: {folder}")


def _trained() -> TrainedModel:
    """The model of the flags; one that fits any cameras has no scale to be chosen by."""
    any_cameras = FLAGS.method is not None and methods.get(FLAGS.method).any_cameras
    scale = None if any_cameras else FLAGS.scale
    return TrainedModel.load(FLAGS.checkpoint or shipped(FLAGS.method, scale))


def _for_asked_cameras(trained: TrainedModel) -> TrainedModel:
    """The model for the cameras of the flags, where there are some."""
    config = trained.card.config
    any_cameras = methods.get(config.method).any_cameras
    checks.require(
        any_cameras or FLAGS.scale is None or FLAGS.checkpoint is None,
        "scale",
        expected="none with a checkpoint, which has its own",
        received=str(FLAGS.scale),
        remedy="leave it out",
    )
    given = [name for name in ("psf", "srf", "wavelengths") if FLAGS[name].value is not None]
    checks.require(
        any_cameras or not given,
        ", ".join(given),
        expected=f"none for {config.method}, which was trained for one pair of cameras",
        received="some",
        remedy="leave them out, or export prior",
    )
    if not any_cameras or not (given or FLAGS.scale):
        return trained
    listed = FLAGS.wavelengths
    centres = REFERENCE_NM.tolist() if listed is None else list(parse_wavelengths(listed))
    scene = Scene(np.zeros((1, 1, len(centres)), np.float32), np.asarray(centres))
    scale = FLAGS.scale or config.scale or 1
    cameras = make_cameras(scene, scale, psf=FLAGS.psf or DEFAULT_PSF, srf=FLAGS.srf or DEFAULT_SRF)
    return trained.for_cameras(cameras, centres)


if __name__ == "__main__":
    define_flags()
    run_app(main, interrupted="nothing was written")
