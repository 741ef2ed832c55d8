"""The trainer of blind networks: what it sees, exact resumption, training in parts, bad input in one line."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tensorflow as tf

from hsr_tf.data.kernels import Isotropic
from hsr_tf.data.patches import PatchPlan
from hsr_tf.data.pictures import NamedPicture
from hsr_tf.metrics.full_reference import luma_scores
from hsr_tf.networks.blind_losses import BlindWeights
from hsr_tf.networks.image_network import ImageSpec
from hsr_tf.networks.pretrained import load_image_network, save_model
from hsr_tf.physics.kernel_shapes import gaussian_kernels
from hsr_tf.physics.sample_blur import BlindDegradation
from tests.app_for_tests import call_app
from tests.trainers.test_fusion import tiny_plan, train_and_copy
from tests.trainers.test_single_image import scribble
from trainers._pictures import Pictures
from trainers.blind_sr import BlindTask, BlindTrainer, PartPlan, margin_of

Start = Callable[..., "subprocess.Popen[str]"]
OPTIONS = {
    "ikc": (("features", 4), ("num_blocks", 1), ("num_corrections", 2), ("published_layers", True)),
    "kbpn": (("features", 4), ("num_modules", 2)),
    "srmdnf": (("depth", 3), ("features", 12), ("residual", True)),
}


def task(
    method: str, *, part: str = "whole", start_from: str | None = None, num_channels: int = 1
) -> BlindTask:
    """A network of scale 2 on two pictures, one more held back."""
    spec = ImageSpec(scale=2, num_channels=num_channels, seed=3, zero_head=True)
    network = PartPlan(method, spec, OPTIONS[method], start_from, part)
    pictures = [scribble(index) for index in range(3)]
    held = Pictures(["picture_0", "picture_1"], [p.values for p in pictures[:2]], pictures[2:])
    return BlindTask(network, held, PatchPlan(16, 2, seed=3), Isotropic(0.3, 2.0), sigmas=(0.3, 1.5))


def weights_of(trainer: BlindTrainer) -> dict[str, np.ndarray]:
    return {weight.path: weight.numpy() for weight in trainer.model.weights}


def test_patches_are_degraded_each_by_a_kernel_of_its_own(tmp_path: Path) -> None:
    trainer = BlindTrainer(task("srmdnf"), tiny_plan(tmp_path))
    hr_image = tf.constant(np.random.default_rng(0).random((5, 16, 16, 1)), tf.float32)
    first, second = trainer.observe(hr_image), trainer.observe(hr_image)
    np.testing.assert_allclose(first.lr_image, BlindDegradation(first.kernel, 2)(hr_image), atol=1e-6)
    kernels = np.concatenate([first.kernel, second.kernel])
    assert len({kernel.tobytes() for kernel in kernels}) == 10
    assert kernels.shape == (10, 21, 21)


def test_patches_with_a_margin_are_degraded_as_within_their_picture(tmp_path: Path) -> None:
    plain = task("srmdnf")
    margin = margin_of(2, plain.kernels.size)
    patches = PatchPlan(16, 4, stride=2, augment=False, margin=margin)
    trainer = BlindTrainer(replace(plain, patches=patches), tiny_plan(tmp_path))
    cut, index = trainer.source.batch(tf.constant(0, tf.int64))
    truth = trainer.observe(tf.cast(cut, tf.float32) / 255.0)
    for number, picture in enumerate(index):
        values = plain.pictures.values[picture] / np.float32(255)
        places = [(row, column) for row in range(0, 29, 2) for column in range(0, 37, 2)]
        sharp = np.asarray(truth.hr_image[number])
        (place,) = [p for p in places if np.allclose(values[p[0] : p[0] + 16, p[1] : p[1] + 16], sharp)]
        whole = BlindDegradation(truth.kernel[number : number + 1], 2)(values[None])[0]
        row, column = (n // 2 for n in place)
        expected = whole[row : row + 8, column : column + 8]
        np.testing.assert_allclose(truth.lr_image[number], expected, atol=1e-6)


def test_noise_is_drawn_up_to_its_deviation(tmp_path: Path) -> None:
    trainer = BlindTrainer(replace(task("srmdnf"), noise=20.0), tiny_plan(tmp_path))
    found = trainer.observe(tf.fill((64, 32, 32, 1), 0.5))
    deviations = 255 * np.std(found.lr_image - BlindDegradation(found.kernel, 2)(found.hr_image), (1, 2, 3))
    assert deviations.min() < 3
    assert 17 < deviations.max() < 23


@pytest.mark.parametrize("method", ["srmdnf", pytest.param("kbpn", marks=pytest.mark.slow)])
def test_a_run_stopped_between_checkpoints_ends_as_an_uninterrupted_one(
    method: str, tmp_path: Path, untraced: None
) -> None:
    whole = BlindTrainer(task(method), tiny_plan(tmp_path / "whole"))
    train_and_copy(whole, tmp_path / "broken")
    resumed = BlindTrainer(task(method), tiny_plan(tmp_path / "broken"))
    assert resumed.run.restore() == 2
    resumed.train()
    found = weights_of(resumed)
    for path, expected in weights_of(whole).items():
        np.testing.assert_array_equal(found[path], expected, err_msg=path)


def test_training_gains_and_validation_scores_what_is_kept(tmp_path: Path) -> None:
    plan = tiny_plan(tmp_path, num_steps=150, validate_every=150, learning_rate=5e-3, ema=0.5)
    trainer = BlindTrainer(task("srmdnf"), plan)
    assert trainer.validate().scores["gain_sigma1.5"] == pytest.approx(0, abs=1e-4)
    scores = trainer.train()
    assert set(scores) == {f"{name}_sigma{s}" for name in ("psnr", "gain") for s in ("0.3", "1.5")}
    assert scores["gain_sigma1.5"] > 0.3
    picture, kernel = scribble(2).values[None] / np.float32(255), gaussian_kernels(tf.constant([1.5]))
    views = {"lr_image": BlindDegradation(kernel, 2)(picture), "kernel": kernel}
    estimate = trainer.model.for_inference()(views)["estimate"][0].numpy()
    assert luma_scores(picture[0], estimate, border=2).psnr == pytest.approx(
        scores["psnr_sigma1.5"], abs=1e-3
    )


PREFIXES = {
    "estimator": "kernel_",
    "predictor": "kernel_predict",
    "corrector": ("kernel_correct", "kernel_dense", "kernel_merge"),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "parts"),
    [
        ("kbpn", ("image", "estimator", "whole")),
        ("ikc", ("image", "predictor", "corrector", "estimator", "whole")),
    ],
)
def test_parts_train_one_after_another_each_leaving_the_other_as_it_is(
    method: str, parts: tuple[str, ...], tmp_path: Path
) -> None:
    folder = None
    for part in parts:
        trainer = BlindTrainer(
            task(method, part=part, start_from=folder), tiny_plan(tmp_path / part, ema=0.0)
        )
        before = weights_of(trainer)
        if folder is not None:
            expected = {weight.path: weight.numpy() for weight in load_image_network(folder).weights}
            assert all((before[path] == expected[path]).all() for path in before)
        scores = trainer.train()
        changed = {path for path, value in weights_of(trainer).items() if (value != before[path]).any()}
        estimator = {path for path in before if path.startswith("kernel_")}
        assert (part == "image") == ("kernel_l1_sigma0.3" not in scores)
        if part != "whole":
            assert changed
            own = {path for path in before if path.startswith(PREFIXES.get(part, ""))}
            assert changed <= (own if part in PREFIXES else before.keys() - estimator)
        else:
            assert changed & estimator
            assert changed - estimator
        folder = str(save_model(trainer.model.for_inference(), tmp_path / part / "model", {}))


def test_a_model_of_another_shape_is_no_start(tmp_path: Path) -> None:
    other = replace(task("srmdnf").network, options=(("depth", 2), ("features", 12)))
    save_model(other.build().for_inference(), tmp_path / "model", {})
    with pytest.raises(ValueError, match="start_from: expected a model of the same network"):
        task("srmdnf", start_from=str(tmp_path / "model")).network.build()


def test_a_network_without_parts_is_trained_whole() -> None:
    with pytest.raises(ValueError, match="part: expected whole, as srmdnf has no image to train alone"):
        task("srmdnf", part="image").network.build()


def test_pictures_of_three_channels_are_scored_on_their_luminance(tmp_path: Path, untraced: None) -> None:
    """Over a bicubic enlargement a head of zero is as good as that, for gray pictures in RGB too."""
    colour = NamedPicture("colour", np.random.default_rng(0).integers(0, 256, (40, 32, 3), np.uint8))
    told = task("srmdnf", num_channels=3)
    values = [np.repeat(scribble(index).values, 3, -1) for index in range(2)]
    pictures = Pictures(["a", "b"], values, [colour, scribble(2)])
    trainer = BlindTrainer(replace(told, pictures=pictures), tiny_plan(tmp_path, num_steps=2))
    for held in trainer.held:
        assert held.views["lr_image"].shape[-1] == 3 and held.truth.shape[-1] == 1
    scores = trainer.validate().scores
    assert scores["gain_sigma1.5"] == pytest.approx(0, abs=1e-3)
    trainer.train()
    assert trainer.model({**trainer.held[0].views})["estimate"].shape[-1] == 3


def test_patches_must_fit_the_scale() -> None:
    with pytest.raises(ValueError, match="patch_size: expected a multiple of the scale, 2"):
        replace(task("srmdnf"), patches=PatchPlan(15, 2))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three pictures in a folder."""
    place = tmp_path_factory.mktemp("pictures")
    for index in range(3):
        (place / f"picture_{index}.png").write_bytes(imagecodecs.png_encode(scribble(index).values[..., 0]))
    return place


TINY = ("--scale=2", "--patch_size=16", "--batch_size=2", "--num_validation=1", "--option=features=4")


@pytest.mark.slow
def test_one_command_trains_and_writes_a_model_with_its_card(
    tmp_path: Path, folder: Path, start: Start
) -> None:
    flags = [
        f"--data_dirs={folder}",
        *TINY,
        "--option=num_modules=2",
        "--option=extensions=diff_kernel,cell_kernels",
    ]
    flags += ["--kernels=isotropic+motion", "--noise=5", "--weight_kernel_code=2", "--num_steps=3"]
    run = start("trainers.blind_sr", *flags, f"--run_dir={tmp_path / 'run'}")
    output, errors = run.communicate(timeout=300)
    assert run.returncode == 0 and "kernel_l1_sigma1.3" in output, errors
    record = json.loads((tmp_path / "run" / "model" / "model.json").read_text())["record"]
    assert record["loss_weights"] == {**BlindWeights().__dict__, "kernel_code": 2.0}
    assert record["scale"] == 2 and record["training_pictures"] == 2
    outputs = load_image_network(tmp_path / "run" / "model")({"lr_image": np.zeros((1, 5, 6, 1), np.float32)})
    assert outputs["kernel_map"].shape == (1, 5, 6, 441)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--method=vdsr"], "expected a blind network or one that is given the kernel"),
        (["--channels=2"], "channels: expected 1 for luminance or 3 for RGB, got 2"),
        (["--kernels=isotropc"], "kernels: expected one like isotropic"),
        (["--validation_sigmas=0.2,x"], "validation_sigmas: expected positive widths"),
        (["--weight_image=-1"], "image: expected a weight of 0 or more"),
    ],
)
def test_bad_flags_end_in_one_line(tmp_path: Path, folder: Path, flags: list[str], message: str) -> None:
    given = [f"--data_dirs={folder}", *TINY, f"--run_dir={tmp_path / 'run'}", *flags]
    ended = call_app("trainers.blind_sr", *given)
    assert ended.code == 2, ended.errors
    assert ended.last_error.startswith("error: ") and message in ended.last_error
