"""Spectral response of the colour camera: Y = Z R, R of shape (bands, channels).

Responses come from a CSV file or by name (`hsr_tf.physics.response_library`). A channel is an integral over
wavelength. Where the table is finer than the cube, the bands get the weights that predict this integral best
(`hsr_tf.physics.band_weights`), else linearly interpolated sensitivities times the width that each band
stands for (`hsr_tf.physics.band_cells`). Bands of uneven spacing, in any order, and of detectors that overlap
give the same channels as even ones. Columns are normalised to a sum of one, so that a spectrum that is flat
at v gives v in every channel; `normalise="none"` keeps the table's units. A table whose columns already sum
to one holds such weights, not sensitivities: on its own bands it is taken as it is.
"""

from __future__ import annotations

import os

import numpy as np

from hsr_tf import checks
from hsr_tf.arrays import ops
from hsr_tf.physics.band_cells import band_cells, spacing_nearby
from hsr_tf.physics.band_weights import Bands, band_weights
from hsr_tf.physics.operator import LinearOperator
from hsr_tf.physics.response_library import find_table, response_names
from hsr_tf.physics.response_table import ResponseTable, read_response_csv
from hsr_tf.typing import Tensor

__all__ = [
    "ResponseTable",
    "SpectralResponse",
    "load_srf",
    "read_response_csv",
    "resample_response",
    "response_names",
]

NORMALISATIONS = ("column_sum", "none")
FINER = 0.75


class SpectralResponse(LinearOperator):
    """Y = Z R along the last axis, (..., C) -> (..., c).

    Args:
        matrix: (C, c) response R, finite.
        channels: names of the c channels.
        name: where it is from, for reports.
    """

    def __init__(self, matrix: np.ndarray, *, channels: tuple[str, ...] = (), name: str = "response") -> None:
        matrix = np.asarray(matrix, dtype=np.float64)
        checks.require(
            matrix.ndim == 2,
            "srf",
            expected="a (bands, channels) matrix",
            received=f"shape {matrix.shape}",
            remedy="reshape it",
        )
        checks.require_finite("srf", matrix)
        self.matrix = matrix
        self.name = name
        self.channels = channels or tuple(f"channel {i + 1}" for i in range(matrix.shape[1]))

    def forward(self, x: Tensor) -> Tensor:
        """Spectra (..., C) to channels (..., c).

        Raises:
            ValueError: when the last axis does not have the response's number of bands.
        """
        checks.require(
            x.shape[-1] == self.matrix.shape[0],
            "cube",
            expected=f"{self.matrix.shape[0]} bands, as the response {self.name} has",
            received=str(x.shape[-1]),
            remedy="resample the response to this cube's wavelengths",
        )
        return ops.matmul(x, ops.convert_to_tensor(self.matrix, dtype=x.dtype))

    def adjoint(self, y: Tensor) -> Tensor:
        """Channels (..., c) to bands (..., C) by the transposed response."""
        return ops.matmul(y, ops.convert_to_tensor(self.matrix.T.copy(), dtype=y.dtype))

    def pseudo_inverse(self) -> np.ndarray:
        """The (c, C) Moore-Penrose inverse of R, for projections onto {Z : Z R = Y}."""
        return np.linalg.pinv(self.matrix)


def load_srf(
    name: str | os.PathLike[str] | ResponseTable,
    wavelengths_nm: np.ndarray | None,
    *,
    fwhm_nm: np.ndarray | None = None,
    normalise: str = "column_sum",
    outside: str = "error",
    num_bands: int | None = None,
) -> SpectralResponse:
    """A response by name or from a CSV file, on a cube's wavelengths.

    Args:
        name: a shipped response ("nikon_d700"), a sensor ("sentinel2a"), a camera of colour-science
            (`response_names` lists them), or a path; channels may follow it ("sentinel2a:B02,B03,B04"). Or a
            table (`hsr_tf.physics.response_library.find_table`).
        wavelengths_nm: (C,) band centres of the cube; None takes the table's rows as the bands, which needs
            `num_bands` to agree.
        fwhm_nm: (C,) widths of the bands, full width at half maximum; None takes their spacing.
        normalise: "column_sum" (each channel sums to one over the cube's bands) or "none" (the
            table's values times the width of each band over the mean width).
        outside: what to do with bands that the table does not cover: "error", or "zero" (the camera is blind
            there).
        num_bands: C where `wavelengths_nm` is None.

    Raises:
        OSError: for a file that is missing or no such table.
        ValueError: for an unknown name or channel, bands outside the table, or a channel that sees none of
            the bands.
    """
    checks.require_choice("normalise", normalise, NORMALISATIONS)
    checks.require_choice("outside", outside, ("error", "zero"))
    table = name if isinstance(name, ResponseTable) else find_table(name)
    if wavelengths_nm is None:
        checks.require(
            num_bands is None or num_bands == len(table.wavelengths_nm),
            "wavelengths_nm",
            expected=f"the cube's band centres (or {len(table.wavelengths_nm)} bands, as {table.name} has)",
            received=f"none, and {num_bands} bands",
            remedy="give the cube's wavelengths",
        )
        matrix = table.values
    else:
        centres = np.asarray(wavelengths_nm, float)
        matrix = _integrated(table, centres, fwhm_nm, outside=outside)
    sums = matrix.sum(0)
    checks.require(
        bool(np.all(sums > 0)),
        "srf",
        expected="channels that see some of the cube's bands",
        received=f"{table.channels[int(np.argmin(sums))]} of {table.name} sums to {sums.min():.3g}",
        remedy="use a response that covers the cube, or name the channels that see it "
        f"({_in_words(name)}:{','.join(_seeing(table, sums)) or '...'})",
    )
    return SpectralResponse(
        matrix / sums if normalise == "column_sum" else matrix, channels=table.channels, name=table.name
    )


def _seeing(table: ResponseTable, sums: np.ndarray) -> list[str]:
    return [channel for channel, seen in zip(table.channels, sums, strict=True) if seen > 0]


def _in_words(name: str | os.PathLike[str] | ResponseTable) -> str:
    return name.name if isinstance(name, ResponseTable) else os.fspath(name).partition(":")[0]


def _integrated(
    table: ResponseTable, wavelengths_nm: np.ndarray, fwhm_nm: np.ndarray | None, *, outside: str
) -> np.ndarray:
    """The weight of each band in each channel, (C, c), for an integral over wavelength."""
    if table.holds_weights():
        if table.is_on(wavelengths_nm):
            return resample_response(table, wavelengths_nm, outside=outside)
        table = table.as_sensitivities()
    matrix = resample_response(table, wavelengths_nm, outside=outside)
    matrix = matrix * band_cells(wavelengths_nm).weights[:, None]
    inside = ~_beyond(table, wavelengths_nm)
    if not inside.any() or not _is_finer(table, wavelengths_nm):
        return matrix
    bands = Bands.of(wavelengths_nm, fwhm_nm).only(inside)
    weights = np.zeros_like(matrix)
    weights[inside] = band_weights(bands, table.wavelengths_nm, table.values).matrix
    return weights * matrix.sum(0)


def channel_spread(
    table: ResponseTable, wavelengths_nm: np.ndarray, fwhm_nm: np.ndarray | None = None
) -> np.ndarray:
    """(c,) the error of each channel that the weights of `load_srf` leave, for spectra of deviation one.

    It comes from bands that are too wide or too far apart for the channel (`BandWeights.spread`). Zero where
    the table is no finer than the bands.
    """
    inside = ~_beyond(table, wavelengths_nm)
    if not inside.any() or not _is_finer(table, wavelengths_nm):
        return np.zeros(len(table.channels))
    bands = Bands.of(wavelengths_nm, fwhm_nm).only(inside)
    return band_weights(bands, table.wavelengths_nm, table.values).spread


def _is_finer(table: ResponseTable, wavelengths_nm: np.ndarray) -> bool:
    """Whether some bands are further apart than the rows of a table, so that a band sees several rows."""
    if len(table.wavelengths_nm) < 2 or table.is_on(wavelengths_nm):
        return False
    step = float(np.median(np.diff(table.wavelengths_nm)))
    return step < FINER * float(spacing_nearby(wavelengths_nm).max())


def resample_response(
    table: ResponseTable, wavelengths_nm: np.ndarray, *, outside: str = "error"
) -> np.ndarray:
    """The table on other band centres, (C, c), not normalised, not weighted by the widths of the bands.

    Where the table's step is finer than a band is wide, the mean over the band's cell (halfway to each
    neighbour in wavelength); else linear interpolation. Bands may come in any order. Equal wavelengths give
    the table itself.
    """
    grid, beyond = table.wavelengths_nm, _beyond(table, wavelengths_nm)
    span = f"{wavelengths_nm.min():g} to {wavelengths_nm.max():g} nm"
    checks.require(
        outside == "zero" or not beyond.any(),
        "wavelengths_nm",
        expected=f"bands within {grid[0]:g} to {grid[-1]:g} nm, the range of {table.name}",
        received=f"{int(beyond.sum())} bands outside (the cube spans {span})",
        remedy='crop its bands, or say that the camera is blind there (srf_outside="zero")',
    )
    if table.is_on(wavelengths_nm):
        return table.values[np.argsort(np.argsort(wavelengths_nm, kind="stable"), kind="stable")]
    cells = band_cells(wavelengths_nm)
    width = cells.upper_nm - cells.lower_nm
    step = np.median(np.diff(grid)) if len(grid) > 1 else np.inf
    spread = np.where((step < FINER * width)[:, None], np.linspace(-0.5, 0.5, 41), 0.0)
    centres = np.where(step < FINER * width, (cells.lower_nm + cells.upper_nm) / 2, wavelengths_nm)
    samples = np.clip(centres[:, None] + width[:, None] * spread, grid[0], grid[-1])
    columns = [np.interp(samples, grid, column).mean(1) for column in table.values.T]
    return np.where(beyond[:, None], 0.0, np.stack(columns, 1))


def _beyond(table: ResponseTable, wavelengths_nm: np.ndarray) -> np.ndarray:
    """(C,) True for bands further than half a step outside of a table."""
    grid = table.wavelengths_nm
    tolerance = 0.5 * np.min(np.diff(grid)) if len(grid) > 1 else 0.0
    return np.asarray((wavelengths_nm < grid[0] - tolerance) | (wavelengths_nm > grid[-1] + tolerance))
