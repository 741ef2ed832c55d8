"""What a picture shows of a cube: display colours, a contrast stretch, pixels whose spectra are worth a look.

Colours are those of single bands, so "true colour" is approximate. All is plain NumPy and deterministic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Triple = tuple[float, float, float]
VISIBLE_NM = (640.0, 550.0, 460.0)
VISIBLE_TOLERANCE_NM = 25.0
FALSE_COLOUR_POSITIONS = (5 / 6, 3 / 6, 1 / 6)
INFRARED_NM = (860.0, 650.0, 550.0)
WIDE_POSITIONS = (0.95, 0.65, 0.08)
DISPLAY_GAMMA = 2.2
CUT_PERCENT = 0.5


@dataclass(frozen=True)
class DisplayBands:
    """The three bands shown as red, green and blue; `true_colour` when they are near 640, 550 and 460 nm."""

    indices: tuple[int, int, int]
    true_colour: bool

    def pick(self, cube: np.ndarray) -> np.ndarray:
        """The three bands of a cube (H, W, C): (H, W, 3)."""
        return cube[..., list(self.indices)]


@dataclass(frozen=True, eq=False)
class Stretch:
    """A map of display bands to [0, 1]: `low` becomes black and `high` full, with gamma 2.2 between them."""

    low: np.ndarray
    high: np.ndarray

    @classmethod
    def of(cls, channels: np.ndarray, *, balanced: bool) -> Stretch:
        """The stretch that cuts 0.5 % of the values at either end of (H, W, n).

        With `balanced` every channel is cut by itself, which balances colours too; else all are cut alike.
        """
        axis = (0, 1) if balanced else None
        low, high = np.percentile(channels, [CUT_PERCENT, 100 - CUT_PERCENT], axis=axis)
        return cls(np.asarray(low), np.maximum(high, low + 1e-9))

    def apply(self, channels: np.ndarray) -> np.ndarray:
        """Display values in [0, 1], of the shape given."""
        return np.clip((channels - self.low) / (self.high - self.low), 0.0, 1.0) ** (1.0 / DISPLAY_GAMMA)


@dataclass(frozen=True, eq=False)
class SpectralAxis:
    """The axis of spectra: wavelengths in nanometres, or band numbers from 1 where they are not known.

    Attributes:
        positions: places along the axis, increasing; NaN where a curve breaks as bands were taken out.
        bands: the band of each place, -1 at a break.
    """

    positions: np.ndarray
    bands: np.ndarray

    @classmethod
    def of(cls, num_bands: int, wavelengths_nm: np.ndarray | None) -> SpectralAxis:
        """A curve breaks where a step is over four times the median step."""
        if wavelengths_nm is None:
            return cls(np.arange(1.0, num_bands + 1), np.arange(num_bands))
        order = np.argsort(wavelengths_nm, kind="stable")
        positions = np.asarray(wavelengths_nm, np.float64)[order]
        steps = np.diff(positions)
        gaps = np.flatnonzero(steps > 4 * np.median(steps)) + 1 if steps.size else np.zeros(0, np.intp)
        return cls(np.insert(positions, gaps, np.nan), np.insert(order, gaps, -1))

    def arrange(self, values: np.ndarray) -> np.ndarray:
        """One value a band in the order of the places, NaN at the breaks."""
        return np.where(self.bands < 0, np.nan, np.asarray(values, np.float64)[self.bands])


def false_colour_bands(num_bands: int, wavelengths_nm: np.ndarray | None) -> DisplayBands:
    """Near infrared, red and green (860, 650, 550 nm) as red, green and blue, as maps of vegetation have it.

    Where the cube does not reach that far, a band near the long end, one in the middle and one near the
    short end, further apart than those of `display_bands`.
    """
    infrared = _bands_near(wavelengths_nm, INFRARED_NM)
    return DisplayBands(infrared or _bands_at(num_bands, wavelengths_nm, WIDE_POSITIONS), true_colour=False)


def is_photograph(num_bands: int, wavelengths_nm: np.ndarray | None) -> bool:
    """Whether the bands are the red, green and blue of a photograph: three of unknown wavelength."""
    return num_bands == 3 and wavelengths_nm is None


def display_bands(num_bands: int, wavelengths_nm: np.ndarray | None) -> DisplayBands:
    """The bands nearest 640, 550 and 460 nm or, where one is over 25 nm off, three evenly spread.

    Three bands without wavelengths are red, green and blue, as in a photograph.
    """
    if is_photograph(num_bands, wavelengths_nm):
        return DisplayBands((0, 1, 2), true_colour=True)
    visible = _bands_near(wavelengths_nm, VISIBLE_NM)
    spread = _bands_at(num_bands, wavelengths_nm, FALSE_COLOUR_POSITIONS)
    return DisplayBands(visible or spread, true_colour=visible is not None)


def _bands_near(wavelengths_nm: np.ndarray | None, wanted_nm: Triple) -> tuple[int, int, int] | None:
    """The bands nearest these wavelengths; None where one is over 25 nm off."""
    if wavelengths_nm is None:
        return None
    distance = np.abs(np.asarray(wavelengths_nm)[None, :] - np.asarray(wanted_nm)[:, None])
    first, second, third = (int(i) for i in distance.argmin(axis=1))
    return (first, second, third) if distance.min(axis=1).max() <= VISIBLE_TOLERANCE_NM else None


def _bands_at(num_bands: int, wavelengths_nm: np.ndarray | None, positions: Triple) -> tuple[int, int, int]:
    """The bands at these positions, from 0 to 1, along the axis of wavelengths."""
    order = np.arange(num_bands) if wavelengths_nm is None else np.argsort(wavelengths_nm, kind="stable")
    first, second, third = (int(order[int(position * num_bands)]) for position in positions)
    return first, second, third


def display_channels(image: np.ndarray, channels: tuple[int, int, int] | None) -> np.ndarray:
    """The colour image's display channels (H, W, 3): those named, else by the number of channels it has.

    One or two channels give grey; three are red, green and blue; of more, which satellites order from short
    to long wavelengths, the first three are blue, green and red.
    """
    groups = display_groups(image.shape[-1]) if channels is None else [(channel,) for channel in channels]
    return np.stack([image[..., list(group)].mean(axis=-1) for group in groups], axis=-1)


def display_groups(num_channels: int) -> list[tuple[int, ...]]:
    """The channels whose means `display_channels` shows as red, green and blue."""
    if num_channels < 3:
        return [tuple(range(num_channels))] * 3
    return [(0,), (1,), (2,)] if num_channels == 3 else [(2,), (1,), (0,)]


def preview(reference: np.ndarray, estimate: np.ndarray, wavelengths_nm: np.ndarray | None) -> np.ndarray:
    """Truth, estimate and absolute error side by side, (H, 3 W, 3) uint8, for logs.

    The error is the mean over bands, full white at a hundredth of the data range, on a square-root scale.
    """
    bands = display_bands(reference.shape[-1], wavelengths_nm)
    stretch = Stretch.of(bands.pick(reference), balanced=not bands.true_colour)
    error = np.sqrt(np.clip(np.abs(estimate - reference).mean(-1, keepdims=True) / 0.01, 0.0, 1.0))
    shown = [stretch.apply(bands.pick(cube)) for cube in (reference, estimate)]
    return np.round(255 * np.concatenate([*shown, np.repeat(error, 3, -1)], axis=1)).astype(np.uint8)


def choose_points(
    reference: np.ndarray, error_maps: Sequence[np.ndarray], *, count: int = 3
) -> list[tuple[int, int]]:
    """Pixels (row, column) where the estimates are off and whose true spectra differ, the worst one first.

    The scene is cut into cells; candidates are the bright ones off the border among the worst third by mean
    error, every estimate counting alike. After the worst cell comes, each time, the one whose spectrum has
    the largest angle to those chosen, at least a sixth of the image's diagonal away if there is such a cell.
    """
    edges = [np.unique(np.linspace(0, n, min(n, 32) + 1).astype(int)) for n in reference.shape[:2]]
    rows, columns = ((one[:-1] + one[1:]) // 2 for one in edges)
    error = np.mean([error / max(error.mean(), 1e-12) for error in error_maps], axis=0, dtype=np.float64)
    sums = np.add.reduceat(np.add.reduceat(error, edges[0][:-1], axis=0), edges[1][:-1], axis=1)
    cell_error = (sums / np.outer(*map(np.diff, edges))).ravel()
    spectra = reference[np.ix_(rows, columns)].reshape(cell_error.size, -1).astype(np.float64)
    places = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(-1, 2)
    inside = _inside(len(rows))[:, None] & _inside(len(columns))[None, :]
    inside, brightness = inside.ravel(), np.linalg.norm(spectra, axis=-1)
    bright = inside & (brightness >= 0.2 * np.percentile(brightness[inside], 95))
    candidates = np.flatnonzero(bright & (cell_error >= np.percentile(cell_error[bright], 67)))
    if candidates.size < count:
        candidates = np.flatnonzero(inside)
    unit = spectra / np.maximum(np.linalg.norm(spectra, axis=-1, keepdims=True), 1e-12)
    apart = np.hypot(*reference.shape[:2]) / 6

    chosen = [int(candidates[np.argmax(cell_error[candidates])])]
    while len(chosen) < min(count, candidates.size):
        angle = np.arccos(np.clip(unit[candidates] @ unit[chosen].T, -1, 1)).min(axis=1)
        distance = np.linalg.norm(places[candidates, None] - places[chosen], axis=-1).min(axis=1)
        merit = np.where(distance >= apart, 10.0, 0.0) + angle - np.where(distance == 0, 100.0, 0.0)
        chosen.append(int(candidates[np.argmax(merit)]))
    return [(int(places[i, 0]), int(places[i, 1])) for i in chosen]


def _inside(num_cells: int) -> np.ndarray:
    """The cells that are not at the border, where there are enough of them."""
    border = 2 if num_cells >= 8 else 0
    position = np.arange(num_cells)
    return (position >= border) & (position < num_cells - border)
