"""The files around the code agree with it: contributing, changelog, citation, hooks, workflow, templates."""

from __future__ import annotations

import re
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest
import yaml

import hsr_tf

PYTHONS = ["3.11", "3.12", "3.13"]
MARKDOWN = ("CONTRIBUTING.md", "CHANGELOG.md", "README.md", "docs/README.md")


def read_yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def contributing(repository: Path) -> str:
    return (repository / "CONTRIBUTING.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def targets(repository: Path) -> set[str]:
    text = (repository / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"(?m)^([a-z][a-z-]*):", text))


@pytest.fixture(scope="module")
def jobs(repository: Path) -> dict[str, Any]:
    found: dict[str, Any] = read_yaml(repository / ".github" / "workflows" / "ci.yml")["jobs"]
    return found


def commands(job: dict[str, Any]) -> str:
    """The shell commands of a job."""
    return "\n".join(step["run"] for step in job["steps"] if "run" in step)


def make_targets(text: str) -> set[str]:
    """The targets of the commands in a text that call make."""
    return set(re.findall(r"(?m)^\s*make ([a-z][a-z-]*)", text))


def is_module_or_function(repository: Path, name: str) -> bool:
    """Whether a dotted name is a module, a package, or a function of a module or package."""
    place = repository.joinpath(*name.split("."))
    if place.is_dir() or place.with_suffix(".py").exists():
        return True
    homes = (place.parent.with_suffix(".py"), place.parent / "__init__.py")
    return any(home.exists() and f"\ndef {place.name}(" in home.read_text() for home in homes)


def test_the_version_is_written_in_one_place(repository: Path) -> None:
    setup = ConfigParser()
    setup.read(repository / "setup.cfg", encoding="utf-8")
    assert setup["metadata"]["version"] == "attr: hsr_tf.__version__"
    assert "version" not in re.findall(r"(?m)^(\w+)\s*=", (repository / "pyproject.toml").read_text())


def test_the_citation_names_this_version_and_licence(repository: Path) -> None:
    setup = ConfigParser()
    setup.read(repository / "setup.cfg", encoding="utf-8")
    citation = read_yaml(repository / "CITATION.cff")
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()  # required by version 1.2.0
    assert citation["version"] == hsr_tf.__version__
    assert citation["license"] == setup["metadata"]["license"]
    assert citation["authors"] == [{"name": setup["metadata"]["author"]}]
    assert citation["type"] == "software"


def test_the_changelog_has_what_is_unreleased_first_and_then_this_version(repository: Path) -> None:
    text = (repository / "CHANGELOG.md").read_text(encoding="utf-8")
    first, *released = re.findall(r"(?m)^## (.*)$", text)
    assert first == "Unreleased"
    for title in released:
        assert re.fullmatch(r"\d+\.\d+\.\d+ - \d{4}-\d{2}-\d{2}", title)
    assert released[0].split()[0] == hsr_tf.__version__
    groups = set(re.findall(r"(?m)^### (.*)$", text))
    assert groups <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_make_commands_of_the_page_for_contributors_exist(contributing: str, targets: set[str]) -> None:
    blocks = re.findall(r"(?s)```sh\n(.*?)```", contributing)
    named = make_targets("\n".join(blocks)) | set(re.findall(r"`make ([a-z-]+)", contributing))
    assert {"setup", "lint", "test", "build", "coverage", "lock"} <= named
    assert named <= targets


def test_the_paths_of_the_page_for_contributors_exist(repository: Path, contributing: str) -> None:
    named = re.findall(
        r"`((?:[\w.-]+/)*[\w.-]+\.(?:py|md|cfg|toml|yml|yaml|cff|lock)|(?:[\w.]+/)+)`", contributing
    )
    assert len(named) > 30
    made = {"htmlcov/", "dist/"}
    missing = [
        path for path in set(named) - made if not (repository / path).exists() and path != "__init__.py"
    ]
    assert missing == []


def test_the_modules_and_tables_of_the_page_for_contributors_exist(
    repository: Path, contributing: str
) -> None:
    for name in set(re.findall(r"`(hsr_tf(?:\.[a-z_]+)+)`", contributing)):
        assert name.partition(".")[2] in hsr_tf.__all__ or is_module_or_function(repository, name), name
    folders = ("hsr_tf", "trainers", "tests")
    code = "\n".join(path.read_text() for name in folders for path in (repository / name).rglob("*.py"))
    for table in set(re.findall(r"`(_?[A-Z][A-Z_]{3,})`", contributing)):
        assert re.search(rf"(?m)^{table}\b.*=", code), table


@pytest.mark.parametrize("page", MARKDOWN)
def test_links_lead_to_files(repository: Path, page: str) -> None:
    text = (repository / page).read_text(encoding="utf-8")
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text)]
    local = [link for link in links if link and "://" not in link]
    assert [link for link in local if not (repository / page).parent.joinpath(link).exists()] == []


def test_the_workflow_runs_each_job_on_every_python(jobs: dict[str, Any], repository: Path) -> None:
    for name, job in jobs.items():
        assert job["strategy"]["matrix"]["python"] == PYTHONS, name
    setup = (repository / "setup.cfg").read_text(encoding="utf-8")
    assert re.findall(r"Programming Language :: Python :: (3\.\d+)", setup) == PYTHONS


def test_the_workflow_lints_tests_builds_and_imports(jobs: dict[str, Any], targets: set[str]) -> None:
    called = {name: make_targets(commands(job)) for name, job in jobs.items()}
    assert called["test"] == {"setup", "lint", "test"}
    assert called["build"] == {"build"}
    assert set().union(*called.values()) <= targets
    assert "import hsr_tf" in commands(jobs["build"])


def test_the_actions_of_the_workflow_are_pinned(jobs: dict[str, Any]) -> None:
    used = [step["uses"] for job in jobs.values() for step in job["steps"] if "uses" in step]
    assert used
    for action in used:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action), action


def test_the_hooks_run_the_tools_of_lint(repository: Path) -> None:
    (local,) = read_yaml(repository / ".pre-commit-config.yaml")["repos"]
    assert local["repo"] == "local"
    entries = {hook["id"]: hook["entry"] for hook in local["hooks"]}
    assert entries.keys() == {"ruff", "ruff-format", "mypy"}
    assert all(entry.startswith(".venv/bin/python -m ") for entry in entries.values())
    checked = entries["mypy"].split(" -m mypy ")[1].split()
    listed = re.search(r"(?m)^PACKAGES = .*?foreach name,([\w ]+),", (repository / "Makefile").read_text())
    assert listed is not None
    assert checked == listed[1].split()


def test_issue_forms_have_a_name_and_fields(repository: Path) -> None:
    folder = repository / ".github" / "ISSUE_TEMPLATE"
    forms = [path for path in folder.glob("*.yml") if path.name != "config.yml"]
    assert len(forms) == 2
    for path in forms:
        form = read_yaml(path)
        assert {"name", "description", "body"} <= form.keys()
        names = [field["id"] for field in form["body"]]
        assert len(set(names)) == len(names)
        assert all(field["attributes"]["label"] for field in form["body"])
    assert (repository / ".github" / "PULL_REQUEST_TEMPLATE.md").stat().st_size > 0
