"""Figures of merit of an estimated cube: the only PSNR, RMSE, SSIM, SAM and ERGAS of the project.

They take arrays or tensors, one cube (H, W, C) or a batch (B, H, W, C),
eagerly or inside a compiled function, and answer with a tensor: a scalar for a cube, (B,) for a batch, with a
band axis or two spatial axes after it where the docstring says so. float64 stays float64; every other type is
computed in float32. Arrays with NaN or infinite values are refused; in tensors they pass into the result.
Nothing is clipped here.

`scorecard` scores a pair of arrays in one go: float64, by blocks of rows, the estimate clipped first.

Shared errors: `ValueError` for shapes that differ or have another rank than 3 or 4, and for a `data_range` or
`scale` that is not a positive number.

Sources: SSIM of Wang et al., IEEE TIP 13(4), 2004; SAM of Kruse et al., Remote Sens. Environ. 44, 1993; ERGAS
of Wald, Data Fusion, 2002, with the ratio written as the scale s, so that the factor in front is 100 / s.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from hsr_tf.arrays import ops
from hsr_tf.checks import require, require_finite
from hsr_tf.metrics.scores import Scorecard as Scorecard
from hsr_tf.metrics.scores import Summary as Summary
from hsr_tf.metrics.scores import summarise as summarise
from hsr_tf.metrics.table import compute, metrics_for
from hsr_tf.scene import Scene
from hsr_tf.typing import Tensor

SSIM_WINDOW = 11
SSIM_SIGMA = 1.5
SSIM_K1 = 0.01
SSIM_K2 = 0.03
ROWS_PER_BLOCK = 64


def psnr_per_band(reference: Tensor, estimate: Tensor, *, data_range: float = 1.0) -> Tensor:
    """PSNR of every band, 10 log10(data_range^2 / mse_b) in dB: (C,) or (B, C); infinite where exact."""
    return _psnr(_mse_per_band(reference, estimate), data_range)


def psnr_bands(reference: Tensor, estimate: Tensor, *, data_range: float = 1.0) -> Tensor:
    """Mean over the bands of each band's PSNR, in dB, with `data_range` as every band's peak."""
    return ops.mean(psnr_per_band(reference, estimate, data_range=data_range), axis=-1)


def psnr_cube(reference: Tensor, estimate: Tensor, *, data_range: float = 1.0) -> Tensor:
    """PSNR in dB of the mean squared error over all the pixels and bands of a cube; at most `psnr_bands`."""
    return _psnr(ops.mean(_mse_per_band(reference, estimate), axis=-1), data_range)


def rmse_255(reference: Tensor, estimate: Tensor, *, data_range: float = 1.0) -> Tensor:
    """Root mean squared error over a cube, scaled so that `data_range` is 255."""
    _require_positive("data_range", data_range)
    return ops.sqrt(ops.mean(_mse_per_band(reference, estimate), axis=-1)) * (255.0 / data_range)


def rmse_255_bands(reference: Tensor, estimate: Tensor, *, data_range: float = 1.0) -> Tensor:
    """Mean of each band's RMSE, `data_range` as 255: that of Han et al. (ICCV Workshops 2019, 4.1)."""
    _require_positive("data_range", data_range)
    return ops.mean(ops.sqrt(_mse_per_band(reference, estimate)), axis=-1) * (255.0 / data_range)


def ssim(reference: Tensor, estimate: Tensor, *, data_range: float = 1.0) -> Tensor:
    """Structural similarity: mean over the windows of a band, then over the bands; in [-1, 1].

    Gaussian windows of 11 x 11 and sigma 1.5, K1 = 0.01, K2 = 0.03, population covariance, and only the
    windows that lie inside the image. In float32, variances below about 1e-7 data_range^2 drown in rounding.

    Raises:
        ValueError: also when the image is smaller than the window.
    """
    pair = _pair(reference, estimate)
    return ops.mean(_ssim_map(*pair, data_range), axis=(-3, -2, -1))


def sam_degrees(reference: Tensor, estimate: Tensor) -> Tensor:
    """Mean spectral angle, in degrees from 0 to 180, over the pixels where neither spectrum is zero.

    `zero_spectra` counts the other pixels; without any pixel left the mean is NaN. A score and not a loss: at
    an angle of exactly zero its gradient does not exist.
    """
    pair = _pair(reference, estimate)
    valid = ops.cast(_both_nonzero(*pair), pair[0].dtype)
    return ops.divide(ops.sum(_angles(*pair) * valid, axis=(-2, -1)), ops.sum(valid, axis=(-2, -1)))


def sam_map(reference: Tensor, estimate: Tensor) -> Tensor:
    """Spectral angle of every pixel in degrees, (H, W) or (B, H, W); NaN where one of the spectra is zero."""
    pair = _pair(reference, estimate)
    return ops.where(_both_nonzero(*pair), _angles(*pair), float("nan"))


def zero_spectra(reference: Tensor, estimate: Tensor) -> Tensor:
    """Number of pixels that have no spectral angle: the reference's spectrum is zero, or the estimate's."""
    left_out = ops.logical_not(_both_nonzero(*_pair(reference, estimate)))
    return ops.sum(ops.cast(left_out, "int32"), axis=(-2, -1))


def error_map(reference: Tensor, estimate: Tensor) -> Tensor:
    """Absolute error of every pixel, mean over the bands, in the cubes' units: (H, W) or (B, H, W)."""
    truth, guess = _pair(reference, estimate)
    return ops.mean(ops.abs(truth - guess), axis=-1)


def ergas(reference: Tensor, estimate: Tensor, *, scale: float) -> Tensor:
    """Relative global error 100 / s * sqrt(mean_b(mse_b / mean_b^2)); mean_b is the reference's mean.

    Raises:
        ValueError: also when a band of a reference array has mean zero, for then the ratio does not exist. In
            a tensor such a band makes the result infinite or NaN.
    """
    if isinstance(reference, np.ndarray):
        _require_band_means(np.asarray(reference.mean(axis=(-3, -2), dtype=np.float64)))
    mse = _mse_per_band(reference, estimate)
    return _ergas(mse, ops.mean(_pair(reference, estimate)[0], axis=(-3, -2)), scale)


@dataclass(frozen=True, eq=False, kw_only=True)
class ScoredPair:
    """An estimate and the truth as metrics see them; what several metrics share is computed once, in float64.

    Attributes:
        reference: the true cube (H, W, C).
        estimate: the estimated one, clipped where the protocol says so.
        counted: (H, W), the pixels that count; in the others both cubes are zero.
        scale: the factor s between the fused resolutions.
        data_range: the peak of the data.
        wavelengths_nm: (C,), or None where they are not known.
    """

    reference: np.ndarray
    estimate: np.ndarray
    counted: np.ndarray
    scale: float
    data_range: float = 1.0
    wavelengths_nm: np.ndarray | None = None

    @cached_property
    def mse_per_band(self) -> np.ndarray:
        """(C,): mean squared error of every band over the pixels that count."""
        return _sum_over_rows(_squared_error_sums, self.reference, self.estimate) / self.counted.sum()

    @cached_property
    def band_means(self) -> np.ndarray:
        """(C,): mean of every band of the reference over the pixels that count."""
        sums = self.reference.sum(axis=(0, 1), dtype=np.float64)
        return np.asarray(sums / self.counted.sum())

    @cached_property
    def zero_spectra(self) -> int:
        """Number of pixels that count but have no spectral angle."""
        return int(self._angles[1]) - int((~self.counted).sum())

    @property
    def sam_degrees(self) -> float:
        """Mean spectral angle over the pixels that have one; NaN without any."""
        count = int(self.counted.sum()) - self.zero_spectra
        return float(self._angles[0]) / count if count else math.nan

    @cached_property
    def ssim(self) -> float:
        """Mean SSIM over the windows whose pixels all count, and over the bands; NaN without any window."""
        windows: Any = self.counted  # (H - 10, W - 10) in the end
        for axis in (0, 1):
            windows = sliding_window_view(windows, SSIM_WINDOW, axis=axis).all(-1)
        total, count = 0.0, int(windows.sum()) * self.reference.shape[2]
        for start in range(0, len(windows), ROWS_PER_BLOCK):
            rows = slice(start, start + ROWS_PER_BLOCK + SSIM_WINDOW - 1)
            truth, guess = _block(self.reference, self.estimate, rows)
            found = _ssim_map(truth, guess, self.data_range)
            kept = ops.convert_to_tensor(windows[start : start + ROWS_PER_BLOCK, :, None].astype(np.float64))
            total += float(ops.sum(found * kept))
        return total / count if count else math.nan

    @cached_property
    def _angles(self) -> np.ndarray:
        """Sum of the angles in degrees, and number of the pixels without one."""
        return _sum_over_rows(_angle_sums, self.reference, self.estimate)


def scorecard(
    reference: Any,
    estimate: Any,
    *,
    scale: float,
    data_range: float = 1.0,
    clip: bool = True,
    counted: np.ndarray | None = None,
) -> Scorecard:
    """Compute every score of one estimated cube, accumulated in float64.

    Args:
        reference: the true cube (H, W, C), at least 11 x 11 pixels, or a `Scene` of it, whose wavelengths are
            given to metrics that need them; never changed or rescaled.
        estimate: the estimated cube, of the same shape.
        scale: the factor s between the fused resolutions, for ERGAS.
        data_range: the peak of the data, the same for every band; never guessed from the values.
        clip: whether the estimate is clipped to [0, data_range] first, as the evaluation protocol wants.
        counted: (H, W) bool, False for pixels that are left out, such as those without data; None for none.
            SSIM takes the windows without such a pixel, and is NaN where there is no such window.

    Raises:
        ValueError: for another rank than 3, shapes that differ, images smaller than the SSIM window, NaN or
            infinite values, a reference band with mean zero, a scale or data_range that is not positive, no
            pixel that counts.
    """
    wavelengths_nm = reference.wavelengths_nm if isinstance(reference, Scene) else None
    cubes = [cube.cube if isinstance(cube, Scene) else cube for cube in (reference, estimate)]
    truth, guess = _single_cube("reference", cubes[0]), _single_cube("estimate", cubes[1])
    _require_same_shape(truth.shape, guess.shape)
    _require_window(truth.shape)
    _require_positive("data_range", data_range)
    _require_positive("scale", scale)
    inside = np.ones(truth.shape[:2], bool) if counted is None else _pixels_that_count(counted, truth)
    if clip:
        guess = np.clip(guess, 0.0, data_range)
    if counted is not None:  # where both are zero there is no error, and no angle
        truth, guess = (np.where(inside[..., None], cube, 0) for cube in (truth, guess))
    pair = ScoredPair(
        reference=truth,
        estimate=guess,
        counted=inside,
        scale=scale,
        data_range=data_range,
        wavelengths_nm=wavelengths_nm,
    )
    _require_band_means(pair.band_means)
    known = [] if wavelengths_nm is None else ["wavelengths"]
    scores = {metric.name: float(compute(metric, pair, known=known)) for metric in metrics_for()}
    return Scorecard.of(scores | {"zero_spectra": float(pair.zero_spectra)})


@dataclass(frozen=True)
class LumaScores:
    """PSNR in dB (infinite where exact) and SSIM of an estimated luminance, and scores of other packages."""

    psnr: float
    ssim: float
    added: Mapping[str, float] = field(default_factory=dict, hash=False)


def luma_scores(reference: Any, estimate: Any, *, border: int, eight_bit: bool = True) -> LumaScores:
    """PSNR and SSIM on Y as the papers on single images count them.

    Both are clipped to [0, 1] and rounded to multiples of 1 / 255 first, as an 8-bit file would do; `border`
    pixels a side are left out; the peak is 1 although Y itself ends at 235 / 255.

    Args:
        reference, estimate: luminance (H, W, 1) in [0, 1].
        border: pixels a side that do not count, by convention the scale (rounded up).
        eight_bit: whether they are rounded.

    Raises:
        ValueError: for more than one channel, shapes that differ, or fewer than 11 x 11 pixels inside.
    """
    truth, guess = _single_cube("reference", reference), _single_cube("estimate", estimate)
    _require_same_shape(truth.shape, guess.shape)
    require(
        truth.shape[-1] == 1,
        "reference",
        expected="luminance, one channel",
        received=f"{truth.shape[-1]} channels",
        remedy="convert both with hsr_tf.arrays.color.rgb_to_y",
    )
    inside = slice(border, -border or None)
    pair = [np.clip(image[inside, inside].astype(np.float64), 0.0, 1.0) for image in (truth, guess)]
    if eight_bit:
        pair = [np.rint(255.0 * image) / 255.0 for image in pair]
    _require_window(pair[0].shape)
    scored = ScoredPair(
        reference=pair[0], estimate=pair[1], counted=np.ones(pair[0].shape[:2], bool), scale=1.0
    )
    scores = {metric.name: float(compute(metric, scored)) for metric in metrics_for("luma")}
    return LumaScores(scores.pop("psnr"), scores.pop("ssim"), scores)


def _mse_per_band(reference: Tensor, estimate: Tensor) -> Tensor:
    truth, guess = _pair(reference, estimate)
    return ops.mean(ops.square(truth - guess), axis=(-3, -2))


def _psnr(mse: Tensor, data_range: float) -> Tensor:
    _require_positive("data_range", data_range)
    return 20.0 * math.log10(data_range) - 10.0 * ops.log10(mse)


def _ergas(mse: Tensor, band_means: Tensor, scale: float) -> Tensor:
    _require_positive("scale", scale)
    return 100.0 / scale * ops.sqrt(ops.mean(mse / ops.square(band_means), axis=-1))


def _both_nonzero(truth: Tensor, guess: Tensor) -> Tensor:
    return ops.logical_and(ops.any(truth != 0, axis=-1), ops.any(guess != 0, axis=-1))


def _angles(truth: Tensor, guess: Tensor) -> Tensor:
    """Angles by 2 atan2(|u - v|, |u + v|) of unit spectra, which keeps its digits near 0 and 180 degrees."""
    u, v = _unit_spectra(truth), _unit_spectra(guess)
    return ops.arctan2(_length(u - v), _length(u + v)) * (360.0 / math.pi)


def _unit_spectra(cube: Tensor) -> Tensor:
    """Spectra of length 1 (zero spectra stay zero); divided by their peak first, so no square underflows."""
    peak = ops.max(ops.abs(cube), axis=-1, keepdims=True)
    spectra = cube / ops.where(peak == 0, ops.ones_like(peak), peak)
    length = ops.expand_dims(_length(spectra), axis=-1)
    return spectra / ops.where(length == 0, ops.ones_like(length), length)


def _length(spectra: Tensor) -> Tensor:
    return ops.sqrt(ops.sum(ops.square(spectra), axis=-1))


def _ssim_map(truth: Tensor, guess: Tensor, data_range: float) -> Tensor:
    """SSIM of every whole window and band, (..., H - 10, W - 10, C)."""
    _require_window(truth.shape)
    _require_positive("data_range", data_range)
    mean_x, mean_y = _window_means(truth), _window_means(guess)
    power = _window_means(ops.square(truth) + ops.square(guess))
    product = _window_means(truth * guess)
    c1, c2 = (SSIM_K1 * data_range) ** 2, (SSIM_K2 * data_range) ** 2
    mean_power, mean_product = ops.square(mean_x) + ops.square(mean_y), mean_x * mean_y
    numerator = (2.0 * mean_product + c1) * (2.0 * (product - mean_product) + c2)
    return numerator / ((mean_power + c1) * (power - mean_power + c2))


def _window_means(cube: Tensor) -> Tensor:
    """Gaussian-weighted means over the whole windows: a depthwise convolution along each axis."""
    offsets = np.arange(SSIM_WINDOW) - SSIM_WINDOW // 2
    weights = np.exp(-0.5 * np.square(offsets / SSIM_SIGMA))
    taps = np.tile((weights / weights.sum())[:, None, None, None], (1, 1, cube.shape[-1], 1))
    images = cube if len(cube.shape) == 4 else ops.expand_dims(cube, axis=0)
    for kernel in (taps, taps.transpose(1, 0, 2, 3)):
        images = ops.depthwise_conv(images, ops.convert_to_tensor(kernel, cube.dtype), padding="valid")
    return images if len(cube.shape) == 4 else images[0]


def _squared_error_sums(truth: Tensor, guess: Tensor) -> Tensor:
    return ops.sum(ops.square(truth - guess), axis=(0, 1))


def _angle_sums(truth: Tensor, guess: Tensor) -> Tensor:
    """Sum of the angles of a block in degrees, and number of the pixels that have none."""
    valid = ops.cast(_both_nonzero(truth, guess), truth.dtype)
    return ops.stack([ops.sum(_angles(truth, guess) * valid), ops.sum(1.0 - valid)])


def _sum_over_rows(measure: Callable[..., Tensor], truth: np.ndarray, guess: np.ndarray) -> np.ndarray:
    """Sum of `measure` over blocks of rows in float64: bounded memory."""
    total: Any = 0.0
    for start in range(0, truth.shape[0], ROWS_PER_BLOCK):
        block = _block(truth, guess, slice(start, start + ROWS_PER_BLOCK))
        total = total + ops.convert_to_numpy(measure(*block))
    return total


def _block(truth: np.ndarray, guess: np.ndarray, rows: slice) -> tuple[Tensor, Tensor]:
    """These rows of both in float64."""
    first, second = (ops.convert_to_tensor(cube[rows].astype(np.float64)) for cube in (truth, guess))
    return first, second


def _pixels_that_count(counted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    mask = np.asarray(counted)
    good = mask.shape == truth.shape[:2] and mask.dtype == bool and bool(mask.any())
    expected = f"a boolean array of shape {truth.shape[:2]} that is True somewhere"
    received = f"dtype {mask.dtype}, shape {mask.shape}, {np.count_nonzero(mask)} True"
    require(good, "counted", expected=expected, received=received, remedy="check the masks of both cubes")
    return mask


def _pair(reference: Tensor, estimate: Tensor) -> tuple[Tensor, Tensor]:
    """Both cubes as tensors of one floating type that is at least float32."""
    for name, cube in (("reference", reference), ("estimate", estimate)):
        if isinstance(cube, np.ndarray):
            require_finite(name, cube)
    truth, guess = ops.convert_to_tensor(reference), ops.convert_to_tensor(estimate)
    _require_same_shape(truth.shape, guess.shape)
    dtype = ops.result_type(truth.dtype, guess.dtype, "float32")
    return ops.cast(truth, dtype), ops.cast(guess, dtype)


def _single_cube(name: str, cube: Any) -> np.ndarray:
    values = cube if isinstance(cube, np.ndarray) else ops.convert_to_numpy(cube)
    require(
        values.ndim == 3,
        name,
        expected="one cube (rows, columns, bands)",
        received=f"shape {values.shape}",
        remedy="score a batch cube by cube",
    )
    require_finite(name, values)
    return values


def _require_same_shape(reference: Sequence[int | None], estimate: Sequence[int | None]) -> None:
    require(
        len(reference) in (3, 4),
        "reference",
        expected="a cube (rows, columns, bands) or a batch of them",
        received=f"shape {tuple(reference)}",
        remedy="add the missing axes",
    )
    same = len(reference) == len(estimate)
    same = same and all(a == b or None in (a, b) for a, b in zip(reference, estimate, strict=True))
    require(
        same,
        "estimate",
        expected=f"the reference's shape {tuple(reference)}",
        received=str(tuple(estimate)),
        remedy="crop or estimate again so that rows, columns and bands agree",
    )


def _require_window(shape: Sequence[int | None]) -> None:
    sides = [side for side in tuple(shape)[-3:-1] if side is not None]
    require(
        all(side >= SSIM_WINDOW for side in sides),
        "reference",
        expected=f"at least {SSIM_WINDOW} x {SSIM_WINDOW} pixels, the window of SSIM",
        received=" x ".join(map(str, sides)),
        remedy="score a larger image",
    )


def _require_positive(name: str, value: float) -> None:
    good = isinstance(value, (int, float, np.integer, np.floating)) and math.isfinite(value) and value > 0
    require(
        good, name, expected="a positive number", received=repr(value), remedy="pass the one of your data"
    )


def _require_band_means(means: np.ndarray) -> None:
    empty = sorted({int(band) for band in np.argwhere(means == 0)[:, -1]})
    require(
        not empty,
        "reference",
        expected="bands whose mean is not zero, for ERGAS divides by it",
        received=f"mean zero in bands {empty} (counted from 0)",
        remedy="leave these bands out of both cubes",
    )
