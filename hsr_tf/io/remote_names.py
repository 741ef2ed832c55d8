"""Names of files that are no files of this machine: addresses, and names of GDAL's virtual file systems."""

from __future__ import annotations

import os
import re
from pathlib import Path

from hsr_tf.checks import FileError, file_error

ADDRESS = re.compile(r"(https?|s3|gs|az):/+", re.IGNORECASE)
IN_ARCHIVES = ("/vsizip/", "/vsitar/", "/vsigzip/")
VIRTUAL = re.compile(r"/vsi[a-z0-9_]+[/?]")


def remote_name(path: str | os.PathLike[str]) -> str | None:
    """Return the name by which GDAL opens a file that is no file of this machine; None for any other.

    Args:
        path: as a user writes it. `pathlib` joins double slashes, which are put back.
    """
    text = os.fspath(path)
    if ADDRESS.match(text):
        return ADDRESS.sub(lambda found: f"{found[1].lower()}://", text, count=1)
    if not VIRTUAL.match(text) or os.path.exists(text):
        return None
    text = ADDRESS.sub(lambda found: f"{found[1].lower()}://", text)
    head = next((one for one in IN_ARCHIVES if text.startswith(one)), "")
    rest = text[len(head) :]
    parts = rest.split("/")
    whole = any(os.path.isfile("/" + "/".join(parts[:n])) for n in range(1, len(parts) + 1))
    return f"{head}/{rest}" if head and whole and not rest.startswith("/") else text


def known_name(path: Path) -> str:
    """Return the name by which any process finds a file: that of `remote_name`, else the absolute path."""
    return remote_name(path) or str(path.resolve())


def shown_name(path: Path) -> str:
    """Return the path as a user writes it."""
    return remote_name(path) or str(path)


def refusal(name: str) -> FileError:
    """Return the error for a remote file that the caller did not allow."""
    problem = "is on a server or in an archive, which is only opened where that is allowed"
    copy = f"hsr convert {name} local.tif --allow_remote"
    return file_error(name, problem, f"add --allow_remote, or copy it first: {copy}")
