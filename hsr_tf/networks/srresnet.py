"""SRResNet conditioned on the blur kernel: its code beside the picture, or by spatial feature transforms.

J. Gu, H. Lu, W. Zuo, C. Dong, "Blind super-resolution with iterative kernel correction", CVPR 2019, section
3: the second is SFT-MD, the network that IKC corrects kernels for, and the first is what they compare it
with. The body is SRResNet (C. Ledig et al., CVPR 2017) without batch normalisation: residual blocks of two
3x3 convolutions, a long skip, convolutions with pixel shuffle, a 9x9 reconstruction.

Departures. The code (10 numbers) holds principal components of isotropic Gaussians, fitted here and stored
with the weights. `residual` adds the bicubic enlargement (not in the paper).
"""

from __future__ import annotations

import keras
from keras import layers

from hsr_tf import checks
from hsr_tf.networks.cards import ImageSpec
from hsr_tf.networks.dbpn import require_enlarging
from hsr_tf.networks.image_layers import SMALL, KernelEncode, SharedLayers, Stretch, shuffle_factors
from hsr_tf.networks.image_network import KERNEL_SIZE, ImageNetwork, picture_inputs
from hsr_tf.typing import Tensor

CODE_LENGTH = 10


class _KernelSRResNet(ImageNetwork):
    """What both have in common; `transforms` tells them apart."""

    method: str
    transforms: bool

    def __init__(
        self, spec: ImageSpec, *, num_blocks: int = 16, features: int = 64, residual: bool = False
    ) -> None:
        require_enlarging(spec, self.method)
        checks.require_positive_integers(num_blocks=num_blocks, features=features)
        make, inputs = SharedLayers(spec), picture_inputs(spec, kernel_size=KERNEL_SIZE)
        code = KernelEncode(CODE_LENGTH, name="code")(inputs["kernel"])
        body = transformed_body if self.transforms else concatenated_body
        x = body(make, inputs["lr_image"], code, num_blocks=num_blocks, features=features)
        estimate = make.reconstruct(x, inputs["lr_image"], "head", residual=residual, size=9)
        steps = len(shuffle_factors(spec.scale or 1))
        super().__init__(
            spec,
            inputs,
            outputs={"estimate": estimate},
            options={"num_blocks": num_blocks, "features": features, "residual": residual},
            reach=(6 if self.transforms else 2) * num_blocks + 8 + steps,
        )


@keras.saving.register_keras_serializable("hsr_tf")
class SRResNetConcat(_KernelSRResNet):
    """SRResNet on the picture and the stretched code, for one scale; the default is the paper's size.

    Args:
        spec: sizes, initialisation and precision; the scale is 2 or more.
        num_blocks: residual blocks.
        features: channels.
        residual: add the bicubic enlargement.

    Input: lr_image (B, h, w, C), kernel (B, 21, 21).
    Output: {"estimate": (B, s h, s w, C)}, float32.

    Raises:
        ValueError: for a scale below 2 or less than one block.
    """

    method, transforms = "srresnet_concat", False


@keras.saving.register_keras_serializable("hsr_tf")
class SRResNetSFT(_KernelSRResNet):
    """SFT-MD: SRResNet with spatial feature transforms; arguments and sizes as `SRResNetConcat`."""

    method, transforms = "srresnet_sft", True


def concatenated_body(
    make: SharedLayers, lr_image: Tensor, code: Tensor, *, num_blocks: int, features: int
) -> Tensor:
    """Sharp features (B, s h, s w, features) of the picture with the stretched code beside it."""
    relu = layers.ReLU(dtype=make.dtype)
    x = make.join([lr_image, Stretch(dtype="float32")([code, lr_image])])
    first = relu(make.conv(x, features, 9, "first"))
    x = first
    for i in range(1, num_blocks + 1):
        inner = relu(make.conv(x, features, 3, f"block{i}_conv1"))
        x = x + make.conv(inner, features, 3, f"block{i}_conv2", gain=SMALL)
    return make.shuffle_up(make.conv(x, features, 3, "last") + first, "shuffle")


def transformed_body(
    make: SharedLayers, lr_image: Tensor, code: Tensor, *, num_blocks: int, features: int
) -> Tensor:
    """SFT-MD's sharp features: transforms before both convolutions of a block and before the last one."""
    relu, hidden = layers.ReLU(dtype=make.dtype), max(1, features // 2)
    stretched = Stretch(dtype="float32")([code, lr_image])
    x = lr_image
    for i in (1, 2, 3):
        x = make.conv(relu(x) if i > 1 else x, features, 3, f"first{i}")
    first = x
    for i in range(1, num_blocks + 1):
        inner = relu(make.sft(x, stretched, f"block{i}_sft1", hidden=hidden))
        inner = make.conv(inner, features, 3, f"block{i}_conv1")
        inner = relu(make.sft(inner, stretched, f"block{i}_sft2", hidden=hidden))
        x = x + make.conv(inner, features, 3, f"block{i}_conv2", gain=SMALL)
    x = make.sft(x + first, stretched, "last_sft", hidden=hidden)
    return make.shuffle_up(make.conv(x, features, 3, "last"), "shuffle")
