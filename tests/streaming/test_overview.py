"""A pair that no memory holds is registered on means over its pixels, as it is in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hsr_tf import io
from hsr_tf.findings import ERROR, OK
from hsr_tf.geo.georeference import Georeference
from hsr_tf.scene import Scene
from hsr_tf.streaming import overview as module
from hsr_tf.streaming.overview import overview
from hsr_tf.streaming.request import StreamRequest
from tests.registered_for_tests import PlacedPair, placed_pair, similarity

GIB = 2**30


def request_of(folder: Path, lr_hsi: Scene, hr_msi: Scene) -> StreamRequest:
    io.save(lr_hsi, folder / "x.h5")
    io.save(hr_msi, folder / "y.h5")
    return StreamRequest(folder / "x.h5", folder / "y.h5", folder / "z.h5", 64 * GIB, register=True)


def askew(degrees: float) -> PlacedPair:
    return placed_pair(similarity(degrees, 4.0, (2.0, -1.0), sizes=(32, 128)), side=32, snr_db=40)


@pytest.mark.parametrize(("most", "precision"), [pytest.param(128, 0.1, marks=pytest.mark.slow), (16, 0.5)])
def test_the_transform_is_found_on_means_as_on_pixels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int, precision: float
) -> None:
    monkeypatch.setattr(module, "LARGEST_COARSE", most)
    monkeypatch.setattr(module, "MOST_ROWS", 20)
    pair = askew(2.0)
    found = overview(request_of(tmp_path, pair.lr_hsi, pair.hr_msi))
    assert found.transform is not None and found.finding is not None
    assert (found.transform.lr_size, found.transform.hr_size) == ((32, 32), (128, 128))
    assert pair.error(found.transform.matrix) < precision


def test_pairs_that_match_as_they_are_stay_so_and_another_place_is_an_error(tmp_path: Path) -> None:
    pair = placed_pair(similarity(0.0, 4.0, (0.0, 0.0), sizes=(16, 64)), side=16, sharp_side=64)
    found = overview(request_of(tmp_path, pair.lr_hsi, pair.hr_msi))
    assert found.transform is None
    assert found.finding is not None and found.finding.severity == OK
    noise = Scene(np.random.default_rng(0).random((64, 64, 3), np.float32))
    refused = overview(request_of(tmp_path, pair.lr_hsi, noise))
    assert refused.transform is None
    assert refused.finding is not None and refused.finding.severity == ERROR


def test_images_on_grids_are_paired_by_these(tmp_path: Path) -> None:
    grids = [Georeference((size, 0, 5e5, 0, -size, 4.6e6), "EPSG:32632") for size in (4.0, 1.0)]
    images = [Scene(np.ones((n, n, 2)), georeference=grid) for n, grid in zip((8, 32), grids, strict=True)]
    assert overview(request_of(tmp_path, *images)).finding is None
