"""Pairs as people have them, from file to result without a step between: check, then fuse.

SciPy blurs and samples the coarse image, curves of this file make the channels, other programs write the
files.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import rasterio
import scipy.io
from PIL import Image
from scipy import ndimage

import hsr_tf
from hsr_tf.scene import Scene
from tests.cli.command_for_tests import Answer

SCALE, SIDE = 4, 96
Run = Callable[..., Answer]
PSF = f"--psf=gaussian:fwhm={SCALE}"


def sharp_cube(centres: np.ndarray) -> np.ndarray:
    """(96, 96, C) shaded mixtures of four smooth spectra, 0.05 to 0.9."""
    rng = np.random.default_rng(3)
    noise = ndimage.gaussian_filter(rng.standard_normal((SIDE, SIDE, 4)), (3, 3, 0))
    weights = np.exp(8 * noise / noise.std() / 4)
    weights /= weights.sum(-1, keepdims=True)
    spectra = ndimage.gaussian_filter1d(rng.random((4, len(centres))), 4, axis=1)
    spectra = (spectra - spectra.min()) / np.ptp(spectra)
    shade = 0.6 + 0.4 * ndimage.gaussian_filter(rng.random((SIDE, SIDE, 1)), (1, 1, 0))
    return np.asarray((0.05 + 0.8 * weights @ spectra) * shade)


def coarse_of(cube: np.ndarray, scale: int = SCALE) -> np.ndarray:
    """Blur by a Gaussian of one coarse pixel at half maximum, then take the centre of each coarse pixel."""
    sigma = scale / np.sqrt(8 * np.log(2))
    blurred = ndimage.gaussian_filter(cube, (sigma, sigma, 0), mode="reflect")
    middle = ndimage.shift(blurred, (0.5, 0.5, 0), order=3, mode="nearest")[
        scale // 2 :: scale, scale // 2 :: scale
    ]
    return np.asarray(middle)


def channels(cube: np.ndarray, centres: np.ndarray, places: tuple[float, ...], width: float) -> np.ndarray:
    """Means of the bands under Gaussian curves."""
    curves = np.exp(-0.5 * ((centres[:, None] - np.array(places)) / width) ** 2)
    return np.asarray(cube @ (curves / curves.sum(0)))


def psnr(found: np.ndarray, truth: np.ndarray, border: int = 4) -> float:
    inner = (slice(border, -border), slice(border, -border))
    return float(-10 * np.log10(np.square(found[inner] - truth[inner]).mean()))


def write_tif(path: Path, values: np.ndarray, pixel: float, **more: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = {
        "driver": "GTiff",
        "count": values.shape[2],
        "height": values.shape[0],
        "width": values.shape[1],
    }
    transform = rasterio.Affine(pixel, 0, 300_000, 0, -pixel, 5_900_040)
    with rasterio.open(
        path, "w", dtype=values.dtype, crs="EPSG:32633", transform=transform, **profile, **more
    ) as file:
        file.write(np.moveaxis(values, -1, 0))


def fused(hsr: Run, folder: Path, *flags: str) -> np.ndarray:
    """Check a pair, fuse it, and return the estimate."""
    pair = [flag for flag in flags if flag.split("=")[0] in ("--lr_hsi", "--hr_msi", "--lr_key", "--hr_key")]
    checked = hsr("check", *pair, "--quick")
    assert checked.code == 0, checked.out
    answer = hsr("fuse", *flags, "--method=spectral_ls", f"--output={folder / 'z.h5'}")
    assert answer.code == 0, answer.err
    return np.asarray(hsr_tf.load(folder / "z.h5").cube)


@pytest.mark.slow
def test_an_envi_cube_and_a_jpeg(hsr: Run, tmp_path: Path) -> None:
    centres = np.linspace(400.0, 700.0, 31)
    cube = sharp_cube(centres)
    counts = np.rint(coarse_of(cube) * 10_000).astype(np.uint16)
    lines = ["ENVI", "samples = 24", "lines = 24", "bands = 31", "data type = 12", "interleave = bip"]
    lines += ["reflectance scale factor = 10000", f"wavelength = {{{', '.join(map(str, centres))}}}"]
    (tmp_path / "x.hdr").write_text("\n".join(lines) + "\n")
    counts.tofile(tmp_path / "x.img")
    colours = np.rint(channels(cube, centres, (610, 540, 460), 25) * 255).astype(np.uint8)
    Image.fromarray(colours).save(tmp_path / "y.jpg", quality=98, subsampling=0)
    flags = (f"--lr_hsi={tmp_path / 'x.hdr'}", f"--hr_msi={tmp_path / 'y.jpg'}")
    assert psnr(fused(hsr, tmp_path, *flags, PSF, "--srf=estimate"), cube) > 38


def test_an_enmap_product_and_a_sentinel_2_folder(hsr: Run, tmp_path: Path) -> None:
    centres = np.linspace(430.0, 970.0, 55)
    cube = sharp_cube(centres)
    counts = np.rint(coarse_of(cube, 3) * 10_000).astype(np.int16)
    name = "ENMAP01-____L2A-DT0000000001_20220724T104526Z_001_V010302_20230628T165614Z"
    write_tif(tmp_path / f"{name}-SPECTRAL_IMAGE.TIF", counts, 30, nodata=-32768)
    bands = "".join(
        f"<bandID number='{i + 1}'><wavelengthCenterOfBand>{centre}</wavelengthCenterOfBand>"
        "<FWHMOfBand>10</FWHMOfBand><GainOfBand>0.0001</GainOfBand><OffsetOfBand>0</OffsetOfBand></bandID>"
        for i, centre in enumerate(centres)
    )
    text = f"<level_X><specific><bandCharacterisation>{bands}</bandCharacterisation></specific></level_X>"
    (tmp_path / f"{name}-METADATA.XML").write_text(text)
    places = {"B02": 492.7, "B03": 559.8, "B04": 664.6, "B08": 832.8}
    widths = {"B02": 65, "B03": 35, "B04": 30, "B08": 105}
    for band, centre in places.items():
        curve = np.abs(centres - centre) <= widths[band] / 2
        image = np.rint(cube[..., curve].mean(-1) * 10_000 + 1000).astype(np.uint16)
        write_tif(tmp_path / "s2" / f"T33UUU_20220724T101559_{band}_10m.tif", image[..., None], 10)
    offsets = "".join(f"<BOA_ADD_OFFSET band_id='{i}'>-1000</BOA_ADD_OFFSET>" for i in range(13))
    text = f"<a><BOA_QUANTIFICATION_VALUE>10000</BOA_QUANTIFICATION_VALUE>{offsets}</a>"
    (tmp_path / "s2" / "MTD_MSIL2A.xml").write_text(text)
    flags = (f"--lr_hsi={tmp_path / f'{name}-SPECTRAL_IMAGE.TIF'}", f"--hr_msi={tmp_path / 's2'}")
    assert psnr(fused(hsr, tmp_path, *flags), cube) > 35


def test_a_prisma_file_with_its_own_panchromatic_image(hsr: Run, tmp_path: Path) -> None:
    centres = np.linspace(420.0, 1000.0, 40)
    cube = sharp_cube(centres)
    coarse, pan = coarse_of(cube, 6), cube[..., centres <= 700].mean(-1)
    with h5py.File(tmp_path / "a.he5", "w") as file:
        for swath, name, values in (
            ("HCO", "VNIR_Cube", coarse[..., ::-1].transpose(0, 2, 1)),
            ("PCO", "Cube", pan),
        ):
            stored = np.rint(values * 65535).astype(np.uint16)
            file[f"HDFEOS/SWATHS/PRS_L2D_{swath}/Data Fields/{name}"] = stored
        file.attrs.update({"List_Cw_Vnir": centres[::-1], "List_Fwhm_Vnir": np.full(40, 12.0)})
        file.attrs.update(
            {f"L2Scale{one}{end}": v for one in ("Vnir", "Pan") for end, v in (("Min", 0.0), ("Max", 1.0))}
        )
        file.attrs.update({"Epsg_Code": np.int64(32633), "Product_ULcorner_easting": 300_015.0})
        file.attrs.update({"Product_ULcorner_northing": 5_000_000.0, "Product_LRcorner_easting": 300_465.0})
        file.attrs["Product_LRcorner_northing"] = 5_000_000.0 - 450.0
    path = tmp_path / "a.he5"
    flags = (f"--lr_hsi={path}", f"--hr_msi={path}", "--hr_key=PAN", "--srf=estimate")
    interpolated = ndimage.zoom(coarse, (6, 6, 1), order=3, mode="nearest", grid_mode=True)
    assert psnr(fused(hsr, tmp_path, *flags), cube, border=6) > psnr(interpolated, cube, border=6) + 1


@pytest.mark.slow
def test_a_folder_of_bands_and_a_png(hsr: Run, tmp_path: Path) -> None:
    centres = np.linspace(400.0, 700.0, 31)
    cube = sharp_cube(centres)
    (tmp_path / "toys_ms").mkdir()
    for i, band in enumerate(np.moveaxis(coarse_of(cube), -1, 0)):
        picture = Image.fromarray(np.rint(band * 65535).astype(np.uint16))
        picture.save(tmp_path / "toys_ms" / f"toys_ms_{i + 1:02d}.png")
    colours = np.rint(channels(cube, centres, (610, 540, 460), 25) * 255).astype(np.uint8)
    Image.fromarray(colours).save(tmp_path / "toys_RGB.png")
    flags = (f"--lr_hsi={tmp_path / 'toys_ms'}", f"--hr_msi={tmp_path / 'toys_RGB.png'}")
    assert psnr(fused(hsr, tmp_path, *flags, PSF, "--srf=estimate"), cube) > 40


@pytest.mark.slow
def test_one_matlab_file_with_two_keys(hsr: Run, tmp_path: Path) -> None:
    centres = np.linspace(450.0, 2350.0, 50)
    cube, path = sharp_cube(centres), tmp_path / "paris.mat"
    scipy.io.savemat(path, {"HS": coarse_of(cube), "MS": channels(cube, centres, (480, 560, 660, 830), 30)})
    flags = (f"--lr_hsi={path}", f"--hr_msi={path}", "--lr_key=HS", "--hr_key=MS")
    assert hsr("fuse", *flags, f"--output={tmp_path / 'z.h5'}").code == 2
    estimate = fused(hsr, tmp_path, *flags, PSF, "--srf=estimate")
    assert psnr(estimate, cube) > 38


@pytest.mark.slow
def test_the_report_of_such_a_pair_is_one_page(hsr: Run, tmp_path: Path) -> None:
    centres = np.linspace(450.0, 950.0, 40)
    cube, path = sharp_cube(centres), tmp_path / "a.mat"
    scipy.io.savemat(path, {"HS": coarse_of(cube), "MS": channels(cube, centres, (480, 560, 660, 830), 30)})
    flags = (f"--lr_hsi={path}", f"--hr_msi={path}", "--lr_key=HS", "--hr_key=MS", PSF, "--srf=estimate")
    page = tmp_path / "report.html"
    answer = hsr("fuse", *flags, f"--output={tmp_path / 'z.h5'}", f"--report={page}")
    assert answer.code == 0 and page.stat().st_size > 100_000


@pytest.mark.slow
def test_auto_beside_shipped_weights_writes_nothing_to_stderr(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    scene = Scene(rng.random((64, 64, 31), np.float32), np.linspace(400.0, 700.0, 31))
    made = hsr_tf.simulate(scene, scale=8)
    for image, name in ((made.lr_hsi, "x.h5"), (made.hr_msi, "y.h5")):
        hsr_tf.save(image, tmp_path / name)
    flags = [f"--lr_hsi={tmp_path}/x.h5", f"--hr_msi={tmp_path}/y.h5", f"--output={tmp_path}/z.h5"]
    code = "import sys; from hsr_tf.cli import run; sys.exit(run(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", code, "fuse", *flags], capture_output=True, text=True, check=True
    )
    assert "auto, x8" in done.stdout
    assert "oneDNN" not in done.stderr and "absl" not in done.stderr
