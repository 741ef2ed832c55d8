"""VDSR and SRCNN: the published layout, the numbers of an independent convolution, reach and borders."""

from __future__ import annotations

import numpy as np
import pytest
from keras import ops
from scipy.signal import correlate2d

from hsr_tf.networks.image_network import ImageNetwork, ImageSpec
from hsr_tf.networks.srcnn import SIZES, SRCNN
from hsr_tf.networks.vdsr import VDSR

PICTURE = np.random.default_rng(2).random((1, 13, 17, 1)).astype(np.float32)


def estimate(network: ImageNetwork, picture: np.ndarray) -> np.ndarray:
    return ops.convert_to_numpy(network({"lr_image": ops.convert_to_tensor(picture)})["estimate"])


def by_scipy(network: ImageNetwork, picture: np.ndarray) -> np.ndarray:
    """One convolution after the other in double precision, zeros outside, ReLU after all but the last."""
    convolutions = [layer.get_weights() for layer in network.layers if layer.name.startswith("conv")]
    x = picture[0].astype(np.float64)
    for i, (kernel, bias) in enumerate(convolutions):
        maps = [
            sum(correlate2d(x[..., c], kernel[..., c, f], mode="same") for c in range(x.shape[-1]))
            for f in range(kernel.shape[-1])
        ]
        x = np.stack(maps, -1) + bias
        if i < len(convolutions) - 1:
            x = np.maximum(x, 0)
    return x[None]


def with_biases(network: ImageNetwork) -> ImageNetwork:
    rng = np.random.default_rng(3)
    for weight in network.weights:
        if weight.path.endswith("bias"):
            weight.assign(rng.normal(0, 0.1, weight.shape))
    return network


def test_vdsr_is_what_it_adds_to_the_enlarged_picture() -> None:
    network = with_biases(VDSR(ImageSpec(None), depth=5, features=6))
    detail = by_scipy(network, PICTURE)
    assert np.abs(detail).max() > 0.05
    np.testing.assert_allclose(estimate(network, PICTURE), PICTURE + detail, atol=2e-6)


@pytest.mark.parametrize("sizes", SIZES)
def test_srcnn_is_three_convolutions(sizes: tuple[int, ...]) -> None:
    network = with_biases(SRCNN(ImageSpec(None), sizes=sizes, features=(5, 4)))
    np.testing.assert_allclose(estimate(network, PICTURE), by_scipy(network, PICTURE), atol=2e-6)


def test_the_published_sizes_have_the_published_weights() -> None:
    assert VDSR(ImageSpec(None)).count_params() == 9 * 64 + 64 + 18 * (9 * 64 * 64 + 64) + 9 * 64 + 1
    assert SRCNN(ImageSpec(None)).count_params() == 81 * 64 + 64 + 64 * 32 + 32 + 25 * 32 + 1
    assert SRCNN(ImageSpec(None), sizes=(9, 5, 5)).count_params() == 57281


def test_with_a_head_of_zero_vdsr_starts_at_the_enlarged_picture() -> None:
    network = VDSR(ImageSpec(None, zero_head=True), depth=3, features=4)
    np.testing.assert_array_equal(estimate(network, PICTURE), PICTURE)


@pytest.mark.parametrize("depth", [5, 9])
def test_a_deeper_vdsr_made_of_a_shallow_one_answers_the_same(depth: int) -> None:
    shallow = with_biases(VDSR(ImageSpec(None), depth=4, features=6))
    deeper = shallow.in_form_of(VDSR(ImageSpec(None), depth=depth, features=6))
    assert deeper.depth == depth
    np.testing.assert_allclose(estimate(deeper, PICTURE), estimate(shallow, PICTURE), atol=1e-6)
    assert shallow.in_form_of(VDSR(ImageSpec(None), depth=3, features=6)) is shallow
    assert shallow.in_form_of(SRCNN(ImageSpec(None))) is shallow


def test_from_the_identity_the_inner_convolutions_nearly_hand_their_input_on() -> None:
    network = VDSR(ImageSpec(None, init="identity", seed=3), depth=6, features=8)
    inner = [network.get_layer(f"conv{i}").kernel.numpy() for i in range(2, 6)]
    for kernel in inner:
        beside = kernel - np.pad(np.eye(8)[None, None], ((1, 1), (1, 1), (0, 0), (0, 0)))
        assert beside.std() == pytest.approx(0.1 * np.sqrt(2 / 72), rel=0.15)
    assert np.abs(inner[0] - inner[1]).max() > 0
    assert network.get_layer("conv1").kernel.numpy().std() == pytest.approx(np.sqrt(2 / 9), rel=0.25)


@pytest.mark.parametrize(
    "network",
    [VDSR(ImageSpec(None), depth=4, features=6), SRCNN(ImageSpec(None, init="he"), features=(6, 4))],
    ids=["vdsr", "srcnn"],
)
def test_a_pixel_looks_as_far_as_the_reach_says_and_no_further(network: ImageNetwork) -> None:
    picture = np.random.default_rng(4).random((1, 31, 33, 1)).astype(np.float32)
    changed = picture.copy()
    changed[0, 15, 16] += 1.0
    difference = np.abs(estimate(network, changed) - estimate(network, picture))[0, ..., 0]
    rows, columns = np.nonzero(difference > 1e-7)
    assert network.reach is not None
    assert (rows.min(), rows.max()) == (15 - network.reach, 15 + network.reach)
    assert (columns.min(), columns.max()) == (16 - network.reach, 16 + network.reach)


@pytest.mark.parametrize("build", [VDSR, SRCNN])
def test_mixed_precision_keeps_the_picture_in_float32(build) -> None:
    network = build(ImageSpec(None, dtype="mixed_bfloat16"))
    assert network.outputs[0].dtype == "float32"
    hidden = network.get_layer("conv1")
    assert hidden.compute_dtype == "bfloat16"


def test_published_start_of_srcnn() -> None:
    kernel, bias = SRCNN(ImageSpec(None, init="gaussian_0.001")).get_layer("conv1").get_weights()
    assert kernel.std() == pytest.approx(0.001, rel=0.05)
    assert not bias.any()


@pytest.mark.parametrize(
    ("build", "options", "said"),
    [
        (VDSR, {"depth": 1}, "depth: expected at least 2"),
        (SRCNN, {"sizes": (9, 2, 5)}, "sizes, features: expected three odd"),
        (SRCNN, {"features": (64,)}, "sizes, features: expected three odd"),
    ],
)
def test_other_layouts_are_refused(build, options: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        build(ImageSpec(None), **options)


@pytest.mark.parametrize("build", [VDSR, SRCNN])
def test_a_scale_is_refused_as_the_enlargement_comes_first(build) -> None:
    with pytest.raises(ValueError, match="scale: expected None"):
        build(ImageSpec(2))
