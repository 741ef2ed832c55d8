"""Files on a server and in archives are opened where the caller allows it, and never else."""

from __future__ import annotations

import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import rasterio

from hsr_tf import io
from hsr_tf.io.convert import ConvertOptions, convert
from hsr_tf.io.remote_names import remote_name
from hsr_tf.io.source import ReadRequest

pytestmark = pytest.mark.filterwarnings("ignore:Dataset has no geotransform")
CUBE = np.random.default_rng(0).integers(0, 4000, (3, 700, 600)).astype(np.uint16)


class Ranges(BaseHTTPRequestHandler):
    """Serves parts of one file, which the library's own handler does not."""

    content: ClassVar[bytes] = b""
    num_bytes: ClassVar[int] = 0
    num_requests: ClassVar[int] = 0

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        type(self).num_requests += 1
        if not self.path.startswith("/scene.tif"):
            self.send_error(404)
            return
        first, last = 0, len(self.content) - 1
        wanted = self.headers.get("Range", "").removeprefix("bytes=").partition("-")
        if wanted[1]:
            first, last = int(wanted[0]), min(last, int(wanted[2] or last))
        part = self.content[first : last + 1]
        self.send_response(206 if wanted[1] else 200)
        self.send_header("Content-Length", str(len(part)))
        self.send_header("Accept-Ranges", "bytes")
        if wanted[1]:
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(self.content)}")
        self.end_headers()
        if body:
            type(self).num_bytes += len(part)
            self.wfile.write(part)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def local(tmp_path: Path) -> Path:
    path = tmp_path / "scene.tif"
    profile: dict[str, Any] = {"width": 600, "height": 700, "count": 3, "dtype": "uint16", "tiled": True}
    with rasterio.open(path, "w", driver="GTiff", crs="EPSG:32631", **profile) as file:
        file.write(CUBE)
    return path


@pytest.fixture
def address(local: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1")
    Ranges.content, Ranges.num_bytes, Ranges.num_requests = local.read_bytes(), 0, 0
    server = ThreadingHTTPServer(("127.0.0.1", 0), Ranges)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_window_of_a_remote_file_is_read_without_the_rest(address: str) -> None:
    with io.open_reader(
        Path(f"{address}/scene.tif"), ReadRequest(white_level=4095, in_parts=True, allow_remote=True)
    ) as reader:
        assert reader.shape == (700, 600, 3)
        stored = reader.stored(slice(10, 20), slice(30, 50))
    np.testing.assert_array_equal(stored, CUBE[:, 10:20, 30:50].transpose(1, 2, 0))
    assert 0 < Ranges.num_bytes < len(Ranges.content)


def test_a_remote_file_is_copied_in_parts(address: str, tmp_path: Path) -> None:
    made = convert(f"{address}/scene.tif?key=1", tmp_path / "a.h5", ConvertOptions(allow_remote=True))
    with io.open_cube(made) as reader:
        np.testing.assert_array_equal(reader.stored(slice(None), slice(None)), CUBE.transpose(1, 2, 0))


@pytest.mark.parametrize("name", ["absent.tif", "scene.tif/../../x"])
def test_what_the_server_does_not_have_is_one_line(address: str, name: str) -> None:
    with (
        pytest.raises(OSError, match="cannot be opened") as caught,
        io.open_reader(f"{address}/{name}", ReadRequest(allow_remote=True)),
    ):
        pass
    assert "\n" not in str(caught.value)


def test_no_server_is_asked_unless_it_is_allowed(address: str, tmp_path: Path) -> None:
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
    assert Ranges.num_requests == 0
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
