"""Training patches of sharp cubes: a tf.data pipeline whose n-th batch depends on the seed and n alone.

Nothing is shuffled in a buffer: the order of an epoch is a stateless permutation of the patch positions, so a
run that is resumed at step n sees exactly the batches that it would have seen. Flips and quarter turns only
change which pixels are taken (`hsr_tf.data.pixels`), from memory or from files.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from hsr_tf import checks
from hsr_tf.data.pixels import pixels_of
from hsr_tf.typing import Tensor


@dataclass(frozen=True)
class PatchPlan:
    """Which patches are drawn.

    Attributes:
        patch_size: side of a patch in sharp pixels.
        batch_size: patches a batch.
        stride: distance of neighbouring patch positions in sharp pixels; 1 for any position.
        augment: rotate by quarter turns and flip at random, eight ways.
        seed: seed of order and augmentation.
        margin: sharp pixels on every side that a patch is cut with beyond its size; past the border of the
            image they are mirrored, as in `hsr_tf.physics`. What is simulated of a patch with the margin of
            its blur is, within, what is simulated of the whole image.
        rotations: False for flips up-down and left-right alone, four ways.
    """

    patch_size: int
    batch_size: int
    stride: int = 1
    augment: bool = True
    seed: int = 0
    margin: int = 0
    rotations: bool = True

    @property
    def cut_size(self) -> int:
        """Side of a patch with its margins."""
        return self.patch_size + 2 * self.margin


@dataclass(frozen=True)
class Share:
    """Which parts of every batch are drawn, where several devices share it.

    Attributes:
        first: the first part, from 0.
        count: how many, one after another; each is an element of the dataset.
        total: of how many equal parts.
    """

    first: int = 0
    count: int = 1
    total: int = 1


class PatchSource:
    """Patches of several scenes.

    Args:
        cubes: sharp cubes (H, W, C), float32 or 8-bit, of the same number of bands; sizes may differ. Those
            that are memory maps of `.npy` files are read by windows.
        plan: which patches are drawn.

    Raises:
        ValueError: for no cubes, different numbers of bands, a cube smaller than a patch, or a plan that
            draws nothing.
    """

    def __init__(self, cubes: Sequence[np.ndarray], plan: PatchPlan) -> None:
        checks.require(
            len(cubes) > 0,
            "cubes",
            expected="at least one scene",
            received="none",
            remedy="check the data folder",
        )
        checks.require_positive_integers(
            patch_size=plan.patch_size, batch_size=plan.batch_size, stride=plan.stride
        )
        bands = sorted({cube.shape[-1] for cube in cubes})
        checks.require(
            len(bands) == 1,
            "cubes",
            expected="the same number of bands in every scene",
            received=str(bands),
            remedy="train on one sensor at a time",
        )
        smallest = min(min(cube.shape[:2]) for cube in cubes)
        checks.require(
            max(plan.patch_size, plan.margin) <= smallest,
            "patch_size",
            expected=f"at most {smallest}, the smallest side of a scene",
            received=str(plan.patch_size) + (f" with a margin of {plan.margin}" if plan.margin else ""),
            remedy="use smaller patches",
        )
        self.plan = plan
        self._pixels = pixels_of(cubes)
        sizes = self._pixels.sizes
        positions = (sizes - plan.patch_size) // plan.stride + 1
        self._sizes = tf.constant(sizes)
        self._columns = tf.constant(positions[:, 1], tf.int64)
        self._ends = tf.constant(np.cumsum(positions.prod(1)), tf.int64)
        self.num_patches = int(positions.prod(1).sum())

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in one showing of every position; the rest of it begins the next epoch."""
        return max(1, self.num_patches // self.plan.batch_size)

    def steps_of(self, epochs: float) -> int:
        """Steps in which every position is shown `epochs` times, rounded up."""
        return max(1, math.ceil(epochs * self.num_patches / self.plan.batch_size))

    def dataset(self, start_step: int, num_steps: int, share: Share = Share()) -> tf.data.Dataset:
        """Batches `start_step` to `num_steps` - 1 of the endless sequence, whole or a share of each.

        Args:
            start_step: the first batch.
            num_steps: the end of the sequence.
            share: the parts of each batch; B is a multiple of their total.

        Returns:
            A dataset of (patches (B / total, p, p, C) of the cubes' type, with p = `PatchPlan.cut_size`,
            scene indices (B / total,) int64), whole batches prefetched to the accelerator where there is one
            (shares are fed by the distribution strategy).
        """
        elements = tf.data.Dataset.range(start_step * share.count, num_steps * share.count)

        def element(serial: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return self.batch(serial // share.count, share.first + serial % share.count, share.total)

        batches = elements.map(element, num_parallel_calls=2, deterministic=True)
        accelerators = tf.config.list_logical_devices("GPU")
        if len(accelerators) == 1 and share.total == 1:
            return batches.apply(tf.data.experimental.prefetch_to_device(accelerators[0].name, 4))
        return batches.prefetch(4)

    def batch(
        self, step: tf.Tensor, part: tf.Tensor | int = 0, total: int = 1
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The batch of one step, or one of `total` equal parts of it."""
        plan, size = self.plan, self.plan.batch_size // total
        first = tf.cast(part, tf.int64) * size
        serial = step * plan.batch_size + first + tf.range(size, dtype=tf.int64)
        epoch, index = serial // self.num_patches, serial % self.num_patches
        seeds = tf.stack([tf.zeros_like(epoch) + plan.seed, epoch, tf.ones_like(epoch)], 1)
        last = tf.constant(self.num_patches - 1, tf.int64)
        position = tf.raw_ops.RandomIndexShuffle(index=index, seed=tf.cast(seeds, tf.int32), max_index=last)
        scene = tf.searchsorted(self._ends, position, side="right", out_type=tf.int64)
        local = position - tf.where(scene > 0, tf.gather(self._ends, tf.maximum(scene - 1, 0)), 0)
        rows, columns = local // tf.gather(self._columns, scene), local % tf.gather(self._columns, scene)
        down, right = self._offsets(step, first, size)
        ends = tf.gather(self._sizes, scene)[:, None, None, :]
        row = _mirrored(rows[:, None, None] * plan.stride + down, ends[..., 0])
        column = _mirrored(columns[:, None, None] * plan.stride + right, ends[..., 1])
        return self._pixels.take(scene, row, column), scene

    def _offsets(self, step: tf.Tensor, first: tf.Tensor, count: int) -> tuple[tf.Tensor, tf.Tensor]:
        """Row and column offsets (count, p, p) from the corners of some patches, turned and flipped."""
        size, batch, margin = self.plan.cut_size, self.plan.batch_size, self.plan.margin
        down, right = tf.meshgrid(
            tf.range(size, dtype=tf.int64), tf.range(size, dtype=tf.int64), indexing="ij"
        )
        down, right = tf.tile(down[None], (count, 1, 1)), tf.tile(right[None], (count, 1, 1))
        if not self.plan.augment:
            return down - margin, right - margin
        seed = tf.stack([tf.constant(self.plan.seed, tf.int64), step])
        coins = tf.random.stateless_uniform((3, batch, 1, 1), seed, maxval=2, dtype=tf.int32) == 1
        coins = tf.slice(coins, tf.stack([0, first, 0, 0]), (3, count, 1, 1))
        if self.plan.rotations:
            down, right = tf.where(coins[0], right, down), tf.where(coins[0], down, right)
        down = tf.where(coins[1], size - 1 - down, down)
        return down - margin, tf.where(coins[2], size - 1 - right, right) - margin


def without_margin(patches: Tensor, margin: int) -> Tensor:
    """Patches (B, p, p, C) without `margin` samples on each side."""
    inside = slice(margin, -margin or None)
    return patches[:, inside, inside]


def _mirrored(index: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Indices of a mirrored border (edge sample repeated), within [0, size)."""
    index = tf.where(index < 0, -1 - index, index)
    return tf.where(index >= size, 2 * size - 1 - index, index)
