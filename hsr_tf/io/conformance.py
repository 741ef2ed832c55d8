"""Check that a file format behaves as every format of the project does.

    from hsr_tf.io import conformance

    def test_my_format_behaves_as_the_others():
        assert conformance.broken_promises(MyFormat()) == []

The format must be in the table, built in or by an entry point. Each problem gives one line.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hsr_tf.checks import FileError, InputError
from hsr_tf.findings import WARNING
from hsr_tf.io import create_cube, describe, load, open_cube, save
from hsr_tf.io.convert import convert
from hsr_tf.io.format import PartsFormat, PictureFormat, WritableFormat
from hsr_tf.io.header import CubeHeader
from hsr_tf.scene import Scene

SHAPE = (13, 11, 3)
KEPT_SHARES = (0.02, 0.3, 0.8, 0.999)
PARTS = (slice(8, 13), slice(0, 8))
MOST_CHANGE = 1e-6
WHITE_LEVEL = 4000
NOISE = "of noise"


class _Interruption(Exception):
    """Ends a write before the file is complete."""


@dataclass(frozen=True)
class _Case:
    """A format, a scene, and the file that the scene was saved in."""

    format: WritableFormat
    scene: Scene
    path: Path


def broken_promises(format: WritableFormat) -> list[str]:
    """Return what a format does not keep of this:

    - a saved scene comes back with its values, and with its wavelengths or none;
    - pixels without data come back as such, in formats of cubes, if the scene has a nodata value;
    - `describe` reports the size and the range of the values of the loaded scene;
    - a part that is read is that part of the whole;
    - parts that are written in any order make the whole, in formats that are written in parts;
    - `hsr convert` to HDF5 and back keeps the values;
    - integers with a white level come back as the same scaled values or are refused, in formats of cubes;
    - an interrupted write leaves the older file as it was and nothing beside it;
    - a file that is cut short or holds noise is refused in one line that names it; noise may be read with a
      warning in the account of the file, where nothing but its size tells it from values.

    Args:
        format: one that is written.
    """
    suffix = format.suffixes[0] if format.suffixes else ""
    draws = np.random.default_rng(0)
    cube = draws.integers(0, 65536, SHAPE) / np.float32(65535)
    scene = Scene(cube.astype(np.float32), np.array([450.0, 550.5, 650.0]))
    with tempfile.TemporaryDirectory() as folder:
        path = save(scene, Path(folder) / f"scene{suffix}")
        case = _Case(format, scene, path)
        checks = [_broken_by_reading, _broken_by_conversion, _broken_by_damage]
        if not isinstance(format, PictureFormat):
            checks[1:1] = [_broken_by_mask, _broken_by_integers]
        if isinstance(format, PartsFormat):
            checks[1:1] = [_broken_by_parts, _broken_by_interruption]
        return [line for check in checks for line in check(case)]


def _broken_by_reading(case: _Case) -> Iterator[str]:
    found, summary = load(case.path), describe(case.path)
    yield from _changed("a saved scene", found.cube, case.scene.cube)
    if found.wavelengths_nm is not None and (found.wavelengths_nm != case.scene.wavelengths_nm).any():
        yield f"the wavelengths come back as {found.wavelengths_nm}, not {case.scene.wavelengths_nm}"
    described = summary.shape, summary.minimum, summary.maximum
    if described != (found.shape, found.cube.min(), found.cube.max()):
        yield "describe reports another size or range of values than that of the loaded scene"
    rows, cols = slice(2, 9), slice(1, 6)
    with open_cube(case.path) as reader:
        yield from _changed("a part that is read", reader.read(rows, cols), found.cube[rows, cols])


def _broken_by_parts(case: _Case) -> Iterator[str]:
    assert isinstance(case.format, PartsFormat)
    path = case.path.with_name(f"parts{case.path.suffix}")
    with case.format.create(path, CubeHeader.of(case.scene)) as writer:
        for rows in PARTS:
            for cols in (slice(6, 11), slice(0, 6)):
                writer.write(rows, cols, case.scene.cube[rows, cols])
    yield from _changed("a scene written in parts", load(path).cube, case.scene.cube)


def _broken_by_interruption(case: _Case) -> Iterator[str]:
    assert isinstance(case.format, PartsFormat)
    before = sorted(case.path.parent.iterdir())
    try:
        with case.format.create(case.path, CubeHeader.of(case.scene)) as writer:
            writer.write(PARTS[1], slice(None), np.zeros_like(case.scene.cube[PARTS[1]]))
            raise _Interruption
    except _Interruption:
        pass
    yield from _changed("the older file after an interrupted write", load(case.path).cube, case.scene.cube)
    if sorted(case.path.parent.iterdir()) != before:
        yield "an interrupted write leaves files behind"


def _broken_by_mask(case: _Case) -> Iterator[str]:
    mask = np.zeros(SHAPE[:2], bool)
    mask[3, 2:5] = True
    masked = Scene(np.where(mask[..., None], 0, case.scene.cube), nodata_mask=mask, nodata=-9999.0)
    try:
        found = load(save(masked, case.path.with_name(f"masked{case.path.suffix}"))).nodata_mask
    except ValueError as error:
        yield f"a scene with pixels without data is not read back: {error}"
        return
    if found is None or (found != mask).any():
        yield "pixels without data do not come back as such"


def _broken_by_conversion(case: _Case) -> Iterator[str]:
    middle = convert(case.path, case.path.with_name("middle.h5"))
    again = convert(middle, case.path.with_name(f"again{case.path.suffix}"))
    for name, path in (("HDF5", middle), ("HDF5 and back", again)):
        yield from _changed(f"the scene converted to {name}", load(path).cube, case.scene.cube)


def _broken_by_integers(case: _Case) -> Iterator[str]:
    stored = np.random.default_rng(2).integers(0, WHITE_LEVEL, SHAPE).astype(np.uint16)
    source = case.path.with_name("integers.h5")
    with create_cube(source, CubeHeader(shape=SHAPE, dtype=stored.dtype, white_level=WHITE_LEVEL)) as writer:
        writer.write(slice(None), slice(None), stored)
    try:
        found = load(convert(source, case.path.with_name(f"integers{case.path.suffix}"))).cube
    except (FileError, InputError):
        return
    yield from _changed("a scene of integers", found, stored / np.float32(WHITE_LEVEL))


def _broken_by_damage(case: _Case) -> Iterator[str]:
    files = case.format.files(case.path)
    if not files or not files[0].is_file():
        return
    data = files[0].read_bytes()
    damaged = {f"cut to {share:.1%}": data[: int(len(data) * share)] for share in KEPT_SHARES}
    for name, content in {**damaged, NOISE: np.random.default_rng(1).bytes(5000)}.items():
        files[0].write_bytes(content)
        try:
            load(case.path)
            warned = any(finding.severity == WARNING for finding in describe(case.path).findings)
            if name != NOISE or not warned:
                yield f"a file {name} is read"
        except (FileError, InputError) as error:
            if "\n" in str(error) or files[0].name not in str(error):
                yield f"a file {name} is refused in other than one line that names it: {error}"
        except Exception as error:
            yield f"a file {name} is refused by {type(error).__name__}, not by a FileError: {error}"


def _changed(what: str, found: np.ndarray, expected: np.ndarray) -> Iterator[str]:
    if found.shape != expected.shape:
        yield f"{what} has the shape {found.shape}, not {expected.shape}"
    elif (change := float(np.abs(found - expected).max())) > MOST_CHANGE:
        yield f"{what} differs by up to {change:.3g}"
