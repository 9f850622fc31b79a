"""Why a task cannot be spoken to, found out with plain sockets.

gRPC says UNAVAILABLE for all of it, so the ways to it are walked one by one: name, route, port,
TLS, and whether HTTP/2 is spoken there.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import ssl
from typing import NoReturn

from flowc_runtime.cluster.control.credentials import CERT, KEY, Credentials
from flowc_runtime.cluster.errors import ClusterError

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
FRAME_BYTES = 9  # of an HTTP/2 frame's head; its fourth byte is the kind
SETTINGS = 4  # the kind of the first frame that a server sends
TLS_ALERT = b"\x15\x03"
NO_WAY = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN)


def split(address: str) -> tuple[str, int]:
    """Host and port; ValueError."""
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isdecimal():
        raise ValueError(f"`{address}` is not HOST:PORT")
    return host.removeprefix("[").removesuffix("]"), int(port)


def knock(address: str, credentials: Credentials | None, seconds: float) -> None:
    """Returns if a server of the right kind answers; else ClusterError `host-…`."""
    connection = connect(address, seconds)
    with connection:
        if credentials is None:
            _expect_plain(connection, address, seconds)
        else:
            _expect_tls(connection, address, credentials, seconds)


def connect(address: str, seconds: float) -> socket.socket:
    """Raises ClusterError `host-unknown`, `host-unreachable` or `host-refused`."""
    host, port = split(address)
    try:
        return socket.create_connection((host, port), timeout=seconds)
    except (socket.gaierror, UnicodeError) as error:
        raise ClusterError(
            "host-unknown", f"the name {host} does not resolve",
            "write its IP address, or add the name to /etc/hosts",
        ) from error  # fmt: skip
    except ConnectionRefusedError as error:
        raise ClusterError(
            "host-refused", f"{host} is up, but nothing listens at {address}",
            f"start it there: flowc worker --listen {address}",
        ) from error  # fmt: skip
    except OSError as error:
        what = "no route leads to it" if error.errno in NO_WAY else f"no answer in {seconds:g} s"
        raise _unreachable(address, what) from error


def _expect_plain(connection: socket.socket, address: str, seconds: float) -> None:
    answer = _first_bytes(connection, address, seconds)
    if _is_settings(answer):
        return
    if answer.startswith(TLS_ALERT) or (not answer and _speaks_tls(address, seconds)):
        raise ClusterError(
            "host-unauthenticated", f"{address} wants TLS, and this side has no certificate",
            "name the folder of certificates in the cluster file: security: {tls: DIR}",
        )  # fmt: skip
    _not_flowc(address)


def _expect_tls(
    connection: socket.socket, address: str, credentials: Credentials, seconds: float
) -> None:
    context = ssl.create_default_context(cadata=credentials.ca.decode())
    context.load_cert_chain(credentials.folder / CERT, credentials.folder / KEY)
    context.set_alpn_protocols(["h2"])
    try:
        with context.wrap_socket(connection, server_hostname=split(address)[0]) as secure:
            # A server's refusal of our certificate comes after its part of the handshake.
            answer = _first_bytes(secure, address, seconds)
    except ssl.SSLCertVerificationError as error:
        reason = error.verify_message.rstrip(".")
        raise _unauthenticated(f"its certificate is not accepted: {reason}", address) from error
    except TimeoutError as error:
        raise _unreachable(address, "it takes connections, but says nothing") from error
    except OSError as error:
        if _speaks_plain(address, seconds):
            raise _unauthenticated("it does not use TLS", address) from error
        if isinstance(error, ssl.SSLError) and "ALERT" in (error.reason or ""):
            raise _unauthenticated("it does not accept our certificate", address) from error
        _not_flowc(address)
    if not answer:
        raise _unauthenticated("it does not accept our certificate", address)
    if not _is_settings(answer):
        _not_flowc(address)


def _first_bytes(connection: socket.socket, address: str, seconds: float) -> bytes:
    """What a server answers to an HTTP/2 client; nothing where it hangs up."""
    connection.settimeout(seconds)
    try:
        connection.sendall(PREFACE)
        return connection.recv(FRAME_BYTES)
    except TimeoutError as error:
        raise _unreachable(address, "it takes connections, but says nothing") from error
    except (ConnectionError, ssl.SSLEOFError):
        return b""


def _is_settings(answer: bytes) -> bool:
    return len(answer) > 3 and answer[3] == SETTINGS and not answer.startswith(TLS_ALERT)


def _speaks_tls(address: str, seconds: float) -> bool:
    """Whether a TLS handshake gets so far that the server shows a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # only to see whether it is TLS; nothing is sent
    context.set_alpn_protocols(["h2"])
    with contextlib.suppress(OSError, ClusterError), connect(address, seconds) as connection:
        context.wrap_socket(connection).close()
        return True
    return False


def _speaks_plain(address: str, seconds: float) -> bool:
    with contextlib.suppress(OSError, ClusterError), connect(address, seconds) as connection:
        return _is_settings(_first_bytes(connection, address, seconds))
    return False


def _unreachable(address: str, what: str) -> ClusterError:
    return ClusterError(
        "host-unreachable", f"{address} cannot be reached: {what}",
        "is it switched on, and does its firewall let the port through?",
    )  # fmt: skip


def _unauthenticated(what: str, address: str) -> ClusterError:
    return ClusterError(
        "host-unauthenticated", f"{address} and this machine do not trust each other: {what}",
        "both need certificates made by `flowc cluster cert` in one go, and made for the names "
        "that the cluster file uses",
    )  # fmt: skip


def _not_flowc(address: str) -> NoReturn:
    raise ClusterError(
        "host-not-flowc", f"what listens at {address} is no flowc worker",
        "is the port right? ss -ltnp on the host says who has it",
    )  # fmt: skip
