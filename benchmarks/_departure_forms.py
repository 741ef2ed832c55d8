"""The networks of `benchmarks.departures`: as they are built here, and with one departure undone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from keras import initializers, layers, ops

from hsr_tf.networks.image_layers import KernelEncode, SharedLayers
from hsr_tf.networks.image_network import KERNEL_SIZE, ImageNetwork, ImageSpec, picture_inputs
from hsr_tf.networks.layers import BicubicEnlarge, LayerMaker
from hsr_tf.networks.srcnn_cab import CODE_LENGTH, FEATURES, SIZES
from hsr_tf.typing import Tensor

AS_BUILT = "as built here"
NETWORKS = "hsr_tf.networks"
HE = 1.0  # in place of a tenth of He's deviation


@dataclass(frozen=True)
class Form:
    """One form of a network.

    Attributes:
        name: what differs from the form as built.
        options: of the network, beside those of its case.
        replaced: attributes of modules that have another value while the network is built.
        init, zero_head: of the specification; what is added to an enlargement starts at zero.
        through_fit: train a fusion network on the estimate after its fit to both images.
    """

    name: str = AS_BUILT
    options: Mapping[str, Any] = field(default_factory=dict)
    replaced: Mapping[str, Any] = field(default_factory=dict)
    init: str = "he"
    zero_head: bool = False
    through_fit: bool = False


@dataclass(frozen=True)
class Case:
    """A network, and how it is trained in all its forms.

    Attributes:
        method: its name in the registry.
        options: its size.
        forms: the first is the one that the others are compared with.
        scale: s.
        kernels: blur of the pictures; None for a fusion network.
        sigmas: Gaussian blurs of the pictures that are held back.
    """

    method: str
    options: Mapping[str, Any]
    forms: tuple[Form, ...]
    scale: int = 4
    kernels: str | None = "isotropic:0.2-4.0"
    sigmas: tuple[float, ...] = (0.2, 1.3, 2.6)


class NormalisedLayers(SharedLayers):
    """Batch normalisation after every convolution but the reconstruction."""

    def conv(
        self, x: Tensor, features: int, size: int, name: str, *, strides: int = 1, gain: float = 1.0
    ) -> Tensor:
        """The convolution, normalised."""
        x = super().conv(x, features, size, name, strides=strides, gain=gain)
        norm = f"{name}_norm"
        return self.once(norm, lambda: layers.BatchNormalization(momentum=0.9, name=norm))(x)


class OwnSlopes:
    """In the place of a ReLU that is called again and again: a PReLU of its own after every convolution."""

    def __init__(self, dtype: Any = None) -> None:
        self._dtype = dtype

    def __call__(self, x: Any) -> Tensor:
        """The PReLU, named after the convolution that it follows."""
        before = x._keras_history.operation
        while not isinstance(before, layers.Conv2D):
            before = before.input._keras_history.operation
        return layers.PReLU(
            initializers.Constant(0.25),
            shared_axes=(1, 2),
            dtype=self._dtype,
            name=f"{before.name}_prelu",
        )(x)


class FiltersOfTheCode(ImageNetwork):
    """SRCNN-CAB in another reading: a dense layer makes every tap of the first filters of the code."""

    def __init__(self, spec: ImageSpec, *, residual: bool = False) -> None:
        make, inputs = SharedLayers(spec), picture_inputs(spec, kernel_size=KERNEL_SIZE)
        code = KernelEncode(CODE_LENGTH, name="code")(inputs["kernel"])
        hidden = make.leaky(make.dense(code, FEATURES[0], "condition1"))
        taps = make.dense(hidden, SIZES[0] ** 2 * FEATURES[0], "condition2")
        taps = layers.Reshape((1, SIZES[0] ** 2, FEATURES[0]))(taps) / SIZES[0]
        x = BicubicEnlarge(spec.scale or 1, dtype="float32")(inputs["lr_image"])
        own = make.conv(x, FEATURES[0], SIZES[0], "conv1")
        windows = ops.image.extract_patches(x, SIZES[0], strides=1, padding="same")
        x = layers.ReLU()(own + ops.matmul(windows, taps))
        x = layers.ReLU()(make.conv(x, FEATURES[1], SIZES[1], "conv2"))
        estimate = make.reconstruct(x, inputs["lr_image"], "conv3", residual=residual, size=SIZES[2])
        super().__init__(
            spec, inputs, outputs={"estimate": estimate}, options={"residual": residual}, reach=None
        )


def _shuffled_at_once(scale: int) -> list[int]:
    return [scale]


def _started_head(make: LayerMaker, x: Tensor, num_bands: int, name: str, *, size: int = 3) -> Tensor:
    """`LayerMaker.head` that never starts at zero."""
    start = make.initializer()
    return layers.Conv2D(num_bands, size, padding="same", kernel_initializer=start, name=name)(x)


RESIDUAL = Form("bicubic enlargement added", {"residual": True}, zero_head=True)
NO_RESIDUAL = Form("bicubic enlargement not added", {"residual": False})
SMALL_SIZE = {"num_blocks": 4, "features": 16}
CASES = {
    "dbpn": Case(
        "dbpn",
        {"num_stages": 3, "features": 16},
        (
            Form(zero_head=True),
            Form(
                "corrections at He's deviation",
                replaced={f"{NETWORKS}.image_layers.SMALL": HE},
                zero_head=True,
            ),
            NO_RESIDUAL,
            Form("one slope per PReLU", {"one_slope": True}, zero_head=True),
        ),
        kernels="isotropic:0.2-0.21",  # of no consequence: DBPN is for pictures that are reduced without blur
        sigmas=(0.2,),
    ),
    "srcnn_cab": Case(
        "srcnn_cab",
        {},
        (
            Form(),
            Form("filters made by the code", replaced={f"{NETWORKS}.srcnn_cab.SRCNNCAB": FiltersOfTheCode}),
            RESIDUAL,
        ),
    ),
    "srmdnf": Case(
        "srmdnf",
        {"features": 32},
        (
            Form(),
            Form("batch normalisation", replaced={f"{NETWORKS}.srmdnf.SharedLayers": NormalisedLayers}),
            RESIDUAL,
        ),
    ),
    "srresnet_concat": Case(
        "srresnet_concat",
        SMALL_SIZE,
        (
            Form(),
            Form("second convolutions at He's deviation", replaced={f"{NETWORKS}.srresnet.SMALL": HE}),
            Form("PReLU", replaced={f"{NETWORKS}.srresnet.layers.ReLU": OwnSlopes}),
            RESIDUAL,
        ),
    ),
    "srresnet_sft": Case(
        "srresnet_sft",
        SMALL_SIZE,
        (
            Form(),
            Form("published_layers", {"published_layers": True}),
            Form("second convolutions at He's deviation", replaced={f"{NETWORKS}.srresnet.SMALL": HE}),
            Form(
                "and the transforms'",
                replaced={f"{NETWORKS}.srresnet.SMALL": HE, f"{NETWORKS}.image_layers.SMALL": HE},
            ),
            Form("gamma from 1 / 2", replaced={f"{NETWORKS}.image_layers.OPEN": 0.0}),
            RESIDUAL,
        ),
    ),
    "srresnet_sft x8": Case(
        "srresnet_sft",
        SMALL_SIZE,
        (
            Form(),
            Form(
                "one shuffle by 8",
                replaced={f"{NETWORKS}.image_layers.shuffle_factors": _shuffled_at_once},
            ),
        ),
        scale=8,
    ),
    "kbpn": Case(
        "kbpn",
        {"num_modules": 3, "features": 16},
        (
            Form("no extension", {"extensions": ()}),
            Form("diff_product", {"extensions": ("diff_product",)}),
            Form("diff_sft", {"extensions": ("diff_sft",)}),
            Form("kernel_sft", {"extensions": ("kernel_sft",)}),
        ),
    ),
    "dhsis": Case(
        "dhsis",
        {"features": 32},
        (
            Form(),
            Form(
                "last layer at He's deviation", replaced={f"{NETWORKS}.layers.LayerMaker.head": _started_head}
            ),
            Form("sees_msi", {"sees_msi": True}),
            Form("trained through step 3", through_fit=True),
        ),
        scale=8,
        kernels=None,
    ),
    "ms_ssfnet": Case(
        "ms_ssfnet",
        {"features": 32},
        (
            Form(),
            Form("transposed convolutions 2x2", {"upsampling_kernel": 2}),
            Form("weights of deviation 0.001", init="gaussian_0.001"),
        ),
        scale=8,
        kernels=None,
    ),
}
