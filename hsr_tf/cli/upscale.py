"""`hsr upscale`: a picture, or a folder of them, enlarged by any factor.

Names are checked before anything is computed and every file appears whole or not at all. In a folder a
picture that cannot be read is reported and left out, and the exit code says so at the end. Files record the
settings that they were made with, so that `--skip_existing` goes on where an interrupted run stopped.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hsr_tf import checks
from hsr_tf.console import terminal
from hsr_tf.files import replacing_file, require_apart, require_output, require_suffix

if TYPE_CHECKING:
    import numpy as np


Progress = Callable[[int, int], None]
TRAINED_ON_CLEAN = ("vdsr", "kbpn")
EXAMPLES = (
    "hsr upscale --input=photo.png --scale=2.5 --output=big.png",
    "hsr upscale --input=photos --scale=4 --method=bicubic --output=big_photos",
    "hsr upscale --input=blurry.png --scale=4 --method=kbpn --kernel_output=blur.npy --output=big.png",
)


@dataclass(frozen=True)
class _Request:
    """The settings, the same for every picture of a folder."""

    scale: float
    method: str
    weights: Path | None
    kernel: np.ndarray | None
    tile: int
    settings: str


@dataclass(frozen=True)
class _Task:
    """One picture: where from, where to, and where its kernel goes."""

    source: Path
    target: Path
    kernel: Path | None

    @property
    def written(self) -> list[Path]:
        """The files that it writes."""
        kernels = [] if self.kernel is None else [self.kernel, self.kernel.with_suffix(".png")]
        return [self.target, *kernels]


def upscale(
    picture: Annotated[
        Path, typer.Option("--input", help="A PNG, JPEG or TIFF picture, or a folder of them.")
    ],
    output: Annotated[
        Path,
        typer.Option(help="Output file (.png, .jpg, .tif), or a folder if --input is one."),
    ],
    scale: Annotated[float, typer.Option(help="The factor, at least 1; it need not be whole.")] = 2.0,
    method: Annotated[
        str, typer.Option(help="bicubic, or a network of single images, see hsr methods.")
    ] = "vdsr",
    weights: Annotated[
        Path | None, typer.Option(help="Folder of a trained model; the shipped one by default.")
    ] = None,
    kernel: Annotated[
        str | None,
        typer.Option(help="Blur of the picture for networks that need it: gaussian:sigma=1.3, a file."),
    ] = None,
    kernel_output: Annotated[
        Path | None,
        typer.Option(
            "--kernel_output",
            help="Write the estimated blur to this .npy file, and a picture of it; "
            "a folder if --input is one.",
        ),
    ] = None,
    tile: Annotated[int, typer.Option(help="Longest side of a tile in pixels.")] = 512,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False,
    skip_existing: Annotated[
        bool,
        typer.Option(
            "--skip_existing",
            help="Continue an interrupted run: skip complete results made with these settings.",
        ),
    ] = False,
) -> None:
    """Enlarge a picture, or every picture of a folder, by any factor.

    Luminance goes through the network, colour and alpha are enlarged bicubically. Bits, alpha, colour
    profile, EXIF and resolution are kept, the orientation of photographs is applied.

    vdsr and kbpn are trained on clean pictures: they sharpen noise and JPEG blocks too. For noisy or
    strongly compressed pictures use --method=bicubic.
    """
    settings = _settings(scale, method, weights, kernel)
    tasks = _tasks(picture, output, kernel_output)
    written = [path for task in tasks for path in task.written]
    require_apart(written, [task.source for task in tasks])
    remedy = "add --overwrite, or write to another name"
    if picture.is_dir():
        remedy = "add --skip_existing to make only those that are missing, or --overwrite to replace them"
    for path in written:
        require_output(
            "output",
            path,
            free=None if overwrite or skip_existing else remedy,
            made=path.parent if picture.is_dir() else None,
        )
    num_tasks = len(tasks)
    if skip_existing:
        tasks = _still_to_do(tasks, settings, overwrite)
    num_skipped = num_tasks - len(tasks)
    if num_skipped:
        typer.echo(
            f"skipped {num_skipped} {_pictures(num_skipped)} in {output} made with these settings before"
        )
    if not tasks:
        return
    with terminal.working("loading the method"):
        terminal.load_keras()
        from hsr_tf.physics.psf_spec import parse_psf

        blur = None if kernel is None else parse_psf(kernel, 1).kernel
        request = _Request(scale, method, weights, blur, tile, settings)
        _require_usable(request, kernel_output)
    if not picture.is_dir():
        with _bar(1) as progress:
            line, found = _enlarge(tasks[0], request, progress)
        _warn_of_defects([] if found is None else [f"{picture} {found}"], method)
        typer.echo(line)
        return
    output.mkdir(exist_ok=True)
    if kernel_output is not None:
        kernel_output.mkdir(exist_ok=True)
    num_failed, defects = _enlarge_all(tasks, request)
    _warn_of_defects(defects, method)
    num_written = len(tasks) - num_failed
    typer.echo(f"wrote {num_written} {_pictures(num_written)} to {output}")
    if num_failed:
        raise checks.file_error(
            picture, f"{num_failed} of its {len(tasks)} pictures could not be enlarged", "see above"
        )


def _pictures(number: int) -> str:
    return "picture" if number == 1 else "pictures"


def _tasks(picture: Path, output: Path, kernel_output: Path | None) -> list[_Task]:
    """What to do, once the names fit together."""
    from hsr_tf.io.pictures import SUFFIXES, picture_files

    if not picture.is_dir():
        if not picture.exists():
            raise checks.file_error(picture, "no such file", "give the name of a picture or a folder")
        require_suffix("output", output, SUFFIXES)
        if kernel_output is not None:
            require_suffix("kernel_output", kernel_output, (".npy",))
        return [_Task(picture, output, kernel_output)]
    for folder in (output, kernel_output):
        if folder is not None and (folder.is_file() or not folder.absolute().parent.is_dir()):
            raise checks.file_error(folder, "is no folder and cannot be made", "give a folder for a folder")
    return [
        _Task(file, output / file.name, None if kernel_output is None else kernel_output / f"{file.stem}.npy")
        for file in picture_files(picture)
    ]


def _settings(scale: float, method: str, weights: Path | None, kernel: str | None) -> str:
    """What the pixels depend on, as it is recorded in the files."""
    named = {"scale": f"{scale:g}", "method": method}
    named |= {} if weights is None else {"weights": weights.resolve().name}
    named |= {} if kernel is None else {"kernel": kernel}
    return " ".join(["hsr upscale", *(f"{name}={value}" for name, value in named.items())])


def _still_to_do(tasks: list[_Task], settings: str, overwrite: bool) -> list[_Task]:
    """The tasks without a complete result of these settings.

    A picture whose kernel was not written any more is made again.

    Raises:
        OSError: a file in the place of a result that is not of these settings or is cut short, unless it may
            be overwritten.
    """
    from hsr_tf.io.pictures import made_by

    missing = []
    for task in tasks:
        existing = [path for path in task.written if path.exists()]
        if existing and made_by(task.target) != settings and not overwrite:
            problem = f"exists, but is not a complete result of these settings ({settings})"
            raise checks.file_error(existing[0], problem, "add --overwrite to replace such files")
        if len(existing) < len(task.written) or made_by(task.target) != settings:
            missing.append(task)
    return missing


def _require_usable(request: _Request, kernel_output: Path | None) -> None:
    """Refuse factor, method, weights and kernel before any picture is read; the network is kept."""
    from hsr_tf.pictures.api import usable_network

    chosen = usable_network(
        request.scale, method=request.method, weights=request.weights, kernel=request.kernel
    )
    checks.require(
        kernel_output is None or (chosen is not None and chosen.network.finds_kernel),
        "kernel_output",
        expected="a method that finds the blur",
        received=request.method,
        remedy="leave it out, or choose such a method, kbpn for example",
    )


def _enlarge_all(tasks: list[_Task], request: _Request) -> tuple[int, list[str]]:
    """Every picture of a folder; how many could not be enlarged, and the defects that were found."""
    num_failed, defects = 0, []
    with _bar(len(tasks)) as progress:
        for task in tasks:
            try:
                _, found = _enlarge(task, request, progress)
                defects += [] if found is None else [f"{task.source.name} {found}"]
            except (OSError, ValueError) as error:
                warnings.warn(" ".join(str(error).split()), stacklevel=2)
                num_failed += 1
    return num_failed, defects


def _warn_of_defects(defects: list[str], method: str) -> None:
    """Say in one line that a network trained on clean pictures sharpened noise or JPEG blocks."""
    if not defects:
        return
    count = len(defects)
    others = f" (the first of {count} noisy or strongly compressed pictures)" if count > 1 else ""
    warnings.warn(
        f"{defects[0]}{others}; {method} sharpens noise and JPEG blocks too, --method=bicubic does not",
        stacklevel=2,
    )


def _enlarge(task: _Task, request: _Request, progress: Progress) -> tuple[str, str | None]:
    """Enlarge one picture; return a line about it, and what makes it unfit for the network, or None."""
    from hsr_tf.arrays.cubic import enlarged_length
    from hsr_tf.io.pictures import read_picture, require_writable, write_picture
    from hsr_tf.pictures.api import TileControls, upscale
    from hsr_tf.pictures.defects import defect
    from hsr_tf.wording import size_words

    start = time.perf_counter()
    picture = read_picture(task.source)
    height, width = (enlarged_length(n, request.scale) for n in picture.size)
    require_writable(task.target, has_alpha=picture.has_alpha, size=(height, width))
    found = upscale(
        picture.values,
        request.scale,
        method=request.method,
        weights=request.weights,
        kernel=request.kernel,
        controls=TileControls(tile=request.tile, progress=progress),
    )
    metadata = replace(picture.metadata, made_by=request.settings)
    write_picture(replace(picture, values=found.image, metadata=metadata), task.target)
    if task.kernel is not None:
        import numpy as np

        from hsr_tf.report.cameras import CamerasData, cameras_sheet

        assert found.kernel is not None
        with replacing_file(task.kernel) as draft, open(draft, "wb") as file:
            np.save(file, found.kernel)
        title = f"Blur found in {task.source.name}"
        cameras_sheet(task.kernel.with_suffix(".png"), CamerasData(title=title, psf=found.kernel))
    by = ", ".join(dict.fromkeys(name for name in (request.method, found.weights) if name is not None))
    bits = "; its 1 bit per pixel became 8" if picture.metadata.one_bit else ""
    seconds = f"{time.perf_counter() - start:.1f} s"
    line = f"wrote {task.target}  {size_words((height, width))}  ({by}, {seconds}){bits}"
    trained_on_clean = request.method in TRAINED_ON_CLEAN and request.weights is None
    return line, defect(picture.values, picture.metadata.jpeg_quality) if trained_on_clean else None


@contextmanager
def _bar(num_pictures: int) -> Iterator[Progress]:
    """One progress bar for all pictures, moved on by their tiles; none where stderr is no terminal."""
    from tqdm import tqdm

    shape = "{percentage:3.0f}% |{bar}| {postfix} [{elapsed}<{remaining}]"
    with tqdm(total=num_pictures, bar_format=shape, disable=not sys.stderr.isatty(), leave=False) as bar:
        last, done = 0.0, 0

        def progress(num_done: int, num_tiles: int) -> None:
            nonlocal last, done
            share = num_done / num_tiles
            bar.update(share - last if share > last else share)
            last = 0.0 if num_done == num_tiles else share
            done += num_done == num_tiles
            bar.set_postfix_str(f"{done} of {num_pictures}", refresh=False)

        yield progress
