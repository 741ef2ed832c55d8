"""A small pair of files for the tests of streaming: smooth mixtures of few spectra."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

from hsr_tf import io
from hsr_tf.fusion.api import simulate
from hsr_tf.geo.georeference import Georeference
from hsr_tf.scene import Observation, Scene

GRID = Georeference((10.0, 0.0, 500000.0, 0.0, -10.0, 4600000.0))


def smooth_scene(shape: tuple[int, int, int]) -> Scene:
    """Four materials that fade into each other, and a little that is theirs alone in every band."""
    rows, cols, num_bands = shape
    generator = np.random.default_rng(4)
    shares = np.stack([gaussian_filter(generator.random((rows, cols)), 3) for _ in range(4)], -1)
    shares = (shares - shares.min((0, 1))) / (shares.max((0, 1)) - shares.min((0, 1)))
    shares /= shares.sum(-1, keepdims=True)
    spectra = gaussian_filter(generator.random((4, num_bands)), (0, 2)) * 1.2
    cube = shares @ spectra + 0.02 * gaussian_filter(generator.random(shape), (2, 2, 2))
    return Scene(cube, np.linspace(400, 700, num_bands), "mixture", georeference=GRID)


def write_pair(folder: Path, shape: tuple[int, int, int] = (72, 104, 31), scale: int = 8) -> Observation:
    """x.h5 and y.h5 of a scene, and the observation that `load` makes of them."""
    pair = simulate(smooth_scene(shape), scale=scale)
    return write_images(folder, pair.lr_hsi, pair.hr_msi)


def write_images(folder: Path, lr_hsi: Scene, hr_msi: Scene) -> Observation:
    """The same of two images."""
    io.save(lr_hsi, folder / "x.h5")
    io.save(hr_msi, folder / "y.h5")
    return Observation.from_pair(io.load(folder / "x.h5"), io.load(folder / "y.h5"))


def with_holes_and_a_dead_band(pair: Observation) -> tuple[Scene, Scene]:
    """Both images with pixels without data, X with a band of zeros."""
    cube, coarse = pair.lr_hsi.cube.copy(), np.zeros(pair.lr_hsi.shape[:2], bool)
    cube[..., 5] = 0
    coarse[2:4, 6:9] = True
    sharp = np.zeros(pair.hr_msi.shape[:2], bool)
    sharp[40:57, 30:44] = True
    return replace(pair.lr_hsi, cube=cube, nodata_mask=coarse), replace(pair.hr_msi, nodata_mask=sharp)
