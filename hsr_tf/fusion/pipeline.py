"""Every method over the parts of a scene, in memory or in files, and what is recorded of the result."""

from __future__ import annotations

import inspect
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from hsr_tf import checks, methods
from hsr_tf.closed_forms.windowed import Windowed
from hsr_tf.physics.cameras import CameraChoice
from hsr_tf.physics.tiled_pair import TiledPair
from hsr_tf.solvers.parts.in_windows import SolverTiles
from hsr_tf.solvers.solver import Controls, Solver
from hsr_tf.tiling.stages import StagedMethod

if TYPE_CHECKING:
    from hsr_tf.networks.cards import ModelCard
    from hsr_tf.networks.fusion_model import FusionModel


def staged_method(
    pair: TiledPair,
    method: methods.Method,
    *,
    weights: Path | None = None,
    controls: Controls = Controls(),
    window: int | None = None,
) -> StagedMethod:
    """A method over the parts of a scene.

    A closed form is run by its own `tiles(pair)` where it has them, else on windows that are wider than a
    tile by its `margin`, else on the whole scene.

    Args:
        pair: the images, their tiles and cameras.
        method: of kind "closed_form", "network" or "solver".
        weights: folder of a network's model.
        controls: of a solver, and of a closed form whose `tiles` takes them.
        window: side of a solver's windows in coarse pixels; by default its own `largest_side`.
    """
    if method.kind == "network":
        from hsr_tf.networks.tiles import network_tiles

        assert weights is not None
        return network_tiles(pair, model_of(pair, method, weights))
    built = method.build(pair.model)
    if method.kind == "solver":
        solver: Solver = built
        if window is None and solver.largest_side:
            window = solver.largest_side // pair.grid.scale
        return SolverTiles(pair, solver, window, controls)
    tiles = getattr(built, "tiles", None)
    if tiles is not None:
        timed = "controls" in inspect.signature(tiles).parameters
        staged: StagedMethod = tiles(pair, controls) if timed else tiles(pair)
        return staged
    return Windowed(pair, built, margin=getattr(built, "margin", None), agreeing=bool(method.needs))


def model_of(pair: TiledPair, method: methods.Method, weights: Path) -> FusionModel:
    """The model of a folder; weights that fit any cameras for those of a pair."""
    stamps = tuple(path.stat().st_mtime_ns for path in sorted(weights.iterdir()))
    model = _loaded(weights, stamps)
    if method.any_cameras:
        centres = pair.wavelengths_nm
        model = model.for_cameras(pair.model, None if centres is None else centres.tolist())
    return model


def require_tileable(method: methods.Method, weights: Path | None) -> None:
    """Refuse a method that estimates whole scenes only; no other method is run in its place.

    Tileable are closed forms with `tiles` or a `margin`, networks that look at a neighbourhood, and solvers
    that are given the cameras and allow windows (`Solver.in_windows`, `Solver.largest_side`).

    Raises:
        ValueError: in one line.
    """
    if weights is not None:
        from hsr_tf.networks.pretrained import load_model
        from hsr_tf.networks.tiles import require_tiles

        require_tiles(load_model(weights))
        return
    checks.require(
        method.kind != "solver" or bool(method.needs),
        "method",
        expected="one that is given the cameras, which all tiles of a scene share",
        received=f"{method.name}, which estimates them anew in each",
        remedy='use e.g. deep_prior with psf="estimate" and srf="estimate"',
    )
    wanted = ("in_windows", "largest_side") if method.kind == "solver" else ("tiles", "margin")
    checks.require(
        any(method.attribute(name) for name in wanted),
        "method",
        expected="one that can be run tile by tile",
        received=f"{method.name}, which estimates whole scenes only",
        remedy="raise --memory_limit (without --stream, --dask, --restart) so that the scene is fused whole, "
        "or use another method such as spectral_ls",
    )


def weights_facts(card: ModelCard | None, *, given: bool) -> dict[str, str]:
    """What a result records of the weights of a network."""
    if card is None:
        return {}
    return {"weights": card.folder.name, "weights_origin": "given" if given else "shipped"}


def result_facts(
    method: methods.Method, choice: CameraChoice, *, radiometry: str | None
) -> dict[str, str | int]:
    """What an estimate records of its method and cameras.

    Args:
        method: that was run.
        choice: the cameras.
        radiometry: tone curve, gains and offsets of Y in words, where they were estimated.
    """
    facts: dict[str, str | int] = {"method": method.name, "scale_factor": choice.model.scale}
    facts |= {"psf": choice.psf_line, "srf": choice.srf_line}
    return facts if radiometry is None else {**facts, "radiometry": radiometry}


@lru_cache(maxsize=4)
def _loaded(folder: Path, stamps: tuple[int, ...]) -> FusionModel:
    """The model of a folder, kept with its compiled function as long as the files stay as they are."""
    from hsr_tf.networks.pretrained import load_model

    del stamps
    return load_model(folder)
