"""The map between the pixel grids of two images: a 3 x 3 matrix, and on request a smooth local displacement.

Places are (row, column), counted in pixels from the outer corner of the first one, as in
`hsr_tf.geo.georeference`: the middle of the first pixel lies at (1/2, 1/2).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsr_tf import checks
from hsr_tf.files import write_json
from hsr_tf.geo.nesting import PixelMap, Places
from hsr_tf.imports import deferred
from hsr_tf.typing import Array
from hsr_tf.wording import number, signed

ndimage = deferred("scipy.ndimage")

FORMAT, VERSION = "hsr_tf transform", 1
SMALLEST_ANGLE, SMALLEST_STRETCH, SMALLEST_SHIFT, SMALLEST_BEND = 0.005, 2e-4, 0.05, 0.05
INVERSE_STEPS = 20
FIELDS = {"matrix", "lr_size", "hr_size"}


@dataclass(frozen=True, eq=False)
class Transform:
    """Where the places of a coarse image lie in a sharp one.

    Args:
        matrix: (3, 3); the place (r, c) of the coarse image lies at (r', c') / w of the sharp one, with
            (r', c', w) = matrix (r, c, 1).
        lr_size, hr_size: (rows, columns) of both images.
        displacement: (n, m, 2) sharp pixels that are added, at n x m nodes from corner to corner of the
            coarse image, between them by a cubic spline; None for none.

    Raises:
        ValueError: a matrix that is not finite, or that folds the coarse image.
    """

    matrix: Array
    lr_size: tuple[int, int]
    hr_size: tuple[int, int]
    displacement: Array | None = None

    def __post_init__(self) -> None:
        matrix = np.asarray(self.matrix, float)
        checks.require(
            is_usable(matrix, self.lr_size),
            "matrix",
            expected="a 3 x 3 matrix of finite numbers that maps the coarse image without folding it",
            received=str(np.asarray(self.matrix).tolist()),
            remedy="register the images anew (hsr register)",
        )
        object.__setattr__(self, "matrix", matrix / matrix[2, 2])
        if self.displacement is not None:
            field = np.asarray(self.displacement, float)
            checks.require(
                field.ndim == 3 and field.shape[2] == 2 and min(field.shape[:2]) >= 2,
                "displacement",
                expected="(n, m, 2) numbers at 2 x 2 nodes at least",
                received=f"shape {field.shape}",
                remedy="register the images anew (hsr register --displacement)",
            )
            checks.require_finite("displacement", field)
            object.__setattr__(self, "displacement", field)

    @classmethod
    def by_size(cls, lr_size: tuple[int, int], hr_size: tuple[int, int]) -> Transform:
        """The transform of two images that show the same ground edge to edge."""
        rows, cols = (large / small for large, small in zip(hr_size, lr_size, strict=True))
        return cls(np.diag([rows, cols, 1.0]), lr_size, hr_size)

    def to_sharp(self, places: Places) -> Places:
        """Places (n, 2) of the coarse image in the sharp one."""
        moved = _projected(self.matrix, places)
        return moved if self.displacement is None else moved + self.displaced(places)

    def to_coarse(self, places: Places) -> Places:
        """Places (n, 2) of the sharp image in the coarse one: the inverse of `to_sharp`, to 1e-6 pixels."""
        inverse = np.asarray(np.linalg.inv(self.matrix), np.float64)
        found = _projected(inverse, places)
        if self.displacement is not None:
            for _ in range(INVERSE_STEPS):
                found = _projected(inverse, places - self.displaced(found))
        return found

    def displaced(self, places: Places) -> Places:
        """The displacement in sharp pixels at places (n, 2) of the coarse image; zero without one."""
        if self.displacement is None:
            return np.zeros_like(places)
        nodes = np.array(self.displacement.shape[:2]) - 1
        where = np.clip(places / np.array(self.lr_size), 0, 1) * nodes
        order = min(3, int(nodes.min()))
        parts = [
            ndimage.map_coordinates(self.displacement[..., axis], where.T, order=order, mode="nearest")
            for axis in (0, 1)
        ]
        return np.stack(parts, 1)

    @property
    def pixel_map(self) -> PixelMap:
        """The same for `hsr_tf.geo.nesting`."""
        straight = self.displacement is None and bool(np.abs(self.matrix[2, :2]).max() == 0)
        return PixelMap(self.to_sharp, straight)

    @property
    def slope(self) -> NDArray[np.float64]:
        """(2, 2) sharp rows and columns (first axis) per coarse row and column, in the middle."""
        return self.pixel_map.slope(self.lr_size)

    @property
    def ratio(self) -> float:
        """Sharp pixels per coarse pixel along one side, in the middle."""
        return float(np.sqrt(abs(np.linalg.det(self.slope))))

    @property
    def is_mirrored(self) -> bool:
        """Whether one image shows the other from behind."""
        return bool(np.linalg.det(self.slope) < 0)

    @property
    def rotation_degrees(self) -> float:
        """By which the sharp image is rotated, counterclockwise as seen; of a mirrored one after a left-right
        flip."""
        slope = self.slope * ([1, -1] if self.is_mirrored else [1, 1])
        return float(np.rad2deg(np.arctan2(slope[0, 1] * -1 + slope[1, 0], slope[0, 0] + slope[1, 1])))

    @property
    def shift(self) -> tuple[float, float]:
        """(rows, columns) in sharp pixels by which the middles of the two images lie apart."""
        middle = np.array(self.lr_size, float)[None] / 2
        row, col = self.to_sharp(middle)[0] - np.array(self.hr_size) / 2
        return float(row), float(col)

    def largest_gap(self, other: Transform) -> float:
        """The largest distance in sharp pixels between what two transforms make of the coarse image."""
        rows, cols = (np.linspace(0, n, 9) for n in self.lr_size)
        mesh = np.stack(np.meshgrid(rows, cols, indexing="ij"), -1).reshape(-1, 2)
        return float(np.linalg.norm(self.to_sharp(mesh) - other.to_sharp(mesh), axis=1).max())

    @property
    def line(self) -> str:
        """The transform in words."""
        slope, parts = self.slope, []
        if self.is_mirrored:
            parts.append("mirrored (left to right)")
        if abs(self.rotation_degrees) >= SMALLEST_ANGLE:
            parts.append(f"rotated by {self.rotation_degrees:.2f} degrees")
        if max(map(abs, self.shift)) >= SMALLEST_SHIFT:
            parts.append(f"shifted by ({signed(self.shift[0])}, {signed(self.shift[1])}) sharp pixels")
        parts.append(f"ratio {self.ratio:.2f}")
        axes = np.linalg.svd(slope, compute_uv=False)
        if axes[0] / axes[1] - 1 >= SMALLEST_STRETCH * 10:
            parts.append(f"stretched by {number(100 * float(axes[0] / axes[1] - 1))} %")
        if self.bend >= SMALLEST_BEND:
            parts.append(f"perspective of {self.bend:.2f} sharp pixels")
        if self.displacement is not None:
            largest = float(np.linalg.norm(self.displacement, axis=2).max())
            parts.append(f"displaced locally by up to {largest:.2f} sharp pixels")
        return ", ".join(parts)

    @property
    def bend(self) -> float:
        """By how many sharp pixels the matrix differs from its affine part at most."""
        middle = np.array(self.lr_size, float) / 2
        flat = replace(self, displacement=None)
        slope, centre = flat.slope, flat.to_sharp(middle[None])[0]
        corners = np.array([(r, c) for r in (0, self.lr_size[0]) for c in (0, self.lr_size[1])], float)
        straight = (corners - middle) @ slope.T + centre
        return float(np.linalg.norm(flat.to_sharp(corners) - straight, axis=1).max())

    def as_dict(self) -> dict[str, Any]:
        """The transform as it is saved."""
        data: dict[str, Any] = {
            "format": FORMAT,
            "version": VERSION,
            "matrix": self.matrix.tolist(),
            "lr_size": list(self.lr_size),
            "hr_size": list(self.hr_size),
        }
        if self.displacement is not None:
            data["displacement"] = self.displacement.tolist()
        return data

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Transform:
        """The inverse of `as_dict`.

        Raises:
            ValueError, TypeError, LookupError: data of something else.
        """
        sizes = [(int(data[name][0]), int(data[name][1])) for name in ("lr_size", "hr_size")]
        if min(map(min, sizes)) < 1:
            raise ValueError("sizes have to be positive")
        return cls(np.array(data["matrix"], float), sizes[0], sizes[1], data.get("displacement"))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the transform as JSON.

        Raises:
            OSError: the file cannot be written.
        """
        write_json(Path(path), self.as_dict())

    def fits(self, lr_size: tuple[int, int], hr_size: tuple[int, int]) -> Transform:
        """The transform itself, of images of these sizes.

        Raises:
            ValueError: images of other sizes than those that it was found from.
        """
        checks.require(
            (self.lr_size, self.hr_size) == (tuple(lr_size), tuple(hr_size)),
            "transform",
            expected=f"one between images of {_size(lr_size)} and {_size(hr_size)} pixels",
            received=f"one between {_size(self.lr_size)} and {_size(self.hr_size)}",
            remedy="register these two images (hsr register)",
        )
        return self


def is_usable(matrix: Array, lr_size: tuple[int, int]) -> bool:
    """Whether a matrix is finite and 3 x 3, and maps a coarse image of this size without folding it."""
    if matrix.shape != (3, 3) or not np.isfinite(matrix).all() or abs(float(np.linalg.det(matrix))) <= 1e-12:
        return False
    corners = np.array([(r, c, 1.0) for r in (0, lr_size[0]) for c in (0, lr_size[1])])
    return bool((corners @ matrix[2] > 0).all())


def load_transform(path: str | os.PathLike[str]) -> Transform:
    """Read a transform that `Transform.save` wrote.

    Raises:
        OSError: a file that is missing or holds no transform.
    """
    remedy = "give a file that hsr register has written"
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise checks.file_error(path, "no such file", remedy) from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise checks.file_error(path, f"cannot be read as JSON ({error})", remedy) from error
    if not isinstance(data, Mapping) or data.get("format") != FORMAT or not data.keys() >= FIELDS:
        raise checks.file_error(path, "holds no transform", remedy)
    try:
        return Transform.of(data)
    except (ValueError, TypeError, LookupError) as error:
        raise checks.file_error(path, f"holds no usable transform ({error})", remedy) from error


def _projected(matrix: Array, places: Places) -> Places:
    moved = places @ matrix[:, :2].T + matrix[:, 2]
    return np.asarray(moved[:, :2] / moved[:, 2:], np.float64)


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
