"""Tiles that overlap by the receptive field of a network, so that the tiled result equals the whole one.

Three grids lie over each other: the network's input; its estimate, which is finer by a whole factor; and the
output, which may be the estimate resized again. A tile is a region of the output, and the window of the input
that this region depends on. Windows end at the borders of the image, so that a network meets the border in a
tile as it does in the whole. All windows of a plan have the same size: compiled networks are traced once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from typing import TypeVar

from hsr_tf.tiling.region import Region
from hsr_tf.typing import Size

Item = TypeVar("Item")
Result = TypeVar("Result")
Source = Callable[[slice], slice]
_Axis = tuple[slice, slice, slice]


def same_samples(part: slice) -> slice:
    """The source of an output that is the estimate itself."""
    return part


@dataclass(frozen=True)
class Tile:
    """One tile of an image.

    Attributes:
        out: the pixels of the output.
        window: the pixels of the input that the network is given.
        kept: where the estimate that `out` is made of lies in the estimate of `window`.
    """

    out: Region
    window: Region
    kept: Region

    def scaled(self, scale: int) -> Tile:
        """The same ground on a grid of `scale` times as many rows and columns."""
        return Tile(self.out.scaled(scale), self.window.scaled(scale), self.kept.scaled(scale))


def plan_tiles(
    size: Size,
    parts: Iterable[list[slice]],
    *,
    scale: int,
    margin: int,
    sources: tuple[Source, Source] = (same_samples, same_samples),
) -> list[Tile]:
    """The tiles of an image, row by row.

    Args:
        size: rows and columns of the network's input.
        parts: of the rows and of the columns of the output, in order.
        scale: estimated samples per input sample along one side.
        margin: input samples on each side that an estimated sample depends on.
        sources: for both axes, the part of the estimate that a part of the output is made of.
    """
    rows, columns = (
        _axis_tiles(length, cuts, source, scale=scale, margin=margin)
        for length, cuts, source in zip(size, parts, sources, strict=True)
    )
    return [Tile(*map(Region.of, row, column)) for row, column in product(rows, columns)]


def _axis_tiles(length: int, parts: list[slice], source: Source, *, scale: int, margin: int) -> list[_Axis]:
    """Output, window and kept samples of the tiles along one axis."""
    needed = [source(part) for part in parts]
    starts = [max(part.start // scale - margin, 0) for part in needed]
    stops = [min(-(-part.stop // scale) + margin, length) for part in needed]
    longest = max(stop - start for start, stop in zip(starts, stops, strict=True))
    tiles = []
    for out, part, first in zip(parts, needed, starts, strict=True):
        start = max(0, min(first, length - longest))
        kept = slice(part.start - scale * start, part.stop - scale * start)
        tiles.append((out, slice(start, start + longest), kept))
    return tiles


def map_ordered(
    items: Iterable[Item], compute: Callable[[Item], Result], *, num_parallel: int = 1
) -> Iterator[tuple[Item, Result]]:
    """Every item with what `compute` returns for it, in their order.

    With `num_parallel` of 1 this happens in the calling thread. Otherwise that many threads work, at most as
    many results again ahead of the caller. After an error, or when the caller stops, items that were not
    begun are left out, and those in work are not waited for.
    """
    if num_parallel == 1:
        yield from ((item, compute(item)) for item in items)
        return
    pool = ThreadPoolExecutor(num_parallel)
    waiting: deque[tuple[Item, Future[Result]]] = deque()
    try:
        for item in items:
            if len(waiting) == 2 * num_parallel:
                first, future = waiting.popleft()
                yield first, future.result()
            waiting.append((item, pool.submit(compute, item)))
        while waiting:
            first, future = waiting.popleft()
            yield first, future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
