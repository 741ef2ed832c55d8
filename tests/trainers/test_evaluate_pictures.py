"""Evaluation on pictures: degradation and scores are the protocol's, networks get what they ask for."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import imagecodecs
import keras
import numpy as np
import pytest
from scipy.ndimage import convolve
from skimage.metrics import peak_signal_noise_ratio

from hsr_tf.data.pictures import NamedPicture, find_pictures, load_picture
from hsr_tf.networks.image_network import ImageNetwork, ImageSpec, picture_inputs
from hsr_tf.networks.pretrained import ModelCard, save_model, shipped_models
from hsr_tf.networks.vdsr import VDSR
from hsr_tf.physics.resize import BicubicResize
from hsr_tf.tiling.region import Region
from tests.app_for_tests import call_app
from tests.trainers.test_single_image import scribble
from trainers import _picture_cases, evaluate_pictures
from trainers._picture_cases import Case, Enlarger, Estimate, find_enlargers
from trainers._picture_scores import PictureRow, markdown_table, means, score, write_tables


def told_network(scale: int, num_channels: int = 1) -> ImageNetwork:
    """Repeats every pixel, and answers the kernel that it was given."""
    spec = ImageSpec(scale=scale, num_channels=num_channels)
    inputs = picture_inputs(spec, kernel_size=21)
    outputs = {
        "estimate": keras.layers.UpSampling2D(scale)(inputs["lr_image"]),
        "kernel": keras.layers.Rescaling(1.0)(inputs["kernel"]),
    }
    return ImageNetwork(spec, inputs, outputs=outputs, options={}, reach=1)


def test_blur_is_a_mirrored_convolution_before_the_reduction() -> None:
    picture, case = scribble(1).values / 255.0, Case(4, 1.3)
    assert case.kernel.shape == (21, 21) and case.kernel.sum() == pytest.approx(1, abs=1e-6)
    middle, step = case.kernel[10, 10], case.kernel[10, 11]
    assert step / middle == pytest.approx(np.exp(-0.5 / 1.3**2), rel=1e-5)
    blurred = convolve(picture[..., 0], case.kernel.astype(np.float64), mode="reflect")
    expected = BicubicResize((44, 52), 0.25).forward(blurred[None, ..., None].astype(np.float32))
    np.testing.assert_allclose(case.degrade(picture.astype(np.float32)), expected, atol=2e-6)
    plain = Case(4)
    assert plain.kernel[10, 10] == plain.kernel.sum() == 1
    assert (case.label, plain.label, Case(2.5).label) == ("x4, sigma 1.3", "x4", "x2.5")


@pytest.mark.parametrize("picture", [scribble(1), NamedPicture("colour", scribble(2).values.repeat(3, -1))])
def test_a_network_of_rgb_is_scored_on_the_luminance_of_the_picture(picture: NamedPicture) -> None:
    """A gray picture's luminance is its values, not Y of three equal channels."""
    network, case = VDSR(ImageSpec(None, num_channels=3, zero_head=True), depth=2, features=4), Case(2)
    rows = [
        score(one.label, "set", picture, case=case, made=one.run(picture, case))
        for one in (Enlarger("bicubic"), Enlarger("vdsr", network))
    ]
    assert rows[1].psnr == pytest.approx(rows[0].psnr, abs=0.02)


@pytest.mark.parametrize("scale", [2, 3, 2.5])
def test_bicubic_is_scored_by_8_bit_psnr_inside_the_border(scale: float) -> None:
    picture, case = scribble(2), Case(scale)
    made = Enlarger("bicubic").run(picture, case)
    row = score("bicubic", "set", picture, case=case, made=made)
    whole = float(scale).is_integer()
    height, width = (n - n % int(scale) if whole else n for n in (44, 52))
    truth = picture.values[:height, :width]
    small = BicubicResize((height, width), 1 / scale).forward(truth[None].astype(np.float32))
    large = BicubicResize(tuple(small.shape[1:3]), float(scale)).forward(small)[0, :height, :width]
    b = int(np.ceil(scale))
    pair = [np.clip(np.rint(image), 0, 255)[b:-b, b:-b].astype(np.uint8) for image in (truth, large)]
    assert row.psnr == pytest.approx(peak_signal_noise_ratio(*pair), abs=1e-2)
    assert made.seconds > 0 and row.kernel_l1 is None


def test_networks_get_the_kernel_that_they_ask_for_and_fit_their_scale_alone() -> None:
    enlarger = Enlarger("told", told_network(4))
    assert enlarger.fits(Case(4)) and not enlarger.fits(Case(2))
    picture, case = scribble(0), Case(4, 2.6)
    made = enlarger.run(picture, case)
    assert made.kernel is not None
    np.testing.assert_allclose(made.kernel, case.kernel, atol=1e-7)
    assert score("told", "set", picture, case=case, made=made).kernel_l1 == pytest.approx(0, abs=1e-5)
    small = np.asarray(case.degrade(picture.values / np.float32(255)))[0]
    np.testing.assert_allclose(made.luma, small.repeat(4, 0).repeat(4, 1), atol=1e-6)


def test_a_network_of_colours_is_scored_on_the_luminance_of_its_estimate() -> None:
    gray = NamedPicture("flat", np.full((48, 48, 3), 100, np.uint8))
    made = Enlarger("told", told_network(2, 3)).run(gray, Case(2))
    assert made.luma.shape == (48, 48, 1)
    np.testing.assert_allclose(255 * made.luma, 16 + 219 * 100 / 255, atol=1e-2)


def test_vdsr_sees_the_enlarged_picture_and_any_scale() -> None:
    network = VDSR(ImageSpec(scale=None, zero_head=True), depth=2, features=3)
    for case in (Case(3), Case(1.5)):
        floor, made = (Enlarger("x", n).run(scribble(1), case) for n in (None, network))
        np.testing.assert_allclose(made.luma, floor.luma, atol=1e-6)


def test_noise_and_jpeg_are_those_of_the_small_picture() -> None:
    sharp = scribble(1).values / np.float32(255.0)
    clean = np.asarray(Case(2).degrade(sharp))
    noisy = np.asarray(Case(2, noise=10).degrade(sharp))
    assert 255 * np.std(noisy - clean) == pytest.approx(10, rel=0.1)
    np.testing.assert_array_equal(noisy, Case(2, noise=10).degrade(sharp))
    losses = [np.abs(np.asarray(Case(2, jpeg=q).degrade(sharp)) - clean).mean() for q in (100, 90, 40)]
    assert 0 < losses[0] < 1 / 255 < losses[2] and losses == sorted(losses)
    np.testing.assert_allclose(255 * np.asarray(Case(2, jpeg=40).degrade(sharp)) % 1, 0, atol=1e-4)
    colour = np.concatenate([sharp, sharp[::-1], sharp], -1)
    assert Case(4, noise=0, jpeg=70).degrade(colour).shape == (1, 11, 13, 3)
    assert Case(4, 1.3, 5, 70).label == "x4, sigma 1.3, noise 5, JPEG 70"


def rows() -> list[PictureRow]:
    one = {"pictures": "Set", "scale": 4.0, "sigma": 1.3, "noise": None, "jpeg": None}
    return [
        PictureRow("bicubic", **one, picture="a", psnr=20.0, ssim=0.5, kernel_l1=None, seconds=0.1),
        PictureRow("kbpn", **one, picture="a", psnr=22.0, ssim=0.7, kernel_l1=0.2, seconds=1.0),
        PictureRow("bicubic", **one, picture="b", psnr=30.0, ssim=0.9, kernel_l1=None, seconds=0.1),
        PictureRow("kbpn", **one, picture="b", psnr=np.inf, ssim=1.0, kernel_l1=0.4, seconds=2.0),
    ]


def test_tables_hold_means_gains_and_kernels(tmp_path: Path) -> None:
    kbpn = means(rows()[:3])[1]
    assert (kbpn["gain"], kbpn["pictures"], kbpn["kernel_l1"]) == (2.0, 1, 0.2)
    text = markdown_table(rows()[:3])
    assert "| Set | x4, sigma 1.3 | bicubic | 25.00 | +0.00 | 0.7000 |  | 0.100 |" in text
    assert "| Set | x4, sigma 1.3 | kbpn | 22.00 | +2.00 | 0.7000 | 0.200 | 1.000 |" in text
    write_tables(tmp_path, rows(), {"seed": 1})
    plain = json.loads((tmp_path / "scores.json").read_text())
    assert plain["rows"][3]["psnr"] is None and plain["mean"][1]["kernel_l1"] == pytest.approx(0.3)
    assert len(list(csv.DictReader((tmp_path / "scores.csv").open()))) == 4


def test_a_folder_is_scored_and_drawn(tmp_path: Path) -> None:
    path = tmp_path / "colour.png"
    luma = scribble(0).values
    path.write_bytes(imagecodecs.png_encode(np.concatenate([luma, luma[::-1], 255 - luma], -1)))
    enlargers = [Enlarger("bicubic"), Enlarger("told", told_network(2))]
    cases = [Case(2, 1.0), Case(3, 1.0)]
    found = evaluate_pictures.evaluate(enlargers, {"mine": [path]}, cases, sheets=tmp_path)
    assert [(row.method, row.scale) for row in found] == [("bicubic", 2), ("told", 2), ("bicubic", 3)]
    assert found[0].ssim > found[1].ssim
    assert sorted(p.name for p in tmp_path.glob("mine_*.png")) == [
        "mine_colour_x2_sigma1.png",
        "mine_colour_x3_sigma1.png",
    ]
    with pytest.raises(ValueError, match="methods: expected a method that fits the scales"):
        evaluate_pictures.evaluate(enlargers[1:], {"mine": [path]}, [Case(4)])


@pytest.mark.parametrize("scale", [2, 3, 2.5])
def test_nearest_neighbours_are_those_of_the_small_picture(scale: float) -> None:
    picture, case = scribble(1), Case(scale)
    made = Enlarger("nearest").run(picture, case)
    small = np.asarray(case.degrade(case.cut(picture.luma) / np.float32(255)))[0, ..., 0]
    centres = [(np.arange(n) + 0.5) / scale - 0.5 for n in made.luma.shape[:2]]
    nearest = [np.abs(c[:, None] - np.arange(n)).argmin(1) for c, n in zip(centres, small.shape, strict=True)]
    expected = small[np.ix_(*nearest)]
    ties = [np.isclose(c % 1, 0.5) for c in centres]
    decided = ~(ties[0][:, None] | ties[1])
    np.testing.assert_array_equal(made.luma[..., 0][decided], expected[decided])


def test_a_rectangle_is_four_whole_numbers() -> None:
    assert evaluate_pictures.rectangle_of([]) is None
    assert evaluate_pictures.rectangle_of(["1", "2", "3", "4"]) == Region(1, 2, 3, 4)
    for texts in (["1", "2", "3"], ["1", "2", "0", "4"], ["1", "x", "3", "4"]):
        with pytest.raises(ValueError, match="rectangle: expected"):
            evaluate_pictures.rectangle_of(texts)


def test_weights_are_found_by_folder_and_refused_for_another_method(tmp_path, monkeypatch) -> None:
    save_model(VDSR(ImageSpec(scale=None), depth=2, features=3), tmp_path / "small", {})
    found = find_enlargers([f"vdsr@{tmp_path / 'small'}", "bicubic"], [2.0])
    assert [one.label for one in found] == ["vdsr@small", "bicubic"]
    assert all(one.fits(Case(3.7)) for one in found)
    runs = [tmp_path / run / "model" for run in ("first", "second")]
    for run in runs:
        run.parent.mkdir()
        save_model(VDSR(ImageSpec(scale=None), depth=2, features=3), run, {})
    assert [one.label for one in find_enlargers([f"vdsr@{run}" for run in runs], [2.0])] == [
        "vdsr@first",
        "vdsr@second",
    ]
    with pytest.raises(ValueError, match="methods: expected at least one method, each once"):
        find_enlargers([f"vdsr@{runs[0]}", f"vdsr@{runs[0]}/"], [2.0])
    with pytest.raises(ValueError, match="weights: expected weights of srcnn"):
        find_enlargers([f"srcnn@{tmp_path / 'small'}"], [2.0])
    monkeypatch.setattr("hsr_tf.networks.image_selection.shipped_models", lambda kind: [])
    with pytest.raises(ValueError, match="weights: expected trained weights of vdsr"):
        find_enlargers(["vdsr"], [2.0])
    with pytest.raises(ValueError, match="did you mean 'vdsr'"):
        find_enlargers(["vdrs"], [2.0])


def test_a_public_set_without_a_data_root_names_the_variable(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HSR_DATA", str(tmp_path / "missing"))
    with pytest.raises(OSError, match=r"sisr/Set5: no such folder, and no \$HSR_DATA; set HSR_DATA"):
        evaluate_pictures.find_sets(["Set5"])


def test_deviations_that_are_no_positive_numbers_are_refused() -> None:
    assert evaluate_pictures.sigmas_of(["0.2", "1.3"]) == [0.2, 1.3]
    assert evaluate_pictures.sigmas_of([]) == [None]
    for texts in (["x"], ["0"], ["-1"], ["inf"]):
        with pytest.raises(ValueError, match="sigmas: expected positive numbers"):
            evaluate_pictures.sigmas_of(texts)


def test_noises_and_qualities_are_read_from_flags() -> None:
    assert evaluate_pictures.sigmas_of(["0", "5"], "noises", least=0.0) == [0, 5]
    assert evaluate_pictures.qualities_of(["90", "1"]) == [90, 1]
    assert evaluate_pictures.qualities_of([]) == [None]
    with pytest.raises(ValueError, match="noises: expected numbers from 0 on, got -1"):
        evaluate_pictures.sigmas_of(["-1"], "noises", least=0.0)
    for text in ("0", "101", "9.5", "x"):
        with pytest.raises(ValueError, match="jpeg_qualities: expected whole numbers from 1 to 100"):
            evaluate_pictures.qualities_of([text])


def test_kernels_a_pixel_are_scored_by_their_mean() -> None:
    kernels = np.stack([Case(4, 1.0).kernel, Case(4, 2.0).kernel])[None, :, None]
    one = _picture_cases._one_kernel(kernels)
    np.testing.assert_allclose(one, (kernels[0, 0, 0] + kernels[0, 1, 0]) / 2, atol=1e-8)
    made = Estimate(scribble(0).values / np.float32(255), one, 0.1)
    assert score("m", "s", scribble(0), case=Case(4, 1.0), made=made).kernel_l1 > 0.1


def test_a_public_set_is_scored_in_the_folder_that_it_comes_in(tmp_path: Path) -> None:
    inner = tmp_path / "Set5" / "image_SRF_4"
    inner.mkdir(parents=True)
    for index in range(2):
        for kind, step in (("HR", 1), ("LR", 4)):
            values = np.ascontiguousarray(scribble(index).values[::step, ::step, 0])
            (inner / f"img_{index}_SRF_4_{kind}.png").write_bytes(imagecodecs.png_encode(values))
    given = ("--data_set=set5", f"--data_dir={tmp_path}", f"--output_dir={tmp_path / 'out'}")
    ended = call_app("trainers.evaluate", *given, "--methods=bicubic", "--scales=4", "--nosheets")
    assert ended.code == 0, ended.errors
    assert "Set5: 2 of its 5 pictures" in ended.output
    rows = list(csv.DictReader((tmp_path / "out" / "scores.csv").open()))
    assert [row["picture"] for row in rows] == ["img_0_SRF_4_HR", "img_1_SRF_4_HR"]
    case, picture = Case(4), scribble(0)
    expected = score("bicubic", "Set5", picture, case=case, made=Enlarger("bicubic").run(picture, case))
    assert float(rows[0]["psnr"]) == pytest.approx(expected.psnr, abs=1e-3)


@pytest.mark.slow
def test_one_command_scores_pictures(tmp_path: Path, start) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.png").write_bytes(imagecodecs.png_encode(scribble(0).values[..., 0]))
    flags = ["--task=pictures", "--methods=bicubic", f"--sets={tmp_path / 'set'}", "--scales=2,2.5"]
    run = start("trainers.evaluate", *flags, f"--output_dir={tmp_path / 'out'}")
    printed, errors = run.communicate(timeout=280)
    assert run.returncode == 0, errors
    assert (tmp_path / "out" / "scores.md").read_text() in printed and "| set | x2.5 | bicubic |" in printed


def test_the_shipped_vdsr_is_small_and_beats_bicubic_at_any_factor(shared_data: Path) -> None:
    (network,) = find_enlargers(["vdsr"], [2.0])
    assert shipped_bytes("vdsr") < 3e6
    picture = load_picture(shared_data / "sisr" / "Set5" / "butterfly.png")
    for case in (Case(1.5), Case(3.7)):  # whole ones: below
        rows = [
            score(one.label, "Set5", picture, case=case, made=one.run(picture, case))
            for one in (network, Enlarger("bicubic"))
        ]
        assert rows[0].psnr > rows[1].psnr + 1.5


@pytest.mark.slow
@pytest.mark.parametrize(("scale", "least"), [(2, 37.0), (3, 33.1), (4, 30.8)])
def test_the_shipped_vdsr_reaches_the_scores_of_its_card(scale: int, least: float, shared_data: Path) -> None:
    (network,) = find_enlargers(["vdsr"], [scale])
    pictures, case = [load_picture(p) for p in find_pictures(shared_data / "sisr" / "Set5")], Case(scale)
    rows = [score("vdsr", "Set5", one, case=case, made=network.run(one, case)) for one in pictures]
    found = np.mean([row.psnr for row in rows])
    assert found == pytest.approx(shipped("vdsr").record["scores"]["Set5"][f"x{scale}"]["psnr"], abs=0.01)
    assert found >= least


@pytest.mark.slow
@pytest.mark.parametrize(("sigma", "least"), [(0.2, 28.7), (1.3, 29.8), (2.6, 29.3)])
def test_the_shipped_kbpn_reaches_the_scores_of_its_card_blind(
    sigma: float, least: float, shared_data: Path
) -> None:
    assert shipped_bytes("kbpn") < 1e7
    (network,) = find_enlargers(["kbpn"], [4])
    pictures, case = [load_picture(p) for p in find_pictures(shared_data / "sisr" / "Set5")], Case(4, sigma)
    rows = [score("kbpn", "Set5", one, case=case, made=network.run(one, case)) for one in pictures]
    told = shipped("kbpn").record["scores"]["Set5"][f"x4 sigma {sigma}"]
    assert np.mean([row.psnr for row in rows]) == pytest.approx(told["psnr"], abs=0.01)
    assert np.mean([row.kernel_l1 for row in rows]) == pytest.approx(told["kernel_l1"], abs=0.01)
    assert told["psnr"] >= least


@pytest.mark.slow
@pytest.mark.parametrize(("sigma", "least"), [(0.2, 31.0), (1.3, 30.9), (2.6, 30.5)])
def test_the_shipped_srmdnf_reaches_the_scores_of_its_card(
    sigma: float, least: float, shared_data: Path
) -> None:
    (network,) = find_enlargers(["srmdnf"], [4])
    pictures, case = [load_picture(p) for p in find_pictures(shared_data / "sisr" / "Set5")], Case(4, sigma)
    rows = [score("srmdnf", "Set5", one, case=case, made=network.run(one, case)) for one in pictures]
    told = shipped("srmdnf").record["scores"]["Set5"][f"x4 sigma {sigma}"]
    assert np.mean([row.psnr for row in rows]) == pytest.approx(told["psnr"], abs=0.01)
    assert told["psnr"] >= least


def shipped(method: str) -> ModelCard:
    """The card of the one model of a method that comes with the package."""
    (card,) = (card for card in shipped_models("image_network") if card.config.method == method)
    return card


def shipped_bytes(method: str) -> int:
    """What its files take."""
    return sum(path.stat().st_size for path in shipped(method).folder.iterdir())
