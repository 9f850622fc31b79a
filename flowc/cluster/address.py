"""Addresses: `host:port`, where the host is a name, an IPv4 address or an IPv6 one in brackets."""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address

PORTS = range(1, 65536)
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_NUMBERS = re.compile(r"[0-9.]+")
LONGEST_NAME = 253  # of the domain name system


class BadAddress(ValueError):
    """The text is no address; the message is the end of a sentence that begins with it."""

    def __init__(self, message: str, help: str | None = None):
        super().__init__(message)
        self.message = message
        self.help = help


def split(address: str) -> tuple[str, int]:
    """Host and port of an address that is sound; the host without brackets."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def join(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_loopback(address: str) -> bool:
    """Whether only this machine can reach it. A name other than `localhost` is not looked up."""
    host = split(address)[0]
    if host == "localhost":
        return True
    try:
        return IPv6Address(host).is_loopback if ":" in host else IPv4Address(host).is_loopback
    except AddressValueError:
        return False


def parse_address(text: str) -> str:
    """The address in its one spelling; raises BadAddress. Port 0 is let through."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or (":" in text and text.endswith("]")):
        raise BadAddress("has no port", f"write it as {text}:2222")
    if not port.isascii() or not port.isdecimal():
        raise BadAddress(
            f"ends in `{port[:20]}`, which is no port", "a port is a number from 1 to 65535")
    if len(port) > 5 or int(port) > PORTS[-1]:
        raise BadAddress(f"has the port {port[:20]}, but ports end at 65535")
    return join(parse_host(host), int(port))


def parse_host(host: str) -> str:
    """The name or IP address in its one spelling, without brackets; raises BadAddress."""
    if host.startswith("[") or ":" in host:
        return _ipv6(host)
    if _NUMBERS.fullmatch(host):
        return _ipv4(host)
    labels = host.split(".")
    if len(host) > LONGEST_NAME or not all(_LABEL.fullmatch(label) for label in labels):
        raise BadAddress("does not begin with the name or the IP address of a host")
    return host.lower()


def _ipv4(host: str) -> str:
    try:
        found = IPv4Address(host)
    except AddressValueError:
        raise BadAddress(f"begins with `{host}`, which is no IPv4 address") from None
    _one_of_many(str(found), found.is_unspecified or found.is_multicast)
    return str(found)


def _ipv6(host: str) -> str:
    if not (host.startswith("[") and host.endswith("]")):
        raise BadAddress("has several `:`", f'write an IPv6 address as "[{host.strip("[]")}]:2222"')
    try:
        found = IPv6Address(host[1:-1])
    except AddressValueError:
        raise BadAddress(f"begins with `{host}`, which is no IPv6 address") from None
    _one_of_many(str(found), found.is_unspecified or found.is_multicast)
    return str(found)


def _one_of_many(host: str, wrong: bool) -> None:
    if wrong:
        raise BadAddress(
            f"is not where others reach this host: {host} is no single machine",
            "name the address that the other hosts connect to",
        )
