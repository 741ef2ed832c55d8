"""Chunks that are packed by threads are those that HDF5 packs."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from hsr_tf.io import CubeHeader, create_cube, load
from hsr_tf.io import hdf5_tiles as tiles

SHAPE = (150, 201, 3)  # neither is a multiple of the 64 pixels of a chunk
ROWS = (slice(0, 64), slice(64, 128), slice(128, 150))
COLS = (slice(0, 128), slice(128, 201))


def written(path: Path, values: np.ndarray, parts: list[tuple[slice, slice]]) -> bytes:
    with create_cube(path, CubeHeader(shape=values.shape, dtype=values.dtype)) as writer:
        for rows, cols in parts:
            writer.write(rows, cols, values[rows, cols])
    return path.read_bytes()


@pytest.mark.parametrize("dtype", ["f4", "u2", "u1", ">f4"])
def test_h5py_reads_what_was_written(dtype: str, tmp_path: Path) -> None:
    values = (200 * np.random.default_rng(0).random(SHAPE)).astype(dtype)
    written(tmp_path / "a.h5", values, [(r, c) for r in ROWS for c in COLS])
    with h5py.File(tmp_path / "a.h5") as file:
        np.testing.assert_array_equal(np.moveaxis(file["cube"][...], 0, -1), values)
        assert file["cube"].compression == "gzip"
        assert file["cube"].shuffle


def test_parts_within_chunks_are_joined(tmp_path: Path) -> None:
    values = np.random.default_rng(1).random(SHAPE, np.float32)
    parts = [(slice(0, 10), slice(0, 201)), (slice(10, 150), slice(0, 64)), (slice(10, 150), slice(64, 201))]
    written(tmp_path / "a.h5", values, parts)
    np.testing.assert_array_equal(load(tmp_path / "a.h5").cube, values)


def test_the_file_does_not_depend_on_the_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(2).random(SHAPE, np.float32)
    parts = [(r, c) for r in ROWS for c in COLS]
    (tmp_path / "several").mkdir()
    (tmp_path / "one").mkdir()
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    several = written(tmp_path / "several" / "a.h5", values, parts)
    monkeypatch.setattr(tiles, "MOST_THREADS", 1)
    assert written(tmp_path / "one" / "a.h5", values, parts) == several


def test_a_thousand_chunks_are_written_without_a_race(tmp_path: Path) -> None:
    """HDF5 answers with random errors where a thread asks it for anything while another one writes."""
    values = np.random.default_rng(3).random((512, 512, 2), np.float32)
    with create_cube(tmp_path / "a.h5", CubeHeader(shape=(2048, 2048, 2))) as writer:
        for row in range(0, 2048, 512):
            for col in range(0, 2048, 512):
                writer.write(slice(row, row + 512), slice(col, col + 512), values)
    with h5py.File(tmp_path / "a.h5") as file:
        found = file["cube"][:, 1536:, 512:1024]
    np.testing.assert_array_equal(np.moveaxis(found, 0, -1), values)


def test_slices_without_ends_are_the_whole(tmp_path: Path) -> None:
    values = np.random.default_rng(4).random(SHAPE, np.float32)
    with create_cube(tmp_path / "a.h5", CubeHeader(shape=SHAPE)) as writer:
        writer.write(slice(None), slice(None), values)
    np.testing.assert_array_equal(load(tmp_path / "a.h5").cube, values)


@pytest.mark.parametrize("shape", [(50, 64, 3), (64, 64, 1), (64, 70, 3)])
def test_values_of_another_size_are_refused(shape: tuple[int, ...], tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match=r"values: expected \(64, 64, 3\)"),
        create_cube(tmp_path / "a.h5", CubeHeader(shape=SHAPE)) as writer,
    ):
        writer.write(slice(0, 64), slice(0, 64), np.ones(shape, np.float32))
    assert not (tmp_path / "a.h5").exists()
