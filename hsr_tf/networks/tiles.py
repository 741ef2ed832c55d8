"""Fusion networks over the parts of a scene.

Where the two images disagree the network is not followed: its residual counts with the weight of the coarse
pixels (`hsr_tf.closed_forms.map_fit`), as the last projection does, and the base keeps to X there.

Over the base "spectral_ls" the parts are cut where the whole computation has its seams: the map is fitted to
the scene (`SceneMap`), a tile of base and network looks no further than the network's own layers, and
the last projection, which looks far, is added when all tiles are there, from the coarse image of what they
leave of X. A tile is so widened by the network's layers alone, 4 coarse pixels of the shipped models' 25, and
the expensive layers by less (`hsr_tf.networks.parts`).

Networks start from the fitted map of `spectral_ls`, also those that were trained over the plain one of
`SpectralLS`, which exports compute: a better start is worth more than the one trained for, 0.7 dB at x8 and
0.8 at x16 on the test scenes.

Other models are given windows that are wider by all that an estimated pixel looks at (`FusionModel.reach`);
one that rests on the whole scene needs it as one tile. Where such a model is fitted to both images (DHSIS),
coarse pixels without data are given spectra that agree with both: it had lost 1.6 dB beside them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hsr_tf import checks
from hsr_tf.arrays import ops
from hsr_tf.closed_forms.spectral_ls import BANDS_AT_ONCE, SceneMap, enlarged
from hsr_tf.closed_forms.windowed import Windowed
from hsr_tf.networks.fusion_model import FusionModel
from hsr_tf.networks.parts import NetworkParts, OwnParts, ViewedParts
from hsr_tf.networks.reach import network_reach
from hsr_tf.physics.tiled_pair import TiledPair
from hsr_tf.tiling.region import Region
from hsr_tf.tiling.stages import Stage, StagedMethod
from hsr_tf.typing import Cube

FREE, RESIDUAL = "free", "residual"


def network_tiles(pair: TiledPair, model: FusionModel) -> StagedMethod:
    """A trained network over the parts of a scene."""
    whole = len(pair.grid) == 1
    if is_based(model) and (whole or network_reach(model.network) is not None):
        return BasedNetwork(pair, model)
    fuse = lambda lr_hsi, hr_msi: model.predict_on_batch({"lr_hsi": lr_hsi, "hr_msi": hr_msi})  # noqa: E731
    fitted = bool(model.config.consistent) or model.config.base == "sylvester"
    return Windowed(pair, fuse, margin=model.reach, agreeing=fitted)


class BasedNetwork(StagedMethod):
    """A network over the base "spectral_ls".

    Args:
        pair: the images and the tiles.
        model: with its weights.
    """

    def __init__(self, pair: TiledPair, model: FusionModel) -> None:
        assert model.cameras is not None
        self._pair, self._cameras, whole = pair, model.cameras, pair.grid.whole
        self._parts: NetworkParts = (
            OwnParts(model.network, whole)
            if model.view is None
            else ViewedParts(model.network, model.view, whole)
        )
        self._consistent = model.config.consistent
        self._map = SceneMap(pair, model.cameras)
        self._inverse = model.cameras.spectral.pseudo_inverse().astype(np.float32)
        self._response = model.cameras.spectral.matrix.astype(np.float32)

    def survey(self) -> Sequence[Stage]:
        """The fit of the map."""
        return (self._map.survey(),)

    def estimate(self) -> Sequence[Stage]:
        """Base and network."""
        return (Stage(FREE, len(self._pair.grid), self._tile),)

    def finish(self, index: int) -> Cube:
        """See `StagedMethod.finish`."""
        grid, store = self._pair.grid, self._pair.store
        region, free = grid.region(index), store.load(FREE, index)
        if not self._consistent:
            return free
        around = region.grown(self._map.blur, grid.whole)
        far = around.grown(self._map.reach, grid.whole)
        solved = self._map.solved(self._map.weights(far)[0] * store.read(RESIDUAL, grid, far), far, around)
        trust, inner = self._map.found().trust, region.inside(around).scaled(grid.scale).slices
        gap = trust * self._fine_weights(region) * (self._pair.hr_msi(region) - free @ self._response)
        for start in range(0, free.shape[-1], BANDS_AT_ONCE):
            bands = slice(start, start + BANDS_AT_ONCE)
            spread = ops.convert_to_numpy(self._cameras.spatial.adjoint(solved[..., bands]))[0]
            free[..., bands] += gap @ self._inverse[:, bands] + trust * spread[inner]
        return free

    def _tile(self, index: int) -> None:
        """Base and network on a tile, and what they leave of X after the spectral projection."""
        pair, grid = self._pair, self._pair.grid
        region = grid.region(index)
        seen = region.grown(self._map.blur if self._consistent else 0, grid.whole)
        window = self._parts.window(seen)
        part = self._map.part(window)
        inner = seen.inside(window).scaled(grid.scale).slices
        hr_msi, weights = part.hr_msi[inner], self._fine_weights(seen)
        free = self._parts.added(part, seen) * weights + part.estimate[inner]
        del part
        if self._consistent:
            # D of the nearest cube with Z R = Y, (h, w, C), some bands at a time.
            gap = weights * (hr_msi - free @ self._response)
            parts = []
            for start in range(0, free.shape[-1], BANDS_AT_ONCE):
                bands = slice(start, start + BANDS_AT_ONCE)
                matched = free[..., bands] + gap @ self._inverse[:, bands]
                parts.append(ops.convert_to_numpy(self._cameras.spatial.forward(matched[None]))[0])
            left = np.concatenate(parts, -1)[region.inside(seen).slices]
            pair.store.save(RESIDUAL, index, self._map.lr_hsi(region) - left)
        pair.store.save(FREE, index, free[region.inside(seen).scaled(grid.scale).slices])

    def _fine_weights(self, region: Region) -> Cube:
        """The weights of the coarse pixels of a region for the sharp pixels in them, (s h, s w, 1)."""
        return enlarged(self._map.weights(region)[0][..., 0], self._pair.grid.scale)[..., None]


def floats_a_pixel(model: FusionModel) -> float:
    """Numbers that the network holds at once a sharp pixel, at its peak: its seven largest tensors."""
    import keras

    scale = model.network.spec.scale
    images = {
        tensor.name: (1, *(64 * (1 if tensor.name == "lr_hsi" else scale),) * 2, tensor.shape[-1])
        for tensor in model.network.inputs
    }
    probe = keras.Model(model.network.inputs, {layer.name: layer.output for layer in model.network.layers})
    found = probe.compute_output_spec({name: keras.KerasTensor(shape) for name, shape in images.items()})
    sizes = sorted(float(np.prod(tensor.shape)) for tensor in keras.tree.flatten(found))
    return sum(sizes[-7:]) / (64 * scale) ** 2


def is_based(model: FusionModel) -> bool:
    """Whether a model computes the base "spectral_ls" with cameras of its own."""
    return model.config.base == "spectral_ls" and model.cameras is not None


def require_tiles(model: FusionModel) -> None:
    """Refuse a model that cannot be run tile by tile.

    Raises:
        ValueError: a model whose estimate rests on the whole scene.
    """
    checks.require(
        (network_reach(model.network) if is_based(model) else model.reach) is not None,
        "method",
        expected="a network that looks at a neighbourhood, where a scene is larger than memory",
        received=f"{model.config.method} over the base {model.config.base}, which rests on the whole scene",
        remedy="use one with the base spectral_ls, or raise --memory_limit",
    )
