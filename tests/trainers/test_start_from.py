"""Training starts from trained networks: whole, or the layers of the sizes that another scale has too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hsr_tf.networks.fusion_model import FusionConfig, FusionModel
from hsr_tf.networks.ms_ssfnet import counterpart
from hsr_tf.networks.pretrained import save_model
from tests.networks.test_conformance import NUM_BANDS, cameras, stir
from trainers._start_from import started_model, take_fusion_weights


def model(scale: int, method: str = "ms_ssfnet", base: str = "spectral_ls", **options: object) -> FusionModel:
    given = tuple(sorted({"features": 6, "num_levels": 1, "activation": "leaky_relu", **options}.items()))
    return FusionModel(FusionConfig(method, scale, NUM_BANDS, 3, base, True, given), cameras(scale))


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """The folder of a stirred network of x8."""
    return save_model(stir(model(8)), tmp_path / "x8", {})


def test_layers_are_named_alike_where_they_work_at_the_same_size() -> None:
    assert counterpart("spectral_3_conv1", 8, 32) == "spectral_5_conv1"
    assert counterpart("enlarge_3", 8, 2) == "enlarge_1"
    assert counterpart("head", 8, 32) == "head"


@pytest.mark.parametrize(
    ("scale", "new"),
    [
        (
            16,
            [
                "enlarge_1",
                "spatial_1_conv1",
                "spatial_1_conv2",
                "spectral_0_conv1",
                "spectral_0_conv2",
                "spectral_1_conv1",
            ],
        ),
        (4, ["spectral_0_conv1"]),
    ],
)
def test_another_scale_takes_what_works_at_its_sizes(scale: int, new: list[str], trained: Path) -> None:
    other, before = model(8), model(scale)
    other.network.set_weights(stir(other).network.get_weights())
    left = take_fusion_weights(before, str(trained))
    assert sorted(left) == new
    for layer in (layer for layer in before.network.layers if layer.weights and layer.name not in left):
        expected = other.network.get_layer(counterpart(layer.name, scale, 8)).get_weights()
        for found, wanted in zip(layer.get_weights(), expected, strict=True):
            np.testing.assert_array_equal(found, wanted)


def test_a_run_that_has_a_checkpoint_does_not_ask_for_the_model(trained: Path, tmp_path: Path) -> None:
    config, own = model(8).config, cameras(8)
    fresh = started_model(config, own, str(trained), tmp_path / "run")
    np.testing.assert_array_equal(fresh.network.get_weights()[0], stir(model(8)).network.get_weights()[0])
    run = tmp_path / "run" / "checkpoints"
    run.mkdir(parents=True)
    (run / "ckpt-1.index").touch()
    (run / "checkpoint").write_text('model_checkpoint_path: "ckpt-1"\n', encoding="utf-8")
    started_model(config, own, str(tmp_path / "gone"), tmp_path / "run")


def test_models_that_do_not_go_together_are_refused_in_one_line(trained: Path) -> None:
    with pytest.raises(ValueError, match="start_from: expected a model of ssf_cnn over spectral_ls"):
        ssf_cnn = FusionConfig("ssf_cnn", 8, NUM_BANDS, 3, "spectral_ls")
        take_fusion_weights(FusionModel(ssf_cnn, cameras(8)), str(trained))
    with pytest.raises(ValueError, match=r"other in .* weights"):
        take_fusion_weights(model(8, features=8), str(trained))
    with pytest.raises(ValueError, match="no layer alike"):
        take_fusion_weights(model(16, features=8, num_levels=1), str(trained))
    with pytest.raises(ValueError, match="over bicubic"):
        take_fusion_weights(model(8, base="bicubic"), str(trained))
