"""Why a request is not answered: a gRPC status code and one line for the client."""

from __future__ import annotations

import grpc

MOST_CHARACTERS = 2000


class Refusal(Exception):
    """The error that a client gets instead of an answer.

    Args:
        code: of gRPC.
        message: one line, without anything internal; cut at `MOST_CHARACTERS`, as it travels in a header.
    """

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(" ".join(message.split())[:MOST_CHARACTERS])
        self.code = code


def shortened(text: str, most: int = 100) -> str:
    """Text of a client, quoted and shortened, for a message or a log line."""
    return repr(text if len(text) <= most else text[:most] + "...")
