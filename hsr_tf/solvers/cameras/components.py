"""Fewer numbers than bands where a cube has few pixels: its leading principal components.

With more bands than a fraction of the coarse pixels, some response explains any colours, and nothing is
learnt about the blur. Spectra of real materials need few components; those above the noise are kept, by the
threshold 2.858 m, m the median singular value, of Gavish and Donoho (IEEE Trans. Inf. Theory 60(8), 2014,
section V, unknown noise; their value for square matrices, which is the largest), and never more than a
quarter of the pixels. The components are not centred, so that a response of the bands stays one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hsr_tf.solvers.solver import Cube

PIXELS_PER_COMPONENT = 4
NOISE_THRESHOLD = 2.858
FEWEST = 3


def num_components(lr_hsi: Cube) -> int | None:
    """How many components of X (h, w, C) the camera search can learn from; None for all bands."""
    height, width, num_bands = lr_hsi.shape
    most = max(FEWEST, (height - 2) * (width - 2) // PIXELS_PER_COMPONENT)
    if num_bands <= most:
        return None
    values = np.linalg.svd(lr_hsi.reshape(-1, num_bands).astype(np.float64), compute_uv=False)
    above = int((values > NOISE_THRESHOLD * np.median(values)).sum())
    return int(np.clip(above, FEWEST, most))


def on_components(lr_hsi: Cube, rank: int) -> Cube:
    """X (h, w, C) projected onto its leading `rank` principal components."""
    spectra = lr_hsi.reshape(-1, lr_hsi.shape[2]).astype(np.float64)
    basis: NDArray[np.float64] = np.linalg.svd(spectra, full_matrices=False)[2][:rank]
    return (spectra @ basis.T @ basis).reshape(lr_hsi.shape).astype(np.float32)
