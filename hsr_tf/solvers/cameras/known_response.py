"""Tone curve, gain and offset of a sharp image whose camera is known: D f(Y) = d X R + o, channel by channel.

A response by name says how a camera weighs wavelengths, not in which units its image is stored. Gain and
offset follow by least squares on the coarse pixels that agree (`trimming`), a curve by `curve_search`. They
are taken only where they explain most of what the recorded values leave: images with the right cameras are
not touched.
"""

from __future__ import annotations

import numpy as np

from hsr_tf.arrays import ops
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.radiometry import AS_RECORDED, LINEAR, Radiometry, white_level
from hsr_tf.scene import Observation
from hsr_tf.solvers.cameras.curve_search import best_curve
from hsr_tf.solvers.cameras.trimming import agreeing_pixels, gap_sizes, trimmed_mean
from hsr_tf.typing import Array, Cube, Mask

Powers = tuple[int, ...]
OFFSET_GAIN = 0.9
SMALLEST, CLEAR, BENT, CURVE_GAIN, LARGEST_ERROR = 0.005, 0.4, 0.9, 0.8, 0.3
JUDGED = 0.8
FEWEST_PIXELS, NUM_TRIMS = 40, 5
LEAST_GAIN = 1e-3


def known_radiometry(
    model: ObservationModel, observation: Observation, trusted: Mask, *, curve: str | None = None
) -> Radiometry:
    """What has to be undone in Y so that it fits known cameras; nothing where they fit as they are.

    Args:
        model: D and R.
        observation: X and Y, finite.
        trusted: (h, w), the coarse pixels to look at.
        curve: the tone curve of Y where it is known, "linear" for none; None to look for one.

    Returns:
        Curve, offsets and, as the divisor, the gains, in the units of Y over those of X R.
    """
    lr_hsi, hr_msi = observation.lr_hsi.cube, observation.hr_msi.cube
    white = white_level(hr_msi)
    named = AS_RECORDED if curve in (None, LINEAR) else Radiometry(curve or LINEAR, white)
    counted = trusted & _inner(trusted.shape, model.spatial.reach_cells)
    counted = counted if counted.sum() >= FEWEST_PIXELS else trusted
    if counted.sum() < FEWEST_PIXELS:
        return named
    seen = lr_hsi @ model.spectral.matrix
    fit = _GainFit(seen, counted)
    plain = _blurred(model, named.linear(hr_msi))
    before = fit.error(plain, seen)
    if before < SMALLEST:
        return named
    found, linear, error = named, plain, fit.fitted_error(plain)
    if curve is None and fit.fitted_error(plain, powers=(0, 1, 2)) < BENT * error:

        def curved_error(one: str) -> float:
            return fit.fitted_error(_blurred(model, Radiometry(one, white).linear(hr_msi)))

        name, curved = best_curve(curved_error)
        if curved < min(CURVE_GAIN * error, LARGEST_ERROR):
            found, error = Radiometry(name, white), curved
            linear = _blurred(model, found.linear(hr_msi))
            before = np.inf
    if error > CLEAR * before:
        return found
    offset = error < OFFSET_GAIN * fit.fitted_error(linear, powers=(1,))
    gains, offsets = fit.gains_and_offsets(linear, offset=offset)
    if (gains < LEAST_GAIN * np.abs(gains).max()).any():
        return named
    return Radiometry(found.curve, found.white, offsets, tuple(gains.tolist()))


class _GainFit:
    """Fits of D f(Y) to X R by a polynomial of each channel, on the pixels that agree.

    Args:
        seen: X R, (h, w, c).
        counted: (h, w), the pixels to look at.
    """

    def __init__(self, seen: Array, counted: Mask) -> None:
        self._seen, self._counted = np.asarray(seen, np.float64), counted

    def error(self, blurred: Array, expected: Array) -> float:
        """Root mean square of a gap over the deviation of D f(Y), without the worst fifth of the pixels."""
        sizes = gap_sizes(expected - blurred, blurred, self._counted)[self._counted]
        return float(np.sqrt(trimmed_mean(np.square(sizes), JUDGED)))

    def fitted_error(self, blurred: Array, *, powers: Powers = (0, 1)) -> float:
        """The error of the best sum of some powers of X R."""
        return self.error(blurred, self._expected(self._fitted(blurred, powers), powers))

    def gains_and_offsets(self, blurred: Array, *, offset: bool) -> tuple[Array, tuple[float, ...]]:
        """d and o, (c,) each."""
        if not offset:
            return self._fitted(blurred, (1,))[0], ()
        offsets, gains = self._fitted(blurred, (0, 1))
        return gains, tuple(offsets.tolist())

    def _fitted(self, blurred: Array, powers: Powers) -> Array:
        """Coefficients (len(powers), c), fitted to the pixels that agree with them."""
        kept = self._counted
        coefficients = np.zeros((len(powers), blurred.shape[2]))
        for _ in range(NUM_TRIMS):
            for channel in range(blurred.shape[2]):
                system = np.power.outer(self._seen[kept][:, channel], powers)
                found = np.linalg.lstsq(system, blurred[kept][:, channel], rcond=None)[0]
                coefficients[:, channel] = found
            sizes = gap_sizes(self._expected(coefficients, powers) - blurred, blurred, self._counted)
            left = agreeing_pixels(sizes, self._counted)
            if (left == kept).all():
                break
            kept = left
        return coefficients

    def _expected(self, coefficients: Array, powers: Powers) -> Array:
        parts = [row * self._seen**power for row, power in zip(coefficients, powers, strict=True)]
        return np.asarray(sum(parts))


def _inner(shape: tuple[int, ...], margin: int) -> Mask:
    inner = np.zeros(shape, bool)
    inner[tuple(slice(margin, size - margin) for size in shape)] = True
    return inner


def _blurred(model: ObservationModel, hr_msi: Cube) -> Array:
    """D Y, (h, w, c)."""
    blurred = model.spatial.forward(ops.convert_to_tensor(hr_msi[None]))
    return np.asarray(ops.convert_to_numpy(blurred), np.float64)[0]
