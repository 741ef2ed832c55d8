"""What readers say of a file: nothing that it holds of its pixels is left without a line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import rasterio
import scipy.io
import tifffile
from PIL import Image, ImageCms
from rasterio.control import GroundControlPoint
from rasterio.rpc import RPC

from hsr_tf.findings import NOTE, WARNING, Finding
from hsr_tf.io import describe, load, save
from hsr_tf.io.account import SCENE_KEY, Account, pair_findings, scene_findings
from hsr_tf.io.convert import convert
from hsr_tf.scene import Scene

CUBE = np.random.default_rng(0).random((4, 5, 6), dtype=np.float32)  # band, row, col
pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


def envi(folder: Path, *lines: str, order: str = "utf-8") -> Path:
    header = ["ENVI", "samples = 6", "lines = 5", "bands = 4", "data type = 4", "interleave = bsq", *lines]
    (folder / "a.hdr").write_bytes(("\n".join(header) + "\n").encode(order))
    CUBE.tofile(folder / "a.img")
    return folder / "a.hdr"


def geotiff(path: Path, **more: Any) -> Path:
    profile = {"driver": "GTiff", "count": 4, "height": 5, "width": 6, "dtype": "float32", **more}
    with rasterio.open(path, "w", **profile) as file:
        file.write(CUBE)
    return path


def polynomials() -> RPC:
    constant, line = [1.0] + [0.0] * 19, [0.0, 0.0, -1.0] + [0.0] * 17
    sample = [0.0, 1.0] + [0.0] * 18
    return RPC(100.0, 500.0, 46.0, 0.1, constant, line, 2.5, 2.5, 2.0, 0.1, constant, sample, 3.0, 3.0)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("wavelength = {450, 550, 650}", "wavelength: 3 values where 4 are needed"),
        ("wavelength units = GHz\nwavelength = {450, 550, 650, 750}", "its unit 'GHz' is no length"),
        ("wavelength = {450, b, 650, 750}", "wavelength: holds something else than numbers"),
        ("fwhm = {5, 5, 5, 5}", "fwhm: has no unit, and there are no wavelengths"),
        ("bbl = {1, 0}", "bbl: 2 values where 4 are needed"),
        ("band names = {a, b}", "band names: 2 values where 4 are needed"),
        ("data gain values = {1, 2}", "data gain values: 2 values where 4 are needed"),
        ("data ignore value = none", "data ignore value: is not one number"),
        ("map info = {UTM, 1, 1}", "map info: not understood, no grid is known"),
        ("coordinate system string = {WGS 84}", "coordinate system string: not used without map info"),
        ("rpc info = {1, 2, 3}", "rpc info: kept as text, no grid is derived from it"),
    ],
)
def test_a_field_of_a_header_that_is_not_used_is_named_with_the_reason(
    line: str, said: str, tmp_path: Path
) -> None:
    path = envi(tmp_path, line)
    found = [finding for finding in describe(path).findings if said in finding.found]
    assert len(found) == 1 and found[0].severity == WARNING
    assert found[0] in scene_findings(load(path).metadata)


@pytest.mark.parametrize("unit", ["(nm)", "[nm]", "Nanometers", " nm "])
def test_units_in_brackets_and_a_comma_at_the_end_of_a_list_do_no_harm(unit: str, tmp_path: Path) -> None:
    path = envi(tmp_path, f"wavelength units = {unit}", "wavelength = {450, 550, 650, 750,\n}")
    summary = describe(path)
    assert summary.header.wavelengths_nm.tolist() == [450, 550, 650, 750]
    assert "wavelength" in summary.used and not summary.findings


@pytest.mark.parametrize("order", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_headers_in_utf_16_and_with_a_byte_order_mark_are_read(order: str, tmp_path: Path) -> None:
    path = envi(tmp_path, "wavelength = {450, 550, 650, 750}", order=order)
    np.testing.assert_array_equal(load(path).cube, CUBE.transpose(1, 2, 0))


@pytest.mark.parametrize("suffix", [".rad", ".hyspex", ".L1R", ".sli", ".xyz"])
def test_data_of_any_suffix_are_found_beside_their_header(suffix: str, tmp_path: Path) -> None:
    path = envi(tmp_path)
    (tmp_path / "a.img").rename(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(load(path).cube, CUBE.transpose(1, 2, 0))


def test_a_header_beside_a_picture_names_it_and_the_picture_names_the_header(tmp_path: Path) -> None:
    path = envi(tmp_path, "wavelength = {450, 550, 650, 750}")
    (tmp_path / "a.img").unlink()
    tifffile.imwrite(tmp_path / "a.tif", CUBE, photometric="minisblack")
    with pytest.raises(OSError, match=r"if a\.tif is meant, give it"):
        load(path)
    (finding,) = describe(tmp_path / "a.tif").findings
    assert finding.found.startswith("a.hdr: lies beside") and "--wavelengths=a.hdr" in finding.advice


def test_data_that_are_larger_than_their_header_says_are_reported(tmp_path: Path) -> None:
    path = envi(tmp_path)
    CUBE.astype(np.float64).tofile(tmp_path / "a.img")
    (finding,) = describe(path).findings
    assert finding.severity == WARNING
    assert "960 bytes, the header describes 480" in finding.found and "2 times as many" in finding.found


def test_points_and_polynomials_are_reported_and_an_identity_is_no_grid(tmp_path: Path) -> None:
    crs = rasterio.crs.CRS.from_epsg(4326)
    points = [GroundControlPoint(row, col, col, row) for row in (0, 5) for col in (0, 6)]
    gcp = describe(geotiff(tmp_path / "gcp.tif", gcps=points, crs=crs))
    assert gcp.georeference is None and "4 ground control points" in gcp.findings[0].found
    rpc = describe(geotiff(tmp_path / "rpc.tif", rpcs=polynomials(), crs=crs))
    assert rpc.georeference is None
    assert [one.found.partition(":")[0] for one in rpc.findings] == ["RPC", "coordinate system"]


def test_a_grid_that_is_the_identity_comes_back_where_it_was_stated(tmp_path: Path) -> None:
    from hsr_tf.geo.georeference import Georeference

    grid = Georeference((1.0, 0.0, 0.0, 0.0, 1.0, 0.0), "EPSG:32631")
    scene = Scene(CUBE.transpose(1, 2, 0), georeference=grid)
    found = load(save(scene, tmp_path / "a.tif")).georeference
    assert found is not None and found.transform == grid.transform


def test_tags_of_some_bands_only_are_reported(tmp_path: Path) -> None:
    path = geotiff(tmp_path / "a.tif")
    with rasterio.open(path, "r+") as file:
        file.update_tags(1, wavelength="450")
    assert "wavelength of the bands: 1 values where 4 are needed" in [
        one.found for one in describe(path).findings
    ]


def other_arrays(path: Path) -> None:
    arrays = {"cube": CUBE, "pan": CUBE[0], "flags": np.zeros(3)}
    if path.suffix == ".mat":
        scipy.io.savemat(path, arrays)
    elif path.suffix == ".npz":
        np.savez(path, **arrays)
    else:
        with h5py.File(path, "w") as file:
            for name, array in arrays.items():
                file[name] = array


@pytest.mark.parametrize("name", ["a.h5", "a.nc", "a.mat", "a.npz"])
def test_arrays_that_are_not_read_are_listed_as_a_note(name: str, tmp_path: Path) -> None:
    other_arrays(tmp_path / name)
    found = [one for one in describe(tmp_path / name).findings if "pan" in one.found]
    assert len(found) == 1 and found[0].severity == NOTE and "flags" in found[0].found


@pytest.mark.parametrize("name", ["a.h5", "a.img", "a.tif", "a.nc", "a.zarr", "a.npz", "a.mat"])
def test_files_of_the_project_leave_nothing(
    name: str, make_scene: Callable[..., Scene], tmp_path: Path
) -> None:
    path = save(make_scene(), tmp_path / name)
    summary = describe(path)
    assert not summary.findings and len(summary.used) >= 1
    assert SCENE_KEY not in load(path).metadata


def test_convert_reports_what_is_left_and_what_the_target_cannot_hold(tmp_path: Path) -> None:
    lines = ["wavelength = {450, 550, 650, 750}", "fwhm = {5, 5, 5, 5}", "bbl = {1}"]
    found: list[Finding] = []
    convert(envi(tmp_path, *lines), tmp_path / "folder", report=found.append)
    assert [one.topic for one in found] == ["not used", "not written"]
    assert "widths of bands" in found[1].found and "wavelengths" not in found[1].found
    found.clear()
    convert(tmp_path / "a.hdr", tmp_path / "a.nc", report=found.append)
    assert [one.found for one in found] == ["bbl: 1 value where 4 are needed"]


def test_what_matters_for_a_fusion_carries_the_name_of_its_image() -> None:
    account = Account()
    account.leave("wavelength", "3 values where 4 are needed")
    account.leave_all("arrays", ["a", "b"])
    account.take("the axes are a guess")
    found = pair_findings(account.findings, ())
    assert [one.found for one in found] == [
        "lr_hsi: wavelength: 3 values where 4 are needed",
        "lr_hsi: the axes are a guess",
    ]


def test_lists_that_may_belong_to_another_array_of_the_file_are_notes(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["cube"], file["pan"], file["wavelength_nm"] = CUBE, np.ones((1, 10, 12)), np.arange(400.0, 404)
    findings = describe(tmp_path / "a.h5", key="pan").findings
    assert any(one.found.startswith("wavelength_nm: 4 values") for one in findings)
    assert all(one.severity == NOTE for one in findings)


def test_a_scene_that_was_saved_does_not_carry_the_account_of_its_own_source_on(tmp_path: Path) -> None:
    scene = load(envi(tmp_path, "bbl = {1}"))
    assert scene_findings(scene.metadata)
    for name in ("again.h5", "again.tif"):
        path = save(scene, tmp_path / name)
        assert not scene_findings(load(path).metadata)
        assert SCENE_KEY not in load(convert(path, tmp_path / "last.h5")).metadata


def test_colour_profiles_and_other_files_of_a_folder_are_notes(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    gray = np.rint(CUBE[0] * 255).astype(np.uint8)
    Image.fromarray(np.dstack([gray] * 3)).save(tmp_path / "a.png", icc_profile=profile)
    Image.fromarray(np.dstack([gray] * 3)).save(tmp_path / "b.jpg", icc_profile=profile[:-4] + b"abcd")
    assert [one.found for one in describe(tmp_path / "b.jpg").findings] == ["colour: ICC profile"]
    assert all(one.severity == NOTE for one in describe(tmp_path / "a.png").findings)
    (tmp_path / "bands").mkdir()
    for name in ("b1.png", "b2.png"):
        Image.fromarray(gray).save(tmp_path / "bands" / name)
    (tmp_path / "bands" / "toys_RGB.bmp").write_bytes(b"x")
    (finding,) = describe(tmp_path / "bands").findings
    assert finding.found == "files: toys_RGB.bmp" and finding.severity == NOTE
