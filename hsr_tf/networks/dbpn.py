"""DBPN: deep back-projection network.

M. Haris, G. Shakhnarovich, N. Ukita, "Deep back-projection networks for super-resolution", CVPR 2018: first
features by a 3x3 and a 1x1 convolution; then up-projection and down-projection units in turn, each of which
corrects its result by what a projection there and back leaves (filters s + 4, stride s, padding 2: 8 and 4
for x4); the sharp features of all stages together give the picture through one 3x3 convolution.

D-DBPN has dense connections (`dense`): from the second down-projection on, a unit is given the features of
all earlier units of the other kind, brought to its own number by a 1x1 convolution with PReLU. `PUBLISHED` is
D-DBPN as its authors published it (github.com/alterzero/DBPN-Pytorch, dbpn.py): 7 stages of 64 features, one
slope per PReLU, pictures of three channels, 10,426,358 weights at x4. `PUBLISHED_LARGE` is their DBPN-LL of
10 stages (dbpn_v1.py). Without `dense` these are the plain units that KBPN is made of, the paper's DBPN of 2,
4 or 6 stages.

Departures. Figures are the PSNR of six BSD200 pictures without blur after 200 steps of 8 patches, 3 stages of
16 features (26.18 dB as built here), by `python -m benchmarks.departures --methods=dbpn --optimizer=muon
--num_steps=200`. Corrections start small, at a tenth of He's deviation: He's own, -0.04 dB. `residual` adds
the bicubic enlargement (not in the paper): without it, -0.39 dB. The default is a compact size with a slope
per channel: one slope per PReLU, 0.00 dB.
"""

from __future__ import annotations

import keras

from hsr_tf import checks
from hsr_tf.networks.cards import ImageSpec
from hsr_tf.networks.image_layers import SharedLayers
from hsr_tf.networks.image_network import ImageNetwork, picture_inputs, require_scale
from hsr_tf.typing import Tensor

PUBLISHED = {"num_stages": 7, "features": 64, "residual": False, "dense": True, "one_slope": True}
PUBLISHED_LARGE = {**PUBLISHED, "num_stages": 10}


@keras.saving.register_keras_serializable("hsr_tf")
class DBPN(ImageNetwork):
    """DBPN for one scale; the default is a compact size, `PUBLISHED` the authors' D-DBPN.

    Args:
        spec: sizes, initialisation and precision; the scale is 2 or more.
        num_stages: up-projection units.
        features: channels of both sizes; the first convolution has four times as many.
        residual: add the bicubic enlargement.
        dense: give every unit the features of all earlier units of the other kind.
        one_slope: one slope per PReLU, as the authors' code has it; False for one per channel.

    Input: lr_image (B, h, w, C), h and w at least 2.
    Output: {"estimate": (B, s h, s w, C)}, float32.

    Raises:
        ValueError: for a scale below 2 or less than one stage.
    """

    def __init__(
        self,
        spec: ImageSpec,
        *,
        num_stages: int = 4,
        features: int = 32,
        residual: bool = True,
        dense: bool = False,
        one_slope: bool = False,
    ) -> None:
        require_enlarging(spec, "dbpn")
        checks.require_positive_integers(num_stages=num_stages, features=features)
        make, inputs = SharedLayers(spec, one_slope=one_slope), picture_inputs(spec)
        x = first_features(make, inputs["lr_image"], features)
        sharp: list[Tensor] = []
        coarse: list[Tensor] = []
        for t in range(1, num_stages + 1):
            if dense and len(coarse) > 1:
                x = _bottleneck(make, coarse, features, f"up{t}")
            sharp.append(make.up_projection(x, f"up{t}"))
            if t < num_stages:
                x = _bottleneck(make, sharp, features, f"down{t}") if dense and t > 1 else sharp[-1]
                coarse.append(make.down_projection(x, f"down{t}"))
                x = coarse[-1]
        estimate = make.reconstruct(make.join(sharp), inputs["lr_image"], "head", residual=residual)
        options = {
            "num_stages": num_stages,
            "features": features,
            "residual": residual,
            "dense": dense,
            "one_slope": one_slope,
        }
        super().__init__(
            spec,
            inputs,
            outputs={"estimate": estimate},
            options=options,
            reach=_reach(spec.scale or 1, num_stages),
        )


def _bottleneck(make: SharedLayers, parts: list[Tensor], features: int, name: str) -> Tensor:
    """All parts joined and brought to `features` channels by a 1x1 convolution with PReLU."""
    return make.prelu(make.conv(make.join(parts), features, 1, f"{name}_join"), f"{name}_join_prelu")


def _reach(scale: int, num_stages: int) -> int:
    """Coarse pixels on each side that an estimated pixel looks at.

    From x4 on a sharp sample sees the coarse pixels on one side of it only, and every stage adds 3 pixels; at
    x2 and x3 filters of s + 4 taps see both sides, and it adds 6. The last convolution looks one sharp pixel
    further; a bicubic enlargement looks at 2.
    """
    return 3 * num_stages if scale >= 4 else 6 * num_stages - (scale - 1)


def first_features(make: SharedLayers, lr_image: Tensor, features: int) -> Tensor:
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
