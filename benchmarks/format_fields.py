"""What each file format reads, writes and reports, field by field: `python -m benchmarks.format_fields`.

Every cell is measured. Written: a cube with the field is saved here, and another program (GDAL through
rasterio, spectral, xarray, h5py, SciPy, NumPy, Pillow) reads the field from the file. Read: another program
writes the field into a file, and it is read here. Reported: it is not read, and the account of the file names
it. `--update` writes the table into docs/formats.md.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags

from benchmarks import _report
from benchmarks.format_checks import own_readers
from benchmarks.format_samples import (
    FIELDS,
    FOREIGN,
    SAMPLE,
    SUFFIXES,
    UPRIGHT,
    Sample,
    ground_points,
    polynomials,
)
from hsr_tf.console.flag_apps import run_app
from hsr_tf.geo.crs import same_crs
from hsr_tf.geo.sensor_model import (
    GROUND,
    PIXELS,
    TERMS,
    GroundPoint,
    RationalPolynomials,
    SensorModel,
)
from hsr_tf.io import CubeHeader, ReadRequest, create_cube, open_reader, save
from hsr_tf.io.format import PartsFormat
from hsr_tf.io.formats import format_for
from hsr_tf.io.stream import CubeReader
from hsr_tf.scene import Scene

FLAGS = flags.FLAGS
PAGE = Path(__file__).resolve().parents[1] / "docs" / "formats.md"
TITLES = {"fwhm": "FWHM", "crs": "CRS", "gcp": "GCP", "rpc": "RPC", "good_bands": "good bands"}


def define_flags() -> None:
    """Whether the page is changed."""
    flags.DEFINE_bool("update", False, "Write the table into docs/formats.md.")


def table() -> str:
    """Return the table in Markdown, every cell measured."""
    titles = [TITLES.get(field, field) for field in FIELDS]
    lines = [f"| | {' | '.join(titles)} |", f"| --- |{' --- |' * len(titles)}"]
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in SUFFIXES:
            cells = [cell(name, field, Path(folder)) for field in FIELDS]
            lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def cell(name: str, field: str, folder: Path) -> str:
    """Return the marks of a format and a field: R, W, !, or nothing."""
    marks = [_reading(name, field, folder), "W" if _is_written(name, field, folder) else ""]
    return " ".join(mark for mark in marks if mark)


def _reading(name: str, field: str, folder: Path) -> str:
    """Return "R" if a field that another program wrote is read, "!" if it is reported, else ""."""
    write = FOREIGN[name].get(field)
    if write is None:
        return ""
    place = folder / f"{name}-{field}".replace(" ", "_").replace(".", "")
    place.mkdir()
    path = write(place)
    with open_reader(path, ReadRequest()) as reader:
        if _found(reader, field):
            return "R"
        findings = reader.header.findings
    words = {"gcp": ("gcp", "geo points"), "units": ("wavelength",)}.get(field, (field,))
    return "!" if any(word in one.found.lower() for one in findings for word in words) else ""


def _found(reader: CubeReader, field: str) -> bool:
    """Return whether an open file says what the sample says of a field."""
    header, sample = reader.header, SAMPLE
    scene = reader.scene()
    lists: dict[str, Any] = {
        "wavelengths": (header.wavelengths_nm, sample.wavelengths_nm),
        "units": (header.wavelengths_nm, sample.wavelengths_nm),
        "fwhm": (header.fwhm_nm, sample.fwhm_nm),
        "good_bands": (header.good_bands, sample.good_bands),
        "grid": (None if header.georeference is None else header.georeference.transform, sample.transform),
    }
    if field in lists:
        found, expected = lists[field]
        return found is not None and bool(np.allclose(found, expected, rtol=1e-9))
    everywhere = slice(None), slice(None)
    if field == "values":
        return bool(np.array_equal(reader.stored(*everywhere), sample.cube_of(reader.shape[2])))
    if field == "scale":
        return bool(np.allclose(scene.cube, sample.scaled_of(reader.shape[2]), atol=1e-5))
    if field in ("nodata", "mask", "alpha"):
        mask = scene.nodata_mask
        return mask is not None and bool(np.array_equal(mask, sample.hole))
    if field == "orientation":
        return bool(np.allclose(scene.cube[..., 0], UPRIGHT, atol=0.05))
    if field == "names":
        return header.band_names == sample.band_names
    model = header.sensor_model
    if field == "gcp":
        return model is not None and len(model.points) == len(ground_points())
    if field == "rpc":
        return model is not None and model.polynomials is not None
    if field == "crs":
        return header.georeference is not None and same_crs(header.georeference.crs, sample.crs)
    return False


def _is_written(name: str, field: str, folder: Path) -> bool:
    """Return whether another program finds a field in a file that was written here."""
    reading = own_readers(name).get(field)
    if reading is None:
        return False
    place = folder / f"own-{name}-{field}".replace(" ", "_").replace(".", "")
    place.mkdir()
    path = place / f"a{SUFFIXES[name]}"
    header = _header(SAMPLE, field)
    made = format_for(path)
    if isinstance(made, PartsFormat) and name != "TIFF picture":
        with create_cube(path, header) as writer:
            writer.write(slice(None), slice(None), SAMPLE.cube)
    elif hasattr(made, "write"):
        made.write(path, header, SAMPLE.cube)
    else:
        values = (SAMPLE.cube[..., :3] / np.float32(65535)).astype(np.float32)
        mask = SAMPLE.hole if field in ("mask", "alpha") else None
        centres = SAMPLE.wavelengths_nm[:3] if field in ("wavelengths", "units") else None
        save(Scene(values, centres, nodata_mask=mask), path)
    return bool(reading(path))


def _header(sample: Sample, field: str) -> CubeHeader:
    """Return the header of the sample with one field alone."""
    from hsr_tf.geo.georeference import Georeference

    header = CubeHeader(shape=sample.cube.shape, dtype=sample.cube.dtype)
    facts: Mapping[str, Any] = {
        "scale": {"gain": np.full(4, sample.gain), "offset": np.full(4, sample.offset)},
        "wavelengths": {"wavelengths_nm": sample.wavelengths_nm},
        "units": {"wavelengths_nm": sample.wavelengths_nm},
        "fwhm": {"wavelengths_nm": sample.wavelengths_nm, "fwhm_nm": sample.fwhm_nm},
        "names": {"band_names": sample.band_names},
        "good_bands": {"good_bands": sample.good_bands},
        "nodata": {"nodata": float(sample.nodata)},
        "mask": {"nodata_mask": sample.hole, "nodata": float(sample.nodata)},
        "grid": {"georeference": Georeference(sample.transform)},
        "crs": {"georeference": Georeference(sample.transform, sample.crs)},
        "gcp": {"sensor_model": _model()},
        "rpc": {"sensor_model": _model()},
    }
    return replace(header, **facts.get(field, {}))


def _model() -> SensorModel:
    """Return the points and coefficients of the sample."""
    found = polynomials()
    terms = {name: getattr(found, name) for name in (*TERMS, *PIXELS, *GROUND)}
    points = tuple(GroundPoint(p.row, p.col, p.x, p.y) for p in ground_points())
    lists = {name: tuple(np.atleast_1d(value).tolist()) for name, value in terms.items()}
    return SensorModel(points, None, RationalPolynomials(lists))


def main() -> None:
    """Measure, and print or write the table."""
    found = table()
    print(found)
    if FLAGS.update:
        text = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(_report.with_section(text, "fields", found), encoding="utf-8")


if __name__ == "__main__":
    define_flags()
    run_app(main)
