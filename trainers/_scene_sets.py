"""The sharp scenes that fusion networks are trained and scored on: a folder of cubes, or a public set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from absl import flags
from tqdm import tqdm

from hsr_tf import checks
from hsr_tf.data.scene_sets import SCENE_SETS, split_set
from hsr_tf.data.scenes import find_scenes
from hsr_tf.data.storage import TrainingScenes, named, names_of, read_training_scenes
from hsr_tf.io import load
from hsr_tf.physics.cameras import SrfLike
from hsr_tf.physics.spectral import load_srf
from hsr_tf.scene import Scene
from hsr_tf.streaming.memory import parse_memory
from trainers import _flags

FLAGS = flags.FLAGS


@dataclass(frozen=True)
class SceneFiles:
    """Files of scenes, and what reads one of them."""

    paths: Sequence[Path]
    read: Callable[[Path], Scene] = load


def define_set_flag(names: Sequence[str] = sorted(SCENE_SETS)) -> None:
    """Define which public set --data_dir holds, of `names`, and what a camera sees of its last bands."""
    flags.DEFINE_enum(
        "srf_outside",
        None,
        ["error", "zero"],
        "Bands that the response does not cover: error, or zero, the camera is blind there (default: error; "
        "zero for Harvard).",
    )
    flags.DEFINE_enum(
        "data_set",
        None,
        list(names),
        "Public set that --data_dir holds as it is distributed, split as in the papers.",
    )


def define_training_flags() -> None:
    """Define the scenes that are trained on, those held back, and where they are kept."""
    _flags.define_white_level_flag()
    define_set_flag()
    flags.DEFINE_string(
        "data_dir", None, "Folder of sharp training cubes (default: $HSR_DATA/hsi/cave_train)."
    )
    flags.DEFINE_list("validation_scenes", [], "Names of training scenes held back (default: the last one).")
    flags.DEFINE_integer(
        "validation_crop", None, "Use the top left square of this many pixels a side in validation.", 11
    )
    _flags.define_memory_flags("scenes")


def training_files() -> SceneFiles:
    """The files of the training scenes that the flags name."""
    if FLAGS.data_set is None:
        return SceneFiles(find_scenes(FLAGS.data_dir, default="hsi/cave_train"))
    return set_files("training")


def set_files(part: str) -> SceneFiles:
    """The files of one part of the set that --data_set names, "training" or "test".

    Raises:
        ValueError, OSError: no folder is given, or it does not hold the set.
    """
    known, folder = SCENE_SETS[FLAGS.data_set], FLAGS.data_dir
    checks.require(
        folder is not None,
        "data_dir",
        expected=f"the folder of {known.title}",
        received="none",
        remedy="give --data_dir",
    )
    split = split_set(FLAGS.data_set, folder)
    words = f"{known.title}: {len(split.training)} scenes to train on, {len(split.test)} to test on"
    print(f"{words}, of {split.found} in {folder}")
    if FLAGS.white_level is None:
        FLAGS.white_level = known.white_level
    if FLAGS.srf_outside is None:
        FLAGS.srf_outside = known.srf_outside
    return SceneFiles(split.training if part == "training" else split.test, known.read)


def response_of(scene: Scene) -> SrfLike:
    """The response that the flags name, as `simulate` and `make_cameras` take it for a scene."""
    if FLAGS.srf_outside != "zero":
        return str(FLAGS.srf)
    return load_srf(
        FLAGS.srf,
        scene.wavelengths_nm,
        fwhm_nm=scene.fwhm_nm,
        outside=FLAGS.srf_outside,
        num_bands=scene.num_bands,
    )


def read_scenes() -> TrainingScenes:
    """The training scenes in [0, 1]; a white level that is recognised becomes the flag's value."""
    files = training_files()
    with tqdm(total=len(files.paths), unit="scene", desc="reading", leave=False, delay=2) as bar:
        found = read_training_scenes(
            files.paths,
            partial(_read_with_progress, read=files.read, bar=bar),
            white_level=FLAGS.white_level,
            cache=_flags.cache_folder(),
            memory_limit=parse_memory(FLAGS.memory_limit),
        )
    if found.white_level != FLAGS.white_level:
        print(
            f"values up to {found.white_level:g}, whole numbers of 12 bits, are divided by "
            f"{found.white_level:g}; give --white_level for another white level"
        )
        FLAGS.white_level = found.white_level
    return found


def split_scenes(scenes: Sequence[Scene]) -> tuple[Sequence[Scene], Sequence[Scene]]:
    """The scenes that are trained on, and those held back, by the flags."""
    names = names_of(scenes)
    held_back = FLAGS.validation_scenes or names[-1:]
    for name in held_back:
        checks.require_choice("validation_scenes", name, names)
    training = [name for name in names if name not in held_back]
    checks.require(
        bool(training),
        "validation_scenes",
        expected="at least one scene left to train on",
        received="none",
        remedy="hold fewer back",
    )
    return named(scenes, training), named(scenes, held_back)


def _read_with_progress(path: Path, *, read: Callable[[Path], Scene], bar: tqdm[Any]) -> Scene:
    scene = read(path)
    bar.update()
    return scene
