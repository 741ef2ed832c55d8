"""The sheet of kernels: a row each, and kernels of another size are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from hsr_tf.report.kernel_sheet import KernelRow, kernel_sheet


def test_rows_are_drawn_and_other_sizes_refused(tmp_path: Path) -> None:
    spot = np.eye(5) / 5
    row = KernelRow("p", "sigma 1", spot, (spot[::-1], spot))
    heights = [
        imread(kernel_sheet(tmp_path / f"{count}.png", [row] * count, title="t")).shape[0] for count in (1, 2)
    ]
    assert heights[1] > heights[0]
    assert [panel[0] for panel in row.panels] == ["p", "first guess", "stage 1"]
    # The mean square of a diagonal against the other is 8 / 5^2 / 25, the peak 1 / 5: 10 log10(25 / 8) dB.
    assert row.panels[1][1] == "L1 1.60, 4.9 dB"
    padded = KernelRow(
        "p", "sigma 1", np.pad(spot, 5), (np.pad(spot[::-1], 5), np.pad(np.ones((3, 3)) / 9, 6))
    )
    assert (
        padded.panels[1][1] == "L1 1.60, 14.5 dB"
    )  # all columns over one grid: 15 x 15, 9 times as many taps
    unknown = KernelRow("p", "x8", None, (spot[::-1], 2 * spot), ("iteration 1", "found"))
    assert [panel[:2] for panel in unknown.panels] == [("iteration 1", "x8"), ("found", "x8")]
    assert unknown.top == pytest.approx(0.4)
    assert imread(kernel_sheet(tmp_path / "u.png", [unknown], title="t")).shape[0] == heights[0]
    with pytest.raises(ValueError, match=r"found: expected kernels of \(5, 5\), one a stage"):
        KernelRow("p", "sigma 1", spot, (np.eye(3),))
    with pytest.raises(ValueError, match="got none"):
        KernelRow("p", "sigma 1", spot, ())
