"""`prior`: one set of weights that refines a closed-form estimate for any two cameras.

The project's own design (docs/design_any_camera.md): MS-SSFNet for 31 bands from 400 to 700 nm, a Nikon D700
and cells of 8 pixels, over the fitted map of `spectral_ls`. Every other pair is shown to it as those cameras
would have seen it (`hsr_tf.networks.reference_view`), and what it adds is projected onto the pair that there
is. Nothing in the weights depends on bands, channels, scale, response or PSF.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import keras

from hsr_tf.networks.cards import FusionConfig
from hsr_tf.networks.layers import NetworkSpec
from hsr_tf.networks.ms_ssfnet import MSSSFNet
from hsr_tf.networks.reference_view import CELL, NUM_BANDS, NUM_CHANNELS, ReferenceView


@keras.saving.register_keras_serializable("hsr_tf")
class Prior(MSSSFNet):
    """The network of the reference cameras, whatever the pair is.

    Args:
        spec: of the pair; precision and initialisation count.
        features, num_levels, upsampling_kernel, activation: see `MSSSFNet`.
        wavelengths_nm: (C,) band centres of the pair; see `ReferenceView.of`.

    Input: lr_hsi (B, h, w, 62) and hr_msi (B, 8 h, 8 w, 34) of `ReferenceView.images`.
    Output: {"estimate": (B, 8 h, 8 w, 31)}, what is added to the start.
    """

    def __init__(
        self,
        spec: NetworkSpec,
        *,
        features: int | Sequence[int] = (96, 96, 64, 64),
        num_levels: int = 1,
        upsampling_kernel: int = 2,
        activation: str = "leaky_relu",
        wavelengths_nm: Sequence[float] | None = None,
    ) -> None:
        reference = replace(
            spec,
            scale=CELL,
            num_bands=NUM_BANDS,
            lr_channels=2 * NUM_BANDS,
            hr_channels=NUM_CHANNELS + NUM_BANDS,
        )
        super().__init__(
            reference,
            features=features if isinstance(features, int) else list(features),
            num_levels=num_levels,
            upsampling_kernel=upsampling_kernel,
            activation=activation,
        )
        if wavelengths_nm is not None:
            self._options["wavelengths_nm"] = list(wavelengths_nm)

    @staticmethod
    def view_of(config: FusionConfig) -> ReferenceView:
        """How the network sees a pair."""
        wavelengths_nm = dict(config.options).get("wavelengths_nm")
        return ReferenceView.of(config.scale, config.num_bands, wavelengths_nm)
