"""An offset or a tone curve of the sharp image costs a fusion with estimated cameras nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hsr_tf import io
from hsr_tf.fusion import error_maps
from hsr_tf.fusion.api import fuse
from hsr_tf.fusion.cameras import Asked, Sample, chosen_cameras
from hsr_tf.fusion.quality import assess
from hsr_tf.networks.fusion_model import FusionConfig
from hsr_tf.networks.pretrained import ModelCard
from hsr_tf.networks.selection import cameras_with
from hsr_tf.physics.spectral import SpectralResponse
from hsr_tf.scene import Observation, Scene, Solution
from hsr_tf.streaming.request import StreamRequest
from hsr_tf.streaming.streamed import fuse_files
from tests.pairs_for_tests import GAIN, OFFSET, KnownPair, known_pair, noisy, srgb

Change = Callable[[np.ndarray], np.ndarray]


def with_offset(light: np.ndarray) -> np.ndarray:
    return (GAIN * light + OFFSET).astype(np.float32)


@pytest.fixture(scope="module")
def pair() -> KnownPair:
    return known_pair()


@pytest.fixture(scope="module")
def clean(pair: KnownPair) -> Solution:
    return fuse(pair.observation(pair.hr_msi), psf="estimate", srf="estimate")


def psnr(pair: KnownPair, estimate: Scene) -> float:
    return float(-10 * np.log10(np.square(estimate.cube - pair.truth).mean(dtype=np.float64)))


@pytest.mark.parametrize(
    ("change", "line", "loss_db"),
    [
        (with_offset, "offset 0.080", 0.1),
        (srgb, "sRGB curve undone", 0.1),
        (lambda light: srgb(light, 65536), "sRGB curve undone", 0.5),
    ],
    ids=["offset", "sRGB", "sRGB of 16 bits"],
)
def test_the_estimate_is_as_good_as_that_of_the_clean_pair(
    pair: KnownPair, clean: Solution, change: Change, line: str, loss_db: float
) -> None:
    found = fuse(pair.observation(change(pair.hr_msi)), psf="estimate", srf="estimate")
    assert psnr(pair, found.estimate) > psnr(pair, clean.estimate) - loss_db
    assert line in found.estimate.metadata["radiometry"]
    assert found.hr_msi_residual is not None
    assert found.hr_msi_residual < 0.01
    assert not found.radiometry.is_identity


def test_a_clean_pair_is_not_changed(clean: Solution) -> None:
    assert clean.radiometry.is_identity
    assert clean.estimate.metadata["radiometry"].endswith("offset 0")


def test_a_dead_channel_has_no_offset(pair: KnownPair) -> None:
    changed = with_offset(pair.hr_msi)
    changed[..., 1] = 0.3
    with pytest.warns(UserWarning, match="dead channel 2"):
        found = fuse(pair.observation(changed), psf="estimate", srf="estimate")
    np.testing.assert_allclose(found.radiometry.offset, (OFFSET, 0, OFFSET), atol=2e-3)


@pytest.fixture(scope="module")
def known(pair: KnownPair) -> Solution:
    return fuse(pair.observation(pair.hr_msi), psf=pair.psf, srf=pair.srf)


@pytest.mark.parametrize(
    ("change", "line", "loss_db"),
    [
        (with_offset, "gain 0.550, offset 0.080", 0.01),
        (lambda light: light * np.float32([255, 130, 60]), "gain 255.0, 130.0, 60.0, offset 0", 0.01),
        (lambda light: light ** np.float32(1 / 1.5), "gamma 1.5 curve undone", 0.01),
        (lambda light: srgb(light, 256), "sRGB curve undone", 1.0),
    ],
    ids=["offset", "gains", "gamma 1.5", "sRGB of 8 bits"],
)
@pytest.mark.parametrize("psf", ["given", pytest.param("estimate", marks=pytest.mark.slow)])
def test_known_cameras_are_given_linear_values_in_their_units(
    pair: KnownPair, known: Solution, psf: str, change: Change, line: str, loss_db: float
) -> None:
    observation = pair.observation(change(pair.hr_msi))
    found = fuse(observation, psf=pair.psf if psf == "given" else psf, srf=pair.srf)
    assert psnr(pair, found.estimate) > psnr(pair, known.estimate) - loss_db
    assert found.estimate.metadata["radiometry"].startswith(line)
    assert found.hr_msi_residual is not None
    assert found.hr_msi_residual < 0.01


@pytest.mark.parametrize("snr_db", [None, pytest.param(40.0, marks=pytest.mark.slow), 30.0])
def test_known_cameras_that_fit_change_nothing(pair: KnownPair, snr_db: float | None) -> None:
    images = pair.lr_hsi, pair.hr_msi
    if snr_db is not None:
        images = noisy(pair.lr_hsi, snr_db, 1), noisy(pair.hr_msi, snr_db, 2)
    observation = Observation(Scene(images[0]), Scene(images[1]), pair.scale)
    found, plain = (
        fuse(observation, psf=pair.psf, srf=pair.srf, linearize=word) for word in ("auto", "none")
    )
    assert found.radiometry.is_identity
    assert "radiometry" not in found.estimate.metadata
    np.testing.assert_array_equal(found.estimate.cube, plain.estimate.cube)


def test_a_named_curve_is_undone_and_none_leaves_the_values(pair: KnownPair) -> None:
    observation = pair.observation(pair.hr_msi ** np.float32(1 / 2.4))
    named = fuse(observation, psf=pair.psf, srf=pair.srf, linearize="gamma:2.4")
    assert named.radiometry.curve == "gamma 2.4"
    with pytest.warns(UserWarning, match="follows the image"):
        left = fuse(replace(observation, linearize="none"), psf=pair.psf, srf=pair.srf)
    assert left.radiometry.is_identity
    with pytest.raises(ValueError, match=r"linearize: expected none, srgb, gamma:G"):
        fuse(observation, linearize="gamma:x")


@pytest.mark.parametrize("cameras", ["given", "estimate"])
def test_changed_ground_costs_the_rest_nothing_and_is_reported(
    pair: KnownPair, known: Solution, cameras: str
) -> None:
    changed = pair.hr_msi.copy()
    changed[8:40, 8:36] = changed[44:76, 60:88]
    psf, srf = (pair.psf, pair.srf) if cameras == "given" else (cameras, cameras)
    with pytest.warns(UserWarning, match=r"differ on 1\d % of the ground .*follows lr_hsi there"):
        found = fuse(pair.observation(changed), psf=psf, srf=srf)
    rest = np.ones(changed.shape[:2], bool)
    rest[:48, :44] = False
    errors = [np.square(s.estimate.cube - pair.truth)[rest].mean() for s in (known, found)]
    assert 10 * np.log10(errors[1] / errors[0]) < 1.0
    assert found.estimate.metadata["changed_ground"].endswith("%")


def test_tiles_and_the_whole_undo_the_same(pair: KnownPair, tmp_path: Path) -> None:
    observation = pair.observation(with_offset(pair.hr_msi))
    io.save(observation.lr_hsi, tmp_path / "x.h5")
    io.save(observation.hr_msi, tmp_path / "y.h5")
    paths = tmp_path / "x.h5", tmp_path / "y.h5", tmp_path / "z.h5"
    done = fuse_files(StreamRequest(*paths, 64 * 10**9, psf="estimate", srf="estimate"))
    whole = fuse(observation, psf="estimate", srf="estimate")
    assert done.metadata["radiometry"] == whole.estimate.metadata["radiometry"]
    assert np.abs(io.load(paths[2]).cube - whole.estimate.cube).max() < 1e-4


def test_figures_without_a_truth_hold_for_linear_values(pair: KnownPair, clean: Solution) -> None:
    observation = pair.observation(with_offset(pair.hr_msi))
    figures = assess(observation, clean.estimate, psf="estimate", srf="estimate").figures
    assert figures.consistency.hr_msi_residual is not None
    assert figures.consistency.hr_msi_residual < 0.01


def test_the_error_map_is_made_of_the_linear_image(pair: KnownPair, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Observation] = []

    def spread(observation: Observation, *_: object, **__: object) -> error_maps.Spread:
        given.append(observation)
        return error_maps.Spread(pair.truth, np.ones_like(pair.truth))

    monkeypatch.setattr(error_maps, "kernel_spread", spread)
    error_maps.UncertainFusion()(pair.observation(srgb(pair.hr_msi)), psf="estimate", srf="estimate")
    np.testing.assert_allclose(given[0].hr_msi.cube, pair.hr_msi, atol=1e-4)


def test_networks_get_the_units_of_their_training(pair: KnownPair) -> None:
    observation = pair.observation(with_offset(pair.hr_msi))
    asked = Asked("estimate", "estimate")
    found = chosen_cameras(Sample(observation), observation, asked, srf_needed=False)
    response = SpectralResponse(found.choice.model.spectral.matrix / GAIN)
    cameras = replace(found.choice.model, spectral=response)
    config = FusionConfig("ms_ssfnet", observation.scale, *response.matrix.shape)
    trained = cameras_with(ModelCard(Path("trained"), config, cameras, {}), found.choice)
    seen = observation.linear(trained.radiometry).hr_msi.cube
    np.testing.assert_allclose(seen, pair.hr_msi, atol=0.01)
