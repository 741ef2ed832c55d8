"""The cube that fits both observations and stays near a given one, in closed form.

    min_Z |X - D Z|^2 + l |Y - Z R|^2 + m tr (Z - Z0) S^-1 (Z - Z0)^T

with S the identity unless it is given. Its normal equation D*D Z + Z (l R R^T + m S^-1) = B is a Sylvester
equation: Q. Wei, N. Dobigeon, J.-Y. Tourneret, "Fast fusion of multi-band images based on solving a Sylvester
equation", IEEE TIP 24(11), 2015 (FUSE), and Q. Wei, N. Dobigeon, J.-Y. Tourneret, J. Bioucas-Dias,
S. Godsill, "R-FUSE: robust fast fusion of multiband images based on solving a Sylvester equation", IEEE SPL
23(11), 2016.

The spectrum is diagonalised by the eigenvectors of l R R^T + m S^-1, which are those of R R^T without S. What
is left is, for every eigenvector with its weight w, (D*D + w)^-1, which the matrix inversion lemma moves to
the coarse grid, where D D* + w is inverted.

Departures. FUSE needs a circular border and transforms the sharp image; here D and D* act in space, and only
the coarse image is transformed:

- circular border: D D* is a circular convolution, inverted by the DFT, for any PSF; exact.
- mirrored border, PSF symmetric about both axes of the cell: D D* is a mirrored convolution, inverted by the
  DCT-II, written as two products with its matrix (elementary operations, so it is exported); exact.
- zeros outside, or a mirrored border with any other PSF (turned, motion, off-centre): D D* is no convolution
  at the border; conjugate gradients on the coarse grid, with the inverse for the PSF's mirror mean as
  preconditioner.

In a spectral subspace Z = A E^T with orthonormal E (C, p) the same class solves for the codes A: give it X E
for X and E^T R for R.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.signal import fftconvolve

from hsr_tf import checks
from hsr_tf.arrays import ops
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.resize import bicubic_enlarge
from hsr_tf.physics.spatial import SpatialDegradation
from hsr_tf.typing import Tensor

PRIOR_WEIGHT = 1e-3
IMPULSE_REACH = 128


class CoarseInverse:
    """(D D* + w)^-1 on the coarse grid, each channel with its own w > 0.

    Args:
        spatial: D.
        num_steps: conjugate gradient steps where D D* is not diagonal under a fixed transform.
    """

    def __init__(self, spatial: SpatialDegradation, *, num_steps: int = 24) -> None:
        self._spatial, self._num_steps = spatial, num_steps
        # Taps of D D* away from the border: sum_t k[t] k[t + s j] for all the two-dimensional lags j.
        kernel, scale = spatial.psf.kernel, spatial.scale
        full = fftconvolve(kernel, kernel[::-1, ::-1])
        middle = [n - 1 for n in kernel.shape]
        self.taps = full[middle[0] % scale :: scale, middle[1] % scale :: scale]
        if spatial.border != "circular":
            self.taps = np.asarray(
                (self.taps + self.taps[::-1] + self.taps[:, ::-1] + self.taps[::-1, ::-1]) / 4
            )
        mirrored = spatial.border == "mirrored" and _is_symmetric(spatial)
        self.exact = spatial.border == "circular" or mirrored

    def __call__(self, residual: Tensor, weights: Tensor) -> Tensor:
        """Solve for (B, h, w, K) with `weights` (K,), positive."""
        weights = ops.reshape(ops.convert_to_tensor(weights, dtype=residual.dtype), (1, 1, 1, -1))
        divide = self._division(residual, weights)
        return divide(residual) if self.exact else self._conjugate_gradients(residual, weights, divide)

    def reach(self, weight: float, *, accuracy: float = 1e-5) -> int | None:
        """How far D* (D D* + w)^-1 looks: coarse pixels on each side of the one above a sharp pixel.

        What lies further away changes it by at most `accuracy` for coarse images of at most 1; read off the
        impulse response of the inverse, which decays geometrically. None with a circular border, which joins
        what lies apart, and where conjugate gradients look at the whole image for their step lengths.
        """
        if self._spatial.border == "circular" or not self.exact:
            return None
        scale, kernel = self._spatial.scale, self._spatial.psf.kernel
        length = 2 * IMPULSE_REACH + 1
        lags = [np.arange(n) - n // 2 for n in self.taps.shape]
        taps = np.zeros((length, length))
        np.add.at(taps, np.ix_(*lags), self.taps)
        response = np.abs(np.fft.ifft2(1.0 / (np.maximum(np.fft.fft2(taps).real, 0.0) + weight)))
        distance = np.abs(np.fft.fftfreq(length, 1 / length))
        outside = np.maximum(distance[:, None], distance[None])
        touched = -(-max(kernel.shape) // (2 * scale))
        gain = max(kernel[i::scale, j::scale].sum() for i in range(scale) for j in range(scale))
        for margin in range(IMPULSE_REACH):
            if gain * response[outside > margin].sum() <= accuracy:
                return margin + touched
        return None

    def _division(self, like: Tensor, weights: Tensor) -> Callable[[Tensor], Tensor]:
        """The inverse by the transform that belongs to the border, for images of the size of `like`."""
        sizes = [like.shape[axis] or ops.shape(like)[axis] for axis in (1, 2)]
        dtype = ops.dtype_name(like)
        spectrum = gram_spectrum(self.taps, sizes, self._spatial.border, dtype)
        gain = ops.expand_dims(spectrum, (0, 3)) + weights
        if self._spatial.border == "circular":
            return lambda image: _divide_by_dft(image, gain)
        rows, columns = (_dct_matrix(n, dtype) for n in sizes)
        back = ops.transpose(rows), ops.transpose(columns)
        return lambda image: _transform(_transform(image, rows, columns) / gain, *back)

    def _conjugate_gradients(
        self, residual: Tensor, weights: Tensor, divide: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """Every channel of every image with its own step lengths."""
        solution = ops.zeros_like(residual)
        direction = eased = divide(residual)
        energy = _sums(residual * eased)
        for _ in range(self._num_steps):
            image = self._spatial.forward(self._spatial.adjoint(direction)) + weights * direction
            step = energy / (_sums(direction * image) + 1e-30)
            solution, residual = solution + step * direction, residual - step * image
            eased = divide(residual)
            energy, last = _sums(residual * eased), energy
            direction = eased + (energy / (last + 1e-30)) * direction
        return solution


class Sylvester:
    """argmin_Z |X - D Z|^2 + l |Y - Z R|^2 + m tr (Z - Z0) S^-1 (Z - Z0)^T.

    Args:
        spatial: D.
        response: R (C, c), or E^T R (p, c) for codes in an orthonormal basis E.
        msi_weight: l > 0, the ratio of the noise variances of X and Y.
        covariance: S, (C, C) or (p, p), symmetric and positive definite; None for the identity.

    Raises:
        ValueError: for a response that is no finite matrix, a weight that is not positive, or a covariance
            that is not positive definite.
    """

    def __init__(
        self,
        spatial: SpatialDegradation,
        response: np.ndarray,
        *,
        msi_weight: float = 1.0,
        covariance: np.ndarray | None = None,
    ) -> None:
        checks.require(
            np.ndim(response) == 2,
            "response",
            expected="a (bands, channels) matrix",
            received=f"shape {np.shape(response)}",
            remedy="reshape it",
        )
        checks.require_finite("response", response)
        checks.require(
            msi_weight > 0,
            "msi_weight",
            expected="a positive number",
            received=str(msi_weight),
            remedy="1 counts both images alike",
        )
        self.spatial, self.response = spatial, np.asarray(response, np.float64)
        self._axes, singular, _ = np.linalg.svd(self.response, full_matrices=True)
        self._gains = np.zeros(len(self._axes))
        self._gains[: len(singular)] = msi_weight * np.square(singular)
        self._num_seen = min(self.response.shape)
        self._msi_weight = msi_weight
        self._inverse = CoarseInverse(spatial)
        self._precision = None if covariance is None else _inverted(covariance, len(self._axes))

    def __call__(
        self, start: Tensor, lr_hsi: Tensor, hr_msi: Tensor, weight: Tensor | float = PRIOR_WEIGHT
    ) -> Tensor:
        """The minimiser.

        Args:
            start: Z0, (B, s h, s w, C).
            lr_hsi: X, (B, h, w, C).
            hr_msi: Y, (B, s h, s w, c).
            weight: m > 0, a number or scalar tensor; a number beside a covariance.

        Returns:
            (B, s h, s w, C).
        """
        if self._precision is not None:
            spectrum = self._msi_weight * self.response @ self.response.T + float(weight) * self._precision
            return self._with_spectrum(spectrum, start, lr_hsi, hr_msi)
        axes, response = (ops.convert_to_tensor(a, dtype=start.dtype) for a in (self._axes, self.response))
        total = ops.convert_to_tensor(self._gains, dtype=start.dtype) + weight
        seen = axes[:, : self._num_seen]
        move = self._msi_weight * ops.matmul(ops.transpose(response), seen) / total[: self._num_seen]
        move = ops.matmul(move, ops.transpose(seen))
        start = start + ops.matmul(hr_msi - ops.matmul(start, response), move)
        left = ops.matmul(lr_hsi - self.spatial.forward(start), axes)
        solved = ops.matmul(self._inverse(left, total), ops.transpose(axes))
        return start + self.spatial.adjoint(solved)

    def _with_spectrum(self, spectrum: np.ndarray, start: Tensor, lr_hsi: Tensor, hr_msi: Tensor) -> Tensor:
        """Z0 + (B - D* (D D* + w)^-1 D B) / w, every eigenvector with its w; B is half the gradient at Z0."""
        values, vectors = np.linalg.eigh(spectrum)
        total, axes, response = (
            ops.convert_to_tensor(a, dtype=start.dtype) for a in (values, vectors, self.response)
        )
        gap = ops.matmul(hr_msi - ops.matmul(start, response), ops.transpose(response))
        left = self.spatial.adjoint(lr_hsi - self.spatial.forward(start))
        right = ops.matmul(left + self._msi_weight * gap, axes)
        solved = self.spatial.adjoint(self._inverse(self.spatial.forward(right), total))
        return start + ops.matmul((right - solved) / total, ops.transpose(axes))

    def reach(self, weight: float = PRIOR_WEIGHT) -> int | None:
        """How far the minimiser looks beyond D itself, see `CoarseInverse.reach`."""
        least = 1.0 if self._precision is None else float(np.linalg.eigvalsh(self._precision)[0])
        return self._inverse.reach(weight * least)


class SylvesterBase:
    """The closed form as a base and as a last step of networks, in the full spectrum.

    Args:
        model: the two cameras.
        weight: m. Without noise a smaller one changes no score by 0.1 dB; with it, it bounds what noise of X
            is amplified to.
    """

    def __init__(self, model: ObservationModel, *, weight: float = PRIOR_WEIGHT) -> None:
        self.model, self._weight = model, weight
        self._solve = Sylvester(model.spatial, model.spectral.matrix)

    def __call__(self, lr_hsi: Tensor, hr_msi: Tensor) -> Tensor:
        """(B, h, w, C) and (B, s h, s w, c) to (B, s h, s w, C), near the bicubic enlargement of X."""
        return self.refine(bicubic_enlarge(lr_hsi, self.model.scale), lr_hsi, hr_msi)

    @property
    def reach(self) -> int | None:
        """How far `refine` looks beyond D itself, see `CoarseInverse.reach`; every band at its own weight."""
        return self._solve.reach(self._weight)

    def refine(self, estimate: Tensor, lr_hsi: Tensor, hr_msi: Tensor) -> Tensor:
        """The closed form around `estimate`.

        For training: its linear part is self-adjoint, so the gradient in `estimate` is that part applied to
        what comes from above; none is passed on to the observations.
        """

        @ops.custom_gradient
        def refined(free: Tensor) -> tuple[Tensor, Any]:
            def gradient(*upstreams: Tensor, upstream: Tensor | None = None) -> Tensor:
                above = upstreams[0] if upstream is None else upstream
                return self._solve(above, ops.zeros_like(lr_hsi), ops.zeros_like(hr_msi), self._weight)

            return self._solve(free, lr_hsi, hr_msi, self._weight), gradient

        return refined(estimate)


def gram_spectrum(taps: np.ndarray, sizes: list[Any], border: str, dtype: str) -> Tensor:
    """Eigenvalues (h, w) of the convolution with point-symmetric `taps`, under the DCT-II or the DFT."""
    turn = 1 if border == "mirrored" else 2
    waves = []
    for size, num_taps in zip(sizes, taps.shape, strict=True):
        lags = ops.convert_to_tensor(turn * (np.arange(num_taps) - num_taps // 2)[None], dtype="int32")
        waves.append(_angles(ops.expand_dims(ops.arange(size, dtype="int32"), 1) * lags, 2 * size, dtype))
    weights = ops.convert_to_tensor(taps, dtype=dtype)

    def mixed(rows: Tensor, columns: Tensor) -> Tensor:
        return ops.matmul(ops.matmul(rows, weights), ops.transpose(columns))

    spectrum = mixed(ops.cos(waves[0]), ops.cos(waves[1]))
    if border == "circular":
        spectrum = spectrum - mixed(ops.sin(waves[0]), ops.sin(waves[1]))
    return ops.maximum(spectrum, 0.0)


def _dct_matrix(size: Any, dtype: str) -> Tensor:
    """The orthonormal DCT-II (n, n): row k is a wave of k half turns."""
    index = ops.arange(size, dtype="int32")
    down, across = ops.expand_dims(index, 1), ops.expand_dims(index, 0)
    waves = ops.cos(_angles(down * (2 * across + 1), 4 * size, dtype))
    first = ops.cast(down == 0, dtype)
    return waves * ops.sqrt((2.0 - first) / ops.cast(size, dtype))


def _angles(steps: Tensor, turn: Any, dtype: str) -> Tensor:
    """2 pi steps / turn, whole turns taken off in integers first so that float32 keeps its digits."""
    return ops.cast(ops.mod(steps, turn), dtype) * (2.0 * np.pi / ops.cast(turn, dtype))


def _transform(image: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """`rows` along axis 1 and `columns` along axis 2 of (B, h, w, K)."""
    height, width = (image.shape[axis] or ops.shape(image)[axis] for axis in (1, 2))
    channels = image.shape[-1]
    mixed = ops.matmul(rows, ops.reshape(image, (-1, height, width * channels)))
    return ops.matmul(columns, ops.reshape(mixed, (-1, height, width, channels)))


def _divide_by_dft(image: Tensor, gain: Tensor) -> Tensor:
    """(B, h, w, K) divided by `gain` (1, h, w, K) in the DFT domain, for a real result."""
    planes, gain = ops.transpose(image, (0, 3, 1, 2)), ops.transpose(gain, (0, 3, 1, 2))
    real, imaginary = ops.fft2((planes, ops.zeros_like(planes)))
    back, _ = ops.ifft2((real / gain, imaginary / gain))
    return ops.transpose(back, (0, 2, 3, 1))


def _inverted(covariance: np.ndarray, size: int) -> np.ndarray:
    """S^-1 (n, n) of a covariance; ValueError for one of another size or not positive definite."""
    covariance = np.asarray(covariance, np.float64)
    checks.require(
        covariance.shape == (size, size)
        and bool(np.isfinite(covariance).all())
        and bool(np.linalg.eigvalsh(covariance).min() > 0),
        "covariance",
        expected=f"a positive definite ({size}, {size}) matrix",
        received=f"shape {covariance.shape}",
        remedy="add a small multiple of the identity",
    )
    return np.asarray(np.linalg.inv(covariance))


def _is_symmetric(spatial: SpatialDegradation) -> bool:
    kernel = spatial.psf.kernel
    flips = (kernel[::-1], kernel[:, ::-1])
    return not any(spatial.centre_error) and all(
        np.allclose(kernel, flipped, rtol=0, atol=1e-12) for flipped in flips
    )


def _sums(x: Tensor) -> Tensor:
    return ops.sum(x, axis=(1, 2), keepdims=True)
