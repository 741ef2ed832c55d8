"""`hsr upscale`: pictures of every kind come out right, bad input is one line and leaves nothing behind."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

import hsr_tf
from hsr_tf import cli
from hsr_tf.io import pictures
from hsr_tf.io.picture import Picture
from hsr_tf.io.pictures import read_picture, write_picture
from hsr_tf.networks import cards
from hsr_tf.networks.image_network import ImageSpec
from hsr_tf.networks.pretrained import save_model
from hsr_tf.networks.vdsr import VDSR


@dataclass(frozen=True)
class Answer:
    """What a command line gave."""

    code: int
    out: str
    err: str


Hsr = Callable[..., Answer]


@pytest.fixture
def hsr(capfd: pytest.CaptureFixture[str]) -> Hsr:
    """`hsr(input=path, scale=2)` runs `hsr upscale` in this process; True is a flag without a value."""

    def run(**options: object) -> Answer:
        words = [f"--{name}" if value is True else f"--{name}={value}" for name, value in options.items()]
        capfd.readouterr()
        code = cli.run(["upscale", *words])
        return Answer(code, *capfd.readouterr())

    return run


def smooth(channels: int, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).random((20, 27, channels))
    blurred = ndimage.gaussian_filter(noise, (2, 2, 0))
    return (blurred - blurred.min()) / np.ptp(blurred)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """`photo.png` (RGB), `alpha.png`, `deep.tif` (gray, 16 bits), `photo.jpg`, and `tiny`, a small VDSR."""
    write_picture(Picture(np.uint8(255 * smooth(3))), tmp_path / "photo.png")
    write_picture(Picture(np.uint8(255 * smooth(4))), tmp_path / "alpha.png")
    write_picture(Picture(np.uint16(65535 * smooth(1))), tmp_path / "deep.tif")
    write_picture(Picture(np.uint8(255 * smooth(3))), tmp_path / "photo.jpg")
    save_model(VDSR(ImageSpec(None, seed=1), depth=3, features=4), tmp_path / "tiny", {})
    return tmp_path


@pytest.mark.parametrize("name", ["photo.png", "alpha.png", "deep.tif"])
def test_the_file_is_what_the_library_gives(hsr: Hsr, folder: Path, name: str) -> None:
    output = folder / f"big_{name}"
    answer = hsr(input=folder / name, scale=2.5, weights=folder / "tiny", output=output)
    assert answer.code == 0 and answer.err == ""
    assert answer.out.startswith(f"wrote {output}  68 x 50 pixels  (vdsr, tiny, ")
    given = read_picture(folder / name).values
    found = read_picture(output).values
    assert found.dtype == given.dtype
    np.testing.assert_array_equal(found, hsr_tf.upscale(given, 2.5, weights=folder / "tiny").image)


def test_profile_and_orientation_are_honoured(hsr: Hsr, folder: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.open(folder / "photo.png")
    image.save(folder / "turned.jpg", quality=100, subsampling=0, exif=exif, icc_profile=b"a profile")
    assert hsr(input=folder / "turned.jpg", scale=1, method="bicubic", output=folder / "o.png").code == 0
    with Image.open(folder / "o.png") as found:
        assert found.info["icc_profile"] == b"a profile"
        expected = np.asarray(image.rotate(-90, expand=True)).astype(int)
        assert np.abs(np.asarray(found) - expected).max() <= 12
    assert hsr(input=folder / "o.png", method="bicubic", output=folder / "o.jpg").code == 0
    with Image.open(folder / "o.jpg") as found:
        assert (found.size, found.info["icc_profile"]) == ((40, 54), b"a profile")


def test_a_folder_is_done_in_natural_order_and_its_bad_pictures_are_told(hsr: Hsr, folder: Path) -> None:
    (folder / "in").mkdir()
    for name in ("p10.png", "p2.png"):
        write_picture(Picture(np.uint8(255 * smooth(3, seed=len(name)))), folder / "in" / name)
    (folder / "in" / "notes.txt").write_text("no picture")
    answer = hsr(input=folder / "in", scale=2, method="bicubic", output=folder / "out")
    assert (answer.code, answer.err, answer.out) == (0, "", f"wrote 2 pictures to {folder / 'out'}\n")
    (folder / "in" / "p3.jpg").write_bytes((folder / "photo.jpg").read_bytes()[:700])
    answer = hsr(input=folder / "in", method="bicubic", output=folder / "again")
    first, last = answer.err.splitlines()
    assert answer.code == 2 and "wrote 2 pictures" in answer.out
    assert first.startswith("warning: ") and "p3.jpg: cannot be read as JPEG" in first
    assert last == f"error: {folder / 'in'}: 1 of its 3 pictures could not be enlarged; see above"
    assert sorted(path.name for path in (folder / "again").iterdir()) == ["p10.png", "p2.png"]
    np.testing.assert_array_equal(
        read_picture(folder / "again" / "p2.png").values, read_picture(folder / "out" / "p2.png").values
    )


def test_files_that_exist_are_replaced_only_on_request(hsr: Hsr, folder: Path) -> None:
    before = (folder / "photo.jpg").read_bytes()
    asked = {"input": folder / "photo.png", "method": "bicubic", "output": folder / "photo.jpg"}
    answer = hsr(**asked)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == f"error: {folder / 'photo.jpg'}: exists; add --overwrite, or write to another name\n"
    assert (folder / "photo.jpg").read_bytes() == before
    assert hsr(**asked, overwrite=True).code == 0
    assert read_picture(folder / "photo.jpg").size == (40, 54)


def test_an_interrupted_folder_goes_on_where_it_stopped(
    hsr: Hsr, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "in").mkdir()
    for name in ("p1.png", "p2.jpg", "p3.tif", "p4.png"):
        write_picture(Picture(np.uint8(255 * smooth(3))), folder / "in" / name)
    asked = {"input": folder / "in", "scale": 2, "method": "bicubic", "output": folder / "out"}

    def interrupt(picture: Picture, file: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        codec = pictures._CODECS[".tif"]
        patched.setitem(pictures._CODECS, ".tif", replace(codec, write=interrupt))
        assert hsr(**asked).code == 130
    done = {path: path.stat().st_mtime_ns for path in (folder / "out").iterdir()}
    assert sorted(path.name for path in done) == ["p1.png", "p2.jpg"]
    refused = hsr(**asked)
    assert (refused.code, refused.out) == (2, "")
    assert refused.err == (
        f"error: {folder / 'out' / 'p1.png'}: exists; add --skip_existing to make only those that are "
        "missing, or --overwrite to replace them\n"
    )
    answer = hsr(**asked, skip_existing=True)
    assert (answer.code, answer.err) == (0, "")
    said = f"skipped 2 pictures in {folder / 'out'} made with these settings before"
    assert answer.out == f"{said}\nwrote 2 pictures to {folder / 'out'}\n"
    assert {path: path.stat().st_mtime_ns for path in done} == done
    again = hsr(**asked, skip_existing=True)
    assert (again.code, again.out) == (0, said.replace("2", "4", 1) + "\n")
    whole = {path: path.read_bytes() for path in (folder / "out").iterdir()}
    assert len(whole) == 4
    assert hsr(**asked, overwrite=True).code == 0
    assert {path: path.read_bytes() for path in (folder / "out").iterdir()} == whole


def test_results_of_other_settings_and_halves_are_never_skipped(hsr: Hsr, folder: Path) -> None:
    (folder / "in").mkdir()
    (folder / "in" / "a.png").write_bytes((folder / "photo.png").read_bytes())
    asked = {"input": folder / "in", "scale": 2, "method": "bicubic", "output": folder / "out"}
    assert hsr(**asked).code == 0
    target = folder / "out" / "a.png"
    whole = target.read_bytes()
    other = hsr(**{**asked, "scale": 3}, skip_existing=True)
    assert other.code == 2 and "is not a complete result of these settings (hsr upscale scale=3" in other.err
    assert "add --overwrite to replace such files" in other.err
    assert target.read_bytes() == whole
    target.write_bytes(whole[:-100])
    assert hsr(**asked, skip_existing=True).code == 2
    answer = hsr(**asked, skip_existing=True, overwrite=True)
    assert (answer.code, answer.out) == (0, f"wrote 1 picture to {folder / 'out'}\n")
    assert target.read_bytes() == whole


def test_a_scan_of_one_bit_is_said_to_become_gray(hsr: Hsr, folder: Path) -> None:
    Image.new("1", (9, 8)).save(folder / "scan.tif", compression="group4")
    answer = hsr(input=folder / "scan.tif", method="bicubic", output=folder / "o.tif")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.endswith("; its 1 bit per pixel became 8\n")
    assert read_picture(folder / "o.tif").values.shape == (16, 18, 1)


def test_noisy_and_compressed_pictures_are_named_once(
    hsr: Hsr, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cards, "SHIPPED", folder)
    (folder / "in").mkdir()
    Image.open(folder / "photo.png").save(folder / "in" / "a.jpg", quality=60)
    Image.open(folder / "photo.png").save(folder / "in" / "b.jpg", quality=95)
    noisy = np.clip(smooth(3) + 0.1 * np.random.default_rng(1).standard_normal((20, 27, 3)), 0, 1)
    write_picture(Picture(np.uint8(255 * noisy)), folder / "in" / "c.png")
    answer = hsr(input=folder / "in" / "a.jpg", output=folder / "a.png")
    assert (answer.code, answer.err) == (
        0,
        f"warning: {folder / 'in' / 'a.jpg'} is a JPEG of quality 60; vdsr sharpens noise and JPEG blocks "
        "too, --method=bicubic does not\n",
    )
    answer = hsr(input=folder / "in", output=folder / "out")
    assert answer.err == (
        "warning: a.jpg is a JPEG of quality 60 (the first of 2 noisy or strongly compressed pictures); vdsr "
        "sharpens noise and JPEG blocks too, --method=bicubic does not\n"
    )
    assert hsr(input=folder / "in", method="bicubic", output=folder / "again").err == ""


def test_without_weights_one_line_says_what_to_give(
    hsr: Hsr, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cards, "SHIPPED", folder / "none")
    answer = hsr(input=folder / "photo.png", scale=2, output=folder / "o.png")
    assert answer.code == 2
    assert answer.err == (
        "error: weights: expected trained weights of vdsr, got none, and none come with the package; "
        "give the folder of a trained model (--weights=FOLDER), or use bicubic, which needs none\n"
    )


def write(make: Callable[[Path], object]) -> Callable[[Path], object]:
    """A case that makes the input `bad`."""
    return lambda folder: make(folder / "bad")


CASES: dict[str, tuple[Callable[[Path], object], dict[str, object], str]] = {
    "no file": (lambda folder: None, {}, "no such file"),
    "not an image": (write(lambda path: path.write_text("hello")), {}, "is no PNG, JPEG or TIFF picture"),
    "empty": (write(lambda path: path.touch()), {}, "is empty"),
    "truncated jpeg": (
        lambda folder: (folder / "bad").write_bytes((folder / "photo.jpg").read_bytes()[:800]),
        {},
        "cannot be read as JPEG, it is damaged, cut short",
    ),
    "truncated png": (
        lambda folder: (folder / "bad").write_bytes((folder / "photo.png").read_bytes()[:800]),
        {},
        "cannot be read as PNG, it is damaged, cut short",
    ),
    "cmyk tiff": (
        write(lambda path: Image.new("CMYK", (9, 8)).save(path, "tiff")),
        {},
        "its colours are stored as CMYK; save it as gray or RGB",
    ),
    "larger than memory": (
        write(
            lambda path: path.write_bytes(
                b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + b"\0\x0f\xff\xff" * 2 + b"\x08\x02" + bytes(7)
            )
        ),
        {},
        r"takes 3.07e\+03 GiB, over the limit",
    ),
    "result larger than memory": (
        write(lambda path: Image.new("RGB", (9, 8)).save(path, "png")),
        {"scale": 1e6},
        "takes .* GiB, over the limit",
    ),
    "scale 0": (
        write(lambda path: Image.new("L", (9, 8)).save(path, "png")),
        {"scale": 0},
        "scale: expected a factor",
    ),
    "scale below 1": (
        write(lambda path: Image.new("L", (9, 8)).save(path, "png")),
        {"scale": 0.99},
        "scale: expected a factor of at least 1, got 0.99",
    ),
    "scale is a word": (lambda folder: None, {"scale": "two"}, "Invalid value for '--scale'"),
    "unknown method": (
        write(lambda path: Image.new("L", (9, 8)).save(path, "png")),
        {"method": "vdrs"},
        "did you mean 'vdsr'",
    ),
    "unknown format": (
        write(lambda path: Image.new("L", (9, 8)).save(path, "png")),
        {"output": "o.bmp"},
        "output: expected a name that ends in .png",
    ),
    "alpha to jpeg": (
        write(lambda path: Image.new("RGBA", (9, 8)).save(path, "png")),
        {"output": "o.jpg"},
        "as the picture has alpha",
    ),
    "no folder": (
        write(lambda path: Image.new("L", (9, 8)).save(path, "png")),
        {"output": "none/o.png"},
        "does not exist; make it first",
    ),
    "onto itself": (
        lambda folder: None,
        {"input": "photo.png", "output": "photo.png", "overwrite": True},
        "is an input as well",
    ),
    "no kernel to write": (
        write(lambda path: Image.new("L", (9, 8)).save(path, "png")),
        {"kernel_output": "k.npy"},
        "kernel_output: expected a method that finds the blur, got bicubic",
    ),
    "kernel of another suffix": (
        write(lambda path: Image.new("L", (9, 8)).save(path, "png")),
        {"kernel_output": "k.txt"},
        "kernel_output: expected a name that ends in .npy",
    ),
    "useless kernel": (
        write(lambda path: Image.new("L", (9, 8)).save(path, "png")),
        {"kernel": "gaussian:sigma=2"},
        "kernel: expected none for bicubic",
    ),
    "mistyped kernel": (
        write(lambda path: Image.new("L", (9, 8)).save(path, "png")),
        {"kernel": "gausian"},
        "did you mean 'gaussian'",
    ),
    "folder without pictures": (
        write(lambda path: path.mkdir()),
        {"output": "o"},
        "holds no PNG, JPEG or TIFF",
    ),
    "folder to a file": (
        lambda folder: None,
        {"input": ".", "output": "photo.png"},
        "is no folder and cannot be made",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_one_line_and_leaves_nothing(
    hsr: Hsr, folder: Path, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare, options, said = CASES[case]
    prepare(folder)
    monkeypatch.chdir(folder)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    answer = hsr(**{"input": "bad", "output": "o.png", "scale": 2, "method": "bicubic", **options})
    assert (answer.code, answer.out) == (2, "")
    assert len(answer.err.splitlines()) == 1 and answer.err.startswith("error: ")
    assert re.search(said, answer.err), answer.err
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("mode", ["P", "1", "L", "LA", "RGBA"])
def test_pictures_of_one_pixel_and_of_every_mode_are_enlarged(hsr: Hsr, folder: Path, mode: str) -> None:
    Image.new("RGBA", (1, 1), (255, 255, 255, 255)).convert(mode).save(folder / "one.png")
    answer = hsr(input=folder / "one.png", scale=3, method="bicubic", output=folder / "o.png")
    assert (answer.code, answer.err) == (0, "")
    found = read_picture(folder / "o.png").values
    assert found.shape[:2] == (3, 3)
    assert (found == 255).all()


def test_an_interrupt_leaves_no_file(hsr: Hsr, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(values: np.ndarray) -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setattr("hsr_tf.io.png.encode_png", interrupt)
    before = sorted(folder.iterdir())
    answer = hsr(input=folder / "photo.png", method="bicubic", output=folder / "o.png")
    assert (answer.code, answer.err) == (130, "interrupted\n")
    assert sorted(folder.iterdir()) == before
