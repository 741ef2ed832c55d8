"""PSF, response and shift from a pair: exact without noise, close with it, and rightly directed."""

from __future__ import annotations

import numpy as np
import pytest
from keras import ops
from scipy import ndimage

from hsr_tf.physics.psf import Psf, anisotropic_gaussian_psf, box_psf, gaussian_psf
from hsr_tf.physics.psf_shift import centroid, image_shift, on_support, recentred_psf
from hsr_tf.physics.spatial import SpatialDegradation
from hsr_tf.solvers.cameras.coarse_pixels import coarse_pixels
from hsr_tf.solvers.cameras.psf_refine import knot_basis
from hsr_tf.solvers.cameras.psf_shapes import DetectorShape, GaussianShape, PsfShape
from hsr_tf.solvers.cameras.psf_srf import CameraEstimate, PsfSrfConfig, estimate_psf_srf
from hsr_tf.solvers.cameras.response_fit import ResponseFit, smoothness_prior
from hsr_tf.solvers.solver import Controls, Step

Array = np.ndarray
ASYMMETRIC = np.array([[0, 1, 2, 0, 0], [3, 6, 4, 1, 0], [1, 5, 8, 3, 0], [0, 1, 2, 2, 1], [0, 0, 1, 0, 0]])


def scene(height: int, width: int, num_bands: int, *, seed: int = 0, smoothing: float = 0.7) -> Array:
    """A textured cube of more materials than bands, (height, width, num_bands)."""
    generator = np.random.default_rng(seed)
    num_materials = num_bands + 2
    maps = generator.standard_normal((height, width, num_materials))
    maps = ndimage.gaussian_filter(maps, (smoothing, smoothing, 0), mode="mirror")
    spectra = ndimage.gaussian_filter1d(generator.random((num_materials, num_bands)), 1.0, axis=1)
    return (0.5 + 0.3 * maps / maps.std() @ (spectra / num_materials)).astype(np.float32)


def response(num_bands: int, num_channels: int) -> Array:
    """Bells over the bands, each channel with its own gain."""
    centres = np.linspace(0.2, 0.8, num_channels) * (num_bands - 1)
    width = max(1.0, num_bands / 8)
    bells = np.exp(-0.5 * ((np.arange(num_bands)[:, None] - centres) / width) ** 2)
    return bells / bells.sum(0) * np.linspace(0.8, 1.1, num_channels)


def observe(cube: Array, kernel: Array, scale: int, matrix: Array) -> tuple[Array, Array]:
    """X and Y without noise."""
    blurred = SpatialDegradation(Psf(kernel), scale).forward(ops.convert_to_tensor(cube[None]))
    return np.asarray(ops.convert_to_numpy(blurred))[0], (cube @ matrix).astype(np.float32)


def kernel_error(found: CameraEstimate, kernel: Array) -> float:
    """|k - k_true|_1 on one grid."""
    taps = tuple(
        max(n, m) + (max(n, m) - m) % 2 for n, m in zip(found.psf.kernel.shape, kernel.shape, strict=True)
    )
    truth = kernel / kernel.sum()
    return float(np.abs(on_support(found.psf.kernel, taps) - on_support(truth, taps)).sum())


def angle(found: Array, truth: Array) -> float:
    """Largest angle between columns, in degrees."""
    cosine = (found * truth).sum(0) / np.linalg.norm(found, axis=0) / np.linalg.norm(truth, axis=0)
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))).max())


@pytest.mark.parametrize(
    ("scale", "num_channels", "kernel"),
    [
        (4, 3, gaussian_psf(4).kernel),
        (3, 1, box_psf(3).kernel),
        (2, 4, anisotropic_gaussian_psf(2, sigmas=(1.1, 0.6), angle_degrees=30).kernel),
        (4, 10, anisotropic_gaussian_psf(4, sigmas=(2.0, 1.2), angle_degrees=-40).kernel),
    ],
)
def test_standard_blurs_are_found_exactly(scale: int, num_channels: int, kernel: Array) -> None:
    matrix = response(13, num_channels)
    pair = observe(scene(30 * scale, 24 * scale, 13), kernel, scale, matrix)
    found = estimate_psf_srf(*pair, scale)
    assert kernel_error(found, kernel) < 0.03
    assert angle(found.srf, matrix) < 1.0
    np.testing.assert_allclose(found.srf.sum(0), matrix.sum(0), rtol=0.01)
    assert np.abs(found.shift).max() < 0.02
    assert found.explained.max() < 1e-3


def test_a_kernel_of_no_known_shape_is_found_unflipped() -> None:
    matrix = response(11, 3)
    kernel = recentred_psf(Psf(ASYMMETRIC)).kernel
    cube = scene(3 * 40, 3 * 32, 11)
    found = estimate_psf_srf(*observe(cube, kernel, 3, matrix), 3)
    assert found.shape.endswith("+ free")
    assert kernel_error(found, kernel) < 0.03
    assert kernel_error(found, kernel[::-1, ::-1]) > 0.15
    assert angle(found.srf, matrix) < 1.0


def test_the_shift_is_found_and_has_the_sign_of_the_colour_images_motion() -> None:
    cube, matrix, kernel = scene(4 * 28, 4 * 24, 9, smoothing=1.5), response(9, 3), gaussian_psf(4).kernel
    lr_hsi, _ = observe(cube, kernel, 4, matrix)
    moved = ndimage.shift(cube, (1.3, -0.7, 0), order=5, mode="mirror")
    found = estimate_psf_srf(lr_hsi, (moved @ matrix).astype(np.float32), 4)
    np.testing.assert_allclose(found.shift, (1.3, -0.7), atol=0.05)
    assert kernel_error(found, kernel) < 0.1
    assert np.abs(centroid(found.psf)).max() < 0.02
    np.testing.assert_allclose(image_shift(found.model.spatial.psf), found.shift, atol=0.02)


def test_noise_costs_little() -> None:
    matrix, kernel = response(17, 3), anisotropic_gaussian_psf(4, sigmas=(2.0, 1.3), angle_degrees=20).kernel
    pair = observe(scene(4 * 32, 4 * 28, 17, smoothing=2.0), kernel, 4, matrix)
    generator = np.random.default_rng(0)
    noisy = [
        (image + 10 ** (-snr / 20) * np.sqrt(np.mean(image**2)) * generator.standard_normal(image.shape))
        for image, snr in zip(pair, (40, 45), strict=True)
    ]
    found = estimate_psf_srf(*(image.astype(np.float32) for image in noisy), 4)
    assert kernel_error(found, kernel) < 0.15
    assert np.abs(found.shift).max() < 0.1
    assert found.srf.min() >= 0


@pytest.mark.parametrize(
    "kernel",
    [
        pytest.param(gaussian_psf(4).kernel, id="gaussian"),
        pytest.param(box_psf(4).kernel, id="box", marks=pytest.mark.slow),
    ],
)
def test_channels_much_narrower_than_a_colour_camera_s_are_found(kernel: Array) -> None:
    """72 collinear bands and channels of a few of them, as satellites have: the first prior is too wide."""
    cube = ndimage.gaussian_filter1d(scene(96, 80, 72, smoothing=1.5), 2.0, axis=2)
    bells = np.exp(-0.5 * ((np.arange(72)[:, None] - np.array([14.0, 30.0, 55.0])) / [1.0, 1.5, 2.0]) ** 2)
    found = estimate_psf_srf(*observe(cube, kernel, 4, bells / bells.sum(0)), 4)
    assert kernel_error(found, kernel) < 0.02
    assert angle(found.srf, bells) < 5.0


def test_gain_and_offset_of_a_channel_are_told_apart() -> None:
    matrix, kernel = response(9, 2), gaussian_psf(3).kernel
    lr_hsi, hr_msi = observe(scene(3 * 36, 3 * 30, 9), kernel, 3, matrix)
    found = estimate_psf_srf(lr_hsi, hr_msi + np.float32(0.25), 3, PsfSrfConfig(offset=True))
    np.testing.assert_allclose(found.offset, 0.25, atol=0.01)
    np.testing.assert_allclose(found.srf.sum(0), matrix.sum(0), rtol=0.02)
    assert found.explained.max() < 1e-3


def test_two_runs_are_equal_and_steps_are_reported() -> None:
    pair = observe(scene(24 * 3, 20 * 3, 7), ASYMMETRIC, 3, response(7, 3))
    steps: list[Step] = []
    quick, controls = PsfSrfConfig(max_refinements=1), Controls(callback=steps.append)
    runs = [estimate_psf_srf(*pair, 3, quick, controls) for _ in range(2)]
    np.testing.assert_array_equal(runs[0].psf.kernel, runs[1].psf.kernel)
    np.testing.assert_array_equal(runs[0].srf, runs[1].srf)
    assert len(steps) == 2 * runs[0].iterations
    assert steps[0].estimate().shape == (72, 60, 7)


def test_time_ends_the_search_with_a_shape() -> None:
    pair = observe(scene(24 * 3, 20 * 3, 7), ASYMMETRIC, 3, response(7, 3))
    found = estimate_psf_srf(*pair, 3, controls=Controls(max_seconds=1e-6))
    assert found.iterations == 1
    assert not found.converged
    assert np.isfinite(found.psf.kernel).all()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda x, y: (x, y[:-1], 3), "hr_msi: expected 72 x 60"),
        (lambda x, y: (x, y, 1), "scale: expected an integer of at least 2"),
        (lambda x, y: (x[..., 0], y, 3), "lr_hsi: expected one cube"),
        (lambda x, y: (x * np.nan, y, 3), "lr_hsi: expected finite"),
        (lambda x, y: (x, np.ones_like(y), 3), "hr_msi: expected contrast"),
        (lambda x, y: (x[:5, :5], y[:15, :15], 3), "lr_hsi: expected 16 pixels or more"),
    ],
)
def test_unfit_images_are_refused(change, said: str) -> None:  # type: ignore[no-untyped-def]
    pair = observe(scene(72, 60, 5), ASYMMETRIC, 3, response(5, 2))
    with pytest.raises(ValueError, match=said):
        estimate_psf_srf(*change(*pair))


@pytest.mark.parametrize("scale", [2, 3])
def test_coarse_pixels_see_what_the_spatial_degradation_gives(scale: int) -> None:
    cube, taps = scene(14 * scale, 12 * scale, 4), 6 + scale % 2
    kernel = np.random.default_rng(1).random((taps, taps))
    lr_hsi, hr_msi = observe(cube, kernel, scale, np.eye(4))
    pixels = coarse_pixels(lr_hsi, hr_msi, scale, taps, centred=False)
    np.testing.assert_allclose(pixels.colours(kernel / kernel.sum()), pixels.spectra, atol=1e-6)


def test_spectra_of_another_seed_give_the_response_back() -> None:
    spectra = np.random.default_rng(2).random((60, 9)) + 0.1
    matrix = response(9, 3)
    found, weights = ResponseFit(spectra, 1.0).fit(spectra @ matrix)
    np.testing.assert_allclose(found, matrix, atol=1e-6)
    assert weights.shape == (3,)


def test_what_no_response_explains_is_the_least_squares_residual() -> None:
    generator = np.random.default_rng(3)
    spectra, colours = generator.random((40, 5)), generator.random((40, 2))
    weights = np.array([0.5, 2.0])
    prior = smoothness_prior(5, 1.0)
    left = np.square(ResponseFit(spectra, 1.0).unexplained(colours, weights)).sum(0)
    for channel, weight in enumerate(weights):
        system = np.vstack([spectra, np.sqrt(weight) * prior])
        right = np.concatenate([colours[:, channel], np.zeros(5)])
        best = np.linalg.lstsq(system, right, rcond=None)[0]
        assert left[channel] == pytest.approx(np.square(system @ best - right).sum(), rel=1e-9)


@pytest.mark.parametrize("shape", [GaussianShape(), GaussianShape(window=8.0), DetectorShape()])
def test_shapes_are_psfs_that_move_with_their_position(shape: PsfShape) -> None:
    parameters = shape.start(4, (0.0, 0.0))
    moved = shape.kernel(shape.moved(parameters, (2.0, -1.0)), 20)
    assert moved.min() >= 0
    assert moved.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(
        moved[3:, :-1][:15, :15], shape.kernel(parameters, 20)[1:, 1:][:15, :15], atol=1e-6
    )


def test_the_standard_shapes_are_the_projects_psfs() -> None:
    start = np.zeros(2)
    gaussian = GaussianShape(window=8.0).kernel(GaussianShape().start(4, (0.0, 0.0)), 8)
    box = DetectorShape().kernel(np.array([*start, np.log(4), np.log(4), np.log(1e-3)]), 8)
    np.testing.assert_allclose(gaussian, gaussian_psf(4).kernel, atol=1e-9)
    np.testing.assert_allclose(box, on_support(box_psf(4).kernel, (8, 8)), atol=1e-4)


def test_knots_interpolate_constants_and_lines() -> None:
    basis = knot_basis(10, 3)
    np.testing.assert_allclose(basis.sum(1), 1.0)
    knots = (np.arange(basis.shape[1]) - (basis.shape[1] - 1) / 2) * 3
    np.testing.assert_allclose(basis @ knots, np.arange(10) - 4.5, atol=1e-12)
