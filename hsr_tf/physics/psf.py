"""Point-spread functions: small kernels that sum to one, non-negative but for `bicubic_psf`.

Phase convention. A kernel of n samples has its centre at (n - 1) / 2, whatever n is. The spatial degradation
puts that centre on the centre of a cell of s x s pixels, which lies between two pixels for an even s and on
one for an odd s. Kernels made here for a scale s therefore have as many taps as s is even or odd, and sit
exactly; a kernel from a file whose parity differs sits half a pixel before the cell centre
(`SpatialDegradation.centre_error`).
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from hsr_tf import checks
from hsr_tf.arrays.cubic import keys_cubic

FWHM_PER_SIGMA = 2.35482


@dataclass(frozen=True, eq=False)
class Psf:
    """A point-spread function.

    Attributes:
        kernel: (n, p) float64, sums to 1; rows are image rows.
        name: what it is, for reports.
        signed: whether weights may be negative, as those of bicubic reduction are; no lens has such.
    """

    kernel: np.ndarray
    name: str = "psf"
    signed: bool = False

    def __post_init__(self) -> None:
        kernel = np.asarray(self.kernel, dtype=np.float64)
        shape = "x".join(str(n) for n in kernel.shape)
        checks.require(
            kernel.ndim == 2 and kernel.size > 0,
            "psf",
            expected="a 2-D kernel",
            received=f"shape {shape}",
            remedy="give rows and columns",
        )
        checks.require_finite("psf", kernel)
        checks.require(
            (self.signed or kernel.min() >= 0) and kernel.sum() > 0,
            "psf",
            expected=f"{'' if self.signed else 'non-negative '}weights with a positive sum",
            received=f"minimum {kernel.min():.3g}, sum {kernel.sum():.3g}",
            remedy="clip the negative weights if they are noise",
        )
        object.__setattr__(self, "kernel", kernel / kernel.sum())

    @property
    def factors(self) -> tuple[np.ndarray, np.ndarray] | None:
        """The (n,) and (p,) kernels whose outer product this PSF is, or None where it is not separable."""
        rows, columns = self.kernel.sum(1), self.kernel.sum(0)
        separable = np.abs(np.outer(rows, columns) - self.kernel).max() <= 1e-12 * self.kernel.max()
        return (rows, columns) if separable else None


def default_support(scale: int) -> int:
    """Taps of the standard PSF of scale s: 2 s, one more for an odd s, so that a pixel is its centre."""
    return 2 * scale + scale % 2


def gaussian_psf(
    scale: int, *, fwhm: float | None = None, sigma: float | None = None, support: int | None = None
) -> Psf:
    """Isotropic Gaussian, sampled at pixel centres and normalised.

    Args:
        scale: s, which decides the parity and the defaults.
        fwhm: full width at half maximum in sharp pixels; s by default (the standard of the fusion
            literature).
        sigma: standard deviation in sharp pixels, instead of `fwhm` (fwhm = 2.35482 sigma).
        support: taps a side; 2 s by default (2 s + 1 for an odd s), more where the width given needs it.

    Raises:
        ValueError: when both or no positive widths are given.
    """
    checks.require(
        fwhm is None or sigma is None,
        "fwhm, sigma",
        expected="one of them",
        received="both",
        remedy="drop one",
    )
    width = sigma if sigma is not None else (fwhm if fwhm is not None else float(scale)) / FWHM_PER_SIGMA
    return anisotropic_gaussian_psf(scale, sigmas=(width, width), support=support)


def anisotropic_gaussian_psf(
    scale: int, *, sigmas: tuple[float, float], angle_degrees: float = 0.0, support: int | None = None
) -> Psf:
    """Gaussian with two widths, its first axis turned from the horizontal towards the vertical.

    Args:
        scale: s, which decides the parity and the default support.
        sigmas: standard deviations along the first and second axis, in sharp pixels.
        angle_degrees: direction of the first axis, clockwise on the screen (rows grow downwards).
        support: taps a side; by default the larger of 2 s and six times the larger sigma, in the parity of s.
    """
    checks.require(
        all(0 < sigma < np.inf for sigma in sigmas),
        "sigma",
        expected="positive widths",
        received=str(sigmas),
        remedy="use identity_psf for no blur",
    )
    size = _support(scale, support, at_least=0 if max(sigmas) <= scale / 2 else 6 * max(sigmas))
    rows, columns = _grid(size)
    angle = np.deg2rad(angle_degrees)
    along = columns * np.cos(angle) + rows * np.sin(angle)
    across = rows * np.cos(angle) - columns * np.sin(angle)
    kernel = np.exp(-0.5 * ((along / sigmas[0]) ** 2 + (across / sigmas[1]) ** 2))
    return Psf(kernel, f"Gaussian, sigma {sigmas[0]:.4g} x {sigmas[1]:.4g} px, {size} taps")


def box_psf(size: int) -> Psf:
    """Mean over `size` x `size` pixels (with size = s, ideal detector elements that touch)."""
    checks.require_positive_integers(size=size, remedy="use the scale")
    return Psf(np.ones((size, size)), f"box, {size} taps")


def bicubic_psf(scale: int) -> Psf:
    """Antialiased bicubic reduction by `scale`, with its negative weights.

    The cubic of R. Keys (IEEE TASSP 29(6), 1981; a = -0.5), widened by the scale: what MATLAB's imresize and
    Pillow's `BICUBIC` do, with a mirrored border as MATLAB has it. Papers on fusion that reduce by imresize
    mean it. 4 s taps, one more for an odd s.
    """
    checks.require_positive_integers(scale=scale, remedy="give sharp pixels per coarse pixel")
    size = 4 * scale + scale % 2
    taps = keys_cubic(_grid(size)[1][0] / scale)
    return Psf(np.outer(taps, taps), f"bicubic, {size} taps", signed=True)


def identity_psf(scale: int = 1) -> Psf:
    """No blur: one pixel, or the mean of the middle 2 x 2 of an even s, whose cells have no centre pixel."""
    return box_psf(2 - scale % 2) if scale > 1 else box_psf(1)


def motion_psf(scale: int, *, length: float, angle_degrees: float = 0.0, support: int | None = None) -> Psf:
    """Uniform straight motion of `length` sharp pixels, drawn as a line one pixel wide with linear flanks.

    Args:
        scale: s, which decides the parity.
        length: length of the path in sharp pixels.
        angle_degrees: direction of the path, clockwise on the screen.
        support: taps a side; by default what the path needs.
    """
    checks.require(
        0 < length < np.inf,
        "length",
        expected="a positive length in pixels",
        received=str(length),
        remedy="use identity_psf for no blur",
    )
    rows, columns = _grid(_support(scale, support, at_least=length + 2))
    angle = np.deg2rad(angle_degrees)
    along = np.abs(columns * np.cos(angle) + rows * np.sin(angle))
    across = np.abs(rows * np.cos(angle) - columns * np.sin(angle))
    inside = np.clip((length + 1) / 2 - along, 0, 1) * np.clip(1 - across, 0, 1)
    return Psf(inside, f"motion, {length:.4g} px at {angle_degrees:.4g} degrees")


def load_psf(path: str | os.PathLike[str], *, key: str | None = None) -> Psf:
    """Read a kernel from .npy, .npz, .csv, .txt or .mat (v5, not v7.3); it is normalised to sum 1.

    Raises:
        OSError: for a file that is missing or cannot be read.
        ValueError: for a suffix that is not known, or a file without a single 2-D array.
    """
    path = Path(path)
    if not path.is_file():
        raise checks.file_error(path, "no such PSF file", "check the path")
    suffix = path.suffix.lower()
    checks.require_choice("psf suffix", suffix, _READERS)
    try:
        arrays = _READERS[suffix](path)
    except NotImplementedError as error:
        raise checks.file_error(
            path, "is a MATLAB v7.3 file, and kernels are read from v5", "save it with -v7"
        ) from error
    except _DAMAGE as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise checks.file_error(
            path, f"cannot be read as {suffix} ({reason})", "check that the file is whole"
        ) from error
    arrays = {name: a for name, a in arrays.items() if _is_kernel(a)}
    if key is not None:
        checks.require_choice("key", key, arrays)
        arrays = {key: arrays[key]}
    checks.require(
        len(arrays) == 1,
        "psf",
        expected=f"one 2-D array in {path.name}",
        received=", ".join(arrays) or "none",
        remedy="name one with key",
    )
    return Psf(next(iter(arrays.values())), path.name)


def _is_kernel(array: object) -> bool:
    return isinstance(array, np.ndarray) and array.ndim == 2 and array.dtype.kind in "fiu"


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def _read_mat(path: Path) -> dict[str, np.ndarray]:
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        arrays = loadmat(path)
    except MatReadError as error:
        raise ValueError(error) from error
    return {name: value for name, value in arrays.items() if not name.startswith("__")}


def _rows(path: Path, delimiter: str | None) -> np.ndarray:
    text = path.read_text(encoding="utf-8")
    if not text.strip():
        raise ValueError("it is empty")
    return np.loadtxt(text.splitlines(), delimiter=delimiter, ndmin=2)


_READERS: dict[str, Callable[[Path], dict[str, np.ndarray]]] = {
    ".npy": lambda path: {"kernel": np.load(path, allow_pickle=False)},
    ".npz": _read_npz,
    ".csv": lambda path: {"kernel": _rows(path, ",")},
    ".txt": lambda path: {"kernel": _rows(path, None)},
    ".mat": _read_mat,
}
_DAMAGE = (
    ValueError,
    OSError,
    EOFError,
    KeyError,
    TypeError,
    AttributeError,
    BadZipFile,
    zlib.error,
)


def _support(scale: int, support: int | None, *, at_least: float) -> int:
    checks.require_positive_integers(scale=scale, remedy="give sharp pixels per coarse pixel")
    if support is not None:
        checks.require(
            int(support) == support and support >= 1,
            "support",
            expected="a positive number of taps",
            received=str(support),
            remedy="leave it out",
        )
        return int(support)
    size = max(default_support(scale), int(np.ceil(at_least)))
    return size + (size - scale) % 2


def _grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    offsets = np.arange(size) - (size - 1) / 2
    return offsets[:, None], offsets[None, :]
