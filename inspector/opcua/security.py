"""Access: the server's certificate, users with passwords, and the rights of each."""

import hmac
import ipaddress
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import structlog
from asyncua import Server, ua
from asyncua.crypto.cert_gen import (
    dump_private_key_as_pem,
    generate_private_key,
    generate_self_signed_app_certificate,
)
from asyncua.crypto.permission_rules import PermissionRuleset, SimpleRoleRuleset, User, UserRole
from asyncua.crypto.security_policies import SecurityPolicyFactory, SecurityPolicyNone
from asyncua.server.user_managers import UserManager
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID

from inspector.config.buses import OpcuaUser
from inspector.errors import ConfigError
from inspector.files import write_whole
from inspector.opcua.connections import LIMITS, Listener
from inspector.opcua.decoding import bound_decoder
from inspector.opcua.sessions import Sessions
from inspector.opcua.trust import Trust
from inspector.passwords import read_source
from inspector.repeated import Repeated

APPLICATION_URI: Final = "urn:strip-inspector"
"""The line's name follows."""

LONGEST_COMMON_NAME: Final = 64
"""Of X.509."""

CERTIFICATE: Final = "own/server.der"
KEY: Final = "own/server.pem"

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


async def secure(
    server: Server, folder: Path, line: str, host: str, users: Users, permissions: Permissions
) -> None:
    """Give the server its certificate and its rules. Raises ConfigError, OSError."""
    await server.set_application_uri(own_certificate(folder, line, host))
    await server.load_certificate(folder / CERTIFICATE)
    await server.load_private_key(folder / KEY)
    server.set_security_policy(POLICIES, permissions)
    server.set_identity_tokens([ua.UserNameIdentityToken])
    server.set_certificate_validator(Trust(folder))
    server.iserver.user_manager = users


def own_certificate(folder: Path, line: str, host: str) -> str:
    """Make the server's certificate at the first start; returns its URI. Raises ConfigError, OSError."""
    certificate, key = folder / CERTIFICATE, folder / KEY
    certificate.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not (certificate.exists() and key.exists()):
        private = generate_private_key()
        name = quote(line, safe="")
        signed = generate_self_signed_app_certificate(
            private,
            f"strip-inspector {name}"[:LONGEST_COMMON_NAME],
            {},
            _names(f"{APPLICATION_URI}:{name}", host),
            [ExtendedKeyUsageOID.SERVER_AUTH],
            CERTIFICATE_DAYS,
        )
        write_whole(key, dump_private_key_as_pem(private))
        write_whole(certificate, signed.public_bytes(serialization.Encoding.DER))
    try:
        serialization.load_pem_private_key(key.read_bytes(), None)
        return _application_uri(certificate.read_bytes())
    except (ValueError, TypeError) as error:
        raise ConfigError(
            f"{certificate.parent}: the server's certificate or key cannot be used ({error}): remove both files, "
            "and the next start makes new ones"
        ) from None


def _names(uri: str, host: str) -> list[x509.GeneralName]:
    """What the certificate is for: the application, this PC, and the address to listen on."""
    here = socket.gethostname()
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri), x509.DNSName(here)]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return names if host == here else [*names, x509.DNSName(host)]
    return names if address.is_unspecified else [*names, x509.IPAddress(address)]


def _application_uri(certificate: bytes) -> str:
    """The URI in the certificate, which clients compare with the server's. Raises ValueError."""
    read = x509.load_der_x509_certificate(certificate)
    try:
        names = read.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return names.get_values_for_type(x509.UniformResourceIdentifier)[0]
    except (x509.ExtensionNotFound, IndexError):
        raise ValueError("server.der names no application URI") from None
