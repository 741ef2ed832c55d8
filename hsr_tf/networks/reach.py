"""How far an estimated pixel of a fusion model looks, so that large scenes can be cut into tiles.

A tensor's samples are cells of `spacing` sharp pixels. `View` says how many sharp pixels of the two inputs a
sample looks at before and after its cell; it is followed through the layers of a network, the base that the
network adds to and the fit to the observations. Along both axes everything looks equally far.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import keras
from keras import layers

from hsr_tf.closed_forms.consistency import DataConsistency
from hsr_tf.closed_forms.sylvester import SylvesterBase
from hsr_tf.networks.layers import BicubicEnlarge, FusionNetwork
from hsr_tf.networks.taps import Taps, layer_taps
from hsr_tf.physics.spatial import SpatialDegradation


@dataclass(frozen=True)
class View:
    """What the samples of a tensor look at.

    Attributes:
        spacing: sharp pixels a sample.
        before, after: sharp pixels in front of the sample's cell and behind it.
    """

    spacing: int
    before: int = 0
    after: int = 0

    def widened(self, before: int, after: int) -> View:
        """Looking so many sharp pixels further."""
        return View(self.spacing, self.before + before, self.after + after)

    def through(self, taps: Taps) -> View:
        """What samples look at that are made of these by `taps`."""
        fine = self.spacing * taps.given // len(taps.ranges)
        before = max(fine * i - self.spacing * first for i, (first, _) in enumerate(taps.ranges))
        after = max(self.spacing * (last + 1) - fine * (i + 1) for i, (_, last) in enumerate(taps.ranges))
        return View(fine, self.before + max(before, 0), self.after + max(after, 0))


@dataclass(frozen=True, eq=False)
class Parts:
    """What a fusion model consists of beside its network.

    Attributes:
        base: of the configuration.
        consistency: the projection, where base or last step need it.
        sylvester: the closed form, where base and last step are it.
        consistent: whether the estimate is fitted to the observations.
    """

    base: str
    consistency: DataConsistency | None
    sylvester: SylvesterBase | None
    consistent: bool


def fusion_reach(network: FusionNetwork, parts: Parts) -> int | None:
    """Coarse pixels around the one above it that an estimated pixel looks at; None where tiles are not right.

    Tiles are not right where an estimate rests on the whole scene: with layers that are not known to look at
    a neighbourhood, cameras whose border is circular, a PSF whose inverse conjugate gradients find, and with
    a last projection whose trust in the observations is judged without the base "spectral_ls", which alone
    hands it on from the whole scene to its parts.
    """
    scale = network.spec.scale
    if parts.consistent and parts.base not in ("spectral_ls", "sylvester"):
        return None
    margin = _inverse_margin(parts)
    if margin is None:
        return None
    guide, base = _start(parts, scale, margin)
    sharp = View(1) if base is None else base
    views = _views(network, {"lr_hsi": guide, "hr_msi": sharp})
    if views is None:
        return None
    estimate = _joined([views, sharp])
    if parts.consistent:
        estimate = _fitted(estimate, _spatial(parts), margin)
    return -(-max(estimate.before, estimate.after) // scale)


def network_reach(network: FusionNetwork) -> int | None:
    """Sharp pixels on each side that the network's own layers look at, beside base and projection.

    None with layers that are not known to look at a neighbourhood.
    """
    views = _views(network, {"lr_hsi": View(network.spec.scale), "hr_msi": View(1)})
    return None if views is None else max(views.before, views.after)


def _inverse_margin(parts: Parts) -> int | None:
    """Coarse pixels that the inverse of D D* looks at; 0 where none is taken."""
    if parts.sylvester is not None:
        return parts.sylvester.reach
    return 0 if parts.consistency is None else parts.consistency.reach()


def _start(parts: Parts, scale: int, margin: int) -> tuple[View, View | None]:
    """Views of the network's coarse input and of the base."""
    coarse = View(scale)
    if parts.base == "none":
        return coarse, None
    bicubic = layer_taps(BicubicEnlarge(scale))
    assert bicubic is not None
    enlarged = coarse.through(bicubic)
    if parts.base == "bicubic":
        return coarse, enlarged
    spatial = _spatial(parts)
    if parts.base == "sylvester":
        return coarse, _fitted(enlarged, spatial, margin)
    left = coarse.widened(*spatial.reach_pixels)
    plain = left.through(bicubic)
    return left, _joined([plain, _fitted(View(1), spatial, margin)])


def _fitted(estimate: View, spatial: SpatialDegradation, margin: int) -> View:
    """The estimate after D has judged it and `margin` coarse pixels of what is left have corrected it."""
    before, after = spatial.reach_pixels
    cell = spatial.scale * (margin + 1) - 1
    return estimate.widened(before + cell, after + cell)


def _spatial(parts: Parts) -> SpatialDegradation:
    known = parts.sylvester or parts.consistency
    assert known is not None
    return known.model.spatial


def _views(network: FusionNetwork, starts: Mapping[str, View]) -> View | None:
    """What the network's estimate looks at, None where a layer is not known."""
    seen: dict[int, View] = {}
    for layer in network.layers:
        if isinstance(layer, layers.InputLayer):
            seen[id(layer.output)] = starts[layer.name]
            continue
        if _tiled_taps(layer) is None:
            return None
        found = through(layer, _joined([seen[id(tensor)] for tensor in keras.tree.flatten(layer.input)]))
        if found is None:
            return None
        seen[id(layer.output)] = found
    return seen[id(network.output["estimate"])]


def through(layer: layers.Layer, view: View) -> View | None:
    """The view of a layer's output, of that of its input; None for a layer that is not known, or reduces by
    other than pooling.
    """
    taps = _tiled_taps(layer)
    return None if taps is None else view.through(taps)


def beyond(layer: layers.Layer) -> tuple[float, int]:
    """How a layer that `through` knows widens what is looked at.

    Returns:
        New samples a sample of its input, along one side, and the samples that a new one looks at beyond its
        own.
    """
    taps = _tiled_taps(layer) or Taps()
    further = max(max(-first, last - taps.given + 1) for first, last in taps.ranges)
    return len(taps.ranges) / taps.given, further


def _tiled_taps(layer: layers.Layer) -> Taps | None:
    """The taps of a layer that tiles may be cut for: a strided convolution begins elsewhere on every size."""
    taps = layer_taps(layer)
    pools = isinstance(layer, layers.MaxPooling2D | layers.AveragePooling2D)
    return taps if taps is None or taps.given == 1 or pools else None


def _joined(views: list[View]) -> View:
    """Samples of the same spacing that look at all that these look at."""
    assert len({view.spacing for view in views}) == 1
    return View(views[0].spacing, max(v.before for v in views), max(v.after for v in views))
