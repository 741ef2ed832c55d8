"""The fusion benchmark: complete, positive figures on any size; operations counted as by hand."""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import fusion
from benchmarks._subjects import read_recipe, synthetic_scene
from benchmarks._timing import convolution_gflop, median_seconds, network_gflop
from hsr_tf import methods
from hsr_tf.networks.layers import NetworkSpec
from tests.app_for_tests import call_app

Start = Callable[..., "subprocess.Popen[str]"]


def test_runs_take_turns_and_warm_up_rounds_are_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, order = {"now": 0.0}, []

    def run(name: str, seconds: list[float]) -> None:
        order.append(name)
        clock["now"] += seconds.pop(0)

    monkeypatch.setattr("benchmarks._timing.time.perf_counter", lambda: clock["now"])
    a, b = [90.0, 80.0, 1.0, 5.0, 2.0], [70.0, 60.0, 3.0, 3.0, 4.0]
    found = median_seconds({"a": lambda: run("a", a), "b": lambda: run("b", b)}, 3)
    assert order == ["a", "b"] * 5
    assert found == pytest.approx({"a": 2.0, "b": 3.0})


def test_convolution_counts_two_operations_a_weight_and_pixel() -> None:
    assert convolution_gflop(512) == pytest.approx(4 * 2 * 9 * 64 * 64 * 512 * 512 / 1e9)


def test_network_counts_convolutions_at_the_size_they_run_at() -> None:
    """MS-SSFNet x2 with 4 features: two fine blocks and a head, a coarse block, one enlargement."""
    spec = NetworkSpec(scale=2, num_bands=5, lr_channels=5, hr_channels=3)
    network = methods.get("ms_ssfnet").build(spec, features=4, num_levels=1, upsampling_kernel=2)
    fine = 9 * (3 * 4 + 4 * 4) + 9 * (8 * 4 + 4 * 4) + 9 * 4 * 5
    coarse = 9 * (5 * 4 + 4 * 4) + 4 * 4 * 4
    expected = 2e-9 * (fine * 16 * 12 + coarse * 8 * 6)
    shapes = {"lr_hsi": (1, 8, 6, 5), "hr_msi": (1, 16, 12, 3)}
    assert network_gflop(network, shapes) == pytest.approx(expected)


@pytest.mark.parametrize("scale", [8, 16])
def test_recipes_are_those_of_the_configurations(scale: int) -> None:
    recipe = read_recipe(scale)
    assert (recipe.config.scale, recipe.config.base, recipe.config.consistent) == (scale, "spectral_ls", True)
    assert len(dict(recipe.config.options)["features"]) == int(math.log2(scale)) + 1


def test_share_is_the_rate_over_the_ceiling() -> None:
    figure = fusion.Figure.of("network", seconds=0.5, gflop=60.0, ceiling=150.0)
    assert (figure.gflop_per_second, figure.share) == pytest.approx((120.0, 0.8))


def test_ceiling_and_models_give_complete_positive_figures() -> None:
    figures = fusion.measure_ceiling(16, 1)
    assert figures[0].share == 1.0
    figures += fusion.measure_scale(2, synthetic_scene(16), 1)
    assert [figure.name.split()[0] for figure in figures] == ["4"] * 2 + ["x2"] * 4
    for figure in figures:
        assert figure.seconds > 0
        if figure.gflop is not None:
            assert figure.gflop_per_second == pytest.approx(figure.gflop / figure.seconds)
            assert figure.share is not None
            assert figure.share > 0
    assert sum(figure.gflop is not None for figure in figures) == 4
    text = fusion.markdown(figures, [fusion.StepCost(2, 0.2, 0.19, 0.012, 0.05)])
    assert "| x2 | 0.2000 | 0.1900 | 0.0120 | 5.0 % |" in text
    assert {line.count("|") for line in text.split("\n\n")[0].splitlines()} == {6}


@pytest.mark.slow
def test_one_command_prints_tables_and_writes_json(start_benchmark: Start, tmp_path: Path) -> None:
    path = tmp_path / "speed.json"
    run = start_benchmark("--size=16", "--scales=2", "--repeats=1", f"--json={path}")
    output, errors = run.communicate(timeout=290)
    assert run.returncode == 0, errors
    assert "| x2 |" in output
    found = json.loads(path.read_text())
    cost = found["training_steps"][0]
    assert min(cost["step"], cost["without"], cost["simulation"]) > 0
    assert cost["share"] == pytest.approx(1 - cost["without"] / cost["step"])
    assert 0 < found["forward_peak_gib"] <= found["training_peak_gib"]


def test_scales_that_do_not_divide_the_size_end_in_one_line_and_exit_code_2() -> None:
    ended = call_app("benchmarks.fusion", "--size=16", "--scales=7")
    assert (ended.code, ended.output) == (2, "")
    assert len(ended.errors.strip().splitlines()) == 1
    assert ended.errors.startswith("error: scales: expected divisors of the size 16")
