"""By bands or at once: the same estimate, for any number of bands and channels and any trust."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from hsr_tf.closed_forms.consistency import DataConsistency
from hsr_tf.closed_forms.map_fit import MapFit
from hsr_tf.closed_forms.quadratic_map import quadratic_features
from hsr_tf.closed_forms.spectral_ls import fuse_scene
from hsr_tf.fusion.api import fuse, simulate
from hsr_tf.physics.cameras import make_cameras
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.psf import Psf
from hsr_tf.physics.resize import bicubic_enlarge
from hsr_tf.physics.spectral import SpectralResponse
from hsr_tf.scene import Observation, Scene


@pytest.mark.parametrize(
    ("num_bands", "num_channels", "scale", "snr_db"),
    [(5, 3, 4, None), (8, 1, 3, None), (19, 4, 2, 60), (9, 3, 4, 45), (17, 3, 2, 20)],
)
def test_the_estimate_is_that_of_all_bands_at_once(
    num_bands: int, num_channels: int, scale: int, snr_db: float | None
) -> None:
    rng = np.random.default_rng(num_bands)
    cube = ndimage.gaussian_filter(rng.random((12 * scale, 9 * scale, num_bands)), (2, 2, 1))
    scene = Scene(((cube - cube.min()) / np.ptp(cube)).astype("f4"))
    matrix = rng.random((num_bands, num_channels))
    response = SpectralResponse(matrix / matrix.sum(0))
    kernel = rng.random((scale + 2, scale))
    kernel[1, 1] = 2 * kernel.sum()  # well conditioned, so that conjugate gradients end at the same place
    psf = Psf(kernel)
    made = simulate(scene, scale=scale, psf=psf, srf=response, snr_db=(snr_db, snr_db))
    model = make_cameras(scene, scale, psf=psf, srf=response)
    pair = (made.lr_hsi.cube, made.hr_msi.cube)
    found = fuse_scene(model, *pair)
    np.testing.assert_allclose(found.estimate, plain_expression(model, *pair, found.fit), atol=2e-4)
    assert found.estimate.dtype == np.float32
    noise_free = snr_db is None
    assert found.fit.trust == pytest.approx(1, abs=1e-3) if noise_free else found.fit.trust < 1


def plain_expression(
    model: ObservationModel, lr_hsi: np.ndarray, hr_msi: np.ndarray, fit: MapFit
) -> np.ndarray:
    """The estimate of the module's formula, all bands at once."""
    consistency, spectral = DataConsistency(model), model.spectral
    blurred = np.asarray(model.spatial.forward(quadratic_features(hr_msi[None])))
    mapped = np.asarray(quadratic_features(hr_msi[None])) @ fit.spectral_map
    residual = lr_hsi - blurred @ fit.spectral_map
    weights, inverse = fit.weights[..., None], spectral.pseudo_inverse()
    sharp_weights = weights.repeat(model.scale, 0).repeat(model.scale, 1)
    signal = 1 - weights * (1 - fit.shares)
    plain = (1 - fit.trust * weights) * fit.usable[..., None] * signal * residual
    colours = np.asarray(model.spatial.forward(hr_msi[None]))
    unexplained = residual - (colours - blurred @ fit.spectral_map @ spectral.matrix) @ inverse
    gap = sharp_weights * ((hr_msi - mapped @ spectral.matrix) @ inverse)
    seen = (weights * unexplained).astype("f4")
    smooth = np.asarray(bicubic_enlarge(seen, model.scale))
    spread = consistency.explain(smooth, seen - np.asarray(model.spatial.forward(smooth)))
    added = np.asarray(bicubic_enlarge(plain.astype("f4"), model.scale)) + fit.trust * (
        gap + np.asarray(spread)
    )
    return np.asarray(mapped + added)[0]


# SciPy blurs; the second channel of the scene is seen by the coarse camera alone.
@pytest.mark.parametrize("method", ["spectral_ls", "kernel_ls"])
@pytest.mark.parametrize(("sigma", "psf"), [(0.0, "identity"), (0.85, "gaussian:sigma=0.85")])
def test_what_explains_the_coarse_cube_is_as_smooth_as_it(method: str, sigma: float, psf: str) -> None:
    rng, scale, side = np.random.default_rng(3), 5, 75
    seen = 0.3 + ndimage.gaussian_filter(rng.random((side, side)), 1.0)
    unseen = ndimage.gaussian_filter(rng.random((side, side)), 8.0)
    unseen = 0.5 + 0.1 * (unseen - unseen.mean()) / unseen.std()
    cube = np.stack([seen, 0.5 * seen + 0.5 * unseen, unseen], -1)
    blurred = ndimage.gaussian_filter(cube, (sigma, sigma, 0), mode="reflect") if sigma else cube
    response = SpectralResponse(np.array([[1.0], [0.0], [0.0]]))
    observation = Observation(
        Scene(blurred[2::scale, 2::scale].astype("f4")), Scene(seen[..., None].astype("f4")), scale
    )
    solution = fuse(observation, method, psf=psf, srf=response)
    error = np.square(solution.estimate.cube - cube)[10:-10, 10:-10]
    assert np.sqrt(error.mean()) < 0.012  # 0.014 to 0.035 where the nearest cube alone does
    assert solution.lr_hsi_residual is not None and solution.lr_hsi_residual < 1e-4
