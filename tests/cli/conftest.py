"""The `hsr` command in this process, and a folder with files to try it on."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

import hsr_tf
from hsr_tf import cli
from hsr_tf.scene import Scene
from tests.cli.command_for_tests import WAVELENGTHS_NM, Answer


@pytest.fixture
def hsr(capfd: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """`hsr("info", path)` runs the command in this process; stderr is that of the descriptor."""

    def run(*arguments: object) -> Answer:
        capfd.readouterr()
        code = cli.run([str(argument) for argument in arguments])
        return Answer(code, *capfd.readouterr())

    return run


@pytest.fixture(scope="session")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What every `folder` begins with."""
    folder = tmp_path_factory.mktemp("originals")
    rng = np.random.default_rng(0)
    cube = ndimage.gaussian_filter(rng.random((48, 64, 31)), (2, 2, 4))
    scene = Scene((cube - cube.min()) / np.ptp(cube), WAVELENGTHS_NM, "noise")
    hsr_tf.save(scene, folder / "z.h5")
    observation = hsr_tf.simulate(scene, scale=8)
    hsr_tf.save(observation.lr_hsi, folder / "x.h5")
    hsr_tf.save(observation.hr_msi, folder / "y.h5")
    hsr_tf.save(Scene(np.zeros((2, 2, 2))), folder / "old.h5")
    return folder


@pytest.fixture
def folder(tmp_path: Path, originals: Path) -> Path:
    """A sharp cube `z.h5` of 48 x 64 x 31, its observation `x.h5`, `y.h5` at x8, an old result `old.h5`."""
    return shutil.copytree(originals, tmp_path, dirs_exist_ok=True)
