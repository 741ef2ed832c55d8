"""Named responses: half maxima at the published edges, channels by name, close to measured tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hsr_tf.physics.response_library import find_table, response_entries, response_names
from hsr_tf.physics.response_table import ResponseTable, read_response_csv
from hsr_tf.physics.sensors import sensor_bands, sensor_names, sensor_table
from hsr_tf.physics.spectral import load_srf

CAVE_NM = np.arange(400.0, 701.0, 10.0)
SATELLITE_NM = np.arange(400.0, 2450.0, 10.0)
# The columns of measured tables by the names of our channels, and the largest mean angle in degrees.
MEASURED = {
    "sentinel2a": ("Sentinel-2A_MSI.csv", "S2A:Band", 4.0),
    "sentinel2b": ("Sentinel-2B_MSI.csv", "S2B:Band", 4.0),
    "landsat5": ("Landsat-5_TM.csv", "tm5:Band", 10.0),
    "landsat7": ("Landsat-7_ETMp.csv", "tm7:Band", 7.0),
    "landsat8": ("Landsat-8_OLI_TIRS.csv", "B", 4.0),
    "landsat9": ("Landsat-9_OLI_TIRS.csv", "B", 4.0),
    "ikonos": ("ikonos.csv", "", 8.0),
}


@pytest.mark.parametrize("name", sensor_names())
def test_every_band_has_its_half_maxima_at_its_edges(name: str) -> None:
    table, bands = sensor_table(name), sensor_bands(name)
    assert table.channels == tuple(band.channel for band in bands)
    assert np.isfinite(table.values).all()
    assert table.values.min() >= 0
    for band, column in zip(bands, table.values.T, strict=True):
        edges = np.array([band.lower_nm, band.upper_nm])
        np.testing.assert_allclose(band.response(edges), 0.5)
        np.testing.assert_allclose(np.interp(edges, table.wavelengths_nm, column), 0.5, atol=0.06)
        assert column[[0, -1]].max() < 0.01


def spectral_angles(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    cosine = (first * second).sum(0) / np.linalg.norm(first, axis=0) / np.linalg.norm(second, axis=0)
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


def measured_angles(folder: Path, name: str, wavelengths_nm: np.ndarray) -> dict[str, float]:
    """Angle between our curve and the measured one of each channel that the bands cover."""
    file, prefix, _ = MEASURED[name]
    table = read_response_csv(folder / file)
    keys = (channel.removeprefix(prefix).replace("1100", "11") for channel in table.channels)
    theirs = {key: column for column, key in enumerate(keys)}
    ours = sensor_table(name)
    shares = ours.coverage(wavelengths_nm)
    angles = {}
    for channel, share in zip(ours.channels, shares, strict=True):
        key = channel if channel in theirs else channel.lstrip("B").lstrip("0")
        if share < 0.99 or key not in theirs:
            continue
        one = ResponseTable(table.wavelengths_nm, table.values[:, [theirs[key]]], (channel,), name)
        pair = [_on(own, wavelengths_nm) for own in (ours.only((channel,)), one)]
        angles[channel] = float(spectral_angles(*pair)[0])
    return angles


def _on(table: ResponseTable, wavelengths_nm: np.ndarray) -> np.ndarray:
    from hsr_tf.physics.spectral import resample_response

    return resample_response(table, wavelengths_nm, outside="zero")


@pytest.mark.parametrize("name", MEASURED)
@pytest.mark.parametrize("bands", ["cave", "satellite"])
def test_the_curves_are_close_to_measured_ones(shared_data: Path, name: str, bands: str) -> None:
    wavelengths_nm = CAVE_NM if bands == "cave" else SATELLITE_NM
    angles = measured_angles(shared_data / "srf" / "satellite", name, wavelengths_nm)
    assert len(angles) >= 2
    assert np.mean(list(angles.values())) < MEASURED[name][2], angles
    assert max(angles.values()) < 16, angles


def test_channels_are_chosen_by_name_and_kept_in_that_order() -> None:
    srf = load_srf("sentinel2a:B04,B02", CAVE_NM)
    assert srf.channels == ("B04", "B02")
    red, blue = (CAVE_NM @ srf.matrix).tolist()
    assert red == pytest.approx(664.6, abs=2)
    assert blue == pytest.approx(492.7, abs=2)
    np.testing.assert_allclose(srf.matrix.sum(0), 1)
    assert load_srf("nikon_d700:B", CAVE_NM).channels == ("B",)


def test_channels_of_a_file_of_ones_own_are_chosen_too(tmp_path: Path) -> None:
    path = tmp_path / "a:b.csv"
    path.write_text("wavelength_nm,red,blue\n400,0,1\n550,0,1\n700,1,0\n")
    assert find_table(path).channels == ("red", "blue")
    assert find_table(f"{path}:blue").channels == ("blue",)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("sentinel2", "did you mean 'sentinel2"),
        ("sentinel2:B02", "expected one of"),
        ("sentinel2a:B2", "channels: expected one of B01"),
        ("sentinel2a:B11", "see some of the cube's bands"),
    ],
)
def test_a_wrong_name_or_channel_is_named(name: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        load_srf(name, CAVE_NM)


@pytest.mark.parametrize("header", ["wavelength_um", "wavelength (µm)", "micrometres", "wavelength"])
def test_micrometres_are_understood(tmp_path: Path, header: str) -> None:
    path = tmp_path / "own.csv"
    path.write_text(f"{header},nir\n0.7,0.1\n0.8,1\n2.4,0.2\n", encoding="utf-8")
    np.testing.assert_allclose(read_response_csv(path).wavelengths_nm, [700, 800, 2400])


def test_a_header_in_nanometres_is_believed(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text("wavelength_nm,a\n1,0.1\n2,1\n")
    np.testing.assert_array_equal(read_response_csv(path).wavelengths_nm, [1, 2])


def test_coverage_is_the_share_of_a_channel_within_the_bands() -> None:
    table = find_table("sentinel2a:B03,B08,B11")
    green, nir, swir = table.coverage(np.arange(400.0, 831.0, 5.0))
    assert green == pytest.approx(1, abs=1e-3)
    assert nir == pytest.approx(0.5, abs=0.05)
    assert swir == 0
    with_gap = np.concatenate([np.arange(400.0, 555.0, 5), np.arange(565.0, 701.0, 5)])
    assert 0.7 < table.coverage(with_gap)[0] < 0.85


def test_the_list_tells_what_each_name_gives() -> None:
    entries = response_entries()
    assert [entry.name for entry in entries] == response_names()
    for entry in entries:
        assert find_table(entry.name).channels == entry.channels
        assert 300 <= entry.range_nm[0] < entry.range_nm[1] <= 2600
        assert entry.source
