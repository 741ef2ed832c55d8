"""Files on a server and in archives are opened where the caller allows it, and never else."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from hsr_tf import io
from hsr_tf.io.convert import ConvertOptions, convert
from hsr_tf.io.remote_names import remote_name
from hsr_tf.io.source import ReadRequest
from tests.server_for_tests import Served, served

pytestmark = pytest.mark.filterwarnings("ignore:Dataset has no geotransform")
CUBE = np.random.default_rng(0).integers(0, 4000, (3, 700, 600)).astype(np.uint16)


@pytest.fixture
def local(tmp_path: Path) -> Path:
    path = tmp_path / "scene.tif"
    profile: dict[str, Any] = {"width": 600, "height": 700, "count": 3, "dtype": "uint16", "tiled": True}
    with rasterio.open(path, "w", driver="GTiff", crs="EPSG:32631", **profile) as file:
        file.write(CUBE)
    return path


@pytest.fixture
def server(local: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1")
    with served(local.parent) as found:
        yield found


@pytest.fixture
def address(server: Served) -> str:
    return server.address


def test_a_window_of_a_remote_file_is_read_without_the_rest(server: Served, local: Path) -> None:
    with io.open_reader(
        Path(f"{server.address}/scene.tif"), ReadRequest(white_level=4095, in_parts=True, allow_remote=True)
    ) as reader:
        assert reader.shape == (700, 600, 3)
        stored = reader.stored(slice(10, 20), slice(30, 50))
    np.testing.assert_array_equal(stored, CUBE[:, 10:20, 30:50].transpose(1, 2, 0))
    assert 0 < server.counts()[1] < local.stat().st_size


def test_a_remote_file_is_copied_in_parts(address: str, tmp_path: Path) -> None:
    made = convert(f"{address}/scene.tif?key=1", tmp_path / "a.h5", ConvertOptions(allow_remote=True))
    with io.open_cube(made) as reader:
        np.testing.assert_array_equal(reader.stored(slice(None), slice(None)), CUBE.transpose(1, 2, 0))


def mostly_empty(path: Path, *, tile: int, filled: bool) -> np.ndarray:
    """Write 20480 x 20480 bytes of which one tile is stored at most, and return a part of that."""
    part = np.random.default_rng(1).integers(0, 255, (1, 256, 256)).astype(np.uint8)
    profile: dict[str, Any] = {"width": 20_480, "height": 20_480, "count": 1, "dtype": "uint8", "tiled": True}
    profile |= {"blockxsize": tile, "blockysize": tile, "bigtiff": "yes", "SPARSE_OK": True}
    with rasterio.open(path, "w", driver="GTiff", **profile) as file:
        if filled:
            file.write(part, window=((512, 768), (256, 512)))
    return part[0]


def test_a_large_remote_file_is_read_in_windows_and_one_that_holds_nothing_is_refused(
    server: Served, tmp_path: Path
) -> None:
    request = ReadRequest(in_parts=True, allow_remote=True)
    tile = mostly_empty(tmp_path / "large.tif", tile=256, filled=True)
    with io.open_reader(f"{server.address}/large.tif", request) as reader:
        stored = reader.stored(slice(512, 768), slice(256, 512))
        assert reader.source.remote is not None and reader.source.remote.num_bytes() == 80**2 * 16 + 256**2
    np.testing.assert_array_equal(stored[..., 0], tile)
    mostly_empty(tmp_path / "none.tif", tile=2048, filled=False)
    for name in (f"{server.address}/none.tif", str(tmp_path / "none.tif")):
        with (
            pytest.raises(OSError, match="a cube of 20480x20480x1 takes 0"),
            io.open_reader(name, request),
        ):
            pass


def test_the_digest_of_a_remote_file_tells_whether_it_is_the_same(server: Served, local: Path) -> None:
    def digest() -> str:
        name = f"{server.address}/scene.tif?{server.counts()[0]}"  # GDAL keeps what it fetched by name
        with io.open_reader(name, ReadRequest(allow_remote=True)) as reader:
            assert reader.source.remote is not None
            return reader.source.remote.digest()

    before = digest()
    assert digest() == before
    with rasterio.open(local, "r+") as file:
        file.write(CUBE[:, :1, :1] + 1, window=((0, 1), (0, 1)))
    assert digest() != before


@pytest.mark.parametrize("name", ["absent.tif", "scene.tif/../../x"])
def test_what_the_server_does_not_have_is_one_line(address: str, name: str) -> None:
    with (
        pytest.raises(OSError, match="cannot be opened") as caught,
        io.open_reader(f"{address}/{name}", ReadRequest(allow_remote=True)),
    ):
        pass
    assert "\n" not in str(caught.value)


def test_a_server_that_sends_a_file_whole_is_refused_before_it_fills_the_memory(address: str) -> None:
    with (
        pytest.raises(OSError, match="sends it whole") as caught,
        io.open_reader(f"{address}/endless.tif", ReadRequest(allow_remote=True)),
    ):
        pass
    assert "\n" not in str(caught.value)


def test_no_server_is_asked_unless_it_is_allowed(server: Served, tmp_path: Path) -> None:
    address = server.address
    for action in (
        lambda: io.load(f"{address}/scene.tif"),
        lambda: io.load(Path(f"{address}/scene.tif")),
        lambda: io.describe(f"/vsicurl/{address}/scene.tif"),
        lambda: convert(f"{address}/scene.tif", tmp_path / "a.h5"),
    ):
        with pytest.raises(OSError, match="--allow_remote") as caught:
            action()
        assert "\n" not in str(caught.value)
        assert f"{address}/scene.tif" in str(caught.value)
    assert server.counts()[0] == 0
    assert not (tmp_path / "a.h5").exists()


@pytest.mark.parametrize("as_path", [False, True])
def test_a_file_in_an_archive_is_read(local: Path, tmp_path: Path, as_path: bool) -> None:
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.write(local, "deep/scene.tif")
    name = f"/vsizip/{archive}/deep/scene.tif"
    request = ReadRequest(allow_remote=True)
    with io.open_reader(Path(name) if as_path else name, request) as reader:
        np.testing.assert_array_equal(
            reader.stored(slice(0, 5), slice(0, 4)), CUBE[:, :5, :4].transpose(1, 2, 0)
        )


@pytest.mark.parametrize(
    "name", ["/vsimem/a.tif", "/vsistdin/", "/vsisparse/a.xml", "/vsisubfile/0_9,/etc/passwd"]
)
def test_other_virtual_file_systems_are_refused(name: str) -> None:
    with (
        pytest.raises(OSError, match="file system that is not read"),
        io.open_reader(name, ReadRequest(allow_remote=True)),
    ):
        pass


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (Path("https://a.org/b.tif"), "https://a.org/b.tif"),
        ("HTTP://a.org/b.tif", "http://a.org/b.tif"),
        (Path("/vsicurl/https://a.org/b.tif"), "/vsicurl/https://a.org/b.tif"),
        (Path("s3://bucket/b.tif"), "s3://bucket/b.tif"),
        ("b.tif", None),
        ("/data/vsizip/b.tif", None),
        ("C:/b.tif", None),
    ],
)
def test_names_of_remote_files_are_recognised(path: Path | str, name: str | None) -> None:
    assert remote_name(path) == name
