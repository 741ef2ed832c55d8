"""Networks over the parts of a scene: where they start."""

from __future__ import annotations

import numpy as np
import pytest

from hsr_tf.closed_forms.spectral_ls import fuse_scene
from hsr_tf.networks.fusion_model import FusionConfig, FusionModel
from hsr_tf.networks.tiles import network_tiles
from hsr_tf.physics.tiled_pair import ArrayPair
from hsr_tf.tiling.stages import join, run_stages
from tests.closed_forms.test_map_fit import NUM_BANDS, SCALE, simulated


@pytest.mark.parametrize("snr_db", [(None, None), (30.0, 35.0)])
def test_a_network_that_adds_nothing_leaves_the_fitted_map(snr_db: tuple[float | None, float | None]) -> None:
    pair = simulated(3, snr_db=snr_db)
    config = FusionConfig(
        method="ms_ssfnet",
        scale=SCALE,
        num_bands=NUM_BANDS,
        num_channels=3,
        base="spectral_ls",
        consistent=True,
        options={"features": 4},
    )
    whole = ArrayPair((pair.lr_hsi, pair.hr_msi), pair.model)
    staged = network_tiles(whole, FusionModel(config, pair.model))
    run_stages(staged.stages())
    fitted = fuse_scene(pair.model, pair.lr_hsi, pair.hr_msi).estimate
    np.testing.assert_allclose(join(staged, whole.grid), fitted, atol=2e-4)
