"""What a report shows, checked: the cubes of one scene, cameras, curves, scores, configuration, command."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hsr_tf.checks import require
from hsr_tf.findings import Finding, Verdict
from hsr_tf.report.cameras import CamerasData
from hsr_tf.report.content import MAX_ESTIMATES, require_cube
from hsr_tf.scene import Observation, Scene


@dataclass(frozen=True, eq=False)
class Curve:
    """One plot of numbers against time, steps or epochs.

    Attributes:
        x_label: what runs to the right, with its unit.
        y_label: what is shown, with its unit.
        series: (x, y) by name, each a pair of sequences of one length; NaN where a value is not known.
        logarithmic: whether the vertical axis is.
    """

    x_label: str
    y_label: str
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]]
    logarithmic: bool = False

    def __post_init__(self) -> None:
        for name, (x, y) in self.series.items():
            require(
                len(x) == len(y) > 0,
                f"curve {name!r}",
                expected="as many places as values, at least one",
                received=f"{len(x)} and {len(y)}",
                remedy="leave an empty curve out",
            )


@dataclass(frozen=True, eq=False, kw_only=True)
class ReportData:
    """What a report shows; what is None or empty is left out of it.

    Attributes:
        title: headline, usually scene, method and scale.
        lr_hsi: the coarse cube (h, w, C).
        hr_msi: the sharp image (H, W, c).
        estimates: up to five cubes (H, W, C) by method, not clipped; none for a report without a scene.
        estimate_mask: (H, W), True where an estimate holds no data; None for nowhere.
        reference: the true cube (H, W, C).
        wavelengths_nm: centres of the C bands.
        cameras: kernel and response that were estimated or are known; those that explain the two images.
        curves: plots by name.
        scores: by method, then by score, None where a score is not finite.
        configuration: every setting of the run, nested as need be.
        command: the words of the command line that makes the result again.
        notes: lines about the result.
        findings: about the result; warnings and errors are shown in banners at the top.
        verdict: what follows from them; None where nothing was judged.
        data_range: the peak of the data.

    Raises:
        ValueError: nothing to show, more than five estimates, cubes that do not fit together, NaN in an
            estimate or the reference.
    """

    title: str
    lr_hsi: Scene | None = None
    hr_msi: Scene | None = None
    estimates: Mapping[str, np.ndarray] = field(default_factory=dict)
    estimate_mask: np.ndarray | None = None
    reference: np.ndarray | None = None
    wavelengths_nm: np.ndarray | None = None
    cameras: CamerasData | None = None
    curves: Mapping[str, Curve] = field(default_factory=dict)
    scores: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    configuration: Mapping[str, Any] = field(default_factory=dict)
    command: Sequence[str] = ()
    notes: Sequence[str] = ()
    findings: Sequence[Finding] = ()
    verdict: Verdict | None = None
    data_range: float = 1.0

    def __post_init__(self) -> None:
        require(
            bool(self.estimates or self.curves or self.scores),
            "estimates",
            expected="an estimate, a curve or a score",
            received="none",
            remedy="give what the report is to show",
        )
        require(
            len(self.estimates) <= MAX_ESTIMATES,
            "estimates",
            expected=f"at most {MAX_ESTIMATES} of them",
            received=str(len(self.estimates)),
            remedy="write several reports",
        )
        if self.estimates:
            self._require_cubes()

    @property
    def size(self) -> tuple[int, int, int]:
        """(H, W, C) of the estimates."""
        height, width, num_bands = next(iter(self.estimates.values())).shape
        return height, width, num_bands

    @property
    def scale(self) -> int | None:
        """s, sharp pixels a coarse pixel along one side; None where there is no coarse cube."""
        return None if self.lr_hsi is None else self.size[0] // self.lr_hsi.shape[0]

    @property
    def nodata_mask(self) -> np.ndarray | None:
        """(H, W), True where an image or an estimate holds no data; None for nowhere."""
        sharp = None if self.hr_msi is None else self.hr_msi.nodata_mask
        masks = [mask for mask in (self.estimate_mask, sharp) if mask is not None]
        if self.lr_hsi is not None and self.lr_hsi.nodata_mask is not None and self.scale:
            masks.append(self.lr_hsi.nodata_mask.repeat(self.scale, 0).repeat(self.scale, 1))
        joined = np.any(masks, axis=0) if masks else np.zeros(1, bool)
        return joined if joined.any() else None

    def _require_cubes(self) -> None:
        height, width, num_bands = require_cube(
            "estimate", next(iter(self.estimates.values())), (None, None, None)
        )
        cubes = {f"estimate {name!r}": cube for name, cube in self.estimates.items()}
        if self.reference is not None:
            cubes["reference"] = self.reference
        for name, cube in cubes.items():
            require_cube(name, cube, (height, width, num_bands))
        sizes: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {}
        if self.hr_msi is not None:
            sizes["hr_msi"] = self.hr_msi.shape[:2], (height, width)
        if self.lr_hsi is not None:
            sizes["lr_hsi"] = self.lr_hsi.shape[2:], (num_bands,)
        if self.wavelengths_nm is not None:
            sizes["wavelengths_nm"] = np.shape(self.wavelengths_nm), (num_bands,)
        for name, (found, wanted) in sizes.items():
            require(
                found == wanted,
                name,
                expected=f"{' x '.join(map(str, wanted))}, as the estimates have",
                received=" x ".join(map(str, found)),
                remedy="give the files of one and the same scene",
            )
        if self.lr_hsi is not None:
            sharp = self.hr_msi or Scene(np.zeros((height, width, 1), np.float32))
            Observation.from_pair(self.lr_hsi, sharp)
