"""Weights of other layouts give what an independent chain of convolutions gives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras import ops
from scipy.io import savemat
from scipy.signal import convolve2d

from hsr_tf.networks.plain_arrays import read_vdsr

DEPTH, FEATURES = 20, 5
PICTURE = np.random.default_rng(11).random((12, 9)).astype(np.float32)


def random_layers(depth: int = DEPTH) -> list[tuple[np.ndarray, np.ndarray]]:
    """Kernels (3, 3, in, out) and biases of a VDSR, of a size that lets every layer be seen in the end."""
    rng = np.random.default_rng(12)
    sizes = [1, *[FEATURES] * (depth - 1), 1]
    return [
        (
            rng.normal(0, np.sqrt(2 / (9 * sizes[i])), (3, 3, *sizes[i : i + 2])),
            rng.normal(0, 0.1, sizes[i + 1]),
        )
        for i in range(depth)
    ]


def by_scipy(convolutions: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """The picture and what the convolutions add, in double precision, from true convolutions."""
    maps = [PICTURE.astype(np.float64)]
    for i, (kernel, bias) in enumerate(convolutions):
        flipped = kernel[::-1, ::-1]
        maps = [
            bias[f] + sum(convolve2d(m, flipped[:, :, c, f], mode="same") for c, m in enumerate(maps))
            for f in range(kernel.shape[3])
        ]
        if i < len(convolutions) - 1:
            maps = [np.maximum(m, 0) for m in maps]
    return PICTURE + maps[0]


def estimate(network: Any) -> np.ndarray:
    found = network({"lr_image": ops.convert_to_tensor(PICTURE[None, ..., None])})["estimate"]
    return ops.convert_to_numpy(found)[0, ..., 0]


def tensorflow_npz(path: Path, layers: list) -> Path:
    arrays = {}
    for i, (kernel, bias) in enumerate(layers):
        arrays |= {f"conv{i + 1}_kernel": kernel, f"conv{i + 1}_bias": bias}
    np.savez(path / "a.npz", **arrays)
    return path / "a.npz"


def pytorch_npz(path: Path, layers: list) -> Path:
    """Named so that the first and the last layer come before the others."""
    names = ["input", *(f"residual_layer.{i}.conv" for i in range(len(layers) - 2)), "output"]
    arrays = {}
    for name, (kernel, bias) in zip(names, layers, strict=True):
        arrays |= {f"{name}.weight": kernel.transpose(3, 2, 0, 1), f"{name}.bias": bias}
    np.savez(path / "a.npz", **arrays)
    return path / "a.npz"


def matlab_cells(path: Path, layers: list) -> Path:
    """Cells in a structure; MATLAB keeps no last axis of one."""
    weight, bias = np.empty((1, len(layers)), object), np.empty((1, len(layers)), object)
    for i, (kernel, offset) in enumerate(layers):
        weight[0, i] = kernel[..., 0] if kernel.shape[3] == 1 else kernel
        bias[0, i] = offset[:, None]
    savemat(path / "a.mat", {"model": {"weight": weight, "bias": bias}})
    return path / "a.mat"


def matlab_plain(path: Path, layers: list) -> Path:
    arrays = {}
    for i, (kernel, bias) in enumerate(layers):
        arrays |= {f"w{i + 1}": kernel, f"b{i + 1}": bias}
    savemat(path / "a.mat", arrays)
    return path / "a.mat"


@pytest.mark.parametrize("write", [tensorflow_npz, pytorch_npz, matlab_cells, matlab_plain])
def test_every_layout_gives_what_scipy_gives(tmp_path: Path, write: Callable[[Path, list], Path]) -> None:
    layers = random_layers()
    expected = by_scipy(layers)
    assert np.abs(expected - PICTURE).max() > 0.1
    network = read_vdsr(write(tmp_path, layers))
    assert {name: network.get_config()[name] for name in ("depth", "features")} == {
        "depth": DEPTH,
        "features": FEATURES,
    }
    np.testing.assert_allclose(estimate(network), expected, atol=1e-5)


def test_biases_may_be_missing_altogether(tmp_path: Path) -> None:
    layers = [(kernel, np.zeros_like(bias)) for kernel, bias in random_layers(6)]
    np.savez(tmp_path / "a.npz", **{f"k{i}": kernel for i, (kernel, _) in enumerate(layers)})
    np.testing.assert_allclose(estimate(read_vdsr(tmp_path / "a.npz")), by_scipy(layers), atol=1e-5)


def test_three_features_leave_the_layout_open_until_it_is_given(tmp_path: Path) -> None:
    rng = np.random.default_rng(13)
    kernels = [rng.normal(size=(3, 3, 3, 3)) for _ in range(3)]
    kernels[0], kernels[2] = kernels[0][:, :, :1], kernels[2][..., :1]
    np.savez(tmp_path / "a.npz", **{f"k{i}": kernel for i, kernel in enumerate(kernels)})
    found = read_vdsr(tmp_path / "a.npz", layout="hwio").get_layer("conv2").get_weights()[0]
    np.testing.assert_array_equal(found, kernels[1].astype(np.float32))
    with pytest.raises(ValueError, match="layout: expected one of hwio, oihw"):
        read_vdsr(tmp_path / "a.npz", layout="hwoi")


def no_kernels(path: Path, layers: list) -> None:
    np.savez(path, a=np.zeros(3))


def one_bias_less(path: Path, layers: list) -> None:
    np.savez(path, *[kernel for kernel, _ in layers], **{f"b{i}": b for i, (_, b) in enumerate(layers[:-1])})


def one_kernel_out_of_place(path: Path, layers: list) -> None:
    np.savez(path, *[kernel for kernel, _ in layers], np.zeros((3, 3, FEATURES, FEATURES + 1)))


def five_by_five(path: Path, layers: list) -> None:
    np.savez(path, *[np.pad(kernel, [(1, 1), (1, 1), (0, 0), (0, 0)]) for kernel, _ in layers])


def swapped_biases(path: Path, layers: list) -> None:
    biases = [bias for _, bias in layers][::-1]
    np.savez(path, *[kernel for kernel, _ in layers], **{f"b{i:02d}": b for i, b in enumerate(biases)})


BAD = {
    no_kernels: "arrays: expected at least two kernels",
    one_bias_less: "arrays: expected one bias a kernel",
    one_kernel_out_of_place: "arrays: expected 3x3 kernels whose channels follow",
    five_by_five: "arrays: expected 3x3 kernels",
    swapped_biases: "arrays: expected 3x3 kernels",
}


@pytest.mark.parametrize("write", BAD, ids=lambda write: write.__name__)
def test_arrays_that_make_no_vdsr_are_refused(tmp_path: Path, write: Callable[[Path, list], None]) -> None:
    write(tmp_path / "a.npz", random_layers(4))
    with pytest.raises(ValueError, match=BAD[write]) as caught:
        read_vdsr(tmp_path / "a.npz")
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no such file"):
        read_vdsr(tmp_path / "a.npz")
    (tmp_path / "a.npz").write_bytes(b"nothing")
    with pytest.raises(OSError, match="cannot be read as arrays"):
        read_vdsr(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", a=np.array([{"an": "object"}], dtype=object))
    with pytest.raises(OSError, match="cannot be read as arrays"):
        read_vdsr(tmp_path / "b.npz")
    (tmp_path / "a.pth").touch()
    with pytest.raises(OSError, match=r"is no \.npz or \.mat file"):
        read_vdsr(tmp_path / "a.pth")
