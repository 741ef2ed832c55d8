"""Point-spread functions: normalised, as wide as told, centred, turned right; files read or refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import savemat
from scipy.stats import norm

from hsr_tf.physics.psf import (
    FWHM_PER_SIGMA,
    Psf,
    anisotropic_gaussian_psf,
    bicubic_psf,
    box_psf,
    gaussian_psf,
    identity_psf,
    load_psf,
    motion_psf,
)

KERNEL = np.array([[1.0, 2.0, 0.0], [0.0, 5.0, 1.0]])


def centroid(psf: Psf) -> tuple[float, float]:
    """Mean position relative to the middle of the array, rows and columns."""
    rows, columns = (np.arange(n) - (n - 1) / 2 for n in psf.kernel.shape)
    return float(psf.kernel.sum(1) @ rows), float(psf.kernel.sum(0) @ columns)


def moments(psf: Psf) -> np.ndarray:
    """Second moments [[xx, xy], [xy, yy]], x to the right and y down, about the middle of the array."""
    rows, columns = (np.arange(n) - (n - 1) / 2 for n in psf.kernel.shape)
    k = psf.kernel
    xx, yy = (k * columns**2).sum(), (k * rows[:, None] ** 2).sum()
    xy = (k * columns * rows[:, None]).sum()
    return np.array([[xx, xy], [xy, yy]])


@given(scale=st.integers(1, 40), fwhm=st.floats(0.3, 60))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_every_gaussian_sums_to_one_is_centred_and_has_the_parity_of_its_scale(
    scale: int, fwhm: float
) -> None:
    psf = gaussian_psf(scale, fwhm=fwhm)
    assert psf.kernel.sum() == pytest.approx(1, abs=1e-12)
    assert centroid(psf) == pytest.approx((0, 0), abs=1e-9)
    assert (psf.kernel.shape[0] - scale) % 2 == 0
    assert psf.factors is not None


@pytest.mark.parametrize("scale", [3, 4, 7, 8, 16, 32])
def test_the_standard_gaussian_falls_to_half_its_peak_at_half_a_cell(scale: int) -> None:
    factors = gaussian_psf(scale).factors
    assert factors is not None
    profile = factors[0]
    position = np.arange(len(profile)) - (len(profile) - 1) / 2
    # The logarithm of a Gaussian is a parabola: three samples give its width without interpolation error.
    curvature = np.polyfit(position, np.log(profile), 2)[0]
    fwhm = 2 * np.sqrt(np.log(2) / -curvature)
    assert fwhm == pytest.approx(scale, rel=1e-5)
    assert len(profile) == 2 * scale + scale % 2


def test_the_gaussian_is_the_density_sampled_at_pixel_centres() -> None:
    factors = gaussian_psf(8).factors
    assert factors is not None
    expected = norm.pdf(np.arange(16) - 7.5, scale=8 / 2.35482)
    np.testing.assert_allclose(factors[0], expected / expected.sum(), atol=1e-15)


def test_sigma_and_fwhm_say_the_same() -> None:
    by_sigma, by_fwhm = gaussian_psf(4, sigma=1.5), gaussian_psf(4, fwhm=1.5 * FWHM_PER_SIGMA)
    np.testing.assert_allclose(by_sigma.kernel, by_fwhm.kernel, atol=1e-15)


def test_a_wide_gaussian_gets_the_support_it_needs() -> None:
    psf = gaussian_psf(4, sigma=6.0)
    assert psf.kernel.shape == (36, 36)
    assert np.sqrt(moments(psf)[0, 0]) == pytest.approx(6, rel=0.02)


@pytest.mark.parametrize(("angle", "row", "column"), [(0, 0, 1), (90, 1, 0), (45, 1, 1), (135, 1, -1)])
def test_angles_turn_the_first_axis_clockwise_from_the_right_as_seen_on_the_screen(
    angle: float, row: int, column: int
) -> None:
    psf = anisotropic_gaussian_psf(3, sigmas=(4.0, 1.0), angle_degrees=angle)
    middle = psf.kernel.shape[0] // 2
    along = psf.kernel[middle + 3 * row, middle + 3 * column]
    across = psf.kernel[middle + 3 * column, middle - 3 * row]
    assert along > 5 * across


@given(angle=st.floats(-180, 180), long=st.floats(2.0, 5.0), ratio=st.floats(0.4, 0.9))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_an_anisotropic_gaussian_has_the_second_moments_of_its_axes(
    angle: float, long: float, ratio: float
) -> None:
    psf = anisotropic_gaussian_psf(
        4, sigmas=(long, ratio * long), angle_degrees=angle, support=12 * int(long + 1)
    )
    turn = np.deg2rad(angle)
    axes = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    expected = axes @ np.diag([long**2, (ratio * long) ** 2]) @ axes.T
    np.testing.assert_allclose(moments(psf), expected, atol=2e-3 * long**2)


@pytest.mark.parametrize("size", [1, 4, 7])
def test_a_box_weighs_every_pixel_of_the_cell_alike(size: int) -> None:
    np.testing.assert_allclose(box_psf(size).kernel, np.full((size, size), 1 / size**2), atol=1e-15)


@pytest.mark.parametrize(("scale", "size"), [(1, 1), (2, 2), (3, 1), (8, 2)])
def test_no_blur_is_the_middle_of_the_cell(scale: int, size: int) -> None:
    assert identity_psf(scale).kernel.shape == (size, size)


@pytest.mark.parametrize("length", [1.0, 4.0, 7.0, 9.5])
def test_horizontal_motion_spreads_over_its_length_in_one_row(length: float) -> None:
    psf = motion_psf(3, length=length)
    rows, columns = psf.kernel.sum(1), psf.kernel.sum(0)
    assert np.count_nonzero(rows > 1e-12) == 1
    assert columns.max() == pytest.approx(1 / length, rel=0.01)
    assert 1 / columns.max() == pytest.approx(length, rel=0.01)
    assert centroid(psf) == pytest.approx((0, 0), abs=1e-12)


@pytest.mark.parametrize("angle", [0.0, 30.0, 60.0, 90.0, 120.0, -45.0])
def test_motion_spreads_along_its_angle(angle: float) -> None:
    values, vectors = np.linalg.eigh(moments(motion_psf(4, length=12.0, angle_degrees=angle)))
    direction = vectors[:, 1]
    found = np.rad2deg(np.arctan2(direction[1], direction[0])) % 180
    assert min(abs(found - angle % 180), 180 - abs(found - angle % 180)) < 1
    assert values[1] == pytest.approx(12**2 / 12, rel=0.15)


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".csv", ".txt", ".mat"])
def test_a_kernel_comes_back_normalised_from_every_kind_of_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"kernel{suffix}"
    write = {
        ".npy": lambda: np.save(path, KERNEL),
        ".npz": lambda: np.savez(path, kernel=KERNEL),
        ".csv": lambda: np.savetxt(path, KERNEL, delimiter=","),
        ".txt": lambda: np.savetxt(path, KERNEL),
        ".mat": lambda: savemat(path, {"kernel": KERNEL}),
    }
    write[suffix]()
    np.testing.assert_allclose(load_psf(path).kernel, KERNEL / 9, atol=1e-15)


def test_one_of_several_kernels_is_named_by_its_key(tmp_path: Path) -> None:
    path = tmp_path / "two.npz"
    np.savez(path, narrow=np.ones((1, 1)), wide=KERNEL)
    assert load_psf(path, key="wide").kernel.shape == (2, 3)
    with pytest.raises(ValueError, match=r"one 2-D array in two\.npz, got narrow, wide; name one with key"):
        load_psf(path)
    with pytest.raises(ValueError, match="one of narrow, wide"):
        load_psf(path, key="wise")


def test_a_pickle_is_never_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "kernel.npy"
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(OSError, match=r"kernel\.npy: cannot be read as \.npy"):
        load_psf(path)


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".mat", ".csv", ".txt"])
@pytest.mark.parametrize("content", [b"", b"\x00\xff\x13 no kernel", None])
def test_a_damaged_file_is_refused_in_one_line(tmp_path: Path, suffix: str, content: bytes | None) -> None:
    path = tmp_path / f"kernel{suffix}"
    if content is None and suffix in (".csv", ".txt"):
        content = b"1,2\n3,x\n"
    if content is None:
        {".npy": np.save, ".npz": np.savez}.get(suffix, lambda p, a: savemat(p, {"k": a}))(
            path, np.ones((40, 40))
        )
        content = path.read_bytes()[:-400]
    path.write_bytes(content)
    with pytest.raises((OSError, ValueError)) as caught:
        load_psf(path)
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)


def test_a_missing_file_and_an_unknown_suffix_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no such PSF file"):
        load_psf(tmp_path / "absent.npy")
    (tmp_path / "kernel.xls").write_bytes(b"")
    with pytest.raises(ValueError, match=r"one of \.csv, \.mat, \.npy, \.npz, \.txt, got '\.xls'"):
        load_psf(tmp_path / "kernel.xls")


def test_measured_kernels_are_read(shared_data: Path) -> None:
    for path in sorted((shared_data / "kernels").glob("hsi_deconv_kernel_*.mat")):
        psf = load_psf(path)
        assert psf.kernel.shape[0] == psf.kernel.shape[1] >= 5
        assert psf.kernel.sum() == pytest.approx(1)


def test_a_file_without_a_plain_kernel_says_so(shared_data: Path) -> None:
    with pytest.raises(ValueError, match=r"one 2-D array in kernels_12\.mat, got none"):
        load_psf(shared_data / "kernels" / "kernels_12.mat")
    with pytest.raises(OSError, match=r"Levin09\.mat: is a MATLAB v7\.3 file"):
        load_psf(shared_data / "kernels" / "Levin09.mat")


@pytest.mark.parametrize(
    ("kernel", "said"),
    [
        (np.ones(3), "a 2-D kernel, got shape 3"),
        (np.zeros((2, 0)), "a 2-D kernel"),
        (np.zeros((2, 2)), "positive sum"),
        (np.array([[1.0, -0.5]]), "non-negative"),
        (np.array([[1.0, np.nan]]), "NaN"),
    ],
)
def test_what_is_no_psf_is_refused(kernel: np.ndarray, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Psf(kernel)


@pytest.mark.parametrize(
    "make",
    [
        lambda: gaussian_psf(8, fwhm=3.0, sigma=1.0),
        lambda: gaussian_psf(8, sigma=0.0),
        lambda: gaussian_psf(8, sigma=float("nan")),
        lambda: gaussian_psf(8, sigma=float("inf")),
        lambda: gaussian_psf(0),
        lambda: gaussian_psf(2.5),  # type: ignore[arg-type]
        lambda: gaussian_psf(8, support=0),
        lambda: anisotropic_gaussian_psf(4, sigmas=(1.0, -1.0)),
        lambda: box_psf(0),
        lambda: motion_psf(4, length=0.0),
        lambda: motion_psf(4, length=float("inf")),
    ],
)
def test_impossible_shapes_are_refused_in_one_line(make) -> None:
    with pytest.raises(ValueError, match=r"expected .*, got .*; ") as caught:
        make()
    assert "\n" not in str(caught.value)


def test_bicubic_weights_are_negative_beside_the_cell_and_other_kernels_may_not_be() -> None:
    psf = bicubic_psf(4)
    assert psf.kernel.shape == (16, 16) and psf.kernel.min() < -0.001 and psf.factors is not None
    assert psf.kernel.sum() == pytest.approx(1, abs=1e-12)
    with pytest.raises(ValueError, match="expected non-negative weights"):
        Psf(psf.kernel)


def test_only_outer_products_count_as_separable() -> None:
    assert motion_psf(3, length=5.0).factors is not None
    assert motion_psf(3, length=5.0, angle_degrees=20.0).factors is None
    assert anisotropic_gaussian_psf(4, sigmas=(3.0, 1.0), angle_degrees=30.0).factors is None
    rows, columns = np.array([1.0, 3.0, 2.0]), np.array([0.5, 0.1])
    factors = Psf(np.outer(rows, columns)).factors
    assert factors is not None
    np.testing.assert_allclose(factors[0], rows / 6, atol=1e-15)
    np.testing.assert_allclose(factors[1], columns / 0.6, atol=1e-15)
