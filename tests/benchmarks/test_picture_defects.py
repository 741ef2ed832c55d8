"""The benchmark of the noise warning counts what is warned of."""

from __future__ import annotations

import numpy as np

from benchmarks.picture_defects import share_warned_of


def test_noise_is_counted_and_flat_pictures_are_not() -> None:
    pictures = [np.full((40, 40, 3), 120.0, np.float32)] * 3
    assert share_warned_of(pictures, 0) == 0
    assert share_warned_of(pictures, 20) == 1
