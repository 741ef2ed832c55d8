"""Two georeferenced images brought onto grids that nest: s x s sharp pixels a coarse one, on common ground.

The ratio and the offset come from the transforms of the two files (`hsr_tf.geo.nesting` says which image is
resampled when, `hsr_tf.geo.reprojection` how). What is to be done follows from grids and sizes alone, so that
images in files are aligned as those in memory are. Images without a grid are paired by their sizes, as they
were.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from hsr_tf import checks
from hsr_tf.geo.coordinates import coordinate_systems, pixel_map, system_name
from hsr_tf.geo.georeference import Georeference
from hsr_tf.geo.nesting import COARSE, NONE, SHARP, GridPlan, moved_model, plan_grids
from hsr_tf.geo.reprojection import Reprojection
from hsr_tf.geo.sensor_model import SensorModel
from hsr_tf.registration.resampling import Nesting
from hsr_tf.registration.transform import Transform
from hsr_tf.scene import Observation, Scene
from hsr_tf.typing import Cube, Mask
from hsr_tf.wording import number

if TYPE_CHECKING:
    from rasterio.crs import CRS

    from hsr_tf.io.header import CubeHeader

    Placed: TypeAlias = Scene | CubeHeader  # both may tell where the image lies

SMALLEST_TOLD_SHIFT, LARGEST_ESTIMATE_GAP, SMALLEST_SIDE = 0.01, 0.5, 2
UNPLACED = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


TURNED, ONE_SYSTEM, SCALED, RESAMPLED = "turned", "one_system", "scaled", "resampled"
CROPPED, SHIFTED, BY_SIZE, REGISTERED = "cropped", "shifted", "by_size", "registered"
MODEL_LOST = "model_lost"


@dataclass(frozen=True)
class Step:
    """Something that was found or done as two images were brought together.

    Attributes:
        kind: "turned" (an image flipped), "one_system" (the coordinate system of one image taken for both),
            "scaled" (the ratio of the pixel sizes), "resampled", "cropped", "shifted" (a rest of the offset
            left to the PSF), "by_size" (the grid of one image not used), "registered" (the sharp image
            brought under the coarse pixels by a transform) or "model_lost" (control points or polynomials
            that no estimate gets).
        line: the same in words.
    """

    kind: str
    line: str


@dataclass(frozen=True)
class Fitting:
    """What is done to one of two images: turned round, then cropped, then resampled, or nothing.

    Attributes:
        axes: turned round along these first, 0 for rows and 1 for columns.
        rows, cols: the pixels that are kept.
        grid: of the outcome.
        size: (rows, columns) of the outcome.
        reprojection: of the kept pixels onto the grid, or None.
    """

    axes: tuple[int, ...]
    rows: slice
    cols: slice
    grid: Georeference
    size: tuple[int, int]
    reprojection: Reprojection | None = None

    def changes(self, image: Placed) -> bool:
        """Whether the outcome is not the image itself."""
        whole = (slice(0, image.shape[0]), slice(0, image.shape[1]))
        return bool(self.axes) or (self.rows, self.cols) != whole or self.reprojection is not None

    def sensor_model(self, image: Placed) -> SensorModel | None:
        """The sensor model of the image on the pixels of the outcome.

        None without one, and where rows and columns of the outcome are not those of the image: its
        polynomials have no others.
        """
        model, onto = image.sensor_model, self.reprojection
        if model is None:
            return None
        model = model.flipped(self.axes, image.shape[:2]).window(self.rows.start, self.cols.start)
        if onto is None:
            return model
        return moved_model(model, pixel_map(onto.target, onto.source), onto.target_size)


@dataclass(frozen=True)
class Pairing:
    """How two images are brought together.

    Attributes:
        scale: s.
        lr_hsi, hr_msi: what is done to each.
        steps: the same in words.
        plan: how the grids nest.
    """

    scale: int
    lr_hsi: Fitting
    hr_msi: Fitting
    steps: tuple[Step, ...]
    plan: GridPlan


@dataclass(frozen=True, eq=False)
class Aligned:
    """A pair that fits.

    Attributes:
        observation: the two images on nested grids.
        steps: what was found and done; empty where nothing was.
        plan: how the grids were brought together, or None where sizes alone paired the images.
        nesting: how the sharp image was brought under the coarse pixels by a transform, or None.
        hr_msi: the sharp image before that, or None.
    """

    observation: Observation
    steps: tuple[Step, ...]
    plan: GridPlan | None = None
    nesting: Nesting | None = None
    hr_msi: Scene | None = None

    @property
    def lines(self) -> tuple[str, ...]:
        """The steps, one line each."""
        return tuple(step.line for step in self.steps)

    def on_sharp_pixels(self, estimate: Scene) -> Scene:
        """An estimate of the observation on the sharp image's own pixels, see `Nesting.estimate`."""
        if self.nesting is None or self.hr_msi is None:
            return estimate
        return self.nesting.estimate(estimate, self.observation.hr_msi, self.hr_msi)

    def on_cells(self, cube: Scene) -> Scene:
        """A cube of `on_sharp_pixels` on the pixels of the observation, see `Nesting.sharp`."""
        return cube if self.nesting is None else self.nesting.sharp(cube)


def align(lr_hsi: Scene, hr_msi: Scene, *, transform: Transform | None = None) -> Aligned:
    """The observation of two images: by a transform, else by their grids where both have one, else by their
    sizes.

    Args:
        lr_hsi: the coarse cube.
        hr_msi: the sharp image.
        transform: from the pixels of `lr_hsi` to those of `hr_msi`, as `hsr_tf.register` finds it. The sharp
            image is brought under the coarse pixels; `Aligned.on_sharp_pixels` brings an estimate back.

    Raises:
        ValueError: no common ground, coarse pixels that are no larger than the sharp ones, a coordinate
            system that is not understood; without grids, sizes that do not divide; a transform between
            images of other sizes.
    """
    if transform is not None:
        return _by_transform(lr_hsi, hr_msi, transform.fits(lr_hsi.shape[:2], hr_msi.shape[:2]))
    pairing = pair_by_grids(lr_hsi, hr_msi)
    if pairing is None:
        return Aligned(Observation.from_pair(lr_hsi, hr_msi), paired_by_size(lr_hsi, hr_msi))
    images = fitted(lr_hsi, pairing.lr_hsi), fitted(hr_msi, pairing.hr_msi)
    return Aligned(Observation(*images, pairing.scale), pairing.steps, pairing.plan)


def _by_transform(lr_hsi: Scene, hr_msi: Scene, transform: Transform) -> Aligned:
    nesting = Nesting(transform)
    observation = Observation(lr_hsi.cropped(*nesting.coarse), nesting.sharp(hr_msi), nesting.scale)
    return Aligned(observation, registered_steps(nesting, lr_hsi, hr_msi), nesting=nesting, hr_msi=hr_msi)


def registered_steps(nesting: Nesting, lr_hsi: Placed, hr_msi: Placed) -> tuple[Step, ...]:
    """What a transform does to the sharp image, and what the estimate loses by it."""
    kept = nesting.model_on_box(lr_hsi.sensor_model, None), hr_msi.sensor_model
    return (_registered_step(nesting), *_lost_steps((lr_hsi, hr_msi), kept))


def _registered_step(nesting: Nesting) -> Step:
    way = "rearranged" if nesting.keeps_pixels else "resampled (splines)"
    cells = f"{nesting.scale} x {nesting.scale} cells"
    return Step(REGISTERED, f"registered: hr_msi {nesting.transform.line}; {way} under {cells}")


def require_fusable_sizes(lr_size: tuple[int, int], scale: int) -> None:
    """Refuse a pair that the commands do not fuse for its sizes; some methods fuse a single row.

    Args:
        lr_size: (rows, columns) of X on the common ground.
        scale: s.

    Raises:
        ValueError: pixels of one size, or a single row or column of coarse pixels.
    """
    rows, cols = lr_size
    checks.require(
        scale >= 2,
        "hr_msi",
        expected="an image with smaller pixels than lr_hsi",
        received=f"one of the same {rows} rows x {cols} columns",
        remedy="give a sharper image",
    )
    checks.require(
        min(rows, cols) >= SMALLEST_SIDE,
        "lr_hsi",
        expected=f"at least {SMALLEST_SIDE} rows and {SMALLEST_SIDE} columns on the common ground",
        received=f"{rows} x {cols}",
        remedy="use a larger part of both images",
    )


def require_fused_from(aligned: Aligned, estimate: Scene, *, name: str = "estimate") -> None:
    """Refuse a cube that does not lie on the pixels of a fusion of this pair, with the bands of X.

    Args:
        aligned: the pair.
        estimate: the cube; its grid is compared only if it tells one that says where it lies.
        name: of the argument, for the message.

    Raises:
        ValueError: another size, or a grid whose corners lie half a sharp pixel or more elsewhere.
    """
    observation = aligned.observation
    hr_msi, grid, place = observation.hr_msi, observation.sharp_grid(), "on the common ground"
    if aligned.nesting is not None and aligned.hr_msi is not None:
        hr_msi, place = aligned.hr_msi.cropped(*aligned.nesting.box), "that lr_hsi covers"
        grid = hr_msi.georeference
    height, width, num_bands = *hr_msi.shape[:2], observation.lr_hsi.num_bands
    checks.require(
        estimate.shape == (height, width, num_bands),
        name,
        expected=f"{height}x{width}x{num_bands} (the pixels of hr_msi {place}, the bands of lr_hsi)",
        received="x".join(map(str, estimate.shape)),
        remedy="give the cube that hsr fuse makes of these two images",
    )
    if grid is None or not (is_placed(estimate) and is_placed(hr_msi)):
        return
    corners = np.array([(row, col) for row in (0.0, height) for col in (0.0, width)])
    apart = np.abs(pixel_map(_grid(estimate), grid).to_sharp(corners) - corners).max()
    checks.require(
        bool(apart < LARGEST_ESTIMATE_GAP),
        name,
        expected="a cube on the grid of hr_msi (cropped to the common ground)",
        received=f"one whose corners lie up to {number(apart)} sharp pixels elsewhere",
        remedy="give the cube that hsr fuse makes of these two images",
    )


def pair_by_grids(lr_hsi: Placed, hr_msi: Placed) -> Pairing | None:
    """How two images are brought together by their grids; None where one of them tells none.

    Args:
        lr_hsi: grid and size of the coarse cube.
        hr_msi: those of the sharp image.

    Raises:
        ValueError: as `align`, of images with grids.
    """
    if not (is_placed(lr_hsi) and is_placed(hr_msi)):
        return None
    axes, coarse, sharp = _turned(lr_hsi, hr_msi), _grid(lr_hsi), _grid(hr_msi)
    coarse = _turned_grid(coarse, lr_hsi.shape[:2], axes)
    lr_size, hr_size = lr_hsi.shape[:2], hr_msi.shape[:2]
    plan = plan_grids(pixel_map(coarse, sharp), lr_size, hr_size)
    if plan is None:
        systems = coordinate_systems(coarse, sharp)
        here, there = _extent(coarse, lr_size, systems[0]), _extent(sharp, hr_size, systems[1])
        raise checks.InputError(
            "hr_msi",
            expected=f"an image of the ground of lr_hsi ({here})",
            received=f"one with no coarse pixel in common ({there})",
            remedy="check that both files are of one place, and their coordinate systems",
        )
    lr_part = _cropped(axes, coarse, plan.lr_rows, plan.lr_cols)
    hr_part = _cropped((), sharp, plan.hr_rows, plan.hr_cols)
    if plan.resampled == COARSE:
        rows, cols = (length // plan.scale for length in hr_part.size)
        lr_part = _resampled(lr_part, hr_part.grid.coarser(plan.scale), (rows, cols))
    elif plan.resampled == SHARP:
        rows, cols = (length * plan.scale for length in lr_part.size)
        hr_part = _resampled(hr_part, lr_part.grid.coarser(1 / plan.scale), (rows, cols))
    names = " and ".join(("rows", "columns")[axis] for axis in axes)
    line = f"the {names} of lr_hsi run the other way than those of hr_msi; turned round"
    steps = (
        *((Step(TURNED, line),) if axes else ()),
        *_one_system(lr_hsi, hr_msi),
        _scale_step(lr_hsi, hr_msi, plan),
        *_fitting_steps((lr_hsi, hr_msi), (lr_part, hr_part), plan),
        *_lost_steps((lr_hsi, hr_msi), (lr_part.sensor_model(lr_hsi), hr_part.sensor_model(hr_msi))),
    )
    return Pairing(plan.scale, lr_part, hr_part, steps, plan)


def fitted(scene: Scene, fitting: Fitting) -> Scene:
    """A scene brought onto the common ground; what it does not cover is masked.

    Raises:
        ValueError: no pixel with data falls on the grid.
    """
    if not fitting.changes(scene):
        return scene
    kept = (fitting.rows, fitting.cols)
    cube = np.flip(scene.cube, fitting.axes)[kept]
    mask = None if scene.nodata_mask is None else np.flip(scene.nodata_mask, fitting.axes)[kept]
    if fitting.reprojection is not None:
        rows, cols = (slice(0, length) for length in fitting.reprojection.target_size)

        def part(*place: slice) -> tuple[Cube, Mask | None]:
            return cube[place], None if mask is None else mask[place]

        cube, hole = fitting.reprojection.window(part, rows, cols, num_bands=cube.shape[-1])
        mask = hole if hole.any() else None
        checks.require(
            not hole.all(),
            scene.name or "scene",
            expected="data on the common ground",
            received="none",
            remedy="check the coordinate systems and nodata values of both files",
        )
    model = fitting.sensor_model(scene)
    return replace(scene, cube=cube, nodata_mask=mask, georeference=fitting.grid, sensor_model=model)


def is_placed(image: Placed) -> bool:
    """Whether an image tells where it lies: a grid that is not the one that readers take for want of any."""
    grid = image.georeference
    return grid is not None and (grid.crs is not None or grid.transform != UNPLACED)


def paired_by_size(lr_hsi: Placed, hr_msi: Placed) -> tuple[Step, ...]:
    """A step where only one of two images tells where it lies."""
    placed = [name for name, image in (("lr_hsi", lr_hsi), ("hr_msi", hr_msi)) if is_placed(image)]
    return (Step(BY_SIZE, f"only {placed[0]} tells where it lies; paired by size"),) if placed else ()


def _lost_steps(
    images: tuple[Placed, Placed], kept: tuple[SensorModel | None, SensorModel | None]
) -> tuple[Step, ...]:
    """A step where an estimate loses the sensor model that it should have: that of Y, else that of X.

    Args:
        images: X and Y.
        kept: of their models, those that are known on the common ground.
    """
    index = 0 if images[1].sensor_model is None else 1
    model = images[index].sensor_model
    if model is None or kept[index] is not None:
        return ()
    name, why = ("lr_hsi", "hr_msi")[index], "the estimate lies on other rows and columns"
    return (Step(MODEL_LOST, f"the {model.words} of {name} are not kept: {why}"),)


def _grid(image: Placed) -> Georeference:
    assert image.georeference is not None
    return image.georeference


def _cropped(axes: tuple[int, ...], grid: Georeference, rows: slice, cols: slice) -> Fitting:
    size = rows.stop - rows.start, cols.stop - cols.start
    whole = rows.start == cols.start == 0
    return Fitting(axes, rows, cols, grid if whole else grid.window(rows.start, cols.start), size)


def _resampled(part: Fitting, grid: Georeference, size: tuple[int, int]) -> Fitting:
    return replace(part, grid=grid, size=size, reprojection=Reprojection(part.grid, part.size, grid, size))


def _turned(lr_hsi: Placed, hr_msi: Placed) -> tuple[int, ...]:
    """The axes along which the coarse cube runs the other way than the sharp image."""
    slope = np.diag(pixel_map(_grid(lr_hsi), _grid(hr_msi)).slope(lr_hsi.shape[:2]))
    return tuple(axis for axis in (0, 1) if slope[axis] < -1e-9 and abs(slope[axis]) > 0.5)


def _turned_grid(grid: Georeference, size: tuple[int, int], axes: tuple[int, ...]) -> Georeference:
    """The grid of an image of (rows, columns) that is turned round along these axes."""
    if not axes:
        return grid
    a, b, _, d, e, _ = grid.transform
    x, y = grid.at(size[0] if 0 in axes else 0, size[1] if 1 in axes else 0)
    down, right = (-1 if 0 in axes else 1), (-1 if 1 in axes else 1)
    return Georeference((a * right, b * down, x, d * right, e * down, y), grid.crs)


def _extent(grid: Georeference, size: tuple[int, int], system: CRS) -> str:
    """The corners of an image in words."""
    corners = [grid.at(row, col) for row in (0, size[0]) for col in (0, size[1])]
    x, y = ([corner[axis] for corner in corners] for axis in (0, 1))
    return f"x {min(x):.10g} to {max(x):.10g}, y {min(y):.10g} to {max(y):.10g} in {system_name(system)}"


def _one_system(lr_hsi: Placed, hr_msi: Placed) -> tuple[Step, ...]:
    known = [name for name, image in (("lr_hsi", lr_hsi), ("hr_msi", hr_msi)) if _grid(image).crs]
    if len(known) != 1:
        return ()
    return (Step(ONE_SYSTEM, f"only {known[0]} tells its coordinate system; taken for both"),)


def _scale_step(lr_hsi: Placed, hr_msi: Placed, plan: GridPlan) -> Step:
    coarse, sharp = (_grid(image).pixel_size[0] for image in (lr_hsi, hr_msi))
    line = f"scale {plan.scale} from the grids of the files (pixels of {coarse:.6g} and {sharp:.6g})"
    return Step(SCALED, line)


def _fitting_steps(
    images: tuple[Placed, Placed], kept: tuple[Fitting, Fitting], plan: GridPlan
) -> list[Step]:
    steps = []
    lr_hsi, hr_msi = images
    if plan.resampled == COARSE:
        names = [system_name(system) for system in coordinate_systems(_grid(lr_hsi), _grid(hr_msi))]
        way = f"from {names[0]} to {names[1]}" if names[0] != names[1] else "as the grids do not nest"
        line = f"lr_hsi reprojected (cubic) {way}, onto {plan.scale} x {plan.scale} pixels of hr_msi"
        steps.append(Step(RESAMPLED, line))
    elif plan.resampled == SHARP:
        old, new = _grid(hr_msi).pixel_size[0], kept[1].grid.pixel_size[0]
        line = f"hr_msi resampled (cubic) from pixels of {old:.6g} to {new:.6g}, the nearest whole ratio"
        steps.append(Step(RESAMPLED, line))
    sizes = [f"{rows}x{cols}" for rows, cols in (*(i.shape[:2] for i in images), *(k.size for k in kept))]
    if plan.resampled == NONE and sizes[:2] != sizes[2:]:
        line = f"cropped to the common ground: {sizes[2]} of {sizes[0]} and {sizes[3]} of {sizes[1]} pixels"
        steps.append(Step(CROPPED, line))
    if max(map(abs, plan.shift)) >= SMALLEST_TOLD_SHIFT:
        rows, cols = plan.shift
        apart = f"{rows:+.2f} rows, {cols:+.2f} columns of the sharp image"
        steps.append(Step(SHIFTED, f"the grids lie {apart} apart: left to the PSF"))
    return steps
