"""The table of any cameras: its cases can be simulated, its figures are kept and worked out right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import any_camera
from benchmarks.any_camera import Board, Case, bell_curves, cases, chosen_cases, gains_of, line_of
from hsr_tf.checks import InputError
from hsr_tf.data.scenes import data_root, find_scenes
from tests.app_for_tests import own_flags

DATA = data_root()
CASE = Case("CAVE", any_camera.CAVE, (), "Nikon D700", "nikon_d700", 8)


def test_cases_have_names_of_their_own_and_can_be_chosen_by_a_part_of_them() -> None:
    labels = [case.label for case in cases()]
    assert len(set(labels)) == len(labels)
    assert [case.scale for case in chosen_cases(["Nikon D90"])] == [8]
    assert {case.scenes for case in chosen_cases(["Samson", "Reno"])} == {"Samson", "Reno"}
    with pytest.raises(InputError, match="only"):
        chosen_cases(["Sony"])


@pytest.mark.skipif(DATA is None, reason="needs the scenes and responses of $HSR_DATA")
@pytest.mark.parametrize("case", [case for case in cases() if case.scale == 8], ids=lambda case: case.label)
def test_every_pair_can_be_simulated(case: Case) -> None:
    assert DATA is not None
    path = find_scenes(DATA / case.folder, default=case.folder, names=case.names)[0]
    scene, pair = any_camera.observed(case, path, DATA)
    assert scene.cube.shape[0] == 8 * pair.lr_hsi.cube.shape[0]
    response = case.response(scene, DATA)
    assert pair.hr_msi.num_bands == response.matrix.shape[1]
    if case.snr_db is None:
        np.testing.assert_allclose(pair.hr_msi.cube, scene.cube @ response.matrix, atol=2e-6)
    else:
        noise = pair.hr_msi.cube - scene.cube @ response.matrix
        ratio = 10 * np.log10(np.square(scene.cube @ response.matrix).mean() / np.square(noise).mean())
        assert ratio == pytest.approx(case.snr_db[1], abs=0.3)


def test_bell_curves_cover_all_bands_and_sum_to_one() -> None:
    matrix = bell_curves(10, 4).matrix
    np.testing.assert_allclose(matrix.sum(0), 1)
    assert (matrix.max(1) > 0.01).all() and [int(column.argmax()) for column in matrix.T] == [1, 3, 6, 8]


def test_gains_are_over_the_closed_form_that_is_better_in_the_mean() -> None:
    scores = {
        "spectral_ls": {"a": 40.0, "b": 45.0},
        "kernel_ls": {"a": 42.0, "b": 44.0},
        "auto": {"a": 43.0, "b": 43.5},
    }
    assert list(gains_of(scores)) == [1.0, -0.5]
    names = ["kernel_ls", "prior", "auto"]
    assert line_of(CASE, scores, names) == [CASE.label, "43.00", "–", "43.25", "+0.25", "-0.50"]
    scores["prior"] = {"b": 46.0}  # the rest was interrupted
    assert line_of(CASE, scores, names) == [CASE.label, "44.00", "46.00", "43.50", "-1.50", "-1.50"]


def test_what_is_scored_is_not_scored_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    board = Board(tmp_path / "scores.json")
    board.keep(CASE, "auto", "one", 50.0)
    board.keep(CASE, "auto", "two", 51.0)
    board.keep(CASE, "prior", "one", 49.0)
    asked: list[str] = []

    def observed(case: Case, path: Path, data: Path) -> None:
        asked.append(path.stem)
        raise KeyboardInterrupt

    paths = [tmp_path / "one.h5", tmp_path / "two.h5"]
    monkeypatch.setattr(any_camera, "find_scenes", lambda *_, **__: paths)
    monkeypatch.setattr(any_camera, "observed", observed)
    with own_flags(any_camera.define_flags) as given:
        given(["any_camera"])
        again = Board(tmp_path / "scores.json")
        any_camera.measure(CASE, ["auto"], tmp_path, again)
        assert not asked
        with pytest.raises(KeyboardInterrupt):
            any_camera.measure(CASE, ["auto", "prior"], tmp_path, again)
    assert asked == ["two"]
