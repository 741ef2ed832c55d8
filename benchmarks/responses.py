"""How exact channels are that named responses make of a cube's bands: `python -m benchmarks.responses`.

A cube of each instrument sees spectra through bands of its own centres and widths, computed on a grid of 0.5
nm; each channel of each sensor in the library sees the same spectra there. The error is that of the channel
that the weights of `hsr_tf.physics.spectral.load_srf` make of the bands, relative to the one on the fine
grid. Channels count that the bands cover to 98 %. "Bare" weights give every band its response times its
spacing. Bands are Gaussian, or boxes of the same width, which the weights are not made for. `--scenes` adds
spectra of scenes, interpolated by cubic splines.

    python -m benchmarks.responses --scenes=jasperRidge2_R198 --data_dir=CUBES
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from absl import flags
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from benchmarks._report import define_json, table, write
from hsr_tf.console.flag_apps import run_app
from hsr_tf.data.scenes import find_scenes
from hsr_tf.io import load
from hsr_tf.physics.response_library import find_table
from hsr_tf.physics.sensors import TITLES, sensor_bands
from hsr_tf.physics.spectral import load_srf

FLAGS = flags.FLAGS
Numbers = NDArray[np.float64]
FINE_NM: Numbers = np.arange(300.0, 2600.0, 0.5)
COVERED, DARK = 0.98, 1e-3
SPECTRA_OF_A_SCENE = 200


@dataclass(frozen=True, eq=False)
class Instrument:
    """The bands of an imaging spectrometer.

    Attributes:
        centres_nm, fwhm_nm: (C,).
    """

    centres_nm: Numbers
    fwhm_nm: Numbers

    def shapes(self, *, boxes: bool = False) -> Numbers:
        """(n, C), what each band sees of the fine grid, with sums of one."""
        off = (FINE_NM[:, None] - self.centres_nm) / self.fwhm_nm
        shapes = (np.abs(off) <= 0.5).astype(float) if boxes else np.exp(-4 * np.log(2) * off**2)
        return np.asarray(shapes / shapes.sum(0))


def _bands(*parts: tuple[float, float, float, float]) -> Instrument:
    """Bands from one wavelength to another, at a spacing, of a width: detector after detector."""
    centres = [np.arange(first, last + step / 2, step) for first, last, step, _ in parts]
    widths = [np.full(len(one), part[3]) for one, part in zip(centres, parts, strict=True)]
    return Instrument(np.concatenate(centres), np.concatenate(widths))


INSTRUMENTS = {
    "EnMAP": _bands((418.4, 993.0, 6.4, 9.0), (902.2, 2445.5, 11.9, 9.0)),
    "PRISMA": _bands((406.9, 977.3, 9.2, 12.0), (943.3, 2497.1, 9.1, 12.0)),
    "DESIS": _bands((401.3, 998.8, 2.553, 3.5)),
    "EMIT": _bands((381.0, 2493.0, 7.41, 8.5)),
    "Hyperion": _bands((426.8, 925.4, 10.17, 10.9), (912.5, 2395.5, 10.09, 10.9)),
    "two cameras": _bands((400, 700, 3, 3), (712, 988, 12, 12)),
    "two cameras, 30 nm apart": _bands((400, 691, 3, 3), (721, 991, 12, 12)),
}


def _dip(nm: Numbers, centre: float, width: float, depth: float) -> Numbers:
    return np.asarray(1 - depth * np.exp(-(((nm - centre) / width) ** 2)))


def _leaf(nm: Numbers) -> Numbers:
    edge = 0.04 + 0.06 * np.exp(-(((nm - 552) / 35) ** 2)) + 0.42 / (1 + np.exp(-(nm - 716) / 11))
    water = _dip(nm, 970, 25, 0.08) * _dip(nm, 1190, 40, 0.15) * _dip(nm, 1445, 60, 0.7)
    return np.asarray(edge * water * _dip(nm, 1930, 70, 0.9))


SPECTRA: Mapping[str, Callable[[Numbers], Numbers]] = {
    "leaf": _leaf,
    "red edge of 12 nm": lambda nm: np.asarray(0.05 + 0.45 / (1 + np.exp(-(nm - 715) / 12))),
    "red edge of 8 nm": lambda nm: np.asarray(0.03 + 0.47 / (1 + np.exp(-(nm - 720) / 8))),
    "soil": lambda nm: np.asarray((0.08 + 1.4e-4 * (nm - 400)) * _dip(nm, 900, 80, 0.2)),
    "clay": lambda nm: (
        (0.2 + 0.2 * np.clip((nm - 400) / 800, 0, 1)) * _dip(nm, 2205, 18, 0.15) * _dip(nm, 2345, 25, 0.12)
    ),
    "water": lambda nm: np.asarray(0.002 + 0.06 * np.exp(-(((nm - 480) / 90) ** 2))),
    "falling": lambda nm: np.asarray(0.5 - 1.9e-4 * (nm - 400)),
}


@dataclass(frozen=True, eq=False)
class Channels:
    """The channels of a sensor that an instrument covers.

    Attributes:
        sensor: name in the library.
        names: (c,) of the channels.
        fine: (n, c), their responses on the fine grid, with sums of one.
    """

    sensor: str
    names: tuple[str, ...]
    fine: Numbers

    def weights(self, instrument: Instrument, *, widths: bool = True) -> Numbers:
        """(C, c), the weights that the library gives the bands, with or without their widths known."""
        known = instrument.fwhm_nm if widths else None
        spec = f"{self.sensor}:{','.join(self.names)}"
        return load_srf(spec, instrument.centres_nm, fwhm_nm=known, outside="zero").matrix

    def bare_weights(self, instrument: Instrument) -> Numbers:
        """(C, c), the response at the centres times the distance between the neighbours."""
        order = np.argsort(instrument.centres_nm, kind="stable")
        spacing = np.empty(len(order))
        spacing[order] = np.gradient(instrument.centres_nm[order])
        at = np.stack([np.interp(instrument.centres_nm, FINE_NM, one) for one in self.fine.T], 1)
        return np.asarray(at * spacing[:, None] / (at * spacing[:, None]).sum(0))


def covered_channels(instrument: Instrument) -> Iterator[Channels]:
    """The channels of each sensor whose response lies within the bands of an instrument to 98 %."""
    for sensor in TITLES:
        found = find_table(sensor)
        inside = found.coverage(instrument.centres_nm) >= COVERED
        names = tuple(name for name, one in zip(found.channels, inside, strict=True) if one)
        if names:
            yield Channels(sensor, names, _fine_responses(sensor, names))


@lru_cache
def _fine_responses(sensor: str, names: tuple[str, ...]) -> Numbers:
    bands = {band.channel: band for band in sensor_bands(sensor)}
    fine = np.stack([bands[name].response(FINE_NM) for name in names], 1)
    return np.asarray(fine / fine.sum(0))


@dataclass(frozen=True)
class Worst:
    """The largest relative error, and where."""

    error: float
    where: str


def worst_error(
    channels: Channels, weights: Numbers, shapes: Numbers, spectra: Mapping[str, Numbers]
) -> Worst:
    """The largest relative error over channels and spectra; what is all but dark does not count.

    Args:
        channels: c channels.
        weights: (C, c).
        shapes: (n, C) of the bands.
        spectra: (n,) on the fine grid, by name.
    """
    rows = np.stack(list(spectra.values()))
    expected, found = rows @ channels.fine, rows @ shapes @ weights
    error = np.where(expected > DARK, np.abs(found - expected) / np.maximum(expected, DARK), 0)
    row, column = np.unravel_index(int(error.argmax()), error.shape)
    where = f"{channels.sensor}:{channels.names[column]}, {list(spectra)[row]}"
    return Worst(float(error[row, column]), where)


def noise_gain(weights: Numbers, bare: Numbers) -> Numbers:
    """(c,) how much more noise of the bands channels have than by the bare weights."""
    return np.asarray(np.sqrt(np.square(weights).sum(0) / np.square(bare).sum(0)))


def scene_spectra() -> dict[str, Numbers]:
    """Spectra of pixels of scenes, flat outside of their bands."""
    found: dict[str, Numbers] = {}
    if not FLAGS.scenes:
        return found
    for path in find_scenes(FLAGS.data_dir, default="hsi/remote", names=FLAGS.scenes):
        scene = load(path)
        assert scene.wavelengths_nm is not None, f"{scene.name} has no wavelengths"
        pixels = scene.cube.reshape(-1, scene.num_bands).astype(float)
        pixels = pixels[pixels.min(1) > 0.01]
        rng = np.random.default_rng(0)
        chosen = pixels[rng.choice(len(pixels), min(SPECTRA_OF_A_SCENE, len(pixels)), replace=False)]
        place, first = np.unique(scene.wavelengths_nm, return_index=True)
        fine = CubicSpline(place, chosen[:, first], axis=1)(np.clip(FINE_NM, place[0], place[-1]))
        found |= {f"{scene.name} {i}": one for i, one in enumerate(fine)}
    return found


HEADS = (
    "bands",
    "channels",
    "error",
    "where",
    "boxes",
    "FWHM unknown",
    "bare weights",
    "noise gain",
    "at most",
)


def row_of(name: str, instrument: Instrument, spectra: Mapping[str, Numbers]) -> list[str]:
    """A line of the table."""
    worst = {"": Worst(0, ""), "boxes": Worst(0, ""), "unknown": Worst(0, ""), "bare": Worst(0, "")}
    gains: list[Numbers] = []
    shapes, boxes = instrument.shapes(), instrument.shapes(boxes=True)
    for channels in covered_channels(instrument):
        weights, bare = channels.weights(instrument), channels.bare_weights(instrument)
        blind = channels.weights(instrument, widths=False)
        gains.append(noise_gain(weights, bare))
        for kind, (matrix, seen) in {
            "": (weights, shapes),
            "boxes": (weights, boxes),
            "unknown": (blind, shapes),
            "bare": (bare, shapes),
        }.items():
            one = worst_error(channels, matrix, seen, spectra)
            worst[kind] = max(worst[kind], one, key=lambda each: each.error)
    gain = np.concatenate(gains)
    errors = [f"{100 * one.error:.2f} %" for one in worst.values()]
    counts = [name, str(len(gain)), errors[0], worst[""].where, *errors[1:]]
    return [*counts, f"{np.median(gain):.2f}", f"{gain.max():.2f}"]


def define_flags() -> None:
    """Which spectra."""
    flags.DEFINE_list("scenes", [], "Scenes whose spectra are added.")
    flags.DEFINE_string("data_dir", None, "Folder of their cubes (default: $HSR_DATA/hsi/remote).")
    define_json()


def main() -> None:
    """Print the table."""
    spectra = {name: spectrum(FINE_NM) for name, spectrum in SPECTRA.items()} | scene_spectra()
    rows = [row_of(name, instrument, spectra) for name, instrument in INSTRUMENTS.items()]
    print(f"{len(spectra)} spectra, {len(TITLES)} sensors")
    print(table(HEADS, rows, words=(0, 3)))
    write({"rows": [dict(zip(HEADS, row, strict=True)) for row in rows]})


if __name__ == "__main__":
    define_flags()
    run_app(main)
