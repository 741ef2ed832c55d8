"""A network for any cameras over another estimate: where it starts from, tiles, where it is followed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hsr_tf import methods
from hsr_tf.fusion.blend import Blend, Candidate
from hsr_tf.fusion.pipeline import model_of, staged_method
from hsr_tf.fusion.refined import REFINED, START, Refined
from hsr_tf.networks.cards import find_shipped
from hsr_tf.physics.tiled_pair import ArrayPair, TiledPair
from hsr_tf.solvers.solver import Controls
from hsr_tf.tiling.stages import StagedMethod, join, run_stages
from hsr_tf.typing import Cube
from tests.solvers.scenes import cameras, mixture, pair

BANDS = 31
CUBE, MODEL = mixture(96, 72, BANDS), cameras(BANDS)
IMAGES = pair(CUBE, MODEL)


def array_pair(tile: int | None = None) -> ArrayPair:
    return ArrayPair(IMAGES, MODEL, tile=tile, wavelengths_nm=np.linspace(400.0, 700.0, BANDS))


def prior() -> Candidate:
    card = find_shipped("prior", scale=4, num_bands=BANDS, num_channels=3)
    assert card is not None
    return Candidate.of_card(card)


def refined(images: TiledPair, names: tuple[str, ...] = ("spectral_ls", "colour_kernel")) -> StagedMethod:
    start = tuple((Candidate.named(name), 1 / len(names)) for name in names)
    return Blend(images, [(replace(prior(), start=start), 1.0)], Controls())


def estimate(method: StagedMethod, images: TiledPair) -> Cube:
    run_stages(method.stages())
    return join(method, images.grid)


def test_tiles_give_the_estimate_of_the_whole() -> None:
    whole, tiled = array_pair(), array_pair(tile=8)
    expected, found = estimate(refined(whole), whole), estimate(refined(tiled), tiled)
    assert np.abs(found - expected).max() < 1e-4


def test_it_adds_to_its_start_what_the_network_does_and_agrees_with_both_images() -> None:
    images = array_pair()
    found = estimate(refined(images, ("spectral_ls",)), images)
    plain = array_pair()
    alone = estimate(staged_method(plain, methods.get("spectral_ls")), plain)
    assert np.abs(found - alone).max() > 1e-3
    lr_hsi, hr_msi = IMAGES
    np.testing.assert_allclose(found @ MODEL.spectral.matrix, hr_msi, atol=2e-4)
    np.testing.assert_allclose(np.asarray(MODEL.spatial.forward(found[None]))[0], lr_hsi, atol=2e-4)


class _Given(StagedMethod):
    """An estimate that is there already."""

    def __init__(self, cube: Cube) -> None:
        self._cube = cube

    def estimate(self) -> tuple[()]:
        return ()

    def finish(self, index: int) -> Cube:
        del index
        return self._cube.copy()


@pytest.mark.parametrize("weight", [1.0, 0.0])
def test_the_network_is_not_followed_where_the_images_disagree(weight: float) -> None:
    images, candidate = array_pair(), prior()
    assert candidate.weights is not None
    model = model_of(images, candidate.method, candidate.weights)
    method = Refined(images, lambda _: _Given(CUBE), model)
    run_stages([method._map.survey()])
    weights = images.store.load("weights", 0).copy()
    weights[:12] *= weight
    images.store.save("weights", 0, weights)
    run_stages(method.estimate())
    change = np.abs(images.store.load(REFINED, 0) - images.store.load(START, 0))
    assert (change[:48].max() > 1e-4) == (weight > 0) and change[48:].max() > 1e-4
