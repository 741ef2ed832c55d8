"""Spatial degradation: blur by a point-spread function, then one sample a cell of s x s pixels.

    X[i, j] = sum_tu k[t, u] Z[s i + (s-1)/2 - (t - (n-1)/2), s j + (s-1)/2 - (u - (p-1)/2)]

a true convolution, with the kernel's centre on the cell's centre. Where the parities of kernel and scale
differ the centre lies half a pixel before the cell centre (`centre_error`). Past the edge the image goes on
mirrored (edge sample repeated) or circular.
"""

from __future__ import annotations

import numpy as np

from hsr_tf import checks
from hsr_tf.arrays import axis as ops
from hsr_tf.physics.operator import LinearOperator
from hsr_tf.physics.psf import Psf
from hsr_tf.typing import Tensor


class SpatialDegradation(LinearOperator):
    """Blur and cell-centred decimation, (B, s h, s w, C) -> (B, h, w, C).

    Args:
        psf: the point-spread function, in pixels of the sharp image.
        scale: s, a positive integer; with 1 it only blurs.
        border: "mirrored" (the edge sample is repeated), "circular", or "zero" (nothing outside).

    Raises:
        ValueError: for a scale that is not a positive integer or an unknown border.
    """

    def __init__(self, psf: Psf, scale: int, *, border: str = "mirrored") -> None:
        checks.require_positive_integers(scale=scale, remedy="round it")
        checks.require_choice("border", border, ops.BORDERS)
        self.psf = psf
        self.scale = int(scale)
        self.border = border
        taps = psf.kernel.shape
        self.offsets = tuple((self.scale - n) // 2 for n in taps)
        self.centre_error = tuple(((n - self.scale) % 2) * 0.5 for n in taps)
        factors = psf.factors
        self._phases = (
            None
            if factors is None
            else [
                ops.phase_matrix(k[::-1], self.scale, offset)
                for k, offset in zip(factors, self.offsets, strict=True)
            ]
        )

    def forward(self, x: Tensor) -> Tensor:
        """Blur and decimate.

        Args:
            x: (B, H, W, C) with H and W multiples of the scale.

        Returns:
            (B, H/s, W/s, C).

        Raises:
            ValueError: for sizes that do not divide, or that are smaller than the reach of the PSF.
        """
        height, width = x.shape[1], x.shape[2]
        divides = all(n is None or (n % self.scale == 0 and n >= self.scale) for n in (height, width))
        checks.require(
            divides,
            "image",
            expected=f"height and width that are multiples of the scale {self.scale}",
            received=f"{height} x {width}",
            remedy="crop the image or change the scale",
        )
        if self._phases is None:
            return ops.decimate_2d(x, self.psf.kernel[::-1, ::-1], self.scale, self.offsets, self.border)
        for axis, (phases, before) in zip((1, 2), self._phases, strict=True):
            x = ops.decimate_axis(x, axis, phases, before, self.border)
        return x

    def adjoint(self, y: Tensor) -> Tensor:
        """The adjoint, (B, h, w, C) -> (B, s h, s w, C)."""
        if self._phases is None:
            return ops.spread_2d(y, self.psf.kernel[::-1, ::-1], self.scale, self.offsets, self.border)
        for axis, (phases, before) in zip((2, 1), reversed(self._phases), strict=True):
            y = ops.spread_axis(y, axis, phases, before, self.border)
        return y

    @property
    def reach_cells(self) -> int:
        """Coarse pixels on each side of its own that a coarse pixel sees through the PSF."""
        return -(-max(self.reach_pixels) // self.scale)

    @property
    def reach_pixels(self) -> tuple[int, int]:
        """Sharp pixels before and after its own cell that a coarse pixel sees through the PSF."""
        taps = self.psf.kernel.shape
        after = max(0, *(o + n - self.scale for o, n in zip(self.offsets, taps, strict=True)))
        return max(0, -min(self.offsets)), after

    def gram_taps(self) -> list[np.ndarray] | None:
        """Taps of the two one-dimensional factors of D D*, or None where it is no pair of convolutions.

        D D* is a convolution of the coarse image, with the same border, when the PSF is separable and (for
        the mirrored border) symmetric about the cell centre; with zeros outside it is none. Tap j is
        sum_t k[t] k[t + s j].
        """
        factors = self.psf.factors
        if factors is None:
            return None
        symmetric = not any(self.centre_error) and all(
            np.allclose(k, k[::-1], rtol=0, atol=1e-12) for k in factors
        )
        if self.border == "zero" or (self.border == "mirrored" and not symmetric):
            return None
        return [_autocorrelation(k, self.scale) for k in factors]


def _autocorrelation(kernel: np.ndarray, scale: int) -> np.ndarray:
    full = np.correlate(kernel, kernel, mode="full")
    reach = (len(kernel) - 1) // scale
    middle = len(kernel) - 1
    return full[middle - reach * scale : middle + reach * scale + 1 : scale]
