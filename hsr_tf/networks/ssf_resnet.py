"""SSF-ResNet and Spectral-ResNet: five residual blocks of two convolutions.

The networks of equal depth that MS-SSFNet is compared with (Han, Zheng, Chen, ICCV Workshops 2019, section
4.3): the first sees the enlarged coarse cube joined with the sharp image, the second the sharp image alone.
Widths are not given in the text; 64 features, with an entry convolution in front and a linear reconstruction
behind the blocks.
"""

from __future__ import annotations

import keras

from hsr_tf.networks.layers import FusionNetwork, LayerMaker, NetworkSpec, image_inputs, joined_inputs
from hsr_tf.typing import Tensor


@keras.saving.register_keras_serializable("hsr_tf")
class SSFResNet(FusionNetwork):
    """SSF-ResNet for any integer scale.

    Args:
        spec: sizes, initialisation and precision.
        features: width of the blocks.
        num_blocks: number of residual blocks.

    Input: lr_hsi (B, h, w, lr_channels), hr_msi (B, s h, s w, hr_channels).
    Output: {"estimate": (B, s h, s w, C)}.
    """

    def __init__(self, spec: NetworkSpec, *, features: int = 64, num_blocks: int = 5) -> None:
        make, inputs = LayerMaker(spec), image_inputs(spec)
        x = make.conv(features, 3, "entry", activation="relu")(self._seen(make, inputs, spec.scale))
        for i in range(num_blocks):
            x = make.residual_block(x, f"block_{i + 1}")
        outputs = {"estimate": make.head(x, spec.num_bands, "head")}
        super().__init__(spec, inputs, outputs, {"features": features, "num_blocks": num_blocks})

    @staticmethod
    def _seen(make: LayerMaker, inputs: dict[str, Tensor], scale: int) -> Tensor:
        return joined_inputs(make, inputs, scale)


@keras.saving.register_keras_serializable("hsr_tf")
class SpectralResNet(SSFResNet):
    """Spectral-ResNet: `SSFResNet` that takes both inputs, as all do, and does not look at the coarse one."""

    @staticmethod
    def _seen(make: LayerMaker, inputs: dict[str, Tensor], scale: int) -> Tensor:
        return inputs["hr_msi"]
