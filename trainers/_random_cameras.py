"""Cameras drawn at random for networks that are to fit any: responses, PSFs, noise, small misfits, spectra.

A draw is a function of its random generator alone. `DrawnPair` simulates whole scenes with the true cameras
and starts from the assumed ones, so that crops of start and observations hold what they hold in use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.signal import fftconvolve

from hsr_tf import checks
from hsr_tf.closed_forms.spectral_ls import SceneMap
from hsr_tf.physics.noise import GaussianNoise
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.psf import Psf, anisotropic_gaussian_psf, box_psf, gaussian_psf, motion_psf
from hsr_tf.physics.psf_shift import on_support, shifted_psf
from hsr_tf.physics.response_table import ResponseTable, read_response_csv
from hsr_tf.physics.sample_blur import SampleBlur
from hsr_tf.physics.sample_degradation import SampleDegradation, inverse_taps, psf_cells
from hsr_tf.physics.spatial import SpatialDegradation
from hsr_tf.physics.spectral import SpectralResponse, load_srf
from hsr_tf.physics.tiled_pair import ArrayPair
from hsr_tf.scene import Scene
from hsr_tf.tiling.region import Region
from hsr_tf.tiling.stages import run_stages
from hsr_tf.typing import Cube, Tensor

Generator = np.random.Generator
# Never trained on, so that a score on them is one of an unknown camera.
HELD_BACK = ("Canon_5DMarkII", "Nikon_D90", "SONY_NEX_5N")
NOT_SENSITIVITIES = ("sentinel2_on_aviris173", "sentinel2a_on_191bands")
REACH_CELLS, MOST_CHANNELS = 2, 16
NOISE_DB = (25.0, 50.0)


@dataclass(frozen=True)
class DrawPlan:
    """What is drawn.

    Attributes:
        num_bands: C of every draw; spectra are resampled to it.
        measured: response tables; channels of satellites are drawn among their own.
        region: side of the part of a scene that is simulated as a whole, in sharp pixels.
        noisy: share of the pairs with noise of 25 to 50 dB.
        misfit: of those whose PSF and gains are wrongly assumed.
        unmeasured: of those with smooth random channels.
        varied: of those whose spectra are stretched, cut and given other gains.
    """

    num_bands: int = 31
    measured: tuple[ResponseTable, ...] = ()
    region: int = 256
    noisy: float = 0.15
    misfit: float = 0.05
    unmeasured: float = 0.1
    varied: float = 0.0


@dataclass(frozen=True, eq=False)
class DrawnPair:
    """A simulated scene with its start, as arrays that crops are cut from.

    Attributes:
        truth, start: Z and its closed-form start, (s h, s w, C).
        residual: E, what the start left of X, (h, w, C).
        scene: constants of the whole scene by name: see `SampleCameras`; unused channels are zero.
        scale: s.
    """

    truth: Cube
    start: Cube
    residual: Cube
    scene: dict[str, NDArray[np.float32]]
    scale: int


def measured_responses(folders: Sequence[Path]) -> tuple[ResponseTable, ...]:
    """The tables of some folders, but for those held back and tables of band numbers.

    Raises:
        OSError: a folder without tables, or a file that is none.
    """
    left_out, found = (*HELD_BACK, *NOT_SENSITIVITIES), []
    for folder in folders:
        paths = [path for path in sorted(folder.glob("*.csv")) if path.stem not in left_out]
        if not paths:
            raise checks.file_error(folder, "holds no response tables", "give a folder of CSV files")
        found += [read_response_csv(path) for path in paths]
    return tuple(found)


def draw_pair(scene: Scene, scale: int, plan: DrawPlan, rng: Generator) -> DrawnPair:
    """Draw cameras for a scene, simulate it, and start from what is assumed of them."""
    cube, wavelengths_nm = draw_spectra(_region(scene, scale, plan.region, rng), plan, rng)
    response = draw_response(wavelengths_nm, plan, rng)
    psf = draw_psf(scale, rng)
    true = ObservationModel(ByCells(psf, scale), SpectralResponse(response), *draw_noises(plan, rng))
    lr_hsi, hr_msi = true.simulate(cube[None], seed=int(rng.integers(2**31)))
    assumed = true
    if rng.random() < plan.misfit:
        assumed = replace(true, spatial=ByCells(misfitted(psf, scale, rng), scale))
        hr_msi = hr_msi * rng.uniform(0.98, 1.02, hr_msi.shape[-1]).astype(np.float32)
    images = [np.asarray(image, np.float32)[0] for image in (lr_hsi, hr_msi)]
    return started(cube, images[0], images[1], assumed)


def started(truth: Cube, lr_hsi: Cube, hr_msi: Cube, model: ObservationModel) -> DrawnPair:
    """A pair with its start and the constants of its projection."""
    scale, num_channels = model.scale, hr_msi.shape[-1]
    scene_map = _FastMap(ArrayPair((lr_hsi, hr_msi), model))
    run_stages([scene_map.survey()])
    part = scene_map.part(Region.whole(lr_hsi.shape[:2]))
    matrix = model.spectral.matrix
    unused = MOST_CHANNELS - num_channels
    inverse = np.pad(model.spectral.pseudo_inverse(), ((0, unused), (0, 0))).astype(np.float32)
    psf = model.spatial.psf
    constants = {
        "lift": inverse,
        "response": np.pad(matrix, ((0, 0), (0, unused))).astype(np.float32),
        "cells": psf_cells(psf, scale, REACH_CELLS),
        "solver": inverse_taps(psf, scale),
        "trust": np.float32(scene_map.found().trust),
        "error": np.square(truth - part.estimate).mean((0, 1), dtype=np.float32),
    }
    start, residual = (np.asarray(image, np.float32) for image in (part.estimate, part.unexplained))
    return DrawnPair(truth, start, residual, constants, scale)


class ByCells(SpatialDegradation):
    """D by `SampleDegradation`: a tenth of the time where a PSF is not separable."""

    def __init__(self, psf: Psf, scale: int) -> None:
        super().__init__(psf, scale)
        self._by_cells = SampleDegradation(psf_cells(psf, scale, REACH_CELLS)[None], scale)

    def forward(self, x: Tensor) -> Tensor:
        """See `SpatialDegradation.forward`."""
        return self._by_cells.forward(x) if self.psf.factors is None else super().forward(x)

    def adjoint(self, y: Tensor) -> Tensor:
        """See `SpatialDegradation.adjoint`."""
        return self._by_cells.adjoint(y) if self.psf.factors is None else super().adjoint(y)


class _FastMap(SceneMap):
    """A start in a tenth of a second with any PSF.

    Where conjugate gradients would take the inverse of D D*, the taps of `inverse_taps` do, as in the
    training step: they are exact but for the border of the scene.
    """

    def solved(self, residual: Cube, far: Region, around: Region) -> Tensor:
        """See `SceneMap.solved`."""
        if self.consistency.reach() is not None:
            return super().solved(residual, far, around)
        taps = inverse_taps(self.model.spatial.psf, self.model.scale)
        rows, columns = around.inside(far).slices
        return SampleBlur(taps[None])(residual[None])[:, rows, columns]


def draw_spectra(scene: Scene, plan: DrawPlan, rng: Generator) -> tuple[Cube, NDArray[np.float64]]:
    """The cube of a scene in `num_bands` bands, and their centres.

    Scenes of another number of bands are resampled. The draws that vary take a random part of the range, at
    least half of it, resampled, with a smooth random gain and the range moved on the axis of wavelength by up
    to a fifth.
    """
    centres = scene.wavelengths_nm
    if centres is None:
        centres = np.linspace(400.0, 2400.0, scene.num_bands)
    order = np.argsort(centres, kind="stable")
    centres, cube = np.asarray(centres, np.float64)[order], scene.cube[..., order]
    varies = rng.random() < plan.varied
    if scene.num_bands == plan.num_bands and not varies:
        return cube, centres
    low, high = 0.0, 1.0
    if varies:
        width = rng.uniform(0.5, 1.0)
        low = rng.uniform(0.0, 1.0 - width)
        high = low + width
    places = np.linspace(low, high, plan.num_bands) * (scene.num_bands - 1)
    matrix = np.maximum(0.0, 1.0 - np.abs(np.arange(scene.num_bands)[:, None] - places) / _step(places))
    matrix = matrix / matrix.sum(0)
    taken = np.interp(places, np.arange(scene.num_bands), centres)
    if varies:
        gain = gaussian_filter1d(rng.standard_normal(plan.num_bands), plan.num_bands / 6, mode="reflect")
        matrix = matrix * np.exp(0.3 * gain / max(float(gain.std()), 1e-6))
        taken = taken * rng.uniform(0.8, 1.2)
    cube = cube @ matrix.astype(np.float32)
    return cube / max(1.0, float(cube.max())), taken


def draw_response(wavelengths_nm: NDArray[np.float64], plan: DrawPlan, rng: Generator) -> NDArray[np.float64]:
    """R, (C, c), columns of sum one: mostly a measured camera, else smooth random channels."""
    if plan.measured and rng.random() >= plan.unmeasured:
        for _ in range(8):
            table = plan.measured[int(rng.integers(len(plan.measured)))]
            found = _measured(table, wavelengths_nm, rng)
            if found is not None:
                return found
    count = int(min(rng.choice(np.arange(1, MOST_CHANNELS + 1), p=_CHANNELS), len(wavelengths_nm) // 2))
    place = np.linspace(0.0, 1.0, len(wavelengths_nm))[:, None]
    even = (np.arange(count) + rng.uniform(0.2, 0.8, count)) / count
    width = np.exp(rng.uniform(np.log(0.05), np.log(0.5), count)) * (1.0 if count > 1 else 1.5)
    power = rng.uniform(1.5, 5.0, count)
    curves = np.exp(-np.log(2.0) * (2 * np.abs(place - even) / width) ** power)
    curves = curves + rng.uniform(0.0, 0.05, count) * np.abs(np.sin(np.pi * (place + rng.random(count))))
    return np.asarray(curves / curves.sum(0))


def draw_psf(scale: int, rng: Generator) -> Psf:
    """A Gaussian, an anisotropic one, a box or motion, half to twice the scale wide."""
    width = scale * float(np.exp(rng.uniform(np.log(0.5), np.log(2.0))))
    kind = rng.choice(["gaussian", "anisotropic", "box", "motion"], p=[0.5, 0.2, 0.15, 0.15])
    support = 2 * scale if width <= 1.1 * scale else 4 * scale
    support += scale % 2
    if kind == "box":
        size = max(1, round(width))
        return box_psf(size + (size - scale) % 2)
    sigma = width / 2.355
    if kind == "anisotropic":
        second = sigma * rng.uniform(0.4, 1.0)
        angle = float(rng.uniform(0.0, 180.0))
        return anisotropic_gaussian_psf(
            scale, sigmas=(sigma, second), angle_degrees=angle, support=4 * scale + scale % 2
        )
    if kind == "motion":
        path = motion_psf(scale, length=width, angle_degrees=float(rng.uniform(0.0, 180.0)))
        focus = gaussian_psf(1, sigma=0.25 * scale, support=2 * (scale // 2) + 1)
        kernel = np.maximum(fftconvolve(path.kernel, focus.kernel), 0.0)
        return _at_most(Psf(kernel, f"{path.name}, defocused"), scale)
    return gaussian_psf(scale, sigma=sigma, support=support)


def misfitted(psf: Psf, scale: int, rng: Generator) -> Psf:
    """What is wrongly assumed of a PSF: off by less than half a pixel, or blurred by some more."""
    if rng.random() < 0.5:
        row, column = rng.uniform(-0.5, 0.5, 2)
        return _at_most(shifted_psf(psf, (float(row), float(column))), scale)
    wider = gaussian_psf(1, sigma=0.2 * scale, support=2 * (scale // 2) + 1)
    return _at_most(Psf(np.maximum(fftconvolve(psf.kernel, wider.kernel), 0.0), psf.name), scale)


def draw_noises(plan: DrawPlan, rng: Generator) -> list[GaussianNoise | None]:
    """Noise of both images: none for most pairs, else 25 to 50 dB of one or of both."""
    if rng.random() >= plan.noisy:
        return [None, None]
    noisy = ((True, True), (True, False), (False, True))[int(rng.integers(3))]
    return [GaussianNoise(float(rng.uniform(*NOISE_DB))) if one else None for one in noisy]


_CHANNELS = np.array([4, 3, 10, 6, 3, 2, 2, 3, 1, 1, 1, 1, 1, 1, 1, 1], float)
_CHANNELS /= _CHANNELS.sum()


def _measured(
    table: ResponseTable, wavelengths_nm: NDArray[np.float64], rng: Generator
) -> NDArray[np.float64] | None:
    """Channels of a table that see the bands, some of them where there are many; None for none."""
    inside = table.coverage(wavelengths_nm) > 0.9
    seeing = tuple(name for name, seen in zip(table.channels, inside, strict=True) if seen)[:MOST_CHANNELS]
    if not seeing:
        return None
    if len(seeing) > 4:
        chosen = rng.permutation(len(seeing))[: int(rng.integers(2, len(seeing) + 1))]
        seeing = tuple(seeing[i] for i in sorted(chosen))
    return load_srf(table.only(seeing), wavelengths_nm, outside="zero").matrix


def _region(scene: Scene, scale: int, side: int, rng: Generator) -> Scene:
    """A random square of a scene whose sides are multiples of the scale, rotated and flipped."""
    starts = []
    sides = [min(side, n) // scale * scale for n in scene.shape[:2]]
    for size, whole in zip(sides, scene.shape[:2], strict=True):
        starts.append(int(rng.integers(whole - size + 1)))
    rows, columns = (slice(a, a + n) for a, n in zip(starts, sides, strict=True))
    part = scene.cropped(rows, columns)
    turned = np.rot90(part.cube, int(rng.integers(4)))[:, :: int(rng.choice([-1, 1]))]
    return replace(part, cube=np.ascontiguousarray(turned))


def _at_most(psf: Psf, scale: int) -> Psf:
    """A PSF cut to the cells that crops are simulated with."""
    most = (2 * REACH_CELLS + 1) * scale
    taps = [min(n, most - (most - n) % 2) for n in psf.kernel.shape]
    return (
        psf if list(psf.kernel.shape) == taps else Psf(on_support(psf.kernel, (taps[0], taps[1])), psf.name)
    )


def _step(places: NDArray[np.float64]) -> float:
    """Half width of the triangle that a new band averages over, in old bands, at least one."""
    return max(1.0, float(places[-1] - places[0]) / max(1, len(places) - 1))
