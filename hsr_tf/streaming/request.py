"""A request for a streamed fusion, the answer, and the fingerprint of a request."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from hsr_tf.findings import Finding, Verdict, estimate_verdict
from hsr_tf.fusion.residuals import Residuals
from hsr_tf.io.arrays import metadata_to_text
from hsr_tf.io.header import CubeHeader
from hsr_tf.io.pair_reading import PairReading
from hsr_tf.networks.cards import ModelCard
from hsr_tf.physics.psf import Psf
from hsr_tf.physics.spectral import SpectralResponse
from hsr_tf.radiometry import AUTO
from hsr_tf.registration.transform import Transform
from hsr_tf.streaming.files import stamp
from hsr_tf.streaming.pair import Pair


@dataclass(frozen=True, eq=False)
class StreamRequest:
    """What is asked for.

    Attributes:
        lr_hsi, hr_msi: files of X and Y.
        output: file of the estimate, of a format that is written part by part.
        memory_limit: bytes that the process stays below.
        method: name in the registry.
        options: of a solver, `name=value`.
        weights: folder of a trained model; by default the shipped one for these sizes.
        adapt: adapt the network to each window.
        psf, srf, linearize: as `hsr_tf.fuse` takes them.
        seed: of what a solver draws.
        restart: throw away the unfinished tiles of another request.
        reading: white levels and wavelengths that the caller gives; the arrays are those of the files.
        transform: from the pixels of X to those of Y; None to pair them by their grids or sizes.
        register: look for a transform where none is given and not both images have a grid.
    """

    lr_hsi: Path
    hr_msi: Path
    output: Path
    memory_limit: int
    method: str = "auto"
    options: tuple[str, ...] = ()
    weights: Path | None = None
    adapt: bool = False
    psf: Any = None
    srf: Any = None
    linearize: str = AUTO
    seed: int = 0
    restart: bool = False
    reading: PairReading | None = None
    transform: Transform | None = None
    register: bool = False


@dataclass(frozen=True)
class Progress:
    """How far a job is.

    Attributes:
        stage: its name: survey, factor, estimate, ..., writing.
        done, total: tiles of the stage.
        megapixels: sharp pixels of a whole stage, in millions.
    """

    stage: str
    done: int
    total: int
    megapixels: float


@dataclass(frozen=True)
class Streamed:
    """What became of a request.

    Attributes:
        lr_shape, hr_shape: of X and Y on the common ground.
        shape: of the estimate.
        num_tiles: that the scene was cut into.
        kept: tiles, of all stages, that an earlier run had finished.
        seconds: this run took.
        peak_bytes: the most memory that this process held.
        metadata: of the estimate.
        grids: how X and Y were brought together, one line each.
        guesses: what was guessed of their values, one line each.
        residuals: what the estimate leaves of both images in the middle of the scene.
        findings: what is wrong with the images, the cameras or the result, as those of a `Solution`.
    """

    lr_shape: tuple[int, int, int]
    hr_shape: tuple[int, int, int]
    shape: tuple[int, int, int]
    num_tiles: int
    kept: int
    seconds: float
    peak_bytes: int
    metadata: dict[str, Any]
    residuals: Residuals
    grids: tuple[str, ...] = ()
    guesses: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """What follows from the findings: green, yellow or red."""
        return estimate_verdict(self.findings)


Tell = Callable[[Progress], None]


def fingerprint(request: StreamRequest, card: ModelCard | None, pair: Pair) -> dict[str, Any]:
    """All that decides the result, as plain data; what the files tell, such as their grids, is part of it."""
    words = {name: _in_words(getattr(request, name)) for name in ("psf", "srf")}
    known = zip(("lr_hsi", "hr_msi"), pair.stored, pair.digests, strict=True)
    files = {
        name: {**stamp(getattr(request, name), digest), "header": _header_digest(header)}
        for name, header, digest in known
    }
    return {
        **files,
        "method": request.method,
        "options": list(request.options),
        "weights": None if card is None else _digest(card.folder),
        "adapt": request.adapt,
        **words,
        "linearize": request.linearize,
        "seed": request.seed,
        "reading": None if request.reading is None else metadata_to_text(asdict(request.reading)),
        "transform": None if request.transform is None else request.transform.as_dict(),
        "memory_limit": request.memory_limit,
    }


def _header_digest(header: CubeHeader) -> str:
    """SHA-256 of a header: ENVI's stands in a file beside the values."""
    values = {field.name: getattr(header, field.name) for field in fields(header)}
    return hashlib.sha256(metadata_to_text(values).encode()).hexdigest()


def _in_words(camera: Any) -> str | None:
    """What a camera was given as: words and files as they are, arrays by what they hold."""
    if isinstance(camera, SpectralResponse | Psf):
        values = camera.matrix if isinstance(camera, SpectralResponse) else camera.kernel
        content = hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()
        return f"{type(camera).__name__} {values.shape} {content}"
    if isinstance(camera, str | os.PathLike) and Path(camera).is_file():
        return f"{camera} {_digest(Path(camera))}"
    return None if camera is None else str(camera)


def _digest(path: Path) -> str:
    """SHA-256 of a file, or of the files of a folder."""
    digest = hashlib.sha256()
    for entry in sorted(path.iterdir()) if path.is_dir() else [path]:
        digest.update(entry.read_bytes())
    return digest.hexdigest()
