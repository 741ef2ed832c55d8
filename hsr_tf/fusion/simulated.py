"""A scene whose answer is known: a sharp cube, and the two images that simulated cameras see of it."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np

from hsr_tf.data.scenes import crop_to_multiple, top_left
from hsr_tf.fusion.api import simulate
from hsr_tf.io import load
from hsr_tf.physics.cameras import DEFAULT_PSF, DEFAULT_SRF, make_cameras
from hsr_tf.physics.psf import Psf
from hsr_tf.physics.psf_shift import shifted_psf
from hsr_tf.scene import Observation, Scene

NOISE_DB = (35.0, 40.0)


@dataclass(frozen=True, eq=False)
class Truth:
    """What is known of the answer; None where it is not.

    Attributes:
        scene: the sharp cube.
        psf: (n, p), centred.
        srf: (C, c).
        shift: (rows, columns) by which the colour image lies off the coarse cube.
    """

    scene: Scene | None = None
    psf: np.ndarray | None = None
    srf: np.ndarray | None = None
    shift: tuple[float, float] | None = None


@dataclass(frozen=True)
class SimulationPlan:
    """How the two images are made of a sharp cube.

    Attributes:
        scale: sharp pixels a coarse pixel along one side.
        crop: so many pixels a side from the top left; None for the whole cube.
        psf: in words or a file.
        srf: a name or a file.
        noisy: whether the images have noise of 35 dB (hyperspectral) and 40 dB (colour), seed 0.
        shift: (rows, columns) in sharp pixels by which the colour image lies off the coarse cube.
    """

    scale: int = 8
    crop: int | None = None
    psf: str = DEFAULT_PSF
    srf: str = DEFAULT_SRF
    noisy: bool = False
    shift: tuple[float, float] | None = None


def simulated_scene(path: str | os.PathLike[str], plan: SimulationPlan) -> tuple[Observation, Truth]:
    """The two images of the sharp cube in a file, cut to a multiple of the scale, and what they are made of.

    Raises:
        ValueError: cameras or sizes that do not fit.
        OSError: a file that is missing or damaged.
    """
    scene = crop_to_multiple(top_left(load(path), plan.crop), plan.scale)
    cameras = make_cameras(scene, plan.scale, psf=plan.psf, srf=plan.srf)
    seen_through: str | Psf = plan.psf
    if plan.shift is not None:
        seen_through = shifted_psf(cameras.spatial.psf, plan.shift)
    observation = simulate(
        scene,
        scale=plan.scale,
        psf=seen_through,
        srf=cameras.spectral,
        snr_db=NOISE_DB if plan.noisy else (None, None),
    )
    return observation, Truth(scene, cameras.spatial.psf.kernel, cameras.spectral.matrix, plan.shift)
