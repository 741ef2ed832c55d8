"""A scene in windows: every pixel solved, the images explained, iterations counted through, time shared."""

from __future__ import annotations

import numpy as np
import pytest

from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.tiled_pair import ArrayPair
from hsr_tf.solvers.kernel_ls import KernelConfig, KernelLS
from hsr_tf.solvers.parts.assembly import Assembly
from hsr_tf.solvers.parts.in_windows import SolverTiles
from hsr_tf.solvers.solver import Controls, Cube, Iterations, Outcome, Solver, Step
from hsr_tf.tiling.stages import run_stages
from tests.closed_forms.test_agreeing_pair import changed_pair
from tests.solvers.scenes import cameras, mixture, pair, psnr

BANDS = 6


class Plain(Solver):
    """The closed form of its window, in two iterations; keeps what it was told."""

    def __init__(self, model: ObservationModel) -> None:
        self.model, self.told = model, list[tuple[tuple[int, ...], Controls]]()

    def solve(self, lr_hsi: Cube, hr_msi: Cube, controls: Controls = Controls()) -> Outcome:
        """See `Solver.solve`."""
        self.told.append((hr_msi.shape[:2], controls))
        assembly = Assembly(self.model, lr_hsi, hr_msi)
        cube = assembly.cube(assembly.start().spectral_map)
        iterations = Iterations("plain", 2, controls)
        for _ in iterations:
            iterations.report(1.0, lambda: cube)
        return Outcome(cube, iterations.done, converged=True, details={"first": len(self.told)})


def in_windows(solver: Solver, given: tuple, side: int, controls: Controls = Controls()) -> Outcome:
    """A scene (truth, X, Y, cameras) by windows of `side` sharp pixels."""
    _, lr_hsi, hr_msi, model = given
    tiles = SolverTiles(ArrayPair((lr_hsi, hr_msi), model), solver, side // model.scale, controls)
    run_stages(tiles.stages())
    return tiles.outcome(tiles.finish(0))


@pytest.fixture(scope="module")
def scene() -> tuple[Cube, Cube, Cube, ObservationModel]:
    model = cameras(BANDS)
    cube = mixture(72, 100, BANDS, num_spectra=5)
    return cube, *pair(cube, model), model


def test_windows_are_nearly_as_good_as_the_whole_and_explain_both_images(scene: tuple) -> None:
    cube, lr_hsi, hr_msi, model = scene
    solver = KernelLS(model, KernelConfig(kernels=((4.0, 8.0),), draws=1, num_features=64))
    whole = solver.solve(lr_hsi, hr_msi).estimate
    found = in_windows(solver, scene, 40)
    assert found.details["windows"] == 6
    assert psnr(cube, found.estimate) > psnr(cube, whole) - 1.0
    left = lr_hsi - model.spatial.forward(found.estimate[None])[0]
    gap = hr_msi - model.spectral.forward(found.estimate[None])[0]
    assert np.abs(left).max() < 1e-4
    assert np.abs(gap).max() < 1e-4


def test_a_callback_sees_all_iterations_and_the_whole_scene(scene: tuple) -> None:
    cube, _, _, model = scene
    steps, seen = list[Step](), list[float]()

    def callback(step: Step) -> None:
        steps.append(step)
        seen.append(psnr(cube, step.estimate()))

    found = in_windows(Plain(model), scene, 40, Controls(callback=callback))
    assert [step.iteration for step in steps] == list(range(1, found.iterations + 1))
    assert {step.most for step in steps} == {found.iterations}
    assert min(seen) > 20


def test_windows_share_the_time_and_keep_no_checkpoint(scene: tuple) -> None:
    solver = Plain(scene[3])
    found = in_windows(solver, scene, 40, Controls(seed=7, max_seconds=600.0))
    limits = [controls.max_seconds or 0 for _, controls in solver.told]
    assert len(limits) == found.details["windows"]
    assert limits[0] == pytest.approx(0.85 * 600 / 6, rel=0.05)
    assert limits == sorted(limits)
    assert limits[-1] < 0.85 * 600
    assert all(controls.checkpoint is None and controls.seed == 7 for _, controls in solver.told)
    assert found.details["first"] == 1


def test_small_scenes_are_not_cut(scene: tuple) -> None:
    found = in_windows(Plain(scene[3]), scene, 80)
    assert found.details == {"first": 1}


def test_when_time_is_up_the_other_windows_get_the_closed_form(scene: tuple) -> None:
    cube, lr_hsi, hr_msi, model = scene
    solver = Plain(model)
    with pytest.warns(UserWarning, match="1 of 6 windows"):
        found = in_windows(solver, scene, 40, Controls(max_seconds=1e-3))
    assert (found.details["windows"], found.details["windows_solved"], len(solver.told)) == (6, 1, 1)
    assert not found.converged
    assert np.abs(lr_hsi - model.spatial.forward(found.estimate[None])[0]).max() < 1e-4
    whole = Assembly(model, lr_hsi, hr_msi)
    closed = whole.cube(whole.start().spectral_map)
    whole.complete(closed)
    assert psnr(cube, found.estimate) > psnr(cube, closed) - 1.0


class Constant(Solver):
    """Sevens everywhere; keeps X as it was given."""

    def solve(self, lr_hsi: Cube, hr_msi: Cube, controls: Controls = Controls()) -> Outcome:
        """See `Solver.solve`."""
        self.given = lr_hsi
        return Outcome(np.full((*hr_msi.shape[:2], lr_hsi.shape[-1]), 7.0, np.float32), 1, converged=True)


class Free(Constant):
    """One that does not explain both images."""

    explains_both = False


@pytest.mark.parametrize("solver", [Constant(), Free()])
def test_a_solver_that_explains_both_images_is_not_given_changed_ground(solver: Constant) -> None:
    scene = changed_pair()
    tiles = SolverTiles(ArrayPair((scene.lr_hsi, scene.hr_msi), scene.model), solver, None)
    run_stages(tiles.stages())
    changed = np.abs(solver.given - scene.lr_hsi).max(-1) > 0.01
    assert changed[7:11, 11:15].all() == solver.explains_both and not changed[16:].any()
    found = tiles.finish(0)
    assert (found[64:] == 7).all() and (found[30:40, 46:58].max() < 2) == solver.explains_both
