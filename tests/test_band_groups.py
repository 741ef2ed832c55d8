"""By bands or at once: the same estimate, for any number of bands and channels and any trust."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from hsr_tf.band_groups import spectral_ls_by_bands
from hsr_tf.bases import SpectralLS
from hsr_tf.fusion import simulate
from hsr_tf.physics.cameras import make_cameras
from hsr_tf.physics.psf import Psf
from hsr_tf.physics.spectral import SpectralResponse
from hsr_tf.scene import Scene


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
    method = SpectralLS(model)
    images = tuple(cube[None] for cube in pair)
    expected = method.explained(method.fit(*images), *images)
    found = spectral_ls_by_bands(model, *pair)
    np.testing.assert_allclose(found.estimate, np.asarray(expected.estimate)[0], atol=2e-4)
    assert found.trust == pytest.approx(float(expected.trust[0, 0, 0, 0]), abs=1e-4)
    assert found.estimate.dtype == np.float32
