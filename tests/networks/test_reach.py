"""Tiles of fusion models: with the margin that a model names, a part of a scene is that part of the whole."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hsr_tf.closed_forms.consistency import DataConsistency
from hsr_tf.networks.fusion_model import FusionModel
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.psf import Psf, gaussian_psf
from hsr_tf.physics.spatial import SpatialDegradation
from tests.networks.test_conformance import (
    cameras,
    every_pair,
    observe,
    small_config,
    stir,
    stirred,
)

ROWS = 4


def blurred(border: str = "mirrored") -> ObservationModel:
    """Gaussian cameras, whose inverse decays."""
    return ObservationModel(SpatialDegradation(gaussian_psf(4), 4, border=border), cameras(4).spectral)


def gap_of_a_tile(model: FusionModel, own: ObservationModel, margin: int) -> float:
    """Largest difference between the middle of a scene and that of its middle part, seen with a margin."""
    num_cells = 2 * margin + ROWS + 6
    views = observe(own, (num_cells, 4), batch=1)
    shared = model.shared(views["lr_hsi"], views["hr_msi"])
    first, last = 3, 3 + 2 * margin + ROWS
    part = {"lr_hsi": views["lr_hsi"][:, first:last], "hr_msi": views["hr_msi"][:, 4 * first : 4 * last]}
    inside = slice(4 * margin, 4 * (margin + ROWS))
    whole = model({**views, **shared})[:, 4 * first : 4 * last]
    return float(np.abs(model({**part, **shared})[:, inside] - whole[:, inside]).max())


@every_pair
def test_a_part_is_that_part_of_the_whole(method: str, base: str) -> None:
    model = stirred(method, base)
    if model.view is not None:  # its cells begin where those of the scene do: tests/networks/test_prior.py
        assert model.reach is None
        return
    assert model.reach is not None
    assert gap_of_a_tile(model, cameras(4), model.reach) < 1e-5


@pytest.mark.parametrize(
    ("base", "consistent"), [("spectral_ls", False), ("spectral_ls", True), ("sylvester", True)]
)
def test_what_decays_is_followed_far_enough(base: str, consistent: bool) -> None:
    own = blurred()
    model = stir(FusionModel(replace(small_config("ssf_resnet", base), consistent=consistent), own))
    assert model.reach is not None
    assert gap_of_a_tile(model, own, model.reach) < 1e-5
    assert gap_of_a_tile(model, own, 1) > 1e-4


def test_a_network_looks_as_far_as_it_says_and_no_closer() -> None:
    model = stirred("ssf_resnet", "none")
    assert model.reach is not None
    assert gap_of_a_tile(model, cameras(4), model.reach) < 1e-6
    assert gap_of_a_tile(model, cameras(4), model.reach - 2) > 1e-6


def test_the_inverse_of_a_box_looks_nowhere_and_that_of_a_gaussian_nine_pixels_far() -> None:
    assert DataConsistency(cameras(4)).reach() == 0
    assert DataConsistency(blurred()).reach() == 9


@pytest.mark.parametrize(
    ("base", "consistent", "own"),
    [
        ("none", True, blurred()),
        ("bicubic", True, blurred()),
        ("spectral_ls", False, blurred("circular")),
        ("sylvester", False, blurred("circular")),
        (
            "spectral_ls",
            True,
            ObservationModel(
                SpatialDegradation(Psf(np.tri(5) / np.tri(5).sum(), "corner"), 4), cameras(4).spectral
            ),
        ),
    ],
)
def test_where_parts_are_not_right_it_says_so(base: str, consistent: bool, own: ObservationModel) -> None:
    model = FusionModel(replace(small_config("ssf_resnet", base), consistent=consistent), own)
    assert model.reach is None


def test_what_a_scene_shares_is_what_its_parts_are_told() -> None:
    model, views = stirred("ssf_resnet", "spectral_ls"), observe(cameras(4), (5, 6))
    shared = model.shared(views["lr_hsi"], views["hr_msi"])
    np.testing.assert_allclose(shared["spectral_map"], model.fit(views["lr_hsi"], views["hr_msi"]))
    np.testing.assert_allclose(model({**views, **shared}), model(views), atol=1e-6)
    silent = {**shared, "trust": 0 * shared["trust"]}
    assert np.abs(model({**views, **silent}) - model(views)).max() > 1e-3
    assert stirred("ssf_resnet", "bicubic").shared(views["lr_hsi"], views["hr_msi"]) == {}
