"""Unfinished tiles are taken up only by a request for the same result from the same files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hsr_tf import io
from hsr_tf.physics.psf import Psf
from hsr_tf.scene import Scene
from hsr_tf.streaming.files import stamp
from hsr_tf.streaming.pair import opened_pair
from hsr_tf.streaming.request import StreamRequest, fingerprint
from hsr_tf.streaming.streamed import fuse_files


def saved(path: Path, seed: int) -> Path:
    io.save(Scene(np.random.default_rng(seed).random((6, 5, 3), np.float32)), path)
    return path


@pytest.mark.parametrize("named", ["x.img", "x.hdr"])
@pytest.mark.parametrize("changed", ["x.img", "x.hdr"])
def test_both_files_of_an_envi_image_count(tmp_path: Path, named: str, changed: str) -> None:
    saved(tmp_path / "x.img", 0)
    before = stamp(tmp_path / named)
    assert stamp(tmp_path / named) == before
    (tmp_path / changed).write_bytes((tmp_path / changed).read_bytes() + b"\n")
    assert stamp(tmp_path / named) != before


def test_a_mask_beside_a_geotiff_counts(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.tif", 0)
    before = stamp(path)
    path.with_name("x.tif.msk").write_bytes(b"mask")
    assert stamp(path) != before


def test_a_psf_counts_by_its_values(tmp_path: Path) -> None:
    kernel = np.ones((33, 33))
    other = kernel.copy()
    other[16, 16] = 2  # deep within what NumPy's words leave out
    saved(tmp_path / "x.h5", 0)
    io.save(Scene(np.ones((12, 10, 2), np.float32)), tmp_path / "y.h5")
    found = []
    for values in (kernel, other, kernel):
        asked = StreamRequest(
            tmp_path / "x.h5", tmp_path / "y.h5", tmp_path / "z.h5", 10**10, psf=Psf(values / values.sum())
        )
        with opened_pair(asked.lr_hsi, asked.hr_msi, asked.memory_limit) as pair:
            found.append(fingerprint(asked, None, pair))
    assert found[0] == found[2]
    assert found[0] != found[1]


def test_images_that_are_refused_leave_nothing_and_may_be_repaired(tmp_path: Path) -> None:
    lr_hsi, hr_msi = np.ones((6, 5, 3), np.float32), np.ones((12, 10, 2), np.float32)
    lr_hsi[2, 1, 0] = np.inf
    np.savez(tmp_path / "x.npz", cube=lr_hsi)
    io.save(Scene(hr_msi), tmp_path / "y.h5")
    asked = StreamRequest(tmp_path / "x.npz", tmp_path / "y.h5", tmp_path / "z.h5", 10**10, method="bicubic")
    with pytest.raises(ValueError, match="lr_hsi: expected finite values"):
        fuse_files(asked)
    assert {path.name for path in tmp_path.iterdir()} == {"x.npz", "y.h5"}
    lr_hsi[2, 1, 0] = 1
    np.savez(tmp_path / "x.npz", cube=lr_hsi)
    assert fuse_files(asked).kept == 0
