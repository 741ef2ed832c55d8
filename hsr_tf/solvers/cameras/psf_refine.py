"""A free PSF near a parametric one: k = k0 + B d with k >= 0 and sum k = 1.

    d = argmin sum over channels of min over R |X R - D_k Y|^2 + w |P R|^2, plus m |S (d / e)|^2

For any k the best response follows in closed form, so the first term is a quadratic form in k alone (variable
projection) and d comes from one linear system; non-negativity by ADMM where the solution lacks it. S is
roughness and size, e the envelope of k0, so that k changes most where k0 is large. m is chosen on coarse
pixels held out, m = infinity (k = k0) among the choices. B interpolates linearly between knots every s / 8
pixels: with a larger support than the coarse image has pixels, only the smooth part of k can be known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.ndimage import gaussian_filter

from hsr_tf.solvers.cameras.coarse_pixels import CoarsePixels
from hsr_tf.solvers.cameras.response_fit import ResponseFit
from hsr_tf.typing import Array

Solve = Callable[[Array], Array]
STRENGTHS = (1e-10, 1e-8, 1e-6, 1e-4, 1e-2)
KNOTS_A_CELL = 8
SMALLEST_GAIN = 0.05
NEGLIGIBLE = 1e-4
NUM_ADMM_STEPS = 150


@dataclass(frozen=True, eq=False)
class Refined:
    """Outcome of one refinement.

    Attributes:
        kernel: k, (n, n).
        strength: m; infinity where k0 was kept.
        held_out_error: of k on the pixels held out, relative to the colours' deviation there.
        held_out_before: the same of k0.
    """

    kernel: Array
    strength: float
    held_out_error: float
    held_out_before: float


class KernelRefinement:
    """Refinements of kernels on one set of coarse pixels.

    Args:
        pixels: the coarse pixels.
        width: of the response's channels, in bands.
    """

    def __init__(self, pixels: CoarsePixels, width: float) -> None:
        self._pixels = pixels
        self._knots = knot_basis(pixels.num_taps, -(-pixels.scale // KNOTS_A_CELL))
        self._taps = pixels.mixed(self._knots)
        self._train = ~pixels.held_out
        self._responses = {
            part: ResponseFit(pixels.spectra[rows], width) for part, rows in self._parts().items()
        }

    def refine(self, kernel: Array, weights: Array) -> Refined:
        """The best kernel near `kernel` (n, n), for weights (c,) of the response's prior.

        It is kept as it is unless the held-out error falls by a twentieth.
        """
        penalty = self._penalty(kernel)
        train = self._system(kernel, weights, "train")
        found = {strength: self._solve(kernel, train, penalty * strength) for strength in STRENGTHS}
        errors = {strength: self._held_out_error(found[strength], weights) for strength in STRENGTHS}
        before = self._held_out_error(kernel, weights)
        best = min(STRENGTHS, key=lambda strength: errors[strength])
        if errors[best] > (1 - SMALLEST_GAIN) * before:
            return Refined(kernel, np.inf, before, before)
        whole = self._system(kernel, weights, "whole")
        refined = self._solve(kernel, whole, penalty * best)
        return Refined(refined, best, errors[best], before)

    def _parts(self) -> dict[str, NDArray[np.bool_]]:
        return {"train": self._train, "whole": np.ones_like(self._train)}

    def _system(self, kernel: Array, weights: Array, part: str) -> tuple[Array, Array]:
        """Matrix (K, K) and gradient (K,) of the data term at d = 0, each channel by its own variance."""
        rows, response = self._parts()[part], self._responses[part]
        colours = self._pixels.colours(kernel)[rows]
        shares = response.shares(weights * (len(colours) / len(rows)))
        matrix: Array = np.zeros((self._taps.shape[-1],) * 2)
        gradient: Array = np.zeros(self._taps.shape[-1])
        for channel, taps in enumerate(self._taps):
            own, colour = taps[rows], colours[:, channel]
            along = response.basis.T @ own
            scale = 1.0 / (colour.var() * colours.size + 1e-30)
            weighed = along * shares[:, channel : channel + 1]
            matrix += scale * (own.T @ own - weighed.T @ along)
            gradient += scale * (own.T @ colour - weighed.T @ (response.basis.T @ colour))
        return matrix, gradient

    def _penalty(self, kernel: Array) -> Array:
        """S with the envelope, (K, K)."""
        num_knots = self._knots.shape[1]
        differences = np.diff(np.eye(num_knots), axis=0)
        rough, one = differences.T @ differences, np.eye(num_knots)
        knot_spacing = -(-self._pixels.scale // KNOTS_A_CELL)
        size = 0.1 * (KNOTS_A_CELL * knot_spacing / self._pixels.scale) ** 2
        smooth = gaussian_filter(kernel, max(1.0, self._pixels.scale / 8))
        coarse = self._knots.T @ (smooth + 0.02 * smooth.max()) @ self._knots
        envelope = (coarse / np.outer(self._knots.sum(0), self._knots.sum(0))).ravel()
        whole = np.kron(one, rough) + np.kron(rough, one) + size * np.eye(num_knots**2)
        return whole / np.outer(envelope, envelope) / len(envelope)

    def _solve(self, kernel: Array, system: tuple[Array, Array], penalty: Array) -> Array:
        """k for one penalty."""
        matrix, gradient = system
        mass = np.outer(self._knots.sum(0), self._knots.sum(0)).ravel()
        jitter = 1e-14 * np.trace(matrix) / len(matrix)
        solve = _constrained(matrix + penalty + jitter * np.eye(len(matrix)), mass)
        free = kernel + self._spread(solve(-gradient))
        if -np.minimum(free, 0.0).sum() > NEGLIGIBLE:
            free = self._non_negative(kernel, matrix + penalty, gradient, mass)
        positive = np.maximum(free, 0.0)
        return positive / positive.sum()

    def _non_negative(self, kernel: Array, matrix: Array, gradient: Array, mass: Array) -> Array:
        """ADMM with the splitting k = z >= 0."""
        gram = self._knots.T @ self._knots
        tie = 0.1 * np.trace(matrix) / len(matrix)
        solve = _constrained(matrix + tie * np.kron(gram, gram), mass)
        positive, dual = np.maximum(kernel, 0.0), np.zeros_like(kernel)
        for _ in range(NUM_ADMM_STEPS):
            target = self._knots.T @ (positive - dual - kernel) @ self._knots
            current = kernel + self._spread(solve(tie * target.ravel() - gradient))
            positive = np.maximum(current + dual, 0.0)
            dual += current - positive
        return positive

    def _spread(self, coefficients: Array) -> Array:
        num_knots = self._knots.shape[1]
        return self._knots @ coefficients.reshape(num_knots, num_knots) @ self._knots.T

    def _held_out_error(self, kernel: Array, weights: Array) -> float:
        return held_out_error(self._pixels, self._responses["train"], kernel, weights)


def held_out_error(pixels: CoarsePixels, train: ResponseFit, kernel: Array, weights: Array) -> float:
    """Error on the pixels held out of a response fitted to the others, relative to the colours' deviation."""
    colours, rows = pixels.colours(kernel), pixels.held_out
    gap = pixels.spectra[rows] @ train.solve(colours[~rows], weights) - colours[rows]
    return float(np.sqrt(np.mean(np.square(gap).mean(0) / (colours[rows].var(0) + 1e-30))))


def knot_basis(num_taps: int, spacing: int) -> Array:
    """Linear interpolation between knots `spacing` pixels apart, (taps, knots); rows sum to one."""
    if spacing == 1:
        return np.eye(num_taps)
    num_intervals = -(-(num_taps - 1) // spacing)
    first = (num_taps - 1 - num_intervals * spacing) / 2
    knots = first + spacing * np.arange(num_intervals + 1)
    return np.clip(1 - np.abs(np.arange(num_taps)[:, None] - knots[None]) / spacing, 0.0, 1.0)


def _constrained(matrix: Array, mass: Array) -> Solve:
    """The solver of min d.M d / 2 - b.d with mass.d = 0, as a function of b."""
    factor = cho_factor(matrix)
    along = cho_solve(factor, mass)

    def solve(right: Array) -> Array:
        free = cho_solve(factor, right)
        return free - along * (mass @ free) / (mass @ along)

    return solve
