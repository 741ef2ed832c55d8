"""Flags and task of a training with random cameras."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from absl import flags

from hsr_tf import checks
from hsr_tf.data.scenes import data_root, find_scenes, load_scenes
from hsr_tf.networks.fusion_model import FusionConfig
from hsr_tf.physics.cameras import make_cameras
from hsr_tf.scene import Scene
from trainers import _flags, _scene_sets
from trainers._prior import CropPlan, PriorTask
from trainers._random_cameras import HELD_BACK, DrawPlan, measured_responses

FLAGS = flags.FLAGS
BRIGHT = 0.999
JUDGED_SCALE = 8
MEASURED = ("jiang28", "satellite")


def define_flags() -> None:
    """Define what is drawn with --cameras=random."""
    flags.DEFINE_enum(
        "cameras",
        "fixed",
        ["fixed", "random"],
        "random draws responses, PSFs, noise and scales for a network that fits any (prior).",
    )
    flags.DEFINE_list("scales", ["4", "8", "16"], "Scale factors that random cameras take in turn.")
    flags.DEFINE_list(
        "responses_dirs",
        None,
        "Folders of measured responses for random cameras (default: jiang28 and satellite of $HSR_DATA/srf, "
        "where they exist).",
    )
    flags.DEFINE_string(
        "other_data_dir",
        None,
        "Folder of further scenes of any bands for random cameras, e.g. airborne ones.",
    )
    flags.DEFINE_list("leave_out", [], "Names of scenes of --other_data_dir that are left out.")
    flags.DEFINE_integer(
        "steps_per_pair", 4, "Batches of a scale for which no new pair of random cameras is made.", 1
    )
    shares = {
        "noisy_share": (0.15, "with noise of 25 to 50 dB in one image or both"),
        "misfit_share": (0.05, "whose PSF is wrongly assumed and gains are up to 2 % off"),
        "unmeasured_share": (0.1, "with smooth random channels instead of measured ones"),
        "varied_share": (0.0, "whose spectra are cut, resampled and given other gains"),
    }
    for name, (share, what) in shares.items():
        flags.DEFINE_float(name, share, f"Share of the pairs of random cameras {what}.", 0.0, 1.0)
    flags.DEFINE_integer("region", 256, "Side of the part of a scene that random cameras see.", 64)


def task_from_flags() -> PriorTask:
    """The task of --cameras=random; scenes are read here.

    Raises:
        ValueError: flags that do not go with random cameras.
    """
    checks.require(
        FLAGS.method == "prior",
        "method",
        expected="prior with --cameras=random, as other networks fit one pair of cameras",
        received=FLAGS.method,
        remedy="give --method=prior, or leave --cameras out",
    )
    training, validation = _scene_sets.split_scenes(_scene_sets.read_scenes().scenes)
    first = training[0]
    scales = [int(n) for n in _flags.numbers("scales", FLAGS.scales, _is_scale, **_EXPECTED)]
    cameras = make_cameras(first, FLAGS.scale, psf=FLAGS.psf, srf=FLAGS.srf)
    config = FusionConfig(
        method="prior",
        scale=FLAGS.scale,
        num_bands=first.num_bands,
        num_channels=cameras.spectral.matrix.shape[1],
        base="spectral_ls",
        consistent=True,
        options=_flags.network_arguments(),
        init=FLAGS.init,
        seed=FLAGS.seed,
        dtype=FLAGS.dtype,
    )
    folders = _response_folders()
    return PriorTask(
        training=[*training, *_other_scenes()],
        validation=validation,
        config=config,
        cameras=cameras,
        draw=DrawPlan(
            num_bands=first.num_bands,
            measured=measured_responses(folders),
            region=FLAGS.region,
            noisy=FLAGS.noisy_share,
            misfit=FLAGS.misfit_share,
            unmeasured=FLAGS.unmeasured_share,
            varied=FLAGS.varied_share,
        ),
        crop=CropPlan(
            scales=tuple(scales),
            patch_size=FLAGS.patch_size,
            batch_size=FLAGS.batch_size,
            steps_per_pair=FLAGS.steps_per_pair,
            seed=FLAGS.seed,
        ),
        judged=_judged(folders, scales),
        validation_crop=FLAGS.validation_crop,
        start_from=FLAGS.start_from,
    )


_EXPECTED = {"expected": "integer scales from 2 to 32", "example": "4,8,16"}


def _is_scale(number: float) -> bool:
    return number == int(number) and 2 <= number <= 32


def _response_folders() -> list[Path]:
    if FLAGS.responses_dirs is not None:
        return [Path(name) for name in FLAGS.responses_dirs]
    root = data_root()
    known = [] if root is None else [root / "srf" / name for name in MEASURED]
    return [folder for folder in known if folder.is_dir()]


def _other_scenes() -> Sequence[Scene]:
    """The scenes of --other_data_dir, each divided by its 99.9th percentile and clipped to [0, 1]."""
    if FLAGS.other_data_dir is None:
        return ()
    scenes = load_scenes(find_scenes(FLAGS.other_data_dir, default=""))
    for name in FLAGS.leave_out:
        checks.require_choice("leave_out", name, [scene.name for scene in scenes])
    return [_bright(scene) for scene in scenes if scene.name not in FLAGS.leave_out]


def _bright(scene: Scene) -> Scene:
    cube = scene.cube / max(float(np.quantile(scene.cube[::3, ::3], BRIGHT)), 1e-12)
    return replace(scene, cube=np.clip(cube, 0, 1).astype(np.float32))


def _judged(folders: Sequence[Path], scales: Sequence[int]) -> dict[str, tuple[str, int]]:
    """Cameras of the validation: the one of --srf at every scale, and one that is never trained on."""
    judged = {f"{Path(FLAGS.srf).stem}_x{scale}": (FLAGS.srf, scale) for scale in scales}
    held = [path for folder in folders if (path := folder / f"{HELD_BACK[0]}.csv").is_file()]
    return judged | {f"{path.stem}_x{JUDGED_SCALE}": (str(path), JUDGED_SCALE) for path in held}
