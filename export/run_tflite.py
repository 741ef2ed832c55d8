"""Run a TFLite file of this project on a device, without TensorFlow.

    python -m export.run_tflite --model=vdsr.int8.tflite --input=photo.png --scale=2.5 --output=big.png
    python -m export.run_tflite --model=ms_ssfnet.float32.tflite --lr_hsi=x.npy --hr_msi=y.npy --output=z.npy

Needs LiteRT (ai-edge-litert), NumPy and Pillow: the extra `device`. Pictures are 8-bit PNG or JPEG files,
scenes floating-point .npy files. Bad input gives one line and exit code 2, Ctrl-C exit code 130; no
incomplete file is ever left.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import numpy as np

from export.cubes import FusionFile, SceneFusion
from export.pictures import FORMATS, enlarge_picture, read_photo, require_writable, write_photo
from export.tflite_model import TFLiteModel, require_kind
from hsr_tf import checks
from hsr_tf.arrays.cubic import enlarged_length
from hsr_tf.console.errors import exit_code
from hsr_tf.files import replacing_file, require_output, require_suffix
from hsr_tf.networks.model_info import FUSION, SINGLE_IMAGE
from hsr_tf.pictures.tiles import require_scale
from hsr_tf.tiling.progress import tile_bar
from hsr_tf.wording import size_words


def read_array(path: Path, name: str) -> np.ndarray:
    """An array of a .npy file as it lies there, not yet in memory; nothing is unpickled.

    Raises:
        OSError: a file that is missing or no such file.
        ValueError: an array of other than floating-point numbers.
    """
    try:
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        reason = error.strerror or "no .npy file"
        raise checks.file_error(path, f"cannot be read ({reason})", "write it with numpy.save") from None
    except (ValueError, EOFError):
        problem = "is no whole .npy file of numbers"
        raise checks.file_error(path, problem, "write it with numpy.save") from None
    checks.require(
        isinstance(values, np.ndarray) and values.dtype.kind == "f",
        name,
        expected="a .npy file of floating-point numbers, as the model was trained on, usually in [0, 1]",
        received=str(getattr(values, "dtype", "an archive")),
        remedy="divide integers by their white level",
    )
    return values


def write_array(values: np.ndarray, path: Path) -> None:
    """Write a .npy file, whole or not at all."""
    with replacing_file(path) as draft, open(draft, "wb") as file:
        np.save(file, values)


def _enlarge_file(model: TFLiteModel, asked: argparse.Namespace) -> tuple[int, ...]:
    """Read, enlarge and write a picture; the size of the result."""
    output = Path(asked.output)
    require_kind(model, SINGLE_IMAGE)
    require_scale(asked.scale)
    require_suffix("output", output, tuple(FORMATS))
    checks.require(
        asked.kernel_output is None or model.info.finds_kernel,
        "kernel_output",
        expected="a file of a network that finds a kernel, e.g. kbpn or ikc",
        received=model.info.method,
        remedy="leave it out",
    )
    kernel = None if asked.kernel is None else np.asarray(read_array(Path(asked.kernel), "kernel"))
    photo = read_photo(Path(asked.input))
    height, width = (enlarged_length(n, asked.scale) for n in photo.values.shape[:2])
    require_writable(output, photo, (height, width))
    with tile_bar() as progress:
        found = enlarge_picture(
            model, photo.values, asked.scale, tile=asked.tile, kernel=kernel, progress=progress
        )
    write_photo(replace(photo, values=found.image), output)
    if asked.kernel_output is not None:
        assert found.kernel is not None
        write_array(found.kernel, Path(asked.kernel_output))
    return height, width


def _fuse_files(model: TFLiteModel, asked: argparse.Namespace) -> tuple[int, ...]:
    """Read, fuse and write a scene; the size of the result."""
    output = Path(asked.output)
    require_kind(model, FUSION)
    require_suffix("output", output, (".npy",))
    views = [read_array(Path(getattr(asked, name)), name) for name in ("lr_hsi", "hr_msi")]
    FusionFile.of(model).require_pair(*views)
    with tile_bar() as progress:
        cube = SceneFusion(model, asked.tile, progress).fuse(*views)
    write_array(cube, output)
    return cube.shape


class _Parser(argparse.ArgumentParser):
    """Arguments, whose mistakes are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {' '.join(message.split())}; see --help\n")


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = _Parser(prog="python -m export.run_tflite", allow_abbrev=False, description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--model", required=True, help="TFLite file of export.tflite")
    parser.add_argument("--input", help="PNG or JPEG picture to enlarge")
    parser.add_argument("--scale", type=float, default=2.0, help="scale factor, at least 1 (default: 2)")
    parser.add_argument("--kernel", help=".npy file of the blur kernel (k, k), for networks that take one")
    parser.add_argument(
        "--kernel_output", help=".npy file to write the estimated blur kernel to, for blind networks"
    )
    parser.add_argument("--lr_hsi", help=".npy file of the LR-HSI (coarse cube) to fuse, (h, w, C)")
    parser.add_argument("--hr_msi", help=".npy file of the HR-MSI (sharp image) to fuse, (s h, s w, c)")
    parser.add_argument("--output", required=True, help="file to write: .png, .jpg or .npy")
    parser.add_argument("--overwrite", action="store_true", help="replace existing files")
    parser.add_argument("--threads", type=int, default=2, help="threads of LiteRT (default: 2)")
    parser.add_argument(
        "--tile",
        type=int,
        help="longest side of a tile in pixels of the result; smaller tiles take less memory",
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Check, run, write and print one line; returns the exit code."""
    given = _parsed(arguments)
    return exit_code(lambda: _run(given), interrupted="nothing was written")


def _run(given: argparse.Namespace) -> None:
    # Refuse arguments that cannot be combined.
    named = [name for name in ("input", "lr_hsi", "hr_msi") if getattr(given, name) is not None]
    checks.require(
        named in (["input"], ["lr_hsi", "hr_msi"]),
        "input, lr_hsi, hr_msi",
        expected="a picture to enlarge (input), or two images to fuse (lr_hsi and hr_msi)",
        received=", ".join(named) or "none",
        remedy="give e.g. --input=photo.png",
    )
    for name in ("threads", "tile"):
        value = getattr(given, name)
        checks.require(
            value is None or value >= 1,
            name,
            expected="a positive whole number",
            received=str(value),
            remedy="leave it out",
        )
    kernels = [name for name in ("kernel", "kernel_output") if getattr(given, name) is not None]
    checks.require(
        not kernels or named == ["input"],
        ", ".join(kernels),
        expected="none where a scene is fused",
        received="one",
        remedy="leave it out",
    )
    # Refuse outputs that exist or have no folder, before any work.
    free = None if given.overwrite else "add --overwrite, or write to another name"
    require_output("output", given.output, free=free)
    if given.kernel_output is not None:
        require_output("kernel_output", given.kernel_output, free=free, suffixes=(".npy",))
    start = time.perf_counter()
    model = TFLiteModel(Path(given.model), num_threads=given.threads)
    size = (_fuse_files if given.input is None else _enlarge_file)(model, given)
    seconds = time.perf_counter() - start
    print(f"wrote {given.output}  {size_words(size)}  ({Path(given.model).name}, {seconds:.1f} s)")


if __name__ == "__main__":
    sys.exit(main())
