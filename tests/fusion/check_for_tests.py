"""Scenes for the tests of `hsr_tf.fusion.check`, and the findings of a check by topic."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from scipy import ndimage

from hsr_tf.fusion.check import Finding, PairCheck
from hsr_tf.scene import Scene

CAVE_NM = np.arange(400.0, 701.0, 10.0)
SCALE = 4


def sharp_scene(height: int = 96, width: int = 80, *, seed: int = 3) -> Scene:
    """Smooth spectra mixed by random maps: no symmetry, ten materials."""
    rng = np.random.default_rng(seed)
    maps = ndimage.gaussian_filter(rng.random((height, width, 10)), (3, 3, 0))
    maps = (maps - maps.min((0, 1))) / np.ptp(maps, axis=(0, 1))
    spectra = ndimage.gaussian_filter(rng.random((10, 31)), (0, 4))
    return Scene(0.1 + 0.2 * maps @ (spectra - spectra.min()), CAVE_NM, "made")


def untold(scene: Scene, **changes: Any) -> Scene:
    """A scene that tells nothing of its simulation."""
    return replace(scene, metadata={}, **changes)


def on(found: PairCheck, topic: str) -> list[Finding]:
    return [finding for finding in found.findings if finding.topic == topic]
