"""Trained models on disk: a folder with `model.json` (what it is, for which sensors, scores) and weights.

    model.json         FusionConfig, cameras and the training record, plain JSON
    model.weights.h5   the weights by name, e.g. spatial_3_conv1/kernel, float32

Nothing in it is code: the network is built from the registry by name, so a folder from elsewhere cannot run
any. The package ships such folders in hsr_tf/weights; `find_shipped` looks one up by method, scale and
sensors.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from hsr_tf import checks
from hsr_tf.io.atomic import replacing_folder
from hsr_tf.io.guarded import created_hdf5
from hsr_tf.networks.fusion_model import (
    FusionModel,
    cameras_from_dict,
    cameras_to_dict,
    config_from_dict,
    config_to_dict,
)

CARD, WEIGHTS = "model.json", "model.weights.h5"
_DAMAGE = (ValueError, KeyError, TypeError, AttributeError)
SHIPPED = Path(__file__).resolve().parent.parent / "weights"


@dataclass(frozen=True, eq=False)
class ModelCard:
    """What `model.json` says.

    Attributes:
        folder: where it lies.
        config: the model's configuration, see `FusionConfig`.
        cameras: PSF and response it was trained for, as plain data, or None.
        record: how it was trained and what it scores.
    """

    folder: Path
    config: Mapping[str, Any]
    cameras: dict[str, Any] | None
    record: Mapping[str, Any]


def save_model(model: FusionModel, folder: str | os.PathLike[str], record: Mapping[str, Any]) -> Path:
    """Write a model's folder, all or nothing; an older one of the same name is replaced.

    Args:
        model: the trained model.
        folder: where to.
        record: training record for the card: configuration, seed, time, scores; JSON data.
    """
    card = {
        "config": config_to_dict(model.config),
        "cameras": cameras_to_dict(model.cameras),
        "record": dict(record),
    }
    with replacing_folder(Path(folder)) as draft:
        (draft / CARD).write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
        with created_hdf5(draft / WEIGHTS) as (file, _):
            for weight in model.network.weights:
                file.create_dataset(weight.path, data=np.asarray(weight.numpy(), np.float32))
    return Path(folder)


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
        config_from_dict(card["config"])
        cameras_from_dict(card["cameras"])
        return ModelCard(folder, card["config"], card["cameras"], card["record"])
    except _DAMAGE as error:
        raise _damaged(path, "is no model card", error) from error


def load_model(folder: str | os.PathLike[str]) -> FusionModel:
    """Build the model of a folder and read its weights; it runs in float32 whatever it was trained in.

    Raises:
        OSError: when the folder is no model's, or a file is damaged.
        ValueError: for weights that do not fit the configuration.
    """
    card = read_card(folder)
    config = config_from_dict({**card.config, "dtype": "float32"})
    try:
        model = FusionModel(config, cameras_from_dict(card.cameras))
    except (KeyError, TypeError, AttributeError) as error:
        raise _damaged(card.folder / CARD, "describes no model", error) from error
    path = card.folder / WEIGHTS
    if not path.is_file() or not h5py.is_hdf5(path):
        raise checks.file_error(
            path, "is missing or no HDF5 file", "take an undamaged copy of the model's folder"
        )
    try:
        stored = _stored_arrays(path)
    except (OSError, KeyError, RuntimeError) as error:
        raise _damaged(path, "cannot be read", error) from error
    _require_fit(path, stored, model)
    for weight in model.network.weights:
        weight.assign(stored[weight.path])
    return model


def _stored_arrays(path: Path) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {}

    def take(name: str, item: h5py.Dataset | h5py.Group) -> None:
        if isinstance(item, h5py.Dataset):
            arrays[name] = item[()]

    with h5py.File(path) as file:
        file.visititems(take)
    return arrays


def _require_fit(path: Path, stored: Mapping[str, np.ndarray], model: FusionModel) -> None:
    """A file whose names and shapes are not exactly the network's is refused."""
    found = {name: tuple(array.shape) for name, array in stored.items()}
    wanted = {weight.path: tuple(weight.shape) for weight in model.network.weights}
    other = sorted(name for name in {*found, *wanted} if found.get(name) != wanted.get(name))
    checks.require(
        not other,
        "weights",
        expected=f"{len(wanted)} arrays as {CARD} describes the network",
        received=f"{len(found)} in {path}"
        + (f", other in {len(other)}, such as {other[0]}" if other else ""),
        remedy="take card and weights from the same training",
    )


def _damaged(path: Path, problem: str, error: Exception) -> OSError:
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    return checks.file_error(path, f"{problem} ({reason[:200]})", "take an undamaged copy")


def shipped_models() -> list[ModelCard]:
    """The cards of all models that come with the package."""
    return [read_card(path.parent) for path in sorted(SHIPPED.glob(f"*/{CARD}"))]


def find_shipped(method: str, *, scale: int, num_bands: int, num_channels: int) -> ModelCard | None:
    """The shipped model of this method for these sizes, or None."""
    wanted = {"method": method, "scale": scale, "num_bands": num_bands, "num_channels": num_channels}
    for card in shipped_models():
        if all(card.config[name] == value for name, value in wanted.items()):
            return card
    return None
