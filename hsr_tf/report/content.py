"""What a picture sheet shows: the cubes of one scene, checked, and what is computed from each estimate."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hsr_tf.arrays import ops
from hsr_tf.checks import require, require_finite
from hsr_tf.metrics import full_reference as metrics
from hsr_tf.scene import Observation, Scene

MAX_ESTIMATES = 5
ROWS_PER_BLOCK = 64


@dataclass(frozen=True, eq=False, kw_only=True)
class SheetData:
    """What a sheet shows.

    Attributes:
        title: headline, usually the scene's name.
        lr_hsi: low-resolution cube (h, w, C).
        hr_msi: sharp colour image (H, W, c) for any c.
        reference: true cube (H, W, C), with H / h = W / w a whole number.
        estimates: one to five estimated cubes (H, W, C) by method name, shown in this order and, as in the
            evaluation protocol, clipped to [0, data_range].
        wavelengths_nm: centres of the C bands, or None where they are not known.
        data_range: the peak of the data, for PSNR and for the scale on which errors are times 255.
        msi_channels: the channels of `hr_msi` to show as red, green and blue; None goes by their number.
        hsi_bands: the bands to show as red, green and blue, as false colours; None goes by the wavelengths.

    Raises:
        ValueError: no reference, no or too many estimates, shapes that do not fit together, NaN values.
    """

    title: str
    lr_hsi: np.ndarray
    hr_msi: np.ndarray
    reference: np.ndarray
    estimates: Mapping[str, np.ndarray]
    wavelengths_nm: np.ndarray | None = None
    data_range: float = 1.0
    msi_channels: tuple[int, int, int] | None = None
    hsi_bands: tuple[int, int, int] | None = None

    @classmethod
    def of(
        cls, observation: Observation, reference: Scene, estimates: Mapping[str, np.ndarray], *, title: str
    ) -> SheetData:
        """The sheet of estimates of one observation, held against the true scene."""
        return cls(
            title=title,
            lr_hsi=observation.lr_hsi.cube,
            hr_msi=observation.hr_msi.cube,
            reference=reference.cube,
            estimates=estimates,
            wavelengths_nm=reference.wavelengths_nm,
        )

    def __post_init__(self) -> None:
        require(
            self.reference is not None,
            "reference",
            expected="the true cube (rows, columns, bands)",
            received="None",
            remedy="a sheet shows errors; without a truth there are none to show",
        )
        require(
            1 <= len(self.estimates) <= MAX_ESTIMATES,
            "estimates",
            expected=f"1 to {MAX_ESTIMATES} of them",
            received=str(len(self.estimates)),
            remedy="draw several sheets",
        )
        height, width, num_bands = require_cube("reference", self.reference, (None, None, None))
        require_cube("hr_msi", self.hr_msi, (height, width, None))
        low_height, low_width, _ = require_cube("lr_hsi", self.lr_hsi, (None, None, num_bands))
        for name, estimate in self.estimates.items():
            require_cube(f"estimate {name!r}", estimate, (height, width, num_bands))
        scale = height // low_height
        require(
            scale >= 1 and (low_height * scale, low_width * scale) == (height, width),
            "lr_hsi",
            expected=f"a whole fraction of {height} x {width} pixels, the same along both axes",
            received=f"{low_height} x {low_width}",
            remedy="pass the cube that belongs to this reference",
        )
        found = None if self.wavelengths_nm is None else np.shape(self.wavelengths_nm)
        require(
            found in (None, (num_bands,)),
            "wavelengths_nm",
            expected=f"{num_bands} wavelengths, one a band",
            received=f"shape {found}",
            remedy="pass None where they are not known",
        )
        num_channels = self.hr_msi.shape[-1]
        for name, what, count in (
            ("msi_channels", "channel", num_channels),
            ("hsi_bands", "band", num_bands),
        ):
            picked = getattr(self, name)
            require(
                picked is None or (len(picked) == 3 and all(0 <= number < count for number in picked)),
                name,
                expected=f"three {what} numbers from 0 to {count - 1}",
                received=str(picked),
                remedy=f"pass None to have the {what}s chosen",
            )

    @property
    def scale(self) -> int:
        """The factor s between the two observations."""
        return int(self.reference.shape[0] // self.lr_hsi.shape[0])


@dataclass(frozen=True, eq=False)
class Result:
    """One clipped estimate, its maps (H, W) of errors times 255 and of angles in degrees, its scores."""

    name: str
    cube: np.ndarray
    error: np.ndarray
    angle: np.ndarray
    psnr: np.ndarray
    rmse: float
    sam: float

    @classmethod
    def of(cls, name: str, cube: np.ndarray, *, reference: np.ndarray, data_range: float = 1.0) -> Result:
        clipped = np.clip(cube, 0.0, data_range)
        angle = _by_rows(metrics.sam_map, reference, clipped)
        curve = ops.convert_to_numpy(metrics.psnr_per_band(reference, clipped, data_range=data_range))
        return cls(
            name=str(name),
            cube=clipped,
            error=_by_rows(metrics.error_map, reference, clipped) * (255.0 / data_range),
            angle=angle,
            psnr=curve,
            rmse=float(metrics.rmse_255(reference, clipped, data_range=data_range)),
            sam=float(np.nanmean(angle)) if np.isfinite(angle).any() else math.nan,
        )


def _by_rows(measure: Callable[..., Any], reference: np.ndarray, estimate: np.ndarray) -> np.ndarray:
    """A map (H, W) computed by blocks of rows, so that large scenes need little memory."""
    blocks = (slice(start, start + ROWS_PER_BLOCK) for start in range(0, len(reference), ROWS_PER_BLOCK))
    return np.concatenate([ops.convert_to_numpy(measure(reference[rows], estimate[rows])) for rows in blocks])


def require_cube(
    name: str, cube: np.ndarray, shape: tuple[int | None, int | None, int | None]
) -> tuple[int, int, int]:
    """Refuse what is no finite cube of these sides, None for any; the sides it has."""
    found = np.shape(cube)
    wanted = " x ".join("any" if side is None else str(side) for side in shape)
    fits = len(found) == 3 and all(side in (None, there) for side, there in zip(shape, found, strict=True))
    require(
        fits and min(found) > 0,
        name,
        expected=f"an array of rows x columns x bands = {wanted}",
        received=f"shape {found}",
        remedy="pass the cubes of one and the same scene",
    )
    require_finite(name, cube)
    height, width, num_bands = found
    return height, width, num_bands
