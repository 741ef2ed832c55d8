"""Memory of a network: the tensors that are alive at the same time."""

from __future__ import annotations

import keras
import pytest

from hsr_tf.networks.image_network import ImageSpec
from hsr_tf.networks.memory import SCRATCH, bytes_per_value, peak_floats
from hsr_tf.networks.vdsr import VDSR


def test_a_skip_connection_lives_until_it_is_added() -> None:
    image = keras.Input((None, None, 1), name="lr_image")
    wide = keras.layers.Conv2D(3, 3, padding="same")(image)
    narrow = keras.layers.Conv2D(2, 3, padding="same")(wide)
    again = keras.layers.Conv2D(3, 3, padding="same")(narrow)
    network = keras.Model({"lr_image": image}, keras.layers.Add()([wide, again]))
    # The image, both summands and the sum.
    assert peak_floats(network, {"lr_image": (1, 5, 4, 1)}) == 20 * (1 + 3 + 3 + 3)


@pytest.mark.parametrize("features", [4, 8])
def test_a_chain_of_layers_holds_two_of_them(features: int) -> None:
    network = VDSR(ImageSpec(None), features=features, depth=4)
    # Image, input and output of a hidden layer; VDSR adds the image at its end.
    assert bytes_per_value(network) == pytest.approx(SCRATCH * 4 * (1 + 2 * features), rel=0.2)
