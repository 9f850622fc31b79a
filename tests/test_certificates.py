"""`flowc cluster cert`: whom the certificates are for, who may read the keys, what is refused."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from command_line import run
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from flowc.cluster.certificates import CertError, Subject, cluster_id, make

ROUND_TRIPS = 4  # more than a handshake takes
ALPHA = Subject("alpha", ("10.0.0.1", "alpha.lan"))


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def names(found: x509.Certificate) -> set[str]:
    alternative = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {str(name.value) for name in alternative}


def handshake(server: Path, client: Path, name: str) -> str | None:
    """Two ends in memory that both ask for a certificate; what went wrong, None for nothing."""
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.verify_mode = ssl.CERT_REQUIRED
    asking = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for context, folder in ((serving, server), (asking, client)):
        context.load_verify_locations(folder / "ca.pem")
        context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    one, two = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [asking.wrap_bio(one, two, server_hostname=name),
            serving.wrap_bio(two, one, server_side=True)]  # fmt: skip
    for _ in range(ROUND_TRIPS):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError as error:
                return str(error)
    return None


def test_each_host_gets_a_folder_and_this_machine_the_rest(tmp_path: Path) -> None:
    written = {str(path.relative_to(tmp_path)) for path in make(tmp_path, [ALPHA])}
    assert written == {"ca.pem", "ca-key.pem", "cert.pem", "key.pem",
                       "alpha/ca.pem", "alpha/cert.pem", "alpha/key.pem"}  # fmt: skip
    assert names(certificate(tmp_path / "cert.pem")) == {"localhost", "127.0.0.1", "::1"}
    assert names(certificate(tmp_path / "alpha" / "cert.pem")) == {"10.0.0.1", "alpha.lan"}


def test_only_the_owner_can_read_a_key(tmp_path: Path) -> None:
    make(tmp_path, [ALPHA])
    keys = list(tmp_path.rglob("*key.pem"))
    assert len(keys) == 3 and {path.stat().st_mode & 0o777 for path in keys} == {0o600}


def test_every_certificate_bears_the_id_of_the_cluster_and_serves_both_ends(tmp_path: Path) -> None:
    make(tmp_path, [ALPHA])
    paths = [path for path in tmp_path.rglob("c*.pem") if path.name != "ca-key.pem"]
    ids = {cluster_id(certificate(path)) for path in paths}
    assert len(ids) == 1 and ids.pop().startswith("flowc-")
    usage = certificate(tmp_path / "alpha" / "cert.pem").extensions.get_extension_for_oid(
        ExtensionOID.EXTENDED_KEY_USAGE).value  # fmt: skip
    assert isinstance(usage, x509.ExtendedKeyUsage)
    assert {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH} == set(usage)


def test_two_hosts_of_a_cluster_take_each_others_certificates(tmp_path: Path) -> None:
    make(tmp_path, [ALPHA, Subject("beta", ("10.0.0.2",))])
    assert handshake(tmp_path / "alpha", tmp_path / "beta", "10.0.0.1") is None
    assert handshake(tmp_path, tmp_path / "beta", "localhost") is None


def test_a_host_under_another_name_is_refused(tmp_path: Path) -> None:
    make(tmp_path, [ALPHA])
    assert "mismatch" in (handshake(tmp_path / "alpha", tmp_path, "10.0.0.9") or "")


def test_another_clusters_certificate_is_refused(tmp_path: Path) -> None:
    make(tmp_path / "ours", [ALPHA])
    make(tmp_path / "theirs", [ALPHA])
    assert handshake(tmp_path / "ours" / "alpha", tmp_path / "theirs" / "alpha", "10.0.0.1")


def test_a_host_can_be_added_by_the_same_ca(tmp_path: Path) -> None:
    make(tmp_path, [ALPHA])
    written = make(tmp_path, [Subject("beta", ("10.0.0.2",))])
    assert {path.parent.name for path in written} == {"beta"}
    assert handshake(tmp_path / "beta", tmp_path / "alpha", "10.0.0.2") is None


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    make(tmp_path, [ALPHA])
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.pem")}
    for again in ([], [ALPHA], [Subject("beta", ("10.0.0.2",)), ALPHA]):
        with pytest.raises(CertError) as refused:
            make(tmp_path, again)
        assert refused.value.code == "cert-exists"
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.pem")} == before


def test_a_ca_without_its_key_signs_nothing(tmp_path: Path) -> None:
    make(tmp_path, [])
    (tmp_path / "ca-key.pem").unlink()
    with pytest.raises(CertError, match="not its key"):
        make(tmp_path, [ALPHA])


@pytest.mark.parametrize("damage", [b"", b"-----BEGIN PRIVATE KEY-----\nAAAA\n"])
def test_a_damaged_ca_is_told(tmp_path: Path, damage: bytes) -> None:
    make(tmp_path, [])
    (tmp_path / "ca-key.pem").write_bytes(damage)
    with pytest.raises(CertError) as refused:
        make(tmp_path, [ALPHA])
    assert refused.value.code == "cert-damaged"


def test_the_key_of_another_ca_is_told(tmp_path: Path) -> None:
    make(tmp_path / "a", [])
    make(tmp_path / "b", [])
    (tmp_path / "a" / "ca-key.pem").write_bytes((tmp_path / "b" / "ca-key.pem").read_bytes())
    with pytest.raises(CertError) as refused:
        make(tmp_path / "a", [ALPHA])
    assert refused.value.code == "cert-damaged"


def test_without_the_library_the_message_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cryptography", None)
    result = run("cluster", "cert", tmp_path / "certs")
    assert result.exit_code == 1 and 'pip install "flowc[tls]"' in result.stderr
    assert not (tmp_path / "certs").exists()


def test_the_command_makes_them_for_the_hosts_of_a_file_that_names_the_folder(
    tmp_path: Path,
) -> None:
    file = tmp_path / "hosts.yaml"
    file.write_text(
        "hosts:\n  alpha: {address: 10.0.0.1:2222}\n  beta: {address: beta.lan:2222}\n"
        "security: {tls: certs}\n"
    )
    assert run("cluster", "check", file, "--offline").exit_code == 78
    result = run("cluster", "cert", tmp_path / "certs", "--cluster", file)
    assert result.exit_code == 0, result.stderr
    assert str(tmp_path / "certs" / "beta" / "key.pem") in result.stdout.splitlines()
    assert names(certificate(tmp_path / "certs" / "alpha" / "cert.pem")) == {"10.0.0.1", "alpha"}
    assert run("cluster", "check", file, "--offline").exit_code == 0


def test_the_command_refuses_what_is_no_host(tmp_path: Path) -> None:
    result = run("cluster", "cert", tmp_path / "certs", "--host", "../x")
    assert result.exit_code == 2 and "--host" in result.stderr


def test_the_command_takes_names_and_addresses(tmp_path: Path) -> None:
    result = run("cluster", "cert", tmp_path, "--host", "10.0.0.1", "--host", "fd00::2")
    assert result.exit_code == 0, result.stderr
    assert names(certificate(tmp_path / "fd00::2" / "cert.pem")) == {"fd00::2"}
    assert run("cluster", "cert", tmp_path, "--host", "10.0.0.1").exit_code == 73
