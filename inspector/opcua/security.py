"""Access: trusted certificates, users with passwords, and the rights of each."""

import hmac
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import structlog
from asyncua import Server, ua
from asyncua.common.utils import ServiceError
from asyncua.crypto.cert_gen import (
    dump_private_key_as_pem,
    generate_private_key,
    generate_self_signed_app_certificate,
)
from asyncua.crypto.permission_rules import PermissionRuleset, SimpleRoleRuleset, User, UserRole
from asyncua.crypto.security_policies import SecurityPolicyFactory, SecurityPolicyNone
from asyncua.crypto.truststore import TrustStore
from asyncua.server.user_managers import UserManager
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import ExtendedKeyUsageOID

from inspector.config.buses import OpcuaUser
from inspector.files import write_whole
from inspector.opcua.connections import LIMITS, Listener
from inspector.opcua.decoding import bound_decoder
from inspector.opcua.sessions import Sessions
from inspector.passwords import read_source
from inspector.repeated import Repeated

APPLICATION_URI: Final = "urn:strip-inspector:server"

TRUSTED: Final = "trusted"
REJECTED: Final = "rejected"
MOST_REJECTED: Final = 100
"""Refused certificates kept for the administrator to look at."""

CERTIFICATE_DAYS: Final = 3650
"""Validity of the server's own certificate: clients trust it once."""

POLICIES: Final = [
    ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt,
    ua.SecurityPolicyType.Aes128Sha256RsaOaep_SignAndEncrypt,
    ua.SecurityPolicyType.Aes256Sha256RsaPss_SignAndEncrypt,
]

_CALL: Final = ua.NodeId(ua.ObjectIds.CallRequest_Encoding_DefaultBinary)
_WRITE: Final = ua.NodeId(ua.ObjectIds.WriteRequest_Encoding_DefaultBinary)

log = structlog.get_logger()


class Users(UserManager):
    """Names and passwords of the config."""

    def __init__(self, users: Mapping[str, OpcuaUser]) -> None:
        """Raises ConfigError for a missing password."""
        self._users = {name: (read_source(user.password).encode(), user.role) for name, user in users.items()}
        self._refused = Repeated()

    def get_user(
        self,
        iserver: Any,  # noqa: ARG002  # the signature is asyncua's
        username: str | None = None,
        password: str | bytes | None = None,
        certificate: Any = None,  # noqa: ARG002
    ) -> User | None:
        """The user; None refuses the session."""
        given = password.encode() if isinstance(password, str) else password or b""
        known, role = self._users.get(username or "", (b"", ""))
        if hmac.compare_digest(known, given) and known:
            return User(UserRole.Admin if role == "operator" else UserRole.User, username)
        if (count := self._refused.due()) is not None:
            log.warning("opcua: wrong user or password", user=username, count=count)
        return None


class Permissions(PermissionRuleset):
    """Viewers only call methods that read; nobody writes values or changes the nodes."""

    def __init__(self) -> None:
        self._user = SimpleRoleRuleset()
        self.reading: set[ua.NodeId] = set()
        """Methods that only read."""

    def check_validity(self, user: User, action_type: ua.NodeId, body: Any) -> bool:
        """Whether a request is allowed."""
        viewer = User(UserRole.User, user.name)
        if action_type == _WRITE or not self._user.check_validity(viewer, action_type, body):
            return False
        if action_type != _CALL or user.role == UserRole.Admin:
            return True
        request = ua.ua_binary.struct_from_binary(ua.CallParameters, body.copy())
        return all(each.MethodId in self.reading for each in request.MethodsToCall)


class Nothing(PermissionRuleset):
    """For the unencrypted channel: it gives the endpoints and the server's certificate, and nothing else."""

    def check_validity(self, user: User, action_type: ua.NodeId, body: Any) -> bool:  # noqa: ARG002
        """Refuse everything."""
        return False


class SafeServer(Server):
    """A server whose unencrypted channel only tells how to get an encrypted one, and whose clients have limits."""

    def __init__(self) -> None:
        bound_decoder()
        super().__init__(Sessions())
        self.limits = LIMITS

    async def start(self) -> None:
        """Listen. Raises OSError."""
        await self._setup_server_nodes()
        await self.iserver.start()
        host, port = self._get_bind_socket_info()
        self.bserver = Listener(self.iserver, host or "", port or 0, self.limits)
        self.bserver.set_policies(self._policies)
        try:
            await self.bserver.start()
        except OSError:
            await self.iserver.stop()
            raise

    async def _setup_server_nodes(self) -> None:
        await super()._setup_server_nodes()
        self._policies.append(
            SecurityPolicyFactory(
                SecurityPolicyNone,
                ua.MessageSecurityMode.None_,
                self.iserver.certificate,
                self.iserver.private_key,
                permission_ruleset=Nothing(),
            )
        )


class Trust:
    """Admits clients whose certificate, or its authority, lies in `trusted`."""

    def __init__(self, folder: Path) -> None:
        """Raises OSError."""
        self._trusted, self._rejected = folder / TRUSTED, folder / REJECTED
        for each in (self._trusted, self._rejected):
            each.mkdir(parents=True, exist_ok=True)
        self._refused = Repeated(every_s=10)

    async def __call__(self, certificate: x509.Certificate, client: ua.ApplicationDescription) -> None:
        """Refuse a client. Raises ServiceError."""
        now = datetime.now(UTC)
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            self._refuse(certificate, client, "has expired or is not valid yet")
            raise ServiceError(ua.StatusCodes.BadCertificateTimeInvalid)
        store = TrustStore([self._trusted], [])
        await store.load()  # each time: a certificate is trusted as soon as it lies there
        if not store.is_trusted(certificate):
            self._refuse(certificate, client, f"is not in {self._trusted}")
            raise ServiceError(ua.StatusCodes.BadCertificateUntrusted)

    def _refuse(self, certificate: x509.Certificate, client: ua.ApplicationDescription, why: str) -> None:
        name = certificate.fingerprint(hashes.SHA256()).hex()[:16]
        path = self._rejected / f"{name}.der"
        if len(list(self._rejected.iterdir())) < MOST_REJECTED:
            path.write_bytes(certificate.public_bytes(serialization.Encoding.DER))
        if self._refused.due() is not None:
            log.warning(
                "opcua: a client's certificate is refused: move it to `trusted` to admit it",
                client=client.ApplicationUri, certificate=str(path), why=why,
            )  # fmt: skip


async def secure(server: Server, folder: Path, host: str, users: Users, permissions: Permissions) -> None:
    """Give the server its certificate, made at the first start, and its rules. Raises OSError."""
    certificate, key = folder / "own" / "server.der", folder / "own" / "server.pem"
    certificate.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    await server.set_application_uri(APPLICATION_URI)
    if not (certificate.exists() and key.exists()):
        private = generate_private_key()
        names: list[x509.GeneralName] = [
            x509.UniformResourceIdentifier(APPLICATION_URI),
            x509.DNSName(socket.gethostname()),
        ]
        if host != socket.gethostname():
            names.append(x509.DNSName(host))
        signed = generate_self_signed_app_certificate(
            private,
            APPLICATION_URI,
            {"commonName": "strip-inspector"},
            names,
            [ExtendedKeyUsageOID.SERVER_AUTH],
            CERTIFICATE_DAYS,
        )
        write_whole(key, dump_private_key_as_pem(private))
        write_whole(certificate, signed.public_bytes(serialization.Encoding.DER))
    await server.load_certificate(certificate)
    await server.load_private_key(key)
    server.set_security_policy(POLICIES, permissions)
    server.set_identity_tokens([ua.UserNameIdentityToken])
    server.set_certificate_validator(Trust(folder))
    server.iserver.user_manager = users
