"""`CubeHeader`: what is known of a cube in a file, and the form in which its values are stored."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsr_tf.cube_info import CubeInfo
from hsr_tf.findings import Finding
from hsr_tf.scene import Scene


@dataclass(frozen=True, eq=False, kw_only=True)
class CubeHeader(CubeInfo):
    """What is known of a cube in a file; readers return it, and writers take it.

    The fields of `CubeInfo` are arguments and attributes of a header.

    Args:
        shape: (H, W, C).
        dtype: type of the stored values.
        white_level: stored value that stands for 1.0, or None.
        gain, offset: (C,) or numbers; value = gain * stored + offset. They take precedence over
            `white_level`.
        nodata_mask: (H, W), True where there is no data, or None. Formats without masks write the nodata
            value there.
        used: names of the items of the file that the header is made of.
        findings: what the reader left of the file, and what it took for granted (`hsr_tf.io.account`).
    """

    shape: tuple[int, int, int]
    dtype: np.dtype[Any] = field(default_factory=lambda: np.dtype(np.float32))
    white_level: float | None = None
    gain: NDArray[Any] | float | None = None
    offset: NDArray[Any] | float = 0.0
    nodata_mask: NDArray[Any] | None = None
    used: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()

    @classmethod
    def of(cls, scene: Scene) -> CubeHeader:
        """Return the header for the float32 values of a scene."""
        return cls(shape=scene.shape, nodata_mask=scene.nodata_mask, **scene.facts())

    @property
    def scale(self) -> dict[str, NDArray[np.float64]]:
        """(C,) `gain` and `offset` by name; empty without them."""
        if self.gain is None:
            return {}
        both = {"gain": self.gain, "offset": self.offset}
        return {n: np.broadcast_to(np.asarray(v, np.float64), (self.shape[2],)) for n, v in both.items()}

    @property
    def integer_level(self) -> float | None:
        """The white level of integers without gain and offset, else None."""
        return self.white_level if self.gain is None and np.dtype(self.dtype).kind in "ui" else None

    @property
    def storable_nodata(self) -> float | None:
        """The nodata value as `dtype` holds it, or None; a value that it cannot hold marks no pixel."""
        if self.nodata is None:
            return None
        dtype = np.dtype(self.dtype)
        if dtype.kind == "f":
            with np.errstate(over="ignore"):
                held = float(np.asarray(self.nodata, np.float64).astype(dtype))
            return None if np.isinf(held) and not np.isinf(self.nodata) else held
        bounds = np.iinfo(dtype)
        is_whole = np.isfinite(self.nodata) and float(self.nodata).is_integer()
        return self.nodata if is_whole and bounds.min <= self.nodata <= bounds.max else None

    def unscaled(self) -> CubeHeader:
        """Return the header for values without white level, gain and offset."""
        return replace(self, white_level=None, gain=None, offset=0.0)
