"""Cameras that the files of a pair record, and what is asked for where they record none."""

from __future__ import annotations

import numpy as np
import pytest

from hsr_tf.physics.cameras import choose_cameras
from hsr_tf.scene import Observation, Scene

CENTRES = np.linspace(420.0, 980.0, 57)
NAMES = ("B02", "B03", "B04", "B08")


def pair(channels: int = 4, **more: object) -> Observation:
    rng = np.random.default_rng(0)
    return Observation.from_pair(
        Scene(rng.random((3, 4, 57)), CENTRES), Scene(rng.random((6, 8, channels)), **more)
    )


def test_a_sensor_that_the_sharp_image_names_gives_its_response() -> None:
    named = pair(band_names=NAMES, metadata={"sensor": "sentinel2b"})
    choice = choose_cameras(named, psf=None, srf=None, srf_needed=True)
    assert choice.srf_line.endswith("(recorded in the file)")
    peaks = CENTRES[choice.model.spectral.matrix.argmax(0)]
    np.testing.assert_allclose(peaks, [492, 559, 665, 833], atol=40)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"metadata": {"sensor": "sentinel2b"}},
        {"metadata": {"sensor": "unknown"}, "band_names": NAMES},
        {"metadata": {"sensor": "sentinel2b"}, "band_names": ("a", "b", "c", "d")},
    ],
)
def test_four_channels_of_an_unknown_camera_ask_for_a_sensor_or_an_estimate(more: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="got 4; give the sensor") as raised:
        choose_cameras(pair(**more), psf=None, srf=None, srf_needed=True)
    assert 'srf="sentinel2a:B02,B03,B04,B08"' in str(raised.value) and 'srf="estimate"' in str(raised.value)
