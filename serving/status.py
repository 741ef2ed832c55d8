"""ModelService: the states of versions, and a new choice of models while the server runs."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
from tensorflow.core.protobuf import error_codes_pb2
from tensorflow_serving.apis import get_model_status_pb2, model_management_pb2, model_service_pb2_grpc

from hsr_tf import checks
from serving.calls import answering
from serving.catalog import State
from serving.folders import ModelSettings, Policy, version_folders
from serving.loaded import LoadedVersion
from serving.prediction import Shared, chosen_version
from serving.refusal import Refusal, shortened
from serving.telemetry import Call

LOGGER = logging.getLogger("serving")
SECONDS_TO_LOAD, SECONDS_TO_ANSWER = 60.0, 0.5
PLATFORMS = ("", "tensorflow")
MOST_VERSIONS = 100


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
    """The service.

    Args:
        shared: what it works with.
    """

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    def GetModelStatus(self, request: Any, context: Any) -> Any:
        """Every version of a model that was ever tried, or the one asked for."""
        call, spec = Call("GetModelStatus"), request.model_spec
        answer = get_model_status_pb2.GetModelStatusResponse()
        with answering(call, context, self._shared.telemetry):
            self._shared.gate.enter(context)
            found = self._shared.catalog.statuses(spec.name)
            call.model = spec.name
            version = chosen_version(spec)
            found = [status for status in found if version in (None, status.version)]
            if not found:
                said = f"there is no version {version or ''} of {shortened(spec.name)}"
                raise Refusal(grpc.StatusCode.NOT_FOUND, said)
            for status in found:
                entry = answer.model_version_status.add(version=status.version, state=int(status.state))
                code = error_codes_pb2.UNKNOWN if status.error else error_codes_pb2.OK
                entry.status.error_code, entry.status.error_message = code, status.error
        return answer

    def HandleReloadConfigRequest(self, request: Any, context: Any) -> Any:
        """Serve the models of the request and no others, from now on; a bad request changes nothing.

        Answers when what can be loaded has been, or after `SECONDS_TO_LOAD`; the answer's status names what
        could not be loaded.
        """
        answer = model_management_pb2.ReloadConfigResponse()
        with answering(Call("HandleReloadConfigRequest"), context, self._shared.telemetry):
            self._shared.gate.enter(context)
            try:
                settings = read_settings(request.config, self._shared.catalog.root)
                _require_unmoved(settings, self._shared.catalog.available())
            except (ValueError, OSError) as error:
                answer.status.error_code = error_codes_pb2.INVALID_ARGUMENT
                answer.status.error_message = str(error)
                return answer
            LOGGER.info("asked to serve %s", ", ".join(model.name for model in settings) or "nothing")
            self._shared.catalog.configure(settings)
            failures = self._failures_of(settings, context.time_remaining())
            answer.status.error_code = error_codes_pb2.UNKNOWN if failures else error_codes_pb2.OK
            answer.status.error_message = "; ".join(failures)
        return answer

    def _failures_of(self, settings: list[ModelSettings], remaining: float | None) -> list[str]:
        most = SECONDS_TO_LOAD if remaining is None else min(SECONDS_TO_LOAD, remaining - SECONDS_TO_ANSWER)
        if not self._shared.catalog.wait_until_settled(most):
            return ["still loading; GetModelStatus tells more"]
        return [
            f"{model.name} version {status.version}: {status.error or 'not there yet'}"
            for model in settings
            for status in self._shared.catalog.statuses(model.name)
            if status.error or status.state == State.START
        ]


def read_settings(config: Any, root: Path) -> list[ModelSettings]:
    """The models of a ModelServerConfig.

    Args:
        config: with a model_config_list; base paths are absolute or below `root`, "" is ROOT/NAME.
        root: folder that no base path may leave, links followed.

    Raises:
        ValueError: for names that repeat or are empty, a platform that is none of ours, a folder outside
            `root` or without versions, a policy or label that names a version that is not there.
    """
    checks.require(
        config.WhichOneof("config") == "model_config_list",
        "config",
        expected="a model_config_list",
        received=str(config.WhichOneof("config")),
        remedy="list the models to serve",
    )
    models = [_read_model(entry, root) for entry in config.model_config_list.config]
    names = [model.name for model in models]
    checks.require(
        len(set(names)) == len(names),
        "name",
        expected="every model once",
        received=", ".join(names[:20]),
        remedy="leave the second one out",
    )
    return models


def _require_unmoved(settings: Sequence[ModelSettings], available: Sequence[LoadedVersion]) -> None:
    """A version in memory is not read again, so its name cannot be given to another folder meanwhile."""
    places = {loaded.name: loaded.folder.parent.resolve() for loaded in available}
    for model in settings:
        checks.require(
            places.get(model.name, model.base_path) == model.base_path,
            "base_path",
            expected=f"the folder that {model.name} is served from now",
            received=str(model.base_path.name),
            remedy="take another name, or leave the model out first",
        )


def _read_model(entry: Any, root: Path) -> ModelSettings:
    checks.require(
        bool(entry.name) and "/" not in entry.name and entry.model_platform in PLATFORMS,
        "name, model_platform",
        expected="a name without slashes, and the platform tensorflow",
        received=f"{shortened(entry.name)}, {shortened(entry.model_platform)}",
        remedy="correct them",
    )
    base_path = _inside(entry.base_path or entry.name, root)
    present = list(version_folders(base_path))
    checks.require(
        bool(present),
        "base_path",
        expected="a folder with version folders",
        received=shortened(entry.base_path or entry.name),
        remedy="export the model there first",
    )
    policy = _read_policy(entry.model_version_policy, present)
    served = policy.candidates(present)[: policy.number(present)]
    for label, version in entry.version_labels.items():
        _require_present(f"version_labels[{shortened(label)}]", version, served)
    return ModelSettings(entry.name, base_path, policy, dict(entry.version_labels))


def _inside(base_path: str, root: Path) -> Path:
    """The folder, links followed."""
    checks.require(
        "\0" not in base_path, "base_path", expected="a path", received=repr(base_path), remedy="correct it"
    )
    folder, top = (root / base_path).resolve(), root.resolve()
    checks.require(
        folder.is_relative_to(top),
        "base_path",
        expected="a folder below the server's --model_base_path",
        received=shortened(base_path),
        remedy="move the model there",
    )
    return folder


def _read_policy(policy: Any, present: list[int]) -> Policy:
    choice = policy.WhichOneof("policy_choice")
    if choice == "all":
        return Policy()
    if choice != "specific":
        return Policy(count=min(policy.latest.num_versions or 1, MOST_VERSIONS))
    versions = tuple(dict.fromkeys(policy.specific.versions))
    checks.require(
        bool(versions), "specific", expected="some versions", received="none", remedy="name them, or take all"
    )
    for version in versions:
        _require_present("specific", version, present)
    return Policy(versions=versions)


def _require_present(name: str, version: int, present: list[int]) -> None:
    checks.require(
        version in present,
        name,
        expected=f"one of the versions {', '.join(str(number) for number in present[:20])}",
        received=str(version),
        remedy="export it first",
    )
