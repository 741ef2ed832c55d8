"""Distributions of blur kernels, drawn inside a compiled step from stateless seeds: (B, 21, 21) a batch.

A specification is a word with ranges, as `parse_kernels` reads it:

    isotropic:0.2-4.0        Gaussians of sigma ~ U[0.2, 4.0] pixels (the default, as published)
    anisotropic:0.6-5.0      Gaussians of two such deviations and any direction
    motion:2-16              arcs of such a length in pixels, any direction, turning by up to a quarter turn
    file.mat                 kernels of a file, each turned by quarters and flipped at random
    isotropic+motion         any of these with equal chances, with or without ranges
"""

from __future__ import annotations

import math
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from scipy.io import loadmat

from hsr_tf import checks
from hsr_tf.io.source import decoding
from hsr_tf.physics.kernel_shapes import (
    KERNEL_SIZE,
    anisotropic_kernels,
    gaussian_kernels,
    motion_kernels,
)
from hsr_tf.physics.psf import load_psf

FORMS = ("isotropic:0.2-4.0", "anisotropic:0.6-5.0", "motion:2-16", "file.mat", "isotropic+motion")


class KernelDistribution(ABC):
    """Kernels of one kind; `size` is k."""

    size: int

    @abstractmethod
    def draw(self, num: int, seed: Any) -> tf.Tensor:
        """`num` kernels (B, k, k) float32 of sum 1, a function of the seed, (2,) integers, alone."""

    def sample(self, num: int, seed: int = 0) -> np.ndarray:
        """`num` kernels as an array, for a kernel code or a picture."""
        return np.asarray(self.draw(num, tf.constant([seed, 0])))


@dataclass(frozen=True)
class Isotropic(KernelDistribution):
    """Isotropic Gaussians of sigma ~ U[low, high] pixels."""

    low: float = 0.2
    high: float = 4.0
    size: int = KERNEL_SIZE

    def draw(self, num: int, seed: Any) -> tf.Tensor:
        """Kernels of one deviation each."""
        sigma = tf.random.stateless_uniform((num,), seed, self.low, self.high)
        return gaussian_kernels(sigma, self.size)


@dataclass(frozen=True)
class Anisotropic(KernelDistribution):
    """Gaussians of two deviations ~ U[low, high] pixels in a direction ~ U[0, pi)."""

    low: float = 0.6
    high: float = 5.0
    size: int = KERNEL_SIZE

    def draw(self, num: int, seed: Any) -> tf.Tensor:
        """Kernels of two deviations and a direction each."""
        uniform = tf.random.stateless_uniform((3, num), seed)
        along, across = tf.unstack(self.low + (self.high - self.low) * uniform[:2])
        return anisotropic_kernels(along, across, math.pi * uniform[2], self.size)


@dataclass(frozen=True)
class Motion(KernelDistribution):
    """Arcs of length ~ U[low, high] pixels, direction ~ U[0, pi), that turn by ~ U[-bend, bend] radians."""

    low: float = 2.0
    high: float = 16.0
    bend: float = math.pi / 2
    size: int = KERNEL_SIZE

    def draw(self, num: int, seed: Any) -> tf.Tensor:
        """Kernels of one arc each."""
        uniform = tf.random.stateless_uniform((3, num), seed)
        length = self.low + (self.high - self.low) * uniform[0]
        return motion_kernels(length, math.pi * uniform[1], self.bend * (2 * uniform[2] - 1), self.size)


class KernelBank(KernelDistribution):
    """Kernels of a list, turned by quarters and flipped at random.

    Args:
        kernels: (N, k, k) of sum 1, see `load_kernels`.
        augment: turn and flip.
    """

    def __init__(self, kernels: np.ndarray, *, augment: bool = True) -> None:
        self._kernels = tf.constant(kernels, tf.float32)
        self._augment, self.size = augment, kernels.shape[-1]

    def draw(self, num: int, seed: Any) -> tf.Tensor:
        """Kernels of the list, each with equal chance."""
        seeds = tf.random.split(seed, 2)
        index = tf.random.stateless_uniform((num,), seeds[0], 0, self._kernels.shape[0], tf.int32)
        kernels = tf.gather(self._kernels, index)
        if not self._augment:
            return kernels
        coins = tf.random.stateless_uniform((3, num, 1, 1), seeds[1], 0, 2, tf.int32) == 1
        kernels = tf.where(coins[0], tf.transpose(kernels, (0, 2, 1)), kernels)
        kernels = tf.where(coins[1], kernels[:, ::-1], kernels)
        return tf.where(coins[2], kernels[:, :, ::-1], kernels)


class Mixture(KernelDistribution):
    """Each kernel from one of several distributions of the same size, with equal chances."""

    def __init__(self, parts: Sequence[KernelDistribution]) -> None:
        self._parts, self.size = tuple(parts), parts[0].size

    def draw(self, num: int, seed: Any) -> tf.Tensor:
        """Kernels of all parts are drawn, and one is kept a sample."""
        seeds = tf.random.split(seed, len(self._parts) + 1)
        drawn = tf.stack([part.draw(num, seeds[i + 1]) for i, part in enumerate(self._parts)])
        choice = tf.random.stateless_uniform((num,), seeds[0], 0, len(self._parts), tf.int32)
        return tf.gather_nd(drawn, tf.stack([choice, tf.range(num)], 1))


def parse_kernels(spec: str, size: int = KERNEL_SIZE) -> KernelDistribution:
    """The distribution that a specification describes; see the module's text.

    Raises:
        ValueError: for a word or a range that is not understood; the message lists the forms.
        OSError: for a file that is missing or cannot be read.
    """
    if Path(spec).suffix.lower() in (".mat", ".npz", ".npy", ".csv", ".txt"):
        return KernelBank(load_kernels(spec, size))
    parts = [_parse_part(part, size) for part in spec.split("+")]
    return parts[0] if len(parts) == 1 else Mixture(parts)


def load_kernels(path: str | os.PathLike[str], size: int = KERNEL_SIZE) -> np.ndarray:
    """Every kernel of a file: .mat (v5; matrices and cells of them), .npz, .npy, .csv, .txt.

    Smaller kernels are filled with zeros, an even side with one zero more behind; larger ones lose rows and
    columns at the border as long as these hold at most a hundredth of the sum.

    Returns:
        (N, k, k) float32, sums 1.

    Raises:
        OSError: for a file that is missing, damaged or without a kernel.
        ValueError: for negative or non-finite taps, or a kernel that is larger than `size`.
    """
    path = Path(path)
    arrays = _arrays(path)
    if not arrays:
        raise checks.file_error(path, "holds no 2-D array of numbers", "store one kernel a variable or cell")
    return np.stack([_fitted(kernel, size, path) for kernel in arrays])


def _arrays(path: Path) -> list[np.ndarray]:
    suffix = path.suffix.lower()
    if suffix not in (".mat", ".npz", ".npy") or not path.is_file():
        return [load_psf(path).kernel]
    with decoding(path, "a file of kernels"):
        if suffix == ".mat":
            values = [value for name, value in loadmat(path).items() if not name.startswith("__")]
        else:
            held = np.load(path, allow_pickle=False)
            values = [held] if suffix == ".npy" else [held[name] for name in held.files]
    found: list[np.ndarray] = []
    for value in values:
        for cell in value.ravel() if value.dtype == object else [value]:
            if isinstance(cell, np.ndarray) and cell.dtype.kind in "fiu" and cell.ndim in (2, 3):
                found += [cell] if cell.ndim == 2 else list(cell)
    return [np.asarray(kernel, np.float64) for kernel in found if kernel.size > 1 or kernel.sum() > 0]


def _fitted(kernel: np.ndarray, size: int, path: Path) -> np.ndarray:
    """One kernel as (size, size) of sum 1."""
    checks.require_finite("kernels", kernel)
    checks.require(
        kernel.min() >= 0 and kernel.sum() > 0,
        "kernels",
        expected=f"non-negative taps with a positive sum in {path.name}",
        received=f"minimum {kernel.min():.3g}, sum {kernel.sum():.3g}",
        remedy="clip the negative taps if they are noise",
    )
    kernel = np.pad(kernel, [(0, 1 - n % 2) for n in kernel.shape])
    kernel = kernel / kernel.sum()
    cut = [max(0, n - size) // 2 for n in kernel.shape]
    inner = kernel[cut[0] : kernel.shape[0] - cut[0], cut[1] : kernel.shape[1] - cut[1]]
    checks.require(
        inner.sum() >= 0.99,
        "kernels",
        expected=f"at most {size} taps a side",
        received=f"{kernel.shape[0]} x {kernel.shape[1]} in {path.name}, {1 - inner.sum():.0%} of it outside",
        remedy="use a larger kernel size or smaller kernels",
    )
    margins = [((size - n) // 2, (size - n) // 2) for n in inner.shape]
    return np.pad(inner / inner.sum(), margins).astype(np.float32)


_WORDS: dict[str, Any] = {"isotropic": Isotropic, "anisotropic": Anisotropic, "motion": Motion}


def _parse_part(part: str, size: int) -> KernelDistribution:
    word, colon, interval = part.partition(":")
    low, dash, high = interval.partition("-")
    try:
        bounds = (float(low), float(high)) if dash else (float(low), float(low)) if colon else None
        known = word in _WORDS and (bounds is None or 0 < bounds[0] <= bounds[1] <= 1e3)
    except ValueError:
        known = False
    checks.require(
        known,
        "kernels",
        expected=f"one like {' | '.join(FORMS)}",
        received=repr(part),
        remedy="write a word, a colon and a range of positive numbers",
    )
    return _WORDS[word](size=size) if bounds is None else _WORDS[word](*bounds, size=size)
