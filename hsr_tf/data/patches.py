"""Training patches of sharp cubes: a tf.data pipeline whose n-th batch depends on the seed and n alone.

Nothing is shuffled in a buffer: the order of an epoch is a stateless permutation of the patch positions, so a
run that is resumed at step n sees exactly the batches that it would have seen. Scenes are held once in memory
as one table of spectra; a batch is one gather, and flips and quarter turns only change the gather's indices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from hsr_tf import checks


@dataclass(frozen=True)
class PatchPlan:
    """Which patches are drawn.

    Attributes:
        patch_size: side of a patch in sharp pixels.
        batch_size: patches a batch.
        stride: distance of neighbouring patch positions in sharp pixels; 1 for any position.
        augment: rotate by quarter turns and flip at random, eight ways.
        seed: seed of order and augmentation.
        rotations: False for flips up-down and left-right alone, four ways.
    """

    patch_size: int
    batch_size: int
    stride: int = 1
    augment: bool = True
    seed: int = 0
    rotations: bool = True


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
        cubes: sharp cubes (H, W, C), float32 or 8-bit, of the same number of bands; sizes may differ.
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
            plan.patch_size <= smallest,
            "patch_size",
            expected=f"at most {smallest}, the smallest side of a scene",
            received=str(plan.patch_size),
            remedy="use smaller patches",
        )
        self.plan = plan
        self._table = tf.concat([tf.reshape(tf.constant(cube), (-1, cube.shape[-1])) for cube in cubes], 0)
        sizes = np.array([cube.shape[:2] for cube in cubes])
        positions = (sizes - plan.patch_size) // plan.stride + 1
        self._widths = tf.constant(sizes[:, 1], tf.int64)
        self._columns = tf.constant(positions[:, 1], tf.int64)
        self._ends = tf.constant(np.cumsum(positions.prod(1)), tf.int64)
        self._starts = tf.constant(np.cumsum(sizes.prod(1)) - sizes.prod(1), tf.int64)
        self.num_patches = int(positions.prod(1).sum())

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in one showing of every position; the rest of it begins the next epoch."""
        return max(1, self.num_patches // self.plan.batch_size)

    def dataset(self, start_step: int, num_steps: int, share: Share = Share()) -> tf.data.Dataset:
        """Batches `start_step` to `num_steps` - 1 of the endless sequence, whole or a share of each.

        Args:
            start_step: the first batch.
            num_steps: the end of the sequence.
            share: the parts of each batch; B is a multiple of their total.

        Returns:
            A dataset of (patches (B / total, p, p, C) of the cubes' type, scene indices (B / total,) int64),
            whole batches prefetched to the accelerator where there is one (shares are fed by the distribution
            strategy).
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
        width = tf.gather(self._widths, scene)[:, None, None]
        row = rows[:, None, None] * plan.stride + down
        column = columns[:, None, None] * plan.stride + right
        pixel = tf.gather(self._starts, scene)[:, None, None] + row * width + column
        return tf.gather(self._table, pixel), scene

    def _offsets(self, step: tf.Tensor, first: tf.Tensor, count: int) -> tuple[tf.Tensor, tf.Tensor]:
        """Row and column offsets (count, p, p) within a patch, turned and flipped, of a part of the batch."""
        size, batch = self.plan.patch_size, self.plan.batch_size
        down, right = tf.meshgrid(
            tf.range(size, dtype=tf.int64), tf.range(size, dtype=tf.int64), indexing="ij"
        )
        down, right = tf.tile(down[None], (count, 1, 1)), tf.tile(right[None], (count, 1, 1))
        if not self.plan.augment:
            return down, right
        seed = tf.stack([tf.constant(self.plan.seed, tf.int64), step])
        coins = tf.random.stateless_uniform((3, batch, 1, 1), seed, maxval=2, dtype=tf.int32) == 1
        coins = tf.slice(coins, tf.stack([0, first, 0, 0]), (3, count, 1, 1))
        if self.plan.rotations:
            down, right = tf.where(coins[0], right, down), tf.where(coins[0], down, right)
        down = tf.where(coins[1], size - 1 - down, down)
        return down, tf.where(coins[2], size - 1 - right, right)
