"""The conformance suite: the methods keep its promises, a bad one is found out, a new one is easy to add."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hsr_tf import conformance, methods
from hsr_tf.closed_forms.bicubic import Bicubic
from hsr_tf.fusion.api import fuse
from hsr_tf.networks.cards import FusionConfig
from hsr_tf.networks.fusion_model import FusionModel
from hsr_tf.physics.resize import bicubic_enlarge
from hsr_tf.scene import Observation, Scene
from hsr_tf.solvers.solver import Controls, Iterations, Outcome, Solver

QUICK = ("cnmf", "csu", "kernel_ls", "sylvester")
SLOW = ("blind_deep_prior", "deep_prior", "hysure", "nnsr", "spectralift")
OVER_A_NETWORK = ("adapt",)


@pytest.mark.parametrize("name", methods.names("closed_form"))
def test_every_closed_form_keeps_its_promises(name: str) -> None:
    assert conformance.broken_promises(methods.get(name)) == []


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in QUICK + SLOW]
)
def test_every_solver_keeps_its_promises(name: str) -> None:
    assert conformance.broken_promises(methods.get(name)) == []


def test_no_solver_is_forgotten() -> None:
    assert set(methods.names("solver")) == {*QUICK, *SLOW, *OVER_A_NETWORK}


@pytest.mark.parametrize("name", ["ssf_cnn", "ms_ssfnet"])
def test_networks_keep_their_promises(name: str) -> None:
    assert conformance.broken_promises(methods.get(name)) == []


def _closed_form(build: Any) -> methods.Method:
    return methods.Method("bad", "closed_form", "a bad one", "nowhere", (), build)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda estimate: 0 * estimate, "worse than bicubic"),
        (lambda estimate: estimate + np.random.default_rng().normal(0, 1e-3), "another estimate"),
    ],
)
def test_a_broken_promise_is_told(change: Any, said: str) -> None:
    def build(model: Any) -> Any:
        return lambda lr_hsi, hr_msi: change(bicubic_enlarge(lr_hsi, model.scale))

    told = conformance.broken_promises(_closed_form(build))
    assert any(said in line for line in told), told


def test_a_method_that_looks_further_than_it_says_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(methods, "_REGISTRY", dict(methods._REGISTRY))

    @methods.register("shifted", kind="closed_form", summary="bicubic and its mean", source="nowhere")
    class Shifted(Bicubic):
        margin = None

        def __call__(self, lr_hsi: Any, hr_msi: Any) -> Any:
            return super().__call__(lr_hsi, hr_msi) + lr_hsi.mean()

    def broken() -> list[str]:
        return [line for line in conformance.broken_promises(methods.get("shifted")) if "tile" in line]

    assert broken() == []
    monkeypatch.setattr(Shifted, "margin", 2)
    assert [line.partition(", by")[0] for line in broken()] == ["run tile by tile it gives another estimate"]


def test_an_estimate_that_is_no_scene_is_refused_by_fuse() -> None:
    for change in (lambda estimate: estimate[:, 1:], lambda estimate: estimate / 0):

        def build(model: Any, change: Any = change) -> Any:
            return lambda lr_hsi, hr_msi: change(bicubic_enlarge(lr_hsi, model.scale))

        with pytest.raises(ValueError, match=r"height and width|finite"):
            conformance.broken_promises(_closed_form(build))


class _Silent(Solver):
    """A solver that never calls back."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def solve(self, lr_hsi: Any, hr_msi: Any, controls: Controls = Controls()) -> Outcome:
        estimate = np.asarray(bicubic_enlarge(lr_hsi[None], self.model.scale))[0]
        for _ in Iterations("silent", 1, Controls()):
            break
        return Outcome(estimate, 1, True)


def test_a_solver_without_callbacks_is_found_out() -> None:
    silent = methods.Method("silent", "solver", "says nothing", "nowhere", (), _Silent)
    assert any("callback received" in line for line in conformance.broken_promises(silent))


def test_methods_of_single_images_are_refused() -> None:
    with pytest.raises(ValueError, match="kind of method"):
        conformance.broken_promises(methods.get("vdsr"))


@pytest.fixture
def pages(repository: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The code of the documentation's examples; what they register is forgotten afterwards."""
    monkeypatch.setattr(methods, "_REGISTRY", dict(methods._REGISTRY))
    text = (repository / "docs" / "new_method.md").read_text(encoding="utf-8")
    return re.findall(r"```python\n(\"\"\"D.*?)```", text, re.DOTALL)


def test_the_network_of_the_documentation_keeps_its_promises_and_looks_as_far_as_its_option_says(
    pages: list[str],
) -> None:
    names: dict[str, Any] = {}
    exec(compile(pages[1], "dilated_example", "exec"), names)
    assert conformance.broken_promises(methods.get("dilated")) == []
    for dilation in (1, 3):
        config = FusionConfig("dilated", 2, 3, options=(("dilation", dilation), ("features", 4)))
        images = {"lr_hsi": np.zeros((1, 20, 20, 3)), "hr_msi": np.full((1, 40, 40, 3), 0.5)}
        network = FusionModel(config).network
        before = np.asarray(network(images)["estimate"])
        images["hr_msi"][0, 20, 20] = 1.0
        changed = np.argwhere((np.asarray(network(images)["estimate"]) != before)[0].any(-1))
        assert np.abs(changed - 20).max() == 2 + 4 * dilation


def test_the_example_of_the_documentation_is_short_and_keeps_its_promises(
    pages: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = pages[0]
    assert len(page.splitlines()) <= 36
    package, told = tmp_path / "injection_example.py", tmp_path / "injection-1.dist-info"
    package.write_text(page)
    told.mkdir()
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: injection\nVersion: 1\n")
    (told / "entry_points.txt").write_text("[hsr_tf.methods]\ndetail_injection = injection_example\n")
    monkeypatch.syspath_prepend(tmp_path)
    try:
        assert conformance.broken_promises(methods.get("detail_injection")) == []
        rng = np.random.default_rng(0)
        pair = Observation(
            Scene(rng.random((3, 4, 5), np.float32)), Scene(rng.random((6, 8, 3), np.float32)), 2
        )
        assert fuse(pair, "detail_injection").estimate.shape == (6, 8, 5)
        package.write_text("import nothing_of_this_name")
        del sys.modules["injection_example"]
        with pytest.raises(
            ValueError, match="expected injection_example to register methods, got ModuleNotFound"
        ):
            methods.names()
    finally:
        sys.modules.pop("injection_example", None)
