"""SSF-CNN: the enlarged coarse cube joined with the sharp image, then three convolutions.

X.-H. Han, B. Shi, Y. Zheng, "SSF-CNN: Spatial and spectral fusion with CNN for hyperspectral image
super-resolution", ICIP 2018; three layers with SRCNN's sizes 9-1-5 and widths 64-32.
"""

from __future__ import annotations

import keras

from hsr_tf.networks.layers import FusionNetwork, LayerMaker, NetworkSpec, image_inputs, joined_inputs


@keras.saving.register_keras_serializable("hsr_tf")
class SSFCNN(FusionNetwork):
    """SSF-CNN for any integer scale.

    Input: lr_hsi (B, h, w, lr_channels), hr_msi (B, s h, s w, hr_channels).
    Output: {"estimate": (B, s h, s w, C)}.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        make, inputs = LayerMaker(spec), image_inputs(spec)
        x = joined_inputs(make, inputs, spec.scale)
        x = make.conv(64, 9, "conv1", activation="relu")(x)
        x = make.conv(32, 1, "conv2", activation="relu")(x)
        super().__init__(spec, inputs, {"estimate": make.head(x, spec.num_bands, "head", size=5)}, {})
