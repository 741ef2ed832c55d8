"""Ground that changed between two images is taken out of a pair, and nothing else is.

SciPy simulates the pairs.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from hsr_tf.closed_forms.agreeing_pair import AgreeingPair, agreeing_scene
from hsr_tf.closed_forms.spectral_ls import SceneMap, fuse_scene
from hsr_tf.physics.tiled_pair import ArrayPair
from hsr_tf.tiling.region import Region
from hsr_tf.tiling.stages import run_stages
from tests.closed_forms.test_map_fit import SCALE, Simulated, simulated

CHANGED = (slice(24, 48), slice(40, 64))
SIZE = (24, 28)


def changed_pair(snr_db: float | None = None) -> Simulated:
    """A pair whose sharp image shows another place on a square."""
    scene = simulated(3, snr_db=(snr_db, snr_db))
    hr_msi = scene.hr_msi.copy()
    hr_msi[CHANGED] = hr_msi[::-1, ::-1][CHANGED] + 0.3 * hr_msi[CHANGED].mean()
    return replace(scene, hr_msi=hr_msi)


def of(scene: Simulated) -> AgreeingPair:
    return agreeing_scene(scene.model, scene.lr_hsi, scene.hr_msi)


def inner_and_outer() -> tuple[np.ndarray, np.ndarray]:
    """Coarse pixels within the changed square, and far from it."""
    square = np.zeros(SIZE, bool)
    square[6:12, 10:16] = True
    return ndimage.binary_erosion(square), ~ndimage.binary_dilation(square, iterations=4)


@pytest.mark.parametrize("snr_db", [None, 30.0])
def test_a_pair_that_agrees_stays_as_it_is(snr_db: float | None) -> None:
    scene = simulated(3, snr_db=(snr_db, snr_db))
    found = of(scene)
    assert found.counted.all() and (found.weights == 1).all()
    np.testing.assert_array_equal(found.lr_hsi, scene.lr_hsi)
    estimate = np.zeros_like(scene.truth)
    assert found.joined(estimate) is estimate


@pytest.mark.parametrize("snr_db", [None, 30.0])
def test_changed_ground_is_left_out_and_nothing_far_from_it(snr_db: float | None) -> None:
    scene = changed_pair(snr_db)
    found, (inner, outer) = of(scene), inner_and_outer()
    assert not found.counted[inner].any() and found.counted[outer].all()
    np.testing.assert_array_equal(found.lr_hsi[outer], scene.lr_hsi[outer])
    # What stands there agrees with Y as well as the rest does.
    model = scene.model
    gap = np.abs(found.lr_hsi @ model.spectral.matrix - model.spatial.forward(scene.hr_msi[None])[0])
    before = np.abs(scene.lr_hsi @ model.spectral.matrix - model.spatial.forward(scene.hr_msi[None])[0])
    assert gap[inner].mean() < 0.2 * before[inner].mean()


def test_an_estimate_gives_way_on_changed_ground() -> None:
    scene = changed_pair()
    found, (inner, outer) = of(scene), inner_and_outer()
    joined = found.joined(np.full_like(scene.truth, 7.0))
    ground = fuse_scene(scene.model, scene.lr_hsi, scene.hr_msi).estimate
    fine = [mask.repeat(SCALE, 0).repeat(SCALE, 1) for mask in (inner, outer)]
    np.testing.assert_allclose(joined[fine[0]], ground[fine[0]], atol=0.1)
    assert (joined[fine[1]] == 7.0).all()


def test_a_psf_that_fits_badly_takes_nothing_out() -> None:
    scene = simulated(3)
    wider = ndimage.gaussian_filter(scene.lr_hsi, (0.3, 0.3, 0), mode="reflect")
    assert of(replace(scene, lr_hsi=wider)).counted.all()


def test_the_start_of_networks_is_not_spoilt_by_changed_ground() -> None:
    """The map predicts the spectra of the rest as without the change."""
    whole, spoilt = simulated(3), changed_pair()
    outer = inner_and_outer()[1].repeat(SCALE, 0).repeat(SCALE, 1)
    errors = {}
    for name, scene in (("whole", whole), ("spoilt", spoilt)):
        scene_map = SceneMap(ArrayPair((scene.lr_hsi, scene.hr_msi), scene.model))
        run_stages([scene_map.survey()])
        part = scene_map.part(Region.whole(SIZE))
        errors[name] = float(np.square(part.estimate - whole.truth)[outer].mean())
    assert errors["spoilt"] < 1.3 * errors["whole"]
