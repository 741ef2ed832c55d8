"""Pictures of cameras and of quality against time: whole files, the same pixels, nothing cut or hidden."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from matplotlib.text import Text

from hsr_tf.physics.psf import anisotropic_gaussian_psf, box_psf
from hsr_tf.report.cameras import CamerasData, cameras_sheet, draw_cameras
from hsr_tf.report.timeline import Course, Mark, course_sheet, draw_course, draw_times, time_sheet

WAVELENGTHS_NM = np.linspace(400, 700, 7)


def data(**changes: object) -> CamerasData:
    rng = np.random.default_rng(1)
    values = {
        "title": "scene, method, x4",
        "psf": anisotropic_gaussian_psf(4, sigmas=(2, 1)).kernel,
        "srf": rng.random((7, 3)),
        "true_psf": box_psf(4).kernel,
        "true_srf": rng.random((7, 3)),
        "shift_pixels": (1.25, -0.5),
        "true_shift": (1.3, -0.6),
        "wavelengths_nm": WAVELENGTHS_NM,
    }
    return CamerasData(**{**values, **changes})


def texts(figure: object) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text)]


def test_the_sheet_names_kernels_scores_and_shift(tmp_path: Path) -> None:
    shown = texts(draw_cameras(data()))
    assert {"True kernel", "Estimated kernel", "Estimated − true"} <= set(shown)
    (line,) = (text for text in shown if "kernel L1" in text)
    assert "response SAM" in line and "shift +1.25, -0.50 px (true +1.30, -0.60)" in line
    still = texts(draw_cameras(data(shift_pixels=(-0.001, 0.0), true_shift=None)))
    assert any("shift 0.00, 0.00 px" in text for text in still)
    path = cameras_sheet(tmp_path / "a.png", data())
    again = cameras_sheet(tmp_path / "b.png", data())
    assert imread(path).shape[2] == 4 and path.read_bytes() == again.read_bytes()


def test_true_and_estimated_kernels_share_their_colours() -> None:
    figure = draw_cameras(data())
    true, estimated, apart = (
        axes.images[0] for axes in figure.axes if axes.images and axes.get_title("left")
    )
    assert (
        true.get_clim()
        == estimated.get_clim()
        == (0.0, float(max(true.get_array().max(), estimated.get_array().max())))
    )
    assert apart.get_clim()[0] == -apart.get_clim()[1]
    np.testing.assert_allclose(apart.get_array(), estimated.get_array() - true.get_array())


@pytest.mark.parametrize(
    "changes",
    [
        {"true_psf": None, "true_srf": None, "shift_pixels": None, "true_shift": None},
        {"psf": None},
        {"srf": None, "true_srf": None},
        {"srf": np.ones((7, 1)), "true_srf": None, "wavelengths_nm": None},
        {"srf": np.ones((7, 10)), "true_srf": np.ones((7, 10))},
        {"psf": np.ones((3, 8)), "true_psf": np.ones((2, 9))},
    ],
)
def test_whatever_is_known_is_drawn(changes: dict[str, object], tmp_path: Path) -> None:
    assert imread(cameras_sheet(tmp_path / "a.png", data(**changes))).std() > 0.01


def test_nothing_estimated_and_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="an estimated kernel or response"):
        data(psf=None, srf=None)
    with pytest.raises(ValueError, match=r"true_srf: expected shape \(7, 3\)"):
        data(true_srf=np.ones((7, 2)))


def test_the_course_shows_what_was_measured_and_the_floors_near_it(tmp_path: Path) -> None:
    seconds, psnr = [0.5, 1.0, 2.0, 4.0], [40.0, float("nan"), 45.0, 44.5]
    course = Course(
        title="t",
        seconds=seconds,
        objective=[3, 2, 1, 0.1],
        psnr=psnr,
        floors={"spectral_ls": 42.0, "bicubic": 20.0},
    )
    shown = texts(draw_course(course))
    assert "45.00 dB at 2 s" in shown and "spectral_ls 42.00" in shown
    assert not any(text.startswith("bicubic") for text in shown)
    ((line, _),) = [axes.lines[:2] for axes in draw_course(course).axes[:1]]
    np.testing.assert_array_equal(line.get_xdata(), [0.5, 2.0, 4.0])
    blind = Course(title="t", seconds=seconds, objective=[3, 2, 1, 0.1], psnr=[float("nan")] * 4)
    assert len(draw_course(blind).axes) == 1
    assert imread(course_sheet(tmp_path / "c.png", blind)).std() > 0.01
    with pytest.raises(ValueError, match="at least one sample"):
        draw_course(Course(title="t", seconds=[], objective=[], psnr=[]))


def test_every_method_is_in_the_picture_of_times(tmp_path: Path) -> None:
    marks = [Mark("bicubic", "x8", 0.05, 30.0), Mark("a", "x8", 0.3, 47.0), Mark("b", "x16", 100.0, 45.0)]
    figure = draw_times(marks, title="t", limit=120)
    shown = texts(figure)
    assert {"bicubic", "a", "b", "x8", "x16", "30.0 dB, below"} <= set(shown)
    assert figure.axes[1].get_xlim()[1] > 120
    assert imread(time_sheet(tmp_path / "t.png", marks, title="t")).std() > 0.01
    with pytest.raises(ValueError, match=r"ends in \.png"):
        time_sheet(tmp_path / "t.jpg", marks, title="t")
