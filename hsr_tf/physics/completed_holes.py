"""Sharp pixels without data, filled so that the coarse cube is explained.

A coarse pixel X = D Z into which the PSF mixes sharp pixels without data says nothing wrong of the others. It
can be used as any other if the missing pixels of Y hold something that agrees with it. This is what they are
given: the values nearest to those of their neighbours with

    y = argmin |M (D y - X R)|^2 + l / s^2 |y - y0|^2    over the missing pixels,

M the coarse pixels with data, y0 the value of the nearest pixel with data (`hsr_tf.physics.nodata.filled`),
s the scale. What the two images say of the pixels with data is unchanged: X and the filled Y are an exact
pair of a scene that differs from the true one in the missing pixels alone. l is a hundred times what X R and
D Y differ by, or the noise of X R if it is more, relative to the energy of X R, and at least 3e-5: with
less, differences leave wild values; with more, X remains unexplained where it has no noise. Both numbers were
chosen on scenes of the CAVE training set (`python -m benchmarks.holes`).

The blocks of coarse pixels that are completed, each with a margin, lie at the same places however a scene is
cut into tiles, so that a tile and the whole scene see the same values.
"""

from __future__ import annotations

import numpy as np

from hsr_tf.arrays import ops
from hsr_tf.physics.spatial import SpatialDegradation
from hsr_tf.tiling.region import Region, TileGrid
from hsr_tf.typing import Cube, Mask, Size

LEAST_DAMPING, LARGEST_DAMPING, DAMPING_PER_NOISE = 3e-5, 1.0, 100.0
NUM_STEPS, SMALL_GRADIENT, REACH = 50, 1e-6, 4
BLOCK_SIDE, SMALLEST_BLOCK, USUAL_NOISE = 512, 8, 3e-5
TINY = 1e-30


def completed(
    spatial: SpatialDegradation,
    sharp: Cube,
    hole: Mask,
    colours: Cube,
    seen: Mask,
    *,
    noise: float = USUAL_NOISE,
) -> Cube:
    """Y (s h, s w, c) with other values in its missing pixels, by conjugate gradients.

    Args:
        spatial: D.
        sharp: Y, filled.
        hole: (s h, s w), True for its missing pixels.
        colours: X R, (h, w, c).
        seen: (h, w), True for coarse pixels with data.
        noise: mean square of what X R and D Y differ by over that of X R.
    """
    if not hole.any():
        return sharp
    missing, counted = hole[..., None], seen[..., None].astype(np.float32)
    damping = np.float32(
        np.clip(DAMPING_PER_NOISE * noise, LEAST_DAMPING, LARGEST_DAMPING) / spatial.scale**2
    )

    def seen_of(image: Cube) -> Cube:
        tensor = spatial.forward(ops.convert_to_tensor(image[None]))
        return np.asarray(counted * np.asarray(ops.convert_to_numpy(tensor))[0], np.float32)

    def back(residual: Cube) -> Cube:
        tensor = ops.convert_to_tensor((counted * residual)[None])
        return np.where(missing, np.asarray(ops.convert_to_numpy(spatial.adjoint(tensor)))[0], np.float32(0))

    residual: Cube = np.asarray(counted * colours - seen_of(sharp), np.float32)
    change = np.zeros_like(sharp)
    gradient = back(residual)
    direction, energy = gradient, _energies(gradient)
    small = SMALL_GRADIENT * energy
    for _ in range(NUM_STEPS):
        through = seen_of(direction)
        length = energy / (_energies(through) + damping * _energies(direction) + TINY)
        change += length * direction
        residual -= length * through
        gradient = back(residual) - damping * change
        before, energy = energy, _energies(gradient)
        if (energy <= small).all():
            break
        direction = np.asarray(gradient + energy / (before + TINY) * direction, np.float32)
    return np.ascontiguousarray(sharp + change, np.float32)


def blocks(size: Size, scale: int) -> TileGrid:
    """What is completed at once of a scene of (h, w) coarse pixels."""
    return TileGrid(size, max(SMALLEST_BLOCK, BLOCK_SIDE // scale), scale)


def seen_around(block: Region, spatial: SpatialDegradation, whole: Region) -> Region:
    """The coarse pixels that decide what the missing pixels of a block are given."""
    return block.grown(REACH * max(1, spatial.reach_cells), whole)


def _energies(image: Cube) -> Cube:
    """(c,), sum of squares of each channel."""
    return np.asarray(np.square(image, dtype=np.float64).sum((0, 1)), np.float32)
