"""Third-party packages, imported where they are used: a missing or broken one spoils nothing else.

`deferred` stands for a module at the top of a file and imports it when one of its names is first read;
`require_package` imports one now. Both answer a package that cannot be imported with one line that says what
to install.
"""

from __future__ import annotations

import importlib
from typing import Any

from hsr_tf.checks import InputError

# Packages that are no part of a plain installation, and the extra of setup.cfg that brings each.
EXTRAS = {
    "ai_edge_litert": "tflite",
    "ai_edge_quantizer": "tflite",
    "dask": "dask",
    "distributed": "dask",
    "grpc": "serving",
    "grpc_health": "serving",
    "panel": "web",
    "prometheus_client": "serving",
    "tensorflow_serving": "serving",
    "tensorly": "demo",
}


class MissingPackage(InputError, ImportError):
    """A package that is needed here and cannot be imported; its text is one line."""


def require_package(name: str) -> Any:
    """Import a module of another package, "scipy.ndimage" for example.

    Raises:
        MissingPackage: it is not installed, or fails when it is imported.
    """
    try:
        return importlib.import_module(name)
    except Exception as error:  # a broken package may raise anything while it is imported
        raise missing_package(name, error) from error


def missing_package(name: str, error: Exception) -> MissingPackage:
    """The error of a module that cannot be imported, and what to install."""
    package = name.partition(".")[0]
    extra = EXTRAS.get(package)
    wanted = f'"hsr_tf[{extra}]"' if extra else f"--force-reinstall {package}"
    absent = isinstance(error, ModuleNotFoundError) and error.name == package
    return MissingPackage(
        package,
        expected=f"the package {package}, which this needs",
        received="none" if absent else " ".join(f"{type(error).__name__}: {error}".split())[:200],
        remedy=f"pip install {wanted}",
    )


class _Deferred:
    """Stands for a module until one of its names is read."""

    def __init__(self, name: str) -> None:
        self._module_name = name

    def __getattr__(self, name: str) -> Any:
        value = getattr(require_package(self._module_name), name)
        setattr(self, name, value)
        return value


def deferred(name: str) -> Any:
    """The module of this name, imported when one of its attributes is first read; errors as there."""
    return _Deferred(name)
