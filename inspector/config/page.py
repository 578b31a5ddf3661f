"""Settings of the operator's page, `inspector serve`."""

import ipaddress
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, model_validator

ADDRESS: Final = "127.0.0.1:8470"

HostName = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$")]


class PageSettings(BaseModel):
    """The operator's page."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    address: Annotated[str, Field(pattern=r"^(\[[0-9a-fA-F:]+\]|[0-9.]+|localhost):\d{1,5}$")] = ADDRESS
    """IP address and port to listen on. Another address than this PC's own needs `certificate` and accounts."""
    names: tuple[HostName, ...] = ()
    """Host names that browsers use for this PC; a request under any other name is refused."""
    certificate: Path | None = None
    """PEM file with the TLS certificate and its chain."""
    key: Path | None = None
    """PEM file with the certificate's private key."""
    folder: Path | None = None
    """Accounts, reviews, alarms and audit; None is the folder `page` in `sinks.out`."""

    @model_validator(mode="after")
    def _no_plain_text_on_a_network(self) -> "PageSettings":
        if not 0 < self.port <= 65_535:
            raise ValueError("address: the port must be 1 to 65535")
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key need each other")
        if not self.is_loopback and self.certificate is None:
            raise ValueError(
                "address: passwords would cross the network unencrypted: give certificate and key, or listen on "
                "127.0.0.1 behind a proxy with TLS"
            )
        return self

    @property
    def host(self) -> str:
        """The address without its port."""
        return self.address.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """The TCP port."""
        return int(self.address.rpartition(":")[2])

    @property
    def is_loopback(self) -> bool:
        """Whether only this PC can reach the page."""
        try:
            return self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False
