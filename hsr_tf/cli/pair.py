"""The two images of a command, paired in one way: by their grids where both have one, else by their sizes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hsr_tf.fusion.alignment import Aligned
    from hsr_tf.io.pair_reading import LoadedPair, PairReading


@dataclass(frozen=True)
class PairFiles:
    """Files of both images, and what the caller knows of their arrays, white levels and wavelengths."""

    lr_hsi: Path
    hr_msi: Path
    reading: PairReading | None = None

    @property
    def paths(self) -> list[Path]:
        """Both files."""
        return [self.lr_hsi, self.hr_msi]

    def read(self) -> LoadedPair:
        """Both images as they are stored."""
        from hsr_tf.io.pair_reading import load_pair

        return load_pair(self.lr_hsi, self.hr_msi, self.reading)

    def aligned(self) -> Aligned:
        """Both images on common ground, see `hsr_tf.fusion.alignment.align`."""
        from hsr_tf.fusion.alignment import align

        pair = self.read()
        return align(pair.lr_hsi, pair.hr_msi)
