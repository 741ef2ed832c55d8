"""SRMDNF: one network for many blurs, conditioned on the kernel, for pictures without noise.

K. Zhang, W. Zuo, L. Zhang, "Learning a single convolutional super-resolution network for multiple
degradations", CVPR 2018, section 3: the kernel's 15 principal components are stretched over the pixels and
stacked with the picture; twelve 3x3 convolutions of 128 filters work at the given size, and the last one's
s^2 C channels are shuffled into the sharp picture.

Departures. Figures are the mean PSNR of six BSD200 pictures at three blurs after 400 steps of 8 patches, 32
features, by `python -m benchmarks.departures --methods=srmdnf --optimizer=muon` (24.22 dB as built here,
bicubic interpolation 24.75):

- No batch normalisation, which ends 6.68 dB lower in so small batches (the training loss too).
- The principal components are those of isotropic Gaussians, fitted here and stored with the weights. 15 of
  them keep such kernels to an L1 distance of 1e-4, but anisotropic ones of 0.6 to 5 pixels only to 0.38 in
  the mean (0.11 by components of their own): networks for other blurs need a code of their own.
- `residual` adds the bicubic enlargement (not in the paper), which short training needs: +1.55 dB.
"""

from __future__ import annotations

import keras

from hsr_tf import checks
from hsr_tf.networks.cards import ImageSpec
from hsr_tf.networks.dbpn import require_enlarging
from hsr_tf.networks.image_layers import KernelEncode, PixelShuffle, SharedLayers, Stretch
from hsr_tf.networks.image_network import KERNEL_SIZE, ImageNetwork, picture_inputs
from hsr_tf.networks.layers import BicubicEnlarge

CODE_LENGTH = 15


@keras.saving.register_keras_serializable("hsr_tf")
class SRMDNF(ImageNetwork):
    """SRMD without noise, for one scale; the default is the paper's size.

    Args:
        spec: sizes, initialisation and precision; the scale is 2 or more.
        depth: number of convolutions.
        features: filters of all but the last.
        residual: add the bicubic enlargement.

    Input: lr_image (B, h, w, C), kernel (B, 21, 21).
    Output: {"estimate": (B, s h, s w, C)}, float32.

    Raises:
        ValueError: for a scale below 2 or less than one convolution.
    """

    def __init__(
        self, spec: ImageSpec, *, depth: int = 12, features: int = 128, residual: bool = False
    ) -> None:
        require_enlarging(spec, "srmdnf")
        checks.require_positive_integers(depth=depth, features=features)
        make, inputs, scale = (
            SharedLayers(spec),
            picture_inputs(spec, kernel_size=KERNEL_SIZE),
            spec.scale or 1,
        )
        code = KernelEncode(CODE_LENGTH, name="code")(inputs["kernel"])
        x = make.join([inputs["lr_image"], Stretch(dtype="float32")([code, inputs["lr_image"]])])
        for i in range(1, depth):
            x = keras.layers.ReLU(dtype=spec.dtype)(make.conv(x, features, 3, f"conv{i}"))
        cells = make.head(x, f"conv{depth}", channels=scale**2 * spec.num_channels)
        estimate = PixelShuffle(scale, dtype="float32")(cells)
        if residual:
            estimate = estimate + BicubicEnlarge(scale, dtype="float32")(inputs["lr_image"])
        super().__init__(
            spec,
            inputs,
            outputs={"estimate": estimate},
            options={"depth": depth, "features": features, "residual": residual},
            reach=max(depth, 3),
        )
