"""Metadata come back from JSON as they were; a wrong field is named, and older files are read."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hsr_tf.networks.model_info import METADATA_FILE, ModelInfo

PICTURES = ModelInfo("image_network", "vdsr", None, 1, 20, {"serving_default": ("lr_image",)})
SCENES = ModelInfo(
    "network", "ssf_cnn", 4, 3, None, {"serving_default": ("lr_hsi", "hr_msi"), "fit": ()}, num_bands=31
)


@pytest.mark.parametrize(
    "info", [PICTURES, SCENES, replace(PICTURES, normalisation="in [0, 1]", size=(24, 40), bytes_per_value=2)]
)
def test_metadata_come_back_from_json(info: ModelInfo) -> None:
    data = json.loads(json.dumps(info.to_json()))
    assert ModelInfo.from_json({**data, "a_field_of_tomorrow": 1}) == info
    assert ("size" in data) == (info.normalisation is not None)


def test_the_fields_of_the_first_exports_are_enough() -> None:
    names = ("kind", "method", "scale", "num_channels", "num_bands", "reach", "signatures")
    assert ModelInfo.from_json({name: SCENES.to_json()[name] for name in names}) == SCENES


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kind", "network of networks"),
        ("method", ""),
        ("scale", 0),
        ("scale", True),
        ("scale", "4"),
        ("scale", None),
        ("num_channels", None),
        ("num_channels", 2.0),
        ("num_bands", None),
        ("num_bands", -1),
        ("reach", -1),
        ("reach", "all"),
        ("signatures", ["serving_default"]),
        ("signatures", {"serving_default": "lr_image"}),
        ("signatures", {"serving_default": [1]}),
        ("bytes_per_value", 0),
        ("bytes_per_value", "many"),
        ("finds_kernel", 1),
        ("sensor", 3),
        ("cameras", []),
        ("record", None),
        ("size", [24]),
    ],
)
def test_a_wrong_field_is_named(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"^metadata field {name}: expected .*; export the model again$"):
        ModelInfo.from_json({**replace(SCENES, normalisation="in [0, 1]").to_json(), name: value})


@pytest.mark.parametrize("name", ["kind", "method", "scale", "num_channels", "reach", "signatures"])
def test_a_missing_field_is_named(name: str) -> None:
    data = {key: value for key, value in PICTURES.to_json().items() if key != name}
    with pytest.raises(ValueError, match=rf"^metadata field {name}: expected a value, got"):
        ModelInfo.from_json(data)


@pytest.mark.parametrize("data", [None, [], "network", 3])
def test_what_is_no_object_is_refused(data: object) -> None:
    with pytest.raises(ValueError, match="expected a JSON object"):
        ModelInfo.from_json(data)


def test_a_damaged_file_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="holds no exported model"):
        ModelInfo.read(tmp_path)
    path = tmp_path / METADATA_FILE
    path.parent.mkdir()
    for text in ("{", '{"kind": "network"}'):
        path.write_text(text)
        with pytest.raises(OSError, match=r"^[^\n]*is damaged \([^\n]*; export the model again$"):
            ModelInfo.read(tmp_path)
    path.write_text(json.dumps(SCENES.to_json()))
    assert ModelInfo.read(tmp_path) == SCENES
