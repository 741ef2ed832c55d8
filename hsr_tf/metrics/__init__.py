"""Metrics; the scores against a reference are loaded on first use, as they need Keras."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hsr_tf.metrics.scores import Scorecard, Summary, summarise
from hsr_tf.metrics.table import Metric, get, metrics_for, register

if TYPE_CHECKING:
    from hsr_tf.metrics.full_reference import ROWS_PER_BLOCK as ROWS_PER_BLOCK
    from hsr_tf.metrics.full_reference import SSIM_K1 as SSIM_K1
    from hsr_tf.metrics.full_reference import SSIM_K2 as SSIM_K2
    from hsr_tf.metrics.full_reference import SSIM_SIGMA as SSIM_SIGMA
    from hsr_tf.metrics.full_reference import SSIM_WINDOW as SSIM_WINDOW
    from hsr_tf.metrics.full_reference import LumaScores as LumaScores
    from hsr_tf.metrics.full_reference import ScoredPair as ScoredPair
    from hsr_tf.metrics.full_reference import ergas as ergas
    from hsr_tf.metrics.full_reference import error_map as error_map
    from hsr_tf.metrics.full_reference import luma_scores as luma_scores
    from hsr_tf.metrics.full_reference import psnr_bands as psnr_bands
    from hsr_tf.metrics.full_reference import psnr_cube as psnr_cube
    from hsr_tf.metrics.full_reference import psnr_per_band as psnr_per_band
    from hsr_tf.metrics.full_reference import rmse_255 as rmse_255
    from hsr_tf.metrics.full_reference import rmse_255_bands as rmse_255_bands
    from hsr_tf.metrics.full_reference import sam_degrees as sam_degrees
    from hsr_tf.metrics.full_reference import sam_map as sam_map
    from hsr_tf.metrics.full_reference import scorecard as scorecard
    from hsr_tf.metrics.full_reference import ssim as ssim
    from hsr_tf.metrics.full_reference import zero_spectra as zero_spectra

_LAZY = (
    "LumaScores",
    "ROWS_PER_BLOCK",
    "SSIM_K1",
    "SSIM_K2",
    "SSIM_SIGMA",
    "SSIM_WINDOW",
    "ScoredPair",
    "ergas",
    "error_map",
    "luma_scores",
    "psnr_bands",
    "psnr_cube",
    "psnr_per_band",
    "rmse_255",
    "rmse_255_bands",
    "sam_degrees",
    "sam_map",
    "scorecard",
    "ssim",
    "zero_spectra",
)
__all__ = ["Metric", "Scorecard", "Summary", "get", "metrics_for", "register", "summarise", *_LAZY]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("hsr_tf.metrics.full_reference"), name)
