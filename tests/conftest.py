"""What every test shares: a quiet TensorFlow, one thread a worker, fixed seeds, the way to the real data."""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "Agg")
if "PYTEST_XDIST_WORKER" in os.environ:
    # Each worker is one process a core; more threads would only take turns. Set before TensorFlow loads.
    for _variable in (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "TF_NUM_INTRAOP_THREADS",
        "TF_NUM_INTEROP_THREADS",
    ):
        os.environ.setdefault(_variable, "1")

import gc
import random
import signal
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import numpy as np
import pytest

if TYPE_CHECKING:
    from tests.exports_for_tests import Exports

SEED = 20240607

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts background jobs with Ctrl-C ignored, which programs started by the tests would inherit.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Continuous integration repeats the same examples; at home each run looks for new ones.
hypothesis.settings.register_profile("ci", derandomize=True, deadline=None)
hypothesis.settings.register_profile("home", deadline=None)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "home")
# Nothing written here has to outlive a power cut, and some tests would wait for the disk half of their time.
os.fsync = lambda descriptor: None
REPOSITORY = Path(__file__).resolve().parents[1]

# What is imported stays: looking through it for garbage, again and again, takes seconds of every worker.
gc.disable()


def pytest_collection_finish() -> None:
    """From here on garbage is collected, but not looked for among the modules."""
    gc.collect()
    gc.freeze()
    gc.enable()


@cache
def keep_graphs_as_traced() -> None:
    """TensorFlow runs graphs as they were traced: rewriting them first takes a third of some tests.

    `make test-all`, and every test of a process of its own, rewrites them as it does for users.
    """
    sys.modules["tensorflow"].config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


@pytest.fixture(autouse=True)
def quick_graphs(request: pytest.FixtureRequest) -> None:
    """Where the slow tests are left out, graphs are not rewritten."""
    if "tensorflow" in sys.modules and request.config.getoption("markexpr", "") == "not slow":
        keep_graphs_as_traced()


@pytest.fixture
def untraced() -> Iterator[None]:
    """Compiled functions of TensorFlow run line by line: tracing takes longer than a few steps."""
    from tests.tracing_for_tests import without_tracing

    with without_tracing():
        yield


@pytest.fixture(autouse=True)
def fixed_seeds() -> None:
    """Every test starts from the same random state, whatever ran before it; Keras too, once it is loaded.

    Not TensorFlow's own seed: setting it makes every compiled function be optimised again, a third of the
    time of some tests, and its stateful generators are used nowhere (tests/test_architecture.py).
    """
    random.seed(SEED)
    np.random.seed(SEED)
    if {"keras", "tensorflow"} <= sys.modules.keys():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys.modules["tensorflow"].random, "set_seed", lambda seed: None)
            sys.modules["keras"].utils.set_random_seed(SEED)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real scenes, `$HSR_DATA` or `../shared/data` beside the checkout; skips without one."""
    folder = Path(os.environ.get("HSR_DATA") or REPOSITORY.parent / "shared" / "data")
    if not (folder / "hsi").is_dir():
        pytest.skip(f"no real scenes at {folder}: set HSR_DATA to their folder")
    return folder


@pytest.fixture(scope="session")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Exports:
    """Small networks and their exports, made once for all workers."""
    from tests.exports_for_tests import Exports

    own = tmp_path_factory.getbasetemp()
    return Exports((own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "exports")


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return REPOSITORY
