"""Tiles of a picture that overlap as far as a network looks: the tiled result equals the whole one.

Three grids lie over each other along an axis: the network's input of n samples; its estimate, s n samples;
and the output, which may be the estimate resized again. A tile is a part of the output, the part of the
estimate that it is made of, and the window of the input which that part looks at. Windows end at the borders
of the picture and nowhere past them, so that a network meets the border in a tile where it meets it in the
whole. All windows of a plan are of one length: compiled networks are traced once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

from hsr_tf import checks

Place = TypeVar("Place")
Result = TypeVar("Result")


@dataclass(frozen=True)
class AxisTile:
    """One tile along one axis.

    Attributes:
        out: the output samples.
        fine: the samples of the estimate that they are made of.
        window: the input samples that the network is given.
        kept: where `fine` lies in the estimate of `window`.
    """

    out: slice
    fine: slice
    window: slice
    kept: slice


def even_parts(length: int, tile: int) -> list[slice]:
    """0 ... length cut into as few parts of at most `tile` samples as can be, of nearly equal lengths.

    Raises:
        ValueError: for a tile or a length that is not positive.
    """
    for name, value in (("tile", tile), ("length", length)):
        checks.require(
            value >= 1, name, expected="a positive whole number", received=str(value), remedy="give e.g. 512"
        )
    num_parts = -(-length // tile)
    edges = [i * length // num_parts for i in range(num_parts + 1)]
    return [slice(start, stop) for start, stop in pairwise(edges)]


def plan_axis(
    parts: list[slice],
    fine: Callable[[slice], slice],
    *,
    num_samples: int,
    scale: int,
    reach: int,
) -> list[AxisTile]:
    """The tiles along one axis.

    Args:
        parts: of the output, in order.
        fine: the part of the estimate that a part of the output is made of.
        num_samples: n of the network's input.
        scale: s, samples of the estimate an input sample.
        reach: input samples on each side that an estimated sample looks at.
    """
    needed = [fine(part) for part in parts]
    windows = [
        slice(max(part.start // scale - reach, 0), min(-(-part.stop // scale) + reach, num_samples))
        for part in needed
    ]
    length = max(window.stop - window.start for window in windows)
    tiles = []
    for out, part, window in zip(parts, needed, windows, strict=True):
        start = max(0, min(window.start, num_samples - length))
        kept = slice(part.start - scale * start, part.stop - scale * start)
        tiles.append(AxisTile(out, part, slice(start, start + length), kept))
    return tiles


def computed(
    places: Iterable[Place], compute: Callable[[Place], Result], *, num_parallel: int = 1
) -> Iterator[tuple[Place, Result]]:
    """Every place with what `compute` makes of it, in their order.

    With `num_parallel` of 1 this happens in the calling thread, else in so many others, which are ahead of
    what was taken by as many results again. After an error, or when the caller stops, the places that were
    not begun are left out, and those in work are not waited for.
    """
    if num_parallel == 1:
        yield from ((place, compute(place)) for place in places)
        return
    pool = ThreadPoolExecutor(num_parallel)
    waiting: deque[tuple[Place, Future[Result]]] = deque()
    try:
        for place in places:
            if len(waiting) == 2 * num_parallel:
                first, future = waiting.popleft()
                yield first, future.result()
            waiting.append((place, pool.submit(compute, place)))
        while waiting:
            first, future = waiting.popleft()
            yield first, future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
