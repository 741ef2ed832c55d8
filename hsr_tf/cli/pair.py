"""The two images of a command, paired in one way: by their grids where both have one, else by their sizes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hsr_tf.alignment import Aligned
    from hsr_tf.scene import Scene


@dataclass(frozen=True)
class PairFiles:
    """Files of both images, and which of their arrays are meant where a file holds several."""

    lr_hsi: Path
    hr_msi: Path
    lr_key: str | None = None
    hr_key: str | None = None

    @property
    def paths(self) -> list[Path]:
        """Both files."""
        return [self.lr_hsi, self.hr_msi]

    def read(self) -> tuple[Scene, Scene]:
        """Both images as they are stored."""
        from hsr_tf import io

        return io.load(self.lr_hsi, key=self.lr_key), io.load(self.hr_msi, key=self.hr_key)

    def aligned(self) -> Aligned:
        """Both images on common ground, see `hsr_tf.alignment.align`."""
        from hsr_tf.alignment import align

        return align(*self.read())
