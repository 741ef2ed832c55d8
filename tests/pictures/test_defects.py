"""Noise and compression are found where they are, and not in clean pictures of edges and slopes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from hsr_tf.pictures.defects import defect, noise_level

RNG = np.random.default_rng(11)


def photo(num_channels: int) -> np.ndarray:
    """Flat regions with sharp borders and slopes, (120, 150, C) in [0.2, 0.8]."""
    regions = ndimage.gaussian_filter(RNG.standard_normal((120, 150)), 6) > 0
    slopes = np.add.outer(np.linspace(0, 0.2, 120), np.linspace(0, 0.1, 150))
    base = 0.25 + 0.25 * regions + slopes
    return np.stack([base * share for share in (1, 0.9, 0.8, 1)[:num_channels]], -1)


@pytest.mark.parametrize("num_channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("sigma", [0, 10, 20])
def test_the_level_of_noise_is_found(num_channels: int, dtype: type, sigma: float) -> None:
    noisy = photo(num_channels) + sigma / 255 * RNG.standard_normal((120, 150, num_channels))
    largest = np.iinfo(dtype).max
    values = np.rint(np.clip(noisy, 0, 1) * largest).astype(dtype)
    assert noise_level(values) == pytest.approx(sigma, rel=0.3, abs=1.5)
    assert (defect(values, None) is None) == (sigma == 0)


def test_noise_that_is_alike_in_all_channels_is_found() -> None:
    noisy = photo(3) + 12 / 255 * RNG.standard_normal((120, 150, 1))
    assert "looks noisy (deviation about 1" in str(defect(np.uint8(255 * noisy), None))


@pytest.mark.parametrize(
    ("quality", "found"), [(None, False), (95, False), (76, False), (75, True), (10, True)]
)
def test_the_quality_of_a_jpeg_decides(quality: int | None, found: bool) -> None:
    said = defect(np.uint8(255 * photo(3)), quality)
    assert said == (f"is a JPEG of quality {quality}" if found else None)


def test_small_pictures_say_nothing() -> None:
    values = RNG.integers(0, 256, (9, 300, 3)).astype(np.uint8)
    assert noise_level(values) == 0 and noise_level(values[:1, :1]) == 0
