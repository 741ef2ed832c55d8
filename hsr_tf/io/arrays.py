"""Files of several named arrays (HDF5, NetCDF, MATLAB, NumPy): which is the cube, and how its axes lie."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsr_tf.checks import file_error, require
from hsr_tf.io.source import PartReader

AXES = ("band", "row", "col")
WHITE_LEVEL_NAMES = ("white_level", "reflectance_scale", "scale")
SMALLEST_SCALE = 255
FEW_BANDS, LESS_ELONGATED = 0.6, 1.5


def parse_layout(layout: str) -> tuple[int, int, int]:
    """Return the positions of (band, row, col) in a layout such as "row,col,band".

    Raises:
        ValueError: it does not name each of the three axes once.
    """
    words = tuple(word.strip().lower() for word in layout.split(","))
    require(
        sorted(words) == sorted(AXES),
        "layout",
        expected="the words band, row and col in the order of the axes",
        received=repr(layout),
        remedy='write e.g. "band,row,col" or "row,col,band"',
    )
    band, row, col = (words.index(axis) for axis in AXES)
    return band, row, col


def kept_axes(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the positions of the axes that are left when axes of length one beyond the third are dropped."""
    axes = list(range(len(shape)))
    for axis, length in enumerate(shape):
        if length == 1 and len(axes) > 3:
            axes.remove(axis)
    return tuple(axes)


class Squeezed:
    """An array of more than three axes without axes of length one, such as a time axis.

    Args:
        array: with `shape`, `dtype` and windows of slices; a data set of HDF5, for example.
    """

    def __init__(self, array: Any) -> None:
        self._array, self._kept = array, kept_axes(tuple(array.shape))
        self.shape = tuple(int(array.shape[axis]) for axis in self._kept)
        self.ndim, self.dtype = len(self.shape), array.dtype

    def __getitem__(self, window: Any) -> NDArray[Any]:
        full: list[Any] = [0] * len(self._array.shape)
        for axis, part in zip(self._kept, window, strict=True):
            full[axis] = part
        return np.asarray(self._array[tuple(full)])


def likely_layout(shape: tuple[int, ...], default: str) -> str:
    """Return the order of the axes of an array that states none, from their lengths.

    It is the default, "band,row,col" or "row,col,band", unless the other of the two is much more likely: its
    image is square and that of the default is not, or it has fewer bands than rows and columns and an image
    that is clearly less elongated.
    """
    orders = {"band,row,col": (0, (1, 2)), "row,col,band": (2, (0, 1))}
    if len(shape) != 3 or default not in orders or min(shape) < 1:
        return default
    other = next(order for order in orders if order != default)
    (_, usual), (band, image) = orders[default], orders[other]
    elongations = [abs(math.log(shape[first] / shape[second])) for first, second in (usual, image)]
    sides = [shape[axis] for axis in image]
    is_square = elongations[1] == 0 and elongations[0] > 0 and min(sides) > 1
    few_bands = shape[band] < FEW_BANDS * min(sides)
    less_elongated = elongations[1] + math.log(LESS_ELONGATED) < elongations[0]
    return other if is_square or (few_bands and less_elongated) else default


def axes_guess(shape: tuple[int, ...], layout: str) -> tuple[str, str]:
    """Return what is said where the order of the axes follows from their lengths, and what to do."""
    size = "x".join(map(str, shape))
    other = "row,col,band" if layout.startswith("band") else "band,row,col"
    found = f"the file does not state the order of its axes; {size} is taken as {layout} from the lengths"
    return found, f"if it is wrong, give --layout={other}"


def band_reader(array: Any, layout: str) -> tuple[tuple[int, int, int], PartReader]:
    """Return (H, W, C) of an array or data set and a function that reads a part of it as (bands, rows,
    columns).

    A 2-D one is a single band; its rows come first unless `layout` names the columns first.
    """
    band, row, col = parse_layout(layout)
    if array.ndim == 2:
        order = (1, 0) if col < row else (0, 1)

        def read_band(_bands: slice, rows: slice, cols: slice) -> NDArray[Any]:
            part = (rows, cols) if order == (0, 1) else (cols, rows)
            return np.asarray(array[part]).transpose(order)[None]

        return (int(array.shape[order[0]]), int(array.shape[order[1]]), 1), read_band

    def read(bands: slice, rows: slice, cols: slice) -> NDArray[Any]:
        window = [slice(None)] * 3
        window[band], window[row], window[col] = bands, rows, cols
        return np.asarray(array[tuple(window)]).transpose(band, row, col)

    bands, height, width = (int(array.shape[axis]) for axis in (band, row, col))
    return (height, width, bands), read


def choose_key(
    path: Path, shapes: Mapping[str, tuple[int, ...]], key: str | None, *, preferred: tuple[str, ...]
) -> str:
    """Return which of several named arrays is the cube: the key, else a preferred 3-D one, else the only 3-D
    one. Axes of length one beyond the third do not count.

    Raises:
        OSError: none fits; the message lists the names with their shapes.
    """
    shapes = {name: tuple(shape[axis] for axis in kept_axes(shape)) for name, shape in shapes.items()}
    listed = ", ".join(f"{name} {tuple(shape)}" for name, shape in sorted(shapes.items()))
    held = listed or "no arrays of numbers"
    if key is not None:
        if key not in shapes:
            raise file_error(path, f"has no array {key!r}", f"give the key of one of these: {held}")
        if len(shapes[key]) not in (2, 3):
            problem = f"array {key!r} has {len(shapes[key])} dimensions, not 3"
            raise file_error(path, problem, f"give the key of a cube; the file holds {held}")
        return key
    cubes = [name for name, shape in shapes.items() if len(shape) == 3]
    known = [name for name in preferred if name in cubes]
    if not known and len(cubes) != 1:
        problem = f"holds {len(cubes)} 3-D arrays" if cubes else "holds no 3-D array"
        raise file_error(path, problem, f"give the key of the cube; the file holds {held}")
    return (known or cubes)[0]


def find_white_level(path: Path, values: Mapping[str, Any], *, given: float | None) -> float | None:
    """Return the stored value that stands for 1.0: `white_level`, `reflectance_scale`, or a `scale` of at
    least 255.

    A smaller `scale` is a ratio of pixel sizes and no white level. None if the caller gives another one.

    Raises:
        OSError: it is there and is no positive number.
    """
    name = next((name for name in WHITE_LEVEL_NAMES if name in values), None)
    if name is None or given is not None:
        return None
    try:
        level = float(np.asarray(values[name]).reshape(()))
    except (TypeError, ValueError):
        level = np.nan
    if name == "scale" and not level >= SMALLEST_SCALE:
        return None
    if not (np.isfinite(level) and level > 0):
        raise file_error(path, f"its {name} is {values[name]!r}, not a positive number", "give white_level")
    return level


def plain_value(value: Any) -> Any:
    """Return an attribute of HDF5 or NetCDF as a Python number, text or array."""
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    return value.item() if isinstance(value, np.generic) else value


def metadata_to_text(metadata: Mapping[str, Any]) -> str:
    """Return metadata as JSON text; what JSON does not know is written as its text."""
    plain = {
        str(name): value.tolist() if isinstance(value, np.ndarray | np.generic) else value
        for name, value in metadata.items()
    }
    return json.dumps(plain, default=str)
