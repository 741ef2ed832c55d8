"""Kernel least squares and what it is made of: features, ridge regression, windows, assembly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hsr_tf.closed_forms.consistency import DataConsistency
from hsr_tf.closed_forms.quadratic_map import SpectralLS
from hsr_tf.closed_forms.spectral_ls import fuse_scene
from hsr_tf.physics.nodata import Holes
from hsr_tf.physics.psf import anisotropic_gaussian_psf
from hsr_tf.physics.tiled_pair import ArrayPair
from hsr_tf.solvers.kernel_ls import KERNEL_FEATURES, KernelConfig, KernelLS
from hsr_tf.solvers.parts.assembly import Assembly
from hsr_tf.solvers.parts.completion import degraded
from hsr_tf.solvers.parts.features import Kernel, WideNetwork
from hsr_tf.solvers.parts.in_windows import SolverTiles
from hsr_tf.solvers.parts.ridge import Ridge, fit_ridge, held_out_blocks, judged_folds
from hsr_tf.solvers.parts.subspace import SpectralSubspace
from hsr_tf.solvers.solver import Controls, Step
from hsr_tf.tiling.blending import Cover
from hsr_tf.tiling.scoped import ScopedStore
from hsr_tf.tiling.stages import MemoryStore, SharedStore, run_stages
from tests.solvers.scenes import cameras, mixture, pair, psnr

SMALL = KernelConfig(kernels=((4.0, 8.0), (4.0, 2.0)), draws=1, num_features=128)


def test_products_of_features_approach_the_gaussian_kernel() -> None:
    rng = np.random.default_rng(1)
    u = rng.standard_normal((1, 6, 5)).astype(np.float32)
    drawn = Kernel(1.5, 3.0, 40_000).draw(u, rng)
    phi = drawn.images(u)[0]
    scaled = u[0] / np.array([1.5, 1.5, 1.5, 3.0, 3.0])
    squares = ((scaled[:, None] - scaled[None]) ** 2).sum(-1)
    np.testing.assert_allclose(phi @ phi.T, np.exp(-squares / 2), atol=0.02)


def test_products_of_wide_layers_approach_the_arc_cosine_times_the_gaussian_kernel() -> None:
    rng = np.random.default_rng(1)
    u = rng.standard_normal((1, 6, 5)).astype(np.float32) + 3
    phi = WideNetwork(((1.5, 3.0),), 60_000).draw(u, rng).images(u)[0]
    colours = np.concatenate([(u[0, :, :3] - u[0, :, :3].mean(0)) / 1.5, np.ones((6, 1))], -1)
    norms = np.linalg.norm(colours, axis=-1)
    angles = np.arccos(np.clip(colours @ colours.T / np.outer(norms, norms), -1, 1))
    kernel = np.outer(norms, norms) * (np.sin(angles) + (np.pi - angles) * np.cos(angles)) / np.pi
    squares = (((u[0, :, None, 3:] - u[0, None, :, 3:]) / 3.0) ** 2).sum(-1)
    np.testing.assert_allclose(phi @ phi.T, kernel * np.exp(-squares / 2) / np.mean(norms**2), atol=0.05)


def test_units_of_several_lengths_count_alike_and_together_as_one() -> None:
    rng = np.random.default_rng(2)
    u = rng.standard_normal((8, 9, 5)).astype(np.float32)
    energy = np.square(WideNetwork(((1.0, 2.0), (4.0, 8.0)), 4000).draw(u, rng).images(u)).mean((0, 1))
    np.testing.assert_allclose([energy[:4000].sum(), energy[4000:].sum()], 0.5, rtol=0.1)


@pytest.mark.parametrize("shape", [(30, 7), (7, 30)])
def test_ridge_solves_the_normal_equations_in_both_forms(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(2)
    features, targets = rng.standard_normal(shape), rng.standard_normal((shape[0], 3))
    weight = 0.03
    normal = features.T @ features + weight * shape[0] * np.eye(shape[1])
    found = Ridge(features, targets).coefficients(weight)
    np.testing.assert_allclose(found, np.linalg.solve(normal, features.T @ targets), rtol=1e-9)


def test_the_held_out_samples_ask_for_more_weight_when_the_targets_are_noisy() -> None:
    rng = np.random.default_rng(3)
    features = rng.standard_normal((200, 60))
    clean = features @ rng.standard_normal((60, 2))
    held_out = np.arange(200) % 5 == 0
    weights = (1e-9, 1e-6, 1e-3, 1e-1, 1.0)
    exact = fit_ridge(features, clean, [held_out], weights=weights)
    noisy = fit_ridge(features, clean + 20 * rng.standard_normal(clean.shape), [held_out], weights=weights)
    assert exact.weight < 1e-3 < noisy.weight
    assert exact.held_out_error < 1e-6 < noisy.held_out_error


def test_held_out_blocks_are_about_a_fifth() -> None:
    assert 0.1 < held_out_blocks(40, 31).mean() < 0.3


def test_few_pixels_are_all_held_out_once_and_many_in_part() -> None:
    few, many = judged_folds(12, 13), judged_folds(40, 31)
    np.testing.assert_array_equal(np.sum(few, 0), np.ones(12 * 13))
    assert [fold.sum() for fold in many] == [held_out_blocks(40, 31).sum()]


def test_without_a_fold_the_largest_weight_is_taken() -> None:
    features, nothing = np.random.default_rng(5).standard_normal((9, 4)), np.zeros(9, bool)
    found = fit_ridge(features, features[:, :1], [nothing, ~nothing], weights=(1e-3, 0.5))
    assert found.weight == 0.5
    assert np.isnan(found.held_out_error)


@pytest.mark.parametrize("size", [(20, 33), (8, 9), (64, 17)])
def test_weights_of_the_windows_sum_to_one(size: tuple[int, int]) -> None:
    cover = Cover(size, 3, size=8, overlap=2)
    total = np.zeros((size[0] * 3, size[1] * 3))
    for window in cover.windows():
        assert window.height <= 12
        total[window.scaled(3).slices] += cover.weights(window)
    np.testing.assert_allclose(total, 1.0, atol=1e-6)


def test_the_subspace_holds_the_energy_it_was_asked_for() -> None:
    cube = mixture(12, 15, 23, num_spectra=3)
    space = SpectralSubspace.of(cube, energy=0.99999)
    assert space.rank <= 3
    np.testing.assert_allclose(space.vectors @ space.vectors.T, np.eye(space.rank), atol=1e-5)
    np.testing.assert_allclose(space.expand(space.codes(cube)), cube, atol=0.01)


def test_assembly_in_parts_equals_the_plain_expression(monkeypatch: pytest.MonkeyPatch) -> None:
    cube, model = mixture(24, 36, 7), cameras(7)
    lr_hsi, hr_msi = pair(cube, model)
    monkeypatch.setattr("hsr_tf.solvers.parts.assembly.FLOATS_AT_ONCE", 24 * 36 * 2)
    assembly = Assembly(model, lr_hsi, hr_msi)
    start = assembly.start()
    found = assembly.cube(start.spectral_map)
    assembly.complete(found)
    whole = fuse_scene(model, lr_hsi, hr_msi).estimate
    np.testing.assert_allclose(found, whole, atol=2e-5)


def test_the_completed_cube_agrees_with_both_images() -> None:
    model = cameras(9)
    lr_hsi, hr_msi = pair(mixture(32, 24, 9), model)
    estimate = KernelLS(model, SMALL).solve(lr_hsi, hr_msi).estimate
    np.testing.assert_allclose(Assembly(model, lr_hsi, hr_msi).degraded(estimate), lr_hsi, atol=1e-4)
    np.testing.assert_allclose(estimate @ model.spectral.matrix, hr_msi, atol=1e-4)


@pytest.mark.parametrize(("num_channels", "scale"), [(1, 4), (3, 3), (4, 2), (10, 4)])
def test_it_gains_over_the_map_that_it_starts_from(num_channels: int, scale: int) -> None:
    cube, model = mixture(60, 48, 13, num_spectra=6), cameras(13, num_channels, scale=scale)
    lr_hsi, hr_msi = pair(cube, model)
    start = np.asarray(SpectralLS(model)(lr_hsi[None], hr_msi[None]))[0]
    found = KernelLS(model, SMALL).solve(lr_hsi, hr_msi)
    assert found.converged
    assert found.iterations == 2
    assert psnr(cube, found.estimate) > psnr(cube, start)


def test_windows_give_nearly_what_the_whole_scene_gives() -> None:
    cube, model = mixture(64, 640, 5), cameras(5, scale=4)
    lr_hsi, hr_msi = pair(cube, model)
    whole = KernelLS(model, SMALL).solve(lr_hsi, hr_msi)
    parts = KernelLS(model, KernelConfig(**{**vars(SMALL), "window": 1})).solve(lr_hsi, hr_msi)
    assert parts.iterations == whole.iterations
    long = mixture(64, 1040, 5)
    lr_hsi, hr_msi = pair(long, model)
    found = KernelLS(model, SMALL).solve(lr_hsi, hr_msi)
    assert found.iterations > whole.iterations
    start = np.asarray(SpectralLS(model)(lr_hsi[None], hr_msi[None]))[0]
    assert psnr(long, found.estimate) > psnr(long, start)


def test_the_same_seed_gives_the_same_bits_and_another_seed_others() -> None:
    model = cameras(6)
    lr_hsi, hr_msi = pair(mixture(24, 20, 6), model)
    runs = [KernelLS(model, SMALL).solve(lr_hsi, hr_msi, Controls(seed=s)).estimate for s in (3, 3, 4)]
    np.testing.assert_array_equal(runs[0], runs[1])
    assert np.abs(runs[0] - runs[2]).max() > 0


def test_a_time_limit_ends_it_with_the_kernels_so_far() -> None:
    model = cameras(6)
    lr_hsi, hr_msi = pair(mixture(24, 20, 6), model)
    found = KernelLS(model, SMALL).solve(lr_hsi, hr_msi, Controls(max_seconds=1e-3))
    assert (found.iterations, found.converged) == (1, False)
    assert np.isfinite(found.estimate).all()


def test_the_callback_sees_every_iteration_and_the_estimate() -> None:
    model, steps = cameras(6), list[Step]()
    lr_hsi, hr_msi = pair(mixture(24, 20, 6), model)
    final = KernelLS(model, SMALL).solve(lr_hsi, hr_msi, Controls(callback=steps.append)).estimate
    assert [(step.iteration, step.objective) for step in steps] == [(1, None), (2, None)]
    np.testing.assert_array_equal(steps[-1].estimate(), final)


def test_noise_keeps_the_projection_away() -> None:
    cube, model = mixture(48, 40, 8), cameras(8)
    lr_hsi, hr_msi = pair(cube, model)
    rng = np.random.default_rng(5)
    noisy = (lr_hsi + 0.02 * rng.standard_normal(lr_hsi.shape)).astype(np.float32)
    found = KernelLS(model, SMALL).solve(noisy, hr_msi).estimate
    forced = np.asarray(DataConsistency(model)(found[None], noisy[None], hr_msi[None]))[0]
    assert psnr(cube, found) > psnr(cube, forced)


def test_cameras_that_do_not_quite_fit_leave_neither_image_unexplained() -> None:
    model = cameras(40, 1)
    lr_hsi, hr_msi = pair(mixture(48, 44, 40, num_spectra=8), model)
    lr_hsi = lr_hsi * np.linspace(0.9, 1.1, 40, dtype=np.float32)
    found = KernelLS(model, SMALL).solve(lr_hsi, hr_msi).estimate[None]
    apart = model.spectral.forward(lr_hsi[None]) - model.spatial.forward(hr_msi[None])
    limit = float(np.linalg.norm(apart) / np.linalg.norm(lr_hsi @ model.spectral.matrix))
    left = np.linalg.norm(lr_hsi - model.spatial.forward(found)[0]) / np.linalg.norm(lr_hsi)
    gap = np.linalg.norm(hr_msi - model.spectral.forward(found)[0]) / np.linalg.norm(hr_msi)
    assert left < 1.5 * limit
    assert gap < 1.5 * limit


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ((slice(0, 5),), "hr_msi: expected 20x24x3"),
        ((slice(None), slice(None), slice(0, 4)), "lr_hsi: expected 6x6x6"),
    ],
)
def test_images_that_do_not_fit_are_refused(change: tuple[slice, ...], said: str) -> None:
    model = cameras(6)
    lr_hsi, hr_msi = pair(mixture(24, 24, 6), model)
    with pytest.raises(ValueError, match=said):
        KernelLS(model, SMALL).solve(lr_hsi[change], hr_msi)
    broken = lr_hsi.copy()
    broken[0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="lr_hsi: expected finite values"):
        KernelLS(model, SMALL).solve(broken, hr_msi)


def test_colours_that_depend_on_each_other_do_not_blow_noise_up() -> None:
    model = cameras(6)
    lr_hsi, hr_msi = pair(mixture(48, 48, 6, num_spectra=2), model)  # two degrees of freedom, ten features
    rng = np.random.default_rng(0)
    noisy = (lr_hsi + 0.05 * rng.standard_normal(lr_hsi.shape)).astype(np.float32)
    assert np.abs(Assembly(model, noisy, hr_msi).start().residual).max() < 0.5


def test_a_kernel_that_is_not_separable_and_one_channel_do() -> None:
    """Images of several numbers of bands go through one D, whose kernel is tiled to each."""
    slanted = anisotropic_gaussian_psf(3, sigmas=(2.0, 0.8), angle_degrees=30)
    model = cameras(11, 1, scale=3, psf=slanted)
    cube = mixture(48, 60, 11)
    lr_hsi, hr_msi = pair(cube, model)
    start = np.asarray(SpectralLS(model)(lr_hsi[None], hr_msi[None]))[0]
    assert psnr(cube, KernelLS(model, SMALL).solve(lr_hsi, hr_msi).estimate) > psnr(cube, start) - 0.2


def test_the_blurred_estimate_is_had_without_the_sharp_one_from_features_that_are_kept() -> None:
    model = cameras(9)
    lr_hsi, hr_msi = pair(mixture(48, 64, 9), model)
    missing = np.zeros(lr_hsi.shape[:2], bool)
    missing[2::5, 1::3] = True
    config = replace(SMALL, consistent=False)
    found, shared = [], SharedStore()
    for holes in (Holes(missing), Holes()):
        store = ScopedStore(shared, frozenset({KERNEL_FEATURES}), MemoryStore())
        staged = SolverTiles(
            ArrayPair((lr_hsi, hr_msi), model, holes, store=store), KernelLS(model, config), None
        )
        run_stages(staged.survey())
        blurred = staged.blurred()
        assert blurred is not None
        run_stages(staged.estimate())
        np.testing.assert_allclose(blurred, degraded(model.spatial, staged.finish(0)), atol=2e-4)
        found.append(blurred)
    assert shared.has(KERNEL_FEATURES, 0)
    assert not np.array_equal(*found)
    whole = KernelLS(model, config).solve(lr_hsi, hr_msi).estimate
    np.testing.assert_array_equal(staged.finish(0), whole)
