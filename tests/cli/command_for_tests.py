"""What the tests of the `hsr` command share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

WAVELENGTHS_NM = np.arange(400.0, 701.0, 10.0)
FUSE = ("fuse", "--lr_hsi=x.h5", "--hr_msi=y.h5", "--output=old.h5")
SIMULATE = ("simulate", "--reference=z.h5", "--output_dir=new/d")


@dataclass(frozen=True)
class Answer:
    """What a command line gave."""

    code: int
    out: str
    err: str


def everything(folder: Path) -> dict[str, bytes | None]:
    found = sorted(folder.rglob("*"))
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in found}
