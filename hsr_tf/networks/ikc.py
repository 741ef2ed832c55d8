"""IKC: iterative kernel correction, blind, around a network that is given the kernel's code.

J. Gu, H. Lu, W. Zuo, C. Dong, "Blind super-resolution with iterative kernel correction", CVPR 2019, section
3: a predictor guesses the code of the kernel from the given picture; SFT-MD (`srresnet_sft`) makes the sharp
picture of it; a corrector sees that picture and the code, and what it answers is added to the code; SFT-MD
runs again, and so on. Predictor, SFT-MD and corrector share their weights over the iterations.

Departures. The paper trains the three one after another: `with_true_kernel` gives SFT-MD alone, and
`estimator_weights` those of predictor and corrector. The corrector brings the sharp picture to the given size
by one convolution of stride s. Codes hold principal components of isotropic Gaussians, fitted here and
stored with the weights; the kernel answered is the decoded one, without negative taps, of sum one.
`residual` adds the bicubic enlargement (not in the paper).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from hsr_tf import checks
from hsr_tf.networks.cards import ImageSpec
from hsr_tf.networks.dbpn import require_enlarging
from hsr_tf.networks.image_layers import BlindNetwork, KernelDecode, KernelEncode, SharedLayers, Stretch
from hsr_tf.networks.image_network import KERNEL_SIZE, picture_inputs
from hsr_tf.networks.kbpn import predictor
from hsr_tf.networks.srresnet import CODE_LENGTH, transformed_body
from hsr_tf.typing import Tensor


@keras.saving.register_keras_serializable("hsr_tf")
class IKC(BlindNetwork):
    """IKC for one scale; the default is the paper's size.

    Args:
        spec: sizes, initialisation and precision; the scale is 2 or more.
        num_corrections: how often the kernel is corrected.
        num_blocks: residual blocks of SFT-MD.
        features: channels.
        residual: add the bicubic enlargement to every picture.
        training_outputs: also answer what only the loss looks at.

    Input: lr_image (B, h, w, C), h and w at least 2.
    Output, float32: {"estimate": (B, s h, s w, C), "kernel": (B, 21, 21)}; with `training_outputs` also
    "estimate_middle" and "kernel_middle" from before the first correction: the predictor's.

    Raises:
        ValueError: for a scale below 2, or less than one correction or block.
    """

    def __init__(
        self,
        spec: ImageSpec,
        *,
        num_corrections: int = 7,
        num_blocks: int = 16,
        features: int = 64,
        residual: bool = False,
        training_outputs: bool = True,
    ) -> None:
        require_enlarging(spec, "ikc")
        checks.require_positive_integers(
            num_corrections=num_corrections, num_blocks=num_blocks, features=features
        )
        parts = _Parts(SharedLayers(spec), num_blocks, features, residual)
        inputs = picture_inputs(spec)
        outputs = parts.corrected(inputs["lr_image"], num_corrections)
        options = {
            "num_corrections": num_corrections,
            "num_blocks": num_blocks,
            "features": features,
            "residual": residual,
            "training_outputs": training_outputs,
        }
        kept = {name: x for name, x in outputs.items() if training_outputs or "_" not in name}
        super().__init__(spec, inputs, outputs=kept, options=options, reach=None)
        self._shared = parts

    def inference_options(self) -> dict[str, Any]:
        """Without what only the loss looks at."""
        return {**super().inference_options(), "training_outputs": False}

    def with_true_kernel(self) -> keras.Model:
        """SFT-MD on {"lr_image", "kernel"}, sharing its weights with this network; answers "estimate"."""
        inputs = picture_inputs(self.spec, kernel_size=KERNEL_SIZE)
        code = KernelEncode(CODE_LENGTH)(inputs["kernel"])
        return keras.Model(inputs, {"estimate": self._shared.sharpened(inputs["lr_image"], code)})


@dataclass(frozen=True)
class _Parts:
    """Predictor, SFT-MD and corrector on one set of layers."""

    make: SharedLayers
    num_blocks: int
    features: int
    residual: bool

    def corrected(self, lr_image: Tensor, num_corrections: int) -> dict[str, Tensor]:
        """All outputs by name."""
        decode = KernelDecode(CODE_LENGTH, name="code")
        code = predictor(self.make, lr_image, CODE_LENGTH, features=self.features)
        picture = self.sharpened(lr_image, code)
        outputs = {"estimate_middle": picture, "kernel_middle": decode(code)}
        for _ in range(num_corrections):
            code = code + self.correction(picture, code)
            picture = self.sharpened(lr_image, code)
        return {"estimate": picture, "kernel": decode(code), **outputs}

    def sharpened(self, lr_image: Tensor, code: Tensor) -> Tensor:
        """SFT-MD's picture for a code."""
        x = transformed_body(self.make, lr_image, code, num_blocks=self.num_blocks, features=self.features)
        return self.make.reconstruct(x, lr_image, "head", residual=self.residual, size=9)

    def correction(self, picture: Tensor, code: Tensor) -> Tensor:
        """What is to be added to the code, (B, n)."""
        make, features, scale = self.make, self.features, self.make.spec.scale or 1
        x = make.leaky(make.conv(picture, features, scale + 4, "kernel_correct1", strides=scale))
        for i in range(2, 6):
            x = make.leaky(make.conv(x, features, 5, f"kernel_correct{i}"))
        own = make.leaky(make.dense(code, features, "kernel_dense1"))
        own = make.leaky(make.dense(own, features, "kernel_dense2"))
        x = make.join([x, Stretch(dtype=make.dtype)([own, x])])
        for i, width in enumerate((2 * features, features), 1):
            x = make.leaky(make.conv(x, width, 1, f"kernel_merge{i}"))
        x = make.conv(x, CODE_LENGTH, 1, "kernel_merge3")
        return layers.GlobalAveragePooling2D(dtype="float32")(x)
