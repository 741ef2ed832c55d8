"""A network's table is right: Keras counts the same parameters, and impulses reach as far as it says."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from hsr_tf import methods
from hsr_tf.networks.cards import ImageSpec
from hsr_tf.networks.layers import NetworkSpec
from hsr_tf.networks.structure import WHOLE, kernel_stages, read_structure, size_words

FUSION = {"ms_ssfnet": {"features": 2}, "ssf_cnn": {}, "ssf_resnet": {"features": 2}}
PICTURES: dict[str, dict[str, Any]] = {
    "dbpn": {"num_stages": 2, "features": 2},
    "srcnn": {},
    "srmdnf": {"depth": 3, "features": 2},
    "vdsr": {"depth": 3, "features": 2},
}
ALIKE = ("srcnn", "vdsr")


def small(name: str) -> keras.Model:
    """A narrow network of this name, x4, whose weights are all positive, so that no ReLU is off."""
    method = methods.get(name)
    if name in FUSION:
        network = method.build(NetworkSpec(4, 2, 2, dtype="float64"), **FUSION[name])
    else:
        network = method.build(ImageSpec(None if name in ALIKE else 4), **PICTURES[name])
    rng = np.random.default_rng(0)
    for weight in network.trainable_weights:
        if weight.name in ("kernel", "alpha"):
            weight.assign(rng.uniform(0.5, 1.0, weight.shape) / np.prod(weight.shape[:-1]))
    return network


def looked_at(network: keras.Model, name: str, side: int, *, scale: int) -> int:
    """The most pixels of an input that a pixel in the middle of the estimate changes with, along one side."""
    sides = {one.name: scale * side if one.name == "hr_msi" else side for one in network.inputs}
    rows = sides[name]
    given = {
        one.name: np.zeros(
            (rows + 1, *(sides[one.name] if n is None else n for n in one.shape[1:])), np.float32
        )
        for one in network.inputs
    }
    if len(given) == 2 and "hr_msi" in given:  # on light ground the negative lobes of an enlargement count
        given = {key: value + 1 for key, value in given.items()}
    given[name][:rows] += np.eye(rows, dtype=np.float32)[:, :, None, None]
    answers = np.asarray(ops.convert_to_numpy(network(given)["estimate"]))
    moved, plain = np.abs(answers[:rows] - answers[rows:]), answers[rows:]
    height, width = plain.shape[1:3]
    middle = slice(height // 2 - scale, height // 2 + scale)
    # Without a constant input nothing is rounded: what is not looked at changes nothing at all.
    least = 1e-12 * moved.max() if plain.any() else 0.0
    changes = moved[:, middle, width // 2].max(-1) > least
    return max(int(np.ptp(np.flatnonzero(changes[:, i]))) + 1 for i in range(changes.shape[1]))


@pytest.mark.parametrize("name", [*FUSION, *PICTURES])
def test_an_impulse_reaches_as_far_as_the_receptive_field(name: str) -> None:
    scale = 4 if name in FUSION else 1
    network = small(name)
    structure = read_structure(network, (32, 64), scale=scale)
    assert sum(node.parameters for node in structure.nodes) == structure.parameters == network.count_params()
    for picture, width in structure.receptive_field.items():
        factor = 4 if picture == "hr_msi" else 1
        assert isinstance(width, int) and width < 32 * factor
        assert looked_at(network, picture, 16 if name in FUSION else 24, scale=4) == width


@pytest.mark.parametrize(
    ("name", "parameters", "width", "work"),
    [
        # 20 convolutions 3 x 3 of 64 filters.
        ("vdsr", 640 + 18 * 36928 + 577, 41, 576 + 18 * 36864 + 576),
        # 9 x 9 of 64 filters, 1 x 1 of 32, 5 x 5 of one.
        ("srcnn", (81 * 64 + 64) + (64 * 32 + 32) + (25 * 32 + 1), 13, 81 * 64 + 64 * 32 + 25 * 32),
        # 12 convolutions 3 x 3 of 128 filters on 16 channels, the last of 16, and the code of 441 x 15 + 441;
        # 16 estimated pixels for each one that they work on.
        (
            "srmdnf",
            (9 * 16 * 128 + 128) + 10 * (9 * 128 * 128 + 128) + (9 * 128 * 16 + 16) + 441 * 16,
            25,
            9 * (16 * 128 + 10 * 128 * 128 + 128 * 16) // 16,
        ),
    ],
)
def test_published_networks_have_the_sizes_of_their_papers(
    name: str, parameters: int, width: int, work: int
) -> None:
    spec = ImageSpec(None if name in ALIKE else 4)
    structure = read_structure(methods.get(name).build(spec), (64, 128))
    assert structure.parameters == parameters
    assert structure.receptive_field == {"lr_image": width}
    assert structure.multiply_adds == work


def test_a_layer_that_is_called_again_is_counted_once_and_works_twice() -> None:
    x = keras.Input((None, None, 2), name="lr_image")
    conv = layers.Conv2D(2, 3, padding="same", name="conv")
    network = keras.Model({"lr_image": x}, {"estimate": conv(conv(x))})
    structure = read_structure(network, (8, 16))
    assert [node.parameters for node in structure.nodes] == [0, 38, 0]
    assert structure.nodes[2].is_again
    assert structure.multiply_adds == 2 * 36
    assert structure.receptive_field == {"lr_image": 5}


def test_averages_look_at_the_whole_picture_and_unknown_layers_say_so() -> None:
    x = keras.Input((None, None, 2), name="lr_image")
    gate = layers.Dense(2, name="gate")(layers.GlobalAveragePooling2D(keepdims=True)(x))
    unknown = layers.ZeroPadding2D()(x)
    network = keras.Model({"lr_image": x}, {"estimate": x * gate, "padded": unknown})
    structure = read_structure(network, (8, 16))
    assert structure.receptive_field == {"lr_image": WHOLE}
    assert structure.nodes[structure.outputs["padded"]].receptive_field == {"lr_image": None}
    assert size_words(structure.nodes[structure.outputs["padded"]].size, structure) == "10 x 18 x 2"
    assert (structure.multiply_adds, structure.multiply_adds_once) == (0, 4)
    assert all(structure.nodes[number].name != "zero_padding2d" for number in structure.needed)


def test_halves_and_multiples_are_named() -> None:
    structure = read_structure(small("ms_ssfnet"), (32, 64), scale=4)
    sizes = {node.name: size_words(node.size, structure) for node in structure.nodes}
    assert sizes["hr_msi"] == "4h x 4w x 3" and sizes["enlarge_1"] == "2h x 2w x 2"
    predictor = methods.get("kbpn").build(ImageSpec(4), num_modules=1, features=2)
    structure = read_structure(predictor, (64, 128))
    assert "h/2 x w/2 x 2" in {size_words(node.size, structure) for node in structure.nodes}


@pytest.mark.parametrize(
    ("name", "options", "num_stages"),
    [
        ("kbpn", {"num_modules": 2, "features": 2}, 3),
        ("ikc", {"num_corrections": 2, "num_blocks": 1, "features": 2}, 3),
    ],
)
def test_the_stages_of_a_blind_network_end_with_its_kernel(
    name: str, options: dict[str, Any], num_stages: int
) -> None:
    network = methods.get(name).build(ImageSpec(4), **options)
    given = {"lr_image": np.random.default_rng(3).random((1, 8, 9, 1), np.float32)}
    model = kernel_stages(network)
    assert model is not None
    stages = model(given)
    assert sorted(stages) == [f"stage_{i}" for i in range(num_stages)]
    last = ops.convert_to_numpy(network(given)["kernel"])
    np.testing.assert_allclose(stages[f"stage_{num_stages - 1}"], last, atol=1e-6)
    first = ops.convert_to_numpy(network(given)["kernel_middle"])
    np.testing.assert_allclose(stages["stage_1" if name == "kbpn" else "stage_0"], first, atol=1e-6)
    for kernel in stages.values():
        np.testing.assert_allclose(ops.sum(kernel), 1, atol=1e-4)


def test_networks_that_find_no_kernel_have_no_stages() -> None:
    assert kernel_stages(small("srcnn")) is None
