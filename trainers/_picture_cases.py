"""How a method enlarges the pictures that it is scored on."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from hsr_tf import methods
from hsr_tf.data.picture_cases import Case
from hsr_tf.data.pictures import NamedPicture
from hsr_tf.networks.image_network import ImageNetwork
from hsr_tf.networks.image_selection import select_image_network
from hsr_tf.networks.pretrained import SINGLE_IMAGE, load_image_network
from hsr_tf.networks.structure import kernel_stages
from hsr_tf.physics.reduction import enlarge_picture
from trainers._pictures import compiled, in_channels, luminance
from trainers._tables import require_distinct, weights_label

BICUBIC, NEAREST = "bicubic", "nearest"


@dataclass(frozen=True, eq=False)
class Estimate:
    """What a method made of a small picture: Y (H, W, 1), the kernel it found or None, and its seconds."""

    luma: np.ndarray
    kernel: np.ndarray | None
    seconds: float


class Enlarger:
    """Bicubic enlargement, that of nearest neighbours, or a network of single images.

    Args:
        label: how tables name it; "nearest" without a network takes the nearest neighbours.
        network: None for an enlargement without training.
    """

    def __init__(self, label: str, network: ImageNetwork | None = None) -> None:
        self.label, self.network = label, network
        self._infer: Callable[..., Any] | None = None if network is None else compiled(network)
        self._inputs = {tensor.name for tensor in network.inputs} if network is not None else set()
        self._warm = False

    def fits(self, case: Case) -> bool:
        """Whether it can enlarge by the scale of a case."""
        return self.network is None or self.network.spec.scale in (None, case.scale)

    def run(self, picture: NamedPicture, case: Case) -> Estimate:
        """Enlarge the degraded picture to the size of the sharp one; compiling is not timed."""
        num_channels = 1 if self.network is None else self.network.spec.num_channels
        sharp = case.cut(in_channels(picture, num_channels)) / np.float32(255.0)
        small = case.degrade(sharp)
        if not self._warm:
            self._enlarge(small[:, :24, :24], case, (int(24 * case.scale),) * 2)
            self._warm = True
        begin = time.perf_counter()
        values, kernel = self._enlarge(small, case, (sharp.shape[0], sharp.shape[1]))
        seconds = time.perf_counter() - begin
        return Estimate(luminance(values, is_gray=picture.is_gray), kernel, seconds)

    def kernel_stages(self, picture: NamedPicture, case: Case) -> list[np.ndarray]:
        """The kernels (k, k) that a blind network finds from stage to stage; none for other methods."""
        model = None if self.network is None else kernel_stages(self.network)
        if model is None or self.network is None:
            return []
        sharp = case.cut(in_channels(picture, self.network.spec.num_channels)) / np.float32(255.0)
        given = {"lr_image": case.degrade(sharp)}
        if "kernel" in self._inputs:
            given["kernel"] = tf.constant(case.kernel[None])
        answers = model(given)
        return [np.asarray(answers[f"stage_{i}"])[0] for i in range(len(answers))]

    def _enlarge(
        self, small: tf.Tensor, case: Case, size: tuple[int, int]
    ) -> tuple[np.ndarray, np.ndarray | None]:
        if self.network is None or self._infer is None:
            return enlarge_plainly(self.label, np.asarray(small), case.scale, size), None
        whole = self.network.spec.scale is None
        inputs = {"lr_image": enlarge_picture(small, case.scale, size) if whole else small}
        if "kernel" in self._inputs:
            inputs["kernel"] = tf.constant(case.kernel[None])
        outputs = self._infer(inputs)
        kernel = outputs.get("kernel")
        return outputs["estimate"].numpy()[0], None if kernel is None else _one_kernel(kernel.numpy())


def find_enlargers(texts: Sequence[str], scales: Sequence[float]) -> list[Enlarger]:
    """The methods as flags name them: NAME, or NAME@FOLDER with the weights of a folder.

    A network without a folder has the weights that come with the package, those of each scale.

    Raises:
        ValueError: for an unknown method, a network without weights or with those of another, or two of one
            label.
        OSError: for a folder of weights that holds no such network.
    """
    found: list[Enlarger] = []
    parts = {text: text.partition("@")[::2] for text in texts}
    labels = {text: weights_label(*part) if part[1] else text for text, part in parts.items()}
    require_distinct([*labels.values()])
    for text, (name, folder) in parts.items():
        if text in (BICUBIC, NEAREST):
            found.append(Enlarger(text))
            continue
        methods.get(name, (SINGLE_IMAGE,))
        cards = [select_image_network(name, folder or None, scale) for scale in scales]
        for place in dict.fromkeys(card.folder for card in cards):
            found.append(Enlarger(labels[text], load_image_network(place)))
    return found


def enlarge_plainly(label: str, small: np.ndarray, scale: float, size: tuple[int, int]) -> np.ndarray:
    """Enlarge (1, h, w, C) to (H, W, C) by nearest neighbours for the method "nearest", else bicubically."""
    if label != NEAREST:
        return np.asarray(enlarge_picture(tf.constant(small), scale, size))[0]
    rows, columns = (
        np.minimum(((np.arange(n) + 0.5) / scale).astype(int), there - 1)
        for n, there in zip(size, small.shape[1:3], strict=True)
    )
    return small[0][rows[:, None], columns]


def _one_kernel(kernels: np.ndarray) -> np.ndarray:
    """The kernel (k, k) of a batch of one; the mean where there is one a pixel."""
    return np.asarray(kernels[0] if kernels.ndim == 3 else kernels.mean(axis=tuple(range(kernels.ndim - 2))))
