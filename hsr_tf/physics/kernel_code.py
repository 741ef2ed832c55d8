"""A short code for blur kernels: principal components, k^2 taps -> a few numbers.

    code = (kernel - mean) basis,    kernel ~ mean + code basis^T

J. Gu et al., "Blind Super-Resolution With Iterative Kernel Correction", CVPR 2019, section 3.2, and K. Zhang
et al., "Learning a Single Convolutional Super-Resolution Network for Multiple Degradations", CVPR 2018,
section 3.2 ("dimensionality stretching"). The mean is taken off, which both leave open; the difference of two
codes is the same with and without it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from hsr_tf import checks
from hsr_tf.arrays import ops
from hsr_tf.physics.kernel_shapes import KERNEL_SIZE, gaussian_kernels
from hsr_tf.typing import Tensor

CODE_LENGTH, NUM_SAMPLES = 21, 500
SIGMA_RANGE = (0.2, 4.0)


@dataclass(frozen=True, eq=False)
class KernelCode:
    """Principal components of kernels.

    Attributes:
        mean: (k, k) float32, the mean kernel.
        basis: (k^2, n) float32, orthonormal columns, the direction of largest variance first.
    """

    mean: np.ndarray
    basis: np.ndarray

    def encode(self, kernels: Tensor) -> Tensor:
        """The codes of kernels (B, k, k), (B, n)."""
        flat = ops.reshape(
            kernels - ops.convert_to_tensor(self.mean, dtype=kernels.dtype), (-1, self.mean.size)
        )
        return ops.matmul(flat, ops.convert_to_tensor(self.basis, dtype=kernels.dtype))

    def decode(self, codes: Tensor) -> Tensor:
        """The kernels (B, k, k) of codes (B, n); taps may be negative and their sum other than one."""
        flat = ops.matmul(codes, ops.convert_to_tensor(self.basis.T.copy(), dtype=codes.dtype))
        shaped = ops.reshape(flat, (-1, *self.mean.shape))
        return shaped + ops.convert_to_tensor(self.mean, dtype=codes.dtype)


def fit_kernel_code(kernels: np.ndarray, length: int = CODE_LENGTH) -> KernelCode:
    """The principal components of sampled kernels.

    Args:
        kernels: (N, k, k), N more than `length`.
        length: n, numbers a code.

    Returns:
        The code; each direction has its largest entry positive, so that a fit does not depend on the machine.

    Raises:
        ValueError: for too few kernels or a length that they cannot give.
    """
    kernels = np.asarray(kernels, np.float64)
    checks.require(
        kernels.ndim == 3 and kernels.shape[1] == kernels.shape[2],
        "kernels",
        expected="(N, k, k)",
        received=str(kernels.shape),
        remedy="stack square kernels",
    )
    limit = min(len(kernels) - 1, kernels[0].size)
    checks.require(
        1 <= length <= limit,
        "length",
        expected=f"1 to {limit}, what {len(kernels)} kernels can tell",
        received=str(length),
        remedy="sample more kernels or take a shorter code",
    )
    mean = kernels.mean(0)
    _, _, directions = np.linalg.svd((kernels - mean).reshape(len(kernels), -1), full_matrices=False)
    basis = directions[:length].T
    largest = basis[np.abs(basis).argmax(0), np.arange(length)]
    return KernelCode(mean.astype(np.float32), (basis * np.sign(largest)).astype(np.float32))


@lru_cache
def gaussian_code(length: int = CODE_LENGTH, *, size: int = KERNEL_SIZE, seed: int = 0) -> KernelCode:
    """The code of 500 isotropic Gaussians of sigma ~ U[0.2, 4.0] pixels, as the papers train on."""
    sigma = np.random.default_rng(seed).uniform(*SIGMA_RANGE, NUM_SAMPLES)
    kernels = ops.convert_to_numpy(gaussian_kernels(ops.convert_to_tensor(sigma, dtype="float64"), size))
    return fit_kernel_code(kernels, length)
