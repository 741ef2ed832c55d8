"""How far two networks that were trained apart agree on what they add, region by region.

Where they learnt the same they add the same; of images unlike those that they learnt from each adds
something else (deep ensembles: Lakshminarayanan, Pritzel, Blundell, NeurIPS 2017). With U and V what the two
add, and <> the mean over bands and some 40 pixels around, what is added is

    U max(0, <U V> / sqrt(<U U> <V V>))^p

Without the factor airborne scenes lost up to 2.2 dB.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from hsr_tf.networks.layers import BicubicEnlarge
from hsr_tf.networks.reference_view import CELL
from hsr_tf.typing import Tensor

CELLS, POWER = 5, 2.0
TINY = 1e-12


def agreed(first: Tensor, second: Tensor) -> Tensor:
    """What the first network adds (B, H, W, C), as far as the second agrees; H and W are whole cells."""
    x = Products(dtype="float32", name="products")([first, second])
    x = layers.AveragePooling2D(CELL, dtype="float32", name="cells")(x)
    x = layers.AveragePooling2D(CELLS, strides=1, padding="same", dtype="float32", name="around")(x)
    share = BicubicEnlarge(CELL, dtype="float32", name="enlarge_share")(
        Share(POWER, dtype="float32", name="share")(x)
    )
    return layers.Multiply(dtype="float32", name="agreed")([first, share])


@keras.saving.register_keras_serializable("hsr_tf")
class Products(layers.Layer):
    """Means over the channels of U V, U U and V V, (B, H, W, 3)."""

    def call(self, images: list[Tensor]) -> Tensor:
        """Multiply."""
        first, second = (ops.cast(image, "float32") for image in images)
        pairs = ((first, second), (first, first), (second, second))
        return ops.concatenate([ops.mean(a * b, axis=-1, keepdims=True) for a, b in pairs], axis=-1)

    def compute_output_shape(self, shapes: list[tuple[int | None, ...]]) -> tuple[int | None, ...]:
        return (*shapes[0][:-1], 3)


@keras.saving.register_keras_serializable("hsr_tf")
class Share(layers.Layer):
    """max(0, <U V> / sqrt(<U U> <V V>))^p of the three means, (B, H, W, 1)."""

    def __init__(self, power: float, **keras_arguments: Any) -> None:
        super().__init__(**keras_arguments)
        self.power = power

    def call(self, means: Tensor) -> Tensor:
        """Compare."""
        lengths = ops.sqrt(means[..., 1:2] * means[..., 2:3])
        cosine = ops.maximum(means[..., :1], 0.0) / (lengths + TINY)
        return ops.power(ops.minimum(cosine, 1.0), self.power)

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*shape[:-1], 1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "power": self.power}
