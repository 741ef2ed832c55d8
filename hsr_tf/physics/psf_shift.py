"""A point-spread function moved by a part of a pixel, for a camera that lies off the other."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from hsr_tf.physics.psf import Psf


def shifted_psf(psf: Psf, shift: tuple[float, float]) -> Psf:
    """The PSF of a colour image that lies `shift` sharp pixels (rows, columns) off the coarse cube.

    On the colour image's grid the coarse pixel's centre lies at the shift, and so does the PSF's: a true
    convolution X[i] = sum_t k[t] Z[s i + m - t] looks at m + shift where the kernel is moved by -shift. The
    kernel is padded by whole pixels, so that its parity stays, and moved by linear interpolation, which
    keeps its sum.
    """
    if not any(shift):
        return psf
    margin = int(np.ceil(np.abs(shift).max()))
    padded = np.pad(psf.kernel, margin)
    moved = ndimage.shift(padded, [-part for part in shift], order=1, mode="constant")
    return Psf(np.maximum(moved, 0.0), f"{psf.name}, shifted by {shift[0]:.2f}, {shift[1]:.2f} px")
