"""Build hsr_tf_light: the runner of TFLite files and the server's client, for machines without TensorFlow.

usage: python tools/light.py OUTPUT_FOLDER

Its one package holds the modules of this checkout that the two programs import, under its own name, so that
it can be installed beside hsr_tf:

    python -m hsr_tf_light.export.run_tflite
    python -m hsr_tf_light.serving.client
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from configparser import ConfigParser
from pathlib import Path

from renaming import copy_renamed, imported_modules, modules_of

ROOT = Path(__file__).resolve().parents[1]
NAME = "hsr_tf_light"
PROGRAMS = ("export.run_tflite", "serving.client")
NAMES = {"hsr_tf": NAME, "export": f"{NAME}.export", "serving": f"{NAME}.serving"}
# The ranges are those of setup.cfg.
NEEDED = ("numpy", "tqdm")
EXTRAS = {
    "client": ("absl-py", "grpcio", "h5py", "imagecodecs", "natsort", "pillow", "protobuf", "tifffile"),
    "device": ("ai-edge-litert", "backports-strenum", "pillow"),
}
SETUP = """[metadata]
name = {name}
version = {version}
description = Runs the TFLite files and asks the server of hsr_tf, without TensorFlow
author = The hsr_tf authors
license = Apache-2.0
license_files = LICENSE

[options]
python_requires = {python}
packages = find:
install_requires =
{needed}

[options.extras_require]
{extras}
"""


def main(output: Path) -> None:
    """Write the wheel and the source distribution into a folder."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        file_formats = modules_of(ROOT, ["hsr_tf/io"])  # a table names them, no import statement does
        modules = [name for name in imported_modules(ROOT, [*PROGRAMS, *file_formats]) if name != "hsr_tf"]
        copy_renamed(ROOT, project, modules, NAMES)
        (project / NAME / "__init__.py").write_text(
            f'"""Parts of hsr_tf."""\n\n__version__ = "{version()}"\n'
        )
        (project / "setup.cfg").write_text(setup_cfg())
        for name in ("pyproject.toml", "LICENSE"):
            shutil.copy(ROOT / name, project)
        command = ["-m", "uv", "build", "--offline", "--no-build-isolation", "--python", sys.executable]
        subprocess.run(
            [sys.executable, *command, "--quiet", "--out-dir", output.resolve()], cwd=project, check=True
        )


def version() -> str:
    """The version of hsr_tf."""
    found = re.search(r'__version__ = "(.+)"', (ROOT / "hsr_tf" / "__init__.py").read_text(encoding="utf-8"))
    assert found is not None
    return found[1]


def setup_cfg() -> str:
    """The configuration, with the ranges of hsr_tf's own."""
    parser = ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    lists = [parser["options"]["install_requires"], *parser["options.extras_require"].values()]
    lines = [line.strip() for text in lists for line in text.splitlines()]
    ranges = {re.split(r"[ <>=]", line)[0]: f"    {line}" for line in lines}
    extras = [f"{name} =\n" + "\n".join(ranges[one] for one in wanted) for name, wanted in EXTRAS.items()]
    return SETUP.format(
        name=NAME,
        version=version(),
        python=parser["options"]["python_requires"],
        needed="\n".join(ranges[one] for one in NEEDED),
        extras="\n".join(extras),
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
