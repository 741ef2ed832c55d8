"""The table of file formats, and the way from a path to its format.

An installed package adds formats by entry points of the group "hsr_tf.formats", each of which names a
subclass of `hsr_tf.io.format.Format`.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable
from difflib import get_close_matches
from functools import cache
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from hsr_tf.checks import FileError, file_error
from hsr_tf.io.format import Format, PartsFormat, WritableFormat
from hsr_tf.io.remote_names import refusal, remote_name

ENTRY_POINTS = "hsr_tf.formats"
_BUILT_IN = (
    "hdf5:Hdf5",
    "hdf5:Prisma",
    "mat:Matlab",
    "npz:Npz",
    "picture_formats:Png",
    "picture_formats:Jpeg",
    "dlr_products:DlrProduct",
    "tiff:Tiff",
    "netcdf:NetCdf",
    "zarr_store:Zarr",
    "envi:Envi",
    "satellite_folder:SatelliteBands",
    "png_folder:PngFolder",
    "file_stack:FileStack",
)


@cache
def formats() -> tuple[Format, ...]:
    """Return every known format: those of this package, then those of others.

    Warns:
        UserWarning: a format of another package that cannot be used, which is left out.
    """
    found: list[Format] = []
    for name in _BUILT_IN:
        module, _, kind = name.partition(":")
        found.append(getattr(import_module(f"hsr_tf.io.{module}"), kind)())
    for added in metadata.entry_points(group=ENTRY_POINTS):
        try:
            found.append(_checked(added.load(), found))
        except Exception as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            remedy = "mend or uninstall the package that provides it"
            message = f"the file format {added.name!r} ({added.value}) is not available: {reason}; {remedy}"
            warnings.warn(message, stacklevel=2)
    return tuple(found)


def known_format(path: Path) -> Format | None:
    """Return the format of an existing file or folder, or None for an unknown one."""
    return next((one for one in formats() if one.recognises(path)), None)


def format_of(path: Path) -> Format:
    """Return the format of a file or folder that is to be read.

    Raises:
        OSError: it is missing or empty, of no known format, or on a server or in an archive.
    """
    name = remote_name(path)
    if name is not None:
        raise refusal(name)
    if not path.exists() and known_format(path) is None:
        siblings = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        near = get_close_matches(path.name, siblings, n=3)
        remedy = f"did you mean {' or '.join(near)}?" if near else "check the name"
        if not path.parent.is_dir():
            remedy = f"the folder {path.parent} does not exist either"
        raise file_error(path, "no such file or folder", remedy)
    found = known_format(path)
    if found is None:
        raise _unknown_suffix(path, formats())
    if path.is_file() and path.stat().st_size == 0:
        raise file_error(path, "is empty", "fetch or write it again")
    return found


def format_for(path: str | os.PathLike[str]) -> WritableFormat:
    """Return the format in which a file of this name is written.

    Raises:
        OSError: an unknown suffix, a missing parent folder, or a target that is no ordinary file.
    """
    target, suffix = Path(os.path.realpath(path)), Path(path).suffix.lower()
    if not target.parent.is_dir():
        raise file_error(target, f"the folder {target.parent} does not exist", "make it first")
    if target.exists() and not (target.is_file() or target.is_dir()):
        raise file_error(target, "is neither a file nor a folder", "choose another name")
    writable = [one for one in formats() if isinstance(one, WritableFormat)]
    found = next((one for one in writable if suffix in one.suffixes), None)
    is_folder = target.is_dir() or not suffix or os.fspath(path).endswith("/")
    if is_folder and not (found is not None and found.is_folder):
        found = next(one for one in writable if one.is_folder and not one.suffixes)
    if found is None:
        raise _unknown_suffix(Path(path), writable)
    found.require_target(target)
    return found


def parts_format_for(path: str | os.PathLike[str]) -> PartsFormat:
    """Return the format in which a file of this name is written part by part.

    Raises:
        OSError: as `format_for`; a format that is written at once.
    """
    found = format_for(path)
    if not isinstance(found, PartsFormat):
        known = suffixes(one for one in formats() if isinstance(one, PartsFormat))
        raise file_error(Path(path), "cannot be written part by part", f"use one of {known}")
    return found


def suffixes(among: Iterable[Format] | None = None) -> str:
    """Return the suffixes of formats, by default of all, as a text for messages."""
    return ", ".join(suffix for one in among or formats() for suffix in one.suffixes)


def table() -> str:
    """Return the formats as a table in Markdown."""
    rows = [("format", "suffix", "read", "written", "in parts larger than memory"), ("---",) * 5]
    for one in formats():
        parts = "both ways" if isinstance(one, PartsFormat) else "reading" if one.reads_parts else "no"
        rows.append((one.name, " ".join(one.suffixes) or "none", one.reads, one.writes, parts))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _checked(kind: Any, known: Iterable[Format]) -> Format:
    """Return an object of a class that another package adds.

    Raises:
        TypeError: it is no complete subclass of `Format`.
        ValueError: one of its suffixes belongs to another format.
    """
    if not (isinstance(kind, type) and issubclass(kind, Format)):
        raise TypeError("it is no subclass of hsr_tf.io.format.Format")
    made = kind()
    taken = {suffix: one.name for one in known for suffix in one.suffixes}
    for suffix in made.suffixes:
        if suffix in taken:
            raise ValueError(f"the suffix {suffix} belongs to {taken[suffix]}")
    return made


def _unknown_suffix(path: Path, known: Iterable[Format]) -> FileError:
    problem = f"unknown suffix {path.suffix!r}" if path.suffix else "has no suffix that names its format"
    return file_error(path, problem, f"use one of {suffixes(known)} or a folder of PNG files")
