"""Exported models answer as Keras does, at sizes they were not traced with, and refuse what is of no use."""

from __future__ import annotations

import io
import json
import shutil
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from export.saved_model import export_saved_model, shipped, weights_digest
from export.signatures import MOST_PIXELS
from hsr_tf import methods
from hsr_tf.networks.model_info import METADATA_FILE
from hsr_tf.networks.pretrained import save_model
from hsr_tf.physics.cameras import make_cameras
from hsr_tf.pictures.api import upscale
from hsr_tf.scene import Scene
from tests.app_for_tests import call_app
from tests.exports_for_tests import Exports
from tests.networks.test_conformance import cameras, observe, stirred
from tests.networks.test_image_conformance import EXPORTED_SLOWLY, inputs_of

SIZES = ((5, 7), (9, 6), (12, 12))


def some_slow(names: list[str]) -> list[Any]:
    """Those that take long are left to `make test-all`; the TFLite files of ikc go through its SavedModel."""
    return [pytest.param(name, marks=[pytest.mark.slow] if name in EXPORTED_SLOWLY else []) for name in names]


@pytest.mark.parametrize("method", some_slow(methods.names("image_network")))
def test_a_network_of_single_images_answers_as_keras_does(method: str, exports: Exports) -> None:
    served = exports.get(method).signatures["serving_default"]
    lean = exports.get(method).trained.model
    for size in SIZES:
        views = inputs_of(lean, size, batch=size[0] % 2 + 1)
        found, expected = served(**views), lean(views)
        assert set(found) == set(expected)
        for name in found:
            np.testing.assert_allclose(found[name], expected[name], atol=1e-5)


@pytest.mark.parametrize(
    ("method", "base"),
    [(method, "none") for method in methods.names("network") if method != "prior"]
    + [pytest.param("prior", "none", marks=pytest.mark.slow)]
    + [
        pytest.param("ms_ssfnet", base, marks=pytest.mark.slow)
        for base in ("bicubic", "spectral_ls", "sylvester")
    ],
)
def test_a_fusion_model_answers_as_keras_does(method: str, base: str, exports: Exports) -> None:
    model = stirred(method, base)
    served = exports.get(method, base).signatures["serving_default"]
    assert {spec.name for spec in served.structured_input_signature[1].values()} == {"lr_hsi", "hr_msi"}
    for size in ((3, 5), (6, 4), (5, 5)):
        views = observe(cameras(4), size, batch=1)
        np.testing.assert_allclose(served(**views)["estimate"], model(views), atol=1e-5)


def test_parts_of_a_scene_share_what_was_found_for_the_whole(exports: Exports) -> None:
    model = stirred("ssf_resnet", "spectral_ls")
    signatures = exports.get("ssf_resnet", "spectral_ls").signatures
    views = observe(cameras(4), (16, 6), batch=1)
    whole, shared = model(views), signatures["fit"](**views)
    assert set(shared) == {"spectral_map", "trust"}
    part = {"lr_hsi": views["lr_hsi"][:, 2:], "hr_msi": views["hr_msi"][:, 8:]}
    found = signatures["fuse_part"](**part, **shared)["estimate"]
    assert model.reach is not None
    inside = 4 * model.reach
    np.testing.assert_allclose(found[:, inside:], whole[:, 8 + inside :], atol=1e-5)
    assert np.abs(model(part)[:, inside:] - whole[:, 8 + inside :]).max() > 1e-3


@pytest.fixture(scope="module")
def vdsr_folder(exports: Exports) -> Path:
    """A trained model, for tests that only ask it."""
    return exports.get("vdsr").trained_folder


@pytest.fixture(scope="module")
def vdsr(exports: Exports) -> Any:
    """Its function of encoded pictures."""
    return exports.get("vdsr").signatures["picture"]


def png(image: np.ndarray, form: str = "PNG") -> bytes:
    """An encoded picture."""
    with io.BytesIO() as file:
        Image.fromarray(image).save(file, form, **({"quality": 95} if form == "JPEG" else {}))
        return file.getvalue()


def picture(*shape: int) -> np.ndarray:
    """A smooth picture with some contrast."""
    rng = np.random.default_rng(len(shape))
    coarse = Image.fromarray(rng.integers(0, 256, (4, 5, 4), np.uint8)).resize(
        (17, 13), Image.Resampling.BICUBIC
    )
    return np.asarray(coarse)[..., : shape[0]].squeeze() if shape else np.asarray(coarse)


def factor(value: float) -> tf.Tensor:
    return tf.constant(value, tf.float64)


@pytest.mark.parametrize(("channels", "scale"), [(1, 2.5), (2, 1.1), (3, 1.2), (4, 3.3)])
def test_encoded_pictures_come_back_as_upscale_makes_them(
    channels: int, scale: float, vdsr: Any, vdsr_folder: Path
) -> None:
    given = picture(channels)
    answer = vdsr(image_bytes=tf.constant(png(given)), scale=factor(scale))["image_bytes"].numpy()
    found = np.asarray(Image.open(io.BytesIO(answer)))
    expected = upscale(given, scale, method="vdsr", weights=vdsr_folder).image
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).max() <= 1


@pytest.mark.slow
def test_jpegs_are_taken_and_kernels_answered(exports: Exports) -> None:
    served = exports.get("ikc").signatures["picture"]
    given = png(np.kron(picture(3), np.ones((2, 2, 1), np.uint8)), "JPEG")
    answer = served(image_bytes=tf.constant(given))
    assert answer["kernel"].shape == (1, 21, 21)
    found = np.asarray(Image.open(io.BytesIO(answer["image_bytes"].numpy())))
    decoded = np.asarray(Image.open(io.BytesIO(given)))
    expected = upscale(decoded, 2, method="ikc", weights=exports.get("ikc").trained_folder)
    assert found.shape == expected.image.shape == (52, 68, 3)
    assert np.mean(np.abs(found.astype(int) - expected.image)) < 0.5
    np.testing.assert_allclose(answer["kernel"][0], expected.kernel, atol=1e-4)


def test_a_picture_of_a_palette_comes_back_in_its_colours(vdsr: Any, vdsr_folder: Path) -> None:
    image = Image.fromarray(picture(3)).quantize(16)
    with io.BytesIO() as file:
        image.save(file, "PNG")
        answer = vdsr(image_bytes=tf.constant(file.getvalue()), scale=factor(2.0))["image_bytes"].numpy()
    expected = upscale(np.asarray(image.convert("RGB")), 2, method="vdsr", weights=vdsr_folder).image
    assert np.abs(np.asarray(Image.open(io.BytesIO(answer))).astype(int) - expected).max() <= 1


def test_a_gray_jpeg_comes_back_gray(vdsr: Any) -> None:
    answer = vdsr(image_bytes=tf.constant(png(picture(1), "JPEG")), scale=factor(2.0))["image_bytes"]
    assert np.asarray(Image.open(io.BytesIO(answer.numpy()))).shape == (26, 34)


def test_a_transparent_picture_has_no_dark_ring(vdsr: Any, vdsr_folder: Path) -> None:
    given = np.full((13, 17, 4), 255, np.uint8)
    given[:, 9:], given[4, 3] = 0, 0
    answer = vdsr(image_bytes=tf.constant(png(given)), scale=factor(3.0))["image_bytes"].numpy()
    found = np.asarray(Image.open(io.BytesIO(answer)))
    expected = upscale(given, 3, method="vdsr", weights=vdsr_folder).image
    assert np.abs(found.astype(int) - expected)[found[..., 3] > 0].max() <= 1


def claimed(height: int, width: int) -> bytes:
    """A small PNG file whose header claims a large picture."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"IDAT" + zlib.compress(bytes(64))
    chunks = [struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in (header, data)]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def hidden(true: bytes) -> bytes:
    """A PNG with a chunk before its header, where a header of 8 x 8 pixels seems to stand."""
    chunk = b"prVt" + struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)
    return true[:8] + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk)) + true[8:]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (b"", "expected a PNG or JPEG"),
        (b"GIF89a.......", "expected a PNG or JPEG"),
        (png(picture(3))[:30], "expected a PNG or JPEG"),
        (hidden(png(picture(3))), "expected a PNG or JPEG"),
        (claimed(60_000, 60_000), "expected sides"),
        (png(np.zeros((1040, 1010), np.uint8)), "expected sides"),
        (png(np.zeros((1040, 1010), np.uint8), "JPEG"), "expected sides"),
        (png(np.zeros((1, 40), np.uint8)), "expected sides"),
        (png(picture(3))[:90], "PNG"),
    ],
    ids=["nothing", "other", "header", "hidden", "bomb", "png", "jpeg", "line", "cut"],
)
def test_what_is_no_picture_or_too_large_fails_before_it_is_decoded(
    given: bytes, said: str, vdsr: Any
) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match=said):
        vdsr(image_bytes=tf.constant(given), scale=factor(2.0))


def test_a_factor_out_of_range_fails(vdsr: Any) -> None:
    for scale in (0.5, 2e3, float("nan"), (MOST_PIXELS / (13 * 17)) ** 0.5 + 1):
        with pytest.raises(tf.errors.InvalidArgumentError, match="expected"):
            vdsr(image_bytes=tf.constant(png(picture(3))), scale=factor(scale))


def test_the_metadata_say_what_it_is(exports: Exports) -> None:
    one = exports.get("ms_ssfnet")
    folder = one.folder
    found = json.loads((folder / METADATA_FILE).read_text())
    assert found["name"] == "ms_ssfnet"
    assert (found["method"], found["scale"], found["record"]["scores"]["psnr"]) == ("ms_ssfnet", 4, 31.5)
    assert found["signatures"] == {"serving_default": ["lr_hsi", "hr_msi"], "metadata": []}
    served = one.signatures["metadata"]
    assert json.loads(served()["metadata"].numpy()) == found
    assert (found["kind"], found["base"], found["reach"]) == ("network", "none", 6)
    assert found["weights_sha256"] == weights_digest(one.trained.model)


def test_versions_are_whole_numbers_and_not_replaced_unasked(tmp_path: Path, exports: Exports) -> None:
    one = exports.get("ssf_cnn")
    model = one.trained
    with pytest.raises(ValueError, match="output_dir"):
        export_saved_model(model, tmp_path / "x" / "first")
    folder = shutil.copytree(one.folder, tmp_path / "x" / "1")
    before = (folder / "saved_model.pb").stat().st_mtime_ns
    with pytest.raises(OSError, match="exists"):
        export_saved_model(model, folder)
    assert (folder / "saved_model.pb").stat().st_mtime_ns == before
    export_saved_model(model, folder, overwrite=True)
    assert (folder / "saved_model.pb").stat().st_mtime_ns != before


def test_shipped_models_are_found_by_method_and_scale() -> None:
    assert shipped("ms_ssfnet", 8).name.endswith("x8")
    with pytest.raises(ValueError, match="ms_ssfnet x16"):
        shipped("ms_ssfnet", None)
    with pytest.raises(ValueError, match="ms_ssfnet x8"):
        shipped("none", None)


@pytest.mark.slow
def test_weights_for_any_cameras_are_exported_for_those_that_are_asked_for(tmp_path: Path) -> None:
    trained = stirred("prior", "spectral_ls")
    weights, folder = save_model(trained, tmp_path / "prior", {}), tmp_path / "models" / "prior" / "1"
    asked = ["--scale=3", "--psf=box", "--srf=sentinel2a:B02,B03,B04", "--wavelengths=430:690:20"]
    told = call_app("export.saved_model", f"--checkpoint={weights}", f"--output_dir={folder}", *asked)
    assert told.code == 0, told.errors
    bands = np.arange(430.0, 691.0, 20.0)
    flat = Scene(np.zeros((1, 1, 14), np.float32), bands)
    own = make_cameras(flat, 3, psf="box", srf="sentinel2a:B02,B03,B04")
    rng = np.random.default_rng(0)
    cube = (rng.random((1, 12, 15, 3)) @ rng.random((3, 14)) / 3).astype(np.float32)
    lr_hsi, hr_msi = own.simulate(tf.constant(cube))
    found = tf.saved_model.load(folder).signatures["serving_default"](lr_hsi=lr_hsi, hr_msi=hr_msi)
    expected = trained.for_cameras(own, bands.tolist())({"lr_hsi": lr_hsi, "hr_msi": hr_msi})
    np.testing.assert_allclose(found["estimate"], expected, atol=1e-5)
    info = json.loads((folder / METADATA_FILE).read_text(encoding="utf-8"))
    assert info["scale"] == 3 and info["cameras"]["channels"] == ["B02", "B03", "B04"]
    other = save_model(stirred("ssf_resnet", "spectral_ls"), tmp_path / "other", {})
    told = call_app(
        "export.saved_model", f"--checkpoint={other}", f"--output_dir={folder.parent / '2'}", "--psf=box"
    )
    assert told.code == 2 and "psf: expected none for ssf_resnet" in told.last_error
