"""Send requests: `python -m serving.client --address=127.0.0.1:8500 --model=vdsr --input=photo.png ...`.

    --input=photo.png --scale=2.5 --output=big.png        enlarge a picture
    --lr_hsi=x.h5 --hr_msi=y.h5 --output=cube.h5          fuse a scene

The server is `serving.server`, or TensorFlow Serving with models of `export.saved_model`. Neither TensorFlow
nor Keras is loaded. Pictures are sent in tiles by `hsr_tf.pictures.tiles` and scenes by `serving.scenes`,
several tiles in flight; results equal those of `hsr_tf.upscale` and of the model itself.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from absl import flags

from hsr_tf import checks
from hsr_tf.arrays.cubic import enlarged_length
from hsr_tf.console.flag_apps import run_app
from hsr_tf.files import require_output
from hsr_tf.networks.model_info import DEFAULT, FUSION, METADATA, SINGLE_IMAGE, WHAT_MODELS_DO, ModelInfo
from hsr_tf.pictures.tiles import Enlarged, PictureModel, TileControls, enlarge, require_scale
from hsr_tf.tiling.progress import tile_bar
from hsr_tf.wording import size_words
from serving import messages
from serving.connection import GET_STATUS, MIB, PREDICT, Connection, NotServed, Settings
from serving.scenes import FusionServer, Limits, SceneTiles
from serving.tensors import to_array, to_tensor_proto

FLAGS = flags.FLAGS
PICTURE_TILE = 512
MOST_BEGINNINGS = 3
Result = TypeVar("Result")


@dataclass(frozen=True)
class VersionStatus:
    """One version of a model at the server.

    Attributes:
        version: its number.
        state: AVAILABLE, LOADING, ... as TensorFlow Serving calls it.
        error: why it is not available, empty where it is.
    """

    version: int
    state: str
    error: str


@dataclass(frozen=True)
class _Pinned:
    """One version of the model, its number and its metadata."""

    client: Client
    info: ModelInfo
    version: int | None

    def predict(self, inputs: Mapping[str, Any], signature_name: str) -> dict[str, np.ndarray]:
        """The outputs of a signature by name."""
        return self.client._ask(inputs, signature_name, self.version)[0]


class Client:
    """A client of one model; close it, or use it in a `with` statement.

    One version of the model computes all of a picture or scene. Where no version is named and the server
    removes that version meanwhile, the work starts again with the newest.

    Args:
        address: HOST:PORT.
        model: its name at the server.
        version: of the model; None for the newest.
        settings: security, limits, tiles.

    Raises:
        ValueError: a token for another machine over a plain connection.
        OSError: a certificate file that cannot be read.
    """

    def __init__(
        self, address: str, *, model: str, version: int | None = None, settings: Settings | None = None
    ) -> None:
        self.model, self.version, self.settings = model, version, settings or Settings()
        self._connection = Connection(address, self.settings)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection and cancel all calls."""
        self._connection.close()

    def predict(self, inputs: Mapping[str, Any], *, signature_name: str = DEFAULT) -> dict[str, np.ndarray]:
        """Run a signature and return its outputs by name.

        Args:
            inputs: arrays, numbers, bytes or text by name.
            signature_name: of the model.

        Raises:
            ValueError: a request that the server refuses, with its reason; an input that is no tensor; a
                damaged answer.
            OSError: no connection, no permission, no answer in time, a failure of the server.
        """
        return self._ask(inputs, signature_name, self.version)[0]

    def metadata(self) -> dict[str, Any]:
        """The metadata as JSON data: kind, method, scale, signatures, record, ...; errors as `info`."""
        return self.info().to_json()

    def info(self) -> ModelInfo:
        """The model's metadata.

        Errors as `predict`; ValueError also for a model that was exported by something else.
        """
        return _read(self.predict({}, signature_name=METADATA))

    def status(self) -> list[VersionStatus]:
        """Every version of the model; errors as `predict`."""
        request = messages.GetModelStatusRequest(model_spec=self._spec("", self.version))
        answer = self._connection.call(GET_STATUS, request)
        return [
            VersionStatus(one.version, messages.STATES.get(one.state, "UNKNOWN"), one.status.error_message)
            for one in answer.model_version_status
        ]

    def upscale(self, image: np.ndarray, scale: float) -> Enlarged:
        """Enlarge a picture, as `hsr_tf.upscale` does; see there for the arguments and errors.

        Raises:
            ValueError: also for a model that fuses or needs a kernel, and for wrong answers.
            OSError: also for trouble with the connection.
        """
        return self._with_one_version(SINGLE_IMAGE, lambda pinned: self._upscale(image, scale, pinned))

    def fuse(self, lr_hsi: np.ndarray, hr_msi: np.ndarray) -> np.ndarray:
        """The estimate (s h, s w, C) float32 of lr_hsi (h, w, C) and hr_msi (s h, s w, c), not clipped.

        Raises:
            ValueError: a model that enlarges pictures, images that do not fit it, a scene that is too large
                for a message and cannot be cut, a wrong answer.
            OSError: trouble with the connection, too little memory.
        """
        images = np.asarray(lr_hsi), np.asarray(hr_msi)
        return self._with_one_version(FUSION, lambda pinned: self._fuse(*images, pinned))

    def _upscale(self, image: np.ndarray, scale: float, pinned: _Pinned) -> Enlarged:
        info = pinned.info
        checks.require(
            info.inputs == ("lr_image",),
            "model",
            expected="one that needs nothing but the picture",
            received=f"{self.model}, which takes {', '.join(info.inputs)}",
            remedy="call its signatures with predict",
        )

        def run(lr_image: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
            outputs = pinned.predict({"lr_image": lr_image}, DEFAULT)
            checks.require(
                "estimate" in outputs,
                "estimate",
                expected="an answer",
                received="none",
                remedy="export the model again",
            )
            return outputs["estimate"], outputs["kernel"][0] if "kernel" in outputs else None

        model = PictureModel(info.scale, info.num_channels, info.reach, run)
        with tile_bar() as progress:
            controls = TileControls(
                tile=self.settings.tile or PICTURE_TILE,
                progress=progress,
                num_parallel=self.settings.num_in_flight,
            )
            return enlarge(image, scale, model=model, controls=controls)

    def _fuse(self, lr_hsi: np.ndarray, hr_msi: np.ndarray, pinned: _Pinned) -> np.ndarray:
        limits = Limits(self.settings.max_message_mib * MIB, self.settings.tile, self.settings.num_in_flight)
        tiles = SceneTiles(FusionServer.of(pinned.info), pinned.predict, limits)
        with tile_bar() as progress:
            return tiles.fuse(lr_hsi, hr_msi, progress)

    def _with_one_version(self, kind: str, work: Callable[[_Pinned], Result]) -> Result:
        """Do all of the work with one version; start again where the server removes it."""
        for num_left in reversed(range(MOST_BEGINNINGS)):
            outputs, version = self._ask({}, METADATA, self.version)
            info = _read(outputs)
            checks.require(
                info.kind == kind,
                "model",
                expected=f"one that {WHAT_MODELS_DO[kind]}",
                received=f"{self.model}, which {WHAT_MODELS_DO[info.kind]}",
                remedy="name another model of the server",
            )
            try:
                return work(_Pinned(self, info, version))
            except NotServed:
                if self.version is not None or not num_left:
                    raise
        raise AssertionError("the last beginning returns or raises")

    def _ask(
        self, inputs: Mapping[str, Any], signature_name: str, version: int | None
    ) -> tuple[dict[str, np.ndarray], int | None]:
        """The outputs, and the version that computed them."""
        request = messages.PredictRequest(model_spec=self._spec(signature_name, version))
        for name, values in inputs.items():
            request.inputs[name].CopyFrom(to_tensor_proto(values))
        answer = self._connection.call(PREDICT, request)
        outputs = {name: to_array(proto) for name, proto in answer.outputs.items()}
        return outputs, answer.model_spec.version.value or version

    def _spec(self, signature_name: str, version: int | None) -> Any:
        spec = messages.ModelSpec(name=self.model, signature_name=signature_name)
        if version is not None:
            spec.version.value = version
        return spec


def _read(outputs: Mapping[str, np.ndarray]) -> ModelInfo:
    """The metadata of their JSON text."""
    try:
        info = ModelInfo.from_json(json.loads(outputs[METADATA].item()))
        problem = "" if DEFAULT in info.signatures else f"no signature {DEFAULT}"
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        problem = error.problem if isinstance(error, checks.InputError) else "no JSON text"
    if problem:
        raise checks.InputError(
            "model",
            expected="one that python -m export.saved_model wrote, with its metadata",
            received=f"another ({problem})",
            remedy="export it again, or call its signatures with predict",
        )
    return info


def define_flags() -> None:
    """Which server, which data, and how to send it."""
    flags.DEFINE_string("address", "127.0.0.1:8500", "Address of the server, HOST:PORT.")
    flags.DEFINE_string("model", None, "Name of the model at the server.", required=True)
    flags.DEFINE_integer("version", None, "Version of the model. Default: the newest.", lower_bound=1)
    flags.DEFINE_string("input", None, "PNG, JPEG or TIFF picture to enlarge.")
    flags.DEFINE_float("scale", 2.0, "Scale factor, at least 1; need not be a whole number.")
    flags.DEFINE_string("lr_hsi", None, "LR-HSI (coarse cube) to fuse.")
    flags.DEFINE_string("hr_msi", None, "HR-MSI (sharp image) to fuse.")
    flags.DEFINE_string("output", None, "File to write; the suffix selects the format.", required=True)
    flags.DEFINE_bool("overwrite", False, "Replace a file that exists.")
    flags.DEFINE_string("token_file", None, "File whose first line is the access token.")
    flags.DEFINE_string("tls_ca", None, "PEM file of the certificates that signed the server's certificate.")
    flags.DEFINE_string("tls_certificate", None, "PEM file of the client's certificate.")
    flags.DEFINE_string("tls_key", None, "PEM file of the key of --tls_certificate.")
    flags.DEFINE_float(
        "deadline_seconds", 60.0, "Time limit of a request, with all retries, in seconds.", lower_bound=0.001
    )
    flags.DEFINE_integer(
        "tile",
        None,
        "Longest side of a tile in pixels of the result. Default: 512 for pictures, as large as a message "
        "for scenes.",
        lower_bound=1,
    )
    flags.DEFINE_integer("num_in_flight", 4, "Number of tiles in flight.", lower_bound=1)
    flags.DEFINE_integer(
        "max_message_mib", 64, "Largest request and answer in MiB.", lower_bound=1, upper_bound=2047
    )


def main() -> None:
    """Check the flags, send the requests, write the result."""
    given = {name: getattr(FLAGS, name) for name in ("input", "lr_hsi", "hr_msi")}
    named = [name for name, value in given.items() if value is not None]
    checks.require(
        named in (["input"], ["lr_hsi", "hr_msi"]),
        "input, lr_hsi, hr_msi",
        expected="a picture to enlarge (input), or two images to fuse (lr_hsi and hr_msi)",
        received=", ".join(named) or "none",
        remedy="give e.g. --input=photo.png",
    )
    output = Path(FLAGS.output)
    free = None if FLAGS.overwrite else "add --overwrite, or write to another name"
    if FLAGS.input is not None or free is not None:
        require_output("output", output, free=free)
    start = time.perf_counter()
    with Client(FLAGS.address, model=FLAGS.model, version=FLAGS.version, settings=_settings()) as client:
        if FLAGS.input is not None:
            size = enlarge_file(client, Path(FLAGS.input), output, scale=FLAGS.scale)
        else:
            size = fuse_files(client, FLAGS.lr_hsi, FLAGS.hr_msi, output=output)
    seconds = time.perf_counter() - start
    print(f"wrote {output}  {size_words(size)}  ({FLAGS.model}, {seconds:.1f} s)")


def enlarge_file(client: Client, source: Path, target: Path, *, scale: float) -> tuple[int, ...]:
    """Read, enlarge and write a picture; its size."""
    from hsr_tf.io.pictures import read_picture, require_suffix, require_writable, write_picture

    require_scale(scale)
    require_suffix(target)
    picture = read_picture(source)
    height, width = (enlarged_length(n, scale) for n in picture.size)
    require_writable(target, has_alpha=picture.has_alpha, size=(height, width))
    write_picture(replace(picture, values=client.upscale(picture.values, scale).image), target)
    return height, width


def fuse_files(client: Client, lr_hsi: str, hr_msi: str, *, output: Path) -> tuple[int, ...]:
    """Read, fuse and write a scene; its size."""
    from hsr_tf import io
    from hsr_tf.scene import Scene

    io.writer_for(output)
    coarse, sharp = io.load(lr_hsi), io.load(hr_msi)
    for scene, name in ((coarse, "lr_hsi"), (sharp, "hr_msi")):
        checks.require(
            scene.nodata_mask is None or not scene.nodata_mask.any(),
            name,
            expected="data in every pixel",
            received="pixels without",
            remedy="crop it, or use hsr fuse, which repairs them",
        )
    cube = client.fuse(coarse.cube, sharp.cube)
    metadata = {**coarse.metadata, "method": client.info().method, "model": client.model}
    io.save(Scene(cube, coarse.wavelengths_nm, coarse.name, metadata), output)
    return cube.shape


def _settings() -> Settings:
    return Settings(
        tls_ca=FLAGS.tls_ca,
        tls_certificate=FLAGS.tls_certificate,
        tls_key=FLAGS.tls_key,
        token=None if FLAGS.token_file is None else _token(Path(FLAGS.token_file)),
        deadline_seconds=FLAGS.deadline_seconds,
        max_message_mib=FLAGS.max_message_mib,
        num_in_flight=FLAGS.num_in_flight,
        tile=FLAGS.tile,
    )


def _token(path: Path) -> str:
    """The first line of a file."""
    try:
        lines = path.read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError) as error:
        raise checks.file_error(path, "holds no token that can be read", "check its name") from error
    if not lines:
        raise checks.file_error(path, "is empty", "write the token into it")
    return lines[0]


if __name__ == "__main__":
    define_flags()
    run_app(main, interrupted="nothing was written")
