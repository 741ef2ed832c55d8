"""What `model.json` says of a trained model, as plain data: reading it imports no Keras.

`FusionConfig` and `ImageSpec` describe the networks; `read_card` checks a folder's card against them, and
`find_shipped` looks up the models that come with the package by method, scale and sensors.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hsr_tf import checks
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.psf import Psf
from hsr_tf.physics.spatial import SpatialDegradation
from hsr_tf.physics.spectral import SpectralResponse

CARD, WEIGHTS = "model.json", "model.weights.h5"
_DAMAGE = (ValueError, KeyError, TypeError, AttributeError)
FUSION, SINGLE_IMAGE = "network", "image_network"
SHIPPED = Path(__file__).resolve().parent / "weights"
INITIALIZERS = ("he", "gaussian_0.001", "identity")


@dataclass(frozen=True)
class FusionConfig:
    """All that is needed to build a `FusionModel` again; every field is plain data.

    Attributes:
        method: name of the network in the registry.
        scale: s.
        num_bands: C.
        num_channels: c, channels of the colour camera.
        base: "none", "bicubic", "spectral_ls" or "sylvester".
        consistent: fit the final estimate to both observations (needs the known cameras): by projection, with
            the base "sylvester" by its closed form.
        options: further arguments of the network, e.g. {"features": 64}.
        init, seed, dtype: see `NetworkSpec`.
    """

    method: str
    scale: int
    num_bands: int
    num_channels: int = 3
    base: str = "none"
    consistent: bool = False
    options: tuple[tuple[str, Any], ...] = ()
    init: str = "he"
    seed: int = 0
    dtype: str | None = None


@dataclass(frozen=True)
class ImageSpec:
    """What every network of single images must be told.

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
        for name, least in (("scale", 1), ("num_channels", 1)):
            value = getattr(self, name)
            checks.require(
                (value is None and name == "scale") or (isinstance(value, int) and value >= least),
                name,
                expected="a positive integer",
                received=str(value),
                remedy="correct it",
            )


@dataclass(frozen=True, eq=False)
class ModelCard:
    """What `model.json` says.

    Attributes:
        folder: where it lies.
        config: the model's configuration, see `FusionConfig` and `image_network.network_to_dict`.
        cameras: PSF and response it was trained for, as plain data, or None.
        record: how it was trained and what it scores.
        kind: of the method in the registry, "network" or "image_network".
    """

    folder: Path
    config: Mapping[str, Any]
    cameras: dict[str, Any] | None
    record: Mapping[str, Any]
    kind: str = FUSION


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
        return _checked(ModelCard(folder, card["config"], card["cameras"], card["record"], _kind(card)))
    except _DAMAGE as error:
        raise damaged(path, "is no model card", error) from error


def shipped_models(kind: str | None = None) -> list[ModelCard]:
    """The cards of the models that come with the package; of one kind where it is given."""
    cards = [read_card(path.parent) for path in sorted(SHIPPED.glob(f"*/{CARD}"))]
    return [card for card in cards if kind in (None, card.kind)]


def find_shipped(method: str, *, scale: int, num_bands: int, num_channels: int) -> ModelCard | None:
    """The shipped fusion model of this method for these sizes, or None."""
    wanted = {"method": method, "scale": scale, "num_bands": num_bands, "num_channels": num_channels}
    for card in shipped_models(FUSION):
        if all(card.config[name] == value for name, value in wanted.items()):
            return card
    return None


def config_to_dict(config: FusionConfig) -> dict[str, Any]:
    """Plain data, for JSON."""
    return {**{k: v for k, v in vars(config).items() if k != "options"}, "options": dict(config.options)}


def config_from_dict(data: dict[str, Any]) -> FusionConfig:
    """The inverse of `config_to_dict`."""
    return FusionConfig(**{**data, "options": tuple(sorted(data.get("options", {}).items()))})


def cameras_to_dict(cameras: ObservationModel | None) -> dict[str, Any] | None:
    """PSF, response, scale and border as plain data; noise is no part of it."""
    if cameras is None:
        return None
    spatial, spectral = cameras.spatial, cameras.spectral
    return {
        "psf": spatial.psf.kernel.tolist(),
        "psf_name": spatial.psf.name,
        "scale": spatial.scale,
        "border": spatial.border,
        "srf": spectral.matrix.tolist(),
        "srf_name": spectral.name,
        "channels": list(spectral.channels),
    }


def cameras_from_dict(data: dict[str, Any] | None) -> ObservationModel | None:
    """The inverse of `cameras_to_dict`."""
    if data is None:
        return None
    spatial = SpatialDegradation(
        Psf(np.array(data["psf"]), data["psf_name"]), data["scale"], border=data["border"]
    )
    srf = SpectralResponse(np.array(data["srf"]), channels=tuple(data["channels"]), name=data["srf_name"])
    return ObservationModel(spatial, srf)


def spec_from_dict(data: dict[str, Any]) -> ImageSpec:
    """The specification alone; errors as `network_from_dict`."""
    return ImageSpec(**{name: value for name, value in data.items() if name not in ("method", "options")})


def damaged(path: Path, problem: str, error: Exception) -> OSError:
    """The error of a file of a model that cannot be used."""
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    return checks.file_error(path, f"{problem} ({reason[:200]})", "take an undamaged copy")


def _kind(card: Mapping[str, Any]) -> str:
    kind = str(card.get("kind", FUSION))
    checks.require_choice("kind", kind, (FUSION, SINGLE_IMAGE))
    return kind


def _checked(card: ModelCard) -> ModelCard:
    """The card, once its fields are those of its kind."""
    if card.kind == SINGLE_IMAGE:
        spec_from_dict(dict(card.config))
        checks.require(
            isinstance(card.config["options"], dict) and isinstance(card.config["method"], str),
            "config",
            expected="a method and its options",
            received=str(card.config)[:80],
            remedy="take an undamaged copy",
        )
    else:
        config_from_dict(dict(card.config))
        cameras_from_dict(card.cameras)
    return card
