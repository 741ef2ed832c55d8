"""Model folders: what the card holds, and that damage is one clear line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hsr_tf.networks import cards, pretrained
from hsr_tf.networks.fusion_model import FusionConfig, FusionModel
from hsr_tf.networks.image_network import ImageSpec
from hsr_tf.networks.pretrained import (
    CARD,
    WEIGHTS,
    find_shipped,
    load_image_network,
    load_model,
    read_card,
    save_model,
)
from hsr_tf.networks.selection import find_card
from hsr_tf.networks.vdsr import VDSR
from hsr_tf.physics.observation import ObservationModel
from hsr_tf.physics.psf import gaussian_psf
from hsr_tf.physics.spatial import SpatialDegradation
from hsr_tf.physics.spectral import SpectralResponse

OPTIONS = (("features", 4), ("num_blocks", 1))


def saved(folder: Path, **changes) -> Path:
    """A small model, saved."""
    spectral = SpectralResponse(np.eye(5)[:, :3], channels=("R", "G", "B"), name="made up")
    cameras = ObservationModel(SpatialDegradation(gaussian_psf(4), 4, border="circular"), spectral)
    config = FusionConfig(
        **{"method": "ssf_resnet", "scale": 4, "num_bands": 5, "options": OPTIONS, **changes}
    )
    return save_model(FusionModel(config, cameras), folder, {"seed": 3, "psnr_db": 40.5})


def test_the_card_says_what_the_model_is_and_for_which_cameras(tmp_path: Path) -> None:
    card = read_card(saved(tmp_path / "model"))
    assert card.config.method == "ssf_resnet"
    assert dict(card.config.options) == dict(OPTIONS)
    assert card.record == {"seed": 3, "psnr_db": 40.5}
    cameras = load_model(tmp_path / "model").cameras
    assert cameras is not None
    np.testing.assert_allclose(cameras.spatial.psf.kernel, gaussian_psf(4).kernel, rtol=1e-14)
    assert (cameras.spatial.border, cameras.spectral.name) == ("circular", "made up")
    assert cameras.spectral.channels == ("R", "G", "B")


def test_a_model_trained_in_mixed_precision_is_loaded_in_float32(tmp_path: Path) -> None:
    model = load_model(saved(tmp_path / "model", dtype="mixed_bfloat16"))
    assert {layer.compute_dtype for layer in model.network.layers} == {"float32"}


def test_saving_again_replaces_the_folder(tmp_path: Path) -> None:
    saved(tmp_path / "model", seed=0)
    saved(tmp_path / "model", seed=1)
    assert load_model(tmp_path / "model").config.seed == 1
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == [CARD, WEIGHTS]


def edit(path: Path, change: Callable[[dict], object]) -> None:
    """Change the card in place."""
    card = json.loads(path.read_text())
    change(card)
    path.write_text(json.dumps(card))


DAMAGE: dict[str, Callable[[Path], object]] = {
    "no card": lambda folder: (folder / CARD).unlink(),
    "card cut short": lambda folder: (folder / CARD).write_text((folder / CARD).read_text()[:200]),
    "card is a list": lambda folder: (folder / CARD).write_text("[]"),
    "card is binary": lambda folder: (folder / CARD).write_bytes(b"\xff\x00\xfe"),
    "no record": lambda folder: edit(folder / CARD, lambda card: card.pop("record")),
    "unknown field": lambda folder: edit(folder / CARD, lambda card: card["config"].update(colour=1)),
    "no method": lambda folder: edit(folder / CARD, lambda card: card["config"].pop("method")),
    "config is text": lambda folder: edit(folder / CARD, lambda card: card.update(config="ms_ssfnet")),
    "scale is text": lambda folder: edit(folder / CARD, lambda card: card["config"].update(scale="4")),
    "unknown option": lambda folder: edit(
        folder / CARD, lambda card: card["config"]["options"].update(depth=3)
    ),
    "no psf": lambda folder: edit(folder / CARD, lambda card: card["cameras"].pop("psf")),
    "no weights": lambda folder: (folder / WEIGHTS).unlink(),
    "weights cut short": lambda folder: (folder / WEIGHTS).write_bytes(
        (folder / WEIGHTS).read_bytes()[:-3000]
    ),
    "weights are text": lambda folder: (folder / WEIGHTS).write_text("weights"),
    "weights of another size": lambda folder: edit(
        folder / CARD, lambda card: card["config"]["options"].update(features=6)
    ),
    "weights of another depth": lambda folder: edit(
        folder / CARD, lambda card: card["config"]["options"].update(num_blocks=3)
    ),
    "unknown method": lambda folder: edit(folder / CARD, lambda card: card["config"].update(method="srgan")),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_model_is_refused_in_one_line(tmp_path: Path, damage: str) -> None:
    folder = saved(tmp_path / "model")
    DAMAGE[damage](folder)
    with pytest.raises((OSError, ValueError)) as caught:
        load_model(folder)
    assert "\n" not in str(caught.value)
    assert "; " in str(caught.value)
    assert len(str(caught.value)) < 600


def test_shipped_models_are_found_by_method_and_sizes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(tmp_path / "small")
    monkeypatch.setattr(cards, "SHIPPED", tmp_path)
    card = find_shipped("ssf_resnet", scale=4, num_bands=5, num_channels=3)
    assert card is not None
    assert card.folder == tmp_path / "small"
    assert find_shipped("ssf_resnet", scale=8, num_bands=5, num_channels=3) is None
    assert find_shipped("ms_ssfnet", scale=4, num_bands=5, num_channels=3) is None


def test_every_shipped_model_loads_and_is_small() -> None:
    for card in pretrained.shipped_models(pretrained.FUSION):
        assert load_model(card.folder).config.scale == card.config.scale
        assert sum(path.stat().st_size for path in card.folder.iterdir()) <= 8_000_000
    for card in pretrained.shipped_models(pretrained.SINGLE_IMAGE):
        assert load_image_network(card.folder).spec.scale == card.config.scale
        assert sum(path.stat().st_size for path in card.folder.iterdir()) <= 10_000_000


def saved_vdsr(folder: Path) -> Path:
    network = VDSR(ImageSpec(None, seed=5, dtype="mixed_bfloat16"), depth=3, features=4)
    return save_model(network, folder, {"psnr_db": 37.0})


def test_a_network_of_single_images_comes_back_as_it_was(tmp_path: Path) -> None:
    card = read_card(saved_vdsr(tmp_path / "model"))
    assert (card.kind, card.config.method, card.config.scale) == ("image_network", "vdsr", None)
    assert card.record == {"psnr_db": 37.0}
    network = load_image_network(card.folder)
    assert network.get_config()["depth"] == 3
    assert {layer.compute_dtype for layer in network.layers} == {"float32"}
    trained = VDSR(ImageSpec(None, seed=5), depth=3, features=4)
    for weight, other in zip(network.weights, trained.weights, strict=True):
        np.testing.assert_array_equal(weight.numpy(), other.numpy())


def test_the_two_kinds_of_models_are_not_mistaken_for_one_another(tmp_path: Path) -> None:
    saved_vdsr(tmp_path / "image")
    saved(tmp_path / "fusion")
    with pytest.raises(OSError, match="image: holds a network of single images; give the folder of a model"):
        load_model(tmp_path / "image")
    with pytest.raises(OSError, match="fusion: holds a model that fuses two images"):
        load_image_network(tmp_path / "fusion")
    with pytest.raises(OSError, match="holds a network of single images"):
        find_card("ssf_resnet", tmp_path / "image", scale=4, num_bands=5, num_channels=3)


IMAGE_DAMAGE: dict[str, Callable[[dict], object]] = {
    "kind": lambda card: card.update(kind="video"),
    "method": lambda card: card["config"].update(method="ms_ssfnet"),
    "options": lambda card: card["config"].update(options=[1]),
    "unknown option": lambda card: card["config"]["options"].update(colour=1),
    "scale": lambda card: card["config"].update(scale="2"),
    "other depth": lambda card: card["config"]["options"].update(depth=4),
}


@pytest.mark.parametrize("damage", IMAGE_DAMAGE)
def test_a_damaged_card_of_a_network_is_refused_in_one_line(tmp_path: Path, damage: str) -> None:
    folder = saved_vdsr(tmp_path / "model")
    edit(folder / CARD, IMAGE_DAMAGE[damage])
    with pytest.raises((OSError, ValueError)) as caught:
        load_image_network(folder)
    assert "\n" not in str(caught.value)
    assert "; " in str(caught.value)
