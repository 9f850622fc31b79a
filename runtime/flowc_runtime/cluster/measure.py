"""How fast a link is: a task sends idle bytes to whoever asks, who takes the time.

    flowc.Measure/Stream    request: empty; answer: CHUNKS messages of CHUNK_BYTES raw bytes
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import grpc

SERVICE, METHOD = "flowc.Measure", "Stream"
CHUNK_BYTES = 1 << 20
CHUNKS = 64  # at most, so that nobody can ask for more than this at once
WARM_UP_CHUNKS = 4  # while the connection's window grows


def measure_handler() -> grpc.GenericRpcHandler:
    """What a task's server adds to let others measure."""
    import grpc

    def stream(request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        chunk = bytes(CHUNK_BYTES)
        return (chunk for _ in range(CHUNKS) if context.is_active())

    return grpc.method_handlers_generic_handler(
        SERVICE, {METHOD: grpc.unary_stream_rpc_method_handler(stream)})


def measure(channel: grpc.Channel, seconds: float) -> float | None:
    """Bytes a second that one stream brings, measured for at most `seconds`.

    None if the link is so slow that nothing was measured in that time. Raises grpc.RpcError.
    """
    call = channel.unary_stream(f"/{SERVICE}/{METHOD}")(b"", timeout=2 * seconds)
    begun, taken, last = 0.0, 0, time.perf_counter()
    until = last + seconds
    for number, chunk in enumerate(call):
        last = time.perf_counter()
        if number < WARM_UP_CHUNKS:
            begun = last
            continue
        taken += len(chunk)
        if last > until:
            call.cancel()
            break
    return taken / (last - begun) if taken and last > begun else None
