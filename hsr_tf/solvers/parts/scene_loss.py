"""Both data terms of a network fitted to one scene, on random tiles and reduced grids.

    sum w (T - D F)^2 + sum (G - F M)^2,   over the tile, divided by its samples of Y

with T the codes of what the base leaves of X, w the squared strengths of the codes, G what it leaves of Y,
and M what a code adds to Y. With T and F in units of each code's strength this is the plain sum of both
squared residuals, up to a constant.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from hsr_tf.physics.learned import interior
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.psf import Psf
from hsr_tf.physics.spatial import SpatialDegradation

Image = NDArray[np.float32]
PIXELS_AT_ONCE = 2**17
MULTIPLE = 8


@dataclass(frozen=True, eq=False)
class SceneTerms:
    """The images of the loss.

    Attributes:
        inputs: (H, W, d) of the network.
        hsi_targets: T, (h, w, r).
        hsi_weights: w, (r,).
        msi_targets: G, (H, W, c).
        msi_map: M, (r, c).
        held_out: (h, w) coarse pixels that the loss does not see.
    """

    inputs: Image
    hsi_targets: Image
    hsi_weights: Image
    msi_targets: Image
    msi_map: Image
    held_out: NDArray[np.bool_]


@dataclass(frozen=True)
class LossPlan:
    """What each step sees.

    Attributes:
        tile: side in coarse pixels, 0 for the whole scene.
        coarse_levels: halvings of the sharp grid to start from.
        num_steps: of the fit; a third of them is spent on the reduced grids.
        seed: of the tiles.
    """

    tile: int
    coarse_levels: int
    num_steps: int
    seed: int


class SceneLoss:
    """The loss of a step, and what goes with it.

    Args:
        model: the two cameras.
        terms: the images.
        plan: what each step sees.
    """

    def __init__(self, model: ObservationModel, terms: SceneTerms, plan: LossPlan) -> None:
        self._plan = plan
        self._levels = [
            _Level.reduced(model.spatial, terms, 2**level)
            for level in range(plan.coarse_levels + 1)
            if model.scale % 2**level == 0 and model.scale > 2**level
        ] or [_Level.reduced(model.spatial, terms, 1)]
        finest = self._levels[0]
        # Views of the tensors, so that memory holds the sharp images once.
        self._terms = replace(
            terms, inputs=np.asarray(finest.inputs), msi_targets=np.asarray(finest.msi_targets)
        )
        self._apply: Any = None

    @property
    def inputs(self) -> tf.Tensor:
        """Of the network, (H, W, d); the loss holds them once."""
        return self._levels[0].inputs

    def __call__(self, network: Any, step: tf.Tensor) -> tf.Tensor:
        """The loss of one step, in TensorFlow operations."""
        count = len(self._levels)
        early = max(1, self._plan.num_steps // 3)
        number = tf.maximum(0, count - 1 - step * max(1, count - 1) // early)
        branches = [lambda level=level: self._on_tile(network, level, step) for level in self._levels]
        return branches[0]() if count == 1 else tf.switch_case(number, branches)

    def codes(self, network: Any) -> Image:
        """F of the whole scene, (H, W, r)."""
        height, width, _ = self._terms.inputs.shape
        codes = np.empty((height, width, len(self._terms.hsi_weights)), np.float32)
        for rows, part in self.strips(network):
            codes[rows] = part
        return codes

    def strips(self, network: Any) -> Iterator[tuple[slice, Image]]:
        """F of some rows after the other, (rows, (n, W, r)); all rows at once where F sees neighbours."""
        if self._apply is None:
            self._apply = tf.function(lambda x: network(x[None])[0], reduce_retracing=True, autograph=False)
        inputs = self._terms.inputs
        height, width, _ = inputs.shape
        if network.name != "pixelwise":
            whole: Image = self._apply(tf.constant(_padded(inputs))).numpy()
            yield slice(0, height), whole[:height, :width]
            return
        step = max(1, PIXELS_AT_ONCE // width)
        for row in range(0, height, step):
            rows = slice(row, min(row + step, height))
            yield rows, self._apply(tf.constant(inputs[rows])).numpy()

    def held_out_error(self, network: Any) -> float:
        """Weighted mean square of T - D F over the coarse pixels held out."""
        terms, codes = self._terms, self.codes(network)
        total = 0.0
        for code, weight in enumerate(terms.hsi_weights):
            image = tf.constant(np.ascontiguousarray(codes[None, ..., code : code + 1]))
            coarse = self._levels[0].spatial.forward(image)[0, ..., 0].numpy()
            total += weight * np.square(terms.hsi_targets[..., code] - coarse)[terms.held_out].mean()
        return float(total / terms.hsi_weights.sum())

    def _on_tile(self, network: Any, level: _Level, step: tf.Tensor) -> tf.Tensor:
        size, scale = self._plan.tile, level.spatial.scale
        height, width = self._terms.held_out.shape
        tall, wide = (min(size, n) if size else n for n in (height, width))
        seed = tf.stack([tf.constant(self._plan.seed, tf.int32), step])
        limits = tf.constant([height - tall + 1, width - wide + 1])
        corner = tf.cast(tf.random.stateless_uniform([2], seed) * tf.cast(limits, tf.float32), tf.int32)
        row, column = corner[0], corner[1]
        sharp = [level.inputs, level.msi_targets]
        inputs, msi = (
            image[row * scale : (row + tall) * scale, column * scale : (column + wide) * scale]
            for image in sharp
        )
        hsi, seen = (
            image[row : row + tall, column : column + wide] for image in (level.hsi_targets, level.seen)
        )
        inputs.set_shape((tall * scale, wide * scale, level.inputs.shape[-1]))
        codes = self.tile_codes(network, inputs)
        error = tf.square(hsi - level.spatial.forward(codes[None])[0]) * self._terms.hsi_weights
        taps = () if (tall, wide) == (height, width) else level.spatial.psf.kernel.shape
        inner = seen * interior((tall, wide), taps, scale)
        msi_error = tf.reduce_sum(tf.square(msi - tf.tensordot(codes, self._terms.msi_map, 1)))
        # Each sharp grid stands for the same scene: its samples of Y count by the area that they cover.
        area = float(scale / self._levels[0].spatial.scale) ** 2
        total = tf.reduce_sum(error * inner[..., None]) + msi_error / area
        return total / float(tall * wide * self._levels[0].spatial.scale ** 2)

    def tile_codes(self, network: Any, inputs: tf.Tensor) -> tf.Tensor:
        """F of one tile of known size, (H, W, d) to (H, W, r), in TensorFlow operations."""
        height, width = inputs.shape[0], inputs.shape[1]
        if network.name == "pixelwise":
            return network(inputs[None])[0]
        return network(_padded(inputs)[None])[0, :height, :width]


@dataclass(frozen=True, eq=False)
class _Level:
    """The scene on one sharp grid."""

    spatial: SpatialDegradation
    inputs: tf.Tensor
    msi_targets: tf.Tensor
    hsi_targets: tf.Tensor
    seen: tf.Tensor

    @classmethod
    def reduced(cls, spatial: SpatialDegradation, terms: SceneTerms, factor: int) -> _Level:
        """The grid with every `factor` x `factor` sharp pixels joined to one."""
        return cls(
            spatial=spatial if factor == 1 else reduced_degradation(spatial, factor),
            inputs=tf.constant(_joined(terms.inputs, factor)),
            msi_targets=tf.constant(_joined(terms.msi_targets, factor)),
            hsi_targets=tf.constant(terms.hsi_targets),
            seen=tf.constant(~terms.held_out, tf.float32),
        )


def reduced_degradation(spatial: SpatialDegradation, factor: int) -> SpatialDegradation:
    """D for sharp pixels `factor` times as large: the PSF's weights summed over each of them."""
    grid = []
    for taps, offset in zip(spatial.psf.kernel.shape, spatial.offsets, strict=True):
        before = offset % factor
        grid.append((before, -(before + taps) % factor, (offset - before) // factor))
    kernel = np.pad(spatial.psf.kernel[::-1, ::-1], [part[:2] for part in grid])
    joined = kernel.reshape(kernel.shape[0] // factor, factor, kernel.shape[1] // factor, factor).sum((1, 3))
    scale = spatial.scale // factor
    widths = []
    for taps, (_, _, first) in zip(joined.shape, grid, strict=True):
        end = max(-first, first + taps - scale)
        widths.append((first + end, scale + end - first - taps))
    centred = np.pad(joined, widths)[::-1, ::-1]
    psf = Psf(centred, f"{spatial.psf.name} / {factor}", spatial.psf.signed)
    return SpatialDegradation(psf, scale, border=spatial.border)


def _joined(image: Image, factor: int) -> Image:
    height, width, channels = image.shape
    cells = image.reshape(height // factor, factor, width // factor, factor, channels)
    return cells.mean((1, 3)) if factor > 1 else image


def _padded(image: Any) -> Any:
    """Zeros below and to the right, to a multiple of what an hourglass halves."""
    below, right = (-int(n) % MULTIPLE for n in image.shape[:2])
    return tf.pad(image, [(0, below), (0, right), (0, 0)]) if below or right else tf.convert_to_tensor(image)
