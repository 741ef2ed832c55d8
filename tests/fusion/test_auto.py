"""`auto`: chooses by held-out evidence, says what it chose, and costs nothing where the default is best."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

import hsr_tf
from hsr_tf import methods
from hsr_tf.fusion.api import fuse
from hsr_tf.fusion.auto import CLOSED_FORMS, Auto, chosen_words
from hsr_tf.fusion.blend import KERNEL_LS
from hsr_tf.fusion.evidence import Verdict
from hsr_tf.options import with_options
from hsr_tf.physics.cameras import make_cameras
from hsr_tf.physics.psf import gaussian_psf
from hsr_tf.physics.tiled_pair import ArrayPair
from hsr_tf.report.screen import fusion_facts
from hsr_tf.scene import Observation, Scene, Solution
from hsr_tf.solvers.solver import Controls
from hsr_tf.typing import Cube
from tests.solvers.scenes import cameras, mixture, pair

CUBE, MODEL = mixture(96, 80, 9), cameras(9)
LR_HSI, HR_MSI = pair(CUBE, MODEL)
OBSERVATION = Observation(Scene(LR_HSI), Scene(HR_MSI), 4)


def psnr(reference: Cube, estimate: Cube) -> float:
    """Over the whole cube, peak 1."""
    return float(-10 * np.log10(np.mean((reference - estimate) ** 2)))


def fused(
    method: str | methods.Method, fwhm: float = 4.0, observation: Observation = OBSERVATION
) -> Solution:
    return fuse(observation, method, psf=gaussian_psf(4, fwhm=fwhm), srf=MODEL.spectral)


def test_it_is_no_worse_than_spectral_ls_on_a_clean_pair() -> None:
    found, default = fused("auto"), fused("spectral_ls")
    assert psnr(CUBE, found.estimate.cube) > psnr(CUBE, default.estimate.cube) - 0.05
    facts = dict(fusion_facts(OBSERVATION, found))
    assert found.estimate.metadata["chosen"] in facts["chosen"]
    assert all(name in facts["chosen"] for name in CLOSED_FORMS)


@pytest.mark.filterwarnings("ignore")
def test_a_wrong_psf_makes_it_choose_a_method_without_one() -> None:
    found, default = fused("auto", 14.0), fused("spectral_ls", 14.0)
    assert "colour_kernel" in str(found.estimate.metadata["chosen"]).split(" + ")[0]
    assert psnr(CUBE, found.estimate.cube) > psnr(CUBE, default.estimate.cube)


def test_too_few_pixels_are_no_evidence() -> None:
    small = Observation(Scene(LR_HSI[:1, :3]), Scene(HR_MSI[:4, :12]), 4)
    found = fused("auto", observation=small).estimate
    assert found.metadata["chosen"] == "spectral_ls" and "too few" in found.metadata["candidates"]
    np.testing.assert_array_equal(found.cube, fused("spectral_ls", observation=small).estimate.cube)


@pytest.mark.parametrize("missing", ["lr_hsi", "hr_msi"])
def test_pixels_missing_outside_of_the_part_that_is_judged(missing: str) -> None:
    cube = mixture(240, 120, 9)  # 60 x 30 coarse pixels, of which the middle 48 x 30 are judged
    lr_hsi, hr_msi = pair(cube, MODEL)
    images = {"lr_hsi": lr_hsi, "hr_msi": hr_msi}
    hole = np.zeros(images[missing].shape[:2], bool)
    hole[1:3, 2:5] = True
    scenes = {
        name: Scene(
            np.where(hole[..., None], 9, image) if name == missing else image,
            nodata_mask=hole if name == missing else None,
        )
        for name, image in images.items()
    }
    found = fused("auto", observation=Observation(**scenes, scale=4)).estimate.cube
    away = np.s_[32:, 32:]
    whole = fused("auto", observation=Observation(Scene(lr_hsi), Scene(hr_msi), 4)).estimate.cube
    assert psnr(cube[away], found[away]) > psnr(cube[away], whole[away]) - 0.1


def test_solvers_are_candidates_when_there_is_time() -> None:
    def names(seconds: float | None, side: int = 64, *, whole: bool = True) -> list[str]:
        shapes = (side, 40, CUBE.shape[-1]), (4 * side, 160, HR_MSI.shape[-1])
        images = tuple(np.broadcast_to(np.float32(0), shape) for shape in shapes)
        pair = ArrayPair((images[0], images[1]), MODEL, tile=None if whole else 16)
        found = Auto(MODEL).candidates(pair, Controls(max_seconds=seconds))
        return [one.name for one in found]

    quick = [*CLOSED_FORMS, KERNEL_LS]
    assert names(None) == names(30.0) == names(1000.0, whole=False) == quick
    assert names(None, 1000) == [*CLOSED_FORMS] and names(100.0, 1000) == quick
    assert names(1000.0) == [*quick, "spectralift"]


def test_candidates_are_options_and_networks_are_none() -> None:
    only = with_options(methods.get("auto"), ["candidates=colour_kernel", "networks=false"])
    assert fused(only).estimate.metadata["chosen"] == "colour_kernel"
    with pytest.raises(ValueError, match="option candidates: expected closed forms and solvers"):
        fused(with_options(methods.get("auto"), ["candidates=ms_ssfnet"]))


def blurred_by_scipy(border: str) -> Observation:
    """A pair that SciPy simulates: soft optics, cells of s x s pixels, a border, noise in both images."""
    rng = np.random.default_rng(7)
    soft = ndimage.gaussian_filter(CUBE, (3.0, 3.0, 0), mode=border)
    lr_hsi = soft.reshape(CUBE.shape[0] // 4, 4, CUBE.shape[1] // 4, 4, -1).mean((1, 3))
    images = lr_hsi, CUBE @ MODEL.spectral.matrix
    noisy = [x + 0.005 * x.mean() * rng.standard_normal(x.shape) for x in images]
    return Observation(*(Scene(x.astype(np.float32)) for x in noisy), 4)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("border", ["reflect", "constant"])
def test_an_unknown_psf_and_border_are_found(border: str) -> None:
    pair = blurred_by_scipy(border)
    found = fuse(pair, "auto", srf=MODEL.spectral)
    assert "estimated" in str(found.estimate.metadata["psf"])
    default = fuse(pair, "spectral_ls", srf=MODEL.spectral)
    assert psnr(CUBE, found.estimate.cube) > psnr(CUBE, default.estimate.cube) + 1


def test_it_is_the_default_and_says_what_it_blends() -> None:
    solution = fuse(OBSERVATION, psf=gaussian_psf(4, fwhm=4.0), srf=MODEL.spectral)
    assert solution.estimate.metadata["method"] == "auto"


def test_what_is_chosen_in_words() -> None:
    mean = {"kernel_ls": 0.7, "spectral_ls": 0.3}
    assert chosen_words(Verdict(mean, True, {})) == "70 % kernel_ls + 30 % spectral_ls"
    refined = Verdict({"prior": 1.0}, True, {}, start=mean)
    assert chosen_words(refined) == "prior over 70 % kernel_ls + 30 % spectral_ls"
    both = Verdict({"own": 0.5, "prior": 0.5}, True, {}, start=mean)
    assert chosen_words(both) == "50 % own + 50 % prior over (70 % kernel_ls + 30 % spectral_ls)"
    single = Verdict({"own": 0.5, "prior": 0.5}, True, {}, start={"kernel_ls": 1.0})
    assert chosen_words(single) == "50 % own + 50 % prior over kernel_ls"


def test_weights_trained_for_these_cameras_have_a_share_that_follows_the_noise() -> None:
    scene = Scene(np.random.default_rng(2).random((48, 64, 31), np.float32), np.linspace(400.0, 700.0, 31))
    smooth = Scene(mixture(128, 144, 31).astype(np.float32), scene.wavelengths_nm)
    clean = hsr_tf.simulate(scene, scale=8)
    solution = hsr_tf.fuse(clean)
    found = solution.estimate.metadata
    assert found["chosen"].startswith("50 % ms_ssfnet_nikon_d700_31_x8 + 50 % prior over ")
    assert "trained" in found["evidence"] and "spectral_ls" in found["candidates"]
    assert solution.hr_msi_residual is not None and solution.hr_msi_residual < 1e-4
    half = hsr_tf.fuse(hsr_tf.simulate(smooth, scale=8, snr_db=(30.0, 35.0))).estimate.metadata
    assert half["chosen"].startswith("50 % ms_ssfnet_nikon_d700_31_x8 + ") and "noise" in half["evidence"]
    assert "prior over" in half["chosen"]
    assert found["trust"] == hsr_tf.fuse(clean, "spectral_ls").estimate.metadata["trust"]
    wide = hsr_tf.fuse(hsr_tf.simulate(scene, scale=16)).estimate.metadata["chosen"]
    assert wide.startswith("50 % ms_ssfnet_nikon_d700_31_x16 + 50 % prior over ")
    other = hsr_tf.fuse(hsr_tf.simulate(scene, scale=4, psf="box")).estimate.metadata
    assert other["chosen"].startswith("prior over ") and "any cameras" in other["evidence"]
    response = make_cameras(scene, 8).spectral
    infrared = hsr_tf.simulate(Scene(scene.cube, np.linspace(900.0, 1700.0, 31)), scale=8, srf=response)
    assert "prior" not in hsr_tf.fuse(infrared, srf=response).estimate.metadata["chosen"]


@pytest.mark.slow
def test_networks_under_noise() -> None:
    smooth = Scene(mixture(128, 144, 31).astype(np.float32), np.linspace(400.0, 700.0, 31))
    worse = hsr_tf.fuse(hsr_tf.simulate(smooth, scale=8, snr_db=(20.0, 22.0))).estimate.metadata
    assert not worse["chosen"].startswith("50 % ms_ssfnet") and "held-out" in worse["evidence"]
    dim = hsr_tf.simulate(smooth, scale=4, snr_db=(35.0, 40.0))
    assert hsr_tf.fuse(dim).estimate.metadata["chosen"].startswith("prior over ")
