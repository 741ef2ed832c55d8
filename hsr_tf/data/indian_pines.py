"""Indian Pines, a real scene that the package tensorly ships: AVIRIS over farmland, 145 x 145 x 200.

Baumgardner, Biehl, Landgrebe, "220 Band AVIRIS Hyperspectral Image Data Set: June 12, 1992 Indian Pine Test
Site 3", Purdue University Research Repository, 2015, doi:10.4231/R7RX991C, CC BY 3.0. Pixels are 20 m wide;
the bands of strong water absorption are left out. Stored values are 1000 + 500 times the radiance. Here a
value is (stored - 1000) / 10000, the same for every pixel and band: 1 is a radiance of 20 in the
publication's units, which nothing in the scene reaches.

The scene is cut into three parts that share no pixel and lie 9 pixels apart: the west for training, the
north-east for validation, the south-east for the test.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hsr_tf import checks
from hsr_tf.imports import require_package
from hsr_tf.physics.spectral import SpectralResponse
from hsr_tf.scene import Scene
from hsr_tf.tiling.region import Region

OFFSET, FULL_SCALE = 1000.0, 10_000.0
# tensorly lists 2260 and 2270 nm here, between 2202 and 2232: both are put back on the line.
MISPRINTED = (170, 171)
# Sentinel-2's four bands of 10 m: nominal centre and width in nanometres.
SENTINEL2_NM = {"B2 blue": (490, 65), "B3 green": (560, 35), "B4 red": (665, 30), "B8 infrared": (842, 115)}


REGIONS = {
    "training": Region(0, 0, 144, 64),
    "validation": Region(0, 73, 64, 72),
    "test": Region(73, 73, 72, 72),
}


@dataclass(frozen=True, eq=False)
class Parts:
    """The three parts of the scene; their sides divide by 8."""

    training: Scene
    validation: Scene
    test: Scene


def load_indian_pines() -> Scene:
    """The whole scene, (145, 145, 200), values mostly in [0, 0.7]; wavelengths as tensorly lists them.

    Raises:
        MissingPackage: tensorly, which holds the data, is not installed.
    """
    found = require_package("tensorly.datasets").load_indian_pines()
    wavelengths_nm = np.array(found["ticks"][-1], np.float64)
    wavelengths_nm[list(MISPRINTED)] = np.interp(MISPRINTED, (169, 172), wavelengths_nm[[169, 172]])
    cube = (np.asarray(found["tensor"], np.float32) - OFFSET) / FULL_SCALE
    return Scene(cube, wavelengths_nm, "indian_pines", {"instrument": "AVIRIS", "licence": "CC BY 3.0"})


def cut(scene: Scene) -> Parts:
    """The parts of the whole scene."""
    parts = {
        name: Scene(scene.cube[region.slices], scene.wavelengths_nm, f"{scene.name}_{name}", scene.metadata)
        for name, region in REGIONS.items()
    }
    return Parts(**parts)


def sentinel2_response(scene: Scene) -> SpectralResponse:
    """Sentinel-2's four bands of 10 m as boxes of their nominal widths: means over the scene's bands inside.

    Raises:
        ValueError: when the wavelengths are not known, or a box holds none of them.
    """
    wavelengths_nm = np.zeros(1) if scene.wavelengths_nm is None else scene.wavelengths_nm
    limits = np.array(list(SENTINEL2_NM.values()), np.float64)
    inside = np.abs(wavelengths_nm[:, None] - limits[:, 0]) <= limits[:, 1] / 2
    checks.require(
        bool(inside.any(0).all()),
        "wavelengths_nm",
        expected=f"bands inside each of {', '.join(SENTINEL2_NM)}",
        received=f"{wavelengths_nm.min():g} to {wavelengths_nm.max():g} nm",
        remedy="use a response that this sensor covers",
    )
    return SpectralResponse(inside / inside.sum(0), channels=tuple(SENTINEL2_NM), name="sentinel2_10m_boxes")
