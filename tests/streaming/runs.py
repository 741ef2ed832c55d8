"""Who does the tiles in tests of streaming: a process that dies on the way, and workers without Dask."""

from __future__ import annotations

from collections.abc import Iterator

from hsr_tf.streaming.cluster import run_tile
from hsr_tf.streaming.draft import Draft
from hsr_tf.streaming.streamed import Here
from hsr_tf.tiling.stages import Stage


class DyingAfter(Here):
    """Raises in the middle of a job, as a kill would end it."""

    def __init__(self, tiles: int, error: BaseException) -> None:
        self.left, self.error = tiles, error

    def run(self, draft: Draft, stage: Stage, missing: list[int]) -> Iterator[int]:
        """The numbers of the tiles until the end comes."""
        for index in super().run(draft, stage, missing):
            self.left -= 1
            if self.left < 0:
                raise self.error
            yield index


class AsWorkers(Here):
    """The function that workers run, in this process."""

    def run(self, draft: Draft, stage: Stage, missing: list[int]) -> Iterator[int]:
        """The numbers of the tiles as they are finished."""
        for index in missing:
            yield run_tile(str(draft.folder), stage.name, index)
