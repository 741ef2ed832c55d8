"""Coarse pixels of a pair: the spectra of X and, tap by tap, what of Y a blur would mix there.

With a kernel k the colours of the coarse pixels are `taps @ k`, so that everything about D_k Y is linear in
k. Only pixels whose support lies inside the image are taken: nothing is assumed of what is past the edge.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from hsr_tf import checks
from hsr_tf.typing import Array, Mask

MOST_VALUES = 5_000_000
FEWEST_PIXELS = 16
NUM_BLOCKS = 6


@dataclass(frozen=True, eq=False)
class CoarsePixels:
    """N coarse pixels.

    Attributes:
        spectra: X there, (N, C).
        taps: Y around them, (c, N, n, n), in the order of the kernel's taps (a true convolution).
        held_out: (N,) bool, about a quarter of them in square blocks.
        scale: s.
        centred: whether the means were taken off spectra and colours.
    """

    spectra: Array
    taps: Array
    held_out: NDArray[np.bool_]
    scale: int
    centred: bool = False

    @property
    def num_taps(self) -> int:
        """n, taps of the support along one side."""
        return self.taps.shape[-1]

    def colours(self, kernel: Array) -> Array:
        """D_k Y there, (N, c)."""
        num_channels, num_pixels = self.taps.shape[:2]
        flat = self.taps.reshape(num_channels * num_pixels, -1) @ kernel.ravel()
        return flat.reshape(num_channels, num_pixels).T

    def mixed(self, basis: Array) -> Array:
        """The taps of kernels B K B^T, (c, N, m m) for a basis B (n, m)."""
        partial = np.tensordot(self.taps, basis, axes=(3, 0))
        both = np.einsum("cnim,ik->cnkm", partial, basis, optimize=True)
        return both.reshape(*both.shape[:2], -1)


def coarse_pixels(
    lr_hsi: NDArray[np.floating],
    hr_msi: NDArray[np.floating],
    scale: int,
    num_taps: int,
    *,
    centred: bool,
    counted: Mask | None = None,
) -> CoarsePixels:
    """The coarse pixels whose `num_taps` x `num_taps` support lies inside Y; evenly fewer of a large image.

    Args:
        lr_hsi: X, (h, w, C).
        hr_msi: Y, (s h, s w, c).
        scale: s.
        num_taps: n, of the parity of s.
        centred: take the means off spectra and colours, which leaves an offset of each channel free.
        counted: (h, w), False for pixels that are not to be taken; None for none.

    Raises:
        ValueError: when fewer than 16 pixels are left.
    """
    first, margin = (scale - num_taps) // 2, margin_of(num_taps, scale)
    rows, columns = (np.arange(margin, max(margin, size - margin)) for size in lr_hsi.shape[:2])
    checks.require(
        len(rows) * len(columns) >= FEWEST_PIXELS,
        "lr_hsi",
        expected=f"{FEWEST_PIXELS} pixels or more whose {num_taps} x {num_taps} taps lie inside the image",
        received=f"{len(rows) * len(columns)} of {lr_hsi.shape[0]} x {lr_hsi.shape[1]}",
        remedy="use a larger image, or allow a smaller shift (max_shift)",
    )
    most = max(FEWEST_PIXELS, MOST_VALUES // max(hr_msi.shape[2] * num_taps**2, 4 * lr_hsi.shape[2]))
    share = min(1.0, np.sqrt(most / (len(rows) * len(columns))))
    kept = [np.linspace(0, len(a) - 1, max(2, round(share * len(a)))).astype(int) for a in (rows, columns)]
    rows, columns = rows[kept[0]], columns[kept[1]]
    windows = sliding_window_view(hr_msi, (num_taps, num_taps), axis=(0, 1))
    seen = windows[np.ix_(scale * rows + first, scale * columns + first)][..., ::-1, ::-1]
    taps = np.ascontiguousarray(np.moveaxis(seen, 2, 0), dtype=np.float64)
    taps = taps.reshape(hr_msi.shape[2], -1, num_taps, num_taps)
    spectra = lr_hsi[np.ix_(rows, columns)].reshape(-1, lr_hsi.shape[2]).astype(np.float64)
    held_out = held_out_blocks((len(rows), len(columns))).ravel()
    if counted is not None and not counted.all():
        kept_pixels = counted[np.ix_(rows, columns)].ravel()
        taps, spectra, held_out = taps[:, kept_pixels], spectra[kept_pixels], held_out[kept_pixels]
    if centred:
        taps -= taps.mean(1, keepdims=True)
        spectra -= spectra.mean(0)
    return CoarsePixels(spectra, taps, held_out, scale, centred)


def margin_of(num_taps: int, scale: int) -> int:
    """Coarse pixels along each edge whose `num_taps` x `num_taps` support does not lie inside the image."""
    return -(-max(0, (num_taps - scale + 1) // 2) // scale)


def held_out_blocks(shape: tuple[int, ...]) -> Mask:
    """Every fourth of about 6 x 6 blocks of the pixels (rows, columns), no two of them side by side."""
    row, column = (np.arange(n) * NUM_BLOCKS // n for n in shape)
    return np.asarray((row[:, None] + 2 * column[None]) % 4 == 0)
