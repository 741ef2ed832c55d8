"""Spectral response of the colour camera: Y = Z R, R of shape (bands, channels).

Responses come from a CSV file (lines of comment start with #, then a header `wavelength_nm,name,...`, then
one row a wavelength), from the project's own table, or by camera name from colour-science. They are brought
to the cube's wavelengths by the mean over each band's width where the table is finer than the cube, else by
linear interpolation, and normalised to columns that sum to one, so that a spectrum that is flat at v gives v
in every channel; `normalise="none"` keeps the table's units.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from keras import ops

from hsr_tf import checks
from hsr_tf.physics.operator import LinearOperator

Tensor = Any
NORMALISATIONS = ("column_sum", "none")
SHIPPED = {"nikon_d700": "nikon_d700.csv"}


@dataclass(frozen=True, eq=False)
class ResponseTable:
    """A response as published.

    Attributes:
        wavelengths_nm: (n,) increasing.
        values: (n, c) sensitivity of each channel.
        channels: names of the channels.
        name: where it is from.
    """

    wavelengths_nm: np.ndarray
    values: np.ndarray
    channels: tuple[str, ...]
    name: str


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
        name: a shipped response ("nikon_d700"), a camera of colour-science (`response_names` lists them), or
            a path.
        wavelengths_nm: (C,) band centres of the cube; None takes the table's rows as the bands, which needs
            `num_bands` to agree.
        normalise: "column_sum" (each channel sums to one over the cube's bands) or "none".
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
    table = _find_table(name)
    if channels:
        table = _some_channels(table, channels)
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
        matrix = resample_response(table, np.asarray(wavelengths_nm, float), outside=outside)
    sums = matrix.sum(0)
    checks.require(
        bool(np.all(sums > 0)),
        "srf",
        expected="channels that see some of the cube's bands",
        received=f"{table.channels[int(np.argmin(sums))]} of {table.name} sums to {sums.min():.3g}",
        remedy="use a response that covers the cube",
    )
    return SpectralResponse(
        matrix / sums if normalise == "column_sum" else matrix, channels=table.channels, name=table.name
    )


def _some_channels(table: ResponseTable, channels: Sequence[str]) -> ResponseTable:
    for channel in channels:
        checks.require_choice("channels", channel, table.channels)
    columns = [table.channels.index(channel) for channel in channels]
    return replace(table, values=table.values[:, columns], channels=tuple(channels))


def resample_response(
    table: ResponseTable, wavelengths_nm: np.ndarray, *, outside: str = "error"
) -> np.ndarray:
    """The table on other band centres, (C, c), not normalised.

    Where the table's step is finer than a band is wide, the mean over the band (halfway to each neighbour);
    else linear interpolation. Equal wavelengths give the table itself.
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
        remedy="crop its bands, or say that the camera is blind there (srf_outside=zero)",
    )
    if len(grid) == len(wavelengths_nm) and np.allclose(grid, wavelengths_nm, rtol=0, atol=1e-6):
        return table.values.copy()
    width = np.abs(np.gradient(wavelengths_nm)) if len(wavelengths_nm) > 1 else np.zeros(1)
    fine = len(grid) > 1 and np.median(np.diff(grid)) < 0.75 * np.median(width)
    spread = np.linspace(-0.5, 0.5, 41) if fine else np.zeros(1)
    samples = np.clip(wavelengths_nm[:, None] + width[:, None] * spread, grid[0], grid[-1])
    columns = [np.interp(samples, grid, column).mean(1) for column in table.values.T]
    return np.where(beyond[:, None], 0.0, np.stack(columns, 1))


def response_names() -> list[str]:
    """Every response that has a name: shipped ones first, then the cameras of colour-science."""
    return [*SHIPPED, *_colour_cameras()]


def read_response_csv(path: str | os.PathLike[str]) -> ResponseTable:
    """Read `wavelength_nm,channel,...` rows; lines of comment start with #.

    Raises:
        OSError: when the file is missing or holds no such table (the line is named).
    """
    path = Path(path)
    if not path.is_file():
        raise checks.file_error(path, "no such response file", "check the path")
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.reader(file) if row and not row[0].lstrip().startswith("#")]
        header, values = [c.strip() for c in rows[0]], np.array([[float(v) for v in row] for row in rows[1:]])
    except (ValueError, IndexError, UnicodeDecodeError) as error:
        raise checks.file_error(
            path, f"is no response table ({error})", "give a header wavelength_nm,name,... and numbers"
        ) from error
    if (
        values.ndim != 2
        or values.shape[1] != len(header)
        or values.shape[1] < 2
        or not np.isfinite(values).all()
    ):
        raise checks.file_error(
            path, "is no response table", "give a header wavelength_nm,name,... and finite numbers"
        )
    values = values[np.argsort(values[:, 0])]
    if np.any(np.diff(values[:, 0]) == 0):
        raise checks.file_error(
            path, "is no response table (a wavelength comes twice)", "keep one row of each"
        )
    return ResponseTable(values[:, 0], values[:, 1:], tuple(header[1:]), path.stem)


def _find_table(name: str | os.PathLike[str]) -> ResponseTable:
    text = os.fspath(name)
    if text in SHIPPED:
        with resources.as_file(resources.files("hsr_tf.physics") / "responses" / SHIPPED[text]) as path:
            return read_response_csv(path)
    if Path(text).suffix or os.sep in text:
        return read_response_csv(text)
    cameras = _colour_cameras()
    checks.require_choice("srf", text, [*SHIPPED, *cameras])
    from colour import MSDS_CAMERA_SENSITIVITIES

    table = MSDS_CAMERA_SENSITIVITIES[cameras[text]]
    return ResponseTable(
        table.wavelengths.astype(float), np.asarray(table.values, float), tuple(table.labels), cameras[text]
    )


@lru_cache
def _colour_cameras() -> dict[str, str]:
    """Our spelling of each camera name of colour-science, e.g. nikon_5100_npl, and theirs."""
    from colour import MSDS_CAMERA_SENSITIVITIES

    return {
        name.lower().replace(" ", "_").replace("(", "").replace(")", ""): name
        for name in MSDS_CAMERA_SENSITIVITIES
    }
