"""How much memory a network takes for an image, which says how large an image a given memory can take.

A tensor lives from the layer that makes it to the last layer that reads it; images and outputs live
throughout. `bytes_per_value` is the peak over the layers times `SCRATCH`, for what single operations, the
base and the fit to the observations take beside. Measured peaks of the shipped networks are 1.0 (VDSR), 1.5
(MS-SSFNet with its base), 1.5 (SRMDNF) and 2.3 (KBPN) times the peak over the layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from hsr_tf.networks.fusion_model import FusionModel

SCRATCH = 2.5
SIDE = 64
BYTES = 4


def bytes_per_value(model: keras.Model) -> float:
    """Bytes of memory that the float32 model takes at its peak for each value of its largest input.

    Args:
        model: a `FusionModel` or a network of single images, as it is used.
    """
    is_fusion = isinstance(model, FusionModel)
    network = model.network if is_fusion else model
    sides = {"hr_msi": SIDE * model.config.scale} if is_fusion else {}
    images = {tensor.name: _shape(tensor, sides.get(tensor.name, SIDE)) for tensor in network.inputs}
    given = dict(images)
    if is_fusion:
        given["lr_hsi"] = (*images["lr_hsi"][:3], model.config.num_bands)
        given["hr_msi"] = (*images["hr_msi"][:3], model.config.num_channels)
    num_values = max(int(np.prod(shape)) for shape in given.values())
    return SCRATCH * BYTES * peak_floats(network, images) / num_values


def peak_floats(network: keras.Model, images: Mapping[str, tuple[int, ...]]) -> int:
    """Numbers of all tensors that are alive at the same time, at the peak.

    Args:
        network: a functional model that uses each layer once.
        images: shape of each input by its name, without unknown sizes.
    """
    layers = network.layers
    sizes = _sizes(network, images)
    inputs, outputs = ({id(tensor) for tensor in tensors} for tensors in (network.inputs, network.outputs))
    first, last = dict.fromkeys(inputs, 0), dict.fromkeys(inputs | outputs, len(layers))
    for place, layer in enumerate(layers):
        read = [] if isinstance(layer, keras.layers.InputLayer) else _flat(layer.input)
        for tensor in _flat(layer.output):
            first.setdefault(id(tensor), place)
        for tensor in (*read, *_flat(layer.output)):
            last[id(tensor)] = max(last.get(id(tensor), 0), place)
    changes = np.zeros(len(layers) + 2, np.int64)
    for tensor, size in sizes.items():
        changes[first[tensor]] += size
        changes[last[tensor] + 1] -= size
    return int(np.cumsum(changes).max())


def _sizes(network: keras.Model, images: Mapping[str, tuple[int, ...]]) -> dict[int, int]:
    """Numbers of every tensor of the network, by its id."""
    outputs = {layer.name: layer.output for layer in network.layers}
    probe = keras.Model(network.inputs, outputs)
    found = probe.compute_output_spec({name: keras.KerasTensor(shape) for name, shape in images.items()})
    return {
        id(tensor): int(np.prod(known.shape))
        for name, made in outputs.items()
        for tensor, known in zip(_flat(made), _flat(found[name]), strict=True)
    }


def _shape(tensor: Any, side: int) -> tuple[int, ...]:
    """The shape of an input whose free sides are `side`; one sample."""
    free = (1, *(side if length is None else length for length in tensor.shape[1:]))
    return tuple(int(length) for length in free)


def _flat(tensors: Any) -> list[Any]:
    return list(keras.tree.flatten(tensors))
