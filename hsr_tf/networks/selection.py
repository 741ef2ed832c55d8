"""Which trained weights fit an observation, and in what the observation differs from their training."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from hsr_tf import checks, methods
from hsr_tf.networks.cards import (
    FusionConfig,
    ImageConfig,
    ModelCard,
    find_shipped,
    read_card,
    shipped_models,
)
from hsr_tf.networks.model_info import FUSION
from hsr_tf.networks.reference_view import REFERENCE_NM, covers
from hsr_tf.physics.cameras import ESTIMATED, GIVEN, TOLD, CameraChoice
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.radiometry import Radiometry
from hsr_tf.scene import Observation

AS_TRAINED = "as trained"
TOLERANCE = 1e-3
UNIT_GAIN = 0.1


def select_weights(
    method: str, observation: Observation, weights: str | os.PathLike[str] | None
) -> ModelCard:
    """The card of the weights given, else of the shipped ones for an observation's sizes; see `find_card`."""
    return find_card(
        method,
        weights,
        scale=observation.scale,
        num_bands=observation.lr_hsi.num_bands,
        num_channels=observation.hr_msi.num_bands,
    )


def find_card(
    method: str,
    weights: str | os.PathLike[str] | None,
    *,
    scale: int,
    num_bands: int,
    num_channels: int,
) -> ModelCard:
    """The card of the weights given, else of the shipped ones for these sizes.

    Raises:
        ValueError: weights of another method or for other sizes; none given and none shipped that fit.
        OSError: a folder that holds no trained model.
    """
    wanted = FusionConfig(method, scale, num_bands, num_channels)
    if weights is not None:
        card = read_card(weights)
        if card.kind != FUSION:
            raise checks.file_error(card.folder, "holds a network of single images", "give a fusion model's")
        checks.require(
            card.fits(wanted),
            "weights",
            expected=f"weights for {describe_fit(wanted)}",
            received=f"{card.folder} for {describe_fit(card.config)}",
            remedy="give those trained for these sizes, or use spectral_ls, which needs none",
        )
        return card
    shipped = find_shipped(method, scale=scale, num_bands=num_bands, num_channels=num_channels)
    if shipped is not None:
        return shipped
    known = "; ".join(f"{card.folder.name}: {describe_fit(card.config)}" for card in shipped_models(FUSION))
    raise checks.InputError(
        "weights",
        expected=f"trained weights for {describe_fit(wanted)}",
        received=f"none and none shipped that fit ({known or 'there are none'})",
        remedy="give the folder of a trained model, or use spectral_ls, which needs none",
    )


def describe_fit(config: FusionConfig | ImageConfig) -> str:
    """What a model fits, in words: `ms_ssfnet, 31 bands + 3 channels, x8`, `vdsr, luminance, any factor`."""
    if methods.get(config.method).any_cameras:
        return f"{config.method}, any channels, cameras and factor, {_span(REFERENCE_NM)} nm"
    factor = "any factor" if config.scale is None else f"x{config.scale}"
    channels = f"{config.num_channels} channels"
    if isinstance(config, FusionConfig):
        channels = f"{config.num_bands} bands + {channels}"
    elif config.num_channels == 1:
        channels = "luminance"
    return f"{config.method}, {channels}, {factor}"


def describe_card(card: ModelCard) -> str:
    """What a model fits, in words, and whether it was trained for minutes only."""
    minutes = card.record.get("budget_minutes")
    return describe_fit(card.config) + ("" if minutes is None else f", trained for {minutes:g} minutes only")


def training_differences(card: ModelCard, observation: Observation, choice: CameraChoice) -> list[str]:
    """One line for each camera or band position that is not what the weights were trained for."""
    name = card.folder.name
    lines: list[str] = []
    trained_nm, found_nm = card.record.get("wavelengths_nm"), observation.lr_hsi.wavelengths_nm
    if methods.get(card.config.method).any_cameras:
        if covers(observation.lr_hsi.num_bands, found_nm):
            return lines
        bands = f"{observation.lr_hsi.num_bands} bands"
        bands += "" if found_nm is None else f" at {_span(np.asarray(found_nm, dtype=float))} nm"
        seen = f"{_span(REFERENCE_NM)} nm"
        return [f"the weights {name} know spectra of {seen}, lr_hsi has {bands}: others stay as spectral_ls"]
    if trained_nm is not None and found_nm is not None:
        expected_nm = np.asarray(trained_nm, dtype=float)
        if not np.allclose(expected_nm, found_nm, rtol=0, atol=0.5):
            lines.append(
                f"the weights {name} were trained for bands at {_span(expected_nm)} nm, "
                f"lr_hsi has {_span(found_nm)} nm"
            )
    trained = card.cameras
    if trained is None:
        return lines
    psf, srf = choice.model.spatial.psf, choice.model.spectral
    if choice.psf_origin in (GIVEN, TOLD) and not _same_kernel(trained.spatial.psf.kernel, psf.kernel):
        lines.append(
            f"the weights {name} were trained for the PSF {trained.spatial.psf.name}, "
            f"the images have {psf.name} ({choice.psf_origin})"
        )
    if choice.srf_origin in (GIVEN, TOLD) and not _close(trained.spectral.matrix, srf.matrix):
        lines.append(
            f"the weights {name} were trained for the response {trained.spectral.name}, "
            f"the images have {srf.name} ({choice.srf_origin}), on these bands another matrix"
        )
    return lines


def trained_for(card: ModelCard, model: ObservationModel) -> bool:
    """Whether weights were trained for these bands and channels, this scale and these cameras."""
    trained, config = card.cameras, card.config
    return (
        isinstance(config, FusionConfig)
        and trained is not None
        and card.fits(FusionConfig(config.method, model.scale, *model.spectral.matrix.shape))
        and _same_kernel(trained.spatial.psf.kernel, model.spatial.psf.kernel)
        and _close(trained.spectral.matrix, model.spectral.matrix)
    )


def fitting_cards(model: ObservationModel, wavelengths_nm: ArrayLike | None) -> list[ModelCard]:
    """The shipped weights that were trained for two cameras, then those for any, where they know the bands.

    All of them are of networks over `spectral_ls`, as published forms without a base are below it. The mean
    of both is better than either, 0.3 dB at x16, as they err differently.

    Args:
        model: the two cameras.
        wavelengths_nm: (C,) band centres; None where they are not known.
    """
    cards = [card for card in shipped_models(FUSION) if _over_spectral_ls(card)]
    own = [card for card in cards if not _fits_any(card) and trained_for(card, model)]
    if not covers(len(model.spectral.matrix), wavelengths_nm):
        return own
    return own + [card for card in cards if _fits_any(card)]


def shipped_for(observation: Observation) -> list[ModelCard]:
    """The shipped weights for the scale, bands and channels of an observation, whatever its cameras."""
    sizes = observation.scale, observation.lr_hsi.num_bands, observation.hr_msi.num_bands
    return [
        card
        for card in shipped_models(FUSION)
        if isinstance(card.config, FusionConfig) and card.fits(FusionConfig(card.config.method, *sizes))
    ]


def cameras_with(card: ModelCard, choice: CameraChoice) -> CameraChoice:
    """The same choice, with the cameras that the weights were trained for where nothing better is known.

    Where the response was estimated and found to have other gains than the trained one, by more than a tenth
    or beside a tone curve or offset, the radiometry divides Y by their ratio, as the weights cannot.
    """
    trained = card.cameras
    if trained is None:
        return choice
    keep_psf, keep_srf = (origin in (GIVEN, TOLD) for origin in (choice.psf_origin, choice.srf_origin))
    model = ObservationModel(
        choice.model.spatial if keep_psf else trained.spatial,
        choice.model.spectral if keep_srf else trained.spectral,
    )
    radiometry = choice.radiometry if keep_srf else _in_trained_units(choice, trained)
    return CameraChoice(
        model,
        choice.psf_origin if keep_psf else AS_TRAINED,
        choice.srf_origin if keep_srf else AS_TRAINED,
        radiometry,
    )


def _in_trained_units(choice: CameraChoice, trained: ObservationModel) -> Radiometry:
    """The radiometry of a choice that brings Y to the gains of the trained response as well."""
    if choice.srf_origin != ESTIMATED:
        return choice.radiometry
    ratio = choice.model.spectral.matrix.sum(0) / trained.spectral.matrix.sum(0)
    if choice.radiometry.is_identity and np.abs(ratio - 1).max() <= UNIT_GAIN:
        return choice.radiometry
    return replace(choice.radiometry, divisor=tuple(np.maximum(ratio, TOLERANCE).tolist()))


def _fits_any(card: ModelCard) -> bool:
    return methods.get(card.config.method).any_cameras


def _over_spectral_ls(card: ModelCard) -> bool:
    return isinstance(card.config, FusionConfig) and card.config.base == "spectral_ls"


def _same_kernel(a: np.ndarray, b: np.ndarray) -> bool:
    """Equal but for zeros around them; kernels of different parity sit differently and are never the same."""
    size = [max(pair) for pair in zip(a.shape, b.shape, strict=True)]
    grown = []
    for kernel in (a, b):
        margins = [total - n for total, n in zip(size, kernel.shape, strict=True)]
        if any(margin % 2 for margin in margins):
            return False
        grown.append(np.pad(kernel, [(margin // 2, margin // 2) for margin in margins]))
    return _close(grown[0], grown[1])


def _close(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and bool(np.abs(a - b).max() <= TOLERANCE * np.abs(a).max())


def _span(wavelengths_nm: np.ndarray) -> str:
    return f"{wavelengths_nm.min():g}-{wavelengths_nm.max():g}"
