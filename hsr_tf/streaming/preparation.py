"""What is settled before the first tile: the trained model, the plan for the memory, room on the disk."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from hsr_tf import io, methods
from hsr_tf.fusion.api import require_useful_weights
from hsr_tf.fusion.pipeline import require_tileable
from hsr_tf.io.header import CubeHeader
from hsr_tf.networks.cards import ModelCard
from hsr_tf.networks.selection import find_card
from hsr_tf.streaming.draft import Draft, require_space
from hsr_tf.streaming.job import JOB, Job
from hsr_tf.streaming.pair import Pair
from hsr_tf.streaming.plan import demand, planned
from hsr_tf.streaming.request import StreamRequest


def trained_model(request: StreamRequest, pair: Pair) -> ModelCard | None:
    """The trained model of a network, None for other methods.

    Raises:
        ValueError: weights for a method that has none, a method that cannot be run tile by tile.
        OSError: no model for these sizes.
    """
    known = methods.get(request.method, methods.FUSION_KINDS)
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
    told = draft.load_json(JOB)
    if told is not None:
        return Job.of(told)
    num_bands, size, scale = pair.headers[0].shape[2], pair.size, pair.scale
    job = Job(
        lr_hsi=str(request.lr_hsi.resolve()),
        hr_msi=str(request.hr_msi.resolve()),
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
    )
    method = job.chosen()
    plan = planned(method, size, scale, demand(method, job.weights, num_bands, scale), request.memory_limit)
    job = replace(job, tile=plan.tile, window=plan.window)
    sharp, coarse = job.size[0] * job.size[1] * job.scale**2, job.size[0] * job.size[1]
    cubes = 3.4 if job.window is not None else 2.0  # a solver's overlapped windows are kept too
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
