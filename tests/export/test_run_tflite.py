"""The runner for devices: pictures and scenes as the package makes them, without any framework."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from export import run_tflite
from export.cubes import SceneFusion
from export.pictures import enlarge_picture, read_photo
from export.tflite import convert
from export.tflite_model import TFLiteModel
from hsr_tf.pictures.api import upscale
from tests.exports_for_tests import ExportedModel, Exports
from tests.networks.test_conformance import cameras, observe, stirred

ABSENT = {
    *("tensorflow", "keras", "scipy", "h5py", "absl", "imagecodecs"),
    *("tifffile", "matplotlib", "typer", "rich", "natsort", "colour"),
}
BLOCKED = f"""
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {ABSENT!r}:
            raise ModuleNotFoundError("absent: " + name)

sys.meta_path.insert(0, Absent())
from export.run_tflite import main
sys.exit(main())
"""


def files_of(folder: Path, model: ExportedModel, *sizes: tuple[int, int]) -> Path:
    """`folder` with the trained model (m) and its float32 files: for any size, and for each fixed size."""
    (folder / "m").symlink_to(model.trained_folder)
    for size in (None, *sizes):
        name = "any" if size is None else f"{size[0]}x{size[1]}"
        (folder / f"{name}.tflite").write_bytes(convert(model.saved, size))
    return folder


@pytest.fixture(scope="module")
def vdsr(tmp_path_factory: pytest.TempPathFactory, exports: Exports) -> Path:
    return files_of(tmp_path_factory.mktemp("vdsr"), exports.get("vdsr"), (32, 24), (6, 6))


@pytest.fixture(scope="module")
def ikc(tmp_path_factory: pytest.TempPathFactory, exports: Exports) -> Path:
    return files_of(tmp_path_factory.mktemp("ikc"), exports.get("ikc"))


@pytest.fixture(scope="module")
def fusion(tmp_path_factory: pytest.TempPathFactory, exports: Exports) -> Path:
    return files_of(tmp_path_factory.mktemp("fusion"), exports.get("ms_ssfnet"), (15, 15), (12, 12))


def picture(*channels: int, size: tuple[int, int] = (37, 29)) -> np.ndarray:
    """A smooth picture of one to four channels."""
    coarse = np.random.default_rng(0).integers(0, 256, (4, 5, 4), np.uint8)
    large = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)
    return np.asarray(large)[..., : channels[0]].squeeze()


def command(folder: Path, **flags: object) -> list[str]:
    return [f"--model={folder / 'any.tflite'}", *(f"--{name}={value}" for name, value in flags.items())]


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that a wrong call gets."""
    try:
        code = run_tflite.main(arguments)
    except SystemExit as ended:
        code = int(ended.code or 0)
    said = capsys.readouterr().err
    assert code == 2
    assert said.startswith("error: ") and said.count("\n") == 1
    return said


def test_it_runs_where_no_framework_is_installed(vdsr: Path, tmp_path: Path) -> None:
    Image.fromarray(picture(3)).save(tmp_path / "in.png")
    flags = {"input": tmp_path / "in.png", "output": tmp_path / "out.png", "scale": 2.5, "tile": 40}
    answer = subprocess.run(
        [sys.executable, "-c", BLOCKED, *command(vdsr, **flags)], capture_output=True, text=True
    )
    assert answer.returncode == 0, answer.stderr
    found = np.asarray(Image.open(tmp_path / "out.png"))
    expected = upscale(picture(3), 2.5, method="vdsr", weights=vdsr / "m").image
    assert found.shape == expected.shape == (73, 93, 3)
    assert np.abs(found.astype(int) - expected).max() <= 1
    help_page = subprocess.run([sys.executable, "-c", BLOCKED, "--help"], capture_output=True, text=True)
    assert help_page.returncode == 0 and "--lr_hsi" in help_page.stdout


@pytest.mark.parametrize(("channels", "suffix"), [(1, ".png"), (2, ".png"), (3, ".jpg"), (4, ".png")])
def test_pictures_of_all_kinds_come_back_in_their_kind(
    channels: int, suffix: str, vdsr: Path, tmp_path: Path
) -> None:
    Image.fromarray(picture(channels)).save(tmp_path / "in.png")
    output = tmp_path / f"out{suffix}"
    assert run_tflite.main(command(vdsr, input=tmp_path / "in.png", output=output, scale=2)) == 0
    found = np.asarray(Image.open(output)).astype(int)
    expected = upscale(picture(channels), 2, method="vdsr", weights=vdsr / "m").image
    assert found.shape == expected.shape
    if suffix == ".jpg":
        assert np.abs(found - expected).mean() < 5
    else:
        assert np.abs(found - expected).max() <= 1


def test_a_transparent_picture_has_no_dark_ring(vdsr: Path, tmp_path: Path) -> None:
    given = np.full((29, 37, 4), 255, np.uint8)
    given[:, 20:] = 0
    Image.fromarray(given).save(tmp_path / "in.png")
    output = tmp_path / "out.png"
    assert run_tflite.main(command(vdsr, input=tmp_path / "in.png", output=output, scale=2)) == 0
    found = np.asarray(Image.open(output)).astype(int)
    opaque = upscale(given[:, :20, :3], 2, method="vdsr", weights=vdsr / "m").image.astype(int)
    assert np.abs(found[10:-10, 20:30, :3] - opaque[10:-10, 20:30]).max() <= 1
    assert np.ptp(found[10:-10, 20:44, :3][found[10:-10, 20:44, 3] > 0]) <= 1


def test_orientation_palette_and_profile_are_kept_in_mind(vdsr: Path, tmp_path: Path) -> None:
    image, exif = Image.fromarray(picture(3)), Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "A camera"
    image.save(tmp_path / "turned.png", exif=exif, icc_profile=b"profile", dpi=(100, 100))
    found = read_photo(tmp_path / "turned.png")
    np.testing.assert_array_equal(found.values, np.rot90(picture(3), -1))
    output = tmp_path / "out.png"
    assert run_tflite.main(command(vdsr, input=tmp_path / "turned.png", output=output)) == 0
    written = Image.open(output)
    assert written.info["icc_profile"] == b"profile"
    assert (written.getexif().get(0x0112, 1), written.getexif()[0x010F]) == (1, "A camera")
    assert written.info["dpi"] == pytest.approx((100, 100), rel=1e-3)
    image.save(tmp_path / "moving.png", save_all=True, append_images=[Image.fromarray(255 - picture(3))])
    with pytest.raises(OSError, match="is an animation of 2 frames"):
        read_photo(tmp_path / "moving.png")
    image.quantize(16).save(tmp_path / "palette.png", transparency=3)
    assert read_photo(tmp_path / "palette.png").values.shape == (29, 37, 4)


@pytest.mark.slow
def test_a_blind_network_enlarges_and_tells_its_kernel(ikc: Path, tmp_path: Path) -> None:
    Image.fromarray(picture(3)).save(tmp_path / "in.png")
    output, kernel = tmp_path / "out.png", tmp_path / "k.npy"
    flags = {"input": tmp_path / "in.png", "output": output, "kernel_output": kernel, "tile": 512}
    assert run_tflite.main(command(ikc, scale=2, **flags)) == 0
    expected = upscale(picture(3), 2, method="ikc", weights=ikc / "m")
    assert np.abs(np.asarray(Image.open(output)).astype(int) - expected.image).max() <= 1
    np.testing.assert_allclose(np.load(kernel), expected.kernel, atol=1e-4)


@pytest.mark.parametrize("size", [(37, 29), (10, 9), (24, 32), (70, 16)])
def test_a_file_of_fixed_sizes_gives_the_same_away_from_the_last_rows_and_columns(
    size: tuple[int, int], vdsr: Path
) -> None:
    image = picture(3, size=size)
    fixed, free = (TFLiteModel(vdsr / name) for name in ("32x24.tflite", "any.tflite"))
    found, expected = (enlarge_picture(model, image, 1.3).image.astype(int) for model in (fixed, free))
    reach = fixed.metadata["reach"]
    assert found.shape == expected.shape
    assert np.abs(found - expected)[:-reach, :-reach].max(initial=0) <= 1


def test_fixed_sizes_without_room_for_an_overlap_are_refused(vdsr: Path) -> None:
    with pytest.raises(ValueError, match="leave room for tiles"):
        enlarge_picture(TFLiteModel(vdsr / "6x6.tflite"), picture(3), 2)


def scene(rows: int, columns: int) -> dict[str, np.ndarray]:
    """Both images of a random scene of so many coarse pixels."""
    views = observe(cameras(4), (rows, columns), batch=1)
    return {name: view.numpy()[0] for name, view in views.items()}


def no_progress(num_done: int, num_tiles: int) -> None:
    """Nobody looks."""


def test_a_scene_is_fused_in_one_piece_and_in_tiles(fusion: Path, tmp_path: Path) -> None:
    views, counts = scene(19, 14), []
    for name, view in views.items():
        np.save(tmp_path / f"{name}.npy", view)
    flags = {name: tmp_path / f"{name}.npy" for name in views}
    assert run_tflite.main(command(fusion, output=tmp_path / "z.npy", **flags)) == 0
    whole = np.load(tmp_path / "z.npy")
    expected = stirred("ms_ssfnet", "none")({name: view[None] for name, view in views.items()})[0]
    np.testing.assert_allclose(whole, expected, atol=1e-4)
    model = TFLiteModel(fusion / "any.tflite")
    tiled = SceneFusion(model, 24, lambda *done: counts.append(done)).fuse(**views)
    np.testing.assert_allclose(tiled, whole, atol=1e-5)
    assert counts[-1] == (12, 12)


def test_a_scene_goes_through_fixed_sizes(fusion: Path) -> None:
    views = scene(19, 14)
    free, fixed, narrow = (
        SceneFusion(TFLiteModel(fusion / f"{name}.tflite"), None, no_progress)
        for name in ("any", "15x15", "12x12")
    )
    reach = 4 * free.model.metadata["reach"]
    found, expected = fixed.fuse(**views), free.fuse(**views)
    np.testing.assert_allclose(found[:-reach, :-reach], expected[:-reach, :-reach], atol=1e-5)
    with pytest.raises(ValueError, match="fixed sizes over 12 coarse pixels"):
        narrow.fuse(**views)


@pytest.mark.slow
def test_a_model_that_looks_at_the_whole_scene_runs_in_one_piece(tmp_path: Path, exports: Exports) -> None:
    model = stirred("ms_ssfnet", "spectral_ls")
    files_of(tmp_path, exports.get("ms_ssfnet", "spectral_ls"), (9, 9))
    views, counts = scene(12, 9), []
    whole = SceneFusion(TFLiteModel(tmp_path / "any.tflite"), 8, lambda *done: counts.append(done))
    expected = model({name: view[None] for name, view in views.items()})[0]
    np.testing.assert_allclose(whole.fuse(**views), expected, atol=1e-4)
    assert counts == [(1, 1)]
    fixed = SceneFusion(TFLiteModel(tmp_path / "9x9.tflite"), None, no_progress)
    with pytest.raises(ValueError, match="needs the whole scene"):
        fixed.fuse(**views)


def test_wrong_calls_are_one_line(vdsr: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photo, output = tmp_path / "in.png", tmp_path / "out.png"
    Image.fromarray(picture(3)).save(photo)
    right = {"input": photo, "output": output}
    cases: list[tuple[dict[str, object], str]] = [
        ({"output": output}, "input, lr_hsi, hr_msi"),
        ({**right, "lr_hsi": photo}, "input, lr_hsi, hr_msi"),
        ({**right, "scale": 0.5}, "scale"),
        ({**right, "scale": "much"}, "--scale"),
        ({**right, "scael": 2}, "--scael"),
        ({**right, "threads": 0}, "threads"),
        ({**right, "tile": -1}, "tile"),
        ({**right, "output": photo}, "exists"),
        ({**right, "output": tmp_path / "no" / "out.png"}, "does not exist"),
        ({**right, "output": tmp_path / "out.tif"}, ".png, .jpg"),
        ({**right, "kernel_output": tmp_path / "k.npy"}, "kernel_output"),
        ({**right, "kernel": tmp_path / "k.npy"}, "cannot be read"),
        ({**right, "model": tmp_path / "none.tflite"}, "none.tflite: cannot be read"),
        ({**right, "model": photo}, "expected a TFLite file"),
        ({"lr_hsi": photo, "hr_msi": photo, "output": tmp_path / "z.npy"}, "a file that fuses scenes"),
        ({"lr_hsi": photo, "hr_msi": photo, "kernel": photo, "output": tmp_path / "z.npy"}, "kernel"),
    ]
    for flags, said in cases:
        assert said in refused(capsys, *command(vdsr, **flags)), flags
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.png"]


def bad_pictures(folder: Path) -> Iterator[tuple[Path, str]]:
    """Files that are no picture of 8 bits, and what is said of them."""
    Image.fromarray(picture(3)).save(folder / "whole.png")
    Image.fromarray(picture(3)).save(folder / "whole.jpg")
    contents = {
        "cut.png": (folder / "whole.png").read_bytes()[:-60],
        "cut.jpg": (folder / "whole.jpg").read_bytes()[:-200],
        "empty.png": b"",
        "text.png": b"no picture",
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    Image.fromarray(np.zeros((30, 30), np.uint16)).save(folder / "deep.png")
    Image.new("CMYK", (30, 30)).save(folder / "cmyk.jpg")
    yield from ((folder / name, "cannot be read") for name in ("none.png", "cut.png", "cut.jpg"))
    yield from ((folder / name, "is no PNG or JPEG") for name in ("empty.png", "text.png"))
    yield folder / "deep.png", "16 bits"
    yield folder / "cmyk.jpg", "CMYK"


def test_what_is_no_picture_is_one_line(tmp_path: Path) -> None:
    for path, said in bad_pictures(tmp_path):
        with pytest.raises(OSError, match=f"^{path}: [^\n]*{said}[^\n]*$"):
            read_photo(path)


def test_a_jpeg_of_transparent_parts_is_refused(
    vdsr: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(picture(4)).save(tmp_path / "in.png")
    flags = {"input": tmp_path / "in.png", "output": tmp_path / "out.jpg"}
    assert "transparent" in refused(capsys, *command(vdsr, **flags))


def test_wrong_scenes_are_one_line(fusion: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    views = scene(6, 7)
    arrays: dict[str, np.ndarray] = {
        **views,
        "integers": np.zeros((6, 7, 5), int),
        "objects": np.array([{}]),
        "bands": views["lr_hsi"][..., :4],
        "flat": views["lr_hsi"][0],
        "small": views["hr_msi"][:-1],
        "holes": np.full_like(views["hr_msi"], np.nan),
    }
    for name, values in arrays.items():
        np.save(tmp_path / f"{name}.npy", values)
    (tmp_path / "cut.npy").write_bytes((tmp_path / "lr_hsi.npy").read_bytes()[:-9])
    np.savez(tmp_path / "many.npz", a=np.zeros(3))
    (tmp_path / "many.npz").rename(tmp_path / "many.npy")
    cases = [("integers", "hr_msi", "lr_hsi: expected a .npy"), ("objects", "hr_msi", "is no whole .npy")]
    cases += [("bands", "hr_msi", "lr_hsi: expected (h, w, 5)"), ("flat", "hr_msi", "lr_hsi: expected")]
    cases += [("lr_hsi", "small", "hr_msi: expected (24, 28, 3)"), ("lr_hsi", "holes", "finite")]
    cases += [("cut", "hr_msi", "is no whole .npy"), ("many", "hr_msi", "lr_hsi: expected a .npy")]
    for coarse, sharp, said in cases:
        flags = {"lr_hsi": tmp_path / f"{coarse}.npy", "hr_msi": tmp_path / f"{sharp}.npy"}
        assert said in refused(capsys, *command(fusion, output=tmp_path / "z.npy", **flags))
    assert not (tmp_path / "z.npy").exists()


def test_ctrl_c_ends_with_130_and_leaves_nothing(
    vdsr: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    Image.fromarray(picture(3)).save(tmp_path / "in.png")
    monkeypatch.setattr(TFLiteModel, "run", interrupt)
    code = run_tflite.main(command(vdsr, input=tmp_path / "in.png", output=tmp_path / "out.png"))
    assert (code, capsys.readouterr().err) == (130, "\ninterrupted; nothing was written\n")
    assert not (tmp_path / "out.png").exists()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_it_runs_in_an_environment_of_the_device_packages(
    vdsr: Path, tmp_path: Path, repository: Path
) -> None:
    """The packages of the extra `device` alone, from the configured index; the checkout is on the path."""
    from configparser import ConfigParser

    settings = ConfigParser()
    settings.read(repository / "setup.cfg")
    wanted = settings["options.extras_require"]["device"].split("\n")
    packages = [line for line in wanted if line and not line.startswith("#")]
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "device"], check=True)
    python = tmp_path / "device" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
    Image.fromarray(picture(3)).save(tmp_path / "in.png")
    flags = {"input": tmp_path / "in.png", "output": tmp_path / "out.png", "scale": 2.5}
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    answer = subprocess.run(
        [python, "-m", "export.run_tflite", *command(vdsr, **flags)],
        env=environment, cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    expected = upscale(picture(3), 2.5, method="vdsr", weights=vdsr / "m").image
    difference = np.abs(np.asarray(Image.open(tmp_path / "out.png")).astype(int) - expected).max()
    listed = subprocess.run([python, "-m", "pip", "list", "--format=freeze"], capture_output=True, text=True)
    print(f"{answer.stdout.strip()}; differs by at most {difference} of 255")
    print("packages:", ", ".join(listed.stdout.split()))
    assert difference <= 1
    assert not {line.split("==")[0].lower() for line in listed.stdout.split()} & ABSENT
