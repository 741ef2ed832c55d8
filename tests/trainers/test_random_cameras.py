"""Random cameras and spectra are ones that the physics knows, the same for the same generator."""

from __future__ import annotations

import numpy as np
import pytest

from hsr_tf.physics.response_table import ResponseTable
from hsr_tf.scene import Scene
from trainers._random_cameras import (
    MOST_CHANNELS,
    DrawPlan,
    draw_pair,
    draw_psf,
    draw_response,
    draw_spectra,
    misfitted,
)

TABLE = ResponseTable(np.arange(350.0, 951.0), np.eye(601)[:, [100, 200, 300]] + 0.01, ("r", "g", "b"), "own")


def scene(num_bands: int, side: int = 48) -> Scene:
    rng = np.random.default_rng(num_bands)
    cube = rng.random((side, side, 3)) @ rng.random((3, num_bands)) / 3
    return Scene(cube.astype(np.float32), np.linspace(400, 700, num_bands), "random")


@pytest.mark.parametrize("scale", [2, 3, 8])
def test_psfs_are_half_to_twice_the_scale_wide_and_of_its_parity(scale: int) -> None:
    rng = np.random.default_rng(0)
    drawn = [draw_psf(scale, rng) for _ in range(60)]
    for psf in drawn + [misfitted(psf, scale, rng) for psf in drawn]:
        assert max(psf.kernel.shape) <= 5 * scale
        assert all((n - scale) % 2 == 0 for n in psf.kernel.shape)
        assert psf.kernel.sum() == pytest.approx(1.0)
        assert psf.kernel.min() >= 0
    assert len({psf.factors is None for psf in drawn}) == 2


def test_responses_have_up_to_sixteen_channels_of_sum_one() -> None:
    rng, centres = np.random.default_rng(0), np.linspace(420, 700, 31)
    plan = DrawPlan(measured=(TABLE,))
    drawn = [draw_response(centres, plan, rng) for _ in range(60)]
    assert {1, 3} <= {matrix.shape[1] for matrix in drawn}
    for matrix in drawn:
        assert matrix.shape[0] == 31
        assert 1 <= matrix.shape[1] <= MOST_CHANNELS
        np.testing.assert_allclose(matrix.sum(0), 1.0, rtol=1e-6)
        assert matrix.min() >= 0


@pytest.mark.parametrize("num_bands", [12, 31, 90])
def test_spectra_come_in_the_bands_wanted_and_stay_in_range(num_bands: int) -> None:
    rng, plan = np.random.default_rng(0), DrawPlan(num_bands=31, varied=1.0)
    for _ in range(5):
        cube, centres = draw_spectra(scene(num_bands, 16), plan, rng)
        assert cube.shape == (16, 16, 31)
        assert cube.max() <= 1.0
        assert (np.diff(centres) > 0).all()


def test_a_scene_in_its_own_bands_stays_as_it_is_where_nothing_varies() -> None:
    own = scene(31, 16)
    cube, centres = draw_spectra(own, DrawPlan(), np.random.default_rng(0))
    np.testing.assert_array_equal(cube, own.cube)
    np.testing.assert_array_equal(centres, own.wavelengths_nm)


def test_a_pair_is_simulated_whole_and_its_start_agrees_with_it() -> None:
    plan = DrawPlan(num_bands=8, region=48, noisy=0.3, misfit=0.3, unmeasured=0.5, varied=0.5)
    for seed in range(4):
        pair, again = (draw_pair(scene(20), 4, plan, np.random.default_rng(seed)) for _ in range(2))
        np.testing.assert_array_equal(pair.start, again.start)
        assert pair.truth.shape == pair.start.shape == (48, 48, 8)
        assert pair.residual.shape == (12, 12, 8)
        assert pair.scene["response"].shape == (8, MOST_CHANNELS)
        seen, started = (cube @ pair.scene["response"] for cube in (pair.truth, pair.start))
        error = float(np.sqrt(np.mean(np.square(seen - started))))
        assert error < 0.1 * float(np.sqrt(np.mean(np.square(seen))))
