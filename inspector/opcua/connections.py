"""Connections of clients: bounded in what they send and leave unread, and admitted by the certificate they use."""

import asyncio
from typing import Any, Final

import structlog
from asyncua import ua
from asyncua.common.connection import TransportLimits
from asyncua.common.utils import Buffer, NotEnoughData, ServiceError
from asyncua.server.binary_server_asyncio import BinaryServer, OPCUAProtocol
from asyncua.server.uaprocessor import UaProcessor
from asyncua.ua.ua_binary import header_from_binary, struct_from_binary, struct_to_binary
from cryptography import x509

from inspector.opcua.sessions import Session
from inspector.repeated import Repeated

CHUNK_BYTES: Final = 65_535
LEAST_CHUNK_BYTES: Final = 8_192
"""What the specification (part 6, 7.1.2.3) demands of both sides."""
REQUEST_BYTES: Final = 512 * 1024
"""Longest request. asyncua's objects take up to two hundred times as much memory."""
UNREAD_BYTES: Final = 2_000_000
"""Answers that a client has not taken, before its next request waits."""
UNREAD_S: Final = 20.0
"""How long they may stay untaken, seconds."""

LIMITS: Final = TransportLimits(
    max_recv_buffer=CHUNK_BYTES,
    max_send_buffer=CHUNK_BYTES,
    max_chunk_count=REQUEST_BYTES // LEAST_CHUNK_BYTES,
    max_message_size=REQUEST_BYTES,
)

_CREATE: Final = ua.NodeId(ua.ObjectIds.CreateSessionRequest_Encoding_DefaultBinary)
_ACTIVATE: Final = ua.NodeId(ua.ObjectIds.ActivateSessionRequest_Encoding_DefaultBinary)
_NOT_DONE: Final = (
    ua.NodeId(ua.ObjectIds.RegisterServerRequest_Encoding_DefaultBinary),
    ua.NodeId(ua.ObjectIds.RegisterServer2Request_Encoding_DefaultBinary),
)
"""The library keeps what anybody registers."""

_ended: Final = Repeated()

log = structlog.get_logger()


class Requests(UaProcessor):
    """Answers the requests of one connection."""

    async def process(self, header: Any, body: Buffer) -> Any:
        """Answer one message; false ends the connection."""
        if header.MessageType == ua.MessageType.Hello:
            hello = struct_from_binary(ua.Hello, body.copy())
            if min(hello.ReceiveBufferSize, hello.SendBufferSize) < LEAST_CHUNK_BYTES:
                raise ServiceError(ua.StatusCodes.BadConnectionRejected)
        return await super().process(header, body)

    def send_response(self, requesthandle: Any, seqhdr: Any, response: Any, msgtype: Any = None) -> None:
        """Send an answer, or say that it is too long for the client."""
        response.ResponseHeader.RequestHandle = requesthandle
        body, most = struct_to_binary(response), self._most_answer
        if most and len(body) > most:
            fault = ua.ServiceFault()
            fault.ResponseHeader.RequestHandle = requesthandle
            fault.ResponseHeader.ServiceResult = ua.StatusCode(ua.StatusCodes.BadResponseTooLarge)
            body = struct_to_binary(fault)
        kind = ua.MessageType.SecureMessage if msgtype is None else msgtype
        self._transport.write(
            self._connection.message_to_binary(body, message_type=kind, request_id=seqhdr.RequestId)
        )

    @property
    def _most_answer(self) -> int:
        return int(self._limits.max_message_size)

    async def _process_message(self, typeid: ua.NodeId, requesthdr: Any, seqhdr: Any, body: Buffer) -> Any:
        if typeid in _NOT_DONE:
            raise ServiceError(ua.StatusCodes.BadServiceUnsupported)
        certificate = self._connection.security_policy.peer_certificate
        if typeid in (_CREATE, _ACTIVATE):
            await self._admit(certificate)
        if typeid == _CREATE:
            # The library looks at the certificate that the client names, not at the one that it uses.
            named = struct_from_binary(ua.CreateSessionParameters, body.copy()).ClientCertificate
            if not named or not named.startswith(certificate):
                raise ServiceError(ua.StatusCodes.BadCertificateInvalid)
            if self.session is not None:
                raise ServiceError(ua.StatusCodes.BadTooManySessions)
        elif typeid == _ACTIVATE:
            session = self.session or self.iserver.lookup_external_session(requesthdr.AuthenticationToken)
            if isinstance(session, Session) and session.certificate not in (None, certificate):
                raise ServiceError(ua.StatusCodes.BadSecurityChecksFailed)
        answer = await super()._process_message(typeid, requesthdr, seqhdr, body)
        if typeid == _CREATE and isinstance(self.session, Session):
            self.session.certificate = certificate
        return answer

    async def _admit(self, certificate: bytes | None) -> None:
        """Refuse a channel whose own certificate is not trusted. Raises ServiceError."""
        if not certificate:
            raise ServiceError(ua.StatusCodes.BadSecurityPolicyRejected)
        if self.iserver.certificate_validator is not None:
            used = x509.load_der_x509_certificate(certificate)
            await self.iserver.certificate_validator(used, ua.ApplicationDescription())


class Connection(OPCUAProtocol):
    """One client's connection. It reads a message when the one before is answered and taken."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._received = bytearray()
        self._arrived, self._taken = asyncio.Event(), asyncio.Event()
        self._taken.set()
        self._unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin."""
        super().connection_made(transport)
        if self.transport is not None:
            transport.set_write_buffer_limits(high=UNREAD_BYTES)
            self.processor = Requests(self.iserver, transport, self.limits)
            self.processor.set_policies(self.policies)

    def data_received(self, data: bytes) -> None:
        """Keep what has come, and stop the client when it sends faster than it is answered."""
        self._received += data
        self._arrived.set()
        if self.transport is not None and len(self._received) > 2 * CHUNK_BYTES:
            self.transport.pause_reading()

    def pause_writing(self) -> None:
        """The client does not take its answers."""
        self._taken.clear()
        if self.transport is not None:
            self._unread = asyncio.get_running_loop().call_later(UNREAD_S, self.transport.abort)

    def resume_writing(self) -> None:
        """It has taken them."""
        self._taken.set()
        if self._unread is not None:
            self._unread.cancel()

    def connection_lost(self, ex: BaseException | None) -> None:
        """End."""
        self.resume_writing()
        super().connection_lost(ex)

    async def _process_received_message_loop(self) -> None:
        try:
            while True:
                await self._taken.wait()
                while (message := self._next()) is None:
                    self._arrived.clear()
                    await self._arrived.wait()
                if self.processor is None or not await self.processor.process(*message):
                    break
                await asyncio.sleep(0)  # the other clients' turn
        except Exception as error:  # noqa: BLE001  # broken encryption, chunks, sizes: the connection cannot go on
            if (count := _ended.due()) is not None:
                log.warning(
                    "opcua: a broken connection is closed",
                    client=str(self.peer_name), why=repr(error)[:200], count=count,
                )  # fmt: skip
        if self.transport is not None:
            self.transport.close()
            asyncio.get_running_loop().call_later(UNREAD_S, self.transport.abort)

    def _next(self) -> tuple[Any, Buffer] | None:
        """The next whole message; None until it is there. Raises UaError for one that is too long."""
        try:
            header = header_from_binary(Buffer(bytes(self._received[:12])))
        except NotEnoughData:
            return None
        if not header.header_size < header.packet_size <= CHUNK_BYTES:
            raise ua.UaError(f"a message of {header.packet_size} bytes is announced")
        if len(self._received) < header.packet_size:
            return None
        body = Buffer(bytes(self._received[header.header_size : header.packet_size]))
        del self._received[: header.packet_size]
        if self.transport is not None and len(self._received) <= CHUNK_BYTES:
            self.transport.resume_reading()
        return header, body


class Listener(BinaryServer):
    """Accepts connections."""

    def _make_protocol(self) -> OPCUAProtocol:
        return Connection(
            iserver=self.iserver,
            policies=self._policies,
            clients=self.clients,
            closing_tasks=self.closing_tasks,
            limits=self.limits,
        )
