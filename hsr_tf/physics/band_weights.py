"""Weights of a cube's bands that give the channels of a camera: a quadrature for smooth spectra.

A channel is the integral of response times spectrum. A cube knows the spectrum only through its bands, each a
mean under the shape of that band. The weights are the linear unbiased prediction of the channel from the
bands, with the least expected error over random spectra of a given smoothness: Bayesian quadrature (O'Hagan,
Journal of Statistical Planning and Inference 29, 1991) in the form of ordinary kriging (Cressie, Statistics
for Spatial Data, 1993, section 3.2), where the mean of the spectra is unknown. With A the covariance of the
bands and b that of bands and channel, w = A^-1 (b + m 1), m such that the weights add up to one.

Spectra have the Matern covariance of smoothness 5/2 (Rasmussen and Williams, 2006, equation 4.17) and length
60 nm; bands are Gaussians of their FWHM and have 1 % of independent noise, which keeps the weights small
where bands overlap. Length and noise were chosen on reflectances of vegetation, soil, minerals and water
(`python -m benchmarks.responses`). Only bands near the response take part. Weights beside the edges of a
response are negative: positive ones cannot undo that the bands blur these edges.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.polynomial.hermite_e import hermegauss
from numpy.typing import NDArray

from hsr_tf.physics.band_cells import BandCells, band_cells, spacing_nearby

LENGTH_NM, NOISE = 60.0, 0.01
FWHM_PER_SIGMA = 2 * (2 * np.log(2)) ** 0.5
NUM_NODES, LARGEST_STEP_NM = 5, 2.0
SEEN, NEAR, SMALLEST = 1e-3, 2.0, 1e-5
WIDEST, BEYOND_NM = 10.0, 30.0

Numbers = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class BandWeights:
    """The channels of a camera as weighted sums of bands.

    Attributes:
        matrix: (C, c), columns of sum one; zero for a channel that sees no band.
        spread: (c,), standard deviation of the error of each channel for spectra of standard deviation one.
    """

    matrix: Numbers
    spread: Numbers


@dataclass(frozen=True, eq=False)
class Bands:
    """The bands of a cube, in any order.

    Attributes:
        centres_nm: (C,).
        fwhm_nm: (C,).
        cells: the range that each stands for.
    """

    centres_nm: Numbers
    fwhm_nm: Numbers
    cells: BandCells

    @classmethod
    def of(cls, wavelengths_nm: NDArray[np.floating], fwhm_nm: NDArray[np.floating] | None = None) -> Bands:
        """Bands of these widths.

        Widths that are unknown, or more than ten times the spacing of the bands, are taken as the spacing.
        """
        centres = np.asarray(wavelengths_nm, np.float64)
        spacing = spacing_nearby(centres)
        widths = spacing if fwhm_nm is None else np.asarray(fwhm_nm, np.float64)
        widths = np.where(widths <= WIDEST * spacing, widths, spacing)
        return cls(centres, widths, band_cells(centres))

    def only(self, chosen: NDArray[np.bool_]) -> Bands:
        """The chosen ones of these bands."""
        cells = self.cells
        cells = BandCells(cells.lower_nm[chosen], cells.upper_nm[chosen], cells.num_sharing[chosen])
        return Bands(self.centres_nm[chosen], self.fwhm_nm[chosen], cells)

    def near(self, lower_nm: float, upper_nm: float) -> NDArray[np.intp]:
        """Indices of the bands within two of their widths of a range."""
        margin = NEAR * np.maximum(self.fwhm_nm, self.cells.upper_nm - self.cells.lower_nm)
        inside = (self.cells.upper_nm > lower_nm - margin) & (self.cells.lower_nm < upper_nm + margin)
        return np.flatnonzero(inside)


def band_weights(bands: Bands, grid_nm: Numbers, values: Numbers) -> BandWeights:
    """The weights of bands for responses that are linear between the points of a table.

    Args:
        bands: C bands.
        grid_nm: (n,) increasing.
        values: (n, c) sensitivities; what lies outside of the cells of the bands does not count.
    """
    matrix = np.zeros((len(bands.centres_nm), values.shape[1]))
    spread = np.full(values.shape[1], np.inf)
    first, last = bands.cells.lower_nm.min() - BEYOND_NM, bands.cells.upper_nm.max() + BEYOND_NM
    for channel, column in enumerate(values.T):
        seen = grid_nm[(column >= SEEN * column.max()) & (grid_nm >= first) & (grid_nm <= last)]
        if not len(seen) or column.max() <= 0:
            continue
        fine = _points(max(first, grid_nm[0]), min(last, grid_nm[-1]), grid_nm)
        response = np.maximum(np.interp(fine, grid_nm, column), 0)
        part = bands.near(seen[0], seen[-1])
        if response.sum() > 0 and len(part):
            matrix[part, channel], spread[channel] = _weights(bands, part, fine, response)
    return BandWeights(matrix, spread)


def _points(first: float, last: float, grid_nm: Numbers) -> Numbers:
    """Points of a sum over a range, as dense as a table and no more than 2 nm apart."""
    step = min(LARGEST_STEP_NM, float(np.median(np.diff(grid_nm))))
    return np.linspace(first, last, int(np.ceil((last - first) / step)) + 1)


def _weights(
    bands: Bands, part: NDArray[np.intp], fine_nm: Numbers, response: Numbers
) -> tuple[Numbers, float]:
    """Weights of some bands for a response of sum one on a grid, and the spread of the error."""
    kept = response > SMALLEST * response.max()
    fine_nm, response = fine_nm[kept], response[kept] / response[kept].sum()
    centres, variances = bands.centres_nm[part], np.square(bands.fwhm_nm[part] / FWHM_PER_SIGMA)
    among = _covariance(centres[:, None] - centres, variances[:, None] + variances)
    noisy = among + NOISE**2 * np.eye(len(part))
    towards = response @ _covariance(fine_nm[:, None] - centres, variances[None, :])
    ones = np.ones_like(centres)
    plain, flat = np.linalg.solve(noisy, np.stack([towards, ones], 1)).T
    weights = plain + flat * (1 - plain.sum()) / flat.sum()
    itself = response @ _covariance(fine_nm[:, None] - fine_nm, np.zeros((1, 1))) @ response
    error = itself - 2 * weights @ towards + weights @ among @ weights
    return weights, float(np.sqrt(max(error, 0.0)))


def _covariance(distance_nm: Numbers, variance: Numbers) -> Numbers:
    """Mean covariance of a spectrum at two places whose distance is Gaussian, by Gauss-Hermite quadrature."""
    if not variance.any():
        return _matern(distance_nm)
    nodes, masses = hermegauss(NUM_NODES)
    sigma = np.sqrt(variance)
    terms = [m * _matern(distance_nm + sigma * node) for node, m in zip(nodes, masses, strict=True)]
    return np.asarray(sum(terms) / masses.sum())


def _matern(distance_nm: Numbers) -> Numbers:
    scaled = 5**0.5 / LENGTH_NM * np.abs(distance_nm)
    return np.asarray((1 + scaled + scaled**2 / 3) * np.exp(-scaled))
