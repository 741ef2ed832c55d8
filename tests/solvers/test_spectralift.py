"""SpectraLift: the published network and learning rates, and that it needs the response alone."""

from __future__ import annotations

import numpy as np
import pytest

from hsr_tf import methods
from hsr_tf.fusion.pipeline import require_tileable
from hsr_tf.solvers.parts.gradient_fit import LinearRates
from hsr_tf.solvers.spectralift import SpectraLift, SpectraLiftConfig, spectral_network
from tests.solvers.scenes import cameras, mixture, pair, psnr


def test_the_network_has_the_published_number_of_weights() -> None:
    assert spectral_network(4, 191, 64, seed=0).count_params() == 33_535


def test_the_learning_rate_rises_and_falls_linearly() -> None:
    rates = LinearRates(1e-3, 1e-2, 1e-6, 0.3).schedule(1000)
    found = [float(rates(step)) for step in (0, 150, 300, 650, 1000)]
    np.testing.assert_allclose(found, [1e-3, 5.5e-3, 1e-2, 5.0005e-3, 1e-6], rtol=1e-3)


def test_it_learns_a_scene_and_clips_to_the_range_of_its_images() -> None:
    cube, model = mixture(24, 36, 7), cameras(7)
    lr_hsi, hr_msi = pair(cube, model)
    solver = SpectraLift(model, SpectraLiftConfig(num_steps=150))
    outcome = solver.solve(lr_hsi, hr_msi)
    assert outcome.iterations == 150 and outcome.converged
    mean = np.broadcast_to(lr_hsi.mean((0, 1)), cube.shape)
    assert psnr(cube, outcome.estimate) > psnr(cube, mean) + 6
    assert outcome.estimate.min() >= 0 and outcome.estimate.max() <= max(1.0, float(lr_hsi.max()))


def test_a_scene_in_tiles_is_refused_in_words_about_the_whole_scene() -> None:
    with pytest.raises(ValueError, match="spectralift, which estimates whole scenes only") as refused:
        require_tileable(methods.get("spectralift"), None)
    assert "estimates them anew" not in str(refused.value)
