"""Whether the sharp image is linear in light: the tone curve and offset under which a pair fits best.

A coarse pixel mixes light, so only the linearised image fulfils D_k f(Y) = X R + o. For each candidate (a
curve f, with or without offsets o) the first shape of the camera search is fitted. Its error on coarse pixels
held out, relative to the deviation of D_k f(Y), decides. Anything but plain values is taken only where that
error falls clearly: it is worse to change a linear image than to miss a tone curve. The criterion is our own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from hsr_tf.radiometry import INVERSE_CURVES, LINEAR, Radiometry, white_level
from hsr_tf.solvers.cameras.camera_search import CameraSearch, PsfSrfConfig, search_shapes
from hsr_tf.solvers.solver import Cube

EXACT = 0.01
CURVE_GAIN, OFFSET_GAIN = 0.8, 0.9
LARGEST_ERROR = 0.3


@dataclass(frozen=True, eq=False)
class LinearSearch:
    """A camera search on the linearised pair, its first shape tried.

    Attributes:
        search: goes on from there.
        radiometry: the curve; the offsets are still to be measured.
        has_offset: whether the channels have offsets.
    """

    search: CameraSearch
    radiometry: Radiometry
    has_offset: bool


@dataclass(frozen=True, eq=False)
class _Candidate:
    found: LinearSearch
    error: float


def plain_search(lr_hsi: Cube, hr_msi: Cube, scale: int, config: PsfSrfConfig) -> LinearSearch:
    """The search on the values as they are, with the offsets that the options say."""
    return _candidate((lr_hsi, hr_msi, scale), config, LINEAR, offset=config.offset).found


def linear_search(lr_hsi: Cube, hr_msi: Cube, scale: int, config: PsfSrfConfig) -> LinearSearch:
    """The search on the values, linearised where the held-out error asks for it.

    Args:
        lr_hsi: X, (h, w, C).
        hr_msi: Y, (s h, s w, c).
        scale: s.
        config: options; its `offset` is of no effect.
    """
    images = lr_hsi, hr_msi, scale
    plain = _candidate(images, config, LINEAR, offset=False)
    if plain.error < EXACT:
        return plain.found
    offset = _candidate(images, config, LINEAR, offset=True)
    best = offset if offset.error < OFFSET_GAIN * plain.error else plain
    if best.error < EXACT:
        return best.found
    curves = [_candidate(images, config, curve, offset=True) for curve in INVERSE_CURVES if curve != LINEAR]
    curved = min(curves, key=lambda candidate: candidate.error)
    if curved.error > LARGEST_ERROR or curved.error > CURVE_GAIN * min(plain.error, offset.error):
        return best.found
    without = _candidate(images, config, curved.found.radiometry.curve, offset=False)
    return curved.found if curved.error < OFFSET_GAIN * without.error else without.found


def _candidate(
    images: tuple[Cube, Cube, int], config: PsfSrfConfig, curve: str, *, offset: bool
) -> _Candidate:
    lr_hsi, hr_msi, scale = images
    radiometry = Radiometry() if curve == LINEAR else Radiometry(curve, white_level(hr_msi))
    search = CameraSearch(lr_hsi, radiometry.linear(hr_msi), scale, replace(config, offset=offset))
    search.try_shape(search_shapes(scale)[0])
    return _Candidate(LinearSearch(search, radiometry, offset), search.held_out_error())
