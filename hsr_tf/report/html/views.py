"""What the page's own script draws: every version of the scene as coded bands, and how they become colours.

The precision is the finest of 10 to 14 bits a value with which the cubes fit the page; a scene that does not
fit, or is over a megapixel, is shown by every k-th row and column, with the values that these have.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_hex

from hsr_tf.report.html.band_coding import CodedCube, bits_a_value, coded
from hsr_tf.report.html.quality_maps import Quality
from hsr_tf.report.html.report_data import ReportData
from hsr_tf.report.render import (
    CUT_PERCENT,
    DISPLAY_GAMMA,
    DisplayBands,
    SpectralAxis,
    Stretch,
    choose_points,
    display_bands,
    display_groups,
    false_colour_bands,
    is_photograph,
)

MOST_PIXELS, MOST_TEXT = 1_100_000, 22_500_000
PRECISIONS = (14, 13, 12, 11, 10)
MAP_BITS = 10
SHARP, COARSE, FULL = "sharp", "coarse", "full"
COLOUR_MAPS = ("cividis", "viridis", "gray")


@dataclass(frozen=True, eq=False)
class Version:
    """One of the pictures that can be compared.

    Attributes:
        name: as it is shown.
        kind: "full" (an estimate or the truth), "coarse" or "sharp".
        cube: what is left of it for the view.
        pitch: full-size pixels a pixel of `cube` along one side.
    """

    name: str
    kind: str
    cube: np.ndarray
    pitch: int


@dataclass(frozen=True, eq=False)
class Views:
    """The versions of a scene as they are embedded.

    Attributes:
        versions: the pictures.
        codes: one a version.
        maps: one a map of the report's quality.
        stride: every so-many-th row and column of the full size is shown.
        bits: of a value.
        place: (row, column), multiples of the stride, where the spectra are shown at first.
    """

    versions: tuple[Version, ...]
    codes: tuple[CodedCube, ...]
    maps: tuple[CodedCube, ...]
    stride: int
    bits: int
    place: tuple[int, int]


def make_views(data: ReportData, found: Quality) -> Views:
    """Choose precision and stride, and code the versions and the maps."""
    stride = 1
    while (data.size[0] // stride) * (data.size[1] // stride) > MOST_PIXELS:
        stride += 1
    while True:
        versions = _versions(data, stride)
        shown = [
            part.values[::stride, ::stride] if part.values.shape == data.size[:2] else part.values
            for part in found.maps
        ]
        maps = tuple(coded(values[..., None], bits=MAP_BITS) for values in shown)
        bits = _finest(
            [version.cube for version in versions], MOST_TEXT - sum(len(code.text) for code in maps)
        )
        if bits is not None or min(data.size[:2]) // (stride + 1) < 16:
            break
        stride += 1
    bits = bits or PRECISIONS[-1]
    codes = tuple(coded(version.cube, bits=bits) for version in versions)
    return Views(versions, codes, maps, stride, bits, _first_place(data, found, stride))


def described(data: ReportData, views: Views) -> dict[str, Any]:
    """Everything but the bands themselves, as plain data for JSON."""
    axis = SpectralAxis.of(data.size[2], data.wavelengths_nm)
    wavelengths = data.wavelengths_nm
    srf = None if data.cameras is None else data.cameras.srf
    if srf is not None and (data.hr_msi is None or np.shape(srf) != (data.size[2], data.hr_msi.num_bands)):
        srf = None
    first = display_bands(data.size[2], wavelengths)
    presets = [("true" if first.true_colour else "spread", first)]
    if not is_photograph(data.size[2], wavelengths):
        presets.append(("false", false_colour_bands(data.size[2], wavelengths)))
    return {
        "height": data.size[0],
        "width": data.size[1],
        "stride": views.stride,
        "place": list(views.place),
        "spectra": [_spectrum(v, c, views.place) for v, c in zip(views.versions, views.codes, strict=True)],
        "wavelengths": None if wavelengths is None else [round(float(w), 3) for w in wavelengths],
        "axis": [int(band) for band in axis.bands],
        "presets": [_preset(data, *preset) for preset in presets],
        "limits": _limits(data, views).tolist(),
        "gamma": 1.0 if is_photograph(data.size[2], data.wavelengths_nm) else DISPLAY_GAMMA,
        # For each band the channel of the sharp image that sees most of it, where that is known.
        "channels": None if srf is None else np.argmax(srf, axis=1).tolist(),
        "truth": next((n for n, v in enumerate(views.versions) if v.name == "Truth"), None),
        "versions": [
            {"name": v.name, "kind": v.kind, "pitch": v.pitch, **_code(c)}
            for v, c in zip(views.versions, views.codes, strict=True)
        ],
        "maps": [_code(code) for code in views.maps],
        "palettes": {name: [to_hex(colormaps[name](i)) for i in range(256)] for name in COLOUR_MAPS},
    }


def _versions(data: ReportData, stride: int) -> tuple[Version, ...]:
    def thin(cube: np.ndarray, step: int, mask: np.ndarray | None = None) -> np.ndarray:
        part = cube[::step, ::step]
        return part if mask is None else np.where(mask[::step, ::step, None], np.nan, part)

    found = [Version(name, FULL, thin(cube, stride), stride) for name, cube in data.estimates.items()]
    if data.reference is not None:
        found.append(Version("Truth", FULL, thin(data.reference, stride), stride))
    if data.lr_hsi is not None and data.scale is not None:
        step = max(1, stride // data.scale)
        cube = thin(data.lr_hsi.cube, step, data.lr_hsi.nodata_mask)
        found.insert(0, Version("LR cube", COARSE, cube, step * data.scale))
    if data.hr_msi is not None:
        cube = thin(data.hr_msi.cube, stride, data.hr_msi.nodata_mask)
        found.insert(1, Version("Sharp image", SHARP, cube, stride))
    return tuple(found)


def _finest(cubes: list[np.ndarray], room: int) -> int | None:
    """The finest precision with which the cubes fit into so many letters; None where none does."""
    middle = PRECISIONS[len(PRECISIONS) // 2]
    needed, held = bits_a_value(cubes, bits=middle), sum(cube.size for cube in cubes)
    fits = (bits for bits in PRECISIONS if (needed + (bits - middle) * 4 / 3) * held / 8 <= room)
    return next(fits, None)


def _first_place(data: ReportData, found: Quality, stride: int) -> tuple[int, int]:
    """Where the estimates are off, or a bright place where that is not known."""
    whole = [part.values for part in found.maps if part.values.shape == data.size[:2]]
    cube = _measure(data)
    whole = [np.nan_to_num(values) for values in whole] or [np.ones(cube.shape[:2])]
    row, column = choose_points(cube, whole[:1], count=1)[0]
    return row - row % stride, column - column % stride


def _ends(stretch: Stretch) -> dict[str, list[float]]:
    ends = (("low", stretch.low), ("high", stretch.high))
    return {side: np.broadcast_to(values, 3).astype(float).tolist() for side, values in ends}


def _preset(data: ReportData, name: str, bands: DisplayBands) -> dict[str, Any]:
    """A composition of bands: which ones, and between which values their colours lie."""
    if is_photograph(data.size[2], data.wavelengths_nm):
        stretch = Stretch(np.zeros(()), np.full((), data.data_range))
    else:
        stretch = Stretch.of(bands.pick(_measure(data)), balanced=not bands.true_colour)
    result: dict[str, Any] = {"name": name, "bands": list(bands.indices), **_ends(stretch)}
    if data.hr_msi is not None:
        groups = display_groups(data.hr_msi.num_bands)
        shown = np.stack([data.hr_msi.cube[..., list(group)].mean(-1) for group in groups], -1)
        own = Stretch.of(np.nan_to_num(shown), balanced=not bands.true_colour)
        result["sharp"] = {"groups": [list(group) for group in groups], **_ends(own)}
    return result


def _measure(data: ReportData) -> np.ndarray:
    """The cube that scales of colours are taken from: the truth, else the first estimate."""
    return next(iter(data.estimates.values())) if data.reference is None else data.reference


def _limits(data: ReportData, views: Views) -> np.ndarray:
    """(C, 2): the values between which the colours of single bands lie, in every version.

    A photograph is stored as a screen shows it, so its limits are those of the data.
    """
    if is_photograph(data.size[2], data.wavelengths_nm):
        return np.tile([0.0, data.data_range], (3, 1))
    cube = _measure(data)[:: views.stride, :: views.stride].reshape(-1, data.size[2])
    low, high = np.percentile(cube, [CUT_PERCENT, 100 - CUT_PERCENT], axis=0)
    return np.stack([low, np.maximum(high, low + 1e-9)], axis=-1).astype(float).round(7)


def _spectrum(version: Version, code: CodedCube, place: tuple[int, int]) -> list[float | None]:
    """The spectrum at a place as the page would read it, so that it need not read every band at once."""
    row, column = (
        min(at // version.pitch, size - 1) for at, size in zip(place, version.cube.shape[:2], strict=True)
    )
    values = code.quantiser.inverse(code.quantiser.forward(version.cube[row, column]))
    return [None if np.isnan(value) else float(value) for value in values]


def _code(code: CodedCube) -> dict[str, Any]:
    return {
        **dict(zip(("height", "width", "bands"), code.shape, strict=True)),
        "low": code.quantiser.low,
        "step": code.quantiser.step,
        "starts": list(code.starts),
        "sizes": list(code.sizes),
    }


def texts(views: Views) -> Mapping[str, str]:
    """The coded bands by the name of their element in the page."""
    cubes = {f"cube-{number}": code.text for number, code in enumerate(views.codes)}
    return {**cubes, **{f"map-data-{number}": code.text for number, code in enumerate(views.maps)}}
