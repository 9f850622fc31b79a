"""The frames of a pull stream, which are raw bytes and no protobuf.

A consumer opens one stream to each producer on another machine, and sends requests:

    bytes  0      kind: P the first payload with this number or a later one, N the newest of
                  those, R this number and all before are released
           1..8   generation, unsigned, little endian like all numbers
           9..16  sequence number, signed
          17..18  length of the consumer's name, then that of the channel's in 19..20
          21..    the two names, UTF-8

A payload comes as one or more answers, those of different payloads one after the other:

    bytes  0..7   sequence number
           8..15  size of the whole payload
          16..19  length of the channel's name, then the name
          then    the first CHUNK_BYTES or less of the payload

and each further answer is nothing but the next CHUNK_BYTES or the rest. Broken requests end the
stream with INVALID_ARGUMENT, those of a generation that is over with FAILED_PRECONDITION, for a
channel that is not the consumer's with PERMISSION_DENIED.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

CHUNK_BYTES = 1 << 20
NAME_MAX_BYTES = 512
PULL, NEWEST, RELEASE = b"P", b"N", b"R"

_REQUEST = struct.Struct("<cQqHH")
_ANSWER = struct.Struct("<qQI")


class BadFrame(ValueError):
    """Bytes that are no frame."""


@dataclass(frozen=True, slots=True)
class Request:
    kind: bytes
    generation: int
    sequence: int
    consumer: str
    channel: str


@dataclass(frozen=True, slots=True)
class AnswerHead:
    """What the first answer of a payload begins with, and where its bytes begin."""

    sequence: int
    size: int
    channel: str
    start: int


def encode_request(request: Request) -> bytes:
    consumer, channel = request.consumer.encode(), request.channel.encode()
    head = _REQUEST.pack(
        request.kind, request.generation, request.sequence, len(consumer), len(channel))
    return head + consumer + channel


def decode_request(frame: bytes) -> Request:
    """Raises BadFrame."""
    if not _REQUEST.size <= len(frame) <= _REQUEST.size + 2 * NAME_MAX_BYTES:
        raise BadFrame(f"a request of {len(frame)} bytes")
    kind, generation, sequence, first, second = _REQUEST.unpack_from(frame)
    if kind not in (PULL, NEWEST, RELEASE) or len(frame) != _REQUEST.size + first + second:
        raise BadFrame("a request of an unknown kind, or of another length than it says")
    try:
        names = frame[_REQUEST.size :]
        return Request(
            kind, generation, sequence, names[:first].decode(), names[first:].decode())
    except UnicodeDecodeError as error:
        raise BadFrame("a name that is no UTF-8") from error


def answer_head(channel: str, sequence: int, size: int) -> bytes:
    name = channel.encode()
    return _ANSWER.pack(sequence, size, len(name)) + name


def decode_answer_head(frame: bytes) -> AnswerHead:
    """Raises BadFrame."""
    if len(frame) < _ANSWER.size:
        raise BadFrame("an answer without a head")
    sequence, size, length = _ANSWER.unpack_from(frame)
    start = _ANSWER.size + length
    if length > NAME_MAX_BYTES or start > len(frame):
        raise BadFrame("an answer whose name is longer than it")
    try:
        name = frame[_ANSWER.size : start].decode()
    except UnicodeDecodeError as error:
        raise BadFrame("a name that is no UTF-8") from error
    return AnswerHead(sequence, size, name, start)
