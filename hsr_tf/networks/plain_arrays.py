"""VDSR from a file of plain arrays: reference weights of other frameworks in this network's layout.

Read: .npz (no pickled objects) and .mat up to version 7, structures and cells included. Arrays of three or
four axes are kernels, vectors are biases; both are put in the natural order of their names (conv2 before
conv10). The layer that takes the picture comes first and the one that gives it last, whatever their names
are. Kernels are (k, k, in, out), MATLAB's and TensorFlow's order, or (out, in, k, k), PyTorch's; MATLAB drops
the last axis where out is 1. Every framework of these correlates, as Keras does: nothing is flipped.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import loadmat

from hsr_tf import checks
from hsr_tf.imports import deferred
from hsr_tf.io.source import decoding
from hsr_tf.networks.cards import ImageSpec
from hsr_tf.networks.vdsr import VDSR

natsort = deferred("natsort")

LAYOUTS = {"hwio": (0, 1, 2, 3), "oihw": (2, 3, 1, 0)}
SIDE = 3


@dataclass(frozen=True, eq=False)
class Convolution:
    """One convolution: kernel (3, 3, in, out) and bias (out,)."""

    kernel: np.ndarray
    bias: np.ndarray


def read_vdsr(path: str | os.PathLike[str], *, layout: str | None = None) -> VDSR:
    """The network in a file of plain arrays, with its depth, features and channels.

    Args:
        path: .npz or .mat, as the head of this module says.
        layout: "hwio" or "oihw"; None where the shapes tell.

    Raises:
        OSError: a file that is missing, damaged or of another kind.
        ValueError: arrays that make no VDSR, or a layout that the shapes leave open.
    """
    # The convolutions of a file from the first to the last; errors as `read_vdsr`.
    if layout is not None:
        checks.require_choice("layout", layout, LAYOUTS)
    arrays = _read_arrays(Path(path))
    names = natsort.natsorted(arrays)
    kernels = [arrays[name] for name in names if arrays[name].ndim >= 3]
    biases = [arrays[name].ravel() for name in names if arrays[name].ndim < 3]
    _require(len(kernels) >= 2, "at least two kernels", f"{len(kernels)} ({', '.join(names)[:200]})")
    _require(
        len(biases) in (0, len(kernels)),
        "one bias a kernel, or none at all, and no other arrays",
        f"{len(kernels)} kernels and {len(biases)} vectors",
    )
    orders = [layout] if layout else list(LAYOUTS)
    found = [chain for order in orders if (chain := _chain([_turned(k, order) for k in kernels], biases))]
    shapes = ", ".join(str(kernel.shape) for kernel in kernels[:3])
    _require(bool(found), "3x3 kernels whose channels follow on one another", f"{shapes}, ...")
    _require(len(found) == 1, "shapes that tell the layout", f"{shapes}: give it (hwio or oihw)")
    convolutions = found[0]
    channels, features = convolutions[0].kernel.shape[2:]
    network = VDSR(ImageSpec(None, channels, dtype="float32"), depth=len(convolutions), features=features)
    for i, convolution in enumerate(convolutions):
        network.get_layer(f"conv{i + 1}").set_weights([convolution.kernel, convolution.bias])
    return network


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Every numeric array of the file by its name, those in structures and cells as `name/field/0`."""
    if not path.is_file():
        raise checks.file_error(path, "no such file", "give a .npz or .mat file")
    suffix = path.suffix.lower()
    if suffix not in (".npz", ".mat"):
        raise checks.file_error(path, "is no .npz or .mat file", "save the arrays as one of these")
    with decoding(path, "arrays"):
        if suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                held = {name: file[name] for name in file.files}
        else:
            held = {name: value for name, value in loadmat(path).items() if not name.startswith("__")}
        return dict(_flattened("", held))


def _flattened(name: str, value: Any) -> Iterator[tuple[str, np.ndarray]]:
    """The numeric arrays in nested dictionaries, structures and cells."""
    if isinstance(value, dict):
        for key in value:
            yield from _flattened(f"{name}/{key}", value[key])
    elif isinstance(value, np.ndarray) and value.dtype.names:
        for record in value.ravel():
            for field in value.dtype.names:
                yield from _flattened(f"{name}/{field}", record[field])
    elif isinstance(value, np.ndarray) and value.dtype == object:
        for i, item in enumerate(value.ravel()):
            yield from _flattened(f"{name}/{i}", item)
    elif isinstance(value, np.ndarray) and value.dtype.kind in "fiu":
        yield name, value.astype(np.float32)


def _turned(kernel: np.ndarray, layout: str) -> np.ndarray:
    """A kernel as (k, k, in, out)."""
    full = kernel if kernel.ndim == 4 else kernel[..., None]
    return np.transpose(full, LAYOUTS[layout]) if full.ndim == 4 else full


def _chain(kernels: list[np.ndarray], biases: list[np.ndarray]) -> list[Convolution] | None:
    """The convolutions in order, None where the shapes make no VDSR."""
    if any(kernel.ndim != 4 or kernel.shape[:2] != (SIDE, SIDE) for kernel in kernels):
        return None
    order = _order([kernel.shape[2:] for kernel in kernels])
    if order is None:
        return None
    sorted_kernels = [kernels[i] for i in order]
    sorted_biases = [biases[i] for i in order] if biases else [np.zeros(k.shape[3]) for k in sorted_kernels]
    if any(b.size != k.shape[3] for k, b in zip(sorted_kernels, sorted_biases, strict=True)):
        return None
    return [Convolution(k, b) for k, b in zip(sorted_kernels, sorted_biases, strict=True)]


def _order(channels: list[tuple[int, ...]]) -> list[int] | None:
    """Which kernel comes when, from their (in, out) in natural order; None where they make no VDSR."""
    inner = [i for i, (given, made) in enumerate(channels) if given == made]
    ends = [i for i in range(len(channels)) if i not in inner]
    if len(ends) != 2:
        return None
    first, last = sorted(ends, key=lambda i: channels[i][0])
    picture, features = channels[first]
    fits = channels[last] == (features, picture) and all(channels[i] == (features,) * 2 for i in inner)
    return [first, *inner, last] if fits else None


def _require(ok: bool, expected: str, received: str) -> None:
    checks.require(
        ok, "arrays", expected=expected, received=received, remedy="save VDSR's kernels and biases"
    )
