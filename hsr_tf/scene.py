"""A scene (a cube and what is known about it), an observation (what fusion starts from), a solution."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsr_tf.checks import MARK_NOT_FINITE, require, require_finite
from hsr_tf.cube_info import CubeInfo
from hsr_tf.findings import Finding, Verdict, estimate_verdict
from hsr_tf.geo.georeference import Georeference
from hsr_tf.radiometry import AS_RECORDED, AUTO, NONE, Radiometry, parse_linearize


@dataclass(frozen=True, eq=False)
class _Values:
    """The first field of a scene; those of `CubeInfo` follow it."""

    cube: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Scene(CubeInfo, _Values):
    """A hyperspectral or colour image, rows x columns x bands, and what is known of it.

    The fields of `CubeInfo` are arguments and attributes of a scene.

    Args:
        cube: (H, W, C) real numbers, kept as C-contiguous float32; usually in [0, 1], never clipped here.
        nodata_mask: (H, W) bool, True where the pixel holds no data; None if every pixel does.

    Raises:
        ValueError: a cube that is not 3-D, empty, not of real numbers, or not finite outside the mask;
            wavelengths or widths that do not match the bands or are not positive; a mask of another size;
            names or a bad-band list of another length.
    """

    nodata_mask: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "cube", _as_cube(self.cube))
        height, width, num_bands = self.cube.shape
        if self.nodata_mask is not None:
            object.__setattr__(self, "nodata_mask", _as_mask(self.nodata_mask, (height, width)))
        self._check(num_bands)
        _require_finite_outside(self.cube, self.nodata_mask)

    @property
    def num_bands(self) -> int:
        """Number of bands, C."""
        return int(self.cube.shape[2])

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, C)."""
        height, width, bands = self.cube.shape
        return int(height), int(width), int(bands)

    def with_bands(self, cube: NDArray[np.float32], bands: NDArray[np.integer[Any]]) -> Scene:
        """Return the scene with a cube of these bands of it (indices), every pixel with data."""
        return Scene(cube, **self.info.select(bands).facts())

    def select(self, bands: NDArray[np.integer[Any]]) -> Scene:
        """Return the scene with these of its bands (indices)."""
        return Scene(self.cube[..., bands], nodata_mask=self.nodata_mask, **self.info.select(bands).facts())

    def cropped(self, rows: slice, cols: slice) -> Scene:
        """Return the part of the scene in these rows and columns."""
        rows, cols = (slice(*part.indices(n)[:2]) for part, n in zip((rows, cols), self.shape, strict=False))
        mask = None if self.nodata_mask is None else self.nodata_mask[rows, cols]
        return Scene(self.cube[rows, cols], nodata_mask=mask, **self.info.cropped(rows, cols).facts())


@dataclass(frozen=True, eq=False)
class Observation:
    """One place seen twice: many bands at low resolution, few bands at high resolution.

    Args:
        lr_hsi: (h, w, C) low-resolution hyperspectral scene.
        hr_msi: (s h, s w, c) high-resolution colour or multispectral scene.
        scale: s, the ratio of their pixel sizes, a positive integer.
        linearize: the tone curve of the sharp image: "auto" to find out, "none" for values that are to be
            taken as they are, "srgb", or a gamma such as "gamma:2.2".

    Raises:
        ValueError: when the sizes of the two scenes do not differ by `scale` on both axes; an unknown curve.
    """

    lr_hsi: Scene
    hr_msi: Scene
    scale: int
    linearize: str = AUTO

    def __post_init__(self) -> None:
        parse_linearize(self.linearize)
        height, width, _ = self.lr_hsi.shape
        expected = (height * self.scale, width * self.scale)
        ratio = f"{self.scale} times the {height}x{width} of lr_hsi"
        require(
            self.scale >= 1 and self.hr_msi.shape[:2] == expected,
            "hr_msi",
            expected=f"{expected[0]}x{expected[1]} pixels ({ratio})",
            received=_pixels(self.hr_msi.shape),
            remedy="check the scale, and crop both files to the same ground",
        )

    def sharp_grid(self) -> Georeference | None:
        """Where the sharp pixels lie: what Y tells, else the grid of X in pixels s times finer, else None."""
        return self.lr_hsi.sharpened_by(self.hr_msi, self.scale).georeference

    def linear(self, radiometry: Radiometry) -> Observation:
        """The observation with Y linear in light, without the offsets of its channels."""
        if radiometry.is_identity:
            return self
        hr_msi = replace(self.hr_msi, cube=radiometry.linear(self.hr_msi.cube))
        return replace(self, hr_msi=hr_msi, linearize=NONE)

    def grid_shift(self) -> tuple[float, float]:
        """(rows, columns) in sharp pixels by which the coarse cube's corner lies off the sharp image's.

        As both grids tell it; nothing where one is unknown, or where they are a pixel or more apart, as are
        grids of images that were cropped without them.
        """
        coarse, sharp = self.lr_hsi.georeference, self.hr_msi.georeference
        if coarse is None or sharp is None:
            return 0.0, 0.0
        row, col = sharp.pixel(*coarse.at(0, 0))
        return (row, col) if max(abs(row), abs(col)) < 1 else (0.0, 0.0)

    @classmethod
    def from_pair(cls, lr_hsi: Scene, hr_msi: Scene) -> Observation:
        """Pair two scenes; the scale is the ratio of their sizes.

        Raises:
            ValueError: when the sizes do not divide, or divide by another factor in rows than in columns.
        """
        return cls(lr_hsi=lr_hsi, hr_msi=hr_msi, scale=scale_between(lr_hsi.shape, hr_msi.shape))


@dataclass(frozen=True, eq=False)
class Solution:
    """What a method made of an observation.

    Attributes:
        estimate: the sharp cube; its metadata name the method, the weights and the cameras.
        lr_hsi_residual: |X - D Z| / |X|, how far the estimate is from explaining the coarse cube; None where
            D is not known.
        hr_msi_residual: |Y - Z R| / |Y|, the same for the colour image; with a radiometry
            |f(Y) - o - Z R| / |f(Y) - o|.
        seconds: time taken, without reading files or weights.
        psf: (n, p) point-spread function where it was estimated, centred, else None.
        srf: (C, c) response where it was estimated, else None; zero at bands that were dead.
        iterations: their number where the method iterates, else None.
        converged: whether it stopped by its own criterion; None where it does not iterate.
        shift_pixels: (rows, columns) in sharp pixels by which the colour image lies off the coarse cube,
            where it was estimated, else None.
        findings: what is wrong with the images, the cameras or the result, e.g. residuals that noise does not
            explain; the warnings of `hsr_tf.fuse` as data.
        radiometry: tone curve, offsets and gains of Y that were found and undone first.
    """

    estimate: Scene
    lr_hsi_residual: float | None
    hr_msi_residual: float | None
    seconds: float
    psf: NDArray[np.float64] | None = None
    srf: NDArray[np.float64] | None = None
    iterations: int | None = None
    converged: bool | None = None
    shift_pixels: tuple[float, float] | None = None
    findings: tuple[Finding, ...] = ()
    radiometry: Radiometry = AS_RECORDED

    @property
    def verdict(self) -> Verdict:
        """What follows from the findings: green, yellow or red."""
        return estimate_verdict(self.findings)

    @property
    def in_units_of_response(self) -> Radiometry:
        """The radiometry for Y as the response sees it: an estimated one has the gains of the channels."""
        return self.radiometry if self.srf is None else replace(self.radiometry, divisor=())

    def with_findings(self, findings: tuple[Finding, ...]) -> Solution:
        """The solution with these findings; the metadata of its estimate record the verdict that follows."""
        verdict = estimate_verdict(findings)
        metadata = {**self.estimate.metadata, "verdict": f"{verdict.color}, {verdict.line}"}
        return replace(self, findings=findings, estimate=replace(self.estimate, metadata=metadata))


def pixels_with_data(*scenes: Scene) -> NDArray[np.bool_] | None:
    """(H, W), True where scenes of one size all hold data; None where they do everywhere."""
    masks = [scene.nodata_mask for scene in scenes if scene.nodata_mask is not None]
    return ~np.any(masks, axis=0) if masks else None


def scale_between(lr_shape: tuple[int, ...], hr_shape: tuple[int, ...]) -> int:
    """The ratio of the sizes of Y and X, whose shapes (rows, columns, bands) these are.

    Raises:
        ValueError: when the sizes do not divide, or divide by another factor in rows than in columns.
    """
    (height, width, _), (hr_height, hr_width, _) = lr_shape, hr_shape
    divides = hr_height % height == 0 and hr_width % width == 0
    require(
        divides,
        "hr_msi",
        expected=f"a whole multiple of the {_pixels(lr_shape)} of lr_hsi",
        received=f"{_pixels(hr_shape)} (ratios {hr_height / height:g} and {hr_width / width:g})",
        remedy="crop both files to the same ground, and check that they are not swapped",
    )
    rows, cols = hr_height // height, hr_width // width
    require(
        rows == cols,
        "hr_msi",
        expected=f"the same scale on both axes of the {_pixels(lr_shape)} of lr_hsi",
        received=f"{_pixels(hr_shape)}, which is {rows} times the rows and {cols} times the columns",
        remedy="crop both files to the same ground, and check that neither is turned by 90 degrees",
    )
    return rows


def _pixels(shape: tuple[int, ...]) -> str:
    return f"{shape[0]}x{shape[1]} pixels"


def _as_cube(values: Any) -> NDArray[np.float32]:
    array = np.asarray(values)
    require(
        array.dtype.kind in "uif",
        "cube",
        expected="real numbers",
        received=f"an array of dtype {array.dtype}",
        remedy="convert it to float32 first",
    )
    require(
        array.ndim == 3 and array.size > 0,
        "cube",
        expected="a 3-D array (rows, columns, bands) that is not empty",
        received=f"shape {array.shape}",
        remedy="give one scene, with its bands on the last axis",
    )
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(array, dtype=np.float32)


def _as_mask(values: Any, size: tuple[int, int]) -> NDArray[np.bool_]:
    mask = np.asarray(values)
    require(
        mask.shape == size and mask.dtype.kind in "bui",
        "nodata_mask",
        expected=f"a boolean array of shape {size}",
        received=f"dtype {mask.dtype}, shape {mask.shape}",
        remedy="give True where a pixel holds no data, one value a pixel",
    )
    return np.ascontiguousarray(mask, dtype=bool)


def _require_finite_outside(cube: NDArray[np.float32], mask: NDArray[np.bool_] | None) -> None:
    """Refuse NaN and infinity in the pixels that hold data."""
    with np.errstate(invalid="ignore"):
        total = cube.sum(dtype=np.float64)
    if np.isfinite(total):  # one NaN or infinity would have made the sum so: no second pass
        return
    values = cube if mask is None else np.where(mask[..., None], np.float32(0), cube)
    require_finite("cube", values, remedy=MARK_NOT_FINITE)
