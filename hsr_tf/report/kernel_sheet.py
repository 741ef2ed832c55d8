"""Kernels true and found, stage by stage: a row a picture and blur, a column a stage.

Stages are those of a blind network, or moments of a solver that learns the kernel with the picture. As
figure 5 of T. Yoshida, K. Akita, N. Ukita, "Simultaneous iterative learning of image super-resolution and
degradation removal" (in Japanese), IPSJ SIG Technical Report, Vol. 2020-CG-180 No. 12, 2020, which shows the
last stage alone. The kernels of a row share a scale, which ends at the largest value of the true one, or of
the last one where the truth is not known.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hsr_tf import checks
from hsr_tf.metrics.cameras import grid_psnr, kernel_l1
from hsr_tf.report.canvas import NOTE_POINTS, axes_at, blank, caption, fit_text, headline, save_png

KERNEL_SIZE = 21
LEFT, TOP, GAP, CAPTION, PANEL, RIGHT = 0.2, 0.62, 0.14, 0.42, 1.5, 0.7


@dataclass(frozen=True, eq=False)
class KernelRow:
    """One picture and blur.

    Attributes:
        title: name of the picture.
        note: the blur.
        truth: (k, k), of sum 1; None where it is not known.
        found: (k, k), after each stage, the first guess first.
        names: of the stages; by default "first guess", "stage 1", and so on.

    Raises:
        ValueError: no kernel found, or one of another size.
    """

    title: str
    note: str
    truth: np.ndarray | None
    found: tuple[np.ndarray, ...]
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        known = self.found[:1] if self.truth is None else (self.truth,)
        shape = known[0].shape if known else (KERNEL_SIZE, KERNEL_SIZE)
        checks.require(
            bool(self.found) and all(one.shape == shape for one in self.found),
            "found",
            expected=f"kernels of {shape}, one a stage",
            received=", ".join(str(one.shape) for one in self.found) or "none",
            remedy="use a network that finds the kernel",
        )

    @property
    def top(self) -> float:
        """The value at which the scale ends."""
        return float((self.found[-1] if self.truth is None else self.truth).max())

    @property
    def panels(self) -> list[tuple[str, str, np.ndarray]]:
        """Name, note and kernel of every column."""
        truth, stages = self.truth, range(1, len(self.found))
        shown = [] if truth is None else [(self.title, f"true, {self.note}", truth)]
        for name, found in zip(
            self.names or ("first guess", *(f"stage {i}" for i in stages)), self.found, strict=True
        ):
            note = self.note if truth is None else _scores(truth, found)
            shown.append((name, note, found))
        return shown


def _scores(truth: np.ndarray, found: np.ndarray) -> str:
    return f"L1 {kernel_l1(truth, found):.2f}, {grid_psnr(truth, found):.1f} dB"


def kernel_sheet(path: str | os.PathLike[str], rows: Sequence[KernelRow], *, title: str) -> Path:
    """Draw the sheet as a PNG file, which appears whole or not at all.

    Raises:
        ValueError: `path` does not end in .png.
        OSError: the file cannot be written; what was there before stays.
    """
    columns = [row.panels for row in rows]
    width = LEFT + max(map(len, columns)) * (PANEL + GAP) + RIGHT
    figure = blank(width, TOP + len(rows) * (PANEL + CAPTION) + 0.12)
    known = all(row.truth is not None for row in rows)
    scale = "L1 from 0 to 2; PSNR with the largest value of the true kernel as peak"
    headline(figure, title, scale if known else "no truth is known")
    for number, (row, panels) in enumerate(zip(rows, columns, strict=True)):
        bottom = 0.12 + (len(rows) - 1 - number) * (PANEL + CAPTION)
        for column, (name, note, kernel) in enumerate(panels):
            axes = axes_at(figure, LEFT + column * (PANEL + GAP), bottom, PANEL, PANEL)
            drawn = axes.imshow(kernel, cmap="magma", vmin=0, vmax=row.top, interpolation="nearest")
            axes.set_xticks([])
            axes.set_yticks([])
            for text in caption(axes, name, note, above=4):
                fit_text(text, PANEL)
        place = axes_at(figure, LEFT + len(panels) * (PANEL + GAP), bottom, 0.09, PANEL)
        figure.colorbar(drawn, cax=place, extend="max").ax.tick_params(labelsize=NOTE_POINTS - 1, length=2)
    return save_png(figure, path)
