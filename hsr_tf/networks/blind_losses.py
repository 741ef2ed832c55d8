"""The loss of blind super-resolution: pictures, pseudo-LR pictures and kernels, each term with a weight.

T. Yoshida, K. Akita, N. Ukita, IPSJ SIG Technical Report 2020-CG-180 No. 12, 2020, eq. 3: mean squared errors
of the last picture and of its pseudo-LR picture, the same two at the middle module, the L1 distance of the
kernels' principal components, and the L1 norm of the estimated kernel. Weights are 1 in the text. The last
term is the constant 1 for a kernel that comes out of a softmax: it is kept for fidelity and moves nothing.

IKC's predictor and corrector are trained by the squared errors of their codes alone, `code_steps` (J. Gu et
al., CVPR 2019).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from keras import ops

from hsr_tf import checks
from hsr_tf.networks.losses import Loss, l1, mse
from hsr_tf.physics.kernel_code import KernelCode
from hsr_tf.typing import Tensor


@dataclass(frozen=True)
class BlindWeights:
    """Weights of the terms; 0 leaves one out.

    Attributes:
        image: MSE of "estimate".
        pseudo_lr: MSE of "pseudo_lr".
        image_middle: MSE of "estimate_middle".
        pseudo_lr_middle: MSE of "pseudo_lr_middle".
        kernel_code: mean absolute error of the principal components of "kernel".
        kernel_norm: L1 norm of "kernel".
        kernel_code_middle: as kernel_code, of "kernel_middle"; not in eq. 3.
        code_steps: MSE of IKC's code after the predictor and after each correction, "code_errors", their sum.
    """

    image: float = 1.0
    pseudo_lr: float = 1.0
    image_middle: float = 1.0
    pseudo_lr_middle: float = 1.0
    kernel_code: float = 1.0
    kernel_norm: float = 1.0
    kernel_code_middle: float = 0.0
    code_steps: float = 1.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            checks.require(
                0 <= value < float("inf"),
                name,
                expected="a weight of 0 or more",
                received=str(value),
                remedy="use 0 to leave the term out",
            )


@dataclass(frozen=True)
class BlindTruth:
    """What is compared with.

    Attributes:
        hr_image: (B, s h, s w, C).
        lr_image: (B, h, w, C), the given picture.
        kernel: (B, k, k).
    """

    hr_image: Tensor
    lr_image: Tensor
    kernel: Tensor


@dataclass(frozen=True)
class BlindLoss:
    """Eq. 3.

    Attributes:
        code: the principal components that kernels are compared in.
        weights: of the terms.
        image_loss: of pictures at the sharp size; the mean squared error in the equation.
    """

    code: KernelCode
    weights: BlindWeights = BlindWeights()
    image_loss: Loss = mse

    def __call__(self, outputs: Mapping[str, Tensor], truth: BlindTruth) -> Tensor:
        """The weighted sum of `terms`, a scalar."""
        weights, terms = asdict(self.weights), self.terms(outputs, truth)
        return sum(weights[name] * term for name, term in terms.items())

    def terms(self, outputs: Mapping[str, Tensor], truth: BlindTruth) -> dict[str, Tensor]:
        """The terms of what a network answers, unweighted, by the names of `BlindWeights`.

        Terms of weight 0 and those whose output is not there (a network trained in parts) are left out.

        Raises:
            ValueError: when no term is left.
        """
        weights = asdict(self.weights)
        known = {name: output for name, output in _OUTPUTS.items() if weights[name] and output in outputs}
        checks.require(
            len(known) > 0,
            "outputs",
            expected="one that a term of positive weight looks at",
            received=", ".join(sorted(outputs)) or "none",
            remedy="give a term that fits a positive weight",
        )
        return {name: self._term(name, outputs[output], truth) for name, output in known.items()}

    def _term(self, name: str, output: Tensor, truth: BlindTruth) -> Tensor:
        if name.startswith("image"):
            return self.image_loss(truth.hr_image, output)
        if name.startswith("pseudo_lr"):
            return mse(truth.lr_image, output)
        if name == "code_steps":
            return ops.sum(ops.mean(ops.square(output), axis=(0, 2)))
        if name.startswith("kernel_code"):
            return l1(self.code.encode(truth.kernel), self.code.encode(output))
        return ops.mean(ops.sum(ops.abs(output), axis=(1, 2)))


_OUTPUTS = {
    "image": "estimate",
    "pseudo_lr": "pseudo_lr",
    "image_middle": "estimate_middle",
    "pseudo_lr_middle": "pseudo_lr_middle",
    "kernel_code": "kernel",
    "kernel_norm": "kernel",
    "kernel_code_middle": "kernel_middle",
    "code_steps": "code_errors",
}
