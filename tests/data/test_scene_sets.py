"""Public sets are read from files laid out as they are distributed, made here by SciPy, h5py and Pillow."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from hsr_tf.data.scene_sets import SCENE_SETS, split_set

NUM_BANDS = 31


def counts(seed: int, peak: int = 4095) -> np.ndarray:
    """Whole numbers up to `peak`, (6, 5, 31)."""
    return np.random.default_rng(seed).integers(0, peak + 1, (6, 5, NUM_BANDS)).astype(np.float64)


def harvard(folder: Path, number: int = 50) -> None:
    for inner, some in (("CZ_hsdb", number), ("CZ_hsdbi", 2)):
        (folder / inner).mkdir()
        (folder / inner / "calib.txt").write_text("1.0\n" * NUM_BANDS)
        for index in range(some):
            cube = counts(index, 1000) / 1000
            savemat(folder / inner / f"img{index}.mat", {"lbl": np.ones((6, 5)), "ref": cube})


def icvl(folder: Path, number: int = 104) -> None:
    for index in range(number):
        with h5py.File(folder / f"BGU_0403-{1000 + index}.mat", "w") as file:
            file["rad"] = counts(index).transpose(2, 1, 0)
            file["bands"] = np.arange(400.0, 701.0, 10.0)[:, None]
            file["rgb"] = np.zeros((3, 5, 6))


def nus(folder: Path) -> None:
    for inner, number in (("Training", 41), ("Testing", 25)):
        (folder / "NUS" / inner).mkdir(parents=True)
        for index in range(number):
            path = folder / "NUS" / inner / f"{inner}_{index}.mat"
            savemat(path, {"tensor": counts(index) / 4095, "illumination": np.ones((NUM_BANDS, 1))})


def cave(folder: Path, number: int = 32) -> None:
    for index in range(number):
        inner = folder / f"scene{index:02d}_ms" / f"scene{index:02d}_ms"
        inner.mkdir(parents=True)
        for band in range(NUM_BANDS):
            values = counts(index, 65535)[..., band].astype(np.uint16)
            Image.fromarray(values).save(inner / f"scene{index:02d}_ms_{band + 1:02d}.png")
        Image.fromarray(np.zeros((6, 5, 3), np.uint8)).save(inner / f"scene{index:02d}_RGB.bmp")


@pytest.mark.parametrize(
    ("name", "make", "expected", "stem", "cube", "nm"),
    [
        ("harvard", harvard, (40, 10, 50), "img3", counts(3, 1000) / 1000, (420, 720)),
        ("icvl", icvl, (71, 30, 104), "BGU_0403-1003", counts(3), (400, 700)),
        ("nus", nus, (41, 25, 66), "Testing_3", counts(3) / 4095, (400, 700)),
        ("cave", cave, (20, 12, 32), "scene03_ms", counts(3, 65535) / 65535, (400, 700)),
    ],
)
def test_a_set_is_split_as_published_and_read_with_its_wavelengths(
    name: str, make, expected: tuple, stem: str, cube: np.ndarray, nm: tuple[float, float], tmp_path: Path
) -> None:
    make(tmp_path)
    split, known = split_set(name, tmp_path), SCENE_SETS[name]
    assert (len(split.training), len(split.test), split.found) == expected
    assert not {*split.training} & {*split.test}
    scene = known.read(next(path for path in (*split.training, *split.test) if path.stem == stem))
    np.testing.assert_allclose(scene.wavelengths_nm, np.linspace(*nm, NUM_BANDS))
    np.testing.assert_allclose(scene.cube, cube, atol=1e-6)


def test_icvl_has_a_white_level_of_12_bits_and_harvard_those_of_its_files() -> None:
    assert SCENE_SETS["icvl"].white_level == 4095 and SCENE_SETS["harvard"].white_level is None


def test_the_same_scenes_are_trained_on_where_others_are_missing(tmp_path: Path) -> None:
    harvard(tmp_path)
    whole = {path.stem for path in split_set("harvard", tmp_path).training}
    for path in [*(tmp_path / "CZ_hsdb").glob("img1*.mat")]:
        path.unlink()
    part = split_set("harvard", tmp_path)
    left = [path.stem for path in (*part.training, *part.test)]
    assert len(left) == 39 and len(part.training) == 31
    assert len({path.stem for path in part.training} & whole) >= 29


def test_cave_is_split_by_name(tmp_path: Path) -> None:
    cave(tmp_path)
    assert [path.name for path in split_set("cave", tmp_path).test] == [f"scene{i}_ms" for i in range(20, 32)]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nus", "holds no scenes of NUS; give the folder whose subfolders"),
        ("cave", "holds no scenes of CAVE; give the folder that holds balloons_ms"),
        ("indian", "data_set: expected one of cave, harvard, icvl, nus"),
    ],
)
def test_another_folder_or_set_is_refused_in_one_line(name: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    with pytest.raises((OSError, ValueError), match=said):
        split_set(name, tmp_path)
    with pytest.raises(OSError, match="no such folder"):
        split_set("nus", tmp_path / "none")
