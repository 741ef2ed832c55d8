"""Spatial degradation of a batch whose images have a PSF each, and the projection that it leaves free.

`SpatialDegradation` holds one PSF as constants. Where cameras are drawn at random inside a training step each
sample has its own, as a tensor: the weights of the s x s pixels of (2 r + 1)^2 cells (`psf_cells`), so that D
is one matrix product per cell and as many shifted additions, whatever the shape of the PSF.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsr_tf import checks
from hsr_tf.arrays import ops
from hsr_tf.arrays.axis import fold_axis, pad_axis
from hsr_tf.physics.operator import LinearOperator
from hsr_tf.physics.psf import Psf
from hsr_tf.physics.sample_blur import SampleBlur
from hsr_tf.typing import Tensor

SMALLEST_GAIN, INVERSE_REACH, GRID = 3e-3, 8, 32


class SampleDegradation(LinearOperator):
    """D of a batch, (B, s h, s w, C) -> (B, h, w, C), each sample with its own PSF.

    Args:
        cells: (B, (2 r + 1)^2, s^2), or (1, ...) for one that all share; of `psf_cells`.
        scale: s, a positive integer.
        border: "mirrored" (the edge sample is repeated), "circular" or "zero".

    Raises:
        ValueError: cells of another shape.
    """

    def __init__(self, cells: Tensor, scale: int, *, border: str = "mirrored") -> None:
        side = round(float(cells.shape[-2]) ** 0.5)
        checks.require(
            len(cells.shape) == 3 and side**2 == cells.shape[-2] and cells.shape[-1] == scale**2,
            "cells",
            expected=f"(B, (2 r + 1)^2, {scale**2})",
            received=str(tuple(cells.shape)),
            remedy="make them with psf_cells",
        )
        self.scale, self.border, self.reach, self._side = int(scale), border, side // 2, side
        self._cells = cells

    def forward(self, x: Tensor) -> Tensor:
        """Blur and decimate; H and W are known and multiples of s."""
        scale, side, margin = self.scale, self._side, self.reach * self.scale
        height, width, bands = x.shape[1] // scale, x.shape[2] // scale, x.shape[3]
        for axis in (1, 2):
            x = pad_axis(x, axis, margin, margin, self.border)
        tall, wide = height + side - 1, width + side - 1
        x = ops.transpose(ops.reshape(x, (-1, tall, scale, wide, scale, bands)), (0, 2, 4, 1, 3, 5))
        partial = ops.matmul(self._cells, ops.reshape(x, (-1, scale**2, tall * wide * bands)))
        partial = ops.reshape(partial, (-1, side**2, tall, wide, bands))
        total: Any = 0.0
        for i in range(side):
            for j in range(side):
                total = total + partial[:, i * side + j, i : i + height, j : j + width]
        return total

    def adjoint(self, y: Tensor) -> Tensor:
        """The adjoint, (B, h, w, C) -> (B, s h, s w, C)."""
        scale, side, far = self.scale, self._side, self._side - 1
        height, width, bands = y.shape[1:4]
        tall, wide = height + far, width + far
        copies = [
            ops.pad(y, [(0, 0), (i, far - i), (j, far - j), (0, 0)]) for i in range(side) for j in range(side)
        ]
        stacked = ops.reshape(ops.stack(copies, 1), (-1, side**2, tall * wide * bands))
        x = ops.matmul(ops.transpose(self._cells, (0, 2, 1)), stacked)
        x = ops.transpose(ops.reshape(x, (-1, scale, scale, tall, wide, bands)), (0, 3, 1, 4, 2, 5))
        x = ops.reshape(x, (-1, tall * scale, wide * scale, bands))
        for axis in (2, 1):
            x = fold_axis(x, axis, self.reach * scale, self.reach * scale, self.border)
        return x


@dataclass(frozen=True, eq=False)
class SampleCameras:
    """The cameras of a batch, for the projection that a change of an estimate has to pass.

    A change U of an estimate Z that agrees with both images agrees with them too if U R = 0 and D U = 0:
    U <- U - (U R) R^+, then U <- U - D* (D D*)^-1 D U, as in `DataConsistency` for images of zeros.

    Attributes:
        response: R, (B, C, c); unused channels are zero.
        inverse: R^+, (B, c, C).
        cells: of `psf_cells`, (B, m, s^2).
        solver: taps of (D D*)^-1, (B, k, k), of `inverse_taps`.
    """

    response: Tensor
    inverse: Tensor
    cells: Tensor
    solver: Tensor

    def free(self, change: Tensor, scale: int) -> Tensor:
        """The part of a change (B, s h, s w, C) that neither image sees.

        Its gradient is the free part of what comes from above, not a backward pass through the sums: an
        orthogonal projection is its own adjoint (but for what the taps of (D D*)^-1 cut off), and the
        backward pass took five times as long.
        """

        @ops.custom_gradient
        def projection(given: Tensor) -> tuple[Tensor, Any]:
            def gradient(*upstreams: Tensor, upstream: Tensor | None = None) -> Tensor:
                return self._free(upstreams[0] if upstream is None else upstream, scale)

            return self._free(given, scale), gradient

        return projection(change)

    def _free(self, change: Tensor, scale: int) -> Tensor:
        flat = ops.reshape(change, (-1, change.shape[1] * change.shape[2], change.shape[3]))
        flat = flat - ops.matmul(ops.matmul(flat, self.response), self.inverse)
        change = ops.reshape(flat, (-1, *change.shape[1:]))
        spatial = SampleDegradation(self.cells, scale)
        return change - spatial.adjoint(SampleBlur(self.solver)(spatial.forward(change)))


def psf_cells(psf: Psf, scale: int, reach: int) -> NDArray[np.float32]:
    """The weights of the pixels of (2 `reach` + 1)^2 cells around a coarse pixel, ((2 r + 1)^2, s^2).

    Raises:
        ValueError: a PSF that looks further than `reach` cells.
    """
    side = 2 * reach + 1
    placed = np.zeros((side * scale,) * 2)
    first = [reach * scale + (scale - taps) // 2 for taps in psf.kernel.shape]
    last = [start + taps for start, taps in zip(first, psf.kernel.shape, strict=True)]
    checks.require(
        min(first) >= 0 and max(last) <= side * scale,
        "psf",
        expected=f"at most {side} cells of {scale} pixels on a side",
        received=f"{psf.kernel.shape[0]} x {psf.kernel.shape[1]} taps",
        remedy="use a greater reach",
    )
    placed[first[0] : last[0], first[1] : last[1]] = psf.kernel[::-1, ::-1]
    cells = placed.reshape(side, scale, side, scale).transpose(0, 2, 1, 3)
    return cells.reshape(side**2, scale**2).astype(np.float32)


def inverse_taps(psf: Psf, scale: int, *, reach: int = INVERSE_REACH) -> NDArray[np.float32]:
    """Taps of (D D*)^-1 as a convolution of the coarse image, (2 `reach` + 1,) * 2.

    D D* is the convolution with the autocorrelation of the PSF at multiples of s. Frequencies that the PSF
    passes by less than 0.3 % of the most are inverted as if it were so much, as in `DataConsistency`.
    """
    size = GRID * scale
    spectrum = np.abs(np.fft.fft2(psf.kernel, (size, size))) ** 2
    gain = spectrum.reshape(scale, GRID, scale, GRID).sum((0, 2)) / scale**2
    taps = np.fft.fftshift(np.fft.ifft2(1 / np.maximum(gain, SMALLEST_GAIN * gain.max())).real)
    inner = slice(GRID // 2 - reach, GRID // 2 + reach + 1)
    return taps[inner, inner].astype(np.float32)
