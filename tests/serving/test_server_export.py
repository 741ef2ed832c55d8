"""A real export is answered as Keras answers."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from export.saved_model import TrainedModel, export_saved_model, shipped
from tests.serving.serving_for_tests import ask, serving


@pytest.mark.slow  # test_end_to_end asks the same of it, over gRPC
def test_vdsr_is_served_as_keras_computes_it(tmp_path: Path) -> None:
    trained = TrainedModel.load(shipped("vdsr", None))
    export_saved_model(trained, tmp_path / "vdsr" / "1")
    picture = np.random.default_rng(0).integers(0, 256, (12, 10, 3), np.uint8)
    with serving(tmp_path) as (_, client):
        lr_image = np.random.default_rng(1).uniform(0, 1, (2, 9, 11, 1)).astype("f4")
        found = client.predict(ask("vdsr", lr_image=lr_image))["estimate"]
        expected = trained.model({"lr_image": lr_image}, training=False)["estimate"]
        np.testing.assert_allclose(found, expected, atol=1e-5)
        with io.BytesIO() as file:
            Image.fromarray(picture).save(file, "PNG")
            request = ask("vdsr", "picture", image_bytes=file.getvalue(), scale=np.float64(2.0))
        answer = client.predict(request)["image_bytes"]
        assert np.asarray(Image.open(io.BytesIO(answer[()]))).shape == (24, 20, 3)
