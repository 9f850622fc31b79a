"""Options of all gRPC channels and servers: when a peer counts as gone, and how much one may send.

Without `ping_timeout_ms` a stopped process is seen after a minute only, and without keepalive a
cut link never.
"""

from __future__ import annotations

MESSAGE_MAX_BYTES = 4 << 20  # tensors travel in chunks of 1 MiB
STREAMS_MAX = 512  # that a task answers at once, each on a thread

Options = tuple[tuple[str, int], ...]

_ALIVE: Options = (
    ("grpc.keepalive_time_ms", 2000),
    ("grpc.keepalive_timeout_ms", 2000),
    ("grpc.http2.ping_timeout_ms", 2000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.max_receive_message_length", MESSAGE_MAX_BYTES),
    ("grpc.max_send_message_length", MESSAGE_MAX_BYTES),
)
CHANNEL_OPTIONS: Options = (
    *_ALIVE,
    ("grpc.enable_retries", 0),
    ("grpc.enable_http_proxy", 0),  # the hosts of a cluster are not the web
    ("grpc.use_local_subchannel_pool", 1),  # a channel made anew connects anew
    # A peer that was away for long is found soon after it is back: gRPC's own pauses grow to two
    # minutes, and it gives an address that does not answer twenty seconds.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.min_reconnect_backoff_ms", 2000),
)
SERVER_OPTIONS: Options = (
    *_ALIVE,
    ("grpc.http2.min_ping_interval_without_data_ms", 500),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.so_reuseport", 0),  # two workers at one port would share its connections at random
)
