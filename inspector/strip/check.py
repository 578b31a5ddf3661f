"""Queries the machines of a `[strip]` table once, for `inspector check`."""

from inspector.config.plc import PlcSettings
from inspector.config.strip import ModbusPosition, StripSettings
from inspector.core.strip.telegram import size_of
from inspector.errors import WorkError
from inspector.strip.modbus_position import ModbusSource
from inspector.strip.plc import PlcReader
from inspector.strip.position import described


def look(settings: StripSettings) -> str:
    """Return which machines answer. Silence of a machine is not an error, because a line starts without it.

    Raises InputError if pymodbus is missing.
    """
    told = [f"position {_position(settings)}"]
    if settings.coil_registers is not None:
        fields = [field.spec() for field in settings.coil_registers.fields_]
        count = (size_of(fields) + 1) // 2
        told.append(
            f"coil registers {_registers(settings.coil_registers, settings.coil_registers.first_register, count)}"
        )
    if settings.level2 is not None:
        sizes = ", ".join(
            f"{name} {size_of(settings.level2.layout().header) + size_of(spec.fields)} bytes"
            for name, spec in settings.level2.layout().telegrams.items()
        )
        told.append(f"level 2 {settings.level2.connect or settings.level2.listen}: {sizes}")
    return "; ".join(told)


def _position(settings: StripSettings) -> str:
    position = settings.position
    if position is None:
        return "counted from the frames"
    if not isinstance(position, ModbusPosition):
        return described(position)
    source = ModbusSource(position)
    try:
        reading = next(source.readings())
    except WorkError as error:
        return f"{described(position)}: not now: {error}"
    finally:
        source.close()
    if reading is None:
        return f"{described(position)}: not now"
    speed = "no speed" if reading.speed_mm_s is None else f"{reading.speed_mm_s / 1000:.2f} m/s"
    count = "no counter, positions drift" if reading.count is None else f"counter {reading.count:g}"
    return f"{described(position)}: {count}, {speed}"


def _registers(settings: PlcSettings, first: int, count: int) -> str:
    plc = PlcReader(settings)
    try:
        plc.read(first, count)
    except WorkError as error:
        return f"{plc.address}: not now: {error}"
    finally:
        plc.close()
    return f"{plc.address}: answers, {count} registers from {first}"
