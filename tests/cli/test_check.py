"""`hsr check` and `hsr sensors` from the command line: exit codes, files, and a command that runs."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from matplotlib.image import imread

import hsr_tf
from hsr_tf import cli
from hsr_tf.geo.georeference import Georeference
from hsr_tf.scene import Scene
from tests.fusion.test_check import sharp_scene

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def hsr(capfd: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: object) -> tuple[int, str, str]:
        capfd.readouterr()
        code = cli.run([str(argument) for argument in arguments])
        return code, *capfd.readouterr()

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """x.h5 and y.h5 at x4, and both.h5 that holds the two, without a word of how they were made."""
    pair = hsr_tf.simulate(sharp_scene(64, 48), scale=4)
    hsr_tf.save(Scene(pair.lr_hsi.cube, pair.lr_hsi.wavelengths_nm), tmp_path / "x.h5")
    hsr_tf.save(Scene(pair.hr_msi.cube), tmp_path / "y.h5")
    with h5py.File(tmp_path / "both.h5", "w") as file:
        file["cube"] = np.moveaxis(pair.lr_hsi.cube, -1, 0)
        file["wavelength_nm"] = pair.lr_hsi.wavelengths_nm
        file["sharp"] = np.moveaxis(pair.hr_msi.cube, -1, 0)
    return tmp_path


def suggested(out: str) -> list[str]:
    (line,) = [line for line in out.splitlines() if line.startswith("hsr fuse")]
    return shlex.split(line)[1:]


def test_the_command_that_check_prints_fuses_the_pair(
    hsr: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    code, out, err = hsr("check", "--lr_hsi=both.h5", "--hr_msi=both.h5", "--hr_key=sharp", "--json=f.json")
    assert (code, err) == (0, "")
    assert "the pair can be fused" in out
    words = suggested(out)
    assert {"--psf=estimate", "--srf=estimate", "--hr_key=sharp"} <= set(words)
    told = json.loads((folder / "f.json").read_text())
    assert told["command"].split()[1:] == words
    assert (told["fusable"], told["scale"]) == (True, 4)
    assert told["verdict"]["line"] in out
    assert {"severity", "topic", "found", "advice"} == set(told["findings"][0])
    code, out, err = hsr(*words)
    assert (code, err) == (0, "")
    fused = hsr_tf.load(folder / "fused.h5").cube
    truth = sharp_scene(64, 48).cube
    assert np.sqrt(np.square(fused - truth).mean()) < 0.01 * truth.max()


def test_a_pair_that_cannot_be_fused_ends_with_one(hsr: Run, folder: Path) -> None:
    code, out, err = hsr(
        "check", f"--lr_hsi={folder / 'y.h5'}", f"--hr_msi={folder / 'x.h5'}", f"--json={folder / 'f.json'}"
    )
    assert (code, err) == (1, "")
    assert "x error" in out
    assert "x the pair cannot be fused as it is: 1 error (files)" in out
    assert "swapped" in out
    assert "hsr fuse" not in out
    assert json.loads((folder / "f.json").read_text())["command"] is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (["--hr_msi={folder}/none.h5"], "no such file"),
        (["--picture={folder}/pair.jpg"], "ends in .png"),
        (["--json={folder}/no/f.json"], "does not exist"),
        (["--json={folder}/x.h5"], "is an input as well"),
        (["--hr_key=nothing"], "nothing"),
        (["--srf=sentinel3"], "sentinel2"),
        (["--psf=gausian"], "gaussian"),
        (["--psf=gaussian:fwhm=-3"], "error: psf: expected"),
        (["--psf=motion:length=0"], "error: psf: expected"),
        (["--hr_layout=row,col"], "error: hr_layout: expected"),
        (["--quik"], "--quick"),
    ],
)
def test_bad_input_is_one_line_and_two(hsr: Run, folder: Path, change: list[str], said: str) -> None:
    given = [f"--lr_hsi={folder}/x.h5", f"--hr_msi={folder}/y.h5", "--quick"]
    before = sorted(folder.iterdir())
    code, _, err = hsr("check", *given, *(word.format(folder=folder) for word in change))
    assert code == 2
    assert said in err
    assert err.count("\n") == 1
    assert sorted(folder.iterdir()) == before


def test_the_picture_shows_both_images(hsr: Run, folder: Path) -> None:
    pair = (f"--lr_hsi={folder / 'x.h5'}", f"--hr_msi={folder / 'y.h5'}")
    code, out, _ = hsr("check", *pair, "--quick", f"--picture={folder / 'pair.png'}")
    assert code == 0
    assert "drew" in out
    image = imread(folder / "pair.png")[..., :3]
    thirds = [part.std() for part in np.array_split(image, 3, axis=1)]
    assert min(thirds) > 0.1


def test_fuse_brings_georeferenced_files_together_and_says_so(hsr: Run, folder: Path) -> None:
    lr_hsi, hr_msi = hsr_tf.load(folder / "x.h5"), hsr_tf.load(folder / "y.h5")
    coarse = Georeference((4.0, 0, 100.0, 0, -4.0, 900.0))
    sharp = Georeference((1.0, 0, 108.0, 0, -1.0, 900.0))
    hsr_tf.save(Scene(lr_hsi.cube, lr_hsi.wavelengths_nm, georeference=coarse), folder / "x.h5")
    hsr_tf.save(Scene(hr_msi.cube[:, 8:], georeference=sharp), folder / "y.h5")
    pair = (f"--lr_hsi={folder / 'x.h5'}", f"--hr_msi={folder / 'y.h5'}")
    code, out, _ = hsr("fuse", *pair, f"--output={folder / 'z.h5'}")
    assert code == 0
    assert "cropped to the common ground: 16x10 of 16x12 and 64x40 of 64x40 pixels" in " ".join(out.split())
    fused = hsr_tf.load(folder / "z.h5")
    assert fused.georeference == sharp
    truth = sharp_scene(64, 48).cube[:, 8:]
    assert np.sqrt(np.square(fused.cube - truth)[8:-8, 8:-8].mean()) < 0.02 * truth.max()


def test_the_sensors_are_listed_and_drawn(hsr: Run, folder: Path) -> None:
    code, out, _ = hsr("sensors")
    assert code == 0
    assert {"sentinel2a", "landsat8", "ikonos", "nikon_d700", "nikon_5100_npl"} <= set(out.split())
    code, out, _ = hsr("sensors", "--name=sentinel2a:B02,B8A", f"--picture={folder / 's.png'}")
    assert code == 0
    assert "492.7" in out
    assert "B03" not in out
    assert imread(folder / "s.png").shape[1] > 1000
    code, _, err = hsr("sensors", "--name=sentinel2c")
    assert (code, "sentinel2" in err) == (2, True)
    assert hsr("sensors", f"--picture={folder / 's.png'}")[0] == 2


@pytest.mark.slow
def test_the_real_pair_passes(hsr: Run, shared_data: Path, tmp_path: Path) -> None:
    both = shared_data / "hsi" / "remote" / "paris_hyperion_pan.h5"
    code, out, _ = hsr("check", f"--lr_hsi={both}", f"--hr_msi={both}", "--hr_key=pan")
    assert code == 0
    words = [word for word in suggested(out) if not word.startswith("--output")]
    code, out, _ = hsr(*words, f"--output={tmp_path / 'paris.h5'}")
    assert code == 0
    assert hsr_tf.load(tmp_path / "paris.h5").shape == (216, 174, 128)
