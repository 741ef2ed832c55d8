"""What an exported model says about itself; the standard library is enough to read it.

It is `assets.extra/hsr_tf.json` of a SavedModel, the metadata of a TFLite file, and the answer of the
signature `metadata`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

from hsr_tf.checks import InputError, file_error

METADATA_NAME = "hsr_tf.json"
METADATA_FILE = Path("assets.extra", METADATA_NAME)
FUSION, SINGLE_IMAGE = "network", "image_network"
WHAT_MODELS_DO = {SINGLE_IMAGE: "enlarges pictures", FUSION: "fuses scenes"}
# The names of the signatures.
DEFAULT, PICTURE, FIT, FUSE_PART, METADATA = "serving_default", "picture", "fit", "fuse_part", "metadata"
Json = Mapping[str, Any]


@dataclass(frozen=True)
class ModelInfo:
    """The metadata of an exported model.

    Attributes:
        kind: "image_network" (enlarges single pictures) or "network" (fuses two images).
        method: name in the registry.
        scale: estimated pixels per input pixel along one side; None for a network that keeps the size, whose
            picture was enlarged before.
        num_channels: of the picture, or of the HR-MSI.
        reach: receptive field: pixels of lr_image, or coarse pixels of the scene, on each side that an
            estimated pixel depends on; None for all of them.
        signatures: the names of the inputs of each signature.
        num_bands: of the LR-HSI; None for networks of single pictures.
        name: of the export.
        base: closed form that a fusion network adds to.
        bytes_per_value: memory that an estimate takes per value of the largest input.
        finds_kernel: whether the blur kernel is among the outputs.
        sensor, psf: names of the response and of the PSF that the model was trained for.
        cameras: both as JSON, see `hsr_tf.networks.fusion_model.cameras_from_dict`.
        config: of the network, as JSON.
        record: how it was trained and what it scores; empty for weights that were never trained.
        hsr_tf: version that exported it.
        weights_sha256: hash of the weights.
        normalisation: how values are scaled, in words; of TFLite files.
        size: (h, w) of lr_image or lr_hsi of a TFLite file of fixed sizes; None for any.

    Raises:
        ValueError: a field of another type or range; the message names it.
    """

    kind: str
    method: str
    scale: int | None
    num_channels: int
    reach: int | None
    signatures: Mapping[str, tuple[str, ...]]
    num_bands: int | None = None
    name: str = ""
    base: str | None = None
    bytes_per_value: float | None = None
    finds_kernel: bool = False
    sensor: str | None = None
    psf: str | None = None
    cameras: Json | None = None
    config: Json = field(default_factory=dict)
    record: Json = field(default_factory=dict)
    hsr_tf: str = ""
    weights_sha256: str = ""
    normalisation: str | None = None
    size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        for name, (is_right, expected) in _EXPECTED.items():
            if not is_right(getattr(self, name)):
                raise _wrong(name, expected, getattr(self, name))
        for name in ("scale", "num_bands"):
            if self.kind == FUSION and getattr(self, name) is None:
                raise _wrong(name, "a positive integer for a model that fuses scenes", None)

    @property
    def factor(self) -> int:
        """`scale`, 1 for a network that keeps the size."""
        return self.scale or 1

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs of `serving_default`."""
        return self.signatures.get(DEFAULT, ())

    @property
    def takes_kernel(self) -> bool:
        """Whether the blur kernel is among the inputs."""
        return "kernel" in self.inputs

    @property
    def has_fit(self) -> bool:
        """Whether something is estimated from the whole scene, by the signature `fit`."""
        return FIT in self.signatures

    def to_json(self) -> dict[str, Any]:
        """Plain data; the inverse of `from_json`. What only TFLite files record is left out elsewhere."""
        data = {one.name: getattr(self, one.name) for one in fields(self)}
        data["signatures"] = {name: list(inputs) for name, inputs in self.signatures.items()}
        data["size"] = None if self.size is None else list(self.size)
        if self.normalisation is None:
            del data["normalisation"], data["size"]
        return data

    @classmethod
    def from_json(cls, data: object) -> ModelInfo:
        """Read plain data; unknown fields are ignored.

        Raises:
            ValueError: a field that is missing or wrong; the message names it.
        """
        if not isinstance(data, Mapping):
            raise _wrong("object", "a JSON object", data)
        values = {one.name: data[one.name] for one in fields(cls) if one.name in data}
        for one in fields(cls):
            if one.default is MISSING and one.default_factory is MISSING and one.name not in values:
                raise _wrong(one.name, "a value", "none")
        if not isinstance(values["signatures"], Mapping):
            raise _wrong("signatures", "the inputs of each signature", values["signatures"])
        values["signatures"] = {
            name: tuple(inputs) if isinstance(inputs, list | tuple) else inputs
            for name, inputs in values["signatures"].items()
        }
        if isinstance(values.get("size"), list):
            values["size"] = tuple(values["size"])
        return cls(**values)

    @classmethod
    def read(cls, folder: Path) -> ModelInfo:
        """The metadata of a version folder that `export.saved_model` wrote.

        Raises:
            OSError: no such file, or one that is damaged; the message names the field.
        """
        path = folder / METADATA_FILE
        if not path.is_file():
            raise file_error(folder, "holds no exported model", "give models/NAME/VERSION")
        try:
            return cls.from_json(json.loads(path.read_text(encoding="utf-8")))
        except ValueError as error:
            reason = " ".join(str(error).split())[:200]
            raise file_error(path, f"is damaged ({reason})", "export the model again") from error


def _wrong(name: str, expected: str, received: object) -> InputError:
    return InputError(
        f"metadata field {name}",
        expected=expected,
        received=repr(received)[:80],
        remedy="export the model again",
    )


def _is_integer(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_named(value: object) -> bool:
    """Whether this holds the inputs of signatures."""
    return isinstance(value, Mapping) and all(
        isinstance(inputs, tuple) and all(isinstance(one, str) for one in inputs) for inputs in value.values()
    )


def _is_size(value: object) -> bool:
    return value is None or (
        isinstance(value, tuple) and len(value) == 2 and all(_is_integer(n, 1) for n in value)
    )


_POSITIVE_OR_NONE = (lambda value: value is None or _is_integer(value, 1), "a positive integer or null")
_TEXT_OR_NONE = (lambda value: value is None or isinstance(value, str), "text or null")
_TEXT = (lambda value: isinstance(value, str), "text")
_OBJECT = (lambda value: isinstance(value, Mapping), "a JSON object")
_EXPECTED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "kind": (lambda value: value in (FUSION, SINGLE_IMAGE), f"{FUSION!r} or {SINGLE_IMAGE!r}"),
    "method": (lambda value: isinstance(value, str) and value != "", "the name of a method"),
    "scale": _POSITIVE_OR_NONE,
    "num_channels": (lambda value: _is_integer(value, 1), "a positive integer"),
    "reach": (lambda value: value is None or _is_integer(value, 0), "a whole number or null"),
    "signatures": (_is_named, "the names of the inputs of each signature"),
    "num_bands": _POSITIVE_OR_NONE,
    "name": _TEXT,
    "base": _TEXT_OR_NONE,
    "bytes_per_value": (
        lambda value: value is None or (isinstance(value, int | float) and 0 < value < float("inf")),
        "a positive number or null",
    ),
    "finds_kernel": (lambda value: isinstance(value, bool), "true or false"),
    "sensor": _TEXT_OR_NONE,
    "psf": _TEXT_OR_NONE,
    "cameras": (lambda value: value is None or isinstance(value, Mapping), "a JSON object or null"),
    "config": _OBJECT,
    "record": _OBJECT,
    "hsr_tf": _TEXT,
    "weights_sha256": _TEXT,
    "normalisation": _TEXT_OR_NONE,
    "size": (_is_size, "two positive integers or null"),
}
