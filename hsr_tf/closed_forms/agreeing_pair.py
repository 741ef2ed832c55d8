"""The pair that a method is given where the two images do not show the same.

A method that explains both images at once, |X - D Z|^2 + |Y - Z R|^2, is spoilt far around by ground that
changed between them, which no cube explains. Such coarse pixels are given a spectrum that neither image
contradicts (`SceneMap.lr_hsi`), which takes them out of the fit, whatever the method. On changed ground its
estimate then gives way to that of `spectral_ls`, which keeps to X there.

Ground changed where the weight of a pixel (`MapFit`) is below one half and no camera explains why
(`hsr_tf.closed_forms.agreement`), so that a PSF that fits badly along edges takes out none of them. Edges of
X that were blurred with another border stay: solvers lose less by them (up to 0.2 dB on four training scenes)
than by what X shows there (up to 1.2 dB).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from hsr_tf.closed_forms.agreement import agreement_of
from hsr_tf.closed_forms.spectral_ls import SceneMap, enlarged
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.tiled_pair import ArrayPair
from hsr_tf.tiling.region import Region
from hsr_tf.tiling.stages import run_stages
from hsr_tf.typing import Cube, Mask

DISAGREEING, SHARE_KEPT = 0.5, 0.999


@dataclass(frozen=True, eq=False)
class AgreeingPair:
    """Two images of a region, without what they show differently.

    Attributes:
        lr_hsi: X, (h, w, C), with agreeing spectra where pixels do not count.
        hr_msi: Y, (s h, s w, c).
        counted: (h, w), the coarse pixels that hold data and agree.
        weights: (h, w), of an estimate against that of `spectral_ls`.
        scene_map: of the scene.
        region: in coarse pixels.
    """

    lr_hsi: Cube
    hr_msi: Cube
    counted: Mask
    weights: Cube
    scene_map: SceneMap
    region: Region

    @property
    def everywhere(self) -> bool:
        """Whether no ground changed."""
        return float(self.weights.min()) > SHARE_KEPT

    @property
    def as_surveyed(self) -> bool:
        """Whether the map of the scene is that of these images."""
        pair = self.scene_map.pair
        return self.everywhere and self.region == pair.grid.whole and not pair.is_completed

    def joined(self, estimate: Cube) -> Cube:
        """The estimate (s h, s w, C) of these images, and that of `spectral_ls` on changed ground."""
        if self.everywhere:
            return estimate
        ground = self.scene_map.part(self.region).estimate
        scale = self.hr_msi.shape[0] // self.lr_hsi.shape[0]
        return np.asarray(ground + enlarged(self.weights, scale)[..., None] * (estimate - ground))


def agreeing_pair(scene_map: SceneMap, region: Region) -> AgreeingPair:
    """The images of a region as a method is given them.

    Args:
        scene_map: of the scene, surveyed.
        region: in coarse pixels.
    """
    pair = scene_map.pair
    hr_msi = np.ascontiguousarray(pair.hr_msi(region))
    clean = np.ones(region.size, bool)
    used = clean
    if scene_map.found().masked:
        clean, used = pair.clean(region), pair.usable(region)
    weights = scene_map.weights(region)[0][..., 0]
    doubtful = (weights < DISAGREEING) & clean
    changed = np.zeros_like(clean)
    if doubtful.any():
        found = agreement_of(scene_map.model, pair.lr_hsi(region), hr_msi, trusted=clean).changed
        if found is not None and found.any():
            size = 2 * scene_map.blur + 1
            changed = doubtful & ndimage.binary_dilation(found, np.ones((size, size)))
    counted = used & ~changed
    lr_hsi = np.ascontiguousarray(scene_map.lr_hsi(region, changed))
    kept = np.where(changed, weights, np.float32(1.0))
    return AgreeingPair(lr_hsi, hr_msi, counted, kept, scene_map, region)


def agreeing_scene(model: ObservationModel, lr_hsi: Cube, hr_msi: Cube) -> AgreeingPair:
    """The same of a scene in memory, for a method that has found the cameras itself.

    Args:
        model: the two cameras.
        lr_hsi: X, (h, w, C) float32.
        hr_msi: Y, (s h, s w, c) float32.
    """
    scene_map = SceneMap(ArrayPair((lr_hsi, hr_msi), model))
    run_stages([scene_map.survey()])
    return agreeing_pair(scene_map, Region.whole(lr_hsi.shape[:2]))
