"""Ground control points and rational polynomials stay with an image in every format of cubes."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import rasterio
import tifffile

from benchmarks.format_samples import ground_points, polynomials
from hsr_tf.fusion.api import fuse
from hsr_tf.geo.georeference import Georeference
from hsr_tf.io import describe, load, save
from hsr_tf.io.convert import ConvertOptions, convert
from hsr_tf.scene import Observation, Scene

CUBE = np.random.default_rng(0).integers(1, 4000, (4, 24, 30)).astype(np.uint16)


def geotiff(path: Path, *, points: bool = True, rpc: bool = True) -> Path:
    """A file that rasterio writes."""
    model = {"gcps": ground_points(), "crs": "EPSG:4326"} if points else {}
    model |= {"rpcs": polynomials()} if rpc else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(
            path, "w", driver="GTiff", count=4, height=24, width=30, dtype="uint16", **model
        ) as file:
            file.write(CUBE)
    return path


def model_of(path: Path) -> tuple[list[tuple[float, ...]], dict[str, str]]:
    """What rasterio reads."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(path) as file:
            points = [(one.row, one.col, one.x, one.y) for one in file.gcps[0]]
            return points, {} if file.rpcs is None else file.rpcs.to_gdal()


@pytest.mark.parametrize(("points", "rpc"), [(True, False), (False, True), (True, True)])
def test_another_geotiff_holds_the_same_points_and_polynomials(
    tmp_path: Path, points: bool, rpc: bool
) -> None:
    source = geotiff(tmp_path / "a.tif", points=points, rpc=rpc)
    for name, options in (("b.tif", ConvertOptions()), ("c.tif", ConvertOptions(cog=True))):
        made = convert(source, tmp_path / name, options)
        assert model_of(made) == model_of(source)
    assert {one.found.partition(":")[0] for one in describe(source).findings} >= (
        {"GCP"} if points else set()
    ) | ({"RPC"} if rpc else set())
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.tif", "b.tif", "c.tif"]


@pytest.mark.parametrize("name", ["b.h5", "b.nc", "b.zarr", "b.npz", "b.mat", "b.img"])
def test_other_formats_keep_them(tmp_path: Path, name: str) -> None:
    source = geotiff(tmp_path / "a.tif")
    again = load(convert(source, tmp_path / name))
    assert again.sensor_model == load(source).sensor_model is not None
    assert model_of(save(again, tmp_path / "c.tif")) == model_of(source)


def test_points_beside_a_grid_come_back(tmp_path: Path) -> None:
    grid = Georeference((2.0, 0, 10, 0, -2.0, 50), "EPSG:32631")
    model = load(geotiff(tmp_path / "a.tif")).sensor_model
    scene = Scene(CUBE.transpose(1, 2, 0) / 1e4, georeference=grid, sensor_model=model)
    found = load(save(scene, tmp_path / "b.tif"))
    assert (found.sensor_model, found.georeference) == (model, grid)


def test_a_picture_says_that_it_loses_them(tmp_path: Path) -> None:
    lost: list[str] = []
    source = tmp_path / "a.tif"
    with rasterio.open(
        source, "w", driver="GTiff", count=3, height=24, width=30, dtype="uint8", rpcs=polynomials()
    ) as file:
        file.write(CUBE[:3].astype(np.uint8))
    convert(source, tmp_path / "b.png", report=lambda finding: lost.append(finding.found))
    assert any("GCP, RPC" in line for line in lost)


def test_an_estimate_has_those_of_the_sharp_image_else_those_of_the_cube_on_its_pixels(
    tmp_path: Path,
) -> None:
    model = load(geotiff(tmp_path / "a.tif")).sensor_model
    assert model is not None
    rng = np.random.default_rng(1)
    images = Scene(rng.random((6, 7, 4))), Scene(rng.random((24, 28, 3)))
    for place, expected in ((0, model.coarser(0.25)), (1, model)):
        both = [
            Scene(one.cube, sensor_model=model if index == place else None)
            for index, one in enumerate(images)
        ]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = fuse(Observation(both[0], both[1], 4), "bicubic").estimate
        assert found.sensor_model == expected


def test_an_image_that_is_put_upright_leaves_its_points_out_and_says_so(tmp_path: Path) -> None:
    path, rpc = tmp_path / "a.tif", polynomials()
    single = [-1, -1, rpc.line_off, rpc.samp_off, rpc.lat_off, rpc.long_off, rpc.height_off]
    single += [rpc.line_scale, rpc.samp_scale, rpc.lat_scale, rpc.long_scale, rpc.height_scale]
    lists = [*rpc.line_num_coeff, *rpc.line_den_coeff, *rpc.samp_num_coeff, *rpc.samp_den_coeff]
    tags = [(274, "H", 1, 6, True), (50844, "d", 92, [*single, *lists], True)]
    tifffile.imwrite(path, CUBE[0], photometric="minisblack", extratags=tags)
    scene = load(path)
    assert (scene.shape[:2], scene.sensor_model) == ((30, 24), None)
    assert any("not kept in the upright image" in one.found for one in describe(path).findings)
