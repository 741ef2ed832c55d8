"""`prior`: one set of weights that refines a closed-form estimate for any two cameras.

The project's own design (docs/design_any_camera.md): MS-SSFNet for 31 bands from 400 to 700 nm, a Nikon D700
and cells of 8 pixels, over the fitted map of `spectral_ls`. Every other pair is shown to it as those cameras
would have seen it (`hsr_tf.networks.reference_view`), and what it adds is projected onto the pair that there
is. Nothing in the weights depends on bands, channels, scale, response or PSF.

With two members, networks of the same form that were trained apart, what the first adds counts as far as the
second agrees (`hsr_tf.networks.agreeing`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras

from hsr_tf import checks
from hsr_tf.networks.agreeing import agreed
from hsr_tf.networks.cards import FusionConfig
from hsr_tf.networks.layers import FusionNetwork, LayerMaker, NetworkSpec, image_inputs
from hsr_tf.networks.ms_ssfnet import Form, two_pathways, widths_of
from hsr_tf.networks.reference_view import CELL, NUM_BANDS, NUM_CHANNELS, ReferenceView

SECOND, FEATURES = "second_", (96, 96, 64, 64)
UPSAMPLING_KERNEL, ACTIVATION = 2, "leaky_relu"


@keras.saving.register_keras_serializable("hsr_tf")
class Prior(FusionNetwork):
    """The network of the reference cameras, whatever the pair is.

    Args:
        spec: of the pair; precision and initialisation count.
        features: width of the blocks, one number, or four of them from the coarsest size to the finest.
        members: 1, or 2 of which the second says how far the first is followed; they are trained one by one.
        wavelengths_nm: (C,) band centres of the pair; see `ReferenceView.of`.

    Input: lr_hsi (B, h, w, 62) and hr_msi (B, 8 h, 8 w, 34) of `ReferenceView.images`.
    Output: {"estimate": (B, 8 h, 8 w, 31)}, what is added to the start.
    """

    def __init__(
        self,
        spec: NetworkSpec,
        *,
        features: int | Sequence[int] = FEATURES,
        members: int = 1,
        wavelengths_nm: Sequence[float] | None = None,
    ) -> None:
        checks.require(
            members in (1, 2),
            "members",
            expected="1 or 2",
            received=str(members),
            remedy="train one, and join two by trainers.join_priors",
        )
        reference = replace(
            spec,
            scale=CELL,
            num_bands=NUM_BANDS,
            lr_channels=2 * NUM_BANDS,
            hr_channels=NUM_CHANNELS + NUM_BANDS,
        )
        features = features if isinstance(features, int) else list(features)
        form = Form(NUM_BANDS, tuple(widths_of(features, 3)), (), UPSAMPLING_KERNEL, ACTIVATION)
        inputs = image_inputs(reference)
        outputs = two_pathways(LayerMaker(reference), inputs, form)
        if members == 2:
            second = two_pathways(LayerMaker(reference, SECOND), inputs, form)
            outputs = {"estimate": agreed(outputs["estimate"], second["estimate"])}
        options: dict[str, Any] = {"features": features, "members": members}
        if wavelengths_nm is not None:
            options["wavelengths_nm"] = list(wavelengths_nm)
        super().__init__(reference, inputs, outputs, options)

    @staticmethod
    def view_of(config: FusionConfig) -> ReferenceView:
        """How the network sees a pair."""
        wavelengths_nm = dict(config.options).get("wavelengths_nm")
        return ReferenceView.of(config.scale, config.num_bands, wavelengths_nm)
