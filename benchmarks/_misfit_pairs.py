"""Pairs that do not fit, and the same pairs without the misfit, simulated with NumPy, SciPy and Pillow alone.

The coarse cube is the sharp one behind a Gaussian PSF whose full width at half maximum is a coarse pixel,
sampled at the centres of the coarse pixels; outside of the image it is mirrored. Geometric misfits are
sampled from a larger area, so that no border is invented, and so are the pairs that they are compared with.
The sharp image is the sharp cube times the response.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np
from PIL import Image
from scipy import ndimage

from hsr_tf.typing import Array, Mask

FWHM_PER_SIGMA = 2 * (2 * np.log(2)) ** 0.5
ORDER, TRUNCATE = 5, 6.0
GAIN, OFFSET, QUALITY = 0.55, 0.08, 90
NOISIEST_DB, CLEANEST_DB = 25.0, 40.0
NARROW_NM, WIDE_NM = 3, 12


@dataclass(frozen=True, eq=False)
class Ground:
    """A sharp cube, a square part of it that is viewed, and the camera of the sharp image.

    Attributes:
        cube: (H, W, C) float64, the whole area.
        side: sharp pixels along a side of the part in its middle.
        wavelengths_nm: (C,).
        table: the response: wavelengths (n,), sensitivities (n, c).
        other: (side, side, C), ground that takes the place of some where it changes.
    """

    cube: Array
    side: int
    wavelengths_nm: Array
    table: tuple[Array, Array]
    other: Array

    @property
    def corner(self) -> tuple[int, int]:
        """First row and column of the part."""
        rows, cols = ((length - self.side) // 2 for length in self.cube.shape[:2])
        return rows, cols

    @cached_property
    def part(self) -> Array:
        """(side, side, C)."""
        row, col = self.corner
        return self.cube[row : row + self.side, col : col + self.side]

    @cached_property
    def response(self) -> Array:
        """(C, c), columns of sum one."""
        return response_at(self.wavelengths_nm, self.table)


@dataclass(frozen=True, eq=False)
class Pair:
    """Both images, the truth on the grid of the sharp one, and what a user knows of the cameras.

    Attributes:
        lr_hsi: (h, w, C).
        hr_msi: (H, W, c).
        truth: (H, W, C).
        counted: (H, W), where a comparison is fair.
        wavelengths_nm, widths_nm: (C,) of the bands.
        lr_hole: (h, w), True where lr_hsi has no data; None for nowhere.
        hr_hole: (H, W), likewise of hr_msi.
        psf_fwhm: full width at half maximum in sharp pixels as given; None for not given.
        response: wavelengths (n,) and sensitivities (n, c) as given; None for not given.
        ratio: sharp pixels per coarse pixel.
    """

    lr_hsi: Array
    hr_msi: Array
    truth: Array
    counted: Mask
    wavelengths_nm: Array
    ratio: float
    widths_nm: Array | None = None
    lr_hole: Mask | None = None
    hr_hole: Mask | None = None
    psf_fwhm: float | None = None
    response: tuple[Array, Array] | None = None


@dataclass(frozen=True, eq=False)
class View:
    """Where the coarse pixels lie in the part of the ground, and what is outside of it.

    The centre of a coarse pixel q, in sharp pixels of an aligned image, lies at c + M (q - c) + shift, with
    c the middle of the part.

    Attributes:
        ratio: sharp pixels per coarse pixel.
        turn: M, (2, 2).
        shift: (rows, columns) in sharp pixels.
        border: "symmetric" (mirrored) or "constant" (zeros) around the part, "larger" for the area around it.
    """

    ratio: float
    turn: Array = field(default_factory=lambda: np.eye(2))
    shift: tuple[float, float] = (0.0, 0.0)
    border: Literal["symmetric", "constant", "larger"] = "symmetric"

    def centres(self, side: int) -> Array:
        """(2, h, w), rows and columns of the centres of the coarse pixels, in sharp pixels of the part."""
        place = self.ratio * (np.arange(int(side / self.ratio)) + 0.5) - 0.5
        middle = (side - 1) / 2
        aligned = np.stack(np.meshgrid(place, place, indexing="ij")) - middle
        moved = np.tensordot(self.turn, aligned, 1) + np.reshape(self.shift, (2, 1, 1))
        return np.asarray(moved + middle)

    def covered(self, side: int) -> Mask:
        """(side, side), the sharp pixels that the coarse ones see, a coarse pixel inside of their edge."""
        middle, place = (side - 1) / 2, np.arange(side)
        sharp = np.stack(np.meshgrid(place, place, indexing="ij")) - middle
        back = np.tensordot(np.linalg.inv(self.turn), sharp - np.reshape(self.shift, (2, 1, 1)), 1) + middle
        last = self.ratio * (int(side / self.ratio) - 1) - 0.5
        return np.asarray(((back >= self.ratio - 0.5) & (back <= last)).all(0))


@dataclass(frozen=True, eq=False)
class Twins:
    """A pair with a misfit, and the same without it."""

    misfit: Pair
    without: Pair


def response_at(wavelengths_nm: Array, table: tuple[Array, Array]) -> Array:
    """(C, c), the sensitivities at the wavelengths, each channel with the sum one."""
    place, values = table
    at = np.stack([np.interp(wavelengths_nm, place, column) for column in values.T], 1)
    return np.asarray(at / at.sum(0))


def seen(ground: Ground, view: View) -> Array:
    """(h, w, C), the coarse cube of a part of the ground."""
    sigma = view.ratio / FWHM_PER_SIGMA
    cube, corner = ground.cube, ground.corner
    if view.border != "larger":
        margin = int(TRUNCATE * sigma) + 2 * ORDER
        cube = np.pad(ground.part, ((margin, margin), (margin, margin), (0, 0)), view.border)
        corner = (margin, margin)
    centres = view.centres(ground.side) + np.reshape(corner, (2, 1, 1))
    found = np.empty((*centres.shape[1:], cube.shape[2]))
    for band in range(cube.shape[2]):
        blurred = ndimage.gaussian_filter(cube[..., band], sigma, truncate=TRUNCATE)
        found[..., band] = ndimage.map_coordinates(blurred, centres, order=ORDER)
    return found


def with_noise(image: Array, snr_db: Array | float, rng: np.random.Generator) -> Array:
    """The image with white noise of a signal-to-noise ratio, one for all bands or one each."""
    level = np.sqrt(np.square(image).mean((0, 1))) * 10 ** (-np.asarray(snr_db) / 20)
    return np.asarray(image + level * rng.standard_normal(image.shape))


def changed(side: int, cell: int, share: float, rng: np.random.Generator) -> Mask:
    """(side, side), squares of an eighth of a side (whole coarse pixels) that cover a share of the ground."""
    length = max(cell, side // 8 // cell * cell)
    places = [(row, col) for row in range(0, side - length + 1, length) for col in range(0, side, length)]
    mask = np.zeros((side, side), bool)
    for index in rng.permutation(len(places)):
        missing = share * side**2 - mask.sum()
        if missing <= 0:
            break
        row, col = places[index]
        mask[row : row + min(length, int(np.ceil(missing / length))), col : col + length] = True
    return mask


def srgb_jpeg(light: Array, quality: int = QUALITY) -> Array:
    """(H, W, 3), what a JPEG of 8-bit sRGB values keeps of linear light, 0 to 1."""
    light = np.clip(light, 0, 1)
    values = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    file = io.BytesIO()
    Image.fromarray(np.round(255 * values).astype(np.uint8)).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file), np.float64) / 255


def turned(degrees: float) -> Array:
    """(2, 2), a rotation."""
    angle = np.deg2rad(degrees)
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


class Simulator:
    """The pairs of one ground.

    Args:
        ground: what is seen.
        scale: sharp pixels per coarse pixel.
        snr_db: signal-to-noise ratio of both images; None for no noise.
        seed: of noise and changed places.
    """

    def __init__(self, ground: Ground, scale: int, snr_db: float | None = None, seed: int = 0) -> None:
        self.ground, self.scale, self.snr_db, self.seed = ground, scale, snr_db, seed

    def pair(self, view: View) -> Pair:
        """A pair with this view, nothing known of the cameras."""
        ground = self.ground
        lr_hsi, hr_msi = seen(ground, view), ground.part @ ground.response
        counted = np.ones((ground.side, ground.side), bool)
        found = Pair(lr_hsi, hr_msi, ground.part, counted, ground.wavelengths_nm, view.ratio)
        return found if self.snr_db is None else self.noisy(found, self.snr_db)

    def noisy(self, pair: Pair, snr_db: float) -> Pair:
        """The same with noise of one level in all bands."""
        rng = np.random.default_rng(self.seed)
        lr_hsi, hr_msi = (with_noise(image, snr_db, rng) for image in (pair.lr_hsi, pair.hr_msi))
        return replace(pair, lr_hsi=lr_hsi, hr_msi=hr_msi)

    @cached_property
    def clean(self) -> Pair:
        """No misfit, mirrored border."""
        return self.pair(View(self.scale))

    @cached_property
    def in_area(self) -> Pair:
        """No misfit, the ground goes on outside."""
        return self.pair(View(self.scale, border="larger"))

    def moved(self, view: View) -> Twins:
        """A geometric misfit; both pairs are compared where the coarse cube of the misfit sees the ground."""
        counted = view.covered(self.ground.side)
        return Twins(replace(self.pair(view), counted=counted), replace(self.in_area, counted=counted))

    def rotated(self, degrees: float) -> Twins:
        """The coarse cube is rotated about its middle."""
        return self.moved(View(self.scale, turned(degrees), border="larger"))

    def shifted(self) -> Twins:
        """5.5 sharp pixels along the rows, 2.5 along the columns the other way."""
        return self.moved(View(self.scale, shift=(5.5, -2.5), border="larger"))

    def other_ratio(self) -> Twins:
        """7.3 sharp pixels per coarse pixel at scale 8; compared with the nearest whole number."""
        ratio = self.scale * 7.3 / 8
        view = View(ratio, border="larger")
        counted = view.covered(self.ground.side)
        whole = round(ratio)
        side = self.ground.side // whole * whole
        ground = replace(self.ground, side=side)
        plain = Simulator(ground, whole, self.snr_db, self.seed).in_area
        first = (self.ground.side - side) // 2
        inside = counted[first : first + side, first : first + side]
        return Twins(replace(self.pair(view), counted=counted), replace(plain, counted=inside))

    def radiometric(self, change: Callable[[Array], Array]) -> Twins:
        """The values of the sharp image are changed."""
        return Twins(replace(self.clean, hr_msi=change(self.clean.hr_msi)), self.clean)

    def photograph(self) -> Twins:
        """The first three channels as a JPEG of sRGB values."""
        plain = replace(self.clean, hr_msi=self.clean.hr_msi[..., :3])
        return Twins(replace(plain, hr_msi=srgb_jpeg(plain.hr_msi)), plain)

    def changed_ground(self, share: float) -> Twins:
        """Between the two images, other things have come to some places, which do not count."""
        ground, clean = self.ground, self.clean
        mask = changed(ground.side, self.scale, share, np.random.default_rng(self.seed))
        hr_msi = np.where(mask[..., None], ground.other @ ground.response, clean.hr_msi)
        counted = ~ndimage.binary_dilation(mask, np.ones((2 * self.scale + 1,) * 2))
        return Twins(replace(clean, hr_msi=hr_msi, counted=counted), replace(clean, counted=counted))

    def zero_border(self) -> Twins:
        """The blur mixes zeros in from outside."""
        return Twins(self.pair(View(self.scale, border="constant")), self.clean)

    def nodata_strip(self) -> Twins:
        """A slanting strip of the sharp image and two columns of the coarse one hold no data."""
        clean, side = self.clean, self.ground.side
        rows, cols = np.mgrid[:side, :side]
        hr_hole = np.abs(cols - side // 3 - rows // 8) < max(2, side // 32)
        height, width = clean.lr_hsi.shape[:2]
        lr_hole = np.zeros((height, width), bool)
        lr_hole[:, 3 * width // 4 : 3 * width // 4 + 2] = True
        coarse = np.kron(lr_hole, np.ones((self.scale, self.scale), bool))
        counted = ~(hr_hole | coarse)
        holed = replace(
            clean,
            lr_hsi=np.where(lr_hole[..., None], 0, clean.lr_hsi),
            hr_msi=np.where(hr_hole[..., None], 0, clean.hr_msi),
            lr_hole=lr_hole,
            hr_hole=hr_hole,
            counted=counted,
        )
        return Twins(holed, replace(clean, counted=counted))

    def uneven_noise(self) -> Twins:
        """Bands and channels of 25 to 40 dB; compared with 32.5 dB in all."""
        plain, rng = Simulator(self.ground, self.scale).clean, np.random.default_rng(self.seed)
        images = []
        for image in (plain.lr_hsi, plain.hr_msi):
            levels = rng.permutation(np.linspace(NOISIEST_DB, CLEANEST_DB, image.shape[2]))
            images.append(with_noise(image, levels, rng))
        even = self.noisy(plain, (NOISIEST_DB + CLEANEST_DB) / 2)
        return Twins(replace(plain, lr_hsi=images[0], hr_msi=images[1]), even)

    def two_spectrometers(self) -> Twins:
        """Bands of 3 nm, then of 12 nm; the response as a fine table, or as exact weights of these bands."""
        ground = self.ground
        place = ground.wavelengths_nm
        fine = np.arange(place[0], place[-1] + 0.5)
        half = int(len(fine) // 2 // NARROW_NM * NARROW_NM)
        starts = [*range(0, half, NARROW_NM), *range(half, len(fine) - WIDE_NM + 1, WIDE_NM)]
        mixing = np.zeros((len(fine), len(starts)))
        widths = np.array([NARROW_NM if start < half else WIDE_NM for start in starts], float)
        for band, (start, width) in enumerate(zip(starts, widths, strict=True)):
            mixing[start : start + int(width), band] = 1 / width
        fine, mixing = fine[: start + int(width)], mixing[: start + int(width)]
        # Linear interpolation of the spectra between the bands of the ground, then means over each new band.
        between = np.stack([np.interp(fine, place, unit) for unit in np.eye(len(place))])
        sensitivities = np.stack([np.interp(fine, ground.table[0], c) for c in ground.table[1].T], 1)
        cube = ground.cube @ (between @ mixing)
        exact = (mixing * widths).T @ sensitivities
        colours = ground.part @ between @ (sensitivities / sensitivities.sum(0))
        mixed = replace(ground, cube=cube, wavelengths_nm=fine @ mixing)
        clean = Simulator(mixed, self.scale, None, self.seed).clean
        clean = replace(clean, hr_msi=colours, widths_nm=widths, psf_fwhm=float(self.scale))
        clean = clean if self.snr_db is None else self.noisy(clean, self.snr_db)
        weights = exact / exact.sum(0)
        top = sensitivities / sensitivities.max()
        return Twins(
            replace(clean, response=(fine, top)),
            replace(clean, response=(mixed.wavelengths_nm, weights)),
        )

    def wrong_psf(self) -> Twins:
        """The PSF is given 30 % too wide, with the true response; compared with both true."""
        response = (self.ground.wavelengths_nm, self.ground.response)
        known = replace(self.clean, psf_fwhm=float(self.scale), response=response)
        return Twins(replace(known, psf_fwhm=1.3 * self.scale), known)


CASES: Mapping[str, Callable[[Simulator], Twins]] = {
    "rotation 0.3 degrees": lambda made: made.rotated(0.3),
    "rotation 1 degree": lambda made: made.rotated(1.0),
    "rotation 5 degrees": lambda made: made.rotated(5.0),
    "rotation 90 degrees": lambda made: made.rotated(90.0),
    "ratio 7.3": Simulator.other_ratio,
    "shift 5.5 pixels": Simulator.shifted,
    "offset 0.08": lambda made: made.radiometric(lambda light: light + OFFSET),
    "gain 0.55 and offset 0.08": lambda made: made.radiometric(lambda light: GAIN * light + OFFSET),
    "sRGB JPEG of quality 90": Simulator.photograph,
    "5 % changed ground": lambda made: made.changed_ground(0.05),
    "10 % changed ground": lambda made: made.changed_ground(0.10),
    "zero border": Simulator.zero_border,
    "nodata strip": Simulator.nodata_strip,
    "noise of 25 to 40 dB": Simulator.uneven_noise,
    "bands of 3 and 12 nm": Simulator.two_spectrometers,
    "PSF 30 % too wide": Simulator.wrong_psf,
}
