"""A PLC over Modbus/TCP, and the types that settings of machines share."""

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

STRICT: Final = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

Positive = Annotated[float, Field(gt=0.0)]
LAST_PORT: Final = 65_535
Port = Annotated[int, Field(ge=1, le=LAST_PORT)]


def _has_port(address: str) -> str:
    if not 1 <= int(address.rpartition(":")[2]) <= LAST_PORT:
        raise ValueError(f"the port must be 1 to {LAST_PORT}")
    return address


Address = Annotated[str, Field(pattern=r"^(\[[0-9A-Fa-f:.]+\]|[^:\s\[\]]+):\d{1,5}$"), AfterValidator(_has_port)]
"""HOST:PORT."""
LAST_REGISTER: Final = 65_535
Register = Annotated[int, Field(ge=0, le=LAST_REGISTER)]
NumberType = Literal["uint16", "int16", "uint32", "int32", "float32"]


def _not_zero(value: float) -> float:
    if not value:
        raise ValueError("must not be 0")
    return value


Factor = Annotated[float, AfterValidator(_not_zero)]


class PlcSettings(BaseModel):
    """A Modbus/TCP server with holding registers: the gate's PLC or another."""

    model_config = STRICT
    host: Annotated[str, Field(min_length=1)]
    port: Port = 502
    device_id: Annotated[int, Field(ge=0, le=255)] = 1
    timeout_ms: Annotated[float, Field(gt=0.0, le=5000.0)] = 200.0
    interval_ms: Annotated[float, Field(ge=5.0, le=10_000.0)] = 20.0
    """Time between two reads of the PLC."""
    word_order: Literal["high_first", "low_first"] = "high_first"
    """Order of the registers of a value of 32 bits."""
