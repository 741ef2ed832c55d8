"""Every format that is written behaves as all do, and a format that does not is found out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hsr_tf.io import conformance, formats
from hsr_tf.io.format import WritableFormat
from hsr_tf.io.header import CubeHeader
from hsr_tf.io.npz import Npz
from hsr_tf.io.source import BandSource, ReadRequest

WRITTEN = [one for one in formats.formats() if isinstance(one, WritableFormat)]


@pytest.mark.parametrize("one", WRITTEN, ids=lambda one: one.name)
def test_every_written_format_keeps_its_promises(one: WritableFormat) -> None:
    assert conformance.broken_promises(one) == []


class Careless(Npz):
    """Loses the mask, lets damage through as it comes, and halves the values."""

    @contextmanager
    def open(self, path: Path, request: ReadRequest) -> Iterator[BandSource]:
        np.load(path)
        with super().open(path, request) as source:
            yield BandSource(path, self.name, CubeHeader(shape=source.shape), source.read)

    def write(self, path: Path, header: CubeHeader, cube: np.ndarray[Any, Any]) -> None:
        super().write(path, header, cube / 2)


def test_a_careless_format_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    careless = Careless()
    others = [one for one in formats.formats() if one.name != careless.name]
    monkeypatch.setattr(formats, "formats", lambda: (careless, *others))
    broken = "\n".join(conformance.broken_promises(careless))
    for words in ("a saved scene differs", "pixels without data do not come back", "not by a FileError"):
        assert words in broken
