"""What a file format defines: one class per format, which `hsr_tf.io.formats` lists.

Subclass `PartsFormat` for a format that is written part by part, `WholeFormat` for one that is written at
once, `PictureFormat` for one that holds pictures of 1 or 3 bands, and `Format` for one that is only read.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hsr_tf.checks import require
from hsr_tf.io.header import CubeHeader
from hsr_tf.io.source import EVERYTHING, BandSource, ReadRequest
from hsr_tf.io.stream import CubeWriter, PartsWriter
from hsr_tf.scene import Scene

ROWS_AT_ONCE = 256
# What may be known of a cube beside its values, in words.
FIELD_WORDS = {
    "scale": "the scale of the stored values",
    "wavelengths_nm": "wavelengths",
    "fwhm_nm": "widths of bands (FWHM)",
    "band_names": "names of bands",
    "good_bands": "the bad-band list",
    "nodata": "the nodata value",
    "georeference": "the map grid",
    "sensor_model": "ground control points and rational polynomials (GCP, RPC)",
    "metadata": "other metadata",
}


@dataclass(frozen=True)
class WriteOptions:
    """Options of single formats; a format takes those that it names in `PartsFormat.options`.

    Args:
        interleave: "bsq", "bil" or "bip"; None for the default of the format.
        cog: write a cloud-optimised file.
    """

    interleave: str | None = None
    cog: bool = False

    @property
    def given(self) -> tuple[str, ...]:
        """Names of the options that are not left at their defaults."""
        return tuple(one.name for one in fields(self) if getattr(self, one.name) != one.default)


class Format(ABC):
    """A file format that is read.

    Attributes:
        name: what users call it, e.g. "ENVI".
        suffixes: of its files, in lower case, each with its dot.
        reads, writes: what is read and written, in a few words, for the table of formats.
        reads_parts: whether parts are read without reading the whole file.
        is_folder: whether an image is a folder.
        holds_cubes: whether its files are cubes rather than pictures; folders of scenes list cubes alone.
    """

    name: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]] = ()
    reads: ClassVar[str]
    writes: ClassVar[str] = "no"
    reads_parts: ClassVar[bool] = True
    is_folder: ClassVar[bool] = False
    holds_cubes: ClassVar[bool] = True

    def recognises(self, path: Path) -> bool:
        """Return whether an existing file or folder is of this format: by its suffix, unless overridden."""
        return path.is_file() and path.suffix.lower() in self.suffixes

    def files(self, path: Path) -> tuple[Path, ...]:
        """Return the files of an image, the one to name first; empty if one of them is missing."""
        return (path,)

    @abstractmethod
    def open(self, path: Path, request: ReadRequest) -> AbstractContextManager[BandSource]:
        """Open a file that exists and is not empty.

        Raises:
            OSError: it is damaged, or holds no cube or several.
            ValueError: an option of the request that means nothing here.
        """


class WritableFormat(Format):
    """A format that scenes are saved in.

    Attributes:
        keeps: the fields of `FIELD_WORDS` that it has a place for.
    """

    keeps: ClassVar[frozenset[str]] = frozenset(FIELD_WORDS)

    @abstractmethod
    def save(self, scene: Scene, path: Path) -> None:
        """Write a scene; the file appears whole or not at all.

        Raises:
            OSError: the disk is full or the place cannot be written; an older file stays as it was.
            ValueError: something that the format cannot hold.
        """

    def require_target(self, path: Path) -> None:
        """Refuse a name that cannot be written, before work is put into it.

        Raises:
            OSError: a folder in the way that is not of this format.
        """


class PictureFormat(WritableFormat):
    """A format of pictures with 16 bits, whose values are clipped to [0, 1]."""

    keeps = frozenset()


class WholeFormat(WritableFormat):
    """A format that is written at once, from a cube in memory."""

    @abstractmethod
    def write(self, path: Path, header: CubeHeader, cube: NDArray[Any]) -> None:
        """Write stored values (H, W, C) of any type; errors as in `save`."""

    def save(self, scene: Scene, path: Path) -> None:
        self.write(path, CubeHeader.of(scene), scene.cube)


class PartsFormat(WritableFormat):
    """A format that is written part by part, in any order.

    Attributes:
        options: names of the fields of `WriteOptions` that it takes.
        keeps_mask: whether it stores a mask beside the values; else masked pixels get the nodata value.
    """

    options: ClassVar[tuple[str, ...]] = ()
    keeps_mask: ClassVar[bool] = True

    @abstractmethod
    def new(
        self, path: Path, header: CubeHeader, options: WriteOptions
    ) -> AbstractContextManager[CubeWriter]:
        """Create a file; without `keeps_mask` the header has no mask. Errors as in `create`."""

    @contextmanager
    def create(
        self, path: Path, header: CubeHeader, options: WriteOptions | None = None
    ) -> Iterator[CubeWriter]:
        """Create a file that appears when the block ends without error.

        Where the format keeps no mask, masked pixels get the nodata value, or NaN without one.

        Raises:
            OSError: the disk is full or the place cannot be written; an older file stays as it was.
            ValueError: what the format cannot hold; integers with a mask and no nodata value of their type.
        """
        options = options or WriteOptions()
        if self.keeps_mask or header.nodata_mask is None:
            with self.new(path, header, options) as writer:
                yield writer
            return
        hole, dtype = header.storable_nodata, np.dtype(header.dtype)
        if hole is None and dtype.kind == "f":
            hole = np.nan
        require(
            hole is not None,
            "nodata",
            expected=f"a value for the pixels without data that {dtype.name} can hold",
            received=str(header.nodata),
            remedy="give one that no pixel holds, or write .h5, .nc, .zarr or .npz, which keep a mask",
        )
        with self.new(path, replace(header, nodata=hole, nodata_mask=None), options) as writer:
            mask = np.asarray(header.nodata_mask).astype(bool)

            def write(rows: slice, cols: slice, values: NDArray[Any]) -> None:
                if mask[rows, cols].any():
                    values = values.copy()
                    values[mask[rows, cols]] = hole
                writer.write(rows, cols, values)

            yield PartsWriter(write)

    def save(self, scene: Scene, path: Path) -> None:
        with self.create(path, CubeHeader.of(scene)) as writer:
            for top in range(0, scene.shape[0], ROWS_AT_ONCE):
                rows = slice(top, min(top + ROWS_AT_ONCE, scene.shape[0]))
                writer.write(rows, EVERYTHING, scene.cube[rows])
