"""The two images of a job on common ground: nothing is cropped or resampled but the parts that are read.

How they are brought together follows from their grids alone (`hsr_tf.fusion.alignment`), so that every
process of a job sees the same images. A part that is resampled is what the whole scene has there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hsr_tf.fusion.alignment import UNPLACED, Fitting, pair_by_grids, paired_by_size, registered_steps
from hsr_tf.geo.georeference import Georeference
from hsr_tf.io.header import CubeHeader
from hsr_tf.io.pair_reading import PairReading, open_pair
from hsr_tf.registration.resampling import Nesting
from hsr_tf.registration.sampling import Source, sampled
from hsr_tf.registration.transform import Transform
from hsr_tf.scene import scale_between
from hsr_tf.streaming.files import Cube, Image, Mask
from hsr_tf.streaming.memory import SPARE_BYTES, resident_bytes
from hsr_tf.tiling.memory import GIB
from hsr_tf.tiling.region import Region


@dataclass(frozen=True, eq=False)
class Pair:
    """Two open images on grids that nest.

    Attributes:
        lr_hsi: X, (h, w, C).
        hr_msi: Y, (s h, s w, c).
        scale: s.
        stored: what the files of X and Y tell, before anything is done to them.
        lines: how they were brought together, one line each.
        guesses: what was guessed of their values, and what was left of their files, one line each.
        nesting: how Y is brought under the pixels of X by a transform, or None.
        hr_file: Y on its own pixels, None without a transform.
        digests: return what tells whether the files of X and Y are the same as before, where they are none of
            this machine; None for others.
    """

    lr_hsi: Image
    hr_msi: Image
    scale: int
    stored: tuple[CubeHeader, CubeHeader]
    lines: tuple[str, ...]
    guesses: tuple[str, ...] = ()
    nesting: Nesting | None = None
    hr_file: Image | None = None
    digests: tuple[Callable[[], str] | None, ...] = (None, None)

    @property
    def headers(self) -> tuple[CubeHeader, CubeHeader]:
        """What is known of X and Y on the common ground."""
        return self.lr_hsi.header, self.hr_msi.header

    @property
    def size(self) -> tuple[int, int]:
        """(h, w)."""
        return self.lr_hsi.header.shape[:2]


class FittedParts:
    """An image brought onto the common ground as its parts are read.

    Args:
        image: as its file has it.
        fitting: what is done to it.
    """

    def __init__(self, image: Image, fitting: Fitting) -> None:
        self._image, self._fitting = image, fitting
        self.shape = (*fitting.size, image.header.shape[2])
        model = fitting.sensor_model(image.header)
        self.header = replace(image.header, shape=self.shape, georeference=fitting.grid, sensor_model=model)

    def read(self, rows: slice, cols: slice) -> Cube:
        """The values of a part, (h, w, C); 0 where there is no data."""
        return self.read_with_mask(rows, cols)[0]

    def read_with_mask(self, rows: slice, cols: slice) -> tuple[Cube, Mask | None]:
        """The values of a part, and where it holds no data, (h, w), or None for nowhere.

        Raises:
            ValueError: NaN or infinity in a pixel of the file that holds data; a part that lies on pixels of
                the file too far apart to be held.
        """
        onto, place = self._fitting.reprojection, Region.of(rows, cols)
        if onto is None:
            return self._kept(place)
        seen = onto.seen(rows, cols, name=self._image.name)
        if seen is None:
            return np.zeros((*place.size, self.shape[2]), np.float32), np.ones(place.size, bool)
        held = Region.of(*seen)
        cube, mask = self._kept(held)

        def part(rows: slice, cols: slice) -> tuple[Cube, Mask | None]:
            inner = Region.of(rows, cols).inside(held).slices
            return cube[inner], None if mask is None else mask[inner]

        return onto.window(part, rows, cols, num_bands=self.shape[2])

    def _kept(self, place: Region) -> tuple[Cube, Mask | None]:
        """A part of the image once it is turned round and cropped."""
        fitting, sides = self._fitting, []
        for axis, (part, kept) in enumerate(((place.rows, fitting.rows), (place.columns, fitting.cols))):
            first, last = part.start + kept.start, part.stop + kept.start
            length = self._image.header.shape[axis]
            sides.append(slice(length - last, length - first) if axis in fitting.axes else slice(first, last))
        cube, mask = self._image.with_mask(*sides)
        return np.flip(cube, fitting.axes), None if mask is None else np.flip(mask, fitting.axes)


class NestedParts:
    """The sharp image on the cells of coarse pixels, as its parts are read.

    Args:
        image: as its file has it.
        nesting: says where the cells lie.
    """

    def __init__(self, image: Image, nesting: Nesting) -> None:
        self._image, self._nesting = Image(image.name, image.reader, holes=True), nesting
        self.shape = (*nesting.size, image.header.shape[2])
        self.header = replace(image.header, shape=self.shape, georeference=None, sensor_model=None)

    def read(self, rows: slice, cols: slice) -> Cube:
        """See `FittedParts.read`."""
        return self.read_with_mask(rows, cols)[0]

    def read_with_mask(self, rows: slice, cols: slice) -> tuple[Cube, Mask | None]:
        """See `FittedParts.read_with_mask`."""
        nesting = self._nesting
        return sampled(
            image_source(self._image), Region.of(rows, cols), nesting.to_sharp, order=nesting.order
        )


def image_source(image: Image) -> Source:
    """Where samples of an image come from."""
    height, width, num_bands = image.reader.shape

    def read(region: Region) -> tuple[Cube, Mask | None]:
        cube, mask = image.with_mask(*region.slices)
        return (cube, None) if mask is None else (image.filled(*region.slices), mask)

    return Source((height, width), num_bands, read)


@contextmanager
def opened_pair(
    lr_hsi: Path,
    hr_msi: Path,
    memory_limit: int,
    reading: PairReading | None = None,
    transform: Transform | None = None,
) -> Iterator[Pair]:
    """Two files open for reading parts of them, on common ground.

    Args:
        lr_hsi, hr_msi: files of X and Y.
        memory_limit: bytes that the process stays below; files that can only be read at once are held in it.
        reading: white levels and wavelengths that the caller gives.
        transform: from the pixels of X to those of Y; None to pair them by their grids or sizes.

    Raises:
        OSError: files that are missing, damaged or too large to be held.
        ValueError: as `paired`.
    """
    with open_pair(lr_hsi, hr_msi, reading, max_gib=lambda: room_gib(memory_limit)) as opened:
        images = Image("lr_hsi", opened.lr_hsi), Image("hr_msi", opened.hr_msi)
        said = tuple(finding.line for finding in opened.findings)
        remotes = [reader.source.remote for reader in (opened.lr_hsi, opened.hr_msi)]
        digests = tuple(None if one is None else one.digest for one in remotes)
        yield replace(paired(*images, transform), guesses=(*opened.guesses, *said), digests=digests)


def paired(lr_hsi: Image, hr_msi: Image, transform: Transform | None = None) -> Pair:
    """Two images by a transform, else by their grids where both have one, else by their sizes.

    Raises:
        ValueError: as `hsr_tf.fusion.alignment.align`; sizes that do not divide.
    """
    stored = lr_hsi.header, hr_msi.header
    if transform is not None:
        return _nested(lr_hsi, hr_msi, transform.fits(stored[0].shape[:2], stored[1].shape[:2]))
    pairing = pair_by_grids(*stored)
    if pairing is None:
        scale = scale_between(stored[0].shape, stored[1].shape)
        steps = paired_by_size(*stored)
        return Pair(lr_hsi, hr_msi, scale, stored, tuple(step.line for step in steps))
    images = _fitted(lr_hsi, pairing.lr_hsi), _fitted(hr_msi, pairing.hr_msi)
    return Pair(*images, pairing.scale, stored, tuple(step.line for step in pairing.steps))


def _nested(lr_hsi: Image, hr_msi: Image, transform: Transform) -> Pair:
    nesting, stored = Nesting(transform), (lr_hsi.header, hr_msi.header)
    rows, cols = nesting.coarse
    grid = stored[0].cropped(rows, cols).georeference or Georeference(UNPLACED)
    kept = Fitting((), rows, cols, grid, Region.of(rows, cols).size)
    return Pair(
        _fitted(lr_hsi, kept),
        Image(hr_msi.name, NestedParts(hr_msi, nesting)),
        nesting.scale,
        stored,
        tuple(step.line for step in registered_steps(nesting, *stored)),
        nesting=nesting,
        hr_file=Image(hr_msi.name, hr_msi.reader, holes=True),
    )


def room_gib(memory_limit: int) -> float:
    """GiB that a limit leaves for a file that is held, beside what the process holds already."""
    return max(0, memory_limit - resident_bytes() - SPARE_BYTES) / GIB


def _fitted(image: Image, fitting: Fitting) -> Image:
    return Image(image.name, FittedParts(image, fitting)) if fitting.changes(image.header) else image
