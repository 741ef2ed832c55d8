"""The progress bar of work that goes tile by tile, where tqdm is there; no framework is needed."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SECONDS_WITHOUT_BAR = 2.0
Progress = Callable[[int, int], None]


@contextmanager
def tile_bar() -> Iterator[Progress]:
    """A bar on stderr once the work has taken two seconds, where that is a terminal and tqdm is there.

    Gives what is called with the number of tiles done and of all of them.
    """
    try:
        from tqdm import tqdm
    except ImportError:
        yield lambda num_done, num_tiles: None
        return
    start = time.monotonic()
    with tqdm(unit="tile", delay=SECONDS_WITHOUT_BAR, disable=not sys.stderr.isatty(), leave=False) as bar:

        def progress(num_done: int, num_tiles: int) -> None:
            bar.total = num_tiles
            bar.update(num_done - bar.n)
            if time.monotonic() - start > SECONDS_WITHOUT_BAR:
                bar.refresh()

        yield progress
