"""A small network with its TFLite files, and how far these are from Keras."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from export.comparison import SavedModel
from export.flatbuffer import tflite_metadata, with_metadata
from export.quantize import OF_PICTURES, IntegerForm, reduced
from export.tflite_model import TFLiteModel
from hsr_tf.networks.fusion_model import FusionModel
from hsr_tf.networks.image_network import ImageNetwork
from tests.networks.test_conformance import cameras, observe
from tests.networks.test_image_conformance import inputs_of

Inputs = dict[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Exported:
    """A small network as it is used, its SavedModel and the float32 file of that."""

    model: ImageNetwork | FusionModel
    folder: Path
    saved: SavedModel
    content: bytes

    def variant(self, name: str, form: IntegerForm = OF_PICTURES) -> bytes:
        """The file in another precision, as export.tflite makes it."""
        smaller = reduced(self.content, name, calibration=self.calibration, form=form)
        return with_metadata(smaller, tflite_metadata(self.content))

    def inputs(self, size: tuple[int, int]) -> Inputs:
        """Random smooth inputs of about natural contrast."""
        if isinstance(self.model, FusionModel):
            views = observe(cameras(self.model.config.scale), size, batch=1)
            return {name: view.numpy() for name, view in views.items()}
        views = {name: view.numpy() for name, view in inputs_of(self.model, size, batch=1).items()}
        return {**views, "lr_image": smooth(*size)}

    def calibration(self) -> Iterator[Inputs]:
        """Eight inputs, of sizes that no test asks about."""
        sizes = [(7, 8), (8, 9)] if isinstance(self.model, FusionModel) else [(32, 36), (40, 32)]
        return iter([self.inputs((rows + i, columns)) for rows, columns in sizes for i in range(4)])


def smooth(height: int, width: int) -> np.ndarray:
    """(1, height, width, 1) float32: a coarse random grid, enlarged."""
    coarse = np.random.default_rng(height).random((1, 4, 5, 1))
    return tf.image.resize(coarse, (height, width), "bicubic").numpy().clip(0, 1).astype(np.float32)


def difference(model: TFLiteModel, one: Exported, inputs: Inputs) -> float:
    """The largest of all outputs from Keras, as a share of the largest value where that is above one."""
    expected = one.model({name: tf.constant(value) for name, value in inputs.items()})
    if isinstance(one.model, FusionModel):
        expected = {"estimate": expected}
    found = model.run(inputs)
    assert found.keys() == expected.keys()
    assert all(found[name].shape == tuple(expected[name].shape) for name in found)
    return max(
        float(np.abs(found[name] - expected[name]).max() / max(1.0, np.abs(expected[name]).max()))
        for name in found
    )
