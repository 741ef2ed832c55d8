"""The `hsr` command does what its help says; bad input is one line, exit code 2, and changes nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path

import h5py
import numpy as np
import pytest

import hsr_tf
from hsr_tf import cli
from hsr_tf.scene import Scene
from tests.cli.command_for_tests import FUSE, SIMULATE, WAVELENGTHS_NM, Answer, everything
from tests.solver_for_tests import blended, registered
from tests.test_files import files_limited_to

COMMANDS = tuple(str(command.name) for command in cli.app.registered_commands)


def changed(path: Path, change: Callable[[h5py.File], None]) -> None:
    with h5py.File(path, "r+") as file:
        change(file)


def put(value: float) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        changed(folder / "x.h5", lambda file: file["cube"].__setitem__((3, 2, 1), value))

    return change


def cut_short(folder: Path) -> None:
    data = (folder / "x.h5").read_bytes()
    (folder / "x.h5").write_bytes(data[: len(data) // 2])


def infrared(folder: Path) -> None:
    for name in ("x.h5", "z.h5"):
        changed(folder / name, lambda file: file["wavelength_nm"].__setitem__(..., WAVELENGTHS_NM + 500))
    changed(folder / "y.h5", lambda file: file.attrs.__delitem__("simulated_srf_matrix"))


def odd_sizes(folder: Path) -> None:
    lr_hsi = hsr_tf.load(folder / "x.h5")
    hsr_tf.save(Scene(lr_hsi.cube[:5], lr_hsi.wavelengths_nm), folder / "x.h5")


def two_scales(folder: Path) -> None:
    lr_hsi = hsr_tf.load(folder / "x.h5")
    hsr_tf.save(Scene(lr_hsi.cube[:3], lr_hsi.wavelengths_nm), folder / "x.h5")


def fewer_bands(folder: Path) -> None:
    lr_hsi = hsr_tf.load(folder / "x.h5")
    hsr_tf.save(Scene(lr_hsi.cube[..., :30], lr_hsi.wavelengths_nm[:30]), folder / "x.h5")


def fewer_channels(folder: Path) -> None:
    hsr_tf.save(Scene(hsr_tf.load(folder / "y.h5").cube[..., :2]), folder / "y.h5")


def tiny_weights(folder: Path) -> None:
    from hsr_tf.networks.fusion_model import FusionConfig, FusionModel
    from hsr_tf.networks.pretrained import save_model

    config = FusionConfig("ms_ssfnet", 8, 31, options=(("features", 2),))
    save_model(FusionModel(config), folder / "tiny", {})


def nothing(folder: Path) -> None:
    del folder


FILES = (("lr_hsi", "x.h5"), ("hr_msi", "y.h5"), ("output", "e.h5"))
EVALUATE = ("evaluate", "--reference=z.h5", "--scale=8")
NETWORK = (*FUSE, "--method=ms_ssfnet", "--weights=tiny")

REFUSED: dict[str, tuple[Callable[[Path], None], Sequence[str], str]] = {
    "missing file": (nothing, (*FUSE, "--lr_hsi=xx.h5"), "xx.h5: no such file or folder; did you mean x.h5"),
    "truncated file": (cut_short, FUSE, "x.h5: cannot be read as HDF5"),
    "infinite": (put(np.inf), FUSE, "x.h5: cube: expected finite values, got 1 NaN or infinite"),
    "infinity": (put(np.inf), FUSE, "x.h5: cube: expected finite values, got 1 NaN or infinite"),
    "sizes that do not divide": (
        odd_sizes,
        (*FUSE, "--register=off"),
        "hr_msi: expected a whole multiple of the 5x8 pixels",
    ),
    "two scales": (two_scales, (*FUSE, "--register=off"), "16 times the rows and 8 times the columns"),
    "swapped": (nothing, (*FUSE, "--lr_hsi=y.h5", "--hr_msi=x.h5"), "check that they are not swapped"),
    "scale of simulate": (nothing, (*SIMULATE, "--scale=7"), "crop it to 42x63 pixels first"),
    "negative scale": (nothing, (*SIMULATE, "--scale=-8"), "scale: expected a positive integer"),
    "scale in words": (nothing, (*SIMULATE, "--scale=eight"), "Invalid value for '--scale'"),
    "bands of weights": (
        lambda folder: (tiny_weights(folder), fewer_bands(folder))[0],
        (*NETWORK, "--srf_outside=zero"),
        "expected weights for ms_ssfnet, 30 bands + 3 channels, x8, got tiny for ms_ssfnet, 31 bands",
    ),
    "channels of weights": (
        lambda folder: (tiny_weights(folder), fewer_channels(folder))[0],
        NETWORK,
        "expected weights for ms_ssfnet, 31 bands + 2 channels, x8, got tiny for ms_ssfnet, 31 bands + 3",
    ),
    "channels of response": (fewer_channels, FUSE, "hr_msi: expected 3 channels"),
    "no weights": (
        fewer_bands,
        (*FUSE, "--method=ssf_cnn"),
        "expected trained weights for ssf_cnn, 30 bands + 3",
    ),
    "no model there": (nothing, (*FUSE, "--method=ssf_cnn", "--weights=."), "no trained model here"),
    "outside the response": (infrared, FUSE, "expected bands within 400 to 700 nm"),
    "simulated outside the response": (
        infrared,
        (*SIMULATE, "--scale=8"),
        "expected bands within 400 to 700",
    ),
    "unknown method": (nothing, (*FUSE, "--method=magic"), "bicubic, blind_deep_prior, "),
    "unknown psf": (nothing, (*FUSE, "--psf=disc"), "psf: expected one like gaussian | gaussian:fwhm=6"),
    "unknown srf": (nothing, (*FUSE, "--srf=nikon_d70"), "did you mean 'nikon_d700'?"),
    "missing srf": (nothing, (*FUSE, "--srf=camera.csv"), "camera.csv: no such response file"),
    "mistyped flag": (nothing, (*FUSE, "--lr_hsl=x.h5"), "No such option: --lr_hsl; did you mean --lr_hsi?"),
    "dashed flag": (nothing, ("fuse", "--lr-hsi=x.h5"), "--lr-hsi; did you mean --lr_hsi?"),
    "strange flag": (nothing, (*FUSE, "--quux=1"), "No such option: --quux; see hsr fuse --help"),
    "missing flag": (nothing, FUSE[:-1], "Missing option '--output'; see hsr fuse --help"),
    "mistyped command": (nothing, ("fues",), "Did you mean 'fuse'?"),
    "empty folder": (lambda folder: (folder / "new").mkdir(), ("info", "new"), "holds no PNG files"),
    "empty folder as input": (
        lambda folder: (folder / "new").mkdir(),
        (*FUSE, "--hr_msi=new"),
        "holds no PNG files",
    ),
    "unknown suffix": (nothing, (*FUSE, "--output=e.jpg"), "unknown suffix '.jpg'; use one of .h5"),
    "no folder for the output": (nothing, (*FUSE, "--output=no/e.h5"), "does not exist; make it first"),
    "output over an input": (nothing, (*FUSE, "--output=x.h5"), "x.h5: is an input as well"),
    "file in the way": (nothing, (*SIMULATE, "--scale=8", "--output_dir=old.h5"), "old.h5 is a file"),
    "other size": (nothing, (*EVALUATE, "--estimate=x.h5"), "estimate: expected the reference's shape"),
    "picture of nothing": (nothing, (*FUSE, "--picture=c.png"), "picture: expected a method that estimates"),
    "picture of another kind": (nothing, (*FUSE, "--picture=c.jpg"), "a name that ends in .png"),
    "no folder for the picture": (nothing, (*FUSE, "--picture=no/c.png"), "does not exist; make it first"),
    "checkpoint over an input": (nothing, (*FUSE, "--checkpoint=x.h5"), "x.h5: is an input as well"),
    "no time at all": (nothing, (*FUSE, "--max_seconds=0"), "max_seconds: expected a positive number"),
    "option of none": (
        nothing,
        (*FUSE, "--method=spectral_ls", "--option=a=1"),
        "option: expected none for spectral_ls",
    ),
    "json over an input": (nothing, (*EVALUATE, "--estimate=z.h5", "--json=z.h5"), "is an input as well"),
    "no folder for json": (nothing, (*EVALUATE, "--estimate=z.h5", "--json=no/s.json"), "does not exist"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_one_line_and_changes_nothing(
    case: str, folder: Path, hsr: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare, arguments, words = REFUSED[case]
    prepare(folder)
    monkeypatch.chdir(folder)
    before = everything(folder)
    answer = hsr(*arguments)
    assert (answer.code, answer.out, answer.err.count("\n")) == (2, "", 1), answer
    assert answer.err.startswith("error: ") and words in answer.err
    assert everything(folder) == before


@pytest.mark.parametrize("limit", [0, 3000, 12_000])
@pytest.mark.parametrize(
    "arguments", [FUSE, (*SIMULATE, "--scale=8"), (*SIMULATE, "--scale=8", "--output_dir=old")]
)
def test_a_full_disk_leaves_the_old_files(
    limit: int,
    arguments: Sequence[str],
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(folder)
    (folder / "old").mkdir()
    for name in ("lr_hsi.h5", "hr_msi.h5"):
        (folder / "old" / name).write_bytes(b"old")
    before = everything(folder)
    with files_limited_to(limit):
        code = cli.run(arguments)
    err = capsys.readouterr().err
    assert code == 2 and err.count("\n") == 1 and "cannot be written (File too large)" in err, err
    assert ".tmp" not in err and everything(folder) == before


def test_a_folder_that_cannot_be_written_is_refused_first(
    folder: Path, hsr: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(os, "access", lambda *_: False)
    answer = hsr(*SIMULATE, "--scale=8", "--reference=missing.h5")
    assert answer.code == 2 and f"{folder} cannot be written" in answer.err


def test_simulate_fuse_evaluate_in_a_row(folder: Path, hsr: Callable[..., Answer]) -> None:
    made = hsr("simulate", f"--reference={folder}/z.h5", "--scale=8", f"--output_dir={folder}/a/b")
    assert made == Answer(
        0, f"wrote {folder}/a/b/lr_hsi.h5  6x8x31\nwrote {folder}/a/b/hr_msi.h5  48x64x3\n", ""
    )
    pair = (f"--lr_hsi={folder}/a/b/lr_hsi.h5", f"--hr_msi={folder}/a/b/hr_msi.h5")
    fused = hsr("fuse", *pair, f"--output={folder}/e.h5")
    assert fused.code == 0 and fused.err == "" and f"wrote      {folder}/e.h5\n" in fused.out
    for words in ("auto, x8", "6x8x31 + 48x64x3 -> 48x64x31", "nikon_d700 (recorded in the file)"):
        assert words in fused.out
    scored = hsr(
        "evaluate",
        f"--reference={folder}/z.h5",
        f"--estimate={folder}/e.h5",
        "--scale=8",
        f"--json={folder}/s",
    )
    card = hsr_tf.scorecard(hsr_tf.load(folder / "z.h5").cube, hsr_tf.load(folder / "e.h5").cube, scale=8)
    assert scored.code == 0 and f"{card.psnr_bands:.2f} dB" in scored.out and f"{card.ssim:.4f}" in scored.out
    assert json.loads((folder / "s").read_text())["scores"] == pytest.approx(card.as_dict())
    assert {path.name for path in folder.iterdir()} == {"a", "e.h5", "old.h5", "s", "x.h5", "y.h5", "z.h5"}


def test_simulate_takes_psf_noise_and_seed_from_its_flags(folder: Path, hsr: Callable[..., Answer]) -> None:
    flags = ("--scale=4", "--psf=box", "--hsi_snr_db=30", "--msi_snr_db=40", "--seed=5")
    assert hsr("simulate", f"--reference={folder}/z.h5", *flags, f"--output_dir={folder}/d").code == 0
    expected = hsr_tf.simulate(hsr_tf.load(folder / "z.h5"), scale=4, psf="box", snr_db=(30, 40), seed=5)
    for name in ("lr_hsi", "hr_msi"):
        with h5py.File(folder / "d" / f"{name}.h5") as file:
            written = np.moveaxis(file["cube"][...], 0, -1)
            assert file["cube"].attrs["layout"] == "band,row,col" and file.attrs["simulated_seed"] == 5
        np.testing.assert_allclose(written, getattr(expected, name).cube, rtol=0, atol=1e-7)


def test_fuse_by_a_network_names_its_weights_and_warns(folder: Path, hsr: Callable[..., Answer]) -> None:
    tiny_weights(folder)
    flags = (f"--lr_hsi={folder}/x.h5", f"--hr_msi={folder}/y.h5", f"--output={folder}/e.npz")
    answer = hsr("fuse", *flags, "--method=ms_ssfnet", f"--weights={folder}/tiny", "--psf=box:size=5")
    assert answer.code == 0 and "tiny (given)" in answer.out
    camera, *residuals = answer.err.splitlines()
    assert camera == (
        "warning: the PSF (box, 5 taps) sits half a pixel before the centres of cells of 8 pixels; "
        "a number of taps that is even would sit on them"
    )
    # The weights are random: the estimate explains neither image.
    said = [f"error: the estimate does not explain {name}: residual" for name in ("lr_hsi", "hr_msi")]
    assert [line.startswith(start) for line, start in zip(residuals[-2:], said, strict=True)] == [True, True]
    assert "differ by" in residuals[0]
    assert hsr_tf.load(folder / "e.npz").shape == (48, 64, 31)


def test_a_blind_camera_is_allowed_where_it_is_asked_for(folder: Path, hsr: Callable[..., Answer]) -> None:
    changed(folder / "z.h5", lambda file: file["wavelength_nm"].__setitem__(..., WAVELENGTHS_NM + 100))
    flags = (f"--reference={folder}/z.h5", "--scale=8", f"--output_dir={folder}/d")
    assert hsr("simulate", *flags).code == 2
    assert hsr("simulate", *flags, "--srf_outside=zero").code == 0


def test_a_solver_takes_options_time_and_seed_and_draws_its_cameras(
    folder: Path, hsr: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    registered(monkeypatch, "blended", blended, needs=())
    flags = (f"--lr_hsi={folder}/x.h5", f"--hr_msi={folder}/y.h5", f"--output={folder}/e.h5")
    more = ("--option=num_iterations=3", "--max_seconds=60", "--seed=4", f"--picture={folder}/c.png")
    answer = hsr("fuse", *flags, "--method=blended", *more, f"--report={folder}/r.html")
    page = (folder / "r.html").read_text()
    assert "blended" in page and "estimated from the two images" in page
    assert (answer.code, answer.err) == (0, ""), answer
    assert "iterations  3, converged" in answer.out
    assert "+0.50 rows, -1.00 columns off the coarse cube" in answer.out
    assert f"drew        {folder}/c.png" in answer.out
    assert (folder / "c.png").read_bytes().startswith(b"\x89PNG")
    assert hsr_tf.load(folder / "e.h5").metadata["kindness"] == 3
    wrong = hsr("fuse", *flags, "--method=blended", "--option=num_iteration=3")
    assert wrong.code == 2 and "did you mean 'num_iterations'?" in wrong.err


def test_faults_of_the_images_are_warnings_of_one_line(folder: Path, hsr: Callable[..., Answer]) -> None:
    changed(folder / "x.h5", lambda file: file["cube"].__setitem__(7, 0.0))
    answer = hsr(*FUSE[:1], *(f"--{n}={folder}/{f}" for n, f in FILES), "--method=spectral_ls")
    assert answer.code == 0 and answer.err.splitlines() == [
        "warning: lr_hsi: 1 dead band 8 at 470 nm (all zero); left out, and filled from the bands beside them"
    ]
    assert hsr_tf.load(folder / "e.h5").cube[..., 7].any()


def test_info_tells_what_a_file_holds(folder: Path, hsr: Callable[..., Answer]) -> None:
    answer = hsr("info", folder / "x.h5")
    assert answer.code == 0 and answer.err == ""
    for words in ("6 rows x 8 columns x 31 bands", "400 to 700 nm", "simulated_psf    gaussian"):
        assert words in answer.out
    put(np.inf)(folder)
    assert "1 infinite values, which a fusion refuses" in hsr("info", folder / "x.h5").out
    put(np.nan)(folder)
    assert "no data          1 of 48 pixels" in hsr("info", folder / "x.h5").out
    marked = folder / "marked.h5"
    assert hsr("convert", folder / "x.h5", marked, "--nodata=nan").code == 0
    assert hsr_tf.load(marked).nodata_mask.sum() == 1


def test_methods_lists_every_method_and_what_it_needs(hsr: Callable[..., Answer]) -> None:
    answer = hsr("methods")
    lines = {line.split()[0]: line for line in answer.out.splitlines() if line.strip()}
    assert answer.code == 0 and set(hsr_tf.methods.names()) <= lines.keys()
    assert "psf, srf" in lines["spectral_ls"] and "weights" in lines["ms_ssfnet"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_examples(command: str, hsr: Callable[..., Answer]) -> None:
    answer = hsr(command, "--help")
    assert answer.code == 0 and "Examples" in answer.out and f"hsr {command}" in answer.out
    assert answer.out == hsr(command, "-h").out


def test_the_program_alone_shows_its_commands(hsr: Callable[..., Answer]) -> None:
    answer = hsr()
    assert answer.code == 0 and all(f" {command} " in answer.out for command in COMMANDS)
    assert hsr("--version").out == f"hsr {hsr_tf.__version__}\n"


def test_an_error_of_the_program_is_one_line_and_debug_shows_more(
    folder: Path, hsr: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("two\nlines")

    monkeypatch.setattr("hsr_tf.io.open_reader", broken)
    answer = hsr("info", folder / "x.h5")
    assert answer.code == 1 and answer.err.count("\n") == 1 and "RuntimeError: two lines" in answer.err
    monkeypatch.setenv("HSR_DEBUG", "1")
    assert "Traceback" in hsr("info", folder / "x.h5").err


def test_looking_at_files_loads_no_framework(folder: Path) -> None:
    code = f"""
        import sys
        from hsr_tf.cli import run
        codes = [run(a) for a in (["--help"], ["info", "{folder}/x.h5"], ["info", "none.h5"])]
        print(codes, {{"keras", "tensorflow", "scipy"}} & set(sys.modules))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.splitlines()[-1] == "[0, 0, 2] set()"


def test_the_command_is_installed() -> None:
    program = Path(sys.executable).with_name("hsr")
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"hsr {hsr_tf.__version__}\n", "")
