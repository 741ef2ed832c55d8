"""One table of metrics: what is registered appears everywhere; what is broken spoils nothing else."""

from __future__ import annotations

import math
from collections.abc import Iterator
from importlib import metadata
from types import SimpleNamespace

import numpy as np
import pytest

from hsr_tf.metrics import Metric, register, scorecard, summarise, table
from hsr_tf.metrics.no_reference import no_reference
from hsr_tf.metrics.scores import Scorecard
from hsr_tf.physics.cameras import make_cameras
from hsr_tf.report.html.page import render
from hsr_tf.report.scene_report import estimate_report
from hsr_tf.report.screen import quality_table, scorecard_table
from hsr_tf.scene import Scene
from trainers.demo import results_table
from trainers.evaluate import Row, markdown_table

ERROR = Metric(
    "worst_error",
    "largest error",
    "lower",
    lambda pair: np.abs(pair.reference - pair.estimate).max(),
    heading="Worst",
    unit="counts",
    digits=1,
)
SHAPE = (16, 12, 4)


@pytest.fixture(autouse=True)
def added(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Metric]]:
    """The metrics that are registered within a test."""
    kept: list[Metric] = []
    monkeypatch.setattr(table, "_ADDED", kept)
    table._load.cache_clear()
    yield kept
    table._load.cache_clear()


def cubes() -> tuple[Scene, Scene]:
    draws = np.random.default_rng(0)
    truth = draws.uniform(0.2, 0.8, SHAPE).astype(np.float32)
    guess = truth.copy()
    guess[3, 4, 1] += 0.125
    wavelengths = np.linspace(400, 700, SHAPE[2])
    return Scene(truth, wavelengths), Scene(guess, wavelengths)


def texts(found: object) -> str:
    columns = found.columns  # type: ignore[attr-defined]
    return " ".join(str(text) for column in columns for text in (column.header, *column.cells))


def test_a_registered_metric_is_in_scorecard_tables_report_and_means() -> None:
    register(ERROR)
    card = scorecard(*cubes(), scale=4)
    assert card.as_dict()["worst_error"] == pytest.approx(0.125)
    assert summarise([card, card]).std.by_name()["worst_error"] == 0.0
    assert "largest error" in texts(scorecard_table(card)) and "0.1 counts" in texts(scorecard_table(card))
    assert "| Worst, counts |" in markdown_table([Row("m", 4, "s", card, 1.0)])
    assert "Worst" in texts(results_table({"m": card}, {"m": 1.0}))
    truth, guess = cubes()
    data = estimate_report({"m": guess}, truth, scale=4)
    assert data.scores["m"]["worst_error"] == pytest.approx(0.125)
    assert "Worst" in render(data)


def test_a_registered_metric_without_a_truth_is_in_the_quality_table() -> None:
    from hsr_tf.fusion.api import simulate

    def mean_value(judged: object) -> float:
        return float(judged.estimate.cube.mean())  # type: ignore[attr-defined]

    register(Metric("mean_value", "mean", "higher", mean_value, needs=("images", "wavelengths")))
    truth = Scene(np.random.default_rng(0).uniform(0.2, 0.8, (64, 64, 31)).astype(np.float32))
    observation = simulate(truth, scale=4)
    figures = no_reference(observation, truth, make_cameras(truth, 4))
    assert math.isnan(figures.added["mean_value"])  # the wavelengths are not known
    known = Scene(truth.cube, np.linspace(400, 700, 31))
    figures = no_reference(simulate(known, scale=4), known, make_cameras(known, 4))
    assert figures.as_dict()["mean_value"] == pytest.approx(0.5, abs=0.01)
    assert "mean" in texts(quality_table(figures, psf="p", srf="r"))


def test_built_in_functions_and_named_fields_agree() -> None:
    truth = Scene(np.random.default_rng(0).uniform(0.2, 0.8, (64, 64, 31)).astype(np.float32))
    figures = no_reference(simulate_x4(truth), truth, make_cameras(truth, 4))
    for metric in table.metrics_for("images"):
        assert table.compute(metric, figures, known=["srf"]) == figures.by_name()[metric.name]


def simulate_x4(truth: Scene) -> object:
    from hsr_tf.fusion.api import simulate

    return simulate(truth, scale=4)


def test_a_failing_metric_is_one_warning_and_nan_and_the_others_stay() -> None:
    register(Metric("broken", "broken", "lower", lambda pair: 1 / 0))
    with pytest.warns(UserWarning, match="^metric broken: left out, ZeroDivisionError"):
        card = scorecard(*cubes(), scale=4)
    assert math.isnan(card.added["broken"]) and card.as_dict()["broken"] is None
    assert math.isfinite(card.psnr_cube) and "broken" in texts(scorecard_table(card))


def test_a_broken_package_is_one_warning_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def load() -> None:
        raise ImportError("no module named missing")

    def good() -> None:
        register(ERROR)

    entries = [SimpleNamespace(value="bad.metrics", load=load), SimpleNamespace(value="good", load=good)]
    monkeypatch.setattr(metadata, "entry_points", lambda group: entries if group == "hsr_tf.metrics" else [])
    with pytest.warns(UserWarning, match="metrics of bad.metrics are left out: ImportError") as seen:
        names = [metric.name for metric in table.metrics_for()]
        table.metrics_for()
    assert names[-1] == "worst_error" and len(seen) == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"better": "up"}, "better: expected one of"), ({"needs": ("truth",)}, "needs: expected one of")],
)
def test_a_wrong_declaration_is_refused(changes: dict[str, object], words: str) -> None:
    fields = {"name": "x", "label": "x", "better": "lower", "function": float} | changes
    with pytest.raises(ValueError, match=words):
        Metric(**fields)  # type: ignore[arg-type]


def test_a_name_is_taken_once_per_kind() -> None:
    register(ERROR)
    with pytest.raises(ValueError, match=r"^name: expected a name other than"):
        register(ERROR)


def test_formats_have_units_and_say_what_is_best() -> None:
    psnr, residual = table.get("psnr_bands"), table.get("lr_hsi_residual", "images")
    assert (psnr.text(45.204), psnr.title, psnr.text(math.inf)) == ("45.20 dB", "PSNR (bands), dB", "exact")
    assert (residual.text(0.0241), residual.text(None)) == ("2.4 %", "–")
    assert (psnr.best([1.0, 2.0]), residual.best([1.0, 2.0])) == (2.0, 1.0)


def test_every_field_of_a_scorecard_is_a_metric() -> None:
    card = Scorecard(1, 2, 3, 4, 5, 6, 7)
    known = [metric.name for metric in table.metrics_for()]
    own = list(card.by_name())[:-1]
    assert list(card.by_name())[-1] == "zero_spectra" and len(own) == 6
    assert own == [name for name in known if name in own]


def test_scores_stand_in_the_order_of_the_table() -> None:
    register(ERROR)
    known = [metric.name for metric in table.metrics_for()]
    assert list(scorecard(*cubes(), scale=4).by_name()) == [*known, "zero_spectra"]


def test_means_of_cards_without_a_later_metric_have_a_dash_for_it() -> None:
    card = Scorecard(40, 39, 2, 0.98, 1, 3, 0)
    register(ERROR)
    assert "– | 1.00 |" in markdown_table([Row("m", 4, "s", card, 1.0)])
