"""Messages to bytes and back, by the names of their fields; nothing malformed passes.

A message class and its message in `control.proto` have the same fields with the same names. The
one exception is the plan in Setup, which travels deflated.
"""

from __future__ import annotations

import dataclasses
import re
import zlib
from typing import Any

from google.protobuf.message import DecodeError, Message

from flowc_runtime.cluster import messages
from flowc_runtime.cluster.control import control_pb2
from flowc_runtime.cluster.messages import Command, Event, Setup

PLAN_MAX_BYTES = 64 << 20  # of a plan's text, so that a small message cannot fill the memory

_CLASSES: dict[str, Any] = {
    name: entry for name, entry in vars(messages).items() if dataclasses.is_dataclass(entry)
}
_CAMEL = re.compile(r"(?<!^)(?=[A-Z])")


class Malformed(ValueError):
    """Bytes that are no message of the protocol."""


def encode_command(command: Command) -> bytes:
    return _encode("Command", command)


def encode_event(event: Event) -> bytes:
    return _encode("Event", event)


def decode_command(wire: bytes) -> Command:
    """Raises Malformed."""
    return _decode("Command", wire)  # type: ignore[no-any-return]  # by the proto's oneof


def decode_event(wire: bytes) -> Event:
    """Raises Malformed."""
    return _decode("Event", wire)  # type: ignore[no-any-return]  # by the proto's oneof


def _encode(envelope: str, value: Any) -> bytes:
    message: Message = getattr(control_pb2, envelope)()
    inner = getattr(message, _CAMEL.sub("_", type(value).__name__).lower())
    inner.SetInParent()  # also where every field has its default
    _fill(inner, value)
    return bytes(message.SerializeToString())


def _decode(envelope: str, wire: bytes) -> Any:
    message = getattr(control_pb2, envelope)()
    try:
        message.ParseFromString(wire)
    except DecodeError as error:
        raise Malformed(f"not a message: {error}") from error
    kind = message.WhichOneof("kind")
    if kind is None:
        raise Malformed(f"an empty or unknown {envelope.lower()}")
    return _value(getattr(message, kind))


def _fill(message: Any, value: Any) -> None:
    for field in dataclasses.fields(value):
        content = getattr(value, field.name)
        if isinstance(value, Setup) and field.name == "plan":
            message.plan = zlib.compress(content.encode())
        elif not isinstance(content, tuple):
            setattr(message, field.name, content)
        elif content and not isinstance(content[0], str):
            for entry in content:
                _fill_entry(getattr(message, field.name).add(), entry)
        else:
            getattr(message, field.name).extend(content)


def _fill_entry(message: Any, entry: Any) -> None:
    if isinstance(entry, tuple):  # an output: its name and its value
        message.name, message.value = entry
    else:
        _fill(message, entry)


def _value(message: Any) -> Any:
    name = message.DESCRIPTOR.name
    if name == "Output":
        return message.name, message.value
    cls = _CLASSES[name]
    return cls(**{f.name: _content(message, f.name) for f in dataclasses.fields(cls)})


def _content(message: Any, name: str) -> Any:
    content = getattr(message, name)
    if name == "plan":
        return _inflate(content)
    if isinstance(content, (str, bytes, bool, int, float)):
        return content
    return tuple(_value(c) if isinstance(c, Message) else c for c in content)


def _inflate(data: bytes) -> str:
    inflater = zlib.decompressobj()
    try:
        text = inflater.decompress(data, PLAN_MAX_BYTES)
        if inflater.unconsumed_tail or not inflater.eof:
            raise Malformed(f"the plan is cut off, or larger than {PLAN_MAX_BYTES >> 20} MiB")
        return text.decode()
    except (zlib.error, UnicodeDecodeError) as error:
        raise Malformed(f"the plan is damaged: {error}") from error
