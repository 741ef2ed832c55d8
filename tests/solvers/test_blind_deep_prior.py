"""Blind fusion: cameras and cube together, in the colour image's frame."""

from __future__ import annotations

import warnings
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from keras import ops
from scipy import ndimage

import hsr_tf
from benchmarks.joint_cameras import BLURS, channel_angles, seen_through
from benchmarks.joint_cameras import NUM_STEPS as NUM_JOINT_STEPS
from hsr_tf import methods
from hsr_tf.closed_forms.quadratic_map import SpectralLS
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.psf import Psf, anisotropic_gaussian_psf, gaussian_psf, identity_psf
from hsr_tf.physics.spatial import SpatialDegradation
from hsr_tf.physics.spectral import SpectralResponse, load_srf
from hsr_tf.solvers.blind_deep_prior import (
    JOINT_BLIND,
    PUBLISHED_BLIND,
    BlindDeepPrior,
    BlindPriorConfig,
    BlindScene,
    flat_cameras,
    warn_of_few_pixels,
)
from hsr_tf.solvers.solver import Controls, Outcome, Step
from tests.tracing_for_tests import without_tracing

SCALE, BANDS = 4, 7
KERNEL = gaussian_psf(SCALE)
NUM_STEPS = 4
QUICK = {"num_steps": NUM_STEPS, "features": 8, "kernels": ((2.0, 4.0),), "tile": 8}


@pytest.fixture(scope="module")
def sharp() -> np.ndarray:
    """A cube of four smooth materials with edges, 96 x 80 x 7."""
    rng = np.random.default_rng(0)
    maps = np.stack([ndimage.gaussian_filter(rng.standard_normal((96, 80)), 1.5) for _ in range(9)], -1)
    shares = np.exp(6 * maps / maps.std() / 6)
    spectra = ndimage.gaussian_filter1d(rng.random((9, BANDS)), 0.7, axis=1)
    return (shares / shares.sum(-1, keepdims=True) @ spectra).astype(np.float32)


def response(num_channels: int) -> np.ndarray:
    centres = np.linspace(1, BANDS - 2, num_channels)
    bells = np.exp(-0.5 * (np.arange(BANDS)[:, None] - centres) ** 2)
    return bells / bells.sum(0)


def observed(cube: np.ndarray, num_channels: int = 3) -> tuple[np.ndarray, np.ndarray]:
    coarse = SpatialDegradation(KERNEL, SCALE).forward(ops.convert_to_tensor(cube[None]))
    return np.asarray(coarse)[0], (cube @ response(num_channels)).astype(np.float32)


def blind(pair: tuple[np.ndarray, np.ndarray], **options: object) -> Outcome:
    """The method with a model of which it may use the scale alone; few steps are not worth tracing."""
    model = ObservationModel(
        SpatialDegradation(identity_psf(SCALE), SCALE), SpectralResponse(np.ones((1, 1)))
    )
    config = BlindPriorConfig(**{**QUICK, **options})  # type: ignore[arg-type]
    with without_tracing() if config.num_steps <= NUM_STEPS else nullcontext():
        return BlindDeepPrior(model, config).solve(*pair)


def psnr(estimate: np.ndarray, cube: np.ndarray, margin: int = 8) -> float:
    inside = (slice(margin, -margin),) * 2
    return float(-10 * np.log10(np.mean((estimate - cube)[inside] ** 2)))


@pytest.fixture(scope="module")
def plain(sharp: np.ndarray) -> Outcome:
    """The estimate of the pair as it is."""
    return blind(observed(sharp))


def test_it_knows_the_cameras_in_the_end_and_beats_the_floor_that_was_told_them(
    sharp: np.ndarray, plain: Outcome
) -> None:
    pair, found = observed(sharp), plain
    told = ObservationModel(SpatialDegradation(KERNEL, SCALE), SpectralResponse(response(3)))
    floor = np.asarray(SpectralLS(told)(*(ops.convert_to_tensor(image[None]) for image in pair)))[0]
    assert found.psf is not None and found.srf is not None and found.shift is not None
    assert psnr(found.estimate, sharp) > psnr(floor, sharp) - 0.3
    assert np.abs(found.shift).max() < 0.05
    np.testing.assert_allclose(found.srf, response(3), atol=0.02)
    assert found.details["lr_hsi_unexplained"] < 1e-3
    assert found.details["hr_msi_unexplained"] < 1e-3


def test_a_shifted_colour_image_is_fused_in_its_own_frame(sharp: np.ndarray) -> None:
    moved = ndimage.shift(sharp, (1.3, 0, 0), order=5, mode="mirror")
    found = blind((observed(sharp)[0], observed(moved)[1]))
    np.testing.assert_allclose(found.shift, (1.3, 0), atol=0.1)
    assert psnr(found.estimate, moved) > psnr(found.estimate, sharp) + 3


@pytest.mark.parametrize("num_channels", [1, 4])
def test_other_numbers_of_channels(sharp: np.ndarray, num_channels: int) -> None:
    found = blind(observed(sharp, num_channels), num_steps=2, base="spectral_ls")
    assert found.estimate.shape == sharp.shape
    assert found.srf is not None and found.srf.shape == (BANDS, num_channels)


@pytest.mark.slow
def test_two_runs_are_equal(sharp: np.ndarray) -> None:
    pair = observed(sharp)
    runs = [blind(pair, num_steps=3) for _ in range(2)]
    np.testing.assert_array_equal(runs[0].estimate, runs[1].estimate)
    np.testing.assert_array_equal(runs[0].srf, runs[1].srf)


@pytest.mark.slow
def test_the_published_form_learns_from_flat_cameras(sharp: np.ndarray) -> None:
    pair = observed(sharp)
    start = flat_cameras(*pair, SCALE)
    seen = (pair[0] @ start.model.spectral.matrix).mean((0, 1))
    np.testing.assert_allclose(seen, pair[1].mean((0, 1)), rtol=0.2)
    options = {name: getattr(PUBLISHED_BLIND, name) for name in PUBLISHED_BLIND.__dataclass_fields__}
    found = blind(pair, **{**options, "num_steps": 40, "features": 16, "learning_rate": 1e-2})
    begun = blind(pair, **{**options, "num_steps": 1, "features": 16})
    assert found.details["camera_start"] == "flat"
    assert found.details["hr_msi_unexplained"] < begun.details["hr_msi_unexplained"] / 2
    assert found.psf is not None and not np.allclose(found.psf.kernel, found.psf.kernel[0, 0])


def learnt_jointly(
    pair: tuple[np.ndarray, np.ndarray], scale: int, **options: object
) -> tuple[Outcome, list[ObservationModel]]:
    """JOINT_BLIND with a small network, and its cameras after every step."""
    model = ObservationModel(
        SpatialDegradation(identity_psf(scale), scale), SpectralResponse(np.ones((1, 1)))
    )
    course: list[ObservationModel] = []

    def note(step: Step) -> None:
        if step.iteration in (1, step.most):
            assert step.model is not None
            course.append(step.model())

    solver = BlindDeepPrior(model, replace(JOINT_BLIND, **options))  # type: ignore[arg-type]
    return solver.solve(*pair, Controls(callback=note)), course


def test_kernel_and_response_are_learnt_with_the_network_from_a_flat_start() -> None:
    rng = np.random.default_rng(0)
    maps = ndimage.gaussian_filter(rng.standard_normal((96, 80, 9)), (0.7, 0.7, 0))
    spectra = ndimage.gaussian_filter1d(rng.random((9, BANDS)), 0.7, axis=1)
    sharp = (np.exp(maps / maps.std()) @ spectra / 20).astype(np.float32)  # with detail, to see k by
    kernel = anisotropic_gaussian_psf(SCALE, sigmas=(1.6, 0.7), angle_degrees=30, support=8).kernel
    pair = seen_through(sharp, kernel, SCALE), (sharp @ response(3)).astype(np.float32)
    found, (first, last) = learnt_jointly(pair, SCALE, features=8, num_steps=200)
    assert found.details["camera_start"] == "flat" and found.details["best_step"] == 200
    assert np.abs(first.spatial.psf.kernel - kernel).sum() > 0.5
    assert np.abs(last.spatial.psf.kernel - kernel).sum() < 0.2
    assert (channel_angles(response(3), last.spectral.matrix) < 10).all()


def test_a_flat_start_from_too_few_pixels_is_warned_of() -> None:
    """At x8 with 31 bands and 3 channels there are 256 + 93 numbers to find, and 3 squares per pixel of X."""
    for cells, is_too_few in ((8, True), (10, True), (11, False)):
        pair = np.ones((cells, cells, 31), np.float32), np.ones((8 * cells, 8 * cells, 3), np.float32)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            warn_of_few_pixels(pair[0], flat_cameras(*pair, 8).model)
        said = f"{cells} x {cells} coarse pixels in 3 channels give {3 * cells**2} equations for 256 taps"
        assert [said in str(one.message) for one in caught] == [True] * is_too_few


@pytest.mark.slow
@pytest.mark.parametrize("name", ["flowers", "fake_and_real_beers"])
@pytest.mark.parametrize("psf", BLURS.values(), ids=list(BLURS))
def test_cameras_of_real_scenes_are_learnt_from_a_flat_start(name: str, psf: Psf, shared_data: Path) -> None:
    scene = hsr_tf.load(shared_data / "hsi" / "cave_train" / f"{name}.h5")
    cube = np.asarray(scene.cube, np.float32)[128:384, 128:384]
    srf = load_srf(shared_data / "srf" / "nikon_d700_hsi_papers_31.csv", scene.wavelengths_nm).matrix
    pair = seen_through(cube, psf.kernel, 8), (cube @ srf).astype(np.float32)
    _, (_, last) = learnt_jointly(pair, 8, features=16, num_steps=NUM_JOINT_STEPS)
    assert np.abs(last.spatial.psf.kernel - psf.kernel).sum() < 0.2
    assert (channel_angles(srf, last.spectral.matrix) < 10).all()


def test_time_ends_it_and_it_needs_no_cameras(sharp: np.ndarray) -> None:
    pair = observed(sharp)
    model = ObservationModel(SpatialDegradation(KERNEL, SCALE), SpectralResponse(response(3)))
    found = BlindDeepPrior(model, BlindPriorConfig(**{**QUICK, "num_steps": 500})).solve(  # type: ignore[arg-type]
        *pair, Controls(max_seconds=0.01)
    )
    assert found.iterations < 500 and not found.converged
    assert np.isfinite(found.estimate).all()
    assert methods.get("blind_deep_prior").needs == ()


def test_cameras_that_were_not_learnt_are_those_of_the_start_to_the_last_bit(sharp: np.ndarray) -> None:
    pair, config = observed(sharp), BlindPriorConfig(**{**QUICK, "base": "spectral_ls"})  # type: ignore[arg-type]
    start = flat_cameras(*pair, SCALE)
    scene = BlindScene(start, config, pair, Controls())
    assert scene.model() is start.model and start.model.spatial.psf.factors is not None
    scene.cameras.variables[0].assign(np.linspace(0, 5, 64).reshape(8, 8))
    assert scene.model().spatial.psf.kernel[-1, -1] > start.model.spatial.psf.kernel[-1, -1]


def test_an_unknown_start_is_refused() -> None:
    with pytest.raises(ValueError, match="start"):
        BlindPriorConfig(start="flatt")


def test_an_offset_of_the_colour_image_is_undone_first(sharp: np.ndarray, plain: Outcome) -> None:
    lr_hsi, hr_msi = observed(sharp)
    found = blind((lr_hsi, (0.55 * hr_msi + 0.08).astype(np.float32)))
    np.testing.assert_allclose(found.radiometry.offset, 0.08, atol=2e-3)
    assert psnr(found.estimate, sharp) > psnr(plain.estimate, sharp) - 0.1
