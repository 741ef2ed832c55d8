"""The last step of solvers: how far what an estimate leaves of Y is believed."""

from __future__ import annotations

import numpy as np

from hsr_tf.solvers.parts.assembly import Assembly
from hsr_tf.solvers.parts.completion import spectral_gain
from tests.solvers.scenes import cameras, mixture, pair, response

RESPONSE = response(12, 4).matrix


def test_the_gain_is_the_pseudo_inverse_without_noise_and_none_where_all_is_noise() -> None:
    energy = np.full(4, 1e-3)
    exact = spectral_gain(RESPONSE, energy, np.zeros(4))
    np.testing.assert_allclose(exact, np.linalg.pinv(RESPONSE), atol=1e-4)
    assert not spectral_gain(RESPONSE, energy, 1.01 * energy).any()


def test_the_gain_has_the_least_error_of_random_estimates() -> None:
    """Errors that are alike in all bands and noise of Y are drawn; no multiple of K is better than K."""
    rng = np.random.default_rng(0)
    noise = np.array([0.01, 0.02, 0.01, 0.05])
    errors = 0.1 * rng.standard_normal((20_000, 12))
    left = errors @ RESPONSE + noise * rng.standard_normal((20_000, 4))
    gain = spectral_gain(RESPONSE, np.square(left).mean(0), np.square(noise))

    def error(matrix: np.ndarray) -> float:
        return float(np.square(errors - left @ matrix).mean())

    assert error(gain) < min(error(share * gain) for share in (0.0, 0.8, 1.2))
    assert error(gain) < error(np.linalg.pinv(RESPONSE))


def test_noise_of_the_coarse_cube_is_no_reason_to_doubt_the_sharp_image() -> None:
    """Dots whose spectra Y shows and X hardly does: the map of the scene does not know them."""
    rng = np.random.default_rng(1)
    model = cameras(12, 4)
    dots = rng.standard_normal((64, 64, 4)) * (rng.random((64, 64, 1)) < 0.01) @ model.spectral.matrix.T
    truth = (mixture(64, 64, 12) + dots).astype(np.float32)
    lr_hsi, hr_msi = pair(truth, model)
    lr_hsi = lr_hsi + 0.1 * rng.standard_normal(lr_hsi.shape).astype(np.float32)
    hr_msi = hr_msi + 0.001 * rng.standard_normal(hr_msi.shape).astype(np.float32)
    assembly = Assembly(model, lr_hsi, hr_msi)
    found = assembly.cube(assembly.start().spectral_map)
    before = found.copy()
    assert assembly.complete(found) < 0.1
    errors = [float(np.square(cube - truth).mean()) for cube in (before, found)]
    assert errors[1] < 0.95 * errors[0]
    left = [float(np.square(hr_msi - cube @ model.spectral.matrix).sum()) for cube in (before, found)]
    assert left[1] < 0.1 * left[0]
