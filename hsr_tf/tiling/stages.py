"""A fusion method in three stages, each over parts of a scene, and the store that keeps the parts.

A scene in memory is one tile; a scene in files is many. `survey` gathers what the method needs of the whole
scene, `estimate` works on regions with the margin that the method needs around them, and `finish` gives the
estimate of a tile. Each pass of `survey` and `estimate` is a `Stage`; a part of it is kept in a `TileStore`
before the next one begins, so that an interrupted run continues, and several processes share a stage.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsr_tf.tiling.region import Region, TileGrid


@dataclass(frozen=True)
class Stage:
    """One pass over the parts of a scene.

    Attributes:
        name: the field of the store that marks a finished part.
        num_parts: number of parts.
        run: computes one part and saves it.
        conclude: computes once what follows from all parts; None for nothing.
    """

    name: str
    num_parts: int
    run: Callable[[int], None]
    conclude: Callable[[], None] | None = None


class TileStore(ABC):
    """Finished parts by field and number, and plain data by name."""

    @abstractmethod
    def has(self, field: str, index: int) -> bool:
        """Whether this part of a field is finished."""

    @abstractmethod
    def save(self, field: str, index: int, values: NDArray[Any]) -> None:
        """Keep a part of a field."""

    @abstractmethod
    def load(self, field: str, index: int) -> NDArray[Any]:
        """A part of a field; do not change its values."""

    @abstractmethod
    def save_json(self, name: str, data: Mapping[str, Any]) -> None:
        """Keep plain data under a name."""

    @abstractmethod
    def load_json(self, name: str) -> dict[str, Any] | None:
        """The plain data of a name; None where there are none."""

    def shares(self, name: str) -> bool:
        """Whether what is kept under this name is read again by runs on much the same images."""
        del name
        return False

    def read(self, field: str, grid: TileGrid, region: Region, *, sharp: bool = False) -> NDArray[Any]:
        """A region of a field, joined from the tiles that it lies on.

        Args:
            field: one that holds (rows, columns, bands) for every tile of the grid.
            grid: of the tiles.
            region: in coarse pixels.
            sharp: whether the field holds sharp pixels, s x s for a coarse one.
        """
        scale, joined = grid.scale if sharp else 1, None
        for index in grid.overlapping(region):
            tile, values = grid.region(index), self.load(field, index)
            part = tile.intersection(region)
            assert part is not None
            own = values[part.inside(tile).scaled(scale).slices]
            if part == region:
                return own
            if joined is None:
                joined = np.empty((*region.scaled(scale).size, values.shape[-1]), values.dtype)
            joined[part.inside(region).scaled(scale).slices] = own
        assert joined is not None
        return joined


class MemoryStore(TileStore):
    """Parts that are kept in memory, as they are."""

    def __init__(self) -> None:
        self._parts: dict[tuple[str, int], NDArray[Any]] = {}
        self._data: dict[str, dict[str, Any]] = {}

    def has(self, field: str, index: int) -> bool:
        """See `TileStore.has`."""
        return (field, index) in self._parts

    def save(self, field: str, index: int, values: NDArray[Any]) -> None:
        """See `TileStore.save`."""
        self._parts[field, index] = values

    def load(self, field: str, index: int) -> NDArray[Any]:
        """See `TileStore.load`."""
        return self._parts[field, index]

    def save_json(self, name: str, data: Mapping[str, Any]) -> None:
        """See `TileStore.save_json`."""
        self._data[name] = dict(data)

    def load_json(self, name: str) -> dict[str, Any] | None:
        """See `TileStore.load_json`."""
        return self._data.get(name)


class SharedStore(MemoryStore):
    """What several runs on much the same images have in common."""

    def shares(self, name: str) -> bool:
        """See `TileStore.shares`."""
        del name
        return True


class StagedMethod(ABC):
    """A method that is run over the parts of one scene."""

    def survey(self) -> Sequence[Stage]:
        """The passes that gather what the method needs of the whole scene."""
        return ()

    @abstractmethod
    def estimate(self) -> Sequence[Stage]:
        """The passes over regions, with the margins around them that the method needs."""

    @abstractmethod
    def finish(self, index: int) -> NDArray[np.float32]:
        """The estimate (s h, s w, C) of a tile, once all passes are done; may be changed by the caller."""

    def blurred(self) -> NDArray[np.float32] | None:
        """D Z, (h, w, C), of a scene of one tile once it is surveyed; None where it takes the estimate Z."""
        return None

    def details(self) -> dict[str, Any]:
        """Plain values to record with the estimate, once all passes are done."""
        return {}

    def stages(self) -> list[Stage]:
        """All passes in order."""
        return [*self.survey(), *self.estimate()]


def join(method: StagedMethod, grid: TileGrid) -> NDArray[np.float32]:
    """The estimate of the whole scene, (s h, s w, C), from its finished tiles."""
    if len(grid) == 1:
        return method.finish(0)
    joined: NDArray[np.float32] | None = None
    for index in range(len(grid)):
        values = method.finish(index)
        if joined is None:
            joined = np.empty((*grid.whole.scaled(grid.scale).size, values.shape[-1]), values.dtype)
        joined[grid.region(index).scaled(grid.scale).slices] = values
    assert joined is not None
    return joined


def run_stages(stages: Sequence[Stage], *, show: bool = False) -> None:
    """Run every part of these passes here, one after the other.

    Args:
        stages: in order.
        show: draw a progress bar on stderr for each pass of several parts.
    """
    for stage in stages:
        parts: Iterable[int] = range(stage.num_parts)
        if show and stage.num_parts > 1:
            from tqdm import tqdm

            parts = tqdm(parts, stage.name, unit="part")
        for index in parts:
            stage.run(index)
        if stage.conclude is not None:
            stage.conclude()
