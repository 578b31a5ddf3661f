"""One connection to the broker. After a failure it is closed, and another one is made."""

import json
import ssl
from typing import Any, Final

import msgspec
from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from inspector.config.buses import MqttSettings
from inspector.errors import ConfigError
from inspector.passwords import read_source

KEEPALIVE_S: Final = 20
"""A broker that is silent for one and a half times as long is gone."""

MOST_OPEN: Final = 100
"""Messages sent and not acknowledged; a broker may allow fewer (mosquitto: 20)."""

QOS: Final = 1

ONLINE: Final = "online"
"""Topic that says whether this process is connected: the broker itself publishes the last will there."""


QUOTA_EXCEEDED: Final = 0x97
"""Reason code of a broker that refuses all messages for now."""

SESSION_TAKEN_OVER: Final = 0x8E
UNSPECIFIED: Final = 0x80


class LinkError(Exception):
    """The connection failed; its text is the reason, without a name of the broker."""


class TakenOverError(LinkError):
    """Another client has the same client id."""


class TooLargeError(Exception):
    """A message is larger than the broker takes; its text is the reason."""


class Link:
    """A connection that is driven by `turn`; not thread-safe."""

    def __init__(self, settings: MqttSettings, topic: str, client_id: str) -> None:
        """`topic` is the beginning of all topics. Raises ConfigError for files that cannot be used."""
        self._settings, self._topic, self._client_id = settings, topic, client_id
        self._client = Client(CallbackAPIVersion.VERSION2, client_id, protocol=MQTTv5)
        self._client.max_inflight_messages_set(0)  # this class counts
        if settings.user is not None:
            password = None if settings.password is None else read_source(settings.password)
            self._client.username_pw_set(settings.user, password)
        if settings.tls:
            self._client.tls_set_context(_context(settings))
        self._client.will_set(f"{topic}/{ONLINE}", _online(now=False), QOS, retain=True)
        # Client and user data come first; of the rest, each takes what it needs.
        self._client.on_connect = lambda _c, _d, _flags, *told: self._connected(*told)
        self._client.on_publish = lambda _c, _d, number, code, _p: self._answered(number, code)
        self._client.on_disconnect = lambda _c, _d, _flags, code, _p: self._disconnected(code)
        self.window = 0
        """Messages that may be sent and not acknowledged; 0 until the broker has accepted the connection."""
        self.answered: list[tuple[int, str]] = []
        """Number of each message that the broker has answered since the last look; why it refuses it, or empty."""
        self._most_bytes: int | None = None
        self._failed: LinkError | None = None

    def open(self) -> None:
        """Connect, up to TLS; the broker's answer comes with `turn`. Raises LinkError."""
        host, _, port = self._settings.address.rpartition(":")
        try:
            self._client.connect(host, int(port), KEEPALIVE_S, clean_start=True)
        except ssl.SSLCertVerificationError as error:
            raise LinkError(f"the broker's certificate is refused: {error.verify_message}") from None
        except (OSError, ValueError) as error:
            raise LinkError(str(getattr(error, "strerror", None) or error or type(error).__name__)) from None

    def accepted(self) -> bool:
        """Whether the broker has accepted the connection."""
        return self.window > 0

    def turn(self, wait_s: float) -> None:
        """Send and receive, and wait for something to receive. Raises LinkError."""
        code = self._client.loop(wait_s)
        if self._failed is not None:
            raise self._failed
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise LinkError(str(code.name))

    def send(self, topic: str, message: Any, *, retain: bool = False) -> int:
        """Publish a message; returns its number. Raises TooLargeError."""
        whole, content = f"{self._topic}/{topic}", msgspec.json.encode(message)
        size = packet_bytes(whole, content)
        if self._most_bytes is not None and size > self._most_bytes:
            raise TooLargeError(f"its {size} bytes are more than the broker's limit of {self._most_bytes}")
        return self._client.publish(whole, content, QOS, retain).mid

    def say_online(self) -> int:
        """Publish that this process is connected."""
        return self._client.publish(f"{self._topic}/{ONLINE}", _online(now=True), QOS, retain=True).mid

    def close(self) -> None:
        """End the connection with its last will, which the broker then publishes."""
        wanted = Properties(PacketTypes.DISCONNECT)  # type: ignore[no-untyped-call]  # paho's
        self._client.disconnect(ReasonCode(PacketTypes.DISCONNECT, "Disconnect with will message"), wanted)
        self._client.loop(0.1)
        self.drop()

    def drop(self) -> None:
        """Close the socket at once: the broker publishes the last will."""
        self._client.on_disconnect = None
        self._client.on_connect = None
        sock = self._client.socket()
        if sock is not None:
            sock.close()

    def _connected(self, code: ReasonCode, properties: Properties | None) -> None:
        if code.is_failure:
            self._failed = LinkError(f"the broker refuses the connection: {code}")
            return
        allowed = getattr(properties, "ReceiveMaximum", MOST_OPEN)
        self._most_bytes = getattr(properties, "MaximumPacketSize", None)
        self.window = max(1, min(MOST_OPEN, allowed))

    def _answered(self, number: int, code: ReasonCode) -> None:
        if code.value == QUOTA_EXCEEDED:
            self._failed = LinkError(f"the broker refuses messages: {code}")
            return
        self.answered.append((number, f"the broker refuses it: {code}" if code.is_failure else ""))

    def _disconnected(self, code: ReasonCode) -> None:
        if self._failed is not None:
            return
        other = f"another client with the same line name ({self._client_id})"
        remedy = "give each line its own name, or its own mqtt.client_id"
        if code.value == SESSION_TAKEN_OVER:
            self._failed = TakenOverError(f"{other} has taken over: {remedy}")
        elif code.value == UNSPECIFIED:  # paho's word for a broker that closes without a reason
            self._failed = LinkError(
                f"the broker closed the connection: it was stopped, or {other} came: {remedy}"
            )
        else:
            self._failed = LinkError(f"the connection ended: {code}")


def packet_bytes(topic: str, content: bytes) -> int:
    """Size of an MQTT 5 message with QoS 1 and without properties: header, topic, number, properties, content."""
    rest = 2 + len(topic.encode()) + 2 + 1 + len(content)
    length_bytes = 1
    while rest >= 128**length_bytes:
        length_bytes += 1
    return 1 + length_bytes + rest


def _online(*, now: bool) -> bytes:
    return json.dumps({"online": now}).encode()


def _context(settings: MqttSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.ca)
        if settings.certificate is not None:
            context.load_cert_chain(settings.certificate, settings.key)
    except (OSError, ssl.SSLError) as error:
        names = ", ".join(str(each) for each in (settings.ca, settings.certificate, settings.key) if each)
        raise ConfigError(f"mqtt: {names}: {error.strerror or error}: give PEM files that can be read") from None
    return context
