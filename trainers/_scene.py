"""The one scene that a solver is fitted to: two files, or a reference that both images are simulated from."""

from __future__ import annotations

from pathlib import Path

from absl import flags, logging

from hsr_tf import checks
from hsr_tf.fusion.alignment import align
from hsr_tf.fusion.simulated import SimulationPlan, Truth, simulated_scene
from hsr_tf.io import load
from hsr_tf.physics.cameras import DEFAULT_PSF, DEFAULT_SRF, TOLD, choose_cameras
from hsr_tf.scene import Observation
from trainers import _flags

FLAGS = flags.FLAGS


def define_scene_flags() -> None:
    """Define where the two images are from, and the cameras that the method is given."""
    flags.DEFINE_string("lr_hsi", None, "The coarse hyperspectral cube.")
    flags.DEFINE_string("hr_msi", None, "The sharp colour or multispectral image.")
    flags.DEFINE_string("reference", None, "A sharp cube: simulate both images from it, score the result.")
    flags.DEFINE_integer("scale", 8, "Scale factor, with --reference: sharp pixels per coarse pixel.", 1)
    flags.DEFINE_integer("crop", None, "Use the top left square of this size, with --reference.", 1)
    flags.DEFINE_bool("noisy", False, "Noise of 35 dB and 40 dB, seed 0, with --reference.")
    flags.DEFINE_list("shift", None, "ROWS,COLUMNS of displacement of the colour image, with --reference.")
    _flags.define_camera_flags(None, None, "; default: the one in the files, or that of hsr simulate")


def read_scene() -> tuple[Observation, Truth]:
    """Both images as the flags describe them, and what is known of the answer.

    Raises:
        ValueError: neither a pair nor a reference, or both; sizes, cameras or a shift that do not fit.
        OSError: a file that is missing or damaged.
    """
    pair, single = (FLAGS.lr_hsi, FLAGS.hr_msi), FLAGS.reference
    given = {"lr_hsi": pair[0], "hr_msi": pair[1], "reference": single}
    checks.require(
        (single is not None) != any(pair) and (single is not None or all(pair)),
        "lr_hsi, hr_msi, reference",
        expected="two images, or a reference alone",
        received=", ".join(name for name, path in given.items() if path) or "none",
        remedy="give --lr_hsi and --hr_msi, or --reference",
    )
    if single is None:
        aligned = align(load(pair[0]), load(pair[1]))
        for line in aligned.lines:
            logging.info("grids: %s", line)
        observation = aligned.observation
        return observation, told_truth(observation)
    plan = SimulationPlan(
        scale=FLAGS.scale,
        crop=FLAGS.crop,
        psf=FLAGS.psf or DEFAULT_PSF,
        srf=FLAGS.srf or DEFAULT_SRF,
        noisy=FLAGS.noisy,
        shift=_shift(),
    )
    return simulated_scene(Path(single), plan)


def told_truth(observation: Observation) -> Truth:
    """The cameras that simulated files tell of; a shift that they hold stays within the kernel."""
    choice = choose_cameras(observation, psf=None, srf=None, srf_needed=False)
    return Truth(
        psf=choice.model.spatial.psf.kernel if choice.psf_origin == TOLD else None,
        srf=choice.model.spectral.matrix if choice.srf_origin == TOLD else None,
    )


def _shift() -> tuple[float, float] | None:
    if not FLAGS.shift:
        return None
    try:
        rows, columns = (float(part) for part in FLAGS.shift)
    except ValueError:
        text = ",".join(FLAGS.shift)
        raise checks.InputError(
            "shift", expected="two numbers ROWS,COLUMNS", received=repr(text), remedy="e.g. 1.3,-0.5"
        ) from None
    return rows, columns
