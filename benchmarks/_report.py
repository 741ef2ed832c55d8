"""What all benchmarks print and write: the machine, tables in Markdown, the largest memory, a JSON file."""

from __future__ import annotations

import os
import platform
import resource
import sys
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
from absl import flags

from hsr_tf import checks
from hsr_tf.files import write_json

FLAGS = flags.FLAGS


def define_json() -> None:
    """The flag of `write`."""
    flags.DEFINE_string("json", None, "Write the results to this file too.")


def define_scenes(*, folder: str, crop: int | None, scenes: Sequence[str] = ()) -> None:
    """The flags of the benchmarks that simulate both images of real scenes."""
    flags.DEFINE_list("scenes", list(scenes), "Names of scenes (empty: all of the folder).")
    flags.DEFINE_string("data_dir", None, f"Folder of sharp cubes (default: $HSR_DATA/{folder}).")
    flags.DEFINE_integer("crop", crop, "Use a square of this many pixels a side.", 16)
    flags.DEFINE_bool("noisy", False, "Gaussian noise: 35 dB (hyperspectral) and 40 dB (colour), seed 0.")


def define_names(name: str, default: Sequence[str], known: Collection[str], about: str) -> None:
    """Define a flag with a list of names; others than `known` are refused before the run starts."""
    flags.DEFINE_list(name, list(default), about)

    def validate(names: Sequence[str]) -> bool:
        for one in names:
            try:
                checks.require_choice(name, one, known)
            except ValueError as error:
                raise flags.ValidationError(str(error)) from error
        return True

    flags.register_validator(name, validate)


def machine() -> dict[str, Any]:
    """Where the figures are from."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": names[0] if names else platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "accelerators": [device.name for device in tf.config.list_logical_devices("GPU")],
        "tensorflow": tf.__version__,
        "python": platform.python_version(),
    }


def print_machine(about: dict[str, Any], note: str = "") -> None:
    """One line about the machine."""
    print(", ".join(f"{name} {value}" for name, value in about.items() if value) + note, flush=True)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, words: Collection[int] = (0,)) -> str:
    """A table in Markdown; the columns `words` are aligned to the left, the others, numbers, to the right."""
    rules = ["---" if place in words else "---:" for place in range(len(heads))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, rules, *rows))


def with_section(text: str, name: str, found: str) -> str:
    """Return the text of a page with a result between its marks, `<!-- name: begin -->` and `... end -->`.

    Raises:
        InputError: for a page without these marks.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, first, rest = text.partition(begin)
    _, last, after = rest.partition(end)
    checks.require(
        bool(first and last),
        "update",
        expected=f"a page with the marks {begin} and {end}",
        received="one without them",
        remedy="add them where the table belongs",
    )
    return f"{before}{begin}\n{found}\n{end}{after}"


def settings(*names: str) -> dict[str, Any]:
    """The values of some flags."""
    return {name: getattr(FLAGS, name) for name in names}


def write(found: dict[str, Any]) -> None:
    """Write the results where --json says."""
    if FLAGS.json:
        write_json(FLAGS.json, found)


def peak_gib() -> float:
    """Largest memory of this process alone so far; `getrusage` counts that of the one that started it too."""
    path = Path("/proc/self/status")
    if path.is_file():
        lines = path.read_text(encoding="utf-8").splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 2.0**20
    unit = 2.0**30 if sys.platform == "darwin" else 2.0**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
