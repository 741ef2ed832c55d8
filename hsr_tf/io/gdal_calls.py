"""Calls of GDAL through rasterio: its options, its errors in one line.

In a command of ours (`hsr_tf.process`) nothing reaches stderr but our own lines. In another program GDAL's
library may print there, since hiding that would replace the program's hooks and its descriptor.

The options keep GDAL to the one file it is given: no file beside it is opened, no cache outgrows 128 MiB.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hsr_tf.checks import file_error
from hsr_tf.process import is_command

CACHE_MIB, CONNECT_SECONDS = 128, 10
READ_OPTIONS = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": "NO",
    "GDAL_CACHEMAX": CACHE_MIB,
    "GDAL_TIFF_INTERNAL_MASK": "YES",
    "GTIFF_IGNORE_READ_ERRORS": "NO",
    "VRT_VIRTUAL_OVERVIEWS": "NO",
    "GDAL_HTTP_CONNECTTIMEOUT": CONNECT_SECONDS,
    "GDAL_HTTP_TIMEOUT": 30,
    "GDAL_HTTP_MAX_RETRY": 2,
}
STDERR = threading.RLock()
logging.getLogger("rasterio").addHandler(logging.NullHandler())


@contextmanager
def gdal_options() -> Iterator[None]:
    """GDAL's options, for the length of one call of its.

    There is no warning about a missing grid, and no report of messages that quote a damaged file's bytes:
    rasterio cannot decode those messages of GDAL's and hands the error to both of Python's last hooks.
    """
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning

    unraisable, uncaught = sys.unraisablehook, sys.excepthook

    def quiet_unraisable(event: Any) -> None:
        if not isinstance(event.exc_value, UnicodeDecodeError):
            unraisable(event)

    def quiet_uncaught(kind: Any, error: Any, trace: Any) -> None:
        if not isinstance(error, UnicodeDecodeError):
            uncaught(kind, error, trace)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        if is_command():
            sys.unraisablehook, sys.excepthook = quiet_unraisable, quiet_uncaught
        try:
            with rasterio.Env(**READ_OPTIONS):
                yield
        finally:
            if is_command():
                sys.unraisablehook, sys.excepthook = unraisable, uncaught


@contextmanager
def one_line_errors(path: Path) -> Iterator[None]:
    """GDAL's errors while it writes as one line; what its TIFF library prints itself is kept off stderr.

    Every other line that is printed meanwhile is passed on afterwards.
    """
    from rasterio.errors import RasterioError

    try:
        if not is_command():
            yield
            return
        with STDERR, tempfile.TemporaryFile() as lines:
            sys.stderr.flush()
            kept = os.dup(2)
            os.dup2(lines.fileno(), 2)
            try:
                yield
            finally:
                os.dup2(kept, 2)
                lines.seek(0)
                others = [line for line in lines.readlines() if not line.startswith(b"_tiff")]
                os.write(kept, b"".join(others))
                os.close(kept)
    except RasterioError as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        remedy = "free some space or choose another place"
        raise file_error(path, f"cannot be written ({reason})", remedy) from error
