"""How pictures are degraded when methods are scored on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops

from hsr_tf.physics.kernel_shapes import KERNEL_SIZE
from hsr_tf.physics.psf import gaussian_psf
from hsr_tf.physics.reduction import reduce_picture
from hsr_tf.physics.sample_blur import SampleBlur

Tensor = Any


@dataclass(frozen=True)
class Case:
    """How pictures are degraded: the scale, and the deviation of the blur before or None."""

    scale: float
    sigma: float | None = None

    @property
    def label(self) -> str:
        """How tables name it."""
        return f"x{self.scale:g}" + ("" if self.sigma is None else f", sigma {self.sigma:g}")

    @property
    def kernel(self) -> np.ndarray:
        """The kernel (k, k) float32; a single one in the middle without blur."""
        if self.sigma is None:
            return np.pad(np.ones((1, 1), np.float32), KERNEL_SIZE // 2)
        return gaussian_psf(1, sigma=self.sigma, support=KERNEL_SIZE).kernel.astype(np.float32)

    def degrade(self, sharp: np.ndarray) -> Tensor:
        """The small picture (1, h, w, C) of a sharp one (H, W, C) in [0, 1]."""
        image = ops.convert_to_tensor(sharp[None])
        if self.sigma is not None:
            image = SampleBlur(ops.convert_to_tensor(self.kernel[None]))(image)
        return reduce_picture(image, self.scale)

    def cut(self, picture: np.ndarray) -> np.ndarray:
        """The top left part of (H, W, C) whose sides a whole scale divides."""
        multiple = int(self.scale) if float(self.scale).is_integer() else 1
        height, width = (n - n % multiple for n in picture.shape[:2])
        return picture[:height, :width]
