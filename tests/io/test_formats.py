"""The table of formats: every part of the program reads it, and other packages add to it."""

from __future__ import annotations

import os
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from hsr_tf.data.scenes import find_scenes
from hsr_tf.io import describe, formats, load, save
from hsr_tf.io.convert import convert
from hsr_tf.io.format import Format
from hsr_tf.scene import Scene

ROOT = Path(__file__).resolve().parents[2]
TOY = '''
"""A format of eight bytes (three sizes) and float32 values, rows, columns, bands."""

import struct
from contextlib import contextmanager

import numpy as np

from hsr_tf.files import replacing_file
from hsr_tf.io.arrays import band_reader
from hsr_tf.io.format import WholeFormat
from hsr_tf.io.header import CubeHeader
from hsr_tf.io.source import BandSource, decoding


class Toy(WholeFormat):
    name = "Toy"
    suffixes = (".toy",)
    reads = "float32"
    writes = "yes"

    @contextmanager
    def open(self, path, request):
        with decoding(path, self.name):
            shape = struct.unpack("<HHH", path.read_bytes()[:6])
            cube = np.fromfile(path, "<f4", offset=6).reshape(shape)
        _, read = band_reader(cube, "row,col,band")
        yield BandSource(path, self.name, CubeHeader(shape=shape), read)

    def write(self, path, header, cube):
        with replacing_file(path) as temporary:
            temporary.write_bytes(struct.pack("<HHH", *header.shape) + np.asarray(cube, "<f4").tobytes())
'''


@contextmanager
def installed(folder: Path, modules: dict[str, str], points: dict[str, str]) -> Iterator[None]:
    """A package with these modules and entry points of the group `hsr_tf.formats`."""
    about = folder / "toys-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: toys\nVersion: 1.0\n")
    lines = [f"{name} = {value}" for name, value in points.items()]
    (about / "entry_points.txt").write_text("\n".join([f"[{formats.ENTRY_POINTS}]", *lines, ""]))
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        formats.formats.cache_clear()
        yield
    formats.formats.cache_clear()


def scene() -> Scene:
    return Scene(np.random.default_rng(0).random((4, 5, 6), np.float32))


def test_a_format_of_another_package_is_read_written_converted_and_listed(tmp_path: Path) -> None:
    package, data = tmp_path / "package", tmp_path / "data"
    package.mkdir()
    data.mkdir()
    with installed(package, {"toy_format": TOY}, {"toy": "toy_format:Toy"}):
        path = save(scene(), data / "a.toy")
        assert path.read_bytes()[:6] == struct.pack("<HHH", 4, 5, 6)
        np.testing.assert_array_equal(load(path).cube, scene().cube)
        assert describe(path).format == "Toy"
        np.testing.assert_array_equal(load(convert(path, tmp_path / "b.h5")).cube, scene().cube)
        np.testing.assert_array_equal(load(convert(tmp_path / "b.h5", data / "c.toy")).cube, scene().cube)
        assert find_scenes(data, default="") == [data / "a.toy", data / "c.toy"]
        assert "| Toy | .toy | float32 | yes |" in formats.table()
        with pytest.raises(OSError, match=r"use one of .*\.toy"):
            save(scene(), tmp_path / "a.xyz")
        path.write_bytes(b"x")
        with pytest.raises(OSError, match=r"a\.toy: cannot be read as Toy"):
            load(path)
    assert not any(one.name == "Toy" for one in formats.formats())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("raise RuntimeError('no driver')", "RuntimeError: no driver"),
        ("import no_such_library", "ModuleNotFoundError: No module named 'no_such_library'"),
        ("Toy = 3", "TypeError: it is no subclass of hsr_tf.io.format.Format"),
        ("from hsr_tf.io.format import Format as Toy", "TypeError: Can't instantiate abstract class"),
        (TOY.replace('".toy"', '".h5"'), "ValueError: the suffix .h5 belongs to HDF5"),
    ],
)
def test_a_broken_format_gives_one_line_and_spoils_nothing_else(
    text: str, reason: str, tmp_path: Path
) -> None:
    name = f"broken_{abs(hash(text))}"
    with installed(tmp_path, {name: text}, {"broken": f"{name}:Toy"}):
        with pytest.warns(UserWarning, match="the file format 'broken'") as caught:
            path = save(scene(), tmp_path / "a.h5")
        (line,) = (str(one.message) for one in caught)
        assert reason in line and "\n" not in line and f"({name}:Toy)" in line and "uninstall" in line
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            np.testing.assert_array_equal(load(path).cube, scene().cube)


def test_every_format_says_what_it_is() -> None:
    found = formats.formats()
    listed = [suffix for one in found for suffix in one.suffixes]
    assert len(listed) == len({*listed}) and all(
        suffix == suffix.lower() and suffix[0] == "." for suffix in listed
    )
    assert len({one.name for one in found}) == len(found)
    assert all(isinstance(one, Format) and one.reads and type(one).__doc__ for one in found)


def test_the_page_shows_the_table_as_it_is() -> None:
    page = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    missing = [line for line in formats.table().splitlines() if line not in page.splitlines()]
    assert not missing, "add to docs/formats.md:\n" + "\n".join(missing)
    assert formats.table() in page


def test_a_name_may_be_checked_before_the_work(tmp_path: Path) -> None:
    for name, kind in (("a.nc", "NetCDF 4"), ("a", "folder of PNG bands"), ("a.zarr/", "Zarr 3")):
        assert formats.format_for(os.path.join(tmp_path, name)).name == kind
    with pytest.raises(OSError, match=r"cannot be written part by part; use one of \.h5"):
        formats.parts_format_for(tmp_path / "a.npz")
