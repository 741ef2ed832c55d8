"""Damages good files of every format and reads them, in a process of its own: run as a script.

`python fuzz_for_tests.py FOLDER FIRST LAST [FORMAT ...]` prints one line for each case that went wrong, and
before each case its name, so that a crash of a C library can be told by the last line.
"""

from __future__ import annotations

import faulthandler
import os
import re
import resource
import shutil
import sys
import tempfile
import time
import tracemalloc
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import tifffile

from hsr_tf import io
from hsr_tf.geo.georeference import Georeference
from hsr_tf.io import formats
from hsr_tf.io.convert import ConvertOptions, convert
from hsr_tf.io.format import WritableFormat
from hsr_tf.io.geotiff import create_geotiff
from hsr_tf.process import command
from hsr_tf.scene import Scene

LONGEST_SECONDS, HANGING_SECONDS = 20, 240
MOST_BYTES = 300 * 2**20
ADDRESS_SPACE = 8 * 2**30
MAX_GIB = 0.05
NUMBERS = (b"-1", b"0", b"1", b"99999999", b"9999999999999999999", b"1e308", b"nan", b"x", b"", b"0.5", b"{")


def scene() -> Scene:
    rng = np.random.default_rng(0)
    cube = rng.random((21, 19, 5), dtype=np.float32)
    mask = np.zeros((21, 19), bool)
    mask[3, 4] = True
    return Scene(
        np.where(mask[..., None], 0, cube),
        wavelengths_nm=np.linspace(400, 800, 5),
        name="fuzz",
        metadata={"sensor": "x"},
        nodata_mask=mask,
        fwhm_nm=np.full(5, 9.0),
        band_names=("a", "b", "c", "d", "e"),
        good_bands=np.array([1, 1, 0, 1, 1]),
        georeference=Georeference((10.0, 0, 5e5, 0, -10.0, 4.6e6), "EPSG:32631"),
        nodata=-9999.0,
    )


def prisma(path: Path) -> None:
    with h5py.File(path, "w") as file:
        for name, count in (("Vnir", 4), ("Swir", 3)):
            field = f"HDFEOS/SWATHS/PRS_L2D_HCO/Data Fields/{name.upper()}_Cube"
            file[field] = np.arange(21 * count * 19, dtype=np.uint16).reshape(21, count, 19)
            file.attrs[f"List_Cw_{name}"] = np.linspace(900, 500, count)
            file.attrs[f"L2Scale{name}Min"], file.attrs[f"L2Scale{name}Max"] = 0.0, 1.0


def enmap(path: Path) -> None:
    """A GeoTIFF whose bands are described in an XML file beside it."""
    with create_geotiff(path, io.CubeHeader.of(scene())) as writer:
        writer.write(slice(None), slice(None), scene().cube)
    bands = "".join(
        f"<bandID number='{i}'><wavelengthCenterOfBand>{400 + i}</wavelengthCenterOfBand><FWHMOfBand>9"
        f"</FWHMOfBand><GainOfBand>0.1</GainOfBand><OffsetOfBand>0</OffsetOfBand></bandID>"
        for i in range(1, 6)
    )
    lists = "<expectedChannelsList>1,2,3,5</expectedChannelsList>"
    text = (
        f"<level_X><specific><bandCharacterisation>{bands}</bandCharacterisation>{lists}</specific></level_X>"
    )
    path.with_name("zENMAP-METADATA.XML").write_text(text, encoding="utf-8")


def sentinel(path: Path) -> None:
    """A folder of bands of two sizes, with their metadata."""
    path.mkdir()
    for name, size in (("B02", 20), ("B03", 20), ("B05", 10)):
        bands = np.arange(size * size, dtype=np.uint16).reshape(size, size)
        tifffile.imwrite(path / f"T33UUU_20220724T101559_{name}.tif", bands)
    offsets = "".join(f"<BOA_ADD_OFFSET band_id='{i}'>-1000</BOA_ADD_OFFSET>" for i in range(13))
    text = f"<a><BOA_QUANTIFICATION_VALUE>10000</BOA_QUANTIFICATION_VALUE>{offsets}</a>"
    (path / "MTD_MSIL2A.xml").write_text(text, encoding="utf-8")


def grouped(path: Path) -> None:
    """A NetCDF file with groups and a lookup table, as those of EMIT."""
    import xarray

    data = xarray.Dataset({"reflectance": (("y", "x", "bands"), scene().cube)})
    data.attrs["geotransform"] = np.array([10.0, 0.1, 0, 45.0, 0, -0.1])
    data.to_netcdf(path, engine="h5netcdf")
    bands = {"wavelengths": ("bands", np.linspace(400, 800, 5)), "good_wavelengths": ("bands", np.ones(5))}
    table = {name: (("oy", "ox"), np.ones((9, 8), np.int32)) for name in ("glt_x", "glt_y")}
    for group, variables in (("sensor_band_parameters", bands), ("location", table)):
        xarray.Dataset(variables).to_netcdf(path, "a", group=group, engine="h5netcdf")


def cog(path: Path) -> None:
    with create_geotiff(path, io.CubeHeader.of(scene()), cog=True) as writer:
        writer.write(slice(None), slice(None), scene().cube)


def pages(path: Path) -> None:
    tifffile.imwrite(
        path, np.arange(5 * 21 * 19, dtype=np.uint16).reshape(5, 21, 19), photometric="minisblack"
    )


def saved(path: Path) -> None:
    picture = path.suffix in (".png", "") or path.name.startswith("picture")
    io.save(Scene(scene().cube[..., :3]) if picture else scene(), path)


# Name -> how it is made, and which of its files are damaged, as text or as bytes.
FORMATS: dict[str, tuple[Callable[[Path], None], str]] = {
    "cube.h5": (saved, "*.h5"),
    "prisma.he5": (prisma, "*.he5"),
    "cube.img": (saved, "*.hdr"),
    "cube.bsq": (saved, "*.bsq"),
    "geo.tif": (saved, "*.tif"),
    "cog.tif": (cog, "*.tif"),
    "pages.tif": (pages, "*.tif"),
    "picture.tif": (saved, "*.tif"),
    "cube.nc": (saved, "*.nc"),
    "store.zarr": (saved, "*.zarr/**/*"),
    "cube.npz": (saved, "*.npz"),
    "cube.mat": (saved, "*.mat"),
    "picture.png": (saved, "*.png"),
    "bands": (saved, "bands/*"),
    # Names that come last: the damage of a file depends on the order of the names.
    "zENMAP-SPECTRAL_IMAGE.TIF": (enmap, "*.XML"),
    "zsentinel": (sentinel, "zsentinel/*"),
    "zgroups.nc": (grouped, "*.nc"),
}
covered = {Path(name).suffix for name in FORMATS}
for one in formats.formats():  # those that are added to the table later
    if isinstance(one, WritableFormat) and not covered & {*one.suffixes} and one.suffixes:
        FORMATS[f"cube{one.suffixes[0]}"] = (saved, f"*{one.suffixes[0]}")


def damaged(data: bytes, rng: np.random.Generator, *, text: bool) -> bytes:
    """The same bytes with one to three faults, in the first 2048 bytes more often than in the rest."""
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        size = max(1, len(changed))
        near = min(size, 2048) if rng.random() < 0.6 else size
        place = int(rng.integers(near))
        kind = int(rng.integers(7))
        if kind == 0:
            changed[place : place + 1] = bytes([int(rng.integers(256))])
        elif kind == 1:
            changed[place : place + 8] = rng.bytes(min(8, size - place))
        elif kind == 2:
            changed[place : place + 4] = (b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff")[int(rng.integers(3))]
        elif kind == 3:
            del changed[place : place + int(rng.integers(1, 64))]
        elif kind == 4:
            changed[place:place] = rng.bytes(int(rng.integers(1, 16)))
        elif kind == 5 and rng.random() < 0.3:
            del changed[place:]
        elif text:
            _change_number(changed, rng)
        else:
            other = int(rng.integers(size))
            changed[place : place + 16] = changed[other : other + 16]
    return bytes(changed)


def _change_number(changed: bytearray, rng: np.random.Generator) -> None:
    found = list(re.finditer(rb"[0-9.eE+-]*[0-9][0-9.eE+-]*|true|null|\"[^\"]*\"", bytes(changed)))
    if found:
        one = found[int(rng.integers(len(found)))]
        changed[one.start() : one.end()] = NUMBERS[int(rng.integers(len(NUMBERS)))]


def attempts(path: Path, out: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    """What is done with a damaged file."""

    def window() -> object:
        with io.open_cube(path, max_gib=MAX_GIB) as reader:
            return reader.read_with_mask(slice(0, 8), slice(3, 9))

    yield "load", lambda: io.load(path, max_gib=MAX_GIB)
    yield "describe", lambda: io.describe(path)
    yield "open_cube", window
    target = out / ("out.img" if path.suffix == ".nc" else "out.h5")
    yield "convert", lambda: convert(path, target, ConvertOptions(max_gib=MAX_GIB))


def complaint(action: Callable[[], object]) -> str | None:
    """What is wrong with how an attempt ended, or None."""
    tracemalloc.reset_peak()
    start = time.process_time()
    try:
        action()
    except (OSError, ValueError) as error:
        if type(error) is UnicodeDecodeError or "\n" in str(error) or len(str(error)) > 700:
            return f"no clear line: {error!r}"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    if tracemalloc.get_traced_memory()[1] > MOST_BYTES:
        return f"took {tracemalloc.get_traced_memory()[1] / 2**20:.0f} MiB"
    return None if time.process_time() - start < LONGEST_SECONDS else "took too long"


def run_case(name: str, seed: int, workplace: Path) -> Iterator[str]:
    """The complaints of one damaged file."""
    good = workplace / "good" / name
    case = Path(tempfile.mkdtemp(dir=workplace))
    shutil.copytree(good, case / "in")
    (case / "out").mkdir()
    rng = np.random.default_rng([seed, sorted(FORMATS).index(name)])
    files = sorted(one for one in (case / "in").glob(FORMATS[name][1]) if one.is_file())
    file = files[int(rng.integers(len(files)))]
    text = file.suffix.lower() in (".hdr", ".json", ".txt", ".xml")
    file.write_bytes(damaged(file.read_bytes(), rng, text=text))
    for what, action in attempts(case / "in" / name, case / "out"):
        problem = complaint(action)
        if problem is not None:
            yield f"{what} of {file.name}: {problem}"
    left = sorted(one.name for one in (case / "out").iterdir())
    if left not in ([], ["out.h5"], ["out.hdr", "out.img"]):
        yield f"convert left {left}"
    shutil.rmtree(case)


def main(workplace: Path, first: int, last: int, names: list[str]) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    faulthandler.enable()
    warnings.simplefilter("ignore", DeprecationWarning)
    for name in names:
        (workplace / "good" / name).mkdir(parents=True)
        FORMATS[name][0](workplace / "good" / name / name)
    tracemalloc.start()
    for name in names:
        for seed in range(first, last):
            print(f"case {name} {seed}", flush=True)
            faulthandler.dump_traceback_later(HANGING_SECONDS, exit=True)
            for problem in run_case(name, seed, workplace):
                print(f"WRONG {name} {seed} {' '.join(problem.split())}", flush=True)
            faulthandler.cancel_dump_traceback_later()


if __name__ == "__main__":
    os.environ["PYTHONWARNINGS"] = "ignore::DeprecationWarning"
    with command():  # which promises a silent stderr; in another program GDAL may print there
        main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:] or list(FORMATS))
