"""What is settled before the first tile: the trained model, tiles within a limit of memory, room on the disk.

A tile's window takes so many bytes a sharp pixel. For closed forms and solvers these are measured; for
networks they follow from the tensors that the network holds at once, which the measured peaks bear out.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from math import isqrt
from pathlib import Path

from hsr_tf import checks, io, methods
from hsr_tf.fusion.api import require_useful_weights
from hsr_tf.fusion.pipeline import require_tileable
from hsr_tf.io.header import CubeHeader
from hsr_tf.io.remote_names import known_name
from hsr_tf.methods import Method
from hsr_tf.networks import pretrained
from hsr_tf.networks.cards import ModelCard, read_card
from hsr_tf.networks.inner import InnerNetwork
from hsr_tf.networks.reach import network_reach
from hsr_tf.networks.selection import find_card
from hsr_tf.networks.tiles import floats_a_pixel, is_based
from hsr_tf.options import AUTO
from hsr_tf.solvers.solver import LARGEST_SIDE
from hsr_tf.streaming.draft import Draft, require_space
from hsr_tf.streaming.job import JOB, Job
from hsr_tf.streaming.memory import SPARE_BYTES, in_words, resident_bytes
from hsr_tf.streaming.pair import Pair
from hsr_tf.streaming.request import StreamRequest
from hsr_tf.tiling.region import best_tile

MAP_CUBES, BLEND_CUBES, MAP_BYTES = 2.5, 4.0, 700.0
SOLVER_BYTES = 3300.0
# What `auto` takes for the kernels that it fits to a small scene as a whole.
KERNEL_PIXELS, KERNEL_BYTES = 2**20, 600.0
COARSE_CUBES = 8.0
SMALLEST_TILE, LARGEST_TILE = 8, 2048


@dataclass(frozen=True)
class Demand:
    """What a method takes.

    Attributes:
        bytes_a_pixel: of a tile's window, a sharp pixel.
        margin: coarse pixels on each side of a tile that belong to its window, for a PSF that sees no more
            cells; a wider one takes more memory than is planned.
    """

    bytes_a_pixel: float
    margin: int


@dataclass(frozen=True)
class Plan:
    """Sides in coarse pixels.

    Attributes:
        tile: of a tile.
        window: of a solver's window, None for other methods.
    """

    tile: int
    window: int | None


def demand(method: Method, weights: str | None, num_bands: int, scale: int) -> Demand:
    """What tiles of a method take."""
    cube = 4.0 * num_bands
    coarse = COARSE_CUBES * cube / scale**2
    if method.kind != "network":
        cubes = BLEND_CUBES if method.name == AUTO else MAP_CUBES
        return Demand(cubes * cube + MAP_BYTES + coarse, 4)
    assert weights is not None
    model = pretrained.load_model(Path(weights))
    cut = is_based(model) and network_reach(model.network) is not None
    margin = InnerNetwork(model.network).margin if cut else model.reach or 0
    if model.view is not None:  # cells of its own
        margin = -(-margin * model.network.spec.scale // scale) + 2 * model.view.unit
    return Demand(4.0 * floats_a_pixel(model) + 4.0 * cube + coarse, margin)


def planned(method: Method, size: tuple[int, int], scale: int, needs: Demand, limit: int) -> Plan:
    """The largest tiles, and windows of a solver, that stay within a limit.

    Args:
        method: that is run.
        size: (h, w) of X.
        scale: s.
        needs: of the method.
        limit: bytes, of which the program itself takes what it holds now.

    Raises:
        ValueError: a limit that leaves no room for a tile; the message tells one that would do.
    """
    held = resident_bytes() + SPARE_BYTES
    num_pixels = size[0] * size[1] * scale**2
    if method.name == AUTO and num_pixels <= KERNEL_PIXELS:
        held += int(KERNEL_BYTES * num_pixels)
    most = _most(limit - held, needs, scale)
    smallest = held + needs.bytes_a_pixel * (scale * (SMALLEST_TILE + 2 * needs.margin)) ** 2
    if method.kind == "solver":
        smallest = max(smallest, held + SOLVER_BYTES * (1.5 * scale * SMALLEST_TILE) ** 2)
    checks.require(
        limit >= smallest,
        "memory_limit",
        expected=f"{in_words(1.01 * smallest)} or more for {method.name} at x{scale}",
        received=in_words(limit),
        remedy=f"raise it (the program itself takes {in_words(held)})",
    )
    tile = best_tile(size, scale, min(most, max(SMALLEST_TILE, LARGEST_TILE // scale)))
    if method.kind != "solver":
        return Plan(tile, None)
    side = isqrt(int((limit - held) / SOLVER_BYTES)) / 1.5
    return Plan(tile, max(SMALLEST_TILE, int(min(side, LARGEST_SIDE)) // scale))


def _most(num_bytes: float, needs: Demand, scale: int) -> int:
    """Coarse pixels of the side of a tile that so many bytes hold."""
    side = isqrt(max(0, int(num_bytes / needs.bytes_a_pixel))) // scale
    return max(SMALLEST_TILE, side - 2 * needs.margin)


def trained_model(request: StreamRequest, pair: Pair) -> ModelCard | None:
    """The trained model of a network, None for other methods.

    Raises:
        ValueError: weights for a method that has none, a method that cannot be run tile by tile.
        OSError: no model for these sizes.
    """
    known = methods.get(request.method, methods.FUSION_KINDS)
    if request.adapt and request.weights is not None and known.name == AUTO:
        known = methods.get(read_card(request.weights).config.method)
    require_useful_weights(known, request.weights)
    if known.kind != "network":
        require_tileable(known, None)
        return None
    num_bands, num_channels = (header.shape[2] for header in pair.headers)
    card = find_card(
        known.name, request.weights, scale=pair.scale, num_bands=num_bands, num_channels=num_channels
    )
    if not request.adapt:
        require_tileable(known, card.folder)
    return card


def planned_job(request: StreamRequest, card: ModelCard | None, draft: Draft, pair: Pair) -> Job:
    """The job that the draft holds, else a new one, planned for the limit of memory.

    Raises:
        ValueError: a limit that leaves no room for a tile.
        OSError: too little space on the disk.
    """
    saved = draft.load_json(JOB)
    if saved is not None:
        return Job.of(saved)
    num_bands, size, scale = pair.headers[0].shape[2], pair.size, pair.scale
    job = Job(
        lr_hsi=known_name(request.lr_hsi),
        hr_msi=known_name(request.hr_msi),
        method=request.method,
        options=request.options,
        weights=None if card is None else str(card.folder.resolve()),
        adapt=request.adapt,
        seed=request.seed,
        size=size,
        scale=scale,
        tile=1,
        window=None,
        memory_limit=request.memory_limit,
        reading=request.reading,
        transform=None if request.transform is None else request.transform.as_dict(),
    )
    method = job.chosen()
    plan = planned(method, size, scale, demand(method, job.weights, num_bands, scale), request.memory_limit)
    job = replace(job, tile=plan.tile, window=plan.window)
    sharp, coarse = job.size[0] * job.size[1] * job.scale**2, job.size[0] * job.size[1]
    cubes = 3.4 if job.window is not None else 2.0  # a solver's overlapped windows are kept too
    cubes = 6.0 if method.name == AUTO else cubes  # all estimates and their mean
    cubes += 0.0 if request.transform is None else 1.0  # the finished tiles, from which the output is sampled
    require_space(draft.folder, int(4 * num_bands * (cubes * sharp + 4 * coarse)))
    draft.save_json(JOB, job.as_dict())
    return job


def require_output(output: Path) -> None:
    """Refuse a name whose format cannot be written part by part, before the work.

    Raises:
        OSError: in one line.
    """
    io.writer_for(output)

    class Tried(Exception):
        pass

    with suppress(Tried), io.create_cube(output, CubeHeader(shape=(1, 1, 1))):
        raise Tried
