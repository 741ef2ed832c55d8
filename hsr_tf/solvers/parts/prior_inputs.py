"""What goes into the networks that are fitted to one scene."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from hsr_tf.physics.resize import bicubic_enlarge
from hsr_tf.solvers.parts.features import pixel_inputs
from hsr_tf.solvers.parts.subspace import SpectralSubspace
from hsr_tf.solvers.solver import Cube

INPUTS = ("noise", "observations")
NOISE_CHANNELS = 32
COLOUR_LENGTH, POSITION_LENGTH, CODE_LENGTH, NUM_CODES = 2.0, 8.0, 2.0, 3


def network_inputs(
    name: str, lr_hsi: Cube, hr_msi: Cube, *, scale: int, pixelwise: bool, seed: int
) -> NDArray[np.float32]:
    """The input of F, (H, W, d).

    Args:
        name: "noise", or "observations": for a pixelwise network colour, place and the leading codes of X
            enlarged, each over the length on which it matters; for others X enlarged, joined with Y.
        lr_hsi: X, (h, w, C).
        hr_msi: Y, (H, W, c).
        scale: s.
        pixelwise: what F is.
        seed: of the noise.
    """
    if name == "noise":
        rng = np.random.default_rng([seed, 1])
        return rng.uniform(0, 0.1, (*hr_msi.shape[:2], NOISE_CHANNELS)).astype(np.float32)
    if not pixelwise:
        return np.concatenate([_enlarged(lr_hsi, scale), hr_msi], -1)
    inputs = pixel_inputs(hr_msi, scale)
    inputs -= inputs.mean((0, 1))
    subspace = SpectralSubspace.of(lr_hsi, most=NUM_CODES)
    codes = _enlarged(subspace.codes(lr_hsi) / subspace.strengths, scale)
    num_channels = hr_msi.shape[-1]
    parts = (
        inputs[..., :num_channels] / COLOUR_LENGTH,
        inputs[..., num_channels:] / POSITION_LENGTH,
        (codes - codes.mean((0, 1))) / CODE_LENGTH,
    )
    return np.concatenate(parts, -1).astype(np.float32)


def _enlarged(image: NDArray[np.float32], scale: int) -> NDArray[np.float32]:
    enlarged: NDArray[np.float32] = bicubic_enlarge(tf.constant(image[None]), scale)[0].numpy()
    return enlarged
