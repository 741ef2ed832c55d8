"""Weights and receptive fields of every network, against numbers worked by hand from the papers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from hsr_tf import methods
from hsr_tf.networks import dbpn, ikc, kbpn, srresnet
from hsr_tf.networks.cards import FusionConfig, ImageSpec, shipped_models
from hsr_tf.networks.fusion_model import network_spec
from hsr_tf.networks.image_network import ImageNetwork
from hsr_tf.networks.layers import FusionNetwork, NetworkSpec
from hsr_tf.networks.pretrained import load_image_network

TAPS, CODE = 441, 10  # of a kernel of 21 x 21, and numbers of IKC's code
CODE_LAYER = TAPS + TAPS * CODE  # mean and basis, stored but not trained


def conv(size: int, given: int, made: int) -> int:
    """Weights of a convolution with its biases."""
    return size**2 * given * made + made


def sft(features: int, condition: int, hidden: int, made: int | None = None) -> int:
    """Two branches of two 3x3 convolutions on features and condition."""
    return 2 * (conv(3, features + condition, hidden) + conv(3, hidden, made or features))


def unit(scale: int, features: int, slopes: int) -> int:
    """A projection unit of DBPN: three convolutions of filter s + 4, each with a PReLU."""
    return 3 * (conv(scale + 4, features, features) + slopes)


def first(channels: int, features: int, slopes: tuple[int, int]) -> int:
    """The first features of DBPN and KBPN."""
    return conv(3, channels, 4 * features) + conv(1, 4 * features, features) + sum(slopes)


def of_dbpn(
    scale: int, channels: int, features: int, stages: int, *, dense: bool = False, one_slope: bool = False
) -> int:
    """T up- and T - 1 down-projections, 1x1 convolutions of 2 to T - 1 features for all of the dense ones."""
    slopes = 1 if one_slope else features
    units = (2 * stages - 1) * unit(scale, features, slopes)
    joins = 2 * sum(conv(1, n * features, features) + slopes for n in range(2, stages)) if dense else 0
    wide = (1, 1) if one_slope else (4 * features, features)
    return first(channels, features, wide) + units + joins + conv(3, stages * features, channels)


def of_predictor(channels: int, features: int, made: int, last: int) -> int:
    """IKC's six convolutions."""
    return conv(5, channels, features) + 4 * conv(5, features, features) + conv(last, features, made)


def of_kbpn(
    scale: int, channels: int, features: int, modules: int, *, extension: str = "", last: int = 5
) -> int:
    """Figures 1 to 3 of the paper, one module after the other."""
    total = first(channels, features, (4 * features, features))
    total += of_predictor(channels, features, TAPS, last)
    for t in range(1, modules + 1):
        total += unit(scale, features, features) + conv(3, t * features, channels)
        total += conv(scale + 4, t * features, features) + 2 * (conv(1, features, features) + features)
        total += conv(1, features + TAPS, TAPS)
    between = unit(scale, features, features) + sft(features, channels, features)
    between += {
        "": 0,
        "kernel_sft": conv(1, TAPS, features) + sft(features, features, features),
        "full_kernel_sft": sft(features, TAPS, features),
        "diff_kernel": sft(features, channels, features),
        "diff_sft": sft(TAPS, channels, features),
        "diff_product": 0,
    }[extension]
    return total + (modules - 1) * between


def of_sft_md(channels: int, features: int, blocks: int, code: int = CODE) -> int:
    """SFT-MD at x4: hidden layers of its transforms have half the features."""
    transform = sft(features, code, features // 2)
    block = 2 * transform + 2 * conv(3, features, features)
    total = conv(3, channels, features) + 2 * conv(3, features, features) + blocks * block + transform
    total += conv(3, features, features) + 2 * conv(3, features, 4 * features)
    return total + conv(9, features, channels)


def of_ikc(channels: int, features: int, blocks: int) -> int:
    """Predictor, SFT-MD, corrector of seven convolutions, dense layers and 1x1 convolutions, and the code."""
    corrector = conv(5, channels, features) + 6 * conv(5, features, features)
    corrector += conv(1, CODE, features) + conv(1, features, features)
    both = 2 * features
    corrector += conv(1, both, both) + conv(1, both, features) + conv(1, features, CODE)
    predictor = of_predictor(channels, features, CODE, 5)
    return predictor + of_sft_md(channels, features, blocks) + corrector + CODE_LAYER


def of_ms_ssfnet(num_scales: int, features: int, heads: int = 2) -> int:
    """S + 1 spectral and S spatial blocks, 31 bands, RGB, PReLU."""

    def block(given: int) -> int:
        return conv(3, given, features) + conv(3, features, features) + 2 * features

    spectral = block(31) + num_scales * block(2 * features)
    spatial = block(3) + (num_scales - 1) * block(features)
    return spectral + spatial + num_scales * conv(4, features, features) + heads * conv(3, features, 31)


WIDE = conv(3, 64, 64)
KBPN_FORMS = [
    ((), ""),
    (("full_kernel_sft",), "full_kernel_sft"),
    (("kernel_sft",), "kernel_sft"),
    (("diff_sft",), "diff_sft"),
]
SMALL: list[tuple[str, ImageSpec, dict[str, Any], int]] = [
    ("dbpn", ImageSpec(4), {"num_stages": 4, "features": 4}, of_dbpn(4, 1, 4, 4)),
    (
        "dbpn",
        ImageSpec(2),
        {"num_stages": 4, "features": 4, "dense": True, "one_slope": True},
        of_dbpn(2, 1, 4, 4, dense=True, one_slope=True),
    ),
    *(
        (
            "kbpn",
            ImageSpec(2, num_channels=3),
            {"num_modules": 2, "features": 4, "extensions": names, "published_layers": True},
            of_kbpn(2, 3, 4, 2, extension=name),
        )
        for names, name in KBPN_FORMS
    ),
    (
        "ikc",
        ImageSpec(4, num_channels=3),
        {"num_corrections": 1, "num_blocks": 1, "features": 4, "published_layers": True},
        of_ikc(3, 4, 1),
    ),
    ("vdsr", ImageSpec(None), {}, conv(3, 1, 64) + 18 * WIDE + conv(3, 64, 1)),
    ("srcnn", ImageSpec(None), {}, 8_129),
    ("srcnn", ImageSpec(None), {"sizes": (9, 5, 5)}, 57_281),
    ("srcnn_cab", ImageSpec(4), {}, 57_281 + conv(1, 15, 64) + conv(1, 64, 128) + 16 * TAPS),
    (
        "srmdnf",
        ImageSpec(4, num_channels=3),
        {},
        conv(3, 18, 128) + 10 * conv(3, 128, 128) + conv(3, 128, 48) + 16 * TAPS,
    ),
]


PUBLISHED: list[tuple[str, ImageSpec, dict[str, Any], int]] = [
    # The authors' programs count the same: three channels, x4.
    ("dbpn", ImageSpec(4, num_channels=3), dbpn.PUBLISHED, 10_426_358),
    ("dbpn", ImageSpec(4, num_channels=3), dbpn.PUBLISHED_LARGE, 15_348_302),
    ("kbpn", ImageSpec(4, num_channels=3), kbpn.PUBLISHED, of_kbpn(4, 3, 64, 10)),
    (
        "kbpn",
        ImageSpec(4, num_channels=3),
        kbpn.PUBLISHED_SFT,
        of_kbpn(4, 3, 64, 10, extension="full_kernel_sft"),
    ),
    ("ikc", ImageSpec(4, num_channels=3), ikc.PUBLISHED, of_ikc(3, 64, 16)),
    ("srresnet_sft", ImageSpec(4, num_channels=3), srresnet.PUBLISHED, of_sft_md(3, 64, 16) + CODE_LAYER),
    (
        "srresnet_concat",
        ImageSpec(4, num_channels=3),
        {},
        conv(9, 13, 64) + 33 * WIDE + 2 * conv(3, 64, 256) + conv(9, 64, 3) + CODE_LAYER,
    ),
]
# Widths 96, 96, 64, 64 from cells of 8 pixels to pixels, transposed convolutions 2x2, no slopes to learn:
# the spectral pathway, the enlargements, the spatial pathway, the head.
PRIOR = (
    conv(3, 62, 96) + conv(3, 192, 96) + 2 * conv(3, 96, 96) + 2 * (conv(3, 128, 64) + WIDE)
    + conv(2, 96, 96) + conv(2, 96, 64) + conv(2, 64, 64)
    + conv(3, 34, 64) + 3 * WIDE + conv(3, 64, 96) + conv(3, 96, 96)
    + conv(3, 64, 31)
)  # fmt: skip
FUSION: list[tuple[str, int, int]] = [
    ("ssf_cnn", 16, conv(9, 34, 64) + conv(1, 64, 32) + conv(5, 32, 31)),
    ("ssf_resnet", 16, conv(3, 34, 64) + 10 * WIDE + conv(3, 64, 31)),
    ("spectral_resnet", 16, conv(3, 3, 64) + 10 * WIDE + conv(3, 64, 31)),
    ("dhsis", 16, conv(3, 31, 64) + 14 * WIDE + conv(3, 64, 31)),
    ("ms_ssfnet", 16, of_ms_ssfnet(4, 64)),
    ("ms_ssfnet", 8, of_ms_ssfnet(3, 64)),
    ("prior", 8, PRIOR),
    ("prior", 3, PRIOR),
]


@pytest.mark.parametrize(
    ("method", "spec", "options", "weights"),
    [*SMALL, *(pytest.param(*case, marks=pytest.mark.slow) for case in PUBLISHED)],
)
def test_networks_of_single_pictures_have_the_weights_worked_by_hand(
    method: str, spec: ImageSpec, options: dict[str, Any], weights: int
) -> None:
    assert methods.get(method).build(spec, **options).count_params() == weights


@pytest.mark.parametrize(("method", "scale", "weights"), FUSION)
def test_fusion_networks_have_the_weights_worked_by_hand(method: str, scale: int, weights: int) -> None:
    spec = network_spec(FusionConfig(method, scale, 31))
    assert methods.get(method).build(spec).count_params() == weights


@pytest.mark.slow
def test_the_shipped_kbpn_has_the_weights_of_its_form() -> None:
    (folder,) = [card.folder for card in shipped_models("image_network") if card.folder.name == "kbpn_x4"]
    expected = of_kbpn(4, 1, 24, 4, extension="kernel_sft", last=3)
    assert load_image_network(folder).count_params() == expected == 2_319_709


def test_every_network_is_counted() -> None:
    counted = {case[0] for case in [*SMALL, *PUBLISHED, *FUSION]}
    assert counted == {*methods.names("image_network"), *methods.names("network")}


# Coarse pixels beyond its own that the s x s pixels of one cell see on each side. DBPN x4: first convolution
# 1; a sharp pixel sees 1 coarse pixel further on its own side, a reduction and an enlargement together add 1,
# so that a stage adds 3: 1 + 3 (T - 1) before the last up-projection, which adds 2. At x2 every sharp pixel
# sees both sides: 3 for either projection, and the last 3x3 convolution 1. A sharp pixel of a bicubic
# enlargement sees 2; the eight sharp pixels of SRCNN's 9-5-5 are 2 coarse ones at x4.
FIELDS: list[tuple[str, int | None, dict[str, Any], int]] = [
    ("vdsr", None, {"features": 8}, 20),
    ("srcnn", None, {}, 4 + 0 + 2),
    ("srcnn", None, {"sizes": (9, 5, 5)}, 4 + 2 + 2),
    ("srcnn_cab", 4, {}, 2 + 2),
    ("srmdnf", 4, {"features": 8}, 12),
    ("srresnet_concat", 4, {"num_blocks": 2, "features": 4}, 4 + 2 * 2 + 1 + 1 + 2),
    (
        "srresnet_sft",
        2,
        {"num_blocks": 1, "features": 4, "published_layers": True},
        3 + 6 * 1 + 2 + 1 + 1 + 2,
    ),
    ("dbpn", 4, {"num_stages": 3, "features": 4, "dense": True, "one_slope": True}, 3 * 3),
]
PUBLISHED_FIELDS: list[tuple[str, int | None, dict[str, Any], int]] = [
    ("dbpn", 4, {"num_stages": 3, "features": 4, "residual": False}, 3 * 3),
    ("dbpn", 2, {"num_stages": 2, "features": 4}, 6 * 2 - 1),
    ("dbpn", 3, {"num_stages": 2, "features": 4}, 6 * 2 - 2),
    ("srresnet_concat", 4, {"features": 4}, 40),
    # Of sixteen blocks, 105, the gradient of the outer pixels is too small for float32.
    ("srresnet_sft", 4, {**srresnet.PUBLISHED, "num_blocks": 4, "features": 4}, 33),
    ("dbpn", 4, {**dbpn.PUBLISHED, "features": 4}, 21),
    ("dbpn", 4, {**dbpn.PUBLISHED_LARGE, "features": 4}, 30),
    ("dbpn", 8, {**dbpn.PUBLISHED, "features": 4}, 21),
]


@pytest.mark.parametrize(
    ("method", "scale", "options", "field"),
    [*FIELDS, *(pytest.param(*case, marks=pytest.mark.slow) for case in PUBLISHED_FIELDS)],
)
def test_networks_of_single_pictures_look_as_far_as_worked_by_hand(
    method: str, scale: int | None, options: dict[str, Any], field: int
) -> None:
    network = methods.get(method).build(ImageSpec(scale), **options)
    assert isinstance(network, ImageNetwork)
    assert network.reach == field
    rows = 2 * field + 5
    views = {"lr_image": random_image(rows, 3, 1)}
    if "kernel" in network.input:
        views["kernel"] = tf.ones((1, 21, 21)) / TAPS
    assert seen_of_cell(network, views, "lr_image", scale or 1, field + 2) == (2, 2 * field + 2)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["ikc", "kbpn"])
def test_blind_networks_look_at_the_whole_picture(method: str) -> None:
    small = {"ikc": {"num_corrections": 1, "num_blocks": 1}, "kbpn": {"num_modules": 2}}[method]
    network = methods.get(method).build(ImageSpec(2), features=4, **small)
    assert network.reach is None
    views = {"lr_image": random_image(61, 3, 1)}
    assert seen_of_cell(network, views, "lr_image", 2, 30) == (0, 60)


# Sharp pixels of hr_msi and coarse ones of lr_hsi beyond its own cell. MS-SSFNet x16: 3 pixels at the finest
# size; each transposed convolution of 4 taps sees one pixel further and each block 2: 5 coarse pixels. By the
# coarsest stack, Y: 5 + 2 pixels of size 8, then 2 pixels of each finer size: ((7 * 2 + 2) * 2 + 2) * 2 + 2.
FUSION_FIELDS = [
    ("ssf_cnn", 4, {}, 6, 2 + 1),  # six sharp pixels end in the nearer half of a cell, which sees 1 further
    ("ssf_resnet", 4, {"features": 8}, 12, 3 + 2),
    ("spectral_resnet", 4, {"features": 8}, 12, None),
    ("dhsis", 4, {"features": 8}, 16, 4 + 2),
    ("ms_ssfnet", 16, {"features": 8}, 70, 5),
]


@pytest.mark.parametrize(("method", "scale", "options", "sharp", "coarse"), FUSION_FIELDS)
def test_fusion_networks_look_as_far_as_worked_by_hand(
    method: str, scale: int, options: dict[str, Any], sharp: int, coarse: int | None
) -> None:
    network = methods.get(method).build(NetworkSpec(scale, 4, 4), **options)
    assert isinstance(network, FusionNetwork)
    margin = max(-(-sharp // scale), coarse or 0) + 1
    cells = 2 * margin + 1
    views = {"lr_hsi": random_image(cells, 2, 4), "hr_msi": random_image(cells * scale, 2 * scale, 3)}
    start = margin * scale
    found = seen_of_cell(network, views, "hr_msi", scale, margin)
    assert found == (start - sharp, start + scale - 1 + sharp)
    if coarse is not None:
        found = seen_of_cell(network, views, "lr_hsi", scale, margin)
        assert found == (margin - coarse, margin + coarse)


def random_image(rows: int, columns: int, channels: int) -> tf.Tensor:
    return tf.random.stateless_uniform((1, rows, columns, channels), (rows, channels))


def seen_of_cell(
    network: Any, views: dict[str, tf.Tensor], name: str, scale: int, cell: int
) -> tuple[int, int]:
    """First and last row of an input that the estimate's rows of one cell depend on."""
    with tf.GradientTape() as tape:
        tape.watch(views[name])
        rows = network(views)["estimate"][0, scale * cell : scale * (cell + 1)]
        loss = tf.reduce_sum(rows * tf.random.stateless_normal(rows.shape, (3, 4)))
    gradient = tape.gradient(loss, views[name])
    rows_seen = np.flatnonzero(np.abs(gradient[0]).max((1, 2)))
    return int(rows_seen[0]), int(rows_seen[-1])
