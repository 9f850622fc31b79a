"""Certificates of a cluster: who shows none that its CA has signed is not spoken to."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from flowc_runtime.cluster.errors import ClusterError

if TYPE_CHECKING:
    import grpc

CA, CERT, KEY = "ca.pem", "cert.pem", "key.pem"
OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True)
class Credentials:
    """A folder of `flowc cluster cert`, read; the texts in PEM."""

    folder: Path
    ca: bytes = field(repr=False)
    cert: bytes = field(repr=False)
    key: bytes = field(repr=False)

    def server(self) -> grpc.ServerCredentials:
        """For a server that asks its clients for their certificates."""
        import grpc

        return grpc.ssl_server_credentials(
            [(self.key, self.cert)], root_certificates=self.ca, require_client_auth=True)

    def channel(self) -> grpc.ChannelCredentials:
        import grpc

        return grpc.ssl_channel_credentials(self.ca, self.key, self.cert)


def load_credentials(folder: Path) -> Credentials:
    """Reads ca.pem, cert.pem and key.pem; ClusterError `tls-missing`, `tls-key-readable`."""
    key = _read(folder, KEY, secret=True)
    return Credentials(folder, _read(folder, CA), _read(folder, CERT), key)


def _read(folder: Path, name: str, secret: bool = False) -> bytes:
    path = folder / name
    try:
        with path.open("rb") as file:
            if secret and os.fstat(file.fileno()).st_mode & OTHERS:
                raise ClusterError(
                    "tls-key-readable", f"{path} can be read by other users of this machine",
                    f"chmod 600 {path}, and make new certificates if others may have read it",
                )  # fmt: skip
            return file.read()
    except OSError as error:
        raise ClusterError(
            "tls-missing", f"{path}: {(error.strerror or str(error)).lower()}",
            "make them with `flowc cluster cert DIR --host NAME`, and copy DIR/NAME to the host",
        ) from error  # fmt: skip
