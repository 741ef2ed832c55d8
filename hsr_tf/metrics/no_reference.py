"""Figures of merit without a truth: how far an estimate explains both images, and the QNR family.

With X (h, w, C), Y (s h, s w, c), an estimate Z (s h, s w, C) and the cameras D, R:

- consistency: |X - D Z| / |X|, |Y - Z R| / |Y|, the PSNR of every band and channel, the angle of D Z and X.
- D_lambda = 1 / (C (C - 1)) sum_(b != d) |Q(Z_b, Z_d) - Q(X_b, X_d)|: whether the bands lie to one another as
  in X (Alparone et al., Photogramm. Eng. Remote Sens. 74(2), 2008, p = 1).
- D_lambda_K = 1 - Q2n(D Z, X): whether Z, blurred, is X (Khan et al., IEEE TGRS 47(11), 2009).
- D_s = 1 / C sum_b |Q(Z_b, P_b) - Q(X_b, D P_b)|: whether the bands lie to the sharp image as X does to the
  blurred one (q = 1). With many bands and several channels every band has a sharp image of its own, as in
  hypersharpening (Selva et al., IEEE JSTARS 8(6), 2015, the synthesised band): P_b = a_b + Y w_b, the least
  squares of X_b on the channels of D Y.
- QNR = (1 - D_lambda) (1 - D_s), and HQNR = (1 - D_lambda_K) (1 - D_s) of Aiazzi et al., IGARSS 2014.

Q and Q2n are those of `hsr_tf.metrics.q_index`, the mean over blocks of the same ground on both grids, `side`
coarse pixels and s times as many sharp ones a side.

Departures: the blocks of X lie on its own grid, where public implementations enlarge X first; by default they
are 8 coarse pixels a side and at least 32 sharp ones (the papers: 32 sharp ones whatever the scale, which is
one coarse pixel at x32); D is the camera's own PSF instead of a Gaussian of its MTF at Nyquist; the PSNR
takes `data_range` for peak. Nothing is clipped.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsr_tf import checks
from hsr_tf.arrays import ops
from hsr_tf.metrics import full_reference as metrics
from hsr_tf.metrics.q_index import band_pairs_index, blocks, q2n, same_band_index
from hsr_tf.metrics.scores import plain
from hsr_tf.metrics.table import compute, decibels, metrics_for
from hsr_tf.physics.nodata import Holes, filled, require_data
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.scene import Observation, Scene
from hsr_tf.tiling.region import Region
from hsr_tf.typing import Array, Mask

COARSE_SIDE, SHARP_SIDE = 8, 32
BANDS_AT_ONCE = 32


@dataclass(frozen=True)
class Consistency:
    """How far an estimate explains both images.

    Attributes:
        lr_hsi_residual: |X - D Z| / |X|.
        hr_msi_residual: |Y - Z R| / |Y|; None where R is not known.
        lr_hsi_psnr: PSNR of D Z against X for every band, dB; infinite where exact.
        hr_msi_psnr: PSNR of Z R against Y for every channel, dB, or None.
        sam_degrees: mean angle of the spectra of D Z and X.
    """

    lr_hsi_residual: float
    hr_msi_residual: float | None
    lr_hsi_psnr: tuple[float, ...]
    hr_msi_psnr: tuple[float, ...] | None
    sam_degrees: float


@dataclass(frozen=True)
class QnrFamily:
    """Distortions, 0 is best, and their products, 1 is best; see the module.

    Attributes:
        d_lambda: between bands, of Z and X.
        d_lambda_khan: between D Z and X.
        d_s: to the sharp image.
        block_side: coarse pixels a side of a block.
    """

    d_lambda: float
    d_lambda_khan: float
    d_s: float
    block_side: int

    @property
    def qnr(self) -> float:
        """(1 - D_lambda) (1 - D_s)."""
        return (1.0 - self.d_lambda) * (1.0 - self.d_s)

    @property
    def hqnr(self) -> float:
        """(1 - D_lambda_K) (1 - D_s)."""
        return (1.0 - self.d_lambda_khan) * (1.0 - self.d_s)


@dataclass(frozen=True)
class NoReference:
    """Both groups of figures, for one estimate, and those by name that other packages add."""

    consistency: Consistency
    qnr: QnrFamily
    added: Mapping[str, float] = field(default_factory=dict, hash=False)

    def by_name(self) -> dict[str, Any]:
        """Return the figures by name."""
        qnr = {**asdict(self.qnr), "qnr": self.qnr.qnr, "hqnr": self.qnr.hqnr}
        return {**asdict(self.consistency), **qnr, **self.added}

    def as_dict(self) -> dict[str, Any]:
        """Return plain values by name, for JSON: infinite and NaN become None."""
        return {name: plain(value) for name, value in self.by_name().items()}


@dataclass(frozen=True, eq=False, kw_only=True)
class JudgedEstimate:
    """An estimate and the two images as metrics without a truth see them.

    Attributes:
        observation: X and Y.
        estimate: Z.
        model: the cameras D and R; R is a stand-in where the response is not known.
        consistency: how far Z explains X and Y.
        qnr: the QNR family.
        data_range: the peak of the data.
    """

    observation: Observation
    estimate: Scene
    model: ObservationModel
    consistency: Consistency
    qnr: QnrFamily
    data_range: float = 1.0


@dataclass(frozen=True, eq=False)
class _Images:
    """X, Y, Z, D Z and D Y in float64, and which coarse pixels count."""

    lr_hsi: Array
    hr_msi: Array
    estimate: NDArray[np.float32]
    blurred: Array
    blurred_msi: Array
    counts: Mask
    scale: int


def no_reference(
    observation: Observation,
    estimate: Scene,
    model: ObservationModel,
    *,
    srf_known: bool = True,
    data_range: float = 1.0,
    block_side: int | None = None,
) -> NoReference:
    """Every figure of one estimate.

    Args:
        observation: X and Y. Coarse pixels without data, and those into which D mixes sharp pixels without,
            do not count, and the blocks that hold one are left out of the QNR family.
        estimate: Z, (s h, s w, C); what its mask marks does not count either.
        model: the cameras, D and R.
        srf_known: False where R is a stand-in: what depends on it is None then.
        data_range: the peak of the data, for the PSNR.
        block_side: coarse pixels a side of a block; by default 8, and as many as 32 sharp pixels need.

    Raises:
        ValueError: an estimate of another size, cameras of another number of bands or another scale, a block
            without two pixels a side, images of which no block holds data throughout.
    """
    _require_fit(observation, estimate, model)
    side = _block_side(block_side, observation.scale)
    images = _images(observation, estimate, model)
    response = model.spectral.matrix if srf_known else None
    inside = images.counts
    seen, blurred = images.lr_hsi[inside], images.blurred[inside]
    error, power = np.square(blurred - seen), np.square(seen)
    colours = None if response is None else _colour_error(images, response)
    judged = JudgedEstimate(
        observation=observation,
        estimate=estimate,
        model=model,
        consistency=Consistency(
            lr_hsi_residual=_relative(error.sum(), power.sum()),
            hr_msi_residual=None if colours is None else _relative(colours[0].sum(), colours[1].sum()),
            lr_hsi_psnr=tuple(decibels(error.mean(0), data_range).tolist()),
            hr_msi_psnr=None if colours is None else tuple(decibels(colours[0], data_range).tolist()),
            sam_degrees=float(metrics.sam_degrees(seen[None], blurred[None])),
        ),
        qnr=_qnr_family(images, side),
        data_range=data_range,
    )
    known = [
        *(["srf"] if srf_known else []),
        *([] if observation.lr_hsi.wavelengths_nm is None else ["wavelengths"]),
    ]
    own = NoReference(judged.consistency, judged.qnr)
    added = [metric for metric in metrics_for("images") if metric.name not in own.by_name()]
    return replace(own, added={metric.name: compute(metric, judged, known=known) for metric in added})


def _colour_error(images: _Images, response: Array) -> tuple[Array, Array]:
    """Mean squares of Y - Z R and of Y for every channel, row by row of coarse pixels."""
    error, power, count, s = 0.0, 0.0, 0, images.scale
    for row, inside in enumerate(images.counts):
        kept = np.repeat(np.repeat(inside[None], s, 1), s, 0)
        sharp = slice(s * row, s * row + s)
        colours = images.hr_msi[sharp][kept]
        gap = images.estimate[sharp][kept].astype(np.float64) @ response - colours
        error, power, count = (
            error + np.square(gap).sum(0),
            power + np.square(colours).sum(0),
            count + len(colours),
        )
    return np.asarray(error / count), np.asarray(power / count)


def _qnr_family(images: _Images, side: int) -> QnrFamily:
    # Weights (c + 1, C) of the sharp image of every band: constant first, then the channels.
    found = np.linalg.lstsq(
        _with_constant(images.blurred_msi[images.counts]), images.lr_hsi[images.counts], rcond=None
    )
    weights = np.asarray(found[0], np.float64)
    sums = [np.zeros(1)] * 5
    count = 0
    for block in blocks(images.counts.shape, side):
        if images.counts[block.slices].all():
            sums = [total + part for total, part in zip(sums, _of_block(images, block, weights), strict=True)]
            count += 1
    checks.require(
        count > 0,
        "estimate",
        expected=f"a block of {side}x{side} coarse pixels with data throughout",
        received="none",
        remedy="crop the images to the part that holds data, or give a smaller block",
    )
    sharp_pairs, coarse_pairs, khan, sharp_to_image, coarse_to_image = (total / count for total in sums)
    num_bands = len(sharp_pairs)
    between = np.abs(sharp_pairs - coarse_pairs).sum() / max(1, num_bands * (num_bands - 1))
    to_image = np.abs(sharp_to_image - coarse_to_image).mean()
    return QnrFamily(float(between), float(1.0 - khan[0]), float(to_image), side)


def _of_block(images: _Images, block: Region, weights: Array) -> list[Array]:
    """Q between bands of Z and of X, Q2n of D Z and X, Q of Z and of X with the matched images."""
    coarse_pixels, sharp_pixels = block.slices, block.scaled(images.scale).slices
    pixels = [
        image[place].reshape(-1, image.shape[-1]).astype(np.float64)
        for image, place in (
            (images.estimate, sharp_pixels),
            (images.lr_hsi, coarse_pixels),
            (images.blurred, coarse_pixels),
            (images.hr_msi, sharp_pixels),
            (images.blurred_msi, coarse_pixels),
        )
    ]
    sharp, coarse, blurred, colours, blurred_colours = pixels
    return [
        band_pairs_index(sharp, sharp),
        band_pairs_index(coarse, coarse),
        np.array([q2n(blurred, coarse)]),
        same_band_index(sharp, _with_constant(colours) @ weights),
        same_band_index(coarse, _with_constant(blurred_colours) @ weights),
    ]


def _images(observation: Observation, estimate: Scene, model: ObservationModel) -> _Images:
    scenes = (observation.lr_hsi, observation.hr_msi, estimate)
    for scene in scenes:
        require_data(scene.nodata_mask is None or not scene.nodata_mask.all(), scene.name or "scene")
    # The blur of what lies beside pixels without data stays sane.
    whole = [filled(scene.cube, scene.nodata_mask) for scene in scenes]
    # Coarse pixels with data in X, into which D mixes no pixel without data of Y or of the estimate.
    size, scale = observation.lr_hsi.shape[:2], observation.scale
    masks = [scene.nodata_mask for scene in scenes]
    sharp = [mask for mask in masks[1:] if mask is not None]
    if masks[0] is not None:
        sharp.append(masks[0].repeat(scale, 0).repeat(scale, 1))
    clean = Holes(masks[0], np.any(sharp, axis=0) if sharp else None).clean(model.spatial, size)
    checks.require(
        bool(clean.any()),
        "estimate",
        expected="coarse pixels with data that the blur mixes with no pixel without",
        received="none",
        remedy="crop the images to the part that holds data",
    )
    return _Images(
        lr_hsi=whole[0].astype(np.float64),
        hr_msi=whole[1].astype(np.float64),
        estimate=whole[2],
        blurred=_degraded(model, whole[2]),
        blurred_msi=_degraded(model, whole[1]),
        counts=clean,
        scale=observation.scale,
    )


def _degraded(model: ObservationModel, cube: NDArray[np.float32]) -> Array:
    """D of a sharp cube in float64, some bands at a time."""
    parts = []
    for band in range(0, cube.shape[-1], BANDS_AT_ONCE):
        part = cube[None, ..., band : band + BANDS_AT_ONCE].astype(np.float64)
        parts.append(ops.convert_to_numpy(model.spatial.forward(ops.convert_to_tensor(part)))[0])
    return np.concatenate(parts, -1)


def _block_side(given: int | None, scale: int) -> int:
    side = max(COARSE_SIDE, math.ceil(SHARP_SIDE / scale)) if given is None else int(given)
    checks.require(
        side >= 2,
        "block_side",
        expected="at least 2 coarse pixels",
        received=str(given),
        remedy="leave it out",
    )
    return side


def _require_fit(observation: Observation, estimate: Scene, model: ObservationModel) -> None:
    sizes = (*observation.hr_msi.shape[:2], observation.lr_hsi.num_bands)
    checks.require(
        estimate.shape == sizes,
        "estimate",
        expected="x".join(map(str, sizes)) + ", the pixels of hr_msi with the bands of lr_hsi",
        received="x".join(map(str, estimate.shape)),
        remedy="give the cube that was fused from these two images",
    )
    cameras = (model.scale, *model.spectral.matrix.shape)
    expected = (observation.scale, observation.lr_hsi.num_bands, observation.hr_msi.num_bands)
    checks.require(
        cameras == expected,
        "model",
        expected="cameras of scale {}, {} bands and {} channels".format(*expected),
        received="scale {}, {} bands, {} channels".format(*cameras),
        remedy="make them for this observation",
    )


def _with_constant(pixels: Array) -> Array:
    return np.concatenate([np.ones((*pixels.shape[:-1], 1)), pixels], -1)


def _relative(part: float, whole: float) -> float:
    return math.sqrt(float(part) / max(float(whole), 1e-300))
