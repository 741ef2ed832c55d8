"""A point-spread function moved by a part of a pixel, for a camera that lies off the other."""

from __future__ import annotations

import numpy as np

from hsr_tf import checks
from hsr_tf.imports import deferred
from hsr_tf.physics.psf import Psf

ndimage = deferred("scipy.ndimage")


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
    name = f"{psf.name}, shifted by {shift[0]:.2f}, {shift[1]:.2f} px"
    return Psf(moved if psf.signed else np.maximum(moved, 0.0), name, psf.signed)


def centroid(psf: Psf) -> tuple[float, float]:
    """(row, column) of the PSF's centre of mass, in sharp pixels from the middle of its support."""
    rows, columns = (np.arange(taps) - (taps - 1) / 2 for taps in psf.kernel.shape)
    return float(psf.kernel.sum(1) @ rows), float(psf.kernel.sum(0) @ columns)


def image_shift(psf: Psf) -> tuple[float, float]:
    """The shift of the colour image that a PSF off its middle stands for: minus its `centroid`."""
    row, column = centroid(psf)
    return -row, -column


def recentred_psf(psf: Psf) -> Psf:
    """The PSF with its centre of mass in the middle: `shifted_psf` undone, but for one interpolation."""
    row, column = centroid(psf)
    return shifted_psf(psf, (row, column))


def on_support(kernel: np.ndarray, taps: tuple[int, int]) -> np.ndarray:
    """A kernel on another support with the same middle: zeros around it, or its border cut off.

    Raises:
        ValueError: for a support of the other parity, whose middle lies half a pixel off.
    """
    checks.require(
        all((n - m) % 2 == 0 for n, m in zip(kernel.shape, taps, strict=True)),
        "taps",
        expected=f"numbers of the parities of {kernel.shape[0]} x {kernel.shape[1]} taps",
        received=f"{taps[0]} x {taps[1]}",
        remedy="add one",
    )
    more = [max(0, (m - n) // 2) for n, m in zip(kernel.shape, taps, strict=True)]
    padded = np.pad(kernel, [(n, n) for n in more])
    first = [(n - m) // 2 for n, m in zip(padded.shape, taps, strict=True)]
    return padded[first[0] : first[0] + taps[0], first[1] : first[1] + taps[1]]
