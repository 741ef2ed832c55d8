"""Fusion networks in parts.

Over the base "spectral_ls" the parts are cut where the whole computation has its seams: the map is fitted to
the scene (`least_squares`), a tile of base and network looks no further than the network's own layers, and
the last projection, which looks far, is added when all tiles are there, from the coarse image of what they
leave of X. A tile is so widened by the network's layers alone, 4 coarse pixels of the shipped models' 25, and
the dear layers by less (`hsr_tf.networks.inner`).

Other models are asked about windows that are wider by all that an estimated pixel looks at
(`FusionModel.reach`).
"""

from __future__ import annotations

import numpy as np

from hsr_tf import checks
from hsr_tf.arrays import ops
from hsr_tf.networks.fusion_model import FusionModel
from hsr_tf.networks.inner import InnerNetwork
from hsr_tf.networks.reach import network_reach
from hsr_tf.streaming.files import Cube
from hsr_tf.streaming.job import Scenery, Stage
from hsr_tf.streaming.least_squares import BANDS_AT_ONCE, StreamedMap

FREE, RESIDUAL, ESTIMATE = "free", "residual", "estimate"


class BasedNetwork:
    """A network over the base "spectral_ls".

    Args:
        scenery: the images and the tiles.
        model: with its weights.
    """

    def __init__(self, scenery: Scenery, model: FusionModel) -> None:
        assert model.cameras is not None
        self._scenery, self._cameras = scenery, model.cameras
        self._consistent = model.config.consistent
        self._map = StreamedMap(scenery, model.cameras, base=True)
        _require_reach(network_reach(model.network), model)
        self._network = InnerNetwork(model.network)

    def stages(self) -> list[Stage]:
        """The fit of the map and the network."""
        return [self._map.stage(), Stage(FREE, len(self._scenery.grid), self._tile)]

    def final(self, index: int) -> Cube:
        """The estimate (s h, s w, C) of a tile, once all stages are through."""
        scenery, scale = self._scenery, self._scenery.grid.scale
        place = scenery.grid.place(index)
        free = scenery.draft.load(FREE, index)
        if not self._consistent:
            return free
        around = scenery.grid.widened(place, self._map.blur)
        far = scenery.grid.widened(around, self._map.reach)
        residual = scenery.draft.read(RESIDUAL, scenery.grid, far)
        solved = self._map.solved(residual, far, around)
        trust, inner = self._map.shared().trust, place.within(around, scale)
        free += trust * self._gap_in_bands(free, scenery.sharp(place))
        for start in range(0, free.shape[-1], BANDS_AT_ONCE):
            bands = slice(start, start + BANDS_AT_ONCE)
            spread = ops.convert_to_numpy(self._cameras.spatial.adjoint(solved[..., bands]))[0]
            free[..., bands] += trust * spread[inner]
        return free

    def _tile(self, index: int) -> None:
        """Base and network on a tile, and what they leave of X after the spectral projection."""
        scenery, scale = self._scenery, self._scenery.grid.scale
        place = scenery.grid.place(index)
        seen = scenery.grid.widened(place, self._map.blur if self._consistent else 0)
        window = scenery.grid.widened(seen, self._network.margin)
        part = self._map.part(self._map.shared(), window)
        guide = np.concatenate([part.lr_hsi, part.unexplained], -1)
        given = {
            "lr_hsi": guide[None],
            "hr_msi": np.concatenate([part.hr_msi, part.estimate], -1)[None],
        }
        inner = seen.within(window, scale)
        base, hr_msi = part.estimate[inner].copy(), part.hr_msi[inner]
        del part
        free = self._network.estimate(given, seen.margins(window)) + base
        del given, base
        own = place.within(seen, scale)
        if self._consistent:
            left = self._residual(free, hr_msi)[place.within(seen)]
            lr_hsi = self._map.lr_hsi(self._map.shared(), place)
            scenery.draft.save(RESIDUAL, index, lr_hsi - left)
        scenery.draft.save(FREE, index, free[own])

    def _residual(self, free: Cube, hr_msi: Cube) -> Cube:
        """D of the nearest cube with Z R = Y, (h, w, C), some bands at a time."""
        gap = hr_msi - free @ self._cameras.spectral.matrix.astype(np.float32)
        inverse = self._cameras.spectral.pseudo_inverse().astype(np.float32)
        parts = []
        for start in range(0, free.shape[-1], BANDS_AT_ONCE):
            bands = slice(start, start + BANDS_AT_ONCE)
            matched = free[..., bands] + gap @ inverse[:, bands]
            parts.append(ops.convert_to_numpy(self._cameras.spatial.forward(matched[None]))[0])
        return np.concatenate(parts, -1)

    def _gap_in_bands(self, free: Cube, hr_msi: Cube) -> Cube:
        """(Y - Z R) R^+."""
        spectral = self._cameras.spectral
        gap = hr_msi - free @ spectral.matrix.astype(np.float32)
        return np.asarray(gap @ spectral.pseudo_inverse().astype(np.float32))


class WindowedNetwork:
    """A network over another base, or over none.

    Args:
        scenery: the images and the tiles.
        model: with its weights.

    Raises:
        ValueError: a model whose estimate rests on the whole scene.
    """

    def __init__(self, scenery: Scenery, model: FusionModel) -> None:
        self._scenery, self._model = scenery, model
        _require_reach(model.reach, model)

    def stages(self) -> list[Stage]:
        """The only one."""
        return [Stage(ESTIMATE, len(self._scenery.grid), self._tile)]

    def final(self, index: int) -> Cube:
        """The estimate (s h, s w, C) of a tile."""
        return self._scenery.draft.load(ESTIMATE, index)

    def _tile(self, index: int) -> None:
        scenery = self._scenery
        place = scenery.grid.place(index)
        assert self._model.reach is not None
        window = scenery.grid.widened(place, self._model.reach)
        given = {"lr_hsi": scenery.coarse(window)[None], "hr_msi": scenery.sharp(window)[None]}
        estimate = np.asarray(self._model.predict_on_batch(given), np.float32)[0]
        scenery.draft.save(ESTIMATE, index, estimate[place.within(window, scenery.grid.scale)])


def floats_a_pixel(model: FusionModel) -> float:
    """Numbers that the network holds at once a sharp pixel, at its peak: its seven largest tensors."""
    scale = model.config.scale
    images: dict[str, tuple[int, ...]] = {
        tensor.name: (1, *(64 * (1 if tensor.name == "lr_hsi" else scale),) * 2, tensor.shape[-1])
        for tensor in model.network.inputs
    }
    return _largest(model, images, (64 * scale) ** 2)


def _largest(model: FusionModel, images: dict[str, tuple[int, ...]], num_pixels: int) -> float:
    import keras

    layers = {layer.name: layer.output for layer in model.network.layers}
    probe = keras.Model(model.network.inputs, layers)
    found = probe.compute_output_spec({name: keras.KerasTensor(shape) for name, shape in images.items()})
    sizes = sorted(float(np.prod(tensor.shape)) for tensor in keras.tree.flatten(found))
    return sum(sizes[-7:]) / num_pixels


def require_tiles(model: FusionModel) -> None:
    """Refuse a model that cannot be run tile by tile.

    Raises:
        ValueError: a model whose estimate rests on the whole scene.
    """
    _require_reach(network_reach(model.network) if is_based(model) else model.reach, model)


def is_based(model: FusionModel) -> bool:
    """Whether a model is run as a `BasedNetwork`, else as a `WindowedNetwork`."""
    return model.config.base == "spectral_ls" and model.cameras is not None


def _require_reach(reach: int | None, model: FusionModel) -> None:
    checks.require(
        reach is not None,
        "method",
        expected="a network that looks at a neighbourhood, where a scene is larger than memory",
        received=f"{model.config.method} over the base {model.config.base}, which rests on the whole scene",
        remedy="use one with the base spectral_ls, or raise --memory_limit",
    )
