"""SRCNN-CAB: an SRCNN whose first filters depend on the given blur kernel.

G. Riegler, S. Schulter, M. Ruether, H. Bischof, "Conditioned regression models for non-blind single image
super-resolution", ICCV 2015, as the comparisons with SRMD and IKC name it. The conditioned regressor is
SRCNN's 9-5-5 on the bicubic enlargement.

Departure. How the condition enters is this project's reading: two dense layers turn the kernel's code into a
gain and an offset for each filter of the first convolution, gain * (w * x) + offset, that is, into filters
and biases that depend on the kernel. A dense layer that makes every tap of these filters ends 0.29 dB higher
with six times as many weights (395,265 for 66,625), and `residual`, the bicubic enlargement added, 0.39 dB
higher: mean PSNR of six BSD200 pictures at three blurs after 100 steps of 8 patches (24.85 dB as built here,
bicubic interpolation 24.75), by `python -m benchmarks.departures --methods=srcnn_cab --optimizer=muon
--num_steps=100`.
"""

from __future__ import annotations

import keras
from keras import layers

from hsr_tf.networks.cards import ImageSpec
from hsr_tf.networks.dbpn import require_enlarging
from hsr_tf.networks.image_layers import KernelEncode, SharedLayers
from hsr_tf.networks.image_network import KERNEL_SIZE, ImageNetwork, picture_inputs
from hsr_tf.networks.layers import BicubicEnlarge

CODE_LENGTH, SIZES, FEATURES = 15, (9, 5, 5), (64, 32)


@keras.saving.register_keras_serializable("hsr_tf")
class SRCNNCAB(ImageNetwork):
    """SRCNN (9-5-5) conditioned on the kernel, for one scale.

    Args:
        spec: sizes, initialisation and precision; the scale is 2 or more.
        residual: add the bicubic enlargement (not in the paper).

    Input: lr_image (B, h, w, C), h and w at least 2, kernel (B, 21, 21).
    Output: {"estimate": (B, s h, s w, C)}, float32.

    Raises:
        ValueError: for a scale below 2.
    """

    def __init__(self, spec: ImageSpec, *, residual: bool = False) -> None:
        require_enlarging(spec, "srcnn_cab")
        make, inputs = SharedLayers(spec), picture_inputs(spec, kernel_size=KERNEL_SIZE)
        code = KernelEncode(CODE_LENGTH, name="code")(inputs["kernel"])
        hidden = make.leaky(make.dense(code, FEATURES[0], "condition1"))
        condition = make.dense(hidden, 2 * FEATURES[0], "condition2")
        condition = layers.Reshape((1, 1, 2 * FEATURES[0]), dtype=spec.dtype)(condition)
        x = BicubicEnlarge(spec.scale or 1, dtype="float32")(inputs["lr_image"])
        x = make.conv(x, FEATURES[0], SIZES[0], "conv1")
        x = x * (1 + condition[..., : FEATURES[0]]) + condition[..., FEATURES[0] :]
        x = layers.ReLU(dtype=spec.dtype)(x)
        x = layers.ReLU(dtype=spec.dtype)(make.conv(x, FEATURES[1], SIZES[1], "conv2"))
        estimate = make.reconstruct(x, inputs["lr_image"], "conv3", residual=residual, size=SIZES[2])
        super().__init__(
            spec,
            inputs,
            outputs={"estimate": estimate},
            options={"residual": residual},
            reach=2 + -(-sum(size // 2 for size in SIZES) // (spec.scale or 1)),
        )
