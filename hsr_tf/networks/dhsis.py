"""DHSIS: a plain residual CNN between two closed-form fits to the observations.

R. Dian, S. Li, A. Guo, L. Fang, "Deep hyperspectral image sharpening", IEEE TNNLS 29(11), 2018: (1) Z0 from
X and Y around the enlarged X, a Sylvester equation; (2) a plain CNN of 16 layers predicts what Z0 lacks; (3)
the same equation around the CNN's cube. Here steps 1 and 3 are `FusionModel`'s, with the base "sylvester" and
`consistent`, and the network is step 2.

Departures: step 3 is part of the model, so that the CNN is trained through it (train without `consistent`
for the published order); the CNN sees Y beside Z0 (there: Z0 alone), as every network over a base does here;
64 features, a width of our own; the last layer starts at zero, at the base. Without a base the network sees
the enlarged X joined with Y.
"""

from __future__ import annotations

import keras

from hsr_tf import checks
from hsr_tf.networks.layers import FusionNetwork, LayerMaker, NetworkSpec, image_inputs, joined_inputs


@keras.saving.register_keras_serializable("hsr_tf")
class DHSIS(FusionNetwork):
    """The CNN of DHSIS for any integer scale.

    Args:
        spec: sizes, initialisation and precision; with `zero_head`, as `FusionModel` sets it over a base, the
            network looks at `hr_msi` alone, which then is Y joined with the base.
        features: width of the hidden layers.
        num_layers: convolutions 3x3, all but the last followed by ReLU.

    Input: lr_hsi (B, h, w, lr_channels), hr_msi (B, s h, s w, hr_channels).
    Output: {"estimate": (B, s h, s w, C)}.

    Raises:
        ValueError: for fewer than two layers.
    """

    def __init__(self, spec: NetworkSpec, *, features: int = 64, num_layers: int = 16) -> None:
        checks.require_at_least("num_layers", num_layers, 2, remedy="16 is the published depth")
        make, inputs = LayerMaker(spec), image_inputs(spec)
        x = inputs["hr_msi"] if spec.zero_head else joined_inputs(make, inputs, spec.scale)
        for i in range(num_layers - 1):
            x = make.conv(features, 3, f"conv{i + 1}", activation="relu")(x)
        outputs = {"estimate": make.head(x, spec.num_bands, "head")}
        super().__init__(spec, inputs, outputs, {"features": features, "num_layers": num_layers})
