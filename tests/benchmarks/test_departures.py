"""The benchmark of departures: every form differs in one thing; the general closed form is the library's."""

from __future__ import annotations

import pkgutil

import numpy as np
import pytest

from benchmarks._departure_forms import CASES, Form
from benchmarks._subjects import synthetic_scene
from benchmarks._sylvester_forms import circular, cut_pair, plain
from hsr_tf.physics.cameras import make_cameras


@pytest.mark.parametrize("name", CASES)
def test_every_form_differs_from_the_first_in_one_thing(name: str) -> None:
    case, first = CASES[name], CASES[name].forms[0]
    assert len({form.name for form in case.forms}) == len(case.forms)
    for form in case.forms[1:]:
        fields = ("options", "replaced", "init", "through_fit")
        changed = [field for field in fields if getattr(form, field) != getattr(first, field)]
        assert len(changed) == 1, form
        options = [option for option, value in form.options.items() if case.options.get(option) != value]
        assert len(options) <= 1


def test_what_is_replaced_is_there_and_has_another_value() -> None:
    forms: list[Form] = [form for case in CASES.values() for form in case.forms]
    for target, value in ((target, value) for form in forms for target, value in form.replaced.items()):
        assert pkgutil.resolve_name(target) is not value


def test_the_coarse_cube_of_a_cut_pair_saw_what_lies_around_the_cut() -> None:
    scene = synthetic_scene(192)
    cameras = make_cameras(scene, 8)
    pair = cut_pair(scene, cameras, 64, noisy=False)
    assert pair.lr_hsi.shape == (8, 8, 31) and pair.hr_msi.shape == (64, 64, 3)
    difference = np.abs(np.asarray(cameras.spatial(pair.truth[None]))[0] - pair.lr_hsi)
    assert difference[1:-1, 1:-1].max() < 1e-5 < difference.max()
    assert np.abs(circular(cameras, pair) - plain(cameras, pair)).max() > 1e-3
