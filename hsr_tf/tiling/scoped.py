"""Several methods over the same tiles: a store that keeps their parts apart and shares what all survey."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from hsr_tf.tiling.stages import Stage, TileStore


class ScopedStore(TileStore):
    """A store for one of several methods.

    Args:
        shared: where the fields that all methods survey in the same way are kept.
        fields: names of these fields.
        own: where the other fields are kept; `shared` by default.
        prefix: put before the names of the other fields.
    """

    def __init__(
        self, shared: TileStore, fields: frozenset[str], own: TileStore | None = None, prefix: str = ""
    ) -> None:
        self._shared, self._fields = shared, fields
        self._own, self._prefix = shared if own is None else own, prefix

    def name(self, field: str) -> str:
        """The name of a field in the store that keeps it."""
        return field if field in self._fields else self._prefix + field

    def renamed(self, stage: Stage) -> Stage:
        """A pass over this store under the name that its parts have in the store that keeps them."""
        return replace(stage, name=self.name(stage.name))

    def has(self, field: str, index: int) -> bool:
        """See `TileStore.has`."""
        return self._of(field).has(self.name(field), index)

    def save(self, field: str, index: int, values: NDArray[Any]) -> None:
        """See `TileStore.save`."""
        self._of(field).save(self.name(field), index, values)

    def load(self, field: str, index: int) -> NDArray[Any]:
        """See `TileStore.load`."""
        return self._of(field).load(self.name(field), index)

    def save_json(self, name: str, data: Mapping[str, Any]) -> None:
        """See `TileStore.save_json`."""
        self._of(name).save_json(self.name(name), data)

    def load_json(self, name: str) -> dict[str, Any] | None:
        """See `TileStore.load_json`."""
        return self._of(name).load_json(self.name(name))

    def shares(self, name: str) -> bool:
        """See `TileStore.shares`."""
        return self._of(name).shares(self.name(name))

    def _of(self, field: str) -> TileStore:
        return self._shared if field in self._fields else self._own
