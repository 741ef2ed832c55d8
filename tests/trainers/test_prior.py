"""Batches of random cameras follow from seed and number, and the training of `prior` lowers its loss."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hsr_tf.networks.fusion_model import FusionConfig
from hsr_tf.physics.cameras import make_cameras
from tests.trainers.test_random_cameras import scene
from trainers._prior import CropPlan, PairSource, PriorTask, PriorTrainer
from trainers._random_cameras import DrawPlan
from trainers._run import RunPlan

CROP = CropPlan(scales=(2, 4), patch_size=24, batch_size=2, steps_per_pair=1)
DRAW = DrawPlan(num_bands=31, region=48)


def test_a_batch_depends_on_the_seed_and_its_number_alone() -> None:
    first, second = (PairSource([scene(9), scene(6)], DRAW, CROP) for _ in range(2))
    for step in range(5):
        first.batch(step)
    expected, found = first.batch(5), second.batch(5)
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value)


def test_crops_are_parts_of_whole_simulated_scenes() -> None:
    source = PairSource([scene(6)], DRAW, CROP)
    for step, scale in enumerate((2, 4)):
        batch, cells = source.batch(step), CROP.cells(scale)
        assert batch["residual"].shape[1:3] == (cells, cells)
        assert batch["truth"].shape[1:3] == batch["start"].shape[1:3] == (cells * scale,) * 2
        assert len(batch["truth"]) == CROP.crops(scale)


def test_small_scenes_are_left_out_at_scales_that_they_are_too_small_for() -> None:
    small, large = scene(6, 24), scene(9, 48)
    crop = CropPlan(scales=(2, 8), patch_size=12, batch_size=2)
    source = PairSource([small, large], DRAW, crop)
    for step in range(4):
        assert source.batch(step)["truth"].shape[1] == (16, 48)[step % 2]
    with pytest.raises(ValueError, match=r"scales: expected scenes, .* of 96 pixels a side for the scale 16"):
        PairSource([small, large], DRAW, CropPlan(scales=(16,)))


@pytest.mark.slow
def test_a_batch_that_is_shown_again_and_again_is_learnt(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    # Squares of eight materials, which three channels do not tell apart by a quadratic map.
    cube = rng.random((8, 6))[rng.integers(8, size=(16, 16))].repeat(6, 0).repeat(6, 1)
    own = replace(scene(6, 96), cube=cube.astype(np.float32))
    cameras = make_cameras(own, 4)
    options = (("features", 32),)
    config = FusionConfig("prior", 4, 6, 3, "spectral_ls", True, options)
    task = PriorTask([own], [own], config, cameras, DRAW, CROP, {"d700": ("nikon_d700", 4)}, 48)
    plan = RunPlan(tmp_path, 100, 2, "adamw", 3e-3, "cosine", 5, 0.0, 1.0, 0.0, "float32", False, 0, 100, 100)
    trainer = PriorTrainer(task, plan)
    batch = next(iter(trainer.source.dataset(1, 2)))
    losses = [float(trainer.train_step(*batch)) for _ in range(100)]
    assert losses[0] == pytest.approx(0.0, abs=1e-3)
    assert losses[-1] < -0.1
    assert set(trainer.validate().scores) == {"psnr_bands", "gain", "gain_d700"}
