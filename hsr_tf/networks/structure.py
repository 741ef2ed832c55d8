"""What a network consists of: its graph, and of every layer the size, the parameters, the receptive field and
the multiply-adds.

Every call of a layer is a node of its own; a layer that is called again adds no parameters. Sizes are found
by passing empty tensors of a given size through the graph, receptive fields exactly, sample by sample, from
`hsr_tf.networks.taps`. Multiply-adds are those of convolutions and dense layers; additions, activations and
interpolation are not counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import Any

import keras
import numpy as np
from keras import layers

from hsr_tf.networks.image_layers import KernelDecode, PseudoLR, Stretch
from hsr_tf.networks.taps import Taps, layer_taps

WHOLE = "whole"
# Operations on tensors, as Keras records them where a graph is written with operators.
ELEMENTWISE = {"Absolute", "Add", "Cast", "Divide", "Maximum", "Minimum", "Multiply", "Negative", "Power"} | {
    "Sigmoid",
    "Sqrt",
    "Square",
    "Subtract",
}
CONVOLUTIONS = (layers.Conv2D, layers.DepthwiseConv2D, layers.Conv2DTranspose)
Size = tuple[int, ...]
Field = int | str | None


@dataclass(frozen=True)
class Node:
    """One call of a layer.

    Attributes:
        name: of the layer.
        kind: class of the layer, or of the operation.
        words: what it does, e.g. "conv 3x3, stride 2".
        inputs: numbers of the nodes that it is called on.
        size: (rows, columns, channels) of what it answers, for pictures; (n, ...) otherwise.
        parameters: that this call adds; 0 where the layer was called before.
        is_again: whether the layer was called before.
        receptive_field: by input, how many of its pixels along one side a sample looks at: a number, "whole"
            for all of them, None where a layer is not known. Inputs that it does not look at are left out.
        multiply_adds: per pixel of the estimate.
        multiply_adds_once: per picture, whatever its size.
    """

    name: str
    kind: str
    words: str
    inputs: tuple[int, ...]
    size: Size
    parameters: int
    is_again: bool
    receptive_field: Mapping[str, Field]
    multiply_adds: float
    multiply_adds_once: int

    @property
    def is_pointwise(self) -> bool:
        """Whether it works on every sample alone and changes no size: activations and the like."""
        return self.kind in ELEMENTWISE or self.kind in (
            "Activation",
            "LeakyReLU",
            "PReLU",
            "ReLU",
            "Softmax",
        )


@dataclass(frozen=True)
class Structure:
    """A network's graph.

    Attributes:
        name: of the network.
        nodes: in an order in which every node stands after its inputs.
        outputs: numbers of the nodes that are the outputs, by name.
        pictures: names of the inputs that are pictures and used, in whose pixels receptive fields are given.
        unit: (rows, columns) of the size that the sizes of the nodes are for.
        parameters: of all layers together.
        fixed_parameters: those of them that are not trained.
    """

    name: str
    nodes: tuple[Node, ...]
    outputs: Mapping[str, int]
    pictures: tuple[str, ...]
    unit: tuple[int, int]
    parameters: int
    fixed_parameters: int

    @property
    def multiply_adds(self) -> float:
        """Per pixel of the estimate, without what it does not rest on, such as outputs for training."""
        return sum(self.nodes[number].multiply_adds for number in self.needed)

    @property
    def multiply_adds_once(self) -> int:
        """Per picture, whatever its size; as `multiply_adds`."""
        return sum(self.nodes[number].multiply_adds_once for number in self.needed)

    @property
    def needed(self) -> frozenset[int]:
        """Numbers of the nodes that the estimate rests on."""
        found = {self.outputs["estimate"]}
        for number in range(len(self.nodes) - 1, -1, -1):
            if number in found:
                found.update(self.nodes[number].inputs)
        return frozenset(found)

    @property
    def receptive_field(self) -> Mapping[str, Field]:
        """Of a pixel of the estimate, by input."""
        return self.nodes[self.outputs["estimate"]].receptive_field


def read_structure(network: keras.Model, size: tuple[int, int], *, scale: int = 1) -> Structure:
    """Read the graph of a network.

    Args:
        network: a functional model with the output "estimate". Inputs of three axes beside the batch are
            pictures; "hr_msi" is `scale` times as large as the others.
        size: (rows, columns) of the small picture. Sizes whose halves are whole numbers as often as the
            network halves them give exact receptive fields.
        scale: s, of networks with two inputs.
    """
    walk = _Walk()
    outputs = {name: walk.number(tensor) for name, tensor in network.output.items()}
    read = _Reader(size, scale)
    for node in walk.nodes:
        read.add(node)
    pixels = prod(read.sizes[outputs["estimate"]][:2])
    trained = sum(prod(weight.shape) for weight in network.trainable_weights)
    return Structure(
        name=network.name,
        nodes=tuple(read.node(number, pixels) for number in range(len(walk.nodes))),
        outputs=outputs,
        pictures=tuple(dict.fromkeys(name for seen in read.looks for name in seen)),
        unit=size,
        parameters=network.count_params(),
        fixed_parameters=network.count_params() - trained,
    )


@dataclass(frozen=True, eq=False)
class _Call:
    """One call of an operation."""

    operation: Any
    arguments: Any
    tensors: tuple[keras.KerasTensor, ...]
    inputs: tuple[int, ...]
    output: keras.KerasTensor

    @property
    def is_sum(self) -> bool:
        """Whether it adds tensors."""
        return type(self.operation).__name__ == "Add"


class _Walk:
    """Goes through a graph from its outputs and numbers the calls, each after those that it rests on."""

    def __init__(self) -> None:
        self.nodes: list[_Call] = []
        self._numbers: dict[int, int] = {}

    def number(self, tensor: keras.KerasTensor) -> int:
        """The number of the call that made a tensor."""
        waiting = [tensor]
        while waiting:
            current = waiting[-1]
            # Keras names no public way from a tensor to the call that made it.
            made: Any = current._keras_history
            call = made.operation._inbound_nodes[made.node_index]
            missing = [one for one in call.input_tensors if id(one) not in self._numbers]
            if missing:
                waiting += reversed(missing)
                continue
            waiting.pop()
            if id(current) not in self._numbers:
                self._numbers[id(current)] = len(self.nodes)
                sources = tuple(call.input_tensors)
                inputs = tuple(self._numbers[id(one)] for one in sources)
                self.nodes.append(_Call(made.operation, call.arguments, sources, inputs, current))
        return self._numbers[id(tensor)]


@dataclass(frozen=True, eq=False)
class _Seen:
    """First and last pixel of an input that each of a tensor's samples looks at, along one side.

    The picture goes on beyond both ends: sample i + n looks `period` pixels further than sample i of n.
    """

    first: np.ndarray
    last: np.ndarray
    period: int

    @property
    def width(self) -> int:
        """The most pixels that a sample looks at."""
        return int((self.last - self.first).max()) + 1

    def through(self, taps: Taps) -> _Seen | None:
        """What samples made by `taps` look at; None where these do not come out even."""
        given, count = len(self.first), len(taps.ranges)
        if given % taps.given:
            return None
        starts = taps.given * np.arange(given // taps.given)[:, None]
        ends = np.asarray(taps.ranges)
        lows, highs = ((starts + ends[:, i]).reshape(-1) for i in (0, 1))
        assert len(lows) == given // taps.given * count
        return _Seen(self._at(self.first, lows), self._at(self.last, highs), self.period)

    def joined(self, other: _Seen) -> _Seen:
        """What both look at; a sample of a picture of one row looks with all of them."""
        first, last = np.minimum(self.first, other.first), np.maximum(self.last, other.last)
        return _Seen(first, last, self.period)

    def _at(self, values: np.ndarray, places: np.ndarray) -> np.ndarray:
        return values[places % len(values)] + self.period * (places // len(values))


class _Reader:
    """Finds out of each call in turn what a `Node` says."""

    def __init__(self, size: tuple[int, int], scale: int) -> None:
        self._size, self._scale = size, scale
        self._calls: list[_Call] = []
        self._tensors: dict[int, keras.KerasTensor] = {}
        self.looks: list[dict[str, _Seen | str | None]] = []
        self._known: set[int] = set()
        self._again: list[bool] = []
        self.sizes: list[Size] = []

    def add(self, call: _Call) -> None:
        """Take the next call."""
        self._calls.append(call)
        if isinstance(call.operation, layers.InputLayer):
            shape = self._input_shape(call.output)
            tensor = keras.KerasTensor(shape, call.output.dtype, name=call.output.name)
        else:
            arguments, named = call.arguments.fill_in(self._tensors)
            tensor = call.operation.compute_output_spec(*arguments, **named)
        self._tensors[id(call.output)] = tensor
        self.sizes.append(tuple(int(n) for n in tensor.shape[1:]))
        self.looks.append(self._looks(call))
        self._again.append(id(call.operation) in self._known)
        self._known.add(id(call.operation))

    def node(self, number: int, pixels: int) -> Node:
        """The node of a call, for an estimate of so many pixels."""
        call, size = self._calls[number], self.sizes[number]
        operation, again = call.operation, self._again[number]
        parameters = 0 if again or not isinstance(operation, layers.Layer) else operation.count_params()
        count = self._multiply_adds(number)
        spread = isinstance(operation, CONVOLUTIONS) and size[:2] != (1, 1)
        looks = self.looks[number].items()
        return Node(
            name=operation.name,
            kind=type(operation).__name__,
            words=words_of(operation),
            inputs=call.inputs,
            size=size,
            parameters=parameters,
            is_again=again,
            receptive_field={name: one.width if isinstance(one, _Seen) else one for name, one in looks},
            multiply_adds=count / pixels if spread else 0.0,
            multiply_adds_once=0 if spread else count,
        )

    def _input_shape(self, tensor: keras.KerasTensor) -> tuple[int, ...]:
        shape = tuple(tensor.shape)
        factor = self._scale if tensor.name == "hr_msi" else 1
        given = iter(factor * n for n in self._size)
        return (1, *(next(given) if n is None else n for n in shape[1:]))

    def _multiply_adds(self, number: int) -> int:
        """Of a convolution or a dense layer, on the size given."""
        call = self._calls[number]
        if isinstance(call.operation, layers.Conv2DTranspose):
            return prod(call.operation.kernel.shape) * prod(self.sizes[call.inputs[0]][:2])
        if isinstance(call.operation, CONVOLUTIONS):
            return prod(call.operation.kernel.shape) * prod(self.sizes[number][:2])
        if isinstance(call.operation, layers.Dense):
            return prod(call.operation.kernel.shape) * prod(self.sizes[number][:-1])
        return 0

    def _looks(self, call: _Call) -> dict[str, _Seen | str | None]:
        """What a call's samples look at, by input."""
        operation, size = call.operation, self.sizes[-1]
        if isinstance(operation, layers.InputLayer):
            pixels = np.arange(size[0])
            return {call.output.name: _Seen(pixels, pixels, size[0])} if len(size) == 3 else {}
        sources = call.inputs[:1] if isinstance(operation, Stretch) else call.inputs
        known = _taps_of(operation)
        found: dict[str, _Seen | str | None] = {}
        for number in dict.fromkeys(sources):
            for name, seen in self.looks[number].items():
                if isinstance(seen, _Seen):
                    seen = self._followed(seen, known, operation, size)
                found[name] = _both(found[name], seen) if name in found else seen
        return found

    def _followed(self, seen: _Seen, taps: Taps | None, operation: object, size: Size) -> _Seen | str | None:
        """What the samples of one call look at, of what those of its input look at."""
        if taps is None:
            gathers = len(size) != 3 or size[:2] == (1, 1)
            return WHOLE if gathers and not isinstance(operation, PseudoLR) else None
        return seen.through(taps)


def _both(one: _Seen | str | None, other: _Seen | str | None) -> _Seen | str | None:
    if WHOLE in (one, other):
        return WHOLE
    if one is None or other is None:
        return None
    assert isinstance(one, _Seen) and isinstance(other, _Seen)
    return one.joined(other)


def _taps_of(operation: object) -> Taps | None:
    return Taps() if type(operation).__name__ in ELEMENTWISE else layer_taps(operation)


def words_of(operation: Any) -> str:
    """What a layer does, e.g. "conv 3x3, stride 2", "transposed conv 8x8, stride 4", "PReLU"."""
    kind = type(operation)
    for of_kind, words in _WORDS.items():
        if isinstance(operation, of_kind):
            return words(operation)
    name = kind.__name__
    plain = "".join(f" {c.lower()}" if c.isupper() and i else c.lower() for i, c in enumerate(name))
    return plain if name not in ("PReLU", "ReLU", "PseudoLR") else name.replace("LR", "-LR")


def _conv_words(name: str) -> Callable[[Any], str]:
    def words(layer: Any) -> str:
        parts = [f"{name} {layer.kernel_size[0]}x{layer.kernel_size[1]}"]
        parts += [f"stride {layer.strides[0]}"] if layer.strides[0] > 1 else []
        parts += [f"dilation {layer.dilation_rate[0]}"] if layer.dilation_rate[0] > 1 else []
        own = layer.activation.__name__
        return ", ".join([*parts, *([own] if own != "linear" else [])])

    return words


_WORDS: dict[Any, Callable[[Any], str]] = {
    layers.Conv2DTranspose: _conv_words("transposed conv"),
    layers.DepthwiseConv2D: _conv_words("depthwise conv"),
    layers.Conv2D: _conv_words("conv"),
    layers.MaxPooling2D: lambda layer: f"max pooling {layer.pool_size[0]}x{layer.pool_size[1]}",
    layers.GlobalAveragePooling2D: lambda _: "global average",
    layers.LeakyReLU: lambda layer: f"leaky ReLU {layer.negative_slope:g}",
    layers.Activation: lambda layer: str(layer.activation.__name__),
    layers.InputLayer: lambda _: "input",
}


def size_words(size: Size, structure: Structure) -> str:
    """A size in terms of the small picture's, e.g. "8h x 8w x 31", "h/2 x w/2 x 64", "1 x 1 x 64".

    The structure must have been read for rows and columns of different numbers.
    """
    if len(size) != 3:
        return " x ".join(map(str, size))
    rates = [Fraction(n, unit) for n, unit in zip(size[:2], structure.unit, strict=True)]
    if rates[0] != rates[1]:
        return " x ".join(map(str, size))
    (top, below), sides = rates[0].as_integer_ratio(), ("h", "w")
    factor, divisor = "" if top == 1 else str(top), "" if below == 1 else f"/{below}"
    return " x ".join([*(f"{factor}{side}{divisor}" for side in sides), str(size[2])])


def kernel_stages(network: keras.Model) -> keras.Model | None:
    """The kernels that a blind network finds on its way to the last one, as a model on its inputs.

    Args:
        network: one with the output "kernel" (B, k, k). Where it corrects a code of the kernel, as IKC does,
            each code is decoded.

    Returns:
        A model that answers "stage_0", "stage_1", ..., each (B, k, k); None for a network that finds none.
    """
    if "kernel" not in network.output:
        return None
    walk, last = _Walk(), network.output["kernel"]
    walk.number(last)
    found = [call.output for call in walk.nodes if not isinstance(call.operation, layers.InputLayer)]
    decoders = [call.operation for call in walk.nodes if isinstance(call.operation, KernelDecode)]
    if decoders:
        shape = (None, decoders[-1].length)
        codes = [call for call in walk.nodes if tuple(call.output.shape) == shape]
        used = {id(tensor) for call in walk.nodes if not call.is_sum for tensor in call.tensors}
        kernels = [decoders[-1](call.output) for call in codes if id(call.output) in used]
    else:
        kernels = [tensor for tensor in found if tuple(tensor.shape) == tuple(last.shape)]
    return keras.Model(network.input, {f"stage_{i}": kernel for i, kernel in enumerate(kernels)})
