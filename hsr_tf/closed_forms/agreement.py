"""Whether the two images fit the given cameras: X R and D Y show the same thing, the blurred colours.

Without noise and with the right cameras they are equal. Noise makes them differ by something that does not
look like the image; a wrong camera makes them differ by something that does: a wrong width of the PSF by the
image's second differences, a shift by its first ones, a wrong response by the spectra.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hsr_tf.arrays import ops
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.typing import Cube, Tensor
from hsr_tf.wording import percent

SMALLEST, FOLLOWED = 0.005, 0.3
FEWEST_PIXELS, NUM_SPECTRA = 40, 4
ADVICE = 'give others, or have them estimated (psf="estimate", srf="estimate")'


@dataclass(frozen=True)
class Suspicion:
    """A disagreement that noise does not explain.

    Attributes:
        share: |X R - D Y| / |X R|.
        followed: the share of its energy that the causes explain together.
        cause: the likeliest: "psf", "shift" or "srf".
    """

    share: float
    followed: float
    cause: str

    @property
    def found(self) -> str:
        """What a user should know, without the advice."""
        suspect = {
            "psf": "the PSF is probably not the hyperspectral camera's",
            "shift": "one image probably lies off the other",
            "srf": "the response is probably not the colour camera's",
        }[self.cause]
        return (
            f"where both images show the same they differ by {percent(self.share)}, and "
            f"{100 * self.followed:.0f} % of that follows the image, more than noise explains: {suspect}"
        )

    @property
    def line(self) -> str:
        """What a user should know and do."""
        return f"{self.found}; {ADVICE}"


def disagreement(
    model: ObservationModel, lr_hsi: Tensor, hr_msi: Tensor, *, trusted: NDArray[np.bool_] | None = None
) -> float:
    """|X R - D Y| / |X R|: what noise and wrong cameras change in an image that X and Y both determine.

    Args:
        model: R and D.
        lr_hsi: X, (B, h, w, C).
        hr_msi: Y, (B, s h, s w, c).
        trusted: (h, w), the coarse pixels that count; all by default.
    """
    seen = model.spectral.forward(lr_hsi)
    gap = seen - model.spatial.forward(hr_msi)
    if trusted is not None:
        gap, seen = (x * trusted[None, ..., None] for x in (gap, seen))
    length = [float(ops.sqrt(ops.sum(ops.square(x)))) for x in (gap, seen)]
    return length[0] / max(length[1], 1e-30)


def suspicion(
    model: ObservationModel, lr_hsi: Cube, hr_msi: Cube, *, trusted: NDArray[np.bool_] | None = None
) -> Suspicion | None:
    """What the disagreement of X (h, w, C) and Y (s h, s w, c) says about the cameras; None where nothing.

    The gap is regressed on first and second differences of D Y and on the leading spectra of X. It is
    suspicious where it is at least 0.5 % and at least 30 % of it (less what as many random causes would
    explain) is found there.

    Args:
        model: R and D.
        lr_hsi: X.
        hr_msi: Y.
        trusted: (h, w), the coarse pixels to look at; all by default.
    """
    seen = np.asarray(ops.convert_to_numpy(model.spectral.forward(ops.convert_to_tensor(lr_hsi[None]))))[0]
    blurred = np.asarray(ops.convert_to_numpy(model.spatial.forward(ops.convert_to_tensor(hr_msi[None]))))[0]
    if min(blurred.shape[:2]) < 4:
        return None
    inner = np.zeros(seen.shape[:2], bool)
    inner[1:-1, 1:-1] = True
    inner &= inner if trusted is None else trusted
    if inner.sum() < FEWEST_PIXELS:
        return None
    gap = (seen - blurred)[inner].astype(np.float64)
    share = float(np.linalg.norm(gap)) / max(float(np.linalg.norm(seen[inner])), 1e-30)
    if share < SMALLEST:
        return None
    # (pixels, channels, regressors) of each cause; those of the response are the same for all channels.
    wide = blurred.astype(np.float64)
    first = np.stack([np.gradient(wide, axis=axis) for axis in (0, 1)], -1)
    second = np.stack([np.roll(wide, 1, axis) + np.roll(wide, -1, axis) - 2 * wide for axis in (0, 1)], -1)
    spectra = lr_hsi[inner].astype(np.float64)
    leading = spectra @ np.linalg.eigh(spectra.T @ spectra)[1][:, -NUM_SPECTRA:]
    common = np.repeat(leading[:, None], blurred.shape[-1], 1)
    causes = {"psf": second[inner], "shift": first[inner], "srf": common}
    followed = {name: _explained(gap, columns) for name, columns in causes.items()}
    together = _explained(gap, np.concatenate(list(causes.values()), -1))
    likeliest = max(followed, key=lambda name: followed[name])
    return Suspicion(share, together, likeliest) if together > FOLLOWED else None


def _explained(gap: NDArray[np.float64], columns: NDArray[np.float64]) -> float:
    """The share of (pixels, channels) that each channel's own regressors explain, less their number's."""
    total = left = 0.0
    for channel in range(gap.shape[1]):
        found = np.linalg.lstsq(columns[:, channel], gap[:, channel], rcond=None)[0]
        left += float(np.square(gap[:, channel] - columns[:, channel] @ found).sum())
        total += float(np.square(gap[:, channel]).sum())
    spare = gap.shape[0] - columns.shape[-1]
    return 1.0 - (left / max(total, 1e-30)) * gap.shape[0] / max(spare, 1)
