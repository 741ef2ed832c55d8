"""What the web page does with files that were dropped on it, without the page: one job, one folder.

Files arrive as bytes and names of strangers: a name gives its suffix and nothing else. A job has a temporary
folder, which `close` removes. Jobs run in threads of their own, one at a time.
"""

from __future__ import annotations

import logging
import re
import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from hsr_tf import checks, io, methods
from hsr_tf.fusion.api import fuse
from hsr_tf.fusion.cameras import ESTIMATE
from hsr_tf.fusion.registered import align_registered
from hsr_tf.io.pictures import read_picture, write_picture
from hsr_tf.networks.selection import describe_card
from hsr_tf.pictures.api import TileControls, upscale
from hsr_tf.report.html import ReportData, write_report
from hsr_tf.report.scene_report import solution_report
from hsr_tf.solvers.solver import Controls, Step
from hsr_tf.wording import percent, size_words

LOGGER = logging.getLogger("hsr_tf.web")
MIB = 2**20
SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,8}")
HEADER = ".hdr"
REPORT = "report.html"
Files = Mapping[str, bytes]
_TURN = threading.Lock()


@dataclass(frozen=True)
class Limits:
    """What a visitor may ask for.

    Attributes:
        max_upload_mib: of all the files of one job together.
        max_gib: of a cube or picture in memory, sharp estimate included.
        max_seconds: of a solver.
    """

    max_upload_mib: int = 256
    max_gib: float = 2.0
    max_seconds: float = 120.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            checks.require(
                value > 0, name, expected="a positive number", received=str(value), remedy="correct it"
            )


@dataclass
class Progress:
    """How far a job is; written by its thread, read by the page.

    Attributes:
        stage: what it is at, in a word or two.
        share: 0 to 1, or None where nobody can tell.
        error: one line, where it failed.
        facts: lines about the result.
        files: the results by what they are; REPORT is the page to look at.
    """

    stage: str = "waiting for its turn"
    share: float | None = None
    error: str | None = None
    facts: tuple[tuple[str, str], ...] = ()
    files: Mapping[str, Path] | None = None

    @property
    def is_done(self) -> bool:
        """Whether it ended, well or not."""
        return self.error is not None or self.files is not None


class Task(Protocol):
    """What a job is to do."""

    def run(self, folder: Path, progress: Progress, stop: Callable[[], None]) -> Mapping[str, Path]:
        """Do it in the folder, call `stop` now and then, which may raise, and give the results."""


class Stopped(Exception):
    """The visitor has stopped the job, or is gone."""


@dataclass(frozen=True, eq=False)
class PairTask:
    """A coarse cube and a sharp image to be fused.

    Attributes:
        lr_hsi, hr_msi: the files of each by name; an ENVI cube is two.
        method: of the registry.
        estimate_cameras: find blur and response from the images first.
        limits: of memory and time.
        register: look for shift, rotation, ratio and mirror images, as `hsr fuse` does.
    """

    lr_hsi: Files
    hr_msi: Files
    method: str
    estimate_cameras: bool
    limits: Limits
    register: bool = True

    def run(self, folder: Path, progress: Progress, stop: Callable[[], None]) -> Mapping[str, Path]:
        """See `Task`."""
        progress.stage = "reading the two images"
        coarse, sharp = (
            io.load(stored(files, folder, name), max_gib=self.limits.max_gib)
            for name, files in (("lr_hsi", self.lr_hsi), ("hr_msi", self.hr_msi))
        )
        progress.stage, word = "bringing the two images together", ESTIMATE if self.estimate_cameras else None
        registered = align_registered(coarse, sharp, psf=word, search=self.register)
        stop()
        aligned = registered.aligned
        observation = aligned.observation
        gib = 4 * observation.hr_msi.cube[..., 0].size * observation.lr_hsi.num_bands / 2**30
        checks.require(
            gib <= self.limits.max_gib,
            "lr_hsi, hr_msi",
            expected=f"a sharp cube of at most {self.limits.max_gib:g} GiB",
            received=f"{gib:.2g} GiB",
            remedy="crop both files, or use hsr fuse, which streams",
        )
        progress.stage = f"fusing by {self.method}"

        def callback(step: Step) -> None:
            stop()
            progress.share = step.iteration / max(1, step.most)

        controls = Controls(max_seconds=self.limits.max_seconds, callback=callback)
        solution = fuse(observation, self.method, psf=word, srf=word, controls=controls)
        solution = solution.with_findings((*registered.warnings, *solution.findings))
        stop()
        progress.share, progress.stage = None, "writing the report"
        flags = [f"--psf={word}", f"--srf={word}"] if word else []
        flags += [] if self.register else ["--register=off"]
        command = ("hsr", "fuse", "--lr_hsi=...", "--hr_msi=...", f"--method={self.method}", *flags)
        data = solution_report(observation, solution, command=(*command, "--output=sharp.h5"))
        residuals = (
            ("LR-HSI residual", solution.lr_hsi_residual),
            ("HR-MSI residual", solution.hr_msi_residual),
        )
        estimate = aligned.on_sharp_pixels(solution.estimate)
        progress.facts = (
            *(("grids", line) for line in aligned.lines),
            *(("warning", finding.line) for finding in registered.warnings),
            ("size", size_words(estimate.shape)),
            *((("radiometry", line),) if (line := solution.estimate.metadata.get("radiometry")) else ()),
            *((name, "not known" if share is None else percent(share)) for name, share in residuals),
            ("seconds", f"{solution.seconds:.1f}"),
        )
        report = write_report(data, folder / REPORT)
        names = ["sharp.h5"] if estimate.georeference is None else ["sharp.h5", "sharp.tif"]
        return {REPORT: report, **{name: io.save(estimate, folder / name) for name in names}}


@dataclass(frozen=True, eq=False)
class PhotographTask:
    """A photograph to be enlarged.

    Attributes:
        photograph: the one file, by name.
        method: bicubic, or a network of single images that needs no kernel.
        scale: at least 1.
        limits: of memory.
    """

    photograph: Files
    method: str
    scale: float
    limits: Limits

    def run(self, folder: Path, progress: Progress, stop: Callable[[], None]) -> Mapping[str, Path]:
        """See `Task`."""
        progress.stage = "reading the photograph"
        picture = read_picture(stored(self.photograph, folder, "photograph"), max_gib=self.limits.max_gib)
        progress.stage = f"enlarging by {self.method}"

        def each(num_done: int, num_tiles: int) -> None:
            stop()
            progress.share = num_done / num_tiles

        controls = TileControls(progress=each, max_gib=self.limits.max_gib)
        made = upscale(picture.values, self.scale, method=self.method, controls=controls)
        plain = upscale(picture.values, self.scale, method="bicubic", controls=controls).image
        progress.share, progress.stage = None, "writing the report"
        target = write_picture(replace(picture, values=made.image), folder / "enlarged.png")
        estimates = {"bicubic": _colours(plain)}
        if self.method != "bicubic":
            estimates = {self.method: _colours(made.image), **estimates}
        command = ("hsr", "upscale", "--input=...", f"--scale={self.scale:g}", f"--method={self.method}")
        data = ReportData(
            title=f"Photograph, ×{self.scale:g}",
            estimates=estimates,
            configuration={"method": self.method, "scale": self.scale, "weights": made.weights or "none"},
            command=(*command, "--output=enlarged.png"),
        )
        progress.facts = (
            ("size", size_words(made.image.shape[:2])),
            ("seconds", f"{made.seconds:.1f}"),
        )
        return {REPORT: write_report(data, folder / REPORT), "enlarged.png": target}


class Job:
    """One task in a folder and a thread of its own; `close` stops it and removes the folder.

    Args:
        task: what to do.
    """

    def __init__(self, task: Task) -> None:
        self.progress = Progress()
        self.folder = Path(tempfile.mkdtemp(prefix="hsr_demo_"))
        self._task, self._stopped = task, threading.Event()
        self._thread = threading.Thread(target=self._run, name="hsr demo", daemon=True)

    def start(self) -> None:
        """Begin, after the jobs that were before."""
        self._thread.start()

    def stop(self) -> None:
        """End as soon as it can."""
        self._stopped.set()

    def close(self) -> None:
        """Stop, and remove all that is kept of it; now, or when the thread lets go."""
        self.stop()
        if not self._thread.is_alive():
            shutil.rmtree(self.folder, ignore_errors=True)

    def wait(self, timeout: float) -> bool:
        """Whether it is done within so many seconds."""
        self._thread.join(timeout)
        return self.progress.is_done

    def _run(self) -> None:
        with _TURN:
            try:
                self._go_on()
                self.progress.files = dict(self._task.run(self.folder, self.progress, self._go_on))
            except Stopped:
                self.progress.error = "stopped"
            except (ValueError, OSError) as error:
                self.progress.error = " ".join(str(error).replace(f"{self.folder}/", "").split())
            except MemoryError:
                self.progress.error = "the memory of this machine is not enough for these files; crop them"
            except Exception as error:  # the page must say something; the log says more
                LOGGER.exception("a job failed")
                self.progress.error = f"the program failed ({type(error).__name__})"
        if self._stopped.is_set():
            shutil.rmtree(self.folder, ignore_errors=True)

    def _go_on(self) -> None:
        if self._stopped.is_set():
            raise Stopped


def pair_methods() -> dict[str, str]:
    """What the page calls each method that needs no more than the two images, by its name.

    Networks are among them where trained weights come with the package; their label says which images these
    weights fit.
    """
    from hsr_tf.networks.cards import FUSION, shipped_models

    fitting: dict[str, list[str]] = {}
    for card in shipped_models(FUSION):
        fitting.setdefault(card.config.method, []).append(describe_card(card).partition(", ")[2])
    known = [method for method in methods.describe() if method.kind in methods.FUSION_KINDS]
    labels = {method.name: method.name for method in known if "weights" not in method.needs}
    return labels | {
        method.name: f"{method.name} (for {' or '.join(fitting[method.name])})"
        for method in known
        if "weights" in method.needs and method.name in fitting
    }


def photograph_methods() -> list[str]:
    """Networks with shipped weights that need no kernel, and bicubic."""
    from hsr_tf.networks.cards import shipped_models

    shipped = {card.config.method for card in shipped_models(methods.KINDS[3])}
    return [*sorted(name for name in shipped if "kernel" not in methods.get(name).needs), "bicubic"]


def stored(files: Files, folder: Path, name: str) -> Path:
    """Write the files of one image into the folder, under a name of ours, and give the one to open.

    Raises:
        ValueError: none, several that are no ENVI pair, or a name without a suffix that tells the format.
    """
    suffixes = {Path(given).suffix.lower(): content for given, content in files.items()}
    data = [suffix for suffix in suffixes if suffix != HEADER]
    checks.require(
        len(files) == len(suffixes) and (len(data) == 1 or [*suffixes] == [HEADER]),
        name,
        expected="one file, or the two of an ENVI cube (.hdr and its data)",
        received=", ".join(sorted(files)) or "none",
        remedy="drop the file of one image here",
    )
    for suffix in suffixes:
        checks.require(
            SUFFIX.fullmatch(suffix) is not None,
            name,
            expected="a name that ends in what says its format, such as .h5 or .tif",
            received=suffix or "none",
            remedy="rename it",
        )
    for suffix, content in suffixes.items():
        (folder / f"{name}{suffix}").write_bytes(content)
    return folder / f"{name}{HEADER if HEADER in suffixes else data[0]}"


def _colours(image: np.ndarray) -> np.ndarray:
    """Red, green and blue (H, W, 3) float32 in [0, 1], equal for a gray picture; without alpha."""
    values = np.atleast_3d(image)
    values = values[..., [0, 0, 0] if values.shape[2] < 3 else [0, 1, 2]].astype(np.float32)
    return values if image.dtype.kind == "f" else values / np.iinfo(image.dtype).max
