"""MS-SSFNet: multi-level and multi-scale spatial and spectral fusion network.

X.-H. Han, Y. Zheng, Y.-W. Chen, "Multi-level and Multi-scale Spatial and Spectral Fusion CNN for
Hyperspectral Image Super-resolution", ICCV Workshops 2019, section 3.

Two pathways. The spectral one starts at the coarse cube X and doubles its size S times by stride-2 transposed
convolutions (eq. 3, 4); the spatial one starts at the sharp image Y and halves its size by 2x2 max-pooling
(eq. 5, 6). After each enlargement the spectral features are stacked with the spatial features of the same
size (eq. 7). Every block is conv 3x3, PReLU, conv 3x3, PReLU; a linear 3x3 convolution ends in C bands. In
training, heads at intermediate sizes are compared with the reduced truth (eq. 8-10).

Departures. The text counts S blocks and S - 1 stacks for a factor 2^S, but its equations close only with S +
1 sizes: S enlargements, S stacks, S + 1 spectral and S spatial blocks are built. Widths are not given in the
text: `features` sets them for every size. The transposed convolution's size is not given: 4x4, so that
samples see both neighbours; 2x2 scores the same, +0.03 dB, with 17 % fewer weights and 7 % fewer
multiply-adds. Sizes are 8 -> 128 rather than 8 -> 127, an artefact of the original framework's padding. He's
initialisation is the default: the published Gaussian of deviation 0.001 ends 7.75 dB lower by the same steps.
Figures of one CAVE training scene after 200 steps of Adam at 1e-3, x8, 8 patches of 32 pixels, 32 features,
by `python -m benchmarks.departures --methods=ms_ssfnet --num_steps=200 --patch_size=32`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import numpy as np
from keras import layers

from hsr_tf import checks
from hsr_tf.networks.layers import FusionNetwork, LayerMaker, NetworkSpec, image_inputs
from hsr_tf.typing import Tensor

SIZED = re.compile(r"^(spatial|spectral|enlarge)_(\d+)")

Block = Callable[[Tensor, int, str], Tensor]


@keras.saving.register_keras_serializable("hsr_tf")
class MSSSFNet(FusionNetwork):
    """MS-SSFNet for a scale 2^S.

    Args:
        spec: sizes, initialisation and precision; the scale must be 2, 4, 8, 16, ...
        features: width of the blocks, one number, or S + 1 of them from the coarsest size to the finest.
        num_levels: L, levels of the loss; L - 1 intermediate heads are built. By default 2, and 1 for x2.
        upsampling_kernel: 4 or 2, size of the transposed convolutions.
        activation: "prelu" as published, or "leaky_relu", which is faster; see `LayerMaker.block`.

    Input: lr_hsi (B, h, w, lr_channels), hr_msi (B, s h, s w, hr_channels).
    Output: {"estimate": (B, s h, s w, C), "estimate_<r>": (B, s h / r, s w / r, C), one a further level}.

    Raises:
        ValueError: for a scale that is not a power of two, or widths and levels that do not fit it.
    """

    def __init__(
        self,
        spec: NetworkSpec,
        *,
        features: int | list[int] = 64,
        num_levels: int | None = None,
        upsampling_kernel: int = 4,
        activation: str = "prelu",
    ) -> None:
        num_scales = _num_scales(spec.scale)
        num_levels = min(2, num_scales) if num_levels is None else num_levels
        widths = widths_of(features, num_scales)
        checks.require(
            upsampling_kernel >= 2,
            "upsampling_kernel",
            expected="2 or more, so that every sample is covered",
            received=str(upsampling_kernel),
            remedy="use 2 or 4",
        )
        heads = head_positions(num_scales, num_levels)
        inputs = image_inputs(spec)
        form = Form(spec.num_bands, tuple(widths), tuple(heads), upsampling_kernel, activation)
        outputs = two_pathways(LayerMaker(spec), inputs, form)
        options = {
            "features": features,
            "num_levels": num_levels,
            "upsampling_kernel": upsampling_kernel,
            "activation": activation,
        }
        super().__init__(spec, inputs, outputs, options)

    def inference_options(self) -> dict[str, Any]:
        """One level: the intermediate heads are dropped."""
        return {**super().inference_options(), "num_levels": 1}


@dataclass(frozen=True)
class Form:
    """How a network of S scales is built.

    Attributes:
        num_bands: C of the estimates.
        widths: of the blocks, S + 1 from the coarsest size to the finest.
        heads: after which enlargements intermediate heads stand.
        upsampling_kernel, activation: see `MSSSFNet`.
    """

    num_bands: int
    widths: tuple[int, ...]
    heads: tuple[int, ...]
    upsampling_kernel: int
    activation: str


def two_pathways(make: LayerMaker, inputs: dict[str, Tensor], form: Form) -> dict[str, Tensor]:
    """The estimates of `MSSSFNet` by name."""
    widths, outputs = form.widths, {}
    block = partial(make.block, activation=form.activation)
    spatial = _spatial_pathway(make, block, inputs["hr_msi"], widths)
    spectral = block(inputs["lr_hsi"], widths[0], "spectral_0")
    for i in range(1, len(widths)):
        enlarged = make.enlarge(spectral, widths[i], form.upsampling_kernel, f"enlarge_{i}")
        stack = layers.Concatenate(dtype=make.dtype, name=f"{make.prefix}stack_{i}")
        spectral = block(stack([enlarged, spatial[i - 1]]), widths[i], f"spectral_{i}")
        if i in form.heads:
            reduction = 2 ** (len(widths) - 1 - i)
            outputs[f"estimate_{reduction}"] = make.head(spectral, form.num_bands, f"head_{reduction}")
    outputs["estimate"] = make.head(spectral, form.num_bands, "head")
    return outputs


def counterpart(name: str, scale: int, other_scale: int) -> str:
    """What a layer of a network for one scale is called in the network for another.

    Sizes are counted from the coarsest, and layers belong together where they are equally far from the
    finest: `enlarge_3` of x8 works at full size, as does `enlarge_5` of x32.
    """
    further = _num_scales(other_scale) - _num_scales(scale)
    return SIZED.sub(lambda found: f"{found[1]}_{int(found[2]) + further}", name)


def head_positions(num_scales: int, num_levels: int) -> list[int]:
    """After which enlargements the intermediate heads stand: S scales in L levels, as even as can be."""
    checks.require(
        1 <= num_levels <= num_scales,
        "num_levels",
        expected=f"1 to {num_scales}, one a doubling at most",
        received=str(num_levels),
        remedy="use fewer levels",
    )
    parts = [len(part) for part in np.array_split(np.arange(num_scales), num_levels)]
    return [int(n) for n in np.cumsum(parts)[:-1]]


def _num_scales(scale: int) -> int:
    num_scales = int(scale).bit_length() - 1
    checks.require(
        scale >= 2 and 2**num_scales == scale,
        "scale",
        expected="a power of two from 2 up, as MS-SSFNet doubles the size step by step",
        received=str(scale),
        remedy="use ssf_resnet, or the closed-form spectral_ls, for other scales",
    )
    return num_scales


def widths_of(features: int | list[int], num_scales: int) -> list[int]:
    """Widths of the blocks, S + 1 from the coarsest size to the finest."""
    widths = [features] * (num_scales + 1) if isinstance(features, int) else list(features)
    checks.require(
        len(widths) == num_scales + 1 and min(widths) >= 1,
        "features",
        expected=f"one positive width or {num_scales + 1}, from the coarsest size to the finest",
        received=str(widths),
        remedy="give one a size",
    )
    return widths


def _spatial_pathway(make: LayerMaker, block: Block, y: Tensor, widths: Sequence[int]) -> list[Tensor]:
    """Features of Y at every size but the coarsest, coarse to fine."""
    num_scales = len(widths) - 1
    pyramid = [block(y, widths[num_scales], f"spatial_{num_scales}")]
    for i in range(num_scales - 1, 0, -1):
        pool = layers.MaxPooling2D(2, dtype=pyramid[0].dtype, name=f"{make.prefix}pool_{i}")
        pooled = pool(pyramid[0])
        pyramid.insert(0, block(pooled, widths[i], f"spatial_{i}"))
    return pyramid
