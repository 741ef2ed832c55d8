"""The models that are served: a thread scans their folders, loads new versions and removes old ones.

A version is loaded once its folder holds a graph and did not change between two scans. Requests go to it as
soon as it is loaded; the version that it replaces is removed when the requests that use it are done. A
version that cannot be loaded leaves the old one in place, and is tried again when its content changes. A
loaded version is never read again: a changed model is a new version.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import grpc

from serving.folders import (
    Listing,
    ModelSettings,
    listing,
    model_folders,
    passed_over,
    version_folders,
)
from serving.loaded import GRAPH_FILE, LoadedVersion, first_line
from serving.refusal import Refusal, shortened
from serving.telemetry import Telemetry

LOGGER = logging.getLogger("serving")
LOOKS_UNTIL_SETTLED, SECONDS_UNTIL_SETTLED = 2, 0.5
Loader = Callable[[str, int, Path], LoadedVersion]


class State(IntEnum):
    """Of a version, with the numbers of ModelVersionStatus.State."""

    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


@dataclass
class Record:
    """State of one version.

    Attributes:
        state: of its life cycle.
        loaded: set while it is in memory.
        error: why it could not be loaded; "" otherwise.
        seen: content of its folder at the last scan.
        failed: content that could not be loaded.
    """

    state: State = State.START
    loaded: LoadedVersion | None = None
    error: str = ""
    seen: Listing | None = None
    failed: Listing | None = None


@dataclass(frozen=True)
class VersionStatus:
    """The status of a version, for clients."""

    version: int
    state: State
    error: str


class Catalog:
    """Models and their versions, kept up to date by a thread.

    Args:
        root: every folder in it is a model, until `configure` says otherwise.
        load: loads a version.
        poll_seconds: between two scans.
        telemetry: counts loads.
    """

    def __init__(self, root: Path, load: Loader, *, poll_seconds: float, telemetry: Telemetry) -> None:
        self.root = root
        self._load, self._poll_seconds, self._telemetry = load, poll_seconds, telemetry
        self._configured: tuple[ModelSettings, ...] | None = None
        self._records: dict[str, dict[int, Record]] = {}
        self._labels: dict[str, Mapping[str, int]] = {}
        self._answered: dict[tuple[str, str], int] = {}  # (model, label) before the last `configure`
        self._changed = threading.Condition()
        self._looking = threading.Lock()
        self._wake, self._is_stopped = threading.Event(), False
        self._num_looks = self._generation = 0
        self._has_looked = False
        self._named: set[Path] = set()  # folders that the log has named as passed over
        self._thread = threading.Thread(target=self._look_again_and_again, name="catalog", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread after its current load, and wait a moment for it."""
        self._is_stopped = True
        self._wake.set()
        self._thread.join(timeout=1.0)

    def configure(self, settings: Sequence[ModelSettings]) -> None:
        """Serve these models from now on, and no others."""
        with self._changed:
            self._configured = tuple(settings)
            # Remember the versions of the labels before they change.
            for name, labels in self._labels.items():
                available = {loaded.version for loaded in self._available(name)}
                for label in labels:
                    self._answered[name, label] = self._labelled(name, label, available)
            self._labels = {model.name: model.labels for model in settings}
            self._generation += 1
            self._num_looks = 0
            self._know(settings)
        self._wake.set()

    def wait_until_settled(self, timeout: float) -> bool:
        """Whether everything that is ready to load has been tried within `timeout` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: self._num_looks >= LOOKS_UNTIL_SETTLED, timeout)

    @contextmanager
    def lease(self, name: str, version: int | None = None, label: str = "") -> Iterator[LoadedVersion]:
        """A loaded version, by default the newest, which stays in memory meanwhile.

        Raises:
            Refusal: UNAVAILABLE while it is still loading; NOT_FOUND otherwise, with the list of what is
                served.
        """
        with self._changed:
            loaded = self._find(name, version, label)
            loaded.users.add(1)
        try:
            yield loaded
        finally:
            loaded.users.add(-1)

    def _find(self, name: str, version: int | None, label: str) -> LoadedVersion:
        available = {loaded.version: loaded for loaded in self._available(name)}
        if not available:
            self._require_no_load(name, self._records.get(name, {}))
            answering = sorted(other for other in self._records if self._available(other))
            _require_found(False, f"model {shortened(name)}", answering)
        if label:
            labels = self._labels.get(name, {})
            _require_found(label in labels, f"label {shortened(label)} of {name}", sorted(labels))
            version = self._labelled(name, label, available)
        wanted = max(available) if version is None else version
        if wanted not in available and wanted in self._records[name]:
            self._require_no_load(name, {wanted: self._records[name][wanted]})
        _require_found(wanted in available, f"version {wanted} of {name}", sorted(available))
        return available[wanted]

    def _labelled(self, name: str, label: str, available: Collection[int]) -> int:
        """The version of a label; its previous version while the new one is not loaded yet."""
        wanted = self._labels[name][label]
        before = self._answered.get((name, label), wanted)
        return before if wanted not in available and before in available else wanted

    def _require_no_load(self, name: str, records: Mapping[int, Record]) -> None:
        """Refuse what is still loading with UNAVAILABLE, so that clients retry."""
        states = {record.state for record in records.values()}
        is_awaited = name in self._records and not records and self._num_looks < LOOKS_UNTIL_SETTLED
        if not self._has_looked or is_awaited or states & {State.START, State.LOADING}:
            said = f"model {shortened(name)} is still loading; ask again later"
            raise Refusal(grpc.StatusCode.UNAVAILABLE, said)

    def _available(self, name: str) -> list[LoadedVersion]:
        records = self._records.get(name, {}).values()
        available = (record.loaded for record in records if record.state == State.AVAILABLE)
        return [loaded for loaded in available if loaded is not None]

    def available(self) -> list[LoadedVersion]:
        """All loaded versions."""
        with self._changed:
            return [loaded for name in sorted(self._records) for loaded in self._available(name)]

    def statuses(self, name: str) -> list[VersionStatus]:
        """Every version of a model that was ever tried, the largest first; Refusal as `lease`."""
        with self._changed:
            if not self._records.get(name):
                self._require_no_load(name, {})
            _require_found(name in self._records, f"model {shortened(name)}", sorted(self._records))
            records = sorted(self._records[name].items(), reverse=True)
            return [VersionStatus(version, record.state, record.error) for version, record in records]

    def _look_again_and_again(self) -> None:
        while not self._is_stopped:
            self._wake.clear()
            try:
                self.look()
            except Exception:
                LOGGER.exception("could not scan the models; trying again")
            is_settled = self._num_looks >= LOOKS_UNTIL_SETTLED
            soon = min(self._poll_seconds, SECONDS_UNTIL_SETTLED)
            self._wake.wait(self._poll_seconds if is_settled else soon)

    def look(self) -> None:
        """Scan every model once; load and remove versions."""
        with self._looking:
            with self._changed:
                generation, configured = self._generation, self._configured
            models = self._discovered() if configured is None else configured
            if models is not None:
                self._know(models)
            for model in models or ():
                self._tend(model)
            if models is not None:
                self._let_go_others({model.name for model in models})
            self._end_unused()
            with self._changed:
                self._num_looks += generation == self._generation
                self._changed.notify_all()

    def _know(self, models: Sequence[ModelSettings]) -> None:
        """Remember the names of all models before the first of them is loaded."""
        with self._changed:
            for model in models:
                self._records.setdefault(model.name, {})
            self._has_looked = True

    def _discovered(self) -> tuple[ModelSettings, ...] | None:
        """The models of the root; None when it cannot be read, which changes nothing."""
        try:
            return tuple(ModelSettings(name, path) for name, path in model_folders(self.root).items())
        except OSError as error:
            LOGGER.warning("%s: %s; what is loaded stays", self.root, error)
            return None

    def _tend(self, model: ModelSettings) -> None:
        try:
            folders = version_folders(model.base_path)
            # Say once per folder that it is not served, and why.
            problem = "passed over: expected a version, a whole number above 0 that no other folder has"
            reasons = dict.fromkeys(passed_over(model.base_path), f"{problem}; rename it, or move it away")
            if folders:
                self._named.discard(model.base_path)
            elif model.base_path.is_dir() and not reasons:
                reasons[model.base_path] = "holds no version; export one into it, e.g. as 1"
            for folder, reason in reasons.items():
                if folder not in self._named:
                    self._named.add(folder)
                    LOGGER.warning("%s: %s", folder, reason)
        except OSError as error:
            LOGGER.warning("%s: %s; what is loaded stays", model.base_path, error)
            return
        tried = self._try(model, folders)
        serving = [version for version, answers in tried.items() if answers]
        is_complete = len(serving) == model.policy.number(list(folders))
        for version, record in self._records[model.name].items():
            is_replaced = is_complete and version not in serving
            if record.state == State.AVAILABLE and (is_replaced or version not in folders):
                self._let_go(record)
            if version not in folders:
                record.seen = record.failed = None
        self._forget(model.name, present=set(folders), tried=set(tried))

    def _try(self, model: ModelSettings, folders: Mapping[int, Path]) -> dict[int, bool]:
        """Version -> whether it answers, in the order of the policy, until as many do as it wants."""
        tried: dict[int, bool] = {}
        for version in model.policy.candidates(list(folders)):
            if sum(tried.values()) < model.policy.number(list(folders)):
                tried[version] = self._answers(model.name, version, folders[version])
        return tried

    def _answers(self, name: str, version: int, folder: Path) -> bool:
        """Whether a version is loaded, if necessary after loading it now."""
        record = self._records[name].get(version, Record())
        if record.state in (State.AVAILABLE, State.UNLOADING):
            return record.state == State.AVAILABLE
        with self._changed:
            self._records[name][version] = record
        try:
            content, is_whole = listing(folder), (folder / GRAPH_FILE).is_file()
        except OSError:
            return False
        is_stable, record.seen = content == record.seen, content
        if is_stable and not is_whole and folder not in self._named:
            self._named.add(folder)
            LOGGER.warning("%s: passed over until it holds %s", folder, GRAPH_FILE)
        if not is_stable or content == record.failed or not is_whole:
            return False
        what = (name, version, folder)
        self._set(record, State.LOADING)
        try:
            loaded = self._load(*what)
        except Exception as error:
            record.failed = record.seen
            said = f"{type(error).__name__}: {first_line(str(error))}"
            self._set(record, State.END, error=said)
            self._telemetry.load_failed(what[0])
            LOGGER.error("cannot load %s version %d: %s", what[0], what[1], said)
            return False
        record.failed = None
        self._set(record, State.AVAILABLE, loaded=loaded)
        self._telemetry.set_loaded(what[0], len(self._available(what[0])))
        return True

    def _set(
        self, record: Record, state: State, *, loaded: LoadedVersion | None = None, error: str = ""
    ) -> None:
        with self._changed:
            record.state, record.loaded, record.error = state, loaded, error

    def _let_go(self, record: Record) -> None:
        """Send no new requests to it from now on."""
        with self._changed:
            record.state = State.UNLOADING

    def _let_go_others(self, names: set[str]) -> None:
        for name in set(self._records) - names:
            for record in self._records[name].values():
                if record.state == State.AVAILABLE:
                    self._let_go(record)
            self._forget(name, present=set(), tried=set())

    def _forget(self, name: str, *, present: set[int], tried: set[int]) -> None:
        """Drop failures whose folder is gone, and versions that are no longer wanted."""
        with self._changed:
            records = self._records[name]
            for version, record in list(records.items()):
                is_gone = bool(record.error) and version not in present
                if is_gone or (record.state == State.START and version not in tried):
                    del records[version]

    def _end_unused(self) -> None:
        for name, records in list(self._records.items()):
            for version, record in records.items():
                if record.state == State.UNLOADING and record.loaded and record.loaded.users.number == 0:
                    self._set(record, State.END)
                    LOGGER.info("unloaded %s version %d", name, version)
            self._telemetry.set_loaded(name, len(self._available(name)))


def _require_found(ok: bool, what: str, known: Sequence[object]) -> None:
    if not ok:
        there = ", ".join(str(one) for one in known) or "none"
        raise Refusal(grpc.StatusCode.NOT_FOUND, f"no {what} is served; there is: {there}")
