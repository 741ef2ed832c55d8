"""`hsr convert`: stored values and facts arrive unchanged, whatever the two formats."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from hsr_tf import cli
from hsr_tf.geo.georeference import Georeference
from hsr_tf.io import CubeHeader, create_cube, load, open_cube, save
from hsr_tf.io import convert as converting
from hsr_tf.io.convert import ConvertOptions, convert
from hsr_tf.scene import Scene

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
EVERYTHING = slice(None)
GRID = Georeference((10.0, 0.0, 500_000.0, 0.0, -10.0, 4_600_000.0), "EPSG:32631")
FORMATS = ["a.h5", "a.img", "a.tif", "a.nc", "a.zarr", "a.npz", "a.mat"]
SHAPE = (23, 17, 5)
LAWS: dict[str, dict[str, Any]] = {
    "level": {"white_level": 4095.0},
    "gain": {"gain": np.linspace(0.1, 0.5, 5), "offset": np.linspace(-1, 1, 5)},
    "none": {},
}


def stored_cube(dtype: str = "i2") -> np.ndarray:
    rng = np.random.default_rng(0)
    cube = rng.integers(0, 4000, SHAPE).astype(dtype)
    cube[2, 3:7] = -9999
    return cube


def header_of(cube: np.ndarray, law: str = "level") -> CubeHeader:
    return CubeHeader(
        shape=SHAPE,
        dtype=cube.dtype,
        name="a scene",
        wavelengths_nm=np.linspace(400.1, 2500.7, 5),
        fwhm_nm=np.linspace(9.5, 12.3, 5),
        band_names=("blue", "green, ä", "red", "edge", "infrared"),
        good_bands=np.arange(5) != 2,
        georeference=GRID,
        nodata=-9999.0,
        metadata={"sensor": "Prüfstand", "count": 3},
        **LAWS[law],
    )


def written(path: Path, cube: np.ndarray, law: str = "level") -> Path:
    if path.suffix in (".npz", ".mat"):
        return convert(written(path.with_name("first.h5"), cube, law), path)
    with create_cube(path, header_of(cube, law)) as writer:
        writer.write(EVERYTHING, EVERYTHING, cube)
    return path


def require_same(path: Path, cube: np.ndarray, law: str) -> None:
    expected = header_of(cube, law)
    with open_cube(path) as reader:
        np.testing.assert_array_equal(reader.stored(EVERYTHING, EVERYTHING), cube)
        found = reader.header
    assert found.dtype == cube.dtype
    for field in ("wavelengths_nm", "fwhm_nm", "good_bands", "gain"):
        np.testing.assert_array_equal(getattr(found, field), getattr(expected, field), err_msg=field)
    if expected.gain is not None:
        np.testing.assert_array_equal(found.offset, expected.offset)
    assert (found.band_names, found.georeference) == (expected.band_names, GRID)
    assert (found.name, found.nodata, found.white_level) == ("a scene", -9999.0, expected.white_level)
    assert expected.metadata.items() <= found.metadata.items()


@pytest.mark.parametrize(("first", "second"), list(itertools.permutations(FORMATS, 2)))
def test_integers_and_all_facts_go_from_any_format_to_any_other(
    first: str, second: str, tmp_path: Path
) -> None:
    cube = stored_cube()
    law = list(LAWS)[(FORMATS.index(first) + FORMATS.index(second)) % 3]
    (tmp_path / "to").mkdir()
    source = written(tmp_path / first, cube, law)
    require_same(convert(source, tmp_path / "to" / second), cube, law)


@pytest.mark.parametrize("name", FORMATS)
def test_a_mask_without_a_value_goes_along(name: str, tmp_path: Path) -> None:
    mask = np.zeros((4, 5), bool)
    mask[1, 2] = True
    scene = Scene(np.where(mask[..., None], 0, np.ones((4, 5, 6))), nodata_mask=mask)
    save(scene, tmp_path / "from.h5")
    np.testing.assert_array_equal(load(convert(tmp_path / "from.h5", tmp_path / name)).nodata_mask, mask)


@pytest.mark.parametrize("name", ["a.h5", "a.img", "a.tif", "a.nc", "a.zarr"])
def test_small_parts_make_the_same_file(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cube, calls = stored_cube(), []
    source = written(tmp_path / "from.img", cube)
    monkeypatch.setattr(converting, "PART_BYTES", 300)
    convert(source, tmp_path / name, progress=lambda num_done, num_bytes: calls.append((num_done, num_bytes)))
    require_same(tmp_path / name, cube, "level")
    assert len(calls) > 5 and calls[-1] == (cube.nbytes, cube.nbytes) and calls == sorted(calls)


def test_an_interleave_and_a_cloud_optimised_file_on_demand(tmp_path: Path) -> None:
    cube = stored_cube()
    source = written(tmp_path / "a.h5", cube)
    convert(source, tmp_path / "a.img", ConvertOptions(interleave="bsq"))
    np.testing.assert_array_equal(
        np.fromfile(tmp_path / "a.img", "<i2").reshape(5, 23, 17), np.moveaxis(cube, 2, 0)
    )
    convert(source, tmp_path / "a.tif", ConvertOptions(cog=True))
    with rasterio.open(tmp_path / "a.tif") as dataset:
        assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
    require_same(tmp_path / "a.tif", cube, "level")


def test_floating_point_on_demand_is_what_load_gives(tmp_path: Path) -> None:
    source = written(tmp_path / "a.h5", stored_cube())
    scene = load(convert(source, tmp_path / "a.nc", ConvertOptions(dtype="float32")))
    expected = load(source)
    np.testing.assert_array_equal(scene.cube, expected.cube)
    np.testing.assert_array_equal(scene.nodata_mask, expected.nodata_mask)


def test_integers_on_demand_count_in_the_white_level(tmp_path: Path) -> None:
    save(Scene(np.array([[[0.25, 0.5]]])), tmp_path / "a.h5")
    options = ConvertOptions(dtype="uint16", white_level=10_000)
    with open_cube(convert(tmp_path / "a.h5", tmp_path / "a.img", options)) as reader:
        assert reader.stored(EVERYTHING, EVERYTHING).ravel().tolist() == [2500, 5000]
        assert reader.header.white_level == 10_000


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "itself": (lambda a: convert(a, a), "is an input as well"),
    "suffix": (lambda a: convert(a, a.with_suffix(".xyz")), "unknown suffix"),
    "missing": (lambda a: convert(a.with_name("no.h5"), a.with_name("b.h5")), "no such file"),
    "interleave": (
        lambda a: convert(a, a.with_name("b.nc"), ConvertOptions(interleave="bsq")),
        "interleave: expected ENVI output (.hdr, .img",
    ),
    "mistyped": (
        lambda a: convert(a, a.with_name("b.img"), ConvertOptions(interleave="bqs")),
        "did you mean 'bsq'",
    ),
    "cog": (
        lambda a: convert(a, a.with_name("b.img"), ConvertOptions(cog=True)),
        "cog: expected TIFF output (.tif",
    ),
    "dtype": (lambda a: convert(a, a.with_name("b.h5"), ConvertOptions(dtype="int12")), "did you mean"),
    "narrow": (
        lambda a: convert(a, a.with_name("b.h5"), ConvertOptions(dtype="uint8")),
        "dtype: expected a type that holds values from -9999",
    ),
    "taken": (
        lambda a: convert(a, a.with_name("b.h5"), ConvertOptions(nodata=int(stored_cube()[0, 0, 0]))),
        "nodata: expected a value that no pixel",
    ),
    "large": (
        lambda a: convert(a, a.with_name("b.npz"), ConvertOptions(max_gib=1e-6)),
        "more than the limit",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_done_is_one_line_and_leaves_nothing(what: str, tmp_path: Path) -> None:
    source = written(tmp_path / "a.h5", stored_cube())
    action, said = REFUSED[what]
    with pytest.raises((OSError, ValueError)) as caught:
        action(source)
    assert said in str(caught.value) and "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["a.h5"]


def test_the_command_converts_and_info_tells_the_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = written(tmp_path / "a.h5", stored_cube())
    assert cli.run(["convert", str(source), str(tmp_path / "b.img"), "--interleave=bip"]) == 0
    assert capsys.readouterr().out == f"wrote {tmp_path / 'b.img'}\n"
    assert cli.run(["info", str(tmp_path / "b.img")]) == 0
    told = capsys.readouterr().out
    for words in (
        "BIP, little endian",
        "EPSG:32631",
        "10 wide, 10 high",
        "500170, 4599770",
        "9.5 to 12.3 nm (FWHM)",
        "1 of 5",
        "-9999",
        "blue ... infrared",
        "4 of 391 pixels",
    ):
        assert words in told, words
    assert cli.run(["convert", str(source), str(tmp_path / "c.img"), "--interlave=bip"]) == 2
    assert "did you mean --interleave?" in capsys.readouterr().err
    assert cli.run(["convert", str(tmp_path / "no.h5"), str(tmp_path / "c.img")]) == 2
    assert capsys.readouterr().err.count("\n") == 1 and not (tmp_path / "c.img").exists()


@pytest.mark.parametrize("stored", [np.uint8, np.float32])
def test_linear_light_is_written_as_floating_point(tmp_path: Path, stored: type) -> None:
    light = np.linspace(0, 1, 300, dtype=np.float64).reshape(10, 10, 3)
    coded = light ** (1 / 2.4)
    values = np.round(255 * coded).astype(stored) if stored is np.uint8 else coded.astype(stored)
    with create_cube(tmp_path / "a.tif", CubeHeader(shape=(10, 10, 3), dtype=np.dtype(stored))) as writer:
        writer.write(slice(0, 10), slice(0, 10), values)
    convert(tmp_path / "a.tif", tmp_path / "b.h5", ConvertOptions(linearize="gamma:2.4"))
    with open_cube(tmp_path / "b.h5") as reader:
        assert reader.header.dtype == np.float32
    np.testing.assert_allclose(load(tmp_path / "b.h5").cube, light, atol=6e-3)
    for options, words in (
        (ConvertOptions(linearize="auto"), "name the curve"),
        (ConvertOptions(linearize="srgb", dtype="uint8"), "expected float32 or float64"),
    ):
        with pytest.raises(ValueError, match=words):
            convert(tmp_path / "a.tif", tmp_path / "c.h5", options)
    assert not (tmp_path / "c.h5").exists()


def test_a_picture_is_a_picture(tmp_path: Path) -> None:
    stored = np.random.default_rng(0).integers(0, 65535, (4, 5, 3)).astype(np.uint16)
    with create_cube(tmp_path / "a.img", CubeHeader(shape=stored.shape, dtype=stored.dtype)) as writer:
        writer.write(EVERYTHING, EVERYTHING, stored)
    with open_cube(convert(tmp_path / "a.img", tmp_path / "a.png")) as reader:
        np.testing.assert_array_equal(reader.stored(EVERYTHING, EVERYTHING), stored)


@pytest.mark.slow
def test_memory_stays_bounded(tmp_path: Path) -> None:
    import resource

    shape = (2000, 2000, 40)  # 320 MB
    with create_cube(tmp_path / "a.img", CubeHeader(shape=shape, dtype=np.dtype("u2"))) as writer:
        for top in range(0, 2000, 100):
            writer.write(slice(top, top + 100), EVERYTHING, np.full((100, 2000, 40), top, np.uint16))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    convert(tmp_path / "a.img", tmp_path / "a.h5")
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < 250, grown
