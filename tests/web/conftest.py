"""What the tests of the web page share."""

from __future__ import annotations

import numpy as np
import pytest

from hsr_tf.fusion.api import simulate
from hsr_tf.physics.spectral import SpectralResponse
from hsr_tf.scene import Observation, Scene
from tests.solvers.scenes import mixture


@pytest.fixture(scope="module")
def observation() -> Observation:
    """A pair of 6 x 8 coarse pixels and 7 bands at x4."""
    srf = SpectralResponse(np.random.default_rng(0).dirichlet(np.ones(7), 3).T)
    cube = mixture(24, 32, 7)
    return simulate(Scene(cube, np.linspace(420.0, 690.0, 7), "mixture"), scale=4, srf=srf)
