"""VDSR: twenty convolutions that learn what bicubic enlargement lacks.

J. Kim, J. K. Lee, K. M. Lee, "Accurate image super-resolution using very deep convolutional networks", CVPR
2016: 20 convolutions 3x3 of 64 filters, ReLU after all but the last, the enlarged picture added to the
output; borders are filled with zeros before every convolution. One model serves several factors, since the
enlargement comes first; only luminance goes through it.

Departures: none in the network. Its addition is done in float32 also in mixed precision, where a bfloat16
picture would have no more than 8 bits. `zero_head` starts at the enlarged picture itself (not in the paper).
"""

from __future__ import annotations

import keras
import numpy as np
from keras import layers

from hsr_tf import checks
from hsr_tf.networks.cards import ImageSpec
from hsr_tf.networks.image_network import ImageNetwork, picture_inputs, require_scale
from hsr_tf.networks.layers import LayerMaker, NearIdentity


@keras.saving.register_keras_serializable("hsr_tf")
class VDSR(ImageNetwork):
    """VDSR on a picture that was enlarged before.

    Args:
        spec: channels, initialisation and precision; its scale is None.
        depth: number of convolutions.
        features: their filters.

    Input: lr_image (B, H, W, C), bicubically enlarged.
    Output: {"estimate": (B, H, W, C)}, float32.

    Raises:
        ValueError: for fewer than two convolutions, or a scale.
    """

    def __init__(self, spec: ImageSpec, *, depth: int = 20, features: int = 64) -> None:
        require_scale(spec, "vdsr", own=False)
        checks.require_at_least("depth", depth, 2, remedy="20 is the published one")
        make, inputs = LayerMaker(spec), picture_inputs(spec)
        x = inputs["lr_image"]
        for i in range(depth - 1):
            x = make.conv(features, 3, f"conv{i + 1}", activation="relu")(x)
        detail = make.head(x, spec.num_channels, f"conv{depth}")
        estimate = layers.Add(dtype="float32", name="add")([inputs["lr_image"], detail])
        super().__init__(
            spec,
            inputs,
            outputs={"estimate": estimate},
            options={"depth": depth, "features": features},
            reach=depth,
        )

    def in_form_of(self, other: ImageNetwork) -> ImageNetwork:
        """A deeper VDSR of the same filters that answers the same: the further convolutions are the identity.

        They lie evenly between those there are, and hand on what a ReLU has made non-negative.
        """
        if not isinstance(other, VDSR) or other.depth <= self.depth:
            return self
        deeper = VDSR(other.spec, depth=other.depth, features=self._options["features"])
        places = np.linspace(1, other.depth - 1, self.depth - 1).round().astype(int)
        taken = dict(zip([*places, other.depth], range(1, self.depth + 1), strict=True))
        for number in range(1, other.depth + 1):
            layer = deeper.get_layer(f"conv{number}")
            if number in taken:
                layer.set_weights(self.get_layer(f"conv{taken[number]}").get_weights())
            else:
                identity = NearIdentity(noise=0.0)(layer.kernel.shape)
                layer.set_weights([identity, np.zeros(layer.bias.shape)])
        return deeper

    @property
    def depth(self) -> int:
        """Number of convolutions."""
        return int(self._options["depth"])
