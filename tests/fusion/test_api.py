"""`simulate` follows the protocol and `fuse` uses the cameras and weights that fit, and says which."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

import hsr_tf
from hsr_tf.closed_forms.agreement import disagreement
from hsr_tf.closed_forms.consistency import DataConsistency
from hsr_tf.closed_forms.quadratic_map import SpectralLS
from hsr_tf.io.pair import save_pair
from hsr_tf.networks import cards, pretrained
from hsr_tf.networks.fusion_model import FusionConfig, FusionModel
from hsr_tf.physics.cameras import make_cameras
from hsr_tf.physics.psf import Psf
from hsr_tf.physics.spectral import SpectralResponse, load_srf
from hsr_tf.scene import Observation, Scene

WAVELENGTHS_NM = np.arange(400.0, 701.0, 10.0)


def smooth_scene(height: int = 64, width: int = 96, *, seed: int = 0) -> Scene:
    """Four materials with smooth spectra, mixed by smooth maps with some edges; values in [0, 1]."""
    rng = np.random.default_rng(seed)
    spectra = ndimage.gaussian_filter1d(rng.random((4, 31)), 4, axis=1)
    maps = np.stack([ndimage.gaussian_filter(rng.standard_normal((height, width)), 3) for _ in range(4)], -1)
    maps = np.exp(8 * maps)
    maps[height // 3 : height // 2, width // 4 : width // 2] = [1, 0, 2, 0]
    cube = maps / maps.sum(-1, keepdims=True) @ spectra
    return Scene(cube, WAVELENGTHS_NM, "mixture", {"dataset": "synthetic", "white_level": 4095.0})


def protocol(cube: np.ndarray, scale: int, response: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The protocol by SciPy: 2 s Gaussian taps of FWHM s, mirrored, centred on each cell of s x s pixels."""
    taps = np.exp(-0.5 * ((np.arange(2 * scale) - scale + 0.5) / (scale / 2.35482)) ** 2)
    lr_hsi = cube.astype(np.float64)
    for axis in (0, 1):
        blurred = ndimage.correlate1d(lr_hsi, taps / taps.sum(), axis=axis, mode="reflect")
        lr_hsi = np.take(blurred, np.arange(scale // 2, blurred.shape[axis], scale), axis=axis)
    return lr_hsi, cube.astype(np.float64) @ response


def psnr(reference: Scene, estimate: np.ndarray) -> float:
    mse = np.square(reference.cube - np.clip(estimate, 0, 1)).mean(axis=(0, 1), dtype=np.float64)
    return float(np.mean(-10 * np.log10(mse)))


@pytest.fixture(scope="module")
def scene() -> Scene:
    return smooth_scene()


@pytest.fixture(scope="module")
def observation(scene: Scene) -> Observation:
    return hsr_tf.simulate(scene, scale=8)


def tiny_model(
    folder: Path, *, scale: int = 8, num_bands: int = 31, base: str = "spectral_ls"
) -> FusionModel:
    """An MS-SSFNet of two features whose head is not zero, saved in `folder`."""
    response = load_srf("nikon_d700", None, num_bands=31).matrix[:num_bands]
    bands = Scene(np.zeros((1, 1, num_bands)))
    cameras = make_cameras(bands, scale, srf=SpectralResponse(response, name="nikon_d700"))
    config = FusionConfig("ms_ssfnet", scale, num_bands, base=base, options=(("features", 2),))
    model = FusionModel(config, cameras)
    head = model.network.get_layer("head")
    head.set_weights([np.full_like(weight, 1e-3) for weight in head.get_weights()])
    pretrained.save_model(model, folder, {"wavelengths_nm": WAVELENGTHS_NM[:num_bands].tolist()})
    return model


@pytest.mark.parametrize("scale", [8, 16, 32])
def test_simulate_agrees_with_scipy(scale: int, scene: Scene) -> None:
    made = hsr_tf.simulate(scene, scale=scale)
    response = load_srf("nikon_d700", WAVELENGTHS_NM).matrix
    lr_hsi, hr_msi = protocol(scene.cube, scale, response)
    np.testing.assert_allclose(made.lr_hsi.cube, lr_hsi, rtol=0, atol=1e-6)
    np.testing.assert_allclose(made.hr_msi.cube, hr_msi, rtol=0, atol=1e-6)
    assert made.scale == scale


def test_simulated_scenes_keep_what_is_known(observation: Observation) -> None:
    lr_hsi, hr_msi = observation.lr_hsi, observation.hr_msi
    np.testing.assert_array_equal(lr_hsi.wavelengths_nm, WAVELENGTHS_NM)
    assert (lr_hsi.name, hr_msi.name, hr_msi.wavelengths_nm) == ("mixture", "mixture", None)
    assert lr_hsi.metadata == {
        "dataset": "synthetic",
        "simulated_psf": "gaussian",
        "simulated_scale": 8,
        "simulated_seed": 0,
    }
    assert hr_msi.metadata["channels"] == "R,G,B" and hr_msi.metadata["simulated_srf"] == "nikon_d700"


def test_noise_has_the_ratio_asked_for_and_follows_the_seed(scene: Scene, observation: Observation) -> None:
    noisy, again, other = (hsr_tf.simulate(scene, scale=8, snr_db=(35, 40), seed=seed) for seed in (3, 3, 4))
    for name, level in (("lr_hsi", 35), ("hr_msi", 40)):
        clean, dirty = getattr(observation, name).cube, getattr(noisy, name)
        ratio = 10 * np.log10(np.square(clean).mean() / np.square(dirty.cube - clean).mean())
        assert abs(ratio - level) < 0.3 and dirty.metadata["simulated_snr_db"] == level
        np.testing.assert_array_equal(dirty.cube, getattr(again, name).cube)
        assert not np.allclose(dirty.cube, getattr(other, name).cube, atol=1e-5)


@pytest.mark.parametrize(
    ("scale", "words"),
    [
        (7, "crop it to 63x91 pixels first"),
        (65, "use a smaller scale"),
        (0, "scale: expected a positive integer"),
        (-8, "scale: expected a positive integer"),
    ],
)
def test_a_scale_that_does_not_divide_names_the_crop(scale: int, words: str, scene: Scene) -> None:
    with pytest.raises(ValueError, match=words):
        hsr_tf.simulate(scene, scale=scale)


def test_pixels_without_data_are_refused_in_a_simulation(scene: Scene) -> None:
    mask = np.zeros((64, 96), bool)
    mask[3, 4] = True
    with pytest.raises(ValueError, match=r"scene: expected data in every pixel.*1 pixels without data"):
        hsr_tf.simulate(replace(scene, nodata_mask=mask), scale=8)


def test_bands_outside_the_response_are_refused(scene: Scene) -> None:
    infrared = replace(scene, wavelengths_nm=WAVELENGTHS_NM + 300)
    with pytest.raises(ValueError, match=r"wavelengths_nm: expected bands within 400 to 700 nm"):
        hsr_tf.simulate(infrared, scale=8)
    blind = load_srf("nikon_d700", WAVELENGTHS_NM + 100, outside="zero")
    observed = hsr_tf.simulate(replace(scene, wavelengths_nm=WAVELENGTHS_NM + 100), scale=8, srf=blind)
    assert hsr_tf.fuse(observed).hr_msi_residual < 1e-4


def test_a_psf_that_sits_off_the_cells_is_told(scene: Scene) -> None:
    with pytest.warns(UserWarning, match=r"half a pixel before .* a number of taps that is even"):
        hsr_tf.simulate(scene, scale=8, psf="box:size=5")
    with pytest.raises(ValueError, match="snr_db"):
        hsr_tf.simulate(scene, scale=8, snr_db=(float("nan"), None))


def test_spectral_ls_explains_both_images_and_beats_bicubic(scene: Scene, observation: Observation) -> None:
    solution, floor = (hsr_tf.fuse(observation, name) for name in ("spectral_ls", "bicubic"))
    estimate = solution.estimate
    assert psnr(scene, estimate.cube) > psnr(scene, floor.estimate.cube) + 10
    assert solution.lr_hsi_residual < 1e-5 and solution.hr_msi_residual < 1e-5 < floor.lr_hsi_residual
    np.testing.assert_array_equal(estimate.wavelengths_nm, WAVELENGTHS_NM)
    told = estimate.metadata
    assert (told["method"], told["scale_factor"], told["trust"]) == ("spectral_ls", 8, 1)
    assert told["srf"] == "nikon_d700 (recorded in the file)" and told["dataset"] == "synthetic"
    assert "simulated_psf" not in told and solution.seconds > 0
    assert (solution.psf, solution.srf, solution.iterations, solution.converged) == (None,) * 4


def test_residuals_are_what_the_cameras_see_of_the_estimate(observation: Observation) -> None:
    solution = hsr_tf.fuse(observation, "bicubic")
    response = load_srf("nikon_d700", WAVELENGTHS_NM).matrix
    seen = protocol(solution.estimate.cube, 8, response)
    found = (solution.lr_hsi_residual, solution.hr_msi_residual)
    for image, view, residual in zip((observation.lr_hsi, observation.hr_msi), seen, found, strict=True):
        expected = np.linalg.norm(image.cube - view) / np.linalg.norm(image.cube)
        assert residual == pytest.approx(expected, rel=1e-4)


def test_noisy_images_are_not_followed_to_the_letter(shared_data: Path) -> None:
    scene = hsr_tf.load(shared_data / "hsi" / "cave_test" / "balloons.h5")
    noisy = hsr_tf.simulate(scene, scale=8, snr_db=(35, 40))
    solution = hsr_tf.fuse(noisy, "spectral_ls")
    pair, cameras = (noisy.lr_hsi.cube[None], noisy.hr_msi.cube[None]), make_cameras(scene, 8)
    strict = np.asarray(DataConsistency(cameras)(SpectralLS(cameras)(*pair), *pair))[0]
    assert solution.estimate.metadata["trust"] < 0.1
    assert psnr(scene, solution.estimate.cube) > psnr(scene, strict) + 2


def test_cameras_come_back_from_the_files_of_a_simulation(scene: Scene, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    kernel, matrix = Psf(rng.random((6, 10)), "odd one"), SpectralResponse(rng.random((31, 4)), name="four")
    for psf, srf in (("gaussian:sigma=2x4,angle=30", "nikon_d700"), (kernel, matrix)):
        made = hsr_tf.simulate(scene, scale=8, psf=psf, srf=srf)
        loaded = Observation.from_pair(*(hsr_tf.load(path) for path in save_pair(made, tmp_path / "new")))
        given = hsr_tf.fuse(made, "spectral_ls", psf=psf, srf=srf)
        told = hsr_tf.fuse(loaded, "spectral_ls")
        np.testing.assert_array_equal(told.estimate.cube, given.estimate.cube)
        assert told.lr_hsi_residual < 1e-4 and "(recorded in the file)" in told.estimate.metadata["psf"]
        assert "(given)" in given.estimate.metadata["psf"]


def test_without_told_cameras_the_defaults_are_used_and_named(observation: Observation) -> None:
    bare = Observation(
        replace(observation.lr_hsi, metadata={}), replace(observation.hr_msi, metadata={}), scale=8
    )
    told = hsr_tf.fuse(bare).estimate.metadata
    assert told["psf"].endswith("(default)") and told["srf"] == "nikon_d700 (default)"


def test_bicubic_needs_no_camera_and_says_that_it_knows_none(observation: Observation) -> None:
    panchromatic = Scene(observation.hr_msi.cube[..., :1])
    unknown = Observation(
        replace(observation.lr_hsi, wavelengths_nm=None, metadata={}), panchromatic, scale=8
    )
    solution = hsr_tf.fuse(unknown, "bicubic")
    assert solution.hr_msi_residual is None and solution.lr_hsi_residual is not None
    assert solution.estimate.metadata["srf"] == "unknown"
    with pytest.raises(
        ValueError, match="hr_msi: expected 3 channels, as the response nikon_d700 has, got 1"
    ):
        hsr_tf.fuse(unknown)


def test_disagreement_is_zero_without_noise_and_grows_with_it(scene: Scene, observation: Observation) -> None:
    cameras = make_cameras(scene, 8)
    levels = [
        disagreement(cameras, made.lr_hsi.cube[None], made.hr_msi.cube[None])
        for made in (observation, *(hsr_tf.simulate(scene, scale=8, snr_db=(db, None)) for db in (55, 35)))
    ]
    assert levels[0] < 1e-6 and levels[2] == pytest.approx(10 * levels[1], rel=0.02)


def test_unknown_methods_and_useless_weights_are_refused(observation: Observation, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"method: expected one of .* got 'vdsr'"):
        hsr_tf.fuse(observation, "vdsr")
    with pytest.raises(ValueError, match="kind of method: expected one of closed_form, network, solver"):
        hsr_tf.fuse(observation, hsr_tf.methods.get("vdsr"))
    known = r"method: expected one of adapt, auto, bicubic, .*did you mean 'spectral_ls'"
    with pytest.raises(ValueError, match=known):
        hsr_tf.fuse(observation, "spectral-ls")
    with pytest.raises(ValueError, match="weights: expected none for bicubic"):
        hsr_tf.fuse(observation, "bicubic", weights=tmp_path)


def test_given_weights_are_used_and_named(observation: Observation, tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "tiny")
    solution = hsr_tf.fuse(observation, "ms_ssfnet", weights=tmp_path / "tiny")
    pair = {"lr_hsi": observation.lr_hsi.cube[None], "hr_msi": observation.hr_msi.cube[None]}
    # The base of a scene is damped as normal equations are, that of the model column by column.
    np.testing.assert_allclose(solution.estimate.cube, np.asarray(model(pair))[0], atol=1e-4)
    told = solution.estimate.metadata
    assert (told["weights"], told["weights_origin"]) == ("tiny", "given")
    np.testing.assert_array_equal(solution.estimate.wavelengths_nm, WAVELENGTHS_NM)


def test_shipped_weights_are_found_by_the_sizes_and_named(
    observation: Observation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cards, "SHIPPED", tmp_path)
    with pytest.raises(ValueError, match=r"31 bands \+ 3 channels, x8, got none .*there are none"):
        hsr_tf.fuse(observation, "ms_ssfnet")
    tiny_model(tmp_path / "small_x4", scale=4)
    with pytest.raises(ValueError, match=r"\(small_x4: ms_ssfnet, 31 bands \+ 3 channels, x4\)"):
        hsr_tf.fuse(observation, "ms_ssfnet")
    tiny_model(tmp_path / "small_x8")
    told = hsr_tf.fuse(observation, "ms_ssfnet").estimate.metadata
    assert (told["weights"], told["weights_origin"]) == ("small_x8", "shipped")


@pytest.mark.parametrize(
    ("sizes", "received"),
    [({"num_bands": 30}, "30 bands + 3 channels, x8"), ({"scale": 4}, "31 bands + 3 channels, x4")],
)
def test_weights_for_other_sizes_are_refused(
    sizes: dict[str, int], received: str, observation: Observation, tmp_path: Path
) -> None:
    tiny_model(tmp_path / "other", **sizes)
    with pytest.raises(
        ValueError, match=r"expected weights for ms_ssfnet, 31 bands \+ 3 channels, x8"
    ) as caught:
        hsr_tf.fuse(observation, "ms_ssfnet", weights=tmp_path / "other")
    assert received in str(caught.value)
    with pytest.raises(ValueError, match="expected weights for ssf_cnn"):
        hsr_tf.fuse(observation, "ssf_cnn", weights=tmp_path / "other")
    with pytest.raises(OSError, match="no trained model here"):
        hsr_tf.fuse(observation, "ms_ssfnet", weights=tmp_path)


def test_what_the_weights_were_not_trained_for_is_told(
    scene: Scene, observation: Observation, tmp_path: Path
) -> None:
    tiny_model(tmp_path / "tiny")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        hsr_tf.fuse(observation, "ms_ssfnet", weights=tmp_path / "tiny")
        padded = Psf(np.pad(make_cameras(scene, 8).spatial.psf.kernel, 2))
        hsr_tf.fuse(observation, "ms_ssfnet", weights=tmp_path / "tiny", psf=padded)
    boxed = hsr_tf.simulate(scene, scale=8, psf="box")
    with pytest.warns(UserWarning, match="trained for the PSF Gaussian.*the images have box, 8 taps"):
        hsr_tf.fuse(boxed, "ms_ssfnet", weights=tmp_path / "tiny")
    flat = SpectralResponse(np.full((31, 3), 1 / 31), name="flat")
    with pytest.warns(UserWarning, match="trained for the response nikon_d700, the images have flat"):
        hsr_tf.fuse(observation, "ms_ssfnet", srf=flat, weights=tmp_path / "tiny")
    shifted = replace(observation.lr_hsi, wavelengths_nm=WAVELENGTHS_NM + 20)
    with pytest.warns(UserWarning, match="trained for bands at 400-700 nm, lr_hsi has 420-720 nm"):
        hsr_tf.fuse(replace(observation, lr_hsi=shifted), "ms_ssfnet", weights=tmp_path / "tiny")


@pytest.mark.parametrize("scale", [8, 16, 32])
def test_simulate_follows_the_protocol_on_a_real_scene(scale: int, shared_data: Path) -> None:
    _compare_with_protocol(shared_data, "balloons", scale)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["chart_and_stuffed_toy", "fake_and_real_food", "oil_painting"])
def test_simulate_follows_the_protocol_on_every_real_scene(name: str, shared_data: Path) -> None:
    for scale in (8, 16, 32):
        _compare_with_protocol(shared_data, name, scale)


def _compare_with_protocol(shared_data: Path, name: str, scale: int) -> None:
    scene = hsr_tf.load(shared_data / "hsi" / "cave_test" / f"{name}.h5")
    made = hsr_tf.simulate(scene, scale=scale)
    table = np.genfromtxt(shared_data / "srf" / "nikon_d700_hsi_papers_31.csv", delimiter=",", comments="#")
    response = table[np.isfinite(table[:, 0]), 1:]
    lr_hsi, hr_msi = protocol(scene.cube, scale, response)
    np.testing.assert_allclose(made.lr_hsi.cube, lr_hsi, rtol=0, atol=1e-5)
    np.testing.assert_allclose(made.hr_msi.cube, hr_msi, rtol=0, atol=1e-5)
