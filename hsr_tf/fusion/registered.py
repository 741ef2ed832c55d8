"""Two images brought together as they really lie: by a given transform, or by one that is found if it is
needed.

What grids or sizes say is kept where the images match there. A shift within the search of the PSF is left
to the PSF where that is estimated: it is taken up once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from hsr_tf.checks import InputError
from hsr_tf.findings import ERROR, NOTE, OK, WARNING, Finding
from hsr_tf.fusion.alignment import Aligned, align, is_placed
from hsr_tf.fusion.cameras import ESTIMATE
from hsr_tf.physics.nodata import require_data
from hsr_tf.registration.register import Registration, register
from hsr_tf.registration.transform import Transform
from hsr_tf.scene import Scene, Solution
from hsr_tf.wording import signed

TOPIC = "registration"
ENOUGH_PIXELS, DECISIVE = 200, 0.6
GOOD_CORRELATION = 0.8
LEFT_TO_PSF = 0.9
RECORDED = "simulated_psf"


@dataclass(frozen=True, eq=False)
class Registered:
    """A pair on nested grids, and what its registration found.

    Attributes:
        aligned: the pair.
        registration: what was found, None where nothing was looked for.
        finding: the same for a check, None likewise.
    """

    aligned: Aligned
    registration: Registration | None = None
    finding: Finding | None = None

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """What a fusion should not go on without saying."""
        serious = self.finding is not None and self.finding.severity == ERROR
        return (self.finding,) if serious and self.finding is not None else ()

    def finished(self, solution: Solution) -> Solution:
        """A solution of the pair on the sharp image's own pixels."""
        return replace(solution, estimate=self.aligned.on_sharp_pixels(solution.estimate))


def align_registered(
    lr_hsi: Scene,
    hr_msi: Scene,
    *,
    psf: object = None,
    transform: Transform | None = None,
    search: bool = True,
) -> Registered:
    """Bring two images together, by what `hsr_tf.register` finds where that is clearly better than they are.

    Args:
        lr_hsi: the coarse cube.
        hr_msi: the sharp image.
        psf: the PSF that a fusion is given; with "estimate" a small shift is left to it.
        transform: a known one; nothing is looked for then.
        search: whether to look for a transform.

    Raises:
        ValueError: as `align`, where no transform was found either; an image without any data.
    """
    if transform is not None:
        return Registered(align(lr_hsi, hr_msi, transform=transform))
    aligned, error = None, None
    try:
        aligned = align(lr_hsi, hr_msi)
    except ValueError as found:
        error = found
        search &= not (is_placed(lr_hsi) and is_placed(hr_msi))
    if not search or (aligned is not None and aligned.observation.scale < 2):
        if aligned is None:
            assert error is not None
            raise error
        return Registered(aligned)
    for name, image in (("lr_hsi", lr_hsi), ("hr_msi", hr_msi)):
        require_data(image.nodata_mask is None or not image.nodata_mask.all(), name)
    placed = aligned is not None and aligned.plan is not None
    images = (
        (aligned.observation.lr_hsi, aligned.observation.hr_msi) if placed and aligned else (lr_hsi, hr_msi)
    )
    found_at = register(*images)
    if aligned is None and not found_at.accepted:
        raise _nowhere(error) from error
    if found_at.accepted and (
        aligned is None or (found_at.moved and not _is_left_to_psf(found_at, aligned, psf))
    ):
        nested = align(*images, transform=found_at.transform)
        steps = (*(aligned.steps if placed and aligned else ()), *nested.steps)
        return Registered(replace(nested, steps=steps), found_at, registration_finding(found_at, used=True))
    assert aligned is not None
    return Registered(aligned, found_at, registration_finding(found_at, used=False))


def _nowhere(error: ValueError | None) -> ValueError:
    """The error about images whose sizes do not fit and that match nowhere."""
    assert error is not None
    if not isinstance(error, InputError):
        return error
    received = f"{error.received}, and an image that matches lr_hsi nowhere beyond chance"
    return InputError(error.argument, expected=error.expected, received=received, remedy=error.remedy)


def _is_left_to_psf(found: Registration, aligned: Aligned, psf: object) -> bool:
    """Whether a shift is so small that the PSF takes it up, which is estimated or recorded."""
    scale = aligned.observation.scale
    if not found.is_shift or abs(found.transform.ratio / scale - 1) > 1e-6:
        return False
    taken_up = psf == ESTIMATE or (psf is None and RECORDED in aligned.observation.lr_hsi.metadata)
    return taken_up and found.gap <= LEFT_TO_PSF * max(2.0, scale / 4)


def registration_finding(found: Registration, *, used: bool) -> Finding:
    """The finding of a check.

    Args:
        found: the registration.
        used: whether its transform was applied.
    """
    match = found.match
    figures = f"correlation {match.correlation:.2f}; chance reaches {match.needed:.2f}"
    if found.accepted and not used:
        return Finding(OK, TOPIC, f"the images match as they are ({figures})")
    if found.accepted:
        severity = NOTE if match.correlation >= GOOD_CORRELATION else WARNING
        more = "hsr register saves and draws the transform"
        if found.is_shift and abs(found.transform.ratio / found.implied.ratio - 1) < 1e-6:
            rows, cols = map(signed, found.transform.shift)
            said = f"hr_msi lies {rows} rows, {cols} columns (sharp pixels) off lr_hsi ({figures})"
            return Finding(severity, TOPIC, said, f"a fusion takes the shift up by registration; {more}")
        said = f"hr_msi is {found.transform.line} against lr_hsi ({figures})"
        return Finding(severity, TOPIC, said, f"a fusion registers them the same way; {more}")
    height, width = found.transform.lr_size
    if height * width < ENOUGH_PIXELS and match.needed >= DECISIVE:
        said = f"too few or too flat pixels to tell whether both images show the same ground ({figures})"
        return Finding(WARNING, TOPIC, said, "use a larger part of both images, or compare them by eye")
    said = (
        "the images match nowhere beyond chance, in any orientation, at any shift or ratio from 0.4 to 1.6 "
        f"times that of their sizes ({figures} at the best place)"
    )
    advice = "check that both show the same ground; give the transform if you know it (transform)"
    return Finding(ERROR, TOPIC, said, advice)
