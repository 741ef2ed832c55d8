"""What the runners of exported fusion models share, at a server's client and on a device: NumPy alone."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from hsr_tf import checks

WHAT_MODELS_DO = {"image_network": "enlarges pictures", "network": "fuses scenes"}


class FusionSizes(Protocol):
    """A fusion model as its metadata tells it: s, C and c."""

    @property
    def scale(self) -> int: ...

    @property
    def num_bands(self) -> int: ...

    @property
    def num_channels(self) -> int: ...


def require_pair(told: FusionSizes, lr_hsi: np.ndarray, hr_msi: np.ndarray) -> None:
    """Refuse images that do not fit a model or one another, and integers, whose white level nobody told.

    Raises:
        ValueError: in one line.
    """
    checks.require(
        lr_hsi.ndim == 3 and lr_hsi.shape[-1] == told.num_bands and min(lr_hsi.shape) > 0,
        "lr_hsi",
        expected=f"(h, w, {told.num_bands})",
        received=str(lr_hsi.shape),
        remedy="give the bands that the model was trained for",
    )
    expected = (*(told.scale * n for n in lr_hsi.shape[:2]), told.num_channels)
    checks.require(
        hr_msi.shape == expected,
        "hr_msi",
        expected=f"{expected}, {told.scale} times the size of lr_hsi",
        received=str(hr_msi.shape),
        remedy="crop or resample one of them",
    )
    for name, image in (("lr_hsi", lr_hsi), ("hr_msi", hr_msi)):
        checks.require(
            image.dtype.kind == "f",
            name,
            expected="floating-point values as the model was trained on, usually in [0, 1]",
            received=str(image.dtype),
            remedy="divide integers by their white level",
        )


def sharp_part(part: slice, scale: int) -> slice:
    """The sharp pixels of a slice of coarse ones."""
    return slice(scale * part.start, scale * part.stop)
