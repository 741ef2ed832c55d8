"""Small scenes whose three sizes differ, so that no axis can be taken for another."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from hsr_tf.scene import Scene


@pytest.fixture
def make_scene() -> Callable[..., Scene]:
    """`make_scene(bands)`: 5 rows, 7 columns, values in [0, 1] that all differ, metadata of each kind."""

    def make(bands: int = 4, *, seed: int = 3) -> Scene:
        rng = np.random.default_rng(seed)
        return Scene(
            cube=rng.random((5, 7, bands), dtype=np.float32),
            wavelengths_nm=np.linspace(400, 700.5, bands),
            name="small scene",
            metadata={"instrument": "Prüfstand", "gain": 1.5, "count": 3, "white_level": 4095.0},
        )

    return make
