"""What is installed from this checkout: names, contents, and that it runs without the checkout."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from zipfile import ZipFile

import pytest

PROBE = """
import importlib.util, sys
names = {names}
print(sorted(name for name in names if importlib.util.find_spec(name) is not None))
"""
REFUSED = """
import sys
class Refused:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"keras", "tensorflow", "hsr_tf", "export", "serving", "trainers"}:
            raise ImportError(f"{name} is not on this machine")
sys.meta_path.insert(0, Refused())
import runpy
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


@pytest.fixture(scope="module")
def wheels(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The wheels of a copy of this checkout, by the name of their distribution."""
    root = tmp_path_factory.mktemp("copy")
    for name in ("hsr_tf", "trainers", "export", "serving", "benchmarks", "tools"):
        shutil.copytree(repository / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "setup.py", "pyproject.toml", "MANIFEST.in", "LICENSE"):
        shutil.copy(repository / name, root)
    options = ["--wheel", "--offline", "--no-build-isolation", "--quiet", "--python", sys.executable]
    build = [sys.executable, "-m", "uv", "build", *options, "--out-dir", "dist"]
    subprocess.run(build, cwd=root, check=True)
    subprocess.run([sys.executable, "tools/light.py", "dist"], cwd=root, check=True)
    return {path.name.partition("-")[0]: path for path in (root / "dist").glob("*.whl")}


@pytest.fixture(scope="module")
def python(wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with both wheels, and this one's packages but not this checkout."""
    folder = tmp_path_factory.mktemp("clean") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin" / "python"
    site = next(folder.glob("lib/*/site-packages"))
    for wheel in wheels.values():
        with ZipFile(wheel) as file:
            file.extractall(site)
    (site / "others.pth").write_text(sysconfig.get_paths()["purelib"])
    return python


def run(python: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """A process that does not see the checkout."""
    return subprocess.run(
        [python, *arguments], cwd=cwd, capture_output=True, text=True, env={"TF_CPP_MIN_LOG_LEVEL": "3"}
    )


def test_names_of_modules_are_renamed_and_other_words_are_not(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(repository / "tools")
    from renaming import copy_renamed

    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "cubes.py").write_text("")
    words = "export.json, my.export.cubes, the export."
    text = '"""python -m {0}.run"""\nfrom {0} import cubes\nfrom {0}.cubes import A\n# ' + words
    (tmp_path / "export" / "run.py").write_text(text.format("export"))
    copy_renamed(tmp_path, tmp_path / "new", ["export.run", "export.cubes"], {"export": "light.export"})
    made = (tmp_path / "new" / "light" / "export" / "run.py").read_text()
    assert made == text.format("light.export")


@pytest.mark.slow
def test_a_wheel_owns_one_name(wheels: dict[str, Path]) -> None:
    assert wheels.keys() == {"hsr_tf", "hsr_tf_light"}
    for name, wheel in wheels.items():
        with ZipFile(wheel) as file:
            tops = {entry.partition("/")[0] for entry in file.namelist()}
            assert {top for top in tops if not top.endswith(".dist-info")} == {name}


@pytest.mark.slow
def test_the_applications_are_below_hsr_tf(python: Path, tmp_path: Path) -> None:
    names = ["hsr_tf.trainers.fusion", "hsr_tf.export.tflite", "hsr_tf.serving.server"]
    names += ["trainers", "export", "serving", "benchmarks", "hsr_tf.benchmarks"]
    found = run(python, "-c", PROBE.format(names=names), cwd=tmp_path)
    assert found.stdout.strip() == str(sorted(names[:3])), found.stderr
    shown = run(python, "-m", "hsr_tf.trainers.fusion", "--help", cwd=tmp_path)
    assert "hsr_tf/trainers/fusion.py" in shown.stdout, shown.stderr


@pytest.mark.slow
@pytest.mark.parametrize("program", ["export.run_tflite", "serving.client"])
def test_device_and_client_run_without_tensorflow(python: Path, tmp_path: Path, program: str) -> None:
    shown = run(python, "-c", REFUSED, f"hsr_tf_light.{program}", "--help", cwd=tmp_path)
    assert "--output" in shown.stdout and f"python -m hsr_tf_light.{program}" in shown.stdout, shown.stderr


@pytest.mark.slow
def test_the_client_reads_scenes_without_tensorflow(python: Path, tmp_path: Path) -> None:
    code = REFUSED.partition("import runpy")[0] + (
        "import numpy, hsr_tf_light.io as io; from hsr_tf_light.scene import Scene\n"
        "for name in ('a.h5', 'a.npz', 'a.tif'):\n"
        "    io.save(Scene(numpy.full((4, 5, 3), 0.5, 'float32')), name); print(io.load(name).shape)"
    )
    found = run(python, "-c", code, cwd=tmp_path)
    assert found.stdout.split("\n")[:3] == ["(4, 5, 3)"] * 3, found.stderr
