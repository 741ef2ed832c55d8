"""A library call leaves the hooks and the stderr of its process alone; a command rules its own."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

import hsr_tf
from hsr_tf import process
from hsr_tf.io import gdal_calls


def _hooks() -> tuple[object, ...]:
    return sys.excepthook, sys.unraisablehook, os.fstat(2).st_ino


def test_a_library_call_replaces_no_hook_and_no_descriptor(tmp_path: Path) -> None:
    before = _hooks()
    with gdal_calls.gdal_options(), gdal_calls.one_line_errors(tmp_path):
        assert _hooks() == before
    assert _hooks() == before


def test_a_command_replaces_them_for_the_length_of_a_call(tmp_path: Path) -> None:
    before = _hooks()
    with process.command():
        with gdal_calls.gdal_options(), gdal_calls.one_line_errors(tmp_path):
            assert all(now != then for now, then in zip(_hooks(), before, strict=True))
        assert process.is_command()
    assert _hooks() == before and not process.is_command()


def test_reading_and_writing_a_geotiff_opens_no_other_stderr(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise AssertionError("dup2")

    scene = hsr_tf.Scene(np.full((8, 9, 5), 0.5, np.float32))
    with monkeypatch.context() as patch:
        patch.setattr(os, "dup2", refused)
        hsr_tf.save(scene, tmp_path / "a.tif")
        assert hsr_tf.load(tmp_path / "a.tif").shape == (8, 9, 5)
