"""Verification of every model says what it does, goes on after failures and ends with all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from export import tflite, verify
from export.comparison import Check, SavedModel
from export.quantize import VARIANTS
from export.trials import Trial
from export.verify import Verified, models_to_verify, verify_all
from hsr_tf import methods
from hsr_tf.networks import pretrained
from hsr_tf.networks.model_info import ModelInfo
from hsr_tf.networks.pretrained import load_model, shipped_models
from tests.app_for_tests import call_app


def check(file: str, *problems: str) -> Check:
    return Check(file, "float32", 1.0, 2, 1, 0.0, 30.0, 30.0, 0.1, 0.1, (8, 8), {"CONV_2D": 1}, problems)


def test_every_network_of_the_registry_is_verified_once() -> None:
    shipped = {card.folder.name: card.config.method for card in shipped_models()}
    fresh = {name for name in models_to_verify() if name not in shipped}
    networks = {*methods.names("image_network"), *methods.names("network")}
    assert fresh == {f"{method}_untrained" for method in networks - set(shipped.values())}
    assert set(shipped) <= set(models_to_verify())


def test_models_are_chosen_by_name_or_method() -> None:
    assert list(models_to_verify(["srcnn"])) == ["srcnn_untrained"]
    assert list(models_to_verify(["kbpn_x4", "srcnn"])) == ["kbpn_x4", "srcnn_untrained"]
    both = [card.folder.name for card in shipped_models() if card.config.method == "ms_ssfnet"]
    assert list(models_to_verify(["ms_ssfnet"])) == both
    with pytest.raises(ValueError, match=r"^models: .*did you mean 'srcnn'"):
        models_to_verify(["srcn"])


def test_a_fresh_network_over_a_base_changes_what_the_base_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(verify, "shipped_models", lambda: ())  # whatever weights ship
    (make,) = models_to_verify(["dhsis"]).values()
    model = load_model(make(tmp_path))
    assert all(np.any(weight.numpy()) for weight in model.network.weights if len(weight.shape) > 1)


def test_a_failure_is_told_and_the_next_model_taken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    printed_before_last: list[str] = []

    def checked(make: object, workplace: Path, output: Path, data_dir: str | None) -> Iterator[Check]:
        if make == "bad":
            yield check("bad.float32.tflite", "loses 1.00 dB, allowed 0.3 dB")
            raise ValueError("inputs: expected others,\n got these")
        printed_before_last.append(capsys.readouterr().out)
        yield check("good.float32.tflite")

    monkeypatch.setattr(verify, "_checked", checked)
    found = verify_all({"bad": "bad", "good": "good"}, tmp_path)  # type: ignore[dict-item]
    assert [one.file for one in found.files] == ["bad.float32.tflite", "good.float32.tflite"]
    assert found.failures == ("bad: inputs: expected others, got these",)
    assert "| bad.float32.tflite |" in printed_before_last[0] and "loses 1.00 dB" in printed_before_last[0]
    assert not found.passed and Verified(found.files[1:], ()).passed


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            [],
            "model, saved_model, all: expected a file with its SavedModel, or --all, got neither; give e.g.",
        ),
        (["--model=a.int8.tflite"], "saved_model: expected what the file was made of, got none; give e.g."),
        (["--saved_model=m/1"], "model: expected a file of that SavedModel, got none; give e.g. --model="),
        (["--all", "--model=srcnn"], "model: expected none beside --all, got srcnn; leave out --model or"),
        (["--all", "--saved_model=m/1"], "saved_model: expected none beside --all, got m/1; leave out"),
        (
            ["--models=kbpn_x4,srcnn"],
            "models: expected --all beside it, got kbpn_x4,srcnn without; add --all",
        ),
        (
            ["--model=a.int8.tflite", "--saved_model=m/1", "--output_dir=x"],
            "output_dir: expected --all beside it, got x without; add --all, or leave out --output_dir",
        ),
    ],
)
def test_flags_that_would_be_ignored_or_lack_their_other_half_are_refused(
    given: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pretrained, "shipped_models", list)  # --all would find nothing to do
    monkeypatch.setattr(methods, "names", lambda _: [])
    ended = call_app("export.verify", *given)
    assert (ended.code, ended.output) == (2, "")
    assert ended.last_error.startswith(f"error: {said}")


@pytest.mark.parametrize(
    ("given", "variants", "said"),
    [
        (
            (None, None),
            VARIANTS,
            "data_dir, calibration_dir: expected a folder of photographs to try the files",
        ),
        (("photos", None), VARIANTS, "calibration_dir: expected a folder of photographs to calibrate int8"),
        ((None, None), ("float32",), "data_dir: expected a folder of photographs to try the files on"),
    ],
)
def test_without_the_data_root_the_missing_folders_are_named(
    given: tuple[str | None, str | None], variants: Sequence[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tflite, "data_root", lambda: None)
    flag = said.split(":")[0].split(",")[0]
    with pytest.raises(ValueError, match=f"^{said}.*give --{flag}=FOLDER"):
        tflite.default_data("image_network", *given, variants)


def test_a_calibration_of_a_file_that_exists_is_refused() -> None:
    ended = call_app(
        "export.verify", "--model=a.int8.tflite", "--saved_model=m/1", "--calibration_dir=photos"
    )
    assert ended.code == 2 and "--calibration_dir needs --all" in ended.last_error


def test_int8_alone_asks_for_a_calibration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tflite, "data_root", lambda: None)
    found = tflite.default_data("image_network", "photos", None, ("float32", "dynamic"))
    assert (found.trials, found.calibration) == (Path("photos"), None)


def test_progress_counts_models(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(verify, "_checked", lambda *_: iter([check("a.float32.tflite")]))
    verify_all({"a": print, "b": print}, tmp_path)  # type: ignore[dict-item]
    told = capsys.readouterr().err.splitlines()
    assert [line.partition(" (")[0] for line in told] == ["1 of 2: a", "2 of 2: b"]


def test_a_saved_model_answers_a_trial_once_for_all_variants(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def answer(lr_image: tf.Tensor) -> dict[str, tf.Tensor]:
        asked.append(lr_image)
        return {"estimate": lr_image}

    answer.structured_outputs = {"estimate": None}  # type: ignore[attr-defined]
    loaded = SimpleNamespace(signatures={"serving_default": answer})
    monkeypatch.setattr(tf.saved_model, "load", lambda _: loaded)
    info = ModelInfo("image_network", "vdsr", None, 1, None, {"serving_default": ("lr_image",)})
    model = SavedModel(Path("none"), info)
    image = np.linspace(0, 1, 256, dtype=np.float32).reshape(1, 16, 16, 1)
    first, second = (Trial(name, {"lr_image": image}, 0 * image[0], 1) for name in "ab")
    assert model.answer(first) is model.answer(first) is not model.answer(second)
    assert len(asked) == 2 and model.answer(first).psnr == first.psnr(image)
