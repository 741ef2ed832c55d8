"""The cameras of a scene in files: told, given, or estimated once from its middle and shared by all tiles."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hsr_tf import methods
from hsr_tf.closed_forms.agreement import suspicion
from hsr_tf.fusion import estimators as solve
from hsr_tf.fusion.estimators import ESTIMATE
from hsr_tf.fusion.repair import Repaired
from hsr_tf.fusion.valid_region import whole_part
from hsr_tf.networks.cards import ModelCard
from hsr_tf.networks.selection import cameras_with, training_differences
from hsr_tf.physics.cameras import ESTIMATED, CameraChoice, choose_cameras
from hsr_tf.scene import Observation, Scene
from hsr_tf.solvers.solver import Controls
from hsr_tf.streaming.grid import Place
from hsr_tf.streaming.job import Scenery
from hsr_tf.tiling.region import Region

SAMPLE_PIXELS, FEWEST_CELLS = 768, 48


def chosen_cameras(
    repaired: Repaired, probe: Observation, method: methods.Method, told: dict[str, Any]
) -> CameraChoice:
    """The cameras that are given, told by the files, or by default, for the bands that are left."""
    known = {name: None if _is_estimate(value) else value for name, value in told.items()}
    needed = "srf" in method.needs and not _is_estimate(told["srf"])
    choice = choose_cameras(probe, **known, srf_needed=needed)
    return replace(choice, model=repaired.cameras(choice.model))


def with_estimates(scenery: Scenery, choice: CameraChoice, told: dict[str, Any], seed: int) -> solve.Cameras:
    """The same, those that were to be estimated found from a sample of the scene."""
    wanted = {name: _is_estimate(value) for name, value in told.items()}
    if not any(wanted.values()):
        return solve.Cameras(choice)
    images, place = sample(scenery), sampled(scenery)
    trusted = scenery.missing(place).full_cells(scenery.grid.scale, place.size)
    return solve.estimate_cameras(whole_part(images, trusted), choice, Controls(seed), **wanted)


def suspected(scenery: Scenery, choice: CameraChoice, method: methods.Method) -> list[str]:
    """A line where cameras do not fit the sample, for methods that depend on both."""
    found_here = (choice.psf_origin, choice.srf_origin) == (ESTIMATED, ESTIMATED)
    if found_here or not {"psf", "srf"} <= set(method.needs):
        return []
    images, place = sample(scenery).linear(choice.radiometry), sampled(scenery)
    clean = scenery.missing(place).clean(choice.model.spatial, place.size)
    found = suspicion(choice.model, images.lr_hsi.cube, images.hr_msi.cube, trusted=clean)
    return [] if found is None else [found.line]


def of_network(card: ModelCard, probe: Observation, choice: CameraChoice) -> tuple[CameraChoice, list[str]]:
    """The cameras with those that weights were trained for, and in what these differ."""
    return cameras_with(card, choice), training_differences(card, probe, choice)


def sample(scenery: Scenery) -> Observation:
    """The middle of the scene, as the method is given it."""
    place = sampled(scenery)
    return Observation(Scene(scenery.coarse(place)), Scene(scenery.sharp(place)), scenery.grid.scale)


def sampled(scenery: Scenery) -> Place:
    """Where the sample lies."""
    grid = scenery.grid
    side = max(FEWEST_CELLS, SAMPLE_PIXELS // grid.scale)
    return Place(*Region.middle(grid.size, side).slices)


def _is_estimate(value: Any) -> bool:
    return isinstance(value, str) and value == ESTIMATE
