"""Every configuration says how it was run, and builds the model that it describes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = sorted((ROOT / "configs").glob("*.flags"))
OF_ONE_SCENE = {"unsupervised": "unsupervised", "blind": "blind_fusion"}
OF_PICTURES = {"vdsr": "single_image", "srcnn": "single_image", "dbpn": "single_image"}
BLIND = {"kbpn": "blind_sr", "ikc": "blind_sr", "srmdnf": "blind_sr"}
BUILD = """
import sys
import numpy as np
from absl import flags
from hsr_tf.networks.fusion_model import FusionModel
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.scene import Scene
from trainers import _flags, fusion

_flags.define_run_flags()
fusion.define_flags()
cube, wavelengths_nm = np.zeros((256, 256, 31), "float32"), np.arange(400, 701, 10.0)
scenes = [Scene(cube, wavelengths_nm, name) for name in ("a", "flowers")]
fusion.find_scenes = lambda *_, **__: None
fusion.load_scenes = lambda _: scenes
for path in sys.argv[1:]:
    flags.FLAGS.unparse_flags()
    for name in flags.FLAGS:
        flags.FLAGS[name].unparse()
    flags.FLAGS(["x", f"--flagfile={path}", "--run_dir=unused"])
    task = fusion.task_from_flags()
    _flags.run_plan()
    model = FusionModel(task.config, ObservationModel(task.cameras.spatial, task.cameras.spectral))
    print(path, model.count_params())
"""


BUILD_SOLVER = """
import sys
import numpy as np
from absl import flags
from hsr_tf import methods
from hsr_tf.options import with_options
from hsr_tf.physics.cameras import make_cameras
from hsr_tf.scene import Scene
from trainers import {trainer}

{trainer}.define_flags()
cube = np.zeros((64, 64, 31), "float32")
for path in sys.argv[1:]:
    flags.FLAGS.unparse_flags()
    for name in flags.FLAGS:
        flags.FLAGS[name].unparse()
    flags.FLAGS(["x", f"--flagfile={{path}}", "--run_dir=unused"])
    known = with_options(methods.get(flags.FLAGS.method), flags.FLAGS.option)
    known.build(make_cameras(Scene(cube, np.arange(400, 701, 10.0)), flags.FLAGS.scale))
    print(path, known.name)
"""


BUILD_PICTURES = """
import sys
from absl import flags
from trainers import _flags, {trainer}
from trainers._optimizers import make_optimizer
from trainers._pictures import Pictures

_flags.define_run_flags()
{trainer}.define_flags()
{trainer}.load_pictures = lambda *_, **__: Pictures([], [], [])
for path in sys.argv[1:]:
    flags.FLAGS.unparse_flags()
    for name in flags.FLAGS:
        flags.FLAGS[name].unparse()
    flags.FLAGS(["x", f"--flagfile={{path}}", "--run_dir=unused"])
    make_optimizer(_flags.run_plan())
    print(path, {trainer}.task_from_flags().network.build().count_params())
"""


def trainer_of(path: Path) -> str:
    """The trainer that a configuration is for, by the first word of its name."""
    return {**OF_ONE_SCENE, **OF_PICTURES, **BLIND}.get(path.stem.split("_")[0], "fusion")


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_head_of_a_configuration_names_command_hardware_time_seed_and_scores(path):
    head = "\n".join(line for line in path.read_text().splitlines() if line.startswith("#"))
    assert f"python -m trainers.{trainer_of(path)} --flagfile=configs/{path.name}" in head
    for word in ("Hardware:", "Time:", "Seed:", "Scores"):
        assert word in head
    assert re.search(r"\d\d\.\d\d? dB", head)


def test_every_configuration_builds_its_model():
    chosen = [path for path in CONFIGS if trainer_of(path) == "fusion"]
    command = [sys.executable, "-c", BUILD, *map(str, chosen)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(done.stdout.strip().splitlines()) == len(chosen) > 0


@pytest.mark.parametrize("trainer", OF_ONE_SCENE.values())
def test_every_configuration_of_one_scene_builds_its_solver(trainer):
    chosen = [path for path in CONFIGS if trainer_of(path) == trainer]
    if not chosen:
        pytest.skip(f"no configuration of trainers.{trainer}")
    command = [sys.executable, "-c", BUILD_SOLVER.format(trainer=trainer), *map(str, chosen)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(done.stdout.strip().splitlines()) == len(chosen)


@pytest.mark.parametrize("trainer", sorted({*OF_PICTURES.values(), *BLIND.values()}))
def test_every_configuration_of_single_images_builds_its_network(trainer):
    chosen = [path for path in CONFIGS if trainer_of(path) == trainer]
    if not chosen:
        pytest.skip(f"no configuration of trainers.{trainer}")
    command = [sys.executable, "-c", BUILD_PICTURES.format(trainer=trainer), *map(str, chosen)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(done.stdout.strip().splitlines()) == len(chosen)
