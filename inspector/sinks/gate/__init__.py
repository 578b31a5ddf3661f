"""The gate to a PLC: its registers, what is sent and when, Modbus/TCP."""
