"""Names and metadata of a TFLite file.

The converter knows outputs by number and writes no function that could be called by name. Here a file gets a
`serving_default` with the names of the SavedModel, and a metadata buffer "hsr_tf.json" (what it is, its
scale, how values are normalised), which `tflite_metadata` reads without TensorFlow.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from typing import Any

from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

from hsr_tf import checks
from hsr_tf.networks.model_info import DEFAULT, METADATA_NAME, ModelInfo


def described(content: bytes, inputs: Sequence[str], outputs: Sequence[str], info: ModelInfo) -> bytes:
    """The file with a named function and metadata.

    Args:
        content: a TFLite file of one function.
        inputs, outputs: names in the order of the file's tensors.
        info: the metadata.
    """
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    graph = model.subgraphs[0]
    function = schema.SignatureDefT()
    function.signatureKey, function.subgraphIndex = DEFAULT, 0
    function.inputs = _named(inputs, graph.inputs)
    function.outputs = _named(outputs, graph.outputs)
    for name, index in zip([*inputs, *outputs], [*graph.inputs, *graph.outputs], strict=True):
        graph.tensors[index].name = name.encode()
    model.signatureDefs = [function]
    return _with_metadata(model, info)


def with_metadata(content: bytes, info: ModelInfo) -> bytes:
    """The file with these metadata instead of its own, which the quantizer empties."""
    return _with_metadata(flatbuffer_utils.read_model_from_bytearray(bytearray(content)), info)


def tflite_metadata(content: bytes) -> ModelInfo:
    """The project's metadata of a TFLite file.

    Raises:
        ValueError: bytes that are no TFLite file, or one without this metadata or with wrong ones.
    """
    is_model = len(content) > 8 and schema.Model.ModelBufferHasIdentifier(content, 0)
    checks.require(
        is_model, "model", expected="a TFLite file", received="other bytes", remedy="export it again"
    )
    try:
        text = _metadata_text(schema.Model.GetRootAsModel(content, 0))
        found: Any = None if text is None else json.loads(text)
    except (ValueError, IndexError, TypeError, AttributeError, struct.error):
        raise checks.InputError(
            "model",
            expected="a whole TFLite file",
            received="one that is damaged or cut",
            remedy="fetch it again",
        ) from None
    checks.require(
        found is not None,
        "model",
        expected="a file of export.tflite",
        received=f"one without {METADATA_NAME}",
        remedy="export it again",
    )
    return ModelInfo.from_json(found)


def _metadata_text(model: Any) -> bytes | None:
    for i in range(model.MetadataLength()):
        entry = model.Metadata(i)
        if entry.Name() == METADATA_NAME.encode():
            return bytes(model.Buffers(entry.Buffer()).DataAsNumpy().tobytes())
    return None


def _named(names: Sequence[str], indices: Sequence[int]) -> list[Any]:
    entries = []
    for name, index in zip(names, indices, strict=True):
        entry = schema.TensorMapT()
        entry.name, entry.tensorIndex = name, index
        entries.append(entry)
    return entries


def _with_metadata(model: Any, info: ModelInfo) -> bytes:
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = list(json.dumps(info.to_json()).encode())
    model.buffers.append(buffer)
    entry.name, entry.buffer = METADATA_NAME, len(model.buffers) - 1
    others = [one for one in model.metadata or [] if one.name not in (METADATA_NAME, METADATA_NAME.encode())]
    model.metadata = [*others, entry]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))
