"""Trained models on disk: a folder with `model.json` (what it is, for which sensors, scores) and weights.

    model.json         configuration, cameras (of fusion models) and the training record, plain JSON
    model.weights.h5   the weights by name, e.g. spatial_3_conv1/kernel, float32

Two kinds share the form: fusion models, and networks of single images ("kind": "image_network").

Nothing in it is code: the network is built from the registry by name, so a folder from elsewhere cannot run
any. The package ships such folders in hsr_tf/networks/weights; `hsr_tf.networks.cards` reads them without
Keras.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from hsr_tf import checks
from hsr_tf.files import replacing_folder
from hsr_tf.io.guarded import created_hdf5
from hsr_tf.networks.cards import (
    CARD,
    WEIGHTS,
    ImageConfig,
    cameras_to_dict,
    damaged,
)
from hsr_tf.networks.cards import ModelCard as ModelCard
from hsr_tf.networks.cards import find_shipped as find_shipped
from hsr_tf.networks.cards import read_card as read_card
from hsr_tf.networks.cards import shipped_models as shipped_models
from hsr_tf.networks.fusion_model import FusionModel
from hsr_tf.networks.image_network import ImageNetwork, build_network, config_of
from hsr_tf.networks.model_info import FUSION as FUSION
from hsr_tf.networks.model_info import SINGLE_IMAGE as SINGLE_IMAGE


def save_model(
    model: FusionModel | ImageNetwork, folder: str | os.PathLike[str], record: Mapping[str, Any]
) -> Path:
    """Write a model's folder, all or nothing; an older one of the same name is replaced.

    Args:
        model: the trained model.
        folder: where to.
        record: training record for the card: configuration, seed, time, scores; JSON data.
    """
    card = {**_description(model), "record": dict(record)}
    with replacing_folder(Path(folder)) as draft:
        (draft / CARD).write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
        with created_hdf5(draft / WEIGHTS) as (file, _):
            for weight in _weights(model):
                file.create_dataset(weight.path, data=np.asarray(weight.numpy(), np.float32))
    return Path(folder)


def load_model(folder: str | os.PathLike[str]) -> FusionModel:
    """Build the fusion model of a folder and read its weights; it runs in float32 whatever it was trained in.

    Raises:
        OSError: when the folder is no fusion model's, or a file is damaged.
        ValueError: for weights that do not fit the configuration.
    """
    model = _load(read_card(folder), FUSION)
    assert isinstance(model, FusionModel)
    return model


def load_image_network(folder: str | os.PathLike[str]) -> ImageNetwork:
    """Build the network of single images of a folder and read its weights; errors as `load_model`."""
    model = _load(read_card(folder), SINGLE_IMAGE)
    assert isinstance(model, ImageNetwork)
    return model


def _load(card: ModelCard, kind: str) -> FusionModel | ImageNetwork:
    if card.kind != kind:
        described = {FUSION: "a model that fuses two images", SINGLE_IMAGE: "a network of single images"}
        raise checks.file_error(
            card.folder, f"holds {described[card.kind]}", f"give the folder of {described[kind]}"
        )
    try:
        model = _built(card)
    except (KeyError, TypeError, AttributeError) as error:
        raise damaged(card.folder / CARD, "describes no model", error) from error
    path = card.folder / WEIGHTS
    if not path.is_file() or not h5py.is_hdf5(path):
        raise checks.file_error(
            path, "is missing or no HDF5 file", "take an undamaged copy of the model's folder"
        )
    try:
        stored: dict[str, np.ndarray] = {}

        def take(name: str, item: h5py.Dataset | h5py.Group) -> None:
            if isinstance(item, h5py.Dataset):
                stored[name] = item[()]

        with h5py.File(path) as file:
            file.visititems(take)
    except (OSError, KeyError, RuntimeError) as error:
        raise damaged(path, "cannot be read", error) from error
    _require_fit(path, stored, model)
    for weight in _weights(model):
        weight.assign(stored[weight.path])
    return model


def _description(model: FusionModel | ImageNetwork) -> dict[str, Any]:
    if isinstance(model, ImageNetwork):
        return {"kind": SINGLE_IMAGE, "config": config_of(model).to_json(), "cameras": None}
    return {
        "kind": FUSION,
        "config": model.config.to_json(),
        "cameras": cameras_to_dict(model.cameras),
    }


def _weights(model: FusionModel | ImageNetwork) -> list[Any]:
    return list(model.weights if isinstance(model, ImageNetwork) else model.network.weights)


def _built(card: ModelCard) -> FusionModel | ImageNetwork:
    if isinstance(card.config, ImageConfig):
        return build_network(replace(card.config, spec=replace(card.config.spec, dtype="float32")))
    return FusionModel(replace(card.config, dtype="float32"), card.cameras)


def _require_fit(path: Path, stored: Mapping[str, np.ndarray], model: FusionModel | ImageNetwork) -> None:
    """A file whose names and shapes are not exactly the network's is refused."""
    found = {name: tuple(array.shape) for name, array in stored.items()}
    wanted = {weight.path: tuple(weight.shape) for weight in _weights(model)}
    other = sorted(name for name in {*found, *wanted} if found.get(name) != wanted.get(name))
    checks.require(
        not other,
        "weights",
        expected=f"{len(wanted)} arrays as {CARD} describes the network",
        received=f"{len(found)} in {path}"
        + (f", other in {len(other)}, such as {other[0]}" if other else ""),
        remedy="take card and weights from the same training",
    )
