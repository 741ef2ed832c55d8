"""What `hsr quality` shows: every figure without a truth, and in a line what it tells."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from rich import box
from rich.table import Table

if TYPE_CHECKING:
    from hsr_tf.metrics.no_reference import Consistency, NoReference, QnrFamily


def quality_table(figures: NoReference, *, psf: str, srf: str) -> Table:
    """The figures of one estimate, under the cameras that they were found with."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=f"psf {psf}, srf {srf}", title_justify="left")
    table.add_column("figure", no_wrap=True)
    table.add_column("value", justify="right", style="bold", no_wrap=True)
    table.add_column("meaning", style="dim")
    for row in (*_consistency_rows(figures.consistency), *_qnr_rows(figures.qnr)):
        table.add_row(*row)
    return table


def _consistency_rows(found: Consistency) -> list[tuple[str, str, str]]:
    return [
        (
            "|X - D Z| / |X|",
            _share(found.lr_hsi_residual),
            "LR-HSI residual; larger than its noise: wrong blur or wrong estimate",
        ),
        ("PSNR of D Z, worst band", *_worst(found.lr_hsi_psnr, "band")),
        (
            "SAM of D Z and X",
            f"{found.sam_degrees:.3f} deg",
            "mean angle between blurred and observed spectra; lower is better",
        ),
        (
            "|Y - Z R| / |Y|",
            _share(found.hr_msi_residual),
            "HR-MSI residual; larger than its noise: wrong response or wrong estimate",
        ),
        ("PSNR of Z R, worst channel", *_worst(found.hr_msi_psnr, "channel")),
    ]


def _qnr_rows(found: QnrFamily) -> list[tuple[str, str, str]]:
    side = found.block_side
    return [
        (
            "D_lambda",
            f"{found.d_lambda:.4f}",
            "change in the relations between bands, 0 to 1, 0 is best; favours plain enlargement",
        ),
        ("D_lambda (Khan)", f"{found.d_lambda_khan:.4f}", "1 - Q2n of D Z and X; 0 is best"),
        (
            "D_s",
            f"{found.d_s:.4f}",
            "change in the relations between bands and sharp image; 0 is best",
        ),
        ("QNR", f"{found.qnr:.4f}", "(1 - D_lambda) (1 - D_s); 1 is best"),
        (
            "HQNR",
            f"{found.hqnr:.4f}",
            f"(1 - D_lambda Khan) (1 - D_s); blocks of {side}x{side} coarse pixels",
        ),
    ]


def _worst(psnr: tuple[float, ...] | None, word: str) -> tuple[str, str]:
    """The lowest PSNR, and which band or channel it is, counted from 1, with the mean of all."""
    if psnr is None:
        return "unknown", "the response is not known: give --srf"
    mean = float(np.mean(psnr))
    return _db(min(psnr)), f"{word} {int(np.argmin(psnr)) + 1} of {len(psnr)}; mean of all {_db(mean)}"


def _db(value: float) -> str:
    return f"{value:.2f} dB" if math.isfinite(value) else "exact"


def _share(share: float | None) -> str:
    if share is None:
        return "unknown"
    return f"{100 * share:.3g} %" if share >= 1e-5 else "under 0.001 %"
