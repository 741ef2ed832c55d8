"""A network with its base inside becomes one TensorFlow Lite file of built-in operators or one SavedModel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from hsr_tf.networks.fusion_model import FusionConfig, FusionModel
from hsr_tf.physics.observation import standard_model
from hsr_tf.physics.spectral import load_srf

CAVE_NM = np.arange(400.0, 701.0, 10.0)


def model_and_views(consistent: bool) -> tuple[FusionModel, dict[str, tf.Tensor]]:
    """A small x4 MS-SSFNet over the closed-form base, its head not zero, and a scene of 32 x 48."""
    cameras = standard_model(load_srf("nikon_d700", CAVE_NM), 4)
    options = (("features", 8),)
    config = FusionConfig("ms_ssfnet", 4, 31, base="spectral_ls", consistent=consistent, options=options)
    model, rng = FusionModel(config, cameras), np.random.default_rng(0)
    for weight in model.network.weights:
        weight.assign(weight + rng.normal(0, 0.02, weight.shape))
    cube = rng.random((1, 8, 12, 31)).astype(np.float32).repeat(4, 1).repeat(4, 2)
    lr_hsi, hr_msi = cameras.simulate(cube)
    return model, {"lr_hsi": lr_hsi, "hr_msi": hr_msi}


def traced(model: FusionModel, views: dict[str, tf.Tensor]) -> tuple:
    """The model as a function of the two images of these sizes."""
    function = tf.function(lambda lr_hsi, hr_msi: model({"lr_hsi": lr_hsi, "hr_msi": hr_msi}))
    specs = [tf.TensorSpec(view.shape, name=name) for name, view in views.items()]
    return function, function.get_concrete_function(*specs)


@pytest.mark.parametrize("consistent", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_lite_file_holds_builtin_operators_only_and_gives_the_same_cube(consistent: bool) -> None:
    model, views = model_and_views(consistent)
    _, concrete = traced(model, views)
    # Given the model as well, the converter would leave its weights as variables that nothing fills.
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    interpreter = tf.lite.Interpreter(model_content=converter.convert())
    interpreter.allocate_tensors()
    operators = {detail["op_name"] for detail in interpreter._get_ops_details()}
    assert not [name for name in operators if name.startswith("Flex") or name in ("CUSTOM", "VAR_HANDLE")]
    for detail in interpreter.get_input_details():
        name = next(name for name in views if name in detail["name"])
        interpreter.set_tensor(detail["index"], np.asarray(views[name]))
    interpreter.invoke()
    estimate = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    np.testing.assert_allclose(estimate, model(views), atol=1e-4)


@pytest.mark.slow
def test_the_saved_model_takes_any_size_and_gives_the_same_cube(tmp_path: Path) -> None:
    model, views = model_and_views(consistent=False)

    class Served(tf.Module):
        """The model under the names of its two inputs."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        @tf.function(
            input_signature=[
                tf.TensorSpec((None, None, None, 31), name="lr_hsi"),
                tf.TensorSpec((None, None, None, 3), name="hr_msi"),
            ]
        )
        def fuse(self, lr_hsi: tf.Tensor, hr_msi: tf.Tensor) -> tf.Tensor:
            return self.model({"lr_hsi": lr_hsi, "hr_msi": hr_msi})

    tf.saved_model.save(Served(), str(tmp_path / "saved"))
    loaded = tf.saved_model.load(str(tmp_path / "saved"))
    np.testing.assert_allclose(loaded.fuse(**views), model(views), atol=1e-4)
