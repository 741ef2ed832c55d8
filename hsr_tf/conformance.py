"""What every fusion method of the registry promises, as a test that a method of one's own can call.

    from hsr_tf import conformance, methods

    def test_my_method_keeps_its_promises():
        assert conformance.broken_promises(methods.get("mine")) == []

Closed forms and solvers are run through `hsr_tf.fuse` on small asymmetric scenes whose truth is known;
networks are judged as they begin, untrained. Each promise that is broken gives one line.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter

from hsr_tf import checks, io, methods
from hsr_tf.fusion.api import fuse, simulate
from hsr_tf.fusion.pipeline import require_tileable, staged_method
from hsr_tf.metrics.full_reference import psnr_bands
from hsr_tf.networks.fusion_model import FusionConfig, FusionModel
from hsr_tf.networks.tiles import network_tiles
from hsr_tf.physics.cameras import choose_cameras
from hsr_tf.physics.observation import standard_model
from hsr_tf.physics.spectral import SpectralResponse
from hsr_tf.physics.tiled_pair import ArrayPair
from hsr_tf.scene import Observation, Scene
from hsr_tf.solvers.parts import in_windows
from hsr_tf.solvers.solver import Controls, Cube, Step
from hsr_tf.streaming.request import StreamRequest
from hsr_tf.streaming.streamed import fuse_files
from hsr_tf.tiling.stages import join, run_stages

SCALE, NUM_BANDS = 4, 6
CELLS = ((6, 9), (9, 5))
NUM_STEPS = 2
BICUBIC_DB = -0.05
STREAMED_BYTES, MOST_TILE_GAP = 64 * 10**9, 1e-3
TILE, WINDOW, WINDOW_SECONDS = 4, 5, 0.2


class _EnoughSteps(Exception):
    """Ends a solver from its callback."""


@dataclass(frozen=True, eq=False)
class _Case:
    """A scene and what the two cameras see of it."""

    truth: Cube
    observation: Observation
    srf: SpectralResponse


def broken_promises(method: methods.Method) -> list[str]:
    """What a method does not keep of this:

    - the estimate has the size of the sharp image and the bands of the coarse cube and is finite, for scenes
      that are not square, and for colour and panchromatic images;
    - what it is given stays as it was;
    - the same images and seed give the same bits;
    - on a smooth scene it is no worse than bicubic enlargement;
    - run over the tiles of a scene it gives the estimate of the whole scene to 1e-3, or it is refused before
      anything is written;
    - a solver calls back after each iteration with its number and estimate, ends when the callback raises,
      and within its time limit and one iteration more with an estimate;
    - a network over a base starts from that base, has weights to train, and the seed decides them.

    Args:
        method: of the registry, or unregistered; one that needs weights is a network class.

    Raises:
        ValueError: a method of single images, or a solver that needs weights.
    """
    checks.require_choice("kind of method", method.kind, methods.FUSION_KINDS)
    if method.kind == "network":
        return list(_broken_by_network(method))
    checks.require(
        "weights" not in method.needs,
        "method",
        expected="one that needs no weights",
        received=method.name,
        remedy="test it over the network that it starts from",
    )
    broken = []
    for cells, num_channels in zip(CELLS, (3, 1), strict=True):
        case = _case(cells, num_channels)
        label = f"{case.truth.shape[0]}x{case.truth.shape[1]} pixels, {num_channels} channels"
        broken += [f"{label}: {line}" for line in _broken_by_estimate(method, case)]
    case = _case(CELLS[0], 3)
    if method.kind == "solver":
        broken += _broken_by_controls(method, case)
    return broken + list(_broken_by_tiles(method, case))


def _case(cells: tuple[int, int], num_channels: int) -> _Case:
    """A mixture of three smooth spectra with soft edges."""
    rng = np.random.default_rng(sum(cells))
    height, width = (SCALE * n for n in cells)
    spectra = 0.2 + 0.6 * gaussian_filter(rng.random((3, NUM_BANDS)), (0, 1))
    fields = np.stack([gaussian_filter(rng.standard_normal((height, width)), 3) for _ in spectra], -1)
    shares = np.exp(4 * fields / fields.std())
    cube = (shares / shares.sum(-1, keepdims=True) @ spectra).astype(np.float32)
    bands = np.arange(NUM_BANDS)[:, None]
    centres = (np.arange(num_channels) + 0.5) * NUM_BANDS / num_channels
    weights = np.exp(-0.5 * ((bands - centres) / (0.5 + NUM_BANDS / num_channels)) ** 2)
    srf = SpectralResponse(weights / weights.sum(0))
    scene = Scene(cube, np.linspace(450.0, 700.0, NUM_BANDS), "conformance")
    return _Case(cube, simulate(scene, scale=SCALE, srf=srf), srf)


def _run(method: methods.Method, case: _Case, controls: Controls | None = None) -> Cube:
    known: dict[str, Any] = {"srf": case.srf} if "srf" in method.needs else {}
    return fuse(case.observation, method, controls=controls, **known).estimate.cube


def _broken_by_estimate(method: methods.Method, case: _Case) -> Iterator[str]:
    given = [case.observation.lr_hsi.cube, case.observation.hr_msi.cube]
    before = [image.copy() for image in given]
    estimate = _first(method, case)
    yield from _broken_by_form(estimate, case.truth.shape)
    if any((image != kept).any() for image, kept in zip(given, before, strict=True)):
        yield "the images that it was given have changed"
    if estimate.shape != case.truth.shape or not np.isfinite(estimate).all():
        return
    if (estimate != _first(method, case)).any():
        yield "the same images and seed give another estimate"
    bicubic = _run(methods.get("bicubic"), case)
    gain = float(psnr_bands(case.truth, estimate)) - float(psnr_bands(case.truth, bicubic))
    if gain < BICUBIC_DB:
        yield f"the estimate is {-gain:.2f} dB worse than bicubic enlargement"


def _broken_by_form(estimate: Cube, shape: tuple[int, ...]) -> Iterator[str]:
    if estimate.shape != shape:
        yield f"the estimate has the shape {estimate.shape}, not {shape}"
    if not np.isfinite(estimate).all():
        yield "the estimate is not finite"


def _first(method: methods.Method, case: _Case) -> Cube:
    """The estimate; of a solver that after its first iterations, or its last where that alone counts."""
    if method.kind != "solver" or method.attribute("from_scratch"):
        return _run(method, case)
    seen: list[Cube] = []

    def callback(step: Step) -> None:
        seen.append(np.array(step.estimate()))
        if len(seen) == NUM_STEPS:
            raise _EnoughSteps

    try:
        return _run(method, case, Controls(callback=callback))
    except _EnoughSteps:
        return seen[-1]


def _broken_by_controls(method: methods.Method, case: _Case) -> Iterator[str]:
    steps: list[Step] = []
    estimate = _run(method, case, Controls(max_seconds=0.5, callback=steps.append))
    yield from (f"with a time limit: {line}" for line in _broken_by_form(estimate, case.truth.shape))
    numbers = [step.iteration for step in steps]
    if numbers != list(range(1, len(numbers) + 1)) or not numbers:
        yield f"its callback received the iterations {numbers[:6]}, not 1, 2, 3, ..."
    if any(step.iteration > step.most for step in steps):
        yield "it made more iterations than it said there could be"
    slowest = max(np.diff([0.0, *(step.seconds for step in steps)]), default=0.0)
    if steps and steps[-1].seconds > 0.5 + slowest + 1.0:
        yield f"it took {steps[-1].seconds:.1f} s with a limit of 0.5 s"


def _broken_by_tiles(method: methods.Method, case: _Case) -> Iterator[str]:
    """The tiles of a scene give what the whole gives, or the method is refused and leaves nothing."""
    try:
        require_tileable(method, None)
    except ValueError:
        yield from _broken_by_refusal(method, case)
        return
    images, model = (
        case.observation,
        choose_cameras(case.observation, psf=None, srf=case.srf, srf_needed=True).model,
    )
    cubes = images.lr_hsi.cube, images.hr_msi.cube
    controls = (
        Controls(max_seconds=WINDOW_SECONDS * len(CELLS) ** 2) if method.kind == "solver" else Controls()
    )

    def run(pair: ArrayPair) -> Cube:
        staged = staged_method(pair, method, controls=controls, window=WINDOW)
        run_stages([stage for stage in staged.stages() if not pair.store.has(stage.name, 0)])
        return join(staged, pair.grid)

    whole = ArrayPair(cubes, model)
    expected = run(whole)
    tiles = ArrayPair(cubes, model, tile=TILE)
    if method.kind == "solver":  # a window that ended by the clock is not solved the same way twice
        for number in range(whole.grid.whole.num_pixels):
            if whole.store.has(in_windows.WINDOW, number):
                tiles.store.save(in_windows.WINDOW, number, whole.store.load(in_windows.WINDOW, number))
    gap = float(np.abs(run(tiles) - expected).max())
    if gap > MOST_TILE_GAP:
        yield f"run tile by tile it gives another estimate, by up to {gap:.3g}"


def _broken_by_refusal(method: methods.Method, case: _Case) -> Iterator[str]:
    """A fusion from file to file is refused in words about the method, and leaves nothing."""
    if method.name not in methods.names() or methods.get(method.name) != method:
        return  # a fusion from file to file finds methods by their names
    with tempfile.TemporaryDirectory() as folder:
        lr_hsi, hr_msi, output = (Path(folder) / name for name in ("lr_hsi.h5", "hr_msi.h5", "estimate.h5"))
        for image, path in ((case.observation.lr_hsi, lr_hsi), (case.observation.hr_msi, hr_msi)):
            io.save(image, path)
        srf = case.srf if "srf" in method.needs else None
        request = StreamRequest(
            lr_hsi, hr_msi, output, memory_limit=STREAMED_BYTES, method=method.name, srf=srf
        )
        try:
            fuse_files(request)
            yield "it is not refused from file to file, although it estimates whole scenes only"
        except checks.InputError as error:
            if error.argument != "method":
                yield f"from file to file it fails: {error}"
        if sorted(Path(folder).iterdir()) != sorted([lr_hsi, hr_msi]):
            yield "refused from file to file, it leaves files behind"


def _broken_by_network(method: methods.Method) -> Iterator[str]:
    case = _case(CELLS[0], 3)
    config = FusionConfig(method.name, SCALE, NUM_BANDS, 3, "bicubic", dtype="float32")
    model = FusionModel(config)
    pair = {"lr_hsi": case.observation.lr_hsi.cube[None], "hr_msi": case.observation.hr_msi.cube[None]}
    estimate = np.asarray(model.predict_on_batch(pair))[0]
    yield from _broken_by_form(estimate, case.truth.shape)
    bicubic = _run(methods.get("bicubic"), case)
    if estimate.shape == bicubic.shape and np.abs(estimate - bicubic).max() > 1e-4:
        yield "untrained, over the base bicubic, it does not give that base: its head does not start at zero"
    if model.reach is not None:
        yield from _broken_by_network_tiles(model, pair, estimate)
    if not model.trainable_weights:
        yield "it has no weights to train"
    again = FusionModel(config)
    pairs = zip(model.network.get_weights(), again.network.get_weights(), strict=True)
    if any((one != other).any() for one, other in pairs):
        yield "the same seed gives other weights"


def _broken_by_network_tiles(model: FusionModel, images: dict[str, Cube], expected: Cube) -> Iterator[str]:
    """A network that says how far it looks gives the estimate of the whole scene tile by tile."""
    flat = SpectralResponse(np.full((NUM_BANDS, images["hr_msi"].shape[-1]), 1 / NUM_BANDS))
    known = standard_model(flat, SCALE)
    pair = ArrayPair((images["lr_hsi"][0], images["hr_msi"][0]), known, tile=TILE)
    staged = network_tiles(pair, model)
    run_stages(staged.stages())
    gap = float(np.abs(join(staged, pair.grid) - expected).max())
    if gap > MOST_TILE_GAP:
        yield f"run tile by tile it gives another estimate, by up to {gap:.3g}"
