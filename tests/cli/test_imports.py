"""Commands import what they use and nothing else; a package that is broken spoils only what uses it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import hsr_tf
from hsr_tf.imports import EXTRAS, MissingPackage, deferred, require_package

SCIENCE = {"h5py", "numpy", "scipy"}
THIRD_PARTY = {
    *SCIENCE,
    *EXTRAS,
    "PIL",
    "absl",
    "bokeh",
    "colour",
    "h5netcdf",
    "imagecodecs",
    "jinja2",
    "keras",
    "markupsafe",
    "matplotlib",
    "natsort",
    "pandas",
    "rasterio",
    "skimage",
    "spectral",
    "tensorboard",
    "tensorflow",
    "tifffile",
    "tqdm",
    "xarray",
    "zarr",
}
COMMAND = """
import json, sys
from hsr_tf.cli import run
code = run(sys.argv[1:])
print(json.dumps([code, sorted({name.partition(".")[0] for name in sys.modules})]))
"""
BROKEN = """
import sys
class Broken:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"PIL", "imagecodecs", "matplotlib", "rasterio", "tifffile", "zarr"}:
            raise RuntimeError("it is broken")
sys.meta_path.insert(0, Broken())
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pair that `hsr simulate` would write."""
    folder = tmp_path_factory.mktemp("pair")
    rng = np.random.default_rng(3)
    cube = rng.random((48, 64, 31), np.float32) * np.linspace(0.5, 1, 64, dtype=np.float32)[:, None]
    pair = hsr_tf.simulate(hsr_tf.Scene(cube, np.linspace(400, 700, 31)), scale=4)
    hsr_tf.save(pair.lr_hsi, folder / "x.h5")
    hsr_tf.save(pair.hr_msi, folder / "y.h5")
    return folder


def third_party(code: str, *arguments: str, cwd: Path) -> set[str]:
    """The packages that a process has imported at its end."""
    process = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=cwd, capture_output=True, text=True, check=True
    )
    exit_code, loaded = json.loads(process.stdout.splitlines()[-1])
    assert exit_code == 0, process.stderr
    return THIRD_PARTY & set(loaded)


def test_importing_the_library_imports_no_other_package(tmp_path: Path) -> None:
    code = COMMAND.replace("from hsr_tf.cli import run", "import hsr_tf").replace("run(sys.argv[1:])", "0")
    assert third_party(code, cwd=tmp_path) == set()


@pytest.mark.parametrize(
    ("arguments", "allowed"),
    [
        (["--help"], set()),
        (["methods"], {"numpy"}),
        (["info", "x.h5"], {"numpy", "h5py"}),
        (["evaluate", "--reference=z.h5", "--estimate=z.h5", "--scale=4"], SCIENCE),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_command_imports_what_it_uses(folder: Path, arguments: list[str], allowed: set[str]) -> None:
    if arguments[0] == "evaluate":
        (folder / "z.h5").write_bytes((folder / "x.h5").read_bytes())
    assert third_party(COMMAND, *arguments, cwd=folder) <= allowed


def test_auto_without_networks_imports_none_though_weights_fit(tmp_path: Path) -> None:
    truth = hsr_tf.Scene(
        np.random.default_rng(3).random((128, 128, 31), np.float32), np.linspace(400, 700, 31)
    )
    pair = hsr_tf.simulate(truth, scale=8)
    hsr_tf.save(pair.lr_hsi, tmp_path / "x.h5")
    hsr_tf.save(pair.hr_msi, tmp_path / "y.h5")
    arguments = ["fuse", "--lr_hsi=x.h5", "--hr_msi=y.h5", "--option=networks=false", "--output=z.h5"]
    assert third_party(COMMAND, *arguments, cwd=tmp_path) <= SCIENCE


def test_fuse_imports_what_it_uses_and_a_broken_package_spoils_nothing(folder: Path) -> None:
    arguments = ["fuse", "--lr_hsi=x.h5", "--hr_msi=y.h5", "--option=networks=false", "--output=without.h5"]
    assert third_party(BROKEN + COMMAND, *arguments, cwd=folder) <= SCIENCE


def test_a_package_that_cannot_be_imported_gives_one_line(folder: Path) -> None:
    errors = "RuntimeError('it is broken'), ModuleNotFoundError('no', name='rasterio.crs')"
    code = BROKEN.replace('RuntimeError("it is broken")', "error") + (
        f"from hsr_tf.cli import run\nfor error in ({errors}):\n    print('exit code', run(sys.argv[1:]))\n"
    )
    arguments = ["fuse", "--lr_hsi=x.h5", "--hr_msi=y.h5", "--method=bicubic", "--output=z.tif"]
    process = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=folder, capture_output=True, text=True
    )
    codes = [line.split()[-1] for line in process.stdout.splitlines() if line.startswith("exit code")]
    assert len(codes) == 2 and "0" not in codes
    broken, missing = process.stderr.splitlines()
    assert "RuntimeError: it is broken" in broken and "expected the package rasterio, " in missing
    assert not (folder / "z.tif").exists()


def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("dask", "natsort"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(
        MissingPackage, match=r'dask: expected the package dask.*pip install "hsr_tf\[dask\]"'
    ):
        require_package("dask")
    with pytest.raises(ImportError, match=r"natsort: .* pip install --force-reinstall natsort"):
        _ = deferred("natsort").natsorted


def test_a_deferred_module_is_the_module() -> None:
    assert deferred("json").dumps is json.dumps
    with pytest.raises(AttributeError):
        _ = deferred("json").nothing_of_this_name


def test_the_extras_are_those_of_the_package(repository: Path) -> None:
    from configparser import ConfigParser

    parser = ConfigParser()
    parser.read(repository / "setup.cfg", encoding="utf-8")
    assert set(EXTRAS.values()) <= set(parser["options.extras_require"])


@pytest.mark.parametrize(
    ("module", "package", "extra"),
    [("serving.server", "grpc", "serving"), ("export.tflite", "ai_edge_quantizer", "tflite")],
)
def test_a_command_without_its_extra_ends_in_one_line(
    module: str, package: str, extra: str, repository: Path, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(f"import sys\nsys.modules[{package!r}] = None\n")
    path = os.pathsep.join([str(tmp_path), str(repository)])
    process = subprocess.run(
        [sys.executable, "-m", module, "--help"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert (process.returncode, process.stdout) == (2, "")
    assert f"error: {package}: expected the package {package}" in process.stderr
    assert f'pip install "hsr_tf[{extra}]"' in process.stderr and len(process.stderr.splitlines()) == 1
