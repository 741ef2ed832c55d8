"""Losses of image estimates, on keras.ops; each a mean over the images of a batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import ops

from hsr_tf import checks
from hsr_tf.physics.resize import bicubic_levels
from hsr_tf.typing import Tensor

Loss = Callable[[Tensor, Tensor], Tensor]


def mse(reference: Tensor, estimate: Tensor) -> Tensor:
    """Mean squared error of (B, H, W, C), a scalar."""
    return ops.mean(ops.square(estimate - reference))


def l1(reference: Tensor, estimate: Tensor) -> Tensor:
    """Mean absolute error of (B, H, W, C), a scalar."""
    return ops.mean(ops.abs(estimate - reference))


def log_mse(reference: Tensor, estimate: Tensor, *, floor: float = 1e-6) -> Tensor:
    """Mean over images and bands of log(mse + floor), a scalar: the mean of the bands' PSNR, up to a factor.

    Dark scenes and bands count as much as bright ones; the floor (60 dB) keeps black ones from ruling.
    """
    return ops.mean(ops.log(ops.mean(ops.square(estimate - reference), axis=(1, 2)) + floor))


def half_sse(reference: Tensor, estimate: Tensor) -> Tensor:
    """Mean over images of half the sum of squared errors, the loss of Caffe's EuclideanLoss.

    VDSR's published learning rates are for it. In a multi-level loss a level counts by its number of pixels,
    as in Han et al. 2019, eq. 9: at x16 in two levels the finest 16 times as much as the one at a quarter of
    its size, where means (`mse`) count both alike.
    """
    return 0.5 * ops.mean(ops.sum(ops.square(estimate - reference), axis=(1, 2, 3)))


LOSSES: dict[str, Loss] = {"mse": mse, "l1": l1, "log_mse": log_mse, "half_sse": half_sse}


def multi_level(reference: Tensor, estimates: dict[str, Tensor], loss: Loss) -> Tensor:
    """The plain sum of every level's loss (Han et al. 2019, eq. 10; `half_sse` is eq. 9, up to a factor).

    Args:
        reference: the sharp cube (B, H, W, C).
        estimates: "estimate" of its size, and "estimate_<r>" of 1/r of it, compared with the reference
            reduced by antialiased bicubic interpolation, each size from the next finer one (eq. 8). A
            quarter made from a half and one made at once differ by 64 to 68 dB on six scenes of CAVE.
        loss: the loss of one level.
    """
    reductions = {name: level_reduction(name) for name in estimates}
    targets = bicubic_levels(reference, {*reductions.values()})
    total: Any = 0.0
    for name, estimate in estimates.items():
        total = total + loss(targets[reductions[name]], estimate)
    return total


def level_reduction(name: str) -> int:
    """The reduction of a level by the name of its estimate: 1 for "estimate", r for "estimate_<r>"."""
    return int(name.partition("_")[2] or 1)


def get(name: str) -> Loss:
    """The loss of this name.

    Raises:
        ValueError: for an unknown name; the message lists the known ones.
    """
    checks.require_choice("loss", name, LOSSES)
    return LOSSES[name]
