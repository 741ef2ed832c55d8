"""Any pair of cameras as one pair of reference cameras would have seen the scene.

A closed-form start Z is a whole sharp cube, whatever cameras it came from. So a network of one pair of
cameras can refine the start of any other:

- the sharp image that it is given is Z as the reference colour camera sees it. Z agrees with the image Y
  that there is, so that nothing of Y is lost; what the two cameras see differently is as good as Z is;
- the coarse images that it is given have cells of 8 sharp pixels whatever the scale is: Z, and the residual
  E that the start left of X, enlarged, both averaged over the cells;
- bands are interpolated to the reference bands and what the network adds back to them. Bands that the
  reference does not cover get nothing.

What is added is then projected onto both images that there are, with their own cameras.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hsr_tf.arrays import ops
from hsr_tf.physics.resize import bicubic_enlarge
from hsr_tf.physics.spectral import load_srf
from hsr_tf.typing import Array, Tensor

CELL = 8
REFERENCE_SRF = "nikon_d700"
REFERENCE_NM = np.linspace(400.0, 700.0, 31)
NUM_BANDS, NUM_CHANNELS = len(REFERENCE_NM), 3
COVERED_NM, SAME_NM = 10.0, 0.5
FEWEST_BANDS, WIDEST_GAP_NM = 16, 25.0

Network = Callable[[dict[str, Tensor]], dict[str, Tensor]]


@dataclass(frozen=True, eq=False)
class ReferenceView:
    """How reference cameras see a pair of a scale and bands.

    Attributes:
        scale: s of the pair.
        enter: (C, 31), bands to reference bands; None where they are the same.
        leave: (31, C), reference bands to bands; None likewise.
    """

    scale: int
    enter: NDArray[np.float32] | None = None
    leave: NDArray[np.float32] | None = None

    @classmethod
    def of(cls, scale: int, num_bands: int, wavelengths_nm: Sequence[float] | None) -> ReferenceView:
        """The view of a pair.

        Args:
            scale: s.
            num_bands: C.
            wavelengths_nm: (C,) band centres in nanometres; None for bands evenly over the reference range.
        """
        if wavelengths_nm is None:
            wavelengths_nm = np.linspace(REFERENCE_NM[0], REFERENCE_NM[-1], num_bands).tolist()
        centres = np.asarray(wavelengths_nm, np.float64)
        if len(centres) == NUM_BANDS and np.abs(centres - REFERENCE_NM).max() <= SAME_NM:
            return cls(scale)
        covered = (centres >= REFERENCE_NM[0] - COVERED_NM) & (centres <= REFERENCE_NM[-1] + COVERED_NM)
        leave = _interpolation(REFERENCE_NM, centres) * covered
        return cls(
            scale, *(each.astype(np.float32) for each in (_interpolation(centres, REFERENCE_NM), leave))
        )

    @property
    def unit(self) -> int:
        """Coarse pixels that a whole number of cells fits: parts of a scene begin at multiples of it."""
        return CELL // int(np.gcd(CELL, self.scale))

    @cached_property
    def _response(self) -> NDArray[np.float32]:
        return load_srf(REFERENCE_SRF, REFERENCE_NM).matrix.astype(np.float32)

    def change(self, network: Network, start: Tensor, residual: Tensor) -> Tensor:
        """What a network of the reference cameras adds to a start.

        Args:
            network: takes lr_hsi (B, h', w', 62) and hr_msi (B, 8 h', 8 w', 34), gives an "estimate".
            start: Z, (B, s h, s w, C).
            residual: E, (B, h, w, C).

        Returns:
            (B, s h, s w, C) float32.
        """
        images = self.images(start, bicubic_enlarge(residual, self.scale))
        found = ops.cast(network(images)["estimate"], "float32")
        height, width = ops.shape(start)[1:3]
        return self.left(found[:, :height, :width])

    def images(self, start: Tensor, enlarged: Tensor) -> dict[str, Tensor]:
        """The two inputs of the network, for whole cells: the last row and column are repeated.

        Args:
            start: Z, (B, H, W, C).
            enlarged: E as large as Z.
        """
        start, enlarged = (_whole_cells(self._entered(image)) for image in (start, enlarged))
        sharp = ops.matmul(start, ops.convert_to_tensor(self._response))
        coarse = [_averaged(image) for image in (start, enlarged)]
        return {
            "lr_hsi": ops.concatenate(coarse, axis=-1),
            "hr_msi": ops.concatenate([sharp, start], axis=-1),
        }

    def left(self, found: Tensor) -> Tensor:
        """What is added in reference bands, in those of the pair."""
        return found if self.leave is None else ops.matmul(found, ops.convert_to_tensor(self.leave))

    def _entered(self, image: Tensor) -> Tensor:
        return image if self.enter is None else ops.matmul(image, ops.convert_to_tensor(self.enter))


def covers(num_bands: int, wavelengths_nm: ArrayLike | None) -> bool:
    """Whether the bands of a cube are those of a colour camera: 400 to 700 nm without gaps, and little else.

    Beyond that the network knows nothing of spectra: it lost up to 4 dB on airborne scenes of 400 to 2500 nm.
    """
    if wavelengths_nm is None:
        return num_bands == NUM_BANDS
    centres = np.sort(np.asarray(wavelengths_nm, np.float64))
    low, high = REFERENCE_NM[0], REFERENCE_NM[-1]
    inside = centres[(centres >= low - COVERED_NM) & (centres <= high + COVERED_NM)]
    if len(inside) < max(FEWEST_BANDS, 0.9 * len(centres)):
        return False
    ends = np.concatenate([[low], inside, [high]])
    return bool(np.diff(ends).max() <= WIDEST_GAP_NM)


def _interpolation(given: Array, wanted: Array) -> Array:
    """(n, m) that takes values at `given` to `wanted`, linearly; beyond the ends the last value holds."""
    order = np.argsort(given, kind="stable")
    rows = [np.interp(wanted, given[order], row) for row in np.eye(len(given))]
    matrix = np.empty((len(given), len(wanted)))
    matrix[order] = rows
    return matrix


def _whole_cells(image: Tensor) -> Tensor:
    """An image of whole cells, two a side at least: the last row and column are repeated."""
    height, width = ops.shape(image)[1:3]
    for axis, length in ((1, height), (2, width)):
        whole = -(-length // CELL) * CELL
        whole = max(whole, 2 * CELL) if isinstance(whole, int) else ops.maximum(whole, 2 * CELL)
        if isinstance(length, int) and whole == length:
            continue
        image = ops.take(image, ops.minimum(ops.arange(whole), length - 1), axis=axis)
    return image


def _averaged(image: Tensor) -> Tensor:
    """Means over the cells of an image of whole cells."""
    height, width = ops.shape(image)[1:3]
    cells = ops.reshape(image, (-1, height // CELL, CELL, width // CELL, CELL, image.shape[-1]))
    return ops.mean(cells, axis=(2, 4))
