"""Small scenes in files, and trainers as processes, as users start them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hsr_tf.io import save
from hsr_tf.scene import Scene

ROOT = Path(__file__).resolve().parents[2]
NUM_BANDS = 6


def waves(index: int, height: int = 24, width: int = 32) -> Scene:
    """A smooth scene of `NUM_BANDS` bands, different for each index, not symmetric."""
    rows, columns = np.mgrid[:height, :width]
    bands = [np.sin(columns / (3 + b) + index) + np.cos(rows / (4 + b)) + b / 5 for b in range(NUM_BANDS)]
    cube = np.stack(bands, -1)
    cube = (cube - cube.min()) / np.ptp(cube)
    return Scene(cube.astype("float32"), np.linspace(420, 680, NUM_BANDS), f"scene_{index}")


@pytest.fixture(scope="session")
def scene_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three scenes in a folder."""
    folder = tmp_path_factory.mktemp("scenes")
    for index in range(3):
        save(waves(index), folder / f"scene_{index}.h5")
    return folder


@pytest.fixture(scope="session")
def start() -> Callable[..., subprocess.Popen[str]]:
    """Start `python -m MODULE FLAGS...` from the repository's root."""

    def run(module: str, *flags: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", module, *flags]
        pipe = subprocess.PIPE
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        return subprocess.Popen(command, cwd=ROOT, env=environment, text=True, stdout=pipe, stderr=pipe)

    return run
