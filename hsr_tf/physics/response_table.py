"""Tables of spectral responses as published, and their CSV form.

Lines of comment start with #; then a header `wavelength_nm,name,...`, then one row a wavelength. Satellites'
tables come in micrometres as often as in nanometres: a header that ends in um, µm or micrometres says so, and
where the header tells no unit, wavelengths that are all below 30 are micrometres.
"""

from __future__ import annotations

import csv
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hsr_tf import checks
from hsr_tf.physics.band_cells import band_cells, spacing_nearby

LARGEST_IN_MICROMETRES = 30.0
NANOMETRES, MICROMETRES = 1.0, 1000.0


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

    def only(self, channels: tuple[str, ...]) -> ResponseTable:
        """The table of these channels, in this order.

        Raises:
            ValueError: a channel that the table does not have; the message lists those that it has.
        """
        for channel in channels:
            checks.require_choice("channels", channel, self.channels)
        columns = [self.channels.index(channel) for channel in channels]
        return replace(self, values=self.values[:, columns], channels=tuple(channels))

    def range_nm(self, share: float = 0.01) -> tuple[float, float]:
        """The shortest and longest wavelength at which a channel has this share of its largest value."""
        seen = self.wavelengths_nm[(self.values >= share * self.values.max(0)).any(1)]
        return float(seen[0]), float(seen[-1])

    def is_on(self, wavelengths_nm: np.ndarray) -> bool:
        """Whether these are the wavelengths of the table, to a millionth of a nanometre, in any order."""
        same_number = len(self.wavelengths_nm) == len(wavelengths_nm)
        return same_number and np.allclose(self.wavelengths_nm, np.sort(wavelengths_nm), rtol=0, atol=1e-6)

    def holds_weights(self) -> bool:
        """Whether the columns sum to one: weights of bands, with the widths of the bands in them."""
        return bool(np.allclose(self.values.sum(0), 1.0, rtol=0, atol=1e-3))

    def as_sensitivities(self) -> ResponseTable:
        """A table of weights as values per width of a band."""
        return replace(self, values=self.values / band_cells(self.wavelengths_nm).weights[:, None])

    def coverage(self, wavelengths_nm: np.ndarray) -> np.ndarray:
        """(c,) in 0 to 1, the share of each channel's response that lies within a cube's bands.

        The cube covers what lies within three quarters of the spacing of the bands nearby of one of its
        centres, gaps of its bands left out.
        """
        centres = np.asarray(wavelengths_nm, float)
        distance = np.abs(self.wavelengths_nm[:, None] - centres)
        reached = (distance <= 0.75 * spacing_nearby(centres)).any(1)
        weights = np.gradient(self.wavelengths_nm)[:, None] * np.maximum(self.values, 0.0)
        return np.asarray(weights[reached].sum(0) / np.maximum(weights.sum(0), 1e-30))


def read_response_csv(path: str | os.PathLike[str]) -> ResponseTable:
    """Read `wavelength_nm,channel,...` rows, or `wavelength_um,...`; lines of comment start with #.

    Raises:
        OSError: when the file is missing or holds no such table (the line is named).
    """
    path = Path(path)
    if not path.is_file():
        raise checks.file_error(path, "no such response file", "check the path")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
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
    unit = _unit(header[0], float(values[-1, 0]))
    return ResponseTable(values[:, 0] * unit, values[:, 1:], tuple(header[1:]), path.stem)


def _unit(header: str, longest: float) -> float:
    """Nanometres in the unit of a column of wavelengths."""
    words = re.split(r"[^a-zµμ]+", header.lower())
    if {"um", "µm", "μm", "micron", "microns", "micrometre", "micrometres", "micrometer"} & set(words):
        return MICROMETRES
    if {"nm", "nanometre", "nanometres", "nanometer", "nanometers"} & set(words):
        return NANOMETRES
    return MICROMETRES if longest < LARGEST_IN_MICROMETRES else NANOMETRES
