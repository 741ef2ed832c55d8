"""`auto`: chooses by held-out evidence, says what it chose, and costs nothing where the default is best."""

from __future__ import annotations

import numpy as np
import pytest

from hsr_tf import methods
from hsr_tf.fusion.api import fuse
from hsr_tf.fusion.auto import CLOSED_FORMS, Auto
from hsr_tf.options import with_options
from hsr_tf.physics.psf import gaussian_psf
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
    assert found.estimate.metadata["chosen"] == "colour_kernel"
    assert psnr(CUBE, found.estimate.cube) > psnr(CUBE, default.estimate.cube)


def test_too_few_pixels_are_no_evidence() -> None:
    small = Observation(Scene(LR_HSI[:5, :6]), Scene(HR_MSI[:20, :24]), 4)
    found = fused("auto", observation=small).estimate
    assert found.metadata["chosen"] == "spectral_ls" and "too few" in found.metadata["candidates"]
    np.testing.assert_array_equal(found.cube, fused("spectral_ls", observation=small).estimate.cube)


def test_solvers_are_candidates_when_there_is_time() -> None:
    def names(seconds: float | None, *, whole: bool = True) -> list[str]:
        return [one.name for one in Auto(MODEL).candidates(Controls(max_seconds=seconds), whole=whole)]

    assert names(None) == names(30.0) == names(1000.0, whole=False) == [*CLOSED_FORMS]
    assert names(1000.0) == [*CLOSED_FORMS, "kernel_ls", "spectralift"]


def test_candidates_are_options_and_networks_are_none() -> None:
    only = with_options(methods.get("auto"), ["candidates=colour_kernel", "networks=false"])
    assert fused(only).estimate.metadata["chosen"] == "colour_kernel"
    with pytest.raises(ValueError, match="option candidates: expected closed forms and solvers"):
        fused(with_options(methods.get("auto"), ["candidates=ms_ssfnet"]))
