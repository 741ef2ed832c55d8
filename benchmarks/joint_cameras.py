"""Kernel and response learnt with the network from a flat start: `python -m benchmarks.joint_cameras`.

Each scene is seen through each blur by SciPy, without noise, and by the Nikon D700. `blind_deep_prior` is
given the two images and no camera. Printed: the L1 distance of its kernel (0 to 2) and the angle of each
channel of its response, in degrees. With `--forms` every form between the published one and `JOINT_BLIND` is
fitted; else `JOINT_BLIND` alone. All have the same small network and the same steps.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from absl import flags
from scipy.signal import fftconvolve
from tqdm import tqdm

from benchmarks import _report
from hsr_tf.console.flag_apps import run_app
from hsr_tf.data.scenes import find_scenes
from hsr_tf.io import load
from hsr_tf.metrics.cameras import kernel_l1
from hsr_tf.physics.cameras import DEFAULT_SRF
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.psf import Psf, anisotropic_gaussian_psf, gaussian_psf, identity_psf, motion_psf
from hsr_tf.physics.spatial import SpatialDegradation
from hsr_tf.physics.spectral import SpectralResponse, load_srf
from hsr_tf.solvers.blind_deep_prior import JOINT_BLIND, PUBLISHED_BLIND, BlindDeepPrior
from hsr_tf.solvers.solver import Controls, Step
from hsr_tf.typing import Array, Cube

FLAGS = flags.FLAGS
SCALE, NUM_STEPS = 8, 600
BLURS: dict[str, Psf] = {
    "narrow": gaussian_psf(SCALE, sigma=2.0, support=2 * SCALE),
    "rotated": anisotropic_gaussian_psf(SCALE, sigmas=(3.2, 1.44), angle_degrees=30, support=2 * SCALE),
    "motion": motion_psf(SCALE, length=8, angle_degrees=60, support=2 * SCALE),
}
OWN_RATE: dict[str, Any] = {"camera_learning_rate": JOINT_BLIND.camera_learning_rate}
SEVERAL: dict[str, Any] = {**OWN_RATE, "camera_scales": JOINT_BLIND.camera_scales}
FORMS: dict[str, dict[str, Any]] = {
    "published: one rate, two terms": {},
    "own rate, several resolutions": SEVERAL,
    "own rate, several resolutions, third term": {**SEVERAL, "match": 1.0},
    "third term, balanced": {"match": 1.0, "balanced": True},
    "third term, balanced, own rate": {"match": 1.0, "balanced": True, **OWN_RATE},
}
JOINT = "JOINT_BLIND"


def define_flags() -> None:
    """Define the scenes, the forms and the size of a fit."""
    flags.DEFINE_list("scenes", ["flowers"], "Names of scenes.")
    flags.DEFINE_string("data_dir", None, "Folder of sharp cubes (default: $HSR_DATA/hsi/cave_train).")
    _report.define_names("blurs", [*BLURS], BLURS, "Blurs by name.")
    flags.DEFINE_integer("crop", 256, "Side of the square from row and column 128.", 8 * SCALE)
    flags.DEFINE_integer("num_steps", NUM_STEPS, "Steps of each fit.", 1)
    flags.DEFINE_integer("features", 16, "Width of the network.", 1)
    flags.DEFINE_bool("forms", False, "Fit every form, not JOINT_BLIND alone.")
    _report.define_json()


@dataclass(frozen=True)
class Found:
    """The cameras of one fit.

    Attributes:
        scene, blur, form: of what.
        kernel_l1: distance of the kernels.
        angles_degrees: of the channels.
        processor_seconds: of all cores.
    """

    scene: str
    blur: str
    form: str
    kernel_l1: float
    angles_degrees: tuple[float, ...]
    processor_seconds: float

    def cells(self) -> list[str]:
        """The line of the table."""
        angles = ", ".join(f"{angle:.1f}" for angle in self.angles_degrees)
        return [
            self.scene,
            self.blur,
            self.form,
            f"{self.kernel_l1:.3f}",
            angles,
            f"{self.processor_seconds:.0f}",
        ]


def seen_through(cube: Cube, kernel: Array, scale: int) -> Cube:
    """X of a cube (H, W, C) by SciPy's convolution, mirrored at the border, at the middles of the cells."""
    taps = len(kernel)
    padded = np.pad(cube.astype(np.float64), [(taps, taps), (taps, taps), (0, 0)], mode="symmetric")
    blurred = fftconvolve(padded, kernel[..., None], axes=(0, 1))
    first = taps + (scale + taps) // 2 - 1
    height, width = (n // scale for n in cube.shape[:2])
    return np.asarray(blurred[first::scale, first::scale][:height, :width], np.float32)


def channel_angles(reference: Array, found: Array) -> Array:
    """Degrees between the columns of two responses."""
    first, second = (matrix / np.linalg.norm(matrix, axis=0) for matrix in (reference, found))
    return np.asarray(np.degrees(np.arccos(np.clip((first * second).sum(0), -1.0, 1.0))))


def fit(cube: Cube, response: Array, psf: Psf, options: dict[str, Any]) -> tuple[float, Array]:
    """Return the kernel's L1 and the angles of the response of one fit that is given no camera."""
    pair = seen_through(cube, psf.kernel, SCALE), (cube @ response).astype(np.float32)
    unknown = ObservationModel(
        SpatialDegradation(identity_psf(SCALE), SCALE), SpectralResponse(np.ones((1, 1)))
    )
    last: list[ObservationModel] = []

    def note(step: Step) -> None:
        if step.iteration == step.most and step.model is not None:
            last.append(step.model())

    BlindDeepPrior(unknown, replace(PUBLISHED_BLIND, **options)).solve(*pair, Controls(callback=note))
    (cameras,) = last  # as they are learnt, with the kernel's place in the frame of Y
    l1 = float(kernel_l1(psf.kernel, cameras.spatial.psf.kernel))
    return l1, channel_angles(response, cameras.spectral.matrix)


def main() -> None:
    """Fit and print the table."""
    size = {"num_steps": FLAGS.num_steps, "features": FLAGS.features}
    joint = {name: getattr(JOINT_BLIND, name) for name in ("match", "balanced", *SEVERAL)}
    forms = {**(FORMS if FLAGS.forms else {}), JOINT: joint}
    paths = find_scenes(FLAGS.data_dir, default="hsi/cave_train", names=FLAGS.scenes)
    found: list[Found] = []
    with tqdm(total=len(paths) * len(FLAGS.blurs) * len(forms), unit="fit") as bar:
        for path in paths:
            scene, part = load(path), slice(128, 128 + FLAGS.crop)
            cube = np.asarray(scene.cube[part, part], np.float32)
            response = load_srf(DEFAULT_SRF, scene.wavelengths_nm).matrix
            for blur in FLAGS.blurs:
                for form, options in forms.items():
                    begin = time.process_time()
                    l1, angles = fit(cube, response, BLURS[blur], {**size, **options})
                    seconds = time.process_time() - begin
                    found.append(Found(path.stem, blur, form, l1, tuple(map(float, angles)), seconds))
                    bar.write(" | ".join(found[-1].cells()), file=sys.stderr)
                    bar.update()
    _report.print_machine(_report.machine())
    heads = ["scene", "blur", "form", "kernel L1", "angles, degrees", "processor seconds"]
    print(_report.table(heads, [one.cells() for one in found], words=(0, 1, 2)))
    _report.write({"fits": [vars(one) for one in found], **_report.settings("crop", "num_steps", "features")})


if __name__ == "__main__":
    define_flags()
    run_app(main)
