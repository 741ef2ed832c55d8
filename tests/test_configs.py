"""Every configuration says how it was run, and builds the model that it describes."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from hsr_tf import methods
from hsr_tf.data.storage import TrainingScenes
from hsr_tf.networks.fusion_model import FusionModel
from hsr_tf.options import with_options
from hsr_tf.physics.cameras import make_cameras
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.scene import Scene
from tests.app_for_tests import own_flags
from trainers import _flags, blind_fusion, blind_sr, fusion, single_image, unsupervised
from trainers._optimizers import make_optimizer
from trainers._pictures import Pictures

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = sorted((ROOT / "configs").glob("*.flags"))
OF_ONE_SCENE = {"unsupervised": "unsupervised", "blind": "blind_fusion"}
OF_PICTURES = {"vdsr": "single_image", "srcnn": "single_image", "dbpn": "single_image"}
BLIND = {"kbpn": "blind_sr", "ikc": "blind_sr", "srmdnf": "blind_sr"}
ONE_SCENE = {"unsupervised": unsupervised, "blind_fusion": blind_fusion}
PICTURES = {"single_image": single_image, "blind_sr": blind_sr}
WAVELENGTHS_NM = np.arange(400, 701, 10.0)


def trainer_of(path: Path) -> str:
    """The trainer that a configuration is for, by the first word of its name."""
    return {**OF_ONE_SCENE, **OF_PICTURES, **BLIND}.get(path.stem.split("_")[0], "fusion")


def configs_of(*trainers: str) -> list[Path]:
    """The configurations of these trainers."""
    return [path for path in CONFIGS if trainer_of(path) in trainers]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_head_of_a_configuration_names_command_hardware_time_seed_and_scores(path):
    head = "\n".join(line for line in path.read_text().splitlines() if line.startswith("#"))
    assert f"python -m trainers.{trainer_of(path)} --flagfile=configs/{path.name}" in head
    for word in ("Hardware:", "Time:", "Seed:", "Scores"):
        assert word in head
    assert re.search(r"\d\d\.\d\d? dB", head)


@pytest.mark.parametrize("path", configs_of("fusion"), ids=lambda path: path.stem)
def test_a_configuration_of_fusion_builds_its_model(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("a", "flowers", "watercolors")
    scenes = [Scene(np.zeros((256, 256, 31), np.float32), WAVELENGTHS_NM, name) for name in names]
    monkeypatch.setattr(fusion._scene_sets, "read_scenes", lambda: TrainingScenes(scenes, None))
    with own_flags(_flags.define_run_flags, fusion.define_flags) as given:
        given(["trainer", f"--flagfile={path}", "--run_dir=unused"])
        random = given.cameras == "random"
        task = fusion._prior_flags.task_from_flags() if random else fusion.task_from_flags()
        make_optimizer(_flags.run_plan())
    model = FusionModel(task.config, ObservationModel(task.cameras.spatial, task.cameras.spectral))
    assert model.count_params() > 0


@pytest.mark.parametrize("path", configs_of(*ONE_SCENE), ids=lambda path: path.stem)
def test_a_configuration_of_one_scene_builds_its_solver(path: Path) -> None:
    with own_flags(ONE_SCENE[trainer_of(path)].define_flags) as given:
        given(["trainer", f"--flagfile={path}", "--run_dir=unused"])
        known = with_options(methods.get(given.method), given.option)
        scene = Scene(np.zeros((64, 64, 31), np.float32), WAVELENGTHS_NM)
        solver = known.build(make_cameras(scene, given.scale))
    assert solver is not None


@pytest.mark.parametrize("path", configs_of(*PICTURES), ids=lambda path: path.stem)
def test_a_configuration_of_single_images_builds_its_network(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = PICTURES[trainer_of(path)]
    monkeypatch.setattr(trainer, "load_pictures", lambda *_, **__: Pictures([], [], []))
    with own_flags(_flags.define_run_flags, trainer.define_flags) as given:
        given(["trainer", f"--flagfile={path}", "--run_dir=unused"])
        make_optimizer(_flags.run_plan())
        assert trainer.task_from_flags().network.build().count_params() > 0


@pytest.mark.parametrize(
    ("given_flags", "options"),
    [
        (
            ["--method=ssf_resnet", "--option=num_blocks=3", "--features=16"],
            {"num_blocks": 3, "features": 16},
        ),
        (["--method=dhsis", "--option=num_layers=4"], {"num_layers": 4}),
        (["--features=8,8,4,4", "--activation=prelu"], {"features": (8, 8, 4, 4), "activation": "prelu"}),
        (["--features=8", "--option=features=16"], {"features": 16}),
    ],
)
def test_every_option_of_a_fusion_network_is_set_by_option_or_its_older_flag(
    given_flags: list[str], options: dict[str, object]
) -> None:
    with own_flags(_flags.define_run_flags, fusion.define_flags) as given:
        given(["trainer", *given_flags, "--run_dir=unused"])
        assert dict(fusion.network_options()) == options


def test_an_option_that_a_network_lacks_is_refused_with_the_known_ones() -> None:
    with own_flags(_flags.define_run_flags, fusion.define_flags) as given:
        given(["trainer", "--method=ssf_resnet", "--num_levels=2", "--run_dir=unused"])
        with pytest.raises(ValueError, match="option of ssf_resnet: expected one of features, num_blocks"):
            fusion.network_options()
