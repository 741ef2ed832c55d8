"""Raw counts to reflectance, by images of a white and a dark reference as Specim and Headwall store them.

    reflectance = (raw - dark) / (white - dark) * t_white / t_raw

per column and band, where white and dark are means over the lines of their images, and t the integration
times that the headers state (1 where one of the two states none). The references lie beside the raw image:
Specim's `WHITEREF_NAME` and `DARKREF_NAME`, Headwall's `whiteReference` and `darkReference` beside `raw`.
Reflectance is relative to the white panel. Columns in which white is not brighter than dark hold no data.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsr_tf.checks import file_error
from hsr_tf.findings import WARNING
from hsr_tf.io.account import Account
from hsr_tf.io.nanometres import number_or_nan
from hsr_tf.io.source import BandSource, References

SPECIM = ("WHITEREF_{}", "DARKREF_{}")
HEADWALL = ("whiteReference", "darkReference")
TIMES = ("tint", "integration time", "exposure time", "exposure")
ROWS_AT_ONCE = 256


def found_references(path: Path, given: References) -> tuple[Path, Path]:
    """Return the files of the white and the dark reference of a raw image.

    Raises:
        OSError: one is neither given nor beside the image.
    """
    found = []
    for name, one, specim, headwall in zip(
        ("white", "dark"), (given.white, given.dark), SPECIM, HEADWALL, strict=True
    ):
        names = (specim.format(path.stem), headwall)
        beside = (path.with_name(f"{stem}{suffix}") for stem in names for suffix in (".hdr", ".HDR"))
        beside = (header for header in beside if header.is_file())
        chosen = next(beside, None) if one is None else one
        if chosen is None:
            problem = f"has no {name} reference beside it ({names[0]} or {names[1]})"
            raise file_error(path, problem, f"give --{name}_reference=FILE")
        found.append(chosen)
    return found[0], found[1]


def in_reflectance(source: BandSource, white: BandSource, dark: BandSource) -> BandSource:
    """Return a raw image in reflectance.

    Args:
        source: the raw image, (H, W, C).
        white, dark: images of the references, of W columns and C bands and any number of lines.

    Raises:
        OSError: references of another size, or a white one that is nowhere brighter than the dark one.
    """
    for one in (white, dark):
        if one.shape[1:] != source.shape[1:]:
            sizes = [f"{shape[1]} columns and {shape[2]} bands" for shape in (one.shape, source.shape)]
            raise file_error(one.path, f"has {sizes[0]}, the image {sizes[1]}", "give its own references")
    level, black = _mean_line(white), _mean_line(dark)
    usable = level > black
    if not usable.any():
        raise file_error(white.path, "is nowhere brighter than the dark reference", "exchange the two files")
    times = [_time(one) for one in (source, white)]
    ratio = 1.0 if times[0] is None or times[1] is None else times[1] / times[0]
    factor = np.divide(ratio, level - black, out=np.full(level.shape, np.nan), where=usable)

    def read(bands: slice, rows: slice, cols: slice) -> NDArray[Any]:
        raw = source.read(bands, rows, cols)
        found = (raw - black[bands, None, cols]) * factor[bands, None, cols]
        return np.asarray(found, np.float32)

    account = Account.of(source.header)
    account.use(white.path.name, dark.path.name)
    account.take(f"reflectance by {white.path.name} and {dark.path.name}, {_time_words(times)}")
    if not usable.all():
        said = f"{int((~usable).any(0).sum())} columns hold no data: white is not brighter than dark there"
        account.take(said, severity=WARNING)
    header = replace(
        source.header.unscaled(),
        dtype=np.dtype(np.float32),
        nodata=float("nan"),
        used=account.used,
        findings=account.findings,
    )
    return replace(source, header=header, read=read)


def _mean_line(source: BandSource) -> NDArray[np.float64]:
    """(C, W) mean over the lines of a reference."""
    height, width, num_bands = source.shape
    total = np.zeros((num_bands, width))
    for top in range(0, height, ROWS_AT_ONCE):
        rows = slice(top, min(top + ROWS_AT_ONCE, height))
        total += source.read(slice(0, num_bands), rows, slice(0, width)).sum(1, dtype=np.float64)
    return total / height


def _time(source: BandSource) -> float | None:
    """Return the integration time that a header states, or None."""
    low = {str(name).lower(): value for name, value in source.header.metadata.items()}
    found = (number_or_nan(low.get(name)) for name in TIMES)
    return next((time for time in found if time is not None and time > 0), None)


def _time_words(times: list[float | None]) -> str:
    if times[0] is None or times[1] is None:
        return "integration times are not stated and taken as equal"
    return f"integration times {times[0]:g} (image) and {times[1]:g} (white)"
