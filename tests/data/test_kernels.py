"""Kernel distributions: a function of the seed, compiled, in their ranges; kernels of files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from scipy.io import savemat

from hsr_tf.data.kernels import Isotropic, KernelBank, load_kernels, parse_kernels


def deviations(kernels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest deviation of each kernel in pixels, from its moments."""
    rows, columns = np.mgrid[-10:11, -10:11]
    moments = [(kernels * a * b).sum((1, 2)) for a, b in ((rows, rows), (rows, columns), (columns, columns))]
    values = np.linalg.eigvalsh(np.stack([moments[:2], moments[1:]], 0).transpose(2, 0, 1))
    return np.sqrt(values[:, 0].clip(0)), np.sqrt(values[:, 1])


@pytest.mark.parametrize("spec", ["isotropic", "anisotropic", "motion", "isotropic+anisotropic+motion"])
def test_a_draw_depends_on_the_seed_alone_and_compiles(spec: str) -> None:
    distribution = parse_kernels(spec)
    compiled = tf.function(lambda seed: distribution.draw(6, seed))
    seed = tf.constant([3, 7])
    first = distribution.draw(6, seed)
    assert tuple(first.shape) == (6, 21, 21)
    assert first.dtype == tf.float32
    np.testing.assert_allclose(compiled(seed), first, atol=1e-6)
    assert np.abs(distribution.draw(6, tf.constant([3, 8])) - first).max() > 1e-3
    np.testing.assert_allclose(np.sum(first, (1, 2)), 1, atol=1e-5)
    assert np.min(first) >= 0


def test_isotropic_deviations_fill_their_range_evenly() -> None:
    low, high = deviations(parse_kernels("isotropic:0.8-2.4").sample(400))
    np.testing.assert_allclose(low, high, atol=1e-2)
    np.testing.assert_allclose(np.quantile(low, [0.0, 0.5, 1.0]), [0.8, 1.6, 2.4], atol=0.12)


def test_anisotropic_kernels_differ_in_direction_and_width() -> None:
    kernels = parse_kernels("anisotropic:0.8-2.4").sample(200)
    low, high = deviations(kernels)
    assert low.min() > 0.75
    assert high.max() < 2.45
    assert np.median(high / low) > 1.2
    rows, columns = np.mgrid[-10:11, -10:11]
    tilt = (kernels * rows * columns).sum((1, 2))
    assert tilt.min() < -0.5
    assert tilt.max() > 0.5


def test_motion_lies_on_its_path_and_inside() -> None:
    kernels = parse_kernels("motion:2-16").sample(100)
    rows, columns = np.mgrid[-10:11, -10:11]
    np.testing.assert_allclose((kernels * rows).sum((1, 2)), 0, atol=1e-4)
    assert (kernels * (np.hypot(rows, columns) > 9.9)).max() == 0


def test_each_part_of_a_mixture_gets_its_share() -> None:
    low, high = deviations(parse_kernels("isotropic:1.0+isotropic:2.0").sample(300))
    shares = [np.isclose(low, sigma, atol=0.05).mean() for sigma in (1.0, 2.0)]
    np.testing.assert_allclose(shares, 0.5, atol=0.1)
    assert sum(shares) == 1
    np.testing.assert_allclose(low, high, atol=1e-2)


@pytest.mark.parametrize("suffix", [".mat", ".npz", ".npy", ".csv"])
def test_kernels_of_a_file_are_centred_and_normalised(suffix: str, tmp_path: Path) -> None:
    kernel, path = np.random.default_rng(0).random((5, 7)) + 1, tmp_path / f"own{suffix}"
    if suffix == ".mat":
        cells = np.empty((1, 2), object)
        cells[0, 0], cells[0, 1] = kernel, kernel[::-1]
        savemat(path, {"kernels": cells})
    elif suffix == ".npz":
        np.savez(path, a=kernel, b=kernel[::-1])
    elif suffix == ".npy":
        np.save(path, np.stack([kernel, kernel[::-1]]))
    else:
        np.savetxt(path, kernel, delimiter=",")
    kernels = load_kernels(path)
    assert kernels.shape == (1 if suffix == ".csv" else 2, 21, 21)
    np.testing.assert_allclose(kernels[0, 8:13, 7:14], kernel / kernel.sum(), rtol=1e-6)
    np.testing.assert_allclose(kernels.sum((1, 2)), 1, rtol=1e-6)
    assert parse_kernels(str(path)).size == 21


def test_a_bank_draws_all_its_kernels_turned_and_flipped() -> None:
    kernel = np.zeros((3, 3), np.float32)
    kernel[0, 1:] = 0.75, 0.25
    drawn = KernelBank(kernel[None]).sample(200)
    assert len({image.tobytes() for image in drawn}) == 8
    assert len({image.tobytes() for image in KernelBank(kernel[None], augment=False).sample(9)}) == 1


def test_an_even_kernel_gets_a_zero_behind_and_an_empty_border_is_cut(tmp_path: Path) -> None:
    np.save(tmp_path / "even.npy", np.ones((4, 4)))
    (even,) = load_kernels(tmp_path / "even.npy", 5)
    np.testing.assert_allclose(even, np.pad(np.full((4, 4), 1 / 16), [(0, 1), (0, 1)]))
    np.save(tmp_path / "wide.npy", np.pad(np.ones((3, 3)), 6))
    np.testing.assert_allclose(load_kernels(tmp_path / "wide.npy", 5)[0, 1:4, 1:4], 1 / 9, rtol=1e-6)


def test_real_kernels_are_read(shared_data: Path) -> None:
    kernels = load_kernels(shared_data / "kernels" / "kernels_12.mat", 25)
    assert kernels.shape == (12, 25, 25)


@pytest.mark.parametrize("spec", ["gauss", "isotropic:4-0.2", "isotropic:0-1", "motion:x-3", "isotropic+"])
def test_specifications_that_are_not_understood_list_the_forms(spec: str) -> None:
    with pytest.raises(ValueError, match="kernels: expected one like isotropic"):
        parse_kernels(spec)


def test_bad_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"none\.mat"):
        load_kernels(tmp_path / "none.mat")
    (tmp_path / "broken.mat").write_bytes(b"no such thing")
    with pytest.raises(OSError, match="cannot be read"):
        load_kernels(tmp_path / "broken.mat")
    np.savez(tmp_path / "words.npz", a=np.array("kernel"))
    with pytest.raises(OSError, match="holds no 2-D array"):
        load_kernels(tmp_path / "words.npz")
    np.save(tmp_path / "large.npy", np.ones((31, 31)))
    with pytest.raises(ValueError, match="at most 21 taps a side"):
        load_kernels(tmp_path / "large.npy")
    np.save(tmp_path / "negative.npy", np.eye(3) - 0.5)
    with pytest.raises(ValueError, match="non-negative taps"):
        load_kernels(tmp_path / "negative.npy")


def test_a_sample_is_the_draw_of_its_seed() -> None:
    np.testing.assert_array_equal(Isotropic().sample(3, 4), Isotropic().draw(3, tf.constant([4, 0])))
