"""Raw scans with white and dark references beside them, in the layouts of Specim and Headwall."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hsr_tf.io import ReadRequest, load, open_reader
from hsr_tf.io.convert import ConvertOptions, convert
from hsr_tf.io.source import References

HEIGHT, WIDTH, BANDS = 7, 6, 4
CENTRES = np.array([450.0, 550.0, 650.0, 750.0])
STEPS = np.array([0, 1, -1])[:, None, None]  # three lines whose mean is that of the first


def scan(path: Path, counts: np.ndarray, time: float | None = None) -> None:
    """A BIL image of unsigned integers, as line scanners write it."""
    height, width, bands = counts.shape
    lines = ["ENVI", f"samples = {width}", f"lines = {height}", f"bands = {bands}", "data type = 12"]
    lines += ["interleave = bil", f"wavelength = {{{', '.join(map(str, CENTRES))}}}"]
    lines += [] if time is None else [f"tint = {time}"]
    path.with_name(path.name + ".hdr").write_text("\n".join(lines) + "\n")
    counts.transpose(0, 2, 1).astype("<u2").tofile(path.with_name(path.name + ".raw"))


def raw_and_references(
    folder: Path, names: tuple[str, str, str], *, times: tuple[float, float] | None
) -> np.ndarray:
    """Write a scan of known reflectance by a sensor of uneven columns; return the reflectance."""
    rng = np.random.default_rng(0)
    truth = rng.uniform(0.05, 0.9, (HEIGHT, WIDTH, BANDS))
    response = rng.uniform(5000, 9000, (1, WIDTH, BANDS))
    dark = rng.uniform(200, 300, (1, WIDTH, BANDS))
    ratio = 1.0 if times is None else times[1] / times[0]
    raw, white, black = names
    scan(folder / raw, np.rint(dark + truth * response), None if times is None else times[0])
    scan(
        folder / white,
        np.rint(dark + response * ratio) + STEPS,
        None if times is None else times[1],
    )
    scan(folder / black, np.rint(dark) + STEPS)
    return truth


@pytest.mark.parametrize("times", [None, (10.0, 4.0)])
@pytest.mark.parametrize(
    "names", [("scan", "WHITEREF_scan", "DARKREF_scan"), ("raw", "whiteReference", "darkReference")]
)
def test_references_beside_a_scan_give_its_reflectance(
    names: tuple[str, str, str], times: tuple[float, float] | None, tmp_path: Path
) -> None:
    truth = raw_and_references(tmp_path, names, times=times)
    said: list[str] = []
    options = ConvertOptions(references=References())
    made = convert(
        tmp_path / f"{names[0]}.raw",
        tmp_path / "a.h5",
        options,
        report=lambda finding: said.append(finding.found),
    )
    scene = load(made)
    np.testing.assert_allclose(scene.cube, truth, atol=1e-3)
    assert scene.wavelengths_nm is not None and scene.wavelengths_nm.tolist() == CENTRES.tolist()
    assert len(said) == 1 and said[0].startswith(f"reflectance by {names[1]}")
    assert ("10 (image) and 4 (white)" if times else "taken as equal") in said[0]
    with open_reader(tmp_path / f"{names[0]}.hdr", ReadRequest(references=References())) as reader:
        np.testing.assert_array_equal(reader.read(slice(2, 5), slice(1, 4)), scene.cube[2:5, 1:4])


def test_given_references_take_the_place_of_those_beside_the_scan(tmp_path: Path) -> None:
    truth = raw_and_references(tmp_path, ("scan", "panel", "closed"), times=None)
    with pytest.raises(OSError, match=r"has no white reference beside it .* --white_reference=FILE"):
        convert(tmp_path / "scan.hdr", tmp_path / "a.h5", ConvertOptions(references=References()))
    panels = References(tmp_path / "panel.hdr", tmp_path / "closed.hdr")
    made = convert(tmp_path / "scan.hdr", tmp_path / "a.h5", ConvertOptions(references=panels))
    np.testing.assert_allclose(load(made).cube, truth, atol=1e-3)


def test_references_of_another_size_and_exchanged_ones_are_refused(tmp_path: Path) -> None:
    raw_and_references(tmp_path, ("scan", "white", "dark"), times=None)
    exchanged = References(tmp_path / "dark.hdr", tmp_path / "white.hdr")
    with pytest.raises(OSError, match="nowhere brighter"):
        convert(tmp_path / "scan.hdr", tmp_path / "a.h5", ConvertOptions(references=exchanged))
    scan(tmp_path / "narrow", np.ones((2, 5, BANDS)))
    narrow = References(tmp_path / "narrow.hdr", tmp_path / "dark.hdr")
    with pytest.raises(OSError, match="5 columns and 4 bands, the image 6 columns"):
        convert(tmp_path / "scan.hdr", tmp_path / "a.h5", ConvertOptions(references=narrow))
    assert not (tmp_path / "a.h5").exists()


def test_columns_without_light_hold_no_data(tmp_path: Path) -> None:
    raw_and_references(tmp_path, ("scan", "WHITEREF_scan", "DARKREF_scan"), times=None)
    dead = np.full((3, WIDTH, BANDS), 8000.0)
    dead[:, 2, 1] = 0
    scan(tmp_path / "WHITEREF_scan", dead)
    scene = load(convert(tmp_path / "scan.hdr", tmp_path / "a.h5", ConvertOptions(references=References())))
    assert scene.nodata_mask is not None
    assert scene.nodata_mask[:, 2].all() and scene.nodata_mask.sum() == HEIGHT
