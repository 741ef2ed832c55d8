"""A pair in units of its noise is the same problem with weights; pairs without noise stay as they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hsr_tf.physics.observation import ObservationModel
from hsr_tf.solvers.parts.noise_units import NoiseUnits, solved_in_noise_units
from hsr_tf.solvers.solver import Controls, Cube, Iterations, Outcome, Solver, Step
from tests.closed_forms.test_map_fit import NUM_BANDS, Simulated, simulated


def noisy() -> Simulated:
    """Band 3 and channel 1 have ten times the noise of the others."""
    scene, rng = simulated(3), np.random.default_rng(5)
    for image, worst in ((scene.lr_hsi, 3), (scene.hr_msi, 1)):
        level = np.full(image.shape[-1], 0.01 * image.mean())
        level[worst] *= 10
        image += (level * rng.standard_normal(image.shape)).astype(np.float32)
    return scene


@dataclass
class Enlarging(Solver):
    """Gives every sharp pixel the spectrum of its coarse one; keeps the pair that it was given."""

    model: ObservationModel

    def solve(self, lr_hsi: Cube, hr_msi: Cube, controls: Controls = Controls()) -> Outcome:
        """See `Solver.solve`."""
        self.given = lr_hsi, hr_msi
        scale, iterations = self.model.scale, Iterations("enlarging", 1, controls)
        estimate = lr_hsi.repeat(scale, 0).repeat(scale, 1)
        for _ in iterations:
            iterations.report(0.0, lambda: estimate)
        return Outcome(estimate, 1, converged=True)


def test_what_is_noisier_counts_less() -> None:
    scene = noisy()
    found = NoiseUnits.of(scene.model, scene.lr_hsi, scene.hr_msi)
    others = np.arange(NUM_BANDS) != 3
    assert found.bands[3] < 0.6 * found.bands[others].min()
    assert found.channels[1] < 0.6 * min(found.channels[0], found.channels[2])
    assert not found.alike


def test_without_noise_all_counts_alike() -> None:
    scene = simulated(3)
    found = NoiseUnits.of(scene.model, scene.lr_hsi, scene.hr_msi)
    assert found.alike
    np.testing.assert_allclose(np.append(found.bands, found.channels), 1.0, rtol=0.02)


def test_residuals_in_these_units_are_weighted_residuals() -> None:
    scene, rng = noisy(), np.random.default_rng(6)
    units = NoiseUnits.of(scene.model, scene.lr_hsi, scene.hr_msi)
    cube = rng.uniform(size=scene.truth.shape).astype(np.float32)
    gap = scene.hr_msi - cube @ scene.model.spectral.matrix
    scaled = scene.hr_msi * units.channels - (cube * units.bands) @ units.model(scene.model).spectral.matrix
    np.testing.assert_allclose(scaled, gap * units.channels, atol=1e-5)
    np.testing.assert_allclose(units.restored(cube * units.bands), cube, rtol=1e-6)


def test_the_estimate_and_every_step_are_in_the_units_of_the_images() -> None:
    scene, seen, built = noisy(), list[Step](), list[Enlarging]()

    def build(model: ObservationModel) -> Solver:
        built.append(Enlarging(model))
        return built[-1]

    images = scene.lr_hsi, scene.hr_msi
    found = solved_in_noise_units(build, scene.model, images, Controls(callback=seen.append))
    expected = scene.lr_hsi.repeat(4, 0).repeat(4, 1)
    np.testing.assert_allclose(found.estimate, expected, rtol=1e-5)
    np.testing.assert_allclose(seen[0].estimate(), expected, rtol=1e-5)
    assert np.ptp(built[0].given[0][..., 3]) < np.ptp(scene.lr_hsi[..., 3])
