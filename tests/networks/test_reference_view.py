"""What the network of the reference cameras is shown of a pair of others, worked by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hsr_tf.networks.reference_view import CELL, REFERENCE_NM, ReferenceView, covers
from hsr_tf.physics.resize import bicubic_enlarge
from hsr_tf.physics.spectral import load_srf


def test_cells_are_means_and_the_colours_are_those_of_the_reference_camera() -> None:
    rng = np.random.default_rng(0)
    start, enlarged = (rng.random((1, 11, 16, 31), np.float32) for _ in range(2))
    images = {name: np.asarray(image) for name, image in ReferenceView(3).images(start, enlarged).items()}
    assert images["lr_hsi"].shape == (1, 2, 2, 62) and images["hr_msi"].shape == (1, 16, 16, 34)
    np.testing.assert_allclose(images["lr_hsi"][0, 0, 1, :31], start[0, :8, 8:].mean((0, 1)), rtol=1e-5)
    np.testing.assert_allclose(images["lr_hsi"][0, 0, 0, 31:], enlarged[0, :8, :8].mean((0, 1)), rtol=1e-5)
    # The last row is repeated until the cell is full.
    last = np.concatenate([start[0, 8:, :8], start[0, 10:, :8].repeat(5, 0)]).mean((0, 1))
    np.testing.assert_allclose(images["lr_hsi"][0, 1, 0, :31], last, rtol=1e-5)
    response = load_srf("nikon_d700", REFERENCE_NM).matrix
    np.testing.assert_allclose(images["hr_msi"][0, :11, :, :3], start[0] @ response, atol=1e-5)
    np.testing.assert_array_equal(images["hr_msi"][0, :11, :, 3:], start[0])


def test_other_bands_are_interpolated_there_and_back() -> None:
    centres = np.linspace(420.0, 720.0, 25)
    view = ReferenceView.of(4, 25, centres.tolist())
    assert view.enter is not None and view.leave is not None
    line = 0.2 + 0.001 * centres
    inside = REFERENCE_NM >= 420.0
    np.testing.assert_allclose((line @ view.enter)[inside], 0.2 + 0.001 * REFERENCE_NM[inside], rtol=1e-5)
    np.testing.assert_allclose((line @ view.enter)[~inside], line[0], rtol=1e-5)
    back = (0.2 + 0.001 * REFERENCE_NM) @ view.leave
    np.testing.assert_allclose(back[centres <= 700.0], line[centres <= 700.0], rtol=1e-5)
    assert (back[centres > 710.0] == 0).all()
    backwards = ReferenceView.of(4, 25, centres[::-1].tolist())
    assert backwards.enter is not None
    np.testing.assert_array_equal(backwards.enter, view.enter[::-1])


def test_what_the_network_adds_has_the_size_and_the_bands_of_the_start() -> None:
    def network(images: dict[str, Any]) -> dict[str, Any]:
        """The residual of its cell at every pixel."""
        cells = np.asarray(images["lr_hsi"])[..., 31:]
        return {"estimate": cells.repeat(CELL, 1).repeat(CELL, 2)}

    residual = np.random.default_rng(1).random((1, 3, 4, 31), np.float32)
    start = np.zeros((1, 15, 20, 31), np.float32)
    change = np.asarray(ReferenceView(5).change(network, start, residual))
    assert change.shape == start.shape
    enlarged = np.asarray(bicubic_enlarge(residual, 5))
    np.testing.assert_allclose(change[0, 9, 10], enlarged[0, 8:15, 8:16].mean((0, 1)), atol=0.1)


@pytest.mark.parametrize(("scale", "unit"), [(2, 4), (3, 8), (4, 2), (6, 4), (8, 1), (12, 2), (32, 1)])
def test_parts_begin_at_whole_cells(scale: int, unit: int) -> None:
    assert ReferenceView(scale).unit == unit
    assert unit * scale % CELL == 0


@pytest.mark.parametrize(
    ("centres", "covered"),
    [
        (np.linspace(400, 700, 31), True),
        (np.linspace(420, 720, 31), True),
        (np.linspace(700, 400, 31), True),
        (np.linspace(400, 1000, 61), False),  # half of it beyond
        (np.linspace(400, 700, 9), False),  # too few
        (np.r_[np.linspace(400, 500, 16), np.linspace(600, 700, 16)], False),  # a gap
        (np.linspace(500, 800, 31), False),
    ],
)
def test_bands_of_visible_light_are_covered(centres: np.ndarray, covered: bool) -> None:
    assert covers(len(centres), centres.tolist()) is covered
    assert covers(31, None) and not covers(30, None)
