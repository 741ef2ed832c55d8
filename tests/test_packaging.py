"""Metadata, lock, documentation and the installed package tell one story."""

from __future__ import annotations

import re
from configparser import ConfigParser
from importlib.metadata import entry_points, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import hsr_tf

PYTHONS = ("3.11", "3.12", "3.13")


@pytest.fixture(scope="module")
def config(repository: Path) -> ConfigParser:
    parser = ConfigParser()
    parser.read(repository / "setup.cfg", encoding="utf-8")
    return parser


@pytest.fixture(scope="module")
def lock(repository: Path) -> str:
    return (repository / "requirements.lock").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def direct(config: ConfigParser) -> list[Requirement]:
    lists = [config["options"]["install_requires"], *config["options.extras_require"].values()]
    return [Requirement(line) for text in lists for line in text.split("\n") if line.strip()]


def lock_entries(text: str) -> list[tuple[Requirement, list[str]]]:
    """The pinned requirement and the hashes of each entry of a lock."""
    joined = re.sub(r"\\\n\s*", " ", re.sub(r"(?m)^\s*#.*\n", "", text))
    lines = [line for line in joined.splitlines() if line.strip()]
    return [
        (Requirement(re.sub(r"\s*--hash=\S+", "", line).strip()), re.findall(r"--hash=(\S+)", line))
        for line in lines
    ]


def applies(pin: Requirement, python: str) -> bool:
    """Whether a pin is meant for this Python on Linux."""
    environment = {"python_version": python, "python_full_version": f"{python}.1", "sys_platform": "linux"}
    return pin.marker is None or pin.marker.evaluate(environment)


def test_every_pin_has_a_sha256(lock: str) -> None:
    entries = lock_entries(lock)
    assert len(entries) > 50
    for pin, hashes in entries:
        assert hashes, f"{pin} has no hash"
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", value) for value in hashes), pin
        assert re.fullmatch(r"==[^,*]+", str(pin.specifier)), pin


def test_the_lock_names_no_address_and_no_folder(lock: str) -> None:
    assert not re.search(r"://|file:| @ |--(extra-)?index|--find-links", lock)
    assert not re.search(r"(^|\s)(/|~|\.\./)\w", lock)


@pytest.mark.parametrize("python", PYTHONS)
def test_the_lock_holds_one_fitting_version_of_each_dependency(
    lock: str, direct: list[Requirement], python: str
) -> None:
    pins = [pin for pin, _ in lock_entries(lock) if applies(pin, python)]
    names = [canonicalize_name(pin.name) for pin in pins]
    assert len(set(names)) == len(names)
    pinned = {name: next(iter(pin.specifier)).version for name, pin in zip(names, pins, strict=True)}
    for wanted in direct:
        found = pinned.get(canonicalize_name(wanted.name))
        assert found is not None, f"{wanted.name} is not in the lock: run `make lock`"
        assert wanted.specifier.contains(found), f"{wanted} is locked at {found}: run `make lock`"


def test_every_direct_dependency_is_explained(repository: Path, direct: list[Requirement]) -> None:
    text = (repository / "docs" / "dependencies.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"(?m)^\| ([\w-]+) \| ([^|]*) \| [^|]{10,} \|$", text))
    assert rows.keys() == {wanted.name for wanted in direct}
    for wanted in direct:
        assert rows[wanted.name].replace(" ", "") == spelled(wanted), wanted.name


def spelled(wanted: Requirement) -> str:
    """A requirement's range, lower bound first; `any` where it has none."""
    return ",".join(sorted((str(part) for part in wanted.specifier), reverse=True)) or "any"


def test_the_installed_version_is_the_one_in_the_code() -> None:
    assert version("hsr_tf") == hsr_tf.__version__
    assert re.fullmatch(r"\d+\.\d+\.\d+", hsr_tf.__version__)


def test_the_hsr_command_leads_to_a_function() -> None:
    (command,) = (point for point in entry_points(group="console_scripts") if point.name == "hsr")
    assert callable(command.load())


def test_every_data_file_of_the_package_is_installed(repository: Path, config: ConfigParser) -> None:
    package = repository / "hsr_tf"
    patterns = config["options.package_data"]["hsr_tf"].split()
    covered = {path for pattern in patterns for path in package.glob(pattern)}
    stray = [
        path.relative_to(package)
        for path in package.rglob("*")
        if path.is_file() and path.suffix not in {".py", ".pyc"} and path not in covered
    ]
    assert stray == []


@pytest.mark.parametrize("name", hsr_tf.__all__)
def test_a_public_name_is_there(name: str) -> None:
    assert getattr(hsr_tf, name) is not None
    assert name in dir(hsr_tf)


def test_an_unknown_public_name_is_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'upsample'"):
        _ = hsr_tf.upsample
