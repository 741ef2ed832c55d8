"""Without the right certificate or token nobody is answered; files that are of no use end the start."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from threading import Event

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from serving.security import Security, is_loopback, read_tokens, server_credentials
from serving.server import ModelServer, ServerPlan
from tests.serving.serving_for_tests import Client, ask, code_of, put_model, sample, serving

Code = grpc.StatusCode
TOKENS = ("first-token-0123456789", "second-token-0123456789")


@dataclass(frozen=True)
class Identity:
    """A certificate and its key, as PEM."""

    certificate: bytes
    key: bytes

    def write(self, folder: Path, name: str) -> tuple[Path, Path]:
        paths = folder / f"{name}.pem", folder / f"{name}.key"
        paths[0].write_bytes(self.certificate)
        paths[1].write_bytes(self.key)
        return paths


@lru_cache
def identity(name: str) -> Identity:
    """A certificate that signs itself, for this machine."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1")), x509.DNSName("localhost")])
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    encoded = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Identity(certificate.public_bytes(serialization.Encoding.PEM), encoded)


@contextmanager
def secure_client(port: int, trusted: bytes, own: Identity | None = None) -> Iterator[Client]:
    pair = (own.key, own.certificate) if own else (None, None)
    credentials = grpc.ssl_channel_credentials(trusted, *pair)
    with grpc.secure_channel(f"127.0.0.1:{port}", credentials) as channel:
        yield Client(channel)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "models"
    put_model(root, 1)
    return root


def test_clients_need_a_certificate_that_the_authority_signed(root: Path, tmp_path: Path) -> None:
    server_pem, client_pem = identity("server"), identity("client")
    certificate, key = server_pem.write(tmp_path, "server")
    authority, _ = client_pem.write(tmp_path, "client")
    with serving(root, security=Security(certificate, key, authority)) as (server, plain):
        with secure_client(server.port, server_pem.certificate, client_pem) as client:
            assert client.predict(ask(x=sample(0)))["version"] == 1
        for trusted, own in (
            (server_pem.certificate, None),
            (server_pem.certificate, identity("stranger")),
            (identity("stranger").certificate, client_pem),
        ):
            with secure_client(server.port, trusted, own) as client:
                assert code_of(lambda asked=client: asked.predict(ask(x=sample(0)))) == Code.UNAVAILABLE
        assert code_of(lambda: plain.predict(ask(x=sample(0)))) == Code.UNAVAILABLE


def test_clients_need_a_token_except_for_health(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"{TOKENS[0]}\n\n{TOKENS[1]}\n")
    with serving(root, security=Security(token_file=file)) as (server, client):
        assert client.is_healthy()
        for token in TOKENS:
            client.metadata = (("authorization", f"Bearer {token}"),)
            assert client.predict(ask(x=sample(0)))["version"] == 1 and 1 in client.states()
        for given in ("", f"Bearer {TOKENS[0][:-1]}", f"Bearer {TOKENS[0]}x", TOKENS[0], "Bearer "):
            client.metadata = (("authorization", given),) if given else ()
            assert code_of(lambda: client.predict(ask(x=sample(0)))) == Code.UNAUTHENTICATED
            assert code_of(client.states) == Code.UNAUTHENTICATED
        with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            predict = channel.stream_unary("/tensorflow.serving.PredictionService/Predict")
            held = Event()  # the headers are sent, and never a message
            with pytest.raises(grpc.RpcError) as refused:
                predict(iter(held.wait, True), timeout=20)
            held.set()
            assert refused.value.code() == Code.UNAUTHENTICATED
        client.metadata = (("authorization", f"Bearer {TOKENS[0]}"),) * 2
        assert code_of(lambda: client.predict(ask(x=sample(0)))) == Code.UNAUTHENTICATED
        labels = {"model": "-", "method": "unauthenticated", "signature": "-", "code": "UNAUTHENTICATED"}
        assert server.telemetry.registry.get_sample_value("hsr_requests_total", labels) == 12


def test_files_of_no_use_are_named(tmp_path: Path) -> None:
    certificate, key = identity("server").write(tmp_path, "server")
    _, other = identity("client").write(tmp_path, "client")
    with pytest.raises(OSError, match="no certificates with a key that fits"):
        server_credentials(Security(certificate, other))
    with pytest.raises(OSError, match="no certificates"):
        server_credentials(Security(key, key))
    with pytest.raises(OSError, match="absent"):
        server_credentials(Security(certificate, tmp_path / "absent"))
    with pytest.raises(OSError, match="no certificates"):
        server_credentials(Security(certificate, key, key))
    for wrong in ({"tls_certificate": certificate}, {"tls_key": key}, {"tls_client_ca": certificate}):
        with pytest.raises(ValueError, match="a certificate with its key"):
            Security(**wrong)
    for text, said in (("", "none"), ("short\n", "one of 5")):
        (tmp_path / "tokens").write_text(text)
        with pytest.raises(ValueError, match=said):
            read_tokens(tmp_path / "tokens")


def test_a_start_that_cannot_be_says_why(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="absent: is no folder"):
        ServerPlan(tmp_path / "absent")
    with serving(tmp_path) as (server, _), pytest.raises(OSError, match="cannot be listened at"):
        ModelServer(ServerPlan(tmp_path, port=server.port)).start()


def test_only_this_machine_reaches_loopback() -> None:
    assert [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost")] == [True] * 3
    assert not any(is_loopback(host) for host in ("0.0.0.0", "::", "192.168.1.1", "example.org"))


def test_weaknesses_are_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    open_to_all, in_the_clear = Security().weaknesses
    assert "everyone" in open_to_all and "unencrypted" in in_the_clear
    assert Security(token_file=file).weaknesses == [in_the_clear]
    assert Security(file, file).weaknesses == [open_to_all]
    assert Security(file, file, token_file=file).weaknesses == Security(file, file, file).weaknesses == []
