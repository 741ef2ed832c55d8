"""A channel is an integral over wavelength, whatever the spacing and order of the bands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hsr_tf.physics.band_cells import band_cells
from hsr_tf.physics.response_library import find_table
from hsr_tf.physics.sensors import TITLES, sensor_bands
from hsr_tf.physics.spectral import load_srf

Spectrum = Callable[[np.ndarray], np.ndarray]
TWO_SPACINGS = np.concatenate([np.arange(400.0, 701.0, 3.0), np.arange(712.0, 991.0, 12.0)])
TWO_DETECTORS = np.concatenate([np.arange(420.0, 1000.0, 6.5), np.arange(900.0, 1800.0, 10.0)])
DOUBLED = np.repeat(np.arange(400.0, 1001.0, 5.0), np.where(np.arange(121) < 60, 3, 1))
BANDS = {
    "two spacings": TWO_SPACINGS,
    "two detectors that overlap": TWO_DETECTORS,
    "doubled bands": DOUBLED,
    "longest first": TWO_SPACINGS[::-1],
    "shuffled": np.random.default_rng(0).permutation(TWO_DETECTORS),
}
SPECTRA: dict[str, Spectrum] = {
    "slope": lambda nm: 0.1 + 0.4 * (nm - 400) / 600,
    "red edge": lambda nm: 0.05 + 0.45 / (1 + np.exp(-(nm - 715) / 12)),
    "green peak": lambda nm: 0.2 + 0.3 * np.exp(-(((nm - 560) / 40) ** 2)),
}


def integrated(name: str, spectrum: Spectrum, ends: tuple[float, float]) -> float:
    """The mean of a spectrum under a response of one channel, by the trapezoid rule on steps of 0.02 nm."""
    table = find_table(name)
    fine = np.linspace(*ends, int((ends[1] - ends[0]) / 0.02) + 1)
    response = np.interp(fine, table.wavelengths_nm, table.values[:, 0])
    return float(np.trapezoid(response * spectrum(fine), fine) / np.trapezoid(response, fine))


@pytest.mark.parametrize("spectrum", SPECTRA)
@pytest.mark.parametrize("name", ["worldview2:pan", "sentinel2a:B08"])
def test_channels_are_integrals_whatever_the_spacing_and_order(name: str, spectrum: str) -> None:
    for kind, bands in BANDS.items():
        cells = band_cells(bands)
        ends = float(cells.lower_nm.min()), min(float(cells.upper_nm.max()), 1300.0)
        found = SPECTRA[spectrum](bands) @ load_srf(name, bands, outside="zero").matrix[:, 0]
        assert found == pytest.approx(integrated(name, SPECTRA[spectrum], ends), rel=2e-3), kind


def test_widths_add_up_to_the_range_and_even_bands_all_count_the_same() -> None:
    for bands in BANDS.values():
        cells = band_cells(bands)
        covered = cells.upper_nm.max() - cells.lower_nm.min()
        assert cells.widths_nm.sum() == pytest.approx(covered, rel=1e-12)
    np.testing.assert_allclose(band_cells(np.arange(400.0, 701.0, 10.0)).weights, 1, rtol=1e-12)
    assert band_cells(np.array([550.0])).weights.tolist() == [1.0]


def test_weights_follow_their_bands_into_another_order() -> None:
    order = np.random.default_rng(1).permutation(len(TWO_DETECTORS))
    straight, moved = (load_srf("landsat7:B8", bands, outside="zero").matrix for bands in
                       (TWO_DETECTORS, TWO_DETECTORS[order]))  # fmt: skip
    np.testing.assert_allclose(moved, straight[order], atol=1e-15)


def test_a_table_of_weights_is_taken_as_it_is_on_its_own_bands_in_any_order(tmp_path: Path) -> None:
    bands = np.array([400.0, 403.0, 406.0, 418.0, 430.0])
    weights = np.array([0.05, 0.15, 0.3, 0.4, 0.1])
    rows = [f"{nm},{weight}" for nm, weight in zip(bands, weights, strict=True)]
    path = tmp_path / "weights.csv"
    path.write_text("\n".join(["wavelength_nm,pan", *rows]) + "\n", encoding="utf-8")
    np.testing.assert_allclose(load_srf(path, bands).matrix[:, 0], weights, atol=1e-15)
    np.testing.assert_allclose(load_srf(path, bands[::-1]).matrix[:, 0], weights[::-1], atol=1e-15)


def test_sensitivities_on_uneven_bands_are_weighted_by_their_widths(tmp_path: Path) -> None:
    bands = np.array([400.0, 403.0, 406.0, 418.0, 430.0])
    path = tmp_path / "flat.csv"
    path.write_text("wavelength_nm,pan\n" + "".join(f"{nm},0.8\n" for nm in bands), encoding="utf-8")
    widths = np.array([3.0, 3.0, 7.5, 12.0, 12.0])
    np.testing.assert_allclose(load_srf(path, bands).matrix[:, 0], widths / widths.sum(), atol=1e-15)


def test_the_coverage_of_bands_of_two_spacings_is_whole() -> None:
    assert find_table("worldview2:nir1").coverage(TWO_SPACINGS)[0] == pytest.approx(1, abs=1e-9)
    without = TWO_SPACINGS[(TWO_SPACINGS < 790) | (TWO_SPACINGS > 860)]
    assert 0.3 < find_table("worldview2:nir1").coverage(without)[0] < 0.7


def _every(first: float, last: float, step: float) -> np.ndarray:
    return np.arange(first, last + step / 2, step)


# (centres, FWHM) of bands as the instruments have them; both detectors where they overlap.
INSTRUMENTS = {
    "EnMAP": (np.concatenate([_every(418.4, 993.0, 6.4), _every(902.2, 2445.5, 11.9)]), 9.0),
    "PRISMA": (np.concatenate([_every(406.9, 977.3, 9.2), _every(943.3, 2497.1, 9.1)]), 12.0),
    "DESIS": (_every(401.3, 998.8, 2.553), 3.5),
    "EMIT": (_every(381.0, 2493.0, 7.41), 8.5),
    "Hyperion": (np.concatenate([_every(426.8, 925.4, 10.17), _every(912.5, 2395.5, 10.09)]), 10.9),
    "two cameras": (TWO_SPACINGS, np.where(TWO_SPACINGS < 706, 3.0, 12.0)),
}
RESOLVED: dict[str, Spectrum] = {  # no edge narrower than the bands
    "soil": lambda nm: 0.08 + 1.4e-4 * (nm - 400) - 0.05 * np.exp(-(((nm - 900) / 80) ** 2)),
    "falling": lambda nm: 0.5 - 1.9e-4 * (nm - 400),
}


@pytest.mark.parametrize("instrument", INSTRUMENTS)
def test_every_sensor_on_bands_with_a_shape_of_their_own_is_an_integral_to_one_percent(
    instrument: str,
) -> None:
    centres, widths = INSTRUMENTS[instrument]
    fine = np.arange(300.0, 2600.0, 0.5)
    shapes = np.exp(-4 * np.log(2) * ((fine[:, None] - centres) / widths) ** 2)
    shapes /= shapes.sum(0)
    num_compared = 0
    for sensor in TITLES:
        table = find_table(sensor)
        covered = table.coverage(centres) >= 0.98
        names = [name for name, inside in zip(table.channels, covered, strict=True) if inside]
        if not names:
            continue
        srf = load_srf(f"{sensor}:{','.join(names)}", centres, outside="zero")
        bands = {band.channel: band for band in sensor_bands(sensor)}
        for spectrum in RESOLVED.values():
            seen = (spectrum(fine) @ shapes) @ srf.matrix
            for name, value in zip(names, seen, strict=True):
                response = bands[name].response(fine)
                expected = (response @ spectrum(fine)) / response.sum()
                assert value == pytest.approx(expected, rel=0.01), (sensor, name)
                num_compared += 1
    assert num_compared > 100
