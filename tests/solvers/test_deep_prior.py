"""Unsupervised fusion: the loss is the model's, steps are resumed bit for bit, early stopping holds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from hsr_tf.closed_forms.quadratic_map import SpectralLS
from hsr_tf.physics.psf import Psf, gaussian_psf
from hsr_tf.physics.spatial import SpatialDegradation
from hsr_tf.solvers.deep_prior import PUBLISHED, DeepPrior, DeepPriorConfig
from hsr_tf.solvers.kernel_ls import KernelRegression
from hsr_tf.solvers.parts.prior_networks import NetworkShape, build_network
from hsr_tf.solvers.parts.scene_loss import LossPlan, SceneLoss, SceneTerms, reduced_degradation
from hsr_tf.solvers.solver import Controls, Step
from tests.solvers.scenes import cameras, mixture, pair, psnr

QUICK = DeepPriorConfig(
    base="spectral_ls", features=16, tile=6, num_steps=30, kernels=((4.0, 8.0),), num_features=128
)


class Fixed:
    """A network that gives one image, whatever it is shown."""

    name = "pixelwise"

    def __init__(self, codes: np.ndarray) -> None:
        self.codes = tf.constant(codes)

    def __call__(self, inputs: tf.Tensor) -> tf.Tensor:
        return self.codes[None] + 0 * inputs[..., :1]


def terms_of(cube: np.ndarray, scale: int) -> tuple[SceneTerms, SpatialDegradation, np.ndarray]:
    model = cameras(cube.shape[-1], scale=scale, psf=asymmetric_psf(scale))
    lr_hsi, hr_msi = pair(cube, model)
    response = model.spectral.matrix.astype(np.float32)
    held_out = np.zeros(lr_hsi.shape[:2], bool)
    weights = np.ones(cube.shape[-1], np.float32)
    return SceneTerms(hr_msi, lr_hsi, weights, hr_msi, response, held_out), model.spatial, response


def asymmetric_psf(scale: int) -> Psf:
    kernel = gaussian_psf(scale).kernel.copy()
    kernel[: len(kernel) // 2, : len(kernel) // 3] *= 3
    return Psf(kernel)


def test_the_loss_of_the_whole_scene_is_the_plain_sum_and_vanishes_for_the_truth() -> None:
    cube = mixture(12, 20, 5)
    terms, spatial, response = terms_of(cube, 4)
    model = cameras(5, psf=asymmetric_psf(4))
    loss = SceneLoss(model, terms, LossPlan(tile=0, coarse_levels=0, num_steps=10, seed=1))
    assert float(loss(Fixed(cube), tf.constant(0))) < 1e-10
    wrong = cube + 0.1 * np.random.default_rng(0).standard_normal(cube.shape).astype(np.float32)
    coarse = spatial.forward(tf.constant(wrong[None]))[0].numpy()
    plain = np.sum((terms.hsi_targets - coarse) ** 2) + np.sum((terms.msi_targets - wrong @ response) ** 2)
    assert float(loss(Fixed(wrong), tf.constant(0))) == pytest.approx(plain / (12 * 20), rel=1e-4)


def test_a_held_out_pixel_does_not_count() -> None:
    cube = mixture(12, 20, 5)
    terms, _, _ = terms_of(cube, 4)
    held_out = terms.held_out.copy()
    held_out[1, 2] = True
    spoilt = terms.hsi_targets.copy()
    spoilt[1, 2] += 1.0
    model = cameras(5, psf=asymmetric_psf(4))
    plan = LossPlan(tile=0, coarse_levels=0, num_steps=10, seed=1)
    seen = SceneLoss(model, replace(terms, hsi_targets=spoilt), plan)
    unseen = SceneLoss(model, replace(terms, hsi_targets=spoilt, held_out=held_out), plan)
    assert float(seen(Fixed(cube), tf.constant(0))) > 1e-3
    assert float(unseen(Fixed(cube), tf.constant(0))) < 1e-10
    assert unseen.held_out_error(build(3, 5)) > 0


def build(inputs: int, outputs: int) -> object:
    shape = NetworkShape(inputs=inputs, outputs=outputs, features=8, zero_head=True, dtype="float32", seed=0)
    return build_network("pixelwise", shape)


@pytest.mark.parametrize(("scale", "factor"), [(4, 2), (6, 3), (8, 4), (6, 2)])
def test_a_reduced_degradation_sees_enlarged_pixels_alike(scale: int, factor: int) -> None:
    fine = SpatialDegradation(asymmetric_psf(scale), scale)
    small = mixture(10 * scale // factor, 12 * scale // factor, 3)
    large = small.repeat(factor, 0).repeat(factor, 1)
    expected = fine.forward(tf.constant(large[None])).numpy()
    found = reduced_degradation(fine, factor).forward(tf.constant(small[None])).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_tiles_draw_on_the_same_scene_and_their_loss_vanishes_for_the_truth() -> None:
    class Lookup(Fixed):
        def __call__(self, inputs: tf.Tensor) -> tf.Tensor:
            return inputs

    cube = mixture(40, 48, 5)
    terms, _, _ = terms_of(cube, 4)
    model = cameras(5, psf=asymmetric_psf(4))
    plan = LossPlan(tile=6, coarse_levels=0, num_steps=10, seed=1)
    loss = SceneLoss(model, replace(terms, inputs=cube), plan)
    values = [float(loss(Lookup(cube), tf.constant(step))) for step in range(4)]
    assert max(values) < 1e-10


@pytest.mark.parametrize(
    ("network", "inputs"),
    [
        ("pixelwise", "noise"),
        ("hourglass", "observations"),
        pytest.param("pixelwise", "observations", marks=pytest.mark.slow),
        pytest.param("hourglass", "noise", marks=pytest.mark.slow),
    ],
)
def test_the_published_loss_falls(network: str, inputs: str) -> None:
    model, steps = cameras(6), list[Step]()
    lr_hsi, hr_msi = pair(mixture(24, 36, 6), model)
    config = replace(PUBLISHED, network=network, inputs=inputs, features=16, num_steps=40, learning_rate=1e-2)
    found = DeepPrior(model, config).solve(lr_hsi, hr_msi, Controls(callback=steps.append))
    losses = [step.objective or 0.0 for step in steps]
    assert found.iterations == len(losses) == 40
    assert np.mean(losses[-5:]) < 0.3 * np.mean(losses[:3])


@pytest.mark.parametrize(
    ("num_channels", "scale", "base"),
    [
        (1, 3, "kernel_ls"),
        (4, 2, "spectral_ls"),
        pytest.param(10, 4, "kernel_ls", marks=pytest.mark.slow),
        pytest.param(10, 4, "spectral_ls", marks=pytest.mark.slow),
        pytest.param(4, 2, "kernel_ls", marks=pytest.mark.slow),
        pytest.param(1, 3, "spectral_ls", marks=pytest.mark.slow),
    ],
)
def test_it_is_no_worse_than_its_base(num_channels: int, scale: int, base: str) -> None:
    cube, model = mixture(36, 48, 11), cameras(11, num_channels, scale=scale)
    lr_hsi, hr_msi = pair(cube, model)
    found = DeepPrior(model, replace(QUICK, base=base, num_steps=60)).solve(lr_hsi, hr_msi)
    start = np.asarray(SpectralLS(model)(lr_hsi[None], hr_msi[None]))[0]
    assert psnr(cube, found.estimate) > psnr(cube, start) - 0.05
    assert found.details["held_out_error"] <= found.details["base_held_out_error"]


@pytest.mark.slow
def test_with_noise_early_stopping_keeps_the_quality_that_more_steps_would_lose() -> None:
    cube, model, rng = mixture(48, 48, 6), cameras(6), np.random.default_rng(0)
    noisy = [
        (image + deviation * rng.standard_normal(image.shape)).astype(np.float32)
        for image, deviation in zip(pair(cube, model), (0.03, 0.005), strict=True)
    ]

    def quality(num_steps: int, *, hold_out: bool) -> float:
        config = replace(QUICK, num_steps=num_steps, learning_rate=1e-2, tile=0, consistent=False)
        found = DeepPrior(model, replace(config, hold_out=hold_out)).solve(*noisy)
        assert hold_out == (found.iterations < num_steps)
        return psnr(cube, found.estimate)

    few, many = (quality(num_steps, hold_out=True) for num_steps in (80, 400))
    assert many > few - 0.1
    assert many > quality(400, hold_out=False) + 1.0


@pytest.mark.parametrize("levels", [pytest.param(0, marks=pytest.mark.slow), 2])
def test_the_same_seed_gives_the_same_bits(levels: int, untraced: None) -> None:
    model = cameras(6)
    lr_hsi, hr_msi = pair(mixture(24, 36, 6), model)
    config = replace(QUICK, coarse_levels=levels, num_steps=6)
    first, second = (DeepPrior(model, config).solve(lr_hsi, hr_msi).estimate for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_a_fit_that_was_cut_off_goes_on_from_its_checkpoint_to_the_same_bits(tmp_path: Path) -> None:
    class Cut(Exception):
        pass

    def cut(step: Step) -> None:
        if step.iteration == 60:
            raise Cut

    model, path = cameras(6), tmp_path / "fit.npz"
    lr_hsi, hr_msi = pair(mixture(24, 36, 6), model)
    solver = DeepPrior(model, replace(QUICK, num_steps=80))
    whole = solver.solve(lr_hsi, hr_msi).estimate
    with pytest.raises(Cut):
        solver.solve(lr_hsi, hr_msi, Controls(checkpoint=path, callback=cut))
    seen = list[Step]()
    resumed = solver.solve(lr_hsi, hr_msi, Controls(checkpoint=path, callback=seen.append))
    assert seen[0].iteration > 25
    np.testing.assert_array_equal(resumed.estimate, whole)
    with pytest.raises(ValueError, match="checkpoint: expected one of the same images"):
        solver.solve(lr_hsi, hr_msi, Controls(seed=7, checkpoint=path))


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    model, path = cameras(6), tmp_path / "fit.npz"
    path.write_bytes(b"PK\x03\x04 not a checkpoint")
    lr_hsi, hr_msi = pair(mixture(24, 36, 6), model)
    with pytest.raises(OSError, match=r"fit\.npz: is no checkpoint"):
        DeepPrior(model, QUICK).solve(lr_hsi, hr_msi, Controls(checkpoint=path))


def test_a_time_limit_ends_with_the_best_so_far() -> None:
    cube, model = mixture(24, 36, 6), cameras(6)
    lr_hsi, hr_msi = pair(cube, model)
    found = DeepPrior(model, QUICK).solve(lr_hsi, hr_msi, Controls(max_seconds=0.01))
    assert (found.iterations, found.converged) == (1, False)
    assert np.isfinite(found.estimate).all()


def test_a_time_limit_cuts_the_base_short_too(monkeypatch: pytest.MonkeyPatch) -> None:
    fitted = []
    fit = KernelRegression._fit
    monkeypatch.setattr(KernelRegression, "_fit", lambda *given: fitted.append(1) or fit(*given))
    model = cameras(6)
    lr_hsi, hr_msi = pair(mixture(24, 36, 6), model)
    config = replace(QUICK, base="kernel_ls", kernels=((4.0, 8.0),) * 2000)
    found = DeepPrior(model, config).solve(lr_hsi, hr_msi, Controls(max_seconds=0.5))
    assert 1 <= len(fitted) < 2000
    assert np.isfinite(found.estimate).all()


def test_an_unknown_option_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="base: expected one of kernel_ls, none, spectral_ls"):
        DeepPriorConfig(base="kernel")
