"""Whether the sharp image is linear in light: the tone curve and offset under which a pair fits best.

A coarse pixel mixes light, so only the linearised image fulfils D_k f(Y) = X R + o. For each candidate (a
curve f, with or without offsets o) the first shape of the camera search is fitted. Its error on coarse pixels
held out, relative to the deviation of D_k f(Y), decides; a fifth of them, the worst, does not count, as
moved objects, clouds and clipped highlights are no evidence. The curve is searched with the kernel of a
candidate (`curve_search`) and the kernel then fitted anew. Anything but plain values is taken only where the
error falls clearly, the more so the fewer pixels there are, and never where noise explains the error: it is
worse to change a linear image than to miss a tone curve. The criterion is our own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from hsr_tf.radiometry import LINEAR, SRGB, Radiometry, white_level
from hsr_tf.solvers.cameras.camera_search import CameraSearch, PsfSrfConfig, search_shapes
from hsr_tf.solvers.cameras.curve_search import best_curve
from hsr_tf.solvers.solver import Cube
from hsr_tf.typing import Mask

EXACT = 0.01
CURVE_GAIN, OFFSET_GAIN, GAMMA_GAIN = 0.8, 0.9, 0.97
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

    @property
    def curve(self) -> str:
        return self.found.radiometry.curve


class _Candidates:
    """What may have been done to the values of one pair.

    Args:
        lr_hsi: X, (h, w, C).
        hr_msi: Y, (s h, s w, c).
        scale: s.
        config: options.
        counted: (h, w), False for coarse pixels to leave out; None for none.
    """

    def __init__(
        self, lr_hsi: Cube, hr_msi: Cube, scale: int, config: PsfSrfConfig, counted: Mask | None
    ) -> None:
        self._lr_hsi, self._hr_msi, self._scale, self._config = lr_hsi, hr_msi, scale, config
        self._counted = counted

    def fitted(self, curve: str, *, offset: bool) -> _Candidate:
        """The first shape of the camera search for a curve."""
        radiometry = self._radiometry(curve)
        config = replace(self._config, offset=offset)
        linear = radiometry.linear(self._hr_msi)
        search = CameraSearch(self._lr_hsi, linear, self._scale, config, self._counted)
        search.try_shape(search_shapes(self._scale)[0])
        search.leave_out_changes()
        return _Candidate(LinearSearch(search, radiometry, offset), search.usual_error())

    def curved(self, start: _Candidate) -> _Candidate:
        """The best curve for the kernel of a candidate, fitted if it is clearly better than that."""
        search = start.found.search
        curve, error = best_curve(lambda one: search.usual_error(self._radiometry(one).linear(self._hr_msi)))
        if curve == start.curve or error > GAMMA_GAIN * start.error:
            return start
        found = self.fitted(curve, offset=start.found.has_offset)
        return found if found.error < start.error else start

    def _radiometry(self, curve: str) -> Radiometry:
        return Radiometry() if curve == LINEAR else Radiometry(curve, white_level(self._hr_msi))


def plain_search(
    lr_hsi: Cube, hr_msi: Cube, scale: int, config: PsfSrfConfig, counted: Mask | None = None
) -> LinearSearch:
    """The search on the values as they are, with the offsets that the options say; see `linear_search`."""
    return _Candidates(lr_hsi, hr_msi, scale, config, counted).fitted(LINEAR, offset=config.offset).found


def linear_search(
    lr_hsi: Cube, hr_msi: Cube, scale: int, config: PsfSrfConfig, counted: Mask | None = None
) -> LinearSearch:
    """The search on the values, linearised where the held-out error asks for it.

    Args:
        lr_hsi: X, (h, w, C).
        hr_msi: Y, (s h, s w, c).
        scale: s.
        config: options; its `offset` is of no effect.
        counted: (h, w), False for coarse pixels to leave out; None for none.
    """
    candidates = _Candidates(lr_hsi, hr_msi, scale, config, counted)
    given = config.curve or LINEAR
    plain = candidates.fitted(given, offset=False)
    if plain.error < EXACT:
        return plain.found
    offset = candidates.fitted(given, offset=True)
    certain = max(0.0, 1.0 - 2.0 / plain.found.search.num_judged**0.5)
    best = offset if offset.error < OFFSET_GAIN * certain * plain.error else plain
    if best.error < EXACT or config.curve is not None or best.found.search.is_noise():
        return best.found
    # The kernel of either may suit a curve: that of the linear image is wrong where there is one.
    starts = [candidates.fitted(SRGB, offset=True), offset]
    curved = min(starts, key=lambda candidate: candidate.error)
    for _ in range(2):
        start, curved = curved, candidates.curved(curved)
        if curved is start:
            break
    if curved.curve == LINEAR or curved.error > LARGEST_ERROR:
        return best.found
    without = candidates.curved(candidates.fitted(curved.curve, offset=False))
    chosen = curved if curved.error < OFFSET_GAIN * certain * without.error else without
    needed = CURVE_GAIN * certain * min(plain.error, offset.error)
    return chosen.found if chosen.error <= needed else best.found
