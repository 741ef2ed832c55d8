"""Access control: TLS, client certificates and tokens.

Every call needs a token except health checks, which reveal nothing and come from programs without one.
"""

from __future__ import annotations

import hmac
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from hsr_tf import checks
from serving.connection import is_loopback as is_loopback
from serving.telemetry import Call, Telemetry

HEALTH, HEADER, SCHEME = "/grpc.health.v1.Health/", "authorization", "Bearer "
SHORTEST_TOKEN = 16


@dataclass(frozen=True)
class Security:
    """Files of the access control; PEM except for the tokens.

    Attributes:
        tls_certificate: chain of the server; without it the connection is plain.
        tls_key: of the certificate, without a password.
        tls_client_ca: clients need a certificate that one of these signed.
        token_file: one token per line; clients need one of them.
    """

    tls_certificate: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None
    token_file: Path | None = None

    def __post_init__(self) -> None:
        checks.require(
            (self.tls_certificate is None) == (self.tls_key is None)
            and (self.tls_client_ca is None or self.tls_certificate is not None),
            "tls_certificate, tls_key, tls_client_ca",
            expected="a certificate with its key, and a client CA only beside them",
            received=", ".join(str(getattr(self, name)) for name in _TLS),
            remedy="give what is missing",
        )

    @property
    def weaknesses(self) -> list[str]:
        """Warnings for a port that other machines can reach."""
        found = []
        if self.token_file is None and self.tls_client_ca is None:
            found.append(
                "everyone who can reach this machine can send requests; see --token_file and --tls_client_ca"
            )
        if self.tls_certificate is None:
            found.append("requests, answers and tokens are sent unencrypted; see --tls_certificate")
        return found


_TLS = ("tls_certificate", "tls_key", "tls_client_ca")


def server_credentials(security: Security) -> Any | None:
    """Credentials of gRPC, None for a plain connection.

    Raises:
        OSError: for a file that cannot be read, is no PEM, or a key that is not the certificate's.
    """
    if security.tls_certificate is None or security.tls_key is None:
        return None
    pair, authority = (security.tls_certificate, security.tls_key), security.tls_client_ca
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        certificate, key = (path.read_bytes() for path in pair)
        context.load_cert_chain(*pair, password="")
        trusted = None if authority is None else authority.read_bytes()
        if authority is not None:
            context.load_verify_locations(authority)
    except ssl.SSLError as error:
        which = ", ".join(str(path) for path in (*pair, authority) if path is not None)
        raise checks.file_error(
            which,
            f"no certificates with a key that fits ({error.reason})",
            "give PEM files that belong together",
        ) from error
    return grpc.ssl_server_credentials(
        [(key, certificate)], root_certificates=trusted, require_client_auth=trusted is not None
    )


def read_tokens(path: Path) -> tuple[bytes, ...]:
    """The tokens of a file, one per line.

    Raises:
        OSError: when it cannot be read.
        ValueError: when there is none, or one of fewer than `SHORTEST_TOKEN` characters.
    """
    tokens = tuple(line.strip() for line in path.read_bytes().splitlines() if line.strip())
    shortest = min((len(token) for token in tokens), default=0)
    checks.require(
        shortest >= SHORTEST_TOKEN,
        f"token_file {path}",
        expected=f"a token of {SHORTEST_TOKEN} characters or more on each line",
        received=f"one of {shortest}" if tokens else "none",
        remedy="make one, e.g. with `openssl rand -hex 32`",
    )
    return tokens


class TokenCheck(grpc.ServerInterceptor):
    """Refuses calls without a token: UNAUTHENTICATED.

    Args:
        tokens: the accepted ones.
        telemetry: counts refused calls.
    """

    def __init__(self, tokens: Sequence[bytes], telemetry: Telemetry) -> None:
        self._tokens, self._telemetry = tuple(tokens), telemetry

    def intercept_service(self, continuation: Callable[[Any], Any], handler_call_details: Any) -> Any:
        """The handler of a call, or one that refuses it."""
        if handler_call_details.method.startswith(HEALTH) or self._is_known(handler_call_details):
            return continuation(handler_call_details)
        # A stream is refused before its message: who sends none would keep a thread and a place.
        return grpc.stream_unary_rpc_method_handler(self._refuse)

    def _is_known(self, details: Any) -> bool:
        values = [value for key, value in details.invocation_metadata if key == HEADER]
        given = values[0] if len(values) == 1 and isinstance(values[0], str) else ""
        token = given[len(SCHEME) :].encode() if given.startswith(SCHEME) else b""
        # Every token is compared, so that the time reveals nothing.
        return sum(hmac.compare_digest(token, known) for known in self._tokens) > 0

    def _refuse(self, request: Any, context: Any) -> None:
        self._telemetry.answered(Call("unauthenticated"), "UNAUTHENTICATED", 0.0)
        context.abort(
            grpc.StatusCode.UNAUTHENTICATED,
            "expected the metadata authorization: Bearer TOKEN with a known token",
        )
