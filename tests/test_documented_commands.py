"""Every command of README.md and docs/ parses as printed, and the quick ones run as printed.

A fenced block in "sh" holds commands. What is not run is in one of the tables below, or its block has a
comment right before it: `<!-- not run: needs a file with two arrays -->`.
"""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from unittest import mock

import imagecodecs
import numpy as np
import pytest
import typer.main
from absl import app, flags
from scipy.io import savemat

from hsr_tf import io
from hsr_tf.cli import app as hsr
from hsr_tf.cli import run
from hsr_tf.fusion.api import simulate
from hsr_tf.scene import Scene
from tests.app_for_tests import call_app
from tests.io.test_lookup_table import emit
from tests.io.test_prisma import write_prisma
from tests.io.test_references import raw_and_references

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
LANGUAGES = {"sh", "text", "python", "ini", "toml", "kotlin"}
OTHER_PROGRAMS = {
    "adb": "needs a phone",
    "dask": "starts a cluster",
    "docker": "starts a container",
    "kill": "ends a server that was started before",
    "make": "sets up environments",
    "pip": "installs packages",
    "pre-commit": "needs a checkout",
}
OTHER_STARTS = {
    "hsr demo": "serves until it is stopped",
    "python -m benchmarks.": "measures for minutes",
    "python -m export.run_tflite": "needs a file that was exported for minutes",
    "python -m hsr_tf_light.": "is installed by itself, as tests/test_installed.py does",
    "python -m export.tflite": "exports for minutes",
    "python -m export.verify": "exports for minutes",
    "python -m serving.": "serves until it is stopped, or needs a server",
    "python -m trainers.": "trains or scores for minutes",
    "ruff ": "is run by make lint",
}
NEEDS_A_RUN = re.compile(r"\bruns/|my_\w+|one_of_my_|--dask=tcp:")
SLOW_FLAGS = (
    "--method=",
    "--option=num_modules=",
    "--wald",
    "--uncertainty",
    "--stream",
    "--memory_limit",
    "--dask",
    "=estimate",
)
FENCE = re.compile(r"^```(\w*)$")
MARK = re.compile(r"^<!-- not run: (.+) -->$")
INLINE = re.compile(r"`((?:hsr|python -m) [^`]*--[^`]*)`")


@dataclass(frozen=True)
class Command:
    """A command of a document: where it is, its words, why it is not run, whether it is in a sentence."""

    document: str
    line: int
    words: tuple[str, ...]
    not_run: str
    inline: bool = False

    def __str__(self) -> str:
        return f"{self.document}:{self.line} {' '.join(self.words[:4])}"

    @property
    def is_slow(self) -> bool:
        flagged = any(flag in word for word in self.words for flag in SLOW_FLAGS)
        return flagged or self.words[1] in ("-m", "upscale")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its comment "not run", its first line and its text."""

    language: str
    mark: str
    line: int
    text: str


def reason_not_to_run(words: tuple[str, ...]) -> str:
    """Why a command is not run by the tables; empty for one that is."""
    text = " ".join(words)
    if words[0] in OTHER_PROGRAMS:
        return OTHER_PROGRAMS[words[0]]
    if NEEDS_A_RUN.search(text):
        return "needs a trained model, files of the reader's own or a cluster"
    return next((why for start, why in OTHER_STARTS.items() if text.startswith(start)), "")


def blocks(text: str) -> Iterator[Block]:
    """The fenced blocks of a document."""
    lines, inside, previous = text.splitlines(), None, ""
    for number, line in enumerate(lines, 1):
        found = FENCE.match(line.strip())
        if inside is None and found:
            mark = MARK.match(previous)
            inside = Block(found[1], mark[1] if mark else "", number + 1, "")
        elif inside is not None and line.strip() == "```":
            yield inside
            inside = None
        elif inside is not None:
            inside = replace(inside, text=f"{inside.text}{line}\n")
        previous = line.strip() or previous


def shell_commands(block: Block) -> Iterator[tuple[int, tuple[str, ...]]]:
    """The commands of a block: continued lines joined; no comments, assignments and texts of `<<END`."""
    lines = list(enumerate(block.text.splitlines(), block.line))
    while lines:
        number, line = lines.pop(0)
        while line.endswith("\\"):
            line = line[:-1] + lines.pop(0)[1]
        if ending := re.search(r"<<'?(\w+)'?$", line):
            while lines.pop(0)[1] != ending[1]:
                pass
            continue
        words = shlex.split(line, comments=True)
        while words and (words[0] == "export" or re.match(r"^\w+=", words[0])):
            words = words[1:]
        if words:
            yield number, tuple(word for word in words if word != "&")


def commands_of(document: Path) -> list[Command]:
    """The commands of a document, those within a sentence too."""
    name, text = str(document.relative_to(ROOT)), document.read_text(encoding="utf-8")
    found = []
    for block in blocks(text):
        if block.language == "sh":
            for line, words in shell_commands(block):
                found.append(Command(name, line, words, block.mark or reason_not_to_run(words)))
    outside = re.sub(r"^```.*?^```$", lambda m: "\n" * m[0].count("\n"), text, flags=re.M | re.S)
    for match in INLINE.finditer(outside):
        words = tuple(shlex.split(match[1]))
        if "..." not in words and not words[1].isupper():
            found.append(
                Command(name, outside[: match.start()].count("\n") + 1, words, "within a sentence", True)
            )
    return found


def form_of(command: Command) -> tuple[object, ...]:
    """What a command does: its name, its flags, and the suffixes of the files that are no flags."""
    flagged = {word.partition("=")[0] for word in command.words if word.startswith("--")}
    files = [word.rpartition(".")[2] for word in command.words[2:] if not word.startswith("--")]
    return command.words[1], frozenset(flagged), tuple(files)


def first_of_a_form(commands: list[Command]) -> list[Command]:
    """The quick commands, of those that several documents print the first."""
    found: dict[tuple[object, ...], Command] = {}
    for command in commands:
        if not command.not_run and not command.is_slow:
            found.setdefault(form_of(command), command)
    return list(found.values())


COMMANDS = [command for document in DOCUMENTS for command in commands_of(document)]
FIRST_OF_A_FORM = first_of_a_form(COMMANDS)
OURS = [command for command in COMMANDS if command.words[0] == "hsr" or command.words[1:2] == ("-m",)]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_block_names_its_language(document: Path) -> None:
    found = [(block.line, block.language) for block in blocks(document.read_text(encoding="utf-8"))]
    assert [place for place in found if place[1] not in LANGUAGES] == []


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_every_command_is_run_or_says_why_not(command: Command) -> None:
    is_run = command.words[0] == "hsr" or command.words[:3] == ("python", "-m", "export.saved_model")
    assert command.not_run or is_run, f"{command}: write `<!-- not run: REASON -->` before its block"


@pytest.mark.parametrize("command", OURS, ids=str)
def test_the_flags_of_every_command_exist(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    words = list(command.words)
    if words[0] == "hsr":
        known = typer.main.get_command(hsr).commands  # type: ignore[attr-defined]
        assert words[1] in known
        options = {name for parameter in known[words[1]].params for name in parameter.opts}
        options |= {name for parameter in known[words[1]].params for name in parameter.secondary_opts}
        assert {word.partition("=")[0] for word in words[2:] if word.startswith("--")} <= options
        if not command.inline:
            known[words[1]].make_context(words[1], words[2:])
        return
    module, given = words[2].removeprefix("hsr_tf_light."), words[3:]  # its modules are the checkout's
    if module == "export.run_tflite":
        from export.run_tflite import _parsed

        _parsed(given)
        return

    def parse_only(_: object, flags_parser: object) -> None:
        if command.inline:
            given_names = {word.partition("=")[0].removeprefix("--") for word in given}
            assert given_names <= {"flagfile", *flags.FLAGS}
        else:
            flags_parser(sys.argv)  # type: ignore[operator]

    with mock.patch.object(app, "run", parse_only):
        ended = call_app(module, *given)
    assert ended.code == 0, ended.errors


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with small files of every name that the commands read."""
    folder = tmp_path_factory.mktemp("samples")
    draws = np.random.default_rng(0)
    rows, cols = np.mgrid[0:128, 0:128] / 128
    waves = [np.sin(2 * np.pi * (a * rows + b * cols + c)) for a, b, c in draws.uniform(0, 6, (5, 3))]
    spectra = np.exp(-np.square(np.linspace(0, 1, 31) - np.linspace(0, 1, 5)[:, None]) * 12)
    cube = 0.3 + 0.05 * np.stack(waves, -1) @ spectra + 0.01 * draws.random((128, 128, 1))
    truth = Scene(cube.astype(np.float32), np.linspace(400, 700, 31), "truth")
    pair = simulate(truth, scale=8)
    # Without what a simulation records, these are two files of a user's own.
    own = [replace(scene, metadata={}) for scene in (pair.lr_hsi, pair.hr_msi)]
    four = Scene(np.concatenate([pair.hr_msi.cube, pair.hr_msi.cube[..., :1]], -1))
    files = (
        (truth, "truth.h5 z.h5 estimate.h5 fused.h5 sharp.tif"),
        (own[0], "lr_hsi.h5 x.h5 cube.h5 cube.hdr x.img x.zarr radiance.hdr counts.img"),
        (own[1], "hr_msi.tif y.h5 y.tif photo.tif y.zarr"),
        (four, "sentinel.h5"),
        (replace(own[0], wavelengths_nm=None), "cube.mat"),
    )
    for scene, names in files:
        for name in names.split():
            io.save(scene, folder / name)
    savemat(folder / "cubes.mat", {"ref": own[0].cube, "other": np.zeros((2, 2))})
    write_prisma(folder / "PRS_L2D_STD.he5")
    emit(folder / "EMIT_L2A_RFL.nc")
    raw_and_references(folder, ("scan", "WHITEREF_scan", "DARKREF_scan"), times=None)
    picture = (255 * np.clip(pair.hr_msi.cube, 0, 1)).astype(np.uint8)
    for name in ("photo.png", "blurry.png"):
        (folder / name).write_bytes(imagecodecs.png_encode(picture[:48, :40]))
    return folder


def run_here(command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a command in a folder; `hsr check` may find that something has to be done first."""
    monkeypatch.chdir(folder)
    output, errors = StringIO(), StringIO()
    if command.words[0] == "hsr":
        with redirect_stdout(output), redirect_stderr(errors):
            code = run(command.words[1:])
    else:
        ended = call_app(command.words[2], *command.words[3:])
        code, errors = ended.code, StringIO(ended.errors)
    assert code in ((0, 1) if command.words[1] == "check" else (0,)), f"{command}: {errors.getvalue()}"


def run_all(commands: list[Command], samples: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the commands of one document one after another in a copy of the samples."""
    here = shutil.copytree(samples, folder / "here")
    for command in commands:
        # A document calls the second image of a pair what another calls the result.
        if "--hr_msi=sharp.h5" in command.words:
            shutil.copy(samples / "y.h5", here / "sharp.h5")
        run_here(command, here, monkeypatch)


@pytest.mark.parametrize("document", dict.fromkeys(command.document for command in FIRST_OF_A_FORM))
def test_the_quick_commands_of_a_document_run(
    document: str, samples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = [command for command in FIRST_OF_A_FORM if command.document == document]
    run_all(own, samples, tmp_path, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_all_commands_of_a_document_run(
    document: Path, samples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_all([c for c in commands_of(document) if not c.not_run], samples, tmp_path, monkeypatch)


def test_commands_are_read_as_a_shell_reads_them() -> None:
    text = """<!-- not run: no -->

```sh
A=1 hsr fuse --x=1 \\
    --y='a b' &  # why
python - <<'END'
hsr no
END
```
"""
    (block,) = blocks(text)
    assert (block.mark, block.language) == ("no", "sh")
    assert list(shell_commands(block)) == [(4, ("hsr", "fuse", "--x=1", "--y=a b"))]
