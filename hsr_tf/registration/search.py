"""The first stage of a registration: a search over rotations, mirror images, ratios and shifts.

For each rotation, mirror image and ratio the sharp image is brought to the coarse pixels and correlated
with the coarse cube for all shifts at once by the masked cross-correlation of Padfield, IEEE TIP 21(5),
2012 (doi:10.1109/TIP.2011.2181402). Departure: several band-passed channels are regressed on several
components of the cube (multiple correlation), as the response is not known. Places are ranked by -n log(1 -
R^2), with n the number of coarse pixels that both cover, the logarithm of the likelihood ratio. Features as
of SIFT would need more pixels than a small cube has.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from hsr_tf.physics.psf import FWHM_PER_SIGMA
from hsr_tf.registration.match import NUM_COMPONENTS, band_passed, filtered_components, principal
from hsr_tf.registration.pyramid import Evidence, blurred
from hsr_tf.typing import Array, Mask

LARGEST_SIDE, STEP, FEWEST_SHARED = 32, 4.0, 64
SMALLEST_SHARE, SAFE_SHARE, SAFE_PIXELS, SPARE = 0.5, 0.75, 400, 0.9
SMALLEST_ENERGY = 1e-2
KEPT_PLACES, LOBE = 2, 3


@dataclass(frozen=True, eq=False)
class Candidate:
    """A transform that the search has found.

    Attributes:
        matrix: (3, 3) between the pixels of the evidence.
        gain: -n log(1 - R^2).
    """

    matrix: Array
    gain: float


class Search:
    """The search for one pair.

    Args:
        pair: the reduced images.
        side: the coarse cube is averaged to at most so many pixels a side.
        step: by so many coarse pixels a side is moved from one rotation or ratio to the next.
    """

    def __init__(self, pair: Evidence, side: int = LARGEST_SIDE, step: float = STEP) -> None:
        self._pair, self._apart = pair, step
        self._step = max(1, -(-max(pair.size) // side))
        cube, self._inside = _averaged(pair.components, pair.valid, self._step)
        self._components = filtered_components(cube, self._inside)
        self._side = max(cube.shape[:2])
        pixels = pair.channels.reshape(-1, pair.channels.shape[2])
        scores, _ = principal(pixels, NUM_COMPONENTS)
        self._channels = scores.reshape(*pair.channels.shape[:2], -1)
        self._transformed: dict[tuple[int, ...], tuple[Array, Array, Array]] = {}

    def angles(self) -> Array:
        """Rotations in degrees, so close that no side moves by more than a step in between."""
        number = int(np.ceil(2 * np.pi * self._side / self._apart / 4) * 4)
        return np.arange(number) * 360 / number

    def ratios(self, low: float, high: float) -> Array:
        """Ratios from low to high, as close."""
        number = max(1, int(np.ceil(np.log(high / low) * self._side / self._apart)) + 1)
        return np.geomspace(low, high, number)

    def candidates(self, ratios: Sequence[float], angles: Sequence[float], *, most: int) -> list[Candidate]:
        """The best places of all, the best first.

        Args:
            ratios: pixels of the reduced sharp image per pixel of the reduced coarse one.
            angles: in degrees.
            most: that are kept.
        """
        found: list[Candidate] = []
        for ratio in ratios:
            image = self._seen(ratio)
            self._longest = int(np.ceil(np.hypot(*image.shape[:2]) / (ratio * self._step))) + 2
            for angle in angles:
                for mirrored in (False, True):
                    found += self._placed(image, ratio, angle, mirrored=mirrored)
            found = _apart(found, most, self._pair.size)
        return found

    def _seen(self, ratio: float) -> Array:
        """The sharp channels blurred to a ratio, as splines of first order need no filter."""
        sigma = ratio * self._step / FWHM_PER_SIGMA
        return blurred(self._channels, sigma)

    def _placed(self, image: Array, ratio: float, angle: float, *, mirrored: bool) -> Iterator[Candidate]:
        """The best shifts at one rotation and ratio."""
        slope = ratio * self._step * _rotation(angle) @ np.diag([1.0, -1.0 if mirrored else 1.0])
        middle = np.array(image.shape[:2]) / 2
        # A grid of coarse pixels around the middle of the sharp image that covers all of it.
        half = np.abs(np.linalg.inv(slope)) @ middle
        size = np.ceil(2 * half).astype(int)
        rows, cols = (np.arange(n) + 0.5 - n / 2 for n in size)
        mesh = np.stack(np.meshgrid(rows, cols, indexing="ij"), -1)
        where = mesh @ slope.T + middle - 0.5
        limits = np.array(image.shape[:2]) - 0.5
        inside = ((where >= -0.5) & (where <= limits)).all(-1)
        near = np.clip(np.rint(where).astype(int), 0, np.array(image.shape[:2]) - 1)
        inside &= self._pair.sharp_valid[near[..., 0], near[..., 1]]
        if inside.sum() < FEWEST_SHARED:
            return
        planes = [
            ndimage.map_coordinates(image[..., c], np.moveaxis(where, -1, 0), order=1, mode="nearest")
            for c in range(image.shape[2])
        ]
        cells = band_passed(np.stack(planes, -1), inside)
        gains = self._gains(cells, inside)
        for _ in range(KEPT_PLACES):
            row, col = np.unravel_index(np.argmax(gains), gains.shape)
            if gains[row, col] <= 0:
                return
            # The coarse pixel 0 lies at this pixel of the grid.
            first = np.array([row, col]) - np.array(self._inside.shape) + 1
            origin = (first - size / 2) @ slope.T + middle
            matrix = np.eye(3)
            matrix[:2, :2], matrix[:2, 2] = slope / self._step, origin
            yield Candidate(matrix, float(gains[row, col]))
            gains[max(0, row - LOBE) : row + LOBE + 1, max(0, col - LOBE) : col + LOBE + 1] = 0

    def _cube_transformed(self, size: tuple[int, ...]) -> tuple[Array, Array, Array]:
        """Transforms of the components, of where they are known, and of their products, all reversed."""
        flipped = self._components[::-1, ::-1]
        inside = _transformed(self._inside[::-1, ::-1], size)
        first, second = np.triu_indices(flipped.shape[2])
        products = flipped[..., first] * flipped[..., second]
        return _transformed(flipped, size), inside, _transformed(products, size)

    def _gains(self, cells: Array, inside: Mask) -> Array:
        """-n log(1 - R^2) for all places of the coarse cube on a grid, with at least a part in common."""
        height, width = self._inside.shape
        longest = self._longest
        size = tuple(fft.next_fast_len(longest + n - 1, real=True) for n in (height, width))
        if size not in self._transformed:
            self._transformed = {size: self._cube_transformed(size)}
        first, first_mask, first_products = self._transformed[size]
        second, second_mask = _transformed(cells, size), _transformed(inside, size)
        second_energy = _transformed(np.square(cells).sum(-1), size)

        def back(product: Array) -> Array:
            whole = fft.irfft2(product, size, axes=(0, 1))
            return np.asarray(whole[: inside.shape[0] + height - 1, : inside.shape[1] + width - 1])

        shared = np.rint(back(first_mask * second_mask))
        areas = int(self._inside.sum()), int(inside.sum())
        kept = shared >= max(FEWEST_SHARED, SPARE * fewest_shared(min(areas), self._step))
        gains = np.zeros(shared.shape)
        if not kept.any():
            return gains
        energy = back(first_mask * second_energy)[kept]
        number = first.shape[2]
        moments = np.stack([back(first * second[..., c, None])[kept] for c in range(cells.shape[2])], 2)
        # Components are orthogonal over the whole cube, not over what is shared of it.
        normal = np.empty((len(energy), number, number))
        rows, cols = np.triu_indices(number)
        normal[:, rows, cols] = normal[:, cols, rows] = back(second_mask[..., None] * first_products)[kept]
        normal += SMALLEST_ENERGY * np.eye(number)
        fitted = np.linalg.solve(normal, moments)
        explained = (fitted * moments).sum((1, 2)) / np.maximum(energy, max(1e-3 * energy.max(), 1e-20))
        gains[kept] = -shared[kept] * np.log1p(-np.clip(explained, 0, 1 - 1e-6))
        return gains


def fewest_shared(most: int, step: int = 1) -> float:
    """How many coarse pixels both images have to show of the smaller of two areas: of few nearly all.

    Args:
        most: coarse pixels of the smaller area.
        step: over how many the images are averaged along one side.
    """
    return min(SAFE_SHARE * most, max(SMALLEST_SHARE * most, SAFE_PIXELS / step**2))


def _transformed(image: NDArray[Any], size: tuple[int, ...]) -> Array:
    return np.asarray(fft.rfft2(image.astype(np.float32), size, axes=(0, 1)))


def _apart(found: list[Candidate], most: int, size: tuple[int, int]) -> list[Candidate]:
    """The best of those that differ by more than two coarse pixels somewhere."""
    rows, cols = size
    corners = np.array([(0, 0, 1), (0, cols, 1), (rows, 0, 1), (rows, cols, 1)], float)
    kept: list[Candidate] = []
    for one in sorted(found, key=lambda candidate: -candidate.gain):
        here = corners @ one.matrix[:2].T
        ratio = np.sqrt(abs(np.linalg.det(one.matrix[:2, :2])))
        if all(np.abs(here - corners @ other.matrix[:2].T).max() > 2 * ratio for other in kept):
            kept.append(one)
        if len(kept) == most:
            break
    return kept


def _averaged(cube: Array, inside: Mask, step: int) -> tuple[Array, Mask]:
    if step == 1:
        return cube, inside
    rows, cols = (n // step for n in inside.shape)
    means = cube[: rows * step, : cols * step].reshape(rows, step, cols, step, -1).mean((1, 3))
    cells = inside[: rows * step, : cols * step].reshape(rows, step, cols, step)
    return means, np.asarray(cells.all((1, 3)))


def _rotation(degrees: float) -> Array:
    angle = np.deg2rad(degrees)
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
