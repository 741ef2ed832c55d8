"""Whether the sharp image is linear in light: its tone curve, and the gain and offset of each channel."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hsr_tf.arrays import ops
from hsr_tf.findings import NOTE, OK, WARNING, Finding
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.radiometry import LINEAR, Radiometry, white_level
from hsr_tf.scene import Observation
from hsr_tf.typing import Array

SMALLEST, CLEAR, CURVE_GAIN, LARGEST_ERROR = 0.005, 0.25, 0.8, 0.3
FEWEST_PIXELS = 40
CURVES = (LINEAR, "sRGB", "gamma 1.8", "gamma 2.2")
FLAGS = (("srf", "estimate"),)
ADVICE = 'estimate the response (srf="estimate"): a fusion then undoes it'


@dataclass(frozen=True, eq=False)
class _Fit:
    """D f(Y) = gain X R + offset by least squares.

    Attributes:
        radiometry: f and the offsets.
        gains: (c,).
        error: root mean square of what is left, relative to the deviation of D f(Y).
    """

    radiometry: Radiometry
    gains: Array
    error: float


def radiometry_finding(radiometry: Radiometry, gains: Array) -> Finding:
    """Tone curve, offset and gain of an estimate."""
    if radiometry.is_identity:
        return Finding(OK, "radiometry", f"hr_msi is linear in light: {radiometry.line(gains)}")
    found = replace(radiometry, curve=LINEAR).line(gains)
    if radiometry.curve != LINEAR:
        said = f"hr_msi is not linear in light, it has the tone curve {radiometry.curve}; undone: {found}"
        advice = f"{ADVICE}; without it no PSF fits these values"
        return Finding(WARNING, "radiometry", said, advice, FLAGS)
    return Finding(NOTE, "radiometry", f"hr_msi has an offset: {found}", ADVICE, FLAGS)


def known_radiometry(
    model: ObservationModel, observation: Observation, trusted: NDArray[np.bool_]
) -> Finding | None:
    """A finding where a tone curve, gain or offset explains most of what known cameras leave, else None.

    Args:
        model: D and R.
        observation: X and Y, finite.
        trusted: (h, w), the coarse pixels to look at.
    """
    lr_hsi, hr_msi = observation.lr_hsi.cube, observation.hr_msi.cube
    if trusted.sum() < FEWEST_PIXELS:
        return None
    seen = (lr_hsi @ model.spectral.matrix)[trusted]
    plain = _blurred(model, hr_msi)[trusted]
    gap = float(np.linalg.norm(plain - seen))
    if gap < SMALLEST * float(np.linalg.norm(seen)):
        return None
    fits = []
    for curve in CURVES:
        radiometry = Radiometry() if curve == LINEAR else Radiometry(curve, white_level(hr_msi))
        light = plain if curve == LINEAR else _blurred(model, radiometry.linear(hr_msi))[trusted]
        gains, offsets, left = [], [], np.empty_like(light)
        for channel in range(light.shape[1]):
            system = np.stack([seen[:, channel], np.ones(len(seen))], 1)
            (gain, offset), *_ = np.linalg.lstsq(system, light[:, channel], rcond=None)
            left[:, channel] = light[:, channel] - system @ (gain, offset)
            gains.append(float(gain))
            offsets.append(float(offset))
        with_offsets = Radiometry(radiometry.curve, radiometry.white, tuple(offsets))
        fits.append(_Fit(with_offsets, np.asarray(gains), _relative(left, light)))
    linear, curved = fits[0], min(fits[1:], key=lambda fit: fit.error)
    found = curved if curved.error < min(CURVE_GAIN * linear.error, LARGEST_ERROR) else linear
    if found.error > CLEAR * _relative(plain - seen, plain):
        return None
    said = f"the known cameras fit only with {found.radiometry.line(found.gains)} of hr_msi"
    return Finding(WARNING, "radiometry", said, ADVICE, FLAGS)


def _relative(left: Array, light: Array) -> float:
    return float(np.sqrt(np.mean(np.square(left).mean(0) / (light.var(0) + 1e-30))))


def _blurred(model: ObservationModel, hr_msi: NDArray[np.float32]) -> Array:
    """D Y, (h, w, c)."""
    blurred = model.spatial.forward(ops.convert_to_tensor(hr_msi[None]))
    return np.asarray(ops.convert_to_numpy(blurred), np.float64)[0]
