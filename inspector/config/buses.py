"""The `[mqtt]` and `[opcua]` tables of line.toml: where the line's results are sent."""

import ipaddress
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, Field, model_validator

from inspector.config.plc import STRICT
from inspector.passwords import check_source

PasswordSource = Annotated[str, AfterValidator(check_source)]


def is_this_pc(host: str) -> bool:
    """Whether a host is this PC's own loopback address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class MqttSettings(BaseModel):
    """The plant's MQTT broker."""

    model_config = STRICT
    host: Annotated[str, Field(min_length=1)]
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """None is 8883 with TLS, else 1883."""
    topic: Annotated[str, Field(pattern=r"^[^+#\x00/$][^+#\x00]*[^+#\x00/]$")] = "strip-inspector"
    """Beginning of all topics; the line's name follows."""
    client_id: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    """None is `strip-inspector-LINE`."""
    tls: bool = True
    """False only for a broker on this PC, or in a network where anybody may read the results."""
    ca: Path | None = None
    """PEM file with the authority that signed the broker's certificate; None trusts the system's authorities."""
    certificate: Path | None = None
    """PEM file with this client's certificate, if the broker wants one."""
    key: Path | None = None
    """PEM file with its private key."""
    user: str | None = None
    password: PasswordSource | None = None
    """`env:NAME` or `credential:NAME`."""
    folder: Path | None = None
    """Where the position is kept; None is the folder `mqtt` in `sinks.out`."""

    @model_validator(mode="after")
    def _safe(self) -> Self:
        if not self.tls and (self.ca or self.certificate or self.key):
            raise ValueError("ca, certificate and key are for tls = true")
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key need each other")
        if self.password is not None and self.user is None:
            raise ValueError("password needs user")
        if self.password is not None and not self.tls and not is_this_pc(self.host):
            raise ValueError("tls: the password would cross the network unencrypted: remove tls = false")
        return self

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{self.host}:{self.port or (8883 if self.tls else 1883)}"


class OpcuaUser(BaseModel):
    """Somebody who may open a session."""

    model_config = STRICT
    password: PasswordSource
    role: Literal["viewer", "operator"] = "viewer"
    """A viewer reads values and receives events; an operator also prepares plans, and starts and ends coils."""


OPCUA_ADDRESS: Final = "127.0.0.1:4840"


class OpcuaSettings(BaseModel):
    """The OPC UA server. Nobody gets in without a trusted certificate, a name and a password."""

    model_config = STRICT
    address: Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]+:\d{1,5}$")] = OPCUA_ADDRESS
    """Address and port to listen on."""
    users: Annotated[dict[Annotated[str, Field(pattern=r"^[^\s:]{1,64}$")], OpcuaUser], Field(min_length=1)]
    frames: Literal["none", "not_accepted", "all"] = "not_accepted"
    """Which frames are sent as events."""
    folder: Path | None = None
    """Certificates and the position; None is the folder `opcua` in `sinks.out`."""

    @property
    def url(self) -> str:
        """What clients connect to."""
        return f"opc.tcp://{self.address}/strip-inspector"
