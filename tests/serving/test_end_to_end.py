"""The client and the server together: what comes over the wire is what the models compute here."""

from __future__ import annotations

import io
import shutil
import struct
import zlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import ovmsclient
import pytest
from PIL import Image

from export.saved_model import TrainedModel
from hsr_tf import methods
from hsr_tf.files import replacing_folder
from hsr_tf.pictures.api import TileControls, upscale
from serving import messages
from serving.client import Client
from serving.connection import PREDICT, Connection, Settings
from serving.security import Security
from serving.server import ModelServer, ServerPlan
from tests.exports_for_tests import Exports
from tests.networks.test_conformance import cameras, observe, stirred
from tests.networks.test_image_conformance import inputs_of
from tests.serving.serving_for_tests import PATIENCE, doubled, eventually, put_model, sample, serving
from tests.serving.test_security import identity
from tests.serving.test_server import running

SIZES = ((5, 8), (7, 4), (13, 11))
# On the wire models differ by their inputs alone: one image, an image and its kernel, two images. That every
# exported network answers as Keras does is in tests/export/test_saved_model.py.
QUICK = {"vdsr", "srmdnf", "ms_ssfnet"}
NUM_BEFORE_THE_KILL = 5
TOKEN = "a-token-of-tests-0123456789"
Arrays = Mapping[str, np.ndarray]


@dataclass(eq=False)
class Shelf:
    """One server for all tests, and the models that it has been given."""

    root: Path
    exports: Exports
    server: ModelServer
    given: dict[str, TrainedModel] = field(default_factory=dict)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server.port}"

    def put(self, method: str, base: str = "none", *, name: str = "") -> TrainedModel:
        """Give it an exported model, unless it is there, and wait until it answers."""
        name = name or method
        if name not in self.given:
            one = self.exports.get(method, base)
            (self.root / name).mkdir()
            with replacing_folder(self.root / name / "1") as draft:
                shutil.copytree(one.folder, draft, dirs_exist_ok=True)
            eventually(lambda: name in {loaded.name for loaded in self.server.catalog.available()})
            self.given[name] = one.trained
        return self.given[name]

    def answers(self, name: str, inputs: Arrays) -> Iterator[Arrays]:
        """Of both clients."""
        with Client(self.address, model=name) as client:
            yield client.predict(inputs)
        found = ovmsclient.make_grpc_client(self.address).predict(dict(inputs), name)
        yield found if isinstance(found, dict) else {"estimate": found}


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory, exports: Exports) -> Iterator[Shelf]:
    root = tmp_path_factory.mktemp("models")
    server = ModelServer(ServerPlan(root, port=0, poll_seconds=0.2)).start()
    yield Shelf(root, exports, server)
    server.stop(0.0)


def marked(names: list[str]) -> list[Any]:
    """Names of networks, all but one of a kind marked as slow."""
    return [pytest.param(name, marks=[pytest.mark.slow] * (name not in QUICK)) for name in names]


def arrays(tensors: Mapping[str, Any]) -> dict[str, np.ndarray]:
    return {name: np.asarray(tensor) for name, tensor in tensors.items()}


def agree(found: Arrays, expected: Arrays) -> None:
    assert set(found) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("method", marked(methods.names("image_network")))
def test_every_network_of_single_images_answers_as_keras_does(method: str, shelf: Shelf) -> None:
    network = shelf.put(method).model
    for size in SIZES:
        views = inputs_of(network, size, batch=size[0] % 3 + 1)
        expected = arrays(network(views, training=False))
        for found in shelf.answers(method, arrays(views)):
            agree(found, expected)


@pytest.mark.parametrize("method", marked(methods.names("network")))
def test_every_fusion_network_answers_as_keras_does(method: str, shelf: Shelf) -> None:
    model = stirred(method, "none")
    shelf.put(method)
    for size in SIZES:
        views = observe(cameras(4), size, batch=size[0] % 3 + 1)
        for found in shelf.answers(method, arrays(views)):
            agree(found, {"estimate": np.asarray(model(views))})


def test_a_picture_in_tiles_is_what_upscale_makes_of_it(shelf: Shelf) -> None:
    folder = shelf.put("vdsr").card.folder
    image = np.random.default_rng(3).random((40, 31, 3)).astype(np.float32)
    expected = upscale(image, 2.5, weights=folder, controls=TileControls(tile=512)).image
    with Client(shelf.address, model="vdsr", settings=Settings(tile=41)) as client:
        np.testing.assert_allclose(client.upscale(image, 2.5).image, expected, atol=1e-4)


def test_a_scene_in_tiles_is_what_the_model_makes_of_it(shelf: Shelf) -> None:
    model = stirred("ssf_resnet", "spectral_ls")
    shelf.put("ssf_resnet", "spectral_ls", name="fitted")
    views = observe(cameras(4), (26, 22), batch=1)
    images = [np.asarray(views[name])[0] for name in ("lr_hsi", "hr_msi")]
    with Client(shelf.address, model="fitted", settings=Settings(tile=32)) as client:
        np.testing.assert_allclose(client.fuse(*images), np.asarray(model(views))[0], atol=1e-4)


# In parts: test_client.py asks a server that is away again, test_server.py ends a program.
@pytest.mark.slow
def test_the_client_goes_on_when_the_server_is_killed_and_comes_back(
    shelf: Shelf, tmp_path: Path, repository: Path
) -> None:
    folder = shelf.put("vdsr").card.folder
    shutil.copytree(shelf.root / "vdsr", tmp_path / "vdsr")
    image = np.random.default_rng(4).random((100, 100, 3)).astype(np.float32)
    settings = Settings(tile=10, deadline_seconds=200.0)
    with running(tmp_path, repository) as killed, ThreadPoolExecutor(1) as pool:
        client = Client(f"127.0.0.1:{killed.port}", model="vdsr", settings=settings)
        asked = pool.submit(client.upscale, image, 2)
        eventually(lambda: killed.metric("hsr_request_seconds_count") > NUM_BEFORE_THE_KILL)
        killed.process.kill()
        killed.process.wait()
        assert not asked.done()
        again = ModelServer(ServerPlan(tmp_path, port=killed.port)).start()
        found = asked.result(PATIENCE * 3).image
        client.close()
        again.stop(0.0)
    np.testing.assert_allclose(found, upscale(image, 2, weights=folder).image, atol=1e-4)


def test_tls_certificates_of_both_and_a_token_let_the_client_in(tmp_path: Path) -> None:
    root = tmp_path / "models"
    put_model(root, 1)
    certificate, key = identity("server").write(tmp_path, "server")
    own, own_key = identity("client").write(tmp_path, "client")
    tokens = tmp_path / "tokens"
    tokens.write_text(f"{TOKEN}\n")
    known: dict[str, Any] = {"tls_ca": certificate, "tls_certificate": own, "tls_key": own_key}
    with serving(root, security=Security(certificate, key, own, tokens)) as (server, _):
        address = f"localhost:{server.port}"
        with Client(address, model="toy", settings=Settings(**known, token=TOKEN)) as client:
            np.testing.assert_allclose(client.predict({"x": sample(0)})["y"], doubled(sample(0)), rtol=1e-6)
            assert [one.state for one in client.status()] == ["AVAILABLE"]
        for settings, said in (
            (Settings(**known), "unauthenticated"),
            (Settings(**known, token=f"{TOKEN}x"), "unauthenticated"),
            (Settings(tls_ca=certificate, token=TOKEN, deadline_seconds=0.5), "reached|no answer"),
        ):
            client = Client(address, model="toy", settings=settings)
            with client, pytest.raises(OSError, match=said):
                client.predict({"x": sample(0)})


def png_of_zeros(side: int) -> bytes:
    """A whole PNG, black and white: a few kB that unpack to side**2 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes(side * (1 + side // 8)), 9)
    pieces = chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + pieces


def test_what_would_fill_the_memory_is_refused_and_the_next_is_answered(shelf: Shelf) -> None:
    shelf.put("vdsr")
    claim = messages.PredictRequest(model_spec=messages.ModelSpec(name="vdsr"))
    claim.inputs["lr_image"].dtype = messages.DATA_TYPES["DT_FLOAT"]
    claim.inputs["lr_image"].float_val.append(0.5)
    for length in (1, 2**14, 2**14, 1):
        claim.inputs["lr_image"].tensor_shape.dim.add(size=length)
    connection = Connection(shelf.address, Settings())
    with pytest.raises(ValueError, match=r"product is 67108864 or less, got \(1, 16384, 16384, 1\)"):
        connection.call(PREDICT, claim)
    connection.close()
    bomb, scale = png_of_zeros(16384), np.float64(2)
    assert len(bomb) < 50_000
    with Client(shelf.address, model="vdsr") as client:
        with pytest.raises(ValueError, match="4194304 pixels or less"):
            client.predict({"image_bytes": bomb, "scale": scale}, signature_name="picture")
        small = {"image_bytes": png_of_zeros(16), "scale": scale}
        answer = client.predict(small, signature_name="picture")["image_bytes"].item()
    assert Image.open(io.BytesIO(answer)).size == (32, 32)
