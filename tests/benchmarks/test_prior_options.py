"""The benchmark of `deep_prior`'s options: every option has its variant, gains have the right sign."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from benchmarks import prior_options
from benchmarks._subjects import synthetic_scene
from benchmarks.prior_options import DEFAULT, PUBLISHED_FORM, TURNED_BACK, TURNED_ON, Fit
from hsr_tf.fusion.api import simulate
from hsr_tf.solvers.deep_prior import PUBLISHED, DeepPriorConfig


def test_every_variant_differs_from_its_form_in_what_it_is_called() -> None:
    for form, config, known in (
        (DEFAULT, DeepPriorConfig(), TURNED_BACK),
        (PUBLISHED_FORM, PUBLISHED, TURNED_ON),
    ):
        found = prior_options.variants(form, [], None)
        assert list(found) == [form, *known] and found[form] == config
        for name, changed in list(found.items())[1:]:
            option, _, value = name.partition("=")
            assert changed != config and str(getattr(changed, option)).lower() == value


def test_steps_are_cut_for_all_and_unknown_variants_refused() -> None:
    found = prior_options.variants(DEFAULT, ["tile=0"], 7)
    assert list(found) == [DEFAULT, "tile=0"]
    assert {config.num_steps for config in found.values()} == {7}
    assert prior_options.variants(DEFAULT, ["tile=0"], 7, base="none")["tile=0"].base == "none"
    with pytest.raises(ValueError, match="options: expected one of"):
        prior_options.variants(DEFAULT, ["tile=1"], None)


def test_the_options_that_shape_the_fit_all_have_a_variant() -> None:
    named = {name.partition("=")[0] for name in TURNED_BACK} | {"network", "features"}
    tuning = {"num_steps", "learning_rate", "kernels", "num_features"}
    tuning |= {"lengths", "num_units", "num_networks"}
    assert {field.name for field in fields(DeepPriorConfig)} - tuning == named


def test_a_gain_is_what_the_option_adds() -> None:
    def fit(variant: str, scene: str, psnr: float) -> Fit:
        return Fit(variant, scene, psnr, 1.0, 10, 2.0)

    fits = [fit("default", "a", 40.0), fit("default", "b", 42.0)]
    fits += [fit("ema=0", "a", 39.0), fit("ema=0", "b", 41.5)]
    lines = prior_options.summarise(DEFAULT, fits)
    assert [line.gain for line in lines] == [0.0, 0.75]
    turned_on = prior_options.summarise(
        PUBLISHED_FORM, [replace(one, variant=one.variant.replace("default", PUBLISHED_FORM)) for one in fits]
    )
    assert turned_on[1].gain == -0.75
    text = prior_options.markdown(DEFAULT, lines)
    assert "| ema=0 | 40.25 | 1.00 | +0.75 | 10 | 2 |" in text
    assert len({line.count("|") for line in text.splitlines()}) == 1


def test_a_variant_is_fitted_and_scored() -> None:
    scene = synthetic_scene(32)
    config = DeepPriorConfig(
        base="spectral_ls", features=8, tile=4, num_steps=2, kernels=((4.0, 8.0),), num_features=32
    )
    found = prior_options.fit_one("small", config, scene, simulate(scene, scale=4))
    assert (found.variant, found.steps) == ("small", 2)
    assert found.psnr > 20 and found.processor_seconds > 0
