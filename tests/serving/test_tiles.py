"""Large requests in tiles at the server: the result of the whole, and limits that follow from memory."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import grpc
import numpy as np
import pytest
from scipy import ndimage

from hsr_tf.networks.model_info import METADATA_FILE, ModelInfo
from serving import tiles
from serving.batching import QueuePlan
from serving.loaded import read_info
from serving.refusal import Refusal
from serving.tensors import Limits
from serving.tiles import Arrays, PictureTensorTiles, SceneTensorTiles, tiles_of
from tests.exports_for_tests import Exports
from tests.networks.test_image_conformance import inputs_of
from tests.serving.serving_for_tests import ask, serving

PICTURE = ModelInfo("image_network", "vdsr", 2, 1, 1, {"serving_default": ("lr_image",)})
SCENE = ModelInfo("network", "ssf_cnn", 4, 3, 2, {"serving_default": ("lr_hsi", "hr_msi")}, num_bands=5)


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
    for info in (None, replace(PICTURE, reach=None), replace(SCENE, reach=None)):
        assert tiles_of(info) is None
    assert isinstance(tiles_of(SCENE), SceneTensorTiles)


def test_images_that_do_not_fit_one_another_are_refused(small: None) -> None:
    own = SceneTensorTiles(tiles.FusionServer.of(SCENE))
    inputs = {"lr_hsi": np.zeros((1, 5, 5, 5), "f4"), "hr_msi": np.zeros((1, 20, 24, 3), "f4")}
    assert own.cuts(inputs)
    with pytest.raises(Refusal, match="hr_msi: expected") as caught:
        own.compute(inputs, blurred)
    assert caught.value.code == grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("text", "said"), [('{"reach": 3}', "metadata field kind"), ("[1]", "JSON object"), ("{", "damaged")]
)
def test_metadata_that_cannot_be_read_count_as_none(
    text: str, said: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert read_info(tmp_path) is None and not caplog.messages
    (tmp_path / METADATA_FILE).parent.mkdir()
    (tmp_path / METADATA_FILE).write_text(text)
    assert read_info(tmp_path) is None
    (line,) = caplog.messages
    assert said in line
    (tmp_path / METADATA_FILE).write_text(json.dumps(SCENE.to_json()))
    assert read_info(tmp_path) == SCENE


def test_the_server_answers_a_large_request_in_tiles(small: None, exports: Exports) -> None:
    one = exports.get("vdsr")
    views = inputs_of(one.trained.model, (37, 21), batch=1)
    expected = np.asarray(one.trained.model(views, training=False)["estimate"])
    recorded = json.loads((one.folder / METADATA_FILE).read_text())
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
