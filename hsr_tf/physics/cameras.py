"""The two cameras from words or from what simulated files tell: PSF, response, scale.

Simulated scenes carry their camera in the metadata, so that a later fusion needs no flags: `simulated_psf`
(the specification, or a name with the weights in `simulated_psf_kernel`), `simulated_srf` (a name, with the
matrix in `simulated_srf_matrix`), `simulated_scale`, `simulated_snr_db` and `simulated_seed`.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from hsr_tf import checks
from hsr_tf.physics.noise import GaussianNoise
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.psf import Psf
from hsr_tf.physics.psf_shift import shifted_psf
from hsr_tf.physics.psf_spec import SHAPES, parse_psf, recorded_words
from hsr_tf.physics.response_library import find_table
from hsr_tf.physics.sensors import TITLES, sensor_bands
from hsr_tf.physics.spatial import SpatialDegradation
from hsr_tf.physics.spectral import SpectralResponse, load_srf
from hsr_tf.radiometry import AS_RECORDED, Radiometry
from hsr_tf.scene import Observation, Scene

PsfLike = str | os.PathLike[str] | Psf
SrfLike = str | os.PathLike[str] | SpectralResponse
SnrDb = tuple[float | None, float | None]

DEFAULT_PSF, DEFAULT_SRF = "gaussian", "nikon_d700"
MAX_KERNEL_SIZE = 4096
SMALLEST_SHIFT = 0.01
GIVEN, TOLD, DEFAULT, UNKNOWN = "given", "recorded in the file", "default", "unknown"
ESTIMATED = "estimated"


@dataclass(frozen=True)
class CameraChoice:
    """The cameras of an observation, and where they are known from.

    Attributes:
        model: the two cameras.
        psf_origin: "given", "recorded in the file", "default" or "estimated".
        srf_origin: the same, or "unknown" where nothing fits and none is needed: a flat response then.
        radiometry: what has to be undone in Y first, found with an estimated response.
    """

    model: ObservationModel
    psf_origin: str
    srf_origin: str
    radiometry: Radiometry = AS_RECORDED

    @property
    def psf_line(self) -> str:
        """Name and origin of the PSF, e.g. "Gaussian, sigma 3.397 x 3.397 px, 16 taps (given)"."""
        return _with_origin(self.model.spatial.psf.name, self.psf_origin)

    @property
    def srf_line(self) -> str:
        """Name and origin of the response, e.g. "nikon_d700 (default)"."""
        return _with_origin(self.model.spectral.name, self.srf_origin)


def _with_origin(name: str, origin: str) -> str:
    return name if name.startswith(origin) else f"{name} ({origin})"


def make_cameras(
    scene: Scene,
    scale: int,
    *,
    psf: PsfLike = DEFAULT_PSF,
    srf: SrfLike = DEFAULT_SRF,
    border: str = "mirrored",
    snr_db: SnrDb = (None, None),
) -> ObservationModel:
    """An `ObservationModel` for the bands of a scene.

    Args:
        scene: whose wavelengths and number of bands the response is brought to.
        scale: s, a positive integer.
        psf: a specification (`parse_psf`), a file, or a `Psf`.
        srf: a name or CSV file (`load_srf`), or a `SpectralResponse`.
        border: "mirrored", "circular" or "zero".
        snr_db: signal-to-noise ratio of the hyperspectral and of the colour camera in dB; None for no noise.

    Raises:
        ValueError, OSError: an argument or file that does not fit, as the functions named above tell.

    Warns:
        UserWarning: a PSF whose number of taps is odd and the scale even, or the other way round.
    """
    checks.require_positive_integers(scale=scale, remedy="give sharp pixels per coarse pixel")
    kernel = psf if isinstance(psf, Psf) else parse_psf(psf, scale)
    noise = [None if level is None else GaussianNoise(_finite_snr(level)) for level in snr_db]
    spatial = SpatialDegradation(kernel, scale, border=border)
    if any(spatial.centre_error):
        warnings.warn(
            f"the PSF ({kernel.name}) sits half a pixel before the centres of cells of {scale} pixels; "
            f"a number of taps that is {'odd' if scale % 2 else 'even'} would sit on them",
            stacklevel=2,
        )
    return ObservationModel(spatial, _response(srf, scene), noise[0], noise[1])


def choose_cameras(
    observation: Observation, *, psf: PsfLike | None, srf: SrfLike | None, srf_needed: bool
) -> CameraChoice:
    """The cameras of an observation: those given, else those that its metadata tell, else the defaults.

    Where the grids of the two images lie a part of a pixel apart, the PSF is shifted by it: no sample is
    interpolated then.

    Args:
        observation: the two images.
        psf: see `make_cameras`; None leaves it to the metadata of `lr_hsi`, else "gaussian".
        srf: see `make_cameras`; None leaves it to the metadata of `hr_msi`, else "nikon_d700".
        srf_needed: whether a default response that does not fit the images is an error.

    Raises:
        ValueError, OSError: as `make_cameras`; a response with another number of channels than `hr_msi`.
    """
    kernel, psf_origin = _first(psf, _told_psf, observation, DEFAULT_PSF)
    kernel = _on_the_grids(kernel, observation)
    response, srf_origin = _first(srf, _told_srf, observation, DEFAULT_SRF)
    try:
        if srf_origin == DEFAULT:  # a camera of other channels is not asked about its bands
            _require_channels(len(find_table(DEFAULT_SRF).channels), DEFAULT_SRF, observation)
        model = make_cameras(observation.lr_hsi, observation.scale, psf=kernel, srf=response)
        _require_channels(model.spectral.matrix.shape[1], model.spectral.name, observation)
    except ValueError:
        if srf_needed or srf_origin != DEFAULT:
            raise
        flat = np.full((observation.lr_hsi.num_bands, observation.hr_msi.num_bands), 1.0)
        response = SpectralResponse(flat / len(flat), name=UNKNOWN)
        model = make_cameras(observation.lr_hsi, observation.scale, psf=kernel, srf=response)
        srf_origin = UNKNOWN
    return CameraChoice(model, psf_origin, srf_origin)


def _require_channels(num_channels: int, name: str, observation: Observation) -> None:
    """Refuse a response of another number of channels than the sharp image has."""
    checks.require(
        num_channels == observation.hr_msi.num_bands,
        "hr_msi",
        expected=f"{num_channels} channels, as the response {name} has",
        received=str(observation.hr_msi.num_bands),
        remedy='give the sensor that took it, e.g. srf="sentinel2a:B02,B03,B04,B08" (hsr sensors lists '
        'them), a CSV file with one column per channel, or srf="estimate"',
    )


def simulation_metadata(
    cameras: ObservationModel, *, psf: PsfLike, snr_db: SnrDb, seed: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the scenes `lr_hsi` and `hr_msi` of a simulation are to tell about their cameras."""
    common = {"simulated_scale": cameras.scale, "simulated_seed": seed}
    kernel, response = cameras.spatial.psf, cameras.spectral
    in_words = isinstance(psf, str) and psf.partition(":")[0] in SHAPES
    name = recorded_words(psf, kernel) if isinstance(psf, str) and in_words else kernel.name
    lr_hsi: dict[str, Any] = {**common, "simulated_psf": name}
    if not in_words and kernel.kernel.size <= MAX_KERNEL_SIZE:
        lr_hsi["simulated_psf_kernel"] = kernel.kernel
    hr_msi: dict[str, Any] = {
        **common,
        "simulated_srf": response.name,
        "channels": ",".join(response.channels),
    }
    hr_msi["simulated_srf_matrix"] = response.matrix
    for metadata, level in zip((lr_hsi, hr_msi), snr_db, strict=True):
        if level is not None:
            metadata["simulated_snr_db"] = float(level)
    return lr_hsi, hr_msi


def _first(
    given: Any, ask: Callable[[Observation], Any], observation: Observation, default: str
) -> tuple[Any, str]:
    if given is not None:
        return given, GIVEN
    recorded = ask(observation)
    return (default, DEFAULT) if recorded is None else (recorded, TOLD)


def _on_the_grids(psf: PsfLike, observation: Observation) -> PsfLike:
    """The PSF, shifted by what the two grids lie apart where that is worth it."""
    shift = observation.grid_shift()
    if max(map(abs, shift)) < SMALLEST_SHIFT:
        return psf
    return shifted_psf(psf if isinstance(psf, Psf) else parse_psf(psf, observation.scale), shift)


def _told_psf(observation: Observation) -> Psf | None:
    recorded = observation.lr_hsi.metadata
    if recorded.get("simulated_scale") != observation.scale or "simulated_psf" not in recorded:
        return None
    name = str(recorded["simulated_psf"])
    if "simulated_psf_kernel" in recorded:
        kernel = np.asarray(recorded["simulated_psf_kernel"])
        return Psf(kernel, name, signed=name.startswith("bicubic"))
    return parse_psf(name, observation.scale, recorded=True)


def _told_srf(observation: Observation) -> SpectralResponse | str | None:
    """The response that the sharp image records: of its simulation, or of a known sensor and bands of it."""
    recorded, names = observation.hr_msi.metadata, observation.hr_msi.band_names
    sensor = str(recorded.get("sensor", ""))
    known = {band.channel for band in sensor_bands(sensor)} if sensor in TITLES else set()
    if names and set(names) <= known and observation.lr_hsi.wavelengths_nm is not None:
        return f"{sensor}:{','.join(names)}"
    matrix = np.asarray(recorded.get("simulated_srf_matrix", 0.0))
    if matrix.shape != (observation.lr_hsi.num_bands, observation.hr_msi.num_bands):
        return None
    channels = tuple(str(recorded.get("channels", "")).split(","))
    return SpectralResponse(
        matrix,
        channels=channels if len(channels) == matrix.shape[1] else (),
        name=str(recorded.get("simulated_srf", "response")),
    )


def _response(srf: SrfLike, scene: Scene) -> SpectralResponse:
    if not isinstance(srf, SpectralResponse):
        return load_srf(srf, scene.wavelengths_nm, fwhm_nm=scene.fwhm_nm, num_bands=scene.num_bands)
    checks.require(
        srf.matrix.shape[0] == scene.num_bands,
        "srf",
        expected=f"a response on the {scene.num_bands} bands of {scene.name or 'the scene'}",
        received=f"{srf.matrix.shape[0]} bands",
        remedy="resample it to these bands",
    )
    return srf


def _finite_snr(level: float) -> float:
    checks.require(
        bool(np.isfinite(level)) and abs(level) <= 200,
        "snr_db",
        expected="a signal-to-noise ratio in dB, -200 to 200",
        received=str(level),
        remedy="give e.g. 35, or None for no noise",
    )
    return float(level)
