"""Wald's protocol makes a pair of the same cameras whose truth is X; the command tells all of it."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

import hsr_tf
from hsr_tf import cli, methods
from hsr_tf.fusion import api as fusion
from hsr_tf.fusion.quality import assess, wald
from hsr_tf.metrics.full_reference import scorecard
from hsr_tf.physics.cameras import choose_cameras
from hsr_tf.physics.psf import Psf
from hsr_tf.physics.psf_shift import shifted_psf
from hsr_tf.scene import Observation, Scene


@pytest.fixture(scope="module")
def observation() -> Observation:
    """64 x 48 x 8 coarse pixels at x4, by a kernel without any symmetry."""
    rng = np.random.default_rng(0)
    cube = ndimage.gaussian_filter(rng.random((256, 192, 8)), (3, 4, 1))
    truth = Scene((cube - cube.min()) / np.ptp(cube), np.linspace(420, 680, 8), "waves", {"place": "here"})
    kernel = np.outer([1, 4, 6, 3, 1, 0], [0, 2, 5, 4, 1, 1])
    return hsr_tf.simulate(truth, scale=4, psf=Psf(kernel, "skew"))


@pytest.fixture
def hsr(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """`hsr("quality", ...)` runs the command in this process: exit code, stdout, stderr."""

    def run(*arguments: object) -> tuple[int, str, str]:
        capfd.readouterr()
        code = cli.run([str(argument) for argument in arguments])
        return (code, *capfd.readouterr())

    return run


@pytest.fixture
def folder(tmp_path: Path, observation: Observation) -> Path:
    """The pair as x.h5, y.h5 and its estimate by spectral_ls as z.h5."""
    for name, scene in (("x", observation.lr_hsi), ("y", observation.hr_msi)):
        hsr_tf.save(scene, tmp_path / f"{name}.h5")
    hsr_tf.save(fusion.fuse(observation).estimate, tmp_path / "z.h5")
    return tmp_path


def test_the_reduced_images_are_a_pair_of_the_same_cameras(observation: Observation) -> None:
    trial = wald(observation)
    model = choose_cameras(observation, psf=None, srf=None, srf_needed=True).model
    assert trial.observation.lr_hsi.shape == (16, 12, 8)
    seen_by_colour = observation.lr_hsi.cube @ model.spectral.matrix
    np.testing.assert_allclose(trial.observation.hr_msi.cube, seen_by_colour, atol=2e-6)
    degraded = hsr_tf.simulate(observation.lr_hsi, scale=4, psf=model.spatial.psf, srf=model.spectral)
    np.testing.assert_allclose(trial.observation.lr_hsi.cube, degraded.lr_hsi.cube, atol=1e-6)


def test_the_scores_are_those_of_fusing_the_reduced_pair(observation: Observation) -> None:
    trial = wald(observation, "spectral_ls")
    model = choose_cameras(observation, psf=None, srf=None, srf_needed=True).model
    again = fusion.fuse(trial.observation, "spectral_ls", psf=model.spatial.psf, srf=model.spectral)
    expected = scorecard(observation.lr_hsi.cube, again.estimate.cube, scale=4)
    assert trial.scores == expected
    assert trial.scores.psnr_bands > wald(observation, "bicubic").scores.psnr_bands + 3


def test_a_wrong_blur_scores_worse(observation: Observation) -> None:
    shifted = shifted_psf(Psf(observation.lr_hsi.metadata["simulated_psf_kernel"], "skew"), (2.0, -1.5))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        worse = wald(observation, psf=shifted).scores.psnr_bands
    assert worse < wald(observation).scores.psnr_bands - 1


def test_what_makes_no_whole_cell_is_left_out_and_holes_are_filled(observation: Observation) -> None:
    mask = np.zeros((62, 45), bool)
    mask[5, 7] = True
    coarse = replace(observation.lr_hsi, cube=observation.lr_hsi.cube[:62, :45], nodata_mask=mask)
    part = Observation(coarse, replace(observation.hr_msi, cube=observation.hr_msi.cube[:248, :180]), 4)
    trial = wald(part)
    assert trial.reference.shape == (60, 44, 8)
    assert trial.solution.estimate.shape == (60, 44, 8)
    assert np.isfinite(trial.scores.psnr_bands)


def test_a_solver_runs_one_scale_down_and_leaves_the_checkpoint(
    observation: Observation, tmp_path: Path
) -> None:
    path = tmp_path / "fit.npz"
    quick = hsr_tf.with_options(methods.get("cnmf"), ["num_inner=2"])
    trial = wald(observation, quick, controls=hsr_tf.Controls(max_seconds=0.5, checkpoint=path))
    assert trial.solution.iterations
    assert not path.exists()


def test_images_too_small_are_refused_or_warned_of(observation: Observation) -> None:
    def part(side: int) -> Observation:
        images = (observation.lr_hsi.cube[:side, :side], observation.hr_msi.cube[: 4 * side, : 4 * side])
        scenes = (observation.lr_hsi, observation.hr_msi)
        made = [replace(scene, cube=image) for scene, image in zip(scenes, images, strict=True)]
        return Observation(made[0], made[1], 4)

    with pytest.raises(ValueError, match="lr_hsi: expected at least 11x11 pixels"):
        wald(part(10))
    with pytest.warns(UserWarning, match="one scale down lr_hsi has only 16 pixels"):
        wald(part(16))


def test_an_assessment_takes_the_cameras_that_the_files_tell(observation: Observation) -> None:
    estimate = fusion.fuse(observation).estimate
    told = assess(observation, estimate)
    assert told.psf == "skew (recorded in the file)"
    assert told.figures.consistency.lr_hsi_residual < 1e-4
    wrong = assess(observation, estimate, psf="box")
    assert wrong.psf == "box, 4 taps (given)"
    assert wrong.figures.consistency.lr_hsi_residual > 1e-3


def test_the_command_shows_and_writes_every_figure(
    hsr: Callable[..., tuple[int, str, str]], folder: Path
) -> None:
    images = (f"--lr_hsi={folder / 'x.h5'}", f"--hr_msi={folder / 'y.h5'}")
    code, out, _ = hsr("quality", *images, f"--estimate={folder / 'z.h5'}", f"--json={folder / 'q.json'}")
    assert code == 0
    for figure in ("|X - D Z| / |X|", "SAM", "D_lambda", "D_s", "QNR", "HQNR", "skew (recorded in the file)"):
        assert figure in out
    found = json.loads((folder / "q.json").read_text(encoding="utf-8"))
    assert found["figures"]["hqnr"] > 0.9
    assert len(found["figures"]["lr_hsi_psnr"]) == 8


def test_a_fusion_scores_itself_one_scale_down(
    hsr: Callable[..., tuple[int, str, str]], folder: Path
) -> None:
    images = (f"--lr_hsi={folder / 'x.h5'}", f"--hr_msi={folder / 'y.h5'}")
    code, out, _ = hsr("fuse", *images, f"--output={folder / 'out.h5'}", "--wald", "--method=bicubic")
    assert code == 0
    assert "one scale down (Wald), 16x12x8 to 64x48x8" in out
    assert "PSNR, mean over the bands" in out


def test_bad_input_is_one_line_and_nothing_is_written(
    hsr: Callable[..., tuple[int, str, str]], folder: Path
) -> None:
    images = (f"--lr_hsi={folder / 'x.h5'}", f"--hr_msi={folder / 'y.h5'}")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    out = f"--output={folder / 'out.h5'}"
    for arguments, said in (
        (("quality", *images, f"--estimate={folder / 'x.h5'}"), "estimate: expected 256x192x8"),
        (("quality", *images, f"--estimate={folder / 'gone.h5'}"), "gone.h5"),
        (("quality", *images, f"--estimate={folder / 'z.h5'}", f"--json={folder / 'z.h5'}"), "is an input"),
        (("quality", *images, f"--estimate={folder / 'z.h5'}", "--psff=box"), "did you mean --psf?"),
        (("fuse", *images, out, f"--uncertainty={folder / 'out.h5'}"), "is the name of the estimate as well"),
        (("fuse", *images, out, f"--uncertainty={folder / 'x.h5'}"), "is an input as well"),
        (("fuse", *images, out, f"--uncertainty={folder / 'm.xyz'}"), "m.xyz"),
    ):
        code, _, err = hsr(*arguments)
        assert code == 2, arguments
        assert said in err
        assert len(err.strip().splitlines()) == 1
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
