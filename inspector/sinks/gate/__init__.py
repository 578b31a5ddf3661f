"""The gate before a PLC: its registers, what it is told and when, Modbus/TCP."""
