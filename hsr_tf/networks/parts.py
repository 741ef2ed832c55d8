"""What a network adds to the base of a part of a scene, from a window around the part.

The window is wider than the part by what the network's own layers look at (`hsr_tf.networks.inner`). A
network of the pair's own cameras sees the images as they are (`OwnParts`); one of reference cameras as those
would have seen the scene, in cells that begin where those of the whole scene do (`ViewedParts`).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol

import numpy as np

from hsr_tf.arrays import ops
from hsr_tf.closed_forms.spectral_ls import BICUBIC, MapPart
from hsr_tf.networks.inner import InnerNetwork
from hsr_tf.networks.layers import FusionNetwork
from hsr_tf.networks.reference_view import CELL, ReferenceView
from hsr_tf.physics.resize import bicubic_enlarge
from hsr_tf.tiling.region import Region
from hsr_tf.typing import Cube, Tensor


class NetworkParts(Protocol):
    """A network over the parts of a scene."""

    def window(self, seen: Region) -> Region:
        """What of the map is needed for a part, in coarse pixels."""

    def added(self, part: MapPart, seen: Region) -> Cube:
        """What the network adds to a part, (s h, s w, C), from the map of its window."""


class OwnParts:
    """A network of the pair's own cameras.

    Args:
        network: with its weights.
        whole: the scene, in coarse pixels.
    """

    def __init__(self, network: FusionNetwork, whole: Region) -> None:
        self._network, self._whole = network, whole

    def window(self, seen: Region) -> Region:
        """See `NetworkParts.window`."""
        return seen if seen == self._whole else seen.grown(_inner(self._network).margin, self._whole)

    def added(self, part: MapPart, seen: Region) -> Cube:
        """See `NetworkParts.added`."""
        window = self.window(seen)
        given = {
            "lr_hsi": np.concatenate([part.lr_hsi, part.unexplained], -1)[None],
            "hr_msi": np.concatenate([part.hr_msi, part.estimate], -1)[None],
        }
        if seen == window:
            return np.asarray(self._network.predict_on_batch(given)["estimate"], np.float32)[0]
        return np.asarray(_inner(self._network).estimate(given, seen.margins(window)))


class ViewedParts:
    """A network of reference cameras.

    Args:
        network: with its weights.
        view: how it sees the pair.
        whole: the scene, in coarse pixels.
    """

    def __init__(self, network: FusionNetwork, view: ReferenceView, whole: Region) -> None:
        self._network, self._view, self._whole = network, view, whole

    def window(self, seen: Region) -> Region:
        """See `NetworkParts.window`; with what enlarges the residual at the edges."""
        return self._cells(seen)[1].grown(BICUBIC, self._whole)

    def added(self, part: MapPart, seen: Region) -> Cube:
        """See `NetworkParts.added`."""
        return self.change(part.estimate, part.unexplained, seen)

    def change(self, start: Cube, residual: Cube | None, seen: Region) -> Cube:
        """What the network adds to any start of a part, (s h, s w, C).

        Args:
            start: Z of the window, (s h, s w, C).
            residual: E of the window, (h, w, C), what it leaves of X; None for nothing.
            seen: the part.
        """
        scale, (core, around) = self._view.scale, self._cells(seen)
        rows, columns = around.inside(self.window(seen)).scaled(scale).slices
        within = ops.convert_to_tensor(start[None, rows, columns])
        enlarged = within * 0.0
        if residual is not None:
            enlarged = bicubic_enlarge(ops.convert_to_tensor(residual[None]), scale)[:, rows, columns]
        found = self._answer(self._view.images(within, enlarged), core, around)
        rows, columns = seen.inside(core).scaled(scale).slices
        left = self._view.left(ops.convert_to_tensor(found[rows, columns]))
        return np.asarray(ops.convert_to_numpy(left), np.float32)

    def _answer(self, images: dict[str, Tensor], core: Region, around: Region) -> Cube:
        """The network's answer for whole cells of the inner part."""
        given = {name: np.asarray(ops.convert_to_numpy(image)) for name, image in images.items()}
        if core == around:
            return np.asarray(self._network.predict_on_batch(given)["estimate"], np.float32)[0]
        inner, scale = core.inside(around), self._view.scale
        (top, bottom), (left, right) = (
            (span.start * scale // CELL, _cells(length * scale) - _cells(span.stop * scale))
            for span, length in zip(inner.slices, around.size, strict=True)
        )
        return np.asarray(_inner(self._network).estimate(given, ((top, bottom), (left, right))))

    def _cells(self, seen: Region) -> tuple[Region, Region]:
        """Of a part: the coarse pixels of whole cells that cover it, and those that the network looks at."""
        unit, whole = self._view.unit, self._whole
        core = seen.aligned(unit, whole)
        if core == whole:
            return core, core
        margin = _cells(_inner(self._network).margin * CELL, self._view.scale)
        return core, core.grown(margin, whole).aligned(unit, whole)


def _cells(length: int, size: int = CELL) -> int:
    """Cells of a size that cover a length."""
    return -(-length // size)


@lru_cache(maxsize=4)
def _inner(network: FusionNetwork) -> InnerNetwork:
    """One for each network, whose compiled functions are kept with it."""
    return InnerNetwork(network)
