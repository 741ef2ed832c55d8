"""The messages that clients exchange with TensorFlow Serving, made without TensorFlow.

Its own Python classes import TensorFlow, which takes seconds and half a gigabyte. These are built from
`TABLE`, the part of its protocol that a client needs, field by field as in tensorflow/core/framework,
tensorflow/core/protobuf/meta_graph.proto and tensorflow_serving/apis. They live in a descriptor pool of their
own, so that both kinds may be loaded in one process.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, wrappers_pb2

ENUMS = {
    "tensorflow.DataType": (
        "DT_INVALID=0 DT_FLOAT=1 DT_DOUBLE=2 DT_INT32=3 DT_UINT8=4 DT_INT16=5 DT_INT8=6 DT_STRING=7 "
        "DT_COMPLEX64=8 DT_INT64=9 DT_BOOL=10 DT_BFLOAT16=14 DT_UINT16=17 DT_COMPLEX128=18 DT_HALF=19 "
        "DT_UINT32=22 DT_UINT64=23"
    ),
    "tensorflow.error.Code": (
        "OK=0 CANCELLED=1 UNKNOWN=2 INVALID_ARGUMENT=3 DEADLINE_EXCEEDED=4 NOT_FOUND=5 ALREADY_EXISTS=6 "
        "PERMISSION_DENIED=7 RESOURCE_EXHAUSTED=8 FAILED_PRECONDITION=9 ABORTED=10 OUT_OF_RANGE=11 "
        "UNIMPLEMENTED=12 INTERNAL=13 UNAVAILABLE=14 DATA_LOSS=15 UNAUTHENTICATED=16"
    ),
    "tensorflow.serving.ModelVersionStatus.State": (
        "UNKNOWN=0 START=10 LOADING=20 AVAILABLE=30 UNLOADING=40 END=50"
    ),
}
# A field is its number, name and type; "*" repeats it, "^" maps strings to it, "|" puts it into a oneof.
TABLE = {
    "tensorflow.TensorShapeProto": "2 dim *tensorflow.TensorShapeProto.Dim, 3 unknown_rank bool",
    "tensorflow.TensorShapeProto.Dim": "1 size int64, 2 name string",
    "tensorflow.TensorProto": (
        "1 dtype tensorflow.DataType, 2 tensor_shape tensorflow.TensorShapeProto, 3 version_number int32, "
        "4 tensor_content bytes, 5 float_val *float, 6 double_val *double, 7 int_val *int32, "
        "8 string_val *bytes, 9 scomplex_val *float, 10 int64_val *int64, 11 bool_val *bool, "
        "12 dcomplex_val *double, 13 half_val *int32, 16 uint32_val *uint32, 17 uint64_val *uint64"
    ),
    "tensorflow.serving.ModelSpec": (
        "1 name string, 2 version google.protobuf.Int64Value|version_choice, "
        "4 version_label string|version_choice, 3 signature_name string"
    ),
    "tensorflow.serving.PredictRequest": (
        "1 model_spec tensorflow.serving.ModelSpec, 2 inputs ^tensorflow.TensorProto, 3 output_filter *string"
    ),
    "tensorflow.serving.PredictResponse": (
        "2 model_spec tensorflow.serving.ModelSpec, 1 outputs ^tensorflow.TensorProto"
    ),
    "tensorflow.serving.StatusProto": "1 error_code tensorflow.error.Code, 2 error_message string",
    "tensorflow.serving.ModelVersionStatus": (
        "1 version int64, 2 state tensorflow.serving.ModelVersionStatus.State, "
        "3 status tensorflow.serving.StatusProto"
    ),
    "tensorflow.serving.GetModelStatusRequest": "1 model_spec tensorflow.serving.ModelSpec",
    "tensorflow.serving.GetModelStatusResponse": (
        "1 model_version_status *tensorflow.serving.ModelVersionStatus"
    ),
}
PACKAGES = ("tensorflow", "tensorflow.error", "tensorflow.serving")
_FIELD = descriptor_pb2.FieldDescriptorProto
_KINDS = ("bool", "bytes", "double", "float", "int32", "int64", "string", "uint32", "uint64")


def _package_of(name: str) -> str:
    return max((package for package in PACKAGES if name.startswith(f"{package}.")), key=len)


def _numbered(text: str) -> dict[str, int]:
    return {name: int(number) for name, number in (pair.split("=") for pair in text.split())}


def _add_field(message: Any, full_name: str, text: str) -> None:
    number, name, kind = text.split(" ")
    kind, _, oneof = kind.partition("|")
    if kind[0] == "^":
        entry = message.nested_type.add(name=f"{name.title().replace('_', '')}Entry")
        entry.options.map_entry = True
        _add_field(entry, "", "1 key string")
        _add_field(entry, "", f"2 value {kind[1:]}")
        kind = f"*{full_name}.{entry.name}"
    field = message.field.add(name=name, number=int(number))
    field.label = _FIELD.LABEL_REPEATED if kind[0] == "*" else _FIELD.LABEL_OPTIONAL
    kind = kind.lstrip("*")
    if kind in _KINDS:
        field.type = getattr(_FIELD, f"TYPE_{kind.upper()}")
    else:
        field.type = _FIELD.TYPE_ENUM if kind in ENUMS else _FIELD.TYPE_MESSAGE
        field.type_name = f".{kind}"
    if oneof:
        names = [one.name for one in message.oneof_decl]
        if oneof not in names:
            message.oneof_decl.add(name=oneof)
            names.append(oneof)
        field.oneof_index = names.index(oneof)


def _pool() -> Any:
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    for package in PACKAGES:
        # The descriptor of one package's messages and enums, as if from one .proto file.
        file = descriptor_pb2.FileDescriptorProto(
            name=f"hsr_tf/{package}.proto", package=package, syntax="proto3"
        )
        file.dependency.append(wrappers_pb2.DESCRIPTOR.name)
        if package == "tensorflow.serving":
            file.dependency.extend(f"hsr_tf/{other}.proto" for other in PACKAGES[:2])
        made: dict[str, Any] = {package: file}
        for name in sorted(full for full in TABLE if _package_of(full) == package):
            parent, _, own = name.rpartition(".")
            holder = made[parent]
            made[name] = (holder.message_type if holder is file else holder.nested_type).add(name=own)
            for text in TABLE[name].split(", "):
                _add_field(made[name], name, text)
        for name in (full for full in ENUMS if _package_of(full) == package):
            parent, _, own = name.rpartition(".")
            enum = made[parent].enum_type.add(name=own)
            for value, number in _numbered(ENUMS[name]).items():
                enum.value.add(name=value, number=number)
        pool.AddSerializedFile(file.SerializeToString())
    return pool


POOL = _pool()


def message_class(name: str) -> Any:
    """The class of a message of `TABLE` by its full name."""
    return message_factory.GetMessageClass(POOL.FindMessageTypeByName(name))


TensorProto = message_class("tensorflow.TensorProto")
ModelSpec = message_class("tensorflow.serving.ModelSpec")
PredictRequest = message_class("tensorflow.serving.PredictRequest")
PredictResponse = message_class("tensorflow.serving.PredictResponse")
GetModelStatusRequest = message_class("tensorflow.serving.GetModelStatusRequest")
GetModelStatusResponse = message_class("tensorflow.serving.GetModelStatusResponse")
DATA_TYPES = _numbered(ENUMS["tensorflow.DataType"])
STATES = {
    number: name for name, number in _numbered(ENUMS["tensorflow.serving.ModelVersionStatus.State"]).items()
}
