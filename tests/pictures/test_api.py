"""Enlarging: bicubic is MATLAB's, tiles are the whole, colour is bicubic, bad arguments are one line."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from keras import layers, ops
from skimage.color import rgb2ycbcr, ycbcr2rgb

import hsr_tf
from hsr_tf import methods
from hsr_tf.networks import cards, image_selection
from hsr_tf.networks.image_network import ImageNetwork, ImageSpec, picture_inputs
from hsr_tf.networks.pretrained import save_model
from hsr_tf.networks.srcnn import SRCNN
from hsr_tf.networks.vdsr import VDSR
from hsr_tf.physics.resize import BicubicResize
from hsr_tf.pictures.api import TileControls, upscale

RNG = np.random.default_rng(8)
COLOUR = RNG.random((23, 31, 3)).astype(np.float32)


class Doubler(ImageNetwork):
    """A factor of its own, a learnt 5x5 filter, and (on request) a kernel told or found."""

    def __init__(self, spec: ImageSpec, *, told: bool = False, finds: bool = False) -> None:
        inputs = picture_inputs(spec, kernel_size=21 if told else None)
        assert spec.scale is not None
        x = layers.Conv2D(4, 5, padding="same", activation="relu", name="a")(inputs["lr_image"])
        x = layers.Conv2DTranspose(spec.num_channels, 6, spec.scale, "same", name="b")(x)
        if told:
            x = x * ops.max(inputs["kernel"], axis=(1, 2))[:, None, None, None]
        outputs = {"estimate": x}
        if finds:
            grid = ops.reshape(ops.softmax(ops.arange(9.0)), (1, 3, 3))
            outputs["kernel"] = grid * ops.mean(x, axis=(1, 2, 3))[:, None, None]
        options = {"told": told, "finds": finds}
        super().__init__(spec, inputs, outputs=outputs, options=options, reach=None if finds else 4)


@pytest.fixture
def doubler(monkeypatch: pytest.MonkeyPatch) -> None:
    """A method `doubler` in the registry for one test."""
    methods.names()
    known = dict(methods._REGISTRY)
    known["doubler"] = methods.Method("doubler", "image_network", "s", "t", ("weights",), Doubler)
    monkeypatch.setattr(methods, "_REGISTRY", known)


def stirred(network: ImageNetwork) -> ImageNetwork:
    rng = np.random.default_rng(9)
    for weight in network.weights:
        weight.assign(weight + rng.normal(0, 0.02, weight.shape))
    return network


@lru_cache
def vdsr(num_channels: int = 1) -> ImageNetwork:
    return stirred(VDSR(ImageSpec(None, num_channels), depth=4, features=5))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return save_model(vdsr(), tmp_path / "tiny_vdsr", {})


def bicubic(image: np.ndarray, scale: float) -> np.ndarray:
    stacked = image.reshape(*image.shape[:2], -1)[None]
    enlarged = BicubicResize(image.shape[:2], scale).forward(ops.convert_to_tensor(stacked))
    return ops.convert_to_numpy(enlarged)[0]


@pytest.mark.parametrize("scale", [1, 1.5, 2, 2.5, 3.7])
@pytest.mark.parametrize("tile", [27, 512])
def test_bicubic_is_the_resize_of_the_physics(scale: float, tile: int) -> None:
    found = upscale(COLOUR, scale, method="bicubic", controls=TileControls(tile=tile))
    np.testing.assert_allclose(found.image, np.clip(bicubic(COLOUR, scale), 0, 1), atol=1e-6)
    assert found.image.dtype == np.float32
    assert (found.kernel, found.weights) == (None, None)


@pytest.mark.parametrize("shape", [(23, 31), (23, 31, 1), (5, 7, 2), (5, 7, 3), (5, 7, 4)])
@pytest.mark.parametrize("depth", [np.uint8, np.uint16, np.float32, np.float64])
def test_type_and_axes_are_kept_and_values_rounded(shape: tuple[int, ...], depth: type) -> None:
    whole = np.iinfo(depth).max if np.issubdtype(depth, np.integer) else 1
    image = (RNG.random(shape) * whole).astype(depth)
    found = upscale(image, 1.7, method="bicubic").image
    assert found.dtype == depth and found.ndim == image.ndim
    expected = np.clip(bicubic((image / whole).astype(np.float64), 1.7), 0, 1).reshape(found.shape) * whole
    tolerance = 0.5 + 2e-6 * whole if whole > 1 else 1e-6
    assert np.abs(found - expected).max() <= tolerance


@pytest.mark.parametrize("scale", [2, 2.5])
@pytest.mark.parametrize("tile", [25, 33])
def test_tiles_equal_the_whole(weights: Path, scale: float, tile: int) -> None:
    whole = upscale(COLOUR, scale, weights=weights, controls=TileControls(tile=512)).image
    tiled = upscale(COLOUR, scale, weights=weights, controls=TileControls(tile=tile)).image
    np.testing.assert_allclose(tiled, whole, atol=1e-5)


def test_luminance_goes_through_the_network_and_colour_is_bicubic(weights: Path) -> None:
    image = 0.3 + 0.4 * COLOUR
    ycbcr = rgb2ycbcr(bicubic(image.astype(np.float64), 3)) / 255
    y = vdsr()({"lr_image": ops.convert_to_tensor(ycbcr[None, ..., :1].astype(np.float32))})["estimate"]
    ycbcr[..., :1] = ops.convert_to_numpy(y)[0]
    found = upscale(image, 3, weights=weights)
    np.testing.assert_allclose(found.image, np.clip(ycbcr2rgb(255 * ycbcr), 0, 1), atol=3e-6)
    assert np.abs(found.image - np.clip(bicubic(image, 3), 0, 1)).max() > 0.02
    assert found.weights == "tiny_vdsr"


def test_gray_is_colour_of_equal_channels_and_alpha_is_bicubic(weights: Path) -> None:
    gray, alpha = COLOUR[..., :1], COLOUR[..., 2:]
    as_gray = upscale(np.concatenate([gray, alpha], -1), 2, weights=weights).image
    as_colour = upscale(np.concatenate([gray, gray, gray, alpha], -1), 2, weights=weights).image
    np.testing.assert_allclose(as_colour[..., :3], np.repeat(as_gray[..., :1], 3, -1), atol=2e-6)
    for found in (as_gray, as_colour):
        np.testing.assert_allclose(found[..., -1:], np.clip(bicubic(alpha, 2), 0, 1), atol=1e-6)
    np.testing.assert_array_equal(upscale(gray[..., 0], 2, weights=weights).image, as_gray[..., 0])


def test_a_network_of_three_channels_sees_rgb(tmp_path: Path) -> None:
    folder = save_model(vdsr(3), tmp_path / "rgb", {})
    enlarged = ops.convert_to_tensor(bicubic(COLOUR, 2)[None])
    expected = ops.convert_to_numpy(vdsr(3)({"lr_image": enlarged})["estimate"])[0]
    found = upscale(COLOUR, 2, weights=folder).image
    np.testing.assert_allclose(found, np.clip(expected, 0, 1), atol=3e-6)
    assert upscale(COLOUR[..., 0], 2, weights=folder).image.shape == (46, 62)


@pytest.mark.parametrize("scale", [2, 1.3, 3.4])
def test_a_factor_of_its_own_is_brought_to_the_one_asked_for(
    doubler: None, tmp_path: Path, scale: float
) -> None:
    network = stirred(Doubler(ImageSpec(2, 3)))
    folder = save_model(network, tmp_path / "x2", {})
    image = RNG.random((41, 29, 3)).astype(np.float32)
    twice = ops.convert_to_numpy(network({"lr_image": ops.convert_to_tensor(image[None])})["estimate"])[0]
    size = tuple(int(np.ceil(n * scale - 1e-9)) for n in image.shape[:2])
    expected = twice if scale == 2 else bicubic(twice, scale / 2)[: size[0], : size[1]]
    for tile in (37, 512):
        found = upscale(
            image, scale, method="doubler", weights=folder, controls=TileControls(tile=tile)
        ).image
        assert found.shape[:2] == size
        np.testing.assert_allclose(found, np.clip(expected, 0, 1), atol=5e-6)


def test_the_least_factor_that_is_enough_is_taken(
    doubler: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cards, "SHIPPED", tmp_path)
    for scale in (2, 3, 4):
        save_model(Doubler(ImageSpec(scale)), tmp_path / f"x{scale}", {})
    taken = [
        image_selection.select_image_network("doubler", None, s).folder.name for s in (1, 2, 2.1, 3.5, 9)
    ]
    assert taken == ["x2", "x2", "x3", "x4", "x4"]


def test_kernels_that_were_found_are_averaged_over_the_tiles(doubler: None, tmp_path: Path) -> None:
    folder = save_model(stirred(Doubler(ImageSpec(2), finds=True)), tmp_path / "finds", {})
    image = RNG.random((24, 60)).astype(np.float32)
    kernels = []
    for tile in (512, 30):
        found = upscale(image, 2, method="doubler", weights=folder, controls=TileControls(tile=tile))
        assert found.kernel is not None
        kernels.append(found.kernel)
    assert kernels[0].shape == (3, 3)
    np.testing.assert_allclose(kernels[1] / kernels[1].sum(), kernels[0] / kernels[0].sum(), rtol=1e-5)
    assert np.abs(kernels[1] / kernels[0] - 1).max() > 1e-4


def test_a_kernel_is_told_where_it_is_needed_and_only_there(
    doubler: None, weights: Path, tmp_path: Path
) -> None:
    folder = save_model(stirred(Doubler(ImageSpec(2, 3), told=True)), tmp_path / "told", {})
    kernel = np.zeros((5, 3))
    kernel[2, 1] = 2.0
    image = RNG.random((30, 26, 3)).astype(np.float32)
    one = upscale(image, 2, method="doubler", weights=folder, kernel=kernel).image
    flat = upscale(image, 2, method="doubler", weights=folder, kernel=np.ones((5, 1))).image
    inside = (one > 0) & (one < 1)
    np.testing.assert_allclose(5 * flat[inside], one[inside], atol=1e-6)
    with pytest.raises(ValueError, match="kernel: expected the blur of the picture, got none"):
        upscale(image, 2, method="doubler", weights=folder)
    with pytest.raises(ValueError, match="kernel: expected odd sides of at most 21"):
        upscale(image, 2, method="doubler", weights=folder, kernel=np.ones((23, 3)))
    with pytest.raises(ValueError, match="kernel: expected none, as this method is not given"):
        upscale(image, 2, weights=weights, kernel=kernel)
    with pytest.raises(ValueError, match="kernel: expected none for bicubic"):
        upscale(image, 2, method="bicubic", kernel=kernel)


@pytest.mark.parametrize("method", ["bicubic", "vdsr", "doubler"])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (3, 2)])
def test_the_smallest_pictures_are_enlarged_too(
    doubler: None, weights: Path, tmp_path: Path, method: str, size: tuple[int, int]
) -> None:
    folder = {"vdsr": weights, "doubler": save_model(Doubler(ImageSpec(2)), tmp_path / "x2", {})}.get(method)
    found = upscale(np.full((*size, 3), 77, np.uint8), 2.5, method=method, weights=folder).image
    assert found.shape == (*(int(np.ceil(2.5 * n)) for n in size), 3)
    if method == "bicubic":
        assert (found == 77).all()


def test_progress_counts_the_tiles() -> None:
    told: list[tuple[int, int]] = []
    controls = TileControls(tile=20, progress=lambda done, total: told.append((done, total)))
    upscale(COLOUR, 2, method="bicubic", controls=controls)
    assert told == [(i + 1, 12) for i in range(12)]


REFUSED = {
    "scale 0": ({"scale": 0}, "scale: expected a factor of at least 1, got 0"),
    "scale below 1": ({"scale": 0.5}, "scale: expected a factor of at least 1, got 0.5"),
    "scale nan": ({"scale": float("nan")}, "scale: expected a factor of at least 1"),
    "scale infinite": ({"scale": float("inf")}, "scale: expected a factor of at least 1"),
    "unknown method": ({"method": "vdsrr"}, "method: expected one of bicubic, .* did you mean 'vdsr'"),
    "fusion method": ({"method": "ms_ssfnet"}, "method: expected one of bicubic, "),
    "useless weights": ({"method": "bicubic", "weights": "x"}, "weights: expected none for bicubic"),
    "tile 0": ({"method": "bicubic", "controls": TileControls(tile=0)}, "tile: expected a positive"),
    "values": ({"image": COLOUR * 255}, r"image: expected values in \[0, 1\]"),
    "nan": ({"image": np.where(COLOUR > 0.9, np.nan, COLOUR)}, "image: expected finite values"),
    "axes": ({"image": COLOUR[None]}, "image: expected .H, W. or"),
    "type": ({"image": COLOUR.astype(np.int32)}, "image: expected .H, W. or"),
    "empty": ({"image": COLOUR[:0]}, "image: expected .H, W. or"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_arguments_are_refused_in_one_line(case: str) -> None:
    changes, said = REFUSED[case]
    arguments = {"image": COLOUR, "scale": 2, "method": "bicubic", **changes}
    with pytest.raises(ValueError, match=said) as caught:
        upscale(**arguments)
    assert "\n" not in str(caught.value)


def test_weights_that_are_missing_or_of_another_method_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cards, "SHIPPED", tmp_path / "none")
    with pytest.raises(ValueError, match=r"weights: expected trained weights of vdsr, .*--weights=FOLDER"):
        upscale(COLOUR, 2)
    srcnn = save_model(SRCNN(ImageSpec(None), features=(2, 2)), tmp_path / "srcnn", {})
    with pytest.raises(ValueError, match=r"weights: expected weights of vdsr, got .* for srcnn, luminance"):
        upscale(COLOUR, 2, weights=srcnn)
    with pytest.raises(OSError, match="no trained model here"):
        upscale(COLOUR, 2, weights=tmp_path)


def test_a_result_beyond_the_memory_is_refused_before_work_begins() -> None:
    with pytest.raises(
        OSError, match=r"result: a picture of 23000000x31000000 pixels takes .* over the limit"
    ):
        upscale(COLOUR, 1e6, method="bicubic")
    with pytest.raises(OSError, match="over the limit of 1e-06"):
        upscale(COLOUR, 2, method="bicubic", controls=TileControls(max_gib=1e-6))


def test_it_is_public() -> None:
    assert hsr_tf.upscale is upscale
    assert hsr_tf.TileControls is TileControls


@pytest.mark.parametrize(("scale", "published_db"), [(2, 33.66), (3, 30.39), (4, 28.42)])
def test_bicubic_scores_of_set5_are_the_published_ones(
    shared_data: Path, scale: int, published_db: float
) -> None:
    from hsr_tf.arrays.color import luma_8bit
    from hsr_tf.io.pictures import picture_files, read_picture

    scores = []
    for file in picture_files(shared_data / "sisr" / "Set5"):
        truth = luma_8bit(read_picture(file).values) / np.float32(255)
        truth = truth[: truth.shape[0] // scale * scale, : truth.shape[1] // scale * scale]
        low = BicubicResize(truth.shape, 1 / scale).forward(ops.convert_to_tensor(truth[None, ..., None]))
        low = np.clip(ops.convert_to_numpy(low)[0, ..., 0], 0, 1)
        found = upscale(low, scale, method="bicubic").image
        difference = np.rint(255 * found) - np.rint(255 * truth)
        inner = difference[scale:-scale, scale:-scale]
        scores.append(10 * np.log10(255**2 / np.mean(np.square(inner))))
    assert np.mean(scores) == pytest.approx(published_db, abs=0.02)
