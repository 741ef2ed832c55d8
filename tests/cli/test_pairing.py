"""Every command pairs two images as `hsr fuse` does, and finds arrays by the same keys."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.io

import hsr_tf
from hsr_tf.geo.georeference import Georeference
from hsr_tf.registration.transform import Transform
from hsr_tf.scene import Scene
from tests.cli.command_for_tests import Answer
from tests.registered_for_tests import placed_pair, similarity

CRS = "EPSG:32632"
SCALE, SHARP = 4, 2.0
PSF, SRF = "--psf=gaussian", "--srf=srf.csv"


def placed(scene: Scene, size: float, top: float = 4_600_000.0) -> Scene:
    return replace(scene, georeference=Georeference((size, 0, 5e5, 0, -size, top), CRS))


@pytest.fixture
def pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One pair on grids: as it is, the cube south-up, and the sharp image on a larger ground."""
    rng = np.random.default_rng(2)
    wavelengths = np.linspace(400, 700, 6)
    shares = rng.random((96, 80, 3)).cumsum(0).cumsum(1)
    shares /= shares.max((0, 1))
    cube = (shares @ rng.random((3, 6)) + 0.2 * rng.random((96, 80, 1))).astype(np.float32)
    response = np.exp(-0.5 * ((wavelengths[:, None] - [600, 530, 450]) / 60) ** 2)
    response /= response.sum(0)
    table = np.c_[wavelengths, response]
    np.savetxt(tmp_path / "srf.csv", table, "%.9g", ",", header="nm,r,g,b", comments="")
    pair = hsr_tf.simulate(
        Scene(cube, wavelengths, "ground"), scale=SCALE, srf=str(tmp_path / "srf.csv"), psf="gaussian"
    )
    lr_hsi = placed(Scene(pair.lr_hsi.cube, wavelengths), SCALE * SHARP)
    hr_msi = placed(Scene(pair.hr_msi.cube), SHARP)
    south_up = Georeference((8.0, 0, 5e5, 0, 8.0, 4_600_000.0 - 8 * 24), CRS)
    larger = np.pad(hr_msi.cube, ((7, 8), (0, 5), (0, 0)), mode="reflect")
    hsr_tf.save(lr_hsi, tmp_path / "x.tif")
    hsr_tf.save(hr_msi, tmp_path / "y.tif")
    hsr_tf.save(replace(lr_hsi, cube=lr_hsi.cube[::-1], georeference=south_up), tmp_path / "south_up.tif")
    hsr_tf.save(placed(Scene(larger), SHARP, 4_600_000.0 + 7 * SHARP), tmp_path / "larger.tif")
    arrays = {"HS": lr_hsi.cube, "PAN": hr_msi.cube, "wavelength": wavelengths}
    scipy.io.savemat(tmp_path / "both.mat", arrays)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def residuals_of_fuse(answer: Answer) -> list[float]:
    assert answer.code == 0, answer.err
    found = re.search(r"lr_hsi (\S+) %, hr_msi (\S+) %", answer.out)
    if found is None:  # under 0.001 %
        return [0.0, 0.0]
    return [float(value) / 100 for value in found.groups()]


@pytest.mark.parametrize("files", [("south_up.tif", "y.tif"), ("x.tif", "larger.tif")])
def test_quality_and_report_pair_by_grids_as_fuse(
    pairs: Path, hsr: Callable[..., Answer], files: tuple[str, str]
) -> None:
    # a PSF that is not the camera's leaves residuals that can be compared
    given = (f"--lr_hsi={files[0]}", f"--hr_msi={files[1]}", SRF, "--psf=gaussian:fwhm=5")
    expected = residuals_of_fuse(hsr("fuse", *given, "--method=spectral_ls", "--output=z.tif"))
    answer = hsr("quality", *given, "--estimate=z.tif", "--json=q.json")
    assert answer.code == 0, answer.err
    assert "grids: scale 4 from the grids of the files" in answer.out
    figures = json.loads((pairs / "q.json").read_text())["figures"]
    found = [figures["lr_hsi_residual"], figures["hr_msi_residual"]]
    assert found == pytest.approx(expected, rel=0.06)
    assert figures["hqnr"] > 0.9
    assert hsr("report", *given, "--estimate=z.tif", "--output=r.html").code == 0


def test_quality_and_report_register_as_fuse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hsr: Callable[..., Answer]
) -> None:
    monkeypatch.chdir(tmp_path)
    pair = placed_pair(similarity(3.0, 4.0, (1.0, -2.0), sizes=(16, 64)), side=16, sharp_side=64, snr_db=35)
    hsr_tf.save(pair.lr_hsi, "x.h5")
    hsr_tf.save(pair.hr_msi, "y.h5")
    Transform(pair.matrix, (16, 16), (64, 64)).save("t.json")
    given = ("--lr_hsi=x.h5", "--hr_msi=y.h5", "--psf=gaussian:fwhm=4", "--linearize=none")
    fused = hsr("fuse", *given, "--transform=t.json", "--method=spectral_ls", "--output=z.h5")
    expected = residuals_of_fuse(fused)
    answer = hsr("quality", *given, "--estimate=z.h5", "--json=q.json")
    assert "grids: registered: hr_msi rotated by 3.0" in answer.out
    found = json.loads((tmp_path / "q.json").read_text())
    residuals = [found["figures"][name] for name in ("lr_hsi_residual", "hr_msi_residual")]
    # The estimate was resampled there and back.
    assert residuals == pytest.approx(expected, rel=0.3, abs=2e-3)
    assert pair.error(np.array(found["transform"]["matrix"])) < 0.3
    page = hsr("report", *given[:3], "--transform=t.json", "--estimate=z.h5", "--output=r.html")
    assert page.code == 0, page.err
    assert "registered: hr_msi rotated by 3.00" in (tmp_path / "r.html").read_text()


def test_a_report_of_files_has_a_banner_where_the_estimate_does_not_explain_them(
    pairs: Path, hsr: Callable[..., Answer]
) -> None:
    given = ("--lr_hsi=x.tif", "--hr_msi=y.tif", SRF, PSF)
    assert hsr("fuse", *given, "--method=spectral_ls", "--output=z.tif").code == 0
    good = hsr_tf.load("z.tif")
    hsr_tf.save(replace(good, cube=good.cube[:, ::-1]), "wrong.tif")
    pages = []
    for estimate in ("z.tif", "wrong.tif"):
        assert hsr("report", *given, f"--estimate={estimate}", "--output=r.html").code == 0
        pages.append((pairs / "r.html").read_text())
    assert "does not explain" not in pages[0]
    assert "does not explain lr_hsi" in pages[1] and "does not explain hr_msi" in pages[1]


def test_an_estimate_of_another_ground_is_refused(pairs: Path, hsr: Callable[..., Answer]) -> None:
    hsr_tf.save(placed(Scene(np.ones((96, 80, 6))), SHARP, 4_600_000.0 + 30), pairs / "z.tif")
    hsr_tf.save(placed(Scene(np.ones((111, 85, 6))), SHARP), pairs / "large.tif")
    given = ("--lr_hsi=x.tif", "--hr_msi=larger.tif", PSF, SRF)
    for command in (("quality",), ("report", "--output=r.html")):
        shifted = hsr(*command, *given, "--estimate=z.tif")
        assert shifted.code == 2 and "corners lie up to 15 sharp pixels elsewhere" in shifted.err
        sized = hsr(*command, *given, "--estimate=large.tif")
        assert sized.code == 2 and "expected 96x80x6" in sized.err and "got 111x85x6" in sized.err
    assert not (pairs / "r.html").exists()


def test_keys_name_the_arrays_in_every_command(pairs: Path, hsr: Callable[..., Answer]) -> None:
    keyed = ("--lr_hsi=both.mat", "--hr_msi=both.mat", "--lr_key=HS", "--hr_key=PAN", PSF)
    assert hsr("fuse", *keyed, "--srf=estimate", "--method=spectral_ls", "--output=z.h5").code == 0
    answer = hsr("quality", *keyed, "--srf=estimate", "--estimate=z.h5")
    assert answer.code == 0, answer.err
    assert hsr("report", *keyed, "--estimate=z.h5", "--output=r.html").code == 0
    sizes = {"HS": "24 rows x 20 columns x 6 bands", "PAN": "96 rows x 80 columns x 3 bands"}
    for key, size in sizes.items():
        assert size in hsr("info", "both.mat", f"--key={key}").out
    refused = hsr("quality", *keyed, "--lr_key=NONE", "--estimate=z.h5")
    assert refused.code == 2 and "NONE" in refused.err
