"""What every network of single images in the registry must do."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from hsr_tf import methods
from hsr_tf.networks.cards import ImageConfig
from hsr_tf.networks.image_layers import BlindNetwork
from hsr_tf.networks.image_network import ImageNetwork, build_network
from hsr_tf.networks.pretrained import load_image_network, save_model

NETWORKS = methods.names("image_network")
SMALL: dict[str, dict[str, Any]] = {
    "dbpn": {"num_stages": 3, "features": 4, "dense": True, "one_slope": True},
    "ikc": {"num_corrections": 1, "num_blocks": 1, "features": 4},
    "kbpn": {
        "num_modules": 3,
        "features": 4,
        "extensions": ("full_kernel_sft", "diff_sft", "cell_kernels"),
        "published_layers": True,
    },
    "srcnn": {"features": (8, 4)},
    "srmdnf": {"depth": 3, "features": 8},
    "srresnet_concat": {"num_blocks": 2, "features": 4},
    "srresnet_sft": {"num_blocks": 1, "features": 4, "published_layers": True},
    "vdsr": {"depth": 3, "features": 8},
}
# Other forms of the same networks, METHOD:FORM.
FORMS: dict[str, dict[str, Any]] = {
    "dbpn:plain": {"num_stages": 2, "features": 4},
    "ikc:published": {"num_corrections": 1, "num_blocks": 1, "features": 4, "published_layers": True},
    "kbpn:older": {"num_modules": 3, "features": 4, "extensions": ("kernel_sft", "diff_kernel")},
    "kbpn:product": {"num_modules": 3, "features": 4, "extensions": ("diff_product",), "residual": False},
    "srresnet_sft:older": {"num_blocks": 1, "features": 4},
}
KEEPING_SIZE = {"srcnn", "vdsr"}
EXPORTED_SLOWLY = {"dbpn", "ikc", "kbpn"}
PICTURES = (((5, 8), 2), ((2, 3), 1))  # their sizes, and how many
every_network = pytest.mark.parametrize(
    "method", [*NETWORKS, *(pytest.param(form, marks=pytest.mark.slow) for form in FORMS)]
)


def options_of(form: str) -> dict[str, Any]:
    """Small options of a method, or of one of its other forms."""
    return {**SMALL, **FORMS}.get(form, {})


def small(form: str, **spec: Any) -> ImageNetwork:
    """A small network of scale 2, or without one."""
    method = form.partition(":")[0]
    scale = None if method in KEEPING_SIZE else 2
    return build_network(
        ImageConfig.from_json({"method": method, "scale": scale, **spec, "options": options_of(form)})
    )


@lru_cache(maxsize=16)
def built(method: str) -> ImageNetwork:
    """A small network, shared by the tests, which do not change it."""
    return small(method)


@lru_cache(maxsize=16)
def mixed(method: str) -> ImageNetwork:
    """One of other weights as it is trained in mixed precision."""
    return small(method, seed=1, dtype="mixed_bfloat16")


@lru_cache(maxsize=16)
def lean(method: str) -> ImageNetwork:
    """That one as it is used."""
    return mixed(method).for_inference()


def inputs_of(network: ImageNetwork, size: tuple[int, int], batch: int = 2) -> dict[str, tf.Tensor]:
    """A random picture and, where the network wants one, a kernel without symmetry."""
    rng = np.random.default_rng(sum(size))
    views = {"lr_image": rng.random((batch, *size, network.spec.num_channels))}
    if "kernel" in network.input:
        kernels = rng.random((batch, 21, 21)) ** 4
        views["kernel"] = kernels / kernels.sum((1, 2), keepdims=True)
    return {name: tf.constant(view, tf.float32) for name, view in views.items()}


@every_network
def test_estimate_and_kernel_have_their_sizes_for_any_picture(method: str) -> None:
    network, scale = built(method), built(method).spec.scale or 1
    for size, batch in PICTURES:
        outputs = network(inputs_of(network, size, batch))
        assert tuple(outputs["estimate"].shape) == (batch, scale * size[0], scale * size[1], 1)
        for name, output in outputs.items():
            assert output.dtype == tf.float32, name
        if isinstance(network, BlindNetwork):
            assert tuple(outputs["kernel"].shape) == (batch, 21, 21)
            assert np.min(outputs["kernel"]) >= 0
            np.testing.assert_allclose(np.sum(outputs["kernel"], (1, 2)), 1, atol=1e-4)


# The others are compiled for unknown sizes by their exports: tests/export/test_saved_model.py.
@pytest.mark.parametrize(
    "method",
    [pytest.param(m, marks=[pytest.mark.slow] * (m not in EXPORTED_SLOWLY)) for m in (*NETWORKS, *FORMS)],
)
def test_compiled_for_any_picture_it_answers_the_same(method: str) -> None:
    network = built(method)
    specs = {name: tf.TensorSpec(tensor.shape, tf.float32) for name, tensor in network.input.items()}
    compiled = tf.function(network, input_signature=[specs], autograph=False)
    for size, batch in PICTURES:
        views = inputs_of(network, size, batch)
        outputs, expected = compiled(views), network(views)
        for name, output in outputs.items():
            np.testing.assert_allclose(output, expected[name], atol=1e-4, err_msg=name)


@every_network
def test_the_registry_knows_what_it_is_told(method: str) -> None:
    network = built(method)
    needs = methods.get(method.partition(":")[0]).needs
    assert ("kernel" in needs) == ("kernel" in network.input)
    assert "weights" in needs
    assert ("kernel" in network.output) == isinstance(network, BlindNetwork)


@every_network
def test_the_outputs_have_a_gradient_in_every_weight(method: str) -> None:
    network, rng = built(method), np.random.default_rng(1)
    with tf.GradientTape() as tape:
        outputs = network(inputs_of(network, (6, 7)))
        loss = sum(tf.reduce_sum(x * rng.standard_normal(x.shape)) for x in outputs.values())
    variables = [weight.value for weight in network.trainable_weights]
    for weight, gradient in zip(network.trainable_weights, tape.gradient(loss, variables), strict=True):
        assert gradient is not None, weight.path
        assert np.isfinite(gradient).all(), weight.path
        assert np.abs(gradient).max() > 0, weight.path


@every_network
def test_a_saved_network_comes_back_with_equal_outputs(method: str, tmp_path: Path) -> None:
    save_model(lean(method), tmp_path / "model", {"seed": 1})
    loaded, views = load_image_network(tmp_path / "model"), inputs_of(lean(method), (4, 5))
    assert loaded.spec == lean(method).spec
    found, expected = loaded(views), lean(method)(views)
    assert found.keys() == expected.keys()
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


@every_network
def test_the_lean_network_estimates_the_same_in_float32(method: str) -> None:
    views = inputs_of(lean(method), (6, 5))
    assert {weight.dtype for weight in mixed(method).weights} == {"float32"}
    assert set(lean(method).output) <= {"estimate", "kernel", "kernel_map"}
    trained = mixed(method)(views)
    for name, expected in lean(method)(views).items():
        assert trained[name].dtype == tf.float32
        difference = np.abs(trained[name] - expected).max()
        assert 0 < difference < 0.05 * max(1.0, np.abs(expected).max()), name


@every_network
def test_the_seed_decides_the_weights(method: str) -> None:
    first, again, other = (
        [weight.numpy() for weight in network.trainable_weights]
        for network in (built(method), small(method), mixed(method))
    )
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert all((a != b).any() for a, b in zip(first, other, strict=True) if a.std() > 0)
    drawn = [a for a in first if a.ndim > 1 and a.std() > 0]
    assert len({a.tobytes() for a in drawn}) == len(drawn)


@every_network
def test_an_estimated_pixel_looks_no_further_than_the_network_says(method: str) -> None:
    network, scale = built(method), built(method).spec.scale or 1
    if network.reach is None:
        assert isinstance(network, BlindNetwork)
        return
    middle = network.reach + 1
    views = inputs_of(network, (2 * middle + 1, 3), 1)
    with tf.GradientTape() as tape:
        tape.watch(views["lr_image"])
        rows = network(views)["estimate"][0, scale * middle : scale * (middle + 1)]
        loss = tf.reduce_sum(rows * np.random.default_rng(2).standard_normal(rows.shape))
    seen = np.abs(tape.gradient(loss, views["lr_image"])[0, :, :, 0]).max(1)
    assert seen[0] == seen[-1] == 0
    assert seen[middle] > 0


@pytest.mark.slow
@every_network
def test_colour_pictures_are_taken_too(method: str) -> None:
    network = small(method, num_channels=3)
    estimate = network(inputs_of(network, (4, 6)))["estimate"]
    scale = network.spec.scale or 1
    assert tuple(estimate.shape) == (2, 4 * scale, 6 * scale, 3)


@every_network
def test_a_scale_that_does_not_fit_is_refused(method: str) -> None:
    wrong, name = 2 if method in KEEPING_SIZE else None, method.partition(":")[0]
    with pytest.raises(ValueError, match="scale: expected"):
        build_network(ImageConfig.from_json({"method": name, "scale": wrong, "options": options_of(method)}))
