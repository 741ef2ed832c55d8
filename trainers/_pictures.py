"""What the trainers of single images share: their pictures, networks, and the flags that choose both."""

from __future__ import annotations

import math
import warnings
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import flags
from tqdm import tqdm

from hsr_tf import checks, methods
from hsr_tf.arrays.color import rgb_to_y
from hsr_tf.data.patches import PatchPlan, PatchSource
from hsr_tf.data.pictures import NamedPicture, find_pictures, hold_back, load_picture, with_rescaled
from hsr_tf.data.scenes import data_root
from hsr_tf.data.storage import ArrayStore, stamp_of
from hsr_tf.metrics.full_reference import luma_scores
from hsr_tf.networks.image_network import ImageNetwork, ImageSpec
from hsr_tf.networks.pretrained import load_image_network
from hsr_tf.report.render import preview
from hsr_tf.streaming.memory import parse_memory
from hsr_tf.typing import Tensor
from trainers import _flags
from trainers._hosts import join_hosts, told_by_chief
from trainers._run import RunPlan, Validation, has_checkpoint
from trainers._start_from import require_same
from trainers._trainer import Trainer

FLAGS = flags.FLAGS
NUM_PREVIEWS = 3


def define_picture_flags(*, method: str, known: str, patch_size: int) -> None:
    """Define pictures, patches, network and loss; the defaults that differ between trainers are arguments."""
    _flags.define_network_flags(method, known, patch_size)
    flags.DEFINE_list(
        "data_dirs", ["sisr/T91", "sisr/BSD200"], "Folders of training pictures, or folders of $HSR_DATA."
    )
    flags.DEFINE_integer("num_validation", 10, "Number of pictures of the last folder held back.", 1)
    flags.DEFINE_integer("channels", 1, "1 for networks of the luminance Y, 3 for RGB, e.g. --channels=3.")
    flags.DEFINE_list("rescales", ["1"], "Sizes in which each training picture is used, e.g. 1,0.8,0.6.")
    _flags.define_memory_flags("pictures")
    flags.DEFINE_bool("zero_head", False, "Initialize the last layer with zeros.")
    flags.DEFINE_string(
        "start_from",
        None,
        "Folder of a trained model of the same network (of a shallower VDSR) to start from.",
    )


@dataclass(frozen=True, eq=False)
class Pictures:
    """What is trained on, and what is held back.

    Attributes:
        training: names of the pictures trained on.
        values: their values in all sizes, (H, W, C) uint8, in memory or as memory maps of files.
        validation: whole pictures held back.
    """

    training: Sequence[str]
    values: Sequence[np.ndarray]
    validation: Sequence[NamedPicture]


@dataclass(frozen=True)
class NetworkPlan:
    """Which network is trained.

    Attributes:
        method: its name in the registry, of kind "image_network".
        spec: its specification.
        options: its further arguments.
        start_from: folder of a trained model of the method to start from.
    """

    method: str
    spec: ImageSpec
    options: tuple[tuple[str, Any], ...] = ()
    start_from: str | None = None

    def build(self) -> keras.Model:
        """The network with fresh weights, or those of the trained model."""
        network = methods.get(self.method).build(self.spec, **dict(self.options))
        if self.start_from is not None:
            _take_weights(network, self.start_from)
        return network


@dataclass(frozen=True, eq=False)
class Held:
    """A picture held back, degraded in one way.

    Attributes:
        name: of the picture.
        label: how it was degraded, e.g. "x4" or "sigma1.3".
        scale: s.
        views: inputs by name, (1, h, w, C), and the blur "kernel" where there is one.
        bicubic: bicubic interpolation to the size of the truth.
        truth: luminance (H, W, 1) in [0, 1].
        is_gray: whether the picture has no colours, so that its values are its luminance.
    """

    name: str
    label: str
    scale: float
    views: dict[str, Tensor]
    bicubic: np.ndarray
    truth: np.ndarray
    is_gray: bool = False


class PictureTrainer(Trainer):
    """A network of single images in training.

    Args:
        network: which.
        pictures: on what; one channel (Y) or three, as the network's specification says.
        patches: the patches as they are cut: a margin around what is compared, if the trainer wants one.
        plan: how the run goes.

    Attributes:
        held: the pictures held back, grouped by how they were degraded; set by the trainer.
    """

    held: Sequence[Held]

    def __init__(
        self, network: NetworkPlan, pictures: Pictures, *, patches: PatchPlan, plan: RunPlan
    ) -> None:
        self.network, self.pictures = network, pictures
        resumes = bool(told_by_chief(join_hosts(), has_checkpoint(plan.run_dir)))
        fresh = replace(network, start_from=None) if resumes else network
        super().__init__(plan, fresh.build, PatchSource(pictures.values, patches))
        self._lean = self.model.for_inference()
        self._infer = compiled(self._lean)

    def loss(self, patches: Tensor, index: Tensor) -> Tensor:
        """Return the loss of pictures in [0, 1]."""
        del index
        return self.picture_loss(tf.cast(patches, tf.float32) / 255.0)

    def validate(self) -> Validation:
        """Return mean PSNR on Y, gain over bicubic and L1 of estimated kernels, by kind of degradation."""
        for layer in (layer for layer in self._lean.layers if layer.weights):
            layer.set_weights(self.model.get_layer(layer.name).get_weights())
        rows: dict[str, list[dict[str, float]]] = {held.label: [] for held in self.held}
        pictures: dict[str, np.ndarray] = {}
        for held in self.held:
            outputs = self.infer(held.views)
            estimate = luminance(np.asarray(outputs["estimate"])[0], is_gray=held.is_gray)
            border = math.ceil(held.scale)
            psnr, floor = (
                luma_scores(held.truth, image, border=border).psnr for image in (estimate, held.bicubic)
            )
            scores = {"psnr": psnr, "gain": psnr - floor}
            if "kernel" in outputs:
                scores["kernel_l1"] = float(tf.reduce_sum(tf.abs(outputs["kernel"] - held.views["kernel"])))
            rows[held.label].append(scores)
            if held.label == self.held[-1].label and len(pictures) < NUM_PREVIEWS:
                pictures[held.name] = preview(held.truth, np.clip(estimate, 0.0, 1.0), None)
        means = {
            f"{name}_{label}": float(np.mean([row[name] for row in found]))
            for label, found in rows.items()
            for name in found[0]
        }
        return Validation(means, pictures)

    def infer(self, views: dict[str, Tensor]) -> dict[str, Tensor]:
        """Run the network as it will be used, in float32, with the weights of the last validation."""
        return self._infer({name: views[name] for name in self._lean.input})

    def describe(self) -> dict[str, Any]:
        """Return how many pictures were trained on, and the names of those held back."""
        return {
            "training_pictures": len(self.pictures.training),
            "validation_pictures": [picture.name for picture in self.pictures.validation],
        }

    def gains(self, scores: Mapping[str, float]) -> dict[str, float]:
        """Return the scores that are gains, by how the pictures were reduced."""
        return {name.partition("_")[2]: gain for name, gain in scores.items() if name.startswith("gain")}

    @abstractmethod
    def picture_loss(self, hr_image: Tensor) -> Tensor:
        """Return the loss of sharp patches (B, p, p, C) float32 in [0, 1], degraded here, on the device."""


def truth_of(picture: NamedPicture, multiple: int, num_channels: int = 1) -> np.ndarray:
    """Return Y (H, W, 1) or RGB (H, W, 3) of a picture in [0, 1], its sides cut to a multiple."""
    values = in_channels(picture, num_channels)
    height, width = (n - n % multiple for n in values.shape[:2])
    return values[:height, :width].astype(np.float32) / np.float32(255.0)


def luminance(values: np.ndarray, *, is_gray: bool) -> np.ndarray:
    """Return the luminance (H, W, 1) of an estimate (H, W, C) in [0, 1].

    Y of RGB, but the mean of the channels for a gray picture, whose luminance is its values; one channel as
    it is.
    """
    if values.shape[-1] == 1:
        return values
    return np.mean(values, axis=-1, keepdims=True) if is_gray else np.asarray(rgb_to_y(values))


def load_pictures(num_channels: int, *, smallest: int) -> Pictures:
    """The pictures that the flags name.

    Args:
        num_channels: 1 for Y, 3 for RGB.
        smallest: side of the patches as they are cut; smaller pictures and sizes are left out.

    Raises:
        ValueError: no picture is large enough.

    Warns:
        UserWarning: some pictures are too small, in one line.
    """
    for folder in FLAGS.data_dirs:
        checks.require(
            Path(folder).is_dir() or data_root() is not None,
            "data_dirs",
            expected="folders of training pictures",
            received=f"{folder}, which does not exist, and no $HSR_DATA",
            remedy="give --data_dirs=my_photos, or set HSR_DATA",
        )
    folders = [find_pictures(folder, part="training") for folder in FLAGS.data_dirs]
    last, held_back = hold_back(folders[-1], FLAGS.num_validation)
    factors = _flags.numbers(
        "rescales",
        FLAGS.rescales,
        lambda factor: factor > 0,
        expected="positive factors",
        example="1,0.8,0.6",
    )
    paths = [path for folder in folders[:-1] for path in folder] + last
    names, too_small = [], []
    store = ArrayStore(_flags.cache_folder(), parse_memory(FLAGS.memory_limit))
    for path in tqdm(paths, unit="picture", desc="reading", leave=False, delay=2):
        picture = in_channels(load_picture(path), num_channels)
        sizes = with_rescaled(picture, factors, smallest=smallest)
        names += [path.stem] if sizes else []
        too_small += [] if sizes else [f"{path} ({picture.shape[1]} x {picture.shape[0]} pixels)"]
        for number, values in enumerate(sizes):
            store.add(values, f"{stamp_of(path)}_{num_channels}_{number}")
    checks.require(
        len(too_small) < len(paths),
        "data_dirs, patch_size",
        expected=f"pictures of at least {smallest} x {smallest} pixels, as patches of "
        f"--patch_size={FLAGS.patch_size} are cut with their margin",
        received=f"{len(paths)} smaller ones, the first {too_small[0] if too_small else 'none'}",
        remedy="give a smaller --patch_size, or larger pictures",
    )
    if too_small:
        warnings.warn(
            f"{len(too_small)} of {len(paths)} training pictures are smaller than the {smallest} x "
            f"{smallest} pixels of a patch and left out, the first {too_small[0]}; a smaller --patch_size "
            "takes them",
            stacklevel=2,
        )
    return Pictures(names, store.arrays, [load_picture(path) for path in held_back])


def in_channels(picture: NamedPicture, num_channels: int) -> np.ndarray:
    """Y, (H, W, 1), or RGB, (H, W, 3), of a picture, uint8."""
    if num_channels == 1:
        return picture.luma
    return np.repeat(picture.values, 3, -1) if picture.is_gray else picture.values


def network_plan(scale: int | None) -> NetworkPlan:
    """The network that the flags describe."""
    methods.get(FLAGS.method, ("image_network",))
    checks.require(
        FLAGS.channels in (1, 3),
        "channels",
        expected="1 for luminance or 3 for RGB",
        received=str(FLAGS.channels),
        remedy="write --channels=1 or --channels=3",
    )
    spec = ImageSpec(
        scale=scale,
        num_channels=FLAGS.channels,
        seed=FLAGS.seed,
        dtype=FLAGS.dtype,
        init=FLAGS.init,
        zero_head=FLAGS.zero_head,
    )
    return NetworkPlan(FLAGS.method, spec, _flags.network_arguments(), FLAGS.start_from)


def _take_weights(network: ImageNetwork, folder: str) -> None:
    """The weights of a trained model of the same network, or of one that can be brought into its form."""
    trained = {weight.path: weight for weight in load_image_network(folder).in_form_of(network).weights}
    wanted = {weight.path: weight for weight in network.weights}
    require_same(folder, trained, wanted)
    for path, weight in wanted.items():
        weight.assign(trained[path])


def compiled(network: keras.Model) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    """The network's answer, compiled once for all sizes of one picture."""
    signature = {
        tensor.name: tf.TensorSpec((1, *tensor.shape[1:]), tf.float32, tensor.name)
        for tensor in network.inputs
    }
    return tf.function(
        lambda inputs: network(inputs, training=False), input_signature=[signature], autograph=False
    )


def scales_of(texts: Sequence[str]) -> list[float]:
    """Return factors as flags name them.

    Raises:
        ValueError: for anything but numbers above 1.
    """
    return _flags.numbers(
        "scales", texts, lambda scale: scale > 1, expected="numbers above 1", example="2,3,4"
    )
