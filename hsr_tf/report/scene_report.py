"""The report of one fusion: what is known of two images and their estimates, brought together.

Curves, configuration and command are the caller's to add (`dataclasses.replace`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from hsr_tf.metrics.full_reference import scorecard
from hsr_tf.physics.cameras import DEFAULT, ESTIMATED, TOLD, UNKNOWN, CameraChoice, choose_cameras
from hsr_tf.report.cameras import CamerasData
from hsr_tf.report.html.report_data import ReportData
from hsr_tf.scene import Observation, Scene, Solution, pixels_with_data


def scene_report(
    observation: Observation,
    estimates: Mapping[str, Scene],
    *,
    reference: Scene | None = None,
    cameras: CamerasData | None = None,
) -> ReportData:
    """What a report shows of estimates of one observation.

    Args:
        observation: the two images.
        estimates: by method, each (H, W, C).
        reference: the truth; the estimates are scored against it.
        cameras: see `shown_cameras`.

    Raises:
        ValueError: cubes that do not fit together.
    """
    name, scale = observation.lr_hsi.name, observation.scale
    cubes = {method: estimate.cube for method, estimate in estimates.items()}
    known = pixels_with_data(*estimates.values(), *([] if reference is None else [reference]))
    data = ReportData(
        title=f"{f'{name}, ' if name else ''}{', '.join(estimates)}, ×{scale}",
        lr_hsi=observation.lr_hsi,
        hr_msi=observation.hr_msi,
        estimates=cubes,
        estimate_mask=None if known is None else ~known,
        reference=None if reference is None else reference.cube,
        wavelengths_nm=observation.lr_hsi.wavelengths_nm,
        cameras=cameras,
    )
    if reference is None:
        return data
    scores = {
        method: scorecard(reference, scene, scale=scale, counted=pixels_with_data(reference, scene)).as_dict()
        for method, scene in estimates.items()
    }
    return replace(data, scores=scores)


def solution_report(
    observation: Observation,
    solution: Solution,
    *,
    command: tuple[str, ...],
    psf: Any = None,
    srf: Any = None,
) -> ReportData:
    """The report of a fusion whose truth is not known: what the solution leaves of both images is its score.

    Args:
        observation: the two images.
        solution: what the method made of them.
        command: that makes it again.
        psf, srf: as they were given for the fusion; cameras that were to be estimated are the solution's.
    """
    psf, srf = (None if isinstance(one, str) and one == "estimate" else one for one in (psf, srf))
    metadata = solution.estimate.metadata
    method = str(metadata["method"])
    linear = observation.linear(solution.in_units_of_response)
    cameras = shown_cameras(observation, solution, psf=psf, srf=srf)
    data = scene_report(linear, {method: solution.estimate}, cameras=cameras)
    left = {"lr_hsi_residual": solution.lr_hsi_residual, "hr_msi_residual": solution.hr_msi_residual}
    known = {name: share for name, share in left.items() if share is None or math.isfinite(share)}
    scores = {method: {**known, "seconds": solution.seconds}}
    return replace(
        data,
        scores=scores,
        configuration=dict(metadata),
        command=command,
        findings=solution.findings,
        verdict=solution.verdict,
    )


def estimate_report(estimates: Mapping[str, Scene], reference: Scene, *, scale: int) -> ReportData:
    """The report of estimates, by name, held against the truth, without the two images."""
    first = next(iter(estimates.values()))
    known = pixels_with_data(reference, *estimates.values())
    wavelengths = reference.wavelengths_nm if first.wavelengths_nm is None else first.wavelengths_nm
    scores = {
        name: scorecard(reference, one, scale=scale, counted=pixels_with_data(reference, one)).as_dict()
        for name, one in estimates.items()
    }
    return ReportData(
        title=f"{reference.name or 'scene'}, {', '.join(estimates)}",
        estimates={name: one.cube for name, one in estimates.items()},
        reference=reference.cube,
        wavelengths_nm=wavelengths,
        estimate_mask=None if known is None else ~known,
        scores=scores,
    )


def shown_cameras(
    observation: Observation,
    solution: Solution | None = None,
    *,
    psf: Any = None,
    srf: Any = None,
    choice: CameraChoice | None = None,
) -> CamerasData | None:
    """Return kernel and response of the two images: estimated, given, recorded in the files, or defaults.

    Args:
        observation: the two images.
        solution: whose estimated cameras, if it has any, are shown.
        psf: what was given for the fusion, as in `hsr_tf.fuse` (not "estimate").
        srf: likewise.
        choice: the cameras where they are chosen already, in place of `psf` and `srf`.

    Returns:
        None where neither is known.
    """
    choice = choice or choose_cameras(observation, psf=psf, srf=srf, srf_needed=False)
    found_psf, found_srf = (None, None) if solution is None else (solution.psf, solution.srf)
    words = {TOLD: "recorded in the files", DEFAULT: "the default, as none was given", UNKNOWN: "not known"}
    words[ESTIMATED] = "estimated from the two images"
    origins = [
        words.get(ESTIMATED if found is not None else origin, origin)
        for found, origin in ((found_psf, choice.psf_origin), (found_srf, choice.srf_origin))
    ]
    known_srf = None if choice.srf_origin == UNKNOWN else choice.model.spectral.matrix
    names = str(observation.hr_msi.metadata.get("channels", ""))
    channels = tuple(names.split(",")) if names else choice.model.spectral.channels
    return CamerasData(
        title="",
        psf=choice.model.spatial.psf.kernel if found_psf is None else found_psf,
        srf=known_srf if found_srf is None else found_srf,
        true_srf=known_srf if found_srf is not None and choice.srf_origin == TOLD else None,
        shift_pixels=None if solution is None else solution.shift_pixels,
        wavelengths_nm=observation.lr_hsi.wavelengths_nm,
        channels=channels,
        origin=f"Point-spread function: {origins[0]}. Response: {origins[1]}.",
    )


def finite(values: Mapping[str, Any]) -> dict[str, float | None]:
    """Scores as a report takes them: what is no finite number is None."""
    return {
        name: float(value) if isinstance(value, int | float | np.number) and math.isfinite(value) else None
        for name, value in values.items()
    }
