"""The fusion trainer: exact resumption, guards, and bad input in one line."""

from __future__ import annotations

import dataclasses
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import tensorflow as tf

from hsr_tf import cli
from hsr_tf.closed_forms.sylvester import SylvesterBase
from hsr_tf.data.patches import PatchPlan, without_margin
from hsr_tf.fusion.api import simulate
from hsr_tf.io import load, save
from hsr_tf.networks.fusion_model import FusionConfig
from hsr_tf.networks.pretrained import load_model, read_card
from hsr_tf.physics.cameras import make_cameras
from hsr_tf.streaming import plan as tile_plan
from tests.app_for_tests import call_app, own_flags
from tests.tracing_for_tests import without_tracing
from tests.trainers.conftest import NUM_BANDS, waves
from trainers import _flags, fusion
from trainers._optimizers import WarmUp
from trainers._run import RunPlan
from trainers._trainer import Trainer
from trainers.fusion import FusionTask, FusionTrainer, NoisePlan

Start = Callable[..., "subprocess.Popen[str]"]
OPTIONS = (("features", 4), ("num_levels", 2))
TINY = (
    "--scale=4",
    "--patch_size=8",
    "--batch_size=2",
    "--features=4",
    "--base=spectral_ls",
    "--consistent",
    "--hsi_snr_db=30",
    "--noise_probability=0.5",
    "--warmup_steps=2",
    "--validate_every=1000",
)


def tiny_plan(run_dir: Path, **changes: object) -> RunPlan:
    plan = RunPlan(
        run_dir=run_dir,
        num_steps=6,
        batch_size=2,
        optimizer="adamw",
        learning_rate=1e-3,
        schedule="cosine",
        warmup_steps=2,
        weight_decay=1e-3,
        clip_norm=1.0,
        ema=0.9,
        dtype="float32",
        jit_compile=False,
        seed=3,
        checkpoint_every=2,
        validate_every=3,
    )
    return dataclasses.replace(plan, **changes)


def tiny_task(*, base: str = "spectral_ls", loss: str = "log_mse") -> FusionTask:
    scenes = [waves(index) for index in range(3)]
    cameras = make_cameras(scenes[0], 4, snr_db=(30.0, 35.0))
    config = FusionConfig("ms_ssfnet", 4, NUM_BANDS, 3, base, base == "spectral_ls", OPTIONS, seed=3)
    patches = PatchPlan(8, 2, seed=3)
    return FusionTask(scenes[:2], scenes[2:], cameras, config, patches, loss, NoisePlan(0.5, 10.0))


def weights_of(trainer: FusionTrainer) -> list[np.ndarray]:
    return [variable.numpy() for variable in trainer.model.trainable_variables]


def train_and_copy(trainer: Trainer, copy: Path) -> None:
    """Train to the end; `copy` gets what lies in the run's folder when the fourth step begins."""
    calls, own_step = iter(range(100)), trainer.train_step

    def step(*batch: tf.Tensor) -> tf.Tensor:
        if next(calls) == 3:
            shutil.copytree(trainer.plan.run_dir, copy)
        return own_step(*batch)

    trainer.train_step = step
    trainer.train()


def test_a_run_stopped_between_checkpoints_ends_with_the_weights_of_an_uninterrupted_one(tmp_path, untraced):
    task = tiny_task(base="none")
    whole = FusionTrainer(task, tiny_plan(tmp_path / "whole"))
    train_and_copy(whole, tmp_path / "broken")
    resumed = FusionTrainer(task, tiny_plan(tmp_path / "broken"))
    assert resumed.run.restore() == 2
    resumed.train()
    for expected, found in zip(weights_of(whole), weights_of(resumed), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.slow
def test_a_killed_process_started_again_ends_with_the_weights_of_an_uninterrupted_one(
    tmp_path: Path, scene_folder: Path, start: Start
):
    flags = [f"--data_dir={scene_folder}", *TINY, "--num_steps=400", "--checkpoint_every=20"]
    run = start("trainers.fusion", *flags, f"--run_dir={tmp_path / 'killed'}")
    wait_for(tmp_path / "killed" / "checkpoints" / "checkpoint", run)
    run.send_signal(signal.SIGKILL)
    run.communicate()
    assert not (tmp_path / "killed" / "model").exists()
    outcomes = [
        start("trainers.fusion", *flags, f"--run_dir={tmp_path / name}") for name in ("killed", "whole")
    ]
    for process in outcomes:
        _, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors
    killed, whole = (stored_weights(tmp_path / name / "model") for name in ("killed", "whole"))
    assert killed.keys() == whole.keys() and len(whole) > 10
    for name, values in whole.items():
        np.testing.assert_array_equal(killed[name], values)
    record = read_card(tmp_path / "whole" / "model").record
    assert record["flags"]["num_steps"] == 400 and record["validation"]["psnr_bands"] > 20
    cube = waves(2).cube[None]
    lr_hsi, hr_msi = make_cameras(waves(2), 4).simulate(cube)
    estimate = load_model(tmp_path / "whole" / "model")({"lr_hsi": lr_hsi, "hr_msi": hr_msi})
    assert estimate.shape == cube.shape


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_good_checkpoint(tmp_path, untraced):
    plan = tiny_plan(tmp_path, learning_rate=1e30, clip_norm=0.0, num_steps=50, warmup_steps=40)
    trainer = FusionTrainer(tiny_task(base="none", loss="mse"), plan)
    with pytest.raises(ValueError, match=r"loss: expected a finite number.*--learning_rate"):
        trainer.train()
    saved = FusionTrainer(tiny_task(base="none", loss="mse"), plan)
    saved.run.restore()
    assert all(np.isfinite(values).all() for values in weights_of(saved))


def test_training_improves_the_validation_of_the_averaged_weights(tmp_path):
    plan = tiny_plan(tmp_path, num_steps=60, validate_every=60, learning_rate=5e-3, ema=0.5)
    trainer = FusionTrainer(tiny_task(base="none", loss="mse"), plan)
    before = trainer.validate().scores["psnr_bands"]
    scores = trainer.train()
    assert scores["psnr_bands"] > before + 3
    assert trainer.validate().scores["psnr_bands"] == pytest.approx(scores["psnr_bands"], abs=1e-4)


def test_the_model_that_is_kept_has_no_intermediate_heads_and_answers_the_same(tmp_path):
    trainer = FusionTrainer(tiny_task(), tiny_plan(tmp_path))
    model = trainer.model
    assert np.isfinite(trainer.loss(*trainer.source.batch(tf.constant(0, tf.int64))))
    inputs = dict(
        zip(("lr_hsi", "hr_msi"), make_cameras(waves(2), 4).simulate(waves(2).cube[None]), strict=True)
    )
    assert set(model.levels(inputs)) == {"estimate", "estimate_2"}
    assert set(model.for_inference().levels(inputs)) == {"estimate"}
    np.testing.assert_allclose(model.for_inference()(inputs), model(inputs), rtol=0, atol=1e-6)


def test_noise_in_training_reaches_the_share_of_patches_that_was_asked_for(tmp_path):
    task = dataclasses.replace(tiny_task(), noise=NoisePlan(0.25, 0.0))
    trainer = FusionTrainer(task, tiny_plan(tmp_path))
    patches = tf.constant(np.stack([waves(0).cube[:8, :8]] * 400))
    clean, _ = trainer.clean.simulate(patches)
    noisy, _ = trainer.observe(patches, tf.zeros(400, tf.int64))
    share = np.mean(np.any(np.asarray(noisy) != np.asarray(clean), axis=(1, 2, 3)))
    assert share == pytest.approx(0.25, abs=0.07)


@pytest.mark.parametrize("psf", ["gaussian", "bicubic"])
def test_patches_are_observed_as_within_their_whole_scene(psf: str, tmp_path: Path) -> None:
    plain = tiny_task(base="none")
    cameras = make_cameras(plain.training[0], 4, psf=psf)
    margin = 4 * cameras.spatial.reach_cells
    cut = PatchPlan(8, 12, stride=4, augment=False, margin=margin)
    trainer = FusionTrainer(dataclasses.replace(plain, cameras=cameras, patches=cut), tiny_plan(tmp_path))
    patches, index = trainer.source.batch(tf.constant(0, tf.int64))
    observed = trainer.observe(patches, index)
    whole = [cameras.simulate(scene.cube[None]) for scene in plain.training]
    borders = 0
    for sharp, coarse, rgb, scene in zip(without_margin(patches, margin), *observed, index, strict=True):
        cube = plain.training[scene].cube
        places = [(row, column) for row in range(0, 17, 4) for column in range(0, 25, 4)]
        (found,) = [p for p in places if np.array_equal(cube[p[0] : p[0] + 8, p[1] : p[1] + 8], sharp)]
        borders += 0 in found
        row, column = (place // 4 for place in found)
        expected = whole[scene][0][0, row : row + 2, column : column + 2]
        np.testing.assert_allclose(coarse, expected, atol=1e-6)
        inside = whole[scene][1][0, found[0] : found[0] + 8, found[1] : found[1] + 8]
        np.testing.assert_allclose(rgb, inside, atol=1e-6)
    assert 0 < borders < 12


def test_learning_rate_rises_then_falls_to_a_thousandth():
    schedule = WarmUp(1.0, 10, 100)
    rates = [float(schedule(step)) for step in range(101)]
    assert rates[0] == pytest.approx(0.1, rel=1e-3)
    assert max(rates) == max(rates[9:12])
    assert rates[-1] == pytest.approx(1e-3, rel=1e-4)
    assert float(WarmUp(1.0, 0, 0)(12345)) == 1.0


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--learning_rat=1"], "Unknown command line flag 'learning_rat'"),
        (["--data_dir=/nowhere"], "no such folder"),
        (["--method=ms_ssfne"], "did you mean 'ms_ssfnet'?"),
        (["--validation_scenes=scene_9"], "expected one of scene_0, scene_1, scene_2"),
        (["--scale=6"], "power of two"),
        (["--patch_size=400"], "at most"),
        (["--flagfile=/nowhere.flags"], "nowhere.flags"),
        (["--method=dhsis", "--base=none"], "base: expected sylvester for dhsis"),
        (["--method=dhsis", "--base=sylvester", "--noconsistent"], "consistent: expected True for dhsis"),
        (["--white_level=0.1"], "correct --white_level=0.1"),
    ],
)
def test_bad_flags_end_in_one_line_and_exit_code_2(tmp_path, scene_folder, flags, message):
    given = [f"--data_dir={scene_folder}", *TINY, f"--run_dir={tmp_path / 'run'}", *flags]
    ended = call_app("trainers.fusion", *given)
    assert ended.code == 2, ended.errors
    assert ended.last_error.startswith("error: ") and message in ended.last_error
    assert "Traceback" not in ended.errors and not (tmp_path / "run" / "model").exists()


@pytest.fixture
def twelve_bits(tmp_path: Path) -> Path:
    """The scenes as ICVL stores its own: `rad`, 0 to 4095 in floating point."""
    folder = tmp_path / "twelve_bits"
    folder.mkdir()
    for index in range(3):
        with h5py.File(folder / f"scene_{index}.mat", "w") as file:
            file["rad"] = np.rint(4095 * waves(index).cube).astype(np.float64).transpose(2, 1, 0)
            file["bands"] = waves(index).wavelengths_nm[None]
    return folder


def test_dhsis_of_12_bit_cubes_is_trained_and_used_in_its_three_steps(
    twelve_bits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = [flag for flag in TINY if flag not in ("--base=spectral_ls", "--consistent")]
    given = (f"--data_dir={twelve_bits}", *tiny, "--method=dhsis", "--num_steps=2")
    with without_tracing():
        ended = call_app("trainers.fusion", *given, f"--run_dir={tmp_path / 'run'}")
    assert ended.code == 0, ended.errors
    assert "are divided by 4095" in ended.output and "dhsis: base sylvester" in ended.output
    card = read_card(tmp_path / "run" / "model")
    assert (card.config.base, card.config.consistent) == ("sylvester", True)
    assert card.record["flags"]["white_level"] == 4095
    assert card.record["validation"]["psnr_bands"] > card.record["bicubic_psnr_bands"] > 10
    assert "worse than bicubic" not in ended.errors
    pair, whole, tiled = simulate(waves(5, 24, 256), scale=4), tmp_path / "whole.h5", tmp_path / "tiled.h5"
    for image, name in ((pair.lr_hsi, "x.h5"), (pair.hr_msi, "y.h5")):
        save(image, tmp_path / name)
    monkeypatch.setattr(tile_plan, "LARGEST_TILE", 16)
    monkeypatch.setattr(tile_plan, "SMALLEST_TILE", 4)
    images = (f"--lr_hsi={tmp_path / 'x.h5'}", f"--hr_msi={tmp_path / 'y.h5'}")
    command = ["fuse", *images, "--method=dhsis", f"--weights={tmp_path / 'run' / 'model'}"]
    assert cli.run([*command, f"--output={whole}"]) == 0
    assert cli.run([*command, f"--output={tiled}", "--stream"]) == 0
    model = load_model(tmp_path / "run" / "model")
    lr_hsi, hr_msi = (tf.constant(image.cube[None]) for image in (pair.lr_hsi, pair.hr_msi))
    closed = SylvesterBase(model.cameras)
    first = closed(lr_hsi, hr_msi)
    added = model.network({"lr_hsi": lr_hsi, "hr_msi": tf.concat([hr_msi, first], -1)})["estimate"]
    assert np.abs(added).max() > 1e-4
    expected = closed.refine(first + added, lr_hsi, hr_msi)[0]
    np.testing.assert_allclose(load(whole).cube, expected, atol=1e-5)
    assert model.reach < 30  # of 64 coarse columns
    np.testing.assert_allclose(load(tiled).cube, expected, atol=1e-4)


def test_harvard_is_trained_on_with_a_response_that_ends_before_its_last_bands(tmp_path: Path) -> None:
    (tmp_path / "CZ_hsdb").mkdir()
    for index in range(5):
        cube = np.random.default_rng(index).random((24, 32, 31))
        scipy.io.savemat(tmp_path / "CZ_hsdb" / f"img{index}.mat", {"ref": cube, "lbl": np.ones((24, 32))})
    with own_flags(_flags.define_run_flags, fusion.define_flags) as given:
        flags = [f"--data_dir={tmp_path}", "--data_set=harvard", "--scale=4", "--run_dir=unused"]
        given(["trainer", *flags])
        task = fusion.task_from_flags()
    assert (len(task.training), len(task.validation)) == (3, 1)
    seen = task.cameras.spectral.matrix.sum(1) > 0
    assert seen[:29].all() and not seen[29:].any()  # 420 to 700 nm, and 710 and 720


def test_a_run_is_shown_in_a_page_and_a_useless_model_is_called_so(
    scene_folder: Path, tmp_path: Path, untraced: None
) -> None:
    tiny = [flag for flag in TINY if flag not in ("--base=spectral_ls", "--consistent")]
    places = (f"--run_dir={tmp_path / 'run'}", f"--report={tmp_path / 'run' / 'run.html'}")
    ended = call_app("trainers.fusion", f"--data_dir={scene_folder}", *tiny, "--num_steps=3", *places)
    assert ended.code == 0, ended.errors
    assert "warning: the model is worse than bicubic interpolation" in ended.errors
    page = (tmp_path / "run" / "run.html").read_text()
    assert page.startswith("<!DOCTYPE html>") and "Course of the run" in page and "flags.txt" in page


def wait_for(path: Path, process: subprocess.Popen[str], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not path.exists() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert process.poll() is None, process.communicate()[1]


def stored_weights(folder: Path) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    with h5py.File(folder / "model.weights.h5") as file:
        file.visititems(lambda name, item: found.update({name: item[()]}) if hasattr(item, "dtype") else None)
    return found


def test_steps_and_epochs_together_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    ended = call_app("trainers.fusion", "--num_steps=10", "--epochs=2", f"--run_dir={tmp_path / 'run'}")
    assert ended.code == 2 and "num_steps=10, epochs=2" in ended.errors
    assert not (tmp_path / "run").exists()
