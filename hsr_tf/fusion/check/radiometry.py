"""Whether the sharp image is linear in light: its tone curve, and the gain and offset of each channel."""

from __future__ import annotations

from dataclasses import replace

from hsr_tf.findings import NOTE, OK, Finding
from hsr_tf.radiometry import LINEAR, Radiometry
from hsr_tf.typing import Array

ADVICE = "nothing: a fusion finds it again and undoes it"


def radiometry_finding(radiometry: Radiometry, gains: Array) -> Finding:
    """Tone curve, offset and gain that were found with an estimated response."""
    if radiometry.is_identity:
        return Finding(OK, "radiometry", f"hr_msi is linear in light: {radiometry.line(gains)}")
    return known_finding(replace(radiometry, divisor=tuple(float(gain) for gain in gains)))


def known_finding(radiometry: Radiometry) -> Finding:
    """Tone curve, offset and gain that a known response needs, which are the divisor."""
    found = replace(radiometry, curve=LINEAR).line(radiometry.divisor or None)
    if radiometry.curve != LINEAR:
        said = f"hr_msi is not linear in light, it has the tone curve {radiometry.curve}; undone: {found}"
        return Finding(NOTE, "radiometry", said, ADVICE)
    name = "an offset" if any(radiometry.offset) else "other units than lr_hsi"
    return Finding(NOTE, "radiometry", f"hr_msi has {name}: {found}", ADVICE)
