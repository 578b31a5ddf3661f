"""Pure functions and small state machines, without sockets, files or clocks."""
