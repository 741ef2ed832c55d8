"""IKC: iterative kernel correction, blind, around a network that is given the kernel's code.

J. Gu, H. Lu, W. Zuo, C. Dong, "Blind super-resolution with iterative kernel correction", CVPR 2019, section
3: a predictor guesses the code of the kernel from the given picture; SFT-MD (`srresnet_sft`) makes the sharp
picture of it; a corrector sees that picture and the code, and what it answers is added to the code; SFT-MD
runs again, and so on. Predictor, SFT-MD and corrector share their weights over the iterations.

`PUBLISHED` is the network as its authors wrote it (github.com/yuanjunchai/IKC, sftmd_arch.py). With
`published_layers`:
    predictor   six 5x5 convolutions, the fourth of stride 2, leaky ReLU of slope 0.2 after all of them
    corrector   seven 5x5 convolutions of the sharp picture, the second and the fourth of stride 2, with leaky
                ReLU after all of them; two dense layers of the code; three 1x1 convolutions of both
    SFT-MD      see `hsr_tf.networks.srresnet`
Without it, the form of older saved models: the predictor's last convolution is 3x3 and linear, and the
corrector has one convolution of stride s and four 5x5 ones in place of the seven.

Published training, three runs of `trainers.blind_sr`, each of which starts from the one before:
    --part=image        SFT-MD, given true kernels
    --part=predictor    its code against the true one
    --part=corrector    every correction against the true code
or `--part=estimator` for both at once, as the authors' program does. The squared error of the code counts
after the predictor and after every correction (`code_steps` of `BlindWeights`), and no gradient passes
from one correction to the one before.

Departures. The authors take an optimiser step for each of the seven corrections of a batch, here one for
their sum: a seventh of the steps per batch. After 80 batches, of four corrections by a small network, kernels
are at an L1 distance of 1.07, by their steps at 1.00 (`python -m benchmarks.departures --methods=ikc
--optimizer=muon --num_steps=80`). Convolutions of stride 2 start at the second pixel of an even side, theirs
at the first: ours is theirs on the picture and with the filters flipped both ways, so that training loses
nothing by it. Codes hold principal components of isotropic Gaussians, fitted here and stored with the
weights, which keep such kernels to an L1 distance of 4e-4; the kernel answered is the decoded one, without
negative taps, of sum one. `residual` adds the bicubic enlargement (not in the paper).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import keras
from keras import layers, ops

from hsr_tf import checks
from hsr_tf.networks.cards import ImageSpec
from hsr_tf.networks.dbpn import require_enlarging
from hsr_tf.networks.image_layers import BlindNetwork, KernelDecode, KernelEncode, SharedLayers, Stretch
from hsr_tf.networks.image_network import KERNEL_SIZE, picture_inputs
from hsr_tf.networks.srresnet import CODE_LENGTH, SFTMD
from hsr_tf.typing import Tensor

PUBLISHED = {
    "num_corrections": 7,
    "num_blocks": 16,
    "features": 64,
    "residual": False,
    "published_layers": True,
}


@keras.saving.register_keras_serializable("hsr_tf")
class IKC(BlindNetwork):
    """IKC for one scale; the default is the paper's size, `PUBLISHED` the authors' layers too.

    Args:
        spec: sizes, initialisation and precision; the scale is 2 or more.
        num_corrections: how often the kernel is corrected.
        num_blocks: residual blocks of SFT-MD.
        features: channels.
        residual: add the bicubic enlargement to every picture.
        training_outputs: also answer what only the loss looks at.
        published_layers: predictor, corrector and SFT-MD as the authors' code has them.

    Input: lr_image (B, h, w, C), h and w at least 2.
    Output, float32: {"estimate": (B, s h, s w, C), "kernel": (B, 21, 21)}; with `training_outputs` also
    "estimate_middle" and "kernel_middle" from before the first correction: the predictor's.

    Raises:
        ValueError: for a scale below 2, or less than one correction or block.
    """

    estimator_parts: ClassVar[dict[str, tuple[str, ...]]] = {
        "estimator": ("kernel_",),
        "predictor": ("kernel_predict",),
        "corrector": ("kernel_correct", "kernel_dense", "kernel_merge"),
    }

    def __init__(  # noqa: PLR0913 (options that saved models name one by one)
        self,
        spec: ImageSpec,
        *,
        num_corrections: int = 7,
        num_blocks: int = 16,
        features: int = 64,
        residual: bool = False,
        training_outputs: bool = True,
        published_layers: bool = False,
    ) -> None:
        require_enlarging(spec, "ikc")
        checks.require_positive_integers(
            num_corrections=num_corrections, num_blocks=num_blocks, features=features
        )
        sft_md = SFTMD(num_blocks, features, residual, published_layers)
        parts = _Parts(SharedLayers(spec), sft_md, features, published_layers)
        inputs = picture_inputs(spec)
        outputs = parts.corrected(inputs["lr_image"], num_corrections)
        options = {
            "num_corrections": num_corrections,
            "num_blocks": num_blocks,
            "features": features,
            "residual": residual,
            "training_outputs": training_outputs,
            "published_layers": published_layers,
        }
        kept = {name: x for name, x in outputs.items() if training_outputs or "_" not in name}
        super().__init__(spec, inputs, outputs=kept, options=options, reach=None)
        self._shared = parts

    def inference_options(self) -> dict[str, Any]:
        """Without what only the loss looks at."""
        return {**super().inference_options(), "training_outputs": False}

    def in_training(self, part: str) -> keras.Model:
        """The network in the form in which a part of it is trained, on the same weights.

        Args:
            part: "image" for SFT-MD, see `with_true_kernel`; "predictor", "corrector" or "estimator" for both
                of these, see `with_true_code`.
        """
        checks.require_choice("part", part, self.part_names())
        if part == "image":
            return self.with_true_kernel()
        return self.with_true_code(part)

    def with_true_kernel(self) -> keras.Model:
        """SFT-MD on {"lr_image", "kernel"}, sharing its weights with this network; answers "estimate"."""
        inputs = picture_inputs(self.spec, kernel_size=KERNEL_SIZE)
        code = KernelEncode(CODE_LENGTH)(inputs["kernel"])
        return keras.Model(inputs, {"estimate": self._shared.sharpened(inputs["lr_image"], code)})

    def with_true_code(self, part: str = "estimator") -> keras.Model:
        """Predictor and corrector on {"lr_image", "kernel"}: how far their codes are from the true one.

        Answers "code_errors" (B, steps, n): after the predictor ("predictor"), after every correction
        ("corrector"), or both ("estimator"). The picture that a correction sees, and the code it starts
        from, hand no gradient back.
        """
        inputs = picture_inputs(self.spec, kernel_size=KERNEL_SIZE)
        number = 0 if part == "predictor" else int(self._options["num_corrections"])
        codes = self._shared.codes(inputs["lr_image"], number)[1 if part == "corrector" else 0 :]
        true = KernelEncode(CODE_LENGTH)(inputs["kernel"])
        return keras.Model(inputs, {"code_errors": ops.stack([code - true for code in codes], 1)})


@dataclass(frozen=True)
class _Parts:
    """Predictor, SFT-MD and corrector on one set of layers."""

    make: SharedLayers
    sft_md: SFTMD
    features: int
    published_layers: bool

    def corrected(self, lr_image: Tensor, num_corrections: int) -> dict[str, Tensor]:
        """All outputs by name."""
        decode = KernelDecode(CODE_LENGTH, name="code")
        code = self._predicted(lr_image)
        picture = self.sharpened(lr_image, code)
        outputs = {"estimate_middle": picture, "kernel_middle": decode(code)}
        for _ in range(num_corrections):
            code = code + self.correction(picture, code)
            picture = self.sharpened(lr_image, code)
        return {"estimate": picture, "kernel": decode(code), **outputs}

    def codes(self, lr_image: Tensor, num_corrections: int) -> list[Tensor]:
        """The code of the predictor and of every correction, each with a gradient of its own step alone."""
        found = [self._predicted(lr_image)]
        for _ in range(num_corrections):
            start = ops.stop_gradient(found[-1])
            picture = ops.stop_gradient(self.sharpened(lr_image, start))
            found.append(start + self.correction(picture, start))
        return found

    def sharpened(self, lr_image: Tensor, code: Tensor) -> Tensor:
        """SFT-MD's picture for a code."""
        return self.sft_md.picture(self.make, lr_image, code)

    def correction(self, picture: Tensor, code: Tensor) -> Tensor:
        """What is to be added to the code, (B, n)."""
        make, features = self.make, self.features
        x = self._seen(picture)
        own = make.leaky(make.dense(code, features, "kernel_dense1"))
        own = make.leaky(make.dense(own, features, "kernel_dense2"))
        x = make.join([x, Stretch(dtype=make.dtype)([own, x])])
        for i, width in enumerate((2 * features, features), 1):
            x = make.leaky(make.conv(x, width, 1, f"kernel_merge{i}"))
        x = make.conv(x, CODE_LENGTH, 1, "kernel_merge3")
        return layers.GlobalAveragePooling2D(dtype="float32")(x)

    def _predicted(self, lr_image: Tensor) -> Tensor:
        return predictor(
            self.make, lr_image, CODE_LENGTH, features=self.features, published=self.published_layers
        )

    def _seen(self, picture: Tensor) -> Tensor:
        """The corrector's features of the sharp picture."""
        make, features, scale = self.make, self.features, self.make.spec.scale or 1
        if self.published_layers:
            forms = [(5, 1), (5, 2), (5, 1), (5, 2), (5, 1), (5, 1), (5, 1)]
        else:
            forms = [(scale + 4, scale)] + 4 * [(5, 1)]
        x = picture
        for i, (size, strides) in enumerate(forms, 1):
            x = make.leaky(make.conv(x, features, size, f"kernel_correct{i}", strides=strides))
        return x


def predictor(make: SharedLayers, lr_image: Tensor, length: int, *, features: int, published: bool) -> Tensor:
    """IKC's predictor, (B, n): 5x5 convolutions, the fourth to half the size, leaky ReLU, an average.

    Args:
        make: the layers.
        lr_image: the given picture.
        length: n.
        features: channels.
        published: six 5x5 convolutions with leaky ReLU after each, as the authors' code has them; otherwise
            the sixth is 3x3 and linear, the form of older saved models.
    """
    x = lr_image
    for i, strides in enumerate((1, 1, 1, 2, 1), 1):
        x = make.leaky(make.conv(x, features, 5, f"kernel_predict{i}", strides=strides))
    x = make.conv(x, length, 5 if published else 3, "kernel_predict6")
    return layers.GlobalAveragePooling2D(dtype="float32")(make.leaky(x) if published else x)
