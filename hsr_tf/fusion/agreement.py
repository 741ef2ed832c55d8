"""Whether two images differ by more than their noise where both show the same: X R and D Y.

The noise of both images (`hsr_tf.closed_forms.noise_level`) says how large the gap X R - D Y may be: its
variance is sum_b R_b^2 var(X_b) + |k|^2 var(Y), in which var(Y) is at least that of the rounding of Y to the
levels of its file. A gap beyond that has a cause that no method repairs: an
image off its place, values that were changed, a wrong camera. It needs no truth and does not depend on the
method.

Ground that changed between the images (`hsr_tf.closed_forms.agreement`: something moved, a cloud, glare) is
counted apart, as the rest may well be good. Single pixels whose gap is far beyond that of most others, and
beyond noise, do not count either.

The pixels along the edges see past the image, where D can only guess; they do not count. A cube that is
darker than D Y all along them was blurred with zeros outside.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hsr_tf.arrays import ops
from hsr_tf.closed_forms.agreement import agreement_of
from hsr_tf.closed_forms.noise_level import image_noise, rounding_noise
from hsr_tf.findings import ERROR, WARNING, Finding
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.radiometry import AS_RECORDED, LINEAR, Radiometry
from hsr_tf.typing import Array, Cube, Mask
from hsr_tf.wording import number, percent

FEWEST_PIXELS = 40
SMALLEST, LARGEST = 0.005, 0.01
DOUBTFUL, BAD = 1.5, 6.0
OUTLIER, OUTLIER_SIZE, MOST_CHANGED = 4.0, 0.05, 0.4
CHANGED, MUCH_CHANGED = 0.01, 0.25
DARKER, MOSTLY, DARK = 0.05, 0.75, 0.05
AGREEMENT, CHANGES, EDGES = "agreement", "change", "edges"
EDGES_ADVICE = "its blur took zeros from outside: crop both images by a coarse pixel or two"
ADVICE = "expect errors of that size: an image off its place, changed values, or a camera that does not fit"
PHOTOGRAPH_ADVICE = "expect worse in fine detail: use the raw or an uncompressed file of the photograph"
CHANGES_ADVICE = "the estimate follows lr_hsi there; mark it as no data in one image to leave it out"
TINY = 1e-30


@dataclass(frozen=True)
class ImageGap:
    """How far two images differ where they show the same.

    Attributes:
        share: |X R - D Y| / |X R| over the ground that both show alike.
        noise: what their noise explains of it.
        changed: share of the coarse pixels that changed between the images.
        agreeing: (h, w), the pixels that were compared: without these, outliers and edges.
        rounding: what of `noise` is the rounding of Y to the levels of its file (`rounding_noise`).
        darker: by which part of D Y the cube is darker along the edges; 0 unless it is nearly everywhere.
    """

    share: float
    noise: float
    changed: float
    agreeing: Mask | None = field(default=None, compare=False)
    darker: float = 0.0
    rounding: float = 0.0

    @property
    def excess(self) -> float:
        """How many times what noise explains the gap is."""
        return self.share / max(self.noise, TINY)


def measured_gap(
    model: ObservationModel, lr_hsi: Cube, hr_msi: Cube, *, counted: Mask | None = None
) -> ImageGap | None:
    """Compare X R with D Y.

    Pixels at the edges into which D mixes what lies outside of the image do not count.

    Args:
        model: D and R.
        lr_hsi: X, (h, w, C).
        hr_msi: Y, (s h, s w, c), linear in light.
        counted: (h, w), the coarse pixels to look at; all by default.

    Returns:
        None where fewer than 40 coarse pixels count.
    """
    counted = np.ones(lr_hsi.shape[:2], bool) if counted is None else counted
    inner = np.zeros_like(counted)
    margin = model.spatial.reach_cells
    inner[margin : inner.shape[0] - margin, margin : inner.shape[1] - margin] = True
    kept = counted & inner
    if kept.sum() < FEWEST_PIXELS:
        return None
    blurred = np.asarray(ops.convert_to_numpy(model.spatial.forward(ops.convert_to_tensor(hr_msi[None]))))[0]
    matrix, kernel = model.spectral.matrix, model.spatial.psf.kernel
    holes = None if counted.all() else ~counted
    fine = None if holes is None else np.kron(holes, np.ones((model.scale,) * 2, bool)).astype(bool)
    rounded = np.square(kernel).sum() * np.square(rounding_noise(hr_msi, fine))
    variance = np.square(matrix).T @ np.square(image_noise(lr_hsi, holes))
    variance = variance + np.maximum(np.square(kernel).sum() * np.square(image_noise(hr_msi, fine)), rounded)
    seen = lr_hsi.astype(np.float64) @ matrix
    squares = np.square(seen - blurred)
    changed = agreement_of(model, lr_hsi, hr_msi, trusted=counted).changed
    alike = kept if changed is None else kept & ~changed
    if not alike.any():
        return None
    agreeing = alike.copy()
    agreeing[alike] = _agreeing(squares[alike], variance, blurred[alike].var(0, dtype=np.float64))
    energy = float(np.square(seen[agreeing]).mean(0).sum()) + TINY
    return ImageGap(
        share=(float(squares[agreeing].mean(0).sum()) / energy) ** 0.5,
        noise=(float(variance.sum()) / energy) ** 0.5,
        changed=0.0 if changed is None else float(changed.sum() / counted.sum()),
        agreeing=agreeing,
        rounding=(float(rounded.sum()) / energy) ** 0.5,
        darker=_darker(seen.sum(-1), blurred.sum(-1, dtype=np.float64), counted),
    )


def gap_findings(found: ImageGap, radiometry: Radiometry = AS_RECORDED) -> tuple[Finding, ...]:
    """What follows from the gap.

    A gap of over 0.5 % and 1.5 times the noise is a warning, one of over 1 % and six times the noise an
    error, and so is a cube that is over 5 % darker along its edges; changed ground is a warning from 1 % of
    the coarse pixels on, an error from 25 % on.

    The gap of a photograph, whose tone curve was undone, is an error from the first of these limits on: what
    is left was changed by processing or compression, and fine detail more than the means that the cube sees.
    JPEG of quality 90 costs 3 to 11 dB.
    """
    photograph = radiometry.curve != LINEAR
    findings = []
    if found.share > SMALLEST and found.excess > DOUBTFUL:
        severity = ERROR if photograph or (found.share > LARGEST and found.excess > BAD) else WARNING
        said = f"where both images show the same they differ by {percent(found.share)}"
        times = f"{number(found.excess)} times" if found.excess < 1000 else "over 1000 times"
        findings.append(
            Finding(
                severity,
                AGREEMENT,
                f"{said}, {times} what noise explains",
                PHOTOGRAPH_ADVICE if photograph else ADVICE,
            )
        )
    if found.darker > DARKER:
        said = f"lr_hsi is {percent(found.darker)} darker along its edges than hr_msi"
        findings.append(Finding(ERROR, EDGES, said, EDGES_ADVICE))
    if found.changed > CHANGED:
        severity = ERROR if found.changed > MUCH_CHANGED else WARNING
        share = percent(found.changed)
        said = f"the two images differ on {share} of the ground (changed, moved, or under a cloud)"
        findings.append(Finding(severity, CHANGES, said, CHANGES_ADVICE))
    return tuple(findings)


def _darker(seen: Array, blurred: Array, counted: Mask) -> float:
    """By which part of D Y the outermost coarse pixels are darker than the others, if three quarters are."""
    edge = counted.copy()
    edge[1:-1, 1:-1] = False
    if min(edge.sum(), (counted & ~edge).sum()) < FEWEST_PIXELS:
        return 0.0
    less = (blurred - seen) / (np.maximum(blurred, 0) + DARK * float(blurred.mean()) + TINY)
    along = less[edge] - np.median(less[counted & ~edge])
    return float(np.median(along)) if np.quantile(along, 1 - MOSTLY) > DARKER / 2 else 0.0


def _agreeing(squares: Array, variance: Array, spread: Array) -> Mask:
    """(n,), the pixels that are not outliers; all where these would be too many to be such.

    Args:
        squares: of the gap, (n, c).
        variance: (c,), what noise explains of them.
        spread: (c,), variance of D Y.
    """
    beyond = np.sqrt((squares / (variance + TINY)).mean(1))
    size = np.sqrt((squares / (spread + TINY)).mean(1))
    usual = max(float(np.median(beyond)), 1.0)
    outlying = (beyond > OUTLIER * usual) & (size > OUTLIER_SIZE)
    return ~outlying if outlying.mean() < MOST_CHANGED else np.ones(len(squares), bool)
