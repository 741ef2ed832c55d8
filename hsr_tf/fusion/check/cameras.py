"""What a pair says about its cameras: PSF, shift and response by `estimate_psf_srf` or as files tell them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hsr_tf.checks import InputError
from hsr_tf.closed_forms.agreement import agreement_of
from hsr_tf.findings import ERROR, NOTE, OK, WARNING, Finding, listed
from hsr_tf.fusion.agreement import AGREEMENT, gap_findings, measured_gap
from hsr_tf.fusion.check.radiometry import known_finding, radiometry_finding
from hsr_tf.fusion.repair import Repaired
from hsr_tf.fusion.valid_region import estimable_part, part_of
from hsr_tf.physics.cameras import GIVEN, TOLD, CameraChoice, SrfLike, choose_cameras
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.psf import FWHM_PER_SIGMA, Psf
from hsr_tf.physics.psf_shift import centroid
from hsr_tf.physics.response_library import find_table
from hsr_tf.physics.spectral import ResponseTable, channel_spread, load_srf
from hsr_tf.radiometry import AS_RECORDED, LINEAR, parse_linearize
from hsr_tf.scene import Observation
from hsr_tf.solvers.cameras.known_response import known_radiometry
from hsr_tf.solvers.cameras.psf_srf import (
    CameraEstimate,
    PsfSrfConfig,
    estimate_psf_srf,
    require_estimable,
)
from hsr_tf.tiling.region import Region
from hsr_tf.typing import Mask
from hsr_tf.wording import number, percent, signed

LARGEST_SIDE = 128
ESTIMATE = "estimate"
SMALL_SHIFT, WELL, POORLY = 0.5, 0.05, 0.15
WIDTHS = (0.3, 2.5)
UNIT_GAIN, COVERED, COARSE = 0.1, 0.9, 0.03
GROUND_ADVICE = "check that both show the same ground at about the same time, and register them"


@dataclass(frozen=True, eq=False)
class CameraFacts:
    """What is known of the cameras of a pair.

    Attributes:
        known: the cameras that were given, or that simulated files record, or None.
        found: those that were estimated, or None.
        findings: about either.
    """

    known: CameraChoice | None
    found: CameraEstimate | None
    findings: tuple[Finding, ...]


def camera_facts(
    repaired: Repaired, observation: Observation, given: Mapping[str, str | None], *, estimate: bool
) -> CameraFacts:
    """The cameras that are given or that the files tell, and whether these fit; else estimates if wanted.

    Args:
        repaired: the pair without its dead bands and holes.
        observation: the pair as it is.
        given: "psf" and "srf" in words, None for what is not.
        estimate: whether to estimate what is not known.

    Raises:
        ValueError, OSError: a PSF or response in words that is not understood.
    """
    # Both cameras where each is given or recorded in the files, as those of simulated images are.
    words = {name: None if word == ESTIMATE else word for name, word in given.items()}
    cube, named = observation.lr_hsi, words["srf"]
    response: SrfLike | None = named
    if named is not None and cube.wavelengths_nm is not None:
        response = load_srf(named, cube.wavelengths_nm, fwhm_nm=cube.fwhm_nm, outside="zero")
    choice = choose_cameras(observation, psf=words["psf"], srf=response, srf_needed=False)
    origins = choice.psf_origin, choice.srf_origin
    wanted = ESTIMATE in given.values()
    known = choice if set(origins) <= {TOLD, GIVEN} and not wanted else None
    if known is not None:
        curve = parse_linearize(observation.linearize)
        return CameraFacts(known, None, tuple(_known_findings(repaired, known, curve)))
    part, counted = estimable_part(repaired.observation, repaired.trusted)
    region = Region.middle(part.lr_hsi.shape[:2], LARGEST_SIDE)
    part, counted = part_of(part, region), None if counted is None else counted[region.slices]
    try:
        if not estimate:
            require_estimable(part.lr_hsi.cube, part.hr_msi.cube, part.scale)
            return CameraFacts(None, None, ())
        curve = parse_linearize(observation.linearize)
        options = PsfSrfConfig(radiometry=curve != LINEAR, curve=curve)
        cubes = part.lr_hsi.cube, part.hr_msi.cube
        found = estimate_psf_srf(*cubes, part.scale, options, counted=counted)
    except ValueError as error:
        problem = error.problem if isinstance(error, InputError) else error
        advice = "give both cameras (psf and srf), or a larger part of both images"
        finding = Finding(ERROR, "cameras", f"cannot be estimated: {problem}", advice)
        return CameraFacts(None, None, (finding,))
    findings = (*estimate_findings(found, part), *_agreement_findings(found, repaired))
    return CameraFacts(None, found, findings)


def _known_findings(repaired: Repaired, known: CameraChoice, curve: str | None) -> list[Finding]:
    model = repaired.cameras(known.model)
    images, radiometry = repaired.observation, AS_RECORDED
    if curve != LINEAR:
        radiometry = known_radiometry(model, images, repaired.trusted, curve=curve)
    more = [] if radiometry.is_identity else [known_finding(radiometry)]
    images = images.linear(radiometry)
    found = agreement_of(model, images.lr_hsi.cube, images.hr_msi.cube, trusted=repaired.trusted)
    disagreeing = _disagreements(model, images, repaired.trusted)
    suspected = found.suspicion
    names = f"PSF {known.psf_line}, response {known.srf_line}"
    if suspected is None:
        said = "both are known and fit" if not disagreeing else "both are known"
        return [Finding(OK, "cameras", f"{said}: {names}"), *more, *disagreeing]
    flags = (("psf", ESTIMATE), ("srf", ESTIMATE))
    said = f"{names}: {suspected.line}"
    more += [finding for finding in disagreeing if finding.topic != AGREEMENT]
    return [Finding(WARNING, "cameras", said, "estimate both cameras", flags), *more]


def estimate_findings(found: CameraEstimate, observation: Observation) -> list[Finding]:
    """PSF, shift, response and radiometry, a finding each."""
    return [
        _psf_finding(found.psf, observation.scale),
        _shift_finding(found, observation.scale),
        _response_finding(found.srf, observation),
        radiometry_finding(found.radiometry, found.srf.sum(0)),
    ]


def fwhm_pixels(psf: Psf) -> tuple[float, float]:
    """(rows, columns) full width at half maximum of the Gaussian of the same second moments."""
    kernel, middle_of = psf.kernel / psf.kernel.sum(), centroid(psf)
    widths = []
    for axis in (0, 1):
        place = np.arange(kernel.shape[axis]) - (kernel.shape[axis] - 1) / 2 - middle_of[axis]
        widths.append(float(FWHM_PER_SIGMA * np.sqrt(kernel.sum(1 - axis) @ np.square(place))))
    return widths[0], widths[1]


def _psf_finding(psf: Psf, scale: int) -> Finding:
    rows, cols = fwhm_pixels(psf)
    said = (
        f"{rows:.2f} x {cols:.2f} sharp pixels wide (FWHM, rows x columns), {rows / scale:.2f} x "
        f"{cols / scale:.2f} coarse ones"
    )
    if min(rows, cols) < WIDTHS[0] * scale or max(rows, cols) > WIDTHS[1] * scale:
        advice = "check the scale, and whether one of the files was resampled before"
        return Finding(WARNING, "psf", f"{said}: unusual for a camera with pixels of this size", advice)
    return Finding(OK, "psf", said, "")


def _shift_finding(found: CameraEstimate, scale: int) -> Finding:
    """The shift; an error where it lies at the end of the search and leaves the images different."""
    rows, cols = found.shift
    said = f"hr_msi lies {signed(rows)} rows, {signed(cols)} columns (sharp pixels) off lr_hsi"
    largest, reach = max(abs(rows), abs(cols)), max(2.0, scale / 4)
    if largest > 0.9 * reach and float(found.explained.max()) > WELL:
        advice = f"register the two images first: the search begins within {reach:g} pixels"
        return Finding(ERROR, "shift", f"{said}, and differ there", advice)
    if largest > SMALL_SHIFT:
        advice = 'estimate the PSF (psf="estimate"), which takes the shift up'
        return Finding(NOTE, "shift", said, advice, (("psf", ESTIMATE),))
    return Finding(OK, "shift", said)


def _response_finding(srf: NDArray[np.float64], observation: Observation) -> Finding:
    """Where each channel looks, and by which factor the units differ."""
    place = observation.lr_hsi.wavelengths_nm
    names = observation.hr_msi.band_names or tuple(str(i + 1) for i in range(srf.shape[1]))
    said = listed((f"{name}: {_span(column, place)}" for name, column in zip(names, srf.T, strict=True)), 12)
    gains = srf.sum(0)
    factors = " to ".join(dict.fromkeys(number(gain) for gain in (gains.min(), gains.max())))
    if np.abs(gains - 1).max() > UNIT_GAIN:
        text = f"channels at half maximum: {said}; hr_msi is {factors} times what flat spectra of lr_hsi give"
        return Finding(NOTE, "response", text, "nothing: a fusion finds the factor again and takes it up")
    return Finding(OK, "response", f"channels at half maximum: {said}")


def _span(column: NDArray[np.float64], place: NDArray[np.float64] | None) -> str:
    seen = np.flatnonzero(column >= 0.5 * column.max())
    if place is None:
        return f"bands {seen.min() + 1} to {seen.max() + 1}"
    return f"{place[seen].min():.0f} to {place[seen].max():.0f} nm"


def _agreement_findings(found: CameraEstimate, repaired: Repaired) -> list[Finding]:
    """How far the images agree with these cameras, against their noise; no error, as a fusion is possible."""
    size = repaired.trusted.shape
    region = Region.middle((size[0], size[1]), LARGEST_SIDE)
    images = part_of(repaired.observation, region).linear(found.radiometry)
    counted = repaired.holes.clean(found.model.spatial, (size[0], size[1]))[region.slices]
    worst = float(found.explained.max())
    said = f"with these cameras the images differ by {percent(worst)} at most, where both show the same"
    if worst > POORLY:
        return [Finding(WARNING, "ground", said, GROUND_ADVICE)]
    findings = _disagreements(found.model, images, counted)
    agreed = AGREEMENT not in {finding.topic for finding in findings}
    return [*([Finding(OK, AGREEMENT, said)] if agreed else []), *findings]


def _disagreements(
    model: ObservationModel, images: Observation, counted: Mask | None = None
) -> list[Finding]:
    """What `gap_findings` says, as warnings: the pair can be fused."""
    gap = measured_gap(model, images.lr_hsi.cube, images.hr_msi.cube, counted=counted)
    findings = () if gap is None else gap_findings(gap)
    return [replace(one, severity=WARNING) for one in findings]


def response_findings(srf: str, observation: Observation) -> list[Finding]:
    """Whether a named response fits the channels and lies within the cube's bands."""
    table, wavelengths = find_table(srf), observation.lr_hsi.wavelengths_nm
    if len(table.channels) != observation.hr_msi.num_bands:
        said = f"{table.name} has {len(table.channels)} channels, hr_msi {observation.hr_msi.num_bands}"
        example = f"{srf.partition(':')[0]}:{','.join(table.channels[:3])},..."
        advice = f"name the channels in the order of hr_msi: {example}"
        return [Finding(ERROR, "response", said, advice)]
    if wavelengths is None:
        said = f"{table.name} cannot be brought to a cube without wavelengths"
        return [Finding(ERROR, "response", said, 'give the wavelengths, or srf="estimate"')]
    findings = []
    if bands_beyond(srf, observation):
        said = (
            f"{table.name} is known from {table.wavelengths_nm[0]:g} to {table.wavelengths_nm[-1]:g} nm only"
        )
        advice = 'let it be blind to the bands outside (srf_outside="zero"), or leave these out'
        findings.append(Finding(NOTE, "response", said, advice, (("srf_outside", "zero"),)))
    findings += _coarse_bands(table, observation)
    shares = table.coverage(wavelengths)
    poor = [
        f"{name} {100 * share:.0f} %"
        for name, share in zip(table.channels, shares, strict=True)
        if share < COVERED
    ]
    if not poor:
        return [*findings, Finding(OK, "response", f"the cube covers the channels of {table.name}")]
    severity = ERROR if shares.min() < 0.01 else WARNING
    said = f"the cube covers only part of channels of {table.name}: {listed(poor)}"
    advice = "leave these channels out, or estimate the response"
    return [*findings, Finding(severity, "response", said, advice, (("srf", ESTIMATE),))]


def _coarse_bands(table: ResponseTable, observation: Observation) -> list[Finding]:
    """Channels that no weights of the bands can give, because these are too wide or too far apart."""
    cube = observation.lr_hsi
    assert cube.wavelengths_nm is not None
    covered = table.coverage(cube.wavelengths_nm) >= COVERED
    spread = np.where(covered, channel_spread(table, cube.wavelengths_nm, cube.fwhm_nm), 0)
    coarse = [
        f"{name} {percent(one)}" for name, one in zip(table.channels, spread, strict=True) if one > COARSE
    ]
    if not coarse:
        return []
    said = (
        f"the bands of the cube are too wide or too far apart for channels of {table.name} "
        f"(error relative to the contrast of the spectra: {listed(coarse)})"
    )
    advice = "estimate the response, or leave these channels out"
    return [Finding(WARNING, "response", said, advice)]


def bands_beyond(srf: str, observation: Observation) -> bool:
    """Whether a cube has bands outside of the wavelengths of a response's table."""
    grid, wavelengths = find_table(srf).wavelengths_nm, observation.lr_hsi.wavelengths_nm
    step = float(np.min(np.diff(grid))) if len(grid) > 1 else 0.0
    if wavelengths is None:
        return False
    return bool(wavelengths.min() < grid[0] - step / 2 or wavelengths.max() > grid[-1] + step / 2)
