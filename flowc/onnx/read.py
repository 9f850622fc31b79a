"""A file to a Model; whatever is wrong with its bytes is an OnnxError."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from flowc.onnx.errors import OnnxError
from flowc.onnx.model import CORE, DTYPE_OF, AttributeRef, Declared, Function, Graph, Model, Node

MAX_FILE_BYTES = 2 << 30  # what protobuf itself can hold
MAX_DEPTH = 16  # graphs in graphs
MAX_NODES = 100_000


def read_model(path: Path) -> Model:
    """The model in a file, its external tensors included.

    Raises OnnxError where the package is missing or the file is no sound model, OSError where it
    cannot be opened.
    """
    require_onnx()
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise OnnxError("onnx-limit", f"the file has {size} bytes, more than 2 GiB", str(path))
    return model_of(path.read_bytes(), path)


def require_onnx() -> None:
    try:
        import onnx  # noqa: F401
    except ImportError:
        raise OnnxError(
            "onnx-missing", "reading and writing ONNX needs the package `onnx`",
            help="pip install 'flowc[onnx]'",
        ) from None


def model_of(data: bytes, path: Path) -> Model:
    """The model in the bytes of a file; `path` is where its external tensors lie beside."""
    import onnx
    from google.protobuf.message import DecodeError

    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(data)
    except DecodeError:
        raise OnnxError("onnx-damaged", "this is no ONNX model", str(path)) from None
    if not proto.HasField("graph") or not proto.opset_import:
        raise OnnxError("onnx-damaged", "the file holds no graph of operators", str(path))
    return Reader(path).model(proto)


class Reader:
    """Turns protobuf into nouns. `path` names the file in messages, its folder bounds reading."""

    def __init__(self, path: Path):
        self.path = path
        self.nodes = 0
        self.opsets: dict[str, int] = {}

    def model(self, proto: Any) -> Model:
        self.opsets = _opsets(proto.opset_import)
        functions = {(f.domain, f.name): self._function(f) for f in proto.functions}
        self.opsets = _opsets(proto.opset_import)
        return Model(self._graph(proto.graph, 0), dict(self.opsets), functions,
                     proto.producer_name)

    def _graph(self, proto: Any, depth: int) -> Graph:
        if depth > MAX_DEPTH:
            raise OnnxError("onnx-limit", f"graphs lie more than {MAX_DEPTH} deep", str(self.path))
        if proto.sparse_initializer:
            raise OnnxError("onnx-unsupported", "sparse initializers have no translation",
                            str(self.path))
        constants = {t.name: self.array(t) for t in proto.initializer}
        inputs = tuple(self._declared(v) for v in proto.input if v.name not in constants)
        return Graph(
            proto.name,
            tuple(self.node(n, i, depth) for i, n in enumerate(proto.node)),
            inputs,
            tuple(self._declared(v) for v in proto.output),
            constants,
        )

    def node(self, proto: Any, index: int, depth: int) -> Node:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise OnnxError("onnx-limit", f"the model has more than {MAX_NODES} nodes",
                            str(self.path))
        texts = (proto.op_type, proto.domain, proto.name, *proto.input, *proto.output)
        if not all(isinstance(text, str) for text in texts):
            raise self._damaged("a name is no UTF-8")
        attrs = {a.name: self.attribute(a, depth) for a in proto.attribute}
        domain = "" if proto.domain in CORE else proto.domain
        return Node(proto.op_type, domain, proto.name, index, tuple(proto.input),
                    tuple(proto.output), attrs, self.opsets.get(domain, 1))

    def _function(self, proto: Any) -> Function:
        self.opsets = _opsets(proto.opset_import)
        defaults = {a.name: self.attribute(a, 0) for a in proto.attribute_proto}
        nodes = tuple(self.node(n, i, 0) for i, n in enumerate(proto.node))
        return Function(tuple(proto.input), tuple(proto.output), tuple(proto.attribute), defaults,
                        nodes)

    def attribute(self, proto: Any, depth: int) -> Any:
        if proto.ref_attr_name:
            return AttributeRef(proto.ref_attr_name)
        match proto.type:
            case proto.FLOAT:
                return float(proto.f)
            case proto.INT:
                return int(proto.i)
            case proto.STRING:
                return self._text(proto.s)
            case proto.TENSOR:
                return self.array(proto.t)
            case proto.GRAPH:
                return self._graph(proto.g, depth + 1)
            case proto.FLOATS:
                return [float(f) for f in proto.floats]
            case proto.INTS:
                return [int(i) for i in proto.ints]
            case proto.STRINGS:
                return [self._text(s) for s in proto.strings]
        return None  # sparse tensors and types: a translation that needs one will miss it

    def _text(self, raw: bytes) -> str:
        try:
            return raw.decode()
        except UnicodeDecodeError:
            raise self._damaged("a text is no UTF-8") from None

    def _declared(self, proto: Any) -> Declared:
        if not proto.type.HasField("tensor_type"):
            return Declared(proto.name, None, None)
        tensor = proto.type.tensor_type
        dtype = DTYPE_OF.get(tensor.elem_type)
        if not tensor.HasField("shape"):
            return Declared(proto.name, dtype, None)
        return Declared(proto.name, dtype, tuple(_size(d) for d in tensor.shape.dim))

    def array(self, proto: Any) -> np.ndarray:
        """A tensor of the file as an array, bfloat16 and smaller floats as float32."""
        from onnx import numpy_helper

        if any(d < 0 for d in proto.dims):
            raise self._damaged(f"the tensor `{proto.name}` has a negative size")
        if proto.data_location == proto.EXTERNAL:
            proto = self._external(proto)
        try:
            array: np.ndarray = numpy_helper.to_array(proto)
        except (ValueError, TypeError, KeyError, OverflowError) as error:
            raise self._damaged(f"the tensor `{proto.name}`: {error}") from None
        if array.dtype.kind not in "biufcOSU":
            array = array.astype(np.float32)
        return array

    def _external(self, proto: Any) -> Any:
        """The tensor with the bytes that another file keeps for it."""
        import onnx

        facts = {e.key: e.value for e in proto.external_data}
        file = self._inside(facts.get("location", ""), proto.name)
        try:
            offset, length = int(facts.get("offset", 0)), int(facts.get("length", -1))
        except ValueError:
            raise self._damaged(f"the tensor `{proto.name}` lies at no number") from None
        size = file.stat().st_size
        length = size - offset if length < 0 else length
        if offset < 0 or offset + length > size:
            raise self._damaged(f"{file.name} ends before the tensor `{proto.name}` does")
        with file.open("rb") as stream:
            stream.seek(offset)
            raw = stream.read(length)
        return onnx.TensorProto(
            dims=proto.dims, data_type=proto.data_type, name=proto.name, raw_data=raw)

    def _inside(self, location: str, tensor: str) -> Path:
        folder = self.path.parent.resolve()
        file = folder if "\0" in location else (folder / location).resolve()
        if not file.is_relative_to(folder) or not file.is_file():
            raise OnnxError(
                "onnx-outside",
                f"the tensor `{tensor}` lies in `{location}`, which is no file in the model's "
                "folder", str(self.path),
            )
        return file

    def _damaged(self, message: str) -> OnnxError:
        return OnnxError("onnx-damaged", message, str(self.path))


def _opsets(imports: Sequence[Any]) -> dict[str, int]:
    return {"" if o.domain in CORE else o.domain: o.version for o in imports}


def _size(proto: Any) -> int | str | None:
    if proto.HasField("dim_value"):
        return int(proto.dim_value) if proto.dim_value > 0 else None
    return str(proto.dim_param) or None


def bound(attrs: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes of a function's node with those of the call put in, where these are given."""
    filled = {k: given.get(v.name) if isinstance(v, AttributeRef) else v for k, v in attrs.items()}
    return {k: v for k, v in filled.items() if v is not None}
