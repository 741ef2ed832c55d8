"""How pictures are degraded when methods are scored on them."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO

import numpy as np

from hsr_tf.arrays import ops
from hsr_tf.imports import deferred
from hsr_tf.physics.kernel_shapes import KERNEL_SIZE
from hsr_tf.physics.psf import gaussian_psf
from hsr_tf.physics.reduction import reduce_picture
from hsr_tf.physics.sample_blur import SampleBlur
from hsr_tf.typing import Tensor

Image = deferred("PIL.Image")


@dataclass(frozen=True)
class Case:
    """How pictures are degraded.

    Attributes:
        scale: factor of the reduction.
        sigma: deviation of the Gaussian blur before it; None for no blur.
        noise: deviation of the Gaussian noise added to the small picture, in steps of 1 / 255; None for none.
        jpeg: quality, 1 to 100, of the JPEG file that the small picture is then stored in; None for none.
    """

    scale: float
    sigma: float | None = None
    noise: float | None = None
    jpeg: int | None = None

    @property
    def label(self) -> str:
        """How tables name it."""
        parts = [f"x{self.scale:g}"]
        parts += [] if self.sigma is None else [f"sigma {self.sigma:g}"]
        parts += [] if self.noise is None else [f"noise {self.noise:g}"]
        parts += [] if self.jpeg is None else [f"JPEG {self.jpeg}"]
        return ", ".join(parts)

    @property
    def kernel(self) -> np.ndarray:
        """The kernel (k, k) float32; a single one in the middle without blur."""
        if self.sigma is None:
            return np.pad(np.ones((1, 1), np.float32), KERNEL_SIZE // 2)
        return gaussian_psf(1, sigma=self.sigma, support=KERNEL_SIZE).kernel.astype(np.float32)

    def degrade(self, sharp: np.ndarray) -> Tensor:
        """The small picture (1, h, w, C) of a sharp one (H, W, C) in [0, 1].

        With noise or JPEG it is rounded to 8 bits. The noise is the same for every picture of a size.
        """
        image = ops.convert_to_tensor(sharp[None])
        if self.sigma is not None:
            image = SampleBlur(ops.convert_to_tensor(self.kernel[None]))(image)
        small = reduce_picture(image, self.scale)
        if self.noise is None and self.jpeg is None:
            return small
        steps = 255.0 * ops.convert_to_numpy(small)[0]
        steps += (self.noise or 0.0) * np.random.default_rng(0).standard_normal(steps.shape)
        stored = np.clip(np.rint(steps), 0, 255).astype(np.uint8)
        if self.jpeg is not None:
            file, gray = BytesIO(), stored.shape[-1] == 1
            Image.fromarray(stored[..., 0] if gray else stored).save(file, "JPEG", quality=self.jpeg)
            stored = np.asarray(Image.open(file)).reshape(stored.shape)
        return ops.convert_to_tensor(stored[None] / np.float32(255.0))

    def cut(self, picture: np.ndarray) -> np.ndarray:
        """The top left part of (H, W, C) whose sides a whole scale divides."""
        multiple = int(self.scale) if float(self.scale).is_integer() else 1
        height, width = (n - n % multiple for n in picture.shape[:2])
        return picture[:height, :width]
