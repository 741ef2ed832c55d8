"""Train a blind network, or one that is given the blur: `python -m trainers.blind_sr --run_dir=runs/kbpn`.

Sharp patches are blurred, each by a kernel of its own drawn from `--kernels`, reduced by antialiased bicubic
interpolation, and given noise if `--noise` says so: on the device, in the compiled step. Blind networks
(kbpn, ikc) learn by eq. 3 of KBPN's paper, with a flag for each weight; networks that are given the kernel
(srmdnf, srcnn_cab, srresnet_concat, srresnet_sft) by its picture term. The paper's training in parts is three
runs, each of which goes on from the one before:

    --part=image --run_dir=runs/1
    --part=estimator --start_from=runs/1/model --run_dir=runs/2
    --part=whole --start_from=runs/2/model --run_dir=runs/3

IKC ends after the second, whose loss is the squared error of its codes after the predictor and after every
correction (--weight_code_steps); --part=predictor and --part=corrector train them one after the other.
Options of a network are given as --option=NAME=VALUE. The published networks:

    --method=kbpn --channels=3 --option=num_modules=10 --option=features=64 --option=residual=false
    --option=published_layers=true --option=extensions=                 table 1 of KBPN's paper
    --option=extensions=full_kernel_sft                                 in its place, table 2
    --method=ikc --channels=3 --option=published_layers=true            IKC as its authors wrote it
    --method=srresnet_sft --channels=3 --option=published_layers=true   SFT-MD alone

KBPN's paper flips patches without rotating them, --norotations.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields, replace
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import flags

from hsr_tf import checks, methods
from hsr_tf.console.flag_apps import run_app
from hsr_tf.data.kernels import FORMS, KernelDistribution, parse_kernels
from hsr_tf.data.patches import PatchPlan, without_margin
from hsr_tf.data.pictures import NamedPicture
from hsr_tf.networks import losses
from hsr_tf.networks.blind_losses import BlindLoss, BlindTruth, BlindWeights
from hsr_tf.networks.image_layers import BlindNetwork
from hsr_tf.physics.kernel_code import fit_kernel_code
from hsr_tf.physics.kernel_shapes import gaussian_kernels
from hsr_tf.physics.resize import bicubic_enlarge
from hsr_tf.physics.sample_blur import BlindDegradation
from hsr_tf.typing import Tensor
from trainers import _flags
from trainers._hosts import join_hosts
from trainers._pictures import (
    Held,
    NetworkPlan,
    Pictures,
    PictureTrainer,
    compiled,
    define_picture_flags,
    load_pictures,
    luminance,
    network_plan,
    truth_of,
)
from trainers._run import RunPlan

FLAGS = flags.FLAGS
PARTS = ("whole", "image", "estimator", "predictor", "corrector")
NUM_CODE_SAMPLES = 500


def define_flags() -> None:
    """What this trainer has beside the flags of runs and pictures."""
    define_picture_flags(
        method="kbpn",
        known="kbpn or ikc, or given the kernel: srmdnf, srcnn_cab, srresnet_concat, srresnet_sft",
        patch_size=96,
    )
    flags.DEFINE_integer("scale", 4, "Scale factor of the network.", lower_bound=2)
    flags.DEFINE_string("kernels", "isotropic:0.2-4.0", f"Blur of the patches: {' | '.join(FORMS)}.")
    flags.DEFINE_float("noise", 0.0, "Largest deviation of the noise, in steps of 1 / 255.", 0.0)
    flags.DEFINE_list("validation_sigmas", ["0.2", "1.3", "2.6"], "Gaussian blurs of the validation.")
    flags.DEFINE_enum(
        "part", "whole", PARTS, "Part to train: all of it, or one part given the true output of the other."
    )
    for f in fields(BlindWeights):
        flags.DEFINE_float(f"weight_{f.name}", f.default, f"Weight of the term {f.name} of the loss.")


@dataclass(frozen=True)
class PartPlan(NetworkPlan):
    """A network of which one part is trained."""

    part: str = "whole"

    def build(self) -> keras.Model:
        """The network; the layers of the other part are frozen."""
        network = super().build()
        if self.part != "whole":
            checks.require(
                isinstance(network, BlindNetwork) and self.part in network.part_names(),
                "part",
                expected=f"whole, as {self.method} has no {self.part} to train alone",
                received=self.part,
                remedy="train kbpn or ikc in parts",
            )
            network.train_only(self.part)
        return network


@dataclass(frozen=True, eq=False)
class BlindTask:
    """What is trained on what.

    Attributes:
        network: which one, and which part of it.
        pictures: luminance.
        patches: of a multiple of the scale; their margin, if any, is `margin_of` it.
        kernels: what the patches are blurred by.
        weights: of the loss's terms.
        noise: largest deviation, in 8-bit steps; each patch draws its own between 0 and it.
        sigmas: Gaussian blurs of the validation.
        loss: of the pictures, name in `losses.LOSSES`.
    """

    network: PartPlan
    pictures: Pictures
    patches: PatchPlan
    kernels: KernelDistribution
    weights: BlindWeights = field(default_factory=BlindWeights)
    noise: float = 0.0
    sigmas: tuple[float, ...] = (0.2, 1.3, 2.6)
    loss: str = "mse"

    def __post_init__(self) -> None:
        scale = self.network.spec.scale
        checks.require(
            scale is not None and self.patches.patch_size % scale == 0,
            "patch_size",
            expected=f"a multiple of the scale, {scale}",
            received=str(self.patches.patch_size),
            remedy="correct it",
        )

    @property
    def scale(self) -> int:
        """s."""
        return self.network.spec.scale or 1


class BlindTrainer(PictureTrainer):
    """The network of a task and its compiled training step.

    Args:
        task: what is trained on what.
        plan: how.
    """

    def __init__(self, task: BlindTask, plan: RunPlan) -> None:
        self.task = task
        super().__init__(task.network, task.pictures, patches=task.patches, plan=plan)
        part = task.network.part
        self._in_training = self.model if part == "whole" else self.model.in_training(part)
        code = fit_kernel_code(task.kernels.sample(NUM_CODE_SAMPLES, task.patches.seed))
        self._loss = BlindLoss(code, task.weights, losses.get(task.loss))
        self._infer_image_part = compiled(self._lean.in_training(part)) if part == "image" else None
        self.held = [self._hold(picture, s) for s in task.sigmas for picture in task.pictures.validation]

    def picture_loss(self, hr_image: Tensor) -> Tensor:
        """Eq. 3, as far as the part that is trained has its outputs.

        Patches with a margin show the network what lies beside them; its pseudo-LR pictures do not know that.
        They are compared where no pixel beside the patch has a part in them.
        """
        truth = self.observe(hr_image)
        known = {"lr_image": truth.lr_image, "kernel": truth.kernel, "hr_image": truth.hr_image}
        views = {name: known[name] for name in self._in_training.input}
        outputs = self._in_training(views, training=True)
        seen = {name: tf.cast(x, tf.float32) for name, x in outputs.items()}
        cells = min(self.task.patches.margin // self.task.scale, (truth.lr_image.shape[1] - 1) // 2)
        pseudo = {name: without_margin(x, cells) for name, x in seen.items() if name.startswith("pseudo_lr")}
        return self._loss(seen | pseudo, replace(truth, lr_image=without_margin(truth.lr_image, cells)))

    def observe(self, hr_image: Tensor) -> BlindTruth:
        """Sharp patches degraded by kernels and noise that the run's random state draws, without margin."""
        seeds = tf.random.split(tf.cast(self.seeds.next(), tf.int64), 3)
        kernels = self.task.kernels.draw(hr_image.shape[0], seeds[0])
        margin = self.task.patches.margin
        lr_image = BlindDegradation(kernels, self.task.scale)(hr_image)
        lr_image = without_margin(lr_image, margin // self.task.scale)
        if self.task.noise > 0:
            level = tf.random.stateless_uniform((hr_image.shape[0], 1, 1, 1), seeds[1], 0.0, self.task.noise)
            lr_image += level / 255.0 * tf.random.stateless_normal(lr_image.shape, seeds[2])
        return BlindTruth(without_margin(hr_image, margin), lr_image, kernels)

    def infer(self, views: dict[str, Tensor]) -> dict[str, Tensor]:
        """Run the network as it will be used; the image part alone is given the true kernel."""
        return super().infer(views) if self._infer_image_part is None else self._infer_image_part(views)

    def describe(self) -> dict[str, Any]:
        """Return the pictures, the scale and the weights of the loss."""
        return {
            **super().describe(),
            "scale": self.task.scale,
            "loss_weights": asdict(self.task.weights),
        }

    def _hold(self, picture: NamedPicture, sigma: float) -> Held:
        scale, num_channels = self.task.scale, self.task.network.spec.num_channels
        kernel = gaussian_kernels(tf.constant([sigma]), self.task.kernels.size)
        lr_image = BlindDegradation(kernel, scale)(truth_of(picture, scale, num_channels)[None])
        enlarged = np.asarray(bicubic_enlarge(lr_image, scale))[0]
        return Held(
            name=picture.name,
            label=f"sigma{sigma:g}",
            scale=scale,
            views={"lr_image": lr_image, "kernel": kernel},
            bicubic=luminance(enlarged, is_gray=picture.is_gray),
            truth=truth_of(picture, scale),
            is_gray=picture.is_gray,
        )


def margin_of(scale: int, kernel_size: int) -> int:
    """Sharp pixels around a patch that its blur and its bicubic reduction see, in whole cells."""
    return scale * math.ceil((kernel_size // 2 + 1.5 * scale) / scale)


def main() -> None:
    """Read the flags, train, save."""
    join_hosts()
    _flags.train_and_save(partial(BlindTrainer, task_from_flags()))


def task_from_flags() -> BlindTask:
    """The task that the flags describe; pictures are read here."""
    given = network_plan(FLAGS.scale)
    checks.require(
        "kernel" in methods.get(given.method).needs
        or issubclass(methods.get(given.method).build, BlindNetwork),  # type: ignore[arg-type]
        "method",
        expected="a blind network or one that is given the kernel",
        received=given.method,
        remedy="train the others with trainers.single_image",
    )
    network = PartPlan(given.method, given.spec, given.options, given.start_from, FLAGS.part)
    weights = BlindWeights(**{f.name: getattr(FLAGS, f"weight_{f.name}") for f in fields(BlindWeights)})
    sigmas = _flags.numbers(
        "validation_sigmas",
        FLAGS.validation_sigmas,
        lambda sigma: 0 < sigma < 1e3,
        expected="positive widths in pixels",
        example="0.2,1.3,2.6",
    )
    kernels = parse_kernels(FLAGS.kernels)
    patches = _flags.patch_plan(margin=margin_of(FLAGS.scale, kernels.size))
    pictures = load_pictures(network.spec.num_channels, smallest=FLAGS.patch_size)
    return BlindTask(network, pictures, patches, kernels, weights, FLAGS.noise, tuple(sigmas), FLAGS.loss)


if __name__ == "__main__":
    _flags.define_run_flags()
    define_flags()
    run_app(main)
