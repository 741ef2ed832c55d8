"""Spectral responses: the adjoint, reading and resampling with numbers worked by hand, names, refusals."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from hsr_tf.physics.operator import adjoint_error
from hsr_tf.physics.response_library import find_table
from hsr_tf.physics.spectral import (
    ResponseTable,
    SpectralResponse,
    load_srf,
    read_response_csv,
    resample_response,
    response_names,
)

CAVE_NM = np.arange(400.0, 701.0, 10.0)


def table(wavelengths_nm: list[float], *columns: list[float]) -> ResponseTable:
    """A response with one column a channel."""
    names = tuple(f"c{i}" for i in range(len(columns)))
    return ResponseTable(np.array(wavelengths_nm), np.array(columns).T, names, "made up")


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@given(bands=st.integers(1, 40), channels=st.integers(1, 5), seed=st.integers(0, 999))
@settings(max_examples=20, deadline=None, derandomize=True)
def test_forward_and_adjoint_agree_under_the_inner_product(bands: int, channels: int, seed: int) -> None:
    operator = SpectralResponse(np.random.default_rng(seed).standard_normal((bands, channels)))
    assert adjoint_error(operator, (2, 3, 4, bands), seed=seed) < 1e-12
    assert adjoint_error(operator, (2, 3, 4, bands), seed=seed, dtype="float32") < 1e-6


def test_every_pixel_is_multiplied_by_the_matrix_compiled_or_not() -> None:
    rng = np.random.default_rng(0)
    matrix, x = rng.random((5, 3)), rng.random((2, 4, 6, 5)).astype(np.float32)
    operator = SpectralResponse(matrix)
    compiled = tf.function(
        operator.forward, input_signature=[tf.TensorSpec((None, None, None, 5), tf.float32)]
    )
    expected = np.einsum("bhwc,cd->bhwd", x, matrix)
    np.testing.assert_allclose(operator(x), expected, atol=1e-6)
    np.testing.assert_allclose(compiled(x), expected, atol=1e-6)


def test_the_pseudo_inverse_reproduces_the_channels() -> None:
    operator = load_srf("nikon_d700", CAVE_NM)
    np.testing.assert_allclose(operator.pseudo_inverse() @ operator.matrix, np.eye(3), atol=1e-12)


def test_a_flat_spectrum_gives_its_own_value_in_every_channel() -> None:
    for name in ("nikon_d700", "nikon_5100_npl"):
        channels = load_srf(name, CAVE_NM).forward(np.full((1, 2, 2, 31), 0.4))
        np.testing.assert_allclose(channels, 0.4, atol=1e-12)


def test_the_shipped_response_is_the_fusion_papers_matrix(shared_data: Path) -> None:
    shipped = load_srf("nikon_d700", CAVE_NM)
    file = load_srf(shared_data / "srf" / "nikon_d700_hsi_papers_31.csv", CAVE_NM)
    np.testing.assert_allclose(shipped.matrix, file.matrix, rtol=0, atol=1e-12)
    assert shipped.channels == ("R", "G", "B")
    as_published = load_srf("nikon_d700", CAVE_NM, normalise="none").matrix
    np.testing.assert_allclose(shipped.matrix, as_published, atol=1e-9)


def test_a_measured_camera_of_colour_science_is_found_by_name(shared_data: Path) -> None:
    by_name = load_srf("nikon_5100_npl", CAVE_NM)
    by_file = load_srf(shared_data / "srf" / "colour_Nikon_5100_NPL.csv", CAVE_NM)
    np.testing.assert_allclose(by_name.matrix, by_file.matrix, atol=1e-9)


def test_every_name_that_is_listed_can_be_loaded() -> None:
    names = response_names()
    assert names[0] == "nikon_d700"
    assert len(names) == len(set(names)) >= 3
    for name in names:
        table = find_table(name)
        covered = table.coverage(CAVE_NM) > 0.5
        seen = ",".join(channel for channel, inside in zip(table.channels, covered, strict=True) if inside)
        matrix = load_srf(f"{name}:{seen}", CAVE_NM, outside="zero").matrix
        np.testing.assert_allclose(matrix.sum(0), 1, atol=1e-12)


def test_every_response_file_of_the_data_folder_is_read_or_refused_in_one_line(shared_data: Path) -> None:
    loaded = 0
    for path in sorted((shared_data / "srf").rglob("*.csv")):
        try:
            loaded += load_srf(path, CAVE_NM, outside="zero").matrix.shape[0] == 31
        except (OSError, ValueError) as error:
            assert "\n" not in str(error)
            assert path.stem in str(error)
    assert loaded > 28


def test_a_csv_is_read_sorted_with_comments_and_channel_names(tmp_path: Path) -> None:
    text = "# measured by us\nwavelength_nm, red ,nir\n\n500,0.5,0.0\n400,0.25,1e-1\n# end\n600,1,0.75\n"
    found = read_response_csv(write(tmp_path / "own.csv", text))
    assert found.wavelengths_nm.tolist() == [400, 500, 600]
    assert found.values.tolist() == [[0.25, 0.1], [0.5, 0.0], [1.0, 0.75]]
    assert found.channels == ("red", "nir")
    assert found.name == "own"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing\n",
        "wavelength_nm,r\n",
        "wavelength_nm\n400\n",
        "wavelength_nm,r\n400,x\n",
        "wavelength_nm,r\n400,0.5\n410\n",
        "wavelength_nm,r,g\n400,0.5\n410,0.6\n",
        "wavelength_nm,r\n400,nan\n410,1\n",
        "wavelength_nm,r\n400,1\n400,2\n",
        "\x00\x01",
    ],
)
def test_what_is_no_response_table_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(OSError, match=r"own\.csv: is no response table") as caught:
        read_response_csv(write(tmp_path / "own.csv", text))
    assert "\n" not in str(caught.value)


def test_a_binary_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_bytes(b"\xff\xfe\x00\x93")
    with pytest.raises(OSError, match="is no response table"):
        read_response_csv(tmp_path / "own.csv")


def test_equal_wavelengths_keep_the_table() -> None:
    found = resample_response(table([400, 410, 420], [1.0, 5.0, 2.0]), np.array([400.0, 410.0, 420.0]))
    assert found[:, 0].tolist() == [1, 5, 2]


def test_coarser_tables_are_interpolated_between_their_rows() -> None:
    found = resample_response(table([400, 420, 440], [0.0, 2.0, 1.0]), np.array([405.0, 410.0, 415.0, 430.0]))
    np.testing.assert_allclose(found[:, 0], [0.5, 1.0, 1.5, 1.5], atol=1e-12)


def test_finer_tables_are_averaged_over_each_band() -> None:
    # A triangle at 405 nm, 10 nm wide at its foot: its area is 5 nm, the band at 405 is 10 nm wide.
    grid = np.arange(380.0, 431.0)
    triangle = np.clip(1 - np.abs(grid - 405) / 5, 0, None)
    found = resample_response(
        ResponseTable(grid, triangle[:, None], ("c",), "t"), np.array([395.0, 405.0, 415.0])
    )
    np.testing.assert_allclose(found[:, 0], [0, 0.5, 0], atol=0.02)


def test_a_straight_line_is_the_same_averaged_or_interpolated() -> None:
    grid = np.arange(300.0, 500.0)
    found = resample_response(
        ResponseTable(grid, 2 * grid[:, None] - 7, ("c",), "t"), np.array([350.0, 360.0, 370.0, 380.0])
    )
    np.testing.assert_allclose(found[:, 0], [693, 713, 733, 753], atol=1e-9)


def test_cubes_with_falling_wavelengths_get_the_same_rows_in_their_order() -> None:
    up, down = load_srf("nikon_5100_npl", CAVE_NM), load_srf("nikon_5100_npl", CAVE_NM[::-1])
    np.testing.assert_allclose(down.matrix[::-1], up.matrix, atol=1e-12)


def test_bands_outside_the_table_are_an_error_or_dark() -> None:
    wide_nm = np.arange(400.0, 1001.0, 10.0)
    with pytest.raises(ValueError, match=r"bands within 400 to 700 nm.*30 bands outside.*400 to 1000 nm"):
        load_srf("nikon_d700", wide_nm)
    dark = load_srf("nikon_d700", wide_nm, outside="zero").matrix
    assert not dark[31:].any()
    np.testing.assert_allclose(dark[:31], load_srf("nikon_d700", CAVE_NM).matrix, atol=1e-9)


def test_a_band_within_half_a_step_of_the_last_row_counts_as_covered() -> None:
    published = load_srf("nikon_d700", CAVE_NM, normalise="none").matrix
    below, above = (load_srf("nikon_d700", CAVE_NM + d, normalise="none").matrix for d in (-4.0, 4.0))
    np.testing.assert_allclose(below[0], published[0], atol=1e-12)
    np.testing.assert_allclose(above[-1], published[-1], atol=1e-12)
    with pytest.raises(ValueError, match="1 bands outside"):
        load_srf("nikon_d700", CAVE_NM + 6.0)


def test_columns_sum_to_one_unless_the_units_of_the_table_are_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path / "own.csv", "wavelength_nm,r,g\n400,2,1\n410,6,1\n")
    assert load_srf(path, np.array([400.0, 410.0])).matrix.tolist() == [[0.25, 0.5], [0.75, 0.5]]
    raw = load_srf(path, np.array([400.0, 410.0]), normalise="none")
    assert raw.matrix.tolist() == [[2, 1], [6, 1]]


def test_without_wavelengths_the_rows_are_the_bands_if_there_are_as_many() -> None:
    assert load_srf("nikon_d700", None, num_bands=31).matrix.shape == (31, 3)
    with pytest.raises(ValueError, match=r"31 bands, as nikon_d700 has\), got none, and 30 bands"):
        load_srf("nikon_d700", None, num_bands=30)


def test_a_channel_that_sees_nothing_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="B of nikon_d700 sums to 0"):
        load_srf("nikon_d700", np.array([540.0, 550.0, 560.0]))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"name": "nikon_d7000"}, "did you mean 'nikon_d700'"),
        ({"name": "nikon_d700", "normalise": "max"}, "one of column_sum, none"),
        ({"name": "nikon_d700", "outside": "zeros"}, "did you mean 'zero'"),
    ],
)
def test_unknown_names_are_refused_with_the_known_ones(arguments: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        load_srf(wavelengths_nm=CAVE_NM, **arguments)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no such response file"):
        load_srf(tmp_path / "absent.csv", CAVE_NM)


def test_a_cube_of_other_bands_is_refused() -> None:
    with pytest.raises(ValueError, match=r"31 bands, as the response nikon_d700 has, got 30"):
        load_srf("nikon_d700", CAVE_NM).forward(np.zeros((1, 2, 2, 30), np.float32))


@pytest.mark.parametrize("matrix", [np.ones(3), np.full((2, 2), np.inf)])
def test_what_is_no_matrix_is_refused(matrix: np.ndarray) -> None:
    with pytest.raises(ValueError, match="srf: expected"):
        SpectralResponse(matrix)


def test_the_shipped_response_needs_no_colour_science(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "colour", None)
    assert load_srf("nikon_d700", CAVE_NM).matrix.shape == (31, 3)


def test_channels_are_taken_by_name_and_in_the_order_asked_for() -> None:
    whole = load_srf("nikon_d700", CAVE_NM)
    some = load_srf(find_table("nikon_d700").only((whole.channels[2], whole.channels[0])), CAVE_NM)
    assert some.channels == (whole.channels[2], whole.channels[0])
    np.testing.assert_array_equal(some.matrix, whole.matrix[:, [2, 0]])
    with pytest.raises(ValueError, match="channels"):
        load_srf(find_table("nikon_d700").only(("B08",)), CAVE_NM)
