"""A server of this machine that sends parts of files, which the standard library's own handler does not.

It is a process of its own: GDAL waits for some of what it fetches without letting another thread run.
"""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

COUNTS, ENDLESS = "/counts", "/endless.tif"


@dataclass(frozen=True)
class Served:
    """A folder on a server.

    Attributes:
        address: of the folder, without a slash at its end.
    """

    address: str

    def counts(self) -> tuple[int, int]:
        """Return the number of requests so far, and of bytes that were sent."""
        with urllib.request.urlopen(f"{self.address}{COUNTS}", timeout=10) as answer:
            requests, sent = map(int, answer.read().split())
        return requests, sent


@contextmanager
def served(folder: Path) -> Iterator[Served]:
    """Serve the files of a folder by ranges of bytes, and one without ranges that never ends."""
    command = [sys.executable, "-I", __file__, folder]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield Served(f"http://127.0.0.1:{process.stdout.readline().strip()}")
        finally:
            process.terminate()


class Ranges(BaseHTTPRequestHandler):
    """Answers for the files of `folder` alone."""

    folder: ClassVar[Path]
    num_requests: ClassVar[int] = 0
    num_bytes: ClassVar[int] = 0

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        if self.path == COUNTS:
            self._send(200, f"{Ranges.num_requests} {Ranges.num_bytes}".encode(), {})
            return
        Ranges.num_requests += 1
        if self.path == ENDLESS:
            self.send_response(200)
            self.end_headers()
            with suppress(OSError):
                while body:
                    self.wfile.write(bytes(2**16))
            return
        path = self.folder / self.path.partition("?")[0].lstrip("/")
        if path.parent != self.folder or not path.is_file():
            self.send_error(404)
            return
        content = path.read_bytes()
        first, last = 0, len(content) - 1
        wanted = self.headers.get("Range", "").removeprefix("bytes=").partition("-")
        more = {"Accept-Ranges": "bytes"}
        if wanted[1]:
            first, last = int(wanted[0]), min(last, int(wanted[2] or last))
            more["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
        part = content[first : last + 1]
        Ranges.num_bytes += len(part) if body else 0
        self._send(206 if wanted[1] else 200, part, more, body=body)

    def _send(self, code: int, part: bytes, more: dict[str, str], *, body: bool = True) -> None:
        self.send_response(code)
        for name, value in {"Content-Length": str(len(part)), **more}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(part)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


if __name__ == "__main__":
    Ranges.folder = Path(sys.argv[1])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Ranges)
    print(server.server_port, flush=True)
    server.serve_forever()
