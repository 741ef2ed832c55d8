"""Training patches: batch n hangs on the seed and n alone; every position comes once an epoch."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from hsr_tf.data.patches import PatchPlan, PatchSource, without_margin

SIZES = ((9, 13), (12, 7), (8, 8))


def scenes() -> list[np.ndarray]:
    """Three scenes of different sizes; every pixel says its scene, row and column."""
    cubes = []
    for index, (height, width) in enumerate(SIZES):
        rows, columns = np.mgrid[:height, :width]
        cubes.append(np.stack([np.full_like(rows, index), rows, columns], -1).astype(np.float32))
    return cubes


def batches(source: PatchSource, start: int, stop: int) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(np.asarray(patches), np.asarray(index)) for patches, index in source.dataset(start, stop)]


def orientations(crop: np.ndarray) -> list[np.ndarray]:
    """The eight ways to turn and mirror a square."""
    turned = [np.rot90(crop, quarter) for quarter in range(4)]
    return turned + [np.flip(square, 1) for square in turned]


def located(patch: np.ndarray, cubes: list[np.ndarray]) -> tuple[int, int, int, int]:
    """Scene, row, column and orientation of a patch; fails where it is no turned crop of a scene."""
    scene, row, column = (int(patch[..., i].min()) for i in range(3))
    size = patch.shape[0]
    crop = cubes[scene][row : row + size, column : column + size]
    matches = [i for i, square in enumerate(orientations(crop)) if np.array_equal(square, patch)]
    assert len(matches) == 1
    return scene, row, column, matches[0]


def positions(size: int, stride: int) -> set[tuple[int, int, int]]:
    """Every place that a patch can have."""
    return {
        (scene, row, column)
        for scene, (height, width) in enumerate(SIZES)
        for row in range(0, height - size + 1, stride)
        for column in range(0, width - size + 1, stride)
    }


@pytest.mark.parametrize(
    ("size", "stride", "batch", "augment"),
    [(5, 1, 1, False), (5, 1, 3, True), (5, 2, 4, True), (7, 3, 5, True), (7, 3, 5, False)],
)
def test_an_epoch_shows_every_position_once(size: int, stride: int, batch: int, augment: bool) -> None:
    cubes, plan = scenes(), PatchPlan(size, batch, stride, augment=augment, seed=3)
    source, expected = PatchSource(cubes, plan), positions(size, stride)
    assert source.num_patches == len(expected)
    shown = [located(patch, cubes)[:3] for patch in first_patches(source, 2 * len(expected))]
    first, second = shown[: len(expected)], shown[len(expected) :]
    assert len(set(first)) == len(expected)
    assert set(first) == set(second) == expected
    assert first != second


def first_patches(source: PatchSource, number: int) -> np.ndarray:
    """So many patches from the start of the sequence."""
    steps = -(-number // source.plan.batch_size)
    return np.concatenate([patches for patches, _ in batches(source, 0, steps)])[:number]


def test_all_eight_orientations_come_about_equally_often() -> None:
    cubes = scenes()
    source = PatchSource(cubes, PatchPlan(5, 8, seed=1))
    counts = Counter(located(patch, cubes)[3] for patch in first_patches(source, 800))
    assert set(counts) == set(range(8))
    assert min(counts.values()) > 60


def test_flips_alone_are_four_ways() -> None:
    cubes = scenes()
    source = PatchSource(cubes, PatchPlan(5, 8, seed=1, rotations=False))
    counts = Counter(located(patch, cubes)[3] for patch in first_patches(source, 96))
    # In `orientations`: as it is, rotated by a half turn (both flips), and each flip alone.
    assert set(counts) == {0, 2, 4, 6}


def test_without_augmentation_patches_are_plain_crops() -> None:
    cubes = scenes()
    source = PatchSource(cubes, PatchPlan(4, 6, augment=False))
    assert {located(patch, cubes)[3] for patch in first_patches(source, 60)} == {0}


def test_a_margin_goes_on_mirrored_past_the_border_and_is_turned_with_its_patch() -> None:
    cubes, plan = scenes(), PatchPlan(5, 6, seed=3, margin=4)
    padded = [np.pad(cube, ((4, 4), (4, 4), (0, 0)), mode="symmetric") for cube in cubes]
    found = first_patches(PatchSource(cubes, plan), 60)
    plain = first_patches(PatchSource(cubes, PatchPlan(5, 6, seed=3)), 60)
    np.testing.assert_array_equal(without_margin(found, 4), plain)
    for patch, inner in zip(found, plain, strict=True):
        scene, row, column, turn = located(inner, cubes)
        crop = padded[scene][row : row + 13, column : column + 13]
        np.testing.assert_array_equal(patch, orientations(crop)[turn])


def test_patches_from_files_are_those_from_memory(tmp_path: Path) -> None:
    cubes, plan = scenes(), PatchPlan(5, 4, seed=3, margin=3)
    for index, cube in enumerate(cubes):
        np.save(tmp_path / f"{index}.npy", cube)
    maps = [np.load(tmp_path / f"{index}.npy", mmap_mode="r") for index in range(len(cubes))]
    for stored in (maps, [maps[0], cubes[1], maps[2]]):
        for found, expected in zip(
            batches(PatchSource(stored, plan), 0, 9), batches(PatchSource(cubes, plan), 0, 9), strict=True
        ):
            np.testing.assert_array_equal(found[0], expected[0])
            np.testing.assert_array_equal(found[1], expected[1])
    patches, _ = PatchSource(maps, plan).dataset(0, 1).element_spec
    assert tuple(patches.shape) == (4, 11, 11, 3)


def test_the_scene_index_is_that_of_the_patch() -> None:
    source = PatchSource(scenes(), PatchPlan(5, 7, seed=2))
    for patches, index in batches(source, 0, 12):
        np.testing.assert_array_equal(patches[:, 0, 0, 0], index)
        assert index.dtype == np.int64


def test_a_resumed_run_sees_the_batches_that_it_would_have_seen() -> None:
    whole = batches(PatchSource(scenes(), PatchPlan(5, 4, seed=5)), 0, 40)
    resumed = batches(PatchSource(scenes(), PatchPlan(5, 4, seed=5)), 23, 40)
    assert len(resumed) == 17
    for (patches, index), (again, index_again) in zip(whole[23:], resumed, strict=True):
        np.testing.assert_array_equal(patches, again)
        np.testing.assert_array_equal(index, index_again)


def test_a_batch_alone_is_that_of_the_sequence() -> None:
    source = PatchSource(scenes(), PatchPlan(5, 4, seed=5))
    alone, _ = source.batch(tf.constant(31, tf.int64))
    np.testing.assert_array_equal(alone, batches(source, 31, 32)[0][0])


@pytest.mark.parametrize("seed", [0, 7, 2**31 - 1])
def test_other_seeds_give_other_orders_and_orientations(seed: int) -> None:
    cubes = scenes()
    one, other = (
        [located(p, cubes) for p in first_patches(PatchSource(cubes, PatchPlan(5, 8, seed=s)), 64)]
        for s in (seed, 1)
    )
    assert [place[:3] for place in one] != [place[:3] for place in other]
    assert [place[3] for place in one] != [place[3] for place in other]


def test_one_position_alone_is_shown_again_and_again() -> None:
    cube = np.random.default_rng(0).random((6, 6, 2)).astype(np.float32)
    source = PatchSource([cube], PatchPlan(6, 3, augment=False))
    assert (source.num_patches, source.steps_per_epoch) == (1, 1)
    for patches, _ in batches(source, 0, 3):
        np.testing.assert_array_equal(patches, np.stack([cube] * 3))


def test_shapes_are_known_in_advance() -> None:
    source = PatchSource(scenes(), PatchPlan(5, 4))
    patches, index = source.dataset(0, 1).element_spec
    assert tuple(patches.shape) == (4, 5, 5, 3)
    assert tuple(index.shape) == (4,)


def test_an_epoch_has_as_many_steps_as_whole_batches() -> None:
    assert PatchSource(scenes(), PatchPlan(7, 4)).num_patches == 3 * 7 + 6 * 1 + 2 * 2
    assert PatchSource(scenes()[:1], PatchPlan(8, 4)).steps_per_epoch == 3
    assert PatchSource(scenes()[:1], PatchPlan(8, 5)).steps_per_epoch == 2
    assert PatchSource(scenes()[:1], PatchPlan(8, 5)).steps_of(3) == 8


@pytest.mark.parametrize(
    ("cubes", "plan", "said"),
    [
        ([], PatchPlan(4, 2), "cubes: expected at least one scene"),
        ([np.zeros((8, 8, 3)), np.zeros((8, 8, 4))], PatchPlan(4, 2), "the same number of bands"),
        ([np.zeros((8, 5, 3))], PatchPlan(6, 2), "patch_size: expected at most 5"),
        ([np.zeros((8, 5, 3))], PatchPlan(4, 2, margin=6), "got 4 with a margin of 6"),
        ([np.zeros((8, 8, 3))], PatchPlan(0, 2), "patch_size: expected"),
        ([np.zeros((8, 8, 3))], PatchPlan(4, 0), "batch_size: expected"),
        ([np.zeros((8, 8, 3))], PatchPlan(4, 2, stride=0), "stride: expected"),
    ],
)
def test_impossible_plans_are_refused(cubes: list[np.ndarray], plan: PatchPlan, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        PatchSource([cube.astype(np.float32) for cube in cubes], plan)
