"""Whoever estimates: tiles are the whole, one or several at a time; wrong estimates end the work."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from hsr_tf.pictures.tiles import PictureModel, TileControls, enlarge

COLOUR = np.random.default_rng(4).random((23, 31, 3)).astype(np.float32)


def smoothed(image: np.ndarray) -> np.ndarray:
    """Mean of 3 x 3 pixels, the edge repeated."""
    padded = np.pad(image, [(0, 0), (1, 1), (1, 1), (0, 0)], mode="edge")
    rows = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    return (rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]) / np.float32(9)


def model_of(scale: int | None, num_channels: int) -> PictureModel:
    def run(lr_image: np.ndarray) -> tuple[np.ndarray, None]:
        assert lr_image.dtype == np.float32
        assert lr_image.shape[-1] == num_channels
        found = smoothed(lr_image)
        return (found if scale is None else found.repeat(scale, 1).repeat(scale, 2)), None

    return PictureModel(scale, num_channels, 1, run)


@pytest.mark.parametrize("num_parallel", [1, 3])
@pytest.mark.parametrize(
    ("scale", "own", "num_channels"), [(2, None, 1), (2.5, None, 3), (2.5, 2, 1), (3, 3, 3)]
)
def test_tiles_equal_the_whole(scale: float, own: int | None, num_channels: int, num_parallel: int) -> None:
    model, told = model_of(own, num_channels), []
    whole = enlarge(COLOUR, scale, model=model).image
    controls = TileControls(tile=19, num_parallel=num_parallel, progress=lambda *now: told.append(now))
    found = enlarge(COLOUR, scale, model=model, controls=controls).image
    np.testing.assert_allclose(found, whole, atol=2e-6)
    assert told == [(i + 1, len(told)) for i in range(len(told))]
    assert len(told) > 5


def test_no_more_tiles_than_asked_for_are_in_work() -> None:
    now, most, turn = 0, 0, threading.Lock()

    def run(lr_image: np.ndarray) -> tuple[np.ndarray, None]:
        nonlocal now, most
        with turn:
            now += 1
            most = max(most, now)
        time.sleep(0.01)
        with turn:
            now -= 1
        return lr_image, None

    controls = TileControls(tile=9, num_parallel=3)
    enlarge(COLOUR, 2, model=PictureModel(None, 1, 0, run), controls=controls)
    assert most == 3


def test_an_error_leaves_the_other_tiles_out() -> None:
    calls = []

    def run(lr_image: np.ndarray) -> tuple[np.ndarray, None]:
        calls.append(0)
        if len(calls) == 2:
            raise OSError("gone")
        time.sleep(0.02)
        return lr_image, None

    controls = TileControls(tile=9, num_parallel=2)
    with pytest.raises(OSError, match="gone"):
        enlarge(COLOUR, 2, model=PictureModel(None, 1, 0, run), controls=controls)
    assert len(calls) <= 6


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda image: image[:, 1:], r"estimate: expected the shape \(1, 46, 62, 1\), got \(1, 45, 62, 1\)"),
        (lambda image: image * np.nan, "estimate: expected finite values"),
    ],
)
def test_wrong_estimates_are_refused(wrong, said: str) -> None:
    model = PictureModel(None, 1, 0, lambda image: (wrong(image), None))
    with pytest.raises(ValueError, match=said):
        enlarge(COLOUR, 2, model=model)


def test_at_least_one_tile_is_worked_on() -> None:
    with pytest.raises(ValueError, match="num_parallel: expected a positive whole number, got 0"):
        TileControls(num_parallel=0)
