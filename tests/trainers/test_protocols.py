"""Protocols by one flag: scores as another program simulates the pair, and contradictions in one line."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from hsr_tf.fusion.api import fuse
from hsr_tf.io import save
from hsr_tf.metrics.full_reference import scorecard
from hsr_tf.physics.spectral import load_srf
from hsr_tf.scene import Observation, Scene
from tests.app_for_tests import call_app

SCALE = 4


def scene() -> Scene:
    rows, columns, bands = np.mgrid[:32, :40, :31]
    cube = 0.5 + 0.2 * np.sin(columns / 3 + bands / 9) + 0.2 * np.cos(rows / 2 - columns * bands / 90)
    return Scene(cube.astype(np.float32), np.linspace(400, 700, 31))


def test_the_narrow_psf_of_the_papers_is_scipys(tmp_path: Path) -> None:
    (tmp_path / "scenes").mkdir()
    save(scene(), tmp_path / "scenes" / "waves.h5")
    places = (f"--scenes={tmp_path / 'scenes'}", f"--output_dir={tmp_path / 'out'}", "--nosheets")
    ended = call_app(
        "trainers.evaluate", "--protocol=cave_3x3", "--scales=4", "--methods=spectral_ls", *places
    )
    assert ended.code == 0, ended.errors
    (row,) = csv.DictReader((tmp_path / "out" / "scores.csv").open())

    truth, srf = scene(), load_srf("nikon_d700", scene().wavelengths_nm)
    taps = np.exp(-0.5 * np.square([-1.0, 0.0, 1.0]) / 0.5**2)
    taps /= taps.sum()
    blurred = ndimage.correlate1d(ndimage.correlate1d(truth.cube, taps, 0), taps, 1)
    lr_hsi = Scene(blurred[SCALE // 2 - 1 :: SCALE, SCALE // 2 - 1 :: SCALE], truth.wavelengths_nm)
    pair = Observation(lr_hsi, Scene((truth.cube @ srf.matrix).astype(np.float32)), SCALE)
    found = fuse(pair, "spectral_ls", psf="gaussian:sigma=0.5,support=3", srf=srf)
    expected = scorecard(truth.cube, found.estimate.cube, scale=SCALE).psnr_bands
    assert float(row["psnr_bands"]) == pytest.approx(expected, abs=0.02)


def test_a_training_is_told_a_scale_of_the_protocol(tmp_path: Path) -> None:
    ended = call_app("trainers.fusion", "--protocol=cave_3x3", "--scale=16", f"--run_dir={tmp_path / 'run'}")
    assert ended.code == 2 and "scale: expected 4,8, as --protocol=cave_3x3 has it" in ended.last_error
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--psf=box"], "psf: expected gaussian:sigma=0.5,support=3, as --protocol=cave_3x3 has it, got box"),
        (["--scales=16"], "scales: expected 4,8, as --protocol=cave_3x3 has it, got 16"),
        (["--data_set=nus"], "data_set: expected cave"),
        (["--noisy"], "noisy: expected false, as --protocol=cave_3x3 has it, got true"),
        (["--task=pictures"], "task: expected scenes"),
        ([], "data_dir: expected the folder of CAVE, got none"),
    ],
)
def test_flags_that_contradict_a_protocol_are_one_line(
    given: list[str], message: str, tmp_path: Path
) -> None:
    ended = call_app("trainers.evaluate", "--protocol=cave_3x3", *given, f"--output_dir={tmp_path / 'out'}")
    assert ended.code == 2 and ended.last_error.startswith(f"error: {message}"), ended.errors
    assert not (tmp_path / "out").exists()
