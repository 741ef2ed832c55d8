"""SRCNN: three convolutions from the bicubically enlarged picture to the sharp one.

C. Dong, C. C. Loy, K. He, X. Tang, "Image super-resolution using deep convolutional networks", IEEE TPAMI
38(2), 2016: 64 filters 9x9, 32 filters of 1x1 (9-1-5) or 5x5 (9-5-5), ReLU after both, a linear 5x5
reconstruction. The paper starts from N(0, 0.001) and biases of zero: `ImageSpec(init="gaussian_0.001")`; He's
start is the default here, it learns faster.

Border. The paper trains without any padding and so loses 6 or 8 pixels a side; here every convolution keeps
the size with zeros outside, so that estimates have the size of the truth. The last convolution runs in
float32 also in mixed precision, where a bfloat16 picture would have no more than 8 bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import keras

from hsr_tf import checks
from hsr_tf.networks.cards import ImageSpec
from hsr_tf.networks.image_network import ImageNetwork, picture_inputs, require_scale
from hsr_tf.networks.layers import LayerMaker

SIZES = ((9, 1, 5), (9, 5, 5))


@keras.saving.register_keras_serializable("hsr_tf")
class SRCNN(ImageNetwork):
    """SRCNN on a picture that was enlarged before.

    Args:
        spec: channels, initialisation and precision; its scale is None.
        sizes: of the three convolutions, (9, 1, 5) or (9, 5, 5) in the paper; odd.
        features: filters of the first two.

    Input: lr_image (B, H, W, C), bicubically enlarged.
    Output: {"estimate": (B, H, W, C)}, float32.

    Raises:
        ValueError: for sizes that are not three odd numbers, features that are not two, or a scale.
    """

    def __init__(
        self, spec: ImageSpec, *, sizes: Sequence[int] = SIZES[0], features: Sequence[int] = (64, 32)
    ) -> None:
        require_scale(spec, "srcnn", own=False)
        sizes, features = tuple(sizes), tuple(features)
        checks.require(
            len(sizes) == 3 and len(features) == 2 and all(size % 2 == 1 for size in sizes),
            "sizes, features",
            expected="three odd sizes and two numbers of filters",
            received=f"{sizes}, {features}",
            remedy="9, 1, 5 and 64, 32 are the published ones",
        )
        make, inputs = LayerMaker(spec), picture_inputs(spec)
        x = inputs["lr_image"]
        for i in range(2):
            x = make.conv(features[i], sizes[i], f"conv{i + 1}", activation="relu")(x)
        last = LayerMaker(replace(spec, dtype="float32", seed=spec.seed + 1))
        super().__init__(
            spec,
            inputs,
            outputs={"estimate": last.head(x, spec.num_channels, "conv3", size=sizes[2])},
            options={"sizes": sizes, "features": features},
            reach=sum(size // 2 for size in sizes),
        )
