"""Small networks, saved and exported once for all tests that ask them, whichever process runs those.

The folder is that of the whole run (the workers of pytest-xdist share it), and a model is there whole or not
at all. Nobody changes what lies here: tests that do export models of their own.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import tensorflow as tf

from export.comparison import SavedModel
from export.saved_model import TrainedModel, export_saved_model
from hsr_tf import methods
from hsr_tf.networks.pretrained import save_model
from tests.networks.test_conformance import stirred
from tests.networks.test_image_conformance import built


@dataclass(frozen=True, eq=False)
class ExportedModel:
    """A small network.

    Attributes:
        trained_folder: as a trainer leaves it.
        folder: its export, METHOD/1.
    """

    trained_folder: Path
    folder: Path

    @cached_property
    def trained(self) -> TrainedModel:
        """As it is used by Keras."""
        return TrainedModel.load(self.trained_folder)

    @cached_property
    def signatures(self) -> Any:
        """What the export answers."""
        return self._loaded.signatures

    @cached_property
    def saved(self) -> SavedModel:
        """The export as converters read it."""
        return SavedModel.load(self.folder)

    @cached_property
    def _loaded(self) -> Any:
        return tf.saved_model.load(str(self.folder))


class Exports:
    """All of them.

    Args:
        root: a folder that the processes of this run share.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._known: dict[tuple[str, str], ExportedModel] = {}

    def get(self, method: str, base: str = "none") -> ExportedModel:
        """The small network of this method (for fusion: of scale 4, over this base)."""
        if (method, base) not in self._known:
            place = self.root / f"{method}_{base}"
            if not place.exists():
                self._make(place, method, base)
            self._known[method, base] = ExportedModel(place / "trained", place / method / "1")
        return self._known[method, base]

    def _make(self, place: Path, method: str, base: str) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        model = built(method) if method in methods.names("image_network") else stirred(method, base)
        draft = Path(tempfile.mkdtemp(dir=self.root, prefix="."))
        trained = TrainedModel.load(save_model(model, draft / "trained", {"scores": {"psnr": 31.5}}))
        export_saved_model(trained, draft / method / "1")
        try:
            draft.rename(place)
        except OSError:
            assert place.exists()  # Another process was first.
