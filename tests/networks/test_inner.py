"""The inner part of a window, computed by layers that are cut to what it needs, is that part of the whole."""

from __future__ import annotations

from functools import lru_cache

import keras
import numpy as np
import pytest
from keras import layers

from hsr_tf.networks.inner import InnerNetwork
from hsr_tf.networks.layers import FusionNetwork, NetworkSpec
from hsr_tf.networks.ms_ssfnet import MSSSFNet
from tests.networks.test_conformance import NETWORKS, stirred

# What is compiled is in tests/streaming: here every part would be traced anew.
pytestmark = pytest.mark.usefixtures("untraced")
SIZE = (21, 17)
# first and last coarse row and column: inside, at two borders, near one, the whole
PARTS = [(9, 12, 8, 10), (0, 5, 0, 3), (2, 6, 14, 17), (0, 21, 0, 17)]


def images(network: FusionNetwork) -> dict[str, np.ndarray]:
    generator, spec = np.random.default_rng(0), network.spec
    shapes = {"lr_hsi": (*SIZE, spec.lr_channels)}
    shapes["hr_msi"] = (*(spec.scale * n for n in SIZE), spec.hr_channels)
    return {name: generator.random((1, *shape), np.float32) for name, shape in shapes.items()}


@lru_cache(maxsize=2)
def inner_of(network: FusionNetwork) -> InnerNetwork:
    """Built and compiled once for all parts."""
    return InnerNetwork(network)


@lru_cache(maxsize=2)
def whole_of(network: FusionNetwork) -> np.ndarray:
    """What the network makes of the whole images."""
    return np.asarray(network(images(network))["estimate"])[0]


def gap(network: FusionNetwork, part: tuple[int, int, int, int], margin: int | None = None) -> float:
    """Largest difference between the inner network's part and that of the whole."""
    inner, given, scale = inner_of(network), images(network), network.spec.scale
    margin = inner.margin if margin is None else margin
    top, bottom, left, right = part
    rows = slice(max(0, top - margin), min(SIZE[0], bottom + margin))
    cols = slice(max(0, left - margin), min(SIZE[1], right + margin))
    sharp = [slice(scale * s.start, scale * s.stop) for s in (rows, cols)]
    window = {"lr_hsi": given["lr_hsi"][:, rows, cols], "hr_msi": given["hr_msi"][:, sharp[0], sharp[1]]}
    found = inner.estimate(
        window, ((top - rows.start, rows.stop - bottom), (left - cols.start, cols.stop - right))
    )
    expected = whole_of(network)[scale * top : scale * bottom, scale * left : scale * right]
    assert found.shape == expected.shape
    return float(np.abs(found - expected).max())


@pytest.mark.parametrize("method", NETWORKS)
def test_a_part_is_that_part_of_the_whole(method: str) -> None:
    assert max(gap(stirred(method, "none").network, part) for part in PARTS[:3]) < 1e-5


# That of 4 is the network's own, whose parts are tested above.
@pytest.mark.parametrize("size", [2, 3, pytest.param(4, marks=pytest.mark.slow)])
def test_so_it_is_for_every_enlargement(size: int) -> None:
    spec = NetworkSpec(scale=8, num_bands=3, lr_channels=3)
    network = MSSSFNet(spec, features=4, upsampling_kernel=size)
    assert max(gap(network, part) for part in PARTS) < 1e-5


def test_the_margin_is_needed() -> None:
    network = MSSSFNet(NetworkSpec(scale=4, num_bands=3, lr_channels=3), features=4)
    inside, margin = PARTS[0], inner_of(network).margin
    assert gap(network, inside, margin - 2) > 1e-6


def test_layers_at_full_size_see_little_more_than_the_part() -> None:
    network = MSSSFNet(NetworkSpec(scale=8, num_bands=3, lr_channels=3), features=4, upsampling_kernel=2)
    needs = InnerNetwork(network)._needs
    assert needs["spectral_3_conv1"] == 2  # a convolution and the head behind it
    assert needs["hr_msi"] == 30


def test_a_layer_that_may_look_anywhere_is_refused() -> None:
    spec = NetworkSpec(scale=2, num_bands=2, lr_channels=2)
    x, y = keras.Input((None, None, 2), name="lr_hsi"), keras.Input((None, None, 3), name="hr_msi")
    mean = layers.GlobalAveragePooling2D(keepdims=True)(y)
    outputs = {"estimate": layers.Conv2D(2, 1)(layers.Multiply()([y, mean]))}
    with pytest.raises(ValueError, match="network: expected layers that look at a neighbourhood"):
        InnerNetwork(FusionNetwork(spec, {"lr_hsi": x, "hr_msi": y}, outputs, {}))
