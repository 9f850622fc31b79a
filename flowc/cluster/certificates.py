"""A CA for one cluster, and the certificates that it signs: who has one belongs to the job.

    DIR/ca.pem  DIR/ca-key.pem            the authority; its key signs further hosts later
    DIR/cert.pem  DIR/key.pem             of this machine, from which one trains
    DIR/NAME/{ca,cert,key}.pem            of the host NAME, to be copied there

Every certificate bears the cluster's id as its common name, and serves both ends of a connection.
"""

from __future__ import annotations

import datetime as dt
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

CA, CA_KEY, CERT, KEY = "ca.pem", "ca-key.pem", "cert.pem", "key.pem"
CA_SUFFIX = " CA"  # of its name: one that signs itself under its own name is taken for a root
VALID_DAYS = 825
CA_VALID_DAYS = 3650
CLOCKS_APART = dt.timedelta(hours=1)  # a host whose clock is behind takes the certificate as well
THIS_MACHINE = ("localhost", "127.0.0.1", "::1")
FOLDER_MODE, KEY_MODE, CERT_MODE = 0o700, 0o600, 0o644


class CertError(Exception):
    """Certificates cannot be made; the code is explained in `codes/`."""

    def __init__(self, code: str, message: str, help: str | None = None):
        super().__init__(message)
        self.code = code
        self.message = message
        self.help = help


@dataclass(frozen=True)
class Subject:
    """A host: the folder that its files get, and the names and addresses it is reached by."""

    folder: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class _Authority:
    certificate: x509.Certificate
    key: EllipticCurvePrivateKey


@dataclass(frozen=True)
class _File:
    path: Path
    content: bytes
    mode: int


def make(folder: Path, hosts: Sequence[Subject], days: int = VALID_DAYS) -> list[Path]:
    """Writes what is missing: a CA and this machine's certificate, then one for each host.

    Gives the files written. Nothing is overwritten: CertError if a host has its files already.
    """
    _require_library()
    new = not (folder / CA).exists()
    authority = _new_authority() if new else _read_authority(folder)
    files = _of_authority(folder, authority, days) if new else []
    for host in hosts:
        files += _of_host(folder / host.folder, authority, host.names, days)
    if not files:
        raise CertError(
            "cert-exists", f"{folder} holds a CA and a certificate already",
            "name hosts to add with --host, or another folder",
        )  # fmt: skip
    _write(files)
    return [file.path for file in files]


def _require_library() -> None:
    try:
        import cryptography  # noqa: F401
    except ImportError:
        raise CertError(
            "cert-library", "certificates need the package cryptography, which is not installed",
            'pip install "flowc[tls]"',
        ) from None  # fmt: skip


def _of_authority(folder: Path, authority: _Authority, days: int) -> list[_File]:
    return [
        _File(folder / CA_KEY, _key_bytes(authority.key), KEY_MODE),
        *_of_host(folder, authority, THIS_MACHINE, days),
    ]


def _of_host(
    folder: Path, authority: _Authority, names: Sequence[str], days: int
) -> list[_File]:
    key = _new_key()
    signed = _sign(authority, key, names, days)
    return [
        _File(folder / CA, _certificate_bytes(authority.certificate), CERT_MODE),
        _File(folder / CERT, _certificate_bytes(signed), CERT_MODE),
        _File(folder / KEY, _key_bytes(key), KEY_MODE),
    ]


def _write(files: Sequence[_File]) -> None:
    taken = [file.path for file in files if os.path.lexists(file.path)]
    if taken:
        raise CertError(
            "cert-exists", f"{taken[0]} is there already", "remove it first to make a new one")
    for file in files:
        file.path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        handle = os.open(file.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, file.mode)
        with os.fdopen(handle, "wb") as out:
            out.write(file.content)


# --- keys and certificates --------------------------------------------------------------------


def _new_key() -> EllipticCurvePrivateKey:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def _new_authority() -> _Authority:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    key = _new_key()
    name = _name(f"flowc-{secrets.token_hex(4)}{CA_SUFFIX}")
    builder = _dated(CA_VALID_DAYS).subject_name(name).issuer_name(name)
    builder = builder.public_key(key.public_key())
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = builder.add_extension(identifier, critical=False)
    return _Authority(builder.sign(key, hashes.SHA256()), key)


def _sign(
    authority: _Authority, key: EllipticCurvePrivateKey, names: Sequence[str], days: int
) -> x509.Certificate:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import ExtendedKeyUsageOID as Usage

    signer = authority.certificate
    both_ends = x509.ExtendedKeyUsage([Usage.SERVER_AUTH, Usage.CLIENT_AUTH])
    issued_by = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_usage(signs_certificates=False), True),
        (both_ends, False),
        (x509.SubjectAlternativeName([_alternative(name) for name in names]), False),
        (issued_by, False),
    ]
    builder = _dated(days).subject_name(_name(cluster_id(signer))).issuer_name(signer.subject)
    builder = builder.public_key(key.public_key())
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(authority.key, hashes.SHA256())


def cluster_id(certificate: x509.Certificate) -> str:
    """The common name of every certificate of the cluster, `flowc-88de3a2c`."""
    from cryptography.x509.oid import NameOID

    attribute = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0]
    return str(attribute.value).removesuffix(CA_SUFFIX)


def _dated(days: int) -> x509.CertificateBuilder:
    from cryptography import x509

    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder().serial_number(x509.random_serial_number())
    return builder.not_valid_before(now - CLOCKS_APART).not_valid_after(
        now + dt.timedelta(days=days))


def _name(common_name: str) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _usage(signs_certificates: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not signs_certificates, key_cert_sign=signs_certificates,
        crl_sign=signs_certificates, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _alternative(name: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _read_authority(folder: Path) -> _Authority:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    if not (folder / CA_KEY).exists():
        raise CertError(
            "cert-exists", f"{folder} holds a CA, but not its key {CA_KEY}, so it signs nothing",
            "make the certificates where the key is, or take another folder",
        )  # fmt: skip
    try:
        certificate = x509.load_pem_x509_certificate((folder / CA).read_bytes())
        key = load_pem_private_key((folder / CA_KEY).read_bytes(), password=None)
    except (ValueError, TypeError):
        raise CertError(
            "cert-damaged", f"{CA} or {CA_KEY} in {folder} is not what flowc wrote") from None
    if not isinstance(key, EllipticCurvePrivateKey) or (
        certificate.public_key() != key.public_key()
    ):
        raise CertError("cert-damaged", f"{CA} and {CA_KEY} in {folder} do not belong together")
    return _Authority(certificate, key)


def _certificate_bytes(certificate: x509.Certificate) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.PEM)


def _key_bytes(key: EllipticCurvePrivateKey) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
