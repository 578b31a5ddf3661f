"""Which clients are admitted: those whose certificate, or its authority, lies in `trusted`."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import structlog
from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.crypto.truststore import TrustStore
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from inspector.files import write_whole
from inspector.repeated import Repeated

TRUSTED: Final = "trusted"
REJECTED: Final = "rejected"
MOST_REJECTED: Final = 100
"""Refused certificates kept for the administrator to look at; the oldest make room."""

ENDINGS: Final = {".der", ".crt", ".cer", ".pem"}
"""Of certificates, as DER or as PEM."""

log = structlog.get_logger()


class Trust:
    """Admits and refuses clients; asyncua calls it for each new channel."""

    def __init__(self, folder: Path) -> None:
        """Raises OSError."""
        self._trusted, self._rejected = folder / TRUSTED, folder / REJECTED
        for each in (self._trusted, self._rejected):
            each.mkdir(parents=True, exist_ok=True)
        self._refused = Repeated(every_s=10)
        self._unreadable: dict[Path, Repeated] = {}

    async def __call__(self, certificate: x509.Certificate, client: ua.ApplicationDescription) -> None:
        """Refuse a client. Raises ServiceError."""
        now = datetime.now(UTC)
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            self._refuse(certificate, client, "has expired or is not valid yet")
            raise ServiceError(ua.StatusCodes.BadCertificateTimeInvalid)
        # Read each time: a certificate is trusted as soon as it lies there.
        store = _Store(list(self._certificates()))
        if not store.is_trusted(certificate):
            self._refuse(certificate, client, f"is not in {self._trusted}")
            raise ServiceError(ua.StatusCodes.BadCertificateUntrusted)

    def _certificates(self) -> Iterator[x509.Certificate]:
        """The certificates in `trusted`; a file that cannot be read costs only itself."""
        try:
            paths = sorted(self._trusted.iterdir())
        except OSError as error:
            self._leave_out(self._trusted, error)
            return
        for path in paths:
            if path.suffix.lower() not in ENDINGS:
                continue
            try:
                yield from _read(path)
            except (OSError, ValueError) as error:
                self._leave_out(path, error)

    def _leave_out(self, path: Path, error: Exception) -> None:
        if self._unreadable.setdefault(path, Repeated()).due() is not None:
            log.error(
                "opcua: a file in `trusted` is no whole certificate: copy it again, or remove it",
                path=str(path), error=str(error),
            )  # fmt: skip

    def _refuse(self, certificate: x509.Certificate, client: ua.ApplicationDescription, why: str) -> None:
        name = certificate.fingerprint(hashes.SHA256()).hex()[:16]
        path = self._rejected / f"{name}.der"
        try:
            self._keep(path, certificate)
        except OSError as error:
            why = f"{why}; and it cannot be kept: {error.strerror}"
        if self._refused.due() is not None:
            log.warning(
                "opcua: a client's certificate is refused: move it to `trusted` to admit it",
                client=client.ApplicationUri or certificate.subject.rfc4514_string(),
                certificate=str(path), why=why,
            )  # fmt: skip

    def _keep(self, path: Path, certificate: x509.Certificate) -> None:
        if path.exists():
            path.touch()
            return
        kept = sorted(self._rejected.iterdir(), key=lambda each: each.stat().st_mtime_ns)
        for oldest in kept[: max(0, 1 + len(kept) - MOST_REJECTED)]:
            oldest.unlink()
        write_whole(path, certificate.public_bytes(serialization.Encoding.DER), sync=False)


class _Store(TrustStore):  # type: ignore[misc]  # asyncua does not type it
    """A store of certificates that are already read; an empty one trusts nobody."""

    def __init__(self, certificates: list[x509.Certificate]) -> None:
        super().__init__([], [])
        self._trust_store = x509.verification.Store(certificates) if certificates else None


def _read(path: Path) -> list[x509.Certificate]:
    """Read a file of certificates. Raises OSError, ValueError."""
    content = path.read_bytes()
    if b"-----BEGIN" in content:
        return x509.load_pem_x509_certificates(content)
    return [x509.load_der_x509_certificate(content)]
