"""Finished jobs offered for download under addresses that nobody can guess, until they are forgotten."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tornado.web import HTTPError, RequestHandler

if TYPE_CHECKING:
    from hsr_tf.web.jobs import Job

PREFIX = "/result"
PATTERN = rf"{PREFIX}/([A-Za-z0-9_-]{{43}})/([A-Za-z0-9._-]{{1,64}})"
CHUNK = 2**20
TYPES = {".html": "text/html; charset=utf-8", ".png": "image/png"}


class Results:
    """Files by a secret word and a name."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._words: dict[Job, str] = {}
        self._files: dict[str, dict[str, Path]] = {}

    def __contains__(self, job: Job) -> bool:
        with self._turn:
            return job in self._words

    def offer(self, job: Job, files: Mapping[str, Path]) -> str:
        """Offer the files of a job; the address of their folder."""
        with self._turn:
            word = self._words.setdefault(job, secrets.token_urlsafe(32))
            self._files[word] = dict(files)
        return f"{PREFIX}/{word}"

    def forget(self, job: Job) -> None:
        """Offer them no longer."""
        with self._turn:
            self._files.pop(self._words.pop(job, ""), None)

    def find(self, word: str, name: str) -> Path | None:
        """The file of an address, or None."""
        with self._turn:
            return self._files.get(word, {}).get(name)


class ResultHandler(RequestHandler):
    """Answers GET /result/WORD/NAME with a file that is offered, and 404 with all else."""

    def initialize(self, results: Results) -> None:
        """Tornado's constructor."""
        self._results = results

    async def get(self, word: str, name: str) -> None:
        """Send the file in pieces."""
        path = self._results.find(word, name)
        if path is None:
            raise HTTPError(404)
        self.set_header("Content-Type", TYPES.get(path.suffix, "application/octet-stream"))
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Referrer-Policy", "no-referrer")
        if path.suffix != ".html":
            self.set_header("Content-Disposition", f'attachment; filename="{name}"')
        try:
            with open(path, "rb") as file:
                while piece := file.read(CHUNK):
                    self.write(piece)
                    await self.flush()
        except FileNotFoundError:
            raise HTTPError(404) from None

    def data_received(self, chunk: bytes) -> Any:
        """No bodies are taken."""
        raise HTTPError(405)
