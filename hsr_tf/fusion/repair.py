"""What is wrong with an observation, and a repair that lets every method run on it.

Found before anything is solved, each reported in one line (`hsr_tf.closed_forms.agreement` looks for wrong
cameras):

- dead bands of X, constant where others vary, and those on a file's bad-band list: left out of the solve,
  filled in the estimate by linear interpolation of the bands beside them. With M (kept bands, C) for that
  interpolation Y = Z M R, so that the kept bands have the response M R and nothing of Y is lost. Dead
  channels of Y are left out.
- saturated samples, which pile up at the maximum of a band or channel: named and kept.
- pixels without data in X or Y: for the solve they get the value of the nearest pixel with data, which counts
  nowhere (`hsr_tf.physics.nodata`); the estimate has zeros there and a mask that tells so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsr_tf import checks
from hsr_tf.findings import NOTE, WARNING, Finding
from hsr_tf.physics.nodata import Holes, filled, require_data
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.spectral import SpectralResponse
from hsr_tf.radiometry import Radiometry
from hsr_tf.scene import Observation, Scene
from hsr_tf.typing import Mask

FEWEST_SATURATED, SATURATED_SHARE, PILE = 4, 1e-3, 2.0
NAMED, LARGEST_VALUE = 6, 1e15
DEAD, LISTED, SATURATED, NODATA = "dead", "listed", "saturated", "nodata"


@dataclass(frozen=True)
class Defect:
    """Something that is wrong with an image, and what is done about it.

    Attributes:
        kind: "dead" (bands that do not vary), "listed" (bands on the bad-band list of the file), "saturated"
            (samples at the maximum of a band) or "nodata" (pixels without data).
        found: what was found, in words.
        done: what a fusion does with it, e.g. "left out".
    """

    kind: str
    found: str
    done: str

    @property
    def line(self) -> str:
        """Both in one line."""
        return f"{self.found}; {self.done}"

    @property
    def finding(self) -> Finding:
        """A warning where samples are lost (dead or saturated), else a note."""
        severity = WARNING if self.kind in (SATURATED, DEAD) else NOTE
        return Finding(severity, "samples", self.found, self.done)

    @classmethod
    def holes(cls, name: str, num_pixels: int, box: Sequence[int]) -> Defect:
        """Pixels without data in image `name`; `box` is their first and last row, first and last column."""
        place = f"rows {box[0]} to {box[1]}, columns {box[2]} to {box[3]}"
        found = f"{name}: {num_pixels} pixels without data ({place})"
        return cls(NODATA, found, "filled for the solve, and without data in the estimate")


@dataclass(frozen=True, eq=False)
class Repaired:
    """An observation that every method can run on, and the way back.

    Attributes:
        observation: without masks, NaN and (unless they were to be kept) dead bands.
        source: X as it came.
        sharp: Y as it came.
        findings: what was found and done.
        bands: indices of the bands of X that are left, increasing.
        channels: indices of the channels of Y that are left, increasing.
        num_channels: of Y as it came.
        mixing: M (number of bands left, C), which makes all bands of those left.
        holes: where X and Y have no data.
    """

    observation: Observation
    source: Scene
    sharp: Scene
    findings: tuple[Defect, ...]
    bands: NDArray[np.int64]
    channels: NDArray[np.int64]
    num_channels: int
    mixing: NDArray[np.float64]
    holes: Holes

    @cached_property
    def nodata(self) -> Mask | None:
        """(H, W) of the estimate where one of the images has no data; None for nowhere."""
        return self.holes.of_estimate(self.observation.scale)

    @property
    def trusted(self) -> Mask:
        """(h, w), the coarse pixels in which both images have data throughout."""
        height, width, _ = self.source.shape
        return self.holes.full_cells(self.observation.scale, (height, width))

    def cameras(self, model: ObservationModel) -> ObservationModel:
        """The cameras of the bands and channels that are left: R becomes M R."""
        if len(self.bands) == self.source.num_bands and len(self.channels) == self.num_channels:
            return model
        names = tuple(model.spectral.channels[i] for i in self.channels)
        matrix = self.mixing @ model.spectral.matrix[:, self.channels]
        return replace(model, spectral=SpectralResponse(matrix, channels=names, name=model.spectral.name))

    def whole_scene(self, cube: NDArray[np.float32], metadata: Mapping[str, Any]) -> Scene:
        """The estimate (H, W, bands left) with every band, and zeros and a mask where there is no data.

        It inherits from X and Y as `CubeInfo.sharpened_by` says; `metadata` is added.
        """
        if len(self.bands) < self.source.num_bands:
            cube = cube @ self.mixing.astype(cube.dtype)
        if self.nodata is not None:
            cube = np.where(self.nodata[..., None], cube.dtype.type(0), cube)
        info = self.source.sharpened_by(self.sharp, self.observation.scale, metadata)
        return Scene(cube, nodata_mask=self.nodata, **info.facts())

    def full_radiometry(self, radiometry: Radiometry) -> Radiometry:
        """The radiometry of the channels left as that of all channels; those left out are as recorded."""
        kept = dict(zip(self.channels.tolist(), range(len(self.channels)), strict=True))

        def spread(values: tuple[float, ...], rest: float) -> tuple[float, ...]:
            return tuple(values[kept[i]] if i in kept else rest for i in range(self.num_channels))

        offset, divisor = radiometry.offset, radiometry.divisor
        return replace(
            radiometry,
            offset=spread(offset, 0.0) if offset else (),
            divisor=spread(divisor, 1.0) if divisor else (),
        )

    def full_response(self, srf: NDArray[np.float64]) -> NDArray[np.float64]:
        """A response (bands left, channels left) as (C, c), zero where left out; M times it is `srf`."""
        full = np.zeros((self.source.num_bands, self.num_channels))
        full[np.ix_(self.bands, self.channels)] = srf
        return full


def repair(observation: Observation, *, keep_bands: bool = False) -> Repaired:
    """Look for dead bands, saturated samples and pixels without data, and make the images whole.

    Args:
        observation: X and Y, with masks where they have any.
        keep_bands: fill dead bands of X instead of leaving them out, for methods of a fixed number of bands;
            dead channels of Y stay.

    Raises:
        ValueError: an image without any data, or with values over 10^15.
    """
    lr_hsi, hr_msi, scale = observation.lr_hsi, observation.hr_msi, observation.scale
    holes = {"lr_hsi": _holes("lr_hsi", lr_hsi), "hr_msi": _holes("hr_msi", hr_msi)}
    bands, channels = _live(lr_hsi, holes["lr_hsi"]), _live(hr_msi, holes["hr_msi"])
    mixing = _mixing(bands, lr_hsi)
    findings = [
        *_dead("lr_hsi", "band", lr_hsi, bands, "left out, and filled from the bands beside them"),
        *_dead("hr_msi", "channel", hr_msi, channels, "kept" if keep_bands else "left out"),
        *_saturated_samples("lr_hsi", "band", lr_hsi, bands, holes["lr_hsi"]),
        *_saturated_samples("hr_msi", "channel", hr_msi, channels, holes["hr_msi"]),
        *(
            Defect.holes(name, int(mask.sum()), _box(mask))
            for name, mask in holes.items()
            if mask is not None
        ),
    ]
    for scene, mask in zip((lr_hsi, hr_msi), holes.values(), strict=True):
        _require_usual_sizes(scene, mask, "lr_hsi" if scene is lr_hsi else "hr_msi")
    coarse = filled(lr_hsi.cube, holes["lr_hsi"])
    if keep_bands:
        coarse = coarse if len(bands) == lr_hsi.num_bands else coarse[..., bands] @ mixing.astype("float32")
        bands, channels = np.arange(lr_hsi.num_bands), np.arange(hr_msi.num_bands)
        mixing = np.eye(lr_hsi.num_bands)
    images = Observation(
        _with_cube(lr_hsi, coarse, bands),
        _with_cube(hr_msi, filled(hr_msi.cube, holes["hr_msi"]), channels),
        scale,
    )
    return Repaired(
        observation=images,
        source=lr_hsi,
        sharp=hr_msi,
        findings=tuple(findings),
        bands=bands,
        channels=channels,
        num_channels=hr_msi.num_bands,
        mixing=mixing,
        holes=Holes(holes["lr_hsi"], holes["hr_msi"]),
    )


def _holes(name: str, scene: Scene) -> Mask | None:
    """The mask of a scene where it marks any pixel."""
    mask = scene.nodata_mask
    if mask is None or not mask.any():
        return None
    require_data(not mask.all(), name)
    return mask


def _require_usual_sizes(scene: Scene, hole: Mask | None, name: str) -> None:
    """Refuse values whose squares are none of float32."""
    values = scene.cube if hole is None else scene.cube[~hole]
    largest = max(float(values.max()), -float(values.min()))
    checks.require(
        largest <= LARGEST_VALUE,
        name,
        expected="values below 10^15, whose squares can be summed",
        received=f"about 10^{np.log10(max(largest, 1.0)):.0f}",
        remedy="mark fill values (hsr convert A B --nodata=VALUE), or divide by the white level",
    )


def _live(scene: Scene, hole: Mask | None) -> NDArray[np.int64]:
    """Indices of the bands that vary over the pixels with data and are not on the bad-band list; else all."""
    cube = scene.cube
    pixels = cube.reshape(-1, cube.shape[-1]) if hole is None else cube[~hole]
    varying = pixels.max(0) > pixels.min(0)
    if scene.good_bands is not None:
        varying &= scene.good_bands
    return np.flatnonzero(varying) if varying.any() else np.arange(cube.shape[-1])


def _mixing(bands: NDArray[np.int64], scene: Scene) -> NDArray[np.float64]:
    """M: every band by linear interpolation between the nearest that are left, over the wavelengths."""
    place = np.arange(scene.num_bands) if scene.wavelengths_nm is None else scene.wavelengths_nm
    order = bands[np.argsort(place[bands], kind="stable")]
    mixing = np.stack([np.interp(place, place[order], unit) for unit in np.eye(len(order))])
    mixing = mixing[np.argsort(order)]
    mixing[:, bands] = np.eye(len(bands))
    return mixing


def _with_cube(scene: Scene, cube: NDArray[np.float32], bands: NDArray[np.int64]) -> Scene:
    """The scene with another cube, of which the bands named are left, and no mask."""
    if len(bands) == scene.num_bands:
        return scene if cube is scene.cube else replace(scene, cube=cube, nodata_mask=None)
    return scene.with_bands(cube[..., bands], bands)


def _dead(name: str, word: str, scene: Scene, left: NDArray[np.int64], done: str) -> list[Defect]:
    out = np.setdiff1d(np.arange(scene.num_bands), left)
    listed = out[:0] if scene.good_bands is None else out[~scene.good_bands[out]]
    dead = np.setdiff1d(out, listed)
    defects = []
    if len(dead):
        values = "all zero" if not scene.cube[..., dead].any() else "constant"
        bands = f"{len(dead)} dead {_plural(word, dead)} {_named(dead, scene)}"
        defects.append(Defect(DEAD, f"{name}: {bands} ({values})", done))
    if len(listed):
        bands = f"{len(listed)} {_plural(word, listed)} {_named(listed, scene)}"
        defects.append(Defect(LISTED, f"{name}: {bands} on the bad-band list of the file", done))
    return defects


def _saturated_samples(
    name: str, word: str, scene: Scene, left: NDArray[np.int64], hole: Mask | None
) -> list[Defect]:
    """The bands whose values pile up at their maximum, as one defect."""
    where = np.zeros(scene.shape[:2], bool)
    found = []
    for band in left:
        image = scene.cube[..., band]
        top = _saturated(image, hole)
        if top is None:
            continue
        at_top = (image == top) if hole is None else (image == top) & ~hole
        if not _is_flat(scene.cube, at_top, hole):
            where |= at_top
            found.append(int(band))
    if not found:
        return []
    bands = f"{_plural(word, found)} {_named(np.asarray(found), scene)}"
    place = "rows {} to {}, columns {} to {}".format(*_box(where))
    said = f"{name}: {int(where.sum())} pixels ({place}) at the maximum of {bands}: saturated"
    return [Defect(SATURATED, said, "kept")]


def _saturated(image: NDArray[np.float32], hole: Mask | None) -> float | None:
    """The value at which a band is saturated: twice as frequent as all just below it, or None."""
    values = image.ravel() if hole is None else image[~hole]
    top = values.max()
    count = int(np.count_nonzero(values == top))
    if count < max(FEWEST_SATURATED, SATURATED_SHARE * values.size) or count == values.size:
        return None
    below = values[values < top]
    next_value = below.max()
    near = np.count_nonzero(below >= min(next_value, top - 0.01 * (top - below.min())))
    return float(top) if count >= PILE * near else None


def _is_flat(cube: NDArray[np.float32], at_top: Mask, hole: Mask | None) -> bool:
    """Whether these pixels are alike in every band and below the maximum of some: a flat thing, no pile."""
    inside = cube[at_top]
    if (inside.max(0) > inside.min(0)).any():
        return False
    top = cube.max((0, 1)) if hole is None else cube[~hole].max(0)
    return bool((inside[0] < top).any())


def _box(mask: Mask) -> list[int]:
    """First and last row, first and last column of the pixels that are marked."""
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    return [int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1])]


def _plural(word: str, items: Sequence[int] | NDArray[np.int64]) -> str:
    return word if len(items) == 1 else f"{word}s"


def _named(bands: NDArray[np.int64], scene: Scene) -> str:
    """Band numbers from 1, with their wavelengths where these are known."""
    shown = [
        str(band + 1) if scene.wavelengths_nm is None else f"{band + 1} at {scene.wavelengths_nm[band]:g} nm"
        for band in bands[:NAMED]
    ]
    return ", ".join(shown) + (f" and {len(bands) - NAMED} more" if len(bands) > NAMED else "")
