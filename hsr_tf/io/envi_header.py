"""ENVI headers: found beside their data, read by `spectral`, checked and written.

Departures from `spectral`'s own reader: the header may be Latin-1 or UTF-16 and begin with a byte order
mark, its keys may be of any case, and its size is limited before it is read; a missing byte order is little
endian, a missing offset 0, a missing interleave BSQ, as ENVI itself has it. `reflectance scale factor` is the
white level of integers and a gain of 1 over it of floating-point values. What ENVI has no field for is in
`hsr record`, percent-quoted.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from hsr_tf.checks import file_error, require
from hsr_tf.io.account import Account
from hsr_tf.io.header import CubeHeader
from hsr_tf.io.nanometres import Listing, spectral_lists
from hsr_tf.io.own_record import record_to_text
from hsr_tf.io.source import require_real

FORMAT = "ENVI"
DATA_SUFFIXES = (
    ".img", ".dat", ".raw", ".bsq", ".bil", ".bip", ".rad", ".ref", ".rfl", ".hyspex", ".l1r", ".sli", ".bin",
)  # fmt: skip
INTERLEAVES = ("bsq", "bil", "bip")
LONGEST_HEADER = 4 * 2**20
MOST_LINES = 50_000
LARGEST_SIDE = 2**31
NOT_METADATA = (
    "samples", "lines", "bands", "header offset", "file type", "data type", "interleave", "byte order",
    "wavelength", "wavelength units", "fwhm", "band names", "bbl", "data ignore value",
    "reflectance scale factor", "data gain values", "data offset values", "map info",
    "coordinate system string", "projection info", "hsr record", "file compression",
    "major frame offsets", "minor frame offsets",
)  # fmt: skip
UNUSABLE_IN_NAMES = ",{}=;\r\n"


@dataclass(frozen=True)
class EnviFiles:
    """The two files of an ENVI image."""

    header: Path
    data: Path


@dataclass(frozen=True)
class EnviHeader:
    """A header whose sizes have been checked.

    Args:
        path: of the header.
        shape: (H, W, C).
        dtype: of the stored values, with their byte order.
        interleave: bsq, bil or bip.
        offset: bytes before the first value.
        fields: every field, by its name in lower case; lists as lists of text.
    """

    path: Path
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    interleave: str
    offset: int
    fields: Mapping[str, Any] = field(default_factory=dict)

    def text(self, name: str) -> str | None:
        """Return a field as one text, or None."""
        value = self.fields.get(name)
        return ",".join(value) if isinstance(value, list) else value

    def listed(self, name: str) -> list[str] | None:
        """Return a field as a list of text, or None; a comma at the end adds nothing."""
        value = self.fields.get(name)
        words = [value] if isinstance(value, str) else value
        return words[:-1] if words and len(words) > 1 and not str(words[-1]).strip() else words


def find_files(path: Path) -> EnviFiles | None:
    """Return the header and the data that belong together, from either name; None if one is missing."""
    if path.suffix.lower() == ".hdr":
        bare = path.with_suffix("")
        named = [path.with_suffix(form(suffix)) for suffix in DATA_SUFFIXES for form in (str, str.upper)]
        data = next((one for one in (bare, *named) if one.is_file() and one != path), None)
        return None if data is None else EnviFiles(path, data)
    appended = [path.with_name(path.name + suffix) for suffix in (".hdr", ".HDR")]
    replaced = [path.with_suffix(suffix) for suffix in (".hdr", ".HDR")] if path.name else []
    header = next((one for one in (*appended, *replaced) if one.is_file()), None)
    return None if header is None else EnviFiles(header, path)


def namesakes(header: Path) -> list[Path]:
    """Return the files whose names differ from that of a header in the suffix alone."""
    found = (one for one in header.parent.iterdir() if one != header and one.is_file())
    return sorted(one for one in found if header.stem in (one.stem, one.name))


def read_header(path: Path) -> EnviHeader:
    """Read and check a header.

    Raises:
        OSError: not an ENVI header, beyond the limits, a field that is missing or no number, a library of
            spectra, compressed data, complex values.
    """
    from spectral.io.envi import envi_to_dtype

    fields = _parsed(path)
    if "library" in _one(fields, "file type", "").lower():
        raise file_error(path, "is a library of spectra, not an image", "give the header of an image")
    if _one(fields, "file compression", "0").strip() not in ("", "0"):
        raise file_error(path, "its data are compressed", "unpack them and set file compression = 0")
    for name in ("major frame offsets", "minor frame offsets"):
        if any(word.strip(" {}") not in ("", "0") for word in _one(fields, name, "0").split(",")):
            raise file_error(path, f"has {name}, which are not read", "write the image without them")
    shape = tuple(_whole(path, fields, name, lowest=1) for name in ("lines", "samples", "bands"))
    interleave = _one(fields, "interleave", "bsq").strip().lower()
    if interleave not in INTERLEAVES:
        raise file_error(path, f"its interleave is {interleave[:20]!r}", "it must be bsq, bil or bip")
    code, order = _one(fields, "data type", "").strip(), _one(fields, "byte order", "0").strip()
    if code not in envi_to_dtype:
        raise file_error(path, f"its data type is {code[:20]!r}", "it must be 1 to 5 or 12 to 15")
    if order not in ("0", "1"):
        raise file_error(path, f"its byte order is {order[:20]!r}", "it must be 0 or 1")
    dtype = np.dtype(envi_to_dtype[code])
    require_real(path, dtype)
    return EnviHeader(
        path=path,
        shape=(shape[0], shape[1], shape[2]),
        dtype=dtype.newbyteorder(">" if order == "1" else "<"),
        interleave=interleave,
        offset=_whole(path, fields, "header offset", lowest=0, missing=0),
        fields=fields,
    )


def wavelengths_of(
    header: EnviHeader, account: Account | None = None
) -> tuple[NDArray[Any] | None, NDArray[Any] | None]:
    """Return wavelengths and widths in nanometres, each None if the header has none in a unit of length.

    Args:
        header: of the image.
        account: takes down what was used and what was left.
    """
    centres = Listing("wavelength", header.listed("wavelength"), header.text("wavelength units"))
    widths = Listing("fwhm", header.listed("fwhm"))
    return spectral_lists([centres], [widths], header.shape[2], account)


def header_fields(header: CubeHeader, interleave: str, map_fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the header of a cube as fields of ENVI.

    Raises:
        ValueError: a type of number that ENVI has no code for.
    """
    from spectral.io.envi import dtype_to_envi

    dtype, (height, width, num_bands) = np.dtype(header.dtype), header.shape
    code = next(
        (str(n) for char, n in dtype_to_envi.items() if np.dtype(char) == dtype.newbyteorder("=")), ""
    )
    require(
        bool(code),
        "dtype",
        expected="a type that ENVI holds",
        received=dtype,
        remedy="convert with --dtype=float32",
    )
    fields: dict[str, Any] = {
        "samples": width,
        "lines": height,
        "bands": num_bands,
        "header offset": 0,
        "file type": "ENVI Standard",
        "data type": code,
        "interleave": interleave,
        "byte order": 0,
    }
    if header.wavelengths_nm is not None:
        fields["wavelength units"] = "Nanometers"
    lists = (("wavelength", header.wavelengths_nm), ("fwhm", header.fwhm_nm))
    fields |= {name: _texts(values) for name, values in lists if values is not None}
    if header.band_names is not None:
        plain = str.maketrans(dict.fromkeys(UNUSABLE_IN_NAMES, " "))
        fields["band names"] = [name.translate(plain).strip() or "-" for name in header.band_names]
    if header.good_bands is not None:
        fields["bbl"] = [int(good) for good in np.asarray(header.good_bands)]
    fields |= {f"data {name} values": _texts(values) for name, values in header.scale.items()}
    if header.nodata is not None:
        whole = dtype.kind in "ui" and float(header.nodata).is_integer()
        fields["data ignore value"] = int(header.nodata) if whole else repr(float(header.nodata))
    if header.integer_level is not None:
        fields["reflectance scale factor"] = repr(float(header.integer_level))
    fields |= map_fields
    fields["hsr record"] = quote(record_to_text(header), safe=" :[]\"'")
    return fields


def _texts(values: Any) -> list[str]:
    return [repr(float(value)) for value in np.asarray(values).ravel()]


def _parsed(path: Path) -> dict[str, Any]:
    """Read every field with `spectral`, keys in lower case, from UTF-8, UTF-16 or Latin-1."""
    from spectral.io.envi import read_envi_header

    with open(path, "rb") as file:
        raw = file.read(LONGEST_HEADER + 1)
    text = _decoded(raw)
    too_long = len(raw) > LONGEST_HEADER or text.count("\n") + text.count("\r") > MOST_LINES
    if too_long or not text.lstrip().startswith("ENVI"):
        problem = (
            "is too long for an ENVI header" if too_long else "is no ENVI header, its first word is not ENVI"
        )
        raise file_error(path, problem, "give the .hdr file that belongs to the image")
    lines = [line.strip() for line in text.replace("\x00", " ").splitlines()]
    with tempfile.TemporaryFile() as copy, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about keys with capitals, which are lowered
        copy.write("\n".join(line for line in lines if line).encode("utf-8"))
        copy.seek(0)
        try:
            found = read_envi_header(os.dup(copy.fileno()))
        except Exception as error:  # its parser raises several kinds
            problem = (
                f"cannot be read as an ENVI header ({' '.join(str(error).split())[:80] or 'a brace is open'})"
            )
            raise file_error(path, problem, "repair it") from error
    fields = {" ".join(str(name).lower().split()): value for name, value in found.items()}
    fields.pop("", None)  # a line that begins with "=": a value without a name
    return fields


def _decoded(raw: bytes) -> str:
    """Return the text of a header: UTF-16 and UTF-8 with or without a byte order mark, else Latin-1."""
    wide = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"E\x00": "utf-16-le", b"\x00E": "utf-16-be"}
    try:
        return raw.decode(wide.get(raw[:2], "utf-8-sig"))
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _one(fields: Mapping[str, Any], name: str, missing: str) -> str:
    value = fields.get(name, missing)
    return ",".join(value) if isinstance(value, list) else str(value)


def _whole(
    path: Path, fields: Mapping[str, Any], name: str, *, lowest: int, missing: int | None = None
) -> int:
    text = _one(fields, name, "" if missing is None else str(missing)).strip()
    if not (text.isascii() and text.isdigit() and len(text) < 16 and lowest <= int(text)):
        problem = f"its {name} is {text[:30]!r}" if text else f"has no field {name!r}"
        raise file_error(path, problem, f"it must be a whole number of at least {lowest}")
    number = int(text)
    if name != "header offset" and number >= LARGEST_SIDE:
        raise file_error(path, f"its {name} is {number}, beyond any image", "repair it")
    return number
