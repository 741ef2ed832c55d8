"""DBPN: deep back-projection network.

M. Haris, G. Shakhnarovich, N. Ukita, "Deep back-projection networks for super-resolution", CVPR 2018: first
features by a 3x3 and a 1x1 convolution; then up-projection and down-projection units in turn, each of which
corrects its result by what a projection there and back leaves (filters s + 4, stride s, padding 2: 8 and 4
for x4); the sharp features of all stages together give the picture through one 3x3 convolution.

Departures. The plain units are built, without the dense connections of the paper's D-DBPN: they are those
that KBPN is made of. PReLU has a slope a channel. `residual` adds the bicubic enlargement, which short
training needs (not in the paper). Published: 64 features and up to 10 stages; the default is a compact size.
"""

from __future__ import annotations

import keras

from hsr_tf import checks
from hsr_tf.networks.cards import ImageSpec
from hsr_tf.networks.image_layers import SharedLayers
from hsr_tf.networks.image_network import ImageNetwork, picture_inputs, require_scale

PUBLISHED = {"num_stages": 10, "features": 64, "residual": False}


@keras.saving.register_keras_serializable("hsr_tf")
class DBPN(ImageNetwork):
    """DBPN for one scale.

    Args:
        spec: sizes, initialisation and precision; the scale is 2 or more.
        num_stages: up-projection units.
        features: channels of both sizes; the first convolution has four times as many.
        residual: add the bicubic enlargement.

    Input: lr_image (B, h, w, C), h and w at least 2.
    Output: {"estimate": (B, s h, s w, C)}, float32.

    Raises:
        ValueError: for a scale below 2 or less than one stage.
    """

    def __init__(
        self, spec: ImageSpec, *, num_stages: int = 4, features: int = 32, residual: bool = True
    ) -> None:
        require_enlarging(spec, "dbpn")
        checks.require_positive_integers(num_stages=num_stages, features=features)
        make, inputs = SharedLayers(spec), picture_inputs(spec)
        x = first_features(make, inputs["lr_image"], features)
        sharp = []
        for t in range(1, num_stages + 1):
            sharp.append(make.up_projection(x, f"up{t}"))
            if t < num_stages:
                x = make.down_projection(sharp[-1], f"down{t}")
        estimate = make.reconstruct(make.join(sharp), inputs["lr_image"], "head", residual=residual)
        super().__init__(
            spec,
            inputs,
            outputs={"estimate": estimate},
            options={"num_stages": num_stages, "features": features, "residual": residual},
            reach=6 * num_stages,
        )


def first_features(make: SharedLayers, lr_image: keras.KerasTensor, features: int) -> keras.KerasTensor:
    """The features of the given size that DBPN and KBPN start from: conv 3x3, conv 1x1."""
    wide = make.prelu(make.conv(lr_image, 4 * features, 3, "first1"), "first_prelu1")
    return make.prelu(make.conv(wide, features, 1, "first2"), "first_prelu2")


def require_enlarging(spec: ImageSpec, method: str) -> None:
    """Refuse a specification without a whole factor of 2 or more."""
    require_scale(spec, method, own=True)
    checks.require(
        (spec.scale or 0) >= 2,
        "scale",
        expected=f"2 or more for {method}",
        received=str(spec.scale),
        remedy="use vdsr, which keeps the size of an enlarged picture",
    )
