"""The picture sheet: written whole or not at all, the same pixels every time, for every kind of scene."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.image import imread
from matplotlib.text import Text

from hsr_tf.metrics import full_reference as metrics
from hsr_tf.report.sheet import DPI, SheetData, draw_sheet, picture_sheet


def scene(height=24, width=36, num_bands=7, num_channels=3, scale=4):
    """A non-square cube of ramps and noise with its box-averaged low-resolution cube and its channels."""
    rng = np.random.default_rng(5)
    rows, columns, bands = np.ogrid[:height, :width, :num_bands]
    cube = 0.1 + 0.5 * rows / height * bands / num_bands + 0.2 * columns / width
    cube = (cube + 0.05 * rng.random((height, width, num_bands))).astype(np.float32)
    low = cube.reshape(height // scale, scale, width // scale, scale, num_bands).mean(axis=(1, 3))
    response = rng.random((num_bands, num_channels))
    return cube, low, (cube @ (response / response.sum(axis=0))).astype(np.float32)


def sheet_data(num_estimates=2, wavelengths_nm=None, **sizes):
    """A sheet's content with estimates that are the truth under growing noise."""
    reference, low, sharp = scene(**sizes)
    rng = np.random.default_rng(6)
    estimates = {
        f"method_{i}": reference
        + np.float32(0.01 * (i + 1)) * rng.standard_normal(reference.shape).astype("f4")
        for i in range(num_estimates)
    }
    return SheetData(
        title="a scene",
        lr_hsi=low,
        hr_msi=sharp,
        reference=reference,
        estimates=estimates,
        wavelengths_nm=wavelengths_nm,
    )


def replaced(data, **changes):
    return SheetData(**{**vars(data), **changes})


@pytest.fixture
def drawn_texts(monkeypatch):
    """A function that draws a figure and returns every text that it drew, with its box in pixels."""

    def drawn(figure):
        found = []
        draw = Text.draw

        def recording(self, renderer, *args):
            if self.get_visible() and self.get_text().strip():
                found.append((self, self.get_window_extent(renderer)))
            return draw(self, renderer, *args)

        monkeypatch.setattr(Text, "draw", recording)
        figure.canvas.draw()
        return found

    return drawn


def test_sheet_is_a_png_of_the_size_that_its_figure_announces(tmp_path):
    data = sheet_data()
    path = picture_sheet(tmp_path / "scene.png", data)
    assert path == tmp_path / "scene.png"
    width, height = draw_sheet(data).get_size_inches() * DPI
    pixels = imread(path)
    assert abs(pixels.shape[0] - height) <= 1 and abs(pixels.shape[1] - width) <= 1
    assert pixels[..., :3].std() > 0.05
    assert [file.name for file in tmp_path.iterdir()] == ["scene.png"]


def test_sheet_is_the_same_to_the_byte_every_time(tmp_path):
    first = picture_sheet(tmp_path / "a.png", sheet_data()).read_bytes()
    assert picture_sheet(tmp_path / "b.png", sheet_data()).read_bytes() == first


@pytest.mark.parametrize(("num_estimates", "num_channels"), [(1, 1), (1, 2), (5, 3), (2, 4), (1, 10)])
def test_any_number_of_estimates_and_channels_has_its_panels(num_estimates, num_channels):
    figure = draw_sheet(sheet_data(num_estimates, num_channels=num_channels))
    pictures = [axes for axes in figure.axes if axes.images]
    assert len(pictures) == 3 + 3 * num_estimates
    assert len([axes for axes in figure.axes if axes.lines]) == 1 + 3


@pytest.mark.parametrize(("num_bands", "known"), [(4, True), (31, False), (224, True), (224, False)])
def test_any_number_of_bands_with_and_without_wavelengths(num_bands, known):
    wavelengths = np.linspace(400, 2500, num_bands) if known else None
    figure = draw_sheet(sheet_data(num_bands=num_bands, wavelengths_nm=wavelengths))
    note = figure.texts[1].get_text()
    assert f"{num_bands} bands" in note and ("nm" in note) == known


@pytest.mark.parametrize(("height", "width"), [(12, 96), (96, 12), (4, 8)])
def test_long_and_tiny_scenes_are_drawn(height, width):
    figure = draw_sheet(sheet_data(height=height, width=width))
    figure.canvas.draw()
    assert any(f"{height} × {width}" in text.get_text() for text in figure.findobj(match=Text))


def test_panel_notes_are_the_scores_of_the_clipped_estimates(drawn_texts):
    data = sheet_data()
    shown = [text.get_text() for text, _ in drawn_texts(draw_sheet(data))]
    for estimate in data.estimates.values():
        clipped = np.clip(estimate, 0, 1)
        assert f"PSNR {float(metrics.psnr_bands(data.reference, clipped)):.2f} dB" in shown
        assert f"RMSE {float(metrics.rmse_255(data.reference, clipped)):.2f}" in shown
        assert f"SAM {float(metrics.sam_degrees(data.reference, clipped)):.2f}°" in shown


def test_a_perfect_estimate_and_dead_pixels_are_drawn(tmp_path):
    data = sheet_data(1)
    reference = data.reference.copy()
    reference[:3, :4] = 0.0
    perfect = replaced(data, reference=reference, estimates={"perfect": reference, "black": 0 * reference})
    assert picture_sheet(tmp_path / "perfect.png", perfect).stat().st_size > 10_000


@pytest.mark.parametrize(
    ("num_estimates", "height", "width"), [(1, 16, 48), (1, 48, 16), (3, 24, 36), (5, 48, 16), (5, 16, 48)]
)
def test_no_text_overlaps_another_or_leaves_the_sheet(drawn_texts, num_estimates, height, width):
    data = sheet_data(num_estimates, wavelengths_nm=np.linspace(400, 700, 7), height=height, width=width)
    names = [f"a rather long name of method number {i}, $x_{i}" for i in range(num_estimates)]
    data = replaced(data, estimates=dict(zip(names, data.estimates.values(), strict=True)), title="t" * 400)
    figure = draw_sheet(data)
    boxes = drawn_texts(figure)
    assert len(boxes) > 40
    sheet = figure.bbox
    for i, (text, box) in enumerate(boxes):
        inside = sheet.x0 <= box.x0 and box.x1 <= sheet.x1 and sheet.y0 <= box.y0 and box.y1 <= sheet.y1
        assert inside, text
        for other, other_box in boxes[i + 1 :]:
            wide = min(box.x1, other_box.x1) - max(box.x0, other_box.x0)
            high = min(box.y1, other_box.y1) - max(box.y0, other_box.y0)
            markers = text.get_bbox_patch() is not None and other.get_bbox_patch() is not None
            assert markers or wide <= 1 or high <= 1, (text, other)


def test_names_that_look_like_mathematics_or_start_with_an_underscore_are_shown_as_they_are(drawn_texts):
    data = sheet_data(1)
    figure = draw_sheet(replaced(data, estimates={"_net$_1$": next(iter(data.estimates.values()))}))
    assert [text.get_text() for text, _ in drawn_texts(figure)].count("_net$_1$") == 2


def test_a_failure_while_writing_leaves_the_old_sheet_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "scene.png"
    path.write_bytes(b"an older sheet")

    def half_written(self, target, **settings):
        target.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", half_written)
    with pytest.raises(OSError, match="No space left"):
        picture_sheet(path, sheet_data())
    assert path.read_bytes() == b"an older sheet"
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_and_another_suffix_are_refused(tmp_path):
    with pytest.raises(OSError, match="does not exist"):
        picture_sheet(tmp_path / "nowhere" / "scene.png", sheet_data())
    with pytest.raises(ValueError, match=r"path: expected a name that ends in \.png"):
        picture_sheet(tmp_path / "scene.pdf", sheet_data())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reference": None}, "reference: expected the true cube"),
        ({"estimates": {}}, "estimates: expected 1 to 5"),
        ({"estimates": {str(i): scene()[0] for i in range(6)}}, "estimates: expected 1 to 5 of them, got 6"),
        ({"estimates": {"net": scene()[0][:, :-1]}}, "estimate 'net': expected an array of .* = 24 x 36 x 7"),
        ({"hr_msi": scene()[2][:-1]}, "hr_msi: expected an array of .* = 24 x 36 x any"),
        ({"lr_hsi": scene()[1][..., :-1]}, "lr_hsi: expected an array of .* = any x any x 7"),
        ({"lr_hsi": scene()[1][:5]}, "lr_hsi: expected a whole fraction of 24 x 36 pixels"),
        ({"lr_hsi": np.full((6, 9, 7), np.nan)}, "lr_hsi: expected finite values"),
        ({"wavelengths_nm": np.arange(6.0)}, "wavelengths_nm: expected 7 wavelengths"),
        ({"msi_channels": (0, 1, 3)}, "msi_channels: expected three channel numbers from 0 to 2"),
        ({"reference": scene()[0][..., 0]}, "reference: expected an array of rows x columns x bands"),
    ],
)
def test_content_that_does_not_fit_together_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replaced(sheet_data(), **change)


def test_sheet_of_a_real_scene(shared_data, tmp_path):
    import h5py

    with h5py.File(shared_data / "hsi" / "cave_train" / "flowers.h5") as file:
        cube = file["cube"][:, 200:264, 200:296].transpose(1, 2, 0) / np.float32(4095)
        wavelengths = file["wavelength_nm"][()]
    low = cube.reshape(8, 8, 12, 8, 31).mean(axis=(1, 3))
    data = SheetData(
        title="flowers",
        lr_hsi=low,
        hr_msi=cube[..., [24, 15, 6]],
        reference=cube,
        estimates={"nearest": low.repeat(8, axis=0).repeat(8, axis=1)},
        wavelengths_nm=wavelengths,
    )
    assert "colours from 640, 550, 460 nm" in draw_sheet(data).texts[1].get_text()
    assert picture_sheet(tmp_path / "flowers.png", data).stat().st_size > 50_000
