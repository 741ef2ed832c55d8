"""How far two images agree where hardly any coarse pixel sees data alone.

Where the PSF mixes missing sharp pixels into most coarse pixels, X R - D Y is mostly what their fill lacks,
or what their completion (`hsr_tf.physics.completed_holes`) leaves. With e the error of the fill, A the part
of D that sees missing pixels, and n the disagreement of the images,

    X R - D Y = A e + n,   e ~ N(0, t),   n ~ N(0, v),

alike in all pixels and channels. Along an eigenvector of A A^T with the eigenvalue m the mean square is
t m + v; t and v are those of largest likelihood (Hartley and Rao, "Maximum-likelihood estimation for the
mixed analysis of variance model", Biometrika 54, 1967). Directions that see next to nothing of the missing
pixels (small m) say what v is.

It is taken of a few windows with most data. On two training scenes with no clean coarse pixel or few, v^(1/2)
was mostly within 25 % of the truth (once 51 % above it) where Y was moved by 0.001 to 0.1 coarse pixels or X
had noise, and under 2e-5 of the image where the images agreed.
"""

from __future__ import annotations

import numpy as np

from hsr_tf.arrays import ops
from hsr_tf.closed_forms.coarse_pair import OUTLIER, USUAL, is_compared
from hsr_tf.closed_forms.noise_level import colour_noise
from hsr_tf.physics.nodata import filled
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.spatial import SpatialDegradation
from hsr_tf.physics.tiled_pair import TiledPair
from hsr_tf.tiling.region import Region, TileGrid, regions
from hsr_tf.typing import Array, Cube, Mask

SIDE, SIDE_OF_LARGE_SCALES, LARGE_SCALE = 16, 12, 16
PLACES, NUM_WINDOWS, SHARP_PIXELS = 4, 4, 2**18
SAMPLED_PIXELS, FEWEST_SAMPLED = 768, 48
ROWS_AT_ONCE, AGREEING, TINY = 32, 0.5, 1e-30
RATIOS = 10.0 ** np.arange(-16.0, 4.0, 0.05)


def gap_beside_holes(pair: TiledPair, model: ObservationModel, weights: Cube) -> float:
    """Mean square of the disagreement of X R and D Y, summed over the channels.

    Args:
        pair: the images, with missing pixels in Y.
        model: D and R.
        weights: (h, w), of the coarse pixels; those below one half, on ground that changed, do not count.
    """
    energies, seen = [], []
    for region in _windows(pair):
        around = region.grown(model.spatial.reach_cells, pair.grid.whole)
        missing, inner = pair.missing(around), region.inside(around)
        counted = weights[region.slices] >= AGREEING
        if missing.coarse is not None:
            counted &= ~missing.coarse[inner.slices]
        hole = np.zeros(around.scaled(model.scale).size, bool) if missing.sharp is None else missing.sharp
        sharp = filled(pair.hr_msi(around), hole)
        blurred = np.asarray(ops.convert_to_numpy(model.spatial.forward(ops.convert_to_tensor(sharp[None]))))
        colours = pair.lr_hsi(region).astype(np.float64) @ model.spectral.matrix
        gap = (colours - blurred[0][inner.slices])[counted]
        if len(gap):
            values, vectors = np.linalg.eigh(_products(model.spatial, around, inner, hole, counted))
            energies.append(np.square(vectors.T @ gap).mean(1))
            seen.append(np.maximum(values, 0.0))
    if not energies:
        return 0.0
    return variance_of(np.concatenate(energies), np.concatenate(seen)) * model.spectral.matrix.shape[1]


def completion_noise(pair: TiledPair) -> float:
    """Mean square of what X R and D Y differ by over that of X R, or of the noise of X R if that is more.

    It is taken of a sample in the middle of the scene, of the coarse pixels that see data alone and differ as
    most do; where these are few, of all by `gap_beside_holes`.

    Args:
        pair: the images, the missing pixels of Y not completed.
    """
    region, model = sample_of(pair.grid), pair.model
    lr_hsi, coarse = pair.lr_hsi(region), pair.missing(region).coarse
    noise, clean = colour_noise(lr_hsi, model.spectral.matrix, coarse), pair.clean(region)
    if not is_compared(clean):
        found = gap_beside_holes(pair, model, np.ones(pair.grid.size, np.float32))
        seen = lr_hsi if coarse is None else lr_hsi[~coarse]
        energy = float(np.square(seen @ model.spectral.matrix).sum(-1).mean()) if seen.size else 0.0
        return max(noise, found / max(energy, TINY))
    around = region.grown(model.spatial.reach_cells, pair.grid.whole)
    blurred = model.spatial.forward(ops.convert_to_tensor(pair.hr_msi(around)[None]))
    colours = (lr_hsi @ model.spectral.matrix)[clean]
    gap = colours - np.asarray(ops.convert_to_numpy(blurred))[0][region.inside(around).slices][clean]
    squares = np.square(gap).sum(-1)
    usual = squares <= OUTLIER**2 * np.quantile(squares, USUAL)
    return max(noise, float(squares[usual].mean() / max(np.square(colours).sum(-1).mean(), TINY)))


def sample_of(grid: TileGrid) -> Region:
    """The middle of a scene, which stands for all of it where not all is looked at."""
    return Region.middle(grid.size, max(FEWEST_SAMPLED, SAMPLED_PIXELS // grid.scale))


def variance_of(energies: Array, seen: Array) -> float:
    """v of largest likelihood, for squares (n,) of mean t m + v; m, (n,), is `seen`.

    For each ratio v / t the largest likelihood has t = mean of squares / (m + v / t).
    """
    scale = max(float(seen.max()), TINY)
    sums = seen[:, None] + RATIOS * scale
    found = (energies[:, None] / sums).mean(0)
    likelihood = -np.log(np.maximum(found, TINY)) - np.log(sums).mean(0)
    best = int(likelihood.argmax())
    return float(found[best] * RATIOS[best] * scale)


def _windows(pair: TiledPair) -> list[Region]:
    """The windows with most data."""
    scale = pair.grid.scale
    side = SIDE if scale < LARGE_SCALE else SIDE_OF_LARGE_SCALES
    spans = []
    for length in pair.grid.size:
        starts = np.unique(np.linspace(0, max(0, length - side), min(PLACES, -(-length // side))).astype(int))
        spans.append([slice(int(a), int(min(length, a + side))) for a in starts])
    number = int(np.clip(SHARP_PIXELS // (side * scale) ** 2, 1, NUM_WINDOWS))
    return sorted(regions(*spans), key=lambda region: _share_missing(pair, region))[:number]


def _share_missing(pair: TiledPair, region: Region) -> float:
    found = pair.missing(region)
    return sum(0.0 if mask is None else float(mask.mean()) for mask in (found.coarse, found.sharp))


def _products(spatial: SpatialDegradation, around: Region, inner: Region, hole: Mask, counted: Mask) -> Array:
    """A A^T of the coarse pixels of a window that count, (n, n).

    Args:
        spatial: D.
        around: the window and what its pixels see.
        inner: the window in it.
        hole: (s h, s w) of `around`, True for missing sharp pixels.
        counted: of the window.
    """
    rows, columns = np.nonzero(counted)
    places = (rows + inner.row) * around.width + columns + inner.column
    found = []
    for start in range(0, len(places), ROWS_AT_ONCE):
        some = places[start : start + ROWS_AT_ONCE]
        impulses = np.zeros((around.num_pixels, len(some)), np.float32)
        impulses[some, np.arange(len(some))] = 1
        spread = spatial.adjoint(ops.convert_to_tensor(impulses.reshape(1, *around.size, -1)))
        found.append(np.asarray(ops.convert_to_numpy(spread))[0][hole])
    seen = np.concatenate(found, -1).astype(np.float64)
    return np.asarray(seen.T @ seen)
