"""Faulty observations: what is found is named, nothing becomes NaN, and the result stays above bicubic's."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

import hsr_tf
from hsr_tf import methods
from hsr_tf.closed_forms.agreement import suspicion
from hsr_tf.findings import FindingWarning
from hsr_tf.fusion.repair import SATURATED, repair
from hsr_tf.physics.cameras import make_cameras
from hsr_tf.scene import Observation, Scene, Solution
from tests.solver_for_tests import blended, registered

WAVELENGTHS_NM = np.arange(420.0, 681.0, 20.0)
SCALE, BORDER = 4, 4
METHODS = ("spectral_ls", "blended")


@pytest.fixture(autouse=True)
def tiny_solver(monkeypatch: pytest.MonkeyPatch) -> None:
    registered(monkeypatch, "blended", blended, needs=("psf", "srf"))


@pytest.fixture(scope="module")
def scene() -> Scene:
    """Five materials mixed by smooth maps, with fine grain; 64 x 96 x 14."""
    rng = np.random.default_rng(3)
    spectra = 0.2 + 0.6 * ndimage.gaussian_filter1d(rng.random((5, 14)), 2, axis=1)
    maps = [ndimage.gaussian_filter(rng.standard_normal((64, 96)), 1.2) for _ in range(5)]
    shares = np.exp(5 * np.stack(maps, -1))
    cube = shares / shares.sum(-1, keepdims=True) @ spectra
    return Scene(cube.astype("f4"), WAVELENGTHS_NM, "mixture")


@pytest.fixture(scope="module")
def observation(scene: Scene) -> Observation:
    return hsr_tf.simulate(scene, scale=SCALE)


def psnr(reference: np.ndarray, estimate: Solution) -> float:
    """Over the pixels with data and all bands together."""
    mask = estimate.estimate.nodata_mask
    kept = np.ones(reference.shape[:2], bool) if mask is None else ~mask
    return float(-10 * np.log10(np.square(reference - estimate.estimate.cube)[kept].mean()))


def told(observation: Observation, method: str, **cameras: str) -> tuple[Solution, list[str]]:
    """The solution and the lines that a user reads."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        solution = hsr_tf.fuse(observation, method, **cameras)
    return solution, [str(one.message) for one in caught if one.category is FindingWarning]


def without_bands(observation: Observation, values: dict[int, float]) -> Observation:
    cube = observation.lr_hsi.cube.copy()
    for band, value in values.items():
        cube[..., band] = value
    return replace(observation, lr_hsi=replace(observation.lr_hsi, cube=cube))


def with_hole(observation: Observation, name: str, place: tuple[slice, slice]) -> Observation:
    image = getattr(observation, name)
    mask = np.zeros(image.shape[:2], bool)
    mask[place] = True
    cube = image.cube.copy()
    cube[mask] = np.nan
    return replace(observation, **{name: replace(image, cube=cube, nodata_mask=mask)})


def saturated(scene: Scene) -> Observation:
    """The colour camera and two bands of the cube clip at what a tenth of their pixels exceed."""
    made = hsr_tf.simulate(scene, scale=SCALE)
    images = {}
    for name, bands in (("lr_hsi", [2, 5]), ("hr_msi", [0, 1, 2])):
        cube = getattr(made, name).cube.copy()
        for band in bands:
            cube[..., band] = np.minimum(cube[..., band], np.percentile(cube[..., band], 97))
        images[name] = replace(getattr(made, name), cube=cube)
    return replace(made, **images)


def hole_in_x(observation: Observation) -> Observation:
    return with_hole(observation, "lr_hsi", (slice(2, 6), slice(10, 17)))


def hole_in_y(observation: Observation) -> Observation:
    return with_hole(observation, "hr_msi", (slice(40, 51), slice(3, 30)))


FAULTS: dict[str, tuple[Callable[[Observation], Observation], str]] = {
    "zero and constant bands": (
        lambda o: without_bands(o, {0: 0.0, 6: 0.5, 7: 0.5}),
        "lr_hsi: 3 dead bands 1 at 420 nm, 7 at 540 nm, 8 at 560 nm (constant)",
    ),
    "a dead band": (lambda o: without_bands(o, {4: 0.0}), "lr_hsi: 1 dead band 5 at 500 nm (all zero)"),
    "no data in X": (hole_in_x, "lr_hsi: 28 pixels without data (rows 2 to 5, columns 10 to 16)"),
    "no data in Y": (hole_in_y, "hr_msi: 297 pixels without data (rows 40 to 50, columns 3 to 29)"),
    "both": (lambda o: hole_in_x(hole_in_y(without_bands(o, {3: 0.0}))), "lr_hsi: 28 pixels without data"),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_named_and_survived(
    fault: str, method: str, scene: Scene, observation: Observation
) -> None:
    damage, words = FAULTS[fault]
    damaged = damage(observation)
    solution, lines = told(damaged, method)
    assert any(line.startswith(words) for line in lines), lines
    floor, _ = told(damaged, "bicubic")
    assert solution.estimate.shape == scene.shape and np.isfinite(solution.estimate.cube).all()
    assert psnr(scene.cube, solution) >= psnr(scene.cube, floor)
    assert solution.hr_msi_residual is not None and np.isfinite(solution.hr_msi_residual)


@pytest.mark.parametrize("method", METHODS)
def test_saturated_samples_are_named_and_kept(method: str, scene: Scene) -> None:
    clipped = saturated(scene)
    solution, lines = told(clipped, method)
    (coarse,) = (line for line in lines if line.startswith("lr_hsi:"))
    (sharp,) = (line for line in lines if line.startswith("hr_msi:"))
    assert "at the maximum of bands 3 at 460 nm, 6 at 520 nm: saturated; kept" in coarse
    top = clipped.hr_msi.cube.max((0, 1))
    assert f"hr_msi: {(clipped.hr_msi.cube == top).any(-1).sum()} pixels (rows " in sharp
    assert "at the maximum of channels 1, 2, 3: saturated" in sharp
    assert np.isfinite(solution.estimate.cube).all()
    assert psnr(scene.cube, solution) >= psnr(scene.cube, told(clipped, "bicubic")[0])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("fwhm", [0.75 * SCALE, 1.25 * SCALE])
def test_a_wrong_psf_is_suspected_and_survived(
    fwhm: float, method: str, scene: Scene, observation: Observation
) -> None:
    solution, lines = told(observation, method, psf=f"gaussian:fwhm={fwhm}")
    assert any(
        "follows the image, more than noise explains: the PSF is probably not" in line for line in lines
    )
    assert np.isfinite(solution.estimate.cube).all()
    assert psnr(scene.cube, solution) >= psnr(scene.cube, told(observation, "bicubic")[0])


def test_a_wrong_response_and_a_shift_are_suspected(scene: Scene, observation: Observation) -> None:
    solution, lines = told(observation, "spectral_ls", srf="nikon_5100_npl")
    # Gains of the channels explain this one, and are undone and reported.
    assert not lines and solution.estimate.metadata["radiometry"].startswith("gain 1.027, 1.004, 1.003")
    _, lines = told(observation, "spectral_ls", srf="sigma_sdmerill_npl")
    assert any("the response is probably not the colour camera's" in line for line in lines), lines
    rolled = np.roll(observation.hr_msi.cube, (1, 2), (0, 1))
    moved = replace(observation, hr_msi=replace(observation.hr_msi, cube=rolled))
    _, lines = told(moved, "spectral_ls")
    assert any("one image probably lies off the other" in line for line in lines), lines


@pytest.mark.parametrize("snr_db", [(None, None), (35, 40), (20, 25)])
def test_noise_with_the_right_cameras_is_no_reason_for_a_warning(
    snr_db: tuple[float | None, float | None], scene: Scene
) -> None:
    noisy = hsr_tf.simulate(scene, scale=SCALE, snr_db=snr_db)
    assert told(noisy, "spectral_ls")[1] == []


def test_tiny_and_flat_images_raise_no_suspicion() -> None:
    flat = Scene(np.full((8, 12, 14), 0.5), WAVELENGTHS_NM)
    seen = hsr_tf.simulate(flat, scale=SCALE)
    solution, lines = told(seen, "spectral_ls")
    assert lines == [] and np.isfinite(solution.estimate.cube).all()
    model = make_cameras(flat, SCALE)
    assert suspicion(model, seen.lr_hsi.cube + 1, seen.hr_msi.cube) is None


def test_what_has_no_data_is_marked_with_zeros(observation: Observation) -> None:
    solution, _ = told(hole_in_x(hole_in_y(observation)), "spectral_ls")
    expected = np.zeros((64, 96), bool)
    expected[8:24, 40:68] = expected[40:51, 3:30] = True
    np.testing.assert_array_equal(solution.estimate.nodata_mask, expected)
    assert not solution.estimate.cube[expected].any() and solution.estimate.cube[~expected].any(-1).all()


def test_dead_bands_are_interpolated_over_the_wavelengths(observation: Observation) -> None:
    uneven = WAVELENGTHS_NM.copy()
    uneven[6] -= 8.0
    moved = replace(observation, lr_hsi=replace(observation.lr_hsi, wavelengths_nm=uneven))
    solution, _ = told(without_bands(moved, {0: 0.0, 6: 0.25}), "bicubic")
    cube = solution.estimate.cube
    np.testing.assert_allclose(cube[..., 6], 0.7 * cube[..., 5] + 0.3 * cube[..., 7], atol=1e-5)
    np.testing.assert_array_equal(cube[..., 0], cube[..., 1])


def test_the_response_of_the_bands_left_explains_the_colour_image(
    scene: Scene, observation: Observation
) -> None:
    """Without noise, a cube whose dead bands are what is interpolated agrees with Y through M R."""
    found = repair(without_bands(observation, {2: 0.0, 9: 0.0}))
    model = found.cameras(make_cameras(scene, SCALE))
    cube = np.random.default_rng(0).random((3, 5, 12)).astype("f4")
    whole = cube @ found.mixing
    full = make_cameras(scene, SCALE).spectral.matrix
    np.testing.assert_allclose(cube @ model.spectral.matrix, whole @ full, atol=1e-6)
    back = found.full_response(model.spectral.matrix)
    np.testing.assert_allclose(found.mixing @ back, model.spectral.matrix, atol=1e-12)


def test_a_dead_channel_is_left_out(observation: Observation, scene: Scene) -> None:
    cube = observation.hr_msi.cube.copy()
    cube[..., 1] = 0.0
    solution, lines = told(replace(observation, hr_msi=replace(observation.hr_msi, cube=cube)), "spectral_ls")
    assert lines[0] == "hr_msi: 1 dead channel 2 (all zero); left out"
    assert psnr(scene.cube, solution) > psnr(scene.cube, told(observation, "bicubic")[0])


def test_sound_images_are_passed_on_as_they_are(observation: Observation) -> None:
    found = repair(observation)
    assert found.findings == () and found.nodata is None and found.trusted.all()
    assert found.observation.lr_hsi is observation.lr_hsi and found.observation.hr_msi is observation.hr_msi


def test_integer_levels_and_flat_objects_are_not_taken_for_saturation(scene: Scene) -> None:
    dim = np.round(20 * scene.cube) / 255
    block = scene.cube.copy()
    block[10:30, 20:40] = 1.01 * block.max((0, 1)) * np.linspace(1.0, 0.5, 14)
    for cube in (dim, block):
        made = Observation(Scene(np.zeros((16, 24, 2)) + np.arange(2)), Scene(cube.astype("f4")), SCALE)
        assert not [defect for defect in repair(made).findings if defect.kind == SATURATED]


@pytest.mark.slow
@pytest.mark.parametrize("method", [name for name in methods.names("solver") if name != "adapt"])
def test_every_solver_survives_every_fault(method: str, scene: Scene, observation: Observation) -> None:
    """All faults at once, and a wrong PSF; `adapt` needs weights for these bands, which nobody ships."""
    damaged = hole_in_x(hole_in_y(without_bands(observation, {0: 0.0, 6: 0.5})))
    quick = hsr_tf.Controls(max_seconds=10)
    for images, psf in ((damaged, None), (observation, "gaussian:fwhm=3"), (observation, "gaussian:fwhm=5")):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            solution = hsr_tf.fuse(images, method, psf=psf, controls=quick)
            floor = hsr_tf.fuse(images, "bicubic")
        assert np.isfinite(solution.estimate.cube).all(), psf
        assert psnr(scene.cube, solution) >= psnr(scene.cube, floor), psf


def test_an_image_without_any_data_is_refused(observation: Observation) -> None:
    with pytest.raises(ValueError, match="hr_msi: expected data in some pixels"):
        hsr_tf.fuse(with_hole(observation, "hr_msi", (slice(None), slice(None))))


def test_a_solver_gives_its_own_cameras_and_bands(
    observation: Observation, monkeypatch: pytest.MonkeyPatch
) -> None:
    registered(monkeypatch, "knows_nothing", blended, needs=())
    assert methods.get("knows_nothing").needs == ()
    solution, _ = told(without_bands(observation, {4: 0.0}), "knows_nothing")
    assert solution.srf is not None and solution.srf.shape == (14, 3) and not solution.srf[4].any()
    assert solution.psf is not None and solution.shift_pixels == (0.5, -1.0)
    assert (solution.iterations, solution.converged) == (2, True)
    meta = solution.estimate.metadata
    assert meta["kindness"] == 3 and "(estimated)" in meta["psf"] and meta["srf"] == "estimated"
