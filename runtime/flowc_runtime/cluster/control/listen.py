"""Where a task may listen, and with what certificates."""

from __future__ import annotations

import ipaddress
import socket
from pathlib import Path

from flowc_runtime.cluster.control.credentials import Credentials, load_credentials
from flowc_runtime.cluster.control.reach import split
from flowc_runtime.cluster.errors import ClusterError


def check_listen(address: str, tls: Path | None, insecure: bool) -> Credentials | None:
    """The credentials to listen with; ClusterError `listen-insecure` where they are missing."""
    try:
        host, port = split(address)
    except ValueError as reason:
        raise ClusterError("listen-failed", str(reason)) from reason
    if port > 65535:
        raise ClusterError("listen-failed", f"there is no port {port}; they end at 65535")
    if tls is not None:
        return load_credentials(tls)
    if not insecure and not is_loopback(host):
        raise ClusterError(
            "listen-insecure",
            f"{address} can be reached from other machines, and whoever does can have work done",
            "give --tls DIR with certificates from `flowc cluster cert`, or --insecure in a "
            "network that you trust",
        )
    return None


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches all that the name stands for."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return False
    return all(ipaddress.ip_address(str(place[0]).partition("%")[0]).is_loopback
               for *_, place in found)
