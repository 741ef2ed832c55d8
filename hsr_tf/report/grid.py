"""Where everything lies on a picture sheet, in inches."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hsr_tf.report.canvas import axes_at


@dataclass(frozen=True)
class Grid:
    """Three rows of panels: three columns of inputs, one for each estimate, then room for colour bars."""

    panel_width: float
    panel_height: float
    num_estimates: int

    LEFT: ClassVar[float] = 0.2
    RIGHT: ClassVar[float] = 0.95
    TOP: ClassVar[float] = 0.6
    BOTTOM: ClassVar[float] = 0.5
    COLUMN_GAP: ClassVar[float] = 0.14
    HEADER: ClassVar[float] = 0.5

    @classmethod
    def of(cls, height: int, width: int, num_estimates: int) -> Grid:
        side, ratio = 2.15, math.sqrt(width / height)
        return cls(min(max(side * ratio, 1.7), 3.6), min(max(side / ratio, 1.5), 3.6), num_estimates)

    @property
    def width(self) -> float:
        columns = 3 + self.num_estimates
        return self.LEFT + columns * self.panel_width + (columns - 1) * self.COLUMN_GAP + self.RIGHT

    @property
    def height(self) -> float:
        return self.TOP + 3 * (self.HEADER + self.panel_height) + self.BOTTOM

    def left(self, column: int) -> float:
        return self.LEFT + column * (self.panel_width + self.COLUMN_GAP)

    def bottom(self, row: int) -> float:
        return self.height - self.TOP - (row + 1) * (self.HEADER + self.panel_height)

    def panel(self, figure: Figure, row: int, column: int) -> Axes:
        return axes_at(figure, self.left(column), self.bottom(row), self.panel_width, self.panel_height)
