"""DHSIS: a plain residual CNN between two closed-form fits to the observations.

R. Dian, S. Li, A. Guo, L. Fang, "Deep hyperspectral image sharpening", IEEE TNNLS 29(11), 2018: (1) Z0 from
X and Y around the enlarged X, a Sylvester equation; (2) a plain CNN of 16 layers is given Z0 and predicts
what it lacks; (3) the same equation around the CNN's cube. Steps 1 and 3 are `FusionModel`'s, with the base
"sylvester" and `consistent`, which `FusionConfig("dhsis", ...)` sets; the network is step 2.
`python -m trainers.fusion --method=dhsis` trains it as published: on the loss of step 2 alone, step 3 follows
in validation and use.

Departures: 64 features, a width of our own, as the source that is followed gives none; the last layer starts
at zero, at Z0: He's start ends 0.26 dB lower. Options beside the published form: `sees_msi` shows Y to the
CNN beside Z0 (-0.06 dB), and --train_through_fit trains it through step 3 (+0.20 dB). Figures of one CAVE
training scene after 200 steps of 8 patches of 32 pixels at x8, with 32 features, where steps 1 and 3 alone
have 44.87 dB and the form as built 45.14: `python -m benchmarks.departures --methods=dhsis --num_steps=200
--patch_size=32`.
With `FusionConfig(base="none")`, which is not DHSIS, the network sees the enlarged X joined with Y.
"""

from __future__ import annotations

import keras

from hsr_tf import checks
from hsr_tf.networks.layers import (
    FusionNetwork,
    LastChannels,
    LayerMaker,
    NetworkSpec,
    image_inputs,
    joined_inputs,
)


@keras.saving.register_keras_serializable("hsr_tf")
class DHSIS(FusionNetwork):
    """The CNN of DHSIS for any integer scale.

    Args:
        spec: sizes, initialisation and precision; with `zero_head`, as `FusionModel` sets it over a base,
            `hr_msi` is Y joined with the base, the last `num_bands` channels.
        features: width of the hidden layers.
        num_layers: convolutions 3x3, all but the last followed by ReLU.
        sees_msi: whether the network looks at Y beside the base.

    Input: lr_hsi (B, h, w, lr_channels), hr_msi (B, s h, s w, hr_channels).
    Output: {"estimate": (B, s h, s w, C)}.

    Raises:
        ValueError: for fewer than two layers.
    """

    def __init__(
        self, spec: NetworkSpec, *, features: int = 64, num_layers: int = 16, sees_msi: bool = False
    ) -> None:
        checks.require_at_least("num_layers", num_layers, 2, remedy="16 is the published depth")
        make, inputs = LayerMaker(spec), image_inputs(spec)
        if not spec.zero_head:
            x = joined_inputs(make, inputs, spec.scale)
        elif sees_msi:
            x = inputs["hr_msi"]
        else:
            x = LastChannels(spec.num_bands, dtype=make.dtype, name="base")(inputs["hr_msi"])
        for i in range(num_layers - 1):
            x = make.conv(features, 3, f"conv{i + 1}", activation="relu")(x)
        outputs = {"estimate": make.head(x, spec.num_bands, "head")}
        options = {"features": features, "num_layers": num_layers, "sees_msi": sees_msi}
        super().__init__(spec, inputs, outputs, options)
