"""Large requests in tiles at the server: the result of the whole, and limits that follow from memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from scipy import ndimage

from serving import tiles
from serving.batching import QueuePlan
from serving.refusal import Refusal
from serving.tensors import Limits
from serving.tiles import Arrays, PictureTensorTiles, SceneTensorTiles, read_model_metadata, tiles_of
from tests.exports_for_tests import Exports
from tests.networks.test_image_conformance import inputs_of
from tests.serving.serving_for_tests import ask, serving

PICTURE = {"kind": "image_network", "scale": 2, "num_channels": 1, "reach": 1}
SCENE = {"kind": "network", "scale": 4, "num_bands": 5, "num_channels": 3, "reach": 2, "signatures": {}}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything counts as large."""
    monkeypatch.setattr(tiles, "MOST_WHOLE", 100)
    monkeypatch.setattr(tiles, "TILE", 16)


def blurred(inputs: Arrays, signature: str) -> dict[str, np.ndarray]:
    """The mean of 3 x 3 pixels with zeros outside, each shown as 2 x 2."""
    assert signature == "serving_default"
    blur = ndimage.uniform_filter(inputs["lr_image"], (0, 3, 3, 0), mode="constant")
    return {"estimate": blur.repeat(2, 1).repeat(2, 2)}


def test_a_picture_in_tiles_is_the_whole_picture(small: None) -> None:
    image = np.random.default_rng(0).random((2, 21, 13, 1), np.float32)
    asked: list[tuple[int, ...]] = []

    def compute(inputs: Arrays, signature: str) -> dict[str, np.ndarray]:
        asked.append(inputs["lr_image"].shape)
        return blurred(inputs, signature)

    own = tiles_of(PICTURE)
    assert isinstance(own, PictureTensorTiles) and own.cuts({"lr_image": image})
    found = own.compute({"lr_image": image}, compute)["estimate"]
    np.testing.assert_allclose(found, blurred({"lr_image": image}, "serving_default")["estimate"], atol=1e-6)
    assert len(asked) == 6 and max(shape[1] for shape in asked) <= 16 // 2 + 2


def test_models_that_see_the_whole_image_are_not_cut() -> None:
    for metadata in ({}, {**PICTURE, "reach": None}, {**SCENE, "reach": None}, {**PICTURE, "kind": "?"}):
        assert tiles_of(metadata) is None
    assert isinstance(tiles_of(SCENE), SceneTensorTiles)


def test_images_that_do_not_fit_one_another_are_refused(small: None) -> None:
    own = SceneTensorTiles(tiles.FusionServer.of(SCENE))
    inputs = {"lr_hsi": np.zeros((1, 5, 5, 5), "f4"), "hr_msi": np.zeros((1, 20, 24, 3), "f4")}
    assert own.cuts(inputs)
    with pytest.raises(Refusal, match="hr_msi: expected") as caught:
        own.compute(inputs, blurred)
    assert caught.value.code == grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(("text", "found"), [('{"reach": 3}', {"reach": 3}), ("[1]", {}), ("{", {})])
def test_metadata_that_cannot_be_read_count_as_none(text: str, found: dict[str, Any], tmp_path: Path) -> None:
    assert read_model_metadata(tmp_path) == {}
    (tmp_path / "assets.extra").mkdir()
    (tmp_path / "assets.extra" / "hsr_tf.json").write_text(text)
    assert read_model_metadata(tmp_path) == found


def test_the_server_answers_a_large_request_in_tiles(small: None, exports: Exports) -> None:
    one = exports.get("vdsr")
    views = inputs_of(one.trained.model, (37, 21), batch=1)
    expected = np.asarray(one.trained.model(views, training=False)["estimate"])
    recorded = json.loads((one.folder / tiles.METADATA_FILE).read_text())
    assert recorded["bytes_per_value"] > 0
    with serving(one.folder.parents[1], queue=QueuePlan(max_batch=1)) as (server, client):
        loaded = next(one for one in server.catalog.available() if one.name == "vdsr")
        seen: list[int] = []
        endpoint = loaded.endpoints["serving_default"]
        compute = endpoint.compute
        endpoint.compute = lambda inputs: (seen.append(inputs["lr_image"].size), compute(inputs))[1]  # type: ignore[method-assign]
        found = client.predict(ask("vdsr", lr_image=np.asarray(views["lr_image"])))["estimate"]
    assert len(seen) == 6
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_the_pixels_of_a_request_follow_from_memory_and_model() -> None:
    assert Limits(pixels=1000).of_model(10.0).pixels == 1000
    assert Limits(memory_bytes=5000).of_model(10.0).pixels == 500
    assert Limits(memory_bytes=5).of_model(10.0).pixels == 1
    assert Limits(pixels=100, memory_bytes=5000).of_model(10.0).pixels == 100
