"""The registry: what is in it, what it says, how names are taken and refused."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import subprocess
import sys

import pytest

from hsr_tf import methods, networks, solvers


def test_the_closed_form_methods_and_the_networks_are_known() -> None:
    assert set(methods.names("closed_form")) >= {"bicubic", "spectral_ls"}
    assert set(methods.names("network")) >= {"ms_ssfnet", "spectral_resnet", "ssf_cnn", "ssf_resnet"}
    assert methods.names() == sorted(methods.names())


def test_every_method_says_what_it_is_and_what_it_needs() -> None:
    for method in methods.describe():
        assert method.name in methods.names(method.kind)
        assert method.summary
        assert "\n" not in method.summary
        assert method.source
        assert set(method.needs) <= {"psf", "srf", "weights", "kernel"}
        assert callable(method.build)
    assert methods.get("spectral_ls").needs == ("psf", "srf")
    assert all("weights" in methods.get(name).needs for name in methods.names("network"))


def test_the_description_begins_with_what_needs_no_training() -> None:
    kinds = [method.kind for method in methods.describe()]
    assert kinds == sorted(kinds, key=["closed_form", "network", "solver", "image_network"].index)
    assert kinds[0] == "closed_form"


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"method: expected one of .*bicubic, .*; did you mean 'ssf_resnet'"):
        methods.get("ssf_resnets")


def test_a_method_of_another_kind_is_refused_with_those_that_would_do() -> None:
    assert methods.get("vdsr").kind == "image_network"
    with pytest.raises(ValueError, match=r"method: expected one of .*bicubic, .*got 'vdsr'") as caught:
        methods.get("vdsr", methods.FUSION_KINDS)
    assert "srcnn" not in str(caught.value)


def test_a_name_is_taken_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(methods, "_REGISTRY", {})

    @methods.register("mine", kind="closed_form", summary="s", source="t")
    def build() -> None:
        """A method."""

    assert methods._REGISTRY["mine"].build is build
    methods.register("mine", kind="closed_form", summary="s", source="t")(build)
    with pytest.raises(ValueError, match="name: expected a name that is free, got 'mine'"):
        methods.register("mine", kind="closed_form", summary="s", source="t")(lambda: None)


def test_a_kind_or_need_that_is_mistyped_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(methods, "_REGISTRY", {})
    with pytest.raises(ValueError, match="did you mean 'network'"):
        methods.register("mine", kind="networks", summary="s", source="t")
    with pytest.raises(ValueError, match="did you mean 'psf'"):
        methods.register("mine", kind="network", summary="s", source="t", needs=("psfs",))


def test_every_method_class_of_the_project_is_listed() -> None:
    """A class of a method's module that could be a method, is one."""
    from hsr_tf.networks.image_network import ImageNetwork
    from hsr_tf.networks.layers import FusionNetwork
    from hsr_tf.solvers.solver import Solver

    listed = {method.builder for method in methods.describe()}
    found = set()
    for package in (networks, solvers):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            if not module.ispkg:
                members = inspect.getmembers(importlib.import_module(module.name), inspect.isclass)
                found |= {cls for _, cls in members if issubclass(cls, ImageNetwork | FusionNetwork | Solver)}
    concrete = [
        cls
        for cls in found
        if cls.__module__.startswith("hsr_tf.")
        and not cls.__name__.startswith("_")
        and not cls.__subclasses__()
        and not inspect.isabstract(cls)
    ]
    assert len(concrete) > 15
    assert {f"{cls.__module__}:{cls.__qualname__}" for cls in concrete} <= listed


def test_a_built_in_name_is_not_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(methods, "_REGISTRY", {})
    with pytest.raises(ValueError, match="name: expected a name that is free, got 'cnmf'"):
        methods.register("cnmf", kind="solver", summary="s", source="t")(lambda model: None)


def test_describing_methods_imports_none_of_them() -> None:
    code = (
        "import sys; from hsr_tf import methods; methods.describe(); methods.get('cnmf')\n"
        "loaded = [m for m in sys.modules if m.startswith(('hsr_tf.networks.', 'hsr_tf.solvers.'))]\n"
        "print({'keras', 'tensorflow', *loaded} & set(sys.modules))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "set()"
