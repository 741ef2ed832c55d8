"""What pixels without data cost elsewhere: `python -m benchmarks.holes`.

A pair is simulated with NumPy and SciPy alone (`benchmarks._misfit_pairs`), then a share of the pixels of the
coarse cube (X), of the sharp image (Y) or of both loses its data: round holes, slanting strips, or a frame.
It is fused with its cameras given, with and without the missing pixels. PSNR is the mean over the bands of
cubes clipped to [0, 1], over the pixels that both estimates have: "far" counts those that are further from a
hole than the width of the PSF, "all" every one. Trust and residuals are those that the fusion records; the
residuals without holes are counted on the coarse pixels that count with holes.

    python -m benchmarks.holes --scenes=flowers --crop=128 --scale=8 --methods=spectral_ls,kernel_ls
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from absl import flags
from scipy import ndimage
from tqdm import tqdm

from benchmarks._misfit_pairs import Ground, Pair, Simulator
from benchmarks._report import define_json, define_names, machine, print_machine, table, write
from benchmarks.misfits import NIKON, read_table
from hsr_tf.console.flag_apps import run_app
from hsr_tf.data.scenes import find_scenes
from hsr_tf.fusion.api import fuse
from hsr_tf.io import load
from hsr_tf.physics.nodata import Holes
from hsr_tf.physics.psf_spec import parse_psf
from hsr_tf.physics.spatial import SpatialDegradation
from hsr_tf.physics.spectral import SpectralResponse
from hsr_tf.scene import Observation, Scene, Solution
from hsr_tf.solvers.solver import Controls
from hsr_tf.typing import Array, Cube, Mask
from hsr_tf.wording import percent

FLAGS = flags.FLAGS
LIMIT_DB, LIMIT, SMALL, SUPPORT = 0.1, 0.01, 1e-3, 6
IMAGES = ("X", "Y", "both")


def discs(side: int, share: float, rng: np.random.Generator) -> Mask:
    """(side, side), round holes of a sixteenth of the side that cover a share."""
    mask = np.zeros((side, side), bool)
    rows, cols = np.mgrid[:side, :side]
    radius = side / 32
    while mask.mean() < share:
        row, col = rng.uniform(0, side, 2)
        hole = (rows - row) ** 2 + (cols - col) ** 2 <= radius**2
        grown = mask | hole
        mask = grown if grown.mean() <= share else mask | _some(hole & ~mask, share - mask.mean())
    return mask


def _some(hole: Mask, share: float) -> Mask:
    """The first pixels of a hole that make up a share of all, one at least."""
    kept = np.zeros(hole.size, bool)
    kept[np.flatnonzero(hole.ravel())[: max(1, round(share * hole.size))]] = True
    return kept.reshape(hole.shape)


def strips(side: int, share: float, rng: np.random.Generator) -> Mask:
    """(side, side), slanting strips at every quarter of the side that cover a share."""
    rows, cols = np.mgrid[:side, :side]
    place = (cols + rows / 6 + rng.uniform(0, side)) % (side / 4)
    mask = np.zeros(side * side, bool)
    mask[np.argsort(place, axis=None, kind="stable")[: round(share * side * side)]] = True
    return mask.reshape(side, side)


def frame(side: int, share: float, rng: np.random.Generator) -> Mask:
    """(side, side), the pixels next to the edges that make up a share, all of them as wide or one wider."""
    del rng
    place = np.minimum(np.arange(side), np.arange(side)[::-1])
    depth = np.minimum(place[:, None], place)
    order = np.argsort(depth, axis=None, kind="stable")
    mask = np.zeros(side * side, bool)
    mask[order[: round(share * side * side)]] = True
    return mask.reshape(side, side)


KINDS: Mapping[str, Callable[[int, float, np.random.Generator], Mask]] = {
    "holes": discs,
    "strips": strips,
    "frame": frame,
}


@dataclass(frozen=True)
class Case:
    """Which pixels are missing.

    Attributes:
        kind: of `KINDS`.
        image: of `IMAGES`; with "both" each image loses half of the share, in different places.
        share: of the pixels.
    """

    kind: str
    image: str
    share: float

    def masks(self, size: int, scale: int) -> tuple[Mask | None, Mask | None]:
        """(h, w) of X and (s h, s w) of Y, True where data are missing."""
        rng = np.random.default_rng(0)
        share = self.share / 2 if self.image == "both" else self.share
        coarse, sharp = (KINDS[self.kind](side, share, rng) for side in (size, size * scale))
        return coarse if self.image != "Y" else None, sharp if self.image != "X" else None


@dataclass(frozen=True, eq=False)
class Known:
    """A pair with the cameras that took it.

    Attributes:
        pair: simulated.
        scale: sharp pixels per coarse pixel.
        srf: its response.
    """

    pair: Pair
    scale: int
    srf: SpectralResponse

    @property
    def psf(self) -> str:
        """The blur in words, without an end that SciPy's has not."""
        return f"gaussian:fwhm={self.scale},support={SUPPORT * self.scale}"

    @property
    def spatial(self) -> SpatialDegradation:
        """Blur and sampling of the coarse cube."""
        return SpatialDegradation(parse_psf(self.psf, self.scale), self.scale)

    def fused(self, method: str, coarse: Mask | None, sharp: Mask | None) -> Solution:
        """The estimate where these pixels are missing."""
        pair = self.pair
        images = (
            Scene(_without(pair.lr_hsi, coarse), pair.wavelengths_nm, nodata_mask=coarse),
            Scene(_without(pair.hr_msi, sharp), nodata_mask=sharp),
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            controls = Controls(max_seconds=FLAGS.max_seconds)
            observation = Observation(*images, self.scale, linearize="none")
            return fuse(observation, method, psf=self.psf, srf=self.srf, controls=controls)

    def residuals(self, estimate: Cube, counted: Mask) -> tuple[float, float]:
        """|X - D Z| / |X| and |Y - Z R| / |Y| over the coarse pixels that count; NaN where none does."""
        if not counted.any():
            return float("nan"), float("nan")
        seen = np.asarray(self.spatial.forward(estimate[None].astype(np.float32)))[0]
        fine = np.kron(counted, np.ones((self.scale, self.scale), bool))
        gaps = (self.pair.lr_hsi - seen)[counted], (self.pair.hr_msi - estimate @ self.srf.matrix)[fine]
        wanted = self.pair.lr_hsi[counted], self.pair.hr_msi[fine]
        lr_hsi, hr_msi = (
            float(np.linalg.norm(gap) / np.linalg.norm(one)) for gap, one in zip(gaps, wanted, strict=True)
        )
        return lr_hsi, hr_msi


def _without(image: Array, hole: Mask | None) -> Cube:
    return (image if hole is None else np.where(hole[..., None], 0, image)).astype(np.float32)


@dataclass(frozen=True)
class Row:
    """A case of a scene by a method.

    Attributes:
        about: scene, scale, method.
        case: which pixels are missing.
        far, everywhere: PSNR with holes less that without, in dB; NaN where no such pixel exists.
        trust: with and without holes; NaN where a method records none.
        lr_hsi, hr_msi: residuals with and without holes.
    """

    about: tuple[str, str, str]
    case: Case
    far: float
    everywhere: float
    trust: tuple[float, float]
    lr_hsi: tuple[float, float]
    hr_msi: tuple[float, float]

    @property
    def within(self) -> bool:
        """Whether it keeps to 0.1 dB far from the holes, and trust and residuals to 1 %."""
        pairs = (self.trust, self.lr_hsi, self.hr_msi)
        return not self.far < -LIMIT_DB and all(alike(*pair) for pair in pairs)


def alike(found: float, expected: float) -> bool:
    """Whether two shares are equal to 1 % of themselves, or to 0.1 % of an image; NaN is not known."""
    if np.isnan(found) or np.isnan(expected):
        return True
    return abs(found - expected) <= max(LIMIT * abs(expected), SMALL)


def psnr(truth: Array, estimate: Cube, counted: Mask) -> float:
    """Mean over the bands in dB; NaN where nothing counts."""
    if not counted.any():
        return float("nan")
    gap = np.clip(estimate[counted].astype(np.float64), 0, 1) - np.clip(truth[counted], 0, 1)
    return float(np.mean(-10 * np.log10(np.square(gap).mean(0) + 1e-12)))


def row_of(about: tuple[str, str, str], known: Known, plain: Solution, case: Case) -> Row:
    """Fuse with the pixels of a case missing, and compare."""
    scale, size = known.scale, known.pair.lr_hsi.shape[0]
    coarse, sharp = case.masks(size, scale)
    found = known.fused(about[2], coarse, sharp)
    holes = Holes(coarse, sharp)
    missing = holes.of_estimate(scale)
    assert missing is not None
    far = ndimage.distance_transform_edt(~missing) > scale
    counted = Holes(coarse, missing).clean(known.spatial, (size, size))  # as `measured_residuals` counts
    truth, cubes = known.pair.truth, (found.estimate.cube, plain.estimate.cube)
    gains = [psnr(truth, cubes[0], at) - psnr(truth, cubes[1], at) for at in (far, ~missing)]
    expected = known.residuals(cubes[1], counted)
    trust = tuple(float(one.estimate.metadata.get("trust", np.nan)) for one in (found, plain))
    measured = found.lr_hsi_residual, found.hr_msi_residual
    left = [(np.nan if one is None else one, other) for one, other in zip(measured, expected, strict=True)]
    return Row(about, case, gains[0], gains[1], (trust[0], trust[1]), *left)


def measure(paths: Sequence[Path]) -> Iterator[Row]:
    """Every case on every scene, at every scale, by every method."""
    response = read_table(str(NIKON))
    for path in paths:
        scene = load(path)
        assert scene.wavelengths_nm is not None, f"{scene.name} has no wavelengths"
        cube, place = scene.cube.astype(np.float64), np.asarray(scene.wavelengths_nm, float)
        for scale in map(int, FLAGS.scales):
            ground = Ground(cube, FLAGS.crop, place, response, cube[: FLAGS.crop, : FLAGS.crop])
            pair = Simulator(ground, scale, FLAGS.noise).clean
            known = Known(pair, scale, SpectralResponse(ground.response, name="given"))
            for method in FLAGS.methods:
                plain = known.fused(method, None, None)
                for case in cases():
                    row = row_of((scene.name, f"x{scale}", method), known, plain, case)
                    tqdm.write(" | ".join(cells(row)), sys.stderr)
                    yield row


def cases() -> Iterator[Case]:
    """What is missing, as the flags say."""
    for share in map(float, FLAGS.shares):
        for kind in FLAGS.kinds:
            for image in FLAGS.images:
                yield Case(kind, image, share)


HEADS = (
    "scene",
    "scale",
    "method",
    "missing",
    "kind",
    "in",
    "far, dB",
    "all, dB",
    "trust",
    "lr_hsi residual",
    "hr_msi residual",
    "within limits",
)


def cells(row: Row) -> list[str]:
    """A line of the table."""
    shares = [f"{100 * row.case.share:g} %", row.case.kind, row.case.image]
    gains = [f"{one:+.3f}" for one in (row.far, row.everywhere)]
    trust = "" if np.isnan(row.trust[0]) else f"{row.trust[0]:.3f} / {row.trust[1]:.3f}"
    left = [
        "no pixel" if np.isnan(b) else f"{100 * a:.3f} / {100 * b:.3f} %" for a, b in (row.lr_hsi, row.hr_msi)
    ]
    return [*row.about, *shares, *gains, trust, *left, "yes" if row.within else "no"]


SUMMARY_HEADS = ("method", "missing", "in", "far, dB", "all, dB", "trust", "residuals", "within limits")


def summary(rows: Sequence[Row]) -> Iterator[list[str]]:
    """A line for each method, share and image: the worst of its scenes, scales and shapes of holes."""
    groups: dict[tuple[str, float, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.about[2], row.case.share, row.case.image), []).append(row)
    for (method, share, image), found in groups.items():
        gains = [np.nanmin([getattr(row, name) for row in found]) for name in ("far", "everywhere")]
        gaps = [_largest_gap([row.trust for row in found])]
        gaps.append(_largest_gap([pair for row in found for pair in (row.lr_hsi, row.hr_msi)]))
        kept = f"{sum(row.within for row in found)} of {len(found)}"
        words = ["" if np.isnan(gap) else percent(gap) for gap in gaps]
        yield [method, f"{100 * share:g} %", image, *(f"{one:+.2f}" for one in gains), *words, kept]


def _largest_gap(pairs: Sequence[tuple[float, float]]) -> float:
    """The largest difference of shares; NaN where none is known."""
    gaps = np.abs(np.diff(np.array(pairs), axis=1))
    return float(np.nanmax(gaps)) if np.isfinite(gaps).any() else float("nan")


def define_flags() -> None:
    """What is measured."""
    flags.DEFINE_list("scenes", ["flowers", "thread_spools"], "Names of scenes.")
    flags.DEFINE_string("data_dir", None, "Folder of sharp cubes (default: $HSR_DATA/hsi/cave_train).")
    flags.DEFINE_integer("crop", 128, "Side of the square in the middle of a scene.", 32)
    flags.DEFINE_list("scales", ["4", "8"], "Sharp pixels per coarse pixel.")
    flags.DEFINE_list("methods", ["spectral_ls"], "Methods.")
    flags.DEFINE_list("shares", ["0.01", "0.05", "0.3"], "Shares of the pixels that are missing.")
    define_names("kinds", list(KINDS), KINDS, "Shapes of the holes.")
    define_names("images", IMAGES, IMAGES, "Images with holes.")
    flags.DEFINE_float("noise", None, "Signal-to-noise ratio of both images in dB.")
    flags.DEFINE_float("max_seconds", 60.0, "Time limit of solvers and of auto.", 0.1)
    define_json()


def main() -> None:
    """Print the table."""
    paths = find_scenes(FLAGS.data_dir, default="hsi/cave_train", names=FLAGS.scenes)
    about = machine()
    rows = list(measure(paths))
    print_machine(about)
    print(table(HEADS, map(cells, rows), words=(0, 1, 2, 4, 5, 11)))
    print(table(SUMMARY_HEADS, summary(rows), words=(0, 2, 7)))
    print(f"{sum(not row.within for row in rows)} of {len(rows)} outside of the limits")
    write({"machine": about, "rows": [dict(zip(HEADS, cells(row), strict=True)) for row in rows]})


if __name__ == "__main__":
    define_flags()
    run_app(main)
