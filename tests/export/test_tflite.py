"""TFLite files answer as Keras does, at sizes they were not traced with; what is no such file is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from export import comparison, latency, quantize, tflite, verify
from export.comparison import SavedModel, check_file, operators_of
from export.flatbuffer import described, tflite_metadata
from export.quantize import OF_SCENES, IntegerForm, reduced
from export.saved_model import TrainedModel, export_saved_model
from export.tflite import Data, convert, export_tflite
from export.tflite_model import TFLiteModel
from export.trials import Trial
from hsr_tf import methods
from hsr_tf.networks.fusion_model import FusionModel
from hsr_tf.networks.model_info import ModelInfo
from hsr_tf.networks.pretrained import ModelCard, save_model, shipped_models
from tests.exports_for_tests import Exports
from tests.networks.test_conformance import NUM_BANDS
from tests.networks.test_image_conformance import small
from tests.tflite_for_tests import Exported, Inputs, difference

SIZES = ((24, 40), (31, 24), (25, 25))
CELLS = ((6, 10), (9, 7), (8, 8))
SMALL = {"20x28": (20, 28), "24x20": (24, 20)}
SLOW = {
    "dbpn",
    "ikc",
    "kbpn",
    "prior",
    "srmdnf",
    "srresnet_concat",
    "srresnet_sft",
    "ssf_resnet",
    "spectral_resnet",
    "dhsis",
}
LARGEST = {"float32": 1e-4, "float16": 5e-3, "dynamic": 0.08}


@pytest.fixture(scope="module")
def exported(exports: Exports) -> Callable[..., Exported]:
    """Makes each network's files once."""

    @cache
    def make(method: str, base: str = "none") -> Exported:
        one = exports.get(method, base)
        return Exported(one.trained.model, one.folder, one.saved, convert(one.saved))

    return make


def networks() -> list[Any]:
    """Every network of the registry, and the bases a fusion model may have; the costly ones are slow.

    (tests/networks/test_conversion.py converts one over spectral_ls always.)
    """
    cases = [(name, "none") for name in [*methods.names("image_network"), *methods.names("network")]]
    cases += [("ms_ssfnet", base) for base in ("bicubic", "spectral_ls", "sylvester")]
    slow = {*cases[-3:]}
    return [
        pytest.param(*case, marks=[pytest.mark.slow] if case[0] in SLOW or case in slow else [])
        for case in cases
    ]


@pytest.mark.parametrize(("method", "base"), networks())
def test_files_of_floating_point_answer_as_keras_does(
    method: str, base: str, exported: Callable[..., Exported]
) -> None:
    one = exported(method, base)
    for variant, largest in LARGEST.items():
        content = one.variant(variant)
        assert not [name for name in operators_of(content) if name.startswith("custom ")]
        model = TFLiteModel(content)
        assert (model.metadata["method"], model.metadata["scale"]) == (method, one.saved.info.scale)
        assert set(model.input_shapes) == set(one.saved.info.inputs)
        for size in CELLS if isinstance(one.model, FusionModel) else SIZES:
            assert difference(model, one, one.inputs(size)) < largest, (variant, size)


def test_a_model_that_needs_other_operators_is_refused_in_one_line() -> None:
    class Enlarging:
        """Enlarges by TensorFlow's own bicubic operator, which LiteRT lacks."""

        inputs, outputs, info = ("lr_image",), ("estimate",), None

        def spec(self, name: str, size: object) -> tf.TensorSpec:
            return tf.TensorSpec((1, None, None, 1), tf.float32, name)

        def function(self, lr_image: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"estimate": tf.raw_ops.ResizeBicubic(images=lr_image, size=(8, 8))}

    with pytest.raises(ValueError, match=r"^saved_model: expected builtin [^\n]*ResizeBicubic[^\n]*$"):
        convert(Enlarging())  # type: ignore[arg-type]


@pytest.mark.parametrize("method", ["vdsr", "srcnn", "ms_ssfnet"])
def test_a_file_of_integers_answers_nearly_as_keras_does(
    method: str, exported: Callable[..., Exported]
) -> None:
    one = exported(method)
    content = one.variant("int8")
    model = TFLiteModel(content)
    size = CELLS[0] if method == "ms_ssfnet" else SIZES[0]
    assert 1e-6 < difference(model, one, one.inputs(size)) < 0.05
    assert {"QUANTIZE", "DEQUANTIZE"} <= set(operators_of(content))
    assert tflite_metadata(content).weights_sha256 == one.saved.info.weights_sha256


def test_integer_ends_take_and_give_integers_of_the_same_picture(exported: Callable[..., Exported]) -> None:
    one = exported("vdsr")
    model = TFLiteModel(one.variant("int8", IntegerForm(integer_ends=True)))
    details = [*model._inputs.values(), *model._outputs.values()]
    assert {detail["dtype"] for detail in details} == {np.int8}
    step = model._outputs["estimate"]["quantization"][0]
    assert difference(model, one, one.inputs(SIZES[0])) < 4 * step < 0.1


def test_fixed_sizes_are_taken_and_others_refused(exported: Callable[..., Exported]) -> None:
    one = exported("vdsr")
    model = TFLiteModel(convert(one.saved, (24, 40)))
    assert model.metadata["size"] == [24, 40]
    assert difference(model, one, one.inputs((24, 40))) < LARGEST["float32"]
    with pytest.raises(ValueError, match=r"^lr_image: expected a shape of \(1, 24, 40, 1\), got .*$"):
        model.run(one.inputs((24, 41)))
    fusion = exported("ms_ssfnet")
    model = TFLiteModel(convert(fusion.saved, (6, 10)))
    assert model.input_shapes == {"lr_hsi": (1, 6, 10, NUM_BANDS), "hr_msi": (1, 24, 40, 3)}
    assert difference(model, fusion, fusion.inputs((6, 10))) < LARGEST["float32"]


def test_integers_without_a_calibration_are_refused(exported: Callable[..., Exported]) -> None:
    one = exported("vdsr")
    with pytest.raises(ValueError, match="calibration: expected real inputs"):
        reduced(one.content, "int8", calibration=lambda: [])
    with pytest.raises(ValueError, match="did you mean 'int8'"):
        reduced(one.content, "int", calibration=list)


def test_what_is_no_whole_file_of_this_project_is_one_line(
    exported: Callable[..., Exported], tmp_path: Path
) -> None:
    content = exported("vdsr").content
    cuts = [content[:length] for length in (9, 100, len(content) // 2, len(content) - 500, len(content) - 1)]
    for bad in (b"", b"TFL3", bytes(200), *cuts):
        with pytest.raises(ValueError, match=r"^model: expected [^\n]*$"):
            TFLiteModel(bad)
    with pytest.raises(OSError, match="cannot be read"):
        TFLiteModel(tmp_path / "none.tflite")


def test_a_file_of_other_origin_is_one_line() -> None:
    double = tf.function(lambda x: 2 * x, input_signature=[tf.TensorSpec((1, 4))])
    converter = tf.lite.TFLiteConverter.from_concrete_functions([double.get_concrete_function()])
    foreign = converter.convert()
    with pytest.raises(ValueError, match=r"^model: expected a file of export.tflite, got [^\n]*$"):
        TFLiteModel(foreign)
    info = ModelInfo("image_network", "vdsr", None, 1, None, {"serving_default": ("x",)})
    with pytest.raises(ValueError, match=r"^inputs: expected x, got y; [^\n]*$"):
        TFLiteModel(described(foreign, ["x"], ["twice"], info)).run({"y": np.zeros((1, 4))})


def trials(one: Exported, number: int = 2) -> list[Trial]:
    """Pictures with themselves as their truth."""
    inputs = [one.inputs(size) for size in SIZES[:number]]
    return [Trial(str(i), given, given["lr_image"][0], 1) for i, given in enumerate(inputs)]


def emptied(content: bytes, value: float) -> bytes:
    """The file with every weight replaced, as a wrong way of conversion does it."""
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    for tensor in model.subgraphs[0].tensors:
        data = model.buffers[tensor.buffer].data
        if tensor.type == 0 and data is not None and len(data):
            size = len(data) // 4
            model.buffers[tensor.buffer].data = list(np.full(size, value, np.float32).tobytes())
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def test_a_file_that_kept_its_bounds_stays_with_its_card(
    exported: Callable[..., Exported], tmp_path: Path
) -> None:
    one, path = exported("vdsr"), tmp_path / "vdsr.float32.tflite"
    path.write_bytes(one.content)
    found = check_file(path, "float32", one.saved, trials(one))
    assert found.passed and path.exists() and found.num_sizes == 2
    assert json.loads(path.with_suffix(".json").read_text())["largest_difference"] < 1e-4
    assert "vdsr" in path.with_suffix(".md").read_text()


@pytest.mark.parametrize(("value", "said"), [(np.nan, "NaN"), (0.0, "differs by"), (0.01, "differs by")])
def test_a_file_that_lost_its_weights_is_moved_aside(
    value: float, said: str, exported: Callable[..., Exported], tmp_path: Path
) -> None:
    one, path = exported("srcnn"), tmp_path / "srcnn.float32.tflite"
    path.write_bytes(emptied(one.content, value))
    found = check_file(path, "float32", one.saved, trials(one))
    assert any(said in problem for problem in found.problems)
    assert not path.exists()
    assert (tmp_path / "srcnn.float32.tflite.rejected").exists()


def test_a_rejected_file_leaves_an_older_one_and_its_card_alone(
    exported: Callable[..., Exported], tmp_path: Path
) -> None:
    one, path, fresh = exported("srcnn"), tmp_path / "srcnn.float32.tflite", tmp_path / "fresh"
    path.write_bytes(one.content)
    check_file(path, "float32", one.saved, trials(one))
    before = {name.name: name.read_bytes() for name in tmp_path.iterdir()}
    fresh.write_bytes(emptied(one.content, np.nan))
    assert not check_file(fresh, "float32", one.saved, trials(one), target=path).passed
    after = {name.name: name.read_bytes() for name in tmp_path.iterdir()}
    assert {name: after.pop(name) for name in before} == before
    assert sorted(after) == [
        f"srcnn.float32{end}" for end in (".rejected.json", ".rejected.md", ".tflite.rejected")
    ]
    path.write_bytes(emptied(one.content, np.nan))
    check_file(path, "float32", one.saved, trials(one))
    assert sorted(name.name for name in tmp_path.iterdir()) == sorted(after)


def test_a_file_of_one_size_is_calibrated_with_inputs_of_that_size(
    exported: Callable[..., Exported], tmp_path: Path
) -> None:
    one, data = exported("srcnn"), pictures(tmp_path)
    (found,) = export_tflite(one.saved, tmp_path / "out", variants=["int8"], data=data, sizes=[(20, 28)])
    written = tmp_path / "out" / found.file
    assert dict(TFLiteModel(written.read_bytes()).input_shapes) == {"lr_image": (1, 20, 28, 1)}
    assert "for an estimate of 20 x 28 pixels" in written.with_suffix(".md").read_text()
    assert json.loads(written.with_suffix(".json").read_text())["timed_size"] == [20, 28]


def test_integer_ends_leave_the_file_with_float_ends(
    exported: Callable[..., Exported], tmp_path: Path
) -> None:
    one, data = exported("srcnn"), pictures(tmp_path)
    for integer_ends in (False, True):
        found = export_tflite(
            one.saved,
            tmp_path / "out",
            variants=["int8"],
            data=data,
            sizes=[(20, 28)],
            integer_ends=integer_ends,
        )
        assert len([*found]) == 1
    names = ["srcnn.int8.20x28.tflite", "srcnn.int8.integer_ends.20x28.tflite"]
    assert finished(tmp_path / "out") == {*names}
    types = {
        name: {end["dtype"] for end in TFLiteModel(tmp_path / "out" / name)._inputs.values()}
        for name in finished(tmp_path / "out")
    }
    assert types == dict(zip(names, ({np.float32}, {np.int8}), strict=True))


def pictures(folder: Path) -> Data:
    """A picture to try on, and the same to calibrate with."""
    pixels = np.random.default_rng(3).integers(0, 256, (60, 80)).astype(np.uint8)
    for name in ("trials", "calibration"):
        (folder / name).mkdir()
        Image.fromarray(pixels).save(folder / name / "a.png")
    return Data(folder / "trials", folder / "calibration")


def finished(folder: Path) -> set[str]:
    """Names of the files in their places, each with its cards and nothing else beside them."""
    names = {path.name for path in folder.glob("*.tflite")}
    cards = {name.replace("tflite", ending) for name in names for ending in ("json", "md")}
    assert {path.name for path in folder.iterdir()} == names | cards
    return names


def test_a_variant_that_cannot_be_made_leaves_the_others_alone(
    exported: Callable[..., Exported], tmp_path: Path
) -> None:
    """Here without images to calibrate int8 with, for each of two sizes."""
    one, data = exported("srcnn"), pictures(tmp_path)
    next(data.calibration.iterdir()).unlink()
    checked, names = [], {f"srcnn.{v}.{s}.tflite" for v in ("float32", "float16") for s in SMALL}
    with pytest.raises(OSError, match="calibration: "):
        for found in export_tflite(
            one.saved,
            tmp_path / "out",
            variants=["int8", "float32", "float16"],
            data=data,
            sizes=list(SMALL.values()),
        ):
            checked.append(found.file)
    assert {*checked} == names == finished(tmp_path / "out")


def test_a_file_that_cannot_be_run_leaves_the_others_alone(
    exported: Callable[..., Exported], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing(TFLiteModel):
        """Has no memory for one of the files."""

        def __init__(self, path: Path, *, num_threads: int) -> None:
            super().__init__(path, num_threads=num_threads)
            self.fails = ".float16." in path.name

        def run(self, inputs: Any) -> Inputs:
            if self.fails:
                raise MemoryError("no memory for float16")
            return super().run(inputs)

    monkeypatch.setattr(latency, "TFLiteModel", Failing)
    one, out = exported("srcnn"), tmp_path / "out"
    files = export_tflite(one.saved, out, variants=["float16", "float32", "dynamic"], data=pictures(tmp_path))
    assert [next(files).variant, next(files).variant] == ["float32", "dynamic"]
    with pytest.raises(MemoryError, match="no memory for float16"):
        next(files)
    assert finished(out) == {"srcnn.float32.tflite", "srcnn.dynamic.tflite"}


def test_a_stop_ends_at_once_and_keeps_what_was_finished(
    exported: Callable[..., Exported], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here while the second file is checked; the third is not begun."""
    begun = []

    def stopped(path: Path, variant: str, *others: Any, **named: Any) -> comparison.Check:
        begun.append(variant)
        if variant == "float16":
            raise KeyboardInterrupt
        return check_file(path, variant, *others, **named)

    monkeypatch.setattr(tflite, "check_file", stopped)
    one, out, wanted = exported("srcnn"), tmp_path / "out", ["float32", "float16", "dynamic"]
    with pytest.raises(KeyboardInterrupt):
        list(export_tflite(one.saved, out, variants=wanted, data=pictures(tmp_path), sizes=[None, (20, 28)]))
    assert begun == ["float32", "float16"]
    assert finished(out) == {"srcnn.float32.tflite"}


def test_verify_ends_with_1_for_a_broken_bound(
    exported: Callable[..., Exported], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, path = exported("srcnn"), tmp_path / "srcnn.float32.tflite"
    path.write_bytes(one.content)
    monkeypatch.setattr(verify, "FLAGS", Flags(model=str(path), saved_model=str(one.folder)))
    monkeypatch.setattr(verify, "default_data", lambda *_: verify.replace(DATA, trials=tmp_path))
    monkeypatch.setattr(verify.Task, "trials", lambda *_: iter(trials(one)))
    verify.main()
    monkeypatch.setitem(comparison.LARGEST_DIFFERENCE, "float32", -1.0)
    with pytest.raises(SystemExit) as ended:
        verify.main()
    assert ended.value.code == 1
    assert not path.exists() and path.with_name(path.name + ".rejected").exists()


@dataclass(frozen=True)
class Flags:
    """Those of export.verify."""

    model: str
    saved_model: str
    all: bool = False
    models: tuple[str, ...] = ()
    output_dir: str | None = None
    data_dir: str | None = None


DATA = verify.default_data("image_network", "trials", "calibration")


@pytest.mark.slow
@pytest.mark.parametrize("card", shipped_models(), ids=lambda card: card.folder.name)
def test_every_shipped_model_becomes_a_file_of_builtin_operators(card: ModelCard, tmp_path: Path) -> None:
    saved = SavedModel.load(export_saved_model(TrainedModel.load(card.folder), tmp_path / "m" / "1"))
    content = convert(saved)
    assert len(content) > 100_000
    assert operators_of(content)


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["dynamic", "int8"])
def test_closed_forms_are_not_rounded(
    variant: str, exported: Callable[..., Exported], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Products with the cameras' response stay exact: rounded to 8 bits they cost most of what is lost."""
    one = exported("ms_ssfnet", "spectral_ls")
    given = one.inputs(CELLS[0])
    exact = difference(TFLiteModel(one.variant(variant, OF_SCENES)), one, given)
    monkeypatch.setattr(quantize, "FEWEST_OF_PRODUCTS", 0)
    rounded = difference(TFLiteModel(one.variant(variant, OF_SCENES)), one, given)
    assert exact < 0.5 * rounded


@pytest.mark.slow
def test_the_published_ikc_in_eight_bits_is_as_exact_as_its_range_is_wide(tmp_path: Path) -> None:
    """Its pictures are clipped to [0, 1], where random weights answer up to 14: too wide by itself."""
    network = small("ikc:published")
    head = network.get_layer("head")
    weights, biases = head.get_weights()
    head.set_weights([weights / 28, biases + 0.5])  # pictures within [0, 1], as trained weights make them
    trained = TrainedModel.load(save_model(network, tmp_path / "trained", {}))
    export_saved_model(trained, tmp_path / "ikc" / "1")
    saved = SavedModel.load(tmp_path / "ikc" / "1")
    one = Exported(trained.model, tmp_path / "ikc" / "1", saved, convert(saved))
    model = TFLiteModel(one.variant("dynamic"))
    for size in SIZES:
        inputs = one.inputs(size)
        assert np.ptp(saved.run(inputs)["estimate"]) > 0.2
        assert difference(model, one, inputs) < 0.02
