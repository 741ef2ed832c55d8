"""Medians of alternating runs, the machine's convolution ceiling, and the arithmetic of a network."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

NUM_WARM_UPS = 2
CEILING_FEATURES, CEILING_LAYERS = 64, 4


def median_seconds(runs: Mapping[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Median time of each run, taken in turns (A B A B ...) so that a change of load meets all alike.

    Args:
        runs: what is measured, by name; what a run answers is waited for.
        repeats: timed rounds, after two that are not.
    """
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(NUM_WARM_UPS + repeats):
        for name, run in runs.items():
            begin = time.perf_counter()
            # A result that lies on an accelerator is ready once it has been copied from there.
            for tensor in tf.nest.flatten(run()):
                if isinstance(tensor, tf.Tensor):
                    tensor.numpy()
            if turn >= NUM_WARM_UPS:
                taken[name].append(time.perf_counter() - begin)
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def convolution(size: int, dtype: str) -> Callable[[], tf.Tensor]:
    """Four layers of convolution 3x3, 64 to 64 channels, and ReLU on a `size` x `size` image.

    It is what the machine does best: oneDNN runs bias and ReLU inside the convolution.
    """
    generator = np.random.default_rng(0)
    shapes = ((1, size, size, CEILING_FEATURES), (3, 3, CEILING_FEATURES, CEILING_FEATURES))
    image, kernel = (tf.cast(0.04 * generator.standard_normal(shape), dtype) for shape in shapes)
    bias = tf.zeros(CEILING_FEATURES, dtype)

    @tf.function
    def run() -> tf.Tensor:
        x = image
        for _ in range(CEILING_LAYERS):
            x = tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(x, kernel, strides=1, padding="SAME"), bias))
        return x

    return run


def convolution_gflop(size: int) -> float:
    """Operations of `convolution` in units of 1e9, a multiplication and an addition counting as two."""
    return 2e-9 * CEILING_LAYERS * 9 * CEILING_FEATURES**2 * size**2


def network_gflop(network: keras.Model, shapes: Mapping[str, tuple[int, ...]]) -> float:
    """Operations of a network's convolutions in units of 1e9; everything else is left out.

    Args:
        network: a functional model.
        shapes: of its inputs, by name, batch first.
    """
    kinds = (keras.layers.Conv2D, keras.layers.Conv2DTranspose)
    found = {layer.name: layer for layer in network.layers if isinstance(layer, kinds)}
    probe = keras.Model(network.inputs, {name: layer.output for name, layer in found.items()})
    sizes = probe.compute_output_spec({name: keras.KerasTensor(shape) for name, shape in shapes.items()})
    return sum(_layer_gflop(layer, sizes[name].shape) for name, layer in found.items())


def _layer_gflop(layer: keras.Layer, shape: tuple[int, ...]) -> float:
    """A kernel acts once a position: of the output, or of the input where the layer enlarges."""
    positions = shape[0] * shape[1] * shape[2]
    if isinstance(layer, keras.layers.Conv2DTranspose):
        positions //= layer.strides[0] * layer.strides[1]
    return 2e-9 * positions * float(np.prod(layer.kernel.shape))
