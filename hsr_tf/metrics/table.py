"""The table of metrics: how each is called, in which unit, which way is better, and what computes it.

Everything that shows scores reads this table: the terminal, the HTML report, the trainers, the benchmarks.
To add a metric to the project, add a `Metric` to `_BUILT_IN`. Another package adds its own by an entry
point of the group "hsr_tf.metrics" that names the module which calls `register`. A metric whose package is
broken, or which fails, is left out with one warning.
"""

from __future__ import annotations

import importlib.metadata
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from operator import attrgetter
from typing import Any

import numpy as np

from hsr_tf import checks
from hsr_tf.metrics.cameras import kernel_l1, kernel_psnr, response_l1, response_sam_degrees

ENTRY_POINTS = "hsr_tf.metrics"
BETTER = ("higher", "lower")
NEEDS = ("reference", "images", "luma", "psf", "srf", "wavelengths")


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        name: key of the score in results and files.
        label: name in full, for a table with one row per metric.
        better: "higher" or "lower".
        function: computes the score; its arguments depend on the first of `needs`.
        needs: what the score is computed from, first one of
            "reference": `function` takes a `hsr_tf.metrics.full_reference.ScoredPair` of two cubes;
            "luma": it takes a `ScoredPair` of the luminance of two pictures, (H, W, 1), with peak 1;
            "images": it takes a `hsr_tf.metrics.no_reference.JudgedEstimate`, without a truth;
            "psf", "srf": it takes two arrays, the true camera and the estimated one.
            Further needs, "srf" or "wavelengths", must be known, or the score is not computed.
        heading: short name, for a table with one column per metric; by default the label.
        unit: "dB", "degrees", "%" for a share that is shown as a percentage, or empty.
        digits: decimals.
        meaning: what the value says, for `hsr quality`.
    """

    name: str
    label: str
    better: str
    function: Callable[..., Any]
    needs: tuple[str, ...] = ("reference",)
    heading: str = ""
    unit: str = ""
    digits: int = 2
    meaning: str = ""

    def __post_init__(self) -> None:
        checks.require_choice("better", self.better, BETTER)
        for need in self.needs:
            checks.require_choice("needs", need, NEEDS)

    @property
    def title(self) -> str:
        """The heading with its unit, for columns and axes: "PSNR (bands), dB"."""
        heading = self.heading or self.label
        return f"{heading}, {self.unit}" if self.unit not in ("", "%") else heading

    def number(self, value: float) -> str:
        """Return the value with the digits of the metric and without unit."""
        return f"{value:.{self.digits}f}"

    def text(self, value: float | None) -> str:
        """Return the value with its unit: "45.20 dB", "2.4 %"; a dash for NaN, "exact" for infinite."""
        if value is None or math.isnan(value):
            return "–"
        if math.isinf(value):
            return "exact"
        if self.unit == "%":
            from hsr_tf.wording import percent

            return percent(value)
        return f"{self.number(value)} {self.unit}".strip()

    def best(self, values: Sequence[float]) -> float:
        """Return the best of some values."""
        return max(values) if self.better == "higher" else min(values)


def decibels(mse: Any, data_range: float = 1.0) -> Any:
    """PSNR of mean squared errors, 10 log10(data_range^2 / mse), in dB; infinite where the error is zero."""
    with np.errstate(divide="ignore"):
        return 20.0 * math.log10(data_range) - 10.0 * np.log10(mse)


_CUBE, _LUMA = Metric, partial(Metric, needs=("luma",))
_IMAGES, _WITH_SRF = partial(Metric, needs=("images",)), partial(Metric, needs=("images", "srf"))
_QNR = partial(Metric, needs=("images",), digits=4)
_PSF, _SRF = partial(Metric, needs=("psf",)), partial(Metric, needs=("srf",))


def _psnr_bands(pair: Any) -> float:
    return float(np.mean(decibels(pair.mse_per_band, pair.data_range)))


def _psnr_cube(pair: Any) -> float:
    return float(decibels(np.mean(pair.mse_per_band), pair.data_range))


def _rmse_255(pair: Any) -> float:
    return math.sqrt(np.mean(pair.mse_per_band)) * (255.0 / pair.data_range)


def _rmse_255_bands(pair: Any) -> float:
    return float(np.mean(np.sqrt(pair.mse_per_band))) * (255.0 / pair.data_range)


def _ergas(pair: Any) -> float:
    return 100.0 / pair.scale * math.sqrt(np.mean(pair.mse_per_band / np.square(pair.band_means)))


_LR_RESIDUAL = "LR-HSI residual; larger than its noise: wrong blur or wrong estimate"
_HR_RESIDUAL = "HR-MSI residual; larger than its noise: wrong response or wrong estimate"
_LAMBDA = "change in the relations between bands, 0 to 1, 0 is best; favours plain enlargement"
_S = "change in the relations between bands and sharp image; 0 is best"
_BUILT_IN = (
    _CUBE(
        "psnr_bands", "PSNR, mean over the bands", "higher", _psnr_bands, heading="PSNR (bands)", unit="dB"
    ),
    _CUBE("psnr_cube", "PSNR, whole cube", "higher", _psnr_cube, heading="PSNR (cube)", unit="dB"),
    _CUBE("rmse_255", "RMSE of the cube, 0 to 255", "lower", _rmse_255, heading="RMSE x 255 (cube)"),
    _CUBE("ssim", "SSIM, mean over the bands", "higher", attrgetter("ssim"), heading="SSIM", digits=4),
    _CUBE(
        "sam_degrees",
        "SAM, mean spectral angle",
        "lower",
        attrgetter("sam_degrees"),
        heading="SAM",
        unit="degrees",
    ),
    _CUBE("ergas", "ERGAS", "lower", _ergas),
    _CUBE(
        "rmse_255_bands",
        "RMSE, mean over the bands, 0 to 255",
        "lower",
        _rmse_255_bands,
        heading="RMSE x 255 (bands)",
    ),
    _IMAGES(
        "lr_hsi_residual",
        "|X - D Z| / |X|",
        "lower",
        attrgetter("consistency.lr_hsi_residual"),
        heading="LR-HSI residual",
        unit="%",
        meaning=_LR_RESIDUAL,
    ),
    _IMAGES(
        "lr_hsi_psnr",
        "PSNR of D Z, worst band",
        "higher",
        attrgetter("consistency.lr_hsi_psnr"),
        unit="dB",
        meaning="band",
    ),
    _IMAGES(
        "sam_degrees",
        "SAM of D Z and X",
        "lower",
        attrgetter("consistency.sam_degrees"),
        unit="degrees",
        digits=3,
        meaning="mean angle between blurred and observed spectra; lower is better",
    ),
    _WITH_SRF(
        "hr_msi_residual",
        "|Y - Z R| / |Y|",
        "lower",
        attrgetter("consistency.hr_msi_residual"),
        heading="HR-MSI residual",
        unit="%",
        meaning=_HR_RESIDUAL,
    ),
    _WITH_SRF(
        "hr_msi_psnr",
        "PSNR of Z R, worst channel",
        "higher",
        attrgetter("consistency.hr_msi_psnr"),
        unit="dB",
        meaning="channel",
    ),
    _QNR("d_lambda", "D_lambda", "lower", attrgetter("qnr.d_lambda"), meaning=_LAMBDA),
    _QNR(
        "d_lambda_khan",
        "D_lambda (Khan)",
        "lower",
        attrgetter("qnr.d_lambda_khan"),
        meaning="1 - Q2n of D Z and X; 0 is best",
    ),
    _QNR("d_s", "D_s", "lower", attrgetter("qnr.d_s"), meaning=_S),
    _QNR("qnr", "QNR", "higher", attrgetter("qnr.qnr"), meaning="(1 - D_lambda) (1 - D_s); 1 is best"),
    _QNR(
        "hqnr", "HQNR", "higher", attrgetter("qnr.hqnr"), meaning="(1 - D_lambda Khan) (1 - D_s); 1 is best"
    ),
    _LUMA("psnr", "PSNR on Y", "higher", _psnr_cube, heading="PSNR (Y)", unit="dB"),
    _LUMA("ssim", "SSIM on Y", "higher", attrgetter("ssim"), heading="SSIM (Y)", digits=4),
    _PSF("kernel_psnr", "kernel PSNR", "higher", kernel_psnr, unit="dB"),
    _PSF("kernel_l1", "kernel L1", "lower", kernel_l1, digits=3),
    _SRF("response_sam_degrees", "response SAM", "lower", response_sam_degrees, unit="degrees"),
    _SRF("response_l1", "response L1", "lower", response_l1, digits=3),
)
_ADDED: list[Metric] = []


def register(metric: Metric) -> Metric:
    """Add a metric to the table and return it.

    Raises:
        InputError: another metric of the same first need has its name.
    """
    known = [one.name for one in (*_BUILT_IN, *_ADDED) if one.needs[0] == metric.needs[0]]
    checks.require(
        metric.name not in known,
        "name",
        expected=f"a name other than those of the known metrics ({', '.join(known)})",
        received=repr(metric.name),
        remedy="choose another",
    )
    _ADDED.append(metric)
    return metric


def metrics_for(need: str = "reference") -> tuple[Metric, ...]:
    """Return the metrics whose first need this is, those of the project first, in the order of all tables."""
    checks.require_choice("need", need, NEEDS)
    _load()
    return tuple(metric for metric in (*_BUILT_IN, *_ADDED) if metric.needs[0] == need)


def get(name: str, need: str = "reference") -> Metric:
    """Return the metric of this name.

    Raises:
        InputError: an unknown name; the known ones are listed.
    """
    known = {metric.name: metric for metric in metrics_for(need)}
    checks.require_choice("metric", name, known)
    return known[name]


def compute(metric: Metric, *arguments: Any, known: Sequence[str] = ()) -> Any:
    """Return the value of one metric; NaN where it needs what is not known, or where an added one fails.

    Args:
        metric: of the table.
        *arguments: of its function.
        known: the further needs that are met.
    """
    if not set(metric.needs[1:]) <= set(known):
        return math.nan
    if metric in _BUILT_IN:
        return metric.function(*arguments)
    try:
        return float(metric.function(*arguments))
    except Exception as error:  # a metric of another package spoils no other score
        warnings.warn(f"metric {metric.name}: left out, {type(error).__name__}: {error}", stacklevel=2)
        return math.nan


@cache
def _load() -> None:
    """Load the packages that add metrics, once."""
    for entry in importlib.metadata.entry_points(group=ENTRY_POINTS):
        try:
            entry.load()
        except Exception as error:  # a broken package costs its own metrics only
            warnings.warn(
                f"metrics of {entry.value} are left out: {type(error).__name__}: {error}; "
                "mend or uninstall the package that names it as an entry point",
                stacklevel=2,
            )
