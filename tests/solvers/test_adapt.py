"""A trained network adapted to one scene: it starts where training ended and never gets worse there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hsr_tf.fusion.api import fuse, simulate
from hsr_tf.networks.fusion_model import FusionConfig, FusionModel
from hsr_tf.networks.pretrained import save_model
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.spectral import load_srf
from hsr_tf.scene import Observation, Scene
from hsr_tf.solvers.adapt import Adapt, AdaptConfig
from hsr_tf.solvers.solver import Controls, Step
from tests.solvers.scenes import cameras, mixture, pair, psnr

NUM_BANDS, SCALE, NUM_STEPS = 5, 2, 8
# A step of so small a network takes a tenth of the time of tracing it.
pytestmark = pytest.mark.usefixtures("untraced")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> AdaptConfig:
    """A network whose head is not zero, stored as a trained one."""
    config = FusionConfig(
        "ms_ssfnet", SCALE, NUM_BANDS, base="spectral_ls", options=(("features", 8), ("num_levels", 1))
    )
    model = FusionModel(config, cameras(NUM_BANDS, scale=SCALE))
    rng = np.random.default_rng(0)
    for weight in model.network.trainable_weights:
        weight.assign(weight.numpy() + 0.002 * rng.standard_normal(weight.shape))
    folder = save_model(model.for_inference(), tmp_path_factory.mktemp("model") / "net", {})
    return AdaptConfig(weights=folder, num_steps=NUM_STEPS, learning_rate=1e-3, turns=False, kernel_share=0.0)


@pytest.fixture(scope="module")
def scene() -> tuple[np.ndarray, np.ndarray, np.ndarray, ObservationModel]:
    model = cameras(NUM_BANDS, scale=SCALE)
    cube = mixture(40, 36, NUM_BANDS, num_spectra=5)
    return cube, *pair(cube, model), model


def test_fine_tuning_gains_and_tells_each_step(trained: AdaptConfig, scene: tuple) -> None:
    cube, lr_hsi, hr_msi, model = scene
    steps: list[Step] = []
    found = Adapt(model, trained).solve(lr_hsi, hr_msi, Controls(callback=steps.append))
    assert [step.iteration for step in steps] == list(range(1, found.iterations + 1))
    assert steps[-1].objective < steps[0].objective  # type: ignore[operator]
    still = Adapt(model, replace(trained, num_steps=0)).solve(lr_hsi, hr_msi)
    assert (still.details["fine_tuning_steps"], found.details["fine_tuning_steps"]) == (0, NUM_STEPS)
    assert psnr(cube, found.estimate) > psnr(cube, still.estimate)


def test_weights_stay_where_a_pair_would_mislead(trained: AdaptConfig, scene: tuple) -> None:
    _, lr_hsi, hr_msi, model = scene
    noisy = (lr_hsi + 0.02 * np.random.default_rng(0).standard_normal(lr_hsi.shape)).astype(np.float32)
    assert Adapt(model, trained).solve(noisy, hr_msi).details["fine_tuning_steps"] == 0
    small = Adapt(model, trained).solve(lr_hsi[:12], hr_msi[: 12 * SCALE])
    assert small.details["fine_tuning_steps"] == 0


@pytest.mark.slow
def test_kernel_regression_adds_to_it(trained: AdaptConfig, scene: tuple) -> None:
    cube, lr_hsi, hr_msi, model = scene
    quick = replace(trained, num_steps=0)
    alone = Adapt(model, quick).solve(lr_hsi, hr_msi).estimate
    shared = Adapt(model, replace(quick, kernel_share=0.5)).solve(lr_hsi, hr_msi).estimate
    found = Adapt(model, replace(quick, kernel_share=None)).solve(lr_hsi, hr_msi)
    assert psnr(cube, shared) > psnr(cube, alone)
    assert psnr(cube, found.estimate) > psnr(cube, alone)
    assert found.details["kernel_share"] > 0


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bits(trained: AdaptConfig, scene: tuple) -> None:
    _, lr_hsi, hr_msi, model = scene
    config = replace(trained, num_steps=5)
    first, second = (Adapt(model, config).solve(lr_hsi, hr_msi).estimate for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_without_weights_for_the_cameras_it_starts_from_those_for_any() -> None:
    """At x3 there are none for the D700, at x16 both: their mean; no weights know other bands."""
    cube, srf = mixture(48, 48, 31).astype(np.float32), load_srf("nikon_d700", np.linspace(400.0, 700.0, 31))
    quick, found = Controls(max_seconds=10), {}
    for scale in (3, 16):
        scene = Scene(cube, np.linspace(400.0, 700.0, 31))
        solution = fuse(simulate(scene, scale=scale, srf=srf), "adapt", srf=srf, controls=quick)
        found[scale] = solution.estimate.metadata["weights"]
    assert found == {3: "prior", 16: "ms_ssfnet_nikon_d700_31_x16 + prior"}
    infrared = simulate(Scene(cube, np.linspace(900.0, 1200.0, 31)), scale=3, srf=srf)
    with pytest.raises(ValueError, match=r"weights: .* got 31 bands, 900 to 1200 nm"):
        fuse(infrared, "adapt", srf=srf)


def test_a_network_that_is_named_has_to_be_that_of_the_weights(trained: AdaptConfig, scene: tuple) -> None:
    _, lr_hsi, hr_msi, model = scene
    with pytest.raises(ValueError, match="weights: expected weights for ssf_cnn"):
        Adapt(model, replace(trained, network="ssf_cnn")).solve(lr_hsi, hr_msi)


def test_a_psf_that_nobody_knows_is_estimated() -> None:
    cube = mixture(64, 64, 31).astype(np.float32)
    seen = simulate(Scene(cube, np.linspace(400.0, 700.0, 31)), scale=4, psf="gaussian:fwhm=3")
    bare = Observation(*(Scene(s.cube, s.wavelengths_nm) for s in (seen.lr_hsi, seen.hr_msi)), 4)
    solution = fuse(bare, "adapt", srf="nikon_d700", controls=Controls(max_seconds=10))
    assert "estimated" in str(solution.estimate.metadata["psf"])


def test_a_time_limit_ends_it(trained: AdaptConfig, scene: tuple) -> None:
    _, lr_hsi, hr_msi, model = scene
    found = Adapt(model, trained).solve(lr_hsi, hr_msi, Controls(max_seconds=0.01))
    assert (found.iterations, found.converged) == (1, False)
    assert np.isfinite(found.estimate).all()


def test_weights_that_are_missing_or_do_not_fit_are_named(trained: AdaptConfig, tmp_path: Path) -> None:
    model = cameras(7, scale=SCALE)
    lr_hsi, hr_msi = pair(mixture(24, 24, 7), model)
    with pytest.raises(ValueError, match="weights: expected weights for ms_ssfnet, 7 bands"):
        Adapt(model, trained).solve(lr_hsi, hr_msi)
    with pytest.raises(OSError, match="no trained model here"):
        Adapt(model, replace(trained, weights=tmp_path)).solve(lr_hsi, hr_msi)
    with pytest.raises(ValueError, match="kernel_share: expected 0 to 1"):
        replace(trained, kernel_share=2.0)
