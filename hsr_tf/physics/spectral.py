"""Spectral response of the colour camera: Y = Z R, R of shape (bands, channels).

Responses come from a CSV file or by name (`hsr_tf.physics.response_library`). They are brought to the cube's
wavelengths by the mean over each band's cell where the table is finer than the cube, else by linear
interpolation. A channel is an integral over wavelength, so each band counts with the width that it stands for
(`hsr_tf.physics.band_cells`): bands of uneven spacing, in any order, and of detectors that overlap give the
same channels as even ones. Columns are normalised to a sum of one, so that a spectrum that is flat at v gives
v in every channel; `normalise="none"` keeps the table's units. A table whose columns already sum to one holds
such weights, not sensitivities: on its own bands it is taken as it is.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from hsr_tf import checks
from hsr_tf.arrays import ops
from hsr_tf.physics.band_cells import band_cells
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
    name: str | os.PathLike[str],
    wavelengths_nm: np.ndarray | None,
    *,
    normalise: str = "column_sum",
    outside: str = "error",
    num_bands: int | None = None,
    channels: Sequence[str] = (),
) -> SpectralResponse:
    """A response by name or from a CSV file, on a cube's wavelengths.

    Args:
        name: a shipped response ("nikon_d700"), a sensor ("sentinel2a"), a camera of colour-science
            (`response_names` lists them), or a path; channels may follow it ("sentinel2a:B02,B03,B04").
        wavelengths_nm: (C,) band centres of the cube; None takes the table's rows as the bands, which needs
            `num_bands` to agree.
        normalise: "column_sum" (each channel sums to one over the cube's bands) or "none" (the
            table's values times the width of each band over the mean width).
        outside: what to do with bands that the table does not cover: "error", or "zero" (the camera is blind
            there).
        num_bands: C where `wavelengths_nm` is None.
        channels: names of the table's columns to take, in this order; empty for all of them.

    Raises:
        OSError: for a file that is missing or no such table.
        ValueError: for an unknown name or channel, bands outside the table, or a channel that sees none of
            the bands.
    """
    checks.require_choice("normalise", normalise, NORMALISATIONS)
    checks.require_choice("outside", outside, ("error", "zero"))
    table = find_table(name)
    if channels:
        table = table.only(tuple(channels))
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
        matrix = _integrated(table, np.asarray(wavelengths_nm, float), outside=outside)
    sums = matrix.sum(0)
    checks.require(
        bool(np.all(sums > 0)),
        "srf",
        expected="channels that see some of the cube's bands",
        received=f"{table.channels[int(np.argmin(sums))]} of {table.name} sums to {sums.min():.3g}",
        remedy="use a response that covers the cube, or name the channels that see it "
        f"({os.fspath(name).partition(':')[0]}:{','.join(_seeing(table, sums)) or '...'})",
    )
    return SpectralResponse(
        matrix / sums if normalise == "column_sum" else matrix, channels=table.channels, name=table.name
    )


def _seeing(table: ResponseTable, sums: np.ndarray) -> list[str]:
    return [channel for channel, seen in zip(table.channels, sums, strict=True) if seen > 0]


def _integrated(table: ResponseTable, wavelengths_nm: np.ndarray, *, outside: str) -> np.ndarray:
    """The weight of each band in each channel, (C, c): response times width of the band."""
    if table.holds_weights():
        if table.is_on(wavelengths_nm):
            return resample_response(table, wavelengths_nm, outside=outside)
        table = table.as_sensitivities()
    matrix = resample_response(table, wavelengths_nm, outside=outside)
    return matrix * band_cells(wavelengths_nm).weights[:, None]


def resample_response(
    table: ResponseTable, wavelengths_nm: np.ndarray, *, outside: str = "error"
) -> np.ndarray:
    """The table on other band centres, (C, c), not normalised, not weighted by the widths of the bands.

    Where the table's step is finer than a band is wide, the mean over the band's cell (halfway to each
    neighbour in wavelength); else linear interpolation. Bands may come in any order. Equal wavelengths give
    the table itself.
    """
    grid = table.wavelengths_nm
    tolerance = 0.5 * np.min(np.diff(grid)) if len(grid) > 1 else 0.0
    beyond = (wavelengths_nm < grid[0] - tolerance) | (wavelengths_nm > grid[-1] + tolerance)
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
    spread = np.where((step < 0.75 * width)[:, None], np.linspace(-0.5, 0.5, 41), 0.0)
    centres = np.where(step < 0.75 * width, (cells.lower_nm + cells.upper_nm) / 2, wavelengths_nm)
    samples = np.clip(centres[:, None] + width[:, None] * spread, grid[0], grid[-1])
    columns = [np.interp(samples, grid, column).mean(1) for column in table.values.T]
    return np.where(beyond[:, None], 0.0, np.stack(columns, 1))
