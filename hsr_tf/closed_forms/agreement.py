"""Whether the two images fit the given cameras: X R and D Y show the same thing, the blurred colours.

Without noise and with the right cameras they are equal. Noise makes them differ by something that does not
look like the image; a wrong camera makes them differ by something that does: a wrong width of the PSF by the
image's second differences, a shift by its first ones, a wrong response by the spectra.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hsr_tf.arrays import ops
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.typing import Array, Cube, Tensor
from hsr_tf.wording import percent

SMALLEST, FOLLOWED = 0.005, 0.3
FEWEST_PIXELS, NUM_SPECTRA = 40, 4
ADVICE = 'give others, or have them estimated (psf="estimate", srf="estimate")'
AROUND = np.ones((3, 3), bool)
OUTLIER, SMALLEST_CHANGE, MOST_CHANGED, NUM_TRIMS = 6.0, 0.15, 0.5, 6


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


@dataclass(frozen=True, eq=False)
class Agreement:
    """What two images say about their cameras and about each other.

    Attributes:
        suspicion: of the cameras, None for none.
        changed: (h, w), coarse pixels that the images show differently, whatever the cameras: a moved object,
            a cloud, another date; None where the images agree throughout.
    """

    suspicion: Suspicion | None = None
    changed: NDArray[np.bool_] | None = None

    @property
    def changed_share(self) -> float:
        """The share of the coarse pixels that changed."""
        return 0.0 if self.changed is None else float(self.changed.mean())


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
    """What the disagreement of X (h, w, C) and Y (s h, s w, c) says about the cameras; see `agreement_of`."""
    return agreement_of(model, lr_hsi, hr_msi, trusted=trusted).suspicion


def agreement_of(
    model: ObservationModel, lr_hsi: Cube, hr_msi: Cube, *, trusted: NDArray[np.bool_] | None = None
) -> Agreement:
    """What the disagreement of X (h, w, C) and Y (s h, s w, c) says about the cameras and the ground.

    The gap is regressed on first and second differences of D Y and on the leading spectra of X. Cameras are
    suspicious where it is at least 0.5 % and at least 30 % of it (less what as many random causes would
    explain) is found there. Ground that no cause explains, in groups of pixels that stand out from the rest,
    has changed; it does not count for the cameras.

    Args:
        model: R and D.
        lr_hsi: X.
        hr_msi: Y.
        trusted: (h, w), the coarse pixels to look at; all by default.
    """
    seen = np.asarray(ops.convert_to_numpy(model.spectral.forward(ops.convert_to_tensor(lr_hsi[None]))))[0]
    blurred = np.asarray(ops.convert_to_numpy(model.spatial.forward(ops.convert_to_tensor(hr_msi[None]))))[0]
    inner = np.zeros(seen.shape[:2], bool)
    inner[1:-1, 1:-1] = True
    inner &= inner if trusted is None else trusted
    if min(blurred.shape[:2]) < 4 or inner.sum() < FEWEST_PIXELS:
        return Agreement()
    gap = (seen - blurred).astype(np.float64)
    if _share(gap, seen, inner) < SMALLEST:
        return Agreement()
    causes = _causes(lr_hsi, blurred.astype(np.float64), inner)
    changed = _changed(gap, blurred, causes, inner)
    kept = inner & ~ndimage.binary_dilation(changed, AROUND)
    if kept.sum() < FEWEST_PIXELS:
        return Agreement(changed=changed)
    share = _share(gap, seen, kept)
    if share < SMALLEST:
        return Agreement(changed=changed)
    followed = {name: _explained(gap[kept], columns[kept]) for name, columns in causes.items()}
    together = _explained(gap[kept], np.concatenate(list(causes.values()), -1)[kept])
    likeliest = max(followed, key=lambda name: followed[name])
    return Agreement(Suspicion(share, together, likeliest) if together > FOLLOWED else None, changed)


def _share(gap: Array, seen: Cube, counted: NDArray[np.bool_]) -> float:
    """|X R - D Y| / |X R| over some pixels."""
    return float(np.linalg.norm(gap[counted])) / max(float(np.linalg.norm(seen[counted])), 1e-30)


def _causes(lr_hsi: Cube, wide: Array, inner: NDArray[np.bool_]) -> dict[str, Array]:
    """(h, w, channels, regressors) of each cause; those of the response are the same for all channels."""
    first = np.stack([np.gradient(wide, axis=axis) for axis in (0, 1)], -1)
    second = np.stack([np.roll(wide, 1, axis) + np.roll(wide, -1, axis) - 2 * wide for axis in (0, 1)], -1)
    spectra = lr_hsi[inner].astype(np.float64)
    leading = lr_hsi @ np.linalg.eigh(spectra.T @ spectra)[1][:, -NUM_SPECTRA:]
    return {"psf": second, "shift": first, "srf": np.repeat(leading[:, :, None], wide.shape[2], 2)}


def _changed(
    gap: Array, blurred: Cube, causes: dict[str, Array], inner: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """(h, w), groups of pixels whose gap stands out from what all causes leave of the others."""
    columns, kept = np.concatenate(list(causes.values()), -1), inner
    deviation = blurred[inner].std(0) + 1e-30
    outliers, sizes = np.zeros_like(inner), np.ones(inner.shape)
    for step in range(2 * NUM_TRIMS):
        # Least absolute deviations first, by reweighting, then without the outliers.
        roots = np.sqrt(1 / np.maximum(sizes[kept], 1e-6))[:, None] if step < NUM_TRIMS else 1.0
        left = np.empty_like(gap)
        for channel in range(gap.shape[2]):
            system, right = columns[kept][:, channel] * roots, gap[kept][:, channel] * np.ravel(roots)
            found = np.linalg.lstsq(system, right, rcond=None)[0]
            left[..., channel] = gap[..., channel] - columns[:, :, channel] @ found
        sizes = np.sqrt(np.square(left / deviation).mean(-1))
        if step < NUM_TRIMS - 1:
            continue
        largest = max(OUTLIER * float(np.median(sizes[inner])), SMALLEST_CHANGE)
        outliers = inner & (sizes > largest)
        if outliers.sum() > MOST_CHANGED * inner.sum():
            return np.zeros_like(inner)
        before, kept = kept, inner & ~ndimage.binary_dilation(outliers, AROUND)
        if (kept == before).all():
            break
    return np.asarray(ndimage.binary_opening(outliers, np.ones((2, 2))))


def _explained(gap: NDArray[np.float64], columns: NDArray[np.float64]) -> float:
    """The share of (pixels, channels) that each channel's own regressors explain, less their number's."""
    total = left = 0.0
    for channel in range(gap.shape[1]):
        found = np.linalg.lstsq(columns[:, channel], gap[:, channel], rcond=None)[0]
        left += float(np.square(gap[:, channel] - columns[:, channel] @ found).sum())
        total += float(np.square(gap[:, channel]).sum())
    spare = gap.shape[0] - columns.shape[-1]
    return 1.0 - (left / max(total, 1e-30)) * gap.shape[0] / max(spare, 1)
