"""Train a network of single images: `python -m trainers.single_image --scales=2,3,4 --run_dir=runs/vdsr`.

Patches of sharp pictures are reduced by antialiased bicubic interpolation on the device, in the compiled
step, and enlarged again for the networks that want that (VDSR, SRCNN), of which one model learns all the
scales: a batch is shared among them. Networks with a scale of their own (DBPN) get the small picture.
Luminance alone is trained on, or RGB with --channels=3. Options of a network are given as
--option=NAME=VALUE; D-DBPN as its authors published it is

    --method=dbpn --scales=4 --channels=3 --option=num_stages=7 --option=features=64 --option=dense=true
    --option=one_slope=true --option=residual=false

The published recipe of VDSR is within the flags (theta is not in the paper):

    --optimizer=sgd --learning_rate=0.1 --momentum=0.9 --weight_decay=1e-4 --clip_theta=0.01 --clip_norm=0
    --schedule=steps --decay_every=(a quarter of the steps) --loss=half_sse --batch_size=64 --patch_size=41
    --ema=0 --warmup_steps=0
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf
from absl import flags

from hsr_tf import checks, methods
from hsr_tf.console.flag_apps import run_app
from hsr_tf.data.patches import PatchPlan, without_margin
from hsr_tf.data.pictures import NamedPicture
from hsr_tf.networks import losses
from hsr_tf.physics.reduction import enlarge_picture, reduce_picture
from hsr_tf.typing import Tensor
from trainers import _flags
from trainers._hosts import join_hosts
from trainers._pictures import (
    Held,
    NetworkPlan,
    Pictures,
    PictureTrainer,
    define_picture_flags,
    load_pictures,
    luminance,
    network_plan,
    scales_of,
    truth_of,
)
from trainers._run import RunPlan

FLAGS = flags.FLAGS
ENLARGED_FIRST = ("vdsr", "srcnn")


def define_flags() -> None:
    """What this trainer has beside the flags of runs and pictures."""
    define_picture_flags(method="vdsr", known="vdsr, srcnn or dbpn", patch_size=48)
    flags.DEFINE_list(
        "scales", ["2", "3", "4"], "Factors that one model learns, fractional ones too; dbpn learns one."
    )


@dataclass(frozen=True, eq=False)
class SingleImageTask:
    """What is trained on what.

    Attributes:
        network: which one.
        pictures: luminance.
        scales: factors that the model learns.
        patches: of the size that is compared.
        loss: name in `losses.LOSSES`.
    """

    network: NetworkPlan
    pictures: Pictures
    scales: tuple[float, ...]
    patches: PatchPlan
    loss: str = "mse"

    def __post_init__(self) -> None:
        own = self.network.spec.scale
        size = self.patches.patch_size
        checks.require(
            own is None or ([*self.scales] == [own] and size % own == 0),
            "scales, patch_size",
            expected=f"one whole factor for {self.network.method}, and patches of a multiple of it",
            received=f"{', '.join(f'{scale:g}' for scale in self.scales)}, patches of {size}",
            remedy="train one model a factor",
        )

    @property
    def cut(self) -> int:
        """Side of the patches as they are cut from the pictures.

        Around what is compared lies a margin of two small pixels or more, so that it is degraded as within
        the whole picture, to a thousandth of the data range; and the sides divide by the whole factors. For a
        network of one factor the margin is that of `PatchPlan`, which is exact.
        """
        if self.network.spec.scale is not None:
            return self.patches.patch_size
        multiple = math.lcm(*(int(scale) for scale in self.scales if float(scale).is_integer()))
        least = self.patches.patch_size + 4 * math.ceil(max(self.scales))
        return multiple * -(-least // multiple)


class SingleImageTrainer(PictureTrainer):
    """The network of a task and its compiled training step.

    Args:
        task: what is trained on what.
        plan: how.
    """

    def __init__(self, task: SingleImageTask, plan: RunPlan) -> None:
        self.task = task
        patches = replace(task.patches, patch_size=task.cut)
        super().__init__(task.network, task.pictures, patches=patches, plan=plan)
        self._loss = losses.get(task.loss)
        self.held = [self._hold(picture, s) for s in task.scales for picture in task.pictures.validation]

    def describe(self) -> dict[str, Any]:
        """Return the pictures and the scales."""
        return {**super().describe(), "scales": list(self.task.scales)}

    def picture_loss(self, hr_image: Tensor) -> Tensor:
        """The task's loss of the estimates."""
        lr_image, target = self.observe(hr_image)
        estimate = self.model({"lr_image": lr_image}, training=True)["estimate"]
        return self._loss(target, tf.cast(estimate, tf.float32))

    def observe(self, hr_image: Tensor) -> tuple[Tensor, Tensor]:
        """What the network sees of sharp patches, and what it is compared with, in an order of their own.

        Of n scales the first sees patches 0, n, 2 n, ..., the next one 1, n + 1, ...
        """
        if self.task.network.spec.scale is not None:
            margin, scale = self.task.patches.margin, self.task.network.spec.scale
            small = without_margin(reduce_picture(hr_image, scale), margin // scale)
            return small, without_margin(hr_image, margin)
        size, number = self.task.patches.patch_size, len(self.task.scales)
        first = (self.task.cut - size) // 2
        inside = slice(first, first + size)
        parts = [hr_image[place::number] for place in range(number)]
        sides = (self.task.cut, self.task.cut)
        seen = [
            enlarge_picture(reduce_picture(part, scale), scale, sides)
            for part, scale in zip(parts, self.task.scales, strict=True)
        ]
        both = (tf.concat(seen, 0), tf.concat(parts, 0))
        return both[0][:, inside, inside], both[1][:, inside, inside]

    def _hold(self, picture: NamedPicture, scale: float) -> Held:
        spec, multiple = self.task.network.spec, int(scale) if float(scale).is_integer() else 1
        truth = truth_of(picture, multiple)
        small = reduce_picture(tf.constant(truth_of(picture, multiple, spec.num_channels)[None]), scale)
        large = enlarge_picture(small, scale, (truth.shape[0], truth.shape[1]))
        return Held(
            name=picture.name,
            label=f"x{scale:g}",
            scale=scale,
            views={"lr_image": large if spec.scale is None else small},
            bicubic=luminance(np.asarray(large)[0], is_gray=picture.is_gray),
            truth=truth,
            is_gray=picture.is_gray,
        )


def main() -> None:
    """Read the flags, train, save."""
    join_hosts()
    _flags.train_and_save(partial(SingleImageTrainer, task_from_flags()))


def task_from_flags() -> SingleImageTask:
    """Return the task that the flags describe; pictures are read here."""
    scales = tuple(scales_of(FLAGS.scales))
    own = methods.get(FLAGS.method, ("image_network",)).name not in ENLARGED_FIRST
    checks.require(
        not own or (len(scales) == 1 and float(scales[0]).is_integer()),
        "scales",
        expected="one whole factor for this network",
        received=", ".join(f"{scale:g}" for scale in scales),
        remedy="write e.g. --scales=4, and train one model a factor",
    )
    network = network_plan(int(scales[0]) if own else None)
    patches = _flags.patch_plan(margin=2 * int(scales[0]) if own else 0)
    empty = SingleImageTask(network, Pictures([], [], []), scales, patches, FLAGS.loss)
    return replace(empty, pictures=load_pictures(network.spec.num_channels, smallest=empty.cut))


if __name__ == "__main__":
    _flags.define_run_flags()
    define_flags()
    run_app(main)
