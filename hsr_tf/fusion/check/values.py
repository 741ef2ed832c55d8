"""What the values of the two images say: range and units, noise, wavelengths.

The noise is that of `hsr_tf.closed_forms.noise_level`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hsr_tf.closed_forms.noise_level import image_noise
from hsr_tf.findings import ERROR, NOTE, OK, WARNING, Finding, listed
from hsr_tf.io.nanometres import UNIT_ADVICE, doubtful_widths
from hsr_tf.io.pair_reading import guess_findings
from hsr_tf.io.white_level import WhiteLevel
from hsr_tf.scene import Scene
from hsr_tf.wording import number, percent

NOISY_DB, LOUDEST_RATIO, MOST_NEGATIVE, NO_LIGHT = 20.0, 3.0, 0.01, 0.9
UNITS = ((1.6, "0 to 1"), (160.0, "per cent"), (np.inf, "counts"))
LARGEST_IN_MICROMETRES = 30.0


def data_of(scene: Scene) -> NDArray[np.float32]:
    """(n, C), the pixels with data of the bands that are in use."""
    mask = scene.nodata_mask
    pixels = scene.cube.reshape(-1, scene.num_bands) if mask is None else scene.cube[~mask]
    return pixels if scene.good_bands is None or not scene.good_bands.any() else pixels[:, scene.good_bands]


def value_findings(lr_hsi: Scene, hr_msi: Scene) -> list[Finding]:
    """Ranges and units of both, and whether they are the same."""
    images = {"lr_hsi": data_of(lr_hsi), "hr_msi": data_of(hr_msi)}
    ranges = {
        name: np.percentile(values[:: max(1, len(values) // 20_000)], (1, 50, 99)).astype(np.float64)
        for name, values in images.items()
    }
    units = {name: next(word for top, word in UNITS if value[2] <= top) for name, value in ranges.items()}
    said = "; ".join(
        f"{name} {number(low)} to {number(high)} (1st to 99th percentile), median {number(middle)}"
        for name, (low, middle, high) in ranges.items()
    )
    findings = [_units_finding(said, ranges, units)]
    for name, values in images.items():
        share = float((values < 0).mean())
        if share > MOST_NEGATIVE:
            text = f"{percent(share)} of the values of {name} are negative"
            advice = "check its dark current or atmospheric correction; non-negative methods cut them off"
            findings.append(Finding(ERROR if share > NO_LIGHT else NOTE, "values", text, advice))
    return findings


def scaling_findings(lr_hsi: Scene, hr_msi: Scene) -> list[Finding]:
    """White levels that were guessed as the files were read."""
    levels = WhiteLevel.of(lr_hsi.metadata), WhiteLevel.of(hr_msi.metadata)
    findings = guess_findings(*levels)
    if len(findings) == 2 and levels[0].level != levels[1].level:
        said = f"the two white levels are guessed apart: {levels[0].level:g} and {levels[1].level:g}"
        advice = "give --lr_white_level and --hr_white_level if both images are in one unit"
        findings.append(Finding(WARNING, "values", said, advice))
    return findings


def _units_finding(said: str, ranges: dict[str, NDArray[np.float64]], units: dict[str, str]) -> Finding:
    ratio = float(ranges["hr_msi"][1] / ranges["lr_hsi"][1]) if ranges["lr_hsi"][1] > 0 else np.inf
    apart = not 1 / LOUDEST_RATIO <= ratio <= LOUDEST_RATIO
    if apart or units["lr_hsi"] != units["hr_msi"]:
        text = f"the units differ: {said}; lr_hsi looks like {units['lr_hsi']}, hr_msi like {units['hr_msi']}"
        advice = "a fusion finds the factor and takes it up; else bring both files to reflectance from 0 to 1"
        said = f"{text} (ratio of the medians {number(ratio)})"
        return Finding(WARNING, "values", said, advice)
    if units["lr_hsi"] != UNITS[0][1]:
        advice = "divide both by their white level where a trained network is to be used"
        return Finding(NOTE, "values", f"both look like {units['lr_hsi']}: {said}", advice)
    return Finding(OK, "values", said)


def snr_db(scene: Scene) -> NDArray[np.float64]:
    """(C,) signal-to-noise ratio of each band in dB: its root mean square over its noise."""
    mask, cube = scene.nodata_mask, scene.cube
    sigma = image_noise(cube, mask)
    pixels = cube.reshape(-1, scene.num_bands) if mask is None else cube[~mask]
    level = np.sqrt(np.square(pixels.astype(np.float64)).mean(0))
    return 20 * np.log10(np.maximum(level, 1e-30) / np.maximum(sigma, 1e-9 * level + 1e-30))


def noise_findings(lr_hsi: Scene, hr_msi: Scene) -> list[Finding]:
    """The noise of both images, and the bands that hold little else."""
    findings = []
    for name, scene, word in (("lr_hsi", lr_hsi, "band"), ("hr_msi", hr_msi, "channel")):
        levels = snr_db(scene)
        noisy = np.flatnonzero(levels < NOISY_DB)
        said = f"{name}: {np.median(levels):.0f} dB in the median {word}, {levels.min():.0f} dB in the worst"
        if len(noisy):
            names = listed(_band_name(scene, band) for band in noisy.tolist())
            text = f"{said}; under {NOISY_DB:.0f} dB: {names}"
            advice = f"leave these {word}s out (a bad-band list), or expect noise in them"
            findings.append(Finding(WARNING, "noise", text, advice))
        else:
            findings.append(Finding(OK, "noise", said))
    return findings


def _band_name(scene: Scene, band: int) -> str:
    if scene.wavelengths_nm is None:
        return str(band + 1)
    return f"{band + 1} at {scene.wavelengths_nm[band]:g} nm"


def wavelength_findings(lr_hsi: Scene, hr_msi: Scene) -> list[Finding]:
    """Whether wavelengths are known, in nanometres, those of the sharp image within the cube's; widths."""
    findings = _centre_findings(lr_hsi, hr_msi)
    for name, scene in (("lr_hsi", lr_hsi), ("hr_msi", hr_msi)):
        doubt = doubtful_widths(scene.wavelengths_nm, scene.fwhm_nm)
        if doubt:
            advice = f"{UNIT_ADVICE} of its widths"
            findings.append(Finding(WARNING, "wavelengths", f"{name}: {doubt}", advice))
    return findings


def _centre_findings(lr_hsi: Scene, hr_msi: Scene) -> list[Finding]:
    coarse, sharp = lr_hsi.wavelengths_nm, hr_msi.wavelengths_nm
    if coarse is None:
        said = "lr_hsi does not tell its wavelengths: no response can be looked up for it"
        advice = 'estimate the response (srf="estimate")'
        return [Finding(NOTE, "wavelengths", said, advice, (("srf", "estimate"),))]
    said = f"lr_hsi {coarse.min():g} to {coarse.max():g} nm"
    if coarse.max() < LARGEST_IN_MICROMETRES:
        return [Finding(WARNING, "wavelengths", f"{said}: these look like micrometres", "convert them")]
    if sharp is None:
        return [Finding(OK, "wavelengths", said)]
    width = float(np.median(np.abs(np.diff(coarse)))) if len(coarse) > 1 else 10.0
    outside = np.flatnonzero(np.abs(sharp[:, None] - coarse).min(1) > 2 * width)
    said += f", hr_msi {sharp.min():g} to {sharp.max():g} nm"
    if len(outside):
        names = listed(_band_name(hr_msi, band) for band in outside.tolist())
        advice = "leave these channels out: what they see is not in the cube"
        return [Finding(WARNING, "wavelengths", f"{said}; not within the cube's bands: {names}", advice)]
    return [Finding(OK, "wavelengths", said)]
