"""Two georeferenced images brought onto grids that nest: s x s sharp pixels a coarse one, on common ground.

The ratio and the offset come from the transforms of the two files (`hsr_tf.grids` says which image is
resampled when). Resampling and coordinate systems are GDAL's, by rasterio: cubic convolution, wider where
pixels become larger, with the exact map of every pixel instead of GDAL's usual approximation to an eighth of
a pixel. Images without a grid are paired by their sizes, as they were.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from rasterio import warp
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.errors import CRSError
from rasterio.transform import Affine

from hsr_tf import checks
from hsr_tf.georeference import Georeference
from hsr_tf.grids import COARSE, SHARP, GridPlan, PixelMap, Places, plan_grids
from hsr_tf.scene import Observation, Scene

BANDS_AT_ONCE = 32
SMALLEST_TOLD_SHIFT = 0.01
PLANE = CRS.from_epsg(3857)
UNPLACED = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


@dataclass(frozen=True, eq=False)
class Aligned:
    """A pair that fits.

    Attributes:
        observation: the two images on nested grids.
        told: what was found and done, one line each; empty where nothing was.
        plan: how the grids were brought together, or None where sizes alone paired the images.
    """

    observation: Observation
    told: tuple[str, ...]
    plan: GridPlan | None = None


def align(lr_hsi: Scene, hr_msi: Scene) -> Aligned:
    """The observation of two images: by their grids where both have one, else by their sizes.

    Args:
        lr_hsi: the coarse cube.
        hr_msi: the sharp image.

    Raises:
        ValueError: no common ground, coarse pixels that are no larger than the sharp ones, a coordinate
            system that is not understood; without grids, sizes that do not divide.
    """
    if not (is_placed(lr_hsi) and is_placed(hr_msi)):
        told = _one_sided(lr_hsi, hr_msi)
        return Aligned(Observation.from_pair(lr_hsi, hr_msi), told)
    coarse, told = _same_way_up(lr_hsi, hr_msi)
    plan = plan_alignment(_grid(coarse), coarse.shape[:2], _grid(hr_msi), hr_msi.shape[:2])
    lr_part = _part(coarse, plan.lr_rows, plan.lr_cols)
    hr_part = _part(hr_msi, plan.hr_rows, plan.hr_cols)
    cells = (hr_part.shape[0] // plan.scale, hr_part.shape[1] // plan.scale)
    if plan.resampled == COARSE:
        lr_part = resampled(coarse, _grid(hr_part).coarser(plan.scale), cells)
    elif plan.resampled == SHARP:
        size = (lr_part.shape[0] * plan.scale, lr_part.shape[1] * plan.scale)
        hr_part = resampled(hr_msi, _grid(lr_part).coarser(1 / plan.scale), size)
    observation = Observation(lr_part, hr_part, plan.scale)
    lines = (
        *told,
        *_one_system(lr_hsi, hr_msi),
        *_scale_line(lr_hsi, hr_msi, plan),
        *_lines(lr_hsi, hr_msi, observation, plan),
    )
    return Aligned(observation, lines, plan)


def is_placed(scene: Scene) -> bool:
    """Whether a scene tells where it lies: a grid that is not the one that readers take for want of any."""
    grid = scene.georeference
    return grid is not None and (grid.crs is not None or grid.transform != UNPLACED)


def plan_alignment(
    coarse: Georeference, lr_size: tuple[int, int], sharp: Georeference, hr_size: tuple[int, int]
) -> GridPlan:
    """How two grids of these (rows, columns) are brought together.

    Raises:
        ValueError: as `align`.
    """
    plan = plan_grids(pixel_map(coarse, sharp), lr_size, hr_size)
    if plan is None:
        systems = _systems(coarse, sharp)
        here, there = _extent(coarse, lr_size, systems[0]), _extent(sharp, hr_size, systems[1])
        checks.require(
            False,
            "hr_msi",
            expected=f"an image of the ground of lr_hsi ({here})",
            received=f"one with no coarse pixel in common ({there})",
            remedy="check that both files are of one place, and their coordinate systems",
        )
        raise AssertionError
    return plan


def pixel_map(coarse: Georeference, sharp: Georeference) -> PixelMap:
    """Places on one grid to places on the other; a system that one of them does not tell is the other's.

    Raises:
        ValueError: a coordinate system that is not understood.
    """
    systems = _systems(coarse, sharp)
    straight = systems[0] == systems[1]

    def to_sharp(places: Places) -> Places:
        x, y = _placed(coarse.at, places)
        if not straight:
            x, y = _transformed(systems, x, y)
        return np.stack(_placed(sharp.pixel, np.stack([x, y], 1)), 1)

    return PixelMap(to_sharp, straight)


def _transformed(systems: tuple[CRS, CRS], x: Places, y: Places) -> tuple[Places, Places]:
    """Places of one coordinate system in another."""
    try:
        first, second = warp.transform(*systems, x, y)
    except Exception as error:  # GDAL's errors have no public class of their own
        reason = " ".join(str(error).split())[:120]
        names = f"{_name(systems[0])} to {_name(systems[1])}"
        raise ValueError(
            f"lr_hsi: expected places that both coordinate systems know ({names}), got x {np.min(x):.6g} to "
            f"{np.max(x):.6g}, y {np.min(y):.6g} to {np.max(y):.6g} ({reason}); check the transform and the "
            "coordinate system of both files"
        ) from error
    return np.asarray(first), np.asarray(second)


def _placed(convert: Callable[..., Any], places: Places) -> tuple[Places, Places]:
    """A conversion of two numbers, of two columns at once."""
    first, second = convert(places[:, 0], places[:, 1])
    return first, second


def resampled(scene: Scene, grid: Georeference, size: tuple[int, int]) -> Scene:
    """A scene on another grid of (rows, columns), by cubic convolution; what it does not cover is masked.

    Raises:
        ValueError: no pixel with data falls on the grid.
    """
    num_bands = scene.num_bands
    systems = _systems(_grid(scene), grid)
    cube = np.empty((*size, num_bands), np.float32)
    hole = np.zeros(size, bool)
    for start in range(0, num_bands, BANDS_AT_ONCE):
        part = slice(start, start + BANDS_AT_ONCE)
        bands = np.ascontiguousarray(np.moveaxis(scene.cube[..., part], -1, 0))
        if scene.nodata_mask is not None:
            bands[:, scene.nodata_mask] = np.nan
        out = np.full((len(bands), *size), np.nan, np.float32)
        warp.reproject(
            bands,
            out,
            src_transform=Affine(*_grid(scene).transform),
            src_crs=systems[0],
            src_nodata=np.nan,
            dst_transform=Affine(*grid.transform),
            dst_crs=systems[1],
            dst_nodata=np.nan,
            resampling=Resampling.cubic,
            tolerance=0.0,
        )
        missing = np.isnan(out)
        hole |= missing.any(0)
        cube[..., part] = np.moveaxis(np.where(missing, np.float32(0), out), 0, -1)
    cube[hole] = 0
    checks.require(
        not hole.all(),
        scene.name or "scene",
        expected="data on the common ground",
        received="none",
        remedy="check the coordinate systems and nodata values of both files",
    )
    return replace(scene, cube=cube, nodata_mask=hole if hole.any() else None, georeference=grid)


def _grid(scene: Scene) -> Georeference:
    assert scene.georeference is not None
    return scene.georeference


def _part(scene: Scene, rows: slice, cols: slice) -> Scene:
    """The scene of these pixels; the scene itself where they are all."""
    if (rows, cols) == (slice(0, scene.shape[0]), slice(0, scene.shape[1])):
        return scene
    mask = scene.nodata_mask
    return replace(
        scene,
        cube=scene.cube[rows, cols],
        nodata_mask=None if mask is None else mask[rows, cols],
        georeference=_grid(scene).window(rows.start, cols.start),
    )


def _same_way_up(lr_hsi: Scene, hr_msi: Scene) -> tuple[Scene, tuple[str, ...]]:
    """The coarse cube with its rows and columns in the order of the sharp image's."""
    slope = np.diag(pixel_map(_grid(lr_hsi), _grid(hr_msi)).slope(lr_hsi.shape[:2]))
    axes = tuple(axis for axis in (0, 1) if slope[axis] < -1e-9 and abs(slope[axis]) > 0.5)
    if not axes:
        return lr_hsi, ()
    a, b, _, d, e, _ = _grid(lr_hsi).transform
    height, width, _ = lr_hsi.shape
    x, y = _grid(lr_hsi).at(height if 0 in axes else 0, width if 1 in axes else 0)
    down, right = (-1 if 0 in axes else 1), (-1 if 1 in axes else 1)
    grid = Georeference((a * right, b * down, x, d * right, e * down, y), _grid(lr_hsi).crs)
    mask = lr_hsi.nodata_mask
    turned = replace(
        lr_hsi,
        cube=np.flip(lr_hsi.cube, axes),
        nodata_mask=None if mask is None else np.flip(mask, axes),
        georeference=grid,
    )
    names = " and ".join(("rows", "columns")[axis] for axis in axes)
    return turned, (f"the {names} of lr_hsi run the other way than those of hr_msi; turned round",)


def _systems(first: Georeference, second: Georeference) -> tuple[CRS, CRS]:
    """Their coordinate systems; a plane where neither tells one."""
    known = [None if grid.crs is None else _system(grid.crs) for grid in (first, second)]
    fallback = known[0] or known[1] or PLANE
    return known[0] or fallback, known[1] or fallback


def _system(text: str) -> CRS:
    try:
        return CRS.from_user_input(text)
    except CRSError as error:
        reason = " ".join(str(error).split())[:120]
        raise ValueError(
            f"crs: expected a coordinate system as WKT or EPSG code, got {text[:60]!r} ({reason}); "
            "repair it, or take it out of the file"
        ) from error


def _extent(grid: Georeference, size: tuple[int, int], system: CRS) -> str:
    """The corners of an image in words."""
    corners = [grid.at(row, col) for row in (0, size[0]) for col in (0, size[1])]
    x, y = ([corner[axis] for corner in corners] for axis in (0, 1))
    return f"x {min(x):.10g} to {max(x):.10g}, y {min(y):.10g} to {max(y):.10g} in {_name(system)}"


def _name(system: CRS) -> str:
    code = system.to_epsg()
    return f"EPSG:{code}" if code else " ".join(system.to_wkt().split('"')[1:2]) or "its own system"


def _one_sided(lr_hsi: Scene, hr_msi: Scene) -> tuple[str, ...]:
    placed = [name for name, scene in (("lr_hsi", lr_hsi), ("hr_msi", hr_msi)) if is_placed(scene)]
    return (f"only {placed[0]} tells where it lies; paired by size",) if placed else ()


def _one_system(lr_hsi: Scene, hr_msi: Scene) -> tuple[str, ...]:
    known = [name for name, scene in (("lr_hsi", lr_hsi), ("hr_msi", hr_msi)) if _grid(scene).crs]
    return (f"only {known[0]} tells its coordinate system; taken for both",) if len(known) == 1 else ()


def _scale_line(lr_hsi: Scene, hr_msi: Scene, plan: GridPlan) -> tuple[str, ...]:
    coarse, sharp = (_grid(scene).pixel_size[0] for scene in (lr_hsi, hr_msi))
    return (f"scale {plan.scale} from the grids of the files (pixels of {coarse:.6g} and {sharp:.6g})",)


def _lines(lr_hsi: Scene, hr_msi: Scene, observation: Observation, plan: GridPlan) -> list[str]:
    lines = []
    kept = observation.lr_hsi, observation.hr_msi
    if plan.resampled == COARSE:
        names = [_name(system) for system in _systems(_grid(lr_hsi), _grid(hr_msi))]
        way = f"from {names[0]} to {names[1]}" if names[0] != names[1] else "as the grids do not nest"
        lines.append(f"lr_hsi reprojected (cubic) {way}, onto {plan.scale} x {plan.scale} pixels of hr_msi")
    elif plan.resampled == SHARP:
        old, new = (_grid(scene).pixel_size[0] for scene in (hr_msi, kept[1]))
        lines.append(
            f"hr_msi resampled (cubic) from pixels of {old:.6g} to {new:.6g}, the nearest whole ratio"
        )
    sizes = [f"{scene.shape[0]}x{scene.shape[1]}" for scene in (lr_hsi, hr_msi, *kept)]
    if plan.resampled == "none" and sizes[:2] != sizes[2:]:
        lines.append(
            f"cropped to the common ground: {sizes[2]} of {sizes[0]} and {sizes[3]} of {sizes[1]} pixels"
        )
    if max(map(abs, plan.shift)) >= SMALLEST_TOLD_SHIFT:
        rows, cols = plan.shift
        lines.append(
            f"the grids lie {rows:+.2f} rows, {cols:+.2f} columns of the sharp image apart: left to the PSF"
        )
    return lines
