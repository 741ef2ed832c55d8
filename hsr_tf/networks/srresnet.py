"""SRResNet conditioned on the blur kernel: its code beside the picture, or by spatial feature transforms.

J. Gu, H. Lu, W. Zuo, C. Dong, "Blind super-resolution with iterative kernel correction", CVPR 2019, section
3: the second is SFT-MD, the network that IKC corrects kernels for, and the first is what they compare it
with. The body is SRResNet (C. Ledig et al., CVPR 2017) without batch normalisation: residual blocks of two
3x3 convolutions, a long skip, convolutions with pixel shuffle, a 9x9 reconstruction.

`PUBLISHED` is SFT-MD as its authors wrote it (github.com/yuanjunchai/IKC, sftmd_arch.py): with
`published_layers` leaky ReLU of slope 0.2 after the first two convolutions and after each pixel shuffle, and
the picture clipped to [0, 1]. Without it, ReLU there and no clipping: the form of older saved models.

Departures. Figures are the mean PSNR of six BSD200 pictures at three blurs after 250 steps of 8 patches, 4
blocks of 16 features, of `srresnet_concat` / `srresnet_sft` (23.28 / 23.45 dB as built here, bicubic
interpolation 24.75), by `python -m benchmarks.departures --methods=srresnet_concat,srresnet_sft
--optimizer=muon --num_steps=250`:

- Second convolutions of a block start at a tenth of He's deviation; He's own: -0.42 / +0.06 dB.
- ReLU, where SRResNet has PReLU with a slope per channel, which ends +0.66 dB higher in `srresnet_concat`.
- `residual` adds the bicubic enlargement (not in the paper), which short training needs: +1.68 dB in
  `srresnet_concat`. `published_layers`, the authors' leaky ReLU and clipping: -0.04 dB.
- The code (10 numbers) holds principal components of isotropic Gaussians, fitted here and stored with the
  weights; they keep such kernels to an L1 distance of 1e-3, anisotropic ones to 0.38. The mean kernel is
  taken off, which moves codes by a constant that the first biases take up, but for the outermost pixels.
- The argument of the transforms' sigmoid is moved by 2, so that they start near the identity: another start
  of the same network.
- The authors shuffle once by the scale except at x4; here x8 is three shuffles by 2, of 0.44 million weights
  in place of 2.36 million at 64 features (not compared).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import keras
from keras import layers, ops

from hsr_tf import checks
from hsr_tf.networks.cards import ImageSpec
from hsr_tf.networks.dbpn import require_enlarging
from hsr_tf.networks.image_layers import SMALL, KernelEncode, SharedLayers, Stretch
from hsr_tf.networks.image_network import KERNEL_SIZE, ImageNetwork, picture_inputs
from hsr_tf.typing import Tensor

CODE_LENGTH = 10
PUBLISHED = {"num_blocks": 16, "features": 64, "residual": False, "published_layers": True}
Body = Callable[[SharedLayers, Tensor, Tensor], Tensor]


class _KernelSRResNet(ImageNetwork):
    """What both have in common: `picture` makes the estimate of layers, lr_image and code."""

    def __init__(self, spec: ImageSpec, picture: Body, *, options: dict[str, object], reach: int) -> None:
        inputs = picture_inputs(spec, kernel_size=KERNEL_SIZE)
        code = KernelEncode(CODE_LENGTH, name="code")(inputs["kernel"])
        estimate = picture(SharedLayers(spec), inputs["lr_image"], code)
        super().__init__(spec, inputs, outputs={"estimate": estimate}, options=options, reach=reach)


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

    def __init__(
        self, spec: ImageSpec, *, num_blocks: int = 16, features: int = 64, residual: bool = False
    ) -> None:
        require_enlarging(spec, "srresnet_concat")
        checks.require_positive_integers(num_blocks=num_blocks, features=features)

        def picture(make: SharedLayers, lr_image: Tensor, code: Tensor) -> Tensor:
            x = concatenated_body(make, lr_image, code, num_blocks=num_blocks, features=features)
            return make.reconstruct(x, lr_image, "head", residual=residual, size=9)

        options: dict[str, object] = {"num_blocks": num_blocks, "features": features, "residual": residual}
        # First 4, blocks 2 each, last 1, shuffle 1, and 2 for the 4 sharp pixels of the head.
        super().__init__(spec, picture, options=options, reach=2 * num_blocks + 8)


@keras.saving.register_keras_serializable("hsr_tf")
class SRResNetSFT(_KernelSRResNet):
    """SFT-MD: SRResNet with spatial feature transforms, for one scale; `PUBLISHED` is the authors' form.

    Args:
        spec: sizes, initialisation and precision; the scale is 2 or more.
        num_blocks: residual blocks.
        features: channels; transforms have half as many inside.
        residual: add the bicubic enlargement.
        published_layers: leaky ReLU and clipping as the authors' code has them.

    Input: lr_image (B, h, w, C), kernel (B, 21, 21).
    Output: {"estimate": (B, s h, s w, C)}, float32.

    Raises:
        ValueError: for a scale below 2 or less than one block.
    """

    def __init__(
        self,
        spec: ImageSpec,
        *,
        num_blocks: int = 16,
        features: int = 64,
        residual: bool = False,
        published_layers: bool = False,
    ) -> None:
        require_enlarging(spec, "srresnet_sft")
        checks.require_positive_integers(num_blocks=num_blocks, features=features)
        sft_md = SFTMD(num_blocks, features, residual, published_layers)
        options: dict[str, object] = {
            "num_blocks": num_blocks,
            "features": features,
            "residual": residual,
            "published_layers": published_layers,
        }
        # First 3, blocks 6 each, last transform 2, last 1, shuffle 1, and 2 for the head.
        super().__init__(spec, sft_md.picture, options=options, reach=6 * num_blocks + 9)


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


@dataclass(frozen=True)
class SFTMD:
    """The graph of SFT-MD, for `SRResNetSFT` and for IKC, which runs it several times.

    Attributes:
        num_blocks, features, residual, published_layers: see `SRResNetSFT`.
    """

    num_blocks: int
    features: int
    residual: bool
    published_layers: bool

    def picture(self, make: SharedLayers, lr_image: Tensor, code: Tensor) -> Tensor:
        """The estimate (B, s h, s w, C) of lr_image and the kernel's code (B, n)."""
        x = self._body(make, lr_image, Stretch(dtype="float32")([code, lr_image]))
        estimate = make.reconstruct(x, lr_image, "head", residual=self.residual, size=9)
        return ops.clip(estimate, 0.0, 1.0) if self.published_layers else estimate

    def _body(self, make: SharedLayers, lr_image: Tensor, code: Tensor) -> Tensor:
        """Sharp features: transforms before both convolutions of a block and before the last one."""
        relu, features, hidden = layers.ReLU(dtype=make.dtype), self.features, max(1, self.features // 2)
        x = lr_image
        for i in (1, 2, 3):
            if i > 1:
                x = make.leaky(x) if self.published_layers else relu(x)
            x = make.conv(x, features, 3, f"first{i}")
        first = x
        for i in range(1, self.num_blocks + 1):
            inner = relu(make.sft(x, code, f"block{i}_sft1", hidden=hidden))
            inner = make.conv(inner, features, 3, f"block{i}_conv1")
            inner = relu(make.sft(inner, code, f"block{i}_sft2", hidden=hidden))
            x = x + make.conv(inner, features, 3, f"block{i}_conv2", gain=SMALL)
        x = make.sft(x + first, code, "last_sft", hidden=hidden)
        return make.shuffle_up(make.conv(x, features, 3, "last"), "shuffle", leaky=self.published_layers)
