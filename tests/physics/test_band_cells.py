"""A channel is an integral over wavelength, whatever the spacing and order of the bands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hsr_tf.physics.band_cells import band_cells
from hsr_tf.physics.response_library import find_table
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
