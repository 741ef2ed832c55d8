"""Scenes and exported models through the client: what it answers is what the models themselves answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from hsr_tf import io
from hsr_tf.networks.fusion_model import FusionModel
from hsr_tf.pictures.api import TileControls, upscale
from hsr_tf.scene import Scene
from serving.client import Client, fuse_files
from serving.connection import Settings
from serving.scenes import Arrays, FusionServer, Limits, SceneTiles
from tests.exports_for_tests import ExportedModel, Exports
from tests.networks.test_conformance import cameras, observe, stirred
from tests.serving.fake_server import FakeModel, serving

SIZE = (26, 22)


@lru_cache(maxsize=2)
def scene() -> tuple[np.ndarray, np.ndarray]:
    """lr_hsi and hr_msi."""
    views = observe(cameras(4), SIZE, batch=1)
    return np.asarray(views["lr_hsi"])[0], np.asarray(views["hr_msi"])[0]


def whole(model: FusionModel) -> np.ndarray:
    """What the model itself estimates of the scene."""
    lr_hsi, hr_msi = scene()
    return np.asarray(model({"lr_hsi": lr_hsi[None], "hr_msi": hr_msi[None]}))[0]


def server_of_export(one: ExportedModel) -> FakeModel:
    """A server of the exported model."""

    def answering(function: Any) -> Callable[[Arrays], Arrays]:
        def answer(inputs: Arrays) -> Arrays:
            found = function(**{name: tf.constant(array) for name, array in inputs.items()})
            return {name: tensor.numpy() for name, tensor in found.items()}

        return answer

    return FakeModel({name: answering(function) for name, function in one.signatures.items()})


def test_an_exported_network_enlarges_as_upscale_does(exports: Exports) -> None:
    one = exports.get("vdsr")
    server = server_of_export(one)
    image = np.random.default_rng(3).random((40, 31, 3)).astype(np.float32)
    expected = upscale(image, 2.5, weights=one.trained_folder, controls=TileControls(tile=512)).image
    with serving(server) as address, Client(address, model="m", settings=Settings(tile=41)) as client:
        found = client.upscale(image, 2.5).image
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert server.calls.count("serving_default") == 6


def test_an_exported_model_fuses_in_tiles_as_in_one_piece(exports: Exports) -> None:
    model = stirred("ssf_resnet", "spectral_ls")
    server = server_of_export(exports.get("ssf_resnet", "spectral_ls"))
    lr_hsi, hr_msi = scene()
    with serving(server) as address:
        with Client(address, model="m") as client:
            in_one = client.fuse(lr_hsi, hr_msi)
        assert server.calls == ["metadata", "serving_default"]
        with Client(address, model="m", settings=Settings(tile=32)) as client:
            in_tiles = client.fuse(lr_hsi, hr_msi)
    assert server.calls[2:] == ["metadata", "fit", *["fuse_part"] * 12]
    for found in (in_one, in_tiles):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, whole(model), atol=1e-4)


def asked(model: FusionModel, sizes: list[int]) -> Callable[[Arrays, str], Arrays]:
    """The model as a server that notes the bytes of requests and answers."""

    def predict(inputs: Arrays, signature: str) -> Arrays:
        if signature == "fit":
            found = {k: np.asarray(v) for k, v in model.shared(inputs["lr_hsi"], inputs["hr_msi"]).items()}
        else:
            found = {"estimate": np.asarray(model(inputs))}
        sizes.append(max(sum(array.nbytes for array in arrays.values()) for arrays in (inputs, found)))
        return found

    return predict


def server_of(model: FusionModel) -> FusionServer:
    """Its metadata."""
    shares = model.config.base == "spectral_ls"
    return FusionServer(4, model.config.num_bands, model.config.num_channels, model.reach, shares)


@pytest.mark.parametrize("base", ["none", "spectral_ls"])
def test_tiles_are_as_large_as_messages_hold(base: str) -> None:
    model, sizes = stirred("ssf_resnet", base), []
    limits = Limits(2**18 + 130_000, None, 2)
    tiles = SceneTiles(server_of(model), asked(model, sizes), limits)
    told: list[tuple[int, int]] = []
    found = tiles.fuse(*scene(), lambda *now: told.append(now))
    np.testing.assert_allclose(found, whole(model), atol=1e-4)
    assert len(told) > 1
    assert told[-1] == (len(told), len(told))
    assert max(sizes[(base == "spectral_ls") :]) <= 130_000
    assert max(sizes[(base == "spectral_ls") :]) > 60_000


@pytest.mark.parametrize(
    ("reach", "num_bytes", "said"),
    [
        (
            None,
            2**18 + 50_000,
            "scene: expected one that fits into a message and a tile, as this model needs",
        ),
        (9, 2**18 + 50_000, "max_message_mib: expected room for the 19 x 19 coarse pixels"),
        (2, 2**18 + 60_000, "max_message_mib: expected .* or more, as this model is fitted to the whole"),
    ],
)
def test_scenes_that_cannot_be_cut_are_refused(reach: int | None, num_bytes: int, said: str) -> None:
    server = FusionServer(4, 5, 3, reach, True)
    tiles = SceneTiles(server, lambda inputs, signature: pytest.fail("asked"), Limits(num_bytes, None, 1))
    with pytest.raises(ValueError, match=said):
        tiles.fuse(*scene(), lambda *now: None)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda x, y: (x[..., :3], y), r"lr_hsi: expected \(h, w, 5\)"),
        (lambda x, y: (x, y[:-4]), r"hr_msi: expected \(104, 88, 3\), 4 times the size"),
        (lambda x, y: (x * np.nan, y), "lr_hsi: expected finite values"),
        (lambda x, y: (x, (255 * y).astype(np.uint8)), "hr_msi: expected floating-point values.*uint8"),
    ],
)
def test_images_that_do_not_fit_are_not_sent(change: Any, said: str) -> None:
    tiles = SceneTiles(
        FusionServer(4, 5, 3, 2, False),
        lambda inputs, signature: pytest.fail("asked"),
        Limits(2**26, None, 1),
    )
    with pytest.raises(ValueError, match=said):
        tiles.fuse(*change(*scene()), lambda *now: None)


@pytest.mark.parametrize("wrong", [{}, {"estimate": np.zeros((1, 4, 4, 5))}])
def test_wrong_estimates_of_scenes_are_refused(wrong: Arrays) -> None:
    server = FusionServer(4, 5, 3, 2, False)
    tiles = SceneTiles(server, lambda inputs, signature: wrong, Limits(2**26, None, 1))
    with pytest.raises(ValueError, match="estimate: expected the shape"):
        tiles.fuse(*scene(), lambda *now: None)


def test_files_are_fused_into_a_file_or_none_is_written(tmp_path: Path) -> None:
    lr_hsi, hr_msi = scene()
    wavelengths = np.linspace(450, 650, 5)
    io.save(Scene(lr_hsi, wavelengths), tmp_path / "x.h5")
    io.save(Scene(hr_msi), tmp_path / "y.h5")
    told = {
        "kind": "network",
        "method": "none",
        "scale": 4,
        "num_bands": 5,
        "num_channels": 3,
        "reach": 2,
        "signatures": {"serving_default": ["lr_hsi", "hr_msi"]},
    }
    signatures: dict[str, Any] = {
        "metadata": lambda inputs: {"metadata": json.dumps(told)},
        "serving_default": lambda inputs: {"estimate": inputs["lr_hsi"].repeat(4, 1).repeat(4, 2)},
    }
    names, output = (str(tmp_path / "x.h5"), str(tmp_path / "y.h5")), tmp_path / "cube.h5"
    with serving(FakeModel(signatures)) as address, Client(address, model="m") as client:
        assert fuse_files(client, *names, output=output) == (104, 88, 5)
        found = io.load(output)
        np.testing.assert_array_equal(found.cube, lr_hsi.repeat(4, 0).repeat(4, 1))
        np.testing.assert_array_equal(found.wavelengths_nm, wavelengths)
        output.unlink()
        signatures["serving_default"] = lambda inputs: {"estimate": inputs["lr_hsi"]}
        with pytest.raises(ValueError, match="estimate: expected the shape"):
            fuse_files(client, *names, output=output)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.h5", "y.h5"]
