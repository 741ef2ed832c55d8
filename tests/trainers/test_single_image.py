"""The trainer of single images: exact resumption, what it learns from, and bad input in one line."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import imagecodecs
import numpy as np
import pytest
import tensorflow as tf

from hsr_tf.data.patches import PatchPlan
from hsr_tf.data.pictures import NamedPicture
from hsr_tf.metrics.full_reference import luma_scores
from hsr_tf.networks.image_network import ImageSpec
from hsr_tf.networks.pretrained import load_image_network, save_model
from hsr_tf.physics.reduction import enlarge_picture, reduce_picture
from tests.app_for_tests import call_app
from tests.trainers.test_fusion import tiny_plan, train_and_copy
from trainers._pictures import NetworkPlan, Pictures, load_pictures
from trainers.single_image import SingleImageTask, SingleImageTrainer

Start = Callable[..., "subprocess.Popen[str]"]
OPTIONS = (("depth", 3), ("features", 4))


def scribble(index: int, height: int = 44, width: int = 52) -> NamedPicture:
    """A picture of edges and slopes in Y, different for each index, not symmetric."""
    rows, columns = np.mgrid[:height, :width]
    edges = np.sign(np.sin(columns / (3 + index) + rows / 7)) * np.cos(rows / (5 + index))
    values = 126 + 60 * edges + 40 * np.sin((rows + 2 * columns) / 23)
    return NamedPicture(f"picture_{index}", np.rint(values).clip(16, 235).astype(np.uint8)[..., None])


def task(*, scales: tuple[float, ...] = (2, 3), patch: int = 12, batch: int = 5) -> SingleImageTask:
    network = NetworkPlan("vdsr", ImageSpec(scale=None, seed=3), OPTIONS)
    pictures = [scribble(index) for index in range(3)]
    held = Pictures(["picture_0", "picture_1"], [p.values for p in pictures[:2]], pictures[2:])
    return SingleImageTask(network, held, scales, PatchPlan(patch, batch, seed=3))


def weights_of(trainer: SingleImageTrainer) -> list[np.ndarray]:
    return [variable.numpy() for variable in trainer.model.trainable_variables]


@pytest.mark.parametrize("recipe", ["modern", pytest.param("published", marks=pytest.mark.slow)])
def test_a_run_stopped_between_checkpoints_ends_with_the_weights_of_an_uninterrupted_one(
    tmp_path, recipe, untraced
):
    changes = {"batch_size": 5}
    if recipe == "published":
        changes |= {"optimizer": "sgd", "schedule": "steps", "decay_every": 3, "clip_theta": 0.01}
        changes |= {"learning_rate": 0.1, "clip_norm": 0.0, "ema": 0.0}
    whole = SingleImageTrainer(task(), tiny_plan(tmp_path / "whole", **changes))
    train_and_copy(whole, tmp_path / "broken")
    resumed = SingleImageTrainer(task(), tiny_plan(tmp_path / "broken", **changes))
    assert resumed.run.restore() == 2
    resumed.train()
    assert len(weights_of(whole)) == 6
    for expected, found in zip(weights_of(whole), weights_of(resumed), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("scales", [(2.0, 3.0, 4.0), (1.5, 2.5)])
def test_each_scale_gets_its_share_as_if_the_whole_picture_had_been_degraded(tmp_path, scales):
    given = task(scales=scales, patch=13, batch=7)
    trainer = SingleImageTrainer(given, tiny_plan(tmp_path))
    cut = np.random.default_rng(0).random((7, given.cut, given.cut, 1)).astype(np.float32)
    seen, target = (np.asarray(image) for image in trainer.observe(tf.constant(cut)))
    assert seen.shape == target.shape == (7, 13, 13, 1)
    first = (given.cut - 13) // 2
    number, at = len(scales), 0
    for place, scale in enumerate(scales):
        mine = cut[place::number]
        again = enlarge_picture(reduce_picture(mine, scale), scale, (given.cut, given.cut))
        inside = slice(first, first + 13)
        np.testing.assert_array_equal(target[at : at + len(mine)], mine[:, inside, inside])
        np.testing.assert_allclose(seen[at : at + len(mine)], again[:, inside, inside], atol=1e-6)
        at += len(mine)
    assert at == 7


def test_the_border_of_a_patch_is_degraded_as_inside_a_picture(tmp_path):
    """A patch cut from a picture sees what the degraded picture holds there, when its place divides."""
    given = task(scales=(2.0, 4.0), patch=13, batch=2)
    trainer = SingleImageTrainer(given, tiny_plan(tmp_path))
    whole = np.random.default_rng(0).random((1, 96, 96, 1)).astype(np.float32)
    part = whole[:, 24 : 24 + given.cut, 36 : 36 + given.cut]
    seen, target = trainer.observe(tf.constant(np.concatenate([part, part])))
    first = (given.cut - 13) // 2
    rows, columns = (slice(place + first, place + first + 13) for place in (24, 36))
    np.testing.assert_array_equal(target[0], whole[0, rows, columns])
    for place, scale in enumerate((2.0, 4.0)):
        expected = enlarge_picture(reduce_picture(whole, scale), scale)[0, rows, columns]
        np.testing.assert_allclose(seen[place], expected, atol=1e-3)
        alone = target[place : place + 1, :12, :12]
        without_margin = enlarge_picture(reduce_picture(alone, scale), scale)[0]
        assert np.abs(without_margin - expected[:12, :12]).max() > 0.05


def test_training_improves_what_is_held_back_and_validation_scores_what_is_kept(tmp_path):
    plan = tiny_plan(tmp_path, num_steps=80, validate_every=80, learning_rate=1e-2, ema=0.5, batch_size=5)
    trainer = SingleImageTrainer(task(), plan)
    before = trainer.validate().scores
    scores = trainer.train()
    assert set(scores) == {"psnr_x2", "psnr_x3", "gain_x2", "gain_x3"}
    assert scores["psnr_x2"] > before["psnr_x2"] + 1 and scores["gain_x2"] > 0
    kept, picture = trainer.model.for_inference(), scribble(2).values[None] / np.float32(255)
    bicubic = enlarge_picture(reduce_picture(picture[:, :42, :51], 3), 3)
    estimate = np.asarray(kept({"lr_image": bicubic})["estimate"])[0]
    found = luma_scores(picture[0, :42, :51], estimate, border=3).psnr
    assert found == pytest.approx(scores["psnr_x3"], abs=1e-3)


def test_patches_must_fit_a_network_with_a_scale_of_its_own():
    network = NetworkPlan("vdsr", ImageSpec(scale=4))
    for scales, size in (((2.0, 4.0), 12), ((4.0,), 10)):
        with pytest.raises(ValueError, match="scales, patch_size: expected one whole factor"):
            SingleImageTask(network, Pictures([], [], []), scales, PatchPlan(size, 2))
    whole = SingleImageTask(network, Pictures([], [], []), (4.0,), PatchPlan(12, 2))
    assert whole.cut == 12
    assert dataclasses.replace(whole, network=task().network, scales=(2.0, 3.0, 4.0)).cut == 36


@pytest.mark.slow
def test_a_network_with_a_scale_of_its_own_learns_from_the_small_picture(tmp_path):
    options = (("features", 4), ("num_stages", 1))
    network = NetworkPlan("dbpn", ImageSpec(scale=4, seed=1), options)
    held = Pictures(["p"], [scribble(0).values], [scribble(2)])
    trainer = SingleImageTrainer(
        SingleImageTask(network, held, (4.0,), PatchPlan(16, 2)), tiny_plan(tmp_path, num_steps=2)
    )
    cut = np.random.default_rng(0).random((2, 16, 16, 1)).astype(np.float32)
    seen, target = trainer.observe(tf.constant(cut))
    np.testing.assert_allclose(seen, reduce_picture(cut, 4), atol=1e-6)
    np.testing.assert_array_equal(target, cut)
    assert set(trainer.train()) == {"psnr_x4", "gain_x4"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four colour pictures in a folder."""
    place = tmp_path_factory.mktemp("pictures")
    for index in range(4):
        values = scribble(index).values
        colours = np.concatenate([values, values[::-1], 255 - values], -1)
        (place / f"picture_{index}.png").write_bytes(imagecodecs.png_encode(colours))
    return place


PUBLISHED = (
    "--optimizer=sgd",
    "--learning_rate=0.1",
    "--momentum=0.9",
    "--weight_decay=1e-4",
    "--clip_theta=0.01",
    "--clip_norm=0",
    "--schedule=steps",
    "--decay_every=2",
    "--loss=half_sse",
    "--ema=0",
    "--warmup_steps=0",
)
TINY = ("--option=depth=3", "--option=features=4", "--patch_size=12", "--batch_size=4", "--num_validation=1")


@pytest.mark.slow
def test_one_command_trains_and_writes_a_model_with_its_card(tmp_path: Path, folder: Path, start: Start):
    flags = [f"--data_dirs={folder}", *TINY, "--rescales=1,0.8", "--scales=2,3,1.5", "--num_steps=5"]
    flags += PUBLISHED
    run = start("trainers.single_image", *flags, "--checkpoint_every=2", f"--run_dir={tmp_path / 'run'}")
    output, errors = run.communicate(timeout=240)
    assert run.returncode == 0 and "psnr_x1.5" in output, errors
    record = json.loads((tmp_path / "run" / "model" / "model.json").read_text())["record"]
    assert record["validation_pictures"] == ["picture_2"] and record["training_pictures"] == 3
    assert record["scales"] == [2.0, 3.0, 1.5] and record["flags"]["num_steps"] == 5
    network = load_image_network(tmp_path / "run" / "model")
    picture = np.zeros((1, 20, 24, 1), np.float32)
    assert network({"lr_image": picture})["estimate"].shape == picture.shape


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--method=vdrs"], "did you mean 'vdsr'"),
        (["--scales=2,x"], "scales: expected numbers"),
        (["--option=dept=3"], "did you mean 'depth'"),
        (["--patch_size=40", "--scales=2"], "picture_0.png (52 x 44 pixels); give a smaller --patch_size"),
    ],
)
def test_bad_flags_end_in_one_line_and_exit_code_2(tmp_path, folder, flags, message):
    given = [f"--data_dirs={folder}", *TINY, f"--run_dir={tmp_path / 'run'}", *flags]
    ended = call_app("trainers.single_image", *given)
    assert ended.code == 2, ended.errors
    assert ended.last_error.startswith("error: ") and message in ended.last_error


def test_pictures_smaller_than_a_patch_are_named_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, side in (("a", 64), ("b", 32), ("c", 64), ("d", 32), ("e", 64)):
        (tmp_path / f"{name}.png").write_bytes(imagecodecs.png_encode(np.zeros((side, side), np.uint8)))
    flags = SimpleNamespace(data_dirs=[str(tmp_path)], num_validation=1, rescales=["1"], patch_size=41)
    flags.memory_limit, flags.cache_dir = "5kB", str(tmp_path / "cache")
    for module in ("_pictures", "_flags"):
        monkeypatch.setattr(f"trainers.{module}.FLAGS", flags)
    with pytest.warns(UserWarning) as caught:
        assert [*load_pictures(1, smallest=60).training] == ["a", "e"]
    (said,) = (str(one.message) for one in caught)
    assert said.startswith("2 of 4 training pictures are smaller than the 60 x 60 pixels of a patch")
    assert f"{tmp_path / 'b.png'} (32 x 32 pixels); a smaller --patch_size" in said
    with pytest.raises(ValueError, match=r"of at least 65 x 65 pixels, as patches of --patch_size=41"):
        load_pictures(1, smallest=65)


def test_a_run_starts_from_a_shallower_trained_network(tmp_path: Path, untraced: None) -> None:
    first = SingleImageTrainer(task(), tiny_plan(tmp_path / "first"))
    first.train()
    save_model(first.model.for_inference(), tmp_path / "model", {})
    picture = tf.constant(scribble(3).values[None] / 255.0, tf.float32)
    deeper = (("depth", 6), ("features", 4))
    plan = NetworkPlan("vdsr", ImageSpec(scale=None, seed=4), deeper, str(tmp_path / "model"))
    found = plan.build()({"lr_image": picture})["estimate"]
    np.testing.assert_allclose(found, first.model({"lr_image": picture})["estimate"], atol=1e-6)
    with pytest.raises(ValueError, match="start_from: expected a model of the same network"):
        dataclasses.replace(plan, options=(("depth", 2), ("features", 4))).build()


def test_without_the_data_root_the_flag_for_pictures_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainers._pictures.data_root", lambda: None)
    ended = call_app("trainers.single_image", f"--run_dir={tmp_path / 'run'}")
    assert ended.code == 2 and "give --data_dirs=" in ended.last_error
    assert ended.last_error.startswith(
        "error: data_dirs: expected folders of training pictures, got sisr/T91"
    )
