"""Files that a pattern names are one image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio

from hsr_tf.io import describe, load, open_cube
from hsr_tf.io.convert import convert

CUBE = np.random.default_rng(0).integers(0, 9000, (5, 6, 12)).astype(np.uint16)


def bands(folder: Path, *, pixel: float = 10.0, last: np.ndarray | None = None) -> str:
    """One GeoTIFF per band, B1 to B12."""
    profile = {"driver": "GTiff", "count": 1, "height": 5, "width": 6, "dtype": "uint16", "nodata": 0}
    for index, band in enumerate(np.moveaxis(CUBE, -1, 0), start=1):
        values = last if last is not None and index == 12 else band
        size = {"height": values.shape[0], "width": values.shape[1]}
        step = pixel if index == 12 else 10.0
        transform = rasterio.Affine(step, 0, 3e5, 0, -step, 5.9e6)
        with rasterio.open(
            folder / f"B{index}.tif", "w", crs="EPSG:32633", transform=transform, **{**profile, **size}
        ) as file:
            file.write(values, 1)
            file.update_tags(1, wavelength=str(400 + 10 * index), wavelength_units="nm")
    return str(folder / "B*.tif")


def test_a_pattern_names_one_image_in_natural_order(tmp_path: Path) -> None:
    pattern = bands(tmp_path)
    with open_cube(pattern) as reader:
        np.testing.assert_array_equal(reader.stored(slice(1, 4), slice(None)), CUBE[1:4])
    scene = load(pattern)
    assert scene.band_names == tuple(f"B{i}" for i in range(1, 13))
    assert scene.wavelengths_nm is not None and scene.wavelengths_nm[-1] == 520
    assert scene.georeference is not None and scene.nodata == 0
    assert describe(pattern).used[:2] == ("B1.tif", "B2.tif")
    np.testing.assert_array_equal(load(convert(pattern, tmp_path / "one.h5")).cube, scene.cube)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"last": CUBE[:4, :, 0]}, "its files differ: 5x6 uint16"),
        ({"pixel": 20.0}, "state other scales, nodata"),
    ],
)
def test_files_of_several_images_are_refused(more: dict[str, object], said: str, tmp_path: Path) -> None:
    pattern = bands(tmp_path, **more)
    with pytest.raises(OSError, match=said):
        load(pattern)


def test_a_pattern_without_files_is_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no such file or folder"):
        load(tmp_path / "B*.tif")
