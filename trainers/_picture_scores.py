"""Scores of enlarged pictures: rows, means over sets, tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hsr_tf.data.picture_cases import Case
from hsr_tf.data.pictures import NamedPicture
from hsr_tf.metrics.cameras import kernel_l1
from hsr_tf.metrics.full_reference import luma_scores
from hsr_tf.metrics.table import get, metrics_for
from trainers import _tables
from trainers._picture_cases import BICUBIC, Estimate
from trainers._tables import grouped

GAIN = "over bicubic, dB"


@dataclass(frozen=True)
class PictureRow:
    """One estimate's scores."""

    method: str
    pictures: str
    scale: float
    sigma: float | None
    noise: float | None
    jpeg: int | None
    picture: str
    psnr: float
    ssim: float
    kernel_l1: float | None
    seconds: float
    added: Mapping[str, float] = field(default_factory=dict, hash=False)

    @property
    def scores(self) -> dict[str, float]:
        """The scores of the estimate by name."""
        return {"psnr": self.psnr, "ssim": self.ssim, **self.added}

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for tables."""
        values = asdict(self)
        del values["added"]
        return values | dict(self.added)

    @property
    def case(self) -> Case:
        """How the picture was degraded."""
        return Case(self.scale, self.sigma, self.noise, self.jpeg)


def score(label: str, pictures: str, picture: NamedPicture, *, case: Case, made: Estimate) -> PictureRow:
    """The row of one estimate."""
    truth = case.cut(picture.luma) / np.float32(255.0)
    scores = luma_scores(truth, made.luma, border=math.ceil(case.scale))
    apart = None if made.kernel is None else kernel_l1(case.kernel, made.kernel)
    return PictureRow(
        method=label,
        pictures=pictures,
        scale=case.scale,
        sigma=case.sigma,
        noise=case.noise,
        jpeg=case.jpeg,
        picture=picture.name,
        psnr=scores.psnr,
        ssim=scores.ssim,
        kernel_l1=apart,
        seconds=round(made.seconds, 4),
        added=scores.added,
    )


def markdown_table(rows: Sequence[PictureRow]) -> str:
    """Return the means over each set, one line per case and method."""
    metrics, kernel = metrics_for("luma"), get("kernel_l1", "psf")
    headings = [metrics[0].title, GAIN, *(m.title for m in metrics[1:]), kernel.title, "seconds"]
    lines = []
    for mean in means(rows):
        gain, apart = mean["gain"], mean["kernel_l1"]
        cells = [metric.number(mean[metric.name]) for metric in metrics]
        cells.insert(1, "" if gain is None else f"{gain:+.2f}")
        cells += ["" if apart is None else kernel.number(apart), f"{mean['seconds']:.3f}"]
        case = Case(mean["scale"], mean["sigma"], mean["noise"], mean["jpeg"]).label
        lines.append([mean["set"], case, mean["method"], *cells])
    return _tables.markdown(["set", "case", "method", *headings], lines)


def means(rows: Sequence[PictureRow]) -> list[dict[str, Any]]:
    """Return mean scores by set, case and method, with the gain over bicubic on the same pictures."""
    found = []
    for (pictures, case), inside in grouped(rows, lambda row: (row.pictures, row.case)).items():
        floor = {row.picture: row.psnr for row in inside if row.method == BICUBIC}
        for method, chosen in grouped(inside, lambda row: row.method).items():
            gains = [row.psnr - floor[row.picture] for row in chosen if row.picture in floor]
            kernels = [row.kernel_l1 for row in chosen if row.kernel_l1 is not None]
            head = {"set": pictures, **asdict(case), "method": method, "pictures": len(chosen)}
            scores = {name: float(np.mean([row.scores[name] for row in chosen])) for name in chosen[0].scores}
            found.append(
                {
                    **head,
                    **scores,
                    "gain": float(np.mean(gains)) if gains else None,
                    "kernel_l1": float(np.mean(kernels)) if kernels else None,
                    "seconds": float(np.mean([row.seconds for row in chosen])),
                }
            )
    return found


def write_tables(folder: Path, rows: Sequence[PictureRow], protocol: dict[str, Any]) -> None:
    """Write scores.csv, scores.json and scores.md."""
    plain = [row.as_dict() for row in rows]
    _tables.write_tables(folder, plain, protocol=protocol, means=means(rows), text=markdown_table(rows))
