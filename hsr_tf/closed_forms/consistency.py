"""The projection onto the cubes that explain both images, and how far the images are to be believed.

Everything is written in elementary operations (products, sums, divisions), with no matrix-solve operator, and
works for unknown batch and image sizes: it runs inside a model's call and is exported with it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hsr_tf.arrays import ops
from hsr_tf.arrays.axis import correlate_axis
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.resize import bicubic_enlarge
from hsr_tf.physics.spatial import SpatialDegradation
from hsr_tf.typing import Cube, Tensor

BREAK_EVEN = 0.025
SMALLEST_GAIN = 3e-3
FLOATS_AT_ONCE = 2**25
REACH_ACCURACY, IMPULSE_REACH = 1e-5, 128


class DataConsistency:
    """The nearest cube that agrees with both observations: Z R = Y and D Z = X.

    First Z <- Z - (Z R - Y) R^+, then Z <- Z + D* (D D* + w)^-1 (X - D Z). The first acts along the spectrum,
    the second over space, so the two projections commute; for noise-free observations of one scene their
    product is the projection onto the intersection.

    D D* is inverted exactly along each axis where it is a convolution (separable PSF, symmetric or with a
    circular border) by a Chebyshev iteration on its known spectrum, else by conjugate gradients.

    Args:
        model: the two cameras, R and D.
        damping: w >= 0 relative to the largest eigenvalue of D D*; a little keeps noise of X from being
            sharpened.
        tolerance: relative accuracy of the inverse.
    """

    def __init__(self, model: ObservationModel, *, damping: float = 0.0, tolerance: float = 1e-5) -> None:
        self.model = model
        self._spectral_inverse = model.spectral.pseudo_inverse()
        self._gram = model.spatial.gram_taps()
        self._damping = damping
        self._tolerance = tolerance

    def __call__(self, estimate: Tensor, lr_hsi: Tensor, hr_msi: Tensor) -> Tensor:
        """Project (B, H, W, C) onto the cubes that explain `lr_hsi` and `hr_msi`."""
        estimate = self.match_spectrum(estimate, hr_msi)
        return self.explain(estimate, self.residual(estimate, lr_hsi))

    def project(self, estimate: Tensor, lr_hsi: Tensor, hr_msi: Tensor) -> Tensor:
        """The same, for training: the gradient in `estimate` is one more projection, not a backward pass.

        The linear part of an orthogonal projection is its own adjoint, so the gradient is that part applied
        to what comes from above. None is passed on to the observations.
        """

        @ops.custom_gradient
        def projection(free: Tensor) -> tuple[Tensor, Any]:
            def gradient(*upstreams: Tensor, upstream: Tensor | None = None) -> Tensor:
                above = upstreams[0] if upstream is None else upstream
                return self(above, ops.zeros_like(lr_hsi), ops.zeros_like(hr_msi))

            return self(free, lr_hsi, hr_msi), gradient

        return projection(estimate)

    def match_spectrum(self, estimate: Tensor, hr_msi: Tensor) -> Tensor:
        """The nearest cube with Z R = Y."""
        gap = hr_msi - self.model.spectral.forward(estimate)
        return estimate + ops.matmul(gap, ops.convert_to_tensor(self._spectral_inverse, dtype=estimate.dtype))

    def residual(self, estimate: Tensor, lr_hsi: Tensor) -> Tensor:
        """X - D Z, what `estimate` leaves of the coarse cube."""
        return lr_hsi - self.model.spatial.forward(estimate)

    def explain(self, estimate: Tensor, residual: Tensor) -> Tensor:
        """The nearest cube whose coarse image is larger by `residual`."""
        return estimate + self.model.spatial.adjoint(self.solve(residual))

    def trust(self, lr_hsi: Tensor, hr_msi: Tensor, left: Tensor, counted: Tensor | None = None) -> Tensor:
        """How far the two observations are to be believed, (B, 1, 1, 1) from 0 to 1.

        Projection gains without noise and loses with it, and the observations tell which: without noise and
        with the right cameras X R = D Y. With d = |X R - D Y| / |X R| and l = |left| / |X| the weight is
        1 / (1 + (d / max(0.025 l, 1e-5))^4): one where the images agree to rounding, one half where
        projecting breaks even (on three CAVE training scenes at x8 and x16 that lies between d = l / 55 and
        l / 25, or higher).

        Args:
            lr_hsi: X, (B, h, w, C).
            hr_msi: Y, (B, s h, s w, c).
            left: X - D Z of the estimate before projection, (B, h, w, C).
            counted: (B, h, w, 1), 0 for coarse pixels that do not count and 1 for the others; None for all.
        """
        seen = self.model.spectral.forward(lr_hsi)
        gap = seen - self.model.spatial.forward(hr_msi)
        gap, seen, left, lr_hsi = (weighted(x, counted) for x in (gap, seen, left, lr_hsi))
        apart = _energy(gap) / (_energy(seen) + 1e-30)
        allowed = _energy(left) / (_energy(lr_hsi) + 1e-30)
        ratio = apart / ops.maximum(allowed * BREAK_EVEN**2, 1e-10)
        return 1.0 / (1.0 + ops.square(ratio))

    def reach(self, accuracy: float = REACH_ACCURACY) -> int | None:
        """How far `explain` looks: coarse pixels on each side of the one above an estimated pixel.

        What lies further away changes the estimate by at most `accuracy` for residuals of 1: the inverse of
        D D* decays geometrically, and the margin is read off its impulse response (nine coarse pixels for
        Gaussian PSFs whose full width at half maximum is the scale, none for box PSFs).

        None where parts of a scene are not to be projected on their own: with a circular border, which joins
        what lies apart, and where conjugate gradients look at the whole image for their step lengths.
        """
        if self._gram is None or self.model.spatial.border == "circular":
            return None
        responses = [self._impulse_response(axis) for axis in (0, 1)]
        totals = [response.sum(0).max() for response in responses]
        far = [
            [
                total * response[np.abs(_lags(response)) > margin].sum(0).max()
                for margin in range(IMPULSE_REACH)
            ]
            for response, total in zip(responses, reversed(totals), strict=True)
        ]
        enough = np.nonzero(np.sum(far, axis=0) <= accuracy)[0]
        return int(enough[0]) if len(enough) else None

    def _impulse_response(self, axis: int) -> np.ndarray:
        """|D* (D D* + w)^-1| of a coarse impulse along one axis, (coarse pixels, s)."""
        assert self._gram is not None
        spatial, length = self.model.spatial, 2 * IMPULSE_REACH + 1
        impulse = np.zeros((1, length, 1, 1))
        impulse[0, IMPULSE_REACH] = 1.0
        solved = _chebyshev_inverse(impulse, 1, self._gram[axis], "mirrored", self._damping, self._tolerance)
        factors = spatial.psf.factors
        assert factors is not None
        sparse = np.zeros((length, spatial.scale))
        sparse[:, 0] = ops.convert_to_numpy(solved)[0, :, 0, 0]
        full = np.convolve(sparse.ravel(), factors[axis][::-1])
        start = spatial.offsets[axis]
        padded = np.pad(full, [(max(start, 0), sparse.size)])[max(-start, 0) :]
        return np.abs(padded[: sparse.size].reshape(sparse.shape))

    def solve(self, residual: Tensor) -> Tensor:
        """(D D* + w)^-1 of a coarse image."""
        if self._gram is None:
            parts = _band_parts(residual, self.model.scale)
            found = [_conjugate_gradients(self.model.spatial, part, self._damping) for part in parts]
            return found[0] if len(found) == 1 else ops.concatenate(found, axis=-1)
        for axis, taps in zip((1, 2), self._gram, strict=True):
            residual = _chebyshev_inverse(
                residual, axis, taps, self.model.spatial.border, self._damping, self._tolerance
            )
        return residual


def weighted(coarse: Tensor, counted: Tensor | None) -> Tensor:
    """A coarse image (B, h, w, C) times the weights (B, h, w, 1) of its pixels; itself for None."""
    return coarse if counted is None else coarse * ops.cast(counted, coarse.dtype)


def enlarged_rest(spatial: SpatialDegradation, residual: Cube) -> Cube:
    """r - D up(r) of a coarse residual (h, w, C), up the bicubic enlargement, some bands at a time.

    up(r) + D* (D D*)^-1 of this explains r as D* (D D*)^-1 r does, and is as smooth as r: the nearest cube is
    rough where the PSF does not look at all sharp pixels alike.
    """
    rest = np.empty_like(residual)
    step = max(1, FLOATS_AT_ONCE // (residual.shape[0] * residual.shape[1] * spatial.scale**2))
    for start in range(0, residual.shape[-1], step):
        part = residual[None, ..., start : start + step]
        seen = spatial.forward(bicubic_enlarge(ops.convert_to_tensor(part), spatial.scale))
        rest[..., start : start + step] = (part - ops.convert_to_numpy(seen))[0]
    return rest


def _lags(response: np.ndarray) -> np.ndarray:
    return np.arange(len(response)) - len(response) // 2


def _chebyshev_inverse(
    residual: Tensor, axis: int, taps: np.ndarray, border: str, damping: float, tolerance: float
) -> Tensor:
    """Solve (G + w) x = residual along one axis, G the convolution with symmetric `taps` (m,)."""
    response = np.abs(np.fft.rfft(taps, 4096))
    largest, smallest = float(response.max()), float(response.min())
    weight = damping * largest
    high, low = largest + weight, max(smallest, SMALLEST_GAIN * largest) + weight
    middle, radius = (high + low) / 2, max((high - low) / 2, 1e-9 * high)
    rate = (np.sqrt(high) - np.sqrt(low)) / (np.sqrt(high) + np.sqrt(low)) + 1e-12
    num_steps = int(np.ceil(np.log(tolerance / 2) / np.log(rate)))
    solution = direction = residual / middle
    rho = radius / middle
    for _ in range(num_steps):
        residual = residual - correlate_axis(direction, axis, taps, border) - weight * direction
        rho, last = 1.0 / (2.0 * middle / radius - rho), rho
        direction = (rho * last) * direction + (2.0 * rho / radius) * residual
        solution = solution + direction
    return solution


def _band_parts(coarse: Tensor, scale: int) -> list[Tensor]:
    """Groups of bands whose sharp images have at most FLOATS_AT_ONCE values together, or one band each.

    Sizes that are not known in advance leave the image whole.
    """
    if None in coarse.shape:
        return [coarse]
    batch, height, width, num_bands = coarse.shape
    step = max(1, FLOATS_AT_ONCE // (batch * height * width * scale**2))
    return [coarse[..., band : band + step] for band in range(0, num_bands, step)]


def _conjugate_gradients(
    spatial: SpatialDegradation, residual: Tensor, damping: float, *, num_steps: int = 24
) -> Tensor:
    """Solve (D D* + w) x = residual, every image of the batch with its own step lengths."""
    solution, direction = ops.zeros_like(residual), residual
    weight = damping * float(np.square(spatial.psf.kernel).sum())
    energy = _energy(residual)
    for _ in range(num_steps):
        image = spatial.forward(spatial.adjoint(direction)) + weight * direction
        step = energy / (ops.sum(direction * image, axis=(1, 2, 3), keepdims=True) + 1e-30)
        solution, residual = solution + step * direction, residual - step * image
        energy, last = _energy(residual), energy
        direction = residual + (energy / (last + 1e-30)) * direction
    return solution


def _energy(x: Tensor) -> Tensor:
    return ops.sum(ops.square(x), axis=(1, 2, 3), keepdims=True)
