"""Images of one place match, others do not, and the orientation of an image is named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

import hsr_tf
from hsr_tf.findings import ERROR, OK, WARNING
from hsr_tf.fusion.check.orientation import (
    SYMMETRIES,
    Likeness,
    likenesses,
    orientation_findings,
    other_orientation,
    turned,
)
from hsr_tf.fusion.check.verdict import verdict_on
from hsr_tf.scene import Scene
from tests.fusion.check_for_tests import SCALE, sharp_scene


@pytest.mark.parametrize("symmetry", SYMMETRIES[1:])
def test_every_turn_and_mirror_is_named(symmetry: tuple[str, int, bool]) -> None:
    scene = sharp_scene(80, 80)
    square = hsr_tf.simulate(scene, scale=SCALE)
    how, turns, exchanged = symmetry
    # What undoes the damage is the symmetry that the finding has to name.
    damaged = next(
        cube
        for _, k, t in SYMMETRIES
        if np.array_equal(
            turned(cube := turned(square.hr_msi.cube, k, exchanged=t), turns, exchanged=exchanged),
            square.hr_msi.cube,
        )
    )
    (finding,) = orientation_findings(likenesses(square.lr_hsi, Scene(damaged)))
    assert finding.severity == ERROR
    assert finding.advice == f"save hr_msi {how}"


def smooth_image(seed: int, *, size: int = 64, channels: int = 31) -> Scene:
    """Materials in smooth maps, smoother for some seeds: images that correlate with any others by chance."""
    rng = np.random.default_rng(seed)
    width = (3, 5, 8)[seed % 3]
    maps = ndimage.gaussian_filter(rng.random((size, size, 6)), (width, width, 0))
    maps = (maps - maps.min((0, 1))) / np.ptp(maps, axis=(0, 1))
    return Scene((maps @ rng.random((6, channels))).astype(np.float32))


def coarse_image(scene: Scene, scale: int = SCALE) -> Scene:
    blurred = ndimage.gaussian_filter(scene.cube, (scale / 2.355, scale / 2.355, 0))
    return Scene(blurred[scale // 2 :: scale, scale // 2 :: scale])


@pytest.fixture(scope="module")
def unrelated() -> list[list[Likeness]]:
    images = [smooth_image(seed) for seed in range(40)]
    colours = [replace(image, cube=image.cube[..., (24, 14, 5)]) for image in images]
    return [
        likenesses(coarse_image(images[i]), colours[(i + step) % 40])
        for i in range(40)
        for step in (1, 7, 19)
    ]


def test_unrelated_smooth_images_neither_match_nor_are_called_rotated(
    unrelated: list[list[Likeness]],
) -> None:
    judged = [orientation_findings(found)[0] for found in unrelated]
    assert sum(finding.severity == OK for finding in judged) <= 2  # of 120
    assert sum(other_orientation(found) is not None for found in unrelated) <= 1


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("noise_db", [None, 25.0])
def test_related_images_match(channels: int, noise_db: float | None) -> None:
    rng = np.random.default_rng(4)
    for seed in range(12):
        scene = smooth_image(seed)
        coarse, sharp = coarse_image(scene).cube, scene.cube[..., :channels].copy()
        if noise_db is not None:
            for cube in (coarse, sharp):
                cube += rng.normal(0, np.sqrt(np.square(cube).mean()) * 10 ** (-noise_db / 20), cube.shape)
        (finding,) = orientation_findings(likenesses(Scene(coarse), Scene(sharp)))
        assert finding.severity == OK, finding.found


@pytest.mark.parametrize("size", [8, 16])
def test_images_too_small_or_flat_to_tell_are_a_warning(size: int) -> None:
    flat = Scene(np.full((16, 16, 31), 0.3, np.float32)), Scene(np.full((64, 64, 3), 0.3, np.float32))
    tiny = smooth_image(2, size=size), smooth_image(5, size=size, channels=3)
    for coarse, sharp in (flat, (coarse_image(tiny[0]), tiny[1])):
        (finding,) = orientation_findings(likenesses(coarse, sharp))
        assert finding.severity == WARNING
        assert "too few or too flat pixels" in finding.found
        assert verdict_on([finding]).severity == WARNING


def test_images_that_match_displaced_only_are_an_error_that_names_the_shift() -> None:
    large = sharp_scene(176, 176)
    coarse = coarse_image(Scene(large.cube[24:152, 24:152]))
    sharp = Scene(large.cube[:128, 8:136, :3])
    (finding,) = orientation_findings(likenesses(coarse, sharp))
    assert finding.severity == ERROR
    assert "+6 rows, +4 columns (coarse pixels)" in finding.found
    assert "register" in finding.advice
