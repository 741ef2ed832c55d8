"""The benchmark of jointly learnt cameras: its simulation is a weighted sum, its forms differ."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.joint_cameras import BLURS, FORMS, SCALE, SEVERAL, channel_angles, seen_through
from hsr_tf.solvers.blind_deep_prior import JOINT_BLIND, PUBLISHED_BLIND


def test_a_coarse_pixel_is_the_weighted_sum_around_its_middle() -> None:
    rng = np.random.default_rng(0)
    cube, kernel, scale = rng.random((24, 16, 2)), rng.random((4, 4)), 2
    found = seen_through(cube, kernel, scale)
    assert found.shape == (12, 8, 2)
    row, col = 5, 3  # its two by two sharp pixels begin at row 10, column 6; the kernel reaches one further
    window = cube[9:13, 5:9]
    expected = (window * kernel[::-1, ::-1, None]).sum((0, 1))
    np.testing.assert_allclose(found[row, col], expected, rtol=1e-5)


def test_the_forms_differ_and_none_is_the_joint_form() -> None:
    configs = [replace(PUBLISHED_BLIND, **options) for options in FORMS.values()]
    assert len({repr(config) for config in (*configs, JOINT_BLIND)}) == len(FORMS) + 1
    assert configs[0] == PUBLISHED_BLIND
    assert replace(PUBLISHED_BLIND, match=1.0, balanced=True, **SEVERAL) == JOINT_BLIND


def test_blurs_sum_to_one_and_angles_are_those_of_vectors() -> None:
    assert all(psf.kernel.sum() == pytest.approx(1.0) for psf in BLURS.values())
    assert {psf.kernel.shape for psf in BLURS.values()} == {(2 * SCALE, 2 * SCALE)}
    angles = channel_angles(np.eye(3)[:, :2], np.array([[2.0, 0.0], [0.0, 1.0], [0.0, 1.0]]))
    np.testing.assert_allclose(angles, [0.0, 45.0])
