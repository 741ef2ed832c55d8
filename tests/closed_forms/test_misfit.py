"""How two images differ: a wrong PSF, a shift and wrong colours are told apart; Y is matched accordingly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

import hsr_tf
from hsr_tf.closed_forms.coarse_pair import CoarsePair
from hsr_tf.closed_forms.misfit import doubt_in_values
from hsr_tf.closed_forms.spectral_ls import fit_scene
from hsr_tf.scene import Observation, Scene
from tests.closed_forms.test_map_fit import NUM_BANDS, Simulated, simulated

Misfit = Callable[[Simulated], Simulated]


def wider(pair: Simulated) -> Simulated:
    return replace(pair, lr_hsi=ndimage.gaussian_filter(pair.lr_hsi, (0.5, 0.5, 0), mode="reflect"))


def shifted(pair: Simulated) -> Simulated:
    return replace(pair, hr_msi=ndimage.shift(pair.hr_msi, (0.5, 0.3, 0), order=3, mode="nearest"))


def gained(pair: Simulated) -> Simulated:
    return replace(pair, hr_msi=pair.hr_msi * np.array([1.05, 0.96, 1.0], np.float32))


def other_response(pair: Simulated) -> Simulated:
    moved = np.roll(pair.model.spectral.matrix, 2, axis=0)
    return replace(pair, hr_msi=(pair.truth @ moved).astype(np.float32))


def compressed(pair: Simulated) -> Simulated:
    """What is left of Y in a JPEG file of quality 90, in fine detail and not in colour."""
    white, file = float(pair.hr_msi.max()), BytesIO()
    levels = np.round(np.clip(pair.hr_msi, 0, None) / white * 255).astype(np.uint8)
    Image.fromarray(levels).save(file, "jpeg", quality=90)
    return replace(pair, hr_msi=np.asarray(Image.open(file), np.float32) / 255 * white)


@pytest.mark.parametrize(
    ("misfit", "least", "most"),
    [
        (wider, 0.0, 0.2),
        (shifted, 0.0, 0.2),
        (gained, 0.8, 1.0),
        (other_response, 0.8, 1.0),
    ],
)
def test_what_survives_in_means_over_pixels_speaks_against_values(
    misfit: Misfit, least: float, most: float
) -> None:
    pair = misfit(simulated(3, side=144))
    blurred = np.asarray(pair.model.spatial.forward(pair.hr_msi[None]))[0]
    features = np.concatenate([np.ones_like(blurred[..., :1]), blurred], -1)
    size = pair.lr_hsi.shape[:2]
    coarse = CoarsePair((size[0], size[1]), lambda rows: (features[rows], pair.lr_hsi[rows]))
    share = doubt_in_values(coarse, pair.model.spectral.matrix, np.ones(size, np.float32), 0.0)
    assert least <= share <= most


def test_noise_alone_is_no_colour() -> None:
    pair = simulated(3, side=144, snr_db=(25, 30))
    assert fit_scene(pair.model, pair.lr_hsi, pair.hr_msi).miscoloured == pytest.approx(0, abs=2e-3)


@pytest.mark.parametrize(("misfit", "follows"), [(wider, True), (other_response, False), (compressed, False)])
def test_a_wrong_psf_is_no_reason_to_doubt_the_sharp_image(misfit: Misfit, follows: bool) -> None:
    pair = misfit(simulated(3, side=144))
    wavelengths = np.linspace(400, 700, NUM_BANDS)
    images = Scene(pair.lr_hsi, wavelengths), Scene(pair.hr_msi)
    observation = replace(Observation.from_pair(*images), linearize="none")
    solution = hsr_tf.fuse(observation, "kernel_ls", psf=pair.model.spatial.psf, srf=pair.model.spectral)
    assert solution.hr_msi_residual is not None
    assert (solution.hr_msi_residual < 0.02) == follows
