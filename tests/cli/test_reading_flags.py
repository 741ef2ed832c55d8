"""White levels, wavelengths, JPEG and transparent pictures through the commands that read a pair."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import imagecodecs
import numpy as np
import pytest
import rasterio
from PIL import Image

import hsr_tf
from benchmarks.format_samples import polynomials
from tests.cli.command_for_tests import Answer
from tests.server_for_tests import served

Run = Callable[..., Answer]
PAIR = ("--lr_hsi=x.h5", "--hr_msi=y.h5", "--method=spectral_ls", "--register=off", "--output=z2.h5")
FLAT = ("--method=spectral_ls", "--psf=gaussian", "--wavelengths=400:700:10", "--register=off")


@pytest.fixture
def counts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The pair of `folder` as integers of unknown scale and wavelengths, and pictures of the sharp image."""
    monkeypatch.chdir(folder)
    for name, dtype in (("x", "i2"), ("y", "u2")):
        cube = hsr_tf.load(folder / f"{name}.h5").cube
        with h5py.File(folder / f"{name}_counts.h5", "w") as file:
            file["cube"] = np.rint(np.moveaxis(cube, -1, 0) * 10_000).astype(dtype)
    picture = np.rint(hsr_tf.load(folder / "y.h5").cube * 255).clip(0, 255).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(picture)).save(folder / "y.jpg", exif=exif, quality=100, subsampling=0)
    alpha = np.full(picture.shape[:2], 255, np.uint8)
    alpha[:8, :16] = 0
    rgba = np.dstack([picture, alpha])
    (folder / "y.png").write_bytes(imagecodecs.png_encode(rgba))
    return folder


@pytest.mark.parametrize("way", [(), ("--stream",)])
def test_integers_and_floats_give_one_estimate_whole_and_streamed(
    way: tuple[str, ...], hsr: Run, counts: Path
) -> None:
    assert hsr("fuse", "--lr_hsi=x.h5", "--hr_msi=y.h5", *FLAT, *way, "--output=floats.h5").code == 0
    pair = ("--lr_hsi=x_counts.h5", "--hr_msi=y_counts.h5")
    answer = hsr("fuse", *pair, *FLAT, *way, "--output=counts.h5")
    assert answer.code == 0 and "lr_hsi: integers up to" in answer.out and "/ 10000, a guess" in answer.out
    floats, found = (hsr_tf.load(counts / f"{name}.h5").cube for name in ("floats", "counts"))
    np.testing.assert_allclose(found, floats, atol=2e-3)
    levels = ("--lr_white_level=5000", "--hr_white_level=5000")
    answer = hsr("fuse", *pair, *FLAT, *levels, *way, "--output=twice.h5")
    assert answer.code == 0 and "guess" not in answer.out
    np.testing.assert_allclose(hsr_tf.load(counts / "twice.h5").cube, 2 * floats, atol=4e-3)


def test_check_reports_guesses_and_hands_its_flags_on(hsr: Run, counts: Path) -> None:
    flags = ("--lr_hsi=x_counts.h5", "--hr_msi=y_counts.h5", "--wavelengths=400:700:10", "--quick")
    answer = hsr("check", *flags, "--hr_white_level=10000")
    command = answer.out.splitlines()[-1]
    assert (
        answer.code == 0 and "lr_hsi: integers up to" in answer.out and "hr_msi: integers" not in answer.out
    )
    assert "--wavelengths=400:700:10" in command and "--hr_white_level=10000" in command


def test_a_jpeg_is_the_sharp_image_upright_as_its_exif_says(hsr: Run, counts: Path) -> None:
    assert hsr("info", "y.jpg").code == 0
    assert hsr("check", "--lr_hsi=x.h5", "--hr_msi=y.jpg", "--quick").code == 0
    sharp = ("--hr_msi=y.jpg", "--psf=gaussian", "--method=spectral_ls")
    assert hsr("fuse", "--lr_hsi=x.h5", *sharp, "--output=z2.h5").code == 0
    assert hsr("convert", "y.jpg", "y2.h5").code == 0
    np.testing.assert_allclose(hsr_tf.load("y2.h5").cube, hsr_tf.load("y.h5").cube, atol=0.03)


def test_transparent_pixels_have_no_data_in_the_estimate(hsr: Run, counts: Path) -> None:
    sharp = ("--hr_msi=y.png", "--psf=gaussian", "--method=spectral_ls")
    answer = hsr("fuse", "--lr_hsi=x.h5", *sharp, "--output=z2.h5")
    assert answer.code == 0 and "128 pixels without data" in answer.err
    mask = hsr_tf.load("z2.h5").nodata_mask
    assert mask is not None and mask[:8, :16].all() and mask.sum() == 128


@pytest.mark.parametrize("command", ["check", "fuse", "convert"])
def test_wavelengths_of_another_number_are_refused_with_nothing_written(
    command: str, hsr: Run, counts: Path
) -> None:
    files = ("x_counts.h5", "new.h5") if command == "convert" else ("--lr_hsi=x_counts.h5", "--hr_msi=y.jpg")
    output = ("--output=new.h5",) if command == "fuse" else ()
    answer = hsr(command, *files, *output, "--wavelengths=400:690:10")
    assert answer.code == 2 and not (counts / "new.h5").exists()
    assert answer.err.startswith("error: wavelengths: expected one for each of the 31 bands of x_counts.h5")


def test_convert_records_given_wavelengths_and_says_which_it_replaces(hsr: Run, counts: Path) -> None:
    assert hsr("convert", "x_counts.h5", "a.h5", "--wavelengths=400:700:10").err == ""
    answer = hsr("convert", "a.h5", "b.h5", "--wavelengths=410:710:10")
    assert "its own wavelengths (400 to 700 nm) are replaced" in answer.err
    assert hsr_tf.load("b.h5").wavelengths_nm[[0, -1]].tolist() == [410, 710]


def test_check_and_fuse_say_what_of_a_file_is_not_used(hsr: Run, counts: Path) -> None:
    with h5py.File(counts / "x.h5", "r+") as file:
        file["fwhm_nm"] = np.ones(5)
    said = "lr_hsi: fwhm_nm: 5 values where 31 are needed"
    answer = hsr("check", "--lr_hsi=x.h5", "--hr_msi=y.h5", "--quick")
    assert "fwhm_nm" in answer.out and "warning" in answer.out
    for way in ((), ("--stream",)):
        answer = hsr("fuse", *PAIR, *way)
        assert answer.code == 0 and said in answer.out + answer.err


def test_a_nodata_value_is_given_for_both_files(hsr: Run, counts: Path) -> None:
    with h5py.File(counts / "x.h5", "r+") as file:
        file["cube"][:, 2, 3] = -5
    for way in ((), ("--stream",)):
        answer = hsr("fuse", *PAIR, "--nodata=-5", *way)
        assert answer.code == 0 and "lr_hsi: 1 pixels without data" in answer.out + answer.err
    checked = hsr("check", "--lr_hsi=x.h5", "--hr_msi=y.h5", "--nodata=-5", "--quick")
    assert "--nodata=-5" in checked.out.splitlines()[-1]
    assert "no data" in hsr("info", "x.h5", "--nodata=-5").out


def test_bands_in_any_order_give_one_estimate(hsr: Run, counts: Path) -> None:
    order = np.random.default_rng(0).permutation(31)
    for name, bands in (("sorted", np.arange(31)), ("shuffled", order)):
        with h5py.File(counts / f"{name}.h5", "w") as file:
            file["cube"] = np.moveaxis(hsr_tf.load("x.h5").cube[..., bands], -1, 0)
            file["wavelength_nm"] = (400 + 10.0 * np.arange(31))[bands]
        pair = (f"--lr_hsi={name}.h5", "--hr_msi=y.h5", "--psf=gaussian", "--register=off")
        flags = ("--srf=nikon_d700", "--method=spectral_ls", f"--output={name}_z.h5")
        assert hsr("fuse", *pair, *flags).code == 0
    found, expected = hsr_tf.load("shuffled_z.h5"), hsr_tf.load("sorted_z.h5")
    assert expected.wavelengths_nm is not None and found.wavelengths_nm is not None
    np.testing.assert_array_equal(found.wavelengths_nm, expected.wavelengths_nm[order])
    np.testing.assert_allclose(found.cube, expected.cube[..., order], atol=1e-4)


def test_images_with_polynomials_and_no_grid_are_paired_by_their_sizes(hsr: Run, counts: Path) -> None:
    for name in ("x", "y"):
        cube = np.rint(np.moveaxis(hsr_tf.load(f"{name}.h5").cube, -1, 0) * 10_000).astype(np.uint16)
        size = {"count": len(cube), "height": cube.shape[1], "width": cube.shape[2], "dtype": "uint16"}
        with rasterio.open(f"{name}.tif", "w", driver="GTiff", rpcs=polynomials(), **size) as file:
            file.write(cube)
    pair = ("--lr_hsi=x.tif", "--hr_msi=y.tif", "--wavelengths=400:700:10")
    answer = hsr("check", *pair, "--quick")
    assert answer.code == 0 and "edge to edge" in answer.out
    assert "RPC: rational polynomial coefficients are kept" in hsr("info", "y.tif").out
    answer = hsr("fuse", *pair, "--psf=gaussian", "--method=spectral_ls", "--output=z2.tif")
    assert answer.code == 0, answer.err
    with rasterio.open("z2.tif") as made, rasterio.open("y.tif") as sharp:
        assert made.shape == sharp.shape
        assert made.rpcs.to_gdal() == sharp.rpcs.to_gdal()


def test_a_pair_on_a_server_is_checked_and_fused_as_its_copy_is(
    hsr: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1")
    for name in ("x", "y"):
        cube = np.moveaxis(hsr_tf.load(f"{name}.h5").cube, -1, 0)
        size = {"count": len(cube), "height": cube.shape[1], "width": cube.shape[2], "dtype": "float32"}
        with rasterio.open(f"{name}.tif", "w", driver="GTiff", **size) as file:
            file.write(cube)
    assert hsr("fuse", "--lr_hsi=x.tif", "--hr_msi=y.tif", *FLAT, "--output=local.h5").code == 0
    expected = hsr_tf.load("local.h5").cube
    with served(folder) as server:
        pair = [f"--lr_hsi={server.address}/x.tif", f"--hr_msi={server.address}/y.tif"]
        refused = [hsr("fuse", *pair, *FLAT, "--output=none.h5"), hsr("check", *pair)]
        refused += [hsr("quality", *pair, "--estimate=local.h5"), hsr("register", *pair, "--output=t.json")]
        for answer in refused:
            assert answer.code == 2 and answer.err.count("\n") == 1 and answer.out == ""
            assert f"{server.address}/x.tif: is on a server" in answer.err and "--allow_remote" in answer.err
        assert server.counts()[0] == 0
        pair.append("--allow_remote")
        command = hsr("check", *pair, "--quick", "--wavelengths=400:700:10").out.splitlines()[-1]
        assert command.startswith(f"hsr fuse {pair[0]} {pair[1]} ") and command.endswith(" --allow_remote")
        for way in ((), ("--stream",)):
            assert hsr("fuse", *pair, *FLAT, *way, "--output=remote.h5").code == 0
            np.testing.assert_allclose(hsr_tf.load("remote.h5").cube, expected, atol=1e-5 if way else 0)
    assert not {path.name for path in folder.iterdir()} & {"none.h5", "t.json"}
