"""MS-SSFNet: the paper's counts and sizes, its levels, its initialisation, refused shapes."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from hsr_tf.networks.layers import NetworkSpec
from hsr_tf.networks.losses import mse, multi_level
from hsr_tf.networks.ms_ssfnet import MSSSFNet, head_positions


def network(scale: int, *, spec: dict | None = None, **options) -> MSSSFNet:
    return MSSSFNet(NetworkSpec(scale, 5, 5, **(spec or {})), **{"features": 4, **options})


def count(model: keras.Model, kind: type) -> int:
    return sum(type(layer) is kind for layer in model.layers)


@pytest.mark.parametrize(("scale", "num_scales"), [(2, 1), (4, 2), (8, 3), (16, 4), (32, 5)])
def test_it_has_the_blocks_and_stacks_of_its_scales(scale: int, num_scales: int) -> None:
    model = network(scale, num_levels=1)
    blocks = {layer.name.rsplit("_", 1)[0] for layer in model.layers if "_conv" in layer.name}
    assert blocks == {
        *(f"spectral_{i}" for i in range(num_scales + 1)),
        *(f"spatial_{i}" for i in range(1, num_scales + 1)),
    }
    assert count(model, layers.Conv2DTranspose) == num_scales
    assert count(model, layers.Concatenate) == num_scales
    assert count(model, layers.MaxPooling2D) == num_scales - 1
    assert count(model, layers.PReLU) == 2 * (2 * num_scales + 1)
    assert count(model, layers.Conv2D) == 2 * (2 * num_scales + 1) + 1


def test_every_stack_joins_features_of_one_size() -> None:
    model = network(16)
    stacks = [layer for layer in model.layers if isinstance(layer, layers.Concatenate)]
    watch = keras.Model(model.inputs, [tensor for stack in stacks for tensor in stack.input])
    views = {"lr_hsi": tf.zeros((1, 2, 3, 5)), "hr_msi": tf.zeros((1, 32, 48, 3))}
    sizes = [tuple(tensor.shape[1:3]) for tensor in watch(views)]
    assert sizes[::2] == sizes[1::2] == [(4, 6), (8, 12), (16, 24), (32, 48)]


def test_patches_of_8_become_128() -> None:
    views = {"lr_hsi": tf.zeros((1, 8, 8, 5)), "hr_msi": tf.zeros((1, 128, 128, 3))}
    found = {name: tuple(level.shape) for name, level in network(16)(views).items()}
    assert found == {"estimate_4": (1, 32, 32, 5), "estimate": (1, 128, 128, 5)}


def test_the_number_of_weights_is_that_worked_by_hand() -> None:
    # Convolutions 9 i o + o, transposed ones 16 i o + o, slopes one a channel; 8 features, x4, two levels.
    def block(i: int) -> int:
        return (9 * i * 8 + 8 + 8) + (9 * 8 * 8 + 8 + 8)

    spectral = block(5) + 2 * block(16)
    spatial = block(3) + block(8)
    enlargements = 2 * (16 * 8 * 8 + 8)
    heads = 2 * (9 * 8 * 5 + 5)
    model = network(4, features=8)
    assert model.count_params() == spectral + spatial + enlargements + heads == 9290
    leaky = network(4, features=8, activation="leaky_relu")
    assert leaky.count_params() == model.count_params() - 10 * 8
    assert network(4, features=8, upsampling_kernel=2).count_params() == 9290 - 2 * 12 * 64


def test_widths_may_differ_from_size_to_size() -> None:
    model = network(4, features=[6, 5, 4])
    kernels = {w.path: tuple(w.shape) for w in model.weights if w.path.endswith("kernel")}
    assert kernels["spectral_0_conv1/kernel"] == (3, 3, 5, 6)
    assert kernels["enlarge_1/kernel"] == (4, 4, 5, 6)
    assert kernels["spectral_1_conv1/kernel"] == (3, 3, 10, 5)
    assert kernels["spatial_2_conv1/kernel"] == (3, 3, 3, 4)
    assert kernels["spatial_1_conv1/kernel"] == (3, 3, 4, 5)
    assert kernels["spectral_2_conv1/kernel"] == (3, 3, 8, 4)


@pytest.mark.parametrize(
    ("num_scales", "num_levels", "expected"),
    [(4, 2, [2]), (3, 2, [2]), (2, 2, [1]), (4, 1, []), (4, 4, [1, 2, 3]), (5, 3, [2, 4]), (1, 1, [])],
)
def test_heads_split_the_scales_evenly(num_scales: int, num_levels: int, expected: list[int]) -> None:
    assert head_positions(num_scales, num_levels) == expected


@pytest.mark.parametrize(
    ("scale", "num_levels", "names"),
    [
        (16, 2, {"estimate", "estimate_4"}),
        (8, 2, {"estimate", "estimate_2"}),
        (8, 3, {"estimate", "estimate_2", "estimate_4"}),
        (8, 1, {"estimate"}),
        (8, None, {"estimate", "estimate_2"}),
        (2, None, {"estimate"}),
    ],
)
def test_levels_are_named_by_their_reduction(scale: int, num_levels: int | None, names: set[str]) -> None:
    assert set(network(scale, num_levels=num_levels).output) == names


def test_the_loss_is_the_plain_sum_of_the_levels() -> None:
    rng = np.random.default_rng(0)
    cube = rng.random((1, 32, 32, 5)).astype(np.float32)
    views = {"lr_hsi": tf.zeros((1, 2, 2, 5)), "hr_msi": tf.constant(cube[..., :3])}
    levels = {name: np.asarray(level) for name, level in network(16)(views).items()}
    # A reduced constant is that constant, so the intermediate truth of a flat cube needs no resizing.
    flat = np.full_like(cube, 0.3)
    expected = ((levels["estimate"] - 0.3) ** 2).mean() + ((levels["estimate_4"] - 0.3) ** 2).mean()
    assert float(multi_level(flat, levels, mse)) == pytest.approx(expected, rel=1e-5)


def test_the_published_start_is_a_gaussian_of_deviation_one_thousandth() -> None:
    model = network(4, spec={"init": "gaussian_0.001"}, features=32)
    kernels = np.concatenate([np.ravel(w) for w in model.weights if w.path.endswith("kernel")])
    assert kernels.std() == pytest.approx(0.001, rel=0.02)
    he = network(4, features=32).get_layer("spectral_1_conv1").kernel
    assert np.std(he) == pytest.approx(np.sqrt(2 / (9 * 64)), rel=0.03)


def test_slopes_are_shared_over_space() -> None:
    slopes = [w for w in network(8).weights if w.path.endswith("alpha")]
    assert slopes
    assert all(tuple(w.shape) == (1, 1, 4) for w in slopes)
    np.testing.assert_array_equal(np.unique([np.asarray(w) for w in slopes]), [0.25])


def test_leaky_slopes_are_where_learnt_ones_start_or_say_so() -> None:
    leaky = [v for v in network(4, activation="leaky_relu").layers if isinstance(v, layers.LeakyReLU)]
    assert {layer.negative_slope for layer in leaky} == {0.25}


@pytest.mark.parametrize(
    ("scale", "options", "said"),
    [
        (1, {}, "a power of two from 2 up"),
        (6, {}, "a power of two from 2 up"),
        (4, {"num_levels": 3}, "num_levels: expected 1 to 2"),
        (4, {"num_levels": 0}, "num_levels: expected 1 to 2"),
        (8, {"features": [8, 8]}, "one positive width or 4"),
        (4, {"features": 0}, "features: expected"),
        (4, {"upsampling_kernel": 1}, "upsampling_kernel: expected"),
        (4, {"activation": "relu"}, "one of leaky_relu, prelu"),
    ],
)
def test_impossible_shapes_are_refused(scale: int, options: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        network(scale, **options)
