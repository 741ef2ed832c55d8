"""What lies outside the scene: zeros are recognised, and neither noise nor changed ground passes for them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from hsr_tf.fusion.spatial_choice import with_border
from hsr_tf.physics.cameras import CameraChoice
from hsr_tf.physics.nodata import Holes
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.psf_spec import parse_psf
from hsr_tf.physics.spatial import SpatialDegradation
from hsr_tf.physics.spectral import SpectralResponse
from hsr_tf.scene import Observation, Scene

SCALE, SIDE, BANDS = 4, 96, 6
RESPONSE = np.array([[1, 0], [1, 0], [1, 1], [0, 1], [0, 1], [0, 1]]) / [3, 4]


def images(border: str, *, changed: int, snr_db: float | None) -> Observation:
    rng = np.random.default_rng(2)
    scene = 0.2 + ndimage.gaussian_filter(rng.random((SIDE, SIDE, BANDS)), (3, 3, 1), mode="reflect")
    blurred = ndimage.gaussian_filter(scene, (4 / 2.3548, 4 / 2.3548, 0), mode=border)
    place = SCALE * (np.arange(SIDE // SCALE) + 0.5) - 0.5
    grid = np.meshgrid(place, place, indexing="ij")
    coarse = np.stack([ndimage.map_coordinates(blurred[..., b], grid, order=3) for b in range(BANDS)], -1)
    sharp = scene @ RESPONSE
    sharp[: changed * SCALE, 24 : 24 + changed * SCALE] *= 2
    if snr_db is not None:
        coarse = coarse * (1 + 10 ** (-snr_db / 20) * rng.standard_normal(coarse.shape))
    return Observation(Scene(coarse.astype(np.float32)), Scene(sharp.astype(np.float32)), SCALE)


@pytest.mark.parametrize(("border", "found"), [("reflect", "mirrored"), ("constant", "zero")])
@pytest.mark.parametrize(("changed", "snr_db"), [(0, None), (0, 30.0), (8, None), (8, 30.0)])
def test_zeros_outside_are_told_from_changed_ground(
    border: str, found: str, changed: int, snr_db: float | None
) -> None:
    spatial = SpatialDegradation(parse_psf("gaussian:fwhm=4", SCALE), SCALE)
    cameras = CameraChoice(ObservationModel(spatial, SpectralResponse(RESPONSE)), "given", "given")
    pair = images(border, changed=changed, snr_db=snr_db)
    assert with_border(cameras, pair, Holes(None, None)).model.spatial.border == found
