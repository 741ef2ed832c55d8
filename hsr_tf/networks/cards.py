"""What `model.json` says of a trained model, as plain data: reading it imports no Keras.

`FusionConfig` and `ImageSpec` describe the networks; `read_card` checks a folder's card against them, and
`find_shipped` looks up the models that come with the package by method, scale and sensors.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hsr_tf import checks, methods
from hsr_tf.networks.model_info import FUSION as FUSION
from hsr_tf.networks.model_info import SINGLE_IMAGE as SINGLE_IMAGE
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.psf import Psf
from hsr_tf.physics.spatial import SpatialDegradation
from hsr_tf.physics.spectral import SpectralResponse

CARD, WEIGHTS = "model.json", "model.weights.h5"
_DAMAGE = (ValueError, KeyError, TypeError, AttributeError)
SHIPPED = Path(__file__).resolve().parent / "weights"
AS_PUBLISHED = "published"
BASES_AS_PUBLISHED = {"dhsis": "sylvester"}  # of the networks that begin and end with a closed form
INITIALIZERS = ("he", "gaussian_0.001", "identity")


@dataclass(frozen=True)
class FusionConfig:
    """All that is needed to build a `FusionModel` again; every field is plain data.

    Attributes:
        method: name of the network in the registry.
        scale: s.
        num_bands: C.
        num_channels: c, channels of the colour camera.
        base: "none", "bicubic", "spectral_ls" or "sylvester"; by default the one that the network was
            published with, "sylvester" for dhsis and "none" for the others.
        consistent: fit the final estimate to both observations (needs the known cameras): by projection, with
            the base "sylvester" by its closed form. None, the default, for the published form: True for dhsis
            over its base, otherwise False.
        options: further arguments of the network, e.g. {"features": 64}.
        init, seed, dtype: see `NetworkSpec`.
    """

    method: str
    scale: int
    num_bands: int
    num_channels: int = 3
    base: str = AS_PUBLISHED
    consistent: bool | None = None
    options: tuple[tuple[str, Any], ...] = ()
    init: str = "he"
    seed: int = 0
    dtype: str | None = None

    def __post_init__(self) -> None:
        published = BASES_AS_PUBLISHED.get(self.method, "none")
        if self.base == AS_PUBLISHED:
            object.__setattr__(self, "base", published)
        if self.consistent is None:
            object.__setattr__(self, "consistent", self.base == published != "none")

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {**{k: v for k, v in vars(self).items() if k != "options"}, "options": dict(self.options)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> FusionConfig:
        """The inverse of `to_json`; TypeError for fields that are missing or unknown."""
        return cls(**{**data, "options": tuple(sorted(data.get("options", {}).items()))})


@dataclass(frozen=True)
class ImageSpec:
    """What every network of single images is built from.

    Attributes:
        scale: s, estimated pixels a given one along one side; None for a network that keeps the size because
            the picture was enlarged before.
        num_channels: C, 1 for Y, 3 for RGB.
        seed: seed of the weights.
        dtype: Keras dtype policy of the layers, e.g. "mixed_bfloat16"; None for the global one.
        init: "he" (normal, variance 2 / fan-in), "gaussian_0.001", or "identity" for VDSR (`NearIdentity`).
        zero_head: start the reconstruction at zero, for networks that add to an enlarged picture.
    """

    scale: int | None
    num_channels: int = 1
    seed: int = 0
    dtype: str | None = None
    init: str = "he"
    zero_head: bool = False

    def __post_init__(self) -> None:
        checks.require_choice("init", self.init, INITIALIZERS)
        checks.require_positive_integers(num_channels=self.num_channels)
        if self.scale is not None:
            checks.require_positive_integers(scale=self.scale)


@dataclass(frozen=True)
class ImageConfig:
    """All that is needed to build an `ImageNetwork` again; every field is plain data.

    Attributes:
        method: name of the network in the registry.
        spec: the specification.
        options: further arguments of the network.
    """

    method: str
    spec: ImageSpec
    options: Mapping[str, Any]

    @property
    def scale(self) -> int | None:
        """Of the specification."""
        return self.spec.scale

    @property
    def num_channels(self) -> int:
        """Of the specification."""
        return self.spec.num_channels

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {"method": self.method, **asdict(self.spec), "options": dict(self.options)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ImageConfig:
        """The inverse of `to_json`.

        Raises:
            ValueError: a specification that is wrong, or options that are none.
            KeyError, TypeError: fields that are missing or unknown.
        """
        spec = {name: value for name, value in data.items() if name not in ("method", "options")}
        method, options = data["method"], data["options"]
        checks.require(
            isinstance(options, Mapping) and isinstance(method, str),
            "config",
            expected="a method and its options",
            received=str(data)[:80],
            remedy="take an undamaged copy",
        )
        return cls(method, ImageSpec(**spec), options)


@dataclass(frozen=True, eq=False)
class ModelCard:
    """What `model.json` says.

    Attributes:
        folder: where it lies.
        config: the model's configuration.
        cameras: PSF and response that it was trained for, or None.
        record: how it was trained and what it scores.
        kind: of the method in the registry, "network" or "image_network".
    """

    folder: Path
    config: FusionConfig | ImageConfig
    cameras: ObservationModel | None
    record: Mapping[str, Any]
    kind: str = FUSION

    def fits(self, wanted: FusionConfig) -> bool:
        """Whether it is of this method and for these sizes, of which `Method.any_cameras` takes any."""
        sizes = () if methods.get(wanted.method).any_cameras else ("scale", "num_bands", "num_channels")
        return all(getattr(self.config, name, None) == getattr(wanted, name) for name in ("method", *sizes))


def read_card(folder: str | os.PathLike[str]) -> ModelCard:
    """Read `model.json`.

    Raises:
        OSError: when the folder is no model's, or the card is damaged.
    """
    folder = Path(folder)
    path = folder / CARD
    if not path.is_file():
        raise checks.file_error(
            folder, f"no trained model here ({CARD} is missing)", "give the folder that a trainer wrote"
        )
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        kind = str(card.get("kind", FUSION))
        checks.require_choice("kind", kind, (FUSION, SINGLE_IMAGE))
        config = (ImageConfig if kind == SINGLE_IMAGE else FusionConfig).from_json(card["config"])
        return ModelCard(folder, config, cameras_from_dict(card["cameras"]), card["record"], kind)
    except _DAMAGE as error:
        raise damaged(path, "is no model card", error) from error


def shipped_models(kind: str | None = None) -> list[ModelCard]:
    """The cards of the models that come with the package; of one kind where it is given."""
    cards = [read_card(path.parent) for path in sorted(SHIPPED.glob(f"*/{CARD}"))]
    return [card for card in cards if kind in (None, card.kind)]


def find_shipped(method: str, *, scale: int, num_bands: int, num_channels: int) -> ModelCard | None:
    """The shipped fusion model of this method for these sizes, or None."""
    wanted = FusionConfig(method, scale, num_bands, num_channels)
    return next((card for card in shipped_models(FUSION) if card.fits(wanted)), None)


def cameras_to_dict(cameras: ObservationModel | None) -> dict[str, Any] | None:
    """PSF, response, scale and border as plain data; noise is no part of it."""
    if cameras is None:
        return None
    spatial, spectral = cameras.spatial, cameras.spectral
    return {
        "psf": spatial.psf.kernel.tolist(),
        "psf_name": spatial.psf.name,
        **({"psf_signed": True} if spatial.psf.signed else {}),
        "scale": spatial.scale,
        "border": spatial.border,
        "srf": spectral.matrix.tolist(),
        "srf_name": spectral.name,
        "channels": list(spectral.channels),
    }


def cameras_from_dict(data: Mapping[str, Any] | None) -> ObservationModel | None:
    """The inverse of `cameras_to_dict`."""
    if data is None:
        return None
    psf = Psf(np.array(data["psf"]), data["psf_name"], bool(data.get("psf_signed", False)))
    spatial = SpatialDegradation(psf, data["scale"], border=data["border"])
    srf = SpectralResponse(np.array(data["srf"]), channels=tuple(data["channels"]), name=data["srf_name"])
    return ObservationModel(spatial, srf)


def damaged(path: Path, problem: str, error: Exception) -> OSError:
    """The error of a file of a model that cannot be used."""
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    return checks.file_error(path, f"{problem} ({reason[:200]})", "take an undamaged copy")
