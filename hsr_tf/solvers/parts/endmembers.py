"""Endmembers and abundances: vertex component analysis, and least squares under constraints on every row.

Spectra are rows throughout: S (n, C) = A E with abundances A (n, p) and endmembers E (p, C). Rows of A lie on
the simplex (not negative, sum one) or are only not negative; entries of E lie in a box.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsr_tf import checks

Matrix = NDArray[np.float32]
Projection = Callable[[Matrix], Matrix]
Stop = Callable[[], bool]
ROWS_AT_ONCE = 2048
SMALLEST = 1e-12


def vertex_components(spectra: Matrix, num_endmembers: int, *, seed: int) -> Matrix:
    """Vertex component analysis: the observed spectra that are corners of the cloud of all spectra.

    Nascimento and Bioucas-Dias, IEEE TGRS 43(4), 2005. The spectra are projected on their leading singular
    vectors and scaled to a common plane; then, again and again, the spectrum that reaches furthest along a
    random direction orthogonal to those already found is the next endmember.

    Departures: always the projective branch (the paper's for high signal-to-noise ratio). The spectra that
    span nothing new, once all dimensions are used up, are drawn at random.

    Args:
        spectra: (n, C), not all zero.
        num_endmembers: p, at least 1.
        seed: of the random directions.

    Returns:
        (p, C), rows of `spectra`.

    Raises:
        ValueError: for no endmember.
    """
    checks.require(
        num_endmembers >= 1,
        "num_endmembers",
        expected="a positive number of endmembers",
        received=str(num_endmembers),
        remedy="use 10",
    )
    rng = np.random.default_rng(seed)
    num_corners = min(num_endmembers, *spectra.shape)
    plane = _projective(spectra.astype(np.float64), num_corners)
    corners = np.zeros((num_corners, num_corners))
    found: list[int] = []
    for k in range(num_corners):
        direction = rng.standard_normal(num_corners)
        direction -= np.linalg.pinv(corners[:k]) @ (corners[:k] @ direction)
        found.append(int(np.argmax(np.abs(plane @ direction))))
        corners[k] = plane[found[-1]]
    found += rng.integers(0, len(spectra), num_endmembers - num_corners).tolist()
    return np.ascontiguousarray(spectra[found])


def project_simplex(rows: Matrix) -> Matrix:
    """The nearest point of the simplex {a >= 0, sum(a) = 1} to every row.

    The threshold t of max(a - t, 0) comes from the sorted row: Held, Wolfe, Crowder, Math. Prog. 6, 1974.

    Args:
        rows: (n, p), finite.
    """
    result = np.empty_like(rows)
    count = np.arange(1, rows.shape[1] + 1, dtype=rows.dtype)
    for part in _parts(len(rows)):
        falling = np.sort(rows[part], axis=1)[:, ::-1]
        thresholds = (np.cumsum(falling, axis=1) - 1) / count
        last = np.sum(falling > thresholds, axis=1, keepdims=True) - 1
        shift = np.take_along_axis(thresholds, np.maximum(last, 0), axis=1)
        np.maximum(rows[part] - shift, 0, out=result[part])
    return result


def project_nonnegative(rows: Matrix) -> Matrix:
    """Negative entries become zero."""
    return np.maximum(rows, 0)


@dataclass(frozen=True)
class Descent:
    """How projected gradients run.

    Attributes:
        num_steps: cap.
        tolerance: they end when the root mean square residual falls by less than this share in one step.
        accelerated: Nesterov momentum, restarted where the residual rises, with the largest eigenvalue for
            the Lipschitz constant; else plain steps with its Frobenius bound times 1.01, as in Lanaras et al.
    """

    num_steps: int
    tolerance: float
    accelerated: bool = True

    def lipschitz(self, gram: Matrix) -> float:
        """A bound of the gradient's Lipschitz constant."""
        bound = np.linalg.eigvalsh(gram)[-1] if self.accelerated else np.linalg.norm(gram)
        return 1.01 * max(float(bound), 1e-12)


def never() -> bool:
    """No reason to stop."""
    return False


def constrained_rows(
    targets: Matrix,
    design: Matrix,
    start: Matrix,
    *,
    project: Projection,
    descent: Descent,
    stop: Stop = never,
) -> Matrix:
    """Rows a that minimise |t - a M|^2 under a constraint, by projected gradients.

    Rows are independent of one another, so they are worked off in groups that stay in the cache.

    Args:
        targets: t, (n, m).
        design: M, (p, m).
        start: (n, p).
        project: nearest rows that obey the constraint, (n, p) -> (n, p).
        descent: number and kind of the steps.
        stop: asked before every step; the rows stay as they are once it says yes.

    Returns:
        (n, p).
    """
    parts = [
        _descend(targets[part], design, project(start[part]), project, descent, stop)
        for part in _parts(len(targets))
    ]
    return np.concatenate(parts)


def multiplicative_rows(
    targets: Matrix, design: Matrix, start: Matrix, *, descent: Descent, stop: Stop = never
) -> Matrix:
    """Rows a >= 0 that lower |t - a M|^2 by multiplicative updates (Lee and Seung, NIPS 2000).

    Args:
        targets: t, (n, m), not negative.
        design: M, (p, m), not negative.
        start: (n, p), positive where the rows are to change.
        descent: number of updates, and the share by which the residual must fall in one.
        stop: see `constrained_rows`.
    """
    parts = [_multiply(targets[part], design, start[part], descent, stop) for part in _parts(len(targets))]
    return np.concatenate(parts)


def fit_endmembers(
    spectra: Matrix,
    abundances: Matrix,
    start: Matrix,
    *,
    upper: float,
    descent: Descent,
    stop: Stop = never,
) -> Matrix:
    """Endmembers in [0, upper] that minimise |S - A E|^2, from `start` (p, C); the bands are independent."""

    def in_box(rows: Matrix) -> Matrix:
        return np.clip(rows, 0, np.float32(upper))

    found = constrained_rows(spectra.T, abundances.T, start.T, project=in_box, descent=descent, stop=stop)
    return np.ascontiguousarray(found.T)


def _descend(
    targets: Matrix, design: Matrix, rows: Matrix, project: Projection, descent: Descent, stop: Stop
) -> Matrix:
    pull = np.ascontiguousarray(design.T) / np.float32(descent.lipschitz(design @ design.T))
    ahead, momentum, last = rows, 1.0, np.inf
    for _ in range(descent.num_steps):
        left = ahead @ design - targets
        size = _size(left)
        if stop() or (last <= size * (1 + descent.tolerance) and (size <= last or not descent.accelerated)):
            break
        moved = project(ahead - left @ pull)
        momentum = 1.0 if size > last else momentum
        following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        weight = np.float32((momentum - 1) / following if descent.accelerated else 0)
        ahead, rows = moved + weight * (moved - rows), moved
        momentum, last = following, size
    return rows


def _multiply(targets: Matrix, design: Matrix, rows: Matrix, descent: Descent, stop: Stop) -> Matrix:
    along, gram, last = targets @ design.T, design @ design.T, np.inf
    for _ in range(descent.num_steps):
        if stop():
            break
        share = np.maximum(rows @ gram, SMALLEST)
        np.divide(along, share, out=share)
        rows = np.multiply(rows, share, out=share)
        if descent.tolerance > 0:
            size = _size(rows @ design - targets)
            if last <= size * (1 + descent.tolerance):
                break
            last = size
    return rows


def _size(left: Matrix) -> float:
    return float(np.sqrt(np.mean(np.square(left))))


def _projective(spectra: NDArray[np.float64], num_dimensions: int) -> NDArray[np.float64]:
    """Coordinates on the leading singular vectors, scaled to the plane through their mean."""
    _, vectors = np.linalg.eigh(spectra.T @ spectra)
    coordinates = spectra @ vectors[:, ::-1][:, :num_dimensions]
    along = coordinates @ coordinates.mean(0)
    return coordinates / np.maximum(along, 1e-3 * np.abs(along).max() + 1e-30)[:, None]


def _parts(num_rows: int) -> list[Any]:
    return [slice(first, first + ROWS_AT_ONCE) for first in range(0, num_rows, ROWS_AT_ONCE)]
