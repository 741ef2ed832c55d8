"""Bicubic enlargement of the coarse cube, what every fusion has to beat."""

from __future__ import annotations

from typing import ClassVar

from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.resize import bicubic_enlarge
from hsr_tf.typing import Tensor


class Bicubic:
    """Bicubic enlargement of X.

    Args:
        model: the two cameras, of which only the scale is used.
    """

    margin: ClassVar[int] = 2

    def __init__(self, model: ObservationModel) -> None:
        self.model = model

    def __call__(self, lr_hsi: Tensor, hr_msi: Tensor) -> Tensor:
        """(B, h, w, C) to (B, s h, s w, C)."""
        del hr_msi
        return bicubic_enlarge(lr_hsi, self.model.scale)
