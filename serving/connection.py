"""A connection to a server of TensorFlow Serving's protocol, with TLS, retries and one-line errors."""

from __future__ import annotations

import ipaddress
import os
import random
import threading
import time
from dataclasses import dataclass
from typing import Any

import grpc

from hsr_tf import checks
from serving import messages

MIB = 2**20
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 3.0
# What the server says, TensorFlow Serving, and gRPC itself with more calls than the server has threads for.
FULL = ("again later", "queue", "Concurrent RPC limit")
WRONG_REQUEST = (
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.OUT_OF_RANGE,
)


class NotServed(ValueError):
    """The model, its version or its signature is not served, or no longer."""


@dataclass(frozen=True)
class Settings:
    """Settings of a client.

    Attributes:
        tls_ca: PEM file of the certificates that the server's must be signed by; with it, or with a
            certificate of the client, the connection is encrypted.
        tls_certificate, tls_key: PEM files, who the client is.
        token: sent with every request; never over a plain connection to another machine.
        deadline_seconds: time limit of a request with all its retries.
        max_message_mib: largest request and answer; the server has a limit of its own.
        num_in_flight: tiles that are requested at a time.
        tile: longest side of a tile in pixels of the result; None for 512 of pictures and for the largest
            that messages hold of scenes.
    """

    tls_ca: str | os.PathLike[str] | None = None
    tls_certificate: str | os.PathLike[str] | None = None
    tls_key: str | os.PathLike[str] | None = None
    token: str | None = None
    deadline_seconds: float = 60.0
    max_message_mib: int = 64
    num_in_flight: int = 4
    tile: int | None = None

    def __post_init__(self) -> None:
        checks.require(
            self.token is None or all("!" <= letter <= "~" for letter in self.token),
            "token",
            expected="printable characters without spaces",
            received="others, such as the end of a line",
            remedy="strip what the file holds around it",
        )
        for name in ("deadline_seconds", "max_message_mib", "num_in_flight", "tile"):
            value = getattr(self, name)
            checks.require(
                value is None or value > 0,
                name,
                expected="a positive number",
                received=str(value),
                remedy="correct it",
            )
        checks.require(
            (self.tls_certificate is None) == (self.tls_key is None),
            "tls_certificate, tls_key",
            expected="both or none",
            received="one of them",
            remedy="give the other one, too",
        )

    @property
    def is_secure(self) -> bool:
        """Whether the connection is encrypted."""
        return self.tls_ca is not None or self.tls_certificate is not None


@dataclass(frozen=True)
class Method:
    """One method of the server: its path and the class of its answers."""

    path: str
    answer: Any


PREDICT = Method("/tensorflow.serving.PredictionService/Predict", messages.PredictResponse)
GET_STATUS = Method("/tensorflow.serving.ModelService/GetModelStatus", messages.GetModelStatusResponse)


class Connection:
    """Calls that are retried while the server is unavailable or busy.

    Args:
        address: HOST:PORT.
        settings: security and limits.

    Raises:
        ValueError: a token for another machine over a plain connection.
        OSError: a file that cannot be read.
    """

    def __init__(self, address: str, settings: Settings) -> None:
        checks.require(
            settings.token is None or settings.is_secure or is_this_machine(address),
            "token",
            expected="an encrypted connection to another machine",
            received=f"a plain one to {address}",
            remedy="give tls_ca, the certificates that the server's is signed by",
        )
        self.address, self._settings = address, settings
        self._closed = threading.Event()
        self._channel = _channel(address, settings)
        self._calls = {
            method.path: self._channel.unary_unary(
                method.path,
                request_serializer=lambda request: request.SerializeToString(),
                response_deserializer=method.answer.FromString,
            )
            for method in (PREDICT, GET_STATUS)
        }
        self._told = [("authorization", f"Bearer {settings.token}")] if settings.token else []

    def close(self) -> None:
        """Cancel all calls."""
        self._closed.set()
        self._channel.close()

    def call(self, method: Method, request: Any) -> Any:
        """The answer.

        Raises:
            NotServed: a model or version that is not served, with the list of those that are.
            ValueError: a request that the server refuses, or that no message holds, with its reason.
            OSError: no connection, no permission, no answer in time, a failure of the server.
        """
        end = time.monotonic() + self._settings.deadline_seconds
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                left = max(end - time.monotonic(), 0.0)
                return self._calls[method.path](request, timeout=left, metadata=self._told)
            except grpc.RpcError as error:
                waited = pause * random.uniform(0.5, 1.0)
                # Whether the same request may succeed later: the server is unavailable, or its queue is full.
                code, said = error.code(), str(error.details() or "")
                is_full = code == grpc.StatusCode.RESOURCE_EXHAUSTED and any(words in said for words in FULL)
                if not (is_full or code == grpc.StatusCode.UNAVAILABLE) or time.monotonic() + waited >= end:
                    raise self._explained(error) from error
            except ValueError as error:
                raise OSError(f"{self.address}: the connection is closed; make a new client") from error
            if self._closed.wait(waited):
                raise OSError(f"{self.address}: the connection was closed; make a new client")
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _explained(self, error: Any) -> ValueError | OSError:
        """The error in one line."""
        code, said = error.code(), " ".join(str(error.details() or "").split())[:600]
        if code == grpc.StatusCode.RESOURCE_EXHAUSTED and "larger than max" in said:
            return ValueError(
                f"max_message_mib: expected messages of at most {self._settings.max_message_mib} MiB, got "
                f"a larger one ({said}); use smaller tiles, or raise the limit here and at the server"
            )
        if code == grpc.StatusCode.NOT_FOUND:
            return NotServed(f"{self.address}: {said}")
        if code in WRONG_REQUEST:
            return ValueError(f"{self.address}: {said}")
        if code == grpc.StatusCode.DEADLINE_EXCEEDED:
            seconds = f"{self._settings.deadline_seconds:g}"
            return OSError(
                f"{self.address}: no answer in {seconds} s; raise the deadline, or use smaller tiles"
            )
        if code == grpc.StatusCode.UNAVAILABLE:
            return OSError(f"{self.address}: cannot be reached ({said}); check the address and the server")
        return OSError(f"{self.address}: {code.name.lower().replace('_', ' ')}: {said}")


def _channel(address: str, settings: Settings) -> Any:
    most = min(settings.max_message_mib * MIB, 2**31 - 1)
    options = [
        ("grpc.max_send_message_length", most),
        ("grpc.max_receive_message_length", most),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 1000),
        ("grpc.max_reconnect_backoff_ms", 3000),
    ]
    if not settings.is_secure:
        return grpc.insecure_channel(address, options)
    files = (settings.tls_ca, settings.tls_key, settings.tls_certificate)
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(*map(_content, files)), options)


def _content(path: str | os.PathLike[str] | None) -> bytes | None:
    if path is None:
        return None
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise checks.file_error(path, f"cannot be read ({error.strerror})", "check its name") from error


def is_this_machine(address: str) -> bool:
    """Whether a connection to HOST:PORT, as gRPC writes addresses, or unix:PATH stays on this machine."""
    if address.startswith("unix:"):
        return True
    host = address.removeprefix("ipv4:").removeprefix("ipv6:").removeprefix("dns:").rpartition(":")[0]
    return is_loopback(host.removeprefix("[").removesuffix("]"))


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
