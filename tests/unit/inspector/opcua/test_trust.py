"""Who is admitted by which files, and what the server's own certificate is for."""

import asyncio
import datetime as dt
import os
import shutil
from pathlib import Path

import pytest
import structlog

pytest.importorskip("asyncua", reason="asyncua is not installed: pip install 'strip-inspector[opcua]'")

from asyncua import ua
from asyncua.common.utils import ServiceError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from inspector.errors import ConfigError
from inspector.opcua.security import own_certificate
from inspector.opcua.trust import MOST_REJECTED, Trust
from tests.support.opcua import client_certificate


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clients")
    for name in ("friend", "stranger"):
        client_certificate(folder, name)
    return folder


def asked(trust: Trust, clients: Path, name: str = "friend") -> str:
    """Empty for a client that is admitted, else the status that it gets."""
    certificate = x509.load_der_x509_certificate((clients / f"{name}.der").read_bytes())
    client = ua.ApplicationDescription(ApplicationUri=f"urn:test:{name}")
    try:
        asyncio.run(trust(certificate, client))
    except ServiceError as error:
        return ua.status_codes.get_name_and_doc(error.code)[0]
    return ""


def test_the_first_contact_is_refused_and_kept(tmp_path: Path, clients: Path) -> None:
    """Nothing is trusted yet: the certificate is moved, and the client gets in."""
    trust = Trust(tmp_path)
    with structlog.testing.capture_logs() as logs:
        assert asked(trust, clients) == "BadCertificateUntrusted"
    (kept,) = (tmp_path / "rejected").iterdir()
    assert logs[0]["certificate"] == str(kept)
    shutil.move(kept, tmp_path / "trusted")
    assert asked(trust, clients) == ""
    assert asked(trust, clients, "stranger") == "BadCertificateUntrusted"


@pytest.mark.parametrize("form", ["der", "crt"])
@pytest.mark.parametrize("name", ["a.der", "a.crt", "a.cer", "a.pem", "A.CRT"])
def test_der_and_pem_are_read_by_what_they_hold(tmp_path: Path, clients: Path, form: str, name: str) -> None:
    """Each tool has its own endings."""
    trust = Trust(tmp_path)
    shutil.copy(clients / f"friend.{form}", tmp_path / "trusted" / name)
    assert asked(trust, clients) == ""


@pytest.mark.parametrize("content", [b"", b"half", b"-----BEGIN CERTIFICATE-----\n", None])
def test_a_file_that_cannot_be_read_locks_nobody_out(tmp_path: Path, clients: Path, content: bytes | None) -> None:
    """It is named once."""
    trust = Trust(tmp_path)
    shutil.copy(clients / "friend.der", tmp_path / "trusted" / "z.der")
    bad = tmp_path / "trusted" / "half.der"
    if content is None:
        bad.mkdir()
    else:
        bad.write_bytes(content)
    (tmp_path / "trusted" / "README.txt").write_text("which certificate is whose")
    with structlog.testing.capture_logs() as logs:
        assert [asked(trust, clients) for _ in range(3)] == ["", "", ""]
    assert [line["path"] for line in logs] == [str(bad)]


def test_an_authority_admits_what_it_has_signed(tmp_path: Path, clients: Path) -> None:
    """Also beside other certificates."""
    key, now = rsa.generate_private_key(65537, 2048), dt.datetime.now(dt.UTC)

    def signed(name: str, public: rsa.RSAPublicKey, *, authority: bool) -> x509.Certificate:
        builder = x509.CertificateBuilder().public_key(public).serial_number(x509.random_serial_number())
        builder = builder.subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        builder = builder.issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "plant")]))
        builder = builder.not_valid_before(now - dt.timedelta(1)).not_valid_after(now + dt.timedelta(9))
        return builder.add_extension(x509.BasicConstraints(authority, None), critical=True).sign(
            key, hashes.SHA256()
        )

    member = signed("member", rsa.generate_private_key(65537, 2048).public_key(), authority=False)
    folder = tmp_path / "members"
    folder.mkdir()
    (folder / "member.der").write_bytes(member.public_bytes(serialization.Encoding.DER))
    trust = Trust(tmp_path)
    shutil.copy(clients / "friend.der", tmp_path / "trusted")
    assert asked(trust, folder, "member") == "BadCertificateUntrusted"
    authority = signed("plant", key.public_key(), authority=True)
    (tmp_path / "trusted" / "plant.crt").write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    assert asked(trust, folder, "member") == ""


def test_the_oldest_refused_certificate_makes_room(tmp_path: Path, clients: Path) -> None:
    """The newest one, which the log names, is kept."""
    trust = Trust(tmp_path)
    for number in range(MOST_REJECTED):
        path = tmp_path / "rejected" / f"{number:016x}.der"
        path.write_bytes(b"x")
        os.utime(path, (1000 + number, 1000 + number))
    for name in ("friend", "stranger", "friend"):
        asked(trust, clients, name)
    kept = {each.name for each in (tmp_path / "rejected").iterdir()}
    assert len(kept) == MOST_REJECTED
    assert f"{0:016x}.der" not in kept
    assert f"{2:016x}.der" in kept


def names_of(folder: Path, line: str, host: str) -> tuple[str, x509.SubjectAlternativeName]:
    """The server's URI, and the names in its certificate."""

    uri = own_certificate(folder, line, host)
    made = x509.load_der_x509_certificate((folder / "own" / "server.der").read_bytes())
    return uri, made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value


def test_the_server_s_certificate_names_the_line_and_its_address(tmp_path: Path) -> None:
    """Lines have different URIs; an address is no DNS name; a certificate that is there keeps its URI."""
    uri, names = names_of(tmp_path / "a", "Walzwerk 1 Ö" + "x" * 80, "127.0.0.1")
    assert uri == "urn:strip-inspector:Walzwerk%201%20%C3%96" + "x" * 80
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [uri]
    assert [str(each) for each in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]
    assert "127.0.0.1" not in names.get_values_for_type(x509.DNSName)
    assert names_of(tmp_path / "a", "renamed", "127.0.0.1")[0] == uri
    assert "pc" in names_of(tmp_path / "b", "line 2", "pc")[1].get_values_for_type(x509.DNSName)
    (tmp_path / "b" / "own" / "server.der").write_bytes(b"")
    with pytest.raises(ConfigError, match="remove both files"):
        names_of(tmp_path / "b", "line 2", "pc")
