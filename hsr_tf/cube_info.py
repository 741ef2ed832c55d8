"""What is known of a cube beside its values: `CubeInfo`, the one list of these fields.

A `Scene` is a `CubeInfo` with values; a `CubeHeader` of `hsr_tf.io` is one with the form in which a file
stores the values. To add a field, add it here and to the file formats that can store it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsr_tf.checks import require
from hsr_tf.geo.georeference import Georeference
from hsr_tf.geo.sensor_model import SensorModel

NOT_INHERITED = ("source", "white_level", "channels", "simulated_")


def _nanometres(name: str, values: Any, num_bands: int) -> NDArray[np.float64]:
    nanometres = np.array(values, dtype=np.float64)
    require(
        nanometres.shape == (num_bands,),
        name,
        expected=f"one value for each of the {num_bands} bands",
        received=f"shape {nanometres.shape}",
        remedy="give one for every band in nanometres, or None",
    )
    require(
        bool(np.all(np.isfinite(nanometres) & (nanometres > 0))),
        name,
        expected="positive finite nanometres",
        received=f"values between {nanometres.min():g} and {nanometres.max():g}",
        remedy="repair them, or give None when they are unknown",
    )
    return nanometres


def _texts(name: str, values: Any, num_bands: int) -> tuple[str, ...]:
    _require_one_per_band(name, len(values), num_bands)
    return tuple(str(value) for value in values)


def _flags(name: str, values: Any, num_bands: int) -> NDArray[np.bool_]:
    flags = np.asarray(values).astype(bool).ravel()
    _require_one_per_band(name, len(flags), num_bands)
    return flags


def _require_one_per_band(name: str, received: int, num_bands: int) -> None:
    require(
        received == num_bands,
        name,
        expected=f"one for each of the {num_bands} bands",
        received=str(received),
        remedy="give one for every band, or None",
    )


@dataclass(frozen=True, eq=False)
class CubeInfo:
    """What is known of a cube of C bands beside its values.

    Args:
        wavelengths_nm: (C,) centre of each band in nanometres, or None if unknown.
        name: name of the scene in tables and pictures.
        metadata: everything else, by name: source, units, instrument, ...
        fwhm_nm: (C,) full width at half maximum of each band in nanometres, or None if unknown.
        band_names: (C,) name of each band, or None.
        good_bands: (C,) bool, False for bands on the bad-band list of the file; None without a list.
        georeference: where the pixels lie on the ground, or None if unknown.
        nodata: the stored value of pixels without data, or None.
        sensor_model: ground control points and rational polynomials, or None.
    """

    wavelengths_nm: NDArray[np.float64] | None = field(default=None, metadata={"per_band": _nanometres})
    name: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    _: KW_ONLY
    fwhm_nm: NDArray[np.float64] | None = field(default=None, metadata={"per_band": _nanometres})
    band_names: tuple[str, ...] | None = field(default=None, metadata={"per_band": _texts})
    good_bands: NDArray[np.bool_] | None = field(default=None, metadata={"per_band": _flags})
    georeference: Georeference | None = None
    nodata: float | None = None
    sensor_model: SensorModel | None = None

    @property
    def info(self) -> CubeInfo:
        """These fields alone, without what a subclass adds."""
        return CubeInfo(**self.facts())

    def facts(self) -> dict[str, Any]:
        """The fields of `CubeInfo` by name: arguments for `CubeInfo`, `Scene` and `CubeHeader` alike."""
        return {one.name: getattr(self, one.name) for one in fields(CubeInfo)}

    def select(self, bands: NDArray[np.integer[Any]]) -> CubeInfo:
        """Return what is known of a cube with these bands of this one.

        Args:
            bands: (n,) indices of the bands.
        """
        picked: dict[str, Any] = {
            name: tuple(values[i] for i in bands) if isinstance(values, tuple) else np.asarray(values)[bands]
            for name, values in self._per_band().items()
        }
        return replace(self.info, **picked)

    def cropped(self, rows: slice, cols: slice) -> CubeInfo:
        """Return what is known of the part in these rows and columns, whose starts are not negative."""
        grid = self.georeference
        corner = rows.start or 0, cols.start or 0
        moved = None if grid is None else grid.window(*corner)
        model = None if self.sensor_model is None else self.sensor_model.window(*corner)
        return replace(self.info, georeference=moved, sensor_model=model)

    def at_scale(self, scale: float) -> CubeInfo:
        """Return what is known of the same ground in pixels `scale` times as long on each side."""
        grid = self.georeference
        model = None if self.sensor_model is None else self.sensor_model.coarser(scale)
        return replace(
            self.info, georeference=None if grid is None else grid.coarser(scale), sensor_model=model
        )

    def inherited(self, metadata: Mapping[str, Any] | None = None) -> CubeInfo:
        """Return what a cube that is computed from this one inherits.

        Metadata about how this cube was stored or simulated (names that begin with `NOT_INHERITED`) are left
        out.

        Args:
            metadata: entries to add.
        """
        kept = {name: value for name, value in self.metadata.items() if not name.startswith(NOT_INHERITED)}
        return replace(self.info, metadata={**kept, **(metadata or {})})

    def sharpened_by(
        self, sharp: CubeInfo, scale: int, metadata: Mapping[str, Any] | None = None
    ) -> CubeInfo:
        """Return what a fused cube inherits: all of this coarse one, on the grid of the sharp image.

        Args:
            sharp: the sharp image; without a grid of its own that of the coarse cube is refined.
            scale: sharp pixels per coarse pixel along one side.
            metadata: entries to add.
        """
        fine = self.inherited(metadata).at_scale(1 / scale)
        return replace(
            fine,
            georeference=fine.georeference if sharp.georeference is None else sharp.georeference,
            nodata=self.nodata if sharp.nodata is None else sharp.nodata,
            sensor_model=fine.sensor_model if sharp.sensor_model is None else sharp.sensor_model,
        )

    def _per_band(self) -> dict[str, Any]:
        """The fields with one value per band that are known."""
        values = {one.name: getattr(self, one.name) for one in fields(CubeInfo) if "per_band" in one.metadata}
        return {name: value for name, value in values.items() if value is not None}

    def _check(self, num_bands: int) -> None:
        """Check and convert the fields in place; the `__post_init__` of a subclass that knows its bands.

        Raises:
            ValueError: wavelengths or widths that are not positive, another number of values than of bands.
        """
        object.__setattr__(self, "metadata", dict(self.metadata))
        checks = {one.name: one.metadata.get("per_band") for one in fields(CubeInfo)}
        for name, values in self._per_band().items():
            check = checks[name]
            assert check is not None
            object.__setattr__(self, name, check(name, values, num_bands))
