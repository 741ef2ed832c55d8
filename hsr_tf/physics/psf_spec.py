"""Point-spread functions in words: `gaussian`, `gaussian:sigma=2x4,angle=30`, `box:size=5`, a file.

A specification is a shape, and after a colon its options, `name=value` with commas between. Lengths are in
pixels of the sharp image, angles in degrees, clockwise on the screen. The scale sets what is left out.

`gaussian` alone is the standard PSF of the fusion literature, which is cut off at 2 s taps and so loses 3.4 %
of its weight. A Gaussian whose width is given is that of a camera and reaches four standard deviations, as
SciPy's `gaussian_filter` does; `support` cuts it off elsewhere.
"""

from __future__ import annotations

import math
import os
from difflib import get_close_matches
from pathlib import Path

from hsr_tf.physics import psf as shapes
from hsr_tf.physics.psf import Psf

FORMS = (
    "gaussian",
    "gaussian:fwhm=6",
    "gaussian:sigma=2.5",
    "gaussian:sigma=2x4,angle=30",
    "box",
    "box:size=5",
    "bicubic",
    "motion:length=9,angle=30",
    "identity",
    "a file (.npy, .npz, .csv, .txt, .mat)",
)
_OPTIONS = {
    "gaussian": ("fwhm", "sigma", "angle", "support"),
    "box": ("size",),
    "motion": ("length", "angle", "support"),
    "bicubic": (),
    "identity": (),
}

SHAPES = tuple(_OPTIONS)
SIGMAS = 4.0


def parse_psf(spec: str | os.PathLike[str], scale: int, *, recorded: bool = False) -> Psf:
    """The PSF that a specification describes, for images that are reduced by `scale`.

    Args:
        spec: one of `FORMS`. `gaussian` alone is the standard one, full width at half maximum s; `box`
            alone is the mean over a cell of s x s pixels; `bicubic` is MATLAB's imresize; `support` sets the
            taps a side of a Gaussian or a motion, which is wide enough otherwise.
        scale: s.
        recorded: whether a simulated file records these words: where it records no `support`, it is from when
            Gaussians were cut off at 2 s taps.

    Raises:
        ValueError: a shape, option or number that is not understood; the message lists the forms.
        OSError: a file that is missing or cannot be read.
    """
    text = os.fspath(spec)
    shape, _, rest = text.partition(":")
    if shape not in _OPTIONS:
        if not (Path(text).suffix or os.sep in text):
            near = get_close_matches(shape, _OPTIONS, n=1)
            raise _refusal(text, f"did you mean {near[0]!r}?" if near else "choose one of these")
        return shapes.load_psf(text)
    options: dict[str, str] = {}
    for part in filter(None, rest.split(",")):
        name, equals, value = part.partition("=")
        if name not in _OPTIONS[shape] or not equals or not value or name in options:
            known = ", ".join(_OPTIONS[shape]) or "none"
            raise _refusal(text, f"{part!r} is no option of {shape} (options: {known})")
        options[name] = value
    if shape == "gaussian":
        return _gaussian(text, options, scale, cut_off=recorded)
    if shape == "box":
        return shapes.box_psf(_count(text, options, "size") or scale)
    if shape == "bicubic":
        return shapes.bicubic_psf(scale)
    if shape == "identity":
        return shapes.identity_psf(scale)
    if "length" not in options:
        raise _refusal(text, "give the length of the motion")
    length = _number(text, options["length"])
    if length <= 0:
        raise _refusal(text, "a length is a positive number; identity is no blur")
    return shapes.motion_psf(
        scale,
        length=length,
        angle_degrees=_number(text, options.get("angle", "0")),
        support=_count(text, options, "support"),
    )


def _gaussian(text: str, options: dict[str, str], scale: int, *, cut_off: bool) -> Psf:
    if "fwhm" in options and "sigma" in options:
        raise _refusal(text, "give fwhm or sigma, not both")
    support = _count(text, options, "support")
    word = options.get("sigma") or options.get("fwhm") or str(scale)
    widths = [_number(text, part) for part in word.split("x")]
    if "sigma" not in options:
        widths = [width / shapes.FWHM_PER_SIGMA for width in widths]
    if not all(width > 0 for width in widths):
        raise _refusal(text, "a width is a positive number; identity is no blur")
    if len(widths) > 2:
        raise _refusal(text, "give one width, or two with an x between")
    if "angle" in options and len(widths) == 1:
        raise _refusal(text, "an angle needs two widths")
    angle = _number(text, options.get("angle", "0"))
    if support is None and not cut_off and ("sigma" in options or "fwhm" in options):
        taps = max(2 * scale, math.ceil(2 * SIGMAS * max(widths)))
        support = taps + (taps - scale) % 2
    return shapes.anisotropic_gaussian_psf(
        scale, sigmas=(widths[0], widths[-1]), angle_degrees=angle, support=support
    )


def recorded_words(spec: str, psf: Psf) -> str:
    """The words that a file records of a PSF in words: a Gaussian with its number of taps."""
    shape, colon, options = spec.partition(":")
    if shape != "gaussian" or not options or "support=" in options:
        return spec
    return f"{shape}{colon}{options},support={len(psf.kernel)}"


def _number(text: str, word: str) -> float:
    try:
        value = float(word)
    except ValueError:
        raise _refusal(text, f"{word!r} is no number") from None
    if abs(value) > 1e4 or value != value:
        raise _refusal(text, f"{word} is beyond any image")
    return value


def _count(text: str, options: dict[str, str], name: str) -> int | None:
    """A number of taps, or None; one whose parity is not the scale's sits half a pixel off and is allowed."""
    if name not in options:
        return None
    value = _number(text, options[name])
    if value < 1 or value != int(value):
        raise _refusal(text, f"{name} must be a positive whole number")
    return int(value)


def _refusal(text: str, remedy: str) -> ValueError:
    return ValueError(f"psf: expected one like {' | '.join(FORMS)}, got {text!r}; {remedy}")
