"""Alpha and masks mark pixels without data and are no bands; orientations are applied, in windows too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import rasterio
import tifffile
from PIL import Image

from hsr_tf.io import describe, load, open_cube, save
from hsr_tf.io.convert import convert
from hsr_tf.io.picture import upright
from hsr_tf.scene import Scene

SIZE = (7, 5)
GRID = rasterio.Affine(2.0, 0.0, 500_000.0, 0.0, -2.0, 4_600_000.0)
PLAIN = {"driver": "GTiff", "height": 7, "width": 5}
PROFILE = {**PLAIN, "transform": GRID, "crs": "EPSG:32631"}
pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


def colours(dtype: str, num_channels: int = 3) -> np.ndarray:
    """Values of (7, 5, channels) that reach up to the largest, none of them 0."""
    rng = np.random.default_rng(num_channels)
    values = rng.integers(1, np.iinfo(dtype).max, (*SIZE, num_channels), endpoint=True).astype(dtype)
    values[3, 2] = np.iinfo(dtype).max
    return values


def opacity(dtype: str) -> np.ndarray:
    """Transparent in a corner, half transparent in a row, opaque elsewhere."""
    largest = np.iinfo(dtype).max
    alpha = np.full(SIZE, largest, dtype)
    alpha[5] = largest // 2
    alpha[:3, :2] = 0
    return alpha


CORNER = opacity("u1") == 0


def with_alpha(dtype: str, num_channels: int = 3) -> np.ndarray:
    return np.concatenate([colours(dtype, num_channels), opacity(dtype)[..., None]], axis=-1)


def png(path: Path, dtype: str, num_channels: int) -> Path:
    path.with_suffix(".png").write_bytes(imagecodecs.png_encode(with_alpha(dtype, num_channels)))
    return path.with_suffix(".png")


def tiff(path: Path, dtype: str, num_channels: int, planes: str = "contig") -> Path:
    values = with_alpha(dtype, num_channels)
    tifffile.imwrite(
        path.with_suffix(".tif"),
        values if planes == "contig" else np.moveaxis(values, -1, 0),
        photometric="rgb" if num_channels == 3 else "minisblack",
        planarconfig=planes,
        extrasamples=("unassalpha",),
    )
    return path.with_suffix(".tif")


def tiff_planes(path: Path, dtype: str, num_channels: int) -> Path:
    return tiff(path, dtype, num_channels, planes="separate")


def geotiff(path: Path, dtype: str, num_channels: int) -> Path:
    count = num_channels + 1
    kinds = {"photometric": "rgb"} if num_channels == 3 else {}
    with rasterio.open(
        path.with_suffix(".tif"),
        "w",
        **PROFILE,
        count=count,
        dtype=np.dtype(dtype).name,
        alpha="yes",
        **kinds,
    ) as file:
        file.write(np.moveaxis(with_alpha(dtype, num_channels), -1, 0))
    return path.with_suffix(".tif")


def require_masked(path: Path, expected: np.ndarray) -> Scene:
    """A file is read with these colours and this mask: whole, in windows, and in its summary."""
    scene, summary = load(path), describe(path)
    assert scene.nodata_mask is not None and scene.shape == expected.shape == summary.shape
    np.testing.assert_array_equal(scene.nodata_mask, CORNER)
    assert summary.num_nodata == CORNER.sum()
    kept = ~CORNER
    np.testing.assert_allclose(scene.cube[kept], expected[kept], rtol=0, atol=1e-6)
    assert not scene.cube[CORNER].any()
    with open_cube(path) as reader:
        for rows, cols in ((slice(0, 4), slice(1, 5)), (slice(2, 7), slice(0, 3))):
            part, mask = reader.read_with_mask(rows, cols)
            np.testing.assert_array_equal(part, scene.cube[rows, cols])
            np.testing.assert_array_equal(mask, CORNER[rows, cols])
    return scene


@pytest.mark.parametrize("num_channels", [1, 3])
@pytest.mark.parametrize("dtype", ["u1", "u2"])
@pytest.mark.parametrize("write", [png, tiff, tiff_planes, geotiff])
def test_alpha_is_a_mask_and_no_band(
    write: Callable[..., Path], dtype: str, num_channels: int, tmp_path: Path
) -> None:
    path = write(tmp_path / "a", dtype, num_channels)
    scene = require_masked(path, colours(dtype, num_channels) / np.iinfo(dtype).max)
    assert "alpha" in scene.metadata["opacity"]


def test_a_palette_with_alpha_is_three_bands_and_a_mask(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    palette = rng.integers(0, 256, (256, 3)).astype(np.uint8)
    indices = rng.integers(1, 256, SIZE).astype(np.uint8)
    indices[CORNER] = 0
    image = Image.fromarray(indices, mode="P")
    image.putpalette(palette.tobytes())
    image.save(tmp_path / "a.png", transparency=0)
    require_masked(tmp_path / "a.png", palette[indices] / 255)


def test_a_palette_in_a_tiff_is_looked_up(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    palette, indices = rng.integers(0, 256, (3, 256)).astype(np.uint16), rng.integers(0, 256, SIZE)
    tifffile.imwrite(
        tmp_path / "a.tif", indices.astype(np.uint8), photometric="palette", colormap=palette * 257
    )
    expected = np.moveaxis(palette[:, indices], 0, -1) / 255
    np.testing.assert_allclose(load(tmp_path / "a.tif").cube, expected, atol=1e-6)


@pytest.mark.parametrize("geographic", [False, True])
def test_colours_that_alpha_was_multiplied_into_are_divided_by_it(geographic: bool, tmp_path: Path) -> None:
    path, values = tmp_path / "a.tif", with_alpha("u2")
    share = values[..., 3:] / 65535
    values[..., :3] = np.rint(values[..., :3] * share)
    if geographic:
        with rasterio.open(
            path, "w", **PROFILE, count=4, dtype="uint16", photometric="rgb", alpha="premultiplied"
        ) as file:
            file.write(np.moveaxis(values, -1, 0))
    else:
        tifffile.imwrite(path, values, photometric="rgb", extrasamples=("assocalpha",))
    scene = load(path)
    np.testing.assert_allclose(scene.cube[~CORNER], colours("u2")[~CORNER] / 65535, atol=2e-5)
    np.testing.assert_array_equal(scene.nodata_mask, CORNER)


@pytest.mark.parametrize("geographic", [False, True])
def test_a_mask_inside_a_tiff_is_the_mask(geographic: bool, tmp_path: Path) -> None:
    path, values = tmp_path / "a.tif", colours("u1")
    if geographic:
        with (
            rasterio.Env(GDAL_TIFF_INTERNAL_MASK="YES"),
            rasterio.open(path, "w", **PROFILE, count=3, dtype="uint8", photometric="rgb") as file,
        ):
            file.write(np.moveaxis(values, -1, 0))
            file.write_mask(~CORNER)
    else:
        with tifffile.TiffWriter(path) as writer:
            writer.write(values, photometric="rgb", metadata=None)
            writer.write((~CORNER).astype(bool), photometric="mask", subfiletype=4, metadata=None)
    scene = require_masked(path, values / 255)
    assert "mask" in scene.metadata["opacity"]


def test_the_nodata_value_counts_beside_the_alpha(tmp_path: Path) -> None:
    values = with_alpha("u1")
    values[6, 4, :3] = 0
    profile = {**PROFILE, "count": 4, "dtype": "uint8", "photometric": "rgb", "alpha": "yes", "nodata": 0}
    with rasterio.open(tmp_path / "a.tif", "w", **profile) as file:
        file.write(np.moveaxis(values, -1, 0))
    expected = CORNER.copy()
    expected[6, 4] = True
    mask = load(tmp_path / "a.tif").nodata_mask
    assert mask is not None
    np.testing.assert_array_equal(mask, expected)
    assert describe(tmp_path / "a.tif").num_nodata == expected.sum()


def test_a_fourth_band_with_a_name_or_wavelength_stays_a_band(tmp_path: Path) -> None:
    for name, tags in (("near infrared", {}), ("", {"wavelength": "842", "wavelength_units": "nm"})):
        with rasterio.open(
            tmp_path / "a.tif", "w", **PROFILE, count=4, dtype="uint8", photometric="rgb", alpha="yes"
        ) as file:
            file.write(np.moveaxis(with_alpha("u1"), -1, 0))
            file.set_band_description(4, name)
            file.update_tags(4, **tags)
        scene = load(tmp_path / "a.tif")
        assert scene.num_bands == 4 and scene.nodata_mask is None


def test_an_opaque_image_has_no_mask_and_converts_to_formats_without_masks(tmp_path: Path) -> None:
    values = with_alpha("u1")
    values[..., 3] = 255
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(values))
    assert load(tmp_path / "a.png").nodata_mask is None
    scene = load(convert(tmp_path / "a.png", tmp_path / "a.img"))
    np.testing.assert_allclose(scene.cube, values[..., :3] / 255, atol=1e-7)


@pytest.mark.parametrize("name", ["b.h5", "b.nc", "b.npz", "b.png"])
def test_a_mask_from_alpha_goes_through_convert(name: str, tmp_path: Path) -> None:
    path = convert(png(tmp_path / "a", "u1", 3), tmp_path / name)
    scene = load(path)
    np.testing.assert_array_equal(scene.nodata_mask, CORNER)
    np.testing.assert_allclose(scene.cube[~CORNER], colours("u1")[~CORNER] / 255, atol=1e-6)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("num_bands", [1, 3])
def test_pictures_are_written_transparent_where_there_is_no_data(
    num_bands: int, suffix: str, tmp_path: Path
) -> None:
    cube = colours("u2", num_bands).astype(np.float32) / np.float32(65535)
    found = load(save(Scene(cube, nodata_mask=CORNER), tmp_path / f"a{suffix}"))
    np.testing.assert_array_equal(found.nodata_mask, CORNER)
    np.testing.assert_array_equal(found.cube[~CORNER], cube[~CORNER])


def test_four_bands_are_no_picture_but_a_geotiff(tmp_path: Path) -> None:
    scene = Scene(np.random.default_rng(0).random((3, 4, 4), dtype=np.float32))
    with pytest.raises(ValueError, match="1 or 3 bands"):
        save(scene, tmp_path / "a.png")
    np.testing.assert_array_equal(load(save(scene, tmp_path / "a.tif")).cube, scene.cube)


def oriented_png(path: Path, values: np.ndarray, orientation: int) -> Path:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(values).save(path.with_suffix(".png"), exif=exif)
    return path.with_suffix(".png")


def oriented_jpeg(path: Path, values: np.ndarray, orientation: int) -> Path:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(values).save(path.with_suffix(".jpg"), exif=exif, quality=100, subsampling=0)
    return path.with_suffix(".jpg")


def oriented_tiff(path: Path, values: np.ndarray, orientation: int) -> Path:
    path = path.with_suffix(".tif")
    tifffile.imwrite(path, values, photometric="rgb", extratags=[(274, "H", 1, orientation, True)])
    return path


def oriented_geotiff(path: Path, values: np.ndarray, orientation: int, *, on_ground: bool = False) -> Path:
    """By tags: GDAL's nodata value makes it a GeoTIFF, pixel scale and tie point place it."""
    tags = [(274, "H", 1, orientation, True), (42113, "s", 4, "999", True)]
    if on_ground:
        tags += [(33550, "d", 3, (2.0, 2.0, 0.0), True), (33922, "d", 6, (0.0, 0, 0, 5e5, 4.6e6, 0), True)]
    tifffile.imwrite(path.with_suffix(".tif"), values, photometric="rgb", extratags=tags)
    return path.with_suffix(".tif")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("write", [oriented_png, oriented_jpeg, oriented_tiff, oriented_geotiff])
def test_orientations_are_applied_whole_and_in_windows(
    write: Callable[..., Path], orientation: int, tmp_path: Path
) -> None:
    stored = np.add.outer(np.arange(7) * 30, np.arange(5) * 3)[..., None] + np.array([0, 10, 20])
    path = write(tmp_path / "a", stored.astype(np.uint8), orientation)
    scene = load(path)
    accuracy = 5 / 255 if path.suffix == ".jpg" else 1e-7
    np.testing.assert_allclose(scene.cube, upright(stored / 255, orientation), rtol=0, atol=accuracy)
    assert describe(path).shape == scene.shape
    with open_cube(path) as reader:
        for rows, cols in (
            (slice(0, 3), slice(1, 5)),
            (slice(2, 5), slice(0, 2)),
            (slice(1, 2), slice(3, 4)),
        ):
            np.testing.assert_array_equal(reader.read(rows, cols), scene.cube[rows, cols])


def test_a_grid_counts_rows_and_columns_as_they_are_stored(tmp_path: Path) -> None:
    stored = colours("u1")
    scene = load(oriented_geotiff(tmp_path / "a", stored, 6, on_ground=True))
    np.testing.assert_allclose(scene.cube, stored / 255, atol=1e-7)
    assert scene.georeference is not None and scene.georeference.at(0, 0) == (5e5, 4.6e6)
    assert "not applied" in scene.metadata["orientation"]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_masks_are_put_upright_with_their_pixels(orientation: int, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tags = [(274, "H", 1, orientation, True)]
    tifffile.imwrite(path, with_alpha("u1"), photometric="rgb", extrasamples=("unassalpha",), extratags=tags)
    mask = upright(CORNER[..., None], orientation)[..., 0]
    np.testing.assert_array_equal(load(path).nodata_mask, mask)
    with open_cube(path) as reader:
        window = slice(1, 4), slice(0, 3)
        np.testing.assert_array_equal(reader.read_with_mask(*window)[1], mask[window])
